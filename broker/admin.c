#include "broker/admin.h"

#include <argosy/version.h>
#include <msgpack/pack.h>

#include "common/wire.h"

/* ---- small things ------------------------------------------------------------------------------
 */

static void put_text(msgpack_packer *p, const char *text)
{
    msgpack_pack_str_with_body(p, text, strlen(text));
}

static void put_pair(msgpack_packer *p, const char *key, const char *value)
{
    put_text(p, key);
    put_text(p, value);
}

static void put_count(msgpack_packer *p, const char *key, uint64_t value)
{
    put_text(p, key);
    msgpack_pack_uint64(p, value);
}

static void put_id(msgpack_packer *p, const char *key, const struct ag_id *id)
{
    char text[AG_ID_TEXT_SIZE];

    put_pair(p, key, ag_id_is_zero(id) ? "" : ag_id_print(id, text));
}

static void put_truth(msgpack_packer *p, const char *key, bool value)
{
    put_text(p, key);
    if (value)
        msgpack_pack_true(p);
    else
        msgpack_pack_false(p);
}

/* ---- status ------------------------------------------------------------------------------------
 */

static void put_counters(msgpack_packer *p, const struct core_counters *counters)
{
    const struct {
        const char *name;
        uint64_t value;
    } all[] = {
#define X(name, help) {#name, counters->name},
        CORE_COUNTERS(X)
#undef X
    };

    put_text(p, "counters");
    msgpack_pack_map(p, sizeof all / sizeof *all);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        put_count(p, all[i].name, all[i].value);
}

static void put_status(msgpack_packer *p, const core_t *core, const struct admin_facts *facts)
{
    struct core_status status;

    core_status(core, &status);
    status.counters.rejected += facts->rejected;
    msgpack_pack_map(p, 13);
    put_pair(p, "name", facts->name);
    put_pair(p, "version", ARGOSY_VERSION);
    put_count(p, "epoch", facts->epoch);
    put_count(p, "uptime_ms", (uint64_t)facts->uptime_ms);
    put_count(p, "workers", status.workers);
    put_count(p, "clients", status.clients);
    put_text(p, "jobs");
    msgpack_pack_map(p, JOB_STATES_COUNT);
    for (int state = 0; state < JOB_STATES_COUNT; state++)
        put_count(p, job_state_name((enum job_state)state), status.jobs[state]);
    put_count(p, "groups", status.groups);
    put_count(p, "bytes", status.bytes);
    put_count(p, "bytes_max", facts->bytes_max);
    put_count(p, "jobs_max", facts->jobs_max);
    put_text(p, "unaccounted_jobs");
    msgpack_pack_int64(p, status.unaccounted);
    put_counters(p, &status.counters);
}

/* ---- workers -----------------------------------------------------------------------------------
 */

/* Workers that one answer lists; the protocol bounds a message. */
enum { WORKERS_LISTED_MAX = 4096 };

struct listing {
    msgpack_packer *packer;
    uint32_t count; /* so far */
};

static void count_worker(void *arg, const struct core_worker_view *view)
{
    struct listing *listing = arg;

    (void)view;
    listing->count++;
}

static void put_worker(void *arg, const struct core_worker_view *view)
{
    struct listing *listing = arg;
    msgpack_packer *p = listing->packer;

    if (listing->count++ >= WORKERS_LISTED_MAX)
        return;
    msgpack_pack_map(p, 9);
    put_pair(p, "name", view->name);
    put_pair(p, "host", view->host);
    put_pair(p, "software", view->software);
    put_pair(p, "tags", view->tags);
    put_count(p, "silent_ms", (uint64_t)view->silent_ms);
    put_text(p, "kinds");
    msgpack_pack_array(p, view->kinds_count);
    for (uint32_t i = 0; i < view->kinds_count; i++) {
        msgpack_pack_map(p, 4);
        put_pair(p, "kind", view->kinds[i].kind);
        put_count(p, "slots", view->kinds[i].slots);
        put_count(p, "credit", view->kinds[i].credit);
        put_count(p, "held", view->kinds[i].held);
    }
    put_count(p, "succeeded", view->succeeded);
    put_count(p, "failed", view->failed);
    put_count(p, "released", view->released);
}

static void put_workers(msgpack_packer *p, const core_t *core)
{
    struct listing listing = {.packer = p};

    core_each_worker(core, count_worker, &listing);
    msgpack_pack_map(p, 2);
    put_count(p, "total", listing.count);
    put_text(p, "workers");
    msgpack_pack_array(p, listing.count < WORKERS_LISTED_MAX ? listing.count : WORKERS_LISTED_MAX);
    listing.count = 0;
    core_each_worker(core, put_worker, &listing);
}

/* ---- show --------------------------------------------------------------------------------------
 */

static bool read_id(const struct proto_query *query, struct ag_id *id)
{
    struct ag_reader reader = ag_reader_of(query->arguments);
    uint32_t pairs;
    bool found = false;

    if (ag_wire_check(query->arguments, AG_WIRE_DEPTH_MAX, AG_WIRE_OBJECTS_MAX) < 0)
        return false;
    pairs = ag_read_map(&reader);
    for (uint32_t i = 0; i < pairs && !reader.failed; i++) {
        struct ag_bytes key = ag_read_text(&reader, AG_NAME_BYTES_MAX);

        if (ag_bytes_are(key, "id")) {
            struct ag_bytes value = ag_read_text(&reader, AG_ID_TEXT_SIZE - 1);
            char text[AG_ID_TEXT_SIZE];

            snprintf(text, sizeof text, "%.*s", AG_TEXT(value));
            found = !reader.failed && ag_id_parse(text, id, NULL) == 0;
        } else {
            ag_read_skip(&reader);
        }
    }
    return found && !reader.failed;
}

static void put_job(msgpack_packer *p, const struct ag_id *id, const struct core_job_view *job)
{
    msgpack_pack_map(p, 10);
    put_id(p, "job", id);
    put_id(p, "group", &job->group);
    put_count(p, "index", job->index);
    put_pair(p, "kind", job->kind);
    put_pair(p, "state", job->state);
    put_count(p, "attempt", job->attempt);
    put_pair(p, "worker", job->worker);
    put_count(p, "queued_ms", (uint64_t)job->queued_ms);
    put_count(p, "run_ms", (uint64_t)job->run_ms);
    put_pair(p, "why", job->why);
}

static void put_group(msgpack_packer *p, const struct ag_id *id,
                      const struct core_group_view *group)
{
    const struct proto_counts *n = &group->counts;

    msgpack_pack_map(p, 8);
    put_id(p, "group", id);
    put_pair(p, "name", group->name);
    put_pair(p, "policy", group->policy);
    put_truth(p, "sealed", group->sealed);
    put_truth(p, "cancelling", group->cancelling);
    put_truth(p, "ended", group->ended);
    put_text(p, "counts");
    msgpack_pack_map(p, 7);
    put_count(p, "total", n->total);
    put_count(p, "waiting", n->waiting);
    put_count(p, "running", n->running);
    put_count(p, "succeeded", n->succeeded);
    put_count(p, "failed", n->failed);
    put_count(p, "cancelled", n->cancelled);
    put_count(p, "retried", n->retried);
    put_pair(p, "failure", group->failure);
}

/* Returns what went wrong, "" if nothing. */
static const char *show(msgpack_packer *p, const core_t *core, const struct proto_query *query,
                        const char **message)
{
    struct core_job_view job;
    struct core_group_view group;
    struct core_found found;
    struct ag_id id;

    if (!read_id(query, &id)) {
        *message = "show needs the id of a job or a group, 26 characters";
        return "rejected.arguments";
    }
    found = core_show(core, &id, &job, &group);
    if (found.job) {
        put_job(p, &id, &job);
    } else if (found.group) {
        put_group(p, &id, &group);
    } else {
        *message = "neither a job nor a group here has this id; it may have been forgotten";
        return "not_found";
    }
    return "";
}

void admin_answer(const core_t *core, const struct admin_facts *facts,
                  const struct proto_query *query, struct ag_buffer *body,
                  struct proto_answer *answer)
{
    const char *type = "", *message = "";
    msgpack_packer packer;

    ag_buffer_clear(body);
    msgpack_packer_init(&packer, body, ag_buffer_write);
    if (ag_bytes_are(query->verb, "status")) {
        put_status(&packer, core, facts);
    } else if (ag_bytes_are(query->verb, "workers")) {
        put_workers(&packer, core);
    } else if (ag_bytes_are(query->verb, "show")) {
        type = show(&packer, core, query, &message);
    } else {
        type = "rejected.verb";
        message = "this broker does not know the verb: is the client newer?";
    }
    if (body->failed) {
        type = "failed.memory";
        message = "the answer is too large for the broker's memory";
    }
    if (type[0] != '\0') {
        ag_buffer_clear(body);
        msgpack_packer_init(&packer, body, ag_buffer_write);
        msgpack_pack_map(&packer, 0);
    }
    *answer = (struct proto_answer){.request = query->request,
                                    .type = ag_bytes_of_text(type),
                                    .message = ag_bytes_of_text(message),
                                    .body = ag_buffer_bytes(body)};
}
