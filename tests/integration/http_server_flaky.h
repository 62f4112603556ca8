/* http_server_flaky.h - how often each key was asked for.
 *
 * Threads: one at a time. Pure.
 */
#ifndef TESTS_HTTP_SERVER_FLAKY_H
#define TESTS_HTTP_SERVER_FLAKY_H

#include "common/bytes.h"

struct flaky_key {
    uint64_t hash; /* 0 while the slot is free */
    uint64_t count;
};

struct flaky_keys {
    struct flaky_key *slots;
    size_t count;
};

/* False without memory. */
bool flaky_init(struct flaky_keys *self);
void flaky_fini(struct flaky_keys *self);

/* The key, new with a count of 0 if it was not there. NULL when there is no room for another. */
struct flaky_key *flaky_find(struct flaky_keys *self, struct ag_bytes text);

#endif
