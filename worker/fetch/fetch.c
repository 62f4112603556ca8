/* The engine: multi handles, one epoll descriptor, timers. One transfer is transfer.c's matter. */
#include "worker/fetch/fetch.h"

#include <errno.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/list.h"
#include "worker/fetch/transfer.h"

enum {
    SHARD_TRANSFERS = 16,  /* of one multi handle; measured best (doc/fetch.md) */
    TURN_EVENTS = 512,     /* taken from epoll at once */
    TURN_BUDGET_US = 5000, /* then the loop's other work has its turn */
    DESCRIPTORS_MAX = 1 << 20
};

struct shard {
    struct fetch *fetch;
    CURLM *multi;
    int64_t due; /* when libcurl wants its timeout handled; INT64_MAX never */
    bool touched;
};

/* What we know of a descriptor that libcurl uses. */
struct descriptor {
    struct shard *shard;
    uint32_t wanted, registered; /* epoll's bits; 0 none */
    bool ours; /* opened by on_open(): closing goes through us, so we may be lazy */
};

struct fetch {
    struct handler handler;
    struct fetch_config config;
    policy_t *policy;
    char **roots;
    struct transfer_shared shared;
    int epoll;
    struct shard *shards;
    unsigned shards_count;
    struct transfer *transfers;
    struct transfer *free;
    struct ag_heap timers;
    struct descriptor *descriptors;
    size_t descriptors_count;
};

static struct fetch *of(const struct handler *handler)
{
    return AG_OWNER(handler, struct fetch, handler);
}

/* ---- descriptors
 * ------------------------------------------------------------------------------------ */

static struct descriptor *descriptor_of(struct fetch *self, int fd)
{
    if (fd < 0 || fd >= DESCRIPTORS_MAX)
        return NULL;
    if ((size_t)fd >= self->descriptors_count) {
        size_t count = (size_t)fd * 2 + 64;
        struct descriptor *grown = realloc(self->descriptors, count * sizeof *grown);

        if (grown == NULL)
            return NULL;
        memset(grown + self->descriptors_count, 0,
               (count - self->descriptors_count) * sizeof *grown);
        self->descriptors = grown;
        self->descriptors_count = count;
    }
    return &self->descriptors[fd];
}

static void unregister(struct fetch *self, int fd, struct descriptor *descriptor)
{
    if (descriptor->registered != 0)
        epoll_ctl(self->epoll, EPOLL_CTL_DEL, fd, NULL); /* closed already: that is fine */
    descriptor->registered = 0;
}

static int add_or_change(struct fetch *self, int fd, struct descriptor *descriptor)
{
    struct epoll_event event = {.events = descriptor->wanted, .data.fd = fd};
    int first = descriptor->registered != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    int second = descriptor->registered != 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

    if (epoll_ctl(self->epoll, first, fd, &event) < 0 &&
        epoll_ctl(self->epoll, second, fd, &event) < 0)
        return -1;
    descriptor->registered = descriptor->wanted;
    return 0;
}

/* libcurl says what it wants to know about a socket. What it does not want to know now, but may
 * soon again (a connection kept alive), stays registered: that saves two system calls for each
 * request. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *per_socket)
{
    struct shard *shard = arg;
    struct descriptor *descriptor = descriptor_of(shard->fetch, fd);

    (void)easy;
    (void)per_socket;
    if (descriptor == NULL)
        return -1;
    descriptor->shard = shard;
    descriptor->wanted = 0;
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        descriptor->wanted |= EPOLLIN;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
        descriptor->wanted |= EPOLLOUT;
    if (descriptor->wanted == 0) {
        if (!descriptor->ours)
            unregister(shard->fetch, fd, descriptor);
        return 0;
    }
    if (descriptor->wanted != descriptor->registered)
        return add_or_change(shard->fetch, fd, descriptor);
    return 0;
}

/* The only place where a connection begins: nothing that the policy refuses gets past it. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *transfer = arg;
    struct fetch *self = AG_OWNER(transfer->shared, struct fetch, shared);
    struct descriptor *descriptor;
    int fd;

    if (purpose != CURLSOCKTYPE_IPCXN || !policy_allows(self->policy, &address->addr)) {
        policy_print(&address->addr, transfer->denied);
        return CURL_SOCKET_BAD;
    }
    fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    descriptor = fd >= 0 ? descriptor_of(self, fd) : NULL;
    if (descriptor == NULL) {
        if (fd >= 0)
            close(fd);
        return CURL_SOCKET_BAD;
    }
    *descriptor = (struct descriptor){.ours = true};
    return fd;
}

static int on_close(void *arg, curl_socket_t fd)
{
    struct fetch *self = arg;
    struct descriptor *descriptor = descriptor_of(self, fd);

    if (descriptor != NULL) {
        unregister(self, fd, descriptor);
        *descriptor = (struct descriptor){0};
    }
    return close(fd);
}

static int on_curl_timer(CURLM *multi, long ms, void *arg)
{
    struct shard *shard = arg;

    (void)multi;
    shard->due = ms < 0 ? INT64_MAX : ag_clock_mono_ms() + ms;
    return 0;
}

/* ---- attempts
 * ---------------------------------------------------------------------------------------- */

static struct shard *shard_of(struct fetch *self, const struct transfer *transfer)
{
    return &self->shards[transfer->place / SHARD_TRANSFERS];
}

static void watch_for_stall(struct fetch *self, struct transfer *transfer)
{
    ag_heap_set(&self->timers, &transfer->timer, transfer_next_look(transfer, ag_clock_mono_ms()));
}

static void give_back(struct fetch *self, struct transfer *transfer)
{
    ag_heap_stop(&self->timers, &transfer->timer);
    transfer->next_free = self->free;
    self->free = transfer;
}

static void fetch_start(struct handler *handler, struct task *task)
{
    struct fetch *self = of(handler);
    struct transfer *transfer = self->free;
    CURLMcode code;

    if (transfer == NULL) { /* the loop keeps to our slots; this would be its mistake */
        outcome_fail(&task->outcome, "handler.slots", true, NULL, "no slot is free");
        task_finish(task);
        return;
    }
    if (!transfer_prepare(transfer, task, ag_clock_mono_ms())) {
        task_finish(task);
        return;
    }
    self->free = transfer->next_free;
    task->handler_data = transfer;
    curl_easy_setopt(transfer->easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(transfer->easy, CURLOPT_OPENSOCKETDATA, transfer);
    curl_easy_setopt(transfer->easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(transfer->easy, CURLOPT_CLOSESOCKETDATA, self);
    code = curl_multi_add_handle(shard_of(self, transfer)->multi, transfer->easy);
    if (code != CURLM_OK) {
        transfer_conclude(transfer, CURLE_OUT_OF_MEMORY);
        give_back(self, transfer);
        task_finish(task);
        return;
    }
    watch_for_stall(self, transfer);
}

/* Out of libcurl, outcome written, slot free; then the loop is told, which may start the next. */
static void end(struct fetch *self, struct transfer *transfer, CURLcode code)
{
    struct task *task = transfer->task;

    curl_multi_remove_handle(shard_of(self, transfer)->multi, transfer->easy);
    transfer_conclude(transfer, code);
    give_back(self, transfer);
    task_finish(task);
}

static void fetch_stop(struct handler *handler, struct task *task)
{
    struct transfer *transfer = task->handler_data;

    transfer_blame(transfer, "cancelled", false, "the attempt was stopped");
    end(of(handler), transfer, CURLE_OK);
}

/* ---- a turn
 * ------------------------------------------------------------------------------------------- */

static void take_finished(struct fetch *self, struct shard *shard)
{
    CURLMsg *message;
    int left;

    shard->touched = false;
    while ((message = curl_multi_info_read(shard->multi, &left)) != NULL) {
        CURLcode code = message->data.result;
        struct transfer *transfer = NULL;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        end(self, transfer, code);
    }
}

static void act(struct fetch *self, const struct epoll_event *event)
{
    struct descriptor *descriptor = descriptor_of(self, event->data.fd);
    int running, mask = 0;

    if (descriptor == NULL || descriptor->wanted == 0) { /* we were lazy: it is not of interest */
        if (descriptor != NULL)
            unregister(self, event->data.fd, descriptor);
        return;
    }
    if (event->events & EPOLLIN)
        mask |= CURL_CSELECT_IN;
    if (event->events & EPOLLOUT)
        mask |= CURL_CSELECT_OUT;
    if (event->events & (EPOLLERR | EPOLLHUP))
        mask |= CURL_CSELECT_ERR;
    descriptor->shard->touched = true;
    curl_multi_socket_action(descriptor->shard->multi, event->data.fd, mask, &running);
}

static void act_on_sockets(struct fetch *self)
{
    struct epoll_event events[TURN_EVENTS];
    int64_t until = ag_clock_mono_us() + TURN_BUDGET_US;
    int count = epoll_wait(self->epoll, events, TURN_EVENTS, 0);

    /* Level-triggered: what the budget leaves over comes back with the next turn. */
    for (int i = 0; i < count; i++) {
        act(self, &events[i]);
        if ((i & 15) == 15 && ag_clock_mono_us() > until)
            return;
    }
}

static void act_on_timers(struct fetch *self, int64_t now)
{
    struct ag_timer *first;
    int running;

    for (unsigned i = 0; i < self->shards_count; i++) {
        struct shard *shard = &self->shards[i];

        if (shard->due > now)
            continue;
        shard->due = INT64_MAX; /* libcurl sets it anew */
        shard->touched = true;
        curl_multi_socket_action(shard->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    while ((first = ag_heap_first(&self->timers)) != NULL && first->at <= now) {
        struct transfer *transfer = AG_OWNER(first, struct transfer, timer);

        ag_heap_stop(&self->timers, first);
        if (transfer_is_stalled(transfer, now))
            end(self, transfer, CURLE_OK);
        else
            ag_heap_set(&self->timers, first, transfer_next_look(transfer, now));
    }
}

void fetch_turn(void *handler, int64_t now)
{
    struct fetch *self = of(handler);

    act_on_sockets(self);
    act_on_timers(self, now);
    for (unsigned i = 0; i < self->shards_count; i++)
        if (self->shards[i].touched)
            take_finished(self, &self->shards[i]);
}

int fetch_fd(const struct handler *handler)
{
    return of(handler)->epoll;
}

int64_t fetch_deadline(const void *handler)
{
    const struct fetch *self = of(handler);
    const struct ag_timer *first = ag_heap_first(&self->timers);
    int64_t at = first != NULL ? first->at : INT64_MAX;

    for (unsigned i = 0; i < self->shards_count; i++)
        if (self->shards[i].due < at)
            at = self->shards[i].due;
    return at;
}

/* ---- life
 * ---------------------------------------------------------------------------------------------- */

static void fetch_destroy(struct handler **handler_p)
{
    struct fetch *self = of(*handler_p);

    for (unsigned i = 0; self->transfers != NULL && i < self->config.slots; i++) {
        struct transfer *transfer = &self->transfers[i];

        if (transfer->task != NULL)
            curl_multi_remove_handle(shard_of(self, transfer)->multi, transfer->easy);
        transfer_fini(transfer);
    }
    for (unsigned i = 0; i < self->shards_count; i++)
        curl_multi_cleanup(self->shards[i].multi);
    curl_share_cleanup(self->shared.share);
    X509_STORE_free(self->shared.store);
    for (size_t i = 0; i < self->shared.roots_count; i++)
        free(self->roots[i]);
    if (self->epoll >= 0)
        close(self->epoll);
    policy_destroy(&self->policy);
    ag_heap_fini(&self->timers);
    free(self->roots);
    free(self->transfers);
    free(self->shards);
    free(self->descriptors);
    free(self);
    *handler_p = NULL;
}

static bool add_root(struct fetch *self, char *root)
{
    if (root != NULL)
        self->roots[self->shared.roots_count++] = root;
    return root != NULL;
}

/* Jobs may name a root as it was given or as it is without links. */
static int resolve_roots(struct fetch *self, struct argosy_error *err)
{
    self->roots = calloc(2 * self->config.roots_count + 1, sizeof *self->roots);
    if (self->roots == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for roots");
    self->shared.roots = (const char *const *)self->roots;
    for (size_t i = 0; i < self->config.roots_count; i++) {
        const char *given = self->config.roots[i];

        if (!add_root(self, realpath(given, NULL)))
            return ag_fail(err, ARGOSY_EINVAL, "--root: %s: %s", given, strerror(errno));
        if (given[0] == '/' && !add_root(self, strdup(given)))
            return ag_fail(err, ARGOSY_ENOMEM, "no memory for roots");
    }
    return 0;
}

static int make_shards(struct fetch *self, struct argosy_error *err)
{
    unsigned count = (self->config.slots + SHARD_TRANSFERS - 1) / SHARD_TRANSFERS;

    self->shards = calloc(count, sizeof *self->shards);
    if (self->shards == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for %u transfers", self->config.slots);
    for (; self->shards_count < count; self->shards_count++) {
        struct shard *shard = &self->shards[self->shards_count];

        *shard = (struct shard){.fetch = self, .multi = curl_multi_init(), .due = INT64_MAX};
        if (shard->multi == NULL)
            return ag_fail(err, ARGOSY_ENOMEM, "no memory for %u transfers", self->config.slots);
        curl_multi_setopt(shard->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
        curl_multi_setopt(shard->multi, CURLMOPT_SOCKETDATA, shard);
        curl_multi_setopt(shard->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
        curl_multi_setopt(shard->multi, CURLMOPT_TIMERDATA, shard);
        curl_multi_setopt(shard->multi, CURLMOPT_MAXCONNECTS, (long)SHARD_TRANSFERS + 8);
    }
    return 0;
}

static int make_transfers(struct fetch *self, struct argosy_error *err)
{
    self->transfers = calloc(self->config.slots, sizeof *self->transfers);
    if (self->transfers == NULL || ag_heap_reserve(&self->timers, self->config.slots) < 0)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for %u transfers", self->config.slots);
    for (unsigned i = self->config.slots; i-- > 0;) {
        if (!transfer_init(&self->transfers[i], &self->shared, i))
            return ag_fail(err, ARGOSY_ENOMEM, "no memory for %u transfers", self->config.slots);
        give_back(self, &self->transfers[i]);
    }
    return 0;
}

static int make_share(struct fetch *self, struct argosy_error *err)
{
    self->shared.config = &self->config;
    self->shared.share = curl_share_init();
    if (self->shared.share == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a share");
    curl_share_setopt(self->shared.share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    curl_share_setopt(self->shared.share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll < 0)
        return ag_fail(err, ARGOSY_EIO, "cannot make an epoll descriptor: %s", strerror(errno));
    return 0;
}

int fetch_handler_new(struct handler **out, const struct fetch_config *config,
                      struct argosy_error *err)
{
    struct fetch *self = calloc(1, sizeof *self);
    struct handler *handler;
    int rc;

    *out = NULL;
    if (config->slots == 0 || config->slots > AG_SLOTS_MAX) {
        free(self);
        return ag_fail(err, ARGOSY_EINVAL, "a worker has 1 to %d slots for fetches, not %u",
                       AG_SLOTS_MAX, config->slots);
    }
    if (self == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(self);
        return ag_fail(err, ARGOSY_ENOMEM, "cannot start libcurl");
    }
    self->config = *config;
    self->epoll = -1;
    self->handler = (struct handler){.kind = "fetch",
                                     .slots = config->slots,
                                     .start = fetch_start,
                                     .stop = fetch_stop,
                                     .destroy = fetch_destroy};
    handler = &self->handler;
    if (config->ca_file != NULL && access(config->ca_file, R_OK) < 0)
        rc = ag_fail(err, ARGOSY_EINVAL, "--ca-file: %s: %s", config->ca_file, strerror(errno));
    else
        rc = policy_new(&self->policy, config->allow_net, config->allow_net_count, err);
    self->shared.policy = self->policy;
    if (rc == 0)
        rc = resolve_roots(self, err);
    if (rc == 0)
        rc = make_share(self, err);
    if (rc == 0)
        rc = make_shards(self, err);
    if (rc == 0)
        rc = make_transfers(self, err);
    if (rc < 0)
        fetch_destroy(&handler);
    *out = handler;
    return rc;
}
