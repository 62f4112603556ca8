/* What the fetch engine sends: URLs, bodies, credentials, cookies, through proxies and versions of
 * HTTP; and to whom it does not. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
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

/* ---- URLs
 * --------------------------------------------------------------------------------------------------
 */

static void a_url_is_resolved_against_its_base(void **state)
{
    static const struct {
        const char *base, *url, *path;
    } cases[] = {
        {"/echo/a/b?c", "d", "/echo/a/d"},    {"/echo/a/b/", "d?e=f", "/echo/a/b/d?e=f"},
        {"/echo/a/b/c", "../d", "/echo/a/d"}, {"/x/y/z", "/echo/d", "/echo/d"},
        {"/echo/a?c", "?d", "/echo/a?d"},     {"/echo/a#c", "d#e", "/echo/d"},
    };
    json_t *echo, *result;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        echo = echo_of(
            make("{'url': '%s', 'base_url': 'http://%s%s'}", cases[i].url, http, cases[i].base));
        expect_text(text_at(echo, "path"), cases[i].path);
        json_decref(echo);
    }
    result = result_of(make("{'url': '//%s/echo', 'base_url': 'http://nobody.test/'}", http));
    assert_non_null(strstr(text_at(result, "url"), "http://127.0.0.1:"));
    json_decref(result);
    echo = echo_of(make("{'url': 'http://%s/echo/x', 'base_url': 'http://nobody.test/'}", http));
    json_decref(echo);
    expect_one("fetch.url", make("{'url': 'x', 'base_url': 'no base'}"));
    expect_one("rejected.payload", make("{'url': 'x', 'base_url': ''}"));
    expect_one("rejected.payload", make("{'url': 'x', 'base_url': 7}"));
}

static void names_that_are_not_ascii_are_fine(void **state)
{
    static const char *const names[] = {"bücher.test", "BÜCHER.test", "xn--bcher-kva.test"};

    (void)state;
    assert_non_null(setlocale(LC_CTYPE, "C.UTF-8")); /* as the worker does */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *echo = echo_of(make("{'url': 'http://%s%s/echo'}", names[i], strchr(http, ':')));

        assert_int_equal(strncmp(header(echo, "host"), "xn--bcher-kva.test:", 19), 0);
        json_decref(echo);
    }
}

static void credentials_in_a_url_are_refused(void **state)
{
    (void)state;
    expect_error("fetch.url", false, "auth", make("{'url': 'http://user:password@%s/'}", http));
    expect_error("fetch.url", false, "auth",
                 make("{'url': 'x', 'base_url': 'http://user@%s/'}", http));
}

/* ---- bodies
 * ------------------------------------------------------------------------------------------------
 */

static void forms_and_json_are_encoded_by_the_worker(void **state)
{
    static const struct {
        const char *payload, *body, *type;
    } cases[] = {
        {"'form': {'user': 'me', 'note': 'a b'}", "user=me&note=a+b",
         "application/x-www-form-urlencoded"},
        {"'form': {'x': ['1', '2', '']}", "x=1&x=2&x=", "application/x-www-form-urlencoded"},
        {"'form': {'x': []}", "", "application/x-www-form-urlencoded"},
        {"'form': {'a&b=c': '+ %&=?/~*-._'}", "a%26b%3Dc=%2B+%25%26%3D%3F%2F%7E*-._",
         "application/x-www-form-urlencoded"},
        {"'form': {'ü': 'ß\\n\\r'}", "%C3%BC=%C3%9F%0A%0D", "application/x-www-form-urlencoded"},
        {"'form': {}", "", "application/x-www-form-urlencoded"},
        {"'form': {'a': 'b'}, 'headers': {'CONTENT-type': 'text/x'}", "a=b", "text/x"},
        {"'json': null", "null", "application/json"},
        {"'json': 'ü'", "\"ü\"", "application/json"},
        {"'json': [1, -2, true, {'a': {}}]", "[1,-2,true,{\"a\":{}}]", "application/json"},
        {"'json': {}, 'headers': {'Content-Type': 'application/x+json'}", "{}",
         "application/x+json"},
        {"'json': 0, 'method': 'PUT'", "0", "application/json"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *echo = echo_of(make("{'url': 'http://%s/echo', %s}", http, cases[i].payload));
        char length[24];

        snprintf(length, sizeof length, "%zu", strlen(cases[i].body));
        expect_text(text_at(echo, "body"), cases[i].body);
        expect_text(header(echo, "content-type"), cases[i].type);
        expect_text(header(echo, "content-length"), length);
        expect_text(text_at(echo, "method"), strstr(cases[i].payload, "PUT") ? "PUT" : "POST");
        json_decref(echo);
    }
}

static void a_request_has_one_body(void **state)
{
    static const char *const bodies[] = {"'data': 'x'", "'form': {'a': 'b'}", "'json': 1", NULL};
    char file[256];

    (void)state;
    snprintf(file, sizeof file, "'data_file': '%s/x'", root);
    for (int i = 0; i < 4; i++)
        for (int j = i + 1; j < 4; j++)
            make("{'url': 'http://%s/echo', %s, %s}", http, bodies[i],
                 bodies[j] != NULL ? bodies[j] : file);
    run_all();
    for (size_t i = 0; i < made; i++)
        expect_row(i, "rejected.payload", false);
}

static void what_a_body_cannot_be_is_refused(void **state)
{
    static const char *const wrong[] = {
        "'form': []",
        "'form': {'a': 1}",
        "'form': {'a': [1]}",
        "'form': {'a': {'b': 'c'}}",
        "'form': 'a=b'",
        "'data_file': 'relative'",
        "'data_file': 7",
        "'data': 7",
        "'auth': 'x'",
        "'auth': {}",
        "'auth': {'digest': 'x'}",
        "'auth': {'bearer': 7}",
        "'auth': {'bearer': 'a', 'basic': 'b'}",
        "'http': 2",
        "'http': '3'",
        "'cookies': true",
        "'cookies': ''",
        "'proxy': 7",
        "'idempotent': 1",
        "'robots': 'yes'",
        "'resume': true",
        "'pages': 1001",
        "'pages': -1",
        "'warc': 'relative'",
        "'max_redirects': 51",
        "'max_bytes': 0",
        "'max_wire_bytes': 0",
        "'max_ratio': -1",
        "'if_none_match': ''",
        "'if_none_match': 'a\\r\\nb: c'",
        "'if_modified_since': 7",
        "'headers': {'a b': 'c'}",
        "'headers': {'a': 'b\\r'}",
        "'form': {'a': 'b'}, 'head': true",
        "'sha256': 'abc'",
        "'pages': 2, 'sha256': "
        "'0000000000000000000000000000000000000000000000000000000000000000'",
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        make("{'url': 'http://%s/bytes/1', %s}", http, wrong[i]);
    make_file("/bytes/1", "x", ", 'pages': 2");
    run_all();
    for (size_t i = 0; i < made; i++)
        expect_row(i, "rejected.payload", false);
}

static void a_file_of_the_worker_is_sent(void **state)
{
    enum { BIG = 3 << 20 };
    json_t *echo;

    (void)state;
    harness_write(harness_path("root/small"), "hello");
    harness_write(harness_path("root/empty"), "");
    echo = echo_of(make("{'url': 'http://%s/echo', 'data_file': '%s/small'}", http, root));
    expect_text(text_at(echo, "method"), "POST");
    expect_text(text_at(echo, "body"), "hello");
    expect_text(header(echo, "content-length"), "5");
    expect_text(header(echo, "expect"), "");
    json_decref(echo);
    echo = echo_of(
        make("{'url': 'http://%s/echo', 'data_file': '%s/small', 'method': 'PUT'}", http, root));
    expect_text(text_at(echo, "method"), "PUT");
    expect_text(text_at(echo, "body"), "hello");
    json_decref(echo);
    echo = echo_of(make("{'url': 'http://%s/echo', 'data_file': '%s/empty'}", http, root));
    expect_text(text_at(echo, "body"), "");
    expect_text(header(echo, "content-length"), "0");
    json_decref(echo);
    echo = echo_of(make("{'url': 'http://%s/redirto?url=/echo&status=307', "
                        "'data_file': '%s/small'}",
                        http, root));
    expect_text(text_at(echo, "method"), "POST");
    expect_text(text_at(echo, "body"), "hello");
    json_decref(echo);
    echo = echo_of(make("{'url': 'http://%s/redirto?url=/echo&status=303', "
                        "'data_file': '%s/small'}",
                        http, root));
    expect_text(text_at(echo, "method"), "GET");
    expect_text(text_at(echo, "body"), "");
    expect_text(header(echo, "content-length"), "");
    json_decref(echo);
    write_pattern(harness_path("root/big"), BIG);
    expect_one("", make("{'url': 'http://%s/bytes/5', 'data_file': '%s/big'}", http, root));
    expect_one("", make("{'url': 'http://%s/redirto?url=/bytes/5&status=307', "
                        "'data_file': '%s/big'}",
                        http, root));
    /* As much as the server gives back: nothing is mixed up on the way. */
    write_pattern(harness_path("root/large"), 1 << 20);
    expect_one("", make("{'url': 'http://%s/echo', 'data_file': '%s/large', 'body': 'file', "
                        "'file': '%s/echoed'}",
                        http, root, root));
}

/* What arrives, byte for byte, at a server that keeps it. */
static void a_large_file_arrives_as_it_is(void **state)
{
    enum { SIZE = 3000001 };
    const char *kept = harness_path("kept");
    struct sockaddr_in address;
    int fd = listen_at(&address, 1), status;
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        static char piece[64 << 10];
        int client = accept(fd, NULL, NULL), log = open(kept, O_WRONLY | O_CREAT, 0600);
        size_t left = SIZE;
        ssize_t got = read(client, piece, sizeof piece - 1);
        char *body = strstr(piece, "\r\n\r\n");

        alarm(20);
        if (got <= 0 || body == NULL)
            _exit(1);
        body += 4;
        for (got -= body - piece;; got = read(client, body = piece, sizeof piece)) {
            if (got < 0 || write(log, body, (size_t)got) != got)
                _exit(1);
            left -= (size_t)got;
            if (left == 0)
                break;
        }
        if (write(client, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 38) != 38)
            _exit(1);
        _exit(left == 0 ? 0 : 1);
    }
    close(fd);
    write_pattern(harness_path("root/large"), SIZE);
    expect_one("", make("{'url': 'http://127.0.0.1:%u/', 'data_file': '%s/large'}",
                        ntohs(address.sin_port), root));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(holds_pattern(kept, SIZE));
}

static void only_files_below_a_root_are_sent(void **state)
{
    const char *outside = harness_path("outside");
    json_int_t before = server_counts("echo");

    (void)state;
    harness_write(outside, "secret");
    assert_int_equal(symlink(outside, harness_path("root/link")), 0);
    assert_int_equal(symlink("../outside", harness_path("root/up")), 0);
    assert_int_equal(mkdir(harness_path("root/folder"), 0700), 0);
    assert_int_equal(mkfifo(harness_path("root/pipe"), 0600), 0);
#define SEND(path, type)                                                                           \
    expect_error(type, false, "", make("{'url': 'http://%s/echo', 'data_file': '%s'}", http, path))
    SEND(outside, "fetch.policy");
    SEND("/etc/passwd", "fetch.policy");
    SEND(harness_path("root/missing"), "fetch.output");
    SEND(harness_path("root/link"), "fetch.output");
    SEND(harness_path("root/up"), "fetch.output");
    SEND(harness_path("root/../outside"), "fetch.output");
    SEND(harness_path("root/folder"), "fetch.output");
    SEND(harness_path("root/pipe"), "fetch.output");
#undef SEND
    assert_int_equal(server_counts("echo"), before);
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

/* ---- versions
 * ---------------------------------------------------------------------------------------------- */

static void the_version_of_http_is_told(void **state)
{
    static const char *const more[] = {"'http': 'auto'", "'http': '1.1'"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        json_t *result = result_of(make("{'url': 'http://%s/bytes/1', %s}", http, more[i]));

        expect_text(text_at(result, "http_version"), "1.1");
        json_decref(result);
    }
}

/* nghttpd takes its port from us: one that was free a moment ago. NULL: there is no nghttpd. */
static const char *start_h2(const char *folder, const char *key, const char *certificate)
{
    static const char *const places[] = {"/usr/sbin/nghttpd", "/usr/bin/nghttpd"};
    const char *program = access(places[0], X_OK) == 0 ? places[0] : places[1];
    static char port[8];

    if (access(program, X_OK) < 0)
        return NULL;
    for (int tries = 0; tries < 5; tries++) {
        struct sockaddr_in address;
        pid_t pid;

        close(listen_at(&address, 1));
        snprintf(port, sizeof port, "%d", ntohs(address.sin_port));
        pid = key == NULL ? START(harness_path("log"), program, "--no-tls", "-a", "127.0.0.1", "-d",
                                  folder, port)
                          : START(harness_path("log"), program, "-a", "127.0.0.1", "-d", folder,
                                  port, key, certificate);
        for (int64_t until = late_at(); !is_late(until); poll(NULL, 0, 5)) {
            int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            bool is_there = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;

            close(fd);
            if (is_there)
                return port;
            if (waitpid(pid, NULL, WNOHANG | WNOWAIT) == pid)
                break; /* somebody else has the port */
        }
    }
    fail_msg("nghttpd did not start");
    return NULL;
}

static const char *make_h2(const char *key, const char *certificate)
{
    const char *port;

    assert_int_equal(mkdir(harness_path("h2"), 0700), 0);
    harness_write(harness_path("h2/page"), "hello of two");
    port = start_h2(harness_path("h2"), key, certificate);
    if (port == NULL)
        print_message("there is no nghttpd (Debian: nghttp2-server), so HTTP/2 is not tried\n");
    return port;
}

static void http_2_without_tls_is_spoken_where_it_is_asked_for(void **state)
{
    const char *port = make_h2(NULL, NULL);

    (void)state;
    if (port == NULL)
        skip();
    for (int turns = 0; turns < 2; turns++) { /* one after the other, and many at once */
        for (int i = 0; i < 20; i++)
            make("{'url': 'http://127.0.0.1:%s/page', 'http': '2'}", port);
        run_all();
    }
    for (size_t i = 0; i < made; i++) {
        json_t *result = result_of(&jobs[i]);

        expect_text(text_at(result, "http_version"), "2");
        expect_text(text_at(result, "body"), "hello of two");
        json_decref(result);
    }
}

static void http_2_is_spoken_over_tls_where_the_server_has_it(void **state)
{
    const char *key = harness_path("key.pem"), *certificate = harness_path("cert.pem"), *port;
    char command[512];

    (void)state;
    snprintf(command, sizeof command,
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
             "-subj /CN=h2.test -addext subjectAltName=DNS:h2.test -keyout %s -out %s 2>/dev/null",
             key, certificate);
    if (system(command) != 0) {
        print_message("there is no openssl, so HTTP/2 over TLS is not tried\n");
        skip();
    }
    port = make_h2(key, certificate);
    if (port == NULL)
        skip();
    for (int turns = 0; turns < 3; turns++) {
        for (int i = 0; i < 20; i++)
            make("{'url': 'https://h2.test:%s/page', 'ca_file': '%s', 'http': '%s'}", port,
                 certificate,
                 i % 4 == 0   ? "1.1"
                 : i % 4 == 1 ? "2"
                              : "auto");
        run_all();
    }
    for (size_t i = 0; i < made; i++) {
        json_t *result;

        if (i % 4 == 0) { /* that server does not speak it */
            expect_row(i, "fetch.connect", true);
            continue;
        }
        result = result_of(&jobs[i]);
        expect_text(text_at(result, "http_version"), "2");
        expect_text(text_at(result, "body"), "hello of two");
        json_decref(result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FETCH_TEST(a_url_is_resolved_against_its_base),
        FETCH_TEST(names_that_are_not_ascii_are_fine),
        FETCH_TEST(credentials_in_a_url_are_refused),
        FETCH_TEST(forms_and_json_are_encoded_by_the_worker),
        FETCH_TEST(a_request_has_one_body),
        FETCH_TEST(what_a_body_cannot_be_is_refused),
        FETCH_TEST(a_file_of_the_worker_is_sent),
        FETCH_TEST(a_large_file_arrives_as_it_is),
        FETCH_TEST(only_files_below_a_root_are_sent),
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
        FETCH_TEST(the_version_of_http_is_told),
        FETCH_TEST(http_2_without_tls_is_spoken_where_it_is_asked_for),
        FETCH_TEST(http_2_is_spoken_over_tls_where_the_server_has_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
