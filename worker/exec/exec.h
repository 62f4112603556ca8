/* exec.h - the exec engine: child programs, their input and output, inside the worker's loop.
 *
 * Start here: exec_handler_new(); poll exec_fd() for reading and call exec_turn() when it is, or
 * when exec_deadline() has come. doc/exec.md tells users what an exec job is.
 *
 * A child is a process group of its own and dies with the worker. A stop is SIGTERM to the group,
 * the kill after the job's grace SIGKILL; an attempt ends when its child and all of its group are
 * gone. Children are awaited through pidfds: no handler for SIGCHLD.
 *
 * Threads: the loop's only. Children are told of the worker's death by the thread that made them,
 * so that has to be one which lives as long as the process.
 */
#ifndef WORKER_EXEC_H
#define WORKER_EXEC_H

#include <stddef.h>
#include <stdint.h>

#include <argosy/error.h>

#include "worker/handler.h"

struct exec_config {
    unsigned slots;
    const char *const *allow; /* globs of absolute paths or bare names; none: nothing may run */
    size_t allow_count;
    const char *const *roots; /* directories that a child may begin in */
    size_t roots_count;
};

/* Texts must outlive the handler. ARGOSY_EIO, ARGOSY_ENOMEM. */
int exec_handler_new(struct handler **out, const struct exec_config *config,
                     struct argosy_error *err);

int exec_fd(const struct handler *handler);
void exec_turn(void *handler, int64_t now);
int64_t exec_deadline(const void *handler);

#endif
