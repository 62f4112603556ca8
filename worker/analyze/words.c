#include "worker/analyze/words.h"

#include <stdbool.h>
#include <string.h>

#include "common/assert.h"
#include "worker/analyze/vector.h"

static void add_pair(struct words *self, uint8_t first, uint8_t second)
{
    struct word_pair *pair = self->pairs;

    while (pair < self->pairs + self->pairs_count &&
           (pair->first[0] != first || pair->second[0] != second))
        pair++;
    memset(pair->first, first, WORDS_VECTOR_BYTES);
    memset(pair->second, second, WORDS_VECTOR_BYTES);
    self->pairs_count += pair == self->pairs + self->pairs_count;
}

static void add_halves(struct words *self, unsigned i)
{
    const uint8_t bit = (uint8_t)(1u << i % 8);

    for (unsigned letter = 0; letter < WORDS_LETTERS; letter++) {
        uint8_t byte = (uint8_t)self->texts[i][letter < self->sizes[i] ? letter : 0];

        for (unsigned half = 0; half < WORDS_VECTOR_BYTES; half++) {
            bool any = letter >= self->sizes[i]; /* a short word does not care */

            self->halves[letter][0][half] |= any || half == (byte & 0x0f) ? bit : 0;
            self->halves[letter][1][half] |= any || half == byte >> 4 ? bit : 0;
        }
    }
}

/* The number of the word that stands at `at` and ends before `to`, or count. */
static unsigned word_at(const struct words *self, const uint8_t *data, size_t at, size_t to)
{
    unsigned i = 0;

    while (i < self->count && (data[at] != (uint8_t)self->texts[i][0] || to - at < self->sizes[i] ||
                               memcmp(data + at, self->texts[i], self->sizes[i]) != 0))
        i++;
    return i;
}

/* ---- where two bytes begin like a word: one bit for each place ---------------------------------
 */

typedef uint32_t pairs_fn(const struct words *self, const uint8_t *data);

static uint32_t pairs_portable(const struct words *self, const uint8_t *data)
{
    uint32_t found = 0;

    for (unsigned i = 0; i < self->pairs_count; i++)
        for (unsigned k = 0; k < WORDS_VECTOR_BYTES; k++)
            if (data[k] == self->pairs[i].first[0] && data[k + 1] == self->pairs[i].second[0])
                found |= UINT32_C(1) << k;
    return found;
}

#if defined(__SSE2__)

static inline uint32_t pairs_sse2(const struct words *self, const uint8_t *data)
{
    const __m128i here = _mm_loadu_si128((const __m128i *)(const void *)data);
    const __m128i next = _mm_loadu_si128((const __m128i *)(const void *)(data + 1));
    __m128i found = _mm_setzero_si128();

    for (unsigned i = 0; i < self->pairs_count; i++) {
        const struct word_pair *pair = &self->pairs[i];
        __m128i first = _mm_load_si128((const __m128i *)(const void *)pair->first);
        __m128i second = _mm_load_si128((const __m128i *)(const void *)pair->second);

        found = _mm_or_si128(
            found, _mm_and_si128(_mm_cmpeq_epi8(here, first), _mm_cmpeq_epi8(next, second)));
    }
    return (uint32_t)_mm_movemask_epi8(found);
}

/* The bits of the words that may have these bytes as their letter number `letter`. */
VECTOR_AVX2_TARGET static inline __m256i letters_avx2(const struct words *self, const uint8_t *data,
                                                      unsigned letter)
{
    const __m256i half = _mm256_set1_epi8(0x0f);
    const __m128i *tables = (const __m128i *)(const void *)self->halves[letter];
    __m256i here = _mm256_loadu_si256((const __m256i *)(const void *)(data + letter));
    __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128(tables));
    __m256i high = _mm256_broadcastsi128_si256(_mm_loadu_si128(tables + 1));

    return _mm256_and_si256(
        _mm256_shuffle_epi8(low, _mm256_and_si256(here, half)),
        _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(here, 4), half)));
}

/* Reads two more bytes than it tells of. */
VECTOR_AVX2_TARGET static inline uint32_t letters_in_avx2(const struct words *self,
                                                          const uint8_t *data)
{
    __m256i found =
        _mm256_and_si256(_mm256_and_si256(letters_avx2(self, data, 0), letters_avx2(self, data, 1)),
                         letters_avx2(self, data, 2));

    return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(found, _mm256_setzero_si256()));
}

#endif

/* ---- the search, whatever the width ------------------------------------------------------------
 */

/* Goes on from *from in steps of `width` bytes as long as they can be read with `more` behind them;
 * true when a word was found: *from is its place. */
static inline __attribute__((always_inline)) bool find(const struct words *self,
                                                       const uint8_t *data, size_t *from, size_t to,
                                                       size_t size, unsigned *which, size_t width,
                                                       size_t more, pairs_fn *find_pairs)
{
    for (; *from < to && size - *from >= width + more; *from += width) {
        for (uint32_t pairs = find_pairs(self, data + *from); pairs != 0; pairs &= pairs - 1) {
            size_t at = *from + (unsigned)__builtin_ctz(pairs);

            if (at >= to)
                break;
            *which = word_at(self, data, at, to);
            if (*which < self->count) {
                *from = at;
                return true;
            }
        }
    }
    return false;
}

static size_t find_in_rest(const struct words *self, const uint8_t *data, size_t from, size_t to,
                           unsigned *which)
{
    for (; from < to; from++)
        if ((*which = word_at(self, data, from, to)) < self->count)
            return from;
    return to;
}

static size_t find_portable(const struct words *self, const uint8_t *data, size_t from, size_t to,
                            size_t size, unsigned *which)
{
    return find(self, data, &from, to, size, which, WORDS_VECTOR_BYTES, 1, pairs_portable)
               ? from
               : find_in_rest(self, data, from, to, which);
}

#if defined(__SSE2__)

static size_t find_sse2(const struct words *self, const uint8_t *data, size_t from, size_t to,
                        size_t size, unsigned *which)
{
    return find(self, data, &from, to, size, which, WORDS_VECTOR_BYTES, 1, pairs_sse2)
               ? from
               : find_in_rest(self, data, from, to, which);
}

VECTOR_AVX2_TARGET static size_t find_avx2(const struct words *self, const uint8_t *data,
                                           size_t from, size_t to, size_t size, unsigned *which)
{
    return find(self, data, &from, to, size, which, 2 * WORDS_VECTOR_BYTES, 2, letters_in_avx2) ||
                   find(self, data, &from, to, size, which, WORDS_VECTOR_BYTES, 1, pairs_sse2)
               ? from
               : find_in_rest(self, data, from, to, which);
}

#endif

void words_prepare(struct words *self, const char *const *texts, unsigned count)
{
    AG_ASSERT(count <= WORDS_MAX);
    *self = (struct words){.count = count, .find = VECTOR_VARIANT(find)};
    for (unsigned i = 0; i < count; i++) {
        self->texts[i] = texts[i];
        self->sizes[i] = strlen(texts[i]);
        add_pair(self, (uint8_t)texts[i][0], (uint8_t)texts[i][1]);
        add_halves(self, i);
    }
}
