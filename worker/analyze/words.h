/* words.h - find any of a few texts in a larger one, in one pass.
 *
 * Threads: constant once prepared. Pure.
 */
#ifndef ANALYZE_WORDS_H
#define ANALYZE_WORDS_H

#include <stddef.h>
#include <stdint.h>

enum { WORDS_MAX = 16, WORDS_VECTOR_BYTES = 16, WORDS_LETTERS = 3 };

struct words;
typedef size_t words_find_fn(const struct words *self, const uint8_t *data, size_t from, size_t to,
                             size_t size, unsigned *which);

struct words {
    words_find_fn *find; /* the one for this processor */
    unsigned count;
    const char *texts[WORDS_MAX];
    size_t sizes[WORDS_MAX];
    /* The different pairs of bytes that they begin with, each byte spread over a vector. */
    unsigned pairs_count;
    struct word_pair {
        _Alignas(WORDS_VECTOR_BYTES) uint8_t first[WORDS_VECTOR_BYTES];
        uint8_t second[WORDS_VECTOR_BYTES];
    } pairs[WORDS_MAX];
    /* The same for wider vectors, where the number of words makes no difference: each word belongs
     * to one of eight bits, which is set for the low and the high half of its first letters. */
    uint8_t halves[WORDS_LETTERS][2][WORDS_VECTOR_BYTES];
};

/* `texts` of two bytes or more, which outlive self; the first of several that match is found. */
void words_prepare(struct words *self, const char *const *texts, unsigned count);

/* The first place in [from, to) where one of them begins and also ends before `to`, or `to`.
 * *which is its number. `data` must be readable up to `size`, which is not less than `to`. */
static inline size_t words_find(const struct words *self, const uint8_t *data, size_t from,
                                size_t to, size_t size, unsigned *which)
{
    return self->find(self, data, from, to, size, which);
}

#endif
