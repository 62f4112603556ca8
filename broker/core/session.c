/* Peers: who is there, and what happens when they come, come back, leave or fall silent. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/assert.h"

struct session *session_find(const core_t *self, const struct ag_id *instance)
{
    struct ag_map_node *node = ag_map_find(&self->sessions, instance);

    return node ? AG_OWNER(node, struct session, node) : NULL;
}

static void reject(core_t *self, uint32_t peer, const char *type, const char *message)
{
    struct effect *effect = core_emit(self, EFFECT_REJECT, peer);

    effect->reject.type = type;
    effect->reject.message = message;
    effect->reject.about = AG_HELLO;
    self->counters.rejected++;
    core_tracef(self, "        %s", type);
}

static void session_free(struct session *session)
{
    name_unref(&session->name);
    free(session->host);
    free(session->software);
    free(session->tags);
    free(session->offers);
    free(session);
}

static char *join_tags(const struct proto_hello *hello, bool *failed)
{
    struct ag_buffer buffer = ag_buffer_empty(AG_TAGS_MAX * (AG_NAME_BYTES_MAX + 1) + 1);
    size_t size;
    char *text;

    for (uint32_t i = 0; i < hello->tags_count; i++) {
        ag_buffer_text(&buffer, i > 0 ? "," : "");
        ag_buffer_append(&buffer, hello->tags[i].data, hello->tags[i].size);
    }
    ag_buffer_append(&buffer, "", 1);
    text = (char *)ag_buffer_take(&buffer, &size);
    *failed = *failed || text == NULL;
    return text;
}

static int make_offers(core_t *self, struct session *session, const struct proto_hello *hello)
{
    session->offers = calloc(hello->kinds_count + 1, sizeof *session->offers);
    if (session->offers == NULL)
        return ARGOSY_ENOMEM;
    for (uint32_t i = 0; i < hello->kinds_count; i++) {
        struct kind *kind = kind_of(self, hello->kinds[i].name);
        struct offer *offer = &session->offers[session->offers_count];

        if (kind == NULL)
            return ARGOSY_ENOMEM;
        if (offer_of(session, kind) != NULL)
            continue; /* named twice */
        *offer = (struct offer){.worker = session, .kind = kind, .slots = hello->kinds[i].count};
        ag_link_init(&offer->idle);
        ag_link_init(&offer->of_kind);
        session->offers_count++;
    }
    return 0;
}

static struct session *session_new(core_t *self, const struct proto_hello *hello)
{
    struct session *session = calloc(1, sizeof *session);
    bool failed = false;

    if (session == NULL)
        return NULL;
    session->node.id = hello->instance;
    session->timer.owner = TIMER_SESSION;
    session->role = hello->role;
    ag_link_init(&session->all);
    ag_link_init(&session->held);
    ag_link_init(&session->watches);
    session->name = name_new(hello->name);
    session->host = text_copy(hello->host, &failed);
    session->software = text_copy(hello->software, &failed);
    session->tags = join_tags(hello, &failed);
    if (failed || session->name == NULL || make_offers(self, session, hello) < 0) {
        session_free(session);
        return NULL;
    }
    return session;
}

/* An attempt that an earlier life of the broker gave to this worker, of a job that nobody has taken
 * up since. */
static bool may_be_adopted(const core_t *self, const struct job *job, struct session *worker,
                           const struct proto_token *token)
{
    return job != NULL && job->worker == NULL && token->epoch < self->config.epoch &&
           token->attempt > job->attempt && offer_of(worker, job->lane->kind) != NULL &&
           (job->state == JOB_QUEUED || job->state == JOB_SCHEDULED ||
            job->state == JOB_CANCELLING);
}

/* Settle what the worker says it still has with what it should have. */
static void settle(core_t *self, struct session *worker, struct ag_bytes holding)
{
    struct ag_link kept;
    struct proto_token token;

    ag_link_init(&kept);
    while (ag_proto_next_token(&holding, &token)) {
        struct job *job = job_find(self, &token.job);
        bool current;

        if (may_be_adopted(self, job, worker, &token))
            lease_adopt(self, job, worker, &token);
        current = job != NULL && job->worker == worker && job->attempt == token.attempt &&
                  job->epoch == token.epoch;
        if (current)
            ag_list_append(&kept, &job->link);
        if (!current || job->state == JOB_CANCELLING)
            core_emit(self, EFFECT_STOP, worker->peer)->token = token;
    }
    while (!ag_list_is_empty(&worker->held)) { /* what never arrived there, or whose end did */
        struct job *job = AG_OWNER(worker->held.next, struct job, link);

        core_tracef(self, "        not at the worker -> take it back");
        lease_take_back(self, job);
    }
    while (!ag_list_is_empty(&kept))
        ag_list_append(&worker->held, kept.next);
}

static void end_watches(struct session *client)
{
    while (!ag_list_is_empty(&client->watches))
        watch_destroy(AG_OWNER(client->watches.next, struct watch, of_session));
}

static void add_offer(core_t *self, struct offer *offer)
{
    offer->kind->offers_count++;
    ag_list_append(&offer->kind->offers, &offer->of_kind);
    demand_offer(self, offer, 1);
}

static void remove_offer(core_t *self, struct offer *offer)
{
    if (!offer->worker->is_draining)
        demand_offer(self, offer, -1);
    offer->kind->offers_count--;
    ag_link_remove(&offer->of_kind);
    if (offer->kind->reserved == offer->worker)
        offer->kind->reserved = NULL;
}

/* HELLO: a newcomer, or one that is known and comes from a new connection. */
int on_join(core_t *self, const struct core_event *event)
{
    const struct proto_hello *hello = event->hello;
    struct session *session = session_find(self, &hello->instance);
    struct effect *effect;

    if (!hello->speaks_ours) {
        reject(self, event->peer, "rejected.version", "this broker speaks version 1");
        return 0;
    }
    if (session != NULL && session->role != hello->role) {
        reject(self, event->peer, "rejected.role", "this instance is known in another role");
        return 0;
    }
    if (session == NULL) {
        if (self->sessions.count >= self->config.sessions_max) {
            reject(self, event->peer, "rejected.full", "too many peers");
            return 0;
        }
        if (core_reserve_timers(self, 1) < 0 || (session = session_new(self, hello)) == NULL)
            return ARGOSY_ENOMEM;
        for (uint32_t i = 0; i < session->offers_count; i++)
            add_offer(self, &session->offers[i]);
        ag_map_add(&self->sessions, &session->node);
        ag_list_append(&self->all_sessions, &session->all);
        *(hello->role == PROTO_WORKER ? &self->workers : &self->clients) += 1;
        self->counters.sessions++;
        if (session->role == PROTO_WORKER)
            recovery_on_join(self, session);
    } else if (hello->number <= session->hello) {
        core_tracef(self, "        an old HELLO -> ignore");
        self->counters.ignored++;
        return 0;
    } else if (session->peer != event->peer) {
        core_emit(self, EFFECT_CLOSE, session->peer);
    }
    session->peer = event->peer;
    session->hello = hello->number;
    session->heard_at = self->now;
    core_set_timer(self, &session->timer, self->now + SILENT_BEATS * self->config.heartbeat_ms);
    core_tracef(self, "        %s %s: welcome", hello->role == PROTO_WORKER ? "worker" : "client",
                session->name->text);
    if (session->role == PROTO_WORKER)
        happen(self, "worker", "joined", NULL, session->name);
    effect = core_emit(self, EFFECT_WELCOME, session->peer);
    effect->welcome.role = session->role;
    effect->welcome.instance = session->node.id;
    end_watches(session); /* it asks again, with its cursors */
    if (session->role == PROTO_WORKER)
        settle(self, session, hello->holding);
    return 0;
}

/* It is gone: what it holds is lost, what it watches is over. */
void session_end(core_t *self, struct session *session, const char *why)
{
    core_tracef(self, "        %s %s: %s", session->role == PROTO_WORKER ? "worker" : "client",
                session->name->text, why);
    core_emit(self, EFFECT_CLOSE, session->peer);
    for (uint32_t i = 0; i < session->offers_count; i++)
        session->offers[i].credit = 0;
    worker_update(session);
    while (!ag_list_is_empty(&session->held))
        lease_lose(self, AG_OWNER(session->held.next, struct job, link));
    for (uint32_t i = 0; i < session->offers_count; i++)
        remove_offer(self, &session->offers[i]);
    if (session->role == PROTO_WORKER)
        happen(self, "worker", why, NULL, session->name);
    end_watches(session);
    if (session->role == PROTO_WORKER)
        recovery_on_leave(self, session);
    *(session->role == PROTO_WORKER ? &self->workers : &self->clients) -= 1;
    ag_heap_stop(&self->timers, &session->timer.heap);
    ag_link_remove(&session->all);
    ag_map_remove(&self->sessions, &session->node);
    session_free(session);
}

void session_on_timer(core_t *self, struct session *session)
{
    int64_t until = session->heard_at + SILENT_BEATS * (int64_t)self->config.heartbeat_ms;

    if (until > self->now) { /* it has spoken since: look again then */
        core_set_timer(self, &session->timer, until);
        return;
    }
    if (session->role == PROTO_WORKER)
        self->counters.workers_lost++;
    session_end(self, session, "fell silent");
}
