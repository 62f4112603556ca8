/* http_server_timers.h - what is due next: a binary heap, each timer knowing its own place.
 *
 * Start here: embed a struct timer in what has to wait; timers_set(); timers_take_due() in the
 * loop.
 *
 * Threads: one at a time. Pure. Units: microseconds of the caller's monotonic clock.
 */
#ifndef TESTS_HTTP_SERVER_TIMERS_H
#define TESTS_HTTP_SERVER_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer {
    int64_t due_us;
    size_t place; /* in the heap, from 1; 0 while it is not set, so zeroed memory is fine */
};

struct timers {
    struct timer **heap;
    size_t count, capacity;
};

/* Room for `capacity` timers at once, so that timers_set() cannot fail. False without memory. */
bool timers_init(struct timers *self, size_t capacity);
void timers_fini(struct timers *self);

/* Set, or set anew. Borrows `timer` until it is taken or cleared. */
void timers_set(struct timers *self, struct timer *timer, int64_t due_us);

/* Harmless for a timer that is not set. */
void timers_clear(struct timers *self, struct timer *timer);

/* INT64_MAX if none is set. */
int64_t timers_deadline(const struct timers *self);

/* The earliest timer that is due, no longer set; NULL if none is. */
struct timer *timers_take_due(struct timers *self, int64_t now_us);

#endif
