/* unpack.h - a compressed stream, unpacked piece by piece: gzip, bzip2, xz, zstd.
 *
 * Not left to libarchive, because its filters let an xz stream have a dictionary of any size, pass
 * over gzip's checksum, run programs where a library is missing, and unpack without end before they
 * ask for more input. Here the caller has the thread again after every piece.
 *
 * Several streams one after the other are one, as for gzip -d; other bytes behind them are padding.
 *
 * Threads: one at a time.
 */
#ifndef ANALYZE_UNPACK_H
#define ANALYZE_UNPACK_H

#include <argosy/error.h>
#include <sys/types.h>

#include "common/bytes.h"

enum unpack_kind { UNPACK_NONE, UNPACK_GZIP, UNPACK_BZIP2, UNPACK_XZ, UNPACK_ZSTD };

enum { UNPACK_PIECE_BYTES = 64 << 10 };

/* By the first bytes of a file. */
enum unpack_kind unpack_kind_of(struct ag_bytes first);

/* Brings packed bytes: how many, *data them, valid until it is asked again; 0 the end. A negative
 * code ends the reading and is handed on. */
typedef ssize_t unpack_feed(void *arg, const uint8_t **data, struct argosy_error *err);

typedef struct unpack unpack_t;

/* ARGOSY_ENOMEM. */
int unpack_new(unpack_t **out, enum unpack_kind kind, unpack_feed *feed, void *arg,
               struct argosy_error *err);
void unpack_destroy(unpack_t **self_p);

/* How many bytes, at most a piece; *data them, valid until it is asked again; 0 the end.
 * ARGOSY_EPROTO: damaged or cut off; what could be unpacked before it has been given.
 * ARGOSY_ETOOBIG: it wants more memory than SOURCE_DICTIONARY_BYTES_MAX. ARGOSY_ENOMEM, and what
 * feed gave. */
ssize_t unpack_read(unpack_t *self, const uint8_t **data, struct argosy_error *err);

#endif
