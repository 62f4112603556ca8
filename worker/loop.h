/* loop.h - the worker's poll loop: one czmq loop around the pure core, the engines and the socket.
 *
 * Start here: loop_new(), loop_run(). Nothing in it blocks: fetches run inside it through one epoll
 * descriptor, whatever would block runs on the pool.
 *
 * Threads: one. SIGTERM and SIGINT must be blocked in all threads before loop_new(); the loop reads
 * them from a signalfd: the first drains, the second stops at once.
 */
#ifndef WORKER_LOOP_H
#define WORKER_LOOP_H

#include "worker/core/wcore.h"
#include "worker/pool.h"

typedef struct loop loop_t;

/* A source of events beside the broker: an engine's epoll descriptor, the pool's eventfd. */
struct loop_source {
    int fd;
    void (*turn)(void *arg, int64_t now); /* the fd is readable, or the deadline has come */
    int64_t (*deadline)(const void *arg); /* NULL: it needs no timer */
    void *arg;
};

enum { LOOP_SOURCES_MAX = 4 };

struct loop_config {
    const char *const *endpoints; /* checked ones; tried in turn */
    size_t endpoints_count;
    const char *name, *software, *host;
    const char *const *tags;
    size_t tags_count;
    struct ag_id instance;
    struct wcore_config core;
    struct handler *handlers[AG_KINDS_MAX]; /* by the place of their kind; borrowed */
    struct loop_source sources[LOOP_SOURCES_MAX];
    unsigned sources_count;
    uint32_t grace_ms;
};

/* ARGOSY_EIO, ARGOSY_ENOMEM. The arrays and texts of the configuration must outlive the loop. */
int loop_new(loop_t **out, const struct loop_config *config, struct argosy_error *err);

/* Runs until it has drained after a signal, or a second one came (0), or the broker refused it for
 * good (ARGOSY_EREJECTED), or an error. Everything that still runs has been stopped on return. */
int loop_run(loop_t *self, struct argosy_error *err);

/* It has left because an attempt does not end: only a new process in its place is free of it. */
bool loop_wants_restart(const loop_t *self);

/* Say the last words, for as long as they take; nothing else of the loop may be used after it. */
void loop_close(loop_t *self);

void loop_destroy(loop_t **self_p);

#endif
