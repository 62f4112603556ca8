#include "worker/analyze/parts.h"

#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/limits.h"
#include "common/proto.h"
#include "worker/analyze/engine.h"
#include "worker/analyze/pack.h"
#include "worker/analyze/take.h"

/* One result while it is read. */
struct part {
    struct parts *whole;
    bool is_part;
    uint64_t index, of, by;
    char *engine, *source, *revision;
    struct ag_bytes history;
};

void parts_pack(const struct shard *shard, enum tally_by by, const struct troubles *troubles,
                struct ag_buffer *out)
{
    msgpack_packer packer;

    msgpack_packer_init(&packer, out, ag_buffer_write);
    msgpack_pack_map(&packer, 5);
    pack_number(&packer, "index", shard->index);
    pack_number(&packer, "of", shard->of);
    pack_number(&packer, "by", by);
    pack_text(&packer, "engine", ENGINE_HASH);
    pack_key(&packer, "troubles");
    troubles_pack(troubles, &packer);
}

/* ---- one of them
 * ----------------------------------------------------------------------------------------- */

static int take_part_pair(void *arg, struct ag_bytes key, struct ag_reader *reader)
{
    struct part *part = arg;

    if (ag_bytes_are(key, "index"))
        take_sum(reader, &part->index);
    else if (ag_bytes_are(key, "of"))
        take_sum(reader, &part->of);
    else if (ag_bytes_are(key, "by"))
        take_sum(reader, &part->by);
    else if (ag_bytes_are(key, "engine"))
        return take_text(reader, &part->engine);
    else if (ag_bytes_are(key, "troubles"))
        return troubles_take(part->whole->troubles, reader);
    else
        ag_read_skip(reader);
    return 0;
}

static int take_pair(void *arg, struct ag_bytes key, struct ag_reader *reader)
{
    struct part *part = arg;
    int rc;

    if (ag_bytes_are(key, "source"))
        return take_text(reader, &part->source);
    if (ag_bytes_are(key, "revision"))
        return ag_read_is_nil(reader) ? 0 : take_text(reader, &part->revision);
    if (ag_bytes_are(key, "history")) {
        part->history = ag_read_raw(reader);
        return 0;
    }
    if (ag_bytes_are(key, "part")) {
        part->is_part = true;
        return take_map(reader, take_part_pair, part);
    }
    rc = tally_take(part->whole->tally, key, reader);
    return rc > 0 ? findings_take(part->whole->findings, key, reader) : rc;
}

static bool are_alike(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static int check(const struct part *part, struct argosy_error *err)
{
    const struct parts *whole = part->whole;

    if (!part->is_part || part->source == NULL || part->engine == NULL || part->of > SHARDS_MAX ||
        part->index >= part->of)
        return ag_fail(err, ARGOSY_EINVAL, "what came before is not the result of a shard");
    if (strcmp(part->engine, ENGINE_HASH) != 0)
        return ag_fail(err, ARGOSY_EINVAL,
                       "the shards were counted by different releases of the worker, which may "
                       "disagree: let all workers be of one, or do without shards");
    if (part->by != whole->by)
        return ag_fail(err, ARGOSY_EINVAL, "the shards were asked 'by' something else");
    if ((whole->seen & (UINT64_C(1) << part->index)) || (whole->seen != 0 && part->of != whole->of))
        return ag_fail(err, ARGOSY_EINVAL, "shard %llu of %llu does not belong to the others",
                       (unsigned long long)part->index, (unsigned long long)part->of);
    if (whole->seen == 0 ||
        (are_alike(part->source, whole->source) && are_alike(part->revision, whole->revision)))
        return 0;
    return ag_fail(err, ARGOSY_EINVAL,
                   "the shards saw different things, %s at %s and %s at %s: name the commit, with "
                   "its whole id",
                   whole->source, whole->revision != NULL ? whole->revision : "no commit",
                   part->source, part->revision != NULL ? part->revision : "no commit");
}

/* Its texts become those of the whole if it is the first. */
static void settle(struct part *part)
{
    struct parts *whole = part->whole;

    if (part->history.data != NULL)
        whole->history = part->history;
    if (whole->seen == 0) {
        whole->source = part->source;
        whole->revision = part->revision;
        part->source = part->revision = NULL;
    }
    whole->of = part->of;
    whole->seen |= UINT64_C(1) << part->index;
}

static int merge(struct part *part, struct ag_bytes result, struct argosy_error *err)
{
    struct ag_reader reader = ag_reader_of(result);
    int rc = ag_wire_check(result, AG_WIRE_DEPTH_MAX, AG_BODY_OBJECTS_MAX);

    if (rc == 0)
        rc = take_map(&reader, take_pair, part);
    if (rc == ARGOSY_ENOMEM)
        return rc;
    if (rc < 0)
        return ag_fail(err, ARGOSY_EINVAL,
                       "the result of a shard is damaged, or tells of a language that this worker "
                       "does not know: let all workers have the same --languages");
    rc = check(part, err);
    if (rc == 0)
        settle(part);
    return rc;
}

/* ---- all of them
 * ----------------------------------------------------------------------------------------- */

int parts_merge(struct parts *self, struct ag_bytes inputs, struct argosy_error *err)
{
    struct proto_input input;
    uint64_t count = 0;
    int rc = 0;

    for (; rc == 0 && ag_proto_next_input(&inputs, &input); count++) {
        struct part part = {.whole = self};

        rc = merge(&part, input.result, err);
        free(part.engine);
        free(part.source);
        free(part.revision);
    }
    if (rc == 0 && (count == 0 || count != self->of))
        rc = ag_fail(err, ARGOSY_EINVAL, "%llu of %llu shards are there", (unsigned long long)count,
                     (unsigned long long)self->of);
    return rc;
}

void parts_fini(struct parts *self)
{
    free(self->source);
    free(self->revision);
    self->source = self->revision = NULL;
}
