/* Looking at the core from outside: nothing here changes anything. */
#include "broker/core/state.h"
#include "common/assert.h"

/* ---- entries and heads of EVENTS --------------------------------------------------------------
 */

static enum proto_state ended_state(const struct job *job)
{
    AG_ASSERT(job_has_ended(job));
    return job->state == JOB_SUCCEEDED ? PROTO_JOB_SUCCEEDED
           : job->state == JOB_FAILED  ? PROTO_JOB_FAILED
                                       : PROTO_JOB_CANCELLED;
}

/* The oldest first; the list holds the newest first. */
static uint32_t append_attempts(const struct job *job, struct ag_buffer *out)
{
    const struct attempt *all[AG_ATTEMPTS_MAX + AG_LOST_MAX + 1];
    uint32_t count = 0;

    for (const struct attempt *at = job->attempts; at != NULL; at = at->next) {
        AG_ASSERT(count < sizeof all / sizeof *all);
        all[count++] = at;
    }
    for (uint32_t i = count; i > 0; i--)
        job_append_attempt(all[i - 1], out);
    return count;
}

void core_describe(const core_t *self, const struct job *job, uint32_t flags,
                   struct ag_buffer *attempts, struct proto_event *out)
{
    char note[BUDGET_NOTE_SIZE];
    size_t attempts_size;

    (void)self;
    ag_buffer_clear(attempts);
    *out = (struct proto_event){
        .job = job->node.id,
        .index = job->index,
        .kind = ag_bytes_of_text(job->lane->kind->name),
        .state = ended_state(job),
        .attempt = job->attempt,
        /* what was lost or handed back burns no try */
        .attempts_max = job->retry.attempts + job->losses + job->releases,
        .worker = ag_bytes_of_text(job->worker_name ? job->worker_name->text : ""),
        .queued_ms = job->queued_ms,
        .run_ms = job->run_ms,
        .error = job->error,
    };
    if (flags & PROTO_WATCH_RESULTS)
        out->result = job->result;
    if (job->state == JOB_FAILED && job->error_is_constant)
        out->payload = job->payload; /* no worker has said what it was about */
    out->attempts_count = append_attempts(job, attempts);
    attempts_size = attempts->size;
    ag_buffer_text(attempts, budget_note(job, note)); /* behind them, in the same memory */
    out->attempts = ag_bytes_of(attempts->data, attempts_size);
    out->note = ag_bytes_of_text("");
    if (attempts->size > attempts_size)
        out->note = ag_bytes_of(attempts->data + attempts_size, attempts->size - attempts_size);
}

bool core_is_failure(const struct job *job)
{
    return job->state == JOB_FAILED || job->error.size > 0;
}

static void count_job(const struct job *job, struct proto_counts *counts)
{
    *counts = (struct proto_counts){.total = 1};
    switch (job->state) {
    case JOB_SCHEDULED:
    case JOB_BLOCKED:
    case JOB_QUEUED:
        counts->waiting = 1;
        break;
    case JOB_RUNNING:
    case JOB_CANCELLING:
        counts->running = 1;
        break;
    case JOB_SUCCEEDED:
        counts->succeeded = 1;
        break;
    case JOB_FAILED:
        counts->failed = 1;
        break;
    case JOB_CANCELLED:
    case JOB_STATES_COUNT:
        counts->cancelled = 1;
        break;
    }
    counts->retried = job->attempt > 1 ? job->attempt - 1 : 0;
}

void core_describe_target(const core_t *self, const struct effect *effect, struct proto_events *out)
{
    const struct group *group = effect->events.group;
    const struct job *job = effect->events.job;

    out->watch = effect->events.watch;
    out->cursor = effect->events.cursor;
    out->end = effect->events.end;
    out->counts = (struct proto_counts){0};
    out->failure = out->name = ag_bytes_of_text("");
    out->wall_ms = out->busy_ms = 0;
    if (group != NULL) {
        out->counts = group->counts;
        out->failure = ag_bytes_of_text(group->failure);
        out->name = ag_bytes_of_text(group->name);
        out->wall_ms =
            (uint64_t)((group->is_ended ? group->ended_at : self->now) - group->accepted_at);
        out->busy_ms = group->busy_ms;
    } else if (job != NULL) {
        count_job(job, &out->counts);
        out->name = ag_bytes_of_text(job->lane->kind->name);
        out->wall_ms = (uint64_t)job->queued_ms + job->run_ms;
        out->busy_ms = job->run_ms;
    }
}

/* ---- QUERY ------------------------------------------------------------------------------------
 */

void core_status(const core_t *self, struct core_status *out)
{
    uint64_t all = self->counters.deleted;

    *out = (struct core_status){.groups = self->groups.count,
                                .workers = self->workers,
                                .clients = self->clients,
                                .bytes = self->bytes,
                                .counters = self->counters};
    for (int state = 0; state < JOB_STATES_COUNT; state++) {
        out->jobs[state] = self->states[state];
        all += self->states[state];
    }
    out->unaccounted = (int64_t)(self->counters.submitted - all);
}

void core_each_worker(const core_t *self, void (*fn)(void *arg, const struct core_worker_view *),
                      void *arg)
{
    for (struct ag_link *at = self->all_sessions.next; at != &self->all_sessions; at = at->next) {
        const struct session *worker = AG_OWNER(at, struct session, all);
        struct core_worker_view view = {.name = worker->name->text,
                                        .host = worker->host,
                                        .software = worker->software,
                                        .tags = worker->tags,
                                        .silent_ms = self->now - worker->heard_at,
                                        .succeeded = worker->succeeded,
                                        .failed = worker->failed,
                                        .released = worker->released,
                                        .kinds_count = worker->offers_count};

        if (worker->role != PROTO_WORKER)
            continue;
        for (uint32_t i = 0; i < worker->offers_count; i++) {
            view.kinds[i].kind = worker->offers[i].kind->name;
            view.kinds[i].slots = worker->offers[i].slots;
            view.kinds[i].credit = worker->offers[i].credit;
            view.kinds[i].held = worker->offers[i].held;
        }
        fn(arg, &view);
    }
}

static enum core_reason queued_reason(const core_t *self, const struct job *job)
{
    const struct lane *lane = job->lane;
    const struct kind *kind = lane->kind;
    enum core_reason reason = lane_blocked(self, lane);

    if (self->stopping)
        return REASON_STOPPING;
    if (!recovery_is_over(self))
        return REASON_RECOVERING;
    if (reason != REASON_NONE)
        return reason;
    if (self->bytes >= self->config.bytes_max)
        return REASON_MEMORY;
    reason = key_blocked(self, job);
    if (reason != REASON_NONE)
        return reason;
    if (lane->demand->workers == 0 && kind->offers_count > 0 && lane->requires[0] != '\0')
        return REASON_NO_TAGS;
    if (lane->demand->workers == 0)
        return REASON_NO_WORKER;
    if (job_is_suspect(job))
        return REASON_SUSPECT;
    return kind->idle_count == 0 ? REASON_BUSY : REASON_SOON;
}

enum core_reason job_reason(const core_t *self, const struct job *job)
{
    switch (job->state) {
    case JOB_SCHEDULED:
        return job->attempt == 0 ? REASON_DELAY : REASON_BACKOFF;
    case JOB_BLOCKED:
        return job->is_place                                                  ? REASON_MEMBERS
               : job->extra->mode == WAIT_ALL || job->extra->mode == WAIT_ANY ? REASON_AFTER
                                                                              : REASON_UNIQUE;
    case JOB_QUEUED:
        return queued_reason(self, job);
    case JOB_CANCELLING:
        return REASON_CANCELLING;
    case JOB_RUNNING:
    case JOB_SUCCEEDED:
    case JOB_FAILED:
    case JOB_CANCELLED:
    case JOB_STATES_COUNT:
        break;
    }
    return REASON_NONE;
}

static struct ag_id first_wait(const struct job *job)
{
    struct ag_id none = {{0}};

    if (job->extra == NULL || job->state != JOB_BLOCKED)
        return none;
    for (struct ag_link *at = job->extra->waits.next; at != &job->extra->waits; at = at->next) {
        const struct wait *wait = AG_OWNER(at, struct wait, of_waiter);

        if (!wait->is_over)
            return wait->job != NULL ? wait->job->node.id : wait->group->node.id;
    }
    return none;
}

static void view_job(const core_t *self, const struct job *job, struct core_job_view *out)
{
    static const char *const codes[] = {
#define X(name, code, text) [REASON_##name] = code,
        CORE_REASONS(X)
#undef X
    };
    static const char *const texts[] = {
#define X(name, code, text) [REASON_##name] = text,
        CORE_REASONS(X)
#undef X
    };
    enum core_reason reason = job_reason(self, job);
    const struct lane *lane = job->lane;

    *out = (struct core_job_view){
        .id = job->node.id,
        .state = job_state_name(job->state),
        .kind = lane->kind->name,
        .queue = lane->queue->name,
        .worker = job->worker_name ? job->worker_name->text : "",
        .key = job->key != NULL ? job->key->text : "",
        .requires = lane->requires,
        .group = lane->group ? lane->group->node.id : (struct ag_id){{0}},
        .waits_for = first_wait(job),
        .index = job->index,
        .attempt = job->attempt,
        .attempts_max = job->retry.attempts + job->losses + job->releases,
        .priority = lane->priority,
        .permille = job_is_held(job) ? job->permille : AG_PERMILLE_UNKNOWN,
        .losses = job->losses,
        .queued_ms = job->queued_ms + (job->state == JOB_QUEUED ? self->now - job->since : 0),
        .run_ms = job_is_held(job) ? self->now - job->since : job->run_ms,
        .due_ms = job->state == JOB_SCHEDULED ? job->timer.heap.at - self->now : 0,
        .reason = codes[reason],
        .why = texts[reason],
        .error = job->state == JOB_FAILED ? job->error : (struct ag_bytes){0},
    };
}

struct core_found core_show(const core_t *self, const struct ag_id *id, struct core_job_view *out,
                            struct core_group_view *group_out)
{
    static const char *const policies[] = {
        [PROTO_GATHER] = "gather", [PROTO_TASKGROUP] = "taskgroup", [PROTO_RACE] = "race"};
    const struct job *job = job_find_awake(self, id);
    const struct group *group = group_find(self, id);
    struct job asleep;

    if (job == NULL && sleep_show(self, id, &asleep))
        job = &asleep;
    if (job != NULL)
        view_job(self, job, out);
    if (group != NULL)
        *group_out = (struct core_group_view){
            .id = *id,
            .parent = group->parent != NULL ? group->parent->node.id : (struct ag_id){{0}},
            .name = group->name,
            .policy = policies[group->policy],
            .failure = group->failure,
            .sealed = group->sealed,
            .cancelling = group->cancelling,
            .ended = group->is_ended,
            .counts = group->counts,
        };
    return (struct core_found){.job = job != NULL, .group = job == NULL && group != NULL};
}

/* ---- lists -------------------------------------------------------------------------------------
 */

static bool matches(const struct job *job, const struct core_filter *filter)
{
    const struct lane *lane = job->lane;

    return !job->is_place && (filter->state < 0 || (int)job->state == filter->state) &&
           (filter->kind.size == 0 || ag_bytes_are(filter->kind, lane->kind->name)) &&
           (filter->queue.size == 0 || ag_bytes_are(filter->queue, lane->queue->name)) &&
           (ag_id_is_zero(&filter->group) ||
            (lane->group != NULL && ag_id_equal(&lane->group->node.id, &filter->group)));
}

/* In the number of a cursor: all that are awake have been looked at. */
#define AMONG_SLEEPERS (1ull << 62)

/* Where a list goes on: behind the last one looked at or, if that is gone, the first after it. */
static const struct ag_link *resume(const core_t *self, const struct core_cursor *cursor)
{
    const struct job *job = cursor->number > 0 ? job_find_awake(self, &cursor->id) : NULL;
    const struct ag_link *at = self->all_jobs.next;

    if (job != NULL)
        return job->all.next;
    while (at != &self->all_jobs && AG_OWNER(at, struct job, all)->number <= cursor->number)
        at = at->next;
    return at;
}

/* What a page of a list has looked at. */
struct page {
    const core_t *self;
    const struct core_filter *filter;
    struct core_cursor *cursor;
    uint32_t limit;
    int looked;
    void (*fn)(void *arg, const struct core_job_view *);
    void *arg;
};

/* False: the page is full. */
static bool look_at(struct page *page, const struct job *job)
{
    struct core_job_view view;

    if (page->limit == 0 || page->looked == LIST_LOOKED_AT)
        return false;
    page->looked++;
    page->cursor->number = job->number;
    page->cursor->id = job->node.id;
    if (!matches(job, page->filter))
        return true;
    view_job(page->self, job, &view);
    page->fn(page->arg, &view);
    page->limit--;
    return true;
}

static bool look_at_sleeper(void *arg, const struct job *job)
{
    struct page *page = arg;

    if (!look_at(page, job))
        return false;
    page->cursor->number |= AMONG_SLEEPERS;
    return true;
}

/* Those that sleep come after those that are awake, lane by lane. */
static bool list_sleepers(struct page *page)
{
    const struct core_cursor none = {0};
    struct core_cursor after = *page->cursor;
    const struct lane *from = NULL;

    if (after.number & AMONG_SLEEPERS)
        from = sleep_lane_of(page->self, &after.id);
    after.number &= AMONG_SLEEPERS - 1;
    for (struct ag_link *at = page->self->queues.next; at != &page->self->queues; at = at->next) {
        const struct queue *queue = AG_OWNER(at, struct queue, all);

        for (struct ag_link *l = queue->lanes.next; l != &queue->lanes; l = l->next) {
            const struct lane *lane = AG_OWNER(l, struct lane, of_queue);

            if (from != NULL && lane != from)
                continue;
            if (!sleep_each(page->self, lane, from != NULL ? &after : &none, look_at_sleeper, page))
                return true;
            from = NULL;
        }
    }
    return false;
}

bool core_list(const core_t *self, const struct core_filter *filter, struct core_cursor *cursor,
               uint32_t limit, void (*fn)(void *arg, const struct core_job_view *), void *arg)
{
    struct page page = {
        .self = self, .filter = filter, .cursor = cursor, .limit = limit, .fn = fn, .arg = arg};
    const struct ag_link *at =
        cursor->number & AMONG_SLEEPERS ? &self->all_jobs : resume(self, cursor);

    for (; at != &self->all_jobs; at = at->next)
        if (!look_at(&page, AG_OWNER(at, struct job, all)))
            return true;
    return self->sleepers.count > 0 && list_sleepers(&page);
}

static void add_kinds(const core_t *self, const struct queue *queue, struct core_queue_view *view)
{
    for (struct ag_link *at = self->kinds.next; at != &self->kinds; at = at->next) {
        const struct kind *kind = AG_OWNER(at, struct kind, all);
        bool is_here = false;

        for (struct ag_link *l = queue->lanes.next; l != &queue->lanes && !is_here; l = l->next)
            is_here = AG_OWNER(l, struct lane, of_queue)->kind == kind;
        if (!is_here)
            continue;
        view->workers += (uint32_t)kind->offers_count;
    }
}

/* Since when the longest of what no worker could take has waited for one. */
static int64_t unserved_ms(const core_t *self, const struct queue *queue)
{
    int64_t longest = 0;

    for (struct ag_link *at = queue->lanes.next; at != &queue->lanes; at = at->next) {
        const struct lane *lane = AG_OWNER(at, struct lane, of_queue);
        int64_t ms = self->now - lane->demand->unserved_since;

        if (lane->queued > 0 && lane->demand->is_unserved && ms > longest)
            longest = ms;
    }
    return longest;
}

void core_each_queue(const core_t *self, void (*fn)(void *arg, const struct core_queue_view *),
                     void *arg)
{
    for (struct ag_link *at = self->queues.next; at != &self->queues; at = at->next) {
        const struct queue *queue = AG_OWNER(at, struct queue, all);
        struct core_queue_view view = {.name = queue->name,
                                       .paused = queue->paused,
                                       .relaxed = queue->relaxed,
                                       .limit = queue->limit,
                                       .waiting = queue->waiting,
                                       .running = queue->running};

        if (strcmp(queue->name, "group") == 0)
            continue; /* places of groups in groups */
        view.unserved_ms = unserved_ms(self, queue);
        add_kinds(self, queue, &view);
        fn(arg, &view);
    }
}

void core_each_schedule(const core_t *self,
                        void (*fn)(void *arg, const struct core_schedule_view *), void *arg)
{
    for (struct ag_link *at = self->all_schedules.next; at != &self->all_schedules; at = at->next) {
        const struct schedule *schedule = AG_OWNER(at, struct schedule, all);

        fn(arg, &(struct core_schedule_view){.id = schedule->node.id,
                                             .name = schedule->name,
                                             .kind = schedule->kind,
                                             .rule = schedule->rule,
                                             .catch_up = schedule->catch_up,
                                             .next_unix_ms = schedule->next_unix_ms,
                                             .fired = schedule->fired});
    }
}
