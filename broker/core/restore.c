/* Records of the journal become state again: what core_restore() takes in order makes the core that
 * wrote them, but for what runs: that is queued again until its worker comes back with it. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/core/record.h"
#include "broker/core/state.h"
#include "common/assert.h"
#include "common/error.h"

static int64_t at_of(const core_t *self, uint64_t unix_ms)
{
    return (int64_t)unix_ms - self->config.unix_offset_ms;
}

/* Of what has happened: the clock may have been set back since. */
static int64_t past_of(const core_t *self, uint64_t unix_ms)
{
    int64_t at = at_of(self, unix_ms);

    return at < self->now ? at : self->now;
}

/* Of what was to wait from one time to another: it waits no longer than that from now on, whatever
 * was done to the clock. */
static int64_t due_of(const core_t *self, uint64_t since_unix_ms, uint64_t due_unix_ms)
{
    int64_t due = at_of(self, due_unix_ms);
    int64_t wait = due_unix_ms > since_unix_ms ? (int64_t)(due_unix_ms - since_unix_ms) : 0;

    return due < self->now + wait || PLANTED(WAIT_LONGER) ? due : self->now + wait;
}

static int unsound(struct argosy_error *err, const char *what)
{
    return ag_fail(err, ARGOSY_EPROTO, "the journal is not sound: %s", what);
}

static int no_memory(struct argosy_error *err)
{
    return ag_fail(err, ARGOSY_ENOMEM, "no memory for what the journal holds");
}

static int restore_group(core_t *self, const struct record *record, struct argosy_error *err)
{
    const struct proto_group *spec = &record->group.spec;
    /* A parent is forgotten before what is in it: then this one stands alone. */
    struct group *parent =
        record->group.parent > 0 ? group_find(self, &record->group.spec.parent) : NULL;
    struct job *place = NULL;
    struct group *group;

    if (group_find(self, &spec->id) != NULL)
        return unsound(err, "a group that is there already");
    if (parent != NULL && (place = place_new(self, &spec->id, parent)) == NULL)
        return no_memory(err);
    group = group_new(spec);
    if (group == NULL) {
        if (place != NULL)
            job_drop(self, place);
        return no_memory(err);
    }
    group_accept(self, group, place, spec->deadline_ms);
    group->accepted_at = past_of(self, record->group.accepted_unix_ms);
    if (spec->deadline_ms > 0) {
        int64_t due = group->accepted_at + spec->deadline_ms;

        core_set_timer(self, &group->timer, due > self->now ? due : self->now);
    }
    return 0;
}

/* Members that a store has forgotten, all at once: they come before those that are still there. */
static int restore_gone(core_t *self, const struct record *record, struct argosy_error *err)
{
    const struct core_gone *gone = &record->gone;
    uint64_t count = gone->succeeded + gone->failed + gone->cancelled;
    struct group *group = group_find(self, &record->id);

    if (group == NULL || group->counts.total > 0)
        return unsound(err, "what is gone of a group that is not there, or not new");
    if (group_reserve(group, count) < 0)
        return no_memory(err);
    for (uint64_t i = 0; i < count; i++)
        group->ended[i] = NULL;
    group->ended_count = group->released_count = count;
    group->counts.total = count;
    group->counts.succeeded = gone->succeeded;
    group->counts.failed = gone->failed;
    group->counts.cancelled = gone->cancelled;
    group->counts.retried = gone->retried;
    group->counts.unconfirmed = gone->unconfirmed;
    group->busy_ms = gone->busy_ms;
    self->counters.submitted += count;
    self->counters.deleted += count;
    return 0;
}

static int restore_waits(core_t *self, struct job *job, struct ag_bytes ids)
{
    for (size_t at = 0; at < ids.size; at += sizeof(struct ag_id)) {
        struct ag_id id;
        struct job *other;
        struct group *group;

        memcpy(&id, ids.data + at, sizeof id);
        other = job_find(self, &id);
        group = other == NULL ? group_find(self, &id) : NULL;
        /* What is gone was forgotten after the job had ended, as a later record says. */
        if ((other != NULL || group != NULL) && wait_add(job, other, group) < 0)
            return ARGOSY_ENOMEM;
    }
    return 0;
}

static int restore_job(core_t *self, const struct record *record, struct argosy_error *err)
{
    const struct proto_submit_job *spec = &record->job.spec;
    struct group *group = NULL;
    struct kind *kind;
    struct queue *queue;
    struct lane *lane;
    struct job *job;

    if (job_is_known(self, &spec->id))
        return unsound(err, "a job that is there already");
    if (!ag_id_is_zero(&spec->group) && (group = group_find(self, &spec->group)) == NULL)
        return unsound(err, "a job of a group that is not there");
    if ((kind = kind_of(self, spec->kind)) == NULL ||
        (queue = queue_of(self, spec->queue)) == NULL ||
        (lane = lane_of(self, kind, queue, group, spec->priority, spec->requires)) == NULL ||
        (group != NULL && group_reserve(group, 1) < 0) || (job = job_new(self, spec, lane)) == NULL)
        return no_memory(err);
    if (restore_waits(self, job, spec->after) < 0 ||
        (spec->unique.size > 0 && unique_make(job, spec->unique) < 0) ||
        (record->job.mode == WAIT_JOIN && job_extra(job) == NULL)) {
        job_drop(self, job);
        return no_memory(err);
    }
    if (job->extra != NULL) {
        job->extra->mode = (enum wait_mode)record->job.mode;
        if (job->extra->unique != NULL)
            unique_take(self, job);
    }
    job_accept(self, job, due_of(self, record->job.since_unix_ms, record->job.due_unix_ms));
    job->since = past_of(self, record->job.since_unix_ms);
    if (job->extra != NULL)
        wait_begin(self, job);
    return 0;
}

static struct attempt *attempt_read(const struct proto_attempt *read)
{
    struct attempt *attempt = calloc(1, sizeof *attempt);

    if (attempt == NULL || (attempt->worker = name_new(read->worker)) == NULL ||
        (attempt->owned = malloc(read->type.size + read->message.size + 2)) == NULL) {
        if (attempt != NULL)
            name_unref(&attempt->worker);
        free(attempt);
        return NULL;
    }
    sprintf(attempt->owned, "%.*s%c%.*s", AG_TEXT(read->type), '\0', AG_TEXT(read->message));
    attempt->type = attempt->owned;
    attempt->message = attempt->owned + read->type.size + 1;
    attempt->attempt = read->attempt;
    attempt->started_unix_ms = read->started_unix_ms;
    attempt->run_ms = read->run_ms;
    return attempt;
}

/* The list, newest first, in the place of what was there. */
static int restore_attempts(struct job *job, uint32_t count, struct ag_bytes attempts)
{
    struct attempt **end = &job->attempts;
    struct proto_attempt read;

    job_drop_attempts(job);
    for (; count > 0 && ag_proto_next_attempt(&attempts, &read); count--) {
        if ((*end = attempt_read(&read)) == NULL)
            return ARGOSY_ENOMEM;
        end = &(*end)->next;
    }
    return 0;
}

/* When the newest attempt ended; there is none only where memory was short. */
static uint64_t ended_unix_ms(const struct attempt *newest)
{
    return newest != NULL ? newest->started_unix_ms + newest->run_ms : UINT64_MAX;
}

static int restore_attempt(core_t *self, struct job *job, const struct record *record,
                           struct argosy_error *err)
{
    bool began_before = job_has_begun(job);
    uint32_t failures_before = job->failures;

    if (job_has_ended(job))
        return unsound(err, "an attempt of what has ended");
    if (restore_attempts(job, record->attempt.attempts_count, record->attempt.attempts) < 0)
        return no_memory(err);
    job->attempt = record->attempt.attempt;
    job->failures = record->attempt.failures;
    job->losses = record->attempt.losses;
    job->due_at = due_of(self, ended_unix_ms(job->attempts), record->attempt.due_unix_ms);
    budget_restore(job, began_before, failures_before);
    if (job->state == JOB_SCHEDULED)
        job_enter(self, job, JOB_QUEUED);
    if (job->state == JOB_QUEUED) { /* into the place that the new counts ask for */
        enum job_state next = job->due_at > self->now ? JOB_SCHEDULED : JOB_BLOCKED;

        job_enter(self, job, next);
        if (next == JOB_SCHEDULED)
            core_set_timer(self, &job->timer, job->due_at);
        else
            job_enter(self, job, JOB_QUEUED);
    }
    return 0;
}

/* What the group counted while it ran. */
static void count_in_group(const struct job *job)
{
    struct group *group = job->lane->group;
    struct core_gone gone = core_gone_of(job);

    if (group == NULL)
        return;
    group->counts.retried += gone.retried;
    group->counts.unconfirmed += gone.unconfirmed;
    group->busy_ms += gone.busy_ms;
}

static int restore_end(core_t *self, struct job *job, const struct record *record,
                       struct argosy_error *err)
{
    bool began_before = job_has_begun(job), failed = false;

    if (job_has_ended(job))
        return unsound(err, "an end of what has ended");
    if (!budget_is_of(job, record->end.spent))
        return unsound(err, "a budget of what the job is not in");
    job->attempt = record->end.attempt;
    job->failures = record->end.failures;
    job->losses = record->end.losses;
    job->releases = record->end.releases;
    job->queued_ms = record->end.queued_ms;
    job->run_ms = record->end.run_ms;
    job->spent = record->end.spent;
    if (!results_restore(self, job, record->end.result))
        job->result = bytes_copy(record->end.result, &failed);
    job->error = bytes_copy(record->end.error, &failed);
    if (record->end.worker.size > 0) {
        name_unref(&job->worker_name);
        failed = (job->worker_name = name_new(record->end.worker)) == NULL || failed;
    }
    failed = restore_attempts(job, record->end.attempts_count, record->end.attempts) < 0 || failed;
    self->bytes += job->result.size + job->error.size;
    if (failed)
        return no_memory(err);
    count_in_group(job);
    budget_restore(job, began_before, job->failures); /* a last failure is no retry */
    job_enter(self, job, record->end.state);
    job->since = past_of(self, record->end.since_unix_ms);
    return 0;
}

static const char *failure_constant(struct ag_bytes text)
{
    static const char *const failures[] = {"cancelled", "timeout.group", "group.successes"};

    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
        if (ag_bytes_are(text, failures[i]))
            return failures[i];
    return "";
}

static int restore_queue(core_t *self, const struct record *record, struct argosy_error *err)
{
    struct queue *queue = queue_of(self, record->queue.name);

    if (queue == NULL)
        return no_memory(err);
    queue->paused = record->queue.paused;
    queue->limit = record->queue.limit;
    queue->relaxed = record->queue.relaxed;
    queue_update(self, queue);
    return 0;
}

static int restore_schedule(core_t *self, const struct record *record, struct argosy_error *err)
{
    struct core_control control = {.id = record->id,
                                   .name = record->schedule.name,
                                   .rule = record->schedule.rule,
                                   .catch_up = record->schedule.catch_up,
                                   .job = record->schedule.job};
    uint64_t next_unix_ms = record->schedule.next_unix_ms;
    struct ag_map_node *known = ag_map_find(&self->schedules, &record->id);
    struct schedule *schedule;
    int rc = schedule_new(self, &control, &schedule, err);

    if (rc < 0)
        return rc;
    if (known != NULL) /* it has fired: this is how it stands since */
        schedule_free(self, AG_OWNER(known, struct schedule, node));
    schedule->next_unix_ms = next_unix_ms > INT64_MAX ? INT64_MAX : (int64_t)next_unix_ms;
    schedule->fired = record->schedule.fired;
    schedule_start(self, schedule);
    return 0;
}

/* With all that it holds; records of its jobs may follow, and mean nothing then. */
static void forget_group(core_t *self, struct group *group)
{
    ag_heap_stop(&self->timers, &group->timer.heap);
    group_begin_to_forget(self, group);
    if (group->ended_count > 0)
        group_release(self, group, group->ended[group->ended_count - 1]);
    ag_link_remove(&group->sweep);
    group_free(self, group);
}

static int restore_forget(core_t *self, const struct record *record, struct argosy_error *err)
{
    struct job *job = job_find(self, &record->id);
    struct group *group = group_find(self, &record->id);
    struct ag_map_node *schedule = ag_map_find(&self->schedules, &record->id);

    if (job != NULL && job->number != record->number) /* an id that was used again since */
        job = NULL;
    if (group != NULL && group->number != record->number)
        group = NULL;

    if ((job != NULL && !job_has_ended(job)) || (group != NULL && !group->is_ended))
        return unsound(err, "it forgets what has not ended");
    if (job != NULL && job->lane->group != NULL)
        group_release(self, job->lane->group, job);
    else if (job != NULL)
        job_forget(self, job);
    else if (group != NULL)
        forget_group(self, group);
    else if (schedule != NULL)
        schedule_free(self, AG_OWNER(schedule, struct schedule, node));
    return 0; /* else it was one of a group that is forgotten as a whole */
}

static int restore_of_group(core_t *self, const struct record *record, struct argosy_error *err)
{
    struct group *group = group_find(self, &record->id);

    if (group == NULL)
        return unsound(err, "news of a group that is not there");
    if (record->type == RECORD_SEAL) {
        group_seal(self, group);
    } else if (record->type == RECORD_STOP) {
        group_cancel(self, group, failure_constant(record->stop.failure), record->stop.spares);
    } else { /* RECORD_ENDED */
        if (!group_is_done(group))
            return unsound(err, "a group that has ended before its jobs");
        group_end(self, group);
        group->ended_at = past_of(self, record->ended.unix_ms);
    }
    return 0;
}

static int restore_of_job(core_t *self, const struct record *record, struct argosy_error *err)
{
    struct job *job = job_find(self, &record->id);

    if (job == NULL)
        return unsound(err, "news of a job that is not there");
    if (record->type == RECORD_ATTEMPT)
        return restore_attempt(self, job, record, err);
    if (record->type == RECORD_END)
        return restore_end(self, job, record, err);
    if (!job_has_ended(job) && job->state != JOB_CANCELLING)
        job_enter(self, job, JOB_CANCELLING);
    return 0;
}

static int restore_record(core_t *self, const struct record *record, struct argosy_error *err)
{
    switch (record->type) {
    case RECORD_GROUP:
        return restore_group(self, record, err);
    case RECORD_JOB:
        return restore_job(self, record, err);
    case RECORD_QUEUE:
        return restore_queue(self, record, err);
    case RECORD_SCHEDULE:
        return restore_schedule(self, record, err);
    case RECORD_WORKER:
        if (record->worker.has_left)
            recovery_forget(self, &record->id);
        else if (recovery_await(self, &record->id) < 0)
            return no_memory(err);
        return 0;
    case RECORD_SEAL:
    case RECORD_STOP:
    case RECORD_ENDED:
        return restore_of_group(self, record, err);
    case RECORD_CANCEL:
    case RECORD_ATTEMPT:
    case RECORD_END:
        return restore_of_job(self, record, err);
    case RECORD_FORGET:
        return restore_forget(self, record, err);
    case RECORD_GONE:
        return restore_gone(self, record, err);
    }
    return unsound(err, "not a record");
}

int core_restore(core_t *self, int64_t now, uint64_t number, const struct record *record,
                 struct argosy_error *err)
{
    int rc;

    AG_ASSERT(self->sessions.count == 0 && number >= self->records);
    if (core_reserve_timers(self, 4) < 0)
        return no_memory(err);
    self->now = now;
    self->records = self->committed = number;
    self->restoring = true;
    rc = restore_record(self, record, err);
    sleep_settle(self);
    self->restoring = false;
    self->unfinished = true; /* what was left over goes on with the first step */
    return rc;
}

void core_restored(core_t *self, uint64_t last)
{
    AG_ASSERT(self->sessions.count == 0 && last >= self->records);
    self->records = self->committed = last;
    recovery_begin(self);
}
