/* The analysis engine: counts, what it skips, what it may read, what it cannot. */
#include "tests/unit/cmocka_prelude.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/json.h"
#include "common/limits.h"
#include "worker/analyze/analyze.h"
#include "worker/analyze/count.h"

void task_finish(struct task *task)
{
    (void)task;
    fail_msg("analyze_run() has no task");
}

/* ---- counting
 * ------------------------------------------------------------------------------------------------
 */

static const struct {
    const char *language, *text;
    unsigned code, comments, blanks;
} cases[] = {
    {"C", "int a; /* x */\n\n// y\nchar *s = \"// no\";\n/* one\n\n two */\n", 2, 3, 2},
    {"C", "#if 0\n// a \\\n b\n#endif\n", 2, 2, 0},
    {"C++", "auto r = R\"(// not\n/* a comment */)\";\n// yes\n", 2, 1, 0},
    {"Python", "\"\"\"doc\nstring\"\"\"\n# c\n\nx = 'a # b'\n", 1, 3, 1},
    {"JavaScript", "const a = `// no ${1 /* yes */}\n`;\n// yes\n", 2, 1, 0},
    {"Shell", "#!/bin/sh\n# c\necho \"# no\"\n\ncat <<X\n# text\nX\n", 4, 2, 1},
    {"Rust", "/* a /* nested */ b */\nfn f() {} // x\n/// doc\n", 1, 2, 0},
    {"Go", "package a\n\n// c\nvar s = `\n// no\n`\n", 4, 1, 1},
    {"Java", "/** doc\n * more\n */\nclass A {}\n", 1, 3, 0},
    {"Lua", "--[[ a\nb ]]\nlocal x = 1 -- c\n-- d\n", 1, 3, 0},
    {"SQL", "-- c\nSELECT '-- no';\n/* x */\n", 1, 2, 0},
    {"HTML", "<p>\n<!-- a\nb -->\n</p>\n", 2, 2, 0},
    {"Haskell", "{- a {- b -}\n-}\nx = 1\n-- c\n", 1, 3, 0},
    {"Makefile", "# c\nall:\n\techo # x\n", 2, 1, 0},
    {"Ruby", "=begin\na\n=end\nx = 1\n# c\n", 1, 4, 0},
};

static void lines_are_told_apart_in_many_languages(void **state)
{
    languages_t *languages = languages_new(NULL);
    counter_t *counter = counter_new(languages);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct language *language = language_find(cases[i].language);
        struct counts counts;

        if (language == NULL)
            fail_msg("no language %s", cases[i].language);
        assert_ok(count_text(counter, language, ag_bytes_of_text(cases[i].text), &counts));
        if (counts.code != cases[i].code || counts.comments != cases[i].comments ||
            counts.blanks != cases[i].blanks)
            fail_msg("%s, case %zu: code %llu comments %llu blanks %llu", cases[i].language, i,
                     (unsigned long long)counts.code, (unsigned long long)counts.comments,
                     (unsigned long long)counts.blanks);
    }
    counter_destroy(&counter);
    languages_destroy(&languages);
}

/* As many as newlines, and one for bytes behind the last of them. */
static size_t lines_in(const char *text, size_t size)
{
    size_t lines = size > 0 && text[size - 1] != '\n';

    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    return lines;
}

/* Whatever a file holds, no line is lost, and every line is of one sort. */
static void any_bytes_are_lines(void **state)
{
    static const char bytes[] = "\n\n\"'/*#-<>[]{}= ab\\`~R($)!E\t";
    static char text[4096];
    languages_t *languages = languages_new(NULL);
    counter_t *counter = counter_new(languages);
    unsigned seed = 1;

    (void)state;
    for (size_t row = 0; row < language_table_count; row++) {
        for (int round = 0; round < 40; round++) {
            struct counts counts;
            size_t size;

            seed = seed * 1103515245 + 12345;
            size = seed >> 8 & 1023;
            for (size_t i = 0; i < size; i++) {
                seed = seed * 1103515245 + 12345;
                text[i] = bytes[(seed >> 16) % (sizeof bytes - 1)];
            }
            assert_ok(count_text(counter, &language_table[row], ag_bytes_of(text, size), &counts));
            assert_int_equal(counts.lines, lines_in(text, size));
            assert_int_equal(counts.lines, counts.code + counts.comments + counts.blanks);
        }
    }
    counter_destroy(&counter);
    languages_destroy(&languages);
}

/* The same for texts that begin and end parts in other languages at random. */
static void parts_lose_no_line(void **state)
{
    static const char *const pieces[] = {
        "<script>",   "<script lang=ts>",
        "</script>",  "<style a='>",
        "</style>",   "<template>",
        "<template",  "</template>",
        "```md\n",    "\n```html\n",
        "\n```\n",    "\n~~~~php\n",
        "<?php",      "?>",
        "<!--",       "-->",
        "/*",         "*/",
        "\"",         "'",
        "`",          "\n",
        "\n\n",       "x ",
        "<<<A\n",     "\nA\n",
        "//",         "${",
        "</SCRIPT >", "\\",
    };
    static const char *const names[] = {"HTML", "Vue", "Svelte", "PHP", "Markdown", "ERB", "JSP"};
    languages_t *languages = languages_new(NULL);
    counter_t *counter = counter_new(languages);
    unsigned seed = 1;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        const struct language *language = language_find(names[round % 7]);
        struct counts sum = {0};
        struct counted counted;
        char text[512] = "";
        size_t lines;

        for (int i = 0; i < 30; i++) {
            seed = seed * 1103515245 + 12345;
            strcat(text, pieces[(seed >> 16) % (sizeof pieces / sizeof *pieces)]);
        }
        lines = lines_in(text, strlen(text));
        assert_ok(count_parts(counter, language, ag_bytes_of_text(text), &counted));
        for (unsigned i = 0; i < counted.parts_count; i++)
            counts_add(&sum, &counted.parts[i].counts);
        if (counted.whole.lines != lines || counted.whole.bytes != strlen(text) ||
            sum.code + sum.comments + sum.blanks != lines)
            fail_msg("%s: %llu lines, not %zu: %s", language->name,
                     (unsigned long long)counted.whole.lines, lines, text);
    }
    counter_destroy(&counter);
    languages_destroy(&languages);
}

static void check_words(const languages_t *languages, const struct language *row, const char *words,
                        const char *before)
{
    while (words != NULL && *words != '\0') {
        int size = (int)strcspn(words, " ");
        const struct language *found;
        char word[64], name[80];

        snprintf(word, sizeof word, "%.*s", size, words);
        snprintf(name, sizeof name, "%s%s", before, word);
        assert_true(language_of_name(languages, name, &found) >= LANGUAGE_KNOWN);
        if (found != row)
            fail_msg("'%s' belongs to %s and to %s", name, row->name, found->name);
        words += size + (words[size] == ' ');
    }
}

static void no_name_belongs_to_two_languages(void **state)
{
    languages_t *languages = languages_new(NULL);

    (void)state;
    assert_true(language_table_count >= 250);
    for (size_t i = 0; i < language_table_count; i++) {
        const struct language *row = &language_table[i];

        assert_ptr_equal(language_find(row->name), row);
        check_words(languages, row, row->extensions, "x.");
        check_words(languages, row, row->files, "");
        for (size_t k = 0; k < LANGUAGE_EMBEDS_MAX; k++)
            if (row->embeds[k].language != NULL)
                assert_non_null(language_find(row->embeds[k].language));
    }
    for (size_t i = 0; i < language_hints_count; i++)
        if (language_find(language_hints[i].language) == NULL)
            fail_msg("a hint names %s", language_hints[i].language);
    languages_destroy(&languages);
}

static void scripts_say_what_runs_them(void **state)
{
    languages_t *languages = languages_new(NULL);
    const struct language *found;

    (void)state;
    assert_int_equal(language_of_name(languages, "configure", &found), LANGUAGE_ASK_CONTENT);
    assert_int_equal(language_of_name(languages, "Makefile", &found), LANGUAGE_KNOWN);
    found = language_of_content(languages, "configure", NULL,
                                ag_bytes_of_text("#!/usr/bin/env -S python3.11 -u\n"));
    assert_string_equal(found->name, "Python");
    found = language_of_content(languages, "x", NULL, ag_bytes_of_text("#!/bin/sh -e\n"));
    assert_string_equal(found->name, "Shell");
    assert_null(language_of_content(languages, "x", NULL, ag_bytes_of_text("plain text\n")));
    assert_int_equal(language_of_name(languages, "a.png", &found), LANGUAGE_BINARY);
    assert_int_equal(language_of_name(languages, "a.nobody", &found), LANGUAGE_UNKNOWN);
    languages_destroy(&languages);
}

/* ---- jobs
 * ------------------------------------------------------------------------------------------------------
 */

static char folder[64];

static void put(const char *name, const void *data, size_t size)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
}

static void make_folder(const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/argosy-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    make_folder("src");
    make_folder("node_modules");
    make_folder(".git");
    put("src/a.c", "int a;\n// b\n\n", 13);
    put("src/b.py", "x = 1\n", 6);
    put("src/c.c", "int\0a;\n", 7);
    put("src/gen.c", "// Code generated by x. DO NOT EDIT.\nint g;\n", 44);
    put("src/notes.zzz", "hello\n", 6);
    put("node_modules/d.js", "1\n", 2);
    put(".git/e.c", "1\n", 2);
    return 0;
}

static int tear_down(void **state)
{
    char command[96];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

/* Everybody may look around in the test's folders. */
static int chmod_all(void)
{
    static const char *const names[] = {"src", "node_modules", ".git"};
    char path[256];
    int rc = 0;

    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        rc |= chmod(path, 0755);
    }
    return rc;
}

static unsigned permille; /* of the last analysis, at its end */

static struct outcome analyze_after(uint32_t quiet_ms, json_t *payload, const char *root,
                                    int stop_reason)
{
    struct ag_buffer buffer = ag_buffer_empty(1 << 16);
    const char *roots_list[] = {root};
    struct analyze_roots roots = {.paths = roots_list, .count = root != NULL};
    struct outcome outcome = {0};
    atomic_int stop = stop_reason;
    atomic_uint told = AG_PERMILLE_UNKNOWN;
    struct analyze_watch watch = {.stop = &stop, .permille = &told, .quiet_ms = quiet_ms};

    assert_ok(ag_json_to_msgpack(payload, &buffer));
    analyze_run(ag_buffer_bytes(&buffer), (struct ag_bytes){0}, &roots, &watch, &outcome);
    ag_buffer_free(&buffer);
    json_decref(payload);
    permille = atomic_load(&told);
    return outcome;
}

static struct outcome analyze(json_t *payload, const char *root, int stop_reason)
{
    return analyze_after(60000, payload, root, stop_reason);
}

static json_t *json_of(const struct ag_buffer *buffer)
{
    struct argosy_error err = {0};
    json_t *json;

    assert_ok(ag_json_from_msgpack(ag_buffer_bytes(buffer), &json, &err));
    return json;
}

static json_int_t number(const json_t *json, const char *outer, const char *inner)
{
    return json_integer_value(json_object_get(json_object_get(json, outer), inner));
}

static void a_tree_is_counted_and_what_is_skipped_is_told(void **state)
{
    struct outcome outcome =
        analyze(json_pack("{s:s, s:s}", "path", folder, "by", "file"), folder, STOP_NONE);
    json_t *result;

    (void)state;
    assert_true(outcome.succeeded);
    assert_int_equal(outcome.error.size, 0);
    result = json_of(&outcome.result);
    assert_int_equal(number(result, "totals", "files"), 2);
    assert_int_equal(number(result, "totals", "lines"), 4);
    assert_int_equal(number(result, "totals", "code"), 2);
    assert_int_equal(number(result, "skipped", "binary"), 1);
    assert_int_equal(number(result, "skipped", "generated"), 1);
    assert_int_equal(number(result, "skipped", "vendored"), 1);
    assert_int_equal(number(result, "skipped", "unknown"), 1);
    assert_string_equal(json_string_value(json_object_get(
                            json_array_get(json_object_get(result, "files"), 0), "path")),
                        "src/a.c");
    json_decref(result);
    outcome_fini(&outcome);
}

static void what_is_excluded_is_not_even_looked_at(void **state)
{
    struct outcome outcome =
        analyze(json_pack("{s:s, s:[s, s]}", "path", folder, "exclude", "*.py", "node_modules/"),
                folder, STOP_NONE);
    json_t *result = json_of(&outcome.result);

    (void)state;
    assert_int_equal(number(result, "totals", "files"), 1);
    assert_int_equal(number(result, "skipped", "vendored"), 0);
    json_decref(result);
    outcome_fini(&outcome);
}

static void a_file_that_cannot_be_read_is_a_leaf_and_the_rest_is_counted(void **state)
{
    struct outcome outcome;
    char path[256];
    json_t *result, *error;

    (void)state;
    snprintf(path, sizeof path, "%s/src/hidden.c", folder);
    put("src/hidden.c", "int h;\n", 7);
    chmod(path, 0);
    if (geteuid() == 0) /* root reads everything; as nobody it is as for everybody else */
        assert_int_equal(setegid(65534) | chown(folder, 65534, 65534) | chmod(folder, 0755) |
                             chmod_all() | seteuid(65534),
                         0);
    outcome = analyze(json_pack("{s:s}", "path", folder), folder, STOP_NONE);
    assert_true(outcome.succeeded);
    result = json_of(&outcome.result);
    error = json_of(&outcome.error);
    assert_int_equal(number(result, "totals", "files"), 2);
    assert_string_equal(json_string_value(json_object_get(
                            json_array_get(json_object_get(error, "errors"), 0), "type")),
                        "analyze.source.denied");
    assert_string_equal(json_string_value(json_object_get(error, "subject")), folder);
    json_decref(result);
    json_decref(error);
    outcome_fini(&outcome);
    /* What was named itself has no path within the source: its leaf goes by the source's. */
    assert_int_equal(chmod(folder, 0), 0);
    outcome = analyze(json_pack("{s:s}", "path", folder), folder, STOP_NONE);
    assert_int_equal(chmod(folder, 0755), 0);
    error = json_of(&outcome.error);
    assert_string_equal(json_string_value(json_object_get(error, "message")),
                        "1 of 1 file could not be read");
    assert_string_equal(json_string_value(json_object_get(
                            json_array_get(json_object_get(error, "errors"), 0), "subject")),
                        folder);
    json_decref(error);
    outcome_fini(&outcome);
    if (getuid() == 0)
        assert_int_equal(seteuid(0) | setegid(0), 0);
}

static void what_may_not_be_read_is_not(void **state)
{
    struct outcome outcome;

    (void)state;
    outcome = analyze(json_pack("{s:s}", "path", folder), NULL, STOP_NONE);
    assert_false(outcome.succeeded);
    assert_string_equal(outcome.type, "analyze.source.denied");
    outcome_fini(&outcome);
    outcome = analyze(json_pack("{s:s}", "path", "/tmp/.."), folder, STOP_NONE);
    assert_string_equal(outcome.type, "analyze.source.denied");
    outcome_fini(&outcome);
    outcome = analyze(json_pack("{s:s}", "path", "/nonexistent"), "/", STOP_NONE);
    assert_string_equal(outcome.type, "analyze.source.missing");
    outcome_fini(&outcome);
}

static void a_wrong_payload_is_refused_by_name(void **state)
{
    static const char *const wrong[] = {"{}",
                                        "{\"path\": 5}",
                                        "{\"path\": \"relative\"}",
                                        "{\"path\": \"/\", \"by\": \"hour\"}",
                                        "{\"path\": \"/\", \"exclude\": \"x\"}",
                                        "[]",
                                        "5"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct outcome outcome =
            analyze(json_loads(wrong[i], JSON_DECODE_ANY, NULL), "/", STOP_NONE);

        assert_false(outcome.succeeded);
        assert_string_equal(outcome.type, "rejected.payload");
        outcome_fini(&outcome);
    }
}

static void a_stop_ends_it(void **state)
{
    struct outcome outcome = analyze(json_pack("{s:s}", "path", "/usr/include"), "/", STOP_CANCEL);

    (void)state;
    assert_false(outcome.succeeded);
    assert_string_equal(outcome.type, "cancelled");
    outcome_fini(&outcome);
}

/* Six files are there, four of them are not left out; the last one to begin has three before it. */
static void a_long_job_counts_its_files_and_tells_how_many_are_done(void **state)
{
    struct outcome outcome =
        analyze_after(0, json_pack("{s:s, s:[s, s]}", "path", folder, "exclude", "*.py", "node_*"),
                      folder, STOP_NONE);

    (void)state;
    assert_true(outcome.succeeded);
    assert_int_equal(permille, 750);
    outcome_fini(&outcome);
}

static void a_short_job_counts_nothing_beforehand(void **state)
{
    struct outcome outcome = analyze(json_pack("{s:s}", "path", folder), folder, STOP_NONE);

    (void)state;
    assert_true(outcome.succeeded);
    assert_int_equal(permille, AG_PERMILLE_UNKNOWN);
    outcome_fini(&outcome);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_told_apart_in_many_languages),
        cmocka_unit_test(any_bytes_are_lines),
        cmocka_unit_test(parts_lose_no_line),
        cmocka_unit_test(no_name_belongs_to_two_languages),
        cmocka_unit_test(scripts_say_what_runs_them),
        TEST(a_tree_is_counted_and_what_is_skipped_is_told),
        TEST(what_is_excluded_is_not_even_looked_at),
        TEST(a_file_that_cannot_be_read_is_a_leaf_and_the_rest_is_counted),
        TEST(what_may_not_be_read_is_not),
        TEST(a_wrong_payload_is_refused_by_name),
        TEST(a_stop_ends_it),
        TEST(a_long_job_counts_its_files_and_tells_how_many_are_done),
        TEST(a_short_job_counts_nothing_beforehand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
