/* Fetches that are stopped, and engines that go, at every step on the way: nothing stays behind.
 * And file: URLs, whose way is a short one. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/integration/fetch_stage.h"
#include "tests/integration/harness.h"
#include "tests/unit/warc_reader.h"

/* ---- stops
 * -------------------------------------------------------------------------------------------------
 */

static const char *port(void)
{
    return strchr(http, ':');
}

/* Nothing but what the tests have put there: no parts, no archives that have nothing in them. */
static size_t hidden(void)
{
    DIR *folder = opendir(root);
    struct dirent *item;
    size_t count = 0;

    assert_non_null(folder);
    while ((item = readdir(folder)) != NULL)
        count += item->d_name[0] == '.' && strcmp(item->d_name, ".") != 0 &&
                 strcmp(item->d_name, "..") != 0;
    closedir(folder);
    return count;
}

enum { BIG = 3 << 20 };

/* A job of each sort, which the steps that it goes through make interesting to stop. */
enum { SORTS = 12 };

static struct job *make_sort(unsigned sort)
{
    static const char *const slow = "/slow/100000/1";

    switch (sort) {
    case 0: /* looking at a file, sending it */
        return make("{'url': 'http://%s/bytes/5', 'data_file': '%s/big', 'idempotent': true}", http,
                    root);
    case 1: /* looking at what is left */
        return make_file("/range/3000000?cut=2000000&times=9", "resumed", ", 'resume': true");
    case 2: /* resolving */
        return make("{'url': 'http://stuck.test%s/bytes/5'}", port());
    case 3: /* resolving for robots.txt */
        return make("{'url': 'http://stuck.test%s/bytes/5', 'robots': true}", port());
    case 4: /* robots.txt that comes late */
        return make("{'url': 'http://robots-slow.test%s/bytes/5', 'robots': true}", port());
    case 5: /* receiving into a file and an archive */
        return make("{'url': 'http://%s/bytes/%d', 'body': 'file', 'file': '%s/both', "
                    "'warc': '%s/warc'}",
                    http, BIG, root, root);
    case 6: /* archiving what is in memory */
        return make("{'url': 'http://%s/redirect/3', 'warc': '%s/warc'}", http, root);
    case 7: /* closing */
        return make_file("/bytes/3000000", "closed", "");
    case 8: /* copying */
        return make("{'url': 'file://%s/big', 'body': 'file', 'file': '%s/copy'}", root, root);
    case 9:
        return make_file(slow, "slow", "");
    case 10: /* between pages */
        return make("{'url': 'http://%s/pages/1/100', 'pages': 100, 'cookies': 'jar'}", http);
    default: /* archiving what is on the disk */
        return make("{'url': 'http://%s/bytes/%d', 'body': 'none', 'warc': '%s/warc'}", http, BIG,
                    root);
    }
}

static void allow_files(void)
{
    static const char *const schemes[] = {"http", "https", "file", NULL};

    policy.schemes = schemes;
    restart_engine();
    write_pattern(harness_path("root/big"), BIG);
}

/* What is there is whole, whatever was stopped. */
static void check_files(void)
{
    static const struct {
        const char *name;
        size_t size;
    } files[] = {{"root/both", BIG},
                 {"root/closed", 3000000},
                 {"root/copy", BIG},
                 {"root/resumed", 3000000}};

    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (access(harness_path(files[i].name), F_OK) == 0)
            assert_true(holds_pattern(harness_path(files[i].name), files[i].size));
    assert_int_equal(access(harness_path("root/slow"), F_OK), -1);
}

/* All that was archived can be read, whatever came in between. */
static void check_archives(void)
{
    static struct warc_entry entry;
    DIR *folder = opendir(root);
    struct dirent *item;

    assert_non_null(folder);
    while ((item = readdir(folder)) != NULL) {
        enum warc_read read;
        char path[512];
        FILE *file;

        if (strstr(item->d_name, ".warc.gz") == NULL)
            continue;
        assert_null(strstr(item->d_name, ".open"));
        snprintf(path, sizeof path, "%s/%s", root, item->d_name);
        file = fopen(path, "r");
        assert_non_null(file);
        while ((read = warc_read(file, &entry)) == WARC_READ_RECORD)
            ;
        assert_int_equal(read, WARC_READ_END);
        fclose(file);
    }
    closedir(folder);
}

/* After any number of turns: so every step is met, as long as the machine goes through them. */
static void a_stop_is_good_at_every_step(void **state)
{
    enum { TURNS = 24 };

    (void)state;
    allow_files();
    for (unsigned sort = 0; sort < SORTS; sort++) {
        for (unsigned turns = 0; turns < TURNS; turns++) {
            struct job *job = make_sort(sort);

            begin(job);
            for (unsigned i = 0; i < turns && !job->done; i++)
                turn_within(1);
            if (!job->done)
                stop_job(job);
            TURN_UNTIL(job->done);
            if (!job->outcome.succeeded && strcmp(job->outcome.type, "fetch.truncated") != 0)
                expect(job, "cancelled");
        }
        check_files();
    }
    let_names_go();
    expect_one("", make("{'url': 'http://%s/bytes/1'}", http)); /* it goes on */
    engine->destroy(&engine);
    /* What can be gone on with is meant to stay: a part, and what it is of. */
    assert_true(hidden() == 0 || hidden() == 2);
    check_archives();
}

/* By time, too: the steps that wait for others do not come with turns. */
static void a_stop_in_the_middle_of_many_hurts_nobody(void **state)
{
    enum { ROUNDS = 12, EACH = 4 };

    (void)state;
    allow_files();
    for (int round = 0; round < ROUNDS; round++) {
        size_t first = made, stopped = 0;
        int64_t until = ag_clock_mono_ms() + round * 7;

        for (unsigned sort = 0; sort < SORTS; sort++)
            for (int i = 0; i < EACH; i++)
                begin(make_sort(sort));
        while (ag_clock_mono_ms() < until)
            turn_within(1);
        for (size_t i = first; i < made; i++)
            if (!jobs[i].done && (i % 2 == 0 || round % 2 == 0)) {
                stop_job(&jobs[i]);
                stopped++;
            }
        assert_true(stopped > 0);
        if (round % 2 != 0)
            for (size_t i = first; i < made; i++)
                if (!jobs[i].done && i % 2 != 0)
                    stop_job(&jobs[i]);
        TURN_UNTIL(finished == made);
        check_files();
    }
    engine->destroy(&engine);
    assert_true(hidden() == 0 || hidden() == 2);
    check_archives();
}

static void a_task_that_was_stopped_is_stopped_once(void **state)
{
    struct job *job = make_file("/slow/100000/1", "slow", "");

    (void)state;
    begin(job);
    TURN_UNTIL(atomic_load(&job->task.permille) < 1000);
    stop_job(job);
    if (!job->done)
        engine->stop(engine, &job->task); /* while its file is removed */
    TURN_UNTIL(job->done);
    expect(job, "cancelled");
    assert_int_equal(count_entries(root), 2);
}

/* ---- engines that go
 * ----------------------------------------------------------------------------------------- */

static void an_engine_may_go_at_every_step(void **state)
{
    static const unsigned turns[] = {0, 1, 2, 3, 5, 8, 12, 20, 32};

    (void)state;
    allow_files();
    for (unsigned sort = 0; sort < SORTS; sort++)
        for (size_t i = 0; i < sizeof turns / sizeof *turns; i++) {
            for (int n = 0; n < 3; n++)
                begin(make_sort(sort));
            for (unsigned n = 0; n < turns[i]; n++)
                turn_within(1);
            restart_engine();
            check_files();
            forget_jobs();
        }
    let_names_go();
    expect_one("", make("{'url': 'http://%s/bytes/1'}", http));
    engine->destroy(&engine);
    assert_true(hidden() == 0 || hidden() == 2);
    check_archives();
}

static void an_engine_may_go_while_all_sorts_run(void **state)
{
    (void)state;
    allow_files();
    for (int ms = 0; ms < 60; ms += 4) {
        int64_t until = ag_clock_mono_ms() + ms;

        for (unsigned sort = 0; sort < SORTS; sort++)
            begin(make_sort(sort));
        while (ag_clock_mono_ms() < until)
            turn_within(1);
        restart_engine();
        check_files();
        check_archives();
        forget_jobs();
    }
}

/* ---- file: URLs
 * -------------------------------------------------------------------------------------------- */

static void file_urls_are_for_workers_that_allow_them(void **state)
{
    (void)state;
    harness_write(harness_path("root/small"), "hello");
    expect_error("fetch.policy", false, "--allow-scheme", make("{'url': 'file://%s/small'}", root));
}

static void file_urls_are_read_below_roots_only(void **state)
{
    const char *outside = harness_path("outside");
    json_t *result;
    char sha256[65];

    (void)state;
    allow_files();
    harness_write(harness_path("root/small"), "hello");
    harness_write(harness_path("root/with space"), "space");
    harness_write(harness_path("root/empty"), "");
    harness_write(outside, "secret");
    assert_int_equal(symlink(outside, harness_path("root/link")), 0);
    assert_int_equal(symlink("small", harness_path("root/inner")), 0);
    assert_int_equal(mkdir(harness_path("root/folder"), 0700), 0);
    assert_int_equal(mkfifo(harness_path("root/pipe"), 0600), 0);
    result = result_of(make("{'url': 'file://%s/small'}", root));
    assert_string_equal(text_at(result, "body"), "hello");
    assert_int_equal(number_at(result, "bytes"), 5);
    assert_string_equal(text_at(result, "sha256"),
                        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    json_decref(result);
    result = result_of(make("{'url': 'file://%s/inner'}", root));
    assert_string_equal(text_at(result, "body"), "hello");
    json_decref(result);
    result = result_of(make("{'url': 'file://%s/with%%20space'}", root));
    assert_string_equal(text_at(result, "body"), "space");
    json_decref(result);
    result = result_of(make("{'url': 'file://%s/empty'}", root));
    assert_int_equal(number_at(result, "bytes"), 0);
    json_decref(result);
    pattern_sha256(BIG, sha256);
    result = result_of(make("{'url': 'file://%s/big', 'body': 'file', 'file': '%s/copy', "
                            "'sha256': '%s'}",
                            root, root, sha256));
    assert_true(holds_pattern(harness_path("root/copy"), BIG));
    json_decref(result);
    result = result_of(make("{'url': 'file://%s/big', 'body': 'none'}", root));
    assert_string_equal(text_at(result, "sha256"), sha256);
    assert_int_equal(number_at(result, "bytes"), BIG);
    json_decref(result);

    expect_error("fetch.policy", false, "", make("{'url': 'file:///etc/passwd'}"));
    expect_error("fetch.policy", false, "", make("{'url': 'file://%s'}", outside));
    expect_error("fetch.file", false, "", make("{'url': 'file://%s/missing'}", root));
    expect_error("fetch.file", false, "", make("{'url': 'file://%s/link'}", root));
    expect_error("fetch.file", false, "", make("{'url': 'file://%s/folder'}", root));
    expect_error("fetch.file", false, "", make("{'url': 'file://%s/pipe'}", root));
    expect_one("fetch.too_large", make("{'url': 'file://%s/big'}", root));
    expect_one("fetch.too_large", make("{'url': 'file://%s/big', 'body': 'none', "
                                       "'max_bytes': 3000000}",
                                       root));
    expect_one(
        "fetch.checksum",
        make("{'url': 'file://%s/small', 'body': 'file', 'file': '%s/wrong', 'sha256': '%s'}", root,
             root, sha256));
    assert_int_equal(access(harness_path("root/wrong"), F_OK), -1);
    expect_one("fetch.url", make("{'url': 'file://%s/small', 'data': 'x'}", root));
}

static void dots_do_not_lead_out_of_a_root(void **state)
{
    (void)state;
    allow_files();
    harness_write(harness_path("outside"), "secret");
    make("{'url': 'file://%s/../outside'}", root);
    make("{'url': 'file://%s/%%2e%%2e/outside'}", root);
    make("{'url': 'file://%s/..%%2foutside'}", root);
    make("{'url': 'file://%s/x/../../outside'}", root);
    make("{'url': 'file://%s/small%%00x'}", root);
    make("{'url': 'file://elsewhere%s/small'}", root);
    run_all();
    for (size_t i = 0; i < made; i++)
        if (jobs[i].outcome.succeeded || jobs[i].outcome.retryable)
            fail_msg("job %zu: '%s'", i, jobs[i].outcome.type);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FETCH_TEST(a_stop_is_good_at_every_step),
        FETCH_TEST(a_stop_in_the_middle_of_many_hurts_nobody),
        FETCH_TEST(a_task_that_was_stopped_is_stopped_once),
        FETCH_TEST(an_engine_may_go_at_every_step),
        FETCH_TEST(an_engine_may_go_while_all_sorts_run),
        FETCH_TEST(file_urls_are_for_workers_that_allow_them),
        FETCH_TEST(file_urls_are_read_below_roots_only),
        FETCH_TEST(dots_do_not_lead_out_of_a_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
