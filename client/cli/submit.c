/* argosy submit: jobs of any kind, from one JSON value or a line for each. */
#include <string.h>

#include "client/cli/lines.h"
#include "client/cli/submission.h"
#include "common/error.h"
#include "common/json.h"

struct submit_source {
    const char *one; /* the operand; NULL once taken */
    struct lines lines;
    bool is_reading;
};

static int pack(const char *text, struct ag_buffer *payload, struct argosy_error *err)
{
    json_t *json;
    int rc = ag_json_parse(text, strlen(text), &json, err);

    if (rc < 0)
        return rc;
    rc = ag_json_to_msgpack(json, payload) < 0
             ? ag_fail(err, ARGOSY_ETOOBIG, "a payload is larger than 512 KiB")
             : 1;
    json_decref(json);
    return rc;
}

static int submit_next(void *arg, struct ag_buffer *payload, struct argosy_error *err)
{
    struct submit_source *self = arg;
    char *line;
    int rc;

    if (self->one != NULL) {
        rc = pack(self->one, payload, err);
        self->one = NULL;
        return rc;
    }
    if (!self->is_reading)
        return -1;
    while ((rc = lines_next(&self->lines, &line, err)) > 0) {
        if (line[strspn(line, " \t")] == '\0')
            continue;
        rc = pack(line, payload, err);
        return rc < 0 ? ag_fail_in(err, rc, "%s:%u", self->lines.name, self->lines.number) : rc;
    }
    return rc;
}

int cli_submit(struct cli *cli)
{
    char *const *operands = ag_options_operands(cli->options);
    struct submit_source source = {.one = operands[1] != NULL ? operands[1] : "{}"};
    struct argosy_error err = {0};
    struct job_source jobs = {
        .kind = operands[0], .title = operands[0], .next = submit_next, .arg = &source};
    int code;

    if (operands[1] != NULL && strcmp(operands[1], "-") == 0) {
        source.one = NULL;
        if (lines_open(&source.lines, "-", &err) < 0)
            return cli_fail_with(cli, &err);
        source.is_reading = true;
    }
    code = submission_run(cli, &jobs, print_plain);
    if (source.is_reading)
        lines_close(&source.lines);
    return code;
}
