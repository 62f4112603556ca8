/* What clients change: new groups and jobs, sealing, cancelling. */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/assert.h"

/* A SUBMIT is taken in two passes: the first makes and checks everything and may fail, the second
 * only links and cannot. What is refused is refused alone. */
struct batch {
    struct group *groups[AG_MESSAGE_ITEMS_MAX]; /* new ones; NULL: known already or refused */
    struct job *jobs[AG_MESSAGE_ITEMS_MAX];
    struct proto_refusal *refused; /* room for all items */
    uint32_t refused_count, repeated, accepted;
    uint32_t retry_after_ms;
    uint64_t jobs_new, bytes_new;
};

static void refuse(struct batch *batch, const struct ag_id *id, const char *type,
                   const char *message)
{
    batch->refused[batch->refused_count++] = (struct proto_refusal){
        .id = *id, .type = ag_bytes_of_text(type), .message = ag_bytes_of_text(message)};
}

static int make_group(core_t *self, const struct proto_group *spec, struct batch *batch,
                      uint32_t place)
{
    if (group_find(self, &spec->id) != NULL)
        return 0; /* it has been sent again */
    for (uint32_t i = 0; i < place; i++)
        if (batch->groups[i] != NULL && ag_id_equal(&batch->groups[i]->node.id, &spec->id))
            return 0;
    if (self->stopping) {
        refuse(batch, &spec->id, "rejected.stopping", "the broker is stopping");
        return 0;
    }
    batch->groups[place] = group_new(spec);
    return batch->groups[place] != NULL ? 0 : ARGOSY_ENOMEM;
}

static struct group *group_for(const core_t *self, const struct batch *batch,
                               const struct ag_id *id)
{
    for (uint32_t i = 0; i < AG_MESSAGE_ITEMS_MAX; i++)
        if (batch->groups[i] != NULL && ag_id_equal(&batch->groups[i]->node.id, id))
            return batch->groups[i];
    return group_find(self, id);
}

/* Why this job cannot be taken; NULL if it can. Sets the group it belongs to. */
static const char *why_not(const core_t *self, struct batch *batch,
                           const struct proto_submit_job *spec, struct group **group,
                           const char **message)
{
    *group = NULL;
    if (self->stopping) {
        *message = "the broker is stopping";
        return "rejected.stopping";
    }
    if (spec->payload.size > AG_PAYLOAD_BYTES_MAX) {
        *message = "the payload is larger than 512 KiB: hand large input on by reference";
        return "rejected.payload";
    }
    if (spec->kind.size == 0) {
        *message = "the kind is empty";
        return "rejected.kind";
    }
    if (!ag_id_is_zero(&spec->group)) {
        *group = group_for(self, batch, &spec->group);
        if (*group == NULL || (*group)->sealed) {
            *message = *group ? "the group is sealed" : "no such group";
            return "rejected.group";
        }
    }
    /* A quarter is left for results, so that what is queued can always run. */
    if (self->jobs.count + batch->jobs_new >= self->config.jobs_max ||
        self->bytes + batch->bytes_new >= self->config.bytes_max / 4 * 3) {
        batch->retry_after_ms = RETRY_FULL_MS;
        *message = "the broker holds as many jobs as it may";
        return "rejected.full";
    }
    return NULL;
}

static bool is_in_batch(const struct batch *batch, uint32_t place, const struct ag_id *id)
{
    for (uint32_t i = 0; i < place; i++)
        if (batch->jobs[i] != NULL && ag_id_equal(&batch->jobs[i]->node.id, id))
            return true;
    return false;
}

static int make_job(core_t *self, const struct proto_submit_job *spec, struct batch *batch,
                    uint32_t place)
{
    struct group *group;
    struct kind *kind;
    struct lane *lane;
    const char *type, *message;

    if (job_find(self, &spec->id) != NULL || is_in_batch(batch, place, &spec->id)) {
        batch->repeated++; /* what was accepted once is never refused later */
        return 0;
    }
    type = why_not(self, batch, spec, &group, &message);
    if (type != NULL) {
        refuse(batch, &spec->id, type, message);
        return 0;
    }
    if (kind_find(self, spec->kind) == NULL && self->kinds_count >= KINDS_MAX) {
        refuse(batch, &spec->id, "rejected.kind", "the broker knows as many kinds as it may");
        return 0;
    }
    if ((kind = kind_of(self, spec->kind)) == NULL || (lane = lane_of(kind, group)) == NULL ||
        (group != NULL && group_reserve(group, AG_MESSAGE_ITEMS_MAX) < 0) ||
        (batch->jobs[place] = job_new(spec, lane)) == NULL)
        return ARGOSY_ENOMEM;
    batch->jobs_new++;
    batch->bytes_new += job_bytes(batch->jobs[place]);
    return 0;
}

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
    return ag_heap_reserve(&self->timers, self->jobs.count + self->groups.count +
                                              self->sessions.count + submit->jobs_count +
                                              submit->groups_count);
}

/* Nothing of it is linked anywhere yet. */
static void drop_batch(struct batch *batch)
{
    for (uint32_t i = 0; i < AG_MESSAGE_ITEMS_MAX; i++) {
        if (batch->jobs[i] != NULL) {
            free((void *)batch->jobs[i]->payload.data);
            free(batch->jobs[i]->selectors);
            free(batch->jobs[i]);
        }
    }
    for (uint32_t i = 0; i < AG_MESSAGE_ITEMS_MAX; i++)
        if (batch->groups[i] != NULL)
            group_free(batch->groups[i]);
    free(batch->refused);
}

int on_submit(core_t *self, struct session *client, const struct proto_submit *submit)
{
    struct effect answer = {.type = EFFECT_ACCEPTED, .peer = client->peer};
    struct batch batch = {0};

    if (make_batch(self, submit, &batch) < 0) {
        drop_batch(&batch);
        return ARGOSY_ENOMEM;
    }
    for (uint32_t i = 0; i < submit->groups_count; i++)
        if (batch.groups[i] != NULL)
            group_accept(self, batch.groups[i], submit->groups[i].deadline_ms);
    for (uint32_t i = 0; i < submit->jobs_count; i++) {
        if (batch.jobs[i] == NULL)
            continue;
        job_accept(self, batch.jobs[i], submit->jobs[i].delay_ms);
        batch.accepted++;
    }
    self->counters.repeated += batch.repeated;
    self->counters.refused += batch.refused_count;
    core_tracef(self, "        accepted %u, repeated %u, refused %u", batch.accepted,
                batch.repeated, batch.refused_count);
    answer.accepted.request = submit->request;
    answer.accepted.accepted = batch.accepted;
    answer.accepted.repeated = batch.repeated;
    answer.accepted.refused_count = batch.refused_count;
    answer.accepted.refused = batch.refused;
    answer.accepted.retry_after_ms = batch.retry_after_ms;
    core_answer(self, &answer, batch.refused);
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
    group_seal(self, group); /* nothing more belongs to what was cancelled */
    group_cancel(self, group, "cancelled");
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
