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

/* The number of the word that stands at `at` and ends before `to`, or count. */
static unsigned word_at(const struct words *self, const uint8_t *data, size_t at, size_t to)
{
    unsigned i = 0;

    while (i < self->count &&
           (to - at < self->sizes[i] || memcmp(data + at, self->texts[i], self->sizes[i]) != 0))
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

VECTOR_AVX2_TARGET static inline uint32_t pairs_avx2(const struct words *self, const uint8_t *data)
{
    const __m256i here = _mm256_loadu_si256((const __m256i *)(const void *)data);
    const __m256i next = _mm256_loadu_si256((const __m256i *)(const void *)(data + 1));
    __m256i found = _mm256_setzero_si256();

    for (unsigned i = 0; i < self->pairs_count; i++) {
        const struct word_pair *pair = &self->pairs[i];
        __m256i first =
            _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)(const void *)pair->first));
        __m256i second = _mm256_broadcastsi128_si256(
            _mm_load_si128((const __m128i *)(const void *)pair->second));

        found = _mm256_or_si256(found, _mm256_and_si256(_mm256_cmpeq_epi8(here, first),
                                                        _mm256_cmpeq_epi8(next, second)));
    }
    return (uint32_t)_mm256_movemask_epi8(found);
}

#endif

/* ---- the search, whatever the width ------------------------------------------------------------
 */

/* Goes on from *from in steps of `width` bytes as long as they can be read with one more; true when
 * a word was found: *from is its place. */
static inline __attribute__((always_inline)) bool find(const struct words *self,
                                                       const uint8_t *data, size_t *from, size_t to,
                                                       size_t size, unsigned *which, size_t width,
                                                       pairs_fn *find_pairs)
{
    for (; *from < to && size - *from > width; *from += width) {
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
    return find(self, data, &from, to, size, which, WORDS_VECTOR_BYTES, pairs_portable)
               ? from
               : find_in_rest(self, data, from, to, which);
}

#if defined(__SSE2__)

static size_t find_sse2(const struct words *self, const uint8_t *data, size_t from, size_t to,
                        size_t size, unsigned *which)
{
    return find(self, data, &from, to, size, which, WORDS_VECTOR_BYTES, pairs_sse2)
               ? from
               : find_in_rest(self, data, from, to, which);
}

VECTOR_AVX2_TARGET static size_t find_avx2(const struct words *self, const uint8_t *data,
                                           size_t from, size_t to, size_t size, unsigned *which)
{
    return find(self, data, &from, to, size, which, 2 * WORDS_VECTOR_BYTES, pairs_avx2) ||
                   find(self, data, &from, to, size, which, WORDS_VECTOR_BYTES, pairs_sse2)
               ? from
               : find_in_rest(self, data, from, to, which);
}

#endif

static words_find_fn *variant(void)
{
    switch (vector_width()) {
#if defined(__SSE2__)
    case VECTOR_AVX2:
        return find_avx2;
    case VECTOR_SSE2:
        return find_sse2;
#else
    case VECTOR_AVX2:
    case VECTOR_SSE2:
#endif
    case VECTOR_PORTABLE:
        break;
    }
    return find_portable;
}

void words_prepare(struct words *self, const char *const *texts, unsigned count)
{
    AG_ASSERT(count <= WORDS_MAX);
    *self = (struct words){.count = count, .find = variant()};
    for (unsigned i = 0; i < count; i++) {
        self->texts[i] = texts[i];
        self->sizes[i] = strlen(texts[i]);
        add_pair(self, (uint8_t)texts[i][0], (uint8_t)texts[i][1]);
    }
}
