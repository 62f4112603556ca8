/* recall.h - what the analysis of a repository remembers in a cache: the counts of a file by its
 * blob's id and its name, the sums of a whole directory by its tree's id, what a commit changed.
 *
 * Everything is kept under a digest of the ids, of what else decides about the counts, and of the
 * engine: the sources of the engine are hashed when it is built (engine.h), so that another engine
 * finds nothing of this one.
 *
 * Threads: one at a time.
 */
#ifndef ANALYZE_RECALL_H
#define ANALYZE_RECALL_H

#include "worker/analyze/cache.h"
#include "worker/analyze/source.h"
#include "worker/analyze/tally.h"

typedef struct recall recall_t;

/* Over a cache that it closes in the end. With `whole_folders` sums of directories are kept too:
 * only for a tally by language, and when nothing is excluded. NULL when memory is short (the cache
 * is closed then). */
recall_t *recall_new(cache_t *cache, bool whole_folders);

/* Writes what is new. Returns what went wrong with the cache, in `trouble`, or an empty text. */
void recall_destroy(recall_t **self_p, char *trouble, size_t size);

/* How a file was judged. */
struct recall_file {
    const struct language *language; /* NULL: skipped */
    enum tally_skip why;             /* if it was skipped */
    struct counts counts;
};

/* A file with an id that is to be counted: what is known of it. */
bool recall_get_file(recall_t *self, const struct source_file *file, struct recall_file *out);
void recall_put_file(recall_t *self, const struct source_file *file,
                     const struct recall_file *judged);

/* A directory is entered. True: its sums were known and are in the tally now, *files has grown by
 * those it holds, and it need not be walked; nor is it left. */
bool recall_enter(recall_t *self, const struct source_folder *folder, tally_t *tally,
                  uint64_t *files);

/* It was walked; `is_whole`: to its end. Its sums are kept if no trouble was met in it. */
void recall_leave(recall_t *self, const struct source_folder *folder, tally_t *tally,
                  uint64_t files, bool is_whole);

/* A file was met in it, or a trouble. */
void recall_note_file(recall_t *self, const struct source_file *file);
void recall_note_trouble(recall_t *self);

/* What a commit has changed, as history.c writes it. */
bool recall_get_commit(recall_t *self, const uint8_t *id, struct ag_buffer *out);
void recall_put_commit(recall_t *self, const uint8_t *id, struct ag_bytes value);

#endif
