#include "worker/analyze/lexer.h"

#include <ctype.h>
#include <stdlib.h>

#include "common/assert.h"

/* What a byte with these low bits is not: its high bit is set, as it is in no ASCII. */
enum { NEVER_FOUND = 0x80 };

void needles_add(struct needles *self, unsigned max, uint8_t byte)
{
    uint8_t *place = &self->table[byte % VECTOR_BYTES];

    for (unsigned i = 0; i < self->count; i++)
        if (self->spread[i][0] == byte)
            return;
    AG_ASSERT(self->count < max);
    if (self->count == 0) {
        self->has_table = true;
        memset(self->table, NEVER_FOUND, sizeof self->table);
    }
    self->has_table &= byte < NEVER_FOUND && *place == NEVER_FOUND;
    *place = byte;
    memset(self->spread[self->count++], byte, VECTOR_BYTES);
}

void needles_qualify(struct needles *self, uint8_t second)
{
    self->has_second = true;
    memset(self->second, second, sizeof self->second);
}

static void add_inside(struct token *token, const char *text)
{
    if (text != NULL)
        needles_add(&token->inside, NEEDLES_INSIDE_MAX, (uint8_t)text[0]);
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
        if (token->block->rules == 0 && token->close_size > 1) /* stars are many in comments */
            needles_qualify(&token->inside, (uint8_t)token->close[1]);
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

/* Some tokens begin only where a line does: at newlines, as a rule at few of them. They stand last.
 */
static void look_for_columns(struct lexer *self)
{
    uint8_t first = self->tokens_count > 0 ? self->tokens[self->tokens_count - 1].first : 0;
    bool is_one = true;

    for (unsigned i = 0; i < self->tokens_count; i++)
        if (is_in_column_1(&self->tokens[i])) {
            self->columns_count++;
            is_one &= self->tokens[i].first == first;
        }
    if (self->columns_count == 0)
        return;
    needles_add(&self->code, NEEDLES_MAX, '\n');
    if (is_one)
        needles_qualify(&self->code, first);
}

void lexer_prepare(struct lexer *self, const struct language *language)
{
    *self = (struct lexer){.language = language, .heredoc = heredoc_of(language)};
    self->code.spread = self->room[0];
    self->line.spread = self->room[1];
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

        self->embedded[i] = embed->language != NULL ? language_find(embed->language) : NULL;
        if (embed->rules & (EMBED_TAG | EMBED_FENCE))
            add_token(self, TOKEN_EMBED, embed->open, NULL)->embed = embed;
    }
    qsort(self->tokens, self->tokens_count, sizeof self->tokens[0], compare);
    look_for_columns(self);

    for (unsigned i = 0; i < self->tokens_count; i++) {
        struct token *token = &self->tokens[i];

        prepare_inside(token);
        if (is_in_column_1(token))
            continue;
        needles_add(&self->code, NEEDLES_MAX, token->first);
        if (self->group[token->first] == 0)
            self->group[token->first] = (uint8_t)(i + 1);
    }
    if (self->heredoc != 0)
        needles_add(&self->code, NEEDLES_MAX, '<');
    if (language->rules & LANGUAGE_ESCAPES)
        needles_add(&self->code, NEEDLES_MAX, '\\');
    for (unsigned i = 0; i < self->code.count; i++)
        needles_add(&self->line, NEEDLES_MAX, self->code.spread[i][0]);
    needles_add(&self->line, NEEDLES_MAX, '\n');
}
