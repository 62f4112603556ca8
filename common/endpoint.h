/* endpoint.h - where a broker listens and where others find it: checked before a socket is made.
 *
 * An endpoint is tcp://HOST:PORT or ipc://PATH. Who names none meets at ag_endpoint_default(), so
 * that the three programs of one user on one machine find each other without options.
 *
 * Threads: any.
 */
#ifndef AG_ENDPOINT_H
#define AG_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>

#include <argosy/error.h>

enum { AG_ENDPOINT_SIZE = 512 };

/* ARGOSY_EINVAL with what was expected. `bind` also allows an asterisk for the host, and port 0 (any free). */
int ag_endpoint_check(const char *endpoint, bool bind, struct argosy_error *err);

/* ipc://$XDG_RUNTIME_DIR/argosy/broker, or ipc:///tmp/argosy-UID/broker without that variable. The
 * directory is made, for its owner only; one that belongs to somebody else is ARGOSY_EIO. */
int ag_endpoint_default(char out[AG_ENDPOINT_SIZE], struct argosy_error *err);

/* The path of an ipc endpoint, NULL of others. */
const char *ag_endpoint_path(const char *endpoint);

#endif
