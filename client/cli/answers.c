#include "client/cli/answers.h"

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/limits.h"
#include "common/selector.h"

enum { TICK_MS = 1000, PAGE = 500 };

void answers_print(const struct cli *cli, const json_t *json)
{
    json_dumpf(json, cli->out, JSON_COMPACT | JSON_REAL_PRECISION(15));
    fputc('\n', cli->out);
}

long long answers_number(const json_t *json, const char *key)
{
    return json_integer_value(json_object_get(json, key));
}

const char *answers_text(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text != NULL ? text : "";
}

bool answers_truth(const json_t *json, const char *key)
{
    return json_is_true(json_object_get(json, key));
}

int answers_wait(struct cli *cli, uint64_t request, json_t **body)
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

typedef int ask_fn(argosy_client *self, const char *verb, const void *arguments,
                   size_t arguments_size, uint64_t *request, struct argosy_error *err);

static int ask(struct cli *cli, ask_fn *fn, const char *verb, json_t *arguments, json_t **body)
{
    struct ag_buffer packed = ag_buffer_empty(2 * AG_PAYLOAD_BYTES_MAX);
    struct argosy_error err = {0};
    uint64_t request;
    int code = cli->client == NULL ? cli_connect(cli) : 0;

    *body = NULL;
    cli_catch_signals();
    if (arguments == NULL)
        arguments = json_object();
    if (code == 0 && ag_json_to_msgpack(arguments, &packed) < 0)
        code = cli_fail(cli, EXIT_USAGE, "no memory for a question");
    if (code == 0 && fn(cli->client, verb, packed.data, packed.size, &request, &err) < 0)
        code = cli_fail_with(cli, &err);
    if (code == 0)
        code = answers_wait(cli, request, body);
    json_decref(arguments);
    ag_buffer_free(&packed);
    return code;
}

int answers_query(struct cli *cli, const char *verb, json_t *arguments, json_t **body)
{
    return ask(cli, argosy_query, verb, arguments, body);
}

int answers_control(struct cli *cli, const char *verb, json_t *arguments)
{
    json_t *body;
    int code = ask(cli, argosy_control, verb, arguments, &body);

    json_decref(body);
    return code;
}

/* ---- lists -------------------------------------------------------------------------------------
 */

static void put(json_t *map, const char *key, const char *text)
{
    if (text != NULL)
        json_object_set_new(map, key, json_string(text));
}

static bool matches_any(const char *const *selectors, const char *type)
{
    for (; *selectors != NULL; selectors++)
        if (ag_selector_matches(ag_bytes_of_text(*selectors), ag_bytes_of_text(type)))
            return true;
    return false;
}

/* --only and --not are about the types of failures. */
static bool is_selected(const struct cli *cli, const json_t *job)
{
    const char *const *only = ag_options_list(cli->options, AG_OPT_ONLY, NULL);
    const char *const *not_ = ag_options_list(cli->options, AG_OPT_NOT, NULL);
    const char *type = answers_text(job, "error_type");

    return (*only == NULL || matches_any(only, type)) && !matches_any(not_, type);
}

static int check_state(const struct cli *cli)
{
    static const char *const states[] = {"scheduled",  "blocked",   "queued", "running",
                                         "cancelling", "succeeded", "failed", "cancelled"};
    const char *state = ag_options_text(cli->options, AG_OPT_STATE);

    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (state == NULL || strcmp(state, states[i]) == 0)
            return 0;
    return cli_fail(cli, EXIT_USAGE,
                    "--state: '%s' is none of scheduled, blocked, queued, running, cancelling, "
                    "succeeded, failed, cancelled",
                    state);
}

int answers_each_job(struct cli *cli, uint64_t limit, char **cursor, answers_job_fn *fn, void *arg)
{
    const ag_options_t *options = cli->options;
    char *next = strdup(ag_options_command(options) == AG_COMMAND_LIST &&
                                ag_options_given(options, AG_OPT_CURSOR)
                            ? ag_options_text(options, AG_OPT_CURSOR)
                            : "");
    int code = check_state(cli);

    while (code == 0 && limit > 0 && next != NULL) {
        json_t *arguments = json_object(), *body;
        const json_t *job;
        size_t i;

        put(arguments, "state", ag_options_text(options, AG_OPT_STATE));
        put(arguments, "kind", ag_options_text(options, AG_OPT_OF_KIND));
        put(arguments, "queue", ag_options_text(options, AG_OPT_OF_QUEUE));
        put(arguments, "group", ag_options_text(options, AG_OPT_OF_GROUP));
        put(arguments, "cursor", next);
        json_object_set_new(arguments, "limit",
                            json_integer(limit < PAGE ? (json_int_t)limit : PAGE));
        code = answers_query(cli, "list", arguments, &body);
        json_array_foreach(json_object_get(body, "jobs"), i, job)
        {
            if (code != 0 || limit == 0 || !is_selected(cli, job))
                continue;
            code = fn(arg, job);
            limit--;
        }
        free(next);
        next = strdup(answers_text(body, "cursor"));
        json_decref(body);
        if (next != NULL && next[0] == '\0')
            break;
    }
    if (cursor != NULL)
        *cursor = next;
    else
        free(next);
    return code;
}
