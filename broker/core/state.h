/* state.h - the structs of the core; only core/ includes it.
 *
 * Who owns what: the core owns sessions, kinds, groups and jobs. A job is found by its id in
 * core->jobs and is at the same time in one list by its state (`link`) and one by its group
 * (`member`). Pointers between objects are safe because each is removed from the other side before
 * it is freed; nothing outside the core keeps one beyond a step.
 */
#ifndef BROKER_CORE_STATE_H
#define BROKER_CORE_STATE_H

#include "broker/core/core.h"
#include "common/heap.h"
#include "common/list.h"
#include "common/map.h"
#include "common/random.h"
#include "common/retry.h"

enum {
    SLICE = 2048,         /* objects that one step sweeps, gives out or forgets */
    EFFECTS_MAX = 131072, /* what one step may want at most: see the sum in core.c */
    KINDS_MAX = 1024,     /* distinct kinds a broker knows */
    WATCHES_MAX = 1024,   /* of one client; of one job */
    CREDIT_MAX = 16384,   /* events a watch may be ahead of its acknowledgement */
    SILENT_BEATS = 3,     /* heartbeats without a word that end a session */
    RETRY_FULL_MS = 1000, /* when to try again what did not fit */
};

/* A name that outlives its worker: shared by the jobs that ran there. */
struct name {
    uint32_t refs;
    char text[];
};

enum timer_owner { TIMER_JOB, TIMER_GROUP, TIMER_SESSION };

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

struct job {
    struct ag_map_node node;
    struct ag_link link;      /* queued: in its lane; held: in its worker's list; else alone */
    struct ag_link member;    /* in group->live or group->stopping while not ended; else alone */
    struct ag_link watches;   /* of it alone, not through its group */
    struct timer timer;       /* scheduled: when due; queued: queue limit; cancelling: ask again;
                                 ended without a group: when to forget */
    struct lane *lane;        /* where it queues; knows kind and group */
    struct session *worker;   /* who holds it; NULL if nobody */
    struct name *worker_name; /* of the last attempt; NULL before the first */
    struct attempt *attempts,
        *spare; /* those that failed, newest first; one kept ready while held */
    struct ag_bytes payload, result, error; /* owned, but `error` may be a constant */
    char *selectors;                        /* NULL: the worker decides what is worth a retry */
    struct ag_retry retry;
    uint64_t ended_record; /* the number of the record that ended it */
    int64_t since;         /* when it entered its state */
    uint32_t index, run_limit_ms, queue_limit_ms, grace_ms;
    uint32_t attempt;          /* the current or last one; 0 before the first */
    uint32_t failures, losses; /* attempts that failed; that were lost */
    uint32_t queued_ms, run_ms;
    enum job_state state;
    uint32_t watches_count;
    bool error_is_constant;
};

/* The queued jobs of one group (or of none) and one kind, first in first out. A kind takes from its
 * lanes in turn, so that a group of a million does not keep a group of ten waiting. */
struct lane {
    struct ag_link turn; /* in kind->lanes while it has jobs that may run now */
    struct ag_link of_group;
    struct ag_link jobs;
    struct kind *kind;
    struct group *group; /* NULL: jobs without a group */
};

struct kind {
    struct ag_link all;   /* in core->kinds */
    struct ag_link lanes; /* with jobs that may run now, in turn */
    struct ag_link idle;  /* offers with credit to spare, in turn */
    uint64_t offers;      /* workers that do it */
    uint64_t queued;      /* jobs in all its lanes */
    uint32_t idle_count;
    struct lane lane; /* for jobs without a group */
    char name[AG_NAME_BYTES_MAX + 1];
};

/* What one worker offers for one kind. */
struct offer {
    struct ag_link idle; /* in kind->idle while held < credit */
    struct session *worker;
    struct kind *kind;
    uint32_t slots, credit, held;
};

struct group {
    struct ag_map_node node;
    struct ag_link live;     /* jobs that wait or run */
    struct ag_link stopping; /* jobs that are cancelling */
    struct ag_link lanes;
    struct ag_link watches;
    struct ag_link sweep; /* in core->sweeps while being cancelled or forgotten */
    struct timer timer;   /* the deadline; after the end: when to forget */
    struct job **ended;   /* in the order in which they ended; NULL once released */
    size_t ended_count, ended_capacity;
    size_t released_count; /* the first so many are released */
    struct proto_counts counts;
    uint64_t ended_record, busy_ms;
    int64_t accepted_at, ended_at;
    enum proto_policy policy;
    uint32_t failures_max, concurrency;
    bool sealed, cancelling, is_ended, is_forgotten;
    const char *failure; /* "", "cancelled" or "timeout.group" */
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
    uint32_t number, flags;
    bool opened;
};

struct session {
    struct ag_map_node node; /* by instance */
    struct timer timer;      /* silence */
    struct ag_link all;
    enum proto_role role;
    uint32_t peer;
    int64_t heard_at;
    struct name *name;
    char *host, *software, *tags;
    /* a worker's */
    struct ag_link held;
    struct offer *offers;
    uint32_t offers_count;
    uint64_t succeeded, failed, released;
    /* a client's */
    struct ag_link watches;
    uint32_t watches_count;
};

/* An answer that waits for a commit. */
struct answer {
    uint64_t record; /* it may leave when this one is durable */
    struct effect effect;
};

struct core {
    struct core_config config;
    struct core_counters counters;
    struct ag_random random;
    struct ag_map jobs, groups, sessions;
    struct ag_heap timers;
    struct ag_link kinds, all_sessions, sweeps, due;
    uint64_t kinds_count, workers, clients;
    uint64_t states[JOB_STATES_COUNT];
    uint64_t bytes;
    uint64_t records, committed;
    struct answer *answers; /* a ring */
    size_t answers_first, answers_count, answers_capacity;
    struct effects effects;
    void **trash; /* what effects of this step point at: freed at the next */
    size_t trash_count, trash_capacity;
    int64_t now;
    bool stopping;
    bool unfinished; /* a slice was full: go on at once */
    struct ag_buffer constants[2];
    core_trace_fn *trace;
    void *trace_arg;
};

enum constant { CONSTANT_TIMEOUT_QUEUE, CONSTANT_LOST_POISON };

/* core.c */
__attribute__((format(printf, 2, 3))) void core_tracef(core_t *self, const char *format, ...);
struct effect *core_emit(core_t *self, enum effect_type type, uint32_t peer);
uint64_t core_journal(core_t *self, enum core_record record, const struct job *job,
                      const struct group *group);
/* Room for `count` answers and pieces of trash more. ARGOSY_ENOMEM. */
int core_reserve_answers(core_t *self, size_t count);
/* Send it when everything journalled so far is durable. `owned` (may be NULL) is freed after it. */
void core_answer(core_t *self, const struct effect *effect, void *owned);
void core_flush_answers(core_t *self);
void core_set_timer(core_t *self, struct timer *timer, int64_t at);
/* False, and goes on at the next step, when this one has no room for `more` effects. */
bool core_has_room(core_t *self, size_t more);
struct name *name_new(struct ag_bytes text);
struct name *name_ref(struct name *name);
void name_unref(struct name **name_p);
/* A copy; absent stays absent. *failed is set when memory is short. */
struct ag_bytes bytes_copy(struct ag_bytes bytes, bool *failed);
char *text_copy(struct ag_bytes text, bool *failed);

/* job.c */
struct job *job_find(const core_t *self, const struct ag_id *id);
struct job *job_new(const struct proto_submit_job *spec, struct lane *lane);
void job_free(core_t *self, struct job *job);
void job_accept(core_t *self, struct job *job, uint32_t delay_ms);
void job_enter(core_t *self, struct job *job, enum job_state next);
void job_cancel(core_t *self, struct job *job);
void job_on_timer(core_t *self, struct job *job);
void job_forget(core_t *self, struct job *job);
bool job_is_held(const struct job *job);
bool job_has_ended(const struct job *job);
struct proto_token job_token(const core_t *self, const struct job *job);
uint64_t job_bytes(const struct job *job);

/* group.c */
struct group *group_find(const core_t *self, const struct ag_id *id);
struct group *group_new(const struct proto_group *spec);
void group_free(struct group *group);
void group_accept(core_t *self, struct group *group, uint32_t deadline_ms);
int group_reserve(struct group *group, size_t more);
void group_count(struct group *group, enum job_state state, int by);
void group_on_job_end(core_t *self, struct group *group, struct job *job);
void group_seal(core_t *self, struct group *group);
void group_cancel(core_t *self, struct group *group, const char *failure);
void group_on_timer(core_t *self, struct group *group);
void group_sweep(core_t *self);

/* queue.c */
struct kind *kind_find(const core_t *self, struct ag_bytes name);
struct kind *kind_of(core_t *self,
                     struct ag_bytes name); /* made if new; NULL: no memory, too many */
struct lane *lane_of(struct kind *kind, struct group *group); /* made if new; NULL: no memory */
void lane_update(struct lane *lane);
void offer_update(struct offer *offer);
void queue_dispatch(core_t *self);

/* lease.c */
struct offer *offer_of(struct session *worker, const struct kind *kind);
void lease_take(core_t *self, struct job *job, struct offer *offer);
void lease_lose(core_t *self, struct job *job);
void lease_release(core_t *self, struct job *job);
void on_credit(core_t *self, struct session *worker, const struct proto_credit *credit);
int on_results(core_t *self, struct session *worker, const struct proto_results *results);

/* session.c */
struct session *session_find(const core_t *self, const struct ag_id *instance);
int on_join(core_t *self, const struct core_event *event);
void session_end(core_t *self, struct session *session, const char *why);
void session_on_timer(core_t *self, struct session *session);

/* submit.c */
int on_submit(core_t *self, struct session *client, const struct proto_submit *submit);
int on_cancel(core_t *self, struct session *client, const struct proto_cancel *cancel);
int on_seal(core_t *self, struct session *client, const struct proto_seal *seal);

/* watch.c */
int on_watch(core_t *self, struct session *client, const struct proto_watch *request);
void on_more(core_t *self, struct session *client, const struct proto_more *more);
void watch_destroy(struct watch *watch);
void watch_due(core_t *self, struct watch *watch);
void watch_job_ended(core_t *self, struct job *job);
/* End the watches of a job that is about to be forgotten. */
void watch_forget_job(core_t *self, struct job *job);
void watch_pump(core_t *self);

#endif
