#include "worker/fetch/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/assert.h"
#include "common/entropy.h"
#include "common/error.h"

struct output {
    int root, folder, file;
    char *path;    /* as it was asked for, then as it is */
    char *name;    /* the last part; inside path */
    char part[32]; /* the hidden file's name */
    bool is_committed;
};

static const char placeholder[] = "{sha256}";

/* The path below the root, without slashes in front; NULL when it is not below it. */
static const char *below(const char *path, const char *root)
{
    size_t size = strlen(root);

    while (size > 0 && root[size - 1] == '/')
        size--;
    if (strncmp(path, root, size) != 0 || path[size] != '/')
        return NULL;
    path += size;
    while (*path == '/')
        path++;
    return *path != '\0' ? path : NULL;
}

static bool has_dots(const char *path)
{
    for (const char *at = path; (at = strstr(at, "..")) != NULL; at += 2)
        if ((at == path || at[-1] == '/') && (at[2] == '/' || at[2] == '\0'))
            return true;
    return false;
}

static void close_quietly(int fd)
{
    int kept = errno;

    close(fd);
    errno = kept;
}

/* One part after the other, and no links. -1 with errno. */
static int walk_below(int root, const char *path)
{
    int folder = openat(root, ".", O_DIRECTORY | O_CLOEXEC | O_RDONLY);

    while (folder >= 0 && *path != '\0') {
        size_t size = strcspn(path, "/");
        char part[NAME_MAX + 1];
        int next = -1;

        errno = ENAMETOOLONG;
        if (size < sizeof part) {
            memcpy(part, path, size);
            part[size] = '\0';
            next = openat(folder, part, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_RDONLY);
        }
        path += size + strspn(path + size, "/");
        close_quietly(folder);
        folder = next;
    }
    return folder;
}

static int open_below(int root, const char *path)
{
    struct open_how how = {.flags = O_DIRECTORY | O_CLOEXEC | O_RDONLY,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    int folder = (int)syscall(SYS_openat2, root, path, &how, sizeof how);

    /* Kernels before 5.6 do not have it, some sandboxes forbid it. */
    if (folder < 0 && (errno == ENOSYS || errno == EPERM))
        return walk_below(root, path);
    return folder;
}

/* Make the last part of `path`; what is above it exists. -1 with errno. */
static int make_last(int root, char *path)
{
    char *slash = strrchr(path, '/');
    int parent, rc;

    if (slash != NULL)
        *slash = '\0';
    parent = open_below(root, slash != NULL ? path : ".");
    if (slash != NULL)
        *slash = '/';
    if (parent < 0)
        return -1;
    rc = mkdirat(parent, slash != NULL ? slash + 1 : path, 0777);
    close_quietly(parent);
    return rc < 0 && errno != EEXIST ? -1 : 0;
}

/* Open the directory `path` below root; what is missing is made. -1 with errno. */
static int make_folder(int root, char *path)
{
    int folder = open_below(root, *path != '\0' ? path : ".");

    if (folder >= 0 || errno != ENOENT)
        return folder;
    for (char *end = strchrnul(path, '/');; end = strchrnul(end + 1, '/')) {
        char kept = *end;
        int rc;

        *end = '\0';
        rc = make_last(root, path);
        *end = kept;
        if (rc < 0)
            return -1;
        if (kept == '\0')
            return open_below(root, path);
    }
}

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

static int open_target(output_t *self, const char *root, const char *rest, struct argosy_error *err)
{
    char *folder = strdup(rest);
    char *slash;

    if (folder == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a path");
    self->root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    slash = strrchr(folder, '/');
    *(slash != NULL ? slash : folder) = '\0';
    if (self->root >= 0)
        self->folder = make_folder(self->root, folder);
    free(folder);
    if (self->folder < 0)
        return ag_fail(err, ARGOSY_EIO, "cannot use the directory of %s: %s", self->path,
                       strerror(errno));
    return open_part(self, err);
}

/* The root that `path` is below, and what comes after it in *rest; NULL: none. */
static const char *root_of(const char *path, const char *const *roots, size_t count,
                           const char **rest)
{
    for (size_t i = 0; i < count; i++) {
        *rest = below(path, roots[i]);
        if (*rest != NULL)
            return roots[i];
    }
    return NULL;
}

int output_check(const char *path, const char *const *roots, size_t roots_count,
                 struct argosy_error *err)
{
    const char *brace = strstr(path, placeholder), *rest;

    if (root_of(path, roots, roots_count, &rest) == NULL)
        return ag_fail(err, ARGOSY_EREJECTED,
                       "%s is not below a directory that this worker may write to; its --root "
                       "option names them",
                       path);
    if (has_dots(path) || path[strlen(path) - 1] == '/' ||
        (brace != NULL && strchr(brace, '/') != NULL))
        return ag_fail(err, ARGOSY_EINVAL,
                       "%s must name a file, without '..', and {sha256} only in its last part",
                       path);
    return 0;
}

/* A copy with one slash where there are several. NULL without memory. */
static char *copy_path(const char *path)
{
    char *copy = malloc(strlen(path) + 1), *to = copy;

    if (copy == NULL)
        return NULL;
    for (; *path != '\0'; path++)
        if (*path != '/' || to == copy || to[-1] != '/')
            *to++ = *path;
    *to = '\0';
    return copy;
}

int output_new(output_t **out, const char *path, const char *const *roots, size_t roots_count,
               struct argosy_error *err)
{
    const char *root, *rest = NULL;
    output_t *self;
    int rc = output_check(path, roots, roots_count, err);

    *out = NULL;
    if (rc < 0)
        return rc;
    self = calloc(1, sizeof *self);
    if (self == NULL || (self->path = copy_path(path)) == NULL) {
        free(self);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a path");
    }
    self->root = self->folder = self->file = -1;
    self->name = strrchr(self->path, '/') + 1;
    root = root_of(self->path, roots, roots_count, &rest);
    AG_ASSERT(root != NULL);
    rc = open_target(self, root, rest, err);
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
    if (self->root >= 0)
        close(self->root);
    free(self->path);
    free(self);
    *self_p = NULL;
}
