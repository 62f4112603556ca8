/* mailmap.h - who is who, as gitmailmap(5) has it. (libgit2's own reader drops lines that git
 * understands, and tells upper from lower case where git does not.)
 *
 * Threads: constant once made.
 */
#ifndef ANALYZE_MAILMAP_H
#define ANALYZE_MAILMAP_H

#include <stdint.h>

#include "common/bytes.h"

typedef struct mailmap mailmap_t;

/* The content of a .mailmap; what is not understood is left out, as by git. NULL when memory is
 * short. */
mailmap_t *mailmap_new(struct ag_bytes text, uint64_t seed);
void mailmap_destroy(mailmap_t **self_p);

/* Both become what the map calls them, or stay; texts of the map live as long as it. */
void mailmap_resolve(const mailmap_t *self, const char **name, const char **email);

#endif
