/* history.h - what a repository's past says: who, how much, which files change most, how old they
 * are. doc/analysis.md defines every number.
 *
 * Start here: history_run().
 *
 * Threads: one at a time. Memory: some hundred bytes for each commit and each path.
 */
#ifndef ANALYZE_HISTORY_H
#define ANALYZE_HISTORY_H

#include "common/buffer.h"
#include "worker/analyze/recall.h"
#include "worker/analyze/repo.h"
#include "worker/analyze/source.h"

enum {
    HISTORY_LISTED = 50,         /* files and authors in the answer */
    HISTORY_PATHS_MAX = 8 << 20, /* different ones, ever */
    HISTORY_PATHS_BYTES_MAX = 1 << 30,
    HISTORY_MAILMAP_BYTES_MAX = 4 << 20
};

struct history_task {
    repo_t *repo;
    const struct repo_commit *commit;
    struct source
        *files;       /* of that commit: which files there are; what it leaves out is not listed */
    recall_t *recall; /* NULL: nothing is remembered */
    const atomic_int *stop;
    atomic_uint *permille; /* of the commits */
    /* What cannot be read; not 0 ends it with that code. */
    int (*trouble)(void *arg, const char *path, const struct argosy_error *err);
    void *arg;
};

/* Appends a msgpack map to `out`. ARGOSY_ENOMEM, ARGOSY_ESTATE (stopped), ARGOSY_ETOOBIG. */
int history_run(const struct history_task *task, struct ag_buffer *out, struct argosy_error *err);

#endif
