/* error.h - write the detail of a failed call; see include/argosy/error.h for the codes.
 *
 * Threads: any. Pure.
 */
#ifndef AG_ERROR_H
#define AG_ERROR_H

#include <argosy/error.h>

/* Fill `err` (may be NULL) and return `code`, so that a failure is one line:
 *     return ag_fail(err, ARGOSY_EINVAL, "'%s' is not a whole number", text); */
__attribute__((format(printf, 3, 4))) int ag_fail(struct argosy_error *err, int code,
                                                  const char *format, ...);

/* Put "context: " in front of what is already there; for callers that know more. Returns the code
 * that is in `err`, or `code` when `err` is NULL. */
__attribute__((format(printf, 3, 4))) int ag_fail_in(struct argosy_error *err, int code,
                                                     const char *format, ...);

/* Of a text that was cut to fit: it may end in half a character (UTF-8), and on the wire that would
 * not be a text any more. What is whole stays. */
void ag_drop_half_character(char *text);

#endif
