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
    [JOB_QUEUED] = TO(RUNNING) | TO(FAILED) | TO(CANCELLED),
    [JOB_RUNNING] = TO(SCHEDULED) | TO(QUEUED) | TO(CANCELLING) | TO(SUCCEEDED) | TO(FAILED),
    [JOB_CANCELLING] = TO(CANCELLED),
    [JOB_SUCCEEDED] = 0,
    [JOB_FAILED] = 0,
    [JOB_CANCELLED] = 0,
};
#undef TO

struct job *job_find(const core_t *self, const struct ag_id *id)
{
    struct ag_map_node *node = ag_map_find(&self->jobs, id);

    return node ? AG_OWNER(node, struct job, node) : NULL;
}

bool job_is_held(const struct job *job)
{
    return job->state == JOB_RUNNING || job->state == JOB_CANCELLING;
}

bool job_has_ended(const struct job *job)
{
    return job->state >= JOB_SUCCEEDED;
}

struct proto_token job_token(const core_t *self, const struct job *job)
{
    return (struct proto_token){
        .job = job->node.id, .epoch = self->config.epoch, .attempt = job->attempt};
}

uint64_t job_bytes(const struct job *job)
{
    return sizeof *job + job->payload.size + job->result.size +
           (job->error_is_constant ? 0 : job->error.size);
}

struct job *job_new(const struct proto_submit_job *spec, struct lane *lane)
{
    struct job *job = calloc(1, sizeof *job);
    bool failed = false;

    if (job == NULL)
        return NULL;
    job->node.id = spec->id;
    ag_link_init(&job->link);
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
                                   .cap_ms = spec->retry.cap_ms};
    job->index = spec->index;
    job->run_limit_ms = spec->run_ms;
    job->queue_limit_ms = spec->queue_ms;
    job->grace_ms = spec->grace_ms;
    if (failed) {
        free((void *)job->payload.data);
        free(job->selectors);
        free(job);
        return NULL;
    }
    return job;
}

static void free_attempt(struct attempt *attempt)
{
    if (attempt == NULL)
        return;
    name_unref(&attempt->worker);
    free(attempt->owned);
    free(attempt);
}

/* Out of every list and table, whatever its state. */
void job_free(core_t *self, struct job *job)
{
    struct attempt *next;

    ag_heap_stop(&self->timers, &job->timer.heap);
    ag_link_remove(&job->link);
    ag_link_remove(&job->member);
    ag_map_remove(&self->jobs, &job->node);
    for (struct attempt *attempt = job->attempts; attempt != NULL; attempt = next) {
        next = attempt->next;
        free_attempt(attempt);
    }
    free_attempt(job->spare);
    name_unref(&job->worker_name);
    free((void *)job->payload.data);
    free((void *)job->result.data);
    if (!job->error_is_constant)
        free((void *)job->error.data);
    free(job->selectors);
    free(job);
}

static void queue_up(core_t *self, struct job *job)
{
    ag_list_append(&job->lane->jobs, &job->link);
    job->lane->kind->queued++;
    lane_update(job->lane);
    if (job->queue_limit_ms > 0)
        core_set_timer(self, &job->timer, self->now + job->queue_limit_ms);
}

/* A payload is kept only where nothing else says what the job was about. */
static void drop_payload(core_t *self, struct job *job)
{
    if (job->state == JOB_FAILED && job->error_is_constant)
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
    ag_link_remove(&job->member);
    if (job->watches_count > 0)
        watch_job_ended(self, job);
    if (group != NULL)
        group_on_job_end(self, group, job);
    else
        core_set_timer(self, &job->timer, self->now + self->config.result_ttl_ms);
}

static void tell_to_stop(core_t *self, struct job *job)
{
    core_emit(self, EFFECT_STOP, job->worker->peer)->token = job_token(self, job);
    core_set_timer(self, &job->timer, self->now + job->grace_ms);
}

/* What must happen on the way in happens here, so no caller can forget it. */
static void arrive(core_t *self, struct job *job)
{
    switch (job->state) {
    case JOB_SCHEDULED: /* the caller sets the timer: it knows when */
        break;
    case JOB_QUEUED:
        queue_up(self, job);
        break;
    case JOB_RUNNING:
        job->attempt++;
        break;
    case JOB_CANCELLING:
        core_journal(self, RECORD_CANCEL, job, NULL);
        if (job->lane->group != NULL)
            ag_list_append(&job->lane->group->stopping, &job->member);
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

/* The only place where a job changes its state. */
void job_enter(core_t *self, struct job *job, enum job_state next)
{
    char id[AG_ID_TEXT_SIZE];
    enum job_state last = job->state;

    AG_ASSERT(job_may[last] & (1u << next));
    core_tracef(self, "        job %s: %s -> %s", ag_id_print(&job->node.id, id),
                job_state_name(last), job_state_name(next));
    self->states[last]--;
    self->states[next]++;
    ag_heap_stop(&self->timers, &job->timer.heap);
    if (last == JOB_QUEUED) {
        job->lane->kind->queued--;
        job->queued_ms += (uint32_t)(self->now - job->since);
        if (next != JOB_RUNNING) { /* then it went into its worker's list */
            ag_link_remove(&job->link);
            lane_update(job->lane);
        }
    }
    if ((last == JOB_RUNNING || last == JOB_CANCELLING) && next != JOB_CANCELLING)
        lease_release(self, job);
    job->state = next;
    job->since = self->now;
    if (job->lane->group != NULL) {
        group_count(job->lane->group, last, -1);
        group_count(job->lane->group, next, 1);
    }
    arrive(self, job);
}

/* A new job: the first state, which nothing precedes. Everything it needs has been reserved. */
void job_accept(core_t *self, struct job *job, uint32_t delay_ms)
{
    struct group *group = job->lane->group;
    char id[AG_ID_TEXT_SIZE];

    if (job->grace_ms == 0)
        job->grace_ms = self->config.grace_ms;
    ag_map_add(&self->jobs, &job->node);
    self->bytes += job_bytes(job);
    self->counters.submitted++;
    job->since = self->now;
    job->state = delay_ms > 0 ? JOB_SCHEDULED : JOB_QUEUED;
    self->states[job->state]++;
    core_tracef(self, "        job %s: %s", ag_id_print(&job->node.id, id),
                job_state_name(job->state));
    core_journal(self, RECORD_JOB, job, NULL);
    if (group != NULL) {
        group->counts.total++;
        group_count(group, job->state, 1);
        ag_list_append(&group->live, &job->member);
    }
    if (delay_ms > 0)
        core_set_timer(self, &job->timer, self->now + delay_ms);
    else
        queue_up(self, job);
    if (group != NULL && group->cancelling)
        job_enter(self, job, JOB_CANCELLED); /* it came too late, but it is accounted for */
}

void job_cancel(core_t *self, struct job *job)
{
    if (job->state == JOB_RUNNING)
        job_enter(self, job, JOB_CANCELLING);
    else if (!job_is_held(job) && !job_has_ended(job))
        job_enter(self, job, JOB_CANCELLED);
}

void job_forget(core_t *self, struct job *job)
{
    AG_ASSERT(job_has_ended(job));
    if (job->watches_count > 0)
        watch_forget_job(self, job);
    core_journal(self, RECORD_FORGET, job, NULL);
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
    case JOB_QUEUED: {
        const struct ag_buffer *error = &self->constants[CONSTANT_TIMEOUT_QUEUE];

        job->error = ag_buffer_bytes(error);
        job->error_is_constant = true;
        job_enter(self, job, JOB_FAILED);
        break;
    }
    case JOB_CANCELLING: /* the worker is alive and has not confirmed: say it again */
        tell_to_stop(self, job);
        break;
    case JOB_SUCCEEDED:
    case JOB_FAILED:
    case JOB_CANCELLED:
        if (job->watches_count > 0) /* someone is still reading */
            core_set_timer(self, &job->timer, self->now + self->config.result_ttl_ms);
        else
            job_forget(self, job);
        break;
    case JOB_RUNNING:
    case JOB_STATES_COUNT:
        AG_ASSERT(false && "a timer in this state");
    }
}
