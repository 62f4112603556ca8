/* Heads and framing that no library would write, byte for byte. */
#include "tests/integration/http_server_answer.h"
#include "tests/integration/http_server_serve.h"

enum { INTERIM_MANY = 1000 /* answers before the answer */ };

#define B(text) text, sizeof text - 1
#define OK "HTTP/1.1 200 OK\r\n"
#define SMALL "Content-Length: 5\r\n\r\nhello"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n"

static const struct raw {
    const char *name, *bytes;
    size_t size;
    enum then then;
} table[] = {
    {"nul", B(OK "X-Nul: a\0b\r\n" SMALL), THEN_END},
    {"fold", B(OK "X-Fold: one\r\n two\r\n\tthree\r\n" SMALL), THEN_END},
    {"interim",
     B("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
       "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=next\r\nX-Early: yes\r\n\r\n" OK SMALL),
     THEN_END},
    {"http10", B("HTTP/1.0 200 OK\r\n\r\nhello"), THEN_CLOSE},
    {"nolength", B(OK "\r\nhello"), THEN_CLOSE},
    {"closed", B(OK SMALL), THEN_CLOSE}, /* though it could be kept, for all that was said */
    {"close", B(OK "Connection: close\r\n" SMALL), THEN_CLOSE},
    {"trailers",
     B(CHUNKED "Trailer: X-Trailer\r\n\r\n5\r\nhello\r\n0\r\nX-Trailer: late\r\n"
               "Content-Type: text/evil\r\n\r\n"),
     THEN_END},
    {"extensions",
     B(CHUNKED "\r\n3;name=value;quoted=\"a;b\"\r\nhel\r\n002 ; x\r\nlo\r\n000;last\r\n\r\n"),
     THEN_END},
    {"badchunk", B(CHUNKED "\r\nxyz\r\nhello\r\n0\r\n\r\n"), THEN_CLOSE},
    {"hugechunk", B(CHUNKED "\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n"), THEN_CLOSE},
    {"twolengths", B(OK "Content-Length: 3\r\n" SMALL), THEN_CLOSE},
    {"bothlengths", B(CHUNKED "Content-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), THEN_CLOSE},
    {"neglength", B(OK "Content-Length: -5\r\n\r\nhello"), THEN_CLOSE},
    {"noreason", B("HTTP/1.1 200\r\n" SMALL), THEN_END},
    {"lf", B("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"), THEN_END},
    {"space", B(OK "X-Space : 1\r\n" SMALL), THEN_END},
    {"nocolon", B(OK "no colon here\r\n" SMALL), THEN_END},
    {"status4", B("HTTP/1.1 2000 OK\r\n" SMALL), THEN_CLOSE},
    {"http2", B("HTTP/2 200 OK\r\n" SMALL), THEN_CLOSE},
    {"switch", B("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nhello"), THEN_CLOSE},
    {"204body", B("HTTP/1.1 204 No Content\r\n" SMALL), THEN_END},
    {"304body", B("HTTP/1.1 304 Not Modified\r\n" SMALL), THEN_END},
};

enum then serve_raw(struct conn *conn)
{
    struct ag_bytes name = conn->exchange.text;

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (ag_bytes_are(name, table[i].name)) {
            ag_buffer_append(&conn->out, table[i].bytes, table[i].size);
            return conn->exchange.request.is_head ? THEN_CLOSE : table[i].then;
        }
    if (!ag_bytes_are(name, "interim-many"))
        return answer_say(conn, 404, "one of " RAW_NAMES);
    for (int i = 0; i < INTERIM_MANY; i++)
        ag_buffer_printf(&conn->out, "HTTP/1.1 103 Early Hints\r\nX-Early: %d\r\n\r\n", i);
    return answer_say(conn, 200, "at last");
}

enum then serve_stale(struct conn *conn)
{
    conn->is_spent = true;
    return answer_say(conn, 200, "until next time");
}

enum then serve_type(struct conn *conn)
{
    struct ag_bytes type = conn->exchange.rest;

    answer_begin(conn, 200);
    if (type.size > 1)
        ag_buffer_printf(&conn->out, "Content-Type: %.*s\r\n", (int)type.size - 1,
                         (const char *)type.data + 1);
    ag_buffer_text(&conn->out, "Content-Length: 5\r\n");
    answer_end_head(conn, NULL, 0);
    if (!conn->exchange.request.is_head)
        ag_buffer_text(&conn->out, "hello");
    return THEN_END;
}
