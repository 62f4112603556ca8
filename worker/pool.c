#include "worker/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/error.h"

struct entry {
    struct entry *next;
    struct pool_item item;
};

struct queue {
    struct entry *first, **end;
};

/* Everything between `lock` and `threads` is shared and only touched with the lock held. */
struct pool {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct queue waiting, finished;
    bool is_closing;
    int fd;
    unsigned threads_count;
    pthread_t threads[];
};

static void push(struct queue *queue, struct entry *entry)
{
    entry->next = NULL;
    *queue->end = entry;
    queue->end = &entry->next;
}

static struct entry *pop(struct queue *queue)
{
    struct entry *entry = queue->first;

    if (entry == NULL)
        return NULL;
    queue->first = entry->next;
    if (queue->first == NULL)
        queue->end = &queue->first;
    return entry;
}

static void ring(const pool_t *self)
{
    uint64_t one = 1;
    ssize_t done;

    do /* the counter cannot overflow: it is read to zero long before */
        done = write(self->fd, &one, sizeof one);
    while (done < 0 && errno == EINTR);
}

static void *run(void *arg)
{
    pool_t *self = arg;
    struct entry *entry;

    pthread_mutex_lock(&self->lock);
    for (;;) {
        while ((entry = pop(&self->waiting)) == NULL && !self->is_closing)
            pthread_cond_wait(&self->wake, &self->lock);
        if (entry == NULL)
            break;
        if (!self->is_closing) {
            pthread_mutex_unlock(&self->lock);
            entry->item.work(entry->item.arg);
            pthread_mutex_lock(&self->lock);
        }
        push(&self->finished, entry);
        ring(self);
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

pool_t *pool_new(unsigned threads, struct argosy_error *err)
{
    pool_t *self = calloc(1, sizeof *self + threads * sizeof(pthread_t));

    if (self == NULL) {
        ag_fail(err, ARGOSY_ENOMEM, "no memory for %u threads", threads);
        return NULL;
    }
    self->waiting.end = &self->waiting.first;
    self->finished.end = &self->finished.first;
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->wake, NULL);
    self->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (self->fd < 0) {
        ag_fail(err, ARGOSY_EIO, "cannot make an event: %s", strerror(errno));
        pool_destroy(&self);
        return NULL;
    }
    for (; self->threads_count < threads; self->threads_count++) {
        int rc = pthread_create(&self->threads[self->threads_count], NULL, run, self);

        if (rc != 0) {
            ag_fail(err, ARGOSY_EIO, "cannot start thread %u of %u: %s", self->threads_count + 1,
                    threads, strerror(rc));
            pool_destroy(&self);
            return NULL;
        }
    }
    return self;
}

void pool_destroy(pool_t **self_p)
{
    pool_t *self = *self_p;
    struct entry *entry;

    if (self == NULL)
        return;
    pthread_mutex_lock(&self->lock);
    self->is_closing = true;
    pthread_cond_broadcast(&self->wake);
    pthread_mutex_unlock(&self->lock);
    for (unsigned i = 0; i < self->threads_count; i++)
        pthread_join(self->threads[i], NULL);
    while ((entry = pop(&self->waiting)) != NULL) /* a pool without threads */
        push(&self->finished, entry);
    pool_collect(self);
    pthread_cond_destroy(&self->wake);
    pthread_mutex_destroy(&self->lock);
    if (self->fd >= 0)
        close(self->fd);
    free(self);
    *self_p = NULL;
}

int pool_submit(pool_t *self, const struct pool_item *item)
{
    struct entry *entry;

    if (self->is_closing) /* set by this very thread */
        return ARGOSY_ESTATE;
    entry = malloc(sizeof *entry);
    if (entry == NULL)
        return ARGOSY_ENOMEM;
    entry->item = *item;
    pthread_mutex_lock(&self->lock);
    push(&self->waiting, entry);
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->lock);
    return 0;
}

int pool_fd(const pool_t *self)
{
    return self->fd;
}

void pool_collect(pool_t *self)
{
    struct entry *entry;
    uint64_t count;

    if (self->fd >= 0 && read(self->fd, &count, sizeof count) < 0) {
        /* Nothing rang; what has finished meanwhile is collected all the same. */
    }
    for (;;) {
        pthread_mutex_lock(&self->lock);
        entry = pop(&self->finished);
        pthread_mutex_unlock(&self->lock);
        if (entry == NULL)
            return;
        entry->item.done(entry->item.arg);
        free(entry);
    }
}
