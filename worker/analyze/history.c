#include "worker/analyze/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/entropy.h"
#include "common/error.h"
#include "common/limits.h"
#include "worker/analyze/commits.h"
#include "worker/analyze/history_tell.h"
#include "worker/analyze/mailmap.h"
#include "worker/analyze/numstat.h"

/* One at work. */
struct history {
    const struct history_task *task;
    commits_t *commits;
    numstat_t *numstat;
    names_t *paths, *people;
    struct history_path *of_paths;
    struct history_person *of_people;
    uint32_t *of_authors; /* from commits_authors() to people */
    size_t paths_capacity;
    struct history_sums sums;
    const struct commit *commit; /* in hand */
    struct ag_buffer changes;    /* of it, to be remembered */
    bool has_trouble;            /* in it */
};

/* ---- people
 * --------------------------------------------------------------------------------------------- */

/* The .mailmap of the revision, as git takes it for a bare repository; NULL: none that can be used.
 */
static mailmap_t *read_mailmap(const struct history_task *task, uint64_t seed)
{
    mailmap_t *mailmap;
    git_blob *blob;
    git_oid id;
    unsigned mode;

    if (repo_find(task->repo, &task->commit->tree, ".mailmap", &id, &mode, NULL) < 0 ||
        (mode & REPO_MODE_TYPE) != REPO_MODE_FILE ||
        repo_read_blob(task->repo, &id, HISTORY_MAILMAP_BYTES_MAX, &blob, NULL) < 0)
        return NULL;
    mailmap =
        mailmap_new(ag_bytes_of(git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob)), seed);
    git_blob_free(blob);
    return mailmap;
}

/* Authors of commits become people: what the mailmap calls the same is one. */
static int name_people(struct history *self, uint64_t seed)
{
    const names_t *authors = commits_authors(self->commits);
    mailmap_t *mailmap = read_mailmap(self->task, seed);
    int rc = 0;

    self->of_authors = calloc(names_count(authors) + 1u, sizeof *self->of_authors);
    if (self->of_authors == NULL)
        rc = ARGOSY_ENOMEM;
    for (uint32_t i = 0; i < names_count(authors) && rc == 0; i++) {
        const char *name = (const char *)names_at(authors, i).data;
        const char *email = name + strlen(name) + 1;
        char both[1024];
        int size;

        if (mailmap != NULL)
            mailmap_resolve(mailmap, &name, &email);
        size = snprintf(both, sizeof both, "%.500s%c%.500s", name, '\0', email);
        self->of_authors[i] = names_put(self->people, ag_bytes_of(both, (size_t)size));
        if (self->of_authors[i] == NAMES_NONE)
            rc = ARGOSY_ENOMEM;
    }
    mailmap_destroy(&mailmap);
    self->of_people = calloc(names_count(self->people) + 1u, sizeof *self->of_people);
    return self->of_people == NULL ? ARGOSY_ENOMEM : rc;
}

/* ---- what a commit changed
 * ------------------------------------------------------------------------------ */

static struct history_path *path_of(struct history *self, struct ag_bytes path)
{
    uint32_t number = names_put(self->paths, path);

    if (number == NAMES_NONE)
        return NULL;
    if (number >= self->paths_capacity) {
        size_t capacity = self->paths_capacity * 2 + 1024;
        struct history_path *grown = realloc(self->of_paths, capacity * sizeof *grown);

        if (grown == NULL)
            return NULL;
        memset(grown + self->paths_capacity, 0, (capacity - self->paths_capacity) * sizeof *grown);
        self->of_paths = grown;
        self->paths_capacity = capacity;
    }
    return &self->of_paths[number];
}

static int add_change(struct history *self, struct ag_bytes name, uint32_t added, uint32_t deleted)
{
    struct history_person *person = &self->of_people[self->of_authors[self->commit->author]];
    struct history_path *path = path_of(self, name);

    if (path == NULL)
        return ARGOSY_ENOMEM;
    if (names_count(self->paths) > HISTORY_PATHS_MAX ||
        names_bytes(self->paths) > HISTORY_PATHS_BYTES_MAX)
        return ARGOSY_ETOOBIG;
    path->commits++;
    path->added += added;
    path->deleted += deleted;
    if (path->commits == 1 || self->commit->time > path->last)
        path->last = self->commit->time;
    person->added += added;
    person->deleted += deleted;
    self->sums.added += added;
    self->sums.deleted += deleted;
    return 0;
}

/* In the cache: how many bytes the path has, lines that came and went, the path. */
struct packed_change {
    uint32_t path_size, added, deleted;
};

static int on_change(void *arg, const struct numstat_file *file)
{
    struct history *self = arg;
    struct ag_bytes path = ag_bytes_of_text(file->path);
    struct packed_change packed = {(uint32_t)path.size, file->added, file->deleted};

    if (self->task->recall != NULL) {
        ag_buffer_append(&self->changes, &packed, sizeof packed);
        ag_buffer_append(&self->changes, path.data, path.size);
    }
    return add_change(self, path, file->added, file->deleted);
}

static int on_trouble(void *arg, const char *path, const struct argosy_error *err)
{
    struct history *self = arg;

    self->has_trouble = true;
    return self->task->trouble(self->task->arg, path[0] != '\0' ? path : ".", err);
}

/* 1: it was known; 0: not; below 0: an error. */
static int recall_changes(struct history *self)
{
    struct ag_bytes known;
    struct packed_change packed;
    int rc = 0;

    if (self->task->recall == NULL ||
        !recall_get_commit(self->task->recall, self->commit->id.id, &self->changes))
        return 0;
    known = ag_buffer_bytes(&self->changes);
    while (known.size >= sizeof packed && rc == 0) {
        memcpy(&packed, known.data, sizeof packed);
        known = ag_bytes_of(known.data + sizeof packed, known.size - sizeof packed);
        if (packed.path_size > known.size)
            return 1; /* not as it was written; a checksum stands before this */
        rc = add_change(self, ag_bytes_of(known.data, packed.path_size), packed.added,
                        packed.deleted);
        known = ag_bytes_of(known.data + packed.path_size, known.size - packed.path_size);
    }
    return rc < 0 ? rc : 1;
}

static int find_changes(struct history *self)
{
    const struct commit *parent = commits_parent(self->commits, self->commit);
    const struct numstat_visitor visitor = {.file = on_change, .trouble = on_trouble, .arg = self};
    int rc = recall_changes(self);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    /* Without its parent it would look like the beginning of all. */
    if (parent != NULL && !parent->is_here)
        return 0;
    ag_buffer_clear(&self->changes);
    self->has_trouble = false;
    rc = numstat_diff(self->numstat, parent != NULL ? &parent->tree : NULL, &self->commit->tree,
                      &visitor);
    if (rc == 0 && self->task->recall != NULL && !self->has_trouble && !self->changes.failed)
        recall_put_commit(self->task->recall, self->commit->id.id, ag_buffer_bytes(&self->changes));
    return rc;
}

static void count_commit(struct history *self)
{
    struct history_person *person = &self->of_people[self->of_authors[self->commit->author]];
    int64_t time = self->commit->time;
    bool is_first = self->sums.commits++ == 0;

    if (is_first || time < self->sums.first)
        self->sums.first = time;
    if (is_first || time > self->sums.last)
        self->sums.last = time;
    if (self->commit->parents > 1) {
        self->sums.merges++;
        return;
    }
    if (person->commits++ == 0)
        person->first = person->last = time;
    person->first = time < person->first ? time : person->first;
    person->last = time > person->last ? time : person->last;
}

/* ---- the walk
 * -------------------------------------------------------------------------------------------- */

static int walk(struct history *self, struct argosy_error *err)
{
    size_t count = commits_count(self->commits);
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++) {
        if (self->task->stop != NULL && atomic_load(self->task->stop) != 0)
            return ag_fail(err, ARGOSY_ESTATE, "stopped");
        self->commit = commits_at(self->commits, i);
        if (!self->commit->is_here)
            continue;
        count_commit(self);
        if (self->commit->parents <= 1)
            rc = find_changes(self);
        atomic_store_explicit(self->task->permille, (unsigned)(i * 1000 / count),
                              memory_order_relaxed);
    }
    if (rc == ARGOSY_ETOOBIG)
        ag_fail(err, rc, "history: more than %d paths, or one change of more than %d files",
                HISTORY_PATHS_MAX, NUMSTAT_ENTRIES_MAX);
    return rc;
}

static int on_present(void *arg, const struct source_file *file)
{
    struct history *self = arg;
    struct history_path *path;

    if (file->is_submodule)
        return 0;
    path = path_of(self, ag_bytes_of_text(file->path));
    if (path == NULL)
        return ARGOSY_ENOMEM;
    path->is_present = true;
    return 0;
}

static int on_trouble_present(void *arg, const char *path, const struct argosy_error *err)
{
    (void)arg; /* the count of the same files tells of it */
    (void)path;
    (void)err;
    return 0;
}

static int run(struct history *self, struct ag_buffer *out, struct argosy_error *err)
{
    const struct history_task *task = self->task;
    const struct commits_visitor of_commits = {.trouble = on_trouble, .arg = self};
    const struct source_visitor present = {
        .file = on_present, .trouble = on_trouble_present, .arg = self};
    uint64_t seed;
    int rc = ag_entropy(&seed, sizeof seed, err);

    if (rc < 0)
        return rc;
    self->paths = names_new(seed);
    self->people = names_new(seed);
    self->numstat = numstat_new(task->repo, task->stop);
    if (self->paths == NULL || self->people == NULL || self->numstat == NULL)
        return ARGOSY_ENOMEM;
    rc = commits_new(&self->commits, task->repo, &task->commit->id, task->stop, &of_commits, err);
    if (rc == 0)
        rc = name_people(self, seed);
    if (rc == 0)
        rc = walk(self, err);
    if (rc == 0)
        rc = task->files->each(task->files, &present);
    if (rc != 0)
        return rc;
    return history_tell(&(struct history_told){.sums = self->sums,
                                               .people = self->people,
                                               .of_people = self->of_people,
                                               .paths = self->paths,
                                               .of_paths = self->of_paths,
                                               .now = task->commit->time},
                        out);
}

int history_run(const struct history_task *task, struct ag_buffer *out, struct argosy_error *err)
{
    struct history self = {.task = task, .changes = ag_buffer_empty(CACHE_VALUE_BYTES_MAX)};
    int rc = run(&self, out, err);

    numstat_destroy(&self.numstat);
    commits_destroy(&self.commits);
    names_destroy(&self.paths);
    names_destroy(&self.people);
    free(self.of_paths);
    free(self.of_people);
    free(self.of_authors);
    ag_buffer_free(&self.changes);
    return rc;
}
