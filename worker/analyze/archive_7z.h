/* archive_7z.h - what a 7z archive would cost to read, found out before libarchive sees it.
 *
 * libarchive believes a 7z header: it takes whatever memory the header says that dictionaries,
 * files, folders and links need. So the header is walked here first, with limits.
 *
 * Threads: any. Blocking: reads the header.
 */
#ifndef ANALYZE_ARCHIVE_7Z_H
#define ANALYZE_ARCHIVE_7Z_H

#include <argosy/error.h>
#include <stdint.h>

/* `size`: of the file. 0: it may be opened. ARGOSY_EPROTO: damaged, or a list of files that is
 * encrypted. ARGOSY_ETOOBIG: a limit of source.h. ARGOSY_EIO, ARGOSY_ENOMEM. */
int archive_7z_check(int fd, uint64_t size, struct argosy_error *err);

#endif
