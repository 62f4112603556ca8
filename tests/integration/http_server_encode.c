/* Bodies that are compressed in every way, right or wrong. */
#include <stdlib.h>
#include <zlib.h>

#include "tests/integration/http_server_answer.h"
#include "tests/integration/http_server_serve.h"

enum {
    ENCODED_MAX = 64 << 10,          /* bytes; the text is 24 KB */
    RATIO_BLOCK = PATTERN_PIECE_MAX, /* bytes, decoded, of what is repeated */
    RATIO_OF_ZEROS = 1030,           /* what deflate makes of zeros */
};

/* ---- a bomb of a chosen strength ---------------------------------------------------------------
 */

/* A part of noise, which does not shrink, and zeros, which do: together about the ratio. */
static bool make_block(struct ag_buffer *out, uint64_t ratio, uint64_t *crc)
{
    uint8_t *block = calloc(1, RATIO_BLOCK);
    size_t noise = RATIO_BLOCK / ratio;
    uint32_t seed = 1;

    if (block == NULL)
        return false;
    noise -= noise > RATIO_BLOCK / RATIO_OF_ZEROS ? RATIO_BLOCK / RATIO_OF_ZEROS : noise;
    for (size_t i = 0; i < noise; i++) {
        seed = seed * 1664525u + 1013904223u;
        block[i] = (uint8_t)(seed >> 24);
    }
    *crc = crc32(0, block, RATIO_BLOCK);
    bodies_compress(out, ag_bytes_of(block, RATIO_BLOCK), FRAME_RAW, Z_FULL_FLUSH);
    free(block);
    return !out->failed;
}

static enum then more_blocks(struct conn *conn)
{
    struct exchange *x = &conn->exchange;

    if (x->left-- > 0) {
        conn->span = ag_buffer_bytes(&conn->piece);
        return THEN_MORE;
    }
    bodies_gzip_end(&conn->out, x->chunk_left, x->offset);
    return THEN_END;
}

enum then serve_ratio(struct conn *conn)
{
    struct exchange *x = &conn->exchange;
    uint64_t crc = 0, of_block;

    if (x->numbers[0] == 0)
        return answer_say(conn, 400, "a ratio is 1 to 1000");
    if (!make_block(&conn->piece, x->numbers[0], &of_block))
        return answer_say(conn, 500, "cannot compress");
    x->left = (x->numbers[1] << 20) / RATIO_BLOCK;
    for (uint64_t i = 0; i < x->left; i++)
        crc = crc32_combine(crc, of_block, RATIO_BLOCK);
    x->chunk_left = crc;
    x->offset = x->left * RATIO_BLOCK;
    answer_begin(conn, 200);
    ag_buffer_text(&conn->out, "Content-Encoding: gzip\r\n");
    answer_end_head(conn, "application/octet-stream",
                    (int64_t)(GZIP_HEAD_SIZE + x->left * conn->piece.size + GZIP_TAIL_SIZE));
    if (x->request.is_head)
        return THEN_END;
    bodies_gzip_begin(&conn->out);
    x->step = more_blocks;
    return THEN_MORE;
}

/* ---- the text ----------------------------------------------------------------------------------
 */

enum damage { WHOLE, BAD_CRC, GARBAGE, TRUNCATED, TRAILING, EMPTY };

static const struct encoding {
    const char *name, *header;
    enum frame frame;
    int times; /* 0: not compressed at all */
    enum damage damage;
} encodings[] = {
    {"deflate", "deflate", FRAME_ZLIB, 1, WHOLE},
    {"deflate-raw", "deflate", FRAME_RAW, 1, WHOLE},
    {"x-gzip", "x-gzip", FRAME_GZIP, 1, WHOLE},
    {"twice", "gzip, gzip", FRAME_GZIP, 2, WHOLE},
    {"five", "gzip, gzip, gzip, gzip, gzip", FRAME_GZIP, 5, WHOLE},
    {"badcrc", "gzip", FRAME_GZIP, 1, BAD_CRC},
    {"garbage", "gzip", FRAME_GZIP, 1, GARBAGE},
    {"truncated", "gzip", FRAME_GZIP, 1, TRUNCATED},
    {"trailing", "gzip", FRAME_GZIP, 1, TRAILING},
    {"plain", "gzip", FRAME_GZIP, 0, WHOLE},
    {"unknown", "x-unknown", FRAME_GZIP, 0, WHOLE},
    {"empty", "gzip", FRAME_GZIP, 1, EMPTY},
};

static void inflict(struct ag_buffer *body, enum damage damage)
{
    static const char trailing[] = "this is not gzip";

    if (body->failed)
        return;
    switch (damage) {
    case WHOLE:
        break;
    case BAD_CRC:
        body->data[body->size - 8] ^= 0xff; /* RFC 1952, 2.3.1: CRC32 and ISIZE are last */
        break;
    case GARBAGE:
        memset(body->data + body->size / 2, 0xff, body->size / 4);
        break;
    case TRUNCATED:
        body->size /= 2;
        break;
    case TRAILING:
        ag_buffer_append(body, trailing, sizeof trailing - 1);
        break;
    case EMPTY:
        ag_buffer_clear(body);
        break;
    }
}

static enum then send_encoded(struct conn *conn, const struct encoding *encoding)
{
    struct ag_buffer body = ag_buffer_empty(ENCODED_MAX);
    struct ag_bytes text = ag_buffer_bytes(&conn->server->bodies.text);

    ag_buffer_append(&body, text.data, text.size);
    for (int i = 0; i < encoding->times; i++) {
        struct ag_buffer smaller = ag_buffer_empty(ENCODED_MAX);

        bodies_compress(&smaller, ag_buffer_bytes(&body), encoding->frame, Z_FINISH);
        ag_buffer_free(&body);
        body = smaller;
    }
    inflict(&body, encoding->damage);
    answer_begin(conn, body.failed ? 500 : 200);
    ag_buffer_printf(&conn->out, "Content-Encoding: %s\r\n", encoding->header);
    answer_end_head(conn, "text/plain", (int64_t)body.size);
    if (!conn->exchange.request.is_head)
        ag_buffer_append(&conn->out, body.data, body.size);
    ag_buffer_free(&body);
    return THEN_END;
}

enum then serve_encoded(struct conn *conn)
{
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++)
        if (ag_bytes_are(conn->exchange.text, encodings[i].name))
            return send_encoded(conn, &encodings[i]);
    return answer_say(conn, 404, "one of " ENCODED_NAMES);
}
