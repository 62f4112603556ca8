#include "worker/analyze/count.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include <argosy/error.h>

#include "common/assert.h"
#include "worker/analyze/scan.h"

/* HEREDOCS_MAX: begun on one line; more are nobody's style. HEREDOC_TRIES_MAX: words behind << that
 * ended nowhere before we stop looking, so that hostile files stay linear. TEMPLATE_DEPTH_MAX:
 * templates inside templates; deeper ones are read as one. */
enum { HEREDOCS_MAX = 4, HEREDOC_TRIES_MAX = 64, TEMPLATE_DEPTH_MAX = 32 };
enum { LOOK_BACK_MAX = 64 }; /* bytes of a number or name before a quote */

static const size_t NOWHERE = SIZE_MAX;

struct counter {
    struct lexer **lexers; /* by row of the table; NULL until first used */
};

struct heredoc {
    size_t word, word_size;
    bool indented; /* white space may stand before the word that ends it */
};

struct text {
    struct scan scan;
    const struct lexer *lexer;
    size_t code_from;       /* where the run of code in hand began */
    size_t last;            /* the last byte of code before it that is no white space, or NOWHERE */
    size_t level;           /* of a raw string or a long bracket: how many # or = */
    size_t mark, mark_size; /* of a C++ raw string */
    size_t heredocs_count, heredoc_tries;
    struct heredoc heredocs[HEREDOCS_MAX];
};

/* ---- looking around ----------------------------------------------------------------------------
 */

static bool is_word(uint8_t byte)
{
    return isalnum(byte) || byte == '_' || byte >= 0x80;
}

static uint8_t byte_at(const struct text *self, size_t at)
{
    return at < self->scan.size ? self->scan.data[at] : '\0';
}

static uint8_t byte_before(const struct text *self, size_t at)
{
    return at > 0 ? self->scan.data[at - 1] : '\n';
}

/* The last byte of code before `at` that is no white space, or NOWHERE. Comments do not count. */
static size_t last_code(const struct text *self, size_t at)
{
    while (at > self->code_from)
        if (!scan_is_white(self->scan.data[--at]))
            return at;
    return self->last;
}

/* Is there only white space between the line's beginning and `at`? */
static bool is_first_on_line(const struct text *self, size_t at)
{
    while (at > 0 && self->scan.data[at - 1] != '\n')
        if (!scan_is_white(self->scan.data[--at]))
            return false;
    return true;
}

/* The number of '=' between two brackets at `at`, or NOWHERE. */
static size_t long_bracket(const struct text *self, size_t at, uint8_t bracket)
{
    size_t end = at + 1;

    if (byte_at(self, at) != bracket)
        return NOWHERE;
    while (byte_at(self, end) == '=')
        end++;
    return byte_at(self, end) == bracket ? end - at - 1 : NOWHERE;
}

/* ---- does a token begin here? ------------------------------------------------------------------
 */

/* After # in assembly: does the preprocessor speak? */
static bool is_directive(const struct text *self, size_t at)
{
    static const char *const words[] = {"define", "include", "if",    "ifdef", "ifndef",
                                        "elif",   "else",    "endif", "undef", "warning",
                                        "error",  "pragma",  "line"};

    while (byte_at(self, at) == ' ' || byte_at(self, at) == '\t')
        at++;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t size = strlen(words[i]);

        if (scan_has(&self->scan, at, words[i], size) && !is_word(byte_at(self, at + size)))
            return true;
    }
    return false;
}

static bool line_begins(const struct text *self, const struct token *token, size_t at)
{
    const struct language_line *line = token->line;
    uint8_t before = byte_before(self, at), after = byte_at(self, at + token->open_size);

    if ((line->rules & LINE_NOCASE) && is_word(after))
        return false;
    if ((line->rules & LINE_WORD) && !scan_is_white(before) && strchr(";&|(){}", before) == NULL)
        return false;
    if ((line->rules & LINE_FIRST) && !is_first_on_line(self, at))
        return false;
    if ((line->rules & LINE_NO_CPP) && is_directive(self, at + token->open_size))
        return false;
    return line->not_before == NULL || after == '\0' || strchr(line->not_before, after) == NULL;
}

static bool block_begins(struct text *self, const struct token *token, size_t at)
{
    const struct language_block *block = token->block;
    size_t behind = at + token->open_size;
    uint8_t after = byte_at(self, behind);

    if (block->rules & BLOCK_LEVELS) {
        self->level = long_bracket(self, behind, '[');
        return self->level != NOWHERE;
    }
    if (block->rules & BLOCK_ALONE) {
        while (behind < self->scan.size && scan_is_white(byte_at(self, behind)) &&
               byte_at(self, behind) != '\n')
            behind++;
        return (behind == self->scan.size || byte_at(self, behind) == '\n') &&
               is_first_on_line(self, at);
    }
    return block->not_before == NULL || after == '\0' || strchr(block->not_before, after) == NULL;
}

/* Does the prefix stand before `at`, as more than the tail of a longer name? Two bytes of a name
 * before it are fine: other prefixes (u8R, br). */
static bool has_prefix(const struct text *self, const char *prefix, size_t at)
{
    size_t size = strlen(prefix), extra = 0;

    if (at < size || !scan_has(&self->scan, at - size, prefix, size))
        return false;
    at -= size;
    while (isalpha((uint8_t)prefix[0]) && extra < 3 && at > extra &&
           is_word(self->scan.data[at - extra - 1]))
        extra++;
    return extra < 3;
}

/* 'x' or '\...', and not the prime of a name (x') or a lifetime ('a). */
static bool is_char_literal(const struct text *self, size_t at)
{
    uint8_t before = byte_before(self, at), next = byte_at(self, at + 1);
    size_t end = at + 2;

    if (is_word(before) &&
        !(strchr("bBuUL", before) != NULL && at > 1 && !is_word(self->scan.data[at - 2])))
        return false;
    if (next == '\\')
        return true;
    if (next == '\'' || next == '\n')
        return false;
    while (end < at + 5 && (byte_at(self, end) & 0xc0) == 0x80) /* the rest of one UTF-8 letter */
        end++;
    return byte_at(self, end) == '\'';
}

/* The ' of 1'000 or 0xff'ff. */
static bool is_inside_number(const struct text *self, size_t at)
{
    size_t from = at;

    while (from > 0 && at - from < LOOK_BACK_MAX &&
           (is_word(self->scan.data[from - 1]) || self->scan.data[from - 1] == '\''))
        from--;
    return from < at && isdigit(self->scan.data[from]) && isalnum(byte_at(self, at + 1));
}

/* R"mark( */
static bool cpp_raw_begins(struct text *self, size_t at)
{
    self->mark = at + 1;
    for (self->mark_size = 0; self->mark_size <= 16; self->mark_size++) {
        uint8_t byte = byte_at(self, self->mark + self->mark_size);

        if (byte == '(')
            return true;
        if (byte == '\0' || scan_is_white(byte) || strchr(")\\\"", byte) != NULL)
            return false;
    }
    return false;
}

/* A regular expression of JavaScript: a slash where a value may begin, and another on its line. */
static bool regex_begins(const struct text *self, size_t at)
{
    static const char *const words[] = {"return", "typeof", "case", "in", "of", "delete", "void"};
    size_t last = last_code(self, at);
    bool in_class = false;

    if (last != NOWHERE && is_word(self->scan.data[last])) {
        bool is_value = true;

        for (size_t i = 0; i < sizeof words / sizeof words[0] && is_value; i++) {
            size_t size = strlen(words[i]);

            if (last + 1 >= size && scan_has(&self->scan, last + 1 - size, words[i], size) &&
                !is_word(byte_before(self, last + 1 - size)))
                is_value = false;
        }
        if (is_value)
            return false;
    } else if (last != NOWHERE && strchr("(,=:[!&|?{;+-*%~^>", self->scan.data[last]) == NULL) {
        return false;
    }
    if (last != NOWHERE && self->scan.data[last] == '>' && byte_before(self, last) != '=')
        return false; /* <a>/ is text; => /x/ is not */
    for (at++; at < self->scan.size && self->scan.data[at] != '\n'; at++) {
        uint8_t byte = self->scan.data[at];

        if (byte == '\\')
            at++;
        else if (byte == '[' || byte == ']')
            in_class = byte == '[';
        else if (byte == '/' && !in_class)
            return true;
    }
    return false;
}

static bool string_begins(struct text *self, const struct token *token, size_t at)
{
    const struct language_string *string = token->string;
    const char *prefix = string->prefix;

    self->level = 0;
    if (string->rules & STRING_HASHES) {
        while (at > self->level && self->scan.data[at - self->level - 1] == '#')
            self->level++;
        if (prefix[0] == '#')
            return self->level > 0;
    }
    if (prefix != NULL && !has_prefix(self, prefix, at - self->level))
        return false;
    if (string->rules & STRING_LEVELS) {
        self->level = long_bracket(self, at, '[');
        return self->level != NOWHERE;
    }
    return (!(string->rules & STRING_CPP_RAW) || cpp_raw_begins(self, at)) &&
           (!(string->rules & STRING_CHAR) || is_char_literal(self, at)) &&
           (!(string->rules & STRING_NUMBER) || !is_inside_number(self, at)) &&
           (!(string->rules & STRING_REGEX) || regex_begins(self, at));
}

static bool token_begins(struct text *self, const struct token *token, size_t at)
{
    if (token->line && (token->line->rules & LINE_NOCASE)) {
        if (self->scan.size - at < token->open_size ||
            strncasecmp((const char *)self->scan.data + at, token->open, token->open_size) != 0)
            return false;
    } else if (!scan_has(&self->scan, at, token->open, token->open_size)) {
        return false;
    }
    switch (token->kind) {
    case TOKEN_LINE:
        return line_begins(self, token, at);
    case TOKEN_BLOCK:
        return block_begins(self, token, at);
    case TOKEN_STRING:
        return string_begins(self, token, at);
    }
    return false;
}

/* ---- comments ----------------------------------------------------------------------------------
 */

/* Each of these takes the position behind the opening marker and returns the first one behind the
 * token; a newline that ends a token is left to whoever comes next. */

static size_t run_line(struct text *self, const struct token *token, size_t at)
{
    struct scan *scan = &self->scan;

    while ((at = scan_find(scan, at, &token->inside, SCAN_COMMENT)) < scan->size) {
        if (scan->data[at] == '\n') {
            size_t end = at > 0 && scan->data[at - 1] == '\r' ? at - 1 : at;

            if (!(token->line->rules & LINE_SPLICED) || byte_before(self, end) != '\\')
                break;
            scan_end_line(scan);
        } else if (scan_has(scan, at, token->line->until, strlen(token->line->until))) {
            break;
        } else {
            scan->line |= LINE_COMMENT;
        }
        at++;
    }
    return at;
}

/* Comments whose markers own their lines. `at` is where the opening marker stands: in Perl the one
 * that closes may also be the only one. */
static size_t run_lines(struct text *self, const struct token *token, size_t at)
{
    struct scan *scan = &self->scan;
    bool is_last = false;

    while (at < scan->size) {
        size_t mark = at;

        if (token->block->rules & BLOCK_ALONE)
            while (byte_at(self, mark) == ' ' || byte_at(self, mark) == '\t')
                mark++;
        if (scan_has(scan, mark, token->close, token->close_size))
            is_last = !is_word(byte_at(self, mark + token->close_size));
        at = scan_find(scan, at, &token->inside, SCAN_COMMENT);
        if (is_last || at >= scan->size)
            break;
        scan_end_line(scan);
        at++;
    }
    return at;
}

static size_t run_block(struct text *self, const struct token *token, size_t at)
{
    struct scan *scan = &self->scan;
    size_t depth = 1;

    if (token->block->rules & BLOCK_LEVELS)
        at += self->level + 2;
    while ((at = scan_find(scan, at, &token->inside, SCAN_COMMENT)) < scan->size) {
        scan->line |= LINE_COMMENT;
        if (token->block->rules & BLOCK_LEVELS) {
            if (long_bracket(self, at, ']') == self->level)
                return at + self->level + 2;
            at++;
        } else if (scan_has(scan, at, token->close, token->close_size)) {
            at += token->close_size;
            if (--depth == 0)
                break;
        } else if ((token->block->rules & BLOCK_NESTED) &&
                   scan_has(scan, at, token->open, token->open_size)) {
            at += token->open_size;
            depth++;
        } else {
            at++;
        }
    }
    return at;
}

/* ---- strings -----------------------------------------------------------------------------------
 */

/* Where does the closing quote end if it begins at `at`? NOWHERE if it does not. */
static size_t close_of(const struct text *self, const struct token *token, size_t at)
{
    const struct scan *scan = &self->scan;
    size_t behind = at + token->close_size;

    if (token->string->rules & STRING_LEVELS)
        return long_bracket(self, at, ']') == self->level ? at + self->level + 2 : NOWHERE;
    if (token->string->rules & STRING_CPP_RAW) {
        behind = at + 1 + self->mark_size;
        return scan->data[at] == ')' && behind < scan->size && scan->data[behind] == '"' &&
                       memcmp(scan->data + at + 1, scan->data + self->mark, self->mark_size) == 0
                   ? behind + 1
                   : NOWHERE;
    }
    if (!scan_has(scan, at, token->close, token->close_size))
        return NOWHERE;
    for (size_t i = 0; i < self->level; i++)
        if (byte_at(self, behind + i) != '#')
            return NOWHERE;
    return behind + self->level;
}

/* The byte behind an escape does not count for itself, but a newline still ends its line. */
static size_t run_escape(struct scan *scan, size_t at, unsigned holds)
{
    scan->line |= holds;
    at++;
    if (at + 1 < scan->size && scan->data[at] == '\r' && scan->data[at + 1] == '\n')
        at++;
    if (at < scan->size && scan->data[at] == '\n')
        scan_end_line(scan);
    return at < scan->size ? at + 1 : at;
}

/* Inside ${ ... } of a template: code that may hold braces, strings and templates again. All of it
 * counts as code, also a comment. */
static size_t run_interpolation(struct scan *scan, size_t at)
{
    size_t braces[TEMPLATE_DEPTH_MAX] = {0}, depth = 0;
    bool in_template = false;
    uint8_t quote = 0;

    while (at < scan->size) {
        uint8_t byte = scan->data[at], next = at + 1 < scan->size ? scan->data[at + 1] : 0;

        scan->line |= LINE_CODE;
        if (byte == '\n') {
            scan_end_line(scan);
            quote = 0;
        } else if (byte == '\\') {
            at = run_escape(scan, at, LINE_CODE);
            continue;
        } else if (quote != 0) {
            quote = byte == quote ? 0 : quote;
        } else if (byte == '`') {
            in_template = !in_template;
        } else if (in_template) {
            if (byte == '$' && next == '{' && depth + 1 < TEMPLATE_DEPTH_MAX) {
                braces[++depth] = 0;
                in_template = false;
                at++;
            }
        } else if (byte == '"' || byte == '\'') {
            quote = byte;
        } else if (byte == '{') {
            braces[depth]++;
        } else if (byte == '}' && braces[depth] > 0) {
            braces[depth]--;
        } else if (byte == '}' && depth > 0) {
            depth--;
            in_template = true;
        } else if (byte == '}') {
            return at + 1;
        }
        at++;
    }
    return at;
}

/* A triple-quoted string that is a statement by itself: it stands first on its line, and the code
 * before that line does not go on. `at` is its quote, a prefix r or u may stand before it. */
static bool is_docstring(struct text *self, size_t at)
{
    size_t from = at, last;

    if (from > 0 && strchr("rRuU", self->scan.data[from - 1]) != NULL)
        from--;
    if (!is_first_on_line(self, from))
        return false;
    last = last_code(self, from);
    if (last != NOWHERE && strchr("=([{,+-*%&|^<>\\.", self->scan.data[last]) != NULL)
        return false;
    self->scan.line = LINE_BLANK; /* the prefix was taken for code */
    return true;
}

static size_t run_string(struct text *self, const struct token *token, size_t at, bool is_comment)
{
    struct scan *scan = &self->scan;
    const struct language_string *string = token->string;
    enum scan_paint paint = is_comment                      ? SCAN_COMMENT
                            : (string->rules & STRING_TEXT) ? SCAN_CODE
                                                            : SCAN_STRING;
    unsigned holds = paint & (LINE_CODE | LINE_COMMENT);
    bool in_class = false;

    if (string->rules & STRING_LEVELS)
        at += self->level + 1;
    if (string->rules & STRING_CPP_RAW)
        at += self->mark_size + 1;
    while ((at = scan_find(scan, at, &token->inside, paint)) < scan->size) {
        uint8_t byte = scan->data[at];
        size_t behind;

        if (byte == '\n' && !(string->rules & STRING_LINES))
            return at;
        scan->line |= holds;
        if (string->escape != 0 && byte == (uint8_t)string->escape) {
            at = run_escape(scan, at, holds);
            continue;
        }
        if ((behind = close_of(self, token, at)) != NOWHERE && !in_class)
            return behind;
        if (byte == '$' && (string->rules & STRING_TEMPLATE) && byte_at(self, at + 1) == '{')
            at = run_interpolation(scan, at + 2);
        else
            at++;
    }
    return at;
}

/* ---- here-documents ----------------------------------------------------------------------------
 */

/* `at` stands on '<'. Remembers what begins on the next line; returns the position behind the word,
 * or NOWHERE if there is none. */
static size_t heredoc_begins(struct text *self, size_t at)
{
    const struct scan *scan = &self->scan;
    char rule = self->lexer->heredoc;
    struct heredoc *doc = &self->heredocs[self->heredocs_count];
    size_t arrows = rule == 'p' ? 3 : 2;
    uint8_t quote = 0;

    if (!scan_has(scan, at, "<<<", arrows))
        return NOWHERE;
    at += arrows;
    if (rule == 's' && byte_at(self, at) == '<')
        return at + 1; /* a here-string */
    if (self->heredocs_count == HEREDOCS_MAX || self->heredoc_tries >= HEREDOC_TRIES_MAX)
        return NOWHERE;
    doc->indented = rule == 'p' || byte_at(self, at) == '-' || byte_at(self, at) == '~';
    if (rule != 'p' && doc->indented)
        at++;
    while (rule != 'r' && (byte_at(self, at) == ' ' || byte_at(self, at) == '\t'))
        at++;
    if (byte_at(self, at) == '\\')
        at++;
    if (byte_at(self, at) != '\0' && strchr("'\"`", byte_at(self, at)) != NULL)
        quote = scan->data[at++];
    doc->word = at;
    while (is_word(byte_at(self, at)) || (quote == 0 && rule == 's' && byte_at(self, at) == '-'))
        at++;
    doc->word_size = at - doc->word;
    if (doc->word_size == 0 || isdigit(scan->data[doc->word]) ||
        (quote != 0 && byte_at(self, at) != quote) ||
        (rule == 'r' && quote == 0 && !doc->indented && islower(scan->data[doc->word])))
        return NOWHERE;
    self->heredocs_count++;
    return at + (quote != 0);
}

/* `at` is the beginning of a line. Returns the position behind the word that ends the document, or
 * `at` if no line does: then it was none. */
static size_t run_heredoc(struct text *self, const struct heredoc *doc, size_t at)
{
    struct scan *scan = &self->scan;
    uint64_t lines = 0;
    size_t line = at;

    while (line < scan->size) {
        size_t end = scan_line_end(scan, line), word = line, behind;

        while (doc->indented && word < end && scan_is_white(scan->data[word]))
            word++;
        behind = word + doc->word_size;
        if (behind <= end &&
            memcmp(scan->data + word, scan->data + doc->word, doc->word_size) == 0 &&
            (self->lexer->heredoc == 'p'
                 ? !is_word(byte_at(self, behind))
                 : behind == end || (behind + 1 == end && scan->data[behind] == '\r'))) {
            scan->lines[LINE_CODE] += lines;
            scan->line |= LINE_CODE;
            return behind;
        }
        lines++;
        line = end + 1;
    }
    self->heredoc_tries++;
    return at;
}

/* ---- code --------------------------------------------------------------------------------------
 */

/* A token begins at `at`: run over it. */
static size_t run_token(struct text *self, const struct token *token, size_t at)
{
    size_t last = self->lexer->tracks_last ? last_code(self, at) : NOWHERE;
    size_t behind = at + token->open_size;
    bool is_comment;

    switch (token->kind) {
    case TOKEN_LINE:
        self->scan.line |= LINE_COMMENT;
        self->last = last;
        return run_line(self, token, behind);
    case TOKEN_BLOCK:
        self->scan.line |= LINE_COMMENT;
        self->last = last;
        return (token->block->rules & (BLOCK_COLUMN_1 | BLOCK_ALONE))
                   ? run_lines(self, token, at)
                   : run_block(self, token, behind);
    case TOKEN_STRING:
        is_comment = (token->string->rules & STRING_DOC) && is_docstring(self, at);
        self->scan.line |= is_comment ? LINE_COMMENT : LINE_CODE;
        behind = run_string(self, token, behind, is_comment);
        self->last = behind - 1;
        return behind;
    }
    return behind;
}

/* A line begins at `at`, and the language cares: here-documents, markers in the first column. */
static size_t run_line_start(struct text *self, size_t at)
{
    const struct lexer *lexer = self->lexer;

    if (self->heredocs_count > 0) {
        for (size_t i = 0; i < self->heredocs_count; i++) {
            size_t behind = run_heredoc(self, &self->heredocs[i], at);

            /* The next one begins on the line behind this one's last. */
            if (i + 1 < self->heredocs_count && behind != at &&
                (behind = scan_line_end(&self->scan, behind)) < self->scan.size) {
                scan_end_line(&self->scan);
                behind++;
            }
            at = behind;
        }
        self->heredocs_count = 0;
        return at;
    }
    for (unsigned i = lexer->tokens_count - lexer->columns_count; i < lexer->tokens_count; i++)
        if (at < self->scan.size && token_begins(self, &lexer->tokens[i], at))
            return run_token(self, &lexer->tokens[i], at);
    return at;
}

/* Code was found up to `at`, where a byte stands that may begin something. */
static size_t run_mark(struct text *self, size_t at)
{
    const struct lexer *lexer = self->lexer;
    uint8_t byte = self->scan.data[at];
    size_t behind;

    if (byte == '\n') {
        scan_end_line(&self->scan);
        return run_line_start(self, at + 1);
    }
    if (byte == '\\' && (lexer->language->rules & LANGUAGE_ESCAPES) && lexer->group[byte] == 0) {
        self->scan.line |= LINE_CODE;
        /* A newline is not hidden: whatever begins on the next line begins there. */
        return at + 1 < self->scan.size && self->scan.data[at + 1] != '\n' ? at + 2 : at + 1;
    }
    if (byte == '<' && lexer->heredoc != 0 && (behind = heredoc_begins(self, at)) != NOWHERE) {
        self->scan.line |= LINE_CODE;
        return behind;
    }
    if (lexer->group[byte] != 0)
        for (unsigned i = lexer->group[byte] - 1u;
             i < lexer->tokens_count - lexer->columns_count && lexer->tokens[i].first == byte; i++)
            if (token_begins(self, &lexer->tokens[i], at))
                return run_token(self, &lexer->tokens[i], at);
    self->scan.line |= LINE_CODE;
    return at + 1;
}

static void run(struct text *self, size_t at)
{
    struct scan *scan = &self->scan;

    if (self->lexer->language->rules & LANGUAGE_BEGINS_IN_TEXT)
        for (unsigned i = 0; i < self->lexer->tokens_count; i++)
            if (self->lexer->tokens[i].string == &self->lexer->language->strings[0])
                at = run_string(self, &self->lexer->tokens[i], at, false);
    if (self->lexer->stops_at_newline)
        at = run_line_start(self, at);
    while (at < scan->size) {
        self->code_from = at;
        at = scan_find(scan, at, &self->lexer->code, SCAN_CODE);
        if (at < scan->size)
            at = run_mark(self, at);
        if (self->lexer->tracks_last && at > self->code_from)
            self->last = last_code(self, at);
    }
}

/* ---- the calls ----------------------------------------------------------------------------------
 */

counter_t *counter_new(void)
{
    struct counter *self = calloc(1, sizeof *self);

    if (self != NULL && (self->lexers = calloc(language_table_count, sizeof *self->lexers)) == NULL)
        counter_destroy(&self);
    return self;
}

void counter_destroy(counter_t **self_p)
{
    counter_t *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    for (size_t i = 0; self->lexers != NULL && i < language_table_count; i++)
        free(self->lexers[i]);
    free(self->lexers);
    free(self);
}

int count_text(counter_t *self, const struct language *language, struct ag_bytes text,
               struct counts *out)
{
    size_t row = (size_t)(language - language_table);
    struct text state;

    AG_ASSERT(row < language_table_count);
    if (self->lexers[row] == NULL) {
        if ((self->lexers[row] = malloc(sizeof *self->lexers[row])) == NULL)
            return ARGOSY_ENOMEM;
        lexer_prepare(self->lexers[row], language);
    }
    state = (struct text){.lexer = self->lexers[row], .last = NOWHERE};
    scan_init(&state.scan, text.data, text.size);
    /* A line ends with a newline, as wc -l has it: what stands behind the last one is none. */
    if (text.size > 0)
        run(&state, scan_has(&state.scan, 0, "\xef\xbb\xbf", 3) ? 3 : 0);
    *out = (struct counts){.code = state.scan.lines[LINE_CODE] +
                                   state.scan.lines[LINE_CODE | LINE_COMMENT],
                           .comments = state.scan.lines[LINE_COMMENT],
                           .blanks = state.scan.lines[LINE_BLANK],
                           .bytes = text.size};
    out->lines = out->code + out->comments + out->blanks;
    return 0;
}
