/* A report out of its msgpack form, from anywhere: what is not as argosy_report_write_msgpack()
 * would have written it is refused, and it takes no more memory than AG_REPORT_READ_BYTES. Keys
 * that are not known are skipped: later versions may say more. */
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/report_tree.h"
#include "common/wire.h"

struct parser {
    argosy_report *report;
    struct ag_reader reader;
    const char *wrong; /* what is not as it must be, NULL for the reader's own failures */
};

static void refuse(struct parser *self, const char *why)
{
    if (!self->reader.failed)
        self->wrong = why;
    self->reader.failed = true;
}

static const char *read_text(struct parser *self)
{
    return ag_report_text(self->report, ag_read_text(&self->reader, SIZE_MAX));
}

/* The next key of a map; empty when the reader failed. */
static struct ag_bytes read_key(struct parser *self)
{
    return ag_read_text(&self->reader, SIZE_MAX);
}

/* The members that are a text or a number, by what they are called. */
enum member_type { TEXT, U32, U64, BOOL };

struct member {
    const char *key;
    enum member_type type;
    size_t offset;
};

#define MEMBER(key, type, of, name)                                                                \
    {                                                                                              \
        key, type, offsetof(struct of, name)                                                       \
    }

static const struct member node_members[] = {
    MEMBER("type", TEXT, argosy_node, error_type),
    MEMBER("message", TEXT, argosy_node, message),
    MEMBER("subject", TEXT, argosy_node, subject),
    MEMBER("job", TEXT, argosy_node, job),
    MEMBER("kind", TEXT, argosy_node, kind),
    MEMBER("worker", TEXT, argosy_node, worker),
    MEMBER("host", TEXT, argosy_node, host),
    MEMBER("retryable", BOOL, argosy_node, retryable),
    MEMBER("attempt", U32, argosy_node, attempt),
    MEMBER("attempts_max", U32, argosy_node, attempts_max),
    MEMBER("count", U64, argosy_node, count),
    {0},
};

static const struct member attempt_members[] = {
    MEMBER("attempt", U32, argosy_attempt, attempt),
    MEMBER("worker", TEXT, argosy_attempt, worker),
    MEMBER("started_unix_ms", U64, argosy_attempt, started_unix_ms),
    MEMBER("run_ms", U32, argosy_attempt, run_ms),
    MEMBER("type", TEXT, argosy_attempt, type),
    MEMBER("message", TEXT, argosy_attempt, message),
    {0},
};

static const struct member count_members[] = {
#define X(name) MEMBER(#name, U64, argosy_counts, name),
    AG_REPORT_COUNTS(X)
#undef X
        {0},
};

static const struct member time_members[] = {
    MEMBER("wall_ms", U64, argosy_counts, wall_ms),
    MEMBER("busy_ms", U64, argosy_counts, busy_ms),
    {0},
};

/* Whether the key is one of these; then its value was read into the object. */
static bool read_member(struct parser *self, const struct member *members, struct ag_bytes key,
                        void *object)
{
    const struct member *at = members;
    void *into;

    while (at->key != NULL && !ag_bytes_are(key, at->key))
        at++;
    if (at->key == NULL)
        return false;
    into = (char *)object + at->offset;
    switch (at->type) {
    case TEXT:
        *(const char **)into = read_text(self);
        break;
    case U32:
        *(uint32_t *)into = (uint32_t)ag_read_whole(&self->reader, UINT32_MAX);
        break;
    case U64:
        *(uint64_t *)into = ag_read_whole(&self->reader, UINT64_MAX);
        break;
    case BOOL:
        *(bool *)into = ag_read_bool(&self->reader);
        break;
    }
    return true;
}

static void read_map(struct parser *self, const struct member *members, void *object)
{
    uint32_t pairs = ag_read_map(&self->reader);

    for (uint32_t i = 0; i < pairs && !self->reader.failed; i++)
        if (!read_member(self, members, read_key(self), object))
            ag_read_skip(&self->reader);
}

static void read_attempts(struct parser *self, struct argosy_node *node)
{
    uint32_t count = ag_read_array(&self->reader);
    struct argosy_attempt *attempts;

    if (count > AG_ATTEMPTS_MAX + AG_LOST_MAX)
        refuse(self, "more attempts than a job can have");
    if (count == 0 || self->reader.failed)
        return;
    attempts = ag_report_room(self->report, count * sizeof *attempts);
    for (uint32_t i = 0; attempts != NULL && i < count; i++) {
        attempts[i].worker = attempts[i].type = attempts[i].message = "";
        read_map(self, attempt_members, &attempts[i]);
    }
    node->attempts = attempts;
    node->attempts_count = attempts != NULL ? count : 0;
}

static void read_notes(struct parser *self, struct argosy_node *node)
{
    uint32_t count = ag_read_array(&self->reader);

    if (count > AG_REPORT_NOTES)
        refuse(self, "more notes than a report keeps");
    for (uint32_t i = 0; i < count && !self->reader.failed; i++)
        ag_report_add_note(self->report, node, ag_read_text(&self->reader, SIZE_MAX));
}

static void read_detail(struct parser *self, struct argosy_node *node)
{
    struct ag_bytes detail = ag_read_raw(&self->reader);
    struct ag_reader inside = ag_reader_of(detail);

    ag_read_map(&inside);
    if (inside.failed)
        refuse(self, "a 'detail' that is no map");
    if (!self->reader.failed)
        ag_report_set_detail(self->report, node, detail);
}

static struct argosy_node *read_node(struct parser *self, bool is_root);

static void read_children(struct parser *self, struct argosy_node *node, enum argosy_node_type type)
{
    uint32_t count = ag_read_array(&self->reader);

    if (node->type != ARGOSY_LEAF)
        refuse(self, "'errors' or 'samples' twice in one node");
    node->type = type;
    for (uint32_t i = 0; i < count && !self->reader.failed && !self->report->failed; i++) {
        struct argosy_node *child = read_node(self, false);

        if (child != NULL && type == ARGOSY_FOLD && child->type != ARGOSY_LEAF)
            refuse(self, "a sample that is not a leaf");
        ag_report_add_child(self->report, node, child);
    }
}

static void check_node(struct parser *self, struct argosy_node *node)
{
    if (node->type == ARGOSY_FOLD && node->count < node->children_count)
        refuse(self, "a fold that counts less than it holds");
    if (node->error_type == NULL && node->type != ARGOSY_GROUP)
        refuse(self, "an error without 'type'");
    if (node->message == NULL)
        refuse(self, "a node without 'message'");
    if (node->error_type == NULL)
        node->error_type = "";
    if (node->type == ARGOSY_GROUP)
        node->count = 0;
    if (node->type == ARGOSY_LEAF) {
        node->count = 1;
        node->host = ag_report_text(self->report, ag_report_host(ag_bytes_of_text(node->subject)));
    }
}

/* The root also has the counts. */
static struct argosy_node *read_node(struct parser *self, bool is_root)
{
    struct argosy_node *node = ag_report_node(self->report, ARGOSY_LEAF);
    struct argosy_counts *counts = &self->report->counts;
    uint32_t pairs = ag_read_map(&self->reader);
    bool has_counts = !is_root;

    if (node == NULL)
        return NULL;
    node->error_type = node->message = NULL; /* to be seen in it */
    for (uint32_t i = 0; i < pairs && !self->reader.failed && !self->report->failed; i++) {
        struct ag_bytes key = read_key(self);

        if (ag_bytes_are(key, "errors")) {
            read_children(self, node, ARGOSY_GROUP);
        } else if (ag_bytes_are(key, "samples")) {
            read_children(self, node, ARGOSY_FOLD);
        } else if (ag_bytes_are(key, "attempts")) {
            read_attempts(self, node);
        } else if (ag_bytes_are(key, "notes")) {
            read_notes(self, node);
        } else if (ag_bytes_are(key, "detail")) {
            read_detail(self, node);
        } else if (is_root && ag_bytes_are(key, "counts")) {
            read_map(self, count_members, counts);
            has_counts = true;
        } else if (!read_member(self, node_members, key, node) &&
                   !(is_root && read_member(self, time_members, key, counts))) {
            ag_read_skip(&self->reader);
        }
    }
    if (!has_counts || (is_root && node->type != ARGOSY_GROUP))
        refuse(self, "it needs 'errors' and 'counts'");
    check_node(self, node);
    return node;
}

int argosy_report_read_msgpack(argosy_report **out, const void *data, size_t size,
                               struct argosy_error *err)
{
    struct parser parser = {.reader = ag_reader_of(ag_bytes_of(data, size))};
    argosy_report *self;
    int rc = 0;

    *out = NULL;
    if (ag_wire_check(ag_bytes_of(data, size), AG_WIRE_DEPTH_MAX, AG_BODY_OBJECTS_MAX) < 0)
        return ag_fail(err, ARGOSY_EPROTO, "not a report: not msgpack, or too large or deep");
    self = parser.report = argosy_report_new("");
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a report");
    self->bytes_max = AG_REPORT_READ_BYTES;
    self->root = read_node(&parser, true);
    if (self->failed)
        rc = ag_fail(err, ARGOSY_ENOMEM, "no memory for a report, or it takes more than %d MiB",
                     AG_REPORT_READ_BYTES >> 20);
    else if (parser.reader.failed)
        rc = ag_fail(err, ARGOSY_EPROTO, "not a report: %s",
                     parser.wrong != NULL ? parser.wrong : "a value of the wrong type");
    if (rc < 0)
        argosy_report_destroy(&self);
    *out = self;
    return rc;
}
