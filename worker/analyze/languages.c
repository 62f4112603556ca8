#include "worker/analyze/languages.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/assert.h"
#include "worker/analyze/modeline.h"

enum { CONTENT_LOOKED_AT = 8192, EXEC_LINES_LOOKED_AT = 8, NAME_MAX_BYTES = 255 };

/* What a row is found by. */
enum key_kind { KEY_FILE, KEY_EXTENSION, KEY_INTERPRETER, KEY_BINARY, KEY_HINTS };

struct key {
    enum key_kind kind;
    const char *text; /* inside the table */
    size_t size;
    const struct language *language;
    const struct language_hint *hints; /* of KEY_HINTS: the extension's first */
};

struct languages {
    struct key *keys; /* each once */
    size_t count;
    uint32_t *slots; /* open addressing: 1 + a key's place, 0: free */
    size_t slots_count;
    struct language_rows more;
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
            keys[count] =
                (struct key){.kind = kind, .text = words, .size = size, .language = language};
        count += size > 0;
        words += size + (words[size] == ' ');
    }
    return count;
}

static bool is_of_table(const struct language *row)
{
    return row >= language_table && row < language_table + language_table_count;
}

/* Of two keys that are the same the table's comes behind. */
static int compare_for_order(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    int order = compare(a, b);

    return order != 0 ? order : is_of_table(x->language) - is_of_table(y->language);
}

static size_t add_all(const languages_t *self, struct key *keys)
{
    size_t count = 0;
#define NEXT (keys != NULL ? keys + count : NULL)

    for (size_t i = 0; i < languages_count(self); i++) {
        const struct language *row = languages_at(self, i);

        count += add_words(NEXT, KEY_FILE, row->files, row);
        count += add_words(NEXT, KEY_EXTENSION, row->extensions, row);
        count += add_words(NEXT, KEY_INTERPRETER, row->interpreters, row);
    }
    count += add_words(NEXT, KEY_BINARY, language_binary_extensions, NULL);
#undef NEXT
    for (size_t i = 0; i < language_hints_count; i++) {
        const char *extension = language_hints[i].extension;

        if (i > 0 && strcmp(language_hints[i - 1].extension, extension) == 0)
            continue; /* an extension's hints stand together */
        if (keys != NULL)
            keys[count] = (struct key){.kind = KEY_HINTS,
                                       .text = extension,
                                       .size = strlen(extension),
                                       .hints = &language_hints[i]};
        count++;
    }
    return count;
}

/* The slot of the key with this text, or the free one where it belongs. */
static uint32_t *slot_of(const languages_t *self, enum key_kind kind, const char *text, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) + kind;
    size_t at;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
    for (at = (hash ^ hash >> 32) & (self->slots_count - 1); self->slots[at] != 0;
         at = (at + 1) & (self->slots_count - 1)) {
        const struct key *key = &self->keys[self->slots[at] - 1];

        if (key->kind == kind && key->size == size && memcmp(key->text, text, size) == 0)
            break;
    }
    return &self->slots[at];
}

static bool fill_slots(languages_t *self)
{
    self->slots_count = 1;
    while (self->slots_count < self->count * 4) /* most names are not there: few are looked at */
        self->slots_count *= 2;
    self->slots = calloc(self->slots_count, sizeof *self->slots);
    for (size_t i = 0; self->slots != NULL && i < self->count; i++)
        *slot_of(self, self->keys[i].kind, self->keys[i].text, self->keys[i].size) =
            (uint32_t)i + 1;
    return self->slots != NULL;
}

languages_t *languages_new(const struct language_rows *more)
{
    languages_t *self = calloc(1, sizeof *self);
    size_t kept = 0;

    if (self != NULL && more != NULL)
        self->more = *more;
    if (self == NULL || (self->keys = calloc(add_all(self, NULL), sizeof *self->keys)) == NULL) {
        languages_destroy(&self);
        return NULL;
    }
    self->count = add_all(self, self->keys);
    qsort(self->keys, self->count, sizeof *self->keys, compare_for_order);
    for (size_t i = 1; i < self->count; i++)
        if (compare(&self->keys[kept], &self->keys[i]) != 0)
            self->keys[++kept] = self->keys[i];
    self->count = kept + 1;
    if (!fill_slots(self))
        languages_destroy(&self);
    return self;
}

size_t languages_count(const languages_t *self)
{
    return language_table_count + self->more.count;
}

size_t languages_place(const languages_t *self, const struct language *language)
{
    size_t place = is_of_table(language)
                       ? (size_t)(language - language_table)
                       : language_table_count + (size_t)(language - self->more.rows);

    AG_ASSERT(place < languages_count(self));
    return place;
}

const struct language *languages_at(const languages_t *self, size_t place)
{
    return place < language_table_count ? &language_table[place]
                                        : &self->more.rows[place - language_table_count];
}

void languages_destroy(languages_t **self_p)
{
    if (*self_p != NULL) {
        free((*self_p)->keys);
        free((*self_p)->slots);
    }
    free(*self_p);
    *self_p = NULL;
}

static const struct key *look_up(const languages_t *self, enum key_kind kind, const char *text,
                                 size_t size)
{
    uint32_t slot = *slot_of(self, kind, text, size);

    return slot != 0 ? &self->keys[slot - 1] : NULL;
}

/* As it is written, then in lower case. */
static const struct key *look_up_name(const languages_t *self, enum key_kind kind, const char *text)
{
    size_t size = strlen(text);
    const struct key *key = look_up(self, kind, text, size);
    char lower[NAME_MAX_BYTES];
    bool differs = false;

    if (key != NULL || size > NAME_MAX_BYTES)
        return key;
    for (size_t i = 0; i < size; i++) {
        bool is_upper = text[i] >= 'A' && text[i] <= 'Z';

        lower[i] = (char)(is_upper ? text[i] + 'a' - 'A' : text[i]);
        differs |= is_upper;
    }
    return differs ? look_up(self, kind, lower, size) : NULL;
}

static const char *extension_of(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot != NULL && dot != name ? dot + 1 : NULL;
}

static bool has_hints(const languages_t *self, const char *extension)
{
    return extension != NULL && look_up(self, KEY_HINTS, extension, strlen(extension)) != NULL;
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
        return has_hints(self, extension_of(name)) ? LANGUAGE_ASK_CONTENT : LANGUAGE_KNOWN;
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

/* Of "/usr/bin/env -S NAME=value python3.11 -u" the row of python; NULL for an unknown one. */
static const struct language *language_of_command(const languages_t *self, const char *at,
                                                  const char *line_end)
{
    for (at = skip_blanks(at, line_end); at < line_end; at = skip_blanks(at, line_end)) {
        const char *end = word_end(at, line_end);
        const char *slash = memrchr(at, '/', (size_t)(end - at));
        const char *name = slash != NULL ? slash + 1 : at;
        size_t size = (size_t)(end - name);
        const struct key *key;

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

static const char *line_end_of(const char *at, const char *end)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));

    return newline != NULL ? newline : end;
}

/* A script that the shell only starts: near its top stands exec wish "$0" "$@". */
static const struct language *language_of_exec(const languages_t *self, const char *at,
                                               const char *end)
{
    for (int i = 0; i < EXEC_LINES_LOOKED_AT && at < end; i++) {
        const char *line_end = line_end_of(at, end);

        at = skip_blanks(at, line_end);
        if (line_end - at > 5 && memcmp(at, "exec ", 5) == 0 &&
            memmem(at, (size_t)(line_end - at), "$0", 2) != NULL)
            return language_of_command(self, at + 5, line_end);
        at = line_end + (line_end < end);
    }
    return NULL;
}

/* What a #! line tells. */
static const struct language *language_of_script(const languages_t *self, struct ag_bytes content)
{
    const char *at = (const char *)content.data, *end = at + content.size, *line_end;
    const struct language *found, *other = NULL;

    if (content.size < 3 || memcmp(at, "#!", 2) != 0)
        return NULL;
    line_end = line_end_of(at, end);
    found = language_of_command(self, at + 2, line_end);
    if (found != NULL && found == language_find("Shell") && line_end < end)
        other = language_of_exec(self, line_end + 1, end);
    return other != NULL ? other : found;
}

/* The first of the extension's hints, in the order of the table, that begins a line near the top.
 */
static const struct language *language_of_hints(const languages_t *self, const char *extension,
                                                struct ag_bytes content)
{
    const struct key *key = look_up(self, KEY_HINTS, extension, strlen(extension));
    const char *at = (const char *)content.data;
    const char *end = at + (content.size < CONTENT_LOOKED_AT ? content.size : CONTENT_LOOKED_AT);
    const struct language_hint *first = key != NULL ? key->hints : NULL, *last = first, *best;
    bool begins[UINT8_MAX + 1] = {false}; /* with most lines there is no more to do */

    for (; last != NULL && last < language_hints + language_hints_count &&
           strcmp(last->extension, extension) == 0;
         last++)
        begins[(uint8_t)last->text[0]] = true;
    for (best = last; at < end && best > first;) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));

        at = skip_blanks(at, end);
        for (const struct language_hint *hint = first;
             at < end && begins[(uint8_t)*at] && hint < best; hint++) {
            const char *text = hint->text;

            if (text[0] == *at && (size_t)(end - at) >= strlen(text) &&
                memcmp(at, text, strlen(text)) == 0)
                best = hint;
        }
        at = line_end != NULL ? line_end + 1 : end;
    }
    return best < last ? language_find(best->language) : NULL;
}

/* An editor's mode says what language, the name says that it is a header. */
static const struct language *header_of(const struct language *told, const struct language *by_name)
{
    const struct language *c, *cpp;

    if (told == NULL)
        return NULL;
    c = language_find("C Header");
    cpp = language_find("C++ Header");
    if (by_name != c && by_name != cpp)
        return told;
    return strcmp(told->name, "C") == 0 ? c : strcmp(told->name, "C++") == 0 ? cpp : told;
}

const struct language *language_of_content(const languages_t *self, const char *name,
                                           const struct language *by_name, struct ag_bytes content)
{
    const char *extension = extension_of(name);
    const struct language *found = language_of_script(self, content), *told;

    if (found == NULL || found == language_find("Shell")) {
        /* Also where the shell is asked: it may only be what starts another. */
        told = header_of(language_of_word(self, modeline_find(content)), by_name);
        found = told != NULL ? told : found;
    }
    if (found == NULL)
        found = language_of_hints(self, extension != NULL ? extension : "", content);
    return found != NULL ? found : by_name;
}

static bool has_word(const char *words, struct ag_bytes word)
{
    while (words != NULL && *words != '\0') {
        size_t size = strcspn(words, " ");

        if (size == word.size && strncasecmp(words, (const char *)word.data, size) == 0)
            return true;
        words += size + (words[size] == ' ');
    }
    return false;
}

const struct language *language_of_word(const languages_t *self, struct ag_bytes word)
{
    const struct language *found = NULL;

    if (word.size == 0 || word.size > NAME_MAX_BYTES)
        return NULL;
    for (size_t i = 0; i < languages_count(self); i++) {
        const struct language *row = languages_at(self, i);

        if ((strlen(row->name) == word.size &&
             strncasecmp(row->name, (const char *)word.data, word.size) == 0) ||
            has_word(row->aliases, word))
            return row;
    }
    for (size_t i = 0; i < languages_count(self) && found == NULL; i++) {
        const struct language *row = languages_at(self, i);

        if (has_word(row->extensions, word) || has_word(row->interpreters, word))
            found = row;
    }
    return found;
}

const struct language *language_find(const char *name)
{
    for (size_t i = 0; i < language_table_count; i++)
        if (strcmp(language_table[i].name, name) == 0)
            return &language_table[i];
    return NULL;
}
