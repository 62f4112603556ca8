/* repo_place.h - where a repository's parts lie, and whether this worker may read them. For
 * repo.c, and for rules of what git ignores. Only files of git are looked at; nothing is opened
 * with a library yet.
 *
 * Threads: any.
 */
#ifndef ANALYZE_REPO_PLACE_H
#define ANALYZE_REPO_PLACE_H

#include <limits.h>

#include "worker/analyze/analyze.h"

enum {
    PLACE_ALTERNATES_DEPTH_MAX = 5, /* as git */
    PLACE_ALTERNATES_BYTES_MAX = 64 << 10,
    PLACE_CONFIG_BYTES_MAX = 1 << 20,
    PLACE_OBJECTS_MAX = 4 << 20 /* loose objects and packs that are looked at for links */
};

struct repo_place {
    char git[PATH_MAX];    /* HEAD and config.worktree, real */
    char common[PATH_MAX]; /* objects, refs, config; the same but for linked work trees */
    char inside[PATH_MAX]; /* what of the asked path lies below the work tree's top */
};

/* Does it look like a git directory? */
bool repo_place_is_git(const char *path);

/* The work tree's top that `path` (real) is, or lies below, no higher than the roots. False: none.
 */
bool repo_place_top(const char *path, const struct analyze_roots *roots, char top[PATH_MAX]);

/* The info/exclude of the repository whose work tree has this top, if there is one below the roots.
 */
bool repo_place_exclude(const char *top, const struct analyze_roots *roots, char out[PATH_MAX]);

/* ARGOSY_ENOTFOUND: `path` lies in no repository; ARGOSY_EIO: it may not be opened, err tells. */
int repo_place_find(struct repo_place *self, const char *path, const struct analyze_roots *roots,
                    struct argosy_error *err);

#endif
