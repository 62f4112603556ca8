/* output.h - a body on its way to a file under an allowed root: whole and in place, or not there.
 *
 * Bytes go to a hidden file beside the target, which takes the target's name at output_commit().
 * Nothing outside a root can be written: paths are resolved by the kernel with the root as their
 * root (openat2, RESOLVE_IN_ROOT), so links cannot lead out of it; where there is no openat2, no
 * links are followed at all.
 *
 * Threads: one at a time, one that may block (sink.h).
 */
#ifndef FETCH_OUTPUT_H
#define FETCH_OUTPUT_H

#include <argosy/error.h>
#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

typedef struct output output_t;

/* Whether `path` may be written at all, as far as its text tells: absolute, below one of the roots,
 * naming a file. ARGOSY_EREJECTED: not below a root. ARGOSY_EINVAL. */
int output_check(const char *path, const char *const *roots, size_t roots_count,
                 struct argosy_error *err);

/* Begin; missing directories are made. `resume_key` (NULL none): what says that two attempts are at
 * the same thing; what is not whole stays for the next one then, once it is marked. As
 * output_check(), and ARGOSY_EIO, ARGOSY_ENOMEM. */
int output_new(output_t **out, const char *path, const char *const *roots, size_t roots_count,
               const char *resume_key, struct argosy_error *err);

/* What an earlier attempt has left: read into `digest`, its size, and the validator it was marked
 * with. Nothing is left: 0 and "". ARGOSY_EIO, ARGOSY_ENOMEM. */
int output_find(output_t *self, EVP_MD_CTX *digest, uint64_t *size, char *validator,
                size_t validator_size, struct argosy_error *err);

/* Empty, and marked as being of the answer with this validator ("": not marked). ARGOSY_EIO. */
int output_restart(output_t *self, const char *validator, struct argosy_error *err);

/* Nothing of it shall be left. */
void output_discard(output_t *self);

/* ARGOSY_EIO: for example a full disk. */
int output_write(output_t *self, const void *data, size_t size, struct argosy_error *err);

/* Give it its name; {sha256} in the name becomes `sha256`. *path is where it is, owned by self. */
int output_commit(output_t *self, const char *sha256, const char **path, struct argosy_error *err);

/* Its descriptor, until it is committed. */
int output_fd(const output_t *self);

/* Where it shall be; after output_commit(), where it is. */
const char *output_path(const output_t *self);

/* Removes what was neither committed nor marked. Sets NULL. */
void output_destroy(output_t **self_p);

#endif
