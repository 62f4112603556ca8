/* cache.h - what was counted once, on disk: a bounded map from keys to small values that several
 * jobs and several workers of a host share.
 *
 * Start here: cache_open(); cache_get(); cache_put(); cache_close() writes what was put.
 *
 * It may be deleted at any time. Whatever goes wrong with it only makes it forget: a value is given
 * back only if it is, byte for byte, what was put under that key.
 *
 * Bound: CACHE_BYTES_MAX on disk. What was neither put nor asked for longest goes first, half of
 * the bound at once: there is a young and an old half, what is found in the old one moves to the
 * young one, and when that is full it becomes the old one.
 *
 * Threads: one at a time for each cache_t; any number may be open on one directory.
 * Blocking: reads and writes files; waits up to CACHE_BUSY_MS for another writer.
 */
#ifndef ANALYZE_CACHE_H
#define ANALYZE_CACHE_H

#include <argosy/error.h>

#include "common/buffer.h"

enum {
    CACHE_KEY_BYTES = 16,
    CACHE_VALUE_BYTES_MAX = 1 << 20,
    CACHE_BYTES_MAX = 256 << 20,
    CACHE_PENDING_MAX = 4096,          /* values that wait to be written together, ... */
    CACHE_PENDING_BYTES_MAX = 4 << 20, /* ... and their bytes */
    CACHE_BUSY_MS = 1000
};

typedef struct cache cache_t;

/* In `folder`, which is made if it is not there. Something broken in it is replaced. On failure a
 * caller goes on without a cache. ARGOSY_EIO, ARGOSY_ENOMEM. */
int cache_open(cache_t **out, const char *folder, struct argosy_error *err);

/* The same with another bound, for tests. */
int cache_open_bounded(cache_t **out, const char *folder, uint64_t bytes_max,
                       struct argosy_error *err);

/* Writes what is pending. */
void cache_close(cache_t **self_p);

/* Is it known? Then `value` (cleared first) holds it. */
bool cache_get(cache_t *self, const uint8_t key[CACHE_KEY_BYTES], struct ag_buffer *value);

/* Remember it, from cache_close() on at the latest. One larger than the maximum is not. */
void cache_put(cache_t *self, const uint8_t key[CACHE_KEY_BYTES], struct ag_bytes value);

/* Write what was put so far. */
void cache_flush(cache_t *self);

/* The first thing that went wrong, or NULL; from then on nothing is known and nothing kept. */
const char *cache_trouble(const cache_t *self);

#endif
