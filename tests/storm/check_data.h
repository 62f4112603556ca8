/* check_data.h - what the checker knows: jobs with their executions and ends, and the supervisor's
 * book. Private to check*.c.
 */
#ifndef STORM_CHECK_DATA_H
#define STORM_CHECK_DATA_H

#include "common/map.h"
#include "tests/storm/check.h"
#include "tests/storm/storm.h"

/* An execution, as its worker told it. */
struct run {
    struct run *next;
    struct storm_token token;
    unsigned worker; /* the number of its process */
    char end;        /* 'D' done, 'F' failed as wanted, 'H' stopped, 0 not told */
    uint64_t hash;   /* of what is done */
    unsigned begun;  /* times */
};

struct job {
    struct ag_map_node node; /* by id */
    uint64_t key;
    bool has_key; /* the client told which, or the store did */
    bool acked;
    struct run *runs;
    /* in the store */
    uint64_t number;
    unsigned rows, ends; /* records of it, and of its end */
    int64_t since;       /* accepted, unix ms */
    /* the last record of its end */
    uint64_t end_number;
    int state;
    unsigned attempt, releases;
    int64_t ended_at; /* unix ms */
    bool has_result;
    struct storm_result result;
    char type[64]; /* of its failure */
    /* what a client saw */
    unsigned seen;
    int seen_state;
    uint64_t seen_hash;
};

/* What a client wanted. */
struct want {
    struct ag_map_node node; /* by key */
    struct job *job;         /* whose id it has; NULL: not known */
};

struct batch {
    struct ag_map_node node; /* by id */
    bool is_sealed;          /* in the store */
};

struct life { /* of a broker */
    uint64_t epoch;
    int64_t start, end; /* ms of the monotonic clock */
};

struct times {
    int64_t *items;
    size_t count;
};

struct data {
    struct ag_map jobs, wants;
    struct ag_map batches; /* that a client was promised whole */
    struct job **by_end;   /* those that have ended, in the order of the records */
    size_t ends_count;
    struct life *lives;
    size_t lives_count;
    struct times acks, broker_kills, worker_kills, client_kills;
    bool *killed; /* workers, by number */
    size_t killed_count;
    int64_t unix_offset;  /* unix time less the monotonic clock */
    int64_t begin, quiet; /* the storm */
    uint64_t epoch;       /* in the store's meta */
    struct check_report *report;
};

__attribute__((format(printf, 3, 4))) void violate(struct data *self, enum rule rule,
                                                   const char *format, ...);
struct job *job_at(struct data *self, const struct ag_id *id);
struct batch *batch_at(struct data *self, const struct ag_id *id, bool make);
struct want *want_at(struct data *self, uint64_t key, bool make);
/* Room for one more item: the array grows by doubling. */
void *one_more(void *items, size_t count, size_t size);
void times_add(struct times *self, int64_t at);

/* check_read.c, check_store.c: -1 when something cannot be read. */
int read_logs(struct data *self, const char *folder);
int read_store(struct data *self, const char *path);

#endif
