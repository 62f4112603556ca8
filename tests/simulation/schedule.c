/* Schedules: users who order and remove them, a calendar for their cron lines, and a wall clock
 * that is set. */
#include <msgpack/pack.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulation/sim.h"

/* ---- the calendar ------------------------------------------------------------------------------
 */

/* A line is a number of milliseconds: every multiple of it, but for each third. */
int64_t calendar_next(int64_t period, int64_t after_unix_ms)
{
    int64_t place = after_unix_ms / period + 1;

    return (place % 3 == 2 ? place + 1 : place) * period;
}

static void *open_line(struct ag_bytes cron, struct ag_bytes zone, struct argosy_error *err)
{
    int64_t *period = malloc(sizeof *period);
    char text[16];

    (void)zone;
    (void)err;
    if (period == NULL)
        abort();
    snprintf(text, sizeof text, "%.*s", AG_TEXT(cron));
    *period = atoi(text);
    return period;
}

static int64_t next_of_line(void *rule, int64_t after_unix_ms)
{
    return calendar_next(*(int64_t *)rule, after_unix_ms);
}

struct core_calendar calendar_of_sim(void)
{
    return (struct core_calendar){.open = open_line, .next = next_of_line, .close = free};
}

/* ---- the wall clock ----------------------------------------------------------------------------
 */

int64_t wall_ms(const struct sim *self)
{
    return self->now + self->unix_offset_ms;
}

/* A little, back to where it was, or by an hour. The broker looks at it now and then. */
void wall_jump(struct sim *self)
{
    int64_t dice = between(self, 0, 99);

    if (dice < 65)
        self->unix_offset_ms += between(self, -3000, 3000);
    else if (dice < 85)
        self->unix_offset_ms = SIM_UNIX_MS;
    else
        self->unix_offset_ms += chance(self, 50) ? HOUR_MS : -HOUR_MS;
    self->look_at = self->now + between(self, 0, 1000);
    sim_trace(self, "the wall clock is set to %lld", (long long)wall_ms(self));
}

/* ---- what users do -----------------------------------------------------------------------------
 */

static void choose_rule(struct sim *self, struct sim_schedule *schedule, char line[16])
{
    int64_t dice = between(self, 0, 99), some_time = wall_ms(self) + between(self, -500, 2000);

    schedule->catch_up = (enum argosy_catch_up)between(self, 0, 2);
    /* A clock set forward by an hour makes up for all of it: that must end. */
    if (schedule->catch_up == ARGOSY_CATCH_UP_ALL || chance(self, 50))
        schedule->times = (uint32_t)between(self, 1, 10);
    if (dice < 25) {
        schedule->period_ms = between(self, 200, 600);
        schedule->is_cron = true;
        snprintf(line, 16, "%d", (int)schedule->period_ms);
    } else if (dice < 40) {
        schedule->at_unix_ms = some_time;
    } else {
        schedule->period_ms = between(self, 200, 1000);
        schedule->at_unix_ms = chance(self, 50) ? some_time : 0;
    }
}

static void choose_job(struct sim *self, struct sim_schedule *schedule, struct argosy_job *job)
{
    job->kind = "sim";
    job->ttl_ms = chance(self, 50) ? (uint32_t)between(self, 1, 300) : 0;
    job->retry.attempts = (uint32_t)between(self, 1, 2);
    job->retry.base_ms = 20;
    job->retry.cap_ms = 200;
    job->retry.factor_percent = 200;
    job->grace_ms = SIM_GRACE_MS;
    if (!chance(self, 40))
        return;
    job->unique = chance(self, 30) ? "the one" : "a tick";
    job->unique_policy = (enum argosy_unique)between(self, 0, 2);
    schedule->is_unique = true;
    schedule->may_be_refused = job->unique_policy == ARGOSY_UNIQUE_REJECT;
}

static void add(struct sim *self, int client)
{
    struct sim_schedule *schedule = &self->schedules[self->schedules_count];
    uint8_t payload[] = {0xd0, (uint8_t)self->schedules_count};
    char line[16], id[ARGOSY_ID_SIZE];
    struct argosy_schedule spec = {.name = "sim",
                                   .job = {.payload = payload, .payload_size = sizeof payload}};

    *schedule = (struct sim_schedule){.client = client, .remove_at = SIM_WIND_DOWN_MS};
    choose_rule(self, schedule, line);
    choose_job(self, schedule, &spec.job);
    spec.at_unix_ms = schedule->at_unix_ms;
    spec.every_ms = schedule->is_cron ? 0 : (uint64_t)schedule->period_ms;
    spec.cron = schedule->is_cron ? line : NULL;
    spec.times = schedule->times;
    spec.catch_up = schedule->catch_up;
    if (chance(self, 30))
        schedule->remove_at = self->now + between(self, 0, 3000);
    if (argosy_schedule_add(self->clients[client].client, &spec, id, &schedule->add_request, NULL) <
        0)
        abort();
    ag_id_parse(id, &schedule->id, NULL);
    sim_trace(self, "client %d orders schedule %d, every %lld from %lld, %u times, catch-up %d",
              client, self->schedules_count, (long long)schedule->period_ms,
              (long long)schedule->at_unix_ms, (unsigned)schedule->times, (int)schedule->catch_up);
    self->schedules_count++;
}

static void take_away(struct sim *self, int number)
{
    struct sim_schedule *schedule = &self->schedules[number];
    struct ag_buffer arguments = ag_buffer_empty(1 << 10);
    char id[ARGOSY_ID_SIZE];
    msgpack_packer packer;

    msgpack_packer_init(&packer, &arguments, ag_buffer_write);
    msgpack_pack_map(&packer, 1);
    msgpack_pack_str_with_body(&packer, "id", 2);
    msgpack_pack_str_with_body(&packer, ag_id_print(&schedule->id, id), ARGOSY_ID_SIZE - 1);
    if (argosy_control(self->clients[schedule->client].client, "schedule.remove", arguments.data,
                       arguments.size, &schedule->remove_request, NULL) < 0)
        abort();
    ag_buffer_free(&arguments);
    sim_trace(self, "client %d removes schedule %d", schedule->client, number);
}

void schedule_turn(struct sim *self, int client)
{
    if (self->has_schedules && !self->are_faults_over && self->schedules_count < SIM_SCHEDULES &&
        chance(self, 4))
        add(self, client);
    for (int i = 0; i < self->schedules_count; i++)
        if (self->schedules[i].client == client && self->schedules[i].remove_request == 0 &&
            self->schedules[i].remove_at <= self->now)
            take_away(self, i);
}

/* When this client wants to do something about its schedules. */
int64_t schedule_deadline(const struct sim *self, int client)
{
    int64_t at = INT64_MAX;

    for (int i = 0; i < self->schedules_count; i++)
        if (self->schedules[i].client == client && self->schedules[i].remove_request == 0 &&
            self->schedules[i].remove_at < at)
            at = self->schedules[i].remove_at;
    return at;
}

void schedule_answered(struct sim *self, int client, const struct argosy_event *event)
{
    for (int i = 0; i < self->schedules_count; i++) {
        struct sim_schedule *schedule = &self->schedules[i];

        if (schedule->client != client)
            continue;
        if (schedule->add_request == event->request) {
            schedule->is_add_answered = true;
            if (event->answer_type[0] != '\0')
                sim_broken(self, "schedule %d is refused: %s", i, event->answer_message);
        }
        if (schedule->remove_request == event->request)
            schedule->is_over = true;
    }
}

bool schedule_is_done(const struct sim *self)
{
    for (int i = 0; i < self->schedules_count; i++)
        if (!self->schedules[i].is_over)
            return false;
    for (int i = 0; i < self->ticks_count; i++)
        if (self->jobs[SIM_JOBS + i].made > 0 && self->jobs[SIM_JOBS + i].over == 0)
            return false;
    return true;
}
