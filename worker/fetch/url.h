/* url.h - one URL, taken apart: what the engine decides by (scheme, host, port, path).
 *
 * Plain ones are read here, everything else by libcurl's own parser, so that both always mean the
 * same host. What is connected to is judged later, by its address (policy.h).
 *
 * Threads: plain data.
 */
#ifndef FETCH_URL_H
#define FETCH_URL_H

#include <stdbool.h>
#include <stdint.h>

enum { URL_BYTES_MAX = 8192, URL_HOST_SIZE = 256 };

struct url {
    char *text;               /* absolute; neither a fragment nor user information */
    const char *path;         /* with the query, inside text; "" if there is none */
    char scheme[8];           /* lower case */
    char host[URL_HOST_SIZE]; /* lower case, as DNS has it (punycode); IPv6 without brackets */
    uint16_t port;
};

/* Read `text`, resolved against `base` (NULL none; RFC 3986 section 5). NULL, or why not. */
const char *url_read(struct url *out, const char *text, const char *base);

/* As a server wrote it: what is not encoded is, user information is dropped. */
const char *url_read_link(struct url *out, const char *text, const char *base);

void url_fini(struct url *self);

/* http or https: all that a server may lead to. */
bool url_is_http(const struct url *self);

/* Same scheme, host and port: what was meant for one may be told to the other. */
bool url_is_same_origin(const struct url *a, const struct url *b);

#endif
