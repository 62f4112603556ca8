#include "tests/integration/http_server_answer.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    COPIED_MAX = 4 << 10, /* bytes; bodies up to this go into the same buffer as their head */
    NUMBER_TEXT_MAX = 20, /* a number of a query, with the zero behind it */
};

const char *answer_reason(unsigned status)
{
    switch (status) {
#define X(code, text)                                                                              \
    case code:                                                                                     \
        return text;
        X(100, "Continue")
        X(101, "Switching Protocols")
        X(102, "Processing")
        X(103, "Early Hints")
        X(200, "OK")
        X(201, "Created")
        X(202, "Accepted")
        X(203, "Non-Authoritative Information")
        X(204, "No Content")
        X(205, "Reset Content")
        X(206, "Partial Content")
        X(207, "Multi-Status")
        X(208, "Already Reported")
        X(226, "IM Used")
        X(300, "Multiple Choices")
        X(301, "Moved Permanently")
        X(302, "Found")
        X(303, "See Other")
        X(304, "Not Modified")
        X(305, "Use Proxy")
        X(307, "Temporary Redirect")
        X(308, "Permanent Redirect")
        X(400, "Bad Request")
        X(401, "Unauthorized")
        X(402, "Payment Required")
        X(403, "Forbidden")
        X(404, "Not Found")
        X(405, "Method Not Allowed")
        X(406, "Not Acceptable")
        X(407, "Proxy Authentication Required")
        X(408, "Request Timeout")
        X(409, "Conflict")
        X(410, "Gone")
        X(411, "Length Required")
        X(412, "Precondition Failed")
        X(413, "Content Too Large")
        X(414, "URI Too Long")
        X(415, "Unsupported Media Type")
        X(416, "Range Not Satisfiable")
        X(417, "Expectation Failed")
        X(418, "I'm a teapot")
        X(421, "Misdirected Request")
        X(422, "Unprocessable Content")
        X(423, "Locked")
        X(424, "Failed Dependency")
        X(425, "Too Early")
        X(426, "Upgrade Required")
        X(428, "Precondition Required")
        X(429, "Too Many Requests")
        X(431, "Request Header Fields Too Large")
        X(451, "Unavailable For Legal Reasons")
        X(500, "Internal Server Error")
        X(501, "Not Implemented")
        X(502, "Bad Gateway")
        X(503, "Service Unavailable")
        X(504, "Gateway Timeout")
        X(505, "HTTP Version Not Supported")
        X(506, "Variant Also Negotiates")
        X(507, "Insufficient Storage")
        X(508, "Loop Detected")
        X(511, "Network Authentication Required")
#undef X
    default:
        return "Unknown";
    }
}

void answer_begin(struct conn *conn, unsigned status)
{
    ag_buffer_printf(&conn->out, "HTTP/1.1 %u %s\r\n", status, answer_reason(status));
}

void answer_end_head(struct conn *conn, const char *type, int64_t length)
{
    const struct request *request = &conn->exchange.request;

    if (type != NULL)
        ag_buffer_printf(&conn->out, "Content-Type: %s\r\n", type);
    if (type != NULL && length != ANSWER_LENGTH_UNKNOWN)
        ag_buffer_printf(&conn->out, "Content-Length: %" PRId64 "\r\n", length);
    if (!request->keep_alive)
        ag_buffer_text(&conn->out, "Connection: close\r\n");
    else if (request->is_http_10)
        ag_buffer_text(&conn->out, "Connection: keep-alive\r\n");
    ag_buffer_text(&conn->out, "\r\n");
}

enum then answer_with(struct conn *conn, const char *type, struct ag_bytes body)
{
    answer_end_head(conn, type, (int64_t)body.size);
    if (conn->exchange.request.is_head)
        return THEN_END;
    if (body.size <= COPIED_MAX)
        ag_buffer_append(&conn->out, body.data, body.size);
    else
        conn->span = body;
    return THEN_END;
}

enum then answer_text(struct conn *conn, const char *why)
{
    char text[160];

    snprintf(text, sizeof text, "%s\n", why);
    return answer_with(conn, "text/plain", ag_bytes_of_text(text));
}

enum then answer_say(struct conn *conn, unsigned status, const char *why)
{
    answer_begin(conn, status);
    return answer_text(conn, why);
}

static enum then more_pattern(struct conn *conn)
{
    struct exchange *x = &conn->exchange;

    conn->span = conn_pattern(conn, x->offset, x->left);
    x->offset += conn->span.size;
    x->left -= conn->span.size;
    return x->left > 0 ? THEN_MORE : x->at_end;
}

enum then answer_pattern_from(struct conn *conn, uint64_t offset, uint64_t count, enum then at_end)
{
    struct exchange *x = &conn->exchange;

    if (x->request.is_head)
        return THEN_END;
    if (count <= COPIED_MAX) {
        ag_buffer_append(&conn->out, conn_pattern(conn, offset, count).data, (size_t)count);
        return at_end;
    }
    x->offset = offset;
    x->left = count;
    x->at_end = at_end;
    x->step = more_pattern;
    return THEN_MORE;
}

enum then answer_pattern(struct conn *conn, uint64_t count, int64_t promised)
{
    answer_begin(conn, 200);
    answer_end_head(conn, "application/octet-stream", promised);
    return answer_pattern_from(conn, 0, count, THEN_END);
}

bool answer_header_of_query(struct conn *conn, const char *header, const char *name)
{
    size_t before = conn->out.size;
    enum query query;

    ag_buffer_printf(&conn->out, "%s: ", header);
    query = request_query(&conn->exchange.request, name, &conn->out);
    if (query == QUERY_FOUND)
        ag_buffer_text(&conn->out, "\r\n");
    else
        conn->out.size = before;
    return query != QUERY_BROKEN;
}

bool answer_query_number(const struct conn *conn, const char *name, uint64_t max,
                         uint64_t if_absent, uint64_t *number)
{
    struct ag_buffer text = ag_buffer_empty(NUMBER_TEXT_MAX);
    enum query query = request_query(&conn->exchange.request, name, &text);
    char *end = NULL;

    *number = if_absent;
    if (query == QUERY_FOUND)
        *number = strtoull(ag_buffer_as_text(&text), &end, 10);
    query = query == QUERY_FOUND && (text.size == 0 || text.failed || text.data[0] < '0' ||
                                     text.data[0] > '9' || *end != '\0' || *number > max)
                ? QUERY_BROKEN
                : query;
    ag_buffer_free(&text);
    return query != QUERY_BROKEN;
}

enum then answer_bad_query(struct conn *conn)
{
    ag_buffer_clear(&conn->out);
    return answer_say(conn, 400, "bad query: %XX must be a byte and no control character");
}

enum then answer_json(struct conn *conn, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
    enum then then;

    json_decref(json);
    if (text == NULL)
        return answer_say(conn, 500, "cannot make the JSON");
    answer_begin(conn, 200);
    answer_end_head(conn, "application/json", (int64_t)strlen(text) + 1);
    if (!conn->exchange.request.is_head) {
        ag_buffer_text(&conn->out, text);
        ag_buffer_text(&conn->out, "\n");
    }
    then = THEN_END;
    free(text);
    return then;
}
