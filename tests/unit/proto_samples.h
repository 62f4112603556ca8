/* proto_samples.h - every field of every message, once: to fill messages, to print them, and to
 * push each field over its bounds.
 *
 * Start here: fields_of_message() calls back for each field; sample() and print_fields() use it.
 *
 * Threads: one; samples live in static memory until the next one is made.
 */
#ifndef TESTS_PROTO_SAMPLES_H
#define TESTS_PROTO_SAMPLES_H

#include <inttypes.h>

#include "common/proto.h"

enum field_kind {
    FIELD_U32, /* enumerations too */
    FIELD_U64,
    FIELD_BOOL,
    FIELD_ID,
    FIELD_ID_OR_NIL,
    FIELD_TEXT,
    FIELD_BIN,
    FIELD_BIN_OR_NIL,
    FIELD_PAYLOAD, /* the broker judges its size, the codec only that of the frame */
    FIELD_PAYLOAD_OR_NIL,
    FIELD_COUNT, /* of items that follow as fields */
    FIELD_TOKENS,
    FIELD_ATTEMPTS, /* the count of a list that stays raw */
    FIELD_INPUTS,   /* likewise */
    FIELD_IDS       /* a bin of whole ids */
};

struct field {
    enum field_kind kind;
    const char *name;
    void *at;
    uint64_t low, high;   /* of a number, of a size in bytes, of a count */
    struct ag_bytes *raw; /* tokens and attempts */
};

struct visitor {
    void (*see)(struct visitor *self, const struct field *field);
};

static void see(struct visitor *v, enum field_kind kind, const char *name, void *at, uint64_t low,
                uint64_t high, struct ag_bytes *raw)
{
    struct field field = {kind, name, at, low, high, raw};

    v->see(v, &field);
}

/* ---- the fields ----------------------------------------------------------------------------- */

#define RANGE(member, low, high) see(v, FIELD_U32, #member, &m->member, low, high, NULL)
#define U32(member) RANGE(member, 0, UINT32_MAX)
#define U64(member) see(v, FIELD_U64, #member, &m->member, 0, UINT64_MAX, NULL)
#define FLAG(member) see(v, FIELD_BOOL, #member, &m->member, 0, 1, NULL)
#define ID(member) see(v, FIELD_ID, #member, &m->member, 0, 16, NULL)
#define ID_OR_NIL(member) see(v, FIELD_ID_OR_NIL, #member, &m->member, 0, 16, NULL)
#define TEXT(member, max) see(v, FIELD_TEXT, #member, &m->member, 0, max, NULL)
#define BIN(member, max) see(v, FIELD_BIN, #member, &m->member, 0, max, NULL)
#define BIN_OR_NIL(member, max) see(v, FIELD_BIN_OR_NIL, #member, &m->member, 0, max, NULL)
#define PAYLOAD(member) see(v, FIELD_PAYLOAD, #member, &m->member, 0, AG_PAYLOAD_BYTES_MAX, NULL)
#define PAYLOAD_OR_NIL(member)                                                                     \
    see(v, FIELD_PAYLOAD_OR_NIL, #member, &m->member, 0, AG_PAYLOAD_BYTES_MAX, NULL)
#define COUNT(member, max) see(v, FIELD_COUNT, #member, &m->member, 0, max, NULL)
#define NAME(member) TEXT(member, AG_NAME_BYTES_MAX)
#define WORDS(member) TEXT(member, AG_TEXT_BYTES_MAX)

static void fields_of_token(struct visitor *v, struct proto_token *m)
{
    ID(job), U64(epoch), U32(attempt);
}

static void fields_of_attempt(struct visitor *v, struct proto_attempt *m)
{
    U32(attempt), NAME(worker), U64(started_unix_ms), U32(run_ms), NAME(type), WORDS(message);
}

static void fields_of_kinds(struct visitor *v, struct proto_kind *m, uint32_t count)
{
    for (; count > 0; count--, m++)
        NAME(name), RANGE(count, 0, AG_SLOTS_MAX);
}

static void fields_of_hello(struct visitor *v, struct proto_hello *m)
{
    RANGE(role, PROTO_CLIENT, PROTO_WORKER), NAME(name), ID(instance), NAME(software), WORDS(host);
    COUNT(tags_count, AG_TAGS_MAX);
    for (uint32_t i = 0; i < m->tags_count; i++)
        NAME(tags[i]);
    COUNT(kinds_count, AG_KINDS_MAX);
    fields_of_kinds(v, m->kinds, m->kinds_count);
    see(v, FIELD_TOKENS, "holding", &m->holding_count, 0, AG_SLOTS_MAX, &m->holding);
    U32(number);
}

static void fields_of_welcome(struct visitor *v, struct proto_welcome *m)
{
    RANGE(version, 0, 255), ID(broker), U64(epoch), U32(heartbeat_ms), U64(message_bytes);
    U64(payload_bytes), U64(result_bytes), U32(window), U64(unix_ms);
}

static void fields_of_job(struct visitor *v, struct proto_job *m)
{
    fields_of_token(v, &m->token);
    NAME(kind), U32(run_ms), U32(grace_ms), PAYLOAD(payload);
    see(v, FIELD_INPUTS, "inputs", &m->inputs_count, 0, AG_INPUTS_MAX, &m->inputs);
}

static void fields_of_progress(struct visitor *v, struct proto_progress_item *m)
{
    fields_of_token(v, &m->token);
    RANGE(permille, 0, AG_PERMILLE_UNKNOWN), WORDS(note), U32(sequence);
    BIN_OR_NIL(partial, AG_RESULT_BYTES_MAX);
}

static void fields_of_news(struct visitor *v, struct proto_news_item *m)
{
    ID(job), U32(index), NAME(kind), U32(attempt), RANGE(permille, 0, AG_PERMILLE_UNKNOWN);
    WORDS(note), U32(sequence), BIN_OR_NIL(partial, AG_RESULT_BYTES_MAX);
}

static void fields_of_input(struct visitor *v, struct proto_input *m)
{
    ID(job), NAME(kind), RANGE(state, PROTO_JOB_SUCCEEDED, PROTO_JOB_CANCELLED);
    BIN_OR_NIL(result, AG_RESULT_BYTES_MAX);
}

static void fields_of_result(struct visitor *v, struct proto_result *m)
{
    fields_of_token(v, &m->token);
    RANGE(outcome, PROTO_SUCCEEDED, PROTO_RELEASED), U32(wait_ms), U32(run_ms);
    BIN_OR_NIL(result, AG_RESULT_BYTES_MAX), BIN_OR_NIL(error, AG_RESULT_BYTES_MAX);
    NAME(type), WORDS(message), FLAG(retryable), U32(retry_after_ms);
}

static void fields_of_group(struct visitor *v, struct proto_group *m)
{
    ID(id), WORDS(name), RANGE(policy, PROTO_GATHER, PROTO_RACE), U32(failures_max);
    U32(deadline_ms), U32(concurrency), ID_OR_NIL(parent), RANGE(failures_percent, 0, 100);
    U32(successes), U32(successes_min), FLAG(is_gentle), U32(rate_per_minute), U32(ttl_ms);
}

static void fields_of_submit_job(struct visitor *v, struct proto_submit_job *m)
{
    ID(id), ID_OR_NIL(group), U32(index), NAME(kind), U32(run_ms), U32(queue_ms), U32(delay_ms);
    U32(grace_ms), RANGE(retry.attempts, 1, AG_ATTEMPTS_MAX), U32(retry.base_ms);
    U32(retry.factor_percent), U32(retry.cap_ms), WORDS(retry.selectors),
        RANGE(retry.budget_percent, 0, 100);
    PAYLOAD(payload);
    RANGE(priority, 0, AG_PRIORITIES - 1), NAME(queue), WORDS(key), U32(key_max);
    U32(key_delay_ms);
    see(v, FIELD_IDS, "after", &m->after, 0, AG_AFTER_MAX * sizeof(struct ag_id), NULL);
    FLAG(after_any), WORDS(unique), RANGE(unique_policy, 0, PROTO_UNIQUE_REPLACE);
    WORDS(requires), U32(ttl_ms);
}

static void fields_of_submit(struct visitor *v, struct proto_submit *m)
{
    U64(request), COUNT(groups_count, AG_MESSAGE_ITEMS_MAX);
    for (uint32_t i = 0; i < m->groups_count; i++)
        fields_of_group(v, &m->groups[i]);
    COUNT(jobs_count, AG_MESSAGE_ITEMS_MAX);
    for (uint32_t i = 0; i < m->jobs_count; i++)
        fields_of_submit_job(v, &m->jobs[i]);
}

static void fields_of_accepted(struct visitor *v, struct proto_accepted *m)
{
    U64(request), U32(accepted), U32(repeated), COUNT(refused_count, 2 * AG_MESSAGE_ITEMS_MAX);
    for (uint32_t i = 0; i < m->refused_count; i++)
        ID(refused[i].id), NAME(refused[i].type), WORDS(refused[i].message);
    U32(window), U32(retry_after_ms);
}

static void fields_of_event(struct visitor *v, struct proto_event *m)
{
    ID(job), U32(index), NAME(kind), RANGE(state, PROTO_JOB_SUCCEEDED, PROTO_JOB_CANCELLED);
    U32(attempt), U32(attempts_max), NAME(worker), U32(queued_ms), U32(run_ms);
    BIN_OR_NIL(result, AG_RESULT_BYTES_MAX), BIN_OR_NIL(error, AG_RESULT_BYTES_MAX);
    PAYLOAD_OR_NIL(payload);
    see(v, FIELD_ATTEMPTS, "attempts", &m->attempts_count, 0, AG_ATTEMPTS_MAX + AG_LOST_MAX,
        &m->attempts);
    WORDS(note);
}

static void fields_of_events(struct visitor *v, struct proto_events *m)
{
    U32(watch), U64(cursor), RANGE(end, PROTO_MORE_TO_COME, PROTO_EARLY);
    U64(counts.total), U64(counts.waiting), U64(counts.running), U64(counts.succeeded);
    U64(counts.failed), U64(counts.cancelled), U64(counts.retried), U64(counts.unconfirmed);
    NAME(failure), WORDS(name), U64(wall_ms), U64(busy_ms), COUNT(count, AG_MESSAGE_ITEMS_MAX);
    for (uint32_t i = 0; i < m->count; i++)
        fields_of_event(v, &m->items[i]);
}

/* `m` has its type; counts are read after they were shown, so that a visitor may set them. */
static void fields_of_message(struct visitor *v, struct proto *m)
{
    switch (m->type) {
    case AG_HELLO:
        fields_of_hello(v, &m->hello);
        break;
    case AG_WELCOME:
        fields_of_welcome(v, &m->welcome);
        break;
    case AG_REJECT:
        NAME(reject.type), WORDS(reject.message), U32(reject.about);
        break;
    case AG_PING:
        U64(ping.number);
        break;
    case AG_PONG:
        U64(pong.number);
        break;
    case AG_BYE:
        WORDS(bye.reason);
        break;
    case AG_CREDIT:
        COUNT(credit.count, AG_KINDS_MAX);
        fields_of_kinds(v, m->credit.kinds, m->credit.count);
        break;
    case AG_JOBS:
        COUNT(jobs.count, AG_MESSAGE_ITEMS_MAX);
        for (uint32_t i = 0; i < m->jobs.count; i++)
            fields_of_job(v, &m->jobs.items[i]);
        break;
    case AG_RESULTS:
        COUNT(results.count, AG_MESSAGE_ITEMS_MAX);
        for (uint32_t i = 0; i < m->results.count; i++)
            fields_of_result(v, &m->results.items[i]);
        break;
    case AG_DRAIN:
        U32(drain.grace_ms);
        break;
    case AG_PROGRESS:
        COUNT(progress.count, AG_MESSAGE_ITEMS_MAX);
        for (uint32_t i = 0; i < m->progress.count; i++)
            fields_of_progress(v, &m->progress.items[i]);
        break;
    case AG_NEWS:
        U32(news.watch), COUNT(news.count, AG_MESSAGE_ITEMS_MAX);
        for (uint32_t i = 0; i < m->news.count; i++)
            fields_of_news(v, &m->news.items[i]);
        break;
    case AG_RECORDED:
    case AG_STOP:
    case AG_RECALL:
        COUNT(stop.count, AG_MESSAGE_ITEMS_MAX);
        for (uint32_t i = 0; i < m->stop.count; i++)
            fields_of_token(v, &m->stop.items[i]);
        break;
    case AG_SUBMIT:
        fields_of_submit(v, &m->submit);
        break;
    case AG_ACCEPTED:
        fields_of_accepted(v, &m->accepted);
        break;
    case AG_WATCH:
        U32(watch.watch), ID(watch.target), U64(watch.cursor), U32(watch.credit), U32(watch.flags);
        break;
    case AG_EVENTS:
        fields_of_events(v, &m->events);
        break;
    case AG_MORE:
        U32(more.watch), U64(more.cursor), U32(more.credit);
        break;
    case AG_CANCEL:
        U64(cancel.request), COUNT(cancel.count, AG_MESSAGE_ITEMS_MAX);
        for (uint32_t i = 0; i < m->cancel.count; i++)
            ID(cancel.targets[i]);
        break;
    case AG_SEAL:
        U64(seal.request), ID(seal.group);
        break;
    case AG_QUERY:
    case AG_CONTROL:
        U64(query.request), NAME(query.verb), BIN(query.arguments, 2 * AG_PAYLOAD_BYTES_MAX);
        break;
    case AG_ANSWER:
        U64(answer.request), NAME(answer.type), WORDS(answer.message);
        BIN(answer.body, AG_RESULT_BYTES_MAX);
        break;
    }
}

/* ---- filling -------------------------------------------------------------------------------- */

enum style {
    STYLE_LEAST,    /* what is smallest: zero, empty, absent */
    STYLE_DISTINCT, /* small, and no two fields alike: whoever swaps two is found out */
    STYLE_LARGEST   /* numbers and texts at their bounds; bins are short, for speed */
};

struct filler {
    struct visitor visitor; /* first */
    enum style style;
    uint32_t items; /* in each list, at most as many as it takes */
    uint32_t number;
    struct ag_buffer list; /* of those that stay raw */
};

enum { SAMPLE_TEXTS_MAX = 1 << 15, SAMPLE_LIST_MAX = 4 << 20, SAMPLE_INPUTS_MAX = 32 };

static struct ag_bytes sample_text(struct filler *self, const struct field *field)
{
    static char distinct[SAMPLE_TEXTS_MAX][16], largest[AG_TEXT_BYTES_MAX + 1];
    char *text = distinct[self->number % SAMPLE_TEXTS_MAX];

    if (self->style == STYLE_LEAST)
        return field->kind == FIELD_TEXT || field->kind == FIELD_BIN || field->kind == FIELD_PAYLOAD
                   ? ag_bytes_of_text("")
                   : (struct ag_bytes){0};
    if (self->style == STYLE_LARGEST) {
        for (size_t i = 0; i + 1 < sizeof largest; i += 2)
            memcpy(largest + i, "\xc3\xa9", 2);
        return ag_bytes_of(largest, field->high < AG_TEXT_BYTES_MAX ? (size_t)field->high
                                                                    : AG_TEXT_BYTES_MAX);
    }
    snprintf(text, sizeof distinct[0], "text-%u", (unsigned)self->number);
    return ag_bytes_of_text(text);
}

/* None, one, as many as may be. */
static struct ag_bytes sample_ids(const struct filler *self, const struct field *field)
{
    static char ids[AG_AFTER_MAX * sizeof(struct ag_id)];

    memset(ids, 'i', sizeof ids);
    return ag_bytes_of(ids, self->style == STYLE_LEAST      ? 0
                            : self->style == STYLE_LARGEST ? (size_t)field->high
                                                           : sizeof(struct ag_id));
}

static void fill_list(struct filler *self, const struct field *field)
{
    uint32_t count = self->items < field->high ? self->items : (uint32_t)field->high;
    size_t begin = self->list.size;

    if (field->kind == FIELD_INPUTS && count > SAMPLE_INPUTS_MAX)
        count = SAMPLE_INPUTS_MAX; /* 64 jobs with thousands of them are no frame any more */
    for (uint32_t i = 0; i < count; i++) {
        struct proto_token token;
        struct proto_attempt attempt;
        struct proto_input input;

        if (field->kind == FIELD_TOKENS) {
            fields_of_token(&self->visitor, &token);
            ag_proto_append_token(&self->list, &token);
        } else if (field->kind == FIELD_INPUTS) {
            fields_of_input(&self->visitor, &input);
            ag_proto_append_input(&self->list, &input);
        } else {
            fields_of_attempt(&self->visitor, &attempt);
            ag_proto_append_attempt(&self->list, &attempt);
        }
    }
    *(uint32_t *)field->at = count;
    *field->raw = count ? ag_bytes_of(self->list.data + begin, self->list.size - begin)
                        : (struct ag_bytes){0};
}

static void fill(struct visitor *visitor, const struct field *field)
{
    struct filler *self = (struct filler *)visitor;
    uint64_t number = self->style == STYLE_LEAST     ? field->low
                      : self->style == STYLE_LARGEST ? field->high
                                                     : ++self->number;
    struct ag_bytes text;

    switch (field->kind) {
    case FIELD_U32:
        if (number > field->high)
            number = field->high;
        *(uint32_t *)field->at = (uint32_t)number;
        break;
    case FIELD_U64:
        *(uint64_t *)field->at = number;
        break;
    case FIELD_BOOL:
        *(bool *)field->at = self->style != STYLE_LEAST;
        break;
    case FIELD_ID:
    case FIELD_ID_OR_NIL:
        memset(field->at, 0, 16);
        if (self->style == STYLE_LARGEST)
            memset(field->at, 0xff, 16);
        else if (self->style == STYLE_DISTINCT)
            snprintf(field->at, 16, "id-%u", (unsigned)number);
        break;
    case FIELD_TEXT:
    case FIELD_BIN:
    case FIELD_BIN_OR_NIL:
    case FIELD_PAYLOAD:
    case FIELD_PAYLOAD_OR_NIL:
        text = sample_text(self, field);
        memcpy(field->at, &text, sizeof text);
        break;
    case FIELD_COUNT:
        *(uint32_t *)field->at = self->items < field->high ? self->items : (uint32_t)field->high;
        break;
    case FIELD_IDS:
        text = sample_ids(self, field);
        memcpy(field->at, &text, sizeof text);
        break;
    case FIELD_TOKENS:
    case FIELD_ATTEMPTS:
    case FIELD_INPUTS:
        fill_list(self, field);
        break;
    }
}

/* A message with `items` in each list. Lives until the next is made. */
static struct proto *sample(enum ag_message type, enum style style, uint32_t items)
{
    static struct proto message;
    static uint8_t list_memory[SAMPLE_LIST_MAX];
    struct filler filler = {.visitor = {fill},
                            .style = style,
                            .items = items,
                            /* it never grows, so what was lent stays where it is */
                            .list = {.data = list_memory,
                                     .capacity = sizeof list_memory,
                                     .size_max = sizeof list_memory}};

    memset(&message, 0, sizeof message);
    message.type = type;
    fields_of_message(&filler.visitor, &message);
    return filler.list.failed ? NULL : &message;
}

/* ---- printing ------------------------------------------------------------------------------- */

struct printer {
    struct visitor visitor; /* first */
    struct ag_buffer *out;
};

static void print_bytes(struct ag_buffer *out, const uint8_t *data, size_t size)
{
    if (data == NULL)
        ag_buffer_text(out, " absent");
    else
        ag_buffer_printf(out, " (%zu) ", size);
    ag_buffer_append(out, data, data ? size : 0);
}

static void print_field(struct visitor *visitor, const struct field *field)
{
    struct printer *self = (struct printer *)visitor;
    struct ag_bytes bytes;
    struct proto_token token;
    struct proto_attempt attempt;
    struct proto_input input;

    ag_buffer_printf(self->out, "%s", field->name);
    switch (field->kind) {
    case FIELD_U64:
        ag_buffer_printf(self->out, " %" PRIu64, *(uint64_t *)field->at);
        break;
    case FIELD_BOOL:
        ag_buffer_text(self->out, *(bool *)field->at ? " true" : " false");
        break;
    case FIELD_ID:
    case FIELD_ID_OR_NIL:
        print_bytes(self->out, field->at, 16);
        break;
    case FIELD_TEXT:
    case FIELD_BIN:
    case FIELD_BIN_OR_NIL:
    case FIELD_PAYLOAD:
    case FIELD_PAYLOAD_OR_NIL:
    case FIELD_IDS:
        memcpy(&bytes, field->at, sizeof bytes);
        print_bytes(self->out, bytes.data, bytes.size);
        break;
    case FIELD_U32:
    case FIELD_COUNT:
        ag_buffer_printf(self->out, " %" PRIu32, *(uint32_t *)field->at);
        break;
    case FIELD_TOKENS:
        ag_buffer_printf(self->out, " %" PRIu32 ":\n", *(uint32_t *)field->at);
        for (bytes = *field->raw; ag_proto_next_token(&bytes, &token);)
            fields_of_token(visitor, &token);
        break;
    case FIELD_ATTEMPTS:
        ag_buffer_printf(self->out, " %" PRIu32 ":\n", *(uint32_t *)field->at);
        for (bytes = *field->raw; ag_proto_next_attempt(&bytes, &attempt);)
            fields_of_attempt(visitor, &attempt);
        break;
    case FIELD_INPUTS:
        ag_buffer_printf(self->out, " %" PRIu32 ":\n", *(uint32_t *)field->at);
        for (bytes = *field->raw; ag_proto_next_input(&bytes, &input);)
            fields_of_input(visitor, &input);
        break;
    }
    ag_buffer_text(self->out, "\n");
}

/* All that a message says, a line for each field: two that print the same are the same. */
static void print_fields(struct ag_buffer *out, struct proto *message)
{
    struct printer printer = {.visitor = {print_field}, .out = out};

    ag_buffer_printf(out, "%s\n", ag_message_name(message->type));
    fields_of_message(&printer.visitor, message);
}

#endif
