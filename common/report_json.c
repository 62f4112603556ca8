/* The forms for programs: a JSON document, and the same document as msgpack. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/report_tree.h"
#include "common/wire.h"

/* Whatever cannot be made or put is remembered, so that a document is whole or not at all. */
struct writer {
    bool failed;
};

static void put(struct writer *self, json_t *json, const char *key, json_t *value)
{
    if (json_object_set_new(json, key, value) < 0)
        self->failed = true;
}

static void append(struct writer *self, json_t *list, json_t *value)
{
    if (json_array_append_new(list, value) < 0)
        self->failed = true;
}

/* A text of unknown origin: what is not UTF-8 is written byte by byte. NULL when memory is short.
 */
static json_t *text_of(const char *text)
{
    struct ag_bytes bytes = ag_bytes_of_text(text);
    struct ag_buffer escaped;
    json_t *json;

    if (ag_is_utf8(bytes))
        return json_string(text);
    escaped = ag_buffer_empty(4 * bytes.size);
    for (size_t i = 0; i < bytes.size; i++)
        ag_buffer_printf(&escaped, bytes.data[i] < 0x80 ? "%c" : "\\x%02x", bytes.data[i]);
    json = escaped.failed ? NULL : json_stringn((const char *)escaped.data, escaped.size);
    ag_buffer_free(&escaped);
    return json;
}

static void put_text(struct writer *self, json_t *json, const char *key, const char *text)
{
    if (text[0] != '\0')
        put(self, json, key, text_of(text));
}

/* JSON's whole numbers end at 63 bits here; only what a broker made up is beyond. */
static void put_number(struct writer *self, json_t *json, const char *key, uint64_t value)
{
    put(self, json, key, json_integer((json_int_t)(value < INT64_MAX ? value : INT64_MAX)));
}

static void put_notes(struct writer *self, json_t *json, const struct argosy_node *node)
{
    json_t *notes;

    if (node->notes_count == 0)
        return;
    notes = json_array();
    for (size_t i = 0; i < node->notes_count; i++)
        append(self, notes, text_of(node->notes[i]));
    put(self, json, "notes", notes);
}

static void put_attempts(struct writer *self, json_t *json, const struct argosy_node *node)
{
    json_t *attempts;

    if (node->attempts_count == 0)
        return;
    attempts = json_array();
    for (size_t i = 0; i < node->attempts_count; i++) {
        const struct argosy_attempt *attempt = &node->attempts[i];
        json_t *item = json_object();

        put_number(self, item, "attempt", attempt->attempt);
        put_text(self, item, "worker", attempt->worker);
        put_number(self, item, "started_unix_ms", attempt->started_unix_ms);
        put_number(self, item, "run_ms", attempt->run_ms);
        put_text(self, item, "type", attempt->type);
        put_text(self, item, "message", attempt->message);
        append(self, attempts, item);
    }
    put(self, json, "attempts", attempts);
}

static json_t *node_to_json(struct writer *self, const struct argosy_node *node);

static void put_children(struct writer *self, json_t *json, const char *key,
                         const struct argosy_node *node)
{
    json_t *list = json_array();

    for (size_t i = 0; i < node->children_count; i++)
        append(self, list, node_to_json(self, node->children[i]));
    put(self, json, key, list);
}

static void put_job(struct writer *self, json_t *json, const struct argosy_node *node)
{
    put_text(self, json, "subject", node->subject);
    put_text(self, json, "job", node->job);
    put_text(self, json, "kind", node->kind);
    if (node->attempts_max > 0) {
        put_number(self, json, "attempt", node->attempt);
        put_number(self, json, "attempts_max", node->attempts_max);
    }
    put_text(self, json, "worker", node->worker);
    put_attempts(self, json, node);
}

static void put_detail(struct writer *self, json_t *json, const struct argosy_node *node)
{
    json_t *detail;

    if (node->detail == NULL)
        return;
    if (ag_json_from_msgpack(ag_bytes_of(node->detail, node->detail_size), &detail, NULL) < 0)
        self->failed = true; /* it was checked when it was taken: only memory can be short */
    else
        put(self, json, "detail", detail);
}

static json_t *node_to_json(struct writer *self, const struct argosy_node *node)
{
    json_t *json = json_object();

    if (node->type != ARGOSY_GROUP)
        put(self, json, "type", text_of(node->error_type));
    put(self, json, "message", text_of(node->message));
    if (node->type == ARGOSY_FOLD) {
        put_number(self, json, "count", node->count);
        put_text(self, json, "host", node->host);
        put_text(self, json, "kind", node->kind);
        put(self, json, "retryable", json_boolean(node->retryable));
        put_children(self, json, "samples", node);
        return json;
    }
    put_job(self, json, node);
    if (node->type == ARGOSY_LEAF)
        put(self, json, "retryable", json_boolean(node->retryable));
    else
        put_children(self, json, "errors", node);
    put_notes(self, json, node);
    put_detail(self, json, node);
    return json;
}

/* Half a document is none. */
static json_t *finished(const struct writer *self, json_t *json)
{
    if (!self->failed)
        return json;
    json_decref(json);
    return NULL;
}

json_t *ag_node_to_json(const struct argosy_node *node)
{
    struct writer writer = {0};
    json_t *json = node_to_json(&writer, node);

    return finished(&writer, json);
}

json_t *ag_report_to_json(const argosy_report *self)
{
    struct writer writer = {0};
    json_t *json = node_to_json(&writer, self->root), *counts = json_object();

#define X(member) put_number(&writer, counts, #member, self->counts.member);
    AG_REPORT_COUNTS(X)
#undef X
    put(&writer, json, "counts", counts);
    put_number(&writer, json, "wall_ms", self->counts.wall_ms);
    put_number(&writer, json, "busy_ms", self->counts.busy_ms);
    return finished(&writer, json);
}

int argosy_report_write_json(const argosy_report *self, FILE *out)
{
    json_t *json = ag_report_to_json(self);
    int rc = 0;

    if (json == NULL)
        return ARGOSY_ENOMEM;
    if (json_dumpf(json, out, JSON_COMPACT | JSON_REAL_PRECISION(15)) < 0)
        rc = ferror(out) ? ARGOSY_EIO : ARGOSY_ENOMEM;
    json_decref(json);
    return rc;
}

int argosy_report_write_msgpack(const argosy_report *self, void **data, size_t *size)
{
    struct ag_buffer buffer = ag_buffer_empty(SIZE_MAX);
    json_t *json = ag_report_to_json(self);
    int rc = json != NULL ? ag_json_to_msgpack(json, &buffer) : ARGOSY_ENOMEM;

    json_decref(json);
    *data = rc == 0 ? ag_buffer_take(&buffer, size) : NULL;
    ag_buffer_free(&buffer);
    return rc;
}
