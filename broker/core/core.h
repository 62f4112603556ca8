/* core.h - the broker's heart: jobs, groups, workers and leases as one pure state machine.
 *
 *     wire message -> decode -> core_step() -> effects -> encode -> wire message
 *
 * Start here: core_new(), core_step(), struct effects. The core never reads a clock, a socket, a
 * file or a random source: facts come in as events, wishes go out as effects, in order. So a whole
 * fleet runs in one process under a fake clock, and a failing seed replays exactly.
 *
 * A step does a bounded amount of work. What is left over (a large group being cancelled, a long
 * queue being given out) goes on at the next step: core_deadline() is then not after `now`.
 *
 * Threads: one at a time. Units: milliseconds of a monotonic clock that the caller reads.
 */
#ifndef BROKER_CORE_H
#define BROKER_CORE_H

#include "common/buffer.h"
#include "common/id.h"
#include "common/proto.h"

typedef struct core core_t;
struct job; /* opaque: what an effect points at may be read with core_describe() */
struct group;

/* Where a job can be; the last three are final. X(NAME, text, meaning) */
#define JOB_STATES(X)                                                                              \
    X(SCHEDULED, "scheduled", "waits for its time: a delay, or a backoff")                         \
    X(QUEUED, "queued", "waits for a slot")                                                        \
    X(RUNNING, "running", "a worker holds it")                                                     \
    X(CANCELLING, "cancelling", "a worker holds it and was told to stop")                          \
    X(SUCCEEDED, "succeeded", "ended well")                                                        \
    X(FAILED, "failed", "ended badly, and will not be tried again")                                \
    X(CANCELLED, "cancelled", "ended because somebody wanted it to")

enum job_state {
#define X(name, text, meaning) JOB_##name,
    JOB_STATES(X)
#undef X
        JOB_STATES_COUNT
};

/* X(NAME, text, member of struct core_event that counts) */
#define CORE_EVENTS(X)                                                                             \
    X(JOIN, "join", "a peer said HELLO: hello")                                                    \
    X(ALIVE, "alive", "a peer said something that changes nothing else")                           \
    X(LEAVE, "leave", "a peer said BYE")                                                           \
    X(GONE, "gone", "nothing can be sent to this peer any more")                                   \
    X(CREDIT, "credit", "a worker grants credit: credit")                                          \
    X(RESULTS, "results", "a worker reports the ends of attempts: results")                        \
    X(SUBMIT, "submit", "a client adds groups and jobs: submit")                                   \
    X(WATCH, "watch", "a client follows a group or a job: watch")                                  \
    X(MORE, "more", "a client has taken events: more")                                             \
    X(CANCEL, "cancel", "a client wants things stopped: cancel")                                   \
    X(SEAL, "seal", "a client says that a group is complete: seal")                                \
    X(COMMITTED, "committed", "the store has made records durable: committed")                     \
    X(TIMER, "timer", "core_deadline() has passed")                                                \
    X(STOPPING, "stopping", "the broker is about to stop: nothing new begins")

enum core_event_type {
#define X(name, text, meaning) CORE_##name,
    CORE_EVENTS(X)
#undef X
};

struct core_event {
    enum core_event_type type;
    int64_t now;
    uint32_t peer;         /* the connection it came from */
    struct ag_id instance; /* who sent it; zero for COMMITTED, TIMER, STOPPING */
    union {
        const struct proto_hello *hello;
        const struct proto_credit *credit;
        const struct proto_results *results;
        const struct proto_submit *submit;
        const struct proto_watch *watch;
        const struct proto_more *more;
        const struct proto_cancel *cancel;
        const struct proto_seal *seal;
        uint64_t committed; /* records up to this number */
    };
};

enum effect_type {
    EFFECT_JOURNAL,  /* make this durable; records are numbered from 1 in the order of these */
    EFFECT_WELCOME,  /* tell the peer that its session stands */
    EFFECT_REJECT,   /* refuse the peer's message */
    EFFECT_CLOSE,    /* the peer's session is over: forget its connection */
    EFFECT_RUN,      /* tell the worker to run this attempt */
    EFFECT_STOP,     /* tell the worker to stop this attempt */
    EFFECT_RECORDED, /* tell the worker to forget this result */
    EFFECT_ACCEPTED, /* answer a SUBMIT */
    EFFECT_EVENTS,   /* tell a watching client */
    EFFECT_ANSWER    /* answer a CANCEL or SEAL */
};

/* What changed, for the store: enough to restore the state from all records since the beginning. */
enum core_record {
    RECORD_GROUP,   /* a new group */
    RECORD_JOB,     /* a new job */
    RECORD_SEAL,    /* the group takes no more jobs */
    RECORD_STOP,    /* the group is being cancelled */
    RECORD_CANCEL,  /* the job is being cancelled */
    RECORD_ATTEMPT, /* an attempt ended, the job goes on */
    RECORD_END,     /* the job ended */
    RECORD_ENDED,   /* the group ended */
    RECORD_FORGET   /* the job or the group is deleted */
};

struct effect {
    enum effect_type type;
    uint32_t peer; /* whom to tell; not for JOURNAL */
    union {
        struct {
            enum core_record record;
            struct ag_id id;       /* of the job or group */
            const struct job *job; /* one of the two; both NULL for RECORD_FORGET */
            const struct group *group;
        } journal;
        struct {
            enum proto_role role;
            struct ag_id instance;
        } welcome;
        struct {
            const char *type, *message;
            uint32_t about;
        } reject;
        struct proto_job run;
        struct proto_token token; /* STOP, RECORDED */
        struct {
            uint64_t request;
            uint32_t accepted, repeated, refused_count, retry_after_ms;
            struct proto_refusal *refused; /* valid until the next step */
        } accepted;
        struct {
            uint32_t watch, flags, count;
            uint64_t cursor; /* before these events */
            enum proto_end end;
            const struct group *group;     /* the target, or */
            const struct job *const *jobs; /* `count` ended jobs; valid until the next step */
            const struct job *job;         /* the target */
        } events;
        struct {
            uint64_t request;
            const char *type, *message; /* type "": it worked */
            uint64_t cancelled, cancelling, ended;
            uint32_t unknown_count;
            struct ag_id *unknown; /* valid until the next step */
        } answer;
    };
};

/* What a step wants done, in order. */
struct effects {
    struct effect *items;
    size_t count, capacity;
};

struct core_config {
    uint64_t epoch;         /* of this life of the broker; higher than any before */
    uint64_t seed;          /* for jitter and for the hash tables */
    int64_t unix_offset_ms; /* unix time minus `now`, for times that people read */
    uint32_t heartbeat_ms;
    uint32_t grace_ms;      /* default grace of a stop */
    uint32_t result_ttl_ms; /* how long an ended group is remembered */
    uint32_t sessions_max;
    uint64_t jobs_max;  /* beyond it, submitters are pushed back */
    uint64_t bytes_max; /* of jobs, payloads and results, likewise */
};

/* X(name, help): what the broker counts; `argosy status` shows them. */
#define CORE_COUNTERS(X)                                                                           \
    X(submitted, "jobs accepted")                                                                  \
    X(repeated, "jobs submitted again, accepted once")                                             \
    X(refused, "jobs refused")                                                                     \
    X(deleted, "jobs forgotten after their time")                                                  \
    X(dispatched, "attempts given to workers")                                                     \
    X(retried, "attempts that failed and were tried again")                                        \
    X(lost, "attempts lost with their worker")                                                     \
    X(released, "attempts handed back")                                                            \
    X(stale, "results of attempts that were not current any more")                                 \
    X(workers_lost, "workers that fell silent")                                                    \
    X(sessions, "sessions opened")                                                                 \
    X(rejected, "messages refused with a type")                                                    \
    X(ignored, "messages that meant nothing in their state")

struct core_counters {
#define X(name, help) uint64_t name;
    CORE_COUNTERS(X)
#undef X
};

struct core_status {
    uint64_t jobs[JOB_STATES_COUNT];
    uint64_t groups, workers, clients;
    uint64_t bytes;
    int64_t unaccounted; /* the conservation law: must read 0 */
    struct core_counters counters;
};

/* Returns NULL when memory is short. */
core_t *core_new(const struct core_config *config);
void core_destroy(core_t **self_p);

/* Take one event; *out points at what must be done about it, valid until the next step.
 * ARGOSY_ENOMEM: nothing has changed, there is nothing to do, and the sender will ask again. */
int core_step(core_t *self, const struct core_event *event, const struct effects **out);

/* When to come back with CORE_TIMER; INT64_MAX if nothing waits. */
int64_t core_deadline(const core_t *self);

/* How an ended job went, as an entry of EVENTS. `attempts` is a buffer that the entry points into.
 */
void core_describe(const core_t *self, const struct job *job, uint32_t flags,
                   struct ag_buffer *attempts, struct proto_event *out);

/* Whether a watch of failures wants to see it. */
bool core_is_failure(const struct job *job);

/* The head of an EVENTS message: counts, name, failure, times of the target. */
void core_describe_target(const core_t *self, const struct effect *events,
                          struct proto_events *out);

/* ---- looking, for QUERY ---------------------------------------------------------------------- */

void core_status(const core_t *self, struct core_status *out);

struct core_worker_view {
    const char *name, *host, *software, *tags; /* tags joined by commas */
    int64_t silent_ms;
    uint64_t succeeded, failed, released;
    uint32_t kinds_count;
    struct {
        const char *kind;
        uint32_t slots, credit, held;
    } kinds[AG_KINDS_MAX];
};

/* Calls fn for each worker. */
void core_each_worker(const core_t *self, void (*fn)(void *arg, const struct core_worker_view *),
                      void *arg);

struct core_job_view {
    const char *state, *kind, *worker; /* worker "" if none */
    struct ag_id group;                /* zero if none */
    uint32_t index, attempt;
    int64_t queued_ms, run_ms;
    const char *why; /* why it is not running, and what would change that; "" if it runs */
};

struct core_group_view {
    const char *name, *policy, *failure;
    bool sealed, cancelling, ended;
    struct proto_counts counts;
};

/* Which of the two was found; both false if none. */
struct core_found {
    bool job, group;
};
struct core_found core_show(const core_t *self, const struct ag_id *id, struct core_job_view *job,
                            struct core_group_view *group);

/* ---- for tests, the simulator and the log ---------------------------------------------------- */

/* The first invariant that does not hold, as a sentence; NULL when all is well. O(jobs). */
const char *core_broken_invariant(const core_t *self);

/* What happened, line by line: the broker logs it at level debug, tests compare it. */
typedef void core_trace_fn(void *arg, const char *line);
void core_trace(core_t *self, core_trace_fn *fn, void *arg);

const char *job_state_name(enum job_state state);

#endif
