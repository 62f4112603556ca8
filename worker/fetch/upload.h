/* upload.h - a file on its way out as a request's body, read off the loop, one part ahead.
 *
 * Start here: upload_new(); `changed` is called on the loop's thread when the file is open (then
 * upload_size() is known), and later when there is more to read, or it failed.
 *
 * Threads: the loop's; what a pool thread reads into is its own until it is done.
 */
#ifndef FETCH_UPLOAD_H
#define FETCH_UPLOAD_H

#include <argosy/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/pool.h"

typedef struct upload upload_t;

struct upload_config {
    pool_t *pool; /* borrowed, as are the roots; the path is copied */
    const char *path;
    const char *const *roots;
    size_t roots_count;
    void (*changed)(void *arg);
    void *arg;
};

/* Begins to read. ARGOSY_ENOMEM. */
int upload_new(upload_t **out, const struct upload_config *config, struct argosy_error *err);

/* The file is not open yet. */
bool upload_is_opening(const upload_t *self);

/* Bytes of the file, as they were when it was opened. */
uint64_t upload_size(const upload_t *self);

/* NULL, or why it fails; *code is ARGOSY_EREJECTED for a path that may not be read, else
 * ARGOSY_EIO. */
const char *upload_failure(const upload_t *self, int *code);

/* Copies what comes next, 1 to `size` bytes. 0: nothing now; `changed` follows, unless this was the
 * end or it has failed. */
size_t upload_read(upload_t *self, void *out, size_t size);
bool upload_is_at_end(const upload_t *self);

/* From the beginning again: for a request that has to be repeated. */
void upload_rewind(upload_t *self);

/* Never waits. `changed` is not called any more. Sets NULL. */
void upload_destroy(upload_t **self_p);

#endif
