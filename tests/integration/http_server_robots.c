/* /robots.txt: as the host's name says, or as it was set. RFC 9309. */
#include "tests/integration/http_server_answer.h"
#include "tests/integration/http_server_serve.h"

enum { HUGE_LINES = 25000 /* of 40 bytes: more than the 500 KiB that a crawler must read */ };

static const struct robots {
    const char *name;
    unsigned status;
    const char *location, *text;
    bool is_slow, is_huge;
} table[] = {
    {"none", 404, NULL, "no robots.txt\n", false, false},
    {"allow", 200, NULL, "User-agent: *\nDisallow:\n", false, false},
    {"deny", 200, NULL, "User-agent: *\nDisallow: /\n", false, false},
    {"some", 200, NULL, "User-agent: *\nDisallow: /bytes/\nAllow: /bytes/5\n", false, false},
    /* The group of our own name counts, and only that. */
    {"ours", 200, NULL,
     "User-agent: *\nDisallow: /\n\nUser-agent: other\nUser-agent: ARGOSY\nDisallow: /bytes/\n",
     false, false},
    {"pattern", 200, NULL, "User-agent: *\nDisallow: /*/5$\nDisallow: /p%61ge/\n", false, false},
    /* A mark of the byte order, line ends of three kinds, comments, unknown lines, odd spelling. */
    {"odd", 200, NULL,
     "\xef\xbb\xbfuser-AGENT : * # all\r\nCrawl-delay: 5\rSitemap: x\ndisallow:/bytes/#no\r\n",
     false, false},
    {"html", 200, NULL, "<!doctype html><title>Disallow: /</title>\n", false, false},
    {"huge", 200, NULL, "User-agent: *\nDisallow: /bytes/\n", false, true},
    {"empty", 200, NULL, "", false, false},
    {"401", 401, NULL, "who are you?\n", false, false},
    {"404", 404, NULL, "no robots.txt\n", false, false},
    {"500", 500, NULL, "out of order\n", false, false},
    {"503", 503, NULL, "later\n", false, false},
    {"slow", 200, NULL, NULL, true, false},
    {"moved", 302, "/robots/deny", "elsewhere\n", false, false},
    {"loop", 302, "/robots/loop", "elsewhere\n", false, false},
};
enum { ROBOTS_COUNT = sizeof table / sizeof *table };

/* ROBOTS_COUNT if there is none. */
static size_t find(struct ag_bytes name)
{
    size_t i = 0;

    while (i < ROBOTS_COUNT && !ag_bytes_are(name, table[i].name))
        i++;
    return i;
}

static enum then send_robots(struct conn *conn, const struct robots *robots)
{
    if (robots->is_slow)
        return THEN_HANG;
    answer_begin(conn, robots->status);
    if (robots->location != NULL)
        ag_buffer_printf(&conn->out, "Location: %s\r\n", robots->location);
    if (!robots->is_huge)
        return answer_with(conn, "text/plain", ag_bytes_of_text(robots->text));
    conn->exchange.request.keep_alive = false; /* its end is the body's */
    answer_end_head(conn, "text/plain", ANSWER_LENGTH_UNKNOWN);
    ag_buffer_text(&conn->out, robots->text);
    for (int i = 0; i < HUGE_LINES; i++)
        ag_buffer_printf(&conn->out, "Disallow: /nothing/that/exists/%08d\n", i);
    ag_buffer_text(&conn->out, "Disallow: /page/\n"); /* so late that it may be unread */
    return THEN_END;
}

enum then serve_robots_txt(struct conn *conn)
{
    static const char before[] = "robots-", after[] = ".test";
    size_t chosen = ROBOTS_COUNT;
    struct ag_bytes host;
    const uint8_t *dot;

    if (request_header(&conn->exchange.request, "Host", &host) && host.size > sizeof before &&
        memcmp(host.data, before, sizeof before - 1) == 0 &&
        (dot = memmem(host.data, host.size, after, sizeof after - 1)) != NULL)
        chosen = find(ag_bytes_of(host.data + sizeof before - 1,
                                  (size_t)(dot - host.data) - (sizeof before - 1)));
    return send_robots(conn, &table[chosen < ROBOTS_COUNT ? chosen : conn->server->robots]);
}

enum then serve_robots(struct conn *conn)
{
    size_t chosen = find(conn->exchange.text);

    return chosen < ROBOTS_COUNT ? send_robots(conn, &table[chosen])
                                 : answer_say(conn, 404, "one of " ROBOTS_NAMES);
}

enum then serve_setrobots(struct conn *conn)
{
    size_t chosen = find(conn->exchange.text);

    if (chosen == ROBOTS_COUNT)
        return answer_say(conn, 404, "one of " ROBOTS_NAMES);
    conn->server->robots = chosen;
    return answer_say(conn, 200, table[chosen].name);
}
