/* The broker's core, told as stories: order, limits, dependencies, groups in groups, retry budgets,
 * schedules, and what a journal brings back. */
#include "common/limits.h"
#include "tests/unit/cmocka_prelude.h"
#include "tests/unit/stage.h"

enum { ALL = PROTO_WATCH_RESULTS, EARLY = ALL | PROTO_WATCH_EARLY, HOUR_MS = 3600000 };

static int set_up(void **state)
{
    *state = stage_new(NULL);
    return 0;
}

static int tear_down(void **state)
{
    stage_free(*state);
    return 0;
}

/* Worker 10 with so many slots, client 20, and nothing said yet. */
static struct stage *worker_and_client(void **state, unsigned slots)
{
    struct stage *stage = *state;

    stage_worker(stage, 10, slots);
    stage_client(stage, 20);
    stage_expect(stage, "10: welcome\n20: welcome\n");
    return stage;
}

static void submit(struct stage *stage, struct stage_job job)
{
    stage_submit(stage, 20, NULL, 0, &job, 1);
}

static void succeeds(struct stage *stage, unsigned job, unsigned attempt)
{
    stage_result(stage, 10, 10, job, attempt, PROTO_SUCCEEDED, NULL, false);
}

static void fails(struct stage *stage, unsigned job, unsigned attempt)
{
    stage_result(stage, 10, 10, job, attempt, PROTO_FAILED, "handler.no", false);
}

static const char *reason_of(struct stage *stage, unsigned job)
{
    struct ag_id id = stage_id(job);
    struct core_job_view view = {.reason = "not here"};
    struct core_group_view group;

    core_show(stage->core, &id, &view, &group);
    return view.reason;
}

/* ---- order ------------------------------------------------------------------------------------
 */

static void a_lower_number_goes_first(void **state)
{
    struct stage *stage = worker_and_client(state, 0);

    submit(stage, (struct stage_job){.id = 1, .priority = 5});
    submit(stage, (struct stage_job){.id = 2, .priority = 9});
    submit(stage, (struct stage_job){.id = 3, .priority = 0});
    submit(stage, (struct stage_job){.id = 4, .priority = 5});
    stage_credit(stage, 10, 10, 4);
    stage_expect(stage, "20: accepted 1\n20: accepted 1\n20: accepted 1\n20: accepted 1\n"
                        "10: run 3.1\n10: run 1.1\n10: run 4.1\n10: run 2.1\n");
}

static void a_paused_queue_begins_nothing_until_it_is_resumed(void **state)
{
    struct stage *stage = worker_and_client(state, 5);
    struct core_control pause = {.verb = VERB_PAUSE, .queue = ag_bytes_of_text("nightly")};
    struct core_control resume = {.verb = VERB_RESUME, .queue = ag_bytes_of_text("nightly")};

    stage_control(stage, 20, pause);
    submit(stage, (struct stage_job){.id = 1, .queue = "nightly"});
    submit(stage, (struct stage_job){.id = 2});
    stage_expect(stage, "20: answer\n20: accepted 1\n10: run 2.1\n20: accepted 1\n");
    assert_string_equal(reason_of(stage, 1), "queue.paused");
    stage_control(stage, 20, resume);
    stage_expect(stage, "10: run 1.1\n20: answer\n");
}

static void a_queue_runs_no_more_than_its_limit(void **state)
{
    struct stage *stage = worker_and_client(state, 5);
    struct core_control limit = {
        .verb = VERB_LIMIT, .queue = ag_bytes_of_text("fetch"), .number = 1};

    stage_control(stage, 20, limit);
    submit(stage, (struct stage_job){.id = 1});
    submit(stage, (struct stage_job){.id = 2});
    assert_string_equal(reason_of(stage, 2), "queue.limit");
    succeeds(stage, 1, 1);
    stage_expect(stage, "20: answer\n10: run 1.1\n20: accepted 1\n20: accepted 1\n"
                        "10: run 2.1\n10: recorded 1.1\n");
}

/* ---- durability -------------------------------------------------------------------------------
 */

/* A worker, a client, a queue "quick" that is durably relaxed, and a store that is slow from now
 * on. */
static struct stage *relaxed_queue(void **state, unsigned slots)
{
    struct stage *stage = *state;
    struct core_control order = {
        .verb = VERB_DURABILITY, .queue = ag_bytes_of_text("quick"), .relaxed = true};

    stage->keeps_journal = true;
    worker_and_client(state, slots);
    stage_control(stage, 20, order);
    stage_expect(stage, "20: answer\n");
    stage->slow_store = true;
    return stage;
}

static void what_happens_to_relaxed_jobs_is_told_at_once(void **state)
{
    struct stage *stage = relaxed_queue(state, 2);

    submit(stage, (struct stage_job){.id = 1});
    submit(stage, (struct stage_job){.id = 2, .queue = "quick"});
    stage_expect(stage, "10: run 1.1\n20: accepted 1\n10: run 2.1\n");
    stage_watch(stage, 20, 2, 0, 10, EARLY);
    stage_expect(stage, "20: events 0\n");
    succeeds(stage, 1, 1);
    succeeds(stage, 2, 1);
    stage_expect(stage, "10: recorded 2.1\n20: events 0 2.1=succeeded early\n");
    stage_commit(stage);
    stage_expect(stage, "20: accepted 1\n10: recorded 1.1\n20: events 0 2.1=succeeded end\n");
}

static void a_queue_is_relaxed_when_that_is_durable(void **state)
{
    struct stage *stage = relaxed_queue(state, 0);
    struct core_control order = {.verb = VERB_DURABILITY, .queue = ag_bytes_of_text("other")};

    order.relaxed = true;
    stage_control(stage, 20, order);
    submit(stage, (struct stage_job){.id = 1, .queue = "other"});
    stage_expect(stage, "");
    stage_commit(stage);
    submit(stage, (struct stage_job){.id = 2, .queue = "other"});
    stage_expect(stage, "20: answer\n20: accepted 1\n20: accepted 1\n");
    order.relaxed = false;
    stage_control(stage, 20, order);
    submit(stage, (struct stage_job){.id = 3, .queue = "other"});
    stage_expect(stage, "");
}

static void a_group_of_relaxed_jobs_is_told_of_with_them(void **state)
{
    struct stage *stage = relaxed_queue(state, 0);
    struct proto_group groups[] = {stage_group(100, PROTO_GATHER), stage_group(101, PROTO_GATHER)};
    struct stage_job quick = {.id = 1, .group = 100, .queue = "quick"};
    struct stage_job both[] = {{.id = 2, .group = 100, .queue = "quick"}, {.id = 3, .group = 100}};

    stage_submit(stage, 20, &groups[0], 1, &quick, 1);
    stage_expect(stage, "20: accepted 1\n");
    stage_submit(stage, 20, &groups[1], 1, NULL, 0);
    stage_submit(stage, 20, NULL, 0, both, 2);
    stage_seal(stage, 20, 100);
    stage_expect(stage, "");
    stage_commit(stage);
    stage_expect(stage, "20: accepted 0\n20: accepted 2\n20: answer\n");
}

/* They wait for nothing before them; the end of their group waits for all. */
static void relaxed_ends_overtake_strict_ones(void **state)
{
    struct stage *stage = relaxed_queue(state, 3);
    struct proto_group group = stage_group(100, PROTO_GATHER);
    struct stage_job jobs[] = {{.id = 1, .group = 100},
                               {.id = 2, .group = 100, .queue = "quick"},
                               {.id = 3, .group = 100}};

    stage_submit(stage, 20, &group, 1, jobs, 3);
    stage_seal(stage, 20, 100);
    stage_commit(stage);
    stage_watch(stage, 20, 100, 0, 10, EARLY);
    ag_buffer_clear(&stage->said);
    succeeds(stage, 1, 1);
    succeeds(stage, 2, 1);
    succeeds(stage, 3, 1);
    stage_expect(stage, "10: recorded 2.1\n20: events 1 2.1=succeeded early\n");
    stage_commit(stage);
    stage_expect(stage, "10: recorded 1.1\n10: recorded 3.1\n20: events 0 1.1=succeeded\n"
                        "20: events 1 2.1=succeeded\n20: events 2 3.1=succeeded end\n");
}

static void who_does_not_ask_for_early_ends_hears_durable_ones(void **state)
{
    struct stage *stage = relaxed_queue(state, 1);

    submit(stage, (struct stage_job){.id = 1, .queue = "quick"});
    stage_watch(stage, 20, 1, 0, 10, ALL);
    succeeds(stage, 1, 1);
    stage_expect(stage, "20: accepted 1\n10: run 1.1\n20: events 0\n10: recorded 1.1\n");
    stage_commit(stage);
    stage_expect(stage, "20: events 0 1.1=succeeded end\n");
}

/* The end of job 1 is lost and job 2 with everything: 1 runs again. Who was told that it had ended
 * comes back with a cursor that does not count it, and misses nothing that has ended since. */
static void a_crash_forgets_the_last_moments_of_relaxed_jobs(void **state)
{
    struct stage *stage = relaxed_queue(state, 1);
    struct proto_group group = stage_group(100, PROTO_GATHER);
    struct stage_job first[] = {{.id = 1, .group = 100, .queue = "quick"}, {.id = 3, .group = 100}};

    stage_submit(stage, 20, &group, 1, first, 2);
    stage_commit(stage);
    stage_watch(stage, 20, 100, 0, 10, EARLY);
    succeeds(stage, 1, 1);
    submit(stage, (struct stage_job){.id = 2, .queue = "quick"});
    stage_expect(stage, "10: run 1.1\n20: accepted 2\n20: events 0\n10: recorded 1.1\n"
                        "10: run 3.1\n20: events 0 1.1=succeeded early\n20: accepted 1\n");
    stage_crash(stage);
    stage_client(stage, 20);
    assert_string_equal(reason_of(stage, 2), "not here");
    stage_cancel(stage, 20, 3);
    stage_watch(stage, 20, 100, 0, 10, EARLY);
    stage_worker(stage, 10, 1);
    stage_commit(stage);
    stage_expect(stage, "20: welcome\n20: events 0\n10: welcome\n10: run 1.1\n"
                        "20: answer cancelled 1 cancelling 0 ended 0 unknown 0\n"
                        "20: events 0 3.0=cancelled\n");
    succeeds(stage, 1, 1);
    stage_expect(stage, "10: recorded 1.1\n20: events 1 1.1=succeeded early\n");
    stage_commit(stage);
    stage_expect(stage, "20: events 1 1.1=succeeded\n");
}

/* ---- keys -------------------------------------------------------------------------------------
 */

static void a_key_is_limited_in_the_whole_fleet(void **state)
{
    struct stage *stage = worker_and_client(state, 5);

    stage_worker(stage, 11, 5);
    submit(stage, (struct stage_job){.id = 1, .key = "host", .key_max = 2});
    submit(stage, (struct stage_job){.id = 2, .key = "host", .key_max = 2});
    submit(stage, (struct stage_job){.id = 3, .key = "host", .key_max = 2});
    submit(stage, (struct stage_job){.id = 4, .key = "other", .key_max = 2});
    stage_expect(stage, "11: welcome\n10: run 1.1\n20: accepted 1\n11: run 2.1\n20: accepted 1\n"
                        "20: accepted 1\n11: run 4.1\n20: accepted 1\n");
    assert_string_equal(reason_of(stage, 3), "key.limit");
    succeeds(stage, 1, 1);
    stage_expect(stage, "10: run 3.1\n10: recorded 1.1\n");
}

static void a_key_has_its_delay_between_beginnings(void **state)
{
    struct stage *stage = worker_and_client(state, 5);

    submit(stage, (struct stage_job){.id = 1, .key = "host", .key_delay_ms = 100});
    submit(stage, (struct stage_job){.id = 2, .key = "host", .key_delay_ms = 100});
    submit(stage, (struct stage_job){.id = 3, .key = "host", .key_delay_ms = 100});
    stage_expect(stage, "10: run 1.1\n20: accepted 1\n20: accepted 1\n20: accepted 1\n");
    stage_wait(stage, 99);
    stage_expect(stage, "");
    stage_wait(stage, 1);
    stage_expect(stage, "10: run 2.1\n");
    stage_cancel(stage, 20, 3); /* one that waits for its key is cancelled as any other */
    stage_expect(stage, "20: answer cancelled 1 cancelling 0 ended 0 unknown 0\n");
}

/* Worker 10: the server is busy, ask again in three seconds. */
static void fails_for_three_seconds(struct stage *stage, unsigned job)
{
    static struct proto_results results = {.count = 1};
    struct core_event event = {
        .type = CORE_RESULTS, .peer = 10, .instance = stage_id(10), .results = &results};

    results.items[0] =
        (struct proto_result){.token = {.job = stage_id(job), .epoch = 7, .attempt = 1},
                              .outcome = PROTO_FAILED,
                              .type = ag_bytes_of_text("fetch.http.server.503"),
                              .message = ag_bytes_of_text("later"),
                              .retryable = true,
                              .retry_after_ms = 3000};
    stage_step(stage, &event);
}

/* Job 2 begins after these three seconds and not before. */
static void expect_closed_for_three_seconds(struct stage *stage)
{
    stage_expect(stage, "10: run 1.1\n20: accepted 1\n20: accepted 1\n10: recorded 1.1\n");
    assert_string_equal(reason_of(stage, 2), "key.closed");
    stage_say(stage, 10, 10, CORE_ALIVE);
    stage_wait(stage, 2000);
    stage_say(stage, 10, 10, CORE_ALIVE);
    stage_expect(stage, "");
    stage_wait(stage, 1000);
    stage_expect(stage, "20: close\n10: run 2.1\n");
}

static void a_retry_after_closes_the_key_for_everybody(void **state)
{
    struct stage *stage = worker_and_client(state, 1);

    submit(stage, (struct stage_job){.id = 1, .key = "host", .attempts = 3});
    submit(stage, (struct stage_job){.id = 2, .key = "host"});
    fails_for_three_seconds(stage, 1);
    assert_string_equal(reason_of(stage, 1), "backoff");
    expect_closed_for_three_seconds(stage);
}

static void a_retry_after_closes_the_key_also_when_nothing_is_tried_again(void **state)
{
    struct stage *stage = worker_and_client(state, 1);

    submit(stage, (struct stage_job){.id = 1, .key = "host", .attempts = 1});
    submit(stage, (struct stage_job){.id = 2, .key = "host"});
    fails_for_three_seconds(stage, 1);
    expect_closed_for_three_seconds(stage);
}

/* ---- dependencies -----------------------------------------------------------------------------
 */

static void a_job_gets_what_it_waited_for(void **state)
{
    struct stage *stage = worker_and_client(state, 5);

    submit(stage, (struct stage_job){.id = 1});
    submit(stage, (struct stage_job){.id = 2});
    submit(stage, (struct stage_job){.id = 3, .after = {1, 2}});
    assert_string_equal(reason_of(stage, 3), "after");
    succeeds(stage, 2, 1);
    succeeds(stage, 1, 1);
    stage_expect(stage, "10: run 1.1\n20: accepted 1\n10: run 2.1\n20: accepted 1\n"
                        "20: accepted 1\n10: recorded 2.1\n10: run 3.1 <1 <2\n10: recorded 1.1\n");
}

static void a_failure_is_handed_down_the_chain(void **state)
{
    struct stage *stage = worker_and_client(state, 5);

    submit(stage, (struct stage_job){.id = 1});
    submit(stage, (struct stage_job){.id = 2, .after = {1}});
    submit(stage, (struct stage_job){.id = 3, .after = {2}});
    submit(stage, (struct stage_job){.id = 4, .after = {2}, .after_any = true});
    fails(stage, 1, 1);
    stage_watch(stage, 20, 3, 0, 10, ALL);
    stage_expect(stage, "10: run 1.1\n20: accepted 1\n20: accepted 1\n20: accepted 1\n"
                        "20: accepted 1\n10: run 4.1 <2\n10: recorded 1.1\n"
                        "20: events 0 3.0=failed end\n");
}

static void what_waits_for_a_cancelled_job_is_cancelled(void **state)
{
    struct stage *stage = worker_and_client(state, 0);

    submit(stage, (struct stage_job){.id = 1});
    submit(stage, (struct stage_job){.id = 2, .after = {1}});
    stage_cancel(stage, 20, 1);
    stage_watch(stage, 20, 2, 0, 10, ALL);
    stage_expect(stage, "20: accepted 1\n20: accepted 1\n"
                        "20: answer cancelled 1 cancelling 0 ended 0 unknown 0\n"
                        "20: events 0 2.0=cancelled end\n");
}

static void what_is_not_known_is_not_waited_for(void **state)
{
    struct stage *stage = worker_and_client(state, 0);
    struct proto_group open = stage_group(100, PROTO_GATHER);

    submit(stage, (struct stage_job){.id = 1, .after = {77}});
    stage_submit(stage, 20, &open, 1, NULL, 0);
    submit(stage, (struct stage_job){.id = 2, .after = {100}}); /* it may still grow */
    stage_expect(stage, "20: accepted 0 1=rejected.after\n20: accepted 0\n"
                        "20: accepted 0 2=rejected.after\n");
}

static void a_job_after_a_group_gets_its_results_in_order(void **state)
{
    struct stage *stage = worker_and_client(state, 5);
    struct proto_group group = stage_group(100, PROTO_GATHER);
    struct stage_job jobs[] = {{.id = 1, .group = 100}, {.id = 2, .group = 100}};

    stage_submit(stage, 20, &group, 1, jobs, 2);
    stage_seal(stage, 20, 100);
    submit(stage, (struct stage_job){.id = 3, .after = {100}, .after_any = true});
    stage_expect(stage, "10: run 1.1\n10: run 2.1\n20: accepted 2\n20: answer\n20: accepted 1\n");
    succeeds(stage, 2, 1);
    fails(stage, 1, 1);
    stage_expect(stage, "10: recorded 2.1\n10: run 3.1 <1 <2\n10: recorded 1.1\n");
}

static void what_is_waited_for_is_not_forgotten(void **state)
{
    struct stage *stage = worker_and_client(state, 5);

    submit(stage, (struct stage_job){.id = 1, .ttl_ms = 10});
    submit(stage, (struct stage_job){.id = 2, .after = {1}, .delay_ms = 5000});
    succeeds(stage, 1, 1);
    stage_say(stage, 10, 10, CORE_ALIVE);
    stage_wait(stage, 2900);
    stage_say(stage, 10, 10, CORE_ALIVE);
    stage_wait(stage, 2100);
    stage_expect(stage, "10: run 1.1\n20: accepted 1\n20: accepted 1\n10: recorded 1.1\n"
                        "20: close\n10: run 2.1 <1\n");
}

/* ---- unique -----------------------------------------------------------------------------------
 */

static void a_unique_job_is_refused_while_another_lives(void **state)
{
    struct stage *stage = worker_and_client(state, 5);

    submit(stage, (struct stage_job){.id = 1, .unique = "u"});
    submit(stage, (struct stage_job){.id = 2, .unique = "u"});
    succeeds(stage, 1, 1);
    submit(stage, (struct stage_job){.id = 3, .unique = "u"});
    stage_expect(stage, "10: run 1.1\n20: accepted 1\n20: accepted 0 2=rejected.unique\n"
                        "10: recorded 1.1\n10: run 3.1\n20: accepted 1\n");
}

static void a_joined_job_ends_with_the_same_result(void **state)
{
    struct stage *stage = worker_and_client(state, 5);

    submit(stage, (struct stage_job){.id = 1, .unique = "u"});
    submit(stage, (struct stage_job){.id = 2, .unique = "u", .unique_policy = PROTO_UNIQUE_JOIN});
    assert_string_equal(reason_of(stage, 2), "unique");
    succeeds(stage, 1, 1);
    stage_watch(stage, 20, 2, 0, 10, ALL);
    stage_expect(stage, "10: run 1.1\n20: accepted 1\n20: accepted 1\n10: recorded 1.1\n"
                        "20: events 0 2.1=succeeded end\n");
}

static void a_replacing_job_begins_when_the_old_one_has_stopped(void **state)
{
    struct stage *stage = worker_and_client(state, 5);

    submit(stage, (struct stage_job){.id = 1, .unique = "u"});
    submit(stage,
           (struct stage_job){.id = 2, .unique = "u", .unique_policy = PROTO_UNIQUE_REPLACE});
    submit(stage, (struct stage_job){.id = 3, .unique = "u"});
    stage_expect(stage, "10: run 1.1\n20: accepted 1\n10: stop 1.1\n20: accepted 1\n"
                        "20: accepted 0 3=rejected.unique\n");
    stage_result(stage, 10, 10, 1, 1, PROTO_CANCELLED, NULL, false);
    stage_expect(stage, "10: run 2.1\n10: recorded 1.1\n");
}

/* ---- workers ----------------------------------------------------------------------------------
 */

static void a_job_goes_only_where_its_tags_are(void **state)
{
    struct stage *stage = worker_and_client(state, 5);

    submit(stage, (struct stage_job){.id = 1, .requires = "gpu"});
    assert_string_equal(reason_of(stage, 1), "worker.tags");
    submit(stage, (struct stage_job){.id = 2});
    stage->tag = "gpu";
    stage_worker(stage, 11, 1);
    stage_expect(stage, "20: accepted 1\n10: run 2.1\n20: accepted 1\n11: welcome\n11: run 1.1\n");
}

static void write_kind(void *arg, const struct core_happening *happening)
{
    if (strcmp(happening->what, "kind") == 0)
        ag_buffer_printf(arg, "%s %s '%s'\n", happening->kind, happening->state, happening->name);
}

/* What `argosy events` has told of kinds must be exactly this. */
static void expect_of_kinds(struct stage *stage, const char *lines)
{
    struct ag_buffer said = ag_buffer_empty(4096);

    core_happenings(stage->core, 0, UINT32_MAX, write_kind, &said);
    assert_string_equal(ag_buffer_as_text(&said), lines);
    ag_buffer_free(&said);
}

static void find_fetch(void *arg, const struct core_queue_view *view)
{
    if (strcmp(view->name, "fetch") == 0)
        *(int64_t *)arg = view->unserved_ms;
}

static int64_t unserved_ms(struct stage *stage)
{
    int64_t ms = -1;

    core_each_queue(stage->core, find_fetch, &ms);
    return ms;
}

/* Nobody falls silent while a test lets a minute pass. */
static struct stage *patient_stage(void **state)
{
    struct core_config patient = ((struct stage *)*state)->config;

    patient.heartbeat_ms = 3600 * 1000;
    stage_free(*state);
    *state = stage_new(&patient);
    stage_client(*state, 20);
    return *state;
}

static void what_no_worker_can_take_is_an_alarm_after_a_minute_and_once(void **state)
{
    struct stage *stage = patient_stage(state);

    submit(stage, (struct stage_job){.id = 1});
    stage_wait(stage, 30000);
    submit(stage, (struct stage_job){.id = 2});
    stage_wait(stage, 29999);
    stage_expect(stage, "20: welcome\n20: accepted 1\n20: accepted 1\n");
    stage_wait(stage, 1);
    stage_expect(stage, "alarm fetch 2\n");
    assert_int_equal(unserved_ms(stage), 60000);
    stage_wait(stage, 600000);
    expect_of_kinds(stage, "fetch unserved ''\n");
    stage_worker(stage, 10, 2);
    stage_expect(stage, "10: welcome\n10: run 1.1\n10: run 2.1\n");
    expect_of_kinds(stage, "fetch unserved ''\nfetch served ''\n");
    assert_int_equal(unserved_ms(stage), 0);
    stage_say(stage, 10, 10, CORE_LEAVE); /* and all over again */
    stage_wait(stage, 60000);
    stage_expect(stage, "10: close\nalarm fetch 2\n");
    stage_cancel(stage, 20, 1);
    stage_cancel(stage, 20, 2);
    expect_of_kinds(stage, "fetch unserved ''\nfetch served ''\n"
                           "fetch unserved ''\nfetch emptied ''\n");
}

static void a_minute_with_a_worker_in_it_is_no_alarm(void **state)
{
    struct stage *stage = patient_stage(state);

    submit(stage, (struct stage_job){.id = 1});
    submit(stage, (struct stage_job){.id = 2});
    stage_wait(stage, 59999);
    stage_worker(stage, 10, 1); /* job 2 waits, but for its turn */
    stage_wait(stage, 600000);
    stage_say(stage, 10, 10, CORE_LEAVE);
    stage_wait(stage, 59999);
    stage_expect(stage, "20: welcome\n20: accepted 1\n20: accepted 1\n10: welcome\n10: run 1.1\n"
                        "10: close\n");
    expect_of_kinds(stage, "");
    stage_wait(stage, 1);
    stage_expect(stage, "alarm fetch 2\n");
}

static void tags_that_no_worker_has_are_an_alarm_of_their_own(void **state)
{
    struct stage *stage = patient_stage(state);

    stage_worker(stage, 10, 1);
    submit(stage, (struct stage_job){.id = 1});
    submit(stage, (struct stage_job){.id = 2});
    submit(stage, (struct stage_job){.id = 3, .requires = "gpu"});
    stage_wait(stage, 1000);
    submit(stage, (struct stage_job){.id = 4, .requires = "eu"});
    stage_wait(stage, 59000);
    stage_expect(stage, "20: welcome\n10: welcome\n10: run 1.1\n20: accepted 1\n20: accepted 1\n"
                        "20: accepted 1\n20: accepted 1\nalarm fetch gpu 1\n");
    stage_wait(stage, 1000);
    stage_expect(stage, "alarm fetch eu 1\n");
    stage->tag = "gpu";
    stage_worker(stage, 11, 2);
    stage_expect(stage, "11: welcome\n11: run 2.1\n11: run 3.1\n");
    expect_of_kinds(stage, "fetch unserved 'gpu'\nfetch unserved 'eu'\nfetch served 'gpu'\n");
}

static void a_worker_that_was_told_to_leave_serves_nobody(void **state)
{
    struct stage *stage = patient_stage(state);

    stage_worker(stage, 10, 1);
    submit(stage, (struct stage_job){.id = 1});
    submit(stage, (struct stage_job){.id = 2});
    for (int i = 0; i < 2; i++) /* it may be told twice */
        stage_control(stage, 20,
                      (struct core_control){.verb = VERB_DRAIN,
                                            .worker = ag_bytes_of_text("w10"),
                                            .number = 3600 * 1000});
    assert_string_equal(reason_of(stage, 2), "worker.none");
    stage_wait(stage, 60000);
    stage_expect(stage, "20: welcome\n10: welcome\n10: run 1.1\n20: accepted 1\n20: accepted 1\n"
                        "10: drain\n20: answer\n10: drain\n20: answer\nalarm fetch 1\n");
    stage_say(stage, 10, 10, CORE_LEAVE);
    expect_of_kinds(stage, "fetch unserved ''\n");
}

/* The minute begins anew: what the workers were doing meanwhile nobody knows. */
static void what_waits_is_an_alarm_also_after_a_restart(void **state)
{
    struct stage *stage = patient_stage(state);

    stage->keeps_journal = true;
    submit(stage, (struct stage_job){.id = 1, .requires = "gpu"});
    stage_wait(stage, 59999);
    stage_restart(stage);
    stage_wait(stage, 59999);
    stage_expect(stage, "20: welcome\n20: accepted 1\n");
    stage_wait(stage, 1);
    stage_expect(stage, "alarm fetch gpu 1\n");
}

static void what_has_not_begun_is_asked_back_for_an_idle_worker(void **state)
{
    struct stage *stage = *state;

    stage->slots = 1;
    stage_worker(stage, 10, 3); /* one slot, two ahead */
    stage_client(stage, 20);
    submit(stage, (struct stage_job){.id = 1});
    submit(stage, (struct stage_job){.id = 2});
    submit(stage, (struct stage_job){.id = 3});
    stage_expect(stage, "10: welcome\n20: welcome\n10: run 1.1\n20: accepted 1\n10: run 2.1\n"
                        "20: accepted 1\n10: run 3.1\n20: accepted 1\n");
    stage_worker(stage, 11, 1);
    stage_expect(stage, "11: welcome\n10: recall 3.1\n");
    stage_result(stage, 10, 10, 3, 1, PROTO_RELEASED, NULL, false);
    stage_expect(stage, "11: run 3.2\n10: recorded 3.1\n");
}

static void a_suspect_runs_alone(void **state)
{
    struct stage *stage = worker_and_client(state, 2);

    submit(stage, (struct stage_job){.id = 1});
    stage_say(stage, 10, 10, CORE_GONE);
    stage_worker(stage, 11, 2);
    stage_say(stage, 11, 11, CORE_GONE);
    stage_expect(stage, "10: run 1.1\n20: accepted 1\n10: close\n11: welcome\n11: run 1.2\n"
                        "11: close\n");
    submit(stage, (struct stage_job){.id = 2});
    stage_worker(stage, 12, 2);
    submit(stage, (struct stage_job){.id = 3});
    /* the suspect has worker 12 for itself: the others wait */
    stage_expect(stage, "20: accepted 1\n12: welcome\n12: run 1.3\n20: accepted 1\n");
    stage_result(stage, 12, 12, 1, 3, PROTO_SUCCEEDED, NULL, false);
    stage_expect(stage, "12: run 2.1\n12: run 3.1\n12: recorded 1.3\n");
}

static void a_worker_is_emptied_for_a_suspect(void **state)
{
    struct stage *stage = worker_and_client(state, 1);

    submit(stage, (struct stage_job){.id = 1});
    stage_say(stage, 10, 10, CORE_GONE);
    stage_worker(stage, 11, 1);
    stage_say(stage, 11, 11, CORE_GONE);
    submit(stage, (struct stage_job){.id = 2, .priority = 0});
    stage_expect(stage, "10: run 1.1\n20: accepted 1\n10: close\n11: welcome\n11: run 1.2\n"
                        "11: close\n20: accepted 1\n");
    assert_string_equal(reason_of(stage, 1), "worker.none");
    stage_cancel(stage, 20, 1);
    stage_worker(stage, 12, 2);
    stage_expect(stage, "20: answer cancelled 1 cancelling 0 ended 0 unknown 0\n12: welcome\n"
                        "12: run 2.1\n");
}

static void a_worker_that_does_not_confirm_loses_the_lease(void **state)
{
    struct stage *stage = worker_and_client(state, 1);

    submit(stage, (struct stage_job){.id = 1, .grace_ms = 500});
    stage_cancel(stage, 20, 1);
    stage_expect(stage, "10: run 1.1\n20: accepted 1\n10: stop 1.1\n"
                        "20: answer cancelled 0 cancelling 1 ended 0 unknown 0\n");
    for (int i = 0; i < 7; i++) { /* half a second and three heartbeats */
        stage_wait(stage, 500);
        stage_say(stage, 10, 10, CORE_ALIVE);
        stage_say(stage, 20, 20, CORE_ALIVE);
    }
    stage_watch(stage, 20, 1, 0, 10, ALL);
    stage_expect(stage, "10: stop 1.1\n20: events 0 1.1=cancelled(lost.unconfirmed) end\n");
    succeeds(stage, 1, 1); /* too late */
    stage_expect(stage, "10: recorded 1.1\n");
}

static void a_draining_worker_gets_nothing_more(void **state)
{
    struct stage *stage = worker_and_client(state, 5);
    struct core_control drain = {.verb = VERB_DRAIN, .worker = ag_bytes_of_text("w10")};
    struct core_control none = {.verb = VERB_DRAIN, .worker = ag_bytes_of_text("w99")};

    stage_control(stage, 20, drain);
    stage_control(stage, 20, none);
    submit(stage, (struct stage_job){.id = 1});
    stage_credit(stage, 10, 10, 5);
    stage_expect(stage, "10: drain\n20: answer\n20: answer not_found\n20: accepted 1\n");
}

/* ---- groups -----------------------------------------------------------------------------------
 */

static void submit_group(struct stage *stage, struct proto_group group, unsigned count)
{
    struct stage_job jobs[8] = {0};

    for (unsigned i = 0; i < count; i++)
        jobs[i] = (struct stage_job){.id = i + 1, .group = 100};
    stage_submit(stage, 20, &group, 1, jobs, count);
    stage_seal(stage, 20, 100);
}

static void the_first_success_of_a_race_cancels_the_rest(void **state)
{
    struct stage *stage = worker_and_client(state, 2);

    submit_group(stage, stage_group(100, PROTO_RACE), 3);
    fails(stage, 1, 1);
    succeeds(stage, 2, 1);
    stage_expect(stage, "10: run 1.1\n10: run 2.1\n20: accepted 3\n20: answer\n"
                        "10: run 3.1\n10: recorded 1.1\n10: stop 3.1\n10: recorded 2.1\n");
    stage_result(stage, 10, 10, 3, 1, PROTO_CANCELLED, NULL, false);
    stage_watch(stage, 20, 100, 0, 10, ALL);
    stage_expect(stage, "10: recorded 3.1\n20: events 0 1.1=failed(handler.no) 2.1=succeeded "
                        "3.1=cancelled end\n");
}

static void a_gentle_end_lets_running_jobs_end(void **state)
{
    struct stage *stage = worker_and_client(state, 2);
    struct proto_group group = stage_group(100, PROTO_TASKGROUP);

    group.is_gentle = true;
    submit_group(stage, group, 3);
    fails(stage, 1, 1);
    stage_expect(stage, "10: run 1.1\n10: run 2.1\n20: accepted 3\n20: answer\n"
                        "10: recorded 1.1\n");
    succeeds(stage, 2, 1);
    stage_watch(stage, 20, 100, 0, 10, ALL);
    stage_expect(stage, "10: recorded 2.1\n20: events 0 1.1=failed(handler.no) 3.0=cancelled "
                        "2.1=succeeded end\n");
}

static void a_share_of_failures_is_tolerated(void **state)
{
    struct stage *stage = worker_and_client(state, 4);
    struct proto_group group = stage_group(100, PROTO_TASKGROUP);

    group.failures_percent = 50;
    submit_group(stage, group, 4);
    fails(stage, 1, 1);
    fails(stage, 2, 1);
    stage_expect(stage, "10: run 1.1\n10: run 2.1\n10: run 3.1\n10: run 4.1\n20: accepted 4\n"
                        "20: answer\n10: recorded 1.1\n10: recorded 2.1\n");
    fails(stage, 3, 1);
    stage_expect(stage, "10: stop 4.1\n10: recorded 3.1\n");
}

static void too_few_successes_are_a_failure_of_the_group(void **state)
{
    struct stage *stage = worker_and_client(state, 4);
    struct proto_group group = stage_group(100, PROTO_GATHER);

    group.successes_min = 2;
    submit_group(stage, group, 2);
    fails(stage, 1, 1);
    succeeds(stage, 2, 1);
    stage_watch(stage, 20, 100, 9, 10, ALL);
    stage_expect(stage, "10: run 1.1\n10: run 2.1\n20: accepted 2\n20: answer\n10: recorded 1.1\n"
                        "10: recorded 2.1\n20: events 9 end group.successes\n");
}

static void a_rate_spaces_beginnings(void **state)
{
    struct stage *stage = worker_and_client(state, 8);
    struct proto_group group = stage_group(100, PROTO_GATHER);

    group.rate_per_minute = 60; /* one a second */
    submit_group(stage, group, 3);
    stage_wait(stage, 800);
    stage_expect(stage, "10: run 1.1\n20: accepted 3\n20: answer\n");
    assert_string_equal(reason_of(stage, 2), "group.rate");
    stage_wait(stage, 200);
    stage_expect(stage, "10: run 2.1\n");
    stage_wait(stage, 1000);
    stage_expect(stage, "10: run 3.1\n");
}

/* Group 100 holds job 1 and group 200, which holds job 2. */
static void submit_nested(struct stage *stage, enum proto_policy policy)
{
    struct proto_group groups[] = {stage_group(100, policy), stage_group(200, PROTO_GATHER)};
    struct stage_job jobs[] = {{.id = 1, .group = 100}, {.id = 2, .group = 200}};

    groups[1].parent = stage_id(100);
    stage_submit(stage, 20, groups, 2, jobs, 2);
    stage_seal(stage, 20, 100);
    stage_expect(stage, "10: run 1.1\n10: run 2.1\n20: accepted 2\n20: answer\n");
}

static void a_parent_ends_after_its_groups(void **state)
{
    struct stage *stage = worker_and_client(state, 8);

    submit_nested(stage, PROTO_GATHER);
    stage_watch(stage, 20, 100, 0, 10, ALL);
    succeeds(stage, 1, 1);
    fails(stage, 2, 1);
    stage_expect(stage, "20: events 0\n10: recorded 1.1\n20: events 0 1.1=succeeded\n"
                        "10: recorded 2.1\n");
    stage_seal(stage, 20, 200); /* it was still open */
    stage_expect(stage, "20: answer\n20: events 1 200.0=failed end\n");
}

static void cancelling_a_parent_cancels_all_within(void **state)
{
    struct stage *stage = worker_and_client(state, 8);

    submit_nested(stage, PROTO_GATHER);
    stage_cancel(stage, 20, 100);
    stage_expect(stage, "10: stop 1.1\n10: stop 2.1\n"
                        "20: answer cancelled 1 cancelling 1 ended 0 unknown 0\n");
    stage_result(stage, 10, 10, 1, 1, PROTO_CANCELLED, NULL, false);
    stage_watch(stage, 20, 100, 0, 10, ALL);
    stage_expect(stage, "10: recorded 1.1\n20: events 0 1.1=cancelled\n");
    stage_result(stage, 10, 10, 2, 1, PROTO_CANCELLED, NULL, false);
    stage_expect(stage, "10: recorded 2.1\n20: events 1 200.0=cancelled end cancelled\n");
}

static void a_group_that_fails_fails_its_taskgroup(void **state)
{
    struct stage *stage = worker_and_client(state, 8);

    submit_nested(stage, PROTO_TASKGROUP);
    stage_seal(stage, 20, 200);
    fails(stage, 2, 1);
    stage_expect(stage, "20: answer\n10: stop 1.1\n10: recorded 2.1\n");
}

/* ---- orders -----------------------------------------------------------------------------------
 */

static void a_failed_job_is_tried_again_as_a_new_one(void **state)
{
    struct stage *stage = worker_and_client(state, 8);
    struct core_control retry = {.verb = VERB_RETRY, .id = stage_id(1), .as = stage_id(9)};
    struct core_control remove = {.verb = VERB_REMOVE, .id = stage_id(1)};

    submit(stage, (struct stage_job){.id = 1});
    stage_control(stage, 20, retry);
    stage_control(stage, 20, remove);
    fails(stage, 1, 1);
    stage_expect(stage, "10: run 1.1\n20: accepted 1\n20: answer rejected.state\n"
                        "20: answer rejected.state\n10: recorded 1.1\n");
    stage_control(stage, 20, retry);
    stage_control(stage, 20, remove);
    stage_control(stage, 20, remove);
    stage_expect(stage, "10: run 9.1\n20: answer\n20: answer\n20: answer not_found\n");
}

static void progress_is_told_to_those_who_watch_with_credit(void **state)
{
    struct stage *stage = worker_and_client(state, 8);

    submit(stage, (struct stage_job){.id = 1});
    stage_progress(stage, 10, 1, 1, 100);
    stage_watch(stage, 20, 1, 0, 1, ALL | PROTO_WATCH_NEWS);
    stage_progress(stage, 10, 1, 1, 200);
    stage_progress(stage, 10, 1, 1, 300);
    stage_more(stage, 20, 0, 1);
    stage_progress(stage, 10, 1, 2, 350); /* of no current attempt */
    stage_progress(stage, 10, 1, 1, 400);
    stage_expect(stage, "10: run 1.1\n20: accepted 1\n20: events 0\n20: news 1.1 200\n"
                        "20: news 1.1 400\n");
}

/* ---- retry budgets ----------------------------------------------------------------------------
 */

/* So many jobs like this one, with numbers from its own. */
static void submit_many(struct stage *stage, struct stage_job like, unsigned count)
{
    struct stage_job jobs[AG_MESSAGE_ITEMS_MAX];

    like.attempts = 3;
    for (unsigned i = 0; i < count; i++, like.id++)
        jobs[i] = like;
    stage_submit(stage, 20, NULL, 0, jobs, count);
}

/* Failures that are worth a retry. */
static void many_fail(struct stage *stage, unsigned worker, unsigned first, unsigned count,
                      unsigned attempt)
{
    for (unsigned i = first; i < first + count; i++)
        stage_result(stage, worker, worker, i, attempt, PROTO_FAILED, "fetch.http.server.503",
                     true);
    ag_buffer_clear(&stage->said);
}

/* Of the jobs with these numbers. */
static unsigned failed(struct stage *stage, unsigned first, unsigned count)
{
    unsigned n = 0;

    for (unsigned i = first; i < first + count; i++) {
        struct ag_id id = stage_id(i);
        struct core_job_view view = {.state = "not here"};
        struct core_group_view group;

        core_show(stage->core, &id, &view, &group);
        n += strcmp(view.state, "failed") == 0;
    }
    return n;
}

static void wait_in_session(struct stage *stage, unsigned worker, unsigned seconds)
{
    for (; seconds > 0; seconds--) {
        stage_wait(stage, 1000);
        stage_say(stage, worker, worker, CORE_ALIVE);
        stage_say(stage, 20, 20, CORE_ALIVE);
    }
    ag_buffer_clear(&stage->said);
}

static uint64_t over_budget(struct stage *stage)
{
    struct core_status status;

    core_status(stage->core, &status);
    return status.counters.over_budget;
}

static void a_storm_at_one_host_is_cut_and_other_hosts_are_not(void **state)
{
    struct stage *stage = worker_and_client(state, 200);

    submit_many(stage, (struct stage_job){.id = 1, .key = "down", .budget = 20}, 20);
    submit_many(stage, (struct stage_job){.id = 101, .key = "up", .budget = 20}, 60);
    many_fail(stage, 10, 1, 20, 1);
    assert_int_equal(failed(stage, 1, 20), 6); /* 10 and 20 % of 20 are tried again */
    assert_int_equal(over_budget(stage), 6);
    many_fail(stage, 10, 101, 5, 1);
    assert_int_equal(failed(stage, 101, 5), 0);
    stage_watch(stage, 20, 15, 0, 10, ALL);
    stage_expect(stage,
                 "20: events 0 15.1=failed(fetch.http.server.503) not tried again: the retry "
                 "budget (20 %) of key 'down' is spent end\n");
}

static void a_queue_has_a_budget_for_all_its_jobs(void **state)
{
    struct stage *stage = worker_and_client(state, 200);

    submit_many(stage, (struct stage_job){.id = 1, .queue = "night"}, 20); /* they only count */
    submit_many(stage, (struct stage_job){.id = 101, .queue = "night", .budget = 20}, 1);
    submit_many(stage, (struct stage_job){.id = 201, .queue = "day", .budget = 20}, 1);
    many_fail(stage, 10, 1, 20, 1);
    assert_int_equal(failed(stage, 1, 20), 0);
    many_fail(stage, 10, 101, 1, 1);
    many_fail(stage, 10, 201, 1, 1);
    assert_int_equal(failed(stage, 201, 1), 0);
    stage_watch(stage, 20, 101, 0, 10, ALL);
    stage_expect(stage, "20: events 0 101.1=failed(fetch.http.server.503) not tried again: the "
                        "retry budget (20 %) of queue 'night' is spent end\n");
}

static void what_is_long_ago_spends_no_budget(void **state)
{
    struct stage *stage = worker_and_client(state, 200);

    submit_many(stage, (struct stage_job){.id = 1, .key = "down", .budget = 20}, 20);
    many_fail(stage, 10, 1, 20, 1);
    wait_in_session(stage, 10, 9);
    submit_many(stage, (struct stage_job){.id = 101, .key = "down", .budget = 20}, 2);
    many_fail(stage, 10, 101, 1, 1);
    assert_int_equal(failed(stage, 101, 1), 0); /* 14 of 10 and 20 % of 22 */
    many_fail(stage, 10, 102, 1, 1);
    assert_int_equal(failed(stage, 102, 1), 1);
    wait_in_session(stage, 10, 1); /* now they are 11 and 7 */
    submit_many(stage, (struct stage_job){.id = 201, .key = "down", .budget = 20}, 9);
    many_fail(stage, 10, 201, 9, 1);
    assert_int_equal(failed(stage, 201, 9), 2); /* 14 of 20 again */
}

static void a_group_counts_all_of_its_life(void **state)
{
    struct stage *stage = worker_and_client(state, 200);
    struct proto_group group = stage_group(1000, PROTO_GATHER);

    stage_submit(stage, 20, &group, 1, NULL, 0);
    submit_many(stage, (struct stage_job){.id = 1, .group = 1000, .budget = 20}, 21);
    many_fail(stage, 10, 1, 21, 1);
    assert_int_equal(failed(stage, 1, 21), 6);
    wait_in_session(stage, 10, 60);
    submit_many(stage, (struct stage_job){.id = 101, .group = 1000, .budget = 20}, 1);
    submit_many(stage, (struct stage_job){.id = 201, .budget = 20}, 1);
    many_fail(stage, 10, 101, 1, 1);
    many_fail(stage, 10, 201, 1, 1);
    assert_int_equal(failed(stage, 201, 1), 0); /* its queue has forgotten */
    stage_watch(stage, 20, 101, 0, 10, ALL);
    stage_expect(stage, "20: events 0 101.1=failed(fetch.http.server.503) not tried again: the "
                        "retry budget (20 %) of group 'batch' is spent end\n");
}

static void lost_and_released_attempts_spend_no_budget(void **state)
{
    struct stage *stage = worker_and_client(state, 200);

    submit_many(stage, (struct stage_job){.id = 1, .budget = 20}, 20);
    stage_wait(stage, 3001);           /* worker 10 fell silent */
    stage_worker(stage, 11, 200);      /* and has all of them */
    for (unsigned i = 1; i <= 20; i++) /* back at once */
        stage_result(stage, 11, 11, i, 2, PROTO_RELEASED, NULL, false);
    many_fail(stage, 11, 1, 20, 3);
    assert_int_equal(failed(stage, 1, 20), 6);
}

/* What was not worth a retry anyway is told without a word of budgets. */
static void a_last_failure_is_not_blamed_on_the_budget(void **state)
{
    struct stage *stage = worker_and_client(state, 200);

    submit_many(stage, (struct stage_job){.id = 1}, 20);
    many_fail(stage, 10, 1, 20, 1);
    submit(stage, (struct stage_job){.id = 101, .attempts = 1, .budget = 1});
    many_fail(stage, 10, 101, 1, 1);
    assert_int_equal(over_budget(stage), 0);
    stage_watch(stage, 20, 101, 0, 10, ALL);
    stage_expect(stage, "20: events 0 101.1=failed(fetch.http.server.503) end\n");
}

static void the_budget_of_a_group_survives_a_restart(void **state)
{
    struct stage *stage = *state;
    struct proto_group group = stage_group(1000, PROTO_GATHER);

    stage->keeps_journal = true;
    stage_worker(stage, 10, 200);
    stage_client(stage, 20);
    stage_submit(stage, 20, &group, 1, NULL, 0);
    submit_many(stage, (struct stage_job){.id = 1, .group = 1000, .budget = 20}, 21);
    many_fail(stage, 10, 1, 21, 1);
    stage_restart(stage);
    stage_client(stage, 20);
    stage_worker(stage, 10, 200);
    wait_in_session(stage, 10, 4);
    submit_many(stage, (struct stage_job){.id = 101, .group = 1000, .budget = 20}, 1);
    many_fail(stage, 10, 101, 1, 1);
    submit_many(stage, (struct stage_job){.id = 201, .group = 1000, .budget = 20}, 4);
    many_fail(stage, 10, 201, 2, 1);
    assert_int_equal(failed(stage, 201, 2), 1); /* 16 of 10 and 20 % of 26, no more and no less */
    stage_watch(stage, 20, 101, 0, 10, ALL);
    stage_watch(stage, 20, 21, 0, 10, ALL);
    stage_expect(stage, "20: events 0 101.1=failed(fetch.http.server.503) not tried again: the "
                        "retry budget (20 %) of group 'batch' is spent end\n"
                        "20: events 0 21.1=failed(fetch.http.server.503) not tried again: the "
                        "retry budget (20 %) of group 'batch' is spent end\n");
}

static uint32_t permille_of(struct stage *stage, unsigned job)
{
    struct ag_id id = stage_id(job);
    struct core_job_view view = {0};
    struct core_group_view group;

    core_show(stage->core, &id, &view, &group);
    return view.permille;
}

static void progress_is_that_of_the_attempt_in_hand(void **state)
{
    struct stage *stage = worker_and_client(state, 8);

    submit(stage, (struct stage_job){.id = 1, .attempts = 2});
    assert_int_equal(permille_of(stage, 1), AG_PERMILLE_UNKNOWN);
    stage_progress(stage, 10, 1, 1, 400);
    assert_int_equal(permille_of(stage, 1), 400);
    stage_result(stage, 10, 10, 1, 1, PROTO_FAILED, "handler.no", true);
    assert_int_equal(permille_of(stage, 1), AG_PERMILLE_UNKNOWN); /* it waits */
    stage_wait(stage, 1000);
    assert_int_equal(permille_of(stage, 1), AG_PERMILLE_UNKNOWN); /* it has begun anew */
    stage_progress(stage, 10, 1, 2, 900);
    succeeds(stage, 1, 2);
    assert_int_equal(permille_of(stage, 1), AG_PERMILLE_UNKNOWN); /* it is through */
    stage_expect(stage, "10: run 1.1\n20: accepted 1\n10: recorded 1.1\n10: run 1.2\n"
                        "10: recorded 1.2\n");
}

/* Found in review: what one had taken was missing when the other was to be told. */
static void two_readers_of_a_group_are_told_all(void **state)
{
    struct stage *stage = worker_and_client(state, 8);
    struct proto_group group = stage_group(1000, PROTO_GATHER);

    stage_client(stage, 21);
    stage_submit(stage, 20, &group, 1, NULL, 0);
    for (unsigned n = 1; n <= 3; n++)
        submit(stage, (struct stage_job){.id = n, .group = 1000});
    stage_watch(stage, 20, 1000, 0, 10, ALL | PROTO_WATCH_RELEASE);
    stage_watch(stage, 21, 1000, 0, 1, ALL); /* reads slowly */
    for (unsigned n = 1; n <= 3; n++)
        succeeds(stage, n, 1);
    ag_buffer_clear(&stage->said);
    stage_more(stage, 20, 3, 10);
    stage_more(stage, 21, 1, 10);
    stage_expect(stage, "21: events 1 2.1=succeeded 3.1=succeeded\n");
}

/* ---- long queues -------------------------------------------------------------------------------
 */

static struct stage *with_few_awake(void **state, uint32_t awake_max)
{
    struct stage *stage = *state;

    stage->keeps_journal = true;
    stage->config.awake_max = awake_max;
    core_destroy(&stage->core);
    stage->core = core_new(&stage->config);
    assert_non_null(stage->core);
    stage_client(stage, 20);
    ag_buffer_clear(&stage->said);
    return stage;
}

static void submit_in_line(struct stage *stage, unsigned first, unsigned last)
{
    for (unsigned id = first; id <= last; id++)
        submit(stage, (struct stage_job){.id = id});
    ag_buffer_clear(&stage->said);
}

static uint64_t bytes_of(struct stage *stage)
{
    struct core_status status;

    core_status(stage->core, &status);
    return status.bytes;
}

static void a_long_queue_takes_little_memory(void **state)
{
    struct stage *stage = with_few_awake(state, 2);
    uint64_t before, one;

    submit_in_line(stage, 1, 2);
    before = bytes_of(stage);
    submit_in_line(stage, 3, 102);
    stage_wait(stage, 1);
    one = (bytes_of(stage) - before) / 100;
    assert_in_range(one, 1, 64);
}

static void jobs_begin_in_their_order_when_they_have_slept(void **state)
{
    struct stage *stage = with_few_awake(state, 2);

    submit_in_line(stage, 1, 6);
    stage_worker(stage, 10, 1);
    stage_expect(stage, "10: welcome\n10: run 1.1\n");
    for (unsigned id = 1; id <= 6; id++) {
        char expected[64];

        stage_load(stage);
        ag_buffer_clear(&stage->said);
        succeeds(stage, id, 1);
        stage_load(stage);
        snprintf(expected, sizeof expected, "10: recorded %u.1\n", id);
        assert_non_null(strstr(ag_buffer_as_text(&stage->said), expected));
        snprintf(expected, sizeof expected, "10: run %u.1\n", id + 1);
        assert_int_equal(strstr(ag_buffer_as_text(&stage->said), expected) != NULL, id < 6);
    }
    ag_buffer_clear(&stage->said);
}

static void a_job_waits_for_its_payload_and_so_does_who_comes_after(void **state)
{
    struct stage *stage = with_few_awake(state, 1);

    submit_in_line(stage, 1, 3);
    stage_worker(stage, 10, 8);
    stage_wait(stage, 1);
    stage_expect(stage, "10: welcome\n10: run 1.1\n"); /* 2 is being read */
    stage_load(stage);
    stage_load(stage);
    stage_expect(stage, "10: run 2.1\n10: run 3.1\n");
}

static void who_sleeps_can_be_shown_cancelled_and_watched(void **state)
{
    struct stage *stage = with_few_awake(state, 1);
    struct ag_id id = stage_id(3);
    struct core_job_view view;
    struct core_group_view group;

    submit_in_line(stage, 1, 5);
    stage_wait(stage, 1);
    assert_true(core_show(stage->core, &id, &view, &group).job);
    assert_string_equal(view.state, "queued");
    submit(stage, (struct stage_job){.id = 3}); /* known, though it sleeps */
    stage_expect(stage, "20: accepted 0 repeated 1\n");
    stage_cancel(stage, 20, 3);
    stage_watch(stage, 20, 3, 0, 10, ALL);
    stage_watch(stage, 20, 4, 0, 10, ALL);
    stage_expect(stage, "20: answer cancelled 1 cancelling 0 ended 0 unknown 0\n"
                        "20: events 0 3.0=cancelled end\n20: events 0\n");
    stage_worker(stage, 10, 1);
    for (unsigned n = 1; n <= 5; n++) {
        stage_load(stage);
        if (n != 3)
            succeeds(stage, n, 1);
        stage_wait(stage, 1);
    }
    assert_non_null(strstr(ag_buffer_as_text(&stage->said), "4.1=succeeded"));
    assert_null(strstr(ag_buffer_as_text(&stage->said), "run 3."));
    ag_buffer_clear(&stage->said);
}

static void a_group_that_sleeps_is_cancelled_whole(void **state)
{
    struct stage *stage = with_few_awake(state, 1);
    struct proto_group group = stage_group(1000, PROTO_GATHER);
    struct core_group_view view;
    struct core_job_view job;
    struct ag_id id = stage_id(1000);

    stage_submit(stage, 20, &group, 1, NULL, 0);
    for (unsigned n = 1; n <= 50; n++)
        submit(stage, (struct stage_job){.id = n, .group = 1000});
    stage_seal(stage, 20, 1000);
    stage_cancel(stage, 20, 1000);
    stage_wait(stage, 1);
    ag_buffer_clear(&stage->said);
    assert_true(core_show(stage->core, &id, &job, &view).group);
    assert_true(view.ended);
    assert_int_equal(view.counts.cancelled, 50);
}

static void a_long_queue_sleeps_on_after_a_restart(void **state)
{
    struct stage *stage = with_few_awake(state, 2);
    uint64_t before;

    submit_in_line(stage, 1, 60);
    stage_wait(stage, 1);
    before = bytes_of(stage);
    stage_restart(stage);
    assert_in_range(bytes_of(stage), 1, before);
    stage_client(stage, 20);
    stage_worker(stage, 10, 60);
    for (unsigned n = 1; n <= 60; n++)
        stage_load(stage);
    assert_non_null(strstr(ag_buffer_as_text(&stage->said), "run 60.1"));
    ag_buffer_clear(&stage->said);
}

/* A store that has lost it: better one job that says so than one that waits for ever. */
static void a_payload_that_is_gone_fails_its_job(void **state)
{
    struct stage *stage = with_few_awake(state, 1);

    submit_in_line(stage, 1, 2);
    ag_buffer_clear(&stage->journal);
    stage_worker(stage, 10, 8);
    stage_wait(stage, 1);
    stage_load(stage);
    stage_watch(stage, 20, 2, 0, 10, ALL);
    stage_expect(stage, "10: welcome\n10: run 1.1\n20: events 0 2.0=failed end\n");
}

/* What was said is committed, and committed again: then results have been put aside. */
static void put_aside(struct stage *stage)
{
    stage_wait(stage, 1);
    stage_say(stage, 20, 20, CORE_ALIVE);
}

/* The stage's results have 1 byte. */
static void a_result_is_put_aside_and_read_for_who_asks(void **state)
{
    struct stage *stage = with_few_awake(state, 8);
    uint64_t before;

    stage_worker(stage, 10, 8);
    submit(stage, (struct stage_job){.id = 1});
    submit(stage, (struct stage_job){.id = 2});
    succeeds(stage, 1, 1);
    before = bytes_of(stage);
    succeeds(stage, 2, 1); /* with its commit the first one goes */
    put_aside(stage);
    assert_true(bytes_of(stage) < before);
    ag_buffer_clear(&stage->said);
    stage_watch(stage, 20, 1, 0, 10, PROTO_WATCH_RESULTS);
    stage_expect(stage, "20: events 0\n"); /* it is being read */
    stage_load(stage);
    stage_expect(stage, "20: events 0 1.1=succeeded end\n");
}

static void who_does_not_want_results_does_not_wait_for_them(void **state)
{
    struct stage *stage = with_few_awake(state, 8);

    stage_worker(stage, 10, 8);
    submit(stage, (struct stage_job){.id = 1});
    succeeds(stage, 1, 1);
    put_aside(stage);
    ag_buffer_clear(&stage->said);
    stage_watch(stage, 20, 1, 0, 10, 0);
    stage_expect(stage, "20: events 0 1.1=succeeded end\n");
}

static void what_is_handed_on_is_read_first(void **state)
{
    struct stage *stage = with_few_awake(state, 8);

    stage_worker(stage, 10, 8);
    submit(stage, (struct stage_job){.id = 1});
    succeeds(stage, 1, 1);
    put_aside(stage);
    ag_buffer_clear(&stage->said);
    submit(stage, (struct stage_job){.id = 2, .after = {1}});
    stage_expect(stage, "20: accepted 1\n");
    stage_load(stage);
    stage_expect(stage, "10: run 2.1 <1\n");
}

static void what_a_group_has_made_is_away_after_a_restart(void **state)
{
    struct stage *stage = with_few_awake(state, 8);
    struct proto_group group = stage_group(1000, PROTO_GATHER);

    stage_worker(stage, 10, 8);
    stage_submit(stage, 20, &group, 1, NULL, 0);
    submit(stage, (struct stage_job){.id = 1, .group = 1000});
    submit(stage, (struct stage_job){.id = 2, .group = 1000});
    stage_seal(stage, 20, 1000);
    succeeds(stage, 1, 1);
    succeeds(stage, 2, 1);
    stage_restart(stage);
    stage_client(stage, 20);
    ag_buffer_clear(&stage->said);
    stage_watch(stage, 20, 1000, 0, 10, PROTO_WATCH_RESULTS);
    stage_expect(stage, "20: events 0\n");
    stage_load(stage);
    stage_expect(stage, "20: events 0 1.1=succeeded\n20: events 1 2.1=succeeded end\n");
}

struct listed {
    unsigned count, last;
};

static void list_one(void *arg, const struct core_job_view *view)
{
    struct listed *listed = arg;

    listed->count++;
    listed->last = stage_number(&view->id);
}

static void who_sleeps_is_listed_page_by_page(void **state)
{
    struct stage *stage = with_few_awake(state, 2);
    struct core_filter filter = {.state = JOB_QUEUED};
    struct core_cursor cursor = {0};
    struct listed listed = {0};

    submit_in_line(stage, 1, 25);
    stage_wait(stage, 1);
    while (core_list(stage->core, &filter, &cursor, 3, list_one, &listed))
        assert_in_range(listed.count, 1, 25);
    assert_int_equal(listed.count, 25);
    assert_int_equal(listed.last, 25);
}

/* ---- schedules --------------------------------------------------------------------------------
 */

static struct core_control schedule_of(struct ag_buffer *job, uint64_t every_ms, uint32_t times,
                                       enum core_catch_up catch_up)
{
    struct proto_submit_job spec = {.id = stage_id(1),
                                    .kind = ag_bytes_of_text("fetch"),
                                    .retry.attempts = 1,
                                    .payload = ag_bytes_of_text("\x80")};

    *job = ag_buffer_empty(1 << 16);
    ag_proto_encode_job(job, &spec);
    return (struct core_control){.verb = VERB_SCHEDULE_ADD,
                                 .id = stage_id(500),
                                 .name = ag_bytes_of_text("often"),
                                 .rule = {.every_ms = every_ms, .times = times},
                                 .catch_up = catch_up,
                                 .job = ag_buffer_bytes(job)};
}

static uint64_t ticks(struct stage *stage)
{
    struct core_status status;

    core_status(stage->core, &status);
    return status.counters.ticks;
}

/* A day begins; sessions would fall silent, so nobody is here. */
static void a_schedule_fires_as_often_as_it_says(void **state)
{
    struct stage *stage = *state;
    struct core_control remove = {.verb = VERB_SCHEDULE_REMOVE, .id = stage_id(500)};
    struct core_control control;
    struct ag_buffer job;

    stage_client(stage, 20);
    control = schedule_of(&job, 100, 3, CATCH_UP_ALL);
    stage_control(stage, 20, control);
    stage_control(stage, 20, control); /* sent twice */
    stage_wait(stage, 250);
    assert_int_equal(ticks(stage), 2);
    stage_wait(stage, 1000);
    assert_int_equal(ticks(stage), 3);
    stage_control(stage, 20, remove);
    stage_control(stage, 20, remove);
    stage_expect(stage, "20: welcome\n20: answer\n20: answer\n20: answer\n20: answer not_found\n");
    ag_buffer_free(&job);
}

static void missed_ticks_are_made_up_for_as_the_schedule_says(void **state)
{
    static const uint64_t expected[] = {
        [CATCH_UP_SKIP] = 0, [CATCH_UP_ONCE] = 1, [CATCH_UP_ALL] = 5};
    struct core_event late = {.type = CORE_TIMER};

    (void)state;
    for (int catch_up = CATCH_UP_SKIP; catch_up <= CATCH_UP_ALL; catch_up++) {
        struct stage *stage = stage_new(NULL);
        struct ag_buffer job;

        stage_client(stage, 20);
        stage_control(stage, 20, schedule_of(&job, 100, 0, (enum core_catch_up)catch_up));
        stage->now = 550; /* nobody was there for half a second */
        stage_step(stage, &late);
        assert_int_equal(ticks(stage), expected[catch_up]);
        stage_wait(stage, 50);
        assert_int_equal(ticks(stage), expected[catch_up] + 1);
        ag_buffer_free(&job);
        stage_free(stage);
    }
}

static void a_schedule_follows_the_wall_clock(void **state)
{
    struct stage *stage = *state;
    struct ag_buffer job;

    stage_clock(stage, 1000000);
    stage_client(stage, 20);
    stage_control(stage, 20, schedule_of(&job, 100, 0, CATCH_UP_ONCE));
    stage_wait(stage, 250);
    assert_int_equal(ticks(stage), 2);
    stage_clock(stage, 1001000); /* ten were missed */
    assert_int_equal(ticks(stage), 3);
    stage_wait(stage, 50);
    assert_int_equal(ticks(stage), 4);
    stage_clock(stage, 1000500); /* half a second comes once more, its ticks do not */
    stage_wait(stage, 599);
    assert_int_equal(ticks(stage), 4);
    stage_wait(stage, 1);
    assert_int_equal(ticks(stage), 5);
    ag_buffer_free(&job);
}

/* The order may have been long on its way. */
static void a_time_that_has_passed_is_now(void **state)
{
    struct stage *stage = *state;
    struct ag_buffer job;
    struct core_control control = schedule_of(&job, 0, 0, CATCH_UP_SKIP);

    stage_clock(stage, 1000000);
    stage_client(stage, 20);
    control.rule.at_unix_ms = 999000;
    stage_control(stage, 20, control);
    assert_int_equal(ticks(stage), 1);
    stage_wait(stage, 1000);
    assert_int_equal(ticks(stage), 1);
    ag_buffer_free(&job);
}

static void a_stopping_broker_leaves_a_tick_to_the_next_one(void **state)
{
    struct stage *stage = *state;
    struct core_event stopping = {.type = CORE_STOPPING};
    struct ag_buffer job;

    stage->keeps_journal = true;
    stage_client(stage, 20);
    stage_control(stage, 20, schedule_of(&job, 100, 1, CATCH_UP_ALL));
    stage_step(stage, &stopping);
    stage_wait(stage, 500);
    assert_int_equal(ticks(stage), 0);
    stage_restart(stage);
    stage_wait(stage, 1);
    assert_int_equal(ticks(stage), 1);
    ag_buffer_free(&job);
}

/* ---- the journal ------------------------------------------------------------------------------
 */

static void what_was_queued_is_there_after_a_restart(void **state)
{
    struct stage *stage = *state;

    stage->keeps_journal = true;
    stage_client(stage, 20);
    submit(stage, (struct stage_job){.id = 1, .key = "k", .key_max = 1, .priority = 3});
    submit(stage, (struct stage_job){.id = 2, .after = {1}});
    submit(stage, (struct stage_job){.id = 3});
    stage_cancel(stage, 20, 3);
    stage_restart(stage);
    stage_client(stage, 20);
    stage_worker(stage, 10, 5);
    stage_watch(stage, 20, 3, 0, 10, ALL);
    stage_expect(stage, "20: welcome\n20: accepted 1\n20: accepted 1\n20: accepted 1\n"
                        "20: answer cancelled 1 cancelling 0 ended 0 unknown 0\n"
                        "20: welcome\n10: welcome\n10: run 1.1\n20: events 0 3.0=cancelled end\n");
    succeeds(stage, 1, 1);
    stage_expect(stage, "10: run 2.1 <1\n10: recorded 1.1\n");
}

/* Worker 10 may still run job 1; worker 11 has nothing to do with that. */
static void nothing_begins_before_the_workers_of_the_last_life_are_back(void **state)
{
    struct stage *stage = *state;

    stage->keeps_journal = true;
    stage_client(stage, 20);
    stage_worker(stage, 10, 5);
    stage_worker(stage, 12, 5);
    stage_say(stage, 12, 12, CORE_LEAVE); /* is not waited for */
    submit(stage, (struct stage_job){.id = 1});
    submit(stage, (struct stage_job){.id = 2, .priority = 9, .kind = "other"});
    stage_restart(stage);
    stage_worker(stage, 11, 5);
    ag_buffer_clear(&stage->said);
    assert_string_equal(reason_of(stage, 1), "broker.recovering");
    stage_wait(stage, 1000);
    stage_expect(stage, "");
    stage_worker(stage, 10, 0); /* it holds nothing: its RUN was lost on the way */
    stage_expect(stage, "10: welcome\n11: run 1.1\n");
}

static void a_worker_of_the_last_life_is_not_waited_for_for_ever(void **state)
{
    struct stage *stage = *state;

    stage->keeps_journal = true;
    stage_client(stage, 20);
    stage_worker(stage, 10, 5);
    submit(stage, (struct stage_job){.id = 1});
    stage_restart(stage);
    stage_worker(stage, 11, 5);
    stage_wait(stage, 2999);
    stage_say(stage, 11, 11, CORE_ALIVE);
    ag_buffer_clear(&stage->said);
    stage_wait(stage, 1);
    stage_expect(stage, "11: run 1.1\n");
    stage_restart(stage); /* nor again */
    stage_worker(stage, 11, 5);
    stage_expect(stage, "11: welcome\n11: run 1.1\n");
}

/* Else a crash could make the broker forget that somebody runs the job. */
static void a_worker_gets_nothing_before_it_is_durably_known(void **state)
{
    struct stage *stage = *state;

    stage->slow_store = true;
    stage_client(stage, 20);
    submit(stage, (struct stage_job){.id = 1});
    stage_commit(stage);
    stage_worker(stage, 10, 5);
    stage_expect(stage, "20: welcome\n20: accepted 1\n10: welcome\n");
    stage_commit(stage);
    stage_expect(stage, "10: run 1.1\n");
}

static void a_worker_comes_back_with_what_it_holds(void **state)
{
    struct stage *stage = worker_and_client(state, 5);
    static const unsigned holding[] = {1, 1, 2, 1, 0};

    stage_restart(stage); /* nothing to bring back yet */
    stage->keeps_journal = true;
    stage_worker(stage, 10, 5);
    stage_client(stage, 20);
    submit(stage, (struct stage_job){.id = 1});
    submit(stage, (struct stage_job){.id = 2});
    stage_cancel(stage, 20, 2);
    stage->holding_epoch = stage->config.epoch;
    stage_restart(stage);
    stage_expect(stage, "10: welcome\n20: welcome\n10: run 1.1\n20: accepted 1\n10: run 2.1\n"
                        "20: accepted 1\n10: stop 2.1\n"
                        "20: answer cancelled 0 cancelling 1 ended 0 unknown 0\n");
    stage_hello(stage, 10, 10, PROTO_WORKER, "fetch", holding);
    stage_expect(stage, "10: welcome\n10: stop 2.1\n");
    stage->config.epoch--; /* results name the epoch that gave the attempt out */
    succeeds(stage, 1, 1);
    stage_result(stage, 10, 10, 2, 1, PROTO_CANCELLED, NULL, false);
    stage->config.epoch++;
    stage_client(stage, 20);
    stage_watch(stage, 20, 1, 0, 10, ALL);
    stage_expect(stage, "10: recorded 1.1\n10: recorded 2.1\n20: welcome\n"
                        "20: events 0 1.1=succeeded end\n");
}

/* Found by the simulator: the lost attempt was written down with the number of the one that had
 * begun in the same step, so the new one's worker was not believed after a crash. */
static void an_attempt_that_followed_a_lost_one_is_adopted_too(void **state)
{
    struct stage *stage = *state;
    static const unsigned holding[] = {1, 2, 0};

    stage->keeps_journal = true;
    stage_client(stage, 20);
    stage_worker(stage, 10, 1);
    submit(stage, (struct stage_job){.id = 1});
    stage_worker(stage, 11, 1);
    for (int second = 0; second < 3; second++) {
        stage_say(stage, 11, 11, CORE_ALIVE);
        stage_say(stage, 20, 20, CORE_ALIVE);
        stage_wait(stage, 1000);
    }
    stage_wait(stage, 1);
    assert_non_null(strstr(ag_buffer_as_text(&stage->said), "11: run 1.2"));
    stage->holding_epoch = stage->config.epoch;
    stage_restart(stage);
    ag_buffer_clear(&stage->said);
    stage_hello(stage, 11, 11, PROTO_WORKER, "fetch", holding);
    stage_expect(stage, "11: welcome\n");
    stage->config.epoch--;
    stage_result(stage, 11, 11, 1, 2, PROTO_SUCCEEDED, NULL, false);
    stage->config.epoch++;
    stage_client(stage, 20);
    ag_buffer_clear(&stage->said);
    stage_watch(stage, 20, 1, 0, 10, ALL);
    stage_expect(stage, "20: events 0 1.2=succeeded(lost.worker) end\n");
}

static void groups_and_their_ends_survive(void **state)
{
    struct stage *stage = *state;

    stage->keeps_journal = true;
    stage_worker(stage, 10, 8);
    stage_client(stage, 20);
    stage_expect(stage, "10: welcome\n20: welcome\n");
    submit_nested(stage, PROTO_TASKGROUP);
    fails(stage, 2, 1);
    stage_seal(stage, 20, 200); /* its failure fails the parent, which cancels job 1 */
    stage_expect(stage, "10: recorded 2.1\n10: stop 1.1\n20: answer\n");
    stage_restart(stage);
    stage_client(stage, 20);
    stage_watch(stage, 20, 200, 0, 10, ALL);
    stage_expect(stage, "20: welcome\n20: events 0 2.1=failed(handler.no) end\n");
    stage_watch(stage, 20, 100, 0, 10, ALL);
    stage_expect(stage, "20: events 0 200.0=failed\n");
    for (int i = 0; i < 9; i++) { /* nobody comes back with job 1: it is known to have stopped */
        stage_wait(stage, 1000);
        stage_say(stage, 20, 20, CORE_ALIVE);
    }
    stage_expect(stage, "20: events 1 1.0=cancelled end\n");
}

static void a_schedule_survives_and_does_not_fire_twice(void **state)
{
    struct stage *stage = *state;
    struct core_status status;
    struct ag_buffer job;

    stage->keeps_journal = true;
    stage_client(stage, 20);
    stage_control(stage, 20, schedule_of(&job, 100, 3, CATCH_UP_ALL));
    stage_wait(stage, 210);
    stage_restart(stage);
    stage_wait(stage, 500);
    core_status(stage->core, &status);
    assert_int_equal(status.counters.submitted, 3);
    assert_int_equal(status.unaccounted, 0);
    ag_buffer_free(&job);
}

/* What was to wait a second at most waits no longer than that, whatever clock the next broker
 * finds. */
static void a_clock_that_was_set_back_keeps_nobody_waiting(void **state)
{
    struct stage *stage = *state;
    struct core_job_view delayed, retried;
    struct core_group_view group;
    struct proto_group limited = stage_group(100, PROTO_GATHER);

    stage->keeps_journal = true;
    stage_clock(stage, 2 * HOUR_MS);
    stage_worker(stage, 10, 1);
    stage_client(stage, 20);
    submit(stage, (struct stage_job){.id = 1, .delay_ms = 100});
    submit(stage, (struct stage_job){.id = 2, .attempts = 3});
    stage_result(stage, 10, 10, 2, 1, PROTO_FAILED, "handler.no", true);
    limited.deadline_ms = 100;
    stage_submit(stage, 20, &limited, 1, NULL, 0);
    stage->config.unix_offset_ms = HOUR_MS;
    stage_restart(stage);
    stage_wait(stage, 1001);
    assert_true(core_show(stage->core, (struct ag_id[]){stage_id(1)}, &delayed, &group).job);
    assert_true(core_show(stage->core, (struct ag_id[]){stage_id(2)}, &retried, &group).job);
    assert_string_equal(delayed.state, "queued");
    assert_string_equal(retried.state, "queued");
    assert_true(core_show(stage->core, (struct ag_id[]){stage_id(100)}, &delayed, &group).group);
    assert_string_equal(group.failure, "timeout.group");
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest stories[] = {
        STORY(a_lower_number_goes_first),
        STORY(a_paused_queue_begins_nothing_until_it_is_resumed),
        STORY(a_queue_runs_no_more_than_its_limit),
        STORY(what_happens_to_relaxed_jobs_is_told_at_once),
        STORY(a_queue_is_relaxed_when_that_is_durable),
        STORY(a_group_of_relaxed_jobs_is_told_of_with_them),
        STORY(relaxed_ends_overtake_strict_ones),
        STORY(who_does_not_ask_for_early_ends_hears_durable_ones),
        STORY(a_crash_forgets_the_last_moments_of_relaxed_jobs),
        STORY(a_key_is_limited_in_the_whole_fleet),
        STORY(a_key_has_its_delay_between_beginnings),
        STORY(a_retry_after_closes_the_key_for_everybody),
        STORY(a_retry_after_closes_the_key_also_when_nothing_is_tried_again),
        STORY(a_job_gets_what_it_waited_for),
        STORY(a_failure_is_handed_down_the_chain),
        STORY(what_waits_for_a_cancelled_job_is_cancelled),
        STORY(what_is_not_known_is_not_waited_for),
        STORY(a_job_after_a_group_gets_its_results_in_order),
        STORY(what_is_waited_for_is_not_forgotten),
        STORY(a_unique_job_is_refused_while_another_lives),
        STORY(a_joined_job_ends_with_the_same_result),
        STORY(a_replacing_job_begins_when_the_old_one_has_stopped),
        STORY(a_job_goes_only_where_its_tags_are),
        STORY(what_no_worker_can_take_is_an_alarm_after_a_minute_and_once),
        STORY(a_minute_with_a_worker_in_it_is_no_alarm),
        STORY(tags_that_no_worker_has_are_an_alarm_of_their_own),
        STORY(a_worker_that_was_told_to_leave_serves_nobody),
        STORY(what_waits_is_an_alarm_also_after_a_restart),
        STORY(what_has_not_begun_is_asked_back_for_an_idle_worker),
        STORY(a_suspect_runs_alone),
        STORY(a_worker_is_emptied_for_a_suspect),
        STORY(a_worker_that_does_not_confirm_loses_the_lease),
        STORY(a_draining_worker_gets_nothing_more),
        STORY(the_first_success_of_a_race_cancels_the_rest),
        STORY(a_gentle_end_lets_running_jobs_end),
        STORY(a_share_of_failures_is_tolerated),
        STORY(too_few_successes_are_a_failure_of_the_group),
        STORY(a_rate_spaces_beginnings),
        STORY(a_parent_ends_after_its_groups),
        STORY(cancelling_a_parent_cancels_all_within),
        STORY(a_group_that_fails_fails_its_taskgroup),
        STORY(a_failed_job_is_tried_again_as_a_new_one),
        STORY(progress_is_told_to_those_who_watch_with_credit),
        STORY(a_storm_at_one_host_is_cut_and_other_hosts_are_not),
        STORY(a_queue_has_a_budget_for_all_its_jobs),
        STORY(what_is_long_ago_spends_no_budget),
        STORY(a_group_counts_all_of_its_life),
        STORY(lost_and_released_attempts_spend_no_budget),
        STORY(a_last_failure_is_not_blamed_on_the_budget),
        STORY(the_budget_of_a_group_survives_a_restart),
        STORY(progress_is_that_of_the_attempt_in_hand),
        STORY(two_readers_of_a_group_are_told_all),
        STORY(a_long_queue_takes_little_memory),
        STORY(jobs_begin_in_their_order_when_they_have_slept),
        STORY(a_job_waits_for_its_payload_and_so_does_who_comes_after),
        STORY(who_sleeps_can_be_shown_cancelled_and_watched),
        STORY(a_group_that_sleeps_is_cancelled_whole),
        STORY(a_long_queue_sleeps_on_after_a_restart),
        STORY(a_payload_that_is_gone_fails_its_job),
        STORY(who_sleeps_is_listed_page_by_page),
        STORY(a_result_is_put_aside_and_read_for_who_asks),
        STORY(who_does_not_want_results_does_not_wait_for_them),
        STORY(what_is_handed_on_is_read_first),
        STORY(what_a_group_has_made_is_away_after_a_restart),
        STORY(a_schedule_fires_as_often_as_it_says),
        STORY(missed_ticks_are_made_up_for_as_the_schedule_says),
        STORY(a_schedule_follows_the_wall_clock),
        STORY(a_time_that_has_passed_is_now),
        STORY(a_stopping_broker_leaves_a_tick_to_the_next_one),
        STORY(what_was_queued_is_there_after_a_restart),
        STORY(nothing_begins_before_the_workers_of_the_last_life_are_back),
        STORY(a_worker_of_the_last_life_is_not_waited_for_for_ever),
        STORY(a_worker_gets_nothing_before_it_is_durably_known),
        STORY(a_worker_comes_back_with_what_it_holds),
        STORY(an_attempt_that_followed_a_lost_one_is_adopted_too),
        STORY(groups_and_their_ends_survive),
        STORY(a_schedule_survives_and_does_not_fire_twice),
        STORY(a_clock_that_was_set_back_keeps_nobody_waiting),
    };

    return cmocka_run_group_tests(stories, NULL, NULL);
}
