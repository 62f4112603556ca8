/* Where jobs wait: kinds, queues and lanes, and what keeps a lane from its turn. */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/assert.h"

/* ---- kinds and queues --------------------------------------------------------------------------
 */

struct kind *kind_find(const core_t *self, struct ag_bytes name)
{
    for (struct ag_link *at = self->kinds.next; at != &self->kinds; at = at->next) {
        struct kind *kind = AG_OWNER(at, struct kind, all);

        if (ag_bytes_are(name, kind->name))
            return kind;
    }
    return NULL;
}

struct kind *kind_of(core_t *self, struct ag_bytes name)
{
    struct kind *kind = kind_find(self, name);

    if (kind != NULL)
        return kind;
    AG_ASSERT(name.size <= AG_NAME_BYTES_MAX);
    if (self->kinds_count >= KINDS_MAX || (kind = calloc(1, sizeof *kind)) == NULL)
        return NULL;
    memcpy(kind->name, name.data, name.size);
    ag_link_init(&kind->all);
    for (int i = 0; i < AG_PRIORITIES; i++)
        ag_link_init(&kind->lanes[i]);
    ag_link_init(&kind->unmatched);
    ag_link_init(&kind->suspects);
    ag_link_init(&kind->offers);
    ag_link_init(&kind->demands);
    ag_link_init(&kind->idle);
    ag_link_init(&kind->ahead);
    ag_list_append(&self->kinds, &kind->all);
    self->kinds_count++;
    return kind;
}

struct queue *queue_find(const core_t *self, struct ag_bytes name)
{
    for (struct ag_link *at = self->queues.next; at != &self->queues; at = at->next) {
        struct queue *queue = AG_OWNER(at, struct queue, all);

        if (ag_bytes_are(name, queue->name))
            return queue;
    }
    return NULL;
}

struct queue *queue_of(core_t *self, struct ag_bytes name)
{
    struct queue *queue = queue_find(self, name);

    if (queue != NULL)
        return queue;
    AG_ASSERT(name.size <= AG_NAME_BYTES_MAX);
    if (self->queues_count >= QUEUES_MAX || (queue = calloc(1, sizeof *queue)) == NULL)
        return NULL;
    memcpy(queue->name, name.data, name.size);
    ag_link_init(&queue->all);
    ag_link_init(&queue->lanes);
    ag_list_append(&self->queues, &queue->all);
    self->queues_count++;
    return queue;
}

/* One job more (1) or less (-1) is in this state. */
void queue_count(struct queue *queue, enum job_state state, int by)
{
    if (state == JOB_RUNNING || state == JOB_CANCELLING)
        queue->running += (uint64_t)(int64_t)by;
    else if (state < JOB_SUCCEEDED)
        queue->waiting += (uint64_t)(int64_t)by;
}

/* A queue that somebody has called relaxed is so when that is durable: else a crash could forget
 * the order and what was told because of it. */
bool queue_is_relaxed(const core_t *self, const struct queue *queue)
{
    return (queue->relaxed && queue->record <= self->committed) || PLANTED(RELAXED_ALL);
}

/* ---- lanes -------------------------------------------------------------------------------------
 */

static bool is_lane(const struct lane *lane, const struct kind *kind, const struct queue *queue,
                    uint32_t priority, struct ag_bytes requires)
{
    return lane->kind == kind && lane->queue == queue && lane->priority == priority &&
           ag_bytes_are(requires, lane->requires);
}

static struct lane *lane_new(struct kind *kind, struct queue *queue, struct group *group,
                             uint32_t priority, struct ag_bytes requires)
{
    struct lane *lane = calloc(1, sizeof *lane + requires.size + 1);

    if (lane == NULL || (lane->demand = demand_of(kind, requires)) == NULL) {
        free(lane);
        return NULL;
    }
    ag_link_init(&lane->turn);
    ag_link_init(&lane->of_group);
    ag_link_init(&lane->of_queue);
    ag_link_init(&lane->jobs);
    ag_link_init(&lane->terms);
    ag_link_init(&lane->hungry);
    lane->kind = kind;
    lane->queue = queue;
    lane->group = group;
    lane->priority = priority;
    if (requires.size > 0)
        memcpy(lane->requires, requires.data, requires.size);
    return lane;
}

struct lane *lane_of(core_t *self, struct kind *kind, struct queue *queue, struct group *group,
                     uint32_t priority, struct ag_bytes requires)
{
    struct ag_link *list = group != NULL ? &group->lanes : &self->ungrouped;
    struct lane *lane;
    uint32_t count = 0;

    for (struct ag_link *at = list->next; at != list; at = at->next, count++) {
        lane = AG_OWNER(at, struct lane, of_group);
        if (is_lane(lane, kind, queue, priority, requires)) {
            ag_list_prepend(list, &lane->of_group); /* most jobs are like the one before */
            return lane;
        }
    }
    if (count >= LANES_MAX)
        return NULL;
    lane = lane_new(kind, queue, group, priority, requires);
    if (lane == NULL)
        return NULL;
    ag_list_prepend(list, &lane->of_group);
    ag_list_append(&queue->lanes, &lane->of_queue);
    return lane;
}

void lane_free(struct lane *lane)
{
    ag_link_remove(&lane->of_group);
    ag_link_remove(&lane->of_queue);
    ag_link_remove(&lane->turn);
    ag_link_remove(&lane->hungry);
    demand_unref(lane->demand);
    free(lane);
}

/* What keeps all of it from beginning, apart from a lack of workers. */
enum core_reason lane_blocked(const core_t *self, const struct lane *lane)
{
    const struct group *group = lane->group;
    const struct queue *queue = lane->queue;

    if (queue->paused)
        return REASON_PAUSED;
    if (queue->limit > 0 && queue->running >= queue->limit)
        return REASON_QUEUE_LIMIT;
    if (group == NULL)
        return REASON_NONE;
    if (group->cancelling)
        return REASON_CANCELLING;
    if (group->concurrency > 0 &&
        group->counts.running >= group->concurrency + PLANTED(LIMIT_PLUS_ONE))
        return REASON_GROUP_LIMIT;
    if (group->rate_per_minute > 0 && group->rate_at_us > 1000 * self->now)
        return REASON_GROUP_RATE;
    return REASON_NONE;
}

/* Its first job could begin now, were there a worker. */
bool lane_may_begin(const core_t *self, const struct lane *lane)
{
    return !ag_list_is_empty(&lane->jobs) &&
           !AG_OWNER(lane->jobs.next, struct job, link)->is_away &&
           lane_blocked(self, lane) == REASON_NONE;
}

void lane_append(core_t *self, struct lane *lane, struct job *job)
{
    ag_list_append(&lane->jobs, &job->link);
    job->in_lane = true;
    lane->awake++;
    sleep_want_payload(self, job);
    lane_update(self, lane);
}

void lane_prepend(core_t *self, struct lane *lane, struct job *job)
{
    ag_list_prepend(&lane->jobs, &job->link);
    job->in_lane = true;
    lane->awake++;
    lane_update(self, lane);
}

/* Its link is the caller's to remove. */
void lane_leave(core_t *self, struct job *job)
{
    if (!job->in_lane)
        return;
    job->in_lane = false;
    job->lane->awake--;
    sleep_on_room(self, job->lane);
}

/* After its jobs, its queue's or its group's limits have changed. */
void lane_update(core_t *self, struct lane *lane)
{
    bool may = lane_may_begin(self, lane);

    if (may && !ag_link_is_listed(&lane->turn))
        ag_list_append(&lane->kind->lanes[lane->priority], &lane->turn);
    else if (!may)
        ag_link_remove(&lane->turn);
}

void queue_update(core_t *self, struct queue *queue)
{
    for (struct ag_link *at = queue->lanes.next; at != &queue->lanes; at = at->next)
        lane_update(self, AG_OWNER(at, struct lane, of_queue));
}
