/* scan.h - run over a text from one interesting byte to the next and keep the account of its lines.
 * Internal to the engine.
 *
 * The text is taken in blocks of 64 bytes; a block is boiled down to bit masks (where are newlines,
 * where is anything but white space, where are the bytes that matter in this state), and only set
 * bits are looked at.
 *
 * Threads: plain data, one at a time. Pure.
 */
#ifndef ANALYZE_SCAN_H
#define ANALYZE_SCAN_H

#include "worker/analyze/lexer.h"

enum { BLOCK_BYTES = 64 };

/* What a line holds; a line with both is code. */
enum line_holds { LINE_BLANK = 0, LINE_CODE = 1, LINE_COMMENT = 2 };

/* How the bytes that a search passes count for their lines. */
enum scan_paint {
    SCAN_CODE = LINE_CODE,       /* a line with anything but white space is code */
    SCAN_COMMENT = LINE_COMMENT, /* the same for comments */
    SCAN_STRING = 4 | LINE_CODE  /* also blank lines are code */
};

struct scan;
typedef size_t scan_find_fn(struct scan *self, size_t from, const struct needles *set,
                            enum scan_paint paint);

struct scan {
    scan_find_fn *find; /* the one for this processor */
    const uint8_t *data;
    size_t size;
    unsigned line;     /* enum line_holds of the line so far */
    uint64_t lines[4]; /* finished ones by what they hold */

    size_t base;          /* where the block in hand begins */
    const uint8_t *block; /* its bytes: inside data, or `tail` */
    uint64_t valid, newlines, solids;
    /* What was looked for in this block: code and comments take turns in it. */
    const struct needles *sets[2];
    uint64_t marks[2];
    uint8_t tail[BLOCK_BYTES + 1]; /* the last block, filled up */
};

void scan_init(struct scan *self, const uint8_t *data, size_t size);

/* The first byte of `set` at `from` or behind it, or size; where a second byte has to stand behind
 * it, what is found at the end of the text may lack that. Lines that end before it are counted; the
 * byte itself is not looked at otherwise, also if it is a newline. */
static inline size_t scan_find(struct scan *self, size_t from, const struct needles *set,
                               enum scan_paint paint)
{
    return self->find(self, from, set, paint);
}

/* Pass over [from, to), newlines too, without looking for anything. For short ways. */
void scan_pass(struct scan *self, size_t from, size_t to, enum scan_paint paint);

/* The line ends here; for newlines that a search stopped at. */
static inline void scan_end_line(struct scan *self)
{
    self->lines[self->line]++;
    self->line = LINE_BLANK;
}

static inline bool scan_is_white(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Does `text` stand at `at`? Markers are a few bytes, a call of memcmp() costs more. */
static inline bool scan_has(const struct scan *self, size_t at, const char *text, size_t size)
{
    if (at > self->size || self->size - at < size)
        return false;
    for (size_t i = 0; i < size; i++)
        if (self->data[at + i] != (uint8_t)text[i])
            return false;
    return true;
}

/* The next newline at or behind `at`, or size. Counts nothing. */
static inline size_t scan_line_end(const struct scan *self, size_t at)
{
    const uint8_t *found = at < self->size ? memchr(self->data + at, '\n', self->size - at) : NULL;

    return found ? (size_t)(found - self->data) : self->size;
}

#endif
