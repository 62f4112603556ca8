/* warc_head.h - the head of an HTTP message as it goes into an archive.
 *
 * As it was on the wire, but for what would mislead a reader of the archive:
 * - The archive has no chunks, so Transfer-Encoding becomes X-Crawler-Transfer-Encoding (the name
 *   that Common Crawl uses), and a Content-Length beside it, which does not count (RFC 9112, 6.3),
 *   X-Crawler-Content-Length.
 * - Messages of HTTP/2 and 3 have no such text on the wire; they are written as HTTP/1.1, because
 *   readers know no other, and `protocol` says what they were.
 * - Lines end with CRLF.
 * - The values of Authorization and Proxy-Authorization are withheld: archives are passed on.
 *
 * Threads: any. Pure.
 */
#ifndef FETCH_WARC_HEAD_H
#define FETCH_WARC_HEAD_H

#include <argosy/error.h>

#include "common/buffer.h"

/* `message`: a first line, fields, an empty line; what follows is *body. Appends the head to `out`,
 * with the empty line. *protocol: "h2", "h3", or NULL for HTTP/1. ARGOSY_EINVAL: no such head;
 * ARGOSY_ETOOBIG: more than `out` may have. */
int warc_head_write(struct ag_bytes message, struct ag_buffer *out, struct ag_bytes *body,
                    const char **protocol, struct argosy_error *err);

#endif
