/* entropy.h - randomness from the system: ids, seeds, secrets. The only file that asks for it.
 *
 * Threads: any. Blocks only until the system has gathered its first entropy after boot.
 */
#ifndef AG_ENTROPY_H
#define AG_ENTROPY_H

#include <stddef.h>
#include <stdint.h>

#include <argosy/error.h>

/* Fill `out`. ARGOSY_EIO when the system refuses (a seccomp filter, no such call): do not go on
 * without; there is no weaker source to fall back to. */
int ag_entropy(void *out, size_t size, struct argosy_error *err);

#endif
