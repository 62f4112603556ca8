#include "worker/analyze/tally.h"

#include <stdlib.h>
#include <string.h>

#include "common/wire.h"
#include "worker/analyze/findings.h"
#include "worker/analyze/pack.h"
#include "worker/analyze/take.h"

/* Rows that are worth keeping: in an answer of at most 8 MiB each takes more than its path and
 * ROW_BYTES. Directories may come several times, so that twice as many are kept until they are
 * merged. */
enum { ROW_BYTES = 48, ROWS_BYTES_MAX = 8 << 20 };

/* A file or a directory. */
struct row {
    char *path;
    const struct language *language; /* NULL: a directory */
    uint64_t files;
    struct counts counts;
    struct count_part *parts; /* when there is more than one */
    unsigned parts_count;
};

struct tally {
    enum tally_by by;
    const languages_t *known;
    uint64_t files, skipped[SKIP_COUNT];
    struct counts totals;
    struct {
        uint64_t files;
        struct counts counts;
    } * languages; /* by the row's place */
    struct row *rows;
    size_t rows_count, rows_capacity;
    size_t rows_bytes; /* at least, in the answer */
    bool is_too_large; /* no answer holds them; none is kept any more */
};

tally_t *tally_new(enum tally_by by, const languages_t *languages)
{
    tally_t *self = calloc(1, sizeof *self);

    if (self != NULL)
        self->languages = calloc(languages_count(languages), sizeof *self->languages);
    if (self != NULL && self->languages == NULL)
        tally_destroy(&self);
    if (self != NULL) {
        self->by = by;
        self->known = languages;
    }
    return self;
}

static void drop_rows(tally_t *self)
{
    for (size_t i = 0; i < self->rows_count; i++) {
        free(self->rows[i].path);
        free(self->rows[i].parts);
    }
    free(self->rows);
    self->rows = NULL;
    self->rows_count = self->rows_capacity = 0;
}

void tally_destroy(tally_t **self_p)
{
    tally_t *self = *self_p;

    if (self == NULL)
        return;
    drop_rows(self);
    free(self->languages);
    free(self);
    *self_p = NULL;
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
            self->rows_bytes -= strlen(self->rows[i].path) + ROW_BYTES;
            free(self->rows[i].path);
        } else {
            self->rows[++kept] = self->rows[i];
        }
    }
    self->rows_count = kept + 1;
}

/* A tree of any size, or a hostile archive, must not fill the memory with rows. */
static void bound_rows(tally_t *self)
{
    if (self->rows_bytes <= 2 * ROWS_BYTES_MAX)
        return;
    merge_rows(self);
    if (self->rows_bytes <= ROWS_BYTES_MAX)
        return;
    drop_rows(self);
    self->is_too_large = true;
}

/* Takes over `row` with its texts. */
static int add_row(tally_t *self, const struct row *row)
{
    if (self->rows_count == self->rows_capacity) {
        size_t capacity = self->rows_capacity * 2 + 256;
        struct row *grown = realloc(self->rows, capacity * sizeof *grown);

        if (grown == NULL) {
            free(row->path);
            free(row->parts);
            return ARGOSY_ENOMEM;
        }
        self->rows = grown;
        self->rows_capacity = capacity;
    }
    self->rows[self->rows_count++] = *row;
    self->rows_bytes += strlen(row->path) + (1 + row->parts_count) * ROW_BYTES;
    bound_rows(self);
    return 0;
}

/* A directory's files come one after the other, mostly; equal rows are merged in the end. */
static int add_dir(tally_t *self, const char *path, const struct counts *counts)
{
    const char *slash = strrchr(path, '/');
    const char *dir = slash != NULL ? path : ".";
    size_t size = slash != NULL ? (size_t)(slash - path) : 1;
    struct row *last = self->rows_count > 0 ? &self->rows[self->rows_count - 1] : NULL;

    if (self->is_too_large)
        return 0;
    if (last == NULL || strlen(last->path) != size || memcmp(last->path, dir, size) != 0) {
        struct row row = {.path = strndup(dir, size), .files = 1, .counts = *counts};

        return row.path != NULL ? add_row(self, &row) : ARGOSY_ENOMEM;
    }
    counts_add(&last->counts, counts);
    last->files++;
    return 0;
}

static int add_file(tally_t *self, const char *path, const struct counted *counted)
{
    size_t size = counted->parts_count * sizeof *counted->parts;
    struct row row = {.language = counted->parts[0].language, .files = 1, .counts = counted->whole};

    if (self->is_too_large)
        return 0;
    row.path = strdup(path);
    if (counted->parts_count > 1 && (row.parts = malloc(size)) != NULL) {
        memcpy(row.parts, counted->parts, size);
        row.parts_count = counted->parts_count;
    }
    if (row.path != NULL && (counted->parts_count <= 1 || row.parts != NULL))
        return add_row(self, &row);
    free(row.path);
    free(row.parts);
    return ARGOSY_ENOMEM;
}

int tally_add(tally_t *self, const char *path, const struct counted *counted)
{
    self->files++;
    counts_add(&self->totals, &counted->whole);
    for (unsigned i = 0; i < counted->parts_count; i++) {
        size_t place = languages_place(self->known, counted->parts[i].language);

        self->languages[place].files += i == 0;
        counts_add(&self->languages[place].counts, &counted->parts[i].counts);
    }
    if (self->by == BY_FILE)
        return add_file(self, path, counted);
    if (self->by == BY_DIR)
        return add_dir(self, path, &counted->whole);
    return 0;
}

void tally_skip(tally_t *self, enum tally_skip why)
{
    self->skipped[why]++;
}

int tally_absorb(tally_t *self, tally_t *other)
{
    int rc = 0;

    self->files += other->files;
    counts_add(&self->totals, &other->totals);
    for (int i = 0; i < SKIP_COUNT; i++)
        self->skipped[i] += other->skipped[i];
    for (size_t i = 0; i < languages_count(self->known); i++) {
        self->languages[i].files += other->languages[i].files;
        counts_add(&self->languages[i].counts, &other->languages[i].counts);
    }
    self->is_too_large |= other->is_too_large;
    while (rc == 0 && other->rows_count > 0 && !self->is_too_large)
        rc = add_row(self, &other->rows[--other->rows_count]);
    drop_rows(other);
    if (self->is_too_large)
        drop_rows(self);
    return rc;
}

uint64_t tally_files(const tally_t *self)
{
    return self->files;
}

/* ---- as msgpack
 * --------------------------------------------------------------------------------------- */

static void put_counts(msgpack_packer *p, const struct counts *counts)
{
    pack_number(p, "lines", counts->lines);
    pack_number(p, "code", counts->code);
    pack_number(p, "comments", counts->comments);
    pack_number(p, "blanks", counts->blanks);
    pack_number(p, "bytes", counts->bytes);
}

static int by_code(const void *a, const void *b, void *arg)
{
    const tally_t *self = arg;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    uint64_t cx = self->languages[x].counts.code, cy = self->languages[y].counts.code;

    if (cx != cy)
        return cx > cy ? -1 : 1;
    return strcmp(languages_at(self->known, x)->name, languages_at(self->known, y)->name);
}

static void put_languages(tally_t *self, msgpack_packer *p)
{
    size_t *order = calloc(languages_count(self->known), sizeof *order);
    size_t count = 0;

    for (size_t i = 0; order != NULL && i < languages_count(self->known); i++)
        if (self->languages[i].files > 0 || self->languages[i].counts.lines > 0)
            order[count++] = i;
    if (order != NULL)
        qsort_r(order, count, sizeof *order, by_code, self);
    pack_key(p, "languages");
    msgpack_pack_array(p, count);
    for (size_t i = 0; i < count; i++) {
        msgpack_pack_map(p, 7);
        pack_text(p, "name", languages_at(self->known, order[i])->name);
        pack_number(p, "files", self->languages[order[i]].files);
        put_counts(p, &self->languages[order[i]].counts);
    }
    free(order);
}

static void put_parts(msgpack_packer *p, const struct row *row)
{
    pack_key(p, "parts");
    msgpack_pack_array(p, row->parts_count);
    for (unsigned i = 0; i < row->parts_count; i++) {
        msgpack_pack_map(p, 6);
        pack_text(p, "language", row->parts[i].language->name);
        put_counts(p, &row->parts[i].counts);
    }
}

static void put_rows(tally_t *self, msgpack_packer *p)
{
    merge_rows(self);
    pack_key(p, self->by == BY_FILE ? "files" : "dirs");
    msgpack_pack_array(p, self->rows_count);
    for (size_t i = 0; i < self->rows_count; i++) {
        const struct row *row = &self->rows[i];

        msgpack_pack_map(p, row->parts != NULL ? 8 : 7);
        pack_text(p, "path", row->path);
        if (row->language != NULL)
            pack_text(p, "language", row->language->name);
        else
            pack_number(p, "files", row->files);
        put_counts(p, &row->counts);
        if (row->parts != NULL)
            put_parts(p, row);
    }
}

static const char *const skip_keys[] = {
#define X(name, key, why) key,
    TALLY_SKIPS(X)
#undef X
};

void tally_pack(tally_t *self, const struct tally_heading *heading, const struct findings *findings,
                struct ag_buffer *out)
{
    msgpack_packer packer;

    out->failed |= self->is_too_large;
    msgpack_packer_init(&packer, out, ag_buffer_write);
    msgpack_pack_map(&packer, 5 + (self->by != BY_LANGUAGE) + FINDINGS_KEYS +
                                  (heading->history.data != NULL) + (heading->part.data != NULL));
    pack_text(&packer, "source", heading->source);
    if (heading->revision != NULL) {
        pack_text(&packer, "revision", heading->revision);
    } else {
        pack_key(&packer, "revision");
        msgpack_pack_nil(&packer);
    }
    pack_key(&packer, "totals");
    msgpack_pack_map(&packer, 6);
    pack_number(&packer, "files", self->files);
    put_counts(&packer, &self->totals);
    put_languages(self, &packer);
    if (self->by != BY_LANGUAGE)
        put_rows(self, &packer);
    pack_key(&packer, "skipped");
    msgpack_pack_map(&packer, SKIP_COUNT);
    for (int i = 0; i < SKIP_COUNT; i++)
        pack_number(&packer, skip_keys[i], self->skipped[i]);
    findings_pack(findings, &packer);
    if (heading->history.data != NULL) {
        pack_key(&packer, "history");
        ag_buffer_append(out, heading->history.data, heading->history.size);
    }
    if (heading->part.data != NULL) {
        pack_key(&packer, "part");
        ag_buffer_append(out, heading->part.data, heading->part.size);
    }
}

/* ---- from msgpack
 * ----------------------------------------------------------------------------------- */

/* Any of what has counts: a language, a file, a directory, a part of a file. */
struct taken {
    const tally_t *tally;
    char *name, *language;
    uint64_t files;
    struct counts counts;
    struct count_part parts[COUNT_PARTS_MAX];
    unsigned parts_count;
};

static const struct language *find_language(const tally_t *self, const char *name)
{
    for (size_t i = languages_count(self->known); name != NULL && i > 0; i--)
        if (strcmp(languages_at(self->known, i - 1)->name, name) == 0)
            return languages_at(self->known, i - 1);
    return NULL;
}

static int take_part(void *arg, struct ag_reader *reader);

static int take_counts_pair(void *arg, struct ag_bytes key, struct ag_reader *reader)
{
    struct taken *row = arg;

    if (ag_bytes_are(key, "name") || ag_bytes_are(key, "path"))
        return take_text(reader, &row->name);
    if (ag_bytes_are(key, "language"))
        return take_text(reader, &row->language);
    if (ag_bytes_are(key, "parts"))
        return take_array(reader, take_part, row);
    if (ag_bytes_are(key, "files"))
        take_sum(reader, &row->files);
    else if (ag_bytes_are(key, "lines"))
        take_sum(reader, &row->counts.lines);
    else if (ag_bytes_are(key, "code"))
        take_sum(reader, &row->counts.code);
    else if (ag_bytes_are(key, "comments"))
        take_sum(reader, &row->counts.comments);
    else if (ag_bytes_are(key, "blanks"))
        take_sum(reader, &row->counts.blanks);
    else if (ag_bytes_are(key, "bytes"))
        take_sum(reader, &row->counts.bytes);
    else
        ag_read_skip(reader);
    return 0;
}

/* Free its texts in any case. */
static int take_counts(const tally_t *self, struct ag_reader *reader, struct taken *row)
{
    *row = (struct taken){.tally = self};
    return take_map(reader, take_counts_pair, row);
}

static void free_taken(struct taken *row)
{
    free(row->name);
    free(row->language);
}

static int take_part(void *arg, struct ag_reader *reader)
{
    struct taken *whole = arg, part;
    int rc = take_counts(whole->tally, reader, &part);
    const struct language *language = find_language(whole->tally, part.language);

    if (rc == 0 && (language == NULL || whole->parts_count == COUNT_PARTS_MAX))
        rc = ARGOSY_EPROTO;
    if (rc == 0)
        whole->parts[whole->parts_count++] = (struct count_part){language, part.counts};
    free_taken(&part);
    return rc;
}

static int take_language(void *arg, struct ag_reader *reader)
{
    tally_t *self = arg;
    struct taken row;
    int rc = take_counts(self, reader, &row);
    const struct language *language = find_language(self, row.name);

    if (rc == 0 && language == NULL)
        rc = ARGOSY_EPROTO;
    if (rc == 0) {
        size_t place = languages_place(self->known, language);

        self->languages[place].files += row.files;
        counts_add(&self->languages[place].counts, &row.counts);
    }
    free_taken(&row);
    return rc;
}

static int take_row(void *arg, struct ag_reader *reader)
{
    tally_t *self = arg;
    struct taken row;
    int rc = take_counts(self, reader, &row);
    const struct language *language = find_language(self, row.language);

    if (rc == 0 && (row.name == NULL || (self->by == BY_FILE && language == NULL)))
        rc = ARGOSY_EPROTO;
    if (rc == 0 && self->by == BY_FILE && !self->is_too_large) {
        struct counted counted = {.whole = row.counts,
                                  .parts_count = row.parts_count > 0 ? row.parts_count : 1,
                                  .parts = {{language, row.counts}}};

        memcpy(counted.parts, row.parts, row.parts_count * sizeof *row.parts);
        rc = add_file(self, row.name, &counted);
    } else if (rc == 0 && !self->is_too_large) {
        struct row dir = {.path = row.name, .files = row.files, .counts = row.counts};

        row.name = NULL;
        rc = add_row(self, &dir);
    }
    free_taken(&row);
    return rc;
}

static int take_totals(tally_t *self, struct ag_reader *reader)
{
    struct taken row;
    int rc = take_counts(self, reader, &row);

    self->files += row.files;
    counts_add(&self->totals, &row.counts);
    free_taken(&row);
    return rc;
}

int tally_take(tally_t *self, struct ag_bytes key, struct ag_reader *reader)
{
    if (ag_bytes_are(key, "totals"))
        return take_totals(self, reader);
    if (ag_bytes_are(key, "languages"))
        return take_array(reader, take_language, self);
    if (ag_bytes_are(key, "files") || ag_bytes_are(key, "dirs"))
        return take_array(reader, take_row, self);
    if (ag_bytes_are(key, "skipped"))
        return take_sums(reader, skip_keys, self->skipped, SKIP_COUNT);
    return 1;
}
