/* http_server_answer.h - the parts that answers are put together from, for the steps.
 *
 * Start here: answer_say(); with headers of its own: answer_begin(), append them to conn->out,
 * then one of the others. None adds a body to the answer to HEAD. Without memory conn->out.failed
 * is set and the connection is reset.
 *
 * Threads: one, the loop's. Never blocks.
 */
#ifndef TESTS_HTTP_SERVER_ANSWER_H
#define TESTS_HTTP_SERVER_ANSWER_H

#include <jansson.h>

#include "tests/integration/http_server_conn.h"

#define ANSWER_LENGTH_UNKNOWN (-1)

/* "Unknown" for a status that nobody has named. */
const char *answer_reason(unsigned status);

/* The first line. */
void answer_begin(struct conn *conn, unsigned status);

/* The end of the head. `type` may be NULL: then there is no body at all. */
void answer_end_head(struct conn *conn, const char *type, int64_t length);

/* The end of the head and a body, which must live until the connection ends, unless it is small (4
 * KB): that is copied. Returns THEN_END, as the others do. */
enum then answer_with(struct conn *conn, const char *type, struct ag_bytes body);

/* The end of the head and a line of text. */
enum then answer_text(struct conn *conn, const char *line);

/* All of it: a status and a line of text. */
enum then answer_say(struct conn *conn, unsigned status, const char *line);

/* All of it: 200 and JSON. Takes `json`; NULL (no memory) becomes a 500. */
enum then answer_json(struct conn *conn, json_t *json);

/* All of it: 200 and `count` bytes of the pattern, after a Content-Length of `promised`. Returns
 * THEN_MORE, with another step, when there is more than one piece. */
enum then answer_pattern(struct conn *conn, uint64_t count, int64_t promised);

/* Behind the end of the head: `count` bytes of the pattern from `offset` on, then `at_end`. */
enum then answer_pattern_from(struct conn *conn, uint64_t offset, uint64_t count, enum then at_end);

/* Append a header whose value the query may give. False when the query is broken:
 * answer_bad_query(). */
bool answer_header_of_query(struct conn *conn, const char *header, const char *name);

/* A number that the query may give; false when it is none, or beyond `max`. */
bool answer_query_number(const struct conn *conn, const char *name, uint64_t max,
                         uint64_t if_absent, uint64_t *number);

/* Instead of what was begun. */
enum then answer_bad_query(struct conn *conn);

#endif
