#include "worker/analyze/shard.h"

#include <string.h>

bool shard_holds(const struct shard *self, const struct source_file *file)
{
    uint64_t key = file->size;

    if (self->of <= 1)
        return true;
    if (file->id != NULL)
        memcpy(&key, file->id, sizeof key);
    /* Sizes are mostly small, many of them even: the product spreads them over its upper bits. */
    key *= UINT64_C(0x9e3779b97f4a7c15);
    return (key >> 32) * self->of >> 32 == self->index;
}
