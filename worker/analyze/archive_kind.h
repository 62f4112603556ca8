/* archive_kind.h - which kind of archive a file is, by its first bytes.
 *
 * Threads: any. Pure.
 */
#ifndef ANALYZE_ARCHIVE_KIND_H
#define ANALYZE_ARCHIVE_KIND_H

#include "common/bytes.h"

enum archive_kind {
    ARCHIVE_NONE,
    ARCHIVE_TAR,
    ARCHIVE_ZIP,
    ARCHIVE_ZIP_TORN, /* without the directory at its end; nobody's first bytes tell that */
    ARCHIVE_7Z
};

enum { ARCHIVE_FIRST_BYTES = 512 }; /* to look at; a tar needs them all */

enum archive_kind archive_kind_of(struct ag_bytes first);

#endif
