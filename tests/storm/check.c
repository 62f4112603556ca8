/* The rules, over what the logs and the store say. */
#include "tests/storm/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tests/storm/check_data.h"

enum { SUCCEEDED = 5, FAILED = 6 };       /* as the store has them */
enum { SEEN_SUCCEEDED = 1, SEEN_FAILED }; /* as clients have them */
enum { LATE_MS = 2000 }; /* until a broker notices that a worker was killed, at the latest */

/* ---- what is known -----------------------------------------------------------------------------
 */

void violate(struct data *self, enum rule rule, const char *format, ...)
{
    struct check_report *report = self->report;
    va_list args;

    if (report->violations[rule]++ > 0)
        return;
    va_start(args, format);
    vsnprintf(report->examples[rule], CHECK_EXAMPLE_SIZE, format, args);
    va_end(args);
}

void *one_more(void *items, size_t count, size_t size)
{
    if ((count & (count - 1)) == 0 &&
        (items = realloc(items, (count > 0 ? 2 * count : 1) * size)) == NULL)
        abort();
    return items;
}

void times_add(struct times *self, int64_t at)
{
    self->items = one_more(self->items, self->count, sizeof *self->items);
    self->items[self->count++] = at;
}

struct job *job_at(struct data *self, const struct ag_id *id)
{
    struct ag_map_node *node = ag_map_find(&self->jobs, id);
    struct job *job;

    if (node != NULL)
        return (struct job *)node;
    job = calloc(1, sizeof *job);
    if (job == NULL)
        abort();
    job->node.id = *id;
    ag_map_add(&self->jobs, &job->node);
    return job;
}

struct batch *batch_at(struct data *self, const struct ag_id *id, bool make)
{
    struct ag_map_node *node = ag_map_find(&self->batches, id);
    struct batch *batch;

    if (node != NULL || !make)
        return (struct batch *)node;
    batch = calloc(1, sizeof *batch);
    if (batch == NULL)
        abort();
    batch->node.id = *id;
    ag_map_add(&self->batches, &batch->node);
    return batch;
}

struct want *want_at(struct data *self, uint64_t key, bool make)
{
    struct ag_id id = {{0}};
    struct ag_map_node *node;
    struct want *want;

    memcpy(id.bytes, &key, sizeof key);
    node = ag_map_find(&self->wants, &id);
    if (node != NULL || !make)
        return (struct want *)node;
    want = calloc(1, sizeof *want);
    if (want == NULL)
        abort();
    want->node.id = id;
    ag_map_add(&self->wants, &want->node);
    self->report->submitted++;
    return want;
}

/* How many of the times lie between the two. */
static unsigned between(const struct times *times, int64_t from, int64_t to)
{
    unsigned count = 0;

    for (size_t i = 0; i < times->count; i++)
        count += times->items[i] >= from && times->items[i] <= to;
    return count;
}

/* ---- rules about one job -----------------------------------------------------------------------
 */

/* The state that a job must end in, but for poison: too many of its workers were killed. */
static void check_state(struct data *self, const struct job *job, const char *id)
{
    bool should_fail = storm_fails_always(job->key);

    if (job->state == FAILED && strcmp(job->type, "lost.poison") == 0)
        self->report->poisoned++;
    else if (should_fail && job->state == FAILED && strcmp(job->type, STORM_FAILURE) == 0)
        self->report->failed_as_wanted++;
    else if (!should_fail && job->state == SUCCEEDED)
        self->report->succeeded++;
    else
        violate(self, RULE_C1, "%s ended in state %d (%s), key %" PRIx64, id, job->state, job->type,
                job->key);
}

/* A recorded success is what the execution of its token made. */
static void check_result(struct data *self, const struct job *job, const char *id)
{
    const struct storm_token *token = &job->result.token;
    const struct run *run = job->runs;

    if (job->state != SUCCEEDED)
        return;
    while (run != NULL && (run->end != 'D' || run->hash != job->result.hash))
        run = run->next;
    if (!job->has_result || run == NULL) {
        self->report->phantom++;
        violate(self, RULE_C3, "%s succeeded with hash %" PRIx64 ", which no worker made", id,
                job->result.hash);
        return;
    }
    if (run->token.epoch != token->epoch || run->token.attempt != token->attempt ||
        job->attempt != token->attempt || job->result.key != job->key)
        violate(self, RULE_C4, "%s: the result of attempt %u is recorded as that of %u", id,
                run->token.attempt, job->attempt);
}

static void check_seen(struct data *self, const struct job *job, const char *id)
{
    if (job->seen == 0)
        return;
    if (job->ends == 0 ||
        job->seen_state != (job->state == SUCCEEDED ? SEEN_SUCCEEDED : SEEN_FAILED))
        violate(self, RULE_C5, "a client saw state %d of %s, recorded is %d", job->seen_state, id,
                job->state);
    else if (job->state == SUCCEEDED && job->seen_hash != job->result.hash)
        violate(self, RULE_C5, "a client saw hash %" PRIx64 " of %s, recorded is %" PRIx64,
                job->seen_hash, id, job->result.hash);
}

/* An attempt more than the retries needs a crash while the job was there, or a worker that gave the
 * job back. And what began ends, or its worker was killed. */
static void check_attempts(struct data *self, const struct job *job, const char *id)
{
    int64_t from = job->since - self->unix_offset - LATE_MS;
    int64_t to = job->ended_at - self->unix_offset;
    unsigned limit = STORM_TRIES + job->releases;

    if (job->ends > 0 && job->attempt > limit &&
        job->attempt >
            limit + between(&self->broker_kills, from, to) + between(&self->worker_kills, from, to))
        violate(self, RULE_C7, "%s took %u attempts", id, job->attempt);
    for (const struct run *run = job->runs; run != NULL; run = run->next)
        if (run->end == 0 && (run->worker >= self->killed_count || !self->killed[run->worker]))
            violate(self, RULE_C7, "attempt %u of %s never ended on worker %u", run->token.attempt,
                    id, run->worker);
}

/* A token belongs to one execution on one worker. */
static void check_tokens(struct data *self, const struct job *job, const char *id)
{
    for (const struct run *run = job->runs; run != NULL; run = run->next) {
        bool twice = run->begun > 1;

        for (const struct run *other = run->next; other != NULL; other = other->next)
            twice = twice || (other->token.epoch == run->token.epoch &&
                              other->token.attempt == run->token.attempt);
        if (twice)
            violate(self, RULE_C8, "attempt %u of %s in epoch %" PRIu64 " was executed twice",
                    run->token.attempt, id, run->token.epoch);
    }
}

static void count_runs(struct data *self, const struct job *job)
{
    unsigned done = 0;

    for (const struct run *run = job->runs; run != NULL; run = run->next) {
        self->report->cut_short += run->end == 0;
        done += run->end == 'D';
    }
    if (done > 1)
        self->report->duplicates += done - 1;
}

static void check_job(struct data *self, const struct job *job)
{
    char id[AG_ID_TEXT_SIZE];

    ag_id_print(&job->node.id, id);
    if (job->acked && job->rows == 0) {
        self->report->lost++;
        violate(self, RULE_C2, "%s was acknowledged and is not in the store", id);
    } else if (job->rows > 0 && job->ends == 0) {
        violate(self, RULE_C1, "%s is in the store%s and has not ended", id,
                job->acked ? ", acknowledged," : "");
    }
    if (job->ends > 1) {
        self->report->double_records++;
        violate(self, RULE_C4, "the end of %s is recorded %u times", id, job->ends);
    }
    if (job->ends > 0 && job->has_key) {
        check_state(self, job, id);
        check_result(self, job, id);
    }
    check_seen(self, job, id);
    check_attempts(self, job, id);
    check_tokens(self, job, id);
    count_runs(self, job);
}

static void check_batch(struct data *self, const struct batch *batch)
{
    char id[AG_ID_TEXT_SIZE];

    if (batch->is_sealed)
        return;
    self->report->lost++;
    violate(self, RULE_C2, "the seal of batch %s was acknowledged and is not in the store",
            ag_id_print(&batch->node.id, id));
}

/* ---- rules about all ---------------------------------------------------------------------------
 */

/* The broker's life that a record was made in; NULL: between two, or one that never was ready. */
static const struct life *life_at(const struct data *self, int64_t at)
{
    for (size_t i = self->lives_count; i-- > 0;)
        if (self->lives[i].start <= at && at <= self->lives[i].end && self->lives[i].epoch != 0)
            return &self->lives[i];
    return NULL;
}

static void check_epochs(struct data *self)
{
    uint64_t last = 0;

    for (size_t i = 0; i < self->lives_count; i++) {
        uint64_t epoch = self->lives[i].epoch;

        if (epoch != 0 && epoch <= last)
            violate(self, RULE_C8, "epoch %" PRIu64 " came after %" PRIu64, epoch, last);
        if (epoch != 0)
            last = epoch;
    }
    if (self->epoch < last)
        violate(self, RULE_C8, "the store's epoch is %" PRIu64 ", a broker had %" PRIu64,
                self->epoch, last);
}

/* In the order of the records: the epochs that made them never fall, and none records a result of a
 * token that only a later one gave out. */
static void check_order(struct data *self)
{
    uint64_t last = 0;

    for (size_t i = 0; i < self->ends_count; i++) {
        const struct job *job = self->by_end[i];
        const struct life *life = life_at(self, job->ended_at - self->unix_offset);

        if (life == NULL)
            continue;
        if (life->epoch < last)
            violate(self, RULE_C8,
                    "record %" PRIu64 " is of epoch %" PRIu64 ", one before it of %" PRIu64,
                    job->end_number, life->epoch, last);
        else
            last = life->epoch;
        if (job->result.token.epoch > life->epoch)
            violate(self, RULE_C8,
                    "record %" PRIu64 " of epoch %" PRIu64 " has a token of %" PRIu64,
                    job->end_number, life->epoch, job->result.token.epoch);
    }
}

/* ---- figures -----------------------------------------------------------------------------------
 */

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static int64_t percentile(struct times *sorted, unsigned percent)
{
    return sorted->count == 0 ? 0 : sorted->items[(sorted->count - 1) * percent / 100];
}

static void sort(struct times *times)
{
    if (times->count > 0)
        qsort(times->items, times->count, sizeof *times->items, by_size);
}

static int64_t first_after(const struct times *sorted, int64_t at)
{
    size_t low = 0, high = sorted->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (sorted->items[middle] > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low < sorted->count ? sorted->items[low] : -1;
}

static void measure_gap(struct data *self)
{
    for (size_t i = 1; i < self->acks.count; i++) {
        int64_t gap = self->acks.items[i] - self->acks.items[i - 1];

        if (self->acks.items[i] <= self->quiet && gap > self->report->longest_gap_ms)
            self->report->longest_gap_ms = gap;
    }
}

static void measure_recovery(struct data *self)
{
    struct check_report *report = self->report;
    struct times waits = {0}, readies = {0};

    for (size_t i = 0; i < self->broker_kills.count; i++) {
        int64_t ack = first_after(&self->acks, self->broker_kills.items[i]);

        if (ack >= 0)
            times_add(&waits, ack - self->broker_kills.items[i]);
    }
    for (size_t i = 0; i < self->lives_count; i++) {
        int64_t ack = first_after(&self->acks, self->lives[i].start);

        if (ack >= 0 && ack <= self->lives[i].end && self->lives[i].start <= self->quiet)
            times_add(&readies, ack - self->lives[i].start);
    }
    sort(&waits);
    sort(&readies);
    report->recovery_p50_ms = percentile(&waits, 50);
    report->recovery_p99_ms = percentile(&waits, 99);
    report->recovery_max_ms = percentile(&waits, 100);
    report->ready_p50_ms = percentile(&readies, 50);
    report->ready_p99_ms = percentile(&readies, 99);
    report->ready_max_ms = percentile(&readies, 100);
    free(waits.items);
    free(readies.items);
}

static void measure(struct data *self)
{
    struct check_report *report = self->report;

    sort(&self->acks);
    report->broker_kills = self->broker_kills.count;
    report->worker_kills = self->worker_kills.count;
    report->client_kills = self->client_kills.count;
    report->seconds = (double)(self->quiet - self->begin) / 1000;
    if (report->executions > 0)
        report->duplicates_percent = 100 * (double)report->duplicates / (double)report->executions;
    measure_gap(self);
    measure_recovery(self);
}

/* ---- life --------------------------------------------------------------------------------------
 */

static void free_runs(struct job *job)
{
    while (job->runs != NULL) {
        struct run *run = job->runs;

        job->runs = run->next;
        free(run);
    }
}

static void forget_nodes(struct ag_map *map)
{
    const struct ag_map_node *next;

    for (const struct ag_map_node *at = ag_map_next(map, NULL); at != NULL; at = next) {
        next = ag_map_next(map, at);
        free((void *)at);
    }
    ag_map_fini(map);
}

static void forget(struct data *self)
{
    const struct ag_map_node *next;

    for (const struct ag_map_node *at = ag_map_next(&self->jobs, NULL); at != NULL; at = next) {
        next = ag_map_next(&self->jobs, at);
        free_runs((struct job *)at);
        free((void *)at);
    }
    forget_nodes(&self->wants);
    forget_nodes(&self->batches);
    ag_map_fini(&self->jobs);
    free(self->by_end);
    free(self->lives);
    free(self->killed);
    free(self->acks.items);
    free(self->broker_kills.items);
    free(self->worker_kills.items);
    free(self->client_kills.items);
}

int check_run(const char *folder, const char *store, struct check_report *out)
{
    struct data self = {.report = out, .quiet = INT64_MAX};
    int rc;

    *out = (struct check_report){0};
    if (ag_map_init(&self.jobs, 1) < 0 || ag_map_init(&self.wants, 2) < 0 ||
        ag_map_init(&self.batches, 3) < 0)
        abort();
    rc = read_logs(&self, folder);
    if (rc == 0)
        rc = read_store(&self, store);
    for (const struct ag_map_node *at = ag_map_next(&self.jobs, NULL); rc == 0 && at != NULL;
         at = ag_map_next(&self.jobs, at))
        check_job(&self, (const struct job *)at);
    for (const struct ag_map_node *at = ag_map_next(&self.batches, NULL); rc == 0 && at != NULL;
         at = ag_map_next(&self.batches, at))
        check_batch(&self, (const struct batch *)at);
    check_epochs(&self);
    check_order(&self);
    measure(&self);
    forget(&self);
    return rc;
}

uint64_t check_violations(const struct check_report *report)
{
    uint64_t sum = 0;

    for (int i = 0; i < RULES_COUNT; i++)
        sum += report->violations[i];
    return sum;
}

void check_print(const struct check_report *r, FILE *out)
{
    static const struct {
        const char *name, *text;
    } rules[] = {
#define X(name, text) {#name, text},
        RULES(X)
#undef X
    };

    fprintf(out,
            "killed: %" PRIu64 " brokers, %" PRIu64 " workers, %" PRIu64 " clients in %.1f s\n",
            r->broker_kills, r->worker_kills, r->client_kills, r->seconds);
    fprintf(out,
            "jobs: %" PRIu64 " submitted (%.0f/s), %" PRIu64 " acked, %" PRIu64 " lost, %" PRIu64
            " phantom, %" PRIu64 " double records\n",
            r->submitted, r->seconds > 0 ? (double)r->submitted / r->seconds : 0, r->acked, r->lost,
            r->phantom, r->double_records);
    fprintf(out,
            "ends: %" PRIu64 " recorded: %" PRIu64 " succeeded, %" PRIu64
            " failed as wanted, %" PRIu64 " poisoned; %" PRIu64 " seen by clients\n",
            r->recorded, r->succeeded, r->failed_as_wanted, r->poisoned, r->results_seen);
    fprintf(out,
            "executions: %" PRIu64 ", %" PRIu64 " duplicates (%.3f %%), %" PRIu64 " cut short\n",
            r->executions, r->duplicates, r->duplicates_percent, r->cut_short);
    fprintf(out, "longest gap without an acknowledgement: %" PRId64 " ms\n", r->longest_gap_ms);
    fprintf(out,
            "from a broker's kill to the next ack: p50 %" PRId64 " p99 %" PRId64 " max %" PRId64
            " ms\n",
            r->recovery_p50_ms, r->recovery_p99_ms, r->recovery_max_ms);
    fprintf(out,
            "from a broker's start to its first ack: p50 %" PRId64 " p99 %" PRId64 " max %" PRId64
            " ms\n",
            r->ready_p50_ms, r->ready_p99_ms, r->ready_max_ms);
    for (int i = 0; i < RULES_COUNT; i++)
        if (r->violations[i] > 0)
            fprintf(out, "VIOLATED %s (%s), %" PRIu64 " times: %s\n", rules[i].name, rules[i].text,
                    r->violations[i], r->examples[i]);
    fprintf(out, "violations: %" PRIu64 "\n", check_violations(r));
}
