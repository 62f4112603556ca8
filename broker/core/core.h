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
struct record; /* see record.h */

/* Where a job can be; the last three are final. X(NAME, text, meaning) */
#define JOB_STATES(X)                                                                              \
    X(SCHEDULED, "scheduled", "waits for its time: a delay, or a backoff")                         \
    X(BLOCKED, "blocked", "waits for the end of other jobs or groups")                             \
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
    X(UNSENT, "unsent",                                                                            \
      "attempts could not be sent: the worker is not connected any more: unsent")                  \
    X(CREDIT, "credit", "a worker grants credit: credit")                                          \
    X(RESULTS, "results", "a worker reports the ends of attempts: results")                        \
    X(PROGRESS, "progress", "a worker tells how far attempts are: progress")                       \
    X(SUBMIT, "submit", "a client adds groups and jobs: submit")                                   \
    X(WATCH, "watch", "a client follows a group or a job: watch")                                  \
    X(MORE, "more", "a client has taken events: more")                                             \
    X(CANCEL, "cancel", "a client wants things stopped: cancel")                                   \
    X(SEAL, "seal", "a client says that a group is complete: seal")                                \
    X(CONTROL, "control", "a client orders something about the fleet: control")                    \
    X(COMMITTED, "committed", "the store has made records durable: committed")                     \
    X(STORE, "store", "the store has no room for new jobs, or has again: full")                    \
    X(LOADED, "loaded", "what EFFECT_LOAD has asked for: loaded")                                  \
    X(TIMER, "timer", "core_deadline() has passed")                                                \
    X(CLOCK, "clock", "the wall clock was set, or the machine slept: unix_offset_ms")              \
    X(STOPPING, "stopping", "the broker is about to stop: nothing new begins")

enum core_event_type {
#define X(name, text, meaning) CORE_##name,
    CORE_EVENTS(X)
#undef X
};

/* When a schedule fires: one of the three. */
struct core_rule {
    int64_t at_unix_ms;   /* once, then; or with every_ms: the first time */
    uint64_t every_ms;    /* 0: not this */
    struct ag_bytes cron; /* empty: not this */
    struct ag_bytes zone; /* of cron; empty: UTC */
    uint32_t times;       /* so many ticks; 0: for ever */
};

/* What to do about ticks that passed while the broker was away. */
enum core_catch_up { CATCH_UP_SKIP, CATCH_UP_ONCE, CATCH_UP_ALL };

enum core_verb {
    VERB_PAUSE,           /* queue: nothing of it begins */
    VERB_RESUME,          /* queue */
    VERB_LIMIT,           /* queue, number: so many of it run at once; 0 no limit */
    VERB_DURABILITY,      /* queue, relaxed: what happens to its jobs is told at once */
    VERB_DRAIN,           /* worker (name), number: grace in ms */
    VERB_RETRY,           /* id of a job that failed or was cancelled, again as `as` */
    VERB_REMOVE,          /* id of a job or group that has ended */
    VERB_SCHEDULE_ADD,    /* id, name, rule, catch_up, job */
    VERB_SCHEDULE_REMOVE, /* id */
    VERBS_COUNT
};

struct core_control {
    uint64_t request;
    enum core_verb verb;
    struct ag_bytes queue, worker, name;
    struct ag_id id, as;
    uint32_t number;
    bool relaxed;
    struct core_rule rule;
    enum core_catch_up catch_up;
    struct ag_bytes job; /* see ag_proto_decode_job() */
};

/* From the store, as EFFECT_LOAD has named it. */
struct core_loaded {
    struct ag_id id;
    uint64_t number, ended;
    bool is_there;
    struct ag_bytes bytes;
};

struct core_event {
    enum core_event_type type;
    int64_t now;
    uint32_t peer;         /* the connection it came from */
    struct ag_id instance; /* who sent it; zero for COMMITTED, STORE, TIMER, CLOCK, STOPPING */
    union {
        const struct proto_hello *hello;
        const struct proto_tokens *unsent;
        const struct proto_credit *credit;
        const struct proto_results *results;
        const struct proto_submit *submit;
        const struct proto_watch *watch;
        const struct proto_more *more;
        const struct proto_cancel *cancel;
        const struct proto_seal *seal;
        const struct proto_progress *progress;
        const struct core_control *control;
        uint64_t committed; /* records up to this number */
        bool full;
        const struct core_loaded *loaded;
        int64_t unix_offset_ms; /* as in struct core_config, from now on */
    };
};

enum effect_type {
    EFFECT_LOAD,     /* read a job's payload or result from the store: CORE_LOADED */
    EFFECT_JOURNAL,  /* make this durable; records are numbered in the order of these */
    EFFECT_WELCOME,  /* tell the peer that its session stands */
    EFFECT_REJECT,   /* refuse the peer's message */
    EFFECT_CLOSE,    /* the peer's session is over: forget its connection */
    EFFECT_RUN,      /* tell the worker to run this attempt */
    EFFECT_STOP,     /* tell the worker to stop this attempt */
    EFFECT_RECALL,   /* ask the worker for this attempt if it has not begun */
    EFFECT_DRAIN,    /* tell the worker to leave */
    EFFECT_RECORDED, /* tell the worker to forget this result */
    EFFECT_ACCEPTED, /* answer a SUBMIT */
    EFFECT_EVENTS,   /* tell a watching client */
    EFFECT_NEWS,     /* tell it about progress */
    EFFECT_ANSWER,   /* answer a CANCEL, SEAL or CONTROL */
    EFFECT_ALARM     /* warn the people: jobs wait that no worker can take */
};

/* What changed, for the store: enough to restore the state from all records since the beginning.
 * core_write_record() turns one into bytes, core_restore() takes them back. */
enum core_record {
    RECORD_GROUP,    /* a new group */
    RECORD_JOB,      /* a new job */
    RECORD_SEAL,     /* the group takes no more jobs */
    RECORD_STOP,     /* the group is being cancelled */
    RECORD_CANCEL,   /* the job is being cancelled */
    RECORD_ATTEMPT,  /* an attempt ended, the job goes on */
    RECORD_END,      /* the job ended */
    RECORD_ENDED,    /* the group ended */
    RECORD_FORGET,   /* the job, group or schedule is deleted */
    RECORD_QUEUE,    /* how a queue is: paused, limited, relaxed */
    RECORD_SCHEDULE, /* a new schedule, or one that has fired */
    RECORD_GONE, /* never written by the core: what a store that forgets has summed up of a group */
    RECORD_WORKER /* a worker may be given jobs from now on, or not any more */
};

/* Of what a RECORD_FORGET is. */
enum core_subject { SUBJECT_JOB, SUBJECT_GROUP, SUBJECT_SCHEDULE };

/* What forgotten jobs leave behind in the counts of their group. */
struct core_gone {
    uint64_t succeeded, failed, cancelled, retried, unconfirmed, busy_ms;
};

struct queue;
struct schedule;

struct effect {
    enum effect_type type;
    uint32_t peer; /* whom to tell; not for JOURNAL and ALARM */
    union {
        struct {
            enum core_record record;
            struct ag_id id;       /* of the job, group or worker */
            uint64_t number;       /* of the job or group: its first record's */
            const struct job *job; /* one of the four; none for RECORD_FORGET */
            const struct group *group;
            const struct queue *queue;
            const struct schedule *schedule;
            enum core_subject subject; /* of RECORD_FORGET, and the rest as well */
            uint64_t ended; /* of a job: the number of its RECORD_END; of a group: its own when all
                               of its jobs are forgotten, which follows a first one with 0 */
            uint64_t group_number; /* of the group that it is in; 0 none */
            struct core_gone gone;
            const char *worker; /* its name; its instance is `id` */
            bool has_left;
        } journal;
        struct {
            struct ag_id id;
            uint64_t number; /* of the job */
            uint64_t ended;  /* of its RECORD_END: its result is wanted; 0: its payload */
        } load;
        struct {
            enum proto_role role;
            struct ag_id instance;
        } welcome;
        struct {
            const char *type, *message;
            uint32_t about;
        } reject;
        struct proto_job run;
        struct proto_token token; /* STOP, RECORDED, RECALL */
        uint32_t grace_ms;        /* DRAIN */
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
            uint32_t watch;
            struct proto_news_item item; /* points into the event of this step */
        } news;
        struct {
            uint64_t request;
            const char *type, *message; /* type "": it worked */
            uint64_t cancelled, cancelling, ended;
            uint32_t unknown_count;
            struct ag_id *unknown; /* valid until the next step */
        } answer;
        struct {
            const char *kind, *requires; /* valid until the next step */
            uint64_t queued;
            int64_t unserved_ms;
        } alarm;
    };
};

/* What a step wants done, in order. */
struct effects {
    struct effect *items;
    size_t count, capacity;
};

/* The arithmetic of cron lines and time zones, which needs tables that are not the core's. All
 * NULL: schedules with cron lines are refused. */
struct core_calendar {
    /* NULL, with a sentence in err, when the line or the zone is not sound. */
    void *(*open)(struct ag_bytes cron, struct ag_bytes zone, struct argosy_error *err);
    int64_t (*next)(void *rule, int64_t after_unix_ms); /* INT64_MAX: never */
    void (*close)(void *rule);
};

struct core_config {
    struct core_calendar calendar;
    uint64_t epoch;         /* of this life of the broker; higher than any before */
    uint64_t seed;          /* for jitter and for the hash tables */
    int64_t unix_offset_ms; /* unix time minus `now`: for schedules, and what outlives the broker */
    uint32_t heartbeat_ms;
    uint32_t grace_ms;      /* default grace of a stop */
    uint32_t result_ttl_ms; /* how long an ended group is remembered */
    uint32_t sessions_max;
    uint32_t awake_max; /* jobs of one lane of which more than a line is kept; 0: all. The rest
                           needs a store that answers EFFECT_LOAD */
    uint32_t result_kept_bytes; /* larger results are put aside, with such a store */
    uint64_t jobs_max;          /* beyond it, submitters are pushed back */
    uint64_t bytes_max;         /* of jobs, payloads and results, likewise */
};

/* X(name, help): what the broker counts; `argosy status` shows them. */
#define CORE_COUNTERS(X)                                                                           \
    X(submitted, "jobs accepted")                                                                  \
    X(repeated, "jobs submitted again, accepted once")                                             \
    X(refused, "jobs refused")                                                                     \
    X(deleted, "jobs forgotten after their time")                                                  \
    X(dispatched, "attempts given to workers")                                                     \
    X(retried, "attempts that failed and were tried again")                                        \
    X(over_budget, "failures that were not tried again because a retry budget was spent")          \
    X(lost, "attempts lost with their worker")                                                     \
    X(unconfirmed, "cancelled attempts whose worker did not say that they stopped")                \
    X(recalled, "attempts asked back before they began")                                           \
    X(adopted, "attempts that went on through a restart of the broker")                            \
    X(ticks, "jobs made by schedules")                                                             \
    X(news_dropped, "news that a watching client had no credit for")                               \
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

/* The event that a message of a peer in session is: `in` must stay. CORE_ALIVE for what means
 * nothing more to the core, and for AG_CONTROL, whose arguments the caller has to read. */
void core_event_of(const struct proto *in, struct core_event *out);

/* ---- the journal ----------------------------------------------------------------------------- */

/* Append an EFFECT_JOURNAL as bytes; its pointers count until the next step. */
void core_write_record(core_t *self, const struct effect *journal, struct ag_buffer *out);

/* Take back one record (record.h) with its number, in the order in which they were written, into a
 * core that has seen no event yet. Records of what was forgotten may be left out, together: a job's
 * with its RECORD_FORGET, a group's with those of its jobs; a RECORD_GONE right behind its
 * RECORD_GROUP tells then what is missing. ARGOSY_EPROTO: it fits to nothing before it;
 * ARGOSY_ENOMEM. */
int core_restore(core_t *self, int64_t now, uint64_t number, const struct record *record,
                 struct argosy_error *err);

/* All is restored: records of this life are numbered from the one after `last`. */
void core_restored(core_t *self, uint64_t last);

/* ---- telling --------------------------------------------------------------------------------- */

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

/* Why a job is not running. X(NAME, code, what would change that) */
#define CORE_REASONS(X)                                                                            \
    X(NONE, "", "")                                                                                \
    X(STOPPING, "broker.stopping",                                                                 \
      "the broker is stopping and begins nothing new: start it again")                             \
    X(RECOVERING, "broker.recovering",                                                             \
      "the broker has just started and waits for its workers to come back: it goes on by itself")  \
    X(MEMORY, "broker.memory",                                                                     \
      "the broker's memory is full of results that nobody has taken: take or cancel them, or "     \
      "give "                                                                                      \
      "it more with --memory-max")                                                                 \
    X(DELAY, "delay", "its time has not come: it goes on by itself")                               \
    X(BACKOFF, "backoff", "it failed and waits before its next attempt: it goes on by itself")     \
    X(AFTER, "after", "what it waits for has not ended")                                           \
    X(UNIQUE, "unique", "another job with the same --unique key has not ended")                    \
    X(MEMBERS, "members", "this group within a group has not ended")                               \
    X(PAUSED, "queue.paused", "its queue is paused: argosy resume QUEUE")                          \
    X(QUEUE_LIMIT, "queue.limit", "its queue runs as many jobs at once as it may")                 \
    X(GROUP_LIMIT, "group.concurrency",                                                            \
      "its batch runs as many jobs at once as its --concurrency allows")                           \
    X(GROUP_RATE, "group.rate", "its batch begins as many jobs a minute as its --rate allows")     \
    X(KEY_LIMIT, "key.limit", "as many jobs with its key run at once as may (--per-host)")         \
    X(KEY_CLOSED, "key.closed",                                                                    \
      "its key is closed for a while: a delay between jobs, or a server's Retry-After")            \
    X(NO_WORKER, "worker.none", "no worker offers this kind: start one with --kinds")              \
    X(NO_TAGS, "worker.tags", "no worker of this kind has the tags that it requires: --tag")       \
    X(SUSPECT, "suspect", "its workers were lost: it waits for a worker that it has for itself")   \
    X(BUSY, "worker.busy",                                                                         \
      "every worker of this kind is busy: start more, or give them more --slots")                  \
    X(SOON, "soon", "it is about to be given out")                                                 \
    X(CANCELLING, "cancelling", "it was told to stop and its worker has not confirmed yet")

enum core_reason {
#define X(name, code, text) REASON_##name,
    CORE_REASONS(X)
#undef X
};

struct core_job_view {
    struct ag_id id;
    const char *state, *kind, *queue, *worker; /* worker "" if none */
    const char *key, *requires;                /* "" if none */
    struct ag_id group;                        /* zero if none */
    struct ag_id waits_for;                    /* the first that it is blocked by; else zero */
    uint32_t index, attempt, attempts_max, priority, losses;
    uint32_t permille; /* AG_PERMILLE_UNKNOWN: nothing is known, or nobody holds it */
    int64_t queued_ms, run_ms;
    int64_t due_ms;           /* scheduled: until its time; else 0 */
    const char *reason, *why; /* a code and a sentence; "" if it runs or has ended */
    struct ag_bytes error;    /* of a failure */
};

struct core_group_view {
    struct ag_id id, parent;
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

/* Which jobs to list; empty and zero: all. */
struct core_filter {
    int state; /* enum job_state, or -1 */
    struct ag_bytes kind, queue;
    struct ag_id group;
};

/* Calls fn for up to `limit` jobs that match, oldest first, and looks at a bounded number only.
 * *cursor says where to begin (zero: the oldest) and is set to where to go on; false when nothing
 * is left. What ends or begins meanwhile may be missed or seen, what stays is seen once. */
struct core_cursor {
    uint64_t number;
    struct ag_id id; /* the last one that was looked at */
};
bool core_list(const core_t *self, const struct core_filter *filter, struct core_cursor *cursor,
               uint32_t limit, void (*fn)(void *arg, const struct core_job_view *), void *arg);

struct core_queue_view {
    const char *name;
    bool paused, relaxed;
    uint32_t limit;
    uint64_t waiting, running;
    uint32_t workers;    /* that offer a kind which waits in it */
    int64_t unserved_ms; /* how long something waits that no worker could take; 0: no */
};
void core_each_queue(const core_t *self, void (*fn)(void *arg, const struct core_queue_view *),
                     void *arg);

struct core_schedule_view {
    struct ag_id id;
    const char *name, *kind;
    struct core_rule rule;
    enum core_catch_up catch_up;
    int64_t next_unix_ms; /* INT64_MAX: never again */
    uint64_t fired;
};
void core_each_schedule(const core_t *self,
                        void (*fn)(void *arg, const struct core_schedule_view *), void *arg);

/* What has happened, for `argosy events`: kept in a ring, numbered from 1. */
struct core_happening {
    uint64_t number;
    int64_t at;        /* unix ms */
    const char *what;  /* "job", "group", "worker", "kind" */
    const char *state; /* what became of it */
    struct ag_id id;   /* of a job or group */
    const char *kind;  /* the kind, or the job's; else "" */
    uint32_t attempt;
    const char *name; /* the worker's, the group's; of a kind: the tags required; "" if none */
};

/* Calls fn for up to `limit` of them after `number`; returns how many were missed because the ring
 * has gone round. */
uint64_t core_happenings(const core_t *self, uint64_t number, uint32_t limit,
                         void (*fn)(void *arg, const struct core_happening *), void *arg);

/* ---- for tests, the simulator and the log ---------------------------------------------------- */

/* The first invariant that does not hold, as a sentence; NULL when all is well. O(jobs). */
const char *core_broken_invariant(const core_t *self);

/* What happened, line by line: the broker logs it at level debug, tests compare it. */
typedef void core_trace_fn(void *arg, const char *line);
void core_trace(core_t *self, core_trace_fn *fn, void *arg);

const char *job_state_name(enum job_state state);

#endif
