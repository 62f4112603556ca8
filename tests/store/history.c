#include "tests/store/history.h"

#include <poll.h>
#include <string.h>

#include "broker/core/record.h"
#include "common/clock.h"
#include "tests/simulation/fold.h"
#include "tests/unit/cmocka_prelude.h"

enum {
    CLIENT = 20,
    ACTS_MAX = 4, /* in a turn */
    JOURNAL_BYTES_MAX = 1 << 30,
    UNIX_OFFSET_MS = 1700000000 /* of the day when all begins, in seconds */
};

static uint32_t below(struct history *self, uint32_t bound)
{
    return (uint32_t)ag_random_below(&self->random, bound);
}

static bool chance(struct history *self, uint32_t percent)
{
    return below(self, 100) < percent;
}

void history_init(struct history *self, uint64_t seed)
{
    *self = (struct history){.journal = ag_buffer_empty(JOURNAL_BYTES_MAX), .peers = 100};
    ag_random_seed(&self->random, seed);
    for (unsigned i = 0; i < HISTORY_WORKERS; i++)
        self->workers[i].instance = 10 + i;
}

void history_fini(struct history *self)
{
    assert_null(self->store);
    ag_buffer_free(&self->journal);
}

/* ---- what the core wants done ---------------------------------------------------------------- */

static void on_journal(struct history *self, const struct effect *effect)
{
    struct ag_buffer record = ag_buffer_empty(AG_MESSAGE_BYTES_MAX);

    if (self->rc < 0)
        return;
    self->rc = self->store->append(self->store, self->stage->core, effect, &self->err);
    if (self->rc == 0) {
        self->seen[effect->journal.record]++;
        core_write_record(self->stage->core, effect, &record);
        journal_append(&self->journal, ++self->appended, ag_buffer_bytes(&record));
    }
    ag_buffer_free(&record);
}

static void on_run(struct history *self, const struct effect *effect)
{
    for (unsigned i = 0; i < HISTORY_WORKERS; i++) {
        struct history_worker *worker = &self->workers[i];

        if (worker->peer == effect->peer && worker->count < HISTORY_HELD_MAX)
            worker->held[worker->count++] = effect->run.token;
    }
}

static void on_effect(void *arg, const struct effect *effect)
{
    if (effect->type == EFFECT_JOURNAL)
        on_journal(arg, effect);
    else if (effect->type == EFFECT_RUN)
        on_run(arg, effect);
}

/* ---- clients --------------------------------------------------------------------------------- */

static void say(struct history *self, struct core_event event)
{
    event.peer = CLIENT;
    event.instance = stage_id(CLIENT);
    stage_step(self->stage, &event);
}

/* One of the last jobs, or a number that stands for none. */
static unsigned some_job(struct history *self)
{
    return self->jobs[below(self, sizeof self->jobs / sizeof self->jobs[0])];
}

static unsigned some_group(struct history *self)
{
    return self->groups[below(self, sizeof self->groups / sizeof self->groups[0])];
}

static struct ag_id id_or_none(unsigned number)
{
    return number > 0 ? stage_id(number) : (struct ag_id){{0}};
}

/* Bytes of any size and content, valid until the next call with the same `room`. */
static struct ag_bytes some_bytes(struct history *self, struct ag_buffer *room, size_t size)
{
    ag_buffer_clear(room);
    if (ag_buffer_reserve(room, size + 1) == NULL)
        fail_msg("no memory");
    ag_random_fill(&self->random, room->data, size < 4096 ? size : 4096);
    if (size > 4096)
        memset(room->data + 4096, (int)size & 0xff, size - 4096);
    room->size = size;
    return ag_buffer_bytes(room);
}

static struct proto_group new_group(struct history *self)
{
    struct proto_group group = {.id = stage_id(++self->ids),
                                .name = ag_bytes_of_text(chance(self, 50) ? "a batch" : ""),
                                .policy = (enum proto_policy)(PROTO_GATHER + below(self, 3)),
                                .failures_max = below(self, 3),
                                .deadline_ms = chance(self, 10) ? 3000 : 0,
                                .concurrency = below(self, 4),
                                .ttl_ms = below(self, 3) * 700};

    if (chance(self, 40))
        group.parent = id_or_none(some_group(self));
    self->groups[below(self, sizeof self->groups / sizeof self->groups[0])] = self->ids;
    return group;
}

static struct proto_submit_job new_job(struct history *self, uint32_t index)
{
    static const char *const names[] = {"", "", "", "a", "b", "another"};
    static struct ag_buffer payloads[AG_MESSAGE_ITEMS_MAX];
    static struct ag_id after[AG_MESSAGE_ITEMS_MAX][2];
    struct proto_submit_job job = {.id = stage_id(++self->ids),
                                   .group = id_or_none(some_group(self)),
                                   .index = index,
                                   .kind = ag_bytes_of_text("fetch"),
                                   .delay_ms = chance(self, 20) ? 200 : 0,
                                   .queue_ms = chance(self, 10) ? 500 : 0,
                                   .retry = {.attempts = 1 + below(self, 3),
                                             .base_ms = 100,
                                             .cap_ms = 1000,
                                             .factor_percent = 200},
                                   .priority = below(self, AG_PRIORITIES),
                                   .ttl_ms = below(self, 3) * 600};

    job.run_ms = below(self, self->kinds_of_job > 0 ? self->kinds_of_job : 4);
    job.queue = ag_bytes_of_text(names[below(self, 6)]);
    job.key = ag_bytes_of_text(names[below(self, 6)]);
    job.unique = ag_bytes_of_text(chance(self, 10) ? names[below(self, 6)] : "");
    job.unique_policy = (enum proto_unique)below(self, 3);
    after[index][0] = stage_id(some_job(self));
    after[index][1] = stage_id(some_group(self));
    job.after = ag_bytes_of(after[index], chance(self, 20) ? below(self, 3) * sizeof **after : 0);
    job.after_any = chance(self, 50);
    payloads[index].size_max = AG_PAYLOAD_BYTES_MAX;
    job.payload = some_bytes(self, &payloads[index], below(self, chance(self, 10) ? 3000 : 60));
    self->jobs[below(self, sizeof self->jobs / sizeof self->jobs[0])] = self->ids;
    return job;
}

static void submit(struct history *self)
{
    static struct proto_submit submit;
    uint32_t most = self->jobs_at_once > 0 ? self->jobs_at_once : 6;

    submit = (struct proto_submit){.request = 1};
    if (chance(self, 40))
        submit.groups[submit.groups_count++] = new_group(self);
    for (uint32_t left = below(self, most + 1); left > 0; left--) {
        submit.jobs[submit.jobs_count] = new_job(self, submit.jobs_count);
        submit.jobs_count++;
    }
    say(self, (struct core_event){.type = CORE_SUBMIT, .submit = &submit});
}

static void seal(struct history *self)
{
    struct proto_seal seal = {.request = 2, .group = stage_id(some_group(self))};

    say(self, (struct core_event){.type = CORE_SEAL, .seal = &seal});
}

static void cancel(struct history *self)
{
    struct proto_cancel cancel = {.request = 3, .count = 1};

    cancel.targets[0] = stage_id(chance(self, 30) ? some_group(self) : some_job(self));
    say(self, (struct core_event){.type = CORE_CANCEL, .cancel = &cancel});
}

static void order(struct history *self)
{
    static const enum core_verb verbs[] = {VERB_PAUSE,  VERB_RESUME,       VERB_RESUME,
                                           VERB_LIMIT,  VERB_RETRY,        VERB_REMOVE,
                                           VERB_REMOVE, VERB_SCHEDULE_ADD, VERB_SCHEDULE_REMOVE};
    struct ag_buffer job = ag_buffer_empty(1 << 16);
    struct proto_submit_job spec = {.id = stage_id(1),
                                    .kind = ag_bytes_of_text("fetch"),
                                    .retry.attempts = 1,
                                    .payload = ag_bytes_of_text("\x80")};
    struct core_control control = {.request = 4,
                                   .verb = verbs[below(self, 9)],
                                   .queue = ag_bytes_of_text(chance(self, 50) ? "a" : "fetch"),
                                   .number = below(self, 4),
                                   .name = ag_bytes_of_text("often"),
                                   .rule = {.every_ms = 300, .times = below(self, 4)}};

    control.id = stage_id(chance(self, 20) ? some_group(self) : some_job(self));
    control.as = stage_id(++self->ids);
    if (control.verb == VERB_SCHEDULE_ADD || control.verb == VERB_SCHEDULE_REMOVE)
        control.id = stage_id(1 + below(self, 3));
    ag_proto_encode_job(&job, &spec);
    control.job = ag_buffer_bytes(&job);
    say(self, (struct core_event){.type = CORE_CONTROL, .control = &control});
    ag_buffer_free(&job);
}

/* ---- workers --------------------------------------------------------------------------------- */

static void hello(struct history *self, struct history_worker *worker)
{
    struct ag_buffer list = ag_buffer_empty(1 << 20);
    struct proto_hello hello = {.speaks_ours = true,
                                .number = ++self->stage->hellos,
                                .role = PROTO_WORKER,
                                .instance = stage_id(worker->instance),
                                .name = ag_bytes_of_text("worker"),
                                .software = ag_bytes_of_text("test"),
                                .host = ag_bytes_of_text("here"),
                                .kinds_count = 1,
                                .holding_count = worker->count};
    struct core_event event = {.type = CORE_JOIN, .instance = hello.instance, .hello = &hello};

    worker->peer = event.peer = ++self->peers;
    hello.kinds[0] = (struct proto_kind){.name = ag_bytes_of_text("fetch"), .count = 20};
    for (unsigned i = 0; i < worker->count; i++)
        ag_proto_append_token(&list, &worker->held[i]);
    hello.holding = ag_buffer_bytes(&list);
    stage_step(self->stage, &event);
    ag_buffer_free(&list);
    stage_credit(self->stage, worker->peer, worker->instance, 1 + below(self, 10));
}

/* Back with what it holds, or as another that knows nothing, or gone for good. */
static void come_and_go(struct history *self, struct history_worker *worker)
{
    if (chance(self, 30)) {
        stage_say(self->stage, worker->peer, worker->instance, CORE_LEAVE);
        worker->count = 0;
        worker->instance += 10;
    } else if (chance(self, 20)) {
        worker->count = 0;
    }
    hello(self, worker);
}

static void end_attempt(struct history *self, struct history_worker *worker)
{
    static struct ag_buffer room;
    static struct proto_results results;
    unsigned place = below(self, worker->count);
    enum proto_outcome outcome = (enum proto_outcome)(PROTO_SUCCEEDED + below(self, 4));
    struct core_event event = {.type = CORE_RESULTS,
                               .peer = worker->peer,
                               .instance = stage_id(worker->instance),
                               .results = &results};
    size_t size = self->result_bytes > 0 && chance(self, 5) ? self->result_bytes : below(self, 300);
    bool is_failure = outcome == PROTO_FAILED;

    room.size_max = AG_RESULT_BYTES_MAX + 1;
    results.count = 1;
    results.items[0] = (struct proto_result){.token = worker->held[place],
                                             .outcome = outcome,
                                             .run_ms = below(self, 100),
                                             .retryable = chance(self, 50)};
    if (outcome == PROTO_SUCCEEDED)
        results.items[0].result = some_bytes(self, &room, size);
    if (is_failure)
        results.items[0].error = some_bytes(self, &room, size);
    results.items[0].type = ag_bytes_of_text(is_failure ? "fetch.dns" : "");
    results.items[0].message = ag_bytes_of_text(is_failure ? "because" : "");
    worker->held[place] = worker->held[--worker->count];
    stage_step(self->stage, &event);
}

/* ---- turns ----------------------------------------------------------------------------------- */

void history_act(struct history *self)
{
    struct history_worker *worker = &self->workers[below(self, HISTORY_WORKERS)];
    uint32_t dice = below(self, 100);

    if (dice < 25)
        submit(self);
    else if (dice < 35)
        seal(self);
    else if (dice < 42)
        cancel(self);
    else if (dice < 50)
        order(self);
    else if (dice < 56)
        come_and_go(self, worker);
    else if (dice < 66)
        stage_wait(self->stage, below(self, 900));
    else if (worker->count > 0)
        end_attempt(self, worker);
    for (unsigned i = 0; i < HISTORY_WORKERS; i++)
        stage_say(self->stage, self->workers[i].peer, self->workers[i].instance, CORE_ALIVE);
    say(self, (struct core_event){.type = CORE_ALIVE});
    ag_buffer_clear(&self->stage->said);
}

static bool is_calling(const struct store *store)
{
    struct pollfd poller = {.fd = store->fd, .events = POLLIN};

    return store->fd >= 0 && poll(&poller, 1, 0) == 1;
}

static void tell(struct history *self)
{
    struct core_event event = {.type = CORE_COMMITTED, .committed = self->told};

    stage_step(self->stage, &event);
}

static void end_turn(struct history *self)
{
    if (self->appended == self->turns[self->turns_count - 1])
        return;
    assert_true(self->turns_count < HISTORY_TURNS_MAX);
    self->turns[self->turns_count++] = self->appended;
}

/* commit(), with all that store.h promises of it. */
static int commit(struct history *self, struct argosy_error *err)
{
    struct store *store = self->store;
    bool was_calling = is_calling(store), was_full = store->is_full;
    uint64_t now;
    int rc;

    if (self->rc < 0) { /* of append(): there is no turn to end */
        *err = self->err;
        return self->rc;
    }
    end_turn(self);
    rc = store->commit(store, err);
    now = store->committed(store);
    assert_in_range(now, self->told, self->appended);
    if (was_calling && rc == 0 && now == self->told && store->is_full == was_full)
        fail_msg("the fd called, and there is nothing new");
    self->hearings += was_calling;
    self->told = now;
    return rc;
}

int history_hear(struct history *self, struct argosy_error *err)
{
    bool was_full = self->store->is_full;
    uint64_t before = self->told;
    int rc = commit(self, err);

    if (rc == 0 && self->store->is_full != was_full)
        say(self, (struct core_event){.type = CORE_STORE, .full = self->store->is_full});
    if (rc == 0 && self->told > before)
        tell(self);
    return rc;
}

int history_turn(struct history *self, struct argosy_error *err)
{
    for (unsigned acts = 1 + below(self, ACTS_MAX); acts > 0; acts--)
        history_act(self);
    self->now = self->stage->now;
    return history_hear(self, err);
}

int history_wait(struct history *self, int ms, struct argosy_error *err)
{
    int64_t until = ag_clock_mono_ms() + ms;
    int rc = 0;

    while (rc == 0 && self->told < self->turns[self->turns_count - 1]) {
        struct pollfd poller = {.fd = self->store->fd, .events = POLLIN};
        int64_t left = until - ag_clock_mono_ms();

        if (left <= 0 || poll(&poller, 1, (int)left) < 1)
            return ARGOSY_ETIMEOUT;
        rc = history_hear(self, err);
    }
    return rc;
}

/* ---- lives ----------------------------------------------------------------------------------- */

struct loading {
    struct history *history;
    struct ag_buffer journal;
};

static int take(void *arg, uint64_t number, const struct record *record, struct argosy_error *err)
{
    struct loading *self = arg;
    struct stage *stage = self->history->stage;
    struct ag_buffer bytes = ag_buffer_empty(AG_MESSAGE_BYTES_MAX);

    record_write(record, &bytes);
    journal_append(&self->journal, number, ag_buffer_bytes(&bytes));
    ag_buffer_free(&bytes);
    return core_restore(stage->core, stage->now, number, record, err);
}

/* The journal up to this number, as a store should hold it. */
static struct ag_buffer model_of(const struct history *self, uint64_t upto)
{
    struct ag_buffer model = ag_buffer_empty(JOURNAL_BYTES_MAX);
    struct ag_bytes record;
    uint64_t number;

    for (size_t at = 0; journal_next(&self->journal, &at, &number, &record);)
        if (number <= upto)
            journal_append(&model, number, record);
    journal_fold(&model);
    return model;
}

static bool is_as_after(const struct history *self, const struct ag_buffer *loaded, uint64_t turn)
{
    struct ag_buffer model = model_of(self, turn);
    bool is_equal = ag_bytes_equal(ag_buffer_bytes(&model), ag_buffer_bytes(loaded));

    ag_buffer_free(&model);
    return is_equal;
}

/* The last turn that would look like this; several may. */
static void compare(struct history *self, const struct ag_buffer *loaded)
{
    unsigned i = self->turns_count;

    self->torn = self->lost = false;
    while (i > 0 && !is_as_after(self, loaded, self->turns[i - 1]))
        i--;
    self->torn = i == 0 && self->turns_count > 0;
    self->held = i > 0 ? self->turns[i - 1] : 0;
    self->lost = self->held < self->told;
}

static void set_the_stage(struct history *self)
{
    struct core_config config = {.epoch = self->store->epoch,
                                 .seed = 42,
                                 .unix_offset_ms = UNIX_OFFSET_MS * 1000LL,
                                 .heartbeat_ms = 1000,
                                 .grace_ms = 500,
                                 .result_ttl_ms = 1500,
                                 .sessions_max = 100,
                                 .jobs_max = 1000000,
                                 .bytes_max = 1 << 30};

    self->stage = stage_new(&config);
    self->stage->slow_store = true;
    self->stage->now = self->now;
    self->stage->on_effect = on_effect;
    self->stage->arg = self;
}

static void begin(struct history *self, struct ag_buffer *loaded)
{
    uint64_t last = self->store->last;

    ag_buffer_free(&self->journal);
    self->journal = *loaded;
    self->told = self->appended = self->turns[0] = last;
    self->turns_count = 1;
    self->rc = 0;
    core_restored(self->stage->core, last);
    self->stage->records = last;
    if (core_broken_invariant(self->stage->core) != NULL)
        fail_msg("restored, but %s", core_broken_invariant(self->stage->core));
    assert_int_equal(self->store->committed(self->store), last);
    self->lives++;
    stage_client(self->stage, CLIENT);
    for (unsigned i = 0; i < HISTORY_WORKERS; i++)
        if (chance(self, 70))
            hello(self, &self->workers[i]);
}

int history_begin(struct history *self, struct store *store, struct argosy_error *err)
{
    struct loading loading = {.history = self, .journal = ag_buffer_empty(JOURNAL_BYTES_MAX)};
    int rc;

    assert_true(store->epoch > self->epoch);
    self->epoch = store->epoch;
    self->store = store;
    set_the_stage(self);
    rc = store->load(store, take, &loading, err);
    if (rc < 0) {
        ag_buffer_free(&loading.journal);
        history_end(self);
        return rc;
    }
    self->loaded = loading.journal.size;
    compare(self, &loading.journal);
    begin(self, &loading.journal);
    return 0;
}

void history_end(struct history *self)
{
    if (self->stage != NULL)
        stage_free(self->stage);
    self->stage = NULL;
    if (self->store != NULL)
        self->store->destroy(&self->store);
    assert_null(self->store);
}

void history_forget(struct history *self)
{
    ag_buffer_clear(&self->journal);
    self->turns_count = 0;
    self->told = self->appended = 0;
}
