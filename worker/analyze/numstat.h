/* numstat.h - what changed between two trees: for each file how many lines came and went, the same
 * numbers as `git log --numstat --no-renames`, which come from the same diff (xdiff, by way of
 * libgit2).
 *
 * Threads: one at a time for each numstat_t and its repository.
 * Memory: what it read last is kept, up to NUMSTAT_KEPT_BYTES: in a walk through history most of
 * it is needed again soon, as the other side of the next difference.
 */
#ifndef ANALYZE_NUMSTAT_H
#define ANALYZE_NUMSTAT_H

#include <stdatomic.h>

#include "worker/analyze/repo.h"

enum {
    NUMSTAT_KEPT_BYTES = 96 << 20, /* git's own cache of delta bases has that size */
    NUMSTAT_BLOB_BYTES_MAX = 64 << 20,
    NUMSTAT_DEPTH_MAX = 256,
    NUMSTAT_PATH_MAX = 4096,
    NUMSTAT_ENTRIES_MAX = 8 << 20 /* of one difference; see SOURCE_GIT_ENTRIES_MAX */
};

typedef struct numstat numstat_t;

/* NULL when memory is short. `stop`: not 0 ends a difference soon. */
numstat_t *numstat_new(repo_t *repo, const atomic_int *stop);
void numstat_destroy(numstat_t **self_p);

struct numstat_file {
    const char *path;
    uint32_t added, deleted; /* lines; 0 for what is no text or too large; 1 for a submodule */
};

struct numstat_visitor {
    int (*file)(void *arg, const struct numstat_file *file); /* not 0 ends it with that code */
    int (*trouble)(void *arg, const char *path, const struct argosy_error *err); /* the same */
    void *arg;
};

/* From `from` (NULL: from nothing) to `to`, trees both. What cannot be read is a trouble, with the
 * path. ARGOSY_ESTATE: stopped; ARGOSY_ETOOBIG: too many entries; what the visitor says. */
int numstat_diff(numstat_t *self, const git_oid *from, const git_oid *to,
                 const struct numstat_visitor *visitor);

#endif
