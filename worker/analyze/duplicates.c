#include "worker/analyze/duplicates.h"

#include <stdlib.h>
#include <string.h>

#include <argosy/error.h>

#include "worker/analyze/pack.h"
#include "worker/analyze/take.h"

struct content {
    uint64_t hash[2];
    uint64_t bytes, files; /* of each; how many */
    char *path;            /* the first in the alphabet */
};

/* What is told; its texts belong to others, or to it if it is `others` of a struct duplicates. */
struct summary {
    uint64_t contents, files, bytes, not_compared;
    struct set {
        char *path;
        uint64_t files, bytes;
    } sets[DUPLICATES_SETS_TOLD];
    size_t sets_count;
};

struct duplicates {
    struct content *contents;
    size_t count, capacity;
    uint32_t *slots;       /* open addressing: 1 + a content's place, 0: free */
    size_t slots_count;    /* a power of two or 0 */
    uint64_t not_compared; /* not 0: there were too many, the table is gone */
    struct summary others; /* of files that were compared elsewhere */
};

duplicates_t *duplicates_new(void)
{
    return calloc(1, sizeof(duplicates_t));
}

static void drop_contents(duplicates_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->contents[i].path);
    free(self->contents);
    free(self->slots);
    self->contents = NULL;
    self->slots = NULL;
    self->count = self->capacity = self->slots_count = 0;
}

void duplicates_destroy(duplicates_t **self_p)
{
    duplicates_t *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    drop_contents(self);
    for (size_t i = 0; i < self->others.sets_count; i++)
        free(self->others.sets[i].path);
    free(self);
}

/* ---- the table
 * ---------------------------------------------------------------------------------------------- */

/* The slot of what has these bytes, or the free one where it belongs. */
static uint32_t *slot_of(const duplicates_t *self, const uint64_t hash[2], uint64_t bytes)
{
    size_t i = hash[0] & (self->slots_count - 1);

    for (; self->slots[i] != 0; i = (i + 1) & (self->slots_count - 1)) {
        const struct content *content = &self->contents[self->slots[i] - 1];

        if (content->hash[0] == hash[0] && content->hash[1] == hash[1] && content->bytes == bytes)
            break;
    }
    return &self->slots[i];
}

/* The slots are small and made anew, the contents stay in their order: what a large tree fills is
 * written once. */
static int grow_slots(duplicates_t *self)
{
    size_t count = self->slots_count > 0 ? self->slots_count * 4 : 2048;
    uint32_t *slots = calloc(count, sizeof *slots);

    if (slots == NULL)
        return ARGOSY_ENOMEM;
    free(self->slots);
    self->slots = slots;
    self->slots_count = count;
    for (size_t i = 0; i < self->count; i++)
        *slot_of(self, self->contents[i].hash, self->contents[i].bytes) = (uint32_t)i + 1;
    return 0;
}

/* Room for one more. */
static int grow(duplicates_t *self)
{
    if (self->count == self->capacity) {
        size_t capacity = self->capacity * 2 + 256;
        struct content *grown = realloc(self->contents, capacity * sizeof *grown);

        if (grown == NULL)
            return ARGOSY_ENOMEM;
        self->contents = grown;
        self->capacity = capacity;
    }
    return self->count >= self->slots_count / 2 ? grow_slots(self) : 0;
}

/* There are too many: all of them count as not compared. */
static void give_up(duplicates_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        self->not_compared += self->contents[i].files;
    drop_contents(self);
}

static int add_content(duplicates_t *self, uint32_t *slot, const char *path, const uint64_t hash[2],
                       uint64_t bytes, uint64_t files)
{
    struct content *content = &self->contents[self->count];

    *content = (struct content){
        .hash = {hash[0], hash[1]}, .bytes = bytes, .files = files, .path = strdup(path)};
    if (content->path == NULL)
        return ARGOSY_ENOMEM;
    *slot = (uint32_t)++self->count;
    return 0;
}

static int add_again(struct content *content, const char *path, uint64_t files)
{
    content->files += files;
    if (strcmp(path, content->path) < 0) {
        char *copy = strdup(path);

        if (copy == NULL)
            return ARGOSY_ENOMEM;
        free(content->path);
        content->path = copy;
    }
    return 0;
}

static int add(duplicates_t *self, const char *path, const uint64_t hash[2], uint64_t bytes,
               uint64_t files)
{
    uint32_t *slot;

    if (self->not_compared == 0 && grow(self) < 0)
        return ARGOSY_ENOMEM;
    slot = self->not_compared == 0 ? slot_of(self, hash, bytes) : NULL;
    if (slot != NULL && *slot != 0)
        return add_again(&self->contents[*slot - 1], path, files);
    if (slot != NULL && self->count < DUPLICATES_CONTENTS_MAX)
        return add_content(self, slot, path, hash, bytes, files);
    if (slot != NULL)
        give_up(self);
    self->not_compared += files;
    return 0;
}

int duplicates_add(duplicates_t *self, const char *path, const uint64_t hash[2], uint64_t bytes)
{
    return bytes > 0 ? add(self, path, hash, bytes, 1) : 0;
}

int duplicates_absorb(duplicates_t *self, const duplicates_t *other)
{
    int rc = 0;

    if (other->not_compared > 0 && self->not_compared == 0)
        give_up(self);
    self->not_compared += other->not_compared;
    for (size_t i = 0; i < other->count && rc == 0; i++) {
        const struct content *content = &other->contents[i];

        rc = add(self, content->path, content->hash, content->bytes, content->files);
    }
    return rc;
}

/* ---- what is told
 * ---------------------------------------------------------------------------------------------- */

/* What could be saved by having it only once. */
static uint64_t saving(const struct set *set)
{
    return set->bytes * (set->files - 1);
}

/* The sets that cost most come first; then by path. True: *out is to be freed by who owns it. */
static bool offer(struct summary *self, const struct set *set, char **out)
{
    size_t place = self->sets_count;
    bool is_full = self->sets_count == DUPLICATES_SETS_TOLD;

    while (place > 0 && (saving(&self->sets[place - 1]) < saving(set) ||
                         (saving(&self->sets[place - 1]) == saving(set) &&
                          strcmp(self->sets[place - 1].path, set->path) > 0)))
        place--;
    *out = set->path;
    if (place == DUPLICATES_SETS_TOLD)
        return true;
    if (is_full)
        *out = self->sets[--self->sets_count].path;
    memmove(&self->sets[place + 1], &self->sets[place],
            (self->sets_count - place) * sizeof *self->sets);
    self->sets[place] = *set;
    self->sets_count++;
    return is_full;
}

/* Borrows its paths. */
static struct summary summarize(const duplicates_t *self)
{
    struct summary all = self->others;
    char *ignored;

    all.contents += self->count;
    all.not_compared += self->not_compared;
    for (size_t i = 0; i < self->count; i++) {
        const struct content *content = &self->contents[i];
        struct set set = {content->path, content->files, content->bytes};

        if (content->files < 2)
            continue;
        all.files += set.files - 1;
        all.bytes += saving(&set);
        offer(&all, &set, &ignored);
    }
    if (all.not_compared > 0 || all.contents > DUPLICATES_CONTENTS_MAX)
        all = (struct summary){.not_compared = all.not_compared + all.contents + all.files};
    return all;
}

void duplicates_pack(const duplicates_t *self, msgpack_packer *packer)
{
    struct summary all = summarize(self);

    msgpack_pack_map(packer, 5);
    pack_number(packer, "files", all.files);
    pack_number(packer, "bytes", all.bytes);
    pack_number(packer, "contents", all.contents);
    pack_number(packer, "not_compared", all.not_compared);
    pack_key(packer, "sets");
    msgpack_pack_array(packer, all.sets_count);
    for (size_t i = 0; i < all.sets_count; i++) {
        msgpack_pack_map(packer, 3);
        pack_text(packer, "path", all.sets[i].path);
        pack_number(packer, "files", all.sets[i].files);
        pack_number(packer, "bytes", all.sets[i].bytes);
    }
}

static int take_set_pair(void *arg, struct ag_bytes key, struct ag_reader *reader)
{
    struct set *set = arg;

    if (ag_bytes_are(key, "path"))
        return take_text(reader, &set->path);
    if (ag_bytes_are(key, "files"))
        take_sum(reader, &set->files);
    else if (ag_bytes_are(key, "bytes"))
        take_sum(reader, &set->bytes);
    else
        ag_read_skip(reader);
    return 0;
}

static int take_set(void *arg, struct ag_reader *reader)
{
    struct summary *others = arg;
    struct set set = {0};
    char *left = NULL;
    int rc = take_map(reader, take_set_pair, &set);

    if (rc == 0 && (set.path == NULL || set.files < 2))
        rc = ARGOSY_EPROTO;
    if (rc < 0)
        free(set.path);
    else if (offer(others, &set, &left))
        free(left);
    return rc;
}

static int take_pair(void *arg, struct ag_bytes key, struct ag_reader *reader)
{
    struct summary *others = arg;

    if (ag_bytes_are(key, "files"))
        take_sum(reader, &others->files);
    else if (ag_bytes_are(key, "bytes"))
        take_sum(reader, &others->bytes);
    else if (ag_bytes_are(key, "contents"))
        take_sum(reader, &others->contents);
    else if (ag_bytes_are(key, "not_compared"))
        take_sum(reader, &others->not_compared);
    else if (ag_bytes_are(key, "sets"))
        return take_array(reader, take_set, others);
    else
        ag_read_skip(reader);
    return 0;
}

int duplicates_take(duplicates_t *self, struct ag_reader *reader)
{
    return take_map(reader, take_pair, &self->others);
}
