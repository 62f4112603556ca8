/* argosy exec: a program, once or for each line of an input. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/lines.h"
#include "client/cli/submission.h"
#include "common/error.h"
#include "common/json.h"
#include "common/limits.h"

struct exec_source {
    const struct cli *cli;
    char *const *words; /* the command and its arguments */
    json_t *base;       /* what all jobs share */
    struct lines lines;
    bool is_reading, is_done, has_braces;
    unsigned long long number;
};

/* ---- the words of a line, as GNU parallel replaces them ----------------------------------------
 */

struct line_parts {
    const char *line, *base; /* base: behind the last slash */
    int folder, stem;        /* how much of the line: before the last slash, before the last dot */
    int base_stem;           /* of the base */
};

static struct line_parts split(const char *line)
{
    const char *slash = strrchr(line, '/'), *base = slash != NULL ? slash + 1 : line;
    const char *dot = strrchr(base, '.');
    int stem = dot != NULL && dot != base ? (int)(dot - line) : (int)strlen(line);

    return (struct line_parts){.line = line,
                               .base = base,
                               .folder = slash != NULL ? (int)(slash - line) : 0,
                               .stem = stem,
                               .base_stem = stem - (int)(base - line)};
}

static size_t put_word(FILE *out, const char *at, const struct line_parts *parts,
                       unsigned long long number)
{
    static const char *const words[] = {"{}", "{.}", "{/}", "{//}", "{/.}", "{#}"};
    size_t i = 0;

    while (i < 6 && strncmp(at, words[i], strlen(words[i])) != 0)
        i++;
    switch (i) {
    case 0:
        fputs(parts->line, out);
        break;
    case 1:
        fprintf(out, "%.*s", parts->stem, parts->line);
        break;
    case 2:
        fputs(parts->base, out);
        break;
    case 3:
        fprintf(out, "%.*s", parts->folder > 0 ? parts->folder : 1,
                parts->folder > 0 ? parts->line : ".");
        break;
    case 4:
        fprintf(out, "%.*s", parts->base_stem, parts->base);
        break;
    case 5:
        fprintf(out, "%llu", number);
        break;
    default:
        fputc(*at, out);
        return 1;
    }
    return strlen(words[i]);
}

static bool has_braces(const char *word)
{
    return strstr(word, "{}") != NULL || strstr(word, "{.}") != NULL ||
           strstr(word, "{/}") != NULL || strstr(word, "{//}") != NULL ||
           strstr(word, "{/.}") != NULL || strstr(word, "{#}") != NULL;
}

static json_t *replaced(const char *word, const struct line_parts *parts, unsigned long long number)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    json_t *json;

    for (const char *at = word; out != NULL && *at != '\0';)
        at += put_word(out, at, parts, number);
    if (out != NULL)
        fclose(out);
    json = json_string(text != NULL ? text : "");
    free(text);
    return json;
}

/* ---- jobs --------------------------------------------------------------------------------------
 */

static int make_job(struct exec_source *self, const char *line, struct ag_buffer *payload,
                    struct argosy_error *err)
{
    struct line_parts parts = split(line != NULL ? line : "");
    json_t *job = json_copy(self->base), *argv = json_array();
    int rc = 0;

    self->number++;
    for (char *const *word = self->words; *word != NULL; word++)
        rc |= json_array_append_new(argv, line != NULL ? replaced(*word, &parts, self->number)
                                                       : json_string(*word));
    if (line != NULL && !self->has_braces)
        rc |= json_array_append_new(argv, json_string(line));
    json_object_set_new(job, "argv", argv);
    if (rc < 0)
        rc = ag_fail(err, ARGOSY_EINVAL, "a word of the command is not UTF-8");
    else
        rc = ag_json_to_msgpack(job, payload) < 0
                 ? ag_fail(err, ARGOSY_ETOOBIG, "a job is larger than 512 KiB")
                 : 1;
    json_decref(job);
    return rc;
}

static int exec_next(void *arg, struct ag_buffer *payload, struct argosy_error *err)
{
    struct exec_source *self = arg;
    char *line;
    int rc;

    if (!self->is_reading) {
        if (self->is_done)
            return -1;
        self->is_done = true;
        return make_job(self, NULL, payload, err);
    }
    rc = lines_next(&self->lines, &line, err);
    if (rc <= 0)
        return rc;
    rc = make_job(self, line, payload, err);
    return rc < 0 ? ag_fail_in(err, rc, "%s:%u", self->lines.name, self->lines.number) : rc;
}

/* ---- printing ----------------------------------------------------------------------------------
 */

static void put_stream(const json_t *result, const char *key, FILE *out)
{
    const json_t *text = json_object_get(result, key);

    if (json_is_string(text))
        fwrite(json_string_value(text), 1, json_string_length(text), out);
    else if (json_is_object(text)) /* bytes that are no text */
        fprintf(out, "%s\n", json_string_value(json_object_get(text, "$base64")));
}

/* What a job wrote, whole: never mixed with another's. */
static void print_exec(const struct cli *cli, const struct argosy_event *event, FILE *out)
{
    json_t *result;

    if (event->result == NULL ||
        ag_json_from_msgpack(ag_bytes_of(event->result, event->result_size), &result, NULL) < 0)
        return; /* the report tells */
    put_stream(result, "stdout", out);
    fflush(out);
    if (!cli->quiet)
        put_stream(result, "stderr", stderr);
    if (json_is_true(json_object_get(result, "truncated")))
        cli_say(cli, "%s wrote more than --output-max; the rest is lost", event->job);
    json_decref(result);
}

/* ---- options -----------------------------------------------------------------------------------
 */

static int put_env(const struct cli *cli, json_t *base)
{
    const char *const *list = ag_options_list(cli->options, AG_OPT_SET_ENV, NULL);
    json_t *env = json_object();

    for (; *list != NULL; list++) {
        const char *equals = strchr(*list, '=');
        char *name = equals != NULL ? strndup(*list, (size_t)(equals - *list)) : NULL;
        int rc = name != NULL && name[0] != '\0'
                     ? json_object_set_new(env, name, json_string(equals + 1))
                     : -1;

        free(name);
        if (rc < 0) {
            json_decref(env);
            return cli_fail(cli, EXIT_USAGE, "--env: '%s' is not NAME=VALUE", *list);
        }
    }
    if (json_object_size(env) > 0)
        json_object_set(base, "env", env);
    json_decref(env);
    return 0;
}

/* Standard input is the program's, when it is a pipe or a file and not the list of lines. */
static int put_stdin(const struct cli *cli, json_t *base)
{
    static char content[AG_PAYLOAD_BYTES_MAX / 2 + 1];
    size_t size;
    json_t *text;

    if (isatty(STDIN_FILENO) || ag_options_given(cli->options, AG_OPT_EXEC_INPUT))
        return 0;
    size = fread(content, 1, sizeof content, stdin);
    if (size == sizeof content)
        return cli_fail(cli, EXIT_USAGE,
                        "standard input is larger than %zu bytes: hand it on as a file",
                        sizeof content - 1);
    if (size == 0)
        return 0;
    text = json_stringn(content, size);
    if (text == NULL)
        return cli_fail(cli, EXIT_USAGE, "standard input is not UTF-8: hand it on as a file");
    json_object_set_new(base, "stdin", text);
    return 0;
}

static int make_base(const struct cli *cli, json_t *base)
{
    const char *cwd = ag_options_text(cli->options, AG_OPT_CWD);
    char here[4096];
    int code;

    if (cwd == NULL && cli->fleet != NULL) /* the worker is the user's own */
        cwd = getcwd(here, sizeof here);
    if (cwd != NULL)
        json_object_set_new(base, "cwd", json_string(cwd));
    if (ag_options_given(cli->options, AG_OPT_OUTPUT_MAX))
        json_object_set_new(
            base, "output_max",
            json_integer((json_int_t)ag_options_bytes(cli->options, AG_OPT_OUTPUT_MAX)));
    code = put_env(cli, base);
    return code != 0 ? code : put_stdin(cli, base);
}

int cli_exec(struct cli *cli)
{
    const char *input = ag_options_text(cli->options, AG_OPT_EXEC_INPUT);
    struct exec_source source = {.cli = cli, .base = json_object()};
    struct argosy_error err = {0};
    char title[256];
    struct job_source jobs = {.kind = "exec", .title = title, .next = exec_next, .arg = &source};
    int code;

    source.words =
        ag_options_operands(cli->options) + (ag_options_command(cli->options) == AG_COMMAND_RUN);
    if (source.words[0] == NULL) {
        json_decref(source.base);
        return cli_fail(cli, EXIT_USAGE, "COMMAND is missing; --help tells more");
    }
    for (char *const *word = source.words; *word != NULL; word++)
        source.has_braces = source.has_braces || has_braces(*word);
    snprintf(title, sizeof title, "exec %s", source.words[0]);
    code = make_base(cli, source.base);
    if (code == 0 && input != NULL) {
        if (lines_open(&source.lines, input, &err) < 0)
            code = cli_fail_with(cli, &err);
        source.is_reading = code == 0;
    }
    if (code == 0)
        code = submission_run(cli, &jobs, print_exec);
    if (source.is_reading)
        lines_close(&source.lines);
    json_decref(source.base);
    return code;
}
