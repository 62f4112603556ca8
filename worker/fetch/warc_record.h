/* warc_record.h - one record of a WARC file: its fields, its digests, its block.
 *
 * For each: warc_record_digest(), warc_record_begin(), fields, warc_record_write().
 *
 * Threads: one at a time. Blocking.
 */
#ifndef FETCH_WARC_RECORD_H
#define FETCH_WARC_RECORD_H

#include "common/bytes.h"
#include "common/id.h"
#include "worker/fetch/warc_file.h"

/* What a record holds: a head and a body, in memory or in a file. Borrowed. */
struct warc_block {
    struct ag_bytes head, body;
    int fd; /* when body.data is NULL; read from its beginning */
    uint64_t fd_size;
};

struct warc_digests {
    uint8_t block[32], body[32]; /* sha256 */
};

typedef struct warc_record warc_record_t;

/* ARGOSY_ENOMEM. */
int warc_record_new(warc_record_t **out, struct argosy_error *err);

uint64_t warc_block_body_size(const struct warc_block *block);

/* ARGOSY_EIO: the body's file cannot be read, or is too short. ARGOSY_ENOMEM. */
int warc_record_digest(warc_record_t *self, const struct warc_block *block,
                       struct warc_digests *out, struct argosy_error *err);

/* Forgets the record before, and begins with the fields that each record has. `id`: a UUID. */
void warc_record_begin(warc_record_t *self, const char *type, const struct ag_id *id,
                       int64_t unix_ms, const struct warc_block *block,
                       const struct warc_digests *digests);

/* One more field. Values must have no control characters. */
void warc_record_text(warc_record_t *self, const char *name, const char *value);
void warc_record_id(warc_record_t *self, const char *name, const struct ag_id *id);
void warc_record_date(warc_record_t *self, const char *name, int64_t unix_ms);
void warc_record_sha256(warc_record_t *self, const char *name, const uint8_t sha256[32]);

/* The file's next member: fields and block. As warc_file_put() and warc_record_digest(), and
 * ARGOSY_ETOOBIG: more than 64 KiB of fields; the file needs warc_file_rollback(). */
int warc_record_write(warc_record_t *self, warc_file_t *file, const struct warc_block *block,
                      struct argosy_error *err);

/* Sets NULL. */
void warc_record_destroy(warc_record_t **self_p);

#endif
