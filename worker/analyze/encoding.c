#include "worker/analyze/encoding.h"

#include <string.h>

#include "common/wire.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { REPLACEMENT = 0xfffd, UTF8_BYTES_MAX = 4, STEP_BYTES = 64 };

bool encoding_is_utf16(struct ag_bytes content)
{
    if (content.size < 2)
        return false;
    if (content.data[0] == 0xfe && content.data[1] == 0xff)
        return true;
    return content.data[0] == 0xff && content.data[1] == 0xfe &&
           !(content.size >= 4 && content.data[2] == 0 && content.data[3] == 0);
}

static size_t put_utf8(uint8_t *out, uint32_t letter)
{
    if (letter < 0x80) {
        out[0] = (uint8_t)letter;
        return 1;
    }
    if (letter < 0x800) {
        out[0] = (uint8_t)(0xc0 | letter >> 6);
        out[1] = (uint8_t)(0x80 | (letter & 0x3f));
        return 2;
    }
    if (letter < 0x10000) {
        out[0] = (uint8_t)(0xe0 | letter >> 12);
        out[1] = (uint8_t)(0x80 | (letter >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (letter & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | letter >> 18);
    out[1] = (uint8_t)(0x80 | (letter >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (letter >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (letter & 0x3f));
    return 4;
}

void encoding_from_utf16(struct ag_bytes content, struct ag_buffer *out)
{
    bool big = content.data[0] == 0xfe;
    size_t at = 2;

    while (at < content.size) {
        uint8_t *room = ag_buffer_reserve(out, UTF8_BYTES_MAX);
        uint32_t unit[2] = {REPLACEMENT, 0};

        if (room == NULL)
            return;
        for (size_t i = 0; i < 2 && at + i * 2 + 1 < content.size; i++) {
            const uint8_t *pair = content.data + at + i * 2;

            unit[i] = big ? (uint32_t)pair[0] << 8 | pair[1] : (uint32_t)pair[1] << 8 | pair[0];
        }
        at += 2;
        if (unit[0] >= 0xd800 && unit[0] < 0xdc00 && unit[1] >= 0xdc00 && unit[1] < 0xe000) {
            unit[0] = 0x10000 + ((unit[0] - 0xd800) << 10) + (unit[1] - 0xdc00);
            at += 2;
        } else if (unit[0] >= 0xd800 && unit[0] < 0xe000) {
            unit[0] = REPLACEMENT;
        }
        out->size += put_utf8(room, unit[0]);
    }
}

/* How many bytes at the beginning are ASCII for certain. */
static size_t ascii_size(struct ag_bytes text)
{
    size_t at = 0;

#if defined(__SSE2__)
    for (; text.size - at >= STEP_BYTES; at += STEP_BYTES) {
        const __m128i *from = (const __m128i *)(const void *)(text.data + at);
        __m128i all =
            _mm_or_si128(_mm_or_si128(_mm_loadu_si128(from), _mm_loadu_si128(from + 1)),
                         _mm_or_si128(_mm_loadu_si128(from + 2), _mm_loadu_si128(from + 3)));

        if (_mm_movemask_epi8(all) != 0)
            return at;
    }
#endif
    while (at < text.size && text.data[at] < 0x80)
        at++;
    return at;
}

enum encoding encoding_of(struct ag_bytes text)
{
    size_t ascii = text.size > 0 ? ascii_size(text) : 0;

    if (ascii == text.size)
        return ENCODING_UTF8;
    return ag_is_utf8(ag_bytes_of(text.data + ascii, text.size - ascii)) ? ENCODING_UTF8
                                                                         : ENCODING_LATIN1;
}

enum line_end encoding_line_end(struct ag_bytes text)
{
    const uint8_t *newline = text.size > 0 ? memchr(text.data, '\n', text.size) : NULL;

    if (newline != NULL)
        return newline > text.data && newline[-1] == '\r' ? LINE_END_CRLF : LINE_END_LF;
    return text.size > 0 && memchr(text.data, '\r', text.size) != NULL ? LINE_END_CR
                                                                       : LINE_END_NONE;
}
