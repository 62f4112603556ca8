#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <msgpack/pack.h>

#include "broker/core/state.h"
#include "common/assert.h"

#ifdef ARGOSY_PLANTS
enum plant core_plant;
#endif

/* ---- small things ------------------------------------------------------------------------- */

void core_tracef(core_t *self, const char *format, ...)
{
    char line[256];
    va_list args;

    if (self->trace == NULL)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    self->trace(self->trace_arg, line);
}

void core_trace(core_t *self, core_trace_fn *fn, void *arg)
{
    self->trace = fn;
    self->trace_arg = arg;
}

int64_t core_unix_ms(const core_t *self)
{
    return self->now + self->config.unix_offset_ms;
}

void core_set_timer(core_t *self, struct timer *timer, int64_t at)
{
    ag_heap_set(&self->timers, &timer->heap, at);
}

/* ---- effects -------------------------------------------------------------------------------- */

/* EFFECTS_MAX holds what one step may want without being cut: a worker with AG_SLOTS_MAX attempts
 * lost (at most three effects for each), as many stale tokens told to stop, and the slices. */
_Static_assert(EFFECTS_MAX >= 4 * AG_SLOTS_MAX + 16 * SLICE, "one step's effects fit");

struct effect *core_emit(core_t *self, enum effect_type type, uint32_t peer)
{
    struct effect *effect;

    AG_ASSERT(self->effects.count < self->effects.capacity);
    effect = &self->effects.items[self->effects.count++];
    effect->type = type;
    effect->peer = peer;
    return effect;
}

bool core_has_room(core_t *self, size_t more)
{
    if (self->effects.count + more <= self->effects.capacity)
        return true;
    self->unfinished = true;
    return false;
}

static struct effect *journal(core_t *self, enum core_record record)
{
    struct effect *effect = core_emit(self, EFFECT_JOURNAL, 0);

    memset(&effect->journal, 0, sizeof effect->journal);
    effect->journal.record = record;
    self->records++;
    return effect;
}

uint64_t core_journal(core_t *self, enum core_record record, const struct job *job,
                      const struct group *group)
{
    struct effect *effect;

    if (self->restoring || (job != NULL && job->is_place)) /* a place follows its group */
        return self->records;
    effect = journal(self, record);
    effect->journal.id = job != NULL ? job->node.id : group->node.id;
    effect->journal.number = job != NULL ? job->number : group->number;
    if (effect->journal.number == 0)
        effect->journal.number = self->records; /* this one makes it */
    effect->journal.job = job;
    effect->journal.group = group;
    return self->records;
}

void core_journal_other(core_t *self, enum core_record record, const struct queue *queue,
                        const struct schedule *schedule)
{
    struct effect *effect;

    if (self->restoring)
        return;
    effect = journal(self, record);
    effect->journal.queue = queue;
    effect->journal.schedule = schedule;
}

uint64_t core_journal_worker(core_t *self, const struct ag_id *instance, const char *name,
                             bool has_left)
{
    struct effect *effect = journal(self, RECORD_WORKER);

    effect->journal.id = *instance;
    effect->journal.worker = name;
    effect->journal.has_left = has_left;
    return self->records;
}

struct effect *core_journal_forget(core_t *self, enum core_subject subject, const struct ag_id *id)
{
    struct effect *effect = self->restoring ? &self->nowhere : journal(self, RECORD_FORGET);

    effect->journal.subject = subject;
    effect->journal.id = *id;
    return effect;
}

int core_reserve_timers(core_t *self, size_t more)
{
    return ag_heap_reserve(&self->timers, self->jobs.count + 3 * self->groups.count +
                                              self->sessions.count + self->keys.count +
                                              self->schedules.count + 2 + more);
}

int core_reserve_answers(core_t *self, size_t count)
{
    if (self->trash_count + count + self->answers_count > self->trash_capacity) {
        size_t capacity = 2 * (self->trash_count + count + self->answers_count);
        void **grown = realloc(self->trash, capacity * sizeof(void *));

        if (grown == NULL)
            return ARGOSY_ENOMEM;
        self->trash = grown;
        self->trash_capacity = capacity;
    }
    if (self->answers_count + count > self->answers_capacity) {
        size_t capacity = 2 * (self->answers_count + count);
        struct answer *grown = malloc(capacity * sizeof *grown);

        if (grown == NULL)
            return ARGOSY_ENOMEM;
        for (size_t i = 0; i < self->answers_count; i++)
            grown[i] = self->answers[(self->answers_first + i) % self->answers_capacity];
        free(self->answers);
        self->answers = grown;
        self->answers_first = 0;
        self->answers_capacity = capacity;
    }
    return 0;
}

/* What an answer owns is in its effect: the one pointer that its type has. */
static void *owned_by(const struct effect *effect)
{
    if (effect->type == EFFECT_ACCEPTED)
        return effect->accepted.refused;
    if (effect->type == EFFECT_ANSWER)
        return effect->answer.unknown;
    return NULL;
}

void core_answer(core_t *self, const struct effect *effect, void *owned)
{
    struct answer *answer;

    AG_ASSERT(self->answers_count < self->answers_capacity);
    AG_ASSERT(owned == owned_by(effect));
    answer = &self->answers[(self->answers_first + self->answers_count++) % self->answers_capacity];
    answer->record = self->records;
    answer->effect = *effect;
}

/* What it owns is in its place among the trash, which was reserved as for any answer. */
void core_answer_at_once(core_t *self, const struct effect *effect, void *owned)
{
    AG_ASSERT(owned == owned_by(effect));
    *core_emit(self, effect->type, effect->peer) = *effect;
    if (owned != NULL)
        self->trash[self->trash_count++] = owned;
}

/* Answers leave in the order in which they were given, each when its record is durable. */
void core_flush_answers(core_t *self)
{
    while (self->answers_count > 0) {
        struct answer *answer = &self->answers[self->answers_first];
        void *owned = owned_by(&answer->effect);

        if ((answer->record > self->committed && !PLANTED(EARLY_ANSWER)) || !core_has_room(self, 1))
            return;
        *core_emit(self, answer->effect.type, answer->effect.peer) = answer->effect;
        if (owned != NULL)
            self->trash[self->trash_count++] = owned;
        self->answers_first = (self->answers_first + 1) % self->answers_capacity;
        self->answers_count--;
    }
}

bool core_trash(core_t *self, void *memory)
{
    if (core_reserve_answers(self, 1) < 0)
        return false;
    self->trash[self->trash_count++] = memory;
    return true;
}

static void empty_trash(core_t *self)
{
    for (size_t i = 0; i < self->trash_count; i++)
        free(self->trash[i]);
    self->trash_count = 0;
}

/* ---- the step ------------------------------------------------------------------------------- */

static const char *event_name(enum core_event_type type)
{
    static const char *const names[] = {
#define X(name, text, meaning) [CORE_##name] = text,
        CORE_EVENTS(X)
#undef X
    };
    return names[type];
}

static void on_timers(core_t *self)
{
    struct ag_timer *first;

    for (int n = 0; (first = ag_heap_first(&self->timers)) != NULL && first->at <= self->now; n++) {
        struct timer *timer = AG_OWNER(first, struct timer, heap);
        size_t worst = timer->owner == TIMER_SESSION ? 3 * AG_SLOTS_MAX + 1 : SWEEP_EFFECTS;

        if (n == SLICE || !core_has_room(self, worst))
            return; /* the deadline stays due */
        ag_heap_stop(&self->timers, first);
        switch (timer->owner) {
        case TIMER_JOB:
            job_on_timer(self, AG_OWNER(timer, struct job, timer));
            break;
        case TIMER_GROUP:
            group_on_timer(self, AG_OWNER(timer, struct group, timer));
            break;
        case TIMER_RATE:
            group_update_lanes(self, AG_OWNER(timer, struct group, rate_timer));
            break;
        case TIMER_KEY:
            key_on_timer(self, AG_OWNER(timer, struct key, timer));
            break;
        case TIMER_SCHEDULE:
            schedule_on_timer(self, AG_OWNER(timer, struct schedule, timer));
            break;
        case TIMER_SESSION:
            session_on_timer(self, AG_OWNER(timer, struct session, timer));
            break;
        case TIMER_ALARM:
            demand_on_timer(self);
            break;
        case TIMER_RECOVERY: /* whoever has not come back by now is lost */
            break;
        }
    }
}

static void ignore(core_t *self, const char *why)
{
    self->counters.ignored++;
    core_tracef(self, "        %s -> ignore", why);
}

/* Events of a peer that has a session. The reactor has checked that its role may say this. */
static int on_session_event(core_t *self, const struct core_event *event)
{
    struct session *session = session_find(self, &event->instance);

    if (session == NULL || session->peer != event->peer) {
        ignore(self, "no such session");
        return 0;
    }
    if (event->type != CORE_UNSENT) /* it has not said that */
        session->heard_at = self->now;
    switch (event->type) {
    case CORE_UNSENT:
        on_unsent(self, session, event->unsent);
        return 0;
    case CORE_LEAVE:
        session_end(self, session, "left");
        return 0;
    case CORE_GONE:
        session_end(self, session, "cannot be reached");
        return 0;
    case CORE_CREDIT:
        on_credit(self, session, event->credit);
        return 0;
    case CORE_RESULTS:
        return on_results(self, session, event->results);
    case CORE_PROGRESS:
        on_progress(self, session, event->progress);
        return 0;
    case CORE_SUBMIT:
        return on_submit(self, session, event->submit);
    case CORE_WATCH:
        return on_watch(self, session, event->watch);
    case CORE_MORE:
        on_more(self, session, event->more);
        return 0;
    case CORE_CANCEL:
        return on_cancel(self, session, event->cancel);
    case CORE_SEAL:
        return on_seal(self, session, event->seal);
    case CORE_CONTROL:
        return on_control(self, session, event->control);
    case CORE_ALIVE:
        return 0;
    case CORE_JOIN:
    case CORE_COMMITTED:
    case CORE_STORE:
    case CORE_LOADED:
    case CORE_TIMER:
    case CORE_CLOCK:
    case CORE_STOPPING:
        break;
    }
    AG_ASSERT(false && "an event of no session");
    return 0;
}

static int on_event(core_t *self, const struct core_event *event)
{
    switch (event->type) {
    case CORE_JOIN:
        return on_join(self, event);
    case CORE_COMMITTED:
        AG_ASSERT(event->committed >= self->committed && event->committed <= self->records);
        self->committed = event->committed;
        recovery_on_commit(self);
        results_on_commit(self);
        return 0;
    case CORE_STORE:
        self->store_is_full = event->full;
        return 0;
    case CORE_LOADED:
        return on_loaded(self, event->loaded);
    case CORE_TIMER:
        on_timers(self);
        return 0;
    case CORE_CLOCK:
        self->config.unix_offset_ms = event->unix_offset_ms;
        schedule_on_clock(self);
        return 0;
    case CORE_STOPPING:
        self->stopping = true;
        return 0;
    case CORE_ALIVE:
    case CORE_LEAVE:
    case CORE_GONE:
    case CORE_UNSENT:
    case CORE_CREDIT:
    case CORE_RESULTS:
    case CORE_PROGRESS:
    case CORE_SUBMIT:
    case CORE_WATCH:
    case CORE_MORE:
    case CORE_CANCEL:
    case CORE_SEAL:
    case CORE_CONTROL:
        break;
    }
    return on_session_event(self, event);
}

int core_step(core_t *self, const struct core_event *event, const struct effects **out)
{
    int rc;

    AG_ASSERT(event->now >= self->now);
    *out = &self->effects;
    self->effects.count = 0;
    self->unfinished = false;
    empty_trash(self);
    sleep_settle(self);
    /* Timers and answers: room is kept for all that exist, so none of what follows can fail. */
    rc = core_reserve_answers(self, AG_MESSAGE_ITEMS_MAX + 1);
    if (rc < 0)
        return rc;
    self->now = event->now;
    core_tracef(self, "[%5" PRId64 "] %s", event->now, event_name(event->type));
    rc = on_event(self, event);
    if (rc < 0) {
        core_tracef(self, "        no memory -> nothing changes");
        self->effects.count = 0;
        return rc;
    }
    recovery_give_up(self);
    group_sweep(self);
    wait_settle(self);
    sleep_refill(self);
    dispatch(self);
    sleep_ask(self);
    if (!ag_list_is_empty(&self->hungry))
        self->unfinished = true;
    core_flush_answers(self);
    watch_pump(self);
    return 0;
}

int64_t core_deadline(const core_t *self)
{
    const struct ag_timer *first = ag_heap_first(&self->timers);

    if (self->unfinished)
        return self->now;
    return first != NULL ? first->at : INT64_MAX;
}

/* ---- life ----------------------------------------------------------------------------------- */

/* The error of a failure that no worker described. */
struct ag_buffer core_error(const char *type, const char *message)
{
    const char *const pairs[] = {"type", type, "message", message};
    struct ag_buffer out = ag_buffer_empty(512);
    msgpack_packer packer;

    msgpack_packer_init(&packer, &out, ag_buffer_write);
    msgpack_pack_map(&packer, 2);
    for (size_t i = 0; i < 4; i++) {
        msgpack_pack_str(&packer, strlen(pairs[i]));
        msgpack_pack_str_body(&packer, pairs[i], strlen(pairs[i]));
    }
    return out;
}

static bool make_constants(core_t *self)
{
    static const char *const errors[CONSTANTS_COUNT][2] = {
        [CONSTANT_TIMEOUT_QUEUE] = {"timeout.queue", "waited longer in the queue than its limit"},
        [CONSTANT_LOST_POISON] = {"lost.poison", "every worker that ran it was lost"},
        [CONSTANT_DEPENDENCY] = {"dependency", "what it was to come after failed"},
        [CONSTANT_INPUTS] = {"dependency", "the results that it was to get are larger than 7 MiB"},
        [CONSTANT_GROUP] = {"group", "jobs of this group failed"},
        [CONSTANT_LOST_RESULT] = {"lost.result", "the store does not have its result any more"},
        [CONSTANT_LOST_PAYLOAD] = {"lost.payload", "the store does not have its payload any more"},
    };

    for (int i = 0; i < CONSTANTS_COUNT; i++) {
        self->constants[i] = core_error(errors[i][0], errors[i][1]);
        if (self->constants[i].failed)
            return false;
    }
    return true;
}

static bool make_tables(core_t *self, uint64_t seed)
{
    struct ag_map *const maps[] = {&self->jobs,    &self->groups,  &self->sessions,
                                   &self->keys,    &self->uniques, &self->schedules,
                                   &self->awaited, &self->sleepers};

    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        if (ag_map_init(maps[i], seed) < 0)
            return false;
    return true;
}

core_t *core_new(const struct core_config *config)
{
    core_t *self = calloc(1, sizeof *self);

    if (self == NULL)
        return NULL;
    self->config = *config;
    ag_random_seed(&self->random, config->seed);
    ag_link_init(&self->kinds);
    ag_link_init(&self->queues);
    ag_link_init(&self->all_jobs);
    ag_link_init(&self->all_sessions);
    ag_link_init(&self->all_schedules);
    ag_link_init(&self->ungrouped);
    ag_link_init(&self->sweeps);
    ag_link_init(&self->due);
    ag_link_init(&self->settling);
    ag_link_init(&self->settling_groups);
    ag_link_init(&self->drowsy);
    ag_link_init(&self->hungry);
    ag_link_init(&self->unloaded);
    ag_link_init(&self->loading);
    ag_link_init(&self->heavy);
    ag_link_init(&self->unserved);
    self->recovery.owner = TIMER_RECOVERY;
    self->alarm.owner = TIMER_ALARM;
    self->scratch = ag_buffer_empty(AG_MESSAGE_BYTES_MAX);
    self->effects.items = malloc(EFFECTS_MAX * sizeof *self->effects.items);
    self->effects.capacity = EFFECTS_MAX;
    if (self->effects.items == NULL || !make_tables(self, config->seed) || !make_constants(self))
        core_destroy(&self);
    return self;
}

static void free_sessions(core_t *self)
{
    while (!ag_list_is_empty(&self->all_sessions)) {
        struct session *session = AG_OWNER(self->all_sessions.next, struct session, all);

        self->effects.count = 0;
        session_end(self, session, "destroyed");
    }
}

static void free_kinds(core_t *self)
{
    while (!ag_list_is_empty(&self->ungrouped))
        lane_free(AG_OWNER(self->ungrouped.next, struct lane, of_group));
    while (!ag_list_is_empty(&self->kinds)) {
        struct kind *kind = AG_OWNER(self->kinds.next, struct kind, all);

        ag_link_remove(&kind->all);
        free(kind);
    }
    while (!ag_list_is_empty(&self->queues)) {
        struct queue *queue = AG_OWNER(self->queues.next, struct queue, all);

        ag_link_remove(&queue->all);
        free(queue);
    }
}

static void free_groups(core_t *self)
{
    struct ag_map_node *node;

    while (!ag_list_is_empty(&self->sweeps)) { /* forgotten ones are in no map any more */
        struct group *group = AG_OWNER(self->sweeps.next, struct group, sweep);

        ag_link_remove(&group->sweep);
        if (group->is_forgotten)
            group_free(self, group);
    }
    while (self->groups.count > 0 && (node = ag_map_next(&self->groups, NULL)) != NULL) {
        ag_map_remove(&self->groups, node);
        group_free(self, AG_OWNER(node, struct group, node));
    }
}

/* A key without jobs is there only while it is closed. */
static void free_keys(core_t *self)
{
    struct ag_map_node *node;

    while (self->keys.count > 0 && (node = ag_map_next(&self->keys, NULL)) != NULL) {
        ag_map_remove(&self->keys, node);
        free(AG_OWNER(node, struct key, node));
    }
}

static void free_jobs(core_t *self)
{
    while (!ag_list_is_empty(&self->all_jobs))
        job_free(self, AG_OWNER(self->all_jobs.next, struct job, all));
}

static void free_lines(core_t *self)
{
    for (struct ag_link *at = self->queues.next; at != &self->queues; at = at->next) {
        struct queue *queue = AG_OWNER(at, struct queue, all);

        for (struct ag_link *l = queue->lanes.next; l != &queue->lanes; l = l->next)
            sleep_free(self, AG_OWNER(l, struct lane, of_queue));
    }
}

void core_destroy(core_t **self_p)
{
    core_t *self = *self_p;

    if (self == NULL)
        return;
    free_sessions(self);
    while (!ag_list_is_empty(&self->all_schedules))
        schedule_free(self, AG_OWNER(self->all_schedules.next, struct schedule, all));
    free_lines(self);
    free_jobs(self);
    free_groups(self);
    free_kinds(self);
    free_keys(self);
    for (size_t i = 0; i < HAPPENINGS_MAX; i++)
        name_unref(&self->happenings[i].name);
    for (; self->answers_count > 0; self->answers_count--) {
        free(owned_by(&self->answers[self->answers_first].effect));
        self->answers_first = (self->answers_first + 1) % self->answers_capacity;
    }
    empty_trash(self);
    free(self->trash);
    free(self->answers);
    free(self->effects.items);
    ag_heap_fini(&self->timers);
    ag_map_fini(&self->jobs);
    ag_map_fini(&self->groups);
    ag_map_fini(&self->sessions);
    ag_map_fini(&self->keys);
    ag_map_fini(&self->uniques);
    ag_map_fini(&self->schedules);
    recovery_free(self);
    ag_map_fini(&self->sleepers);
    for (int i = 0; i < CONSTANTS_COUNT; i++)
        ag_buffer_free(&self->constants[i]);
    ag_buffer_free(&self->scratch);
    free(self);
    *self_p = NULL;
}
