#include "client/cli/splits.h"

#include <stdlib.h>
#include <string.h>

#include "client/cli/amounts.h"
#include "common/error.h"

struct split {
    argosy_batch *group;
    uint32_t place; /* in the batch */
    bool is_told;   /* how it ended */
    /* Its own events are over; the batch's have told of its end. It is closed after both: before,
     * the library would read its failures once more, for the report of the batch. */
    bool is_over, is_known_over;
    char whole[ARGOSY_ID_SIZE]; /* the job that takes what the parts have made */
    uint32_t permille[SPLIT_PARTS_MAX];
    char parts[SPLIT_PARTS_MAX][ARGOSY_ID_SIZE];
    const char *after[SPLIT_PARTS_MAX];
    unsigned count, added;
};

void splits_init(struct splits *self, argosy_client *client, argosy_batch *batch,
                 const struct job_source *source, unsigned flags)
{
    *self = (struct splits){.client = client,
                            .batch = batch,
                            .source = source,
                            .flags = flags,
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
    if (self->arriving == split)
        self->arriving = NULL;
    argosy_batch_destroy(&split->group);
    free(split);
}

void splits_fini(struct splits *self)
{
    while (self->count > 0)
        close_split(self, self->open[self->count - 1]);
    free(self->places);
    ag_buffer_free(&self->payload);
}

/* ---- adding
 * ------------------------------------------------------------------------------------------------
 */

static int open_split(struct splits *self, unsigned parts, struct argosy_error *err)
{
    char title[TITLE_SIZE];
    struct argosy_group group = {.name =
                                     fit_title(self->source->parts_title(self->source->arg), title),
                                 .policy = ARGOSY_TASKGROUP,
                                 .parent = self->batch};
    struct split *split;
    int rc;

    /* One after the other: many that have some of their jobs at a full broker, each waiting for
     * room for its last one, would wait for ever. */
    if (self->count == SPLITS_OPEN_MAX || self->arriving != NULL)
        return ARGOSY_EAGAIN;
    split = calloc(1, sizeof *split);
    if (split == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for the parts of a job");
    /* What a part has made is needed by the whole, though it was sent to us. */
    rc = argosy_batch_new(&split->group, self->client, &group, self->flags | ARGOSY_KEEP_TO_END,
                          err);
    if (rc < 0) {
        free(split);
        return rc;
    }
    split->count = parts;
    split->place = self->placed++;
    self->open[self->count++] = self->adding = self->arriving = split;
    return 0;
}

static int add_part(struct splits *self, const struct argosy_job *whole, struct argosy_error *err)
{
    struct split *split = self->adding;
    struct argosy_job job = *whole;
    char *id = split->parts[split->added];
    int rc;

    ag_buffer_clear(&self->payload);
    rc = self->source->part(self->source->arg, split->added, &job, &self->payload, err);
    if (rc < 0)
        return rc;
    job.payload = self->payload.data;
    job.payload_size = self->payload.size;
    rc = argosy_batch_add(split->group, &job, id, err);
    if (rc < 0)
        return rc;
    split->after[split->added++] = id;
    return 0;
}

static int add_whole(struct splits *self, const struct argosy_job *job, char id[ARGOSY_ID_SIZE],
                     struct argosy_error *err)
{
    struct split *split = self->adding;
    struct argosy_job whole = *job;
    int rc;

    whole.after = split->after;
    whole.after_count = split->added;
    whole.after_any = false;
    whole.delay_ms = 0; /* the parts have waited for it */
    rc = argosy_batch_add(split->group, &whole, id, err);
    if (rc < 0)
        return rc;
    memcpy(split->whole, id, ARGOSY_ID_SIZE);
    argosy_batch_seal(split->group);
    self->adding = NULL;
    return 0;
}

static int add_alone(struct splits *self, const struct argosy_job *job, char id[ARGOSY_ID_SIZE],
                     struct argosy_error *err)
{
    int rc;

    if (self->places_count == self->places_capacity) {
        size_t capacity = self->places_capacity * 2 + 64;
        uint32_t *grown = realloc(self->places, capacity * sizeof *grown);

        if (grown == NULL)
            return ag_fail(err, ARGOSY_ENOMEM, "no memory for a job");
        self->places = grown;
        self->places_capacity = capacity;
    }
    rc = argosy_batch_add(self->batch, job, id, err);
    if (rc == 0)
        self->places[self->places_count++] = self->placed++;
    return rc;
}

int splits_add(struct splits *self, const struct argosy_job *job, char id[ARGOSY_ID_SIZE],
               struct argosy_error *err)
{
    unsigned parts = self->source->parts(self->source->arg);
    int rc = 0;

    if (parts == 0)
        return add_alone(self, job, id, err);
    if (self->adding == NULL)
        rc = open_split(self, parts, err);
    while (rc == 0 && self->adding->added < parts)
        rc = add_part(self, job, err);
    return rc < 0 ? rc : add_whole(self, job, id, err);
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
static bool ends(struct split *split, const struct argosy_event *event)
{
    bool is_part = event->index < split->count;

    if (split->is_told || (is_part && event->state != ARGOSY_FAILED))
        return false;
    split->is_told = true;
    return true;
}

/* How far all of it is: what its parts are on average. */
static void share(const struct split *split, struct argosy_event *news)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < split->count; i++)
        sum += split->permille[i];
    news->permille = (uint32_t)(sum / split->count);
    memcpy(news->job, split->whole, sizeof news->job);
}

static void hear(const struct splits *self, struct split *split, const struct argosy_event *event,
                 struct argosy_event *told)
{
    bool is_news = event->type == ARGOSY_JOB_NEWS, is_end = event->type == ARGOSY_JOB_ENDED;

    if (is_news && event->index < split->count && event->permille <= 1000)
        split->permille[event->index] = event->permille;
    if (is_end && event->index < split->count)
        split->permille[event->index] = 1000;
    if (is_news ? split->whole[0] == '\0' : !is_end || !ends(split, event))
        return; /* of a job that has no id yet nothing can be told */
    *told = *event;
    told->batch = self->batch;
    told->index = split->place;
    if (is_news)
        share(split, told);
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

static bool take_alone(const struct splits *self, const struct argosy_event *event,
                       struct argosy_event *told)
{
    if (event->batch != self->batch || event->index >= self->places_count ||
        (event->type != ARGOSY_JOB_ENDED && event->type != ARGOSY_JOB_NEWS))
        return false;
    *told = *event;
    told->index = self->places[event->index];
    return true;
}

bool splits_take(struct splits *self, const struct argosy_event *event, struct argosy_event *told)
{
    struct split *split;

    told->type = 0;
    if (self->source->parts == NULL || event->batch == NULL || event->type == ARGOSY_BATCH_UNKNOWN)
        return false;
    split = find(self, event);
    if (split == NULL)
        return take_alone(self, event, told);
    if (event->batch == self->batch)
        split->is_known_over = true;
    else
        hear(self, split, event, told);
    split->is_over |= event->type == ARGOSY_BATCH_ENDED;
    if (self->arriving == split && (split->is_over || event->type == ARGOSY_BATCH_ACCEPTED))
        self->arriving = NULL;
    if ((split->is_over && split->is_known_over) ||
        (event->type == ARGOSY_BATCH_ACCEPTED && (self->flags & ARGOSY_DETACHED)))
        close_split(self, split);
    return true;
}

bool splits_are_accepted(const struct splits *self)
{
    return self->count == 0;
}
