#include "worker/exec/request.h"

#include <errno.h>
#include <fnmatch.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/json.h"
#include "common/proto.h"
#include "common/wire.h"

enum { INPUT_MAX = 16 << 20 };

static bool refuse(struct outcome *outcome, const char *message)
{
    outcome_fail(outcome, "rejected.payload", false, NULL, "exec: %s", message);
    return false;
}

/* ---- the payload -------------------------------------------------------------------------------
 */

static char *text_of(struct ag_bytes bytes)
{
    char *text = memchr(bytes.data, '\0', bytes.size) == NULL ? malloc(bytes.size + 1) : NULL;

    if (text == NULL)
        return NULL;
    memcpy(text, bytes.data, bytes.size);
    text[bytes.size] = '\0';
    return text;
}

static bool read_argv(struct exec_request *out, struct ag_reader *r)
{
    uint32_t count = ag_read_array(r);

    if (r->failed || count == 0 || count > EXEC_WORDS_MAX)
        return false;
    out->argv = calloc(count + 1, sizeof *out->argv);
    for (uint32_t i = 0; out->argv != NULL && i < count; i++) {
        struct ag_bytes word = ag_read_text(r, AG_PAYLOAD_BYTES_MAX);

        if (r->failed || (out->argv[i] = text_of(word)) == NULL)
            return false;
    }
    return out->argv != NULL && out->argv[0][0] != '\0';
}

static bool read_env(struct exec_request *out, struct ag_reader *r)
{
    uint32_t count = ag_read_map(r);

    if (r->failed || count > EXEC_WORDS_MAX)
        return false;
    out->env = calloc(count + 1, sizeof *out->env);
    for (uint32_t i = 0; out->env != NULL && i < count; i++) {
        struct ag_bytes name = ag_read_text(r, AG_NAME_BYTES_MAX);
        struct ag_bytes value = ag_read_text(r, AG_PAYLOAD_BYTES_MAX);

        if (r->failed || name.size == 0 || memchr(name.data, '=', name.size) != NULL ||
            memchr(name.data, '\0', name.size) != NULL ||
            memchr(value.data, '\0', value.size) != NULL ||
            asprintf(&out->env[i], "%.*s=%.*s", AG_TEXT(name), AG_TEXT(value)) < 0)
            return false;
    }
    return out->env != NULL;
}

static bool read_input(struct exec_request *out, struct ag_reader *r)
{
    struct ag_reader again = *r;
    struct ag_bytes bytes = ag_read_text(r, AG_PAYLOAD_BYTES_MAX);

    if (r->failed) {
        *r = again;
        bytes = ag_read_bin(r, AG_PAYLOAD_BYTES_MAX);
    }
    ag_buffer_append(&out->input, bytes.data, bytes.size);
    return !r->failed && !out->input.failed;
}

static const char *read_pair(struct exec_request *out, struct ag_bytes key, struct ag_reader *r,
                             bool *has_input)
{
    if (ag_bytes_are(key, "argv"))
        return read_argv(out, r) ? NULL : "\"argv\" is a list of texts, the command first";
    if (ag_bytes_are(key, "env"))
        return read_env(out, r) ? NULL : "\"env\" is a map of texts";
    if (ag_bytes_are(key, "stdin")) {
        *has_input = true;
        return read_input(out, r) ? NULL : "\"stdin\" is a text or bytes";
    }
    if (ag_bytes_are(key, "cwd")) {
        struct ag_bytes cwd = ag_read_text(r, PATH_MAX - 1);

        free(out->cwd);
        out->cwd = r->failed || cwd.size == 0 ? NULL : text_of(cwd);
        return out->cwd != NULL ? NULL : "\"cwd\" is a path";
    }
    if (ag_bytes_are(key, "output_max")) {
        out->output_max = (size_t)ag_read_whole(r, EXEC_OUTPUT_MAX);
        return r->failed ? "\"output_max\" is a number of bytes, at most 3 MiB" : NULL;
    }
    return "it has a key that is not argv, stdin, env, cwd or output_max";
}

/* What it came after is its standard input, a line of JSON for each, unless it brings its own. */
static bool take_inputs(struct exec_request *out, struct ag_bytes inputs)
{
    struct proto_input input;
    json_t *json;

    while (ag_proto_next_input(&inputs, &input)) {
        char *text = NULL;

        if (input.result.size > 0 && ag_json_from_msgpack(input.result, &json, NULL) == 0) {
            text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
            json_decref(json);
        }
        ag_buffer_text(&out->input, text != NULL ? text : "null");
        ag_buffer_text(&out->input, "\n");
        free(text);
    }
    return !out->input.failed;
}

static bool read_payload(struct exec_request *out, const struct task *task, struct outcome *outcome)
{
    struct ag_reader reader = ag_reader_of(task->payload);
    uint32_t pairs = ag_read_map(&reader);
    bool has_input = false;

    if (reader.failed)
        return refuse(outcome, "the payload is not a map");
    for (uint32_t i = 0; i < pairs; i++) {
        struct ag_bytes key = ag_read_text(&reader, AG_NAME_BYTES_MAX);
        const char *wrong =
            reader.failed ? "a key is not a text" : read_pair(out, key, &reader, &has_input);

        if (wrong != NULL)
            return refuse(outcome, wrong);
    }
    if (out->argv == NULL)
        return refuse(outcome, "\"argv\" is missing");
    if (!has_input && !take_inputs(out, task->inputs))
        return refuse(outcome, "what it came after is more than it can be given");
    return true;
}

/* ---- what may run, and where -------------------------------------------------------------------
 */

/* The file that a bare name means, as a shell finds it. */
static char *look_up(const char *name)
{
    const char *path = getenv("PATH");
    char *found = NULL;

    for (path = path != NULL ? path : "/usr/local/bin:/usr/bin:/bin"; *path != '\0';) {
        size_t length = strcspn(path, ":");

        if (length > 0 && asprintf(&found, "%.*s/%s", (int)length, path, name) > 0) {
            if (access(found, X_OK) == 0)
                return found;
            free(found);
        }
        path += length + (path[length] == ':');
    }
    return NULL;
}

static bool is_allowed(const struct exec_config *config, const char *name, const char *path)
{
    for (size_t i = 0; i < config->allow_count; i++)
        if (fnmatch(config->allow[i], path, 0) == 0 ||
            (strchr(name, '/') == NULL && fnmatch(config->allow[i], name, 0) == 0))
            return true;
    return false;
}

static bool find_program(struct exec_request *out, const struct exec_config *config,
                         struct outcome *outcome)
{
    const char *name = out->argv[0];

    out->path = strchr(name, '/') == NULL ? look_up(name) : realpath(name, NULL);
    if (strchr(name, '/') != NULL && name[0] != '/')
        return refuse(outcome, "the command is a bare name or an absolute path");
    if (!is_allowed(config, name, out->path != NULL ? out->path : name)) {
        outcome_fail(outcome, "handler.exec.denied", false, name,
                     "this worker may not run '%s': it allows it with --allow-exec", name);
        return false;
    }
    if (out->path == NULL) {
        outcome_fail(outcome, "handler.exec.missing", false, name, "no program '%s' here", name);
        return false;
    }
    return true;
}

static bool is_under(const char *path, const char *root)
{
    size_t length = strlen(root);

    while (length > 1 && root[length - 1] == '/')
        length--;
    return strncmp(path, root, length) == 0 &&
           (length == 1 || path[length] == '/' || path[length] == '\0');
}

static bool find_cwd(struct exec_request *out, const struct exec_config *config,
                     struct outcome *outcome)
{
    char *real;

    if (out->cwd == NULL) {
        out->cwd = strdup(config->roots_count > 0 ? config->roots[0] : "/");
        return out->cwd != NULL;
    }
    real = realpath(out->cwd, NULL);
    for (size_t i = 0; real != NULL && i < config->roots_count; i++)
        if (is_under(real, config->roots[i])) {
            free(out->cwd);
            out->cwd = real;
            return true;
        }
    outcome_fail(outcome, "handler.exec.cwd", false, out->cwd,
                 real == NULL ? "cannot begin in %s: %s"
                              : "%s is outside of this worker's --root directories%s",
                 out->cwd, real == NULL ? strerror(errno) : "");
    free(real);
    return false;
}

bool exec_request_read(struct exec_request *out, const struct task *task,
                       const struct exec_config *config, struct outcome *outcome)
{
    *out = (struct exec_request){.input = ag_buffer_empty(INPUT_MAX),
                                 .output_max = EXEC_OUTPUT_DEFAULT};
    return read_payload(out, task, outcome) && find_program(out, config, outcome) &&
           find_cwd(out, config, outcome);
}

static void free_words(char **words)
{
    for (char **word = words; words != NULL && *word != NULL; word++)
        free(*word);
    free(words);
}

void exec_request_fini(struct exec_request *self)
{
    free_words(self->argv);
    free_words(self->env);
    free(self->path);
    free(self->cwd);
    ag_buffer_free(&self->input);
    *self = (struct exec_request){0};
}
