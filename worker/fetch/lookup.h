/* lookup.h - the resolver's threads, and the two queues between them and the loop.
 *
 * Internal to resolver.c. A lookup belongs to who made it, then to the queues and threads from
 * lookups_start() on, and is the loop's again after lookups_take_back() or lookups_collect().
 *
 * Not the pool of worker/pool.h, because that waits for its threads at the end, and getaddrinfo()
 * cannot be stopped: here the threads are detached, and the last one out frees the queues.
 *
 * Threads: all calls belong to the loop's thread. None blocks.
 */
#ifndef FETCH_LOOKUP_H
#define FETCH_LOOKUP_H

#include "worker/fetch/resolver.h"

typedef struct lookups lookups_t;

struct lookup {
    struct ag_link link;
    bool is_queued;                    /* no thread has it yet; the lock's */
    struct resolver_name *name;        /* for the loop; threads do not look at it */
    union resolver_address *addresses; /* exactly `count`, malloc'ed; NULL: it failed */
    size_t count;
    int code, error; /* EAI_*, and errno for EAI_SYSTEM */
    char host[];
};

/* NULL: no memory. */
struct lookup *lookup_new(const char *host, struct resolver_name *name);
void lookup_destroy(struct lookup **self_p);

/* ARGOSY_ENOMEM, ARGOSY_EIO. */
int lookups_new(lookups_t **out, const struct resolver_config *config, struct argosy_error *err);

/* Lookups that have not begun or were not collected are destroyed now, those that run by their
 * threads. Sets NULL. */
void lookups_destroy(lookups_t **self_p);

/* ARGOSY_ENOMEM: there is no thread and none could be started; the lookup is still the caller's. */
int lookups_start(lookups_t *self, struct lookup *lookup);

/* True: it had not begun, and is the caller's again. */
bool lookups_take_back(lookups_t *self, struct lookup *lookup);

int lookups_fd(const lookups_t *self);

/* Append to `ended` all that have ended. */
void lookups_collect(lookups_t *self, struct ag_link *ended);

#endif
