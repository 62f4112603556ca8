/* What the fetch engine sends: URLs, bodies, versions of HTTP. */
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
        FETCH_TEST(the_version_of_http_is_told),
        FETCH_TEST(http_2_without_tls_is_spoken_where_it_is_asked_for),
        FETCH_TEST(http_2_is_spoken_over_tls_where_the_server_has_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
