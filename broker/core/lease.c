/* Who holds which attempt: giving out, results, loss. What ends a job is compared with who holds it
 * now, first thing. */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/assert.h"
#include "common/selector.h"

struct offer *offer_of(struct session *worker, const struct kind *kind)
{
    for (uint32_t i = 0; i < worker->offers_count; i++)
        if (worker->offers[i].kind == kind)
            return &worker->offers[i];
    return NULL;
}

/* The worker holds the job from now on: a new attempt. job->spare must be there. */
void lease_take(core_t *self, struct job *job, struct offer *offer)
{
    struct session *worker = offer->worker;
    struct effect *effect;

    AG_ASSERT(job->spare != NULL && offer->held < offer->credit);
    ag_list_append(&worker->held, &job->link);
    lane_update(job->lane);
    job->worker = worker;
    name_unref(&job->worker_name);
    job->worker_name = name_ref(worker->name);
    offer->held++;
    offer_update(offer);
    self->counters.dispatched++;
    if (job->attempt > 0 && job->lane->group != NULL)
        job->lane->group->counts.retried++;
    job_enter(self, job, JOB_RUNNING);
    effect = core_emit(self, EFFECT_RUN, worker->peer);
    effect->run = (struct proto_job){.token = job_token(self, job),
                                     .kind = ag_bytes_of_text(offer->kind->name),
                                     .run_ms = job->run_limit_ms,
                                     .grace_ms = job->grace_ms,
                                     .payload = job->payload};
}

/* Nobody holds it any more: the slot is free. Only for job_enter(). */
void lease_release(core_t *self, struct job *job)
{
    struct offer *offer = offer_of(job->worker, job->lane->kind);

    (void)self;
    AG_ASSERT(offer != NULL && offer->held > 0);
    ag_link_remove(&job->link);
    offer->held--;
    offer_update(offer);
    job->worker = NULL;
}

/* Put the spare record into the job's chain of causes. `type` and `message` are constants, or lie
 * in `owned`. */
static void remember_attempt(core_t *self, struct job *job, uint32_t run_ms, const char *type,
                             const char *message, char *owned)
{
    struct attempt *attempt = job->spare;

    AG_ASSERT(attempt != NULL);
    job->spare = NULL;
    *attempt = (struct attempt){
        .next = job->attempts,
        .worker = name_ref(job->worker_name),
        .started_unix_ms = (uint64_t)(self->now - run_ms + self->config.unix_offset_ms),
        .attempt = job->attempt,
        .run_ms = run_ms,
        .type = type,
        .message = message,
        .owned = owned,
    };
    job->attempts = attempt;
}

static void fail_with(core_t *self, struct job *job, enum constant constant)
{
    job->error = ag_buffer_bytes(&self->constants[constant]);
    job->error_is_constant = true;
    job_enter(self, job, JOB_FAILED);
}

/* Its worker is gone. The loss burns no try of the retry policy; too many of them are poison. */
void lease_lose(core_t *self, struct job *job)
{
    struct group *group = job->lane->group;

    self->counters.lost++;
    job->run_ms = (uint32_t)(self->now - job->since);
    remember_attempt(self, job, job->run_ms, "lost.worker", "the worker fell silent", NULL);
    if (job->state == JOB_CANCELLING) {
        job_enter(self, job, JOB_CANCELLED);
        return;
    }
    job->losses++;
    core_journal(self, RECORD_ATTEMPT, job, NULL);
    if (job->losses >= AG_LOST_MAX) {
        fail_with(self, job, CONSTANT_LOST_POISON);
        return;
    }
    job_enter(self, job, JOB_QUEUED);
    if (group != NULL && group->cancelling)
        job_cancel(self, job);
}

void on_credit(core_t *self, struct session *worker, const struct proto_credit *credit)
{
    uint32_t left = AG_SLOTS_MAX; /* what one worker may hold of all kinds together */

    for (uint32_t i = 0; i < worker->offers_count; i++) {
        struct offer *offer = &worker->offers[i];

        offer->credit = 0;
        for (uint32_t k = 0; k < credit->count; k++)
            if (ag_bytes_are(credit->kinds[k].name, offer->kind->name))
                offer->credit = credit->kinds[k].count < left ? credit->kinds[k].count : left;
        left -= offer->credit;
        core_tracef(self, "        worker %s: %s held %u of %u", worker->name->text,
                    offer->kind->name, offer->held, offer->credit);
        offer_update(offer);
    }
}

/* ---- results --------------------------------------------------------------------------------- */

/* What a result needs to keep, copied before anything changes. */
struct kept {
    struct ag_bytes result, error;
    char *texts; /* type, zero, message, zero */
};

static struct job *held_job(const core_t *self, const struct session *worker,
                            const struct proto_token *token)
{
    struct job *job = job_find(self, &token->job);

    if (job == NULL || !job_is_held(job) || job->worker != worker ||
        job->attempt != token->attempt || token->epoch != self->config.epoch)
        return NULL;
    return job;
}

static bool is_worth_a_retry(const struct job *job, const struct proto_result *result)
{
    const struct group *group = job->lane->group;

    if (job->failures + 1 >= job->retry.attempts || (group != NULL && group->cancelling))
        return false;
    if (job->selectors == NULL)
        return result->retryable;
    return ag_selector_list_matches(ag_bytes_of_text(job->selectors), result->type);
}

static int keep(const core_t *self, struct session *worker, const struct proto_result *result,
                struct kept *kept)
{
    const struct job *job = held_job(self, worker, &result->token);
    bool failed = false;

    *kept = (struct kept){0};
    if (job == NULL || job->state != JOB_RUNNING)
        return 0;
    if (result->outcome == PROTO_SUCCEEDED)
        kept->result = bytes_copy(result->result, &failed);
    if (result->outcome == PROTO_SUCCEEDED || result->outcome == PROTO_FAILED)
        kept->error = bytes_copy(result->error, &failed);
    if (result->outcome == PROTO_FAILED) {
        kept->texts = malloc(result->type.size + result->message.size + 2);
        if (kept->texts == NULL)
            failed = true;
        else
            sprintf(kept->texts, "%.*s%c%.*s", AG_TEXT(result->type), '\0',
                    AG_TEXT(result->message));
    }
    return failed ? ARGOSY_ENOMEM : 0;
}

static void drop(struct kept *kept)
{
    free((void *)kept->result.data);
    free((void *)kept->error.data);
    free(kept->texts);
    *kept = (struct kept){0};
}

static void on_success(core_t *self, struct session *worker, struct job *job, struct kept *kept)
{
    worker->succeeded++;
    job->result = kept->result;
    job->error = kept->error;
    self->bytes += job->result.size + job->error.size;
    *kept = (struct kept){0};
    job_enter(self, job, JOB_SUCCEEDED);
}

static void on_failure(core_t *self, struct session *worker, struct job *job,
                       const struct proto_result *result, struct kept *kept)
{
    bool again = is_worth_a_retry(job, result);

    worker->failed++;
    remember_attempt(self, job, result->run_ms, kept->texts, kept->texts + strlen(kept->texts) + 1,
                     kept->texts);
    kept->texts = NULL;
    job->failures++;
    if (again) {
        uint32_t delay = ag_retry_delay_ms(&job->retry, job->failures + 1, result->retry_after_ms,
                                           ag_random_next(&self->random));

        self->counters.retried++;
        core_journal(self, RECORD_ATTEMPT, job, NULL);
        job_enter(self, job, JOB_SCHEDULED);
        core_set_timer(self, &job->timer, self->now + delay);
        return;
    }
    job->error = kept->error;
    self->bytes += job->error.size;
    kept->error = (struct ag_bytes){0};
    job_enter(self, job, JOB_FAILED);
}

static void on_result(core_t *self, struct session *worker, const struct proto_result *result,
                      struct kept *kept)
{
    struct job *job = held_job(self, worker, &result->token);

    if (job == NULL) {
        self->counters.stale++;
        core_tracef(self, "        stale -> ignore");
        return;
    }
    job->run_ms = result->run_ms;
    if (job->lane->group != NULL)
        job->lane->group->busy_ms += result->run_ms;
    if (job->state == JOB_CANCELLING) {
        job_enter(self, job, JOB_CANCELLED); /* never turns into a success */
        return;
    }
    switch (result->outcome) {
    case PROTO_SUCCEEDED:
        on_success(self, worker, job, kept);
        break;
    case PROTO_FAILED:
        on_failure(self, worker, job, result, kept);
        break;
    case PROTO_CANCELLED: /* nobody asked for that */
    case PROTO_RELEASED:
        self->counters.released++;
        worker->released++;
        job_enter(self, job, JOB_QUEUED);
        break;
    }
}

int on_results(core_t *self, struct session *worker, const struct proto_results *results)
{
    struct kept kept[AG_MESSAGE_ITEMS_MAX];
    int rc = 0;

    for (uint32_t i = 0; i < results->count; i++)
        if (keep(self, worker, &results->items[i], &kept[i]) < 0)
            rc = ARGOSY_ENOMEM;
    for (uint32_t i = 0; i < results->count; i++) {
        struct effect recorded = {.type = EFFECT_RECORDED, .peer = worker->peer};

        if (rc == 0) {
            on_result(self, worker, &results->items[i], &kept[i]);
            recorded.token = results->items[i].token;
            core_answer(self, &recorded, NULL);
        }
        drop(&kept[i]);
    }
    return rc;
}
