/* Every order of small sets of events, from the same beginning: what random seeds meet rarely.
 * After each order a good worker comes and everything that was accepted must end, once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulation/sim.h"

enum {
    JOBS = 3,
    CLIENT = 1,
    WORKER = 2,
    GOOD_WORKER = 3,
    ENOUGH = 200 /* turns for the good worker */
};

struct world {
    core_t *core;
    int64_t now;
    uint64_t records;
    enum proto_state told[JOBS]; /* 0: not yet */
    bool group_ended;
    struct proto_token given[64]; /* to the good worker */
    unsigned given_count;
    const char *broken;
};

static struct ag_id id_of(unsigned number)
{
    struct ag_id id = {{1}};

    id.bytes[15] = (uint8_t)number;
    return id;
}

static void broken(struct world *self, const char *what)
{
    if (self->broken == NULL)
        self->broken = what;
}

static void look_at_events(struct world *self, const struct effect *effect)
{
    struct ag_buffer attempts = ag_buffer_empty(1 << 16);

    for (uint32_t i = 0; i < effect->events.count; i++) {
        struct proto_event event;
        unsigned job;

        core_describe(self->core, effect->events.jobs[i], 0, &attempts, &event);
        job = event.job.bytes[15] - 1u;
        if (job >= JOBS)
            broken(self, "the end of an unknown job");
        else if (self->told[job] != 0 && self->told[job] != event.state)
            broken(self, "a job ends twice, differently");
        else
            self->told[job] = event.state;
    }
    ag_buffer_free(&attempts);
    if (effect->events.end == PROTO_ENDED)
        self->group_ended = true;
}

static void step(struct world *self, struct core_event *event)
{
    const struct effects *effects;
    const char *wrong;

    event->now = self->now;
    if (core_step(self->core, event, &effects) < 0)
        abort();
    for (size_t i = 0; i < effects->count; i++) {
        const struct effect *effect = &effects->items[i];

        self->records += effect->type == EFFECT_JOURNAL;
        if (effect->type == EFFECT_EVENTS)
            look_at_events(self, effect);
        if (effect->type == EFFECT_RUN && effect->peer == GOOD_WORKER && self->given_count < 64)
            self->given[self->given_count++] = effect->run.token;
    }
    wrong = core_broken_invariant(self->core);
    if (wrong != NULL)
        broken(self, wrong);
}

static void say(struct world *self, unsigned peer, struct core_event event)
{
    event.peer = peer;
    event.instance = id_of(100 + peer);
    step(self, &event);
    step(self, &(struct core_event){.type = CORE_COMMITTED, .committed = self->records});
}

static void hello(struct world *self, unsigned peer, enum proto_role role)
{
    static uint32_t number;
    static struct proto_hello hello;

    hello = (struct proto_hello){.speaks_ours = true,
                                 .role = role,
                                 .name = ag_bytes_of_text("peer"),
                                 .instance = id_of(100 + peer),
                                 .software = ag_bytes_of_text(""),
                                 .host = ag_bytes_of_text(""),
                                 .number = ++number};
    if (role == PROTO_WORKER) {
        hello.kinds_count = 1;
        hello.kinds[0] = (struct proto_kind){.name = ag_bytes_of_text("sim"), .count = 2};
    }
    say(self, peer, (struct core_event){.type = CORE_JOIN, .hello = &hello});
    if (role == PROTO_WORKER) {
        struct proto_credit credit = {.count = 1};

        credit.kinds[0] = (struct proto_kind){.name = ag_bytes_of_text("sim"), .count = 2};
        say(self, peer, (struct core_event){.type = CORE_CREDIT, .credit = &credit});
    }
}

static void result(struct world *self, unsigned peer, const struct proto_token *token,
                   enum proto_outcome outcome)
{
    static struct proto_results results;

    results.count = 1;
    results.items[0] = (struct proto_result){.token = *token,
                                             .outcome = outcome,
                                             .type = ag_bytes_of_text("handler.sim"),
                                             .message = ag_bytes_of_text("")};
    say(self, peer, (struct core_event){.type = CORE_RESULTS, .results = &results});
}

/* ---- the events --------------------------------------------------------------------------------
 */

static enum proto_policy policy;
static unsigned events_count;

static void submit(struct world *self, unsigned from, unsigned count)
{
    static struct proto_submit all;
    static struct ag_id after;

    all.request = 1;
    all.groups_count = 1;
    all.groups[0] =
        (struct proto_group){.id = id_of(50), .name = ag_bytes_of_text(""), .policy = policy};
    all.jobs_count = count;
    after = id_of(1);
    for (unsigned i = 0; i < count; i++)
        all.jobs[i] = (struct proto_submit_job){.id = id_of(from + i + 1),
                                                .group = id_of(50),
                                                .index = from + i,
                                                .kind = ag_bytes_of_text("sim"),
                                                .retry = {.attempts = 2, .factor_percent = 100},
                                                .payload = ag_bytes_of_text("\xc0")};
    if (from + count == JOBS) /* the last one comes after the first */
        all.jobs[count - 1].after = ag_bytes_of(&after, sizeof after);
    say(self, CLIENT, (struct core_event){.type = CORE_SUBMIT, .submit = &all});
}

static void happen_one(struct world *self, int event)
{
    struct proto_token first = {.job = id_of(1), .epoch = 1, .attempt = 1};
    struct proto_token second = {.job = id_of(2), .epoch = 1, .attempt = 1};
    struct proto_seal seal = {.request = 2, .group = id_of(50)};
    struct proto_cancel cancel = {.request = 3, .count = 1, .targets = {id_of(50)}};

    switch (event) {
    case 0:
        submit(self, 0, 2);
        break;
    case 1:
        submit(self, 1, 2); /* one of them again, and one more */
        break;
    case 2:
        say(self, CLIENT, (struct core_event){.type = CORE_SEAL, .seal = &seal});
        break;
    case 3:
        hello(self, WORKER, PROTO_WORKER);
        break;
    case 4:
        result(self, WORKER, &first, PROTO_SUCCEEDED);
        break;
    case 5:
        result(self, WORKER, &second, PROTO_FAILED);
        break;
    case 6:
        say(self, CLIENT, (struct core_event){.type = CORE_CANCEL, .cancel = &cancel});
        break;
    default:
        say(self, WORKER, (struct core_event){.type = CORE_GONE});
        break;
    }
}

/* ---- one order ---------------------------------------------------------------------------------
 */

/* A worker that does what it is given; the bad one is gone, the group is sealed. */
static void come_to_an_end(struct world *self)
{
    struct proto_seal seal = {.request = 9, .group = id_of(50)};
    struct proto_watch watch = {
        .watch = 1, .target = id_of(50), .credit = 100, .flags = PROTO_WATCH_RESULTS};
    struct core_job_view job;
    struct core_group_view group;
    struct ag_id id = id_of(50);

    say(self, WORKER, (struct core_event){.type = CORE_GONE});
    hello(self, GOOD_WORKER, PROTO_WORKER);
    say(self, CLIENT, (struct core_event){.type = CORE_SEAL, .seal = &seal});
    say(self, CLIENT, (struct core_event){.type = CORE_WATCH, .watch = &watch});
    if (!core_show(self->core, &id, &job, &group).group)
        return; /* it was never accepted */
    for (int turn = 0; turn < ENOUGH && !self->group_ended; turn++) {
        self->now += 10;
        step(self, &(struct core_event){.type = CORE_TIMER});
        say(self, CLIENT, (struct core_event){.type = CORE_ALIVE});
        while (self->given_count > 0) {
            struct proto_token token = self->given[--self->given_count];

            result(self, GOOD_WORKER, &token, PROTO_SUCCEEDED);
        }
    }
    if (!self->group_ended)
        broken(self, "a group never ends");
}

static const char *play(const int *order)
{
    struct core_config config = {.epoch = 1,
                                 .seed = 1,
                                 .heartbeat_ms = 100000,
                                 .grace_ms = 100,
                                 .result_ttl_ms = 1000000,
                                 .sessions_max = 10,
                                 .jobs_max = 100,
                                 .bytes_max = 1 << 20};
    struct world world = {.core = core_new(&config)};

    if (world.core == NULL)
        abort();
    hello(&world, CLIENT, PROTO_CLIENT);
    for (unsigned i = 0; i < events_count && world.broken == NULL; i++)
        happen_one(&world, order[i]);
    if (world.broken == NULL)
        come_to_an_end(&world);
    core_destroy(&world.core);
    return world.broken;
}

/* Heap's algorithm: each order differs from the one before by one exchange. */
static const char *play_all(int *order, int size, unsigned long *count)
{
    static char text[256];
    const char *wrong = NULL;

    if (size == 1) {
        ++*count;
        wrong = play(order);
        if (wrong != NULL)
            snprintf(text, sizeof text, "order %d %d %d %d %d %d %d %d of policy %d: %s", order[0],
                     order[1], order[2], order[3], order[4], order[5], order[6], order[7],
                     (int)policy, wrong);
        return wrong != NULL ? text : NULL;
    }
    for (int i = 0; i < size && wrong == NULL; i++) {
        int other = size % 2 == 0 ? i : 0, kept;

        wrong = play_all(order, size - 1, count);
        kept = order[other];
        order[other] = order[size - 1];
        order[size - 1] = kept;
    }
    return wrong;
}

const char *orders_run(unsigned events, unsigned long *count)
{
    const char *wrong = NULL;

    *count = 0;
    events_count = events;
    for (policy = PROTO_GATHER; policy <= PROTO_RACE && wrong == NULL; policy++) {
        int order[ORDERS_EVENTS_MAX];

        for (int i = 0; i < ORDERS_EVENTS_MAX; i++)
            order[i] = i;
        wrong = play_all(order, (int)events, count);
    }
    return wrong;
}
