#include "worker/analyze/numstat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"

enum {
    SLOTS = 1 << 15,
    BINARY_LOOKED_AT = 8000, /* a zero byte in here makes a file binary, as for git */
    FEW_LINES = 48           /* up to so many on both sides are compared each with each */
};

/* A tree or a blob that was read; both NULL: free. */
struct kept {
    git_oid id;
    git_odb_object *tree;
    git_blob *blob;
    unsigned used; /* by how many at the moment */
};

struct numstat {
    repo_t *repo;
    const atomic_int *stop;
    const struct numstat_visitor *visitor;
    struct kept *slots;
    size_t kept_bytes, hand;
    uint64_t entries;
    git_diff_options options;
    char path[NUMSTAT_PATH_MAX];
};

numstat_t *numstat_new(repo_t *repo, const atomic_int *stop)
{
    numstat_t *self = calloc(1, sizeof *self);

    if (self == NULL || (self->slots = calloc(SLOTS, sizeof *self->slots)) == NULL) {
        free(self);
        return NULL;
    }
    self->repo = repo;
    self->stop = stop;
    git_diff_options_init(&self->options, GIT_DIFF_OPTIONS_VERSION);
    self->options.context_lines = 0;
    self->options.interhunk_lines = 0;
    self->options.flags = GIT_DIFF_FORCE_TEXT; /* we have looked already */
    return self;
}

/* ---- what was read last
 * ------------------------------------------------------------------------------------ */

static size_t size_of(const struct kept *kept)
{
    return kept->tree != NULL   ? git_odb_object_size(kept->tree)
           : kept->blob != NULL ? (size_t)git_blob_rawsize(kept->blob)
                                : 0;
}

static void drop(struct numstat *self, struct kept *kept)
{
    self->kept_bytes -= size_of(kept);
    git_odb_object_free(kept->tree);
    git_blob_free(kept->blob);
    *kept = (struct kept){0};
}

void numstat_destroy(numstat_t **self_p)
{
    numstat_t *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        drop(self, &self->slots[i]);
    free(self->slots);
    free(self);
}

static void make_room(struct numstat *self)
{
    for (size_t looked = 0; self->kept_bytes > NUMSTAT_KEPT_BYTES && looked < SLOTS; looked++) {
        self->hand = (self->hand + 1) & (SLOTS - 1);
        if (self->slots[self->hand].used == 0)
            drop(self, &self->slots[self->hand]);
    }
}

/* The slot for an id, or the next one if another is in use there. Ids are as good as random. */
static struct kept *slot_of(struct numstat *self, const git_oid *id)
{
    uint32_t at;

    memcpy(&at, id->id, sizeof at);
    for (unsigned tries = 0;; tries++, at++) {
        struct kept *kept = &self->slots[at & (SLOTS - 1)];

        if (git_oid_equal(&kept->id, id) && (kept->tree != NULL || kept->blob != NULL))
            return kept;
        if (kept->used == 0 || tries == SLOTS)
            return kept;
    }
}

/* Read it or have it; release() when done. At most two for each level of directories and two blobs
 * are in use at once, so there is always a slot. */
static int take(struct numstat *self, const git_oid *id, bool is_tree, struct kept **out,
                struct argosy_error *err)
{
    struct kept *kept = slot_of(self, id);
    int rc;

    if (!git_oid_equal(&kept->id, id) || (is_tree ? kept->tree == NULL : kept->blob == NULL)) {
        if (kept->used > 0)
            return ag_fail(err, ARGOSY_EPROTO, "it is called a file here and a directory there");
        drop(self, kept);
        rc = is_tree
                 ? repo_read(self->repo, id, GIT_OBJECT_TREE, REPO_TREE_BYTES_MAX, &kept->tree, err)
                 : repo_read_blob(self->repo, id, NUMSTAT_BLOB_BYTES_MAX, &kept->blob, err);
        if (rc < 0)
            return rc;
        kept->id = *id;
        self->kept_bytes += size_of(kept);
    }
    kept->used++;
    make_room(self);
    *out = kept;
    return 0;
}

static void release(struct kept *kept)
{
    if (kept != NULL)
        kept->used--;
}

/* ---- two files
 * ------------------------------------------------------------------------------------------ */

static struct ag_bytes text_of(const struct kept *kept)
{
    return kept != NULL && size_of(kept) > 0
               ? ag_bytes_of(git_blob_rawcontent(kept->blob), size_of(kept))
               : ag_bytes_of("", 0);
}

static bool is_binary(struct ag_bytes text)
{
    size_t size = text.size < BINARY_LOOKED_AT ? text.size : BINARY_LOOKED_AT;

    return size > 0 && memchr(text.data, '\0', size) != NULL;
}

/* As diff counts them: what stands behind the last newline is a line too. */
static uint32_t count_lines(struct ag_bytes text)
{
    const uint8_t *at = text.data, *end = at + text.size;
    uint32_t lines = 0;

    while (at < end) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));

        lines++;
        at = newline != NULL ? newline + 1 : end;
    }
    return lines;
}

/* Whole lines that both begin and end with. */
static void trim(struct ag_bytes *a, struct ag_bytes *b)
{
    size_t less = a->size < b->size ? a->size : b->size, same = 0;

    while (same + 64 <= less && memcmp(a->data + same, b->data + same, 64) == 0)
        same += 64;
    while (same < less && a->data[same] == b->data[same])
        same++;
    while (same > 0 && a->data[same - 1] != '\n')
        same--;
    *a = ag_bytes_of(a->data + same, a->size - same);
    *b = ag_bytes_of(b->data + same, b->size - same);
    less -= same;
    same = 0;
    while (same + 64 <= less &&
           memcmp(a->data + a->size - same - 64, b->data + b->size - same - 64, 64) == 0)
        same += 64;
    while (same < less && a->data[a->size - same - 1] == b->data[b->size - same - 1])
        same++;
    /* Back to where a line begins in both. */
    while (same > 0 && !((same == a->size || a->data[a->size - same - 1] == '\n') &&
                         (same == b->size || b->data[b->size - same - 1] == '\n')))
        same--;
    a->size -= same;
    b->size -= same;
}

static size_t split(struct ag_bytes text, struct ag_bytes lines[FEW_LINES])
{
    size_t count = 0;

    while (text.size > 0) {
        const uint8_t *newline = memchr(text.data, '\n', text.size);
        size_t size = newline != NULL ? (size_t)(newline - text.data) + 1 : text.size;

        if (count == FEW_LINES)
            return FEW_LINES + 1;
        lines[count++] = ag_bytes_of(text.data, size);
        text = ag_bytes_of(text.data + size, text.size - size);
    }
    return count;
}

/* Nothing of the one is in the other: then every line came or went, whatever a diff would try. */
static bool share_nothing(struct ag_bytes a, struct ag_bytes b)
{
    struct ag_bytes of_a[FEW_LINES], of_b[FEW_LINES];
    size_t count_a = split(a, of_a), count_b = count_a <= FEW_LINES ? split(b, of_b) : 0;

    if (count_a > FEW_LINES || count_b > FEW_LINES)
        return false;
    for (size_t i = 0; i < count_a; i++)
        for (size_t k = 0; k < count_b; k++)
            if (ag_bytes_equal(of_a[i], of_b[k]))
                return false;
    return true;
}

static int on_hunk(const git_diff_delta *delta, const git_diff_hunk *hunk, void *arg)
{
    struct numstat_file *file = arg;

    (void)delta;
    file->added += (uint32_t)hunk->new_lines;
    file->deleted += (uint32_t)hunk->old_lines;
    return 0;
}

/* Most differences are one place where lines came, went or were replaced: these are counted here.
 * The rest is for the diff, whole: without what both begin and end with it would find others. */
static int compare(struct numstat *self, const struct kept *from, const struct kept *to,
                   struct numstat_file *file, struct argosy_error *err)
{
    struct ag_bytes a = text_of(from), b = text_of(to);

    if (is_binary(a) || is_binary(b))
        return 0;
    trim(&a, &b);
    if (a.size == 0 || b.size == 0 || share_nothing(a, b)) {
        file->added = count_lines(b);
        file->deleted = count_lines(a);
        return 0;
    }
    if (git_diff_blobs(from->blob, NULL, to->blob, NULL, &self->options, NULL, NULL, on_hunk, NULL,
                       file) == 0)
        return 0;
    return ag_fail(err, ARGOSY_EIO, "the difference cannot be found");
}

static bool is_file(unsigned mode)
{
    return (mode & REPO_MODE_TYPE) == REPO_MODE_FILE || (mode & REPO_MODE_TYPE) == REPO_MODE_LINK;
}

/* Either may be NULL; the path is in self->path. */
static int diff_files(struct numstat *self, const struct repo_entry *from,
                      const struct repo_entry *to)
{
    struct numstat_file file = {.path = self->path};
    struct kept *a = NULL, *b = NULL;
    struct argosy_error err = {0};
    int rc = 0;

    if (from != NULL && is_file(from->mode))
        rc = take(self, &from->id, false, &a, &err);
    if (rc == 0 && to != NULL && is_file(to->mode))
        rc = take(self, &to->id, false, &b, &err);
    if (rc == 0)
        rc = compare(self, a, b, &file, &err);
    release(a);
    release(b);
    if (rc == ARGOSY_ENOMEM)
        return rc;
    /* A submodule is one line, with its commit. */
    file.deleted += from != NULL && (from->mode & REPO_MODE_TYPE) == REPO_MODE_SUBMODULE;
    file.added += to != NULL && (to->mode & REPO_MODE_TYPE) == REPO_MODE_SUBMODULE;
    if (rc < 0 && rc != ARGOSY_ETOOBIG) {
        rc = self->visitor->trouble(self->visitor->arg, self->path, &err);
        if (rc != 0)
            return rc;
    }
    return self->visitor->file(self->visitor->arg, &file);
}

/* ---- two trees
 * ------------------------------------------------------------------------------------------ */

/* One of two trees, where it is being read. */
struct side {
    struct kept *tree;
    const uint8_t *at, *end;
    struct repo_entry entry;
    int has; /* 1: entry is the next one; 0: the end; below 0: damaged */
};

static bool is_tree(const struct repo_entry *entry)
{
    return entry != NULL && (entry->mode & REPO_MODE_TYPE) == REPO_MODE_TREE;
}

static void next(struct side *side)
{
    side->has = repo_next_entry(&side->at, side->end, &side->entry);
}

static int open_side(struct numstat *self, const git_oid *id, struct side *side,
                     struct argosy_error *err)
{
    int rc;

    *side = (struct side){0};
    if (id == NULL)
        return 0;
    rc = take(self, id, true, &side->tree, err);
    if (rc < 0)
        return rc;
    side->at = git_odb_object_data(side->tree->tree);
    side->end = side->at + size_of(side->tree);
    next(side);
    return 0;
}

/* The order of trees: names as bytes, those of directories with a slash behind them. */
static int compare_names(const struct repo_entry *a, const struct repo_entry *b)
{
    size_t less = a->name_size < b->name_size ? a->name_size : b->name_size;
    int order = memcmp(a->name, b->name, less);
    int x, y;

    if (order != 0)
        return order;
    x = a->name_size > less ? (uint8_t)a->name[less] : is_tree(a) ? '/' : 0;
    y = b->name_size > less ? (uint8_t)b->name[less] : is_tree(b) ? '/' : 0;
    return x - y;
}

static int diff_trees(struct numstat *self, const git_oid *from, const git_oid *to, size_t length,
                      unsigned depth);

/* Entries of one name, one of which may be NULL. A file that became a directory has two names in
 * the order of trees, so both are of one sort, or the other is NULL. */
static int diff_entries(struct numstat *self, const struct repo_entry *from,
                        const struct repo_entry *to, size_t length, unsigned depth)
{
    const struct repo_entry *entry = from != NULL ? from : to;
    size_t end = length + entry->name_size;
    struct argosy_error err = {0};

    if (self->stop != NULL && atomic_load(self->stop) != 0)
        return ARGOSY_ESTATE;
    if (++self->entries > NUMSTAT_ENTRIES_MAX)
        return ARGOSY_ETOOBIG;
    if (end + 2 > sizeof self->path) {
        ag_fail(&err, ARGOSY_EIO, "a path in it is longer than %d bytes", NUMSTAT_PATH_MAX);
        return self->visitor->trouble(self->visitor->arg, self->path, &err);
    }
    memcpy(self->path + length, entry->name, entry->name_size + 1);
    if (!is_tree(entry))
        return diff_files(self, from, to);
    memcpy(self->path + end, "/", 2);
    return diff_trees(self, from != NULL ? &from->id : NULL, to != NULL ? &to->id : NULL, end + 1,
                      depth + 1);
}

static int merge(struct numstat *self, struct side *a, struct side *b, size_t length,
                 unsigned depth)
{
    int rc = 0;

    while (rc == 0 && (a->has > 0 || b->has > 0)) {
        int order = a->has <= 0 ? 1 : b->has <= 0 ? -1 : compare_names(&a->entry, &b->entry);

        if (order != 0 || !git_oid_equal(&a->entry.id, &b->entry.id) ||
            a->entry.mode != b->entry.mode)
            rc = diff_entries(self, order <= 0 ? &a->entry : NULL, order >= 0 ? &b->entry : NULL,
                              length, depth);
        if (order <= 0)
            next(a);
        if (order >= 0)
            next(b);
    }
    return rc;
}

static int diff_trees(struct numstat *self, const git_oid *from, const git_oid *to, size_t length,
                      unsigned depth)
{
    struct argosy_error err = {0};
    struct side a = {0}, b = {0};
    int rc;

    if (depth >= NUMSTAT_DEPTH_MAX)
        rc = ag_fail(&err, ARGOSY_EIO, "more than %d directories inside each other",
                     NUMSTAT_DEPTH_MAX);
    else if ((rc = open_side(self, from, &a, &err)) == 0)
        rc = open_side(self, to, &b, &err);
    if (rc == 0) {
        rc = merge(self, &a, &b, length, depth);
        if (rc == 0 && (a.has < 0 || b.has < 0))
            ag_fail(&err, ARGOSY_EPROTO, "its tree is damaged");
    }
    release(a.tree);
    release(b.tree);
    self->path[length] = '\0';
    if (err.code == 0 || err.code == ARGOSY_ENOMEM)
        return rc;
    return self->visitor->trouble(self->visitor->arg, self->path, &err);
}

int numstat_diff(numstat_t *self, const git_oid *from, const git_oid *to,
                 const struct numstat_visitor *visitor)
{
    self->visitor = visitor;
    self->entries = 0;
    self->path[0] = '\0';
    return diff_trees(self, from, to, 0, 0);
}
