/* argosy bench: how fast this fleet is, with jobs of the kind noop. */
#include <stdlib.h>
#include <string.h>

#include "client/cli/answers.h"
#include "common/clock.h"

enum { ALONE = 1000 /* jobs that are sent one after the other, for the way there and back */ };

struct bench {
    struct cli *cli;
    argosy_batch *batch;
    void *payload;
    size_t payload_size;
    uint64_t wanted, added, ended, failed;
    uint32_t *sent_at, *took; /* microseconds since the beginning, by index; of ends, in order */
    int64_t begin_us, end_us;
    bool is_over;
};

static uint32_t now_in(const struct bench *self)
{
    return (uint32_t)(ag_clock_mono_us() - self->begin_us);
}

static int add(struct bench *self, struct argosy_error *err)
{
    struct argosy_job job = {
        .kind = "noop", .payload = self->payload, .payload_size = self->payload_size};
    int rc = argosy_batch_add(self->batch, &job, NULL, err);

    if (rc == 0)
        self->sent_at[self->added++] = now_in(self);
    return rc;
}

/* As many as may be on their way: `ahead` of those that have ended. */
static int feed(struct bench *self, uint64_t ahead, struct argosy_error *err)
{
    int rc = 0;

    while (rc == 0 && self->added < self->wanted && self->added - self->ended < ahead)
        rc = add(self, err);
    if (self->added == self->wanted)
        argosy_batch_seal(self->batch);
    else if (rc == 0)
        argosy_batch_open(self->batch);
    return rc == ARGOSY_EAGAIN ? 0 : rc;
}

static void take(struct bench *self, const struct argosy_event *event)
{
    if (event->type == ARGOSY_JOB_ENDED && event->index < self->added) {
        self->took[self->ended++] = now_in(self) - self->sent_at[event->index];
        self->failed += event->state != ARGOSY_SUCCEEDED;
    }
    if (event->type == ARGOSY_BATCH_ENDED || event->type == ARGOSY_BATCH_UNKNOWN)
        self->is_over = true;
}

/* One batch, from its first job to its last end. 0 or an exit code. */
static int measure(struct bench *self, uint64_t jobs, uint64_t ahead)
{
    struct argosy_event event;
    struct argosy_error err = {0};
    int rc = argosy_batch_new(&self->batch, self->cli->client,
                              &(struct argosy_group){.name = "bench"}, 0, &err);

    self->wanted = jobs;
    self->added = self->ended = self->failed = 0;
    self->is_over = false;
    self->begin_us = ag_clock_mono_us();
    while (rc >= 0 && !self->is_over && cli_interrupts() == 0) {
        rc = feed(self, ahead, &err);
        for (int wait = -1; rc >= 0; wait = 0) {
            rc = argosy_client_next(self->cli->client, wait, &event, &err);
            if (rc <= 0)
                break;
            take(self, &event);
            if (self->is_over || self->added - self->ended < ahead / 2)
                break;
        }
    }
    self->end_us = ag_clock_mono_us();
    if (!self->is_over && self->batch != NULL)
        argosy_batch_cancel(self->batch, NULL);
    argosy_batch_destroy(&self->batch);
    if (rc < 0)
        return cli_fail_with(self->cli, &err);
    return cli_interrupts() > 0 ? EXIT_INTERRUPTED : 0;
}

/* ---- telling -----------------------------------------------------------------------------------
 */

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

static double percentile_ms(const struct bench *self, double share)
{
    return self->ended == 0 ? 0 : self->took[(uint64_t)(share * (double)(self->ended - 1))] / 1e3;
}

static json_t *describe(struct bench *self)
{
    double seconds = (double)(self->end_us - self->begin_us) / 1e6;

    qsort(self->took, self->ended, sizeof *self->took, compare);
    return json_pack("{s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "jobs", (json_int_t)self->ended,
                     "failed", (json_int_t)self->failed, "seconds", seconds, "jobs_per_second",
                     (double)self->ended / seconds, "p50_ms", percentile_ms(self, 0.5), "p99_ms",
                     percentile_ms(self, 0.99), "max_ms", percentile_ms(self, 1));
}

static double number(const json_t *json, const char *key)
{
    return json_number_value(json_object_get(json, key));
}

static void print(const struct cli *cli, const json_t *full, const json_t *alone, double cpu_us)
{
    fprintf(cli->out, "many at once    %.0f jobs/s; p50 %.2f ms, p99 %.2f ms, longest %.2f ms\n",
            number(full, "jobs_per_second"), number(full, "p50_ms"), number(full, "p99_ms"),
            number(full, "max_ms"));
    fprintf(cli->out, "one at a time   %.0f jobs/s; p50 %.2f ms, p99 %.2f ms, longest %.2f ms\n",
            number(alone, "jobs_per_second"), number(alone, "p50_ms"), number(alone, "p99_ms"),
            number(alone, "max_ms"));
    fprintf(cli->out, "broker          %.2f us of CPU a job\n", cpu_us);
}

static int print_json(const struct cli *cli, json_t *full, json_t *alone, double cpu_us)
{
    json_t *all =
        json_pack("{s:O, s:O, s:f}", "many", full, "alone", alone, "broker_cpu_us", cpu_us);

    answers_print(cli, all);
    json_decref(all);
    return 0;
}

/* What the broker has used so far. 0 or an exit code. */
static int broker_cpu_us(struct cli *cli, double *out)
{
    json_t *status;
    int code = answers_query(cli, "status", NULL, &status);

    *out = number(status, "cpu_us");
    json_decref(status);
    return code;
}

static int run(struct bench *self)
{
    uint64_t jobs = ag_options_whole(self->cli->options, AG_OPT_BENCH_JOBS);
    uint64_t ahead = ag_options_whole(self->cli->options, AG_OPT_BENCH_AHEAD);
    json_t *full = NULL, *alone = NULL;
    double before, after;
    int code = broker_cpu_us(self->cli, &before);

    if (code == 0)
        code = measure(self, jobs, ahead);
    full = describe(self);
    if (code == 0)
        code = broker_cpu_us(self->cli, &after);
    if (code == 0)
        code = measure(self, ALONE, 1);
    alone = describe(self);
    if (code == 0) {
        double cpu_us = (after - before) / (double)jobs;

        if (!self->cli->json)
            print(self->cli, full, alone, cpu_us);
        else
            code = print_json(self->cli, full, alone, cpu_us);
    }
    json_decref(full);
    json_decref(alone);
    return code;
}

int cli_bench(struct cli *cli)
{
    uint64_t jobs = ag_options_whole(cli->options, AG_OPT_BENCH_JOBS);
    uint64_t room = jobs > ALONE ? jobs : ALONE, size;
    struct bench self = {.cli = cli};
    uint8_t *payload;
    int code;

    size = ag_options_bytes(cli->options, AG_OPT_BENCH_SIZE);
    payload = calloc(1, size + 3);
    self.sent_at = calloc(room, sizeof *self.sent_at);
    self.took = calloc(room, sizeof *self.took);
    if (payload == NULL || self.sent_at == NULL || self.took == NULL) {
        code = cli_fail(cli, EXIT_NO_BROKER, "no memory for so many jobs");
    } else {
        payload[0] = 0xc5; /* msgpack: bin of 16 bits of size */
        payload[1] = (uint8_t)(size >> 8);
        payload[2] = (uint8_t)size;
        self.payload = payload;
        self.payload_size = size + 3;
        cli_catch_signals();
        code = run(&self);
    }
    free(payload);
    free(self.sent_at);
    free(self.took);
    return code;
}
