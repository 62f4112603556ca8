/* client.h - submit jobs to a fleet, follow them, and get one report of what failed.
 *
 *     argosy_client_new(&client, &(struct argosy_client_config){0}, &err);
 *     argosy_batch_new(&batch, client, &(struct argosy_group){.name = "pages"}, 0, &err);
 *     argosy_batch_add(batch, &job, NULL, &err);
 *     argosy_batch_seal(batch);
 *     while (argosy_client_next(client, -1, &event, &err) > 0 && event.type != ARGOSY_BATCH_ENDED)
 *         if (event.type == ARGOSY_JOB_ENDED)
 *             use(&event);
 *     argosy_report_write_text(argosy_batch_report(batch), stderr);
 *
 * doc/examples/gather.c is a whole program. Everything that is sent is sent again until the broker
 * has answered, over as many connections as it takes; nothing is done twice for it.
 *
 * Structs that are passed in: zero is the default of every field. Ids are 26 characters.
 * Threads: a client and its batches belong to one thread at a time. Blocking: only
 * argosy_client_next(), for as long as it is told. Units: milliseconds, bytes.
 */
#ifndef ARGOSY_CLIENT_H
#define ARGOSY_CLIENT_H

#include <argosy/report.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { ARGOSY_ID_SIZE = 27 }; /* an id as text, with its zero */

typedef struct argosy_client argosy_client;
typedef struct argosy_batch argosy_batch;

struct argosy_client_config {
    const char *const *endpoints; /* tried in turn; none: the user's own broker on this machine */
    size_t endpoints_count;
    const char *name;           /* how the broker's lists call it; NULL: the program's name */
    uint32_t broker_timeout_ms; /* how long to wait for a broker; 0: 30 seconds */
};

/* Connects in the background. ARGOSY_EINVAL for a bad endpoint, ARGOSY_EIO, ARGOSY_ENOMEM. */
ARGOSY_API int argosy_client_new(argosy_client **out, const struct argosy_client_config *config,
                                 struct argosy_error *err);

/* What was accepted goes on without the client. Batches must be destroyed first. */
ARGOSY_API void argosy_client_destroy(argosy_client **self_p);

/* ---- what happens -------------------------------------------------------------------------------
 */

enum argosy_event_type {
    ARGOSY_CONNECTED = 1,  /* a session with the broker stands */
    ARGOSY_DISCONNECTED,   /* the broker does not answer any more; waiting for it */
    ARGOSY_BATCH_OPEN,     /* what was added so far is at the broker; the batch takes more */
    ARGOSY_BATCH_ACCEPTED, /* the sealed batch is at the broker, whole */
    ARGOSY_JOB_ENDED,      /* job, state and what it made; kind "group": a batch in the batch */
    ARGOSY_JOB_NEWS,       /* how far a job is, and what it has made so far (ARGOSY_NEWS) */
    ARGOSY_PROGRESS,       /* new counts */
    ARGOSY_BATCH_ENDED,    /* every job has ended: counts, failure; the report is complete */
    ARGOSY_BATCH_UNKNOWN,  /* the broker knows nothing of it (any more): the batch is over */
    ARGOSY_ANSWER          /* to argosy_query(), argosy_control() and argosy_cancel() */
};

enum argosy_job_state { ARGOSY_SUCCEEDED = 1, ARGOSY_FAILED = 2, ARGOSY_CANCELLED = 3 };

/* Everything that is pointed to lives until the next call with the client or its batches. */
struct argosy_event {
    enum argosy_event_type type;
    argosy_batch *batch; /* NULL for CONNECTED, DISCONNECTED, ANSWER */
    /* JOB_ENDED */
    char job[ARGOSY_ID_SIZE];
    uint32_t index; /* its place in the batch, from 0 */
    const char *kind;
    enum argosy_job_state state;
    uint32_t attempt, attempts_max;
    const char *worker; /* of the last attempt; "" if it never ran */
    uint32_t queued_ms, run_ms;
    const void *result; /* msgpack of the kind's own; NULL if none; of news: what it made so far */
    size_t result_size;
    const struct argosy_node *error; /* what failed; also what a success could not do; or NULL */
    size_t attempts_count;
    const struct argosy_attempt *attempts; /* that did not succeed, also those of a success */
    /* JOB_NEWS: told once, nothing of it is kept; a gap in `sequence` shows what was missed */
    uint32_t permille; /* 0-1000; 1001: not known */
    const char *note;
    uint32_t sequence; /* of results so far, from 1; 0: only progress */
    /* PROGRESS, BATCH_ENDED */
    struct argosy_counts counts;
    uint64_t waiting, running;
    const char *failure; /* of the batch itself: "timeout.group", "cancelled" or "" */
    /* ANSWER */
    uint64_t request;
    const char *answer_type, *answer_message; /* "" when it worked */
    const void *body;                         /* a msgpack map, see doc/protocol.md */
    size_t body_size;
};

/* The next event, waiting for at most timeout_ms (-1: for ever; 0: not at all). Returns 1, 0 when
 * there is none (also when a signal came), or ARGOSY_ENOBROKER when none has answered for
 * broker_timeout_ms, ARGOSY_EREJECTED when the broker will not have this client, ARGOSY_EIO,
 * ARGOSY_ENOMEM. */
ARGOSY_API int argosy_client_next(argosy_client *self, int timeout_ms, struct argosy_event *event,
                                  struct argosy_error *err);

/* For a poll loop of your own: when it is readable, or argosy_client_wait_ms() are over, call
 * argosy_client_next(self, 0, ...) until it returns 0. It is edge-triggered. */
ARGOSY_API int argosy_client_fd(const argosy_client *self);
ARGOSY_API int argosy_client_wait_ms(const argosy_client *self);

/* ---- batches ------------------------------------------------------------------------------------
 */

enum argosy_policy {
    ARGOSY_GATHER = 0,    /* every job runs, whatever fails */
    ARGOSY_TASKGROUP = 1, /* failures cancel the rest */
    ARGOSY_RACE = 2       /* the first success cancels the rest */
};

struct argosy_group {
    const char *name; /* for reports and lists */
    enum argosy_policy policy;
    uint32_t max_failures; /* that a taskgroup tolerates */
    uint32_t deadline_ms;  /* for the whole batch; 0: none */
    uint32_t concurrency;  /* jobs at once; 0: what the workers offer */
    argosy_batch *parent;  /* the batch that it is part of, as one member; must outlive it */
    uint32_t max_failures_percent; /* a taskgroup tolerates this share of its jobs as well, 0-100 */
    uint32_t successes;            /* so many cancel the rest; 0: never (race: 1) */
    uint32_t min_successes;        /* with fewer it has failed ("group.successes"); 0: none */
    bool gentle;                   /* instead of cancelling, let running jobs end */
    uint32_t rate_per_minute;      /* jobs that begin; 0: no limit */
    uint32_t ttl_ms;               /* how long its end is remembered; 0: as the broker says */
};

enum argosy_batch_flags {
    ARGOSY_WITHOUT_RESULTS = 1, /* do not send what succeeding jobs made */
    ARGOSY_ONLY_FAILURES = 2,   /* JOB_ENDED only for failures, whole or in part */
    ARGOSY_KEEP = 4,            /* others will want it too: the broker keeps what was sent */
    ARGOSY_DETACHED = 8,        /* do not follow it; implies ARGOSY_KEEP */
    ARGOSY_NEWS = 16,           /* JOB_NEWS as well */
    ARGOSY_KEEP_TO_END = 32     /* what was sent is kept until all have ended: later ones want it */
};

/* ARGOSY_ENOMEM, ARGOSY_EINVAL (a name that is too long), ARGOSY_EIO (no randomness). */
ARGOSY_API int argosy_batch_new(argosy_batch **out, argosy_client *client,
                                const struct argosy_group *group, unsigned flags,
                                struct argosy_error *err);

enum argosy_unique {
    ARGOSY_UNIQUE_REJECT = 0, /* refuse the job, "rejected.unique" */
    ARGOSY_UNIQUE_JOIN = 1,   /* end as the other one does */
    ARGOSY_UNIQUE_REPLACE = 2 /* cancel the other one first */
};

struct argosy_job {
    const char *kind;
    const void *payload; /* msgpack; copied */
    size_t payload_size; /* at most 512 KiB */
    uint32_t run_ms, queue_ms, delay_ms, grace_ms;
    struct {
        uint32_t attempts; /* in all; 0: 1 */
        uint32_t base_ms, cap_ms, factor_percent;
        const char *selectors; /* NULL or "": what the worker calls retryable */
        /* 1-100, 0 none: a failure is tried again only while its batch, its key and its queue have
         * had fewer retries than this share of the first attempts begun there, and ten. When that
         * is spent the failure is final, with a note that says whose budget it was. */
        uint32_t budget_percent;
    } retry;
    bool has_priority; /* else 5 */
    uint32_t priority; /* 0-9, 0 first */
    const char *queue; /* what can be paused and limited; NULL: the kind's */
    const char *key;   /* what has limits of its own in the whole fleet, for example a host */
    uint32_t key_max, key_delay_ms; /* jobs of the key at once; between two beginnings */
    const char *const *after;       /* ids of jobs and sealed batches to come after; copied */
    size_t after_count;             /* at most 64 */
    bool after_any;                 /* run however they end; else their failure is its own */
    const char *unique;             /* no two live jobs have the same */
    enum argosy_unique unique_policy;
    const char *requires; /* tags that its worker must have, "gpu,eu" */
    uint32_t ttl_ms;
};

/* Adds a job; `id` (may be NULL) becomes its id. ARGOSY_EAGAIN: too much is unanswered; call
 * argosy_client_next() and then this again. ARGOSY_EINVAL, ARGOSY_ETOOBIG, ARGOSY_ENOMEM,
 * ARGOSY_ESTATE after the seal. */
ARGOSY_API int argosy_batch_add(argosy_batch *self, const struct argosy_job *job,
                                char id[ARGOSY_ID_SIZE], struct argosy_error *err);

/* Add to a batch that is at the broker already and not sealed. What it refuses is in the report;
 * without ARGOSY_DETACHED the batch is followed as by argosy_watch(). */
ARGOSY_API int argosy_batch_attach(argosy_batch **out, argosy_client *client, const char *id,
                                   unsigned flags, struct argosy_error *err);

/* Let it exist at the broker now, also without jobs: ARGOSY_BATCH_OPEN follows. */
ARGOSY_API void argosy_batch_open(argosy_batch *self);

/* No more jobs will follow. */
ARGOSY_API void argosy_batch_seal(argosy_batch *self);

/* Ask for its end: queued jobs end at once, running ones when their workers have stopped them; the
 * batch ends when all have. */
ARGOSY_API int argosy_batch_cancel(argosy_batch *self, struct argosy_error *err);

ARGOSY_API const char *argosy_batch_id(const argosy_batch *self);

/* What failed so far; complete after BATCH_ENDED. Lives as long as the batch. */
ARGOSY_API const argosy_report *argosy_batch_report(const argosy_batch *self);

/* Stop following it; what the broker has goes on. */
ARGOSY_API void argosy_batch_destroy(argosy_batch **self_p);

/* Follow a batch or a job that is at the broker already. ARGOSY_EINVAL when `id` is no id. */
ARGOSY_API int argosy_watch(argosy_batch **out, argosy_client *client, const char *id,
                            unsigned flags, struct argosy_error *err);

/* ---- requests: each is answered by an ARGOSY_ANSWER with its number
 * ------------------------------- */

/* Cancel jobs and batches by id, at most 64. ARGOSY_EINVAL names what is no id. */
ARGOSY_API int argosy_cancel(argosy_client *self, const char *const *ids, size_t count,
                             uint64_t *request, struct argosy_error *err);

/* Ask the broker: "status", "workers", "show", "list", "queues", "schedules", "events". `arguments` is a msgpack map; NULL: an empty one. */
ARGOSY_API int argosy_query(argosy_client *self, const char *verb, const void *arguments,
                            size_t arguments_size, uint64_t *request, struct argosy_error *err);

/* Order something: "pause", "resume", "limit", "durability", "drain", "retry", "remove",
 * "schedule.add", "schedule.remove"; doc/protocol.md section 6 has their arguments. */
ARGOSY_API int argosy_control(argosy_client *self, const char *verb, const void *arguments,
                              size_t arguments_size, uint64_t *request, struct argosy_error *err);

/* ---- schedules ----------------------------------------------------------------------------------
 */

enum argosy_catch_up { ARGOSY_CATCH_UP_SKIP, ARGOSY_CATCH_UP_ONCE, ARGOSY_CATCH_UP_ALL };

/* One of cron, every_ms (from at_unix_ms, or one interval from now) and at_unix_ms alone. */
struct argosy_schedule {
    const char *name;
    int64_t at_unix_ms;
    uint64_t every_ms;
    const char *cron; /* five fields, or @daily and the like */
    const char *zone; /* of cron, "Europe/Berlin"; NULL: UTC */
    uint32_t times;   /* ticks in all; 0: for ever */
    enum argosy_catch_up catch_up; /* what becomes of ticks while the broker is away */
    struct argosy_job job;         /* made at each tick, outside of any batch */
};

/* `id` (may be NULL) becomes its id. The broker's answer says what is wrong with a cron line. */
ARGOSY_API int argosy_schedule_add(argosy_client *self, const struct argosy_schedule *schedule,
                                   char id[ARGOSY_ID_SIZE], uint64_t *request,
                                   struct argosy_error *err);

/* Try a job that failed or was cancelled again, as a new job whose id becomes `as`. */
ARGOSY_API int argosy_retry(argosy_client *self, const char *id, char as[ARGOSY_ID_SIZE],
                            uint64_t *request, struct argosy_error *err);

#ifdef __cplusplus
}
#endif
#endif
