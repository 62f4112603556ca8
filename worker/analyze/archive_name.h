/* archive_name.h - the name of an archive's entry, as the path of a file in a directory.
 *
 * Threads: any. Pure.
 */
#ifndef ANALYZE_ARCHIVE_NAME_H
#define ANALYZE_ARCHIVE_NAME_H

#include "worker/analyze/source.h"

/* *out: the path that the file would have below the directory that it is unpacked in, without "."
 * and double slashes; "" when the name is that directory's own. `name` may be NULL and hold any
 * bytes. ARGOSY_EPROTO: no name, or one that leads out of the directory: absolute, with a drive,
 * with
 * "..", also between backslashes. ARGOSY_ETOOBIG: longer or deeper than source.h allows. Then *out
 * is what can be shown of it. */
int archive_name(const char *name, char out[SOURCE_PATH_MAX], struct argosy_error *err);

#endif
