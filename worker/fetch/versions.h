/* versions.h - which hosts speak HTTP/2, as far as we remember.
 *
 * A guess that costs nothing when it is wrong: some hosts share a place, the last one counts.
 *
 * Threads: one at a time. Pure.
 */
#ifndef FETCH_VERSIONS_H
#define FETCH_VERSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/fetch/url.h"

enum { VERSIONS_PLACES = 4096 };

typedef struct versions {
    uint64_t speak_2[VERSIONS_PLACES]; /* the origin's hash; 0 none */
} versions_t;

bool versions_speaks_2(const versions_t *self, const struct url *url);
void versions_note(versions_t *self, const struct url *url, bool speaks_2);

#endif
