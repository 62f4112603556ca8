#include "worker/analyze/analyze.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/list.h"
#include "worker/analyze/counting.h"
#include "worker/analyze/history.h"
#include "worker/analyze/parts.h"
#include "worker/analyze/revision.h"
#include "worker/analyze/source_git.h"
#include "worker/analyze/wish.h"

enum { QUIET_MS = 500 }; /* the loop tells of nobody's progress before */

/* One job at work. */
struct analysis {
    const struct wish *wish;
    const struct analyze_roots *roots;
    languages_t *languages;
    struct counting_task task;
    counting_t *counting; /* of this thread */
    struct source *source;
    struct revision revision; /* of a repository; no repository without it */
    struct ag_buffer history; /* packed */
    const struct analyze_watch *watch;
    int64_t count_at;     /* when to count the files; INT64_MAX once that is done */
    uint64_t files_total; /* 0: not known */
};

/* ---- progress
 * ------------------------------------------------------------------------------------------ */

/* The files are counted when the job has turned out to be a long one: another walk, but without
 * reading them it is short beside what is left to do, and it warms the directories for it. */
static void count_files(struct analysis *self)
{
    self->count_at = INT64_MAX;
    if (self->source->count == NULL || self->source->count(self->source, &self->files_total) < 0)
        self->files_total = 0;
}

/* A file is about to begin. More of them than were counted: the tree grows, nothing is known. */
static void note_progress(void *arg, uint64_t done)
{
    struct analysis *self = arg;
    unsigned permille = AG_PERMILLE_UNKNOWN;
    uint64_t total;

    if (self->count_at != INT64_MAX && ag_clock_mono_ms() >= self->count_at)
        count_files(self);
    total = self->files_total;
    if (self->count_at == INT64_MAX && self->source->progress != NULL)
        self->source->progress(self->source, &done, &total);
    if (total == 0)
        return;
    if (done < total)
        permille = (unsigned)(done * 1000 / total);
    atomic_store_explicit(self->watch->permille, permille, memory_order_relaxed);
}

/* ---- the job
 * --------------------------------------------------------------------------------------------- */

static bool is_within(const char *path, const char *root)
{
    size_t size = strlen(root);

    if (size > 0 && root[size - 1] == '/')
        size--; /* "/" holds everything */
    return strncmp(path, root, size) == 0 && (path[size] == '/' || path[size] == '\0');
}

bool analyze_may_read(const struct analyze_roots *roots, const char *real)
{
    bool holds = false;

    for (size_t i = 0; i < roots->count && !holds; i++) {
        char *root = realpath(roots->paths[i], NULL);

        holds = root != NULL && is_within(real, root);
        free(root);
    }
    return holds;
}

/* The real path behind wish->path, if a root holds it. */
static char *resolve(const struct analysis *self, struct outcome *outcome)
{
    const struct wish *wish = self->wish;
    char *real = realpath(wish->path, NULL);

    if (real == NULL) {
        outcome_fail(outcome,
                     errno == ENOENT || errno == ENOTDIR ? "analyze.source.missing"
                                                         : "analyze.source.denied",
                     false, wish_source(wish), "%s", strerror(errno));
        return NULL;
    }
    if (analyze_may_read(self->roots, real))
        return real;
    outcome_fail(outcome, "analyze.source.denied", false, wish_source(wish),
                 "not below a directory that this worker may read; its --root option names them");
    free(real);
    return NULL;
}

/* The result, with what could not be read beside it. */
static void tell(const struct analysis *self, const struct tally_heading *heading,
                 struct outcome *outcome)
{
    outcome->result = ag_buffer_empty(AG_RESULT_BYTES_MAX / 8 * 7);
    tally_pack(counting_tally(self->counting), heading, counting_findings(self->counting),
               &outcome->result);
    if (outcome->result.failed) {
        outcome_fail(outcome, "analyze.limit", false, heading->source,
                     "the answer is larger than 7 MiB: ask --by language, or leave directories "
                     "out with --exclude");
        return;
    }
    if (heading->part.data == NULL) /* else its merge tells them */
        troubles_pack_error(counting_troubles(self->counting), heading->source,
                            tally_files(counting_tally(self->counting)), &outcome->error);
    outcome->succeeded = true;
}

static void conclude(const struct analysis *self, int rc, struct outcome *outcome)
{
    const struct wish *wish = self->wish;
    struct tally_heading heading = {
        .source = wish_source(wish),
        .revision = self->revision.repo != NULL ? self->revision.commit.hex : NULL,
        .history = ag_buffer_bytes(&self->history)};
    struct ag_buffer part = ag_buffer_empty(1 << 20);

    if (rc == ARGOSY_ESTATE) {
        outcome_fail(outcome, "cancelled", false, wish_source(wish), "stopped before its end");
        return;
    }
    if (rc == ARGOSY_ETOOBIG && self->revision.repo != NULL) {
        outcome_fail(outcome, "analyze.limit", false, wish_source(wish), "more than %d files",
                     SOURCE_GIT_ENTRIES_MAX);
        return;
    }
    if (rc < 0 || self->history.failed) {
        outcome_fail(outcome, "handler.memory", true, wish_source(wish),
                     "the worker has no memory left");
        return;
    }
    if (wish->shard.of > 0)
        parts_pack(&wish->shard, wish->by, counting_troubles(self->counting), &part);
    heading.part = ag_buffer_bytes(&part);
    tell(self, &heading, outcome);
    ag_buffer_free(&part);
}

static int on_history_trouble(void *arg, const char *path, const struct argosy_error *err)
{
    return counting_trouble(((struct analysis *)arg)->counting, path, err);
}

/* A repository's past. Its progress is the job's: counting the files afterwards is short. */
static int tell_history(struct analysis *self, struct outcome *outcome)
{
    struct argosy_error err = {0};
    struct history_task task = {.repo = self->revision.repo,
                                .commit = &self->revision.commit,
                                .files = self->source,
                                .recall = counting_recall(self->counting),
                                .stop = self->watch->stop,
                                .permille = self->watch->permille,
                                .trouble = on_history_trouble,
                                .arg = self};
    int rc;

    if (self->revision.inside[0] != '\0') {
        outcome_fail(outcome, "analyze.git", false, wish_source(self->wish),
                     "history is that of a whole repository: name its top directory");
        return 0;
    }
    self->count_at = INT64_MAX;
    rc = history_run(&task, &self->history, &err);
    if (rc == ARGOSY_ETOOBIG && err.code != 0) {
        outcome_fail(outcome, "analyze.limit", false, wish_source(self->wish), "%s", err.message);
        return 0;
    }
    return rc;
}

static int open_repository(struct analysis *self, const char *path,
                           const struct source_options *options, struct outcome *outcome)
{
    const struct wish *wish = self->wish;
    struct argosy_error err = {0};
    int rc = revision_open(&self->revision, path, wish->rev[0] != '\0' ? wish->rev : NULL,
                           self->roots, &err);

    if (rc == 0)
        rc = source_git_new(&self->source, self->revision.repo, &self->revision.commit,
                            self->revision.inside, options, &err);
    if (rc < 0 && rc != ARGOSY_ENOMEM) {
        outcome_fail(outcome, "analyze.git", false, wish_source(wish), "%s", err.message);
        return 0;
    }
    return rc;
}

/* What is asked for would be told wrongly without a word. */
static void refuse_gitignore(const struct wish *wish, struct outcome *outcome)
{
    outcome_fail(outcome, "rejected.payload", false, wish_source(wish),
                 "analyze: 'gitignore' is for directories, not for commits and archives");
}

static int open_other(struct analysis *self, const char *path, const struct source_options *options,
                      struct outcome *outcome)
{
    struct argosy_error err = {0};
    int rc = source_archive_new(&self->source, path, options, &err);

    if (self->source != NULL && self->wish->gitignore)
        refuse_gitignore(self->wish, outcome);
    else if (rc == 0 && self->source == NULL)
        rc = source_dir_new(&self->source, path, options, &err);
    if (rc == 0 || rc == ARGOSY_ESTATE || rc == ARGOSY_ENOMEM)
        return rc;
    outcome_fail(outcome, counting_type_of(false, rc), false, wish_source(self->wish), "%s",
                 err.message);
    return 0;
}

/* A checked-out repository is a directory like others, unless its commits are asked for. */
static bool is_of_git(const struct wish *wish, const char *path)
{
    return wish->rev[0] != '\0' || wish->history || repo_is_bare(path);
}

/* ---- together
 * ------------------------------------------------------------------------------------------ */

/* The threads that help with one job. */
struct crew {
    struct analysis *job;
    unsigned hired;
    counting_t *members[SOURCE_CREW_MAX];
};

/* As many as are free. */
static unsigned hire(void *arg)
{
    struct crew *self = arg;
    atomic_int *helpers = self->job->roots->helpers;
    int free_ones = atomic_load(helpers), taken;

    do {
        taken = free_ones < SOURCE_CREW_MAX ? free_ones : SOURCE_CREW_MAX;
    } while (taken > 0 && !atomic_compare_exchange_weak(helpers, &free_ones, free_ones - taken));
    self->hired = taken > 0 ? (unsigned)taken : 0;
    return self->hired;
}

static int join(void *arg, unsigned number, struct source_visitor *out)
{
    struct crew *self = arg;

    self->members[number] = counting_new(&self->job->task, false);
    if (self->members[number] == NULL)
        return ARGOSY_ENOMEM;
    *out = counting_visitor(self->members[number]);
    return 0;
}

static int walk_together(struct analysis *self, const struct source_visitor *visitor)
{
    struct crew crew = {.job = self};
    const struct source_crew hands = {.hire = hire, .join = join, .arg = &crew};
    int rc = self->source->each_shared(self->source, visitor, &hands);

    for (unsigned i = 0; i < crew.hired; i++) {
        if (rc == 0 && crew.members[i] != NULL)
            rc = counting_absorb(self->counting, crew.members[i]);
        counting_destroy(&crew.members[i]);
    }
    atomic_fetch_add(self->roots->helpers, (int)crew.hired);
    return rc;
}

/* A stream is the first shard's alone: the others would have to unpack all of it as well. */
static int walk(struct analysis *self, const struct source_visitor *visitor)
{
    if (self->source->is_stream && !shard_is_first(&self->task.shard))
        return 0;
    if (self->source->is_stream)
        self->task.shard.of = 1;
    if (self->roots->helpers != NULL && self->source->each_shared != NULL)
        return walk_together(self, visitor);
    return self->source->each(self->source, visitor);
}

/* ---- from the beginning to the end
 * ------------------------------------------------------------------------------------------ */

static int open_source(struct analysis *self, const char *path, struct outcome *outcome)
{
    const struct wish *wish = self->wish;
    struct source_options options = {.exclude = (const char *const *)wish->exclude,
                                     .exclude_count = wish->exclude_count,
                                     .stop = self->watch->stop,
                                     .ignore_below = wish->gitignore ? self->roots : NULL};
    bool is_git = is_of_git(wish, path);

    if (is_git && wish->gitignore) {
        refuse_gitignore(wish, outcome);
        return 0;
    }
    return is_git ? open_repository(self, path, &options, outcome)
                  : open_other(self, path, &options, outcome);
}

/* The source is open. */
static int count_source(struct analysis *self, struct outcome *outcome)
{
    struct source_visitor visitor;
    int rc = 0;

    self->task.is_git = self->revision.repo != NULL;
    self->task.cache = self->source->is_stream ? NULL : self->roots->cache;
    visitor = counting_visitor(self->counting);
    if (self->wish->history && shard_is_first(&self->task.shard))
        rc = tell_history(self, outcome);
    return rc == 0 && outcome->type[0] == '\0' ? walk(self, &visitor) : rc;
}

static void count(struct analysis *self, const char *path, struct outcome *outcome)
{
    int rc = open_source(self, path, outcome);

    if (rc == 0 && outcome->type[0] == '\0')
        rc = count_source(self, outcome);
    if (outcome->type[0] == '\0')
        conclude(self, rc, outcome);
    if (self->source != NULL)
        self->source->destroy(&self->source);
    revision_close(&self->revision);
}

/* Nothing is read but what the shards have told. */
static void merge(struct analysis *self, struct ag_bytes inputs, struct outcome *outcome)
{
    struct parts parts = {.by = self->wish->by,
                          .tally = counting_tally(self->counting),
                          .findings = counting_findings(self->counting),
                          .troubles = counting_troubles(self->counting)};
    struct argosy_error err = {0};
    int rc = parts_merge(&parts, inputs, &err);

    if (rc == ARGOSY_ENOMEM)
        conclude(self, rc, outcome);
    else if (rc < 0)
        outcome_fail(outcome, "analyze.shards", false, wish_source(self->wish), "%s", err.message);
    else
        tell(self,
             &(struct tally_heading){
                 .source = parts.source, .revision = parts.revision, .history = parts.history},
             outcome);
    parts_fini(&parts);
}

static bool make_counting(struct analysis *self)
{
    self->languages = languages_new(self->roots->languages);
    self->task = (struct counting_task){.languages = self->languages,
                                        .shard = self->wish->shard,
                                        .by = self->wish->by,
                                        .progress = note_progress,
                                        .arg = self};
    if (self->languages != NULL)
        self->counting = counting_new(&self->task, true);
    return self->counting != NULL;
}

static void analyze(const struct wish *wish, struct ag_bytes inputs,
                    const struct analyze_roots *roots, const struct analyze_watch *watch,
                    struct outcome *outcome)
{
    struct analysis self = {.wish = wish,
                            .roots = roots,
                            .history = ag_buffer_empty(1 << 20),
                            .watch = watch,
                            .count_at = ag_clock_mono_ms() + watch->quiet_ms};
    char *path = wish->merge ? NULL : resolve(&self, outcome);

    if ((path != NULL || wish->merge) && !make_counting(&self))
        conclude(&self, ARGOSY_ENOMEM, outcome);
    else if (wish->merge)
        merge(&self, inputs, outcome);
    else if (path != NULL)
        count(&self, path, outcome);
    free(path);
    counting_destroy(&self.counting);
    languages_destroy(&self.languages);
    ag_buffer_free(&self.history);
}

void analyze_run(struct ag_bytes payload, struct ag_bytes inputs, const struct analyze_roots *roots,
                 const struct analyze_watch *watch, struct outcome *outcome)
{
    struct wish *wish = calloc(1, sizeof *wish);
    const char *wrong;

    if (wish == NULL) {
        outcome_fail(outcome, "handler.memory", true, NULL, "the worker has no memory left");
        return;
    }
    wrong = wish_read(wish, payload, inputs);
    if (wrong != NULL)
        outcome_fail(outcome, "rejected.payload", false, wish_source(wish), "analyze: %s", wrong);
    else
        analyze(wish, inputs, roots, watch, outcome);
    wish_fini(wish);
    free(wish);
}

/* ---- the handler
 * ------------------------------------------------------------------------------------------ */

struct analyze {
    struct handler handler;
    pool_t *pool;
    struct analyze_roots roots;
};

/* handler_data of a task is the engine; the task itself is the pool item's argument. */
static void work(void *arg)
{
    struct task *task = arg;
    const struct analyze *self = task->handler_data;
    const struct analyze_watch watch = {
        .stop = &task->stop, .permille = &task->permille, .quiet_ms = QUIET_MS};

    if (atomic_load(&task->stop) == STOP_NONE)
        analyze_run(task->payload, task->inputs, &self->roots, &watch, &task->outcome);
}

static void done(void *arg)
{
    struct task *task = arg;

    if (!task->outcome.succeeded && task->outcome.type[0] == '\0')
        outcome_fail(&task->outcome, "cancelled", false, NULL, "stopped before it began");
    task_finish(task);
}

static void start(struct handler *handler, struct task *task)
{
    struct analyze *self = AG_OWNER(handler, struct analyze, handler);
    struct pool_item item = {.work = work, .done = done, .arg = task};

    task->handler_data = self;
    if (pool_submit(self->pool, &item) < 0) {
        outcome_fail(&task->outcome, "handler.memory", true, NULL, "the worker has no memory left");
        task_finish(task);
    }
}

static void stop(struct handler *handler, struct task *task)
{
    (void)handler; /* the flag is set; the walk looks at it */
    (void)task;
}

static void destroy(struct handler **handler_p)
{
    free(AG_OWNER(*handler_p, struct analyze, handler));
    *handler_p = NULL;
}

int analyze_handler_new(struct handler **out, pool_t *pool, const struct analyze_roots *roots,
                        unsigned slots, struct argosy_error *err)
{
    struct analyze *self = calloc(1, sizeof *self);

    *out = NULL;
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for the analysis engine");
    self->handler = (struct handler){
        .kind = "analyze", .slots = slots, .start = start, .stop = stop, .destroy = destroy};
    self->pool = pool;
    self->roots = *roots;
    *out = &self->handler;
    return 0;
}
