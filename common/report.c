#include <argosy/report.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/report_tree.h"
#include "common/selector.h"

/* ---- the arena
 * ---------------------------------------------------------------------------------------- */

enum { CHUNK_BYTES = 16 << 10 };

struct ag_chunk {
    struct ag_chunk *next;
    size_t used, size;
    _Alignas(16) uint8_t data[];
};

void *ag_report_room(argosy_report *self, size_t size)
{
    struct ag_chunk *chunk = self->chunks;
    void *room;

    size = (size + 15) & ~(size_t)15;
    if (chunk == NULL || chunk->size - chunk->used < size) {
        size_t want = size > CHUNK_BYTES ? size : CHUNK_BYTES;

        if (want > self->bytes_max - self->bytes ||
            (chunk = calloc(1, sizeof *chunk + want)) == NULL) {
            self->failed = true;
            return NULL;
        }
        self->bytes += want;
        chunk->size = want;
        chunk->next = self->chunks;
        self->chunks = chunk;
    }
    room = chunk->data + chunk->used;
    chunk->used += size;
    return room;
}

/* Empty again, with one chunk kept for the next use. */
static void reset_arena(argosy_report *self)
{
    struct ag_chunk *next;

    while (self->chunks != NULL && self->chunks->next != NULL) {
        next = self->chunks->next;
        self->bytes -= self->chunks->size;
        free(self->chunks);
        self->chunks = next;
    }
    if (self->chunks != NULL) {
        memset(self->chunks->data, 0, self->chunks->used);
        self->chunks->used = 0;
    }
    self->failed = false;
}

size_t ag_report_bytes(const argosy_report *self)
{
    size_t bytes = sizeof *self;

    for (const struct ag_chunk *chunk = self->chunks; chunk != NULL; chunk = chunk->next)
        bytes += sizeof *chunk + chunk->size;
    return bytes;
}

argosy_report *ag_report_scratch(argosy_report *self)
{
    if (self->scratch == NULL)
        self->scratch = argosy_report_new("");
    if (self->scratch == NULL)
        self->failed = true;
    else
        reset_arena(self->scratch);
    return self->scratch;
}

const char *ag_report_text(argosy_report *self, struct ag_bytes text)
{
    char *copy = text.size > 0 ? ag_report_room(self, text.size + 1) : NULL;

    if (copy == NULL)
        return "";
    memcpy(copy, text.data, text.size);
    return copy;
}

void ag_report_set_detail(argosy_report *self, struct argosy_node *node, struct ag_bytes detail)
{
    void *copy = ag_report_room(self, detail.size);

    node->detail = copy;
    node->detail_size = copy != NULL ? detail.size : 0;
    if (copy != NULL)
        memcpy(copy, detail.data, detail.size);
}

struct argosy_node *ag_report_node(argosy_report *self, enum argosy_node_type type)
{
    struct argosy_node *node = ag_report_room(self, sizeof *node);

    if (node == NULL)
        return NULL;
    node->type = type;
    node->count = type == ARGOSY_LEAF;
    node->message = node->error_type = node->kind = node->subject = node->job = node->worker =
        node->host = "";
    return node;
}

/* Room for one pointer more: an array grows at powers of two. */
static void *grow(argosy_report *self, const void *items, size_t count)
{
    void *grown;

    if (count > 0 && (count & (count - 1)) != 0)
        return (void *)items;
    grown = ag_report_room(self, (count > 0 ? 2 * count : 1) * sizeof(void *));
    if (grown != NULL && count > 0)
        memcpy(grown, items, count * sizeof(void *));
    return grown;
}

void ag_report_add_child(argosy_report *self, struct argosy_node *parent, struct argosy_node *child)
{
    struct argosy_node **children;

    if (parent == NULL || child == NULL)
        return;
    children = grow(self, parent->children, parent->children_count);
    if (children == NULL)
        return;
    children[parent->children_count++] = child;
    parent->children = children;
}

void ag_report_add_note(argosy_report *self, struct argosy_node *node, struct ag_bytes note)
{
    const char **notes;

    if (node == NULL || node->notes_count >= AG_REPORT_NOTES)
        return;
    notes = grow(self, node->notes, node->notes_count);
    if (notes == NULL)
        return;
    notes[node->notes_count++] = ag_report_text(self, note);
    node->notes = notes;
}

/* ---- folding
 * ------------------------------------------------------------------------------------------ */

/* What stands between "scheme://" and the path. */
static struct ag_bytes authority(struct ag_bytes subject)
{
    const char *text = (const char *)subject.data;
    size_t size = 0;

    while (size < subject.size && (isalnum((unsigned char)text[size]) || strchr("+-.", text[size])))
        size++;
    if (size == 0 || subject.size - size < 3 || memcmp(text + size, "://", 3) != 0)
        return ag_bytes_of_text("");
    text += size + 3;
    size = 0;
    while (text + size < (const char *)subject.data + subject.size &&
           strchr("/?#", text[size]) == NULL)
        size++;
    return ag_bytes_of(text, size);
}

struct ag_bytes ag_report_credentials(struct ag_bytes subject)
{
    struct ag_bytes all = authority(subject);
    const uint8_t *at = all.size > 0 ? memrchr(all.data, '@', all.size) : NULL;

    return at != NULL ? ag_bytes_of(all.data, (size_t)(at - all.data)) : ag_bytes_of(NULL, 0);
}

struct ag_bytes ag_report_host(struct ag_bytes subject)
{
    struct ag_bytes all = authority(subject), secret = ag_report_credentials(subject);
    size_t cut = secret.data != NULL ? secret.size + 1 : 0;

    return ag_bytes_of(all.data + cut, all.size - cut);
}

/* FNV-1a of the texts and the zeros behind them: quick, and only a first look. Who makes them
 * collide on purpose makes AG_REPORT_FOLDS comparisons of each. */
static uint64_t hash_of(const struct argosy_node *leaf)
{
    const char *const texts[] = {leaf->error_type, leaf->kind, leaf->host};
    uint64_t hash = 0xcbf29ce484222325;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (const unsigned char *c = (const unsigned char *)texts[i];; c++) {
            hash = (hash ^ *c) * 0x100000001b3;
            if (*c == '\0')
                break;
        }
    return hash;
}

static bool are_alike(const struct argosy_node *a, const struct argosy_node *b)
{
    return strcmp(a->error_type, b->error_type) == 0 && strcmp(a->kind, b->kind) == 0 &&
           strcmp(a->host, b->host) == 0;
}

static struct argosy_node **child_at(argosy_report *self, size_t place)
{
    return (struct argosy_node **)self->root->children + place;
}

/* Put a fold in the leaf's place. */
static struct argosy_node *fold(argosy_report *self, struct argosy_node *leaf)
{
    struct argosy_node *node = ag_report_node(self, ARGOSY_FOLD);

    if (node == NULL)
        return NULL;
    node->error_type = leaf->error_type;
    node->message = leaf->message;
    node->kind = leaf->kind;
    node->host = leaf->host;
    node->retryable = leaf->retryable;
    node->count = 1;
    ag_report_add_child(self, node, leaf);
    return node;
}

static bool has_room(const argosy_report *self)
{
    return self->bytes < AG_REPORT_BYTES;
}

static void fold_into(argosy_report *self, struct argosy_node **place,
                      const struct argosy_node *leaf)
{
    struct argosy_node *node = *place;

    if (node->type == ARGOSY_LEAF) {
        node = fold(self, node);
        if (node == NULL)
            return;
        *place = node;
    }
    node->count++;
    if (node->children_count < AG_REPORT_SAMPLES && has_room(self))
        ag_report_add_child(self, node, ag_report_copy(self, leaf));
}

/* Too many kinds of failure to tell apart: one fold for all the rest. Its leaves keep their types.
 */
static void fold_into_others(argosy_report *self, const struct argosy_node *leaf)
{
    if (self->others == 0) {
        struct argosy_node *node = ag_report_node(self, ARGOSY_FOLD);
        size_t place = self->root->children_count; /* not 0: others come after AG_REPORT_FOLDS */

        if (node == NULL)
            return;
        node->message = "other failures";
        ag_report_add_child(self, self->root, node);
        if (self->root->children_count == place)
            return;
        self->others = place;
    }
    fold_into(self, child_at(self, self->others), leaf);
}

void ag_report_add_leaf(argosy_report *self, const struct argosy_node *leaf)
{
    uint64_t hash = hash_of(leaf);
    size_t place = self->root->children_count;

    for (unsigned i = 0; i < self->folds_count; i++) {
        struct argosy_node **child = child_at(self, self->folds[i].place);

        if (self->folds[i].hash == hash && are_alike(*child, leaf)) {
            fold_into(self, child, leaf);
            return;
        }
    }
    if (place > 0 && (self->folds_count == AG_REPORT_FOLDS || !has_room(self))) {
        fold_into_others(self, leaf);
        return;
    }
    ag_report_add_child(self, self->root, ag_report_copy(self, leaf));
    if (self->root->children_count > place)
        self->folds[self->folds_count++] = (struct ag_fold){.hash = hash, .place = place};
}

void ag_report_add_group(argosy_report *self, const struct argosy_node *group)
{
    if (self->groups < AG_REPORT_GROUPS && has_room(self)) {
        self->groups++;
        ag_report_add_child(self, self->root, ag_report_copy(self, group));
    } else {
        self->groups_beyond++;
    }
}

/* ---- life
 * --------------------------------------------------------------------------------------------- */

argosy_report *argosy_report_new(const char *message)
{
    argosy_report *self = calloc(1, sizeof *self);

    if (self == NULL)
        return NULL;
    self->bytes_max = SIZE_MAX;
    self->root = ag_report_node(self, ARGOSY_GROUP);
    if (self->root == NULL) {
        free(self);
        return NULL;
    }
    self->root->message = ag_report_text(self, ag_bytes_of_text(message));
    return self;
}

void argosy_report_destroy(argosy_report **self_p)
{
    argosy_report *self = *self_p;
    struct ag_chunk *next;

    if (self == NULL)
        return;
    for (struct ag_chunk *chunk = self->chunks; chunk != NULL; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    argosy_report_destroy(&self->scratch);
    free(self);
    *self_p = NULL;
}

const struct argosy_node *argosy_report_root(const argosy_report *self)
{
    return self->root;
}

const struct argosy_counts *argosy_report_counts(const argosy_report *self)
{
    return &self->counts;
}

bool argosy_report_is_empty(const argosy_report *self)
{
    return self->root->children_count == 0;
}

static bool walk(const struct argosy_node *node, unsigned depth,
                 bool (*fn)(void *arg, const struct argosy_node *node, unsigned depth), void *arg)
{
    if (!fn(arg, node, depth))
        return false;
    for (size_t i = 0; i < node->children_count; i++)
        if (!walk(node->children[i], depth + 1, fn, arg))
            return false;
    return true;
}

void argosy_report_walk(const argosy_report *self,
                        bool (*fn)(void *arg, const struct argosy_node *node, unsigned depth),
                        void *arg)
{
    walk(self->root, 0, fn, arg);
}

/* ---- copies and parts
 * --------------------------------------------------------------------------------- */

static const char *copy_text(argosy_report *self, const char *text)
{
    return ag_report_text(self, ag_bytes_of_text(text));
}

static void copy_attempts(argosy_report *self, struct argosy_node *copy,
                          const struct argosy_node *node)
{
    struct argosy_attempt *attempts;

    if (node->attempts_count == 0)
        return;
    attempts = ag_report_room(self, node->attempts_count * sizeof *attempts);
    if (attempts == NULL)
        return;
    for (size_t i = 0; i < node->attempts_count; i++) {
        attempts[i] = node->attempts[i];
        attempts[i].worker = copy_text(self, attempts[i].worker);
        attempts[i].type = copy_text(self, attempts[i].type);
        attempts[i].message = copy_text(self, attempts[i].message);
    }
    copy->attempts = attempts;
    copy->attempts_count = node->attempts_count;
}

/* Everything but the children. */
static struct argosy_node *copy_alone(argosy_report *self, const struct argosy_node *node)
{
    struct argosy_node *copy = ag_report_node(self, node->type);

    if (copy == NULL)
        return NULL;
    *copy = *node;
    copy->message = copy_text(self, node->message);
    copy->error_type = copy_text(self, node->error_type);
    copy->kind = copy_text(self, node->kind);
    copy->subject = copy_text(self, node->subject);
    copy->job = copy_text(self, node->job);
    copy->worker = copy_text(self, node->worker);
    copy->host = copy_text(self, node->host);
    copy->attempts = NULL;
    copy->attempts_count = 0;
    copy_attempts(self, copy, node);
    if (node->detail != NULL)
        ag_report_set_detail(self, copy, ag_bytes_of(node->detail, node->detail_size));
    copy->notes_count = copy->children_count = 0;
    copy->notes = NULL;
    copy->children = NULL;
    for (size_t i = 0; i < node->notes_count; i++)
        ag_report_add_note(self, copy, ag_bytes_of_text(node->notes[i]));
    return copy;
}

struct argosy_node *ag_report_copy(argosy_report *self, const struct argosy_node *node)
{
    struct argosy_node *copy = copy_alone(self, node);

    for (size_t i = 0; copy != NULL && i < node->children_count; i++)
        ag_report_add_child(self, copy, ag_report_copy(self, node->children[i]));
    return copy;
}

/* The part of a node whose leaves match (or do not); NULL when there is none. */
static struct argosy_node *part(argosy_report *self, const struct argosy_node *node,
                                struct ag_bytes selectors, bool wanted)
{
    struct argosy_node *copy;

    if (node->type != ARGOSY_GROUP) {
        bool matches = ag_selector_list_matches(selectors, ag_bytes_of_text(node->error_type));

        return matches == wanted ? ag_report_copy(self, node) : NULL;
    }
    copy = copy_alone(self, node);
    for (size_t i = 0; copy != NULL && i < node->children_count; i++)
        ag_report_add_child(self, copy, part(self, node->children[i], selectors, wanted));
    return copy != NULL && copy->children_count > 0 ? copy : NULL;
}

static int make_part(const argosy_report *self, const char *selectors, bool wanted,
                     argosy_report **out)
{
    argosy_report *report = argosy_report_new(self->root->message);
    struct argosy_node *root;

    *out = NULL;
    if (report == NULL)
        return ARGOSY_ENOMEM;
    report->counts = self->counts;
    root = part(report, self->root, ag_bytes_of_text(selectors), wanted);
    if (root == NULL || report->failed) {
        int rc = report->failed ? ARGOSY_ENOMEM : 0;

        argosy_report_destroy(&report);
        return rc;
    }
    report->root = root;
    *out = report;
    return 0;
}

int argosy_report_split(const argosy_report *self, const char *selectors, argosy_report **matching,
                        argosy_report **rest)
{
    int rc = make_part(self, selectors, true, matching);

    *rest = NULL;
    if (rc == 0)
        rc = make_part(self, selectors, false, rest);
    if (rc < 0)
        argosy_report_destroy(matching);
    return rc;
}

argosy_report *argosy_report_subgroup(const argosy_report *self, const char *selectors)
{
    argosy_report *matching;

    make_part(self, selectors, true, &matching);
    return matching;
}

argosy_report *argosy_report_derive(const argosy_report *self, const char *message)
{
    argosy_report *copy = argosy_report_new("");

    if (copy == NULL)
        return NULL;
    copy->counts = self->counts;
    copy->root = ag_report_copy(copy, self->root);
    if (copy->root != NULL)
        copy->root->message = copy_text(copy, message);
    if (copy->failed)
        argosy_report_destroy(&copy);
    return copy;
}
