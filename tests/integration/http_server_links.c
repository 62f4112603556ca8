/* What leads to elsewhere: redirects and pages; and what clients carry along: cookies. */
#include <inttypes.h>

#include "tests/integration/http_server_answer.h"
#include "tests/integration/http_server_serve.h"

enum {
    LONG_URL_SIZE = 128 << 10, /* bytes; more than clients take for a header */
    STATUS_REDIRECT_MIN = 300,
    STATUS_REDIRECT_MAX = 399,
    LINK_MAX = 8 << 10, /* bytes */
};

/* ---- redirects ------------------------------------------------------------------------------ */

enum then serve_redirect(struct conn *conn)
{
    const struct exchange *x = &conn->exchange;
    uint64_t hops = x->numbers[0], status = x->numbers[1];

    if (status < STATUS_REDIRECT_MIN)
        return answer_say(conn, 400, "a redirect is 300 to 399");
    if (hops == 0)
        return answer_say(conn, 200, "arrived");
    answer_begin(conn, (unsigned)status);
    ag_buffer_printf(&conn->out, "Location: /redirect/%" PRIu64, hops - 1);
    if (x->numbers_count > 1)
        ag_buffer_printf(&conn->out, "/%" PRIu64, status);
    ag_buffer_text(&conn->out, "\r\n");
    return answer_text(conn, "go on");
}

enum then serve_redirloop(struct conn *conn)
{
    answer_begin(conn, 302);
    ag_buffer_text(&conn->out, "Location: /redirloop\r\n");
    return answer_text(conn, "and again");
}

/* The target stands in the path, verbatim and with the query, for it may need one; or in ?url=. */
enum then serve_redirto(struct conn *conn)
{
    const struct exchange *x = &conn->exchange;
    struct ag_bytes target = x->request.target;
    uint64_t status = 302;
    size_t head_size;

    if (x->rest.size <= 1 &&
        (!answer_query_number(conn, "status", STATUS_REDIRECT_MAX, 302, &status) ||
         status < STATUS_REDIRECT_MIN))
        return answer_bad_query(conn);
    answer_begin(conn, (unsigned)status);
    head_size = conn->out.size;
    if (x->rest.size > 1) {
        const uint8_t *url = x->rest.data + 1;

        ag_buffer_text(&conn->out, "Location: ");
        ag_buffer_append(&conn->out, url, (size_t)(target.data + target.size - url));
        ag_buffer_text(&conn->out, "\r\n");
    } else if (!answer_header_of_query(conn, "Location", "url")) {
        return answer_bad_query(conn);
    }
    if (conn->out.size == head_size) {
        ag_buffer_clear(&conn->out);
        return answer_say(conn, 400, "redirect to what?");
    }
    return answer_text(conn, "elsewhere");
}

enum then serve_redirbad(struct conn *conn)
{
#define B(text) text, sizeof text - 1
    static const struct {
        const char *name, *lines;
        size_t size;
    } rows[] = {
        {"none", B("")},
        {"control", B("Location: /bytes/\x01\x1f\x7f\r\n")},
        {"nul", B("Location: /bytes/5\0/evil\r\n")},
        {"space", B("Location: /bytes/5 /evil\r\n")},
        {"two", B("Location: /bytes/5\r\nLocation: /bytes/6\r\n")},
        {"backslash", B("Location: http:\\\\127.0.0.1\\bytes\\5\r\n")},
    };
#undef B

    answer_begin(conn, 302);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (ag_bytes_are(conn->exchange.text, rows[i].name)) {
            ag_buffer_append(&conn->out, rows[i].lines, rows[i].size);
            return answer_text(conn, "nowhere");
        }
    if (ag_bytes_are(conn->exchange.text, "long")) {
        ag_buffer_text(&conn->out, "Location: /bytes/5?");
        for (int i = 0; i < LONG_URL_SIZE / 8; i++)
            ag_buffer_text(&conn->out, "longlong");
        ag_buffer_text(&conn->out, "\r\n");
        return answer_text(conn, "far away");
    }
    ag_buffer_clear(&conn->out);
    return answer_say(conn, 404, "one of " REDIRBAD_NAMES);
}

/* ---- pages ---------------------------------------------------------------------------------- */

/* As servers do it: several links in one header, with titles that a simple split stumbles over. */
static void say_links(struct conn *conn, uint64_t page, uint64_t pages, struct ag_bytes after_last)
{
    struct ag_buffer *out = &conn->out;

    ag_buffer_printf(
        out, "Link: </pages/1/%" PRIu64 ">; rel=first; title=\"a, b; rel=\\\"next\\\"\"", pages);
    if (page > 1)
        ag_buffer_printf(out, ", </pages/%" PRIu64 "/%" PRIu64 ">; rel=\"prev\"", page - 1, pages);
    if (page < pages)
        ag_buffer_printf(out, ", </pages/%" PRIu64 "/%" PRIu64, page + 1, pages);
    else if (after_last.size > 0)
        ag_buffer_printf(out, ", <%.*s", AG_TEXT(after_last));
    if (page < pages && conn->exchange.request.query.size > 0)
        ag_buffer_printf(out, "?%.*s", AG_TEXT(conn->exchange.request.query));
    if (page < pages || after_last.size > 0)
        ag_buffer_text(out, ">; rel=\"next\"");
    ag_buffer_text(out, "\r\n");
}

enum then serve_pages(struct conn *conn)
{
    const struct exchange *x = &conn->exchange;
    struct ag_buffer next = ag_buffer_empty(LINK_MAX);
    char body[96];
    int size = snprintf(body, sizeof body,
                        "{\"page\": %" PRIu64 ", \"of\": %" PRIu64 ", \"items\": [%" PRIu64
                        ", %" PRIu64 "]}\n",
                        x->numbers[0], x->numbers[1], 2 * x->numbers[0], 2 * x->numbers[0] + 1);

    if (request_query(&x->request, "next", &next) == QUERY_BROKEN || next.failed) {
        ag_buffer_free(&next);
        return answer_bad_query(conn);
    }
    answer_begin(conn, 200);
    say_links(conn, x->numbers[0], x->numbers[1], ag_buffer_bytes(&next));
    ag_buffer_free(&next);
    return answer_with(conn, "application/json", ag_bytes_of(body, (size_t)size));
}

/* ---- cookies -------------------------------------------------------------------------------- */

enum then serve_setcookie(struct conn *conn)
{
    const struct exchange *x = &conn->exchange;
    struct ag_buffer with = ag_buffer_empty(LINK_MAX), url = ag_buffer_empty(LINK_MAX);
    enum query has_with = request_query(&x->request, "with", &with);
    enum query has_url = request_query(&x->request, "url", &url);
    enum then then;

    answer_begin(conn, has_url == QUERY_FOUND ? 302 : 200);
    if (has_url == QUERY_FOUND)
        ag_buffer_printf(&conn->out, "Location: %s\r\n", ag_buffer_as_text(&url));
    ag_buffer_printf(&conn->out, "Set-Cookie: %.*s=%.*s%s%s\r\n", AG_TEXT(x->text),
                     x->rest.size > 0 ? (int)x->rest.size - 1 : 0,
                     x->rest.size > 0 ? (const char *)x->rest.data + 1 : "",
                     has_with == QUERY_FOUND ? "; " : "", ag_buffer_as_text(&with));
    then = has_with == QUERY_BROKEN || has_url == QUERY_BROKEN || with.failed || url.failed
               ? answer_bad_query(conn)
               : answer_text(conn, "take it");
    ag_buffer_free(&with);
    ag_buffer_free(&url);
    return then;
}

/* Cut at the first `mark`; *rest becomes what follows it, absent without one. */
static struct ag_bytes cut(struct ag_bytes *rest, char mark)
{
    struct ag_bytes all = *rest;
    const uint8_t *at = all.size > 0 ? memchr(all.data, mark, all.size) : NULL;

    *rest = ag_bytes_of(NULL, 0);
    if (at == NULL)
        return all;
    *rest = ag_bytes_of(at + 1, (size_t)(all.data + all.size - at - 1));
    return ag_bytes_of(all.data, (size_t)(at - all.data));
}

enum then serve_cookies(struct conn *conn)
{
    json_t *json = json_object();
    struct ag_bytes rest;

    if (!request_header(&conn->exchange.request, "Cookie", &rest))
        return answer_json(conn, json);
    while (rest.data != NULL) {
        struct ag_bytes value = cut(&rest, ';'), name;

        while (value.size > 0 && value.data[0] == ' ')
            value = ag_bytes_of(value.data + 1, value.size - 1);
        name = cut(&value, '=');
        if (value.data != NULL)
            json_object_setn_new(json, (const char *)name.data, name.size,
                                 json_stringn((const char *)value.data, value.size));
    }
    return answer_json(conn, json);
}
