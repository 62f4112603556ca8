#include "broker/admin.h"

#include <argosy/version.h>
#include <msgpack/pack.h>
#include <stdlib.h>

#include "broker/arguments.h"
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
    msgpack_pack_map(p, 14);
    put_pair(p, "name", facts->name);
    put_pair(p, "version", ARGOSY_VERSION);
    put_count(p, "epoch", facts->epoch);
    put_count(p, "uptime_ms", (uint64_t)facts->uptime_ms);
    put_count(p, "cpu_us", facts->cpu_us);
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

static void put_bytes(msgpack_packer *p, const char *key, struct ag_bytes text)
{
    put_text(p, key);
    msgpack_pack_str(p, text.size);
    if (text.size > 0)
        msgpack_pack_str_body(p, text.data, text.size);
}

/* The type and the message of a failure, empty when there are none; of a group its message. */
static void read_error(struct ag_bytes error, struct ag_bytes *type, struct ag_bytes *message)
{
    struct ag_reader r = ag_reader_of(error);
    uint32_t pairs = error.size > 0 ? ag_read_map(&r) : 0;

    *type = *message = ag_bytes_of_text("");
    for (uint32_t i = 0; i < pairs && !r.failed; i++) {
        struct ag_bytes key = ag_read_text(&r, AG_NAME_BYTES_MAX);
        struct ag_bytes *out = ag_bytes_are(key, "type")      ? type
                               : ag_bytes_are(key, "message") ? message
                                                              : NULL;

        if (out == NULL)
            ag_read_skip(&r);
        else
            *out = ag_read_text(&r, AG_RESULT_BYTES_MAX);
    }
}

static void put_job(msgpack_packer *p, const struct core_job_view *job)
{
    const bool knows_progress = job->permille < AG_PERMILLE_UNKNOWN;
    struct ag_bytes type, message;

    read_error(job->error, &type, &message);
    msgpack_pack_map(p, 21 + knows_progress);
    put_id(p, "job", &job->id);
    put_id(p, "group", &job->group);
    put_count(p, "index", job->index);
    put_pair(p, "kind", job->kind);
    put_pair(p, "queue", job->queue);
    put_pair(p, "state", job->state);
    put_count(p, "priority", job->priority);
    put_count(p, "attempt", job->attempt);
    put_count(p, "attempts_max", job->attempts_max);
    put_count(p, "losses", job->losses);
    put_pair(p, "worker", job->worker);
    put_pair(p, "key", job->key);
    put_pair(p, "requires", job->requires);
    put_id(p, "waits_for", &job->waits_for);
    put_count(p, "queued_ms", (uint64_t)job->queued_ms);
    put_count(p, "run_ms", (uint64_t)job->run_ms);
    put_count(p, "due_ms", job->due_ms > 0 ? (uint64_t)job->due_ms : 0);
    if (knows_progress)
        put_count(p, "permille", job->permille);
    put_pair(p, "reason", job->reason);
    put_pair(p, "why", job->why);
    put_bytes(p, "error_type", type);
    put_bytes(p, "error_message", message);
}

static void put_group(msgpack_packer *p, const struct core_group_view *group)
{
    const struct proto_counts *n = &group->counts;

    msgpack_pack_map(p, 9);
    put_id(p, "group", &group->id);
    put_id(p, "parent", &group->parent);
    put_pair(p, "name", group->name);
    put_pair(p, "policy", group->policy);
    put_truth(p, "sealed", group->sealed);
    put_truth(p, "cancelling", group->cancelling);
    put_truth(p, "ended", group->ended);
    put_text(p, "counts");
    msgpack_pack_map(p, 8);
    put_count(p, "total", n->total);
    put_count(p, "waiting", n->waiting);
    put_count(p, "running", n->running);
    put_count(p, "succeeded", n->succeeded);
    put_count(p, "failed", n->failed);
    put_count(p, "cancelled", n->cancelled);
    put_count(p, "retried", n->retried);
    put_count(p, "unconfirmed", n->unconfirmed);
    put_pair(p, "failure", group->failure);
}

/* An answer under construction. */
struct reply {
    msgpack_packer *packer;
    const char *type, *message; /* type "": it worked */
};

static void refuse(struct reply *reply, const char *type, const char *message)
{
    reply->type = type;
    reply->message = message;
}

static void show(struct reply *reply, const core_t *core, const struct arguments *arguments)
{
    struct core_job_view job;
    struct core_group_view group;
    struct core_found found;

    if (!arguments->has_id) {
        refuse(reply, "rejected.arguments", "show needs the id of a job or a group, 26 characters");
        return;
    }
    found = core_show(core, &arguments->id, &job, &group);
    if (found.job)
        put_job(reply->packer, &job);
    else if (found.group)
        put_group(reply->packer, &group);
    else
        refuse(reply, "not_found",
               "neither a job nor a group here has this id; it may have been forgotten");
}

/* ---- list --------------------------------------------------------------------------------------
 */

/* Jobs in one answer; the protocol bounds a message. */
enum { JOBS_LISTED_MAX = 1000 };

static void list_job(void *arg, const struct core_job_view *job)
{
    put_job(arg, job);
}

static void count_job(void *arg, const struct core_job_view *job)
{
    (void)job;
    ++*(uint32_t *)arg;
}

static int state_of(struct ag_bytes name)
{
    for (int state = 0; state < JOB_STATES_COUNT; state++)
        if (ag_bytes_are(name, job_state_name((enum job_state)state)))
            return state;
    return -1;
}

/* "NUMBER-ID", as it was given out; empty: from the beginning. */
static bool read_cursor(struct ag_bytes text, struct core_cursor *out)
{
    char copy[AG_NAME_BYTES_MAX + 1], *dash;

    *out = (struct core_cursor){0};
    if (text.size == 0)
        return true;
    snprintf(copy, sizeof copy, "%.*s", AG_TEXT(text));
    out->number = strtoull(copy, &dash, 10);
    return dash != copy && *dash == '-' && ag_id_parse(dash + 1, &out->id, NULL) == 0;
}

static void put_cursor(msgpack_packer *p, bool more, const struct core_cursor *cursor)
{
    char text[AG_NAME_BYTES_MAX], id[AG_ID_TEXT_SIZE];

    snprintf(text, sizeof text, "%llu-%s", (unsigned long long)cursor->number,
             ag_id_print(&cursor->id, id));
    put_pair(p, "cursor", more ? text : "");
}

static void list(struct reply *reply, const core_t *core, const struct arguments *arguments)
{
    struct core_filter filter = {.state =
                                     arguments->state.size > 0 ? state_of(arguments->state) : -1,
                                 .kind = arguments->kind,
                                 .queue = arguments->queue,
                                 .group = arguments->group};
    uint32_t limit = arguments->limit > 0 && arguments->limit < JOBS_LISTED_MAX
                         ? (uint32_t)arguments->limit
                         : JOBS_LISTED_MAX;
    struct core_cursor cursor, end;
    uint32_t count = 0;
    bool more;

    if (arguments->state.size > 0 && filter.state < 0) {
        refuse(reply, "rejected.arguments", "no job has such a state");
        return;
    }
    if (!read_cursor(arguments->cursor, &cursor)) {
        refuse(reply, "rejected.arguments", "not a cursor that a list has given");
        return;
    }
    end = cursor;
    more = core_list(core, &filter, &end, limit, count_job, &count);
    msgpack_pack_map(reply->packer, 2);
    put_text(reply->packer, "jobs");
    msgpack_pack_array(reply->packer, count);
    core_list(core, &filter, &cursor, limit, list_job, reply->packer);
    put_cursor(reply->packer, more, &end);
}

/* ---- queues, schedules, events -----------------------------------------------------------------
 */

static void count_queue(void *arg, const struct core_queue_view *view)
{
    (void)view;
    ++*(uint32_t *)arg;
}

static void put_queue(void *arg, const struct core_queue_view *view)
{
    msgpack_packer *p = arg;

    msgpack_pack_map(p, 8);
    put_pair(p, "queue", view->name);
    put_truth(p, "paused", view->paused);
    put_count(p, "limit", view->limit);
    put_pair(p, "durability", view->relaxed ? "relaxed" : "full");
    put_count(p, "waiting", view->waiting);
    put_count(p, "running", view->running);
    put_count(p, "workers", view->workers);
    put_count(p, "unserved_ms", (uint64_t)view->unserved_ms);
}

static void queues(msgpack_packer *p, const core_t *core)
{
    uint32_t count = 0;

    core_each_queue(core, count_queue, &count);
    msgpack_pack_map(p, 1);
    put_text(p, "queues");
    msgpack_pack_array(p, count);
    core_each_queue(core, put_queue, p);
}

static void count_schedule(void *arg, const struct core_schedule_view *view)
{
    (void)view;
    ++*(uint32_t *)arg;
}

static void put_schedule(void *arg, const struct core_schedule_view *view)
{
    static const char *const catch_ups[] = {
        [CATCH_UP_SKIP] = "skip", [CATCH_UP_ONCE] = "once", [CATCH_UP_ALL] = "all"};
    msgpack_packer *p = arg;

    msgpack_pack_map(p, 11);
    put_id(p, "schedule", &view->id);
    put_pair(p, "name", view->name);
    put_pair(p, "kind", view->kind);
    put_count(p, "at_ms", (uint64_t)view->rule.at_unix_ms);
    put_count(p, "every_ms", view->rule.every_ms);
    put_bytes(p, "cron", view->rule.cron);
    put_bytes(p, "tz", view->rule.zone);
    put_count(p, "times", view->rule.times);
    put_pair(p, "catch_up", catch_ups[view->catch_up]);
    put_count(p, "next_ms", view->next_unix_ms == INT64_MAX ? 0 : (uint64_t)view->next_unix_ms);
    put_count(p, "fired", view->fired);
}

static void schedules(msgpack_packer *p, const core_t *core)
{
    uint32_t count = 0;

    core_each_schedule(core, count_schedule, &count);
    msgpack_pack_map(p, 1);
    put_text(p, "schedules");
    msgpack_pack_array(p, count);
    core_each_schedule(core, put_schedule, p);
}

struct happenings {
    msgpack_packer *packer; /* NULL: only count */
    uint32_t count;
    uint64_t last;
};

static void put_happening(void *arg, const struct core_happening *event)
{
    struct happenings *self = arg;
    msgpack_packer *p = self->packer;

    self->count++;
    self->last = event->number;
    if (p == NULL)
        return;
    msgpack_pack_map(p, 8);
    put_count(p, "number", event->number);
    put_count(p, "unix_ms", (uint64_t)event->at);
    put_pair(p, "what", event->what);
    put_pair(p, "state", event->state);
    put_id(p, "id", &event->id);
    put_pair(p, "kind", event->kind);
    put_count(p, "attempt", event->attempt);
    put_pair(p, strcmp(event->what, "kind") == 0 ? "requires" : "worker", event->name);
}

static void events(msgpack_packer *p, const core_t *core, const struct arguments *arguments)
{
    uint32_t limit = arguments->limit > 0 && arguments->limit < JOBS_LISTED_MAX
                         ? (uint32_t)arguments->limit
                         : JOBS_LISTED_MAX;
    struct happenings all = {.last = arguments->after};
    uint64_t missed = core_happenings(core, arguments->after, limit, put_happening, &all);

    msgpack_pack_map(p, 3);
    put_count(p, "missed", missed);
    put_count(p, "last", all.last);
    put_text(p, "events");
    msgpack_pack_array(p, all.count);
    all.packer = p;
    core_happenings(core, arguments->after, limit, put_happening, &all);
}

static void answer_verb(struct reply *reply, const core_t *core, const struct admin_facts *facts,
                        struct ag_bytes verb, const struct arguments *arguments)
{
    if (ag_bytes_are(verb, "status"))
        put_status(reply->packer, core, facts);
    else if (ag_bytes_are(verb, "workers"))
        put_workers(reply->packer, core);
    else if (ag_bytes_are(verb, "show"))
        show(reply, core, arguments);
    else if (ag_bytes_are(verb, "list"))
        list(reply, core, arguments);
    else if (ag_bytes_are(verb, "queues"))
        queues(reply->packer, core);
    else if (ag_bytes_are(verb, "schedules"))
        schedules(reply->packer, core);
    else if (ag_bytes_are(verb, "events"))
        events(reply->packer, core, arguments);
    else
        refuse(reply, "rejected.verb", "this broker does not know the verb: is the client newer?");
}

void admin_answer(const core_t *core, const struct admin_facts *facts,
                  const struct proto_query *query, struct ag_buffer *body,
                  struct proto_answer *answer)
{
    struct argosy_error err = {0};
    struct arguments arguments;
    msgpack_packer packer;
    struct reply reply = {&packer, "", ""};

    ag_buffer_clear(body);
    msgpack_packer_init(&packer, body, ag_buffer_write);
    if (arguments_read(query->arguments, &arguments, &err) < 0)
        refuse(&reply, "rejected.arguments", "");
    else
        answer_verb(&reply, core, facts, query->verb, &arguments);
    if (body->failed)
        refuse(&reply, "failed.memory", "the answer is too large for the broker's memory");
    if (reply.type[0] != '\0') {
        ag_buffer_clear(body);
        msgpack_packer_init(&packer, body, ag_buffer_write);
        msgpack_pack_map(&packer, 0);
        if (err.message[0] != '\0') { /* it outlives this call behind the body */
            size_t size = body->size;

            ag_buffer_text(body, err.message);
            *answer =
                (struct proto_answer){.request = query->request,
                                      .type = ag_bytes_of_text(reply.type),
                                      .message = ag_bytes_of(body->data + size, body->size - size),
                                      .body = ag_bytes_of(body->data, size)};
            return;
        }
    }
    *answer = (struct proto_answer){.request = query->request,
                                    .type = ag_bytes_of_text(reply.type),
                                    .message = ag_bytes_of_text(reply.message),
                                    .body = ag_buffer_bytes(body)};
}
