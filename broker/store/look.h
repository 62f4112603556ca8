/* look.h - a store as others see it: read only, and one moment of it, whether a broker holds it or
 * not. For argosy check, backup and export.
 *
 * Start here: look_open(). What it shows does not change until look_close(); a broker goes on
 * meanwhile, and only its log beside the database grows. Groups that are about to be forgotten, and
 * their jobs, are not shown: the next start of a broker deletes them.
 *
 * Nothing is written but two files of SQLite's beside a database that nobody else has open (-wal,
 * empty, and -shm), which the next broker takes over.
 *
 * Threads: one at a time. All that is given to a function lives until it returns.
 */
#ifndef BROKER_STORE_LOOK_H
#define BROKER_STORE_LOOK_H

#include "broker/core/record.h"

typedef struct look look_t;

/* ARGOSY_ENOTFOUND: there is nothing at `path`; ARGOSY_EINVAL: it is something else, or of a newer
 * format; ARGOSY_EPROTO: it is damaged so far that it cannot be opened; ARGOSY_EIO, ARGOSY_ENOMEM.
 */
int look_open(look_t **out, const char *path, struct argosy_error *err);
void look_close(look_t **self_p);

/* ---- check --------------------------------------------------------------------------------------
 */

struct look_facts {
    uint64_t format, epoch, made_unix_ms, bytes;
    uint64_t jobs, succeeded, failed, cancelled; /* jobs: all of them, ended or not */
    uint64_t groups, groups_ended, queues, schedules;
};

typedef void look_problem_fn(void *arg, const char *problem);

/* Looks for all that can be wrong and tells it as sentences; *out is what could be counted. Reads
 * every page and takes as much memory as a broker that has the same jobs. ARGOSY_ENOMEM. */
int look_check(look_t *self, struct look_facts *out, look_problem_fn *tell, void *arg,
               struct argosy_error *err);

/* ---- backup -------------------------------------------------------------------------------------
 */

/* Writes a copy for its user only, durably; `target` is there when it is complete, and not before.
 * `is_wanted` is asked now and then. Gives the copy's size. Nothing else can be done with the look
 * afterwards. ARGOSY_ESTATE: target is there already, or the copy is not wanted any more;
 * ARGOSY_EFULL, ARGOSY_EIO, ARGOSY_EPROTO. */
int look_copy(look_t *self, const char *target, bool (*is_wanted)(void), uint64_t *bytes,
              struct argosy_error *err);

/* ---- export -------------------------------------------------------------------------------------
 */

struct look_job {
    struct ag_id id, group; /* group zero: none */
    struct ag_bytes group_name, kind, queue, key, unique, after, payload;
    uint32_t index, priority;
    uint64_t accepted_unix_ms, due_unix_ms; /* due 0: at once */
    bool is_cancelled, has_ended;           /* cancelled: somebody wants it to stop */
    struct record news; /* RECORD_END if it has ended; else RECORD_ATTEMPT, of zeroes if none */
};

struct look_group {
    struct record made;      /* RECORD_GROUP */
    struct ag_bytes failure; /* why it is or was cancelled; empty: it is not */
    bool is_sealed, is_cancelled;
    uint64_t ended_unix_ms; /* 0: it has not */
    struct core_gone gone;  /* its jobs that are deleted already */
};

/* Not 0 ends it, and is what look_each_...() returns. */
typedef int look_job_fn(void *arg, const struct look_job *job);
typedef int look_group_fn(void *arg, const struct look_group *group);
typedef int look_record_fn(void *arg, const struct record *record);

/* In the order of their acceptance, whatever their number in the same memory. ARGOSY_EPROTO: it is
 * damaged there; ARGOSY_EIO. */
int look_each_job(look_t *self, look_job_fn *fn, void *arg, struct argosy_error *err);
int look_each_group(look_t *self, look_group_fn *fn, void *arg, struct argosy_error *err);
int look_each_queue(look_t *self, look_record_fn *fn, void *arg, struct argosy_error *err);
int look_each_schedule(look_t *self, look_record_fn *fn, void *arg, struct argosy_error *err);

#endif
