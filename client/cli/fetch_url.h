/* fetch_url.h - what a URL says before anybody fetches it: its host, and the file that --out makes
 * of it.
 *
 * Nothing is resolved or checked here, that is the worker's; a text that is no URL has parts too.
 *
 * Threads: plain data. Pure.
 */
#ifndef CLI_FETCH_URL_H
#define CLI_FETCH_URL_H

#include "common/buffer.h"

enum {
    FETCH_HOST_SIZE = 262,      /* a name of 253 bytes, a colon, a port, the zero */
    FETCH_PATH_BYTES_MAX = 4000 /* that --out may make; the system's limit is 4,096 */
};

/* The host and its port, in lower case, without user and password, the standard ports of http and
 * https left out: "example.org", "[::1]:8080". Of a relative URL that of `base` (NULL: none). Empty
 * when there is none, or it is longer than hosts are. */
void fetch_url_host(const char *url, const char *base, char out[FETCH_HOST_SIZE]);

/* The absolute path that a template of --out makes of a URL, from the directory `here`, at the
 * place `index` of the input; {sha256} stays, the worker knows it. False when the template has an
 * unknown word, or the path is too long. */
bool fetch_url_path(const char *template, const char *here, const char *url, uint64_t index,
                    struct ag_buffer *out);

#endif
