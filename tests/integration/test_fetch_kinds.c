/* Every way in which a server can misbehave, and the error type or result that it must become. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

/* What a URL must become: an error's type, or "" for a success. */
static const struct {
    const char *server, *path, *type;
} cases[] = {
    {"http", "/bytes/0", ""},
    {"http", "/chunked/3/10", ""},
    {"http", "/big/200000", ""},
    {"http", "/gzip", ""},
    {"http", "/redirect/5", ""},
    {"http", "/status/204", ""},
    {"http", "/hdrs/50", ""},
    {"http", "/overlen", ""},
    {"https", "/bytes/5", ""},
    {"https", "/redirect/2", ""},
    {"http", "/status/401", "fetch.http.client.401"},
    {"http", "/status/404", "fetch.http.client.404"},
    {"http", "/status/500", "fetch.http.server.500"},
    {"http", "/status/503", "fetch.http.server.503"},
    {"http", "/redirect/60", "fetch.redirect"},
    {"http", "/redirloop", "fetch.redirect"},
    {"http", "/redirto/file:///etc/passwd", "fetch.policy"},
    {"http", "/redirto/ftp://127.0.0.1/x", "fetch.policy"},
    {"http", "/chunkcut", "fetch.truncated"},
    {"http", "/badlen", "fetch.truncated"},
    {"http", "/resetmid", "fetch.truncated"},
    {"http", "/reset", "fetch.connect"},
    {"http", "/empty", "fetch.connect"},
    {"refused", "/", "fetch.connect"},
    {"http", "/garbage", "fetch.protocol"},
    {"http", "/hang", "fetch.timeout.first_byte"},
    {"http", "/slow/100/2000", "fetch.timeout.idle"},
    {"http", "/slow/100000/20", "fetch.timeout.total"},
    {"http", "/bytes/2000000", "fetch.too_large"},
    {"http", "/chunked/20/100000", "fetch.too_large"},
    {"http", "/big/2000000", "fetch.too_large"},
    {"http", "/bomb", "fetch.too_large"},
    {"http", "/hdrsize/90000", ""},
    {"https-selfsigned", "/", "fetch.tls"},
    {"https-expired", "/", "fetch.tls"},
    {"https-wrongname", "/", "fetch.tls"},
};
enum { CASES = sizeof cases / sizeof *cases };

static const char *type_of(const json_t *line)
{
    const char *type = json_string_value(json_object_get(json_object_get(line, "error"), "type"));

    return type != NULL ? type : "";
}

static void every_misbehaviour_has_its_type(void **state)
{
    const char *path = harness_path("urls.txt");
    FILE *file = fopen(path, "w");
    struct ran ran;
    json_t *lines;

    (void)state;
    for (size_t i = 0; i < CASES; i++)
        fprintf(file, "%s://%s%s\n", strncmp(cases[i].server, "https", 5) == 0 ? "https" : "http",
                harness_server(cases[i].server), cases[i].path);
    fclose(file);
    ran = RUN("argosy", "run", "fetch", "-i", path, "--json", "--ordered", "--retries", "0",
              "--ca-file", harness_server("ca"), "--first-byte-timeout", "400ms", "--idle-timeout",
              "400ms", "--timeout", "1500ms", "--max-size", "1M");
    lines = harness_json_lines(ran.out);
    assert_int_equal(ran.code, 1);
    assert_int_equal(json_array_size(lines), CASES + 1);
    for (size_t i = 0; i < CASES; i++)
        if (strcmp(type_of(json_array_get(lines, i)), cases[i].type) != 0)
            fail_msg("%s%s: expected '%s', got %s", cases[i].server, cases[i].path, cases[i].type,
                     json_dumps(json_array_get(lines, i), JSON_COMPACT));
    json_decref(lines);
    ran_free(&ran);
}

/* One fetch with these options; the first line of its answer. */
static json_t *fetch(const char *path, const char *option, const char *value)
{
    char url[512];
    struct ran ran;
    json_t *lines, *line;

    snprintf(url, sizeof url, "http://%s%s", harness_server("http"), path);
    ran = RUN("argosy", "run", "fetch", url, "--json", "--retries", "0", option, value);
    lines = harness_json_lines(ran.out);
    line = json_incref(json_array_get(lines, 0));
    json_decref(lines);
    ran_free(&ran);
    return line;
}

static const char *result_text(const json_t *line, const char *key)
{
    return json_string_value(json_object_get(json_object_get(line, "result"), key));
}

static void a_result_tells_what_happened(void **state)
{
    json_t *line = fetch("/redirect/2", "--body", "none");
    const json_t *result = json_object_get(line, "result");

    (void)state;
    assert_int_equal(json_integer_value(json_object_get(result, "status")), 200);
    assert_int_equal(json_integer_value(json_object_get(result, "redirects")), 2);
    assert_string_not_equal(result_text(line, "final_url"), result_text(line, "url"));
    assert_string_equal(result_text(line, "http_version"), "1.1");
    assert_int_equal(strlen(result_text(line, "sha256")), 64);
    assert_non_null(strstr(result_text(line, "peer"), "127.0.0.1:"));
    assert_true(json_is_real(json_object_get(json_object_get(result, "time_ms"), "total")));
    assert_null(json_object_get(result, "body"));
    json_decref(line);
}

static void headers_and_data_reach_the_server(void **state)
{
    json_t *line = fetch("/echo", "--data", "some text"), *echo;

    (void)state;
    echo = json_loads(result_text(line, "body"), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(echo, "method")), "POST");
    assert_string_equal(json_string_value(json_object_get(echo, "body")), "some text");
    json_decref(echo);
    json_decref(line);
    line = fetch("/echo", "--header", "X-One: first");
    assert_non_null(strstr(result_text(line, "body"), "\"x-one\": \"first\""));
    json_decref(line);
}

static void a_server_that_asks_to_wait_is_obeyed(void **state)
{
    char url[256];
    struct ran ran;

    (void)state;
    snprintf(url, sizeof url, "http://%s/flaky/2/patience?retry_after=1", harness_server("http"));
    ran = RUN("argosy", "run", "fetch", url, "--retry", "attempts=3,base=1ms");
    assert_int_equal(ran.code, 0);
    assert_true(ran.ms >= 2000); /* twice a second, not twice a millisecond */
    ran_free(&ran);
}

static void a_failed_fetch_leaves_no_file(void **state)
{
    const char *folder = harness_path("pages");
    char template[512], command[512];
    json_t *line;

    (void)state;
    mkdir(folder, 0700);
    snprintf(template, sizeof template, "%s/{name}", folder);
    line = fetch("/chunkcut", "--out", template);
    assert_string_equal(type_of(line), "fetch.truncated");
    json_decref(line);
    line = fetch("/status/404", "--out", template);
    json_decref(line);
    snprintf(command, sizeof command, "test -z \"$(ls -A %s)\"", folder);
    assert_int_equal(system(command), 0);
    line = fetch("/bytes/5", "--out", "/proc/nowhere/{name}");
    assert_string_equal(type_of(line), "fetch.output");
    json_decref(line);
    snprintf(template, sizeof template, "%s/{sha256}", folder);
    line = fetch("/bytes/5", "--out", template);
    assert_string_equal(strrchr(result_text(line, "file"), '/') + 1, result_text(line, "sha256"));
    json_decref(line);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_misbehaviour_has_its_type),   TEST(a_result_tells_what_happened),
        TEST(headers_and_data_reach_the_server), TEST(a_server_that_asks_to_wait_is_obeyed),
        TEST(a_failed_fetch_leaves_no_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
