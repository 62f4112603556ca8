/* A batch: submitted in chunks, sealed when all of it is accepted, watched from a cursor. */
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "common/error.h"
#include "common/wire.h"

/* ---- adding
 * ------------------------------------------------------------------------------------------- */

void pending_free(struct pending *pending)
{
    ag_link_remove(&pending->link);
    free(pending);
}

static void chunk_free(argosy_batch *self, struct chunk *chunk)
{
    self->window_jobs -= chunk->count;
    self->window_bytes -= chunk->bytes;
    while (!ag_list_is_empty(&chunk->jobs)) {
        struct pending *pending = AG_OWNER(chunk->jobs.next, struct pending, link);

        ag_map_remove(&self->jobs, &pending->node);
        pending_free(pending);
    }
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
    pending->chunk = chunk;
    pending->node.id = pending->spec.id;
    ag_map_add(&self->jobs, &pending->node);
    chunk->count++;
    chunk->bytes += pending->spec.payload.size;
    self->window_jobs++;
    self->window_bytes += pending->spec.payload.size;
}

/* The caller puts it elsewhere, or frees it. */
static void take_out(argosy_batch *self, struct pending *pending)
{
    ag_map_remove(&self->jobs, &pending->node);
    pending->chunk->count--;
    pending->chunk->bytes -= pending->spec.payload.size;
    self->window_jobs--;
    self->window_bytes -= pending->spec.payload.size;
}

/* Copies behind what was copied before. */
static struct ag_bytes keep(uint8_t **at, const void *data, size_t size)
{
    uint8_t *begin = *at;

    if (size > 0)
        memcpy(begin, data, size);
    *at += size;
    return ag_bytes_of(begin, size);
}

static size_t length_of(const char *text)
{
    return text != NULL ? strlen(text) : 0;
}

/* They were checked. */
static struct ag_bytes keep_ids(uint8_t **at, const char *const *ids, size_t count)
{
    uint8_t *begin = *at;

    for (size_t i = 0; i < count; i++) {
        struct ag_id id = {0};

        ag_id_parse(ids[i], &id, NULL);
        keep(at, &id, sizeof id);
    }
    return ag_bytes_of(begin, (size_t)(*at - begin));
}

static struct ag_bytes keep_text(uint8_t **at, const char *text)
{
    return keep(at, text, length_of(text));
}

static size_t bytes_of(const struct argosy_job *job)
{
    return length_of(job->kind) + length_of(job->retry.selectors) + job->payload_size +
           length_of(job->queue) + length_of(job->key) + job->after_count * sizeof(struct ag_id) +
           length_of(job->unique) + length_of(job->requires);
}

/* One allocation holds the job and all that it points to: batches may have millions. */
struct pending *pending_new(argosy_client *client, const struct ag_id *group, uint32_t index,
                            const struct argosy_job *job)
{
    struct pending *pending = malloc(sizeof *pending + bytes_of(job));
    uint8_t *at;

    if (pending == NULL)
        return NULL;
    at = pending->bytes;
    ag_link_init(&pending->link);
    pending->chunk = NULL;
    pending->spec = (struct proto_submit_job){
        .group = *group,
        .index = index,
        .kind = keep_text(&at, job->kind),
        .run_ms = job->run_ms,
        .queue_ms = job->queue_ms,
        .delay_ms = job->delay_ms,
        .grace_ms = job->grace_ms,
        .retry = {.attempts = job->retry.attempts > 0 ? job->retry.attempts : 1,
                  .base_ms = job->retry.base_ms,
                  .cap_ms = job->retry.cap_ms,
                  .factor_percent = job->retry.factor_percent,
                  .budget_percent = job->retry.budget_percent,
                  .selectors = keep_text(&at, job->retry.selectors)},
        .payload = keep(&at, job->payload, job->payload_size),
        .priority = job->has_priority ? job->priority : AG_PRIORITY_DEFAULT,
        .queue = keep_text(&at, job->queue),
        .key = keep_text(&at, job->key),
        .key_max = job->key_max,
        .key_delay_ms = job->key_delay_ms,
        .after = keep_ids(&at, job->after, job->after_count),
        .after_any = job->after_any,
        .unique = keep_text(&at, job->unique),
        .unique_policy = (enum proto_unique)job->unique_policy,
        .requires = keep_text(&at, job->requires),
        .ttl_ms = job->ttl_ms,
    };
    if (client_make_id(client, &pending->spec.id, NULL) < 0) {
        pending_free(pending);
        return NULL;
    }
    return pending;
}

static int check_length(const char *what, const char *text, size_t max, struct argosy_error *err)
{
    if (text == NULL || strlen(text) <= max)
        return 0;
    return ag_fail(err, ARGOSY_EINVAL, "%s has at most %zu bytes", what, max);
}

/* When and where it may run. */
static int check_order(const struct argosy_job *job, struct argosy_error *err)
{
    struct ag_id id;
    int rc;

    if (job->has_priority && job->priority >= AG_PRIORITIES)
        return ag_fail(err, ARGOSY_EINVAL, "a priority is 0-%d", AG_PRIORITIES - 1);
    if ((rc = check_length("a queue", job->queue, AG_NAME_BYTES_MAX, err)) < 0 ||
        (rc = check_length("a key", job->key, AG_TEXT_BYTES_MAX, err)) < 0 ||
        (rc = check_length("a unique key", job->unique, AG_TEXT_BYTES_MAX, err)) < 0 ||
        (rc = check_length("a list of tags", job->requires, AG_TEXT_BYTES_MAX, err)) < 0)
        return rc;
    if (job->after_count > AG_AFTER_MAX)
        return ag_fail(err, ARGOSY_EINVAL, "a job comes after at most %d others", AG_AFTER_MAX);
    for (size_t i = 0; i < job->after_count; i++)
        if ((rc = ag_id_parse(job->after[i], &id, err)) < 0)
            return rc;
    return 0;
}

int pending_check(const struct argosy_job *job, struct argosy_error *err)
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
    if (job->retry.budget_percent > 100)
        return ag_fail(err, ARGOSY_EINVAL, "a retry budget is 1 to 100 percent, 0 none");
    if (job->retry.selectors != NULL && strlen(job->retry.selectors) > AG_TEXT_BYTES_MAX)
        return ag_fail(err, ARGOSY_EINVAL, "the retry's selectors are too long");
    return check_order(job, err);
}

int argosy_batch_add(argosy_batch *self, const struct argosy_job *job, char id[ARGOSY_ID_SIZE],
                     struct argosy_error *err)
{
    struct pending *pending;
    struct chunk *chunk;
    int rc;

    if (!self->is_ours || self->wants_seal)
        return ag_fail(err, ARGOSY_ESTATE, "the batch takes no more jobs");
    if (self->window_jobs >= WINDOW_JOBS || self->window_bytes >= WINDOW_BYTES)
        return ag_fail(err, ARGOSY_EAGAIN, "%u jobs are not answered yet", self->window_jobs);
    rc = pending_check(job, err);
    if (rc < 0)
        return rc;
    pending = pending_new(self->client, &self->id, self->next_index, job);
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
        batch_flush(self, client_now(self->client));
    return 0;
}

/* ---- saying
 * ------------------------------------------------------------------------------------------- */

/* Everything unanswered is said again. */
void batch_new_session(argosy_batch *self)
{
    for (struct ag_link *at = self->chunks.next; at != &self->chunks; at = at->next)
        AG_OWNER(at, struct chunk, link)->is_sent = false;
    self->is_seal_sent = self->is_cancel_sent = self->is_watch_sent = self->was_too_early = false;
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
        chunk->has_group = true; /* and has it whenever it is said again */
    if (chunk->has_group)
        submit->groups[submit->groups_count++] = self->group;
    for (struct ag_link *at = chunk->jobs.next; at != &chunk->jobs; at = at->next)
        submit->jobs[submit->jobs_count++] = AG_OWNER(at, struct pending, link)->spec;
    return client_send(client, &client->out);
}

/* False: something that the broker may have taken before could not be said again. Its ends must not
 * be acknowledged then: the broker would forget it, and take it for new when it comes. */
static bool flush_chunks(argosy_batch *self, int64_t now)
{
    /* A batch without jobs exists as well: its group travels alone. */
    if (!self->is_known && (self->wants_seal || self->is_wanted) &&
        ag_list_is_empty(&self->chunks) && chunk_new(self) == NULL)
        return false;
    for (struct ag_link *at = self->chunks.next; at != &self->chunks; at = at->next) {
        struct chunk *chunk = AG_OWNER(at, struct chunk, link);

        if (!chunk->is_sent && chunk->not_before <= now)
            chunk->is_sent = send_chunk(self, chunk);
        if (!chunk->is_sent && chunk->not_before <= now)
            return false;
    }
    return true;
}

/* A batch in this one that the broker does not know yet: to what is sealed it could not be added.
 */
static bool has_unborn_child(const argosy_batch *self)
{
    const struct ag_link *all = &self->client->batches;

    for (struct ag_link *at = all->next; at != all; at = at->next) {
        const argosy_batch *child = AG_OWNER(at, argosy_batch, link);

        if (child->parent == self && child->is_ours && !child->is_known && !child->is_refused)
            return true;
    }
    return false;
}

static void flush_seal(argosy_batch *self)
{
    argosy_client *client = self->client;

    if (has_unborn_child(self))
        return;
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
    uint32_t flags = PROTO_WATCH_EARLY;

    if (!(self->flags & ARGOSY_WITHOUT_RESULTS))
        flags |= PROTO_WATCH_RESULTS;
    if (self->flags & ARGOSY_ONLY_FAILURES)
        flags |= PROTO_WATCH_FAILURES;
    if (self->flags & ARGOSY_NEWS)
        flags |= PROTO_WATCH_NEWS;
    if (!(self->flags & ARGOSY_KEEP))
        flags |= PROTO_WATCH_RELEASE;
    return flags;
}

/* News are told once: who wants them asks in the same breath as it submits, before anything can
 * begin, and once more should the broker not have taken it. */
static bool may_watch(const argosy_batch *self)
{
    const struct ag_link *first = self->chunks.next;

    if (self->is_known || !self->is_ours || (self->flags & ARGOSY_NEWS) == 0)
        return self->is_known;
    return !self->was_too_early && first != &self->chunks &&
           AG_OWNER(first, struct chunk, link)->is_sent;
}

/* So much of what may be on its way to us has come that more has to be asked for. */
static bool needs_credit(const argosy_batch *self)
{
    return self->cursor - self->acknowledged >= WATCH_CREDIT / 4 || self->news >= WATCH_CREDIT / 4;
}

static void flush_watch(argosy_batch *self)
{
    argosy_client *client = self->client;

    if (!may_watch(self) || (self->flags & ARGOSY_DETACHED))
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
        self->news = 0;
    } else if (needs_credit(self)) {
        batch_acknowledge(self);
    }
}

/* What is kept to the end is not given away by it. Then it is said only when it must be: were it to
 * cross the broker's word of the end, the watch would be over with nothing released. */
void batch_acknowledge(argosy_batch *self)
{
    argosy_client *client = self->client;
    bool keeps = (self->flags & ARGOSY_KEEP_TO_END) != 0;
    uint64_t taken = keeps ? 0 : self->cursor;

    if (!self->is_watch_sent || self->is_over || (keeps && !needs_credit(self)) ||
        (self->cursor == self->acknowledged && self->news == 0))
        return;
    client->out.type = AG_MORE;
    client->out.more =
        (struct proto_more){.watch = self->watch,
                            .cursor = taken,
                            .credit = (uint32_t)(self->cursor - taken) + WATCH_CREDIT};
    if (client_send(client, &client->out)) {
        self->acknowledged = self->cursor;
        self->news = 0;
    }
}

static void drop_refused(argosy_batch *self);

void batch_flush(argosy_batch *self, int64_t now)
{
    if (self->parent != NULL && self->parent->is_refused)
        self->is_refused = true;
    if (self->is_refused) {
        drop_refused(self);
        return;
    }
    if (!self->client->is_open || self->is_over ||
        (self->parent != NULL && !self->parent->is_known))
        return;
    if (self->is_ours) {
        if (!flush_chunks(self, now))
            return;
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

    if (self->has_ended && ag_bytes_are(refusal->type, "rejected.group")) {
        self->late++; /* it was cancelled before it could begin */
        return;
    }
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
        take_out(self, pending);
        put(self, again, pending);
        again->not_before = now + accepted->retry_after_ms;
    }
    chunk_free(self, chunk);
    if (again == NULL)
        return;
    /* What was taken of any batch makes room. */
    for (struct ag_link *at = self->client->batches.next; at != &self->client->batches;
         at = at->next)
        batch_acknowledge(AG_OWNER(at, argosy_batch, link));
}

static void finish(argosy_batch *self)
{
    static const struct {
        const char *type, *message;
    } failures[] = {{"timeout.group", "the batch was not done by its deadline"},
                    {"group.successes", "fewer jobs succeeded than were asked for"}};

    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
        if (strcmp(self->failure, failures[i].type) == 0)
            ag_report_add_failure(self->report, failures[i].type, failures[i].message, "",
                                  (struct ag_bytes){0}, NULL);
    ag_report_finish(self->report, self->name != NULL ? self->name : self->id_text, &self->counts);
}

static bool has_open_child(const argosy_batch *self)
{
    const struct ag_link *all = &self->client->batches;

    for (struct ag_link *at = all->next; at != all; at = at->next) {
        const argosy_batch *child = AG_OWNER(at, argosy_batch, link);

        if (child->parent == self && !child->is_over)
            return true;
    }
    return false;
}

static void tell(argosy_batch *self, enum argosy_event_type type)
{
    if (!self->is_hidden)
        client_notice(self->client, type, self);
}

/* Its end is told after that of the groups in it, whose failures stand in its report. */
static void end(argosy_batch *self, enum argosy_event_type type)
{
    argosy_batch *parent = self->parent;

    self->has_ended = true;
    self->end_type = type;
    if (self->is_over || has_open_child(self) || !ag_list_is_empty(&self->chunks))
        return;
    self->is_over = true;
    self->counts.total += self->late;
    self->counts.cancelled += self->late;
    if (type == ARGOSY_BATCH_ENDED)
        finish(self);
    if (parent != NULL && !argosy_report_is_empty(self->report))
        ag_report_add_group(parent->report, argosy_report_root(self->report));
    tell(self, type);
    if (parent != NULL && parent->has_ended && !parent->is_over)
        end(parent, parent->end_type);
}

/* The group itself was refused, or what it is part of: all that was added has failed before it
 * began. */
static void drop_refused(argosy_batch *self)
{
    static const char type[] = "rejected.group", message[] = "the batch was refused";
    const struct proto_refusal refusal = {.type = ag_bytes_of_text(type),
                                          .message = ag_bytes_of_text(message)};

    while (!ag_list_is_empty(&self->chunks)) {
        struct chunk *chunk = AG_OWNER(self->chunks.next, struct chunk, link);

        for (struct ag_link *at = chunk->jobs.next; at != &chunk->jobs; at = at->next)
            refuse_for_good(self, AG_OWNER(at, struct pending, link), &refusal);
        chunk_free(self, chunk);
    }
    if (!self->wants_seal || self->is_over)
        return;
    self->counts = (struct argosy_counts){.total = self->refused, .failed = self->refused};
    end(self, ARGOSY_BATCH_ENDED);
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
        if (self->has_ended)
            end(self, self->end_type);
        if (self->is_known && !self->wants_seal && ag_list_is_empty(&self->chunks))
            tell(self, ARGOSY_BATCH_OPEN);
        if (!self->is_known && find_refusal(accepted, &self->id) != NULL) {
            self->is_refused = true;
            drop_refused(self);
        }
        return true;
    }
    return false;
}

bool batch_on_answer(argosy_batch *self, const struct proto_answer *answer)
{
    if (self->seal_request != 0 && answer->request == self->seal_request && !self->is_sealed) {
        self->is_sealed = true;
        tell(self, ARGOSY_BATCH_ACCEPTED);
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
    if (self->is_over || events->end == PROTO_EARLY)
        return self->is_over;
    return events->count > 0 && events->cursor <= self->cursor;
}

static const char *failure_of(const struct proto_events *events)
{
    if (ag_bytes_are(events->failure, "timeout.group"))
        return "timeout.group";
    if (ag_bytes_are(events->failure, "group.successes"))
        return "group.successes";
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
                                          .unconfirmed = counts->unconfirmed,
                                          .wall_ms = events->wall_ms,
                                          .busy_ms = events->busy_ms};
    self->waiting = counts->waiting;
    self->running = counts->running;
    self->failure = failure_of(events);
    if (self->name == NULL && events->name.size > 0)
        self->name = strndup((const char *)events->name.data, events->name.size);
}

static argosy_batch *batch_find(argosy_client *client, const struct ag_id *id)
{
    for (struct ag_link *at = client->batches.next; at != &client->batches; at = at->next) {
        argosy_batch *batch = AG_OWNER(at, argosy_batch, link);

        if (ag_id_equal(&batch->id, id))
            return batch;
    }
    return NULL;
}

/* A group in this one has ended with failures: what they were is read there, unless somebody does
 * so already. */
static void read_child(argosy_batch *self, const struct ag_id *id)
{
    argosy_batch *child = batch_find(self->client, id);
    char text[ARGOSY_ID_SIZE];

    if (child != NULL)
        return;
    ag_id_print(id, text);
    if (argosy_watch(&child, self->client, text, ARGOSY_ONLY_FAILURES, NULL) < 0)
        return; /* the report says at least that it failed */
    child->is_hidden = true;
    child->parent = self;
}

/* What has ended was accepted, though the answer that said so was lost: it must not be said again,
 * for once its end is acknowledged the broker may know nothing of it. */
static void forget_pending(argosy_batch *self, const struct ag_id *id)
{
    struct ag_map_node *node = ag_map_find(&self->jobs, id);
    struct pending *pending = node != NULL ? AG_OWNER(node, struct pending, node) : NULL;

    if (pending == NULL)
        return;
    take_out(self, pending);
    pending_free(pending);
}

/* Without memory its end is handed out twice, which is better than never. */
static void remember_early(argosy_batch *self, const struct ag_id *job)
{
    struct early *early = calloc(1, sizeof *early);

    if (early == NULL)
        return;
    early->node.id = *job;
    ag_map_add(&self->early, &early->node);
}

/* The first word is what the user hears: a job that ran again, because a crash of the broker forgot
 * its end, has ended for him. */
static bool is_first_word(argosy_batch *self, const struct proto_event *event, bool is_early)
{
    struct ag_map_node *early = ag_map_find(&self->early, &event->job);

    if (early == NULL && is_early)
        remember_early(self, &event->job);
    if (early != NULL && !is_early) {
        ag_map_remove(&self->early, early);
        free(AG_OWNER(early, struct early, node));
    }
    return early == NULL;
}

bool batch_on_event(argosy_batch *self, const struct proto_event *event, bool is_early)
{
    bool is_group = ag_bytes_are(event->kind, "group");

    if (!is_early)
        forget_pending(self, &event->job);
    if (!is_first_word(self, event, is_early))
        return false;
    if (is_group && event->state == PROTO_JOB_FAILED)
        read_child(self, &event->job);
    if (!is_group)
        ag_report_add_event(self->report, event);
    return !self->is_hidden;
}

/* The watch ends, and the broker needs not keep what was taken. When this is lost its time will
 * come anyway. */
static void take_leave(argosy_batch *self)
{
    argosy_client *client = self->client;

    client->out.type = AG_MORE;
    client->out.more = (struct proto_more){.watch = self->watch, .cursor = self->cursor};
    client_send(client, &client->out);
}

/* All of its entries have been handed out. */
void batch_on_events_done(argosy_batch *self, const struct proto_events *events)
{
    if (events->end != PROTO_EARLY && events->cursor > self->cursor)
        self->cursor = events->cursor;
    if (events->end == PROTO_MORE_TO_COME || events->end == PROTO_EARLY) {
        tell(self, ARGOSY_PROGRESS);
        return;
    }
    if (events->end == PROTO_UNKNOWN && self->is_ours && !self->is_known) {
        self->is_watch_sent = false;
        self->was_too_early = true;
        return;
    }
    if (events->end == PROTO_ENDED)
        take_leave(self);
    end(self, events->end == PROTO_ENDED ? ARGOSY_BATCH_ENDED : ARGOSY_BATCH_UNKNOWN);
}

/* ---- life
 * --------------------------------------------------------------------------------------------- */

static int batch_make(argosy_batch **out, argosy_client *client, unsigned flags,
                      struct argosy_error *err)
{
    argosy_batch *self = calloc(1, sizeof *self);

    *out = NULL;
    if (self == NULL || (self->report = argosy_report_new("")) == NULL ||
        ag_map_init(&self->jobs, ag_id_hash(&client->instance, 0)) < 0 ||
        ag_map_init(&self->early, ag_id_hash(&client->instance, 0)) < 0) {
        if (self != NULL) {
            argosy_report_destroy(&self->report);
            ag_map_fini(&self->jobs);
        }
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
    static const enum proto_policy policies[] = {[ARGOSY_GATHER] = PROTO_GATHER,
                                                 [ARGOSY_TASKGROUP] = PROTO_TASKGROUP,
                                                 [ARGOSY_RACE] = PROTO_RACE};
    argosy_batch *self;
    int rc;

    *out = NULL;
    if ((unsigned)group->policy >= sizeof policies / sizeof *policies ||
        group->max_failures_percent > 100)
        return ag_fail(err, ARGOSY_EINVAL, "no such policy, or more than 100 percent");
    rc = batch_make(&self, client, flags, err);

    *out = NULL;
    if (rc < 0)
        return rc;
    self->name = strdup(group->name != NULL ? group->name : "");
    self->is_ours = true;
    rc = client_make_id(client, &self->id, err);
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
                                       .policy = policies[group->policy],
                                       .failures_max = group->max_failures,
                                       .failures_percent = group->max_failures_percent,
                                       .successes = group->successes,
                                       .successes_min = group->min_successes,
                                       .is_gentle = group->gentle,
                                       .deadline_ms = group->deadline_ms,
                                       .concurrency = group->concurrency,
                                       .rate_per_minute = group->rate_per_minute,
                                       .ttl_ms = group->ttl_ms};
    if (group->parent != NULL) {
        self->is_wanted = true; /* so that its parent needs not wait for its first job */
        self->parent = group->parent;
        self->group.parent = group->parent->id;
        if (group->parent->is_ours) /* it has to exist before anything is in it */
            group->parent->is_wanted = true;
    }
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

int argosy_batch_attach(argosy_batch **out, argosy_client *client, const char *id, unsigned flags,
                        struct argosy_error *err)
{
    int rc = argosy_watch(out, client, id, flags, err);

    if (rc == 0)
        (*out)->is_ours = true;
    return rc;
}

void argosy_batch_open(argosy_batch *self)
{
    self->is_wanted = true;
    batch_flush(self, client_now(self->client));
}

void argosy_batch_seal(argosy_batch *self)
{
    self->wants_seal = true;
    batch_flush(self, client_now(self->client));
}

int argosy_batch_cancel(argosy_batch *self, struct argosy_error *err)
{
    if (self->is_over)
        return ag_fail(err, ARGOSY_ESTATE, "the batch is over");
    self->wants_cancel = true;
    batch_flush(self, client_now(self->client));
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

/* Hidden ones are its own; others of the user's go on without it. */
static void leave_family(argosy_batch *self)
{
    struct ag_link *all = &self->client->batches, *next;

    for (struct ag_link *at = all->next; at != all; at = next) {
        argosy_batch *child = AG_OWNER(at, argosy_batch, link);

        next = at->next;
        if (child->parent != self)
            continue;
        child->parent = NULL;
        if (!child->is_hidden)
            continue;
        argosy_batch_destroy(&child);
        next = all->next; /* its own children are gone as well: begin again */
    }
}

static void forget_early(argosy_batch *self)
{
    struct ag_map_node *next = NULL;

    for (struct ag_map_node *node = ag_map_next(&self->early, NULL); node != NULL; node = next) {
        next = ag_map_next(&self->early, node);
        free(AG_OWNER(node, struct early, node));
    }
    ag_map_fini(&self->early);
}

void argosy_batch_destroy(argosy_batch **self_p)
{
    argosy_batch *self = *self_p;
    argosy_client *client;

    if (self == NULL)
        return;
    client = self->client;
    leave_family(self);
    while (!ag_list_is_empty(&self->chunks))
        chunk_free(self, AG_OWNER(self->chunks.next, struct chunk, link));
    forget_early(self);
    ag_map_fini(&self->jobs);
    if (self->is_watch_sent && !self->is_over && client->is_open)
        take_leave(self);
    for (unsigned i = 0; i < NOTICES_MAX; i++)
        if (client->notices[i].batch == self)
            client->notices[i] = (struct notice){0};
    ag_link_remove(&self->link);
    argosy_report_destroy(&self->report);
    free(self->name);
    free(self);
    *self_p = NULL;
}
