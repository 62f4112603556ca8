/* pool.h - threads for work that would block the loop: each owns one item at a time.
 *
 * Start here: pool_new(); poll pool_fd() for reading; pool_collect() runs the `done` of finished
 * items on the caller's thread.
 *
 * Threads: pool_submit() and pool_collect() belong to the loop's thread; `work` runs on a pool
 * thread; `done` runs on the loop's thread.
 */
#ifndef WORKER_POOL_H
#define WORKER_POOL_H

#include <argosy/error.h>

typedef struct pool pool_t;

struct pool_item {
    void (*work)(void *arg); /* on a pool thread */
    void (*done)(void *arg); /* on the loop's thread, after work */
    void *arg;
};

/* NULL when memory or threads are short (err says which). */
pool_t *pool_new(unsigned threads, struct argosy_error *err);

/* Waits for the items that run; those not begun are given back through `done` without work. */
void pool_destroy(pool_t **self_p);

/* Queue an item (copied). Returns 0, ARGOSY_ENOMEM, or ARGOSY_ESTATE while it is destroyed. */
int pool_submit(pool_t *self, const struct pool_item *item);

/* An eventfd, readable when items have finished. */
int pool_fd(const pool_t *self);

/* Call `done` for everything finished; never blocks. */
void pool_collect(pool_t *self);

#endif
