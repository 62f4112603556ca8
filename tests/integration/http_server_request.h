/* http_server_request.h - an HTTP/1.x request from bytes, judged strictly: this server finds the
 * mistakes of the clients it tests.
 *
 * Start here: request_head_size() until the head is whole, request_parse(), then body_decode().
 *
 * Threads: plain data. Pure.
 */
#ifndef TESTS_HTTP_SERVER_REQUEST_H
#define TESTS_HTTP_SERVER_REQUEST_H

#include "common/buffer.h"

enum {
    REQUEST_HEAD_MAX = 64 << 10,   /* bytes; twice what other servers take */
    REQUEST_FRAMING_MAX = 8 << 10, /* bytes of chunk extensions and trailers, nobody sends them */
};

struct header {
    struct ag_bytes name, value;
};

/* Everything is borrowed from the head that was parsed. */
struct request {
    struct ag_bytes method, target; /* as sent */
    struct ag_bytes path;           /* origin form, without the query */
    struct ag_bytes query;          /* what follows the question mark; absent without one */
    struct ag_bytes fields;         /* the header lines, for request_next_header() */
    uint64_t content_length;        /* 0 when absent or chunked */
    bool is_head, is_http_10, keep_alive, is_chunked, expects_continue;
};

/* Where in `bytes` the head ends. Returns 0 when it is complete (*size is set), 100 when more bytes
 * are needed, else the HTTP status to refuse with. `*scanned` starts at 0 and saves looking twice.
 */
unsigned request_head_size(struct ag_bytes bytes, size_t *scanned, size_t *size);

/* Returns 0, or the HTTP status to refuse with. */
unsigned request_parse(struct request *self, struct ag_bytes head);

/* Walk the headers: *rest starts as self->fields. False at the end. */
bool request_next_header(struct ag_bytes *rest, struct header *header);

/* The first header of that name. False if there is none. */
bool request_header(const struct request *self, const char *name, struct ag_bytes *value);

/* What a query says about a name. */
enum query { QUERY_ABSENT, QUERY_FOUND, QUERY_BROKEN };

/* Append the value of the first name=value of the query to `out`, with %XX resolved. Broken is what
 * has other escapes, or hides a control character in them. */
enum query request_query(const struct request *self, const char *name, struct ag_buffer *out);

/* Is `word` in the comma separated list, apart from case and ;parameters? */
bool header_has_word(struct ag_bytes list, const char *word);

/* A body in arrival. */
enum body_state {
    BODY_DONE,
    BODY_BROKEN,
    BODY_LENGTH, /* counted by Content-Length */
    BODY_CHUNK_SIZE,
    BODY_CHUNK_EXTENSION,
    BODY_CHUNK_DATA,
    BODY_CHUNK_END,
    BODY_TRAILER
};

struct body {
    enum body_state state;
    uint64_t left;       /* bytes of the body, or of the chunk */
    size_t framing_left; /* of REQUEST_FRAMING_MAX */
    size_t line_size;    /* of the line that is being read */
};

struct body body_begin(const struct request *request);

/* Take what is there; what belongs to the body is appended to `keep` unless that is NULL.
 * Returns how much was taken: all of it until self->state is BODY_DONE or BODY_BROKEN. */
size_t body_decode(struct body *self, struct ag_bytes bytes, struct ag_buffer *keep);

#endif
