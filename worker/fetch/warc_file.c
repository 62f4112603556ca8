#include "worker/fetch/warc_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ZLIB_CONST
#include <zlib.h>

#include "common/assert.h"
#include "common/error.h"

enum {
    WRITE_SIZE = 64 * 1024, /* at once */
    GZIP_WINDOW = 15 + 16,  /* zlib's way to say: the largest window, with a gzip header */
    MEMORY_LEVEL = 8        /* zlib's default */
};

struct warc_file {
    z_stream zip;
    int folder, fd;
    char *path;
    char name_open[NAME_MAX + 1];
    uint64_t size;
    uint8_t out[WRITE_SIZE];
};

static const char *name_of(const warc_file_t *self)
{
    return strrchr(self->path, '/') + 1;
}

static int fail_file(const warc_file_t *self, const char *what, struct argosy_error *err)
{
    return ag_fail(err, ARGOSY_EIO, "cannot %s %s" WARC_FILE_OPEN ": %s", what, self->path,
                   strerror(errno));
}

static void free_file(warc_file_t **self_p)
{
    warc_file_t *self = *self_p;

    deflateEnd(&self->zip);
    if (self->fd >= 0)
        close(self->fd);
    close(self->folder);
    free(self->path);
    free(self);
    *self_p = NULL;
}

int warc_file_new(warc_file_t **out, int folder, const char *path, struct argosy_error *err)
{
    warc_file_t *self = calloc(1, sizeof *self);
    int rc = 0;

    *out = NULL;
    if (self == NULL || (self->path = strdup(path)) == NULL ||
        deflateInit2(&self->zip, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        if (self != NULL)
            free(self->path);
        free(self);
        close(folder);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for an archive file");
    }
    self->folder = folder;
    self->fd = -1;
    errno = ENAMETOOLONG;
    if (snprintf(self->name_open, sizeof self->name_open, "%s" WARC_FILE_OPEN, name_of(self)) <
        (int)sizeof self->name_open)
        self->fd = openat(folder, self->name_open, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (self->fd < 0) {
        rc = fail_file(self, "create", err);
        free_file(&self);
    }
    *out = self;
    return rc;
}

const char *warc_file_path(const warc_file_t *self)
{
    return self->path;
}

uint64_t warc_file_size(const warc_file_t *self)
{
    return self->size;
}

static int write_out(warc_file_t *self, size_t size, struct argosy_error *err)
{
    const uint8_t *at = self->out;

    while (size > 0) {
        ssize_t done = pwrite(self->fd, at, size, (off_t)self->size);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return fail_file(self, "write", err);
        at += done;
        size -= (size_t)done;
        self->size += (uint64_t)done;
    }
    return 0;
}

static int compress_some(warc_file_t *self, int flush, struct argosy_error *err)
{
    int rc = 0;

    do {
        self->zip.next_out = self->out;
        self->zip.avail_out = sizeof self->out;
        AG_ASSERT(deflate(&self->zip, flush) != Z_STREAM_ERROR);
        rc = write_out(self, sizeof self->out - self->zip.avail_out, err);
    } while (rc == 0 && self->zip.avail_out == 0);
    return rc;
}

int warc_file_put(warc_file_t *self, struct ag_bytes bytes, struct argosy_error *err)
{
    int rc = 0;

    while (rc == 0 && bytes.size > 0) {
        size_t some = bytes.size < INT_MAX ? bytes.size : INT_MAX; /* zlib counts in 32 bits */

        self->zip.next_in = bytes.data;
        self->zip.avail_in = (uInt)some;
        rc = compress_some(self, Z_NO_FLUSH, err);
        bytes = ag_bytes_of(bytes.data + some, bytes.size - some);
    }
    return rc;
}

int warc_file_end(warc_file_t *self, struct argosy_error *err)
{
    int rc;

    self->zip.avail_in = 0;
    rc = compress_some(self, Z_FINISH, err);
    if (rc == 0)
        deflateReset(&self->zip);
    return rc;
}

int warc_file_rollback(warc_file_t *self, uint64_t size, struct argosy_error *err)
{
    deflateReset(&self->zip);
    if (ftruncate(self->fd, (off_t)size) < 0)
        return fail_file(self, "shorten", err);
    self->size = size;
    return 0;
}

int warc_file_close(warc_file_t **self_p, struct argosy_error *err)
{
    warc_file_t *self = *self_p;
    int rc = 0, fd = self->fd;

    /* A name says that the file is whole, also after a power cut. */
    if (fsync(fd) < 0)
        rc = fail_file(self, "write", err);
    self->fd = -1;
    if (close(fd) < 0 && rc == 0)
        rc = fail_file(self, "close", err);
    if (rc == 0 && renameat(self->folder, self->name_open, self->folder, name_of(self)) < 0)
        rc = fail_file(self, "name", err);
    free_file(self_p);
    return rc;
}

void warc_file_abandon(warc_file_t **self_p)
{
    free_file(self_p);
}

void warc_file_remove(warc_file_t **self_p)
{
    unlinkat((*self_p)->folder, (*self_p)->name_open, 0);
    free_file(self_p);
}
