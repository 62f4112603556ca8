/* The storm's worker: the worker's own loop and core around one kind of job, that does next to
 * nothing but tell a file when it begins and ends. */
#include <czmq.h>
#include <msgpack/pack.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/entropy.h"
#include "common/list.h"
#include "common/log.h"
#include "common/process.h"
#include "common/wire.h"
#include "tests/storm/storm.h"
#include "worker/loop.h"

enum { GRACE_MS = 5000 };

/* One execution; in `sleepers` while it takes its time. */
struct storm_task {
    struct ag_link link;
    struct task *task;
    uint64_t key;
    int64_t until;
};

struct storm_handler {
    struct handler handler;
    int log;
    int sleep_ms;
    uint64_t nonce;          /* no two executions have the same */
    struct ag_link sleepers; /* all sleep equally long: in the order of their ends */
};

static uint64_t read_key(struct ag_bytes payload)
{
    struct ag_reader r = ag_reader_of(payload);

    ag_read_map(&r);
    ag_read_skip(&r);
    return ag_read_whole(&r, UINT64_MAX);
}

static void write_result(struct ag_buffer *out, const struct storm_result *result)
{
    const struct {
        const char *name;
        uint64_t value;
    } pairs[] = {{"key", result->key},
                 {"hash", result->hash},
                 {"epoch", result->token.epoch},
                 {"attempt", result->token.attempt}};
    msgpack_packer packer;

    *out = ag_buffer_empty(AG_RESULT_BYTES_MAX);
    msgpack_packer_init(&packer, out, ag_buffer_write);
    msgpack_pack_map(&packer, sizeof pairs / sizeof *pairs);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        msgpack_pack_str_with_body(&packer, pairs[i].name, strlen(pairs[i].name));
        msgpack_pack_uint64(&packer, pairs[i].value);
    }
}

/* A line of the log about the execution in hand. */
static void tell(const struct storm_handler *self, char what, const struct task *task,
                 uint64_t last)
{
    char id[AG_ID_TEXT_SIZE];

    storm_log(self->log, "%c %lld %s %llu %u %llx", what, (long long)ag_clock_mono_ms(),
              ag_id_print(&task->token->job, id), (unsigned long long)task->token->epoch,
              task->token->attempt, (unsigned long long)last);
}

static void end(struct storm_handler *self, struct storm_task *mine)
{
    struct task *task = mine->task;
    struct storm_result result = {.key = mine->key,
                                  .hash = self->nonce++,
                                  .token = {task->token->epoch, task->token->attempt}};

    if (atomic_load(&task->stop) != STOP_NONE) {
        tell(self, 'H', task, mine->key);
        outcome_fail(&task->outcome, "storm.stopped", false, NULL, "it was told to stop");
    } else if (storm_fails_always(mine->key) ||
               (storm_fails_first(mine->key) && task->token->attempt == 1)) {
        tell(self, 'F', task, mine->key);
        outcome_fail(&task->outcome, STORM_FAILURE, true, NULL, "as its key wants it");
    } else {
        tell(self, 'D', task, result.hash);
        task->outcome.succeeded = true;
        write_result(&task->outcome.result, &result);
    }
    ag_link_remove(&mine->link);
    free(mine);
    task_finish(task);
}

static void start(struct handler *handler, struct task *task)
{
    struct storm_handler *self = AG_OWNER(handler, struct storm_handler, handler);
    struct storm_task *mine = calloc(1, sizeof *mine);

    if (mine == NULL)
        abort();
    ag_link_init(&mine->link);
    mine->task = task;
    mine->key = read_key(task->payload);
    mine->until = ag_clock_mono_ms() + self->sleep_ms;
    task->handler_data = mine;
    tell(self, 'B', task, mine->key);
    if (storm_sleeps(mine->key))
        ag_list_append(&self->sleepers, &mine->link);
    else
        end(self, mine);
}

static void stop(struct handler *handler, struct task *task)
{
    end(AG_OWNER(handler, struct storm_handler, handler), task->handler_data);
}

static void destroy(struct handler **handler_p)
{
    *handler_p = NULL;
}

static void wake(void *arg, int64_t now)
{
    struct storm_handler *self = arg;

    while (!ag_list_is_empty(&self->sleepers)) {
        struct storm_task *first = AG_OWNER(self->sleepers.next, struct storm_task, link);

        if (first->until > now)
            return;
        end(self, first);
    }
}

static int64_t next_wake(const void *arg)
{
    const struct storm_handler *self = arg;

    if (ag_list_is_empty(&self->sleepers))
        return INT64_MAX;
    return AG_OWNER(self->sleepers.next, struct storm_task, link)->until;
}

static int work(struct storm_handler *self, const char *endpoint, const char *name,
                struct argosy_error *err)
{
    const char *const endpoints[] = {endpoint};
    uint8_t random[AG_ID_RANDOM_BYTES];
    struct loop_config config = {
        .endpoints = endpoints,
        .endpoints_count = 1,
        .name = name,
        .software = "storm",
        .host = "here",
        .core = {.kinds_count = 1, .kinds = {{STORM_KIND, 16, 16}}, .heartbeat_ms = 2000},
        .handlers = {&self->handler},
        .sources_count = 1,
        .grace_ms = GRACE_MS};
    loop_t *loop = NULL;
    int rc = ag_entropy(random, sizeof random, err);

    config.sources[0] = (struct loop_source){
        .fd = eventfd(0, EFD_CLOEXEC), .turn = wake, .deadline = next_wake, .arg = self};
    config.instance = ag_id_make(ag_clock_unix_ms(), random);
    memcpy(&self->nonce, random, sizeof self->nonce);
    if (rc == 0)
        rc = loop_new(&loop, &config, err);
    if (rc == 0)
        rc = loop_run(loop, err);
    loop_destroy(&loop);
    close(config.sources[0].fd);
    return rc;
}

/* worker ENDPOINT FOLDER NUMBER SLEEP_MS */
int storm_worker(int argc, char **argv)
{
    struct storm_handler self = {
        .handler = {.kind = STORM_KIND, .start = start, .stop = stop, .destroy = destroy}};
    struct ag_log_config log = {.program = "storm-worker"};
    struct argosy_error err = {0};
    char name[32];
    int rc;

    if (argc != 5)
        return 2;
    ag_log_start(&log);
    zsys_handler_set(NULL);
    ag_link_init(&self.sleepers);
    self.sleep_ms = atoi(argv[4]);
    self.log = storm_log_open(argv[2], "worker", (unsigned)atoi(argv[3]));
    snprintf(name, sizeof name, "w-%s", argv[3]);
    rc = ag_process_prepare(0, &err);
    if (rc == 0)
        rc = work(&self, argv[1], name, &err);
    if (rc < 0)
        fprintf(stderr, "storm worker: %s\n", err.message);
    ag_log_stop();
    zsys_shutdown();
    return rc < 0 ? 3 : 0;
}
