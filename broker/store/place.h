/* place.h - where a store's files lie: who may have them, and what to do when the disk is full.
 *
 * Beside the database PATH stand PATH.lock, which one broker holds, and PATH.ballast: space that is
 * given back when the disk is full, so that what was promised can still be written.
 *
 * Threads: one at a time.
 */
#ifndef BROKER_STORE_PLACE_H
#define BROKER_STORE_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include <argosy/error.h>

enum { PLACE_BALLAST_BYTES = 16 << 20 };

struct place {
    int lock; /* -1: not held */
    char path[PATH_MAX - 16];
};

/* Makes the directory if only its last part is missing, and takes the lock.
 * ARGOSY_ESTATE: another broker holds it; ARGOSY_EINVAL: a network file system, on which neither
 * locks nor the shared memory of SQLite's log can be trusted; ARGOSY_EIO. */
int place_take(struct place *self, const char *path, struct argosy_error *err);

/* Makes a directory that outlives a loss of power, unless it is there. ARGOSY_EIO. */
int place_make_folder(const char *folder, struct argosy_error *err);

/* Of a file system's type as statfs(2) has it, if it is one that no store may be on; else NULL. */
const char *place_network_name(unsigned long type);

void place_release(struct place *self);

/* Sets space aside, unless it is. False: there is not enough for it and as much again. */
bool place_keep_ballast(const struct place *self);

void place_drop_ballast(const struct place *self);

#endif
