/* argosy fetch: URLs from operands, files or standard input become fetch jobs. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/lines.h"
#include "client/cli/submission.h"
#include "common/duration.h"
#include "common/error.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/wire.h"

enum { PATH_BYTES_MAX = 4000 };

struct fetch_source {
    const struct cli *cli;
    json_t *base; /* what all jobs share */
    char *const *operands;
    const char *const *inputs; /* files still to be read */
    struct lines lines;
    bool is_reading;
    uint64_t index;
    const char *template; /* of --out; NULL none */
    char here[PATH_MAX];
    char host[AG_TEXT_BYTES_MAX]; /* of the URL of the last job, "" if it has none */
};

/* ---- the template of --out
 * ------------------------------------------------------------------------------- */

struct url_parts {
    struct ag_bytes host, path, name;
};

static struct url_parts split_url(const char *url)
{
    const char *start = strstr(url, "://");
    struct url_parts parts;
    const char *path, *end, *slash, *at;

    start = start != NULL ? start + 3 : url;
    path = start + strcspn(start, "/?#");
    at = memrchr(start, '@', (size_t)(path - start));
    if (at != NULL)
        start = at + 1; /* a password is no part of a file's name */
    end = path + strcspn(path, "?#");
    slash = memrchr(path, '/', (size_t)(end - path));
    parts.host = ag_bytes_of(start, (size_t)(path - start));
    parts.path =
        *path == '/' ? ag_bytes_of(path + 1, (size_t)(end - path - 1)) : ag_bytes_of_text("");
    parts.name =
        slash != NULL ? ag_bytes_of(slash + 1, (size_t)(end - slash - 1)) : ag_bytes_of_text("");
    if (parts.name.size == 0)
        parts.name = ag_bytes_of_text("index.html");
    return parts;
}

/* Part of a URL as part of a path: no step upwards, nothing hidden, no control characters. */
static void put_safe(struct ag_buffer *out, struct ag_bytes text, bool slashes)
{
    char before = '/';

    for (size_t i = 0; i < text.size; i++) {
        char c = (char)text.data[i];

        if ((unsigned char)c < 0x20 || c == 0x7f || (c == '/' && (!slashes || before == '/')) ||
            (c == '.' && before == '/'))
            c = '_';
        ag_buffer_append(out, &c, 1);
        before = c;
    }
    if (slashes && before == '/')
        ag_buffer_text(out, "index.html");
}

static bool put_word(struct ag_buffer *out, const char *word, size_t size,
                     const struct url_parts *parts, uint64_t index)
{
    struct ag_bytes name = ag_bytes_of(word, size);

    if (ag_bytes_are(name, "{host}"))
        put_safe(out, parts->host, false);
    else if (ag_bytes_are(name, "{path}"))
        put_safe(out, parts->path, true);
    else if (ag_bytes_are(name, "{name}"))
        put_safe(out, parts->name, false);
    else if (ag_bytes_are(name, "{index}"))
        ag_buffer_printf(out, "%llu", (unsigned long long)index);
    else if (ag_bytes_are(name, "{sha256}"))
        ag_buffer_append(out, word, size); /* the worker knows it */
    else
        return false;
    return true;
}

/* The absolute path for this URL; false when the template has an unknown word. */
static bool expand(const struct fetch_source *self, const char *url, struct ag_buffer *out)
{
    struct url_parts parts = split_url(url);

    if (self->template[0] != '/')
        ag_buffer_printf(out, "%s/", self->here);
    for (const char *at = self->template; *at != '\0';) {
        size_t plain = strcspn(at, "{"), word;

        ag_buffer_append(out, at, plain);
        at += plain;
        if (*at == '\0')
            break;
        word = strcspn(at, "}") + 1;
        if (at[word - 1] != '}' || !put_word(out, at, word, &parts, self->index))
            return false;
        at += word;
    }
    return !out->failed && out->size <= PATH_BYTES_MAX;
}

/* ---- one job
 * -----------------------------------------------------------------------------------------------
 */

/* What --per-host counts by: the host and its port, in lower case. */
static void note_host(struct fetch_source *self, const char *url)
{
    struct url_parts parts = split_url(url != NULL ? url : "");

    snprintf(self->host, sizeof self->host, "%.*s", AG_TEXT(parts.host));
    for (char *at = self->host; *at != '\0'; at++)
        *at = (char)tolower((unsigned char)*at);
}

static const char *host_of(void *arg)
{
    return ((struct fetch_source *)arg)->host;
}

static int make_payload(struct fetch_source *self, json_t *job, struct ag_buffer *payload,
                        struct argosy_error *err)
{
    const char *url = json_string_value(json_object_get(job, "url"));
    int rc = 0;

    note_host(self, url);
    if (url == NULL || url[0] == '\0')
        rc = ag_fail(err, ARGOSY_EINVAL, "an object without a \"url\"");
    if (rc == 0 && self->template != NULL && json_object_get(job, "file") == NULL) {
        struct ag_buffer path = ag_buffer_empty(2 * PATH_BYTES_MAX);

        if (expand(self, url, &path))
            json_object_set_new(job, "file", json_string(ag_buffer_as_text(&path)));
        else
            rc = ag_fail(err, ARGOSY_EINVAL,
                         "--out: '%s' has an unknown {word}, or makes too long a path ({host} "
                         "{path} {name} {index} {sha256})",
                         self->template);
        ag_buffer_free(&path);
    }
    if (rc == 0 && json_object_get(job, "file") != NULL && json_object_get(job, "body") == NULL)
        json_object_set_new(job, "body", json_string("file"));
    if (rc == 0)
        rc = ag_json_to_msgpack(job, payload) < 0
                 ? ag_fail(err, ARGOSY_ETOOBIG, "a job is larger than 512 KiB")
                 : 1;
    self->index++;
    json_decref(job);
    return rc;
}

static int make_url_job(struct fetch_source *self, const char *url, struct ag_buffer *payload,
                        struct argosy_error *err)
{
    json_t *job = json_copy(self->base), *text = json_string(url);

    if (text == NULL) { /* only when it is not UTF-8 */
        json_decref(job);
        return ag_fail(err, ARGOSY_EINVAL, "a URL that is not UTF-8");
    }
    json_object_set_new(job, "url", text);
    return make_payload(self, job, payload, err);
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
    return make_payload(self, job, payload, err);
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

/* ---- for people
 * ---------------------------------------------------------------------------------------------------
 */

static const char *text_at(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text != NULL ? text : "";
}

/* STATUS SIZE TIME URL [FILE], or the error's type in place of the status. */
static void print_fetch(const struct cli *cli, const struct argosy_event *event, FILE *out)
{
    const char *gap = cli->is_terminal ? "  " : "\t";
    char size[AG_AMOUNT_TEXT_SIZE];
    const char *subject;
    json_t *result = NULL;

    if (event->state != ARGOSY_SUCCEEDED || event->result == NULL ||
        ag_json_from_msgpack(ag_bytes_of(event->result, event->result_size), &result, NULL) < 0) {
        const struct argosy_node *error = event->error;

        subject = error != NULL && error->subject[0] != '\0' ? error->subject : event->job;
        fprintf(out, "%s%s-%s%ums%s",
                error != NULL                      ? error->error_type
                : event->state == ARGOSY_CANCELLED ? "cancelled"
                                                   : "failed",
                gap, gap, event->run_ms, gap);
        print_clean(subject, strlen(subject), out);
        fputc('\n', out);
        return;
    }
    fprintf(out, "%lld%s%s%s%ums%s",
            (long long)json_integer_value(json_object_get(result, "status")), gap,
            ag_size_print((uint64_t)json_integer_value(json_object_get(result, "bytes")), size),
            gap, event->run_ms, gap);
    print_clean(text_at(result, "url"), strlen(text_at(result, "url")), out);
    if (text_at(result, "file")[0] != '\0') {
        fputs(gap, out);
        print_clean(text_at(result, "file"), strlen(text_at(result, "file")), out);
    }
    fputc('\n', out);
    json_decref(result);
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
    struct fetch_source source = {.cli = cli, .base = json_object()};
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
    if (code == 0) {
        make_title(&source, title, sizeof title);
        code = submission_run(cli, &jobs, print_fetch);
    }
    if (source.is_reading)
        lines_close(&source.lines);
    json_decref(source.base);
    return code;
}
