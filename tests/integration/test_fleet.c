/* A fleet by hand: a broker, workers and clients as processes of their own, and what can go wrong.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "common/random.h"
#include "tests/integration/harness.h"
#include "tests/unit/cmocka_prelude.h"

struct fleet {
    const char *endpoint;
    pid_t broker, workers[3];
};

static int set_up(void **state)
{
    struct fleet *fleet = calloc(1, sizeof *fleet);
    const char *log;

    harness_begin();
    *state = fleet;
    log = harness_path("broker.log");
    fleet->broker = START(log, "argosy-broker", "--bind", "tcp://127.0.0.1:*", "--heartbeat",
                          "300ms", "--grace", "5s");
    fleet->endpoint = harness_await(log, "endpoint=");
    harness_await(log, "msg=ready");
    return 0;
}

static int tear_down(void **state)
{
    harness_end();
    free(*state);
    return 0;
}

static void start_worker(struct fleet *fleet, unsigned place, const char *slots)
{
    char name[16], log_name[32];
    const char *log;

    snprintf(name, sizeof name, "w%u", place);
    snprintf(log_name, sizeof log_name, "w%u.log", place);
    log = harness_path(log_name);
    fleet->workers[place] =
        START(log, "argosy-worker", "--connect", fleet->endpoint, "--name", name, "--slots", slots,
              "--allow-net", "127.0.0.0/8", "--root", "/usr/include", "--grace", "5s");
    harness_await(log, "msg=connected");
}

/* So many URLs, each of which takes so long, in a file. */
static const char *write_slow(unsigned count, unsigned ms)
{
    const char *path = harness_path("slow.txt"), *http = harness_server("http");
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    for (unsigned i = 0; i < count; i++)
        fprintf(file, "http://%s/delay/%u?%u\n", http, ms, i);
    fclose(file);
    return path;
}

static char *submit_detached(struct fleet *fleet, const char *urls)
{
    struct ran ran = RUN("argosy", "fetch", "--connect", fleet->endpoint, "--detach", "-i", urls);
    char *id;

    assert_int_equal(ran.code, 0);
    assert_int_equal(strlen(ran.out), 27);
    ran.out[26] = '\0';
    id = strdup(ran.out);
    ran_free(&ran);
    return id;
}

static json_t *status_of(struct fleet *fleet)
{
    struct ran ran = RUN("argosy", "status", "--json", "--connect", fleet->endpoint);
    json_t *lines = harness_json_lines(ran.out), *status;

    assert_int_equal(ran.code, 0);
    status = json_incref(json_array_get(lines, 0));
    json_decref(lines);
    ran_free(&ran);
    return status;
}

static json_int_t jobs_in(struct fleet *fleet, const char *state)
{
    json_t *status = status_of(fleet);
    json_int_t count = json_integer_value(json_object_get(json_object_get(status, "jobs"), state));

    assert_int_equal(json_integer_value(json_object_get(status, "unaccounted_jobs")), 0);
    json_decref(status);
    return count;
}

static void await_jobs_in(struct fleet *fleet, const char *state, json_int_t at_least)
{
    for (int i = 0; jobs_in(fleet, state) < at_least; i++)
        if (i > 500)
            fail_msg("never %lld jobs %s", (long long)at_least, state);
}

/* ---- losing and leaving
 * ---------------------------------------------------------------------------------- */

static void a_killed_worker_loses_no_job_and_doubles_none(void **state)
{
    struct fleet *fleet = *state;
    const json_t *line;
    struct ran ran;
    json_t *lines;
    size_t i, lost = 0;
    char *id;

    for (unsigned place = 0; place < 3; place++)
        start_worker(fleet, place, "fetch=10");
    id = submit_detached(fleet, write_slow(90, 200));
    await_jobs_in(fleet, "running", 30);
    harness_stop(fleet->workers[1], SIGKILL);
    ran = RUN("argosy", "result", "--json", "--connect", fleet->endpoint, id);
    lines = harness_json_lines(ran.out);
    assert_int_equal(ran.code, 0);
    assert_int_equal(json_array_size(lines), 90);
    json_array_foreach(lines, i, line)
    {
        const json_t *attempts = json_object_get(line, "attempts");
        const json_t *type = json_object_get(json_array_get(attempts, 0), "type");

        assert_string_equal(json_string_value(json_object_get(line, "state")), "succeeded");
        if (type != NULL) {
            assert_string_equal(json_string_value(type), "lost.worker");
            lost++;
        }
    }
    assert_in_range(lost, 10, 13); /* its slots and what it had read ahead */
    assert_int_equal(jobs_in(fleet, "succeeded"), 90);
    json_decref(lines);
    ran_free(&ran);
    free(id);
}

static void a_worker_told_to_leave_hands_back_what_it_has_not_begun(void **state)
{
    struct fleet *fleet = *state;
    const json_t *line;
    json_t *lines;
    struct ran ran;
    size_t i;
    char *id;

    start_worker(fleet, 0, "fetch=4");
    id = submit_detached(fleet, write_slow(12, 300));
    await_jobs_in(fleet, "running", 4);
    kill(fleet->workers[0], SIGTERM);
    start_worker(fleet, 1, "fetch=4");
    assert_int_equal(harness_stop(fleet->workers[0], 0), 0);
    ran = RUN("argosy", "result", "--json", "--connect", fleet->endpoint, id);
    lines = harness_json_lines(ran.out);
    assert_int_equal(ran.code, 0);
    assert_int_equal(json_array_size(lines), 12);
    json_array_foreach(lines, i, line) /* leaving in order is nobody's failure */
        assert_null(json_object_get(line, "attempts"));
    json_decref(lines);
    ran_free(&ran);
    free(id);
}

static void a_second_signal_stops_a_worker_at_once(void **state)
{
    struct fleet *fleet = *state;
    char *id;

    start_worker(fleet, 0, "fetch=4");
    id = submit_detached(fleet, write_slow(4, 60000));
    await_jobs_in(fleet, "running", 4);
    kill(fleet->workers[0], SIGTERM);
    harness_await(harness_path("w0.log"), "leaving");
    assert_int_equal(harness_stop(fleet->workers[0], SIGTERM), 0);
    free(id);
}

static void a_broker_told_to_stop_waits_for_what_runs(void **state)
{
    struct fleet *fleet = *state;
    const char *log = harness_path("broker.log");
    struct ran ran;
    char *id;

    start_worker(fleet, 0, "fetch=4");
    id = submit_detached(fleet, write_slow(4, 400));
    await_jobs_in(fleet, "running", 4);
    kill(fleet->broker, SIGTERM);
    harness_await(log, "stopping");
    ran = RUN("argosy", "fetch", "--connect", fleet->endpoint, "--detach", "http://x.invalid/");
    assert_int_not_equal(ran.code, 0);
    ran_free(&ran);
    assert_int_equal(harness_stop(fleet->broker, 0), 0);
    harness_await(log, "unaccounted=0");
    free(id);
}

static void a_worker_outlives_its_broker_and_finds_the_next_one(void **state)
{
    struct fleet *fleet = *state;
    const char *log = harness_path("second.log");
    struct ran ran;

    start_worker(fleet, 0, "fetch=4");
    assert_int_equal(harness_stop(fleet->broker, SIGKILL), 128 + SIGKILL);
    fleet->broker = START(log, "argosy-broker", "--bind", fleet->endpoint);
    harness_await(log, "msg=ready");
    ran =
        RUN("argosy", "fetch", "--connect", fleet->endpoint, "--retries", "0", "http://x.invalid/");
    assert_int_equal(ran.code, 1);
    assert_non_null(strstr(ran.err, "fetch.dns"));
    ran_free(&ran);
}

/* Found in review: what had come while it was stopped was not read before silence was judged. */
static void a_broker_that_was_paused_loses_nobody(void **state)
{
    struct fleet *fleet = *state;
    struct ran ran;
    char *id;

    start_worker(fleet, 0, "fetch=4");
    id = submit_detached(fleet, write_slow(4, 2500));
    await_jobs_in(fleet, "running", 4);
    kill(fleet->broker, SIGSTOP);
    usleep(1500000); /* five heartbeats; nothing to wait for in a stopped process */
    kill(fleet->broker, SIGCONT);
    ran = RUN("argosy", "result", "--json", "--connect", fleet->endpoint, id);
    assert_int_equal(ran.code, 0);
    assert_null(strstr(ran.out, "lost.worker"));
    ran_free(&ran);
    free(id);
}

/* Its session ends meanwhile; it comes back at its cursor and is told the rest, nothing twice. */
static void a_client_that_was_paused_misses_nothing(void **state)
{
    struct fleet *fleet = *state;
    const char *log = harness_path("client.log"), *out = harness_path("out.json");
    struct ran ran;
    json_t *lines;
    pid_t client;
    bool seen[40] = {false};
    const json_t *line;
    size_t i;

    start_worker(fleet, 0, "fetch=2");
    client = START(log, "argosy", "fetch", "--connect", fleet->endpoint, "--json", "--output", out,
                   "-i", write_slow(40, 100));
    await_jobs_in(fleet, "running", 2);
    kill(client, SIGSTOP);
    usleep(1500000); /* five heartbeats; nothing to wait for in a stopped process */
    kill(client, SIGCONT);
    assert_int_equal(harness_stop(client, 0), 0);
    ran = harness_run((const char *const[]){"/bin/cat", out, NULL}, NULL);
    lines = harness_json_lines(ran.out);
    assert_int_equal(json_array_size(lines), 41);
    json_array_foreach(lines, i, line)
    {
        const json_t *index = json_object_get(line, "index");

        if (index == NULL)
            continue;
        assert_false(seen[json_integer_value(index)]);
        seen[json_integer_value(index)] = true;
    }
    json_decref(lines);
    ran_free(&ran);
}

static void a_broker_that_forgot_a_batch_is_not_waited_for(void **state)
{
    struct fleet *fleet = *state;
    const char *log = harness_path("client.log"), *second = harness_path("second.log");
    pid_t client;

    start_worker(fleet, 0, "fetch=2");
    client = START(log, "argosy", "fetch", "--connect", fleet->endpoint, "--progress", "always",
                   "-i", write_slow(10, 60000));
    harness_await(
        log, "3 running"); /* one of them ahead; so the client knows that its batch was accepted */
    harness_stop(fleet->broker, SIGKILL);
    fleet->broker = START(second, "argosy-broker", "--bind", fleet->endpoint, "--store", "memory");
    harness_await(second, "msg=ready");
    assert_int_equal(harness_stop(client, 0), 3);
    harness_await(log, "was restarted and has forgotten the batch");
}

/* ---- batches from several commands
 * ------------------------------------------------------------------------ */

static void a_detached_batch_is_waited_for_reported_and_cancelled(void **state)
{
    struct fleet *fleet = *state;
    const char *http = harness_server("http"), *urls = harness_path("urls.txt");
    char text[256];
    struct ran ran;
    char *id;

    start_worker(fleet, 0, "fetch=2");
    snprintf(text, sizeof text, "http://%s/status/404\nhttp://%s/bytes/5\n", http, http);
    harness_write(urls, text);
    id = submit_detached(fleet, urls);
    ran = RUN("argosy", "wait", "--connect", fleet->endpoint, id);
    assert_int_equal(ran.code, 1);
    assert_non_null(strstr(ran.out, "1 succeeded, 1 failed, 0 cancelled of 2"));
    ran_free(&ran);
    ran = RUN("argosy", "report", "--connect", fleet->endpoint, id, "--only", "fetch.http");
    assert_non_null(strstr(ran.out, "fetch.http.client.404: Not Found"));
    ran_free(&ran);
    ran = RUN("argosy", "report", "--connect", fleet->endpoint, id, "--not", "fetch.http");
    assert_string_equal(ran.out, "");
    ran_free(&ran);
    free(id);

    id = submit_detached(fleet, write_slow(50, 60000));
    ran = RUN("argosy", "wait", "--timeout", "100ms", "--connect", fleet->endpoint, id);
    assert_int_equal(ran.code, 4);
    ran_free(&ran);
    ran = RUN("argosy", "cancel", "--connect", fleet->endpoint, id);
    assert_int_equal(ran.code, 0);
    ran_free(&ran);
    ran = RUN("argosy", "wait", "--connect", fleet->endpoint, id);
    assert_non_null(strstr(ran.out, "0 succeeded, 0 failed, 50 cancelled of 50"));
    assert_int_equal(ran.code, 1);
    ran_free(&ran);
    free(id);
}

static void a_batch_over_its_deadline_says_so(void **state)
{
    struct fleet *fleet = *state;
    struct ran ran;

    start_worker(fleet, 0, "fetch=2");
    ran = RUN("argosy", "fetch", "--connect", fleet->endpoint, "--deadline", "300ms", "-i",
              write_slow(3, 60000));
    assert_int_equal(ran.code, 4);
    assert_non_null(strstr(ran.err, "timeout.group"));
    ran_free(&ran);
}

static void a_run_limit_is_a_typed_failure(void **state)
{
    struct fleet *fleet = *state;
    struct ran ran;

    start_worker(fleet, 0, "fetch=2");
    ran = RUN("argosy", "fetch", "--connect", fleet->endpoint, "--run-timeout", "200ms",
              "--retries", "0", "-i", write_slow(1, 60000));
    assert_int_equal(ran.code, 1);
    assert_non_null(strstr(ran.err, "timeout.run"));
    ran_free(&ran);
}

static void a_kind_that_nobody_offers_waits_for_its_time(void **state)
{
    struct fleet *fleet = *state;
    struct ran ran = RUN("argosy", "submit", "--connect", fleet->endpoint, "--queue-timeout",
                         "200ms", "cook", "{\"path\":\"/eggs\"}");

    assert_int_equal(ran.code, 1);
    assert_non_null(strstr(ran.err, "timeout.queue"));
    assert_non_null(strstr(ran.err, "/eggs"));
    ran_free(&ran);
}

static void a_batch_that_waits_for_a_worker_says_so(void **state)
{
    struct fleet *fleet = *state;
    const char *log = harness_path("client.log");
    pid_t client = START(log, "argosy", "submit", "--connect", fleet->endpoint, "cook");

    harness_await(log, "no worker offers the kind 'cook' yet");
    assert_int_equal(harness_stop(client, SIGINT), 130);
}

static void a_worker_keeps_to_its_networks_and_roots(void **state)
{
    struct fleet *fleet = *state;
    const char *log = harness_path("strict.log");
    struct ran ran;
    char url[128];

    START(log, "argosy-worker", "--connect", fleet->endpoint);
    harness_await(log, "msg=connected");
    snprintf(url, sizeof url, "http://%s/", harness_server("http"));
    ran = RUN("argosy", "fetch", "--connect", fleet->endpoint, url);
    assert_int_equal(ran.code, 1);
    assert_non_null(strstr(ran.err, "fetch.policy"));
    assert_non_null(strstr(ran.err, "--allow-net"));
    ran_free(&ran);
    ran = RUN("argosy", "analyze", "--connect", fleet->endpoint, "/usr/include");
    assert_int_equal(ran.code, 1);
    assert_non_null(strstr(ran.err, "analyze.source.denied"));
    assert_non_null(strstr(ran.err, "--root"));
    ran_free(&ran);
}

static void ctrl_c_cancels_and_reports(void **state)
{
    struct fleet *fleet = *state;
    const char *log = harness_path("client.log");
    pid_t client;

    start_worker(fleet, 0, "fetch=2");
    client =
        START(log, "argosy", "fetch", "--connect", fleet->endpoint, "-i", write_slow(20, 60000));
    await_jobs_in(fleet, "running", 2);
    assert_int_equal(harness_stop(client, SIGINT), 130);
    harness_await(log, "interrupted");
    assert_int_equal(
        jobs_in(fleet, "running") + jobs_in(fleet, "queued") + jobs_in(fleet, "cancelling"), 0);
}

/* ---- what is not ours on the broker's port
 * ------------------------------------------------------------------ */

static void send_raw(const char *endpoint, const void *data, size_t size)
{
    const char *colon = strrchr(endpoint, ':');
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(colon + 1)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    if (send(fd, data, size, MSG_NOSIGNAL) < 0) {
        /* The broker may hang up in the middle; that is its right. */
    }
    close(fd);
}

static void random_bytes_do_not_disturb_the_broker(void **state)
{
    struct fleet *fleet = *state;
    struct ag_random random;
    uint64_t noise[512];

    ag_random_seed(&random, 4711);
    for (int i = 0; i < 200; i++) {
        for (size_t k = 0; k < 512; k++)
            noise[k] = ag_random_next(&random);
        send_raw(fleet->endpoint, noise, 1 + (size_t)ag_random_next(&random) % sizeof noise);
    }
    send_raw(fleet->endpoint, "GET / HTTP/1.1\r\n\r\n", 18);
    send_raw(fleet->endpoint, "\xff\0\0\0\0\0\0\0\1\x7f", 10); /* half a ZMTP greeting */
    json_decref(status_of(fleet));
}

/* Over a real connection: bombs, unknown messages, messages that nobody may say yet. */
static void bad_messages_are_refused_and_counted(void **state)
{
    struct fleet *fleet = *state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *type;
    } messages[] = {
        {"\xdd\xff\xff\xff\xff", 5, "rejected.malformed"}, /* 4 G elements */
        {"\xdd\x0f\xff\xff\xff\xdd\x0f\xff\xff\xff", 10, "rejected.malformed"},
        {"\x91\xcd\x03\xe7", 4, "rejected.message"}, /* number 999 */
        {"\x91\x14", 2, "rejected.malformed"},       /* SUBMIT without fields */
        {"\x92\x04\x01", 3, "rejected.session"},     /* PING before HELLO */
        {"", 0, "rejected.malformed"},
    };
    void *context = zmq_ctx_new();
    json_t *status;

    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        void *socket = zmq_socket(context, ZMQ_DEALER);
        int limit_ms = 10000, zero = 0;
        char answer[512] = "";
        int size;

        zmq_setsockopt(socket, ZMQ_RCVTIMEO, &limit_ms, sizeof limit_ms);
        zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero);
        assert_int_equal(zmq_connect(socket, fleet->endpoint), 0);
        assert_true(zmq_send(socket, messages[i].bytes, messages[i].size, 0) >= 0);
        size = zmq_recv(socket, answer, sizeof answer - 1, 0);
        assert_true(size > 0);
        if (memmem(answer, (size_t)size, messages[i].type, strlen(messages[i].type)) == NULL)
            fail_msg("message %zu: not %s but %.*s", i, messages[i].type, size, answer);
        zmq_close(socket);
    }
    zmq_ctx_term(context);
    status = status_of(fleet);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(status, "counters"), "rejected")),
        sizeof messages / sizeof *messages);
    json_decref(status);
}

static void two_brokers_do_not_share_a_socket(void **state)
{
    const char *log = harness_path("one.log"), *other = harness_path("two.log");
    char endpoint[128];
    pid_t second;

    (void)state;
    snprintf(endpoint, sizeof endpoint, "ipc://%s", harness_path("socket"));
    START(log, "argosy-broker", "--bind", endpoint, "--store", "memory");
    harness_await(log, "msg=ready");
    second = START(other, "argosy-broker", "--bind", endpoint, "--store", "memory");
    assert_int_equal(harness_stop(second, 0), 3);
    harness_await(other, "another broker listens on");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_killed_worker_loses_no_job_and_doubles_none),
        TEST(a_worker_told_to_leave_hands_back_what_it_has_not_begun),
        TEST(a_second_signal_stops_a_worker_at_once),
        TEST(a_broker_told_to_stop_waits_for_what_runs),
        TEST(a_broker_that_was_paused_loses_nobody),
        TEST(a_worker_outlives_its_broker_and_finds_the_next_one),
        TEST(a_client_that_was_paused_misses_nothing),
        TEST(a_broker_that_forgot_a_batch_is_not_waited_for),
        TEST(a_detached_batch_is_waited_for_reported_and_cancelled),
        TEST(a_batch_over_its_deadline_says_so),
        TEST(a_run_limit_is_a_typed_failure),
        TEST(a_kind_that_nobody_offers_waits_for_its_time),
        TEST(a_batch_that_waits_for_a_worker_says_so),
        TEST(a_worker_keeps_to_its_networks_and_roots),
        TEST(ctrl_c_cancels_and_reports),
        TEST(random_bytes_do_not_disturb_the_broker),
        TEST(bad_messages_are_refused_and_counted),
        TEST(two_brokers_do_not_share_a_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
