/* noop.h - a kind that does nothing, for measuring a fleet: argosy bench.
 *
 * Threads: the loop's.
 */
#ifndef WORKER_NOOP_H
#define WORKER_NOOP_H

#include <argosy/error.h>

#include "worker/handler.h"

int noop_handler_new(struct handler **out, unsigned slots, struct argosy_error *err);

#endif
