/* result.h - how a fetch ended, written down for its job: a result or an error in msgpack.
 *
 * Internal to the engine. doc/fetch.md lists the keys.
 *
 * Threads: the loop's only.
 */
#ifndef FETCH_RESULT_H
#define FETCH_RESULT_H

#include "worker/fetch/transfer.h"

/* The map of a success. `file` is where the body is; NULL: in the result, or nowhere. out->failed
 * when it is too large or memory was short. */
void result_write(const struct transfer *self, const char *sha256, const char *file,
                  struct ag_buffer *out);

/* The failure that self->cause tells of. `code` is libcurl's word, CURLE_OK if it had none. Without
 * memory the error stays empty, and the outcome's type tells. */
void result_write_failure(const struct transfer *self, struct outcome *outcome);

#endif
