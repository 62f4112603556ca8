#include "common/proto.h"

#include <msgpack/pack.h>

#include "common/assert.h"
#include "common/error.h"
#include "common/wire.h"

/* A HELLO may list every attempt that a worker can hold, four values each. */
enum { FRAME_OBJECTS_MAX = AG_WIRE_OBJECTS_MAX + 4 * AG_SLOTS_MAX };

/* What a peer may say that it speaks; more than any release will. */
enum { VERSIONS_MAX = 8 };

const char *ag_message_name(uint32_t number)
{
    switch (number) {
#define X(value, NAME, name, senders, meaning)                                                     \
    case value:                                                                                    \
        return #NAME;
        AG_MESSAGES(X)
#undef X
    default:
        return "?";
    }
}

/* ---- reading ------------------------------------------------------------------------------- */

/* An array of fields by position. Later versions add fields at the end: extra ones are skipped by
 * end_fields(), missing ones are an error, but for those that were added to our version later:
 * take_field(). */
static uint32_t begin_fields(struct ag_reader *r, uint32_t known)
{
    uint32_t count = ag_read_array(r);

    if (count < known)
        r->failed = true;
    return r->failed ? 0 : count - known;
}

/* Whether a field that older peers do not send is there to be read. */
static bool take_field(const struct ag_reader *r, uint32_t *extra)
{
    if (r->failed || *extra == 0)
        return false;
    --*extra;
    return true;
}

static void end_fields(struct ag_reader *r, uint32_t extra)
{
    while (extra-- > 0 && !r->failed)
        ag_read_skip(r);
}

static uint32_t read_count(struct ag_reader *r, uint32_t max)
{
    uint32_t count = ag_read_array(r);

    if (count > max)
        r->failed = true;
    return r->failed ? 0 : count;
}

static uint32_t read_u32(struct ag_reader *r)
{
    return (uint32_t)ag_read_whole(r, UINT32_MAX);
}

static uint64_t read_u64(struct ag_reader *r)
{
    return ag_read_whole(r, UINT64_MAX);
}

static struct ag_bytes read_name(struct ag_reader *r)
{
    return ag_read_text(r, AG_NAME_BYTES_MAX);
}

static struct ag_bytes read_words(struct ag_reader *r)
{
    return ag_read_text(r, AG_TEXT_BYTES_MAX);
}

static struct proto_token read_token_fields(struct ag_reader *r)
{
    struct proto_token token;

    token.job = ag_read_id(r);
    token.epoch = read_u64(r);
    token.attempt = read_u32(r);
    return token;
}

static struct proto_token read_token(struct ag_reader *r)
{
    uint32_t extra = begin_fields(r, 3);
    struct proto_token token = read_token_fields(r);

    end_fields(r, extra);
    return token;
}

static struct proto_attempt read_attempt(struct ag_reader *r)
{
    uint32_t extra = begin_fields(r, 6);
    struct proto_attempt attempt;

    attempt.attempt = read_u32(r);
    attempt.worker = read_name(r);
    attempt.started_unix_ms = read_u64(r);
    attempt.run_ms = read_u32(r);
    attempt.type = read_name(r);
    attempt.message = read_words(r);
    end_fields(r, extra);
    return attempt;
}

static void read_kinds(struct ag_reader *r, struct proto_kind *kinds, uint32_t *count)
{
    *count = read_count(r, AG_KINDS_MAX);
    for (uint32_t i = 0; i < *count; i++) {
        uint32_t extra = begin_fields(r, 2);

        kinds[i].name = read_name(r);
        kinds[i].count = (uint32_t)ag_read_whole(r, AG_SLOTS_MAX);
        end_fields(r, extra);
    }
}

static void read_hello(struct ag_reader *r, struct proto_hello *m)
{
    uint32_t versions = read_count(r, VERSIONS_MAX);
    const uint8_t *begin;

    m->speaks_ours = false;
    for (uint32_t i = 0; i < versions; i++)
        if (ag_read_whole(r, 255) == AG_PROTO_VERSION)
            m->speaks_ours = true;
    m->role = (enum proto_role)ag_read_whole(r, PROTO_WORKER);
    if (m->role == 0)
        r->failed = true;
    m->name = read_name(r);
    m->instance = ag_read_id(r);
    m->software = read_name(r);
    m->host = read_words(r);
    m->tags_count = read_count(r, AG_TAGS_MAX);
    for (uint32_t i = 0; i < m->tags_count; i++)
        m->tags[i] = read_name(r);
    read_kinds(r, m->kinds, &m->kinds_count);
    m->holding_count = read_count(r, AG_SLOTS_MAX);
    begin = r->at;
    for (uint32_t i = 0; i < m->holding_count && !r->failed; i++)
        read_token(r);
    m->holding = ag_bytes_of(begin, (size_t)(r->at - begin));
    m->number = read_u32(r);
}

static void read_welcome(struct ag_reader *r, struct proto_welcome *m)
{
    m->version = (uint32_t)ag_read_whole(r, 255);
    m->broker = ag_read_id(r);
    m->epoch = read_u64(r);
    m->heartbeat_ms = read_u32(r);
    m->message_bytes = read_u64(r);
    m->payload_bytes = read_u64(r);
    m->result_bytes = read_u64(r);
    m->window = read_u32(r);
    m->unix_ms = read_u64(r);
}

static struct proto_input read_input(struct ag_reader *r)
{
    uint32_t extra = begin_fields(r, 4);
    struct proto_input input;

    input.job = ag_read_id(r);
    input.kind = read_name(r);
    input.state = (uint32_t)ag_read_whole(r, PROTO_JOB_CANCELLED);
    if (input.state == 0)
        r->failed = true;
    input.result = ag_read_bin_or_nil(r, AG_RESULT_BYTES_MAX);
    end_fields(r, extra);
    return input;
}

static void read_jobs(struct ag_reader *r, struct proto_jobs *m)
{
    m->count = read_count(r, AG_MESSAGE_ITEMS_MAX);
    for (uint32_t i = 0; i < m->count; i++) {
        struct proto_job *job = &m->items[i];
        uint32_t extra = begin_fields(r, 8);
        const uint8_t *begin;

        job->token = read_token_fields(r);
        job->kind = read_name(r);
        job->run_ms = read_u32(r);
        job->grace_ms = read_u32(r);
        job->payload = ag_read_bin(r, AG_MESSAGE_BYTES_MAX);
        job->inputs_count = read_count(r, AG_INPUTS_MAX);
        begin = r->at;
        for (uint32_t k = 0; k < job->inputs_count && !r->failed; k++)
            read_input(r);
        job->inputs = ag_bytes_of(begin, (size_t)(r->at - begin));
        end_fields(r, extra);
    }
}

static void read_results(struct ag_reader *r, struct proto_results *m)
{
    m->count = read_count(r, AG_MESSAGE_ITEMS_MAX);
    for (uint32_t i = 0; i < m->count; i++) {
        struct proto_result *result = &m->items[i];
        uint32_t extra = begin_fields(r, 12);

        result->token = read_token_fields(r);
        result->outcome = (enum proto_outcome)ag_read_whole(r, PROTO_RELEASED);
        if (result->outcome == 0)
            r->failed = true;
        result->wait_ms = read_u32(r);
        result->run_ms = read_u32(r);
        result->result = ag_read_bin_or_nil(r, AG_RESULT_BYTES_MAX);
        result->error = ag_read_bin_or_nil(r, AG_RESULT_BYTES_MAX);
        if (result->result.size + result->error.size > AG_RESULT_BYTES_MAX)
            r->failed = true;
        result->type = read_name(r);
        result->message = read_words(r);
        result->retryable = ag_read_bool(r);
        result->retry_after_ms = read_u32(r);
        end_fields(r, extra);
    }
}

static void read_tokens(struct ag_reader *r, struct proto_tokens *m)
{
    m->count = read_count(r, AG_MESSAGE_ITEMS_MAX);
    for (uint32_t i = 0; i < m->count; i++)
        m->items[i] = read_token(r);
}

static uint32_t read_permille(struct ag_reader *r)
{
    return (uint32_t)ag_read_whole(r, AG_PERMILLE_UNKNOWN);
}

static void read_progress(struct ag_reader *r, struct proto_progress *m)
{
    m->count = read_count(r, AG_MESSAGE_ITEMS_MAX);
    for (uint32_t i = 0; i < m->count; i++) {
        struct proto_progress_item *item = &m->items[i];
        uint32_t extra = begin_fields(r, 7);

        item->token = read_token_fields(r);
        item->permille = read_permille(r);
        item->note = read_words(r);
        item->sequence = read_u32(r);
        item->partial = ag_read_bin_or_nil(r, AG_RESULT_BYTES_MAX);
        end_fields(r, extra);
    }
}

static void read_news(struct ag_reader *r, struct proto_news *m)
{
    m->watch = read_u32(r);
    m->count = read_count(r, AG_MESSAGE_ITEMS_MAX);
    for (uint32_t i = 0; i < m->count; i++) {
        struct proto_news_item *item = &m->items[i];
        uint32_t extra = begin_fields(r, 8);

        item->job = ag_read_id(r);
        item->index = read_u32(r);
        item->kind = read_name(r);
        item->attempt = read_u32(r);
        item->permille = read_permille(r);
        item->note = read_words(r);
        item->sequence = read_u32(r);
        item->partial = ag_read_bin_or_nil(r, AG_RESULT_BYTES_MAX);
        end_fields(r, extra);
    }
}

static void read_group(struct ag_reader *r, struct proto_group *group)
{
    uint32_t extra = begin_fields(r, 13);

    group->id = ag_read_id(r);
    group->name = read_words(r);
    group->policy = (enum proto_policy)ag_read_whole(r, PROTO_RACE);
    if (group->policy == 0)
        r->failed = true;
    group->failures_max = read_u32(r);
    group->deadline_ms = read_u32(r);
    group->concurrency = read_u32(r);
    group->parent = ag_read_id_or_nil(r);
    group->failures_percent = (uint32_t)ag_read_whole(r, 100);
    group->successes = read_u32(r);
    group->successes_min = read_u32(r);
    group->is_gentle = ag_read_bool(r);
    group->rate_per_minute = read_u32(r);
    group->ttl_ms = read_u32(r);
    end_fields(r, extra);
}

static struct proto_retry read_retry(struct ag_reader *r)
{
    uint32_t extra = begin_fields(r, 5);
    struct proto_retry retry;

    retry.attempts = (uint32_t)ag_read_whole(r, AG_ATTEMPTS_MAX);
    if (retry.attempts == 0)
        r->failed = true;
    retry.base_ms = read_u32(r);
    retry.factor_percent = read_u32(r);
    retry.cap_ms = read_u32(r);
    retry.selectors = read_words(r);
    retry.budget_percent = take_field(r, &extra) ? (uint32_t)ag_read_whole(r, 100) : 0;
    end_fields(r, extra);
    return retry;
}

static struct ag_bytes read_ids(struct ag_reader *r, uint32_t max)
{
    struct ag_bytes ids = ag_read_bin(r, max * sizeof(struct ag_id));

    if (ids.size % sizeof(struct ag_id) != 0)
        r->failed = true;
    return ids;
}

static void read_submit_job(struct ag_reader *r, struct proto_submit_job *job)
{
    uint32_t extra = begin_fields(r, 21);

    job->id = ag_read_id(r);
    job->group = ag_read_id_or_nil(r);
    job->index = read_u32(r);
    job->kind = read_name(r);
    job->run_ms = read_u32(r);
    job->queue_ms = read_u32(r);
    job->delay_ms = read_u32(r);
    job->grace_ms = read_u32(r);
    job->retry = read_retry(r);
    job->payload = ag_read_bin(r, AG_MESSAGE_BYTES_MAX);
    job->priority = (uint32_t)ag_read_whole(r, AG_PRIORITIES - 1);
    job->queue = read_name(r);
    job->key = read_words(r);
    job->key_max = read_u32(r);
    job->key_delay_ms = read_u32(r);
    job->after = read_ids(r, AG_AFTER_MAX);
    job->after_any = ag_read_bool(r);
    job->unique = read_words(r);
    job->unique_policy = (enum proto_unique)ag_read_whole(r, PROTO_UNIQUE_REPLACE);
    job->requires = read_words(r);
    job->ttl_ms = read_u32(r);
    end_fields(r, extra);
}

static void read_submit(struct ag_reader *r, struct proto_submit *m)
{
    m->request = read_u64(r);
    m->groups_count = read_count(r, AG_MESSAGE_ITEMS_MAX);
    for (uint32_t i = 0; i < m->groups_count; i++)
        read_group(r, &m->groups[i]);
    m->jobs_count = read_count(r, AG_MESSAGE_ITEMS_MAX);
    for (uint32_t i = 0; i < m->jobs_count; i++)
        read_submit_job(r, &m->jobs[i]);
}

static void read_accepted(struct ag_reader *r, struct proto_accepted *m)
{
    m->request = read_u64(r);
    m->accepted = read_u32(r);
    m->repeated = read_u32(r);
    m->refused_count = read_count(r, 2 * AG_MESSAGE_ITEMS_MAX);
    for (uint32_t i = 0; i < m->refused_count; i++) {
        uint32_t extra = begin_fields(r, 3);

        m->refused[i].id = ag_read_id(r);
        m->refused[i].type = read_name(r);
        m->refused[i].message = read_words(r);
        end_fields(r, extra);
    }
    m->window = read_u32(r);
    m->retry_after_ms = read_u32(r);
}

static void read_watch(struct ag_reader *r, struct proto_watch *m)
{
    m->watch = read_u32(r);
    m->target = ag_read_id(r);
    m->cursor = read_u64(r);
    m->credit = read_u32(r);
    m->flags = read_u32(r);
}

static void read_event(struct ag_reader *r, struct proto_event *event)
{
    uint32_t extra = begin_fields(r, 13);
    const uint8_t *begin;

    event->job = ag_read_id(r);
    event->index = read_u32(r);
    event->kind = read_name(r);
    event->state = (enum proto_state)ag_read_whole(r, PROTO_JOB_CANCELLED);
    if (event->state == 0)
        r->failed = true;
    event->attempt = read_u32(r);
    event->attempts_max = read_u32(r);
    event->worker = read_name(r);
    event->queued_ms = read_u32(r);
    event->run_ms = read_u32(r);
    event->result = ag_read_bin_or_nil(r, AG_RESULT_BYTES_MAX);
    event->error = ag_read_bin_or_nil(r, AG_RESULT_BYTES_MAX);
    if (event->result.size + event->error.size > AG_RESULT_BYTES_MAX)
        r->failed = true;
    event->payload = ag_read_bin_or_nil(r, AG_MESSAGE_BYTES_MAX);
    event->attempts_count = read_count(r, AG_ATTEMPTS_MAX + AG_LOST_MAX);
    begin = r->at;
    for (uint32_t i = 0; i < event->attempts_count && !r->failed; i++)
        read_attempt(r);
    event->attempts = ag_bytes_of(begin, (size_t)(r->at - begin));
    event->note = take_field(r, &extra) ? read_words(r) : ag_bytes_of_text("");
    end_fields(r, extra);
}

static struct proto_counts read_counts(struct ag_reader *r)
{
    uint32_t extra = begin_fields(r, 8);
    struct proto_counts counts;

    counts.total = read_u64(r);
    counts.waiting = read_u64(r);
    counts.running = read_u64(r);
    counts.succeeded = read_u64(r);
    counts.failed = read_u64(r);
    counts.cancelled = read_u64(r);
    counts.retried = read_u64(r);
    counts.unconfirmed = read_u64(r);
    end_fields(r, extra);
    return counts;
}

static void read_events(struct ag_reader *r, struct proto_events *m)
{
    m->watch = read_u32(r);
    m->cursor = read_u64(r);
    m->end = (enum proto_end)ag_read_whole(r, PROTO_EARLY);
    m->counts = read_counts(r);
    m->failure = read_name(r);
    m->name = read_words(r);
    m->wall_ms = read_u64(r);
    m->busy_ms = read_u64(r);
    m->count = read_count(r, AG_MESSAGE_ITEMS_MAX);
    for (uint32_t i = 0; i < m->count; i++)
        read_event(r, &m->items[i]);
}

static void read_cancel(struct ag_reader *r, struct proto_cancel *m)
{
    m->request = read_u64(r);
    m->count = read_count(r, AG_MESSAGE_ITEMS_MAX);
    for (uint32_t i = 0; i < m->count; i++)
        m->targets[i] = ag_read_id(r);
}

/* How many fields each message has behind its number. A message without a row does not exist. */
static const uint8_t fields_of[] = {
    [AG_HELLO] = 10,  [AG_WELCOME] = 9, [AG_REJECT] = 3,   [AG_PING] = 1,    [AG_PONG] = 1,
    [AG_BYE] = 1,    [AG_CREDIT] = 1,  [AG_JOBS] = 1,     [AG_RESULTS] = 1, [AG_RECORDED] = 1,
    [AG_STOP] = 1,   [AG_SUBMIT] = 3,  [AG_ACCEPTED] = 6, [AG_WATCH] = 5,   [AG_EVENTS] = 9,
    [AG_MORE] = 3,   [AG_CANCEL] = 2,  [AG_SEAL] = 2,     [AG_QUERY] = 3,   [AG_ANSWER] = 4,
    [AG_RECALL] = 1, [AG_DRAIN] = 1,   [AG_PROGRESS] = 1, [AG_NEWS] = 2,    [AG_CONTROL] = 3,
};

static void read_fields(struct ag_reader *r, struct proto *out)
{
    switch (out->type) {
    case AG_HELLO:
        read_hello(r, &out->hello);
        break;
    case AG_WELCOME:
        read_welcome(r, &out->welcome);
        break;
    case AG_REJECT:
        out->reject.type = read_name(r);
        out->reject.message = read_words(r);
        out->reject.about = read_u32(r);
        break;
    case AG_PING:
    case AG_PONG:
        out->ping.number = read_u64(r);
        break;
    case AG_BYE:
        out->bye.reason = read_words(r);
        break;
    case AG_CREDIT:
        read_kinds(r, out->credit.kinds, &out->credit.count);
        break;
    case AG_JOBS:
        read_jobs(r, &out->jobs);
        break;
    case AG_RESULTS:
        read_results(r, &out->results);
        break;
    case AG_RECORDED:
    case AG_STOP:
    case AG_RECALL:
        read_tokens(r, &out->stop);
        break;
    case AG_DRAIN:
        out->drain.grace_ms = read_u32(r);
        break;
    case AG_PROGRESS:
        read_progress(r, &out->progress);
        break;
    case AG_NEWS:
        read_news(r, &out->news);
        break;
    case AG_SUBMIT:
        read_submit(r, &out->submit);
        break;
    case AG_ACCEPTED:
        read_accepted(r, &out->accepted);
        break;
    case AG_WATCH:
        read_watch(r, &out->watch);
        break;
    case AG_EVENTS:
        read_events(r, &out->events);
        break;
    case AG_MORE:
        out->more.watch = read_u32(r);
        out->more.cursor = read_u64(r);
        out->more.credit = read_u32(r);
        break;
    case AG_CANCEL:
        read_cancel(r, &out->cancel);
        break;
    case AG_SEAL:
        out->seal.request = read_u64(r);
        out->seal.group = ag_read_id(r);
        break;
    case AG_QUERY:
    case AG_CONTROL:
        out->query.request = read_u64(r);
        out->query.verb = read_name(r);
        out->query.arguments = ag_read_bin(r, 2 * AG_PAYLOAD_BYTES_MAX);
        break;
    case AG_ANSWER:
        out->answer.request = read_u64(r);
        out->answer.type = read_name(r);
        out->answer.message = read_words(r);
        out->answer.body = ag_read_bin(r, AG_RESULT_BYTES_MAX);
        break;
    }
}

int ag_proto_decode(struct ag_bytes frame, struct proto *out, struct argosy_error *err)
{
    struct ag_reader r = ag_reader_of(frame);
    uint32_t count, number;

    out->type = 0;
    if (frame.size > AG_MESSAGE_BYTES_MAX)
        return ag_fail(err, ARGOSY_EPROTO, "rejected.malformed: %zu bytes are more than %d",
                       frame.size, AG_MESSAGE_BYTES_MAX);
    if (ag_wire_check(frame, AG_WIRE_DEPTH_MAX, FRAME_OBJECTS_MAX) < 0)
        return ag_fail(err, ARGOSY_EPROTO, "rejected.malformed: not one sound msgpack value");
    count = ag_read_array(&r);
    number = read_u32(&r);
    if (r.failed || count == 0)
        return ag_fail(err, ARGOSY_EPROTO,
                       "rejected.malformed: a message is an array that begins with its number");
    out->type = (enum ag_message)number;
    if (number >= sizeof fields_of || fields_of[number] == 0)
        return ag_fail(err, ARGOSY_EPROTO, "rejected.message: no message has the number %u",
                       (unsigned)number);
    if (count - 1 < fields_of[number])
        return ag_fail(err, ARGOSY_EPROTO, "rejected.malformed: %s needs %u fields, has %u",
                       ag_message_name(number), (unsigned)fields_of[number], (unsigned)count - 1);
    read_fields(&r, out);
    if (r.failed)
        return ag_fail(err, ARGOSY_EPROTO,
                       "rejected.malformed: a field of %s has the wrong type or is out of range",
                       ag_message_name(number));
    return 0;
}

/* The list was checked by the decoder: a failure here is a bug of ours. */
bool ag_proto_next_token(struct ag_bytes *list, struct proto_token *token)
{
    struct ag_reader r = ag_reader_of(*list);

    if (list->size == 0)
        return false;
    *token = read_token(&r);
    AG_ASSERT(!r.failed);
    *list = ag_bytes_of(r.at, (size_t)(r.end - r.at));
    return true;
}

bool ag_proto_next_attempt(struct ag_bytes *list, struct proto_attempt *attempt)
{
    struct ag_reader r = ag_reader_of(*list);

    if (list->size == 0)
        return false;
    *attempt = read_attempt(&r);
    AG_ASSERT(!r.failed);
    *list = ag_bytes_of(r.at, (size_t)(r.end - r.at));
    return true;
}

bool ag_proto_are_attempts(struct ag_bytes list, uint32_t count)
{
    struct ag_reader r = ag_reader_of(list);

    for (; count > 0 && !r.failed; count--)
        read_attempt(&r);
    return !r.failed && r.at == r.end;
}

bool ag_proto_next_input(struct ag_bytes *list, struct proto_input *input)
{
    struct ag_reader r = ag_reader_of(*list);

    if (list->size == 0)
        return false;
    *input = read_input(&r);
    AG_ASSERT(!r.failed);
    *list = ag_bytes_of(r.at, (size_t)(r.end - r.at));
    return true;
}

int ag_proto_decode_job(struct ag_bytes bytes, struct proto_submit_job *out,
                        struct argosy_error *err)
{
    struct ag_reader r = ag_reader_of(bytes);

    if (ag_wire_check(bytes, AG_WIRE_DEPTH_MAX, AG_WIRE_OBJECTS_MAX) < 0)
        return ag_fail(err, ARGOSY_EPROTO, "not one sound msgpack value");
    read_submit_job(&r, out);
    return r.failed ? ag_fail(err, ARGOSY_EPROTO, "not a job") : 0;
}

/* ---- writing ------------------------------------------------------------------------------- */

static void put_text(msgpack_packer *p, struct ag_bytes text)
{
    msgpack_pack_str(p, text.size);
    if (text.size > 0)
        msgpack_pack_str_body(p, text.data, text.size);
}

static void put_bin(msgpack_packer *p, struct ag_bytes bin)
{
    msgpack_pack_bin(p, bin.size);
    if (bin.size > 0)
        msgpack_pack_bin_body(p, bin.data, bin.size);
}

static void put_bin_or_nil(msgpack_packer *p, struct ag_bytes bin)
{
    if (bin.data == NULL)
        msgpack_pack_nil(p);
    else
        put_bin(p, bin);
}

static void put_id(msgpack_packer *p, const struct ag_id *id)
{
    put_bin(p, ag_bytes_of(id, sizeof *id));
}

static void put_bool(msgpack_packer *p, bool value)
{
    if (value)
        msgpack_pack_true(p);
    else
        msgpack_pack_false(p);
}

static void put_raw(msgpack_packer *p, struct ag_bytes bytes)
{
    if (bytes.size > 0)
        ag_buffer_write(p->data, (const char *)bytes.data, bytes.size);
}

static void put_token_fields(msgpack_packer *p, const struct proto_token *token)
{
    put_id(p, &token->job);
    msgpack_pack_uint64(p, token->epoch);
    msgpack_pack_uint32(p, token->attempt);
}

static void put_token(msgpack_packer *p, const struct proto_token *token)
{
    msgpack_pack_array(p, 3);
    put_token_fields(p, token);
}

static void put_kinds(msgpack_packer *p, const struct proto_kind *kinds, uint32_t count)
{
    msgpack_pack_array(p, count);
    for (uint32_t i = 0; i < count; i++) {
        msgpack_pack_array(p, 2);
        put_text(p, kinds[i].name);
        msgpack_pack_uint32(p, kinds[i].count);
    }
}

static void put_hello(msgpack_packer *p, const struct proto_hello *m)
{
    msgpack_pack_array(p, 1);
    msgpack_pack_uint32(p, AG_PROTO_VERSION);
    msgpack_pack_uint32(p, m->role);
    put_text(p, m->name);
    put_id(p, &m->instance);
    put_text(p, m->software);
    put_text(p, m->host);
    msgpack_pack_array(p, m->tags_count);
    for (uint32_t i = 0; i < m->tags_count; i++)
        put_text(p, m->tags[i]);
    put_kinds(p, m->kinds, m->kinds_count);
    msgpack_pack_array(p, m->holding_count);
    put_raw(p, m->holding);
    msgpack_pack_uint32(p, m->number);
}

static void put_welcome(msgpack_packer *p, const struct proto_welcome *m)
{
    msgpack_pack_uint32(p, m->version);
    put_id(p, &m->broker);
    msgpack_pack_uint64(p, m->epoch);
    msgpack_pack_uint32(p, m->heartbeat_ms);
    msgpack_pack_uint64(p, m->message_bytes);
    msgpack_pack_uint64(p, m->payload_bytes);
    msgpack_pack_uint64(p, m->result_bytes);
    msgpack_pack_uint32(p, m->window);
    msgpack_pack_uint64(p, m->unix_ms);
}

static void put_jobs(msgpack_packer *p, const struct proto_jobs *m)
{
    msgpack_pack_array(p, m->count);
    for (uint32_t i = 0; i < m->count; i++) {
        const struct proto_job *job = &m->items[i];

        msgpack_pack_array(p, 8);
        put_token_fields(p, &job->token);
        put_text(p, job->kind);
        msgpack_pack_uint32(p, job->run_ms);
        msgpack_pack_uint32(p, job->grace_ms);
        put_bin(p, job->payload);
        msgpack_pack_array(p, job->inputs_count);
        put_raw(p, job->inputs);
    }
}

static void put_results(msgpack_packer *p, const struct proto_results *m)
{
    msgpack_pack_array(p, m->count);
    for (uint32_t i = 0; i < m->count; i++) {
        const struct proto_result *result = &m->items[i];

        msgpack_pack_array(p, 12);
        put_token_fields(p, &result->token);
        msgpack_pack_uint32(p, result->outcome);
        msgpack_pack_uint32(p, result->wait_ms);
        msgpack_pack_uint32(p, result->run_ms);
        put_bin_or_nil(p, result->result);
        put_bin_or_nil(p, result->error);
        put_text(p, result->type);
        put_text(p, result->message);
        put_bool(p, result->retryable);
        msgpack_pack_uint32(p, result->retry_after_ms);
    }
}

static void put_tokens(msgpack_packer *p, const struct proto_tokens *m)
{
    msgpack_pack_array(p, m->count);
    for (uint32_t i = 0; i < m->count; i++)
        put_token(p, &m->items[i]);
}

static void put_progress(msgpack_packer *p, const struct proto_progress *m)
{
    msgpack_pack_array(p, m->count);
    for (uint32_t i = 0; i < m->count; i++) {
        const struct proto_progress_item *item = &m->items[i];

        msgpack_pack_array(p, 7);
        put_token_fields(p, &item->token);
        msgpack_pack_uint32(p, item->permille);
        put_text(p, item->note);
        msgpack_pack_uint32(p, item->sequence);
        put_bin_or_nil(p, item->partial);
    }
}

static void put_news(msgpack_packer *p, const struct proto_news *m)
{
    msgpack_pack_uint32(p, m->watch);
    msgpack_pack_array(p, m->count);
    for (uint32_t i = 0; i < m->count; i++) {
        const struct proto_news_item *item = &m->items[i];

        msgpack_pack_array(p, 8);
        put_id(p, &item->job);
        msgpack_pack_uint32(p, item->index);
        put_text(p, item->kind);
        msgpack_pack_uint32(p, item->attempt);
        msgpack_pack_uint32(p, item->permille);
        put_text(p, item->note);
        msgpack_pack_uint32(p, item->sequence);
        put_bin_or_nil(p, item->partial);
    }
}

static void put_id_or_nil(msgpack_packer *p, const struct ag_id *id)
{
    if (ag_id_is_zero(id))
        msgpack_pack_nil(p);
    else
        put_id(p, id);
}

static void put_group(msgpack_packer *p, const struct proto_group *group)
{
    msgpack_pack_array(p, 13);
    put_id(p, &group->id);
    put_text(p, group->name);
    msgpack_pack_uint32(p, group->policy);
    msgpack_pack_uint32(p, group->failures_max);
    msgpack_pack_uint32(p, group->deadline_ms);
    msgpack_pack_uint32(p, group->concurrency);
    put_id_or_nil(p, &group->parent);
    msgpack_pack_uint32(p, group->failures_percent);
    msgpack_pack_uint32(p, group->successes);
    msgpack_pack_uint32(p, group->successes_min);
    put_bool(p, group->is_gentle);
    msgpack_pack_uint32(p, group->rate_per_minute);
    msgpack_pack_uint32(p, group->ttl_ms);
}

static void put_submit_job(msgpack_packer *p, const struct proto_submit_job *job)
{
    msgpack_pack_array(p, 21);
    put_id(p, &job->id);
    put_id_or_nil(p, &job->group);
    msgpack_pack_uint32(p, job->index);
    put_text(p, job->kind);
    msgpack_pack_uint32(p, job->run_ms);
    msgpack_pack_uint32(p, job->queue_ms);
    msgpack_pack_uint32(p, job->delay_ms);
    msgpack_pack_uint32(p, job->grace_ms);
    msgpack_pack_array(p, 6);
    msgpack_pack_uint32(p, job->retry.attempts);
    msgpack_pack_uint32(p, job->retry.base_ms);
    msgpack_pack_uint32(p, job->retry.factor_percent);
    msgpack_pack_uint32(p, job->retry.cap_ms);
    put_text(p, job->retry.selectors);
    msgpack_pack_uint32(p, job->retry.budget_percent);
    put_bin(p, job->payload);
    msgpack_pack_uint32(p, job->priority);
    put_text(p, job->queue);
    put_text(p, job->key);
    msgpack_pack_uint32(p, job->key_max);
    msgpack_pack_uint32(p, job->key_delay_ms);
    put_bin(p, job->after);
    put_bool(p, job->after_any);
    put_text(p, job->unique);
    msgpack_pack_uint32(p, job->unique_policy);
    put_text(p, job->requires);
    msgpack_pack_uint32(p, job->ttl_ms);
}

static void put_submit(msgpack_packer *p, const struct proto_submit *m)
{
    msgpack_pack_uint64(p, m->request);
    msgpack_pack_array(p, m->groups_count);
    for (uint32_t i = 0; i < m->groups_count; i++)
        put_group(p, &m->groups[i]);
    msgpack_pack_array(p, m->jobs_count);
    for (uint32_t i = 0; i < m->jobs_count; i++)
        put_submit_job(p, &m->jobs[i]);
}

static void put_accepted(msgpack_packer *p, const struct proto_accepted *m)
{
    msgpack_pack_uint64(p, m->request);
    msgpack_pack_uint32(p, m->accepted);
    msgpack_pack_uint32(p, m->repeated);
    msgpack_pack_array(p, m->refused_count);
    for (uint32_t i = 0; i < m->refused_count; i++) {
        msgpack_pack_array(p, 3);
        put_id(p, &m->refused[i].id);
        put_text(p, m->refused[i].type);
        put_text(p, m->refused[i].message);
    }
    msgpack_pack_uint32(p, m->window);
    msgpack_pack_uint32(p, m->retry_after_ms);
}

static void put_watch(msgpack_packer *p, const struct proto_watch *m)
{
    msgpack_pack_uint32(p, m->watch);
    put_id(p, &m->target);
    msgpack_pack_uint64(p, m->cursor);
    msgpack_pack_uint32(p, m->credit);
    msgpack_pack_uint32(p, m->flags);
}

static void put_event(msgpack_packer *p, const struct proto_event *event)
{
    msgpack_pack_array(p, 14);
    put_id(p, &event->job);
    msgpack_pack_uint32(p, event->index);
    put_text(p, event->kind);
    msgpack_pack_uint32(p, event->state);
    msgpack_pack_uint32(p, event->attempt);
    msgpack_pack_uint32(p, event->attempts_max);
    put_text(p, event->worker);
    msgpack_pack_uint32(p, event->queued_ms);
    msgpack_pack_uint32(p, event->run_ms);
    put_bin_or_nil(p, event->result);
    put_bin_or_nil(p, event->error);
    put_bin_or_nil(p, event->payload);
    msgpack_pack_array(p, event->attempts_count);
    put_raw(p, event->attempts);
    put_text(p, event->note);
}

static void put_events(msgpack_packer *p, const struct proto_events *m)
{
    msgpack_pack_uint32(p, m->watch);
    msgpack_pack_uint64(p, m->cursor);
    msgpack_pack_uint32(p, m->end);
    msgpack_pack_array(p, 8);
    msgpack_pack_uint64(p, m->counts.total);
    msgpack_pack_uint64(p, m->counts.waiting);
    msgpack_pack_uint64(p, m->counts.running);
    msgpack_pack_uint64(p, m->counts.succeeded);
    msgpack_pack_uint64(p, m->counts.failed);
    msgpack_pack_uint64(p, m->counts.cancelled);
    msgpack_pack_uint64(p, m->counts.retried);
    msgpack_pack_uint64(p, m->counts.unconfirmed);
    put_text(p, m->failure);
    put_text(p, m->name);
    msgpack_pack_uint64(p, m->wall_ms);
    msgpack_pack_uint64(p, m->busy_ms);
    msgpack_pack_array(p, m->count);
    for (uint32_t i = 0; i < m->count; i++)
        put_event(p, &m->items[i]);
}

static void put_cancel(msgpack_packer *p, const struct proto_cancel *m)
{
    msgpack_pack_uint64(p, m->request);
    msgpack_pack_array(p, m->count);
    for (uint32_t i = 0; i < m->count; i++)
        put_id(p, &m->targets[i]);
}

void ag_proto_encode(struct ag_buffer *out, const struct proto *message)
{
    msgpack_packer packer, *p = &packer;

    AG_ASSERT(message->type < sizeof fields_of && fields_of[message->type] > 0);
    msgpack_packer_init(p, out, ag_buffer_write);
    msgpack_pack_array(p, 1u + fields_of[message->type]);
    msgpack_pack_uint32(p, message->type);
    switch (message->type) {
    case AG_HELLO:
        put_hello(p, &message->hello);
        break;
    case AG_WELCOME:
        put_welcome(p, &message->welcome);
        break;
    case AG_REJECT:
        put_text(p, message->reject.type);
        put_text(p, message->reject.message);
        msgpack_pack_uint32(p, message->reject.about);
        break;
    case AG_PING:
    case AG_PONG:
        msgpack_pack_uint64(p, message->ping.number);
        break;
    case AG_BYE:
        put_text(p, message->bye.reason);
        break;
    case AG_CREDIT:
        put_kinds(p, message->credit.kinds, message->credit.count);
        break;
    case AG_JOBS:
        put_jobs(p, &message->jobs);
        break;
    case AG_RESULTS:
        put_results(p, &message->results);
        break;
    case AG_RECORDED:
    case AG_STOP:
    case AG_RECALL:
        put_tokens(p, &message->stop);
        break;
    case AG_DRAIN:
        msgpack_pack_uint32(p, message->drain.grace_ms);
        break;
    case AG_PROGRESS:
        put_progress(p, &message->progress);
        break;
    case AG_NEWS:
        put_news(p, &message->news);
        break;
    case AG_SUBMIT:
        put_submit(p, &message->submit);
        break;
    case AG_ACCEPTED:
        put_accepted(p, &message->accepted);
        break;
    case AG_WATCH:
        put_watch(p, &message->watch);
        break;
    case AG_EVENTS:
        put_events(p, &message->events);
        break;
    case AG_MORE:
        msgpack_pack_uint32(p, message->more.watch);
        msgpack_pack_uint64(p, message->more.cursor);
        msgpack_pack_uint32(p, message->more.credit);
        break;
    case AG_CANCEL:
        put_cancel(p, &message->cancel);
        break;
    case AG_SEAL:
        msgpack_pack_uint64(p, message->seal.request);
        put_id(p, &message->seal.group);
        break;
    case AG_QUERY:
    case AG_CONTROL:
        msgpack_pack_uint64(p, message->query.request);
        put_text(p, message->query.verb);
        put_bin(p, message->query.arguments);
        break;
    case AG_ANSWER:
        msgpack_pack_uint64(p, message->answer.request);
        put_text(p, message->answer.type);
        put_text(p, message->answer.message);
        put_bin(p, message->answer.body);
        break;
    }
}

void ag_proto_append_token(struct ag_buffer *list, const struct proto_token *token)
{
    msgpack_packer packer;

    msgpack_packer_init(&packer, list, ag_buffer_write);
    put_token(&packer, token);
}

void ag_proto_append_attempt(struct ag_buffer *list, const struct proto_attempt *attempt)
{
    msgpack_packer packer, *p = &packer;

    msgpack_packer_init(p, list, ag_buffer_write);
    msgpack_pack_array(p, 6);
    msgpack_pack_uint32(p, attempt->attempt);
    put_text(p, attempt->worker);
    msgpack_pack_uint64(p, attempt->started_unix_ms);
    msgpack_pack_uint32(p, attempt->run_ms);
    put_text(p, attempt->type);
    put_text(p, attempt->message);
}

void ag_proto_append_input(struct ag_buffer *list, const struct proto_input *input)
{
    msgpack_packer packer, *p = &packer;

    msgpack_packer_init(p, list, ag_buffer_write);
    msgpack_pack_array(p, 4);
    put_id(p, &input->job);
    put_text(p, input->kind);
    msgpack_pack_uint32(p, input->state);
    put_bin_or_nil(p, input->result);
}

void ag_proto_encode_job(struct ag_buffer *out, const struct proto_submit_job *job)
{
    msgpack_packer packer;

    msgpack_packer_init(&packer, out, ag_buffer_write);
    put_submit_job(&packer, job);
}
