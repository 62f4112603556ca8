/* revision.h - what a job needs of a repository: it, the commit, what is remembered of it.
 *
 * Threads: one at a time.
 */
#ifndef ANALYZE_REVISION_H
#define ANALYZE_REVISION_H

#include "worker/analyze/recall.h"
#include "worker/analyze/repo.h"

struct revision {
    repo_t *repo;
    struct repo_commit commit;
    const char *inside; /* of the repository: what the path names */
    recall_t *recall;   /* NULL: nothing is remembered */
};

/* `rev` NULL: HEAD. `languages` must outlive it. A cache that cannot be used is logged and done
 * without. What repo_open() and repo_resolve() say. revision_close() in any case. */
int revision_open(struct revision *self, const char *path, const char *rev,
                  const struct analyze_roots *roots, const languages_t *languages,
                  struct argosy_error *err);

void revision_close(struct revision *self);

#endif
