/* The simulator's own account: what really runs where, and what the broker has promised. It listens
 * to what the broker says and to what workers do; the core is asked only what it remembers after a
 * crash. */
#include <string.h>

#include "broker/core/record.h"
#include "tests/simulation/sim.h"

int truth_job(const struct sim *self, const struct ag_id *id)
{
    for (int i = 0; i < self->jobs_count; i++)
        if (ag_id_equal(&self->jobs[i].id, id))
            return i;
    for (int i = SIM_JOBS; i < SIM_JOBS + self->ticks_count; i++)
        if (ag_id_equal(&self->jobs[i].id, id))
            return i;
    return -1;
}

int truth_group(const struct sim *self, const struct ag_id *id)
{
    for (int i = 0; i < self->groups_count; i++)
        if (ag_id_equal(&self->groups[i].id, id))
            return i;
    return -1;
}

/* ---- retry budgets -----------------------------------------------------------------------------
 *
 * A retry that counts here counts in the broker for certain: its holder has said that the attempt
 * failed, and then another one was given out. What we cannot tell makes the check milder.
 */

static bool is_same(const struct proto_token *a, const struct proto_token *b)
{
    return a->attempt == b->attempt && a->epoch == b->epoch && ag_id_equal(&a->job, &b->job);
}

static void heard_result(struct sim *self, const struct conn *conn,
                         const struct proto_result *result)
{
    int number = truth_job(self, &result->token.job);
    struct sim_job *job = number >= 0 ? &self->jobs[number] : NULL;

    if (job == NULL || !ag_id_equal(&job->holder, &conn->instance) ||
        !is_same(&job->run, &result->token))
        return;
    job->has_failed = result->outcome == PROTO_FAILED;
    if (result->outcome == PROTO_SUCCEEDED)
        job->maker = conn->instance;
    job->holder = (struct ag_id){{0}}; /* the lease is over; what it says again is stale */
}

/* The last retry was granted while there were fewer than 10 and the share of what had begun. */
static void check_budget(struct sim *self, int group)
{
    uint64_t percent = group >= 0 ? self->groups[group].budget : 0, retries = 0, firsts = 0;

    for (int i = 0; i < self->jobs_count; i++)
        if (self->jobs[i].group == group) {
            retries += self->jobs[i].retried_count;
            firsts += self->jobs[i].has_begun;
        }
    if (percent > 0 && retries > 0 && 100 * (retries - 1) >= 1000 + percent * firsts)
        sim_broken(self,
                   "group %d has %llu retries of %llu jobs that began, with a budget of %llu %%",
                   group, (unsigned long long)retries, (unsigned long long)firsts,
                   (unsigned long long)percent);
}

static void given_out(struct sim *self, const struct effect *effect)
{
    const struct conn *conn = net_find(self, effect->peer);
    const struct proto_token *token = &effect->run.token;
    int number = truth_job(self, &token->job);
    struct sim_job *job = number >= 0 ? &self->jobs[number] : NULL;

    if (job == NULL)
        return;
    if (job->has_failed && job->retried_count < sizeof job->retried / sizeof *job->retried)
        job->retried[job->retried_count++] = self->appended;
    job->run = *token;
    job->holder = conn != NULL ? conn->instance : (struct ag_id){{0}};
    job->maker = (struct ag_id){{0}};
    job->has_begun = true;
    job->has_failed = false;
    if (job->group >= 0)
        check_budget(self, job->group);
}

/* Its session ends or begins anew: it may keep leases or lose them, we do not follow that. */
static void forget_holder(struct sim *self, const struct ag_id *instance)
{
    for (int i = 0; i < self->jobs_count; i++)
        if (ag_id_equal(&self->jobs[i].holder, instance))
            self->jobs[i].holder = (struct ag_id){{0}};
}

/* ---- what is durable ---------------------------------------------------------------------------
 *
 * Of a job in a full queue nothing is told before its record is durable. A relaxed one may be
 * forgotten with what was told of it, but only as far as its records are lost.
 */

void truth_journalled(struct sim *self, const struct record *record, uint64_t place)
{
    int job = truth_job(self, &record->id), group = truth_group(self, &record->id);

    if (record->type == RECORD_JOB && job >= 0)
        self->jobs[job].made_at = place;
    else if (record->type == RECORD_END && job >= 0)
        self->jobs[job].ended_at = place;
    else if (record->type == RECORD_GROUP && group >= 0)
        self->groups[group].made_at = place;
}

static void forget_job(struct sim *self, struct sim_job *job)
{
    if (job->made_at > self->durable_records) {
        job->made_at = 0;
        job->is_acked = job->is_acked && !job->is_relaxed;
    }
    if (job->ended_at > self->durable_records) {
        job->ended_at = 0;
        job->is_told = job->is_told && !job->is_relaxed;
    }
}

/* It is told of with the jobs that came with it. */
static void forget_group(struct sim *self, struct sim_group *group)
{
    if (group->made_at <= self->durable_records)
        return;
    group->made_at = 0;
    if (group->is_acked && group->was_told_at_once) {
        group->is_acked = false;
        group->is_forgotten = true;
    }
}

/* A retry whose record is lost is one that the broker does not know of. */
void truth_crashed(struct sim *self)
{
    for (int i = 0; i < self->jobs_count; i++) {
        struct sim_job *job = &self->jobs[i];

        while (job->retried_count > 0 &&
               job->retried[job->retried_count - 1] > self->durable_records)
            job->retried_count--;
        job->holder = job->maker = (struct ag_id){{0}};
        job->has_failed = false;
        forget_job(self, job);
    }
    for (int i = SIM_JOBS; i < SIM_JOBS + self->ticks_count; i++)
        forget_job(self, &self->jobs[i]);
    for (int i = 0; i < self->groups_count; i++)
        forget_group(self, &self->groups[i]);
}

/* ---- what was asked ----------------------------------------------------------------------------
 */

static struct asked *asked_new(struct sim *self, const struct ag_id *instance, uint64_t request)
{
    struct asked *asked = &self->asked[self->asked_count++ % SIM_ASKED];

    *asked = (struct asked){.instance = *instance, .request = request};
    return asked;
}

static struct asked *asked_find(struct sim *self, const struct ag_id *instance, uint64_t request)
{
    for (unsigned i = 1; i <= SIM_ASKED && i <= self->asked_count; i++) { /* as it was said last */
        struct asked *asked = &self->asked[(self->asked_count - i) % SIM_ASKED];

        if (asked->request == request && ag_id_equal(&asked->instance, instance))
            return asked;
    }
    return NULL;
}

static void heard_submit(struct sim *self, const struct conn *conn,
                         const struct proto_submit *submit)
{
    struct asked *asked = asked_new(self, &conn->instance, submit->request);

    for (uint32_t i = 0; i < submit->groups_count && asked->count < AG_MESSAGE_ITEMS_MAX; i++)
        asked->ids[asked->count++] = submit->groups[i].id;
    for (uint32_t i = 0; i < submit->jobs_count && asked->count < AG_MESSAGE_ITEMS_MAX; i++)
        asked->ids[asked->count++] = submit->jobs[i].id;
}

void truth_ordered(struct sim *self, const struct conn *conn, const struct core_control *order)
{
    struct asked *asked = asked_new(self, &conn->instance, order->request);

    asked->is_order = true;
    asked->verb = order->verb;
    asked->ids[asked->count++] = order->id;
}

void truth_heard(struct sim *self, const struct conn *conn, const struct proto *message)
{
    struct asked *asked;
    struct watched *watched;

    switch (message->type) {
    case AG_SUBMIT:
        heard_submit(self, conn, &message->submit);
        break;
    case AG_RESULTS:
        for (uint32_t i = 0; i < message->results.count; i++)
            heard_result(self, conn, &message->results.items[i]);
        break;
    case AG_CANCEL:
        asked = asked_new(self, &conn->instance, message->cancel.request);
        asked->is_cancel = true;
        asked->ids[asked->count++] = message->cancel.targets[0];
        break;
    case AG_WATCH:
        watched = &self->watched[self->watched_count++ % SIM_WATCHED];
        *watched = (struct watched){.instance = conn->instance,
                                    .target = message->watch.target,
                                    .watch = message->watch.watch};
        break;
    default:
        break;
    }
}

/* ---- promises ----------------------------------------------------------------------------------
 */

static bool is_refused(const struct effect *effect, const struct ag_id *id)
{
    for (uint32_t i = 0; i < effect->accepted.refused_count; i++)
        if (ag_id_equal(&effect->accepted.refused[i].id, id))
            return true;
    return false;
}

static bool is_full(const struct effect *effect, const struct ag_id *id)
{
    for (uint32_t i = 0; i < effect->accepted.refused_count; i++)
        if (ag_id_equal(&effect->accepted.refused[i].id, id))
            return ag_bytes_are(effect->accepted.refused[i].type, "rejected.full");
    return false;
}

/* It makes relaxed jobs and nothing else. */
static bool is_relaxed(const struct sim *self, const struct asked *asked)
{
    unsigned jobs = 0;

    for (unsigned i = 0; i < asked->count; i++) {
        int job = truth_job(self, &asked->ids[i]);

        if (job >= 0 && !self->jobs[job].is_relaxed)
            return false;
        jobs += job >= 0;
    }
    return jobs > 0;
}

static void check_acked(struct sim *self, const struct asked *asked, const struct ag_id *id)
{
    int job = truth_job(self, id), group = truth_group(self, id);

    if (is_relaxed(self, asked))
        return;
    if ((job >= 0 && self->jobs[job].made_at > self->committed) ||
        (group >= 0 && self->groups[group].made_at > self->committed))
        sim_broken(self, "%s %d is accepted before it is durable", job >= 0 ? "job" : "group",
                   job >= 0 ? job : group);
}

static void accepted(struct sim *self, const struct effect *effect)
{
    const struct conn *conn = net_find(self, effect->peer);
    struct asked *asked =
        conn != NULL ? asked_find(self, &conn->instance, effect->accepted.request) : NULL;

    for (unsigned i = 0; asked != NULL && i < asked->count; i++)
        check_acked(self, asked, &asked->ids[i]);
    for (unsigned i = 0; asked != NULL && i < asked->count; i++) {
        int job = truth_job(self, &asked->ids[i]), group = truth_group(self, &asked->ids[i]);
        bool refused = is_refused(effect, &asked->ids[i]);

        if (job >= 0 && refused && self->jobs[job].is_acked && !self->jobs[job].is_told)
            sim_broken(self, "job %d was accepted, and is refused now", job);
        if (job >= 0 && !refused)
            self->jobs[job].is_acked = true;
        else if (job >= 0 && !is_full(effect, &asked->ids[i]))
            self->jobs[job].is_refused = true;
        if (group >= 0 && !refused) {
            self->groups[group].is_acked = true;
            self->groups[group].was_told_at_once = is_relaxed(self, asked);
        }
    }
}

static void answered(struct sim *self, const struct effect *effect)
{
    const struct conn *conn = net_find(self, effect->peer);
    struct asked *asked =
        conn != NULL ? asked_find(self, &conn->instance, effect->answer.request) : NULL;
    int group;

    if (asked != NULL && asked->is_order)
        truth_answered(self, asked, effect->answer.type);
    if (asked == NULL || !asked->is_cancel)
        return;
    group = truth_group(self, &asked->ids[0]);
    if (group >= 0 && effect->answer.unknown_count == 0)
        self->groups[group].is_cancel_acked = true;
}

/* ---- ends --------------------------------------------------------------------------------------
 */

static bool did_succeed(const struct sim_job *job, const struct proto_token *token)
{
    for (unsigned i = 0; i < job->done_count; i++)
        if (job->done[i].attempt == token->attempt && job->done[i].epoch == token->epoch)
            return true;
    return false;
}

/* What a job that succeeded has made says which attempt made it: one that really ended so, of this
 * job or of the one that it joined. */
static void check_result(struct sim *self, int number, const struct proto_event *event,
                         uint32_t flags)
{
    struct proto_token token;
    int maker;

    if (event->state != PROTO_JOB_SUCCEEDED || (flags & PROTO_WATCH_RESULTS) == 0)
        return; /* it is told again, or not asked for */
    if (event->result.data == NULL) {
        sim_broken(self, "the success of job %d is told without what it made", number);
        return;
    }
    if (event->result.size != 2 + sizeof token) {
        sim_broken(self, "job %d has a result that no worker made", number);
        return;
    }
    memcpy(&token, event->result.data + 2, sizeof token);
    maker = truth_job(self, &token.job);
    if (maker < 0 || !did_succeed(&self->jobs[maker], &token) || token.attempt != event->attempt)
        sim_broken(self, "job %d has the result of attempt %u, which did not end so", number,
                   (unsigned)token.attempt);
    if (maker != number && !self->jobs[number].is_unique)
        sim_broken(self, "job %d has the result of job %d", number, maker);
}

/* All that it waited for has ended, and well unless it does not matter. */
static void check_order(struct sim *self, int number, const struct proto_event *event)
{
    const struct sim_job *job = &self->jobs[number];

    for (int i = 0; i < 2; i++) {
        const struct sim_job *other = job->after[i] >= 0 ? &self->jobs[job->after[i]] : NULL;

        if (other == NULL || event->state != PROTO_JOB_SUCCEEDED)
            continue;
        if (other->is_told && other->told != PROTO_JOB_SUCCEEDED && !job->after_any)
            sim_broken(self, "job %d succeeded, though job %d did not", number, job->after[i]);
    }
}

/* Its worker forgets what it has made. */
static void recorded(struct sim *self, const struct effect *effect)
{
    const struct conn *conn = net_find(self, effect->peer);
    int number = truth_job(self, &effect->token.job);
    const struct sim_job *job = number >= 0 ? &self->jobs[number] : NULL;

    if (job == NULL || conn == NULL || !ag_id_equal(&job->maker, &conn->instance) ||
        !is_same(&job->run, &effect->token))
        return;
    if (!job->is_relaxed && job->ended_at > self->committed)
        sim_broken(self, "job %d is called recorded before it is durable", number);
}

static void told(struct sim *self, const struct proto_event *event, uint32_t flags, bool is_early)
{
    int number = truth_job(self, &event->job);
    struct ag_bytes attempts = event->attempts;
    struct proto_attempt attempt;
    struct sim_job *job;

    if (number < 0) {
        if (!ag_bytes_are(event->kind, "group"))
            sim_broken(self, "the end of a job is told that nobody submitted");
        return;
    }
    job = &self->jobs[number];
    if (job->is_told && job->told != event->state)
        sim_broken(self, "job %d was told as %d, and is %d now", number, (int)job->told,
                   (int)event->state);
    if (job->ended_at > self->committed && !(is_early && job->is_relaxed))
        sim_broken(self, "the end of job %d is told before it is durable", number);
    job->is_told = true;
    job->told = event->state;
    job->tellings |= 1u << event->state;
    job->told_attempt = event->attempt;
    while (ag_proto_next_attempt(&attempts, &attempt))
        if (ag_bytes_are(attempt.type, "lost.unconfirmed"))
            job->is_unconfirmed = true;
    check_result(self, number, event, flags);
    check_order(self, number, event);
}

static bool is_within(const struct sim *self, int group, int ancestor)
{
    for (; group >= 0; group = self->groups[group].parent)
        if (group == ancestor)
            return true;
    return false;
}

/* Nothing of it runs on a worker that has the lease. */
static void group_ended(struct sim *self, int number)
{
    for (int w = 0; w < SIM_WORKERS; w++)
        for (int t = 0; t < SIM_TASKS; t++) {
            const struct sim_task *task = &self->workers[w].tasks[t];

            if (task->attempt == NULL || !task->is_held || !self->peers[w].is_up ||
                self->jobs[task->job].is_unconfirmed)
                continue;
            if (is_within(self, self->jobs[task->job].group, number))
                sim_broken(self, "group %d has ended, but job %d of it runs on worker %d", number,
                           task->job, w);
        }
    for (int i = 0; i < self->jobs_count; i++)
        if (self->jobs[i].group == number && self->jobs[i].is_acked && !self->jobs[i].is_told)
            sim_broken(self, "group %d has ended, but its job %d was not told to have", number, i);
}

static void events_told(struct sim *self, const struct effect *effect)
{
    struct ag_buffer attempts = ag_buffer_empty(1 << 20);
    const struct conn *conn = net_find(self, effect->peer);

    sim_trace(self, "broker tells peer %d: watch %u, %u ends from %llu, end %d",
              conn != NULL ? conn->peer : -1, (unsigned)effect->events.watch,
              (unsigned)effect->events.count, (unsigned long long)effect->events.cursor,
              (int)effect->events.end);
    for (uint32_t i = 0; i < effect->events.count; i++) {
        struct proto_event event;

        core_describe(self->core, effect->events.jobs[i], effect->events.flags, &attempts, &event);
        told(self, &event, effect->events.flags, effect->events.end == PROTO_EARLY);
    }
    ag_buffer_free(&attempts);
    for (int i = 0; conn != NULL && effect->events.end == PROTO_ENDED && i < SIM_WATCHED; i++) {
        const struct watched *watched = &self->watched[i];
        int group = truth_group(self, &watched->target);

        if (watched->watch == effect->events.watch && group >= 0 &&
            ag_id_equal(&watched->instance, &conn->instance)) {
            group_ended(self, group);
            return;
        }
    }
}

/* ---- leases ------------------------------------------------------------------------------------
 */

static int worker_of(const struct sim *self, uint32_t conn_number)
{
    const struct conn *conn = net_find((struct sim *)self, conn_number);

    return conn != NULL && conn->peer < SIM_WORKERS ? conn->peer : -1;
}

/* The broker has told a worker to stop: it does not count on what that attempt does any more,
 * unless it is being cancelled. */
static void told_to_stop(struct sim *self, const struct effect *effect)
{
    int worker = worker_of(self, effect->peer);

    self->stopped[self->stopped_count++ % SIM_STOPPED] = effect->token;
    for (int t = 0; worker >= 0 && t < SIM_TASKS; t++) {
        struct sim_task *task = &self->workers[worker].tasks[t];

        if (task->attempt != NULL && is_same(&task->token, &effect->token)) {
            task->is_stopping = true;
            if (self->peers[worker].welcomed == self->events)
                task->is_held = false; /* it has come back with what was given to another */
        }
    }
}

/* One that comes back over a new connection is welcomed in the same step. The connection itself may
 * be long gone. */
static void session_closed(struct sim *self, const struct effect *effect)
{
    const struct conn *conn = net_find(self, effect->peer);

    if (conn != NULL)
        forget_holder(self, &conn->instance);
    for (int w = 0; w < SIM_WORKERS; w++) {
        if (!self->peers[w].has_session || self->peers[w].session != effect->peer)
            continue;
        self->peers[w].has_session = false;
        for (int t = 0; t < SIM_TASKS; t++)
            self->workers[w].tasks[t].is_held = false;
    }
}

static void session_opened(struct sim *self, const struct effect *effect)
{
    int worker = worker_of(self, effect->peer);

    forget_holder(self, &effect->welcome.instance);
    if (worker < 0 || !ag_id_equal(&self->workers[worker].instance, &effect->welcome.instance))
        return;
    self->peers[worker].has_session = true;
    self->peers[worker].session = effect->peer;
    self->peers[worker].welcomed = self->events;
    for (int t = 0; t < SIM_TASKS; t++)
        if (!self->workers[worker].tasks[t].is_stopping)
            self->workers[worker].tasks[t].is_held = true;
}

void truth_effect(struct sim *self, const struct effect *effect)
{
    switch (effect->type) {
    case EFFECT_RUN:
        given_out(self, effect);
        break;
    case EFFECT_ACCEPTED:
        accepted(self, effect);
        break;
    case EFFECT_ANSWER:
        answered(self, effect);
        break;
    case EFFECT_EVENTS:
        events_told(self, effect);
        break;
    case EFFECT_RECORDED:
        recorded(self, effect);
        break;
    case EFFECT_STOP:
        told_to_stop(self, effect);
        break;
    case EFFECT_CLOSE:
        session_closed(self, effect);
        break;
    case EFFECT_WELCOME:
        session_opened(self, effect);
        break;
    default:
        break;
    }
}

/* ---- what really runs --------------------------------------------------------------------------
 */

static bool counts(const struct sim *self, int worker, const struct sim_task *task)
{
    return task->attempt != NULL && task->is_held && !task->is_stopping &&
           self->peers[worker].is_up;
}

void truth_begins(struct sim *self, int worker, struct sim_task *task)
{
    const struct sim_job *job;
    unsigned running = 0, of_group = 0, of_key = 0;

    if (task->job < 0) {
        sim_broken(self, "worker %d was given a job that nobody submitted", worker);
        return;
    }
    job = &self->jobs[task->job];
    sim_trace(self, "worker %d begins job %d attempt %u", worker, task->job,
              (unsigned)task->token.attempt);
    for (int i = 0; i < SIM_STOPPED; i++)
        if (is_same(&task->token, &self->stopped[i])) { /* the word is on its way */
            task->is_stopping = true;
            task->is_held = false;
        }
    if (job->is_told || job->over > 0)
        task->is_held = false; /* late: it was on its way when the broker lost hope */
    for (int w = 0; w < SIM_WORKERS; w++)
        for (int t = 0; t < SIM_TASKS; t++) {
            const struct sim_task *other = &self->workers[w].tasks[t];

            if (!counts(self, w, other))
                continue;
            running += w == worker;
            of_group += job->group >= 0 && self->jobs[other->job].group == job->group;
            of_key += job->key >= 0 && self->jobs[other->job].key == job->key;
            if (other != task && other->job == task->job && counts(self, worker, task))
                sim_broken(self, "job %d runs on workers %d and %d at once", task->job, w, worker);
        }
    if (running > SIM_SLOTS)
        sim_broken(self, "worker %d runs more than its slots", worker);
    if (job->group >= 0 && self->groups[job->group].concurrency > 0 &&
        of_group > self->groups[job->group].concurrency)
        sim_broken(self, "group %d runs %u jobs at once", job->group, of_group);
    if (job->key >= 0 && of_key > job->key_max)
        sim_broken(self, "key %d has %u jobs at once", job->key, of_key);
    for (int i = 0; i < 2; i++)
        if (job->after[i] >= 0) {
            const struct sim_job *other = &self->jobs[job->after[i]];

            for (int w = 0; w < SIM_WORKERS; w++)
                for (int t = 0; t < SIM_TASKS; t++)
                    if (counts(self, w, &self->workers[w].tasks[t]) && task->is_held &&
                        self->workers[w].tasks[t].job == job->after[i])
                        sim_broken(self, "job %d begins before job %d has ended", task->job,
                                   job->after[i]);
            (void)other;
        }
}

void truth_succeeds(struct sim *self, const struct sim_task *task)
{
    struct sim_job *job = &self->jobs[task->job];

    if (job->done_count < sizeof job->done / sizeof *job->done)
        job->done[job->done_count++] = task->token;
}

/* ---- after a crash -----------------------------------------------------------------------------
 */

static const char *state_name(enum proto_state state)
{
    return state == PROTO_JOB_SUCCEEDED ? "succeeded"
           : state == PROTO_JOB_FAILED  ? "failed"
                                        : "cancelled";
}

/* Everything that was promised is still so. */
void truth_restored(struct sim *self)
{
    struct core_job_view job;
    struct core_group_view group;

    for (int i = 0; i < self->jobs_count; i++) {
        const struct sim_job *known = &self->jobs[i];
        struct core_found found = core_show(self->core, &known->id, &job, &group);

        if (known->is_acked && !known->is_told && !found.job)
            sim_broken(self, "job %d was accepted, and is gone after a crash", i);
        if (!found.job)
            self->jobs[i].retried_count = 0; /* its group has forgotten them, or may have */
        if (known->is_told && found.job && strcmp(job.state, state_name(known->told)) != 0)
            sim_broken(self, "job %d was told as %s, and is %s after a crash", i,
                       state_name(known->told), job.state);
    }
    for (int i = 0; i < self->groups_count; i++) {
        const struct sim_group *known = &self->groups[i];
        struct core_found found = core_show(self->core, &known->id, &job, &group);

        if (known->is_acked && !known->has_ended && !found.group)
            sim_broken(self, "group %d was accepted, and is gone after a crash", i);
        if (known->is_cancel_acked && found.group && !group.cancelling && !group.ended)
            sim_broken(self, "group %d was cancelled, and is not after a crash", i);
    }
}

static void trace_job(void *arg, const struct core_job_view *job)
{
    struct sim *self = arg;

    sim_trace(self, "job %d of group %d: %s %s", truth_job(self, &job->id),
              truth_group(self, &job->group), job->state, job->reason);
}

void truth_at_the_end(struct sim *self)
{
    struct core_filter all = {.state = -1};
    struct core_cursor cursor = {0};
    struct core_status status;

    if (self->traces)
        core_list(self->core, &all, &cursor, UINT32_MAX, trace_job, self);
    for (int i = 0; i < self->jobs_count; i++)
        if (self->jobs[i].is_acked && !self->jobs[i].is_told)
            sim_broken(self, "job %d was accepted and has not ended", i);
    for (int i = 0; i < self->groups_count; i++)
        if (!self->groups[i].is_over)
            sim_broken(self, "group %d has not ended", i);
    core_status(self->core, &status);
    if (status.unaccounted != 0)
        sim_broken(self, "%lld jobs are unaccounted for", (long long)status.unaccounted);
}
