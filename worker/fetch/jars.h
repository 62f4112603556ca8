/* jars.h - cookie jars: jobs that name the same one share their cookies, on this worker.
 *
 * libcurl keeps the cookies and knows whom to show them to; here is which transfer has which jar.
 *
 * Threads: the loop's only. Bound: JARS_MAX jars; of those that nobody uses the one used longest
 * ago goes first. A jar ends with the worker.
 */
#ifndef FETCH_JARS_H
#define FETCH_JARS_H

#include <curl/curl.h>

enum { JARS_MAX = 256 };

typedef struct jars jars_t;

struct jar {
    CURLSH *share; /* cookies and TLS sessions */
    unsigned users;
};

/* NULL: no memory. */
jars_t *jars_new(void);
void jars_destroy(jars_t **self_p);

/* The jar of that name, made if need be; give it back with jars_release(). NULL: no memory, or all
 * JARS_MAX are in use. */
struct jar *jars_take(jars_t *self, const char *name);
void jars_release(struct jar *jar);

#endif
