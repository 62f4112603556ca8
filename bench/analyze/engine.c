/* engine.c - the analysis engine called in this process: no broker, no worker, no client.
 *
 *     engine [-t THREADS] [-o FILE] PATH
 *
 * -t  so many threads walk and count
 * -o  where the answer goes, as msgpack: it is the same for any number of threads
 *
 * Prints: seconds, from the call to the answer.
 */
#include <err.h>
#include <msgpack/pack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "worker/analyze/analyze.h"

enum { THREADS_MAX = 16, PAYLOAD_BYTES_MAX = 8192, QUIET_MS = 500 };

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

static void run(const char *path, unsigned threads, struct outcome *outcome)
{
    static const char *const all[] = {"/"};
    atomic_int helpers = (int)threads - 1, stop = STOP_NONE;
    const struct analyze_roots roots = {.paths = all, .count = 1, .helpers = &helpers};
    struct ag_buffer payload = ag_buffer_empty(PAYLOAD_BYTES_MAX);
    atomic_uint permille = 0;
    const struct analyze_watch watch = {.stop = &stop, .permille = &permille, .quiet_ms = QUIET_MS};
    msgpack_packer packer;

    msgpack_packer_init(&packer, &payload, ag_buffer_write);
    msgpack_pack_map(&packer, 1);
    pack_text(&packer, "path");
    pack_text(&packer, path);
    analyze_run(ag_buffer_bytes(&payload), (struct ag_bytes){0}, &roots, &watch, outcome);
    if (!outcome->succeeded)
        errx(1, "%s: it failed: %s", path, outcome->type);
    ag_buffer_free(&payload);
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
    struct outcome outcome = {0};
    const char *output = NULL;
    unsigned threads = 1;
    char *path;
    double begin;
    int option;

    while ((option = getopt(argc, argv, "t:o:")) != -1) {
        if (option == 'o')
            output = optarg;
        else if (option != 't' || (threads = (unsigned)atoi(optarg)) - 1 >= THREADS_MAX)
            errx(2, "usage: engine [-t THREADS] [-o FILE] PATH");
    }
    if (optind + 1 != argc)
        errx(2, "usage: engine [-t THREADS] [-o FILE] PATH");
    path = realpath(argv[optind], NULL);
    if (path == NULL)
        err(1, "%s", argv[optind]);
    begin = now();
    run(path, threads, &outcome);
    printf("%.4f\n", now() - begin);
    if (output != NULL)
        keep(output, &outcome.result);
    ag_buffer_free(&outcome.result);
    ag_buffer_free(&outcome.error);
    free(path);
    return 0;
}
