/* handler.h - what a kind of job is to the worker: how to start an attempt, how to ask it to stop.
 *
 * Start here: struct handler. fetch/ runs its attempts inside the worker's loop (libcurl), analyze/
 * on the pool; both look the same from the loop.
 *
 * Threads: start, stop and destroy are called from the loop's thread and never block.
 * task_finish() is called from the loop's thread (a pool thread hands its task back first).
 * Units: milliseconds, bytes.
 */
#ifndef WORKER_HANDLER_H
#define WORKER_HANDLER_H

#include <stdatomic.h>

#include "common/buffer.h"
#include "common/bytes.h"

struct proto_token;

/* Why an attempt is asked to stop; it decides what the attempt is reported as. */
enum stop_reason {
    STOP_NONE,
    STOP_CANCEL,  /* somebody cancelled it: reported as cancelled */
    STOP_TIMEOUT, /* its run limit is over: reported as failed, timeout.run */
    STOP_DRAIN    /* the worker is going: handed back, no attempt burnt */
};

/* How an attempt went. `result` and `error` are msgpack trees: a result is a map of the kind's own;
 * an error is a report node (doc/protocol.md, "Errors"): either a leaf or a group of leaves.
 * A task that succeeded may carry an error as well: what it could not do beside what it did (for
 * example files that could not be read). */
struct outcome {
    bool succeeded;
    struct ag_buffer result; /* empty when there is none */
    struct ag_buffer error;  /* empty when there is none */
    char type[64];           /* the dotted type of the failure, also inside `error` */
    bool retryable;
    uint32_t retry_after_ms; /* what a server asked for; 0 if it did not */
};

/* One attempt in the hands of a handler. The loop owns it; a handler keeps the pointer until it
 * calls task_finish(), which it must do exactly once, also after a stop. */
struct task {
    struct ag_bytes payload; /* msgpack, already validated; lives as long as the task */
    struct ag_bytes inputs;  /* of what it waited for: read them with ag_proto_next_input() */
    const struct proto_token *token; /* which attempt of which job; lives as long as the task */
    atomic_int stop;         /* enum stop_reason; set before handler->stop() is called */
    atomic_uint permille;    /* how far it is (0-1000), AG_PERMILLE_UNKNOWN until something is
                                known; any thread may store it, the loop tells the broker */
    struct outcome outcome;  /* filled by the handler */
    void *handler_data;      /* the handler's own */
    void *loop_data;         /* the loop's own */
};

struct handler {
    const char *kind;
    unsigned slots; /* how many run at once by default */

    /* Begin. Never fails: what cannot be begun is finished at once with an error. */
    void (*start)(struct handler *self, struct task *task);

    /* task->stop was set; end it soon. task_finish() still follows, exactly once. */
    void (*stop)(struct handler *self, struct task *task);

    /* It was asked to stop, its grace is over: end it by force. NULL: stop() is as hard as it gets.
     */
    void (*kill)(struct handler *self, struct task *task);

    /* Nothing runs any more. Sets NULL. */
    void (*destroy)(struct handler **self_p);
};

/* The handler is done with the task; the loop reports the outcome. The task may be gone when this
 * returns. */
void task_finish(struct task *task);

/* From the loop's thread: something the task has made before its end (msgpack), for those who
 * watch. `note` may be NULL. */
void task_tell(struct task *task, const char *note, struct ag_bytes partial);

/* Fill outcome as a failure with one leaf: {type, message, subject, retryable}. `subject` may be
 * NULL. Returns nothing that could fail: without memory the error stays empty and `type` tells. */
__attribute__((format(printf, 5, 6))) void outcome_fail(struct outcome *outcome, const char *type,
                                                        bool retryable, const char *subject,
                                                        const char *message, ...);

void outcome_fini(struct outcome *outcome);

#endif
