/* below.h - a path below a root, opened so that links cannot lead out of it.
 *
 * The kernel resolves paths with the root as their root (openat2, RESOLVE_IN_ROOT); where there is
 * no openat2, no links are followed at all.
 *
 * Threads: any. Blocking: as open() and mkdir().
 */
#ifndef FETCH_BELOW_H
#define FETCH_BELOW_H

#include <argosy/error.h>
#include <stddef.h>

/* Whether `path` names a file below one of the roots, as far as its text tells: absolute, without
 * '..', not ending in a slash. ARGOSY_EREJECTED: not below a root. ARGOSY_EINVAL. */
int below_check(const char *path, const char *const *roots, size_t roots_count,
                struct argosy_error *err);

/* *folder: the directory that the file `path` is in, open; missing ones are made. The file's own
 * name is for openat(), with O_EXCL or O_NOFOLLOW: it may be a link. As below_check(), and
 * ARGOSY_EIO, ARGOSY_ENOMEM; *folder is -1 then. */
int below_open_folder(int *folder, const char *path, const char *const *roots, size_t roots_count,
                      struct argosy_error *err);

/* *fd: the plain file `path`, open for reading. As below_check(), and ARGOSY_EIO. */
int below_open_file(int *fd, const char *path, const char *const *roots, size_t roots_count,
                    struct argosy_error *err);

/* A copy with one slash where there are several; free() it. NULL without memory. */
char *below_clean(const char *path);

#endif
