/* analyze.h - the analysis engine: counts files, lines, code, comments and blanks by language.
 *
 * Start here: analyze_run() does one job on the caller's thread; analyze_handler_new() offers it to
 * the worker's loop, on the pool. doc/analysis.md tells users what is counted and how.
 *
 * Threads: analyze_run() from any; a job keeps everything it needs to itself.
 */
#ifndef WORKER_ANALYZE_H
#define WORKER_ANALYZE_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/analyze/languages.h"
#include "worker/handler.h"
#include "worker/pool.h"

/* Directories that jobs may read; without any, none. And languages besides the table's, or NULL.
 * Must outlive what is made with them. */
struct analyze_roots {
    const char *const *paths;
    size_t count;
    const struct language_rows *languages;
    const char *cache; /* a directory for what was counted before; NULL: nothing is kept */
    /* Threads that jobs may have besides their own, while they last: all jobs share them. NULL:
     * none. */
    atomic_int *helpers;
};

/* Does a root hold this path, which realpath() gave? */
bool analyze_may_read(const struct analyze_roots *roots, const char *real);

/* ARGOSY_ENOMEM. The pool must outlive the handler's tasks. */
int analyze_handler_new(struct handler **out, pool_t *pool, const struct analyze_roots *roots,
                        unsigned slots, struct argosy_error *err);

/* How others look on while a job runs. Both are shared with other threads. */
struct analyze_watch {
    const atomic_int *stop; /* not STOP_NONE: end soon */
    atomic_uint *permille;  /* files that are done of those there are, once these are counted */
    uint32_t quiet_ms;      /* a job that ends before that does not count them */
};

/* One job: payload {"path", "by", "exclude", "rev", "history", "gitignore", "shard", "merge"};
 * without a path the file that the first of its inputs has made ("file" of its result); a merge is
 * that of its inputs. Fills the outcome. */
void analyze_run(struct ag_bytes payload, struct ag_bytes inputs, const struct analyze_roots *roots,
                 const struct analyze_watch *watch, struct outcome *outcome);

#endif
