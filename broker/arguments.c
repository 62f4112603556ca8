#include "broker/arguments.h"

#include <stddef.h>
#include <stdio.h>

#include "common/error.h"
#include "common/wire.h"

enum value { VALUE_ID, VALUE_TEXT, VALUE_BIN, VALUE_WHOLE };

struct row {
    const char *key;
    enum value value;
    size_t offset;
    uint64_t max; /* of a number; of a text's bytes */
};

#define AT(member) offsetof(struct arguments, member)

static const struct row rows[] = {
    {"id", VALUE_ID, AT(id), 0},
    {"as", VALUE_ID, AT(as), 0},
    {"group", VALUE_ID, AT(group), 0},
    {"state", VALUE_TEXT, AT(state), AG_NAME_BYTES_MAX},
    {"kind", VALUE_TEXT, AT(kind), AG_NAME_BYTES_MAX},
    {"queue", VALUE_TEXT, AT(queue), AG_NAME_BYTES_MAX},
    {"cursor", VALUE_TEXT, AT(cursor), AG_NAME_BYTES_MAX},
    {"worker", VALUE_TEXT, AT(worker), AG_NAME_BYTES_MAX},
    {"name", VALUE_TEXT, AT(name), AG_TEXT_BYTES_MAX},
    {"cron", VALUE_TEXT, AT(cron), AG_TEXT_BYTES_MAX},
    {"tz", VALUE_TEXT, AT(zone), AG_NAME_BYTES_MAX},
    {"catch_up", VALUE_TEXT, AT(catch_up), AG_NAME_BYTES_MAX},
    {"durability", VALUE_TEXT, AT(durability), AG_NAME_BYTES_MAX},
    {"job", VALUE_BIN, AT(job), 2 * AG_PAYLOAD_BYTES_MAX},
    {"limit", VALUE_WHOLE, AT(limit), UINT32_MAX},
    {"after", VALUE_WHOLE, AT(after), UINT64_MAX},
    {"grace_ms", VALUE_WHOLE, AT(grace_ms), UINT32_MAX},
    {"number", VALUE_WHOLE, AT(number), UINT32_MAX},
    {"at_ms", VALUE_WHOLE, AT(at_unix_ms), INT64_MAX / 4},
    {"every_ms", VALUE_WHOLE, AT(every_ms), INT64_MAX / 4},
    {"times", VALUE_WHOLE, AT(times), UINT32_MAX},
};

static struct ag_id read_id(struct ag_reader *r)
{
    struct ag_bytes value = ag_read_text(r, AG_ID_TEXT_SIZE - 1);
    char text[AG_ID_TEXT_SIZE];
    struct ag_id id = {{0}};

    snprintf(text, sizeof text, "%.*s", AG_TEXT(value));
    if (!r->failed && ag_id_parse(text, &id, NULL) < 0)
        r->failed = true;
    return id;
}

static void read_value(struct ag_reader *r, const struct row *row, struct arguments *out)
{
    void *at = (char *)out + row->offset;

    switch (row->value) {
    case VALUE_ID:
        *(struct ag_id *)at = read_id(r);
        out->has_id = out->has_id || row->offset == AT(id);
        break;
    case VALUE_TEXT:
        *(struct ag_bytes *)at = ag_read_text(r, (size_t)row->max);
        break;
    case VALUE_BIN:
        *(struct ag_bytes *)at = ag_read_bin(r, (size_t)row->max);
        break;
    case VALUE_WHOLE:
        *(uint64_t *)at = ag_read_whole(r, row->max);
        break;
    }
}

static const struct row *find_row(struct ag_bytes key)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (ag_bytes_are(key, rows[i].key))
            return &rows[i];
    return NULL;
}

int arguments_read(struct ag_bytes map, struct arguments *out, struct argosy_error *err)
{
    struct ag_reader r = ag_reader_of(map);
    uint32_t pairs;

    *out = (struct arguments){0};
    if (ag_wire_check(map, AG_WIRE_DEPTH_MAX, AG_WIRE_OBJECTS_MAX) < 0)
        return ag_fail(err, ARGOSY_EPROTO, "the arguments are not one sound msgpack value");
    pairs = ag_read_map(&r);
    if (r.failed)
        return ag_fail(err, ARGOSY_EPROTO, "the arguments are not a map");
    for (uint32_t i = 0; i < pairs; i++) {
        struct ag_bytes key = ag_read_text(&r, AG_NAME_BYTES_MAX);
        const struct row *row = find_row(key);

        if (r.failed || row == NULL)
            return ag_fail(err, ARGOSY_EPROTO, "'%.*s' is not an argument", AG_TEXT(key));
        read_value(&r, row, out);
        if (r.failed)
            return ag_fail(err, ARGOSY_EPROTO, "'%s' has the wrong type or is out of range",
                           row->key);
    }
    return 0;
}

static int read_catch_up(struct ag_bytes text, enum core_catch_up *out, struct argosy_error *err)
{
    static const char *const names[] = {
        [CATCH_UP_SKIP] = "skip", [CATCH_UP_ONCE] = "once", [CATCH_UP_ALL] = "all"};

    *out = CATCH_UP_SKIP;
    if (text.size == 0)
        return 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (ag_bytes_are(text, names[i])) {
            *out = (enum core_catch_up)i;
            return 0;
        }
    return ag_fail(err, ARGOSY_EPROTO, "catch_up is skip, once or all");
}

static int find_verb(struct ag_bytes name, enum core_verb *out)
{
    static const char *const names[VERBS_COUNT] = {
        [VERB_PAUSE] = "pause",
        [VERB_RESUME] = "resume",
        [VERB_LIMIT] = "limit",
        [VERB_DURABILITY] = "durability",
        [VERB_DRAIN] = "drain",
        [VERB_RETRY] = "retry",
        [VERB_REMOVE] = "remove",
        [VERB_SCHEDULE_ADD] = "schedule.add",
        [VERB_SCHEDULE_REMOVE] = "schedule.remove",
    };

    for (int i = 0; i < VERBS_COUNT; i++)
        if (ag_bytes_are(name, names[i])) {
            *out = (enum core_verb)i;
            return 0;
        }
    return -1;
}

int arguments_to_control(const struct proto_query *query, struct core_control *out,
                         struct argosy_error *err)
{
    struct arguments read;
    int rc = arguments_read(query->arguments, &read, err);

    if (rc < 0)
        return rc;
    *out = (struct core_control){
        .request = query->request,
        .queue = read.queue,
        .worker = read.worker,
        .name = read.name,
        .id = read.id,
        .as = read.as,
        .number = (uint32_t)read.number,
        .relaxed = ag_bytes_are(read.durability, "relaxed"),
        .rule = {.at_unix_ms = (int64_t)read.at_unix_ms,
                 .every_ms = read.every_ms,
                 .cron = read.cron,
                 .zone = read.zone,
                 .times = (uint32_t)read.times},
        .job = read.job,
    };
    if (find_verb(query->verb, &out->verb) < 0)
        return ag_fail(err, ARGOSY_EPROTO,
                       "rejected.verb: this broker does not know the verb: is the client newer?");
    if (out->verb == VERB_DURABILITY && !out->relaxed && !ag_bytes_are(read.durability, "full"))
        return ag_fail(err, ARGOSY_EPROTO, "durability is relaxed or full");
    if (out->verb == VERB_DRAIN)
        out->number = (uint32_t)read.grace_ms;
    if (out->verb >= VERB_RETRY && !read.has_id)
        return ag_fail(err, ARGOSY_EPROTO, "an id is missing, 26 characters");
    return read_catch_up(read.catch_up, &out->catch_up, err);
}
