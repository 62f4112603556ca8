/* engine.c - the analysis engine called in this process: no broker, no worker, no client.
 *
 *     engine [-t THREADS] [-o FILE] PATH
 *
 * -t  so many threads, each with its shard of the files; in the end one of them merges the answers
 * -o  where the answer goes, as msgpack: it is the same for any number of threads
 *
 * Prints: seconds, from the first call to the answer.
 */
#include <err.h>
#include <msgpack/pack.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/limits.h"
#include "common/proto.h"
#include "worker/analyze/analyze.h"

enum { THREADS_MAX = 64, PAYLOAD_BYTES_MAX = 8192, QUIET_MS = 500 };

struct thread {
    pthread_t id;
    unsigned index, of;
    const char *path;
    struct outcome outcome;
};

/* What a worker's loop does; here is none, and nobody makes a handler. */
void task_finish(struct task *task)
{
    (void)task;
    abort();
}

static void pack_text(msgpack_packer *packer, const char *text)
{
    msgpack_pack_str_with_body(packer, text, strlen(text));
}

static void run(struct ag_bytes payload, struct ag_bytes inputs, struct outcome *outcome)
{
    static const char *const all[] = {"/"};
    const struct analyze_roots roots = {.paths = all, .count = 1};
    atomic_int stop = STOP_NONE;
    atomic_uint permille = 0;
    const struct analyze_watch watch = {.stop = &stop, .permille = &permille, .quiet_ms = QUIET_MS};

    analyze_run(payload, inputs, &roots, &watch, outcome);
    if (!outcome->succeeded)
        errx(1, "it failed: %s", outcome->type);
}

/* The whole, or a shard. */
static void *work(void *arg)
{
    struct thread *self = arg;
    struct ag_buffer payload = ag_buffer_empty(PAYLOAD_BYTES_MAX);
    msgpack_packer packer;

    msgpack_packer_init(&packer, &payload, ag_buffer_write);
    msgpack_pack_map(&packer, self->of > 1 ? 2 : 1);
    pack_text(&packer, "path");
    pack_text(&packer, self->path);
    if (self->of > 1) {
        pack_text(&packer, "shard");
        msgpack_pack_array(&packer, 2);
        msgpack_pack_unsigned_int(&packer, self->index);
        msgpack_pack_unsigned_int(&packer, self->of);
    }
    run(ag_buffer_bytes(&payload), (struct ag_bytes){0}, &self->outcome);
    ag_buffer_free(&payload);
    return NULL;
}

/* The shards' results become the first thread's, as the job behind them makes them. */
static void merge(struct thread *threads, unsigned count)
{
    struct ag_buffer payload = ag_buffer_empty(PAYLOAD_BYTES_MAX);
    struct ag_buffer inputs = ag_buffer_empty(AG_INPUTS_BYTES_MAX);
    msgpack_packer packer;

    msgpack_packer_init(&packer, &payload, ag_buffer_write);
    msgpack_pack_map(&packer, 2);
    pack_text(&packer, "path");
    pack_text(&packer, threads[0].path);
    pack_text(&packer, "merge");
    msgpack_pack_true(&packer);
    for (unsigned i = 0; i < count; i++) {
        struct ag_buffer *result = &threads[i].outcome.result;
        const struct proto_input input = {.kind = ag_bytes_of_text("analyze"),
                                          .state = PROTO_JOB_SUCCEEDED,
                                          .result = ag_buffer_bytes(result)};

        ag_proto_append_input(&inputs, &input);
        ag_buffer_free(result);
        ag_buffer_free(&threads[i].outcome.error);
    }
    threads[0].outcome = (struct outcome){0};
    run(ag_buffer_bytes(&payload), ag_buffer_bytes(&inputs), &threads[0].outcome);
    ag_buffer_free(&payload);
    ag_buffer_free(&inputs);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void keep(const char *name, const struct ag_buffer *result)
{
    FILE *file = fopen(name, "we");

    if (file == NULL || fwrite(result->data, 1, result->size, file) != result->size ||
        fclose(file) != 0)
        err(1, "%s", name);
}

int main(int argc, char **argv)
{
    static struct thread threads[THREADS_MAX];
    const char *output = NULL;
    unsigned count = 1;
    char *path;
    double begin;
    int option;

    while ((option = getopt(argc, argv, "t:o:")) != -1) {
        if (option == 'o')
            output = optarg;
        else if (option != 't' || (count = (unsigned)atoi(optarg)) - 1 >= THREADS_MAX)
            errx(2, "usage: engine [-t THREADS] [-o FILE] PATH");
    }
    if (optind + 1 != argc)
        errx(2, "usage: engine [-t THREADS] [-o FILE] PATH");
    path = realpath(argv[optind], NULL);
    if (path == NULL)
        err(1, "%s", argv[optind]);
    begin = now();
    for (unsigned i = 0; i < count; i++)
        threads[i] = (struct thread){.index = i, .of = count, .path = path};
    for (unsigned i = 1; i < count; i++)
        if (pthread_create(&threads[i].id, NULL, work, &threads[i]) != 0)
            errx(1, "no thread");
    work(&threads[0]);
    for (unsigned i = 1; i < count; i++)
        pthread_join(threads[i].id, NULL);
    if (count > 1)
        merge(threads, count);
    printf("%.4f\n", now() - begin);
    if (output != NULL)
        keep(output, &threads[0].outcome.result);
    ag_buffer_free(&threads[0].outcome.result);
    ag_buffer_free(&threads[0].outcome.error);
    free(path);
    return 0;
}
