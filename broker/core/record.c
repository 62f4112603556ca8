#include "broker/core/record.h"

#include <msgpack/pack.h>
#include <string.h>

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

static void put_text(msgpack_packer *p, struct ag_bytes text)
{
    msgpack_pack_str_with_body(p, text.data != NULL ? (const char *)text.data : "", text.size);
}

static void put_bool(msgpack_packer *p, bool value)
{
    if (value)
        msgpack_pack_true(p);
    else
        msgpack_pack_false(p);
}

static void begin(msgpack_packer *p, const struct record *record, size_t more)
{
    msgpack_pack_array(p, 3 + more);
    msgpack_pack_int(p, record->type);
    put_id(p, &record->id);
    msgpack_pack_uint64(p, record->number);
}

static void put_group(msgpack_packer *p, const struct record *record)
{
    const struct proto_group *spec = &record->group.spec;

    begin(p, record, 14);
    put_id(p, &spec->parent);
    msgpack_pack_uint64(p, record->group.parent);
    put_text(p, spec->name);
    msgpack_pack_int(p, spec->policy);
    msgpack_pack_uint32(p, spec->failures_max);
    msgpack_pack_uint32(p, spec->failures_percent);
    msgpack_pack_uint32(p, spec->successes);
    msgpack_pack_uint32(p, spec->successes_min);
    put_bool(p, spec->is_gentle);
    msgpack_pack_uint32(p, spec->concurrency);
    msgpack_pack_uint32(p, spec->rate_per_minute);
    msgpack_pack_uint32(p, spec->ttl_ms);
    msgpack_pack_uint32(p, spec->deadline_ms);
    msgpack_pack_uint64(p, record->group.accepted_unix_ms);
}

/* Absent is the same as empty. */
static void put_some(msgpack_packer *p, struct ag_bytes bytes)
{
    put_bin(p, bytes.data != NULL ? bytes : ag_bytes_of_text(""));
}

static void put_job(msgpack_packer *p, const struct record *record)
{
    struct proto_submit_job common = record->job.spec;
    const struct proto_submit_job *own = &record->job.spec;

    begin(p, record, 11);
    msgpack_pack_uint64(p, record->job.group);
    msgpack_pack_uint32(p, record->job.mode);
    msgpack_pack_uint64(p, record->job.since_unix_ms);
    msgpack_pack_uint64(p, record->job.due_unix_ms);
    put_id(p, &own->group);
    msgpack_pack_uint32(p, own->index);
    put_some(p, own->key);
    put_some(p, own->unique);
    put_some(p, own->after);
    put_some(p, own->payload);
    common.id = common.group = (struct ag_id){{0}};
    common.index = 0;
    common.key = common.unique = common.after = common.payload = ag_bytes_of_text("");
    ag_proto_encode_job(p->data, &common);
}

/* The entries stand behind each other already. */
static void put_attempts(msgpack_packer *p, uint32_t count, struct ag_bytes attempts)
{
    msgpack_pack_array(p, count);
    if (count > 0)
        ag_buffer_append(p->data, attempts.data, attempts.size);
}

static void put_attempt(msgpack_packer *p, const struct record *record)
{
    begin(p, record, 5);
    msgpack_pack_uint32(p, record->attempt.attempt);
    msgpack_pack_uint32(p, record->attempt.failures);
    msgpack_pack_uint32(p, record->attempt.losses);
    msgpack_pack_uint64(p, record->attempt.due_unix_ms);
    put_attempts(p, record->attempt.attempts_count, record->attempt.attempts);
}

static void put_end(msgpack_packer *p, const struct record *record)
{
    begin(p, record, 13);
    msgpack_pack_int(p, record->end.state);
    msgpack_pack_uint32(p, record->end.attempt);
    msgpack_pack_uint32(p, record->end.failures);
    msgpack_pack_uint32(p, record->end.losses);
    msgpack_pack_uint32(p, record->end.releases);
    put_text(p, record->end.worker);
    msgpack_pack_uint32(p, record->end.queued_ms);
    msgpack_pack_uint32(p, record->end.run_ms);
    put_bin(p, record->end.result);
    put_bin(p, record->end.error);
    msgpack_pack_uint64(p, record->end.since_unix_ms);
    put_attempts(p, record->end.attempts_count, record->end.attempts);
    msgpack_pack_int(p, record->end.spent);
}

static void put_schedule(msgpack_packer *p, const struct record *record)
{
    const struct core_rule *rule = &record->schedule.rule;

    begin(p, record, 10);
    put_text(p, record->schedule.name);
    msgpack_pack_uint64(p, (uint64_t)rule->at_unix_ms);
    msgpack_pack_uint64(p, rule->every_ms);
    put_bin(p, rule->cron.data != NULL ? rule->cron : ag_bytes_of_text(""));
    put_bin(p, rule->zone.data != NULL ? rule->zone : ag_bytes_of_text(""));
    msgpack_pack_uint32(p, rule->times);
    msgpack_pack_int(p, record->schedule.catch_up);
    msgpack_pack_uint64(p, record->schedule.next_unix_ms);
    msgpack_pack_uint64(p, record->schedule.fired);
    put_bin(p, record->schedule.job);
}

static void put_gone(msgpack_packer *p, const struct core_gone *gone)
{
    msgpack_pack_uint64(p, gone->succeeded);
    msgpack_pack_uint64(p, gone->failed);
    msgpack_pack_uint64(p, gone->cancelled);
    msgpack_pack_uint64(p, gone->retried);
    msgpack_pack_uint64(p, gone->unconfirmed);
    msgpack_pack_uint64(p, gone->busy_ms);
}

static void put_forget(msgpack_packer *p, const struct record *record)
{
    begin(p, record, 9);
    msgpack_pack_int(p, record->forget.subject);
    msgpack_pack_uint64(p, record->forget.ended);
    msgpack_pack_uint64(p, record->forget.group);
    put_gone(p, &record->forget.gone);
}

void record_write(const struct record *record, struct ag_buffer *out)
{
    msgpack_packer packer, *p = &packer;

    msgpack_packer_init(p, out, ag_buffer_write);
    switch (record->type) {
    case RECORD_GROUP:
        put_group(p, record);
        break;
    case RECORD_JOB:
        put_job(p, record);
        break;
    case RECORD_ATTEMPT:
        put_attempt(p, record);
        break;
    case RECORD_END:
        put_end(p, record);
        break;
    case RECORD_STOP:
        begin(p, record, 2);
        put_text(p, record->stop.failure);
        put_bool(p, record->stop.spares);
        break;
    case RECORD_ENDED:
        begin(p, record, 1);
        msgpack_pack_uint64(p, record->ended.unix_ms);
        break;
    case RECORD_SEAL:
    case RECORD_CANCEL:
        begin(p, record, 0);
        break;
    case RECORD_FORGET:
        put_forget(p, record);
        break;
    case RECORD_QUEUE:
        begin(p, record, 4);
        put_text(p, record->queue.name);
        put_bool(p, record->queue.paused);
        msgpack_pack_uint32(p, record->queue.limit);
        put_bool(p, record->queue.relaxed);
        break;
    case RECORD_SCHEDULE:
        put_schedule(p, record);
        break;
    case RECORD_GONE:
        begin(p, record, 6);
        put_gone(p, &record->gone);
        break;
    case RECORD_WORKER:
        begin(p, record, 2);
        put_text(p, record->worker.name);
        put_bool(p, record->worker.has_left);
        break;
    }
}

/* ---- reading -----------------------------------------------------------------------------------
 */

static void read_group(struct ag_reader *r, struct record *out)
{
    struct proto_group *spec = &out->group.spec;

    spec->id = out->id;
    spec->parent = ag_read_id(r);
    out->group.parent = ag_read_whole(r, INT64_MAX);
    spec->name = ag_read_text(r, AG_TEXT_BYTES_MAX);
    spec->policy = (enum proto_policy)ag_read_whole(r, PROTO_RACE);
    spec->failures_max = (uint32_t)ag_read_whole(r, UINT32_MAX);
    spec->failures_percent = (uint32_t)ag_read_whole(r, 100);
    spec->successes = (uint32_t)ag_read_whole(r, UINT32_MAX);
    spec->successes_min = (uint32_t)ag_read_whole(r, UINT32_MAX);
    spec->is_gentle = ag_read_bool(r);
    spec->concurrency = (uint32_t)ag_read_whole(r, UINT32_MAX);
    spec->rate_per_minute = (uint32_t)ag_read_whole(r, UINT32_MAX);
    spec->ttl_ms = (uint32_t)ag_read_whole(r, UINT32_MAX);
    spec->deadline_ms = (uint32_t)ag_read_whole(r, UINT32_MAX);
    out->group.accepted_unix_ms = ag_read_whole(r, RECORD_UNIX_MS_MAX);
    r->failed = r->failed || spec->policy == 0;
}

static struct ag_bytes read_some(struct ag_reader *r, size_t size_max)
{
    struct ag_bytes bytes = ag_read_bin_or_nil(r, size_max);

    return bytes.data != NULL ? bytes : ag_bytes_of_text("");
}

static void read_job(struct ag_reader *r, struct record *out, bool with_common)
{
    struct proto_submit_job own = {.id = out->id}, *spec = &out->job.spec;

    out->job.group = ag_read_whole(r, INT64_MAX);
    out->job.mode = (uint32_t)ag_read_whole(r, UINT32_MAX);
    out->job.since_unix_ms = ag_read_whole(r, RECORD_UNIX_MS_MAX);
    out->job.due_unix_ms = ag_read_whole(r, RECORD_UNIX_MS_MAX);
    own.group = ag_read_id(r);
    own.index = (uint32_t)ag_read_whole(r, UINT32_MAX);
    own.key = read_some(r, AG_TEXT_BYTES_MAX);
    own.unique = read_some(r, AG_TEXT_BYTES_MAX);
    own.after = read_some(r, AG_AFTER_MAX * sizeof(struct ag_id));
    own.payload = read_some(r, AG_PAYLOAD_BYTES_MAX);
    out->job.common = ag_read_raw(r);
    if (with_common && !r->failed)
        r->failed = ag_proto_decode_job(out->job.common, spec, NULL) < 0 || spec->kind.size == 0;
    spec->id = own.id;
    spec->group = own.group;
    spec->index = own.index;
    spec->key = own.key;
    spec->unique = own.unique;
    spec->after = own.after;
    spec->payload = own.payload;
}

/* Checked here, so that a list can be walked without a doubt afterwards. */
static struct ag_bytes read_attempts(struct ag_reader *r, uint32_t *count)
{
    struct ag_bytes list = {0};
    const uint8_t *begin;

    *count = ag_read_array(r);
    begin = r->at;
    for (uint32_t i = 0; i < *count && !r->failed; i++)
        ag_read_skip(r);
    if (!r->failed)
        list = ag_bytes_of(begin, (size_t)(r->at - begin));
    r->failed = r->failed || !ag_proto_are_attempts(list, *count);
    return list;
}

static void read_attempt(struct ag_reader *r, struct record *out)
{
    out->attempt.attempt = (uint32_t)ag_read_whole(r, UINT32_MAX);
    out->attempt.failures = (uint32_t)ag_read_whole(r, UINT32_MAX);
    out->attempt.losses = (uint32_t)ag_read_whole(r, UINT32_MAX);
    out->attempt.due_unix_ms = ag_read_whole(r, RECORD_UNIX_MS_MAX);
    out->attempt.attempts = read_attempts(r, &out->attempt.attempts_count);
}

static void read_end(struct ag_reader *r, struct record *out)
{
    out->end.state = (enum job_state)ag_read_whole(r, JOB_CANCELLED);
    out->end.attempt = (uint32_t)ag_read_whole(r, UINT32_MAX);
    out->end.failures = (uint32_t)ag_read_whole(r, UINT32_MAX);
    out->end.losses = (uint32_t)ag_read_whole(r, UINT32_MAX);
    out->end.releases = (uint32_t)ag_read_whole(r, UINT32_MAX);
    out->end.worker = ag_read_text(r, AG_NAME_BYTES_MAX);
    out->end.queued_ms = (uint32_t)ag_read_whole(r, UINT32_MAX);
    out->end.run_ms = (uint32_t)ag_read_whole(r, UINT32_MAX);
    out->end.result = ag_read_bin_or_nil(r, AG_RESULT_BYTES_MAX);
    out->end.error = ag_read_bin_or_nil(r, AG_RESULT_BYTES_MAX);
    out->end.since_unix_ms = ag_read_whole(r, RECORD_UNIX_MS_MAX);
    out->end.attempts = read_attempts(r, &out->end.attempts_count);
    out->end.spent = (enum budget_scope)ag_read_whole(r, BUDGET_QUEUE);
    r->failed = r->failed || out->end.state < JOB_SUCCEEDED;
}

static void read_schedule(struct ag_reader *r, struct record *out)
{
    struct core_rule *rule = &out->schedule.rule;

    out->schedule.name = ag_read_text(r, AG_TEXT_BYTES_MAX);
    rule->at_unix_ms = (int64_t)ag_read_whole(r, INT64_MAX);
    rule->every_ms = ag_read_whole(r, INT64_MAX);
    rule->cron = ag_read_bin(r, AG_TEXT_BYTES_MAX);
    rule->zone = ag_read_bin(r, AG_TEXT_BYTES_MAX);
    rule->times = (uint32_t)ag_read_whole(r, UINT32_MAX);
    out->schedule.catch_up = (enum core_catch_up)ag_read_whole(r, CATCH_UP_ALL);
    out->schedule.next_unix_ms = ag_read_whole(r, UINT64_MAX);
    out->schedule.fired = ag_read_whole(r, UINT64_MAX);
    out->schedule.job = ag_read_bin(r, AG_MESSAGE_BYTES_MAX);
}

static void read_gone(struct ag_reader *r, struct core_gone *out)
{
    out->succeeded = ag_read_whole(r, INT64_MAX);
    out->failed = ag_read_whole(r, INT64_MAX);
    out->cancelled = ag_read_whole(r, INT64_MAX);
    out->retried = ag_read_whole(r, INT64_MAX);
    out->unconfirmed = ag_read_whole(r, INT64_MAX);
    out->busy_ms = ag_read_whole(r, INT64_MAX);
}

static void read_body(struct ag_reader *r, struct record *out, bool with_common)
{
    switch (out->type) {
    case RECORD_GROUP:
        read_group(r, out);
        break;
    case RECORD_JOB:
        read_job(r, out, with_common);
        break;
    case RECORD_ATTEMPT:
        read_attempt(r, out);
        break;
    case RECORD_END:
        read_end(r, out);
        break;
    case RECORD_STOP:
        out->stop.failure = ag_read_text(r, AG_NAME_BYTES_MAX);
        out->stop.spares = ag_read_bool(r);
        break;
    case RECORD_ENDED:
        out->ended.unix_ms = ag_read_whole(r, RECORD_UNIX_MS_MAX);
        break;
    case RECORD_SEAL:
    case RECORD_CANCEL:
        break;
    case RECORD_FORGET:
        out->forget.subject = (enum core_subject)ag_read_whole(r, SUBJECT_SCHEDULE);
        out->forget.ended = ag_read_whole(r, INT64_MAX);
        out->forget.group = ag_read_whole(r, INT64_MAX);
        read_gone(r, &out->forget.gone);
        break;
    case RECORD_QUEUE:
        out->queue.name = ag_read_text(r, AG_NAME_BYTES_MAX);
        out->queue.paused = ag_read_bool(r);
        out->queue.limit = (uint32_t)ag_read_whole(r, UINT32_MAX);
        out->queue.relaxed = ag_read_bool(r);
        break;
    case RECORD_SCHEDULE:
        read_schedule(r, out);
        break;
    case RECORD_GONE:
        read_gone(r, &out->gone);
        break;
    case RECORD_WORKER:
        out->worker.name = ag_read_text(r, AG_NAME_BYTES_MAX);
        out->worker.has_left = ag_read_bool(r);
        break;
    }
}

static int read(struct ag_bytes bytes, struct record *out, bool with_common,
                struct argosy_error *err)
{
    struct ag_reader r = ag_reader_of(bytes);

    memset(out, 0, sizeof *out);
    r.failed = ag_read_array(&r) < 3;
    out->type = (enum core_record)ag_read_whole(&r, RECORD_WORKER);
    out->id = ag_read_id(&r);
    out->number = ag_read_whole(&r, INT64_MAX);
    if (!r.failed)
        read_body(&r, out, with_common);
    return r.failed ? ag_fail(err, ARGOSY_EPROTO, "the journal is not sound: a record of type %d",
                              (int)out->type)
                    : 0;
}

int record_read(struct ag_bytes bytes, struct record *out, struct argosy_error *err)
{
    if (ag_wire_check(bytes, AG_WIRE_DEPTH_MAX, AG_WIRE_OBJECTS_MAX) < 0)
        return ag_fail(err, ARGOSY_EPROTO, "the journal is not sound: not one msgpack value");
    return read(bytes, out, true, err);
}

int record_read_own(struct ag_bytes bytes, struct record *out, struct argosy_error *err)
{
    return read(bytes, out, false, err);
}
