/* Whom the fetch engine tells what: secrets, credentials on redirects, cookies, proxies. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/fetch_stage.h"
#include "tests/integration/harness.h"

/* A name of the server whose origin is another one than `http`. */
static const char *elsewhere(void)
{
    static char text[64];

    snprintf(text, sizeof text, "elsewhere.test%s", strchr(http, ':'));
    return text;
}

static const char *header(const json_t *echo, const char *name)
{
    return text_at(json_object_get(echo, "headers"), name);
}

static void expect_text(const char *got, const char *expected)
{
    assert_string_equal(got, expected);
}

/* ---- secrets
 * -----------------------------------------------------------------------------------------------
 */

static secrets_t *load_secrets(const char *text)
{
    const char *path = harness_path("secrets");
    struct argosy_error err = {0};
    secrets_t *loaded;

    harness_write(path, text);
    assert_int_equal(chmod(path, 0600), 0);
    if (secrets_load(&loaded, path, &err) < 0)
        fail_msg("%s", err.message);
    return loaded;
}

static void secrets_are_told_to_their_hosts_only(void **state)
{
    secrets_t *loaded = load_secrets("token\n"
                                     "    value = \"abc123\"\n"
                                     "    hosts = \"http://127.0.0.1 http://*.test\"\n"
                                     "pair\n"
                                     "    value = \"user:pass\"\n"
                                     "    hosts = \"other.example http://127.0.0.1\"\n"
                                     "tls\n"
                                     "    value = \"abc123\"\n"
                                     "    hosts = \"127.0.0.1\"\n");
    json_t *echo, *result;

    (void)state;
    secrets = loaded;
    restart_engine();
    echo = echo_of(make("{'url': 'http://%s/echo', 'auth': {'bearer': 'token'}}", http));
    expect_text(header(echo, "authorization"), "Bearer abc123");
    json_decref(echo);
    echo = echo_of(make("{'url': 'http://%s/echo', 'auth': {'basic': 'pair'}}", http));
    expect_text(header(echo, "authorization"), "Basic dXNlcjpwYXNz");
    json_decref(echo);
    echo = echo_of(make("{'url': 'http://%s/echo'}", http)); /* on a connection that was used */
    expect_text(header(echo, "authorization"), "");
    json_decref(echo);
    echo = echo_of(make("{'url': 'http://%s/echo', 'auth': {'bearer': 'token'}}", elsewhere()));
    expect_text(header(echo, "authorization"), "Bearer abc123");
    json_decref(echo);
    echo = echo_of(
        make("{'url': 'https://%s/echo', 'auth': {'bearer': 'tls'}}", harness_server("https")));
    expect_text(header(echo, "authorization"), "Bearer abc123");
    json_decref(echo);
    /* Without http:// it is meant for https only. */
    expect_error("fetch.policy", false, "not for",
                 make("{'url': 'http://%s/echo', 'auth': {'bearer': 'tls'}}", http));
    expect_error("fetch.policy", false, "not for",
                 make("{'url': 'http://%s/echo', 'auth': {'basic': 'pair'}}", elsewhere()));
    expect_error(
        "fetch.policy", false, "not for",
        make("{'url': 'http://test%s/echo', 'auth': {'bearer': 'token'}}", strchr(http, ':')));
    expect_error("fetch.policy", false, "'none'",
                 make("{'url': 'http://%s/echo', 'auth': {'bearer': 'none'}}", http));
    /* The secret is in no result. */
    result = result_of(make("{'url': 'http://%s/bytes/5', 'auth': {'bearer': 'token'}}", http));
    {
        char *text = json_dumps(result, 0);

        assert_null(strstr(text, "abc123"));
        free(text);
    }
    json_decref(result);
    engine->destroy(&engine);
    secrets_destroy(&loaded);
}

static void a_worker_without_secrets_has_none(void **state)
{
    (void)state;
    expect_error("fetch.policy", false, "'token'",
                 make("{'url': 'http://%s/echo', 'auth': {'bearer': 'token'}}", http));
}

static void a_file_of_secrets_is_checked(void **state)
{
    static const struct {
        const char *text;
        mode_t mode;
        const char *words;
    } cases[] = {
        {"a\n    value = \"x\"\n    hosts = \"h\"\n", 0644, "chmod 600"},
        {"a\n    value = \"x\"\n    hosts = \"h\"\n", 0620, "chmod 600"},
        {"a\n    value = \"x\"\n", 0600, "no hosts"},
        {"a\n    value = \"x\"\n    hosts = \"\"\n", 0600, "no hosts"},
        {"a\n    hosts = \"h\"\n", 0600, "no value"},
        {"b\n    value = \"x\"\n    hosts = \"h\"\na\n    hosts = \"h\"\n", 0600, "'a'"},
    };
    const char *path = harness_path("secrets");
    struct argosy_error err = {0};
    secrets_t *loaded;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        harness_write(path, cases[i].text);
        assert_int_equal(chmod(path, cases[i].mode), 0);
        assert_fails(secrets_load(&loaded, path, &err), ARGOSY_EINVAL);
        assert_null(loaded);
        if (strstr(err.message, cases[i].words) == NULL || strstr(err.message, path) == NULL)
            fail_msg("'%s' does not say '%s'", err.message, cases[i].words);
    }
    assert_fails(secrets_load(&loaded, harness_path("nowhere"), &err), ARGOSY_EINVAL);
    assert_fails(secrets_load(&loaded, root, &err), ARGOSY_EINVAL);
}

/* ---- redirects
 * --------------------------------------------------------------------------------------------- */

static void credentials_stay_with_the_origin_that_the_job_names(void **state)
{
    secrets_t *loaded = load_secrets("token\n"
                                     "    value = \"abc123\"\n"
                                     "    hosts = \"http://127.0.0.1 http://*.test\"\n");
    const char *const more[] = {
        "'headers': {'AUTHORIZATION': 'mine', 'cookie': 'c=1', 'X-Other': 'o'}",
        "'auth': {'bearer': 'token'}, 'headers': {'Cookie': 'c=1', 'X-Other': 'o'}",
    };

    (void)state;
    secrets = loaded;
    restart_engine();
    for (int i = 0; i < 2; i++) {
        json_t *echo = echo_of(make("{'url': 'http://%s/redirto?url=/echo', %s}", http, more[i]));

        expect_text(header(echo, "authorization"), i == 0 ? "mine" : "Bearer abc123");
        expect_text(header(echo, "cookie"), "c=1");
        expect_text(header(echo, "x-other"), "o");
        json_decref(echo);
        echo = echo_of(make("{'url': 'http://%s/redirto?url=http://%s/echo', %s}", http,
                            elsewhere(), more[i]));
        assert_int_equal(strncmp(header(echo, "host"), "elsewhere.test:", 15), 0);
        expect_text(header(echo, "authorization"), "");
        expect_text(header(echo, "cookie"), "");
        expect_text(header(echo, "x-other"), "o");
        json_decref(echo);
        /* Another scheme and port is another origin, too. */
        echo = echo_of(make("{'url': 'http://%s/redirto?url=https://%s/echo', %s}", http,
                            harness_server("https"), more[i]));
        expect_text(header(echo, "authorization"), "");
        expect_text(header(echo, "cookie"), "");
        json_decref(echo);
        /* Back at home they are told again: it is the origin that the job names. */
        echo = echo_of(make("{'url': 'http://%s/redirto?url=http://%s/redirto?url=http://%s/echo', "
                            "%s}",
                            http, elsewhere(), http, more[i]));
        expect_text(header(echo, "authorization"), i == 0 ? "mine" : "Bearer abc123");
        json_decref(echo);
    }
    /* User information of a redirect is nobody's. */
    {
        json_t *echo =
            echo_of(make("{'url': 'http://%s/redirto?url=http://evil:pass@%s/echo'}", http, http));

        expect_text(header(echo, "authorization"), "");
        json_decref(echo);
    }
    engine->destroy(&engine);
    secrets_destroy(&loaded);
}

static void redirects_make_of_methods_what_they_should(void **state)
{
    static const struct {
        const char *method;
        int status;
        const char *becomes;
    } cases[] = {
        {"GET", 301, "GET"},     {"GET", 303, "GET"},    {"GET", 307, "GET"},
        {"HEAD", 301, "HEAD"},   {"HEAD", 303, "HEAD"},  {"HEAD", 308, "HEAD"},
        {"POST", 301, "GET"},    {"POST", 302, "GET"},   {"POST", 303, "GET"},
        {"POST", 307, "POST"},   {"POST", 308, "POST"},  {"PUT", 301, "PUT"},
        {"PUT", 302, "PUT"},     {"PUT", 303, "GET"},    {"PUT", 307, "PUT"},
        {"PUT", 308, "PUT"},     {"DELETE", 303, "GET"}, {"DELETE", 302, "DELETE"},
        {"PATCH", 308, "PATCH"}, {"PATCH", 303, "GET"},  {"POST", 300, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *method = cases[i].method, *becomes = cases[i].becomes;
        bool has_data = method[0] == 'P';
        json_t *result =
            result_of(make("{'url': 'http://%s/redirto?url=/echo&status=%d', "
                           "'method': '%s', 'headers': {'Content-Language': 'x'}%s}",
                           http, cases[i].status, method, has_data ? ", 'data': 'some'" : ""));

        assert_int_equal(number_at(result, "redirects"), becomes != NULL);
        if (becomes == NULL) {
            assert_int_equal(number_at(result, "status"), cases[i].status);
        } else if (method[0] != 'H') {
            json_t *echo = json_loads(text_at(result, "body"), 0, NULL);
            bool kept = strcmp(becomes, method) == 0;

            if (strcmp(text_at(echo, "method"), becomes) != 0)
                fail_msg("%s, %d: %s", method, cases[i].status, text_at(echo, "method"));
            expect_text(text_at(echo, "body"), has_data && kept ? "some" : "");
            expect_text(header(echo, "content-length"), has_data && kept ? "4" : "");
            if (has_data) /* what is said of a body goes with it */
                expect_text(header(echo, "content-language"), kept ? "x" : "");
            json_decref(echo);
        } else {
            assert_int_equal(number_at(result, "bytes"), 0);
        }
        json_decref(result);
    }
}

static void redirects_have_a_bound(void **state)
{
    json_t *result;

    (void)state;
    expect_one("", make("{'url': 'http://%s/redirect/3', 'max_redirects': 3}", http));
    expect_one("fetch.redirect", make("{'url': 'http://%s/redirect/4', 'max_redirects': 3}", http));
    result = result_of(make("{'url': 'http://%s/redirect/4', 'max_redirects': 0}", http));
    assert_int_equal(number_at(result, "status"), 302);
    assert_int_equal(number_at(result, "redirects"), 0);
    json_decref(result);
    /* The redirect itself is no body that was asked for. */
    harness_write(harness_path("root/kept"), "old");
    expect_one("", make_file("/redirect/4", "kept", ", 'max_redirects': 0"));
    assert_true(holds(harness_path("root/kept"), "old"));
}

static void a_redirect_that_leads_nowhere_is_no_success(void **state)
{
    static const char *const names[] = {"control", "space", "backslash", "long"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        make("{'url': 'http://%s/redirbad/%s', 'total_ms': 5000}", http, names[i]);
    make("{'url': 'http://%s/redirto?url=file:///etc/passwd'}", http);
    make("{'url': 'http://%s/redirto?url=ftp://127.0.0.1/'}", http);
    make("{'url': 'http://%s/redirto?url=gopher://127.0.0.1/'}", http);
    run_all();
    expect_row(made - 1, "fetch.policy", false);
    expect_row(made - 2, "fetch.policy", false);
    expect_row(made - 3, "fetch.policy", false);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_false(jobs[i].outcome.retryable);
        if (strcmp(names[i], "long") == 0)
            assert_false(jobs[i].outcome.succeeded);
    }
}

/* ---- cookies
 * -----------------------------------------------------------------------------------------------
 */

static json_t *cookies_of(const char *jar)
{
    return jar != NULL ? echo_of(make("{'url': 'http://%s/cookies', 'cookies': '%s'}", http, jar))
                       : echo_of(make("{'url': 'http://%s/cookies'}", http));
}

static void jobs_share_the_cookies_of_one_jar(void **state)
{
    json_t *cookies;

    (void)state;
    expect_one("", make("{'url': 'http://%s/setcookie/a/1?with=Path=/', 'cookies': 'one'}", http));
    expect_one("", make("{'url': 'http://%s/setcookie/b/2?with=Path=/', 'cookies': 'one'}", http));
    expect_one("", make("{'url': 'http://%s/setcookie/c/3?with=Path=/', 'cookies': 'two'}", http));
    expect_one("",
               make("{'url': 'http://%s/setcookie/d/4?with=Path=/'}", http)); /* nobody takes it */
    cookies = cookies_of("one");
    expect_text(text_at(cookies, "a"), "1");
    expect_text(text_at(cookies, "b"), "2");
    assert_int_equal(json_object_size(cookies), 2);
    json_decref(cookies);
    cookies = cookies_of("two");
    expect_text(text_at(cookies, "c"), "3");
    assert_int_equal(json_object_size(cookies), 1);
    json_decref(cookies);
    cookies = cookies_of(NULL);
    assert_int_equal(json_object_size(cookies), 0);
    json_decref(cookies);
    cookies = cookies_of("three");
    assert_int_equal(json_object_size(cookies), 0);
    json_decref(cookies);
    /* On the way, and for the host that has set it only. */
    cookies = echo_of(make(
        "{'url': 'http://%s/setcookie/e/5?with=Path=/&url=/cookies', 'cookies': 'way'}", http));
    expect_text(text_at(cookies, "e"), "5");
    json_decref(cookies);
    cookies = echo_of(make("{'url': 'http://%s/cookies', 'cookies': 'way'}", elsewhere()));
    assert_int_equal(json_object_size(cookies), 0);
    json_decref(cookies);
    expect_one(
        "",
        make("{'url': 'http://%s/setcookie/e/x?with=Path=/;Max-Age=0', 'cookies': 'way'}", http));
    cookies = cookies_of("way");
    assert_int_equal(json_object_size(cookies), 0);
    json_decref(cookies);
}

static void many_jars_each_keep_their_own(void **state)
{
    (void)state;
    for (int i = 0; i < 40; i++)
        make("{'url': 'http://%s/setcookie/n/%d?with=Path=/&url=/cookies', 'cookies': 'jar%d'}",
             http, i, i);
    run_all();
    for (int i = 0; i < 40; i++) {
        json_t *cookies = echo_of(&jobs[i]);
        char number[16];

        snprintf(number, sizeof number, "%d", i);
        expect_text(text_at(cookies, "n"), number);
        json_decref(cookies);
    }
}

/* ---- proxies
 * -----------------------------------------------------------------------------------------------
 */

#define PROXIED "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nproxied"

static void a_proxy_is_used_only_if_the_worker_allows_it(void **state)
{
    static const char *allowed[2];
    char proxy[64];
    unsigned port;
    json_t *result;

    (void)state;
    expect_error("fetch.policy", false, "--allow-proxy",
                 make("{'url': 'http://%s/', 'proxy': 'http://127.0.0.1:9'}", http));
    setenv("http_proxy", "http://127.0.0.1:9", 1); /* nor is one of the environment */
    expect_one("", make("{'url': 'http://%s/bytes/1'}", http));
    unsetenv("http_proxy");

    port = ANSWER(PROXIED, PROXIED);
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", port);
    allowed[0] = proxy;
    policy.proxies = allowed;
    restart_engine();
    expect_one("fetch.policy", make("{'url': 'http://%s/', 'proxy': 'http://127.0.0.1:9'}", http));
    /* What lies behind it is its own matter: the name is not even looked up here. */
    result = result_of(make("{'url': 'http://no-such-host.invalid/x?y', 'proxy': '%s'}", proxy));
    expect_text(text_at(result, "body"), "proxied");
    json_decref(result);
    assert_int_equal(strncmp(requests(), "GET http://no-such-host.invalid/x?y HTTP/1.1\r\n", 46),
                     0);
    allowed[0] = "any";
    restart_engine();
    result = result_of(make("{'url': 'http://no-such-host.invalid/z', 'data': 'some', "
                            "'proxy': '%s'}",
                            proxy));
    json_decref(result);
    assert_non_null(strstr(requests(), "POST http://no-such-host.invalid/z HTTP/1.1\r\n"));
    answered();
    expect_error(
        "fetch.connect", true, "",
        make("{'url': 'http://%s/', 'proxy': 'http://%s'}", http, harness_server("refused")));
    expect_one("rejected.payload", make("{'url': 'http://%s/', 'proxy': 'http://a b'}", http));
}

/* Bytes from one side to the other until one ends. */
static void splice_both(int a, int b)
{
    static char piece[16 << 10];
    struct pollfd fds[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};

    while (poll(fds, 2, 10000) > 0)
        for (int i = 0; i < 2; i++) {
            ssize_t got;

            if (fds[i].revents == 0)
                continue;
            got = read(fds[i].fd, piece, sizeof piece);
            if (got <= 0 || write(fds[1 - i].fd, piece, (size_t)got) != got)
                return;
        }
}

/* A proxy for one CONNECT to anything of 127.0.0.1. */
static pid_t tunnel(unsigned *port)
{
    struct sockaddr_in address;
    int fd = listen_at(&address, 1);
    pid_t pid = fork();

    assert_true(pid >= 0);
    *port = ntohs(address.sin_port);
    if (pid == 0) {
        static char head[4096];
        int client = accept(fd, NULL, NULL), to = socket(AF_INET, SOCK_STREAM, 0);
        unsigned target;

        alarm(20);
        if (read(client, head, sizeof head - 1) <= 0 ||
            sscanf(head, "CONNECT 127.0.0.1:%u HTTP/1.1\r\n", &target) != 1)
            _exit(1);
        address.sin_port = htons((uint16_t)target);
        if (connect(to, (struct sockaddr *)&address, sizeof address) < 0 ||
            write(client, "HTTP/1.1 200 Connected\r\n\r\n", 26) != 26)
            _exit(2);
        splice_both(client, to);
        _exit(0);
    }
    close(fd);
    return pid;
}

static void https_goes_through_a_proxy_as_through_a_tunnel(void **state)
{
    static const char *const any[] = {"any", NULL};
    int status;
    unsigned port;
    pid_t pid = tunnel(&port);
    json_t *echo;

    (void)state;
    policy.proxies = any;
    restart_engine();
    echo = echo_of(make("{'url': 'https://%s/echo', 'proxy': 'http://127.0.0.1:%u', "
                        "'headers': {'X-A': 'b'}}",
                        harness_server("https"), port));
    expect_text(header(echo, "x-a"), "b");
    json_decref(echo);
    engine->destroy(&engine);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FETCH_TEST(secrets_are_told_to_their_hosts_only),
        FETCH_TEST(a_worker_without_secrets_has_none),
        FETCH_TEST(a_file_of_secrets_is_checked),
        FETCH_TEST(credentials_stay_with_the_origin_that_the_job_names),
        FETCH_TEST(redirects_make_of_methods_what_they_should),
        FETCH_TEST(redirects_have_a_bound),
        FETCH_TEST(a_redirect_that_leads_nowhere_is_no_success),
        FETCH_TEST(jobs_share_the_cookies_of_one_jar),
        FETCH_TEST(many_jars_each_keep_their_own),
        FETCH_TEST(a_proxy_is_used_only_if_the_worker_allows_it),
        FETCH_TEST(https_goes_through_a_proxy_as_through_a_tunnel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
