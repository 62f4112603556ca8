#include "worker/analyze/language_file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/bytes.h"
#include "common/config.h"
#include "common/error.h"
#include "common/zpl/zpl.h"

enum { WORDS_OF_STRING_MAX = 4, TEXTS_STEP = 64 };

struct language_file {
    struct language rows[LANGUAGE_FILE_ROWS_MAX];
    char *sections[LANGUAGE_FILE_ROWS_MAX]; /* what names a row until its name is known */
    unsigned lines[LANGUAGE_FILE_ROWS_MAX]; /* where each begins */
    size_t count;
    char **texts; /* all that rows point to */
    size_t texts_count;
};

static int wrong(const struct ag_config_entry *entry, struct argosy_error *err, const char *what)
{
    return ag_fail(err, ARGOSY_EINVAL, "%s:%u: %s = '%s': %s", entry->path, entry->line, entry->key,
                   entry->value, what);
}

/* A copy that lives as long as self; NULL when memory is short. */
static char *keep(struct language_file *self, const char *text, size_t size)
{
    char *copy;

    if (self->texts_count % TEXTS_STEP == 0) {
        char **grown = realloc(self->texts, (self->texts_count + TEXTS_STEP) * sizeof *self->texts);

        if (grown == NULL)
            return NULL;
        self->texts = grown;
    }
    copy = strndup(text, size);
    if (copy != NULL)
        self->texts[self->texts_count++] = copy;
    return copy;
}

/* Cut the next word off; empty at the end. */
static struct ag_bytes next_word(const char **at)
{
    struct ag_bytes word;

    *at += strspn(*at, " \t");
    word = ag_bytes_of(*at, strcspn(*at, " \t"));
    *at += word.size;
    return word;
}

/* ---- the keys ----------------------------------------------------------------------------------
 */

static int take_words(struct language_file *self, const char **place,
                      const struct ag_config_entry *entry, struct argosy_error *err)
{
    if (*place != NULL)
        return wrong(entry, err, "is given twice; put all words into one value");
    if (strpbrk(entry->value, "/\t") != NULL || entry->value[strspn(entry->value, " ")] == '\0')
        return wrong(entry, err, "must be words separated by spaces, without a slash");
    *place = keep(self, entry->value, strlen(entry->value));
    return *place != NULL ? 0 : ag_fail(err, ARGOSY_ENOMEM, "no memory for languages");
}

static int take_name(struct language_file *self, struct language *row,
                     const struct ag_config_entry *entry, struct argosy_error *err)
{
    if (strlen(entry->value) > LANGUAGE_FILE_NAME_MAX)
        return wrong(entry, err, "is longer than 64 bytes");
    row->name = keep(self, entry->value, strlen(entry->value));
    return row->name != NULL ? 0 : ag_fail(err, ARGOSY_ENOMEM, "no memory for languages");
}

/* A marker into *place. */
static int take_marker(struct language_file *self, const char **place, struct ag_bytes word,
                       const struct ag_config_entry *entry, struct argosy_error *err)
{
    if (word.size == 0)
        return wrong(entry, err, "a marker is missing");
    if (word.size > LANGUAGE_FILE_MARKER_MAX)
        return wrong(entry, err, "a marker is longer than 16 bytes");
    *place = keep(self, (const char *)word.data, word.size);
    return *place != NULL ? 0 : ag_fail(err, ARGOSY_ENOMEM, "no memory for languages");
}

/* REM is a comment as the first word of a line, in any case; the table wants it in capitals. */
static void make_word(char *marker, unsigned *rules)
{
    for (const char *at = marker; *at != '\0'; at++)
        if (!isalpha((unsigned char)*at))
            return;
    for (char *at = marker; *at != '\0'; at++)
        *at = (char)toupper((unsigned char)*at);
    *rules = LINE_FIRST | LINE_NOCASE;
}

static int take_line(struct language_file *self, struct language *row,
                     const struct ag_config_entry *entry, struct argosy_error *err)
{
    const char *at = entry->value;
    struct ag_bytes word;
    size_t i = 0;
    int rc = 0;

    while (i < LANGUAGE_LINES_MAX && row->lines[i].open != NULL)
        i++;
    while (rc == 0 && (word = next_word(&at)).size > 0) {
        if (i == LANGUAGE_LINES_MAX)
            return wrong(entry, err, "more than 5 markers of line comments");
        rc = take_marker(self, &row->lines[i].open, word, entry, err);
        if (rc == 0)
            make_word((char *)row->lines[i].open, &row->lines[i].rules);
        i++;
    }
    return rc;
}

static int take_block(struct language_file *self, struct language *row, unsigned rules,
                      const struct ag_config_entry *entry, struct argosy_error *err)
{
    const char *at = entry->value;
    struct ag_bytes word;
    size_t i = 0;
    int rc = 0;

    while (i < LANGUAGE_BLOCKS_MAX && row->blocks[i].open != NULL)
        i++;
    while (rc == 0 && (word = next_word(&at)).size > 0) {
        if (i == LANGUAGE_BLOCKS_MAX)
            return wrong(entry, err, "more than 4 pairs of markers");
        rc = take_marker(self, &row->blocks[i].open, word, entry, err);
        if (rc == 0)
            rc = take_marker(self, &row->blocks[i].close, next_word(&at), entry, err);
        row->blocks[i++].rules = rules;
    }
    return rc;
}

/* OPEN [CLOSE] [raw] [multiline] */
static int take_string(struct language_file *self, struct language *row,
                       const struct ag_config_entry *entry, struct argosy_error *err)
{
    struct language_string *string = row->strings;
    const char *at = entry->value;
    struct ag_bytes word = next_word(&at), open = word;
    int rc;

    while (string < row->strings + LANGUAGE_STRINGS_MAX && string->open != NULL)
        string++;
    if (string == row->strings + LANGUAGE_STRINGS_MAX)
        return wrong(entry, err, "more than 8 sorts of strings");
    *string = (struct language_string){.escape = '\\'};
    rc = take_marker(self, &string->open, open, entry, err);
    if (rc < 0)
        return rc;
    string->close = string->open;
    for (int i = 0; i < WORDS_OF_STRING_MAX && (word = next_word(&at)).size > 0; i++) {
        if (ag_bytes_are(word, "raw"))
            string->escape = '\0';
        else if (ag_bytes_are(word, "multiline"))
            string->rules |= STRING_LINES;
        else if (i == 0 && (rc = take_marker(self, &string->close, word, entry, err)) < 0)
            return rc;
        else if (i > 0)
            return wrong(entry, err, "must be OPEN [CLOSE] [raw] [multiline]");
    }
    return 0;
}

/* ---- the file ----------------------------------------------------------------------------------
 */

static struct language *row_of(struct language_file *self, const struct ag_config_entry *entry)
{
    size_t i = 0;

    while (i < self->count && strcmp(self->sections[i], entry->section) != 0)
        i++;
    if (i == LANGUAGE_FILE_ROWS_MAX)
        return NULL;
    if (i == self->count) {
        self->sections[i] = keep(self, entry->section, strlen(entry->section));
        if (self->sections[i] == NULL)
            return NULL;
        self->rows[i].name = self->sections[i];
        self->lines[i] = entry->line;
        self->count++;
    }
    return &self->rows[i];
}

static int take(void *arg, const struct ag_config_entry *entry, struct argosy_error *err)
{
    struct language_file *self = arg;
    struct language *row;

    if (entry->section == NULL)
        return wrong(entry, err, "a language is a section with keys below its name");
    row = row_of(self, entry);
    if (row == NULL)
        return wrong(entry, err, "there are more than 256 languages");
    if (strcmp(entry->key, "name") == 0)
        return take_name(self, row, entry, err);
    if (strcmp(entry->key, "extensions") == 0)
        return take_words(self, &row->extensions, entry, err);
    if (strcmp(entry->key, "files") == 0)
        return take_words(self, &row->files, entry, err);
    if (strcmp(entry->key, "interpreters") == 0)
        return take_words(self, &row->interpreters, entry, err);
    if (strcmp(entry->key, "line") == 0)
        return take_line(self, row, entry, err);
    if (strcmp(entry->key, "block") == 0)
        return take_block(self, row, 0, entry, err);
    if (strcmp(entry->key, "nested") == 0)
        return take_block(self, row, BLOCK_NESTED, entry, err);
    if (strcmp(entry->key, "strings") == 0)
        return take_string(self, row, entry, err);
    return wrong(entry, err,
                 "no such key: name, extensions, files, interpreters, line, block, nested, "
                 "strings");
}

/* What only shows when all keys are there. */
static int check(const struct language_file *self, const char *path, struct argosy_error *err)
{
    for (size_t i = 0; i < self->count; i++) {
        const struct language *row = &self->rows[i];
        const char *why = NULL;

        for (size_t k = 0; k < language_table_count; k++)
            if (strcasecmp(row->name, language_table[k].name) == 0)
                why = "is a language that is known already";
        for (size_t k = 0; k < i; k++)
            if (strcasecmp(row->name, self->rows[k].name) == 0)
                why = "is the name of two languages";
        if (row->extensions == NULL && row->files == NULL && row->interpreters == NULL)
            why = "has no extensions, files or interpreters: no file would be of it";
        if (why != NULL)
            return ag_fail(err, ARGOSY_EINVAL, "%s:%u: '%s' %s", path, self->lines[i], row->name,
                           why);
    }
    return 0;
}

int language_file_load(language_file_t **out, const char *path, struct argosy_error *err)
{
    struct language_file *self = calloc(1, sizeof *self);
    int rc;

    *out = NULL;
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for languages");
    rc = ag_zpl_read(path, take, self, err);
    if (rc == 0)
        rc = check(self, path, err);
    if (rc < 0) {
        language_file_destroy(&self);
        ag_fail_in(err, rc, "--languages");
        return rc == ARGOSY_ENOMEM ? rc
                                   : ARGOSY_EINVAL; /* the option is wrong, also if the disk is */
    }
    *out = self;
    return 0;
}

void language_file_destroy(language_file_t **self_p)
{
    struct language_file *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->texts_count; i++)
        free(self->texts[i]);
    free(self->texts);
    free(self);
}

struct language_rows language_file_rows(const language_file_t *self)
{
    return self != NULL ? (struct language_rows){self->rows, self->count}
                        : (struct language_rows){0};
}
