#include "worker/analyze/source_git.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/list.h"
#include "worker/analyze/source_path.h"

struct source_git {
    struct source source;
    struct source_options options;
    repo_t *repo;
    git_oid root;
    unsigned mode;                        /* of root */
    char name[SOURCE_PATH_MAX];           /* of root when it is a file */
    char relative[SOURCE_PATH_MAX];       /* of what is being looked at */
    const struct source_visitor *visitor; /* NULL: files are counted only */
    uint64_t counted, entries;
    size_t held_bytes;
};

static bool is_stopped(const struct source_git *self)
{
    return self->options.stop != NULL && atomic_load(self->options.stop) != 0;
}

static int tell(struct source_git *self, const struct argosy_error *err)
{
    if (err->code == ARGOSY_ENOMEM)
        return ARGOSY_ENOMEM;
    if (self->visitor == NULL)
        return 0;
    return self->visitor->trouble(self->visitor->arg, self->relative, err);
}

/* ---- one file
 * ---------------------------------------------------------------------------------------- */

struct place {
    struct source_git *git;
    const git_oid *id;
};

static int read_file(const struct source_file *file, struct ag_buffer *out,
                     struct argosy_error *err)
{
    const struct place *place = file->data;
    git_odb_object *object;
    int rc;

    ag_buffer_clear(out);
    if (is_stopped(place->git))
        return ag_fail(err, ARGOSY_ESTATE, "stopped");
    rc = repo_read(place->git->repo, place->id, GIT_OBJECT_BLOB, SOURCE_FILE_BYTES_MAX, &object,
                   err);
    if (rc < 0)
        return rc;
    ag_buffer_append(out, git_odb_object_data(object), git_odb_object_size(object));
    git_odb_object_free(object);
    return out->failed ? ag_fail(err, ARGOSY_ENOMEM, "no memory for a file") : 0;
}

/* The size is asked for when it is read: those whose counts are known are not touched at all. */
static int visit_file(struct source_git *self, const char *name, const git_oid *id,
                      bool is_submodule, bool is_vendored)
{
    struct place place = {self, id};
    struct source_file file = {.path = self->relative,
                               .name = name,
                               .is_vendored = is_vendored,
                               .is_submodule = is_submodule,
                               .id = id->id,
                               .read = read_file,
                               .data = &place};

    if (self->visitor == NULL)
        return ++self->counted > SOURCE_COUNTED_MAX ? ARGOSY_ETOOBIG : 0;
    return self->visitor->file(self->visitor->arg, &file);
}

/* ---- the walk
 * ---------------------------------------------------------------------------------------- */

/* Names that git refuses to write to a disk; a tree that somebody made up may hold them. */
static bool is_possible(const struct repo_entry *entry)
{
    return entry->name_size > 0 && strcmp(entry->name, ".") != 0 &&
           strcmp(entry->name, "..") != 0 && strcmp(entry->name, ".git") != 0 &&
           memchr(entry->name, '/', entry->name_size) == NULL;
}

/* The directory whose path has `length` bytes, with its slash. */
static int tell_of_directory(struct source_git *self, size_t length, const struct argosy_error *err)
{
    int rc;

    snprintf(self->relative + (length > 0 ? length - 1 : 0), 2, "%s", length > 0 ? "" : ".");
    rc = tell(self, err);
    if (length > 0)
        self->relative[length - 1] = '/';
    return rc;
}

static int walk(struct source_git *self, const git_oid *id, size_t length, unsigned depth,
                bool is_vendored);

static int visit(struct source_git *self, const struct repo_entry *entry, size_t length,
                 unsigned depth, bool is_vendored)
{
    unsigned type = entry->mode & REPO_MODE_TYPE;
    struct argosy_error err = {0};

    if (++self->entries > SOURCE_GIT_ENTRIES_MAX)
        return ARGOSY_ETOOBIG;
    if (length + entry->name_size + 2 > sizeof self->relative) {
        ag_fail(&err, ARGOSY_ETOOBIG, "a name in it makes the path longer than the limit of %d",
                SOURCE_PATH_MAX - 2);
        return tell_of_directory(self, length, &err);
    }
    memcpy(self->relative + length, entry->name, entry->name_size + 1);
    if (!is_possible(entry)) {
        ag_fail(&err, ARGOSY_EIO, "a name that git would not check out");
        return tell(self, &err);
    }
    if (source_is_excluded(&self->options, self->relative, entry->name) || type == REPO_MODE_LINK)
        return 0;
    if (type == REPO_MODE_FILE || type == REPO_MODE_SUBMODULE)
        return visit_file(self, entry->name, &entry->id, type == REPO_MODE_SUBMODULE, is_vendored);
    if (type != REPO_MODE_TREE) {
        ag_fail(&err, ARGOSY_EPROTO, "neither file nor directory: mode %o", entry->mode);
        return tell(self, &err);
    }
    if (source_is_version_control(entry->name))
        return 0;
    self->relative[length + entry->name_size] = '/';
    return walk(self, &entry->id, length + entry->name_size + 1, depth + 1,
                is_vendored || source_is_vendored(entry->name));
}

static int walk_tree(struct source_git *self, git_odb_object *tree, size_t length, unsigned depth,
                     bool is_vendored)
{
    const uint8_t *at = git_odb_object_data(tree), *end = at + git_odb_object_size(tree);
    struct argosy_error err = {0};
    struct repo_entry entry;
    int rc, more;

    while ((more = repo_next_entry(&at, end, &entry)) > 0) {
        if (is_stopped(self))
            return ARGOSY_ESTATE;
        rc = visit(self, &entry, length, depth, is_vendored);
        if (rc != 0)
            return rc;
    }
    if (more == 0)
        return 0;
    ag_fail(&err, ARGOSY_EPROTO, "its tree is damaged; what stands behind that place is missing");
    return tell_of_directory(self, length, &err);
}

/* `length` is that of the directory's path in self->relative, with its slash. */
static int walk_inside(struct source_git *self, const git_oid *id, size_t length, unsigned depth,
                       bool is_vendored)
{
    git_odb_object *tree = NULL;
    struct argosy_error err = {0};
    int rc;

    if (depth >= SOURCE_DEPTH_MAX)
        rc = ag_fail(&err, ARGOSY_ETOOBIG, "it lies in more directories than the limit of %d",
                     SOURCE_DEPTH_MAX);
    else
        rc = repo_read(self->repo, id, GIT_OBJECT_TREE,
                       SOURCE_GIT_HELD_BYTES_MAX - self->held_bytes < REPO_TREE_BYTES_MAX
                           ? SOURCE_GIT_HELD_BYTES_MAX - self->held_bytes
                           : REPO_TREE_BYTES_MAX,
                       &tree, &err);
    if (rc < 0)
        return tell_of_directory(self, length, &err);
    self->held_bytes += git_odb_object_size(tree);
    rc = walk_tree(self, tree, length, depth, is_vendored);
    self->held_bytes -= git_odb_object_size(tree);
    git_odb_object_free(tree);
    return rc;
}

static int walk(struct source_git *self, const git_oid *id, size_t length, unsigned depth,
                bool is_vendored)
{
    const struct source_visitor *visitor = self->visitor;
    struct source_folder folder = {.id = id->id, .is_vendored = is_vendored};
    int rc;

    if (visitor == NULL || visitor->enter == NULL)
        return walk_inside(self, id, length, depth, is_vendored);
    visitor->enter(visitor->arg, &folder);
    rc = walk_inside(self, id, length, depth, is_vendored);
    visitor->leave(visitor->arg, &folder);
    return rc;
}

static int each(struct source *source, const struct source_visitor *visitor)
{
    struct source_git *self = AG_OWNER(source, struct source_git, source);

    self->visitor = visitor;
    self->entries = 0;
    self->relative[0] = '\0';
    if ((self->mode & REPO_MODE_TYPE) == REPO_MODE_TREE)
        return walk(self, &self->root, 0, 0, false);
    snprintf(self->relative, sizeof self->relative, "%s", self->name);
    return visit_file(self, self->name, &self->root, false, false);
}

/* On a copy, so that it can be asked in the middle of each(). */
static int count(const struct source *source, uint64_t *files)
{
    struct source_git copy = *AG_OWNER(source, const struct source_git, source);
    int rc = 0;

    copy.visitor = NULL;
    copy.counted = copy.entries = 0;
    if ((copy.mode & REPO_MODE_TYPE) == REPO_MODE_TREE)
        rc = walk(&copy, &copy.root, 0, 0, false);
    else
        copy.counted = 1;
    *files = copy.counted;
    return rc;
}

static void destroy(struct source **source_p)
{
    free(AG_OWNER(*source_p, struct source_git, source));
    *source_p = NULL;
}

int source_git_new(struct source **out, repo_t *repo, const struct repo_commit *commit,
                   const char *inside, const struct source_options *options,
                   struct argosy_error *err)
{
    struct source_git *self = calloc(1, sizeof *self);
    const char *slash = strrchr(inside, '/');
    int rc;

    *out = NULL;
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a source");
    self->source = (struct source){.each = each, .count = count, .destroy = destroy};
    self->options = *options;
    self->repo = repo;
    snprintf(self->name, sizeof self->name, "%s", slash != NULL ? slash + 1 : inside);
    rc = repo_find(repo, &commit->tree, inside, &self->root, &self->mode, err);
    if (rc == 0 && (self->mode & REPO_MODE_TYPE) != REPO_MODE_TREE &&
        (self->mode & REPO_MODE_TYPE) != REPO_MODE_FILE)
        rc = ag_fail(err, ARGOSY_EIO, "%s is a link or a submodule at this revision", inside);
    if (rc < 0) {
        free(self);
        return rc;
    }
    *out = &self->source;
    return 0;
}
