/* proto.h - the protocol's messages as structs, and the codec between them and frames.
 *
 * Start here: ag_proto_decode() turns one frame into a struct proto; ag_proto_encode() turns it
 * back. doc/protocol.md is the specification; a test holds its examples against this codec.
 *
 * Ownership: after decoding, every ag_bytes points into the frame, which must outlive it; decoding
 * allocates nothing. Encoding copies.
 * Threads: plain data. Pure. Units: milliseconds, bytes. Times called unix_ms are for people only.
 */
#ifndef AG_PROTO_H
#define AG_PROTO_H

#include <argosy/error.h>

#include "common/buffer.h"
#include "common/id.h"
#include "common/limits.h"
#include "common/messages.h"

enum { AG_PROTO_VERSION = 1 };

enum proto_role { PROTO_CLIENT = 1, PROTO_WORKER = 2 };

/* Which execution of a job; whatever names another one than the current is late news. */
struct proto_token {
    struct ag_id job;
    uint64_t epoch;   /* of the broker's life that gave it out */
    uint32_t attempt; /* from 1 */
};

struct proto_kind {
    struct ag_bytes name;
    uint32_t count; /* HELLO: slots; CREDIT: jobs the worker is willing to hold */
};

struct proto_hello {
    bool speaks_ours; /* our version was among those the peer listed */
    enum proto_role role;
    struct ag_bytes name;
    struct ag_id instance; /* random, new at each start of the peer */
    struct ag_bytes software, host;
    uint32_t tags_count, kinds_count;
    struct ag_bytes tags[AG_TAGS_MAX];
    struct proto_kind kinds[AG_KINDS_MAX];
    uint32_t holding_count;  /* attempts that it runs, or whose result is not recorded yet */
    struct ag_bytes holding; /* read them with ag_proto_next_token() */
    uint32_t number; /* how many this instance has said, this one included: a late one is known */
};

struct proto_welcome {
    uint32_t version;
    struct ag_id broker;
    uint64_t epoch;
    uint32_t heartbeat_ms;
    uint64_t message_bytes, payload_bytes, result_bytes; /* the largest that the broker takes */
    uint32_t window;                                     /* jobs a client may have unanswered */
    uint64_t unix_ms;
};

struct proto_reject {
    struct ag_bytes type; /* rejected.* */
    struct ag_bytes message;
    uint32_t about; /* the number of the message that was refused; 0 unknown */
};

struct proto_ping {
    uint64_t number;
};

struct proto_bye {
    struct ag_bytes reason;
};

struct proto_credit {
    uint32_t count;
    struct proto_kind kinds[AG_KINDS_MAX];
};

/* How something that a job waited for has ended. */
struct proto_input {
    struct ag_id job;
    struct ag_bytes kind;
    uint32_t state; /* enum proto_state */
    struct ag_bytes result;
};

struct proto_job {
    struct proto_token token;
    struct ag_bytes kind;
    uint32_t run_ms;   /* its run limit, enforced by the worker; 0 none */
    uint32_t grace_ms; /* between a stop that asks and one that insists */
    struct ag_bytes payload;
    uint32_t inputs_count;  /* of what it waited for, in that order */
    struct ag_bytes inputs; /* read them with ag_proto_next_input() */
};

struct proto_jobs {
    uint32_t count;
    struct proto_job items[AG_MESSAGE_ITEMS_MAX];
};

enum proto_outcome {
    PROTO_SUCCEEDED = 1,
    PROTO_FAILED = 2,
    PROTO_CANCELLED = 3, /* it was asked to stop and has */
    PROTO_RELEASED = 4   /* handed back, not its fault: no attempt burnt */
};

struct proto_result {
    struct proto_token token;
    enum proto_outcome outcome;
    uint32_t wait_ms, run_ms; /* at the worker: before it began, while it ran */
    struct ag_bytes result;   /* msgpack of the kind's own; absent if none */
    struct ag_bytes error;    /* a report node; absent if none */
    struct ag_bytes type;     /* the failure's dotted type; empty if none */
    struct ag_bytes message;  /* the failure's one line */
    bool retryable;
    uint32_t retry_after_ms; /* what a server asked for; 0 if it did not */
};

struct proto_results {
    uint32_t count;
    struct proto_result items[AG_MESSAGE_ITEMS_MAX];
};

/* RECORDED, STOP and RECALL. */
struct proto_tokens {
    uint32_t count;
    struct proto_token items[AG_MESSAGE_ITEMS_MAX];
};

struct proto_drain {
    uint32_t grace_ms; /* how long running attempts may go on */
};

struct proto_progress_item {
    struct proto_token token;
    uint32_t permille; /* 0-1000, or AG_PERMILLE_UNKNOWN */
    struct ag_bytes note;
    uint32_t sequence; /* of partial results, from 1; 0: this is progress only */
    struct ag_bytes partial;
};

struct proto_progress {
    uint32_t count;
    struct proto_progress_item items[AG_MESSAGE_ITEMS_MAX];
};

enum proto_policy {
    PROTO_GATHER = 1,    /* every job runs, whatever fails */
    PROTO_TASKGROUP = 2, /* more failures than failures_max cancel the rest */
    PROTO_RACE = 3       /* the first success cancels the rest */
};

struct proto_group {
    struct ag_id id;
    struct ag_bytes name;
    enum proto_policy policy;
    uint32_t failures_max;     /* how many it tolerates: the next one ends it (taskgroup) */
    uint32_t deadline_ms;      /* from its acceptance; 0 none */
    uint32_t concurrency;      /* jobs of it that run at once; 0 no limit */
    struct ag_id parent;       /* zero: none */
    uint32_t failures_percent; /* a taskgroup tolerates this share as well; 0 none, up to 100 */
    uint32_t successes;        /* so many end it; 0 never (race: 1) */
    uint32_t successes_min;    /* with fewer it has failed; 0 none */
    bool is_gentle;            /* what ends it early lets running jobs end by themselves */
    uint32_t rate_per_minute;  /* jobs of it that begin; 0 no limit */
    uint32_t ttl_ms;           /* how long its end is remembered; 0: the broker's default */
};

struct proto_retry {
    uint32_t attempts; /* in all, at least 1 */
    uint32_t base_ms, cap_ms;
    uint32_t factor_percent;   /* 200 doubles */
    struct ag_bytes selectors; /* "fetch.timeout,fetch.http.server"; empty: what is retryable */
    uint32_t budget_percent;   /* of first attempts; 0 none. Absent from older peers */
};

/* What happens to a job when a live one has the same `unique`. */
enum proto_unique {
    PROTO_UNIQUE_REJECT = 0,
    PROTO_UNIQUE_JOIN = 1,   /* both end with the one result */
    PROTO_UNIQUE_REPLACE = 2 /* the older one is cancelled first */
};

struct proto_submit_job {
    struct ag_id id, group; /* group zero: none */
    uint32_t index;         /* its place in the group */
    struct ag_bytes kind;
    uint32_t run_ms, queue_ms, delay_ms, grace_ms; /* 0: none; grace 0: the broker's default */
    struct proto_retry retry;
    struct ag_bytes payload;
    uint32_t priority;      /* 0-9, 0 first */
    struct ag_bytes queue;  /* empty: the kind's */
    struct ag_bytes key;    /* what has limits of its own, for example a host; empty none */
    uint32_t key_max;       /* jobs with the key that run at once; 0 no limit */
    uint32_t key_delay_ms;  /* between two beginnings of jobs with the key */
    struct ag_bytes after;  /* ids of jobs and groups that it waits for, 16 bytes each */
    bool after_any;         /* runs however they end; else a failure among them is its own */
    struct ag_bytes unique; /* no two live jobs have the same; empty none */
    enum proto_unique unique_policy;
    struct ag_bytes requires; /* tags that its worker must have: "gpu,eu" */
    uint32_t ttl_ms;          /* of a job without a group: how long its end is remembered */
};

struct proto_submit {
    uint64_t request;
    uint32_t groups_count, jobs_count;
    struct proto_group groups[AG_MESSAGE_ITEMS_MAX];
    struct proto_submit_job jobs[AG_MESSAGE_ITEMS_MAX];
};

struct proto_refusal {
    struct ag_id id;
    struct ag_bytes type, message;
};

struct proto_accepted {
    uint64_t request;
    uint32_t accepted, repeated; /* repeated: known already, which is fine */
    uint32_t refused_count;
    struct proto_refusal refused[2 * AG_MESSAGE_ITEMS_MAX];
    uint32_t window;
    uint32_t retry_after_ms; /* when it makes sense to try the refused again; 0 never */
};

enum proto_watch_flags {
    PROTO_WATCH_RESULTS = 1,  /* with results, not only errors */
    PROTO_WATCH_FAILURES = 2, /* only jobs that failed or only partly succeeded */
    PROTO_WATCH_RELEASE = 4,  /* results that were taken (MORE) need not be kept */
    PROTO_WATCH_NEWS = 8,     /* progress and partial results as well */
    PROTO_WATCH_EARLY = 16    /* ends of relaxed queues before they are durable, and then again */
};

struct proto_watch {
    uint32_t watch; /* the client's number for it */
    struct ag_id target;
    uint64_t cursor; /* events before it are not sent again */
    uint32_t credit; /* events it is willing to take beyond the cursor */
    uint32_t flags;
};

/* An attempt that did not succeed. */
struct proto_attempt {
    uint32_t attempt;
    struct ag_bytes worker;
    uint64_t started_unix_ms;
    uint32_t run_ms;
    struct ag_bytes type, message;
};

enum proto_state { PROTO_JOB_SUCCEEDED = 1, PROTO_JOB_FAILED = 2, PROTO_JOB_CANCELLED = 3 };

struct proto_event {
    struct ag_id job;
    uint32_t index;
    struct ag_bytes kind;
    enum proto_state state;
    uint32_t attempt, attempts_max;
    struct ag_bytes worker; /* of the last attempt; empty if it never ran */
    uint32_t queued_ms, run_ms;
    struct ag_bytes result, error;
    struct ag_bytes payload; /* only with a failure that has no error of a worker's: to name it */
    uint32_t attempts_count;
    struct ag_bytes attempts; /* read them with ag_proto_next_attempt() */
    struct ag_bytes note;     /* what the broker adds to the error. Absent from older ones */
};

/* How jobs of a group (or the one job) stand; they add up to total. */
struct proto_counts {
    uint64_t total, waiting, running, succeeded, failed, cancelled;
    uint64_t retried;     /* attempts beyond the first */
    uint64_t unconfirmed; /* cancelled, but their worker never said that they stopped */
};

enum proto_end { PROTO_MORE_TO_COME = 0, PROTO_ENDED = 1, PROTO_UNKNOWN = 2, PROTO_EARLY = 3 };

struct proto_events {
    uint32_t watch;
    uint64_t cursor; /* after these events */
    enum proto_end end;
    struct proto_counts counts;
    struct ag_bytes failure; /* the group's own: timeout.group, cancelled; empty if none */
    struct ag_bytes name;    /* the group's */
    uint64_t wall_ms, busy_ms;
    uint32_t count;
    struct proto_event items[AG_MESSAGE_ITEMS_MAX];
};

/* News are told once to whoever watches at that moment, and only as many as its credit allows; a
 * gap in `sequence` shows what was missed. */
struct proto_news_item {
    struct ag_id job;
    uint32_t index;
    struct ag_bytes kind;
    uint32_t attempt;
    uint32_t permille;
    struct ag_bytes note;
    uint32_t sequence;
    struct ag_bytes partial;
};

struct proto_news {
    uint32_t watch;
    uint32_t count;
    struct proto_news_item items[AG_MESSAGE_ITEMS_MAX];
};

struct proto_more {
    uint32_t watch;
    uint64_t cursor; /* everything before it has been taken */
    uint32_t credit; /* 0 ends the watch */
};

struct proto_cancel {
    uint64_t request;
    uint32_t count;
    struct ag_id targets[AG_MESSAGE_ITEMS_MAX];
};

struct proto_seal {
    uint64_t request;
    struct ag_id group;
};

/* QUERY and CONTROL. */
struct proto_query {
    uint64_t request;
    struct ag_bytes verb;
    struct ag_bytes arguments; /* a msgpack map */
};

struct proto_answer {
    uint64_t request;
    struct ag_bytes type, message; /* type empty: it worked */
    struct ag_bytes body;          /* a msgpack map */
};

/* One message; `type` says which member counts. Large (about 25 KiB): keep one, not many. */
struct proto {
    enum ag_message type;
    union {
        struct proto_hello hello;
        struct proto_welcome welcome;
        struct proto_reject reject;
        struct proto_ping ping, pong;
        struct proto_bye bye;
        struct proto_credit credit;
        struct proto_jobs jobs;
        struct proto_results results;
        struct proto_tokens recorded, stop, recall;
        struct proto_drain drain;
        struct proto_progress progress;
        struct proto_submit submit;
        struct proto_accepted accepted;
        struct proto_watch watch;
        struct proto_events events;
        struct proto_more more;
        struct proto_cancel cancel;
        struct proto_seal seal;
        struct proto_news news;
        struct proto_query query, control;
        struct proto_answer answer;
    };
};

/* Decode one frame. Returns 0, or ARGOSY_EPROTO with the reason in err; out->type is then the
 * message's number if it could be read, else 0. The reason begins with the rejection's type:
 * rejected.message (a number that we do not know), rejected.malformed (anything else). */
int ag_proto_decode(struct ag_bytes frame, struct proto *out, struct argosy_error *err);

/* Append the frame. Failure is the buffer's: out->failed. */
void ag_proto_encode(struct ag_buffer *out, const struct proto *message);

/* One job of a SUBMIT by itself, as schedules keep it: an array of its fields. ARGOSY_EPROTO. */
int ag_proto_decode_job(struct ag_bytes bytes, struct proto_submit_job *out,
                        struct argosy_error *err);
void ag_proto_encode_job(struct ag_buffer *out, const struct proto_submit_job *job);

/* Walk HELLO's tokens, an event's attempts, a job's inputs. They were checked by the decoder. */
bool ag_proto_next_token(struct ag_bytes *list, struct proto_token *token);
bool ag_proto_next_attempt(struct ag_bytes *list, struct proto_attempt *attempt);
bool ag_proto_next_input(struct ag_bytes *list, struct proto_input *input);

/* Whether these are so many attempts and nothing else: for a list that no decoder has checked. */
bool ag_proto_are_attempts(struct ag_bytes list, uint32_t count);

/* Append one of the same to a list under construction; count the items yourself. */
void ag_proto_append_token(struct ag_buffer *list, const struct proto_token *token);
void ag_proto_append_attempt(struct ag_buffer *list, const struct proto_attempt *attempt);
void ag_proto_append_input(struct ag_buffer *list, const struct proto_input *input);

/* "HELLO", or "?" for a number that is not a message. */
const char *ag_message_name(uint32_t number);

#endif
