/* secrets.h - what a worker knows and jobs may only name: passwords and tokens, each for certain
 * hosts.
 *
 * A ZPL file, readable by its owner only:
 *
 *     github
 *         value = "ghp_0123456789"
 *         hosts = "api.github.com *.githubusercontent.com"
 *     registry
 *         value = "user:password"
 *         hosts = "http://registry.local"
 *
 * A host is told it by https, and without TLS too if http:// stands before it, on every port unless
 * one stands behind it; *. means all below it.
 *
 * Threads: constant once made.
 */
#ifndef FETCH_SECRETS_H
#define FETCH_SECRETS_H

#include <argosy/error.h>
#include <stdbool.h>

#include "worker/fetch/url.h"

typedef struct secrets secrets_t;

/* ARGOSY_EINVAL says what is wrong with the file, also when others may read it. ARGOSY_ENOMEM. */
int secrets_load(secrets_t **out, const char *path, struct argosy_error *err);
void secrets_destroy(secrets_t **self_p);

/* Whether there is one of that name. `self` may be NULL. */
bool secrets_has(const secrets_t *self, const char *name);

/* Its value, if it is for the URL's host; else NULL. */
const char *secrets_find(const secrets_t *self, const char *name, const struct url *url);

#endif
