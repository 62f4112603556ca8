/* harness.h - real processes for tests: run a command to its end, or keep daemons for a while.
 *
 * Programs are those of ARGOSY_BIN, the misbehaving HTTP server that of ARGOSY_TEST_HTTP_SERVER.
 * Everything a test starts is stopped by harness_end(), also when the test has failed. Nothing
 * sleeps: tests wait for conditions.
 */
#ifndef TESTS_HARNESS_H
#define TESTS_HARNESS_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

/* A command that has ended. */
struct ran {
    int code;   /* 128 + N after signal N */
    int64_t ms; /* how long it took */
    char *out, *err;
};

enum { HARNESS_RUN_MS = 60000 /* after which a command is killed, and the test fails */ };

void harness_begin(void);
void harness_end(void);

/* A path in the test's own directory; a new text, freed by harness_end(). */
const char *harness_path(const char *name);
void harness_write(const char *path, const char *content);
const char *harness_read(const char *path); /* freed by harness_end() */

/* argv ends with NULL; argv[0] is a program of ARGOSY_BIN. `input` (may be NULL) is its stdin. */
struct ran harness_run(const char *const *argv, const char *input);
void ran_free(struct ran *ran);

#define RUN(...) harness_run((const char *const[]){__VA_ARGS__, NULL}, NULL)

/* A daemon; its stderr goes to a file. */
pid_t harness_start(const char *const *argv, const char *log);
#define START(log, ...) harness_start((const char *const[]){__VA_ARGS__, NULL}, log)

/* Wait until a file holds a text; fails the test when it does not in time. Returns what stands
 * behind the text up to the next white space; freed by harness_end(). */
const char *harness_await(const char *path, const char *text);

/* Send a signal and wait for the end: its exit code as in struct ran. 0 only waits. */
int harness_stop(pid_t pid, int number);

/* Where the HTTP server is, started with the first call: "http", "https", "https-selfsigned",
 * "refused", "ca". */
const char *harness_server(const char *name);

/* The lines of a text as JSON; json_decref() the array. */
json_t *harness_json_lines(const char *text);

/* How many objects of the list have `value` at `path`, keys joined by '/'. */
size_t harness_count(const json_t *list, const char *path, const char *value);

#endif
