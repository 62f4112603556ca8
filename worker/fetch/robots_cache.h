/* robots_cache.h - the robots.txt of many servers: asked for once, kept for a while.
 *
 * Start here: robots_cache_ask(). Whoever is told ROBOTS_FETCH gets ORIGIN/robots.txt and hands
 * what came of it to robots_cache_answer(); whoever is told ROBOTS_WAIT is called back from
 * robots_cache_tell(). Nobody waits for ever as long as the one who fetches answers, or gives up
 * with robots_cache_forget(): then another one of those who wait is told to fetch.
 *
 * An answer is good for a day at most. When a server is unreachable after that, what was known
 * of it is used for up to 30 days; if nothing was known, nothing may be asked for. It is tried
 * again after a minute.
 *
 * Threads: one at a time. Pure: time is an argument. Units: milliseconds of any clock that does not
 * go backwards, bytes.
 */
#ifndef FETCH_ROBOTS_CACHE_H
#define FETCH_ROBOTS_CACHE_H

#include <argosy/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/list.h"

enum {
    ROBOTS_ORIGINS_MAX = 4096,         /* kept; as many servers as a worker may meet in a day */
    ROBOTS_CACHE_BYTES_MAX = 64 << 20, /* of rules; a usual file takes 1-4 KiB, the worst 4 MiB */
    ROBOTS_FRESH_MS_MAX = 24 * 3600 * 1000, /* RFC 9309 2.4 */
    ROBOTS_AGAIN_MS = 60 * 1000             /* and no answer is good for less */
};
#define ROBOTS_KEPT_MS_MAX (30 * (int64_t)ROBOTS_FRESH_MS_MAX) /* RFC 9309 2.3.1.4 */

enum robots_verdict {
    ROBOTS_ALLOWED,
    ROBOTS_REFUSED,     /* by a rule */
    ROBOTS_UNREACHABLE, /* refused, because nobody knows the rules; may be otherwise in a minute */
    ROBOTS_WAIT,        /* somebody fetches them; there will be a call */
    ROBOTS_FETCH        /* fetch them, then robots_cache_answer() */
};

struct robots_origin;

/* Owned by who asks, who keeps it and `path` until it is answered or forgotten. Begin with zeros
 * but for the first two. */
struct robots_question {
    const char *path; /* as robots_allows() has it */
    /* Called with any verdict but ROBOTS_WAIT; ROBOTS_FETCH is not the last one. It may call the
     * cache again, and it may free the question if the verdict was not ROBOTS_FETCH or the question
     * has been forgotten since. */
    void (*answered)(struct robots_question *self, enum robots_verdict verdict);
    struct ag_link link;          /* the cache's */
    struct robots_origin *origin; /* the cache's: for as long as it waits */
    bool is_answered;             /* the cache's: robots_cache_tell() will call it */
};

/* What came of a request for /robots.txt. */
struct robots_answer {
    int status;            /* 0: there was none */
    unsigned redirects;    /* followed */
    int64_t lifetime_ms;   /* as the server has it, taken between a minute and a day; < 0: a day */
    struct ag_bytes bytes; /* borrowed */
};

typedef struct robots_cache robots_cache_t;

/* `agent` is a product token, see robots_new(). At most `origins_max` servers, with at most
 * `bytes_max` of rules, are kept beside those that are being asked; those that were asked about
 * last stay. The seed keeps strangers from choosing colliding names. ARGOSY_EINVAL, ARGOSY_ENOMEM.
 */
int robots_cache_new(robots_cache_t **out, const char *agent, size_t origins_max, size_t bytes_max,
                     uint64_t seed, struct argosy_error *err);

/* Questions that wait are left unanswered. */
void robots_cache_destroy(robots_cache_t **self_p);

/* `origin` is scheme://host:port, always written in the same way. After ROBOTS_WAIT and
 * ROBOTS_FETCH the question is the cache's until it is answered or forgotten; it must not be asked
 * meanwhile. Does not call back. Without memory the server counts as unreachable. */
enum robots_verdict robots_cache_ask(robots_cache_t *self, const char *origin,
                                     struct robots_question *question, int64_t now);

/* For all who wait for this origin, the one who fetched included: they are called by
 * robots_cache_tell(). Ignored if nobody does. */
void robots_cache_answer(robots_cache_t *self, const char *origin,
                         const struct robots_answer *answer, int64_t now);

/* Call one of those whose answer is there, in the order in which they asked; false if there is
 * none. One at a time, because a thousand may wait, and a path may take milliseconds to judge. */
bool robots_cache_tell(robots_cache_t *self);
bool robots_cache_is_telling(const robots_cache_t *self);

/* The question will not be called any more. Harmless if it does not wait. May call another one with
 * ROBOTS_FETCH. */
void robots_cache_forget(robots_cache_t *self, struct robots_question *question);

/* The Crawl-delay of an origin; 0 if there is none or the origin is not known. */
int64_t robots_cache_delay_ms(const robots_cache_t *self, const char *origin);

#endif
