/* take.h - read what pack.h has written: maps and arrays of a result, value by value. Internal to
 * the engine.
 *
 * A function that takes a value gets the reader standing before it and leaves it standing behind
 * it; one that does not know a key skips its value.
 *
 * Threads: plain data. Pure.
 */
#ifndef ANALYZE_TAKE_H
#define ANALYZE_TAKE_H

#include "common/wire.h"

typedef int take_pair_fn(void *self, struct ag_bytes key, struct ag_reader *reader);
typedef int take_value_fn(void *self, struct ag_reader *reader);

/* Each pair of a map, each value of an array. ARGOSY_EPROTO when it is no such thing or damaged, or
 * the first negative number that `take` returns. */
int take_map(struct ag_reader *reader, take_pair_fn *take, void *self);
int take_array(struct ag_reader *reader, take_value_fn *take, void *self);

/* A text that pack_text() wrote, in place of *out, with a zero behind it; free() it. ARGOSY_EPROTO,
 * ARGOSY_ENOMEM. */
int take_text(struct ag_reader *reader, char **out);

/* Adds a number to *sum. */
void take_sum(struct ag_reader *reader, uint64_t *sum);

/* Numbers by key are added to `sums`; keys that are none of `keys` are skipped. ARGOSY_EPROTO. */
int take_sums(struct ag_reader *reader, const char *const *keys, uint64_t *sums, size_t count);

#endif
