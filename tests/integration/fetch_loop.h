/* fetch_loop.h - the fetch engine alone, in a loop of one descriptor, for tests: jobs from JSON,
 * names that mean what a test says, and how long each turn holds the loop.
 *
 * Start here: stage_begin(), stage_make() some jobs, stage_run_all(), stage_expect(), stage_end().
 *
 * getaddrinfo() is the stage's in the whole program, libcurl included: what is not in its table
 * goes to the real one.
 *
 * Threads: one, but for getaddrinfo(). Units: milliseconds of the monotonic clock, microseconds.
 */
#ifndef TESTS_FETCH_LOOP_H
#define TESTS_FETCH_LOOP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "worker/fetch/fetch.h"

#ifdef __has_feature /* clang */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STAGE_HAS_SANITIZER
#endif
#elif defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ /* gcc */
#define STAGE_HAS_SANITIZER
#endif
#ifdef STAGE_HAS_SANITIZER
enum { STAGE_SLOWER = 4 }; /* than without a sanitizer */
#else
enum { STAGE_SLOWER = 1 };
#endif

enum { STAGE_JOBS_MAX = 50000 };

struct job {
    struct task task; /* first */
    struct ag_buffer payload;
    struct outcome outcome; /* without its result if stage.forgets */
    bool done;
    int64_t began_at, ended_at;
};

/* The longest time that something held the loop, and what it took. `held_us` is the time that
 * passed less the time in which the thread was ready to run, but other processes had the processor:
 * that is what targets are about, also on a machine that is busy. */
struct hold {
    int64_t held_us, wall_us, cpu_us;
};

struct stage {
    struct handler *engine;
    struct job *jobs;
    size_t made, begun, finished;
    bool begin_next;         /* a job that ends starts the next one */
    bool forgets;            /* results are freed at once; types stay */
    const char *root, *http; /* where files go; HOST:PORT of the server */
    struct hold longest;     /* of all turns since stage_reset_hold() */
    int64_t cpu_us;          /* of the turns since then */
    size_t turns;
};
extern struct stage stage;

/* With the server, and `slots` for an engine that may reach 127.0.0.0/8. */
void stage_begin(unsigned slots);

/* The engine is destroyed; fails when descriptors stay behind. Returns 0 or -1. */
int stage_end(void);

/* Another engine. `ca_file` NULL: the system's certificates. */
void stage_restart(unsigned slots, const char *ca_file);

/* A job from JSON with single quotes. */
__attribute__((format(printf, 1, 2))) struct job *stage_make(const char *format, ...);
void stage_start(struct job *job); /* those that were made must begin in their order */
void stage_stop(struct job *job);
void stage_turn(void);
void stage_run_until(size_t finished);

/* Begin all that were made, and wait for them. */
void stage_run_all(void);

/* The same, at most `at_once` at a time. */
void stage_run_some(size_t at_once);
void stage_forget_jobs(void);

/* "" for a success. */
void stage_expect(const struct job *job, const char *type);
void stage_expect_all(const char *type);

/* The result, json_decref() it. */
json_t *stage_result(const struct job *job);
const char *stage_text(const json_t *json, const char *key);

/* One job, which must succeed; its result. */
__attribute__((format(printf, 1, 2))) json_t *stage_fetch(const char *format, ...);

/* A process that gives this answer to every request and closes the connection; its port. One at a
 * time. */
unsigned stage_serve(struct ag_bytes answer);
void stage_stop_serving(void);

/* A port of 127.0.0.1 that is free, for others to listen at. */
unsigned stage_free_port(void);

/* A number of the server's /stats, asked for through curl(1)'s library, not through the engine. */
int64_t stage_server_count(const char *key);

/* ---- how long ---- */

void stage_reset_hold(void);

/* Measure what happens between the two. */
struct hold stage_hold_begin(void);
struct hold stage_hold_end(const struct hold *begun);

/* Print what the longest turn was; fail if it was longer than `must_ms` (times STAGE_SLOWER). */
void stage_expect_hold(const char *what, int64_t must_ms);

/* ---- names ---- */

/* From now on `name` has this address, or fails with an EAI_* code when that is NULL; a lookup
 * takes `ms`. At most 64 names. */
void stage_name(const char *name, const char *address, int code, unsigned ms);
unsigned stage_lookups(const char *name);

/* Lookups by threads that are not the engine's resolver's: libcurl's own. */
unsigned stage_foreign_lookups(void);

#endif
