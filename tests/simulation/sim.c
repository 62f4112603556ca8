/* One seed: the world turns, things go wrong, then they stop going wrong and everything must end.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulation/sim.h"

bool chance(struct sim *self, unsigned percent)
{
    return ag_random_below(&self->random, 100) < percent;
}

int64_t between(struct sim *self, int64_t low, int64_t high)
{
    return low + (int64_t)ag_random_below(&self->random, (uint64_t)(high - low) + 1);
}

void sim_broken(struct sim *self, const char *format, ...)
{
    va_list args;

    if (self->broken[0] != '\0')
        return; /* the first is what matters */
    va_start(args, format);
    vsnprintf(self->broken, sizeof self->broken, format, args);
    va_end(args);
    sim_trace(self, "BROKEN: %s", self->broken);
}

void sim_trace(struct sim *self, const char *format, ...)
{
    va_list args;

    if (!self->traces)
        return;
    fprintf(stderr, "[%6" PRId64 "] ", self->now);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

static void core_line(void *arg, const char *line)
{
    (void)arg;
    fprintf(stderr, "    %s\n", line);
}

/* ---- faults ------------------------------------------------------------------------------------
 */

static void fault(struct sim *self)
{
    int64_t dice = between(self, 0, 99);
    int worker = (int)between(self, 0, SIM_WORKERS - 1),
        peer = (int)between(self, 0, SIM_PEERS - 1);

    self->faults++;
    if (dice < 35) {
        sim_trace(self, "the connection of peer %d is cut", peer);
        if (self->peers[peer].is_up)
            net_open(self, peer, true);
    } else if (dice < 50) {
        if (self->workers[worker].core != NULL)
            worker_crash(self, worker);
    } else if (dice < 62) {
        self->peers[peer].paused_until = self->now + between(self, 100, 4 * SIM_HEARTBEAT_MS);
        sim_trace(self, "peer %d is not running for a while", peer);
    } else if (dice < 80) {
        worker_lies(self, worker);
    } else if (dice < 89) {
        wall_jump(self);
    } else if (self->broker_is_up && chance(self, 30)) {
        broker_is_told_to_stop(self);
    } else if (chance(self, 50)) {
        self->crashes_at_commit = true;
    } else if (self->broker_is_up) {
        broker_crash(self);
    }
    self->next_fault_at = self->now + between(self, 10, 900);
}

/* ---- what is next ------------------------------------------------------------------------------
 */

enum what {
    NOTHING,
    BROKER_BACK,
    BROKER_TIMER,
    BROKER_COMMIT,
    BROKER_LOOKS,
    BROKER_LOADS,
    BROKER_STOPS,
    FRAME_UP,
    WORKER,
    WORKER_FRAME,
    CLIENT,
    FAULT
};

struct next {
    enum what what;
    int64_t at;
    int peer;
    struct conn *conn;
};

static void consider(struct sim *self, struct next *best, enum what what, int64_t at, int peer,
                     struct conn *conn)
{
    if (at < self->now)
        at = self->now;
    if (peer >= 0 && at < self->peers[peer].paused_until)
        at = self->peers[peer].paused_until;
    if (at < best->at || (at == best->at && chance(self, 30)))
        *best = (struct next){what, at, peer, conn};
}

static struct next find_next(struct sim *self)
{
    struct next best = {NOTHING, INT64_MAX, -1, NULL};
    struct frame *frame;

    if (!self->broker_is_up) {
        consider(self, &best, BROKER_BACK, self->broker_back_at, -1, NULL);
    } else {
        int64_t at = core_deadline(self->core);

        if (at != INT64_MAX)
            consider(self, &best, BROKER_TIMER, at, -1, NULL);
        if (self->commit_at != INT64_MAX)
            consider(self, &best, BROKER_COMMIT, self->commit_at, -1, NULL);
        if (self->config.unix_offset_ms != self->unix_offset_ms)
            consider(self, &best, BROKER_LOOKS, self->look_at, -1, NULL);
        if (self->load_at != INT64_MAX)
            consider(self, &best, BROKER_LOADS, self->load_at, -1, NULL);
        if (self->stop_at != INT64_MAX)
            consider(self, &best, BROKER_STOPS, self->stop_at, -1, NULL);
    }
    for (struct ag_link *at = self->conns.next; at != &self->conns; at = at->next) {
        struct conn *conn = AG_OWNER(at, struct conn, link);

        if ((frame = net_first(&conn->up)) != NULL)
            consider(self, &best, FRAME_UP, frame->at, -1, conn);
    }
    for (int i = 0; i < SIM_WORKERS; i++) {
        consider(self, &best, WORKER, worker_deadline(self, i), i, NULL);
        if (self->workers[i].core != NULL && (frame = net_first(&self->peers[i].down)) != NULL)
            consider(self, &best, WORKER_FRAME, frame->at, i, NULL);
    }
    for (int i = 0; i < SIM_CLIENTS; i++) {
        int64_t at = client_deadline(self, i);

        frame = net_first(&self->peers[SIM_WORKERS + i].down);
        if (frame != NULL && frame->at < at)
            at = frame->at;
        consider(self, &best, CLIENT, at, SIM_WORKERS + i, NULL);
    }
    if (!self->are_faults_over)
        consider(self, &best, FAULT, self->next_fault_at, -1, NULL);
    return best;
}

static void happen_next(struct sim *self, const struct next *next)
{
    switch (next->what) {
    case BROKER_BACK:
        sim_trace(self, "the broker is back");
        broker_start(self);
        if (self->traces)
            core_trace(self->core, core_line, NULL);
        break;
    case BROKER_TIMER:
        broker_timer(self);
        break;
    case BROKER_COMMIT:
        if (self->crashes_at_commit && !self->are_faults_over)
            broker_crash(self);
        else
            broker_commit(self);
        break;
    case BROKER_LOOKS:
        broker_looks_at_clock(self);
        break;
    case BROKER_LOADS:
        broker_load(self);
        break;
    case BROKER_STOPS:
        broker_crash(self);
        break;
    case FRAME_UP:
        broker_hears(self, next->conn);
        if (!next->conn->is_current && ag_list_is_empty(&next->conn->up)) {
            ag_link_remove(&next->conn->link);
            free(next->conn);
        }
        break;
    case WORKER:
        if (self->workers[next->peer].core == NULL)
            worker_start(self, next->peer);
        else
            worker_timer(self, next->peer);
        break;
    case WORKER_FRAME:
        worker_hears(self, next->peer);
        break;
    case CLIENT:
        client_turn(self, next->peer - SIM_WORKERS);
        break;
    case FAULT:
        fault(self);
        break;
    case NOTHING:
        break;
    }
}

static void begin(struct sim *self, uint64_t seed, bool traces)
{
    memset(self, 0, sizeof *self);
    self->seed = seed;
    self->traces = traces;
    ag_random_seed(&self->random, seed);
    ag_link_init(&self->conns);
    for (int i = 0; i < SIM_PEERS; i++)
        ag_link_init(&self->peers[i].down);
    self->frame = self->text = ag_buffer_empty(AG_MESSAGE_BYTES_MAX);
    self->journal = ag_buffer_empty(64 << 20);
    self->record = ag_buffer_empty(1 << 20);
    self->wanted = ag_buffer_empty(1 << 20);
    self->config = (struct core_config){.epoch = 1,
                                        .calendar = calendar_of_sim(),
                                        .heartbeat_ms = SIM_HEARTBEAT_MS,
                                        .grace_ms = SIM_GRACE_MS,
                                        .result_ttl_ms = 10 * SIM_LIMIT_MS,
                                        .sessions_max = 100,
                                        .jobs_max = 1000,
                                        .bytes_max = 1 << 30};
    self->unix_offset_ms = SIM_UNIX_MS;
    self->has_schedules = chance(self, 40);
    if (chance(self, 10)) { /* submitters are pushed back */
        self->config.jobs_max = 24;
        self->config.result_ttl_ms =
            20000; /* a reader that did not say goodbye frees its room then */
    }
    broker_has_relaxed_queue(self);
    broker_start(self);
    if (traces)
        core_trace(self->core, core_line, NULL);
    for (int i = 0; i < SIM_WORKERS; i++)
        worker_start(self, i);
    for (int i = 0; i < SIM_CLIENTS; i++)
        client_start(self, i);
    self->next_fault_at = between(self, 0, 500);
}

static void end(struct sim *self)
{
    for (int i = 0; i < SIM_CLIENTS; i++)
        client_stop(self, i);
    for (int i = 0; i < SIM_WORKERS; i++)
        worker_stop(self, i);
    broker_stop(self);
    net_close_all(self);
    ag_buffer_free(&self->frame);
    ag_buffer_free(&self->text);
}

const char *sim_run(uint64_t seed, bool traces, unsigned long *events)
{
    static struct sim sim;
    struct sim *self = &sim;

    begin(self, seed, traces);
    while (self->broken[0] == '\0') {
        struct next next = find_next(self);

        self->now = next.at;
        if (!self->are_faults_over && self->now >= SIM_FAULTS_MS) {
            sim_trace(self, "the faults are over");
            self->are_faults_over = true;
            for (int i = 0; i < SIM_PEERS; i++)
                self->peers[i].paused_until = 0;
        }
        if (!self->is_winding_down && self->now >= SIM_WIND_DOWN_MS && self->broker_is_up) {
            self->is_winding_down = true;
            truth_schedules_are_on_time(self);
        }
        if (self->are_faults_over && self->broker_is_up && client_is_done(self))
            break;
        if (self->now >= SIM_LIMIT_MS) {
            if (self->broker_is_up)
                truth_at_the_end(self);
            if (self->broken[0] == '\0')
                sim_broken(self, "not everything has ended in time");
            break;
        }
        happen_next(self, &next);
    }
    if (self->broken[0] == '\0')
        truth_at_the_end(self);
    *events = self->events;
    end(self);
    return self->broken[0] != '\0' ? self->broken : NULL;
}
