#include "worker/analyze/count.h"

#include <stdlib.h>

#include <argosy/error.h>

#include "common/assert.h"
#include "worker/analyze/text.h"

/* Templates inside templates; deeper ones are read as one. */
enum { TEMPLATE_DEPTH_MAX = 32 };
enum { BOM_BYTES = 3, HEARD_MAX = 64, HEARD_BYTES_MAX = 16 };

/* What a word meant: documents name the same few languages again and again, and a row is found by
 * going over all of them. */
struct heard {
    char word[HEARD_BYTES_MAX];
    size_t size;
    const struct language *language;
};

struct counter {
    const languages_t *languages;
    struct lexer **lexers; /* by the row's place; NULL until first used */
    struct words marks;    /* what is looked for in comments */
    struct heard heard[HEARD_MAX];
    bool no_memory; /* a part could not be counted */
    /* For count_find_in_comments(), NULL otherwise. */
    const struct words *sought;
    const uint8_t *sought_end;
    bool is_found;
};

/* ---- comments ----------------------------------------------------------------------------------
 */

/* Does the line that holds `at` begin with a tab? */
static bool begins_with_tab(const struct text *self, size_t at)
{
    const uint8_t *newline = at > 0 ? memrchr(self->scan.data, '\n', at) : NULL;

    return (newline != NULL ? newline[1] : self->scan.data[0]) == '\t';
}

/* Each of these takes the position behind the opening marker and returns the first one behind the
 * token; a newline that ends a token is left to whoever comes next. */

static size_t run_line(struct text *self, const struct token *token, size_t at)
{
    struct scan *scan = &self->scan;
    const bool is_spliced = (token->line->rules & LINE_SPLICED) &&
                            !((token->line->rules & LINE_RECIPE) && begins_with_tab(self, at));

    while ((at = scan_find(scan, at, &token->inside, SCAN_COMMENT)) < scan->size) {
        if (scan->data[at] == '\n') {
            size_t end = at > 0 && scan->data[at - 1] == '\r' ? at - 1 : at;

            if (!is_spliced || byte_before(self, end) != '\\')
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
    const size_t begin = at;
    bool is_last = false;

    while (at < scan->size) {
        size_t mark = at;

        if (token->block->rules & BLOCK_ALONE)
            while (byte_at(self, mark) == ' ' || byte_at(self, mark) == '\t')
                mark++;
        if (scan_has(scan, mark, token->close, token->close_size) &&
            !(at == begin && strcmp(token->open, token->close) == 0))
            is_last = !is_word(byte_at(self, mark + token->close_size));
        at = scan_find(scan, at, &token->inside, SCAN_COMMENT);
        if (is_last || at >= scan->size)
            break;
        scan_end_line(scan);
        at++;
    }
    return at;
}

/* `at` stands on a quote inside a comment. Returns the position behind the one that closes it, or
 * behind this one if none does before an empty line: then it is just a quote, as it is in '"'. */
static size_t pass_quoted(struct text *self, size_t at)
{
    struct scan *scan = &self->scan;
    size_t end = at + 1;

    if (byte_before(self, at) == '\'' && byte_at(self, end) == '\'')
        return end;
    while (end < scan->size && scan->data[end] != '"') {
        if (scan->data[end] == '\n' && byte_at(self, end + 1) == '\n')
            return at + 1;
        end += scan->data[end] == '\\' ? 2 : 1;
    }
    if (end >= scan->size)
        return at + 1;
    scan_pass(scan, at, end, SCAN_COMMENT);
    return end + 1;
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
            if (text_long_bracket(self, at, ']') == self->level)
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
        } else if ((token->block->rules & BLOCK_STRINGS) && scan->data[at] == '"') {
            at = pass_quoted(self, at);
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
        return text_long_bracket(self, at, ']') == self->level ? at + self->level + 2 : NOWHERE;
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
 * counts as code, also a comment. Where the string may not span lines, neither may this: returns
 * the newline. Its array would cost each token a guard of the stack. */
__attribute__((noinline)) static size_t run_interpolation(struct scan *scan, size_t at,
                                                          bool may_span_lines)
{
    size_t braces[TEMPLATE_DEPTH_MAX] = {0}, depth = 0;
    bool in_template = false;
    uint8_t quote = 0;

    while (at < scan->size) {
        uint8_t byte = scan->data[at], next = at + 1 < scan->size ? scan->data[at + 1] : 0;

        scan->line |= LINE_CODE;
        if (byte == '\n') {
            if (!may_span_lines)
                return at;
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
    if (!text_is_first_on_line(self, from))
        return false;
    last = text_last_code(self, from);
    if (last != NOWHERE && strchr("=([{,+-*%&|^<>\\.", self->scan.data[last]) != NULL)
        return false;
    self->scan.line = LINE_BLANK; /* the prefix was taken for code */
    return true;
}

static size_t run_string(struct text *self, const struct token *token, size_t at, bool is_comment)
{
    struct scan *scan = &self->scan;
    const struct language_string *string = token->string;
    enum scan_paint paint = is_comment ? SCAN_COMMENT : SCAN_STRING;
    unsigned holds = paint & (LINE_CODE | LINE_COMMENT);

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
        behind = close_of(self, token, at);
        if (behind != NOWHERE && (string->rules & STRING_DOUBLED) &&
            byte_at(self, behind) == byte) {
            at = behind + 1;
            continue;
        }
        if (behind != NOWHERE)
            return behind;
        if (byte == '$' && (string->rules & STRING_TEMPLATE) && byte_at(self, at + 1) == '{')
            at = run_interpolation(scan, at + 2, (string->rules & STRING_LINES) != 0);
        else if ((string->rules & STRING_COMMAND) &&
                 (byte == '`' || (byte == '$' && byte_at(self, at + 1) == '(')))
            at = text_run_substitution(self, at);
        else
            at++;
    }
    return at;
}
/* ---- code --------------------------------------------------------------------------------------
 */

/* [from, to) was a comment, and somebody asked what stands in comments. */
static void note_sought(const struct text *self, size_t from, size_t to)
{
    counter_t *counter = self->counter;
    const uint8_t *data = self->scan.data;
    unsigned which;

    if (data + from >= counter->sought_end)
        return;
    if (data + to > counter->sought_end)
        to = (size_t)(counter->sought_end - data);
    if (words_find(counter->sought, data, from, to, self->scan.size, &which) < to)
        counter->is_found = true;
}

/* [from, to) was a comment. */
static void note_marks(struct text *self, size_t from, size_t to)
{
    const struct scan *scan = &self->scan;
    const struct words *marks = &self->counter->marks;
    unsigned which;

    while ((from = words_find(marks, scan->data, from, to, scan->size, &which)) < to) {
        if (!is_word(byte_before(self, from)) &&
            !is_word(byte_at(self, from + marks->sizes[which])))
            self->out->marks[which]++;
        from += marks->sizes[which];
    }
}

/* A token begins at `at`: run over it. */
static size_t run_token(struct text *self, const struct token *token, size_t at)
{
    size_t last = self->lexer->tracks_last ? text_last_code(self, at) : NOWHERE;
    size_t behind = at + token->open_size;
    bool is_comment = token->kind == TOKEN_LINE || token->kind == TOKEN_BLOCK;

    if (token->kind == TOKEN_EMBED)
        return text_run_embed(self, token, at);
    if (token->kind == TOKEN_STRING && (token->string->rules & STRING_DOC))
        is_comment = is_docstring(self, at);
    if (token->kind == TOKEN_LINE && (token->line->rules & LINE_COLUMN_7))
        self->scan.line = LINE_BLANK; /* what stands before it numbers the line */
    self->scan.line |= is_comment ? LINE_COMMENT : LINE_CODE;
    if (token->kind == TOKEN_LINE)
        behind = run_line(self, token, behind);
    else if (token->kind == TOKEN_BLOCK)
        behind = (token->block->rules & (BLOCK_COLUMN_1 | BLOCK_ALONE))
                     ? run_lines(self, token, at)
                     : run_block(self, token, behind);
    else if (token->string->rules & STRING_TEXT)
        behind = text_run_between(self, token, behind);
    else
        behind = run_string(self, token, behind, is_comment);
    self->last = token->kind == TOKEN_STRING ? behind - 1 : last;
    if (is_comment && self->counter->sought != NULL)
        note_sought(self, at, behind);
    else if (is_comment)
        note_marks(self, at, behind);
    return behind;
}

/* A line begins at `at`, and the language cares: here-documents, markers in the first column. */
static size_t run_line_start(struct text *self, size_t at)
{
    const struct lexer *lexer = self->lexer;

    if (self->heredocs_count > 0)
        return text_run_heredocs(self, at);
    for (unsigned i = lexer->tokens_count - lexer->columns_count; i < lexer->tokens_count; i++)
        if (at < self->scan.size && text_token_begins(self, &lexer->tokens[i], at))
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
        if (lexer->tracks_last)
            self->last = text_last_code(self, at);
        scan_end_line(&self->scan);
        return run_line_start(self, at + 1);
    }
    if (byte == '\\' && (lexer->language->rules & LANGUAGE_ESCAPES) && lexer->group[byte] == 0) {
        self->scan.line |= LINE_CODE;
        /* A newline is not hidden: whatever begins on the next line begins there. */
        return at + 1 < self->scan.size && self->scan.data[at + 1] != '\n' ? at + 2 : at + 1;
    }
    if (byte == '<' && lexer->heredoc != 0 && (behind = text_heredoc_begins(self, at)) != NOWHERE) {
        self->scan.line |= LINE_CODE;
        return behind;
    }
    if (lexer->group[byte] != 0)
        for (unsigned i = lexer->group[byte] - 1u;
             i < lexer->tokens_count - lexer->columns_count && lexer->tokens[i].first == byte; i++)
            if (text_token_begins(self, &lexer->tokens[i], at))
                return run_token(self, &lexer->tokens[i], at);
    self->scan.line |= LINE_CODE;
    self->last = at;
    return at + 1;
}

static void run(struct text *self, size_t at)
{
    struct scan *scan = &self->scan;

    if (self->lexer->language->rules & LANGUAGE_BEGINS_IN_TEXT)
        for (unsigned i = 0; i < self->lexer->tokens_count; i++)
            if (self->lexer->tokens[i].string == &self->lexer->language->strings[0])
                at = text_run_between(self, &self->lexer->tokens[i], at);
    at = run_line_start(self, at);
    while (at < scan->size) {
        const struct needles *set =
            self->heredocs_count > 0 ? &self->lexer->line : &self->lexer->code;

        self->code_from = at;
        at = scan_find(scan, at, set, SCAN_CODE);
        if (at < scan->size)
            at = run_mark(self, at);
    }
}
/* ---- parts in other languages -------------------------------------------------------------------
 */

const struct language *text_language_of(const struct text *self, struct ag_bytes word)
{
    struct heard *heard = self->counter->heard;
    size_t place = word.size;

    if (word.size == 0 || word.size > HEARD_BYTES_MAX)
        return language_of_word(self->counter->languages, word);
    for (size_t i = 0; i < word.size; i++)
        place = place * 31 + word.data[i];
    heard += place % HEARD_MAX;
    if (heard->size != word.size || memcmp(heard->word, word.data, word.size) != 0) {
        heard->language = language_of_word(self->counter->languages, word);
        heard->size = word.size;
        memcpy(heard->word, word.data, word.size);
    }
    return heard->language;
}

static const struct lexer *lexer_of(counter_t *self, const struct language *language)
{
    struct lexer **place = &self->lexers[languages_place(self->languages, language)];

    if (*place == NULL && (*place = malloc(sizeof **place)) != NULL)
        lexer_prepare(*place, language);
    return *place;
}

static struct counts *part_of(struct counted *self, const struct language *language)
{
    unsigned i = 0;

    while (i < self->parts_count && self->parts[i].language != language)
        i++;
    if (i == COUNT_PARTS_MAX)
        return NULL;
    if (i == self->parts_count)
        self->parts[self->parts_count++] = (struct count_part){.language = language};
    return &self->parts[i].counts;
}

/* Run over the whole text and add what it holds to `counts`. */
static void run_all(struct text *self, struct counts *counts)
{
    const uint64_t *lines = self->scan.lines;
    struct counts more;

    run(self, 0);
    /* A last line without a newline is one too, unless the part that it belongs to has it. */
    if (self->scan.size > self->part_end && self->scan.data[self->scan.size - 1] != '\n')
        scan_end_line(&self->scan);
    more = (struct counts){.code = lines[LINE_CODE] + lines[LINE_CODE | LINE_COMMENT],
                           .comments = lines[LINE_COMMENT],
                           .blanks = lines[LINE_BLANK],
                           .bytes = self->scan.size - self->parts_bytes};
    more.lines = more.code + more.comments + more.blanks;
    counts_add(counts, &more);
}

bool text_count_part(struct text *self, const struct language *language, size_t from, size_t to)
{
    struct text part = {
        .counter = self->counter, .out = self->out, .depth = self->depth + 1, .last = NOWHERE};
    struct counts *counts;

    if (language == NULL || part.depth > EMBED_DEPTH_MAX ||
        (counts = part_of(self->out, language)) == NULL)
        return false;
    part.lexer = lexer_of(self->counter, language);
    if (part.lexer == NULL) {
        self->counter->no_memory = true;
        return false;
    }
    scan_init(&part.scan, self->scan.data + from, to - from);
    run_all(&part, counts);
    self->parts_bytes += to - from;
    self->part_end = to;
    return true;
}

/* ---- the calls ----------------------------------------------------------------------------------
 */

counter_t *counter_new(const languages_t *languages)
{
    static const char *const marks[] = {
#define X(name, key) #name,
        COUNT_MARKS(X)
#undef X
    };
    struct counter *self = calloc(1, sizeof *self);

    if (self == NULL)
        return NULL;
    self->languages = languages;
    words_prepare(&self->marks, marks, MARK_COUNT);
    self->lexers = calloc(languages_count(languages), sizeof *self->lexers);
    if (self->lexers == NULL)
        counter_destroy(&self);
    return self;
}

void counter_destroy(counter_t **self_p)
{
    counter_t *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    for (size_t i = 0; self->lexers != NULL && i < languages_count(self->languages); i++)
        free(self->lexers[i]);
    free(self->lexers);
    free(self);
}

int count_parts(counter_t *self, const struct language *language, struct ag_bytes text,
                struct counted *out)
{
    struct text state = {.counter = self, .out = out, .last = NOWHERE};
    struct counts *counts;

    out->whole = (struct counts){0};
    out->parts_count = 0;
    memset(out->marks, 0, sizeof out->marks);
    counts = part_of(out, language);
    state.lexer = lexer_of(self, language);
    if (state.lexer == NULL)
        return ARGOSY_ENOMEM;
    self->no_memory = false;
    if (text.size >= BOM_BYTES && memcmp(text.data, "\xef\xbb\xbf", BOM_BYTES) == 0) {
        text = ag_bytes_of(text.data + BOM_BYTES, text.size - BOM_BYTES);
        counts->bytes = BOM_BYTES;
    }
    scan_init(&state.scan, text.data, text.size);
    if (text.size > 0)
        run_all(&state, counts);
    else if (counts->bytes > 0)
        counts->lines = counts->blanks = 1; /* nothing but the mark: bytes without a newline */
    for (unsigned i = 0; i < out->parts_count; i++)
        counts_add(&out->whole, &out->parts[i].counts);
    return self->no_memory ? ARGOSY_ENOMEM : 0;
}

int count_text(counter_t *self, const struct language *language, struct ag_bytes text,
               struct counts *out)
{
    struct counted counted;
    int rc = count_parts(self, language, text, &counted);

    *out = counted.whole;
    return rc;
}

int count_find_in_comments(counter_t *self, const struct language *language, struct ag_bytes text,
                           size_t limit, const struct words *words, bool *found)
{
    struct counted counted;
    int rc;

    self->sought = words;
    self->sought_end = text.data + (text.size < limit ? text.size : limit);
    self->is_found = false;
    rc = count_parts(self, language, text, &counted);
    self->sought = NULL;
    *found = self->is_found;
    return rc;
}
