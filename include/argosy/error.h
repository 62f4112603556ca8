/* error.h - every way an Argosy call can fail, in one table.
 *
 * Calls return 0 or one of these negative codes; the detail is in an optional last parameter
 * `struct argosy_error *err`. A job that fails is not an error of a call: it is data, see report.h.
 *
 * Threads: everything here is safe from any thread.
 */
#ifndef ARGOSY_ERROR_H
#define ARGOSY_ERROR_H

#include <argosy/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(NAME, code, text). Codes are part of the ABI: never renumber, never reuse. */
#define ARGOSY_ERRORS(X)                                                                           \
    X(ENOMEM, -1, "out of memory")                                                                 \
    X(EPROTO, -2, "message does not follow the protocol")                                          \
    X(ETOOBIG, -3, "larger than the configured limit")                                             \
    X(EAGAIN, -4, "would block")                                                                   \
    X(EINVAL, -5, "invalid argument")                                                              \
    X(ENOTFOUND, -6, "not found")                                                                  \
    X(EIO, -7, "input or output failed")                                                           \
    X(EREJECTED, -8, "the broker refused")                                                         \
    X(ENOBROKER, -9, "no broker answers")                                                          \
    X(ETIMEOUT, -10, "timed out")                                                                  \
    X(ESTATE, -11, "not possible in this state")                                                   \
    X(EFULL, -12, "no room left on the disk")

enum argosy_error_code {
    ARGOSY_OK = 0,
#define X(name, code, text) ARGOSY_##name = (code),
    ARGOSY_ERRORS(X)
#undef X
};

/* What went wrong, to what, and what to do: one line for people. */
struct argosy_error {
    int code; /* ARGOSY_E*; 0 when nothing was written */
    char message[256];
};

/* The sentence for a code, also for one this version does not know. Never NULL, never freed. */
ARGOSY_API const char *argosy_strerror(int code);

#ifdef __cplusplus
}
#endif
#endif
