/* The connection, the session, and the events one by one. */
#include "client/client.h"

#include <argosy/version.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/assert.h"
#include "common/endpoint.h"
#include "common/error.h"

enum { RETRY_SEND_MS = 10 };

int64_t client_now(const argosy_client *self)
{
    return self->port.now(self->port.arg);
}

int client_make_id(argosy_client *self, struct ag_id *out, struct argosy_error *err)
{
    if (self->random_left == 0) {
        int rc = self->port.random(self->port.arg, self->random, sizeof self->random, err);

        if (rc < 0)
            return rc;
        self->random_left = sizeof self->random;
    }
    *out = ag_id_make(self->port.unix_ms(self->port.arg),
                      self->random + sizeof self->random - self->random_left);
    self->random_left -= AG_ID_RANDOM_BYTES;
    return 0;
}

/* ---- notices
 * ------------------------------------------------------------------------------------------ */

void client_notice(argosy_client *self, enum argosy_event_type type, argosy_batch *batch)
{
    /* Progress that was not taken yet is overtaken by the newer one. */
    for (unsigned i = 0; type == ARGOSY_PROGRESS && i < self->notices_count; i++) {
        struct notice *notice = &self->notices[(self->notices_first + i) % NOTICES_MAX];

        if (notice->type == type && notice->batch == batch)
            return;
    }
    if (self->notices_count == NOTICES_MAX) { /* the oldest is the least worth */
        self->notices_first = (self->notices_first + 1) % NOTICES_MAX;
        self->notices_count--;
    }
    self->notices[(self->notices_first + self->notices_count++) % NOTICES_MAX] =
        (struct notice){type, batch};
}

static bool take_notice(argosy_client *self, struct argosy_event *event)
{
    while (self->notices_count > 0) {
        struct notice notice = self->notices[self->notices_first];

        self->notices_first = (self->notices_first + 1) % NOTICES_MAX;
        self->notices_count--;
        if (notice.type == 0)
            continue; /* its batch is gone */
        *event = (struct argosy_event){.type = notice.type, .batch = notice.batch, .failure = ""};
        if (notice.batch != NULL) {
            event->counts = notice.batch->counts;
            event->waiting = notice.batch->waiting;
            event->running = notice.batch->running;
            event->failure = notice.batch->failure;
        }
        return true;
    }
    return false;
}

/* ---- the connection
 * ----------------------------------------------------------------------------------- */

bool client_send(argosy_client *self, const struct proto *message)
{
    ag_buffer_clear(&self->frame);
    ag_proto_encode(&self->frame, message);
    if (self->frame.failed)
        return false;
    return self->port.send(self->port.arg, ag_buffer_bytes(&self->frame));
}

static void say_hello(argosy_client *self)
{
    char host[256] = "";

    gethostname(host, sizeof host - 1);
    self->out.type = AG_HELLO;
    self->out.hello =
        (struct proto_hello){.speaks_ours = true,
                             .role = PROTO_CLIENT,
                             .name = ag_bytes_of_text(self->name),
                             .instance = self->instance,
                             .software = ag_bytes_of_text("libargosy " ARGOSY_VERSION),
                             .host = ag_bytes_of_text(host),
                             .number = ++self->hellos};
    client_send(self, &self->out);
}

static void greet(argosy_client *self, int64_t now)
{
    if (self->is_open)
        self->lost_at = now;
    self->is_open = false;
    self->session_at = now + self->heartbeat_ms;
    say_hello(self);
}

static int connect_anew(argosy_client *self, struct argosy_error *err)
{
    return self->port.connect(self->port.arg, self->endpoints[self->endpoint], err);
}

static int reconnect(argosy_client *self, int64_t now, struct argosy_error *err)
{
    int rc;

    self->endpoint = (self->endpoint + 1) % self->endpoints_count;
    rc = connect_anew(self, err);
    if (rc == 0)
        greet(self, now);
    return rc;
}

/* ---- the session
 * -------------------------------------------------------------------------------------- */

static void on_welcome(argosy_client *self, int64_t now)
{
    if (self->in.welcome.heartbeat_ms > 0)
        self->heartbeat_ms = self->in.welcome.heartbeat_ms;
    self->session_at = now + self->heartbeat_ms;
    self->is_open = self->was_open = true;
    requests_new_session(self);
    for (struct ag_link *at = self->batches.next; at != &self->batches; at = at->next)
        batch_new_session(AG_OWNER(at, struct argosy_batch, link));
    client_notice(self, ARGOSY_CONNECTED, NULL);
}

static void on_reject(argosy_client *self, int64_t now)
{
    const struct proto_reject *reject = &self->in.reject;

    if (ag_bytes_are(reject->type, "rejected.session")) {
        if (self->is_open)
            greet(self, now);
    } else if (!ag_bytes_are(reject->type, "rejected.full")) {
        snprintf(self->fatal, sizeof self->fatal, "%.*s: %.*s", AG_TEXT(reject->type),
                 AG_TEXT(reject->message));
    }
}

static argosy_batch *batch_of_watch(argosy_client *self, uint32_t watch)
{
    for (struct ag_link *at = self->batches.next; at != &self->batches; at = at->next)
        if (AG_OWNER(at, struct argosy_batch, link)->watch == watch)
            return AG_OWNER(at, struct argosy_batch, link);
    return NULL;
}

static void on_accepted(argosy_client *self, int64_t now)
{
    for (struct ag_link *at = self->batches.next; at != &self->batches; at = at->next)
        if (batch_on_accepted(AG_OWNER(at, struct argosy_batch, link), &self->in.accepted, now))
            return;
}

static bool is_answer_of_batch(argosy_client *self)
{
    for (struct ag_link *at = self->batches.next; at != &self->batches; at = at->next)
        if (batch_on_answer(AG_OWNER(at, struct argosy_batch, link), &self->in.answer))
            return true;
    return false;
}

/* True when it is kept for handing out. */
static bool on_message(argosy_client *self, int64_t now)
{
    argosy_batch *batch;

    switch (self->in.type) {
    case AG_WELCOME:
        on_welcome(self, now);
        return false;
    case AG_REJECT:
        on_reject(self, now);
        return false;
    case AG_BYE: /* it stops: connect anew with the next heartbeat */
        if (self->is_open) {
            self->lost_at = now;
            client_notice(self, ARGOSY_DISCONNECTED, NULL);
        }
        self->is_open = false;
        self->session_at = now + self->heartbeat_ms;
        return false;
    case AG_PING:
        self->out.type = AG_PONG;
        self->out.pong = (struct proto_ping){.number = self->in.ping.number};
        client_send(self, &self->out);
        return false;
    case AG_ACCEPTED:
        on_accepted(self, now);
        return false;
    case AG_ANSWER:
        if (is_answer_of_batch(self))
            return false;
        return requests_answered(self, self->in.answer.request);
    case AG_EVENTS:
        batch = batch_of_watch(self, self->in.events.watch);
        if (batch == NULL || batch_is_repetition(batch, &self->in.events))
            return false;
        batch_on_events(batch, &self->in.events);
        self->next_item = 0;
        return true;
    case AG_NEWS:
        self->next_item = 0;
        return batch_of_watch(self, self->in.news.watch) != NULL;
    default:
        return false;
    }
}

/* ---- handing out
 * -------------------------------------------------------------------------------------- */

static void drop_message(argosy_client *self)
{
    self->port.release(self->port.arg);
    self->has_message = false;
}

/* As text; names are no longer than this, the decoder has seen to it. */
static void keep_name(char out[AG_NAME_BYTES_MAX + 1], struct ag_bytes name)
{
    size_t size = name.size <= AG_NAME_BYTES_MAX ? name.size : AG_NAME_BYTES_MAX;

    if (size > 0)
        memcpy(out, name.data, size);
    out[size] = '\0';
}

/* What failed, and which attempts did not succeed. */
static void hand_out_failure(argosy_client *self, const struct proto_event *item,
                             struct argosy_event *event)
{
    const struct argosy_node *root;

    argosy_report_destroy(&self->scratch);
    self->scratch = argosy_report_new("");
    if (self->scratch == NULL)
        return;
    ag_report_add_event(self->scratch, item);
    event->attempts = ag_report_attempts(self->scratch, item, &event->attempts_count);
    root = argosy_report_root(self->scratch);
    if (root->children_count > 0)
        event->error = root->children[0];
}

static void hand_out_job(argosy_client *self, argosy_batch *batch, const struct proto_event *item,
                         struct argosy_event *event)
{
    keep_name(self->kind, item->kind);
    keep_name(self->worker, item->worker);
    *event = (struct argosy_event){.type = ARGOSY_JOB_ENDED,
                                   .batch = batch,
                                   .index = item->index,
                                   .kind = self->kind,
                                   .state = (enum argosy_job_state)item->state,
                                   .attempt = item->attempt,
                                   .attempts_max = item->attempts_max,
                                   .worker = self->worker,
                                   .queued_ms = item->queued_ms,
                                   .run_ms = item->run_ms,
                                   .result = item->result.data,
                                   .result_size = item->result.size,
                                   .failure = ""};
    ag_id_print(&item->job, event->job);
    /* A plain success, as nearly all are, has nothing to tell of. */
    if (item->state != PROTO_JOB_SUCCEEDED || item->error.size > 0 || item->attempts_count > 0)
        hand_out_failure(self, item, event);
}

static void hand_out_answer(argosy_client *self, struct argosy_event *event)
{
    const struct proto_answer *answer = &self->in.answer;

    snprintf(self->answer_type, sizeof self->answer_type, "%.*s", AG_TEXT(answer->type));
    snprintf(self->answer_message, sizeof self->answer_message, "%.*s", AG_TEXT(answer->message));
    *event = (struct argosy_event){.type = ARGOSY_ANSWER,
                                   .request = answer->request,
                                   .answer_type = self->answer_type,
                                   .answer_message = self->answer_message,
                                   .body = answer->body.data,
                                   .body_size = answer->body.size,
                                   .failure = ""};
}

/* News of a job that goes on. */
static bool hand_out_news(argosy_client *self, struct argosy_event *event)
{
    argosy_batch *batch = batch_of_watch(self, self->in.news.watch);
    const struct proto_news_item *item;

    if (batch == NULL || self->next_item >= self->in.news.count) {
        drop_message(self);
        return false;
    }
    item = &self->in.news.items[self->next_item++];
    batch->news++;
    keep_name(self->kind, item->kind);
    snprintf(self->note, sizeof self->note, "%.*s", AG_TEXT(item->note));
    *event = (struct argosy_event){.type = ARGOSY_JOB_NEWS,
                                   .batch = batch,
                                   .index = item->index,
                                   .kind = self->kind,
                                   .attempt = item->attempt,
                                   .worker = "",
                                   .permille = item->permille,
                                   .note = self->note,
                                   .sequence = item->sequence,
                                   .result = item->partial.data,
                                   .result_size = item->partial.size,
                                   .failure = ""};
    ag_id_print(&item->job, event->job);
    return true;
}

/* The next event out of the message in hand. */
static bool hand_out(argosy_client *self, struct argosy_event *event)
{
    argosy_batch *batch;

    if (!self->has_message)
        return false;
    if (self->in.type == AG_ANSWER) {
        if (self->next_item++ == 0) {
            hand_out_answer(self, event);
            return true;
        }
        drop_message(self);
        return false;
    }
    if (self->in.type == AG_NEWS)
        return hand_out_news(self, event);
    batch = batch_of_watch(self, self->in.events.watch);
    while (batch != NULL && self->next_item < self->in.events.count) {
        const struct proto_event *item = &self->in.events.items[self->next_item++];

        if (!batch_on_event(batch, item, self->in.events.end == PROTO_EARLY))
            continue;
        hand_out_job(self, batch, item, event);
        return true;
    }
    if (batch != NULL)
        batch_on_events_done(batch, &self->in.events);
    drop_message(self);
    return false;
}

/* ---- the turn
 * ----------------------------------------------------------------------------------------- */

/* One message off the socket: 1, 0 if there is none. */
static int receive(argosy_client *self, int64_t now)
{
    struct argosy_error err = {0};
    struct ag_bytes frame;

    if (!self->port.receive(self->port.arg, &frame))
        return 0;
    self->heard_at = now;
    self->next_item = 0;
    if (ag_proto_decode(frame, &self->in, &err) == 0)
        self->has_message = on_message(self, now);
    if (!self->has_message)
        self->port.release(self->port.arg);
    return 1;
}

static int keep_session(argosy_client *self, int64_t now, struct argosy_error *err)
{
    int64_t silent = now - self->heard_at;

    if (self->fatal[0] != '\0')
        return ag_fail(err, ARGOSY_EREJECTED, "the broker at %s refuses: %s",
                       self->endpoints[self->endpoint], self->fatal);
    if (!self->is_open && now - self->lost_at >= self->broker_timeout_ms)
        return ag_fail(err, ARGOSY_ENOBROKER, "no broker answers at %s; is it running there?",
                       self->endpoints[self->endpoint]);
    if (now < self->session_at)
        return 0;
    if (self->is_open && silent < (int64_t)SILENT_BEATS * self->heartbeat_ms) {
        for (struct ag_link *at = self->batches.next; at != &self->batches; at = at->next)
            batch_acknowledge(AG_OWNER(at, struct argosy_batch, link));
        self->out.type = AG_PING;
        self->out.ping = (struct proto_ping){.number = ++self->numbers};
        client_send(self, &self->out);
        self->session_at = now + self->heartbeat_ms;
        return 0;
    }
    if (self->is_open)
        client_notice(self, ARGOSY_DISCONNECTED, NULL);
    return reconnect(self, now, err);
}

static void flush(argosy_client *self, int64_t now)
{
    if (!self->is_open)
        return;
    requests_flush(self);
    for (struct ag_link *at = self->batches.next; at != &self->batches; at = at->next)
        batch_flush(AG_OWNER(at, struct argosy_batch, link), now);
}

static int64_t next_deadline(const argosy_client *self, int64_t now)
{
    int64_t at = self->session_at;

    if (!self->is_open && self->lost_at + self->broker_timeout_ms < at)
        at = self->lost_at + self->broker_timeout_ms;
    for (struct ag_link *link = self->batches.next; self->is_open && link != &self->batches;
         link = link->next) {
        int64_t due = batch_deadline(AG_OWNER(link, struct argosy_batch, link));

        if (due < at)
            at = due > now ? due : now + RETRY_SEND_MS; /* the pipe was full */
    }
    return at;
}

int argosy_client_wait_ms(const argosy_client *self)
{
    int64_t now = client_now(self), at = next_deadline(self, now);

    if (self->has_message || self->notices_count > 0)
        return 0;
    return at > now ? (int)(at - now) : 0;
}

int argosy_client_next(argosy_client *self, int timeout_ms, struct argosy_event *event,
                       struct argosy_error *err)
{
    int64_t until = timeout_ms < 0 ? INT64_MAX : -1; /* -1: the clock was not read yet */

    for (;;) {
        int64_t now, at;
        int rc;

        if (hand_out(self, event) || take_notice(self, event))
            return 1;
        now = client_now(self);
        if (until < 0)
            until = now + timeout_ms;
        rc = keep_session(self, now, err);
        if (rc < 0)
            return rc;
        flush(self, now);
        if (receive(self, now) > 0)
            continue;
        if (now >= until)
            return 0;
        at = next_deadline(self, now);
        if (until < at)
            at = until;
        if (!self->port.wait(self->port.arg, at > now ? at - now : 0))
            return 0;
    }
}

int argosy_client_fd(const argosy_client *self)
{
    return self->port.fd(self->port.arg);
}

/* ---- life
 * --------------------------------------------------------------------------------------------- */

static int copy_endpoints(argosy_client *self, const struct argosy_client_config *config,
                          struct argosy_error *err)
{
    char standard[AG_ENDPOINT_SIZE];
    const char *const alone[] = {standard};
    const char *const *endpoints = config->endpoints;
    size_t count = config->endpoints_count;
    int rc = 0;

    if (count == 0) {
        rc = ag_endpoint_default(standard, err);
        endpoints = alone;
        count = 1;
    }
    self->endpoints = calloc(count, sizeof *self->endpoints);
    if (rc == 0 && self->endpoints == NULL)
        rc = ag_fail(err, ARGOSY_ENOMEM, "no memory for a client");
    for (size_t i = 0; i < count && rc == 0; i++, self->endpoints_count++) {
        rc = ag_endpoint_check(endpoints[i], false, err);
        if (rc == 0 && (self->endpoints[i] = strdup(endpoints[i])) == NULL)
            rc = ag_fail(err, ARGOSY_ENOMEM, "no memory for a client");
    }
    return rc;
}

int client_new_in(argosy_client **out, const struct argosy_client_config *config,
                  const struct client_port *port, struct argosy_error *err)
{
    argosy_client *self = calloc(1, sizeof *self);
    int rc;

    *out = NULL;
    if (self == NULL) {
        port->close(port->arg, false);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a client");
    }
    self->port = *port;
    ag_link_init(&self->batches);
    ag_link_init(&self->requests);
    self->frame = ag_buffer_empty(AG_MESSAGE_BYTES_MAX);
    self->heartbeat_ms = HEARTBEAT_MS;
    self->broker_timeout_ms =
        config->broker_timeout_ms > 0 ? config->broker_timeout_ms : BROKER_TIMEOUT_MS;
    self->heard_at = self->lost_at = client_now(self);
    self->name = strndup(config->name != NULL ? config->name : program_invocation_short_name,
                         AG_NAME_BYTES_MAX);
    rc = self->name == NULL ? ag_fail(err, ARGOSY_ENOMEM, "no memory for a client")
                            : client_make_id(self, &self->instance, err);
    if (rc == 0)
        rc = copy_endpoints(self, config, err);
    if (rc == 0)
        rc = connect_anew(self, err);
    if (rc < 0) {
        argosy_client_destroy(&self);
        return rc;
    }
    greet(self, client_now(self));
    *out = self;
    return 0;
}

int argosy_client_new(argosy_client **out, const struct argosy_client_config *config,
                      struct argosy_error *err)
{
    struct client_port port;
    int rc = client_port_zmq(&port, err);

    *out = NULL;
    return rc < 0 ? rc : client_new_in(out, config, &port, err);
}

void argosy_client_destroy(argosy_client **self_p)
{
    argosy_client *self = *self_p;

    if (self == NULL)
        return;
    AG_ASSERT(ag_list_is_empty(&self->batches));
    if (self->is_open) {
        self->out.type = AG_BYE;
        self->out.bye.reason = ag_bytes_of_text("done");
        client_send(self, &self->out);
    }
    if (self->has_message)
        drop_message(self);
    requests_free(self);
    self->port.close(self->port.arg, self->is_open);
    argosy_report_destroy(&self->scratch);
    for (size_t i = 0; i < self->endpoints_count; i++)
        free(self->endpoints[i]);
    free(self->endpoints);
    free(self->name);
    ag_buffer_free(&self->frame);
    free(self);
    *self_p = NULL;
}
