/* Large results in little memory: what nobody is about to be told is put aside when it is durable,
 * and read again from the store for whoever wants it.
 *
 * A job that has ended with more than config.result_kept_bytes stands in core->heavy until its
 * result is put aside or it is forgotten. Wanted is what a watch may be told soon, and what a job
 * waits for; the rest of a watched group waits for it in the store. */
#include <stdlib.h>

#include "broker/core/state.h"

enum {
    LOOKED_AT = 256,       /* heavy ones, with each commit */
    AHEAD = 256,           /* of a watch: ends whose results are kept, or read, for it */
    AHEAD_BYTES = 16 << 20 /* that are read for it at once, if more than one */
};

static bool is_large(const core_t *self, struct ag_bytes result)
{
    return self->config.awake_max > 0 && result.size > self->config.result_kept_bytes;
}

void results_on_end(core_t *self, struct job *job)
{
    if (is_large(self, job->result) && !ag_link_is_listed(&job->load))
        ag_list_append(&self->heavy, &job->load);
}

static bool is_wanted_by(const struct watch *watch, uint64_t place)
{
    return (watch->flags & PROTO_WATCH_RESULTS) != 0 && place >= watch->cursor &&
           place < watch->cursor + AHEAD && place < watch->limit;
}

static bool is_wanted(const struct job *job)
{
    const struct group *group = job->lane->group;

    if (job->watches_count > 0 || wait_is_wanted(job))
        return true;
    if (group == NULL)
        return false;
    if (!ag_list_is_empty(&group->waiters))
        return true;
    for (struct ag_link *at = group->watches.next; at != &group->watches; at = at->next)
        if (is_wanted_by(AG_OWNER(at, struct watch, of_target), job->place))
            return true;
    return false;
}

/* It is in the store only. */
static void go_away(struct job *job, size_t size)
{
    job->result_away = (uint32_t)size;
    if (job->lane->group != NULL)
        job->lane->group->away++;
}

/* It is here again, or never will be. */
static void come_back(struct job *job)
{
    job->result_away = 0;
    if (job->lane->group != NULL)
        job->lane->group->away--;
}

static void put_aside(core_t *self, struct job *job)
{
    ag_link_remove(&job->load);
    self->bytes -= job->result.size;
    go_away(job, job->result.size);
    free((void *)job->result.data);
    job->result = (struct ag_bytes){0};
}

void results_on_commit(core_t *self)
{
    struct ag_link *last = self->heavy.prev;

    for (int looked = 0; looked < LOOKED_AT && !ag_list_is_empty(&self->heavy); looked++) {
        struct job *job = AG_OWNER(self->heavy.next, struct job, load);
        bool is_last = &job->load == last;

        if (job->ended_record > self->committed || is_wanted(job))
            ag_list_append(&self->heavy, &job->load); /* later */
        else
            put_aside(self, job);
        if (is_last)
            return;
    }
}

bool results_restore(core_t *self, struct job *job, struct ag_bytes result)
{
    if (!is_large(self, result))
        return false;
    go_away(job, result.size);
    return true;
}

void results_forget(struct job *job)
{
    if (job->result_away > 0)
        come_back(job);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

void results_want(core_t *self, struct job *job)
{
    if (job->result_away > 0 && !ag_link_is_listed(&job->load))
        ag_list_append(&self->unloaded, &job->load);
}

void results_want_group(core_t *self, struct group *group)
{
    for (size_t i = group->released_count; group->away > 0 && i < group->ended_count; i++)
        results_want(self, group->ended[i]);
}

void results_want_for(core_t *self, const struct watch *watch)
{
    const struct group *group = watch->group;
    uint64_t bytes = 0;

    if ((watch->flags & PROTO_WATCH_RESULTS) == 0)
        return;
    if (watch->job != NULL)
        results_want(self, watch->job);
    for (uint64_t i = watch->cursor; group != NULL && group->away > 0 && i < group->ended_count &&
                                     i < watch->cursor + AHEAD && i < watch->limit;
         i++) {
        bytes += group->ended[i]->result_away;
        if (bytes > AHEAD_BYTES && i > watch->cursor)
            return;
        results_want(self, group->ended[i]);
    }
}

int results_loaded(core_t *self, struct job *job, const struct core_loaded *loaded)
{
    struct group *group = job->lane->group;
    bool failed = false;

    if (job->result_away == 0)
        return 0;
    job->result = bytes_copy(loaded->bytes, &failed);
    if (failed)
        return ARGOSY_ENOMEM;
    self->bytes += job->result.size;
    ag_link_remove(&job->load);
    come_back(job);
    if (!loaded->is_there && job->error.size == 0) {
        job->error = ag_buffer_bytes(&self->constants[CONSTANT_LOST_RESULT]);
        job->error_is_constant = true;
    }
    results_on_end(self, job);
    watch_all_due(self, &job->watches);
    if (group != NULL)
        watch_all_due(self, &group->watches);
    wait_on_job_end(self, job);
    if (group != NULL && group->is_ended && group->away == 0)
        wait_on_group_end(self, group);
    return 0;
}
