/* argosy status and workers: one question to the broker and its answer. */
#include "client/cli/answers.h"
#include "common/duration.h"

/* ---- status
 * ------------------------------------------------------------------------------------------------
 */

static void print_status(const struct cli *cli, const json_t *status)
{
    char uptime[AG_AMOUNT_TEXT_SIZE], bytes[AG_AMOUNT_TEXT_SIZE], bytes_max[AG_AMOUNT_TEXT_SIZE];
    const json_t *count;
    const char *state;

    fprintf(cli->out, "broker   %s, version %s, up %s\n", answers_text(status, "name"),
            answers_text(status, "version"),
            ag_duration_print(answers_number(status, "uptime_ms"), uptime));
    fprintf(cli->out, "workers  %lld\nclients  %lld\n", answers_number(status, "workers"),
            answers_number(status, "clients"));
    fprintf(cli->out, "batches  %lld\njobs    ", answers_number(status, "groups"));
    json_object_foreach(json_object_get(status, "jobs"), state, count)
        fprintf(cli->out, " %lld %s", (long long)json_integer_value(count), state);
    fprintf(cli->out, "\nmemory   %s of %s\n",
            ag_size_print((uint64_t)answers_number(status, "bytes"), bytes),
            ag_size_print((uint64_t)answers_number(status, "bytes_max"), bytes_max));
    if (answers_number(status, "unaccounted_jobs") != 0)
        fprintf(cli->out, "WRONG    %lld jobs are unaccounted for: please report this\n",
                answers_number(status, "unaccounted_jobs"));
}

int cli_status(struct cli *cli)
{
    json_t *status;
    int code = answers_query(cli, "status", NULL, &status);

    if (code == 0 && cli->json)
        answers_print(cli, status);
    else if (code == 0)
        print_status(cli, status);
    json_decref(status);
    return code;
}

/* ---- workers
 * -----------------------------------------------------------------------------------------------
 */

static void print_worker(const struct cli *cli, const json_t *worker)
{
    const json_t *kind;
    size_t i;

    fprintf(cli->out, "%-20s %-16s", answers_text(worker, "name"), answers_text(worker, "host"));
    json_array_foreach(json_object_get(worker, "kinds"), i, kind)
        fprintf(cli->out, " %s %lld/%lld", answers_text(kind, "kind"), answers_number(kind, "held"),
                answers_number(kind, "slots"));
    fprintf(cli->out, "  %lld done, %lld failed", answers_number(worker, "succeeded"),
            answers_number(worker, "failed"));
    if (answers_text(worker, "tags")[0] != '\0')
        fprintf(cli->out, "  [%s]", answers_text(worker, "tags"));
    fputc('\n', cli->out);
}

int cli_workers(struct cli *cli)
{
    json_t *body;
    const json_t *worker;
    size_t i;
    int code = answers_query(cli, "workers", NULL, &body);

    if (code == 0 && json_array_size(json_object_get(body, "workers")) == 0 && !cli->json)
        cli_say(cli, "no worker is connected; start one with argosy worker");
    json_array_foreach(json_object_get(body, "workers"), i, worker)
    {
        if (cli->json)
            answers_print(cli, worker);
        else
            print_worker(cli, worker);
    }
    json_decref(body);
    return code;
}
