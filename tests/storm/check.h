/* check.h - what must hold after a storm, compared from the logs of all programs and the store.
 *
 * Start here: check_run(), and enum rule. The checker believes nobody: neither the broker's store
 * nor the clients nor the workers, only that all three agree. Rules and letters are those of the
 * design (reliability, 3.3); tests/storm/test_checker.c breaks each of them once.
 */
#ifndef STORM_CHECK_H
#define STORM_CHECK_H

#include <stdint.h>
#include <stdio.h>

/* X(NAME, what must hold) */
#define RULES(X)                                                                                   \
    X(C1, "what was acknowledged is in exactly one final state, the one that its key asks for")    \
    X(C2, "nothing acknowledged is lost")                                                          \
    X(C3, "no job that no client wanted, no success that no worker made")                          \
    X(C4, "one record of an end at most, and it is what that execution made")                      \
    X(C5, "clients saw what is recorded, all of it, and no error")                                 \
    X(C6, "a key has one id, an id has one job")                                                   \
    X(C7, "no more attempts than the retries, the crashes and what was handed back explain")       \
    X(C8,                                                                                          \
      "epochs rise, nothing recorded by an older one comes later, no token is given out twice")    \
    X(CX, "programs end only when they are told to, and then do")

enum rule {
#define X(name, text) RULE_##name,
    RULES(X)
#undef X
        RULES_COUNT
};

enum { CHECK_EXAMPLE_SIZE = 256 };

struct check_report {
    uint64_t submitted, acked, lost, phantom, double_records, results_seen;
    uint64_t recorded, succeeded, failed_as_wanted, poisoned;
    uint64_t executions, duplicates, cut_short; /* begun; ended more than once; never ended */
    uint64_t broker_kills, worker_kills, client_kills;
    double seconds, duplicates_percent;
    int64_t longest_gap_ms; /* between two acknowledgements, while the storm lasted */
    int64_t recovery_p50_ms, recovery_p99_ms, recovery_max_ms; /* from a kill to the next ack */
    int64_t ready_p50_ms, ready_p99_ms, ready_max_ms; /* from a broker's start to its first ack */
    uint64_t violations[RULES_COUNT];
    char examples[RULES_COUNT][CHECK_EXAMPLE_SIZE]; /* the first of each */
};

/* Reads all *.log of the folder and the store. 0, or -1 when one of them cannot be read. */
int check_run(const char *folder, const char *store, struct check_report *out);

uint64_t check_violations(const struct check_report *report);
void check_print(const struct check_report *report, FILE *out);

#endif
