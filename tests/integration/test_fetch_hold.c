/* How long one turn of the fetch engine holds the worker's loop, which has heartbeats to send
 * meanwhile: at most 30 ms with small jobs, 150 ms with bulk, 50 ms when names do not resolve
 * (30, 150 and 50 are the engine's targets; STAGE_SLOWER times that under a sanitizer).
 *
 * What is asserted is wall time less the time in which another process had the processor (struct
 * hold): a turn that sleeps is found, and a busy machine is no failure. What jobs that end are
 * followed by, the start of the next ones, is within the turn. */
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "tests/integration/fetch_loop.h"
#include "tests/integration/harness.h"
#include "tests/unit/cmocka_prelude.h"

enum { MANY_BYTES = 512 << 10, SMALL_MS = 30, BULK_MS = 150, DNS_MS = 50, SLOTS = 1000 };

/* ---- a disk that can be stopped
 * ----------------------------------------------------------------------- */

static pthread_t loop;
static pthread_mutex_t disk_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t disk_goes = PTHREAD_COND_INITIALIZER;
static bool disk_stands;
static unsigned disk_waiters;

ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    struct stat info;

    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
        pthread_mutex_lock(&disk_lock);
        disk_waiters++;
        while (disk_stands)
            pthread_cond_wait(&disk_goes, &disk_lock);
        disk_waiters--;
        pthread_mutex_unlock(&disk_lock);
        if (pthread_equal(pthread_self(), loop))
            fail_msg("the loop itself writes to a file");
    }
    return __real_write(fd, data, size);
}

static void stop_disk(bool stands)
{
    pthread_mutex_lock(&disk_lock);
    disk_stands = stands;
    pthread_cond_broadcast(&disk_goes);
    pthread_mutex_unlock(&disk_lock);
}

static unsigned waiting_for_disk(void)
{
    unsigned count;

    pthread_mutex_lock(&disk_lock);
    count = disk_stands ? disk_waiters : 0;
    pthread_mutex_unlock(&disk_lock);
    return count;
}

static int set_up(void **state)
{
    (void)state;
    loop = pthread_self();
    stage_begin(SLOTS);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stop_disk(false);
    return stage_end();
}

/* ---- small jobs
 * --------------------------------------------------------------------------------------- */

static void many_small_jobs(const char *what, size_t at_once)
{
    enum { MANY = 20000 / STAGE_SLOWER };

    for (int i = 0; i < MANY; i++)
        stage_make("{'url': 'http://%s/bytes/1000'}", stage.http);
    stage.forgets = true;
    stage_run_some(at_once);
    stage_expect_all("");
    print_message("%lld us of CPU for each\n", (long long)stage.cpu_us / MANY);
    stage_expect_hold(what, SMALL_MS);
}

static void a_hundred_small_jobs_at_once(void **state)
{
    (void)state;
    many_small_jobs("1 KB, 100 at once", 100);
}

static void a_thousand_small_jobs_at_once(void **state)
{
    (void)state;
    many_small_jobs("1 KB, 1000 at once", 1000);
}

static void a_burst_of_handshakes(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++)
        stage_make("{'url': 'https://%s/bytes/1000'}", harness_server("https"));
    stage_run_all();
    stage_expect_all("");
    stage_expect_hold("200 TLS handshakes", SMALL_MS);
}

/* libcurl parses a job's own certificates in the loop, once for each shard. */
static void certificates_of_a_job_s_own(void **state)
{
    static const char system_file[] = "/etc/ssl/certs/ca-certificates.crt";
    const char *many = harness_path("root/many.pem");
    char command[512];

    (void)state;
    if (access(system_file, R_OK) != 0) {
        print_message("no certificates of the system: skipped\n");
        return;
    }
    snprintf(command, sizeof command,
             "cp %s %s; while cat %s >>%s && [ $(cat %s %s | wc -c) -lt %d ]; do :; done",
             harness_server("ca"), many, system_file, many, many, system_file, MANY_BYTES);
    assert_int_equal(system(command), 0);
    stage_make("{'url': 'https://%s/bytes/10', 'ca_file': '%s'}", harness_server("https"), many);
    stage_run_all();
    stage_expect_hold("certificates of a job's own", DNS_MS);
    stage_expect_all("");
}

static void all_wait_for_one_name(void **state)
{
    const char *port = strchr(stage.http, ':');

    (void)state;
    stage_name("one.test", "127.0.0.1", 0, 100);
    for (int i = 0; i < SLOTS; i++)
        stage_make("{'url': 'http://one.test%s/bytes/10'}", port);
    stage_run_all();
    stage_expect_all("");
    assert_int_equal(stage_lookups("one.test"), 1);
    stage_expect_hold("1000 jobs for one name", SMALL_MS);
}

static void all_are_reset_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < SLOTS; i++)
        stage_make("{'url': 'http://%s/reset'}", stage.http);
    stage_run_all();
    stage_expect_all("fetch.connect");
    stage_expect_hold("1000 connections that are reset", SMALL_MS);
}

static void start_hanging(const char *more)
{
    for (int i = 0; i < SLOTS; i++)
        stage_make("{'url': 'http://%s/hang'%s}", stage.http, more);
    while (stage.begun < stage.made)
        stage_start(&stage.jobs[stage.begun]);
}

static void await_hanging(void)
{
    int64_t until = ag_clock_mono_ms() + 20000;

    while (stage_server_count("answering") < SLOTS) {
        for (int i = 0; i < 20; i++)
            stage_turn();
        assert_true(ag_clock_mono_ms() < until);
    }
}

static void all_time_out_at_once(void **state)
{
    (void)state;
    start_hanging(", 'total_ms': 1500");
    stage_run_until(SLOTS);
    stage_expect_hold("1000 that time out at once", SMALL_MS);
}

static void all_are_cancelled_at_once(void **state)
{
    (void)state;
    start_hanging("");
    await_hanging();
    stage_reset_hold();
    stage.longest = stage_hold_begin();
    for (int i = 0; i < SLOTS; i++)
        stage_stop(&stage.jobs[i]);
    stage.longest = stage_hold_end(&stage.longest);
    stage_expect_all("cancelled");
    stage_expect_hold("1000 stops", SMALL_MS);
    stage_reset_hold();
    for (int i = 0; i < 20; i++)
        stage_turn();
    stage_expect_hold("and what comes after them", SMALL_MS);
}

/* ---- what servers send
 * -------------------------------------------------------------------------------- */

static void headers_without_end(void **state)
{
    struct ag_buffer answer = ag_buffer_empty(1 << 20);

    (void)state;
    for (int i = 0; i < 100; i++)
        stage_make("{'url': 'http://%s/hdrs/990'}", stage.http);
    stage_run_some(100);
    stage_expect_all("");
    stage_expect_hold("100 answers with 1000 headers", SMALL_MS);
    stage_forget_jobs();
    stage_reset_hold();
    /* As many as may be, as long as may be, all of one name, or all alike at their beginning. */
    for (int kind = 0; kind < 2; kind++) {
        unsigned port;

        ag_buffer_clear(&answer);
        ag_buffer_text(&answer, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
        for (int i = 0; i < 990; i++)
            ag_buffer_printf(&answer, kind == 0 ? "%0200d: %d\r\n" : "%0200d: %d\r\n",
                             kind == 0 ? 0 : i, i);
        ag_buffer_text(&answer, "\r\n");
        port = stage_serve(ag_buffer_bytes(&answer));
        for (int i = 0; i < 20; i++)
            stage_make("{'url': 'http://127.0.0.1:%u/'}", port);
        stage_run_all();
        stage_expect_all("");
        stage_stop_serving();
        stage_forget_jobs();
        stage_expect_hold(kind == 0 ? "20 x 1000 headers of one name" : "20 x 1000 that look alike",
                          SMALL_MS);
        stage_reset_hold();
    }
    ag_buffer_free(&answer);
}

static void bodies_that_grow(void **state)
{
    (void)state;
    stage_make("{'url': 'http://%s/bomb/190/512', 'body': 'none'}", stage.http);
    stage_run_all();
    stage_expect_all("");
    stage_expect_hold("512 MB out of 3 MB", BULK_MS);
    stage_forget_jobs();
    stage_reset_hold();
    stage_make("{'url': 'http://%s/bomb', 'body': 'none', 'max_ratio': 0}", stage.http);
    stage_run_all();
    stage_expect_all("");
    stage_expect_hold("1 GB out of 1 MB", BULK_MS);
    stage_forget_jobs();
    stage_reset_hold();
    stage_make("{'url': 'http://%s/bomb', 'body': 'file', 'max_ratio': 0, 'file': '%s/bomb'}",
               stage.http, stage.root);
    stage_run_all();
    stage_expect_all("");
    stage_expect_hold("1 GB out of 1 MB, to a file", BULK_MS);
}

static void ask_with_robots(const char *what, unsigned port)
{
    for (int i = 0; i < SLOTS; i++)
        stage_make(
            "{'url': 'http://127.0.0.1:%u/x%d-%s', 'robots': true}", port, i,
            "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"
            "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
    stage_run_all();
    stage_expect_hold(what, SMALL_MS);
    stage_forget_jobs();
    stage_reset_hold();
}

static void rules_without_end(void **state)
{
    static const char *const lines[] = {"Disallow: /nothing/that/exists/%08d\n",
                                        "Disallow: /*a*b*c*d*e*%08d\n", "Disallow: /x*%d\n"};
    static const char *const names[] = {"500 KB of plain rules", "500 KB of rules with asterisks",
                                        "500 KB of rules that nearly match"};
    struct ag_buffer answer = ag_buffer_empty(1 << 20);

    (void)state;
    for (size_t kind = 0; kind < sizeof lines / sizeof *lines; kind++) {
        ag_buffer_clear(&answer);
        ag_buffer_text(&answer, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nUser-agent: *\n");
        for (int i = 0; answer.size < 500 << 10; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            ag_buffer_printf(&answer, lines[kind], i);
#pragma GCC diagnostic pop
        }
        ask_with_robots(names[kind], stage_serve(ag_buffer_bytes(&answer)));
        stage_stop_serving();
    }
    ag_buffer_free(&answer);
}

/* ---- bulk
 * --------------------------------------------------------------------------------------------- */

static void make_bulk(int count, const char *kind)
{
    for (int i = 0; i < count; i++)
        stage_make("{'url': 'http://%s/bytes/%d', 'body': '%s', 'file': '%s/bulk-%d'}", stage.http,
                   (100 << 20) / STAGE_SLOWER, kind, stage.root, i);
}

static void ten_large_files_at_once(void **state)
{
    (void)state;
    make_bulk(10, "file");
    stage_run_all();
    stage_expect_all("");
    stage_expect_hold("10 x 100 MB to files", BULK_MS);
}

static void ten_large_bodies_that_are_only_hashed(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        stage_make("{'url': 'http://%s/bytes/%d', 'body': 'none'}", stage.http,
                   (100 << 20) / STAGE_SLOWER);
    stage_run_all();
    stage_expect_all("");
    stage_expect_hold("10 x 100 MB to nowhere", BULK_MS);
}

/* Transfers whose disk stands still wait, without a time-out; others go on. */
static void a_disk_that_stands_still(void **state)
{
    int64_t until = ag_clock_mono_ms() + 20000, waits_until;
    size_t small;

    (void)state;
    stop_disk(true);
    for (int i = 0; i < 8; i++)
        stage_make("{'url': 'http://%s/bytes/20000000', 'body': 'file', 'file': '%s/stands-%d', "
                   "'idle_ms': 300}",
                   stage.http, stage.root, i);
    while (stage.begun < stage.made)
        stage_start(&stage.jobs[stage.begun]);
    while (waiting_for_disk() < 4) { /* as many as there are threads */
        stage_turn();
        assert_true(ag_clock_mono_ms() < until);
    }
    small = stage.made;
    for (int i = 0; i < 500; i++)
        stage_make("{'url': 'http://%s/bytes/1000'}", stage.http);
    stage.begin_next = true;
    while (stage.begun < small + 50)
        stage_start(&stage.jobs[stage.begun]);
    stage_run_until(500);
    stage.begin_next = false;
    waits_until =
        ag_clock_mono_ms() + 600; /* longer than idle_ms: it is not the sender who idles */
    while (ag_clock_mono_ms() < waits_until)
        stage_turn();
    for (size_t i = 0; i < small; i++)
        assert_false(stage.jobs[i].done);
    stage_stop(&stage.jobs[0]); /* ends when the disk lets go of it */
    stop_disk(false);
    stage_run_until(stage.made);
    stage_expect(&stage.jobs[0], "cancelled");
    for (size_t i = 1; i < stage.made; i++)
        stage_expect(&stage.jobs[i], "");
    stage_expect_hold("a disk that stands still", SMALL_MS);
}

/* ---- names
 * -------------------------------------------------------------------------------------------- */

/* Three seconds for each lookup: of these some are stopped, the others time out, and a host whose
 * name is known, a new one, and one without a name are not delayed. */
static void a_dead_name_server(void **state)
{
    const char *port = strchr(stage.http, ':');
    int64_t stops_at;
    size_t dead;

    (void)state;
    stage_name("known.test", "127.0.0.1", 0, 0);
    stage_name("new.test", "127.0.0.1", 0, 0);
    json_decref(stage_fetch("{'url': 'http://known.test%s/bytes/1'}", port));
    stage_forget_jobs();
    stage_reset_hold();
    for (int i = 0; i < 6; i++) { /* of eight threads */
        char name[32];

        snprintf(name, sizeof name, "dead-%d.test", i);
        stage_name(name, NULL, EAI_AGAIN, 3000);
    }
    for (int i = 0; i < 300; i++)
        stage_make("{'url': 'http://dead-%d.test%s/', '%s': 500}", i % 6, port,
                   i % 2 == 0 ? "connect_ms" : "total_ms");
    dead = stage.made;
    while (stage.begun < dead)
        stage_start(&stage.jobs[stage.begun]);
    for (int i = 0; i < 30; i++)
        stage_make("{'url': 'http://%s%s/bytes/10'}",
                   i % 3 == 0   ? "known.test"
                   : i % 3 == 1 ? "new.test"
                                : "127.0.0.1",
                   port);
    while (stage.begun < stage.made)
        stage_start(&stage.jobs[stage.begun]);
    stops_at = ag_clock_mono_ms() + 200;
    while (ag_clock_mono_ms() < stops_at)
        stage_turn();
    for (size_t i = dead; i < stage.made; i++)
        stage_expect(&stage.jobs[i], "");
    for (size_t i = 0; i < dead; i += 3) {
        struct hold stop = stage_hold_begin();

        stage_stop(&stage.jobs[i]);
        stop = stage_hold_end(&stop);
        stage_expect(&stage.jobs[i], "cancelled");
        assert_true(stop.held_us < DNS_MS * 1000 * STAGE_SLOWER);
    }
    stage_run_until(stage.made);
    for (size_t i = 0; i < dead; i++) {
        stage_expect(&stage.jobs[i], i % 3 == 0   ? "cancelled"
                                     : i % 2 == 0 ? "fetch.timeout.connect"
                                                  : "fetch.timeout.total");
        assert_true(stage.jobs[i].ended_at - stage.jobs[i].began_at < 1000 * STAGE_SLOWER);
    }
    assert_int_equal(stage_foreign_lookups(), 0);
    stage_expect_hold("a dead name server, stops and time-outs", DNS_MS);
    stage.longest = stage_hold_begin();
    stage_restart(SLOTS, harness_server("ca")); /* does not wait for it either */
    stage.longest = stage_hold_end(&stage.longest);
    stage_expect_hold("the engine's end meanwhile, and a new one", DNS_MS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_hundred_small_jobs_at_once),
        TEST(a_thousand_small_jobs_at_once),
        TEST(a_burst_of_handshakes),
        TEST(certificates_of_a_job_s_own),
        TEST(all_wait_for_one_name),
        TEST(all_are_reset_at_once),
        TEST(all_time_out_at_once),
        TEST(all_are_cancelled_at_once),
        TEST(headers_without_end),
        TEST(bodies_that_grow),
        TEST(rules_without_end),
        TEST(ten_large_files_at_once),
        TEST(ten_large_bodies_that_are_only_hashed),
        TEST(a_disk_that_stands_still),
        TEST(a_dead_name_server),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
