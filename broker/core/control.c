/* Orders of people's tools: queues are paused and limited, workers drained, failed jobs tried
 * again, what has ended removed, schedules added and removed. Each is answered when it is durable.
 */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/assert.h"

/* What becomes of an order; `type` "" when it worked. */
struct reply {
    const char *type, *message;
};

#define DONE ((struct reply){"", ""})

static struct reply not_found(const char *message)
{
    return (struct reply){"not_found", message};
}

/* ---- queues and workers ------------------------------------------------------------------------
 */

static void change(struct queue *queue, const struct core_control *control)
{
    if (control->verb == VERB_LIMIT)
        queue->limit = control->number;
    else if (control->verb == VERB_DURABILITY)
        queue->relaxed = control->relaxed;
    else
        queue->paused = control->verb == VERB_PAUSE;
}

static int change_queue(core_t *self, const struct core_control *control, struct reply *reply)
{
    struct queue *queue;

    if (control->queue.size == 0) {
        *reply = (struct reply){"rejected.queue", "a queue has a name"};
        return 0;
    }
    queue = queue_of(self, control->queue); /* also one that is still to come */
    if (queue == NULL && self->queues_count >= QUEUES_MAX) {
        *reply = (struct reply){"rejected.queue", "the broker knows as many queues as it may"};
        return 0;
    }
    if (queue == NULL)
        return ARGOSY_ENOMEM;
    change(queue, control);
    core_tracef(self, "        queue %s: %s, limit %u, %s", queue->name,
                queue->paused ? "paused" : "open", queue->limit,
                queue->relaxed ? "relaxed" : "full");
    core_journal_other(self, RECORD_QUEUE, queue, NULL);
    if (control->verb == VERB_DURABILITY)
        queue->record = self->records;
    queue_update(self, queue);
    return 0;
}

static void begin_to_drain(core_t *self, struct session *worker)
{
    if (worker->is_draining)
        return;
    worker->is_draining = true;
    worker_update(worker);
    for (uint32_t i = 0; i < worker->offers_count; i++)
        demand_offer(self, &worker->offers[i], -1);
}

static void drain(core_t *self, const struct core_control *control, struct reply *reply)
{
    *reply = not_found("no worker has this name: argosy workers lists them");
    for (struct ag_link *at = self->all_sessions.next; at != &self->all_sessions; at = at->next) {
        struct session *worker = AG_OWNER(at, struct session, all);

        if (worker->role != PROTO_WORKER || !ag_bytes_are(control->worker, worker->name->text))
            continue;
        *reply = DONE;
        begin_to_drain(self, worker);
        core_emit(self, EFFECT_DRAIN, worker->peer)->grace_ms = control->number;
        happen(self, "worker", "draining", NULL, worker->name);
    }
}

/* ---- jobs --------------------------------------------------------------------------------------
 */

/* A terminal state is final: what is tried again is a new job like the old one. */
static int retry(core_t *self, const struct core_control *control, struct reply *reply)
{
    struct job *job = job_find(self, &control->id);
    struct proto_submit_job spec;
    const char *type, *message;
    int rc;

    if (job == NULL) {
        *reply = not_found("no such job (any more)");
        return 0;
    }
    if (job->state != JOB_FAILED && job->state != JOB_CANCELLED) {
        *reply =
            (struct reply){"rejected.state", job->state == JOB_SUCCEEDED ? "the job has succeeded"
                                                                         : "the job has not ended"};
        return 0;
    }
    if (job->is_away) { /* it was put to sleep, and cancelled before its turn */
        sleep_want_payload(self, job);
        *reply = (struct reply){"rejected.loading", "the job is being read: ask again"};
        return 0;
    }
    if (ag_id_is_zero(&control->as)) {
        *reply = (struct reply){"rejected.id", "the new job has no id"};
        return 0;
    }
    job_describe(job, &spec);
    spec.id = control->as;
    spec.group = (struct ag_id){{0}}; /* its group has ended, or is about to */
    spec.after = (struct ag_bytes){0};
    spec.unique_policy = PROTO_UNIQUE_REJECT;
    rc = submit_job(self, &spec, &type, &message);
    if (rc == 0 && type != NULL)
        *reply = (struct reply){type, message};
    return rc;
}

static bool forget_job(core_t *self, struct job *job, struct reply *reply)
{
    if (!job_has_ended(job)) {
        *reply = (struct reply){"rejected.state", "the job has not ended: cancel it first"};
    } else if (job->lane->group != NULL) {
        *reply = (struct reply){"rejected.state", "the job belongs to a group: remove that"};
    } else if (wait_is_wanted(job)) {
        *reply = (struct reply){"rejected.state", "another job waits for what it made"};
    } else {
        job_forget(self, job);
        return true;
    }
    return false;
}

static void remove_ended(core_t *self, const struct core_control *control, struct reply *reply)
{
    struct job *job = job_find(self, &control->id);
    struct group *group = group_find(self, &control->id);

    if (job != NULL) {
        forget_job(self, job, reply);
    } else if (group == NULL) {
        *reply = not_found("no such job or group (any more)");
    } else if (!group->is_ended) {
        *reply = (struct reply){"rejected.state", "the group has not ended: cancel it first"};
    } else if (!group_forget(self, group)) {
        *reply = (struct reply){"rejected.state", "somebody still reads it or waits for it"};
    }
}

/* ---- schedules ---------------------------------------------------------------------------------
 */

static int add_schedule(core_t *self, const struct core_control *control, struct reply *reply)
{
    struct schedule *schedule;
    int rc;

    if (ag_map_find(&self->schedules, &control->id) != NULL)
        return 0; /* it has been sent again */
    if (self->schedules.count >= SCHEDULES_MAX) {
        *reply = (struct reply){"rejected.full", "the broker holds as many schedules as it may"};
        return 0;
    }
    self->reason.message[0] = '\0';
    rc = schedule_new(self, control, &schedule, &self->reason);
    if (rc == ARGOSY_ENOMEM)
        return rc;
    if (rc < 0)
        *reply = (struct reply){"rejected.schedule", self->reason.message};
    else
        schedule_start(self, schedule);
    return 0;
}

static void remove_schedule(core_t *self, const struct core_control *control, struct reply *reply)
{
    struct ag_map_node *node = ag_map_find(&self->schedules, &control->id);

    if (node == NULL) {
        *reply = not_found("no such schedule (any more)");
        return;
    }
    core_journal_forget(self, SUBJECT_SCHEDULE, &control->id);
    schedule_free(self, AG_OWNER(node, struct schedule, node));
}

int on_control(core_t *self, struct session *client, const struct core_control *control)
{
    struct effect answer = {.type = EFFECT_ANSWER, .peer = client->peer};
    struct reply reply = DONE;
    int rc = core_reserve_timers(self, 2);

    if (rc < 0)
        return rc;
    switch (control->verb) {
    case VERB_PAUSE:
    case VERB_RESUME:
    case VERB_LIMIT:
    case VERB_DURABILITY:
        rc = change_queue(self, control, &reply);
        break;
    case VERB_DRAIN:
        drain(self, control, &reply);
        break;
    case VERB_RETRY:
        rc = retry(self, control, &reply);
        break;
    case VERB_REMOVE:
        remove_ended(self, control, &reply);
        break;
    case VERB_SCHEDULE_ADD:
        rc = add_schedule(self, control, &reply);
        break;
    case VERB_SCHEDULE_REMOVE:
        remove_schedule(self, control, &reply);
        break;
    case VERBS_COUNT:
        AG_ASSERT(false && "a verb");
    }
    if (rc < 0)
        return rc;
    core_tracef(self, "        control: %s", reply.type[0] != '\0' ? reply.type : "done");
    answer.answer.request = control->request;
    answer.answer.type = reply.type;
    answer.answer.message = reply.message;
    core_answer(self, &answer, NULL);
    return 0;
}
