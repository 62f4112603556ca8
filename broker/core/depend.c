/* What waits for what: jobs after jobs and groups, and jobs that no two may live of (`unique`).
 *
 * Waits form no circle: a job names only what is known already, and a group only when nothing can
 * be added to it any more. What ends is put in a list and its waiters are told slice by slice, so
 * that a chain of a million does not end in one step.
 */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/assert.h"

/* ---- waits -------------------------------------------------------------------------------------
 */

int wait_add(struct job *waiter, struct job *job, struct group *group)
{
    struct extra *extra = job_extra(waiter);
    struct wait *wait = calloc(1, sizeof *wait);

    if (extra == NULL || wait == NULL || (job != NULL && job_extra(job) == NULL)) {
        free(wait);
        return ARGOSY_ENOMEM;
    }
    ag_link_init(&wait->of_waiter);
    ag_link_init(&wait->of_target);
    wait->waiter = waiter;
    wait->job = job;
    wait->group = group;
    if (job != NULL && job->lane->group != NULL)
        job->lane->group->wanted++;
    ag_list_append(&extra->waits, &wait->of_waiter);
    /* those that are not over stand first */
    ag_list_prepend(job != NULL ? &job->extra->waiters : &group->waiters, &wait->of_target);
    extra->open_count++;
    return 0;
}

void wait_drop_all(struct job *waiter)
{
    while (!ag_list_is_empty(&waiter->extra->waits)) {
        struct wait *wait = AG_OWNER(waiter->extra->waits.next, struct wait, of_waiter);

        if (wait->job != NULL && wait->job->lane->group != NULL)
            wait->job->lane->group->wanted--;
        ag_link_remove(&wait->of_waiter);
        ag_link_remove(&wait->of_target);
        free(wait);
    }
    waiter->extra->open_count = 0;
}

bool wait_is_wanted(const struct job *job)
{
    return job->extra != NULL && !ag_list_is_empty(&job->extra->waiters);
}

void wait_on_job_end(core_t *self, struct job *job)
{
    if (wait_is_wanted(job))
        ag_list_append(&self->settling, &job->extra->settle);
}

void wait_on_group_end(core_t *self, struct group *group)
{
    if (!ag_list_is_empty(&group->waiters))
        ag_list_append(&self->settling_groups, &group->settle);
}

/* What it waits for may have ended before: it learns that as everybody does. */
void wait_begin(core_t *self, struct job *waiter)
{
    for (struct ag_link *at = waiter->extra->waits.next; at != &waiter->extra->waits;
         at = at->next) {
        struct wait *wait = AG_OWNER(at, struct wait, of_waiter);

        if (wait->job != NULL && job_has_ended(wait->job))
            wait_on_job_end(self, wait->job);
        if (wait->group != NULL && wait->group->is_ended)
            wait_on_group_end(self, wait->group);
    }
}

/* ---- what is handed on -------------------------------------------------------------------------
 */

static void append_input(const struct job *job, struct ag_buffer *out)
{
    static const enum proto_state states[JOB_STATES_COUNT] = {[JOB_SUCCEEDED] = PROTO_JOB_SUCCEEDED,
                                                              [JOB_FAILED] = PROTO_JOB_FAILED,
                                                              [JOB_CANCELLED] =
                                                                  PROTO_JOB_CANCELLED};

    ag_proto_append_input(out,
                          &(struct proto_input){.job = job->node.id,
                                                .kind = ag_bytes_of_text(job->lane->kind->name),
                                                .state = states[job->state],
                                                .result = job->result});
}

static int by_index(const void *a, const void *b)
{
    const struct job *const *left = a, *const *right = b;

    return (*left)->index < (*right)->index ? -1 : (*left)->index > (*right)->index;
}

static uint32_t append_group(const struct group *group, struct ag_buffer *out)
{
    size_t count = group->ended_count - group->released_count;
    const struct job **jobs = malloc((count + 1) * sizeof(struct job *));

    if (jobs == NULL) {
        out->failed = true;
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        jobs[i] = group->ended[group->released_count + i];
    qsort(jobs, count, sizeof *jobs, by_index);
    for (size_t i = 0; i < count; i++)
        append_input(jobs[i], out);
    free(jobs);
    return (uint32_t)count;
}

uint32_t wait_inputs(const struct job *waiter, struct ag_buffer *out)
{
    uint32_t count = 0;

    for (struct ag_link *at = waiter->extra->waits.next; at != &waiter->extra->waits;
         at = at->next) {
        const struct wait *wait = AG_OWNER(at, struct wait, of_waiter);

        if (wait->group != NULL)
            count += append_group(wait->group, out);
        else if (wait->job != NULL && ++count > 0)
            append_input(wait->job, out);
    }
    return count;
}

static bool fits(const struct job *waiter)
{
    uint64_t bytes = 0, count = 0;

    for (struct ag_link *at = waiter->extra->waits.next; at != &waiter->extra->waits;
         at = at->next) {
        const struct wait *wait = AG_OWNER(at, struct wait, of_waiter);

        if (wait->job != NULL)
            bytes += wait->job->result.size + wait->job->result_away;
        count++;
        if (wait->group == NULL)
            continue;
        count += wait->group->ended_count;
        if (count > AG_INPUTS_MAX)
            return false;
        for (size_t i = wait->group->released_count; i < wait->group->ended_count; i++)
            bytes += wait->group->ended[i]->result.size + wait->group->ended[i]->result_away;
    }
    return bytes + INPUT_OVERHEAD * count <= AG_INPUTS_BYTES_MAX && count <= AG_INPUTS_MAX;
}

/* ---- the end of a wait -------------------------------------------------------------------------
 */

static void unblock(core_t *self, struct job *job)
{
    if (job->extra->mode != WAIT_REPLACE && !fits(job)) {
        job_fail(self, job, CONSTANT_INPUTS);
    } else if (job->due_at > self->now) {
        job_enter(self, job, JOB_SCHEDULED);
        core_set_timer(self, &job->timer, job->due_at);
    } else {
        job_enter(self, job, JOB_QUEUED);
    }
}

/* End as the one that it joined. */
static void end_alike(core_t *self, struct job *job, const struct job *other)
{
    bool failed = false;
    struct ag_bytes result = bytes_copy(other->result, &failed);
    struct ag_bytes error =
        other->error_is_constant ? other->error : bytes_copy(other->error, &failed);

    if (failed) { /* better a failure that says so than no end at all */
        free((void *)result.data);
        if (!other->error_is_constant)
            free((void *)error.data);
        job_fail(self, job, CONSTANT_INPUTS);
        return;
    }
    job->result = result;
    job->error = error;
    job->error_is_constant = other->error_is_constant;
    self->bytes += result.size + (other->error_is_constant ? 0 : error.size);
    job->attempt = other->attempt;
    job->run_ms = other->run_ms;
    if (other->worker_name != NULL)
        job->worker_name = name_ref(other->worker_name);
    job_enter(self, job, other->state);
}

static enum job_state state_of(const struct wait *wait)
{
    if (wait->job != NULL)
        return wait->job->state;
    return group_outcome(wait->group);
}

static void fail_because(core_t *self, struct job *job, const struct wait *wait)
{
    char text[AG_ID_TEXT_SIZE], message[128];
    struct ag_buffer error;
    size_t size;

    snprintf(message, sizeof message, "%s %s failed, which it was to come after",
             wait->job != NULL ? "job" : "group",
             ag_id_print(wait->job != NULL ? &wait->job->node.id : &wait->group->node.id, text));
    error = core_error("dependency", message);
    if (error.failed) {
        ag_buffer_free(&error);
        job_fail(self, job, CONSTANT_DEPENDENCY);
        return;
    }
    size = error.size;
    job->error = ag_bytes_of(ag_buffer_take(&error, &size), size);
    self->bytes += size;
    job_enter(self, job, JOB_FAILED);
}

static void over(core_t *self, struct wait *wait)
{
    struct job *waiter = wait->waiter;
    struct extra *extra = waiter->extra;
    enum job_state state = state_of(wait);

    wait->is_over = true;
    extra->open_count--;
    if (waiter->state != JOB_BLOCKED)
        return;
    if (extra->mode == WAIT_JOIN)
        end_alike(self, waiter, wait->job);
    else if (extra->mode == WAIT_ALL && state == JOB_FAILED)
        fail_because(self, waiter, wait);
    else if (extra->mode == WAIT_ALL && state == JOB_CANCELLED)
        job_enter(self, waiter, JOB_CANCELLED);
    else if (extra->open_count == 0 || (PLANTED(EARLY_AFTER) && extra->open_count == 1))
        unblock(self, waiter);
}

/* Tell the waiters of one target. True when all know; each goes to the end of the list, or is gone
 * with its job. */
static bool tell(core_t *self, struct ag_link *waiters, int *left)
{
    while (!ag_list_is_empty(waiters)) {
        struct wait *wait = AG_OWNER(waiters->next, struct wait, of_target);

        if (wait->is_over)
            return true;
        if (*left == 0 || !core_has_room(self, SWEEP_EFFECTS)) {
            self->unfinished = true;
            return false;
        }
        --*left;
        ag_list_append(waiters, &wait->of_target);
        over(self, wait);
    }
    return true;
}

/* What is handed on has to be here: it comes back when it is. */
static bool is_being_read(core_t *self, const struct ag_link *waiters)
{
    struct job *job =
        ag_list_is_empty(waiters) ? NULL : AG_OWNER(waiters->next, struct wait, of_target)->job;

    if (job == NULL || job->result_away == 0)
        return false;
    results_want(self, job);
    return true;
}

void wait_settle(core_t *self)
{
    int left = SLICE;

    while (!ag_list_is_empty(&self->settling)) {
        struct extra *extra = AG_OWNER(self->settling.next, struct extra, settle);

        if (is_being_read(self, &extra->waiters)) {
            ag_link_remove(&extra->settle);
            continue;
        }
        if (!tell(self, &extra->waiters, &left))
            return;
        ag_link_remove(&extra->settle);
    }
    while (!ag_list_is_empty(&self->settling_groups)) {
        struct group *group = AG_OWNER(self->settling_groups.next, struct group, settle);

        if (group->away > 0 && group->ended_count <= AG_INPUTS_MAX) {
            results_want_group(self, group); /* and then here again */
            ag_link_remove(&group->settle);
            continue;
        }
        if (!tell(self, &group->waiters, &left))
            return;
        ag_link_remove(&group->settle);
    }
}

/* ---- unique ------------------------------------------------------------------------------------
 */

struct job *unique_find(const core_t *self, struct ag_bytes text)
{
    struct ag_id id;
    struct ag_map_node *node = text_find(&self->uniques, text, offsetof(struct unique, text), &id);

    return node != NULL ? AG_OWNER(node, struct unique, node)->job : NULL;
}

int unique_make(struct job *job, struct ag_bytes text)
{
    struct extra *extra = job_extra(job);
    struct unique *unique = calloc(1, sizeof *unique + text.size + 1);

    if (extra == NULL || unique == NULL) {
        free(unique);
        return ARGOSY_ENOMEM;
    }
    memcpy(unique->text, text.data, text.size);
    unique->job = job;
    extra->unique = unique;
    return 0;
}

void unique_take(core_t *self, struct job *job)
{
    struct unique *unique = job->extra->unique;
    struct ag_bytes text = ag_bytes_of_text(unique->text);
    struct job *holder = unique_find(self, text);

    if (holder != NULL)
        unique_drop(self, holder);
    text_find(&self->uniques, text, offsetof(struct unique, text), &unique->node.id);
    ag_map_add(&self->uniques, &unique->node);
    unique->is_held = true;
}

void unique_drop(core_t *self, struct job *job)
{
    struct unique *unique = job->extra->unique;

    if (unique == NULL)
        return;
    if (unique->is_held)
        ag_map_remove(&self->uniques, &unique->node);
    free(unique);
    job->extra->unique = NULL;
}
