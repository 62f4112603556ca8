/* argosy events and top: what happens, as it happens. */
#include <string.h>
#include <time.h>

#include "client/cli/answers.h"
#include "common/duration.h"

enum { EVENTS_MS = 200, TOP_MS = 1000 };

/* Keep the session and look at signals meanwhile. 0 or an exit code. */
static int rest(struct cli *cli, int ms)
{
    struct argosy_error err = {0};
    struct argosy_event event;

    fflush(cli->out);
    if (argosy_client_next(cli->client, ms, &event, &err) < 0)
        return cli_fail_with(cli, &err);
    return cli_interrupts() > 0 ? EXIT_INTERRUPTED : 0;
}

/* ---- events ------------------------------------------------------------------------------------
 */

static void print_happening(const struct cli *cli, const json_t *event)
{
    long long unix_ms = answers_number(event, "unix_ms");
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm when;
    char text[32];

    if (cli->json) {
        answers_print(cli, event);
        return;
    }
    localtime_r(&seconds, &when);
    strftime(text, sizeof text, "%H:%M:%S", &when);
    fprintf(cli->out, "%s.%03lld  %-6s %-10s %s", text, unix_ms % 1000, answers_text(event, "what"),
            answers_text(event, "state"), answers_text(event, "id"));
    if (answers_text(event, "kind")[0] != '\0')
        fprintf(cli->out, "  %s", answers_text(event, "kind"));
    if (answers_number(event, "attempt") > 0)
        fprintf(cli->out, "  attempt %lld", answers_number(event, "attempt"));
    if (answers_text(event, "worker")[0] != '\0')
        fprintf(cli->out, "  %s", answers_text(event, "worker"));
    if (answers_text(event, "requires")[0] != '\0')
        fprintf(cli->out, "  requires %s", answers_text(event, "requires"));
    fputc('\n', cli->out);
}

int cli_events(struct cli *cli)
{
    bool only_new = ag_options_flag(cli->options, AG_OPT_SINCE_NOW);
    uint64_t limit = ag_options_given(cli->options, AG_OPT_LIMIT)
                         ? ag_options_whole(cli->options, AG_OPT_LIMIT)
                         : UINT64_MAX;
    long long last = 0;
    int code = 0;

    while (code == 0 && limit > 0) {
        const json_t *event;
        json_t *body;
        size_t i, count;

        code =
            answers_query(cli, "events",
                          json_pack("{s:I, s:i}", "after", (json_int_t)last, "limit", 1000), &body);
        if (code == 0 && answers_number(body, "missed") > 0 && last > 0)
            cli_say(cli, "%lld events were missed", answers_number(body, "missed"));
        count = json_array_size(json_object_get(body, "events"));
        json_array_foreach(json_object_get(body, "events"), i, event)
        {
            if (only_new || limit == 0)
                continue;
            print_happening(cli, event);
            limit--;
        }
        if (code == 0)
            last = answers_number(body, "last");
        json_decref(body);
        if (code == 0 && count < 1000) {
            only_new = false; /* all of the past has been skipped */
            code = limit > 0 ? rest(cli, EVENTS_MS) : 0;
        }
    }
    return code == EXIT_INTERRUPTED ? 0 : code; /* that is how one leaves it */
}

/* ---- top ---------------------------------------------------------------------------------------
 */

static void draw_queue(const struct cli *cli, const json_t *queue)
{
    char unserved[AG_AMOUNT_TEXT_SIZE];

    fprintf(cli->out, "%-20s %9lld %9lld %9lld%s", answers_text(queue, "queue"),
            answers_number(queue, "waiting"), answers_number(queue, "running"),
            answers_number(queue, "workers"), answers_truth(queue, "paused") ? "  paused" : "");
    if (answers_number(queue, "unserved_ms") > 0)
        fprintf(cli->out, "  waits for a worker since %s",
                ag_duration_print(answers_number(queue, "unserved_ms"), unserved));
    fputc('\n', cli->out);
}

static void draw(const struct cli *cli, const json_t *status, const json_t *queues,
                 const json_t *workers, long long ended_before)
{
    const json_t *jobs = json_object_get(status, "jobs"), *row, *kind;
    long long ended = answers_number(jobs, "succeeded") + answers_number(jobs, "failed") +
                      answers_number(jobs, "cancelled") +
                      answers_number(json_object_get(status, "counters"), "deleted");
    char bytes[AG_AMOUNT_TEXT_SIZE], up[AG_AMOUNT_TEXT_SIZE];
    size_t i, k;

    if (cli->is_terminal)
        fputs("\033[H\033[2J", cli->out);
    fprintf(cli->out, "%s  up %s  %lld workers  %lld clients  %s  %lld jobs/s\n",
            answers_text(status, "name"),
            ag_duration_print(answers_number(status, "uptime_ms"), up),
            answers_number(status, "workers"), answers_number(status, "clients"),
            ag_size_print((uint64_t)answers_number(status, "bytes"), bytes),
            ended_before < 0 ? 0 : (ended - ended_before) * 1000 / TOP_MS);
    fprintf(cli->out, "%-20s %9s %9s %9s\n", "QUEUE", "WAITING", "RUNNING", "WORKERS");
    json_array_foreach(json_object_get(queues, "queues"), i, row)
    {
        draw_queue(cli, row);
    }
    fprintf(cli->out, "%-20s %9s %9s  %s\n", "WORKER", "DONE", "FAILED", "HOLDS");
    json_array_foreach(json_object_get(workers, "workers"), i, row)
    {
        fprintf(cli->out, "%-20s %9lld %9lld ", answers_text(row, "name"),
                answers_number(row, "succeeded"), answers_number(row, "failed"));
        json_array_foreach(json_object_get(row, "kinds"), k, kind)
            fprintf(cli->out, " %s %lld/%lld", answers_text(kind, "kind"),
                    answers_number(kind, "held"), answers_number(kind, "slots"));
        fputc('\n', cli->out);
    }
}

int cli_top(struct cli *cli)
{
    uint64_t limit = ag_options_given(cli->options, AG_OPT_LIMIT)
                         ? ag_options_whole(cli->options, AG_OPT_LIMIT)
                         : UINT64_MAX;
    long long ended = -1;
    int code = 0;

    for (; limit > 0 && code == 0; limit--) {
        json_t *status = NULL, *queues = NULL, *workers = NULL;

        code = answers_query(cli, "status", NULL, &status);
        if (code == 0)
            code = answers_query(cli, "queues", NULL, &queues);
        if (code == 0)
            code = answers_query(cli, "workers", NULL, &workers);
        if (code == 0) {
            const json_t *jobs = json_object_get(status, "jobs");

            draw(cli, status, queues, workers, ended);
            ended = answers_number(jobs, "succeeded") + answers_number(jobs, "failed") +
                    answers_number(jobs, "cancelled") +
                    answers_number(json_object_get(status, "counters"), "deleted");
        }
        json_decref(status);
        json_decref(queues);
        json_decref(workers);
        if (code == 0 && limit > 1)
            code = rest(cli, TOP_MS);
    }
    return code == EXIT_INTERRUPTED ? 0 : code;
}
