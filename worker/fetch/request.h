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

enum fetch_body { FETCH_BODY_INLINE, FETCH_BODY_FILE, FETCH_BODY_NONE };

enum {
    FETCH_URL_BYTES_MAX = 8192,
    FETCH_HEADERS_MAX = 128,          /* of a request */
    FETCH_HEADER_BYTES_MAX = 8192,    /* one line */
    FETCH_INLINE_BYTES_MAX = 1 << 20, /* of a body inside a result; larger ones go to a file */
    FETCH_REDIRECTS_MAX = 50
};

struct request {
    char *url;
    char *method; /* NULL: GET, HEAD or POST, as head and data imply */
    struct curl_slist *headers;
    char *data; /* the request's body; NULL none */
    size_t data_size;
    bool head;
    enum fetch_body body;
    char *file;    /* absolute path; may hold {sha256} in its last part; NULL none */
    char *sha256;  /* 64 hex digits that the body must have; NULL none */
    char *ca_file; /* NULL: the worker's */
    uint64_t max_bytes;
    uint32_t max_redirects;
    uint32_t connect_ms, first_byte_ms, idle_ms, total_ms;
};

/* Fill `out` from a payload. Returns NULL, or what is wrong, as one sentence in `reason`. */
const char *request_read(struct request *out, struct ag_bytes payload, char reason[256]);

void request_fini(struct request *self);

#endif
