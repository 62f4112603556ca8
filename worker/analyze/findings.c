#include "worker/analyze/findings.h"

#include <stdlib.h>
#include <string.h>

#include <argosy/error.h>

#include "common/wire.h"
#include "worker/analyze/license.h"
#include "worker/analyze/pack.h"

/* The first `max` of all that were offered: the highest values, then the first paths. */
struct top {
    struct top_row {
        char *path;
        uint64_t value;
        const char *text; /* not owned */
    } rows[FINDINGS_LICENSE_FILES_MAX];
    size_t count, max;
};

struct original {
    uint64_t hash[2];
    uint64_t bytes, files;
    char *path; /* the first in the alphabet */
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
    struct original *originals;
    size_t originals_count, originals_capacity;
    uint32_t *slots;    /* open addressing: 1 + an original's place, 0: free */
    size_t slots_count; /* a power of two or 0 */
    uint64_t not_compared;
};

findings_t *findings_new(void)
{
    struct findings *self = calloc(1, sizeof *self);

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
    for (size_t i = 0; i < self->originals_count; i++)
        free(self->originals[i].path);
    free(self->originals);
    free(self->slots);
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

static void add_license(struct findings *self, struct ag_bytes id)
{
    size_t i = 0;

    while (i < self->licenses_count && !ag_bytes_are(id, self->licenses[i].id))
        i++;
    if (i == FINDINGS_LICENSES_MAX) {
        self->licenses_others++;
        return;
    }
    if (i == self->licenses_count) {
        memcpy(self->licenses[i].id, id.data, id.size);
        self->licenses_count++;
    }
    self->licenses[i].files++;
}

/* The slot of what has these bytes, or the free one where it belongs. */
static uint32_t *slot_of(const struct findings *self, const uint64_t hash[2], uint64_t bytes)
{
    size_t i = hash[0] & (self->slots_count - 1);

    for (; self->slots[i] != 0; i = (i + 1) & (self->slots_count - 1)) {
        const struct original *original = &self->originals[self->slots[i] - 1];

        if (original->hash[0] == hash[0] && original->hash[1] == hash[1] &&
            original->bytes == bytes)
            break;
    }
    return &self->slots[i];
}

/* The slots are small and made anew, the originals stay in their order: what a large tree fills is
 * written once. */
static int grow_slots(struct findings *self)
{
    size_t count = self->slots_count > 0 ? self->slots_count * 4 : 2048;
    uint32_t *slots = calloc(count, sizeof *slots);

    if (slots == NULL)
        return ARGOSY_ENOMEM;
    free(self->slots);
    self->slots = slots;
    self->slots_count = count;
    for (size_t i = 0; i < self->originals_count; i++)
        *slot_of(self, self->originals[i].hash, self->originals[i].bytes) = (uint32_t)i + 1;
    return 0;
}

/* Room for one more. */
static int grow(struct findings *self)
{
    if (self->originals_count == self->originals_capacity) {
        size_t capacity = self->originals_capacity * 2 + 256;
        struct original *grown = realloc(self->originals, capacity * sizeof *grown);

        if (grown == NULL)
            return ARGOSY_ENOMEM;
        self->originals = grown;
        self->originals_capacity = capacity;
    }
    return self->originals_count >= self->slots_count / 2 ? grow_slots(self) : 0;
}

static int add_original(struct findings *self, uint32_t *slot, const char *path,
                        const struct inspected *file)
{
    struct original *original = &self->originals[self->originals_count];

    *original = (struct original){.hash = {file->hash[0], file->hash[1]},
                                  .bytes = file->counted.whole.bytes,
                                  .files = 1,
                                  .path = strdup(path)};
    if (original->path == NULL)
        return ARGOSY_ENOMEM;
    *slot = (uint32_t)++self->originals_count;
    return 0;
}

static int compare_with_others(struct findings *self, const char *path,
                               const struct inspected *file)
{
    uint64_t bytes = file->counted.whole.bytes;
    struct original *original;
    uint32_t *slot;
    char *copy;

    if (bytes == 0)
        return 0; /* empty files are alike and mean nothing */
    if (grow(self) < 0)
        return ARGOSY_ENOMEM;
    slot = slot_of(self, file->hash, bytes);
    if (*slot == 0 && self->originals_count == FINDINGS_COMPARED_MAX) {
        self->not_compared++;
        return 0;
    }
    if (*slot == 0)
        return add_original(self, slot, path, file);
    original = &self->originals[*slot - 1];
    if (strcmp(path, original->path) < 0) {
        copy = strdup(path);
        if (copy == NULL)
            return ARGOSY_ENOMEM;
        free(original->path);
        original->path = copy;
    }
    original->files++;
    return 0;
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
        add_license(self, file->spdx);
    if (offer(&self->largest, path, counts->bytes, NULL) < 0 ||
        offer(&self->longest, path, counts->lines, NULL) < 0)
        return ARGOSY_ENOMEM;
    return compare_with_others(self, path, file);
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

static void put_licenses(struct findings *self, msgpack_packer *p)
{
    qsort(self->licenses, self->licenses_count, sizeof *self->licenses, by_files);
    pack_key(p, "licenses");
    msgpack_pack_map(p, 4);
    pack_key(p, "spdx");
    msgpack_pack_array(p, self->licenses_count);
    for (size_t i = 0; i < self->licenses_count; i++) {
        msgpack_pack_map(p, 2);
        pack_key(p, "id");
        pack_key(p, self->licenses[i].id);
        pack_number(p, "files", self->licenses[i].files);
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

/* What could be saved by having each only once. */
static uint64_t saved_bytes(const struct original *original)
{
    return original->bytes * (original->files - 1);
}

/* The sets that cost most come first; then by path. */
static int by_saving(const void *a, const void *b)
{
    const struct original *x = *(struct original *const *)a, *y = *(struct original *const *)b;
    uint64_t sx = saved_bytes(x), sy = saved_bytes(y);

    if (sx != sy)
        return sx > sy ? -1 : 1;
    return strcmp(x->path, y->path);
}

static void put_duplicates(const struct findings *self, msgpack_packer *p)
{
    struct original *sets[FINDINGS_TOP_MAX];
    uint64_t files = 0, bytes = 0;
    size_t count = 0;

    for (size_t i = 0; i < self->originals_count; i++) {
        struct original *original = &self->originals[i];

        if (saved_bytes(original) == 0)
            continue;
        files += original->files - 1;
        bytes += saved_bytes(original);
        if (count == FINDINGS_TOP_MAX && by_saving(&original, &sets[count - 1]) > 0)
            continue;
        count += count < FINDINGS_TOP_MAX;
        sets[count - 1] = original;
        qsort(sets, count, sizeof *sets, by_saving);
    }
    pack_key(p, "duplicates");
    msgpack_pack_map(p, 4);
    pack_number(p, "files", files);
    pack_number(p, "bytes", bytes);
    pack_number(p, "not_compared", self->not_compared);
    pack_key(p, "sets");
    msgpack_pack_array(p, count);
    for (size_t i = 0; i < count; i++) {
        msgpack_pack_map(p, 3);
        pack_text(p, "path", sets[i]->path);
        pack_number(p, "files", sets[i]->files);
        pack_number(p, "bytes", sets[i]->bytes);
    }
}

void findings_pack(findings_t *self, msgpack_packer *packer)
{
#define X(name, key) key,
    static const char *const marks[] = {COUNT_MARKS(X)};
    static const char *const encodings[] = {ENCODINGS(X)};
    static const char *const line_ends[] = {LINE_ENDS(X) "unfinished"};
#undef X
    uint64_t ends[LINE_END_COUNT + 1];

    memcpy(ends, self->line_ends, sizeof self->line_ends);
    ends[LINE_END_COUNT] = self->unfinished;
    put_numbers(packer, "marks", marks, self->marks, MARK_COUNT);
    put_numbers(packer, "encodings", encodings, self->encodings, ENCODING_COUNT);
    put_numbers(packer, "line_ends", line_ends, ends, LINE_END_COUNT + 1);
    put_top(packer, "largest", "bytes", &self->largest);
    put_top(packer, "longest", "lines", &self->longest);
    put_licenses(self, packer);
    put_duplicates(self, packer);
}
