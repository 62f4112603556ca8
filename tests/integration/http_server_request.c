#include "tests/integration/http_server_request.h"

#include <ctype.h>
#include <strings.h>

/* ---- text ----------------------------------------------------------------------------------- */

static struct ag_bytes from(struct ag_bytes text, size_t offset)
{
    return ag_bytes_of(text.data + offset, text.size - offset);
}

/* Cut at the first `mark`: returns what stands before it, *rest becomes what follows it. Without a
 * mark everything is returned and *rest becomes absent. */
static struct ag_bytes cut(struct ag_bytes *rest, char mark)
{
    struct ag_bytes all = *rest;
    const uint8_t *at = all.size ? memchr(all.data, mark, all.size) : NULL;

    if (at == NULL) {
        *rest = ag_bytes_of(NULL, 0);
        return all;
    }
    *rest = from(all, (size_t)(at - all.data) + 1);
    return ag_bytes_of(all.data, (size_t)(at - all.data));
}

static struct ag_bytes trim(struct ag_bytes text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = from(text, 1);
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

static bool same_word(struct ag_bytes text, const char *word)
{
    return text.size == strlen(word) && strncasecmp((const char *)text.data, word, text.size) == 0;
}

/* RFC 9110, 5.6.2: what methods and header names are made of. */
static bool is_token(struct ag_bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!isalnum(text.data[i]) &&
            (text.data[i] == 0 || !strchr("!#$%&'*+-.^_`|~", text.data[i])))
            return false;
    return text.size > 0;
}

static bool has_control(struct ag_bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((text.data[i] < ' ' && text.data[i] != '\t') || text.data[i] == 127)
            return true;
    return false;
}

static bool parse_length(struct ag_bytes text, uint64_t *length)
{
    *length = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (!isdigit(text.data[i]) || *length > UINT64_MAX / 10 - 1)
            return false;
        *length = *length * 10 + (uint64_t)(text.data[i] - '0');
    }
    return text.size > 0;
}

bool header_has_word(struct ag_bytes list, const char *word)
{
    while (list.data != NULL) {
        struct ag_bytes item = cut(&list, ',');

        if (same_word(trim(cut(&item, ';')), word))
            return true;
    }
    return false;
}

/* ---- the head ------------------------------------------------------------------------------- */

unsigned request_head_size(struct ag_bytes bytes, size_t *scanned, size_t *size)
{
    /* Anything else is not HTTP: most likely TLS on the wrong port. Waiting for lines that never
     * come would hide that. */
    if (bytes.size > 0 && !isupper(bytes.data[0]))
        return 400;
    while (*scanned < bytes.size) {
        const uint8_t *lf = memchr(bytes.data + *scanned, '\n', bytes.size - *scanned);
        size_t at;

        if (lf == NULL) {
            *scanned = bytes.size;
            break;
        }
        at = (size_t)(lf - bytes.data);
        if (at == 0 || bytes.data[at - 1] != '\r')
            return 400;
        *scanned = at + 1;
        if (at >= 3 && bytes.data[at - 2] == '\n') {
            *size = at + 1;
            return *size > REQUEST_HEAD_MAX ? 431 : 0;
        }
    }
    return bytes.size > REQUEST_HEAD_MAX ? 431 : 100;
}

bool request_next_header(struct ag_bytes *rest, struct header *header)
{
    struct ag_bytes line;

    if (rest->size == 0)
        return false;
    line = cut(rest, '\n');
    if (line.size > 0)
        line.size--; /* \r: request_head_size() has seen it */
    if (line.size == 0)
        return false;
    header->name = cut(&line, ':');
    header->value = trim(line);
    return true;
}

bool request_header(const struct request *self, const char *name, struct ag_bytes *value)
{
    struct ag_bytes rest = self->fields;
    struct header header;

    while (request_next_header(&rest, &header))
        if (same_word(header.name, name)) {
            *value = header.value;
            return true;
        }
    return false;
}

static unsigned parse_line(struct request *self, struct ag_bytes line)
{
    struct ag_bytes version, path;

    self->method = cut(&line, ' ');
    self->target = cut(&line, ' ');
    version = line;
    if (!is_token(self->method) || self->target.size == 0 || has_control(self->target))
        return 400;
    if (ag_bytes_are(version, "HTTP/1.0"))
        self->is_http_10 = true;
    else if (!ag_bytes_are(version, "HTTP/1.1"))
        return version.size > 5 && memcmp(version.data, "HTTP/", 5) == 0 ? 505 : 400;
    self->is_head = ag_bytes_are(self->method, "HEAD");

    path = self->target;
    if (path.size > 7 && strncasecmp((const char *)path.data, "http", 4) == 0) {
        const uint8_t *authority = memmem(path.data, path.size, "://", 3);
        const uint8_t *slash;

        if (authority == NULL) /* absolute form, as proxies get it */
            return 400;
        path = from(path, (size_t)(authority + 3 - path.data));
        slash = memchr(path.data, '/', path.size);
        path = slash ? from(path, (size_t)(slash - path.data)) : ag_bytes_of_text("/");
        self->target = path;
    }
    self->path = cut(&path, '?');
    self->query = path;
    if (self->path.size == 0 || (self->path.data[0] != '/' && !ag_bytes_are(self->path, "*")))
        return 400;
    return 0;
}

/* What of a header concerns us. `seen_*` belong to request_parse(). */
static unsigned take_header(struct request *self, const struct header *header, bool *has_length)
{
    if (!is_token(header->name) || header->value.data == NULL || has_control(header->value))
        return 400;
    if (same_word(header->name, "Content-Length")) {
        if (*has_length || !parse_length(header->value, &self->content_length))
            return 400;
        *has_length = true;
    } else if (same_word(header->name, "Transfer-Encoding")) {
        if (!same_word(header->value, "chunked"))
            return 501;
        self->is_chunked = true;
    } else if (same_word(header->name, "Connection")) {
        if (header_has_word(header->value, "close"))
            self->keep_alive = false;
        else if (header_has_word(header->value, "keep-alive"))
            self->keep_alive = true;
    } else if (same_word(header->name, "Expect")) {
        if (!same_word(header->value, "100-continue"))
            return 417;
        self->expects_continue = true;
    }
    return 0;
}

unsigned request_parse(struct request *self, struct ag_bytes head)
{
    struct ag_bytes line, rest;
    struct header header;
    bool has_length = false;
    unsigned refusal;

    *self = (struct request){0};
    line = cut(&head, '\n');
    line.size -= line.size > 0; /* \r */
    refusal = parse_line(self, line);
    if (refusal != 0)
        return refusal;
    self->keep_alive = !self->is_http_10;
    self->fields = head;
    for (rest = head; request_next_header(&rest, &header);) {
        refusal = take_header(self, &header, &has_length);
        if (refusal != 0)
            return refusal;
    }
    /* RFC 9112: 3.2 (one Host), 6.1 (both lengths at once is how requests are smuggled). */
    if ((!self->is_http_10 && !request_header(self, "Host", &line)) ||
        (self->is_chunked && has_length))
        return 400;
    return 0;
}

/* ---- the query ------------------------------------------------------------------------------ */

static int hex_digit(uint8_t c)
{
    if (!isxdigit(c))
        return -1;
    return isdigit(c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

static enum query decode(struct ag_bytes text, struct ag_buffer *out)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];

        if (byte == '%') {
            int high = i + 2 < text.size ? hex_digit(text.data[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text.data[i + 2]) : -1;

            if (low < 0)
                return QUERY_BROKEN;
            byte = (uint8_t)(high << 4 | low);
            i += 2;
        }
        if (has_control(ag_bytes_of(&byte, 1)))
            return QUERY_BROKEN;
        ag_buffer_append(out, &byte, 1);
    }
    return QUERY_FOUND;
}

enum query request_query(const struct request *self, const char *name, struct ag_buffer *out)
{
    struct ag_bytes rest = self->query;

    while (rest.data != NULL) {
        struct ag_bytes value = cut(&rest, '&');
        struct ag_bytes key = cut(&value, '=');

        if (value.data != NULL && ag_bytes_are(key, name))
            return decode(value, out);
    }
    return QUERY_ABSENT;
}

/* ---- the body ------------------------------------------------------------------------------- */

struct body body_begin(const struct request *request)
{
    struct body self = {.framing_left = REQUEST_FRAMING_MAX, .left = request->content_length};

    if (request->is_chunked)
        self.state = BODY_CHUNK_SIZE;
    else
        self.state = self.left > 0 ? BODY_LENGTH : BODY_DONE;
    return self;
}

/* One byte of what stands around the data. */
static enum body_state body_framing(struct body *self, uint8_t byte)
{
    if (self->framing_left-- == 0)
        return BODY_BROKEN;
    if (byte != '\n') {
        self->line_size += byte != '\r';
        if (self->state == BODY_CHUNK_SIZE && isxdigit(byte)) {
            if (self->left >> 56 != 0)
                return BODY_BROKEN;
            self->left =
                self->left * 16 + (uint64_t)(isdigit(byte) ? byte - '0' : (byte | 0x20) - 'a' + 10);
            return BODY_CHUNK_SIZE;
        }
        if (self->state == BODY_CHUNK_SIZE && byte == ';' && self->line_size > 1)
            return BODY_CHUNK_EXTENSION;
        if (self->state == BODY_CHUNK_EXTENSION || self->state == BODY_TRAILER || byte == '\r')
            return self->state;
        return BODY_BROKEN;
    }
    if (self->state == BODY_TRAILER) {
        bool is_last = self->line_size == 0;

        self->line_size = 0;
        return is_last ? BODY_DONE : BODY_TRAILER;
    }
    if (self->state == BODY_CHUNK_END) {
        self->left = self->line_size = 0;
        return BODY_CHUNK_SIZE;
    }
    if (self->line_size == 0) /* a chunk without a size */
        return BODY_BROKEN;
    self->line_size = 0;
    return self->left > 0 ? BODY_CHUNK_DATA : BODY_TRAILER;
}

size_t body_decode(struct body *self, struct ag_bytes bytes, struct ag_buffer *keep)
{
    size_t used = 0;

    while (used < bytes.size && self->state > BODY_BROKEN) {
        size_t count = bytes.size - used;

        if (self->state != BODY_LENGTH && self->state != BODY_CHUNK_DATA) {
            self->state = body_framing(self, bytes.data[used++]);
            continue;
        }
        if (count > self->left)
            count = (size_t)self->left;
        if (keep != NULL)
            ag_buffer_append(keep, bytes.data + used, count);
        used += count;
        self->left -= count;
        if (self->left == 0) {
            /* Framing is bounded per chunk: a long upload has many chunks. */
            self->framing_left = REQUEST_FRAMING_MAX;
            self->state = self->state == BODY_LENGTH ? BODY_DONE : BODY_CHUNK_END;
        }
    }
    return used;
}
