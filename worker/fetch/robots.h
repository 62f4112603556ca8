/* robots.h - what a robots.txt (RFC 9309) lets us ask for.
 *
 * Start here: robots_meaning() tells what the answer to /robots.txt means; if it has rules,
 * robots_new() reads them, and robots_allows() is asked about each path. robots_cache.h does all
 * of this for many servers.
 *
 * Every file is taken as hostile: what is read, kept and compared has a bound, and comparing takes
 * a time that is linear in the path and the rules.
 *
 * Threads: constant once made. Pure. Units: milliseconds, bytes.
 */
#ifndef FETCH_ROBOTS_H
#define FETCH_ROBOTS_H

#include <argosy/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"

enum {
    ROBOTS_BYTES_MAX = 500 << 10, /* of a file; RFC 9309 2.5 asks for no less */
    ROBOTS_PATH_MAX = 8192,       /* of a path and query; as much as a job's URL */
    ROBOTS_WORK_MAX = 4 << 20,    /* searched for one path, 5,000 usual rules with *: 1 MiB */
    ROBOTS_DELAY_MS_MAX = 300000, /* who asks for more gets this */
    ROBOTS_REDIRECTS_MAX = 5      /* RFC 9309 2.3.1.2 */
};

enum robots_meaning {
    ROBOTS_HAS_RULES,     /* its body is a robots.txt */
    ROBOTS_IS_ABSENT,     /* there is none */
    ROBOTS_IS_UNREACHABLE /* nobody knows: nothing may be asked for */
};

/* What the answer to a request for /robots.txt means: 2xx has rules, 5xx is unreachable. `status`
 * is 0 when there was no answer. All of 4xx allows, as do more than ROBOTS_REDIRECTS_MAX
 * `redirects` and a 3xx that was not followed. */
enum robots_meaning robots_meaning(int status, unsigned redirects);

typedef struct robots robots_t;

/* Keep the rules for `agent`, a product token such as "argosy": those of all groups that name it,
 * else those for "*". Any bytes are a robots.txt; what is no rule is skipped, as is what comes
 * after ROBOTS_BYTES_MAX. ARGOSY_EINVAL: `agent` is no product token (letters, "-", "_").
 * ARGOSY_ENOMEM. */
int robots_new(robots_t **out, struct ag_bytes bytes, const char *agent, struct argosy_error *err);

/* Whether `path` (with its query; as it is sent, without dot segments) may be asked for. A path of
 * more than ROBOTS_PATH_MAX bytes is refused if there are rules at all, and so is one that would
 * need more than ROBOTS_WORK_MAX. */
bool robots_allows(const robots_t *self, const char *path);

/* Whether it is /robots.txt itself, which may always be asked for. */
bool robots_is_own_path(const char *path);

/* Crawl-delay: how long to wait between two requests; 0 when nothing is said, never more than
 * ROBOTS_DELAY_MS_MAX. */
int64_t robots_delay_ms(const robots_t *self);

/* The memory that it takes. */
size_t robots_size_bytes(const robots_t *self);

void robots_destroy(robots_t **self_p);

#endif
