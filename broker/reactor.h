/* reactor.h - the broker's loop: sockets, timers and signals around the pure core.
 *
 * Start here: reactor_new(), reactor_run(). One turn: take up to a few hundred messages, give each
 * to the core, carry out what it wants, ask the store for one commit, send the answers it frees.
 *
 * Threads: one; libzmq's own stay inside it. SIGTERM and SIGINT must be blocked in all threads
 * before reactor_new(), which reads them from a signalfd.
 */
#ifndef BROKER_REACTOR_H
#define BROKER_REACTOR_H

#include "broker/store/store.h"

typedef struct reactor reactor_t;

struct reactor_config {
    const char *const *endpoints; /* checked ones; at least one */
    size_t endpoints_count;
    const char *name;
    struct ag_id id;
    struct core_config core; /* epoch is set from the store */
    struct store *store;     /* the reactor takes it over */
    bool owns_folder;        /* of its ipc endpoints: it is removed in the end, if it is empty */
    uint32_t grace_ms;       /* how long running jobs may go on after the first signal */
};

/* Listens on return. ARGOSY_EIO says which endpoint and why, ARGOSY_ENOMEM. The store is taken over
 * in any case. */
int reactor_new(reactor_t **out, const struct reactor_config *config, struct argosy_error *err);

/* Runs until a signal has stopped it in order (0), a second one at once (0), or an error. */
int reactor_run(reactor_t *self, struct argosy_error *err);

void reactor_destroy(reactor_t **self_p);

#endif
