/* The worker's core from seeds, against a model of a broker on a network that loses what is in
 * flight: each job ends exactly once, no slot is used twice, nothing is left at the end.
 *
 * The model keeps its own books: what the broker gave and recorded, what runs. It speaks in frames,
 * so that the codec is between the two as in life. Its network delivers in order or, when it
 * breaks, loses everything that is on its way. */
#include "tests/unit/cmocka_prelude.h"

#include <stdlib.h>

#include "common/random.h"
#include "worker/core/wcore.h"

enum { SEEDS = 2000, STEPS = 150, JOBS = 24, FRAMES_MAX = 4096, TASKS_MAX = 4, KINDS = 2 };
enum { PATIENCE_STEPS = 5000 }; /* on a good network; far more than anything needs */

enum { HEARTBEAT_MS = 1000 };

static const struct wcore_config two_kinds = {
    .kinds_count = 2, .kinds = {{"a", 2, 1}, {"b", 1, 1}}, .heartbeat_ms = HEARTBEAT_MS};

enum model_state { MODEL_QUEUED, MODEL_GIVEN, MODEL_DONE };

struct model_job {
    enum model_state state;
    unsigned kind;
    uint32_t run_ms;
    struct proto_token token; /* the current one, once it was given */
    bool is_cancelling;
    unsigned recorded;        /* how often it came to an end */
    struct proto_token begun; /* by the worker, last */
};

struct frames {
    struct ag_buffer items[FRAMES_MAX];
    unsigned begin, end;
};

struct task_model {
    struct wcore_attempt *attempt;
    int64_t since;
    enum stop_reason told;
};

struct model {
    struct ag_random random;
    unsigned seed;
    int64_t now;
    /* the broker */
    struct model_job jobs[JOBS];
    uint64_t epoch;
    bool has_session;
    bool is_deaf; /* hangs: hears nothing until it goes on */
    uint32_t credit[KINDS];
    struct proto_tokens to_record; /* until the store commits */
    /* the network */
    struct frames up, down;
    /* the worker */
    wcore_t *core;
    struct task_model tasks[KINDS][TASKS_MAX];
    unsigned tasks_count[KINDS];
    bool is_leaving, has_left, said_bye;
    struct proto in, out;
    struct ag_buffer holding;
    /* how much of everything there was: a test in which nothing happens proves nothing */
    unsigned *seen;
};

enum seen {
    SEEN_RECORDED,
    SEEN_STALE,
    SEEN_RELEASED,
    SEEN_CANCELLED,
    SEEN_TIMEOUT,
    SEEN_RESENT,
    SEEN_TAKEN_BACK,
    SEEN_STOPPED_STALE,
    SEEN_RECONNECT,
    SEEN_KILL,
    SEEN_DRAIN_STOP,
    SEEN_KINDS
};

static const char *const kind_names[KINDS] = {"a", "b"};

#define CHECK(model, condition)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("seed %u at %lld: %s", (model)->seed, (long long)(model)->now, #condition);   \
    } while (0)

static struct ag_id id_of(unsigned number)
{
    struct ag_id id = {0};

    for (unsigned i = 0; i < 4; i++)
        id.bytes[15 - i] = (uint8_t)(number >> (8 * i));
    return id;
}

static unsigned number_of(const struct ag_id *id)
{
    unsigned number = 0;

    for (unsigned i = 12; i < 16; i++)
        number = number << 8 | id->bytes[i];
    return number;
}

static bool chance(struct model *self, unsigned percent)
{
    return ag_random_below(&self->random, 100) < percent;
}

static void frames_send(struct frames *self, const struct proto *message)
{
    struct ag_buffer *frame = &self->items[self->end++ % FRAMES_MAX];

    assert_in_range(self->end - self->begin, 1, FRAMES_MAX);
    *frame = ag_buffer_empty(AG_MESSAGE_BYTES_MAX);
    ag_proto_encode(frame, message);
    assert_false(frame->failed);
}

static void frames_lose(struct frames *self)
{
    while (self->begin != self->end)
        ag_buffer_free(&self->items[self->begin++ % FRAMES_MAX]);
}

/* Decodes the oldest into *out; the frame stays alive until frames_drop(). */
static bool frames_peek(struct frames *self, struct proto *out)
{
    struct argosy_error err = {0};

    if (self->begin == self->end)
        return false;
    if (ag_proto_decode(ag_buffer_bytes(&self->items[self->begin % FRAMES_MAX]), out, &err) < 0)
        fail_msg("%s", err.message);
    return true;
}

static void frames_drop(struct frames *self)
{
    ag_buffer_free(&self->items[self->begin++ % FRAMES_MAX]);
}

/* ---- the broker ------------------------------------------------------------------------------ */

static void broker_stop(struct model *self, struct proto_token token)
{
    struct proto message = {.type = AG_STOP, .stop = {.count = 1, .items = {token}}};

    frames_send(&self->down, &message);
}

static struct model_job *current_job(struct model *self, const struct proto_token *token)
{
    struct model_job *job = &self->jobs[number_of(&token->job)];

    return job->state == MODEL_GIVEN && job->token.epoch == token->epoch &&
                   job->token.attempt == token->attempt
               ? job
               : NULL;
}

static void broker_take_back(struct model_job *job)
{
    if (job->is_cancelling) {
        job->state = MODEL_DONE;
        job->recorded++;
    } else {
        job->state = MODEL_QUEUED;
    }
}

static void broker_on_hello(struct model *self, const struct proto_hello *hello)
{
    struct proto welcome = {.type = AG_WELCOME,
                            .welcome = {.version = 1,
                                        .epoch = self->epoch,
                                        .heartbeat_ms = HEARTBEAT_MS,
                                        .message_bytes = AG_MESSAGE_BYTES_MAX,
                                        .payload_bytes = AG_PAYLOAD_BYTES_MAX,
                                        .result_bytes = AG_RESULT_BYTES_MAX,
                                        .window = 1}};
    struct ag_bytes holding = hello->holding;
    struct proto_token token;
    bool listed[JOBS] = {false};

    self->has_session = true;
    frames_send(&self->down, &welcome);
    while (ag_proto_next_token(&holding, &token)) {
        struct model_job *job = current_job(self, &token);

        if (job != NULL)
            listed[number_of(&token.job)] = true;
        else
            self->seen[SEEN_STOPPED_STALE]++;
        if (job == NULL || job->is_cancelling)
            broker_stop(self, token);
    }
    for (unsigned i = 0; i < JOBS; i++)
        if (self->jobs[i].state == MODEL_GIVEN && !listed[i]) {
            self->seen[SEEN_TAKEN_BACK]++;
            broker_take_back(&self->jobs[i]);
        }
}

static void broker_commit(struct model *self)
{
    struct proto message = {.type = AG_RECORDED, .recorded = self->to_record};

    if (self->to_record.count > 0 && self->has_session)
        frames_send(&self->down, &message);
    self->to_record.count = 0; /* without a session nobody hears it; the result comes again */
}

static void broker_on_result(struct model *self, const struct proto_result *result)
{
    struct model_job *job = current_job(self, &result->token);
    unsigned number = number_of(&result->token.job);

    if (self->to_record.count == AG_MESSAGE_ITEMS_MAX)
        broker_commit(self);
    self->to_record.items[self->to_record.count++] = result->token;
    if (job == NULL) {
        self->seen[SEEN_STALE]++;
        return;
    }
    switch (result->outcome) {
    case PROTO_SUCCEEDED: { /* with the result of this job and no other */
        const uint8_t expected[] = {0xCD, 0, (uint8_t)number};

        CHECK(self, ag_bytes_equal(result->result, ag_bytes_of(expected, sizeof expected)));
        break;
    }
    case PROTO_FAILED:
        CHECK(self, result->type.size > 0 && result->error.size > 0);
        if (ag_bytes_are(result->type, "timeout.run")) {
            CHECK(self, job->run_ms > 0 && result->run_ms >= job->run_ms);
            self->seen[SEEN_TIMEOUT]++;
        }
        break;
    case PROTO_CANCELLED:
        CHECK(self, job->is_cancelling); /* a current one is stopped for no other reason */
        self->seen[SEEN_CANCELLED]++;
        break;
    case PROTO_RELEASED:
        CHECK(self, self->is_leaving);
        self->seen[SEEN_RELEASED]++;
        broker_take_back(job);
        return;
    }
    self->seen[SEEN_RECORDED]++;
    job->state = MODEL_DONE;
    job->recorded++;
}

static void broker_hears(struct model *self)
{
    const struct proto *in = &self->in;

    if (self->is_deaf || !frames_peek(&self->up, &self->in))
        return;
    if (in->type == AG_HELLO) {
        broker_on_hello(self, &in->hello);
    } else if (!self->has_session) {
        if (in->type != AG_BYE)
            frames_send(&self->down,
                        &(struct proto){.type = AG_REJECT,
                                        .reject = {.type = ag_bytes_of_text("rejected.session"),
                                                   .message = ag_bytes_of_text("who?")}});
    } else if (in->type == AG_PING) {
        frames_send(&self->down, &(struct proto){.type = AG_PONG});
    } else if (in->type == AG_CREDIT) {
        for (uint32_t i = 0; i < in->credit.count; i++)
            self->credit[i] = in->credit.kinds[i].count;
    } else if (in->type == AG_RESULTS) {
        for (uint32_t i = 0; i < in->results.count; i++)
            broker_on_result(self, &in->results.items[i]);
    } else {
        CHECK(self, in->type == AG_BYE);
    }
    frames_drop(&self->up);
}

static void broker_gives(struct model *self)
{
    uint32_t held[KINDS] = {0};

    if (!self->has_session || self->is_deaf)
        return;
    for (unsigned i = 0; i < JOBS; i++)
        held[self->jobs[i].kind] += self->jobs[i].state == MODEL_GIVEN;
    self->out = (struct proto){.type = AG_JOBS};
    for (unsigned i = 0; i < JOBS && self->out.jobs.count < 3; i++) {
        struct model_job *job = &self->jobs[i];

        if (job->state != MODEL_QUEUED || held[job->kind] >= self->credit[job->kind])
            continue;
        held[job->kind]++;
        job->state = MODEL_GIVEN;
        job->token = (struct proto_token){
            .job = id_of(i), .epoch = self->epoch, .attempt = job->token.attempt + 1};
        self->out.jobs.items[self->out.jobs.count++] =
            (struct proto_job){.token = job->token,
                               .kind = ag_bytes_of_text(kind_names[job->kind]),
                               .run_ms = job->run_ms,
                               .payload = ag_bytes_of("\x80", 1)};
    }
    if (self->out.jobs.count == 0)
        return;
    frames_send(&self->down, &self->out);
    if (chance(self, 10)) /* said again */
        frames_send(&self->down, &self->out);
}

static void broker_cancels(struct model *self, struct model_job *job)
{
    if (job->state == MODEL_QUEUED) {
        job->state = MODEL_DONE;
        job->recorded++;
    } else if (job->state == MODEL_GIVEN) {
        job->is_cancelling = true;
        if (self->has_session)
            broker_stop(self, job->token);
    }
}

static void lose_connection(struct model *self)
{
    frames_lose(&self->up);
    frames_lose(&self->down);
    self->has_session = false;
    self->to_record.count = 0; /* committed, but nobody can be told */
}

/* It comes back with what was committed; what was given out is given out again. */
static void broker_restarts(struct model *self)
{
    lose_connection(self);
    self->epoch++;
    for (unsigned i = 0; i < JOBS; i++)
        if (self->jobs[i].state == MODEL_GIVEN)
            broker_take_back(&self->jobs[i]);
}

/* ---- the worker ------------------------------------------------------------------------------ */

static void worker_starts(struct model *self, struct wcore_attempt *attempt)
{
    struct proto_token *begun = &self->jobs[number_of(&attempt->token.job)].begun;
    unsigned kind = attempt->kind;

    CHECK(self, kind < KINDS);
    CHECK(self, attempt->token.attempt > begun->attempt); /* none twice, none after a later one */
    *begun = attempt->token;
    CHECK(self, self->tasks_count[kind] < two_kinds.kinds[kind].slots);
    CHECK(self, !self->is_leaving);
    for (unsigned i = 0; i < self->tasks_count[kind]; i++)
        CHECK(self, self->tasks[kind][i].attempt != attempt);
    self->tasks[kind][self->tasks_count[kind]++] =
        (struct task_model){.attempt = attempt, .since = self->now};
}

static void worker_stops(struct model *self, struct wcore_attempt *attempt)
{
    for (unsigned i = 0; i < self->tasks_count[attempt->kind]; i++) {
        struct task_model *task = &self->tasks[attempt->kind][i];

        if (task->attempt != attempt)
            continue;
        CHECK(self, task->told != attempt->stop);
        CHECK(self, task->told == STOP_NONE || attempt->stop == STOP_CANCEL);
        task->told = attempt->stop;
        self->seen[SEEN_DRAIN_STOP] += attempt->stop == STOP_DRAIN;
        return;
    }
    fail_msg("seed %u: told to stop what does not run", self->seed);
}

static void worker_says_hello(struct model *self)
{
    ag_buffer_clear(&self->holding);
    self->out = (struct proto){.type = AG_HELLO,
                               .hello = {.speaks_ours = true,
                                         .role = PROTO_WORKER,
                                         .name = ag_bytes_of_text("w"),
                                         .software = ag_bytes_of_text("model"),
                                         .host = ag_bytes_of_text("here")}};
    self->out.hello.holding_count = wcore_holding(self->core, &self->holding);
    self->out.hello.holding = ag_buffer_bytes(&self->holding);
    frames_send(&self->up, &self->out);
}

static void worker_says_credit(struct model *self)
{
    if (!wcore_take_credit(self->core, &self->out.credit))
        return;
    for (uint32_t i = 0; i < self->out.credit.count; i++)
        CHECK(self, !self->is_leaving || self->out.credit.kinds[i].count == 0);
    self->out.type = AG_CREDIT;
    frames_send(&self->up, &self->out);
}

static void worker_ends(struct model *self, unsigned kind, unsigned place);

/* What is ended by force ends at once. False: nothing was to be. */
static bool worker_kills(struct model *self)
{
    struct wcore_attempt *attempt = wcore_next_kill(self->core);

    if (attempt == NULL)
        return false;
    for (unsigned i = 0; i < self->tasks_count[attempt->kind]; i++)
        if (self->tasks[attempt->kind][i].attempt == attempt) {
            CHECK(self, self->tasks[attempt->kind][i].told != STOP_NONE); /* it was asked before */
            self->seen[SEEN_KILL]++;
            worker_ends(self, attempt->kind, i);
            return true;
        }
    fail_msg("seed %u: told to kill what does not run", self->seed);
    return false;
}

static void worker_turns(struct model *self)
{
    struct wcore_attempt *attempt;
    unsigned wishes;

    while ((attempt = wcore_next_stop(self->core)) != NULL)
        worker_stops(self, attempt);
    if (worker_kills(self))
        return; /* its end has been the rest of this turn */
    while ((attempt = wcore_next_start(self->core, self->now)) != NULL)
        worker_starts(self, attempt);
    wishes = wcore_wishes(self->core);
    CHECK(self, !(wishes & WCORE_FATAL));
    if (wishes & WCORE_RECONNECT) {
        self->seen[SEEN_RECONNECT]++;
        lose_connection(self);
    }
    if (wishes & WCORE_HELLO)
        worker_says_hello(self);
    if (wishes & WCORE_PING)
        frames_send(&self->up, &(struct proto){.type = AG_PING});
    self->said_bye = wishes & WCORE_BYE;
    if (wishes & WCORE_EXIT) {
        self->has_left = true;
        return;
    }
    if (wcore_is_draining(self->core))
        worker_says_credit(self);
    while (wcore_take_results(self->core, &self->out.results)) {
        self->out.type = AG_RESULTS;
        if (chance(self, 3)) { /* the pipe is full */
            self->seen[SEEN_RESENT]++;
            wcore_on_unsent(self->core);
            break;
        }
        frames_send(&self->up, &self->out);
    }
    worker_says_credit(self);
}

static void worker_hears(struct model *self)
{
    if (!frames_peek(&self->down, &self->in))
        return;
    wcore_on_message(self->core, self->now, &self->in);
    frames_drop(&self->down);
    worker_turns(self);
}

/* A task ends: as it was told to, or in its own way. */
static void worker_ends(struct model *self, unsigned kind, unsigned place)
{
    struct task_model task = self->tasks[kind][place];
    struct outcome outcome = {0};
    uint8_t result[] = {0xCD, 0, (uint8_t)number_of(&task.attempt->token.job)};

    self->tasks[kind][place] = self->tasks[kind][--self->tasks_count[kind]];
    if (chance(self, task.told == STOP_NONE ? 70 : 30)) {
        outcome.succeeded = true;
        outcome.result = ag_buffer_empty(AG_RESULT_BYTES_MAX);
        ag_buffer_append(&outcome.result, result, sizeof result);
    } else {
        outcome_fail(&outcome, "handler.model", chance(self, 50), NULL, "it went wrong");
    }
    wcore_on_finished(self->core, self->now, task.attempt, &outcome);
    worker_turns(self);
}

static void end_some_task(struct model *self)
{
    unsigned kind = (unsigned)ag_random_below(&self->random, KINDS);

    if (self->tasks_count[kind] > 0)
        worker_ends(self, kind, (unsigned)ag_random_below(&self->random, self->tasks_count[kind]));
}

static void pass_time(struct model *self, uint64_t ms_max)
{
    int64_t until = self->now + (int64_t)ag_random_below(&self->random, ms_max);

    while (!self->has_left && wcore_deadline(self->core) <= until) {
        if (wcore_deadline(self->core) > self->now)
            self->now = wcore_deadline(self->core);
        wcore_on_timer(self->core, self->now);
        worker_turns(self);
    }
    self->now = until;
    for (unsigned kind = 0; kind < KINDS; kind++) /* run limits are kept */
        for (unsigned i = 0; i < self->tasks_count[kind]; i++) {
            const struct task_model *task = &self->tasks[kind][i];

            CHECK(self, self->has_left || task->attempt->run_ms == 0 || task->told != STOP_NONE ||
                            self->now < task->since + task->attempt->run_ms);
        }
}

static void misfortune(struct model *self)
{
    switch (ag_random_below(&self->random, 4)) {
    case 0:
        lose_connection(self);
        break;
    case 1:
        broker_restarts(self);
        break;
    case 2:
        self->is_deaf = true;
        break;
    default:
        self->is_deaf = false;
        break;
    }
}

/* One thing happens. On a good network only useful ones. */
static void something_happens(struct model *self, bool is_good)
{
    switch (ag_random_below(&self->random, 8)) {
    case 0:
        pass_time(self, is_good ? 100 : 800);
        break;
    case 1:
        end_some_task(self);
        break;
    case 2:
        broker_gives(self);
        break;
    case 3:
        broker_commit(self);
        break;
    case 4:
        if (!is_good && chance(self, 30))
            misfortune(self);
        else if (!is_good && chance(self, 30))
            broker_cancels(self, &self->jobs[ag_random_below(&self->random, JOBS)]);
        break;
    case 5:
        broker_hears(self);
        break;
    default:
        broker_hears(self);
        worker_hears(self);
        break;
    }
}

static bool all_done(const struct model *self)
{
    for (unsigned i = 0; i < JOBS; i++)
        if (self->jobs[i].state != MODEL_DONE)
            return false;
    return true;
}

static void leave(struct model *self)
{
    self->is_leaving = true;
    wcore_on_drain(self->core, self->now, (uint32_t)ag_random_below(&self->random, 3000));
    worker_turns(self);
}

static struct model *model_new(unsigned seed, unsigned *seen)
{
    struct model *self = calloc(1, sizeof *self);

    assert_non_null(self);
    ag_random_seed(&self->random, seed);
    self->seed = seed;
    self->seen = seen;
    self->epoch = 1;
    self->now = 1000;
    self->holding = ag_buffer_empty(AG_MESSAGE_BYTES_MAX);
    for (unsigned i = 0; i < JOBS; i++) {
        self->jobs[i].kind = chance(self, 30);
        self->jobs[i].run_ms =
            chance(self, 30) ? 1 + (uint32_t)ag_random_below(&self->random, 500) : 0;
    }
    self->core = wcore_new(&two_kinds, self->now);
    assert_non_null(self->core);
    worker_turns(self);
    return self;
}

static void model_free(struct model *self)
{
    wcore_destroy(&self->core);
    frames_lose(&self->up);
    frames_lose(&self->down);
    ag_buffer_free(&self->holding);
    free(self);
}

/* ---- the storm ------------------------------------------------------------------------------- */

/* Half of the workers leave in the middle of the storm, the others when everything is done. */
static void run_seed(unsigned seed, unsigned *seen)
{
    struct model *self = model_new(seed, seen);
    unsigned leaves_at = chance(self, 50) ? (unsigned)ag_random_below(&self->random, STEPS) : STEPS;
    struct wcore_counts counts;

    for (unsigned step = 0; step < STEPS && !self->has_left; step++) {
        if (step == leaves_at)
            leave(self);
        something_happens(self, false);
    }
    self->is_deaf = false;
    if (!self->is_leaving) {
        for (unsigned step = 0; step < PATIENCE_STEPS && !all_done(self); step++)
            something_happens(self, true);
        CHECK(self, all_done(self));
        leave(self);
    }
    for (unsigned step = 0; step < PATIENCE_STEPS && !self->has_left; step++)
        something_happens(self, true);
    CHECK(self, self->has_left);
    wcore_count(self->core, &counts);
    if (self->said_bye) {
        CHECK(self, counts.queued + counts.running + counts.unrecorded == 0);
        CHECK(self, counts.results_bytes == 0);
        CHECK(self, self->tasks_count[0] + self->tasks_count[1] == 0);
    } else {
        CHECK(self, counts.queued == 0); /* it gave up waiting, with everything handed back */
    }
    for (unsigned i = 0; i < JOBS; i++) {
        CHECK(self, self->jobs[i].recorded == (self->jobs[i].state == MODEL_DONE));
        if (self->said_bye && self->has_session && self->jobs[i].state == MODEL_GIVEN)
            CHECK(self, self->down.begin != self->down.end); /* given when it was gone already */
    }
    model_free(self);
}

static void whatever_the_network_does_each_job_ends_once(void **state)
{
    unsigned seen[SEEN_KINDS] = {0};

    (void)state;
    for (unsigned seed = 1; seed <= SEEDS; seed++)
        run_seed(seed, seen);
    for (unsigned i = 0; i < SEEN_KINDS; i++)
        if (seen[i] < 100)
            fail_msg("the seeds showed the %u. kind of event only %u times", i, seen[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_the_network_does_each_job_ends_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
