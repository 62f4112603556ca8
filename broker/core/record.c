/* The journal's records as bytes, and back: what core_restore() takes in order makes the core that
 * wrote them, but for what runs: that is queued again until its worker comes back with it.
 *
 * A record is a msgpack array that begins with its number (enum core_record). Times are unix time,
 * for the clock of another life of the broker counts from elsewhere. A later version adds fields at
 * the end.
 */
#include <msgpack/pack.h>
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/assert.h"
#include "common/error.h"
#include "common/wire.h"

/* ---- writing -----------------------------------------------------------------------------------
 */

static void put_bin(msgpack_packer *p, struct ag_bytes bytes)
{
    if (bytes.data == NULL) {
        msgpack_pack_nil(p);
        return;
    }
    msgpack_pack_bin(p, bytes.size);
    if (bytes.size > 0)
        msgpack_pack_bin_body(p, bytes.data, bytes.size);
}

static void put_id(msgpack_packer *p, const struct ag_id *id)
{
    put_bin(p, ag_bytes_of(id, sizeof *id));
}

static void put_text(msgpack_packer *p, const char *text)
{
    msgpack_pack_str_with_body(p, text, strlen(text));
}

static void put_bool(msgpack_packer *p, bool value)
{
    if (value)
        msgpack_pack_true(p);
    else
        msgpack_pack_false(p);
}

static uint64_t unix_of(const core_t *self, int64_t at)
{
    int64_t unix_ms = at + self->config.unix_offset_ms;

    return unix_ms > 0 ? (uint64_t)unix_ms : 0;
}

static void put_group(const core_t *self, msgpack_packer *p, const struct group *group)
{
    const struct ag_id none = {{0}};

    msgpack_pack_array(p, 16);
    msgpack_pack_int(p, RECORD_GROUP);
    put_id(p, &group->node.id);
    put_id(p, group->parent != NULL ? &group->parent->node.id : &none);
    put_text(p, group->name);
    msgpack_pack_int(p, group->policy);
    msgpack_pack_uint32(p, group->failures_max);
    msgpack_pack_uint32(p, group->failures_percent);
    msgpack_pack_uint32(p, group->successes);
    msgpack_pack_uint32(p, group->successes_min);
    put_bool(p, group->is_gentle);
    msgpack_pack_uint32(p, group->concurrency);
    msgpack_pack_uint32(p, group->rate_per_minute);
    msgpack_pack_uint32(p, group->ttl_ms);
    msgpack_pack_uint32(p, group->deadline_ms);
    msgpack_pack_uint64(p, unix_of(self, group->accepted_at));
    msgpack_pack_nil(p);
}

/* What it still waits for, or waited for: the ids in their order. */
static void pack_waits(const struct job *job, struct ag_buffer *out)
{
    if (job->extra == NULL)
        return;
    for (struct ag_link *at = job->extra->waits.next; at != &job->extra->waits; at = at->next) {
        const struct wait *wait = AG_OWNER(at, struct wait, of_waiter);

        if (wait->job != NULL || wait->group != NULL)
            ag_buffer_append(out, wait->job != NULL ? &wait->job->node.id : &wait->group->node.id,
                             sizeof(struct ag_id));
    }
}

static void put_job(const core_t *self, msgpack_packer *p, const struct job *job)
{
    struct ag_buffer waits = ag_buffer_empty(2 * AG_AFTER_MAX * sizeof(struct ag_id));
    struct proto_submit_job spec;

    job_describe(job, &spec);
    pack_waits(job, &waits);
    spec.after = waits.size > 0 ? ag_buffer_bytes(&waits) : ag_bytes_of_text("");
    msgpack_pack_array(p, 5);
    msgpack_pack_int(p, RECORD_JOB);
    msgpack_pack_int(p, job->extra != NULL ? job->extra->mode : WAIT_ALL);
    msgpack_pack_uint64(p, unix_of(self, job->since));
    msgpack_pack_uint64(p, unix_of(self, job->due_at));
    ag_proto_encode_job(p->data, &spec);
    if (waits.failed)
        ((struct ag_buffer *)p->data)->failed = true;
    ag_buffer_free(&waits);
}

static void put_attempt(msgpack_packer *p, const struct attempt *attempt)
{
    ag_proto_append_attempt(
        p->data, &(struct proto_attempt){.attempt = attempt->attempt,
                                         .worker = ag_bytes_of_text(attempt->worker->text),
                                         .started_unix_ms = attempt->started_unix_ms,
                                         .run_ms = attempt->run_ms,
                                         .type = ag_bytes_of_text(attempt->type),
                                         .message = ag_bytes_of_text(attempt->message)});
}

static void put_attempts(msgpack_packer *p, const struct attempt *newest, uint32_t count)
{
    msgpack_pack_array(p, count);
    for (; count > 0; count--, newest = newest->next)
        put_attempt(p, newest);
}

static void put_attempt_record(const core_t *self, msgpack_packer *p, const struct job *job)
{
    msgpack_pack_array(p, 7);
    msgpack_pack_int(p, RECORD_ATTEMPT);
    put_id(p, &job->node.id);
    msgpack_pack_uint32(p, job->attempt);
    msgpack_pack_uint32(p, job->failures);
    msgpack_pack_uint32(p, job->losses);
    msgpack_pack_uint64(p, unix_of(self, job->due_at));
    put_attempts(p, job->attempts, 1);
}

static void put_end(const core_t *self, msgpack_packer *p, const struct job *job)
{
    uint32_t count = 0;

    for (const struct attempt *at = job->attempts; at != NULL; at = at->next)
        count++;
    msgpack_pack_array(p, 14);
    msgpack_pack_int(p, RECORD_END);
    put_id(p, &job->node.id);
    msgpack_pack_int(p, job->state);
    msgpack_pack_uint32(p, job->attempt);
    msgpack_pack_uint32(p, job->failures);
    msgpack_pack_uint32(p, job->losses);
    msgpack_pack_uint32(p, job->releases);
    put_text(p, job->worker_name != NULL ? job->worker_name->text : "");
    msgpack_pack_uint32(p, job->queued_ms);
    msgpack_pack_uint32(p, job->run_ms);
    put_bin(p, job->result);
    put_bin(p, job->error);
    msgpack_pack_uint64(p, unix_of(self, job->since));
    put_attempts(p, job->attempts, count);
}

static void put_stop(msgpack_packer *p, const struct group *group)
{
    msgpack_pack_array(p, 4);
    msgpack_pack_int(p, RECORD_STOP);
    put_id(p, &group->node.id);
    put_text(p, group->failure);
    put_bool(p, group->spares);
}

static void put_queue(msgpack_packer *p, const struct queue *queue)
{
    msgpack_pack_array(p, 4);
    msgpack_pack_int(p, RECORD_QUEUE);
    put_text(p, queue->name);
    put_bool(p, queue->paused);
    msgpack_pack_uint32(p, queue->limit);
}

static void put_schedule(msgpack_packer *p, const struct schedule *schedule)
{
    const struct core_rule *rule = &schedule->rule;
    bool ends = schedule->next_unix_ms == INT64_MAX;

    msgpack_pack_array(p, 12);
    msgpack_pack_int(p, RECORD_SCHEDULE);
    put_id(p, &schedule->node.id);
    put_text(p, schedule->name);
    msgpack_pack_uint64(p, (uint64_t)rule->at_unix_ms);
    msgpack_pack_uint64(p, rule->every_ms);
    put_bin(p, rule->cron.data != NULL ? rule->cron : ag_bytes_of_text(""));
    put_bin(p, rule->zone.data != NULL ? rule->zone : ag_bytes_of_text(""));
    msgpack_pack_uint32(p, rule->times);
    msgpack_pack_int(p, schedule->catch_up);
    msgpack_pack_uint64(p, ends ? UINT64_MAX : (uint64_t)schedule->next_unix_ms);
    msgpack_pack_uint64(p, schedule->fired);
    put_bin(p, schedule->job);
}

/* For PLANTED(CANCEL_FORGOTTEN): a record that changes nothing. */
static void put_nothing(struct ag_buffer *out)
{
    const struct ag_id none = {{0}};
    msgpack_packer packer;

    msgpack_packer_init(&packer, out, ag_buffer_write);
    msgpack_pack_array(&packer, 2);
    msgpack_pack_int(&packer, RECORD_FORGET);
    put_id(&packer, &none);
}

void core_write_record(const core_t *self, const struct effect *effect, struct ag_buffer *out)
{
    enum core_record record = effect->journal.record;
    msgpack_packer packer, *p = &packer;

    if (PLANTED(CANCEL_FORGOTTEN) && (record == RECORD_STOP || record == RECORD_CANCEL)) {
        put_nothing(out);
        return;
    }
    msgpack_packer_init(p, out, ag_buffer_write);
    switch (record) {
    case RECORD_GROUP:
        put_group(self, p, effect->journal.group);
        break;
    case RECORD_JOB:
        put_job(self, p, effect->journal.job);
        break;
    case RECORD_ATTEMPT:
        put_attempt_record(self, p, effect->journal.job);
        break;
    case RECORD_END:
        put_end(self, p, effect->journal.job);
        break;
    case RECORD_STOP:
        put_stop(p, effect->journal.group);
        break;
    case RECORD_QUEUE:
        put_queue(p, effect->journal.queue);
        break;
    case RECORD_SCHEDULE:
        put_schedule(p, effect->journal.schedule);
        break;
    case RECORD_ENDED:
        msgpack_pack_array(p, 3);
        msgpack_pack_int(p, record);
        put_id(p, &effect->journal.id);
        msgpack_pack_uint64(p, unix_of(self, effect->journal.group->ended_at));
        break;
    case RECORD_SEAL:
    case RECORD_CANCEL:
    case RECORD_FORGET:
        msgpack_pack_array(p, 2);
        msgpack_pack_int(p, record);
        put_id(p, &effect->journal.id);
        break;
    }
}

/* ---- reading -----------------------------------------------------------------------------------
 */

static int64_t at_of(const core_t *self, uint64_t unix_ms)
{
    return (int64_t)unix_ms - self->config.unix_offset_ms;
}

static int unsound(struct argosy_error *err, const char *what)
{
    return ag_fail(err, ARGOSY_EPROTO, "the journal is not sound: %s", what);
}

static int no_memory(struct argosy_error *err)
{
    return ag_fail(err, ARGOSY_ENOMEM, "no memory for what the journal holds");
}

static int restore_group(core_t *self, struct ag_reader *r, struct argosy_error *err)
{
    struct proto_group spec = {0};
    struct job *place = NULL;
    struct group *group;
    uint64_t accepted_unix;

    spec.id = ag_read_id(r);
    spec.parent = ag_read_id(r);
    spec.name = ag_read_text(r, AG_TEXT_BYTES_MAX);
    spec.policy = (enum proto_policy)ag_read_whole(r, PROTO_RACE);
    spec.failures_max = (uint32_t)ag_read_whole(r, UINT32_MAX);
    spec.failures_percent = (uint32_t)ag_read_whole(r, 100);
    spec.successes = (uint32_t)ag_read_whole(r, UINT32_MAX);
    spec.successes_min = (uint32_t)ag_read_whole(r, UINT32_MAX);
    spec.is_gentle = ag_read_bool(r);
    spec.concurrency = (uint32_t)ag_read_whole(r, UINT32_MAX);
    spec.rate_per_minute = (uint32_t)ag_read_whole(r, UINT32_MAX);
    spec.ttl_ms = (uint32_t)ag_read_whole(r, UINT32_MAX);
    spec.deadline_ms = (uint32_t)ag_read_whole(r, UINT32_MAX);
    accepted_unix = ag_read_whole(r, INT64_MAX);
    if (r->failed || spec.policy == 0 || group_find(self, &spec.id) != NULL)
        return unsound(err, "a group");
    if (!ag_id_is_zero(&spec.parent)) {
        struct group *parent = group_find(self, &spec.parent);

        if (parent == NULL)
            return unsound(err, "a group in a group that is not there");
        place = place_new(self, &spec.id, parent);
        if (place == NULL)
            return no_memory(err);
    }
    group = group_new(&spec);
    if (group == NULL) {
        if (place != NULL)
            job_drop(self, place);
        return no_memory(err);
    }
    group_accept(self, group, place, spec.deadline_ms);
    group->accepted_at = at_of(self, accepted_unix);
    if (spec.deadline_ms > 0) {
        int64_t due = group->accepted_at + spec.deadline_ms;

        core_set_timer(self, &group->timer, due > self->now ? due : self->now);
    }
    return 0;
}

static int restore_waits(core_t *self, struct job *job, struct ag_bytes ids)
{
    for (size_t at = 0; at < ids.size; at += sizeof(struct ag_id)) {
        struct ag_id id;
        struct job *other;
        struct group *group;

        memcpy(&id, ids.data + at, sizeof id);
        other = job_find(self, &id);
        group = other == NULL ? group_find(self, &id) : NULL;
        /* What is gone was forgotten after the job had ended, as a later record says. */
        if ((other != NULL || group != NULL) && wait_add(job, other, group) < 0)
            return ARGOSY_ENOMEM;
    }
    return 0;
}

static int restore_job(core_t *self, struct ag_reader *r, struct argosy_error *err)
{
    enum wait_mode mode = (enum wait_mode)ag_read_whole(r, WAIT_REPLACE);
    uint64_t since_unix = ag_read_whole(r, INT64_MAX), due_unix = ag_read_whole(r, INT64_MAX);
    struct ag_bytes bytes = ag_read_raw(r);
    struct proto_submit_job spec;
    struct group *group = NULL;
    struct kind *kind;
    struct queue *queue;
    struct lane *lane;
    struct job *job;

    if (r->failed || ag_proto_decode_job(bytes, &spec, NULL) < 0 || spec.kind.size == 0 ||
        job_find(self, &spec.id) != NULL)
        return unsound(err, "a job");
    if (!ag_id_is_zero(&spec.group) && (group = group_find(self, &spec.group)) == NULL)
        return unsound(err, "a job of a group that is not there");
    if ((kind = kind_of(self, spec.kind)) == NULL || (queue = queue_of(self, spec.queue)) == NULL ||
        (lane = lane_of(self, kind, queue, group, spec.priority, spec.requires)) == NULL ||
        (group != NULL && group_reserve(group, 1) < 0) ||
        (job = job_new(self, &spec, lane)) == NULL)
        return no_memory(err);
    if (restore_waits(self, job, spec.after) < 0 ||
        (spec.unique.size > 0 && unique_make(job, spec.unique) < 0)) {
        job_drop(self, job);
        return no_memory(err);
    }
    if (job->extra != NULL) {
        job->extra->mode = mode;
        if (job->extra->unique != NULL)
            unique_take(self, job);
    }
    job_accept(self, job, at_of(self, due_unix));
    job->since = at_of(self, since_unix);
    if (job->extra != NULL)
        wait_begin(self, job);
    return 0;
}

/* The list of attempts, newest first; in front of those that are known. */
static int restore_attempts(struct job *job, struct ag_reader *r, bool all)
{
    uint32_t count = ag_read_array(r);
    struct attempt **end = &job->attempts, *older = job->attempts;

    if (all)
        job_drop_attempts(job);
    older = all ? NULL : older;
    for (; count > 0 && !r->failed; count--) {
        struct ag_bytes raw = ag_read_raw(r);
        struct proto_attempt read;
        struct attempt *attempt;

        if (r->failed || !ag_proto_next_attempt(&raw, &read))
            break;
        attempt = calloc(1, sizeof *attempt);
        if (attempt == NULL || (attempt->worker = name_new(read.worker)) == NULL ||
            (attempt->owned = malloc(read.type.size + read.message.size + 2)) == NULL) {
            if (attempt != NULL)
                name_unref(&attempt->worker);
            free(attempt);
            *end = older;
            return ARGOSY_ENOMEM;
        }
        sprintf(attempt->owned, "%.*s%c%.*s", AG_TEXT(read.type), '\0', AG_TEXT(read.message));
        attempt->type = attempt->owned;
        attempt->message = attempt->owned + read.type.size + 1;
        attempt->attempt = read.attempt;
        attempt->started_unix_ms = read.started_unix_ms;
        attempt->run_ms = read.run_ms;
        *end = attempt;
        end = &attempt->next;
    }
    *end = older;
    return 0;
}

static int restore_attempt(core_t *self, struct job *job, struct ag_reader *r,
                           struct argosy_error *err)
{
    uint64_t due_unix;

    job->attempt = (uint32_t)ag_read_whole(r, UINT32_MAX);
    job->failures = (uint32_t)ag_read_whole(r, UINT32_MAX);
    job->losses = (uint32_t)ag_read_whole(r, UINT32_MAX);
    due_unix = ag_read_whole(r, INT64_MAX);
    if (restore_attempts(job, r, false) < 0)
        return no_memory(err);
    if (r->failed || job_has_ended(job))
        return unsound(err, "an attempt");
    job->due_at = at_of(self, due_unix);
    if (job->state == JOB_SCHEDULED)
        job_enter(self, job, JOB_QUEUED);
    if (job->state == JOB_QUEUED) { /* into the place that the new counts ask for */
        enum job_state next = job->due_at > self->now ? JOB_SCHEDULED : JOB_BLOCKED;

        job_enter(self, job, next);
        if (next == JOB_SCHEDULED)
            core_set_timer(self, &job->timer, job->due_at);
        else
            job_enter(self, job, JOB_QUEUED);
    }
    return 0;
}

/* What the group counted while it ran. */
static void count_in_group(const struct job *job)
{
    struct group *group = job->lane->group;

    if (group == NULL)
        return;
    group->counts.retried += job->attempt > 1 ? job->attempt - 1 : 0;
    group->busy_ms += job->run_ms;
    if (job->attempts != NULL && strcmp(job->attempts->type, "lost.unconfirmed") == 0)
        group->counts.unconfirmed++;
}

static int restore_end(core_t *self, struct job *job, struct ag_reader *r, struct argosy_error *err)
{
    enum job_state state = (enum job_state)ag_read_whole(r, JOB_CANCELLED);
    struct ag_bytes worker, result, error;
    uint64_t since_unix;
    bool failed = false;

    job->attempt = (uint32_t)ag_read_whole(r, UINT32_MAX);
    job->failures = (uint32_t)ag_read_whole(r, UINT32_MAX);
    job->losses = (uint32_t)ag_read_whole(r, UINT32_MAX);
    job->releases = (uint32_t)ag_read_whole(r, UINT32_MAX);
    worker = ag_read_text(r, AG_NAME_BYTES_MAX);
    job->queued_ms = (uint32_t)ag_read_whole(r, UINT32_MAX);
    job->run_ms = (uint32_t)ag_read_whole(r, UINT32_MAX);
    result = ag_read_bin_or_nil(r, AG_RESULT_BYTES_MAX);
    error = ag_read_bin_or_nil(r, AG_RESULT_BYTES_MAX);
    since_unix = ag_read_whole(r, INT64_MAX);
    if (r->failed || state < JOB_SUCCEEDED || job_has_ended(job))
        return unsound(err, "an end");
    job->result = bytes_copy(result, &failed);
    job->error = bytes_copy(error, &failed);
    if (worker.size > 0) {
        name_unref(&job->worker_name);
        failed = (job->worker_name = name_new(worker)) == NULL || failed;
    }
    failed = restore_attempts(job, r, true) < 0 || failed;
    self->bytes += job->result.size + job->error.size;
    if (failed)
        return no_memory(err);
    count_in_group(job);
    job_enter(self, job, state);
    job->since = at_of(self, since_unix);
    return 0;
}

static const char *failure_constant(struct ag_bytes text)
{
    static const char *const failures[] = {"cancelled", "timeout.group", "group.successes"};

    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
        if (ag_bytes_are(text, failures[i]))
            return failures[i];
    return "";
}

static int restore_queue(core_t *self, struct ag_reader *r, struct argosy_error *err)
{
    struct ag_bytes name = ag_read_text(r, AG_NAME_BYTES_MAX);
    bool paused = ag_read_bool(r);
    uint32_t limit = (uint32_t)ag_read_whole(r, UINT32_MAX);
    struct queue *queue;

    if (r->failed)
        return unsound(err, "a queue");
    queue = queue_of(self, name);
    if (queue == NULL)
        return no_memory(err);
    queue->paused = paused;
    queue->limit = limit;
    queue_update(self, queue);
    return 0;
}

static int restore_schedule(core_t *self, struct ag_reader *r, struct argosy_error *err)
{
    struct core_control control = {0};
    struct schedule *schedule;
    struct ag_map_node *known;
    uint64_t next_unix, fired;
    int rc;

    control.id = ag_read_id(r);
    control.name = ag_read_text(r, AG_TEXT_BYTES_MAX);
    control.rule.at_unix_ms = (int64_t)ag_read_whole(r, INT64_MAX);
    control.rule.every_ms = ag_read_whole(r, INT64_MAX);
    control.rule.cron = ag_read_bin(r, AG_TEXT_BYTES_MAX);
    control.rule.zone = ag_read_bin(r, AG_TEXT_BYTES_MAX);
    control.rule.times = (uint32_t)ag_read_whole(r, UINT32_MAX);
    control.catch_up = (enum core_catch_up)ag_read_whole(r, CATCH_UP_ALL);
    next_unix = ag_read_whole(r, UINT64_MAX);
    fired = ag_read_whole(r, UINT64_MAX);
    control.job = ag_read_bin(r, AG_MESSAGE_BYTES_MAX);
    if (r->failed)
        return unsound(err, "a schedule");
    rc = schedule_new(self, &control, &schedule, err);
    if (rc < 0)
        return rc;
    known = ag_map_find(&self->schedules, &control.id);
    if (known != NULL) /* it has fired: this is how it stands since */
        schedule_free(self, AG_OWNER(known, struct schedule, node));
    schedule->next_unix_ms = next_unix > INT64_MAX ? INT64_MAX : (int64_t)next_unix;
    schedule->fired = fired;
    schedule_start(self, schedule);
    return 0;
}

/* With all that it holds; records of its jobs may follow, and mean nothing then. */
static void forget_group(core_t *self, struct group *group)
{
    ag_heap_stop(&self->timers, &group->timer.heap);
    group_begin_to_forget(self, group);
    if (group->ended_count > 0)
        group_release(self, group, group->ended[group->ended_count - 1]);
    ag_link_remove(&group->sweep);
    group_free(self, group);
}

static int restore_forget(core_t *self, const struct ag_id *id, struct argosy_error *err)
{
    struct job *job = job_find(self, id);
    struct group *group = group_find(self, id);
    struct ag_map_node *schedule = ag_map_find(&self->schedules, id);

    if ((job != NULL && !job_has_ended(job)) || (group != NULL && !group->is_ended))
        return unsound(err, "it forgets what has not ended");
    if (job != NULL && job->lane->group != NULL)
        group_release(self, job->lane->group, job);
    else if (job != NULL)
        job_forget(self, job);
    else if (group != NULL)
        forget_group(self, group);
    else if (schedule != NULL)
        schedule_free(self, AG_OWNER(schedule, struct schedule, node));
    return 0; /* else it was one of a group that is forgotten as a whole */
}

static int restore_of_group(core_t *self, enum core_record record, struct group *group,
                            struct ag_reader *r, struct argosy_error *err)
{
    if (group == NULL)
        return unsound(err, "news of a group that is not there");
    if (record == RECORD_SEAL) {
        group_seal(self, group);
    } else if (record == RECORD_STOP) {
        const char *failure = failure_constant(ag_read_text(r, AG_NAME_BYTES_MAX));
        bool spares = ag_read_bool(r);

        if (r->failed)
            return unsound(err, "the end of a group");
        group_cancel(self, group, failure, spares);
    } else { /* RECORD_ENDED: that follows from what came before */
        uint64_t unix_ms = ag_read_whole(r, INT64_MAX);

        if (r->failed || !group->is_ended)
            return unsound(err, "a group that has ended before its jobs");
        group->ended_at = at_of(self, unix_ms);
    }
    return 0;
}

static int restore_of_job(core_t *self, enum core_record record, struct job *job,
                          struct ag_reader *r, struct argosy_error *err)
{
    if (job == NULL)
        return unsound(err, "news of a job that is not there");
    if (record == RECORD_ATTEMPT)
        return restore_attempt(self, job, r, err);
    if (record == RECORD_END)
        return restore_end(self, job, r, err);
    if (!job_has_ended(job) && job->state != JOB_CANCELLING)
        job_enter(self, job, JOB_CANCELLING);
    return 0;
}

static int restore_record(core_t *self, struct ag_reader *r, struct argosy_error *err)
{
    uint32_t count = ag_read_array(r);
    enum core_record record = (enum core_record)ag_read_whole(r, RECORD_SCHEDULE);
    struct ag_id id;

    if (r->failed || count < 2)
        return unsound(err, "not a record");
    switch (record) {
    case RECORD_GROUP:
        return restore_group(self, r, err);
    case RECORD_JOB:
        return restore_job(self, r, err);
    case RECORD_QUEUE:
        return restore_queue(self, r, err);
    case RECORD_SCHEDULE:
        return restore_schedule(self, r, err);
    case RECORD_SEAL:
    case RECORD_STOP:
    case RECORD_ENDED:
        id = ag_read_id(r);
        return restore_of_group(self, record, group_find(self, &id), r, err);
    case RECORD_CANCEL:
    case RECORD_ATTEMPT:
    case RECORD_END:
        id = ag_read_id(r);
        return restore_of_job(self, record, job_find(self, &id), r, err);
    case RECORD_FORGET:
        id = ag_read_id(r);
        return restore_forget(self, &id, err);
    }
    return unsound(err, "not a record");
}

int core_restore(core_t *self, int64_t now, struct ag_bytes record, struct argosy_error *err)
{
    struct ag_reader r = ag_reader_of(record);
    int rc;

    AG_ASSERT(self->sessions.count == 0 && self->records == 0);
    if (ag_wire_check(record, AG_WIRE_DEPTH_MAX, AG_WIRE_OBJECTS_MAX) < 0)
        return unsound(err, "not one sound msgpack value");
    if (core_reserve_timers(self, 4) < 0)
        return no_memory(err);
    self->now = now;
    self->restoring = true;
    rc = restore_record(self, &r, err);
    self->restoring = false;
    self->unfinished = true; /* what was left over goes on with the first step */
    /* Workers get the time that a silent one would have to come back with what they hold. */
    if (rc == 0)
        core_set_timer(self, &self->recovery,
                       now + SILENT_BEATS * (int64_t)self->config.heartbeat_ms);
    return rc;
}
