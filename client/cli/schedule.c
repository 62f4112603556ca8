/* argosy schedule add, list, rm. */
#include <string.h>
#include <time.h>

#include "client/cli/answers.h"
#include "client/cli/jobs.h"
#include "common/clock.h"
#include "common/duration.h"
#include "common/json.h"
#include "common/limits.h"

static int read_rule(struct cli *cli, struct argosy_schedule *schedule)
{
    static const char *const catch_ups[] = {"skip", "once", "all"};
    const ag_options_t *options = cli->options;
    const char *at = ag_options_text(options, AG_OPT_AT);
    struct argosy_error err = {0};

    schedule->every_ms = ag_options_ms(options, AG_OPT_EVERY);
    schedule->cron = ag_options_text(options, AG_OPT_CRON);
    schedule->zone = ag_options_text(options, AG_OPT_TZ);
    schedule->times = ag_options_whole(options, AG_OPT_TIMES);
    for (int i = 0; i < 3; i++)
        if (ag_options_is(options, AG_OPT_CATCH_UP, catch_ups[i]))
            schedule->catch_up = (enum argosy_catch_up)i;
    if ((schedule->cron != NULL) + (schedule->every_ms > 0 || at != NULL) != 1)
        return cli_fail(cli, EXIT_USAGE,
                        "a schedule needs --cron, or --every and --at or one of them");
    if (schedule->zone != NULL && schedule->cron == NULL)
        return cli_fail(cli, EXIT_USAGE, "--tz is the zone of a --cron");
    if (at != NULL && jobs_parse_time(at, ag_clock_unix_ms(), &schedule->at_unix_ms, &err) < 0)
        return cli_fail(cli, EXIT_USAGE, "--at: %s", err.message);
    return 0;
}

static int add(struct cli *cli, char *const *operands)
{
    struct argosy_schedule schedule = {.name = operands[0]};
    struct ag_retry_policy retry;
    struct ag_buffer payload = ag_buffer_empty(AG_PAYLOAD_BYTES_MAX);
    struct argosy_error err = {0};
    const char *text = operands[0] != NULL && operands[1] != NULL ? operands[1] : "{}";
    char id[ARGOSY_ID_SIZE];
    json_t *json = NULL, *body;
    uint64_t request;
    int code;

    if (operands[0] == NULL)
        return cli_fail(cli, EXIT_USAGE, "schedule add needs a KIND");
    code = jobs_configure(cli, &schedule.job, &retry);
    if (code == 0)
        code = read_rule(cli, &schedule);
    if (code == 0 && (ag_json_parse(text, strlen(text), &json, &err) < 0 ||
                      ag_json_to_msgpack(json, &payload) < 0))
        code = cli_fail(cli, EXIT_USAGE, "%s", err.message);
    schedule.job.kind = operands[0];
    schedule.job.payload = payload.data;
    schedule.job.payload_size = payload.size;
    if (code == 0)
        code = cli_connect(cli);
    if (code == 0 && argosy_schedule_add(cli->client, &schedule, id, &request, &err) < 0)
        code = cli_fail_with(cli, &err);
    if (code == 0) {
        code = answers_wait(cli, request, &body);
        json_decref(body);
    }
    if (code == 0)
        fprintf(cli->out, "%s\n", id);
    json_decref(json);
    ag_buffer_free(&payload);
    return code;
}

static void print_schedule(const struct cli *cli, const json_t *schedule)
{
    long long next = answers_number(schedule, "next_ms"), every;
    char text[AG_AMOUNT_TEXT_SIZE], when[64] = "never again";
    time_t seconds = (time_t)(next / 1000);
    struct tm broken;

    if (next > 0) {
        localtime_r(&seconds, &broken);
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S%z", &broken);
    }
    every = answers_number(schedule, "every_ms");
    fprintf(cli->out, "%s  %s  next %s  fired %lld", answers_text(schedule, "schedule"),
            answers_text(schedule, "kind"), when, answers_number(schedule, "fired"));
    if (answers_number(schedule, "times") > 0)
        fprintf(cli->out, " of %lld", answers_number(schedule, "times"));
    if (answers_text(schedule, "cron")[0] != '\0')
        fprintf(cli->out, "  %s %s", answers_text(schedule, "cron"), answers_text(schedule, "tz"));
    else if (every > 0)
        fprintf(cli->out, "  every %s", ag_duration_print(every, text));
    fputc('\n', cli->out);
}

static int list(struct cli *cli)
{
    const json_t *schedule;
    json_t *body;
    size_t i;
    int code = answers_query(cli, "schedules", NULL, &body);

    json_array_foreach(json_object_get(body, "schedules"), i, schedule)
    {
        if (cli->json)
            answers_print(cli, schedule);
        else
            print_schedule(cli, schedule);
    }
    json_decref(body);
    return code;
}

int cli_schedule(struct cli *cli)
{
    char *const *operands = ag_options_operands(cli->options);

    if (strcmp(operands[0], "add") == 0)
        return add(cli, operands + 1);
    if (strcmp(operands[0], "list") == 0)
        return list(cli);
    if (strcmp(operands[0], "rm") != 0)
        return cli_fail(cli, EXIT_USAGE, "'%s' is not add, list or rm", operands[0]);
    if (operands[1] == NULL)
        return cli_fail(cli, EXIT_USAGE, "schedule rm needs the ID of a schedule");
    return answers_control(cli, "schedule.remove", json_pack("{s:s}", "id", operands[1]));
}
