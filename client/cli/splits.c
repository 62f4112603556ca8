#include "client/cli/splits.h"

#include <stdlib.h>
#include <string.h>

#include "common/error.h"

/* Its results are handed on to the merge, and then to nobody: its end is forgotten soon. */
enum { FORGOTTEN_MS = 10000 };

struct split {
    argosy_batch *group;
    uint32_t place; /* in the batch */
    bool is_told;   /* how it ended */
    /* Its own events are over; the batch's have told of its end. It is closed after both: before,
     * the library would read its failures once more, for the report of the batch. */
    bool is_over, is_known_over;
    char merge[ARGOSY_ID_SIZE];
    uint32_t permille[SPLIT_SHARDS_MAX];
    char shards[SPLIT_SHARDS_MAX][ARGOSY_ID_SIZE];
    const char *after[SPLIT_SHARDS_MAX];
    unsigned added;
};

void splits_init(struct splits *self, argosy_client *client, argosy_batch *batch,
                 const struct job_source *source, unsigned flags)
{
    *self = (struct splits){.client = client,
                            .batch = batch,
                            .source = source,
                            .flags = flags | ARGOSY_KEEP,
                            .payload = ag_buffer_empty(AG_PAYLOAD_BYTES_MAX)};
}

static void close_split(struct splits *self, struct split *split)
{
    size_t place = 0;

    while (self->open[place] != split)
        place++;
    self->open[place] = self->open[--self->count];
    if (self->adding == split)
        self->adding = NULL;
    argosy_batch_destroy(&split->group);
    free(split);
}

void splits_fini(struct splits *self)
{
    while (self->count > 0)
        close_split(self, self->open[self->count - 1]);
    ag_buffer_free(&self->payload);
}

/* ---- adding
 * ------------------------------------------------------------------------------------------------
 */

static int open_split(struct splits *self, struct argosy_error *err)
{
    struct argosy_group group = {.name = self->source->shards_title(self->source->arg),
                                 .policy = ARGOSY_TASKGROUP,
                                 .parent = self->batch,
                                 .ttl_ms = self->flags & ARGOSY_DETACHED ? 0 : FORGOTTEN_MS};
    struct split *split;
    int rc;

    if (self->count == SPLITS_OPEN_MAX)
        return ARGOSY_EAGAIN;
    split = calloc(1, sizeof *split);
    if (split == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a job's shards");
    rc = argosy_batch_new(&split->group, self->client, &group, self->flags, err);
    if (rc < 0) {
        free(split);
        return rc;
    }
    split->place = self->placed++;
    self->open[self->count++] = self->adding = split;
    return 0;
}

static int add_shard(struct splits *self, const struct argosy_job *whole, struct argosy_error *err)
{
    struct split *split = self->adding;
    struct argosy_job job = *whole;
    int rc;

    ag_buffer_clear(&self->payload);
    rc = self->source->shard(self->source->arg, split->added, &self->payload, err);
    if (rc < 0)
        return rc;
    job.payload = self->payload.data;
    job.payload_size = self->payload.size;
    rc = argosy_batch_add(split->group, &job, split->shards[split->added], err);
    if (rc < 0)
        return rc;
    split->after[split->added] = split->shards[split->added];
    split->added++;
    return 0;
}

int splits_add(struct splits *self, const struct argosy_job *job, char id[ARGOSY_ID_SIZE],
               struct argosy_error *err)
{
    struct argosy_job merge = *job;
    int rc = self->adding == NULL ? open_split(self, err) : 0;

    while (rc == 0 && self->adding->added < self->source->shards)
        rc = add_shard(self, job, err);
    if (rc < 0)
        return rc;
    merge.after = self->adding->after;
    merge.after_count = self->adding->added;
    merge.after_any = false;
    merge.delay_ms = 0; /* the shards have waited for it */
    rc = argosy_batch_add(self->adding->group, &merge, id, err);
    if (rc < 0)
        return rc;
    memcpy(self->adding->merge, id, ARGOSY_ID_SIZE);
    argosy_batch_seal(self->adding->group);
    self->adding = NULL;
    return 0;
}

void splits_seal(struct splits *self)
{
    if (self->adding != NULL)
        argosy_batch_seal(self->adding->group);
    self->adding = NULL;
}

/* ---- hearing
 * -----------------------------------------------------------------------------------------------
 */

/* The first failure is how the whole ended, though others are still being stopped. */
static bool ends(struct split *split, const struct argosy_event *event, const struct splits *self)
{
    bool is_merge = event->index == self->source->shards;

    if (split->is_told || (!is_merge && event->state != ARGOSY_FAILED))
        return false;
    split->is_told = true;
    return true;
}

/* How far all of it is: what its shards are on average. */
static void share(struct split *split, struct argosy_event *news, const struct splits *self)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < self->source->shards; i++)
        sum += split->permille[i];
    news->permille = (uint32_t)(sum / self->source->shards);
    memcpy(news->job, split->merge, sizeof news->job);
}

static void hear(struct split *split, const struct argosy_event *event, struct argosy_event *told,
                 const struct splits *self)
{
    bool is_shard = event->index < self->source->shards;

    if (event->type == ARGOSY_JOB_NEWS && is_shard && event->permille <= 1000)
        split->permille[event->index] = event->permille;
    if (event->type == ARGOSY_JOB_ENDED && is_shard)
        split->permille[event->index] = 1000;
    if (event->type != ARGOSY_JOB_NEWS &&
        (event->type != ARGOSY_JOB_ENDED || !ends(split, event, self)))
        return;
    *told = *event;
    told->batch = self->batch;
    told->index = split->place;
    if (event->type == ARGOSY_JOB_NEWS)
        share(split, told, self);
}

/* NULL: it is none of a split's. */
static struct split *find(const struct splits *self, const struct argosy_event *event)
{
    for (size_t i = 0; i < self->count; i++)
        if (event->batch == self->open[i]->group ||
            (event->batch == self->batch && event->type == ARGOSY_JOB_ENDED &&
             strcmp(event->job, argosy_batch_id(self->open[i]->group)) == 0))
            return self->open[i];
    return NULL;
}

bool splits_take(struct splits *self, const struct argosy_event *event, struct argosy_event *told)
{
    struct split *split;

    told->type = 0;
    if (self->source->shards < 2 || event->batch == NULL || event->type == ARGOSY_BATCH_UNKNOWN)
        return false;
    split = find(self, event);
    if (split == NULL)
        return false;
    if (event->batch == self->batch)
        split->is_known_over = true;
    else
        hear(split, event, told, self);
    split->is_over |= event->type == ARGOSY_BATCH_ENDED;
    if ((split->is_over && split->is_known_over) ||
        (event->type == ARGOSY_BATCH_ACCEPTED && (self->flags & ARGOSY_DETACHED)))
        close_split(self, split);
    return true;
}

bool splits_are_accepted(const struct splits *self)
{
    return self->count == 0;
}
