#include "worker/fetch/warc_head.h"

#include <strings.h>

#include "common/error.h"

enum field_action { FIELD_RENAMED = 1, FIELD_RENAMED_WHEN_CHUNKED, FIELD_WITHHELD };

static const struct field {
    const char *name;
    enum field_action action;
} fields[] = {
    {"transfer-encoding", FIELD_RENAMED},
    {"content-length", FIELD_RENAMED_WHEN_CHUNKED},
    {"authorization", FIELD_WITHHELD},
    {"proxy-authorization", FIELD_WITHHELD},
};

static const struct version {
    const char *text, *protocol;
} versions[] = {{"HTTP/2", "h2"}, {"HTTP/2.0", "h2"}, {"HTTP/3", "h3"}, {"HTTP/3.0", "h3"}};

/* Takes the next line off *rest, without its end. False when no line ends. */
static bool take_line(struct ag_bytes *rest, struct ag_bytes *line)
{
    const uint8_t *end = rest->size > 0 ? memchr(rest->data, '\n', rest->size) : NULL;
    size_t size;

    if (end == NULL)
        return false;
    size = (size_t)(end - rest->data);
    *line = ag_bytes_of(rest->data, size > 0 && end[-1] == '\r' ? size - 1 : size);
    *rest = ag_bytes_of(end + 1, rest->size - size - 1);
    return true;
}

static bool has_name(struct ag_bytes line, const char *name)
{
    size_t size = strlen(name);

    if (line.size <= size || strncasecmp((const char *)line.data, name, size) != 0)
        return false;
    while (size < line.size && (line.data[size] == ' ' || line.data[size] == '\t'))
        size++;
    return size < line.size && line.data[size] == ':';
}

static bool is_continuation(struct ag_bytes line)
{
    return line.data[0] == ' ' || line.data[0] == '\t';
}

/* Whether one of the fields, up to the empty line, is Transfer-Encoding. */
static bool is_chunked(struct ag_bytes rest)
{
    struct ag_bytes line;

    while (take_line(&rest, &line) && line.size > 0)
        if (has_name(line, "transfer-encoding"))
            return true;
    return false;
}

/* "GET / HTTP/2" or "HTTP/2 200 OK". */
static void put_first_line(struct ag_buffer *out, struct ag_bytes line, const char **protocol)
{
    const char *text = (const char *)line.data;
    struct ag_bytes before = line, after = {0};
    bool is_response = line.size >= 5 && memcmp(text, "HTTP/", 5) == 0;

    *protocol = NULL;
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        const char *version = versions[i].text;
        size_t size = strlen(version);

        if (line.size < size)
            continue;
        if (memcmp(text, version, size) == 0 && (line.size == size || text[size] == ' ')) {
            before.size = 0;
            after = ag_bytes_of(line.data + size, line.size - size);
        } else if (!is_response && line.size > size && text[line.size - size - 1] == ' ' &&
                   memcmp(text + line.size - size, version, size) == 0) {
            before.size = line.size - size;
        } else {
            continue;
        }
        *protocol = versions[i].protocol;
        break;
    }
    ag_buffer_append(out, before.data, before.size);
    if (*protocol != NULL)
        ag_buffer_text(out, "HTTP/1.1");
    ag_buffer_append(out, after.data, after.size);
    ag_buffer_text(out, "\r\n");
}

/* Returns whether the lines that continue it must go too. */
static bool put_field(struct ag_buffer *out, struct ag_bytes line, bool chunked)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const struct field *field = &fields[i];

        if (!has_name(line, field->name))
            continue;
        if (field->action == FIELD_WITHHELD) {
            ag_buffer_append(out, line.data, strlen(field->name));
            ag_buffer_text(out, ": withheld\r\n");
            return true;
        }
        if (field->action == FIELD_RENAMED || chunked)
            ag_buffer_text(out, "X-Crawler-");
        break;
    }
    ag_buffer_append(out, line.data, line.size);
    ag_buffer_text(out, "\r\n");
    return false;
}

int warc_head_write(struct ag_bytes message, struct ag_buffer *out, struct ag_bytes *body,
                    const char **protocol, struct argosy_error *err)
{
    bool chunked, withheld = false;
    struct ag_bytes line;

    if (!take_line(&message, &line) || line.size == 0)
        return ag_fail(err, ARGOSY_EINVAL, "an HTTP message must begin with a line");
    put_first_line(out, line, protocol);
    chunked = is_chunked(message);
    for (;;) {
        if (!take_line(&message, &line))
            return ag_fail(err, ARGOSY_EINVAL, "the head of an HTTP message must end");
        if (line.size == 0)
            break;
        if (!is_continuation(line))
            withheld = put_field(out, line, chunked);
        else if (!withheld)
            withheld = put_field(out, line, false);
    }
    ag_buffer_text(out, "\r\n");
    if (out->failed)
        return ag_fail(err, ARGOSY_ETOOBIG, "the head of an HTTP message has more than %zu bytes",
                       out->size_max);
    *body = message;
    return 0;
}
