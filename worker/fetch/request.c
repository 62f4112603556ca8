#include "worker/fetch/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/wire.h"

/* Reads one value of the payload's map into the request. False: the value is not what it must be.
 */
typedef bool read_fn(struct request *out, struct ag_reader *reader);

static bool is_clean(struct ag_bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < 0x20 || text.data[i] == 0x7f)
            return false; /* neither a second header nor a second request can be smuggled in */
    return true;
}

static bool copy_text(char **out, struct ag_reader *reader, size_t size_max)
{
    struct ag_bytes text = ag_read_text(reader, size_max);

    if (reader->failed || text.size == 0 || !is_clean(text))
        return false;
    free(*out);
    *out = strndup((const char *)text.data, text.size);
    return *out != NULL;
}

static bool read_url(struct request *out, struct ag_reader *reader)
{
    return copy_text(&out->url, reader, FETCH_URL_BYTES_MAX);
}

static bool read_method(struct request *out, struct ag_reader *reader)
{
    if (!copy_text(&out->method, reader, 32))
        return false;
    for (const char *c = out->method; *c != '\0'; c++)
        if (!((*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') || *c == '-'))
            return false;
    return true;
}

/* RFC 9110 5.6.2: what a header's name is made of. */
static bool is_token(struct ag_bytes text)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < text.size; i++) {
        char c = (char)text.data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              memchr(marks, c, sizeof marks - 1) != NULL))
            return false;
    }
    return text.size > 0;
}

static bool add_header(struct request *out, struct ag_bytes name, struct ag_bytes value)
{
    char line[FETCH_HEADER_BYTES_MAX + 8];
    struct curl_slist *more;

    if (name.size + value.size > FETCH_HEADER_BYTES_MAX || !is_token(name) || !is_clean(value))
        return false;
    /* libcurl takes "Name:" for "leave it out" and "Name;" for an empty one. */
    snprintf(line, sizeof line, value.size > 0 ? "%.*s: %.*s" : "%.*s;%.*s", AG_TEXT(name),
             AG_TEXT(value));
    more = curl_slist_append(out->headers, line);
    if (more == NULL)
        return false;
    out->headers = more;
    return true;
}

static bool read_headers(struct request *out, struct ag_reader *reader)
{
    uint32_t pairs = ag_read_map(reader);

    if (reader->failed || pairs > FETCH_HEADERS_MAX)
        return false;
    for (uint32_t i = 0; i < pairs; i++) {
        struct ag_bytes name = ag_read_text(reader, FETCH_HEADER_BYTES_MAX);
        struct ag_bytes value = ag_read_text(reader, FETCH_HEADER_BYTES_MAX);

        if (reader->failed || !add_header(out, name, value))
            return false;
    }
    return true;
}

static bool read_data(struct request *out, struct ag_reader *reader)
{
    struct ag_reader again = *reader;
    struct ag_bytes bytes = ag_read_text(&again, AG_PAYLOAD_BYTES_MAX);

    if (again.failed) {
        again = *reader;
        bytes = ag_read_bin(&again, AG_PAYLOAD_BYTES_MAX);
    }
    *reader = again;
    if (reader->failed)
        return false;
    free(out->data);
    out->data = malloc(bytes.size + 1);
    if (out->data == NULL)
        return false;
    if (bytes.size > 0)
        memcpy(out->data, bytes.data, bytes.size);
    out->data_size = bytes.size;
    return true;
}

static bool read_head(struct request *out, struct ag_reader *reader)
{
    out->head = ag_read_bool(reader);
    return !reader->failed;
}

static bool read_body(struct request *out, struct ag_reader *reader)
{
    struct ag_bytes text = ag_read_text(reader, 16);

    if (ag_bytes_are(text, "inline"))
        out->body = FETCH_BODY_INLINE;
    else if (ag_bytes_are(text, "file"))
        out->body = FETCH_BODY_FILE;
    else if (ag_bytes_are(text, "none"))
        out->body = FETCH_BODY_NONE;
    else
        return false;
    return !reader->failed;
}

static bool read_file(struct request *out, struct ag_reader *reader)
{
    return copy_text(&out->file, reader, 4096) && out->file[0] == '/';
}

static bool read_sha256(struct request *out, struct ag_reader *reader)
{
    return copy_text(&out->sha256, reader, 64) &&
           strspn(out->sha256, "0123456789abcdefABCDEF") == 64;
}

static bool read_ca_file(struct request *out, struct ag_reader *reader)
{
    return copy_text(&out->ca_file, reader, 4096) && out->ca_file[0] == '/';
}

static bool read_max_bytes(struct request *out, struct ag_reader *reader)
{
    out->max_bytes = ag_read_whole(reader, UINT64_MAX);
    return !reader->failed && out->max_bytes > 0;
}

static bool read_max_redirects(struct request *out, struct ag_reader *reader)
{
    out->max_redirects = (uint32_t)ag_read_whole(reader, FETCH_REDIRECTS_MAX);
    return !reader->failed;
}

static bool read_ms(uint32_t *out, struct ag_reader *reader)
{
    *out = (uint32_t)ag_read_whole(reader, INT32_MAX);
    return !reader->failed && *out > 0;
}

static bool read_connect(struct request *out, struct ag_reader *reader)
{
    return read_ms(&out->connect_ms, reader);
}

static bool read_first_byte(struct request *out, struct ag_reader *reader)
{
    return read_ms(&out->first_byte_ms, reader);
}

static bool read_idle(struct request *out, struct ag_reader *reader)
{
    return read_ms(&out->idle_ms, reader);
}

static bool read_total(struct request *out, struct ag_reader *reader)
{
    return read_ms(&out->total_ms, reader);
}

static const struct field {
    const char *key;
    read_fn *read;
    const char *expected;
} fields[] = {
    {"url", read_url, "a text of at most 8192 bytes without control characters"},
    {"method", read_method, "a word such as GET"},
    {"headers", read_headers, "a map of at most 128 names and values without line ends"},
    {"data", read_data, "text or bytes"},
    {"head", read_head, "true or false"},
    {"body", read_body, "inline, file or none"},
    {"file", read_file, "an absolute path"},
    {"sha256", read_sha256, "64 hexadecimal digits"},
    {"ca_file", read_ca_file, "an absolute path"},
    {"max_bytes", read_max_bytes, "a whole number from 1"},
    {"max_redirects", read_max_redirects, "a whole number (0-50)"},
    {"connect_ms", read_connect, "milliseconds from 1"},
    {"first_byte_ms", read_first_byte, "milliseconds from 1"},
    {"idle_ms", read_idle, "milliseconds from 1"},
    {"total_ms", read_total, "milliseconds from 1"},
};

static const struct field *find(struct ag_bytes key)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (ag_bytes_are(key, fields[i].key))
            return &fields[i];
    return NULL;
}

static const char *read_fields(struct request *out, struct ag_reader *reader, char reason[256])
{
    uint32_t pairs = ag_read_map(reader);

    for (uint32_t i = 0; i < pairs && !reader->failed; i++) {
        struct ag_bytes key = ag_read_text(reader, AG_NAME_BYTES_MAX);
        const struct field *field = find(key);

        if (reader->failed)
            break;
        if (field == NULL) {
            ag_read_skip(reader);
        } else if (!field->read(out, reader)) {
            snprintf(reason, 256, "'%s' must be %s", field->key, field->expected);
            return reason;
        }
    }
    return reader->failed ? "the payload must be a map with text keys" : NULL;
}

static bool is_method(const struct request *self, const char *name)
{
    return self->method != NULL && strcmp(self->method, name) == 0;
}

static void leave_method_to_libcurl(struct request *self)
{
    free(self->method);
    self->method = NULL;
}

/* Methods that libcurl knows are left to it: it makes a GET of a POST that a 303 redirects, and
 * waits for no body after a HEAD. */
static const char *settle_method(struct request *self)
{
    if (is_method(self, "HEAD")) {
        self->head = true;
        leave_method_to_libcurl(self);
    }
    if (self->head)
        return self->method != NULL ? "'method' must be HEAD when 'head' is true"
               : self->data != NULL ? "'data' cannot go with a HEAD request"
               : self->file != NULL ? "'file' cannot go with a HEAD request: its answer has no body"
               : self->sha256 != NULL
                   ? "'sha256' cannot go with a HEAD request: its answer has no body"
                   : NULL;
    if (self->data == NULL &&
        (is_method(self, "POST") || is_method(self, "PUT") || is_method(self, "PATCH"))) {
        self->data = strdup(""); /* servers want Content-Length: 0 */
        if (self->data == NULL)
            return "no memory for the request";
    }
    if (is_method(self, self->data != NULL ? "POST" : "GET"))
        leave_method_to_libcurl(self);
    return NULL;
}

const char *request_read(struct request *out, struct ag_bytes payload, char reason[256])
{
    struct ag_reader reader = ag_reader_of(payload);
    const char *wrong;

    *out = (struct request){.max_bytes = 1u << 30,
                            .max_redirects = 10,
                            .connect_ms = 10000,
                            .first_byte_ms = 30000,
                            .idle_ms = 30000,
                            .total_ms = 60000};
    if (ag_wire_check(payload, AG_WIRE_DEPTH_MAX, AG_BODY_OBJECTS_MAX) < 0)
        return "the payload is not msgpack";
    wrong = read_fields(out, &reader, reason);
    if (wrong != NULL)
        return wrong;
    if (out->url == NULL)
        return "'url' is missing";
    if (out->body == FETCH_BODY_FILE && out->file == NULL)
        return "'file' must say where the body goes when 'body' is file";
    if (out->body != FETCH_BODY_FILE && out->file != NULL)
        return "'file' needs 'body' to be file";
    return settle_method(out);
}

void request_fini(struct request *self)
{
    free(self->url);
    free(self->method);
    curl_slist_free_all(self->headers);
    free(self->data);
    free(self->file);
    free(self->sha256);
    free(self->ca_file);
    *self = (struct request){0};
}
