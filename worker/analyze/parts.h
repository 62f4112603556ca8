/* parts.h - the results of shards become that of the whole.
 *
 * A shard's result is one like any other, of its files, and has `part` besides: {index, of, by,
 * engine, troubles}. Since all that a result tells is made of sums and of the first few of
 * something, the merge of the parts is, byte for byte, what one job would have told of all files.
 *
 * Threads: one at a time.
 */
#ifndef ANALYZE_PARTS_H
#define ANALYZE_PARTS_H

#include "worker/analyze/findings.h"
#include "worker/analyze/shard.h"
#include "worker/analyze/tally.h"
#include "worker/analyze/troubles.h"

/* The value of `part`. */
void parts_pack(const struct shard *shard, enum tally_by by, const struct troubles *troubles,
                struct ag_buffer *out);

/* Where the parts are added up, and what they must agree in. */
struct parts {
    enum tally_by by;
    tally_t *tally;
    findings_t *findings;
    struct troubles *troubles;
    char *source, *revision; /* revision NULL: none; parts_fini() frees them */
    struct ag_bytes history; /* of the first shard, inside `inputs`; absent: none */
    uint64_t of, seen;       /* shards there are; those that were merged, a bit for each */
};

/* `inputs` are those of a job: one for each shard. ARGOSY_EINVAL with the reason when they are not
 * all the parts of one source as one engine saw it, ARGOSY_ENOMEM. parts_fini() in any case. */
int parts_merge(struct parts *self, struct ag_bytes inputs, struct argosy_error *err);
void parts_fini(struct parts *self);

#endif
