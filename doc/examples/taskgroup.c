/* taskgroup.c - asyncio.TaskGroup on a fleet: the first failure cancels the siblings, and the group
 * ends only when each of them is known to have stopped. A group within it is one of its members. */
#include "common.h"

int main(void)
{
    struct argosy_error err = {0};
    struct argosy_event event;
    argosy_client *client;
    argosy_batch *outer, *inner;

    check(argosy_client_new(&client, &(struct argosy_client_config){0}, &err), &err);
    check(argosy_batch_new(&outer, client,
                           &(struct argosy_group){.name = "outer", .policy = ARGOSY_TASKGROUP}, 0,
                           &err),
          &err);
    check(argosy_batch_new(&inner, client,
                           &(struct argosy_group){.name = "inner", .parent = outer}, 0, &err),
          &err);
    add_script(outer, "sleep 60", NULL, NULL); /* will be cancelled */
    add_script(inner, "true", NULL, NULL);
    add_script(inner, "echo broken >&2; exit 7", NULL, NULL); /* fails inner, and outer with it */
    argosy_batch_seal(inner);
    argosy_batch_seal(outer);
    do {
        check(argosy_client_next(client, -1, &event, &err), &err);
    } while (event.type != ARGOSY_BATCH_ENDED || event.batch != outer);
    printf("%llu failed, %llu cancelled\n", (unsigned long long)event.counts.failed,
           (unsigned long long)event.counts.cancelled);
    argosy_report_write_text(argosy_batch_report(outer), stdout);
    argosy_batch_destroy(&inner);
    argosy_batch_destroy(&outer);
    argosy_client_destroy(&client);
    return 0;
}
