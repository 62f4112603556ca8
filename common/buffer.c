#include "common/buffer.h"

#include <stdio.h>
#include <stdlib.h>

/* Room for `size` bytes, which count, and `spare` ones (a terminating zero), which do not. */
static uint8_t *make_room(struct ag_buffer *self, size_t size, size_t spare)
{
    size_t want = self->size + size + spare, capacity = self->capacity ? self->capacity : 256;
    uint8_t *grown;

    if (self->failed)
        return NULL;
    if (size > self->size_max || self->size > self->size_max - size || want < spare) {
        self->failed = true;
        return NULL;
    }
    if (want <= self->capacity && self->data != NULL)
        return self->data + self->size;
    while (capacity < want)
        capacity = capacity <= SIZE_MAX / 2 ? 2 * capacity : want;
    grown = realloc(self->data, capacity);
    if (grown == NULL) {
        self->failed = true;
        return NULL;
    }
    self->data = grown;
    self->capacity = capacity;
    return self->data + self->size;
}

uint8_t *ag_buffer_reserve(struct ag_buffer *self, size_t size)
{
    return make_room(self, size, 0);
}

void ag_buffer_append_slow(struct ag_buffer *self, const void *data, size_t size)
{
    uint8_t *room = make_room(self, size, 0);

    if (room == NULL)
        return;
    if (size > 0)
        memcpy(room, data, size);
    self->size += size;
}

void ag_buffer_text(struct ag_buffer *self, const char *text)
{
    ag_buffer_append(self, text, strlen(text));
}

void ag_buffer_printf(struct ag_buffer *self, const char *format, ...)
{
    va_list args, again;
    int length;

    va_start(args, format);
    va_copy(again, args);
    length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0) {
        self->failed = true;
    } else {
        char *room = (char *)make_room(self, (size_t)length, 1);

        if (room != NULL) {
            vsnprintf(room, (size_t)length + 1, format, again);
            self->size += (size_t)length;
        }
    }
    va_end(again);
}

const char *ag_buffer_as_text(struct ag_buffer *self)
{
    uint8_t *room = make_room(self, 0, 1);

    if (room == NULL)
        return "";
    *room = '\0';
    return (const char *)self->data;
}

void ag_buffer_clear(struct ag_buffer *self)
{
    self->size = 0;
    self->failed = false;
}

uint8_t *ag_buffer_take(struct ag_buffer *self, size_t *size)
{
    uint8_t *data = self->failed || self->size == 0 ? NULL : self->data;

    *size = data ? self->size : 0;
    if (data == NULL)
        free(self->data);
    *self = ag_buffer_empty(self->size_max);
    return data;
}

void ag_buffer_free(struct ag_buffer *self)
{
    free(self->data);
    *self = ag_buffer_empty(self->size_max);
}

int ag_buffer_write(void *buffer, const char *data, size_t size)
{
    struct ag_buffer *self = buffer;

    ag_buffer_append(self, data, size);
    return self->failed ? -1 : 0;
}
