/* When to try again: the arithmetic of the backoff, and the word of --retry. */
#include <string.h>

#include "common/random.h"
#include "common/retry.h"
#include "tests/unit/cmocka_prelude.h"

static void the_wait_is_anything_up_to_the_backoff(void **state)
{
    const struct ag_retry retry = {
        .attempts = 100, .base_ms = 1000, .factor_percent = 200, .cap_ms = 60000};
    struct ag_random random;

    (void)state;
    ag_random_seed(&random, 1);
    for (uint32_t attempt = 2; attempt <= 100; attempt++) {
        uint64_t most = 1000;
        uint32_t seen_low = UINT32_MAX, seen_high = 0;

        for (uint32_t i = 2; i < attempt && most < 60000; i++)
            most *= 2;
        most = most < 60000 ? most : 60000;
        for (int i = 0; i < 400; i++) {
            uint32_t wait = ag_retry_delay_ms(&retry, attempt, 0, ag_random_next(&random));

            assert_true(wait <= most);
            seen_low = wait < seen_low ? wait : seen_low;
            seen_high = wait > seen_high ? wait : seen_high;
        }
        assert_true(seen_low < most / 10); /* full jitter: the whole range is used */
        assert_true(seen_high > most - most / 10);
    }
}

static void what_a_server_asks_for_is_the_least(void **state)
{
    const struct ag_retry retry = {
        .attempts = 3, .base_ms = 10, .factor_percent = 200, .cap_ms = 100};

    (void)state;
    for (uint64_t random = 0; random < 1000; random++)
        assert_true(ag_retry_delay_ms(&retry, 2, 5000, random * 0x9E3779B97F4A7C15u) >= 5000);
}

static void nothing_overflows_at_the_bounds(void **state)
{
    const struct ag_retry retry = {
        .attempts = 100, .base_ms = UINT32_MAX, .factor_percent = UINT32_MAX, .cap_ms = UINT32_MAX};

    (void)state;
    for (uint32_t attempt = 0; attempt <= 100; attempt++) {
        ag_retry_delay_ms(&retry, attempt, 0, UINT64_MAX);
        ag_retry_delay_ms(&retry, attempt, UINT32_MAX, UINT64_MAX);
    }
    assert_int_equal(ag_retry_delay_ms(&retry, 1, 0, UINT64_MAX), 0);
}

static void a_word_changes_what_it_names(void **state)
{
    struct ag_retry_policy policy;
    struct argosy_error err = {0};

    (void)state;
    assert_ok(ag_retry_parse("attempts=5,base=10ms,factor=1.5,cap=2m", &policy, &err));
    assert_int_equal(policy.retry.attempts, 5);
    assert_int_equal(policy.retry.base_ms, 10);
    assert_int_equal(policy.retry.factor_percent, 150);
    assert_int_equal(policy.retry.cap_ms, 120000);
    assert_string_equal(policy.selectors, "");
    assert_ok(ag_retry_parse("on=fetch.timeout+fetch.dns,on=lost", &policy, &err));
    assert_int_equal(policy.retry.attempts, ag_retry_default().attempts);
    assert_string_equal(policy.selectors, "fetch.timeout,fetch.dns,lost");
}

static void a_budget_is_a_share(void **state)
{
    static const struct {
        const char *word, *says;
    } wrong[] = {
        {"budget=20", "budget: '20' is not a share such as 20% (1%-100%)"},
        {"budget=0.5%", "budget: '0.5%' is not a share such as 20% (1%-100%)"},
        {"budget=%", "budget: '%' is not a share such as 20% (1%-100%)"},
        {"budget=", "budget: '' is not a share such as 20% (1%-100%)"},
        {"budget=20%%", "budget: '20%%' is not a share such as 20% (1%-100%)"},
        {"budget=1000%", "budget: '1000%' is not a share such as 20% (1%-100%)"},
        {"budget=0%", "budget: '0%' is out of range (1%-100%)"},
        {"budget=101%", "budget: '101%' is out of range (1%-100%)"},
        {"budget=1%,budget=2%", "budget is given twice"},
    };
    struct ag_retry_policy policy;
    struct argosy_error err = {0};

    (void)state;
    assert_int_equal(ag_retry_default().budget_percent, 0);
    assert_ok(ag_retry_parse("attempts=5,budget=20%", &policy, &err));
    assert_int_equal(policy.retry.budget_percent, 20);
    assert_int_equal(policy.retry.attempts, 5);
    assert_ok(ag_retry_parse("budget=100%", &policy, &err));
    assert_int_equal(policy.retry.budget_percent, 100);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_fails(ag_retry_parse(wrong[i].word, &policy, &err), ARGOSY_EINVAL);
        assert_string_equal(err.message, wrong[i].says);
    }
}

static void a_wrong_word_is_refused(void **state)
{
    static const char *const wrong[] = {
        "attempts", "attempts=0", "attempts=101", "attempts=x", "base=fast",         "factor=-1",
        "tries=3",  "on=",        "on=a..b",      "=",          "attempts=3;base=1s"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct ag_retry_policy policy;
        struct argosy_error err = {0};

        if (ag_retry_parse(wrong[i], &policy, &err) != ARGOSY_EINVAL || err.message[0] == '\0')
            fail_msg("'%s' is taken", wrong[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wait_is_anything_up_to_the_backoff),
        cmocka_unit_test(what_a_server_asks_for_is_the_least),
        cmocka_unit_test(nothing_overflows_at_the_bounds),
        cmocka_unit_test(a_word_changes_what_it_names),
        cmocka_unit_test(a_budget_is_a_share),
        cmocka_unit_test(a_wrong_word_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
