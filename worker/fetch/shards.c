#include "worker/fetch/shards.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/error.h"

enum {
    SHARD_TRANSFERS = 16,     /* of one multi handle; measured best (doc/fetch.md) */
    TURN_EVENTS = 512,        /* taken from epoll at once */
    SOCKETS_BUDGET_US = 5000, /* of a turn; then what is due */
    DUE_BUDGET_US = 3000,     /* and then the loop's other work */
    DESCRIPTORS_MAX = 1 << 20,
    DESCRIPTORS_SPARE = 256, /* beside two for each place: files, threads, the loop's own */
    WATCHED_MAX = 4
};

struct shard {
    shards_t *shards;
    CURLM *multi;
    int64_t due;  /* when libcurl wants its timeout handled; INT64_MAX never */
    bool touched; /* transfers may have finished */
};

/* What we know of a descriptor that libcurl uses. */
struct descriptor {
    struct shard *shard;
    uint32_t wanted, registered; /* epoll's bits; 0 none */
    bool ours; /* from shards_open(): closing goes through us, so we may be lazy */
};

struct watched {
    int fd;
    void (*readable)(void *arg, int64_t now);
    void *arg;
};

struct shards {
    int epoll;
    shards_finished *finished;
    void *arg;
    struct shard *list;
    unsigned count, next; /* the one to begin with: what a budget cuts off comes first */
    struct descriptor *descriptors;
    size_t descriptors_count;
    struct watched watched[WATCHED_MAX];
    unsigned watched_count;
};

/* ---- descriptors
 * ------------------------------------------------------------------------------------ */

static struct descriptor *descriptor_of(shards_t *self, int fd)
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

static void unregister(shards_t *self, int fd, struct descriptor *descriptor)
{
    if (descriptor->registered != 0)
        epoll_ctl(self->epoll, EPOLL_CTL_DEL, fd, NULL); /* closed already: that is fine */
    descriptor->registered = 0;
}

static int add_or_change(shards_t *self, int fd, struct descriptor *descriptor)
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
    struct descriptor *descriptor = descriptor_of(shard->shards, fd);

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
            unregister(shard->shards, fd, descriptor);
        return 0;
    }
    if (descriptor->wanted != descriptor->registered)
        return add_or_change(shard->shards, fd, descriptor);
    return 0;
}

curl_socket_t shards_open(shards_t *self, const struct curl_sockaddr *address)
{
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    struct descriptor *descriptor = fd >= 0 ? descriptor_of(self, fd) : NULL;

    if (descriptor == NULL) {
        if (fd >= 0)
            close(fd);
        return CURL_SOCKET_BAD;
    }
    *descriptor = (struct descriptor){.ours = true};
    return fd;
}

int shards_close(void *arg, curl_socket_t fd)
{
    shards_t *self = arg;
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

bool shards_add(shards_t *self, unsigned place, CURL *easy)
{
    return curl_multi_add_handle(self->list[place / SHARD_TRANSFERS].multi, easy) == CURLM_OK;
}

void shards_remove(shards_t *self, unsigned place, CURL *easy)
{
    curl_multi_remove_handle(self->list[place / SHARD_TRANSFERS].multi, easy);
}

/* ---- a turn
 * ------------------------------------------------------------------------------------------- */

static bool tell_watched(shards_t *self, int fd, int64_t now)
{
    for (unsigned i = 0; i < self->watched_count; i++) {
        if (self->watched[i].fd != fd)
            continue;
        self->watched[i].readable(self->watched[i].arg, now);
        return true;
    }
    return false;
}

static void act(shards_t *self, const struct epoll_event *event, int64_t now)
{
    struct descriptor *descriptor;
    int running, mask = 0;

    if (tell_watched(self, event->data.fd, now))
        return;
    descriptor = descriptor_of(self, event->data.fd);
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

static void act_on_sockets(shards_t *self, int64_t now)
{
    struct epoll_event events[TURN_EVENTS];
    int64_t until = ag_clock_mono_us() + SOCKETS_BUDGET_US;
    int count = epoll_wait(self->epoll, events, TURN_EVENTS, 0);

    /* Level-triggered: what the budget leaves over comes back with the next turn. */
    for (int i = 0; i < count; i++) {
        act(self, &events[i], now);
        if (ag_clock_mono_us() > until)
            return;
    }
}

/* False: time is up, and there may be more. */
static bool take_finished(shards_t *self, struct shard *shard, int64_t until)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(shard->multi, &left)) != NULL) {
        CURLcode code = message->data.result;
        void *private = NULL;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        self->finished(self->arg, private, code);
        if (ag_clock_mono_us() > until)
            return false;
    }
    shard->touched = false;
    return true;
}

/* A thousand transfers that begin, end or time out in one moment are tens of milliseconds. */
static void act_on_shards(shards_t *self)
{
    int64_t until = ag_clock_mono_us() + DUE_BUDGET_US;
    int64_t now = ag_clock_mono_ms(); /* what libcurl wants at once was said meanwhile */
    int running;

    for (unsigned i = 0; i < self->count; i++) {
        struct shard *shard = &self->list[self->next];

        if (shard->due <= now) {
            shard->due = INT64_MAX; /* libcurl sets it anew */
            shard->touched = true;
            curl_multi_socket_action(shard->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        }
        if (shard->touched && (!take_finished(self, shard, until) || ag_clock_mono_us() > until))
            return;
        self->next = (self->next + 1) % self->count;
    }
}

void shards_turn(shards_t *self, int64_t now)
{
    act_on_sockets(self, now);
    act_on_shards(self);
}

int64_t shards_deadline(const shards_t *self)
{
    int64_t at = INT64_MAX;

    for (unsigned i = 0; i < self->count; i++) {
        if (self->list[i].touched)
            return 0;
        if (self->list[i].due < at)
            at = self->list[i].due;
    }
    return at;
}

/* ---- life
 * ---------------------------------------------------------------------------------------------- */

int shards_fd(const shards_t *self)
{
    return self->epoll;
}

int shards_watch(shards_t *self, int fd, void (*readable)(void *arg, int64_t now), void *arg,
                 struct argosy_error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (self->watched_count == WATCHED_MAX || epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        return ag_fail(err, ARGOSY_EIO, "cannot watch a descriptor: %s", strerror(errno));
    self->watched[self->watched_count++] = (struct watched){fd, readable, arg};
    return 0;
}

static int make_list(shards_t *self, unsigned count, struct argosy_error *err)
{
    self->list = calloc(count, sizeof *self->list);
    if (self->list == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for transfers");
    for (; self->count < count; self->count++) {
        struct shard *shard = &self->list[self->count];

        *shard = (struct shard){.shards = self, .multi = curl_multi_init(), .due = INT64_MAX};
        if (shard->multi == NULL)
            return ag_fail(err, ARGOSY_ENOMEM, "no memory for transfers");
        curl_multi_setopt(shard->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
        curl_multi_setopt(shard->multi, CURLMOPT_SOCKETDATA, shard);
        curl_multi_setopt(shard->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
        curl_multi_setopt(shard->multi, CURLMOPT_TIMERDATA, shard);
        /* The default follows the number of present transfers: a dip would close warm ones. */
        curl_multi_setopt(shard->multi, CURLMOPT_MAXCONNECTS, (long)SHARD_TRANSFERS + 8);
    }
    return 0;
}

/* When the process has threads, the kernel waits some 10 ms for each doubling of its table of
 * descriptors: better now than in a turn. Where that many are not allowed it stays as it is. */
static void reserve_descriptors(const shards_t *self, unsigned places)
{
    int high = fcntl(self->epoll, F_DUPFD_CLOEXEC, (int)places * 2 + DESCRIPTORS_SPARE);

    if (high >= 0)
        close(high);
}

int shards_new(shards_t **out, unsigned places, shards_finished *finished, void *arg,
               struct argosy_error *err)
{
    shards_t *self = calloc(1, sizeof *self);
    int rc = 0;

    *out = NULL;
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for transfers");
    self->finished = finished;
    self->arg = arg;
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll < 0)
        rc = ag_fail(err, ARGOSY_EIO, "cannot make an epoll descriptor: %s", strerror(errno));
    if (rc == 0)
        reserve_descriptors(self, places);
    if (rc == 0)
        rc = make_list(self, (places + SHARD_TRANSFERS - 1) / SHARD_TRANSFERS, err);
    if (rc < 0)
        shards_destroy(&self);
    *out = self;
    return rc;
}

void shards_destroy(shards_t **self_p)
{
    shards_t *self = *self_p;

    if (self == NULL)
        return;
    for (unsigned i = 0; i < self->count; i++)
        curl_multi_cleanup(self->list[i].multi);
    if (self->epoll >= 0)
        close(self->epoll);
    free(self->list);
    free(self->descriptors);
    free(self);
    *self_p = NULL;
}
