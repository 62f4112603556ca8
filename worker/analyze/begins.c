#include <strings.h>

#include "worker/analyze/text.h"

enum { LOOK_BACK_MAX = 64 }; /* bytes of a number or name before a quote */

/* ---- looking around ----------------------------------------------------------------------------
 */

size_t text_last_code(const struct text *self, size_t at)
{
    while (at > self->code_from)
        if (!scan_is_white(self->scan.data[--at]))
            return at;
    return self->last;
}

bool text_is_first_on_line(const struct text *self, size_t at)
{
    while (at > 0 && self->scan.data[at - 1] != '\n')
        if (!scan_is_white(self->scan.data[--at]))
            return false;
    return true;
}

size_t text_long_bracket(const struct text *self, size_t at, uint8_t bracket)
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

static bool is_in_column_7(const struct text *self, size_t at)
{
    return at >= 6 && (at == 6 || self->scan.data[at - 7] == '\n') &&
           memchr(self->scan.data + at - 6, '\n', 6) == NULL;
}

static bool line_begins(const struct text *self, const struct token *token, size_t at)
{
    const struct language_line *line = token->line;
    uint8_t before = byte_before(self, at), after = byte_at(self, at + token->open_size);

    if ((line->rules & LINE_NOCASE) && is_word(after))
        return false;
    if ((line->rules & LINE_WORD) && !scan_is_white(before) && strchr(";&|(){}", before) == NULL)
        return false;
    if ((line->rules & LINE_COLUMN_7) && !is_in_column_7(self, at))
        return false;
    if ((line->rules & LINE_FIRST) && !text_is_first_on_line(self, at))
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
        self->level = text_long_bracket(self, behind, '[');
        return self->level != NOWHERE;
    }
    if (block->rules & BLOCK_ALONE) {
        while (behind < self->scan.size && scan_is_white(byte_at(self, behind)) &&
               byte_at(self, behind) != '\n')
            behind++;
        return (behind == self->scan.size || byte_at(self, behind) == '\n') &&
               text_is_first_on_line(self, at);
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
    size_t last = text_last_code(self, at);
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
        self->level = text_long_bracket(self, at, '[');
        return self->level != NOWHERE;
    }
    return (!(string->rules & STRING_CPP_RAW) || cpp_raw_begins(self, at)) &&
           (!(string->rules & STRING_CHAR) || is_char_literal(self, at)) &&
           (!(string->rules & STRING_NUMBER) || !is_inside_number(self, at)) &&
           (!(string->rules & STRING_REGEX) || regex_begins(self, at));
}

/* A tag with its whole name, or a fence: the first thing on its line, and no inline code. */
static bool embed_begins(const struct text *self, const struct token *token, size_t at)
{
    uint8_t after = byte_at(self, at + token->open_size);

    if (token->embed->rules & EMBED_TAG)
        return after == '>' || after == '/' || scan_is_white(after);
    if (!text_is_first_on_line(self, at))
        return false;
    while (byte_at(self, at) == token->first)
        at++;
    return token->first != '`' ||
           memchr(self->scan.data + at, '`', scan_line_end(&self->scan, at) - at) == NULL;
}

bool text_token_begins(struct text *self, const struct token *token, size_t at)
{
    if ((token->line && (token->line->rules & LINE_NOCASE)) || token->embed) {
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
    case TOKEN_EMBED:
        return embed_begins(self, token, at);
    case TOKEN_STRING:
        return string_begins(self, token, at);
    }
    return false;
}
