/* A directory in a file system. Everything is opened relative to its parent and without following
 * links, so that nothing that changes meanwhile can lead out of it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/error.h"
#include "common/list.h"
#include "worker/analyze/folder_queue.h"
#include "worker/analyze/ignore_walk.h"
#include "worker/analyze/source_path.h"

/* Some file systems tell times in steps of two seconds: what was changed later than that may be
 * changed again without a trace. */
enum { SETTLES_S = 3 };

/* So many directories have to wait before others are called to help. */
enum { HIRES_AT = 4 };

/* Those who walk it together, each with a copy of struct source_dir. */
struct team {
    folder_queue_t *queue;
    const struct source_crew *crew;
    struct source_dir *first;
    atomic_int rc; /* what ended the walk of one of them, and ends it for all */
    struct hand {
        struct team *team;
        unsigned number;
        pthread_t thread;
    } hands[SOURCE_CREW_MAX];
    unsigned hands_count;
    bool has_hired;
};

struct source_dir {
    struct source source;
    struct source_options options;
    char *path;
    bool is_file;
    char relative[SOURCE_PATH_MAX];       /* of what is being looked at */
    const struct source_visitor *visitor; /* NULL: files are counted only */
    uint64_t counted;
    ignore_walk_t *ignore; /* during a walk; NULL: nothing is ignored */
    struct team *team;     /* NULL: it is walked by one alone */
};

static bool is_stopped(const struct source_dir *self)
{
    return self->options.stop != NULL && atomic_load(self->options.stop) != 0;
}

static int fail_with_errno(struct argosy_error *err)
{
    int code = errno == ENOENT || errno == ENOTDIR ? ARGOSY_ENOTFOUND : ARGOSY_EIO;

    return ag_fail(err, code, "%s", strerror(errno));
}

/* ---- one file
 * ---------------------------------------------------------------------------------------- */

/* Where a file is: the directory's descriptor and the source it belongs to. */
struct place {
    struct source_dir *dir;
    int folder;
};

/* A file of more than one read: it is not read up to the limit only to find out that it is no text,
 * and what is to come gets its room at once. */
static int make_room(int fd, struct ag_buffer *out, struct argosy_error *err)
{
    struct stat is;

    if (fstat(fd, &is) < 0)
        return fail_with_errno(err);
    if (is.st_size > SOURCE_FILE_BYTES_MAX)
        return ag_fail(err, ARGOSY_ETOOBIG, "larger than %d bytes", SOURCE_FILE_BYTES_MAX);
    if (ag_buffer_reserve(out, (size_t)is.st_size + SOURCE_READ_BYTES - out->size) == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a file");
    return 0;
}

/* Most files come with one call: less than was asked for is the end of a regular file. */
static int read_all(const struct source_dir *self, int fd, struct ag_buffer *out,
                    struct argosy_error *err)
{
    for (;;) {
        uint8_t *room;
        ssize_t got;
        int rc;

        if (is_stopped(self))
            return ag_fail(err, ARGOSY_ESTATE, "stopped");
        if (out->size > SOURCE_FILE_BYTES_MAX)
            return ag_fail(err, ARGOSY_ETOOBIG, "larger than %d bytes", SOURCE_FILE_BYTES_MAX);
        room = ag_buffer_reserve(out, SOURCE_READ_BYTES);
        if (room == NULL)
            return ag_fail(err, ARGOSY_ENOMEM, "no memory for a file");
        got = read(fd, room, SOURCE_READ_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_with_errno(err);
        out->size += (size_t)got;
        if (got < SOURCE_READ_BYTES)
            return 0;
        if (out->size == SOURCE_READ_BYTES && (rc = make_room(fd, out, err)) < 0)
            return rc;
    }
}

static int read_file(const struct source_file *file, struct ag_buffer *out,
                     struct argosy_error *err)
{
    const struct place *place = file->data;
    /* Without O_NONBLOCK a fifo that took the file's place would hold the thread for ever. */
    int fd = openat(place->folder, file->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int rc;

    ag_buffer_clear(out);
    if (fd < 0)
        return fail_with_errno(err);
    rc = read_all(place->dir, fd, out, err);
    close(fd);
    return rc;
}

static uint64_t nanoseconds(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_nsec;
}

/* Whatever writes to a file, or puts another one in its place, changes one of the two times. What
 * moves a directory over another one does not: for that is the rest, spread so that sizes and
 * inodes do not make up for each other. */
static void stamp(const struct stat *is, uint8_t out[SOURCE_STAMP_BYTES])
{
    uint64_t words[2] = {nanoseconds(&is->st_mtim), nanoseconds(&is->st_ctim)};
    uint64_t spread = (uint64_t)is->st_size * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t rest;

    spread = (spread ^ spread >> 32 ^ is->st_ino) * UINT64_C(0xc2b2ae3d27d4eb4f);
    spread = (spread ^ spread >> 32 ^ is->st_dev) * UINT64_C(0x165667b19e3779f9);
    rest = (uint32_t)(spread >> 32);
    memcpy(out, words, sizeof words);
    memcpy(out + sizeof words, &rest, sizeof rest);
}

static int measure_file(const struct source_file *file, struct source_measure *out,
                        struct argosy_error *err)
{
    const struct place *place = file->data;
    struct timespec now;
    struct stat is;

    if (fstatat(place->folder, file->name, &is, AT_SYMLINK_NOFOLLOW) < 0)
        return fail_with_errno(err);
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    out->size = (uint64_t)is.st_size;
    out->is_settled =
        is.st_mtim.tv_sec < now.tv_sec - SETTLES_S && is.st_ctim.tv_sec < now.tv_sec - SETTLES_S;
    stamp(&is, out->stamp);
    return 0;
}

/* ---- the walk
 * ---------------------------------------------------------------------------------------- */

static int tell(struct source_dir *self, const struct argosy_error *err)
{
    if (self->visitor == NULL)
        return 0;
    return self->visitor->trouble(self->visitor->arg, self->relative, err);
}

static int tell_trouble(struct source_dir *self)
{
    struct argosy_error err = {0};

    fail_with_errno(&err);
    return tell(self, &err);
}

/* The same for the directory whose path has `length` bytes, with its slash. */
static int tell_of_directory(struct source_dir *self, size_t length, const struct argosy_error *err)
{
    size_t end = length > 0 ? length - 1 : 0;
    int rc;

    self->relative[end] = '\0';
    rc = tell(self, err);
    if (length > 0)
        self->relative[end] = '/';
    return rc;
}

static int tell_limit(struct source_dir *self, size_t length, const char *what, int limit)
{
    struct argosy_error err = {0};

    ag_fail(&err, ARGOSY_ETOOBIG, "%s %d", what, limit);
    return tell_of_directory(self, length, &err);
}

static int count_file(struct source_dir *self)
{
    return ++self->counted > SOURCE_COUNTED_MAX ? ARGOSY_ETOOBIG : 0;
}

/* Its size is known when it has been read. */
static int visit_file(struct source_dir *self, int folder, const char *name, bool is_vendored)
{
    struct place place = {self, folder};
    struct source_file file = {.path = self->relative,
                               .name = name,
                               .is_vendored = is_vendored,
                               .measure = measure_file,
                               .read = read_file,
                               .data = &place};

    return self->visitor->file(self->visitor->arg, &file);
}

/* DT_REG, DT_DIR, DT_LNK or something else; most file systems tell it with the name. -1, errno. */
static int type_of(int folder, const struct dirent *entry)
{
    struct stat is;

    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type;
    if (fstatat(folder, entry->d_name, &is, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    return (int)IFTODT(is.st_mode);
}

/* 1: git would ignore it, and that was told; 0: it would not; or what ends the walk. */
static int pass_over(struct source_dir *self, const struct dirent *entry, size_t size, bool is_dir)
{
    struct source_file file = {.path = self->relative, .name = entry->d_name, .is_ignored = true};
    int rc;

    if (self->ignore == NULL || !ignore_walk_has(self->ignore, self->relative, size, is_dir))
        return 0;
    rc = self->visitor == NULL ? count_file(self) : self->visitor->file(self->visitor->arg, &file);
    return rc != 0 ? rc : 1;
}

static int walk(struct source_dir *self, int folder, size_t length, unsigned depth,
                bool is_vendored);

static void hire(struct team *team);

/* To whoever is free, if the queue has room. */
static bool give_away(struct source_dir *self, int folder, unsigned depth, bool is_vendored)
{
    const struct folder_item item = {folder, self->relative, depth, is_vendored};
    size_t waiting = folder_queue_give(self->team->queue, &item);

    if (waiting >= HIRES_AT && self == self->team->first && !self->team->has_hired)
        hire(self->team);
    return waiting > 0;
}

static int visit_folder(struct source_dir *self, int folder, const char *name, size_t length,
                        unsigned depth, bool is_vendored)
{
    int child = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (child < 0)
        return tell_trouble(self);
    is_vendored |= source_is_vendored(name);
    memcpy(self->relative + length, "/", 2);
    if (self->team != NULL && give_away(self, child, depth + 1, is_vendored))
        return 0;
    return walk(self, child, length + 1, depth + 1, is_vendored);
}

static int visit(struct source_dir *self, int folder, const struct dirent *entry, size_t length,
                 unsigned depth, bool is_vendored)
{
    size_t name_size = strlen(entry->d_name), size = length + name_size;
    int type, rc;

    if (size + 2 > sizeof self->relative)
        return tell_limit(self, length, "a name in it makes the path longer than the limit of",
                          SOURCE_PATH_MAX - 2);
    memcpy(self->relative + length, entry->d_name, name_size + 1);
    if (source_is_excluded(&self->options, self->relative, entry->d_name))
        return 0;
    type = type_of(folder, entry);
    if (type < 0)
        return tell_trouble(self);
    if (type == DT_DIR ? source_is_version_control(entry->d_name) : type != DT_REG)
        return 0;
    rc = pass_over(self, entry, size, type == DT_DIR);
    if (rc != 0)
        return rc > 0 ? 0 : rc;
    if (type == DT_DIR)
        return visit_folder(self, folder, entry->d_name, size, depth, is_vendored);
    return self->visitor == NULL ? count_file(self)
                                 : visit_file(self, folder, entry->d_name, is_vendored);
}

static int visit_all(struct source_dir *self, DIR *dir, int folder, size_t length, unsigned depth,
                     bool is_vendored)
{
    const struct dirent *entry;
    struct argosy_error err = {0};
    int rc = 0;

    while (rc == 0) {
        if (is_stopped(self))
            return ARGOSY_ESTATE;
        errno = 0;
        entry = readdir(dir);
        if (entry == NULL && errno != 0)
            fail_with_errno(&err);
        if (entry == NULL)
            return err.code != 0 ? tell_of_directory(self, length, &err) : 0;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = visit(self, folder, entry, length, depth, is_vendored);
    }
    return rc;
}

/* The same, with a word before and behind it. */
static int visit_told(struct source_dir *self, DIR *dir, int folder, size_t length, unsigned depth,
                      bool is_vendored)
{
    const struct source_visitor *visitor = self->visitor;
    struct source_folder told = {.root = self->path, .is_vendored = is_vendored};
    char path[SOURCE_PATH_MAX];
    int rc;

    if (visitor == NULL || visitor->enter == NULL)
        return visit_all(self, dir, folder, length, depth, is_vendored);
    memcpy(path, self->relative, length);
    path[length] = '\0';
    told.path = path;
    visitor->enter(visitor->arg, &told);
    rc = visit_all(self, dir, folder, length, depth, is_vendored);
    visitor->leave(visitor->arg, &told);
    return rc;
}

/* Takes over `folder`. `length` is that of the directory's path in self->relative. */
static int walk(struct source_dir *self, int folder, size_t length, unsigned depth,
                bool is_vendored)
{
    struct ignore_frame frame;
    struct argosy_error err = {0};
    DIR *dir;
    int rc = 0;

    if (depth >= SOURCE_DEPTH_MAX) {
        close(folder);
        return tell_limit(self, length, "it lies in more directories than the limit of",
                          SOURCE_DEPTH_MAX);
    }
    dir = fdopendir(folder);
    if (dir == NULL) {
        fail_with_errno(&err);
        close(folder);
        return tell_of_directory(self, length, &err);
    }
    if (self->ignore != NULL)
        rc = ignore_walk_enter(self->ignore, folder, self->relative, length, &frame);
    if (rc == 0)
        rc = visit_told(self, dir, folder, length, depth, is_vendored);
    if (self->ignore != NULL)
        ignore_walk_leave(self->ignore, &frame);
    closedir(dir);
    return rc;
}

/* All of the tree, from its top. */
static int walk_top(struct source_dir *self)
{
    int folder = open(self->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;

    self->relative[0] = '\0';
    if (folder < 0)
        return tell_trouble(self);
    if (self->options.ignore_below != NULL)
        rc = ignore_walk_new(&self->ignore, self->path, self->options.ignore_below, self->visitor);
    if (rc == 0)
        rc = walk(self, folder, 0, 0, false);
    else
        close(folder);
    ignore_walk_destroy(&self->ignore);
    return rc;
}

static int each_of_file(struct source_dir *self)
{
    char *slash = strrchr(self->path, '/');
    const char *name = slash != NULL ? slash + 1 : self->path;
    struct stat is;
    int folder, rc;

    snprintf(self->relative, sizeof self->relative, "%s", name);
    if (slash != NULL)
        *slash = '\0';
    folder = open(slash == NULL         ? "."
                  : slash == self->path ? "/"
                                        : self->path,
                  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (slash != NULL)
        *slash = '/';
    if (folder < 0)
        return tell_trouble(self);
    if (fstatat(folder, name, &is, AT_SYMLINK_NOFOLLOW) < 0)
        rc = tell_trouble(self);
    else
        rc = visit_file(self, folder, name, false);
    close(folder);
    return rc;
}

/* What is in the queue, until nothing more comes. */
static void walk_queue(struct source_dir *self)
{
    struct folder_item item;
    int rc = 0;

    while (folder_queue_take(self->team->queue, &item)) {
        size_t length = strlen(item.path);

        memcpy(self->relative, item.path, length + 1);
        free(item.path);
        rc = walk(self, item.fd, length, item.depth, item.is_vendored);
        if (rc == 0)
            continue;
        atomic_store(&self->team->rc, rc);
        folder_queue_stop(self->team->queue);
    }
}

static void *help(void *arg)
{
    struct hand *hand = arg;
    struct team *team = hand->team;
    struct source_dir *self = malloc(sizeof *self);
    struct source_visitor visitor;

    if (self == NULL)
        return NULL;
    self->source = team->first->source;
    self->options = team->first->options;
    self->path = team->first->path;
    self->is_file = false;
    self->visitor = &visitor;
    self->counted = 0;
    self->ignore = NULL;
    self->team = team;
    if (team->crew->join(team->crew->arg, hand->number, &visitor) == 0) {
        folder_queue_join(team->queue);
        walk_queue(self);
    }
    free(self);
    return NULL;
}

/* With fewer than were hoped for it only takes longer. */
static void hire(struct team *team)
{
    unsigned wanted = team->crew->hire(team->crew->arg);

    team->has_hired = true;
    for (unsigned i = 0; i < wanted && i < SOURCE_CREW_MAX; i++) {
        struct hand *hand = &team->hands[team->hands_count];

        *hand = (struct hand){.team = team, .number = i};
        if (pthread_create(&hand->thread, NULL, help, hand) != 0)
            return;
        team->hands_count++;
    }
}

static int walk_together(struct source_dir *self, const struct source_crew *crew)
{
    struct team team = {.crew = crew, .first = self, .queue = folder_queue_new()};
    int rc;

    if (team.queue == NULL)
        return ARGOSY_ENOMEM;
    self->team = &team;
    rc = walk_top(self);
    if (rc != 0)
        folder_queue_stop(team.queue);
    walk_queue(self);
    for (unsigned i = 0; i < team.hands_count; i++)
        pthread_join(team.hands[i].thread, NULL);
    self->team = NULL;
    folder_queue_destroy(&team.queue);
    return rc != 0 ? rc : atomic_load(&team.rc);
}

static int each_shared(struct source *source, const struct source_visitor *visitor,
                       const struct source_crew *crew)
{
    struct source_dir *self = AG_OWNER(source, struct source_dir, source);

    self->visitor = visitor;
    if (self->is_file)
        return each_of_file(self);
    /* Rules hold for what lies below them: who walks by itself would have to know them all. */
    return self->options.ignore_below != NULL ? walk_top(self) : walk_together(self, crew);
}

static int each(struct source *source, const struct source_visitor *visitor)
{
    struct source_dir *self = AG_OWNER(source, struct source_dir, source);

    self->visitor = visitor;
    return self->is_file ? each_of_file(self) : walk_top(self);
}

/* On a copy, so that it can be asked in the middle of each(). What comes or goes between the two
 * walks makes the count wrong; whoever shows a share of it has to bear that. */
static int count(const struct source *source, uint64_t *files)
{
    struct source_dir copy = *AG_OWNER(source, const struct source_dir, source);
    int rc;

    *files = 1;
    if (copy.is_file)
        return 0;
    copy.visitor = NULL;
    copy.ignore = NULL;
    copy.team = NULL;
    copy.counted = 0;
    rc = walk_top(&copy);
    *files = copy.counted;
    return rc;
}

static void destroy(struct source **source_p)
{
    struct source_dir *self = AG_OWNER(*source_p, struct source_dir, source);

    free(self->path);
    free(self);
    *source_p = NULL;
}

int source_dir_new(struct source **out, const char *path, const struct source_options *options,
                   struct argosy_error *err)
{
    struct source_dir *self;
    struct stat is;

    *out = NULL;
    if (stat(path, &is) < 0) {
        fail_with_errno(err);
        return ag_fail_in(err, ARGOSY_EIO, "%s", path);
    }
    if (!S_ISDIR(is.st_mode) && !S_ISREG(is.st_mode))
        return ag_fail(err, ARGOSY_EIO, "%s is neither a directory nor a file", path);
    self = calloc(1, sizeof *self);
    if (self == NULL || (self->path = strdup(path)) == NULL) {
        free(self);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a source");
    }
    self->source = (struct source){
        .each = each, .each_shared = each_shared, .count = count, .destroy = destroy};
    self->options = *options;
    self->is_file = S_ISREG(is.st_mode);
    *out = &self->source;
    return 0;
}
