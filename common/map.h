/* map.h - from an id to the object that embeds a node with it; chained, grows by doubling.
 *
 * Threads: one at a time. Pure: the seed that keeps strangers from choosing colliding ids is an
 * argument.
 */
#ifndef AG_MAP_H
#define AG_MAP_H

#include <stddef.h>

#include "common/id.h"

struct ag_map_node {
    struct ag_map_node *next;
    struct ag_id id;
};

struct ag_map {
    struct ag_map_node **buckets;
    size_t size, count; /* buckets, a power of two; nodes */
    uint64_t seed;
};

/* ARGOSY_ENOMEM: it is empty, and only ag_map_next() and ag_map_fini() may follow. */
int ag_map_init(struct ag_map *self, uint64_t seed);

/* Forgets the nodes; their owners free them. */
void ag_map_fini(struct ag_map *self);

struct ag_map_node *ag_map_find(const struct ag_map *self, const struct ag_id *id);

/* node->id must be set and not be in the map yet. Cannot fail: without memory to grow, chains only
 * become longer. */
void ag_map_add(struct ag_map *self, struct ag_map_node *node);

/* The node must be in the map. */
void ag_map_remove(struct ag_map *self, struct ag_map_node *node);

/* All nodes, in no order: start with NULL; NULL ends it. The map must not change meanwhile. */
struct ag_map_node *ag_map_next(const struct ag_map *self, const struct ag_map_node *node);

#endif
