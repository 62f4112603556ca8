/* listener.h - the broker's socket: one ROUTER, bound to all endpoints, as doc/protocol.md wants
 * it.
 *
 * A socket file of ipc has a lock beside it, so that no broker takes the name of one that is alive;
 * both are removed in the end.
 *
 * Threads: the reactor's only.
 */
#ifndef BROKER_LISTENER_H
#define BROKER_LISTENER_H

#include <argosy/error.h>
#include <czmq.h>

typedef struct listener listener_t;

/* Checked endpoints, at least one. `owns_folder`: the directories of ipc endpoints are removed in
 * the end, if they are empty. ARGOSY_EIO says which endpoint and why, ARGOSY_EINVAL, ARGOSY_ENOMEM.
 */
int listener_new(listener_t **out, const char *const *endpoints, size_t count, bool owns_folder,
                 struct argosy_error *err);

/* Borrowed. */
zsock_t *listener_socket(listener_t *self);

/* Sets NULL. */
void listener_destroy(listener_t **self_p);

#endif
