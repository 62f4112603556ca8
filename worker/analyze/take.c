#include "worker/analyze/take.h"

#include <stdlib.h>
#include <string.h>

#include <argosy/error.h>

#include "common/limits.h"

enum { BIN_8 = 0xc4, BIN_32 = 0xc6 };

int take_map(struct ag_reader *reader, take_pair_fn *take, void *self)
{
    uint32_t pairs = ag_read_map(reader);
    int rc = 0;

    for (uint32_t i = 0; i < pairs && rc == 0 && !reader->failed; i++)
        rc = take(self, ag_read_text(reader, AG_NAME_BYTES_MAX), reader);
    return rc == 0 && reader->failed ? ARGOSY_EPROTO : rc;
}

int take_array(struct ag_reader *reader, take_value_fn *take, void *self)
{
    uint32_t values = ag_read_array(reader);
    int rc = 0;

    for (uint32_t i = 0; i < values && rc == 0 && !reader->failed; i++)
        rc = take(self, reader);
    return rc == 0 && reader->failed ? ARGOSY_EPROTO : rc;
}

int take_text(struct ag_reader *reader, char **out)
{
    bool is_bin = reader->at < reader->end && *reader->at >= BIN_8 && *reader->at <= BIN_32;
    struct ag_bytes text = is_bin ? ag_read_bin(reader, SIZE_MAX) : ag_read_text(reader, SIZE_MAX);
    char *copy;

    if (reader->failed || memchr(text.data, '\0', text.size) != NULL)
        return ARGOSY_EPROTO;
    copy = strndup((const char *)text.data, text.size);
    if (copy == NULL)
        return ARGOSY_ENOMEM;
    free(*out);
    *out = copy;
    return 0;
}

void take_sum(struct ag_reader *reader, uint64_t *sum)
{
    *sum += ag_read_whole(reader, UINT64_MAX);
}

struct sums {
    const char *const *keys;
    uint64_t *sums;
    size_t count;
};

static int take_one(void *arg, struct ag_bytes key, struct ag_reader *reader)
{
    struct sums *self = arg;

    for (size_t i = 0; i < self->count; i++) {
        if (ag_bytes_are(key, self->keys[i])) {
            take_sum(reader, &self->sums[i]);
            return 0;
        }
    }
    ag_read_skip(reader);
    return 0;
}

int take_sums(struct ag_reader *reader, const char *const *keys, uint64_t *sums, size_t count)
{
    struct sums self = {keys, sums, count};

    return take_map(reader, take_one, &self);
}
