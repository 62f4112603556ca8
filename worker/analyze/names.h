/* names.h - a number for each different run of bytes: paths, authors, ids. Numbers begin at 0 and
 * have no gaps, so that what belongs to a name is kept in an array.
 *
 * Threads: one at a time. Pure: the seed that keeps strangers from choosing names that collide is
 * an argument.
 */
#ifndef ANALYZE_NAMES_H
#define ANALYZE_NAMES_H

#include <stdbool.h>

#include "common/bytes.h"

typedef struct names names_t;

enum { NAMES_NONE = UINT32_MAX };

/* NULL when memory is short. */
names_t *names_new(uint64_t seed);
void names_destroy(names_t **self_p);

/* The number of these bytes, a new one if there is none yet; NAMES_NONE when memory is short. */
uint32_t names_put(names_t *self, struct ag_bytes name);

/* NAMES_NONE: there is none. */
uint32_t names_find(const names_t *self, struct ag_bytes name);

/* The bytes, with a zero behind them; valid until the next names_put(). */
struct ag_bytes names_at(const names_t *self, uint32_t number);

uint32_t names_count(const names_t *self);

/* What the bytes of all names take. */
size_t names_bytes(const names_t *self);

#endif
