/* engine.c - the analysis engine called in this process: no broker, no worker, no client.
 *
 *     engine [-t THREADS] [-o FILE] PATH
 *
 * -t  so many threads, each with its shard ("shard": [index, of]) of the files
 * -o  where the first thread's answer goes, as msgpack
 *
 * Prints: seconds, from the first call to the last answer.
 */
#include <err.h>
#include <msgpack/pack.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

static void *work(void *arg)
{
    static const char *const all[] = {"/"};
    const struct analyze_roots roots = {.paths = all, .count = 1};
    struct thread *self = arg;
    struct ag_buffer payload = ag_buffer_empty(PAYLOAD_BYTES_MAX);
    atomic_int stop = STOP_NONE;
    atomic_uint permille = 0;
    const struct analyze_watch watch = {.stop = &stop, .permille = &permille, .quiet_ms = QUIET_MS};
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
    analyze_run(ag_buffer_bytes(&payload), (struct ag_bytes){0}, &roots, &watch, &self->outcome);
    ag_buffer_free(&payload);
    return NULL;
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
    printf("%.4f\n", now() - begin);
    for (unsigned i = 0; i < count; i++) {
        if (!threads[i].outcome.succeeded)
            errx(1, "%s: shard %u of %u failed: %s", path, i, count, threads[i].outcome.type);
        if (i == 0 && output != NULL)
            keep(output, &threads[i].outcome.result);
        ag_buffer_free(&threads[i].outcome.result);
        ag_buffer_free(&threads[i].outcome.error);
    }
    free(path);
    return 0;
}
