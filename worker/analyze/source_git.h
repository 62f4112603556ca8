/* source_git.h - the files of a commit, straight from the object store; nothing is checked out.
 *
 * What a checkout would hold as regular files: links are left out, submodules are told of and not
 * entered, and names that no checkout may have (.git, .., names with a slash) are troubles.
 */
#ifndef ANALYZE_SOURCE_GIT_H
#define ANALYZE_SOURCE_GIT_H

#include "worker/analyze/repo.h"
#include "worker/analyze/source.h"

enum {
    SOURCE_GIT_ENTRIES_MAX = 8 << 20, /* a few objects can name each other as billions of files */
    SOURCE_GIT_HELD_BYTES_MAX = 256 << 20 /* trees at once in memory, one for each level */
};

/* The directory or file `inside` of the commit ("" is all). The repository must outlive it. What
 * repo_find() says. each() ends with ARGOSY_ETOOBIG beyond SOURCE_GIT_ENTRIES_MAX. */
int source_git_new(struct source **out, repo_t *repo, const struct repo_commit *commit,
                   const char *inside, const struct source_options *options,
                   struct argosy_error *err);

#endif
