/* How an attempt went, as handlers write it down. */
#include <msgpack/pack.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/limits.h"
#include "worker/handler.h"

static void put(msgpack_packer *p, const char *key, const char *value)
{
    msgpack_pack_str_with_body(p, key, strlen(key));
    msgpack_pack_str_with_body(p, value, strlen(value));
}

void outcome_fail(struct outcome *outcome, const char *type, bool retryable, const char *subject,
                  const char *message, ...)
{
    char text[AG_TEXT_BYTES_MAX];
    msgpack_packer packer;
    va_list args;

    va_start(args, message);
    vsnprintf(text, sizeof text, message, args);
    va_end(args);
    outcome_fini(outcome);
    snprintf(outcome->type, sizeof outcome->type, "%s", type);
    outcome->retryable = retryable;
    outcome->error = ag_buffer_empty(AG_RESULT_BYTES_MAX);
    msgpack_packer_init(&packer, &outcome->error, ag_buffer_write);
    msgpack_pack_map(&packer, subject != NULL ? 4 : 3);
    put(&packer, "type", type);
    put(&packer, "message", text);
    if (subject != NULL)
        put(&packer, "subject", subject);
    msgpack_pack_str_with_body(&packer, "retryable", 9);
    if (retryable)
        msgpack_pack_true(&packer);
    else
        msgpack_pack_false(&packer);
    if (outcome->error.failed)
        ag_buffer_free(&outcome->error);
}

void outcome_fini(struct outcome *outcome)
{
    ag_buffer_free(&outcome->result);
    ag_buffer_free(&outcome->error);
    *outcome = (struct outcome){0};
}
