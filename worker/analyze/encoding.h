/* encoding.h - how a text is written: its letters and its line ends.
 *
 * Nothing is guessed from the language of the words: a byte order mark says UTF-16, bytes that are
 * UTF-8 are UTF-8 (so is ASCII), everything else is taken byte by byte and told as Latin-1.
 *
 * Threads: any. Pure.
 */
#ifndef ANALYZE_ENCODING_H
#define ANALYZE_ENCODING_H

#include <stdbool.h>

#include "common/buffer.h"

/* X(NAME, "key") */
#define ENCODINGS(X)                                                                               \
    X(UTF8, "utf8")                                                                                \
    X(UTF16, "utf16")                                                                              \
    X(LATIN1, "latin1")

enum encoding {
#define X(name, key) ENCODING_##name,
    ENCODINGS(X)
#undef X
        ENCODING_COUNT
};

/* By a file's first line. Old Mac files have a CR at each line's end and no newline at all. */
#define LINE_ENDS(X)                                                                               \
    X(LF, "lf")                                                                                    \
    X(CRLF, "crlf")                                                                                \
    X(CR, "cr")                                                                                    \
    X(NONE, "none")

enum line_end {
#define X(name, key) LINE_END_##name,
    LINE_ENDS(X)
#undef X
        LINE_END_COUNT
};

/* Does a byte order mark of UTF-16 begin it? That of UTF-32 is none: such a file is binary. */
bool encoding_is_utf16(struct ag_bytes content);

/* From UTF-16, behind its mark, to UTF-8; what is no letter becomes U+FFFD. A failure is `out`'s.
 */
void encoding_from_utf16(struct ag_bytes content, struct ag_buffer *out);

/* ENCODING_UTF8 or ENCODING_LATIN1. */
enum encoding encoding_of(struct ag_bytes text);

enum line_end encoding_line_end(struct ag_bytes text);

#endif
