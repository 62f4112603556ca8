/* After a restart: whom to wait for before anything begins.
 *
 * A worker gets jobs only when it is durably known, so a later life of the broker knows who may
 * still run something. Nothing begins before all of them have come back and said what they hold, or
 * have had the time that a silent worker has. */
#include <stdlib.h>

#include "broker/core/state.h"

struct awaited {
    struct ag_map_node node; /* by instance */
};

static struct awaited *find(core_t *self, const struct ag_id *instance)
{
    struct ag_map_node *node = ag_map_find(&self->awaited, instance);

    return node != NULL ? AG_OWNER(node, struct awaited, node) : NULL;
}

static void stop_waiting(core_t *self, struct awaited *awaited)
{
    if (awaited == NULL)
        return;
    ag_map_remove(&self->awaited, &awaited->node);
    free(awaited);
}

int recovery_await(core_t *self, const struct ag_id *instance)
{
    struct awaited *awaited;

    if (find(self, instance) != NULL)
        return 0;
    if ((awaited = malloc(sizeof *awaited)) == NULL)
        return ARGOSY_ENOMEM;
    awaited->node.id = *instance;
    ag_map_add(&self->awaited, &awaited->node);
    return 0;
}

void recovery_forget(core_t *self, const struct ag_id *instance)
{
    stop_waiting(self, find(self, instance));
}

void recovery_begin(core_t *self)
{
    if (self->awaited.count > 0)
        core_set_timer(self, &self->recovery,
                       self->now + SILENT_BEATS * (int64_t)self->config.heartbeat_ms);
}

bool recovery_is_over(const core_t *self)
{
    return self->recovery.heap.place == 0;
}

/* A worker that is durably known need not be written down again. */
void recovery_on_join(core_t *self, struct session *worker)
{
    struct awaited *awaited = find(self, &worker->node.id);

    if (awaited != NULL)
        worker->is_known = true;
    else
        worker->record = core_journal_worker(self, &worker->node.id, worker->name->text, false);
    self->unknown_workers += !worker->is_known;
    stop_waiting(self, awaited);
    if (self->awaited.count == 0)
        ag_heap_stop(&self->timers, &self->recovery.heap);
}

void recovery_on_leave(core_t *self, struct session *worker)
{
    self->unknown_workers -= !worker->is_known;
    core_journal_worker(self, &worker->node.id, worker->name->text, true);
}

/* Workers whose record has become durable may be given something. */
void recovery_on_commit(core_t *self)
{
    if (self->unknown_workers == 0)
        return;
    for (struct ag_link *at = self->all_sessions.next; at != &self->all_sessions; at = at->next) {
        struct session *session = AG_OWNER(at, struct session, all);

        if (session->role != PROTO_WORKER || session->is_known || session->record > self->committed)
            continue;
        session->is_known = true;
        self->unknown_workers--;
        worker_update(session);
    }
}

/* Whoever has not come back by now is lost, and needs not be waited for by a later life. */
void recovery_give_up(core_t *self)
{
    const struct ag_map_node *node;

    while (recovery_is_over(self) && self->awaited.count > 0 && core_has_room(self, 1)) {
        node = ag_map_next(&self->awaited, NULL);
        core_journal_worker(self, &node->id, "", true);
        recovery_forget(self, &node->id);
    }
}

void recovery_free(core_t *self)
{
    const struct ag_map_node *node;

    while (self->awaited.count > 0 && (node = ag_map_next(&self->awaited, NULL)) != NULL)
        recovery_forget(self, &node->id);
    ag_map_fini(&self->awaited);
}
