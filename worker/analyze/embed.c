/* Parts of a text in another language. Only whole lines are such a part: what stands on the line of
 * a tag or fence belongs to the language around it. */
#include <strings.h>

#include "worker/analyze/text.h"

/* A longer tag is none, so that hostile files stay linear. */
enum { TAG_BYTES_MAX = 4096 };

/* ---- tags: script, style, template -------------------------------------------------------------
 */

/* The '>' that ends a tag whose attributes begin at `at`, or NOWHERE. */
static size_t tag_end(const struct text *self, size_t at)
{
    size_t last = at + TAG_BYTES_MAX < self->scan.size ? at + TAG_BYTES_MAX : self->scan.size;
    uint8_t quote = 0;

    for (; at < last; at++) {
        uint8_t byte = self->scan.data[at];

        if (quote != 0)
            quote = byte == quote ? 0 : quote;
        else if (byte == '"' || byte == '\'')
            quote = byte;
        else if (byte == '>')
            return at;
    }
    return NOWHERE;
}

/* The value of an attribute between `at` and `end`; NULL data when it is not there. */
static struct ag_bytes attribute(const struct text *self, size_t at, size_t end, const char *name)
{
    const uint8_t *data = self->scan.data;
    size_t size = strlen(name);

    for (; at + size < end; at++) {
        size_t from = at + size, to;

        if (strncasecmp((const char *)data + at, name, size) != 0 || !scan_is_white(data[at - 1]) ||
            data[from] != '=')
            continue;
        from++;
        if (from < end && (data[from] == '"' || data[from] == '\'')) {
            for (to = from + 1; to < end && data[to] != data[from];)
                to++;
            from++;
        } else {
            for (to = from; to < end && !scan_is_white(data[to]);)
                to++;
        }
        return ag_bytes_of(data + from, to > from ? to - from : 0);
    }
    return (struct ag_bytes){0};
}

/* Of "text/x-scss; charset=utf-8" the "scss", of "application/ld+json" the "json". */
static struct ag_bytes subtype(struct ag_bytes type)
{
    size_t from = 0, to = 0;

    while (to < type.size && type.data[to] != ';')
        to++;
    for (size_t i = 0; i < to; i++)
        if (type.data[i] == '/' || type.data[i] == '+')
            from = i + 1;
    if (to - from > 2 && strncasecmp((const char *)type.data + from, "x-", 2) == 0)
        from += 2;
    return ag_bytes_of(type.data + from, to - from);
}

static const struct language *
tag_language(const struct text *self, const struct language_embed *embed, size_t at, size_t end)
{
    struct ag_bytes lang = attribute(self, at, end, "lang");
    struct ag_bytes type = attribute(self, at, end, "type");

    if (lang.size > 0)
        return text_language_of(self, lang);
    if (type.size > 0)
        return text_language_of(self, subtype(type));
    return self->lexer->embedded[embed - self->lexer->language->embeds];
}

static bool is_tag(const struct text *self, size_t at, const char *name, size_t size)
{
    uint8_t after = byte_at(self, at + size);

    return self->scan.size - at >= size &&
           strncasecmp((const char *)self->scan.data + at, name, size) == 0 &&
           (after == '>' || after == '/' || after == '\0' || scan_is_white(after));
}

/* Where the tag that closes `embed` begins, or the text's end. */
static size_t find_close(const struct text *self, const struct language_embed *embed, size_t at)
{
    const char *name = embed->open + 1;
    size_t size = strlen(name), depth = 1;

    while (at < self->scan.size) {
        const uint8_t *found = memchr(self->scan.data + at, '<', self->scan.size - at);

        if (found == NULL)
            break;
        at = (size_t)(found - self->scan.data) + 1;
        if (byte_at(self, at) == '/' && is_tag(self, at + 1, name, size)) {
            if (--depth == 0)
                return at - 1;
        } else if ((embed->rules & EMBED_NESTS) && is_tag(self, at, name, size)) {
            size_t end = tag_end(self, at + size);

            depth += end != NOWHERE && self->scan.data[end - 1] != '/';
        }
    }
    return self->scan.size;
}

/* The beginning of the line that holds `at`, but not before `least`. */
static size_t line_begin(const struct text *self, size_t at, size_t least)
{
    const uint8_t *found = at > least ? memrchr(self->scan.data + least, '\n', at - least) : NULL;

    return found != NULL ? (size_t)(found - self->scan.data) + 1 : least;
}

static size_t line_behind(const struct text *self, size_t at)
{
    size_t end = scan_line_end(&self->scan, at);

    return end < self->scan.size ? end + 1 : end;
}

static size_t run_tag(struct text *self, const struct language_embed *embed, size_t at)
{
    struct scan *scan = &self->scan;
    size_t attributes = at + strlen(embed->open), end = tag_end(self, attributes);
    size_t close, from, to;

    if (end == NOWHERE || scan->data[end - 1] == '/') {
        close = end == NOWHERE ? attributes : end + 1;
        scan_pass(scan, at, close, SCAN_CODE);
        return close;
    }
    close = find_close(self, embed, end + 1);
    from = line_behind(self, end);
    to = close == scan->size ? close : line_begin(self, close, end);
    if (from >= to || !text_count_part(self, tag_language(self, embed, attributes, end), from, to))
        from = to = close;
    scan_pass(scan, at, from, SCAN_CODE);
    return to;
}

/* ---- fences ------------------------------------------------------------------------------------
 */

static size_t repeated(const struct text *self, size_t at)
{
    size_t end = at;

    while (end < self->scan.size && self->scan.data[end] == self->scan.data[at])
        end++;
    return end - at;
}

/* ```rust,ignore and ```{.python .numbers} and ```{r} */
static struct ag_bytes fence_word(const struct text *self, size_t at)
{
    size_t end = scan_line_end(&self->scan, at), from = at;

    while (from < end && strchr(" \t{.", self->scan.data[from]) != NULL)
        from++;
    for (at = from; at < end && strchr(" \t\r{},:;", self->scan.data[at]) == NULL;)
        at++;
    return ag_bytes_of(self->scan.data + from, at - from);
}

/* The beginning of the line that closes a fence of `count` bytes like `mark`, or the text's end. */
static size_t fence_close(const struct text *self, size_t at, uint8_t mark, size_t count)
{
    for (; at < self->scan.size; at = line_behind(self, at)) {
        size_t from = at, behind;

        while (byte_at(self, from) == ' ' || byte_at(self, from) == '\t')
            from++;
        if (byte_at(self, from) != mark || repeated(self, from) < count)
            continue;
        behind = from + repeated(self, from);
        while (behind < self->scan.size && self->scan.data[behind] != '\n' &&
               scan_is_white(self->scan.data[behind]))
            behind++;
        if (behind == self->scan.size || self->scan.data[behind] == '\n')
            return at;
    }
    return self->scan.size;
}

static size_t run_fence(struct text *self, size_t at)
{
    struct scan *scan = &self->scan;
    size_t count = repeated(self, at), from = line_behind(self, at);
    size_t to = fence_close(self, from, scan->data[at], count);
    size_t end = to < scan->size ? scan_line_end(scan, to) : to;
    const struct language *language = text_language_of(self, fence_word(self, at + count));

    if (from >= to || !text_count_part(self, language, from, to))
        from = to;
    scan_pass(scan, at, from, SCAN_CODE);
    scan_pass(scan, to, end, SCAN_CODE);
    return end;
}

/* ---- both, and PHP -----------------------------------------------------------------------------
 */

size_t text_run_embed(struct text *self, const struct token *token, size_t at)
{
    self->last = NOWHERE;
    return (token->embed->rules & EMBED_TAG) ? run_tag(self, token->embed, at)
                                             : run_fence(self, at);
}

/* The next "<?" that begins code; "<?xml" belongs to the text. */
static size_t find_code(const struct text *self, const struct token *token, size_t at)
{
    const struct scan *scan = &self->scan;

    while (at < scan->size) {
        const uint8_t *found =
            memmem(scan->data + at, scan->size - at, token->close, token->close_size);

        if (found == NULL)
            break;
        at = (size_t)(found - scan->data);
        if (!scan_has(scan, at + token->close_size, "xml", 3))
            return at;
        at += token->close_size;
    }
    return scan->size;
}

size_t text_run_between(struct text *self, const struct token *token, size_t at)
{
    struct scan *scan = &self->scan;
    size_t open = find_code(self, token, at);
    bool is_line = at == 0 || scan->data[at - 1] == '\n';
    size_t from = is_line ? at : line_behind(self, at);
    size_t to = open == scan->size ? open : line_begin(self, open, at);

    if (from >= to || !text_count_part(self, self->lexer->embedded[0], from, to))
        from = to = open;
    scan_pass(scan, at, from, SCAN_CODE);
    scan_pass(scan, to, open, SCAN_CODE);
    if (open == scan->size)
        return open;
    scan->line |= LINE_CODE;
    return open + token->close_size;
}
