/* resolver.h - from host names to addresses without blocking the loop: threads that look up, one
 * lookup for all who ask the same, and a cache.
 *
 * Start here: resolver_new(); resolver_ask() for each connection; poll resolver_fd() for reading
 * and call resolver_collect() when it is. The engine hands the addresses to libcurl
 * (CURLOPT_RESOLVE), which then starts no thread of its own for each transfer.
 *
 * Names are compared without case and without a dot at the end. Literal addresses need no thread.
 * What is found is kept for `positive_ms`, that there is no such name for `negative_ms`, a failure
 * that may pass for `again_ms`: getaddrinfo() does not tell the TTL of the zone.
 *
 * Stale answers are served (RFC 8767): when a lookup fails in a way that may pass, addresses that
 * are up to `stale_ms` past their time are given once more, marked, and kept for
 * RESOLVER_STALE_HOLD_MS. An address that worked a minute ago is a better guess than none; if it is
 * wrong, TLS and the engine's policy check it like any other. A name that the name server says does
 * not exist is never served stale.
 *
 * Limits: a lookup cannot be stopped. A dead name server holds a thread for as long as
 * getaddrinfo() tries (10 s for each server with the defaults of resolv.conf), so as many dead
 * names as there are threads delay all others by that time; names wait in the order they were first
 * asked for, one place each, however many ask. Whoever forgets a question that waits gives its
 * place back, so a queue drains at the speed of the askers' own time limits. What is cached and
 * what is literal never waits.
 *
 * Threads: the loop's only, but for `lookup`, which runs on the resolver's threads. Nothing blocks.
 * Units: milliseconds of the caller's monotonic clock, passed as `now`.
 */
#ifndef FETCH_RESOLVER_H
#define FETCH_RESOLVER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <argosy/error.h>

#include "common/list.h"

enum {
    RESOLVER_ADDRESSES_MAX = 16,   /* of one name; nobody tries more */
    RESOLVER_HOST_BYTES_MAX = 253, /* RFC 1035, as text without the last dot */
    RESOLVER_THREADS_MAX = 256,
    RESOLVER_NAMES_MAX = 1 << 20,            /* of names_max: some 200 MB */
    RESOLVER_KEEP_MS_MAX = 24 * 3600 * 1000, /* of each time to keep an answer */
    RESOLVER_STALE_HOLD_MS = 30 * 1000 /* between tries to replace a stale answer; RFC 8767, 5 */
};

typedef struct resolver resolver_t;

/* 28 bytes where a sockaddr_storage has 128; the port is 0. */
union resolver_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* Write up to RESOLVER_ADDRESSES_MAX addresses, at least one, best first, and return 0; or return
 * an EAI_* code (with errno for EAI_SYSTEM). `host` is in lower case. Runs on several threads at
 * once, and may still run when the resolver is gone: `arg` must outlive that. */
typedef int resolver_lookup_fn(void *arg, const char *host, union resolver_address *out,
                               size_t *count);

struct resolver_config {
    unsigned threads; /* at most; they start when names wait, and stay. 1-RESOLVER_THREADS_MAX */
    int64_t positive_ms, negative_ms, again_ms, stale_ms; /* 0: not at all */
    size_t names_max; /* kept; those that were used longest ago go first. Names that are being
                         looked up come on top: as many as questions wait, and the threads */
    resolver_lookup_fn *lookup; /* NULL: getaddrinfo() */
    void *lookup_arg;
};

/* 8 threads; 60 s, 5 s, 1 s, 10 min; 10,000 names; getaddrinfo(). */
struct resolver_config resolver_defaults(void);

struct resolver_answer {
    const union resolver_address *addresses; /* in the order to try them */
    size_t count;                            /* 0: it failed */
    int code;                                /* 0 or EAI_* */
    const char *text;                        /* one line for people; "" when code is 0 */
    bool retryable; /* it failed, but may do better later (EAI_AGAIN); else there is no such name */
    bool is_stale;  /* past its time; a new lookup has just failed */
};

/* Owned by whoever asks; zeroed but for `answered` before the first question. It may ask anew as
 * soon as it was answered or forgotten, also from within `answered`. */
struct resolver_question {
    /* On the loop's thread, from resolver_collect(). The answer lasts until it returns. May ask and
     * forget, this and others; must not destroy the resolver. */
    void (*answered)(struct resolver_question *self, const struct resolver_answer *answer);
    struct resolver_name *name; /* the resolver's: what it waits for; NULL: it does not */
    struct ag_link link;        /* the resolver's */
};

/* ARGOSY_EINVAL: a number is out of its range. ARGOSY_ENOMEM, ARGOSY_EIO. */
int resolver_new(resolver_t **out, const struct resolver_config *config, struct argosy_error *err);

/* Questions that wait are forgotten. Does not wait for lookups that run: their threads end with
 * them, and clean up. Sets NULL. */
void resolver_destroy(resolver_t **self_p);

/* 1: *answer is filled in, and lasts until the next call; the question does not wait. 0: it waits
 * and must stay where it is. ARGOSY_ENOMEM (also: no thread could be started): it does not wait.
 * `host` may be a literal address, also in brackets. What cannot be a name has the answer
 * EAI_NONAME. */
int resolver_ask(resolver_t *self, struct resolver_question *question, const char *host,
                 int64_t now, struct resolver_answer *answer);

/* It will not be answered. Harmless when it does not wait. */
void resolver_forget(resolver_t *self, struct resolver_question *question);

/* An eventfd, readable when lookups have ended. */
int resolver_fd(const resolver_t *self);

/* Answer all who wait for the lookups that have ended. */
void resolver_collect(resolver_t *self, int64_t now);

/* The first invariant that does not hold, as a sentence; NULL when all is well. O(names), for
 * tests; not from within a callback. */
const char *resolver_broken_invariant(const resolver_t *self);

#endif
