/* link.h - the next page, as a server tells it: the Link header (RFC 8288).
 *
 *     Link: </orders?page=3>; rel="next", </orders?page=9>; rel="last"
 *
 * Threads: any. Pure.
 */
#ifndef FETCH_LINK_H
#define FETCH_LINK_H

#include <stddef.h>

/* The target of the first link whose relation types have "next", as text in `out`: a reference to
 * be resolved against the URL of the page (RFC 3986). Several headers may be joined by commas. A
 * link with an anchor is about something else than the page and is not considered. Returns 0,
 * ARGOSY_ENOTFOUND, or ARGOSY_ETOOBIG if the target and its zero are more than `out_size` bytes;
 * `out` is then unchanged. */
int link_next(const char *header_value, char *out, size_t out_size);

#endif
