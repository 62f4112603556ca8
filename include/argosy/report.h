/* report.h - the failures of a batch as one exception group, like Python 3.11's (PEP 654).
 *
 * Start here: argosy_report_root(), or one of the three written forms of the same tree: JSON and
 * msgpack, which say all of it, and text for people, which is an excerpt where there is much.
 * argosy_report_split() parts a report by error type.
 *
 * A report is a tree: groups hold leaves, folds and groups. A leaf is one error. A fold stands for
 * many like leaves (same type, kind and host) with their count and the first of them, so a report
 * stays small however many jobs fail. A fold without a type holds leaves of many types, beyond what
 * is told apart. Cancelled jobs are counted, they are not failures.
 *
 * Ownership: a report owns everything that can be reached from it. Threads: one at a time.
 * Units: milliseconds; times since 1970 are called unix_ms.
 */
#ifndef ARGOSY_REPORT_H
#define ARGOSY_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <argosy/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct argosy_report argosy_report;

enum argosy_node_type { ARGOSY_GROUP = 1, ARGOSY_LEAF = 2, ARGOSY_FOLD = 3 };

/* An attempt that did not succeed: the causes of a leaf, oldest first. */
struct argosy_attempt {
    uint32_t attempt;
    uint32_t run_ms;
    uint64_t started_unix_ms;
    const char *worker, *type, *message;
};

/* Read-only. Texts are never NULL, "" when there is nothing to say. New fields come at the end. */
struct argosy_node {
    enum argosy_node_type type;
    const char *message;
    /* a leaf's and a fold's */
    const char *error_type; /* dotted, from general to specific: fetch.http.client.404 */
    const char *kind;       /* of the job */
    bool retryable;
    /* a leaf's */
    const char *subject; /* the URL, without a password; the path or command */
    const char *job;     /* its id as text */
    const char *worker;  /* of the last attempt */
    uint32_t attempt, attempts_max;
    size_t attempts_count;
    const struct argosy_attempt *attempts;
    const void *detail; /* a msgpack map; NULL if none */
    size_t detail_size;
    /* a leaf's and a group's */
    size_t notes_count;
    const char *const *notes;
    /* a fold's */
    const char *host;
    uint64_t count; /* of leaves it stands for; 1 for a leaf */
    /* a group's errors; a fold's first leaves */
    size_t children_count;
    struct argosy_node *const *children;
};

/* How the jobs of the batch ended. */
struct argosy_counts {
    uint64_t total, succeeded, failed, cancelled;
    uint64_t retried;          /* attempts beyond the first */
    uint64_t unconfirmed;      /* cancelled, but no worker ever said that they stopped */
    uint64_t wall_ms, busy_ms; /* from submission to end; what workers spent on it */
};

/* An empty one; NULL when memory is short. */
ARGOSY_API argosy_report *argosy_report_new(const char *message);
ARGOSY_API void argosy_report_destroy(argosy_report **self_p);

ARGOSY_API const struct argosy_node *argosy_report_root(const argosy_report *self);
ARGOSY_API const struct argosy_counts *argosy_report_counts(const argosy_report *self);

/* Whether nothing failed, not even in part. */
ARGOSY_API bool argosy_report_is_empty(const argosy_report *self);

/* Calls fn for every node, parents first, until it returns false. */
ARGOSY_API void argosy_report_walk(const argosy_report *self,
                                   bool (*fn)(void *arg, const struct argosy_node *node,
                                              unsigned depth),
                                   void *arg);

/* The report in two: what matches one of the comma-separated selectors, and the rest. Both keep the
 * shape of the tree, its messages, notes and counts; a side without leaves is NULL. A selector is
 * the beginning of an error type, up to a dot; a fold goes by its own type, so one without a type
 * goes to the rest. ARGOSY_ENOMEM, with both sides NULL. */
ARGOSY_API int argosy_report_split(const argosy_report *self, const char *selectors,
                                   argosy_report **matching, argosy_report **rest);

/* The matching side alone; NULL when nothing matches or memory is short. */
ARGOSY_API argosy_report *argosy_report_subgroup(const argosy_report *self, const char *selectors);

/* The same errors and counts under another message. NULL when memory is short. */
ARGOSY_API argosy_report *argosy_report_derive(const argosy_report *self, const char *message);

/* For people, in the shape of a Python 3.11 traceback: of each group the first 32 errors, of each
 * fold the first 5, of each text 400 bytes, and how many more there are. Details are left to the
 * other forms. Control characters are made visible. ARGOSY_EIO. */
ARGOSY_API int argosy_report_write_text(const argosy_report *self, FILE *out);

/* One JSON document on one line, without a newline. ARGOSY_EIO, ARGOSY_ENOMEM. */
ARGOSY_API int argosy_report_write_json(const argosy_report *self, FILE *out);

/* The same document as msgpack; *data is yours to free(). ARGOSY_ENOMEM. */
ARGOSY_API int argosy_report_write_msgpack(const argosy_report *self, void **data, size_t *size);

/* Reads it back, from anywhere: ARGOSY_EPROTO when it is not a report, ARGOSY_ENOMEM also when it
 * would take more than 80 MiB; *out is then NULL. Keys that are not known are skipped. */
ARGOSY_API int argosy_report_read_msgpack(argosy_report **out, const void *data, size_t size,
                                          struct argosy_error *err);

#ifdef __cplusplus
}
#endif
#endif
