/* What is wrong on a command line, or unreachable, gets a clear message and the right exit code. */
#include <string.h>

#include "tests/integration/harness.h"
#include "tests/unit/cmocka_prelude.h"

static int set_up(void **state)
{
    (void)state;
    harness_begin();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    harness_end();
    return 0;
}

#define NOBODY "--connect", "tcp://127.0.0.1:1", "--broker-timeout", "200ms"

static const struct {
    const char *argv[12];
    int code;
    const char *message; /* in stderr */
} wrong[] = {
    {{"argosy"}, 2, "usage: argosy COMMAND"},
    {{"argosy", "fetc"}, 2, "did you mean fetch"},
    {{"argosy", "fetch", "--retires", "3", "http://x/"},
     2,
     "argosy fetch: unknown option --retires; did you mean --retries?"},
    {{"argosy", "fetch", "--retries", "many", "http://x/"},
     2,
     "argosy fetch: --retries: 'many' is not a whole number (0-99)"},
    {{"argosy", "run", "--store", "nowhere", "exec", "true"}, 2, "'nowhere' is not a store"},
    {{"argosy", "fetch", "--retries"}, 2, "--retries needs a value"},
    {{"argosy", "fetch", "--retry", "budget=20", "http://x/"},
     2,
     "--retry: budget: '20' is not a share such as 20% (1%-100%)"},
    {{"argosy", "fetch", "-Z", "http://x/"}, 2, "unknown option -Z"},
    {{"argosy", "fetch", "--policy", "rake", "http://x/"},
     2,
     "--policy: 'rake' is none of gather|taskgroup|race"},
    {{"argosy", "fetch", "--timeout", "soon", "http://x/"}, 2, "--timeout: 'soon'"},
    {{"argosy", "fetch", "--header", "none", "http://x/", "--connect", "tcp://127.0.0.1:1"},
     2,
     "'none' is not 'NAME: VALUE'"},
    {{"argosy", "fetch", "--base-url", "/x", "y", NOBODY}, 2, "--base-url: '/x' is not SCHEME://"},
    {{"argosy", "fetch", "--base-url", "http:///x", "y", NOBODY}, 2, "--base-url: 'http:///x' is"},
    {{"argosy", "fetch", "--proxy", "gopher://p", "y", NOBODY}, 2, "--proxy: 'gopher://p' is not"},
    {{"argosy", "fetch", "--data-json", "{a:1}", "y", NOBODY}, 2, "--data-json: not JSON"},
    {{"argosy", "fetch", "--data-json", "@/nonexistent", "y", NOBODY},
     2,
     "--data-json: cannot read /nonexistent"},
    {{"argosy", "fetch", "--data", "@/", "y", NOBODY}, 2, "--data: cannot read /"},
    {{"argosy", "fetch", "--form", "name", "y", NOBODY}, 2, "--form: 'name' is not NAME=VALUE"},
    {{"argosy", "fetch", "--form", "=x", "y", NOBODY}, 2, "--form: '=x' is not NAME=VALUE"},
    {{"argosy", "fetch", "--form", "a=b", "--data", "x", "y", NOBODY},
     2,
     "--data and --form exclude each other: one body"},
    {{"argosy", "fetch", "--bearer", "a", "--basic", "b", "y", NOBODY},
     2,
     "--bearer and --basic exclude each other"},
    {{"argosy", "fetch", "--basic", "user name", "y", NOBODY}, 2, "--basic: 'user name' has a"},
    {{"argosy", "fetch", "--http", "3", "y", NOBODY}, 2, "--http: '3' is none of auto|1.1|2"},
    {{"argosy", "fetch", "--accept-status", "200,6xx", "y", NOBODY},
     2,
     "--accept-status: '6xx' is not a status (404), a range of them (500-599) or a class (3xx)"},
    {{"argosy", "fetch", "--accept-status", "599-500", "y", NOBODY}, 2, "'599-500' is not a"},
    {{"argosy", "fetch", "--accept-status", "99", "y", NOBODY}, 2, "'99' is not a status"},
    {{"argosy", "fetch", "--accept-type", "html", "y", NOBODY}, 2, "'html' is not a media type"},
    {{"argosy", "fetch", "--accept-type", "*/html", "y", NOBODY}, 2, "'*/html' is not a media"},
    {{"argosy", "fetch", "--max-wire-size", "big", "y", NOBODY}, 2, "--max-wire-size: 'big' is"},
    {{"argosy", "fetch", "--max-ratio", "-1", "y", NOBODY}, 2, "--max-ratio: '-1' is not a whole"},
    {{"argosy", "fetch", "--pages", "0", "y", NOBODY}, 2, "--pages: '0' is out of range"},
    {{"argosy", "fetch", "--pages", "2", "--out", "o", "y", NOBODY}, 2, "--pages and --out exclude"},
    {{"argosy", "fetch", "--continue", "y", NOBODY}, 2, "--continue needs --out TEMPLATE"},
    {{"argosy", "fetch", "--if-none-match", "abc", "y", NOBODY},
     2,
     "--if-none-match: 'abc' is not an entity tag"},
    {{"argosy", "fetch", "--if-modified-since", "soon", "y", NOBODY},
     2,
     "--if-modified-since: 'soon' is not a time"},
    {{"argosy", "fetch", "--if-modified-since", "2999-01-01", "y", NOBODY},
     2,
     "--if-modified-since: 2999-01-01 has not come yet"},
    {{"argosy", "fetch", "--summary", "yes", "y", NOBODY},
     2,
     "--summary: 'yes' is none of auto|always|never"},
    {{"argosy", "fetch", "--connect", "nonsense", "http://x/"}, 2, "'nonsense' is not an endpoint"},
    {{"argosy", "fetch", "-i", "/nonexistent/urls"}, 2, "cannot read /nonexistent/urls"},
    {{"argosy", "fetch"}, 2, "no URL"},
    {{"argosy", "analyze"}, 2, "PATH... is missing"},
    {{"argosy", "run"}, 2, "KIND"},
    {{"argosy", "run", "analize", "/tmp"}, 2, "did you mean analyze"},
    {{"argosy", "status", "extra"}, 2, "unexpected operand 'extra'"},
    {{"argosy", "fetch", "http://x/", NOBODY}, 3, "no broker answers at tcp://127.0.0.1:1"},
    {{"argosy", "status", NOBODY}, 3, "no broker answers at tcp://127.0.0.1:1"},
    {{"argosy", "wait", "short", NOBODY}, 2, "'short' is not an id"},
    {{"argosy", "fetch", "--config", "/nonexistent", "http://x/"}, 2, "cannot read /nonexistent"},
    {{"argosy", "submit", "cook", "{", NOBODY}, 2, "not JSON"},
    {{"argosy", "chek"}, 2, "did you mean check"},
    {{"argosy", "check", "memory"}, 2, "'memory' is no file: sqlite:PATH, or PATH alone"},
    {{"argosy", "check", "/nonexistent/jobs.db"}, 3, "there is no store at /nonexistent/jobs.db"},
    {{"argosy", "check", "a.db", "b.db"}, 2, "unexpected operand 'b.db'"},
    {{"argosy", "check", "--connect", "tcp://h:1"}, 2, "unknown option --connect"},
    {{"argosy", "backup"}, 2, "[STORE] FILE is missing"},
    {{"argosy", "backup", "sqlite:", "/tmp/never.db"}, 2, "the store's path is empty"},
    {{"argosy", "backup", "/dev/null", "/tmp/never.db"}, 3, "/dev/null is not a file"},
    {{"argosy", "export", "postgresql://h/d"}, 2, "'postgresql://h/d' is no file"},
    {{"argosy", "export", "--output", "/nonexistent/x", "a.db"}, 2, "cannot write /nonexistent/x"},
    {{"argosy-broker", "--bind", "tcp://127.0.0.1:nope"}, 2, "'nope' is not a port"},
    {{"argosy-broker", "--bind", "tcp://203.0.113.1:7700"}, 3, "cannot listen on"},
    {{"argosy-broker", "--memory-max", "1K"}, 2, "--memory-max: '1K' is out of range"},
    {{"argosy-worker", "--kinds", "cook"}, 2, "'cook' is not a kind"},
    {{"argosy-worker", "--connect", "tcp://host"}, 2, "has no port"},
    {{"argosy-worker", "--root", "/nonexistent"}, 2, "--root: /nonexistent"},
    {{"argosy-worker", "--allow-net", "10.0.0.0/99"}, 2, "'10.0.0.0/99' is not a network"},
    {{"argosy-worker", "--slots", "fetch=none"}, 2, "--slots"},
};

static void wrong_usage_is_told_and_has_its_exit_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct ran ran = harness_run(wrong[i].argv, NULL);

        if (ran.code != wrong[i].code || strstr(ran.err, wrong[i].message) == NULL)
            fail_msg("%s %s %s: exit code %d, not %d; it said: %s", wrong[i].argv[0],
                     wrong[i].argv[1] ? wrong[i].argv[1] : "",
                     wrong[i].argv[1] && wrong[i].argv[2] ? wrong[i].argv[2] : "", ran.code,
                     wrong[i].code, ran.err);
        assert_true(ran.out == NULL || ran.out[0] == '\0');
        ran_free(&ran);
    }
}

static void every_command_has_help_within_80_columns(void **state)
{
    static const char *const words[] = {"run",  "broker", "worker", "fetch",  "analyze", "submit",
                                        "wait", "result", "report", "cancel", "status",  "workers",
                                        "exec", "group",  "schedule", "list", "show", "explain",
                                        "retry", "rm",    "queues", "pause",  "resume",  "purge",
                                        "drain", "events", "top",  "check", "backup", "export"};

    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct ran ran = RUN("argosy", words[i], "--help");

        assert_int_equal(ran.code, 0);
        assert_non_null(strstr(ran.out, "usage: "));
        for (const char *line = ran.out; *line != '\0'; line += strcspn(line, "\n") + 1)
            if (strcspn(line, "\n") > 80)
                fail_msg("%s --help: %.*s", words[i], (int)strcspn(line, "\n"), line);
        ran_free(&ran);
    }
}

static void wrong_input_names_its_line(void **state)
{
    struct ran ran =
        harness_run((const char *const[]){"argosy", "run", "fetch", "-", "--retries", "0", NULL},
                    "http://x.invalid/\n{\"url\":\n");

    (void)state;
    assert_int_equal(ran.code, 2);
    assert_non_null(strstr(ran.err, "standard input:2: not JSON"));
    ran_free(&ran);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(wrong_usage_is_told_and_has_its_exit_code),
        TEST(every_command_has_help_within_80_columns),
        TEST(wrong_input_names_its_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
