/* gather.c - fetch some URLs on the fleet and print what failed. Build and run:
 *
 *     cc gather.c $(pkg-config --cflags --libs argosy) -lmsgpackc -o gather
 *     ./gather http://example.org/ http://nowhere.invalid/
 */
#include <argosy/argosy.h>
#include <msgpack.h>
#include <stdio.h>
#include <string.h>

/* {"url": URL} */
static void pack_url(msgpack_sbuffer *out, const char *url)
{
    msgpack_packer packer;

    msgpack_sbuffer_clear(out);
    msgpack_packer_init(&packer, out, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 1);
    msgpack_pack_str_with_body(&packer, "url", 3);
    msgpack_pack_str_with_body(&packer, url, strlen(url));
}

static int submit(argosy_batch *batch, char **urls, struct argosy_error *err)
{
    msgpack_sbuffer payload;
    int rc = 0;

    msgpack_sbuffer_init(&payload);
    for (; *urls != NULL && rc == 0; urls++) {
        pack_url(&payload, *urls);
        rc = argosy_batch_add(batch,
                              &(struct argosy_job){.kind = "fetch",
                                                   .payload = payload.data,
                                                   .payload_size = payload.size,
                                                   .retry = {.attempts = 3,
                                                             .base_ms = 200,
                                                             .factor_percent = 200,
                                                             .cap_ms = 5000}},
                              NULL, err);
    }
    msgpack_sbuffer_destroy(&payload);
    argosy_batch_seal(batch);
    return rc; /* ARGOSY_EAGAIN after some thousand: then take events before adding more */
}

static int follow(argosy_client *client, argosy_batch *batch, struct argosy_error *err)
{
    struct argosy_event event;
    int rc;

    while ((rc = argosy_client_next(client, -1, &event, err)) >= 0) {
        if (rc > 0 && event.type == ARGOSY_JOB_ENDED)
            printf("job %u: %s after %u ms on %s\n", event.index,
                   event.state == ARGOSY_SUCCEEDED ? "done" : "failed", event.run_ms,
                   event.worker);
        if (rc > 0 && event.type == ARGOSY_BATCH_ENDED) {
            if (!argosy_report_is_empty(argosy_batch_report(batch)))
                argosy_report_write_text(argosy_batch_report(batch), stderr);
            return event.counts.failed > 0;
        }
    }
    return rc;
}

int main(int argc, char **argv)
{
    struct argosy_error err = {0};
    argosy_client *client = NULL;
    argosy_batch *batch = NULL;
    int rc;

    (void)argc;
    rc = argosy_client_new(&client, &(struct argosy_client_config){.broker_timeout_ms = 5000},
                           &err);
    if (rc == 0)
        rc = argosy_batch_new(&batch, client, &(struct argosy_group){.name = "gather"}, 0, &err);
    if (rc == 0)
        rc = submit(batch, argv + 1, &err);
    if (rc == 0)
        rc = follow(client, batch, &err);
    if (rc < 0)
        fprintf(stderr, "gather: %s\n", err.message);
    argosy_batch_destroy(&batch);
    argosy_client_destroy(&client);
    return rc < 0 ? 3 : rc;
}
