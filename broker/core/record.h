/* record.h - one record of the journal: as a struct, and as bytes.
 *
 * Start here: struct record. journal.c fills one from the core's state, restore.c makes state of
 * one, a store takes it apart into columns and puts it together again. A record is a msgpack array
 * that begins with its type; a later version adds fields at the end. Times are unix time, for the
 * clock of another life of the broker counts from elsewhere.
 *
 * A job or group is named by the number of the record that made it: its `number`.
 *
 * Pure. What a struct points at belongs to whoever filled it; record_read() points into the bytes.
 */
#ifndef BROKER_CORE_RECORD_H
#define BROKER_CORE_RECORD_H

#include "broker/core/budget.h"
#include "broker/core/core.h"

/* A time beyond it is damage: the year 10889, as in ids. */
#define RECORD_UNIX_MS_MAX (UINT64_C(1) << 48)

struct record {
    enum core_record type;
    struct ag_id id; /* of the job, group, schedule or worker; not for QUEUE */
    uint64_t number; /* of the job or group; 0 for the others */
    union {
        struct {
            struct proto_group spec;
            uint64_t parent; /* its number; 0 none */
            uint64_t accepted_unix_ms;
        } group;
        struct {
            struct proto_submit_job spec; /* `after`: what it still waits for */
            struct ag_bytes common;       /* read: what it has in common with others, as bytes */
            uint64_t group;               /* its number; 0 none */
            uint32_t mode;                /* how it waits: enum wait_mode */
            uint64_t since_unix_ms, due_unix_ms;
        } job;
        struct {
            uint32_t attempt, failures, losses;
            uint64_t due_unix_ms;
            uint32_t attempts_count; /* newest first; read them with ag_proto_next_attempt() */
            struct ag_bytes attempts;
        } attempt;
        struct {
            enum job_state state;
            uint32_t attempt, failures, losses, releases, queued_ms, run_ms;
            struct ag_bytes worker, result, error;
            uint64_t since_unix_ms;
            uint32_t attempts_count;
            struct ag_bytes attempts;
            enum budget_scope spent; /* why its last failure was not tried again */
        } end;
        struct {
            struct ag_bytes failure;
            bool spares;
        } stop;
        struct {
            uint64_t unix_ms;
        } ended;
        struct {
            enum core_subject subject;
            uint64_t ended; /* of a job: the number of its END; of a group: see core.h */
            uint64_t group; /* of a job in a group, of a group in a group: that one's number */
            struct core_gone gone;
        } forget;
        struct {
            struct ag_bytes name;
            bool paused, relaxed;
            uint32_t limit;
        } queue;
        struct {
            struct ag_bytes name, job;
            struct core_rule rule;
            enum core_catch_up catch_up;
            uint64_t next_unix_ms; /* UINT64_MAX: never again */
            uint64_t fired;
        } schedule;
        struct core_gone gone;
        struct {
            struct ag_bytes name;
            bool has_left;
        } worker;
    };
};

static inline void core_gone_add(struct core_gone *sum, const struct core_gone *more)
{
    sum->succeeded += more->succeeded;
    sum->failed += more->failed;
    sum->cancelled += more->cancelled;
    sum->retried += more->retried;
    sum->unconfirmed += more->unconfirmed;
    sum->busy_ms += more->busy_ms;
}

void record_write(const struct record *record, struct ag_buffer *out);

/* ARGOSY_EPROTO: the bytes are no record. */
int record_read(struct ag_bytes bytes, struct record *out, struct argosy_error *err);

/* The same of bytes that record_write() has just written. Of a job's spec only what is its own is
 * read: id, group, index, key, unique, after, payload; the rest stays bytes. */
int record_read_own(struct ag_bytes bytes, struct record *out, struct argosy_error *err);

#endif
