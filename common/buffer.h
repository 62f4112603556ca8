/* buffer.h - growing bytes with a stated maximum.
 *
 * Start here: struct ag_buffer b = ag_buffer_empty (max); append; check b.failed once at the end.
 * A failure is sticky: after the first append that found no memory or no room, all others do
 * nothing, so encoders need one check and not forty.
 *
 * Threads: one at a time. Pure.
 */
#ifndef AG_BUFFER_H
#define AG_BUFFER_H

#include <stdarg.h>

#include "common/bytes.h"

struct ag_buffer {
    uint8_t *data;
    size_t size, capacity;
    size_t size_max; /* bytes; appending beyond it fails */
    bool failed;     /* sticky; ag_buffer_clear() resets it */
};

static inline struct ag_buffer ag_buffer_empty(size_t size_max)
{
    return (struct ag_buffer){.size_max = size_max};
}

void ag_buffer_append_slow(struct ag_buffer *self, const void *data, size_t size);

/* Encoders append few bytes very often. */
static inline void ag_buffer_append(struct ag_buffer *self, const void *data, size_t size)
{
    if (self->failed || size == 0 || size > self->capacity - self->size ||
        size > self->size_max - self->size) {
        ag_buffer_append_slow(self, data, size);
        return;
    }
    memcpy(self->data + self->size, data, size);
    self->size += size;
}

void ag_buffer_text(struct ag_buffer *self, const char *text);
__attribute__((format(printf, 2, 3))) void ag_buffer_printf(struct ag_buffer *self,
                                                            const char *format, ...);

/* A terminating zero behind the bytes, not counted in size. Returns the text, or "" on failure. */
const char *ag_buffer_as_text(struct ag_buffer *self);

/* Room for `size` more bytes, to be written by the caller, who then adds to self->size.
 * Returns NULL on failure. */
uint8_t *ag_buffer_reserve(struct ag_buffer *self, size_t size);

static inline struct ag_bytes ag_buffer_bytes(const struct ag_buffer *self)
{
    return ag_bytes_of(self->data, self->size);
}

/* Empty again; keeps its memory for the next message. */
void ag_buffer_clear(struct ag_buffer *self);

/* Gives the bytes to the caller (free() them) and starts anew; NULL when empty or failed. */
uint8_t *ag_buffer_take(struct ag_buffer *self, size_t *size);

void ag_buffer_free(struct ag_buffer *self);

/* The write callback for msgpack_packer_init(&packer, buffer, ag_buffer_write). */
int ag_buffer_write(void *buffer, const char *data, size_t size);

#endif
