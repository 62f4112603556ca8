#include "client/cli/jobs.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/error.h"

/* ---- times -------------------------------------------------------------------------------------
 */

static const char *read_zone(const char *text, long *offset_s, bool *has_zone)
{
    int hours, minutes, used = 0;
    char sign;

    *has_zone = *text == 'Z' || *text == '+' || *text == '-';
    *offset_s = 0;
    if (*text == 'Z')
        return text + 1;
    if (*has_zone && sscanf(text, "%c%2d:%2d%n", &sign, &hours, &minutes, &used) == 3 &&
        used == 6 && hours < 24 && minutes < 60) {
        *offset_s = (sign == '-' ? -1 : 1) * (hours * 3600L + minutes * 60L);
        return text + used;
    }
    return text;
}

static int64_t moment_of(struct tm *when, bool has_zone, long offset_s)
{
    when->tm_isdst = -1;
    return 1000 * (has_zone ? (int64_t)timegm(when) - offset_s : (int64_t)mktime(when));
}

/* 2026-11-21T07:30[:15][Z|+01:00]; a blank may stand for the T. */
static bool read_date(const char *text, int64_t *unix_ms)
{
    struct tm when = {0}, given;
    const char *rest = strptime(text, "%Y-%m-%d", &when);
    long offset_s;
    bool has_zone;

    if (rest != NULL && (*rest == 'T' || *rest == ' '))
        rest = strptime(rest + 1, "%H:%M", &when);
    if (rest != NULL && *rest == ':')
        rest = strptime(rest + 1, "%S", &when);
    if (rest == NULL)
        return false;
    rest = read_zone(rest, &offset_s, &has_zone);
    given = when;
    *unix_ms = moment_of(&when, has_zone, offset_s);
    return *rest == '\0' && when.tm_mday == given.tm_mday; /* not the 30th of February */
}

/* The next time that a clock on the wall shows it. */
static bool read_clock(const char *text, int64_t now_unix_ms, int64_t *unix_ms)
{
    time_t now = (time_t)(now_unix_ms / 1000);
    struct tm when;
    const char *rest;

    localtime_r(&now, &when);
    when.tm_sec = 0;
    rest = strptime(text, "%H:%M", &when);
    if (rest == NULL || *rest != '\0')
        return false;
    *unix_ms = moment_of(&when, false, 0);
    if (*unix_ms <= now_unix_ms) {
        when.tm_mday++;
        *unix_ms = moment_of(&when, false, 0);
    }
    return true;
}

int jobs_parse_time(const char *text, int64_t now_unix_ms, int64_t *unix_ms,
                    struct argosy_error *err)
{
    char *end;

    if (text[0] == '@') {
        double seconds = strtod(text + 1, &end);

        *unix_ms = (int64_t)(seconds * 1000);
        if (end != text + 1 && *end == '\0' && seconds >= 0 && seconds < 1e12)
            return 0;
    } else if (read_date(text, unix_ms) || read_clock(text, now_unix_ms, unix_ms)) {
        return 0;
    }
    return ag_fail(err, ARGOSY_EINVAL,
                   "'%s' is not a time (2026-11-21T07:30, with Z or +01:00 if not local, 07:30, or "
                   "@UNIX)",
                   text);
}

static int configure_at(const struct cli *cli, struct argosy_job *job)
{
    const char *text = ag_options_text(cli->options, AG_OPT_AT);
    struct argosy_error err = {0};
    int64_t now = ag_clock_unix_ms(), at;

    if (text == NULL)
        return 0;
    if (job->delay_ms > 0)
        return cli_fail(cli, EXIT_USAGE, "--at and --delay exclude each other");
    if (jobs_parse_time(text, now, &at, &err) < 0)
        return cli_fail(cli, EXIT_USAGE, "--at: %s", err.message);
    if (at <= now)
        cli_say(cli, "--at: %s has passed: the jobs begin at once", text);
    else if (at - now > UINT32_MAX)
        return cli_fail(cli, EXIT_USAGE, "--at: %s is more than 49 days away", text);
    else
        job->delay_ms = (uint32_t)(at - now);
    return 0;
}

/* ---- jobs --------------------------------------------------------------------------------------
 */

int jobs_configure(const struct cli *cli, struct argosy_job *job, struct ag_retry_policy *retry)
{
    static const char *const policies[] = {"reject", "join", "replace"};
    const ag_options_t *options = cli->options;

    ag_options_retry(options, retry);
    job->run_ms = ag_options_ms(options, AG_OPT_RUN_TIMEOUT);
    job->queue_ms = ag_options_ms(options, AG_OPT_QUEUE_TIMEOUT);
    job->delay_ms = ag_options_ms(options, AG_OPT_DELAY);
    job->retry.attempts = retry->retry.attempts;
    job->retry.base_ms = retry->retry.base_ms;
    job->retry.cap_ms = retry->retry.cap_ms;
    job->retry.factor_percent = retry->retry.factor_percent;
    job->retry.budget_percent = retry->retry.budget_percent;
    job->retry.selectors = retry->selectors;
    job->has_priority = true;
    job->priority = ag_options_whole(options, AG_OPT_PRIORITY);
    job->queue = ag_options_text(options, AG_OPT_QUEUE);
    job->key = ag_options_text(options, AG_OPT_KEY);
    job->key_max = ag_options_whole(options, AG_OPT_KEY_MAX);
    job->key_delay_ms = ag_options_ms(options, AG_OPT_KEY_DELAY);
    job->unique = ag_options_text(options, AG_OPT_UNIQUE);
    for (int i = 0; i < 3; i++)
        if (ag_options_is(options, AG_OPT_UNIQUE_POLICY, policies[i]))
            job->unique_policy = (enum argosy_unique)i;
    job->requires = ag_options_text(options, AG_OPT_REQUIRES);
    job->ttl_ms = ag_options_ms(options, AG_OPT_TTL);
    if (ag_options_command(options) != AG_COMMAND_SCHEDULE) {
        job->after = ag_options_list(options, AG_OPT_AFTER, &job->after_count);
        job->after_any = ag_options_flag(options, AG_OPT_AFTER_ANY);
    }
    if (job->key == NULL && (job->key_max > 0 || job->key_delay_ms > 0))
        return cli_fail(cli, EXIT_USAGE, "--key-max and --key-delay need a --key");
    return ag_options_command(options) == AG_COMMAND_SCHEDULE ? 0 : configure_at(cli, job);
}

/* ---- groups ------------------------------------------------------------------------------------
 */

/* "10/s", "10/m", "10/h" or "10" (a second). */
static int configure_rate(const struct cli *cli, struct argosy_group *group)
{
    const char *text = ag_options_text(cli->options, AG_OPT_RATE);
    double a_minute;
    char *end;

    if (text == NULL)
        return 0;
    a_minute = strtod(text, &end);
    if (strcmp(end, "/s") == 0 || *end == '\0')
        a_minute *= 60;
    else if (strcmp(end, "/h") == 0)
        a_minute /= 60;
    else if (strcmp(end, "/m") != 0)
        a_minute = 0;
    if (end == text || !(a_minute >= 1) || a_minute > 60000000)
        return cli_fail(cli, EXIT_USAGE,
                        "--rate: '%s' is not a rate (N/s, N/m or N/h; at least one a minute)",
                        text);
    group->rate_per_minute = (uint32_t)a_minute;
    return 0;
}

static int halt_wrong(const struct cli *cli, const char *text)
{
    return cli_fail(cli, EXIT_USAGE,
                    "--halt: '%s' is not never, or now or soon with fail=N, fail=N%% or success=N",
                    text);
}

/* GNU parallel's words: "soon,fail=3", "now,fail=10%", "now,success=1". */
static int configure_halt(const struct cli *cli, struct argosy_group *group)
{
    const char *text = ag_options_text(cli->options, AG_OPT_HALT), *rule;
    unsigned long number;
    char *end;

    if (text == NULL || strcmp(text, "never") == 0)
        return 0;
    if (strncmp(text, "now,", 4) != 0 && strncmp(text, "soon,", 5) != 0)
        return halt_wrong(cli, text);
    group->gentle = text[0] == 's';
    rule = strchr(text, ',') + 1;
    if (strncmp(rule, "fail=", 5) != 0 && strncmp(rule, "success=", 8) != 0)
        return halt_wrong(cli, text);
    number = strtoul(strchr(rule, '=') + 1, &end, 10);
    if (end == strchr(rule, '=') + 1 || number < 1 || number > 1000000000)
        return halt_wrong(cli, text);
    if (rule[0] == 's' && *end == '\0') {
        group->successes = (uint32_t)number;
    } else if (rule[0] == 'f' && *end == '\0') {
        group->policy = ARGOSY_TASKGROUP;
        group->max_failures = (uint32_t)number - 1;
    } else if (rule[0] == 'f' && strcmp(end, "%") == 0 && number <= 100) {
        group->policy = ARGOSY_TASKGROUP;
        group->max_failures_percent = (uint32_t)number;
    } else {
        return halt_wrong(cli, text);
    }
    return 0;
}

int jobs_configure_group(const struct cli *cli, struct argosy_group *group)
{
    const ag_options_t *options = cli->options;
    int code;

    if (ag_options_is(options, AG_OPT_POLICY, "race"))
        group->policy = ARGOSY_RACE;
    else if (ag_options_is(options, AG_OPT_POLICY, "taskgroup") ||
             ag_options_given(options, AG_OPT_MAX_FAILURES))
        group->policy = ARGOSY_TASKGROUP;
    if (ag_options_given(options, AG_OPT_HALT) && (ag_options_given(options, AG_OPT_POLICY) ||
                                                   ag_options_given(options, AG_OPT_MAX_FAILURES)))
        return cli_fail(cli, EXIT_USAGE,
                        "--halt says what --policy and --max-failures say: give one");
    group->max_failures = ag_options_whole(options, AG_OPT_MAX_FAILURES);
    group->min_successes = ag_options_whole(options, AG_OPT_MIN_SUCCESS);
    group->deadline_ms = ag_options_ms(options, AG_OPT_DEADLINE);
    group->concurrency = ag_options_whole(options, AG_OPT_CONCURRENCY);
    group->ttl_ms = ag_options_ms(options, AG_OPT_TTL);
    code = configure_halt(cli, group);
    return code != 0 ? code : configure_rate(cli, group);
}
