/* What must hold between any two steps; tests and the simulator ask after each one. */
#include "broker/core/state.h"

struct sums {
    uint64_t bytes, queued, held, states[JOB_STATES_COUNT];
    struct sleep_sums asleep;
};

static const char *check_job(const struct job *job, struct sums *sums)
{
    sums->states[job->state]++;
    sums->bytes += job_bytes(job);
    sums->queued += job->state == JOB_QUEUED;
    sums->held += job_is_held(job);
    if (job->state == JOB_RUNNING && job->worker == NULL)
        return "what runs is at a worker";
    if (job->worker != NULL && job->state != JOB_RUNNING && job->state != JOB_CANCELLING)
        return "a job is at a worker only while it is held";
    if (job_is_held(job) && job->attempt == 0)
        return "what runs has an attempt number";
    if (job->state == JOB_SCHEDULED && job->timer.heap.place == 0)
        return "what waits for its time has a timer";
    if (job->state == JOB_CANCELLING && !job->is_place && job->timer.heap.place == 0)
        return "an unconfirmed cancel ends some day";
    if (job->state == JOB_BLOCKED && !job->is_place && ag_list_is_empty(&job->extra->waits))
        return "what is blocked waits for something";
    if (job_has_ended(job) && job->extra != NULL && !ag_list_is_empty(&job->extra->waits))
        return "what has ended waits for nothing";
    if (job_has_ended(job) && ag_link_is_listed(&job->link))
        return "what has ended is in no queue";
    if (job_has_ended(job) && job->lane->group == NULL && job->timer.heap.place == 0)
        return "what has ended is forgotten some day";
    if (job->state == JOB_QUEUED && !ag_link_is_listed(&job->link) && job->sleeper == NULL &&
        (job->lane->group == NULL || !job->lane->group->cancelling))
        return "what is queued is in its lane, its key, its line, or a suspect";
    if (job->state == JOB_QUEUED && job->in_lane && job->is_away && !ag_link_is_listed(&job->load))
        return "a payload that is needed has been asked for";
    if (job->result_away > 0 && (!job_has_ended(job) || job->result.data != NULL))
        return "a result is here or in the store";
    if (job->lane->group != NULL && ag_link_is_listed(&job->member) == job_has_ended(job))
        return "a group lists exactly its jobs that have not ended";
    return NULL;
}

static void add_tries(const struct ag_link *members, struct budget *sum)
{
    for (const struct ag_link *at = members->next; at != members; at = at->next) {
        const struct job *job = AG_OWNER(at, struct job, member);

        sum->firsts += job_has_begun(job);
        sum->retries += job->failures;
    }
}

/* Of what is forgotten nobody knows any more; of what has ended the last failure was no retry, or
 * it was: the end came later. */
static const char *check_budget(const struct group *group)
{
    struct budget least = {0};

    add_tries(&group->live, &least);
    add_tries(&group->swept, &least);
    for (size_t i = group->released_count; i < group->ended_count; i++) {
        const struct job *job = group->ended[i];

        least.firsts += job_has_begun(job);
        least.retries += job->failures > 0 ? job->failures - 1 : 0;
    }
    return group->budget.firsts >= least.firsts && group->budget.retries >= least.retries
               ? NULL
               : "a group's budget counts what its jobs have tried";
}

static const char *check_group(const core_t *self, const struct group *group)
{
    const struct proto_counts *n = &group->counts;
    uint64_t away = 0;

    if (n->total != n->waiting + n->running + n->succeeded + n->failed + n->cancelled)
        return "a group's counts add up";
    if (group->ended_count != n->succeeded + n->failed + n->cancelled)
        return "a group lists each end once";
    /* After a crash what was lost with it may count beside what has followed it. */
    if (group->concurrency > 0 && !group->cancelling && self->counters.adopted == 0 &&
        n->running > group->concurrency)
        return "no more of a group run than it allows";
    if (group->is_ended != (group->sealed && group->ended_count == n->total))
        return "a group ends when it is sealed and its last job has ended";
    if (group->is_ended && group->timer.heap.place == 0)
        return "a group that has ended is forgotten some day";
    if (group->cancelling && group->policy == PROTO_GATHER && group->failure[0] == '\0')
        return "a gather is never cancelled by its own failures";
    for (size_t i = group->released_count; i < group->ended_count; i++)
        away += group->ended[i]->result_away > 0;
    if (away != group->away)
        return "a group counts the results that are away";
    for (size_t i = 0; i < group->ended_count; i++)
        if ((group->ended[i] == NULL) != (i < group->released_count))
            return "a group has released a prefix of its ends";
    return check_budget(group);
}

static const char *check_lanes(const core_t *self, const struct ag_link *lanes, struct sums *sums)
{
    for (const struct ag_link *at = lanes->next; at != lanes; at = at->next) {
        const struct lane *lane = AG_OWNER(at, struct lane, of_group);
        const char *broken = sleep_broken_invariant(self, lane, &sums->asleep);
        bool may = lane_may_begin(self, lane);

        if (broken != NULL)
            return broken;
        if (lane->group != NULL && lane->group->rate_per_minute > 0)
            continue; /* the clock may have opened it since */
        if (ag_link_is_listed(&lane->turn) != may)
            return "a lane waits for its turn exactly while a job of it may run";
    }
    return NULL;
}

static const char *check_session(const struct session *session, struct sums *sums)
{
    uint64_t held = 0, listed = 0;

    for (uint32_t i = 0; i < session->offers_count; i++) {
        const struct offer *offer = &session->offers[i];

        held += offer->held;
        if (ag_link_is_listed(&offer->idle) !=
            (offer->held < offer->credit && session->is_known && session->alone == NULL &&
             !session->is_reserved && !session->is_draining))
            return "an offer is listed exactly while it has credit to spare";
    }
    for (struct ag_link *at = session->held.next; at != &session->held; at = at->next) {
        listed++;
        if (AG_OWNER(at, struct job, link)->worker != session)
            return "a worker lists only what it holds";
    }
    if (held != listed)
        return "a worker lists all that it holds";
    sums->held -= held;
    if (session->timer.heap.place == 0)
        return "every session is watched for silence";
    return NULL;
}

/* In one walk over the jobs: there may be as many keys. */
static void count_keys(const core_t *self)
{
    const struct ag_map_node *node = NULL;

    while ((node = ag_map_next(&self->keys, node)) != NULL)
        AG_OWNER(node, struct key, node)->seen = (struct key_seen){0};
    for (struct ag_link *at = self->all_jobs.next; at != &self->all_jobs; at = at->next) {
        const struct job *job = AG_OWNER(at, struct job, all);

        if (job->key == NULL)
            continue;
        job->key->seen.refs++;
        job->key->seen.running += job_is_held(job);
        job->key->seen.queued += job->state == JOB_QUEUED;
    }
    for (struct ag_link *at = self->queues.next; at != &self->queues; at = at->next) {
        const struct queue *queue = AG_OWNER(at, struct queue, all);

        for (struct ag_link *l = queue->lanes.next; l != &queue->lanes; l = l->next)
            sleep_count_keys(AG_OWNER(l, struct lane, of_queue));
    }
}

static const char *check_keys(const core_t *self)
{
    const struct ag_map_node *node = NULL;

    count_keys(self);
    while ((node = ag_map_next(&self->keys, node)) != NULL) {
        const struct key *key = AG_OWNER(node, struct key, node);
        uint32_t elsewhere = key->seen.queued; /* and not waiting at the key */

        if (key->seen.refs != key->refs || key->seen.running != key->running)
            return "a key counts its jobs";
        for (struct ag_link *at = key->waiting.next; at != &key->waiting; at = at->next)
            elsewhere--;
        /* a running one or one in its lane wakes the next when it leaves */
        if (!ag_list_is_empty(&key->waiting) && key->running + elsewhere == 0 &&
            key->timer.heap.place == 0)
            return "what waits for a key is woken some day";
    }
    return NULL;
}

static const char *check_schedules(const core_t *self)
{
    for (struct ag_link *at = self->all_schedules.next; at != &self->all_schedules; at = at->next) {
        const struct schedule *schedule = AG_OWNER(at, struct schedule, all);

        if ((schedule->timer.heap.place > 0) != (schedule->next_unix_ms != INT64_MAX))
            return "a schedule has a timer exactly while it has a next tick";
    }
    return NULL;
}

static const char *check_sums(const core_t *self, struct sums *sums)
{
    uint64_t queued = 0, waiting = 0;
    struct core_status status;

    if (sums->asleep.asleep != self->sleepers.count)
        return "every sleeper is in a line";
    sums->states[JOB_QUEUED] += sums->asleep.asleep;
    sums->queued += sums->asleep.asleep;
    sums->bytes += sums->asleep.bytes;
    for (struct ag_link *at = self->kinds.next; at != &self->kinds; at = at->next) {
        const struct kind *kind = AG_OWNER(at, struct kind, all);
        const char *broken = demand_broken_invariant(self, kind);

        if (broken != NULL)
            return broken;
        queued += kind->queued;
    }
    if (queued != sums->queued)
        return "kinds count what is queued";
    for (struct ag_link *at = self->queues.next; at != &self->queues; at = at->next) {
        const struct queue *queue = AG_OWNER(at, struct queue, all);

        waiting += queue->waiting;
    }
    if (waiting != sums->states[JOB_SCHEDULED] + sums->states[JOB_BLOCKED] + sums->queued)
        return "queues count what waits in them";
    if (sums->held != 0)
        return "what is held is held by a session";
    if (sums->bytes != self->bytes)
        return "bytes are accounted for";
    for (int state = 0; state < JOB_STATES_COUNT; state++)
        if (sums->states[state] != self->states[state])
            return "states are counted";
    core_status(self, &status);
    return status.unaccounted == 0 ? NULL : "every job that was accepted is accounted for";
}

const char *core_broken_invariant(const core_t *self)
{
    struct sums sums = {0};
    const char *broken = NULL;
    struct ag_map_node *node = NULL;

    for (struct ag_link *at = self->all_jobs.next; broken == NULL && at != &self->all_jobs;
         at = at->next)
        broken = check_job(AG_OWNER(at, struct job, all), &sums);
    if (broken == NULL)
        broken = check_lanes(self, &self->ungrouped, &sums);
    if (broken == NULL)
        broken = check_keys(self);
    if (broken == NULL)
        broken = check_schedules(self);
    while (broken == NULL && (node = ag_map_next(&self->groups, node)) != NULL) {
        const struct group *group = AG_OWNER(node, struct group, node);

        broken = check_group(self, group);
        if (broken == NULL)
            broken = check_lanes(self, &group->lanes, &sums);
    }
    node = NULL;
    while (broken == NULL && (node = ag_map_next(&self->sessions, node)) != NULL)
        broken = check_session(AG_OWNER(node, struct session, node), &sums);
    return broken != NULL ? broken : check_sums(self, &sums);
}
