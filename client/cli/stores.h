/* stores.h - opening the store that a command line names.
 *
 * Threads: one.
 */
#ifndef CLI_STORES_H
#define CLI_STORES_H

#include <limits.h>

#include "broker/store/look.h"
#include "client/cli/cli.h"

/* `text`: sqlite:PATH, PATH, or NULL for the store in the user's state directory; its path is left
 * in `path`. 0, or an exit code after a message; *out is NULL then. */
int stores_open(struct cli *cli, const char *text, look_t **out, char path[PATH_MAX],
                struct argosy_error *err);

#endif
