#include "worker/analyze/ignore_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/error.h"
#include "worker/analyze/repo_place.h"

static const char rules_name[] = ".gitignore";

struct ignore_walk {
    const struct analyze_roots *roots;
    const struct source_visitor *visitor;
    const char *source;
    ignore_rules_t *rules; /* in force; NULL: none */
    size_t bytes;          /* of their files, and of those that are in force further out */
    size_t above;          /* the beginning of `path` that leads from the top to the source */
    char path[PATH_MAX + SOURCE_PATH_MAX];
};

/* ---- reading rules
 * ----------------------------------------------------------------------------------------- */

static int tell(const ignore_walk_t *self, const char *path, const struct argosy_error *err)
{
    if (err->code == ARGOSY_ENOMEM)
        return ARGOSY_ENOMEM;
    return self->visitor != NULL ? self->visitor->trouble(self->visitor->arg, path, err) : 0;
}

/* All of a regular file; of anything else, nothing. */
static int read_file(int fd, struct ag_buffer *out, struct argosy_error *err)
{
    struct stat is;
    uint8_t *room;
    ssize_t got;

    if (fstat(fd, &is) < 0 || !S_ISREG(is.st_mode) || is.st_size == 0)
        return 0;
    if (is.st_size > IGNORE_FILE_BYTES_MAX)
        return ag_fail(err, ARGOSY_ETOOBIG, "more than %d bytes of rules", IGNORE_FILE_BYTES_MAX);
    room = ag_buffer_reserve(out, (size_t)is.st_size);
    if (room == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for rules");
    while ((got = read(fd, room + out->size, (size_t)is.st_size - out->size)) > 0)
        out->size += (size_t)got;
    return got < 0 ? ag_fail(err, ARGOSY_EIO, "%s", strerror(errno)) : 0;
}

/* Takes over `fd`. The rules of the file, for what lies below the first `base` bytes of the path,
 * are in force from now on. */
static int take_rules(ignore_walk_t *self, int fd, size_t base, struct argosy_error *err)
{
    struct ag_buffer text = ag_buffer_empty(IGNORE_FILE_BYTES_MAX);
    int rc = read_file(fd, &text, err);

    close(fd);
    if (rc == 0 && text.size > IGNORE_BYTES_MAX - self->bytes)
        rc = ag_fail(err, ARGOSY_ETOOBIG,
                     "more than %d bytes of rules, with those of the directories around it",
                     IGNORE_BYTES_MAX);
    if (rc == 0 && text.size > 0)
        rc = ignore_rules_push(&self->rules, ag_buffer_bytes(&text), base, err);
    if (rc == 0)
        self->bytes += text.size;
    ag_buffer_free(&text);
    return rc;
}

/* Without O_NONBLOCK a fifo would hold the thread for ever. */
static int open_rules(int folder, const char *name)
{
    return openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* ---- repositories
 * ------------------------------------------------------------------------------------------ */

/* A repository begins here: rules from outside end, its own info/exclude holds first. */
static int begin_repository(ignore_walk_t *self, const char *top, size_t base)
{
    char path[PATH_MAX];
    struct argosy_error err = {0};
    int fd, rc;

    self->rules = NULL;
    if (!repo_place_exclude(top, self->roots, path))
        return 0;
    fd = open_rules(AT_FDCWD, path);
    if (fd < 0)
        return 0;
    rc = take_rules(self, fd, base, &err);
    return rc < 0 ? tell(self, path, &err) : 0;
}

static bool is_top(int folder)
{
    struct stat is;

    return fstatat(folder, ".git", &is, 0) == 0 &&
           (S_ISREG(is.st_mode) || fstatat(folder, ".git/HEAD", &is, AT_SYMLINK_NOFOLLOW) == 0);
}

/* ---- directories
 * ------------------------------------------------------------------------------------------- */

/* `path` is the directory's, with a slash behind it, for people; `base` its length from the top. */
static int enter(ignore_walk_t *self, int folder, const char *path, size_t length, size_t base)
{
    char name[PATH_MAX + SOURCE_PATH_MAX];
    struct argosy_error err = {0};
    int fd = open_rules(folder, rules_name);
    int rc;

    if (fd < 0 && (errno == ENOENT || errno == ELOOP))
        return 0;
    if (fd < 0)
        rc = ag_fail(&err, ARGOSY_EIO, "%s", strerror(errno));
    else
        rc = take_rules(self, fd, base, &err);
    if (rc == 0)
        return 0;
    snprintf(name, sizeof name, "%.*s%s", (int)length, path, rules_name);
    return tell(self, name, &err);
}

int ignore_walk_enter(ignore_walk_t *self, int folder, const char *relative, size_t length,
                      struct ignore_frame *frame)
{
    int rc = 0;

    *frame = (struct ignore_frame){self->rules, self->bytes};
    if (is_top(folder)) {
        char path[PATH_MAX + SOURCE_PATH_MAX];

        snprintf(path, sizeof path, "%s/%.*s", self->source, (int)length, relative);
        rc = begin_repository(self, path, self->above + length);
    }
    return rc == 0 ? enter(self, folder, relative, length, self->above + length) : rc;
}

void ignore_walk_leave(ignore_walk_t *self, const struct ignore_frame *frame)
{
    while (self->rules != NULL && self->rules != frame->before)
        ignore_rules_pop(&self->rules);
    self->rules = frame->before;
    self->bytes = frame->bytes;
}

bool ignore_walk_has(ignore_walk_t *self, const char *relative, size_t size, bool is_dir)
{
    if (self->rules == NULL)
        return false;
    if (self->above > 0) {
        memcpy(self->path + self->above, relative, size);
        relative = self->path;
        size += self->above;
    }
    return ignore_rules_match(self->rules, relative, size, is_dir);
}

/* ---- what lies around the tree
 * ----------------------------------------------------------------------------- */

/* The rules from the top, whose path are the first `top_size` bytes of the source's, to the
 * directory that holds the source. */
static int enter_above(ignore_walk_t *self, size_t top_size)
{
    size_t size = top_size, size_all = strlen(self->source);
    char path[PATH_MAX + 1];
    int rc;

    snprintf(path, sizeof path, "%.*s", (int)size, self->source);
    rc = begin_repository(self, path, 0);
    while (rc == 0 && size < size_all) {
        int folder, length = snprintf(path, sizeof path, "%.*s/", (int)size, self->source);

        folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (folder >= 0) {
            rc = enter(self, folder, path, (size_t)length, size - top_size);
            close(folder);
        }
        size += 1 + strcspn(self->source + size + 1, "/");
    }
    self->above = size_all - top_size;
    snprintf(self->path, sizeof self->path, "%s/", self->source + top_size + 1);
    return rc;
}

int ignore_walk_new(ignore_walk_t **out, const char *source, const struct analyze_roots *roots,
                    const struct source_visitor *visitor)
{
    ignore_walk_t *self = calloc(1, sizeof *self);
    char top[PATH_MAX];
    int rc = 0;

    *out = NULL;
    if (self == NULL)
        return ARGOSY_ENOMEM;
    self->roots = roots;
    self->visitor = visitor;
    self->source = source;
    /* When it is a top itself, entering it finds that out. */
    if (repo_place_top(source, roots, top) && strcmp(top, source) != 0)
        rc = enter_above(self, strcmp(top, "/") == 0 ? 0 : strlen(top));
    if (rc == 0)
        *out = self;
    else
        ignore_walk_destroy(&self);
    return rc;
}

void ignore_walk_destroy(ignore_walk_t **self_p)
{
    static const struct ignore_frame nothing;

    if (*self_p != NULL)
        ignore_walk_leave(*self_p, &nothing);
    free(*self_p);
    *self_p = NULL;
}
