/* What `argosy fetch` makes of URLs before it submits them, and of their ends. */
#include "tests/unit/cmocka_prelude.h"

#include <argosy/client.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/amounts.h"
#include "client/cli/fetch_summary.h"
#include "client/cli/fetch_url.h"

static void a_host_is_the_same_however_its_url_is_written(void **state)
{
    static const struct {
        const char *url, *base, *host;
    } cases[] = {
        {"http://example.org/", NULL, "example.org"},
        {"HTTP://EXAMPLE.Org:80", NULL, "example.org"},
        {"https://example.org:443/x", NULL, "example.org"},
        {"https://example.org:80/x", NULL, "example.org:80"},
        {"http://example.org:443/x", NULL, "example.org:443"},
        {"http://example.org:8080?x=/y", NULL, "example.org:8080"},
        {"http://example.org:/", NULL, "example.org"},
        {"http://user:p@ss@Example.org:81/", NULL, "example.org:81"},
        {"http://[::1]:80/", NULL, "[::1]"},
        {"http://[FE80::1]:8080#top", NULL, "[fe80::1]:8080"},
        {"http://[::1]/", NULL, "[::1]"},
        {"/x/y", "https://example.org:443/a/b", "example.org"},
        {"y?u=http://other/", "http://example.org:81/a", "example.org:81"},
        {"//Other:443/x", "https://example.org/", "other"},
        {"http://other/x", "https://example.org/", "other"},
        {"/x/y", NULL, ""},
        {"", NULL, ""},
        {"", "http://example.org", "example.org"},
        {"http://", NULL, ""},
        {"http:///x", NULL, ""},
        {"http://user@", NULL, ""},
    };
    char host[FETCH_HOST_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fetch_url_host(cases[i].url, cases[i].base, host);
        if (strcmp(host, cases[i].host) != 0)
            fail_msg("%s (%s): '%s', not '%s'", cases[i].url, cases[i].base ? cases[i].base : "",
                     host, cases[i].host);
    }
}

static void a_host_that_is_too_long_is_none(void **state)
{
    char url[FETCH_HOST_SIZE + 16] = "http://", host[FETCH_HOST_SIZE];

    (void)state;
    memset(url + 7, 'a', FETCH_HOST_SIZE - 1);
    fetch_url_host(url, NULL, host);
    assert_int_equal(strlen(host), FETCH_HOST_SIZE - 1);
    memset(url + 7, 'a', FETCH_HOST_SIZE);
    fetch_url_host(url, NULL, host);
    assert_string_equal(host, "");
}

static void a_path_of_out_stays_below_its_folder(void **state)
{
    static const struct {
        const char *template, *url, *path; /* NULL: refused */
    } cases[] = {
        {"o/{host}/{path}", "http://h:81/a/b.html", "/here/o/h:81/a/b.html"},
        {"/o/{path}", "http://h/../../etc/passwd", "/o/_./_./etc/passwd"},
        {"/o/{name}.{index}", "http://u:p@h/a/b?c=d", "/o/b.7"},
        {"/o/{name}", "http://h/a/", "/o/index.html"},
        {"/o/{path}", "http://h/a//.b", "/o/a/_.b"},
        {"/o/{sha256}", "http://h/", "/o/{sha256}"},
        {"/o/{nonsense}", "http://h/", NULL},
        {"/o/{name", "http://h/", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ag_buffer path = ag_buffer_empty(8000);
        bool made = fetch_url_path(cases[i].template, "/here", cases[i].url, 7, &path);

        if (made != (cases[i].path != NULL) ||
            (made && strcmp(ag_buffer_as_text(&path), cases[i].path) != 0))
            fail_msg("%s %s: %s", cases[i].template, cases[i].url, ag_buffer_as_text(&path));
        ag_buffer_free(&path);
    }
}

static void amounts_are_short(void **state)
{
    char text[AMOUNT_SIZE];

    (void)state;
    assert_string_equal(amount_count(0, text), "0");
    assert_string_equal(amount_count(999, text), "999");
    assert_string_equal(amount_count(12345, text), "12,345");
    assert_string_equal(amount_count(UINT64_MAX, text), "18,446,744,073,709,551,615");
    assert_string_equal(amount_bytes(999, text), "999 B");
    assert_string_equal(amount_bytes(1234, text), "1.2 kB");
    assert_string_equal(amount_bytes(31e6, text), "31 MB");
    assert_string_equal(amount_bytes(999600, text), "1.0 MB");
    assert_string_equal(amount_ms(12.4, text), "12ms");
    assert_string_equal(amount_ms(1234, text), "1.2s");
    assert_string_equal(amount_ms(61000, text), "61s");
}

/* ---- the summary -------------------------------------------------------------------------------
 */

static char *printed(const fetch_summary_t *summary)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    fetch_summary_print(summary, out);
    fclose(out);
    return text;
}

static void one_fetch_has_no_summary(void **state)
{
    const struct fetch_end end = {.host = "h", .bytes = 5, .run_ms = 1};
    fetch_summary_t *summary;
    char *text;

    (void)state;
    assert_int_equal(fetch_summary_new(&summary, NULL), 0);
    fetch_summary_add(summary, &end);
    text = printed(summary);
    assert_string_equal(text, "");
    free(text);
    fetch_summary_destroy(&summary);
    assert_null(summary);
}

static void a_summary_counts_by_host_and_error(void **state)
{
    static const struct fetch_end ends[] = {
        {.host = "b.example", .bytes = 1000, .run_ms = 10},
        {.host = "a.example:81", .bytes = 2000, .run_ms = 10},
        {.host = "a.example:81", .bytes = 3000, .run_ms = 2000},
        {.host = "a.example:81", .error_type = "fetch.timeout.total", .run_ms = 30},
        {.host = "", .error_type = "fetch.url", .run_ms = 0},
        {.host = "c\033[2J", .error_type = "fetch.timeout.total", .run_ms = 0},
    };
    static const char expected[] = //
        "host                jobs    failed     bytes    mean   worst\n"
        "a.example:81           3         1    5.0 kB   680ms    2.0s\n"
        "(no host)              1         1       0 B     0ms     0ms\n"
        "b.example              1         0    1.0 kB    10ms    10ms\n"
        "c\\x1b[2J               1         1       0 B     0ms     0ms\n"
        "\n"
        "error                     count\n"
        "fetch.timeout.total           2\n"
        "fetch.url                     1\n";
    fetch_summary_t *summary;
    char *text;

    (void)state;
    assert_int_equal(fetch_summary_new(&summary, NULL), 0);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        fetch_summary_add(summary, &ends[i]);
    text = printed(summary);
    assert_string_equal(text, expected);
    free(text);
    fetch_summary_destroy(&summary);
}

/* However many hosts and errors there are: ten rows and the others, and nothing is lost. */
static void a_summary_stays_small_and_its_rows_add_up(void **state)
{
    enum { HOSTS = 3 * FETCH_SUMMARY_HOSTS };
    char host[32], type[32], name[64], *text;
    unsigned long jobs, sum = 0, errors = 0, rows = 0;
    fetch_summary_t *summary;

    (void)state;
    assert_int_equal(fetch_summary_new(&summary, NULL), 0);
    for (unsigned i = 0; i < HOSTS; i++) {
        struct fetch_end end = {.host = host, .error_type = type, .bytes = 1, .run_ms = 5};

        snprintf(host, sizeof host, "h%u.example", i);
        snprintf(type, sizeof type, "fetch.kind%u", i % (2 * FETCH_SUMMARY_ERRORS));
        fetch_summary_add(summary, &end);
        if (i < FETCH_SUMMARY_ROWS)
            fetch_summary_add(summary, &end); /* so that these are the first */
    }
    text = printed(summary);
    for (char *line = text, *next; *line != '\0'; line = next) {
        char digits[32] = "", *comma;

        next = line + strcspn(line, "\n") + 1;
        if (*line == '\n' || sscanf(line, "%63s %31s", name, digits) != 2)
            continue;
        while ((comma = strchr(digits, ',')) != NULL)
            memmove(comma, comma + 1, strlen(comma));
        jobs = strtoul(digits, NULL, 10);
        if (strncmp(line, "error", 5) == 0)
            errors = 1; /* and from here on the second table */
        else if (errors > 0)
            errors += jobs;
        else
            sum += jobs;
        rows++;
    }
    assert_int_equal(sum, HOSTS + FETCH_SUMMARY_ROWS);
    assert_int_equal(errors - 1, HOSTS + FETCH_SUMMARY_ROWS);
    assert_int_equal(rows, 2 * (1 + FETCH_SUMMARY_ROWS + 1));
    assert_non_null(strstr(text, "\nothers"));
    free(text);
    fetch_summary_destroy(&summary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_is_the_same_however_its_url_is_written),
        cmocka_unit_test(a_host_that_is_too_long_is_none),
        cmocka_unit_test(a_path_of_out_stays_below_its_folder),
        cmocka_unit_test(amounts_are_short),
        cmocka_unit_test(one_fetch_has_no_summary),
        cmocka_unit_test(a_summary_counts_by_host_and_error),
        cmocka_unit_test(a_summary_stays_small_and_its_rows_add_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
