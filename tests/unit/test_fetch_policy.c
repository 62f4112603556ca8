/* What a fetch may reach, ask for and be told: addresses, payloads, error types. */
#include "tests/unit/cmocka_prelude.h"

#include <arpa/inet.h>
#include <string.h>

#include "common/json.h"
#include "worker/fetch/errors.h"
#include "worker/fetch/policy.h"
#include "worker/fetch/request.h"

static bool allows(const policy_t *policy, const char *address, unsigned port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

    if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
        return policy_allows(policy, (const struct sockaddr *)&v4, false);
    assert_int_equal(inet_pton(AF_INET6, address, &v6.sin6_addr), 1);
    return policy_allows(policy, (const struct sockaddr *)&v6, false);
}

static void only_public_addresses_are_reached_by_default(void **state)
{
    static const char *const private[] = {"127.0.0.1",
                                          "10.1.2.3",
                                          "192.168.0.1",
                                          "172.16.0.1",
                                          "172.31.255.255",
                                          "169.254.169.254",
                                          "100.64.0.1",
                                          "0.0.0.0",
                                          "224.0.0.1",
                                          "255.255.255.255",
                                          "198.18.0.1",
                                          "192.0.2.1",
                                          "::1",
                                          "::",
                                          "fe80::1",
                                          "fd00::1",
                                          "ff02::1",
                                          "::ffff:127.0.0.1",
                                          "::ffff:10.0.0.1",
                                          "64:ff9b::7f00:1",
                                          "2002:7f00:1::",
                                          "2001:db8::1",
                                          "3fff::1",
                                          "5f00::1",
                                          "::7f00:1",
                                          "::ffff:0:7f00:1"};
    static const char *const public[] = {"8.8.8.8",         "172.32.0.1",      "192.169.0.1",
                                         "100.128.0.1",     "2606:4700::1111", "::ffff:8.8.8.8",
                                         "64:ff9b::808:808"};
    struct argosy_error err = {0};
    policy_t *policy;

    (void)state;
    assert_ok(policy_new(&policy, &(struct policy_config){0}, &err));
    for (size_t i = 0; i < sizeof private / sizeof *private; i++)
        if (allows(policy, private[i], 80))
            fail_msg("%s is reached", private[i]);
    for (size_t i = 0; i < sizeof public / sizeof *public; i++)
        if (!allows(policy, public[i], 80))
            fail_msg("%s is not reached", public[i]);
    policy_destroy(&policy);
}

static void allowed_networks_are_reached_and_no_more(void **state)
{
    const char *const allow[] = {"127.0.0.1:8080", "10.0.0.0/8", "[fd00::/8]:443", "::1", NULL};
    struct argosy_error err = {0};
    policy_t *policy;

    (void)state;
    assert_ok(policy_new(&policy, &(struct policy_config){.nets = allow}, &err));
    assert_true(allows(policy, "127.0.0.1", 8080));
    assert_true(allows(policy, "::ffff:127.0.0.1", 8080));
    assert_false(allows(policy, "127.0.0.1", 8081));
    assert_false(allows(policy, "127.0.0.2", 8080));
    assert_true(allows(policy, "10.255.0.1", 1));
    assert_true(allows(policy, "fd12::1", 443));
    assert_false(allows(policy, "fd12::1", 80));
    assert_true(allows(policy, "::1", 5));
    assert_true(allows(policy, "8.8.8.8", 80));
    policy_destroy(&policy);
}

static void what_is_no_network_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",     "x",       "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8:0",   "10.0.0.0/8:65536",
        "[::1", "[::1]80", "::1/129",     "1.2.3",     "10.0.0.0/8:http"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct argosy_error err = {0};
        policy_t *policy;

        if (policy_new(&policy,
                       &(struct policy_config){.nets = (const char *const[]){wrong[i], NULL}},
                       &err) != ARGOSY_EINVAL)
            fail_msg("'%s' is taken for a network", wrong[i]);
    }
}

static void ports_and_schemes_and_proxies_are_as_they_are_said(void **state)
{
    static const char *const ports[] = {"8080", "8000-8010", NULL};
    static const char *const schemes[] = {"https", "ftp", "https", NULL};
    static const char *const proxies[] = {"http://proxy:3128", NULL};
    static const char *const wrong[] = {"", "x", "0", "65536", "10-9", "-5", "5-", "123456789-5"};
    struct argosy_error err = {0};
    policy_t *policy;

    (void)state;
    assert_ok(policy_new(&policy, &(struct policy_config){0}, &err));
    assert_true(allows(policy, "8.8.8.8", 443));
    assert_false(allows(policy, "8.8.8.8", 22));
    assert_false(allows(policy, "2606:4700::1111", 6379));
    assert_string_equal(policy_schemes(policy), "http,https");
    assert_true(policy_allows_scheme(policy, "http"));
    assert_false(policy_allows_scheme(policy, "htt"));
    assert_false(policy_allows_scheme(policy, ""));
    assert_false(policy_allows_scheme(policy, "file"));
    assert_false(policy_allows_proxy(policy, "http://proxy:3128"));
    policy_destroy(&policy);
    assert_ok(policy_new(
        &policy, &(struct policy_config){.ports = ports, .schemes = schemes, .proxies = proxies},
        &err));
    assert_true(allows(policy, "8.8.8.8", 8005));
    assert_true(allows(policy, "8.8.8.8", 80));
    assert_false(allows(policy, "8.8.8.8", 8011));
    assert_false(allows(policy, "127.0.0.1", 8080));
    assert_string_equal(policy_schemes(policy), "https,ftp");
    assert_true(policy_allows_proxy(policy, "http://proxy:3128"));
    assert_false(policy_allows_proxy(policy, "http://proxy:3129"));
    policy_destroy(&policy);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (policy_new(&policy,
                       &(struct policy_config){.ports = (const char *const[]){wrong[i], NULL}},
                       &err) != ARGOSY_EINVAL)
            fail_msg("'%s' is taken for a port", wrong[i]);
    assert_int_equal(
        policy_new(&policy,
                   &(struct policy_config){.schemes = (const char *const[]){"gopher", NULL}}, &err),
        ARGOSY_EINVAL);
}

static const char *read_json(struct request *request, const char *text, char reason[256])
{
    struct ag_buffer buffer = ag_buffer_empty(1 << 20);
    json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    const char *wrong;

    assert_non_null(json);
    assert_ok(ag_json_to_msgpack(json, &buffer));
    wrong = request_read(request, ag_buffer_bytes(&buffer), reason);
    ag_buffer_free(&buffer);
    json_decref(json);
    return wrong;
}

static void a_payload_is_read_with_its_defaults(void **state)
{
    struct request request;
    char reason[256];

    (void)state;
    assert_null(read_json(&request,
                          "{\"url\":\"http://x/\",\"headers\":{\"A\":\"1\"},\"unknown\":[1],"
                          "\"total_ms\":5,\"data\":\"d\"}",
                          reason));
    assert_string_equal(request.asked, "http://x/");
    assert_null(request_read_url(&request));
    assert_string_equal(request.url.text, "http://x/");
    assert_string_equal(request.headers->data, "A: 1");
    assert_int_equal(request.total_ms, 5);
    assert_int_equal(request.connect_ms, 10000);
    assert_int_equal(request.data_size, 1);
    request_fini(&request);
}

static void a_wrong_payload_is_refused_by_the_name_of_its_field(void **state)
{
    static const struct {
        const char *json, *says;
    } wrong[] = {
        {"{}", "'url' is missing"},
        {"[]", "must be a map"},
        {"{\"url\":5}", "'url'"},
        {"{\"url\":\"http://x/\\r\\nHost: y\"}", "'url'"},
        {"{\"url\":\"u\",\"headers\":{\"A\":\"b\\nC: d\"}}", "'headers'"},
        {"{\"url\":\"u\",\"headers\":{\"A:b\":\"c\"}}", "'headers'"},
        {"{\"url\":\"u\",\"headers\":[]}", "'headers'"},
        {"{\"url\":\"u\",\"headers\":{\"\":\"c\"}}", "'headers'"},
        {"{\"url\":\"u\",\"headers\":{\"A B\":\"c\"}}", "'headers'"},
        {"{\"url\":\"u\",\"headers\":{\"A;\":\"\"}}", "'headers'"},
        {"{\"url\":\"u\",\"head\":1}", "'head'"},
        {"{\"url\":\"u\",\"head\":true,\"method\":\"GET\"}", "'method'"},
        {"{\"url\":\"u\",\"head\":true,\"data\":\"d\"}", "'data'"},
        {"{\"url\":\"u\",\"method\":\"HEAD\",\"body\":\"file\",\"file\":\"/x\"}", "'file'"},
        {"{\"url\":\"u\",\"ca_file\":\"here\"}", "'ca_file'"},
        {"{\"url\":\"u\",\"method\":\"GET /\"}", "'method'"},
        {"{\"url\":\"u\",\"body\":\"page\"}", "'body'"},
        {"{\"url\":\"u\",\"body\":\"file\"}", "'file'"},
        {"{\"url\":\"u\",\"body\":\"file\",\"file\":\"relative\"}", "'file'"},
        {"{\"url\":\"u\",\"file\":\"/x\"}", "'file'"},
        {"{\"url\":\"u\",\"max_redirects\":51}", "'max_redirects'"},
        {"{\"url\":\"u\",\"max_bytes\":0}", "'max_bytes'"},
        {"{\"url\":\"u\",\"total_ms\":0}", "'total_ms'"},
        {"{\"url\":\"u\",\"idle_ms\":-1}", "'idle_ms'"},
        {"{\"url\":\"u\",\"sha256\":\"abc\"}", "'sha256'"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct request request;
        char reason[256];
        const char *says = read_json(&request, wrong[i].json, reason);

        if (says == NULL || strstr(says, wrong[i].says) == NULL)
            fail_msg("%s: %s", wrong[i].json, says != NULL ? says : "accepted");
        request_fini(&request);
    }
}

static void methods_that_libcurl_knows_are_left_to_it(void **state)
{
    static const struct {
        const char *json, *method, *data;
        bool head;
    } cases[] = {
        {"{\"url\":\"u\",\"method\":\"GET\"}", NULL, NULL, false},
        {"{\"url\":\"u\",\"method\":\"HEAD\"}", NULL, NULL, true},
        {"{\"url\":\"u\",\"head\":true}", NULL, NULL, true},
        {"{\"url\":\"u\",\"method\":\"POST\",\"data\":\"d\"}", NULL, "d", false},
        {"{\"url\":\"u\",\"method\":\"POST\"}", NULL, "", false},
        {"{\"url\":\"u\",\"method\":\"PUT\"}", "PUT", "", false},
        {"{\"url\":\"u\",\"method\":\"DELETE\"}", "DELETE", NULL, false},
        {"{\"url\":\"u\",\"method\":\"get\"}", "get", NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct request request;
        char reason[256];

        assert_null(read_json(&request, cases[i].json, reason));
        if (cases[i].method == NULL)
            assert_null(request.method);
        else
            assert_string_equal(request.method, cases[i].method);
        if (cases[i].data == NULL)
            assert_null(request.data);
        else
            assert_memory_equal(request.data, cases[i].data, strlen(cases[i].data));
        assert_int_equal(request.head, cases[i].head);
        request_fini(&request);
    }
}

static void statuses_and_codes_have_their_types(void **state)
{
    static const struct {
        long status;
        const char *type;
        bool retryable;
    } statuses[] = {{400, "fetch.http.client.400", false}, {404, "fetch.http.client.404", false},
                    {408, "fetch.http.client.408", true},  {429, "fetch.http.client.429", true},
                    {500, "fetch.http.server.500", true},  {501, "fetch.http.server.501", false},
                    {503, "fetch.http.server.503", true},  {599, "fetch.http.server.599", false}};
    struct fetch_progress before = {0}, connected = {.connected = true},
                          answered = {.connected = true, .answered = true};
    struct fetch_failure failure;

    (void)state;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        assert_true(fetch_failure_of_status(statuses[i].status, &failure));
        assert_string_equal(failure.type, statuses[i].type);
        assert_int_equal(failure.retryable, statuses[i].retryable);
    }
    assert_false(fetch_failure_of_status(200, &failure));
    assert_false(fetch_failure_of_status(304, &failure));
    fetch_failure_of_code(CURLE_OPERATION_TIMEDOUT, &before, &failure);
    assert_string_equal(failure.type, "fetch.timeout.connect");
    fetch_failure_of_code(CURLE_OPERATION_TIMEDOUT, &connected, &failure);
    assert_string_equal(failure.type, "fetch.timeout.total");
    fetch_failure_of_code(CURLE_RECV_ERROR, &connected, &failure);
    assert_string_equal(failure.type, "fetch.connect");
    fetch_failure_of_code(CURLE_RECV_ERROR, &answered, &failure);
    assert_string_equal(failure.type, "fetch.truncated");
    fetch_failure_of_code(CURLE_UNSUPPORTED_PROTOCOL, &before, &failure);
    assert_string_equal(failure.type, "fetch.policy");
    fetch_failure_of_code(CURLE_UNSUPPORTED_PROTOCOL, &connected, &failure);
    assert_string_equal(failure.type, "fetch.protocol");
    fetch_failure_of_code(CURLE_UNSUPPORTED_PROTOCOL, &answered, &failure);
    assert_string_equal(failure.type, "fetch.policy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_public_addresses_are_reached_by_default),
        cmocka_unit_test(allowed_networks_are_reached_and_no_more),
        cmocka_unit_test(what_is_no_network_is_refused),
        cmocka_unit_test(ports_and_schemes_and_proxies_are_as_they_are_said),
        cmocka_unit_test(a_payload_is_read_with_its_defaults),
        cmocka_unit_test(a_wrong_payload_is_refused_by_the_name_of_its_field),
        cmocka_unit_test(methods_that_libcurl_knows_are_left_to_it),
        cmocka_unit_test(statuses_and_codes_have_their_types),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
