/* stage.h - a stage for the broker's core: actors say things, the stage writes down what the core
 * wants done, one line for each effect, and a test compares the lines.
 *
 * Everything has a small number: peers, instances, groups and jobs. What an effect says is written
 * as `PEER: what`, attempts as JOB.ATTEMPT. After each step the invariants are checked and, unless
 * the store is slow, everything journalled is committed.
 */
#ifndef TESTS_STAGE_H
#define TESTS_STAGE_H

#include "broker/core/core.h"

enum { STAGE_AFTER_MAX = 8 };

struct stage {
    core_t *core;
    struct core_config config;
    int64_t now;
    uint64_t records;
    bool slow_store;        /* commit only when stage_commit() is called */
    uint32_t hellos;
    uint32_t slots;         /* of workers that say HELLO from now on; 0: a thousand */
    const char *tag;        /* likewise */
    uint64_t holding_epoch; /* of what they hold; 0: the broker's own */
    bool keeps_journal;
    struct ag_buffer wanted; /* what EFFECT_LOAD has asked for: ids with numbers */
    struct ag_buffer journal;
    uint64_t committed;
    size_t durable; /* bytes of the journal */
    struct ag_buffer said;
    struct ag_buffer attempts;
    /* Called for each effect before it is written down; may be NULL. */
    void (*on_effect)(void *arg, const struct effect *effect);
    void *arg;
};

struct stage *stage_new(const struct core_config *changes);
void stage_free(struct stage *self);

/* What was said since the last call must be exactly this. */
void stage_expect(struct stage *self, const char *lines);

struct ag_id stage_id(unsigned number);
unsigned stage_number(const struct ag_id *id);

void stage_step(struct stage *self, struct core_event *event);
void stage_commit(struct stage *self);
void stage_wait(struct stage *self, int64_t ms); /* with every timer that comes due on the way */
void stage_clock(struct stage *self, int64_t unix_offset_ms); /* somebody sets the wall clock */

/* `holding` is a list of numbers ended by 0: job, attempt, job, attempt... */
void stage_hello(struct stage *self, unsigned peer, unsigned instance, enum proto_role role,
                 const char *kind, const unsigned *holding);
void stage_worker(struct stage *self, unsigned peer,
                  unsigned slots); /* HELLO and CREDIT, "fetch" */
void stage_client(struct stage *self, unsigned peer);
void stage_credit(struct stage *self, unsigned peer, unsigned instance, unsigned credit);
void stage_say(struct stage *self, unsigned peer, unsigned instance, enum core_event_type type);

struct stage_job {
    unsigned id, group;
    const char *kind; /* NULL: "fetch" */
    uint32_t queue_ms, delay_ms, run_ms, grace_ms;
    uint32_t attempts; /* 0: 1 */
    const char *selectors;
    uint32_t budget; /* percent */
    uint32_t priority;
    const char *queue, *key;
    uint32_t key_max, key_delay_ms;
    unsigned after[STAGE_AFTER_MAX]; /* ends with 0 */
    bool after_any;
    const char *unique;
    enum proto_unique unique_policy;
    const char *requires;
    uint32_t ttl_ms;
};
void stage_submit(struct stage *self, unsigned peer, const struct proto_group *groups,
                  unsigned groups_count, const struct stage_job *jobs, unsigned jobs_count);
struct proto_group stage_group(unsigned id, enum proto_policy policy);

void stage_result(struct stage *self, unsigned peer, unsigned instance, unsigned job,
                  unsigned attempt, enum proto_outcome outcome, const char *type, bool retryable);
void stage_unsent(struct stage *self, unsigned peer, unsigned job, unsigned attempt);
void stage_seal(struct stage *self, unsigned peer, unsigned group);
void stage_cancel(struct stage *self, unsigned peer, unsigned target);
void stage_watch(struct stage *self, unsigned peer, unsigned target, uint64_t cursor,
                 uint32_t credit, uint32_t flags);
void stage_more(struct stage *self, unsigned peer, uint64_t cursor, uint32_t credit);
void stage_control(struct stage *self, unsigned peer, struct core_control control);
void stage_progress(struct stage *self, unsigned peer, unsigned job, unsigned attempt,
                    uint32_t permille);
void stage_load(struct stage *self); /* answers EFFECT_LOAD, from the journal */
/* With the journal that was kept since keeps_journal was set. */
void stage_restart(struct stage *self);
/* Likewise, without what was not committed. */
void stage_crash(struct stage *self);

#endif
