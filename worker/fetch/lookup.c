#include "worker/fetch/lookup.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/assert.h"
#include "common/error.h"

/* From `waiting` on touched with the lock held only, but for `fd`, which the loop may poll: it is
 * constant until the loop itself closes it. */
struct lookups {
    unsigned threads_max;
    resolver_lookup_fn *lookup;
    void *lookup_arg;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct ag_link waiting, ended;
    size_t waiting_count;
    unsigned threads, idle;
    unsigned holders; /* the threads, and the loop until lookups_destroy() */
    bool is_closing;
    int fd;
};

struct lookup *lookup_new(const char *host, struct resolver_name *name)
{
    size_t size = strlen(host) + 1;
    struct lookup *self = calloc(1, sizeof *self + size);

    if (self == NULL)
        return NULL;
    ag_link_init(&self->link);
    self->name = name;
    memcpy(self->host, host, size);
    return self;
}

void lookup_destroy(struct lookup **self_p)
{
    if (*self_p == NULL)
        return;
    free((*self_p)->addresses);
    free(*self_p);
    *self_p = NULL;
}

static int with_getaddrinfo(void *arg, const char *host, union resolver_address *out, size_t *count)
{
    /* No AI_ADDRCONFIG: it hides ::1 from machines without another IPv6 address, and the order
     * has what cannot be reached last anyway (RFC 6724). */
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found;
    int code = getaddrinfo(host, NULL, &hints, &found);

    (void)arg;
    *count = 0;
    if (code != 0)
        return code;
    for (struct addrinfo *at = found; at != NULL && *count < RESOLVER_ADDRESSES_MAX;
         at = at->ai_next) {
        if (at->ai_family != AF_INET && at->ai_family != AF_INET6)
            continue;
        memset(&out[*count], 0, sizeof out[*count]);
        memcpy(&out[(*count)++], at->ai_addr, at->ai_addrlen);
    }
    freeaddrinfo(found);
    return *count > 0 ? 0 : EAI_NONAME;
}

/* On a thread, which owns the lookup. */
static void look_up(const lookups_t *self, struct lookup *lookup)
{
    union resolver_address found[RESOLVER_ADDRESSES_MAX];
    size_t count = 0;

    lookup->code = self->lookup(self->lookup_arg, lookup->host, found, &count);
    lookup->error = errno;
    if (lookup->code != 0)
        return;
    AG_ASSERT(count > 0 && count <= RESOLVER_ADDRESSES_MAX);
    lookup->addresses = malloc(count * sizeof *found);
    if (lookup->addresses == NULL) {
        lookup->code = EAI_MEMORY;
        return;
    }
    memcpy(lookup->addresses, found, count * sizeof *found);
    lookup->count = count;
}

static void ring(const lookups_t *self)
{
    uint64_t one = 1;
    ssize_t done;

    do /* the counter cannot overflow: it is read to zero long before */
        done = write(self->fd, &one, sizeof one);
    while (done < 0 && errno == EINTR);
}

/* With the lock held, which is gone afterwards, and so may be all else. */
static void leave(lookups_t *self)
{
    bool is_last = --self->holders == 0;

    pthread_mutex_unlock(&self->lock);
    if (!is_last)
        return;
    pthread_cond_destroy(&self->wake);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

static struct lookup *first_of(struct ag_link *queue)
{
    struct lookup *lookup = AG_OWNER(queue->next, struct lookup, link);

    if (ag_list_is_empty(queue))
        return NULL;
    ag_link_remove(&lookup->link);
    return lookup;
}

/* With the lock held: the next lookup, or NULL when the thread must end. */
static struct lookup *next_waiting(lookups_t *self)
{
    struct lookup *lookup;

    self->idle++;
    while (ag_list_is_empty(&self->waiting) && !self->is_closing)
        pthread_cond_wait(&self->wake, &self->lock);
    self->idle--;
    lookup = first_of(&self->waiting);
    if (lookup != NULL) {
        lookup->is_queued = false;
        self->waiting_count--;
    }
    return lookup;
}

static void *run(void *arg)
{
    lookups_t *self = arg;
    struct lookup *lookup;

    pthread_setname_np(pthread_self(), "argosy-resolver");
    pthread_mutex_lock(&self->lock);
    while ((lookup = next_waiting(self)) != NULL) {
        pthread_mutex_unlock(&self->lock);
        look_up(self, lookup);
        pthread_mutex_lock(&self->lock);
        if (self->is_closing) {
            lookup_destroy(&lookup);
            continue;
        }
        if (ag_list_is_empty(&self->ended)) /* else it has rung already */
            ring(self);
        ag_list_append(&self->ended, &lookup->link);
    }
    leave(self);
    return NULL;
}

/* Signals are for the loop's thread. Returns 0 or an errno. */
static int start_thread(lookups_t *self)
{
    pthread_t thread;
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&thread, NULL, run, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        pthread_detach(thread);
    return rc;
}

int lookups_new(lookups_t **out, const struct resolver_config *config, struct argosy_error *err)
{
    lookups_t *self = calloc(1, sizeof *self);
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    *out = NULL;
    if (self == NULL || fd < 0) {
        int rc = self == NULL
                     ? ag_fail(err, ARGOSY_ENOMEM, "no memory for a resolver")
                     : ag_fail(err, ARGOSY_EIO, "cannot make an event: %s", strerror(errno));

        if (fd >= 0)
            close(fd);
        free(self);
        return rc;
    }
    self->threads_max = config->threads;
    self->lookup = config->lookup != NULL ? config->lookup : with_getaddrinfo;
    self->lookup_arg = config->lookup_arg;
    self->fd = fd;
    self->holders = 1;
    ag_link_init(&self->waiting);
    ag_link_init(&self->ended);
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->wake, NULL);
    *out = self;
    return 0;
}

void lookups_destroy(lookups_t **self_p)
{
    lookups_t *self = *self_p;
    struct lookup *lookup;

    if (self == NULL)
        return;
    *self_p = NULL;
    pthread_mutex_lock(&self->lock);
    self->is_closing = true; /* from here on no thread rings */
    close(self->fd);
    while ((lookup = first_of(&self->waiting)) != NULL || (lookup = first_of(&self->ended)) != NULL)
        lookup_destroy(&lookup);
    pthread_cond_broadcast(&self->wake);
    leave(self);
}

/* A thread that was counted could not be started: take it from the count, and the lookup from the
 * queue if there is nobody who would get to it. */
static int on_no_thread(lookups_t *self, struct lookup *lookup)
{
    bool is_alone;

    pthread_mutex_lock(&self->lock);
    self->holders--;
    is_alone = --self->threads == 0;
    pthread_mutex_unlock(&self->lock);
    if (!is_alone)
        return 0; /* later than hoped for; the next one tries again to start a thread */
    lookups_take_back(self, lookup);
    return ARGOSY_ENOMEM;
}

int lookups_start(lookups_t *self, struct lookup *lookup)
{
    bool needs_thread;

    pthread_mutex_lock(&self->lock);
    ag_list_append(&self->waiting, &lookup->link);
    lookup->is_queued = true;
    needs_thread = ++self->waiting_count > self->idle && self->threads < self->threads_max;
    if (needs_thread) {
        self->threads++;
        self->holders++;
    }
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->lock);
    if (needs_thread && start_thread(self) != 0)
        return on_no_thread(self, lookup);
    return 0;
}

bool lookups_take_back(lookups_t *self, struct lookup *lookup)
{
    bool was_queued;

    pthread_mutex_lock(&self->lock);
    was_queued = lookup->is_queued;
    if (was_queued) {
        ag_link_remove(&lookup->link);
        lookup->is_queued = false;
        self->waiting_count--;
    }
    pthread_mutex_unlock(&self->lock);
    return was_queued;
}

int lookups_fd(const lookups_t *self)
{
    return self->fd;
}

void lookups_collect(lookups_t *self, struct ag_link *ended)
{
    uint64_t count;

    if (read(self->fd, &count, sizeof count) < 0) {
        /* Nothing rang; what has ended meanwhile is collected all the same. */
    }
    pthread_mutex_lock(&self->lock);
    while (!ag_list_is_empty(&self->ended))
        ag_list_append(ended, self->ended.next);
    pthread_mutex_unlock(&self->lock);
}
