#include "worker/analyze/tally.h"

#include <msgpack/pack.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire.h"

/* A file or a directory. */
struct row {
    char *path;
    const struct language *language; /* NULL: a directory */
    uint64_t files;
    struct counts counts;
};

struct of_language {
    uint64_t files;
    struct counts counts;
};

struct tally {
    enum tally_by by;
    uint64_t files, skipped[SKIP_COUNT];
    struct counts totals;
    struct of_language *languages; /* one for each row of the table */
    struct row *rows;
    size_t rows_count, rows_capacity;
};

tally_t *tally_new(enum tally_by by)
{
    tally_t *self = calloc(1, sizeof *self);

    if (self != NULL)
        self->languages = calloc(language_table_count, sizeof *self->languages);
    if (self != NULL && self->languages == NULL)
        tally_destroy(&self);
    if (self != NULL)
        self->by = by;
    return self;
}

void tally_destroy(tally_t **self_p)
{
    tally_t *self = *self_p;

    if (self == NULL)
        return;
    for (size_t i = 0; i < self->rows_count; i++)
        free(self->rows[i].path);
    free(self->rows);
    free(self->languages);
    free(self);
    *self_p = NULL;
}

static int add_row(tally_t *self, const char *path, size_t size, const struct language *language,
                   const struct counts *counts)
{
    struct row *row;

    if (self->rows_count == self->rows_capacity) {
        size_t capacity = self->rows_capacity * 2 + 256;
        struct row *grown = realloc(self->rows, capacity * sizeof *grown);

        if (grown == NULL)
            return ARGOSY_ENOMEM;
        self->rows = grown;
        self->rows_capacity = capacity;
    }
    row = &self->rows[self->rows_count];
    *row = (struct row){.language = language, .files = 1, .counts = *counts};
    row->path = strndup(path, size);
    if (row->path == NULL)
        return ARGOSY_ENOMEM;
    self->rows_count++;
    return 0;
}

/* A directory's files come one after the other, mostly; equal rows are merged in the end. */
static int add_dir(tally_t *self, const char *path, const struct counts *counts)
{
    const char *slash = strrchr(path, '/');
    const char *dir = slash != NULL ? path : ".";
    size_t size = slash != NULL ? (size_t)(slash - path) : 1;
    struct row *last = self->rows_count > 0 ? &self->rows[self->rows_count - 1] : NULL;

    if (last == NULL || strlen(last->path) != size || memcmp(last->path, dir, size) != 0)
        return add_row(self, dir, size, NULL, counts);
    counts_add(&last->counts, counts);
    last->files++;
    return 0;
}

int tally_add(tally_t *self, const char *path, const struct language *language,
              const struct counts *counts)
{
    size_t place = (size_t)(language - language_table);

    self->files++;
    counts_add(&self->totals, counts);
    self->languages[place].files++;
    counts_add(&self->languages[place].counts, counts);
    if (self->by == BY_FILE)
        return add_row(self, path, strlen(path), language, counts);
    if (self->by == BY_DIR)
        return add_dir(self, path, counts);
    return 0;
}

void tally_skip(tally_t *self, enum tally_skip why)
{
    self->skipped[why]++;
}

uint64_t tally_files(const tally_t *self)
{
    return self->files;
}

/* ---- sums of a part
 * -------------------------------------------------------------------------------------- */

struct tally_sums {
    uint64_t skipped[SKIP_COUNT];
    struct of_language languages[]; /* one for each row of the table */
};

/* As it is written: for each language with files in the part. All are numbers of 64 bits as the
 * machine has them; a cache does not leave its host. */
struct packed {
    uint64_t place;
    struct of_language more;
};

tally_sums_t *tally_sums_now(const tally_t *self)
{
    size_t size = language_table_count * sizeof *self->languages;
    tally_sums_t *sums = malloc(sizeof *sums + size);

    if (sums == NULL)
        return NULL;
    memcpy(sums->skipped, self->skipped, sizeof sums->skipped);
    memcpy(sums->languages, self->languages, size);
    return sums;
}

void tally_sums_destroy(tally_sums_t **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

static struct counts counts_since(const struct counts *now, const struct counts *then)
{
    return (struct counts){.lines = now->lines - then->lines,
                           .code = now->code - then->code,
                           .comments = now->comments - then->comments,
                           .blanks = now->blanks - then->blanks,
                           .bytes = now->bytes - then->bytes};
}

void tally_pack_since(const tally_t *self, const tally_sums_t *since, struct ag_buffer *out)
{
    for (size_t i = 0; i < SKIP_COUNT; i++) {
        uint64_t more = self->skipped[i] - since->skipped[i];

        ag_buffer_append(out, &more, sizeof more);
    }
    for (size_t i = 0; i < language_table_count; i++) {
        const struct of_language *now = &self->languages[i], *then = &since->languages[i];
        struct packed packed = {.place = i,
                                .more = {.files = now->files - then->files,
                                         .counts = counts_since(&now->counts, &then->counts)}};

        if (packed.more.files > 0)
            ag_buffer_append(out, &packed, sizeof packed);
    }
}

bool tally_add_sums(tally_t *self, struct ag_bytes sums)
{
    uint64_t skipped[SKIP_COUNT];
    struct packed packed;

    if (self->by != BY_LANGUAGE || sums.size < sizeof skipped ||
        (sums.size - sizeof skipped) % sizeof packed != 0)
        return false;
    for (size_t at = sizeof skipped; at < sums.size; at += sizeof packed) {
        memcpy(&packed, sums.data + at, sizeof packed);
        if (packed.place >= language_table_count)
            return false;
    }
    memcpy(skipped, sums.data, sizeof skipped);
    for (size_t i = 0; i < SKIP_COUNT; i++)
        self->skipped[i] += skipped[i];
    for (size_t at = sizeof skipped; at < sums.size; at += sizeof packed) {
        memcpy(&packed, sums.data + at, sizeof packed);
        self->files += packed.more.files;
        counts_add(&self->totals, &packed.more.counts);
        self->languages[packed.place].files += packed.more.files;
        counts_add(&self->languages[packed.place].counts, &packed.more.counts);
    }
    return true;
}

/* ---- as msgpack
 * --------------------------------------------------------------------------------------- */

static void put_key(msgpack_packer *p, const char *key)
{
    msgpack_pack_str_with_body(p, key, strlen(key));
}

static void put_number(msgpack_packer *p, const char *key, uint64_t value)
{
    put_key(p, key);
    msgpack_pack_uint64(p, value);
}

static void put_counts(msgpack_packer *p, const struct counts *counts)
{
    put_number(p, "lines", counts->lines);
    put_number(p, "code", counts->code);
    put_number(p, "comments", counts->comments);
    put_number(p, "blanks", counts->blanks);
    put_number(p, "bytes", counts->bytes);
}

/* Names of files may be any bytes; text when they are UTF-8, else bytes. */
static void put_path(msgpack_packer *p, const char *key, const char *path)
{
    struct ag_bytes bytes = ag_bytes_of_text(path);

    put_key(p, key);
    if (ag_is_utf8(bytes))
        msgpack_pack_str_with_body(p, path, bytes.size);
    else
        msgpack_pack_bin_with_body(p, path, bytes.size);
}

static int by_code(const void *a, const void *b, void *arg)
{
    const tally_t *self = arg;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    uint64_t cx = self->languages[x].counts.code, cy = self->languages[y].counts.code;

    if (cx != cy)
        return cx > cy ? -1 : 1;
    return strcmp(language_table[x].name, language_table[y].name);
}

static void put_languages(tally_t *self, msgpack_packer *p)
{
    size_t *order = calloc(language_table_count, sizeof *order);
    size_t count = 0;

    for (size_t i = 0; order != NULL && i < language_table_count; i++)
        if (self->languages[i].files > 0)
            order[count++] = i;
    if (order != NULL)
        qsort_r(order, count, sizeof *order, by_code, self);
    put_key(p, "languages");
    msgpack_pack_array(p, count);
    for (size_t i = 0; i < count; i++) {
        msgpack_pack_map(p, 7);
        put_path(p, "name", language_table[order[i]].name);
        put_number(p, "files", self->languages[order[i]].files);
        put_counts(p, &self->languages[order[i]].counts);
    }
    free(order);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct row *)a)->path, ((const struct row *)b)->path);
}

static void merge_rows(tally_t *self)
{
    size_t kept = 0;

    if (self->rows_count == 0)
        return;
    qsort(self->rows, self->rows_count, sizeof *self->rows, by_path);
    for (size_t i = 1; i < self->rows_count; i++) {
        if (self->by == BY_DIR && by_path(&self->rows[kept], &self->rows[i]) == 0) {
            counts_add(&self->rows[kept].counts, &self->rows[i].counts);
            self->rows[kept].files += self->rows[i].files;
            free(self->rows[i].path);
        } else {
            self->rows[++kept] = self->rows[i];
        }
    }
    self->rows_count = kept + 1;
}

static void put_rows(tally_t *self, msgpack_packer *p)
{
    merge_rows(self);
    put_key(p, self->by == BY_FILE ? "files" : "dirs");
    msgpack_pack_array(p, self->rows_count);
    for (size_t i = 0; i < self->rows_count; i++) {
        const struct row *row = &self->rows[i];

        msgpack_pack_map(p, 7);
        put_path(p, "path", row->path);
        if (row->language != NULL)
            put_path(p, "language", row->language->name);
        else
            put_number(p, "files", row->files);
        put_counts(p, &row->counts);
    }
}

void tally_pack(tally_t *self, const struct tally_heading *heading, struct ag_buffer *out)
{
    static const char *const skips[] = {
#define X(name, key, why) key,
        TALLY_SKIPS(X)
#undef X
    };
    msgpack_packer packer;

    msgpack_packer_init(&packer, out, ag_buffer_write);
    msgpack_pack_map(&packer, 5 + (self->by != BY_LANGUAGE) + (heading->history.data != NULL));
    put_path(&packer, "source", heading->source);
    if (heading->revision != NULL) {
        put_path(&packer, "revision", heading->revision);
    } else {
        put_key(&packer, "revision");
        msgpack_pack_nil(&packer);
    }
    put_key(&packer, "totals");
    msgpack_pack_map(&packer, 6);
    put_number(&packer, "files", self->files);
    put_counts(&packer, &self->totals);
    put_languages(self, &packer);
    if (self->by != BY_LANGUAGE)
        put_rows(self, &packer);
    put_key(&packer, "skipped");
    msgpack_pack_map(&packer, SKIP_COUNT);
    for (int i = 0; i < SKIP_COUNT; i++)
        put_number(&packer, skips[i], self->skipped[i]);
    if (heading->history.data != NULL) {
        put_key(&packer, "history");
        ag_buffer_append(out, heading->history.data, heading->history.size);
    }
}
