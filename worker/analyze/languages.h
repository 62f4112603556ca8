/* languages.h - what the engine knows about languages: one table, and how to find a row of it.
 *
 * Start here: languages_new() once per job, language_of_name() for each file, and
 * language_of_content() where the name leaves a question. The rows stand in language_table.c; a
 * worker may know more of them from a file (language_file.h).
 *
 * Threads: the table is constant; an index may be read from any thread once it is made.
 * Ownership: rows and their texts live as long as the program, those of a file as long as the file.
 */
#ifndef ANALYZE_LANGUAGES_H
#define ANALYZE_LANGUAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"

/* The most a row may hold; a row that wants more makes the compiler complain. */
enum {
    LANGUAGE_LINES_MAX = 5,
    LANGUAGE_BLOCKS_MAX = 4,
    LANGUAGE_STRINGS_MAX = 8,
    LANGUAGE_EMBEDS_MAX = 3
};

/* How the beginning of a line comment must stand. */
enum line_rule {
    LINE_SPLICED = 1,   /* a backslash at its end continues it on the next line */
    LINE_FIRST = 2,     /* only as the first thing on its line */
    LINE_COLUMN_1 = 4,  /* only in the first column */
    LINE_WORD = 8,      /* only at the start of a word: behind white space or one of ;&|(){} */
    LINE_NOCASE = 16,   /* letters in any case, and a word of its own (REM) */
    LINE_NO_CPP = 32,   /* not when it begins a preprocessor directive (#define in assembly) */
    LINE_COLUMN_7 = 64, /* only in the seventh column (COBOL) */
    LINE_RECIPE = 128 /* on a line that begins with a tab it is the shell's, never spliced (make) */
};

struct language_line {
    const char *open;
    unsigned rules;         /* enum line_rule */
    const char *not_before; /* bytes that, right behind it, make it something else; or NULL */
    const char *until;      /* ends it before the line's end (PHP's ?>); or NULL */
};

enum block_rule {
    BLOCK_NESTED = 1,   /* an opening marker inside opens one more level */
    BLOCK_COLUMN_1 = 2, /* both markers stand in the first column; the closing line belongs to it */
    BLOCK_LEVELS = 4,   /* Lua's long brackets: `open` is followed by any number of '=' and '[' */
    BLOCK_ALONE = 8,    /* each marker is alone on its line (MATLAB) */
    BLOCK_STRINGS = 16  /* a marker inside a "string" inside it is none (OCaml) */
};

struct language_block {
    const char *open, *close;
    unsigned rules;         /* enum block_rule */
    const char *not_before; /* as for a line comment */
};

enum string_rule {
    STRING_LINES = 1,      /* may span lines; without it the line's end ends it, closed or not */
    STRING_DOC = 2,        /* at statement position it is a comment (Python) */
    STRING_HASHES = 4,     /* any number of # before the opening quote, as many behind the last */
    STRING_CPP_RAW = 8,    /* R"mark( ... )mark" */
    STRING_LEVELS = 16,    /* Lua's [==[ ... ]==] */
    STRING_TEMPLATE = 32,  /* ${ ... } inside holds code, which may hold strings again */
    STRING_CHAR = 64,      /* only if a character literal really stands here: 'x' or '\...' */
    STRING_NUMBER = 128,   /* not inside a number: 1'000 */
    STRING_REGEX = 256,    /* only where a value may begin, and only if it ends on its line */
    STRING_TEXT = 512,     /* text between pieces of code: its blank lines stay blank */
    STRING_DOUBLED = 1024, /* two closing quotes are one inside */
    STRING_COMMAND =
        2048 /* $( ... ) and ` ... ` inside are code of a shell, with strings of its own */
};

/* A doubled quote ('it''s') needs no rule without a prefix: the string ends and the next one begins
 * at once. */
struct language_string {
    const char *open, *close;
    char escape;        /* the byte that makes the next one harmless; 0 none */
    unsigned rules;     /* enum string_rule */
    const char *prefix; /* must stand right before `open` ("@", "r"); or NULL */
};

enum language_rule {
    LANGUAGE_ESCAPES = 1,        /* outside strings too a backslash hides the next byte */
    LANGUAGE_BEGINS_IN_TEXT = 2, /* a file begins inside strings[0] (PHP) */
    LANGUAGE_HEREDOC_SHELL = 4,  /* <<WORD <<-WORD <<'WORD' */
    LANGUAGE_HEREDOC_RUBY = 8,   /* <<WORD <<-WORD <<~WORD, right behind it, quotes allowed */
    LANGUAGE_HEREDOC_PHP = 16,   /* <<<WORD, quotes allowed */
    LANGUAGE_MINIFIES = 32       /* programs take the line ends out of such files */
};

/* How a part in another language stands in a text. Only whole lines are such a part. */
enum embed_rule {
    EMBED_TAG = 1,   /* between <open ...> and </open>; attributes may name the language */
    EMBED_NESTS = 2, /* and tags of that name may stand inside (Vue's template) */
    EMBED_FENCE = 4, /* from a line that begins with `open`, a language behind it, to the next */
    EMBED_TEXT = 8   /* what STRING_TEXT holds (PHP: what is not PHP) */
};

struct language_embed {
    const char *open;     /* "<script", "```" */
    const char *language; /* when nothing names another; NULL: then the part is no other */
    unsigned rules;       /* enum embed_rule */
};

struct language {
    const char *name;
    const char *extensions;   /* without the dot, separated by spaces; or NULL */
    const char *files;        /* whole file names; or NULL */
    const char *interpreters; /* what follows #!, without folder and version; or NULL */
    const char *aliases;      /* other names, of editors' modes and Markdown's fences; or NULL */
    unsigned rules;           /* enum language_rule */
    struct language_line lines[LANGUAGE_LINES_MAX];       /* up to the first without `open` */
    struct language_block blocks[LANGUAGE_BLOCKS_MAX];    /* the same */
    struct language_string strings[LANGUAGE_STRINGS_MAX]; /* the same */
    struct language_embed embeds[LANGUAGE_EMBEDS_MAX];    /* the same */
};

/* When an extension belongs to several languages: the first hint whose text stands near the
 * beginning of the file decides; without one the extension's own row does. */
struct language_hint {
    const char *extension;
    const char *text; /* at the start of a line, after white space */
    const char *language;
};

extern const struct language language_table[];
extern const size_t language_table_count;
extern const struct language_hint language_hints[];
extern const size_t language_hints_count;

/* Extensions of files that are never text; they are not even opened. Separated by spaces. */
extern const char language_binary_extensions[];

/* Rows besides the table's; their names and extensions win over the table's. */
struct language_rows {
    const struct language *rows;
    size_t count;
};

typedef struct languages languages_t;

/* The index over the table and over `more`, which may be NULL. NULL when memory is short. */
languages_t *languages_new(const struct language_rows *more);
void languages_destroy(languages_t **self_p);

/* All rows have places from 0 to count - 1. */
size_t languages_count(const languages_t *self);
size_t languages_place(const languages_t *self, const struct language *language);
const struct language *languages_at(const languages_t *self, size_t place);

enum language_verdict {
    LANGUAGE_UNKNOWN,     /* no row; do not open it */
    LANGUAGE_BINARY,      /* not text by its name; do not open it */
    LANGUAGE_KNOWN,       /* this row */
    LANGUAGE_ASK_CONTENT, /* ask language_of_content() */
};

/* What a file's name (without its folder) says: whole names first, then extensions, the longest
 * first (a.b.c: "b.c", then "c"), each as it is written and then in lower case. *out is the row
 * for LANGUAGE_KNOWN and LANGUAGE_ASK_CONTENT (there NULL if only the content can tell). What has
 * no language so is asked without ".in" and its like, then for the part before the first dot. */
enum language_verdict language_of_name(const languages_t *self, const char *name,
                                       const struct language **out);

/* The row that the file's content tells: a #! line, an editor's modeline, a hint; `by_name` if it
 * tells nothing; may be NULL. */
const struct language *language_of_content(const languages_t *self, const char *name,
                                           const struct language *by_name, struct ag_bytes content);

/* The row that people mean by a word: its name, an alias, an extension, an interpreter, in any
 * case. Or NULL. */
const struct language *language_of_word(const languages_t *self, struct ag_bytes word);

/* The row of the table called `name`, or NULL. */
const struct language *language_find(const char *name);

#endif
