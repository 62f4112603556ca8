/* fold.h - a journal in memory, and what a store makes of it in the course of time.
 *
 * journal_fold() is the model of a store: what was forgotten is left out and summed up, attempts
 * and cancels stand behind their job, of a queue, a schedule and the stops of a group only the last
 * record is kept. The
 * tests restore cores from folded journals, and compare stores with them. No memory: abort().
 */
#ifndef TESTS_SIMULATION_FOLD_H
#define TESTS_SIMULATION_FOLD_H

#include "common/buffer.h"

void journal_append(struct ag_buffer *journal, uint64_t number, struct ag_bytes record);

/* The record at *at, which begins at 0 and is moved on. False at the end. */
bool journal_next(const struct ag_buffer *journal, size_t *at, uint64_t *number,
                  struct ag_bytes *record);

void journal_fold(struct ag_buffer *journal);

/* The same by the store's own tables. NULL, or a sentence about what differs from the model. */
const char *journal_fold_by_tables(struct ag_buffer *journal);

#endif
