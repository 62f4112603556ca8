#include "worker/exec/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <msgpack/pack.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/list.h"
#include "common/wire.h"
#include "worker/exec/spawn.h"

enum {
    EVENTS_MAX = 64,
    READ_BYTES = 64 << 10,
    DRAIN_MS = 1000, /* after the end of a child: for its group to let go of the pipes */
    LINE_BYTES = 256
};

enum stream { STREAM_IN, STREAM_OUT, STREAM_ERR, STREAM_STATUS, STREAM_PID, STREAMS_COUNT };

struct child;

/* What an epoll event points at. */
struct watch {
    struct child *child;
    enum stream stream;
    int fd; /* -1: closed */
};

struct child {
    struct ag_link link; /* in exec->children, or exec->done */
    struct exec *exec;
    struct task *task;
    struct exec_request request;
    pid_t pid;
    struct watch watches[STREAMS_COUNT];
    struct ag_buffer out, err;
    size_t written; /* of the input */
    bool truncated, has_exited;
    int64_t give_up_at; /* when its pipes are waited for no longer */
    int status, start_error;
    struct rusage usage;
};

struct exec {
    struct handler handler;
    struct exec_config config;
    int epoll;
    struct ag_link children, done; /* done: to be finished at the end of the turn */
};

/* ---- the end of an attempt ---------------------------------------------------------------------
 */

static void put_text(msgpack_packer *p, const char *text, size_t size)
{
    msgpack_pack_str(p, size);
    if (size > 0)
        msgpack_pack_str_body(p, text, size);
}

static void put_key(msgpack_packer *p, const char *key)
{
    put_text(p, key, strlen(key));
}

/* Text if it is, else bytes. */
static void put_output(msgpack_packer *p, const char *key, const struct ag_buffer *output)
{
    put_key(p, key);
    if (ag_is_utf8(ag_buffer_bytes(output))) {
        put_text(p, (const char *)output->data, output->size);
        return;
    }
    msgpack_pack_bin(p, output->size);
    if (output->size > 0)
        msgpack_pack_bin_body(p, output->data, output->size);
}

static uint64_t ms_of(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_usec / 1000;
}

static void put_number(msgpack_packer *p, const char *key, uint64_t value)
{
    put_key(p, key);
    msgpack_pack_uint64(p, value);
}

static void put_result(struct child *self, struct ag_buffer *out)
{
    msgpack_packer packer, *p = &packer;

    *out = ag_buffer_empty(AG_RESULT_BYTES_MAX);
    msgpack_packer_init(p, out, ag_buffer_write);
    msgpack_pack_map(p, 7);
    put_number(p, "exit", (uint64_t)WEXITSTATUS(self->status));
    put_output(p, "stdout", &self->out);
    put_output(p, "stderr", &self->err);
    put_key(p, "truncated");
    if (self->truncated)
        msgpack_pack_true(p);
    else
        msgpack_pack_false(p);
    put_number(p, "user_ms", ms_of(self->usage.ru_utime));
    put_number(p, "system_ms", ms_of(self->usage.ru_stime));
    put_number(p, "max_rss_bytes", (uint64_t)self->usage.ru_maxrss * 1024);
}

/* The last line that is not empty, for people. */
static const char *last_line(const struct ag_buffer *output, char line[LINE_BYTES])
{
    size_t end = output->size, begin;

    while (end > 0 && (output->data[end - 1] == '\n' || output->data[end - 1] == '\r'))
        end--;
    begin = end;
    while (begin > 0 && output->data[begin - 1] != '\n')
        begin--;
    if (end - begin > LINE_BYTES - 1)
        end = begin + LINE_BYTES - 1;
    while (end > begin && !ag_is_utf8(ag_bytes_of(output->data + begin, end - begin)))
        end--;
    snprintf(line, LINE_BYTES, "%.*s", (int)(end - begin), (const char *)output->data + begin);
    return line;
}

static void judge(struct child *self)
{
    struct outcome *outcome = &self->task->outcome;
    const char *name = self->request.argv[0];
    char type[64], line[LINE_BYTES];

    if (self->start_error != 0) {
        outcome_fail(outcome,
                     self->start_error == ENOENT ? "handler.exec.missing" : "handler.exec.denied",
                     false, name, "cannot run %s: %s", name, strerror(self->start_error));
    } else if (WIFSIGNALED(self->status)) {
        const char *signal_name = sigabbrev_np(WTERMSIG(self->status));

        snprintf(type, sizeof type, "handler.exec.signal.%s",
                 signal_name ? signal_name : "unknown");
        outcome_fail(outcome, type, false, name, "%s was ended by SIG%s", name,
                     signal_name ? signal_name : "?");
    } else if (WEXITSTATUS(self->status) != 0) {
        snprintf(type, sizeof type, "handler.exec.exit.%d", WEXITSTATUS(self->status));
        last_line(&self->err, line);
        outcome_fail(outcome, type, false, name, "%s", line[0] != '\0' ? line : "it failed");
        put_result(self, &outcome->result);
    } else {
        outcome->succeeded = true;
        put_result(self, &outcome->result);
    }
}

static void close_watch(struct watch *watch)
{
    if (watch->fd < 0)
        return;
    /* A child that was forked just now has a copy until it runs its program: closing alone would
     * leave it in the epoll. */
    epoll_ctl(watch->child->exec->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    close(watch->fd);
    watch->fd = -1;
}

static void child_free(struct child *self)
{
    for (int i = 0; i < STREAMS_COUNT; i++)
        close_watch(&self->watches[i]);
    ag_link_remove(&self->link);
    ag_buffer_free(&self->out);
    ag_buffer_free(&self->err);
    exec_request_fini(&self->request);
    free(self);
}

static void finish(struct child *self)
{
    struct task *task = self->task;

    judge(self);
    child_free(self);
    task_finish(task);
}

static void finish_if_done(struct child *self)
{
    if (self->has_exited && self->watches[STREAM_OUT].fd < 0 && self->watches[STREAM_ERR].fd < 0)
        ag_list_append(&self->exec->done, &self->link);
}

/* ---- streams -----------------------------------------------------------------------------------
 */

static void feed(struct child *self)
{
    struct watch *watch = &self->watches[STREAM_IN];
    ssize_t n = 1;

    while (watch->fd >= 0 && self->written < self->request.input.size && n > 0) {
        n = write(watch->fd, self->request.input.data + self->written,
                  self->request.input.size - self->written);
        if (n > 0)
            self->written += (size_t)n;
    }
    if (self->written == self->request.input.size || (n < 0 && errno != EAGAIN && errno != EINTR))
        close_watch(watch); /* all of it, or the child does not want more */
}

/* What watchers see before the end. */
static void tell(struct child *self, enum stream stream, const uint8_t *data, size_t size)
{
    struct ag_buffer out = ag_buffer_empty(2 * READ_BYTES);
    struct ag_buffer part = {.data = (uint8_t *)data, .size = size};
    msgpack_packer packer;

    msgpack_packer_init(&packer, &out, ag_buffer_write);
    msgpack_pack_map(&packer, 1);
    put_output(&packer, stream == STREAM_OUT ? "stdout" : "stderr", &part);
    if (!out.failed)
        task_tell(self->task, NULL, ag_buffer_bytes(&out));
    ag_buffer_free(&out);
}

static void keep(struct child *self, struct ag_buffer *output, const uint8_t *data, size_t size)
{
    size_t room = self->request.output_max - output->size;

    if (size > room) {
        self->truncated = true;
        size = room;
    }
    ag_buffer_append(output, data, size);
}

/* Up to one buffer full: the other children want their turn. */
static void take(struct child *self, enum stream stream)
{
    static uint8_t bytes[READ_BYTES];
    struct watch *watch = &self->watches[stream];
    ssize_t n = watch->fd >= 0 ? read(watch->fd, bytes, sizeof bytes) : -1;

    if (n > 0) {
        keep(self, stream == STREAM_OUT ? &self->out : &self->err, bytes, (size_t)n);
        tell(self, stream, bytes, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        close_watch(watch);
        finish_if_done(self);
    }
}

static void take_status(struct child *self)
{
    struct watch *watch = &self->watches[STREAM_STATUS];
    int error;
    ssize_t n = read(watch->fd, &error, sizeof error);

    if (n == sizeof error)
        self->start_error = error;
    if (n >= 0 || errno != EAGAIN)
        close_watch(watch);
}

/* The child has ended. Its group ends with it; as long as it is not reaped its number is its own.
 */
static void reap(struct child *self)
{
    if (self->watches[STREAM_STATUS].fd >= 0)
        take_status(self);
    kill(-self->pid, SIGKILL);
    if (wait4(self->pid, &self->status, WNOHANG, &self->usage) != self->pid)
        return;
    close_watch(&self->watches[STREAM_PID]);
    close_watch(&self->watches[STREAM_IN]);
    self->has_exited = true;
    self->give_up_at = ag_clock_mono_ms() + DRAIN_MS;
    finish_if_done(self);
}

static void on_event(struct watch *watch)
{
    switch (watch->stream) {
    case STREAM_IN:
        feed(watch->child);
        break;
    case STREAM_OUT:
    case STREAM_ERR:
        take(watch->child, watch->stream);
        break;
    case STREAM_STATUS:
        take_status(watch->child);
        break;
    case STREAM_PID:
        reap(watch->child);
        break;
    case STREAMS_COUNT:
        break;
    }
}

/* ---- the handler -------------------------------------------------------------------------------
 */

static int watch_all(struct exec *self, struct child *child)
{
    for (int i = 0; i < STREAMS_COUNT; i++) {
        struct epoll_event event = {.events = i == STREAM_IN ? EPOLLOUT : EPOLLIN,
                                    .data.ptr = &child->watches[i]};

        if (child->watches[i].fd < 0 ||
            epoll_ctl(self->epoll, EPOLL_CTL_ADD, child->watches[i].fd, &event) < 0)
            return -1;
    }
    return 0;
}

static void run(struct exec *self, struct child *child)
{
    struct outcome *outcome = &child->task->outcome;
    struct argosy_error err = {0};
    struct exec_pipes pipes;
    int pidfd;

    if (exec_spawn(&child->request, &child->pid, &pidfd, &pipes, &err) < 0) {
        outcome_fail(outcome, "handler.exec.system", true, child->request.argv[0], "%s",
                     err.message);
        return;
    }
    child->watches[STREAM_IN].fd = pipes.in;
    child->watches[STREAM_OUT].fd = pipes.out;
    child->watches[STREAM_ERR].fd = pipes.err;
    child->watches[STREAM_STATUS].fd = pipes.status;
    child->watches[STREAM_PID].fd = pidfd;
    if (watch_all(self, child) < 0) {
        kill(-child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
        outcome_fail(outcome, "handler.exec.system", true, child->request.argv[0],
                     "cannot watch a process: %s", strerror(errno));
    }
}

static void start(struct handler *handler, struct task *task)
{
    struct exec *self = AG_OWNER(handler, struct exec, handler);
    struct child *child = calloc(1, sizeof *child);

    if (child == NULL) {
        outcome_fail(&task->outcome, "handler.memory", true, NULL, "the worker has no memory left");
        task_finish(task);
        return;
    }
    child->exec = self;
    child->task = task;
    child->out = ag_buffer_empty(EXEC_OUTPUT_MAX);
    child->err = ag_buffer_empty(EXEC_OUTPUT_MAX);
    for (int i = 0; i < STREAMS_COUNT; i++)
        child->watches[i] = (struct watch){.child = child, .stream = (enum stream)i, .fd = -1};
    ag_link_init(&child->link);
    ag_list_append(&self->children, &child->link);
    task->handler_data = child;
    if (exec_request_read(&child->request, task, &self->config, &task->outcome))
        run(self, child);
    if (task->outcome.type[0] != '\0') {
        child_free(child);
        task_finish(task);
    }
}

static void signal_group(struct task *task, int number)
{
    struct child *child = task->handler_data;

    if (!child->has_exited)
        kill(-child->pid, number);
}

static void stop(struct handler *handler, struct task *task)
{
    (void)handler;
    signal_group(task, SIGTERM);
}

static void kill_task(struct handler *handler, struct task *task)
{
    (void)handler;
    signal_group(task, SIGKILL);
}

int exec_fd(const struct handler *handler)
{
    return AG_OWNER(handler, struct exec, handler)->epoll;
}

void exec_turn(void *handler, int64_t now)
{
    struct exec *self = AG_OWNER(handler, struct exec, handler);
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(self->epoll, events, EVENTS_MAX, 0);

    for (int i = 0; i < count; i++)
        on_event(events[i].data.ptr);
    for (struct ag_link *at = self->children.next, *next; at != &self->children; at = next) {
        struct child *child = AG_OWNER(at, struct child, link);

        next = at->next;
        if (child->has_exited && child->give_up_at <= now) /* somebody has fled its group */
            ag_list_append(&self->done, &child->link);
    }
    while (!ag_list_is_empty(&self->done))
        finish(AG_OWNER(self->done.next, struct child, link));
}

int64_t exec_deadline(const void *handler)
{
    const struct exec *self = AG_OWNER(handler, const struct exec, handler);
    int64_t at = INT64_MAX;

    for (struct ag_link *link = self->children.next; link != &self->children; link = link->next) {
        const struct child *child = AG_OWNER(link, struct child, link);

        if (child->has_exited && child->give_up_at < at)
            at = child->give_up_at;
    }
    return at;
}

static void destroy(struct handler **handler_p)
{
    struct exec *self = AG_OWNER(*handler_p, struct exec, handler);

    while (!ag_list_is_empty(&self->children)) {
        struct child *child = AG_OWNER(self->children.next, struct child, link);

        if (!child->has_exited) {
            kill(-child->pid, SIGKILL);
            waitpid(child->pid, NULL, 0);
        }
        child_free(child);
    }
    close(self->epoll);
    free(self);
    *handler_p = NULL;
}

int exec_handler_new(struct handler **out, const struct exec_config *config,
                     struct argosy_error *err)
{
    struct exec *self = calloc(1, sizeof *self);

    *out = NULL;
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for the exec engine");
    self->handler = (struct handler){.kind = "exec",
                                     .slots = config->slots,
                                     .start = start,
                                     .stop = stop,
                                     .kill = kill_task,
                                     .destroy = destroy};
    self->config = *config;
    ag_link_init(&self->children);
    ag_link_init(&self->done);
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll < 0) {
        free(self);
        return ag_fail(err, ARGOSY_EIO, "cannot make an epoll: %s", strerror(errno));
    }
    signal(SIGPIPE, SIG_IGN); /* a child that does not read its input is no reason to die */
    *out = &self->handler;
    return 0;
}
