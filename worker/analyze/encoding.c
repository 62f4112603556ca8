#include "worker/analyze/encoding.h"

#include <string.h>

#include "common/wire.h"
#include "worker/analyze/vector.h"

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

#if defined(__SSE2__)

/* UTF-8 by tables, after J. Keiser and D. Lemire, "Validating UTF-8 in less than one instruction
 * per byte" (2021): what may be wrong with two bytes is a set of bits for each half of the first
 * one and for the high half of the second; what all three sets hold is wrong indeed. */
enum {
    CUT_OFF = 1,       /* a first byte, and no other behind it */
    STRAY = 2,         /* another byte behind ASCII */
    OVERLONG_3 = 4,    /* E0 80 to E0 9F */
    TOO_HIGH = 8,      /* F4 90 and more, F5 and more */
    SURROGATE = 16,    /* ED A0 and more */
    OVERLONG_2 = 32,   /* C0 and C1 */
    OVERLONG_4 = 64,   /* F0 80 to F0 8F; F5 and more with 80 to 8F */
    BOTH_OTHERS = 128, /* no mistake if they are the third or fourth */
    BEHIND_OTHER = STRAY | OVERLONG_2 | BOTH_OTHERS,
    ANY_LOW = CUT_OFF | STRAY | BOTH_OTHERS,
    LOW_5 = ANY_LOW | TOO_HIGH | OVERLONG_4
};

/* [0] by the high half of the first byte, [1] by its low half, [2] by the high half of the second.
 */
static const uint8_t mistakes[3][16] = {
    {STRAY, STRAY, STRAY, STRAY, STRAY, STRAY, STRAY, STRAY, BOTH_OTHERS, BOTH_OTHERS, BOTH_OTHERS,
     BOTH_OTHERS, CUT_OFF | OVERLONG_2, CUT_OFF, CUT_OFF | OVERLONG_3 | SURROGATE,
     CUT_OFF | TOO_HIGH | OVERLONG_4},
    {ANY_LOW | OVERLONG_2 | OVERLONG_3 | OVERLONG_4, ANY_LOW | OVERLONG_2, ANY_LOW, ANY_LOW,
     ANY_LOW | TOO_HIGH, LOW_5, LOW_5, LOW_5, LOW_5, LOW_5, LOW_5, LOW_5, LOW_5, LOW_5 | SURROGATE,
     LOW_5, LOW_5},
    {CUT_OFF, CUT_OFF, CUT_OFF, CUT_OFF, CUT_OFF, CUT_OFF, CUT_OFF, CUT_OFF,
     BEHIND_OTHER | OVERLONG_3 | OVERLONG_4, BEHIND_OTHER | OVERLONG_3 | TOO_HIGH,
     BEHIND_OTHER | SURROGATE | TOO_HIGH, BEHIND_OTHER | SURROGATE | TOO_HIGH, CUT_OFF, CUT_OFF,
     CUT_OFF, CUT_OFF}};

VECTOR_AVX2_TARGET static inline __m256i look_up(unsigned which, __m256i halves)
{
    __m256i table = _mm256_broadcastsi128_si256(
        _mm_loadu_si128((const __m128i *)(const void *)mistakes[which]));

    return _mm256_shuffle_epi8(table, halves);
}

/* What is wrong at the bytes of `here`, before which `before` stands: not 0. */
VECTOR_AVX2_TARGET static inline __m256i mistakes_in(__m256i before, __m256i here)
{
    const __m256i half = _mm256_set1_epi8(0x0f), high = _mm256_set1_epi8((char)0x80);
    const __m256i middle = _mm256_permute2x128_si256(before, here, 0x21);
    __m256i back_1 = _mm256_alignr_epi8(here, middle, 15);
    __m256i back_2 = _mm256_alignr_epi8(here, middle, 14);
    __m256i back_3 = _mm256_alignr_epi8(here, middle, 13);
    __m256i pairs, others;

    pairs = _mm256_and_si256(
        look_up(0, _mm256_and_si256(_mm256_srli_epi16(back_1, 4), half)),
        _mm256_and_si256(look_up(1, _mm256_and_si256(back_1, half)),
                         look_up(2, _mm256_and_si256(_mm256_srli_epi16(here, 4), half))));
    /* The third byte of three or four, the fourth of four. */
    others = _mm256_or_si256(_mm256_subs_epu8(back_2, _mm256_set1_epi8(0xe0 - 0x80)),
                             _mm256_subs_epu8(back_3, _mm256_set1_epi8(0xf0 - 0x80)));
    return _mm256_xor_si256(_mm256_and_si256(others, high), pairs);
}

VECTOR_AVX2_TARGET static bool is_utf8_avx2(struct ag_bytes text)
{
    __m256i before = _mm256_setzero_si256(), wrong = _mm256_setzero_si256();
    uint8_t last[STEP_BYTES] = {0}; /* ASCII behind the end, so that what is cut off is seen */
    const uint8_t *at = text.data;
    size_t left = text.size;
    bool more = true;

    while (more) {
        __m256i low, high;

        if (left < STEP_BYTES) { /* once more when nothing is left: zeros */
            if (left > 0)
                memcpy(last, at, left);
            at = last;
            more = false;
        }
        low = _mm256_loadu_si256((const __m256i *)(const void *)at);
        high = _mm256_loadu_si256((const __m256i *)(const void *)(at + STEP_BYTES / 2));
        if (_mm256_movemask_epi8(_mm256_or_si256(before, _mm256_or_si256(low, high))) != 0) {
            wrong = _mm256_or_si256(wrong, mistakes_in(before, low));
            wrong = _mm256_or_si256(wrong, mistakes_in(low, high));
        }
        before = high;
        at += STEP_BYTES;
        left -= more ? STEP_BYTES : left;
    }
    return _mm256_testz_si256(wrong, wrong);
}

#endif

static bool is_utf8(struct ag_bytes text)
{
    size_t ascii;

#if defined(__SSE2__)
    if (vector_width() == VECTOR_AVX2)
        return is_utf8_avx2(text);
#endif
    ascii = ascii_size(text);
    return ascii == text.size || ag_is_utf8(ag_bytes_of(text.data + ascii, text.size - ascii));
}

enum encoding encoding_of(struct ag_bytes text)
{
    return text.size == 0 || is_utf8(text) ? ENCODING_UTF8 : ENCODING_LATIN1;
}

enum line_end encoding_line_end(struct ag_bytes text)
{
    const uint8_t *newline = text.size > 0 ? memchr(text.data, '\n', text.size) : NULL;

    if (newline != NULL)
        return newline > text.data && newline[-1] == '\r' ? LINE_END_CRLF : LINE_END_LF;
    return text.size > 0 && memchr(text.data, '\r', text.size) != NULL ? LINE_END_CR
                                                                       : LINE_END_NONE;
}
