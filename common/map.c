#include "common/map.h"

#include <stdlib.h>

#include "common/assert.h"

enum { BUCKETS_FIRST = 64 };

static struct ag_map_node **bucket_of(const struct ag_map *self, const struct ag_id *id)
{
    return &self->buckets[ag_id_hash(id, self->seed) & (self->size - 1)];
}

int ag_map_init(struct ag_map *self, uint64_t seed)
{
    *self = (struct ag_map){.size = BUCKETS_FIRST, .seed = seed};
    self->buckets = calloc(self->size, sizeof(struct ag_map_node *));
    if (self->buckets != NULL)
        return 0;
    self->size = 0; /* so that it may be walked and ended like any other */
    return ARGOSY_ENOMEM;
}

void ag_map_fini(struct ag_map *self)
{
    free(self->buckets);
    *self = (struct ag_map){0};
}

struct ag_map_node *ag_map_find(const struct ag_map *self, const struct ag_id *id)
{
    for (struct ag_map_node *node = *bucket_of(self, id); node != NULL; node = node->next)
        if (ag_id_equal(&node->id, id))
            return node;
    return NULL;
}

static void put(struct ag_map *self, struct ag_map_node *node)
{
    struct ag_map_node **bucket = bucket_of(self, &node->id);

    node->next = *bucket;
    *bucket = node;
}

static void grow(struct ag_map *self)
{
    struct ag_map bigger = *self;

    bigger.size *= 2;
    bigger.buckets = calloc(bigger.size, sizeof(struct ag_map_node *));
    if (bigger.buckets == NULL)
        return;
    for (size_t i = 0; i < self->size; i++) {
        struct ag_map_node *next;

        for (struct ag_map_node *node = self->buckets[i]; node != NULL; node = next) {
            next = node->next;
            put(&bigger, node);
        }
    }
    free(self->buckets);
    *self = bigger;
}

void ag_map_add(struct ag_map *self, struct ag_map_node *node)
{
    if (self->count >= self->size)
        grow(self);
    put(self, node);
    self->count++;
}

void ag_map_remove(struct ag_map *self, struct ag_map_node *node)
{
    struct ag_map_node **at = bucket_of(self, &node->id);

    while (*at != node) {
        AG_ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = node->next;
    node->next = NULL;
    self->count--;
}

struct ag_map_node *ag_map_next(const struct ag_map *self, const struct ag_map_node *node)
{
    size_t i = 0;

    if (node != NULL) {
        if (node->next != NULL)
            return node->next;
        i = (size_t)(bucket_of(self, &node->id) - self->buckets) + 1;
    }
    for (; i < self->size; i++)
        if (self->buckets[i] != NULL)
            return self->buckets[i];
    return NULL;
}
