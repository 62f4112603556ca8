/* request.h - what an exec job asks for, read and checked.
 *
 * Ownership: exec_request_fini() frees all of it. Threads: plain data.
 */
#ifndef WORKER_EXEC_REQUEST_H
#define WORKER_EXEC_REQUEST_H

#include "worker/exec/exec.h"

enum {
    EXEC_WORDS_MAX = 4096,         /* of a command, and of its environment */
    EXEC_OUTPUT_DEFAULT = 1 << 20, /* bytes kept of each of stdout and stderr */
    EXEC_OUTPUT_MAX = 3 << 20      /* both fit into a result */
};

struct exec_request {
    char **argv; /* ends with NULL */
    char **env;  /* "NAME=VALUE", added to a small environment of our own; ends with NULL */
    char *path;  /* the program, absolute */
    char *cwd;   /* absolute */
    struct ag_buffer input;
    size_t output_max;
};

/* False: it cannot be run, and `outcome` says why. */
bool exec_request_read(struct exec_request *out, const struct task *task,
                       const struct exec_config *config, struct outcome *outcome);
void exec_request_fini(struct exec_request *self);

#endif
