#include "worker/fetch/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/entropy.h"
#include "common/error.h"
#include "worker/fetch/below.h"

struct output {
    int folder, file;
    char *path;    /* as it was asked for, then as it is */
    char *name;    /* the last part; inside path */
    char part[32]; /* the hidden file's name */
    bool is_committed;
};

static const char placeholder[] = "{sha256}";

static int open_part(output_t *self, struct argosy_error *err)
{
    uint64_t random;
    int rc = ag_entropy(&random, sizeof random, err);

    if (rc < 0)
        return rc;
    snprintf(self->part, sizeof self->part, ".argosy-%016llx", (unsigned long long)random);
    self->file = openat(self->folder, self->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (self->file < 0)
        return ag_fail(err, ARGOSY_EIO, "cannot write beside %s: %s", self->path, strerror(errno));
    return 0;
}

int output_check(const char *path, const char *const *roots, size_t roots_count,
                 struct argosy_error *err)
{
    const char *brace = strstr(path, placeholder);
    int rc = below_check(path, roots, roots_count, err);

    if (rc == 0 && brace != NULL && strchr(brace, '/') != NULL)
        return ag_fail(err, ARGOSY_EINVAL, "%s may have {sha256} only in its last part", path);
    return rc;
}

int output_new(output_t **out, const char *path, const char *const *roots, size_t roots_count,
               struct argosy_error *err)
{
    output_t *self;
    int rc = output_check(path, roots, roots_count, err);

    *out = NULL;
    if (rc < 0)
        return rc;
    self = calloc(1, sizeof *self);
    if (self == NULL || (self->path = below_clean(path)) == NULL) {
        free(self);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a path");
    }
    self->folder = self->file = -1;
    self->name = strrchr(self->path, '/') + 1;
    rc = below_open_folder(&self->folder, path, roots, roots_count, err);
    if (rc == 0)
        rc = open_part(self, err);
    if (rc < 0)
        output_destroy(&self);
    *out = self;
    return rc;
}

int output_write(output_t *self, const void *data, size_t size, struct argosy_error *err)
{
    const char *at = data;

    while (size > 0) {
        ssize_t done = write(self->file, at, size);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return ag_fail(err, ARGOSY_EIO, "cannot write %s: %s", self->path, strerror(errno));
        at += done;
        size -= (size_t)done;
    }
    return 0;
}

static int put_digest(output_t *self, const char *sha256, struct argosy_error *err)
{
    char *brace = strstr(self->name, placeholder);
    char *path;

    if (brace == NULL)
        return 0;
    if (asprintf(&path, "%.*s%s%s", (int)(brace - self->path), self->path, sha256,
                 brace + sizeof placeholder - 1) < 0)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a path");
    free(self->path);
    self->path = path;
    self->name = strrchr(path, '/') + 1;
    return 0;
}

int output_commit(output_t *self, const char *sha256, const char **path, struct argosy_error *err)
{
    int rc = put_digest(self, sha256, err);

    if (rc < 0)
        return rc;
    if (close(self->file) < 0) {
        self->file = -1;
        return ag_fail(err, ARGOSY_EIO, "cannot write %s: %s", self->path, strerror(errno));
    }
    self->file = -1;
    if (renameat(self->folder, self->part, self->folder, self->name) < 0)
        return ag_fail(err, ARGOSY_EIO, "cannot name %s: %s", self->path, strerror(errno));
    self->is_committed = true;
    *path = self->path;
    return 0;
}

void output_destroy(output_t **self_p)
{
    output_t *self = *self_p;

    if (self == NULL)
        return;
    if (self->file >= 0)
        close(self->file);
    if (self->folder >= 0 && self->part[0] != '\0' && !self->is_committed)
        unlinkat(self->folder, self->part, 0);
    if (self->folder >= 0)
        close(self->folder);
    free(self->path);
    free(self);
    *self_p = NULL;
}
