/* The storm's client: submits jobs at a given rate as a user of the library would, alone and in
 * groups, followed and detached, and tells a file what it wanted, what it was promised, what it
 * got. */
#include <argosy/argosy.h>
#include <msgpack/pack.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/entropy.h"
#include "common/list.h"
#include "common/random.h"
#include "common/wire.h"
#include "tests/storm/storm.h"

enum {
    TURN_MS = 5,
    UNANSWERED_MAX = 4000, /* jobs; beyond it the client waits for the broker */
    OPEN_MAX = 20000,      /* jobs that have not ended */
    GROUP_MAX = 100        /* jobs of a group */
};

struct storm_batch {
    struct ag_link link;
    argosy_batch *batch;
    bool is_detached, is_accepted;
    unsigned count, ended; /* jobs */
    char ids[GROUP_MAX][ARGOSY_ID_SIZE];
};

struct client {
    argosy_client *client;
    int log;
    uint64_t key; /* the next */
    double rate;  /* jobs a second */
    int64_t since;
    uint64_t made; /* jobs, since then */
    unsigned unanswered, open;
    struct ag_link batches;
    struct ag_random random;
};

static volatile sig_atomic_t is_stopping;

static void on_signal(int number)
{
    (void)number;
    is_stopping = 1;
}

static void give_up(const struct client *self, const struct argosy_error *err)
{
    storm_log(self->log, "X %lld %s", (long long)ag_clock_mono_ms(), err->message);
    fprintf(stderr, "storm client: %s\n", err->message);
    exit(3);
}

/* ---- submitting --------------------------------------------------------------------------------
 */

static void write_payload(struct ag_buffer *out, uint64_t key)
{
    msgpack_packer packer;

    ag_buffer_clear(out);
    msgpack_packer_init(&packer, out, ag_buffer_write);
    msgpack_pack_map(&packer, 1);
    msgpack_pack_str_with_body(&packer, "key", 3);
    msgpack_pack_uint64(&packer, key);
}

/* The key is told before the library has the job: nothing is at the broker that no log knows. */
static int add(struct client *self, struct storm_batch *batch)
{
    struct ag_buffer payload = ag_buffer_empty(64);
    struct argosy_job job = {
        .kind = STORM_KIND,
        .retry = {.attempts = STORM_TRIES, .base_ms = 1, .cap_ms = 5, .factor_percent = 200},
    };
    struct argosy_error err = {0};
    uint64_t key = self->key;
    int rc;

    write_payload(&payload, key);
    job.payload = payload.data;
    job.payload_size = payload.size;
    storm_log(self->log, "S %lld %llx", (long long)ag_clock_mono_ms(), (unsigned long long)key);
    rc = argosy_batch_add(batch->batch, &job, batch->ids[batch->count], &err);
    ag_buffer_free(&payload);
    if (rc == ARGOSY_EAGAIN)
        return rc;
    if (rc < 0)
        give_up(self, &err);
    storm_log(self->log, "I %lld %llx %s", (long long)ag_clock_mono_ms(), (unsigned long long)key,
              batch->ids[batch->count]);
    self->key++;
    batch->count++;
    return 0;
}

static unsigned some(struct client *self)
{
    if (ag_random_below(&self->random, 4) != 0)
        return 1;
    return 2 + (unsigned)ag_random_below(&self->random, GROUP_MAX - 1);
}

static void submit(struct client *self)
{
    struct storm_batch *batch = calloc(1, sizeof *batch);
    struct argosy_error err = {0};
    unsigned count = some(self);

    if (batch == NULL)
        abort();
    ag_link_init(&batch->link);
    batch->is_detached = ag_random_below(&self->random, 8) == 0;
    if (argosy_batch_new(&batch->batch, self->client, &(struct argosy_group){.name = "storm"},
                         batch->is_detached ? ARGOSY_DETACHED : ARGOSY_KEEP, &err) < 0)
        give_up(self, &err);
    ag_list_append(&self->batches, &batch->link);
    while (batch->count < count && add(self, batch) == 0)
        continue;
    if (ag_random_below(&self->random, 2) == 0)
        argosy_batch_seal(batch->batch);
    else
        argosy_batch_open(batch->batch); /* and seal it then */
    self->made += batch->count;
    self->unanswered += batch->count;
    self->open += batch->count;
}

static void submit_what_is_due(struct client *self)
{
    double due = self->rate * (double)(ag_clock_mono_ms() - self->since) / 1000;

    while (!is_stopping && (double)self->made < due && self->unanswered < UNANSWERED_MAX &&
           self->open < OPEN_MAX)
        submit(self);
    if ((double)self->made + self->rate < due) { /* the time of an outage is not made up for */
        self->since = ag_clock_mono_ms();
        self->made = 0;
    }
}

/* ---- what comes back ---------------------------------------------------------------------------
 */

static struct storm_batch *find(struct client *self, const argosy_batch *batch)
{
    for (struct ag_link *at = self->batches.next; at != &self->batches; at = at->next)
        if (AG_OWNER(at, struct storm_batch, link)->batch == batch)
            return AG_OWNER(at, struct storm_batch, link);
    abort();
}

static void drop(struct client *self, struct storm_batch *batch)
{
    self->open -= batch->count - batch->ended;
    if (!batch->is_accepted)
        self->unanswered -= batch->count;
    ag_link_remove(&batch->link);
    argosy_batch_destroy(&batch->batch);
    free(batch);
}

static void promised(struct client *self, struct storm_batch *batch)
{
    if (batch->is_accepted)
        return;
    batch->is_accepted = true;
    self->unanswered -= batch->count;
    for (unsigned i = 0; i < batch->count; i++)
        storm_log(self->log, "A %lld %s", (long long)ag_clock_mono_ms(), batch->ids[i]);
}

static void on_accepted(struct client *self, struct storm_batch *batch)
{
    promised(self, batch);
    storm_log(self->log, "P %lld %s", (long long)ag_clock_mono_ms(), argosy_batch_id(batch->batch));
    if (batch->is_detached)
        drop(self, batch);
}

/* What was added is acknowledged, the seal not yet. */
static void on_open(struct client *self, struct storm_batch *batch)
{
    promised(self, batch);
    argosy_batch_seal(batch->batch);
}

static uint64_t read_hash(const struct argosy_event *event)
{
    struct ag_reader r = ag_reader_of(ag_bytes_of(event->result, event->result_size));

    if (event->result_size == 0 || ag_read_map(&r) < 2)
        return 0;
    for (int i = 0; i < 3; i++) /* "key", its value, "hash" */
        ag_read_skip(&r);
    return ag_read_whole(&r, UINT64_MAX);
}

static void on_result(struct client *self, const struct argosy_event *event)
{
    struct storm_batch *batch = find(self, event->batch);

    batch->ended++;
    self->open--;
    storm_log(self->log, "R %lld %s %d %u %llx", (long long)ag_clock_mono_ms(), event->job,
              (int)event->state, event->attempt, (unsigned long long)read_hash(event));
}

static void on_end(struct client *self, const struct argosy_event *event)
{
    struct storm_batch *batch = find(self, event->batch);

    if (event->type == ARGOSY_BATCH_UNKNOWN)
        storm_log(self->log,
                  "X %lld the broker knows nothing of batch %s (%saccepted, %u of %u ended)",
                  (long long)ag_clock_mono_ms(), argosy_batch_id(batch->batch),
                  batch->is_accepted ? "" : "not ", batch->ended, batch->count);
    else if (event->counts.total != batch->count || batch->ended != batch->count)
        storm_log(self->log, "X %lld batch %s of %u jobs ended with %u, %u were told",
                  (long long)ag_clock_mono_ms(), argosy_batch_id(batch->batch), batch->count,
                  (unsigned)event->counts.total, batch->ended);
    if (event->type == ARGOSY_BATCH_ENDED) /* the answer to the seal may have been lost */
        promised(self, batch);
    drop(self, batch);
}

static void on_event(struct client *self, const struct argosy_event *event)
{
    switch (event->type) {
    case ARGOSY_BATCH_ACCEPTED:
        on_accepted(self, find(self, event->batch));
        break;
    case ARGOSY_JOB_ENDED:
        on_result(self, event);
        break;
    case ARGOSY_BATCH_ENDED:
    case ARGOSY_BATCH_UNKNOWN:
        on_end(self, event);
        break;
    case ARGOSY_DISCONNECTED:
        storm_log(self->log, "C %lld disconnected", (long long)ag_clock_mono_ms());
        break;
    case ARGOSY_CONNECTED:
        storm_log(self->log, "C %lld connected", (long long)ag_clock_mono_ms());
        break;
    case ARGOSY_BATCH_OPEN:
        on_open(self, find(self, event->batch));
        break;
    case ARGOSY_JOB_NEWS:
    case ARGOSY_PROGRESS:
    case ARGOSY_ANSWER:
        break;
    }
}

static void turn(struct client *self, int timeout_ms)
{
    struct argosy_error err = {0};
    struct argosy_event event;
    int rc = argosy_client_next(self->client, timeout_ms, &event, &err);

    while (rc > 0) {
        on_event(self, &event);
        rc = argosy_client_next(self->client, 0, &event, &err);
    }
    if (rc < 0)
        give_up(self, &err);
}

/* client ENDPOINT FOLDER NUMBER RATE */
int storm_client(int argc, char **argv)
{
    struct client self = {0};
    struct argosy_error err = {0};
    struct argosy_client_config config = {.name = "storm", .endpoints_count = 1};
    unsigned number;
    sigset_t stop;

    if (argc != 5)
        return 2;
    number = (unsigned)atoi(argv[3]);
    config.endpoints = (const char *const *)&argv[1];
    signal(SIGTERM, on_signal);
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_UNBLOCK, &stop, NULL); /* the supervisor blocked it */
    self.log = storm_log_open(argv[2], "client", number);
    self.key = (uint64_t)number << 32;
    self.rate = atof(argv[4]);
    ag_link_init(&self.batches);
    ag_random_seed(&self.random, number);
    if (argosy_client_new(&self.client, &config, &err) < 0)
        give_up(&self, &err);
    self.since = ag_clock_mono_ms();
    while (!is_stopping || !ag_list_is_empty(&self.batches)) {
        submit_what_is_due(&self);
        turn(&self, TURN_MS);
    }
    argosy_client_destroy(&self.client);
    return 0;
}
