#include "worker/analyze/lexer.h"

#include <ctype.h>
#include <stdlib.h>

#include "common/assert.h"

static void add_needle(struct needles *self, unsigned max, uint8_t byte)
{
    for (unsigned i = 0; i < self->count; i++)
        if (self->spread[i][0] == byte)
            return;
    AG_ASSERT(self->count < max);
    memset(self->spread[self->count++], byte, VECTOR_BYTES);
}

static void add_inside(struct token *token, const char *text)
{
    if (text != NULL)
        add_needle(&token->inside, NEEDLES_INSIDE_MAX, (uint8_t)text[0]);
}

static struct token *add_token(struct lexer *self, enum token_kind kind, const char *open,
                               const char *close)
{
    struct token *token = &self->tokens[self->tokens_count++];

    AG_ASSERT(self->tokens_count <= TOKENS_MAX);
    *token = (struct token){.kind = kind,
                            .open = open,
                            .close = close,
                            .open_size = strlen(open),
                            .close_size = close ? strlen(close) : 0,
                            .first = (uint8_t)open[0]};
    return token;
}

static void add_line(struct lexer *self, const struct language_line *line)
{
    struct token *token = add_token(self, TOKEN_LINE, line->open, NULL);

    token->line = line;
    if ((line->rules & LINE_NOCASE) && isupper(token->first)) {
        token = add_token(self, TOKEN_LINE, line->open, NULL);
        token->line = line;
        token->first = (uint8_t)tolower(token->first);
    }
}

/* What to look for while inside. Done when the tokens have found their places, because `inside`
 * points into its own token. */
static void prepare_inside(struct token *token)
{
    token->inside = (struct needles){.spread = token->room};
    switch (token->kind) {
    case TOKEN_LINE:
        add_inside(token, "\n");
        add_inside(token, token->line->until);
        break;
    case TOKEN_BLOCK:
        if (token->block->rules & (BLOCK_COLUMN_1 | BLOCK_ALONE)) {
            add_inside(token, "\n");
            break;
        }
        add_inside(token, token->close);
        if (token->block->rules & BLOCK_NESTED)
            add_inside(token, token->open);
        if (token->block->rules & BLOCK_STRINGS)
            add_inside(token, "\"");
        break;
    case TOKEN_EMBED:
        break;
    case TOKEN_STRING:
        add_inside(token, (token->string->rules & STRING_CPP_RAW) ? ")" : token->close);
        if (token->string->escape != 0)
            add_inside(token, &token->string->escape);
        if (!(token->string->rules & STRING_LINES))
            add_inside(token, "\n");
        if (token->string->rules & (STRING_TEMPLATE | STRING_COMMAND))
            add_inside(token, "$");
        if (token->string->rules & STRING_COMMAND)
            add_inside(token, "`");
        break;
    }
}

static bool is_in_column_1(const struct token *token)
{
    return (token->line && (token->line->rules & LINE_COLUMN_1)) ||
           (token->block && (token->block->rules & BLOCK_COLUMN_1));
}

/* The order in which tokens are tried: by first byte, longer ones first; among equals a block that
 * continues a line comment's marker (Lua), then what asks for a prefix. */
static int compare(const void *left, const void *right)
{
    const struct token *a = left, *b = right;
    int a_prefix = a->string && a->string->prefix, b_prefix = b->string && b->string->prefix;
    int a_column = is_in_column_1(a), b_column = is_in_column_1(b);

    if (a_column != b_column)
        return a_column - b_column;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    if (a->open_size != b->open_size)
        return a->open_size > b->open_size ? -1 : 1;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return b_prefix - a_prefix;
}

static char heredoc_of(const struct language *language)
{
    return (language->rules & LANGUAGE_HEREDOC_SHELL)  ? 's'
           : (language->rules & LANGUAGE_HEREDOC_RUBY) ? 'r'
           : (language->rules & LANGUAGE_HEREDOC_PHP)  ? 'p'
                                                       : 0;
}

void lexer_prepare(struct lexer *self, const struct language *language)
{
    *self = (struct lexer){.language = language, .heredoc = heredoc_of(language)};
    self->code.spread = self->room;
    for (unsigned i = 0; i < LANGUAGE_LINES_MAX && language->lines[i].open != NULL; i++)
        add_line(self, &language->lines[i]);
    for (unsigned i = 0; i < LANGUAGE_BLOCKS_MAX && language->blocks[i].open != NULL; i++) {
        const struct language_block *block = &language->blocks[i];

        add_token(self, TOKEN_BLOCK, block->open, block->close)->block = block;
    }
    for (unsigned i = 0; i < LANGUAGE_STRINGS_MAX && language->strings[i].open != NULL; i++) {
        const struct language_string *string = &language->strings[i];

        add_token(self, TOKEN_STRING, string->open, string->close)->string = string;
        self->tracks_last |= (string->rules & (STRING_DOC | STRING_REGEX)) != 0;
    }
    for (unsigned i = 0; i < LANGUAGE_EMBEDS_MAX && language->embeds[i].open != NULL; i++) {
        const struct language_embed *embed = &language->embeds[i];

        if (embed->rules & (EMBED_TAG | EMBED_FENCE))
            add_token(self, TOKEN_EMBED, embed->open, NULL)->embed = embed;
    }
    qsort(self->tokens, self->tokens_count, sizeof self->tokens[0], compare);

    for (unsigned i = 0; i < self->tokens_count; i++) {
        struct token *token = &self->tokens[i];

        prepare_inside(token);
        if (is_in_column_1(token)) {
            self->columns_count++;
            continue;
        }
        add_needle(&self->code, NEEDLES_MAX, token->first);
        if (self->group[token->first] == 0)
            self->group[token->first] = (uint8_t)(i + 1);
    }
    self->stops_at_newline = self->columns_count > 0 || self->heredoc != 0;
    if (self->stops_at_newline)
        add_needle(&self->code, NEEDLES_MAX, '\n');
    if (self->heredoc != 0)
        add_needle(&self->code, NEEDLES_MAX, '<');
    if (language->rules & LANGUAGE_ESCAPES)
        add_needle(&self->code, NEEDLES_MAX, '\\');
}
