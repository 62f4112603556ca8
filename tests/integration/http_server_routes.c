#include "tests/integration/http_server_routes.h"

#include <inttypes.h>

#include "tests/integration/http_server_answer.h"
#include "tests/integration/http_server_serve.h"

enum {
    CHUNK_SIZE_MAX = 1 << 20,  /* bytes of one chunk */
    HEADERS_MAX = 10000,       /* /hdrs; about 300 KB */
    HEADER_SIZE_MAX = 2 << 20, /* /hdrsize; bytes */
    WAIT_MS_MAX = 3600 * 1000, /* an hour is for ever in a test */
};

#define BYTES_MAX (INT64_C(1) << 50) /* no test waits for more */

static step_fn serve_stats, serve_count;

static enum then serve_missing(struct conn *conn)
{
    return answer_say(conn, 404, "no such path, see test-http-server --help");
}

static enum then serve_bad_arguments(struct conn *conn)
{
    return answer_say(conn, 400, "bad arguments in the path, see test-http-server --help");
}

enum then routes_refuse(struct conn *conn)
{
    unsigned status = (unsigned)conn->exchange.numbers[0];

    return answer_say(conn, status, answer_reason(status));
}

#define FLAKY_HELP "/N/KEY[?retry_after=S]: 503 for the first N requests with KEY, then 200"
#define STATUS_HELP "/N[?retry_after=S]: that status; 1xx is followed by 200"

#define REDIRECT_HELP "/N[/STATUS]: N hops (302), then 200"
#define REDIRTO_HELP "/URL or ?url=URL[&status=N] (%XX): to URL"
#define REDIRBAD_HELP "/NAME: to nothing that is a URL: " REDIRBAD_NAMES
#define RANGE_HELP                                                                                 \
    "/BYTES[/ETAG][?cut=N&times=M&key=K&as=NAME]: by Range and If-Range; cut after N bytes the "   \
    "first (M) times with K; NAME: " RANGE_NAMES
#define PAGES_HELP "/N/OF[?next=URL]: JSON with links to the next; the last leads to URL"
#define SETCOOKIE_HELP "/NAME/VALUE[?with=ATTRIBUTES][&url=URL]: a cookie, 302 if there is URL"
#define ROBOTS_TXT_HELP ": as robots-NAME.test for Host: robots-NAME.test; NAME: " ROBOTS_NAMES
#define SETROBOTS_HELP "/NAME: for other hosts /robots.txt is that of NAME from now on"
#define TYPE_HELP "[/MEDIA]: that Content-Type, or none"
#define BOMB_HELP "/RATIO[/MB]: gzip of about RATIO to 1 that becomes MB (16) megabytes"
#define ENCODED_HELP "/NAME: the text of /gzip otherwise; NAME: " ENCODED_NAMES
#define RAW_HELP "/NAME: odd heads and framing; NAME: " RAW_NAMES
#define STALE_HELP ": 200; the next request on this connection is not answered but closed"

/* How a path is read: its first segment is the name, then come arguments as `shape` tells:
 * N a number, n one that may be absent, T a text of one segment, * all that is left. Of several
 * routes with one name the first that fits is taken. */
struct route {
    const char *name, *shape;
    step_fn *step;
    int64_t number_max[2];
    uint64_t number_if_absent[2];
    const char *help; /* NULL: not shown */
    bool keeps_body;
};

static const struct route routes[] = {
    {"", "", serve_page, {0}, {0}, "/: a small page", false},
    {"page", "N", serve_page, {BYTES_MAX}, {0}, "/N: a small page with a link to the next", false},
    {"page", "T", serve_named_page, {0}, {0}, "/NAME: the same without a link", false},
    {"bytes", "N", serve_bytes, {BYTES_MAX}, {0}, "/N: N bytes, at offset i is i % 251", false},
    {"big", "N", serve_big, {BYTES_MAX}, {0}, "/N: the same, no Content-Length, then close", false},
    {"delay",
     "Nn",
     serve_delay,
     {WAIT_MS_MAX, BYTES_MAX},
     {0},
     "/MS[/BYTES]: wait, then 200",
     false},
    {"slow",
     "nn",
     serve_slow,
     {BYTES_MAX, WAIT_MS_MAX},
     {100, 100},
     "[/BYTES[/MS]]: one byte every MS; else 100 and 100",
     false},
    {"chunked",
     "nn",
     serve_chunked,
     {1 << 30, CHUNK_SIZE_MAX},
     {10, 1000},
     "[/N[/SIZE]]: N chunks; else 10 of 1,000",
     false},
    {"flaky", "NT", serve_flaky, {INT32_MAX}, {0}, FLAKY_HELP, false},
    {"flaky", "TNn", serve_flaky, {INT32_MAX, INT32_MAX}, {0}, NULL, false}, /* KEY/N[/S] */
    {"status", "N", serve_status, {999}, {0}, STATUS_HELP, false},
    {"redirect", "Nn", serve_redirect, {BYTES_MAX, 399}, {0, 302}, REDIRECT_HELP, false},
    {"redirloop", "", serve_redirloop, {0}, {0}, ": to itself", false},
    {"redirto", "*", serve_redirto, {0}, {0}, REDIRTO_HELP, false},
    {"redirbad", "T", serve_redirbad, {0}, {0}, REDIRBAD_HELP, false},
    {"range", "N", serve_range, {BYTES_MAX}, {0}, RANGE_HELP, false},
    {"range", "NT", serve_range, {BYTES_MAX}, {0}, NULL, false}, /* BYTES/ETAG */
    {"pages", "NN", serve_pages, {INT32_MAX, INT32_MAX}, {0}, PAGES_HELP, false},
    {"setcookie", "T*", serve_setcookie, {0}, {0}, SETCOOKIE_HELP, false},
    {"cookies", "", serve_cookies, {0}, {0}, ": the cookies of the request as JSON", false},
    {"robots.txt", "", serve_robots_txt, {0}, {0}, ROBOTS_TXT_HELP, false},
    {"robots", "T", serve_robots, {0}, {0}, "/NAME: what the host robots-NAME.test says", false},
    {"setrobots", "T", serve_setrobots, {0}, {0}, SETROBOTS_HELP, false},
    {"type", "*", serve_type, {0}, {0}, TYPE_HELP, false},
    {"etag", "", serve_etag, {0}, {0}, ": ETag \"v1\"; 304 if the client has it", false},
    {"hdrs", "n", serve_hdrs, {HEADERS_MAX}, {100}, "[/N]: N headers; else 100", false},
    {"hdrsize",
     "n",
     serve_hdrsize,
     {HEADER_SIZE_MAX},
     {128 << 10},
     "[/BYTES]: one huge header; else 128 KB",
     false},
    {"gzip", "", serve_gzip, {0}, {0}, ": a text, compressed if the client accepts it", false},
    {"bomb", "", serve_bomb, {0}, {0}, ": 1 MB of gzip that becomes 1 GB of zeros", false},
    {"bomb", "Nn", serve_ratio, {1000, 1024}, {0, 16}, BOMB_HELP, false},
    {"encoded", "T", serve_encoded, {0}, {0}, ENCODED_HELP, false},
    {"echo", "*", serve_echo, {0}, {0}, ": the request as JSON", true},
    {"stats", "", serve_stats, {0}, {0}, ": what happened so far, as JSON", false},
    {"count", "T", serve_count, {0}, {0}, "/NAME: how often /NAME was asked for", false},
    {"chunkcut", "", serve_chunkcut, {0}, {0}, ": chunked, closed in the middle of a chunk", false},
    {"badlen", "", serve_badlen, {0}, {0}, ": half of the Content-Length, then close", false},
    {"overlen", "", serve_overlen, {0}, {0}, ": twice the Content-Length, kept open", false},
    {"garbage", "", serve_garbage, {0}, {0}, ": no HTTP", false},
    {"empty", "", serve_empty, {0}, {0}, ": close without an answer", false},
    {"reset", "", serve_reset, {0}, {0}, ": RST instead of an answer", false},
    {"resetmid", "", serve_resetmid, {0}, {0}, ": RST in the body", false},
    {"hang", "", serve_hang, {0}, {0}, ": no answer, ever", false},
    {"raw", "T", serve_raw, {0}, {0}, RAW_HELP, false},
    {"stale", "", serve_stale, {0}, {0}, STALE_HELP, false},
    {"hanghead", "", serve_hanghead, {0}, {0}, ": half of the headers, then nothing", false},
    /* These are no paths; they are here to be counted. */
    {"(404)", "*", serve_missing, {0}, {0}, NULL, false},
    {"(400)", "*", serve_bad_arguments, {0}, {0}, NULL, false},
};
enum { ROUTES_COUNT = sizeof routes / sizeof routes[0] };
_Static_assert(sizeof routes / sizeof routes[0] <= ROUTES_MAX, "server->route_counts is too small");

static const struct route *const missing = &routes[ROUTES_COUNT - 2];
static const struct route *const bad_arguments = &routes[ROUTES_COUNT - 1];

void routes_count(struct server *server, const struct route *route)
{
    server->route_counts[route - routes]++;
}

bool route_keeps_body(const struct route *route)
{
    return route->keeps_body;
}

void routes_print(FILE *out)
{
    for (int i = 0; i < ROUTES_COUNT; i++)
        if (routes[i].help != NULL)
            fprintf(out, "  /%s%s\n", routes[i].name, routes[i].help);
}

/* ---- from a path to a route ----------------------------------------------------------------- */

/* The next segment of the path; false at its end. *rest starts with the slash. */
static bool next_segment(struct ag_bytes *rest, struct ag_bytes *segment)
{
    const uint8_t *slash;

    if (rest->size == 0)
        return false;
    *segment = ag_bytes_of(rest->data + 1, rest->size - 1);
    slash = memchr(segment->data, '/', segment->size);
    if (slash != NULL)
        segment->size = (size_t)(slash - segment->data);
    *rest = ag_bytes_of(segment->data + segment->size, rest->size - 1 - segment->size);
    return true;
}

static bool parse_number(struct ag_bytes text, int64_t max, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *number = *number * 10 + (uint64_t)(text.data[i] - '0');
        if (*number > (uint64_t)max)
            return false;
    }
    return text.size > 0;
}

static bool parse_arguments(struct exchange *x, const struct route *route, struct ag_bytes rest)
{
    struct ag_bytes segment;

    x->numbers_count = 0;
    x->rest = ag_bytes_of(NULL, 0);
    memcpy(x->numbers, route->number_if_absent, sizeof x->numbers);
    for (const char *kind = route->shape; *kind != '\0'; kind++) {
        if (*kind == '*') {
            x->rest = rest;
            return true;
        }
        if (!next_segment(&rest, &segment))
            return *kind == 'n';
        if (*kind == 'T')
            x->text = segment;
        else if (parse_number(segment, route->number_max[x->numbers_count],
                              &x->numbers[x->numbers_count]))
            x->numbers_count++;
        else
            return false;
    }
    return rest.size == 0;
}

void routes_choose(struct exchange *x)
{
    struct ag_bytes rest = x->request.path, name;

    x->route = missing;
    if (rest.size > 0 && rest.data[0] == '/' && next_segment(&rest, &name))
        for (int i = 0; i < ROUTES_COUNT && (x->route == missing || x->route == bad_arguments); i++)
            if (ag_bytes_are(name, routes[i].name))
                x->route = parse_arguments(x, &routes[i], rest) ? &routes[i] : bad_arguments;
    x->step = x->route->step;
}

/* ---- /stats: here, because the names are ---------------------------------------------------- */

static enum then serve_stats(struct conn *conn)
{
    const struct stats *stats = &conn->server->stats;
    json_t *json = json_object(), *paths = json_object(), *places = json_object();

#define X(name) json_object_set_new(json, #name, json_integer((json_int_t)stats->name));
    STATS(X)
#undef X
    for (int i = 0; i < ROUTES_COUNT; i++) {
        const char *name = i > 0 ? routes[i].name : "/"; /* the front page has no name */
        json_int_t others = json_integer_value(json_object_get(paths, name)); /* of the same name */

        json_object_set_new(paths, name,
                            json_integer(others + (json_int_t)conn->server->route_counts[i]));
    }
    json_object_set_new(json, "paths", paths);
    for (size_t i = 0; i < conn->server->places_count; i++)
        json_object_set_new(places, conn->server->places[i].address,
                            json_integer((json_int_t)conn->server->places[i].connections));
    json_object_set_new(json, "connections_at", places);
    return answer_json(conn, json);
}

static enum then serve_count(struct conn *conn)
{
    struct ag_bytes name = conn->exchange.text;
    bool is_known = false;
    uint64_t count = 0;
    char line[32];

    for (int i = 0; i < ROUTES_COUNT; i++)
        if (ag_bytes_are(name, routes[i].name)) {
            is_known = true;
            count += conn->server->route_counts[i];
        }
    snprintf(line, sizeof line, "%" PRIu64, count);
    return is_known ? answer_say(conn, 200, line) : serve_missing(conn);
}
