/* revision.h - what a job needs of a repository: it, and the commit.
 *
 * Threads: one at a time.
 */
#ifndef ANALYZE_REVISION_H
#define ANALYZE_REVISION_H

#include "worker/analyze/repo.h"

struct revision {
    repo_t *repo;
    struct repo_commit commit;
    const char *inside; /* of the repository: what the path names */
};

/* `rev` NULL: HEAD. What repo_open() and repo_resolve() say. revision_close() in any case. */
int revision_open(struct revision *self, const char *path, const char *rev,
                  const struct analyze_roots *roots, struct argosy_error *err);

void revision_close(struct revision *self);

#endif
