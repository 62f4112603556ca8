/* What the fetch engine makes of answers: which count as successes, bounds, conditions, odd heads,
 * and what is sent again. */
#include <stdlib.h>
#include <string.h>

#include "tests/integration/fetch_stage.h"
#include "tests/integration/harness.h"

/* ---- what counts as success
 * ---------------------------------------------------------------------------------- */

static void statuses_are_accepted_as_the_job_says(void **state)
{
    static const struct {
        const char *accept, *path, *type;
    } cases[] = {
        {"[404]", "/status/404", ""},
        {"[404]", "/status/410", "fetch.http.client.410"},
        {"[404]", "/bytes/1", "fetch.http.unexpected.200"},
        {"['404']", "/status/404", ""},
        {"['500-599']", "/status/500", ""},
        {"['500-599']", "/status/599", ""},
        {"['500-599']", "/status/499", "fetch.http.client.499"},
        {"['4xx']", "/status/400", ""},
        {"['4xx']", "/status/499", ""},
        {"['4xx']", "/status/500", "fetch.http.server.500"},
        {"['2xx', 404, '410-411']", "/status/411", ""},
        {"['2xx', 404, '410-411']", "/status/204", ""},
        {"['2xx', 404, '410-411']", "/status/412", "fetch.http.client.412"},
        {"[200]", "/status/204", "fetch.http.unexpected.204"},
        {"[200]", "/redirect/2", ""}, /* on the way there are others */
        {"[302]", "/redirect/2", "fetch.http.unexpected.200"},
        {"[503]", "/status/503?retry_after=5", ""},
    };
    json_t *result;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        make("{'url': 'http://%s%s', 'accept_status': %s}", http, cases[i].path, cases[i].accept);
    run_all();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_row(i, cases[i].type, strcmp(cases[i].type, "fetch.http.server.500") == 0);
    result = result_of(make("{'url': 'http://%s/status/404', 'accept_status': [404]}", http));
    assert_int_equal(number_at(result, "status"), 404);
    assert_true(number_at(result, "bytes") > 0);
    json_decref(result);
    result = result_of(make("{'url': 'http://%s/redirect/2', 'accept_status': ['3xx'], "
                            "'max_redirects': 0}",
                            http));
    assert_int_equal(number_at(result, "status"), 302);
    assert_string_equal(text_at(json_object_get(result, "headers"), "location"), "/redirect/1");
    json_decref(result);
}

static void what_is_no_status_or_type_is_refused(void **state)
{
    static const char *const wrong[] = {
        "'accept_status': []",
        "'accept_status': 200",
        "'accept_status': [99]",
        "'accept_status': [1000]",
        "'accept_status': ['']",
        "'accept_status': ['2x']",
        "'accept_status': ['xx']",
        "'accept_status': ['0xx']",
        "'accept_status': ['20']",
        "'accept_status': ['2000']",
        "'accept_status': ['300-200']",
        "'accept_status': ['200-']",
        "'accept_status': ['-200']",
        "'accept_status': ['200-299-300']",
        "'accept_status': [' 200']",
        "'accept_status': [null]",
        "'accept_status': ['200-2990']",
        "'accept_status': [200.5]",
        "'accept_types': []",
        "'accept_types': 'text/html'",
        "'accept_types': ['text']",
        "'accept_types': ['text/html; charset=utf-8']",
        "'accept_types': ['a/b, c/d']",
        "'accept_types': ['']",
        "'accept_types': [7]",
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        json_t *error;
        char key[32];

        make("{'url': 'http://%s/bytes/1', %s}", http, wrong[i]);
        expect_one("rejected.payload", &jobs[i]);
        snprintf(key, sizeof key, "%.*s'", (int)strcspn(wrong[i] + 1, "'") + 1, wrong[i]);
        error = tree(&jobs[i].outcome.error);
        if (strstr(text_at(error, "message"), key) == NULL)
            fail_msg("%s: %s", wrong[i], text_at(error, "message"));
        json_decref(error);
    }
}

static void types_are_decided_by_the_head(void **state)
{
    static const struct {
        const char *accept, *path, *type;
    } cases[] = {
        {"['text/html']", "/type/text/html", ""},
        {"['text/html']", "/type/TEXT/Html", ""},
        {"['TEXT/HTML']", "/type/text/html;charset=utf-8", ""},
        {"['text/*']", "/type/text/plain", ""},
        {"['text/*']", "/type/image/png", "fetch.type"},
        {"['text/*']", "/type/textual/x", "fetch.type"},
        {"['image/png', 'text/*']", "/type/text/x", ""},
        {"['*/*']", "/type/x/y", ""},
        {"['text/html']", "/type", "fetch.type"}, /* it has none */
        {"['text/html']", "/type/text/html2", "fetch.type"},
        {"['text/html']", "/redirto?url=/type/text/html",
         ""}, /* the page of the redirect is no answer */
        {"['image/png']", "/status/404", "fetch.http.client.404"}, /* the better reason */
        /* It does not come to the body, which would take a day. */
        {"['text/html']", "/slow/100000/1000", "fetch.type"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        make("{'url': 'http://%s%s', 'accept_types': %s, 'total_ms': 10000}", http, cases[i].path,
             cases[i].accept);
    run_all();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_row(i, cases[i].type, false);
    expect_one("", make("{'url': 'http://127.0.0.1:%u/', 'accept_types': ['text/html']}",
                        answer_once("HTTP/1.1 200 OK\r\nContent-Type: Text/HTML ; charset=\"x\"\r\n"
                                    "Content-Length: 0\r\n\r\n")));
    expect_one("fetch.type", make("{'url': 'http://%s/type/text/plain', 'head': true, "
                                  "'accept_types': ['text/html']}",
                                  http));
    answered();
}

static void statuses_that_nobody_expects_are_told_as_they_are(void **state)
{
    static const struct {
        const char *path, *type;
        bool retryable;
    } cases[] = {
        {"/status/299", "", false},
        {"/status/300", "", false},
        {"/status/305", "", false},
        {"/status/306", "", false},
        {"/status/399", "", false},
        {"/status/418", "fetch.http.client.418", false},
        {"/status/425", "fetch.http.client.425", true},
        {"/status/451", "fetch.http.client.451", false},
        {"/status/501", "fetch.http.server.501", false},
        {"/status/502", "fetch.http.server.502", true},
        {"/status/504", "fetch.http.server.504", true},
        {"/status/505", "fetch.http.server.505", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        make("{'url': 'http://%s%s'}", http, cases[i].path);
    run_all();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_row(i, cases[i].type, cases[i].retryable);
}

/* ---- bounds
 * -------------------------------------------------------------------------------------------------
 */

static void bodies_have_bounds_of_all_sorts(void **state)
{
    static const struct {
        const char *path, *more, *type;
    } cases[] = {
        {"/bytes/1000", "'max_bytes': 1000", ""},
        {"/bytes/1001", "'max_bytes': 1000", "fetch.too_large"},
        {"/chunked/10/100", "'max_bytes': 1000", ""},
        {"/chunked/11/100", "'max_bytes': 1000", "fetch.too_large"},
        {"/big/1001", "'max_bytes': 1000", "fetch.too_large"},
        {"/bytes/1000", "'max_wire_bytes': 1000", ""},
        {"/bytes/1001", "'max_wire_bytes': 1000", "fetch.too_large"},
        {"/chunked/11/100", "'max_wire_bytes': 1000", "fetch.too_large"},
        {"/big/1001", "'max_wire_bytes': 1000", "fetch.too_large"},
        {"/bytes/1001", "'max_wire_bytes': 1000, 'head': true", ""},
        /* 16 MB; the ratio counts from a megabyte on. */
        {"/bomb/100", "'body': 'none'", ""},
        {"/bomb/400", "'body': 'none'", "fetch.too_large"},
        {"/bomb/400", "'body': 'none', 'max_ratio': 0", ""},
        {"/bomb/100", "'body': 'none', 'max_ratio': 50", "fetch.too_large"},
        {"/bomb/400/1", "'body': 'none'", ""},
        {"/bomb/100", "'body': 'none', 'max_wire_bytes': 100000", "fetch.too_large"},
        {"/bomb/100", "'body': 'none', 'max_bytes': 16000000", "fetch.too_large"},
        {"/bomb/100", "'body': 'none', 'max_bytes': 17000000", ""},
        {"/bomb", "'body': 'none'", "fetch.too_large"},
        {"/encoded/five", "'body': 'none'", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        make("{'url': 'http://%s%s', %s}", http, cases[i].path, cases[i].more);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strstr(cases[i].more, "none") != NULL)
            make_file(cases[i].path, "file", strchr(cases[i].more, 'n') + 5);
    run_all();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_row(i, cases[i].type, false);
    for (size_t i = 0, row = sizeof cases / sizeof *cases; row < made; i++)
        if (strstr(cases[i].more, "none") != NULL)
            expect_row(row++, cases[i].type, false);
}

/* What waits for the disk comes in one piece, later, and not from the network any more. */
static void bounds_hold_also_while_the_disk_is_behind(void **state)
{
    static const struct {
        const char *path, *more, *type;
    } cases[] = {
        {"/bomb/100", ", 'max_bytes': 16000000", "fetch.too_large"},
        {"/bomb/100", ", 'max_bytes': 16777216", ""},
        {"/bomb/400", ", 'max_ratio': 300", "fetch.too_large"},
        {"/bytes/5000000", ", 'max_bytes': 5000000", ""},
        {"/big/5000000", ", 'max_bytes': 4999999", "fetch.too_large"},
        {"/bomb", "", "fetch.too_large"}, /* more than libcurl keeps for us */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct job *job = make_file(cases[i].path, "file", cases[i].more);
        int64_t until = late_at();

        hold_disk();
        begin(job);
        while (!job->done && !is_late(until)) {
            for (int n = 0; n < 3; n++) /* to where nothing moves */
                turn_within(1);
            let_disk_write_once();
        }
        if (!job->done)
            fail_msg("%s%s has not ended", cases[i].path, cases[i].more);
        let_disk_go();
        expect_row(i, cases[i].type, false);
    }
    assert_int_equal(count_entries(root), 3);
}

/* ---- conditions
 * --------------------------------------------------------------------------------------------- */

static void a_304_is_a_success_for_who_has_asked_for_it(void **state)
{
    json_t *result =
        result_of(make("{'url': 'http://%s/range/100', 'if_none_match': '\\\"v0\\\"'}", http));

    (void)state;
    assert_int_equal(number_at(result, "status"), 304);
    assert_true(json_is_true(json_object_get(result, "not_modified")));
    assert_int_equal(number_at(result, "bytes"), 0);
    assert_string_equal(text_at(json_object_get(result, "headers"), "etag"), "\"v0\"");
    json_decref(result);
    result = result_of(make("{'url': 'http://%s/range/100', 'if_none_match': '\\\"v1\\\"'}", http));
    assert_int_equal(number_at(result, "status"), 200);
    assert_null(json_object_get(result, "not_modified"));
    assert_int_equal(number_at(result, "bytes"), 100);
    json_decref(result);
    result = result_of(make("{'url': 'http://%s/range/100', "
                            "'if_modified_since': 'Sat, 01 Jan 2022 00:00:00 GMT'}",
                            http));
    assert_true(json_is_true(json_object_get(result, "not_modified")));
    json_decref(result);
    /* It is what was asked for, whatever else counts as a success. */
    expect_one("", make("{'url': 'http://%s/range/100', 'if_none_match': '\\\"v0\\\"', "
                        "'accept_status': [200], 'accept_types': ['text/html']}",
                        http));
    /* Nobody has asked: it is a status like any other below 400. */
    result = result_of(make("{'url': 'http://%s/status/304'}", http));
    assert_null(json_object_get(result, "not_modified"));
    json_decref(result);
    expect_one("fetch.http.unexpected.304",
               make("{'url': 'http://%s/status/304', 'accept_status': [200]}", http));
}

static void a_304_leaves_the_file_that_is_there(void **state)
{
    json_t *result;

    (void)state;
    harness_write(harness_path("root/kept"), "old");
    result = result_of(make_file("/range/100", "kept", ", 'if_none_match': '\\\"v0\\\"'"));
    assert_true(json_is_true(json_object_get(result, "not_modified")));
    assert_true(holds(harness_path("root/kept"), "old"));
    assert_int_equal(count_entries(root), 3);
    json_decref(result);
    result = result_of(make_file("/range/100", "kept", ", 'if_none_match': '\\\"v2\\\"'"));
    assert_null(json_object_get(result, "not_modified"));
    assert_true(holds_pattern(harness_path("root/kept"), 100));
    json_decref(result);
}

/* ---- heads
 * -------------------------------------------------------------------------------------------------
 */

static void odd_heads_are_read_as_the_standard_has_them(void **state)
{
    json_t *result = result_of(make("{'url': 'http://%s/raw/fold'}", http)), *headers;

    (void)state;
    assert_string_equal(text_at(json_object_get(result, "headers"), "x-fold"), "one two three");
    assert_string_equal(text_at(result, "body"), "hello");
    json_decref(result);
    result = result_of(make("{'url': 'http://%s/raw/trailers'}", http));
    headers = json_object_get(result, "headers");
    assert_null(json_object_get(headers, "x-trailer"));
    assert_null(json_object_get(headers, "content-type"));
    assert_string_equal(text_at(result, "body"), "hello");
    json_decref(result);
    result = result_of(make("{'url': 'http://%s/raw/interim'}", http));
    headers = json_object_get(result, "headers");
    assert_null(json_object_get(headers, "x-early"));
    assert_null(json_object_get(headers, "link"));
    assert_int_equal(number_at(result, "status"), 200);
    json_decref(result);
    result = result_of(make("{'url': 'http://%s/raw/interim-many'}", http));
    assert_null(json_object_get(json_object_get(result, "headers"), "x-early"));
    json_decref(result);
}

/* Whatever it is, it ends, and is not taken for what it is not. */
static void odd_framing_is_never_taken_for_a_whole_body(void **state)
{
    static const struct {
        const char *name;
        bool succeeds;
    } cases[] = {
        {"http10", true},     {"nolength", true},    {"closed", true},    {"close", true},
        {"extensions", true}, {"noreason", true},    {"lf", true},        {"204body", true},
        {"304body", true},    {"bothlengths", true}, {"badchunk", false}, {"hugechunk", false},
        {"neglength", false}, {"status4", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        make("{'url': 'http://%s/raw/%s', 'total_ms': 10000}", http, cases[i].name);
    run_all();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (jobs[i].outcome.succeeded != cases[i].succeeds)
            fail_msg("%s: %s", cases[i].name, jobs[i].outcome.type);
}

/* ---- what is sent again
 * ------------------------------------------------------------------------------------- */

static json_int_t unanswered(void)
{
    json_t *stats = ask_server("/stats");
    json_int_t count = number_at(stats, "unanswered");

    json_decref(stats);
    return count;
}

static void what_may_be_repeated_goes_through_a_connection_that_has_gone(void **state)
{
    static const char *const more[] = {"'method': 'GET'", "'method': 'PUT', 'data': 'x'",
                                       "'data': 'x', 'idempotent': true"};

    (void)state;
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        expect_one("", make("{'url': 'http://%s/stale'}", http));
        expect_one("", make("{'url': 'http://%s/echo', %s}", http, more[i]));
        assert_int_equal(unanswered(), i + 1);
    }
}

static void a_post_never_takes_the_risk_of_an_old_connection(void **state)
{
    static const char *const more[] = {"'data': 'x'", "'method': 'PATCH', 'data': 'x'",
                                       "'form': {'a': 'b'}"};

    (void)state;
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        json_int_t before;

        expect_one("", make("{'url': 'http://%s/stale'}", http));
        before = unanswered();
        expect_one("", make("{'url': 'http://%s/echo', %s}", http, more[i]));
        assert_int_equal(unanswered(), before);
    }
    assert_int_equal(server_counts("echo"), 3);
}

static void what_nobody_knows_the_fate_of_is_retried_if_that_does_no_harm(void **state)
{
    static const struct {
        const char *path, *more, *type;
        bool retryable;
    } cases[] = {
        {"/reset", "'data': 'x'", "fetch.connect", false},
        {"/empty", "'data': 'x'", "fetch.connect", false},
        {"/empty", "'method': 'PATCH'", "fetch.connect", false},
        {"/empty", "'data': 'x', 'idempotent': true", "fetch.connect", true},
        {"/empty", "'method': 'PATCH', 'idempotent': true", "fetch.connect", true},
        {"/empty", "'method': 'PUT', 'data': 'x'", "fetch.connect", true},
        {"/empty", "'method': 'DELETE'", "fetch.connect", true},
        {"/resetmid", "'data': 'x'", "fetch.truncated", false},
        {"/hang", "'data': 'x', 'first_byte_ms': 200", "fetch.timeout.first_byte", false},
        {"/hang", "'data': 'x', 'first_byte_ms': 200, 'idempotent': true",
         "fetch.timeout.first_byte", true},
        {"/hang", "'data': 'x', 'total_ms': 200", "fetch.timeout.total", false},
        {"/hang", "'method': 'PUT', 'data': 'x', 'total_ms': 200", "fetch.timeout.total", true},
        /* The server's own word: it has not been done. */
        {"/status/503", "'data': 'x'", "fetch.http.server.503", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        make("{'url': 'http://%s%s', %s}", http, cases[i].path, cases[i].more);
    make("{'url': 'http://%s/', 'data': 'x'}", harness_server("refused"));
    run_all();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_row(i, cases[i].type, cases[i].retryable);
    expect_error("fetch.connect", true, "", &jobs[made - 1]); /* it was not even sent */
    expect_error("fetch.connect", false, "idempotent", &jobs[0]);
    /* A redirect has made a GET of it. */
    expect_error("fetch.connect", true, "",
                 make("{'url': 'http://%s/redirto?url=/empty&status=303', 'data': 'x'}", http));
    expect_error("fetch.connect", false, "",
                 make("{'url': 'http://%s/redirto?url=/empty&status=307', 'data': 'x'}", http));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FETCH_TEST(statuses_are_accepted_as_the_job_says),
        FETCH_TEST(what_is_no_status_or_type_is_refused),
        FETCH_TEST(types_are_decided_by_the_head),
        FETCH_TEST(statuses_that_nobody_expects_are_told_as_they_are),
        FETCH_TEST(bodies_have_bounds_of_all_sorts),
        FETCH_TEST(bounds_hold_also_while_the_disk_is_behind),
        FETCH_TEST(a_304_is_a_success_for_who_has_asked_for_it),
        FETCH_TEST(a_304_leaves_the_file_that_is_there),
        FETCH_TEST(odd_heads_are_read_as_the_standard_has_them),
        FETCH_TEST(odd_framing_is_never_taken_for_a_whole_body),
        FETCH_TEST(what_may_be_repeated_goes_through_a_connection_that_has_gone),
        FETCH_TEST(a_post_never_takes_the_risk_of_an_old_connection),
        FETCH_TEST(what_nobody_knows_the_fate_of_is_retried_if_that_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
