/* The broker's core in a storm: workers that come, go, fall silent and come back, results in any
 * order, late and repeated, cancels at any moment. Whatever happens, every job ends exactly once, a
 * cancelled one never succeeds, and nothing is unaccounted for. A failing seed replays exactly. */
#include "tests/unit/cmocka_prelude.h"

#include <string.h>

#include "common/random.h"
#include "tests/unit/stage.h"

enum {
    SEEDS = 300,
    STEPS = 250,
    JOBS = 60,
    WORKERS = 3,
    HELD_MAX = 256,
    CLIENT = 20,
    GROUP = 5000,
    PROBABLY = 100 /* percent */
};

struct attempt {
    unsigned job, attempt;
    bool told_to_stop;
};

struct worker {
    unsigned peer, instance;
    bool is_silent;
    struct attempt held[HELD_MAX];
    unsigned count;
};

struct storm {
    struct stage *stage;
    struct ag_random random;
    struct worker workers[WORKERS];
    unsigned peers, submitted;
    unsigned ends[JOBS + 1]; /* how often each job's end was told */
    enum proto_state how[JOBS + 1];
    bool cancel_asked[JOBS + 1]; /* and answered, while it had not ended */
    uint64_t cursor;
    bool is_over;
};

static uint32_t below(struct storm *storm, uint32_t bound)
{
    return (uint32_t)(ag_random_next(&storm->random) % bound);
}

static struct worker *worker_of_peer(struct storm *storm, unsigned peer)
{
    for (unsigned i = 0; i < WORKERS; i++)
        if (storm->workers[i].peer == peer)
            return &storm->workers[i];
    return NULL;
}

static void on_events(struct storm *storm, const struct effect *effect)
{
    struct ag_buffer attempts = ag_buffer_empty(1 << 20);

    assert_int_equal(effect->events.cursor, storm->cursor);
    for (uint32_t i = 0; i < effect->events.count; i++) {
        struct proto_event entry;
        unsigned job;

        core_describe(storm->stage->core, effect->events.jobs[i], 0, &attempts, &entry);
        job = stage_number(&entry.job);
        assert_in_range(job, 1, JOBS);
        assert_int_equal(storm->ends[job]++, 0); /* never told twice */
        storm->how[job] = entry.state;
        if (storm->cancel_asked[job])
            assert_int_equal(entry.state, PROTO_JOB_CANCELLED);
        storm->cursor++;
    }
    storm->is_over = storm->is_over || effect->events.end == PROTO_ENDED;
    ag_buffer_free(&attempts);
}

/* What the core says reaches the workers that listen. */
static void on_effect(void *arg, const struct effect *effect)
{
    struct storm *storm = arg;
    struct worker *worker = worker_of_peer(storm, effect->peer);

    if (effect->type == EFFECT_EVENTS) {
        on_events(storm, effect);
    } else if (effect->type == EFFECT_RUN) {
        unsigned job = stage_number(&effect->run.token.job);

        assert_int_equal(storm->ends[job], 0); /* what has ended never runs again */
        assert_non_null(worker);
        if (worker->is_silent)
            return;
        assert_true(worker->count < HELD_MAX);
        worker->held[worker->count++] =
            (struct attempt){.job = job, .attempt = effect->run.token.attempt};
    } else if (effect->type == EFFECT_STOP && worker != NULL) {
        for (unsigned i = 0; i < worker->count; i++)
            if (worker->held[i].job == stage_number(&effect->token.job) &&
                worker->held[i].attempt == effect->token.attempt)
                worker->held[i].told_to_stop = true;
    }
}

static void hello(struct storm *storm, struct worker *worker)
{
    unsigned holding[2 * HELD_MAX + 1] = {0};

    worker->peer = ++storm->peers;
    worker->is_silent = false;
    for (unsigned i = 0; i < worker->count; i++) {
        holding[2 * i] = worker->held[i].job;
        holding[2 * i + 1] = worker->held[i].attempt;
    }
    stage_hello(storm->stage, worker->peer, worker->instance, PROTO_WORKER, "fetch", holding);
    stage_credit(storm->stage, worker->peer, worker->instance, 1 + below(storm, 6));
}

static void end_attempt(struct storm *storm, struct worker *worker, unsigned place)
{
    static const enum proto_outcome outcomes[] = {PROTO_SUCCEEDED, PROTO_SUCCEEDED, PROTO_FAILED,
                                                  PROTO_FAILED, PROTO_RELEASED};
    struct attempt attempt = worker->held[place];
    enum proto_outcome outcome = outcomes[below(storm, 5)];
    unsigned times = 1 + (below(storm, PROBABLY) < 10); /* sometimes it is sent twice */

    if (attempt.told_to_stop && below(storm, 2) == 0)
        outcome = PROTO_CANCELLED;
    worker->held[place] = worker->held[--worker->count];
    while (times-- > 0)
        stage_result(storm->stage, worker->peer, worker->instance, attempt.job, attempt.attempt,
                     outcome, outcome == PROTO_FAILED ? "fetch.dns" : NULL, below(storm, 2) == 0);
}

static void submit_some(struct storm *storm)
{
    struct stage_job jobs[8] = {0};
    unsigned count = 0;

    while (count < 8 && storm->submitted < JOBS)
        jobs[count++] = (struct stage_job){.id = ++storm->submitted,
                                           .group = GROUP,
                                           .attempts = 1 + below(storm, 3),
                                           .delay_ms = below(storm, 4) == 0 ? 50 : 0,
                                           .queue_ms = below(storm, 6) == 0 ? 400 : 0};
    stage_submit(storm->stage, CLIENT, NULL, 0, jobs, count);
}

static void cancel_one(struct storm *storm)
{
    unsigned job = 1 + below(storm, JOBS);

    if (job > storm->submitted)
        return;
    stage_cancel(storm->stage, CLIENT, job);
    if (storm->ends[job] == 0)
        storm->cancel_asked[job] = true;
}

static void something_happens(struct storm *storm)
{
    struct worker *worker = &storm->workers[below(storm, WORKERS)];
    uint32_t dice = below(storm, PROBABLY);

    if (dice < 15)
        submit_some(storm);
    else if (dice < 20)
        cancel_one(storm);
    else if (dice < 24)
        worker->is_silent = true;
    else if (dice < 34)
        hello(storm, worker); /* a new connection, or back from silence */
    else if (dice < 36)
        worker->count = 0, hello(storm, worker); /* it has forgotten everything */
    else if (dice < 40)
        stage_wait(storm->stage, below(storm, 1500));
    else if (worker->count > 0 && !worker->is_silent)
        end_attempt(storm, worker, below(storm, worker->count));
    for (unsigned i = 0; i < WORKERS; i++)
        if (!storm->workers[i].is_silent)
            stage_say(storm->stage, storm->workers[i].peer, storm->workers[i].instance, CORE_ALIVE);
    stage_say(storm->stage, CLIENT, CLIENT, CORE_ALIVE);
    ag_buffer_clear(&storm->stage->said);
}

/* The storm is over: everybody is there and works until nothing is left. */
static void calm(struct storm *storm)
{
    while (storm->submitted < JOBS)
        submit_some(storm);
    stage_seal(storm->stage, CLIENT, GROUP);
    for (unsigned i = 0; i < WORKERS; i++)
        hello(storm, &storm->workers[i]);
    for (int turn = 0; turn < 2000 && !storm->is_over; turn++) {
        for (unsigned i = 0; i < WORKERS; i++) {
            while (storm->workers[i].count > 0)
                end_attempt(storm, &storm->workers[i], 0);
            stage_say(storm->stage, storm->workers[i].peer, storm->workers[i].instance, CORE_ALIVE);
        }
        stage_say(storm->stage, CLIENT, CLIENT, CORE_ALIVE);
        stage_wait(storm->stage, 200);
        ag_buffer_clear(&storm->stage->said);
    }
}

static void run_seed(uint64_t seed)
{
    static struct storm storm;
    struct proto_group group = stage_group(GROUP, PROTO_GATHER);
    struct core_status status;

    storm = (struct storm){.stage = stage_new(NULL), .peers = 100};
    ag_random_seed(&storm.random, seed);
    group.concurrency = below(&storm, 2) * 5;
    storm.stage->on_effect = on_effect;
    storm.stage->arg = &storm;
    stage_client(storm.stage, CLIENT);
    stage_submit(storm.stage, CLIENT, &group, 1, NULL, 0);
    stage_watch(storm.stage, CLIENT, GROUP, 0, 10000, 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        storm.workers[i].instance = 1000 + i;
        hello(&storm, &storm.workers[i]);
    }
    for (int step = 0; step < STEPS; step++)
        something_happens(&storm);
    calm(&storm);
    if (!storm.is_over)
        fail_msg("seed %llu: the batch does not end", (unsigned long long)seed);
    for (unsigned job = 1; job <= JOBS; job++)
        if (storm.ends[job] != 1)
            fail_msg("seed %llu: job %u ended %u times", (unsigned long long)seed, job,
                     storm.ends[job]);
    core_status(storm.stage->core, &status);
    assert_int_equal(status.unaccounted, 0);
    assert_int_equal(status.counters.submitted, JOBS);
    stage_free(storm.stage);
}

static void every_job_ends_exactly_once_whatever_happens(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run_seed(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_ends_exactly_once_whatever_happens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
