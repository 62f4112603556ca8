/* Every file of tests/fixtures/analyze through the engine, against what was counted by hand. */
#include "tests/unit/cmocka_prelude.h"

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/limits.h"
#include "worker/analyze/analyze.h"

#define FIXTURES ARGOSY_SOURCE_DIR "/tests/fixtures/analyze"

enum { ROWS_MAX = 1000, FILES_AT_LEAST = 150, LANGUAGES_AT_LEAST = 150 };

void task_finish(struct task *task)
{
    (void)task;
    fail_msg("analyze_run() has no task");
}

struct row {
    char file[128], language[64], letters[256];
    long long lines, code, comments, blanks;
};

static struct row rows[ROWS_MAX];
static size_t rows_count;
static json_t *result;

/* ---- the table ---------------------------------------------------------------------------------
 */

static long long count_letter(const char *letters, char letter)
{
    long long count = 0;

    if (letters[0] == letter && letters[1] == '*')
        return atoll(letters + 2);
    for (; *letters != '\0'; letters++)
        count += *letters == letter;
    return count;
}

static void read_table(void)
{
    FILE *file = fopen(FIXTURES "/expected.tsv", "r");
    char line[1024];

    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        struct row *row = &rows[rows_count];
        int fields;

        if (line[0] == '#')
            continue;
        assert_true(rows_count < ROWS_MAX);
        fields = sscanf(line, "%127[^\t]\t%63[^\t]\t%lld\t%lld\t%lld\t%lld\t%255[^\n]", row->file,
                        row->language, &row->lines, &row->code, &row->comments, &row->blanks,
                        row->letters);
        if (fields < 6)
            fail_msg("expected.tsv: %s", line);
        rows_count++;
    }
    fclose(file);
}

/* The numbers are those of the letters; nobody has counted wrong. */
static void the_table_agrees_with_itself(void **state)
{
    size_t files = 0;

    (void)state;
    for (size_t i = 0; i < rows_count; i++) {
        const struct row *row = &rows[i];

        if (row->code != count_letter(row->letters, 'c') ||
            row->comments != count_letter(row->letters, '#') ||
            row->blanks != count_letter(row->letters, '-') ||
            row->lines != row->code + row->comments + row->blanks)
            fail_msg("%s %s: %s", row->file, row->language, row->letters);
        files += i == 0 || strcmp(row->file, rows[i - 1].file) != 0;
    }
    assert_true(files >= FILES_AT_LEAST);
}

/* ---- the engine --------------------------------------------------------------------------------
 */

static int analyze_all(void **state)
{
    struct ag_buffer buffer = ag_buffer_empty(1 << 16);
    const char *paths[] = {FIXTURES};
    struct analyze_roots roots = {.paths = paths, .count = 1};
    struct outcome outcome = {0};
    struct argosy_error err = {0};
    atomic_int stop = STOP_NONE;
    atomic_uint told = AG_PERMILLE_UNKNOWN;
    struct analyze_watch watch = {.stop = &stop, .permille = &told, .quiet_ms = 60000};
    json_t *payload =
        json_pack("{s:s, s:s, s:[s]}", "path", FIXTURES, "by", "file", "exclude", "expected.tsv");

    (void)state;
    read_table();
    assert_ok(ag_json_to_msgpack(payload, &buffer));
    analyze_run(ag_buffer_bytes(&buffer), (struct ag_bytes){0}, &roots, &watch, &outcome);
    assert_true(outcome.succeeded);
    assert_ok(ag_json_from_msgpack(ag_buffer_bytes(&outcome.result), &result, &err));
    ag_buffer_free(&buffer);
    outcome_fini(&outcome);
    json_decref(payload);
    return 0;
}

static int forget_all(void **state)
{
    (void)state;
    json_decref(result);
    return 0;
}

static long long number(const json_t *row, const char *key)
{
    return json_integer_value(json_object_get(row, key));
}

static const json_t *find_row(const json_t *list, const char *key, const char *value)
{
    const json_t *row;
    size_t i;

    json_array_foreach(list, i, row) if (strcmp(json_string_value(json_object_get(row, key)),
                                                value) == 0) return row;
    return NULL;
}

static int differs(const struct row *row, const json_t *counts, const char *what)
{
    long long lines = number(counts, "lines"), code = number(counts, "code");
    long long comments = number(counts, "comments"), blanks = number(counts, "blanks");

    if (lines == row->lines && code == row->code && comments == row->comments &&
        blanks == row->blanks)
        return 0;
    print_error("%s, %s: lines %lld code %lld comments %lld blanks %lld, should be %lld %lld %lld "
                "%lld: %s\n",
                what, row->language, lines, code, comments, blanks, row->lines, row->code,
                row->comments, row->blanks, row->letters);
    return 1;
}

static int check_row(const struct row *row)
{
    const json_t *file = find_row(json_object_get(result, "files"), "path", row->file);
    const json_t *parts = json_object_get(file, "parts"), *part;
    const char *language = json_string_value(json_object_get(file, "language"));

    if (row->language[0] == '(' || file == NULL) {
        if ((row->language[0] == '(') != (file == NULL)) {
            print_error("%s: should be %s, is %s\n", row->file, row->language,
                        file == NULL ? "not counted" : language);
            return 1;
        }
        return 0;
    }
    part = parts != NULL ? find_row(parts, "language", row->language) : file;
    if (part == NULL || (parts == NULL && strcmp(language, row->language) != 0)) {
        print_error("%s: should be %s, is %s\n", row->file, row->language, language);
        return 1;
    }
    return differs(row, part, row->file);
}

static void every_file_is_counted_as_by_hand(void **state)
{
    int wrong = 0;

    (void)state;
    for (size_t i = 0; i < rows_count; i++)
        wrong += check_row(&rows[i]);
    if (wrong > 0)
        fail_msg("%d of %zu rows differ", wrong, rows_count);
}

static void no_file_and_no_language_is_there_besides(void **state)
{
    const json_t *list = json_object_get(result, "files"), *file, *part;
    size_t i, k, parts = 0, expected = 0;

    (void)state;
    json_array_foreach(list, i, file)
    {
        bool has = false;

        for (size_t r = 0; r < rows_count; r++)
            has |= strcmp(rows[r].file, json_string_value(json_object_get(file, "path"))) == 0;
        if (!has)
            fail_msg("%s is not in the table", json_string_value(json_object_get(file, "path")));
        parts += json_object_get(file, "parts") == NULL;
        json_array_foreach(json_object_get(file, "parts"), k, part) parts++;
    }
    for (size_t r = 0; r < rows_count; r++)
        expected += rows[r].language[0] != '(';
    assert_int_equal(parts, expected);
}

static void what_is_skipped_is_skipped_for_its_reason(void **state)
{
    const json_t *skipped = json_object_get(result, "skipped"), *value;
    const char *key;
    char name[64];

    (void)state;
    json_object_foreach((json_t *)skipped, key, value)
    {
        long long count = 0;

        snprintf(name, sizeof name, "(%s)", key);
        for (size_t i = 0; i < rows_count; i++)
            count += strcmp(rows[i].language, name) == 0;
        if (json_integer_value(value) != count)
            fail_msg("%s: %lld, should be %lld", key, (long long)json_integer_value(value), count);
    }
}

static void languages_are_the_sums_of_their_files(void **state)
{
    const json_t *list = json_object_get(result, "languages"), *language;
    struct row total = {.language = "total"};
    size_t i;

    (void)state;
    json_array_foreach(list, i, language)
    {
        struct row sum = {0};

        snprintf(sum.language, sizeof sum.language, "%s",
                 json_string_value(json_object_get(language, "name")));
        for (size_t r = 0; r < rows_count; r++) {
            if (strcmp(rows[r].language, sum.language) != 0)
                continue;
            sum.lines += rows[r].lines;
            sum.code += rows[r].code;
            sum.comments += rows[r].comments;
            sum.blanks += rows[r].blanks;
        }
        assert_int_equal(differs(&sum, language, "sum"), 0);
        total.lines += sum.lines;
        total.code += sum.code;
        total.comments += sum.comments;
        total.blanks += sum.blanks;
    }
    assert_int_equal(differs(&total, json_object_get(result, "totals"), "total"), 0);
    assert_true(json_array_size(list) >= LANGUAGES_AT_LEAST);
}

static void letters_and_line_ends_are_told(void **state)
{
    const json_t *encodings = json_object_get(result, "encodings");
    const json_t *ends = json_object_get(result, "line_ends");
    long long files = number(json_object_get(result, "totals"), "files");

    (void)state;
    assert_int_equal(number(encodings, "utf16"), 2);
    assert_int_equal(number(encodings, "latin1"), 1);
    assert_int_equal(number(encodings, "utf8"), files - 3);
    assert_int_equal(number(ends, "crlf"), 6);
    assert_int_equal(number(ends, "cr"), 1);
    assert_int_equal(number(ends, "none"), 3);
    assert_int_equal(number(ends, "lf"), files - 10);
    assert_int_equal(number(ends, "unfinished"), 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_agrees_with_itself),
        cmocka_unit_test(every_file_is_counted_as_by_hand),
        cmocka_unit_test(no_file_and_no_language_is_there_besides),
        cmocka_unit_test(what_is_skipped_is_skipped_for_its_reason),
        cmocka_unit_test(languages_are_the_sums_of_their_files),
        cmocka_unit_test(letters_and_line_ends_are_told),
    };

    return cmocka_run_group_tests(tests, analyze_all, forget_all);
}
