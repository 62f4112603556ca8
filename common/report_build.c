/* From the ends of jobs to a report. What workers wrote is read with bounds and believed nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "common/report_tree.h"
#include "common/wire.h"

enum { TEXT_MAX = 4096 }; /* bytes of a message, subject or note; longer ones are cut */

static const char *read_text(argosy_report *self, struct ag_reader *reader)
{
    struct ag_reader again = *reader;
    struct ag_bytes text = ag_read_text(&again, SIZE_MAX);

    if (again.failed) { /* a name that is no text: shown as it is, escaped when it is written */
        again = *reader;
        text = ag_read_bin(&again, SIZE_MAX);
    }
    if (again.failed) {
        ag_read_skip(reader);
        return "";
    }
    *reader = again;
    if (text.size > TEXT_MAX)
        text.size = TEXT_MAX;
    return ag_report_text(self, text);
}

static struct argosy_node *read_node(argosy_report *self, struct ag_reader *reader, unsigned depth);

static void read_errors(argosy_report *self, struct argosy_node *group, struct ag_reader *reader,
                        unsigned depth)
{
    uint32_t count = ag_read_array(reader);

    group->type = ARGOSY_GROUP;
    group->count = 0;
    for (uint32_t i = 0; i < count && !reader->failed; i++) {
        if (i < AG_REPORT_ERRORS && depth < AG_REPORT_DEPTH)
            ag_report_add_child(self, group, read_node(self, reader, depth + 1));
        else
            ag_read_skip(reader);
    }
}

static void read_notes(argosy_report *self, struct argosy_node *node, struct ag_reader *reader)
{
    uint32_t count = ag_read_array(reader);

    for (uint32_t i = 0; i < count && !reader->failed; i++)
        ag_report_add_note(self, node, ag_bytes_of_text(read_text(self, reader)));
}

static void read_member(argosy_report *self, struct argosy_node *node, struct ag_bytes key,
                        struct ag_reader *reader, unsigned depth)
{
    if (ag_bytes_are(key, "type")) {
        node->error_type = read_text(self, reader);
    } else if (ag_bytes_are(key, "message")) {
        node->message = read_text(self, reader);
    } else if (ag_bytes_are(key, "subject")) {
        node->subject = read_text(self, reader);
    } else if (ag_bytes_are(key, "retryable")) {
        node->retryable = ag_read_bool(reader);
    } else if (ag_bytes_are(key, "errors")) {
        read_errors(self, node, reader, depth);
    } else if (ag_bytes_are(key, "notes")) {
        read_notes(self, node, reader);
    } else if (ag_bytes_are(key, "detail")) {
        struct ag_bytes detail = ag_read_raw(reader);

        if (ag_wire_check(detail, AG_REPORT_DETAIL, AG_WIRE_OBJECTS_MAX) == 0) {
            node->detail = ag_report_text(self, detail);
            node->detail_size = detail.size;
        }
    } else {
        ag_read_skip(reader);
    }
}

static struct argosy_node *read_node(argosy_report *self, struct ag_reader *reader, unsigned depth)
{
    struct argosy_node *node = ag_report_node(self, ARGOSY_LEAF);
    uint32_t pairs = ag_read_map(reader);

    if (node == NULL)
        reader->failed = true;
    for (uint32_t i = 0; i < pairs && !reader->failed; i++) {
        struct ag_bytes key = ag_read_text(reader, AG_NAME_BYTES_MAX);

        if (!reader->failed)
            read_member(self, node, key, reader, depth);
    }
    return node;
}

/* What a job was about, from the payload of one that no worker described. */
static const char *subject_of(argosy_report *self, struct ag_bytes payload)
{
    struct ag_reader reader = ag_reader_of(payload);
    uint32_t pairs;

    if (payload.size == 0 || ag_wire_check(payload, AG_WIRE_DEPTH_MAX, AG_BODY_OBJECTS_MAX) < 0)
        return "";
    pairs = ag_read_map(&reader);
    for (uint32_t i = 0; i < pairs && !reader.failed; i++) {
        struct ag_bytes key = ag_read_text(&reader, AG_NAME_BYTES_MAX);

        if (ag_bytes_are(key, "url") || ag_bytes_are(key, "path"))
            return read_text(self, &reader);
        ag_read_skip(&reader);
    }
    return "";
}

const struct argosy_attempt *ag_report_attempts(argosy_report *self,
                                                const struct proto_event *event, size_t *count)
{
    struct argosy_attempt *attempts =
        ag_report_room(self, event->attempts_count * sizeof *attempts + 1);
    struct ag_bytes list = event->attempts;
    struct proto_attempt attempt;

    *count = 0;
    while (attempts != NULL && *count < event->attempts_count &&
           ag_proto_next_attempt(&list, &attempt))
        attempts[(*count)++] =
            (struct argosy_attempt){.attempt = attempt.attempt,
                                    .run_ms = attempt.run_ms,
                                    .started_unix_ms = attempt.started_unix_ms,
                                    .worker = ag_report_text(self, attempt.worker),
                                    .type = ag_report_text(self, attempt.type),
                                    .message = ag_report_text(self, attempt.message)};
    return attempts;
}

static void take_job(argosy_report *self, struct argosy_node *node, const struct proto_event *event)
{
    char id[AG_ID_TEXT_SIZE];

    node->job = ag_report_text(self, ag_bytes_of_text(ag_id_print(&event->job, id)));
    node->kind = ag_report_text(self, event->kind);
    node->worker = ag_report_text(self, event->worker);
    node->attempt = event->attempt;
    node->attempts_max = event->attempts_max;
    node->attempts = ag_report_attempts(self, event, &node->attempts_count);
}

/* The last attempt tells, when the worker's error does not. */
static void fill_from_attempts(struct argosy_node *leaf)
{
    const struct argosy_attempt *last =
        leaf->attempts_count > 0 ? &leaf->attempts[leaf->attempts_count - 1] : NULL;

    if (leaf->error_type[0] == '\0')
        leaf->error_type = last != NULL ? last->type : "handler.unknown";
    if (leaf->message[0] == '\0')
        leaf->message = last != NULL ? last->message : "failed without saying why";
}

/* The node that an event becomes, in `made`; NULL when it is no failure. */
static struct argosy_node *make_node(argosy_report *made, const struct proto_event *event)
{
    struct ag_reader reader = ag_reader_of(event->error);
    struct argosy_node *node = NULL;

    if (event->error.size > 0 &&
        ag_wire_check(event->error, AG_WIRE_DEPTH_MAX, AG_BODY_OBJECTS_MAX) == 0)
        node = read_node(made, &reader, 0);
    if (node == NULL || reader.failed)
        node = ag_report_node(made, ARGOSY_LEAF);
    if (node == NULL)
        return NULL;
    take_job(made, node, event);
    if (node->subject[0] == '\0')
        node->subject = subject_of(made, event->payload);
    if (node->type == ARGOSY_GROUP && node->children_count > 0)
        return node;
    node->type = ARGOSY_LEAF;
    node->count = 1;
    fill_from_attempts(node);
    node->host = ag_report_text(made, ag_report_host(ag_bytes_of_text(node->subject)));
    return node;
}

void ag_report_add_event(argosy_report *self, const struct proto_event *event)
{
    argosy_report *made;
    struct argosy_node *node;

    if (event->state == PROTO_JOB_CANCELLED ||
        (event->state == PROTO_JOB_SUCCEEDED && event->error.size == 0))
        return;
    made = ag_report_scratch(self);
    node = made != NULL ? make_node(made, event) : NULL;
    if (node == NULL)
        self->failed = true;
    else if (node->type == ARGOSY_GROUP)
        ag_report_add_group(self, node);
    else
        ag_report_add_leaf(self, node);
}

void ag_report_add_failure(argosy_report *self, const char *type, const char *message,
                           const char *kind, struct ag_bytes payload, const struct ag_id *job)
{
    argosy_report *made = ag_report_scratch(self);
    struct argosy_node *leaf = made != NULL ? ag_report_node(made, ARGOSY_LEAF) : NULL;
    char id[AG_ID_TEXT_SIZE];

    if (leaf == NULL) {
        self->failed = true;
        return;
    }
    leaf->error_type = type;
    leaf->message = message;
    leaf->kind = kind;
    leaf->subject = subject_of(made, payload);
    leaf->host = ag_report_text(made, ag_report_host(ag_bytes_of_text(leaf->subject)));
    if (job != NULL)
        leaf->job = ag_id_print(job, id);
    ag_report_add_leaf(self, leaf);
}

void ag_report_finish(argosy_report *self, const char *title, const struct argosy_counts *counts)
{
    char text[TEXT_MAX];
    bool many = counts->total != 1;

    self->counts = *counts;
    if (counts->failed > 0 || argosy_report_is_empty(self))
        snprintf(text, sizeof text, "%s: %llu of %llu job%s failed", title,
                 (unsigned long long)counts->failed, (unsigned long long)counts->total,
                 many ? "s" : "");
    else
        snprintf(text, sizeof text, "%s: some of %llu job%s succeeded only in part", title,
                 (unsigned long long)counts->total, many ? "s" : "");
    self->root->message = ag_report_text(self, ag_bytes_of_text(text));
    if (self->groups_beyond > 0) {
        snprintf(text, sizeof text, "%llu more jobs failed in part and are not listed",
                 (unsigned long long)self->groups_beyond);
        ag_report_add_note(self, self->root, ag_bytes_of_text(text));
        self->groups_beyond = 0;
    }
    if (self->failed)
        ag_report_add_note(self, self->root,
                           ag_bytes_of_text("memory was short: some failures are not listed"));
}
