/* Schedules: each tick makes a job whose id follows from the schedule and the time, so that no tick
 * can happen twice, whatever is sent, lost or restored. */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/assert.h"
#include "common/error.h"

static int open_rule(core_t *self, struct schedule *schedule, struct argosy_error *err)
{
    const struct core_calendar *calendar = &self->config.calendar;
    const struct core_rule *rule = &schedule->rule;

    if (rule->cron.size == 0)
        return rule->every_ms > 0 || rule->at_unix_ms > 0
                   ? 0
                   : ag_fail(err, ARGOSY_EINVAL,
                             "a schedule has a time, an interval or a cron line");
    if (calendar->open == NULL)
        return ag_fail(err, ARGOSY_EINVAL, "this broker knows no cron lines");
    schedule->calendar = calendar->open(rule->cron, rule->zone, err);
    return schedule->calendar != NULL ? 0 : ARGOSY_EINVAL;
}

/* The first tick after this time. */
static int64_t next_after(const core_t *self, const struct schedule *schedule, int64_t unix_ms)
{
    const struct core_rule *rule = &schedule->rule;
    int64_t first = rule->at_unix_ms, every = (int64_t)rule->every_ms;

    if (rule->times > 0 && schedule->fired >= rule->times)
        return INT64_MAX;
    if (schedule->calendar != NULL)
        return self->config.calendar.next(schedule->calendar, unix_ms);
    if (unix_ms < first)
        return first;
    return every > 0 ? first + ((unix_ms - first) / every + 1) * every : INT64_MAX;
}

/* A single time that has passed is now: the order may have been long on its way. */
static int64_t first_tick(const core_t *self, const struct schedule *schedule)
{
    if (schedule->calendar == NULL && schedule->rule.every_ms == 0)
        return schedule->rule.at_unix_ms;
    return next_after(self, schedule, core_unix_ms(self) - 1);
}

int schedule_new(core_t *self, const struct core_control *control, struct schedule **out,
                 struct argosy_error *err)
{
    struct schedule *schedule = calloc(1, sizeof *schedule);
    struct proto_submit_job job;
    bool failed = false;
    int rc;

    *out = NULL;
    if (schedule == NULL)
        return ARGOSY_ENOMEM;
    schedule->node.id = control->id;
    schedule->timer.owner = TIMER_SCHEDULE;
    ag_link_init(&schedule->all);
    schedule->catch_up = control->catch_up;
    schedule->rule = control->rule;
    schedule->rule.cron = bytes_copy(control->rule.cron, &failed);
    schedule->rule.zone = bytes_copy(control->rule.zone, &failed);
    schedule->name = text_copy(control->name, &failed);
    schedule->job = bytes_copy(control->job, &failed);
    rc = ag_proto_decode_job(control->job, &job, err);
    if (rc == 0 && (job.kind.size == 0 || ag_bytes_are(job.kind, "group")))
        rc = ag_fail(err, ARGOSY_EINVAL, "the job has no kind that can be scheduled");
    if (rc == 0)
        schedule->kind = text_copy(job.kind, &failed);
    if (rc == 0)
        rc = open_rule(self, schedule, err);
    if (rc < 0 || failed) {
        schedule_free(self, schedule);
        return failed ? ARGOSY_ENOMEM : rc;
    }
    if (schedule->rule.every_ms > 0 && schedule->rule.at_unix_ms == 0)
        schedule->rule.at_unix_ms = core_unix_ms(self) + (int64_t)schedule->rule.every_ms;
    *out = schedule;
    return 0;
}

static void arm(core_t *self, struct schedule *schedule)
{
    if (schedule->next_unix_ms != INT64_MAX)
        core_set_timer(self, &schedule->timer,
                       schedule->next_unix_ms - self->config.unix_offset_ms);
}

/* A new one, or one that was restored with the time of its next tick. */
void schedule_start(core_t *self, struct schedule *schedule)
{
    ag_map_add(&self->schedules, &schedule->node);
    ag_list_append(&self->all_schedules, &schedule->all);
    if (schedule->next_unix_ms == 0)
        schedule->next_unix_ms = first_tick(self, schedule);
    core_journal_other(self, RECORD_SCHEDULE, NULL, schedule);
    arm(self, schedule);
}

void schedule_free(core_t *self, struct schedule *schedule)
{
    ag_heap_stop(&self->timers, &schedule->timer.heap);
    if (ag_link_is_listed(&schedule->all))
        ag_map_remove(&self->schedules, &schedule->node);
    ag_link_remove(&schedule->all);
    if (schedule->calendar != NULL)
        self->config.calendar.close(schedule->calendar);
    free((void *)schedule->rule.cron.data);
    free((void *)schedule->rule.zone.data);
    free((void *)schedule->job.data);
    free(schedule->name);
    free(schedule->kind);
    free(schedule);
}

/* The id of a tick's job: its time, and what follows from the schedule's id and that time. */
static struct ag_id tick_id(const struct schedule *schedule, int64_t unix_ms)
{
    uint64_t parts[2] = {ag_id_hash(&schedule->node.id, (uint64_t)unix_ms),
                         ag_id_hash(&schedule->node.id, ~(uint64_t)unix_ms)};

    return ag_id_make(unix_ms, (const uint8_t *)parts);
}

/* False when the job cannot be taken now: the tick is tried again later, if need be by the next
 * broker. */
static bool fire(core_t *self, struct schedule *schedule, int64_t unix_ms)
{
    struct proto_submit_job spec;
    const char *type, *message;
    int rc = ag_proto_decode_job(schedule->job, &spec, NULL);

    AG_ASSERT(rc == 0);
    if (self->stopping)
        return false;
    spec.id = tick_id(schedule, unix_ms);
    spec.group = (struct ag_id){{0}};
    spec.delay_ms = 0;
    if (job_is_known(self, &spec.id))
        return true;
    if (submit_job(self, &spec, &type, &message) < 0 ||
        (type != NULL && strcmp(type, "rejected.full") == 0))
        return false;
    if (type == NULL)
        self->counters.ticks++;
    core_tracef(self, "        tick: %s", type != NULL ? type : "a job");
    return true;
}

/* A tick that has fired never fires again: after a step back of the clock they wait until their
 * next time comes once more. After a step forward those in between were missed. */
void schedule_on_clock(core_t *self)
{
    struct ag_link *end = &self->all_schedules;

    for (struct ag_link *at = end->next; at != end && !PLANTED(CLOCK_IGNORED); at = at->next)
        arm(self, AG_OWNER(at, struct schedule, all));
}

/* Its time has come, or was long ago: then what was missed is made up for as it says. */
void schedule_on_timer(core_t *self, struct schedule *schedule)
{
    int64_t now = core_unix_ms(self), tick = schedule->next_unix_ms;
    bool was_missed = next_after(self, schedule, tick) <= now; /* the next one is due as well */
    bool fires = schedule->catch_up != CATCH_UP_SKIP || !was_missed;

    if (fires && !fire(self, schedule, tick)) {
        core_set_timer(self, &schedule->timer, self->now + RETRY_FULL_MS);
        return;
    }
    schedule->fired += fires;
    schedule->next_unix_ms = next_after(
        self, schedule, schedule->catch_up == CATCH_UP_ALL && !PLANTED(TICK_DROPPED) ? tick : now);
    core_journal_other(self, RECORD_SCHEDULE, NULL, schedule);
    arm(self, schedule);
}
