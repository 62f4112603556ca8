/* lexer.h - a language's row in the form that count.c runs on: which bytes may begin something, and
 * what begins there. Internal to the engine.
 *
 * Threads: constant once prepared.
 */
#ifndef ANALYZE_LEXER_H
#define ANALYZE_LEXER_H

#include "worker/analyze/languages.h"

/* NEEDLES_MAX: the most different first bytes of one row; TOKENS_MAX: the most tokens of one row,
 * a marker in any case counts twice. A row that needs more stops the tests (lexer_prepare). */
enum { NEEDLES_MAX = 20, NEEDLES_INSIDE_MAX = 4, TOKENS_MAX = 24, VECTOR_BYTES = 16 };

/* Bytes to look for: each spread over a vector. Also as a table, if no two end in the same four
 * bits and all are ASCII: each stands where its low bits say, the other places hold what is never
 * found there. */
struct needles {
    unsigned count;
    bool has_table;
    bool has_second; /* the first needle counts only with this byte behind it */
    uint8_t (*spread)[VECTOR_BYTES];
    uint8_t table[VECTOR_BYTES], second[VECTOR_BYTES];
};

/* The first needle counts only with `second` behind it, from now on. */
void needles_qualify(struct needles *self, uint8_t second);

/* Add a byte; `max` is what self->spread has room for, more stop the program. */
void needles_add(struct needles *self, unsigned max, uint8_t byte);

enum token_kind { TOKEN_BLOCK, TOKEN_EMBED, TOKEN_STRING, TOKEN_LINE };

struct token {
    enum token_kind kind;
    const char *open, *close; /* close: NULL for a line comment */
    size_t open_size, close_size;
    uint8_t first; /* its first byte; one of two for a marker in any case */
    const struct language_line *line;
    const struct language_block *block;
    const struct language_string *string;
    const struct language_embed *embed;
    struct needles inside; /* where to look while inside */
    uint8_t room[NEEDLES_INSIDE_MAX][VECTOR_BYTES];
};

struct lexer {
    const struct language *language;
    struct needles code; /* where to look in code, ... */
    struct needles line; /* ... and on a line behind which a here-document begins */
    uint8_t room[2][NEEDLES_MAX][VECTOR_BYTES];
    struct token tokens[TOKENS_MAX]; /* by first byte, then the one to try first */
    unsigned tokens_count;
    uint8_t group[256];     /* 1 + the first token that begins with this byte; 0 none */
    unsigned columns_count; /* tokens that begin in column 1 only stand last, not in `group` */
    const struct language *embedded[LANGUAGE_EMBEDS_MAX]; /* the row that each names, or NULL */
    char heredoc;     /* the heredoc rule: 's'hell, 'r'uby, 'p'hp or 0 */
    bool tracks_last; /* something depends on the code before it */
};

/* Fill self from a row. */
void lexer_prepare(struct lexer *self, const struct language *language);

#endif
