/* Looking at the core from outside: nothing here changes anything. */
#include "broker/core/state.h"
#include "common/assert.h"

/* ---- entries and heads of EVENTS --------------------------------------------------------------
 */

static enum proto_state ended_state(const struct job *job)
{
    AG_ASSERT(job_has_ended(job));
    return job->state == JOB_SUCCEEDED ? PROTO_JOB_SUCCEEDED
           : job->state == JOB_FAILED  ? PROTO_JOB_FAILED
                                       : PROTO_JOB_CANCELLED;
}

/* The oldest first; the list holds the newest first. */
static uint32_t append_attempts(const struct job *job, struct ag_buffer *out)
{
    const struct attempt *all[AG_ATTEMPTS_MAX + AG_LOST_MAX + 1];
    uint32_t count = 0;

    for (const struct attempt *at = job->attempts; at != NULL; at = at->next) {
        AG_ASSERT(count < sizeof all / sizeof *all);
        all[count++] = at;
    }
    for (uint32_t i = count; i > 0; i--) {
        const struct attempt *at = all[i - 1];

        ag_proto_append_attempt(
            out, &(struct proto_attempt){.attempt = at->attempt,
                                         .worker = ag_bytes_of_text(at->worker->text),
                                         .started_unix_ms = at->started_unix_ms,
                                         .run_ms = at->run_ms,
                                         .type = ag_bytes_of_text(at->type),
                                         .message = ag_bytes_of_text(at->message)});
    }
    return count;
}

void core_describe(const core_t *self, const struct job *job, uint32_t flags,
                   struct ag_buffer *attempts, struct proto_event *out)
{
    (void)self;
    ag_buffer_clear(attempts);
    *out = (struct proto_event){
        .job = job->node.id,
        .index = job->index,
        .kind = ag_bytes_of_text(job->lane->kind->name),
        .state = ended_state(job),
        .attempt = job->attempt,
        .attempts_max = job->retry.attempts + job->losses, /* a loss burns no try */
        .worker = ag_bytes_of_text(job->worker_name ? job->worker_name->text : ""),
        .queued_ms = job->queued_ms,
        .run_ms = job->run_ms,
        .error = job->error,
    };
    if (flags & PROTO_WATCH_RESULTS)
        out->result = job->result;
    if (job->state == JOB_FAILED)
        out->payload = job->payload; /* kept only if no worker described the failure */
    out->attempts_count = append_attempts(job, attempts);
    out->attempts = ag_buffer_bytes(attempts);
}

bool core_is_failure(const struct job *job)
{
    return job->state == JOB_FAILED || job->error.size > 0;
}

static void count_job(const struct job *job, struct proto_counts *counts)
{
    *counts = (struct proto_counts){.total = 1};
    switch (job->state) {
    case JOB_SCHEDULED:
    case JOB_QUEUED:
        counts->waiting = 1;
        break;
    case JOB_RUNNING:
    case JOB_CANCELLING:
        counts->running = 1;
        break;
    case JOB_SUCCEEDED:
        counts->succeeded = 1;
        break;
    case JOB_FAILED:
        counts->failed = 1;
        break;
    case JOB_CANCELLED:
    case JOB_STATES_COUNT:
        counts->cancelled = 1;
        break;
    }
    counts->retried = job->attempt > 1 ? job->attempt - 1 : 0;
}

void core_describe_target(const core_t *self, const struct effect *effect, struct proto_events *out)
{
    const struct group *group = effect->events.group;
    const struct job *job = effect->events.job;

    out->watch = effect->events.watch;
    out->cursor = effect->events.cursor;
    out->end = effect->events.end;
    out->counts = (struct proto_counts){0};
    out->failure = out->name = ag_bytes_of_text("");
    out->wall_ms = out->busy_ms = 0;
    if (group != NULL) {
        out->counts = group->counts;
        out->failure = ag_bytes_of_text(group->failure);
        out->name = ag_bytes_of_text(group->name);
        out->wall_ms =
            (uint64_t)((group->is_ended ? group->ended_at : self->now) - group->accepted_at);
        out->busy_ms = group->busy_ms;
    } else if (job != NULL) {
        count_job(job, &out->counts);
        out->name = ag_bytes_of_text(job->lane->kind->name);
        out->wall_ms = (uint64_t)job->queued_ms + job->run_ms;
        out->busy_ms = job->run_ms;
    }
}

/* ---- QUERY ------------------------------------------------------------------------------------
 */

void core_status(const core_t *self, struct core_status *out)
{
    uint64_t all = self->counters.deleted;

    *out = (struct core_status){.groups = self->groups.count,
                                .workers = self->workers,
                                .clients = self->clients,
                                .bytes = self->bytes,
                                .counters = self->counters};
    for (int state = 0; state < JOB_STATES_COUNT; state++) {
        out->jobs[state] = self->states[state];
        all += self->states[state];
    }
    out->unaccounted = (int64_t)(self->counters.submitted - all);
}

void core_each_worker(const core_t *self, void (*fn)(void *arg, const struct core_worker_view *),
                      void *arg)
{
    for (struct ag_link *at = self->all_sessions.next; at != &self->all_sessions; at = at->next) {
        const struct session *worker = AG_OWNER(at, struct session, all);
        struct core_worker_view view = {.name = worker->name->text,
                                        .host = worker->host,
                                        .software = worker->software,
                                        .tags = worker->tags,
                                        .silent_ms = self->now - worker->heard_at,
                                        .succeeded = worker->succeeded,
                                        .failed = worker->failed,
                                        .released = worker->released,
                                        .kinds_count = worker->offers_count};

        if (worker->role != PROTO_WORKER)
            continue;
        for (uint32_t i = 0; i < worker->offers_count; i++) {
            view.kinds[i].kind = worker->offers[i].kind->name;
            view.kinds[i].slots = worker->offers[i].slots;
            view.kinds[i].credit = worker->offers[i].credit;
            view.kinds[i].held = worker->offers[i].held;
        }
        fn(arg, &view);
    }
}

static const char *why_queued(const core_t *self, const struct job *job)
{
    const struct kind *kind = job->lane->kind;
    const struct group *group = job->lane->group;

    if (self->stopping)
        return "the broker is stopping and begins nothing new";
    if (self->bytes >= self->config.bytes_max)
        return "the broker's memory is full of results that nobody has taken: take or cancel "
               "them, or give it more with --memory-max";
    if (kind->offers == 0)
        return "no worker offers this kind: start one with --kinds";
    if (group != NULL && group->concurrency > 0 && group->counts.running >= group->concurrency)
        return "its batch runs as many jobs at once as its --concurrency allows";
    if (kind->idle_count == 0)
        return "every worker of this kind is busy: start more, or give them more --slots";
    return "it is about to be given out";
}

/* From a closed set, each with what would change it. */
static const char *why(const core_t *self, const struct job *job)
{
    switch (job->state) {
    case JOB_SCHEDULED:
        return job->attempt == 0 ? "its --delay is not over"
                                 : "it failed and waits before its next attempt";
    case JOB_QUEUED:
        return why_queued(self, job);
    case JOB_CANCELLING:
        return "it was told to stop and its worker has not confirmed yet";
    case JOB_RUNNING:
    case JOB_SUCCEEDED:
    case JOB_FAILED:
    case JOB_CANCELLED:
    case JOB_STATES_COUNT:
        break;
    }
    return "";
}

struct core_found core_show(const core_t *self, const struct ag_id *id, struct core_job_view *out,
                            struct core_group_view *group_out)
{
    const struct job *job = job_find(self, id);
    const struct group *group = group_find(self, id);

    if (job != NULL)
        *out = (struct core_job_view){
            .state = job_state_name(job->state),
            .kind = job->lane->kind->name,
            .worker = job->worker_name ? job->worker_name->text : "",
            .group = job->lane->group ? job->lane->group->node.id : (struct ag_id){{0}},
            .index = job->index,
            .attempt = job->attempt,
            .queued_ms = job->queued_ms + (job->state == JOB_QUEUED ? self->now - job->since : 0),
            .run_ms = job_is_held(job) ? self->now - job->since : job->run_ms,
            .why = why(self, job),
        };
    if (group != NULL)
        *group_out = (struct core_group_view){
            .name = group->name,
            .policy = group->policy == PROTO_TASKGROUP ? "taskgroup" : "gather",
            .failure = group->failure,
            .sealed = group->sealed,
            .cancelling = group->cancelling,
            .ended = group->is_ended,
            .counts = group->counts,
        };
    return (struct core_found){.job = job != NULL, .group = job == NULL && group != NULL};
}
