/* Keys: what jobs of the whole fleet share a limit by, for example the host they fetch from. */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/assert.h"

struct key *key_of(core_t *self, struct ag_bytes text)
{
    struct ag_id id;
    struct ag_map_node *node = text_find(&self->keys, text, offsetof(struct key, text), &id);
    struct key *key;

    if (node != NULL) {
        key = AG_OWNER(node, struct key, node);
        key->refs++;
        return key;
    }
    key = calloc(1, sizeof *key + text.size + 1);
    if (key == NULL)
        return NULL;
    memcpy(key->text, text.data, text.size);
    key->node.id = id;
    key->refs = 1;
    key->timer.owner = TIMER_KEY;
    ag_link_init(&key->waiting);
    ag_map_add(&self->keys, &key->node);
    return key;
}

void key_ref(struct key *key)
{
    key->refs++;
}

/* A key that is closed outlives its jobs: the next one with it has to wait as well. */
void key_unref(core_t *self, struct key *key)
{
    AG_ASSERT(key->refs > 0);
    if (--key->refs > 0)
        return;
    if (key->open_at > self->now) {
        core_set_timer(self, &key->timer, key->open_at);
        return;
    }
    ag_heap_stop(&self->timers, &key->timer.heap);
    ag_map_remove(&self->keys, &key->node);
    free(key);
}

enum core_reason key_blocked(const core_t *self, const struct job *job)
{
    const struct key *key = job->key;

    if (key == NULL)
        return REASON_NONE;
    if (job->key_max > 0 && key->running >= job->key_max + PLANTED(KEY_PLUS_ONE))
        return REASON_KEY_LIMIT;
    return key->open_at > self->now ? REASON_KEY_CLOSED : REASON_NONE;
}

/* It is its turn, but its key says no: it waits there, so that its lane goes on. */
void key_park(core_t *self, struct job *job)
{
    struct key *key = job->key;

    lane_leave(self, job);
    ag_list_append(&key->waiting, &job->link);
    lane_update(self, job->lane);
    if (key->open_at > self->now)
        core_set_timer(self, &key->timer, key->open_at);
}

/* The first that waits may try again, if the key allows it; it is the next of its lane. When it
 * begins, or is cancelled, it wakes the next. */
static void wake(core_t *self, struct key *key)
{
    struct job *job;

    if (ag_list_is_empty(&key->waiting))
        return;
    job = AG_OWNER(key->waiting.next, struct job, link);
    if (key_blocked(self, job) == REASON_NONE) {
        lane_prepend(self, job->lane, job);
    } else if (key->open_at > self->now) {
        core_set_timer(self, &key->timer, key->open_at);
    }
}

void key_on_begin(core_t *self, struct job *job)
{
    struct key *key = job->key;

    if (key == NULL)
        return;
    key->running++;
    if (job->key_delay_ms > 0)
        key_close(self, key, job->key_delay_ms);
}

/* It has left this state. */
void key_on_leave(core_t *self, struct job *job, enum job_state from)
{
    struct key *key = job->key;

    if (key == NULL)
        return;
    if (from == JOB_RUNNING || from == JOB_CANCELLING) {
        AG_ASSERT(key->running > 0);
        key->running--;
    }
    wake(self, key);
}

void key_close(core_t *self, struct key *key, uint32_t ms)
{
    if (self->now + ms > key->open_at)
        key->open_at = self->now + ms;
    if (!ag_list_is_empty(&key->waiting))
        core_set_timer(self, &key->timer, key->open_at);
}

void key_on_timer(core_t *self, struct key *key)
{
    if (key->refs > 0) {
        wake(self, key);
        return;
    }
    if (key->open_at > self->now) {
        core_set_timer(self, &key->timer, key->open_at);
        return;
    }
    ag_map_remove(&self->keys, &key->node);
    free(key);
}
