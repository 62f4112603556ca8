/* state.h - the structs of the core; only core/ includes it.
 *
 * Who owns what: the core owns sessions, kinds, queues, keys, groups, jobs and schedules. A job is
 * found by its id in core->jobs and is at the same time in one list by its state (`link`) and one
 * by its group (`member`). Pointers between objects are safe because each is removed from the other
 * side before it is freed; nothing outside the core keeps one beyond a step.
 */
#ifndef BROKER_CORE_STATE_H
#define BROKER_CORE_STATE_H

#include "broker/core/budget.h"
#include "broker/core/core.h"
#include "broker/core/plant.h"
#include "common/heap.h"
#include "common/list.h"
#include "common/map.h"
#include "common/random.h"
#include "common/retry.h"

enum {
    SLICE = 2048,         /* objects that one step sweeps, gives out or forgets */
    EFFECTS_MAX = 131072, /* what one step may want at most: see the sum in core.c */
    KINDS_MAX = 1024,     /* distinct kinds a broker knows */
    QUEUES_MAX = 1024,    /* and queues */
    LANES_MAX = 256,      /* of one group, or of all jobs without one: see struct lane */
    SCHEDULES_MAX = 10000,
    HAPPENINGS_MAX = 4096,              /* kept for `argosy events` */
    NEWS_EFFECTS_MAX = 16 * SLICE,      /* of one step */
    RATE_BURST_US = 100000,             /* what a rate may make up for */
    SWEEP_EFFECTS = 8 * AG_NESTING_MAX, /* of cancelling one member, the end of all around it too */
    INPUT_OVERHEAD = 96,                /* of one, beside its result */
    SUSPECT_LOSSES = AG_LOST_MAX - 1,   /* after so many the next try is alone */
    LIST_LOOKED_AT = 50000,             /* jobs, for one answer of a list */
    SUSPECTS_LOOKED_AT = 64,            /* in one step */
    WATCHES_MAX = 1024,                 /* of one client; of one job */
    CREDIT_MAX = 16384,                 /* events a watch may be ahead of its acknowledgement */
    SILENT_BEATS = 3,                   /* heartbeats without a word that end a session */
    RECORDS_WAITING_MAX = 1 << 18,      /* for the store: beyond it no jobs are taken */
    RETRY_FULL_MS = 200,                /* when to try again what did not fit */
    UNSERVED_MS = 60000,                /* that something waits for nobody before the alarm */
};

/* A name that outlives its worker: shared by the jobs that ran there. */
struct name {
    uint32_t refs;
    char text[];
};

enum timer_owner {
    TIMER_JOB,
    TIMER_GROUP,
    TIMER_RATE, /* a group's next beginning */
    TIMER_KEY,
    TIMER_SCHEDULE,
    TIMER_SESSION,
    TIMER_RECOVERY,
    TIMER_ALARM
};

struct timer {
    struct ag_timer heap;
    enum timer_owner owner;
};

/* An attempt that ended without success. */
struct attempt {
    struct attempt *next;
    struct name *worker;
    uint64_t started_unix_ms;
    uint32_t attempt, run_ms;
    const char *type, *message; /* into `owned`, or constants */
    char *owned;
};

/* A text with limits of its own for the whole fleet, for example a host: how many of its jobs run,
 * and until when none may begin. Lives while a job has it or it is closed. */
struct key {
    struct ag_map_node node;
    struct timer timer;     /* opens it again */
    struct ag_link waiting; /* queued jobs that were their lane's turn and met the key closed */
    int64_t open_at;
    struct budget budget; /* it fades; forgotten with the key, when no job has it any more */
    uint32_t refs, running;
    struct key_seen {
        uint32_t refs, running, queued;
    } seen; /* by check.c, when it last counted */
    char text[];
};

/* No two live jobs have the same. */
struct unique {
    struct ag_map_node node;
    struct job *job;
    bool is_held; /* it is in the table */
    char text[];
};

/* One job waits for the end of another, or of a group. Lives until the waiting one has ended, so
 * that what it waited for is still there to be handed on. */
struct wait {
    struct ag_link of_waiter, of_target;
    struct job *waiter;
    struct job *job; /* the target, one of the two */
    struct group *group;
    bool is_over;
};

enum wait_mode {
    WAIT_ALL,    /* for success; results are handed on */
    WAIT_ANY,    /* for the end, however; results are handed on */
    WAIT_JOIN,   /* and then end as the other one did */
    WAIT_REPLACE /* for the end, however; nothing is handed on */
};

/* What only few jobs have. */
struct extra {
    struct ag_link waits;   /* its own, in the order in which it named them */
    struct ag_link waiters; /* of others, for it */
    struct ag_link settle;  /* in core->settling while they have to be told */
    uint32_t open_count;    /* waits that are not over */
    enum wait_mode mode;
    struct unique *unique;
    struct group *inside; /* of a place: the group that has it; NULL once that is forgotten */
};

struct job {
    struct ag_map_node node;
    struct ag_link all;       /* in core->all_jobs, oldest first */
    struct ag_link link;      /* queued: in its lane, its key or its kind's suspects; held: in its
                                 worker's list; else alone */
    struct ag_link member;    /* in group->live or group->swept while not ended; else alone */
    struct ag_link watches;   /* of it alone, not through its group */
    struct ag_link load;      /* in core->unloaded or core->loading while something of it is to be
                                 read; in core->heavy while it could be put aside */
    struct timer timer;       /* scheduled: when due; queued: queue limit; cancelling: when its
                                 worker must have confirmed; ended without a group: when to forget */
    struct sleeper *sleeper;  /* its place in the line behind its lane; NULL: it is not there */
    struct lane *lane;        /* where it queues; knows kind, queue, group, priority, tags */
    struct key *key;          /* NULL: none */
    struct extra *extra;      /* NULL: nothing of that */
    struct session *worker;   /* who holds it; NULL if nobody */
    struct name *worker_name; /* of the last attempt; NULL before the first */
    struct attempt *attempts,
        *spare; /* those that failed, newest first; one kept ready while held */
    struct ag_bytes payload, result, error; /* owned, but `error` may be a constant */
    char *selectors;                        /* NULL: the worker decides what is worth a retry */
    struct ag_retry retry;
    uint64_t number;       /* of the record that made it: the order of acceptance */
    uint64_t epoch;        /* of the attempt in hand */
    uint64_t ended_record; /* the number of the record that ended it */
    int64_t since;         /* when it entered its state */
    int64_t due_at;        /* not before; it matters while blocked and scheduled */
    uint32_t index, run_limit_ms, queue_limit_ms, grace_ms, ttl_ms;
    uint32_t key_max, key_delay_ms;
    uint32_t attempt;                    /* the current or last one; 0 before the first */
    uint32_t failures, losses, releases; /* attempts that failed, were lost, were handed back */
    uint32_t queued_ms, run_ms;
    enum job_state state;
    enum budget_scope spent; /* why its last failure was not tried again; NONE: not for that */
    uint32_t watches_count;
    uint32_t place;       /* of an end: where it stands in group->ended */
    uint32_t result_away; /* the size of its result that is in the store only; 0: it is here */
    uint16_t permille;    /* of the attempt in hand, as its worker told last */
    bool error_is_constant, is_recalled, is_place;
    bool in_lane;  /* it stands in lane->jobs */
    bool is_away;  /* its payload: it is in the store only */
    bool is_early; /* it has ended, in a relaxed queue */
};

/* A name under which jobs can be paused and limited: by default their kind's. */
struct queue {
    struct ag_link all; /* in core->queues */
    struct ag_link lanes;
    bool paused;
    bool relaxed;    /* what happens to its jobs is told at once... */
    uint64_t record; /* ...when this one, which says so, is durable */
    uint32_t limit;  /* that run at once; 0: no limit */
    uint64_t waiting, running;
    struct budget budget; /* it fades */
    char name[AG_NAME_BYTES_MAX + 1];
};

/* The queued jobs that are alike: of one group (or of none), kind, queue, priority and required
 * tags, first in first out. A kind takes from its lanes of the most urgent priority in turn, so
 * that a group of a million does not keep a group of ten waiting. */
struct lane {
    struct ag_link turn;     /* in kind->lanes[priority] while it has jobs that may begin now, or in
                                kind->unmatched while no worker with room has its tags */
    struct ag_link of_group; /* or of core->ungrouped */
    struct ag_link of_queue;
    struct ag_link jobs;
    uint32_t awake;                          /* of them */
    struct sleeper *sleepers, *last_sleeper; /* the line behind them: see sleep.c */
    uint64_t asleep_number;                  /* of the last one that fell asleep */
    struct ag_link terms;                    /* of the line's */
    struct ag_link hungry;                   /* in core->hungry while it wants some of the line */
    struct kind *kind;
    struct queue *queue;
    struct group *group; /* NULL: jobs without a group */
    struct demand *demand;
    uint64_t queued; /* in `jobs`, in keys and suspects */
    uint32_t priority;
    char requires[]; /* "gpu,eu" */
};

/* What waits of one kind and requires the same tags, and how many workers could take it. Lives
 * while a lane has it. */
struct demand {
    struct ag_link of_kind;  /* in kind->demands */
    struct ag_link unserved; /* in core->unserved while its alarm is still to come */
    struct kind *kind;
    struct name *requires;
    uint64_t lanes, queued;
    uint64_t workers; /* that offer the kind, have the tags, and were not told to leave */
    int64_t unserved_since;
    bool is_unserved; /* something waits, and no worker could take it */
    bool is_alarmed;  /* that has been told */
};

struct kind {
    struct ag_link all;                  /* in core->kinds */
    struct ag_link lanes[AG_PRIORITIES]; /* with jobs that may begin now, in turn */
    struct ag_link unmatched;            /* lanes */
    struct ag_link suspects;             /* jobs that have to be alone on their worker */
    struct ag_link offers;               /* of all workers that do it */
    struct ag_link demands;              /* of its lanes */
    struct ag_link idle;                 /* offers with free slots, in turn */
    struct ag_link ahead;                /* offers that take more, to be begun later, in turn */
    struct session *reserved;            /* a worker that gets nothing until it is empty */
    uint64_t offers_count, queued;       /* queued: in all its lanes, keys and suspects */
    uint64_t ahead_count;                /* jobs held beyond the slots of their workers */
    uint32_t idle_count, recalled_count; /* recalled: asked back, and not here yet */
    char name[AG_NAME_BYTES_MAX + 1];
};

/* What one worker offers for one kind. */
struct offer {
    struct ag_link idle;    /* in kind->idle or kind->ahead while held < credit */
    struct ag_link of_kind; /* in kind->offers */
    bool is_idle;           /* in kind->idle */
    struct session *worker;
    struct kind *kind;
    uint32_t slots, credit, held;
};

struct group {
    struct ag_map_node node;
    struct ag_link live;  /* members that wait or run */
    struct ag_link swept; /* members that were told to stop, or are left to end by themselves */
    struct ag_link lanes;
    struct ag_link watches;
    struct ag_link waiters; /* struct wait: jobs that wait for its end */
    struct ag_link settle;  /* in core->settling_groups while they have to be told */
    struct ag_link sweep;   /* in core->sweeps while being cancelled or forgotten */
    struct timer timer;     /* the deadline; after the end: when to forget */
    struct timer rate_timer;
    struct ag_link children, of_parent;
    struct group *parent;
    struct job *place;      /* in its parent; NULL: none, or the parent is forgotten */
    uint32_t children_open; /* groups in it that are not complete */
    uint32_t wanted;        /* waits for one of its jobs */
    uint32_t depth;
    struct job **ended; /* in the order in which they ended; NULL once released */
    size_t ended_count, ended_capacity;
    size_t released_count; /* the first so many are released */
    uint64_t away;         /* of the others: whose results are in the store only */
    uint64_t number;       /* of the record that made it */
    struct proto_counts counts;
    struct budget budget; /* totals: counts.retried has what was lost or handed back as well */
    uint64_t ended_record, busy_ms;
    int64_t accepted_at, ended_at;
    enum proto_policy policy;
    uint32_t failures_max, failures_percent, successes, successes_min, concurrency;
    uint32_t rate_per_minute, ttl_ms, deadline_ms;
    int64_t rate_at_us; /* when the next may begin */
    bool sealed, cancelling, is_ended, is_forgotten, is_complete;
    bool is_gentle;      /* what ends it early spares what runs */
    bool spares;         /* it is ending early, and does */
    const char *failure; /* "", "cancelled", "timeout.group" or "group.successes" */
    char *name;
};

/* A client that follows a group or a job. */
struct watch {
    struct ag_link of_session, of_target; /* of_target: its group's or job's */
    struct ag_link due;                   /* in core->due while there may be something to tell */
    struct session *client;
    struct group *group;
    struct job *job; /* one of the two */
    uint64_t cursor, limit;
    uint64_t early; /* ends before this one were told early if they could be */
    uint32_t number, flags;
    uint32_t news_left; /* until it says MORE */
    bool opened;
    bool is_over; /* all is told; it waits only to hear that it was taken */
};

/* Makes jobs at times of its own. */
struct schedule {
    struct ag_map_node node;
    struct timer timer;
    struct ag_link all;
    struct core_rule rule; /* its texts are owned */
    void *calendar;        /* the calendar's, of a cron line */
    enum core_catch_up catch_up;
    struct ag_bytes job; /* as it was submitted; owned */
    char *name, *kind;
    int64_t next_unix_ms;
    uint64_t fired;
};

struct session {
    struct ag_map_node node; /* by instance */
    struct timer timer;      /* silence */
    struct ag_link all;
    enum proto_role role;
    uint32_t peer;
    uint32_t hello; /* the number of the last one */
    int64_t heard_at;
    struct name *name;
    char *host, *software, *tags;
    /* a worker's */
    struct ag_link held;
    struct offer *offers;
    uint32_t offers_count;
    uint64_t succeeded, failed, released;
    struct job *alone; /* it has this one for itself */
    bool is_reserved;  /* it gets nothing until it is empty */
    bool is_draining;  /* it was told to leave */
    bool is_known;     /* durably, so that a later life of the broker waits for it */
    uint64_t record;   /* with which it will be */
    /* a client's */
    struct ag_link watches;
    uint32_t watches_count;
};

/* An answer that waits for a commit. */
struct answer {
    uint64_t record; /* it may leave when this one is durable */
    struct effect effect;
};

/* One line of `argosy events`. */
struct happening {
    int64_t at;
    const char *what, *state, *kind;
    struct ag_id id;
    struct name *name;
    uint32_t attempt;
};

/* Errors that no worker described. */
enum constant {
    CONSTANT_TIMEOUT_QUEUE,
    CONSTANT_LOST_POISON,
    CONSTANT_DEPENDENCY,
    CONSTANT_INPUTS,
    CONSTANT_GROUP,
    CONSTANT_LOST_PAYLOAD,
    CONSTANT_LOST_RESULT,
    CONSTANTS_COUNT
};

struct core {
    struct core_config config;
    struct core_counters counters;
    struct ag_random random;
    struct ag_map jobs, groups, sessions, keys, uniques, schedules, awaited;
    struct ag_map sleepers;  /* jobs as well, but little is known of them: see sleep.c */
    struct ag_link drowsy;   /* jobs that fall asleep when this step is over */
    struct ag_link hungry;   /* lanes that want some of their line */
    struct ag_link unloaded; /* jobs whose payload is to be asked for, and */
    struct ag_link loading;  /* has been */
    struct ag_link heavy;    /* jobs that have ended with a large result, see results.c */
    struct job *woken_last;
    struct ag_heap timers;
    struct ag_link kinds, queues, all_jobs, all_sessions, all_schedules, ungrouped, sweeps, due;
    struct ag_link settling, settling_groups;
    struct ag_link unserved; /* demands without a worker, the oldest first, until their alarm */
    struct timer alarm;      /* of the first of them */
    struct happening happenings[HAPPENINGS_MAX];
    uint64_t happenings_count;
    uint64_t kinds_count, queues_count, workers, clients, ungrouped_live;
    uint32_t ungrouped_lanes;
    uint64_t states[JOB_STATES_COUNT];
    uint64_t bytes;
    uint64_t records, committed;
    struct answer *answers; /* a ring */
    size_t answers_first, answers_count, answers_capacity;
    struct effects effects;
    struct effect nowhere;    /* filled in while restoring, for nobody */
    struct ag_buffer scratch; /* of the record that is being written */
    void **trash;             /* what effects of this step point at: freed at the next */
    size_t trash_count, trash_capacity;
    int64_t now;
    struct timer recovery; /* while set nothing begins: awaited workers may come back */
    uint64_t unknown_workers;
    struct argosy_error reason; /* of the last schedule that was refused */
    bool restoring;             /* core_restore() is at work: nothing is journalled or said */
    bool stopping, store_is_full;
    bool unfinished; /* a slice was full: go on at once */
    struct ag_buffer constants[CONSTANTS_COUNT];
    core_trace_fn *trace;
    void *trace_arg;
};

/* core.c */
__attribute__((format(printf, 2, 3))) void core_tracef(core_t *self, const char *format, ...);
struct effect *core_emit(core_t *self, enum effect_type type, uint32_t peer);
uint64_t core_journal(core_t *self, enum core_record record, const struct job *job,
                      const struct group *group);
/* Of queues and schedules. */
void core_journal_other(core_t *self, enum core_record record, const struct queue *queue,
                        const struct schedule *schedule);
uint64_t core_journal_worker(core_t *self, const struct ag_id *instance, const char *name,
                             bool has_left);
/* The last record of something; the caller fills in what the store needs to sum up. Never NULL. */
struct effect *core_journal_forget(core_t *self, enum core_subject subject, const struct ag_id *id);
/* Room for `count` answers and pieces of trash more. ARGOSY_ENOMEM. */
int core_reserve_answers(core_t *self, size_t count);
/* Room for the timers of everything there is and `more`. ARGOSY_ENOMEM. */
int core_reserve_timers(core_t *self, size_t more);
/* Send it when everything journalled so far is durable. `owned` (may be NULL) is freed after it. */
void core_answer(core_t *self, const struct effect *effect, void *owned);
/* Send it with this step: a crash may forget what it tells. */
void core_answer_at_once(core_t *self, const struct effect *effect, void *owned);
void core_flush_answers(core_t *self);
void core_set_timer(core_t *self, struct timer *timer, int64_t at);
/* False, and goes on at the next step, when this one has no room for `more` effects. */
bool core_has_room(core_t *self, size_t more);
/* The bytes of an error {type, message}; empty when memory is short. */
struct ag_buffer core_error(const char *type, const char *message);
/* Freed at the next step; false: no memory, it is the caller's. */
bool core_trash(core_t *self, void *memory);
int64_t core_unix_ms(const core_t *self);

/* text.c: names, copies, tables of texts */
struct name *name_new(struct ag_bytes text);
struct name *name_ref(struct name *name);
void name_unref(struct name **name_p);
/* A copy; absent stays absent. *failed is set when memory is short. */
struct ag_bytes bytes_copy(struct ag_bytes bytes, bool *failed);
char *text_copy(struct ag_bytes text, bool *failed);
/* Where a text stands in a map of nodes by text: an id made of its hash. `offset` is that of the
 * text in the object around the node. Returns the node, or NULL and the id to add it under. */
struct ag_map_node *text_find(const struct ag_map *map, struct ag_bytes text, size_t offset,
                              struct ag_id *id);
/* Whether `list` ("a,b") holds each of `wanted` ("b"). */
bool tags_have(const char *list, const char *wanted);

/* job.c */
/* Wakes it if it sleeps: NULL as well when there is no memory for that. */
struct job *job_find(core_t *self, const struct ag_id *id);
/* NULL as well when it sleeps. */
struct job *job_find_awake(const core_t *self, const struct ag_id *id);
bool job_is_known(const core_t *self, const struct ag_id *id);
struct job *job_new(core_t *self, const struct proto_submit_job *spec, struct lane *lane);
/* One that is linked nowhere yet. */
void job_drop(core_t *self, struct job *job);
void job_free(core_t *self, struct job *job);
void job_drop_attempts(struct job *job);
/* What stands for a group in its parent; linked nowhere yet. NULL: no memory. */
struct job *place_new(core_t *self, const struct ag_id *id, struct group *parent);
void job_accept(core_t *self, struct job *job, int64_t due_at);
void job_enter(core_t *self, struct job *job, enum job_state next);
void job_cancel(core_t *self, struct job *job);
void job_fail(core_t *self, struct job *job, enum constant constant);
/* Back into its queue, or cancelled if its group wants nothing more to begin. */
void job_requeue(core_t *self, struct job *job);
void job_on_timer(core_t *self, struct job *job);
void job_forget(core_t *self, struct job *job);
bool job_is_held(const struct job *job);
bool job_has_ended(const struct job *job);
bool job_has_begun(const struct job *job); /* an attempt; what joined another never does itself */
bool job_is_suspect(const struct job *job);
bool job_is_place(const struct job *job); /* of a group in its parent */
struct proto_token job_token(const struct job *job);
uint64_t job_bytes(const struct job *job);
struct extra *job_extra(struct job *job); /* made if there is none; NULL: no memory */
/* What was submitted, pointing into the job; `after` is the caller's. */
void job_describe(const struct job *job, struct proto_submit_job *out);
void job_append_attempt(const struct attempt *attempt, struct ag_buffer *out); /* as on the wire */
/* What it leaves in the counts of its group when it is forgotten. */
struct core_gone core_gone_of(const struct job *job);

/* group.c */
struct group *group_find(const core_t *self, const struct ag_id *id);
struct group *group_new(const struct proto_group *spec);
void group_free(core_t *self, struct group *group);
void group_accept(core_t *self, struct group *group, struct job *place, uint32_t deadline_ms);
int group_reserve(struct group *group, size_t more);
void group_count(core_t *self, struct group *group, enum job_state state, int by);
void group_on_job_end(core_t *self, struct group *group, struct job *job);
void group_seal(core_t *self, struct group *group);
bool group_is_done(const struct group *group); /* it could end now */
void group_end(core_t *self, struct group *group);
/* Nothing of it begins from now on. `failure` is a constant; `spares`: what runs may end. */
void group_cancel(core_t *self, struct group *group, const char *failure, bool spares);
void group_on_timer(core_t *self, struct group *group);
void group_begin_to_forget(core_t *self, struct group *group);
void group_release(core_t *self, struct group *group, const struct job *last);
/* One that has ended; false: somebody still wants it. */
bool group_forget(core_t *self, struct group *group);
void group_on_begin(core_t *self, struct group *group);
void group_sweep(core_t *self);
enum job_state group_outcome(const struct group *group); /* of one that has ended */
void group_update_lanes(core_t *self, struct group *group);

/* queue.c: kinds, queues, lanes */
struct kind *kind_find(const core_t *self, struct ag_bytes name);
/* Made if new; NULL: no memory, or too many. */
struct kind *kind_of(core_t *self, struct ag_bytes name);
struct queue *queue_find(const core_t *self, struct ag_bytes name);
struct queue *queue_of(core_t *self, struct ag_bytes name);
void queue_count(struct queue *queue, enum job_state state, int by);
void queue_update(core_t *self, struct queue *queue);
bool queue_is_relaxed(const core_t *self, const struct queue *queue);
/* Where such jobs wait; made if new. NULL: no memory, or the group has too many. */
struct lane *lane_of(core_t *self, struct kind *kind, struct queue *queue, struct group *group,
                     uint32_t priority, struct ag_bytes requires);
void lane_free(struct lane *lane);
enum core_reason lane_blocked(const core_t *self, const struct lane *lane);
bool lane_may_begin(const core_t *self, const struct lane *lane);
/* To its end, or its beginning; and out of it. */
void lane_append(core_t *self, struct lane *lane, struct job *job);
void lane_prepend(core_t *self, struct lane *lane, struct job *job);
void lane_leave(core_t *self, struct job *job);
void lane_update(core_t *self, struct lane *lane);

/* dispatch.c: who runs next, and where */
void offer_hold(struct offer *offer);       /* one job more */
void offer_release(struct offer *offer);    /* one less */
void worker_update(struct session *worker); /* after its credit or what it takes has changed */
void dispatch(core_t *self);

/* demand.c: what waits, and who could take it */
struct demand *demand_of(struct kind *kind, struct ag_bytes requires); /* NULL: no memory */
void demand_unref(struct demand *demand);
void demand_queue(core_t *self, struct lane *lane, int by); /* one job more (1) or less (-1) */
/* A worker more (1) or less (-1); after that of its offer, or of its draining. */
void demand_offer(core_t *self, const struct offer *offer, int by);
void demand_on_timer(core_t *self);
const char *demand_broken_invariant(const core_t *self, const struct kind *kind);

/* key.c */
void key_ref(struct key *key);
struct key *key_of(core_t *self, struct ag_bytes text); /* one reference more; NULL: no memory */
void key_unref(core_t *self, struct key *key);
enum core_reason key_blocked(const core_t *self, const struct job *job);
void key_park(core_t *self, struct job *job);
void key_on_begin(core_t *self, struct job *job);
void key_on_leave(core_t *self, struct job *job, enum job_state from);
void key_close(core_t *self, struct key *key, uint32_t ms);
void key_on_timer(core_t *self, struct key *key);

/* budget.c: the scopes of a job are its group, its key and its queue; all jobs count in theirs,
 * those without a budget as well */
void budget_on_first(core_t *self, const struct job *job); /* its first attempt begins */
void budget_on_retry(core_t *self, const struct job *job); /* it will be tried again */
/* The first scope that cannot afford to try it again; NONE: all can, or it has no budget. */
enum budget_scope budget_spent(core_t *self, const struct job *job);
/* Whether the job has a scope of that kind. NONE and QUEUE: any has. */
bool budget_is_of(const struct job *job, enum budget_scope scope);
/* A record has brought the job from here to where it is now: its group's totals follow. */
void budget_restore(const struct job *job, bool began_before, uint32_t failures_before);
/* What people are told of a failure that was not tried again; "" when a budget was not why. */
const char *budget_note(const struct job *job, char note[BUDGET_NOTE_SIZE]);

/* depend.c: what waits for what */
int wait_add(struct job *waiter, struct job *job, struct group *group); /* ARGOSY_ENOMEM */
void wait_begin(core_t *self, struct job *waiter);                      /* once it is accepted */
void wait_on_job_end(core_t *self, struct job *job);
void wait_on_group_end(core_t *self, struct group *group);
void wait_settle(core_t *self);
void wait_drop_all(struct job *waiter);
bool wait_is_wanted(const struct job *job); /* somebody still needs what it made */
/* The results for JOBS as a list, appended to `out`; without memory out->failed is set. Returns how
 * many. */
uint32_t wait_inputs(const struct job *waiter, struct ag_buffer *out);
struct job *unique_find(const core_t *self, struct ag_bytes text);
int unique_make(struct job *job, struct ag_bytes text); /* ARGOSY_ENOMEM */
void unique_take(core_t *self, struct job *job);        /* from whoever has it */
void unique_drop(core_t *self, struct job *job);

/* lease.c */
struct offer *offer_of(struct session *worker, const struct kind *kind);
/* The worker holds the job from now on: a new attempt. False: no memory, nothing has changed. */
bool lease_take(core_t *self, struct job *job, struct offer *offer);
/* It has come back with an attempt that an earlier life of this broker gave it. False: no memory.
 */
bool lease_adopt(core_t *self, struct job *job, struct session *worker,
                 const struct proto_token *token);
void lease_take_back(core_t *self, struct job *job);
void lease_lose(core_t *self, struct job *job);
void lease_revoke(core_t *self, struct job *job);
void lease_release(struct job *job); /* only for job_enter() */
void on_credit(core_t *self, struct session *worker, const struct proto_credit *credit);
int on_results(core_t *self, struct session *worker, const struct proto_results *results);
void on_progress(core_t *self, struct session *worker, const struct proto_progress *progress);
void on_unsent(core_t *self, struct session *worker, const struct proto_tokens *unsent);

/* sleep.c */
struct sleep_sums {
    uint64_t asleep, bytes;
};
typedef bool sleep_fn(void *arg, const struct job *job); /* false: no more */
/* A queued job goes into the line; false: it belongs into the lane itself. */
bool sleep_line_up(core_t *self, struct job *job);
void sleep_leave_line(struct job *job);
void sleep_settle(core_t *self); /* at the beginning of a step */
struct job *sleep_wake(core_t *self, const struct ag_id *id);
bool sleep_knows(const core_t *self, const struct ag_id *id);
void sleep_on_room(core_t *self, struct lane *lane); /* a job has left the lane */
void sleep_refill(core_t *self);                     /* lanes that have room, from their lines */
/* Wake some of a group that is being cancelled; false when none sleeps. */
bool sleep_wake_for_sweep(core_t *self, struct group *group);
void sleep_want_payload(core_t *self, struct job *job);
void sleep_ask(core_t *self); /* for the payloads that are wanted */
int on_loaded(core_t *self, const struct core_loaded *loaded);
/* As if it were awake; what it points at is not its own. */
bool sleep_show(const core_t *self, const struct ag_id *id, struct job *out);
const struct lane *sleep_lane_of(const core_t *self, const struct ag_id *id);
/* Those of a lane that sleep, from the one after this one. False: fn wanted no more. */
bool sleep_each(const core_t *self, const struct lane *lane, const struct core_cursor *after,
                sleep_fn *fn, void *arg);
const char *sleep_broken_invariant(const core_t *self, const struct lane *lane,
                                   struct sleep_sums *sums);
void sleep_count_keys(const struct lane *lane);
void sleep_free(core_t *self, struct lane *lane);

/* results.c */
void results_on_end(core_t *self, struct job *job);
void results_on_commit(core_t *self);
/* True: it stays in the store. */
bool results_restore(core_t *self, struct job *job, struct ag_bytes result);
void results_forget(struct job *job);
/* What is away is asked for. */
void results_want(core_t *self, struct job *job);
void results_want_group(core_t *self, struct group *group);
void results_want_for(core_t *self, const struct watch *watch);
int results_loaded(core_t *self, struct job *job, const struct core_loaded *loaded);

/* recovery.c */
int recovery_await(core_t *self, const struct ag_id *instance); /* ARGOSY_ENOMEM */
void recovery_forget(core_t *self, const struct ag_id *instance);
void recovery_begin(core_t *self);
bool recovery_is_over(const core_t *self);
void recovery_on_join(core_t *self, struct session *worker);
void recovery_on_leave(core_t *self, struct session *worker);
void recovery_on_commit(core_t *self);
void recovery_give_up(core_t *self);
void recovery_free(core_t *self);

/* session.c */
struct session *session_find(const core_t *self, const struct ag_id *instance);
int on_join(core_t *self, const struct core_event *event);
void session_end(core_t *self, struct session *session, const char *why);
void session_on_timer(core_t *self, struct session *session);

/* submit.c */
int on_submit(core_t *self, struct session *client, const struct proto_submit *submit);
int on_cancel(core_t *self, struct session *client, const struct proto_cancel *cancel);
int on_seal(core_t *self, struct session *client, const struct proto_seal *seal);
/* One job, of a schedule or a retry. ARGOSY_ENOMEM; *type is why it was refused, NULL if not. */
int submit_job(core_t *self, const struct proto_submit_job *spec, const char **type,
               const char **message);

/* control.c */
int on_control(core_t *self, struct session *client, const struct core_control *control);

/* schedule.c */
/* ARGOSY_ENOMEM; ARGOSY_EINVAL or ARGOSY_EPROTO: not sound, err says how. */
int schedule_new(core_t *self, const struct core_control *control, struct schedule **out,
                 struct argosy_error *err);
void schedule_start(core_t *self, struct schedule *schedule);
void schedule_free(core_t *self, struct schedule *schedule);
void schedule_on_timer(core_t *self, struct schedule *schedule);
void schedule_on_clock(core_t *self); /* what the next ticks wait for has moved */

/* watch.c */
int on_watch(core_t *self, struct session *client, const struct proto_watch *request);
void on_more(core_t *self, struct session *client, const struct proto_more *more);
void watch_destroy(struct watch *watch);
void watch_due(core_t *self, struct watch *watch);
void watch_all_due(core_t *self, const struct ag_link *watches); /* of a job or a group */
/* End the watches of a job or group that is about to be forgotten. */
void watch_forget(core_t *self, struct ag_link *watches);
bool watch_is_wanted(const struct ag_link *watches); /* somebody has still to be told */
void watch_news(core_t *self, struct job *job, const struct proto_progress_item *item);
void watch_pump(core_t *self);

/* view.c */
enum core_reason job_reason(const core_t *self, const struct job *job);

/* happen.c */
void happen_job(core_t *self, const struct job *job);
void happen_kind(core_t *self, const struct kind *kind, const char *state, struct name *requires);
void happen(core_t *self, const char *what, const char *state, const struct ag_id *id,
            struct name *name);

#endif
