/* argosy fetch: URLs from operands, files or standard input become fetch jobs. */
#include <errno.h>
#include <limits.h>
#include <msgpack/pack.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/fetch_options.h"
#include "client/cli/fetch_result.h"
#include "client/cli/fetch_summary.h"
#include "client/cli/fetch_url.h"
#include "client/cli/lines.h"
#include "client/cli/progress.h"
#include "client/cli/submission.h"
#include "common/error.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/wire.h"

enum { FETCH_URL_BYTES_MAX = 8192 };

struct fetch_source {
    const struct cli *cli;
    json_t *base;                  /* what all jobs share */
    struct ag_buffer shared, path; /* shared: the pairs of base as msgpack */
    uint32_t shared_count;         /* pairs */
    const char *base_url;          /* of relative URLs; NULL: none */
    char *const *operands;
    const char *const *inputs; /* files still to be read */
    struct lines lines;
    bool is_reading;
    uint64_t index;
    const char *template; /* of --out; NULL none */
    char here[PATH_MAX];
    char host[FETCH_HOST_SIZE]; /* of the URL of the last job, "" if it has none */
    fetch_summary_t *summary;   /* NULL: not wanted */
};

/* ---- one job
 * -----------------------------------------------------------------------------------------------
 */

static const char *host_of(void *arg)
{
    return ((struct fetch_source *)arg)->host;
}

/* What --out makes of the URL, in self->path. */
static int make_path(struct fetch_source *self, const char *url, struct argosy_error *err)
{
    ag_buffer_clear(&self->path);
    if (!fetch_url_path(self->template, self->here, url, self->index, &self->path))
        return ag_fail(err, ARGOSY_EINVAL,
                       "--out: '%s' has an unknown {word}, or makes too long a path ({host} {path} "
                       "{name} {index} {sha256})",
                       self->template);
    if (!ag_is_utf8(ag_buffer_bytes(&self->path)))
        return ag_fail(err, ARGOSY_EINVAL, "--out: a path that is not UTF-8");
    return 0;
}

static int too_big(struct argosy_error *err)
{
    return ag_fail(err, ARGOSY_ETOOBIG, "a job is larger than 512 KiB");
}

/* What differs is put before what all share, which was packed once. */
static int make_url_job(struct fetch_source *self, const char *url, struct ag_buffer *payload,
                        struct argosy_error *err)
{
    struct ag_bytes text = ag_bytes_of_text(url);
    bool has_file = self->template != NULL;
    msgpack_packer packer;
    int rc = 0;

    if (text.size == 0)
        return ag_fail(err, ARGOSY_EINVAL, "an empty URL");
    if (!ag_is_utf8(text))
        return ag_fail(err, ARGOSY_EINVAL, "a URL that is not UTF-8");
    if (has_file)
        rc = make_path(self, url, err);
    if (rc < 0)
        return rc;
    fetch_url_host(url, self->base_url, self->host);
    msgpack_packer_init(&packer, payload, ag_buffer_write);
    msgpack_pack_map(&packer, self->shared_count + 1 + has_file);
    msgpack_pack_str_with_body(&packer, "url", 3);
    msgpack_pack_str_with_body(&packer, url, text.size);
    if (has_file) {
        msgpack_pack_str_with_body(&packer, "file", 4);
        msgpack_pack_str_with_body(&packer, self->path.data, self->path.size);
    }
    ag_buffer_append(payload, self->shared.data, self->shared.size);
    self->index++;
    return payload->failed ? too_big(err) : 1;
}

static int finish_job(struct fetch_source *self, json_t *job, struct ag_buffer *payload,
                      struct argosy_error *err)
{
    const char *url = json_string_value(json_object_get(job, "url"));
    int rc = 0;

    if (url == NULL || url[0] == '\0')
        return ag_fail(err, ARGOSY_EINVAL, "an object without a \"url\"");
    fetch_url_host(url, json_string_value(json_object_get(job, "base_url")), self->host);
    if (self->template != NULL && json_object_get(job, "file") == NULL) {
        rc = make_path(self, url, err);
        if (rc == 0)
            json_object_set_new(job, "file", json_string(ag_buffer_as_text(&self->path)));
    }
    if (rc == 0 && json_object_get(job, "file") != NULL && json_object_get(job, "body") == NULL)
        json_object_set_new(job, "body", json_string("file"));
    if (rc < 0)
        return rc;
    self->index++;
    return ag_json_to_msgpack(job, payload) < 0 ? too_big(err) : 1;
}

static int make_object_job(struct fetch_source *self, const char *text, struct ag_buffer *payload,
                           struct argosy_error *err)
{
    json_t *object, *job;
    int rc = ag_json_parse(text, strlen(text), &object, err);

    if (rc < 0)
        return rc;
    job = json_copy(self->base);
    json_object_update(job, object);
    json_decref(object);
    rc = finish_job(self, job, payload, err);
    json_decref(job);
    return rc;
}

/* ---- where they come from
 * ------------------------------------------------------------------------------------ */

static int next_line(struct fetch_source *self, struct ag_buffer *payload, struct argosy_error *err)
{
    char *line;
    int rc;

    while ((rc = lines_next(&self->lines, &line, err)) > 0) {
        line += strspn(line, " \t");
        if (line[0] == '\0' || line[0] == '#')
            continue;
        line[strcspn(line, " \t")] = line[0] == '{' ? line[strcspn(line, " \t")] : '\0';
        rc = line[0] == '{' ? make_object_job(self, line, payload, err)
                            : make_url_job(self, line, payload, err);
        if (rc < 0)
            return ag_fail_in(err, rc, "%s:%u", self->lines.name, self->lines.number);
        return rc;
    }
    return rc;
}

static int open_lines(struct fetch_source *self, const char *path, struct argosy_error *err)
{
    int rc = lines_open(&self->lines, path, err);

    self->is_reading = rc == 0;
    return rc;
}

static int fetch_next(void *arg, struct ag_buffer *payload, struct argosy_error *err)
{
    struct fetch_source *self = arg;

    for (;;) {
        int rc;

        if (self->is_reading) {
            rc = next_line(self, payload, err);
            if (rc != -1)
                return rc;
            lines_close(&self->lines);
            self->is_reading = false;
        } else if (*self->operands != NULL) {
            const char *operand = *self->operands++;

            if (strcmp(operand, "-") != 0)
                return make_url_job(self, operand, payload, err);
            rc = open_lines(self, "-", err);
            if (rc < 0)
                return rc;
        } else if (*self->inputs != NULL) {
            rc = open_lines(self, *self->inputs++, err);
            if (rc < 0)
                return rc;
        } else {
            return -1;
        }
    }
}

/* ---- what became of them
 * --------------------------------------------------------------------------------------- */

/* Never with --quiet. */
static bool wants_summary(const struct cli *cli)
{
    const ag_options_t *options = cli->options;

    return !cli->quiet &&
           (ag_options_is(options, AG_OPT_SUMMARY, "always") ||
            (ag_options_is(options, AG_OPT_SUMMARY, "auto") && isatty(STDERR_FILENO)));
}

static uint64_t on_end(void *arg, const struct argosy_event *event)
{
    struct fetch_source *self = arg;
    const struct argosy_node *error = event->state == ARGOSY_SUCCEEDED ? NULL : event->error;
    struct fetch_result result = fetch_result_read(event);
    char url[FETCH_URL_BYTES_MAX + 1], host[FETCH_HOST_SIZE];
    struct fetch_end end = {.host = host, .bytes = result.bytes, .run_ms = event->run_ms};

    if (self->summary == NULL)
        return result.bytes;
    snprintf(url, sizeof url, "%.*s", AG_TEXT(result.url));
    fetch_url_host(error != NULL ? error->subject : url, self->base_url, host);
    if (event->state == ARGOSY_CANCELLED)
        end.error_type = "cancelled";
    else if (event->state == ARGOSY_FAILED)
        end.error_type = error != NULL ? error->error_type : "failed";
    fetch_summary_add(self->summary, &end);
    return result.bytes;
}

/* ---- all of it
 * ---------------------------------------------------------------------------------------------- */

/* For jobs that are nothing but a URL. */
static int pack_shared(struct fetch_source *self)
{
    struct ag_buffer packed = ag_buffer_empty(AG_PAYLOAD_BYTES_MAX);
    struct ag_reader reader;

    if (ag_json_to_msgpack(self->base, &packed) < 0) {
        ag_buffer_free(&packed);
        return cli_fail(self->cli, EXIT_USAGE, "a job is larger than 512 KiB");
    }
    reader = ag_reader_of(ag_buffer_bytes(&packed));
    self->shared_count = ag_read_map(&reader);
    self->shared = ag_buffer_empty(AG_PAYLOAD_BYTES_MAX);
    ag_buffer_append(&self->shared, reader.at, (size_t)(reader.end - reader.at));
    ag_buffer_free(&packed);
    return 0;
}

static void make_title(const struct fetch_source *source, char *title, size_t size)
{
    if (source->operands[0] == NULL)
        snprintf(title, size, "fetch %s",
                 strcmp(source->inputs[0], "-") == 0 ? "standard input" : source->inputs[0]);
    else if (source->operands[1] == NULL && source->inputs[0] == NULL)
        snprintf(title, size, "fetch %s",
                 strcmp(source->operands[0], "-") == 0 ? "standard input" : source->operands[0]);
    else
        snprintf(title, size, "fetch");
}

/* A file that cannot be read is better found before anything is submitted. */
static int check_inputs(const struct cli *cli, const char *const *inputs)
{
    for (; *inputs != NULL; inputs++)
        if (strcmp(*inputs, "-") != 0 && access(*inputs, R_OK) < 0)
            return cli_fail(cli, EXIT_USAGE, "--input: cannot read %s: %s", *inputs,
                            strerror(errno));
    return 0;
}

/* Everything that can be wrong, before anything is submitted. */
static int prepare(struct fetch_source *self)
{
    const struct cli *cli = self->cli;
    const ag_options_t *options = cli->options;
    struct argosy_error err = {0};
    int code;

    self->operands = ag_options_operands(options) + (ag_options_command(options) == AG_COMMAND_RUN);
    self->inputs = ag_options_list(options, AG_OPT_INPUT, NULL);
    self->template = ag_options_text(options, AG_OPT_OUT);
    self->base_url = ag_options_text(options, AG_OPT_BASE_URL);
    if (self->operands[0] == NULL && self->inputs[0] == NULL)
        return cli_fail(cli, EXIT_USAGE, "no URL: give some, or -i FILE, or - for standard input");
    if (self->template != NULL && getcwd(self->here, sizeof self->here) == NULL)
        return cli_fail(cli, EXIT_USAGE, "--out: %s", strerror(errno));
    code = check_inputs(cli, self->inputs);
    if (code == 0)
        code = fetch_options_read(cli, self->base);
    if (code == 0)
        code = pack_shared(self);
    if (code == 0 && wants_summary(cli) && fetch_summary_new(&self->summary, &err) < 0)
        code = cli_fail_with(cli, &err);
    return code;
}

int cli_fetch(struct cli *cli)
{
    struct fetch_source source = {
        .cli = cli, .base = json_object(), .path = ag_buffer_empty(2 * FETCH_PATH_BYTES_MAX)};
    char title[256];
    struct job_source jobs = {
        .kind = "fetch", .title = title, .next = fetch_next, .arg = &source, .key = host_of};
    int code = prepare(&source);

    if (code == 0) {
        if (source.summary != NULL || progress_is_wanted(cli))
            jobs.ended = on_end;
        make_title(&source, title, sizeof title);
        code = submission_run(cli, &jobs, fetch_result_print);
    }
    if (source.summary != NULL) {
        fflush(cli->out);
        fetch_summary_print(source.summary, stderr);
    }
    if (source.is_reading)
        lines_close(&source.lines);
    json_decref(source.base);
    ag_buffer_free(&source.shared);
    ag_buffer_free(&source.path);
    fetch_summary_destroy(&source.summary);
    return code;
}
