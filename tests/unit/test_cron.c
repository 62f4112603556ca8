/* Cron lines: what is understood, when they come due, what clocks that change do to them. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/cron/cron.h"
#include "common/random.h"
#include "tests/unit/cmocka_prelude.h"

static int64_t ms(const char *utc)
{
    struct tm when = {0};

    assert_non_null(strptime(utc, "%Y-%m-%d %H:%M:%S", &when));
    return 1000 * (int64_t)timegm(&when);
}

static void assert_next(const char *line, const char *zone_name, const char *after,
                        const char *expected)
{
    struct argosy_error err = {0};
    struct ag_cron cron;
    ag_zone_t *zone;
    char text[32] = "never";
    int64_t next;
    time_t seconds;
    struct tm when;

    assert_ok(ag_cron_parse(line, &cron, &err));
    assert_ok(ag_zone_new(&zone, zone_name, &err));
    next = ag_cron_next(&cron, zone, ms(after));
    if (next != INT64_MAX) {
        seconds = (time_t)(next / 1000);
        gmtime_r(&seconds, &when);
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &when);
    }
    if (strcmp(text, expected) != 0)
        fail_msg("%s in %s after %s: %s, not %s", line, zone_name, after, text, expected);
    ag_zone_destroy(&zone);
}

static void lines_come_due(void **state)
{
    (void)state;
    assert_next("* * * * *", "", "2026-11-21 07:30:15", "2026-11-21 07:31:00");
    assert_next("*/5 * * * *", "", "2026-11-21 07:30:00", "2026-11-21 07:35:00");
    assert_next("0 7 * * MON-FRI", "", "2026-11-21 00:00:00", "2026-11-23 07:00:00");
    assert_next("0 0 29 2 *", "", "2026-01-01 00:00:00", "2028-02-29 00:00:00");
    assert_next("0 0 30 2 *", "", "2026-01-01 00:00:00", "never");
    assert_next("30 4 1,15 * 5", "", "2026-11-02 00:00:00", "2026-11-06 04:30:00"); /* either */
    assert_next("0 0 * * 7", "", "2026-11-21 00:00:00", "2026-11-22 00:00:00");
    assert_next("@yearly", "", "2026-11-21 00:00:00", "2027-01-01 00:00:00");
    assert_next("59 23 31 dec *", "", "2026-12-31 23:59:00", "2027-12-31 23:59:00");
    assert_next("10-30/10 8 * * *", "", "2026-11-21 08:10:00", "2026-11-21 08:20:00");
    assert_next("0 12 * * *", "Asia/Kathmandu", "2026-11-21 00:00:00", "2026-11-21 06:15:00");
}

static void clocks_change(void **state)
{
    (void)state;
    /* Berlin: 2026-03-29 01:00 UTC, two o'clock becomes three; 2026-10-25 01:00 UTC back. */
    assert_next("30 2 * * *", "Europe/Berlin", "2026-03-28 12:00:00", "2026-03-29 01:00:00");
    assert_next("30 2 * * *", "Europe/Berlin", "2026-03-29 01:00:00", "2026-03-30 00:30:00");
    assert_next("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00:00", "2026-10-25 00:30:00");
    assert_next("30 2 * * *", "Europe/Berlin", "2026-10-25 00:30:00", "2026-10-26 01:30:00");
    assert_next("30 2 * * *", "Europe/Berlin", "2026-10-25 01:10:00", "2026-10-26 01:30:00");
    /* what flows with time goes on through both */
    assert_next("*/30 * * * *", "Europe/Berlin", "2026-10-25 00:30:00", "2026-10-25 01:00:00");
    assert_next("*/30 * * * *", "Europe/Berlin", "2026-10-25 01:00:00", "2026-10-25 01:30:00");
    assert_next("*/30 * * * *", "Europe/Berlin", "2026-03-29 00:30:00", "2026-03-29 01:00:00");
    assert_next("0 2 * * *", "America/New_York", "2026-03-08 00:00:00", "2026-03-08 07:00:00");
    assert_next("15 2 * * *", "Australia/Lord_Howe", "2026-10-03 00:00:00",
                "2026-10-03 15:30:00"); /* half an hour is skipped */
}

static void assert_wrong(const char *line, const char *message)
{
    struct argosy_error err = {0};
    struct ag_cron cron;

    assert_fails(ag_cron_parse(line, &cron, &err), ARGOSY_EINVAL);
    assert_string_equal(err.message, message);
}

static void wrong_lines_say_what_is_wrong(void **state)
{
    struct argosy_error err = {0};
    ag_zone_t *zone;

    (void)state;
    assert_wrong("61 * * * *", "cron: minute: '61' is not 0-59, *, a range or a list of these");
    assert_wrong("* * * foo *",
                 "cron: month: 'foo' is not 1-12 or JAN-DEC, *, a range or a list of these");
    assert_wrong("* * 0 * *",
                 "cron: day of the month: '0' is not 1-31, *, a range or a list of these");
    assert_wrong("*/0 * * * *", "cron: minute: '*/0' is not 0-59, *, a range or a list of these");
    assert_wrong("5-1 * * * *", "cron: minute: '5-1' is not 0-59, *, a range or a list of these");
    assert_wrong("* * * *", "cron: '* * * *' has 4 fields, not five");
    assert_wrong("", "cron: '' has 0 fields, not five");
    assert_wrong("1,, * * * *", "cron: minute: '1,,' is not 0-59, *, a range or a list of these");
    assert_fails(ag_zone_new(&zone, "Mars/Olympus", &err), ARGOSY_EINVAL);
    assert_null(zone);
}

/* Minute by minute, as slowly as it is simple. */
static bool matches(const struct ag_cron *cron, int64_t unix_s)
{
    time_t seconds = (time_t)unix_s;
    struct tm t;
    bool day, weekday;

    gmtime_r(&seconds, &t);
    day = cron->days >> t.tm_mday & 1;
    weekday = cron->weekdays >> t.tm_wday & 1;
    return (cron->minutes >> t.tm_min & 1) && (cron->hours >> t.tm_hour & 1) &&
           (cron->months >> (t.tm_mon + 1) & 1) &&
           (cron->any_day || cron->any_weekday ? day && weekday : day || weekday);
}

static void random_lines_agree_with_a_slow_reference(void **state)
{
    struct argosy_error err = {0};
    struct ag_random random;
    ag_zone_t *zone;
    unsigned found = 0;

    (void)state;
    ag_random_seed(&random, 7);
    assert_ok(ag_zone_new(&zone, "UTC", &err));
    for (int i = 0; i < 2000; i++) {
        int64_t after = ms("2026-01-01 00:00:00") + (int64_t)ag_random_below(&random, 40000000000);
        int64_t at = after / 60000 * 60 + 60, end = at + 40 * 86400, next;
        struct ag_cron cron;
        char line[64];

        snprintf(line, sizeof line, "%d-59/%d */%d %s * %s", (int)ag_random_below(&random, 60),
                 1 + (int)ag_random_below(&random, 30), 1 + (int)ag_random_below(&random, 12),
                 ag_random_below(&random, 2) ? "*" : "3,17",
                 ag_random_below(&random, 2) ? "*" : "2");
        assert_ok(ag_cron_parse(line, &cron, &err));
        while (at < end && !matches(&cron, at))
            at += 60;
        next = ag_cron_next(&cron, zone, after);
        if (at < end) {
            found++;
            assert_int_equal(next, 1000 * at);
            assert_int_equal(ag_cron_next(&cron, zone, next - 1), next);
        } else {
            assert_true(next >= 1000 * end);
        }
    }
    assert_true(found > 1000);
    ag_zone_destroy(&zone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_due),
        cmocka_unit_test(clocks_change),
        cmocka_unit_test(wrong_lines_say_what_is_wrong),
        cmocka_unit_test(random_lines_agree_with_a_slow_reference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
