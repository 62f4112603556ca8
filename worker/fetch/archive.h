/* archive.h - exchanges on their way to WARC files, off the loop.
 *
 * Start here: exchange_new() for a hop, exchange_*() what goes out and comes in, archive_append();
 * its `done` is called on the loop's thread. warc.h writes the files, in a thread of its own, one
 * exchange after the other.
 *
 * Threads: the loop's. Bounds: of an exchange ARCHIVE_MEMORY bytes of the payload are in memory,
 * more go to a hidden file beside the archive; heads have the bounds of the engine.
 */
#ifndef FETCH_ARCHIVE_H
#define FETCH_ARCHIVE_H

#include <argosy/error.h>
#include <stdbool.h>

#include "worker/fetch/sink.h"
#include "worker/fetch/warc.h"

enum { ARCHIVE_MEMORY = 1 << 20, ARCHIVE_HEAD_MAX = 512 << 10 };

typedef struct archive archive_t;

/* `roots` are the worker's, and must outlive it; `host` is for the files' first record. ARGOSY_EIO,
 * ARGOSY_ENOMEM, ARGOSY_EINVAL. */
int archive_new(archive_t **out, const char *host, const char *const *roots, size_t roots_count,
                struct argosy_error *err);

/* Readable when archive_collect() has something to do. */
int archive_fd(const archive_t *self);
void archive_collect(archive_t *self);

/* When archive_on_timer() has something to do: files are closed when nothing came for a while. */
int64_t archive_deadline(const archive_t *self);
void archive_on_timer(archive_t *self, int64_t now);

/* Waits for what is being written; what has not begun is not written. The disk of exchanges must
 * still be there, and may go before archive_destroy(). */
void archive_stop(archive_t *self);

/* Closes the files. Sets NULL. */
void archive_destroy(archive_t **self_p);

struct archive_place {
    char *file; /* NULL: none; free() it */
    uint64_t offset, length;
};

struct exchange;

struct exchange_config {
    archive_t *archive;
    pool_t *disk; /* for payloads that are too large for memory */
    const char *prefix, *uri;
    int64_t unix_ms;
    const char *const *roots;
    size_t roots_count;
    void (*changed)(void *arg); /* the disk has room again */
    void *arg;
};

int exchange_new(struct exchange **out, const struct exchange_config *config,
                 struct argosy_error *err);

/* It goes out; of what went out before, to a proxy or on a connection that had gone, nothing
 * counts.
 */
void exchange_begin_request(struct exchange *self);
void exchange_add_request(struct exchange *self, const void *data, size_t size);

/* A line of the answer's head. A status line begins it anew. */
void exchange_add_head(struct exchange *self, const char *line, size_t size);

/* False: not now; try again after `changed`. */
bool exchange_add_payload(struct exchange *self, const void *data, size_t size);

void exchange_set_peer(struct exchange *self, const char *peer);
void exchange_set_truncated(struct exchange *self, enum warc_truncated truncated);

/* Whether there is something to archive: an answer has begun. */
bool exchange_has_answer(const struct exchange *self);

/* Append it; `done` follows. The exchange is yours until then and must stay. */
void archive_append(archive_t *self, struct exchange *exchange, void (*done)(void *arg), void *arg);

/* NULL, or why it could not be archived. */
const char *exchange_failure(const struct exchange *self);

/* Gives away place->file. */
void exchange_take_place(struct exchange *self, struct archive_place *place);

/* Never waits, whatever it is at. Sets NULL. */
void exchange_destroy(struct exchange **self_p);

#endif
