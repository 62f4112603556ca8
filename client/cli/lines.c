#include "client/cli/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "common/error.h"

enum { READ_BYTES = 64 << 10 };

int lines_open(struct lines *self, const char *path, struct argosy_error *err)
{
    bool is_stdin = strcmp(path, "-") == 0;

    *self = (struct lines){.name = is_stdin ? "standard input" : path,
                           .buffer = ag_buffer_empty(LINE_BYTES_MAX + 2 * READ_BYTES)};
    self->fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (self->fd < 0)
        return ag_fail(err, ARGOSY_EIO, "cannot read %s: %s", path, strerror(errno));
    return 0;
}

void lines_close(struct lines *self)
{
    if (self->fd > STDIN_FILENO)
        close(self->fd);
    ag_buffer_free(&self->buffer);
}

/* 1 when there is more, 0 when it would wait or is at its end. */
static int fill(struct lines *self, struct argosy_error *err)
{
    struct pollfd readable = {.fd = self->fd, .events = POLLIN};
    uint8_t *room;
    ssize_t got;

    if (self->used > 0) {
        memmove(self->buffer.data, self->buffer.data + self->used, self->buffer.size - self->used);
        self->buffer.size -= self->used;
        self->used = 0;
    }
    if (poll(&readable, 1, 0) == 0)
        return 0;
    room = ag_buffer_reserve(&self->buffer, READ_BYTES);
    if (room == NULL)
        return ag_fail(err, ARGOSY_ETOOBIG, "%s:%u: a line is longer than %d bytes", self->name,
                       self->number + 1, LINE_BYTES_MAX);
    got = read(self->fd, room, READ_BYTES);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (got < 0)
        return ag_fail(err, ARGOSY_EIO, "cannot read %s: %s", self->name, strerror(errno));
    self->at_end = got == 0;
    self->buffer.size += (size_t)got;
    return got > 0;
}

int lines_next(struct lines *self, char **text, struct argosy_error *err)
{
    for (;;) {
        uint8_t *start = self->buffer.data + self->used;
        size_t left = self->buffer.size - self->used;
        uint8_t *end = left > 0 ? memchr(start, '\n', left) : NULL;
        int rc;

        if (end != NULL || (self->at_end && left > 0)) {
            size_t size = end != NULL ? (size_t)(end - start) : left;

            if (end == NULL) {
                ag_buffer_as_text(&self->buffer); /* room for the zero behind the last line */
                start = self->buffer.data + self->used;
            }
            self->used += size + (end != NULL);
            start[size] = '\0';
            if (size > 0 && start[size - 1] == '\r')
                start[size - 1] = '\0';
            *text = (char *)start;
            self->number++;
            return 1;
        }
        if (self->at_end)
            return -1;
        rc = fill(self, err);
        if (rc < 0)
            return rc;
        if (rc == 0 && !self->at_end)
            return 0;
    }
}
