/* output.h - a body on its way to a file under an allowed root: whole and in place, or not there.
 *
 * Bytes go to a hidden file beside the target, which takes the target's name at output_commit().
 * Nothing outside a root can be written: paths are resolved by the kernel with the root as their
 * root (openat2, RESOLVE_IN_ROOT), so links cannot lead out of it; where there is no openat2, no
 * links are followed at all.
 *
 * Threads: one at a time. Blocking: writes go to the page cache; they are short but not free, which
 * is acceptable on the loop for bodies of the sizes that its bounds allow.
 */
#ifndef FETCH_OUTPUT_H
#define FETCH_OUTPUT_H

#include <argosy/error.h>
#include <stddef.h>

typedef struct output output_t;

/* Whether `path` may be written at all, as far as its text tells: absolute, below one of the roots,
 * naming a file. ARGOSY_EREJECTED: not below a root. ARGOSY_EINVAL. */
int output_check(const char *path, const char *const *roots, size_t roots_count,
                 struct argosy_error *err);

/* Begin; missing directories are made. As output_check(), and ARGOSY_EIO, ARGOSY_ENOMEM. */
int output_new(output_t **out, const char *path, const char *const *roots, size_t roots_count,
               struct argosy_error *err);

/* ARGOSY_EIO: for example a full disk. */
int output_write(output_t *self, const void *data, size_t size, struct argosy_error *err);

/* Give it its name; {sha256} in the name becomes `sha256`. *path is where it is, owned by self. */
int output_commit(output_t *self, const char *sha256, const char **path, struct argosy_error *err);

/* Removes what was not committed. Sets NULL. */
void output_destroy(output_t **self_p);

#endif
