#include "worker/fetch/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/wire.h"
#include "worker/fetch/encode.h"

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
    return copy_text(&out->asked, reader, URL_BYTES_MAX);
}

static bool read_base(struct request *out, struct ag_reader *reader)
{
    return copy_text(&out->base, reader, URL_BYTES_MAX);
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
    out->bodies++;
    return true;
}

static bool read_path(char **out, struct ag_reader *reader)
{
    return copy_text(out, reader, 4096) && (*out)[0] == '/';
}

static bool read_data_file(struct request *out, struct ag_reader *reader)
{
    out->bodies++;
    return read_path(&out->data_file, reader);
}

static bool read_auth(struct request *out, struct ag_reader *reader)
{
    uint32_t pairs = ag_read_map(reader);
    struct ag_bytes how = ag_read_text(reader, AG_NAME_BYTES_MAX);

    out->auth = ag_bytes_are(how, "bearer")  ? FETCH_AUTH_BEARER
                : ag_bytes_are(how, "basic") ? FETCH_AUTH_BASIC
                                             : FETCH_AUTH_NONE;
    return pairs == 1 && out->auth != FETCH_AUTH_NONE &&
           copy_text(&out->secret, reader, AG_NAME_BYTES_MAX);
}

static bool read_proxy(struct request *out, struct ag_reader *reader)
{
    return copy_text(&out->proxy, reader, URL_BYTES_MAX);
}

static bool read_cookies(struct request *out, struct ag_reader *reader)
{
    return copy_text(&out->cookies, reader, AG_NAME_BYTES_MAX);
}

static bool read_http(struct request *out, struct ag_reader *reader)
{
    struct ag_bytes text = ag_read_text(reader, 16);

    out->http = ag_bytes_are(text, "1.1") ? FETCH_HTTP_1_1
                : ag_bytes_are(text, "2") ? FETCH_HTTP_2
                                          : FETCH_HTTP_AUTO;
    return !reader->failed && (out->http != FETCH_HTTP_AUTO || ag_bytes_are(text, "auto"));
}

/* "404", "500-599" or "3xx". */
static bool parse_range(struct ag_bytes text, struct status_range *out)
{
    unsigned first, last;
    char copy[16], extra;

    if (text.size == 0 || text.size >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    if (text.size == 3 && strcmp(copy + 1, "xx") == 0 && copy[0] >= '1' && copy[0] <= '9') {
        first = 100u * (unsigned)(copy[0] - '0');
        last = first + 99;
    } else if (strspn(copy, "0123456789-") != text.size ||
               sscanf(copy, "%3u-%3u%c", &first, &last, &extra) != 2) {
        if (strspn(copy, "0123456789") != 3 || text.size != 3)
            return false;
        first = last = (unsigned)strtoul(copy, NULL, 10);
    }
    *out = (struct status_range){(uint16_t)first, (uint16_t)last};
    return first >= 100 && first <= last && last <= 999;
}

static bool read_accept_status(struct request *out, struct ag_reader *reader)
{
    uint32_t count = ag_read_array(reader);

    if (reader->failed || count == 0 || count > FETCH_ACCEPT_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct ag_reader again = *reader;
        struct status_range *range = &out->accepted[i];
        uint64_t whole = ag_read_whole(&again, 999);

        if (!again.failed) {
            *reader = again;
            *range = (struct status_range){(uint16_t)whole, (uint16_t)whole};
            if (whole < 100)
                return false;
        } else if (!parse_range(ag_read_text(reader, 16), range)) {
            return false;
        }
    }
    out->accepted_count = count;
    return true;
}

static bool read_accept_types(struct request *out, struct ag_reader *reader)
{
    uint32_t count = ag_read_array(reader);

    if (reader->failed || count == 0 || count > FETCH_ACCEPT_MAX)
        return false;
    for (; out->types_count < count; out->types_count++) {
        char **type = &out->types[out->types_count];

        if (!copy_text(type, reader, 128) || strchr(*type, '/') == NULL ||
            strpbrk(*type, "; ,") != NULL)
            return false;
    }
    return true;
}

static bool read_bool(bool *out, struct ag_reader *reader)
{
    *out = ag_read_bool(reader);
    return !reader->failed;
}

static bool read_resume(struct request *out, struct ag_reader *reader)
{
    return read_bool(&out->resume, reader);
}

static bool read_idempotent(struct request *out, struct ag_reader *reader)
{
    return read_bool(&out->idempotent, reader);
}

static bool read_robots(struct request *out, struct ag_reader *reader)
{
    return read_bool(&out->robots, reader);
}

static bool read_condition(struct request *out, const char *name, struct ag_reader *reader)
{
    struct ag_bytes value = ag_read_text(reader, FETCH_HEADER_BYTES_MAX);

    out->is_conditional = true;
    return !reader->failed && value.size > 0 && add_header(out, ag_bytes_of_text(name), value);
}

static bool read_none_match(struct request *out, struct ag_reader *reader)
{
    return read_condition(out, "If-None-Match", reader);
}

static bool read_modified_since(struct request *out, struct ag_reader *reader)
{
    return read_condition(out, "If-Modified-Since", reader);
}

static bool read_pages(struct request *out, struct ag_reader *reader)
{
    out->pages = (uint32_t)ag_read_whole(reader, FETCH_PAGES_MAX);
    return !reader->failed;
}

static bool read_warc(struct request *out, struct ag_reader *reader)
{
    return read_path(&out->warc, reader);
}

static bool read_head(struct request *out, struct ag_reader *reader)
{
    return read_bool(&out->head, reader);
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
    return read_path(&out->file, reader);
}

static bool read_sha256(struct request *out, struct ag_reader *reader)
{
    return copy_text(&out->sha256, reader, 64) &&
           strspn(out->sha256, "0123456789abcdefABCDEF") == 64;
}

static bool read_ca_file(struct request *out, struct ag_reader *reader)
{
    return read_path(&out->ca_file, reader);
}

static bool read_max_bytes(struct request *out, struct ag_reader *reader)
{
    out->max_bytes = ag_read_whole(reader, UINT64_MAX);
    return !reader->failed && out->max_bytes > 0;
}

static bool read_max_wire_bytes(struct request *out, struct ag_reader *reader)
{
    out->max_wire_bytes = ag_read_whole(reader, UINT64_MAX);
    return !reader->failed && out->max_wire_bytes > 0;
}

static bool read_max_ratio(struct request *out, struct ag_reader *reader)
{
    out->max_ratio = (uint32_t)ag_read_whole(reader, UINT32_MAX);
    return !reader->failed;
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
    {"base_url", read_base, "a URL of at most 8192 bytes"},
    {"method", read_method, "a word such as GET"},
    {"headers", read_headers, "a map of at most 128 names and values without line ends"},
    {"data", read_data, "text or bytes"},
    {"data_file", read_data_file, "an absolute path"},
    {"form", encode_form, "a map of names to texts or arrays of texts"},
    {"json", encode_json, "a value"},
    {"auth", read_auth, "{\"bearer\": NAME} or {\"basic\": NAME}, a secret of the worker"},
    {"proxy", read_proxy, "a URL"},
    {"cookies", read_cookies, "a jar's name"},
    {"http", read_http, "auto, 1.1 or 2"},
    {"accept_status", read_accept_status, "1-32 of codes such as 404, \"500-599\", \"3xx\""},
    {"accept_types", read_accept_types, "1-32 media types such as text/html, text/*"},
    {"if_none_match", read_none_match, "an ETag"},
    {"if_modified_since", read_modified_since, "an HTTP date"},
    {"resume", read_resume, "true or false"},
    {"idempotent", read_idempotent, "true or false"},
    {"robots", read_robots, "true or false"},
    {"pages", read_pages, "a whole number (0-1000)"},
    {"warc", read_warc, "an absolute path"},
    {"max_wire_bytes", read_max_wire_bytes, "a whole number from 1"},
    {"max_ratio", read_max_ratio, "a whole number"},
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

/* The type of a body that we encoded, unless the job has one of its own. */
static bool settle_data_type(struct request *self)
{
    if (self->data_type == NULL)
        return true;
    for (const struct curl_slist *at = self->headers; at != NULL; at = at->next)
        if (strncasecmp(at->data, "Content-Type:", 13) == 0)
            return true;
    return add_header(self, ag_bytes_of_text("Content-Type"), ag_bytes_of_text(self->data_type));
}

/* Methods that libcurl knows are left to it: it waits for no body after a HEAD. */
static const char *settle_method(struct request *self)
{
    bool has_data = self->data != NULL || self->data_file != NULL;

    if (is_method(self, "HEAD")) {
        self->head = true;
        leave_method_to_libcurl(self);
    }
    if (self->head)
        return self->method != NULL ? "'method' must be HEAD when 'head' is true"
               : has_data           ? "'data' cannot go with a HEAD request"
               : self->file != NULL ? "'file' cannot go with a HEAD request: its answer has no body"
               : self->sha256 != NULL
                   ? "'sha256' cannot go with a HEAD request: its answer has no body"
                   : NULL;
    if (!has_data &&
        (is_method(self, "POST") || is_method(self, "PUT") || is_method(self, "PATCH"))) {
        self->data = strdup(""); /* servers want Content-Length: 0 */
        if (self->data == NULL)
            return "no memory for the request";
    }
    if (is_method(self, self->data != NULL || has_data ? "POST" : "GET"))
        leave_method_to_libcurl(self);
    if (!settle_data_type(self))
        return "no memory for the request";
    return NULL;
}

/* What does not go together. */
static const char *settle(struct request *self)
{
    if (self->asked == NULL)
        return "'url' is missing";
    if (self->body == FETCH_BODY_FILE && self->file == NULL)
        return "'file' must say where the body goes when 'body' is file";
    if (self->body != FETCH_BODY_FILE && self->file != NULL)
        return "'file' needs 'body' to be file";
    if (self->bodies > 1)
        return "'data', 'data_file', 'form' and 'json' cannot go together: a request has one body";
    if (self->resume && (self->body != FETCH_BODY_FILE || self->warc != NULL))
        return "'resume' needs 'body' to be file, and no 'warc'";
    if (self->pages > 0 && (self->body == FETCH_BODY_FILE || self->sha256 != NULL))
        return "'pages' cannot go with 'body' file or 'sha256'";
    if (self->max_wire_bytes == 0)
        self->max_wire_bytes = self->max_bytes;
    return settle_method(self);
}

const char *request_read(struct request *out, struct ag_bytes payload, char reason[256])
{
    struct ag_reader reader = ag_reader_of(payload);
    const char *wrong;

    *out = (struct request){.max_bytes = 1u << 30,
                            .max_ratio = FETCH_RATIO_MAX,
                            .max_redirects = 10,
                            .connect_ms = 10000,
                            .first_byte_ms = 30000,
                            .idle_ms = 30000,
                            .total_ms = 60000};
    if (ag_wire_check(payload, AG_WIRE_DEPTH_MAX, AG_BODY_OBJECTS_MAX) < 0)
        return "the payload is not msgpack";
    wrong = read_fields(out, &reader, reason);
    return wrong != NULL ? wrong : settle(out);
}

const char *request_read_url(struct request *self)
{
    return url_read(&self->url, self->asked, self->base);
}

void request_fini(struct request *self)
{
    free(self->asked);
    free(self->base);
    url_fini(&self->url);
    free(self->method);
    curl_slist_free_all(self->headers);
    free(self->data);
    free(self->data_file);
    free(self->secret);
    free(self->proxy);
    free(self->cookies);
    for (unsigned i = 0; i < FETCH_ACCEPT_MAX; i++)
        free(self->types[i]);
    free(self->warc);
    free(self->file);
    free(self->sha256);
    free(self->ca_file);
    *self = (struct request){0};
}

/* ---- questions
 * --------------------------------------------------------------------------------------- */

bool request_accepts_status(const struct request *self, long status)
{
    if (self->accepted_count == 0)
        return status < 400;
    for (unsigned i = 0; i < self->accepted_count; i++)
        if (status >= self->accepted[i].first && status <= self->accepted[i].last)
            return true;
    return status == 304 && self->is_conditional;
}

bool request_accepts_type(const struct request *self, const char *type)
{
    size_t size = strcspn(type, "; \t");

    for (unsigned i = 0; i < self->types_count; i++) {
        const char *wanted = self->types[i];
        size_t whole = strlen(wanted);

        if (whole == size && strncasecmp(wanted, type, size) == 0)
            return true;
        if (whole >= 2 && wanted[whole - 1] == '*' && wanted[whole - 2] == '/' && size >= whole &&
            strncasecmp(wanted, type, whole - 1) == 0)
            return true;
        if (strcmp(wanted, "*/*") == 0)
            return true;
    }
    return self->types_count == 0;
}

const char *request_method(const struct request *self)
{
    return self->method != NULL                            ? self->method
           : self->head                                    ? "HEAD"
           : self->data != NULL || self->data_file != NULL ? "POST"
                                                           : "GET";
}

bool request_may_be_repeated(const struct request *self)
{
    const char *method = request_method(self);

    return self->idempotent ||
           (strcasecmp(method, "POST") != 0 && strcasecmp(method, "PATCH") != 0);
}
