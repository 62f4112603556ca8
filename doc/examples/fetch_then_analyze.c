/* fetch_then_analyze.c - a job that comes after another gets what that made: fetch a file to a
 * directory that the workers share, then count its lines.
 *
 *     ./fetch_then_analyze URL FILE
 */
#include "common.h"

static void add_fetch(argosy_batch *batch, const char *url, const char *file,
                      char id[ARGOSY_ID_SIZE])
{
    struct argosy_error err = {0};
    msgpack_sbuffer payload;
    msgpack_packer packer;

    msgpack_sbuffer_init(&payload);
    msgpack_packer_init(&packer, &payload, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 3);
    pack_text(&packer, "url"), pack_text(&packer, url);
    pack_text(&packer, "body"), pack_text(&packer, "file");
    pack_text(&packer, "file"), pack_text(&packer, file);
    check(argosy_batch_add(batch,
                           &(struct argosy_job){.kind = "fetch",
                                                .payload = payload.data,
                                                .payload_size = payload.size},
                           id, &err),
          &err);
    msgpack_sbuffer_destroy(&payload);
}

int main(int argc, char **argv)
{
    struct argosy_error err = {0};
    struct argosy_event event;
    argosy_client *client;
    argosy_batch *batch;
    char id[ARGOSY_ID_SIZE];
    const char *after[] = {id};

    if (argc != 3) {
        fprintf(stderr, "usage: fetch_then_analyze URL FILE\n");
        return 2;
    }
    check(argosy_client_new(&client, &(struct argosy_client_config){0}, &err), &err);
    check(argosy_batch_new(&batch, client, &(struct argosy_group){.name = "pipeline"}, 0, &err),
          &err);
    add_fetch(batch, argv[1], argv[2], id);
    /* An analysis without a path takes the file that the fetch before it has written. */
    check(argosy_batch_add(batch,
                           &(struct argosy_job){.kind = "analyze",
                                                .payload = "\x80",
                                                .payload_size = 1,
                                                .after = after,
                                                .after_count = 1},
                           NULL, &err),
          &err);
    argosy_batch_seal(batch);
    do {
        check(argosy_client_next(client, -1, &event, &err), &err);
        if (event.type == ARGOSY_JOB_ENDED)
            printf("%s %s\n", event.kind, event.state == ARGOSY_SUCCEEDED ? "succeeded" : "failed");
    } while (event.type != ARGOSY_BATCH_ENDED);
    argosy_report_write_text(argosy_batch_report(batch), stderr);
    argosy_batch_destroy(&batch);
    argosy_client_destroy(&client);
    return event.counts.failed > 0;
}
