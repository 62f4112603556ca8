/* report_tree.h - how a report is built: an arena of nodes that only ever grows, and is freed
 * whole.
 *
 * Internal to libargosy. ag_report_add_event() is what the client library calls for every job that
 * ended; the rest is for the other report_*.c files.
 *
 * Bounds: AG_REPORT_FOLDS kinds of failure are told apart, AG_REPORT_SAMPLES leaves of each are
 * kept, AG_REPORT_GROUPS jobs that failed in part, and all of it in AG_REPORT_BYTES; what is beyond
 * is counted. So the memory of a report does not depend on how many jobs fail, nor on what workers
 * write.
 */
#ifndef AG_REPORT_TREE_H
#define AG_REPORT_TREE_H

#include <argosy/report.h>
#include <jansson.h>

#include "common/bytes.h"
#include "common/proto.h"

enum {
    AG_REPORT_FOLDS = 256,
    AG_REPORT_SAMPLES = 64,
    AG_REPORT_GROUPS = 64,
    AG_REPORT_DEPTH = 4,           /* groups inside groups, in what a worker reports */
    AG_REPORT_DETAIL = 4,          /* levels of a detail; a report stays within AG_WIRE_DEPTH_MAX */
    AG_REPORT_DETAIL_VALUES = 32,  /* so that a full report stays within AG_BODY_OBJECTS_MAX */
    AG_REPORT_DETAIL_BYTES = 4096, /* a larger one is left out */
    AG_REPORT_ERRORS = 256,        /* of one job; a note counts the others */
    AG_REPORT_NOTES = 32,          /* of one node */
    AG_REPORT_TEXT = 4096,         /* bytes of a message, subject or note; longer ones are cut */
    AG_REPORT_BYTES = 16 << 20,    /* once it takes so much, a report only counts */
    AG_REPORT_READ_BYTES = 80 << 20 /* one that is read: text that is no UTF-8 was escaped, 4 : 1 */
};

/* X(member): those of struct argosy_counts that are numbers of jobs. */
#define AG_REPORT_COUNTS(X)                                                                        \
    X(total) X(succeeded) X(failed) X(cancelled) X(retried) X(unconfirmed)

/* Where like leaves are gathered, found by a hash of what makes them alike. */
struct ag_fold {
    uint64_t hash;
    size_t place; /* among the root's children */
};

struct argosy_report {
    struct argosy_node *root;
    struct argosy_counts counts;
    struct ag_chunk *chunks; /* the arena */
    argosy_report *scratch;  /* where a node is made before it is known whether it is kept */
    size_t bytes, bytes_max; /* the arena's size; beyond bytes_max is `failed` */
    bool failed;             /* memory was short somewhere: what is missing is noted in the end */
    struct ag_fold folds[AG_REPORT_FOLDS];
    unsigned folds_count, groups;
    size_t others; /* the fold of what is not told apart, among the root's children; 0 none */
    uint64_t groups_beyond; /* jobs that failed in part and are only counted */
};

/* Zeroed room in the arena, NULL (and failed) when memory is short. */
void *ag_report_room(argosy_report *self, size_t size);
const char *ag_report_text(argosy_report *self, struct ag_bytes text); /* never NULL */
/* A copy of a detail, which is left out when memory is short. */
void ag_report_set_detail(argosy_report *self, struct argosy_node *node, struct ag_bytes detail);
struct argosy_node *ag_report_node(argosy_report *self, enum argosy_node_type type);
void ag_report_add_child(argosy_report *self, struct argosy_node *parent,
                         struct argosy_node *child);
void ag_report_add_note(argosy_report *self, struct argosy_node *node, struct ag_bytes note);

/* What it takes in memory. */
size_t ag_report_bytes(const argosy_report *self);

/* An arena for one node, valid until the next call; NULL (and failed) when memory is short. Most
 * leaves of a large batch are only counted: what they are made of must not stay. */
argosy_report *ag_report_scratch(argosy_report *self);

/* A leaf at the root's level; folded with those that are like it. Copied if it is kept. */
void ag_report_add_leaf(argosy_report *self, const struct argosy_node *leaf);
/* A group at the root's level; copied if it is kept. */
void ag_report_add_group(argosy_report *self, const struct argosy_node *group);

/* A deep copy into self. */
struct argosy_node *ag_report_copy(argosy_report *self, const struct argosy_node *node);

/* "scheme://user:password@host:port/..." is about host:port; "" for other subjects. */
struct ag_bytes ag_report_host(struct ag_bytes subject);

/* "user:password" of such a subject, which has no place in a report; absent when there is none. */
struct ag_bytes ag_report_credentials(struct ag_bytes subject);

/* The attempts of an event, in self's arena. */
const struct argosy_attempt *ag_report_attempts(argosy_report *self,
                                                const struct proto_event *event, size_t *count);

/* What the end of a job adds; nothing for a plain success or a cancel. */
void ag_report_add_event(argosy_report *self, const struct proto_event *event);

/* A failure that no job has: a batch over its deadline, a job that was refused. */
void ag_report_add_failure(argosy_report *self, const char *type, const char *message,
                           const char *kind, struct ag_bytes payload, const struct ag_id *job);

/* The end: counts, and the message "TITLE: 3 of 20 jobs failed". */
void ag_report_finish(argosy_report *self, const char *title, const struct argosy_counts *counts);

/* The document that the JSON and msgpack forms write, and the part of it that is one node. Yours to
 * json_decref(); NULL when memory is short. */
json_t *ag_node_to_json(const struct argosy_node *node);
json_t *ag_report_to_json(const argosy_report *self);

#endif
