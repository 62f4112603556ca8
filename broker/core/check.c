/* What must hold between any two steps; tests and the simulator ask after each one. */
#include "broker/core/state.h"

struct sums {
    uint64_t bytes, queued, held, states[JOB_STATES_COUNT];
};

static const char *check_job(const struct job *job, struct sums *sums)
{
    sums->states[job->state]++;
    sums->bytes += job_bytes(job);
    sums->queued += job->state == JOB_QUEUED;
    sums->held += job_is_held(job);
    if (job_is_held(job) != (job->worker != NULL))
        return "a job is at a worker exactly while it is held";
    if (job_is_held(job) && job->attempt == 0)
        return "what runs has an attempt number";
    if (job->state == JOB_SCHEDULED && job->timer.heap.place == 0)
        return "what waits for its time has a timer";
    if (job->state == JOB_CANCELLING && job->timer.heap.place == 0)
        return "an unconfirmed cancel is asked for again";
    if (job_has_ended(job) && ag_link_is_listed(&job->link))
        return "what has ended is in no queue";
    if (job_has_ended(job) && job->lane->group == NULL && job->timer.heap.place == 0)
        return "what has ended is forgotten some day";
    if (job->state == JOB_QUEUED && !ag_link_is_listed(&job->link))
        return "what is queued is in its lane";
    if (job->lane->group != NULL && ag_link_is_listed(&job->member) == job_has_ended(job))
        return "a group lists exactly its jobs that have not ended";
    return NULL;
}

static const char *check_group(const struct group *group)
{
    const struct proto_counts *n = &group->counts;

    if (n->total != n->waiting + n->running + n->succeeded + n->failed + n->cancelled)
        return "a group's counts add up";
    if (group->ended_count != n->succeeded + n->failed + n->cancelled)
        return "a group lists each end once";
    if (group->concurrency > 0 && n->running > group->concurrency)
        return "no more of a group run than it allows";
    if (group->is_ended != (group->sealed && group->ended_count == n->total))
        return "a group ends when it is sealed and its last job has ended";
    if (group->is_ended && group->timer.heap.place == 0)
        return "a group that has ended is forgotten some day";
    if (group->cancelling && group->policy == PROTO_GATHER && group->failure[0] == '\0')
        return "a gather is never cancelled by its own failures";
    for (size_t i = 0; i < group->ended_count; i++)
        if ((group->ended[i] == NULL) != (i < group->released_count))
            return "a group has released a prefix of its ends";
    return NULL;
}

static bool lane_may_run(const struct lane *lane)
{
    const struct group *group = lane->group;

    return !ag_list_is_empty(&lane->jobs) &&
           (group == NULL || (!group->cancelling && (group->concurrency == 0 ||
                                                     group->counts.running < group->concurrency)));
}

static const char *check_lanes(const struct group *group)
{
    for (struct ag_link *at = group->lanes.next; at != &group->lanes; at = at->next) {
        const struct lane *lane = AG_OWNER(at, struct lane, of_group);

        if (ag_link_is_listed(&lane->turn) != lane_may_run(lane))
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
        if (ag_link_is_listed(&offer->idle) != (offer->held < offer->credit))
            return "an offer is idle exactly while it has credit to spare";
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

static const char *check_sums(const core_t *self, const struct sums *sums)
{
    uint64_t queued = 0;
    struct core_status status;

    for (struct ag_link *at = self->kinds.next; at != &self->kinds; at = at->next)
        queued += AG_OWNER(at, struct kind, all)->queued;
    if (queued != sums->queued)
        return "kinds count what is queued";
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

    while (broken == NULL && (node = ag_map_next(&self->jobs, node)) != NULL)
        broken = check_job(AG_OWNER(node, struct job, node), &sums);
    node = NULL;
    while (broken == NULL && (node = ag_map_next(&self->groups, node)) != NULL) {
        const struct group *group = AG_OWNER(node, struct group, node);

        broken = check_group(group);
        if (broken == NULL)
            broken = check_lanes(group);
    }
    node = NULL;
    while (broken == NULL && (node = ag_map_next(&self->sessions, node)) != NULL)
        broken = check_session(AG_OWNER(node, struct session, node), &sums);
    return broken != NULL ? broken : check_sums(self, &sums);
}
