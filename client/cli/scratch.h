/* scratch.h - a folder for files that are to be gone when this process is, however it ends.
 *
 * A child of ours waits for that: also a signal that nobody can catch ends us.
 *
 * Threads: scratch_new() before there are others; the rest any.
 */
#ifndef CLI_SCRATCH_H
#define CLI_SCRATCH_H

#include <argosy/error.h>

typedef struct scratch scratch_t;

/* In $TMPDIR, or /tmp; `prefix` begins its name. ARGOSY_EIO, ARGOSY_ENOMEM. */
int scratch_new(scratch_t **out, const char *prefix, struct argosy_error *err);

const char *scratch_path(const scratch_t *self);

/* Returns when it is gone. */
void scratch_destroy(scratch_t **self_p);

#endif
