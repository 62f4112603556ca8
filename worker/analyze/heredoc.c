#include "worker/analyze/text.h"

/* Words behind << that ended nowhere before we stop looking, so that hostile files stay linear. */
enum { HEREDOC_TRIES_MAX = 64 };

/* The shell takes any word; these bytes are what people take (<<!, <<-%%, <<'END OF IT'). */
static bool is_of_heredoc_word(uint8_t byte, char rule, uint8_t quote)
{
    if (is_word(byte))
        return true;
    if (byte == '\0' || byte == '\n')
        return false;
    return quote != 0 ? byte != quote : rule == 's' && strchr("-!%+.,:@^~", byte) != NULL;
}

size_t text_heredoc_begins(struct text *self, size_t at)
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
    while (is_of_heredoc_word(byte_at(self, at), rule, quote))
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

size_t text_run_heredocs(struct text *self, size_t at)
{
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
