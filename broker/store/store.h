/* store.h - where what the core decides is kept: one interface, one implementation for each place.
 *
 * Start here: store_memory_new(). The reactor appends every EFFECT_JOURNAL in order and asks for a
 * commit once per turn; answers leave when committed() has reached their record. So a store may
 * make many records durable at once, and no client hears of what is not durable yet. The records of
 * one step belong together: after a crash either all of them are there or none (a job that was
 * accepted and ended within one step is written as it was in the end).
 *
 * Threads: the reactor's only; a store that works in the background tells through its fd.
 */
#ifndef BROKER_STORE_H
#define BROKER_STORE_H

#include "broker/core/core.h"

struct store {
    const char *name;
    uint64_t epoch; /* of this life of the broker: higher than any before it */
    int fd;         /* readable when committed() may have grown; -1: it grows within commit() */

    /* Take a record; `effect` is an EFFECT_JOURNAL and its pointers count only now.
     * 0, or ARGOSY_EIO: the broker must stop, for it cannot keep its word. */
    int (*append)(struct store *self, const struct effect *effect, struct argosy_error *err);

    /* Begin to make everything appended durable. The same errors. */
    int (*commit)(struct store *self, struct argosy_error *err);

    /* Records up to this number are durable. */
    uint64_t (*committed)(const struct store *self);

    /* Sets NULL. */
    void (*destroy)(struct store **self_p);
};

/* Keeps nothing beyond the process: the core's own memory is all there is. `unix_ms` is the wall
 * clock, which makes the epoch. NULL when memory is short. */
struct store *store_memory_new(uint64_t unix_ms);

#endif
