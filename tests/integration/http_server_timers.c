#include "tests/integration/http_server_timers.h"

#include <stdlib.h>

#include "common/assert.h"

bool timers_init(struct timers *self, size_t capacity)
{
    *self = (struct timers){.capacity = capacity};
    self->heap = calloc(capacity + 1, sizeof *self->heap); /* places count from 1 */
    return self->heap != NULL;
}

void timers_fini(struct timers *self)
{
    free(self->heap);
    *self = (struct timers){0};
}

static void put(struct timers *self, struct timer *timer, size_t place)
{
    self->heap[place] = timer;
    timer->place = place;
}

static void rise(struct timers *self, struct timer *timer, size_t place)
{
    for (; place > 1 && self->heap[place / 2]->due_us > timer->due_us; place /= 2)
        put(self, self->heap[place / 2], place);
    put(self, timer, place);
}

static void sink(struct timers *self, struct timer *timer, size_t place)
{
    size_t child;

    for (; (child = 2 * place) <= self->count; place = child) {
        if (child < self->count && self->heap[child + 1]->due_us < self->heap[child]->due_us)
            child++;
        if (self->heap[child]->due_us >= timer->due_us)
            break;
        put(self, self->heap[child], place);
    }
    put(self, timer, place);
}

void timers_set(struct timers *self, struct timer *timer, int64_t due_us)
{
    timers_clear(self, timer);
    AG_ASSERT(self->count < self->capacity);
    timer->due_us = due_us;
    rise(self, timer, ++self->count);
}

void timers_clear(struct timers *self, struct timer *timer)
{
    size_t place = timer->place;
    struct timer *last;

    if (place == 0)
        return;
    timer->place = 0;
    last = self->heap[self->count--];
    if (last == timer)
        return;
    /* The last one fills the hole; it may belong above it or below it. */
    rise(self, last, place);
    sink(self, last, last->place);
}

int64_t timers_deadline(const struct timers *self)
{
    return self->count > 0 ? self->heap[1]->due_us : INT64_MAX;
}

struct timer *timers_take_due(struct timers *self, int64_t now_us)
{
    struct timer *timer;

    if (timers_deadline(self) > now_us)
        return NULL;
    timer = self->heap[1];
    timers_clear(self, timer);
    return timer;
}
