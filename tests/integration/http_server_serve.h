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

#endif
