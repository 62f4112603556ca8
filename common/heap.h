/* heap.h - timers in a binary heap with positions: set, move and stop in O(log n), no allocation
 * once room is reserved.
 *
 * Threads: one at a time. Pure. Units: whatever clock the caller reads.
 */
#ifndef AG_HEAP_H
#define AG_HEAP_H

#include <stddef.h>
#include <stdint.h>

/* Embed one in what has a deadline. Zero is a timer that is not set. */
struct ag_timer {
    int64_t at;
    size_t place; /* 1-based place in the heap; 0: not set */
};

struct ag_heap {
    struct ag_timer **items;
    size_t count, capacity;
};

/* Room for `count` timers in all. ARGOSY_ENOMEM. */
int ag_heap_reserve(struct ag_heap *self, size_t count);

void ag_heap_fini(struct ag_heap *self);

/* Set it, or move it. Room must have been reserved. */
void ag_heap_set(struct ag_heap *self, struct ag_timer *timer, int64_t at);

/* Harmless when it is not set. */
void ag_heap_stop(struct ag_heap *self, struct ag_timer *timer);

/* The soonest; NULL when none is set. */
struct ag_timer *ag_heap_first(const struct ag_heap *self);

#endif
