/* A body that may be asked for in parts: RFC 9110, 13.1.5 (If-Range) and 14; and servers that only
 * seem to do that. */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/integration/http_server_answer.h"
#include "tests/integration/http_server_serve.h"

enum {
    RANGE_KEY_MAX = 8 << 10, /* bytes; a whole target */
    RANGE_WORD_MAX = 16,
    RANGE_TAG_MAX = 128,
    VERSION_SHIFT = 7, /* where the pattern begins moves with each version: a mix is noticed */
};

enum manner {
    AS_RIGHT,
    AS_IGNORE,  /* 200 to every Range */
    AS_NEWETAG, /* another version, with other bytes, at each request */
    AS_OTHER,   /* 206 with all from one byte earlier on, and it says so */
    AS_TOTAL,   /* Content-Range with a wrong total */
    AS_BARE,    /* 206 without Content-Range */
    AS_416,     /* to every Range */
    AS_WEAK,    /* ETag: W/"..." */
    AS_PLAIN,   /* neither ETag nor Last-Modified */
    MANNERS_COUNT
};

struct resource {
    enum manner manner;
    uint64_t size, version;
    uint64_t cut; /* bytes of the body; UINT64_MAX: all */
    char tag[RANGE_TAG_MAX], date[32];
};

enum asked { ASKED_WHOLE, ASKED_PART, ASKED_BEYOND };

static bool read_manner(const struct conn *conn, enum manner *manner)
{
    static const char *const names[MANNERS_COUNT] = {
        [AS_RIGHT] = "",      [AS_IGNORE] = "ignore", [AS_NEWETAG] = "newetag",
        [AS_OTHER] = "other", [AS_TOTAL] = "total",   [AS_BARE] = "bare",
        [AS_416] = "416",     [AS_WEAK] = "weak",     [AS_PLAIN] = "plain",
    };
    struct ag_buffer word = ag_buffer_empty(RANGE_WORD_MAX);
    enum query query = request_query(&conn->exchange.request, "as", &word);
    const char *text = ag_buffer_as_text(&word);

    *manner = AS_RIGHT;
    while (*manner < MANNERS_COUNT && strcmp(names[*manner], text) != 0)
        (*manner)++;
    ag_buffer_free(&word);
    return query != QUERY_BROKEN && *manner < MANNERS_COUNT;
}

/* Its key is counted apart from those of /flaky; without one the target is the key. */
static struct flaky_key *find_key(struct conn *conn)
{
    const struct request *request = &conn->exchange.request;
    struct ag_buffer text = ag_buffer_empty(RANGE_KEY_MAX);
    struct flaky_key *key = NULL;

    ag_buffer_text(&text, "/range/");
    if (request_query(request, "key", &text) == QUERY_ABSENT)
        ag_buffer_append(&text, request->target.data, request->target.size);
    if (!text.failed)
        key = flaky_find(&conn->server->flaky, ag_buffer_bytes(&text));
    ag_buffer_free(&text);
    return key;
}

static bool read_resource(struct conn *conn, struct resource *self)
{
    const struct exchange *x = &conn->exchange;
    struct flaky_key *key = find_key(conn);
    uint64_t times;

    *self = (struct resource){.size = x->numbers[0]};
    if (key == NULL || !read_manner(conn, &self->manner) ||
        !answer_query_number(conn, "cut", INT64_MAX, UINT64_MAX, &self->cut) ||
        !answer_query_number(conn, "times", INT32_MAX, 1, &times))
        return false;
    if (key->count >= times)
        self->cut = UINT64_MAX;
    if (self->manner == AS_NEWETAG)
        self->version = key->count;
    key->count++;
    snprintf(
        self->tag, sizeof self->tag, "%s\"%.*s%s%" PRIu64 "\"", self->manner == AS_WEAK ? "W/" : "",
        (int)(x->text.size < RANGE_TAG_MAX / 2 ? x->text.size : RANGE_TAG_MAX / 2),
        x->text.data ? (const char *)x->text.data : "", x->text.data ? "-" : "v", self->version);
    snprintf(self->date, sizeof self->date, "Sat, 01 Jan 2022 00:00:%02u GMT",
             (unsigned)(self->version % 60));
    return true;
}

/* Does the client have it already? */
static bool is_known(const struct request *request, const struct resource *self)
{
    struct ag_bytes value;

    if (self->manner == AS_PLAIN)
        return false;
    if (request_header(request, "If-None-Match", &value))
        return header_has_word(value, self->tag) || header_has_word(value, "*");
    return request_header(request, "If-Modified-Since", &value) && ag_bytes_are(value, self->date);
}

/* A weak tag is never good for a part. */
static bool is_same_version(const struct request *request, const struct resource *self)
{
    struct ag_bytes value;

    if (!request_header(request, "If-Range", &value))
        return true;
    return self->manner != AS_PLAIN &&
           ((self->manner != AS_WEAK && ag_bytes_are(value, self->tag)) ||
            ag_bytes_are(value, self->date));
}

static bool take_number(const char **text, uint64_t *number)
{
    char *end;

    if (**text < '0' || **text > '9')
        return false;
    *number = strtoull(*text, &end, 10);
    *text = end;
    return true;
}

/* What is no single range of bytes may be ignored, and is. */
static enum asked read_range(struct ag_bytes value, uint64_t size, uint64_t *first, uint64_t *last)
{
    char copy[64];
    const char *text = copy;

    snprintf(copy, sizeof copy, "%.*s", AG_TEXT(value));
    if (value.size >= sizeof copy || strncmp(text, "bytes=", 6) != 0)
        return ASKED_WHOLE;
    text += 6;
    *last = size - 1;
    if (*text == '-') { /* the last so many */
        uint64_t count;

        text++;
        if (!take_number(&text, &count) || *text != '\0')
            return ASKED_WHOLE;
        *first = count < size ? size - count : 0;
        return count > 0 && size > 0 ? ASKED_PART : ASKED_BEYOND;
    }
    if (!take_number(&text, first) || *text++ != '-')
        return ASKED_WHOLE;
    if (*text != '\0' && (!take_number(&text, last) || *text != '\0' || *last < *first))
        return ASKED_WHOLE;
    if (*first >= size)
        return ASKED_BEYOND;
    if (*last >= size)
        *last = size - 1;
    return ASKED_PART;
}

static void say_version(struct conn *conn, const struct resource *self)
{
    if (self->manner != AS_IGNORE)
        ag_buffer_text(&conn->out, "Accept-Ranges: bytes\r\n");
    if (self->manner != AS_PLAIN)
        ag_buffer_printf(&conn->out, "ETag: %s\r\nLast-Modified: %s\r\n", self->tag, self->date);
}

static enum then send_bytes(struct conn *conn, const struct resource *self, uint64_t first,
                            uint64_t count)
{
    uint64_t offset = first + self->version * VERSION_SHIFT;

    say_version(conn, self);
    answer_end_head(conn, "application/octet-stream", (int64_t)count);
    if (self->cut < count)
        return answer_pattern_from(conn, offset, self->cut, THEN_CLOSE);
    return answer_pattern_from(conn, offset, count, THEN_END);
}

static enum then send_part(struct conn *conn, const struct resource *self, uint64_t first,
                           uint64_t last)
{
    if (self->manner == AS_OTHER && first > 0)
        first--;
    answer_begin(conn, 206);
    if (self->manner != AS_BARE)
        ag_buffer_printf(&conn->out, "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n",
                         first, last, self->size + (self->manner == AS_TOTAL));
    return send_bytes(conn, self, first, last - first + 1);
}

enum then serve_range(struct conn *conn)
{
    const struct request *request = &conn->exchange.request;
    enum asked asked = ASKED_WHOLE;
    struct resource self;
    struct ag_bytes value;
    uint64_t first = 0, last = 0;

    if (!read_resource(conn, &self))
        return answer_bad_query(conn);
    if (is_known(request, &self)) {
        answer_begin(conn, 304);
        say_version(conn, &self);
        answer_end_head(conn, NULL, 0);
        return THEN_END;
    }
    if (request_header(request, "Range", &value) && self.manner != AS_IGNORE &&
        is_same_version(request, &self))
        asked = self.manner == AS_416 ? ASKED_BEYOND : read_range(value, self.size, &first, &last);
    if (asked == ASKED_PART)
        return send_part(conn, &self, first, last);
    if (asked == ASKED_BEYOND) {
        answer_begin(conn, 416);
        ag_buffer_printf(&conn->out, "Content-Range: bytes */%" PRIu64 "\r\n", self.size);
        return answer_text(conn, "there is no such part");
    }
    answer_begin(conn, 200);
    return send_bytes(conn, &self, 0, self.size);
}
