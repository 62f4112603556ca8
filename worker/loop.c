#include "worker/loop.h"

#include <czmq.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/assert.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"

enum {
    TURN_MESSAGES = 256,    /* taken before the loop looks at the engines again */
    UNSENT_MESSAGES = 8192, /* in the pipe to a broker that does not read: then it has to wait */
    LINGER_MS = 500,        /* for the last words */
    LOG_FLUSH_MS = 1000,
    PROGRESS_MS = 500,    /* between two reports of an attempt, and before its first */
    FORCED_STOP_MS = 1000 /* for engines to let go after the second signal */
};

/* An attempt in a handler's hands. */
struct running {
    struct ag_link link; /* in loop->tasks */
    unsigned permille;   /* as it was told last */
    int64_t started_at;
    struct task task;
    loop_t *loop;
    struct wcore_attempt *attempt;
};

struct loop {
    struct loop_config config;
    wcore_t *core;
    zsock_t *socket;
    void *handle; /* libzmq's, of the socket */
    zloop_t *loop;
    int signals;
    int timer; /* the loop's, -1 if none */
    int64_t timer_at;
    size_t endpoint; /* the one in use */
    uint64_t pings;
    uint32_t hellos;
    bool was_open, is_stopping, is_blocked; /* is_blocked: the pipe is full */
    unsigned running;
    struct ag_link tasks;
    int64_t progress_at; /* when to look at how far they are */
    bool wants_restart;
    int rc;
    struct argosy_error error;
    struct proto in, out;
    struct ag_buffer frame, holding;
};

/* ---- saying
 * ---------------------------------------------------------------------------------------- */

/* False when the pipe is full: what is unsaid stays in the core. */
static bool send_message(loop_t *self, const struct proto *message)
{
    ag_buffer_clear(&self->frame);
    ag_proto_encode(&self->frame, message);
    if (self->frame.failed) {
        ag_log_error("worker", "no memory to send a message",
                     ag_kv("message", ag_message_name(message->type)));
        return false;
    }
    if (zmq_send(self->handle, self->frame.data, self->frame.size, ZMQ_DONTWAIT) < 0)
        return false;
    ag_log_trace("wire", "sent", ag_kv("message", ag_message_name(message->type)),
                 ag_kv("bytes", self->frame.size));
    return true;
}

static void say_hello(loop_t *self)
{
    const struct loop_config *config = &self->config;
    struct proto_hello *hello = &self->out.hello;

    self->out.type = AG_HELLO;
    *hello = (struct proto_hello){.speaks_ours = true,
                                  .role = PROTO_WORKER,
                                  .name = ag_bytes_of_text(config->name),
                                  .instance = config->instance,
                                  .software = ag_bytes_of_text(config->software),
                                  .host = ag_bytes_of_text(config->host),
                                  .tags_count = (uint32_t)config->tags_count,
                                  .kinds_count = config->core.kinds_count};
    for (size_t i = 0; i < config->tags_count; i++)
        hello->tags[i] = ag_bytes_of_text(config->tags[i]);
    for (unsigned i = 0; i < config->core.kinds_count; i++)
        hello->kinds[i] = (struct proto_kind){.name = ag_bytes_of_text(config->core.kinds[i].name),
                                              .count = config->core.kinds[i].slots};
    ag_buffer_clear(&self->holding);
    hello->holding_count = wcore_holding(self->core, &self->holding);
    hello->holding = ag_buffer_bytes(&self->holding);
    hello->number = ++self->hellos;
    send_message(self, &self->out);
}

static void say_results(loop_t *self)
{
    while (!self->is_blocked && wcore_take_results(self->core, &self->out.results)) {
        self->out.type = AG_RESULTS;
        if (!send_message(self, &self->out)) {
            self->is_blocked = true;
            wcore_on_unsent(self->core);
        }
    }
}

static void say_credit(loop_t *self)
{
    if (!self->is_blocked && wcore_take_credit(self->core, &self->out.credit)) {
        self->out.type = AG_CREDIT;
        if (!send_message(self, &self->out)) {
            self->is_blocked = true;
            wcore_on_unsent(self->core);
        }
    }
}

/* ---- the connection
 * ---------------------------------------------------------------------------------- */

static int on_readable(zloop_t *loop, zsock_t *socket, void *arg);

static int set_options(void *socket)
{
    const struct {
        int option, value;
    } options[] = {
        {ZMQ_LINGER, 0},
        {ZMQ_SNDHWM, UNSENT_MESSAGES},
        {ZMQ_IPV6, 1},
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_TCP_KEEPALIVE_IDLE, 2},
        {ZMQ_TCP_KEEPALIVE_INTVL, 1},
        {ZMQ_TCP_KEEPALIVE_CNT, 2},
        {ZMQ_RECONNECT_IVL, 10},
        {ZMQ_RECONNECT_IVL_MAX, AG_RECONNECT_MS_MAX},
    };
    int64_t message_max = AG_MESSAGE_BYTES_MAX;

    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (zmq_setsockopt(socket, options[i].option, &options[i].value, sizeof(int)) < 0)
            return -1;
    return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max);
}

static void disconnect(loop_t *self)
{
    if (self->socket != NULL)
        zloop_reader_end(self->loop, self->socket);
    zsock_destroy(&self->socket);
    self->handle = NULL;
}

static int connect_to(loop_t *self, const char *endpoint, struct argosy_error *err)
{
    self->socket = zsock_new(ZMQ_DEALER);
    if (self->socket == NULL)
        return ag_fail(err, ARGOSY_EIO, "cannot make a socket: %s", zmq_strerror(errno));
    self->handle = zsock_resolve(self->socket);
    if (set_options(self->handle) < 0 || zmq_connect(self->handle, endpoint) < 0)
        return ag_fail(err, ARGOSY_EIO, "cannot connect to %s: %s", endpoint, zmq_strerror(errno));
    if (zloop_reader(self->loop, self->socket, on_readable, self) < 0)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a connection");
    zloop_reader_set_tolerant(self->loop, self->socket);
    self->is_blocked = false;
    return 0;
}

static int reconnect(loop_t *self)
{
    disconnect(self);
    self->endpoint = (self->endpoint + 1) % self->config.endpoints_count;
    return connect_to(self, self->config.endpoints[self->endpoint], &self->error);
}

/* ---- attempts
 * ------------------------------------------------------------------------------------------ */

void task_finish(struct task *task)
{
    struct running *running = task->loop_data;
    loop_t *self = running->loop;

    self->running--;
    ag_link_remove(&running->link);
    wcore_on_finished(self->core, ag_clock_mono_ms(), running->attempt, &task->outcome);
    outcome_fini(&task->outcome);
    free(running);
}

static void start(loop_t *self, struct wcore_attempt *attempt)
{
    struct running *running = calloc(1, sizeof *running);

    if (running == NULL) {
        struct outcome outcome = {0};

        outcome_fail(&outcome, "handler.memory", true, NULL, "the worker has no memory left");
        wcore_on_finished(self->core, ag_clock_mono_ms(), attempt, &outcome);
        return;
    }
    ag_link_init(&running->link);
    ag_list_append(&self->tasks, &running->link);
    running->loop = self;
    running->attempt = attempt;
    running->started_at = ag_clock_mono_ms();
    running->permille = AG_PERMILLE_UNKNOWN;
    atomic_init(&running->task.permille, AG_PERMILLE_UNKNOWN);
    running->task.payload = ag_bytes_of(attempt->payload, attempt->payload_size);
    running->task.inputs =
        ag_bytes_of(attempt->payload + attempt->payload_size, attempt->inputs_size);
    running->task.token = &attempt->token;
    running->task.loop_data = running;
    attempt->task = running;
    self->running++;
    ag_log_debug("worker", "attempt begins", ag_kv("job", attempt->token.job),
                 ag_kv("attempt", attempt->token.attempt));
    self->config.handlers[attempt->kind]->start(self->config.handlers[attempt->kind],
                                                &running->task);
}

static void stop(loop_t *self, struct wcore_attempt *attempt)
{
    struct running *running = attempt->task;

    if (running == NULL)
        return;
    ag_log_debug("worker", "attempt is told to stop", ag_kv("job", attempt->token.job),
                 ag_kv("attempt", attempt->token.attempt), ag_kv("reason", (int)attempt->stop));
    atomic_store(&running->task.stop, (int)attempt->stop);
    self->config.handlers[attempt->kind]->stop(self->config.handlers[attempt->kind],
                                               &running->task);
}

static void kill_attempt(loop_t *self, struct wcore_attempt *attempt)
{
    struct handler *handler = self->config.handlers[attempt->kind];
    struct running *running = attempt->task;

    if (attempt->grace_ms > 0) /* nobody is told of a promise that was not asked for */
        ag_log_warning("worker", "an attempt has not stopped in its grace",
                       ag_kv("job", attempt->token.job), ag_kv("kind", handler->kind),
                       ag_kv("grace_ms", attempt->grace_ms));
    if (running != NULL && handler->kill != NULL)
        handler->kill(handler, &running->task);
}

void task_tell(struct task *task, const char *note, struct ag_bytes partial)
{
    struct running *running = task->loop_data;

    running->permille = atomic_load(&task->permille);
    wcore_on_progress(running->loop->core, running->attempt, running->permille, note, partial);
}

/* Twice a second is enough for people; and what ends soon is not worth a message. */
static void look_at_progress(loop_t *self, int64_t now)
{
    if (now < self->progress_at)
        return;
    self->progress_at = now + PROGRESS_MS;
    for (struct ag_link *at = self->tasks.next; at != &self->tasks; at = at->next) {
        struct running *running = AG_OWNER(at, struct running, link);
        unsigned permille = atomic_load(&running->task.permille);

        if (permille != running->permille && now - running->started_at >= PROGRESS_MS)
            task_tell(&running->task, NULL, (struct ag_bytes){0});
    }
}

static void say_progress(loop_t *self)
{
    while (!self->is_blocked && wcore_take_progress(self->core, &self->out.progress)) {
        self->out.type = AG_PROGRESS;
        if (!send_message(self, &self->out))
            self->is_blocked = true; /* what is lost of it is only news */
    }
}

/* ---- a turn
 * -------------------------------------------------------------------------------------------- */

static int on_timer(zloop_t *loop, int timer, void *arg);

static void arm(loop_t *self)
{
    int64_t now = ag_clock_mono_ms(), at = wcore_deadline(self->core);

    for (unsigned i = 0; i < self->config.sources_count; i++) {
        const struct loop_source *source = &self->config.sources[i];
        int64_t due = source->deadline != NULL ? source->deadline(source->arg) : INT64_MAX;

        if (due < at)
            at = due;
    }
    if (at > now + LOG_FLUSH_MS)
        at = now + LOG_FLUSH_MS;
    if (self->running > 0 && self->progress_at < at)
        at = self->progress_at;
    if (self->timer >= 0 && self->timer_at <= at)
        return; /* it comes too early, if anything: that is cheaper than moving it each time */
    if (self->timer >= 0)
        zloop_timer_end(self->loop, self->timer);
    self->timer_at = at;
    self->timer = zloop_timer(self->loop, at > now ? (size_t)(at - now) : 0, 1, on_timer, self);
}

static void tell_session(loop_t *self)
{
    struct wcore_counts counts;

    wcore_count(self->core, &counts);
    if (counts.is_open == self->was_open)
        return;
    self->was_open = counts.is_open;
    if (counts.is_open)
        ag_log_info("worker", "connected", ag_kv("broker", self->config.endpoints[self->endpoint]),
                    ag_kv("held", counts.queued + counts.running + counts.unrecorded));
    else
        ag_log_warning("worker", "the broker does not answer; running jobs go on",
                       ag_kv("broker", self->config.endpoints[self->endpoint]),
                       ag_kv("running", counts.running));
}

/* What the core wants of the session. -1 ends the loop. */
static int grant(loop_t *self, unsigned wishes)
{
    if (wishes & WCORE_FATAL) {
        self->rc = ag_fail(&self->error, ARGOSY_EREJECTED, "the broker refuses this worker: %s",
                           wcore_reason(self->core));
        return -1;
    }
    if (wishes & WCORE_RECONNECT) {
        self->rc = reconnect(self);
        if (self->rc < 0)
            return -1;
    }
    if (wishes & WCORE_HELLO)
        say_hello(self);
    if (wishes & WCORE_PING)
        send_message(self, &(struct proto){.type = AG_PING, .ping = {.number = ++self->pings}});
    if (wishes & WCORE_BYE)
        send_message(
            self, &(struct proto){.type = AG_BYE, .bye = {.reason = ag_bytes_of_text("drained")}});
    if (wishes & WCORE_RESTART) {
        self->wants_restart = true;
        ag_log_warning("worker", "an attempt does not end: starting anew without it",
                       ag_kv("stuck", self->running));
    }
    return wishes & WCORE_EXIT ? -1 : 0;
}

/* What the core wants of attempts. True: some have begun. */
static bool move_attempts(loop_t *self)
{
    struct wcore_attempt *attempt;
    bool has_begun = false;

    while ((attempt = wcore_next_stop(self->core)) != NULL)
        stop(self, attempt);
    while ((attempt = wcore_next_kill(self->core)) != NULL)
        kill_attempt(self, attempt);
    while ((attempt = wcore_next_start(self->core, ag_clock_mono_ms())) != NULL) {
        start(self, attempt);
        has_begun = true;
    }
    return has_begun;
}

/* What has just begun usually wants to be looked at at once: without another turn of the loop, its
 * system calls and its timer. */
static void run_due(loop_t *self)
{
    int64_t now = ag_clock_mono_ms();

    for (unsigned i = 0; i < self->config.sources_count; i++) {
        const struct loop_source *source = &self->config.sources[i];

        if (source->deadline != NULL && source->deadline(source->arg) <= now)
            source->turn(source->arg, now);
    }
}

/* What every turn ends with. */
static int end_turn(loop_t *self)
{
    int rc;

    look_at_progress(self, ag_clock_mono_ms());
    if (move_attempts(self)) {
        run_due(self);
        move_attempts(self);
    }
    rc = grant(self, wcore_wishes(self->core));
    if (rc < 0)
        return rc;
    tell_session(self);
    if (wcore_is_draining(self->core)) /* else what is handed back would be given to us again */
        say_credit(self);
    say_results(self);
    say_progress(self);
    say_credit(self);
    arm(self);
    return 0;
}

static int on_timer(zloop_t *loop, int timer, void *arg)
{
    loop_t *self = arg;
    int64_t now = ag_clock_mono_ms();

    (void)loop;
    (void)timer;
    self->timer = -1;
    self->is_blocked = false; /* it may have room again */
    ag_log_flush();
    if (wcore_deadline(self->core) <= now)
        wcore_on_timer(self->core, now);
    run_due(self);
    return end_turn(self);
}

static int on_source(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    loop_t *self = arg;

    (void)loop;
    for (unsigned i = 0; i < self->config.sources_count; i++)
        if (self->config.sources[i].fd == item->fd)
            self->config.sources[i].turn(self->config.sources[i].arg, ag_clock_mono_ms());
    return end_turn(self);
}

static void take(loop_t *self, struct ag_bytes frame)
{
    struct argosy_error err = {0};

    if (ag_proto_decode(frame, &self->in, &err) < 0) {
        ag_log_warning("worker", "a message of the broker was not understood",
                       ag_kv("reason", err.message));
        return;
    }
    ag_log_trace("wire", "received", ag_kv("message", ag_message_name(self->in.type)),
                 ag_kv("bytes", frame.size));
    if (self->in.type == AG_PING)
        send_message(self,
                     &(struct proto){.type = AG_PONG, .pong = {.number = self->in.ping.number}});
    if (self->in.type == AG_BYE) {
        ag_log_info("worker", "the broker has stopped; waiting for it",
                    ag_kv("reason", self->in.bye.reason));
        self->was_open = false; /* told: it is nothing to warn of */
    }
    if (self->in.type == AG_REJECT)
        ag_log_debug("worker", "the broker rejects a message", ag_kv("type", self->in.reject.type),
                     ag_kv("message", ag_message_name(self->in.reject.about)),
                     ag_kv("reason", self->in.reject.message));
    wcore_on_message(self->core, ag_clock_mono_ms(), &self->in);
}

static int on_readable(zloop_t *loop, zsock_t *socket, void *arg)
{
    loop_t *self = arg;

    (void)loop;
    (void)socket;
    for (int n = 0; n < TURN_MESSAGES; n++) {
        zmq_msg_t message;
        bool more = false;

        zmq_msg_init(&message);
        if (zmq_msg_recv(&message, self->handle, ZMQ_DONTWAIT) >= 0) {
            more = true;
            take(self, ag_bytes_of(zmq_msg_data(&message), zmq_msg_size(&message)));
        }
        zmq_msg_close(&message);
        if (!more)
            break;
    }
    self->is_blocked = false;
    return end_turn(self);
}

/* ---- the end
 * ------------------------------------------------------------------------------------------- */

static int on_signal(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    loop_t *self = arg;
    struct signalfd_siginfo info;

    (void)loop;
    if (read(item->fd, &info, sizeof info) != sizeof info)
        return 0;
    if (self->is_stopping) {
        ag_log_warning("worker", "a second signal: stopping at once",
                       ag_kv("running", self->running));
        return -1;
    }
    self->is_stopping = true;
    ag_log_info("worker", "leaving: what runs may end, the rest is handed back",
                ag_kv("signal", strsignal((int)info.ssi_signo)), ag_kv("running", self->running),
                ag_kv("grace_ms", self->config.grace_ms));
    wcore_on_drain(self->core, ag_clock_mono_ms(), self->config.grace_ms);
    return end_turn(self);
}

/* Take every attempt out of the engines' hands, so that they can be destroyed. */
static void stop_all(loop_t *self)
{
    int64_t until = ag_clock_mono_ms() + FORCED_STOP_MS;
    struct wcore_attempt *attempt;

    wcore_on_drain(self->core, ag_clock_mono_ms(), 0);
    wcore_on_timer(self->core, ag_clock_mono_ms());
    while ((attempt = wcore_next_stop(self->core)) != NULL)
        stop(self, attempt);
    while (self->running > 0 && ag_clock_mono_ms() < until) {
        for (unsigned i = 0; i < self->config.sources_count; i++)
            self->config.sources[i].turn(self->config.sources[i].arg, ag_clock_mono_ms());
        usleep(1000);
    }
}

int loop_run(loop_t *self, struct argosy_error *err)
{
    struct wcore_counts counts;

    self->rc = grant(self, wcore_wishes(self->core));
    if (self->rc == 0) {
        arm(self);
        zloop_start(self->loop);
    }
    if (self->running > 0 && !self->wants_restart)
        stop_all(self);
    wcore_count(self->core, &counts);
    if (counts.unrecorded > 0)
        ag_log_warning("worker",
                       "left with results that the broker has not recorded; it will "
                       "give the jobs to others",
                       ag_kv("results", counts.unrecorded));
    ag_log_info("worker", "stopped");
    if (self->socket != NULL) {
        int linger = LINGER_MS;

        zmq_setsockopt(self->handle, ZMQ_LINGER, &linger, sizeof linger);
    }
    if (self->rc < 0 && err != NULL)
        *err = self->error;
    return self->rc;
}

/* ---- the beginning
 * --------------------------------------------------------------------------------------- */

static int open_loop(loop_t *self, struct argosy_error *err)
{
    zmq_pollitem_t item = {.events = ZMQ_POLLIN};
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    self->signals = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (self->signals < 0)
        return ag_fail(err, ARGOSY_EIO, "cannot take signals: %s", strerror(errno));
    self->loop = zloop_new();
    self->core = wcore_new(&self->config.core, ag_clock_mono_ms());
    item.fd = self->signals;
    if (self->loop == NULL || self->core == NULL ||
        zloop_poller(self->loop, &item, on_signal, self) < 0)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a loop");
    for (unsigned i = 0; i < self->config.sources_count; i++) {
        item.fd = self->config.sources[i].fd;
        if (zloop_poller(self->loop, &item, on_source, self) < 0)
            return ag_fail(err, ARGOSY_ENOMEM, "no memory for a loop");
    }
    zloop_set_nonstop(self->loop, true);
    return 0;
}

int loop_new(loop_t **out, const struct loop_config *config, struct argosy_error *err)
{
    loop_t *self = calloc(1, sizeof *self);
    int rc;

    *out = NULL;
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a loop");
    self->config = *config;
    self->signals = self->timer = -1;
    ag_link_init(&self->tasks);
    self->frame = ag_buffer_empty(AG_MESSAGE_BYTES_MAX);
    self->holding = ag_buffer_empty(AG_MESSAGE_BYTES_MAX);
    rc = open_loop(self, err);
    if (rc == 0)
        rc = connect_to(self, config->endpoints[0], err);
    if (rc < 0) {
        loop_destroy(&self);
        return rc;
    }
    *out = self;
    return 0;
}

void loop_destroy(loop_t **self_p)
{
    loop_t *self = *self_p;

    if (self == NULL)
        return;
    if (self->loop != NULL)
        disconnect(self);
    zloop_destroy(&self->loop);
    wcore_destroy(&self->core);
    if (self->signals >= 0)
        close(self->signals);
    ag_buffer_free(&self->frame);
    ag_buffer_free(&self->holding);
    free(self);
    *self_p = NULL;
}

bool loop_wants_restart(const loop_t *self)
{
    return self->wants_restart;
}

void loop_close(loop_t *self)
{
    disconnect(self);
    zsys_shutdown();
}
