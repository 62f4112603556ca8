#include "worker/analyze/words.h"

#include <string.h>

#include "common/assert.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

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

void words_prepare(struct words *self, const char *const *texts, unsigned count)
{
    AG_ASSERT(count <= WORDS_MAX);
    *self = (struct words){.count = count};
    for (unsigned i = 0; i < count; i++) {
        self->texts[i] = texts[i];
        self->sizes[i] = strlen(texts[i]);
        add_pair(self, (uint8_t)texts[i][0], (uint8_t)texts[i][1]);
    }
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

/* Where two bytes begin like a word: one bit for each of 16 places. */
static uint32_t find_pairs(const struct words *self, const uint8_t *data)
{
#if defined(__SSE2__)
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
#else
    uint32_t found = 0;

    for (unsigned i = 0; i < self->pairs_count; i++)
        for (unsigned k = 0; k < WORDS_VECTOR_BYTES; k++)
            if (data[k] == self->pairs[i].first[0] && data[k + 1] == self->pairs[i].second[0])
                found |= UINT32_C(1) << k;
    return found;
#endif
}

size_t words_find(const struct words *self, const uint8_t *data, size_t from, size_t to,
                  size_t size, unsigned *which)
{
    for (; from < to && size - from > WORDS_VECTOR_BYTES; from += WORDS_VECTOR_BYTES) {
        for (uint32_t pairs = find_pairs(self, data + from); pairs != 0; pairs &= pairs - 1) {
            size_t at = from + (unsigned)__builtin_ctz(pairs);

            if (at < to && (*which = word_at(self, data, at, to)) < self->count)
                return at;
        }
    }
    for (; from < to; from++)
        if ((*which = word_at(self, data, from, to)) < self->count)
            return from;
    return to;
}
