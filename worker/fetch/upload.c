#include "worker/fetch/upload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/error.h"
#include "worker/fetch/below.h"

enum { PART = 128 << 10 };

struct part {
    size_t size, at;
    uint8_t bytes[PART];
};

struct upload {
    struct upload_config config;
    char *path;
    uint64_t size;                                    /* of the file */
    uint64_t read_at;                                 /* where the next part begins */
    bool is_busy, was_opened, is_abandoned, is_stale; /* stale: rewound while a part was read */
    struct part *ready;                               /* what upload_read() takes from */
    /* a pool thread's while busy */
    int fd, rc;
    uint64_t from; /* where `next` begins */
    struct argosy_error error;
    struct part *next;
};

static void free_upload(upload_t *self)
{
    if (self->fd >= 0)
        close(self->fd);
    free(self->path);
    free(self->ready);
    free(self->next);
    free(self);
}

/* ---- on a pool thread
 * --------------------------------------------------------------------------------- */

static int open_file(upload_t *self)
{
    const struct upload_config *config = &self->config;
    struct stat info = {0};
    int rc =
        below_open_file(&self->fd, self->path, config->roots, config->roots_count, &self->error);

    if (rc == 0 && fstat(self->fd, &info) == 0)
        self->size = (uint64_t)info.st_size;
    return rc;
}

/* Not a byte more than was there when it was opened: that is what the server has been told, and
 * what comes behind it on the connection it would take for the next request. */
static void do_read(void *arg)
{
    upload_t *self = arg;
    struct part *part = self->next;
    uint64_t left;
    ssize_t got = 1;

    part->size = part->at = 0;
    if (self->fd < 0)
        self->rc = open_file(self);
    left = self->size - self->from;
    if (left > PART)
        left = PART;
    while (self->rc == 0 && got > 0 && part->size < left) {
        got = pread(self->fd, part->bytes + part->size, left - part->size,
                    (off_t)(self->from + part->size));
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got < 0)
            self->rc = ag_fail(&self->error, ARGOSY_EIO, "cannot read %s: %s", self->path,
                               strerror(errno));
        else
            part->size += (size_t)got;
    }
    if (self->rc == 0 && part->size < left)
        self->rc =
            ag_fail(&self->error, ARGOSY_EIO, "%s became shorter while it was sent", self->path);
}

/* ---- on the loop's thread
 * ----------------------------------------------------------------------------- */

static void read_ahead(upload_t *self);

static void on_done(void *arg)
{
    upload_t *self = arg;

    self->is_busy = false;
    self->was_opened = true;
    if (self->is_abandoned) {
        free_upload(self);
        return;
    }
    if (self->is_stale) {
        self->is_stale = false;
        read_ahead(self);
        return;
    }
    self->config.changed(self->config.arg);
}

static void read_ahead(upload_t *self)
{
    if (self->is_busy || self->rc < 0)
        return;
    self->is_busy = true;
    self->from = self->read_at;
    if (pool_submit(self->config.pool,
                    &(struct pool_item){.work = do_read, .done = on_done, .arg = self}) == 0)
        return;
    self->is_busy = false;
    self->rc = ag_fail(&self->error, ARGOSY_EIO, "no memory to read %s", self->path);
}

bool upload_is_at_end(const upload_t *self)
{
    return !self->is_busy && self->next->size == 0 && self->ready->at == self->ready->size &&
           self->read_at >= self->size;
}

size_t upload_read(upload_t *self, void *out, size_t size)
{
    struct part *part = self->ready;

    if (part->at == part->size && !self->is_busy && self->rc == 0 && self->next->size > 0) {
        self->ready = self->next;
        self->next = part;
        self->read_at += self->ready->size;
        self->next->size = self->next->at = 0;
        part = self->ready;
        if (self->read_at < self->size)
            read_ahead(self);
    }
    if (size > part->size - part->at)
        size = part->size - part->at;
    memcpy(out, part->bytes + part->at, size);
    part->at += size;
    return size;
}

void upload_rewind(upload_t *self)
{
    self->ready->size = self->ready->at = 0;
    self->read_at = 0;
    self->is_stale = self->is_busy;
    if (!self->is_busy) {
        self->next->size = self->next->at = 0;
        read_ahead(self);
    }
}

bool upload_is_opening(const upload_t *self)
{
    return self->is_busy && !self->was_opened;
}

uint64_t upload_size(const upload_t *self)
{
    return self->size;
}

const char *upload_failure(const upload_t *self, int *code)
{
    *code = self->is_busy ? 0 : self->rc;
    return *code == 0 ? NULL : self->error.message;
}

int upload_new(upload_t **out, const struct upload_config *config, struct argosy_error *err)
{
    upload_t *self = calloc(1, sizeof *self);

    *out = NULL;
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a file");
    self->config = *config;
    self->fd = -1;
    self->path = strdup(config->path);
    self->ready = malloc(sizeof *self->ready);
    self->next = malloc(sizeof *self->next);
    if (self->path == NULL || self->ready == NULL || self->next == NULL) {
        free_upload(self);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a file");
    }
    self->ready->size = self->ready->at = self->next->size = self->next->at = 0;
    read_ahead(self);
    *out = self;
    return 0;
}

void upload_destroy(upload_t **self_p)
{
    upload_t *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    self->is_abandoned = true;
    if (!self->is_busy)
        free_upload(self);
}
