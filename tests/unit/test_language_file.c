/* Languages that a worker learns from a file. */
#include "tests/unit/cmocka_prelude.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/analyze/count.h"
#include "worker/analyze/language_file.h"

static char path[64];

static int load(language_file_t **out, const char *text, struct argosy_error *err)
{
    FILE *file;

    strcpy(path, "/tmp/argosy-test-XXXXXX");
    close(mkstemp(path));
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return language_file_load(out, path, err);
}

static const char *const two = "# ours\n"
                               "shader\n"
                               "    name = \"Shader Lab\"\n"
                               "    extensions = \"shader shd h\"\n"
                               "    files = Shaderfile\n"
                               "    interpreters = shadersh\n"
                               "    line = \"// REM\"\n"
                               "    block = \"<# #>\"\n"
                               "    nested = \"(* *)\"\n"
                               "    strings = '\"'\n"
                               "    strings = \"' raw multiline\"\n"
                               "    strings = '<< >> multiline'\n"
                               "Second\n"
                               "    extensions = second\n";

static void a_file_adds_languages(void **state)
{
    struct argosy_error err = {0};
    language_file_t *file;
    struct language_rows rows;
    languages_t *languages;
    const struct language *found;

    (void)state;
    assert_ok(load(&file, two, &err));
    rows = language_file_rows(file);
    assert_int_equal(rows.count, 2);
    languages = languages_new(&rows);
    assert_int_equal(languages_count(languages), language_table_count + 2);
    assert_int_equal(language_of_name(languages, "a.shd", &found), LANGUAGE_KNOWN);
    assert_string_equal(found->name, "Shader Lab");
    assert_ptr_equal(languages_at(languages, languages_place(languages, found)), found);
    assert_int_equal(language_of_name(languages, "Shaderfile", &found), LANGUAGE_KNOWN);
    assert_string_equal(found->name, "Shader Lab");
    /* wins over the table's, and over what the content may tell of that */
    assert_int_equal(language_of_name(languages, "a.h", &found), LANGUAGE_KNOWN);
    assert_string_equal(found->name, "Shader Lab");
    language_of_name(languages, "a.second", &found);
    assert_string_equal(found->name, "Second");
    found = language_of_content(languages, "x", NULL, ag_bytes_of_text("#!/usr/bin/shadersh\n"));
    assert_string_equal(found->name, "Shader Lab");
    found = language_of_word(languages, ag_bytes_of_text("shader lab"));
    assert_string_equal(found->name, "Shader Lab");
    languages_destroy(&languages);
    language_file_destroy(&file);
    unlink(path);
}

static void its_markers_count(void **state)
{
    static const char *const text = "// a\n"
                                    "rem b\n"
                                    "REMOVE c\n"
                                    "<# d\n"
                                    "#> // e\n"
                                    "(* (* f *)\n"
                                    "*)\n"
                                    "x = \"<#\" \"\\\"(*\"\n"
                                    "y = 'g \\\n"
                                    "// h'\n"
                                    "z = << i\n"
                                    "\n"
                                    "(* >>\n"
                                    "\n";
    struct argosy_error err = {0};
    language_file_t *file;
    struct language_rows rows;
    struct counts counts;
    languages_t *languages;
    counter_t *counter;

    (void)state;
    assert_ok(load(&file, two, &err));
    rows = language_file_rows(file);
    languages = languages_new(&rows);
    counter = counter_new(languages);
    assert_ok(count_text(counter, &rows.rows[0], ag_bytes_of_text(text), &counts));
    assert_int_equal(counts.comments, 6);
    assert_int_equal(counts.code, 7);
    assert_int_equal(counts.blanks, 1);
    counter_destroy(&counter);
    languages_destroy(&languages);
    language_file_destroy(&file);
    unlink(path);
}

static void what_is_wrong_is_told_with_its_line_and_value(void **state)
{
    static const struct {
        const char *text, *says[3];
    } cases[] = {
        {"x\n    extensions = \"a/b\"\n", {":2: ", "a/b", "without a slash"}},
        {"x\n    extensions = a\nxy\n    line = \"12345678901234567\"\n",
         {":4: ", "12345678901234567", "longer than 16"}},
        {"x\n    extensions = a\n    block = \"/*\"\n", {":3: ", "/*", "a marker is missing"}},
        {"x\n    extensions = a\n    line = \"a b c d e f\"\n",
         {":3: ", "a b c d e f", "more than 5"}},
        {"x\n    extensions = a\n    nested = \"a a b b c c d d e e\"\n",
         {":3: ", "a a b b", "more than 4"}},
        {"x\n    extensions = a\n    strings = \"' ' rawer\"\n", {":3: ", "rawer", "OPEN [CLOSE]"}},
        {"x\n    colour = blue\n", {":2: ", "colour = 'blue'", "no such key"}},
        {"line = \"//\"\n", {":1: ", "line", "section"}},
        {"x\n    line = \"//\"\n", {":2: ", "'x'", "no extensions"}},
        {"x\n    name = rust\n    extensions = a\n", {":2: ", "'rust'", "known already"}},
        {"x\n    extensions = a\ny\n    name = X\n    extensions = b\n",
         {":4: ", "'X'", "two languages"}},
        {"x\n    extensions = a\n    extensions = b\n", {":3: ", "'b'", "twice"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct argosy_error err = {0};
        language_file_t *file;

        assert_int_equal(load(&file, cases[i].text, &err), ARGOSY_EINVAL);
        assert_null(file);
        for (size_t k = 0; k < 3; k++)
            if (strstr(err.message, cases[i].says[k]) == NULL)
                fail_msg("case %zu: '%s' lacks '%s'", i, err.message, cases[i].says[k]);
        unlink(path);
    }
}

static void a_file_that_is_not_there_is_told(void **state)
{
    struct argosy_error err = {0};
    language_file_t *file;

    (void)state;
    assert_int_equal(language_file_load(&file, "/nonexistent", &err), ARGOSY_EINVAL);
    assert_non_null(strstr(err.message, "--languages: "));
    assert_non_null(strstr(err.message, "/nonexistent"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_adds_languages),
        cmocka_unit_test(its_markers_count),
        cmocka_unit_test(what_is_wrong_is_told_with_its_line_and_value),
        cmocka_unit_test(a_file_that_is_not_there_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
