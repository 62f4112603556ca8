/* lines.h - lines from files and from standard input, without waiting for them.
 *
 * A slow writer at the other end of a pipe must not keep the session with the broker waiting, so a
 * line that is not there yet is said to be so.
 */
#ifndef CLI_LINES_H
#define CLI_LINES_H

#include <argosy/error.h>

#include "common/buffer.h"

enum { LINE_BYTES_MAX = 1 << 20 };

struct lines {
    int fd;
    const char *name; /* for messages: the file's, or "standard input" */
    unsigned number;  /* of the last line, from 1 */
    bool at_end;
    struct ag_buffer buffer;
    size_t used; /* bytes of the buffer that were handed out */
};

/* "-" is standard input. ARGOSY_EIO. */
int lines_open(struct lines *self, const char *path, struct argosy_error *err);
void lines_close(struct lines *self);

/* The next line, without its end, in *text until the next call: 1, 0 not there yet, -1 at the end,
 * ARGOSY_EIO, ARGOSY_ETOOBIG. (ARGOSY_ENOMEM is -1, so memory is ARGOSY_ETOOBIG too.) */
int lines_next(struct lines *self, char **text, struct argosy_error *err);

#endif
