#include "broker/delivery.h"

#include <errno.h>
#include <msgpack/pack.h>
#include <stdlib.h>
#include <zmq.h>

#include "common/assert.h"
#include "common/clock.h"
#include "common/log.h"

enum {
    FULL_MAX = 64, /* remembered between two looks; others are found again by the next send */
    UNSENT_MAX =
        65536 /* likewise; others are lost when their worker has been silent for too long */
};

struct delivery {
    struct delivery_config config;
    struct ag_buffer frame;
    struct ag_buffer
        attempts[AG_MESSAGE_ITEMS_MAX]; /* what entries under construction point into */
    struct proto out;                   /* under construction */
    uint32_t out_peer;
    size_t out_bytes;
    uint32_t full[FULL_MAX];
    unsigned full_count;
    struct ag_buffer unsent; /* struct unsent: attempts for workers that are not connected */
    size_t unsent_at;        /* those before it have been told */
};

struct unsent {
    uint32_t peer;
    struct proto_token token;
};

delivery_t *delivery_new(const struct delivery_config *config)
{
    delivery_t *self = calloc(1, sizeof *self);

    if (self == NULL)
        return NULL;
    self->config = *config;
    self->frame = ag_buffer_empty(AG_MESSAGE_BYTES_MAX);
    self->unsent = ag_buffer_empty(UNSENT_MAX * sizeof(struct unsent));
    for (int i = 0; i < AG_MESSAGE_ITEMS_MAX; i++)
        self->attempts[i] = ag_buffer_empty(AG_MESSAGE_BYTES_FULL);
    return self;
}

void delivery_destroy(delivery_t **self_p)
{
    delivery_t *self = *self_p;

    if (self == NULL)
        return;
    ag_buffer_free(&self->frame);
    ag_buffer_free(&self->unsent);
    for (int i = 0; i < AG_MESSAGE_ITEMS_MAX; i++)
        ag_buffer_free(&self->attempts[i]);
    free(self);
    *self_p = NULL;
}

/* ---- sending ----------------------------------------------------------------------------------
 */

static void note_full(delivery_t *self, const struct peer *peer)
{
    for (unsigned i = 0; i < self->full_count; i++)
        if (self->full[i] == peer->number)
            return;
    if (self->full_count < FULL_MAX)
        self->full[self->full_count++] = peer->number;
}

/* False: the peer is not connected any more. */
static bool send_to(delivery_t *self, struct peer *peer, const struct proto *message)
{
    struct ag_bytes id = peer_routing_id(peer);

    ag_buffer_clear(&self->frame);
    ag_proto_encode(&self->frame, message);
    if (self->frame.failed) { /* no memory for it: as if the pipe were full */
        ag_log_error("broker", "no memory to send a message",
                     ag_kv("message", ag_message_name(message->type)));
        note_full(self, peer);
        return true;
    }
    if (zmq_send(self->config.socket, id.data, id.size, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
        if (errno == EAGAIN)
            note_full(self, peer);
        return errno != EHOSTUNREACH;
    }
    zmq_send(self->config.socket, self->frame.data, self->frame.size, ZMQ_DONTWAIT);
    ag_log_trace("wire", "sent", ag_kv("message", ag_message_name(message->type)),
                 ag_kv("bytes", self->frame.size));
    return true;
}

void delivery_send(delivery_t *self, struct peer *peer, const struct proto *message)
{
    send_to(self, peer, message);
}

static void note_unsent(delivery_t *self, const struct peer *peer, const struct proto_jobs *jobs)
{
    for (uint32_t i = 0; i < jobs->count; i++) {
        struct unsent unsent = {.peer = peer->number, .token = jobs->items[i].token};

        ag_buffer_append(&self->unsent, &unsent, sizeof unsent);
    }
}

struct peer *delivery_next_unsent(delivery_t *self, struct proto_tokens *out)
{
    struct peer *peer = NULL;
    struct unsent unsent;

    for (; self->unsent_at < self->unsent.size; self->unsent_at += sizeof unsent) {
        memcpy(&unsent, self->unsent.data + self->unsent_at, sizeof unsent);
        if (peer != NULL && (unsent.peer != peer->number || out->count == AG_MESSAGE_ITEMS_MAX))
            return peer;
        if (peer == NULL) {
            peer = peers_find(self->config.peers, unsent.peer);
            out->count = 0;
        }
        if (peer != NULL)
            out->items[out->count++] = unsent.token;
    }
    ag_buffer_clear(&self->unsent);
    self->unsent_at = 0;
    return peer;
}

struct peer *delivery_next_full(delivery_t *self)
{
    while (self->full_count > 0) {
        struct peer *peer = peers_find(self->config.peers, self->full[--self->full_count]);

        if (peer != NULL && peer->role != 0)
            return peer;
    }
    return NULL;
}

/* Send what is under construction. */
static void flush(delivery_t *self)
{
    struct peer *peer;

    if (self->out.type == 0)
        return;
    peer = peers_find(self->config.peers, self->out_peer);
    if (peer != NULL && !send_to(self, peer, &self->out) && self->out.type == AG_JOBS)
        note_unsent(self, peer, &self->out.jobs);
    self->out.type = 0;
    self->out_bytes = 0;
}

/* Make self->out a message of this type for this peer, with room for one item of `bytes` more. */
static void build(delivery_t *self, uint32_t peer, enum ag_message type, uint32_t *count,
                  size_t bytes)
{
    if (self->out.type != type || self->out_peer != peer || *count == AG_MESSAGE_ITEMS_MAX ||
        self->out_bytes + bytes > AG_MESSAGE_BYTES_FULL) {
        flush(self);
        self->out.type = type;
        self->out_peer = peer;
        *count = 0;
    }
    self->out_bytes += bytes;
}

static void send_alone(delivery_t *self, uint32_t number, const struct proto *message)
{
    struct peer *peer = peers_find(self->config.peers, number);

    if (peer != NULL)
        delivery_send(self, peer, message);
}

/* ---- one function for each effect -------------------------------------------------------------
 */

static void welcome(delivery_t *self, const struct effect *effect)
{
    struct peer *peer = peers_find(self->config.peers, effect->peer);

    if (peer != NULL)
        peer_open(peer, effect->welcome.role, &effect->welcome.instance);
    self->out.type = AG_WELCOME;
    self->out.welcome = self->config.welcome;
    self->out.welcome.unix_ms = (uint64_t)ag_clock_unix_ms();
    self->out_peer = effect->peer;
    flush(self);
}

static void reject(delivery_t *self, const struct effect *effect)
{
    self->out.type = AG_REJECT;
    self->out.reject = (struct proto_reject){.type = ag_bytes_of_text(effect->reject.type),
                                             .message = ag_bytes_of_text(effect->reject.message),
                                             .about = effect->reject.about};
    self->out_peer = effect->peer;
    flush(self);
}

static void close_peer(delivery_t *self, uint32_t number)
{
    struct peer *peer = peers_find(self->config.peers, number);

    if (peer != NULL)
        peers_close(self->config.peers, peer);
}

static void run(delivery_t *self, const struct effect *effect)
{
    struct proto_jobs *jobs = &self->out.jobs;

    build(self, effect->peer, AG_JOBS, &jobs->count,
          effect->run.payload.size + effect->run.inputs.size);
    jobs->items[jobs->count++] = effect->run;
}

static void tokens(delivery_t *self, const struct effect *effect, enum ag_message type)
{
    struct proto_tokens *list = &self->out.stop; /* STOP, RECALL and RECORDED look the same */

    build(self, effect->peer, type, &list->count, 0);
    list->items[list->count++] = effect->token;
}

static void drain(delivery_t *self, const struct effect *effect)
{
    send_alone(self, effect->peer,
               &(struct proto){.type = AG_DRAIN, .drain = {.grace_ms = effect->grace_ms}});
}

static void news(delivery_t *self, const struct effect *effect)
{
    struct proto_news *out = &self->out.news;

    if (self->out.type == AG_NEWS && out->watch != effect->news.watch)
        flush(self);
    build(self, effect->peer, AG_NEWS, &out->count, effect->news.item.partial.size);
    out->watch = effect->news.watch;
    out->items[out->count++] = effect->news.item;
}

static void accepted(delivery_t *self, const struct effect *effect)
{
    struct proto_accepted *out = &self->out.accepted;

    self->out.type = AG_ACCEPTED;
    self->out_peer = effect->peer;
    out->request = effect->accepted.request;
    out->accepted = effect->accepted.accepted;
    out->repeated = effect->accepted.repeated;
    out->refused_count = effect->accepted.refused_count;
    for (uint32_t i = 0; i < out->refused_count; i++)
        out->refused[i] = effect->accepted.refused[i];
    out->window = self->config.welcome.window;
    out->retry_after_ms = effect->accepted.retry_after_ms;
    flush(self);
}

static size_t entry_bytes(const struct proto_event *entry)
{
    return entry->result.size + entry->error.size + entry->payload.size + entry->attempts.size +
           entry->note.size;
}

/* Entries go out in as many messages as the bounds ask for; only the last one ends the watch. */
static void events(delivery_t *self, const struct effect *effect)
{
    struct proto_events *out = &self->out.events;
    struct proto_event entry;
    enum proto_end not_last = effect->events.end == PROTO_EARLY ? PROTO_EARLY : PROTO_MORE_TO_COME;

    self->out.type = AG_EVENTS;
    self->out_peer = effect->peer;
    core_describe_target(self->config.core, effect, out);
    out->end = not_last;
    out->count = 0;
    for (uint32_t i = 0; i < effect->events.count; i++, out->cursor++) {
        const struct job *job = effect->events.jobs[i];

        if ((effect->events.flags & PROTO_WATCH_FAILURES) && !core_is_failure(job))
            continue;
        core_describe(self->config.core, job, effect->events.flags, &self->attempts[out->count],
                      &entry);
        if (out->count > 0 && self->out_bytes + entry_bytes(&entry) > AG_MESSAGE_BYTES_FULL) {
            uint64_t cursor = out->cursor;

            flush(self);
            self->out.type = AG_EVENTS;
            core_describe_target(self->config.core, effect, out);
            out->end = not_last;
            out->cursor = cursor;
            out->count = 0;
            core_describe(self->config.core, job, effect->events.flags, &self->attempts[0], &entry);
        }
        self->out_bytes += entry_bytes(&entry);
        out->items[out->count++] = entry;
    }
    out->end = effect->events.end;
    flush(self);
}

/* {"cancelled": n, "cancelling": n, "ended": n, "unknown": [id]} */
static void pack_receipt(const struct effect *effect, struct ag_buffer *out)
{
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {{"cancelled", effect->answer.cancelled},
                   {"cancelling", effect->answer.cancelling},
                   {"ended", effect->answer.ended}};
    msgpack_packer packer;
    char text[AG_ID_TEXT_SIZE];

    msgpack_packer_init(&packer, out, ag_buffer_write);
    msgpack_pack_map(&packer, 4);
    for (size_t i = 0; i < 3; i++) {
        msgpack_pack_str_with_body(&packer, numbers[i].key, strlen(numbers[i].key));
        msgpack_pack_uint64(&packer, numbers[i].value);
    }
    msgpack_pack_str_with_body(&packer, "unknown", 7);
    msgpack_pack_array(&packer, effect->answer.unknown_count);
    for (uint32_t i = 0; i < effect->answer.unknown_count; i++) {
        ag_id_print(&effect->answer.unknown[i], text);
        msgpack_pack_str_with_body(&packer, text, strlen(text));
    }
}

static void answer(delivery_t *self, const struct effect *effect)
{
    struct ag_buffer *body = &self->attempts[0];

    ag_buffer_clear(body);
    pack_receipt(effect, body);
    send_alone(self, effect->peer,
               &(struct proto){.type = AG_ANSWER,
                               .answer = {.request = effect->answer.request,
                                          .type = ag_bytes_of_text(effect->answer.type),
                                          .message = ag_bytes_of_text(effect->answer.message),
                                          .body = ag_buffer_bytes(body)}});
}

/* For people, once for each time: `argosy events` tells when it is over. */
static void warn(const struct effect *effect)
{
    ag_log_warning("broker", "jobs wait that no worker can take", ag_kv("kind", effect->alarm.kind),
                   ag_kv("requires", effect->alarm.requires), ag_kv("jobs", effect->alarm.queued),
                   ag_kv("waited_ms", effect->alarm.unserved_ms));
}

static bool is_a_list(enum effect_type type)
{
    return type == EFFECT_RUN || type == EFFECT_STOP || type == EFFECT_RECORDED ||
           type == EFFECT_RECALL || type == EFFECT_NEWS;
}

static void say(delivery_t *self, const struct effect *effect)
{
    if (!is_a_list(effect->type))
        flush(self);
    switch (effect->type) {
    case EFFECT_WELCOME:
        welcome(self, effect);
        break;
    case EFFECT_REJECT:
        reject(self, effect);
        break;
    case EFFECT_CLOSE:
        close_peer(self, effect->peer);
        break;
    case EFFECT_RUN:
        run(self, effect);
        break;
    case EFFECT_STOP:
        tokens(self, effect, AG_STOP);
        break;
    case EFFECT_RECORDED:
        tokens(self, effect, AG_RECORDED);
        break;
    case EFFECT_RECALL:
        tokens(self, effect, AG_RECALL);
        break;
    case EFFECT_DRAIN:
        drain(self, effect);
        break;
    case EFFECT_NEWS:
        news(self, effect);
        break;
    case EFFECT_ACCEPTED:
        accepted(self, effect);
        break;
    case EFFECT_EVENTS:
        events(self, effect);
        break;
    case EFFECT_ANSWER:
        answer(self, effect);
        break;
    case EFFECT_ALARM:
        warn(effect);
        break;
    case EFFECT_JOURNAL:
    case EFFECT_LOAD:
        break;
    }
}

int delivery_carry_out(delivery_t *self, const struct effects *effects, struct argosy_error *err)
{
    struct store *store = self->config.store;
    int rc = 0;

    for (size_t i = 0; i < effects->count && rc == 0; i++) {
        const struct effect *effect = &effects->items[i];

        if (effect->type == EFFECT_JOURNAL)
            rc = store->append(store, self->config.core, effect, err);
        else if (effect->type == EFFECT_LOAD)
            rc = store->want(store, effect, err);
        else
            say(self, effect);
    }
    flush(self);
    return rc;
}
