#include "worker/analyze/names.h"

#include <stdlib.h>

struct entry {
    uint64_t hash;
    size_t from, size;
};

struct names {
    uint64_t seed;
    uint32_t *slots; /* 1 + the number; 0 free. At most three quarters are used. */
    size_t slots_count;
    struct entry *entries;
    size_t count, capacity;
    uint8_t *bytes;
    size_t bytes_size, bytes_capacity;
};

enum { SLOTS_FIRST = 1024 };

/* Eight bytes at a time, multiplied and folded (as wyhash and its like do). */
static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_of(uint64_t seed, struct ag_bytes name)
{
    uint64_t hash = seed ^ name.size * UINT64_C(0x9e3779b97f4a7c15), word;

    for (size_t at = 0; at < name.size; at += sizeof word) {
        size_t left = name.size - at;

        word = 0;
        memcpy(&word, name.data + at, left < sizeof word ? left : sizeof word);
        hash = mix(hash ^ word, seed | 1);
    }
    return mix(hash, UINT64_C(0xd6e8feb86659fd93));
}

names_t *names_new(uint64_t seed)
{
    names_t *self = calloc(1, sizeof *self);

    if (self == NULL)
        return NULL;
    self->seed = seed;
    self->slots_count = SLOTS_FIRST;
    self->slots = calloc(self->slots_count, sizeof *self->slots);
    if (self->slots == NULL)
        names_destroy(&self);
    return self;
}

void names_destroy(names_t **self_p)
{
    names_t *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    free(self->slots);
    free(self->entries);
    free(self->bytes);
    free(self);
}

/* The slot that holds it, or the free one where it belongs. */
static size_t slot_of(const names_t *self, uint64_t hash, struct ag_bytes name)
{
    size_t at = hash & (self->slots_count - 1);

    for (; self->slots[at] != 0; at = (at + 1) & (self->slots_count - 1)) {
        const struct entry *entry = &self->entries[self->slots[at] - 1];

        if (entry->hash == hash && entry->size == name.size &&
            (name.size == 0 || memcmp(self->bytes + entry->from, name.data, name.size) == 0))
            break;
    }
    return at;
}

static bool grow_slots(names_t *self)
{
    size_t count = self->slots_count * 2;
    uint32_t *slots = calloc(count, sizeof *slots);

    if (slots == NULL)
        return false;
    for (size_t i = 0; i < self->count; i++) {
        size_t at = self->entries[i].hash & (count - 1);

        while (slots[at] != 0)
            at = (at + 1) & (count - 1);
        slots[at] = (uint32_t)i + 1;
    }
    free(self->slots);
    self->slots = slots;
    self->slots_count = count;
    return true;
}

/* Room for one more entry and its bytes. */
static bool reserve(names_t *self, size_t size)
{
    if (self->count == self->capacity) {
        size_t capacity = self->capacity * 2 + 256;
        struct entry *grown = realloc(self->entries, capacity * sizeof *grown);

        if (grown == NULL)
            return false;
        self->entries = grown;
        self->capacity = capacity;
    }
    if (self->bytes_capacity - self->bytes_size <= size) {
        size_t capacity = self->bytes_capacity * 2 + size + 4096;
        uint8_t *grown = realloc(self->bytes, capacity);

        if (grown == NULL)
            return false;
        self->bytes = grown;
        self->bytes_capacity = capacity;
    }
    return (self->count + 1) * 4 <= self->slots_count * 3 || grow_slots(self);
}

uint32_t names_put(names_t *self, struct ag_bytes name)
{
    uint64_t hash = hash_of(self->seed, name);
    size_t slot = slot_of(self, hash, name);

    if (self->slots[slot] != 0)
        return self->slots[slot] - 1;
    if (self->count >= NAMES_NONE - 1 || !reserve(self, name.size))
        return NAMES_NONE;
    slot = slot_of(self, hash, name); /* the slots may be others now */
    self->entries[self->count] =
        (struct entry){.hash = hash, .from = self->bytes_size, .size = name.size};
    if (name.size > 0)
        memcpy(self->bytes + self->bytes_size, name.data, name.size);
    self->bytes[self->bytes_size + name.size] = '\0';
    self->bytes_size += name.size + 1;
    self->slots[slot] = (uint32_t)++self->count;
    return (uint32_t)self->count - 1;
}

uint32_t names_find(const names_t *self, struct ag_bytes name)
{
    uint32_t number = self->slots[slot_of(self, hash_of(self->seed, name), name)];

    return number != 0 ? number - 1 : NAMES_NONE;
}

struct ag_bytes names_at(const names_t *self, uint32_t number)
{
    const struct entry *entry = &self->entries[number];

    return ag_bytes_of(self->bytes + entry->from, entry->size);
}

uint32_t names_count(const names_t *self)
{
    return (uint32_t)self->count;
}

size_t names_bytes(const names_t *self)
{
    return self->bytes_size;
}
