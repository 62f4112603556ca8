/* splits.h - jobs of a batch that are made of parts: each is a group in it, of the parts and of the
 * job that takes what they have made.
 *
 * The group is a taskgroup: when a part has failed for good its siblings stop, and its failure is
 * that of the whole. To the caller all of it looks like one job of the batch.
 *
 * Bound: SPLITS_OPEN_MAX groups at once; splits_add() says ARGOSY_EAGAIN beyond. Four bytes are
 * kept for each other job.
 *
 * Threads: one.
 */
#ifndef CLI_SPLITS_H
#define CLI_SPLITS_H

#include "client/cli/submission.h"
#include "common/limits.h"

enum { SPLITS_OPEN_MAX = 64, SPLIT_PARTS_MAX = AG_AFTER_MAX };

struct split;

struct splits {
    argosy_client *client;
    argosy_batch *batch; /* that they are in */
    const struct job_source *source;
    unsigned flags; /* of the batch */
    struct split *open[SPLITS_OPEN_MAX];
    size_t count;
    struct split *adding;   /* one of them, that is not whole yet */
    struct split *arriving; /* one of them, that is not at the broker as a whole yet */
    uint32_t placed;
    uint32_t *places; /* of the jobs without parts, by their index in the batch */
    size_t places_count, places_capacity;
    struct ag_buffer payload;
};

void splits_init(struct splits *self, argosy_client *client, argosy_batch *batch,
                 const struct job_source *source, unsigned flags);
void splits_fini(struct splits *self);

/* Add `job`, with its parts if it has some; `id` becomes its id. ARGOSY_EAGAIN: the same once more,
 * later. Otherwise as argosy_batch_add(). */
int splits_add(struct splits *self, const struct argosy_job *job, char id[ARGOSY_ID_SIZE],
               struct argosy_error *err);

/* No more follows, not even of the one that is being added. */
void splits_seal(struct splits *self);

/* Is the event that of a job that was added here, or of a part, or of a group? Then it is done
 * with; what it means for the job *told says (type 0: nothing), as an event of the batch whose
 * index is the job's place among all that were added. */
bool splits_take(struct splits *self, const struct argosy_event *event, struct argosy_event *told);

/* Has all that was added reached the broker? With ARGOSY_DETACHED that is all that is awaited. */
bool splits_are_accepted(const struct splits *self);

#endif
