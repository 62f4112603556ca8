#include "tests/integration/http_server_serve.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#include "tests/integration/http_server_answer.h"

enum {
    RESET_DELAY_MS = 20,   /* so that the peer has read what came before */
    PAGE_NAME_MAX = 64,    /* bytes */
    PIECE_SIZE = 64 << 10, /* how much of a chunked body is made at once */
};

/* ---- those that behave ---------------------------------------------------------------------- */

enum then serve_page(struct conn *conn)
{
    uint64_t number = conn->exchange.numbers[0];
    char page[256];
    int size = snprintf(page, sizeof page,
                        "<!doctype html>\n<html><head><title>Page %" PRIu64 "</title></head>\n"
                        "<body><h1>Page %" PRIu64 "</h1>\n"
                        "<p><a href=\"/page/%" PRIu64 "\">next</a></p></body></html>\n",
                        number, number, number + 1);

    answer_begin(conn, 200);
    return answer_with(conn, "text/html; charset=utf-8", ag_bytes_of(page, (size_t)size));
}

/* Only names that mean nothing to HTML. */
enum then serve_named_page(struct conn *conn)
{
    struct ag_bytes name = conn->exchange.text;
    char page[512];
    int size;

    for (size_t i = 0; i < name.size; i++)
        if (!isalnum(name.data[i]) && strchr("-._~", name.data[i]) == NULL)
            return answer_say(conn, 400, "a page's name is made of letters, digits, - . _ ~");
    if (name.size == 0 || name.size > PAGE_NAME_MAX)
        return answer_say(conn, 400, "a page's name has 1 to 64 characters");
    size = snprintf(page, sizeof page,
                    "<!doctype html>\n<html><head><title>Page %.*s</title></head>\n"
                    "<body><h1>Page %.*s</h1></body></html>\n",
                    AG_TEXT(name), AG_TEXT(name));
    answer_begin(conn, 200);
    return answer_with(conn, "text/html; charset=utf-8", ag_bytes_of(page, (size_t)size));
}

enum then serve_bytes(struct conn *conn)
{
    uint64_t count = conn->exchange.numbers[0];

    return answer_pattern(conn, count, (int64_t)count);
}

enum then serve_big(struct conn *conn)
{
    conn->exchange.request.keep_alive = false;
    return answer_pattern(conn, conn->exchange.numbers[0], ANSWER_LENGTH_UNKNOWN);
}

enum then serve_delay(struct conn *conn)
{
    struct exchange *x = &conn->exchange;

    if (x->turn == 0)
        return conn_wait(conn, x->numbers[0]);
    if (x->numbers_count < 2)
        return answer_say(conn, 200, "late");
    return answer_pattern(conn, x->numbers[1], (int64_t)x->numbers[1]);
}

enum then serve_slow(struct conn *conn)
{
    struct exchange *x = &conn->exchange;

    if (x->turn == 0) {
        answer_begin(conn, 200);
        answer_end_head(conn, "application/octet-stream", (int64_t)x->numbers[0]);
        if (x->request.is_head || x->numbers[0] == 0)
            return THEN_END;
        return conn_wait(conn, x->numbers[1]);
    }
    ag_buffer_append(&conn->out, conn_pattern(conn, x->offset, 1).data, 1);
    x->offset++;
    return x->offset < x->numbers[0] ? conn_wait(conn, x->numbers[1]) : THEN_END;
}

/* Chunks hold the pattern: together they are what /bytes sends. */
static enum then more_chunks(struct conn *conn)
{
    struct exchange *x = &conn->exchange;

    while (conn->out.size < PIECE_SIZE) {
        struct ag_bytes piece;

        if (x->chunk_left == 0) {
            if (x->offset > 0)
                ag_buffer_text(&conn->out, "\r\n");
            if (x->left == 0) {
                ag_buffer_text(&conn->out, "0\r\n\r\n");
                return THEN_END;
            }
            x->chunk_left = x->numbers[1];
            ag_buffer_printf(&conn->out, "%" PRIx64 "\r\n", x->chunk_left);
        }
        piece =
            conn_pattern(conn, x->offset, x->chunk_left < PIECE_SIZE ? x->chunk_left : PIECE_SIZE);
        ag_buffer_append(&conn->out, piece.data, piece.size);
        x->offset += piece.size;
        x->chunk_left -= piece.size;
        x->left -= piece.size;
    }
    return THEN_MORE;
}

static void begin_chunked(struct conn *conn)
{
    answer_begin(conn, 200);
    ag_buffer_text(&conn->out, "Transfer-Encoding: chunked\r\n");
    answer_end_head(conn, "application/octet-stream", ANSWER_LENGTH_UNKNOWN);
}

enum then serve_chunked(struct conn *conn)
{
    struct exchange *x = &conn->exchange;

    if (x->numbers[0] > 0 && x->numbers[1] == 0)
        return answer_say(conn, 400, "a chunk of size 0 is the end");
    begin_chunked(conn);
    if (x->request.is_head)
        return THEN_END;
    x->left = x->numbers[0] * x->numbers[1];
    x->step = more_chunks;
    return THEN_MORE;
}

enum then serve_status(struct conn *conn)
{
    unsigned status = (unsigned)conn->exchange.numbers[0];

    if (status < 100)
        return answer_say(conn, 400, "a status has three digits");
    answer_begin(conn, status);
    if (status < 200) { /* not final; the answer follows */
        ag_buffer_text(&conn->out, "\r\n");
        return answer_say(conn, 200, "after an interim answer");
    }
    if (status == 204 || status == 304) {
        answer_end_head(conn, NULL, 0);
        return THEN_END;
    }
    if (!answer_header_of_query(conn, "Retry-After", "retry_after"))
        return answer_bad_query(conn);
    return answer_text(conn, answer_reason(status));
}

enum then serve_etag(struct conn *conn)
{
    struct ag_bytes known;
    bool is_known = request_header(&conn->exchange.request, "If-None-Match", &known) &&
                    (header_has_word(known, "\"v1\"") || header_has_word(known, "W/\"v1\"") ||
                     header_has_word(known, "*"));

    answer_begin(conn, is_known ? 304 : 200);
    ag_buffer_text(&conn->out, "ETag: \"v1\"\r\n");
    if (!is_known)
        return answer_text(conn, "version 1");
    answer_end_head(conn, NULL, 0);
    return THEN_END;
}

enum then serve_hdrs(struct conn *conn)
{
    answer_begin(conn, 200);
    for (unsigned i = 1; i <= conn->exchange.numbers[0]; i++)
        ag_buffer_printf(&conn->out, "X-Header-%u: value %u\r\n", i, i);
    return answer_text(conn, "many headers");
}

enum then serve_hdrsize(struct conn *conn)
{
    size_t size = (size_t)conn->exchange.numbers[0];
    uint8_t *room;

    answer_begin(conn, 200);
    ag_buffer_text(&conn->out, "X-Huge: ");
    room = ag_buffer_reserve(&conn->out, size);
    if (room != NULL) {
        memset(room, 'x', size);
        conn->out.size += size;
    }
    ag_buffer_text(&conn->out, "\r\n");
    return answer_text(conn, "a huge header");
}

/* ---- those that do not ---------------------------------------------------------------------- */

enum then serve_chunkcut(struct conn *conn)
{
    begin_chunked(conn);
    if (conn->exchange.request.is_head)
        return THEN_END;
    for (int i = 0; i < 3; i++) {
        ag_buffer_text(&conn->out, "3e8\r\n");
        ag_buffer_append(&conn->out, conn_pattern(conn, 0, 1000).data, i < 2 ? 1000 : 500);
        ag_buffer_text(&conn->out, i < 2 ? "\r\n" : "");
    }
    return THEN_CLOSE;
}

enum then serve_badlen(struct conn *conn)
{
    return answer_pattern(conn, 500, 1000) == THEN_END && conn->exchange.request.is_head
               ? THEN_END
               : THEN_CLOSE;
}

/* The connection stays open: a client that puts it back into its pool reads our surplus as the
 * beginning of the next answer. */
enum then serve_overlen(struct conn *conn)
{
    return answer_pattern(conn, 20, 10);
}

enum then serve_garbage(struct conn *conn)
{
    static const char garbage[] = "\x00\x01\xff\xfeThis is not HTTP\r\n\r\nreally not\r\n\r\n";

    ag_buffer_append(&conn->out, garbage, sizeof garbage - 1);
    return THEN_CLOSE;
}

enum then serve_empty(struct conn *conn)
{
    (void)conn;
    return THEN_CLOSE;
}

enum then serve_reset(struct conn *conn)
{
    (void)conn;
    return THEN_RESET;
}

enum then serve_resetmid(struct conn *conn)
{
    if (conn->exchange.turn > 0)
        return THEN_RESET;
    if (answer_pattern(conn, 1000, 100000) == THEN_END && conn->exchange.request.is_head)
        return THEN_END;
    return conn_wait(conn, RESET_DELAY_MS);
}

enum then serve_hang(struct conn *conn)
{
    (void)conn;
    return THEN_HANG;
}

enum then serve_hanghead(struct conn *conn)
{
    answer_begin(conn, 200);
    ag_buffer_text(&conn->out, "Content-Type: text/plain\r\nContent-Len");
    return THEN_HANG;
}

enum then serve_flaky(struct conn *conn)
{
    struct exchange *x = &conn->exchange;
    struct flaky_key *key = flaky_find(&conn->server->flaky, x->text);

    if (key == NULL)
        return answer_say(conn, 507, "too many keys");
    if (key->count++ >= x->numbers[0])
        return answer_say(conn, 200, "well again");
    answer_begin(conn, 503);
    if (x->numbers_count > 1)
        ag_buffer_printf(&conn->out, "Retry-After: %" PRIu64 "\r\n", x->numbers[1]);
    else if (!answer_header_of_query(conn, "Retry-After", "retry_after"))
        return answer_bad_query(conn);
    return answer_text(conn, "not yet");
}

enum then serve_gzip(struct conn *conn)
{
    const struct bodies *bodies = &conn->server->bodies;
    struct ag_bytes accepted;
    bool is_accepted = request_header(&conn->exchange.request, "Accept-Encoding", &accepted) &&
                       header_has_word(accepted, "gzip");

    answer_begin(conn, 200);
    ag_buffer_text(&conn->out, "Vary: Accept-Encoding\r\n");
    if (is_accepted)
        ag_buffer_text(&conn->out, "Content-Encoding: gzip\r\n");
    return answer_with(conn, "text/plain",
                       ag_buffer_bytes(is_accepted ? &bodies->text_gzip : &bodies->text));
}

/* Compressed whether the client accepts that or not: this one means harm. */
enum then serve_bomb(struct conn *conn)
{
    answer_begin(conn, 200);
    ag_buffer_text(&conn->out, "Content-Encoding: gzip\r\n");
    return answer_with(conn, "application/octet-stream",
                       ag_buffer_bytes(&conn->server->bodies.bomb_gzip));
}

/* As text if it is UTF-8, else each byte as one character, which loses nothing. */
static json_t *json_of_bytes(struct ag_bytes bytes, bool *is_text)
{
    json_t *json = json_stringn(bytes.data ? (const char *)bytes.data : "", bytes.size);
    struct ag_buffer wide = ag_buffer_empty(2 * UPLOAD_MAX);

    *is_text = json != NULL;
    if (json != NULL)
        return json;
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t two[] = {(uint8_t)(0xc0 | bytes.data[i] >> 6),
                         (uint8_t)(0x80 | (bytes.data[i] & 63))};

        ag_buffer_append(&wide, bytes.data[i] < 0x80 ? &bytes.data[i] : two,
                         bytes.data[i] < 0x80 ? 1 : 2);
    }
    if (!wide.failed)
        json = json_stringn((const char *)wide.data, wide.size);
    ag_buffer_free(&wide);
    return json;
}

/* Names in lower case; what comes twice is joined by commas, as RFC 9110 5.2 has it. */
static json_t *json_of_headers(const struct request *request)
{
    struct ag_bytes rest = request->fields;
    json_t *headers = json_object();
    struct header header;
    bool is_text;

    while (request_next_header(&rest, &header)) {
        char name[256];
        json_t *value = json_of_bytes(header.value, &is_text), *before;

        snprintf(name, sizeof name, "%.*s", AG_TEXT(header.name));
        for (char *c = name; *c != '\0'; c++)
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
        before = json_object_get(headers, name);
        if (before != NULL && value != NULL) {
            json_t *joined =
                json_sprintf("%s, %s", json_string_value(before), json_string_value(value));

            json_decref(value);
            value = joined;
        }
        json_object_set_new(headers, name, value);
    }
    return headers;
}

enum then serve_echo(struct conn *conn)
{
    const struct request *request = &conn->exchange.request;
    bool path_is_text, body_is_text;
    json_t *path, *body;

    if (conn->upload.failed)
        return answer_say(conn, 413, "too large to be echoed");
    path = json_of_bytes(request->target, &path_is_text);
    body = json_of_bytes(ag_buffer_bytes(&conn->upload), &body_is_text);
    return answer_json(conn, json_pack("{s:s#, s:o, s:o, s:s, s:o}", "method", request->method.data,
                                       (int)request->method.size, "path", path, "headers",
                                       json_of_headers(request), "body_encoding",
                                       body_is_text ? "utf-8" : "latin-1", "body", body));
}
