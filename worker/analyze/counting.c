#include "worker/analyze/counting.h"

#include <stdlib.h>

#include "worker/analyze/inspect.h"

struct counting {
    struct counting_task *task;
    bool is_first;
    inspector_t *inspector;
    struct inspected inspected; /* the file in hand */
    struct ag_buffer content;   /* of it */
    findings_t *findings;
    tally_t *tally;
    struct troubles troubles;
    recall_t *recall; /* NULL: nothing is remembered */
};

counting_t *counting_new(struct counting_task *task, bool is_first)
{
    counting_t *self = calloc(1, sizeof *self);

    if (self == NULL)
        return NULL;
    self->task = task;
    self->is_first = is_first;
    self->content = ag_buffer_empty(SOURCE_FILE_BYTES_MAX + 2 * SOURCE_READ_BYTES);
    self->inspector = inspector_new(task->languages);
    self->findings = findings_new();
    self->tally = tally_new(task->by, task->languages);
    if (self->inspector == NULL || self->findings == NULL || self->tally == NULL)
        counting_destroy(&self);
    return self;
}

void counting_destroy(counting_t **self_p)
{
    counting_t *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    recall_close(&self->recall);
    tally_destroy(&self->tally);
    findings_destroy(&self->findings);
    inspector_destroy(&self->inspector);
    troubles_fini(&self->troubles);
    ag_buffer_free(&self->content);
    free(self);
}

tally_t *counting_tally(counting_t *self)
{
    return self->tally;
}

findings_t *counting_findings(counting_t *self)
{
    return self->findings;
}

struct troubles *counting_troubles(counting_t *self)
{
    return &self->troubles;
}

recall_t *counting_recall(counting_t *self)
{
    return self->recall;
}

/* ---- one file
 * ------------------------------------------------------------------------------------------ */

/* What a source could not do, as the type of a failure. */
const char *counting_type_of(bool is_git, int code)
{
    if (is_git && code != ARGOSY_ETOOBIG)
        return "analyze.git";
    switch (code) {
    case ARGOSY_ENOTFOUND:
        return "analyze.source.missing";
    case ARGOSY_EPROTO:
        return "analyze.archive";
    case ARGOSY_ETOOBIG:
        return "analyze.limit";
    default:
        return "analyze.source.denied";
    }
}

int counting_trouble(counting_t *self, const char *path, const struct argosy_error *err)
{
    return troubles_add(&self->troubles, path, counting_type_of(self->task->is_git, err->code),
                        err->message);
}

/* The same of what all shards meet: one of them tells it. */
static int on_walk_trouble(void *arg, const char *path, const struct argosy_error *err)
{
    counting_t *self = arg;

    return shard_is_first(&self->task->shard) ? counting_trouble(self, path, err) : 0;
}

/* Read it and look at it, unless that was done for another commit. 1; 0: it is no file to be looked
 * at, which was told; or an error that ends the job. */
static int inspect(counting_t *self, const struct source_file *file)
{
    recall_t *recall = file->id != NULL || file->stamp != NULL ? self->recall : NULL;
    struct argosy_error err = {0};
    int rc;

    if (recall != NULL && recall_find(recall, file, &self->inspected))
        return 1;
    rc = file->read(file, &self->content, &err);
    if (rc == ARGOSY_ESTATE || rc == ARGOSY_ENOMEM)
        return rc;
    if (rc == ARGOSY_ETOOBIG) {
        tally_skip(self->tally, SKIP_TOO_LARGE);
        return 0;
    }
    if (rc < 0)
        return counting_trouble(self, file->path, &err);
    rc = inspect_file(self->inspector, file->name, ag_buffer_bytes(&self->content),
                      &self->inspected);
    if (rc == 0 && recall != NULL)
        recall_keep(recall, file, &self->inspected);
    return rc < 0 ? rc : 1;
}

/* Counted, or the reason why not. */
static int take_file(counting_t *self, const struct source_file *file)
{
    struct inspected *inspected = &self->inspected;
    int rc = findings_add(self->findings, file->path, inspected);

    if (rc == 0 && inspected->is_counted)
        rc = tally_add(self->tally, file->path, &inspected->counted);
    else if (rc == 0)
        tally_skip(self->tally, inspected->why);
    return rc;
}

/* Not counted, which is told once: by the first shard, unless another one has the file. */
static int skip(counting_t *self, enum tally_skip why)
{
    if (shard_is_first(&self->task->shard))
        tally_skip(self->tally, why);
    return 0;
}

/* A look at it, which costs as much as a tenth of reading it, only for who needs that. */
static int measure(const counting_t *self, const struct source_file *file, struct source_file *seen,
                   struct source_measure *measured, struct argosy_error *err)
{
    int rc;

    *seen = *file;
    if (file->measure == NULL || (self->task->shard.of <= 1 && self->recall == NULL))
        return 0;
    rc = file->measure(file, measured, err);
    if (rc < 0)
        return rc;
    seen->size = measured->size;
    seen->stamp = measured->is_settled ? measured->stamp : NULL;
    return 0;
}

static void note_begin(counting_t *self)
{
    struct counting_task *task = self->task;
    uint64_t files = atomic_fetch_add_explicit(&task->files, 1, memory_order_relaxed);

    if (self->is_first)
        task->progress(task->arg, files);
}

static int on_file(void *arg, const struct source_file *file)
{
    counting_t *self = arg;
    struct source_measure measured;
    struct source_file seen;
    struct argosy_error err = {0};
    enum tally_skip why;
    int rc;

    note_begin(self);
    if (file->is_submodule)
        return skip(self, SKIP_SUBMODULE);
    if (file->is_ignored)
        return skip(self, SKIP_IGNORED);
    if (file->is_vendored)
        return skip(self, SKIP_VENDORED);
    if (!inspect_name(self->inspector, file->name, &why))
        return skip(self, why);
    if (measure(self, file, &seen, &measured, &err) < 0)
        return on_walk_trouble(self, file->path, &err);
    /* Where it has to be opened, whether it may be read comes first, measured before or not. */
    if (file->measure == NULL && file->size > SOURCE_FILE_BYTES_MAX)
        return skip(self, SKIP_TOO_LARGE);
    if (!shard_holds(&self->task->shard, &seen))
        return 0;
    rc = inspect(self, &seen);
    return rc > 0 ? take_file(self, &seen) : rc;
}

static void on_enter(void *arg, const struct source_folder *folder)
{
    recall_enter(((counting_t *)arg)->recall, folder);
}

static void on_leave(void *arg, const struct source_folder *folder)
{
    recall_leave(((counting_t *)arg)->recall, folder);
}

struct source_visitor counting_visitor(counting_t *self)
{
    struct source_visitor visitor = {.file = on_file, .trouble = on_walk_trouble, .arg = self};

    if (self->recall == NULL)
        self->recall = recall_open(self->task->cache, &self->task->shard, self->task->languages);
    if (self->recall != NULL) {
        visitor.enter = on_enter;
        visitor.leave = on_leave;
    }
    return visitor;
}

int counting_absorb(counting_t *self, counting_t *other)
{
    int rc = tally_absorb(self->tally, other->tally);

    if (rc == 0)
        rc = findings_absorb(self->findings, other->findings);
    return rc == 0 ? troubles_absorb(&self->troubles, &other->troubles) : rc;
}
