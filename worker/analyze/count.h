/* count.h - count the lines of one text in one language. Opens nothing, keeps nothing.
 *
 * Start here: count_text(). The rules that people may rely on stand in doc/analysis.md.
 *
 * Threads: a counter belongs to one thread at a time; make one per thread. Pure.
 * Units: lines, bytes.
 */
#ifndef ANALYZE_COUNT_H
#define ANALYZE_COUNT_H

#include "worker/analyze/languages.h"

struct counts {
    uint64_t lines; /* = code + comments + blanks */
    uint64_t code, comments, blanks;
    uint64_t bytes;
};

/* Holds what a language's row is compiled to, made at its first use. */
typedef struct counter counter_t;

/* NULL when memory is short. */
counter_t *counter_new(void);
void counter_destroy(counter_t **self_p);

/* Count `text`, which may hold any bytes and need not be whole lines. `language` is a row of
 * language_table. Returns 0, or ARGOSY_ENOMEM. */
int count_text(counter_t *self, const struct language *language, struct ag_bytes text,
               struct counts *out);

/* Add `more` to `sum`; in any order the sum is the same. */
static inline void counts_add(struct counts *sum, const struct counts *more)
{
    sum->lines += more->lines;
    sum->code += more->code;
    sum->comments += more->comments;
    sum->blanks += more->blanks;
    sum->bytes += more->bytes;
}

#endif
