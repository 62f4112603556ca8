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
    ag_link_init(&group->stopping);
    ag_link_init(&group->lanes);
    ag_link_init(&group->watches);
    ag_link_init(&group->sweep);
    group->timer.owner = TIMER_GROUP;
    group->policy = spec->policy;
    group->failures_max = spec->failures_max;
    group->concurrency = spec->concurrency;
    group->failure = "";
    return group;
}

/* Its jobs and watches are gone already. */
void group_free(struct group *group)
{
    while (!ag_list_is_empty(&group->lanes)) {
        struct lane *lane = AG_OWNER(group->lanes.next, struct lane, of_group);

        ag_link_remove(&lane->of_group);
        ag_link_remove(&lane->turn);
        free(lane);
    }
    free(group->ended);
    free(group->name);
    free(group);
}

void group_accept(core_t *self, struct group *group, uint32_t deadline_ms)
{
    char id[AG_ID_TEXT_SIZE];

    ag_map_add(&self->groups, &group->node);
    group->accepted_at = self->now;
    if (deadline_ms > 0)
        core_set_timer(self, &group->timer, self->now + deadline_ms);
    core_journal(self, RECORD_GROUP, NULL, group);
    core_tracef(self, "        group %s: open", ag_id_print(&group->node.id, id));
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

static void update_lanes(struct group *group)
{
    for (struct ag_link *at = group->lanes.next; at != &group->lanes; at = at->next)
        lane_update(AG_OWNER(at, struct lane, of_group));
}

/* One job more (1) or less (-1) is in this state. */
void group_count(struct group *group, enum job_state state, int by)
{
    *counter_of(group, state) += (uint64_t)(int64_t)by;
    if (group->concurrency > 0 && (state == JOB_RUNNING || state == JOB_CANCELLING))
        update_lanes(group);
}

static void end_if_done(core_t *self, struct group *group)
{
    char id[AG_ID_TEXT_SIZE];

    if (!group->sealed || group->is_ended || group->ended_count < group->counts.total)
        return;
    group->is_ended = true;
    group->ended_at = self->now;
    group->ended_record = core_journal(self, RECORD_ENDED, NULL, group);
    core_set_timer(self, &group->timer, self->now + self->config.result_ttl_ms);
    for (struct ag_link *at = group->watches.next; at != &group->watches; at = at->next)
        watch_due(self, AG_OWNER(at, struct watch, of_target));
    core_tracef(self, "        group %s: ended", ag_id_print(&group->node.id, id));
}

void group_on_job_end(core_t *self, struct group *group, struct job *job)
{
    AG_ASSERT(group->ended_count < group->ended_capacity);
    group->ended[group->ended_count++] = job;
    for (struct ag_link *at = group->watches.next; at != &group->watches; at = at->next)
        watch_due(self, AG_OWNER(at, struct watch, of_target));
    if (job->state == JOB_FAILED && group->policy == PROTO_TASKGROUP &&
        group->counts.failed > group->failures_max)
        group_cancel(self, group, "");
    end_if_done(self, group);
}

void group_seal(core_t *self, struct group *group)
{
    if (group->sealed)
        return;
    group->sealed = true;
    core_journal(self, RECORD_SEAL, NULL, group);
    end_if_done(self, group);
}

/* Nothing of it begins from now on; the sweep ends what waits and stops what runs. `failure` is a
 * constant: why, or "" when its own children's failures are the reason. */
void group_cancel(core_t *self, struct group *group, const char *failure)
{
    char id[AG_ID_TEXT_SIZE];

    if (group->cancelling || group->is_ended)
        return;
    group->cancelling = true;
    group->failure = failure;
    core_journal(self, RECORD_STOP, NULL, group);
    core_tracef(self, "        group %s: cancelling", ag_id_print(&group->node.id, id));
    update_lanes(group);
    ag_list_append(&self->sweeps, &group->sweep);
}

/* After its time nobody remembers it: out of the table at once, its jobs slice by slice. */
static void begin_to_forget(core_t *self, struct group *group)
{
    core_journal(self, RECORD_FORGET, NULL, group);
    group->is_forgotten = true;
    ag_map_remove(&self->groups, &group->node);
    ag_list_append(&self->sweeps, &group->sweep);
}

void group_on_timer(core_t *self, struct group *group)
{
    if (!group->is_ended)
        group_cancel(self, group, "timeout.group");
    else if (!ag_list_is_empty(&group->watches)) /* someone is still reading */
        core_set_timer(self, &group->timer, self->now + self->config.result_ttl_ms);
    else
        begin_to_forget(self, group);
}

/* Cancel up to a slice of its jobs. True when none is left to tell. */
static bool sweep_cancel(core_t *self, struct group *group, int *left)
{
    for (; !ag_list_is_empty(&group->live); --*left) {
        if (*left == 0 || !core_has_room(self, 4))
            return false;
        job_cancel(self, AG_OWNER(group->live.next, struct job, member));
    }
    return true;
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
            group_free(group);
    }
}
