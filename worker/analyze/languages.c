#include "worker/analyze/languages.h"

#include <stdlib.h>
#include <string.h>

enum { CONTENT_LOOKED_AT = 8192, NAME_MAX_BYTES = 255 };

/* What a row is found by. */
enum key_kind { KEY_FILE, KEY_EXTENSION, KEY_INTERPRETER, KEY_BINARY };

struct key {
    enum key_kind kind;
    const char *text; /* inside the table */
    size_t size;
    const struct language *language;
};

struct languages {
    struct key *keys; /* sorted */
    size_t count;
};

static int compare(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    size_t least = x->size < y->size ? x->size : y->size;
    int order;

    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    order = memcmp(x->text, y->text, least);
    if (order != 0)
        return order;
    return x->size < y->size ? -1 : x->size > y->size;
}

/* Calls for each word of a list separated by spaces; with keys == NULL it only counts. */
static size_t add_words(struct key *keys, enum key_kind kind, const char *words,
                        const struct language *language)
{
    size_t count = 0;

    while (words != NULL && *words != '\0') {
        size_t size = strcspn(words, " ");

        if (size > 0 && keys != NULL)
            keys[count] = (struct key){kind, words, size, language};
        count += size > 0;
        words += size + (words[size] == ' ');
    }
    return count;
}

static size_t add_all(struct key *keys)
{
    size_t count = 0;
#define NEXT (keys != NULL ? keys + count : NULL)

    for (size_t i = 0; i < language_table_count; i++) {
        const struct language *row = &language_table[i];

        count += add_words(NEXT, KEY_FILE, row->files, row);
        count += add_words(NEXT, KEY_EXTENSION, row->extensions, row);
        count += add_words(NEXT, KEY_INTERPRETER, row->interpreters, row);
    }
    count += add_words(NEXT, KEY_BINARY, language_binary_extensions, NULL);
#undef NEXT
    return count;
}

languages_t *languages_new(void)
{
    languages_t *self = calloc(1, sizeof *self);

    if (self == NULL || (self->keys = calloc(add_all(NULL), sizeof *self->keys)) == NULL) {
        free(self);
        return NULL;
    }
    self->count = add_all(self->keys);
    qsort(self->keys, self->count, sizeof *self->keys, compare);
    return self;
}

void languages_destroy(languages_t **self_p)
{
    if (*self_p != NULL)
        free((*self_p)->keys);
    free(*self_p);
    *self_p = NULL;
}

static const struct key *look_up(const languages_t *self, enum key_kind kind, const char *text,
                                 size_t size)
{
    struct key wanted = {kind, text, size, NULL};

    return bsearch(&wanted, self->keys, self->count, sizeof *self->keys, compare);
}

/* As it is written, then in lower case. */
static const struct key *look_up_name(const languages_t *self, enum key_kind kind, const char *text)
{
    const struct key *key = look_up(self, kind, text, strlen(text));
    char lower[NAME_MAX_BYTES + 1];
    size_t size = strlen(text);

    if (key != NULL || size > NAME_MAX_BYTES)
        return key;
    for (size_t i = 0; i <= size; i++)
        lower[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + 'a' - 'A' : text[i]);
    return look_up(self, kind, lower, size);
}

static const char *extension_of(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot != NULL && dot != name ? dot + 1 : NULL;
}

static bool has_hints(const char *extension)
{
    for (size_t i = 0; extension != NULL && i < language_hints_count; i++)
        if (strcmp(language_hints[i].extension, extension) == 0)
            return true;
    return false;
}

enum language_verdict language_of_name(const languages_t *self, const char *name,
                                       const struct language **out)
{
    const struct key *key = look_up_name(self, KEY_FILE, name);
    const char *extension = strchr(name + (name[0] == '.'), '.');

    *out = NULL;
    for (; key == NULL && extension != NULL; extension = strchr(extension, '.'))
        key = look_up_name(self, KEY_EXTENSION, ++extension);
    if (key != NULL) {
        *out = key->language;
        return has_hints(extension_of(name)) ? LANGUAGE_ASK_CONTENT : LANGUAGE_KNOWN;
    }
    extension = extension_of(name);
    if (extension == NULL)
        return LANGUAGE_ASK_CONTENT; /* a script may say what runs it */
    return look_up_name(self, KEY_BINARY, extension) != NULL ? LANGUAGE_BINARY : LANGUAGE_UNKNOWN;
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    return at;
}

static const char *word_end(const char *at, const char *end)
{
    while (at < end && *at != ' ' && *at != '\t' && *at != '\r')
        at++;
    return at;
}

/* "#!/usr/bin/env -S NAME=value python3.11 -u" is python. */
static const struct language *language_of_script(const languages_t *self, struct ag_bytes content)
{
    const char *at = (const char *)content.data, *line_end;
    const struct key *key;

    if (content.size < 3 || memcmp(at, "#!", 2) != 0)
        return NULL;
    line_end = memchr(at, '\n', content.size);
    if (line_end == NULL)
        line_end = at + content.size;
    for (at = skip_blanks(at + 2, line_end); at < line_end; at = skip_blanks(at, line_end)) {
        const char *end = word_end(at, line_end);
        const char *slash = memrchr(at, '/', (size_t)(end - at));
        const char *name = slash != NULL ? slash + 1 : at;
        size_t size = (size_t)(end - name);

        at = end;
        if (size == 0 || name[0] == '-' || memchr(name, '=', size) != NULL ||
            (size == 3 && memcmp(name, "env", 3) == 0))
            continue;
        key = look_up(self, KEY_INTERPRETER, name, size);
        while (key == NULL && size > 1 && strchr("0123456789.-", name[size - 1]) != NULL)
            key = look_up(self, KEY_INTERPRETER, name, --size);
        return key != NULL ? key->language : NULL;
    }
    return NULL;
}

static bool begins_a_line(struct ag_bytes content, const char *text)
{
    const char *at = (const char *)content.data;
    const char *end = at + (content.size < CONTENT_LOOKED_AT ? content.size : CONTENT_LOOKED_AT);
    size_t size = strlen(text);

    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));

        at = skip_blanks(at, end);
        if ((size_t)(end - at) >= size && memcmp(at, text, size) == 0)
            return true;
        if (line_end == NULL)
            return false;
        at = line_end + 1;
    }
    return false;
}

const struct language *language_of_content(const languages_t *self, const char *name,
                                           const struct language *by_name, struct ag_bytes content)
{
    const char *extension = extension_of(name);

    if (by_name == NULL)
        return language_of_script(self, content);
    for (size_t i = 0; extension != NULL && i < language_hints_count; i++)
        if (strcmp(language_hints[i].extension, extension) == 0 &&
            begins_a_line(content, language_hints[i].text))
            return language_find(language_hints[i].language);
    return by_name;
}

const struct language *language_find(const char *name)
{
    for (size_t i = 0; i < language_table_count; i++)
        if (strcmp(language_table[i].name, name) == 0)
            return &language_table[i];
    return NULL;
}
