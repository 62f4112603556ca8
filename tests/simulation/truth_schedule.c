/* The simulator's own account of schedules: which tick is the next, by the rule that was ordered,
 * the wall clock and what was journalled. The jobs that ticks make stand behind those of the
 * clients. */
#include <string.h>

#include "broker/core/record.h"
#include "tests/simulation/sim.h"

/* ---- the rule ----------------------------------------------------------------------------------
 */

static int64_t tick_after(const struct sim_schedule *self, const struct sim_plan *plan,
                          int64_t unix_ms)
{
    if (self->is_cron)
        return calendar_next(self->period_ms, unix_ms);
    if (unix_ms < plan->first)
        return plan->first;
    if (self->period_ms == 0)
        return INT64_MAX;
    return unix_ms + self->period_ms - (unix_ms - plan->first) % self->period_ms;
}

/* What the broker takes for the time. */
static int64_t broker_unix(const struct sim *self)
{
    return self->now + self->config.unix_offset_ms;
}

static int schedule_of(const struct sim *self, const struct ag_id *id)
{
    for (int i = 0; i < self->schedules_count; i++)
        if (ag_id_equal(&self->schedules[i].id, id))
            return i;
    return -1;
}

/* ---- how it stands -----------------------------------------------------------------------------
 */

static const struct sim_plan *plan_of(const struct sim_schedule *self)
{
    static const struct sim_plan none;

    return self->plans_count > 0 ? &self->plans[self->plans_count - 1] : &none;
}

/* One state more; the oldest, which no crash undoes any more, makes room for it. */
static void remember(struct sim_schedule *self, const struct sim_plan *plan)
{
    if (self->plans_count == SIM_PLANS)
        memmove(self->plans, self->plans + 1, --self->plans_count * sizeof *self->plans);
    self->plans[self->plans_count++] = *plan;
}

static void was_made(struct sim *self, int number, const struct record *record, uint64_t place)
{
    struct sim_schedule *schedule = &self->schedules[number];
    struct sim_plan plan = {.record = place, .is_there = true, .first = schedule->at_unix_ms};

    /* Whoever has had no answer to both orders gives both again. */
    if (plan_of(schedule)->is_removed && schedule->is_add_answered)
        sim_broken(self, "schedule %d was removed, and is made again", number);
    schedule->is_again = plan_of(schedule)->is_removed;
    if (plan.first == 0 && !schedule->is_cron)
        plan.first = broker_unix(self) + schedule->period_ms;
    plan.next = plan.first; /* of a single time: however late it is */
    if (schedule->period_ms > 0)
        plan.next = tick_after(schedule, &plan, broker_unix(self) - 1);
    if ((int64_t)record->schedule.next_unix_ms != plan.next)
        sim_broken(self, "schedule %d begins at %lld, not at %lld", number,
                   (long long)record->schedule.next_unix_ms, (long long)plan.next);
    remember(schedule, &plan);
}

/* After a tick, whether it made a job, was refused as a second one, or was skipped. */
static void went_on(struct sim *self, int number, const struct record *record, uint64_t place)
{
    struct sim_schedule *schedule = &self->schedules[number];
    struct sim_plan plan = *plan_of(schedule);
    int64_t now = broker_unix(self), after = tick_after(schedule, &plan, plan.next);
    bool is_all = schedule->catch_up == ARGOSY_CATCH_UP_ALL;
    bool is_skipped = schedule->catch_up == ARGOSY_CATCH_UP_SKIP && after <= now;

    if (!schedule->has_fired && !is_skipped && !schedule->may_be_refused && !schedule->is_again)
        sim_broken(self, "schedule %d swallows its tick of %lld", number, (long long)plan.next);
    plan.record = place;
    plan.fired += !is_skipped;
    plan.next = is_all ? after : tick_after(schedule, &plan, now);
    if (schedule->times > 0 && plan.fired >= schedule->times)
        plan.next = INT64_MAX;
    schedule->said_fired = record->schedule.fired;
    schedule->said_next = record->schedule.next_unix_ms;
    schedule->has_fired = false;
    schedule->is_touched = true;
    remember(schedule, &plan);
}

/* The records of a step all say how the schedule stands after it. */
void truth_step_ended(struct sim *self)
{
    for (int i = 0; i < self->schedules_count; i++) {
        struct sim_schedule *schedule = &self->schedules[i];
        const struct sim_plan *plan = plan_of(schedule);
        uint64_t next = plan->next == INT64_MAX ? UINT64_MAX : (uint64_t)plan->next;

        if (schedule->is_touched &&
            (schedule->said_next != next || schedule->said_fired != plan->fired))
            sim_broken(self, "schedule %d goes on after %llu ticks at %llu, not after %u at %llu",
                       i, (unsigned long long)schedule->said_fired,
                       (unsigned long long)schedule->said_next, (unsigned)plan->fired,
                       (unsigned long long)next);
        schedule->is_touched = false;
    }
}

static void was_removed(struct sim *self, int number, uint64_t place)
{
    struct sim_plan plan = *plan_of(&self->schedules[number]);

    plan.record = place;
    plan.is_there = false;
    plan.is_removed = true;
    remember(&self->schedules[number], &plan);
}

/* ---- ticks -------------------------------------------------------------------------------------
 */

static struct sim_job *new_tick(struct sim *self, const struct ag_id *id, int schedule)
{
    struct sim_job *job = &self->jobs[SIM_JOBS + self->ticks_count];

    if (self->ticks_count == SIM_TICKS) {
        sim_broken(self, "more ticks than the simulator has room for");
        return &self->jobs[SIM_JOBS];
    }
    *job = (struct sim_job){.id = *id,
                            .group = -1,
                            .key = -1,
                            .after = {-1, -1},
                            .is_unique = self->schedules[schedule].is_unique,
                            .behaviour = behave(self, NULL)};
    self->ticks_count++;
    return job;
}

static void check_tick(struct sim *self, int number, int64_t tick)
{
    const struct sim_schedule *schedule = &self->schedules[number];
    const struct sim_plan *plan = plan_of(schedule);
    bool is_skip = schedule->catch_up == ARGOSY_CATCH_UP_SKIP;

    sim_trace(self, "schedule %d fires for %lld", number, (long long)tick);
    if (!plan->is_there)
        sim_broken(self, "schedule %d fires, and is %s", number,
                   plan->is_removed ? "removed" : "not there");
    if (tick > wall_ms(self))
        sim_broken(self, "schedule %d fires %lld ms before its time", number,
                   (long long)(tick - wall_ms(self)));
    if (schedule->times > 0 && plan->fired >= schedule->times)
        sim_broken(self, "schedule %d fires more than %u times", number, (unsigned)schedule->times);
    if (tick != plan->next)
        sim_broken(self, "schedule %d fires for %lld, not for %lld", number, (long long)tick,
                   (long long)plan->next);
    if (is_skip && tick_after(schedule, plan, tick) <= broker_unix(self))
        sim_broken(self, "schedule %d fires for %lld, which it was to skip", number,
                   (long long)tick);
}

static void fired(struct sim *self, const struct record *record, uint64_t place)
{
    struct ag_bytes payload = record->job.spec.payload;
    int number = payload.size == 2 && payload.data[0] == 0xd0 ? payload.data[1] : -1;
    int known = truth_job(self, &record->id);
    struct sim_job *job;

    if (number < 0 || number >= self->schedules_count) {
        sim_broken(self, "a job is made that nobody submitted");
        return;
    }
    check_tick(self, number, ag_id_unix_ms(&record->id));
    job = known >= 0 ? &self->jobs[known] : new_tick(self, &record->id, number);
    if (job->made > 0 && !self->schedules[number].is_again)
        sim_broken(self, "a tick of schedule %d fires twice", number);
    job->made = place;
    job->over = 0;
    self->schedules[number].has_fired = true;
}

/* ---- the journal -------------------------------------------------------------------------------
 */

void truth_record(struct sim *self, uint64_t place, struct ag_bytes bytes)
{
    struct record record;
    int number;

    if (record_read(bytes, &record, NULL) < 0) {
        sim_broken(self, "a record cannot be read");
        return;
    }
    number = truth_job(self, &record.id);
    if (record.type == RECORD_JOB && (number < 0 || number >= SIM_JOBS))
        fired(self, &record, place);
    truth_journalled(self, &record, place);
    if (record.type == RECORD_END && number >= SIM_JOBS)
        self->jobs[number].over = place;
    number = schedule_of(self, &record.id);
    if (number < 0)
        return;
    if (record.type == RECORD_FORGET)
        was_removed(self, number, place);
    else if (plan_of(&self->schedules[number])->is_there)
        went_on(self, number, &record, place);
    else
        was_made(self, number, &record, place);
}

/* What was not durable has never been. */
void truth_schedule_crashed(struct sim *self)
{
    for (int i = 0; i < self->schedules_count; i++) {
        struct sim_schedule *schedule = &self->schedules[i];

        while (plan_of(schedule)->record > self->durable_records)
            schedule->plans_count--;
    }
    for (int i = SIM_JOBS; i < SIM_JOBS + self->ticks_count; i++) {
        if (self->jobs[i].made > self->durable_records)
            self->jobs[i].made = 0;
        if (self->jobs[i].over > self->durable_records || self->jobs[i].made == 0)
            self->jobs[i].over = 0;
    }
}

struct search {
    struct sim *sim;
    bool is_found[SIM_SCHEDULES];
};

static void compare(void *arg, const struct core_schedule_view *view)
{
    struct search *self = arg;
    int number = schedule_of(self->sim, &view->id);
    const struct sim_plan *plan = number >= 0 ? plan_of(&self->sim->schedules[number]) : NULL;

    if (plan == NULL || !plan->is_there) {
        sim_broken(self->sim, "schedule %d is there after a crash, and should not be", number);
        return;
    }
    self->is_found[number] = true;
    if (view->next_unix_ms != plan->next || view->fired != plan->fired)
        sim_broken(self->sim, "schedule %d has fired %llu times after a crash, not %u", number,
                   (unsigned long long)view->fired, (unsigned)plan->fired);
}

/* Everything durable is still so, and what was answered is durable. */
void truth_schedules_restored(struct sim *self)
{
    struct search search = {.sim = self};
    struct core_job_view job;
    struct core_group_view group;

    core_each_schedule(self->core, compare, &search);
    for (int i = 0; i < self->schedules_count; i++) {
        const struct sim_schedule *schedule = &self->schedules[i];
        const struct sim_plan *plan = plan_of(schedule);

        if ((plan->is_there && !search.is_found[i]) ||
            (schedule->is_acked && !plan->is_there && !plan->is_removed))
            sim_broken(self, "schedule %d was accepted, and is gone after a crash", i);
        if (schedule->is_removal_acked && plan->is_there)
            sim_broken(self, "schedule %d was removed, and is there after a crash", i);
    }
    for (int i = SIM_JOBS; i < SIM_JOBS + self->ticks_count; i++)
        if (self->jobs[i].made > 0 && self->jobs[i].over == 0 &&
            !core_show(self->core, &self->jobs[i].id, &job, &group).job)
            sim_broken(self, "a tick's job is gone after a crash");
}

/* ---- orders ------------------------------------------------------------------------------------
 */

void truth_answered(struct sim *self, const struct asked *order, const char *type)
{
    int number = schedule_of(self, &order->ids[0]);
    struct sim_schedule *schedule = number >= 0 ? &self->schedules[number] : NULL;

    if (schedule == NULL)
        return;
    if (order->verb == VERB_SCHEDULE_ADD && type[0] == '\0')
        schedule->is_acked = true;
    if (order->verb == VERB_SCHEDULE_REMOVE)
        schedule->is_removal_acked = true;
    /* It was ordered first, so it is known: as one that is there, or one that was removed. */
    if (order->verb == VERB_SCHEDULE_REMOVE && !plan_of(schedule)->is_removed)
        sim_broken(self, "schedule %d was removed, and %s", number,
                   plan_of(schedule)->is_there ? "is there" : "is still to come");
}

/* ---- at the end --------------------------------------------------------------------------------
 */

/* Long after the last fault: what is due has fired, unless there was no room for it. */
void truth_schedules_are_on_time(struct sim *self)
{
    for (int i = 0; i < self->schedules_count && self->config.jobs_max > SIM_JOBS; i++) {
        const struct sim_plan *plan = plan_of(&self->schedules[i]);

        if (plan->is_there && plan->next < wall_ms(self) - SIM_LATE_MS)
            sim_broken(self, "schedule %d should have fired at %lld", i, (long long)plan->next);
    }
}
