#include "worker/analyze/troubles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "worker/analyze/pack.h"
#include "worker/analyze/take.h"

enum { ERROR_KEYS = 4, LEAF_KEYS = 4 };

void troubles_fini(struct troubles *self)
{
    for (size_t i = 0; i < self->told; i++)
        free(self->rows[i].path);
    self->told = 0;
}

static int compare(const struct trouble *a, const struct trouble *b)
{
    int order = strcmp(a->path, b->path);

    if (order == 0)
        order = strcmp(a->type, b->type);
    return order != 0 ? order : strcmp(a->message, b->message);
}

/* Among those that are told, in order; the last one goes when there is no room. */
static int tell(struct troubles *self, const struct trouble *row)
{
    size_t place = self->told;
    char *path;

    while (place > 0 && compare(&self->rows[place - 1], row) > 0)
        place--;
    if (place == TROUBLES_TOLD)
        return 0;
    path = strdup(row->path);
    if (path == NULL)
        return ARGOSY_ENOMEM;
    if (self->told == TROUBLES_TOLD)
        free(self->rows[--self->told].path);
    memmove(&self->rows[place + 1], &self->rows[place], (self->told - place) * sizeof *self->rows);
    self->rows[place] = *row;
    self->rows[place].path = path;
    self->told++;
    return 0;
}

static int tell_texts(struct troubles *self, const char *path, const char *type,
                      const char *message)
{
    struct trouble row = {.path = (char *)path};

    snprintf(row.type, sizeof row.type, "%s", type);
    snprintf(row.message, sizeof row.message, "%s", message);
    return tell(self, &row);
}

int troubles_add(struct troubles *self, const char *path, const char *type, const char *message)
{
    self->count++;
    return tell_texts(self, path, type, message);
}

int troubles_absorb(struct troubles *self, const struct troubles *other)
{
    int rc = 0;

    self->count += other->count;
    for (size_t i = 0; i < other->told && rc == 0; i++)
        rc = tell(self, &other->rows[i]);
    return rc;
}

/* ---- as msgpack
 * ------------------------------------------------------------------------------------------- */

/* `source` stands for the path of what was named itself, which has none within the source. */
static void pack_leaves(const struct troubles *self, const char *source, msgpack_packer *packer)
{
    pack_key(packer, "errors");
    msgpack_pack_array(packer, self->told);
    for (size_t i = 0; i < self->told; i++) {
        msgpack_pack_map(packer, LEAF_KEYS);
        pack_text(packer, "type", self->rows[i].type);
        pack_text(packer, "message", self->rows[i].message);
        pack_text(packer, "subject", self->rows[i].path[0] != '\0' ? self->rows[i].path : source);
        pack_key(packer, "retryable");
        msgpack_pack_false(packer);
    }
}

void troubles_pack_error(const struct troubles *self, const char *source, uint64_t files,
                         struct ag_buffer *out)
{
    uint64_t all = self->count + files;
    char text[128];
    msgpack_packer packer;

    if (self->count == 0)
        return;
    *out = ag_buffer_empty(AG_RESULT_BYTES_MAX);
    msgpack_packer_init(&packer, out, ag_buffer_write);
    msgpack_pack_map(&packer, ERROR_KEYS);
    snprintf(text, sizeof text, "%llu of %llu file%s could not be read",
             (unsigned long long)self->count, (unsigned long long)all, all == 1 ? "" : "s");
    pack_text(&packer, "message", text);
    pack_text(&packer, "subject", source);
    pack_leaves(self, source, &packer);
    pack_key(&packer, "notes");
    msgpack_pack_array(&packer, self->count > self->told);
    if (self->count > self->told) {
        snprintf(text, sizeof text, "%llu more are not listed",
                 (unsigned long long)(self->count - self->told));
        pack_key(&packer, text);
    }
}

void troubles_pack(const struct troubles *self, msgpack_packer *packer)
{
    msgpack_pack_map(packer, 2);
    pack_number(packer, "count", self->count);
    pack_leaves(self, "", packer);
}

struct leaf {
    char *path, *type, *message;
};

static int take_leaf_pair(void *arg, struct ag_bytes key, struct ag_reader *reader)
{
    struct leaf *leaf = arg;

    if (ag_bytes_are(key, "type"))
        return take_text(reader, &leaf->type);
    if (ag_bytes_are(key, "message"))
        return take_text(reader, &leaf->message);
    if (ag_bytes_are(key, "subject"))
        return take_text(reader, &leaf->path);
    ag_read_skip(reader);
    return 0;
}

static int take_leaf(void *self, struct ag_reader *reader)
{
    struct leaf leaf = {0};
    int rc = take_map(reader, take_leaf_pair, &leaf);

    if (rc == 0 && (leaf.path == NULL || leaf.type == NULL || leaf.message == NULL))
        rc = ARGOSY_EPROTO;
    if (rc == 0)
        rc = tell_texts(self, leaf.path, leaf.type, leaf.message);
    free(leaf.path);
    free(leaf.type);
    free(leaf.message);
    return rc;
}

static int take_pair(void *arg, struct ag_bytes key, struct ag_reader *reader)
{
    struct troubles *self = arg;

    if (ag_bytes_are(key, "count"))
        take_sum(reader, &self->count);
    else if (ag_bytes_are(key, "errors"))
        return take_array(reader, take_leaf, self);
    else
        ag_read_skip(reader);
    return 0;
}

int troubles_take(struct troubles *self, struct ag_reader *reader)
{
    return take_map(reader, take_pair, self);
}
