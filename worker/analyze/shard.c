#include "worker/analyze/shard.h"

#include <string.h>

int shard_holds(const struct shard *self, const struct source_file *file, struct argosy_error *err)
{
    uint64_t key = file->size;
    int rc;

    if (self->of <= 1)
        return 1;
    if (file->id != NULL) {
        memcpy(&key, file->id, sizeof key);
    } else if (file->measure != NULL) {
        rc = file->measure(file, &key, err);
        if (rc < 0)
            return rc;
    }
    /* Sizes are mostly small, many of them even: the product spreads them over its upper bits. */
    key *= UINT64_C(0x9e3779b97f4a7c15);
    return (key >> 32) * self->of >> 32 == self->index;
}
