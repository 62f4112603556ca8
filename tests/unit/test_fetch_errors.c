/* What failures are called: every code of libcurl that we know, at every stage, and every status.
 */
#include "tests/unit/cmocka_prelude.h"

#include <string.h>

#include "worker/fetch/errors.h"

enum { BEFORE, CONNECTED, ANSWERED, STAGES };

static const struct fetch_progress stages[STAGES] = {
    [CONNECTED] = {.connected = true},
    [ANSWERED] = {.connected = true, .answered = true},
};

static void expect(CURLcode code, struct fetch_progress progress, const char *type, bool retryable)
{
    struct fetch_failure failure;

    fetch_failure_of_code(code, &progress, &failure);
    if (strcmp(failure.type, type) != 0 || failure.retryable != retryable)
        fail_msg("%s (connected %d, answered %d): expected %s %d, got %s %d",
                 curl_easy_strerror(code), progress.connected, progress.answered, type, retryable,
                 failure.type, failure.retryable);
}

static void a_code_has_one_type_wherever_the_stage_does_not_matter(void **state)
{
    static const struct {
        CURLcode code;
        const char *type;
        bool retryable;
    } rows[] = {
        {CURLE_URL_MALFORMAT, "fetch.url", false},
        {CURLE_COULDNT_RESOLVE_HOST, "fetch.dns", true},
        {CURLE_COULDNT_CONNECT, "fetch.connect", true},
        {CURLE_SEND_ERROR, "fetch.connect", true},
        {CURLE_SSL_CONNECT_ERROR, "fetch.tls", true},
        {CURLE_PEER_FAILED_VERIFICATION, "fetch.tls", false},
        {CURLE_SSL_CACERT_BADFILE, "fetch.tls", false},
        {CURLE_SSL_CIPHER, "fetch.tls", false},
        {CURLE_TOO_MANY_REDIRECTS, "fetch.redirect", false},
        {CURLE_PARTIAL_FILE, "fetch.truncated", true},
        {CURLE_WEIRD_SERVER_REPLY, "fetch.protocol", false},
        {CURLE_BAD_CONTENT_ENCODING, "fetch.protocol", false},
        {CURLE_HTTP2, "fetch.protocol", true},
        {CURLE_HTTP2_STREAM, "fetch.protocol", true},
        {CURLE_REMOTE_FILE_NOT_FOUND, "fetch.missing", false},
        {CURLE_REMOTE_ACCESS_DENIED, "fetch.denied", false},
        {CURLE_LOGIN_DENIED, "fetch.denied", false},
        {CURLE_FILESIZE_EXCEEDED, "fetch.too_large", false},
        {CURLE_OUT_OF_MEMORY, "handler.memory", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int stage = 0; stage < STAGES; stage++)
            expect(rows[i].code, stages[stage], rows[i].type, rows[i].retryable);
}

static void a_broken_connection_cuts_an_answer_only_once_that_began(void **state)
{
    static const CURLcode broken[] = {CURLE_RECV_ERROR, CURLE_GOT_NOTHING};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        expect(broken[i], stages[BEFORE], "fetch.connect", true);
        expect(broken[i], stages[CONNECTED], "fetch.connect", true);
        expect(broken[i], stages[ANSWERED], "fetch.truncated", true);
    }
}

static void a_scheme_that_is_refused_differs_from_an_answer_that_is_no_http(void **state)
{
    (void)state;
    expect(CURLE_UNSUPPORTED_PROTOCOL, stages[BEFORE], "fetch.policy", false);
    expect(CURLE_UNSUPPORTED_PROTOCOL, stages[CONNECTED], "fetch.protocol", false);
    expect(CURLE_UNSUPPORTED_PROTOCOL, stages[ANSWERED], "fetch.policy", false);
}

static void a_timeout_is_blamed_on_the_limit_that_was_over(void **state)
{
    (void)state;
    expect(CURLE_OPERATION_TIMEDOUT, stages[BEFORE], "fetch.timeout.connect", true);
    expect(CURLE_OPERATION_TIMEDOUT, stages[CONNECTED], "fetch.timeout.total", true);
    expect(CURLE_OPERATION_TIMEDOUT, stages[ANSWERED], "fetch.timeout.total", true);
    expect(CURLE_OPERATION_TIMEDOUT, (struct fetch_progress){.out_of_time = true},
           "fetch.timeout.total", true);
}

static void lack_of_memory_among_headers_is_a_header_that_is_too_large(void **state)
{
    (void)state;
    expect(CURLE_OUT_OF_MEMORY,
           (struct fetch_progress){.connected = true, .answered = true, .in_headers = true},
           "fetch.too_large", false);
    expect(CURLE_OUT_OF_MEMORY, stages[ANSWERED], "handler.memory", true);
}

static void codes_that_nobody_foresaw_have_a_type_and_a_message_too(void **state)
{
    (void)state;
    for (int code = 1; code < CURL_LAST; code++) {
        for (int stage = 0; stage < STAGES; stage++) {
            struct fetch_failure failure = {.type = "", .message = NULL};

            fetch_failure_of_code((CURLcode)code, &stages[stage], &failure);
            if ((strncmp(failure.type, "fetch.", 6) != 0 &&
                 strncmp(failure.type, "handler.", 8) != 0) ||
                failure.message == NULL || failure.message[0] == '\0')
                fail_msg("code %d: '%s'", code, failure.type);
        }
    }
}

static void statuses_from_400_on_are_failures_and_no_others(void **state)
{
    struct fetch_failure failure;

    (void)state;
    for (long status = 0; status < 400; status++)
        assert_false(fetch_failure_of_status(status, &failure));
    for (long status = 400; status < 1000; status++) {
        char type[64];

        snprintf(type, sizeof type, "fetch.http.%s.%ld", status < 500 ? "client" : "server",
                 status);
        assert_true(fetch_failure_of_status(status, &failure));
        assert_string_equal(failure.type, type);
        assert_true(failure.message[0] != '\0');
    }
}

static void only_statuses_that_may_pass_are_tried_again(void **state)
{
    static const long passing[] = {408, 425, 429, 500, 502, 503, 504};

    (void)state;
    for (long status = 400; status < 1000; status++) {
        struct fetch_failure failure;
        bool passes = false;

        for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
            passes |= passing[i] == status;
        assert_true(fetch_failure_of_status(status, &failure));
        if (failure.retryable != passes)
            fail_msg("%ld: retryable %d", status, failure.retryable);
    }
}

static void known_statuses_have_names_and_unknown_ones_none(void **state)
{
    (void)state;
    assert_string_equal(fetch_status_name(404), "Not Found");
    assert_string_equal(fetch_status_name(503), "Service Unavailable");
    assert_string_equal(fetch_status_name(599), "");
    assert_string_equal(fetch_status_name(-1), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_code_has_one_type_wherever_the_stage_does_not_matter),
        cmocka_unit_test(a_broken_connection_cuts_an_answer_only_once_that_began),
        cmocka_unit_test(a_scheme_that_is_refused_differs_from_an_answer_that_is_no_http),
        cmocka_unit_test(a_timeout_is_blamed_on_the_limit_that_was_over),
        cmocka_unit_test(lack_of_memory_among_headers_is_a_header_that_is_too_large),
        cmocka_unit_test(codes_that_nobody_foresaw_have_a_type_and_a_message_too),
        cmocka_unit_test(statuses_from_400_on_are_failures_and_no_others),
        cmocka_unit_test(only_statuses_that_may_pass_are_tried_again),
        cmocka_unit_test(known_statuses_have_names_and_unknown_ones_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
