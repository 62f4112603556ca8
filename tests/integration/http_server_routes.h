/* http_server_routes.h - the behaviours: which path does what.
 *
 * Start here: the table in the .c file; `test-http-server --help` prints it.
 *
 * Threads: one, the loop's. Never blocks.
 */
#ifndef TESTS_HTTP_SERVER_ROUTES_H
#define TESTS_HTTP_SERVER_ROUTES_H

#include <stdio.h>

#include "tests/integration/http_server_conn.h"

/* Fill x->route, x->step and the arguments from x->request.path; always finds something, be it 404.
 */
void routes_choose(struct exchange *x);

/* Count a request for /stats. */
void routes_count(struct server *server, const struct route *route);

/* Does the answer need the request's body? */
bool route_keeps_body(const struct route *route);

/* The step for what is not a request: answers numbers[0] as status. */
step_fn routes_refuse;

void routes_print(FILE *out);

#endif
