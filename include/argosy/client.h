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
    ARGOSY_BATCH_ACCEPTED, /* the sealed batch is at the broker, whole */
    ARGOSY_JOB_ENDED,      /* job, state and what it made */
    ARGOSY_PROGRESS,       /* new counts */
    ARGOSY_BATCH_ENDED,    /* every job has ended: counts, failure; the report is complete */
    ARGOSY_BATCH_UNKNOWN,  /* the broker knows nothing of it (any more): the batch is over */
    ARGOSY_ANSWER          /* to argosy_query() and argosy_cancel() */
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
    const void *result; /* msgpack of the kind's own; NULL if none */
    size_t result_size;
    const struct argosy_node *error; /* what failed; also what a success could not do; or NULL */
    size_t attempts_count;
    const struct argosy_attempt *attempts; /* that did not succeed, also those of a success */
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

enum argosy_policy { ARGOSY_GATHER = 0, ARGOSY_TASKGROUP = 1 };

struct argosy_group {
    const char *name;          /* for reports and lists */
    enum argosy_policy policy; /* gather: every job runs; taskgroup: failures cancel the rest */
    uint32_t max_failures;     /* that a taskgroup tolerates */
    uint32_t deadline_ms;      /* for the whole batch; 0: none */
    uint32_t concurrency;      /* jobs at once; 0: what the workers offer */
};

enum argosy_batch_flags {
    ARGOSY_WITHOUT_RESULTS = 1, /* do not send what succeeding jobs made */
    ARGOSY_ONLY_FAILURES = 2,   /* JOB_ENDED only for failures, whole or in part */
    ARGOSY_KEEP = 4,            /* others will want it too: the broker keeps what was sent */
    ARGOSY_DETACHED = 8         /* do not follow it; implies ARGOSY_KEEP */
};

/* ARGOSY_ENOMEM, ARGOSY_EINVAL (a name that is too long), ARGOSY_EIO (no randomness). */
ARGOSY_API int argosy_batch_new(argosy_batch **out, argosy_client *client,
                                const struct argosy_group *group, unsigned flags,
                                struct argosy_error *err);

struct argosy_job {
    const char *kind;
    const void *payload; /* msgpack; copied */
    size_t payload_size; /* at most 512 KiB */
    uint32_t run_ms, queue_ms, delay_ms, grace_ms;
    struct {
        uint32_t attempts; /* in all; 0: 1 */
        uint32_t base_ms, cap_ms, factor_percent;
        const char *selectors; /* NULL or "": what the worker calls retryable */
    } retry;
};

/* Adds a job; `id` (may be NULL) becomes its id. ARGOSY_EAGAIN: too much is unanswered; call
 * argosy_client_next() and then this again. ARGOSY_EINVAL, ARGOSY_ETOOBIG, ARGOSY_ENOMEM,
 * ARGOSY_ESTATE after the seal. */
ARGOSY_API int argosy_batch_add(argosy_batch *self, const struct argosy_job *job,
                                char id[ARGOSY_ID_SIZE], struct argosy_error *err);

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

/* Ask the broker: "status", "workers", "show". `arguments` is a msgpack map; NULL: an empty one. */
ARGOSY_API int argosy_query(argosy_client *self, const char *verb, const void *arguments,
                            size_t arguments_size, uint64_t *request, struct argosy_error *err);

#ifdef __cplusplus
}
#endif
#endif
