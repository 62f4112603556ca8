/* Who runs next, and where: kinds take from their lanes in turn, the most urgent first, and give to
 * workers with free slots in turn; when all slots are taken, to those that read ahead. */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/assert.h"

/* ---- offers ------------------------------------------------------------------------------------
 */

static bool takes_anything(const struct session *worker)
{
    return worker->is_known && worker->alone == NULL && !worker->is_reserved &&
           !worker->is_draining;
}

/* A lane that found no worker with its tags looks again when one has room. */
static void match_again(struct offer *offer)
{
    struct kind *kind = offer->kind;
    struct ag_link *next;

    for (struct ag_link *at = kind->unmatched.next; at != &kind->unmatched; at = next) {
        struct lane *lane = AG_OWNER(at, struct lane, turn);

        next = at->next;
        if (tags_have(offer->worker->tags, lane->requires))
            ag_list_append(&kind->lanes[lane->priority], &lane->turn);
    }
}

/* After what it holds, its credit or its worker has changed. */
static void offer_update(struct offer *offer)
{
    struct kind *kind = offer->kind;
    bool has_room = offer->held < offer->credit && takes_anything(offer->worker);
    bool is_idle = has_room && offer->held < offer->slots;
    bool was_listed = ag_link_is_listed(&offer->idle);

    if (offer->is_idle != is_idle)
        kind->idle_count += is_idle ? 1 : -1u;
    if (!has_room)
        ag_link_remove(&offer->idle);
    else if (!was_listed || offer->is_idle != is_idle)
        ag_list_append(is_idle ? &kind->idle : &kind->ahead, &offer->idle);
    offer->is_idle = is_idle;
    if (has_room && !ag_list_is_empty(&kind->unmatched))
        match_again(offer);
}

void offer_hold(struct offer *offer)
{
    offer->kind->ahead_count += offer->held >= offer->slots;
    offer->held++;
    offer_update(offer);
}

void offer_release(struct offer *offer)
{
    AG_ASSERT(offer->held > 0);
    offer->held--;
    offer->kind->ahead_count -= offer->held >= offer->slots;
    offer_update(offer);
}

void worker_update(struct session *worker)
{
    for (uint32_t i = 0; i < worker->offers_count; i++)
        offer_update(&worker->offers[i]);
}

/* ---- suspects ----------------------------------------------------------------------------------
 */

/* Its workers were lost: the next one runs nothing beside it, so that no neighbour is blamed. */
static struct offer *empty_offer(struct kind *kind, const struct lane *lane, struct offer **fullest)
{
    *fullest = NULL;
    for (struct ag_link *at = kind->offers.next; at != &kind->offers; at = at->next) {
        struct offer *offer = AG_OWNER(at, struct offer, of_kind);
        struct session *worker = offer->worker;

        if (offer->credit == 0 || worker->alone != NULL || worker->is_draining ||
            !tags_have(worker->tags, lane->requires))
            continue;
        if (ag_list_is_empty(&worker->held))
            return offer;
        if (*fullest == NULL)
            *fullest = offer;
    }
    return NULL;
}

static void reserve(struct kind *kind, struct session *worker)
{
    if (kind->reserved != NULL) {
        kind->reserved->is_reserved = false;
        worker_update(kind->reserved);
    }
    kind->reserved = worker;
    if (worker != NULL) {
        worker->is_reserved = true;
        worker_update(worker);
    }
}

static void dispatch_suspects(core_t *self, struct kind *kind)
{
    struct ag_link *next;
    struct offer *fullest = NULL;
    int looked = 0;

    for (struct ag_link *at = kind->suspects.next;
         at != &kind->suspects && looked < SUSPECTS_LOOKED_AT; at = next, looked++) {
        struct job *job = AG_OWNER(at, struct job, link);
        struct offer *offer;

        next = at->next;
        if (job->is_away || lane_blocked(self, job->lane) != REASON_NONE ||
            key_blocked(self, job) != REASON_NONE)
            continue;
        offer = empty_offer(kind, job->lane, &fullest);
        if (offer == NULL)
            break;
        if (!core_has_room(self, 3) || !lease_take(self, job, offer))
            return;
        if (offer->worker->is_reserved)
            reserve(kind, NULL);
        offer->worker->alone = job;
        worker_update(offer->worker);
        fullest = NULL;
    }
    if (ag_list_is_empty(&kind->suspects))
        reserve(kind, NULL);
    else if (kind->reserved == NULL && fullest != NULL && !fullest->worker->is_reserved)
        reserve(kind, fullest->worker);
}

/* ---- lanes -------------------------------------------------------------------------------------
 */

static struct lane *next_lane(const struct kind *kind)
{
    for (int i = 0; i < AG_PRIORITIES; i++)
        if (!ag_list_is_empty(&kind->lanes[i]))
            return AG_OWNER(kind->lanes[i].next, struct lane, turn);
    return NULL;
}

/* A worker with room that has the lane's tags: idle ones first. */
static struct offer *offer_for(struct kind *kind, const struct lane *lane)
{
    struct ag_link *const lists[] = {&kind->idle, &kind->ahead};

    for (int i = 0; i < 2; i++)
        for (struct ag_link *at = lists[i]->next; at != lists[i]; at = at->next) {
            struct offer *offer = AG_OWNER(at, struct offer, idle);

            if (lane->requires[0] == '\0' || tags_have(offer->worker->tags, lane->requires))
                return offer;
        }
    return NULL;
}

/* How many a worker gets before it is the next one's turn: an even share of what waits among the
 * `turns` workers left in this round, so that one message carries many and no worker is left idle.
 */
static uint32_t share(const struct kind *kind, const struct offer *offer, uint32_t turns)
{
    uint32_t top = offer->is_idle && offer->slots < offer->credit ? offer->slots : offer->credit;
    uint32_t room = top - offer->held;
    uint64_t even = (kind->queued + turns - 1) / turns;

    if (room > AG_MESSAGE_ITEMS_MAX)
        room = AG_MESSAGE_ITEMS_MAX;
    return even < room ? (uint32_t)even : room;
}

enum given { GIVEN, PARKED, NO_MEMORY };

/* Give the lane's next job to this worker. */
static enum given give_one(core_t *self, struct lane *lane, struct offer *offer)
{
    struct job *job = AG_OWNER(lane->jobs.next, struct job, link);

    if (key_blocked(self, job) != REASON_NONE) {
        key_park(self, job);
        return PARKED;
    }
    /* the others first, next time */
    ag_list_append(&lane->kind->lanes[lane->priority], &lane->turn);
    return lease_take(self, job, offer) ? GIVEN : NO_MEMORY;
}

/* One worker's turn. False when the step is over. */
static bool fill(core_t *self, struct kind *kind, struct offer *offer, uint32_t n, int *left)
{
    struct lane *lane;

    while (n > 0 && (lane = next_lane(kind)) != NULL) {
        enum given given;

        if (lane->requires[0] != '\0' && !tags_have(offer->worker->tags, lane->requires))
            return true;
        if (*left == 0 || !core_has_room(self, 3)) {
            self->unfinished = true;
            return false;
        }
        --*left;
        given = give_one(self, lane, offer);
        if (given == NO_MEMORY)
            return false; /* the next event tries again */
        n -= given == GIVEN;
    }
    return true;
}

static void dispatch_lanes(core_t *self, struct kind *kind, int *left)
{
    uint32_t turns = kind->idle_count > 0 ? kind->idle_count : 1;
    struct lane *lane;

    while ((lane = next_lane(kind)) != NULL &&
           !(ag_list_is_empty(&kind->idle) && ag_list_is_empty(&kind->ahead))) {
        struct offer *offer = offer_for(kind, lane);
        uint32_t n;

        if (offer == NULL) {
            ag_list_append(&kind->unmatched, &lane->turn);
            continue;
        }
        n = share(kind, offer, turns);
        turns = turns > 1 ? turns - 1 : kind->idle_count > 0 ? kind->idle_count : 1;
        /* the others first, next time */
        ag_list_append(offer->is_idle ? &kind->idle : &kind->ahead, &offer->idle);
        if (!fill(self, kind, offer, n > 0 ? n : 1, left))
            return;
    }
}

/* ---- recall ------------------------------------------------------------------------------------
 */

static uint32_t free_slots(const struct kind *kind)
{
    uint32_t free = 0;

    for (struct ag_link *at = kind->idle.next; at != &kind->idle; at = at->next) {
        const struct offer *offer = AG_OWNER(at, struct offer, idle);

        free += (offer->credit < offer->slots ? offer->credit : offer->slots) - offer->held;
    }
    return free;
}

/* Ask one worker for its newest attempts beyond its slots. */
static uint32_t recall_from(core_t *self, struct offer *offer, uint32_t wanted)
{
    struct session *worker = offer->worker;
    uint32_t beyond = offer->held - offer->slots, asked = 0;

    for (struct ag_link *at = worker->held.prev;
         at != &worker->held && beyond > 0 && asked < wanted; at = at->prev) {
        struct job *job = AG_OWNER(at, struct job, link);

        if (job->lane->kind != offer->kind)
            continue;
        beyond--;
        if (job->is_recalled || job->state != JOB_RUNNING || !core_has_room(self, 1))
            continue;
        job->is_recalled = true;
        offer->kind->recalled_count++;
        self->counters.recalled++;
        core_emit(self, EFFECT_RECALL, worker->peer)->token = job_token(job);
        asked++;
    }
    return asked;
}

/* Nothing waits here, a worker is idle, and another one holds more than it can begin: what it has
 * not begun comes back, to be given to the idle one. */
static void recall(core_t *self, struct kind *kind)
{
    uint32_t wanted;

    if (kind->ahead_count == 0 || kind->idle_count == 0 || kind->queued > 0)
        return;
    wanted = free_slots(kind);
    wanted -= wanted < kind->recalled_count ? wanted : kind->recalled_count;
    for (struct ag_link *at = kind->offers.next; at != &kind->offers && wanted > 0; at = at->next) {
        struct offer *offer = AG_OWNER(at, struct offer, of_kind);

        if (offer->held > offer->slots)
            wanted -= recall_from(self, offer, wanted);
    }
}

/* ---- the turn ----------------------------------------------------------------------------------
 */

void dispatch(core_t *self)
{
    int left = SLICE;

    for (struct ag_link *at = self->kinds.next; at != &self->kinds; at = at->next) {
        struct kind *kind = AG_OWNER(at, struct kind, all);

        /* Results need room too: a store that is full of what nobody has read takes no more. */
        if (self->stopping || !recovery_is_over(self) || self->bytes >= self->config.bytes_max)
            continue;
        if (!ag_list_is_empty(&kind->suspects) || kind->reserved != NULL)
            dispatch_suspects(self, kind);
        dispatch_lanes(self, kind, &left);
        recall(self, kind);
    }
}
