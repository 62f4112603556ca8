/* storm.h - what the programs of the kill -9 storm share: the jobs' keys, and logs that outlive a
 * SIGKILL.
 *
 *     supervisor (main.c) --starts, kills, restarts--> argosy-broker, worker.c, client.c
 *     logs and store ------------------------------> check.c
 *
 * Every program appends lines to a file of its own, one write() for each, so a kill leaves at most
 * one line without its end, which the checker leaves out. Times are ms of the monotonic clock: all
 * run on one machine. The first letter says what a line is, see check_read.c.
 *
 * A key names what a client wanted: the number of the client's process and a count. It also says
 * how the job is to go, so that the checker knows what must become of it.
 */
#ifndef STORM_STORM_H
#define STORM_STORM_H

#include <stdbool.h>
#include <stdint.h>

#define STORM_KIND "storm"
#define STORM_FAILURE "storm.fail" /* the type of a failure that the key asks for */

enum {
    STORM_TRIES = 2,   /* a job's retry.attempts */
    STORM_KILLED = 137 /* what a shell calls the end by SIGKILL */
};

/* An execution of a job. */
struct storm_token {
    uint64_t epoch;
    uint32_t attempt;
};

/* What a job made, as it stands in its result. The hash is of this one execution only. */
struct storm_result {
    uint64_t key, hash;
    struct storm_token token;
};

static inline bool storm_fails_always(uint64_t key)
{
    return key % 128 == 9;
}

static inline bool storm_fails_first(uint64_t key)
{
    return key % 32 == 7;
}

static inline bool storm_sleeps(uint64_t key)
{
    return key % 16 == 3;
}

/* A file in the folder, for appending; ends the program when that cannot be. */
int storm_log_open(const char *folder, const char *who, unsigned number);

/* One line in one write(). */
__attribute__((format(printf, 2, 3))) void storm_log(int fd, const char *format, ...);

/* The programs: argv is theirs alone. They return their exit code. */
int storm_client(int argc, char **argv);
int storm_worker(int argc, char **argv);

#endif
