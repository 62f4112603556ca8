/* folder_queue.h - directories that wait to be walked, shared by the threads that walk one source.
 *
 * Start here: each thread takes one, walks it and gives on what it finds in it, until
 * folder_queue_take() says that all is done: nothing waits, and nobody walks who could give more.
 *
 * Bound: FOLDER_QUEUE_MAX directories, each with an open descriptor; who finds it full walks the
 * directory itself.
 *
 * Threads: any.
 */
#ifndef ANALYZE_FOLDER_QUEUE_H
#define ANALYZE_FOLDER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

enum { FOLDER_QUEUE_MAX = 32 };

/* A directory that is open. */
struct folder_item {
    int fd;
    char *path; /* in the source, with a slash at its end; "" is the source itself */
    unsigned depth;
    bool is_vendored;
};

typedef struct folder_queue folder_queue_t;

/* NULL when memory is short. Whoever makes it is the first of its threads. */
folder_queue_t *folder_queue_new(void);

/* What still waits is closed. */
void folder_queue_destroy(folder_queue_t **self_p);

/* One thread more will take from it. */
void folder_queue_join(folder_queue_t *self);

/* Takes over `item` unless it is full; `path` is copied. How many wait now, 0 when it is full. */
size_t folder_queue_give(folder_queue_t *self, const struct folder_item *item);

/* The one that was given last, which is the caller's then; waits for it. False: all is done, and
 * the caller takes no more. */
bool folder_queue_take(folder_queue_t *self, struct folder_item *item);

/* Nobody gets anything any more. */
void folder_queue_stop(folder_queue_t *self);

#endif
