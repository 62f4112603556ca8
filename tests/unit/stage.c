#include "tests/unit/stage.h"

#include <stdlib.h>

#include "broker/core/record.h"
#include "tests/simulation/fold.h"
#include "tests/unit/cmocka_prelude.h"

enum { WATCH_NUMBER = 1 };

struct ag_id stage_id(unsigned number)
{
    struct ag_id id = {{0}};

    id.bytes[0] = 1; /* never zero, not even number 0 */
    for (int i = 0; i < 4; i++)
        id.bytes[15 - i] = (uint8_t)(number >> (8 * i));
    return id;
}

unsigned stage_number(const struct ag_id *id)
{
    unsigned number = 0;

    for (int i = 12; i < 16; i++)
        number = number << 8 | id->bytes[i];
    return number;
}

struct stage *stage_new(const struct core_config *changes)
{
    struct stage *self = calloc(1, sizeof *self);

    assert_non_null(self);
    self->config = (struct core_config){.epoch = 7,
                                        .seed = 42,
                                        .heartbeat_ms = 1000,
                                        .grace_ms = 5000,
                                        .result_ttl_ms = 60000,
                                        .sessions_max = 100,
                                        .jobs_max = 1000000,
                                        .bytes_max = 1 << 30};
    if (changes != NULL)
        self->config = *changes;
    self->core = core_new(&self->config);
    assert_non_null(self->core);
    self->said = ag_buffer_empty(64 << 20);
    self->attempts = ag_buffer_empty(1 << 20);
    self->journal = ag_buffer_empty(64 << 20);
    self->wanted = ag_buffer_empty(1 << 20);
    return self;
}

void stage_free(struct stage *self)
{
    core_destroy(&self->core);
    ag_buffer_free(&self->said);
    ag_buffer_free(&self->attempts);
    ag_buffer_free(&self->journal);
    ag_buffer_free(&self->wanted);
    free(self);
}

void stage_expect(struct stage *self, const char *lines)
{
    assert_string_equal(ag_buffer_as_text(&self->said), lines);
    ag_buffer_clear(&self->said);
}

/* ---- writing down
 * -------------------------------------------------------------------------------- */

static void write_events(struct stage *self, const struct effect *effect)
{
    static const char *const states[] = {"?", "succeeded", "failed", "cancelled"};
    struct proto_events head = {0};

    core_describe_target(self->core, effect, &head);
    ag_buffer_printf(&self->said, "%u: events %llu", effect->peer,
                     (unsigned long long)effect->events.cursor);
    for (uint32_t i = 0; i < effect->events.count; i++) {
        struct proto_event entry;
        struct proto_attempt attempt;

        core_describe(self->core, effect->events.jobs[i], effect->events.flags, &self->attempts,
                      &entry);
        ag_buffer_printf(&self->said, " %u.%u=%s", stage_number(&entry.job), entry.attempt,
                         states[entry.state]);
        while (ag_proto_next_attempt(&entry.attempts, &attempt))
            ag_buffer_printf(&self->said, "(%.*s)", AG_TEXT(attempt.type));
        if (entry.note.size > 0)
            ag_buffer_printf(&self->said, " %.*s", AG_TEXT(entry.note));
    }
    if (effect->events.end == PROTO_ENDED)
        ag_buffer_printf(&self->said, " end%s%.*s", head.failure.size > 0 ? " " : "",
                         AG_TEXT(head.failure));
    else if (effect->events.end == PROTO_EARLY)
        ag_buffer_text(&self->said, " early");
    else if (effect->events.end == PROTO_UNKNOWN)
        ag_buffer_text(&self->said, " unknown");
    ag_buffer_text(&self->said, "\n");
}

/* Each record with its size in front. */
static void keep_record(struct stage *self, const struct effect *effect)
{
    struct ag_buffer record = ag_buffer_empty(AG_MESSAGE_BYTES_MAX);

    core_write_record(self->core, effect, &record);
    assert_false(record.failed);
    journal_append(&self->journal, self->records, ag_buffer_bytes(&record));
    ag_buffer_free(&record);
}

/* The broker dies and comes back with its journal; sessions are gone. */
void stage_restart(struct stage *self)
{
    struct argosy_error err = {0};
    struct ag_bytes bytes;
    struct record record;
    uint64_t number;

    journal_fold(&self->journal);
    core_destroy(&self->core);
    self->config.epoch++;
    self->core = core_new(&self->config);
    assert_non_null(self->core);
    for (size_t at = 0; journal_next(&self->journal, &at, &number, &bytes);)
        if (record_read(bytes, &record, &err) < 0 ||
            core_restore(self->core, self->now, number, &record, &err) < 0)
            fail_msg("%s", err.message);
    core_restored(self->core, self->records);
    if (core_broken_invariant(self->core) != NULL)
        fail_msg("broken: %s", core_broken_invariant(self->core));
}

void stage_crash(struct stage *self)
{
    self->records = self->committed;
    self->journal.size = self->durable;
    stage_restart(self);
}

static void write_token(struct stage *self, const struct effect *effect, const char *what,
                        const struct proto_token *token)
{
    ag_buffer_printf(&self->said, "%u: %s %u.%u\n", effect->peer, what, stage_number(&token->job),
                     token->attempt);
}

struct wanted {
    struct ag_id id;
    uint64_t number, ended;
};

void stage_load(struct stage *self)
{
    struct ag_buffer wanted = self->wanted;
    struct ag_bytes bytes;
    struct record record;
    uint64_t number;

    self->wanted = ag_buffer_empty(1 << 20);
    for (size_t i = 0; i < wanted.size; i += sizeof(struct wanted)) {
        struct wanted one;
        struct core_loaded loaded;

        memcpy(&one, wanted.data + i, sizeof one);
        loaded = (struct core_loaded){.id = one.id, .number = one.number, .ended = one.ended};
        for (size_t at = 0; journal_next(&self->journal, &at, &number, &bytes);) {
            if (record_read(bytes, &record, NULL) < 0)
                continue;
            if (one.ended == 0 && number == one.number && record.type == RECORD_JOB) {
                loaded.is_there = true;
                loaded.bytes = record.job.spec.payload;
            } else if (one.ended > 0 && number == one.ended && record.type == RECORD_END) {
                loaded.is_there = true;
                loaded.bytes = record.end.result;
            }
        }
        stage_step(self, &(struct core_event){.type = CORE_LOADED, .loaded = &loaded});
    }
    ag_buffer_free(&wanted);
}

static void write_run(struct stage *self, const struct effect *effect)
{
    struct ag_bytes inputs = effect->run.inputs;
    struct proto_input input;

    ag_buffer_printf(&self->said, "%u: run %u.%u", effect->peer,
                     stage_number(&effect->run.token.job), effect->run.token.attempt);
    while (ag_proto_next_input(&inputs, &input))
        ag_buffer_printf(&self->said, " <%u", stage_number(&input.job));
    ag_buffer_text(&self->said, "\n");
}

static void write_effect(struct stage *self, const struct effect *effect)
{
    switch (effect->type) {
    case EFFECT_JOURNAL:
        self->records++;
        if (self->keeps_journal)
            keep_record(self, effect);
        break;
    case EFFECT_LOAD:
        ag_buffer_append(&self->wanted,
                         &(struct wanted){.id = effect->load.id,
                                          .number = effect->load.number,
                                          .ended = effect->load.ended},
                         sizeof(struct wanted));
        break;
    case EFFECT_WELCOME:
        ag_buffer_printf(&self->said, "%u: welcome\n", effect->peer);
        break;
    case EFFECT_REJECT:
        ag_buffer_printf(&self->said, "%u: %s\n", effect->peer, effect->reject.type);
        break;
    case EFFECT_CLOSE:
        ag_buffer_printf(&self->said, "%u: close\n", effect->peer);
        break;
    case EFFECT_RUN:
        write_run(self, effect);
        break;
    case EFFECT_STOP:
        write_token(self, effect, "stop", &effect->token);
        break;
    case EFFECT_RECORDED:
        write_token(self, effect, "recorded", &effect->token);
        break;
    case EFFECT_RECALL:
        write_token(self, effect, "recall", &effect->token);
        break;
    case EFFECT_DRAIN:
        ag_buffer_printf(&self->said, "%u: drain\n", effect->peer);
        break;
    case EFFECT_NEWS:
        ag_buffer_printf(&self->said, "%u: news %u.%u %u\n", effect->peer,
                         stage_number(&effect->news.item.job), effect->news.item.attempt,
                         effect->news.item.permille);
        break;
    case EFFECT_ALARM:
        ag_buffer_printf(&self->said, "alarm %s%s%s %llu\n", effect->alarm.kind,
                         effect->alarm.requires[0] != '\0' ? " " : "", effect->alarm.requires,
                         (unsigned long long)effect->alarm.queued);
        break;
    case EFFECT_ACCEPTED:
        ag_buffer_printf(&self->said, "%u: accepted %u", effect->peer, effect->accepted.accepted);
        if (effect->accepted.repeated > 0)
            ag_buffer_printf(&self->said, " repeated %u", effect->accepted.repeated);
        for (uint32_t i = 0; i < effect->accepted.refused_count; i++)
            ag_buffer_printf(&self->said, " %u=%.*s", stage_number(&effect->accepted.refused[i].id),
                             AG_TEXT(effect->accepted.refused[i].type));
        ag_buffer_text(&self->said, "\n");
        break;
    case EFFECT_EVENTS:
        write_events(self, effect);
        break;
    case EFFECT_ANSWER:
        ag_buffer_printf(&self->said, "%u: answer%s%s", effect->peer,
                         effect->answer.type[0] ? " " : "", effect->answer.type);
        if (effect->answer.cancelled + effect->answer.cancelling + effect->answer.ended +
                effect->answer.unknown_count >
            0)
            ag_buffer_printf(&self->said, " cancelled %llu cancelling %llu ended %llu unknown %u",
                             (unsigned long long)effect->answer.cancelled,
                             (unsigned long long)effect->answer.cancelling,
                             (unsigned long long)effect->answer.ended,
                             effect->answer.unknown_count);
        ag_buffer_text(&self->said, "\n");
        break;
    }
}

/* ---- stepping
 * ------------------------------------------------------------------------------------ */

static void step_once(struct stage *self, struct core_event *event)
{
    const struct effects *effects;
    const char *broken;

    event->now = self->now;
    assert_int_equal(core_step(self->core, event, &effects), 0);
    for (size_t i = 0; i < effects->count; i++) {
        if (self->on_effect != NULL)
            self->on_effect(self->arg, &effects->items[i]);
        write_effect(self, &effects->items[i]);
    }
    broken = core_broken_invariant(self->core);
    if (broken != NULL)
        fail_msg("broken: %s", broken);
}

void stage_commit(struct stage *self)
{
    struct core_event event = {.type = CORE_COMMITTED, .committed = self->records};

    self->committed = self->records;
    self->durable = self->journal.size;
    step_once(self, &event);
}

void stage_step(struct stage *self, struct core_event *event)
{
    struct core_event timer = {.type = CORE_TIMER};

    step_once(self, event);
    if (!self->slow_store)
        stage_commit(self);
    while (core_deadline(self->core) <= self->now) { /* it had more to do than one step may */
        step_once(self, &timer);
        if (!self->slow_store)
            stage_commit(self);
    }
}

void stage_clock(struct stage *self, int64_t unix_offset_ms)
{
    struct core_event event = {.type = CORE_CLOCK, .unix_offset_ms = unix_offset_ms};

    self->config.unix_offset_ms = unix_offset_ms;
    stage_step(self, &event);
}

void stage_wait(struct stage *self, int64_t ms)
{
    int64_t until = self->now + ms;
    struct core_event event = {.type = CORE_TIMER};

    while (core_deadline(self->core) <= until) {
        if (core_deadline(self->core) > self->now)
            self->now = core_deadline(self->core);
        stage_step(self, &event);
    }
    self->now = until;
}

/* ---- actors
 * -------------------------------------------------------------------------------------- */

void stage_hello(struct stage *self, unsigned peer, unsigned instance, enum proto_role role,
                 const char *kind, const unsigned *holding)
{
    struct ag_buffer list = ag_buffer_empty(1 << 20);
    char name[32];
    struct proto_hello hello = {.speaks_ours = true,
                                .role = role,
                                .instance = stage_id(instance),
                                .software = ag_bytes_of_text("test"),
                                .host = ag_bytes_of_text("here")};
    struct core_event event = {.type = CORE_JOIN, .peer = peer, .hello = &hello};

    snprintf(name, sizeof name, "%c%u", role == PROTO_WORKER ? 'w' : 'c', instance);
    hello.name = ag_bytes_of_text(name);
    event.instance = hello.instance;
    if (role == PROTO_WORKER) {
        hello.kinds_count = 1;
        hello.kinds[0] = (struct proto_kind){.name = ag_bytes_of_text(kind),
                                             .count = self->slots ? self->slots : 1000};
        if (self->tag != NULL)
            hello.tags[hello.tags_count++] = ag_bytes_of_text(self->tag);
    }
    for (; holding != NULL && *holding != 0; holding += 2, hello.holding_count++)
        ag_proto_append_token(&list, &(struct proto_token){.job = stage_id(holding[0]),
                                                           .epoch = self->holding_epoch
                                                                        ? self->holding_epoch
                                                                        : self->config.epoch,
                                                           .attempt = holding[1]});
    hello.holding = ag_buffer_bytes(&list);
    hello.number = ++self->hellos;
    stage_step(self, &event);
    ag_buffer_free(&list);
}

void stage_credit(struct stage *self, unsigned peer, unsigned instance, unsigned credit)
{
    struct proto_credit list = {.count = 1};
    struct core_event event = {
        .type = CORE_CREDIT, .peer = peer, .instance = stage_id(instance), .credit = &list};

    list.kinds[0] = (struct proto_kind){.name = ag_bytes_of_text("fetch"), .count = credit};
    stage_step(self, &event);
}

void stage_unsent(struct stage *self, unsigned peer, unsigned job, unsigned attempt)
{
    struct proto_tokens list = {.count = 1};
    struct core_event event = {
        .type = CORE_UNSENT, .peer = peer, .instance = stage_id(peer), .unsent = &list};

    list.items[0] =
        (struct proto_token){.job = stage_id(job), .epoch = self->config.epoch, .attempt = attempt};
    stage_step(self, &event);
}

void stage_worker(struct stage *self, unsigned peer, unsigned slots)
{
    stage_hello(self, peer, peer, PROTO_WORKER, "fetch", NULL);
    stage_credit(self, peer, peer, slots);
}

void stage_client(struct stage *self, unsigned peer)
{
    stage_hello(self, peer, peer, PROTO_CLIENT, NULL, NULL);
}

void stage_say(struct stage *self, unsigned peer, unsigned instance, enum core_event_type type)
{
    struct core_event event = {.type = type, .peer = peer, .instance = stage_id(instance)};

    stage_step(self, &event);
}

struct proto_group stage_group(unsigned id, enum proto_policy policy)
{
    return (struct proto_group){
        .id = stage_id(id), .name = ag_bytes_of_text("batch"), .policy = policy};
}

static struct ag_bytes after_of(const struct stage_job *job, struct ag_id *ids)
{
    size_t count = 0;

    for (; count < STAGE_AFTER_MAX && job->after[count] != 0; count++)
        ids[count] = stage_id(job->after[count]);
    return ag_bytes_of(ids, count * sizeof *ids);
}

void stage_submit(struct stage *self, unsigned peer, const struct proto_group *groups,
                  unsigned groups_count, const struct stage_job *jobs, unsigned jobs_count)
{
    static struct proto_submit submit;
    static struct ag_id ids[AG_MESSAGE_ITEMS_MAX][STAGE_AFTER_MAX];
    struct core_event event = {
        .type = CORE_SUBMIT, .peer = peer, .instance = stage_id(peer), .submit = &submit};

    submit =
        (struct proto_submit){.request = 1, .groups_count = groups_count, .jobs_count = jobs_count};
    for (unsigned i = 0; i < groups_count; i++)
        submit.groups[i] = groups[i];
    for (unsigned i = 0; i < jobs_count; i++)
        submit.jobs[i] = (struct proto_submit_job){
            .id = stage_id(jobs[i].id),
            .group = jobs[i].group ? stage_id(jobs[i].group) : (struct ag_id){{0}},
            .index = i,
            .kind = ag_bytes_of_text(jobs[i].kind ? jobs[i].kind : "fetch"),
            .run_ms = jobs[i].run_ms,
            .queue_ms = jobs[i].queue_ms,
            .delay_ms = jobs[i].delay_ms,
            .grace_ms = jobs[i].grace_ms,
            .retry = {.attempts = jobs[i].attempts ? jobs[i].attempts : 1,
                      .base_ms = 1000,
                      .cap_ms = 60000,
                      .factor_percent = 200,
                      .selectors = ag_bytes_of_text(jobs[i].selectors ? jobs[i].selectors : ""),
                      .budget_percent = jobs[i].budget},
            .payload = ag_bytes_of_text("\x80"),
            .priority = jobs[i].priority,
            .queue = ag_bytes_of_text(jobs[i].queue ? jobs[i].queue : ""),
            .key = ag_bytes_of_text(jobs[i].key ? jobs[i].key : ""),
            .key_max = jobs[i].key_max,
            .key_delay_ms = jobs[i].key_delay_ms,
            .after = after_of(&jobs[i], ids[i]),
            .after_any = jobs[i].after_any,
            .unique = ag_bytes_of_text(jobs[i].unique ? jobs[i].unique : ""),
            .unique_policy = jobs[i].unique_policy,
            .requires = ag_bytes_of_text(jobs[i].requires ? jobs[i].requires : ""),
            .ttl_ms = jobs[i].ttl_ms};
    stage_step(self, &event);
}

void stage_result(struct stage *self, unsigned peer, unsigned instance, unsigned job,
                  unsigned attempt, enum proto_outcome outcome, const char *type, bool retryable)
{
    static struct proto_results results;
    struct core_event event = {
        .type = CORE_RESULTS, .peer = peer, .instance = stage_id(instance), .results = &results};

    results.count = 1;
    results.items[0] = (struct proto_result){
        .token = {.job = stage_id(job), .epoch = self->config.epoch, .attempt = attempt},
        .outcome = outcome,
        .run_ms = 3,
        .result = outcome == PROTO_SUCCEEDED ? ag_bytes_of_text("\x80") : (struct ag_bytes){0},
        .error = outcome == PROTO_FAILED ? ag_bytes_of_text("\x80") : (struct ag_bytes){0},
        .type = ag_bytes_of_text(type ? type : ""),
        .message = ag_bytes_of_text(type ? "because" : ""),
        .retryable = retryable};
    stage_step(self, &event);
}

void stage_seal(struct stage *self, unsigned peer, unsigned group)
{
    struct proto_seal seal = {.request = 2, .group = stage_id(group)};
    struct core_event event = {
        .type = CORE_SEAL, .peer = peer, .instance = stage_id(peer), .seal = &seal};

    stage_step(self, &event);
}

void stage_cancel(struct stage *self, unsigned peer, unsigned target)
{
    struct proto_cancel cancel = {.request = 3, .count = 1, .targets = {stage_id(target)}};
    struct core_event event = {
        .type = CORE_CANCEL, .peer = peer, .instance = stage_id(peer), .cancel = &cancel};

    stage_step(self, &event);
}

void stage_watch(struct stage *self, unsigned peer, unsigned target, uint64_t cursor,
                 uint32_t credit, uint32_t flags)
{
    struct proto_watch watch = {.watch = WATCH_NUMBER,
                                .target = stage_id(target),
                                .cursor = cursor,
                                .credit = credit,
                                .flags = flags};
    struct core_event event = {
        .type = CORE_WATCH, .peer = peer, .instance = stage_id(peer), .watch = &watch};

    stage_step(self, &event);
}

void stage_more(struct stage *self, unsigned peer, uint64_t cursor, uint32_t credit)
{
    struct proto_more more = {.watch = WATCH_NUMBER, .cursor = cursor, .credit = credit};
    struct core_event event = {
        .type = CORE_MORE, .peer = peer, .instance = stage_id(peer), .more = &more};

    stage_step(self, &event);
}

void stage_control(struct stage *self, unsigned peer, struct core_control control)
{
    struct core_event event = {
        .type = CORE_CONTROL, .peer = peer, .instance = stage_id(peer), .control = &control};

    stage_step(self, &event);
}

void stage_progress(struct stage *self, unsigned peer, unsigned job, unsigned attempt,
                    uint32_t permille)
{
    struct proto_progress progress = {.count = 1};
    struct core_event event = {
        .type = CORE_PROGRESS, .peer = peer, .instance = stage_id(peer), .progress = &progress};

    progress.items[0] = (struct proto_progress_item){
        .token = {.job = stage_id(job), .epoch = self->config.epoch, .attempt = attempt},
        .permille = permille};
    stage_step(self, &event);
}
