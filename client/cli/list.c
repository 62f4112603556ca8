/* argosy list, show, explain, cancel, retry, rm: jobs and groups, one by one or many at once. */
#include <stdlib.h>
#include <string.h>

#include "client/cli/answers.h"
#include "client/cli/submission.h"
#include "common/duration.h"

enum { AT_ONCE = 64 };

/* ---- list --------------------------------------------------------------------------------------
 */

static int print_job(void *arg, const json_t *job)
{
    const struct cli *cli = arg;
    const char *gap = cli->is_terminal ? "  " : "\t";

    if (cli->json) {
        answers_print(cli, job);
        return 0;
    }
    fprintf(cli->out,
            cli->is_terminal ? "%s%s%-10s%s%-10s%s%lld/%lld%s%-12s%s%s\n"
                             : "%s%s%s%s%s%s%lld/%lld%s%s%s%s\n",
            answers_text(job, "job"), gap, answers_text(job, "state"), gap,
            answers_text(job, "kind"), gap, answers_number(job, "attempt"),
            answers_number(job, "attempts_max"), gap, answers_text(job, "worker"), gap,
            answers_text(job, "error_type")[0] != '\0' ? answers_text(job, "error_type")
                                                       : answers_text(job, "reason"));
    return 0;
}

int cli_list(struct cli *cli)
{
    uint64_t limit = ag_options_given(cli->options, AG_OPT_LIMIT)
                         ? ag_options_whole(cli->options, AG_OPT_LIMIT)
                         : UINT64_MAX;
    char *cursor = NULL;
    int code = answers_each_job(cli, limit, &cursor, print_job, cli);

    if (code == 0 && cursor != NULL && cursor[0] != '\0')
        cli_say(cli, "there are more: --cursor %s", cursor);
    free(cursor);
    return code;
}

/* ---- show, explain -----------------------------------------------------------------------------
 */

static int look_up(struct cli *cli, const char *id, json_t **body)
{
    return answers_query(cli, "show", json_pack("{s:s}", "id", id), body);
}

static void print_facts(const struct cli *cli, const json_t *body)
{
    const json_t *value, *count;
    const char *key, *name;

    json_object_foreach((json_t *)body, key, value)
    {
        if (json_is_string(value) && json_string_length(value) > 0)
            fprintf(cli->out, "%-13s %s\n", key, json_string_value(value));
        else if (json_is_integer(value))
            fprintf(cli->out, "%-13s %lld\n", key, (long long)json_integer_value(value));
        else if (json_is_boolean(value))
            fprintf(cli->out, "%-13s %s\n", key, json_is_true(value) ? "yes" : "no");
        else if (json_is_object(value)) {
            fprintf(cli->out, "%-13s", key);
            json_object_foreach((json_t *)value, name, count)
                fprintf(cli->out, " %lld %s", (long long)json_integer_value(count), name);
            fputc('\n', cli->out);
        }
    }
}

int cli_show(struct cli *cli)
{
    int worst = 0;

    for (char *const *id = ag_options_operands(cli->options); *id != NULL; id++) {
        json_t *body;
        int code = look_up(cli, *id, &body);

        worst = code > worst ? code : worst;
        if (code == 0 && cli->json)
            answers_print(cli, body);
        else if (code == 0)
            print_facts(cli, body);
        json_decref(body);
        if (code > EXIT_SOME_FAILED)
            break;
    }
    return worst;
}

static void explain_job(const struct cli *cli, const json_t *job)
{
    const char *state = answers_text(job, "state"), *why = answers_text(job, "why");
    char text[AG_AMOUNT_TEXT_SIZE];

    fprintf(cli->out, "%s is %s", answers_text(job, "job"), state);
    if (why[0] != '\0')
        fprintf(cli->out, " (%s): %s", answers_text(job, "reason"), why);
    if (answers_text(job, "waits_for")[0] != '\0')
        fprintf(cli->out, ": %s", answers_text(job, "waits_for"));
    if (answers_number(job, "due_ms") > 0)
        fprintf(cli->out, ", in %s", ag_duration_print(answers_number(job, "due_ms"), text));
    if (strcmp(state, "running") == 0)
        fprintf(cli->out, " on %s since %s, attempt %lld of %lld", answers_text(job, "worker"),
                ag_duration_print(answers_number(job, "run_ms"), text),
                answers_number(job, "attempt"), answers_number(job, "attempts_max"));
    if (answers_text(job, "error_type")[0] != '\0')
        fprintf(cli->out, ": %s: %s", answers_text(job, "error_type"),
                answers_text(job, "error_message"));
    if (answers_number(job, "losses") > 0)
        fprintf(cli->out, "; %lld of its workers were lost", answers_number(job, "losses"));
    fputc('\n', cli->out);
}

static void explain_group(const struct cli *cli, const json_t *group)
{
    const json_t *counts = json_object_get(group, "counts");

    fprintf(cli->out, "%s (%s) ", answers_text(group, "group"), answers_text(group, "name"));
    if (answers_truth(group, "ended"))
        fprintf(cli->out, "has ended%s%s", answers_text(group, "failure")[0] != '\0' ? ": " : "",
                answers_text(group, "failure"));
    else if (answers_truth(group, "cancelling"))
        fprintf(cli->out, "is being ended: %lld still run", answers_number(counts, "running"));
    else if (!answers_truth(group, "sealed"))
        fprintf(cli->out, "is open: it ends only after argosy group seal");
    else
        fprintf(cli->out, "goes on: %lld wait, %lld run", answers_number(counts, "waiting"),
                answers_number(counts, "running"));
    fprintf(cli->out, "; %lld succeeded, %lld failed, %lld cancelled of %lld\n",
            answers_number(counts, "succeeded"), answers_number(counts, "failed"),
            answers_number(counts, "cancelled"), answers_number(counts, "total"));
}

int cli_explain(struct cli *cli)
{
    int worst = 0;

    for (char *const *id = ag_options_operands(cli->options); *id != NULL; id++) {
        json_t *body;
        int code = look_up(cli, *id, &body);

        worst = code > worst ? code : worst;
        if (code == 0 && cli->json)
            answers_print(cli, body);
        else if (code == 0 && json_object_get(body, "job") != NULL)
            explain_job(cli, body);
        else if (code == 0)
            explain_group(cli, body);
        json_decref(body);
        if (code > EXIT_SOME_FAILED)
            break;
    }
    return worst;
}

/* ---- many at once ------------------------------------------------------------------------------
 */

struct many {
    struct cli *cli;
    char (*ids)[ARGOSY_ID_SIZE];
    size_t count, capacity;
};

static int collect(void *arg, const json_t *job)
{
    struct many *self = arg;

    if (self->count == self->capacity) {
        size_t capacity = 2 * self->capacity + 64;
        void *grown = realloc(self->ids, capacity * sizeof *self->ids);

        if (grown == NULL)
            return cli_fail(self->cli, EXIT_USAGE, "no memory for so many ids");
        self->ids = grown;
        self->capacity = capacity;
    }
    snprintf(self->ids[self->count++], ARGOSY_ID_SIZE, "%s", answers_text(job, "job"));
    return 0;
}

static bool selects(const struct cli *cli)
{
    static const enum ag_option options[] = {AG_OPT_STATE,    AG_OPT_OF_KIND, AG_OPT_OF_QUEUE,
                                             AG_OPT_OF_GROUP, AG_OPT_ONLY,    AG_OPT_NOT};

    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (ag_options_given(cli->options, options[i]))
            return true;
    return false;
}

/* The operands, or what the options select: exactly one of the two. */
static int choose(struct many *self)
{
    struct cli *cli = self->cli;
    char *const *operands = ag_options_operands(cli->options);

    if ((operands[0] != NULL) == selects(cli))
        return cli_fail(cli, EXIT_USAGE,
                        "name ids, or select jobs with --state, --kind, --queue, --group, --only "
                        "or --not");
    if (operands[0] == NULL)
        return answers_each_job(cli, UINT64_MAX, NULL, collect, self);
    for (; *operands != NULL; operands++) {
        json_t *job = json_pack("{s:s}", "job", *operands);
        int code = strlen(*operands) >= ARGOSY_ID_SIZE
                       ? cli_fail(cli, EXIT_USAGE, "'%s' is not an id", *operands)
                       : collect(self, job);

        json_decref(job);
        if (code != 0)
            return code;
    }
    return 0;
}

/* ---- cancel ------------------------------------------------------------------------------------
 */

struct sums {
    long long cancelled, cancelling, ended;
};

static int cancel_some(struct many *self, size_t from, size_t count, struct sums *sums)
{
    const char *ids[AT_ONCE];
    struct cli *cli = self->cli;
    struct argosy_error err = {0};
    uint64_t request;
    const json_t *unknown;
    json_t *body;
    size_t i;
    int code;

    for (i = 0; i < count; i++)
        ids[i] = self->ids[from + i];
    if (argosy_cancel(cli->client, ids, count, &request, &err) < 0)
        return cli_fail_with(cli, &err);
    code = answers_wait(cli, request, &body);
    if (code != 0)
        return code;
    sums->cancelled += answers_number(body, "cancelled");
    sums->cancelling += answers_number(body, "cancelling");
    sums->ended += answers_number(body, "ended");
    if (cli->json)
        answers_print(cli, body);
    json_array_foreach(json_object_get(body, "unknown"), i, unknown) code = cli_fail(
        cli, EXIT_SOME_FAILED, "%s is not known to the broker (never submitted, or forgotten)",
        json_string_value(unknown));
    json_decref(body);
    return code;
}

int cli_cancel(struct cli *cli)
{
    struct many many = {.cli = cli};
    struct sums sums = {0};
    int code = cli_connect(cli), worst = 0;

    cli_catch_signals();
    if (code == 0)
        code = choose(&many);
    for (size_t at = 0, count; code == 0 && at < many.count; at += count) {
        int rc;

        count = many.count - at < AT_ONCE ? many.count - at : AT_ONCE;
        rc = cancel_some(&many, at, count, &sums);
        worst = rc > worst ? rc : worst;
        if (rc > EXIT_SOME_FAILED)
            code = rc;
    }
    if (code == 0 && !cli->json)
        fprintf(cli->out, "%lld cancelled, %lld being stopped, %lld had ended\n", sums.cancelled,
                sums.cancelling, sums.ended);
    free(many.ids);
    return code > worst ? code : worst;
}

/* ---- retry, rm ---------------------------------------------------------------------------------
 */

static int retry_one(struct cli *cli, const char *id)
{
    struct argosy_error err = {0};
    char as[ARGOSY_ID_SIZE];
    uint64_t request;
    json_t *body;
    int code;

    if (argosy_retry(cli->client, id, as, &request, &err) < 0)
        return cli_fail_with(cli, &err);
    code = answers_wait(cli, request, &body);
    json_decref(body);
    if (code != 0)
        return cli_fail(cli, code, "%s is not tried again", id);
    if (cli->json)
        fprintf(cli->out, "{\"job\":\"%s\",\"retried_as\":\"%s\"}\n", id, as);
    else
        fprintf(cli->out, "%s\n", as);
    return 0;
}

static int remove_one(struct cli *cli, const char *id)
{
    int code = answers_control(cli, "remove", json_pack("{s:s}", "id", id));

    return code == 0 ? 0 : cli_fail(cli, code, "%s is kept", id);
}

static int each(struct cli *cli, int (*fn)(struct cli *cli, const char *id), const char *done)
{
    struct many many = {.cli = cli};
    int code = cli_connect(cli), worst = 0;
    size_t count = 0;

    cli_catch_signals();
    if (code == 0)
        code = choose(&many);
    for (size_t i = 0; code == 0 && i < many.count; i++) {
        int rc = fn(cli, many.ids[i]);

        count += rc == 0;
        worst = rc > worst ? rc : worst;
        if (rc > EXIT_SOME_FAILED)
            code = rc;
    }
    if (code == 0)
        cli_say(cli, "%zu of %zu %s", count, many.count, done);
    free(many.ids);
    return code > worst ? code : worst;
}

int cli_retry(struct cli *cli)
{
    return each(cli, retry_one, "are tried again");
}

int cli_rm(struct cli *cli)
{
    return each(cli, remove_one, "are forgotten");
}
