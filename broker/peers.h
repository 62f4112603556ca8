/* peers.h - who is at the other end of a connection: ZeroMQ's routing ids to small numbers and
 * back.
 *
 * A peer is a connection, not a process: a worker that reconnects is a new peer of the same
 * instance. Peers without a session are kept as long as there is room, the one that was silent
 * longest goes first; a number that outlives its peer finds nothing.
 *
 * Threads: the reactor's only.
 */
#ifndef BROKER_PEERS_H
#define BROKER_PEERS_H

#include "common/id.h"
#include "common/list.h"
#include "common/map.h"
#include "common/proto.h"

enum {
    PEERS_MAX = 65536,  /* connections that are remembered; numbers hold 16 bits of place */
    PEER_ID_BYTES = 15, /* longest routing id; those that ZeroMQ makes have 5 */
    PEER_REJECTS_MAX = 8
};

struct peer {
    struct ag_map_node node; /* by routing id: its length, then its bytes */
    struct ag_link idle;     /* while it has no session */
    uint32_t number;
    enum proto_role role;  /* of its session; 0 if it has none */
    struct ag_id instance; /* of its session */
    unsigned rejects;      /* messages that broke the protocol */
};

typedef struct peers peers_t;

/* NULL when memory is short. */
peers_t *peers_new(uint64_t seed);
void peers_destroy(peers_t **self_p);

/* The peer with this routing id, made if it is new. NULL when it cannot be remembered: the id is
 * longer than PEER_ID_BYTES, memory is short, or all PEERS_MAX have sessions. */
struct peer *peers_of(peers_t *self, const void *routing_id, size_t size);

/* The peer with this number, or NULL when it is gone. */
struct peer *peers_find(peers_t *self, uint32_t number);

void peer_open(struct peer *peer, enum proto_role role, const struct ag_id *instance);
void peers_close(peers_t *self, struct peer *peer);

/* Calls fn for each that has a session. */
void peers_each(peers_t *self, void (*fn)(void *arg, struct peer *peer), void *arg);

static inline struct ag_bytes peer_routing_id(const struct peer *peer)
{
    return ag_bytes_of(&peer->node.id.bytes[1], peer->node.id.bytes[0]);
}

#endif
