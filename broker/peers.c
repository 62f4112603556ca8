#include "broker/peers.h"

#include <stdlib.h>

#include "common/assert.h"

struct peers {
    struct ag_map map;
    struct ag_link idle; /* without a session, the one to forget first in front */
    struct peer *slots[PEERS_MAX];
    uint16_t generations[PEERS_MAX];
    uint32_t count; /* slots that were ever used */
};

peers_t *peers_new(uint64_t seed)
{
    peers_t *self = calloc(1, sizeof *self);

    if (self != NULL && ag_map_init(&self->map, seed) < 0) {
        free(self);
        self = NULL;
    }
    if (self != NULL)
        ag_link_init(&self->idle);
    return self;
}

void peers_destroy(peers_t **self_p)
{
    peers_t *self = *self_p;

    if (self == NULL)
        return;
    for (uint32_t i = 0; i < self->count; i++)
        free(self->slots[i]);
    ag_map_fini(&self->map);
    free(self);
    *self_p = NULL;
}

static uint32_t place_of(uint32_t number)
{
    return number % PEERS_MAX;
}

/* A slot for a new peer: an unused one, else that of the peer that has been idle longest. */
static struct peer *make(peers_t *self)
{
    struct peer *peer;
    uint32_t place;

    if (self->count < PEERS_MAX) {
        peer = calloc(1, sizeof *peer);
        if (peer == NULL)
            return NULL;
        place = self->count++;
        self->slots[place] = peer;
    } else if (!ag_list_is_empty(&self->idle)) {
        peer = AG_OWNER(self->idle.next, struct peer, idle);
        place = place_of(peer->number);
        ag_link_remove(&peer->idle);
        ag_map_remove(&self->map, &peer->node);
        *peer = (struct peer){0};
    } else {
        return NULL;
    }
    ag_link_init(&peer->idle);
    peer->number = (uint32_t)self->generations[place]++ * PEERS_MAX + place;
    return peer;
}

struct peer *peers_of(peers_t *self, const void *routing_id, size_t size)
{
    struct ag_id key = {{0}};
    struct ag_map_node *node;
    struct peer *peer;

    if (size > PEER_ID_BYTES)
        return NULL;
    key.bytes[0] = (uint8_t)size;
    memcpy(&key.bytes[1], routing_id, size);
    node = ag_map_find(&self->map, &key);
    if (node != NULL) {
        peer = AG_OWNER(node, struct peer, node);
    } else {
        peer = make(self);
        if (peer == NULL)
            return NULL;
        peer->node.id = key;
        ag_map_add(&self->map, &peer->node);
    }
    if (peer->role == 0)
        ag_list_append(&self->idle, &peer->idle);
    return peer;
}

struct peer *peers_find(peers_t *self, uint32_t number)
{
    struct peer *peer = self->slots[place_of(number)];

    return peer != NULL && peer->number == number ? peer : NULL;
}

void peer_open(struct peer *peer, enum proto_role role, const struct ag_id *instance)
{
    ag_link_remove(&peer->idle);
    peer->role = role;
    peer->instance = *instance;
}

void peers_close(peers_t *self, struct peer *peer)
{
    peer->role = 0;
    peer->instance = (struct ag_id){{0}};
    ag_list_append(&self->idle, &peer->idle);
}

void peers_each(peers_t *self, void (*fn)(void *arg, struct peer *peer), void *arg)
{
    for (uint32_t i = 0; i < self->count; i++)
        if (self->slots[i]->role != 0)
            fn(arg, self->slots[i]);
}
