/* http_server_bodies.h - what the answers are made of: a pattern that can be verified, compressed
 * texts, and a bomb.
 *
 * Threads: one at a time.
 */
#ifndef TESTS_HTTP_SERVER_BODIES_H
#define TESTS_HTTP_SERVER_BODIES_H

#include "common/buffer.h"

enum {
    PATTERN_PERIOD = 251, /* a prime: a body that slipped by a buffer's size is noticed */
    PATTERN_PIECE_MAX = 256 << 10,
};

/* How zlib says what stands around compressed data. */
enum frame { FRAME_GZIP = 15 + 16, FRAME_ZLIB = 15, FRAME_RAW = -15 };

struct bodies {
    struct ag_buffer text, text_gzip;
    struct ag_buffer bomb_gzip; /* 1 MB, inflates to 1 GB of zeros */
    uint8_t *pattern;
};

/* False without memory; `self` needs bodies_fini() in any case. */
bool bodies_init(struct bodies *self);
void bodies_fini(struct bodies *self);

/* At most `size` bytes of the endless pattern (the byte at offset i is i % 251) from `offset` on,
 * and at most PATTERN_PIECE_MAX. Lives as long as `self`. */
struct ag_bytes bodies_pattern(const struct bodies *self, uint64_t offset, uint64_t size);

/* Compress in one go; without memory out->failed. `flush` is zlib's: Z_FINISH, or Z_FULL_FLUSH for
 * a block that may be repeated. */
void bodies_compress(struct ag_buffer *out, struct ag_bytes in, enum frame frame, int flush);

/* What stands around blocks of FRAME_RAW to make them gzip: `crc` and `size` are of all of them. */
enum { GZIP_HEAD_SIZE = 10, GZIP_TAIL_SIZE = 10 };
void bodies_gzip_begin(struct ag_buffer *out);
void bodies_gzip_end(struct ag_buffer *out, uint64_t crc, uint64_t size);

#endif
