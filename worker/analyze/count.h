/* count.h - count the lines of one text in one language. Opens nothing, keeps nothing.
 *
 * Start here: count_parts(). The rules that people may rely on stand in doc/analysis.md.
 *
 * Threads: a counter belongs to one thread at a time; make one per thread. Pure.
 * Units: lines, bytes.
 */
#ifndef ANALYZE_COUNT_H
#define ANALYZE_COUNT_H

#include "worker/analyze/languages.h"
#include "worker/analyze/words.h"

struct counts {
    uint64_t lines; /* = code + comments + blanks */
    uint64_t code, comments, blanks;
    uint64_t bytes;
};

/* What is looked for in comments, as words of their own: X(NAME, "key") */
#define COUNT_MARKS(X)                                                                             \
    X(TODO, "todo")                                                                                \
    X(FIXME, "fixme")                                                                              \
    X(HACK, "hack")

enum count_mark {
#define X(name, key) MARK_##name,
    COUNT_MARKS(X)
#undef X
        MARK_COUNT
};

enum { COUNT_PARTS_MAX = 16 }; /* languages in one file; what comes then belongs to those around */

/* A text by the languages that it holds. */
struct counted {
    struct counts whole; /* the sum of the parts */
    unsigned parts_count;
    struct count_part {
        const struct language *language;
        struct counts counts;
    } parts[COUNT_PARTS_MAX]; /* the first is the text's own language */
    uint64_t marks[MARK_COUNT];
};

/* Holds what a language's row is compiled to, made at its first use. */
typedef struct counter counter_t;

/* `languages` must outlive it. NULL when memory is short. */
counter_t *counter_new(const languages_t *languages);
void counter_destroy(counter_t **self_p);

/* Count `text`, which may hold any bytes and need not be whole lines. `language` is a row of
 * the counter's languages. Returns 0, or ARGOSY_ENOMEM. */
int count_parts(counter_t *self, const struct language *language, struct ag_bytes text,
                struct counted *out);

/* The same; the sum only. */
int count_text(counter_t *self, const struct language *language, struct ag_bytes text,
               struct counts *out);

/* Does one of `words` stand in a comment in the first `limit` bytes of `text`? What is behind them
 * tells where comments and strings end. ARGOSY_ENOMEM. */
int count_find_in_comments(counter_t *self, const struct language *language, struct ag_bytes text,
                           size_t limit, const struct words *words, bool *found);

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
