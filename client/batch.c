/* A batch: submitted in chunks, sealed when all of it is accepted, watched from a cursor. */
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/wire.h"

/* ---- adding
 * ------------------------------------------------------------------------------------------- */

static void pending_free(struct pending *pending)
{
    ag_link_remove(&pending->link);
    free((void *)pending->spec.kind.data);
    free((void *)pending->spec.payload.data);
    free((void *)pending->spec.retry.selectors.data);
    free(pending);
}

static void chunk_free(argosy_batch *self, struct chunk *chunk)
{
    self->window_jobs -= chunk->count;
    self->window_bytes -= chunk->bytes;
    while (!ag_list_is_empty(&chunk->jobs))
        pending_free(AG_OWNER(chunk->jobs.next, struct pending, link));
    ag_link_remove(&chunk->link);
    free(chunk);
}

static struct chunk *chunk_new(argosy_batch *self)
{
    struct chunk *chunk = calloc(1, sizeof *chunk);

    if (chunk == NULL)
        return NULL;
    ag_link_init(&chunk->link);
    ag_link_init(&chunk->jobs);
    ag_list_append(&self->chunks, &chunk->link);
    return chunk;
}

/* The last chunk if it can take so many bytes more, else a new one. */
static struct chunk *chunk_for(argosy_batch *self, size_t bytes)
{
    struct chunk *chunk = AG_OWNER(self->chunks.prev, struct chunk, link);

    if (ag_list_is_empty(&self->chunks) || chunk->request != 0 ||
        chunk->count == AG_MESSAGE_ITEMS_MAX || chunk->not_before != 0 ||
        (chunk->count > 0 && chunk->bytes + bytes > AG_MESSAGE_BYTES_FULL))
        return chunk_new(self);
    return chunk;
}

static void put(argosy_batch *self, struct chunk *chunk, struct pending *pending)
{
    ag_list_append(&chunk->jobs, &pending->link);
    chunk->count++;
    chunk->bytes += pending->spec.payload.size;
    self->window_jobs++;
    self->window_bytes += pending->spec.payload.size;
}

static struct ag_bytes copy(const void *data, size_t size, bool *failed)
{
    void *room = malloc(size + 1);

    if (room == NULL) {
        *failed = true;
        return (struct ag_bytes){0};
    }
    if (size > 0)
        memcpy(room, data, size);
    return ag_bytes_of(room, size);
}

static struct ag_bytes copy_text(const char *text, bool *failed)
{
    return copy(text != NULL ? text : "", text != NULL ? strlen(text) : 0, failed);
}

static struct pending *pending_new(const argosy_batch *self, const struct argosy_job *job)
{
    struct pending *pending = calloc(1, sizeof *pending);
    struct proto_submit_job *spec;
    bool failed = false;

    if (pending == NULL)
        return NULL;
    ag_link_init(&pending->link);
    spec = &pending->spec;
    *spec = (struct proto_submit_job){
        .group = self->id,
        .index = self->next_index,
        .kind = copy_text(job->kind, &failed),
        .run_ms = job->run_ms,
        .queue_ms = job->queue_ms,
        .delay_ms = job->delay_ms,
        .grace_ms = job->grace_ms,
        .retry = {.attempts = job->retry.attempts > 0 ? job->retry.attempts : 1,
                  .base_ms = job->retry.base_ms,
                  .cap_ms = job->retry.cap_ms,
                  .factor_percent = job->retry.factor_percent,
                  .selectors = copy_text(job->retry.selectors, &failed)},
        .payload = copy(job->payload, job->payload_size, &failed),
    };
    if (failed || client_make_id(&spec->id, NULL) < 0) {
        pending_free(pending);
        return NULL;
    }
    return pending;
}

static int check_job(const struct argosy_job *job, struct argosy_error *err)
{
    if (job->kind == NULL || job->kind[0] == '\0' || strlen(job->kind) > AG_NAME_BYTES_MAX)
        return ag_fail(err, ARGOSY_EINVAL, "a kind has 1 to %d bytes", AG_NAME_BYTES_MAX);
    if (job->payload_size > AG_PAYLOAD_BYTES_MAX)
        return ag_fail(err, ARGOSY_ETOOBIG,
                       "a payload of %zu bytes is larger than %d: hand large input on by reference",
                       job->payload_size, AG_PAYLOAD_BYTES_MAX);
    if (ag_wire_check(ag_bytes_of(job->payload, job->payload_size), AG_WIRE_DEPTH_MAX,
                      AG_BODY_OBJECTS_MAX) < 0)
        return ag_fail(err, ARGOSY_EINVAL, "the payload is not msgpack");
    if (job->retry.attempts > AG_ATTEMPTS_MAX)
        return ag_fail(err, ARGOSY_EINVAL, "%u attempts are more than %d", job->retry.attempts,
                       AG_ATTEMPTS_MAX);
    if (job->retry.selectors != NULL && strlen(job->retry.selectors) > AG_TEXT_BYTES_MAX)
        return ag_fail(err, ARGOSY_EINVAL, "the retry's selectors are too long");
    return 0;
}

int argosy_batch_add(argosy_batch *self, const struct argosy_job *job, char id[ARGOSY_ID_SIZE],
                     struct argosy_error *err)
{
    struct pending *pending;
    struct chunk *chunk;
    int rc = check_job(job, err);

    if (rc < 0)
        return rc;
    if (!self->is_ours || self->wants_seal)
        return ag_fail(err, ARGOSY_ESTATE, "the batch takes no more jobs");
    if (self->window_jobs >= WINDOW_JOBS || self->window_bytes >= WINDOW_BYTES)
        return ag_fail(err, ARGOSY_EAGAIN, "%u jobs are not answered yet", self->window_jobs);
    pending = pending_new(self, job);
    chunk = pending != NULL ? chunk_for(self, job->payload_size) : NULL;
    if (chunk == NULL) {
        if (pending != NULL)
            pending_free(pending);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a job");
    }
    self->next_index++;
    put(self, chunk, pending);
    if (id != NULL)
        ag_id_print(&pending->spec.id, id);
    if (chunk->count == AG_MESSAGE_ITEMS_MAX)
        batch_flush(self, ag_clock_mono_ms());
    return 0;
}

/* ---- saying
 * ------------------------------------------------------------------------------------------- */

/* Everything unanswered is said again. */
void batch_new_session(argosy_batch *self)
{
    for (struct ag_link *at = self->chunks.next; at != &self->chunks; at = at->next)
        AG_OWNER(at, struct chunk, link)->is_sent = false;
    self->is_seal_sent = self->is_cancel_sent = self->is_watch_sent = false;
}

static bool send_chunk(argosy_batch *self, struct chunk *chunk)
{
    argosy_client *client = self->client;
    struct proto_submit *submit = &client->out.submit;

    if (chunk->request == 0)
        chunk->request = ++client->numbers;
    client->out.type = AG_SUBMIT;
    submit->request = chunk->request;
    submit->groups_count = submit->jobs_count = 0;
    if (!self->is_known)
        submit->groups[submit->groups_count++] = self->group;
    for (struct ag_link *at = chunk->jobs.next; at != &chunk->jobs; at = at->next)
        submit->jobs[submit->jobs_count++] = AG_OWNER(at, struct pending, link)->spec;
    return client_send(client, &client->out);
}

static void flush_chunks(argosy_batch *self, int64_t now)
{
    /* A batch without jobs exists as well: its group travels alone. */
    if (!self->is_known && self->wants_seal && ag_list_is_empty(&self->chunks) &&
        chunk_new(self) == NULL)
        return;
    for (struct ag_link *at = self->chunks.next; at != &self->chunks; at = at->next) {
        struct chunk *chunk = AG_OWNER(at, struct chunk, link);

        if (!chunk->is_sent && chunk->not_before <= now)
            chunk->is_sent = send_chunk(self, chunk);
    }
}

static void flush_seal(argosy_batch *self)
{
    argosy_client *client = self->client;

    if (!self->wants_seal || self->is_sealed || self->is_seal_sent || !self->is_known ||
        !ag_list_is_empty(&self->chunks))
        return;
    if (self->seal_request == 0)
        self->seal_request = ++client->numbers;
    client->out.type = AG_SEAL;
    client->out.seal = (struct proto_seal){.request = self->seal_request, .group = self->id};
    self->is_seal_sent = client_send(client, &client->out);
}

static void flush_cancel(argosy_batch *self)
{
    argosy_client *client = self->client;

    if (!self->wants_cancel || self->is_cancel_sent || !self->is_known)
        return;
    if (self->cancel_request == 0)
        self->cancel_request = ++client->numbers;
    client->out.type = AG_CANCEL;
    client->out.cancel.request = self->cancel_request;
    client->out.cancel.count = 1;
    client->out.cancel.targets[0] = self->id;
    self->is_cancel_sent = client_send(client, &client->out);
}

static uint32_t watch_flags(const argosy_batch *self)
{
    uint32_t flags = 0;

    if (!(self->flags & ARGOSY_WITHOUT_RESULTS))
        flags |= PROTO_WATCH_RESULTS;
    if (self->flags & ARGOSY_ONLY_FAILURES)
        flags |= PROTO_WATCH_FAILURES;
    if (!(self->flags & ARGOSY_KEEP))
        flags |= PROTO_WATCH_RELEASE;
    return flags;
}

static void flush_watch(argosy_batch *self)
{
    argosy_client *client = self->client;

    if (!self->is_known || (self->flags & ARGOSY_DETACHED))
        return;
    if (!self->is_watch_sent) {
        client->out.type = AG_WATCH;
        client->out.watch = (struct proto_watch){.watch = self->watch,
                                                 .target = self->id,
                                                 .cursor = self->cursor,
                                                 .credit = WATCH_CREDIT,
                                                 .flags = watch_flags(self)};
        self->is_watch_sent = client_send(client, &client->out);
        self->acknowledged = self->cursor;
    } else if (self->cursor - self->acknowledged >= WATCH_CREDIT / 4) {
        client->out.type = AG_MORE;
        client->out.more = (struct proto_more){
            .watch = self->watch, .cursor = self->cursor, .credit = WATCH_CREDIT};
        if (client_send(client, &client->out))
            self->acknowledged = self->cursor;
    }
}

void batch_flush(argosy_batch *self, int64_t now)
{
    if (!self->client->is_open || self->is_over)
        return;
    if (self->is_ours) {
        flush_chunks(self, now);
        flush_seal(self);
    }
    flush_cancel(self);
    flush_watch(self);
}

int64_t batch_deadline(const argosy_batch *self)
{
    int64_t at = INT64_MAX;

    for (struct ag_link *link = self->chunks.next; link != &self->chunks; link = link->next) {
        const struct chunk *chunk = AG_OWNER(link, struct chunk, link);

        if (!chunk->is_sent && chunk->not_before < at)
            at = chunk->not_before;
    }
    return at;
}

/* ---- hearing
 * ------------------------------------------------------------------------------------------ */

static const struct proto_refusal *find_refusal(const struct proto_accepted *accepted,
                                                const struct ag_id *id)
{
    for (uint32_t i = 0; i < accepted->refused_count; i++)
        if (ag_id_equal(&accepted->refused[i].id, id))
            return &accepted->refused[i];
    return NULL;
}

/* It failed before it began; the report says so as of any other. */
static void refuse_for_good(argosy_batch *self, const struct pending *pending,
                            const struct proto_refusal *refusal)
{
    char type[AG_NAME_BYTES_MAX + 1], message[256], kind[AG_NAME_BYTES_MAX + 1];

    snprintf(type, sizeof type, "%.*s", AG_TEXT(refusal->type));
    snprintf(message, sizeof message, "%.*s", AG_TEXT(refusal->message));
    snprintf(kind, sizeof kind, "%.*s", AG_TEXT(pending->spec.kind));
    ag_report_add_failure(self->report, type, message, kind, pending->spec.payload,
                          &pending->spec.id);
    self->refused++;
}

/* What had no room goes into a chunk of its own, to be sent again later. */
static void settle(argosy_batch *self, struct chunk *chunk, const struct proto_accepted *accepted,
                   int64_t now)
{
    struct chunk *again = NULL;
    struct ag_link *next;

    for (struct ag_link *at = chunk->jobs.next; at != &chunk->jobs; at = next) {
        struct pending *pending = AG_OWNER(at, struct pending, link);
        const struct proto_refusal *refusal = find_refusal(accepted, &pending->spec.id);

        next = at->next;
        if (refusal == NULL)
            continue;
        if (!ag_bytes_are(refusal->type, "rejected.full") ||
            (again == NULL && (again = chunk_new(self)) == NULL)) {
            refuse_for_good(self, pending, refusal);
            continue;
        }
        chunk->count--;
        chunk->bytes -= pending->spec.payload.size;
        self->window_jobs--;
        self->window_bytes -= pending->spec.payload.size;
        put(self, again, pending);
        again->not_before = now + accepted->retry_after_ms;
    }
    chunk_free(self, chunk);
}

static void finish(argosy_batch *self)
{
    if (strcmp(self->failure, "timeout.group") == 0)
        ag_report_add_failure(self->report, "timeout.group",
                              "the batch was not done by its deadline", "", (struct ag_bytes){0},
                              NULL);
    ag_report_finish(self->report, self->name != NULL ? self->name : self->id_text, &self->counts);
}

bool batch_on_accepted(argosy_batch *self, const struct proto_accepted *accepted, int64_t now)
{
    for (struct ag_link *at = self->chunks.next; at != &self->chunks; at = at->next) {
        struct chunk *chunk = AG_OWNER(at, struct chunk, link);

        if (chunk->request != accepted->request)
            continue;
        if (find_refusal(accepted, &self->id) == NULL)
            self->is_known = true;
        settle(self, chunk, accepted, now);
        if (!self->is_known && ag_list_is_empty(&self->chunks) && self->wants_seal) {
            self->is_over = true; /* the group itself was refused, and all jobs with it */
            self->counts = (struct argosy_counts){.total = self->refused, .failed = self->refused};
            finish(self);
            client_notice(self->client, ARGOSY_BATCH_ENDED, self);
        }
        return true;
    }
    return false;
}

bool batch_on_answer(argosy_batch *self, const struct proto_answer *answer)
{
    if (self->seal_request != 0 && answer->request == self->seal_request && !self->is_sealed) {
        self->is_sealed = true;
        client_notice(self->client, ARGOSY_BATCH_ACCEPTED, self);
        return true;
    }
    if (self->cancel_request != 0 && answer->request == self->cancel_request) {
        self->wants_cancel = false;
        self->cancel_request = 0;
        return true;
    }
    return false;
}

bool batch_is_repetition(const argosy_batch *self, const struct proto_events *events)
{
    return self->is_over || (events->count > 0 && events->cursor <= self->cursor);
}

static const char *failure_of(const struct proto_events *events)
{
    if (ag_bytes_are(events->failure, "timeout.group"))
        return "timeout.group";
    return events->failure.size > 0 ? "cancelled" : "";
}

/* The head of an EVENTS message. */
void batch_on_events(argosy_batch *self, const struct proto_events *events)
{
    const struct proto_counts *counts = &events->counts;

    self->counts = (struct argosy_counts){.total = counts->total + self->refused,
                                          .succeeded = counts->succeeded,
                                          .failed = counts->failed + self->refused,
                                          .cancelled = counts->cancelled,
                                          .retried = counts->retried,
                                          .wall_ms = events->wall_ms,
                                          .busy_ms = events->busy_ms};
    self->waiting = counts->waiting;
    self->running = counts->running;
    self->failure = failure_of(events);
    if (self->name == NULL && events->name.size > 0)
        self->name = strndup((const char *)events->name.data, events->name.size);
}

/* All of its entries have been handed out. */
void batch_on_events_done(argosy_batch *self, const struct proto_events *events)
{
    if (events->cursor > self->cursor)
        self->cursor = events->cursor;
    if (events->end == PROTO_MORE_TO_COME) {
        client_notice(self->client, ARGOSY_PROGRESS, self);
        return;
    }
    if (events->end == PROTO_UNKNOWN && self->is_ours && !self->is_known)
        return;
    self->is_over = true;
    if (events->end == PROTO_ENDED)
        finish(self);
    client_notice(self->client,
                  events->end == PROTO_ENDED ? ARGOSY_BATCH_ENDED : ARGOSY_BATCH_UNKNOWN, self);
}

/* ---- life
 * --------------------------------------------------------------------------------------------- */

static int batch_make(argosy_batch **out, argosy_client *client, unsigned flags,
                      struct argosy_error *err)
{
    argosy_batch *self = calloc(1, sizeof *self);

    *out = NULL;
    if (self == NULL || (self->report = argosy_report_new("")) == NULL) {
        free(self);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a batch");
    }
    ag_link_init(&self->link);
    ag_link_init(&self->chunks);
    self->client = client;
    self->flags = flags & ARGOSY_DETACHED ? flags | ARGOSY_KEEP : flags;
    self->watch = ++client->watches;
    self->failure = "";
    ag_list_append(&client->batches, &self->link);
    *out = self;
    return 0;
}

int argosy_batch_new(argosy_batch **out, argosy_client *client, const struct argosy_group *group,
                     unsigned flags, struct argosy_error *err)
{
    argosy_batch *self;
    int rc = batch_make(&self, client, flags, err);

    *out = NULL;
    if (rc < 0)
        return rc;
    self->name = strdup(group->name != NULL ? group->name : "");
    self->is_ours = true;
    rc = client_make_id(&self->id, err);
    if (rc == 0 && self->name == NULL)
        rc = ag_fail(err, ARGOSY_ENOMEM, "no memory for a batch");
    if (rc == 0 && strlen(self->name) > AG_TEXT_BYTES_MAX)
        rc = ag_fail(err, ARGOSY_EINVAL, "the name of a batch has at most %d bytes",
                     AG_TEXT_BYTES_MAX);
    if (rc < 0) {
        argosy_batch_destroy(&self);
        return rc;
    }
    ag_id_print(&self->id, self->id_text);
    self->group = (struct proto_group){.id = self->id,
                                       .name = ag_bytes_of_text(self->name),
                                       .policy = group->policy == ARGOSY_TASKGROUP ? PROTO_TASKGROUP
                                                                                   : PROTO_GATHER,
                                       .failures_max = group->max_failures,
                                       .deadline_ms = group->deadline_ms,
                                       .concurrency = group->concurrency};
    *out = self;
    return 0;
}

int argosy_watch(argosy_batch **out, argosy_client *client, const char *id, unsigned flags,
                 struct argosy_error *err)
{
    struct ag_id target;
    int rc = ag_id_parse(id, &target, err);

    *out = NULL;
    if (rc == 0)
        rc = batch_make(out, client, flags | ARGOSY_KEEP, err);
    if (rc < 0)
        return rc;
    (*out)->id = target;
    ag_id_print(&target, (*out)->id_text);
    (*out)->is_known = true;
    return 0;
}

void argosy_batch_seal(argosy_batch *self)
{
    self->wants_seal = true;
    batch_flush(self, ag_clock_mono_ms());
}

int argosy_batch_cancel(argosy_batch *self, struct argosy_error *err)
{
    if (self->is_over)
        return ag_fail(err, ARGOSY_ESTATE, "the batch is over");
    self->wants_cancel = true;
    batch_flush(self, ag_clock_mono_ms());
    return 0;
}

const char *argosy_batch_id(const argosy_batch *self)
{
    return self->id_text;
}

const argosy_report *argosy_batch_report(const argosy_batch *self)
{
    return self->report;
}

void argosy_batch_destroy(argosy_batch **self_p)
{
    argosy_batch *self = *self_p;
    argosy_client *client;

    if (self == NULL)
        return;
    client = self->client;
    while (!ag_list_is_empty(&self->chunks))
        chunk_free(self, AG_OWNER(self->chunks.next, struct chunk, link));
    if (self->is_watch_sent && !self->is_over && client->is_open) {
        client->out.type = AG_MORE;
        client->out.more = (struct proto_more){.watch = self->watch, .cursor = self->cursor};
        client_send(client, &client->out);
    }
    for (unsigned i = 0; i < NOTICES_MAX; i++)
        if (client->notices[i].batch == self)
            client->notices[i] = (struct notice){0};
    ag_link_remove(&self->link);
    argosy_report_destroy(&self->report);
    free(self->name);
    free(self);
    *self_p = NULL;
}
