#include "worker/analyze/folder_queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct folder_queue {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct folder_item items[FOLDER_QUEUE_MAX];
    size_t count;
    unsigned walking; /* threads that may still give */
    bool is_over;
};

folder_queue_t *folder_queue_new(void)
{
    folder_queue_t *self = calloc(1, sizeof *self);

    if (self == NULL)
        return NULL;
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->changed, NULL);
    self->walking = 1;
    return self;
}

void folder_queue_destroy(folder_queue_t **self_p)
{
    folder_queue_t *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->count; i++) {
        close(self->items[i].fd);
        free(self->items[i].path);
    }
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

void folder_queue_join(folder_queue_t *self)
{
    pthread_mutex_lock(&self->mutex);
    self->walking++;
    pthread_mutex_unlock(&self->mutex);
}

size_t folder_queue_give(folder_queue_t *self, const struct folder_item *item)
{
    char *path = strdup(item->path);
    size_t waiting = 0;

    if (path == NULL)
        return 0;
    pthread_mutex_lock(&self->mutex);
    if (self->count < FOLDER_QUEUE_MAX && !self->is_over) {
        self->items[self->count] = *item;
        self->items[self->count].path = path;
        waiting = ++self->count;
        pthread_cond_signal(&self->changed);
    }
    pthread_mutex_unlock(&self->mutex);
    if (waiting == 0)
        free(path);
    return waiting;
}

bool folder_queue_take(folder_queue_t *self, struct folder_item *item)
{
    bool has_one;

    pthread_mutex_lock(&self->mutex);
    self->walking--;
    while (self->count == 0 && self->walking > 0 && !self->is_over)
        pthread_cond_wait(&self->changed, &self->mutex);
    has_one = self->count > 0 && !self->is_over;
    if (has_one) {
        *item = self->items[--self->count];
        self->walking++;
    } else {
        self->is_over = true;
        pthread_cond_broadcast(&self->changed);
    }
    pthread_mutex_unlock(&self->mutex);
    return has_one;
}

void folder_queue_stop(folder_queue_t *self)
{
    pthread_mutex_lock(&self->mutex);
    self->is_over = true;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
}
