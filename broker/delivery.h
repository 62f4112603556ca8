/* delivery.h - carries out what the core wants said: effects become messages, messages are sent.
 *
 * Neighbouring effects of one kind for one peer travel in one message (JOBS, RECORDED, STOP).
 * Sending never blocks. A peer that is not connected any more misses its message: the session's
 * next HELLO, or its silence, settles what that means. A peer that is connected but reads so slowly
 * that its pipe is full ends its session, because nothing else would tell it what it missed.
 *
 * Threads: the reactor's only.
 */
#ifndef BROKER_DELIVERY_H
#define BROKER_DELIVERY_H

#include "broker/core/core.h"
#include "broker/peers.h"
#include "broker/store/store.h"

typedef struct delivery delivery_t;

struct delivery_config {
    void *socket; /* a ROUTER with ZMQ_ROUTER_MANDATORY; borrowed */
    peers_t *peers;
    core_t *core;
    struct store *store;
    struct proto_welcome welcome; /* what every HELLO is answered with; unix_ms is set then */
};

/* NULL when memory is short. */
delivery_t *delivery_new(const struct delivery_config *config);
void delivery_destroy(delivery_t **self_p);

/* Carry out all effects in order. Returns 0, or the store's error: then the broker must stop. */
int delivery_carry_out(delivery_t *self, const struct effects *effects, struct argosy_error *err);

/* Send one message of the reactor's own. */
void delivery_send(delivery_t *self, struct peer *peer, const struct proto *message);

/* The next worker that is not connected any more, with attempts that could not be sent to it; NULL:
 * there is none. The core takes them back. */
struct peer *delivery_next_unsent(delivery_t *self, struct proto_tokens *out);

/* The next peer whose pipe was found full, or NULL; the reactor ends its session. */
struct peer *delivery_next_full(delivery_t *self);

#endif
