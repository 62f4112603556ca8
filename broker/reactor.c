#include "broker/reactor.h"

#include <argosy/version.h>
#include <czmq.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "broker/admin.h"
#include "broker/arguments.h"
#include "broker/delivery.h"
#include "broker/listener.h"
#include "broker/peers.h"
#include "common/assert.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/wire.h"

enum {
    TURN_MESSAGES = 256,     /* taken before the loop looks at timers again */
    CLIENT_WINDOW = 4096,    /* jobs that a client may have unanswered */
    AWAKE_MAX = 4096,        /* jobs of a lane that are kept whole: many milliseconds of work */
    RESULT_KEPT_BYTES = 512, /* of one; more is read from the store */
    LOG_FLUSH_MS = 1000,
    CLOCK_STEP_MS = 50 /* less may be two readings that were not at once */
};

struct reactor {
    struct reactor_config config;
    core_t *core;
    peers_t *peers;
    delivery_t *delivery;
    void *handle; /* libzmq's, of the socket */
    zloop_t *loop;
    int signals;
    listener_t *listener;
    int timer;        /* the loop's, -1 if none */
    int64_t timer_at; /* when it fires */
    int64_t started_at;
    int64_t hold_until; /* nobody is judged silent before: we were not there ourselves */
    int64_t stop_by;    /* after the first signal; 0 before */
    uint64_t in_order;  /* records that the core knows to be durable */
    uint64_t steps;     /* of the core */
    bool is_full;       /* the store, as the core knows it */
    uint64_t rejected;  /* messages that never reached the core */
    struct proto in;
    struct ag_buffer body;
    struct argosy_error error; /* what ended the loop */
};

/* ---- the core and what follows from a step ------------------------------------------------------
 */

static int fail(reactor_t *self)
{
    ag_log_error("broker", "cannot go on", ag_kv("reason", self->error.message));
    return -1; /* ends the loop */
}

static int step(reactor_t *self, struct core_event *event)
{
    const struct effects *effects;

    self->steps++;
    event->now = ag_clock_mono_ms();
    if (core_step(self->core, event, &effects) < 0) {
        ag_log_error("broker", "no memory: a message was not taken, its sender will ask again");
        return 0;
    }
    if (delivery_carry_out(self->delivery, effects, &self->error) < 0)
        return fail(self);
    return 0;
}

/* What could not be sent goes to others; these may be gone as well, but each only once. */
static int take_back_unsent(reactor_t *self)
{
    struct proto_tokens unsent;
    struct peer *peer;

    while ((peer = delivery_next_unsent(self->delivery, &unsent)) != NULL) {
        struct core_event event = {.type = CORE_UNSENT,
                                   .peer = peer->number,
                                   .instance = peer->instance,
                                   .unsent = &unsent};

        ag_log_info("broker", "a worker is not connected any more: others get its new jobs",
                    ag_kv("instance", peer->instance), ag_kv("jobs", unsent.count));
        if (step(self, &event) < 0)
            return -1;
    }
    return 0;
}

/* What the store has to tell. */
static int hear_store(reactor_t *self)
{
    struct store *store = self->config.store;
    uint64_t committed = store->committed(store);
    struct core_loaded loaded;

    while (store->loaded != NULL && store->loaded(store, &loaded)) {
        struct core_event event = {.type = CORE_LOADED, .loaded = &loaded};

        if (step(self, &event) < 0)
            return -1;
    }
    if (store->is_full != self->is_full) {
        struct core_event event = {.type = CORE_STORE, .full = store->is_full};

        self->is_full = store->is_full;
        if (step(self, &event) < 0)
            return -1;
    }
    if (committed > self->in_order) {
        struct core_event event = {.type = CORE_COMMITTED, .committed = committed};

        self->in_order = committed;
        if (step(self, &event) < 0)
            return -1;
    }
    return 0;
}

static int end_full_sessions(reactor_t *self)
{
    struct peer *full;

    while ((full = delivery_next_full(self->delivery)) != NULL) {
        struct core_event event = {
            .type = CORE_GONE, .peer = full->number, .instance = full->instance};

        ag_log_warning("broker", "a peer does not read what it is sent: its session ends",
                       ag_kv("instance", full->instance));
        if (step(self, &event) < 0)
            return -1;
    }
    return 0;
}

/* One commit for all that this turn has journalled, then what waited for it; and again for what
 * followed from that, until nothing does. */
static int commit(reactor_t *self)
{
    uint64_t steps;

    do {
        if (take_back_unsent(self) < 0)
            return -1;
        if (self->config.store->commit(self->config.store, &self->error) < 0)
            return fail(self);
        steps = self->steps;
        if (hear_store(self) < 0 || end_full_sessions(self) < 0)
            return -1;
    } while (self->steps > steps);
    return 0;
}

/* ---- the timer ------------------------------------------------------------------------------- */

static int on_timer(zloop_t *loop, int timer, void *arg);

static void arm(reactor_t *self)
{
    int64_t now = ag_clock_mono_ms(), at = core_deadline(self->core);

    if (at < self->hold_until)
        at = self->hold_until;
    if (self->stop_by != 0 && self->stop_by < at)
        at = self->stop_by;
    if (at > now + LOG_FLUSH_MS)
        at = now + LOG_FLUSH_MS; /* the log has things to tell now and then */
    if (self->timer >= 0 && at == self->timer_at)
        return;
    if (self->timer >= 0)
        zloop_timer_end(self->loop, self->timer);
    self->timer_at = at;
    self->timer = zloop_timer(self->loop, at > now ? (size_t)(at - now) : 0, 1, on_timer, self);
}

static bool has_stopped(reactor_t *self)
{
    struct core_status status;

    if (self->stop_by == 0)
        return false;
    core_status(self->core, &status);
    return ag_clock_mono_ms() >= self->stop_by ||
           status.jobs[JOB_RUNNING] + status.jobs[JOB_CANCELLING] == 0;
}

/* What every turn ends with. -1 ends the loop. */
static int end_turn(reactor_t *self)
{
    if (commit(self) < 0 || has_stopped(self))
        return -1;
    arm(self);
    return 0;
}

/* After a pause of our own (a stopped process, a machine that was suspended) the words of those who
 * were not silent are still on their way: give them a heartbeat before anybody is judged. */
static void notice_pause(reactor_t *self, int64_t now)
{
    int64_t late = now - self->timer_at;

    if (late <= (int64_t)self->config.core.heartbeat_ms)
        return;
    ag_log_warning("broker", "was not running for a while; peers get time to speak",
                   ag_kv("paused_ms", late));
    self->hold_until = now + self->config.core.heartbeat_ms;
}

/* Somebody has set the wall clock, the network corrects it, or the machine slept: schedules follow
 * it. We look at least every LOG_FLUSH_MS, and before any tick fires. */
static int notice_clock(reactor_t *self)
{
    struct core_event event = {.type = CORE_CLOCK};
    int64_t step_ms;

    event.unix_offset_ms = ag_clock_unix_ms() - ag_clock_mono_ms();
    step_ms = event.unix_offset_ms - self->config.core.unix_offset_ms;
    if (step_ms > -CLOCK_STEP_MS && step_ms < CLOCK_STEP_MS)
        return 0;
    ag_log_info("broker", "the wall clock was set", ag_kv("by_ms", step_ms));
    self->config.core.unix_offset_ms = event.unix_offset_ms;
    return step(self, &event);
}

static int on_timer(zloop_t *loop, int timer, void *arg)
{
    reactor_t *self = arg;
    struct core_event event = {.type = CORE_TIMER};
    int64_t now = ag_clock_mono_ms();

    (void)loop;
    (void)timer;
    self->timer = -1;
    ag_log_flush();
    notice_pause(self, now);
    if (notice_clock(self) < 0)
        return -1;
    if (now >= self->hold_until && core_deadline(self->core) <= now && step(self, &event) < 0)
        return -1;
    return end_turn(self);
}

/* ---- messages -------------------------------------------------------------------------------- */

static void reject(reactor_t *self, struct peer *peer, const char *type, const char *message,
                   uint32_t about)
{
    self->rejected++;
    delivery_send(self->delivery, peer,
                  &(struct proto){.type = AG_REJECT,
                                  .reject = {.type = ag_bytes_of_text(type),
                                             .message = ag_bytes_of_text(message),
                                             .about = about}});
}

/* A message that breaks the protocol. After too many of them the peer is not listened to. */
static int refuse(reactor_t *self, struct peer *peer, const char *type, const char *message,
                  uint32_t about)
{
    ag_log_warning("broker", "a message was refused", ag_kv("type", type),
                   ag_kv("message", ag_message_name(about)), ag_kv("reason", message));
    reject(self, peer, type, message, about);
    if (++peer->rejects < PEER_REJECTS_MAX || peer->role == 0)
        return 0;
    return step(self, &(struct core_event){
                          .type = CORE_GONE, .peer = peer->number, .instance = peer->instance});
}

/* "rejected.malformed: what" as the decoder says it. */
static int refuse_frame(reactor_t *self, struct peer *peer, const struct argosy_error *err)
{
    const char *type = strncmp(err->message, "rejected.message", 16) == 0 ? "rejected.message"
                                                                          : "rejected.malformed";
    const char *reason = strchr(err->message, ':');

    return refuse(self, peer, type, reason != NULL ? reason + 2 : err->message,
                  (uint32_t)self->in.type);
}

static enum proto_role role_for(enum ag_message type)
{
    switch (type) {
    case AG_CREDIT:
    case AG_RESULTS:
    case AG_PROGRESS:
        return PROTO_WORKER;
    case AG_SUBMIT:
    case AG_WATCH:
    case AG_MORE:
    case AG_CANCEL:
    case AG_SEAL:
    case AG_QUERY:
    case AG_CONTROL:
        return PROTO_CLIENT;
    default:
        return 0;
    }
}

static int on_hello(reactor_t *self, struct peer *peer)
{
    struct core_event event = {.type = CORE_JOIN,
                               .peer = peer->number,
                               .instance = self->in.hello.instance,
                               .hello = &self->in.hello};

    if (peer->role != 0 && !ag_id_equal(&peer->instance, &self->in.hello.instance))
        return refuse(self, peer, "rejected.role", "this connection belongs to another instance",
                      AG_HELLO);
    return step(self, &event);
}

static uint64_t cpu_us(void)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static int on_query(reactor_t *self, struct peer *peer)
{
    struct admin_facts facts = {.name = self->config.name,
                                .epoch = self->config.store->epoch,
                                .uptime_ms = ag_clock_mono_ms() - self->started_at,
                                .bytes_max = self->config.core.bytes_max,
                                .jobs_max = self->config.core.jobs_max,
                                .rejected = self->rejected,
                                .cpu_us = cpu_us()};
    struct proto answer = {.type = AG_ANSWER};

    admin_answer(self->core, &facts, &self->in.query, &self->body, &answer.answer);
    delivery_send(self->delivery, peer, &answer);
    return 0;
}

/* False: the order was not understood and has been answered. */
static bool read_control(reactor_t *self, struct peer *peer, struct core_control *control)
{
    struct argosy_error err = {0};
    struct proto answer = {.type = AG_ANSWER};
    bool is_verb;

    if (arguments_to_control(&self->in.control, control, &err) == 0)
        return true;
    is_verb = strncmp(err.message, "rejected.verb: ", 15) == 0;
    answer.answer = (struct proto_answer){
        .request = self->in.control.request,
        .type = ag_bytes_of_text(is_verb ? "rejected.verb" : "rejected.arguments"),
        .message = ag_bytes_of_text(is_verb ? err.message + 15 : err.message),
        .body = ag_bytes_of("\x80", 1)};
    delivery_send(self->delivery, peer, &answer);
    return false;
}

static void pong(reactor_t *self, struct peer *peer)
{
    delivery_send(self->delivery, peer,
                  &(struct proto){.type = AG_PONG, .pong = {.number = self->in.ping.number}});
}

/* A message of a peer that has a session. */
static int on_session_message(reactor_t *self, struct peer *peer)
{
    struct core_event event = {.peer = peer->number, .instance = peer->instance};
    const struct proto *in = &self->in;
    struct core_control control;

    core_event_of(in, &event);
    switch (in->type) {
    case AG_PING:
        pong(self, peer);
        break;
    case AG_QUERY:
        if (on_query(self, peer) < 0)
            return -1;
        break;
    case AG_CONTROL:
        if (read_control(self, peer, &control)) {
            event.type = CORE_CONTROL;
            event.control = &control;
        }
        break;
    default:
        break;
    }
    return step(self, &event);
}

static bool is_from_broker_only(enum ag_message type)
{
    return type != AG_HELLO && type != AG_PING && type != AG_PONG && type != AG_BYE &&
           role_for(type) == 0;
}

static int on_message(reactor_t *self, struct peer *peer, struct ag_bytes frame)
{
    struct argosy_error err = {0};
    enum proto_role role;

    if (peer->rejects >= PEER_REJECTS_MAX)
        return 0; /* it is not listened to any more */
    if (ag_proto_decode(frame, &self->in, &err) < 0)
        return refuse_frame(self, peer, &err);
    ag_log_trace("wire", "received", ag_kv("message", ag_message_name(self->in.type)),
                 ag_kv("bytes", frame.size));
    role = role_for(self->in.type);
    if (is_from_broker_only(self->in.type))
        return refuse(self, peer, "rejected.role", "only a broker says that", self->in.type);
    if (self->in.type == AG_HELLO)
        return on_hello(self, peer);
    if (peer->role == 0) {
        if (self->in.type != AG_BYE)
            reject(self, peer, "rejected.session", "say HELLO first", self->in.type);
        return 0;
    }
    if (role != 0 && role != peer->role)
        return refuse(self, peer, "rejected.role",
                      role == PROTO_WORKER ? "only a worker says that" : "only a client says that",
                      self->in.type);
    return on_session_message(self, peer);
}

static void skip_parts(void *socket, zmq_msg_t *part)
{
    while (zmq_msg_more(part)) {
        zmq_msg_close(part);
        zmq_msg_init(part);
        if (zmq_msg_recv(part, socket, ZMQ_DONTWAIT) < 0)
            return;
    }
}

/* One message off the socket: 1; 0 when there is none; -1 ends the loop. */
static int receive(reactor_t *self)
{
    zmq_msg_t id, body;
    struct peer *peer;
    int rc = 1;

    zmq_msg_init(&id);
    zmq_msg_init(&body);
    if (zmq_msg_recv(&id, self->handle, ZMQ_DONTWAIT) < 0) {
        rc = 0;
    } else if (!zmq_msg_more(&id) || zmq_msg_recv(&body, self->handle, ZMQ_DONTWAIT) < 0) {
        rc = 1; /* a lone routing id: nothing was said */
    } else {
        bool single = !zmq_msg_more(&body);

        peer = peers_of(self->peers, zmq_msg_data(&id), zmq_msg_size(&id));
        if (peer != NULL && !single)
            rc = refuse(self, peer, "rejected.malformed", "a message is one frame", 0) < 0 ? -1 : 1;
        else if (peer != NULL &&
                 on_message(self, peer, ag_bytes_of(zmq_msg_data(&body), zmq_msg_size(&body))) < 0)
            rc = -1;
        skip_parts(self->handle, &body);
    }
    zmq_msg_close(&id);
    zmq_msg_close(&body);
    return rc;
}

static int on_readable(zloop_t *loop, zsock_t *socket, void *arg)
{
    reactor_t *self = arg;
    int rc = 1;

    (void)loop;
    (void)socket;
    for (int n = 0; n < TURN_MESSAGES && rc > 0; n++)
        rc = receive(self);
    return rc < 0 ? -1 : end_turn(self);
}

/* The store has written something down, or cannot. */
static int on_store(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    (void)loop;
    (void)item;
    return end_turn(arg);
}

/* ---- the end -----------------------------------------------------------------------------------
 */

static int on_signal(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    reactor_t *self = arg;
    struct core_event event = {.type = CORE_STOPPING};
    struct signalfd_siginfo info;

    (void)loop;
    if (read(item->fd, &info, sizeof info) != sizeof info)
        return 0;
    if (self->stop_by != 0) {
        ag_log_warning("broker", "a second signal: stopping at once");
        return -1;
    }
    ag_log_info("broker", "stopping: nothing new begins, what runs may end",
                ag_kv("signal", strsignal((int)info.ssi_signo)),
                ag_kv("grace_ms", self->config.grace_ms));
    self->stop_by = ag_clock_mono_ms() + self->config.grace_ms;
    if (step(self, &event) < 0)
        return -1;
    return end_turn(self);
}

static void say_bye(void *arg, struct peer *peer)
{
    reactor_t *self = arg;

    delivery_send(
        self->delivery, peer,
        &(struct proto){.type = AG_BYE, .bye = {.reason = ag_bytes_of_text("the broker stops")}});
}

int reactor_run(reactor_t *self, struct argosy_error *err)
{
    struct core_status status;
    uint64_t left = 0;

    arm(self);
    zloop_start(self->loop);
    core_status(self->core, &status);
    for (int state = 0; state < JOB_SUCCEEDED; state++)
        left += status.jobs[state];
    peers_each(self->peers, say_bye, self);
    if (left > 0)
        ag_log_warning("broker", "stopped with jobs that have not ended", ag_kv("jobs", left),
                       ag_kv("store", self->config.store->name));
    ag_log_info("broker", "stopped", ag_kv("submitted", status.counters.submitted),
                ag_kv("unaccounted", status.unaccounted));
    if (self->error.code != 0 && err != NULL)
        *err = self->error;
    return self->error.code;
}

/* ---- the beginning -----------------------------------------------------------------------------
 */

static int open_listener(reactor_t *self, struct argosy_error *err)
{
    int rc = listener_new(&self->listener, self->config.endpoints, self->config.endpoints_count,
                          self->config.owns_folder, err);

    if (rc < 0)
        return rc;
    self->handle = zsock_resolve(listener_socket(self->listener));
    return 0;
}

static int open_signals(reactor_t *self, struct argosy_error *err)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    self->signals = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (self->signals < 0)
        return ag_fail(err, ARGOSY_EIO, "cannot take signals: %s", strerror(errno));
    return 0;
}

static void trace(void *arg, const char *line)
{
    (void)arg;
    ag_log_debug("core", line + strspn(line, " "));
}

static int restore(void *arg, uint64_t number, const struct record *record,
                   struct argosy_error *err)
{
    reactor_t *self = arg;

    return core_restore(self->core, ag_clock_mono_ms(), number, record, err);
}

/* What the last life of the broker has left. */
static int load(reactor_t *self, struct argosy_error *err)
{
    struct store *store = self->config.store;
    int64_t begin = ag_clock_mono_ms();
    struct core_status status;
    uint64_t open = 0;
    int rc = store->load(store, restore, self, err);

    if (rc < 0)
        return rc;
    core_restored(self->core, store->last);
    self->in_order = store->last;
    core_status(self->core, &status);
    for (int state = 0; state < JOB_SUCCEEDED; state++)
        open += status.jobs[state];
    if (store->last > 0)
        ag_log_info("broker", "the store is read", ag_kv("open_jobs", open),
                    ag_kv("ended_jobs", status.jobs[JOB_SUCCEEDED] + status.jobs[JOB_FAILED] +
                                            status.jobs[JOB_CANCELLED]),
                    ag_kv("groups", status.groups), ag_kv("ms", ag_clock_mono_ms() - begin));
    return 0;
}

static int open_core(reactor_t *self, struct argosy_error *err)
{
    struct delivery_config delivery = {.socket = self->handle, .store = self->config.store};

    self->config.core.epoch = self->config.store->epoch;
    self->config.core.result_kept_bytes = RESULT_KEPT_BYTES;
    self->config.core.awake_max = self->config.store->want != NULL ? AWAKE_MAX : 0;
    self->peers = peers_new(self->config.core.seed);
    self->core = core_new(&self->config.core);
    delivery.peers = self->peers;
    delivery.core = self->core;
    delivery.welcome = (struct proto_welcome){.version = AG_PROTO_VERSION,
                                              .broker = self->config.id,
                                              .epoch = self->config.store->epoch,
                                              .heartbeat_ms = self->config.core.heartbeat_ms,
                                              .message_bytes = AG_MESSAGE_BYTES_MAX,
                                              .payload_bytes = AG_PAYLOAD_BYTES_MAX,
                                              .result_bytes = AG_RESULT_BYTES_MAX,
                                              .window = CLIENT_WINDOW};
    if (self->peers == NULL || self->core == NULL ||
        (self->delivery = delivery_new(&delivery)) == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a broker");
    if (ag_log_wants(AG_LOG_DEBUG, "core"))
        core_trace(self->core, trace, self);
    return load(self, err);
}

static int open_loop(reactor_t *self, struct argosy_error *err)
{
    zsock_t *socket = listener_socket(self->listener);
    zmq_pollitem_t signals = {.fd = self->signals, .events = ZMQ_POLLIN};
    zmq_pollitem_t store = {.fd = self->config.store->fd, .events = ZMQ_POLLIN};

    self->loop = zloop_new();
    if (self->loop == NULL || zloop_reader(self->loop, socket, on_readable, self) < 0 ||
        zloop_poller(self->loop, &signals, on_signal, self) < 0 ||
        (store.fd >= 0 && zloop_poller(self->loop, &store, on_store, self) < 0))
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a loop");
    zloop_reader_set_tolerant(self->loop, socket);
    zloop_set_nonstop(self->loop, true);
    return 0;
}

int reactor_new(reactor_t **out, const struct reactor_config *config, struct argosy_error *err)
{
    reactor_t *self = calloc(1, sizeof *self);
    int rc;

    *out = NULL;
    if (self == NULL) {
        struct store *store = config->store;

        store->destroy(&store);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a broker");
    }
    self->config = *config;
    self->signals = self->timer = -1;
    self->started_at = ag_clock_mono_ms();
    self->body = ag_buffer_empty(AG_RESULT_BYTES_MAX);
    rc = open_signals(self, err);
    if (rc == 0)
        rc = open_listener(self, err);
    if (rc == 0)
        rc = open_core(self, err);
    if (rc == 0)
        rc = open_loop(self, err);
    if (rc < 0) {
        reactor_destroy(&self);
        return rc;
    }
    ag_log_info("broker", "ready", ag_kv("name", config->name), ag_kv("version", ARGOSY_VERSION),
                ag_kv("store", config->store->name), ag_kv("epoch", config->store->epoch));
    *out = self;
    return 0;
}

void reactor_destroy(reactor_t **self_p)
{
    reactor_t *self = *self_p;

    if (self == NULL)
        return;
    zloop_destroy(&self->loop);
    delivery_destroy(&self->delivery);
    core_destroy(&self->core);
    peers_destroy(&self->peers);
    if (self->signals >= 0)
        close(self->signals);
    listener_destroy(&self->listener);
    self->config.store->destroy(&self->config.store);
    ag_buffer_free(&self->body);
    free(self);
    *self_p = NULL;
}
