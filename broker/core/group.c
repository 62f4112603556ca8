/* Groups: how failures of children decide, cancelling as a whole, the end of a group. */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/assert.h"

struct group *group_find(const core_t *self, const struct ag_id *id)
{
    struct ag_map_node *node = ag_map_find(&self->groups, id);

    return node ? AG_OWNER(node, struct group, node) : NULL;
}

struct group *group_new(const struct proto_group *spec)
{
    struct group *group = calloc(1, sizeof *group);
    bool failed = false;

    if (group == NULL)
        return NULL;
    group->node.id = spec->id;
    group->name = text_copy(spec->name, &failed);
    if (failed) {
        free(group);
        return NULL;
    }
    ag_link_init(&group->live);
    ag_link_init(&group->swept);
    ag_link_init(&group->lanes);
    ag_link_init(&group->watches);
    ag_link_init(&group->waiters);
    ag_link_init(&group->children);
    ag_link_init(&group->of_parent);
    ag_link_init(&group->settle);
    ag_link_init(&group->sweep);
    group->timer.owner = TIMER_GROUP;
    group->rate_timer.owner = TIMER_RATE;
    group->policy = spec->policy;
    group->failures_max = spec->failures_max;
    group->failures_percent = spec->failures_percent;
    group->successes = spec->successes == 0 && spec->policy == PROTO_RACE ? 1 : spec->successes;
    group->successes_min = spec->successes_min;
    group->is_gentle = spec->is_gentle;
    group->concurrency = spec->concurrency;
    group->rate_per_minute = spec->rate_per_minute;
    group->ttl_ms = spec->ttl_ms;
    group->failure = "";
    return group;
}

static void orphan_children(struct group *group)
{
    while (!ag_list_is_empty(&group->children)) {
        struct group *child = AG_OWNER(group->children.next, struct group, of_parent);

        ag_link_remove(&child->of_parent);
        child->parent = NULL;
    }
}

/* Its jobs and watches are gone already. */
void group_free(core_t *self, struct group *group)
{
    ag_heap_stop(&self->timers, &group->timer.heap);
    ag_heap_stop(&self->timers, &group->rate_timer.heap);
    ag_link_remove(&group->settle);
    ag_link_remove(&group->of_parent);
    orphan_children(group);
    if (group->place != NULL)
        group->place->extra->inside = NULL;
    while (!ag_list_is_empty(&group->lanes))
        lane_free(AG_OWNER(group->lanes.next, struct lane, of_group));
    free(group->ended);
    free(group->name);
    free(group);
}

/* `place`, a job that is linked nowhere yet, stands for it in its parent; both may be NULL. */
void group_accept(core_t *self, struct group *group, struct job *place, uint32_t deadline_ms)
{
    char id[AG_ID_TEXT_SIZE];

    ag_map_add(&self->groups, &group->node);
    group->accepted_at = self->now;
    group->deadline_ms = deadline_ms;
    if (deadline_ms > 0)
        core_set_timer(self, &group->timer, self->now + deadline_ms);
    if (place != NULL) {
        group->parent = place->lane->group;
        group->depth = group->parent->depth + 1;
        group->parent->children_open++;
        ag_list_append(&group->parent->children, &group->of_parent);
        group->place = place;
        place->extra->inside = group;
    }
    group->number = core_journal(self, RECORD_GROUP, NULL, group);
    core_tracef(self, "        group %s: open", ag_id_print(&group->node.id, id));
    happen(self, "group", "open", &group->node.id, NULL);
    if (place != NULL)
        job_accept(self, place, 0);
}

int group_reserve(struct group *group, size_t more)
{
    size_t want = group->counts.total + more;
    struct job **grown;

    if (want <= group->ended_capacity)
        return 0;
    want += want / 2;
    grown = realloc(group->ended, want * sizeof(struct job *));
    if (grown == NULL)
        return ARGOSY_ENOMEM;
    group->ended = grown;
    group->ended_capacity = want;
    return 0;
}

static uint64_t *counter_of(struct group *group, enum job_state state)
{
    switch (state) {
    case JOB_SCHEDULED:
    case JOB_BLOCKED:
    case JOB_QUEUED:
        return &group->counts.waiting;
    case JOB_RUNNING:
    case JOB_CANCELLING:
        return &group->counts.running;
    case JOB_SUCCEEDED:
        return &group->counts.succeeded;
    case JOB_FAILED:
        return &group->counts.failed;
    case JOB_CANCELLED:
    case JOB_STATES_COUNT:
        break;
    }
    return &group->counts.cancelled;
}

void group_update_lanes(core_t *self, struct group *group)
{
    for (struct ag_link *at = group->lanes.next; at != &group->lanes; at = at->next)
        lane_update(self, AG_OWNER(at, struct lane, of_group));
}

/* One job more (1) or less (-1) is in this state. */
void group_count(core_t *self, struct group *group, enum job_state state, int by)
{
    *counter_of(group, state) += (uint64_t)(int64_t)by;
    if (group->concurrency > 0 && (state == JOB_RUNNING || state == JOB_CANCELLING))
        group_update_lanes(self, group);
}

/* A job of it begins: with a rate, the next one has to wait for its time. What was not used for a
 * tenth of a second is lost, so that nothing saves up for a storm. */
void group_on_begin(core_t *self, struct group *group)
{
    int64_t now_us = 1000 * self->now;

    if (group->rate_per_minute == 0)
        return;
    if (group->rate_at_us < now_us - RATE_BURST_US)
        group->rate_at_us = now_us - RATE_BURST_US;
    group->rate_at_us += 60000000 / group->rate_per_minute;
    if (group->rate_at_us <= now_us)
        return;
    core_set_timer(self, &group->rate_timer, (group->rate_at_us + 999) / 1000);
    group_update_lanes(self, group);
}

/* ---- the end -----------------------------------------------------------------------------------
 */

/* How its place in its parent ends. */
enum job_state group_outcome(const struct group *group)
{
    const struct proto_counts *n = &group->counts;

    if (strcmp(group->failure, "cancelled") == 0)
        return JOB_CANCELLED;
    if (group->failure[0] != '\0')
        return JOB_FAILED;
    if (group->successes > 0 && n->succeeded >= group->successes)
        return JOB_SUCCEEDED;
    return n->failed > 0 ? JOB_FAILED : JOB_SUCCEEDED;
}

static void end_place(core_t *self, struct group *group)
{
    struct job *place = group->place;
    enum job_state state = group_outcome(group);

    if (place == NULL || job_has_ended(place))
        return;
    if (place->state == JOB_CANCELLING)
        state = JOB_CANCELLED;
    if (state == JOB_FAILED)
        job_fail(self, place, CONSTANT_GROUP);
    else
        job_enter(self, place, state);
}

bool group_is_done(const struct group *group)
{
    return group->sealed && !group->is_ended &&
           group->ended_count + PLANTED(GROUP_EARLY) >= group->counts.total;
}

void group_end(core_t *self, struct group *group)
{
    uint32_t ttl_ms = group->ttl_ms > 0 ? group->ttl_ms : self->config.result_ttl_ms;
    char id[AG_ID_TEXT_SIZE];

    group->is_ended = true;
    group->ended_at = self->now;
    if (group->counts.succeeded < group->successes_min && group->failure[0] == '\0')
        group->failure = "group.successes";
    group->ended_record = core_journal(self, RECORD_ENDED, NULL, group);
    core_set_timer(self, &group->timer, self->now + (ttl_ms > 0 ? ttl_ms : 1));
    watch_all_due(self, &group->watches);
    core_tracef(self, "        group %s: ended", ag_id_print(&group->node.id, id));
    happen(self, "group", "ended", &group->node.id, NULL);
    wait_on_group_end(self, group);
    end_place(self, group);
}

/* What its policy makes of the counts, and whether that was all. While restoring nothing is
 * decided: what was decided then has records of its own, and some of what led to it may be
 * forgotten. */
static void judge(core_t *self, struct group *group)
{
    const struct proto_counts *n = &group->counts;
    bool failed_too_often =
        n->failed > group->failures_max &&
        (group->failures_percent == 0 ||
         (group->sealed && 100 * n->failed > group->failures_percent * n->total));

    if (self->restoring)
        return;
    if (group->policy == PROTO_TASKGROUP && failed_too_often)
        group_cancel(self, group, "", group->is_gentle);
    else if (group->successes > 0 && n->succeeded >= group->successes)
        group_cancel(self, group, "", group->is_gentle);
    if (group_is_done(group))
        group_end(self, group);
}

void group_on_job_end(core_t *self, struct group *group, struct job *job)
{
    AG_ASSERT(group->ended_count < group->ended_capacity);
    job->place = (uint32_t)group->ended_count;
    group->ended[group->ended_count++] = job;
    watch_all_due(self, &group->watches);
    judge(self, group);
}

/* Sealed, and everything in it as well: nothing can be added any more, so it may be waited for. */
static void complete(struct group *group)
{
    while (group != NULL && !group->is_complete && group->sealed && group->children_open == 0) {
        group->is_complete = true;
        group = group->parent;
        if (group != NULL)
            group->children_open--;
    }
}

void group_seal(core_t *self, struct group *group)
{
    if (group->sealed)
        return;
    group->sealed = true;
    core_journal(self, RECORD_SEAL, NULL, group);
    happen(self, "group", "sealed", &group->node.id, NULL);
    complete(group);
    judge(self, group); /* a share of failures counts once the total is known */
}

/* Nothing of it begins from now on; the sweep ends what waits and, unless `spares`, stops what
 * runs. `failure` is a constant: why, or "" when its own members are the reason. */
void group_cancel(core_t *self, struct group *group, const char *failure, bool spares)
{
    char id[AG_ID_TEXT_SIZE];

    if (group->is_ended)
        return;
    if (failure[0] != '\0') { /* nothing more belongs to what was ended from outside */
        if (!group->cancelling)
            group->failure = failure;
        group_seal(self, group);
    }
    if (group->is_ended || (group->cancelling && (spares || !group->spares)))
        return;
    while (!ag_list_is_empty(&group->swept)) /* what was spared is looked at again */
        ag_list_append(&group->live, group->swept.next);
    group->cancelling = true;
    group->spares = spares;
    group->failure = failure;
    core_journal(self, RECORD_STOP, NULL, group);
    core_tracef(self, "        group %s: cancelling", ag_id_print(&group->node.id, id));
    happen(self, "group", "cancelling", &group->node.id, NULL);
    group_update_lanes(self, group);
    ag_list_append(&self->sweeps, &group->sweep);
}

/* What its place leaves in the counts of its parent, which may have released that already. */
static struct core_gone gone_place(const struct group *group)
{
    enum job_state state = group->place != NULL ? group->place->state : group_outcome(group);

    return (struct core_gone){.succeeded = state == JOB_SUCCEEDED,
                              .failed = state == JOB_FAILED,
                              .cancelled = state == JOB_CANCELLED};
}

/* After its time nobody remembers it: out of the table at once, its jobs slice by slice. */
void group_begin_to_forget(core_t *self, struct group *group)
{
    struct effect *effect = core_journal_forget(self, SUBJECT_GROUP, &group->node.id);

    effect->journal.number = group->number;
    effect->journal.group_number = group->parent != NULL ? group->parent->number : 0;
    if (group->parent != NULL)
        effect->journal.gone = gone_place(group);
    watch_forget(self, &group->watches);
    group->is_forgotten = true;
    orphan_children(group);
    ag_map_remove(&self->groups, &group->node);
    ag_list_append(&self->sweeps, &group->sweep);
}

/* Someone is still reading it, waits for what it made, or will come to it from its parent. */
static bool is_wanted(const struct group *group)
{
    return watch_is_wanted(&group->watches) || !ag_list_is_empty(&group->waiters) ||
           group->wanted > 0 || (group->parent != NULL && !group->parent->is_ended);
}

bool group_forget(core_t *self, struct group *group)
{
    AG_ASSERT(group->is_ended);
    if (is_wanted(group))
        return false;
    ag_heap_stop(&self->timers, &group->timer.heap);
    group_begin_to_forget(self, group);
    return true;
}

void group_on_timer(core_t *self, struct group *group)
{
    if (!group->is_ended)
        group_cancel(self, group, "timeout.group", false);
    else if (!group_forget(self, group))
        core_set_timer(self, &group->timer, self->now + self->config.result_ttl_ms + 1);
}

/* A group in a group that spares what runs does the same; anything else that runs is left alone. */
static void spare(core_t *self, struct group *group, struct job *job)
{
    ag_list_append(&group->swept, &job->member);
    if (job_is_place(job))
        group_cancel(self, job->extra->inside, "cancelled", true);
}

/* Cancel up to a slice of its jobs. True when none is left to tell. */
static bool sweep_cancel(core_t *self, struct group *group, int *left)
{
    for (; !ag_list_is_empty(&group->live) || sleep_wake_for_sweep(self, group); --*left) {
        struct job *job = AG_OWNER(group->live.next, struct job, member);

        if (*left == 0 || !core_has_room(self, SWEEP_EFFECTS))
            return false;
        if (job->state == JOB_CANCELLING) /* it was spared once, and told since */
            ag_list_append(&group->swept, &job->member);
        else if (group->spares && (job->state == JOB_RUNNING || job_is_place(job)))
            spare(self, group, job);
        else
            job_cancel(self, job);
    }
    return true;
}

/* A reader has taken everything up to this member: it needs not be kept. */
void group_release(core_t *self, struct group *group, const struct job *last)
{
    while (group->released_count < group->ended_count) {
        struct job *job = group->ended[group->released_count];
        bool is_last = job == last;

        group->ended[group->released_count++] = NULL;
        job_forget(self, job);
        if (is_last)
            return;
    }
}

static bool sweep_forget(core_t *self, struct group *group, int *left)
{
    for (; group->ended_count > group->released_count; --*left) {
        struct job *job = group->ended[group->ended_count - 1];

        if (*left == 0 || !core_has_room(self, 1 + WATCHES_MAX))
            return false;
        group->ended_count--;
        if (job != NULL) /* else its reader has released it */
            job_forget(self, job);
    }
    return true;
}

/* Nothing is left of it: the store need not keep anything for its jobs any more. */
static void free_forgotten(core_t *self, struct group *group)
{
    struct effect *effect = core_journal_forget(self, SUBJECT_GROUP, &group->node.id);

    effect->journal.number = effect->journal.ended = group->number;
    group_free(self, group);
}

void group_sweep(core_t *self)
{
    int left = SLICE;

    while (!ag_list_is_empty(&self->sweeps)) {
        struct group *group = AG_OWNER(self->sweeps.next, struct group, sweep);
        bool done = group->is_forgotten ? sweep_forget(self, group, &left)
                                        : sweep_cancel(self, group, &left);

        if (!done) {
            self->unfinished = true;
            return;
        }
        ag_link_remove(&group->sweep);
        if (group->is_forgotten)
            free_forgotten(self, group);
    }
}
