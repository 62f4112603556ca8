/* The fetch engine alone, in a loop of one descriptor, against the server that misbehaves: types,
 * limits, files, many at once, stops, and that nothing stays behind. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
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

#include "common/clock.h"
#include "common/limits.h"
#include "tests/integration/fetch_stage.h"
#include "tests/integration/harness.h"
#include "worker/fetch/output.h"

/* ---- types
 * -------------------------------------------------------------------------------------------- */

#define LIMITS "'first_byte_ms': 400, 'idle_ms': 400, 'total_ms': 1500, 'max_bytes': 1000000"

static void every_misbehaviour_has_its_type(void **state)
{
    static const struct {
        const char *server, *path, *type;
        bool retryable;
    } cases[] = {
        {"http", "/bytes/0", "", false},
        {"http", "/bytes/100000", "", false},
        {"http", "/chunked/3/10", "", false},
        {"http", "/gzip", "", false},
        {"http", "/overlen", "", false},
        {"http", "/redirect/10", "", false},
        {"http", "/status/204", "", false},
        {"http", "/status/304", "", false},
        {"https", "/bytes/5", "", false},
        {"http", "/status/404", "fetch.http.client.404", false},
        {"http", "/status/408", "fetch.http.client.408", true},
        {"http", "/status/429", "fetch.http.client.429", true},
        {"http", "/status/500", "fetch.http.server.500", true},
        {"http", "/status/503", "fetch.http.server.503", true},
        {"http", "/redirect/11", "fetch.redirect", false},
        {"http", "/redirloop", "fetch.redirect", false},
        {"http", "/redirto/file:///etc/passwd", "fetch.policy", false},
        {"http", "/chunkcut", "fetch.truncated", true},
        {"http", "/badlen", "fetch.truncated", true},
        {"http", "/resetmid", "fetch.truncated", true},
        {"http", "/reset", "fetch.connect", true},
        {"http", "/empty", "fetch.connect", true},
        {"refused", "/", "fetch.connect", true},
        {"http", "/garbage", "fetch.protocol", false},
        {"http", "/hang", "fetch.timeout.first_byte", true},
        {"http", "/hanghead", "fetch.timeout.idle", true},
        {"http", "/slow/100/2000", "fetch.timeout.idle", true},
        {"http", "/slow/100000/20", "fetch.timeout.total", true},
        {"http", "/bytes/1000001", "fetch.too_large", false},
        {"http", "/chunked/20/100000", "fetch.too_large", false},
        {"http", "/big/2000000", "fetch.too_large", false},
        {"http", "/bomb", "fetch.too_large", false},
        {"http", "/hdrs/900", "", false},
        {"http", "/hdrs/1100", "fetch.too_large", false},
        {"http", "/hdrsize/90000", "", false},
        {"http", "/hdrsize/110000", "fetch.too_large", false},
        {"https-selfsigned", "/", "fetch.tls", false},
        {"https-expired", "/", "fetch.tls", false},
        {"https-wrongname", "/", "fetch.tls", false},
    };
    enum { CASES = sizeof cases / sizeof *cases };

    (void)state;
    for (size_t i = 0; i < CASES; i++)
        make("{'url': '%s://%s%s', " LIMITS "}",
             strncmp(cases[i].server, "https", 5) == 0 ? "https" : "http",
             harness_server(cases[i].server), cases[i].path);
    run_all();
    for (size_t i = 0; i < CASES; i++) {
        expect(&jobs[i], cases[i].type);
        if (jobs[i].outcome.retryable != cases[i].retryable)
            fail_msg("%s: retryable %d", cases[i].path, jobs[i].outcome.retryable);
    }
}

static void what_cannot_be_asked_is_refused_at_once(void **state)
{
    static const struct {
        const char *payload, *type;
    } cases[] = {
        {"{}", "rejected.payload"},
        {"[1]", "rejected.payload"},
        {"{'url': 'http://127.0.0.1/', 'headers': {'A': 'b\\nC: d'}}", "rejected.payload"},
        {"{'url': 'http://127.0.0.1/', 'head': true, 'data': 'x'}", "rejected.payload"},
        {"{'url': 'http://127.0.0.1/', 'body': 'file', 'file': '/etc/x'}", "fetch.policy"},
        {"{'url': 'http://127.0.0.1/', 'ca_file': '/dev/zero'}", "fetch.tls"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct job *job = make("%s", cases[i].payload);

        begin(job);
        expect(job, cases[i].type);
        assert_false(job->outcome.retryable);
    }
    expect_one("fetch.url", make("{'url': 'http://a b/'}"));
    expect_one("fetch.policy", make("{'url': 'gopher://127.0.0.1/'}"));
    expect_one("fetch.dns", make("{'url': 'http://no-such-host.invalid/'}"));
}

static void an_error_tells_what_is_known(void **state)
{
    json_t *error, *detail;

    (void)state;
    error = tree(&expect_one("fetch.http.client.404", make("{'url': 'http://%s/status/404'}", http))
                      ->outcome.error);
    detail = json_object_get(error, "detail");
    assert_string_equal(json_string_value(json_object_get(error, "message")), "Not Found");
    assert_non_null(strstr(json_string_value(json_object_get(error, "subject")), "/status/404"));
    assert_int_equal(json_integer_value(json_object_get(detail, "status")), 404);
    assert_string_equal(json_string_value(json_object_get(detail, "peer")), http);
    json_decref(error);
    error = tree(
        &expect_one("fetch.truncated", make("{'url': 'http://%s/badlen'}", http))->outcome.error);
    detail = json_object_get(error, "detail");
    assert_int_equal(json_integer_value(json_object_get(detail, "status")), 200);
    assert_non_null(json_string_value(json_object_get(detail, "curl")));
    json_decref(error);
}

static void a_status_is_a_better_reason_than_the_page_beside_it(void **state)
{
    static const char text[] = "HTTP/1.1 503 No\r\nContent-Length: 500\r\n\r\nsorry";

    (void)state;
    expect_one("fetch.http.server.503", make("{'url': 'http://127.0.0.1:%u/'}", answer_once(text)));
    expect_one("fetch.http.server.503",
               make("{'url': 'http://127.0.0.1:%u/', 'max_bytes': 3}", answer_once(text)));
    answered();
}

static void what_a_server_asks_to_wait_for_is_told_within_bounds(void **state)
{
    const struct job *job;

    (void)state;
    job = expect_one("fetch.http.server.503",
                     make("{'url': 'http://%s/status/503?retry_after=7'}", http));
    assert_int_equal(job->outcome.retry_after_ms, 7000);
    job = expect_one("fetch.http.server.503",
                     make("{'url': 'http://%s/status/503?retry_after=99999999'}", http));
    assert_int_equal(job->outcome.retry_after_ms, 24 * 3600 * 1000);
    job = expect_one("fetch.http.client.429",
                     make("{'url': 'http://127.0.0.1:%u/'}",
                          answer_once("HTTP/1.1 429 No\r\nContent-Length: 0\r\n"
                                      "Retry-After: Fri, 31 Dec 2099 23:59:59 GMT\r\n\r\n")));
    assert_int_equal(job->outcome.retry_after_ms, 24 * 3600 * 1000);
    answered();
}

/* ---- results
 * ------------------------------------------------------------------------------------------ */

static void repeated_headers_are_joined_and_cookies_kept_apart(void **state)
{
    json_t *result, *headers;

    (void)state;
    result = result_of(make(
        "{'url': 'http://127.0.0.1:%u/'}",
        answer_once("HTTP/1.1 200 OK\r\nX-Two: a\r\nSet-Cookie: a=1, b\r\nContent-Length: 2\r\n"
                    "x-TWO:   b  \r\nSet-Cookie: c=2\r\nEmpty:\r\n\r\nhi")));
    headers = json_object_get(result, "headers");
    assert_string_equal(text_at(headers, "x-two"), "a, b");
    assert_string_equal(text_at(headers, "set-cookie"), "a=1, b\nc=2");
    assert_true(json_is_string(json_object_get(headers, "empty")));
    assert_int_equal(json_object_size(headers), 4);
    assert_string_equal(text_at(result, "body"), "hi");
    json_decref(result);
    answered();
}

static void bodies_are_decoded_counted_and_text_or_bytes(void **state)
{
    json_t *result = result_of(make("{'url': 'http://%s/gzip'}", http));
    struct job *job;

    (void)state;
    assert_true(json_integer_value(json_object_get(result, "bytes")) >
                json_integer_value(json_object_get(result, "wire_bytes")));
    assert_int_equal(json_integer_value(json_object_get(result, "bytes")),
                     json_string_length(json_object_get(result, "body")));
    json_decref(result);
    result = result_of(make("{'url': 'http://%s/bytes/251'}", http));
    assert_true(json_is_object(json_object_get(result, "body"))); /* how JSON writes bytes */
    json_decref(result);
    job = make("{'url': 'http://%s/bytes/%d'}", http, 1 << 20);
    expect_one("", job);
    job = make("{'url': 'http://%s/bytes/%d'}", http, (1 << 20) + 1);
    expect_one("fetch.too_large", job);
    result = result_of(make("{'url': 'http://%s/bytes/3000000', 'body': 'none'}", http));
    assert_int_equal(json_integer_value(json_object_get(result, "bytes")), 3000000);
    assert_null(json_object_get(result, "body"));
    json_decref(result);
}

static void methods_reach_the_server_as_they_should(void **state)
{
    static const struct {
        const char *options, *method, *body, *length;
    } cases[] = {
        {"'head': false", "GET", "", ""},
        {"'data': 'some'", "POST", "some", "4"},
        {"'method': 'POST'", "POST", "", "0"},
        {"'method': 'PUT', 'data': 'x'", "PUT", "x", "1"},
        {"'method': 'PATCH'", "PATCH", "", "0"},
        {"'method': 'DELETE'", "DELETE", "", ""},
        {"'method': 'GET', 'data': 'q'", "GET", "q", "1"},
    };
    json_t *result;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *echo;

        result = result_of(make("{'url': 'http://%s/echo', %s}", http, cases[i].options));
        echo = json_loads(text_at(result, "body"), 0, NULL);
        assert_string_equal(text_at(echo, "method"), cases[i].method);
        assert_string_equal(text_at(echo, "body"), cases[i].body);
        assert_string_equal(text_at(json_object_get(echo, "headers"), "content-length"),
                            cases[i].length);
        json_decref(echo);
        json_decref(result);
    }
    result = result_of(make("{'url': 'http://%s/bytes/5', 'method': 'HEAD'}", http));
    assert_int_equal(json_integer_value(json_object_get(result, "status")), 200);
    assert_int_equal(json_integer_value(json_object_get(result, "bytes")), 0);
    json_decref(result);
}

static void connections_are_kept_also_over_tls(void **state)
{
    json_t *result;

    (void)state;
    for (int i = 0; i < 2; i++) { /* one after the other, in the slot that was freed last */
        result = result_of(make("{'url': 'https://%s/bytes/5'}", harness_server("https")));
        assert_int_equal(json_is_true(json_object_get(result, "reused")), i);
        assert_string_equal(text_at(result, "peer"), harness_server("https"));
        json_decref(result);
    }
}

/* ---- limits of time
 * ----------------------------------------------------------------------------------- */

static void expect_after(struct job *job, const char *type, int64_t ms)
{
    expect_one(type, job);
    if (lasted(job) < ms || lasted(job) > ms + LATE_MS)
        fail_msg("%s after %lld ms, not %lld", type, (long long)lasted(job), (long long)ms);
}

static void each_limit_of_time_strikes_when_it_is_over(void **state)
{
    (void)state;
    expect_after(make("{'url': 'http://%s/hang', 'first_byte_ms': 200}", http),
                 "fetch.timeout.first_byte", 200);
    expect_after(make("{'url': 'http://%s/slow/100/5000', 'idle_ms': 200}", http),
                 "fetch.timeout.idle", 200);
    expect_after(make("{'url': 'http://%s/hanghead', 'idle_ms': 200}", http), "fetch.timeout.idle",
                 200);
    expect_after(make("{'url': 'http://%s/hang', 'total_ms': 200}", http), "fetch.timeout.total",
                 200);
    /* The first byte of a redirect is not the first byte of its target. */
    expect_after(
        make("{'url': 'http://%s/redirto/http://%s/hang', 'first_byte_ms': 200}", http, http),
        "fetch.timeout.first_byte", 200);
    expect_after(make("{'url': 'http://%s/delay/300', 'idle_ms': 100}", http), "", 300);
}

static void connecting_has_a_limit_of_its_own(void **state)
{
    struct sockaddr_in address;
    int full = listen_at(&address, 0), waiting[4];

    (void)state;
    for (int i = 0; i < 4; i++) { /* nobody accepts: further ones get no answer at all */
        waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(waiting[i], (struct sockaddr *)&address, sizeof address);
    }
    expect_after(make("{'url': 'http://127.0.0.1:%u/', 'connect_ms': 200, 'first_byte_ms': 50}",
                      ntohs(address.sin_port)),
                 "fetch.timeout.connect", 200);
    expect_after(make("{'url': 'http://127.0.0.1:%u/', 'total_ms': 200}", ntohs(address.sin_port)),
                 "fetch.timeout.total", 200);
    /* Also behind a redirect, where a connection was made before. */
    expect_after(make("{'url': 'http://%s/redirto/http://127.0.0.1:%u/', 'connect_ms': 200}", http,
                      ntohs(address.sin_port)),
                 "fetch.timeout.connect", 200);
    for (int i = 0; i < 4; i++)
        close(waiting[i]);
    close(full);
}

/* ---- what may be reached
 * ------------------------------------------------------------------------------ */

static void private_addresses_are_refused_also_behind_names_and_redirects(void **state)
{
    char allowed[64];
    const char *port = strchr(http, ':');

    (void)state;
    engine->destroy(&engine);
    start_engine(SLOTS, NULL);
    expect_one("fetch.policy", make("{'url': 'http://%s/bytes/1'}", http));
    expect_one("fetch.policy", make("{'url': 'http://localhost%s/bytes/1'}", port));
    expect_one("fetch.policy", make("{'url': 'http://[::ffff:127.0.0.1]%s/bytes/1'}", port));
    expect_one("fetch.policy", make("{'url': 'http://2130706433%s/bytes/1'}", port));
    engine->destroy(&engine);
    snprintf(allowed, sizeof allowed, "%s", http);
    start_engine(SLOTS, allowed);
    expect_one("", make("{'url': 'http://%s/bytes/1'}", http));
    expect_one("fetch.policy",
               make("{'url': 'http://%s/redirto/https://%s/'}", http, harness_server("https")));
    expect_one("fetch.policy", make("{'url': 'http://%s/'}", harness_server("refused")));
}

/* ---- files
 * --------------------------------------------------------------------------------------------- */

static void a_failed_fetch_leaves_what_was_there(void **state)
{
    static const struct {
        const char *path, *more, *type;
    } cases[] = {
        {"/chunkcut", "", "fetch.truncated"},
        {"/status/404", "", "fetch.http.client.404"},
        {"/slow/100/5000", ", 'idle_ms': 100", "fetch.timeout.idle"},
        {"/big/100000", ", 'max_bytes': 50000", "fetch.too_large"},
        {"/bytes/5",
         ", 'sha256': '0000000000000000000000000000000000000000000000000000000000000000'",
         "fetch.checksum"},
        {"/etag", ", 'headers': {'If-None-Match': '\\\"v1\\\"'}", ""}, /* 304 */
    };
    const char *path = harness_path("root/kept");

    (void)state;
    harness_write(path, "old");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect_one(cases[i].type, make_file(cases[i].path, "kept", cases[i].more));
        assert_true(holds(path, "old"));
        assert_int_equal(count_entries(root), 3); /* ".", "..", kept */
    }
}

static void a_file_appears_when_it_is_whole(void **state)
{
    json_t *result;
    struct job *job = make_file("/slow/10/20", "deep/er//slow", "");
    struct stat info;
    char name[128];

    (void)state;
    begin(job);
    while (!job->done) {
        turn();
        if (stat(harness_path("root/deep/er/slow"), &info) == 0 && info.st_size != 10)
            fail_msg("half a file is there");
    }
    expect(job, "");
    assert_int_equal(access(harness_path("root/deep/er/slow"), F_OK), 0);
    assert_int_equal(count_entries(harness_path("root/deep/er")), 3);
    result = result_of(make_file("/bytes/100000", "{sha256}.bin", ""));
    snprintf(name, sizeof name, "%s.bin", text_at(result, "sha256"));
    assert_string_equal(strrchr(text_at(result, "file"), '/') + 1, name);
    assert_int_equal(access(text_at(result, "file"), F_OK), 0);
    assert_null(json_object_get(result, "body"));
    json_decref(result);
    result = result_of(make_file("/bytes/0", "empty", ""));
    assert_true(holds(text_at(result, "file"), ""));
    json_decref(result);
}

static void no_path_leads_out_of_the_root(void **state)
{
    const char *outside = harness_path("outside");

    (void)state;
    assert_int_equal(mkdir(outside, 0700), 0);
    assert_int_equal(symlink(outside, harness_path("root/link")), 0);
    assert_int_equal(symlink("..", harness_path("root/up")), 0);
    expect_one("fetch.output", make_file("/bytes/1", "../outside/x", ""));
    expect_one("fetch.output", make_file("/bytes/1", "link/x", ""));
    expect_one("", make_file("/bytes/1", "up/y", "")); /* ".." of a root is the root */
    assert_int_equal(access(harness_path("root/y"), F_OK), 0);
    assert_int_equal(count_entries(outside), 2);
    assert_int_equal(symlink(harness_path("outside/z"), harness_path("root/z")), 0);
    expect_one("", make_file("/bytes/1", "z", "")); /* takes the link's place */
    assert_int_equal(count_entries(outside), 2);
}

/* In a process of its own, from which openat2() is taken away. 0: all went as it should. */
static int write_without_openat2(const char *where)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), /* struct seccomp_data.nr */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    struct argosy_error err;
    char path[256];
    const char *written;
    output_t *output;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return 1;
    snprintf(path, sizeof path, "%s/a/b/c", where);
    if (output_new(&output, path, &where, 1, NULL, &err) < 0 ||
        output_write(output, "new", 3, &err) < 0 || output_commit(output, "", &written, &err) < 0)
        return 2;
    output_destroy(&output);
    snprintf(path, sizeof path, "%s/link/x", where);
    if (output_new(&output, path, &where, 1, NULL, &err) != ARGOSY_EIO)
        return 3;
    return 0;
}

static void files_are_written_also_where_there_is_no_openat2(void **state)
{
    int status;
    pid_t pid;

    (void)state;
    assert_int_equal(symlink("/", harness_path("root/link")), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(write_without_openat2(root));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(holds(harness_path("root/a/b/c"), "new"));
}

/* ---- many
 * ---------------------------------------------------------------------------------------------- */

static void two_hundred_answers_of_a_second_take_a_second(void **state)
{
    int64_t began_at = ag_clock_mono_ms(), took;

    (void)state;
    for (int i = 0; i < SLOTS; i++)
        make("{'url': 'http://%s/delay/1000'}", http);
    run_all();
    took = ag_clock_mono_ms() - began_at;
    for (int i = 0; i < SLOTS; i++)
        expect(&jobs[i], "");
    print_message("%d in %lld ms\n", SLOTS, (long long)took);
    assert_true(took < 1300 * SLOWER);
}

static void two_thousand_of_all_sorts_each_get_their_own(void **state)
{
    static const struct {
        const char *path, *type;
    } sorts[] = {
        {"/bytes/1000", ""},
        {"/page/7", ""},
        {"/status/404", "fetch.http.client.404"},
        {"/delay/5/10", ""},
        {"/reset", "fetch.connect"},
        {"/chunked", ""},
        {"/resetmid", "fetch.truncated"},
        {"/redirect/2", ""},
        {"/gzip", ""},
        {"/empty", "fetch.connect"},
    };
    enum { SORTS = sizeof sorts / sizeof *sorts };
    struct timespec before, after;

    (void)state;
    for (int i = 0; i < JOBS_MAX; i++)
        make("{'url': 'http://%s%s'}", http, sorts[i % SORTS].path);
    begin_next = true;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    while (begun < SLOTS)
        begin(&jobs[begun]);
    run_until(made);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    for (int i = 0; i < JOBS_MAX; i++)
        expect(&jobs[i], sorts[i % SORTS].type);
    print_message("%lld us of CPU for each\n",
                  (long long)((after.tv_sec - before.tv_sec) * 1000000 +
                              (after.tv_nsec - before.tv_nsec) / 1000) /
                      JOBS_MAX);
}

/* Where the length is not known beforehand, or nobody wants the body, nothing is made up. */
static void how_far_a_body_is_is_told_where_its_length_is_known(void **state)
{
    struct job *slow = make("{'url': 'http://%s/slow/10/20'}", http);
    struct job *packed = make("{'url': 'http://%s/gzip'}", http);
    struct job *far = make("{'url': 'http://%s/redirect/2'}", http);
    struct job *silent[] = {make("{'url': 'http://%s/bytes/10', 'head': true}", http),
                            make("{'url': 'http://%s/chunked'}", http),
                            make("{'url': 'http://%s/big/1000'}", http),
                            make("{'url': 'http://%s/status/404'}", http)};
    unsigned seen = 0, before = 0;

    (void)state;
    while (begun < made)
        begin(&jobs[begun]);
    while (!slow->done) {
        unsigned now = atomic_load(&slow->task.permille);

        if (now < 1000 && now != before) {
            assert_true(now > before && now % 100 == 0);
            before = now;
            seen++;
        }
        turn();
    }
    run_until(made);
    assert_true(seen >= 3); /* of nine; a machine that is busy shows fewer */
    assert_int_equal(slow->permille, 1000);
    assert_int_equal(packed->permille, 1000);
    assert_int_equal(far->permille, 1000);
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++)
        assert_int_equal(silent[i]->permille, AG_PERMILLE_UNKNOWN);
}

/* Each new host's robots.txt is a request in between. */
static void redirects_are_counted_across_robots_txt(void **state)
{
    const char *https = harness_server("https");

    (void)state;
    expect_one("", make("{'url': 'http://%s/redirto/https://%s/redirto/http://%s/page/1', "
                        "'max_redirects': 2, 'robots': true}",
                        http, https, http));
    engine->destroy(&engine);
    start_engine(SLOTS, "127.0.0.0/8"); /* which knows no robots.txt yet */
    expect_one("fetch.redirect",
               make("{'url': 'http://%s/redirto/https://%s/redirto/http://%s/page/1', "
                    "'max_redirects': 1, 'robots': true}",
                    http, https, http));
}

static void another_server_is_not_called_by_the_name_of_the_first(void **state)
{
    char answer[256];
    json_t *result;

    (void)state;
    snprintf(answer, sizeof answer,
             "HTTP/1.1 302 Found\r\nLocation: http://%s/echo\r\nContent-Length: 0\r\n\r\n", http);
    result = tree(&expect_one("", make("{'url': 'http://127.0.0.1:%u/', "
                                       "'headers': {'Host': 'first.test', 'X-Kept': 'yes'}}",
                                       answer_once(answer)))
                       ->outcome.result);
    answered();
    assert_null(strstr(text_at(result, "body"), "first.test"));
    assert_non_null(strstr(text_at(result, "body"), "x-kept"));
    json_decref(result);
}

static void what_a_server_says_in_a_message_is_text(void **state)
{
    static const char *const types[] = {"\xff\xfe/x", "a/\xc3\xa4\xff", "\xe2\x82"};

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const struct job *job;
        char answer[256];
        json_t *error;

        snprintf(answer, sizeof answer,
                 "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: 2\r\n\r\nhi", types[i]);
        job = expect_one("fetch.type",
                         make("{'url': 'http://127.0.0.1:%u/', 'accept_types': ['text/*']}",
                              answer_once(answer)));
        answered();
        error = tree(&job->outcome.error);
        assert_non_null(json_string_value(json_object_get(error, "message")));
        json_decref(error);
    }
}

static void a_stopped_fetch_ends_at_once_wherever_it_is(void **state)
{
    struct job *stopped[] = {
        make("{'url': 'http://%s/hang'}", http), make("{'url': 'http://%s/slow/1000/10'}", http),
        make_file("/slow/1000/10", "half", ""),
        make("{'url': 'http://%s/bytes/10'}", http), /* not even begun */
    };
    struct job *goes_on = make("{'url': 'http://%s/delay/300'}", http);
    int64_t until;

    (void)state;
    for (int i = 0; i < 3; i++)
        begin(stopped[i]);
    begun++;
    begin(goes_on);
    begun--;
    until = ag_clock_mono_ms() + 100;
    while (ag_clock_mono_ms() < until)
        turn();
    begin(stopped[3]);
    for (int i = 0; i < 4; i++) {
        assert_false(stopped[i]->done);
        atomic_store(&stopped[i]->task.stop, STOP_CANCEL);
        engine->stop(engine, &stopped[i]->task);
        expect(stopped[i], "cancelled");
    }
    assert_int_equal(count_entries(root), 2);
    run_until(5);
    expect(goes_on, "");
    expect_one("", make("{'url': 'http://%s/bytes/10'}", http));
}

static void an_engine_may_go_while_fetches_run(void **state)
{
    (void)state;
    begin(make("{'url': 'http://%s/hang'}", http));
    begin(make_file("/slow/1000/10", "half", ""));
    begin(make("{'url': 'http://localhost/'}"));
    for (int i = 0; i < 20; i++)
        turn();
    engine->destroy(&engine);
    assert_null(engine);
    assert_int_equal(count_entries(root), 2);
    start_engine(1, NULL);
}

static void a_wrong_configuration_is_refused(void **state)
{
    static const char *const nowhere[] = {"/no/such/directory"}, *const no_net[] = {"10.0.0.0/99",
                                                                                    NULL};
    const struct policy_config no_policy = {.nets = no_net};
    const struct fetch_config wrong[] = {
        {.slots = 0},
        {.slots = AG_SLOTS_MAX + 1},
        {.slots = 1, .ca_file = "/no/such/file"},
        {.slots = 1, .roots = nowhere, .roots_count = 1},
        {.slots = 1, .policy = &no_policy},
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct handler *none = NULL;
        struct argosy_error err = {0};

        assert_fails(fetch_handler_new(&none, &wrong[i], &err), ARGOSY_EINVAL);
        assert_null(none);
        assert_true(err.message[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FETCH_TEST(every_misbehaviour_has_its_type),
        FETCH_TEST(what_cannot_be_asked_is_refused_at_once),
        FETCH_TEST(an_error_tells_what_is_known),
        FETCH_TEST(a_status_is_a_better_reason_than_the_page_beside_it),
        FETCH_TEST(what_a_server_asks_to_wait_for_is_told_within_bounds),
        FETCH_TEST(repeated_headers_are_joined_and_cookies_kept_apart),
        FETCH_TEST(bodies_are_decoded_counted_and_text_or_bytes),
        FETCH_TEST(methods_reach_the_server_as_they_should),
        FETCH_TEST(connections_are_kept_also_over_tls),
        FETCH_TEST(each_limit_of_time_strikes_when_it_is_over),
        FETCH_TEST(connecting_has_a_limit_of_its_own),
        FETCH_TEST(private_addresses_are_refused_also_behind_names_and_redirects),
        FETCH_TEST(a_failed_fetch_leaves_what_was_there),
        FETCH_TEST(a_file_appears_when_it_is_whole),
        FETCH_TEST(no_path_leads_out_of_the_root),
        FETCH_TEST(files_are_written_also_where_there_is_no_openat2),
        FETCH_TEST(two_hundred_answers_of_a_second_take_a_second),
        FETCH_TEST(two_thousand_of_all_sorts_each_get_their_own),
        FETCH_TEST(how_far_a_body_is_is_told_where_its_length_is_known),
        FETCH_TEST(redirects_are_counted_across_robots_txt),
        FETCH_TEST(another_server_is_not_called_by_the_name_of_the_first),
        FETCH_TEST(what_a_server_says_in_a_message_is_text),
        FETCH_TEST(a_stopped_fetch_ends_at_once_wherever_it_is),
        FETCH_TEST(an_engine_may_go_while_fetches_run),
        FETCH_TEST(a_wrong_configuration_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
