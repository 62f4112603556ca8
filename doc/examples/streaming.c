/* streaming.c - as_completed and an async generator on a fleet, in a poll loop of one's own: results
 * arrive as jobs end, what a job has written so far while it runs. */
#include <poll.h>

#include "common.h"

static bool is_over;

/* All that is there now; the descriptor is edge-triggered, so until nothing is left. */
static void take(argosy_client *client)
{
    struct argosy_error err = {0};
    struct argosy_event event;
    int rc;

    while ((rc = argosy_client_next(client, 0, &event, &err)) > 0) {
        if (event.type == ARGOSY_JOB_NEWS && event.sequence > 0)
            printf("job %u goes on\n", event.index);
        if (event.type == ARGOSY_JOB_ENDED)
            printf("job %u has ended\n", event.index);
        is_over = is_over || event.type == ARGOSY_BATCH_ENDED;
    }
    check(rc, &err);
}

int main(void)
{
    struct argosy_error err = {0};
    argosy_client *client;
    argosy_batch *batch;

    check(argosy_client_new(&client, &(struct argosy_client_config){0}, &err), &err);
    check(argosy_batch_new(&batch, client, &(struct argosy_group){.name = "streaming"},
                           ARGOSY_NEWS, &err),
          &err);
    add_script(batch, "echo begun; sleep 1; echo done", NULL, NULL);
    add_script(batch, "sleep 0.2", NULL, NULL);
    argosy_batch_seal(batch);
    for (take(client); !is_over; take(client)) {
        struct pollfd fd = {.fd = argosy_client_fd(client), .events = POLLIN};

        poll(&fd, 1, argosy_client_wait_ms(client)); /* beside other descriptors, in a real program */
    }
    argosy_batch_destroy(&batch);
    argosy_client_destroy(&client);
    return 0;
}
