/* request.h - what a fetch job asks for: its payload, checked and copied.
 *
 * The payload is a msgpack map; doc/fetch.md lists its keys. Unknown keys are ignored, wrong types
 * and values are refused by name.
 *
 * Threads: plain data. Units: milliseconds, bytes.
 */
#ifndef FETCH_REQUEST_H
#define FETCH_REQUEST_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "worker/fetch/url.h"

enum fetch_body { FETCH_BODY_INLINE, FETCH_BODY_FILE, FETCH_BODY_NONE };
enum fetch_auth { FETCH_AUTH_NONE, FETCH_AUTH_BEARER, FETCH_AUTH_BASIC };
enum fetch_http { FETCH_HTTP_AUTO, FETCH_HTTP_1_1, FETCH_HTTP_2 };

enum {
    FETCH_HEADERS_MAX = 128,          /* of a request */
    FETCH_HEADER_BYTES_MAX = 8192,    /* one line */
    FETCH_INLINE_BYTES_MAX = 1 << 20, /* of a body inside a result; larger ones go to a file */
    FETCH_REDIRECTS_MAX = 50,
    FETCH_PAGES_MAX = 1000,
    FETCH_ACCEPT_MAX = 32,     /* ranges of status codes, or media types */
    FETCH_RATIO_MAX = 200,     /* of decoded to sent, unless the job says otherwise */
    FETCH_RATIO_FROM = 1 << 20 /* decoded bytes from which it counts: small ones may repeat */
};

struct status_range {
    uint16_t first, last;
};

struct request {
    char *asked, *base; /* the URL as the job has it, and what it is relative to; or NULL */
    struct url url;     /* what they come to; see request_read_url() */
    char *method;       /* NULL: GET, HEAD or POST, as head and data imply */
    struct curl_slist *headers;
    char *data; /* the request's body; NULL none */
    size_t data_size;
    const char *data_type; /* of a body that was encoded here; NULL: not known */
    char *data_file;       /* it is this file's content; NULL none */
    unsigned bodies;       /* how many of data, data_file, form and json the job has */
    bool head;
    enum fetch_auth auth;
    char *secret; /* by its name */
    char *proxy;
    char *cookies; /* a jar's name; NULL: none are taken */
    enum fetch_http http;
    struct status_range accepted[FETCH_ACCEPT_MAX]; /* none: below 400 */
    unsigned accepted_count;
    char *types[FETCH_ACCEPT_MAX]; /* media types; none: all */
    unsigned types_count;
    bool is_conditional; /* a 304 is an answer to it */
    bool resume, idempotent, robots;
    uint32_t pages; /* to follow rel="next" for; 0: do not */
    char *warc;     /* absolute prefix of the archive's files; NULL none */
    enum fetch_body body;
    char *file;    /* absolute path; may hold {sha256} in its last part; NULL none */
    char *sha256;  /* 64 hex digits that the body must have; NULL none */
    char *ca_file; /* NULL: the worker's */
    uint64_t max_bytes, max_wire_bytes; /* decoded, and as sent */
    uint32_t max_ratio;                 /* 0: any */
    uint32_t max_redirects;
    uint32_t connect_ms, first_byte_ms, idle_ms, total_ms;
};

/* Fill `out` from a payload. Returns NULL, or what is wrong, as one sentence in `reason`. */
const char *request_read(struct request *out, struct ag_bytes payload, char reason[256]);

/* NULL, or why it is not a URL. */
const char *request_read_url(struct request *self);

void request_fini(struct request *self);

/* Whether an answer with this status is what was asked for. */
bool request_accepts_status(const struct request *self, long status);

/* `type` is the Content-Type as it was sent, "" if it was not. */
bool request_accepts_type(const struct request *self, const char *type);

/* Whether doing it twice is as good as doing it once (RFC 9110 9.2.2), or the job says so. */
bool request_may_be_repeated(const struct request *self);

/* The method that goes on the wire: "GET" and so on. */
const char *request_method(const struct request *self);

#endif
