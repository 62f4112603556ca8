#include "worker/noop.h"

#include <stdlib.h>

#include "common/error.h"

static void start(struct handler *self, struct task *task)
{
    (void)self;
    task->outcome.succeeded = true;
    task_finish(task);
}

/* None runs when somebody could ask. */
static void stop(struct handler *self, struct task *task)
{
    (void)self;
    (void)task;
}

static void destroy(struct handler **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

int noop_handler_new(struct handler **out, unsigned slots, struct argosy_error *err)
{
    struct handler *self = malloc(sizeof *self);

    *out = self;
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for the kind noop");
    *self = (struct handler){
        .kind = "noop", .slots = slots, .start = start, .stop = stop, .destroy = destroy};
    return 0;
}
