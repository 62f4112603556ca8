/* common.h - what the examples share: a payload for `exec`, and a way to give up.
 *
 * An exec job runs a program on a worker that allows it (argosy worker --allow-exec).
 */
#ifndef EXAMPLES_COMMON_H
#define EXAMPLES_COMMON_H

#include <argosy/argosy.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void check(int rc, const struct argosy_error *err)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "%s\n", err->message);
    exit(3);
}

static inline void pack_text(msgpack_packer *packer, const char *text)
{
    msgpack_pack_str_with_body(packer, text, strlen(text));
}

/* Add a job that runs `sh -c script`; `job` brings everything else and may be NULL. */
static inline void add_script(argosy_batch *batch, const char *script,
                              const struct argosy_job *job, char id[ARGOSY_ID_SIZE])
{
    struct argosy_job all = job != NULL ? *job : (struct argosy_job){0};
    struct argosy_error err = {0};
    msgpack_sbuffer payload;
    msgpack_packer packer;

    msgpack_sbuffer_init(&payload);
    msgpack_packer_init(&packer, &payload, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 1);
    pack_text(&packer, "argv");
    msgpack_pack_array(&packer, 3);
    pack_text(&packer, "sh");
    pack_text(&packer, "-c");
    pack_text(&packer, script);
    all.kind = "exec";
    all.payload = payload.data;
    all.payload_size = payload.size;
    check(argosy_batch_add(batch, &all, id, &err), &err);
    msgpack_sbuffer_destroy(&payload);
}

#endif
