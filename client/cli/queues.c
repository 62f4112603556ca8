/* argosy queues, pause, resume, purge, drain. */
#include <stdlib.h>
#include <string.h>

#include "client/cli/answers.h"
#include "common/duration.h"

static void print_queue(const struct cli *cli, const json_t *queue)
{
    char text[AG_AMOUNT_TEXT_SIZE];

    fprintf(cli->out, "%-20s %8lld waiting %6lld running", answers_text(queue, "queue"),
            answers_number(queue, "waiting"), answers_number(queue, "running"));
    if (answers_number(queue, "limit") > 0)
        fprintf(cli->out, " of %lld", answers_number(queue, "limit"));
    fprintf(cli->out, "  %lld workers", answers_number(queue, "workers"));
    if (answers_truth(queue, "paused"))
        fputs("  paused", cli->out);
    if (strcmp(answers_text(queue, "durability"), "relaxed") == 0)
        fputs("  relaxed", cli->out);
    if (answers_number(queue, "unserved_ms") > 0)
        fprintf(cli->out, "  waits for a worker since %s",
                ag_duration_print(answers_number(queue, "unserved_ms"), text));
    fputc('\n', cli->out);
}

int cli_queues(struct cli *cli)
{
    const json_t *queue;
    json_t *body;
    size_t i;
    int code = answers_query(cli, "queues", NULL, &body);

    json_array_foreach(json_object_get(body, "queues"), i, queue)
    {
        if (cli->json)
            answers_print(cli, queue);
        else
            print_queue(cli, queue);
    }
    json_decref(body);
    return code;
}

static int order_each(struct cli *cli, const char *verb, const char *key)
{
    int code = 0;

    for (char *const *name = ag_options_operands(cli->options); *name != NULL && code == 0; name++)
        code = answers_control(cli, verb, json_pack("{s:s}", key, *name));
    return code;
}

int cli_pause(struct cli *cli)
{
    return order_each(cli, "pause", "queue");
}

static int set_limit(struct cli *cli, const char *queue)
{
    return answers_control(
        cli, "limit",
        json_pack("{s:s, s:I}", "queue", queue, "number",
                  (json_int_t)ag_options_whole(cli->options, AG_OPT_QUEUE_LIMIT)));
}

static int set_durability(struct cli *cli, const char *queue)
{
    return answers_control(cli, "durability",
                           json_pack("{s:s, s:s}", "queue", queue, "durability",
                                     ag_options_text(cli->options, AG_OPT_DURABILITY)));
}

int cli_resume(struct cli *cli)
{
    int code = 0;

    for (char *const *name = ag_options_operands(cli->options); *name != NULL && code == 0;
         name++) {
        if (ag_options_given(cli->options, AG_OPT_QUEUE_LIMIT))
            code = set_limit(cli, *name);
        if (code == 0 && ag_options_given(cli->options, AG_OPT_DURABILITY))
            code = set_durability(cli, *name);
    }
    return code != 0 ? code : order_each(cli, "resume", "queue");
}

int cli_drain(struct cli *cli)
{
    int code = 0;

    for (char *const *name = ag_options_operands(cli->options); *name != NULL && code == 0; name++)
        code =
            answers_control(cli, "drain",
                            json_pack("{s:s, s:I}", "worker", *name, "grace_ms",
                                      (json_int_t)ag_options_ms(cli->options, AG_OPT_DRAIN_GRACE)));
    return code;
}

/* ---- purge -------------------------------------------------------------------------------------
 */

/* One page of what waits in a queue is cancelled; what is cancelled waits no more, so the first
 * page is always the next one. Returns how many, or -1 and the exit code. */
static int purge_page(struct cli *cli, const char *queue, const char *state, int *code)
{
    const char *ids[64];
    struct argosy_error err = {0};
    const json_t *job;
    json_t *body, *answer;
    uint64_t request;
    size_t i, count = 0;

    *code = answers_query(cli, "list",
                          json_pack("{s:s, s:s, s:i}", "queue", queue, "state", state, "limit", 64),
                          &body);
    json_array_foreach(json_object_get(body, "jobs"), i, job) ids[count++] =
        answers_text(job, "job");
    if (*code == 0 && count > 0) {
        if (argosy_cancel(cli->client, ids, count, &request, &err) < 0) {
            *code = cli_fail_with(cli, &err);
        } else {
            *code = answers_wait(cli, request, &answer);
            json_decref(answer);
        }
    }
    json_decref(body);
    return *code == 0 ? (int)count : -1;
}

int cli_purge(struct cli *cli)
{
    static const char *const states[] = {"queued", "scheduled", "blocked"};
    int code = 0;

    for (char *const *name = ag_options_operands(cli->options); *name != NULL && code == 0;
         name++) {
        unsigned long long total = 0;
        int count = 1;

        for (int state = 0; state < 3 && code == 0; state++, count = 1)
            while (count > 0 && (count = purge_page(cli, *name, states[state], &code)) > 0)
                total += (unsigned)count;
        if (code == 0)
            fprintf(cli->out, "%s: %llu cancelled\n", *name, total);
    }
    return code;
}
