/* race.c - asyncio.wait(FIRST_COMPLETED) on a fleet: the first success cancels the rest. */
#include "common.h"

int main(void)
{
    struct argosy_error err = {0};
    struct argosy_event event;
    argosy_client *client;
    argosy_batch *batch;

    check(argosy_client_new(&client, &(struct argosy_client_config){0}, &err), &err);
    check(argosy_batch_new(&batch, client,
                           &(struct argosy_group){.name = "race", .policy = ARGOSY_RACE}, 0, &err),
          &err);
    add_script(batch, "sleep 60", NULL, NULL);
    add_script(batch, "sleep 0.1", NULL, NULL);
    add_script(batch, "exit 1", NULL, NULL); /* a failure does not win */
    argosy_batch_seal(batch);
    do {
        check(argosy_client_next(client, -1, &event, &err), &err);
        if (event.type == ARGOSY_JOB_ENDED && event.state == ARGOSY_SUCCEEDED)
            printf("job %u is first\n", event.index);
    } while (event.type != ARGOSY_BATCH_ENDED);
    printf("%llu cancelled\n", (unsigned long long)event.counts.cancelled);
    argosy_batch_destroy(&batch);
    argosy_client_destroy(&client);
    return 0;
}
