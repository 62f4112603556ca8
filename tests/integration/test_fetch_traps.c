/* The traps of libcurl's socket interface, each as a user would fall into it: what is asserted is
 * what is seen from outside, types, times, connections, lookups. tests/integration/README.md has
 * the list.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "tests/integration/fetch_loop.h"
#include "tests/integration/harness.h"
#include "tests/unit/cmocka_prelude.h"

enum { SLOTS = 100, STALL_MS = 900 /* less than the second after which libcurl looks by itself */ };

/* ---- a clock that can be set forward: for all of the process, libcurl included
 * -------------------------- */

static int64_t ahead_s;

int clock_gettime(clockid_t which, struct timespec *out)
{
    int rc = (int)syscall(SYS_clock_gettime, which, out);

    if (which == CLOCK_MONOTONIC)
        out->tv_sec += ahead_s;
    return rc;
}

static int set_up(void **state)
{
    (void)state;
    stage_begin(SLOTS);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return stage_end();
}

static int64_t lasted(const struct job *job)
{
    return job->ended_at - job->began_at;
}

static void expect_no_stall(void)
{
    for (size_t i = 0; i < stage.made; i++)
        if (lasted(&stage.jobs[i]) > STALL_MS * STAGE_SLOWER)
            fail_msg("job %zu took %lld ms", i, (long long)lasted(&stage.jobs[i]));
}

static const char *port_of(const char *server)
{
    return strchr(server, ':');
}

/* ---- timers
 * ------------------------------------------------------------------------------------------- */

/* -1 takes libcurl's timer away, 0 means now: whoever mixes them up turns for ever, or waits. */
static void nobody_turns_for_nothing(void **state)
{
    int64_t now;

    (void)state;
    for (int i = 0; i < 20; i++)
        stage_make("{'url': 'http://%s/delay/500'}", stage.http);
    stage_run_all();
    stage_expect_all("");
    print_message("%zu turns for 20 answers that take half a second\n", stage.turns);
    assert_true(stage.turns < 200);
    stage_reset_hold();
    now = ag_clock_mono_ms();
    while (fetch_deadline(stage.engine) <= now + 1000 && stage.turns < 100)
        stage_turn(); /* what was due stays in libcurl's books for a while */
    assert_true(stage.turns < 100);
    assert_true(fetch_deadline(stage.engine) > now + 1000);
}

/* ---- descriptors
 * -------------------------------------------------------------------------------------- */

/* libcurl's own resolver has descriptors whose numbers come back as connections. */
static void many_hosts_do_not_stall(void **state)
{
    char name[32];

    (void)state;
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "host-%d.test", i);
        stage_name(name, "127.0.0.1", 0, 5);
    }
    for (int i = 0; i < 2000; i++)
        stage_make("{'url': 'http://host-%d.test%s/bytes/100'}", i % 20, port_of(stage.http));
    stage.forgets = true;
    stage_run_some(SLOTS);
    stage_expect_all("");
    expect_no_stall();
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "host-%d.test", i);
        assert_int_equal(stage_lookups(name), 1);
    }
    assert_int_equal(stage_foreign_lookups(), 0);
}

/* Connections that are kept, closed by us and closed by them, names and files take turns with each
 * other's numbers: a wish that outlives its descriptor is a stall or a transfer of somebody else's.
 */
static void numbers_of_descriptors_come_back_as_something_else(void **state)
{
    static const char *const paths[] = {"/bytes/100", "/big/100",    "/bytes/100", "/resetmid",
                                        "/chunked",   "/redirect/2", "/bytes/10",  "/raw/close"};
    enum { PATHS = sizeof paths / sizeof *paths };

    (void)state;
    stage_name("one.test", "127.0.0.1", 0, 1);
    stage_name("none.test", NULL, EAI_NONAME, 1);
    for (int i = 0; i < 2000; i++) {
        if (i % 7 == 0)
            stage_make("{'url': 'http://%s/bytes/5000', 'body': 'file', 'file': '%s/%d'}",
                       stage.http, stage.root, i % 50);
        else if (i % 11 == 0)
            stage_make("{'url': 'http://none.test/'}");
        else if (i % 13 == 0)
            stage_make("{'url': 'https://%s/bytes/100'}", harness_server("https"));
        else if (i % 2 == 0)
            stage_make("{'url': 'http://one.test%s%s'}", port_of(stage.http), paths[i % PATHS]);
        else
            stage_make("{'url': 'http://%s%s'}", stage.http, paths[i % PATHS]);
    }
    stage_run_some(SLOTS);
    expect_no_stall();
    for (int i = 0; i < 2000; i++) {
        bool is_plain = i % 7 == 0 || (i % 11 != 0 && i % 13 == 0);
        const char *path = paths[i % PATHS];

        stage_expect(&stage.jobs[i], is_plain                         ? ""
                                     : i % 11 == 0                    ? "fetch.dns"
                                     : strcmp(path, "/resetmid") == 0 ? "fetch.truncated"
                                                                      : "");
    }
}

/* A server's process that answers once on each of its connections and then closes them all. */
static unsigned start_closing(pid_t *pid, int count)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 128), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *pid = fork();
    assert_true(*pid >= 0);
    if (*pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (int i = 0; i < count; i++) {
            char request[4096];
            int client = accept(fd, NULL, NULL); /* stays open until the process ends */

            if (read(client, request, sizeof request) <= 0 ||
                write(client, answer, sizeof answer - 1) < 0)
                _exit(1);
        }
        _exit(0);
    }
    close(fd);
    return ntohs(address.sin_port);
}

/* Their end is an event that libcurl has not asked for; it must be heard once, not for ever. */
static void connections_that_end_while_idle_are_forgotten(void **state)
{
    enum { COUNT = 20 };
    struct pollfd wait;
    unsigned port;
    int status;
    pid_t pid;

    (void)state;
    port = start_closing(&pid, COUNT);
    for (int i = 0; i < COUNT; i++)
        stage_make("{'url': 'http://127.0.0.1:%u/'}", port);
    stage_run_all();
    stage_expect_all("");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    wait = (struct pollfd){.fd = fetch_fd(stage.engine), .events = POLLIN};
    stage_reset_hold();
    while (poll(&wait, 1, 0) > 0 && stage.turns < 100)
        stage_turn();
    assert_true(stage.turns < 100);
}

/* ---- connections
 * -------------------------------------------------------------------------------------- */

static void run_wide(void)
{
    for (int i = 0; i < SLOTS; i++)
        stage_make("{'url': 'http://%s/delay/150'}", stage.http);
    stage_run_all();
    stage_expect_all("");
    stage_forget_jobs();
}

/* libcurl's limit of kept connections follows the number of present transfers, unless it is told.
 */
static void a_dip_in_concurrency_closes_no_warm_connections(void **state)
{
    int64_t before;

    (void)state;
    run_wide();
    before = stage_server_count("connections");
    for (int i = 0; i < 50; i++)
        stage_make("{'url': 'http://%s/bytes/1'}", stage.http);
    stage_run_some(1);
    stage_expect_all("");
    stage_forget_jobs();
    run_wide();
    assert_int_equal(stage_server_count("connections") - before, 1); /* that is ours, to ask */
}

/* Nor are they kept without end, which is what the default of libcurl 7.88 comes to. */
static void kept_connections_are_not_more_than_a_few(void **state)
{
    enum { HOSTS = 60, KEPT = 24 };
    char name[32];

    (void)state;
    stage_restart(1, harness_server("ca"));
    for (int i = 0; i < HOSTS; i++) {
        snprintf(name, sizeof name, "host-%d.test", i);
        stage_name(name, "127.0.0.1", 0, 0);
        stage_make("{'url': 'http://%s%s/bytes/1'}", name, port_of(stage.http));
    }
    stage_run_some(1);
    stage_expect_all("");
    assert_in_range(stage_server_count("open"), KEPT, KEPT + 1);
}

/* The race of keep-alive: a connection that is kept ends when the next request is on its way. What
 * may be repeated is, at once; what may not be does not go out on such a connection. */
static void a_kept_connection_that_ends_is_replaced(void **state)
{
    json_t *result;
    int64_t lost;

    (void)state;
    json_decref(stage_fetch("{'url': 'http://%s/stale'}", stage.http));
    lost = stage_server_count("unanswered");
    result = stage_fetch("{'url': 'http://%s/bytes/5'}", stage.http);
    assert_true(json_is_false(json_object_get(result, "reused")));
    json_decref(result);
    assert_int_equal(stage_server_count("unanswered"), lost + 1);
    json_decref(stage_fetch("{'url': 'http://%s/stale'}", stage.http));
    json_decref(stage_fetch("{'url': 'http://%s/echo', 'data': 'once'}", stage.http));
    assert_int_equal(stage_server_count("unanswered"), lost + 1);
}

/* Names move, and a connection that is in use would never notice: not the minute for which a name
 * is kept, nor the two for which libcurl keeps what is idle. */
static void a_name_that_moves_is_followed_in_time(void **state)
{
    char expected[64];

    (void)state;
    snprintf(expected, sizeof expected, "127.0.0.1%s", port_of(stage.http));
    stage_name("moves.test", "127.0.0.1", 0, 0);
    for (int i = 0; i < 5; i++) {
        struct job *job = stage_make("{'url': 'http://moves.test%s/bytes/5'}", port_of(stage.http));
        json_t *result;

        stage_run_all();
        if (i == 4) { /* at the new address there is nobody */
            stage_expect(job, "fetch.connect");
            break;
        }
        result = stage_result(job);
        assert_int_equal(json_is_true(json_object_get(result, "reused")), i > 0);
        assert_string_equal(stage_text(result, "peer"), expected);
        json_decref(result);
        stage_name("moves.test", "127.0.0.2", 0, 0);
        ahead_s += 90; /* 360 in the end, and TRANSFER_CONNECTION_S is 300 */
    }
    assert_int_equal(stage_lookups("moves.test"), 5);
    ahead_s = 0;
}

static void tenants_do_not_see_each_others_cookies(void **state)
{
    (void)state;
    stage_restart(1, harness_server("ca")); /* one handle for all of them */
    json_decref(stage_fetch("{'url': 'http://%s/setcookie/a/1?with=Path=/', 'cookies': 'one'}",
                            stage.http));
    for (int i = 0; i < 3; i++) {
        static const char *const whose[] = {"", ", 'cookies': 'two'", ", 'cookies': 'one'"};
        json_t *result = stage_fetch("{'url': 'http://%s/cookies'%s}", stage.http, whose[i]);
        bool has = strstr(stage_text(result, "body"), "\"a\"") != NULL;

        assert_int_equal(has, i == 2);
        json_decref(result);
    }
    json_decref(stage_fetch("{'url': 'http://%s/setcookie/b/2?with=Path=/'}",
                            stage.http)); /* taken by nobody */
    for (int i = 0; i < 2; i++) {
        json_t *result = stage_fetch("{'url': 'http://%s/cookies'%s}", stage.http,
                                     i == 0 ? "" : ", 'cookies': 'one'");

        assert_null(strstr(stage_text(result, "body"), "\"b\""));
        json_decref(result);
    }
}

/* ---- TLS
 * ---------------------------------------------------------------------------------------------- */

/* All certificates of the system and the test's own, where OpenSSL looks. False: there are none. */
static bool trust_system_and_test(void)
{
    static const char system_file[] = "/etc/ssl/certs/ca-certificates.crt";
    const char *both = harness_path("certificates");
    char command[512];

    if (access(system_file, R_OK) != 0)
        return false;
    snprintf(command, sizeof command, "cat %s %s >%s", system_file, harness_server("ca"), both);
    assert_int_equal(system(command), 0);
    assert_int_equal(setenv("SSL_CERT_FILE", both, 1), 0);
    return true;
}

/* With Debian's defaults libcurl parses 140 certificates for each: 22 ms. */
static void new_connections_do_not_parse_certificates(void **state)
{
    enum { COUNT = 50, EACH_US = 5000 };
    int64_t handshakes = stage_server_count("tls_handshakes"), each;

    (void)state;
    if (!trust_system_and_test()) {
        print_message("no certificates of the system: skipped\n");
        return;
    }
    stage_restart(SLOTS, NULL);
    for (int i = 0; i <= COUNT; i++) { /* the body's end is the connection's */
        stage_make("{'url': 'https://%s/big/100', 'http': '1.1'}", harness_server("https"));
        if (i == 0) {
            stage_run_all(); /* this one does */
            stage_expect_hold("the first handshake", 100);
            stage_reset_hold();
        }
    }
    stage_run_some(10);
    unsetenv("SSL_CERT_FILE");
    stage_expect_all("");
    assert_int_equal(stage_server_count("tls_handshakes") - handshakes, COUNT + 1);
    each = stage.cpu_us / COUNT;
    print_message("%lld us of CPU for each new connection\n", (long long)each);
    assert_true(each < EACH_US * STAGE_SLOWER);
}

/* ---- HTTP/2: one socket, many transfers
 * --------------------------------------------------------------- */

/* A server for HTTP/2 with the files `small` and `large`; false if there is none on this machine.
 */
static bool start_h2(unsigned port, const char *key, const char *certificate)
{
    static const char *const places[] = {"/usr/bin/nghttpd", "/usr/sbin/nginx"};
    static const char format[] =
        "daemon off; master_process off; pid %s/pid; error_log %s/errors;\n"
        "events {}\nhttp { access_log off; client_body_temp_path %s/t; proxy_temp_path %s/t;\n"
        "fastcgi_temp_path %s/t; uwsgi_temp_path %s/t; scgi_temp_path %s/t; root %s;\n"
        "server { listen 127.0.0.1:%u http2 %s; %s %s%s %s %s%s } }\n";
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int64_t until = ag_clock_mono_ms() + 10000;
    const char *at = harness_path("h2");
    char text[2048], number[16];
    bool is_there = false, tls = key != NULL;

    snprintf(number, sizeof number, "%u", port);
    if (access(places[0], X_OK) == 0 && tls) {
        START(harness_path("h2/log"), places[0], "-d", at, "-a", "127.0.0.1", number, key,
              certificate);
    } else if (access(places[0], X_OK) == 0) {
        START(harness_path("h2/log"), places[0], "-d", at, "-a", "127.0.0.1", "--no-tls", number);
    } else if (access(places[1], X_OK) == 0) {
        snprintf(text, sizeof text, format, at, at, at, at, at, at, at, at, port, tls ? "ssl" : "",
                 tls ? "ssl_certificate_key" : "", tls ? key : "", tls ? ";" : "",
                 tls ? "ssl_certificate" : "", tls ? certificate : "", tls ? ";" : "");
        harness_write(harness_path("h2/nginx.conf"), text);
        START(harness_path("h2/log"), places[1], "-c", harness_path("h2/nginx.conf"), "-e",
              harness_path("h2/errors"));
    } else {
        return false;
    }
    while (!is_there) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        is_there = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
        close(fd);
        assert_true(ag_clock_mono_ms() < until);
        poll(NULL, 0, 5);
    }
    return true;
}

/* The files, a key and its certificate. */
static void make_h2_files(const char **key, const char **certificate)
{
    const char *at = harness_path("h2");
    char command[2048];

    *key = harness_path("h2/key");
    *certificate = harness_path("h2/certificate");
    snprintf(command, sizeof command,
             "mkdir %s && truncate -s 20000000 %s/large && echo hello >%s/small && "
             "openssl req -x509 -newkey rsa:2048 -nodes -keyout %s -out %s -days 2 -subj /CN=h2 "
             "-addext subjectAltName=IP:127.0.0.1 2>/dev/null",
             at, at, at, *key, *certificate);
    assert_int_equal(system(command), 0);
}

/* Some stop, some are too large: their neighbours on the socket go on. */
static void stop_some_of_many(unsigned port)
{
    enum { COUNT = 60 };

    for (int i = 0; i < COUNT; i++)
        stage_make("{'url': 'https://127.0.0.1:%u/large', 'body': 'none'%s}", port,
                   i % 6 == 1 ? ", 'max_bytes': 100000, 'max_wire_bytes': 30000000" : "");
    while (stage.begun < stage.made)
        stage_start(&stage.jobs[stage.begun]);
    while (stage.finished < COUNT / 12)
        stage_turn();
    for (int i = 0; i < COUNT; i += 6)
        if (!stage.jobs[i].done)
            stage_stop(&stage.jobs[i]);
    stage_run_until(COUNT);
    for (int i = 0; i < COUNT; i++) {
        if (i % 6 == 0 && !stage.jobs[i].outcome.succeeded)
            stage_expect(&stage.jobs[i], "cancelled");
        else
            stage_expect(&stage.jobs[i], i % 6 == 1 ? "fetch.too_large" : "");
    }
}

static void one_socket_carries_many_transfers(void **state)
{
    enum { COUNT = SLOTS, SHARDS = (SLOTS + 15) / 16 };
    const char *key, *certificate;
    unsigned port = stage_free_port(), fresh = 0;

    (void)state;
    make_h2_files(&key, &certificate);
    if (!start_h2(port, key, certificate)) {
        print_message("neither nghttpd nor nginx: skipped\n");
        return;
    }
    stage_restart(SLOTS, certificate);
    json_decref(stage_fetch("{'url': 'https://127.0.0.1:%u/small'}", port)); /* now it is known */
    for (int i = 0; i < COUNT; i++)
        stage_make("{'url': 'https://127.0.0.1:%u/small'}", port);
    stage_run_all();
    for (int i = 1; i <= COUNT; i++) {
        json_t *result = stage_result(&stage.jobs[i]);

        assert_string_equal(stage_text(result, "http_version"), "2");
        fresh += json_is_false(json_object_get(result, "reused"));
        json_decref(result);
    }
    print_message("%u new connections for %d transfers\n", fresh, COUNT);
    assert_true(fresh <= SHARDS);
    stage_forget_jobs();
    stop_some_of_many(port);
}

/* Before libcurl 8.0.0 the second request on a connection without TLS fails. */
static void http_2_without_tls_works_more_than_once(void **state)
{
    const char *key, *certificate;
    unsigned port = stage_free_port();

    (void)state;
    make_h2_files(&key, &certificate);
    if (!start_h2(port, NULL, NULL)) {
        print_message("neither nghttpd nor nginx: skipped\n");
        return;
    }
    for (int i = 0; i < 200; i++)
        stage_make("{'url': 'http://127.0.0.1:%u/small', 'http': '2'}", port);
    stage_run_some(50);
    for (int i = 0; i < 200; i++) {
        json_t *result = stage_result(&stage.jobs[i]);

        assert_string_equal(stage_text(result, "http_version"), "2");
        assert_string_equal(stage_text(result, "body"), "hello\n");
        json_decref(result);
    }
}

/* ---- names
 * --------------------------------------------------------------------------------------------- */

static void a_hundred_transfers_to_one_name_are_one_lookup(void **state)
{
    (void)state;
    stage_name("once.test", "127.0.0.1", 0, 100);
    for (int i = 0; i < SLOTS; i++)
        stage_make("{'url': 'http://%s%s/bytes/1'}", i % 2 == 0 ? "once.test" : "ONCE.test",
                   port_of(stage.http));
    stage_run_all();
    stage_expect_all("");
    assert_int_equal(stage_lookups("once.test"), 1);
    assert_int_equal(stage_foreign_lookups(), 0);
}

/* Removing such a transfer waits for its thread, unless libcurl is told not to; so does the end. */
static void a_dead_name_server_delays_nobody(void **state)
{
    struct job *over, *stopped;
    int64_t now;

    (void)state;
    stage_name("dead.test", NULL, EAI_AGAIN, 3000);
    stage_name("alive.test", "127.0.0.1", 0, 0);
    over = stage_make("{'url': 'http://dead.test/', 'connect_ms': 200}");
    stopped = stage_make("{'url': 'http://dead.test/'}");
    for (int i = 0; i < 20; i++)
        stage_make("{'url': 'http://alive.test%s/bytes/1'}", port_of(stage.http));
    while (stage.begun < stage.made)
        stage_start(&stage.jobs[stage.begun]);
    stage_run_until(20);
    assert_true(ag_clock_mono_ms() - stopped->began_at < 1000 * STAGE_SLOWER);
    now = ag_clock_mono_ms();
    stage_stop(stopped);
    stage_expect(stopped, "cancelled");
    stage_run_until(stage.made);
    stage_expect(over, "fetch.timeout.connect");
    assert_true(over->outcome.retryable);
    assert_in_range(lasted(over), 200, 200 + 250 * STAGE_SLOWER);
    for (size_t i = 2; i < stage.made; i++)
        stage_expect(&stage.jobs[i], "");
    stage.engine->destroy(&stage.engine);
    assert_true(ag_clock_mono_ms() - now < 1000 * STAGE_SLOWER);
    stage_restart(1, NULL);
    assert_int_equal(stage_foreign_lookups(), 0);
}

static void names_fail_with_the_right_type(void **state)
{
    static const struct {
        int code;
        bool retryable;
    } cases[] = {{EAI_NONAME, false}, {EAI_NODATA, false}, {EAI_AGAIN, true}, {EAI_FAIL, true}};
    char name[32];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(name, sizeof name, "fails-%zu.test", i);
        stage_name(name, NULL, cases[i].code, 0);
        stage_make("{'url': 'http://%s/'}", name);
    }
    stage_run_all();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stage_expect(&stage.jobs[i], "fetch.dns");
        assert_int_equal(stage.jobs[i].outcome.retryable, cases[i].retryable);
    }
}

/* ---- limits
 * -------------------------------------------------------------------------------------------- */

/* Time in which a job waits for its turn is none of libcurl's, so it does not count. */
static void a_limit_of_time_begins_with_the_transfer(void **state)
{
    (void)state;
    stage_restart(1, NULL);
    for (int i = 0; i < 5; i++)
        stage_make("{'url': 'http://%s/delay/300', 'total_ms': %d}", stage.http,
                   700 * STAGE_SLOWER);
    stage_run_some(1);
    stage_expect_all("");
}

/* libcurl's own limit looks at the speed over a while, from the wrong base; one byte is something.
 */
static void who_sends_a_byte_now_and_then_is_not_idle(void **state)
{
    struct job *slow;

    (void)state;
    slow = stage_make("{'url': 'http://%s/slow/12/100', 'idle_ms': %d}", stage.http,
                      350 * STAGE_SLOWER);
    stage_make("{'url': 'http://%s/slow/5/2000', 'idle_ms': 350}", stage.http);
    stage_run_all();
    stage_expect(slow, "");
    assert_true(lasted(slow) > 1000);
    stage_expect(&stage.jobs[1], "fetch.timeout.idle");
}

/* libcurl's limit knows neither chunks nor what is unpacked. */
static void a_body_is_measured_as_it_is_sent_and_as_it_is(void **state)
{
    static const struct {
        const char *path, *limits, *type;
    } cases[] = {
        {"/chunked/10/1000", "'max_bytes': 10000", ""},
        {"/chunked/10/1000", "'max_bytes': 9999", "fetch.too_large"},
        {"/chunked/10/1000", "'max_wire_bytes': 9000", "fetch.too_large"},
        {"/big/10000", "'max_bytes': 9999", "fetch.too_large"},
        {"/bytes/10000", "'max_bytes': 9999", "fetch.too_large"},
        {"/bomb/100/4", "'max_bytes': 4194304", ""},
        {"/bomb/100/4", "'max_bytes': 4194303, 'max_wire_bytes': 5000000", "fetch.too_large"},
        {"/bomb/100/4", "'max_wire_bytes': 10000", "fetch.too_large"},
        {"/bomb/100/4", "'max_ratio': 50", "fetch.too_large"},
        {"/bomb/500/4", "'max_bytes': 5000000", "fetch.too_large"},
        {"/bomb/500/4", "'max_ratio': 0", ""},
        {"/bomb", "'max_bytes': 5000000", "fetch.too_large"},
    };
    enum { CASES = sizeof cases / sizeof *cases };

    (void)state;
    for (size_t i = 0; i < CASES; i++)
        stage_make("{'url': 'http://%s%s', 'body': 'none', %s}", stage.http, cases[i].path,
                   cases[i].limits);
    stage_run_all();
    for (size_t i = 0; i < CASES; i++) {
        stage_expect(&stage.jobs[i], cases[i].type);
        assert_false(stage.jobs[i].outcome.retryable);
    }
}

/* Of a chunk libcurl counts what it has read only afterwards: a text that is packed well, but not
 * too well, must not be taken for a bomb because of that. */
static void a_packed_body_in_chunks_is_no_bomb(void **state)
{
    enum { LINES = 80000, LINE = 200 };
    static const char head[] = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: gzip\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    struct ag_buffer text = ag_buffer_empty(LINES * LINE), answer = ag_buffer_empty(1 << 20);
    z_stream packer = {0};
    uint8_t *packed = malloc(1 << 20);
    unsigned port;

    (void)state;
    for (int i = 0; i < LINES; i++)
        ag_buffer_printf(&text, "%0*d\n", LINE - 1, i);
    assert_int_equal(deflateInit2(&packer, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
    packer.next_in = text.data;
    packer.avail_in = (uInt)text.size;
    packer.next_out = packed;
    packer.avail_out = 1 << 20;
    assert_int_equal(deflate(&packer, Z_FINISH), Z_STREAM_END);
    print_message("%zu bytes out of %lu\n", text.size, packer.total_out);
    assert_in_range(text.size / packer.total_out, 20, 150);
    ag_buffer_text(&answer, head);
    ag_buffer_printf(&answer, "%lx\r\n", packer.total_out);
    ag_buffer_append(&answer, packed, packer.total_out);
    ag_buffer_text(&answer, "\r\n0\r\n\r\n");
    port = stage_serve(ag_buffer_bytes(&answer));
    for (int i = 0; i < 5; i++) {
        stage_make("{'url': 'http://127.0.0.1:%u/', 'body': 'none'}", port);
        stage_make("{'url': 'http://127.0.0.1:%u/', 'body': 'file', 'file': '%s/text'}", port,
                   stage.root);
    }
    stage_run_some(1);
    stage_expect_all("");
    stage_make("{'url': 'http://127.0.0.1:%u/', 'body': 'none', 'max_ratio': 15}", port);
    stage_make("{'url': 'http://127.0.0.1:%u/', 'body': 'none', 'max_wire_bytes': %lu}", port,
               packer.total_out - 1);
    stage_make("{'url': 'http://127.0.0.1:%u/', 'body': 'none', 'max_wire_bytes': %lu, "
               "'max_bytes': %zu}",
               port, packer.total_out, text.size);
    stage_run_all();
    stage_expect(&stage.jobs[10], "fetch.too_large");
    stage_expect(&stage.jobs[11], "fetch.too_large");
    stage_expect(&stage.jobs[12], "");
    deflateEnd(&packer);
    free(packed);
    ag_buffer_free(&text);
    ag_buffer_free(&answer);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(nobody_turns_for_nothing),
        TEST(many_hosts_do_not_stall),
        TEST(numbers_of_descriptors_come_back_as_something_else),
        TEST(connections_that_end_while_idle_are_forgotten),
        TEST(a_dip_in_concurrency_closes_no_warm_connections),
        TEST(kept_connections_are_not_more_than_a_few),
        TEST(a_kept_connection_that_ends_is_replaced),
        TEST(a_name_that_moves_is_followed_in_time),
        TEST(tenants_do_not_see_each_others_cookies),
        TEST(new_connections_do_not_parse_certificates),
        TEST(one_socket_carries_many_transfers),
        TEST(http_2_without_tls_works_more_than_once),
        TEST(a_hundred_transfers_to_one_name_are_one_lookup),
        TEST(a_dead_name_server_delays_nobody),
        TEST(names_fail_with_the_right_type),
        TEST(a_limit_of_time_begins_with_the_transfer),
        TEST(who_sends_a_byte_now_and_then_is_not_idle),
        TEST(a_body_is_measured_as_it_is_sent_and_as_it_is),
        TEST(a_packed_body_in_chunks_is_no_bomb),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
