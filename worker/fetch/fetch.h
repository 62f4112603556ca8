/* fetch.h - the fetch engine: downloads inside the worker's loop, through libcurl's multi
 * interface.
 *
 * Start here: fetch_handler_new(); poll fetch_fd() for reading and call fetch_turn() when it is, or
 * when fetch_deadline() has come.
 *
 * One epoll descriptor stands for all of libcurl's sockets, so that the loop polls one descriptor
 * whatever the number of transfers; transfers are spread over several multi handles, because one
 * walks all its connections at the end of each. doc/fetch.md tells users what a fetch is.
 *
 * Threads: the loop's only (libcurl resolves names in threads of its own).
 */
#ifndef WORKER_FETCH_H
#define WORKER_FETCH_H

#include <stddef.h>
#include <stdint.h>

#include <argosy/error.h>

#include "worker/fetch/policy.h"
#include "worker/fetch/secrets.h"
#include "worker/handler.h"

struct fetch_config {
    unsigned slots;           /* transfers at once */
    const char *ca_file;      /* NULL: the system's certificates */
    const char *const *roots; /* directories that bodies may be written to */
    size_t roots_count;
    const struct policy_config *policy; /* NULL: the public internet by http and https only */
    const secrets_t *secrets;           /* NULL: none */
    const char *host;                   /* this machine's name, for archives */
};

/* Texts must outlive the handler. ARGOSY_EINVAL names what is wrong; ARGOSY_EIO, ARGOSY_ENOMEM. */
int fetch_handler_new(struct handler **out, const struct fetch_config *config,
                      struct argosy_error *err);

int fetch_fd(const struct handler *handler);

/* Do what is due; bounded by a time budget, never blocks. `handler` is a struct handler. */
void fetch_turn(void *handler, int64_t now);

/* When fetch_turn() is needed though the descriptor is silent; INT64_MAX never. */
int64_t fetch_deadline(const void *handler);

#endif
