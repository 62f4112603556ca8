/* Going on where an earlier attempt has ended: what may be gone on with, and that a file is never
 * put together from what does not belong together. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/fetch_stage.h"
#include "tests/integration/harness.h"

enum { SIZE = 1000000, CUT = 600000 };

#define CUT_PATH "/range/1000000?cut=600000"
#define RESUME ", 'resume': true"

static const char *file(void)
{
    return harness_path("root/file");
}

/* The hidden part is `size` bytes now. */
static void expect_part(off_t size)
{
    DIR *folder = opendir(root);
    off_t found = -1;
    struct dirent *entry;

    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        struct stat info;

        if (strncmp(entry->d_name, ".argosy-", 8) == 0 && strstr(entry->d_name, ".part") != NULL &&
            fstatat(dirfd(folder), entry->d_name, &info, 0) == 0)
            found = info.st_size;
    }
    closedir(folder);
    assert_int_equal(found, size);
}

/* Whole, with its digest, and nothing hidden beside it. */
static json_t *expect_whole(const struct job *job)
{
    json_t *result = result_of(job);
    char sha256[65];

    pattern_sha256(SIZE, sha256);
    assert_string_equal(text_at(result, "sha256"), sha256);
    assert_int_equal(number_at(result, "bytes"), SIZE);
    assert_true(holds_pattern(file(), SIZE));
    assert_int_equal(count_entries(root), 3);
    return result;
}

static void the_next_attempt_goes_on_where_one_has_ended(void **state)
{
    const char *const paths[] = {CUT_PATH, "/range/1000000/tag?cut=600000"};
    json_t *result;
    char wanted[128], sha256[65];

    (void)state;
    for (int i = 0; i < 2; i++) {
        expect_error("fetch.truncated", true, "", make_file(paths[i], "file", RESUME));
        expect_part(CUT);
        assert_int_equal(access(file(), F_OK), -1);
        result = expect_whole(make_file(paths[i], "file", RESUME));
        assert_int_equal(number_at(result, "resumed_from"), CUT);
        assert_int_equal(number_at(result, "wire_bytes"), SIZE - CUT);
        assert_int_equal(number_at(result, "status"), 206);
        json_decref(result);
        unlink(file());
    }
    /* From the beginning it is no resumption. */
    result = expect_whole(make_file("/range/1000000", "file", RESUME));
    assert_null(json_object_get(result, "resumed_from"));
    json_decref(result);
    unlink(file());
    /* The digest that a job asks for is of the whole. */
    pattern_sha256(SIZE, sha256);
    snprintf(wanted, sizeof wanted, RESUME ", 'sha256': '%s'", sha256);
    expect_one("fetch.truncated", make_file(CUT_PATH "&key=sha", "file", wanted));
    json_decref(expect_whole(make_file(CUT_PATH "&key=sha", "file", wanted)));
}

static void several_attempts_may_be_needed(void **state)
{
    static const char path[] = "/range/1000000?cut=300000&times=3";
    json_t *result;

    (void)state;
    for (int i = 1; i <= 3; i++) {
        expect_one("fetch.truncated", make_file(path, "file", RESUME));
        expect_part(i * 300000);
    }
    result = expect_whole(make_file(path, "file", RESUME));
    assert_int_equal(number_at(result, "resumed_from"), 900000);
    json_decref(result);
}

static void what_is_asked_for_is_the_rest_of_the_same(void **state)
{
    unsigned port = ANSWER("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 10\r\n\r\n01234",
                           "HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n",
                           "HTTP/1.1 206 Partial\r\nETag: \"a\"\r\nContent-Range: bytes 5-9/10\r\n"
                           "Content-Length: 5\r\n\r\n56789");
    char payload[256];
    const char *seen;

    (void)state;
    snprintf(payload, sizeof payload,
             "{'url': 'http://127.0.0.1:%u/x', 'body': 'file', 'file': '%s/file', 'resume': true}",
             port, root);
    expect_one("fetch.truncated", make("%s", payload));
    assert_null(strcasestr(requests(), "\r\nrange:"));
    assert_null(strcasestr(requests(), "accept-encoding"));
    expect_one("fetch.http.server.503", make("%s", payload)); /* leaves what is there */
    expect_part(5);
    expect_one("", make("%s", payload));
    assert_true(holds(file(), "0123456789"));
    seen = strcasestr(requests(), "\r\nrange: bytes=5-\r\n");
    assert_non_null(seen);
    assert_non_null(strcasestr(requests(), "\r\nif-range: \"a\"\r\n"));
    answered();
}

static void a_date_is_as_good_where_there_is_no_strong_etag(void **state)
{
    json_t *result;
    unsigned port;
    char payload[256];

    (void)state;
    /* The server's dates are good for If-Range, its weak ETags are not. */
    expect_one("fetch.truncated", make_file(CUT_PATH "&as=weak", "file", RESUME));
    result = expect_whole(make_file(CUT_PATH "&as=weak", "file", RESUME));
    assert_int_equal(number_at(result, "resumed_from"), CUT);
    json_decref(result);
    unlink(file());
    /* Only a weak ETag: nothing to go on with. */
    port = ANSWER("HTTP/1.1 200 OK\r\nETag: W/\"a\"\r\nContent-Length: 10\r\n\r\n01234",
                  "HTTP/1.1 200 OK\r\nETag: W/\"a\"\r\nContent-Length: 10\r\n\r\nabcdefghij");
    snprintf(payload, sizeof payload,
             "{'url': 'http://127.0.0.1:%u/x', 'body': 'file', 'file': '%s/file', 'resume': true}",
             port, root);
    expect_one("fetch.truncated", make("%s", payload));
    result = result_of(make("%s", payload));
    assert_null(json_object_get(result, "resumed_from"));
    json_decref(result);
    assert_null(strcasestr(requests(), "range:"));
    assert_true(holds(file(), "abcdefghij"));
    assert_int_equal(count_entries(root), 3);
    answered();
}

static void nothing_is_gone_on_with_that_cannot_be_told_apart(void **state)
{
    json_t *result;

    (void)state;
    expect_one("fetch.truncated", make_file(CUT_PATH "&as=plain", "file", RESUME));
    result = expect_whole(make_file(CUT_PATH "&as=plain", "file", RESUME));
    assert_null(json_object_get(result, "resumed_from"));
    assert_int_equal(number_at(result, "status"), 200);
    json_decref(result);
}

/* Each server that answers in its own way gets its file fetched anew. */
static void another_answer_begins_anew(void **state)
{
    static const char *const manners[] = {"ignore", "416", "other", "bare"};

    (void)state;
    for (size_t i = 0; i < sizeof manners / sizeof *manners; i++) {
        char path[64];
        json_t *result;

        snprintf(path, sizeof path, CUT_PATH "&as=%s", manners[i]);
        expect_one("fetch.truncated", make_file(path, "file", RESUME));
        expect_part(CUT);
        result = expect_whole(make_file(path, "file", RESUME));
        if (json_object_get(result, "resumed_from") != NULL)
            fail_msg("%s: resumed", manners[i]);
        json_decref(result);
        unlink(file());
    }
}

static void another_version_is_not_mixed_with_the_first(void **state)
{
    json_t *result;
    FILE *content;

    (void)state;
    expect_one("fetch.truncated", make_file(CUT_PATH "&as=newetag", "file", RESUME));
    result = result_of(make_file(CUT_PATH "&as=newetag", "file", RESUME));
    assert_int_equal(number_at(result, "bytes"), SIZE);
    assert_null(json_object_get(result, "resumed_from"));
    json_decref(result);
    content = fopen(file(), "r");
    assert_non_null(content);
    for (int i = 0; i < SIZE; i++) /* its pattern begins elsewhere */
        if (getc(content) != (i + 7) % 251)
            fail_msg("at %d", i);
    assert_int_equal(getc(content), EOF);
    fclose(content);
    assert_int_equal(count_entries(root), 3);
}

/* RFC 9110 15.3.7: a server may send less than it was asked for. */
static void less_than_the_rest_is_not_the_rest(void **state)
{
    static const char *const ranges[] = {
        "bytes 5-6/10", /* and two bytes, as it says */
        "bytes 5-6/*",  "bytes 4-9/10", "bytes 5-9/11",
        "bytes 5-4/10", "items 5-9/10", "bytes */10",
    };

    (void)state;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        char part[256], payload[256];
        unsigned port;

        snprintf(part, sizeof part,
                 "HTTP/1.1 206 Partial\r\nETag: \"a\"\r\nContent-Range: %s\r\n"
                 "Content-Length: %d\r\n\r\n%.*s",
                 ranges[i], i < 2 ? 2 : 5, i < 2 ? 2 : 5, "56789");
        port = ANSWER("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 10\r\n\r\n01234", part,
                      "HTTP/1.1 200 OK\r\nETag: \"b\"\r\nContent-Length: 10\r\n\r\nabcdefghij");
        snprintf(payload, sizeof payload,
                 "{'url': 'http://127.0.0.1:%u/x', 'body': 'file', 'file': '%s/file', "
                 "'resume': true}",
                 port, root);
        expect_one("fetch.truncated", make("%s", payload));
        expect_one("", make("%s", payload));
        if (!holds(file(), "abcdefghij"))
            fail_msg("%s was taken for the rest", ranges[i]);
        answered();
        unlink(file());
    }
}

static void a_rest_that_is_shorter_than_it_says_is_not_the_whole(void **state)
{
    unsigned port = ANSWER("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 10\r\n\r\n01234",
                           "HTTP/1.1 206 Partial\r\nETag: \"a\"\r\nContent-Range: bytes 5-9/10\r\n"
                           "Content-Length: 2\r\n\r\n56",
                           "HTTP/1.1 206 Partial\r\nETag: \"a\"\r\nContent-Range: bytes 7-9/10\r\n"
                           "Content-Length: 3\r\n\r\n789");
    char payload[256];

    (void)state;
    snprintf(payload, sizeof payload,
             "{'url': 'http://127.0.0.1:%u/x', 'body': 'file', 'file': '%s/file', 'resume': true}",
             port, root);
    expect_one("fetch.truncated", make("%s", payload));
    expect_error("fetch.truncated", true, "not all", make("%s", payload));
    assert_int_equal(access(file(), F_OK), -1);
    expect_one("", make("%s", payload));
    assert_true(holds(file(), "0123456789"));
    answered();
}

static void another_url_or_file_has_parts_of_its_own(void **state)
{
    static const char *const paths[] = {CUT_PATH "&key=a", "/range/1000000?x"};
    json_t *result;

    (void)state;
    expect_one("fetch.truncated", make_file(paths[0], "file", RESUME));
    result = result_of(make_file(paths[0], "other", RESUME));
    assert_null(json_object_get(result, "resumed_from"));
    json_decref(result);
    result = result_of(make_file(paths[1], "file", RESUME));
    assert_null(json_object_get(result, "resumed_from"));
    json_decref(result);
    expect_part(CUT);
}

static void without_resume_nothing_is_left_and_nothing_found(void **state)
{
    json_t *result;

    (void)state;
    expect_one("fetch.truncated", make_file(CUT_PATH, "file", ""));
    assert_int_equal(count_entries(root), 2);
    expect_one("fetch.truncated", make_file(CUT_PATH "&key=b", "file", RESUME));
    expect_part(CUT);
    result = result_of(make_file(CUT_PATH "&key=b", "file", ""));
    assert_null(json_object_get(result, "resumed_from"));
    assert_int_equal(number_at(result, "status"), 200);
    assert_true(holds_pattern(file(), SIZE));
    json_decref(result);
}

static void two_attempts_at_once_do_not_meet(void **state)
{
    static const char path[] = "/range/1000000?cut=600000&times=1";
    int resumed = 0;

    (void)state;
    expect_one("fetch.truncated", make_file(path, "file", RESUME));
    expect_part(CUT);
    for (int i = 0; i < 8; i++)
        make_file(path, "file", RESUME);
    run_all();
    for (size_t i = 1; i < made; i++) {
        json_t *result = result_of(&jobs[i]);

        assert_int_equal(number_at(result, "bytes"), SIZE);
        resumed += json_object_get(result, "resumed_from") != NULL;
        json_decref(result);
    }
    assert_true(resumed <= 1);
    assert_true(holds_pattern(file(), SIZE));
    assert_int_equal(count_entries(root), 3);
}

static void a_body_that_is_not_the_wanted_one_is_not_gone_on_with(void **state)
{
    static const char wrong[] = RESUME ", 'sha256': "
                                       "'0000000000000000000000000000000000000000000000000000000000"
                                       "000000'";

    (void)state;
    expect_one("fetch.truncated", make_file(CUT_PATH, "file", wrong));
    expect_part(CUT);
    expect_error("fetch.checksum", false, "sha256", make_file(CUT_PATH, "file", wrong));
    assert_int_equal(count_entries(root), 2);
}

/* What is not of this boot, or was cut in its description, is not believed. */
static void a_part_of_another_boot_is_not_trusted(void **state)
{
    static const char *const marks[] = {"11111111-2222-3333-4444-555555555555\n\"v0\"\n", "", "\n",
                                        "x"};

    (void)state;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        char path[64], mark[512] = "";
        struct dirent *entry;
        DIR *folder;
        json_t *result;

        snprintf(path, sizeof path, CUT_PATH "&key=boot%zu", i);
        expect_one("fetch.truncated", make_file(path, "file", RESUME));
        folder = opendir(root);
        while ((entry = readdir(folder)) != NULL)
            if (strstr(entry->d_name, ".from") != NULL)
                snprintf(mark, sizeof mark, "%s/%s", root, entry->d_name);
        closedir(folder);
        assert_true(mark[0] != '\0');
        harness_write(mark, marks[i]);
        result = expect_whole(make_file(path, "file", RESUME));
        assert_null(json_object_get(result, "resumed_from"));
        json_decref(result);
        unlink(file());
    }
}

static void bounds_are_of_the_whole(void **state)
{
    (void)state;
    expect_one("fetch.truncated", make_file(CUT_PATH, "file", RESUME));
    expect_one("fetch.too_large", make_file(CUT_PATH, "file", RESUME ", 'max_bytes': 999999"));
    expect_one("fetch.too_large", make_file(CUT_PATH, "file", RESUME ", 'max_wire_bytes': 999999"));
    json_decref(expect_whole(make_file(CUT_PATH, "file", RESUME ", 'max_bytes': 1000000")));
}

static void a_redirect_on_the_way_is_no_hindrance(void **state)
{
    static const char path[] = "/redirto?url=/range/1000000%3Fcut=600000";
    json_t *result;

    (void)state;
    expect_one("fetch.truncated", make_file(path, "file", RESUME));
    expect_part(CUT);
    result = expect_whole(make_file(path, "file", RESUME));
    assert_int_equal(number_at(result, "resumed_from"), CUT);
    json_decref(result);
}

/* Also when it is stopped, or when the next one does not even reach the server. */
static void a_part_stays_until_it_is_whole(void **state)
{
    static const char slow[] = "/slow/1000/5"; /* without a validator: of this nothing stays */
    json_t *result;
    struct job *job;

    (void)state;
    expect_one("fetch.truncated", make_file(CUT_PATH, "file", RESUME));
    job = make_file(CUT_PATH, "file", RESUME);
    begin(job); /* it looks at what is there */
    stop_job(job);
    TURN_UNTIL(job->done);
    expect(job, "cancelled");
    expect_part(CUT);
    result = expect_whole(make_file(CUT_PATH, "file", RESUME));
    assert_int_equal(number_at(result, "resumed_from"), CUT);
    json_decref(result);
    unlink(file());
    job = make_file(slow, "file", RESUME);
    begin(job);
    TURN_UNTIL(atomic_load(&job->task.permille) < 1000);
    stop_job(job);
    TURN_UNTIL(job->done);
    assert_int_equal(count_entries(root), 2);
}

static void only_bodies_of_files_are_resumed(void **state)
{
    (void)state;
    expect_one("rejected.payload", make("{'url': 'http://%s/bytes/1', 'resume': true}", http));
    expect_one("rejected.payload",
               make("{'url': 'http://%s/bytes/1', 'resume': true, 'body': 'none'}", http));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FETCH_TEST(the_next_attempt_goes_on_where_one_has_ended),
        FETCH_TEST(several_attempts_may_be_needed),
        FETCH_TEST(what_is_asked_for_is_the_rest_of_the_same),
        FETCH_TEST(a_date_is_as_good_where_there_is_no_strong_etag),
        FETCH_TEST(nothing_is_gone_on_with_that_cannot_be_told_apart),
        FETCH_TEST(another_answer_begins_anew),
        FETCH_TEST(another_version_is_not_mixed_with_the_first),
        FETCH_TEST(less_than_the_rest_is_not_the_rest),
        FETCH_TEST(a_rest_that_is_shorter_than_it_says_is_not_the_whole),
        FETCH_TEST(another_url_or_file_has_parts_of_its_own),
        FETCH_TEST(without_resume_nothing_is_left_and_nothing_found),
        FETCH_TEST(two_attempts_at_once_do_not_meet),
        FETCH_TEST(a_body_that_is_not_the_wanted_one_is_not_gone_on_with),
        FETCH_TEST(a_part_of_another_boot_is_not_trusted),
        FETCH_TEST(bounds_are_of_the_whole),
        FETCH_TEST(a_redirect_on_the_way_is_no_hindrance),
        FETCH_TEST(a_part_stays_until_it_is_whole),
        FETCH_TEST(only_bodies_of_files_are_resumed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
