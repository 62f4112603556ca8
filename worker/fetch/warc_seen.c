#include "worker/fetch/warc_seen.h"

#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/list.h"
#include "common/map.h"

struct seen {
    struct ag_map_node node; /* its id: half of the key */
    struct ag_link link;     /* used last: in front */
    uint8_t key[32];
    struct warc_original original;
    char uri[];
};

struct warc_seen {
    struct ag_map map;
    struct ag_link used;
};

int warc_seen_new(warc_seen_t **out, uint64_t seed, struct argosy_error *err)
{
    warc_seen_t *self = calloc(1, sizeof *self);

    *out = NULL;
    if (self == NULL || ag_map_init(&self->map, seed) < 0) {
        free(self);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a table of payloads");
    }
    ag_link_init(&self->used);
    *out = self;
    return 0;
}

static struct seen *find(const warc_seen_t *self, const uint8_t key[32])
{
    struct ag_map_node *node;
    struct ag_id id;

    memcpy(id.bytes, key, sizeof id.bytes);
    node = ag_map_find(&self->map, &id);
    return node != NULL ? AG_OWNER(node, struct seen, node) : NULL;
}

static void forget(warc_seen_t *self, struct seen *seen)
{
    ag_map_remove(&self->map, &seen->node);
    ag_link_remove(&seen->link);
    free(seen);
}

const struct warc_original *warc_seen_find(warc_seen_t *self, const uint8_t key[32])
{
    struct seen *seen = find(self, key);

    if (seen == NULL || memcmp(seen->key, key, sizeof seen->key) != 0)
        return NULL;
    ag_list_prepend(&self->used, &seen->link);
    return &seen->original;
}

void warc_seen_add(warc_seen_t *self, const uint8_t key[32], const struct warc_original *original)
{
    size_t size = strlen(original->uri) + 1;
    struct seen *seen, *before = find(self, key);

    if (size > WARC_SEEN_URI_MAX || (seen = calloc(1, sizeof *seen + size)) == NULL)
        return;
    if (before == NULL && self->map.count == WARC_SEEN_MAX)
        before = AG_OWNER(self->used.prev, struct seen, link);
    if (before != NULL)
        forget(self, before);
    memcpy(seen->key, key, sizeof seen->key);
    memcpy(seen->node.id.bytes, key, sizeof seen->node.id.bytes);
    memcpy(seen->uri, original->uri, size);
    seen->original = *original;
    seen->original.uri = seen->uri;
    ag_link_init(&seen->link);
    ag_list_prepend(&self->used, &seen->link);
    ag_map_add(&self->map, &seen->node);
}

void warc_seen_destroy(warc_seen_t **self_p)
{
    warc_seen_t *self = *self_p;

    if (self == NULL)
        return;
    while (!ag_list_is_empty(&self->used))
        forget(self, AG_OWNER(self->used.next, struct seen, link));
    ag_map_fini(&self->map);
    free(self);
    *self_p = NULL;
}
