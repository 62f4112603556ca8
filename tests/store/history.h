/* history.h - a broker without sockets, for the tests of a store: a real core to which things
 * happen at random, a store that is told of them, and a model of what the store holds.
 *
 *     history_init(&self, seed);
 *     history_begin(&self, store, &err);      a life: the core is restored from the store
 *     history_turn(&self, &err);              some things happen, the store is told, and asked
 *     history_wait(&self, ms, &err);          until all of it is durable
 *     history_end(&self);                     the store's destroy; the next life can begin
 *
 * history_begin() compares what the store gives, byte by byte, with the model: the journal up to
 * the end of some turn, folded (tests/simulation/fold.h). That turn is self->held; everything up to
 * self->told must be in it, or `self->lost` is set. All this also checks what store.h promises:
 * committed() never runs ahead nor back, the fd is readable if there is something to hear and only
 * then. What is broken fails the test.
 *
 * Threads: one at a time.
 */
#ifndef TESTS_STORE_HISTORY_H
#define TESTS_STORE_HISTORY_H

#include "broker/store/store.h"
#include "common/random.h"
#include "tests/unit/stage.h"

enum { HISTORY_WORKERS = 3, HISTORY_HELD_MAX = 64, HISTORY_TURNS_MAX = 4096 };

struct history_worker {
    unsigned peer, instance;
    unsigned count;
    struct proto_token held[HISTORY_HELD_MAX];
};

struct history {
    /* What may be changed at any time. */
    size_t result_bytes;   /* of one result out of twenty; 0: all are small */
    unsigned kinds_of_job; /* different templates; 0: a few */
    unsigned jobs_at_once; /* in one submission; 0: up to 6 */

    struct ag_random random;
    struct stage *stage; /* of this life; NULL between two */
    struct store *store;
    struct history_worker workers[HISTORY_WORKERS];
    unsigned peers, ids, lives;
    unsigned jobs[32], groups[8]; /* some of the last ones, by number; 0 none */
    int64_t now;

    struct ag_buffer journal;          /* as the store gave it, and what was appended to it since */
    uint64_t turns[HISTORY_TURNS_MAX]; /* the last record of each turn since then, rising */
    unsigned turns_count;
    uint64_t told;     /* records of this life, or the last, up to this number are durable */
    uint64_t appended; /* the last one; store->append() has taken it */
    size_t loaded;     /* bytes that load() gave */
    uint64_t held;     /* of history_begin(): the turn that was the last; */
    bool lost;         /* it was not all that was told; */
    bool torn;         /* there is no such turn: something is damaged */
    uint64_t epoch;    /* of the life before */
    uint64_t hearings; /* how often the fd called */
    uint64_t seen[RECORD_WORKER + 1]; /* records of each type */
    int rc;                           /* of the first append that failed */
    struct argosy_error err;
};

void history_init(struct history *self, uint64_t seed);
void history_fini(struct history *self);

/* Takes the store, also when load() fails: then nothing has begun and the store is destroyed. */
int history_begin(struct history *self, struct store *store, struct argosy_error *err);

/* The error of append() or commit(). */
int history_turn(struct history *self, struct argosy_error *err);

/* Some things happen, and no commit() follows: the turn has not ended. */
void history_act(struct history *self);

/* What the reactor does when the fd calls: commit(), and what follows from it. */
int history_hear(struct history *self, struct argosy_error *err);

/* Until everything that was appended is durable; ARGOSY_ETIMEOUT. */
int history_wait(struct history *self, int ms, struct argosy_error *err);

void history_end(struct history *self);

/* The next store knows nothing of what this one was told. */
void history_forget(struct history *self);

#endif
