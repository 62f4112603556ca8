#include "worker/fetch/output.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

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

static int open_below(int root, const char *path)
{
    struct open_how how = {.flags = O_DIRECTORY | O_CLOEXEC | O_RDONLY,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

/* Open the directory `path` below root; what is missing is made. -1 with errno. */
static int make_folder(int root, char *path)
{
    int folder = open_below(root, *path != '\0' ? path : ".");

    if (folder >= 0 || errno != ENOENT)
        return folder;
    for (char *slash = path;; slash++) {
        int parent;
        char *start;

        slash = strchrnul(slash, '/');
        if (*slash == '/' && (slash == path || slash[-1] == '/'))
            continue; /* nothing between two slashes */
        start = memrchr(path, '/', (size_t)(slash - path));
        if (start != NULL)
            *start = '\0';
        parent = open_below(root, start != NULL ? path : ".");
        if (start != NULL)
            *start = '/';
        if (parent < 0)
            return -1;
        {
            char kept = *slash;
            int rc;

            *slash = '\0';
            rc = mkdirat(parent, start != NULL ? start + 1 : path, 0777);
            *slash = kept;
            close(parent);
            if (rc < 0 && errno != EEXIST)
                return -1;
        }
        if (*slash == '\0')
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

int output_new(output_t **out, const char *path, const char *const *roots, size_t roots_count,
               struct argosy_error *err)
{
    output_t *self;
    const char *brace = strstr(path, placeholder), *rest = NULL;
    size_t root = 0;
    int rc;

    *out = NULL;
    while (root < roots_count && (rest = below(path, roots[root])) == NULL)
        root++;
    if (rest == NULL)
        return ag_fail(err, ARGOSY_EREJECTED,
                       "%s is not below a directory that this worker may write to; its --root "
                       "option names them",
                       path);
    if (has_dots(path) || path[strlen(path) - 1] == '/' ||
        (brace != NULL && strchr(brace, '/') != NULL))
        return ag_fail(err, ARGOSY_EINVAL,
                       "%s must name a file, without '..', and {sha256} only in its last part",
                       path);
    self = calloc(1, sizeof *self);
    if (self == NULL || (self->path = strdup(path)) == NULL) {
        free(self);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a path");
    }
    self->root = self->folder = self->file = -1;
    self->name = strrchr(self->path, '/') + 1;
    rc = open_target(self, roots[root], rest, err);
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
