/* sink.h - a body on its way to a file, off the loop: written and hashed by a pool thread while
 * the next part arrives.
 *
 * Start here: sink_new(), sink_write() what arrives, sink_finish(). `changed` is called on the
 * loop's thread when something that was waited for has happened: room, the look, the end, or a
 * failure (sink_failure()).
 *
 * Threads: the loop's. What a pool thread works on is its own until it is done with it.
 * Bounds: two buffers of SINK_BUFFER for each; a full one is when the sender has to wait.
 */
#ifndef FETCH_SINK_H
#define FETCH_SINK_H

#include <argosy/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/pool.h"

enum { SINK_BUFFER = 256 << 10, SINK_WRITE_MAX = 1 << 20, SINK_VALIDATOR_SIZE = 256 };

typedef struct sink sink_t;

struct sink_config {
    pool_t *pool; /* borrowed, as are the roots; other texts are copied */
    const char *path;
    const char *const *roots;
    size_t roots_count;
    const char *resume_key; /* what is not whole is left for the next attempt with this key, once
                               it is marked, and looked for; NULL: it is removed */
    void (*changed)(void *arg);
    void *arg;
};

/* Nothing is opened yet. ARGOSY_ENOMEM, and as output_check(). */
int sink_new(sink_t **out, const struct sink_config *config, struct argosy_error *err);

/* With resume: look for what an earlier attempt has left; `changed` follows. */
void sink_look(sink_t *self);

/* What was found: how much of the body, and the validator of the answer it is from ("" and 0:
 * nothing). */
uint64_t sink_found(const sink_t *self, const char **validator);

/* The body begins anew: nothing of what was found is used. Before the first write. */
void sink_restart(sink_t *self);

/* With resume: what is written from now on is of an answer with this validator. Before the first
 * write. */
void sink_mark(sink_t *self, const char *validator);

/* Whether so much can be written now; if not, `changed` follows. */
bool sink_has_room(const sink_t *self, size_t size);

/* There must be room; at most SINK_WRITE_MAX bytes. */
void sink_write(sink_t *self, const void *data, size_t size);

/* The body is whole: write what is left, and give the file its name if its sha256 is `wanted`
 * (hexadecimal; NULL: any). `changed` follows when that is done. */
void sink_finish(sink_t *self, const char *wanted);

/* As sink_finish(), for a file that nobody will see: it gets no name and ends with the sink. When
 * `changed` has said so, its descriptor may be read. */
void sink_flush(sink_t *self);
int sink_fd(const sink_t *self);

bool sink_is_busy(const sink_t *self);

/* NULL, or why it fails: no bytes are taken any more. *code is ARGOSY_EREJECTED for a path that may
 * not be written to, ARGOSY_EPROTO for the wrong digest, ARGOSY_EIO for all else. */
const char *sink_failure(const sink_t *self, int *code);

/* It has been finished: the file has its name. */
bool sink_is_whole(const sink_t *self);

/* After sink_finish(): where it is, and its digest in hexadecimal. */
const char *sink_path(const sink_t *self);
const char *sink_sha256(const sink_t *self);

/* It is given up: what is not finished is removed (with a resume key, once marked: left). True:
 * `changed` follows when that is done, or several times before; see sink_is_busy(). */
bool sink_close(sink_t *self);

/* Never waits; what is not finished is removed (with resume and a validator: left) behind its back.
 * `changed` is not called any more. Sets NULL. */
void sink_destroy(sink_t **self_p);

#endif
