/* The main job, through a private fleet: everything that `argosy run` promises. */
#include <stdlib.h>
#include <string.h>

#include "tests/integration/harness.h"
#include "tests/unit/cmocka_prelude.h"

static int set_up(void **state)
{
    (void)state;
    harness_begin();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    harness_end();
    return 0;
}

enum { URLS = 2000, EACH = 20 };

/* One in ten fails, each in its own way; written to a file. */
static const char *write_urls(void)
{
    const char *path = harness_path("urls.txt");
    const char *http = harness_server("http"), *refused = harness_server("refused");
    const char *selfsigned = harness_server("https-selfsigned");
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    for (int i = 0; i < URLS; i++) {
        switch (i % 100) {
        case 0:
            fprintf(file, "http://%s/status/404?%d\n", http, i);
            break;
        case 10:
            fprintf(file, "http://%s/flaky/k%d/1\n", http, i);
            break;
        case 20:
            fprintf(file, "http://%s/reset?%d\n", http, i);
            break;
        case 30:
            fprintf(file, "http://%s/hang?%d\n", http, i);
            break;
        case 40:
            fprintf(file, "http://%s/x?%d\n", refused, i);
            break;
        case 50:
            fprintf(file, "https://%s/x?%d\n", selfsigned, i);
            break;
        case 60:
            fprintf(file, "http://%s/bytes/3000000?%d\n", http, i);
            break;
        case 70:
            fprintf(file, "http://%s/chunkcut?%d\n", http, i);
            break;
        case 80:
            fprintf(file, "http://%s/redirloop?%d\n", http, i);
            break;
        case 90:
            fprintf(file, "http://%s/garbage?%d\n", http, i);
            break;
        default:
            fprintf(file, "http://%s/bytes/100?%d\n", http, i);
        }
    }
    fclose(file);
    return path;
}

static void assert_each_index_once(const json_t *lines, size_t count)
{
    bool *seen = calloc(count, 1);
    const json_t *line;
    size_t i;

    assert_non_null(seen);
    json_array_foreach(lines, i, line)
    {
        const json_t *index = json_object_get(line, "index");

        if (index == NULL)
            continue;
        assert_in_range(json_integer_value(index), 0, count - 1);
        assert_false(seen[json_integer_value(index)]);
        seen[json_integer_value(index)] = true;
    }
    for (i = 0; i < count; i++)
        assert_true(seen[i]);
    free(seen);
}

static void every_url_has_one_outcome_and_the_report_adds_up(void **state)
{
    static const char *const types[] = {
        "fetch.http.client.404", "fetch.timeout.first_byte", "fetch.tls",     "fetch.too_large",
        "fetch.truncated",       "fetch.redirect",           "fetch.protocol"};
    struct ran ran =
        RUN("argosy", "run", "fetch", "-i", write_urls(), "--json", "--first-byte-timeout", "500ms",
            "--max-size", "1M", "--retry", "attempts=2,base=20ms");
    json_t *lines = harness_json_lines(ran.out);
    const json_t *report = json_object_get(json_array_get(lines, URLS), "report");
    const json_t *counts = json_object_get(report, "counts");

    (void)state;
    assert_int_equal(ran.code, 1);
    assert_int_equal(json_array_size(lines), URLS + 1);
    assert_each_index_once(lines, URLS);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        assert_int_equal(harness_count(lines, "error/type", types[i]), EACH);
    assert_int_equal(harness_count(lines, "error/type", "fetch.connect"), 2 * EACH);
    assert_int_equal(harness_count(lines, "state", "succeeded"), URLS - 9 * EACH);
    assert_int_equal(json_integer_value(json_object_get(counts, "total")), URLS);
    assert_int_equal(json_integer_value(json_object_get(counts, "succeeded")), URLS - 9 * EACH);
    assert_int_equal(json_integer_value(json_object_get(counts, "failed")), 9 * EACH);
    assert_int_equal(json_integer_value(json_object_get(counts, "cancelled")), 0);
    assert_non_null(strstr(ran.err, "180 of 2000 jobs failed"));
    json_decref(lines);
    ran_free(&ran);
}

static void a_taskgroup_stops_at_its_first_failure(void **state)
{
    struct ran ran = RUN("argosy", "run", "fetch", "-i", write_urls(), "--json", "--policy",
                         "taskgroup", "--concurrency", "5", "--retries", "0");
    json_t *lines = harness_json_lines(ran.out);
    const json_t *report = json_object_get(json_array_get(lines, URLS), "report"), *error;
    size_t failed = harness_count(lines, "state", "failed"), told = 0, i;

    (void)state;
    assert_int_equal(ran.code, 1);
    assert_each_index_once(lines, URLS);
    assert_in_range(failed, 1, 5); /* those that ran beside the first may fail as well */
    assert_int_equal(failed + harness_count(lines, "state", "succeeded") +
                         harness_count(lines, "state", "cancelled"),
                     URLS);
    assert_true(harness_count(lines, "state", "cancelled") > URLS / 2);
    json_array_foreach(json_object_get(report, "errors"), i, error)
    {
        const json_t *count = json_object_get(error, "count");

        told += count != NULL ? (size_t)json_integer_value(count) : 1;
    }
    assert_int_equal(told, failed);
    json_decref(lines);
    ran_free(&ran);
}

static void two_hundred_slow_urls_take_as_long_as_one(void **state)
{
    const char *path = harness_path("slow.txt"), *http = harness_server("http");
    FILE *file = fopen(path, "w");
    struct ran ran;

    (void)state;
    for (int i = 0; i < 200; i++)
        fprintf(file, "http://%s/delay/1000?%d\n", http, i);
    fclose(file);
    ran = RUN("argosy", "run", "fetch", "--workers", "1", "--concurrency", "200", "-i", path);
    assert_int_equal(ran.code, 0);
    assert_true(ran.ms >= 1000);
    assert_true(ran.ms < 4000); /* sanitizers and other tests share the machine; 1.03 s without */
    ran_free(&ran);
}

static void results_come_in_order_when_asked(void **state)
{
    const char *http = harness_server("http");
    char input[512];
    struct ran ran;
    json_t *lines;
    const json_t *line;
    size_t i;

    (void)state;
    snprintf(input, sizeof input, "http://%s/delay/300\nhttp://%s/bytes/1\nhttp://%s/bytes/2\n",
             http, http, http);
    ran = harness_run(
        (const char *const[]){"argosy", "run", "fetch", "--ordered", "--json", "-", NULL}, input);
    lines = harness_json_lines(ran.out);
    assert_int_equal(ran.code, 0);
    assert_int_equal(json_array_size(lines), 4);
    json_array_foreach(lines, i, line)
    {
        if (i < 3)
            assert_int_equal(json_integer_value(json_object_get(line, "index")), i);
    }
    json_decref(lines);
    ran_free(&ran);
}

static void bodies_go_to_files_by_a_template(void **state)
{
    const char *http = harness_server("http"), *folder = harness_path("pages");
    char url[256], template[512], path[512];
    struct ran ran;
    FILE *file;

    (void)state;
    snprintf(url, sizeof url, "http://%s/bytes/70000", http);
    snprintf(template, sizeof template, "%s/{host}/{index}-{name}", folder);
    ran = RUN("argosy", "run", "fetch", "-o", template, url);
    assert_int_equal(ran.code, 0);
    snprintf(path, sizeof path, "%s/%s/0-70000", folder, http);
    file = fopen(path, "r");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    assert_int_equal(ftell(file), 70000);
    fclose(file);
    ran_free(&ran);
}

/* wc -l of one file, and one more when its last byte is no newline. */
static long lines_in(const char *folder, const char *name)
{
    char path[4096];
    FILE *file;
    long count = 0;
    int c, last = '\n';

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "r");
    assert_non_null(file);
    while ((c = getc_unlocked(file)) != EOF)
        count += (last = c) == '\n';
    fclose(file);
    return count + (last != '\n');
}

static void every_file_has_the_lines_that_wc_counts_and_its_last(void **state)
{
    static const char folder[] = "/usr/include";
    struct ran ran = RUN("argosy", "run", "analyze", "--by", "file", "--format", "json", folder);
    json_t *lines = harness_json_lines(ran.out);
    const json_t *result = json_array_get(lines, 0), *file;
    json_int_t sum = 0;
    size_t i;

    (void)state;
    assert_in_range(ran.code, 0, 1); /* 1: something in there cannot be read */
    assert_true(json_array_size(json_object_get(result, "files")) > 1000);
    json_array_foreach(json_object_get(result, "files"), i, file)
    {
        json_int_t told = json_integer_value(json_object_get(file, "lines"));

        assert_int_equal(told, lines_in(folder, json_string_value(json_object_get(file, "path"))));
        assert_int_equal(told, json_integer_value(json_object_get(file, "code")) +
                                   json_integer_value(json_object_get(file, "comments")) +
                                   json_integer_value(json_object_get(file, "blanks")));
        sum += told;
    }
    assert_int_equal(
        sum, json_integer_value(json_object_get(json_object_get(result, "totals"), "lines")));
    json_decref(lines);
    ran_free(&ran);
}

/* Not even when its reader goes away in the middle and the signal for that ends the client. */
static void nothing_is_left_behind(void **state)
{
    const char *folder = harness_path("tmp"), *script = harness_path("script");
    char text[1024];
    struct ran ran;

    (void)state;
    snprintf(text, sizeof text,
             "export TMPDIR=%s\nmkdir $TMPDIR\n"
             "%s/argosy run analyze --by file --format csv /usr/include | head -n 1\n"
             "for i in $(seq 500); do [ -z \"$(ls -A $TMPDIR)\" ] && exit 0; sleep 0.01; done\n"
             "ls -AR $TMPDIR; exit 1\n",
             folder, getenv("ARGOSY_BIN"));
    harness_write(script, text);
    ran = harness_run((const char *const[]){"/bin/sh", script, NULL}, NULL);
    assert_string_equal(ran.err, "");
    assert_int_equal(ran.code, 0);
    ran_free(&ran);
}

static void results_that_cannot_be_written_are_an_error(void **state)
{
    struct ran ran =
        RUN("argosy", "run", "analyze", "--output", "/dev/full", ARGOSY_SOURCE_DIR "/common");

    (void)state;
    assert_int_equal(ran.code, 1);
    assert_non_null(strstr(ran.err, "cannot write the results: No space left on device"));
    ran_free(&ran);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_url_has_one_outcome_and_the_report_adds_up),
        TEST(a_taskgroup_stops_at_its_first_failure),
        TEST(two_hundred_slow_urls_take_as_long_as_one),
        TEST(results_come_in_order_when_asked),
        TEST(bodies_go_to_files_by_a_template),
        TEST(nothing_is_left_behind),
        TEST(results_that_cannot_be_written_are_an_error),
        TEST(every_file_has_the_lines_that_wc_counts_and_its_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
