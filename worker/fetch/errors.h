/* errors.h - what a failed transfer is called: libcurl's codes and HTTP's statuses to error types.
 *
 * Threads: any. Pure.
 */
#ifndef FETCH_ERRORS_H
#define FETCH_ERRORS_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

/* What the type depends on besides the code. */
struct fetch_progress {
    bool connected;  /* connection and handshake were done, to the last host if it was redirected */
    bool answered;   /* a status line has come from there */
    bool in_headers; /* and its headers are still coming */
    bool out_of_time; /* the limit for the whole is over */
};

struct fetch_failure {
    char type[64];
    bool retryable;
    const char *message; /* one line for people; constant */
};

void fetch_failure_of_code(CURLcode code, const struct fetch_progress *progress,
                           struct fetch_failure *out);

/* False when the status is no failure (below 400). */
bool fetch_failure_of_status(long status, struct fetch_failure *out);

/* "Not Found"; "" for a status without a name. */
const char *fetch_status_name(long status);

#endif
