/* Who runs next: kinds take from their lanes in turn and give to idle workers in turn. */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/assert.h"

struct kind *kind_find(const core_t *self, struct ag_bytes name)
{
    for (struct ag_link *at = self->kinds.next; at != &self->kinds; at = at->next) {
        struct kind *kind = AG_OWNER(at, struct kind, all);

        if (ag_bytes_are(name, kind->name))
            return kind;
    }
    return NULL;
}

static void lane_init(struct lane *lane, struct kind *kind, struct group *group)
{
    ag_link_init(&lane->turn);
    ag_link_init(&lane->of_group);
    ag_link_init(&lane->jobs);
    lane->kind = kind;
    lane->group = group;
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
    ag_link_init(&kind->lanes);
    ag_link_init(&kind->idle);
    lane_init(&kind->lane, kind, NULL);
    ag_list_append(&self->kinds, &kind->all);
    self->kinds_count++;
    return kind;
}

struct lane *lane_of(struct kind *kind, struct group *group)
{
    struct lane *lane;

    if (group == NULL)
        return &kind->lane;
    for (struct ag_link *at = group->lanes.next; at != &group->lanes; at = at->next) {
        lane = AG_OWNER(at, struct lane, of_group);
        if (lane->kind == kind)
            return lane;
    }
    lane = calloc(1, sizeof *lane);
    if (lane == NULL)
        return NULL;
    lane_init(lane, kind, group);
    ag_list_append(&group->lanes, &lane->of_group);
    return lane;
}

static bool may_run(const struct lane *lane)
{
    const struct group *group = lane->group;

    if (ag_list_is_empty(&lane->jobs))
        return false;
    if (group == NULL)
        return true;
    return !group->cancelling &&
           (group->concurrency == 0 || group->counts.running < group->concurrency);
}

/* After its jobs or its group's limits have changed. */
void lane_update(struct lane *lane)
{
    bool may = may_run(lane);

    if (may && !ag_link_is_listed(&lane->turn))
        ag_list_append(&lane->kind->lanes, &lane->turn);
    else if (!may)
        ag_link_remove(&lane->turn);
}

/* After what it holds or its credit has changed. */
void offer_update(struct offer *offer)
{
    bool idle = offer->held < offer->credit;

    if (idle == ag_link_is_listed(&offer->idle))
        return;
    if (idle)
        ag_list_append(&offer->kind->idle, &offer->idle);
    else
        ag_link_remove(&offer->idle);
    offer->kind->idle_count += idle ? 1 : -1u;
}

/* Give the next job of the next lane to this worker. False when memory is short: a job needs a
 * spare record for the case that its worker is lost. */
static bool give_one(core_t *self, struct kind *kind, struct offer *offer)
{
    struct lane *lane = AG_OWNER(kind->lanes.next, struct lane, turn);
    struct job *job = AG_OWNER(lane->jobs.next, struct job, link);

    if (job->spare == NULL && (job->spare = calloc(1, sizeof *job->spare)) == NULL)
        return false;
    ag_list_append(&kind->lanes, &lane->turn); /* the others first, next time */
    lease_take(self, job, offer);
    return true;
}

/* How many a worker gets before it is the next one's turn: an even share of what waits among the
 * `turns` workers left in this round, so that one message carries many and no worker is left idle.
 */
static uint32_t share(const struct kind *kind, const struct offer *offer, uint32_t turns)
{
    uint32_t spare = offer->credit - offer->held;
    uint64_t even = (kind->queued + turns - 1) / turns;

    if (spare > AG_MESSAGE_ITEMS_MAX)
        spare = AG_MESSAGE_ITEMS_MAX;
    return even < spare ? (uint32_t)even : spare;
}

static void dispatch_kind(core_t *self, struct kind *kind, int *left)
{
    uint32_t turns = kind->idle_count;

    while (!ag_list_is_empty(&kind->lanes) && !ag_list_is_empty(&kind->idle)) {
        struct offer *offer = AG_OWNER(kind->idle.next, struct offer, idle);
        uint32_t n = share(kind, offer, turns);

        turns = turns > 1 ? turns - 1 : kind->idle_count;
        ag_list_append(&kind->idle, &offer->idle); /* the others first, next time */
        for (; n > 0 && !ag_list_is_empty(&kind->lanes); n--) {
            if (*left == 0 || !core_has_room(self, 2)) {
                self->unfinished = true;
                return;
            }
            --*left;
            if (!give_one(self, kind, offer))
                return; /* the next event tries again */
        }
    }
}

void queue_dispatch(core_t *self)
{
    int left = SLICE;

    /* Results need room too: a store that is full of what nobody has read takes no more. */
    if (self->stopping || self->bytes >= self->config.bytes_max)
        return;
    for (struct ag_link *at = self->kinds.next; at != &self->kinds; at = at->next)
        dispatch_kind(self, AG_OWNER(at, struct kind, all), &left);
}
