/* What changed, as a record of the journal. */
#include "broker/core/record.h"
#include "broker/core/state.h"

static uint64_t unix_of(const core_t *self, int64_t at)
{
    int64_t unix_ms = at + self->config.unix_offset_ms;

    return unix_ms > 0 ? (uint64_t)unix_ms : 0;
}

static void of_group(const core_t *self, const struct group *group, struct record *out)
{
    const struct ag_id none = {{0}};

    out->group.parent = group->parent != NULL ? group->parent->number : 0;
    out->group.accepted_unix_ms = unix_of(self, group->accepted_at);
    out->group.spec = (struct proto_group){
        .id = group->node.id,
        .parent = group->parent != NULL ? group->parent->node.id : none,
        .name = ag_bytes_of_text(group->name),
        .policy = group->policy,
        .failures_max = group->failures_max,
        .failures_percent = group->failures_percent,
        .successes = group->successes,
        .successes_min = group->successes_min,
        .is_gentle = group->is_gentle,
        .concurrency = group->concurrency,
        .rate_per_minute = group->rate_per_minute,
        .ttl_ms = group->ttl_ms,
        .deadline_ms = group->deadline_ms,
    };
}

/* What it still waits for, or waited for: the ids in their order. */
static struct ag_bytes waits_of(const struct job *job, struct ag_buffer *scratch)
{
    if (job->extra == NULL)
        return ag_bytes_of_text("");
    for (struct ag_link *at = job->extra->waits.next; at != &job->extra->waits; at = at->next) {
        const struct wait *wait = AG_OWNER(at, struct wait, of_waiter);

        if (wait->job != NULL || wait->group != NULL)
            ag_buffer_append(scratch,
                             wait->job != NULL ? &wait->job->node.id : &wait->group->node.id,
                             sizeof(struct ag_id));
    }
    return scratch->size > 0 ? ag_buffer_bytes(scratch) : ag_bytes_of_text("");
}

static void of_job(core_t *self, const struct job *job, struct record *out)
{
    job_describe(job, &out->job.spec);
    out->job.spec.after = waits_of(job, &self->scratch);
    out->job.group = job->lane->group != NULL ? job->lane->group->number : 0;
    out->job.mode = job->extra != NULL ? job->extra->mode : WAIT_ALL;
    out->job.since_unix_ms = unix_of(self, job->since);
    out->job.due_unix_ms = unix_of(self, job->due_at);
}

static uint32_t attempts_of(core_t *self, const struct job *job, struct ag_bytes *out)
{
    uint32_t count = 0;

    for (const struct attempt *at = job->attempts; at != NULL; at = at->next, count++)
        job_append_attempt(at, &self->scratch);
    *out = ag_buffer_bytes(&self->scratch);
    return count;
}

static void of_attempt(core_t *self, const struct job *job, struct record *out)
{
    /* The next one may have begun in the same step. */
    out->attempt.attempt = job->attempts != NULL ? job->attempts->attempt : job->attempt;
    out->attempt.failures = job->failures;
    out->attempt.losses = job->losses;
    out->attempt.due_unix_ms = unix_of(self, job->due_at);
    out->attempt.attempts_count = attempts_of(self, job, &out->attempt.attempts);
}

static void of_end(core_t *self, const struct job *job, struct record *out)
{
    out->end.state = job->state;
    out->end.attempt = job->attempt;
    out->end.failures = job->failures;
    out->end.losses = job->losses;
    out->end.releases = job->releases;
    out->end.worker = ag_bytes_of_text(job->worker_name != NULL ? job->worker_name->text : "");
    out->end.queued_ms = job->queued_ms;
    out->end.run_ms = job->run_ms;
    out->end.result = job->result;
    out->end.error = job->error;
    out->end.since_unix_ms = unix_of(self, job->since);
    out->end.attempts_count = attempts_of(self, job, &out->end.attempts);
    out->end.spent = job->spent;
}

static void of_schedule(const struct schedule *schedule, struct record *out)
{
    bool ends = schedule->next_unix_ms == INT64_MAX;

    out->id = schedule->node.id;
    out->schedule.name = ag_bytes_of_text(schedule->name);
    out->schedule.rule = schedule->rule;
    out->schedule.catch_up = schedule->catch_up;
    out->schedule.next_unix_ms = ends ? UINT64_MAX : (uint64_t)schedule->next_unix_ms;
    out->schedule.fired = schedule->fired;
    out->schedule.job = schedule->job;
}

struct core_gone core_gone_of(const struct job *job)
{
    return (struct core_gone){
        .succeeded = job->state == JOB_SUCCEEDED,
        .failed = job->state == JOB_FAILED,
        .cancelled = job->state == JOB_CANCELLED,
        .retried = job->attempt > 1 ? job->attempt - 1 : 0,
        .unconfirmed =
            job->attempts != NULL && strcmp(job->attempts->type, "lost.unconfirmed") == 0,
        .busy_ms = job->run_ms,
    };
}

void core_write_record(core_t *self, const struct effect *effect, struct ag_buffer *out)
{
    enum core_record type = effect->journal.record;
    struct record record = {
        .type = type, .id = effect->journal.id, .number = effect->journal.number};

    if ((PLANTED(CANCEL_FORGOTTEN) && (type == RECORD_STOP || type == RECORD_CANCEL)) ||
        (PLANTED(RULE_REMAINS) && effect->journal.subject == SUBJECT_SCHEDULE)) {
        record = (struct record){.type = RECORD_FORGET}; /* which changes nothing */
        record_write(&record, out);
        return;
    }
    ag_buffer_clear(&self->scratch);
    switch (type) {
    case RECORD_GROUP:
        of_group(self, effect->journal.group, &record);
        break;
    case RECORD_JOB:
        of_job(self, effect->journal.job, &record);
        break;
    case RECORD_ATTEMPT:
        of_attempt(self, effect->journal.job, &record);
        break;
    case RECORD_END:
        of_end(self, effect->journal.job, &record);
        break;
    case RECORD_STOP:
        record.stop.failure = ag_bytes_of_text(effect->journal.group->failure);
        record.stop.spares = effect->journal.group->spares;
        break;
    case RECORD_ENDED:
        record.ended.unix_ms = unix_of(self, effect->journal.group->ended_at);
        break;
    case RECORD_QUEUE:
        record.queue.name = ag_bytes_of_text(effect->journal.queue->name);
        record.queue.paused = effect->journal.queue->paused;
        record.queue.limit = effect->journal.queue->limit;
        record.queue.relaxed = effect->journal.queue->relaxed;
        break;
    case RECORD_SCHEDULE:
        of_schedule(effect->journal.schedule, &record);
        break;
    case RECORD_FORGET:
        record.forget.subject = effect->journal.subject;
        record.forget.ended = effect->journal.ended;
        record.forget.group = effect->journal.group_number;
        record.forget.gone = effect->journal.gone;
        break;
    case RECORD_WORKER:
        record.worker.name = ag_bytes_of_text(effect->journal.worker);
        record.worker.has_left = effect->journal.has_left;
        break;
    case RECORD_SEAL:
    case RECORD_CANCEL:
    case RECORD_GONE: /* a store's, not ours */
        break;
    }
    if (self->scratch.failed)
        out->failed = true;
    record_write(&record, out);
}
