/* recall.h - what the analysis of a repository remembers in a cache: what was found in a file, by
 * its blob's id and its name; the same for all files of a directory at once, by its tree's id; and
 * what a commit changed.
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
#include "worker/analyze/source.h"

/* Directories inside each other that are remembered as such: each may hold a value in memory. */
enum { RECALL_DEPTH_MAX = 64 };

typedef struct recall recall_t;

/* Over a cache that it closes in the end. `languages` must outlive it. NULL when memory is short
 * (the cache is closed then). */
recall_t *recall_new(cache_t *cache, const languages_t *languages);

/* Writes what is new. Returns what went wrong with the cache, in `trouble`, or an empty text. */
void recall_destroy(recall_t **self_p, char *trouble, size_t size);

/* Around the files of a directory: its files are looked up together. */
void recall_enter(recall_t *self, const struct source_folder *folder);
void recall_leave(recall_t *self, const struct source_folder *folder);

/* What is known of a file with an id; `out` borrows from it until the next call. */
bool recall_find(recall_t *self, const struct source_file *file, struct inspected *out);
void recall_keep(recall_t *self, const struct source_file *file, const struct inspected *inspected);

/* What a commit has changed, as history.c writes it. */
bool recall_get_commit(recall_t *self, const uint8_t *id, struct ag_buffer *out);
void recall_put_commit(recall_t *self, const uint8_t *id, struct ag_bytes value);

#endif
