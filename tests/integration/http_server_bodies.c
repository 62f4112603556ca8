#include "tests/integration/http_server_bodies.h"

#include <stdlib.h>
#include <zlib.h>

enum {
    TEXT_LINES = 500,
    TEXT_MAX = 64 << 10,
    BOMB_BLOCK = 1 << 20, /* zeros in one block */
    BOMB_DOUBLINGS = 10,  /* 1,024 blocks, 1 GB */
    BOMB_MAX = 2 << 20,   /* compressed; it is 1.05 MB */
};

void bodies_compress(struct ag_buffer *out, struct ag_bytes in, enum frame frame, int flush)
{
    z_stream stream = {.next_in = (uint8_t *)in.data, .avail_in = (uInt)in.size};
    int rc;

    if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, (int)frame, 9, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        out->failed = true;
        return;
    }
    stream.avail_out = (uInt)deflateBound(&stream, in.size) + 64;
    stream.next_out = ag_buffer_reserve(out, stream.avail_out);
    if (stream.next_out != NULL) {
        rc = deflate(&stream, flush);
        out->failed = rc != (flush == Z_FINISH ? Z_STREAM_END : Z_OK) || stream.avail_in > 0;
        out->size += stream.total_out;
    }
    deflateEnd(&stream);
}

static void append_le32(struct ag_buffer *out, uint32_t value)
{
    uint8_t bytes[] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                       (uint8_t)(value >> 24)};

    ag_buffer_append(out, bytes, sizeof bytes);
}

void bodies_gzip_begin(struct ag_buffer *out)
{
    static const uint8_t head[GZIP_HEAD_SIZE] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255};

    ag_buffer_append(out, head, sizeof head); /* RFC 1952, 2.3 */
}

void bodies_gzip_end(struct ag_buffer *out, uint64_t crc, uint64_t size)
{
    static const uint8_t last_block[] = {3, 0}; /* empty, final */

    ag_buffer_append(out, last_block, sizeof last_block);
    append_le32(out, (uint32_t)crc);
    append_le32(out, (uint32_t)size);
}

/* A fully flushed block refers to nothing before it, so one block repeated is 1 GB without
 * compressing 1 GB; the checksum doubles along. */
static bool make_bomb(struct ag_buffer *out)
{
    struct ag_buffer block = ag_buffer_empty(BOMB_MAX);
    uint8_t *zeros = calloc(1, BOMB_BLOCK);
    size_t size = BOMB_BLOCK;
    uLong crc;

    if (zeros == NULL)
        return false;
    crc = crc32(0, zeros, BOMB_BLOCK);
    bodies_compress(&block, ag_bytes_of(zeros, BOMB_BLOCK), FRAME_RAW, Z_FULL_FLUSH);
    free(zeros);
    for (int i = 0; i < BOMB_DOUBLINGS; i++) {
        crc = crc32_combine(crc, crc, (z_off_t)size);
        size *= 2;
    }
    bodies_gzip_begin(out);
    for (int i = 0; i < 1 << BOMB_DOUBLINGS; i++)
        ag_buffer_append(out, block.data, block.size);
    bodies_gzip_end(out, crc, size);
    out->failed |= block.failed;
    ag_buffer_free(&block);
    return !out->failed;
}

bool bodies_init(struct bodies *self)
{
    const size_t pattern_size = PATTERN_PIECE_MAX + PATTERN_PERIOD;

    *self = (struct bodies){.text = ag_buffer_empty(TEXT_MAX),
                            .text_gzip = ag_buffer_empty(TEXT_MAX),
                            .bomb_gzip = ag_buffer_empty(BOMB_MAX),
                            .pattern = malloc(pattern_size)};
    if (self->pattern == NULL)
        return false;
    for (size_t i = 0; i < pattern_size; i++)
        self->pattern[i] = (uint8_t)(i % PATTERN_PERIOD);
    for (int i = 1; i <= TEXT_LINES; i++)
        ag_buffer_printf(&self->text, "line %d of a text that is worth compressing\n", i);
    bodies_compress(&self->text_gzip, ag_buffer_bytes(&self->text), FRAME_GZIP, Z_FINISH);
    return !self->text.failed && !self->text_gzip.failed && make_bomb(&self->bomb_gzip);
}

void bodies_fini(struct bodies *self)
{
    ag_buffer_free(&self->text);
    ag_buffer_free(&self->text_gzip);
    ag_buffer_free(&self->bomb_gzip);
    free(self->pattern);
    *self = (struct bodies){0};
}

struct ag_bytes bodies_pattern(const struct bodies *self, uint64_t offset, uint64_t size)
{
    return ag_bytes_of(self->pattern + offset % PATTERN_PERIOD,
                       size < PATTERN_PIECE_MAX ? (size_t)size : PATTERN_PIECE_MAX);
}
