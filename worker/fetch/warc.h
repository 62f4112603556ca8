/* warc.h - exchanges of HTTP as WARC 1.1 files (ISO 28500:2017), one gzip member for each record.
 *
 * Start here: warc_new(), warc_append() for each exchange, warc_finish() when there is a pause.
 *
 * A file is PREFIX-YYYYMMDDhhmmss-SERIAL-INSTANCE.warc.gz, with ".open" behind it while it is being
 * written; it is forced to the disk before it loses that. What a killed worker leaves as .open can
 * be read up to a torn last record. Each begins with a `warcinfo`; each exchange is a `response`
 * and then its `request`. A payload that this writer has archived under the same prefix, whatever
 * the URL, is a `revisit` (identical-payload-digest) with the head of the response. Digests are
 * sha256, in lower-case hex. What of a head is not as it was on the wire: warc_head.h.
 *
 * Threads: one at a time, one that may wait: all of this blocks, on disks and on compression.
 * Memory: some 0.4 MiB for each open file, 12 MiB for what was seen, the size of heads; bodies in
 * files pass through a fixed buffer.
 */
#ifndef FETCH_WARC_H
#define FETCH_WARC_H

#include <argosy/error.h>

#include "common/bytes.h"

enum {
    WARC_OPEN_MAX = 8, /* files open at once; of more prefixes the one used least recently closes */
    WARC_INSTANCE_SIZE = 26
};

#define WARC_ROTATE_BYTES (UINT64_C(1) << 30) /* what the standard's annex C recommends */

typedef struct warc warc_t;

struct warc_config {
    const char *software;                 /* "argosy/0.1.0" */
    const char *operator_name, *hostname; /* for `warcinfo`; may be NULL */
    const char *instance;  /* 26 letters and digits that no other writer has: in names of files */
    uint64_t rotate_bytes; /* a file that has as many is followed by a new one; 0: 1 GiB */
    const char *const *roots; /* prefixes are below one of them; must outlive the writer */
    size_t roots_count;
    int (*random)(void *out, size_t size, struct argosy_error *err); /* ag_entropy() */
};

enum warc_truncated {
    WARC_WHOLE,
    WARC_TRUNCATED_LENGTH,
    WARC_TRUNCATED_TIME,
    WARC_TRUNCATED_DISCONNECT
};

/* Borrowed until warc_append() returns. */
struct warc_exchange {
    const char *prefix;            /* as warc_check() */
    const char *uri;               /* what was asked for, absolute; without a password, please */
    int64_t unix_ms;               /* when the request went out */
    const char *peer;              /* an address without port; NULL: not known */
    struct ag_bytes request;       /* head and body; data NULL: no `request` record */
    struct ag_bytes response;      /* the last head only: status line, fields, empty line */
    struct ag_bytes payload;       /* as sent, but without chunks; data NULL: it is in payload_fd */
    int payload_fd;                /* read from its beginning; its position stays */
    uint64_t payload_size;         /* of payload_fd; 0: there is no payload */
    enum warc_truncated truncated; /* of the payload */
    enum warc_truncated request_truncated; /* of the request's body */
};

/* Where the `response` or `revisit` is: a gzip member of its own. */
struct warc_place {
    const char *file; /* the name that the file has when it is closed; until the next call */
    uint64_t offset, length;
    bool is_revisit;
};

/* Whether a job may name this prefix: an absolute path below a root whose last part leaves room for
 * what is added, without control characters. ARGOSY_EREJECTED: not below a root. ARGOSY_EINVAL. */
int warc_check(const char *prefix, const char *const *roots, size_t roots_count,
               struct argosy_error *err);

/* Opens nothing yet. ARGOSY_EINVAL, ARGOSY_ENOMEM, and what config->random returns. */
int warc_new(warc_t **out, const struct warc_config *config, struct argosy_error *err);

/* Append the exchange: all of it, or on failure nothing; later ones may succeed.
 * ARGOSY_EIO: a disk, with the file and the reason; or the payload's file is too short.
 * ARGOSY_EINVAL: a value that could be mistaken for another line, or is not what it should be.
 * ARGOSY_ETOOBIG: a head beyond 1 MiB. ARGOSY_EREJECTED: as warc_check(). ARGOSY_ENOMEM. */
int warc_append(warc_t *self, const struct warc_exchange *exchange, struct warc_place *place,
                struct argosy_error *err);

/* Close all files, so that they get their names; appending begins new ones. ARGOSY_EIO: the first
 * failure; that file keeps its ".open". */
int warc_finish(warc_t *self, struct argosy_error *err);

/* As warc_finish(), for those who do not want to know. Sets NULL. */
void warc_destroy(warc_t **self_p);

#endif
