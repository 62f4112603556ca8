/* spawn.h - starting a child program with pipes to it.
 *
 * Threads: one that lives as long as the process (see exec.h).
 */
#ifndef WORKER_EXEC_SPAWN_H
#define WORKER_EXEC_SPAWN_H

#include <sys/types.h>

#include "worker/exec/request.h"

/* Ends of pipes, non-blocking and closed on exec; -1 once closed. */
struct exec_pipes {
    int in, out, err;
    int status; /* an errno if the program could not be started; closed without a word if it was */
};

/* ARGOSY_EIO, ARGOSY_ENOMEM. */
int exec_spawn(const struct exec_request *request, pid_t *pid, int *pidfd, struct exec_pipes *pipes,
               struct argosy_error *err);

#endif
