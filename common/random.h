/* random.h - a seeded generator for jitter, sampling and simulations; not for secrets.
 *
 * Start here: ag_random_seed(), then ag_random_next() or ag_random_below(). The same seed gives the
 * same numbers on every machine, so that a failing simulation replays. Secrets and the random part
 * of ids come from entropy.h.
 *
 * Threads: one at a time for each generator. Pure.
 */
#ifndef AG_RANDOM_H
#define AG_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct ag_random {
    uint64_t state[4]; /* never all zero */
};

/* Any seed is good, also 0. */
void ag_random_seed(struct ag_random *self, uint64_t seed);

/* 64 even bits. */
uint64_t ag_random_next(struct ag_random *self);

/* Uniform in 0 .. n - 1, every value exactly as likely. `n` must not be 0. */
uint64_t ag_random_below(struct ag_random *self, uint64_t n);

void ag_random_fill(struct ag_random *self, void *out, size_t size);

#endif
