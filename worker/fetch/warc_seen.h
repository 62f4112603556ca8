/* warc_seen.h - the payloads that were archived last, so that the next one like it need not be.
 *
 * Threads: one at a time. Pure, but for memory.
 */
#ifndef FETCH_WARC_SEEN_H
#define FETCH_WARC_SEEN_H

#include <argosy/error.h>
#include <stdint.h>

#include "common/id.h"

/* Together at most some 12 MiB. */
enum {
    WARC_SEEN_MAX = 10000,   /* payloads; the one that was used least recently goes */
    WARC_SEEN_URI_MAX = 1024 /* bytes; longer ones are not remembered */
};

typedef struct warc_seen warc_seen_t;

/* The record that has the payload. */
struct warc_original {
    struct ag_id record_id; /* a UUID */
    int64_t unix_ms;
    const char *uri;
};

/* ARGOSY_ENOMEM. */
int warc_seen_new(warc_seen_t **out, uint64_t seed, struct argosy_error *err);

/* The returned record is valid until the next call; NULL: not seen. */
const struct warc_original *warc_seen_find(warc_seen_t *self, const uint8_t key[32]);

/* Copies. Without memory it is not remembered, which costs some room in the archive only. */
void warc_seen_add(warc_seen_t *self, const uint8_t key[32], const struct warc_original *original);

void warc_seen_destroy(warc_seen_t **self_p);

#endif
