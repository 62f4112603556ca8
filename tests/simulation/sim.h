/* sim.h - a whole fleet in one process: the broker's core with its journal, workers, clients and
 * the network between them, driven by one seed.
 *
 * Start here: sim_run() plays one seed and says what went wrong. broker.c is what the reactor does
 * around the core, worker.c what the loop does around wcore, client.c a user of the client library;
 * schedule.c orders schedules and sets the wall clock; net.c carries frames and loses them; truth.c
 * keeps the simulator's own account of who runs what and of what was promised, and compares,
 * truth_schedule.c that of what fires when. README.md lists the faults and the planted bugs.
 *
 * Threads: one. Units: milliseconds of the simulated clock.
 */
#ifndef TESTS_SIM_H
#define TESTS_SIM_H

#include <argosy/argosy.h>

#include "broker/core/core.h"
#include "client/port.h"
#include "common/list.h"
#include "common/random.h"
#include "tests/simulation/fold.h"
#include "worker/core/wcore.h"

enum {
    SIM_WORKERS = 3,
    SIM_CLIENTS = 2,
    SIM_PEERS = SIM_WORKERS + SIM_CLIENTS,
    SIM_JOBS = 64,
    SIM_GROUPS = 8,
    SIM_SCHEDULES = 4,
    SIM_TICKS = 256, /* jobs that schedules make */
    SIM_PLANS = 64,  /* states of a schedule that a crash may go back to */
    SIM_TASKS = 8,   /* that one worker runs at once */
    SIM_SLOTS = 3,
    SIM_HEARTBEAT_MS = 500,
    SIM_GRACE_MS = 300,
    SIM_FAULTS_MS = 6000,    /* when the faults stop */
    SIM_WIND_DOWN_MS = 9000, /* when the last schedules are removed */
    SIM_LATE_MS = 300,       /* a tick that is due longer is late */
    SIM_LIMIT_MS = 120000,   /* by when everything must have ended */
    HOUR_MS = 3600000
};

/* A message on its way. */
struct frame {
    struct ag_link link;
    int64_t at;
    size_t size;
    uint8_t data[];
};

/* One connection, as the broker knows it; an old one lives until what came over it is read. */
struct conn {
    struct ag_link link; /* in sim->conns */
    struct ag_link up;   /* frames to the broker */
    uint32_t number;
    int peer; /* its place in sim->peers */
    enum proto_role role;
    struct ag_id instance; /* of the session that stands over it; role 0: none */
    bool is_current;
};

/* An attempt whose worker's connection was gone when it was to be sent. */
struct sim_unsent {
    uint32_t number; /* of the connection */
    struct proto_token token;
};
enum { SIM_UNSENT_MAX = 64 };

/* A worker's or client's end of its connection. */
struct peer {
    struct conn *conn;      /* the current one */
    struct ag_link down;    /* frames to it */
    bool is_up;             /* the process lives */
    bool has_session;       /* as the broker sees it */
    uint32_t session;       /* the number of its connection */
    unsigned long welcomed; /* the event in which it was welcomed last */
    int64_t paused_until;
};

/* An attempt that really runs somewhere. */
struct sim_task {
    struct wcore_attempt *attempt; /* NULL: free */
    struct proto_token token;
    int job;
    int64_t ends_at;
    bool is_held;     /* the broker means it: its lease has not been lost */
    bool is_stopping; /* the broker has told it to stop */
    bool is_killed;
};

struct sim_worker {
    wcore_t *core;
    struct ag_id instance;
    struct sim_task tasks[SIM_TASKS];
    int64_t restart_at; /* of a dead one */
    int64_t clock_offset;
    unsigned clock_percent; /* how fast its clock runs */
    uint32_t hellos;
};

#define SIM_UNIX_MS ((int64_t)1700000000000) /* where the wall clock begins */
#define SIM_RELAXED "relaxed"                /* the name of a queue that is so from the start */

enum behaviour { SUCCEEDS, FAILS, FAILS_AT_FIRST, STUBBORN, CRASHES, BEHAVIOURS };

/* What the simulator knows of a job. */
struct sim_job {
    struct ag_id id;
    int group, key; /* their numbers; -1 none */
    enum behaviour behaviour;
    uint32_t key_max;
    int after[2]; /* numbers; -1 none */
    bool after_any, is_unique, is_relaxed;
    bool is_acked, is_refused;
    bool is_told;      /* the broker has told its end to somebody */
    bool is_delivered; /* its client has seen it */
    enum proto_state told;
    unsigned tellings;          /* a bit for each state that was told, also before a crash */
    uint64_t made_at, ended_at; /* the records of its beginning and its end; 0 none */
    uint32_t told_attempt;
    bool is_unconfirmed;
    struct proto_token done[16]; /* attempts that really ended well */
    unsigned done_count;
    uint64_t made, over; /* of a tick's: the records of its beginning and its end; 0 none */
    /* What its group's retry budget is compared with. */
    struct proto_token run; /* the last attempt that the broker gave out */
    struct ag_id holder;    /* the worker that has the lease of it; zero: none for certain */
    struct ag_id maker;     /* the one that said, while it had it, that `run` has succeeded */
    bool has_begun;         /* some attempt was given out */
    bool has_failed;        /* its holder has told the broker that `run` failed */
    uint64_t retried[8];    /* for each retry the last record that was written by then */
    unsigned retried_count;
};

struct sim_group {
    argosy_batch *batch; /* NULL: over, or its client is gone */
    struct ag_id id;
    int client, parent;
    uint32_t concurrency;
    uint32_t budget; /* percent, of all its jobs; 0 none */
    enum argosy_policy policy;
    bool is_sealed, is_cancelled, is_cancel_acked, is_acked, is_over, has_ended;
    bool is_unconfirmed;
    uint64_t made_at; /* the record of its beginning; 0 none */
    bool is_relaxed;  /* all of its jobs are */
    bool was_told_at_once;
    bool is_forgotten; /* by a crash, which it may be: it was told of at once */
    int64_t seal_at, cancel_at;
    unsigned jobs_left; /* to be added */
    int64_t add_at;
};

/* How a schedule stands after a record of it. */
struct sim_plan {
    uint64_t record; /* its number */
    bool is_there, is_removed;
    int64_t first, next; /* unix ms */
    uint32_t fired;
};

struct sim_schedule {
    struct ag_id id;
    int client;
    bool is_cron;
    int64_t at_unix_ms, period_ms; /* 0: none */
    uint32_t times;
    enum argosy_catch_up catch_up;
    bool is_unique, may_be_refused;
    uint64_t add_request, remove_request;
    int64_t remove_at;
    bool is_acked, is_removal_acked, is_add_answered, is_over;
    bool is_again;                  /* it was removed, and ordered once more */
    bool has_fired;                 /* in this step; its own record follows */
    bool is_touched;                /* in this step */
    uint64_t said_fired, said_next; /* by its last record */
    struct sim_plan plans[SIM_PLANS];
    unsigned plans_count;
};

struct sim_client {
    argosy_client *client;
    struct ag_id instance;
};

/* What a client has asked and is not answered: to know what an answer promises. */
struct asked {
    struct ag_id instance;
    uint64_t request;
    bool is_cancel, is_order;
    enum core_verb verb; /* of an order; its subject is the one id */
    unsigned count;
    struct ag_id ids[AG_MESSAGE_ITEMS_MAX];
};

struct watched {
    struct ag_id instance, target;
    uint32_t watch;
};

enum { SIM_ASKED = 256, SIM_WATCHED = 64, SIM_STOPPED = 256 };

/* The records of one step are durable together. */
struct step_end {
    uint64_t records;
    size_t bytes;
};

struct sim {
    uint64_t seed;
    struct ag_random random;
    int64_t now;
    bool traces, are_faults_over, is_winding_down;
    bool has_schedules;     /* users of this seed order some */
    int64_t unix_offset_ms; /* the wall clock's */
    int64_t look_at;        /* when the broker looks at it */
    char broken[512]; /* what went wrong; "" nothing */
    unsigned long events;
    /* the network */
    struct ag_link conns;
    uint32_t conns_made;
    struct peer peers[SIM_PEERS];
    /* the broker */
    core_t *core;
    struct core_config config;
    bool broker_is_up;
    bool crashes_at_commit; /* in the place of the next one: when most may be lost */
    int64_t broker_back_at, commit_at, load_at;
    struct ag_buffer wanted; /* payloads that the broker reads from the journal: struct wanted */
    size_t wanted_at;        /* those before have been read */
    int64_t stop_at; /* of a broker that was told to; INT64_MAX: it was not */
    struct ag_buffer journal;                      /* see fold.h */
    struct ag_buffer record;                       /* under construction */
    size_t durable;                                /* bytes of it that survive */
    uint64_t appended, committed, durable_records; /* numbers of records */
    struct step_end *ends; /* of the steps of this life that wrote records */
    size_t ends_count, ends_capacity, ends_committed;
    struct sim_unsent unsent[SIM_UNSENT_MAX];
    unsigned unsent_count;
    struct proto in, out;
    struct ag_buffer frame, text;
    /* the others */
    struct sim_worker workers[SIM_WORKERS];
    struct sim_client clients[SIM_CLIENTS];
    struct sim_job jobs[SIM_JOBS + SIM_TICKS]; /* the clients', then those of ticks */
    struct sim_group groups[SIM_GROUPS];
    struct sim_schedule schedules[SIM_SCHEDULES];
    int jobs_count, groups_count, schedules_count, ticks_count;
    struct asked asked[SIM_ASKED];
    unsigned asked_count;
    struct watched watched[SIM_WATCHED];
    unsigned watched_count;
    struct proto_token stopped[SIM_STOPPED]; /* what the broker has told workers to stop */
    unsigned stopped_count;
    int64_t next_fault_at;
    unsigned long faults;
};

/* Plays a seed. Returns what went wrong, NULL if nothing; valid until the next one. *events counts
 * what happened. */
const char *sim_run(uint64_t seed, bool traces, unsigned long *events);

/* sim.c */
bool chance(struct sim *self, unsigned percent);
int64_t between(struct sim *self, int64_t low, int64_t high); /* both are possible */
__attribute__((format(printf, 2, 3))) void sim_broken(struct sim *self, const char *format, ...);
__attribute__((format(printf, 2, 3))) void sim_trace(struct sim *self, const char *format, ...);

/* net.c */
/* A new connection: because the old one was cut, or because the peer wants another. */
void net_open(struct sim *self, int peer, bool is_cut);
void net_send_up(struct sim *self, int peer, struct ag_bytes frame);
void net_send_down(struct sim *self, uint32_t conn, const struct proto *message);
struct frame *net_first(struct ag_link *list);
void net_drop(struct frame *frame);
void net_drop_all(struct ag_link *list);
struct conn *net_find(struct sim *self, uint32_t number);
void net_close_all(struct sim *self);

/* broker.c */
void broker_has_relaxed_queue(struct sim *self);
void broker_start(struct sim *self);
void broker_crash(struct sim *self);
/* In order: nothing new begins, and a little later it is gone, as after a crash. */
void broker_is_told_to_stop(struct sim *self);
void broker_hears(struct sim *self, struct conn *conn);
void broker_timer(struct sim *self);
void broker_looks_at_clock(struct sim *self);
void broker_commit(struct sim *self);
void broker_load(struct sim *self); /* the next payload is there */
void broker_stop(struct sim *self);

/* worker.c */
void worker_start(struct sim *self, int number);
void worker_crash(struct sim *self, int number);
void worker_hears(struct sim *self, int number);
void worker_timer(struct sim *self, int number);
int64_t worker_deadline(const struct sim *self, int number);
void worker_lies(struct sim *self, int number);
void worker_stop(struct sim *self, int number);

/* client.c */
void client_start(struct sim *self, int number);
void client_turn(struct sim *self, int number);
int64_t client_deadline(struct sim *self, int number);
void client_stop(struct sim *self, int number);
bool client_is_done(const struct sim *self);
enum behaviour behave(struct sim *self, const struct sim_group *group); /* NULL: none */

/* schedule.c */
int64_t calendar_next(int64_t period, int64_t after_unix_ms);
struct core_calendar calendar_of_sim(void);
int64_t wall_ms(const struct sim *self); /* unix */
void wall_jump(struct sim *self);
void schedule_turn(struct sim *self, int client);
int64_t schedule_deadline(const struct sim *self, int client);
void schedule_answered(struct sim *self, int client, const struct argosy_event *event);
bool schedule_is_done(const struct sim *self);

/* truth.c */
int truth_job(const struct sim *self, const struct ag_id *id); /* -1: not one of ours */
int truth_group(const struct sim *self, const struct ag_id *id);
void truth_heard(struct sim *self, const struct conn *conn, const struct proto *message);
void truth_ordered(struct sim *self, const struct conn *conn, const struct core_control *order);
void truth_effect(struct sim *self, const struct effect *effect);
void truth_begins(struct sim *self, int worker, struct sim_task *task);
void truth_succeeds(struct sim *self, const struct sim_task *task);
void truth_crashed(struct sim *self); /* what is durable is known */
void truth_restored(struct sim *self);
struct record;
void truth_journalled(struct sim *self, const struct record *record, uint64_t place);
void truth_at_the_end(struct sim *self);

/* truth_schedule.c */
void truth_record(struct sim *self, uint64_t place, struct ag_bytes bytes);
void truth_step_ended(struct sim *self);
void truth_schedule_crashed(struct sim *self); /* likewise */
void truth_schedules_restored(struct sim *self);
void truth_answered(struct sim *self, const struct asked *order, const char *type);
void truth_schedules_are_on_time(struct sim *self);

/* orders.c: every order of the first `events` of a small set of events; what went wrong, or NULL.
 * *count counts orders. */
enum { ORDERS_EVENTS_MAX = 8 };
const char *orders_run(unsigned events, unsigned long *count);

#endif
