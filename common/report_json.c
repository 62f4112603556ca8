/* The forms for programs: a JSON document, and the same document as msgpack. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/report_tree.h"

/* ---- writing
 * ------------------------------------------------------------------------------------------ */

/* A text of unknown origin: what is not UTF-8 is written byte by byte. */
static json_t *text_of(const char *text)
{
    json_t *json = json_string(text);
    struct ag_buffer escaped;

    if (json != NULL)
        return json;
    escaped = ag_buffer_empty(64 << 10);
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++)
        ag_buffer_printf(&escaped, *c < 0x80 ? "%c" : "\\x%02x", *c);
    json = json_string(ag_buffer_as_text(&escaped));
    ag_buffer_free(&escaped);
    return json;
}

static void put_text(json_t *json, const char *key, const char *text)
{
    if (text[0] != '\0')
        json_object_set_new(json, key, text_of(text));
}

static void put_number(json_t *json, const char *key, uint64_t value)
{
    json_object_set_new(json, key, json_integer((json_int_t)value));
}

static void put_notes(json_t *json, const struct argosy_node *node)
{
    json_t *notes = node->notes_count > 0 ? json_array() : NULL;

    for (size_t i = 0; i < node->notes_count; i++)
        json_array_append_new(notes, text_of(node->notes[i]));
    if (notes != NULL)
        json_object_set_new(json, "notes", notes);
}

static void put_attempts(json_t *json, const struct argosy_node *node)
{
    json_t *attempts = node->attempts_count > 0 ? json_array() : NULL;

    for (size_t i = 0; i < node->attempts_count; i++) {
        const struct argosy_attempt *attempt = &node->attempts[i];
        json_t *item = json_object();

        put_number(item, "attempt", attempt->attempt);
        put_text(item, "worker", attempt->worker);
        put_number(item, "started_unix_ms", attempt->started_unix_ms);
        put_number(item, "run_ms", attempt->run_ms);
        put_text(item, "type", attempt->type);
        put_text(item, "message", attempt->message);
        json_array_append_new(attempts, item);
    }
    if (attempts != NULL)
        json_object_set_new(json, "attempts", attempts);
}

static void put_children(json_t *json, const char *key, const struct argosy_node *node)
{
    json_t *list = json_array();

    for (size_t i = 0; i < node->children_count; i++)
        json_array_append_new(list, ag_node_to_json(node->children[i]));
    json_object_set_new(json, key, list);
}

static void put_job(json_t *json, const struct argosy_node *node)
{
    put_text(json, "subject", node->subject);
    put_text(json, "job", node->job);
    put_text(json, "kind", node->kind);
    if (node->attempts_max > 0) {
        put_number(json, "attempt", node->attempt);
        put_number(json, "attempts_max", node->attempts_max);
    }
    put_text(json, "worker", node->worker);
    put_attempts(json, node);
}

json_t *ag_node_to_json(const struct argosy_node *node)
{
    json_t *json = json_object();
    json_t *detail;

    if (node->type != ARGOSY_GROUP)
        json_object_set_new(json, "type", text_of(node->error_type));
    json_object_set_new(json, "message", text_of(node->message));
    if (node->type == ARGOSY_FOLD) {
        put_number(json, "count", node->count);
        put_text(json, "host", node->host);
        put_text(json, "kind", node->kind);
        json_object_set_new(json, "retryable", json_boolean(node->retryable));
        put_children(json, "samples", node);
        return json;
    }
    put_job(json, node);
    if (node->type == ARGOSY_LEAF)
        json_object_set_new(json, "retryable", json_boolean(node->retryable));
    else
        put_children(json, "errors", node);
    put_notes(json, node);
    if (node->detail != NULL &&
        ag_json_from_msgpack(ag_bytes_of(node->detail, node->detail_size), &detail, NULL) == 0)
        json_object_set_new(json, "detail", detail);
    return json;
}

/* X(member) */
#define COUNTS(X) X(total) X(succeeded) X(failed) X(cancelled) X(retried)

json_t *ag_report_to_json(const argosy_report *self)
{
    json_t *json = ag_node_to_json(self->root), *counts = json_object();

#define X(member) put_number(counts, #member, self->counts.member);
    COUNTS(X)
#undef X
    json_object_set_new(json, "counts", counts);
    put_number(json, "wall_ms", self->counts.wall_ms);
    put_number(json, "busy_ms", self->counts.busy_ms);
    return json;
}

int argosy_report_write_json(const argosy_report *self, FILE *out)
{
    json_t *json = ag_report_to_json(self);
    int rc = json == NULL                                                        ? ARGOSY_ENOMEM
             : json_dumpf(json, out, JSON_COMPACT | JSON_REAL_PRECISION(15)) < 0 ? ARGOSY_EIO
                                                                                 : 0;

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

/* ---- reading
 * ------------------------------------------------------------------------------------------ */

static const char *get_text(argosy_report *self, const json_t *json, const char *key)
{
    const json_t *text = json_object_get(json, key);

    if (!json_is_string(text))
        return "";
    return ag_report_text(self, ag_bytes_of(json_string_value(text), json_string_length(text)));
}

static uint64_t get_number(const json_t *json, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(json, key));

    return value > 0 ? (uint64_t)value : 0;
}

static void get_attempts(argosy_report *self, struct argosy_node *node, const json_t *list)
{
    size_t count = json_array_size(list);
    struct argosy_attempt *attempts = ag_report_room(self, count * sizeof *attempts + 1);

    for (size_t i = 0; attempts != NULL && i < count; i++) {
        const json_t *item = json_array_get(list, i);

        attempts[i] =
            (struct argosy_attempt){.attempt = (uint32_t)get_number(item, "attempt"),
                                    .run_ms = (uint32_t)get_number(item, "run_ms"),
                                    .started_unix_ms = get_number(item, "started_unix_ms"),
                                    .worker = get_text(self, item, "worker"),
                                    .type = get_text(self, item, "type"),
                                    .message = get_text(self, item, "message")};
        node->attempts_count++;
    }
    node->attempts = attempts;
}

static void get_detail(argosy_report *self, struct argosy_node *node, const json_t *detail)
{
    struct ag_buffer buffer = ag_buffer_empty(AG_RESULT_BYTES_MAX);

    if (ag_json_to_msgpack(detail, &buffer) == 0) {
        node->detail = ag_report_text(self, ag_buffer_bytes(&buffer));
        node->detail_size = buffer.size;
    }
    ag_buffer_free(&buffer);
}

static struct argosy_node *from_json(argosy_report *self, const json_t *json)
{
    const json_t *errors = json_object_get(json, "errors");
    const json_t *samples = json_object_get(json, "samples");
    const json_t *children = errors != NULL ? errors : samples, *item;
    struct argosy_node *node = ag_report_node(self, errors != NULL    ? ARGOSY_GROUP
                                                    : samples != NULL ? ARGOSY_FOLD
                                                                      : ARGOSY_LEAF);
    size_t i;

    if (node == NULL)
        return NULL;
    node->message = get_text(self, json, "message");
    node->error_type = get_text(self, json, "type");
    node->kind = get_text(self, json, "kind");
    node->subject = get_text(self, json, "subject");
    node->job = get_text(self, json, "job");
    node->worker = get_text(self, json, "worker");
    node->host = node->type == ARGOSY_FOLD
                     ? get_text(self, json, "host")
                     : ag_report_text(self, ag_report_host(ag_bytes_of_text(node->subject)));
    node->retryable = json_is_true(json_object_get(json, "retryable"));
    node->attempt = (uint32_t)get_number(json, "attempt");
    node->attempts_max = (uint32_t)get_number(json, "attempts_max");
    if (node->type == ARGOSY_FOLD)
        node->count = get_number(json, "count");
    get_attempts(self, node, json_object_get(json, "attempts"));
    if (json_is_object(json_object_get(json, "detail")))
        get_detail(self, node, json_object_get(json, "detail"));
    json_array_foreach(json_object_get(json, "notes"), i, item) ag_report_add_note(
        self, node, ag_bytes_of(json_string_value(item), json_string_length(item)));
    json_array_foreach(children, i, item) ag_report_add_child(self, node, from_json(self, item));
    return node;
}

int argosy_report_read_msgpack(argosy_report **out, const void *data, size_t size,
                               struct argosy_error *err)
{
    argosy_report *self;
    json_t *json;
    int rc = ag_json_from_msgpack(ag_bytes_of(data, size), &json, err);

    *out = NULL;
    if (rc < 0)
        return rc;
    if (!json_is_array(json_object_get(json, "errors")) ||
        !json_is_object(json_object_get(json, "counts"))) {
        json_decref(json);
        return ag_fail(err, ARGOSY_EPROTO, "not a report: it needs 'errors' and 'counts'");
    }
    self = argosy_report_new("");
    if (self != NULL) {
        const json_t *counts = json_object_get(json, "counts");

        self->root = from_json(self, json);
#define X(member) self->counts.member = get_number(counts, #member);
        COUNTS(X)
#undef X
        self->counts.wall_ms = get_number(json, "wall_ms");
        self->counts.busy_ms = get_number(json, "busy_ms");
        if (self->failed)
            argosy_report_destroy(&self);
    }
    json_decref(json);
    *out = self;
    return self != NULL ? 0 : ag_fail(err, ARGOSY_ENOMEM, "no memory for a report");
}
