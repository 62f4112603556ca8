/* argosy group: batches that live longer than one command. */
#include <stdlib.h>
#include <string.h>

#include "client/cli/answers.h"
#include "client/cli/jobs.h"
#include "client/cli/lines.h"
#include "client/cli/submission.h"
#include "common/json.h"
#include "common/limits.h"

enum { TICK_MS = 100 };

/* Until the broker has answered for everything. 0 or an exit code. */
static int wait_for(struct cli *cli, argosy_batch *batch, enum argosy_event_type type)
{
    struct argosy_error err = {0};
    struct argosy_event event;

    for (;;) {
        int rc = argosy_client_next(cli->client, TICK_MS, &event, &err);

        if (rc < 0)
            return cli_fail_with(cli, &err);
        if (cli_interrupts() > 0)
            return EXIT_INTERRUPTED;
        if (rc > 0 && event.batch == batch &&
            (event.type == type || event.type == ARGOSY_BATCH_ENDED))
            return 0;
    }
}

static int refused(struct cli *cli, const argosy_batch *batch)
{
    if (argosy_report_is_empty(argosy_batch_report(batch)))
        return 0;
    print_report(cli, argosy_batch_report(batch), false);
    return EXIT_SOME_FAILED;
}

/* ---- new ---------------------------------------------------------------------------------------
 */

static int make_new(struct cli *cli)
{
    const char *parent_id = ag_options_text(cli->options, AG_OPT_PARENT);
    struct argosy_group group = {.name = ag_options_text(cli->options, AG_OPT_GROUP)};
    struct argosy_error err = {0};
    argosy_batch *batch = NULL, *parent = NULL;
    int code = jobs_configure_group(cli, &group);

    if (code == 0 && parent_id != NULL) {
        if (argosy_batch_attach(&parent, cli->client, parent_id, ARGOSY_DETACHED, &err) < 0)
            code = cli_fail_with(cli, &err);
        group.parent = parent;
    }
    if (code == 0 && argosy_batch_new(&batch, cli->client, &group, ARGOSY_DETACHED, &err) < 0)
        code = cli_fail_with(cli, &err);
    if (code == 0) {
        argosy_batch_open(batch);
        code = wait_for(cli, batch, ARGOSY_BATCH_OPEN);
    }
    if (code == 0)
        code = refused(cli, batch);
    if (code == 0)
        fprintf(cli->out, "%s\n", argosy_batch_id(batch));
    argosy_batch_destroy(&batch);
    argosy_batch_destroy(&parent);
    return code;
}

/* ---- add ---------------------------------------------------------------------------------------
 */

struct adding {
    struct cli *cli;
    argosy_batch *batch;
    struct argosy_job job;
    struct ag_retry_policy retry;
    unsigned long long added;
};

static int add_one(struct adding *self, const char *text, const char *where)
{
    struct cli *cli = self->cli;
    struct ag_buffer payload = ag_buffer_empty(AG_PAYLOAD_BYTES_MAX);
    struct argosy_error err = {0};
    struct argosy_event event;
    char id[ARGOSY_ID_SIZE];
    json_t *json = NULL;
    int rc = ag_json_parse(text, strlen(text), &json, &err);

    if (rc == 0)
        rc = ag_json_to_msgpack(json, &payload);
    self->job.payload = payload.data;
    self->job.payload_size = payload.size;
    if (rc == 0)
        rc = argosy_batch_add(self->batch, &self->job, id, &err);
    while (rc == ARGOSY_EAGAIN) {
        rc = argosy_client_next(cli->client, TICK_MS, &event, &err);
        if (rc >= 0)
            rc = argosy_batch_add(self->batch, &self->job, id, &err);
    }
    json_decref(json);
    ag_buffer_free(&payload);
    if (rc < 0)
        return cli_fail(cli, EXIT_USAGE, "%s%s%s", where, where[0] != '\0' ? ": " : "",
                        err.message);
    self->added++;
    if (ag_options_flag(cli->options, AG_OPT_IDS))
        fprintf(cli->out, "%s\n", id);
    return 0;
}

static int add_lines(struct adding *self)
{
    struct lines lines = {0};
    struct argosy_error err = {0};
    struct argosy_event event;
    char *line, where[300];
    int code = 0, rc;

    if (lines_open(&lines, "-", &err) < 0)
        return cli_fail_with(self->cli, &err);
    while (code == 0 && (rc = lines_next(&lines, &line, &err)) != -1) {
        if (rc == 0) { /* the writer takes its time: the session goes on */
            rc = argosy_client_next(self->cli->client, TICK_MS, &event, &err);
        } else if (rc > 0 && line[strspn(line, " \t")] != '\0') {
            snprintf(where, sizeof where, "%s:%u", lines.name, lines.number);
            code = add_one(self, line, where);
        }
        if (rc < 0)
            code = cli_fail_with(self->cli, &err);
        if (cli_interrupts() > 0)
            code = EXIT_INTERRUPTED;
    }
    lines_close(&lines);
    return code;
}

static int add(struct cli *cli, const char *id, char *const *operands)
{
    struct adding self = {.cli = cli};
    struct argosy_error err = {0};
    const char *text = operands[0] != NULL && operands[1] != NULL ? operands[1] : "{}";
    int code;

    if (operands[0] == NULL)
        return cli_fail(cli, EXIT_USAGE, "group add needs a GROUP and a KIND");
    code = jobs_configure(cli, &self.job, &self.retry);
    self.job.kind = operands[0];
    if (code == 0 && argosy_batch_attach(&self.batch, cli->client, id, ARGOSY_DETACHED, &err) < 0)
        code = cli_fail_with(cli, &err);
    if (code == 0)
        code = strcmp(text, "-") == 0 ? add_lines(&self) : add_one(&self, text, "");
    if (code == 0 && self.added > 0)
        code = wait_for(cli, self.batch, ARGOSY_BATCH_OPEN);
    if (code == 0)
        code = refused(cli, self.batch);
    argosy_batch_destroy(&self.batch);
    return code;
}

/* ---- seal, cancel ------------------------------------------------------------------------------
 */

static int seal(struct cli *cli, const char *id)
{
    struct argosy_error err = {0};
    argosy_batch *batch;
    int code;

    if (argosy_batch_attach(&batch, cli->client, id, ARGOSY_DETACHED, &err) < 0)
        return cli_fail_with(cli, &err);
    argosy_batch_seal(batch);
    code = wait_for(cli, batch, ARGOSY_BATCH_ACCEPTED);
    argosy_batch_destroy(&batch);
    return code;
}

static int cancel(struct cli *cli, const char *id)
{
    struct argosy_error err = {0};
    uint64_t request;
    json_t *body;
    int code;

    if (argosy_cancel(cli->client, &id, 1, &request, &err) < 0)
        return cli_fail_with(cli, &err);
    code = answers_wait(cli, request, &body);
    if (code == 0 && json_array_size(json_object_get(body, "unknown")) > 0)
        code = cli_fail(cli, EXIT_SOME_FAILED, "%s is not known to the broker", id);
    else if (code == 0)
        fprintf(cli->out, "%lld cancelled, %lld being stopped, %lld had ended\n",
                answers_number(body, "cancelled"), answers_number(body, "cancelling"),
                answers_number(body, "ended"));
    json_decref(body);
    return code;
}

/* ---- wait: until it has ended; the receipt of a cancel is its end -------------------------------
 */

static int wait_end(struct cli *cli, const char *id)
{
    bool limited = ag_options_given(cli->options, AG_OPT_WAIT_TIMEOUT);
    struct argosy_error err = {0};
    argosy_batch *batch;
    int code;

    if (limited)
        return cli_fail(cli, EXIT_USAGE, "use argosy wait --timeout");
    if (argosy_watch(&batch, cli->client, id, ARGOSY_ONLY_FAILURES, &err) < 0)
        return cli_fail_with(cli, &err);
    for (code = -1; code < 0;) {
        struct argosy_event event;
        int rc = argosy_client_next(cli->client, TICK_MS, &event, &err);

        if (rc < 0)
            code = cli_fail_with(cli, &err);
        else if (cli_interrupts() > 0)
            code = EXIT_INTERRUPTED;
        else if (rc > 0 && event.batch == batch && event.type == ARGOSY_BATCH_ENDED)
            code = exit_code_of(&event, argosy_batch_report(batch));
        else if (rc > 0 && event.batch == batch && event.type == ARGOSY_BATCH_UNKNOWN)
            code = cli_fail(cli, EXIT_SOME_FAILED, "%s is not known to the broker", id);
    }
    if (code != EXIT_INTERRUPTED)
        print_report(cli, argosy_batch_report(batch), true);
    argosy_batch_destroy(&batch);
    return code;
}

int cli_group(struct cli *cli)
{
    char *const *operands = ag_options_operands(cli->options);
    const char *verb = operands[0], *id = operands[1];
    int code;

    if (strcmp(verb, "new") != 0 && strcmp(verb, "add") != 0 && strcmp(verb, "seal") != 0 &&
        strcmp(verb, "cancel") != 0 && strcmp(verb, "wait") != 0)
        return cli_fail(cli, EXIT_USAGE, "'%s' is not new, add, seal, cancel or wait", verb);
    if (strcmp(verb, "new") != 0 && id == NULL)
        return cli_fail(cli, EXIT_USAGE, "group %s needs the id of a GROUP", verb);
    code = cli_connect(cli);
    if (code != 0)
        return code;
    cli_catch_signals();
    switch (verb[0]) {
    case 'n':
        return make_new(cli);
    case 'a':
        return add(cli, id, operands + 2);
    case 's':
        return seal(cli, id);
    case 'c':
        return cancel(cli, id);
    default:
        return wait_end(cli, id);
    }
}
