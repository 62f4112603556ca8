/* port.h - what the client library needs of the world: a connection, a clock, randomness.
 *
 * Start here: struct client_port; client_port_zmq() is the real one. The simulator brings its own,
 * so that the same session, batches and requests run without a socket.
 *
 * Threads: those of the client that owns it.
 */
#ifndef CLIENT_PORT_H
#define CLIENT_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <argosy/error.h>

#include "common/bytes.h"

struct client_port {
    void *arg;

    int64_t (*now)(void *arg);     /* milliseconds of a monotonic clock */
    int64_t (*unix_ms)(void *arg); /* the wall clock, for ids */
    int (*random)(void *arg, uint8_t *out, size_t size, struct argosy_error *err);

    /* A new connection; the old one is forgotten, with what was on its way. ARGOSY_EIO. */
    int (*connect)(void *arg, const char *endpoint, struct argosy_error *err);

    /* False: it cannot be sent now. Never blocks. */
    bool (*send)(void *arg, struct ag_bytes frame);

    /* The next frame; it lives until release(). False: there is none. Never blocks. */
    bool (*receive)(void *arg, struct ag_bytes *frame);
    void (*release)(void *arg);

    /* Until there is something to receive, for at most so long. False: a signal came. */
    bool (*wait)(void *arg, int64_t ms);

    int (*fd)(void *arg); /* for the poll loops of others; -1: none */

    /* The end; `politely`: what was sent last may still leave. */
    void (*close)(void *arg, bool politely);
};

/* ZeroMQ, the machine's clocks and its randomness. ARGOSY_ENOMEM. */
int client_port_zmq(struct client_port *out, struct argosy_error *err);

#endif
