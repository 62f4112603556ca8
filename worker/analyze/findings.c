#include "worker/analyze/findings.h"

#include <stdlib.h>
#include <string.h>

#include <argosy/error.h>

#include "common/wire.h"
#include "worker/analyze/duplicates.h"
#include "worker/analyze/license.h"
#include "worker/analyze/pack.h"
#include "worker/analyze/take.h"

/* The first `max` of all that were offered: the highest values, then the first paths. */
struct top {
    struct top_row {
        char *path;
        uint64_t value;
        const char *text; /* not owned */
    } rows[FINDINGS_LICENSE_FILES_MAX];
    size_t count, max;
};

struct findings {
    uint64_t marks[MARK_COUNT], encodings[ENCODING_COUNT], line_ends[LINE_END_COUNT];
    uint64_t unfinished;
    struct top largest, longest, license_files;
    uint64_t license_files_count;
    struct license {
        char id[LICENSE_ID_BYTES_MAX + 1];
        uint64_t files;
    } licenses[FINDINGS_LICENSES_MAX];
    size_t licenses_count;
    uint64_t licenses_others;
    duplicates_t *duplicates;
};

findings_t *findings_new(void)
{
    struct findings *self = calloc(1, sizeof *self);

    if (self == NULL)
        return NULL;
    self->duplicates = duplicates_new();
    if (self->duplicates == NULL)
        findings_destroy(&self);
    if (self == NULL)
        return NULL;
    self->largest.max = self->longest.max = FINDINGS_TOP_MAX;
    self->license_files.max = FINDINGS_LICENSE_FILES_MAX;
    return self;
}

static void free_top(struct top *top)
{
    for (size_t i = 0; i < top->count; i++)
        free(top->rows[i].path);
    top->count = 0;
}

void findings_destroy(findings_t **self_p)
{
    struct findings *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    free_top(&self->largest);
    free_top(&self->longest);
    free_top(&self->license_files);
    duplicates_destroy(&self->duplicates);
    free(self);
}

/* ---- taking files ------------------------------------------------------------------------------
 */

static int offer(struct top *top, const char *path, uint64_t value, const char *text)
{
    size_t place = top->count;
    char *copy;

    while (place > 0 &&
           (top->rows[place - 1].value < value ||
            (top->rows[place - 1].value == value && strcmp(top->rows[place - 1].path, path) > 0)))
        place--;
    if (place == top->max)
        return 0;
    copy = strdup(path);
    if (copy == NULL)
        return ARGOSY_ENOMEM;
    if (top->count == top->max)
        free(top->rows[--top->count].path);
    memmove(&top->rows[place + 1], &top->rows[place], (top->count - place) * sizeof *top->rows);
    top->rows[place] = (struct top_row){copy, value, text};
    top->count++;
    return 0;
}

/* In the order of the alphabet. Without room the last one is counted with the others: which are
 * listed does not depend on the order in which they came. */
static void add_license(struct findings *self, struct ag_bytes id, uint64_t files)
{
    char text[LICENSE_ID_BYTES_MAX + 1];
    struct license *row;
    size_t i = 0;

    memcpy(text, id.data, id.size);
    text[id.size] = '\0';
    while (i < self->licenses_count && strcmp(self->licenses[i].id, text) < 0)
        i++;
    row = &self->licenses[i];
    if (i < self->licenses_count && strcmp(row->id, text) == 0) {
        row->files += files;
        return;
    }
    if (i == FINDINGS_LICENSES_MAX) {
        self->licenses_others += files;
        return;
    }
    if (self->licenses_count == FINDINGS_LICENSES_MAX)
        self->licenses_others += self->licenses[--self->licenses_count].files;
    memmove(row + 1, row, (self->licenses_count - i) * sizeof *row);
    memcpy(row->id, text, id.size + 1);
    row->files = files;
    self->licenses_count++;
}

int findings_add(findings_t *self, const char *path, const struct inspected *file)
{
    const struct counts *counts = &file->counted.whole;

    if (file->license != NULL) {
        self->license_files_count++;
        if (offer(&self->license_files, path, 0, file->license) < 0)
            return ARGOSY_ENOMEM;
    }
    if (!file->is_counted)
        return 0;
    for (int i = 0; i < MARK_COUNT; i++)
        self->marks[i] += file->counted.marks[i];
    self->encodings[file->encoding]++;
    self->line_ends[file->line_end]++;
    self->unfinished += file->is_unfinished;
    if (file->spdx.size > 0)
        add_license(self, file->spdx, 1);
    if (offer(&self->largest, path, counts->bytes, NULL) < 0 ||
        offer(&self->longest, path, counts->lines, NULL) < 0)
        return ARGOSY_ENOMEM;
    return duplicates_add(self->duplicates, path, file->hash, counts->bytes);
}

static int absorb_top(struct top *self, const struct top *other)
{
    int rc = 0;

    for (size_t i = 0; i < other->count && rc == 0; i++)
        rc = offer(self, other->rows[i].path, other->rows[i].value, other->rows[i].text);
    return rc;
}

int findings_absorb(findings_t *self, const findings_t *other)
{
    for (int i = 0; i < MARK_COUNT; i++)
        self->marks[i] += other->marks[i];
    for (int i = 0; i < ENCODING_COUNT; i++)
        self->encodings[i] += other->encodings[i];
    for (int i = 0; i < LINE_END_COUNT; i++)
        self->line_ends[i] += other->line_ends[i];
    self->unfinished += other->unfinished;
    self->license_files_count += other->license_files_count;
    self->licenses_others += other->licenses_others;
    for (size_t i = 0; i < other->licenses_count; i++)
        add_license(self, ag_bytes_of_text(other->licenses[i].id), other->licenses[i].files);
    if (absorb_top(&self->largest, &other->largest) < 0 ||
        absorb_top(&self->longest, &other->longest) < 0 ||
        absorb_top(&self->license_files, &other->license_files) < 0)
        return ARGOSY_ENOMEM;
    return duplicates_absorb(self->duplicates, other->duplicates);
}

/* ---- as msgpack --------------------------------------------------------------------------------
 */

static void put_numbers(msgpack_packer *p, const char *key, const char *const *keys,
                        const uint64_t *values, size_t count)
{
    pack_key(p, key);
    msgpack_pack_map(p, count);
    for (size_t i = 0; i < count; i++)
        pack_number(p, keys[i], values[i]);
}

static void put_top(msgpack_packer *p, const char *key, const char *value, const struct top *top)
{
    pack_key(p, key);
    msgpack_pack_array(p, top->count);
    for (size_t i = 0; i < top->count; i++) {
        msgpack_pack_map(p, 2);
        pack_text(p, "path", top->rows[i].path);
        pack_number(p, value, top->rows[i].value);
    }
}

static int by_files(const void *a, const void *b)
{
    const struct license *x = a, *y = b;

    if (x->files != y->files)
        return x->files > y->files ? -1 : 1;
    return strcmp(x->id, y->id);
}

static void put_licenses(const struct findings *self, msgpack_packer *p)
{
    struct license order[FINDINGS_LICENSES_MAX];

    memcpy(order, self->licenses, sizeof order);
    qsort(order, self->licenses_count, sizeof *order, by_files);
    pack_key(p, "licenses");
    msgpack_pack_map(p, 4);
    pack_key(p, "spdx");
    msgpack_pack_array(p, self->licenses_count);
    for (size_t i = 0; i < self->licenses_count; i++) {
        msgpack_pack_map(p, 2);
        pack_key(p, "id");
        pack_key(p, order[i].id);
        pack_number(p, "files", order[i].files);
    }
    pack_number(p, "spdx_others", self->licenses_others);
    pack_key(p, "files");
    msgpack_pack_array(p, self->license_files.count);
    for (size_t i = 0; i < self->license_files.count; i++) {
        const struct top_row *row = &self->license_files.rows[i];

        msgpack_pack_map(p, 2);
        pack_text(p, "path", row->path);
        pack_key(p, "license");
        if (row->text[0] != '\0')
            pack_key(p, row->text);
        else
            msgpack_pack_nil(p);
    }
    pack_number(p, "files_count", self->license_files_count);
}

#define X(name, key) key,
static const char *const mark_keys[] = {COUNT_MARKS(X)};
static const char *const encoding_keys[] = {ENCODINGS(X)};
static const char *const line_end_keys[] = {LINE_ENDS(X) "unfinished"};
#undef X

void findings_pack(const findings_t *self, msgpack_packer *packer)
{
    uint64_t ends[LINE_END_COUNT + 1];

    memcpy(ends, self->line_ends, sizeof self->line_ends);
    ends[LINE_END_COUNT] = self->unfinished;
    put_numbers(packer, "marks", mark_keys, self->marks, MARK_COUNT);
    put_numbers(packer, "encodings", encoding_keys, self->encodings, ENCODING_COUNT);
    put_numbers(packer, "line_ends", line_end_keys, ends, LINE_END_COUNT + 1);
    put_top(packer, "largest", "bytes", &self->largest);
    put_top(packer, "longest", "lines", &self->longest);
    put_licenses(self, packer);
    pack_key(packer, "duplicates");
    duplicates_pack(self->duplicates, packer);
}

/* ---- from msgpack ------------------------------------------------------------------------------
 */

/* A row of a list: a path or an identifier, and what belongs to it. */
struct taken {
    char *name, *license;
    uint64_t value;
};

static int take_row_pair(void *arg, struct ag_bytes key, struct ag_reader *reader)
{
    struct taken *row = arg;

    if (ag_bytes_are(key, "path") || ag_bytes_are(key, "id"))
        return take_text(reader, &row->name);
    if (ag_bytes_are(key, "license"))
        return ag_read_is_nil(reader) ? 0 : take_text(reader, &row->license);
    if (ag_bytes_are(key, "bytes") || ag_bytes_are(key, "lines") || ag_bytes_are(key, "files"))
        take_sum(reader, &row->value);
    else
        ag_read_skip(reader);
    return 0;
}

/* Free its texts in any case. */
static int take_row(struct ag_reader *reader, struct taken *row)
{
    int rc;

    *row = (struct taken){0};
    rc = take_map(reader, take_row_pair, row);
    return rc == 0 && row->name == NULL ? ARGOSY_EPROTO : rc;
}

static void free_row(struct taken *row)
{
    free(row->name);
    free(row->license);
}

static int take_top_row(void *top, struct ag_reader *reader)
{
    struct taken row;
    int rc = take_row(reader, &row);

    if (rc == 0)
        rc = offer(top, row.name, row.value, NULL);
    free_row(&row);
    return rc;
}

static int take_license_file(void *top, struct ag_reader *reader)
{
    struct taken row;
    int rc = take_row(reader, &row);
    const char *license = license_called(ag_bytes_of_text(row.license != NULL ? row.license : ""));

    if (rc == 0 && license == NULL)
        rc = ARGOSY_EPROTO;
    if (rc == 0)
        rc = offer(top, row.name, 0, license);
    free_row(&row);
    return rc;
}

static int take_spdx(void *self, struct ag_reader *reader)
{
    struct taken row;
    int rc = take_row(reader, &row);

    if (rc == 0 && strlen(row.name) > LICENSE_ID_BYTES_MAX)
        rc = ARGOSY_EPROTO;
    if (rc == 0)
        add_license(self, ag_bytes_of_text(row.name), row.value);
    free_row(&row);
    return rc;
}

static int take_licenses(void *arg, struct ag_bytes key, struct ag_reader *reader)
{
    struct findings *self = arg;

    if (ag_bytes_are(key, "spdx"))
        return take_array(reader, take_spdx, self);
    if (ag_bytes_are(key, "files"))
        return take_array(reader, take_license_file, &self->license_files);
    if (ag_bytes_are(key, "spdx_others"))
        take_sum(reader, &self->licenses_others);
    else if (ag_bytes_are(key, "files_count"))
        take_sum(reader, &self->license_files_count);
    else
        ag_read_skip(reader);
    return 0;
}

static int take_line_ends(struct findings *self, struct ag_reader *reader)
{
    uint64_t ends[LINE_END_COUNT + 1] = {0};
    int rc = take_sums(reader, line_end_keys, ends, LINE_END_COUNT + 1);

    for (int i = 0; i < LINE_END_COUNT; i++)
        self->line_ends[i] += ends[i];
    self->unfinished += ends[LINE_END_COUNT];
    return rc;
}

int findings_take(findings_t *self, struct ag_bytes key, struct ag_reader *reader)
{
    if (ag_bytes_are(key, "marks"))
        return take_sums(reader, mark_keys, self->marks, MARK_COUNT);
    if (ag_bytes_are(key, "encodings"))
        return take_sums(reader, encoding_keys, self->encodings, ENCODING_COUNT);
    if (ag_bytes_are(key, "line_ends"))
        return take_line_ends(self, reader);
    if (ag_bytes_are(key, "largest"))
        return take_array(reader, take_top_row, &self->largest);
    if (ag_bytes_are(key, "longest"))
        return take_array(reader, take_top_row, &self->longest);
    if (ag_bytes_are(key, "licenses"))
        return take_map(reader, take_licenses, self);
    if (ag_bytes_are(key, "duplicates"))
        return duplicates_take(self->duplicates, reader);
    ag_read_skip(reader);
    return 0;
}
