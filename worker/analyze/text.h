/* text.h - one text on its way through the counter: what begins where, and what runs over it.
 * Internal to the engine; count.c leads, begins.c, heredoc.c, substitute.c and embed.c
 * help.
 *
 * Threads: plain data, one at a time.
 */
#ifndef ANALYZE_TEXT_H
#define ANALYZE_TEXT_H

#include <ctype.h>

#include "worker/analyze/count.h"
#include "worker/analyze/scan.h"

/* HEREDOCS_MAX: begun on one line; more are nobody's style. EMBED_DEPTH_MAX: parts inside parts
 * (Markdown holds HTML holds a script); deeper ones belong to what is around them. */
enum { HEREDOCS_MAX = 4, EMBED_DEPTH_MAX = 4 };

static const size_t NOWHERE = SIZE_MAX;

struct heredoc {
    size_t word, word_size;
    bool indented; /* white space may stand before the word that ends it */
};

struct text {
    struct scan scan;
    const struct lexer *lexer;
    counter_t *counter;
    struct counted *out;
    unsigned depth;         /* parts around this one */
    uint64_t parts_bytes;   /* of the parts inside it */
    size_t part_end;        /* of the last of them */
    size_t code_from;       /* where the run of code in hand began */
    size_t last;            /* the last byte of code before it that is no white space, or NOWHERE */
    size_t level;           /* of a raw string or a long bracket: how many # or = */
    size_t mark, mark_size; /* of a C++ raw string */
    size_t heredocs_count, heredoc_tries, substitution_tries;
    struct heredoc heredocs[HEREDOCS_MAX];
};

/* ---- looking around ----------------------------------------------------------------------------
 */

static inline bool is_word(uint8_t byte)
{
    return isalnum(byte) || byte == '_' || byte >= 0x80;
}

static inline uint8_t byte_at(const struct text *self, size_t at)
{
    return at < self->scan.size ? self->scan.data[at] : '\0';
}

static inline uint8_t byte_before(const struct text *self, size_t at)
{
    return at > 0 ? self->scan.data[at - 1] : '\n';
}

/* ---- begins.c ----------------------------------------------------------------------------------
 */

/* The last byte of code before `at` that is no white space, or NOWHERE. Comments do not count. */
size_t text_last_code(const struct text *self, size_t at);

/* Is there only white space between the line's beginning and `at`? */
bool text_is_first_on_line(const struct text *self, size_t at);

/* The number of '=' between two brackets at `at`, or NOWHERE. */
size_t text_long_bracket(const struct text *self, size_t at, uint8_t bracket);

/* Does the token begin at `at`? Fills self->level and self->mark where the token has them. */
bool text_token_begins(struct text *self, const struct token *token, size_t at);

/* ---- heredoc.c ---------------------------------------------------------------------------------
 */

/* `at` stands on '<'. Remembers what begins on the next line; returns the position behind the word,
 * or NOWHERE if there is none. */
size_t text_heredoc_begins(struct text *self, size_t at);

/* The line that begins at `at` is the first of the documents that were begun. Returns where code
 * goes on. */
size_t text_run_heredocs(struct text *self, size_t at);

/* ---- substitute.c ------------------------------------------------------------------------------
 */

/* `at` stands on the "$(" or '`' of a string. Returns the position behind what closes it, all of it
 * counted as code, or the next one when nothing does. */
size_t text_run_substitution(struct text *self, size_t at);

/* ---- embed.c -----------------------------------------------------------------------------------
 */

/* A tag or fence begins at `at`: run over it and over the part that it opens. */
size_t text_run_embed(struct text *self, const struct token *token, size_t at);

/* Text between pieces of code begins at `at` (PHP). */
size_t text_run_between(struct text *self, const struct token *token, size_t at);

/* ---- count.c -----------------------------------------------------------------------------------
 */

/* Count [from, to), which is whole lines, as another language; false if that cannot be: then it is
 * the caller's own. */
bool text_count_part(struct text *self, const struct language *language, size_t from, size_t to);

/* The row that people mean by a word, or NULL. */
const struct language *text_language_of(const struct text *self, struct ag_bytes word);

#endif
