/* argosy cancel, status, workers: one question to the broker and its answer. */
#include <stdlib.h>
#include <string.h>

#include "client/cli/submission.h"
#include "common/duration.h"
#include "common/json.h"

enum { TICK_MS = 1000, AT_ONCE = 64 };

/* Wait for the answer to `request`. *body is yours to json_decref(). 0 or an exit code. */
static int wait_for_answer(struct cli *cli, uint64_t request, json_t **body)
{
    struct argosy_error err = {0};
    struct argosy_event event;

    *body = NULL;
    for (;;) {
        int rc = argosy_client_next(cli->client, TICK_MS, &event, &err);

        if (rc < 0)
            return cli_fail_with(cli, &err);
        if (cli_interrupts() > 0)
            return EXIT_INTERRUPTED;
        if (rc == 0 || event.type != ARGOSY_ANSWER || event.request != request)
            continue;
        if (event.answer_type[0] != '\0')
            return cli_fail(cli, EXIT_SOME_FAILED, "%s: %s", event.answer_type,
                            event.answer_message);
        if (ag_json_from_msgpack(ag_bytes_of(event.body, event.body_size), body, &err) < 0)
            return cli_fail_with(cli, &err);
        return 0;
    }
}

static int ask(struct cli *cli, const char *verb, json_t **body)
{
    struct argosy_error err = {0};
    uint64_t request;
    int code = cli_connect(cli);

    *body = NULL;
    if (code != 0)
        return code;
    cli_catch_signals();
    if (argosy_query(cli->client, verb, NULL, 0, &request, &err) < 0)
        return cli_fail_with(cli, &err);
    return wait_for_answer(cli, request, body);
}

static void print_json(const struct cli *cli, const json_t *json)
{
    json_dumpf(json, cli->out, JSON_COMPACT | JSON_REAL_PRECISION(15));
    fputc('\n', cli->out);
}

static long long number_at(const json_t *json, const char *key)
{
    return json_integer_value(json_object_get(json, key));
}

static const char *text_at(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text != NULL ? text : "";
}

/* ---- status
 * ------------------------------------------------------------------------------------------------
 */

static void print_status(const struct cli *cli, const json_t *status)
{
    char uptime[AG_AMOUNT_TEXT_SIZE], bytes[AG_AMOUNT_TEXT_SIZE], bytes_max[AG_AMOUNT_TEXT_SIZE];
    const json_t *count;
    const char *state;

    fprintf(cli->out, "broker   %s, version %s, up %s\n", text_at(status, "name"),
            text_at(status, "version"), ag_duration_print(number_at(status, "uptime_ms"), uptime));
    fprintf(cli->out, "workers  %lld\nclients  %lld\n", number_at(status, "workers"),
            number_at(status, "clients"));
    fprintf(cli->out, "batches  %lld\njobs    ", number_at(status, "groups"));
    json_object_foreach(json_object_get(status, "jobs"), state, count)
        fprintf(cli->out, " %lld %s", (long long)json_integer_value(count), state);
    fprintf(cli->out, "\nmemory   %s of %s\n",
            ag_size_print((uint64_t)number_at(status, "bytes"), bytes),
            ag_size_print((uint64_t)number_at(status, "bytes_max"), bytes_max));
    if (number_at(status, "unaccounted_jobs") != 0)
        fprintf(cli->out, "WRONG    %lld jobs are unaccounted for: please report this\n",
                number_at(status, "unaccounted_jobs"));
}

int cli_status(struct cli *cli)
{
    json_t *status;
    int code = ask(cli, "status", &status);

    if (code == 0 && cli->json)
        print_json(cli, status);
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

    fprintf(cli->out, "%-20s %-16s", text_at(worker, "name"), text_at(worker, "host"));
    json_array_foreach(json_object_get(worker, "kinds"), i, kind)
        fprintf(cli->out, " %s %lld/%lld", text_at(kind, "kind"), number_at(kind, "held"),
                number_at(kind, "slots"));
    fprintf(cli->out, "  %lld done, %lld failed", number_at(worker, "succeeded"),
            number_at(worker, "failed"));
    if (text_at(worker, "tags")[0] != '\0')
        fprintf(cli->out, "  [%s]", text_at(worker, "tags"));
    fputc('\n', cli->out);
}

int cli_workers(struct cli *cli)
{
    json_t *body;
    const json_t *worker;
    size_t i;
    int code = ask(cli, "workers", &body);

    if (code == 0 && json_array_size(json_object_get(body, "workers")) == 0 && !cli->json)
        cli_say(cli, "no worker is connected; start one with argosy worker");
    json_array_foreach(json_object_get(body, "workers"), i, worker)
    {
        if (cli->json)
            print_json(cli, worker);
        else
            print_worker(cli, worker);
    }
    json_decref(body);
    return code;
}

/* ---- cancel
 * ------------------------------------------------------------------------------------------------
 */

static int cancel_some(struct cli *cli, char *const *ids, size_t count)
{
    struct argosy_error err = {0};
    uint64_t request;
    const json_t *unknown;
    json_t *body;
    size_t i;
    int code;

    if (argosy_cancel(cli->client, (const char *const *)ids, count, &request, &err) < 0)
        return cli_fail_with(cli, &err);
    code = wait_for_answer(cli, request, &body);
    if (code != 0)
        return code;
    if (cli->json)
        print_json(cli, body);
    else
        fprintf(cli->out, "%lld cancelled, %lld being stopped, %lld had ended\n",
                number_at(body, "cancelled"), number_at(body, "cancelling"),
                number_at(body, "ended"));
    json_array_foreach(json_object_get(body, "unknown"), i, unknown) code = cli_fail(
        cli, EXIT_SOME_FAILED, "%s is not known to the broker (never submitted, or forgotten)",
        json_string_value(unknown));
    json_decref(body);
    return code;
}

int cli_cancel(struct cli *cli)
{
    char *const *ids = ag_options_operands(cli->options);
    size_t left = ag_options_operand_count(cli->options);
    int code = cli_connect(cli), worst = 0;

    if (code != 0)
        return code;
    cli_catch_signals();
    for (size_t count; left > 0; left -= count, ids += count) {
        count = left < AT_ONCE ? left : AT_ONCE;
        code = cancel_some(cli, ids, count);
        worst = code > worst ? code : worst;
        if (code > EXIT_SOME_FAILED)
            break;
    }
    return worst;
}
