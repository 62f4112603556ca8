#include "client/cli/submission.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/amounts.h"
#include "client/cli/fleet.h"
#include "client/cli/joblog.h"
#include "client/cli/jobs.h"
#include "client/cli/progress.h"
#include "client/cli/splits.h"
#include "common/clock.h"
#include "common/duration.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/report_tree.h"
#include "common/wire.h"

enum {
    TICK_MS = 100,              /* signals, children and the progress line are looked at so often */
    IDLE_MS = 3000,             /* without a job running or ended: ask whether anybody is there */
    INPUT_WAIT_MS = 10,         /* while the input has nothing and nothing else happens */
    ORDERED_BYTES_MAX = 1 << 30 /* of results that wait for an earlier one */
};

/* ---- printing
 * ------------------------------------------------------------------------------------------ */

static const char *state_name(enum argosy_job_state state)
{
    return state == ARGOSY_SUCCEEDED ? "succeeded"
           : state == ARGOSY_FAILED  ? "failed"
                                     : "cancelled";
}

static json_t *attempts_to_json(const struct argosy_event *event)
{
    json_t *list = json_array();

    for (size_t i = 0; i < event->attempts_count; i++) {
        const struct argosy_attempt *attempt = &event->attempts[i];

        json_array_append_new(
            list, json_pack("{s:i, s:s, s:I, s:i, s:s, s:s}", "attempt", (int)attempt->attempt,
                            "worker", attempt->worker, "started_unix_ms",
                            (json_int_t)attempt->started_unix_ms, "run_ms", (int)attempt->run_ms,
                            "type", attempt->type, "message", attempt->message));
    }
    return list;
}

json_t *event_to_json(const struct argosy_event *event)
{
    json_t *json =
        json_pack("{s:s, s:I, s:s, s:s, s:i, s:s, s:I, s:I}", "job", event->job, "index",
                  (json_int_t)event->index, "kind", event->kind, "state", state_name(event->state),
                  "attempt", (int)event->attempt, "worker", event->worker, "queued_ms",
                  (json_int_t)event->queued_ms, "run_ms", (json_int_t)event->run_ms);
    json_t *result;

    if (event->result != NULL &&
        ag_json_from_msgpack(ag_bytes_of(event->result, event->result_size), &result, NULL) == 0)
        json_object_set_new(json, "result", result);
    if (event->error != NULL)
        json_object_set_new(json, "error", ag_node_to_json(event->error));
    else if (event->attempts_count > 0)
        json_object_set_new(json, "attempts", attempts_to_json(event));
    return json;
}

void print_plain(const struct cli *cli, const struct argosy_event *event, FILE *out)
{
    const char *gap = cli->is_terminal ? "  " : "\t";

    fprintf(out, "%s%s%u ms%s%s", state_name(event->state), gap, event->run_ms, gap, event->job);
    if (event->error != NULL) {
        fprintf(out, "%s%s: ", gap, event->error->error_type);
        print_clean(event->error->message, strlen(event->error->message), out);
    }
    fputc('\n', out);
}

void print_event(const struct cli *cli, const struct argosy_event *event, print_result_fn *print,
                 FILE *out)
{
    json_t *json;

    if (!cli->json) {
        print(cli, event, out);
        return;
    }
    json = event_to_json(event);
    json_dumpf(json, out, JSON_COMPACT | JSON_REAL_PRECISION(15));
    fputc('\n', out);
    json_decref(json);
}

void print_report(const struct cli *cli, const argosy_report *report, bool always_json)
{
    if (cli->json && (always_json || !argosy_report_is_empty(report))) {
        fputs("{\"report\":", cli->out);
        argosy_report_write_json(report, cli->out);
        fputs("}\n", cli->out);
    }
    if (!argosy_report_is_empty(report)) {
        fflush(cli->out);
        argosy_report_write_text(report, stderr);
    }
}

int exit_code_of(const struct argosy_event *ended, const argosy_report *report)
{
    if (strcmp(ended->failure, "timeout.group") == 0)
        return EXIT_TIMED_OUT;
    if (!argosy_report_is_empty(report) || ended->counts.failed > 0 ||
        ended->counts.cancelled > 0 || ended->failure[0] != '\0')
        return EXIT_SOME_FAILED;
    return EXIT_ALL_WELL;
}

/* ---- results in the order of submission
 * --------------------------------------------------------------- */

struct ordered {
    char **lines; /* by index; NULL: not there yet, or printed */
    size_t capacity, next, bytes;
};

static bool ordered_reserve(struct ordered *self, size_t index)
{
    char **grown;
    size_t capacity = self->capacity;

    if (index < capacity)
        return true;
    capacity = index * 2 + 1024;
    grown = realloc(self->lines, capacity * sizeof *grown);
    if (grown == NULL)
        return false;
    memset(grown + self->capacity, 0, (capacity - self->capacity) * sizeof *grown);
    self->lines = grown;
    self->capacity = capacity;
    return true;
}

static void ordered_print(struct ordered *self, FILE *out, bool all)
{
    while (self->next < self->capacity && (all || self->lines[self->next] != NULL)) {
        char *line = self->lines[self->next];

        if (line != NULL) {
            self->bytes -= strlen(line);
            fputs(line, out);
            free(line);
        }
        self->lines[self->next++] = NULL;
    }
}

static void ordered_add(struct ordered *self, const struct cli *cli,
                        const struct argosy_event *event, print_result_fn *print)
{
    char *line = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&line, &size);

    if (memory == NULL || !ordered_reserve(self, event->index)) {
        if (memory != NULL)
            fclose(memory);
        free(line);
        print_event(cli, event, print, cli->out); /* better late in order than not at all */
        return;
    }
    print_event(cli, event, print, memory);
    fclose(memory);
    self->lines[event->index] = line;
    self->bytes += size;
    ordered_print(self, cli->out, self->bytes > ORDERED_BYTES_MAX);
}

static void ordered_end(struct ordered *self, FILE *out)
{
    ordered_print(self, out, true);
    free(self->lines);
}

/* ---- the batch
 * ------------------------------------------------------------------------------------------ */

struct submission {
    struct cli *cli;
    const struct job_source *source;
    print_result_fn *print;
    argosy_batch *batch;
    struct splits splits;
    struct argosy_job job; /* the same for all but the payload */
    struct ag_retry_policy retry;
    struct ag_buffer payload;
    bool has_payload, is_sealed, is_detached, is_accepted, is_cancelled, is_over, is_told;
    uint64_t submitted, ended;
    struct argosy_counts counts; /* as we see them: newer than the broker's last word */
    uint64_t running;
    struct progress progress;
    struct ordered ordered;
    struct joblog log;
    bool is_ordered, is_race, has_keys, is_unwritable, tells_news;
    argosy_batch *then; /* the job that comes after the batch; NULL: none, or not yet */
    int exit_code;
    int64_t idle_since;     /* INT64_MAX: somebody works on it, or people have been told */
    uint64_t idle_question; /* the request that asks for workers */
};

/* What the source counts by, a host, is the key of every job that has no other: it is what
 * --per-host and --delay-per-host limit, what a retry budget counts by (one host that is down does
 * not spend what others may need), and what a server closes that asks for time, for the fleet. */
static int configure_job(struct submission *self)
{
    const ag_options_t *options = self->cli->options;
    struct argosy_job *job = &self->job;
    int code = jobs_configure(self->cli, job, &self->retry);

    job->kind = self->source->kind;
    if (code != 0 || self->source->key == NULL || job->key != NULL)
        return code;
    self->has_keys = true;
    job->key_max = ag_options_whole(options, AG_OPT_PER_HOST);
    job->key_delay_ms = ag_options_ms(options, AG_OPT_DELAY_PER_HOST);
    return 0;
}

static int open_batch(struct submission *self)
{
    const ag_options_t *options = self->cli->options;
    const char *name = ag_options_text(options, AG_OPT_GROUP);
    char title[TITLE_SIZE];
    struct argosy_group group = {.name =
                                     name != NULL ? name : fit_title(self->source->title, title)};
    struct argosy_error err = {0};
    unsigned flags = 0;
    int code = jobs_configure_group(self->cli, &group);

    if (code != 0)
        return code;
    self->is_race = group.policy == ARGOSY_RACE || group.successes > 0;
    self->is_detached = ag_options_flag(options, AG_OPT_DETACH);
    self->is_ordered = ag_options_flag(options, AG_OPT_ORDERED);
    if (self->is_detached)
        flags = ARGOSY_DETACHED;
    else if (ag_options_text(options, AG_OPT_THEN) != NULL)
        flags = ARGOSY_KEEP; /* what it made is handed on */
    self->tells_news = self->cli->json && ag_options_flag(options, AG_OPT_PARTIAL);
    /* One analysis can take minutes, and tells little more than how far it is. */
    if (ag_options_flag(options, AG_OPT_PARTIAL) ||
        (progress_is_wanted(self->cli) && strcmp(self->source->kind, "analyze") == 0))
        flags |= ARGOSY_NEWS;
    if (argosy_batch_new(&self->batch, self->cli->client, &group, flags, &err) < 0)
        return cli_fail_with(self->cli, &err);
    splits_init(&self->splits, self->cli->client, self->batch, self->source, flags);
    return 0;
}

/* Add what the source has until the window is full. Negative: the input is wrong. */
static int feed(struct submission *self, bool *is_waiting, struct argosy_error *err)
{
    char id[ARGOSY_ID_SIZE];

    *is_waiting = false;
    while (!self->is_sealed) {
        int rc = 1;

        if (!self->has_payload) {
            ag_buffer_clear(&self->payload);
            rc = self->source->next(self->source->arg, &self->payload, err);
        }
        if (rc == 0) {
            *is_waiting = true;
            return 0;
        }
        if (rc < -1 || self->payload.failed)
            return rc < -1 ? rc : ARGOSY_ENOMEM;
        if (rc < 0) {
            argosy_batch_seal(self->batch);
            self->is_sealed = true;
            self->progress.total = self->submitted;
            if (self->log.skipped > 0)
                cli_say(self->cli, "%llu of %llu were done before",
                        (unsigned long long)self->log.skipped,
                        (unsigned long long)self->log.sequence);
            return 0;
        }
        if (!self->has_payload && joblog_skips(&self->log))
            continue;
        self->has_payload = true;
        self->job.payload = self->payload.data;
        self->job.payload_size = self->payload.size;
        if (self->has_keys)
            self->job.key = self->source->key(self->source->arg);
        rc = self->source->parts != NULL ? splits_add(&self->splits, &self->job, id, err)
                                         : argosy_batch_add(self->batch, &self->job, id, err);
        if (rc == ARGOSY_EAGAIN)
            return 0;
        if (rc < 0)
            return rc;
        if (!joblog_submitted(&self->log))
            return ARGOSY_ENOMEM;
        self->has_payload = false;
        self->submitted++;
        if (ag_options_flag(self->cli->options, AG_OPT_IDS))
            fprintf(self->cli->out, "%s\n", id);
    }
    return 0;
}

/* --results: a file for each job. */
static void keep_result(struct submission *self, const struct argosy_event *event)
{
    const char *folder = ag_options_text(self->cli->options, AG_OPT_RESULTS_DIR);
    char path[4400];
    json_t *json;
    FILE *file;

    if (folder == NULL || self->is_unwritable)
        return;
    snprintf(path, sizeof path, "%s/%u.json", folder, joblog_sequence(&self->log, event->index));
    file = fopen(path, "we");
    json = event_to_json(event);
    if (file == NULL || json_dumpf(json, file, JSON_COMPACT | JSON_REAL_PRECISION(15)) < 0 ||
        fputc('\n', file) == EOF || fclose(file) != 0) {
        self->is_unwritable = true;
        cli_fail(self->cli, 0, "--results: cannot write %s: %s; the batch goes on", path,
                 strerror(errno));
    }
    json_decref(json);
}

static void on_job(struct submission *self, const struct argosy_event *event)
{
    self->ended++;
    joblog_ended(&self->log, self->cli, event);
    keep_result(self, event);
    if (self->source->ended != NULL)
        self->progress.bytes += self->source->ended(self->source->arg, event);
    self->counts.succeeded += event->state == ARGOSY_SUCCEEDED;
    self->counts.failed += event->state == ARGOSY_FAILED;
    self->counts.cancelled += event->state == ARGOSY_CANCELLED;
    if (self->running > 0)
        self->running--;
    if (self->progress.is_drawn && self->cli->is_terminal)
        progress_clear(&self->progress);
    if (self->is_ordered)
        ordered_add(&self->ordered, self->cli, event, self->print);
    else
        print_event(self->cli, event, self->print, self->cli->out);
}

/* ---- nobody there
 * ---------------------------------------------------------------------------------------- */

static bool offers(const json_t *workers, const char *kind)
{
    const json_t *worker, *offer;
    size_t i, k;

    json_array_foreach(workers, i, worker)
    {
        json_array_foreach(json_object_get(worker, "kinds"), k, offer)
        {
            const char *name = json_string_value(json_object_get(offer, "kind"));

            if (name != NULL && strcmp(name, kind) == 0)
                return true;
        }
    }
    return false;
}

/* A batch that waits for a worker that nobody has started would look like one that hangs. */
static void ask_when_idle(struct submission *self)
{
    if (self->is_detached || self->idle_question != 0 || self->idle_since == INT64_MAX ||
        ag_clock_mono_ms() - IDLE_MS < self->idle_since)
        return;
    argosy_query(self->cli->client, "workers", NULL, 0, &self->idle_question, NULL);
}

static void on_answer(struct submission *self, const struct argosy_event *event)
{
    json_t *body;

    if (event->request != self->idle_question || self->idle_since == INT64_MAX ||
        ag_json_from_msgpack(ag_bytes_of(event->body, event->body_size), &body, NULL) < 0)
        return;
    if (!offers(json_object_get(body, "workers"), self->source->kind)) {
        progress_clear(&self->progress);
        cli_say(self->cli, "no worker offers the kind '%s' yet; waiting for one",
                self->source->kind);
    }
    self->idle_since = INT64_MAX;
    json_decref(body);
}

/* {"progress": {...}} lines, for programs. */
static void print_news(const struct cli *cli, const struct argosy_event *event)
{
    json_t *json =
        json_pack("{s:s, s:I, s:s, s:i, s:s, s:i}", "job", event->job, "index",
                  (json_int_t)event->index, "kind", event->kind, "attempt", (int)event->attempt,
                  "note", event->note, "sequence", (int)event->sequence);
    json_t *partial, *line = json_object();

    if (event->permille <= 1000)
        json_object_set_new(json, "permille", json_integer(event->permille));
    if (event->result != NULL &&
        ag_json_from_msgpack(ag_bytes_of(event->result, event->result_size), &partial, NULL) == 0)
        json_object_set_new(json, "partial", partial);
    json_object_set_new(line, "progress", json);
    json_dumpf(line, cli->out, JSON_COMPACT | JSON_REAL_PRECISION(15));
    fputc('\n', cli->out);
    fflush(cli->out);
    json_decref(line);
}

/* KIND or KIND:JSON; a batch of its own, that comes after this one. */
static int begin_then(struct submission *self, struct argosy_error *err)
{
    const char *text = ag_options_text(self->cli->options, AG_OPT_THEN), *colon;
    const char *id = argosy_batch_id(self->batch);
    struct ag_buffer payload = ag_buffer_empty(AG_PAYLOAD_BYTES_MAX);
    struct argosy_job job = {.after = &id, .after_count = 1, .after_any = true};
    struct argosy_group group = {.name = "then"};
    char kind[AG_NAME_BYTES_MAX + 1];
    json_t *json = NULL;
    int rc = 0;

    colon = strchrnul(text, ':');
    snprintf(kind, sizeof kind, "%.*s", (int)(colon - text), text);
    job.kind = kind;
    if (*colon == ':')
        rc = ag_json_parse(colon + 1, strlen(colon + 1), &json, err);
    else
        json = json_object();
    if (rc == 0)
        rc = ag_json_to_msgpack(json, &payload);
    job.payload = payload.data;
    job.payload_size = payload.size;
    if (rc == 0)
        rc = argosy_batch_new(&self->then, self->cli->client, &group,
                              self->is_detached ? ARGOSY_DETACHED : 0, err);
    if (rc == 0)
        rc = argosy_batch_add(self->then, &job, NULL, err);
    if (rc == 0)
        argosy_batch_seal(self->then);
    json_decref(json);
    ag_buffer_free(&payload);
    return rc;
}

/* Once all of it is at the broker. */
static void leave_detached(struct submission *self)
{
    if (!self->is_detached || !self->is_accepted || !splits_are_accepted(&self->splits))
        return;
    if (!ag_options_flag(self->cli->options, AG_OPT_IDS))
        fprintf(self->cli->out, "%s\n", argosy_batch_id(self->batch));
    self->is_over = true;
    if (!argosy_report_is_empty(argosy_batch_report(self->batch)))
        self->exit_code = EXIT_SOME_FAILED; /* some were refused */
}

/* The whole batch is at the broker: now something may come after it. */
static void on_accepted(struct submission *self, const struct argosy_event *event)
{
    struct argosy_error err = {0};

    if (event->batch == self->batch && ag_options_text(self->cli->options, AG_OPT_THEN) != NULL) {
        if (begin_then(self, &err) < 0) {
            self->exit_code = cli_fail(self->cli, EXIT_USAGE, "--then: %s", err.message);
            self->is_over = true;
        }
        if (self->is_detached)
            return; /* until that is accepted as well */
    }
    self->is_accepted = true;
    leave_detached(self);
}

/* The first of a race that succeeds is all that was asked for. */
static int code_of_end(const struct submission *self, const struct argosy_event *event)
{
    if (self->is_race && event->counts.succeeded > 0 && event->failure[0] == '\0')
        return EXIT_ALL_WELL;
    return exit_code_of(event, argosy_batch_report(event->batch));
}

static void on_end(struct submission *self, const struct argosy_event *event)
{
    int code = code_of_end(self, event);

    self->exit_code = code > self->exit_code ? code : self->exit_code;
    self->is_over = event->batch == self->then || self->then == NULL;
}

static void on_news(struct submission *self, const struct argosy_event *told)
{
    if (told->permille <= 1000)
        self->progress.permille = told->permille;
    if (self->running == 0)
        self->running = 1; /* the broker's number may come much later */
    if (self->tells_news)
        print_news(self->cli, told);
}

static void on_split(struct submission *self, const struct argosy_event *told)
{
    if (told->type == ARGOSY_JOB_ENDED)
        on_job(self, told);
    if (told->type == ARGOSY_JOB_NEWS)
        on_news(self, told);
    leave_detached(self);
}

static void on_event(struct submission *self, const struct argosy_event *event)
{
    struct cli *cli = self->cli;
    struct argosy_event told;

    if (splits_take(&self->splits, event, &told)) {
        if (event->type == ARGOSY_JOB_ENDED)
            self->idle_since = INT64_MAX;
        on_split(self, &told);
        return;
    }
    switch (event->type) {
    case ARGOSY_JOB_ENDED:
        self->idle_since = INT64_MAX;
        if (event->batch == self->then)
            print_event(cli, event, print_plain, cli->out);
        else
            on_job(self, event);
        break;
    case ARGOSY_JOB_NEWS:
        on_news(self, event);
        break;
    case ARGOSY_BATCH_OPEN:
        break;
    case ARGOSY_PROGRESS:
        self->running = event->running;
        break;
    case ARGOSY_DISCONNECTED:
        progress_clear(&self->progress);
        cli_say(cli, "the broker does not answer; waiting for it");
        self->is_told = true;
        break;
    case ARGOSY_CONNECTED:
        if (self->is_told)
            cli_say(cli, "the broker answers again");
        self->is_told = false;
        break;
    case ARGOSY_BATCH_ACCEPTED:
        on_accepted(self, event);
        break;
    case ARGOSY_BATCH_UNKNOWN:
        self->is_over = true;
        progress_clear(&self->progress);
        self->exit_code = cli_fail(cli, EXIT_NO_BROKER,
                                   "the broker was restarted and has forgotten the batch %s: %llu "
                                   "of its jobs have ended, what became of the others is not known",
                                   argosy_batch_id(self->batch), (unsigned long long)self->ended);
        break;
    case ARGOSY_BATCH_ENDED:
        on_end(self, event);
        break;
    case ARGOSY_ANSWER:
        on_answer(self, event);
        break;
    }
}

/* Ctrl-C once cancels, twice leaves. */
static void look_at_signals(struct submission *self)
{
    int interrupts = cli_interrupts();

    if (interrupts == 0)
        return;
    if (!self->is_cancelled) {
        self->is_cancelled = true;
        progress_clear(&self->progress);
        cli_say(self->cli, "interrupted: cancelling the batch; again to leave at once");
        splits_seal(&self->splits);
        argosy_batch_seal(self->batch);
        self->is_sealed = true;
        argosy_batch_cancel(self->batch, NULL);
    }
    if (interrupts > 1) {
        self->is_over = true;
        if (self->cli->fleet == NULL)
            cli_say(self->cli, "left; the batch may go on: argosy wait %s",
                    argosy_batch_id(self->batch));
    }
}

static int follow(struct submission *self)
{
    struct cli *cli = self->cli;
    struct argosy_error err = {0};
    struct argosy_event event;
    bool is_waiting;

    while (!self->is_over) {
        int rc = feed(self, &is_waiting, &err);

        if (rc == 0)
            rc =
                argosy_client_next(cli->client, is_waiting ? INPUT_WAIT_MS : TICK_MS, &event, &err);
        if (rc > 0)
            on_event(self, &event);
        if (rc == 0 && cli->fleet != NULL)
            rc = fleet_look_after(cli->fleet, &err);
        if (rc < 0) {
            progress_clear(&self->progress);
            return cli_fail_with(cli, &err);
        }
        if (rc == 0)
            fflush(cli->out); /* somebody may be reading along */
        look_at_signals(self);
        ask_when_idle(self);
        progress_draw(&self->progress, &self->counts, self->running, false);
    }
    return self->exit_code;
}

static int make_results(const struct cli *cli)
{
    const char *folder = ag_options_text(cli->options, AG_OPT_RESULTS_DIR);

    if (folder == NULL || mkdir(folder, 0777) == 0 || errno == EEXIST)
        return 0;
    return cli_fail(cli, EXIT_USAGE, "--results: cannot make %s: %s", folder, strerror(errno));
}

int submission_run(struct cli *cli, const struct job_source *source, print_result_fn *print)
{
    struct submission self = {
        .cli = cli, .source = source, .print = print, .idle_since = ag_clock_mono_ms()};
    int code = cli->client == NULL ? cli_connect(cli) : 0;

    if (code != 0)
        return code;
    self.payload = ag_buffer_empty(AG_PAYLOAD_BYTES_MAX);
    code = configure_job(&self);
    if (code == 0)
        code = joblog_open(&self.log, cli);
    if (code == 0)
        code = make_results(cli);
    cli_catch_signals();
    progress_start(&self.progress, cli);
    if (code == 0)
        code = open_batch(&self);
    if (code == 0) {
        code = follow(&self);
        progress_clear(&self.progress);
        if (self.is_ordered)
            ordered_end(&self.ordered, cli->out);
        if (!self.is_detached && code != EXIT_NO_BROKER && code != EXIT_USAGE)
            print_report(cli, argosy_batch_report(self.batch), true);
        if (self.then != NULL && !argosy_report_is_empty(argosy_batch_report(self.then)))
            print_report(cli, argosy_batch_report(self.then), false);
        if (self.is_unwritable && code == 0)
            code = EXIT_SOME_FAILED;
        if (self.is_cancelled)
            code = EXIT_INTERRUPTED;
    }
    if (joblog_close(&self.log, cli) != 0 && code == 0)
        code = EXIT_SOME_FAILED;
    splits_fini(&self.splits);
    argosy_batch_destroy(&self.then);
    argosy_batch_destroy(&self.batch);
    ag_buffer_free(&self.payload);
    return code;
}
