/* shard.h - which files a shard of an analysis counts.
 *
 * Every file of a source belongs to exactly one of its shards, and files with the same content to
 * the same one, so that duplicates are found where they are. What is told without looking at a file
 * (what its name or its directory says) the first shard tells for all.
 *
 * Threads: plain data. Pure.
 */
#ifndef ANALYZE_SHARD_H
#define ANALYZE_SHARD_H

#include "worker/analyze/source.h"

/* The merge of more would wait for more than a job may wait for. */
enum { SHARDS_MAX = 64 };

struct shard {
    unsigned index, of; /* of 0: there is one, which is all */
};

static inline bool shard_is_first(const struct shard *self)
{
    return self->index == 0;
}

/* By the id of the content where there is one, else by its size, which has to be known. */
bool shard_holds(const struct shard *self, const struct source_file *file);

#endif
