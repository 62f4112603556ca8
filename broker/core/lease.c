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

/* A record for the case that its worker is lost, and what it gets from those it waited for. */
static bool prepare(core_t *self, struct job *job, struct proto_job *run)
{
    struct ag_buffer inputs = ag_buffer_empty(AG_MESSAGE_BYTES_MAX);

    if (job->spare == NULL && (job->spare = calloc(1, sizeof *job->spare)) == NULL)
        return false;
    if (job->extra == NULL || job->extra->mode == WAIT_REPLACE ||
        ag_list_is_empty(&job->extra->waits))
        return true;
    run->inputs_count = wait_inputs(job, &inputs);
    if (inputs.failed || !core_trash(self, inputs.data)) {
        ag_buffer_free(&inputs);
        return false;
    }
    run->inputs = ag_buffer_bytes(&inputs);
    return true;
}

static void hold(struct job *job, struct offer *offer)
{
    struct session *worker = offer->worker;

    ag_list_append(&worker->held, &job->link);
    job->worker = worker;
    job->permille = AG_PERMILLE_UNKNOWN;
    name_unref(&job->worker_name);
    job->worker_name = name_ref(worker->name);
    offer_hold(offer);
}

bool lease_take(core_t *self, struct job *job, struct offer *offer)
{
    struct proto_job run = {.kind = ag_bytes_of_text(offer->kind->name),
                            .run_ms = job->run_limit_ms,
                            .grace_ms = job->grace_ms,
                            .payload = job->payload};

    AG_ASSERT(offer->held < offer->credit);
    if (!prepare(self, job, &run))
        return false;
    hold(job, offer);
    lane_update(self, job->lane);
    self->counters.dispatched++;
    if (job->attempt == 0)
        budget_on_first(self, job);
    else if (job->lane->group != NULL)
        job->lane->group->counts.retried++;
    job->attempt++;
    job->epoch = self->config.epoch;
    job_enter(self, job, JOB_RUNNING);
    run.token = job_token(job);
    core_emit(self, EFFECT_RUN, offer->worker->peer)->run = run;
    return true;
}

/* A worker has come back with an attempt that an earlier life of this broker gave it. */
bool lease_adopt(core_t *self, struct job *job, struct session *worker,
                 const struct proto_token *token)
{
    struct offer *offer = offer_of(worker, job->lane->kind);

    if (job->spare == NULL && (job->spare = calloc(1, sizeof *job->spare)) == NULL)
        return false;
    AG_ASSERT(offer != NULL && job->worker == NULL);
    self->counters.adopted++;
    if (job->state == JOB_SCHEDULED)
        job_enter(self, job, JOB_QUEUED);
    hold(job, offer);
    if (job->attempt == 0) /* it began, and no record says so */
        budget_on_first(self, job);
    job->attempt = token->attempt;
    job->epoch = token->epoch;
    if (job->state == JOB_CANCELLING) {
        if (job->key != NULL)
            job->key->running++;
        return true;
    }
    lane_update(self, job->lane);
    job_enter(self, job, JOB_RUNNING);
    return true;
}

/* Nobody holds it any more: the slot is free. Only for job_enter(). */
void lease_release(struct job *job)
{
    struct session *worker = job->worker;
    struct offer *offer = offer_of(worker, job->lane->kind);

    AG_ASSERT(offer != NULL);
    offer->kind->recalled_count -= job->is_recalled;
    job->is_recalled = false;
    ag_link_remove(&job->link);
    if (!PLANTED(LEASE_KEPT) || job->state != JOB_CANCELLING)
        offer_release(offer);
    job->worker = NULL;
    if (worker->alone == job) {
        worker->alone = NULL;
        worker_update(worker);
    }
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

/* It never arrived at its worker: nobody is to blame. */
void lease_take_back(core_t *self, struct job *job)
{
    self->counters.released++;
    job->worker->released++;
    job->releases++;
    if (job->state == JOB_CANCELLING)
        job_enter(self, job, JOB_CANCELLED);
    else
        job_requeue(self, job);
}

/* Its worker is gone. The loss burns no try of the retry policy; too many of them are poison. */
void lease_lose(core_t *self, struct job *job)
{
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
        job_fail(self, job, CONSTANT_LOST_POISON);
        return;
    }
    if (PLANTED(LOST_LOST))
        job_enter(self, job, JOB_SCHEDULED);
    else
        job_requeue(self, job);
}

/* Its worker is alive, was told to stop, and has not confirmed in time: it loses the lease, and is
 * told once more. The report names it. */
void lease_revoke(core_t *self, struct job *job)
{
    struct group *group = job->lane->group;

    self->counters.unconfirmed++;
    if (group != NULL)
        group->counts.unconfirmed++;
    job->run_ms = (uint32_t)(self->now - job->since);
    remember_attempt(self, job, job->run_ms, "lost.unconfirmed",
                     "the worker was told to stop and did not confirm in time", NULL);
    core_emit(self, EFFECT_STOP, job->worker->peer)->token = job_token(job);
    job_enter(self, job, JOB_CANCELLED);
}

void on_credit(core_t *self, struct session *worker, const struct proto_credit *credit)
{
    uint32_t left = AG_SLOTS_MAX; /* what one worker may hold of all kinds together */

    for (uint32_t i = 0; i < worker->offers_count; i++) {
        struct offer *offer = &worker->offers[i];

        offer->credit = 0;
        if (worker->is_draining)
            continue;
        for (uint32_t k = 0; k < credit->count; k++)
            if (ag_bytes_are(credit->kinds[k].name, offer->kind->name))
                offer->credit = credit->kinds[k].count < left ? credit->kinds[k].count : left;
        left -= offer->credit;
        core_tracef(self, "        worker %s: %s held %u of %u", worker->name->text,
                    offer->kind->name, offer->held, offer->credit);
    }
    worker_update(worker);
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
    struct job *job = job_find_awake(self, &token->job);

    if (job == NULL || job->worker == NULL || (job->worker != worker && !PLANTED(ANY_HOLDER)))
        return NULL;
    if ((job->attempt != token->attempt || job->epoch != token->epoch) && !PLANTED(STALE_RESULT))
        return NULL;
    return job;
}

/* A worker that is not connected: what was meant for it goes to others, and nothing more is given
 * to it until it says HELLO again. What it got before is lost only when it is silent for too long.
 */
void on_unsent(core_t *self, struct session *worker, const struct proto_tokens *unsent)
{
    for (uint32_t i = 0; i < worker->offers_count; i++)
        worker->offers[i].credit = 0;
    worker_update(worker);
    for (uint32_t i = 0; i < unsent->count; i++) {
        struct job *job = held_job(self, worker, &unsent->items[i]);

        if (job == NULL)
            continue;
        core_tracef(self, "        not sent -> take it back");
        lease_take_back(self, job);
    }
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

/* It is worth a retry: can all whom it concerns afford one? */
static bool is_within_budget(core_t *self, struct job *job)
{
    char note[BUDGET_NOTE_SIZE];

    job->spent = budget_spent(self, job);
    if (job->spent == BUDGET_NONE)
        return true;
    self->counters.over_budget++;
    core_tracef(self, "        %s", budget_note(job, note));
    return false;
}

static int keep(const core_t *self, struct session *worker, const struct proto_result *result,
                struct kept *kept)
{
    const struct job *job = held_job(self, worker, &result->token);
    bool failed = false;

    *kept = (struct kept){0};
    if (job == NULL || job->state != JOB_RUNNING)
        return 0;
    if (result->outcome == PROTO_SUCCEEDED || result->outcome == PROTO_FAILED) {
        kept->result = bytes_copy(result->result, &failed);
        kept->error = bytes_copy(result->error, &failed);
    }
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
    bool again = is_worth_a_retry(job, result) && is_within_budget(self, job);

    worker->failed++;
    remember_attempt(self, job, result->run_ms, kept->texts, kept->texts + strlen(kept->texts) + 1,
                     kept->texts);
    kept->texts = NULL;
    job->failures++;
    if (job->key != NULL && result->retry_after_ms > 0)
        key_close(self, job->key, result->retry_after_ms); /* for the whole fleet */
    if (again) {
        uint32_t delay = ag_retry_delay_ms(&job->retry, job->failures + 1, result->retry_after_ms,
                                           ag_random_next(&self->random));

        self->counters.retried++;
        budget_on_retry(self, job);
        job->due_at = self->now + delay;
        core_journal(self, RECORD_ATTEMPT, job, NULL);
        job_enter(self, job, JOB_SCHEDULED);
        core_set_timer(self, &job->timer, job->due_at);
        return;
    }
    job->result = kept->result; /* made before it failed, for example a program's output */
    job->error = kept->error;
    self->bytes += job->result.size + job->error.size;
    kept->result = kept->error = (struct ag_bytes){0};
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
    if (job->state == JOB_CANCELLING && !PLANTED(CANCEL_UNDONE)) {
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
        job->releases++;
        job_requeue(self, job);
        break;
    }
}

/* The worker may forget its result before it is durable: after a crash the job runs again. */
static bool is_of_relaxed(const core_t *self, const struct proto_token *token)
{
    const struct job *job = job_find_awake(self, &token->job);

    return job != NULL && queue_is_relaxed(self, job->lane->queue);
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
            if (is_of_relaxed(self, &results->items[i].token))
                core_answer_at_once(self, &recorded, NULL);
            else
                core_answer(self, &recorded, NULL);
        }
        drop(&kept[i]);
    }
    return rc;
}

/* How far attempts are: kept for those who ask, told to those who watch. */
void on_progress(core_t *self, struct session *worker, const struct proto_progress *progress)
{
    for (uint32_t i = 0; i < progress->count; i++) {
        const struct proto_progress_item *item = &progress->items[i];
        struct job *job = held_job(self, worker, &item->token);

        if (job == NULL || job->state != JOB_RUNNING) {
            self->counters.stale++;
            continue;
        }
        job->permille = (uint16_t)item->permille;
        watch_news(self, job, item);
    }
}
