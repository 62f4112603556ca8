/* process.h - what both daemons do to their process before anything else happens in it.
 *
 * Threads: call while there is only one.
 */
#ifndef AG_PROCESS_H
#define AG_PROCESS_H

#include <stdint.h>

#include <argosy/error.h>

/* SIGTERM and SIGINT are blocked, to be read from a signalfd; SIGPIPE is ignored; libzmq's routing
 * ids, which come from rand(), become unpredictable. With `parent` other than 0 the process gets
 * SIGTERM when that process, its parent, ends; at once if it has ended already. ARGOSY_EIO without
 * randomness. */
int ag_process_prepare(uint32_t parent, struct argosy_error *err);

#endif
