/* The life of a job: its states, what may follow which, and what happens on the way in. */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/assert.h"

const char *job_state_name(enum job_state state)
{
    static const char *const names[] = {
#define X(name, text, meaning) [JOB_##name] = text,
        JOB_STATES(X)
#undef X
    };
    return names[state];
}

/* Read a row as "from here a job may go to"; anything else is a bug of ours. doc/protocol.md
 * section 5 shows it as a picture. */
#define TO(state) (1u << JOB_##state)
static const unsigned job_may[JOB_STATES_COUNT] = {
    [JOB_SCHEDULED] = TO(QUEUED) | TO(CANCELLED),
    /* a group's place in its parent, and a job that joined another, end with what they wait for */
    [JOB_BLOCKED] =
        TO(SCHEDULED) | TO(QUEUED) | TO(CANCELLING) | TO(SUCCEEDED) | TO(FAILED) | TO(CANCELLED),
    [JOB_QUEUED] = TO(RUNNING) | TO(FAILED) | TO(CANCELLED),
    [JOB_RUNNING] = TO(SCHEDULED) | TO(QUEUED) | TO(CANCELLING) | TO(SUCCEEDED) | TO(FAILED),
    [JOB_CANCELLING] = TO(CANCELLED),
    [JOB_SUCCEEDED] = 0,
    [JOB_FAILED] = 0,
    [JOB_CANCELLED] = 0,
};
#undef TO

struct job *job_find(core_t *self, const struct ag_id *id)
{
    struct job *job = job_find_awake(self, id);

    return job != NULL ? job : sleep_wake(self, id);
}

bool job_is_known(const core_t *self, const struct ag_id *id)
{
    return job_find_awake(self, id) != NULL || sleep_knows(self, id);
}

struct job *job_find_awake(const core_t *self, const struct ag_id *id)
{
    struct ag_map_node *node = ag_map_find(&self->jobs, id);

    return node ? AG_OWNER(node, struct job, node) : NULL;
}

bool job_is_held(const struct job *job)
{
    return job->worker != NULL;
}

bool job_is_place(const struct job *job)
{
    return job->is_place;
}

bool job_is_suspect(const struct job *job)
{
    return job->losses >= SUSPECT_LOSSES;
}

bool job_has_ended(const struct job *job)
{
    return job->state >= JOB_SUCCEEDED;
}

bool job_has_begun(const struct job *job)
{
    return job->attempt > 0 && (job->extra == NULL || job->extra->mode != WAIT_JOIN);
}

struct proto_token job_token(const struct job *job)
{
    return (struct proto_token){.job = job->node.id, .epoch = job->epoch, .attempt = job->attempt};
}

uint64_t job_bytes(const struct job *job)
{
    return sizeof *job + job->payload.size + job->result.size +
           (job->error_is_constant ? 0 : job->error.size);
}

struct extra *job_extra(struct job *job)
{
    struct extra *extra = job->extra;

    if (extra != NULL)
        return extra;
    extra = calloc(1, sizeof *extra);
    if (extra == NULL)
        return NULL;
    ag_link_init(&extra->waits);
    ag_link_init(&extra->waiters);
    ag_link_init(&extra->settle);
    job->extra = extra;
    return extra;
}

struct job *job_new(core_t *self, const struct proto_submit_job *spec, struct lane *lane)
{
    struct job *job = calloc(1, sizeof *job);
    bool failed = false;

    if (job == NULL)
        return NULL;
    job->node.id = spec->id;
    ag_link_init(&job->all);
    ag_link_init(&job->link);
    ag_link_init(&job->load);
    ag_link_init(&job->member);
    ag_link_init(&job->watches);
    job->timer.owner = TIMER_JOB;
    job->lane = lane;
    job->payload = bytes_copy(spec->payload, &failed);
    if (spec->retry.selectors.size > 0)
        job->selectors = text_copy(spec->retry.selectors, &failed);
    job->retry = (struct ag_retry){.attempts = spec->retry.attempts,
                                   .base_ms = spec->retry.base_ms,
                                   .factor_percent = spec->retry.factor_percent,
                                   .cap_ms = spec->retry.cap_ms,
                                   .budget_percent = spec->retry.budget_percent};
    job->index = spec->index;
    job->run_limit_ms = spec->run_ms;
    job->queue_limit_ms = spec->queue_ms;
    job->grace_ms = spec->grace_ms;
    job->ttl_ms = spec->ttl_ms;
    job->key_max = spec->key_max;
    job->key_delay_ms = spec->key_delay_ms;
    if (spec->key.size > 0)
        failed = (job->key = key_of(self, spec->key)) == NULL || failed;
    if (failed) {
        job_drop(self, job);
        return NULL;
    }
    return job;
}

struct job *place_new(core_t *self, const struct ag_id *id, struct group *parent)
{
    struct proto_submit_job spec = {.id = *id, .retry.attempts = 1};
    struct kind *kind = kind_of(self, ag_bytes_of_text("group"));
    struct queue *queue = queue_of(self, ag_bytes_of_text("group"));
    struct lane *lane;
    struct job *place;

    if (kind == NULL || queue == NULL || group_reserve(parent, 2 * AG_MESSAGE_ITEMS_MAX) < 0 ||
        (lane = lane_of(self, kind, queue, parent, AG_PRIORITY_DEFAULT, ag_bytes_of_text(""))) ==
            NULL ||
        (place = job_new(self, &spec, lane)) == NULL)
        return NULL;
    place->is_place = true;
    if (job_extra(place) == NULL) {
        job_drop(self, place);
        return NULL;
    }
    return place;
}

void job_describe(const struct job *job, struct proto_submit_job *out)
{
    const struct extra *extra = job->extra;
    const struct lane *lane = job->lane;
    static const enum proto_unique policies[] = {
        [WAIT_JOIN] = PROTO_UNIQUE_JOIN, [WAIT_REPLACE] = PROTO_UNIQUE_REPLACE};

    *out = (struct proto_submit_job){
        .id = job->node.id,
        .index = job->index,
        .kind = ag_bytes_of_text(lane->kind->name),
        .run_ms = job->run_limit_ms,
        .queue_ms = job->queue_limit_ms,
        .grace_ms = job->grace_ms,
        .retry = {.attempts = job->retry.attempts,
                  .base_ms = job->retry.base_ms,
                  .cap_ms = job->retry.cap_ms,
                  .factor_percent = job->retry.factor_percent,
                  .budget_percent = job->retry.budget_percent,
                  .selectors = ag_bytes_of_text(job->selectors != NULL ? job->selectors : "")},
        .payload = job->payload.data != NULL ? job->payload : ag_bytes_of_text(""),
        .priority = lane->priority,
        .queue = ag_bytes_of_text(lane->queue->name),
        .key = ag_bytes_of_text(job->key != NULL ? job->key->text : ""),
        .key_max = job->key_max,
        .key_delay_ms = job->key_delay_ms,
        .requires = ag_bytes_of_text(lane->requires),
        .ttl_ms = job->ttl_ms,
    };
    if (lane->group != NULL)
        out->group = lane->group->node.id;
    if (extra == NULL)
        return;
    out->after_any = extra->mode == WAIT_ANY;
    if (extra->mode == WAIT_JOIN || extra->mode == WAIT_REPLACE)
        out->unique_policy = policies[extra->mode];
    if (extra->unique != NULL)
        out->unique = ag_bytes_of_text(extra->unique->text);
}

void job_append_attempt(const struct attempt *attempt, struct ag_buffer *out)
{
    ag_proto_append_attempt(
        out, &(struct proto_attempt){.attempt = attempt->attempt,
                                     .worker = ag_bytes_of_text(attempt->worker->text),
                                     .started_unix_ms = attempt->started_unix_ms,
                                     .run_ms = attempt->run_ms,
                                     .type = ag_bytes_of_text(attempt->type),
                                     .message = ag_bytes_of_text(attempt->message)});
}

static void free_attempt(struct attempt *attempt)
{
    if (attempt == NULL)
        return;
    name_unref(&attempt->worker);
    free(attempt->owned);
    free(attempt);
}

static void free_extra(core_t *self, struct job *job)
{
    struct extra *extra = job->extra;

    if (extra == NULL)
        return;
    if (extra->inside != NULL)
        extra->inside->place = NULL;
    unique_drop(self, job);
    wait_drop_all(job);
    while (!ag_list_is_empty(&extra->waiters)) { /* only when everything goes */
        struct wait *wait = AG_OWNER(extra->waiters.next, struct wait, of_target);

        wait->job = NULL;
        ag_link_remove(&wait->of_target);
    }
    ag_link_remove(&extra->settle);
    free(extra);
    job->extra = NULL;
}

void job_drop_attempts(struct job *job)
{
    struct attempt *next;

    for (struct attempt *attempt = job->attempts; attempt != NULL; attempt = next) {
        next = attempt->next;
        free_attempt(attempt);
    }
    job->attempts = NULL;
}

/* What it owns, and itself. */
void job_drop(core_t *self, struct job *job)
{
    job_drop_attempts(job);
    free_attempt(job->spare);
    name_unref(&job->worker_name);
    free((void *)job->payload.data);
    free((void *)job->result.data);
    if (!job->error_is_constant)
        free((void *)job->error.data);
    free(job->selectors);
    free_extra(self, job);
    if (job->key != NULL)
        key_unref(self, job->key);
    free(job);
}

/* Out of every list and table, whatever its state. */
void job_free(core_t *self, struct job *job)
{
    ag_heap_stop(&self->timers, &job->timer.heap);
    if (self->woken_last == job)
        self->woken_last =
            job->all.prev != &self->all_jobs ? AG_OWNER(job->all.prev, struct job, all) : NULL;
    ag_link_remove(&job->all);
    ag_link_remove(&job->load);
    ag_link_remove(&job->link);
    ag_link_remove(&job->member);
    if (!job_is_place(job))
        ag_map_remove(&self->jobs, &job->node);
    job_drop(self, job);
}

static void queue_up(core_t *self, struct job *job)
{
    job->lane->kind->queued++;
    demand_queue(self, job->lane, 1);
    if (job_is_suspect(job)) {
        ag_list_append(&job->lane->kind->suspects, &job->link);
        sleep_want_payload(self, job);
    } else if (!sleep_line_up(self, job)) {
        lane_append(self, job->lane, job);
    }
    if (job->queue_limit_ms > 0)
        core_set_timer(self, &job->timer, self->now + job->queue_limit_ms);
}

/* What succeeded needs it no more; what did not may be tried again (VERB_RETRY). */
static void drop_payload(core_t *self, struct job *job)
{
    if (job->state != JOB_SUCCEEDED)
        return;
    self->bytes -= job->payload.size;
    free((void *)job->payload.data);
    job->payload = (struct ag_bytes){0};
}

static void end(core_t *self, struct job *job)
{
    struct group *group = job->lane->group;

    drop_payload(self, job);
    job->ended_record = core_journal(self, RECORD_END, job, NULL);
    job->is_early = !job->is_place && queue_is_relaxed(self, job->lane->queue);
    ag_link_remove(&job->member);
    results_on_end(self, job);
    if (job->watches_count > 0)
        watch_all_due(self, &job->watches);
    if (job->extra != NULL) {
        unique_drop(self, job);
        wait_drop_all(job);
        wait_on_job_end(self, job);
    }
    if (group != NULL) {
        group_on_job_end(self, group, job);
    } else {
        uint32_t ttl_ms = job->ttl_ms > 0 ? job->ttl_ms : self->config.result_ttl_ms;

        self->ungrouped_live--;
        core_set_timer(self, &job->timer, self->now + (ttl_ms > 0 ? ttl_ms : 1));
    }
}

/* Within its grace the worker has to confirm, and a few heartbeats are for the way. Nobody holds a
 * job that was restored: its worker has as long to come back. */
static void tell_to_stop(core_t *self, struct job *job)
{
    int64_t silence_ms = SILENT_BEATS * (int64_t)self->config.heartbeat_ms;

    if (job->worker != NULL && !self->restoring)
        core_emit(self, EFFECT_STOP, job->worker->peer)->token = job_token(job);
    core_set_timer(self, &job->timer, self->now + job->grace_ms + silence_ms);
}

/* What must happen on the way in happens here, so no caller can forget it. */
static void arrive(core_t *self, struct job *job)
{
    switch (job->state) {
    case JOB_SCHEDULED: /* the caller sets the timer: it knows when */
    case JOB_BLOCKED:
        break;
    case JOB_QUEUED:
        queue_up(self, job);
        break;
    case JOB_RUNNING:
        key_on_begin(self, job);
        if (job->lane->group != NULL)
            group_on_begin(self, job->lane->group);
        break;
    case JOB_CANCELLING:
        core_journal(self, RECORD_CANCEL, job, NULL);
        if (job->lane->group != NULL)
            ag_list_append(&job->lane->group->swept, &job->member);
        if (!job_is_place(job)) /* that ends with its group */
            tell_to_stop(self, job);
        break;
    case JOB_SUCCEEDED:
    case JOB_FAILED:
    case JOB_CANCELLED:
        end(self, job);
        break;
    case JOB_STATES_COUNT:
        AG_ASSERT(false && "a state");
    }
}

static void leave_queue(core_t *self, struct job *job, enum job_state next)
{
    job->lane->kind->queued--;
    demand_queue(self, job->lane, -1);
    job->queued_ms += (uint32_t)(self->now - job->since);
    sleep_leave_line(job);
    lane_leave(self, job);
    if (next != JOB_RUNNING) { /* then it went into its worker's list */
        ag_link_remove(&job->link);
        lane_update(self, job->lane);
    }
}

static void count(core_t *self, struct job *job, enum job_state last, enum job_state next)
{
    struct lane *lane = job->lane;

    self->states[last]--;
    self->states[next]++;
    queue_count(lane->queue, last, -1);
    queue_count(lane->queue, next, 1);
    if (lane->queue->limit > 0)
        queue_update(self, lane->queue);
    if (lane->group != NULL) {
        group_count(self, lane->group, last, -1);
        group_count(self, lane->group, next, 1);
    }
}

/* The only place where a job changes its state. */
void job_enter(core_t *self, struct job *job, enum job_state next)
{
    char id[AG_ID_TEXT_SIZE];
    enum job_state last = job->state;
    bool ends_lease = last != JOB_QUEUED && job->worker != NULL && next != JOB_CANCELLING;

    /* What led to a record is not all in the journal: how a job got from its queue to its end. */
    AG_ASSERT(job_may[last] & (1u << next) || (self->restoring && !job_has_ended(job)));
    if (self->trace != NULL)
        core_tracef(self, "        job %s: %s -> %s", ag_id_print(&job->node.id, id),
                    job_state_name(last), job_state_name(next));
    ag_heap_stop(&self->timers, &job->timer.heap);
    if (last == JOB_QUEUED)
        leave_queue(self, job, next);
    else if (ends_lease)
        lease_release(job);
    count(self, job, last, next);
    job->state = next;
    job->since = self->now;
    if (last == JOB_QUEUED || ends_lease)
        key_on_leave(self, job, last);
    arrive(self, job);
    happen_job(self, job);
}

static enum job_state first_state(const core_t *self, const struct job *job, int64_t due_at)
{
    if (job->extra != NULL && (job->extra->open_count > 0 || job->is_place))
        return JOB_BLOCKED;
    return due_at > self->now ? JOB_SCHEDULED : JOB_QUEUED;
}

static void settle_in(core_t *self, struct job *job, int64_t due_at)
{
    if (job->state == JOB_QUEUED)
        queue_up(self, job);
    else if (job->state == JOB_SCHEDULED)
        core_set_timer(self, &job->timer, due_at);
    else
        job->due_at = due_at;
}

/* A new job: the first state, which nothing precedes. Everything it needs has been reserved. */
void job_accept(core_t *self, struct job *job, int64_t due_at)
{
    struct group *group = job->lane->group;
    char id[AG_ID_TEXT_SIZE];

    if (job->grace_ms == 0)
        job->grace_ms = self->config.grace_ms;
    if (!job_is_place(job))
        ag_map_add(&self->jobs, &job->node);
    ag_list_append(&self->all_jobs, &job->all);
    self->bytes += job_bytes(job);
    self->counters.submitted++;
    job->since = self->now;
    job->due_at = due_at;
    job->state = first_state(self, job, due_at);
    self->states[job->state]++;
    queue_count(job->lane->queue, job->state, 1);
    if (self->trace != NULL)
        core_tracef(self, "        job %s: %s", ag_id_print(&job->node.id, id),
                    job_state_name(job->state));
    job->number = core_journal(self, RECORD_JOB, job, NULL);
    if (group != NULL) {
        group->counts.total++;
        group_count(self, group, job->state, 1);
        ag_list_append(&group->live, &job->member);
    } else {
        self->ungrouped_live++;
    }
    settle_in(self, job, due_at);
    happen_job(self, job);
    /* One that comes too late is accounted for: the sweep takes it before anything begins. */
    if (group != NULL && group->cancelling && !self->restoring)
        ag_list_append(&self->sweeps, &group->sweep);
}

void job_cancel(core_t *self, struct job *job)
{
    if (job->state == JOB_RUNNING) {
        job_enter(self, job, JOB_CANCELLING);
    } else if (job_is_place(job) && job->state == JOB_BLOCKED) {
        job_enter(self, job, JOB_CANCELLING);
        group_cancel(self, job->extra->inside, "cancelled", false);
    } else if (job->state < JOB_RUNNING) {
        job_enter(self, job, JOB_CANCELLED);
    }
}

void job_fail(core_t *self, struct job *job, enum constant constant)
{
    job->error = ag_buffer_bytes(&self->constants[constant]);
    job->error_is_constant = true;
    job_enter(self, job, JOB_FAILED);
}

void job_requeue(core_t *self, struct job *job)
{
    const struct group *group = job->lane->group;

    job_enter(self, job, JOB_QUEUED);
    if (group != NULL && group->cancelling)
        job_cancel(self, job);
}

static void journal_forget(core_t *self, const struct job *job)
{
    struct effect *effect = core_journal_forget(self, SUBJECT_JOB, &job->node.id);

    effect->journal.number = job->number;
    effect->journal.ended = job->ended_record;
    effect->journal.group_number = job->lane->group != NULL ? job->lane->group->number : 0;
    effect->journal.gone = core_gone_of(job);
}

void job_forget(core_t *self, struct job *job)
{
    AG_ASSERT(job_has_ended(job));
    watch_forget(self, &job->watches);
    if (!job_is_place(job)) /* that goes with its group */
        journal_forget(self, job);
    results_forget(job);
    self->states[job->state]--;
    self->counters.deleted++;
    self->bytes -= job_bytes(job);
    job_free(self, job);
}

void job_on_timer(core_t *self, struct job *job)
{
    switch (job->state) {
    case JOB_SCHEDULED:
        job_enter(self, job, JOB_QUEUED);
        break;
    case JOB_QUEUED:
        job_fail(self, job, CONSTANT_TIMEOUT_QUEUE);
        break;
    case JOB_CANCELLING: /* its worker has not confirmed in time */
        if (job->worker != NULL)
            lease_revoke(self, job);
        else
            job_enter(self, job, JOB_CANCELLED); /* restored, and nobody came back with it */
        break;
    case JOB_SUCCEEDED:
    case JOB_FAILED:
    case JOB_CANCELLED:
        if (watch_is_wanted(&job->watches) || wait_is_wanted(job)) /* someone is still reading */
            core_set_timer(self, &job->timer, self->now + self->config.result_ttl_ms + 1);
        else
            job_forget(self, job);
        break;
    case JOB_BLOCKED:
    case JOB_RUNNING:
    case JOB_STATES_COUNT:
        AG_ASSERT(false && "a timer in this state");
    }
}
