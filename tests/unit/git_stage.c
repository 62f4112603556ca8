#include "tests/unit/git_stage.h"

#include "tests/unit/cmocka_prelude.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/json.h"
#include "common/limits.h"

char stage_folder[64];
const struct language_rows *stage_languages;
atomic_int stage_helpers;

int stage_set_up(void **state)
{
    (void)state;
    strcpy(stage_folder, "/tmp/argosy-git-XXXXXX");
    assert_non_null(mkdtemp(stage_folder));
    return 0;
}

int stage_tear_down(void **state)
{
    (void)state;
    stage_run("chmod -R u+rwX . ; rm -rf -- \"$PWD\"");
    return 0;
}

static const char before[] =
    "cd '%s' && export HOME=\"$PWD\" GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@x "
    "GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@x GIT_AUTHOR_DATE='1000000000 +0000' "
    "GIT_COMMITTER_DATE='1000000000 +0000' LC_ALL=C && { %s\n}";

static char *command_of(const char *format, va_list arguments)
{
    char *text, *command;

    assert_true(vasprintf(&text, format, arguments) >= 0);
    assert_true(asprintf(&command, before, stage_folder, text) >= 0);
    free(text);
    return command;
}

void stage_run(const char *format, ...)
{
    va_list arguments;
    char *command;

    va_start(arguments, format);
    command = command_of(format, arguments);
    va_end(arguments);
    if (system(command) != 0)
        fail_msg("failed: %s", command);
    free(command);
}

char *stage_ask(const char *format, ...)
{
    struct ag_buffer answer = ag_buffer_empty(1 << 24);
    char part[4096], *text;
    va_list arguments;
    char *command;
    size_t got;
    FILE *pipe;

    va_start(arguments, format);
    command = command_of(format, arguments);
    va_end(arguments);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    while ((got = fread(part, 1, sizeof part, pipe)) > 0)
        ag_buffer_append(&answer, part, got);
    if (pclose(pipe) != 0)
        fail_msg("failed: %s", command);
    free(command);
    text = strdup(ag_buffer_as_text(&answer));
    ag_buffer_free(&answer);
    assert_non_null(text);
    if (text[0] != '\0' && text[strlen(text) - 1] == '\n')
        text[strlen(text) - 1] = '\0';
    return text;
}

void stage_put(const char *name, const void *data, size_t size)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", stage_folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
}

/* ---- a repository of chance
 * ------------------------------------------------------------------------------------ */

static unsigned chance(unsigned *seed, unsigned below)
{
    *seed = *seed * 1103515245 + 12345;
    return (*seed >> 16 & 0x7fff) % below;
}

/* Lines of which many are alike, so that differences have a choice. */
static void put_text(FILE *out, unsigned *seed)
{
    static const char *const lines[] = {"int a;", "// b",    "",       "}",
                                        "{",      "/* c */", "x = 1;", "\treturn;"};
    char text[8192];
    unsigned count = chance(seed, 200);
    size_t size = 0;

    for (unsigned i = 0; i < count; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, "%s%s", lines[chance(seed, 8)],
                                 i + 1 == count && chance(seed, 4) == 0 ? "" : "\n");
    if (chance(seed, 20) == 0 && size > 0)
        text[size / 2] = '\0';
    fprintf(out, "data %zu\n", size);
    fwrite(text, 1, size, out);
    fputc('\n', out);
}

static void put_change(FILE *out, unsigned *seed)
{
    static const char *const dirs[] = {"", "src/", "src/deep/er/", "vendor/x/", "doc/", "CVS/"};
    static const char *const names[] = {"a.c",      "b.py", "c.js", "Makefile",
                                        "d.min.js", "run",  "e.zzz"};
    const char *dir = dirs[chance(seed, 6)], *name = names[chance(seed, 7)];

    if (chance(seed, 8) == 0)
        fprintf(out, "D %s%s\n", dir, name);
    else if (chance(seed, 12) == 0)
        fprintf(out, "M 120000 inline %slink\ndata 3\na.c\n", dir);
    else {
        fprintf(out, "M 100%s inline %s%s\n", chance(seed, 5) == 0 ? "755" : "644", dir, name);
        put_text(out, seed);
    }
}

void stage_make_repository(const char *name, unsigned seed, unsigned commits)
{
    char path[256];
    FILE *out;

    snprintf(path, sizeof path, "%s/stream", stage_folder);
    out = fopen(path, "w");
    assert_non_null(out);
    for (unsigned i = 1; i <= commits; i++) {
        unsigned who = chance(&seed, 4), changes = 1 + chance(&seed, 5);
        bool is_merge = i > 4 && chance(&seed, 5) == 0;

        fprintf(out, "commit refs/heads/main\nmark :%u\n", i);
        fprintf(out, "author P%u <p%u@x> %u +0000\n", who, who % 3, 1000000000 + i * 86400);
        fprintf(out, "committer C <c@x> %u +0100\ndata 1\nm\n", 1000000000 + i * 86400);
        if (i > 1)
            fprintf(out, "from :%u\n",
                    is_merge || chance(&seed, 4) != 0 ? i - 1
                    : i / 2 + 1 < i                   ? i / 2 + 1
                                                      : i - 1);
        if (is_merge)
            fprintf(out, "merge :%u\n", i - 2 - chance(&seed, 2));
        for (unsigned k = 0; k < changes; k++)
            put_change(out, &seed);
        fputc('\n', out);
    }
    fclose(out);
    stage_run(
        "git init -q -b main '%s' && git -C '%s' fast-import --quiet --force < stream && rm stream",
        name, name);
}

/* ---- jobs
 * ------------------------------------------------------------------------------------------------------
 */

json_t *stage_json(const struct ag_buffer *buffer)
{
    struct argosy_error err = {0};
    json_t *json;

    assert_ok(ag_json_from_msgpack(ag_buffer_bytes(buffer), &json, &err));
    return json;
}

json_int_t stage_number(const json_t *json, const char *outer, const char *inner)
{
    return json_integer_value(json_object_get(json_object_get(json, outer), inner));
}

struct outcome stage_analyze(const char *path, const char *cache, const char *json)
{
    return stage_analyze_inputs(path, cache, json, (struct ag_bytes){0});
}

struct outcome stage_analyze_inputs(const char *path, const char *cache, const char *json,
                                    struct ag_bytes inputs)
{
    const char *roots_list[] = {stage_folder};
    char kept[128], full[256];
    struct analyze_roots roots = {
        .paths = roots_list, .count = 1, .languages = stage_languages, .helpers = &stage_helpers};
    struct ag_buffer buffer = ag_buffer_empty(1 << 16);
    struct outcome outcome = {0};
    atomic_int stop = STOP_NONE;
    atomic_uint told = AG_PERMILLE_UNKNOWN;
    struct analyze_watch watch = {.stop = &stop, .permille = &told, .quiet_ms = 60000};
    json_t *payload = json_loads(json, 0, NULL);

    assert_non_null(payload);
    snprintf(full, sizeof full, "%s/%s", stage_folder, path);
    json_object_set_new(payload, "path", json_string(full));
    if (cache != NULL) {
        snprintf(kept, sizeof kept, "%s/%s", stage_folder, cache);
        roots.cache = kept;
    }
    assert_ok(ag_json_to_msgpack(payload, &buffer));
    json_decref(payload);
    analyze_run(ag_buffer_bytes(&buffer), inputs, &roots, &watch, &outcome);
    ag_buffer_free(&buffer);
    return outcome;
}

json_t *stage_result(const char *path, const char *cache, const char *json)
{
    struct outcome outcome = stage_analyze(path, cache, json);
    json_t *result;

    if (!outcome.succeeded || outcome.error.size > 0) {
        json_t *error = stage_json(&outcome.error);

        fail_msg("%s %s: %s", path, json, json_dumps(error, 0));
    }
    result = stage_json(&outcome.result);
    outcome_fini(&outcome);
    return result;
}

void stage_fails(const char *path, const char *json, const char *type, const char *says)
{
    struct outcome outcome = stage_analyze(path, NULL, json);
    json_t *error;

    assert_false(outcome.succeeded);
    assert_string_equal(outcome.type, type);
    error = stage_json(&outcome.error);
    if (strstr(json_string_value(json_object_get(error, "message")), says) == NULL)
        fail_msg("%s: '%s' says nothing of '%s'", path,
                 json_string_value(json_object_get(error, "message")), says);
    json_decref(error);
    outcome_fini(&outcome);
}
