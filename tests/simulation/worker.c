/* Workers: what the loop and the engines do around wcore. */
#include <stdlib.h>
#include <string.h>

#include "tests/simulation/sim.h"

static const struct wcore_config two_kinds = {
    .kinds_count = 1,
    .kinds = {{.name = "sim", .slots = SIM_SLOTS, .ahead = 2}},
    .heartbeat_ms = SIM_HEARTBEAT_MS,
};

/* Its clock began elsewhere, and runs a little faster or slower. */
static int64_t local_time(const struct sim_worker *worker, int64_t now)
{
    return worker->clock_offset + now * worker->clock_percent / 100;
}

static int64_t world_time(const struct sim_worker *worker, int64_t local)
{
    int64_t percent = worker->clock_percent;

    if (local > INT64_MAX / 200)
        return INT64_MAX;
    return ((local - worker->clock_offset) * 100 + percent - 1) / percent;
}

/* ---- saying ------------------------------------------------------------------------------------
 */

static void say(struct sim *self, int number)
{
    ag_buffer_clear(&self->frame);
    ag_proto_encode(&self->frame, &self->out);
    net_send_up(self, number, ag_buffer_bytes(&self->frame));
}

static void say_hello(struct sim *self, int number)
{
    struct sim_worker *worker = &self->workers[number];
    struct proto_hello *hello = &self->out.hello;
    char name[8];

    snprintf(name, sizeof name, "w%d", number);
    ag_buffer_clear(&self->text);
    self->out.type = AG_HELLO;
    *hello = (struct proto_hello){.speaks_ours = true,
                                  .role = PROTO_WORKER,
                                  .name = ag_bytes_of_text(name),
                                  .instance = worker->instance,
                                  .software = ag_bytes_of_text("sim"),
                                  .host = ag_bytes_of_text("here"),
                                  .kinds_count = 1};
    hello->kinds[0] = (struct proto_kind){.name = ag_bytes_of_text("sim"), .count = SIM_SLOTS};
    if (number == 0)
        hello->tags[hello->tags_count++] = ag_bytes_of_text("special");
    hello->holding_count = wcore_holding(worker->core, &self->text);
    hello->holding = ag_buffer_bytes(&self->text);
    hello->number = ++worker->hellos;
    say(self, number);
}

/* ---- tasks -------------------------------------------------------------------------------------
 */

/* A client's job says its number, a tick's that of its schedule. */
static int job_of(const struct sim *self, const struct wcore_attempt *attempt)
{
    struct ag_bytes payload = ag_bytes_of(attempt->payload, attempt->payload_size);

    if (payload.size == 2 && payload.data[0] == 0xd0)
        return truth_job(self, &attempt->token.job);
    if (payload.size == 2 && payload.data[0] == 0xcc && payload.data[1] < self->jobs_count)
        return payload.data[1];
    return -1;
}

static void begin(struct sim *self, int number, struct wcore_attempt *attempt)
{
    struct sim_worker *worker = &self->workers[number];
    struct sim_task *task = NULL;

    for (int i = 0; i < SIM_TASKS && task == NULL; i++)
        if (worker->tasks[i].attempt == NULL)
            task = &worker->tasks[i];
    if (task == NULL) {
        sim_broken(self, "worker %d begins more than it has room for", number);
        return;
    }
    *task = (struct sim_task){.attempt = attempt,
                              .token = attempt->token,
                              .job = job_of(self, attempt),
                              .ends_at = self->now + (chance(self, 90) ? between(self, 0, 120)
                                                                       : between(self, 200, 1500)),
                              .is_held = self->peers[number].has_session};
    truth_begins(self, number, task);
}

/* The result names its attempt: whoever takes another one's is found out. */
static void put_result(const struct sim_task *task, struct ag_buffer *out)
{
    uint8_t stamp[2 + sizeof task->token] = {0xc4, sizeof task->token};

    memcpy(stamp + 2, &task->token, sizeof task->token);
    *out = ag_buffer_empty(AG_RESULT_BYTES_MAX);
    ag_buffer_append(out, stamp, sizeof stamp);
}

static void finish(struct sim *self, int number, struct sim_task *task)
{
    struct sim_worker *worker = &self->workers[number];
    const struct sim_job *job = &self->jobs[task->job];
    struct wcore_attempt *attempt = task->attempt;
    struct outcome outcome = {0};
    bool fails = job->behaviour == FAILS ||
                 (job->behaviour == FAILS_AT_FIRST && task->token.attempt < 3) || task->is_killed;

    if (fails) {
        outcome_fail(&outcome, "handler.sim", job->behaviour == FAILS_AT_FIRST, NULL, "no");
    } else {
        outcome.succeeded = true;
        put_result(task, &outcome.result);
        truth_succeeds(self, task);
    }
    task->attempt = NULL;
    wcore_on_finished(worker->core, local_time(worker, self->now), attempt, &outcome);
}

static struct sim_task *task_of(struct sim_worker *worker, const struct wcore_attempt *attempt)
{
    for (int i = 0; i < SIM_TASKS; i++)
        if (worker->tasks[i].attempt == attempt)
            return &worker->tasks[i];
    return NULL;
}

/* Asked to stop: most do soon, some only by force. */
static void stop(struct sim *self, struct sim_worker *worker, struct wcore_attempt *attempt)
{
    struct sim_task *task = task_of(worker, attempt);

    if (task == NULL) {
        sim_broken(self, "told to stop what does not run");
        return;
    }
    if (self->jobs[task->job].behaviour == STUBBORN)
        task->ends_at = INT64_MAX;
    else if (task->ends_at > self->now + 20)
        task->ends_at = self->now + between(self, 0, 20);
}

/* ---- the turn ----------------------------------------------------------------------------------
 */

static void say_credit(struct sim *self, int number)
{
    if (wcore_take_credit(self->workers[number].core, &self->out.credit)) {
        self->out.type = AG_CREDIT;
        say(self, number);
    }
}

static void turn(struct sim *self, int number)
{
    struct sim_worker *worker = &self->workers[number];
    int64_t local = local_time(worker, self->now);
    struct wcore_attempt *attempt;
    unsigned wishes;

    while ((attempt = wcore_next_stop(worker->core)) != NULL)
        stop(self, worker, attempt);
    while ((attempt = wcore_next_kill(worker->core)) != NULL) {
        struct sim_task *task = task_of(worker, attempt);

        task->is_killed = true;
        task->ends_at = self->now + between(self, 0, 5);
    }
    while ((attempt = wcore_next_start(worker->core, local)) != NULL)
        begin(self, number, attempt);
    wishes = wcore_wishes(worker->core);
    if (wishes & (WCORE_EXIT | WCORE_FATAL)) {
        worker_crash(self, number);
        return;
    }
    if (wishes & WCORE_RECONNECT)
        net_open(self, number, false);
    if (wishes & WCORE_HELLO)
        say_hello(self, number);
    if (wishes & WCORE_PING) {
        self->out = (struct proto){.type = AG_PING};
        say(self, number);
    }
    if (wcore_is_draining(worker->core))
        say_credit(self, number);
    while (wcore_take_results(worker->core, &self->out.results)) {
        self->out.type = AG_RESULTS;
        say(self, number);
    }
    say_credit(self, number);
}

void worker_hears(struct sim *self, int number)
{
    struct sim_worker *worker = &self->workers[number];
    struct frame *frame = net_first(&self->peers[number].down);
    struct argosy_error err = {0};

    ag_link_remove(&frame->link);
    self->events++;
    if (ag_proto_decode(ag_bytes_of(frame->data, frame->size), &self->in, &err) < 0)
        sim_broken(self, "a worker cannot decode a message: %s", err.message);
    else
        wcore_on_message(worker->core, local_time(worker, self->now), &self->in);
    free(frame);
    turn(self, number);
}

void worker_timer(struct sim *self, int number)
{
    struct sim_worker *worker = &self->workers[number];
    int64_t local = local_time(worker, self->now);

    self->events++;
    for (int i = 0; i < SIM_TASKS; i++) {
        struct sim_task *task = &worker->tasks[i];

        if (task->attempt == NULL || task->ends_at > self->now)
            continue;
        if (self->jobs[task->job].behaviour == CRASHES && !self->are_faults_over) {
            worker_crash(self, number);
            return;
        }
        finish(self, number, task);
    }
    if (wcore_deadline(worker->core) <= local)
        wcore_on_timer(worker->core, local);
    turn(self, number);
}

int64_t worker_deadline(const struct sim *self, int number)
{
    const struct sim_worker *worker = &self->workers[number];
    int64_t at;

    if (worker->core == NULL)
        return worker->restart_at;
    at = world_time(worker, wcore_deadline(worker->core));
    for (int i = 0; i < SIM_TASKS; i++)
        if (worker->tasks[i].attempt != NULL && worker->tasks[i].ends_at < at)
            at = worker->tasks[i].ends_at;
    return at;
}

/* ---- lies --------------------------------------------------------------------------------------
 */

/* Say that an attempt has succeeded which is somebody else's, or was over long ago. */
void worker_lies(struct sim *self, int number)
{
    struct proto_results *results = &self->out.results;
    struct sim_task *other = NULL;
    struct proto_token token;
    uint8_t lie[2 + sizeof token] = {0xc4, sizeof token};
    int victim = (int)between(self, 0, SIM_WORKERS - 1);

    if (self->workers[number].core == NULL || self->jobs_count == 0)
        return;
    for (int i = 0; i < SIM_TASKS && victim != number; i++)
        if (self->workers[victim].tasks[i].attempt != NULL)
            other = &self->workers[victim].tasks[i];
    if (other != NULL) {
        token = other->token;
    } else {
        const struct sim_job *job = &self->jobs[between(self, 0, self->jobs_count - 1)];

        /* One that is over for good, or one that never was. */
        if (job->is_told && job->done_count > 0)
            token = job->done[0];
        else
            token = (struct proto_token){.job = job->id,
                                         .epoch = self->config.epoch,
                                         .attempt = (uint32_t)between(self, 50, 60)};
    }
    self->out.type = AG_RESULTS;
    results->count = 1;
    results->items[0] = (struct proto_result){.token = token,
                                              .outcome = PROTO_SUCCEEDED,
                                              .result = ag_bytes_of(lie, sizeof lie),
                                              .type = ag_bytes_of_text(""),
                                              .message = ag_bytes_of_text("")};
    say(self, number);
}

/* ---- life --------------------------------------------------------------------------------------
 */

void worker_start(struct sim *self, int number)
{
    struct sim_worker *worker = &self->workers[number];
    uint8_t random[AG_ID_RANDOM_BYTES];

    ag_random_fill(&self->random, random, sizeof random);
    worker->instance = ag_id_make(self->now, random);
    worker->clock_offset = between(self, 0, 100000);
    worker->clock_percent = (unsigned)between(self, 95, 105);
    worker->core = wcore_new(&two_kinds, local_time(worker, self->now));
    if (worker->core == NULL)
        abort();
    self->peers[number].is_up = true;
    net_open(self, number, false);
    turn(self, number);
}

void worker_crash(struct sim *self, int number)
{
    struct sim_worker *worker = &self->workers[number];

    sim_trace(self, "worker %d dies", number);
    wcore_destroy(&worker->core);
    memset(worker->tasks, 0, sizeof worker->tasks);
    net_drop_all(&self->peers[number].down);
    self->peers[number].is_up = false;
    worker->restart_at = self->now + between(self, 0, 800);
}

void worker_stop(struct sim *self, int number)
{
    wcore_destroy(&self->workers[number].core);
}
