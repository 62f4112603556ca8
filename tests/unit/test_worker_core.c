/* The worker's core: sessions, slots, results until they are recorded, leaving. */
#include <string.h>

#include "tests/unit/cmocka_prelude.h"
#include "worker/core/wcore.h"

enum { HEARTBEAT = 1000, EPOCH = 7 };

static wcore_t *core;
static int64_t now;

static int set_up(void **state)
{
    struct wcore_config config = {.kinds_count = 1, .heartbeat_ms = HEARTBEAT};

    (void)state;
    now = 1000;
    strcpy(config.kinds[0].name, "fetch");
    config.kinds[0].slots = 2;
    config.kinds[0].ahead = 1;
    core = wcore_new(&config, now);
    assert_non_null(core);
    assert_int_equal(wcore_wishes(core), WCORE_HELLO);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    wcore_destroy(&core);
    return 0;
}

/* ---- a broker
 * --------------------------------------------------------------------------------------------- */

static struct proto_token token_of(unsigned job, uint32_t attempt)
{
    struct proto_token token = {.epoch = EPOCH, .attempt = attempt};

    token.job.bytes[15] = (uint8_t)job;
    return token;
}

static void welcome(void)
{
    wcore_on_message(core, now,
                     &(struct proto){.type = AG_WELCOME, .welcome = {.heartbeat_ms = HEARTBEAT}});
}

static void give(unsigned job, uint32_t run_ms)
{
    static struct proto message;

    message.type = AG_JOBS;
    message.jobs.count = 1;
    message.jobs.items[0] = (struct proto_job){.token = token_of(job, 1),
                                               .kind = ag_bytes_of_text("fetch"),
                                               .run_ms = run_ms,
                                               .payload = ag_bytes_of_text("\x80")};
    wcore_on_message(core, now, &message);
}

static void tell(enum ag_message type, unsigned job)
{
    static struct proto message;
    struct proto_tokens *list = type == AG_STOP ? &message.stop : &message.recorded;

    message.type = type;
    list->count = 1;
    list->items[0] = token_of(job, 1);
    wcore_on_message(core, now, &message);
}

/* The loop's part: start what may start; returns how many. */
static struct wcore_attempt *started[16];
static unsigned start_all(void)
{
    unsigned count = 0;

    while ((started[count] = wcore_next_start(core, now)) != NULL)
        count++;
    return count;
}

static void finish(struct wcore_attempt *attempt, bool well)
{
    struct outcome outcome = {.succeeded = well};

    if (!well)
        outcome_fail(&outcome, "fetch.dns", true, "http://x/", "no such host");
    wcore_on_finished(core, now, attempt, &outcome);
}

/* The one result that is to be told must be this. */
static void expect_result(unsigned job, enum proto_outcome outcome, const char *type)
{
    static struct proto_results results;

    assert_true(wcore_take_results(core, &results));
    assert_int_equal(results.count, 1);
    assert_int_equal(results.items[0].token.job.bytes[15], job);
    assert_int_equal(results.items[0].outcome, outcome);
    assert_true(ag_bytes_are(results.items[0].type, type));
}

static void expect_no_result(void)
{
    static struct proto_results results;

    assert_false(wcore_take_results(core, &results));
}

static uint32_t held(void)
{
    struct ag_buffer tokens = ag_buffer_empty(1 << 16);
    uint32_t count = wcore_holding(core, &tokens);

    ag_buffer_free(&tokens);
    return count;
}

/* ---- stories
 * ------------------------------------------------------------------------------------------------
 */

static void credit_is_told_once_in_each_session(void **state)
{
    struct proto_credit credit;

    (void)state;
    assert_false(wcore_take_credit(core, &credit)); /* nobody to tell */
    welcome();
    assert_true(wcore_take_credit(core, &credit));
    assert_int_equal(credit.kinds[0].count, 3); /* slots and read-ahead */
    assert_false(wcore_take_credit(core, &credit));
    welcome();
    assert_true(wcore_take_credit(core, &credit));
}

static void no_more_run_than_there_are_slots(void **state)
{
    (void)state;
    welcome();
    give(1, 0);
    give(2, 0);
    give(3, 0);
    assert_int_equal(start_all(), 2);
    finish(started[0], true);
    assert_int_equal(start_all(), 1);
}

static void a_job_given_twice_runs_once(void **state)
{
    (void)state;
    welcome();
    give(1, 0);
    give(1, 0);
    assert_int_equal(start_all(), 1);
    give(1, 0);
    assert_int_equal(start_all(), 0);
    assert_int_equal(held(), 1);
}

static void a_result_is_told_again_until_it_is_recorded(void **state)
{
    (void)state;
    welcome();
    give(1, 0);
    start_all();
    finish(started[0], false);
    expect_result(1, PROTO_FAILED, "fetch.dns");
    expect_no_result();
    welcome(); /* a new session */
    expect_result(1, PROTO_FAILED, "fetch.dns");
    tell(AG_RECORDED, 1);
    welcome();
    expect_no_result();
    assert_int_equal(held(), 0);
}

static void a_kind_it_does_not_offer_is_refused(void **state)
{
    static struct proto message;

    (void)state;
    welcome();
    message.type = AG_JOBS;
    message.jobs.count = 1;
    message.jobs.items[0] =
        (struct proto_job){.token = token_of(9, 1), .kind = ag_bytes_of_text("cook")};
    wcore_on_message(core, now, &message);
    assert_int_equal(start_all(), 0);
    expect_result(9, PROTO_FAILED, "rejected.kind");
}

static void a_run_limit_stops_the_attempt_and_fails_it(void **state)
{
    struct wcore_attempt *attempt;

    (void)state;
    welcome();
    give(1, 500);
    start_all();
    assert_true(wcore_deadline(core) <= now + 500);
    now += 500;
    wcore_on_timer(core, now);
    attempt = wcore_next_stop(core);
    assert_ptr_equal(attempt, started[0]);
    assert_int_equal(attempt->stop, STOP_TIMEOUT);
    finish(attempt, true); /* too late */
    expect_result(1, PROTO_FAILED, "timeout.run");
}

static void a_cancel_is_confirmed_at_every_stage(void **state)
{
    (void)state;
    welcome();
    give(1, 0);
    tell(AG_STOP, 1); /* before it began */
    expect_result(1, PROTO_CANCELLED, "");
    give(2, 0);
    start_all();
    tell(AG_STOP, 2); /* while it runs, said twice */
    tell(AG_STOP, 2);
    assert_ptr_equal(wcore_next_stop(core), started[0]);
    assert_null(wcore_next_stop(core));
    finish(started[0], false);
    expect_result(2, PROTO_CANCELLED, "");
    tell(AG_STOP, 2);  /* after its end: nothing new */
    tell(AG_STOP, 77); /* never held */
    expect_no_result();
}

static void silence_opens_a_new_connection(void **state)
{
    (void)state;
    welcome();
    now += HEARTBEAT;
    wcore_on_timer(core, now);
    assert_int_equal(wcore_wishes(core), WCORE_PING);
    now += HEARTBEAT;
    wcore_on_timer(core, now);
    assert_int_equal(wcore_wishes(core), WCORE_PING);
    now += HEARTBEAT;
    wcore_on_timer(core, now);
    assert_int_equal(wcore_wishes(core), WCORE_RECONNECT | WCORE_HELLO);
    now += HEARTBEAT; /* and again, once per heartbeat, until somebody answers */
    wcore_on_timer(core, now);
    assert_int_equal(wcore_wishes(core), WCORE_RECONNECT | WCORE_HELLO);
}

static void a_lost_session_is_opened_again_at_once(void **state)
{
    struct proto reject = {
        .type = AG_REJECT,
        .reject = {.type = ag_bytes_of_text("rejected.session"), .message = ag_bytes_of_text("")}};

    (void)state;
    welcome();
    wcore_on_message(core, now, &reject);
    wcore_on_message(core, now, &reject); /* one for each message that was on its way */
    assert_int_equal(wcore_wishes(core), WCORE_HELLO);
    reject.reject.type = ag_bytes_of_text("rejected.version");
    wcore_on_message(core, now, &reject);
    assert_int_equal(wcore_wishes(core), WCORE_FATAL);
}

static void what_leaves_hands_back_what_has_not_begun(void **state)
{
    struct proto_credit credit;

    (void)state;
    welcome();
    wcore_take_credit(core, &credit);
    give(1, 0);
    give(2, 0);
    give(3, 0);
    start_all();
    wcore_on_drain(core, now, 500);
    expect_result(3, PROTO_RELEASED, "");
    assert_true(wcore_take_credit(core, &credit));
    assert_int_equal(credit.kinds[0].count, 0);
    finish(started[0], true);
    expect_result(1, PROTO_SUCCEEDED, "");
    now += 500;
    wcore_on_timer(core, now);
    assert_ptr_equal(wcore_next_stop(core), started[1]);
    finish(started[1], false);
    expect_result(2, PROTO_RELEASED, "");
    wcore_wishes(core);
    tell(AG_RECORDED, 1);
    tell(AG_RECORDED, 2);
    assert_int_equal(wcore_wishes(core) & WCORE_EXIT, 0);
    tell(AG_RECORDED, 3);
    assert_int_equal(wcore_wishes(core) & (WCORE_BYE | WCORE_EXIT), WCORE_BYE | WCORE_EXIT);
}

static void what_leaves_without_a_broker_leaves_all_the_same(void **state)
{
    (void)state;
    welcome();
    give(1, 0);
    start_all();
    finish(started[0], true);
    wcore_on_drain(core, now, 0);
    for (int i = 0; i < 10; i++) {
        now += HEARTBEAT;
        wcore_on_timer(core, now);
        if (wcore_wishes(core) & WCORE_EXIT)
            return;
    }
    fail_msg("it never leaves");
}

static void unrecorded_results_are_bounded_by_withheld_credit(void **state)
{
    struct proto_credit credit;
    struct outcome outcome;

    (void)state;
    welcome();
    wcore_take_credit(core, &credit);
    for (unsigned job = 1; job <= 12; job++) {
        give(job, 0);
        start_all();
        outcome = (struct outcome){.succeeded = true, .result = ag_buffer_empty(8 << 20)};
        assert_non_null(ag_buffer_reserve(&outcome.result, 6 << 20));
        outcome.result.size = 6 << 20;
        wcore_on_finished(core, now, started[0], &outcome);
    }
    assert_true(wcore_take_credit(core, &credit));
    assert_int_equal(credit.kinds[0].count, 0);
    for (unsigned job = 1; job <= 12; job++)
        tell(AG_RECORDED, job);
    assert_true(wcore_take_credit(core, &credit));
    assert_int_equal(credit.kinds[0].count, 3);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest stories[] = {
        STORY(credit_is_told_once_in_each_session),
        STORY(no_more_run_than_there_are_slots),
        STORY(a_job_given_twice_runs_once),
        STORY(a_result_is_told_again_until_it_is_recorded),
        STORY(a_kind_it_does_not_offer_is_refused),
        STORY(a_run_limit_stops_the_attempt_and_fails_it),
        STORY(a_cancel_is_confirmed_at_every_stage),
        STORY(silence_opens_a_new_connection),
        STORY(a_lost_session_is_opened_again_at_once),
        STORY(what_leaves_hands_back_what_has_not_begun),
        STORY(what_leaves_without_a_broker_leaves_all_the_same),
        STORY(unrecorded_results_are_bounded_by_withheld_credit),
    };

    return cmocka_run_group_tests(stories, NULL, NULL);
}
