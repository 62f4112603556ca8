/* warc_file.h - a file of gzip members that grows by whole records and gets its name at the end.
 *
 * Start here: warc_file_new(); for each record warc_file_put() any number of times and
 * warc_file_end(); when that fails warc_file_rollback(); at last warc_file_close(). Until then the
 * file has ".open" behind its name, so that a reader knows which files are whole.
 *
 * Threads: one at a time. Blocking.
 */
#ifndef FETCH_WARC_FILE_H
#define FETCH_WARC_FILE_H

#include <argosy/error.h>

#include "common/bytes.h"

#define WARC_FILE_OPEN ".open"

typedef struct warc_file warc_file_t;

/* `path` names a file that is not there yet in the directory `folder`; takes that descriptor, also
 * when it fails. ARGOSY_EIO, ARGOSY_ENOMEM. */
int warc_file_new(warc_file_t **out, int folder, const char *path, struct argosy_error *err);

/* The name that the file will have. */
const char *warc_file_path(const warc_file_t *self);

/* Bytes written; between records where the next one begins. */
uint64_t warc_file_size(const warc_file_t *self);

/* More of the present record. ARGOSY_EIO, with the file and the reason. */
int warc_file_put(warc_file_t *self, struct ag_bytes bytes, struct argosy_error *err);

/* The record is whole. As warc_file_put(). */
int warc_file_end(warc_file_t *self, struct argosy_error *err);

/* As it was when it had `size` bytes, between records. ARGOSY_EIO: it is not, and only
 * warc_file_abandon() may follow. */
int warc_file_rollback(warc_file_t *self, uint64_t size, struct argosy_error *err);

/* To the disk, and the name. ARGOSY_EIO: it remains beside its name, with ".open". Sets NULL. */
int warc_file_close(warc_file_t **self_p, struct argosy_error *err);

/* Leaves it with ".open". Sets NULL. */
void warc_file_abandon(warc_file_t **self_p);

/* Removes it. Sets NULL. */
void warc_file_remove(warc_file_t **self_p);

#endif
