/* http_server_serve.h - the behaviours, one step function each; what they do stands in the table of
 * http_server_routes.c.
 *
 * Threads: one, the loop's. Never blocks.
 */
#ifndef TESTS_HTTP_SERVER_SERVE_H
#define TESTS_HTTP_SERVER_SERVE_H

#include "tests/integration/http_server_conn.h"

step_fn serve_page, serve_named_page, serve_bytes, serve_big, serve_delay, serve_slow,
    serve_chunked, serve_status, serve_redirect, serve_redirloop, serve_redirto, serve_etag,
    serve_hdrs, serve_hdrsize, serve_chunkcut, serve_badlen, serve_overlen, serve_garbage,
    serve_empty, serve_reset, serve_resetmid, serve_hang, serve_hanghead, serve_flaky, serve_gzip,
    serve_bomb, serve_echo;

/* What a NAME in a path may be. */
#define RANGE_NAMES "ignore newetag other total bare 416 weak plain"
#define REDIRBAD_NAMES "none control nul space two long backslash"
#define ENCODED_NAMES                                                                              \
    "deflate deflate-raw x-gzip twice five badcrc garbage truncated trailing plain unknown empty"
#define ROBOTS_NAMES                                                                               \
    "none allow deny some ours pattern odd html huge empty 401 404 500 503 slow moved loop"
#define RAW_NAMES                                                                                  \
    "nul fold interim interim-many http10 nolength closed close trailers extensions badchunk "     \
    "hugechunk twolengths bothlengths neglength noreason lf space nocolon status4 http2 switch "   \
    "204body 304body"

/* http_server_range.c */
step_fn serve_range;

/* http_server_links.c: what leads to elsewhere, and what clients carry along */
step_fn serve_redirect, serve_redirloop, serve_redirto, serve_redirbad, serve_pages,
    serve_setcookie, serve_cookies;

/* http_server_encode.c */
step_fn serve_ratio, serve_encoded;

/* http_server_robots.c */
step_fn serve_robots_txt, serve_robots, serve_setrobots;

/* http_server_raw.c: heads and framing that no library would write */
step_fn serve_raw, serve_stale, serve_type;

#endif
