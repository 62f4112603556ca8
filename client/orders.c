/* Orders that need ids of their own: schedules, and another try of a job. */
#include <msgpack/pack.h>
#include <string.h>

#include "client/client.h"
#include "common/error.h"

static void put_text(msgpack_packer *p, const char *text)
{
    msgpack_pack_str_with_body(p, text, strlen(text));
}

static void put_pair(msgpack_packer *p, const char *key, const char *value)
{
    put_text(p, key);
    put_text(p, value != NULL ? value : "");
}

static void put_number(msgpack_packer *p, const char *key, uint64_t value)
{
    put_text(p, key);
    msgpack_pack_uint64(p, value);
}

static void put_job(msgpack_packer *p, const struct proto_submit_job *spec)
{
    struct ag_buffer job = ag_buffer_empty(AG_MESSAGE_BYTES_MAX);

    ag_proto_encode_job(&job, spec);
    put_text(p, "job");
    msgpack_pack_bin(p, job.size);
    if (job.size > 0)
        msgpack_pack_bin_body(p, job.data, job.size);
    if (job.failed)
        ((struct ag_buffer *)p->data)->failed = true;
    ag_buffer_free(&job);
}

static int send_order(argosy_client *self, const char *verb, struct ag_buffer *arguments,
                      uint64_t *request, struct argosy_error *err)
{
    int rc = arguments->failed
                 ? ag_fail(err, ARGOSY_ENOMEM, "no memory for an order")
                 : argosy_control(self, verb, arguments->data, arguments->size, request, err);

    ag_buffer_free(arguments);
    return rc;
}

int argosy_schedule_add(argosy_client *self, const struct argosy_schedule *schedule,
                        char id[ARGOSY_ID_SIZE], uint64_t *request, struct argosy_error *err)
{
    static const char *const catch_ups[] = {"skip", "once", "all"};
    struct ag_buffer arguments = ag_buffer_empty(2 * AG_PAYLOAD_BYTES_MAX);
    const struct ag_id none = {{0}};
    struct pending *pending;
    struct ag_id made;
    char text[ARGOSY_ID_SIZE];
    msgpack_packer packer;
    int rc = pending_check(&schedule->job, err);

    if (rc == 0)
        rc = client_make_id(self, &made, err);
    if (rc < 0)
        return rc;
    pending = pending_new(self, &none, 0, &schedule->job);
    if (pending == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a job");
    ag_id_print(&made, text);
    msgpack_packer_init(&packer, &arguments, ag_buffer_write);
    msgpack_pack_map(&packer, 9);
    put_pair(&packer, "id", text);
    put_pair(&packer, "name", schedule->name);
    put_number(&packer, "at_ms", schedule->at_unix_ms > 0 ? (uint64_t)schedule->at_unix_ms : 0);
    put_number(&packer, "every_ms", schedule->every_ms);
    put_pair(&packer, "cron", schedule->cron);
    put_pair(&packer, "tz", schedule->zone);
    put_number(&packer, "times", schedule->times);
    put_pair(&packer, "catch_up", catch_ups[schedule->catch_up]);
    put_job(&packer, &pending->spec);
    pending_free(pending);
    if (id != NULL)
        strcpy(id, text);
    return send_order(self, "schedule.add", &arguments, request, err);
}

int argosy_retry(argosy_client *self, const char *id, char as[ARGOSY_ID_SIZE], uint64_t *request,
                 struct argosy_error *err)
{
    struct ag_buffer arguments = ag_buffer_empty(4096);
    struct ag_id old, made;
    msgpack_packer packer;
    int rc = ag_id_parse(id, &old, err);

    if (rc == 0)
        rc = client_make_id(self, &made, err);
    if (rc < 0)
        return rc;
    msgpack_packer_init(&packer, &arguments, ag_buffer_write);
    msgpack_pack_map(&packer, 2);
    put_pair(&packer, "id", id);
    put_pair(&packer, "as", ag_id_print(&made, as));
    return send_order(self, "retry", &arguments, request, err);
}
