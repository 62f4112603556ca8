/* The shell's "$( ... )" and "` ... `": code inside a string, with strings of its own. */
#include "worker/analyze/text.h"

/* DEPTH_MAX: strings and brackets inside each other; deeper ones are nobody's style.
 * SUBSTITUTION_TRIES_MAX: beginnings that ended nowhere before we stop looking, so that hostile
 * files stay linear. */
enum { DEPTH_MAX = 32, SUBSTITUTION_TRIES_MAX = 64 };

struct walk {
    const struct text *text;
    uint8_t around[DEPTH_MAX]; /* what we are in: '(' or '"' */
    size_t depth;
    struct heredoc document; /* begins on the next line; word_size 0: none */
};

static size_t push(struct walk *self, uint8_t mark, size_t behind)
{
    if (self->depth == DEPTH_MAX)
        return NOWHERE;
    self->around[self->depth++] = mark;
    return behind;
}

/* Behind the quote that closes, or NOWHERE. */
static size_t skip_single_quoted(const struct text *text, size_t at)
{
    const bool has_escapes = at > 0 && text->scan.data[at - 1] == '$';

    for (at++; at < text->scan.size && text->scan.data[at] != '\''; at++)
        at += has_escapes && text->scan.data[at] == '\\';
    return at < text->scan.size ? at + 1 : NOWHERE;
}

static size_t note_document(struct walk *self, size_t at)
{
    const struct text *text = self->text;
    struct heredoc *doc = &self->document;

    at += 2;
    if (byte_at(text, at) == '<')
        return at + 1; /* a here-string */
    doc->indented = byte_at(text, at) == '-';
    at += doc->indented;
    while (byte_at(text, at) == ' ' || byte_at(text, at) == '\t')
        at++;
    while (byte_at(text, at) == '\'' || byte_at(text, at) == '"' || byte_at(text, at) == '\\')
        at++;
    doc->word = at;
    while (is_word(byte_at(text, at)))
        at++;
    doc->word_size = isdigit(byte_at(text, doc->word)) ? 0 : at - doc->word;
    while (byte_at(text, at) == '\'' || byte_at(text, at) == '"')
        at++;
    return at;
}

/* `at` is the first line of the document. Behind its last word; `at` if no line is that word. */
static size_t skip_document(struct walk *self, size_t at)
{
    const struct text *text = self->text;
    const size_t size = self->document.word_size;

    self->document.word_size = 0;
    for (size_t line = at; line < text->scan.size;) {
        size_t end = scan_line_end(&text->scan, line), word = line;

        while (self->document.indented && byte_at(text, word) == '\t')
            word++;
        if (end - word == size &&
            memcmp(text->scan.data + word, text->scan.data + self->document.word, size) == 0)
            return end;
        line = end + 1;
    }
    return at;
}

static bool is_comment(const struct text *text, size_t at)
{
    uint8_t before = byte_before(text, at);

    return scan_is_white(before) || before == ';' || before == '(';
}

/* One step; returns where to go on, or NOWHERE when nothing closes what was opened. */
static size_t step(struct walk *self, size_t at)
{
    const struct text *text = self->text;
    uint8_t byte = text->scan.data[at];

    if (byte == '\\')
        return at + 2;
    if (self->around[self->depth - 1] == '"') {
        self->depth -= byte == '"';
        return byte == '$' && byte_at(text, at + 1) == '(' ? push(self, '(', at + 2) : at + 1;
    }
    switch (byte) {
    case '\'':
        return skip_single_quoted(text, at);
    case '"':
    case '(':
        return push(self, byte, at + 1);
    case ')':
        self->depth--;
        return at + 1;
    case '#':
        return is_comment(text, at) ? scan_line_end(&text->scan, at) : at + 1;
    case '<':
        return byte_at(text, at + 1) == '<' ? note_document(self, at) : at + 1;
    case '\n':
        return self->document.word_size > 0 ? skip_document(self, at + 1) : at + 1;
    default:
        return at + 1;
    }
}

/* Behind the ')' that closes the "$(" at `at`, or NOWHERE. */
static size_t end_of_brackets(const struct text *text, size_t at)
{
    struct walk walk = {.text = text, .around = {'('}, .depth = 1};

    at += 2;
    while (at < text->scan.size && walk.depth > 0)
        at = step(&walk, at);
    return walk.depth == 0 && at <= text->scan.size ? at : NOWHERE;
}

/* The same for backticks: what is quoted between them must hide them by a backslash too. */
static size_t end_of_backticks(const struct text *text, size_t at)
{
    for (at++; at < text->scan.size && text->scan.data[at] != '`'; at++)
        at += text->scan.data[at] == '\\';
    return at < text->scan.size ? at + 1 : NOWHERE;
}

size_t text_run_substitution(struct text *self, size_t at)
{
    struct scan *scan = &self->scan;
    size_t end;

    if (self->substitution_tries >= SUBSTITUTION_TRIES_MAX)
        return at + 1;
    end = scan->data[at] == '`' ? end_of_backticks(self, at) : end_of_brackets(self, at);
    if (end == NOWHERE) {
        self->substitution_tries++;
        return at + 1;
    }
    for (; at < end; at++) {
        scan->line |= LINE_CODE;
        if (scan->data[at] == '\n')
            scan_end_line(scan);
    }
    return end;
}
