/* What crawls need: pages that follow each other, robots.txt, archives. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/integration/fetch_stage.h"
#include "tests/integration/harness.h"
#include "tests/unit/warc_reader.h"

static const char *port(void)
{
    return strchr(http, ':');
}

/* ---- pages
 * -------------------------------------------------------------------------------------------------
 */

static json_t *body_of(const json_t *result)
{
    json_t *body = json_loads(text_at(result, "body"), 0, NULL);

    assert_non_null(body);
    return body;
}

static void each_page_but_the_last_is_a_partial_result(void **state)
{
    static const struct {
        unsigned of, wanted, got;
    } cases[] = {{3, 10, 3}, {10, 3, 3}, {1, 5, 1}, {5, 1, 1}, {5, 5, 5}, {5, 0, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *result, *body, *page;

        told = 0;
        result = result_of(make("{'url': 'http://%s/pages/1/%u', 'pages': %u}", http, cases[i].of,
                                cases[i].wanted));
        body = body_of(result);
        assert_int_equal(number_at(body, "page"), cases[i].got);
        assert_int_equal(told, cases[i].got - 1);
        assert_int_equal(number_at(result, "pages"), cases[i].wanted > 0 ? cases[i].got : 0);
        json_decref(body);
        json_decref(result);
        if (told == 0)
            continue;
        page = tree(&told_last);
        body = body_of(page);
        assert_int_equal(number_at(body, "page"), cases[i].got - 1);
        assert_int_equal(number_at(page, "status"), 200);
        assert_int_equal(strlen(text_at(page, "sha256")), 64);
        assert_non_null(strstr(text_at(page, "final_url"), "/pages/"));
        json_decref(body);
        json_decref(page);
    }
}

static void a_circle_of_pages_ends_at_the_limit(void **state)
{
    unsigned at = ANSWER("HTTP/1.1 200 OK\r\nLink: <?b>; rel=next\r\nContent-Length: 1\r\n\r\n1",
                         "HTTP/1.1 200 OK\r\nLink: <?a>; rel=next\r\nContent-Length: 1\r\n\r\n2",
                         "HTTP/1.1 200 OK\r\nLink: <?b>; rel=next\r\nContent-Length: 1\r\n\r\n3",
                         "HTTP/1.1 200 OK\r\nLink: <?a>; rel=next\r\nContent-Length: 1\r\n\r\n4");
    json_t *result = result_of(make("{'url': 'http://127.0.0.1:%u/x?a', 'pages': 4}", at));

    (void)state;
    assert_int_equal(number_at(result, "pages"), 4);
    assert_int_equal(told, 3);
    assert_string_equal(text_at(result, "body"), "4");
    json_decref(result);
    answered();
}

static void a_page_that_fails_fails_the_job(void **state)
{
    (void)state;
    told = 0;
    expect_one("fetch.http.client.404",
               make("{'url': 'http://%s/pages/1/1?next=/status/404', 'pages': 5}", http));
    assert_int_equal(told, 1);
    expect_one("fetch.type", make("{'url': 'http://%s/pages/1/1?next=/type/text/html', "
                                  "'pages': 5, 'accept_types': ['application/json']}",
                                  http));
    expect_one("", make("{'url': 'http://%s/pages/1/1?next=gopher:x', 'pages': 1}", http));
}

static void pages_lead_to_http_only_and_secrets_stay_at_home(void **state)
{
    static const char *const schemes[] = {"http", "file", NULL};
    json_t *echo;

    (void)state;
    policy.schemes = schemes;
    restart_engine();
    harness_write(harness_path("root/local"), "mine");
    told = 0;
    expect_error(
        "fetch.policy", false, "file",
        make("{'url': 'http://%s/pages/1/1?next=file://%s/local', 'pages': 5}", http, root));
    echo = echo_of(make("{'url': 'http://%s/pages/1/1?next=http://other.test%s/echo', 'pages': 2, "
                        "'headers': {'Authorization': 'x', 'Cookie': 'y', 'X-A': 'b'}}",
                        http, port()));
    assert_string_equal(text_at(json_object_get(echo, "headers"), "authorization"), "");
    assert_string_equal(text_at(json_object_get(echo, "headers"), "cookie"), "");
    assert_string_equal(text_at(json_object_get(echo, "headers"), "x-a"), "b");
    json_decref(echo);
    echo = echo_of(make("{'url': 'http://%s/pages/1/1?next=/echo', 'pages': 2, "
                        "'headers': {'Authorization': 'x'}}",
                        http));
    assert_string_equal(text_at(json_object_get(echo, "headers"), "authorization"), "x");
    json_decref(echo);
}

/* Each page has them anew, and the bounds of a page are its own. */
static void redirects_between_pages_are_counted_for_each(void **state)
{
    json_t *result =
        result_of(make("{'url': 'http://%s/redirto?url=/pages/1/1%%3Fnext=/redirect/2', "
                       "'pages': 2, 'max_redirects': 2}",
                       http));

    (void)state;
    assert_int_equal(number_at(result, "redirects"), 3);
    json_decref(result);
}

/* ---- robots.txt
 * -------------------------------------------------------------------------------------------- */

static void robots_txt_is_obeyed(void **state)
{
    static const struct {
        const char *name, *path, *type;
        bool retryable;
    } cases[] = {
        {"allow", "/bytes/1", "", false},
        {"none", "/bytes/1", "", false},
        {"404", "/bytes/1", "", false},
        {"401", "/bytes/1", "", false},
        {"empty", "/bytes/1", "", false},
        {"html", "/bytes/1", "", false},
        {"deny", "/bytes/1", "fetch.robots", false},
        {"deny", "/robots.txt", "", false}, /* RFC 9309 2.2.2 */
        {"some", "/bytes/1", "fetch.robots", false},
        {"some", "/bytes/5", "", false},
        {"some", "/page/1", "", false},
        {"ours", "/bytes/1", "fetch.robots", false},
        {"ours", "/page/1", "", false}, /* what * must not is not ours */
        {"pattern", "/bytes/5", "fetch.robots", false},
        {"pattern", "/bytes/55", "", false},
        {"pattern", "/page/1", "fetch.robots", false},
        {"odd", "/bytes/1", "fetch.robots", false},
        {"huge", "/bytes/1", "fetch.robots", false},
        {"500", "/bytes/1", "fetch.robots", true},
        {"503", "/bytes/1", "fetch.robots", true},
        {"moved", "/bytes/1", "fetch.robots", false},
        {"loop", "/bytes/1", "", false}, /* RFC 9309 2.3.1.2: beyond five it may be as absent */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        make("{'url': 'http://robots-%s.test%s%s', 'robots': true}", cases[i].name, port(),
             cases[i].path);
    run_all();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_row(i, cases[i].type, cases[i].retryable);
    expect_one("", make("{'url': 'http://robots-deny.test%s/bytes/1'}", port())); /* not asked */
}

static void robots_txt_that_cannot_be_had_is_no_permission(void **state)
{
    (void)state;
    expect_error("fetch.robots", true, "",
                 make("{'url': 'http://robots-slow.test%s/bytes/1', 'robots': true, "
                      "'first_byte_ms': 300}",
                      port()));
    expect_error("fetch.robots", true, "",
                 make("{'url': 'http://%s/', 'robots': true}", harness_server("refused")));
    expect_error("fetch.robots", true, "",
                 make("{'url': 'http://no-such-host.invalid/', 'robots': true}"));
}

static void robots_txt_is_asked_for_once_for_each_origin(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        make("{'url': 'http://robots-some.test%s/page/%d', 'robots': true}", port(), i);
    make("{'url': 'http://robots-some.test%s/bytes/1', 'robots': true}", port());
    run_all();
    for (size_t i = 0; i < 100; i++)
        expect_row(i, "", false);
    expect_row(100, "fetch.robots", false);
    assert_int_equal(server_counts("robots.txt"), 1);
    /* Another name is another origin. */
    expect_one("", make("{'url': 'http://robots-allow.test%s/bytes/1', 'robots': true}", port()));
    assert_int_equal(server_counts("robots.txt"), 2);
    expect_one("", make("{'url': 'http://robots-allow.test%s/bytes/1', 'robots': true}", port()));
    assert_int_equal(server_counts("robots.txt"), 2);
}

static void who_waits_for_robots_txt_does_not_depend_on_who_asks(void **state)
{
    struct job *first;

    (void)state;
    first = make("{'url': 'http://robots-slow.test%s/bytes/1', 'robots': true}", port());
    for (int i = 0; i < 20; i++)
        make("{'url': 'http://robots-slow.test%s/bytes/1', 'robots': true, 'first_byte_ms': 200}",
             port());
    while (begun < made)
        begin(&jobs[begun]);
    TURN_UNTIL(server_counts("robots.txt") == 1);
    stop_job(first); /* another one asks, and learns that nothing comes */
    TURN_UNTIL(finished == made);
    expect(first, "cancelled");
    for (size_t i = 1; i < made; i++)
        expect_row(i, "fetch.robots", true);
    assert_int_equal(server_counts("robots.txt"), 2);
}

static void a_redirect_is_asked_about_as_well(void **state)
{
    json_t *result;

    (void)state;
    expect_error("fetch.robots", false, "robots-deny.test",
                 make("{'url': 'http://robots-allow.test%s/redirto?url=http://robots-deny.test%s"
                      "/bytes/1', 'robots': true}",
                      port(), port()));
    expect_one(
        "fetch.robots",
        make("{'url': 'http://robots-some.test%s/redirto?url=/bytes/1', 'robots': true}", port()));
    result = result_of(make("{'url': 'http://robots-allow.test%s/redirto?url=http://"
                            "robots-some.test%s/bytes/5', 'robots': true}",
                            port(), port()));
    assert_int_equal(number_at(result, "redirects"), 1);
    json_decref(result);
}

static void redirects_of_robots_txt_are_its_own(void **state)
{
    char location[256];
    unsigned at;
    json_t *result;

    (void)state;
    /* Three redirects lead to robots.txt, and none is allowed to the page. */
    at = ANSWER("HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\nConnection: "
                "close\r\n\r\n",
                "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\nConnection: "
                "close\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                "HTTP/1.1 302 Found\r\nLocation: /c\r\nContent-Length: 0\r\nConnection: "
                "close\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    snprintf(location, sizeof location, "http://127.0.0.1:%u/page", at);
    result = result_of(make("{'url': '%s', 'robots': true, 'max_redirects': 1}", location));
    assert_int_equal(number_at(result, "redirects"), 1);
    assert_string_equal(text_at(result, "body"), "hi");
    json_decref(result);
    answered();
}

/* Nor do they make a way around the bound: a circle of hosts that were never asked before. */
static void robots_txt_does_not_hide_redirects_from_their_bound(void **state)
{
    (void)state;
    expect_one("fetch.redirect",
               make("{'url': 'http://a.test%s/redirto?url=http://b.test%s/redirto?url=http://c.test"
                    "%s/bytes/1', 'robots': true, 'max_redirects': 1}",
                    port(), port(), port()));
}

static void robots_txt_leads_to_http_only(void **state)
{
    static const char *const schemes[] = {"http", "file", NULL};
    json_t *result;

    (void)state;
    harness_write(harness_path("root/local"), "User-agent: *\nAllow: /\n");
    policy.schemes = schemes;
    for (int i = 0; i < 2; i++) { /* whether the job might ask for it itself or not */
        char answer[256];

        snprintf(answer, sizeof answer,
                 "HTTP/1.1 302 Found\r\nLocation: file://%s/local\r\nContent-Length: 0\r\n\r\n",
                 root);
        result = result_of(make("{'url': 'http://127.0.0.1:%u/x', 'robots': true}",
                                ANSWER(answer, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")));
        assert_string_equal(text_at(result, "body"), "hi"); /* it has none, then */
        json_decref(result);
        policy.schemes = NULL;
        restart_engine();
    }
    answered();
}

/* A POST that waits for robots.txt was not sent: to try again does no harm. */
static void what_robots_txt_has_kept_back_may_be_tried_again(void **state)
{
    (void)state;
    expect_error("fetch.timeout.total", true, "",
                 make("{'url': 'http://robots-slow.test%s/echo', 'robots': true, 'data': 'x', "
                      "'total_ms': 300}",
                      port()));
    assert_int_equal(server_counts("echo"), 0);
}

static void robots_txt_is_asked_for_without_the_jobs_words(void **state)
{
    unsigned at = ANSWER("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    char *all, *second;

    (void)state;
    expect_one("", make("{'url': 'http://127.0.0.1:%u/x?y', 'robots': true, 'json': [1], "
                        "'headers': {'Authorization': 'secret', 'X-A': 'b'}}",
                        at));
    all = strdup(requests());
    second = strstr(all, "POST /x?y ");
    assert_non_null(second);
    assert_non_null(strstr(second, "secret"));
    *second = '\0';
    assert_int_equal(strncmp(all, "GET /robots.txt HTTP/1.1\r\n", 26), 0);
    assert_null(strstr(all, "secret"));
    assert_null(strcasestr(all, "x-a"));
    assert_null(strcasestr(all, "content-type"));
    free(all);
    answered();
}

/* ---- archives
 * ---------------------------------------------------------------------------------------------- */

static struct warc_entry entry;

/* The record at a result's place. */
static void read_place(const json_t *result)
{
    const json_t *place = json_object_get(result, "warc");
    const char *name = text_at(place, "file");
    FILE *file = fopen(name, "r");

    if (file == NULL) { /* it has lost .open meanwhile, or not yet */
        char other[512];

        snprintf(other, sizeof other, "%s.open", name);
        file = fopen(other, "r");
    }
    if (file == NULL)
        fail_msg("there is no archive %s", name);
    assert_int_equal(fseek(file, (long)number_at(place, "offset"), SEEK_SET), 0);
    assert_int_equal(warc_read(file, &entry), WARC_READ_RECORD);
    assert_int_equal(entry.length, number_at(place, "length"));
    fclose(file);
}

/* The only archive of the root. */
static FILE *open_archive(void)
{
    DIR *folder = opendir(root);
    struct dirent *item;
    char path[512] = "";
    FILE *file;

    while ((item = readdir(folder)) != NULL)
        if (strstr(item->d_name, ".warc.gz") != NULL) {
            assert_true(path[0] == '\0');
            snprintf(path, sizeof path, "%s/%s", root, item->d_name);
        }
    closedir(folder);
    file = fopen(path, "r");
    assert_non_null(file);
    return file;
}

static bool next_record(FILE *file, const char *type)
{
    enum warc_read read = warc_read(file, &entry);

    assert_int_not_equal(read, WARC_READ_TORN);
    if (read == WARC_READ_END)
        return false;
    if (type != NULL)
        assert_string_equal(warc_field(&entry, "WARC-Type"), type);
    return true;
}

static void an_exchange_is_found_where_the_result_says(void **state)
{
    json_t *result;
    char sha256[80] = "sha256:";

    (void)state;
    for (int i = 1; i <= 3; i++) {
        result = result_of(make("{'url': 'http://%s/bytes/%d', 'warc': '%s/a', 'body': 'none', "
                                "'headers': {'Authorization': 'secret'}}",
                                http, 1000 * i, root));
        read_place(result);
        assert_string_equal(warc_field(&entry, "WARC-Type"), "response");
        assert_string_equal(warc_field(&entry, "WARC-Target-URI"), text_at(result, "url"));
        assert_string_equal(warc_field(&entry, "WARC-IP-Address"), "127.0.0.1");
        assert_int_equal(entry.block_size - entry.head_size, 1000 * i);
        snprintf(sha256, sizeof sha256, "sha256:%s", text_at(result, "sha256"));
        assert_string_equal(warc_field(&entry, "WARC-Payload-Digest"), sha256);
        assert_string_equal(entry.payload_digest, sha256);
        json_decref(result);
    }
    engine->destroy(&engine);
    {
        FILE *file = open_archive();

        assert_true(next_record(file, "warcinfo"));
        for (int i = 0; i < 3; i++) {
            assert_true(next_record(file, "response"));
            assert_true(next_record(file, "request"));
            assert_non_null(strstr(entry.block, "Authorization: withheld\r\n"));
            assert_null(strstr(entry.block, "secret"));
        }
        assert_false(next_record(file, NULL));
        fclose(file);
    }
}

static void redirects_and_failures_are_archived_as_well(void **state)
{
    static const char *const statuses[] = {"HTTP/1.1 302", "HTTP/1.1 302", "HTTP/1.1 200",
                                           "HTTP/1.1 404"};
    FILE *file;

    (void)state;
    expect_one("", make("{'url': 'http://%s/redirect/2', 'warc': '%s/a'}", http, root));
    expect_one("fetch.http.client.404",
               make("{'url': 'http://%s/status/404', 'warc': '%s/a'}", http, root));
    engine->destroy(&engine);
    file = open_archive();
    assert_true(next_record(file, "warcinfo"));
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        assert_true(next_record(file, NULL));
        assert_int_equal(strncmp(entry.block, statuses[i], strlen(statuses[i])), 0);
        assert_true(next_record(file, "request"));
    }
    assert_false(next_record(file, NULL));
    fclose(file);
}

static void bodies_are_archived_as_they_were_sent(void **state)
{
    json_t *result;

    (void)state;
    result = result_of(
        make("{'url': 'http://%s/chunked/3/10', 'warc': '%s/a', 'body': 'none'}", http, root));
    read_place(result);
    assert_non_null(strcasestr(entry.block, "X-Crawler-Transfer-Encoding: chunked\r\n"));
    assert_int_equal(entry.block_size - entry.head_size, 30);
    json_decref(result);
    result = result_of(
        make("{'url': 'http://%s/encoded/x-gzip', 'warc': '%s/a', 'body': 'none'}", http, root));
    read_place(result);
    assert_non_null(strcasestr(entry.block, "Content-Encoding: x-gzip\r\n"));
    json_decref(result);
    /* A body that ends too early is there as far as it came. */
    expect_one("fetch.truncated", make("{'url': 'http://%s/badlen', 'warc': '%s/b'}", http, root));
}

static void a_payload_that_was_archived_before_is_a_revisit(void **state)
{
    json_t *result = result_of(make("{'url': 'http://%s/bytes/500', 'warc': '%s/a'}", http, root));

    (void)state;
    json_decref(result);
    result = result_of(make("{'url': 'http://%s/bytes/500?x', 'warc': '%s/a'}", http, root));
    read_place(result);
    assert_string_equal(warc_field(&entry, "WARC-Type"), "revisit");
    assert_int_equal(number_at(result, "bytes"), 500);
    json_decref(result);
}

static void a_big_body_is_archived_and_written(void **state)
{
    enum { BIG = 5 << 20 };
    char more[256], digest[80];
    json_t *result;

    (void)state;
    snprintf(more, sizeof more, ", 'warc': '%s/a'", root);
    for (int i = 0; i < 4; i++) {
        char name[16], path[32];

        snprintf(name, sizeof name, "big%d", i);
        snprintf(path, sizeof path, "/%s/%d", i % 2 == 0 ? "bytes" : "big", BIG + i);
        make_file(path, name, more);
    }
    run_all();
    for (int i = 0; i < 4; i++) {
        result = result_of(&jobs[i]);
        read_place(result);
        assert_int_equal(entry.block_size - entry.head_size, BIG + i);
        snprintf(digest, sizeof digest, "sha256:%s", text_at(result, "sha256"));
        assert_string_equal(entry.payload_digest, digest);
        assert_true(holds_pattern(text_at(result, "file"), (size_t)BIG + (size_t)i));
        json_decref(result);
    }
    engine->destroy(&engine);
    assert_int_equal(count_entries(root), 2 + 4 + 1); /* the spools have gone */
}

static size_t named(const char *suffix)
{
    DIR *folder = opendir(root);
    struct dirent *item;
    size_t count = 0;

    while ((item = readdir(folder)) != NULL)
        count += strlen(item->d_name) > strlen(suffix) &&
                 strcmp(item->d_name + strlen(item->d_name) - strlen(suffix), suffix) == 0;
    closedir(folder);
    return count;
}

static void an_archive_gets_its_name_when_nothing_comes_any_more(void **state)
{
    json_t *result;

    (void)state;
    result = result_of(make("{'url': 'http://%s/bytes/10', 'warc': '%s/a'}", http, root));
    assert_int_equal(named(".warc.gz.open"), 1);
    assert_int_equal(named(".warc.gz"), 0);
    TURN_UNTIL(named(".warc.gz") == 1);
    assert_int_equal(named(".warc.gz.open"), 0);
    assert_int_equal(access(text_at(json_object_get(result, "warc"), "file"), R_OK), 0);
    read_place(result);
    json_decref(result);
}

/* What a connection that had gone did not carry is not archived. */
static void a_request_that_was_sent_again_is_archived_once(void **state)
{
    FILE *file;
    const char *first;

    (void)state;
    expect_one("", make("{'url': 'http://%s/stale'}", http));
    expect_one("", make("{'url': 'http://%s/bytes/7', 'warc': '%s/a'}", http, root));
    engine->destroy(&engine);
    file = open_archive();
    assert_true(next_record(file, "warcinfo"));
    assert_true(next_record(file, "response"));
    assert_true(next_record(file, "request"));
    first = strstr(entry.block, "GET /bytes/7 ");
    assert_ptr_equal(first, entry.block);
    assert_null(strstr(first + 1, "GET /bytes/7 "));
    fclose(file);
}

static void the_body_of_a_request_is_archived(void **state)
{
    FILE *file;

    (void)state;
    expect_one("", make("{'url': 'http://%s/redirto?url=/echo&status=307', 'data': 'some words', "
                        "'warc': '%s/a'}",
                        http, root));
    engine->destroy(&engine);
    file = open_archive();
    assert_true(next_record(file, "warcinfo"));
    for (int i = 0; i < 2; i++) {
        assert_true(next_record(file, "response"));
        assert_true(next_record(file, "request"));
        assert_non_null(strstr(entry.block, "\r\n\r\nsome words"));
    }
    fclose(file);
}

/* More of it than is kept in memory: the record is there, and says that it is not all. */
static void a_large_body_of_a_request_is_archived_as_far_as_it_goes(void **state)
{
    enum { LARGE = 3 << 20 };
    FILE *file;

    (void)state;
    write_pattern(harness_path("root/large"), LARGE);
    expect_one("", make("{'url': 'http://%s/bytes/5', 'data_file': '%s/large', 'warc': '%s/a'}",
                        http, root, root));
    engine->destroy(&engine);
    file = open_archive();
    assert_true(next_record(file, "warcinfo"));
    assert_true(next_record(file, "response"));
    assert_true(next_record(file, "request"));
    assert_int_equal(strncmp(entry.block, "POST /bytes/5 HTTP/1.1\r\n", 24), 0);
    if (entry.block_size - entry.head_size < LARGE)
        assert_non_null(warc_field(&entry, "WARC-Truncated"));
    fclose(file);
}

static void archives_are_below_a_root(void **state)
{
    (void)state;
    expect_error("fetch.policy", false, "--root",
                 make("{'url': 'http://%s/bytes/1', 'warc': '/tmp/elsewhere'}", http));
    expect_one("fetch.output", make("{'url': 'http://%s/bytes/1', 'warc': '%s/../x'}", http, root));
    expect_one("rejected.payload", make("{'url': 'http://%s/bytes/1', 'warc': 'a'}", http));
    expect_one("rejected.payload",
               make("{'url': 'http://%s/bytes/1', 'warc': '%s/a', 'resume': true, 'body': 'file', "
                    "'file': '%s/b'}",
                    http, root, root));
    assert_int_equal(server_counts("bytes"), 0);
    harness_write(harness_path("root/file"), "no folder");
    expect_error("fetch.output", false, "not archived",
                 make("{'url': 'http://%s/bytes/1', 'warc': '%s/file/x'}", http, root));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FETCH_TEST(each_page_but_the_last_is_a_partial_result),
        FETCH_TEST(a_circle_of_pages_ends_at_the_limit),
        FETCH_TEST(a_page_that_fails_fails_the_job),
        FETCH_TEST(pages_lead_to_http_only_and_secrets_stay_at_home),
        FETCH_TEST(redirects_between_pages_are_counted_for_each),
        FETCH_TEST(robots_txt_is_obeyed),
        FETCH_TEST(robots_txt_that_cannot_be_had_is_no_permission),
        FETCH_TEST(robots_txt_is_asked_for_once_for_each_origin),
        FETCH_TEST(who_waits_for_robots_txt_does_not_depend_on_who_asks),
        FETCH_TEST(a_redirect_is_asked_about_as_well),
        FETCH_TEST(redirects_of_robots_txt_are_its_own),
        FETCH_TEST(robots_txt_does_not_hide_redirects_from_their_bound),
        FETCH_TEST(robots_txt_leads_to_http_only),
        FETCH_TEST(what_robots_txt_has_kept_back_may_be_tried_again),
        FETCH_TEST(robots_txt_is_asked_for_without_the_jobs_words),
        FETCH_TEST(an_exchange_is_found_where_the_result_says),
        FETCH_TEST(redirects_and_failures_are_archived_as_well),
        FETCH_TEST(bodies_are_archived_as_they_were_sent),
        FETCH_TEST(a_payload_that_was_archived_before_is_a_revisit),
        FETCH_TEST(a_big_body_is_archived_and_written),
        FETCH_TEST(an_archive_gets_its_name_when_nothing_comes_any_more),
        FETCH_TEST(a_request_that_was_sent_again_is_archived_once),
        FETCH_TEST(the_body_of_a_request_is_archived),
        FETCH_TEST(a_large_body_of_a_request_is_archived_as_far_as_it_goes),
        FETCH_TEST(archives_are_below_a_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
