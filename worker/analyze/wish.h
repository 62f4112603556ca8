/* wish.h - what the payload of an analysis asks for.
 *
 * Threads: plain data. Pure.
 */
#ifndef ANALYZE_WISH_H
#define ANALYZE_WISH_H

#include "common/bytes.h"
#include "worker/analyze/repo.h"
#include "worker/analyze/shard.h"
#include "worker/analyze/source.h"
#include "worker/analyze/tally.h"

enum { WISH_EXCLUDES_MAX = 256 };

struct wish {
    char path[SOURCE_PATH_MAX];
    char *source;                 /* what the result calls it; NULL: by its path */
    char rev[REPO_REV_BYTES_MAX]; /* empty: none was named */
    bool history, gitignore;
    enum tally_by by;
    char *exclude[WISH_EXCLUDES_MAX];
    size_t exclude_count;
    struct shard shard; /* of 0: the whole */
    bool merge;         /* of what came before it: the parts */
};

/* `inputs` are those of the job: without a path the file that the first of them has made ("file" of
 * its result) is meant. NULL, or what is wrong; wish_fini() in any case. */
const char *wish_read(struct wish *self, struct ag_bytes payload, struct ag_bytes inputs);
void wish_fini(struct wish *self);

/* How results and failures call what it is about; NULL: nobody knows. */
static inline const char *wish_source(const struct wish *self)
{
    if (self->source != NULL)
        return self->source;
    return self->path[0] != '\0' ? self->path : NULL;
}

#endif
