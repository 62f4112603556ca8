/* argosy fetch: URLs from operands, files or standard input become fetch jobs. */
#include <errno.h>
#include <limits.h>
#include <msgpack/pack.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/fetch_result.h"
#include "client/cli/fetch_url.h"
#include "client/cli/lines.h"
#include "client/cli/submission.h"
#include "common/error.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/wire.h"

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

/* ---- what all of them share
 * ------------------------------------------------------------------------------------ */

static void put_text(json_t *json, const char *key, const char *text)
{
    if (text != NULL)
        json_object_set_new(json, key, json_string(text));
}

static void put_number(json_t *json, const char *key, uint64_t value)
{
    json_object_set_new(json, key, json_integer((json_int_t)value));
}

static int put_headers(const struct cli *cli, json_t *base)
{
    const char *const *headers = ag_options_list(cli->options, AG_OPT_HEADER, NULL);
    json_t *map = json_object();

    for (; *headers != NULL; headers++) {
        const char *colon = strchr(*headers, ':');
        const char *value = colon != NULL ? colon + 1 + strspn(colon + 1, " \t") : NULL;
        json_t *text = value != NULL ? json_string(value) : NULL;

        if (colon == *headers || text == NULL ||
            json_object_setn_new(map, *headers, (size_t)(colon - *headers), text) < 0) {
            json_decref(map);
            return cli_fail(cli, EXIT_USAGE, "--header: '%s' is not 'NAME: VALUE'", *headers);
        }
    }
    if (json_object_size(map) > 0)
        json_object_set(base, "headers", map);
    json_decref(map);
    return 0;
}

static int put_data(const struct cli *cli, json_t *base)
{
    const char *data = ag_options_text(cli->options, AG_OPT_DATA);
    static char content[AG_PAYLOAD_BYTES_MAX / 2 + 1];
    size_t size;
    FILE *file;

    if (data == NULL || data[0] != '@') {
        put_text(base, "data", data);
        return 0;
    }
    file = fopen(data + 1, "re");
    if (file == NULL)
        return cli_fail(cli, EXIT_USAGE, "--data: cannot read %s: %s", data + 1, strerror(errno));
    size = fread(content, 1, sizeof content, file);
    fclose(file);
    if (size == sizeof content)
        return cli_fail(cli, EXIT_USAGE, "--data: %s is larger than %zu bytes", data + 1,
                        sizeof content - 1);
    if (json_object_set_new(base, "data", json_stringn(content, size)) < 0)
        return cli_fail(cli, EXIT_USAGE, "--data: %s is not UTF-8 text", data + 1);
    return 0;
}

static int put_ca_file(const struct cli *cli, json_t *base)
{
    const char *path = ag_options_text(cli->options, AG_OPT_CA_FILE);
    char real[PATH_MAX];

    if (path == NULL)
        return 0;
    if (path[0] != '/' && realpath(path, real) == NULL)
        return cli_fail(cli, EXIT_USAGE, "--ca-file: %s: %s", path, strerror(errno));
    put_text(base, "ca_file", path[0] == '/' ? path : real);
    return 0;
}

static int make_base(const struct cli *cli, json_t *base)
{
    const ag_options_t *options = cli->options;
    int code;

    put_text(base, "method",
             ag_options_given(options, AG_OPT_REQUEST) ? ag_options_text(options, AG_OPT_REQUEST)
                                                       : NULL);
    if (ag_options_flag(options, AG_OPT_HEAD))
        json_object_set_new(base, "head", json_true());
    if (ag_options_given(options, AG_OPT_BODY))
        put_text(base, "body", ag_options_text(options, AG_OPT_BODY));
    else if (ag_options_given(options, AG_OPT_OUT))
        put_text(base, "body", "file");
    put_number(base, "total_ms", ag_options_ms(options, AG_OPT_FETCH_TIMEOUT));
    put_number(base, "connect_ms", ag_options_ms(options, AG_OPT_CONNECT_TIMEOUT));
    put_number(base, "first_byte_ms", ag_options_ms(options, AG_OPT_FIRST_BYTE_TIMEOUT));
    put_number(base, "idle_ms", ag_options_ms(options, AG_OPT_IDLE_TIMEOUT));
    put_number(base, "max_bytes", ag_options_bytes(options, AG_OPT_MAX_SIZE));
    put_number(base, "max_redirects", ag_options_whole(options, AG_OPT_MAX_REDIRECTS));
    code = put_headers(cli, base);
    if (code == 0)
        code = put_data(cli, base);
    if (code == 0)
        code = put_ca_file(cli, base);
    if (code == 0 && ag_options_given(options, AG_OPT_BODY) &&
        ag_options_is(options, AG_OPT_BODY, "file") && !ag_options_given(options, AG_OPT_OUT))
        code = cli_fail(cli, EXIT_USAGE, "--body file needs --out TEMPLATE");
    return code;
}

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

int cli_fetch(struct cli *cli)
{
    struct fetch_source source = {
        .cli = cli, .base = json_object(), .path = ag_buffer_empty(2 * FETCH_PATH_BYTES_MAX)};
    char title[256];
    struct job_source jobs = {
        .kind = "fetch", .title = title, .next = fetch_next, .arg = &source, .key = host_of};
    int code;

    source.operands =
        ag_options_operands(cli->options) + (ag_options_command(cli->options) == AG_COMMAND_RUN);
    source.inputs = ag_options_list(cli->options, AG_OPT_INPUT, NULL);
    source.template = ag_options_text(cli->options, AG_OPT_OUT);
    if (source.operands[0] == NULL && source.inputs[0] == NULL)
        code = cli_fail(cli, EXIT_USAGE, "no URL: give some, or -i FILE, or - for standard input");
    else if (source.template != NULL && getcwd(source.here, sizeof source.here) == NULL)
        code = cli_fail(cli, EXIT_USAGE, "--out: %s", strerror(errno));
    else
        code = check_inputs(cli, source.inputs);
    if (code == 0)
        code = make_base(cli, source.base);
    if (code == 0)
        code = pack_shared(&source);
    if (code == 0) {
        make_title(&source, title, sizeof title);
        code = submission_run(cli, &jobs, fetch_result_print);
    }
    if (source.is_reading)
        lines_close(&source.lines);
    json_decref(source.base);
    ag_buffer_free(&source.shared);
    ag_buffer_free(&source.path);
    return code;
}
