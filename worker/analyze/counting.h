/* counting.h - one thread's share of an analysis: it is shown files and keeps what they come to.
 *
 * Start here: counting_new(), counting_visitor() for a source; counting_absorb() adds what another
 * one has found, in any order.
 *
 * Threads: one at a time for each; any number at once over one struct counting_task.
 */
#ifndef ANALYZE_COUNTING_H
#define ANALYZE_COUNTING_H

#include <stdatomic.h>

#include "worker/analyze/findings.h"
#include "worker/analyze/recall.h"
#include "worker/analyze/shard.h"
#include "worker/analyze/source.h"
#include "worker/analyze/tally.h"
#include "worker/analyze/troubles.h"

/* What all that count one source have in common; it must outlive them. */
struct counting_task {
    const languages_t *languages;
    struct shard shard;
    enum tally_by by;
    bool is_git;                                 /* what cannot be read are objects, not files */
    const char *cache;                           /* NULL: nothing is remembered */
    atomic_ullong files;                         /* that were begun, by all of them */
    void (*progress)(void *arg, uint64_t files); /* of the first one, before each of its files */
    void *arg;
};

typedef struct counting counting_t;

/* The first of a task's tells its progress. NULL when memory is short. */
counting_t *counting_new(struct counting_task *task, bool is_first);
void counting_destroy(counting_t **self_p);

/* To be shown files with. Opens the cache, if there is one. */
struct source_visitor counting_visitor(counting_t *self);

/* Something that cannot be read: a leaf, not the end. ARGOSY_ENOMEM. */
int counting_trouble(counting_t *self, const char *path, const struct argosy_error *err);

/* Adds all that `other` has, which is then empty. ARGOSY_ENOMEM. */
int counting_absorb(counting_t *self, counting_t *other);

/* What it came to. They live as long as it does. */
tally_t *counting_tally(counting_t *self);
findings_t *counting_findings(counting_t *self);
struct troubles *counting_troubles(counting_t *self);
recall_t *counting_recall(counting_t *self); /* NULL: nothing is remembered */

/* What a source could not do, as the type of a failure. */
const char *counting_type_of(bool is_git, int code);

#endif
