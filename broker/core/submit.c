/* What clients change: new groups and jobs, sealing, cancelling. */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/assert.h"

/* A SUBMIT is taken in two passes: the first makes and checks everything and may fail, the second
 * only links and cannot. What is refused is refused alone. */
struct batch {
    struct group *groups[AG_MESSAGE_ITEMS_MAX]; /* new ones; NULL: known already or refused */
    struct job *places[AG_MESSAGE_ITEMS_MAX];   /* of those in their parents */
    struct job *jobs[AG_MESSAGE_ITEMS_MAX];
    struct job *replaced[AG_MESSAGE_ITEMS_MAX]; /* cancelled for the job in the same place */
    struct proto_refusal *refused;              /* room for all items */
    uint32_t refused_count, repeated, accepted;
    uint32_t retry_after_ms;
    uint64_t jobs_new, bytes_new;
};

/* Why something cannot be taken. */
struct refusal {
    const char *type, *message;
};

#define TAKEN ((struct refusal){NULL, NULL})

static struct refusal no(const char *type, const char *message)
{
    return (struct refusal){type, message};
}

static void refuse(struct batch *batch, const struct ag_id *id, struct refusal why)
{
    batch->refused[batch->refused_count++] = (struct proto_refusal){
        .id = *id, .type = ag_bytes_of_text(why.type), .message = ag_bytes_of_text(why.message)};
}

/* ---- groups ------------------------------------------------------------------------------------
 */

static struct group *group_for(const core_t *self, const struct batch *batch,
                               const struct ag_id *id)
{
    for (uint32_t i = 0; i < AG_MESSAGE_ITEMS_MAX; i++)
        if (batch->groups[i] != NULL && ag_id_equal(&batch->groups[i]->node.id, id))
            return batch->groups[i];
    return group_find(self, id);
}

static uint32_t depth_of(const struct batch *batch, const struct group *group)
{
    for (uint32_t i = 0; i < AG_MESSAGE_ITEMS_MAX; i++)
        if (batch->groups[i] == group)
            return batch->places[i] != NULL ? 1 + depth_of(batch, batch->places[i]->lane->group)
                                            : 0;
    return group->depth;
}

/* A group in a group takes a place there as a job does. */
static int make_place(core_t *self, const struct proto_group *spec, struct batch *batch,
                      uint32_t number, struct refusal *why)
{
    struct group *parent = group_for(self, batch, &spec->parent);

    if (parent == NULL || parent->sealed)
        *why = no("rejected.group", parent ? "the parent is sealed" : "no such parent");
    else if (depth_of(batch, parent) + 1 >= AG_NESTING_MAX)
        *why = no("rejected.group", "groups are nested deeper than 8 levels");
    if (why->type != NULL)
        return 0;
    batch->places[number] = place_new(self, &spec->id, parent);
    return batch->places[number] != NULL ? 0 : ARGOSY_ENOMEM;
}

static int make_group(core_t *self, const struct proto_group *spec, struct batch *batch,
                      uint32_t number)
{
    struct refusal why = TAKEN;

    if (group_for(self, batch, &spec->id) != NULL)
        return 0; /* it has been sent again */
    if (self->stopping)
        why = no("rejected.stopping", "the broker is stopping");
    else if (!ag_id_is_zero(&spec->parent) && make_place(self, spec, batch, number, &why) < 0)
        return ARGOSY_ENOMEM;
    if (why.type != NULL) {
        refuse(batch, &spec->id, why);
        return 0;
    }
    batch->groups[number] = group_new(spec);
    return batch->groups[number] != NULL ? 0 : ARGOSY_ENOMEM;
}

/* ---- jobs --------------------------------------------------------------------------------------
 */

/* Room is shared: what is almost full takes no more of whoever has much of it, so that a batch of a
 * million does not keep out one of ten. A quarter is left for results, so that what is queued can
 * always run. */
static bool is_full(const core_t *self, const struct batch *batch, const struct group *group)
{
    uint64_t jobs = self->jobs.count + self->sleepers.count + batch->jobs_new,
             bytes = self->bytes + batch->bytes_new;
    uint64_t jobs_max = self->config.jobs_max, bytes_max = self->config.bytes_max / 4 * 3;
    uint64_t of_same =
        group != NULL ? group->counts.total - group->released_count : self->ungrouped_live;

    if (of_same > jobs_max / 16 || of_same > (self->jobs.count + self->sleepers.count) / 2) {
        jobs_max -= jobs_max / 16;
        bytes_max -= bytes_max / 16;
    }
    return jobs >= jobs_max || bytes >= bytes_max;
}

/* For a while, whatever the job is like: TAKEN when there is room. */
static struct refusal check_room(const core_t *self, const struct batch *batch,
                                 const struct group *group)
{
    if (is_full(self, batch, group))
        return no("rejected.full", "the broker holds as many jobs as it may");
    if (self->store_is_full)
        return no("rejected.full", "the broker's disk is full: jobs are taken when it has room");
    if (self->records - self->committed > RECORDS_WAITING_MAX)
        return no("rejected.full", "the broker's disk is too slow for so many jobs at once");
    return TAKEN;
}

static struct refusal check_group(struct group *group)
{
    if (group == NULL)
        return no("rejected.group", "no such group");
    return group->sealed ? no("rejected.group", "the group is sealed") : TAKEN;
}

/* Why this job cannot be taken. Sets the group it belongs to. */
static struct refusal why_not(core_t *self, struct batch *batch,
                              const struct proto_submit_job *spec, struct group **group)
{
    struct refusal why = TAKEN;

    *group = NULL;
    if (self->stopping)
        return no("rejected.stopping", "the broker is stopping");
    if (spec->payload.size > AG_PAYLOAD_BYTES_MAX)
        return no("rejected.payload",
                  "the payload is larger than 512 KiB: hand large input on by reference");
    if (spec->kind.size == 0)
        return no("rejected.kind", "the kind is empty");
    if (ag_bytes_are(spec->kind, "group"))
        return no("rejected.kind", "the kind 'group' stands for groups in groups");
    if (spec->unique.size > 0 && spec->unique_policy != PROTO_UNIQUE_REJECT && spec->after.size > 0)
        return no("rejected.unique", "a job that waits for others can only be rejected");
    if (!ag_id_is_zero(&spec->group)) {
        *group = group_for(self, batch, &spec->group);
        why = check_group(*group);
        if (why.type != NULL)
            return why;
    }
    why = check_room(self, batch, *group);
    if (why.type != NULL) {
        batch->retry_after_ms = RETRY_FULL_MS;
        return why;
    }
    if (kind_find(self, spec->kind) == NULL && self->kinds_count >= KINDS_MAX)
        return no("rejected.kind", "the broker knows as many kinds as it may");
    if (spec->queue.size > 0 && queue_find(self, spec->queue) == NULL &&
        self->queues_count >= QUEUES_MAX)
        return no("rejected.queue", "the broker knows as many queues as it may");
    return TAKEN;
}

static struct job *job_for(core_t *self, const struct batch *batch, uint32_t place,
                           const struct ag_id *id)
{
    for (uint32_t i = 0; i < place; i++)
        if (batch->jobs[i] != NULL && ag_id_equal(&batch->jobs[i]->node.id, id))
            return batch->jobs[i];
    return job_find(self, id);
}

static bool is_inside(const struct group *group, const struct group *other)
{
    for (; group != NULL; group = group->parent)
        if (group == other)
            return true;
    return false;
}

/* What it waits for is known already, and nothing can be added to it. */
static int make_waits(core_t *self, const struct proto_submit_job *spec, struct batch *batch,
                      uint32_t place, struct refusal *why)
{
    struct job *job = batch->jobs[place];

    for (size_t at = 0; at < spec->after.size; at += sizeof(struct ag_id)) {
        struct ag_id id;
        struct job *other;
        struct group *group;

        memcpy(&id, spec->after.data + at, sizeof id);
        other = job_for(self, batch, place, &id);
        group = other == NULL ? group_find(self, &id) : NULL;
        if (other == NULL && group == NULL)
            *why = no("rejected.after", "what it is to come after is not known here (any more)");
        else if (group != NULL && !group->is_complete)
            *why = no("rejected.after", "a group is waited for only when it is sealed");
        else if (group != NULL && is_inside(job->lane->group, group))
            *why = no("rejected.after", "it would wait for its own end");
        if (why->type != NULL)
            return 0;
        if (wait_add(job, other, group) < 0)
            return ARGOSY_ENOMEM;
    }
    if (spec->after.size > 0)
        job->extra->mode = spec->after_any ? WAIT_ANY : WAIT_ALL;
    return 0;
}

static struct job *holder_of(const core_t *self, const struct batch *batch, uint32_t place,
                             struct ag_bytes unique)
{
    for (uint32_t i = place; i > 0; i--) {
        const struct job *job = batch->jobs[i - 1];

        if (job != NULL && job->extra != NULL && job->extra->unique != NULL &&
            ag_bytes_are(unique, job->extra->unique->text))
            return batch->jobs[i - 1];
    }
    return unique_find(self, unique);
}

static int make_unique(core_t *self, const struct proto_submit_job *spec, struct batch *batch,
                       uint32_t place, struct refusal *why)
{
    struct job *job = batch->jobs[place];
    struct job *holder = holder_of(self, batch, place, spec->unique);

    if (holder != NULL && spec->unique_policy == PROTO_UNIQUE_REJECT) {
        *why = no("rejected.unique", "a job with the same unique key has not ended yet");
        return 0;
    }
    if (holder != NULL && wait_add(job, holder, NULL) < 0)
        return ARGOSY_ENOMEM;
    if (holder != NULL && spec->unique_policy == PROTO_UNIQUE_JOIN) {
        job->extra->mode = WAIT_JOIN;
        return 0;
    }
    if (holder != NULL) {
        job->extra->mode = WAIT_REPLACE;
        batch->replaced[place] = holder;
    }
    return unique_make(job, spec->unique);
}

static int make_job(core_t *self, const struct proto_submit_job *spec, struct batch *batch,
                    uint32_t place)
{
    struct group *group;
    struct kind *kind;
    struct queue *queue;
    struct lane *lane;
    struct refusal why;
    struct job *job;

    if (sleep_knows(self, &spec->id) || job_for(self, batch, place, &spec->id) != NULL) {
        batch->repeated++; /* what was accepted once is never refused later */
        return 0;
    }
    why = why_not(self, batch, spec, &group);
    if (why.type != NULL) {
        refuse(batch, &spec->id, why);
        return 0;
    }
    if ((kind = kind_of(self, spec->kind)) == NULL ||
        (queue = queue_of(self, spec->queue.size > 0 ? spec->queue : spec->kind)) == NULL ||
        (group != NULL && group_reserve(group, 2 * AG_MESSAGE_ITEMS_MAX) < 0))
        return ARGOSY_ENOMEM;
    lane = lane_of(self, kind, queue, group, spec->priority, spec->requires);
    if (lane == NULL) {
        refuse(batch, &spec->id,
               no("rejected.queue", "too many different queues, priorities and tags in one batch"));
        return 0;
    }
    if ((job = batch->jobs[place] = job_new(self, spec, lane)) == NULL)
        return ARGOSY_ENOMEM;
    if (make_waits(self, spec, batch, place, &why) < 0 ||
        (why.type == NULL && spec->unique.size > 0 &&
         make_unique(self, spec, batch, place, &why) < 0))
        return ARGOSY_ENOMEM;
    if (why.type != NULL) {
        refuse(batch, &spec->id, why);
        job_drop(self, job);
        batch->jobs[place] = NULL;
        return 0;
    }
    batch->jobs_new++;
    batch->bytes_new += job_bytes(job);
    return 0;
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

static int make_batch(core_t *self, const struct proto_submit *submit, struct batch *batch)
{
    batch->refused = calloc(submit->groups_count + submit->jobs_count + 1, sizeof *batch->refused);
    if (batch->refused == NULL)
        return ARGOSY_ENOMEM;
    for (uint32_t i = 0; i < submit->groups_count; i++)
        if (make_group(self, &submit->groups[i], batch, i) < 0)
            return ARGOSY_ENOMEM;
    for (uint32_t i = 0; i < submit->jobs_count; i++)
        if (make_job(self, &submit->jobs[i], batch, i) < 0)
            return ARGOSY_ENOMEM;
    return core_reserve_timers(self, 3 * (submit->jobs_count + submit->groups_count));
}

/* Nothing of it is linked anywhere yet. */
static void drop_batch(core_t *self, struct batch *batch)
{
    for (uint32_t i = AG_MESSAGE_ITEMS_MAX; i > 0; i--) {
        if (batch->jobs[i - 1] != NULL)
            job_drop(self, batch->jobs[i - 1]);
        if (batch->places[i - 1] != NULL)
            job_drop(self, batch->places[i - 1]);
    }
    for (uint32_t i = 0; i < AG_MESSAGE_ITEMS_MAX; i++)
        if (batch->groups[i] != NULL)
            group_free(self, batch->groups[i]);
    free(batch->refused);
}

static void accept_job(core_t *self, struct batch *batch, uint32_t place, uint32_t delay_ms)
{
    struct job *job = batch->jobs[place];

    if (job == NULL)
        return;
    if (job->extra != NULL && job->extra->unique != NULL)
        unique_take(self, job);
    job_accept(self, job, self->now + delay_ms);
    if (job->extra != NULL)
        wait_begin(self, job);
    if (batch->replaced[place] != NULL)
        job_cancel(self, batch->replaced[place]);
    batch->accepted++;
}

static void accept_batch(core_t *self, const struct proto_submit *submit, struct batch *batch)
{
    for (uint32_t i = 0; i < submit->groups_count; i++)
        if (batch->groups[i] != NULL)
            group_accept(self, batch->groups[i], batch->places[i], submit->groups[i].deadline_ms);
    for (uint32_t i = 0; i < submit->jobs_count; i++)
        accept_job(self, batch, i, submit->jobs[i].delay_ms);
    self->counters.repeated += batch->repeated;
    self->counters.refused += batch->refused_count;
}

/* Where such a job waits, or would: NULL, in a queue that is not known. */
static const struct queue *queue_for(const core_t *self, const struct proto_submit_job *spec)
{
    const struct lane *lane = sleep_lane_of(self, &spec->id);

    if (lane != NULL)
        return lane->queue;
    return queue_find(self, spec->queue.size > 0 ? spec->queue : spec->kind);
}

/* It makes or repeats relaxed jobs and nothing else. Their groups are told of as early as they
 * are: whatever else comes into them has a later record, and is told of when theirs is durable. */
static bool is_relaxed(const core_t *self, const struct proto_submit *submit)
{
    for (uint32_t i = 0; i < submit->jobs_count; i++) {
        const struct queue *queue = queue_for(self, &submit->jobs[i]);

        if (queue == NULL || !queue_is_relaxed(self, queue))
            return false;
    }
    return submit->jobs_count > 0;
}

int on_submit(core_t *self, struct session *client, const struct proto_submit *submit)
{
    struct effect answer = {.type = EFFECT_ACCEPTED, .peer = client->peer};
    struct batch batch = {0};

    if (make_batch(self, submit, &batch) < 0) {
        drop_batch(self, &batch);
        return ARGOSY_ENOMEM;
    }
    accept_batch(self, submit, &batch);
    core_tracef(self, "        accepted %u, repeated %u, refused %u", batch.accepted,
                batch.repeated, batch.refused_count);
    answer.accepted.request = submit->request;
    answer.accepted.accepted = batch.accepted;
    answer.accepted.repeated = batch.repeated;
    answer.accepted.refused_count = batch.refused_count;
    answer.accepted.refused = batch.refused;
    answer.accepted.retry_after_ms = batch.retry_after_ms;
    if (is_relaxed(self, submit))
        core_answer_at_once(self, &answer, batch.refused);
    else
        core_answer(self, &answer, batch.refused);
    return 0;
}

int submit_job(core_t *self, const struct proto_submit_job *spec, const char **type,
               const char **message)
{
    struct batch batch = {.refused = calloc(1, sizeof *batch.refused)};

    *type = *message = NULL;
    if (batch.refused == NULL || make_job(self, spec, &batch, 0) < 0 ||
        core_reserve_timers(self, 3) < 0) {
        drop_batch(self, &batch);
        return ARGOSY_ENOMEM;
    }
    if (batch.refused_count > 0) { /* both are constants */
        *type = (const char *)batch.refused[0].type.data;
        *message = (const char *)batch.refused[0].message.data;
    }
    accept_job(self, &batch, 0, spec->delay_ms);
    free(batch.refused);
    return 0;
}

static void cancel_job(core_t *self, struct job *job, struct effect *answer)
{
    if (job_has_ended(job))
        answer->answer.ended++;
    else if (job_is_held(job))
        answer->answer.cancelling++;
    else
        answer->answer.cancelled++;
    job_cancel(self, job);
}

static void cancel_group(core_t *self, struct group *group, struct effect *answer)
{
    answer->answer.cancelled += group->counts.waiting;
    answer->answer.cancelling += group->counts.running;
    answer->answer.ended += group->ended_count;
    group_cancel(self, group, "cancelled", false);
}

int on_cancel(core_t *self, struct session *client, const struct proto_cancel *cancel)
{
    struct effect answer = {.type = EFFECT_ANSWER, .peer = client->peer};
    struct ag_id *unknown = calloc(cancel->count + 1, sizeof *unknown);

    if (unknown == NULL)
        return ARGOSY_ENOMEM;
    for (uint32_t i = 0; i < cancel->count; i++) {
        struct job *job = job_find(self, &cancel->targets[i]);
        struct group *group = group_find(self, &cancel->targets[i]);

        if (job != NULL)
            cancel_job(self, job, &answer);
        else if (group != NULL)
            cancel_group(self, group, &answer);
        else
            unknown[answer.answer.unknown_count++] = cancel->targets[i];
    }
    answer.answer.request = cancel->request;
    answer.answer.type = answer.answer.message = "";
    answer.answer.unknown = unknown;
    core_answer(self, &answer, unknown);
    return 0;
}

int on_seal(core_t *self, struct session *client, const struct proto_seal *seal)
{
    struct effect answer = {.type = EFFECT_ANSWER, .peer = client->peer};
    struct group *group = group_find(self, &seal->group);

    answer.answer.request = seal->request;
    answer.answer.type = group ? "" : "not_found";
    answer.answer.message = group ? "" : "no such group";
    if (group != NULL)
        group_seal(self, group);
    core_answer(self, &answer, NULL);
    return 0;
}
