/* fetch_stage.h - the fetch engine alone, in a loop of one descriptor, against the server that
 * misbehaves and servers of a test's own.
 *
 * Start here: make() a job, expect_one() runs it. Each test has a new engine, a new root and looks
 * at the end whether a descriptor was left open: FETCH_TEST().
 *
 * Names that end with .test are 127.0.0.1; "stuck.test" is not answered before let_names_go().
 *
 * Threads: one. Everything fails the test that calls when it does not go well.
 */
#ifndef TESTS_FETCH_STAGE_H
#define TESTS_FETCH_STAGE_H

#include <jansson.h>
#include <netinet/in.h>
#include <stdbool.h>

#include "common/buffer.h"
#include "tests/unit/cmocka_prelude.h"
#include "worker/fetch/fetch.h"

#ifdef __has_feature /* clang */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER
#endif
#elif defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ /* gcc */
#define HAS_SANITIZER
#endif
#ifdef HAS_SANITIZER
enum { SLOWER = 3 }; /* than without a sanitizer */
#else
enum { SLOWER = 1 };
#endif

enum { JOBS_MAX = 2000, SLOTS = 200, WAIT_MS = 30000, LATE_MS = 250 * SLOWER };

struct job {
    struct task task; /* the first member: tasks are jobs */
    struct ag_buffer payload;
    struct outcome outcome;
    bool done;
    unsigned permille; /* at its end */
    int64_t began_at, ended_at;
};

extern struct handler *engine;
extern struct job jobs[JOBS_MAX];
extern size_t made, begun, finished;
extern bool begin_next;         /* a job that ends starts the next one */
extern const char *root, *http; /* where files go; HOST:PORT of the server */

/* Partial results: how many there were, and the last one. */
extern unsigned told;
extern struct ag_buffer told_last;

/* What start_engine() makes it of; set_up() gives each test the defaults. */
extern struct policy_config policy; /* but its nets */
extern const secrets_t *secrets;

int set_up(void **state);
int tear_down(void **state);
#define FETCH_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* ---- the engine ---- */

/* `allow`: a network, or NULL. */
void start_engine(unsigned slots, const char *allow);
void restart_engine(void); /* with what is set now */

/* ---- jobs ---- */

/* A job from JSON with single quotes. */
__attribute__((format(printf, 1, 2))) struct job *make(const char *format, ...);

/* {'url': of the server's path, 'body': 'file', 'file': below the root, MORE} */
struct job *make_file(const char *path, const char *name, const char *more);

void begin(struct job *job);
void turn(void);
void turn_within(int ms); /* also when nothing has happened by then */
void run_until(size_t count);

/* Turn until it holds. */
#define TURN_UNTIL(condition)                                                                      \
    for (int64_t until_ = late_at(); !(condition);) {                                              \
        turn();                                                                                    \
        if (is_late(until_))                                                                       \
            fail_msg("%d jobs have ended; not: " #condition, (int)finished);                       \
    }
int64_t late_at(void);
bool is_late(int64_t until);

/* Begin all that were made, and wait for them. */
void run_all(void);
void forget_jobs(void);
void stop_job(struct job *job);

/* `type`: "" for a success. A row of a table that is not as expected is printed, and the test fails
 * at its end. */
bool is_as(const struct job *job, const char *type); /* prints what it is instead */
void expect_row(size_t row, const char *type, bool retryable);
void expect(const struct job *job, const char *type);
const struct job *expect_one(const char *type, const struct job *job); /* run it first */
void expect_error(const char *type, bool retryable, const char *words, const struct job *job);
int64_t lasted(const struct job *job);

/* ---- results; json_decref() them ---- */

json_t *tree(const struct ag_buffer *buffer);
json_t *result_of(const struct job *job);
json_t *echo_of(const struct job *job); /* the body of its result, which is JSON */
const char *text_at(const json_t *json, const char *key); /* "" if there is none */
json_int_t number_at(const json_t *json, const char *key);

/* ---- files ---- */

size_t count_entries(const char *path); /* with "." and ".." */
bool holds(const char *path, const char *text);

/* `size` bytes, at offset i is i % 251, as the server's /bytes has it. */
void write_pattern(const char *path, size_t size);
bool holds_pattern(const char *path, size_t size);
void pattern_sha256(size_t size, char hex[65]);

/* ---- servers ---- */

int listen_at(struct sockaddr_in *address, int backlog);

/* A process that gives one answer to each connection, one after the other; returns the port.
 * answered() reaps it: all of them were asked for. */
unsigned answer_each(const char *const *answers, size_t count);
unsigned answer_once(const char *answer);
#define ANSWER(...)                                                                                \
    answer_each((const char *const[]){__VA_ARGS__},                                                \
                sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))
void answered(void);

/* What these processes were asked, as it came; freed by harness_end(). */
const char *requests(void);

/* The body of the server's answer, which is JSON, or a number. */
json_t *ask_server(const char *path);
json_int_t server_counts(const char *route);

/* ---- names ---- */

void let_names_go(void);

/* ---- disks ---- */

/* What is written to files waits from hold_disk() on. */
void hold_disk(void);
void let_disk_write_once(void);
void let_disk_go(void);

#endif
