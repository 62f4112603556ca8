/* From the ends of jobs to a report. What workers wrote is read with bounds and believed nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "common/report_tree.h"
#include "common/wire.h"

enum {
    JOB_BYTES = 1 << 20 /* what one job may put into a report; far more than honest ones do */
};

/* One job's error on its way into a report. */
struct reading {
    argosy_report *report;
    struct ag_reader reader;
    unsigned errors; /* taken so far */
};

/* At most AG_REPORT_TEXT bytes, not ending inside a character. */
static struct ag_bytes cut(struct ag_bytes text)
{
    if (text.size <= AG_REPORT_TEXT)
        return text;
    text.size = AG_REPORT_TEXT;
    for (int i = 0; i < 3 && (text.data[text.size] & 0xC0) == 0x80; i++)
        text.size--;
    return text;
}

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
    return ag_report_text(self, cut(text));
}

/* A subject without the user and password that a URL may carry. */
static const char *read_subject(argosy_report *self, struct ag_reader *reader)
{
    const char *subject = read_text(self, reader);
    struct ag_bytes secret = ag_report_credentials(ag_bytes_of_text(subject));
    char *start = (char *)(uintptr_t)secret.data;

    if (start != NULL) /* the text is our own copy */
        memmove(start, start + secret.size + 1, strlen(start + secret.size + 1) + 1);
    return subject;
}

static struct argosy_node *read_node(struct reading *self, unsigned depth);

static void read_errors(struct reading *self, struct argosy_node *group, unsigned depth)
{
    uint32_t count = ag_read_array(&self->reader), unlisted = 0;
    char note[64];

    group->type = ARGOSY_GROUP;
    group->count = 0;
    for (uint32_t i = 0; i < count && !self->reader.failed; i++) {
        if (self->errors < AG_REPORT_ERRORS && depth < AG_REPORT_DEPTH &&
            self->report->bytes < JOB_BYTES) {
            self->errors++;
            ag_report_add_child(self->report, group, read_node(self, depth + 1));
        } else {
            unlisted++;
            ag_read_skip(&self->reader);
        }
    }
    if (unlisted > 0) {
        snprintf(note, sizeof note, "%u more are not listed", unlisted);
        ag_report_add_note(self->report, group, ag_bytes_of_text(note));
    }
}

static void read_notes(struct reading *self, struct argosy_node *node)
{
    uint32_t count = ag_read_array(&self->reader);

    for (uint32_t i = 0; i < count && !self->reader.failed; i++) {
        if (node->notes_count < AG_REPORT_NOTES && self->report->bytes < JOB_BYTES)
            ag_report_add_note(self->report, node,
                               ag_bytes_of_text(read_text(self->report, &self->reader)));
        else
            ag_read_skip(&self->reader);
    }
}

/* Taken only if it is a small map. */
static void read_detail(struct reading *self, struct argosy_node *node)
{
    struct ag_bytes detail = ag_read_raw(&self->reader);
    struct ag_reader inside = ag_reader_of(detail);

    ag_read_map(&inside);
    if (!self->reader.failed && !inside.failed && detail.size <= AG_REPORT_DETAIL_BYTES &&
        ag_wire_check(detail, AG_REPORT_DETAIL, AG_REPORT_DETAIL_VALUES) == 0)
        ag_report_set_detail(self->report, node, detail);
}

static void read_member(struct reading *self, struct argosy_node *node, struct ag_bytes key,
                        unsigned depth)
{
    if (ag_bytes_are(key, "type"))
        node->error_type = read_text(self->report, &self->reader);
    else if (ag_bytes_are(key, "message"))
        node->message = read_text(self->report, &self->reader);
    else if (ag_bytes_are(key, "subject"))
        node->subject = read_subject(self->report, &self->reader);
    else if (ag_bytes_are(key, "retryable"))
        node->retryable = ag_read_bool(&self->reader);
    else if (ag_bytes_are(key, "errors"))
        read_errors(self, node, depth);
    else if (ag_bytes_are(key, "notes"))
        read_notes(self, node);
    else if (ag_bytes_are(key, "detail"))
        read_detail(self, node);
    else
        ag_read_skip(&self->reader);
}

static const char *either(const char *text, const char *otherwise)
{
    return text != NULL && text[0] != '\0' ? text : otherwise;
}

/* What a leaf must say, when its worker did not; the last attempt knows if there is one. */
static void complete(struct argosy_node *leaf)
{
    const struct argosy_attempt none = {.type = "", .message = ""};
    const struct argosy_attempt *last =
        leaf->attempts_count > 0 ? &leaf->attempts[leaf->attempts_count - 1] : &none;

    leaf->type = ARGOSY_LEAF;
    leaf->count = 1;
    leaf->error_type = either(leaf->error_type, either(last->type, "handler.unknown"));
    leaf->message = either(leaf->message, either(last->message, "failed without saying why"));
}

static struct argosy_node *read_node(struct reading *self, unsigned depth)
{
    struct argosy_node *node = ag_report_node(self->report, ARGOSY_LEAF);
    uint32_t pairs = ag_read_map(&self->reader);

    if (node == NULL)
        self->reader.failed = true;
    for (uint32_t i = 0; i < pairs && !self->reader.failed; i++) {
        /* A key may be longer than any of ours, by the protocol's rule on unknown ones. */
        struct ag_bytes key = ag_read_text(&self->reader, SIZE_MAX);

        if (!self->reader.failed)
            read_member(self, node, key, depth);
    }
    /* A group of nothing is an error without details, as in PEP 654; the job's own node is looked
     * at when its attempts are known. */
    if (node != NULL && depth > 0 && node->children_count == 0)
        complete(node);
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
        struct ag_bytes key = ag_read_text(&reader, SIZE_MAX);

        if (ag_bytes_are(key, "url") || ag_bytes_are(key, "path"))
            return read_subject(self, &reader);
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

/* The node that an event becomes, in `made`; NULL when memory is short. */
static struct argosy_node *make_node(argosy_report *made, const struct proto_event *event)
{
    struct reading reading = {.report = made, .reader = ag_reader_of(event->error)};
    struct argosy_node *node = NULL;

    if (event->error.size > 0 &&
        ag_wire_check(event->error, AG_WIRE_DEPTH_MAX, AG_BODY_OBJECTS_MAX) == 0)
        node = read_node(&reading, 0);
    if (node == NULL || reading.reader.failed)
        node = ag_report_node(made, ARGOSY_LEAF);
    if (node == NULL)
        return NULL;
    take_job(made, node, event);
    if (event->note.size > 0)
        ag_report_add_note(made, node, event->note);
    if (node->subject[0] == '\0')
        node->subject = subject_of(made, event->payload);
    if (node->type == ARGOSY_GROUP && node->children_count > 0)
        return node;
    complete(node);
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
    if (node == NULL || made->failed)
        self->failed = true;
    if (node == NULL)
        return;
    if (node->type == ARGOSY_GROUP)
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

/* What is told of a batch in one line: what failed, else what was done in part, else what a
 * deadline has cancelled. */
static void print_ends(const argosy_report *self, char *text, size_t size, const char *title)
{
    const struct argosy_counts *counts = &self->counts;
    uint64_t in_part = self->groups_beyond, count = counts->failed;
    const char *end = "failed";

    for (size_t i = 0; i < self->root->children_count; i++)
        in_part += self->root->children[i]->type == ARGOSY_GROUP;
    if (count == 0 && in_part > 0) {
        count = in_part;
        end = "succeeded only in part";
    } else if (count == 0 && counts->cancelled > 0 && !argosy_report_is_empty(self)) {
        count = counts->cancelled;
        end = "cancelled";
    }
    snprintf(text, size, "%s: %llu of %llu job%s %s", title, (unsigned long long)count,
             (unsigned long long)counts->total, counts->total == 1 ? "" : "s", end);
}

void ag_report_finish(argosy_report *self, const char *title, const struct argosy_counts *counts)
{
    char text[AG_REPORT_TEXT];

    self->counts = *counts;
    print_ends(self, text, sizeof text, title);
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
