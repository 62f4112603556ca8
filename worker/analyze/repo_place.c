#include "worker/analyze/repo_place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <git2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/error.h"

static const char elsewhere[] =
    "lies outside of the directories that this worker may read; its --root option names them";

/* A path of the repository and one more part. Fails when it is too long for the system anyway. */
static int join(char out[PATH_MAX], const char *folder, const char *name, struct argosy_error *err)
{
    if (snprintf(out, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
        return ag_fail(err, ARGOSY_EIO, "%.100s...: %s", folder, strerror(ENAMETOOLONG));
    return 0;
}

static bool has(const char *folder, const char *name, mode_t type)
{
    char path[PATH_MAX];
    struct stat is;

    return snprintf(path, sizeof path, "%s/%s", folder, name) < PATH_MAX && stat(path, &is) == 0 &&
           (is.st_mode & S_IFMT) == type;
}

/* Up to size_max bytes of a small file, with a zero behind them; NULL: there is none, or no memory.
 * Without O_NONBLOCK a fifo would hold the thread for ever. */
static char *read_small(const char *folder, const char *name, size_t size_max)
{
    char path[PATH_MAX], *text;
    struct stat is;
    ssize_t got, size = 0;
    int fd;

    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= PATH_MAX ||
        (fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)) < 0)
        return NULL;
    text = fstat(fd, &is) == 0 && S_ISREG(is.st_mode) ? malloc(size_max + 1) : NULL;
    while (text != NULL && (size_t)size < size_max &&
           (got = read(fd, text + size, size_max - (size_t)size)) > 0)
        size += got;
    close(fd);
    if (text != NULL)
        text[size] = '\0';
    return text;
}

/* ---- where it is
 * --------------------------------------------------------------------------------------- */

bool repo_place_is_git(const char *path)
{
    char head[PATH_MAX];
    struct stat is;

    /* HEAD may be a link to a branch that does not exist yet. */
    if (snprintf(head, sizeof head, "%s/HEAD", path) >= PATH_MAX || lstat(head, &is) < 0 ||
        S_ISDIR(is.st_mode))
        return false;
    return has(path, "commondir", S_IFREG) ||
           (has(path, "objects", S_IFDIR) && has(path, "refs", S_IFDIR));
}

/* What "NAME: PATH" or just PATH in a small file of git means, made real. */
static int follow(const char *folder, const char *file, const char *name, char out[PATH_MAX],
                  struct argosy_error *err)
{
    char *text = read_small(folder, file, PATH_MAX), path[PATH_MAX];
    const char *to = text;
    int rc = 0;

    if (text == NULL)
        return ag_fail(err, ARGOSY_EIO, "%s/%s cannot be read", folder, file);
    text[strcspn(text, "\r\n")] = '\0';
    if (strncmp(to, name, strlen(name)) == 0)
        to += strlen(name);
    else
        rc = ag_fail(err, ARGOSY_EIO, "%s/%s does not say '%s'", folder, file, name);
    if (rc == 0 && to[0] == '/')
        snprintf(path, sizeof path, "%s", to);
    else if (rc == 0)
        rc = join(path, folder, to, err);
    if (rc == 0 && realpath(path, out) == NULL)
        rc = ag_fail(err, ARGOSY_EIO, "%s/%s: %s: %s", folder, file, to, strerror(errno));
    free(text);
    return rc;
}

static void drop_last_part(char *path)
{
    char *slash = strrchr(path, '/');

    slash[slash == path] = '\0';
}

/* The git directory of a work tree with this top. */
static int find_git(const char *top, char out[PATH_MAX], struct argosy_error *err)
{
    char path[PATH_MAX];
    int rc;

    if (has(top, ".git", S_IFREG))
        return follow(top, ".git", "gitdir: ", out, err);
    rc = join(path, top, ".git", err);
    if (rc == 0 && realpath(path, out) == NULL)
        rc = ag_fail(err, ARGOSY_EIO, "%s: %s", path, strerror(errno));
    return rc;
}

/* Upwards from `top` to the directory that has a .git, no higher than the roots. On success `top`
 * is that directory. */
static int climb(struct repo_place *self, char top[PATH_MAX], const struct analyze_roots *roots,
                 struct argosy_error *err)
{
    if (repo_place_top(top, roots, top))
        return find_git(top, self->git, err);
    return ag_fail(err, ARGOSY_ENOTFOUND, "it is no git repository, and in none");
}

bool repo_place_top(const char *path, const struct analyze_roots *roots, char top[PATH_MAX])
{
    if (top != path)
        snprintf(top, PATH_MAX, "%s", path);
    for (; analyze_may_read(roots, top); drop_last_part(top)) {
        if (has(top, ".git", S_IFREG) || has(top, ".git", S_IFDIR))
            return true;
        if (strcmp(top, "/") == 0)
            break;
    }
    return false;
}

bool repo_place_exclude(const char *top, const struct analyze_roots *roots, char out[PATH_MAX])
{
    char git[PATH_MAX], path[PATH_MAX];

    if (find_git(top, git, NULL) < 0)
        return false;
    if (has(git, "commondir", S_IFREG)) {
        if (follow(git, "commondir", "", path, NULL) < 0)
            return false;
        snprintf(git, sizeof git, "%s", path);
    }
    return join(path, git, "info/exclude", NULL) == 0 && realpath(path, out) != NULL &&
           analyze_may_read(roots, out);
}

/* ---- whose it is
 * --------------------------------------------------------------------------------------- */

struct safe {
    const char *path;
    bool is_safe;
};

/* As git: the last one that resets or names it decides. */
static int on_safe_directory(const git_config_entry *entry, void *arg)
{
    struct safe *safe = arg;
    const char *value = entry->value != NULL ? entry->value : "";
    const char *home = getenv("HOME");
    char path[PATH_MAX], real[PATH_MAX];
    size_t size = strlen(value);

    if (size == 0) {
        safe->is_safe = false;
        return 0;
    }
    if (strcmp(value, "*") == 0) {
        safe->is_safe = true;
        return 0;
    }
    snprintf(path, sizeof path, "%s%s", value[0] == '~' && home != NULL ? home : "",
             value + (value[0] == '~' && home != NULL));
    size = strlen(path);
    if (size > 2 && strcmp(path + size - 2, "/*") == 0) {
        if (strncmp(safe->path, path, size - 1) == 0)
            safe->is_safe = true;
    } else if (strcmp(path, safe->path) == 0 ||
               (realpath(path, real) != NULL && strcmp(real, safe->path) == 0)) {
        safe->is_safe = true;
    }
    return 0;
}

static bool is_ours(const char *path)
{
    const char *sudo = getenv("SUDO_UID");
    struct stat is;

    if (lstat(path, &is) < 0)
        return false;
    return is.st_uid == geteuid() ||
           (geteuid() == 0 && sudo != NULL && is.st_uid == (uid_t)strtoul(sudo, NULL, 10));
}

/* git opens a repository of somebody else only if the user's or the system's configuration (never
 * the repository's own) names it in safe.directory. */
static int check_owner(const struct repo_place *self, const char *top, struct argosy_error *err)
{
    struct safe safe = {.path = top != NULL ? top : self->git};
    git_config *config = NULL;

    if (is_ours(self->git) && (top == NULL || is_ours(top)))
        return 0;
    if (git_config_open_default(&config) == 0)
        git_config_get_multivar_foreach(config, "safe.directory", NULL, on_safe_directory, &safe);
    git_config_free(config);
    if (safe.is_safe)
        return 0;
    return ag_fail(err, ARGOSY_EIO,
                   "the repository belongs to another user; if you trust it, on the worker: git "
                   "config --global --add safe.directory '%.120s'",
                   safe.path);
}

/* ---- what it is made of
 * --------------------------------------------------------------------------------------- */

/* A file that the library will open: absent, or a real file below the roots. */
static int check_file(const char *folder, const char *name, const struct analyze_roots *roots,
                      struct argosy_error *err)
{
    char path[PATH_MAX], real[PATH_MAX];
    struct stat is;
    int rc = join(path, folder, name, err);

    if (rc < 0 || realpath(path, real) == NULL)
        return rc;
    if (!analyze_may_read(roots, real))
        return ag_fail(err, ARGOSY_EIO, "%s: %s", path, elsewhere);
    if (stat(real, &is) == 0 && !S_ISREG(is.st_mode))
        return ag_fail(err, ARGOSY_EIO, "%s is not a file", path);
    return 0;
}

/* Formats that the library would misread or not understand. */
static int check_format(const struct repo_place *self, struct argosy_error *err)
{
    char *text = read_small(self->common, "config", PLACE_CONFIG_BYTES_MAX), *rest = NULL;
    int rc = 0;

    for (char *line = text != NULL ? strtok_r(text, "\r\n", &rest) : NULL; line != NULL && rc == 0;
         line = strtok_r(NULL, "\r\n", &rest)) {
        line += strspn(line, " \t");
        if (strncasecmp(line, "objectformat", 12) == 0 && strcasestr(line, "sha256") != NULL)
            rc = ag_fail(err, ARGOSY_EIO, "repositories with SHA-256 ids are not understood");
        else if (strncasecmp(line, "refstorage", 10) == 0 && strcasestr(line, "files") == NULL)
            rc = ag_fail(err, ARGOSY_EIO, "repositories with reftables are not understood");
    }
    free(text);
    return rc;
}

/* Links among the objects must lead below the roots; and nothing there may be a fifo or the like.
 */
static int check_objects(const char *folder, unsigned depth, unsigned *left,
                         const struct analyze_roots *roots, struct argosy_error *err)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    char path[PATH_MAX], real[PATH_MAX];
    int rc = 0;

    if (dir == NULL)
        return ag_fail(err, ARGOSY_EIO, "%s: %s", folder, strerror(errno));
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.' || entry->d_type == DT_REG)
            continue;
        if ((*left)-- == 0)
            rc = ag_fail(err, ARGOSY_EIO, "%s: too many directories and links", folder);
        else if ((rc = join(path, folder, entry->d_name, err)) < 0)
            continue;
        else if (realpath(path, real) == NULL || !analyze_may_read(roots, real))
            rc = ag_fail(err, ARGOSY_EIO, "%s: %s", path, elsewhere);
        else if (has(folder, entry->d_name, S_IFDIR))
            rc = depth < 2 ? check_objects(real, depth + 1, left, roots, err) : 0;
        else if (!has(folder, entry->d_name, S_IFREG))
            rc = ag_fail(err, ARGOSY_EIO, "%s is not a file", path);
    }
    closedir(dir);
    return rc;
}

static int check_store(const char *folder, unsigned depth, const struct analyze_roots *roots,
                       struct argosy_error *err);

/* Each line names another directory of objects. */
static int check_alternates(const char *objects, unsigned depth, const struct analyze_roots *roots,
                            struct argosy_error *err)
{
    char *text = read_small(objects, "info/alternates", PLACE_ALTERNATES_BYTES_MAX), *rest = NULL;
    char path[PATH_MAX];
    int rc = 0;

    for (char *line = text != NULL ? strtok_r(text, "\r\n", &rest) : NULL; line != NULL && rc == 0;
         line = strtok_r(NULL, "\r\n", &rest)) {
        if (line[0] == '#')
            continue;
        if (line[0] == '/')
            snprintf(path, sizeof path, "%s", line);
        else
            rc = join(path, objects, line, err);
        /* One that is gone is nobody's harm: what it had is missing. */
        if (rc == 0 && access(path, F_OK) == 0)
            rc = check_store(path, depth + 1, roots, err);
    }
    free(text);
    return rc;
}

static int check_store(const char *folder, unsigned depth, const struct analyze_roots *roots,
                       struct argosy_error *err)
{
    char real[PATH_MAX];
    unsigned left = PLACE_OBJECTS_MAX;
    int rc;

    if (depth > PLACE_ALTERNATES_DEPTH_MAX)
        return ag_fail(err, ARGOSY_EIO, "%s: more than %d alternates in a row", folder,
                       PLACE_ALTERNATES_DEPTH_MAX);
    if (realpath(folder, real) == NULL)
        return ag_fail(err, ARGOSY_EIO, "%s: %s", folder, strerror(errno));
    if (!analyze_may_read(roots, real))
        return ag_fail(err, ARGOSY_EIO, "%s: %s", folder, elsewhere);
    rc = check_file(real, "info/alternates", roots, err);
    if (rc == 0)
        rc = check_objects(real, 0, &left, roots, err);
    return rc == 0 ? check_alternates(real, depth, roots, err) : rc;
}

/* ---- all of it
 * ------------------------------------------------------------------------------------------ */

static int check_parts(struct repo_place *self, const struct analyze_roots *roots,
                       struct argosy_error *err)
{
    static const char *const common[] = {"config", "packed-refs", "shallow"};
    char objects[PATH_MAX];
    int rc = 0;

    snprintf(self->common, sizeof self->common, "%s", self->git);
    if (!analyze_may_read(roots, self->git))
        return ag_fail(err, ARGOSY_EIO, "%s: %s", self->git, elsewhere);
    if (has(self->git, "commondir", S_IFREG))
        rc = follow(self->git, "commondir", "", self->common, err);
    if (rc == 0 && !analyze_may_read(roots, self->common))
        rc = ag_fail(err, ARGOSY_EIO, "%s: %s", self->common, elsewhere);
    if (rc == 0)
        rc = check_file(self->git, "HEAD", roots, err);
    if (rc == 0)
        rc = check_file(self->git, "config.worktree", roots, err);
    for (size_t i = 0; i < sizeof common / sizeof *common && rc == 0; i++)
        rc = check_file(self->common, common[i], roots, err);
    if (rc == 0)
        rc = check_format(self, err);
    if (rc == 0)
        rc = join(objects, self->common, "objects", err);
    return rc == 0 ? check_store(objects, 0, roots, err) : rc;
}

int repo_place_find(struct repo_place *self, const char *path, const struct analyze_roots *roots,
                    struct argosy_error *err)
{
    char top[PATH_MAX];
    bool is_bare = repo_place_is_git(path);
    int rc = 0;

    *self = (struct repo_place){0};
    snprintf(top, sizeof top, "%s", path);
    if (is_bare)
        snprintf(self->git, sizeof self->git, "%s", path);
    else if ((rc = climb(self, top, roots, err)) == 0)
        snprintf(self->inside, sizeof self->inside, "%s",
                 path + strlen(top) + (path[strlen(top)] == '/'));
    if (rc == 0)
        rc = check_owner(self, is_bare ? NULL : top, err);
    return rc == 0 ? check_parts(self, roots, err) : rc;
}
