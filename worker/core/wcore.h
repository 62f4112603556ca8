/* wcore.h - the worker's heart: its session with the broker and the attempts it holds, without I/O.
 *
 * Start here: wcore_on_message() and its siblings take what happened; what the core wants is pulled
 * out afterwards, in this order: wcore_wishes(), wcore_next_stop(), wcore_next_kill(),
 * wcore_next_start(), wcore_take_results(), wcore_take_progress(), wcore_take_credit(), the last
 * one first when wcore_is_draining(). Nothing here reads a clock, a socket or a random source.
 *
 * An attempt is queued, running, then ended; it is kept until the broker has recorded its end, and
 * its end is sent again in every new session until then. doc/protocol.md sections 4 and 5.
 *
 * Threads: the loop's only. Units: milliseconds of a monotonic clock.
 */
#ifndef WORKER_WCORE_H
#define WORKER_WCORE_H

#include "common/buffer.h"
#include "common/heap.h"
#include "common/list.h"
#include "common/proto.h"
#include "worker/handler.h"

enum {
    WCORE_RESULTS_HELD_MAX = 64 << 20, /* bytes of unrecorded results; beyond it: no credit */
    WCORE_SILENT_BEATS = 3,            /* heartbeats without a word: connect anew */
    WCORE_STUCK_MS = 5000,             /* after the kill: an attempt that still runs is stuck */
    WCORE_AHEAD_MS = 2,                /* of work that waits here besides what runs */
    WCORE_AHEAD_SAMPLES = 8,           /* ends, before the length of a kind's jobs is believed */
    WCORE_PARTIAL_BYTES_MAX = 1 << 20, /* one partial result */

    /* What is held has to fit into a HELLO: AG_SLOTS_MAX tokens. Half of it is for credit, a
     * quarter for ends that are not recorded, the rest for what comes until the broker hears of no
     * credit. */
    WCORE_CREDIT_MAX = AG_SLOTS_MAX / 2,
    WCORE_UNRECORDED_MAX = AG_SLOTS_MAX / 4
};

enum wcore_state { ATTEMPT_QUEUED, ATTEMPT_RUNNING, ATTEMPT_ENDED };

/* One execution of a job in this worker's hands. The core owns it; the loop reads it. */
struct wcore_attempt {
    struct ag_link link;     /* queued: in its kind; running: in wcore; ended: unsent or sent */
    struct ag_link all;      /* every one that is held */
    struct ag_link by_token; /* in its hash bucket */
    struct ag_link to_stop;  /* while the loop has to be told, to stop or to kill */
    struct ag_link to_tell;  /* while the broker has to be told of its progress */
    struct ag_timer timer;   /* its run limit; once it is told to stop: the next, harder word */
    struct proto_token token;
    unsigned kind; /* its place in the configuration */
    uint32_t run_ms, grace_ms;
    uint8_t *payload; /* and, behind it, its inputs */
    size_t payload_size, inputs_size;
    enum wcore_state state;
    enum stop_reason stop; /* why it was told to stop */
    bool is_killed, is_stuck;
    uint32_t permille, sequence, sequence_told;
    char note[128];
    struct ag_buffer partial;
    int64_t since; /* when it entered its state */
    uint32_t wait_ms, ran_ms;
    void *task; /* the loop's, while it runs */
    /* its end */
    enum proto_outcome outcome;
    struct outcome report;
    char message[256];
};

struct wcore_kind {
    char name[AG_NAME_BYTES_MAX + 1];
    uint32_t slots; /* that run at once */
    uint32_t ahead; /* that wait here besides, so that no slot waits for the network */
};

struct wcore_config {
    unsigned kinds_count;
    struct wcore_kind kinds[AG_KINDS_MAX]; /* slots and ahead of all: at most WCORE_CREDIT_MAX */
    uint32_t heartbeat_ms;                 /* until a broker says another */
};

typedef struct wcore wcore_t;

/* NULL when memory is short. */
wcore_t *wcore_new(const struct wcore_config *config, int64_t now);
void wcore_destroy(wcore_t **self_p);

/* ---- what happened ------------------------------------------------------------------------------
 */

/* A message of the broker; PING is the loop's to answer. */
void wcore_on_message(wcore_t *self, int64_t now, const struct proto *message);

/* A running attempt has ended; takes what `outcome` holds. */
void wcore_on_finished(wcore_t *self, int64_t now, struct wcore_attempt *attempt,
                       struct outcome *outcome);

/* How far a running attempt is (0-1000, or AG_PERMILLE_UNKNOWN), what it is at (may be NULL), and
 * what it has made since (msgpack; empty: nothing). The newest is told when there is room. */
void wcore_on_progress(wcore_t *self, struct wcore_attempt *attempt, uint32_t permille,
                       const char *note, struct ag_bytes partial);

/* Leave: hand back what has not begun, let the rest go on for grace_ms. Again: sooner. */
void wcore_on_drain(wcore_t *self, int64_t now, uint32_t grace_ms);

/* What was taken last could not be sent: everything unrecorded has to be said again. */
void wcore_on_unsent(wcore_t *self);

void wcore_on_timer(wcore_t *self, int64_t now);
int64_t wcore_deadline(const wcore_t *self);

/* ---- what it wants ------------------------------------------------------------------------------
 */

enum wcore_wish {
    WCORE_RECONNECT = 1, /* open a new connection, to the next endpoint, then say HELLO */
    WCORE_HELLO = 2,     /* say HELLO on this connection */
    WCORE_PING = 4,
    WCORE_BYE = 8,
    WCORE_EXIT = 16,  /* nothing is left to do */
    WCORE_FATAL = 32, /* the broker will never take us: wcore_reason() */
    WCORE_RESTART =
        64 /* with WCORE_EXIT: an attempt does not stop; only a new process is free of it */
};

/* Bits of enum wcore_wish; asked once, then forgotten. */
unsigned wcore_wishes(wcore_t *self);
const char *wcore_reason(const wcore_t *self);

/* The next attempt to stop (its `stop` says why), or to start: it is running from then on. */
struct wcore_attempt *wcore_next_stop(wcore_t *self);

/* The next one that was asked to stop, has not in its grace, and is to be ended by force. */
struct wcore_attempt *wcore_next_kill(wcore_t *self);
struct wcore_attempt *wcore_next_start(wcore_t *self, int64_t now);

/* Fill in ends that the broker has not been told in this session; false when there are none, and
 * while the credit of 0 of one that drains is not taken: what it hands back would come again.
 * They point into attempts: encode before anything else happens. */
bool wcore_take_results(wcore_t *self, struct proto_results *out);

/* Fill in what the broker has not been told about the progress of attempts; as results. */
bool wcore_take_progress(wcore_t *self, struct proto_progress *out);

/* Fill in the credit if it has changed since it was last taken in this session. */
bool wcore_take_credit(wcore_t *self, struct proto_credit *out);

/* The tokens of everything held, for HELLO. Returns how many. */
uint32_t wcore_holding(const wcore_t *self, struct ag_buffer *out);

/* ---- looking ------------------------------------------------------------------------------------
 */

struct wcore_counts {
    uint32_t queued, running, unrecorded;
    uint64_t results_bytes;
    bool is_open, is_draining;
};
void wcore_count(const wcore_t *self, struct wcore_counts *out);
bool wcore_is_draining(const wcore_t *self); /* it was told to leave, or has to start anew */

#endif
