/* The store that keeps nothing: a record is as durable as the process the moment it is taken. */
#include <stdlib.h>

#include "broker/store/store.h"
#include "common/list.h"

struct memory {
    struct store store;
    uint64_t appended, committed;
};

static struct memory *of(const struct store *store)
{
    return AG_OWNER(store, struct memory, store);
}

static int memory_load(struct store *self, store_take_fn *take, void *arg, struct argosy_error *err)
{
    (void)self;
    (void)take;
    (void)arg;
    (void)err;
    return 0;
}

static int memory_append(struct store *self, core_t *core, const struct effect *effect,
                         struct argosy_error *err)
{
    (void)core;
    (void)effect;
    (void)err;
    of(self)->appended++;
    return 0;
}

static int memory_commit(struct store *self, struct argosy_error *err)
{
    (void)err;
    of(self)->committed = of(self)->appended;
    return 0;
}

static uint64_t memory_committed(const struct store *self)
{
    return of(self)->committed;
}

static void memory_destroy(struct store **self_p)
{
    if (*self_p != NULL)
        free(of(*self_p));
    *self_p = NULL;
}

struct store *store_memory_new(uint64_t unix_ms)
{
    struct memory *memory = calloc(1, sizeof *memory);

    if (memory == NULL)
        return NULL;
    /* A clock that was set back could repeat an epoch, but a token holds a job's id as well, and
     * with this store no job outlives the process. */
    memory->store = (struct store){.name = "memory",
                                   .epoch = unix_ms,
                                   .fd = -1,
                                   .load = memory_load,
                                   .append = memory_append,
                                   .commit = memory_commit,
                                   .committed = memory_committed,
                                   .destroy = memory_destroy};
    return &memory->store;
}
