/* recall_record.h - what was found in a file, as bytes. Numbers are as the machine has them: a
 * cache does not leave its host. Internal to recall.c.
 *
 * Threads: any. Pure.
 */
#ifndef ANALYZE_RECALL_RECORD_H
#define ANALYZE_RECALL_RECORD_H

#include "common/buffer.h"
#include "worker/analyze/inspect.h"

/* A failure is the buffer's. */
void recall_record_write(const struct inspected *inspected, const languages_t *languages,
                         struct ag_buffer *out);

/* `out` borrows from the record. False when it is none. */
bool recall_record_read(struct ag_bytes record, const languages_t *languages,
                        struct inspected *out);

#endif
