/* tables.h - the journal as tables of SQLite: records become rows, rows become records again.
 *
 * Start here: tables_apply() for what a record changes, tables_load() for what a restart reads;
 * schema.sql says what the tables mean. A job's and a group's row are named by the number of the
 * record that made them, so nothing is ever searched for and no index has to be kept: rows are
 * appended in order, changed and deleted by number.
 *
 * What is forgotten leaves at once, but for its part in the counts of its group; the jobs of a
 * forgotten group that a crash left behind are deleted before the next load.
 *
 * Threads: one at a time.
 */
#ifndef BROKER_STORE_TABLES_H
#define BROKER_STORE_TABLES_H

#include "broker/core/record.h"
#include "broker/store/store.h"

enum { TABLES_FORMAT = 1 }; /* of schema.sql; a newer one is refused, an older one is changed */

typedef struct tables tables_t;

/* Opens the database, or makes it. ARGOSY_EINVAL: it is not a store, or of a newer format;
 * ARGOSY_EIO, ARGOSY_EFULL, ARGOSY_ENOMEM. */
int tables_open(tables_t **out, const char *path, struct argosy_error *err);

/* The error of the last checkpoint does not matter: all is in the log beside the database. */
void tables_close(tables_t **self_p);

/* Raise the epoch by one, or to `least`, durably. */
int tables_raise_epoch(tables_t *self, uint64_t least, uint64_t *epoch, struct argosy_error *err);

/* All records, in order; *last is the highest number. What is left of forgotten groups is deleted
 * before: ARGOSY_EFULL, and nothing was given. */
int tables_load(tables_t *self, store_take_fn *take, void *arg, uint64_t *last,
                struct argosy_error *err);

/* What these change is durable when tables_commit() has returned 0; ARGOSY_EFULL: there is no room
 * on the disk, ARGOSY_EAGAIN: somebody else writes to the database; after any error only
 * tables_rollback() can follow, and then the same again. */
int tables_begin(tables_t *self, struct argosy_error *err);
int tables_apply(tables_t *self, uint64_t number, struct ag_bytes record, struct argosy_error *err);
int tables_commit(tables_t *self, struct argosy_error *err);
void tables_rollback(tables_t *self);

/* A job's payload, or its result when `ended` is not 0, until the next call; *is_there is false
 * when there is no such row. */
int tables_bytes(tables_t *self, uint64_t number, uint64_t ended, bool *is_there,
                 struct ag_bytes *bytes, struct argosy_error *err);

/* Changes that found no row: there should be none, ever. */
uint64_t tables_surprises(const tables_t *self);

#endif
