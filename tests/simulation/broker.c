/* The broker: what the reactor, the delivery and the store do around the core. */
#include <stdlib.h>
#include <string.h>

#include "broker/arguments.h"
#include "broker/core/record.h"
#include "tests/simulation/sim.h"

/* ---- the journal -------------------------------------------------------------------------------
 */

static void append_record(struct sim *self, const struct effect *effect)
{
    ag_buffer_clear(&self->record);
    core_write_record(self->core, effect, &self->record);
    journal_append(&self->journal, ++self->appended, ag_buffer_bytes(&self->record));
    truth_record(self, self->appended, ag_buffer_bytes(&self->record));
}

/* What a step has written becomes durable as a whole, some time later. */
static void end_step(struct sim *self, uint64_t before)
{
    if (self->appended == before)
        return;
    if (self->ends_count == self->ends_capacity) {
        self->ends_capacity = 2 * self->ends_capacity + 256;
        self->ends = realloc(self->ends, self->ends_capacity * sizeof *self->ends);
        if (self->ends == NULL)
            abort();
    }
    self->ends[self->ends_count++] = (struct step_end){self->appended, self->journal.size};
    if (self->commit_at == INT64_MAX)
        self->commit_at = self->now + between(self, 0, 6);
}

/* ---- what was put aside --------------------------------------------------------------
 */

struct wanted {
    struct ag_id id;
    uint64_t number, ended;
};

static void want(struct sim *self, const struct effect *effect)
{
    struct wanted wanted = {
        .id = effect->load.id, .number = effect->load.number, .ended = effect->load.ended};

    ag_buffer_append(&self->wanted, &wanted, sizeof wanted);
    if (self->load_at == INT64_MAX)
        self->load_at = self->now + between(self, 0, 10);
}

/* A store reads what it has been given, durable or not. */
static struct core_loaded load(const struct sim *self, const struct wanted *wanted)
{
    struct core_loaded loaded = {
        .id = wanted->id, .number = wanted->number, .ended = wanted->ended};
    uint64_t row = wanted->ended > 0 ? wanted->ended : wanted->number, number;
    enum core_record type = wanted->ended > 0 ? RECORD_END : RECORD_JOB;
    struct ag_bytes bytes;
    struct record record;

    for (size_t at = 0; !loaded.is_there && journal_next(&self->journal, &at, &number, &bytes);)
        if (number == row && record_read(bytes, &record, NULL) == 0 && record.type == type) {
            loaded.is_there = true;
            loaded.bytes = type == RECORD_END ? record.end.result : record.job.spec.payload;
        }
    return loaded;
}

static void forget_wanted(struct sim *self)
{
    ag_buffer_clear(&self->wanted);
    self->wanted_at = 0;
    self->load_at = INT64_MAX;
}

/* ---- effects -----------------------------------------------------------------------------------
 */

static void welcome(struct sim *self, const struct effect *effect)
{
    struct conn *conn = net_find(self, effect->peer);

    if (conn != NULL) {
        conn->role = effect->welcome.role;
        conn->instance = effect->welcome.instance;
    }
    self->out = (struct proto){.type = AG_WELCOME};
    self->out.welcome.version = 1;
    self->out.welcome.epoch = self->config.epoch;
    self->out.welcome.heartbeat_ms = SIM_HEARTBEAT_MS;
    self->out.welcome.window = 4096;
    net_send_down(self, effect->peer, &self->out);
}

static void tell_events(struct sim *self, const struct effect *effect)
{
    static struct ag_buffer attempts[AG_MESSAGE_ITEMS_MAX];
    struct proto_events *out = &self->out.events;

    self->out.type = AG_EVENTS;
    core_describe_target(self->core, effect, out);
    out->count = 0;
    for (uint32_t i = 0; i < effect->events.count; i++, out->cursor++) {
        struct ag_buffer *list = &attempts[out->count];

        if ((effect->events.flags & PROTO_WATCH_FAILURES) &&
            !core_is_failure(effect->events.jobs[i]))
            continue;
        list->size_max = 1 << 20;
        core_describe(self->core, effect->events.jobs[i], effect->events.flags, list,
                      &out->items[out->count++]);
    }
    net_send_down(self, effect->peer, &self->out);
    for (int i = 0; i < AG_MESSAGE_ITEMS_MAX; i++)
        ag_buffer_free(&attempts[i]);
}

static void accepted(struct sim *self, const struct effect *effect)
{
    struct proto_accepted *out = &self->out.accepted;

    self->out.type = AG_ACCEPTED;
    out->request = effect->accepted.request;
    out->accepted = effect->accepted.accepted;
    out->repeated = effect->accepted.repeated;
    out->refused_count = effect->accepted.refused_count;
    for (uint32_t i = 0; i < out->refused_count; i++)
        out->refused[i] = effect->accepted.refused[i];
    out->window = 4096;
    out->retry_after_ms = effect->accepted.retry_after_ms;
    net_send_down(self, effect->peer, &self->out);
}

static void token(struct sim *self, const struct effect *effect, enum ag_message type)
{
    self->out.type = type;
    self->out.stop.count = 1;
    self->out.stop.items[0] = effect->token;
    net_send_down(self, effect->peer, &self->out);
}

/* Whoever sends finds out, often, that the connection is not there any more. */
static void note_unsent(struct sim *self, const struct effect *effect)
{
    const struct conn *conn = net_find(self, effect->peer);

    if (conn == NULL || conn->is_current || self->unsent_count == SIM_UNSENT_MAX ||
        !chance(self, 70))
        return;
    self->unsent[self->unsent_count++] =
        (struct sim_unsent){.number = effect->peer, .token = effect->run.token};
}

static void carry_out(struct sim *self, const struct effect *effect)
{
    struct conn *conn;

    switch (effect->type) {
    case EFFECT_JOURNAL:
        append_record(self, effect);
        break;
    case EFFECT_LOAD:
        want(self, effect);
        break;
    case EFFECT_WELCOME:
        welcome(self, effect);
        break;
    case EFFECT_REJECT:
        self->out.type = AG_REJECT;
        self->out.reject = (struct proto_reject){.type = ag_bytes_of_text(effect->reject.type),
                                                 .message = ag_bytes_of_text(""),
                                                 .about = effect->reject.about};
        net_send_down(self, effect->peer, &self->out);
        break;
    case EFFECT_CLOSE:
        if ((conn = net_find(self, effect->peer)) != NULL)
            conn->role = 0;
        break;
    case EFFECT_RUN:
        self->out.type = AG_JOBS;
        self->out.jobs.count = 1;
        self->out.jobs.items[0] = effect->run;
        net_send_down(self, effect->peer, &self->out);
        note_unsent(self, effect);
        break;
    case EFFECT_STOP:
        token(self, effect, AG_STOP);
        break;
    case EFFECT_RECORDED:
        token(self, effect, AG_RECORDED);
        break;
    case EFFECT_RECALL:
        token(self, effect, AG_RECALL);
        break;
    case EFFECT_DRAIN:
        self->out.type = AG_DRAIN;
        self->out.drain.grace_ms = effect->grace_ms;
        net_send_down(self, effect->peer, &self->out);
        break;
    case EFFECT_ACCEPTED:
        accepted(self, effect);
        break;
    case EFFECT_EVENTS:
        tell_events(self, effect);
        break;
    case EFFECT_NEWS:
    case EFFECT_ALARM:
        break;
    case EFFECT_ANSWER:
        self->out.type = AG_ANSWER;
        self->out.answer = (struct proto_answer){.request = effect->answer.request,
                                                 .type = ag_bytes_of_text(effect->answer.type),
                                                 .message = ag_bytes_of_text(""),
                                                 .body = ag_bytes_of("\x80", 1)};
        net_send_down(self, effect->peer, &self->out);
        break;
    }
}

static void take_back_unsent(struct sim *self);

static void step(struct sim *self, struct core_event *event)
{
    const struct effects *effects;
    const char *broken;
    uint64_t before = self->appended;

    event->now = self->now;
    self->events++;
    if (core_step(self->core, event, &effects) < 0)
        abort();
    for (size_t i = 0; i < effects->count; i++) {
        truth_effect(self, &effects->items[i]);
        carry_out(self, &effects->items[i]);
    }
    truth_step_ended(self);
    end_step(self, before);
    broken = core_broken_invariant(self->core);
    if (broken != NULL)
        sim_broken(self, "the core: %s", broken);
    take_back_unsent(self);
}

static void take_back_unsent(struct sim *self)
{
    while (self->unsent_count > 0) {
        const struct sim_unsent *last = &self->unsent[--self->unsent_count];
        const struct conn *conn = net_find(self, last->number);
        struct proto_tokens tokens = {.count = 1};

        tokens.items[0] = last->token;
        if (conn != NULL && conn->role != 0)
            step(self, &(struct core_event){.type = CORE_UNSENT,
                                            .peer = conn->number,
                                            .instance = conn->instance,
                                            .unsent = &tokens});
    }
}

/* ---- messages ----------------------------------------------------------------------------------
 */

static void reject(struct sim *self, const struct conn *conn, const char *type)
{
    self->out.type = AG_REJECT;
    self->out.reject =
        (struct proto_reject){.type = ag_bytes_of_text(type), .message = ag_bytes_of_text("")};
    net_send_down(self, conn->number, &self->out);
}

/* False: it cannot be understood, which the client library sees to that it can. */
static bool read_order(struct sim *self, struct core_event *event)
{
    static struct core_control order;
    struct argosy_error err = {0};

    event->type = CORE_CONTROL;
    event->control = &order;
    if (arguments_to_control(&self->in.control, &order, &err) == 0)
        return true;
    sim_broken(self, "an order cannot be understood: %s", err.message);
    return false;
}

static bool make_event(struct sim *self, const struct conn *conn, struct core_event *event)
{
    const struct proto *in = &self->in;

    *event =
        (struct core_event){.type = CORE_ALIVE, .peer = conn->number, .instance = conn->instance};
    if (in->type == AG_CONTROL)
        return read_order(self, event);
    if (in->type != AG_HELLO) {
        core_event_of(in, event);
        return true;
    }
    event->type = CORE_JOIN;
    event->instance = in->hello.instance;
    event->hello = &in->hello;
    return conn->role == 0 || ag_id_equal(&conn->instance, &in->hello.instance);
}

void broker_hears(struct sim *self, struct conn *conn)
{
    struct frame *frame = net_first(&conn->up);
    struct core_event event;
    struct argosy_error err = {0};

    ag_link_remove(&frame->link);
    if (ag_proto_decode(ag_bytes_of(frame->data, frame->size), &self->in, &err) < 0) {
        sim_broken(self, "a message cannot be decoded: %s", err.message);
    } else if (!self->broker_is_up) {
        ; /* it is lost with the process */
    } else if (self->in.type != AG_HELLO && conn->role == 0) {
        if (self->in.type != AG_BYE)
            reject(self, conn, "rejected.session");
    } else if (make_event(self, conn, &event)) {
        if (self->in.type == AG_PING)
            net_send_down(self, conn->number,
                          &(struct proto){.type = AG_PONG, .pong = self->in.ping});
        truth_heard(self, conn, &self->in);
        if (event.type == CORE_CONTROL)
            truth_ordered(self, conn, event.control);
        step(self, &event);
    }
    free(frame);
}

void broker_looks_at_clock(struct sim *self)
{
    if (self->config.unix_offset_ms == self->unix_offset_ms)
        return;
    self->config.unix_offset_ms = self->unix_offset_ms;
    step(self, &(struct core_event){.type = CORE_CLOCK, .unix_offset_ms = self->unix_offset_ms});
}

/* As the reactor does: the time is looked at before any tick fires. */
void broker_timer(struct sim *self)
{
    broker_looks_at_clock(self);
    step(self, &(struct core_event){.type = CORE_TIMER});
}

void broker_commit(struct sim *self)
{
    size_t last = self->ends_count - 1;
    const struct step_end *end;

    if (!chance(self, 70)) /* not all of it in one go */
        last = (size_t)between(self, (int64_t)self->ends_committed, (int64_t)last);
    end = &self->ends[last];
    self->ends_committed = last + 1;
    self->committed = end->records;
    self->durable = end->bytes;
    self->durable_records = end->records;
    self->commit_at =
        self->ends_committed < self->ends_count ? self->now + between(self, 1, 6) : INT64_MAX;
    step(self, &(struct core_event){.type = CORE_COMMITTED, .committed = self->committed});
}

void broker_load(struct sim *self)
{
    struct core_loaded loaded;
    struct wanted wanted;

    memcpy(&wanted, self->wanted.data + self->wanted_at, sizeof wanted);
    self->wanted_at += sizeof wanted;
    if (self->wanted_at == self->wanted.size)
        forget_wanted(self);
    else
        self->load_at = self->now + between(self, 0, 2);
    loaded = load(self, &wanted);
    step(self, &(struct core_event){.type = CORE_LOADED, .loaded = &loaded});
}

/* ---- life --------------------------------------------------------------------------------------
 */

/* Somebody ordered it long ago. */
void broker_has_relaxed_queue(struct sim *self)
{
    struct record record = {.type = RECORD_QUEUE,
                            .queue = {.name = ag_bytes_of_text(SIM_RELAXED), .relaxed = true}};

    record_write(&record, &self->record);
    journal_append(&self->journal, ++self->durable_records, ag_buffer_bytes(&self->record));
    self->durable = self->journal.size;
}

void broker_start(struct sim *self)
{
    struct argosy_error err = {0};
    struct ag_bytes bytes;
    struct record record;
    uint64_t number = 0;

    if (chance(self, 1)) { /* a store of production, which costs time */
        const char *differs = journal_fold_by_tables(&self->journal);

        if (differs != NULL)
            sim_broken(self, "%s", differs);
        self->durable = self->journal.size;
    } else if (chance(self, 50)) { /* as a store does it all the time */
        journal_fold(&self->journal);
        self->durable = self->journal.size;
    }
    forget_wanted(self);
    self->config.awake_max = chance(self, 50) ? 0 : (uint32_t)between(self, 1, 4);
    self->config.epoch++;
    self->config.unix_offset_ms = self->unix_offset_ms;
    self->config.seed = ag_random_next(&self->random);
    self->core = core_new(&self->config);
    if (self->core == NULL)
        abort();
    for (size_t at = 0; journal_next(&self->journal, &at, &number, &bytes);)
        if (record_read(bytes, &record, &err) < 0 ||
            core_restore(self->core, self->now, number, &record, &err) < 0) {
            sim_broken(self, "%s", err.message);
            break;
        }
    core_restored(self->core, self->durable_records);
    self->broker_is_up = true;
    self->stop_at = INT64_MAX;
    self->appended = self->committed = self->durable_records;
    self->ends_count = self->ends_committed = 0;
    self->commit_at = INT64_MAX;
    if (self->durable > 0 && self->broken[0] == '\0') {
        const char *broken = core_broken_invariant(self->core);

        if (broken != NULL)
            sim_broken(self, "the core after recovery: %s", broken);
        truth_restored(self);
        truth_schedules_restored(self);
    }
}

/* What was not durable is lost, or the last of it was written after all and nobody knows. */
void broker_crash(struct sim *self)
{
    sim_trace(self, "the broker crashes");
    if (chance(self, 30) && self->ends_count > self->ends_committed) {
        const struct step_end *end = &self->ends[between(self, (int64_t)self->ends_committed,
                                                         (int64_t)self->ends_count - 1)];

        self->durable = end->bytes;
        self->durable_records = end->records;
    }
    self->journal.size = self->durable;
    truth_crashed(self);
    truth_schedule_crashed(self);
    core_destroy(&self->core);
    self->broker_is_up = self->crashes_at_commit = false;
    self->commit_at = INT64_MAX;
    self->broker_back_at = self->now + between(self, 10, 1500);
    for (int i = 0; i < SIM_PEERS; i++)
        if (self->peers[i].conn != NULL)
            net_open(self, i, true);
    for (struct ag_link *at = self->conns.next; at != &self->conns; at = at->next)
        AG_OWNER(at, struct conn, link)->role = 0;
    for (int w = 0; w < SIM_WORKERS; w++)
        self->peers[w].has_session = false;
    for (int w = 0; w < SIM_WORKERS; w++)
        for (int t = 0; t < SIM_TASKS; t++)
            self->workers[w].tasks[t].is_held = false;
}

void broker_is_told_to_stop(struct sim *self)
{
    if (self->stop_at != INT64_MAX)
        return;
    sim_trace(self, "the broker is told to stop");
    self->stop_at = self->now + between(self, 0, 600);
    step(self, &(struct core_event){.type = CORE_STOPPING});
}

void broker_stop(struct sim *self)
{
    core_destroy(&self->core);
    free(self->ends);
    ag_buffer_free(&self->journal);
    ag_buffer_free(&self->record);
    ag_buffer_free(&self->wanted);
}
