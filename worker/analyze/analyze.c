#include "worker/analyze/analyze.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/list.h"
#include "common/proto.h"
#include "common/wire.h"
#include "worker/analyze/findings.h"
#include "worker/analyze/history.h"
#include "worker/analyze/pack.h"
#include "worker/analyze/revision.h"
#include "worker/analyze/source_git.h"

enum {
    TROUBLES_TOLD = 64, /* files that are named in the error; the rest is counted */
    EXCLUDES_MAX = 256,
    QUIET_MS = 500 /* the loop tells of nobody's progress before */
};

/* What a payload asks for. */
struct wish {
    char path[SOURCE_PATH_MAX];
    char rev[REPO_REV_BYTES_MAX]; /* empty: none was named */
    bool history, gitignore;
    enum tally_by by;
    char *exclude[EXCLUDES_MAX];
    size_t exclude_count;
};

/* One job at work. */
struct analysis {
    languages_t *languages;
    inspector_t *inspector;
    struct inspected inspected; /* the file in hand */
    findings_t *findings;
    tally_t *tally;
    struct ag_buffer content;
    struct ag_buffer troubles; /* leaves, packed */
    uint64_t troubles_count;
    struct source *source;
    struct revision revision; /* of a repository; no repository without it */
    struct ag_buffer history; /* packed */
    const struct analyze_watch *watch;
    int64_t count_at;            /* when to count the files; INT64_MAX once that is done */
    uint64_t begun, files_total; /* files_total 0: not known */
};

/* ---- the payload
 * ------------------------------------------------------------------------------------- */

static bool read_exclude(struct wish *wish, struct ag_reader *reader)
{
    uint32_t count = ag_read_array(reader);

    if (reader->failed || count > EXCLUDES_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct ag_bytes glob = ag_read_text(reader, SOURCE_PATH_MAX);

        if (reader->failed || glob.size == 0)
            return false;
        wish->exclude[i] = strndup((const char *)glob.data, glob.size);
        if (wish->exclude[i] == NULL)
            return false;
        wish->exclude_count = i + 1;
    }
    return true;
}

static bool read_by(struct wish *wish, struct ag_reader *reader)
{
    struct ag_bytes by = ag_read_text(reader, 16);

    if (ag_bytes_are(by, "language"))
        wish->by = BY_LANGUAGE;
    else if (ag_bytes_are(by, "file"))
        wish->by = BY_FILE;
    else if (ag_bytes_are(by, "dir"))
        wish->by = BY_DIR;
    else
        return false;
    return !reader->failed;
}

static bool read_path(struct wish *wish, struct ag_reader *reader)
{
    struct ag_bytes path = ag_read_text(reader, SOURCE_PATH_MAX - 1);

    if (reader->failed || path.size == 0 || path.data[0] != '/' ||
        memchr(path.data, '\0', path.size) != NULL)
        return false;
    memcpy(wish->path, path.data, path.size);
    wish->path[path.size] = '\0';
    return true;
}

static bool read_rev(struct wish *wish, struct ag_reader *reader)
{
    struct ag_bytes rev = ag_read_text(reader, sizeof wish->rev - 1);

    if (reader->failed || rev.size == 0 || memchr(rev.data, '\0', rev.size) != NULL)
        return false;
    memcpy(wish->rev, rev.data, rev.size);
    wish->rev[rev.size] = '\0';
    return true;
}

/* NULL, or what is wrong. */
static const char *read_wish(struct wish *wish, struct ag_bytes payload)
{
    struct ag_reader reader = ag_reader_of(payload);
    uint32_t pairs;

    if (ag_wire_check(payload, AG_WIRE_DEPTH_MAX, AG_BODY_OBJECTS_MAX) < 0)
        return "the payload is not msgpack";
    pairs = ag_read_map(&reader);
    for (uint32_t i = 0; i < pairs && !reader.failed; i++) {
        struct ag_bytes key = ag_read_text(&reader, AG_NAME_BYTES_MAX);

        if (ag_bytes_are(key, "path")) {
            if (!read_path(wish, &reader))
                return "'path' must be an absolute path";
        } else if (ag_bytes_are(key, "by")) {
            if (!read_by(wish, &reader))
                return "'by' must be language, file or dir";
        } else if (ag_bytes_are(key, "exclude")) {
            if (!read_exclude(wish, &reader))
                return "'exclude' must be a list of at most 256 patterns";
        } else if (ag_bytes_are(key, "rev")) {
            if (!read_rev(wish, &reader))
                return "'rev' must be a branch, a tag or a commit";
        } else if (ag_bytes_are(key, "history")) {
            wish->history = ag_read_bool(&reader);
        } else if (ag_bytes_are(key, "gitignore")) {
            wish->gitignore = ag_read_bool(&reader);
        } else {
            ag_read_skip(&reader);
        }
    }
    if (reader.failed)
        return "the payload must be a map with text keys";
    return NULL;
}

/* The file that a fetch before it has written. */
static void take_input(struct wish *wish, struct ag_bytes inputs)
{
    struct proto_input input;
    struct ag_reader reader;
    uint32_t pairs;

    if (wish->path[0] != '\0' || !ag_proto_next_input(&inputs, &input) ||
        ag_wire_check(input.result, AG_WIRE_DEPTH_MAX, AG_BODY_OBJECTS_MAX) < 0)
        return;
    reader = ag_reader_of(input.result);
    pairs = ag_read_map(&reader);
    for (uint32_t i = 0; i < pairs && !reader.failed; i++) {
        struct ag_bytes key = ag_read_text(&reader, AG_NAME_BYTES_MAX);

        if (ag_bytes_are(key, "file"))
            read_path(wish, &reader);
        else
            ag_read_skip(&reader);
    }
}

static void wish_fini(struct wish *wish)
{
    for (size_t i = 0; i < wish->exclude_count; i++)
        free(wish->exclude[i]);
}

/* ---- one file
 * ------------------------------------------------------------------------------------------ */

static void put_leaf(struct ag_buffer *out, const char *type, const char *message,
                     const char *subject)
{
    msgpack_packer packer;

    msgpack_packer_init(&packer, out, ag_buffer_write);
    msgpack_pack_map(&packer, 4);
    pack_text(&packer, "type", type);
    pack_text(&packer, "message", message);
    pack_text(&packer, "subject", subject);
    msgpack_pack_str_with_body(&packer, "retryable", 9);
    msgpack_pack_false(&packer);
}

/* What a source could not do, as the type of a failure. */
static const char *type_of(const struct analysis *self, int code)
{
    if (self->revision.repo != NULL && code != ARGOSY_ETOOBIG)
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

/* A file or directory that cannot be read is a leaf of the report, not the end of the job. */
static int on_trouble(void *arg, const char *path, const struct argosy_error *err)
{
    struct analysis *self = arg;

    if (self->troubles_count++ < TROUBLES_TOLD)
        put_leaf(&self->troubles, type_of(self, err->code), err->message, path);
    return 0;
}

/* The files are counted when the job has turned out to be a long one: another walk, but without
 * reading them it is short beside what is left to do, and it warms the directories for it. */
static void count_files(struct analysis *self)
{
    self->count_at = INT64_MAX;
    if (self->source->count == NULL || self->source->count(self->source, &self->files_total) < 0)
        self->files_total = 0;
}

/* A file is about to begin. More of them than were counted: the tree grows, nothing is known. */
static void note_progress(struct analysis *self)
{
    uint64_t done = self->begun++, total;
    unsigned permille = AG_PERMILLE_UNKNOWN;

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

/* Read it and look at it, unless that was done for another commit. 1; 0: it is no file to be looked
 * at, which was told; or an error that ends the job. */
static int inspect(struct analysis *self, const struct source_file *file)
{
    recall_t *recall = file->id != NULL ? self->revision.recall : NULL;
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
        return on_trouble(self, file->path, &err);
    rc = inspect_file(self->inspector, file->name, ag_buffer_bytes(&self->content),
                      &self->inspected);
    if (rc == 0 && recall != NULL)
        recall_keep(recall, file, &self->inspected);
    return rc < 0 ? rc : 1;
}

/* Counted, or the reason why not. */
static int take_file(struct analysis *self, const struct source_file *file)
{
    struct inspected *inspected = &self->inspected;
    int rc = findings_add(self->findings, file->path, inspected);

    if (rc == 0 && inspected->is_counted)
        rc = tally_add(self->tally, file->path, &inspected->counted);
    else if (rc == 0)
        tally_skip(self->tally, inspected->why);
    return rc;
}

static int on_file(void *arg, const struct source_file *file)
{
    struct analysis *self = arg;
    enum tally_skip why = file->is_submodule ? SKIP_SUBMODULE
                          : file->is_ignored ? SKIP_IGNORED
                                             : SKIP_VENDORED;
    bool wanted = !file->is_submodule && !file->is_ignored && !file->is_vendored &&
                  inspect_name(self->inspector, file->name, &why);
    int rc;

    note_progress(self);
    if (wanted && file->size > SOURCE_FILE_BYTES_MAX) {
        wanted = false;
        why = SKIP_TOO_LARGE;
    }
    if (!wanted) {
        tally_skip(self->tally, why);
        return 0;
    }
    rc = inspect(self, file);
    return rc > 0 ? take_file(self, file) : rc;
}

static void on_enter(void *arg, const struct source_folder *folder)
{
    recall_enter(((struct analysis *)arg)->revision.recall, folder);
}

static void on_leave(void *arg, const struct source_folder *folder)
{
    recall_leave(((struct analysis *)arg)->revision.recall, folder);
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
static char *resolve(const struct wish *wish, const struct analyze_roots *roots,
                     struct outcome *outcome)
{
    char *real = realpath(wish->path, NULL);

    if (real == NULL) {
        outcome_fail(outcome,
                     errno == ENOENT || errno == ENOTDIR ? "analyze.source.missing"
                                                         : "analyze.source.denied",
                     false, wish->path, "%s", strerror(errno));
        return NULL;
    }
    if (analyze_may_read(roots, real))
        return real;
    outcome_fail(outcome, "analyze.source.denied", false, wish->path,
                 "not below a directory that this worker may read; its --root option names them");
    free(real);
    return NULL;
}

static void pack_troubles(struct analysis *self, struct ag_buffer *out)
{
    uint64_t told = self->troubles_count < TROUBLES_TOLD ? self->troubles_count : TROUBLES_TOLD;
    char text[128];
    msgpack_packer packer;

    if (self->troubles_count == 0)
        return;
    *out = ag_buffer_empty(AG_RESULT_BYTES_MAX);
    msgpack_packer_init(&packer, out, ag_buffer_write);
    msgpack_pack_map(&packer, 3);
    snprintf(text, sizeof text, "%llu of %llu files could not be read",
             (unsigned long long)self->troubles_count,
             (unsigned long long)(self->troubles_count + tally_files(self->tally)));
    pack_text(&packer, "message", text);
    msgpack_pack_str_with_body(&packer, "errors", 6);
    msgpack_pack_array(&packer, told);
    ag_buffer_append(out, self->troubles.data, self->troubles.size);
    msgpack_pack_str_with_body(&packer, "notes", 5);
    msgpack_pack_array(&packer, self->troubles_count > told);
    if (self->troubles_count > told) {
        snprintf(text, sizeof text, "%llu more are not listed",
                 (unsigned long long)(self->troubles_count - told));
        msgpack_pack_str_with_body(&packer, text, strlen(text));
    }
}

static void conclude(struct analysis *self, int rc, const struct wish *wish,
                     struct outcome *outcome)
{
    const struct tally_heading heading = {
        .source = wish->path,
        .revision = self->revision.repo != NULL ? self->revision.commit.hex : NULL,
        .history = ag_buffer_bytes(&self->history)};

    if (rc == ARGOSY_ESTATE) {
        outcome_fail(outcome, "cancelled", false, wish->path, "stopped before its end");
        return;
    }
    if (rc == ARGOSY_ETOOBIG && self->revision.repo != NULL) {
        outcome_fail(outcome, "analyze.limit", false, wish->path, "more than %d files",
                     SOURCE_GIT_ENTRIES_MAX);
        return;
    }
    if (rc < 0 || self->history.failed) {
        outcome_fail(outcome, "handler.memory", true, wish->path, "the worker has no memory left");
        return;
    }
    outcome->result = ag_buffer_empty(AG_RESULT_BYTES_MAX / 8 * 7);
    tally_pack(self->tally, &heading, self->findings, &outcome->result);
    if (outcome->result.failed) {
        outcome_fail(outcome, "analyze.limit", false, wish->path,
                     "the answer is larger than 7 MiB: ask --by language, or leave directories "
                     "out with --exclude");
        return;
    }
    pack_troubles(self, &outcome->error);
    outcome->succeeded = true;
}

/* Everything that counts; false when memory is short. */
static bool make_counting(struct analysis *self, const struct analyze_roots *roots,
                          enum tally_by by)
{
    self->languages = languages_new(roots->languages);
    if (self->languages == NULL)
        return false;
    self->inspector = inspector_new(self->languages);
    self->findings = findings_new();
    self->tally = tally_new(by, self->languages);
    return self->inspector != NULL && self->findings != NULL && self->tally != NULL;
}

static void destroy_counting(struct analysis *self)
{
    tally_destroy(&self->tally);
    findings_destroy(&self->findings);
    inspector_destroy(&self->inspector);
    languages_destroy(&self->languages);
}

/* A repository's past. Its progress is the job's: counting the files afterwards is short. */
static int tell_history(struct analysis *self, const struct wish *wish, struct outcome *outcome)
{
    struct argosy_error err = {0};
    struct history_task task = {.repo = self->revision.repo,
                                .commit = &self->revision.commit,
                                .files = self->source,
                                .recall = self->revision.recall,
                                .stop = self->watch->stop,
                                .permille = self->watch->permille,
                                .trouble = on_trouble,
                                .arg = self};
    int rc;

    if (self->revision.inside[0] != '\0') {
        outcome_fail(outcome, "analyze.git", false, wish->path,
                     "history is that of a whole repository: name its top directory");
        return 0;
    }
    self->count_at = INT64_MAX;
    rc = history_run(&task, &self->history, &err);
    if (rc == ARGOSY_ETOOBIG && err.code != 0) {
        outcome_fail(outcome, "analyze.limit", false, wish->path, "%s", err.message);
        return 0;
    }
    return rc;
}

static int open_repository(struct analysis *self, const struct wish *wish, const char *path,
                           const struct analyze_roots *roots, const struct source_options *options,
                           struct outcome *outcome)
{
    struct argosy_error err = {0};
    int rc = revision_open(&self->revision, path, wish->rev[0] != '\0' ? wish->rev : NULL, roots,
                           self->languages, &err);

    if (rc == 0)
        rc = source_git_new(&self->source, self->revision.repo, &self->revision.commit,
                            self->revision.inside, options, &err);
    if (rc == 0 && wish->history)
        return tell_history(self, wish, outcome);
    if (rc < 0 && rc != ARGOSY_ENOMEM) {
        outcome_fail(outcome, "analyze.git", false, wish->path, "%s", err.message);
        return 0;
    }
    return rc;
}

/* What is asked for would be told wrongly without a word. */
static void refuse_gitignore(const struct wish *wish, struct outcome *outcome)
{
    outcome_fail(outcome, "rejected.payload", false, wish->path,
                 "analyze: 'gitignore' is for directories, not for commits and archives");
}

static int open_other(struct analysis *self, const struct wish *wish, const char *path,
                      const struct source_options *options, struct outcome *outcome)
{
    struct argosy_error err = {0};
    int rc = source_archive_new(&self->source, path, options, &err);

    if (self->source != NULL && wish->gitignore)
        refuse_gitignore(wish, outcome);
    else if (rc == 0 && self->source == NULL)
        rc = source_dir_new(&self->source, path, options, &err);
    if (rc == 0 || rc == ARGOSY_ESTATE || rc == ARGOSY_ENOMEM)
        return rc;
    outcome_fail(outcome, type_of(self, rc), false, wish->path, "%s", err.message);
    return 0;
}

/* A checked-out repository is a directory like others, unless its commits are asked for. */
static bool is_of_git(const struct wish *wish, const char *path)
{
    return wish->rev[0] != '\0' || wish->history || repo_is_bare(path);
}

static void analyze(const struct wish *wish, const char *path, const struct analyze_roots *roots,
                    const struct analyze_watch *watch, struct outcome *outcome)
{
    struct analysis self = {.content =
                                ag_buffer_empty(SOURCE_FILE_BYTES_MAX + 2 * SOURCE_READ_BYTES),
                            .troubles = ag_buffer_empty(1 << 20),
                            .history = ag_buffer_empty(1 << 20),
                            .watch = watch,
                            .count_at = ag_clock_mono_ms() + watch->quiet_ms};
    struct source_options options = {.exclude = (const char *const *)wish->exclude,
                                     .exclude_count = wish->exclude_count,
                                     .stop = watch->stop,
                                     .ignore_below = wish->gitignore ? roots : NULL};
    struct source_visitor visitor = {.file = on_file, .trouble = on_trouble, .arg = &self};
    int rc = ARGOSY_ENOMEM;

    if (make_counting(&self, roots, wish->by))
        rc = is_of_git(wish, path) ? open_repository(&self, wish, path, roots, &options, outcome)
                                   : open_other(&self, wish, path, &options, outcome);
    if (self.revision.recall != NULL) {
        visitor.enter = on_enter;
        visitor.leave = on_leave;
    }
    if (rc == 0 && outcome->type[0] == '\0')
        rc = self.source->each(self.source, &visitor);
    if (outcome->type[0] == '\0')
        conclude(&self, rc, wish, outcome);
    if (self.source != NULL)
        self.source->destroy(&self.source);
    revision_close(&self.revision);
    destroy_counting(&self);
    ag_buffer_free(&self.content);
    ag_buffer_free(&self.troubles);
    ag_buffer_free(&self.history);
}

void analyze_run(struct ag_bytes payload, struct ag_bytes inputs, const struct analyze_roots *roots,
                 const struct analyze_watch *watch, struct outcome *outcome)
{
    struct wish *wish = calloc(1, sizeof *wish);
    const char *wrong;
    char *path = NULL;

    if (wish == NULL) {
        outcome_fail(outcome, "handler.memory", true, NULL, "the worker has no memory left");
        return;
    }
    wrong = read_wish(wish, payload);
    take_input(wish, inputs);
    if (wrong == NULL && wish->path[0] == '\0')
        wrong = "'path' is missing";
    if (wrong != NULL)
        outcome_fail(outcome, "rejected.payload", false, wish->path[0] ? wish->path : NULL,
                     "analyze: %s", wrong);
    else
        path = resolve(wish, roots, outcome);
    if (path != NULL && wish->gitignore && is_of_git(wish, path))
        refuse_gitignore(wish, outcome);
    else if (path != NULL)
        analyze(wish, path, roots, watch, outcome);
    free(path);
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
