/* argosy export: a store as lines of JSON. */
#include <msgpack/pack.h>
#include <string.h>

#include "client/cli/answers.h"
#include "client/cli/stores.h"
#include "common/json.h"

struct export
{
    struct cli *cli;
    unsigned long long unreadable; /* values */
};

/* ---- members of an object, left out when there is nothing to say
 * ---------------------------------
 */

static void set_number(json_t *json, const char *key, uint64_t value)
{
    json_object_set_new(json, key, json_integer((json_int_t)value));
}

static void set_some(json_t *json, const char *key, uint64_t value)
{
    if (value > 0)
        set_number(json, key, value);
}

static void set_text(json_t *json, const char *key, struct ag_bytes text)
{
    if (text.size > 0)
        json_object_set_new(json, key, json_stringn((const char *)text.data, text.size));
}

static json_t *json_of_id(const struct ag_id *id)
{
    char text[AG_ID_TEXT_SIZE];

    return json_string(ag_id_print(id, text));
}

static void set_id(json_t *json, const char *key, const struct ag_id *id)
{
    if (!ag_id_is_zero(id))
        json_object_set_new(json, key, json_of_id(id));
}

/* Nobody has looked at what clients and workers send: bytes that are no msgpack stand for
 * themselves, as JSON has bytes (json.h). */
static json_t *json_of_bytes(struct ag_bytes bytes)
{
    struct ag_buffer bin = ag_buffer_empty(SIZE_MAX / 2);
    msgpack_packer packer;
    json_t *json = NULL;

    msgpack_packer_init(&packer, &bin, ag_buffer_write);
    msgpack_pack_bin_with_body(&packer, bytes.data, bytes.size);
    if (!bin.failed)
        ag_json_from_msgpack(ag_buffer_bytes(&bin), &json, NULL);
    ag_buffer_free(&bin);
    return json;
}

static void set_msgpack(json_t *json, const char *key, struct ag_bytes msgpack)
{
    json_t *value = NULL;

    if (msgpack.size == 0)
        return;
    if (ag_json_from_msgpack(msgpack, &value, NULL) < 0)
        value = json_of_bytes(msgpack);
    json_object_set_new(json, key, value);
}

/* Takes the object. Not 0: nobody reads any more. */
static int print(const struct cli *cli, json_t *json)
{
    answers_print(cli, json);
    json_decref(json);
    return ferror(cli->out) ? ARGOSY_EIO : 0;
}

/* ---- jobs ---------------------------------------------------------------------------------------
 */

/* What runs, and what waits for what, only the broker knows. */
static const char *state_of(const struct look_job *job)
{
    if (job->has_ended && job->news.end.state > JOB_CANCELLED)
        return "unknown"; /* damage */
    if (job->has_ended)
        return job_state_name(job->news.end.state);
    return job->is_cancelled ? "cancelling" : "open";
}

static void set_after(json_t *json, struct ag_bytes ids)
{
    json_t *list;
    struct ag_id id;

    if (ids.size < sizeof id)
        return;
    list = json_array();
    for (size_t at = 0; at + sizeof id <= ids.size; at += sizeof id) {
        memcpy(&id, ids.data + at, sizeof id);
        json_array_append_new(list, json_of_id(&id));
    }
    json_object_set_new(json, "after", list);
}

static void set_attempts(json_t *json, struct ag_bytes attempts)
{
    struct proto_attempt attempt;
    json_t *list;

    if (attempts.size == 0)
        return;
    list = json_array();
    while (ag_proto_next_attempt(&attempts, &attempt)) {
        json_t *one = json_object();

        set_number(one, "attempt", attempt.attempt);
        set_text(one, "worker", attempt.worker);
        set_number(one, "started_unix_ms", attempt.started_unix_ms);
        set_number(one, "run_ms", attempt.run_ms);
        set_text(one, "type", attempt.type);
        set_text(one, "message", attempt.message);
        json_array_append_new(list, one);
    }
    json_object_set_new(json, "attempts", list);
}

static void set_end(json_t *json, const struct record *end)
{
    set_number(json, "attempt", end->end.attempt);
    set_some(json, "losses", end->end.losses);
    set_text(json, "worker", end->end.worker);
    set_number(json, "ended_unix_ms", end->end.since_unix_ms);
    set_number(json, "queued_ms", end->end.queued_ms);
    set_number(json, "run_ms", end->end.run_ms);
    set_msgpack(json, "result", end->end.result);
    set_msgpack(json, "error", end->end.error);
    set_attempts(json, end->end.attempts);
}

static void set_attempt(json_t *json, const struct record *last)
{
    set_number(json, "attempt", last->attempt.attempt);
    set_some(json, "losses", last->attempt.losses);
    set_some(json, "next_attempt_unix_ms", last->attempt.due_unix_ms);
    set_attempts(json, last->attempt.attempts);
}

static int export_job(void *arg, const struct look_job *job)
{
    json_t *json = json_pack("{s:s, s:o}", "record", "job", "job", json_of_id(&job->id));

    set_id(json, "group", &job->group);
    set_text(json, "group_name", job->group_name);
    set_number(json, "index", job->index);
    set_text(json, "kind", job->kind);
    set_text(json, "queue", job->queue);
    set_number(json, "priority", job->priority);
    json_object_set_new(json, "state", json_string(state_of(job)));
    set_number(json, "accepted_unix_ms", job->accepted_unix_ms);
    set_some(json, "due_unix_ms", job->due_unix_ms);
    set_text(json, "key", job->key);
    set_text(json, "unique", job->unique);
    set_after(json, job->after);
    if (job->has_ended)
        set_end(json, &job->news);
    else
        set_attempt(json, &job->news);
    set_msgpack(json, "payload", job->payload);
    return print(arg, json);
}

/* ---- groups, queues, schedules ------------------------------------------------------------------
 */

static const char *policy_name(enum proto_policy policy)
{
    switch (policy) {
    case PROTO_GATHER:
        return "gather";
    case PROTO_TASKGROUP:
        return "taskgroup";
    case PROTO_RACE:
        return "race";
    }
    return "?";
}

static json_t *json_of_gone(const struct core_gone *gone)
{
    return json_pack("{s:I, s:I, s:I}", "succeeded", (json_int_t)gone->succeeded, "failed",
                     (json_int_t)gone->failed, "cancelled", (json_int_t)gone->cancelled);
}

static int export_group(void *arg, const struct look_group *group)
{
    const struct proto_group *spec = &group->made.group.spec;
    const struct core_gone *gone = &group->gone;
    json_t *json = json_pack("{s:s, s:o}", "record", "group", "group", json_of_id(&spec->id));

    set_text(json, "group_name", spec->name);
    set_id(json, "parent", &spec->parent);
    json_object_set_new(json, "policy", json_string(policy_name(spec->policy)));
    json_object_set_new(json, "sealed", json_boolean(group->is_sealed));
    json_object_set_new(json, "cancelled", json_boolean(group->is_cancelled));
    set_text(json, "failure", group->failure);
    set_number(json, "accepted_unix_ms", group->made.group.accepted_unix_ms);
    set_some(json, "ended_unix_ms", group->ended_unix_ms);
    set_some(json, "deadline_ms", spec->deadline_ms);
    set_some(json, "concurrency", spec->concurrency);
    if (gone->succeeded + gone->failed + gone->cancelled > 0)
        json_object_set_new(json, "forgotten", json_of_gone(gone));
    return print(arg, json);
}

static int export_queue(void *arg, const struct record *queue)
{
    json_t *json = json_pack("{s:s}", "record", "queue");

    set_text(json, "queue", queue->queue.name);
    json_object_set_new(json, "paused", json_boolean(queue->queue.paused));
    set_some(json, "limit", queue->queue.limit);
    return print(arg, json);
}

static int export_schedule(void *arg, const struct record *record)
{
    static const char *const catch_up[] = {"skip", "once", "all"};
    const struct core_rule *rule = &record->schedule.rule;
    struct proto_submit_job job = {0};
    json_t *json =
        json_pack("{s:s, s:o}", "record", "schedule", "schedule", json_of_id(&record->id));

    set_text(json, "name", record->schedule.name);
    set_some(json, "at_unix_ms", (uint64_t)rule->at_unix_ms);
    set_some(json, "every_ms", rule->every_ms);
    set_text(json, "cron", rule->cron);
    set_text(json, "tz", rule->zone);
    set_some(json, "times", rule->times);
    json_object_set_new(json, "catch_up", json_string(catch_up[record->schedule.catch_up]));
    if (record->schedule.next_unix_ms <= INT64_MAX - 1)
        set_number(json, "next_unix_ms", record->schedule.next_unix_ms);
    set_number(json, "fired", record->schedule.fired);
    if (ag_proto_decode_job(record->schedule.job, &job, NULL) < 0)
        job = (struct proto_submit_job){0};
    set_text(json, "kind", job.kind);
    set_text(json, "queue", job.queue);
    set_msgpack(json, "payload", job.payload);
    return print(arg, json);
}

static int export_all(struct cli *cli, look_t *store, struct argosy_error *err)
{
    int rc = look_each_job(store, export_job, cli, err);

    if (rc == 0)
        rc = look_each_group(store, export_group, cli, err);
    if (rc == 0)
        rc = look_each_queue(store, export_queue, cli, err);
    if (rc == 0)
        rc = look_each_schedule(store, export_schedule, cli, err);
    return rc;
}

int cli_export(struct cli *cli)
{
    struct argosy_error err = {0};
    char path[PATH_MAX];
    look_t *store;
    int code = stores_open(cli, ag_options_operands(cli->options)[0], &store, path, &err), rc;

    if (code != 0)
        return code;
    rc = export_all(cli, store, &err);
    look_close(&store);
    if (ferror(cli->out))
        return EXIT_ALL_WELL; /* main.c tells it, and that it is not */
    if (rc < 0)
        return cli_fail(cli, EXIT_CANNOT, "not all could be read: %s", err.message);
    return 0;
}
