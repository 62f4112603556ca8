/* store.h - where what the core decides is kept: one interface, one implementation for each place.
 *
 * Start here: store_open(). The reactor gives back to a new core what is
 * held (load), appends every EFFECT_JOURNAL in order and asks for a commit once per turn; answers
 * leave when committed() has reached their record. So a store may make many records durable at
 * once, and no client hears of what is not durable yet. The records of one turn belong together:
 * after a crash either all of them are there or none (a job that was accepted and ended within one
 * step is written as it was in the end).
 *
 * A full disk is not an error: the store is full then, keeps what it was given in memory and goes
 * on trying; the reactor tells the core, which takes no new jobs. Any other error is the end of
 * this life: after a failed write nobody knows what the disk holds, so the broker must begin anew
 * from what it reads (doc/decisions/0008).
 *
 * Threads: the reactor's only; a store that works in the background tells through its fd.
 */
#ifndef BROKER_STORE_H
#define BROKER_STORE_H

#include <limits.h>

#include "broker/core/core.h"

/* Takes one record with its number. Not 0: load() ends with it. */
typedef int store_take_fn(void *arg, uint64_t number, const struct record *record,
                          struct argosy_error *err);

struct store {
    const char *name;
    uint64_t epoch; /* of this life of the broker: higher than any before it */
    uint64_t last;  /* after load(): the number of the last record that is held; 0 none */
    int fd;         /* readable when committed() or is_full may have changed; -1: it never does */
    bool is_full;   /* after commit(): the disk is full, new jobs must wait */

    /* What core_restore() wants, in order. Once, first of all. ARGOSY_EIO, or what `take` says. */
    int (*load)(struct store *self, store_take_fn *take, void *arg, struct argosy_error *err);

    /* Take a record; `effect` is an EFFECT_JOURNAL of `core` and its pointers count only now.
     * ARGOSY_ENOMEM: the broker must stop, for it cannot keep its word. */
    int (*append)(struct store *self, core_t *core, const struct effect *effect,
                  struct argosy_error *err);

    /* The end of a turn: begin to make everything appended durable. Never blocks.
     * ARGOSY_EIO and others: what failed in the background; the broker must begin anew.
     * ARGOSY_ENOMEM likewise, also of what this turn was. */
    int (*commit)(struct store *self, struct argosy_error *err);

    /* Records up to this number are durable. */
    uint64_t (*committed)(const struct store *self);

    /* Read what an EFFECT_LOAD names; loaded() tells it when fd has become readable and commit()
     * was called. Both NULL: this store cannot. ARGOSY_ENOMEM. */
    int (*want)(struct store *self, const struct effect *load, struct argosy_error *err);

    /* The next one that was read; false when there is none. It points into the store until the next
     * call. */
    bool (*loaded)(struct store *self, struct core_loaded *out);

    /* Makes durable what commit() has seen, if the disk lets it. Sets NULL. */
    void (*destroy)(struct store **self_p);
};

/* Keeps nothing beyond the process: the core's own memory is all there is. `unix_ms` is the wall
 * clock, which makes the epoch. NULL when memory is short. */
struct store *store_memory_new(uint64_t unix_ms);

/* An SQLite database, which no other broker may hold; made if it is not there, and its directory.
 * ARGOSY_ESTATE: another broker holds it; ARGOSY_EINVAL: a network file system, or a store of a
 * newer format; ARGOSY_EIO, ARGOSY_ENOMEM. */
int store_sqlite_open(struct store **out, const char *path, uint64_t unix_ms,
                      struct argosy_error *err);

/* "memory" or "sqlite:PATH"; NULL: SQLite in the user's state directory. The same errors; text that
 * names no store is ARGOSY_EINVAL, which store_check() tells beforehand. */
int store_open(struct store **out, const char *text, uint64_t unix_ms, struct argosy_error *err);
int store_check(const char *text, struct argosy_error *err);

/* Where the store's file is or would be: of "sqlite:PATH", of PATH alone, of NULL as above.
 * ARGOSY_EINVAL: text that names no file. */
int store_path(const char *text, char path[PATH_MAX], struct argosy_error *err);

#endif
