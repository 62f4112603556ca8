/* duplicates.h - files that are there more than once, by the hashes of their contents.
 *
 * Bound: DUPLICATES_CONTENTS_MAX different contents, about 75 MB. A source that has more of them is
 * not compared at all: what was found among the first ones would depend on the order in which they
 * came, and on how the source was split.
 *
 * Threads: one at a time.
 */
#ifndef ANALYZE_DUPLICATES_H
#define ANALYZE_DUPLICATES_H

#include <msgpack/pack.h>

#include "common/wire.h"

enum {
    DUPLICATES_SETS_TOLD = 10, /* those that cost most */
    DUPLICATES_CONTENTS_MAX = 1 << 19
};

typedef struct duplicates duplicates_t;

/* NULL when memory is short. */
duplicates_t *duplicates_new(void);
void duplicates_destroy(duplicates_t **self_p);

/* A file of `bytes` bytes; empty ones are alike and mean nothing. ARGOSY_ENOMEM. */
int duplicates_add(duplicates_t *self, const char *path, const uint64_t hash[2], uint64_t bytes);

/* Adds the files that were added to `other`, whatever their contents. ARGOSY_ENOMEM. */
int duplicates_absorb(duplicates_t *self, const duplicates_t *other);

/* {files, bytes, contents, not_compared, sets [{path, files, bytes}]} */
void duplicates_pack(const duplicates_t *self, msgpack_packer *packer);

/* Adds what duplicates_pack() wrote of other files, none of whose contents is among these.
 * ARGOSY_EPROTO, ARGOSY_ENOMEM. */
int duplicates_take(duplicates_t *self, struct ag_reader *reader);

#endif
