/* repo.h - a git repository as an analysis reads it: opened with care, nothing run, nothing
 * written, no network, and no object believed that does not hash to its id.
 *
 * Start here: repo_open(), repo_resolve(), then repo_read() from the commit's tree down.
 *
 * Threads: a repository belongs to one thread at a time; several may be open at once.
 * What a writer of the directory changes meanwhile is not looked for: git's files are mapped.
 */
#ifndef ANALYZE_REPO_H
#define ANALYZE_REPO_H

#include <git2.h>

#include "worker/analyze/analyze.h"

enum {
    REPO_ID_BYTES = 20,
    REPO_HEX_SIZE = 2 * REPO_ID_BYTES + 1,
    REPO_REV_BYTES_MAX = 1024,
    REPO_TREE_BYTES_MAX = 64 << 20,  /* a directory of about a million files */
    REPO_COMMIT_BYTES_MAX = 16 << 20 /* with its message */
};

typedef struct repo repo_t;

/* Is this directory what git calls a git directory: a bare repository, or the .git of another? */
bool repo_is_bare(const char *path);

/* The repository that `path` (real, below the roots) is, or lies in. *inside is the part of `path`
 * below its top, "" for all of it; it lives as long as the repository. Whatever of the repository
 * lies elsewhere (a .git file, worktrees, alternates, links) must be below the roots too.
 * ARGOSY_ENOTFOUND: there is none; ARGOSY_EIO: it may not be opened, and why. */
int repo_open(repo_t **out, const char *path, const struct analyze_roots *roots,
              const char **inside, struct argosy_error *err);
void repo_close(repo_t **self_p);

struct repo_commit {
    git_oid id, tree;
    int64_t time; /* of its committer, seconds since 1970 */
    char hex[REPO_HEX_SIZE];
};

/* What a branch, a tag, an id, HEAD~1 and the like means; NULL: HEAD. ARGOSY_ENOTFOUND: nothing
 * here; ARGOSY_EINVAL: no commit, or not understood; ARGOSY_EPROTO: damaged. */
int repo_resolve(repo_t *self, const char *rev, struct repo_commit *out, struct argosy_error *err);

/* The directory (or the file) at `path` in `tree`; "" is the tree itself. *mode as git has it.
 * ARGOSY_ENOTFOUND, and what repo_read() says. */
int repo_find(repo_t *self, const git_oid *tree, const char *path, git_oid *out, unsigned *mode,
              struct argosy_error *err);

/* An object of this type, to be freed with git_odb_object_free(). ARGOSY_ENOTFOUND: not here (a
 * partial or shallow clone); ARGOSY_ETOOBIG: larger than size_max, and not read; ARGOSY_EPROTO:
 * damaged, of another type, or not what its id says; ARGOSY_ENOMEM. */
int repo_read(repo_t *self, const git_oid *id, git_object_t type, size_t size_max,
              git_odb_object **out, struct argosy_error *err);

/* The same as a blob that git_diff_blobs() takes; git_blob_free(). */
int repo_read_blob(repo_t *self, const git_oid *id, size_t size_max, git_blob **out,
                   struct argosy_error *err);

/* The commits that a shallow clone ends at: they are taken to have no parents. */
bool repo_is_shallow_at(const repo_t *self, const git_oid *id);

/* One entry of a tree's content. */
struct repo_entry {
    unsigned mode;
    const char *name; /* ends with a zero */
    size_t name_size;
    git_oid id;
};

enum {
    REPO_MODE_TYPE = 0170000,
    REPO_MODE_TREE = 0040000,
    REPO_MODE_FILE = 0100000,
    REPO_MODE_LINK = 0120000,
    REPO_MODE_SUBMODULE = 0160000
};

/* Reads the entry at *at. 1; 0 at the end; ARGOSY_EPROTO when it is none. */
int repo_next_entry(const uint8_t **at, const uint8_t *end, struct repo_entry *out);

#endif
