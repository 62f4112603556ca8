/* cancel.c - cancelling is a request that is confirmed: the batch ends when every job is known to
 * have stopped, after its clean-up. */
#include "common.h"

int main(void)
{
    struct argosy_error err = {0};
    struct argosy_event event;
    argosy_client *client;
    argosy_batch *batch;
    bool is_cancelled = false;

    check(argosy_client_new(&client, &(struct argosy_client_config){0}, &err), &err);
    check(argosy_batch_new(&batch, client, &(struct argosy_group){.name = "cancel"}, ARGOSY_NEWS,
                           &err),
          &err);
    add_script(batch, "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done",
               &(struct argosy_job){.grace_ms = 5000}, NULL);
    add_script(batch, "sleep 60", &(struct argosy_job){.delay_ms = 60000}, NULL);
    argosy_batch_seal(batch);
    do {
        check(argosy_client_next(client, -1, &event, &err), &err);
        if (event.type == ARGOSY_JOB_NEWS && !is_cancelled) { /* it runs: enough of it */
            check(argosy_batch_cancel(batch, &err), &err);
            is_cancelled = true;
        }
    } while (event.type != ARGOSY_BATCH_ENDED);
    printf("%llu cancelled, %llu not confirmed\n", (unsigned long long)event.counts.cancelled,
           (unsigned long long)event.counts.unconfirmed);
    argosy_batch_destroy(&batch);
    argosy_client_destroy(&client);
    return 0;
}
