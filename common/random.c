/* xoshiro256** 1.0 by Blackman and Vigna ("Scrambled Linear Pseudorandom Number Generators", ACM
 * TOMS 2021, https://prng.di.unimi.it/), its state filled by splitmix64 as the authors advise. */
#include "common/random.h"

#include "common/assert.h"

static uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

void ag_random_seed(struct ag_random *self, uint64_t seed)
{
    int i;

    for (i = 0; i < 4; i++) {
        uint64_t x = seed += UINT64_C(0x9e3779b97f4a7c15);

        x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
        self->state[i] = x ^ x >> 31;
    }
}

uint64_t ag_random_next(struct ag_random *self)
{
    uint64_t *s = self->state, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t ag_random_below(struct ag_random *self, uint64_t n)
{
    uint64_t uneven, r;

    AG_ASSERT(n > 0);
    /* 2^64 mod n: the numbers below it would make the first remainders more likely. */
    uneven = -n % n;
    do
        r = ag_random_next(self);
    while (r < uneven);
    return r % n;
}

void ag_random_fill(struct ag_random *self, void *out, size_t size)
{
    uint8_t *at = out;
    uint64_t bits = 0;
    size_t i;

    for (i = 0; i < size; i++, bits >>= 8) {
        if (i % 8 == 0)
            bits = ag_random_next(self);
        at[i] = (uint8_t)bits;
    }
}
