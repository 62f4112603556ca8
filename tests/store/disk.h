/* disk.h - a simulated disk in memory, for SQLite: it can lose power, fail, be full and be slow.
 *
 *     disk_t *disk = disk_new("disk", 512, seed);
 *     sqlite3_open_v2("jobs.db", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "disk");
 *     disk_cut_at(disk, DISK_ANY, 37, seed);       the power fails in the middle of the 37th
 *     ...                                          until a call fails; close everything
 *     disk_power_on(disk);                         and look at what is left
 *
 * The disk is a VFS of SQLite under the given name: rollback journals and WAL, several connections
 * and threads of one process. All files stand in one directory.
 *
 * What a cut leaves: of each file what was synced, and of what was not any sectors in any order
 * (sectors are atomic) and any of the sizes that it had meanwhile. A created file is there for sure
 * once it was synced, a deleted one is gone for sure once the directory was synced (xDelete with
 * syncDir, or the first sync of a new journal or WAL); before that, either may be the case. Shared
 * memory and locks are gone. Handles that were open fail with SQLITE_IOERR_* until they are closed.
 *
 * Threads: every function may be called by any thread, except disk_new() and disk_destroy().
 * The same seeds and the same calls give the same cuts. No memory: abort().
 */
#ifndef TESTS_STORE_DISK_H
#define TESTS_STORE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct disk disk_t;

/* What is counted and can fail: X(NAME, "name", the code of its failure). MAP is new shared memory
 * for the index of a WAL, which is a file too. ANY is each of them but READ. */
#define DISK_OPS(X)                                                                                \
    X(READ, "read", SQLITE_IOERR_READ)                                                             \
    X(WRITE, "write", SQLITE_IOERR_WRITE)                                                          \
    X(TRUNCATE, "truncate", SQLITE_IOERR_TRUNCATE)                                                 \
    X(SYNC, "sync", SQLITE_IOERR_FSYNC)                                                            \
    X(OPEN, "open", SQLITE_CANTOPEN)                                                               \
    X(DELETE, "delete", SQLITE_IOERR_DELETE)                                                       \
    X(MAP, "map", SQLITE_IOERR_SHMMAP)                                                             \
    X(ANY, "any", SQLITE_IOERR)

enum disk_op {
#define X(name, text, code) DISK_##name,
    DISK_OPS(X)
#undef X
        DISK_OPS_COUNT
};

struct disk_counts {
    uint64_t ops[DISK_OPS_COUNT];
    uint64_t bytes_written;
    uint64_t failures; /* operations that failed because of disk_fail_at() */
    uint64_t refusals; /* because the disk was full */
    uint64_t cuts;
};

const char *disk_op_name(enum disk_op op);

/* An empty disk, switched on, without limits, as the VFS `name`. Sectors are of 512 or 4096 bytes.
 * The seed is for failures; a cut has one of its own. */
disk_t *disk_new(const char *name, unsigned sector_bytes, uint64_t seed);

/* Everything that was opened on it must have been closed. */
void disk_destroy(disk_t **self_p);

/* ---- power ---------------------------------------------------------------------------------- */

/* The power fails now. Everything fails until disk_power_on(). */
void disk_cut(disk_t *self, uint64_t seed);

/* The power fails in the middle of the nth operation of this kind from now (1 is the next): of a
 * write any part may be there, of a sync any part may be done, and its caller gets an error. 0: not
 * at all. One cut can be armed at a time. */
void disk_cut_at(disk_t *self, enum disk_op op, uint64_t nth, uint64_t seed);

bool disk_is_off(disk_t *self);

/* Also takes back an armed cut that has not come. Failures that are armed stay. */
void disk_power_on(disk_t *self);

/* ---- failures ------------------------------------------------------------------------------- */

/* The nth operation of this kind from now fails with `code`, SQLITE_IOERR_* or SQLITE_FULL, and if
 * it is `for_good` all later ones too. Code 0: the usual one of the kind; nth 0: none fails any
 * more. A write that fails has done a part of its work. A sync that fails throws away some of what
 * it should have made safe, and no later sync makes up for it, though programs still read it. */
void disk_fail_at(disk_t *self, enum disk_op op, uint64_t nth, int code, bool for_good);

/* ---- space, speed, figures ------------------------------------------------------------------ */

/* Files, the index of a WAL and what is reserved have this many bytes together; more is
 * SQLITE_FULL. UINT64_MAX, and at first: no limit. May be less than what is used. */
void disk_set_capacity(disk_t *self, uint64_t bytes);

/* Room for what is no file of SQLite, as a ballast; replaces what was reserved before.
 * SQLITE_OK, or SQLITE_FULL and nothing has changed. */
int disk_reserve(disk_t *self, uint64_t bytes);

/* What is reserved counts only while this real file is there. NULL, and at first: always. The path
 * is borrowed. */
void disk_reserve_while(disk_t *self, const char *path);

uint64_t disk_used(disk_t *self);

/* Each sync takes this long; the disk can do other things meanwhile. */
void disk_set_sync_delay_us(disk_t *self, unsigned delay_us);

struct disk_counts disk_counts(disk_t *self);

/* The size of a file; -1: there is none of this name. */
int64_t disk_file_size(disk_t *self, const char *name);

/* Copies a file to a real path, to be looked at with sqlite3(1). False: there is none, or errno. */
bool disk_save_file(disk_t *self, const char *name, const char *path);

#endif
