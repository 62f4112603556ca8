#include "common/heap.h"

#include <stdlib.h>

#include <argosy/error.h>

#include "common/assert.h"

int ag_heap_reserve(struct ag_heap *self, size_t count)
{
    struct ag_timer **grown;

    if (count <= self->capacity)
        return 0;
    count += count / 2;
    grown = realloc(self->items, count * sizeof(struct ag_timer *));
    if (grown == NULL)
        return ARGOSY_ENOMEM;
    self->items = grown;
    self->capacity = count;
    return 0;
}

void ag_heap_fini(struct ag_heap *self)
{
    free(self->items);
    *self = (struct ag_heap){0};
}

static void put(struct ag_heap *self, size_t place, struct ag_timer *timer)
{
    self->items[place - 1] = timer;
    timer->place = place;
}

static void rise(struct ag_heap *self, struct ag_timer *timer)
{
    size_t place = timer->place;

    while (place > 1 && self->items[place / 2 - 1]->at > timer->at) {
        put(self, place, self->items[place / 2 - 1]);
        place /= 2;
    }
    put(self, place, timer);
}

static void sink(struct ag_heap *self, struct ag_timer *timer)
{
    size_t place = timer->place, child;

    while ((child = 2 * place) <= self->count) {
        if (child < self->count && self->items[child]->at < self->items[child - 1]->at)
            child++;
        if (self->items[child - 1]->at >= timer->at)
            break;
        put(self, place, self->items[child - 1]);
        place = child;
    }
    put(self, place, timer);
}

void ag_heap_set(struct ag_heap *self, struct ag_timer *timer, int64_t at)
{
    timer->at = at;
    if (timer->place == 0) {
        AG_ASSERT(self->count < self->capacity);
        put(self, ++self->count, timer);
    }
    rise(self, timer);
    sink(self, timer);
}

void ag_heap_stop(struct ag_heap *self, struct ag_timer *timer)
{
    size_t place = timer->place;
    struct ag_timer *last;

    if (place == 0)
        return;
    AG_ASSERT(self->items[place - 1] == timer);
    last = self->items[--self->count];
    timer->place = 0;
    if (last == timer)
        return;
    put(self, place, last);
    rise(self, last);
    sink(self, last);
}

struct ag_timer *ag_heap_first(const struct ag_heap *self)
{
    return self->count > 0 ? self->items[0] : NULL;
}
