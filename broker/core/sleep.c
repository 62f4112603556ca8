/* Long queues in little memory: jobs that are far from their turn are put to sleep.
 *
 * A lane keeps up to config.awake_max of its jobs awake. What comes behind them stands in
 * lane->sleepers, first in first out: as the whole job for the rest of its step, whose effects
 * point at it, then as a struct sleeper of 56 bytes and what alike ones share (struct terms). Its
 * payload is in the store; when it is woken, a batch ahead of its turn, EFFECT_LOAD asks for that,
 * and the lane waits at the first job whose payload is not here yet.
 *
 * Whoever is asked for by its id is woken as well, and keeps its place in the line. What has waits,
 * a unique key, a limit for its time in the queue or a watch of its own keeps its whole struct; it
 * only stands in the line.
 */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/assert.h"

/* What a job needs besides when it is awake again. */
struct terms {
    struct ag_link of_lane; /* newest use first */
    struct lane *lane;
    struct key *key;
    struct ag_retry retry;
    char *selectors;
    uint32_t refs;
    uint32_t run_limit_ms, grace_ms, ttl_ms, key_max, key_delay_ms;
    int64_t since; /* of the first that had them */
};

struct sleeper {
    struct ag_map_node node; /* in core->sleepers while it stands for itself */
    struct sleeper *next;    /* in the line */
    union {
        struct terms *terms; /* asleep */
        struct job *job;     /* awake: it stands for this one; NULL: that has left the line */
    };
    uint64_t number;
    uint32_t index;    /* in the group; AWAKE: it stands for a job */
    uint32_t since_ms; /* after terms->since */
};

enum { TERMS_LOOKED_AT = 8 };

static const uint32_t awake = UINT32_MAX;

/* ---- terms -------------------------------------------------------------------------------------
 */

static bool is_alike(const struct terms *terms, const struct job *job)
{
    const char *selectors = job->selectors != NULL ? job->selectors : "";

    return terms->key == job->key && terms->run_limit_ms == job->run_limit_ms &&
           terms->grace_ms == job->grace_ms && terms->ttl_ms == job->ttl_ms &&
           terms->key_max == job->key_max && terms->key_delay_ms == job->key_delay_ms &&
           terms->retry.attempts == job->retry.attempts &&
           terms->retry.base_ms == job->retry.base_ms && terms->retry.cap_ms == job->retry.cap_ms &&
           terms->retry.factor_percent == job->retry.factor_percent &&
           terms->retry.budget_percent == job->retry.budget_percent &&
           strcmp(terms->selectors != NULL ? terms->selectors : "", selectors) == 0 &&
           job->since >= terms->since && job->since - terms->since <= UINT32_MAX;
}

static struct terms *terms_new(struct job *job)
{
    struct terms *terms = calloc(1, sizeof *terms);

    if (terms == NULL)
        return NULL;
    *terms = (struct terms){.lane = job->lane,
                            .key = job->key,
                            .retry = job->retry,
                            .selectors = job->selectors,
                            .run_limit_ms = job->run_limit_ms,
                            .grace_ms = job->grace_ms,
                            .ttl_ms = job->ttl_ms,
                            .key_max = job->key_max,
                            .key_delay_ms = job->key_delay_ms,
                            .since = job->since};
    job->selectors = NULL; /* it is ours now, and so is its reference to the key */
    job->key = NULL;
    ag_link_init(&terms->of_lane);
    ag_list_prepend(&job->lane->terms, &terms->of_lane);
    return terms;
}

static struct terms *terms_of(struct job *job)
{
    struct ag_link *list = &job->lane->terms;
    int looked = 0;

    for (struct ag_link *at = list->next; at != list && looked < TERMS_LOOKED_AT;
         at = at->next, looked++) {
        struct terms *terms = AG_OWNER(at, struct terms, of_lane);

        if (is_alike(terms, job)) {
            ag_list_prepend(list, &terms->of_lane);
            return terms;
        }
    }
    return terms_new(job);
}

static void terms_unref(core_t *self, struct terms *terms)
{
    if (--terms->refs > 0)
        return;
    ag_link_remove(&terms->of_lane);
    if (terms->key != NULL)
        key_unref(self, terms->key);
    free(terms->selectors);
    free(terms);
}

/* ---- going to sleep ----------------------------------------------------------------------------
 */

/* Whether a job that comes now has to stand behind others who are not in the lane itself. */
static bool must_line_up(const core_t *self, const struct lane *lane)
{
    return self->config.awake_max > 0 &&
           (lane->sleepers != NULL || lane->awake >= self->config.awake_max);
}

bool sleep_line_up(core_t *self, struct job *job)
{
    struct lane *lane = job->lane;
    struct sleeper *sleeper;

    /* What was tried before does not begin at the end again. */
    if (job->attempt > 0 || job->releases > 0 || !must_line_up(self, lane) ||
        (sleeper = malloc(sizeof *sleeper)) == NULL)
        return false;
    *sleeper = (struct sleeper){.job = job, .number = job->number, .index = awake};
    *(lane->sleepers != NULL ? &lane->last_sleeper->next : &lane->sleepers) = sleeper;
    lane->last_sleeper = sleeper;
    job->sleeper = sleeper;
    ag_list_append(&self->drowsy, &job->link);
    return true;
}

static bool may_sleep(const struct job *job)
{
    return job->extra == NULL && job->queue_limit_ms == 0 && job->watches_count == 0 &&
           job->number > job->lane->asleep_number && job->index != awake;
}

static void fall_asleep(core_t *self, struct job *job)
{
    struct sleeper *sleeper = job->sleeper;
    struct terms *terms = terms_of(job);
    char id[AG_ID_TEXT_SIZE];

    ag_link_remove(&job->link);
    if (terms == NULL)
        return;
    terms->refs++;
    self->bytes -= job_bytes(job);
    self->bytes += sizeof *sleeper;
    job->lane->asleep_number = job->number;
    sleeper->node.id = job->node.id;
    sleeper->terms = terms;
    sleeper->index = job->index;
    sleeper->since_ms = (uint32_t)(job->since - terms->since);
    job->sleeper = NULL;
    if (self->trace != NULL)
        core_tracef(self, "        job %s falls asleep", ag_id_print(&job->node.id, id));
    job_free(self, job);
    ag_map_add(&self->sleepers, &sleeper->node);
}

/* At the beginning of a step: nothing points at them any more. */
void sleep_settle(core_t *self)
{
    while (!ag_list_is_empty(&self->drowsy)) {
        struct job *job = AG_OWNER(self->drowsy.next, struct job, link);

        if (may_sleep(job))
            fall_asleep(self, job);
        else
            ag_link_remove(&job->link);
    }
}

/* ---- waking ------------------------------------------------------------------------------------
 */

/* What a sleeper is, as far as it can be told without waking it; it owns nothing. */
static void describe(const struct sleeper *sleeper, struct job *out)
{
    const struct terms *terms = sleeper->terms;

    *out = (struct job){.node.id = sleeper->node.id,
                        .timer.owner = TIMER_JOB,
                        .lane = terms->lane,
                        .key = terms->key,
                        .selectors = terms->selectors,
                        .retry = terms->retry,
                        .number = sleeper->number,
                        .since = terms->since + sleeper->since_ms,
                        .due_at = terms->since + sleeper->since_ms,
                        .index = sleeper->index,
                        .run_limit_ms = terms->run_limit_ms,
                        .grace_ms = terms->grace_ms,
                        .ttl_ms = terms->ttl_ms,
                        .key_max = terms->key_max,
                        .key_delay_ms = terms->key_delay_ms,
                        .state = JOB_QUEUED,
                        .is_away = true};
}

/* Into its place among all jobs, which stand in the order of their numbers: mostly right behind the
 * one that was woken before it. */
static void insert(core_t *self, struct job *job)
{
    struct ag_link *at = &self->all_jobs;

    if (self->woken_last != NULL && self->woken_last->number < job->number)
        at = &self->woken_last->all;
    while (at->next != &self->all_jobs && AG_OWNER(at->next, struct job, all)->number < job->number)
        at = at->next;
    ag_list_prepend(at, &job->all);
    self->woken_last = job;
}

/* NULL: no memory, it sleeps on. */
static struct job *wake(core_t *self, struct sleeper *sleeper)
{
    struct terms *terms = sleeper->terms;
    struct job *job = malloc(sizeof *job);
    char id[AG_ID_TEXT_SIZE];
    bool failed = false;

    if (job == NULL || core_reserve_timers(self, 1) < 0) {
        free(job);
        return NULL;
    }
    describe(sleeper, job);
    if (terms->selectors != NULL)
        job->selectors = text_copy(ag_bytes_of_text(terms->selectors), &failed);
    if (failed) {
        free(job);
        return NULL;
    }
    ag_link_init(&job->all);
    ag_link_init(&job->link);
    ag_link_init(&job->load);
    ag_link_init(&job->member);
    ag_link_init(&job->watches);
    if (job->key != NULL)
        key_ref(job->key);
    self->bytes += job_bytes(job);
    self->bytes -= sizeof *sleeper;
    ag_map_remove(&self->sleepers, &sleeper->node);
    ag_map_add(&self->jobs, &job->node);
    insert(self, job);
    if (job->lane->group != NULL)
        ag_list_append(&job->lane->group->live, &job->member);
    sleeper->index = awake;
    sleeper->job = job;
    job->sleeper = sleeper;
    terms_unref(self, terms);
    if (self->trace != NULL)
        core_tracef(self, "        job %s wakes", ag_id_print(&job->node.id, id));
    return job;
}

static struct sleeper *find(const core_t *self, const struct ag_id *id)
{
    struct ag_map_node *node = ag_map_find(&self->sleepers, id);

    return node != NULL ? AG_OWNER(node, struct sleeper, node) : NULL;
}

struct job *sleep_wake(core_t *self, const struct ag_id *id)
{
    struct sleeper *sleeper = find(self, id);

    return sleeper != NULL ? wake(self, sleeper) : NULL;
}

bool sleep_knows(const core_t *self, const struct ag_id *id)
{
    return find(self, id) != NULL;
}

/* The job leaves the queue, or the line: its sleeper stands for nobody. */
void sleep_leave_line(struct job *job)
{
    if (job->sleeper != NULL)
        job->sleeper->job = NULL;
    job->sleeper = NULL;
}

static void drop_first(struct lane *lane)
{
    struct sleeper *first = lane->sleepers;

    lane->sleepers = first->next;
    free(first);
}

/* The first of the line goes into the lane. False: there was none, or no memory for it. */
static bool call_first(core_t *self, struct lane *lane)
{
    struct sleeper *first = lane->sleepers;
    struct job *job;

    if (first == NULL)
        return false;
    if (first->index != awake && wake(self, first) == NULL)
        return false;
    job = first->job;
    drop_first(lane);
    if (job == NULL)
        return true;
    job->sleeper = NULL;
    lane_append(self, lane, job);
    return true;
}

void sleep_refill(core_t *self)
{
    int left = SLICE;

    while (!ag_list_is_empty(&self->hungry)) {
        struct lane *lane = AG_OWNER(self->hungry.next, struct lane, hungry);

        if (lane->group == NULL || !lane->group->cancelling)
            while (lane->awake < self->config.awake_max && left-- > 0 && call_first(self, lane))
                continue;
        if (left <= 0) {
            self->unfinished = true;
            return;
        }
        ag_link_remove(&lane->hungry);
    }
}

void sleep_on_room(core_t *self, struct lane *lane)
{
    if (lane->sleepers != NULL && lane->awake <= self->config.awake_max / 2 &&
        !ag_link_is_listed(&lane->hungry))
        ag_list_append(&self->hungry, &lane->hungry);
}

/* Some of the group's, to be cancelled. */
bool sleep_wake_for_sweep(core_t *self, struct group *group)
{
    for (struct ag_link *at = group->lanes.next; at != &group->lanes; at = at->next) {
        struct lane *lane = AG_OWNER(at, struct lane, of_group);

        while (lane->sleepers != NULL && ag_list_is_empty(&group->live)) {
            struct sleeper *first = lane->sleepers;

            if (first->index != awake && wake(self, first) == NULL)
                return false;
            if (first->job != NULL)
                first->job->sleeper = NULL;
            drop_first(lane);
        }
    }
    return !ag_list_is_empty(&group->live);
}

/* ---- payloads ----------------------------------------------------------------------------------
 */

/* It is in its lane: its payload will be needed. */
void sleep_want_payload(core_t *self, struct job *job)
{
    if (job->is_away && !ag_link_is_listed(&job->load))
        ag_list_append(&self->unloaded, &job->load);
}

/* Each is asked for once. */
void sleep_ask(core_t *self)
{
    while (!ag_list_is_empty(&self->unloaded) && core_has_room(self, 1)) {
        struct job *job = AG_OWNER(self->unloaded.next, struct job, load);
        struct effect *effect = core_emit(self, EFFECT_LOAD, 0);

        effect->load.id = job->node.id;
        effect->load.number = job->number;
        effect->load.ended = job->result_away > 0 ? job->ended_record : 0;
        ag_list_append(&self->loading, &job->load);
    }
}

int on_loaded(core_t *self, const struct core_loaded *loaded)
{
    struct ag_map_node *node = ag_map_find(&self->jobs, &loaded->id);
    struct job *job = node != NULL ? AG_OWNER(node, struct job, node) : NULL;
    bool failed = false;

    if (job == NULL || job->number != loaded->number)
        return 0;
    if (loaded->ended > 0)
        return loaded->ended == job->ended_record ? results_loaded(self, job, loaded) : 0;
    if (!job->is_away)
        return 0;
    if (job->state == JOB_SUCCEEDED) { /* a worker came back with it meanwhile */
        ag_link_remove(&job->load);
        return 0;
    }
    if (!loaded->is_there) {
        ag_link_remove(&job->load);
        if (job->state == JOB_QUEUED)
            job_fail(self, job, CONSTANT_LOST_PAYLOAD);
        return 0;
    }
    job->payload = bytes_copy(loaded->bytes, &failed);
    if (failed)
        return ARGOSY_ENOMEM;
    self->bytes += job->payload.size;
    job->is_away = false;
    ag_link_remove(&job->load);
    if (job->state == JOB_QUEUED)
        lane_update(self, job->lane);
    return 0;
}

/* ---- looking -----------------------------------------------------------------------------------
 */

bool sleep_show(const core_t *self, const struct ag_id *id, struct job *out)
{
    const struct sleeper *sleeper = find(self, id);

    if (sleeper != NULL)
        describe(sleeper, out);
    return sleeper != NULL;
}

/* Also of one that has been woken since. */
const struct lane *sleep_lane_of(const core_t *self, const struct ag_id *id)
{
    const struct sleeper *sleeper = find(self, id);
    const struct job *job = job_find_awake(self, id);

    return sleeper != NULL ? sleeper->terms->lane : job != NULL ? job->lane : NULL;
}

bool sleep_each(const core_t *self, const struct lane *lane, const struct core_cursor *after,
                sleep_fn *fn, void *arg)
{
    const struct sleeper *last = find(self, &after->id), *at = lane->sleepers;
    struct job job;

    if (last != NULL && last->terms->lane == lane)
        at = last->next;
    for (; at != NULL; at = at->next) {
        if (at->index == awake || at->number <= after->number)
            continue;
        describe(at, &job);
        if (!fn(arg, &job))
            return false;
    }
    return true;
}

const char *sleep_broken_invariant(const core_t *self, const struct lane *lane,
                                   struct sleep_sums *sums)
{
    uint64_t number = 0;

    for (const struct sleeper *at = lane->sleepers; at != NULL; at = at->next) {
        if (at->index != awake && at->number <= number)
            return "sleepers stand in the order of their numbers";
        if (at->index != awake)
            number = at->number;
        if (at->next == NULL && lane->last_sleeper != at)
            return "a line knows its last one";
        if (at->index != awake) {
            sums->asleep++;
            sums->bytes += sizeof *at;
            if (at->terms->lane != lane || find(self, &at->node.id) != at)
                return "a sleeper is found by its id";
        } else if (at->job != NULL && (at->job->sleeper != at || at->job->state != JOB_QUEUED)) {
            return "who stands in a line waits in the queue";
        }
    }
    return NULL;
}

void sleep_count_keys(const struct lane *lane)
{
    for (struct ag_link *at = lane->terms.next; at != &lane->terms; at = at->next) {
        struct key *key = AG_OWNER(at, struct terms, of_lane)->key;

        if (key != NULL)
            key->seen.refs++;
    }
}

void sleep_free(core_t *self, struct lane *lane)
{
    while (lane->sleepers != NULL) {
        struct sleeper *first = lane->sleepers;

        if (first->index != awake) {
            ag_map_remove(&self->sleepers, &first->node);
            terms_unref(self, first->terms);
        } else if (first->job != NULL) {
            first->job->sleeper = NULL;
        }
        drop_first(lane);
    }
}
