#include "worker/fetch/below.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/error.h"

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

int below_check(const char *path, const char *const *roots, size_t roots_count,
                struct argosy_error *err)
{
    const char *rest;

    if (root_of(path, roots, roots_count, &rest) == NULL)
        return ag_fail(err, ARGOSY_EREJECTED,
                       "%s is not below a directory that this worker may write to; its --root "
                       "option names them",
                       path);
    if (has_dots(path) || path[strlen(path) - 1] == '/')
        return ag_fail(err, ARGOSY_EINVAL, "%s must name a file, without '..'", path);
    return 0;
}

char *below_clean(const char *path)
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

int below_open_folder(int *folder, const char *path, const char *const *roots, size_t roots_count,
                      struct argosy_error *err)
{
    const char *root, *rest = NULL;
    char *parts, *slash;
    int fd, rc = below_check(path, roots, roots_count, err);

    *folder = -1;
    if (rc < 0)
        return rc;
    root = root_of(path, roots, roots_count, &rest);
    parts = below_clean(rest);
    if (parts == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a path");
    slash = strrchr(parts, '/');
    *(slash != NULL ? slash : parts) = '\0';
    fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        *folder = make_folder(fd, parts);
        close_quietly(fd);
    }
    free(parts);
    if (*folder < 0)
        return ag_fail(err, ARGOSY_EIO, "cannot use the directory of %s: %s", path,
                       strerror(errno));
    return 0;
}

static int open_last(int root, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *parent = strndup(path, slash != NULL ? (size_t)(slash - path) : 0);
    int folder = parent != NULL ? walk_below(root, parent) : -1, fd = -1;

    free(parent);
    if (folder < 0)
        return -1;
    fd = openat(folder, slash != NULL ? slash + 1 : path,
                O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    close_quietly(folder);
    return fd;
}

int below_open_file(int *fd, const char *path, const char *const *roots, size_t roots_count,
                    struct argosy_error *err)
{
    struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    int rc = below_check(path, roots, roots_count, err), root;
    const char *rest = NULL, *base;
    struct stat info;

    *fd = -1;
    if (rc < 0)
        return rc;
    base = root_of(path, roots, roots_count, &rest);
    root = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root >= 0)
        *fd = (int)syscall(SYS_openat2, root, rest, &how, sizeof how);
    if (root >= 0 && *fd < 0 && (errno == ENOSYS || errno == EPERM))
        *fd = open_last(root, rest);
    if (root >= 0)
        close_quietly(root);
    if (*fd >= 0 && (fstat(*fd, &info) < 0 || !S_ISREG(info.st_mode))) {
        close(*fd);
        *fd = -1;
        return ag_fail(err, ARGOSY_EIO, "%s is not a plain file", path);
    }
    return *fd >= 0 ? 0 : ag_fail(err, ARGOSY_EIO, "cannot read %s: %s", path, strerror(errno));
}
