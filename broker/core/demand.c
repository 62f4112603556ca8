/* What waits and who could take it: the jobs of one kind that require the same tags. That no worker
 * could take them is no error, they wait; but after a time somebody should hear of it. */
#include <stdlib.h>

#include "broker/core/state.h"

static uint64_t workers_for(const struct kind *kind, const char *requires)
{
    uint64_t count = 0;

    for (struct ag_link *at = kind->offers.next; at != &kind->offers; at = at->next) {
        const struct session *worker = AG_OWNER(at, struct offer, of_kind)->worker;

        count += !worker->is_draining && tags_have(worker->tags, requires);
    }
    return count;
}

static struct demand *demand_new(struct kind *kind, struct ag_bytes requires)
{
    struct demand *demand = calloc(1, sizeof *demand);

    if (demand == NULL || (demand->requires = name_new(requires)) == NULL) {
        free(demand);
        return NULL;
    }
    ag_link_init(&demand->of_kind);
    ag_link_init(&demand->unserved);
    demand->kind = kind;
    demand->workers = workers_for(kind, demand->requires->text);
    return demand;
}

struct demand *demand_of(struct kind *kind, struct ag_bytes requires)
{
    struct demand *demand = NULL;

    for (struct ag_link *at = kind->demands.next; at != &kind->demands; at = at->next)
        if (ag_bytes_are(requires, AG_OWNER(at, struct demand, of_kind)->requires->text)) {
            demand = AG_OWNER(at, struct demand, of_kind);
            break;
        }
    if (demand == NULL && (demand = demand_new(kind, requires)) == NULL)
        return NULL;
    ag_list_prepend(&kind->demands, &demand->of_kind); /* most lanes are like the one before */
    demand->lanes++;
    return demand;
}

void demand_unref(struct demand *demand)
{
    if (--demand->lanes > 0)
        return;
    ag_link_remove(&demand->of_kind);
    ag_link_remove(&demand->unserved);
    name_unref(&demand->requires);
    free(demand);
}

/* ---- the alarm ---------------------------------------------------------------------------------
 */

static void tell(core_t *self, const struct demand *demand, const char *state)
{
    core_tracef(self, "        kind %s requires '%s': %s", demand->kind->name,
                demand->requires->text, state);
    happen_kind(self, demand->kind, state, demand->requires);
}

/* After what waits, or who could take it, has changed. */
static void update(core_t *self, struct demand *demand)
{
    bool is_unserved = demand->queued > 0 && demand->workers == 0;

    if (is_unserved == demand->is_unserved)
        return;
    demand->is_unserved = is_unserved;
    if (is_unserved) {
        demand->unserved_since = self->now;
        ag_list_append(&self->unserved, &demand->unserved);
        if (self->alarm.heap.place == 0)
            core_set_timer(self, &self->alarm, self->now + UNSERVED_MS);
        return;
    }
    ag_link_remove(&demand->unserved);
    if (demand->is_alarmed)
        tell(self, demand, demand->workers > 0 ? "served" : "emptied");
    demand->is_alarmed = false;
}

static void sound(core_t *self, struct demand *demand)
{
    struct effect *effect = core_emit(self, EFFECT_ALARM, 0);

    /* Both texts stay until the next step: something of it is queued, and keeps its lane. */
    effect->alarm.kind = demand->kind->name;
    effect->alarm.requires = demand->requires->text;
    effect->alarm.queued = demand->queued;
    effect->alarm.unserved_ms = self->now - demand->unserved_since;
    demand->is_alarmed = true;
    tell(self, demand, "unserved");
}

/* The list is in the order of time: who has waited longest is the first. */
void demand_on_timer(core_t *self)
{
    while (!ag_list_is_empty(&self->unserved)) {
        struct demand *demand = AG_OWNER(self->unserved.next, struct demand, unserved);
        int64_t due = demand->unserved_since + UNSERVED_MS;

        if (due > self->now || !core_has_room(self, 1)) {
            core_set_timer(self, &self->alarm, due);
            return;
        }
        ag_link_remove(&demand->unserved);
        sound(self, demand);
    }
}

/* ---- what changes it ---------------------------------------------------------------------------
 */

void demand_queue(core_t *self, struct lane *lane, int by)
{
    lane->queued += (uint64_t)(int64_t)by;
    lane->demand->queued += (uint64_t)(int64_t)by;
    update(self, lane->demand);
}

void demand_offer(core_t *self, const struct offer *offer, int by)
{
    struct kind *kind = offer->kind;

    for (struct ag_link *at = kind->demands.next; at != &kind->demands; at = at->next) {
        struct demand *demand = AG_OWNER(at, struct demand, of_kind);

        if (!tags_have(offer->worker->tags, demand->requires->text))
            continue;
        demand->workers += (uint64_t)(int64_t)by;
        update(self, demand);
    }
}

/* ---- checking ----------------------------------------------------------------------------------
 */

static const char *check_one(const struct kind *kind, const struct demand *demand)
{
    if (demand->workers != workers_for(kind, demand->requires->text))
        return "a demand counts the workers that could take it";
    if (demand->is_unserved != (demand->queued > 0 && demand->workers == 0))
        return "a demand knows when nobody can take it";
    if (demand->is_alarmed && !demand->is_unserved)
        return "an alarm ends when what waits is taken or gone";
    if (ag_link_is_listed(&demand->unserved) != (demand->is_unserved && !demand->is_alarmed))
        return "what nobody can take has its alarm before it, or behind it";
    return NULL;
}

const char *demand_broken_invariant(const core_t *self, const struct kind *kind)
{
    const char *broken = NULL;
    uint64_t queued = 0;

    for (struct ag_link *at = kind->demands.next; at != &kind->demands && broken == NULL;
         at = at->next) {
        const struct demand *demand = AG_OWNER(at, struct demand, of_kind);

        queued += demand->queued;
        broken = check_one(kind, demand);
    }
    if (broken == NULL && queued != kind->queued)
        return "a kind's demands are all that is queued";
    if (broken == NULL && !ag_list_is_empty(&self->unserved) && self->alarm.heap.place == 0)
        return "an alarm comes some day";
    return broken;
}
