/* rows.h - the statements over the tables, and what tables.c, load.c and look.c share. Private to
 * them. */
#ifndef BROKER_STORE_ROWS_H
#define BROKER_STORE_ROWS_H

#include "broker/store/sql.h"
#include "broker/store/store.h"
#include "common/buffer.h"
#include "common/list.h"
#include "common/map.h"

/* X(NAME, text) */
#define STATEMENTS(X)                                                                              \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(RAISE_EPOCH, "UPDATE meta SET value = max(value + 1, ?) WHERE key = 'epoch'")                \
    X(ADD_TEMPLATE, "INSERT INTO template (kind, queue, priority, spec) VALUES (?, ?, ?, ?)")      \
    X(ADD_JOB,                                                                                     \
      "INSERT INTO job (number, id, batch, place, template, since, due, key, uniq, waits, mode,"   \
      " payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")                                     \
    X(SET_ATTEMPT, "UPDATE job SET attempt = ? WHERE number = ?")                                  \
    X(CANCEL_JOB, "UPDATE job SET cancelled = ? WHERE number = ?")                                 \
    X(DELETE_JOBS, "DELETE FROM job WHERE number BETWEEN ? AND ?")                                 \
    X(ADD_OUTCOME,                                                                                 \
      "INSERT INTO outcome (number, job, state, worker, attempt, failures, losses, releases,"      \
      " queued_ms, run_ms, since, result, error, spent, remembered, attempts)"                     \
      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")                                  \
    X(DELETE_OUTCOMES, "DELETE FROM outcome WHERE number BETWEEN ? AND ?")                         \
    X(ADD_BATCH, "INSERT INTO batch (number, id, name, spec) VALUES (?, ?, ?, ?)")                 \
    X(SEAL_BATCH, "UPDATE batch SET sealed = ? WHERE number = ?")                                  \
    X(STOP_BATCH, "UPDATE batch SET stop = ?, stopped = ?3 WHERE number = ?2")                     \
    X(END_BATCH, "UPDATE batch SET ended = ?1, ended_at = ?3 WHERE number = ?2")                   \
    X(FORGET_BATCH, "UPDATE batch SET forgotten = 1 WHERE number = ?")                             \
    X(DELETE_BATCH, "DELETE FROM batch WHERE number = ?")                                          \
    X(ADD_GONE,                                                                                    \
      "UPDATE batch SET succeeded = succeeded + ?, failed = failed + ?,"                           \
      " cancelled = cancelled + ?, retried = retried + ?, unconfirmed = unconfirmed + ?,"          \
      " busy_ms = busy_ms + ? WHERE number = ?")                                                   \
    X(PUT_QUEUE,                                                                                   \
      "REPLACE INTO queue (name, number, paused, slots, relaxed, spec) VALUES (?, ?, ?, ?, ?, ?)") \
    X(PUT_SCHEDULE,                                                                                \
      "REPLACE INTO schedule (id, number, name, next, fired, spec) VALUES (?, ?, ?, ?, ?, ?)")     \
    X(DELETE_SCHEDULE, "DELETE FROM schedule WHERE id = ?")                                        \
    X(PUT_WORKER, "REPLACE INTO worker (instance, number, name) VALUES (?, ?, ?)")                 \
    X(PAYLOAD, "SELECT payload FROM job WHERE number = ?")                                         \
    X(RESULT, "SELECT result FROM outcome WHERE number = ?")                                       \
    X(DELETE_WORKER, "DELETE FROM worker WHERE instance = ?")

enum statement {
#define X(name, text) SQL_##name,
    STATEMENTS(X)
#undef X
        STATEMENTS_COUNT
};

/* For qsort() and bsearch(), of numbers and of what begins with one. */
static inline int compare_numbers(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

enum { TEMPLATES_MAX = 1024 }; /* remembered; beyond it some stand in the table twice */

struct template
{
    struct ag_map_node node; /* by a hash of spec */
    uint64_t number;
    size_t size;
    uint8_t spec[];
};

struct numbers {
    uint64_t *items;
    size_t count, capacity;
};

struct tables {
    sqlite3 *db;
    sqlite3_stmt *sql[STATEMENTS_COUNT];
    uint64_t surprises;
    struct ag_map templates;
    struct template *last_template;
    struct numbers forgotten_jobs, forgotten_ends; /* deleted with the commit */
    uint64_t gone_of; /* the group whose counts wait in `gone`; 0 none */
    struct core_gone gone;
};

/* Whether this version can read it. ARGOSY_EINVAL: no store, or of a newer format. */
int tables_check_format(sqlite3 *db, const char *path, struct argosy_error *err);

/* What tables_load() reads, and nothing is deleted: forgotten groups must have been hidden. */
int tables_read(sqlite3 *db, store_take_fn *take, void *arg, uint64_t *last,
                struct argosy_error *err);

#endif
