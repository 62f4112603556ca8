#include "worker/core/wcore.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/assert.h"
#include "common/error.h"
#include "common/wire.h"

enum { BUCKETS = 4096 };

struct slots {
    struct ag_link queued;
    uint32_t queued_count, running;
    uint32_t credit_told; /* UINT32_MAX: not in this session */
    uint32_t ends;        /* of attempts that ran, up to WCORE_AHEAD_SAMPLES */
    uint32_t mean_ms_16;  /* how long they ran: sixteen times the running mean */
};

struct wcore {
    struct wcore_config config;
    struct slots slots[AG_KINDS_MAX];
    struct ag_link all, running, unsent, sent, to_stop, to_kill, to_tell;
    uint32_t stuck_count;
    struct ag_link buckets[BUCKETS];
    struct ag_heap timers;
    uint32_t held;
    uint64_t results_bytes; /* of ended attempts */
    bool is_choked;         /* too many of them, or too large: no credit */
    unsigned wishes;
    char reason[256];
    /* the session */
    bool is_open;
    uint32_t heartbeat_ms;
    int64_t heard_at, session_at; /* session_at: when the session needs something */
    /* leaving */
    bool is_draining;
    int64_t drain_at; /* the next thing to do about it; INT64_MAX nothing */
    bool drain_stopped;
};

/* ---- life
 * ---------------------------------------------------------------------------------------- */

wcore_t *wcore_new(const struct wcore_config *config, int64_t now)
{
    wcore_t *self = calloc(1, sizeof *self);

    if (self == NULL)
        return NULL;
    self->config = *config;
    self->heartbeat_ms = config->heartbeat_ms;
    ag_link_init(&self->all);
    ag_link_init(&self->running);
    ag_link_init(&self->unsent);
    ag_link_init(&self->sent);
    ag_link_init(&self->to_stop);
    ag_link_init(&self->to_kill);
    ag_link_init(&self->to_tell);
    for (unsigned i = 0; i < BUCKETS; i++)
        ag_link_init(&self->buckets[i]);
    for (unsigned i = 0; i < config->kinds_count; i++) {
        ag_link_init(&self->slots[i].queued);
        self->slots[i].credit_told = UINT32_MAX;
    }
    self->heard_at = now;
    self->session_at = now + self->heartbeat_ms;
    self->drain_at = INT64_MAX;
    self->wishes = WCORE_HELLO;
    if (ag_heap_reserve(&self->timers, AG_SLOTS_MAX) < 0)
        wcore_destroy(&self);
    return self;
}

static void attempt_free(wcore_t *self, struct wcore_attempt *attempt)
{
    ag_heap_stop(&self->timers, &attempt->timer);
    ag_link_remove(&attempt->link);
    ag_link_remove(&attempt->all);
    ag_link_remove(&attempt->by_token);
    ag_link_remove(&attempt->to_stop);
    ag_link_remove(&attempt->to_tell);
    ag_buffer_free(&attempt->partial);
    self->held--;
    self->results_bytes -= attempt->report.result.size + attempt->report.error.size;
    outcome_fini(&attempt->report);
    free(attempt->payload);
    free(attempt);
}

void wcore_destroy(wcore_t **self_p)
{
    wcore_t *self = *self_p;

    if (self == NULL)
        return;
    while (!ag_list_is_empty(&self->all))
        attempt_free(self, AG_OWNER(self->all.next, struct wcore_attempt, all));
    ag_heap_fini(&self->timers);
    free(self);
    *self_p = NULL;
}

/* ---- finding
 * ------------------------------------------------------------------------------------- */

static struct ag_link *bucket_of(wcore_t *self, const struct proto_token *token)
{
    return &self->buckets[ag_id_hash(&token->job, token->attempt) % BUCKETS];
}

static struct wcore_attempt *find(wcore_t *self, const struct proto_token *token)
{
    struct ag_link *bucket = bucket_of(self, token);

    for (struct ag_link *at = bucket->next; at != bucket; at = at->next) {
        struct wcore_attempt *attempt = AG_OWNER(at, struct wcore_attempt, by_token);

        if (attempt->token.attempt == token->attempt && attempt->token.epoch == token->epoch &&
            ag_id_equal(&attempt->token.job, &token->job))
            return attempt;
    }
    return NULL;
}

static unsigned find_kind(const wcore_t *self, struct ag_bytes name)
{
    unsigned i = 0;

    while (i < self->config.kinds_count && !ag_bytes_are(name, self->config.kinds[i].name))
        i++;
    return i;
}

/* ---- the session
 * --------------------------------------------------------------------------------- */

static void greet(wcore_t *self, int64_t now, unsigned wish)
{
    self->is_open = false;
    self->wishes |= wish;
    self->session_at = now + self->heartbeat_ms;
}

void wcore_on_unsent(wcore_t *self)
{
    while (!ag_list_is_empty(&self->sent))
        ag_list_append(&self->unsent, self->sent.next);
    for (unsigned i = 0; i < self->config.kinds_count; i++)
        self->slots[i].credit_told = UINT32_MAX;
}

static void on_welcome(wcore_t *self, int64_t now, const struct proto_welcome *welcome)
{
    self->is_open = true;
    if (welcome->heartbeat_ms > 0)
        self->heartbeat_ms = welcome->heartbeat_ms;
    self->session_at = now + self->heartbeat_ms;
    wcore_on_unsent(self); /* a session begins */
}

static void on_reject(wcore_t *self, int64_t now, const struct proto_reject *reject)
{
    if (ag_bytes_are(reject->type, "rejected.session")) {
        if (self->is_open) /* else HELLO is on its way already */
            greet(self, now, WCORE_HELLO);
    } else if (ag_bytes_are(reject->type, "rejected.version") ||
               (ag_bytes_are(reject->type, "rejected.role") && reject->about == AG_HELLO)) {
        snprintf(self->reason, sizeof self->reason, "%.*s: %.*s", AG_TEXT(reject->type),
                 AG_TEXT(reject->message));
        self->wishes |= WCORE_FATAL;
    }
    /* rejected.full: the next heartbeat tries again. The rest is a bug that the loop has logged. */
}

static void session_timer(wcore_t *self, int64_t now)
{
    if (now < self->session_at)
        return;
    if (!self->is_open ||
        now - self->heard_at >= (int64_t)WCORE_SILENT_BEATS * self->heartbeat_ms) {
        greet(self, now, WCORE_RECONNECT | WCORE_HELLO);
        return;
    }
    self->wishes |= WCORE_PING;
    self->session_at = now + self->heartbeat_ms;
}

static void begin_drain(wcore_t *self, int64_t now, int64_t until);

/* ---- the ends of attempts
 * -------------------------------------------------------------------------- */

/* How long the jobs of a kind run, so that no more of them wait here than hide the network. */
static void learn(struct slots *slots, uint32_t ran_ms)
{
    uint32_t capped = ran_ms < 1000000 ? ran_ms : 1000000;

    slots->mean_ms_16 = slots->ends == 0 ? 16 * capped : slots->mean_ms_16 * 15 / 16 + capped;
    if (slots->ends < WCORE_AHEAD_SAMPLES)
        slots->ends++;
}

static void end(wcore_t *self, int64_t now, struct wcore_attempt *attempt,
                enum proto_outcome outcome)
{
    struct slots *slots = &self->slots[attempt->kind];

    if (attempt->state == ATTEMPT_RUNNING) {
        slots->running--;
        attempt->ran_ms = (uint32_t)(now - attempt->since);
        learn(slots, attempt->ran_ms);
    } else if (attempt->kind < self->config.kinds_count &&
               ag_link_is_listed(&attempt->link)) { /* not for what was never queued */
        slots->queued_count--;
    }
    ag_heap_stop(&self->timers, &attempt->timer);
    ag_link_remove(&attempt->to_stop);
    ag_link_remove(&attempt->to_tell);
    ag_buffer_free(&attempt->partial);
    self->stuck_count -= attempt->is_stuck;
    attempt->is_stuck = false;
    attempt->state = ATTEMPT_ENDED;
    attempt->since = now;
    attempt->outcome = outcome;
    free(attempt->payload);
    attempt->payload = NULL;
    self->results_bytes += attempt->report.result.size + attempt->report.error.size;
    ag_list_append(&self->unsent, &attempt->link);
}

static void fail(struct wcore_attempt *attempt, const char *type, bool retryable,
                 const char *message)
{
    outcome_fini(&attempt->report);
    outcome_fail(&attempt->report, type, retryable, NULL, "%s", message);
    snprintf(attempt->message, sizeof attempt->message, "%s", message);
}

/* The message of an error leaf or group, for the attempts that people see in a report. */
static void take_message(struct wcore_attempt *attempt)
{
    struct ag_reader reader = ag_reader_of(ag_buffer_bytes(&attempt->report.error));
    uint32_t pairs;

    attempt->message[0] = '\0';
    if (attempt->report.error.size == 0)
        return;
    pairs = ag_read_map(&reader);
    for (uint32_t i = 0; i < pairs && !reader.failed; i++) {
        struct ag_bytes key = ag_read_text(&reader, AG_NAME_BYTES_MAX);

        if (ag_bytes_are(key, "message")) {
            struct ag_bytes text = ag_read_text(&reader, AG_RESULT_BYTES_MAX);
            size_t size =
                text.size < sizeof attempt->message - 1 ? text.size : sizeof attempt->message - 1;

            if (size > 0) /* else it may be no text at all */
                memcpy(attempt->message, text.data, size);
            attempt->message[size] = '\0';
            ag_drop_half_character(attempt->message);
            return;
        }
        ag_read_skip(&reader);
    }
}

static enum proto_outcome outcome_of(struct wcore_attempt *attempt)
{
    switch (attempt->stop) {
    case STOP_CANCEL:
        return PROTO_CANCELLED;
    case STOP_TIMEOUT:
        fail(attempt, "timeout.run", true, "ran longer than its limit");
        return PROTO_FAILED;
    case STOP_DRAIN:
        if (!attempt->report.succeeded)
            return PROTO_RELEASED;
        break;
    case STOP_NONE:
        break;
    }
    return attempt->report.succeeded ? PROTO_SUCCEEDED : PROTO_FAILED;
}

void wcore_on_finished(wcore_t *self, int64_t now, struct wcore_attempt *attempt,
                       struct outcome *outcome)
{
    enum proto_outcome how;

    AG_ASSERT(attempt->state == ATTEMPT_RUNNING);
    attempt->report = *outcome;
    *outcome = (struct outcome){0};
    attempt->task = NULL;
    if (attempt->report.result.failed || attempt->report.error.failed ||
        attempt->report.result.size + attempt->report.error.size > AG_RESULT_BYTES_MAX)
        fail(attempt, "handler.result", false,
             "the result is larger than 8 MiB, or memory was too short for it");
    how = outcome_of(attempt);
    if (how == PROTO_CANCELLED || how == PROTO_RELEASED)
        outcome_fini(&attempt->report);
    take_message(attempt);
    end(self, now, attempt, how);
}

static void tell_to_stop(wcore_t *self, int64_t now, struct wcore_attempt *attempt,
                         enum stop_reason reason)
{
    if (attempt->stop == reason || (attempt->stop != STOP_NONE && reason != STOP_CANCEL))
        return;                     /* the first reason stands; only a cancel overrules it */
    if (attempt->stop == STOP_NONE) /* else the clock is running already */
        ag_heap_set(&self->timers, &attempt->timer,
                    now + (attempt->grace_ms > 0 ? attempt->grace_ms : 1));
    attempt->stop = reason;
    if (!attempt->is_killed)
        ag_list_append(&self->to_stop, &attempt->to_stop);
}

/* It was asked and has not stopped: force; after that there is only a new process. */
static void escalate(wcore_t *self, int64_t now, struct wcore_attempt *attempt)
{
    if (!attempt->is_killed) {
        attempt->is_killed = true;
        ag_list_append(&self->to_kill, &attempt->to_stop);
        ag_heap_set(&self->timers, &attempt->timer, now + WCORE_STUCK_MS);
        return;
    }
    attempt->is_stuck = true;
    self->stuck_count++;
    begin_drain(self, now, INT64_MAX); /* the others may end */
}

/* ---- the broker's words
 * ----------------------------------------------------------------------------- */

static struct wcore_attempt *make(wcore_t *self, int64_t now, const struct proto_job *job)
{
    struct wcore_attempt *attempt = calloc(1, sizeof *attempt);

    if (attempt == NULL ||
        (attempt->payload = malloc(job->payload.size + job->inputs.size + 1)) == NULL) {
        free(attempt);
        return NULL;
    }
    if (job->payload.size > 0)
        memcpy(attempt->payload, job->payload.data, job->payload.size);
    if (job->inputs.size > 0)
        memcpy(attempt->payload + job->payload.size, job->inputs.data, job->inputs.size);
    attempt->payload_size = job->payload.size;
    attempt->inputs_size = job->inputs.size;
    attempt->partial = ag_buffer_empty(WCORE_PARTIAL_BYTES_MAX);
    attempt->token = job->token;
    attempt->run_ms = job->run_ms;
    attempt->grace_ms = job->grace_ms;
    attempt->since = now;
    ag_link_init(&attempt->link);
    ag_link_init(&attempt->all);
    ag_link_init(&attempt->by_token);
    ag_link_init(&attempt->to_stop);
    ag_link_init(&attempt->to_tell);
    ag_list_append(&self->all, &attempt->all);
    ag_list_append(bucket_of(self, &job->token), &attempt->by_token);
    self->held++;
    return attempt;
}

static void on_job(wcore_t *self, int64_t now, const struct proto_job *job)
{
    struct wcore_attempt *attempt;

    if (find(self, &job->token) != NULL)
        return; /* said again */
    attempt = self->held < AG_SLOTS_MAX ? make(self, now, job) : NULL;
    if (attempt == NULL || ag_heap_reserve(&self->timers, self->held) < 0) {
        /* Not held, as the next HELLO tells: the broker gives it to somebody else. Over a new
         * connection, so that what is on its way now is not taken for held or not held. */
        if (attempt != NULL)
            attempt_free(self, attempt);
        greet(self, now, WCORE_RECONNECT | WCORE_HELLO);
        return;
    }
    attempt->kind = find_kind(self, job->kind);
    if (attempt->kind == self->config.kinds_count) {
        fail(attempt, "rejected.kind", false, "this worker does not offer the kind");
        end(self, now, attempt, PROTO_FAILED);
        return;
    }
    if (self->is_draining) {
        end(self, now, attempt, PROTO_RELEASED);
        return;
    }
    self->slots[attempt->kind].queued_count++;
    ag_list_append(&self->slots[attempt->kind].queued, &attempt->link);
}

static void on_stop(wcore_t *self, int64_t now, const struct proto_token *token)
{
    struct wcore_attempt *attempt = find(self, token);

    if (attempt == NULL)
        return;
    if (attempt->state == ATTEMPT_QUEUED)
        end(self, now, attempt, PROTO_CANCELLED);
    else if (attempt->state == ATTEMPT_RUNNING)
        tell_to_stop(self, now, attempt, STOP_CANCEL);
}

/* Somebody else could begin it now. */
static void on_recall(wcore_t *self, int64_t now, const struct proto_token *token)
{
    struct wcore_attempt *attempt = find(self, token);

    if (attempt != NULL && attempt->state == ATTEMPT_QUEUED)
        end(self, now, attempt, PROTO_RELEASED);
}

static void on_recorded(wcore_t *self, const struct proto_token *token)
{
    struct wcore_attempt *attempt = find(self, token);

    if (attempt != NULL && attempt->state == ATTEMPT_ENDED)
        attempt_free(self, attempt);
}

/* ---- leaving
 * ---------------------------------------------------------------------------------------- */

static void begin_drain(wcore_t *self, int64_t now, int64_t until)
{
    if (self->is_draining && self->drain_at <= until)
        return;
    self->is_draining = true;
    self->drain_at = until;
    for (unsigned i = 0; i < self->config.kinds_count; i++)
        while (!ag_list_is_empty(&self->slots[i].queued))
            end(self, now, AG_OWNER(self->slots[i].queued.next, struct wcore_attempt, link),
                PROTO_RELEASED);
}

void wcore_on_drain(wcore_t *self, int64_t now, uint32_t grace_ms)
{
    begin_drain(self, now, now + grace_ms);
}

static void drain_timer(wcore_t *self, int64_t now)
{
    if (now < self->drain_at)
        return;
    if (self->drain_stopped) { /* the broker does not answer: it will find out by our silence */
        self->wishes |= WCORE_EXIT;
        self->drain_at = INT64_MAX;
        return;
    }
    self->drain_stopped = true;
    self->drain_at = now + (int64_t)WCORE_SILENT_BEATS * self->heartbeat_ms;
    for (struct ag_link *at = self->running.next; at != &self->running; at = at->next)
        tell_to_stop(self, now, AG_OWNER(at, struct wcore_attempt, link), STOP_DRAIN);
}

/* What is stuck is waited for no longer. */
static void leave_when_empty(wcore_t *self)
{
    if (self->is_draining && self->held == self->stuck_count) {
        self->wishes |= WCORE_BYE | WCORE_EXIT | (self->stuck_count > 0 ? WCORE_RESTART : 0);
        self->drain_at = INT64_MAX;
    }
}

/* ---- events
 * ----------------------------------------------------------------------------------------- */

void wcore_on_message(wcore_t *self, int64_t now, const struct proto *message)
{
    self->heard_at = now;
    switch (message->type) {
    case AG_WELCOME:
        on_welcome(self, now, &message->welcome);
        break;
    case AG_REJECT:
        on_reject(self, now, &message->reject);
        break;
    case AG_BYE: /* it stops: connect anew at the next heartbeat */
        greet(self, now, 0);
        break;
    case AG_JOBS:
        for (uint32_t i = 0; i < message->jobs.count; i++)
            on_job(self, now, &message->jobs.items[i]);
        break;
    case AG_STOP:
        for (uint32_t i = 0; i < message->stop.count; i++)
            on_stop(self, now, &message->stop.items[i]);
        break;
    case AG_RECALL:
        for (uint32_t i = 0; i < message->recall.count; i++)
            on_recall(self, now, &message->recall.items[i]);
        break;
    case AG_DRAIN:
        wcore_on_drain(self, now, message->drain.grace_ms);
        break;
    case AG_RECORDED:
        for (uint32_t i = 0; i < message->recorded.count; i++)
            on_recorded(self, &message->recorded.items[i]);
        break;
    default: /* PING, PONG: it is alive; the rest is not for workers */
        break;
    }
    leave_when_empty(self);
}

void wcore_on_timer(wcore_t *self, int64_t now)
{
    struct ag_timer *first;

    while ((first = ag_heap_first(&self->timers)) != NULL && first->at <= now) {
        struct wcore_attempt *attempt = AG_OWNER(first, struct wcore_attempt, timer);

        ag_heap_stop(&self->timers, first);
        if (attempt->stop == STOP_NONE)
            tell_to_stop(self, now, attempt, STOP_TIMEOUT);
        else
            escalate(self, now, attempt);
    }
    session_timer(self, now);
    drain_timer(self, now);
    leave_when_empty(self);
}

int64_t wcore_deadline(const wcore_t *self)
{
    const struct ag_timer *first = ag_heap_first(&self->timers);
    int64_t at = self->session_at;

    if (first != NULL && first->at < at)
        at = first->at;
    return self->drain_at < at ? self->drain_at : at;
}

/* ---- wishes
 * ----------------------------------------------------------------------------------------- */

unsigned wcore_wishes(wcore_t *self)
{
    unsigned wishes;

    leave_when_empty(self);
    wishes = self->wishes;
    self->wishes = 0;
    return wishes;
}

const char *wcore_reason(const wcore_t *self)
{
    return self->reason;
}

struct wcore_attempt *wcore_next_stop(wcore_t *self)
{
    struct wcore_attempt *attempt;

    if (ag_list_is_empty(&self->to_stop))
        return NULL;
    attempt = AG_OWNER(self->to_stop.next, struct wcore_attempt, to_stop);
    ag_link_remove(&attempt->to_stop);
    return attempt;
}

struct wcore_attempt *wcore_next_kill(wcore_t *self)
{
    struct wcore_attempt *attempt;

    if (ag_list_is_empty(&self->to_kill))
        return NULL;
    attempt = AG_OWNER(self->to_kill.next, struct wcore_attempt, to_stop);
    ag_link_remove(&attempt->to_stop);
    return attempt;
}

struct wcore_attempt *wcore_next_start(wcore_t *self, int64_t now)
{
    for (unsigned i = 0; i < self->config.kinds_count; i++) {
        struct slots *slots = &self->slots[i];
        struct wcore_attempt *attempt;

        if (slots->running >= self->config.kinds[i].slots || ag_list_is_empty(&slots->queued))
            continue;
        attempt = AG_OWNER(slots->queued.next, struct wcore_attempt, link);
        slots->queued_count--;
        slots->running++;
        ag_list_append(&self->running, &attempt->link);
        attempt->state = ATTEMPT_RUNNING;
        attempt->wait_ms = (uint32_t)(now - attempt->since);
        attempt->since = now;
        if (attempt->run_ms > 0)
            ag_heap_set(&self->timers, &attempt->timer, now + attempt->run_ms);
        return attempt;
    }
    return NULL;
}

static void describe(const struct wcore_attempt *attempt, struct proto_result *out)
{
    const struct outcome *report = &attempt->report;

    *out = (struct proto_result){.token = attempt->token,
                                 .outcome = attempt->outcome,
                                 .wait_ms = attempt->wait_ms,
                                 .run_ms = attempt->ran_ms,
                                 .type = ag_bytes_of_text(""),
                                 .message = ag_bytes_of_text(attempt->message)};
    if (report->result.size > 0)
        out->result = ag_buffer_bytes(&report->result);
    if (report->error.size > 0)
        out->error = ag_buffer_bytes(&report->error);
    if (attempt->outcome == PROTO_FAILED) {
        out->type = ag_bytes_of_text(report->type[0] != '\0' ? report->type : "handler.unknown");
        out->retryable = report->retryable;
        out->retry_after_ms = report->retry_after_ms;
    }
}

bool wcore_is_draining(const wcore_t *self)
{
    return self->is_draining;
}

/* It leaves, and the broker still believes that it takes jobs. */
static bool owes_a_credit_of_0(const wcore_t *self)
{
    for (unsigned i = 0; self->is_draining && i < self->config.kinds_count; i++)
        if (self->slots[i].credit_told != 0)
            return true;
    return false;
}

bool wcore_take_results(wcore_t *self, struct proto_results *out)
{
    size_t bytes = 0;

    out->count = 0;
    if (owes_a_credit_of_0(self))
        return false;
    while (self->is_open && out->count < AG_MESSAGE_ITEMS_MAX && !ag_list_is_empty(&self->unsent)) {
        struct wcore_attempt *attempt = AG_OWNER(self->unsent.next, struct wcore_attempt, link);
        size_t size = attempt->report.result.size + attempt->report.error.size;

        if (out->count > 0 && bytes + size > AG_MESSAGE_BYTES_FULL)
            break;
        bytes += size;
        describe(attempt, &out->items[out->count++]);
        ag_list_append(&self->sent, &attempt->link);
    }
    return out->count > 0;
}

void wcore_on_progress(wcore_t *self, struct wcore_attempt *attempt, uint32_t permille,
                       const char *note, struct ag_bytes partial)
{
    AG_ASSERT(attempt->state == ATTEMPT_RUNNING);
    attempt->permille = permille < AG_PERMILLE_UNKNOWN ? permille : AG_PERMILLE_UNKNOWN;
    snprintf(attempt->note, sizeof attempt->note, "%s", note != NULL ? note : "");
    ag_drop_half_character(attempt->note);
    if (partial.size > 0) {
        attempt->sequence++; /* one that was not sent before is missed: the gap shows it */
        ag_buffer_clear(&attempt->partial);
        ag_buffer_append(&attempt->partial, partial.data, partial.size);
    }
    ag_list_append(&self->to_tell, &attempt->to_tell);
}

bool wcore_take_progress(wcore_t *self, struct proto_progress *out)
{
    size_t bytes = 0;

    out->count = 0;
    while (self->is_open && out->count < AG_MESSAGE_ITEMS_MAX &&
           !ag_list_is_empty(&self->to_tell)) {
        struct wcore_attempt *attempt = AG_OWNER(self->to_tell.next, struct wcore_attempt, to_tell);
        bool has_partial = attempt->sequence != attempt->sequence_told && !attempt->partial.failed;

        if (out->count > 0 && bytes + attempt->partial.size > AG_MESSAGE_BYTES_FULL)
            break;
        bytes += attempt->partial.size;
        out->items[out->count++] = (struct proto_progress_item){
            .token = attempt->token,
            .permille = attempt->permille,
            .note = ag_bytes_of_text(attempt->note),
            .sequence = has_partial ? attempt->sequence : 0,
            .partial = has_partial ? ag_buffer_bytes(&attempt->partial) : (struct ag_bytes){0}};
        attempt->sequence_told = attempt->sequence;
        ag_link_remove(&attempt->to_tell);
    }
    return out->count > 0;
}

static void update_choke(wcore_t *self)
{
    struct wcore_counts counts;

    wcore_count(self, &counts);
    if (counts.results_bytes > WCORE_RESULTS_HELD_MAX || counts.unrecorded > WCORE_UNRECORDED_MAX)
        self->is_choked = true;
    else if (counts.results_bytes < WCORE_RESULTS_HELD_MAX / 2 &&
             counts.unrecorded < WCORE_UNRECORDED_MAX / 2)
        self->is_choked = false;
}

/* About WCORE_AHEAD_MS of work, in powers of two so that it does not change with every end; what
 * runs long waits at the broker, which can give it to whoever is free first. */
static uint32_t ahead_of(const struct slots *slots, const struct wcore_kind *kind)
{
    uint32_t wanted, rounded = 1;

    if (slots->ends < WCORE_AHEAD_SAMPLES || slots->mean_ms_16 < 16)
        return kind->ahead;
    wanted = 16 * WCORE_AHEAD_MS * kind->slots / slots->mean_ms_16;
    if (wanted == 0)
        return 0;
    while (2 * rounded <= wanted)
        rounded *= 2;
    return rounded < kind->ahead ? rounded : kind->ahead;
}

bool wcore_take_credit(wcore_t *self, struct proto_credit *out)
{
    bool changed = false;

    update_choke(self);
    out->count = self->config.kinds_count;
    for (unsigned i = 0; i < self->config.kinds_count; i++) {
        const struct wcore_kind *kind = &self->config.kinds[i];
        uint32_t credit = self->is_draining || self->is_choked
                              ? 0
                              : kind->slots + ahead_of(&self->slots[i], kind);

        out->kinds[i] = (struct proto_kind){.name = ag_bytes_of_text(kind->name), .count = credit};
        changed = changed || credit != self->slots[i].credit_told;
    }
    if (!self->is_open || !changed)
        return false;
    for (unsigned i = 0; i < self->config.kinds_count; i++)
        self->slots[i].credit_told = out->kinds[i].count;
    return true;
}

uint32_t wcore_holding(const wcore_t *self, struct ag_buffer *out)
{
    for (struct ag_link *at = self->all.next; at != &self->all; at = at->next)
        ag_proto_append_token(out, &AG_OWNER(at, struct wcore_attempt, all)->token);
    return self->held;
}

void wcore_count(const wcore_t *self, struct wcore_counts *out)
{
    *out = (struct wcore_counts){.results_bytes = self->results_bytes,
                                 .is_open = self->is_open,
                                 .is_draining = self->is_draining};
    for (unsigned i = 0; i < self->config.kinds_count; i++) {
        out->queued += self->slots[i].queued_count;
        out->running += self->slots[i].running;
    }
    out->unrecorded = self->held - out->queued - out->running;
}
