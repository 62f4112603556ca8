#include "tests/integration/http_server_flaky.h"

#include <stdlib.h>

enum {
    SLOTS = 1 << 16,    /* a power of two; 1 MB */
    KEYS_MAX = 3 << 14, /* three quarters of them, so that looking stays short */
};

bool flaky_init(struct flaky_keys *self)
{
    *self = (struct flaky_keys){.slots = calloc(SLOTS, sizeof *self->slots)};
    return self->slots != NULL;
}

void flaky_fini(struct flaky_keys *self)
{
    free(self->slots);
    *self = (struct flaky_keys){0};
}

/* FNV-1a. Keys are compared by their hash alone: of 49,152 keys in 64 bits two are the same once in
 * ten billion runs. */
static uint64_t hash_of(struct ag_bytes text)
{
    uint64_t hash = 14695981039346656037u;

    for (size_t i = 0; i < text.size; i++)
        hash = (hash ^ text.data[i]) * 1099511628211u;
    return hash ? hash : 1;
}

struct flaky_key *flaky_find(struct flaky_keys *self, struct ag_bytes text)
{
    uint64_t hash = hash_of(text);
    size_t slot = hash % SLOTS;

    while (self->slots[slot].hash != 0 && self->slots[slot].hash != hash)
        slot = (slot + 1) % SLOTS;
    if (self->slots[slot].hash == 0) {
        if (self->count == KEYS_MAX)
            return NULL;
        self->count++;
        self->slots[slot].hash = hash;
    }
    return &self->slots[slot];
}
