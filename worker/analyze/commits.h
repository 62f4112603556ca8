/* commits.h - all commits that a revision has behind it, newest first.
 *
 * Threads: one at a time.
 */
#ifndef ANALYZE_COMMITS_H
#define ANALYZE_COMMITS_H

#include <stdatomic.h>

#include "worker/analyze/names.h"
#include "worker/analyze/repo.h"

enum {
    COMMITS_MAX = 4 << 20, /* 88 bytes each; the largest histories have a third of it */
    COMMITS_AUTHORS_MAX = 1 << 20,
    COMMITS_NAMES_BYTES_MAX = 256 << 20
};

struct commit {
    git_oid id, tree;
    uint32_t parent;  /* the place of the first one; NAMES_NONE: it has none */
    uint32_t author;  /* a number in commits_authors() */
    uint32_t parents; /* how many */
    int64_t time;     /* of the committer, seconds since 1970 */
    bool is_here;     /* false: the object is missing or damaged, nothing is known but its id */
};

typedef struct commits commits_t;

struct commits_visitor {
    int (*trouble)(void *arg, const char *what, const struct argosy_error *err);
    void *arg;
};

/* Walk from `from`. ARGOSY_ENOMEM; ARGOSY_ETOOBIG: more than COMMITS_MAX; ARGOSY_ESTATE: stopped;
 * what the visitor says. Missing and damaged ones are told of; what lies behind them is not here.
 */
int commits_new(commits_t **out, repo_t *repo, const git_oid *from, const atomic_int *stop,
                const struct commits_visitor *visitor, struct argosy_error *err);
void commits_destroy(commits_t **self_p);

size_t commits_count(const commits_t *self);

/* In order: the newest first, by its committer's clock. */
const struct commit *commits_at(const commits_t *self, size_t place);

/* By the place that commit.parent is. */
const struct commit *commits_parent(const commits_t *self, const struct commit *commit);

/* Authors as the commits name them: "NAME\0EMAIL". */
const names_t *commits_authors(const commits_t *self);

#endif
