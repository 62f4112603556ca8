/* recall.h - what an analysis remembers in a cache. Of a repository: what was found in a file, by
 * its blob's id and its name; the same for all files of a directory at once, by its tree's id; and
 * what a commit changed. Of a directory on a disk: what was found in its files, by its path, for
 * those whose stamps are what they were.
 *
 * Everything is kept under a digest of the ids, of the languages of a --languages file, and of the
 * engine: its sources are hashed when it is built (engine.h), so that another engine finds nothing
 * of this one.
 *
 * Threads: one at a time.
 */
#ifndef ANALYZE_RECALL_H
#define ANALYZE_RECALL_H

#include "worker/analyze/cache.h"
#include "worker/analyze/inspect.h"
#include "worker/analyze/shard.h"
#include "worker/analyze/source.h"

/* Directories inside each other that are remembered as such: each may hold a value in memory. */
enum { RECALL_DEPTH_MAX = 64 };

typedef struct recall recall_t;

/* In a cache in `folder`, for one shard of a source: shards have values of directories of their
 * own. `languages` must outlive it. NULL, and a line in the log, when that cannot be: then nothing
 * is remembered. */
recall_t *recall_open(const char *folder, const struct shard *shard, const languages_t *languages);

/* Writes what is new. */
void recall_close(recall_t **self_p);

/* Around the files of a directory: its files are looked up together. */
void recall_enter(recall_t *self, const struct source_folder *folder);
void recall_leave(recall_t *self, const struct source_folder *folder);

/* What is known of a file with an id or a stamp; `out` borrows from it until the next call. */
bool recall_find(recall_t *self, const struct source_file *file, struct inspected *out);
void recall_keep(recall_t *self, const struct source_file *file, const struct inspected *inspected);

/* What a commit has changed, as history.c writes it. */
bool recall_get_commit(recall_t *self, const uint8_t *id, struct ag_buffer *out);
void recall_put_commit(recall_t *self, const uint8_t *id, struct ag_bytes value);

#endif
