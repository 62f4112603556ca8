/* Clients: users of the real client library, in a world of this program's making. */
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "tests/simulation/sim.h"

/* ---- the port ----------------------------------------------------------------------------------
 */

struct world {
    struct sim *sim;
    int peer;
    struct frame *in_hand;
};

static int64_t port_now(void *arg)
{
    return ((struct world *)arg)->sim->now;
}

static int port_random(void *arg, uint8_t *out, size_t size, struct argosy_error *err)
{
    (void)err;
    ag_random_fill(&((struct world *)arg)->sim->random, out, size);
    return 0;
}

static int port_connect(void *arg, const char *endpoint, struct argosy_error *err)
{
    struct world *self = arg;

    (void)endpoint;
    (void)err;
    net_open(self->sim, self->peer, false);
    return 0;
}

static bool port_send(void *arg, struct ag_bytes frame)
{
    struct world *self = arg;

    if (chance(self->sim, 2) && !self->sim->are_faults_over)
        return false; /* the pipe is full */
    net_send_up(self->sim, self->peer, frame);
    return true;
}

static bool port_receive(void *arg, struct ag_bytes *frame)
{
    struct world *self = arg;
    struct frame *first = net_first(&self->sim->peers[self->peer].down);

    if (first == NULL || first->at > self->sim->now)
        return false;
    ag_link_remove(&first->link);
    self->in_hand = first;
    *frame = ag_bytes_of(first->data, first->size);
    return true;
}

static void port_release(void *arg)
{
    struct world *self = arg;

    free(self->in_hand);
    self->in_hand = NULL;
}

static bool port_wait(void *arg, int64_t ms)
{
    (void)arg;
    (void)ms;
    return false;
}

static int port_fd(void *arg)
{
    (void)arg;
    return -1;
}

static void port_close(void *arg, bool politely)
{
    struct world *self = arg;

    (void)politely;
    free(self->in_hand);
    free(self);
}

void client_start(struct sim *self, int number)
{
    static const char *const endpoint = "ipc:///sim";
    struct world *world = calloc(1, sizeof *world);
    struct client_port port = {.arg = world,
                               .now = port_now,
                               .unix_ms = port_now,
                               .random = port_random,
                               .connect = port_connect,
                               .send = port_send,
                               .receive = port_receive,
                               .release = port_release,
                               .wait = port_wait,
                               .fd = port_fd,
                               .close = port_close};
    struct argosy_client_config config = {.endpoints = &endpoint,
                                          .endpoints_count = 1,
                                          .name = "sim",
                                          .broker_timeout_ms = 10 * SIM_LIMIT_MS};

    if (world == NULL)
        abort();
    world->sim = self;
    world->peer = SIM_WORKERS + number;
    self->peers[world->peer].is_up = true;
    if (client_new_in(&self->clients[number].client, &config, &port, NULL) < 0)
        abort();
}

/* ---- what users do -----------------------------------------------------------------------------
 */

static void new_group(struct sim *self, int client)
{
    struct sim_group *group = &self->groups[self->groups_count];
    struct argosy_group spec = {.name = "sim"};
    unsigned flags = 0;

    *group = (struct sim_group){.client = client, .parent = -1};
    spec.policy = group->policy = (enum argosy_policy)between(self, 0, 2);
    spec.max_failures = (uint32_t)between(self, 0, 1);
    spec.gentle = chance(self, 30);
    if (chance(self, 40))
        spec.concurrency = group->concurrency = (uint32_t)between(self, 1, 2);
    if (chance(self, 10))
        spec.rate_per_minute = 6000;
    if (chance(self, 10))
        spec.deadline_ms = (uint32_t)between(self, 50, 4000);
    for (int i = self->groups_count - 1; i >= 0 && group->parent < 0 && chance(self, 30); i--)
        if (self->groups[i].client == client && self->groups[i].batch != NULL &&
            !self->groups[i].is_sealed && !self->groups[i].is_over) {
            group->parent = i;
            spec.parent = self->groups[i].batch;
        }
    if (chance(self, 40) && self->config.jobs_max > SIM_JOBS)
        flags |= ARGOSY_KEEP;
    if (chance(self, 30)) /* it watches before the broker knows the group */
        flags |= ARGOSY_NEWS;
    if (argosy_batch_new(&group->batch, self->clients[client].client, &spec, flags, NULL) < 0)
        abort();
    ag_id_parse(argosy_batch_id(group->batch), &group->id, NULL);
    group->jobs_left = (unsigned)between(self, 0, 10);
    if (chance(self, 20)) { /* enough that fail to spend it */
        group->budget = (uint32_t)between(self, 1, 30);
        group->jobs_left += 6;
    }
    group->add_at = self->now;
    group->seal_at = self->now + between(self, 0, 2000);
    group->cancel_at = chance(self, 30) ? self->now + between(self, 0, 3000) : INT64_MAX;
    group->is_relaxed = chance(self, 20);
    self->groups_count++;
}

enum behaviour behave(struct sim *self, const struct sim_group *group)
{
    int64_t dice = between(self, 0, 99);

    if (group != NULL && group->budget > 0 && chance(self, 75))
        return FAILS_AT_FIRST;
    return dice < 60   ? SUCCEEDS
           : dice < 72 ? FAILS
           : dice < 86 ? FAILS_AT_FIRST
           : dice < 96 ? STUBBORN
                       : CRASHES;
}

/* The id of an earlier job of the same client, of a batch whose ends are kept. */
static const char *earlier(struct sim *self, int client, char id[ARGOSY_ID_SIZE], int *number)
{
    for (int tries = 0; tries < 4 && self->jobs_count > 0; tries++) {
        int i = (int)between(self, 0, self->jobs_count - 1);

        if (self->groups[self->jobs[i].group].client != client)
            continue;
        ag_id_print(&self->jobs[i].id, id);
        *number = i;
        return id;
    }
    return NULL;
}

static void add_job(struct sim *self, int number)
{
    struct sim_group *group = &self->groups[number];
    struct sim_job *job = &self->jobs[self->jobs_count];
    uint8_t payload[] = {0xcc, (uint8_t)self->jobs_count};
    char id[ARGOSY_ID_SIZE], key[16], ids[2][ARGOSY_ID_SIZE];
    const char *after[2];
    struct argosy_job spec = {.kind = "sim", .payload = payload, .payload_size = sizeof payload};

    *job = (struct sim_job){.group = number, .key = -1, .after = {-1, -1}};
    job->behaviour = behave(self, group);
    spec.has_priority = true;
    spec.priority = (uint32_t)between(self, 0, 9);
    spec.grace_ms = SIM_GRACE_MS;
    spec.retry.attempts = (uint32_t)between(self, group->budget > 0 ? 3 : 1, 4);
    spec.retry.budget_percent = group->budget;
    spec.retry.base_ms = 20;
    spec.retry.cap_ms = 200;
    spec.retry.factor_percent = 200;
    spec.delay_ms = chance(self, 15) ? (uint32_t)between(self, 1, 500) : 0;
    spec.queue_ms = chance(self, 5) ? (uint32_t)between(self, 50, 3000) : 0;
    spec.run_ms = chance(self, 10) ? (uint32_t)between(self, 10, 300) : 0;
    spec.requires = chance(self, 8) ? "special" : NULL;
    job->is_relaxed = group->is_relaxed || chance(self, 10);
    spec.queue = job->is_relaxed ? SIM_RELAXED : NULL;
    if (chance(self, 30)) {
        job->key = (int)between(self, 0, 2);
        snprintf(key, sizeof key, "key-%d", job->key);
        spec.key = key;
        spec.key_max = job->key_max = 2;
        spec.key_delay_ms = chance(self, 30) ? 30 : 0;
    }
    for (int i = 0; i < 2 && chance(self, 15); i++)
        if ((after[i] = earlier(self, group->client, ids[i], &job->after[i])) != NULL)
            spec.after_count = (size_t)i + 1;
        else
            break;
    spec.after = after;
    spec.after_any = job->after_any = chance(self, 50);
    if (spec.after_count == 0 && chance(self, 10)) {
        spec.unique = "the one";
        spec.unique_policy = (enum argosy_unique)between(self, 0, 2);
        job->is_unique = true;
    }
    if (argosy_batch_add(group->batch, &spec, id, NULL) < 0)
        return;
    ag_id_parse(id, &job->id, NULL);
    self->jobs_count++;
    group->jobs_left--;
}

static void act(struct sim *self, int number)
{
    struct sim_group *group = &self->groups[number];

    if (group->batch == NULL || group->is_over)
        return;
    while (group->jobs_left > 0 && !group->is_sealed && group->add_at <= self->now &&
           self->jobs_count < SIM_JOBS) {
        add_job(self, number);
        group->add_at = self->now + (chance(self, 60) ? 0 : between(self, 0, 300));
    }
    if (!group->is_sealed && (group->seal_at <= self->now || group->is_cancelled)) {
        argosy_batch_seal(group->batch);
        group->is_sealed = true;
    }
    if (!group->is_cancelled && group->cancel_at <= self->now) {
        sim_trace(self, "group %d is to be cancelled", number);
        argosy_batch_cancel(group->batch, NULL);
        group->is_cancelled = true;
    }
}

/* ---- what they see -----------------------------------------------------------------------------
 */

static int group_of(const struct sim *self, const argosy_batch *batch)
{
    for (int i = 0; i < self->groups_count; i++)
        if (self->groups[i].batch == batch)
            return i;
    return -1;
}

static void on_job_ended(struct sim *self, int group, const struct argosy_event *event)
{
    struct sim_job *job;
    struct ag_id id;
    int number;

    if (strcmp(event->kind, "group") == 0)
        return;
    ag_id_parse(event->job, &id, NULL);
    number = truth_job(self, &id);
    if (number < 0) {
        sim_broken(self, "a client hears of a job that nobody submitted");
        return;
    }
    job = &self->jobs[number];
    sim_trace(self, "client %d hears of job %d", self->groups[group].client, number);
    if (job->group != group)
        sim_broken(self, "job %d ends in a batch that it is not of", number);
    if (job->is_delivered)
        sim_broken(self, "the end of job %d is told twice", number);
    job->is_delivered = true;
    if ((job->tellings & 1u << event->state) == 0)
        sim_broken(self, "job %d ends in a state that the broker did not tell", number);
}

static void on_batch_ended(struct sim *self, int number, const struct argosy_event *event)
{
    struct sim_group *group = &self->groups[number];
    uint64_t jobs = 0;

    if (group->has_ended)
        sim_broken(self, "the end of group %d is told twice", number);
    group->is_over = group->has_ended = true;
    for (int i = 0; i < self->jobs_count; i++) {
        const struct sim_job *job = &self->jobs[i];

        if (job->group != number || !job->is_acked)
            continue;
        jobs++;
        if (!job->is_delivered)
            sim_broken(self, "group %d has ended, but its job %d has not", number, i);
    }
    for (int i = 0; i < self->groups_count; i++)
        if (self->groups[i].parent == number && self->groups[i].is_acked) {
            jobs++;
            if (!self->groups[i].is_over)
                sim_broken(self, "group %d has ended, but group %d in it has not", number, i);
        }
    if (event->counts.succeeded + event->counts.failed + event->counts.cancelled !=
        event->counts.total)
        sim_broken(self, "the counts of group %d do not add up", number);
    if (event->counts.total < jobs)
        sim_broken(self, "group %d counts %llu of %llu", number,
                   (unsigned long long)event->counts.total, (unsigned long long)jobs);
}

static void on_batch_unknown(struct sim *self, int number)
{
    if (!self->groups[number].is_forgotten)
        sim_broken(self, "the broker has forgotten group %d", number);
    self->groups[number].is_over = true;
}

void client_turn(struct sim *self, int number)
{
    struct argosy_event event;
    struct argosy_error err = {0};
    int rc;

    self->events++;
    for (int i = 0; i < self->groups_count; i++)
        if (self->groups[i].client == number)
            act(self, i);
    if (!self->are_faults_over && self->groups_count < SIM_GROUPS && chance(self, 6))
        new_group(self, number);
    schedule_turn(self, number);
    while ((rc = argosy_client_next(self->clients[number].client, 0, &event, &err)) > 0) {
        int group = event.batch != NULL ? group_of(self, event.batch) : -1;

        if (event.type == ARGOSY_ANSWER)
            schedule_answered(self, number, &event);
        if (group < 0)
            continue;
        if (event.type == ARGOSY_JOB_ENDED)
            on_job_ended(self, group, &event);
        else if (event.type == ARGOSY_BATCH_ENDED)
            on_batch_ended(self, group, &event);
        else if (event.type == ARGOSY_BATCH_UNKNOWN)
            on_batch_unknown(self, group);
    }
    if (rc < 0)
        sim_broken(self, "a client fails: %s", err.message);
}

int64_t client_deadline(struct sim *self, int number)
{
    int64_t at = self->now + argosy_client_wait_ms(self->clients[number].client);
    int64_t wish = schedule_deadline(self, number);

    if (wish < at)
        at = wish;
    for (int i = 0; i < self->groups_count; i++) {
        const struct sim_group *group = &self->groups[i];

        if (group->client != number || group->batch == NULL || group->is_over)
            continue;
        if (!group->is_sealed && group->seal_at < at)
            at = group->seal_at;
        if (!group->is_cancelled && group->cancel_at < at)
            at = group->cancel_at;
        if (group->jobs_left > 0 && !group->is_sealed && self->jobs_count < SIM_JOBS &&
            group->add_at < at)
            at = group->add_at;
    }
    return at > self->now ? at : self->now + 1;
}

bool client_is_done(const struct sim *self)
{
    for (int i = 0; i < self->groups_count; i++)
        if (!self->groups[i].is_over)
            return false;
    return schedule_is_done(self);
}

void client_stop(struct sim *self, int number)
{
    for (int i = self->groups_count - 1; i >= 0; i--) /* children before their parents */
        if (self->groups[i].client == number)
            argosy_batch_destroy(&self->groups[i].batch);
    argosy_client_destroy(&self->clients[number].client);
}
