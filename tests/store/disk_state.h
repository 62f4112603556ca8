/* disk_state.h - what disk.c (names, power, failures, space) and disk_vfs.c (SQLite's methods)
 * share. Every function but disk_lock() wants the disk's mutex held. */
#ifndef TESTS_STORE_DISK_STATE_H
#define TESTS_STORE_DISK_STATE_H

#include <pthread.h>
#include <sqlite3.h>

#include "tests/store/disk.h"
#include "tests/store/media.h"

/* The shared memory of a WAL's index. Its parts never move; gone with the last who maps it. */
struct shm {
    uint8_t **parts;
    size_t count, part_bytes;
};

/* A file, whatever its name; it lives while a name or a handle knows it. */
struct inode {
    struct inode *next; /* all of the disk */
    struct media media;
    unsigned names; /* how often the directory mentions it, also in what is past */
    bool is_linked; /* a name stands for it now */
    struct handle *handles;
    struct shm shm;
};

/* What SQLite calls a file: one open(). */
struct handle {
    sqlite3_file base; /* first: SQLite knows only this */
    disk_t *disk;
    struct inode *inode;
    struct handle *next; /* of the same inode */
    uint64_t boot;       /* of the disk when it was opened; another one now: the handle is dead */
    char *delete_name;   /* on close; or NULL */
    int lock;            /* SQLITE_LOCK_* */
    bool is_mapped, keeps_wal;
    bool is_new_journal;                /* its first sync syncs the directory too */
    unsigned shm_shared, shm_exclusive; /* locks, one bit each */
};

/* A name in the directory. past[0] is what stands there for sure after a cut, the last one what
 * stands there now; NULL: no file. */
struct entry {
    char *name;
    struct inode **past;
    size_t count;
};

/* Something that comes with the nth operation. */
struct alarm {
    uint64_t left; /* 0: not armed */
    int code;
    bool for_good, is_on;
};

struct disk {
    sqlite3_vfs vfs; /* its pAppData is the disk */
    pthread_mutex_t mutex;
    char *name;
    size_t sector_bytes;
    struct ag_random random;
    struct entry *entries;
    size_t entry_count;
    struct inode *inodes;
    uint64_t boot;
    bool is_off;
    struct alarm cuts[DISK_OPS_COUNT], failures[DISK_OPS_COUNT];
    uint64_t cut_seed;
    uint64_t capacity, reserved;
    const char *reserved_while; /* a real file; NULL: always */
    unsigned sync_delay_us;
    struct disk_counts counts;
};

void disk_lock(disk_t *self);
void disk_unlock(disk_t *self);

/* How an operation ends: code 0 is well; with a cut it is begun, and then the power fails. */
struct fate {
    int code;
    bool is_cut;
};

/* Counts an operation and says how it ends. The caller does its part of the work, and then calls
 * disk_power_off() if it is a cut. */
struct fate disk_begin(disk_t *self, enum disk_op op);
void disk_power_off(disk_t *self);

/* How many of the bytes by which something wants to grow there is room for. */
uint64_t disk_room(disk_t *self, uint64_t growth);

/* The file of this name now, or NULL. */
struct inode *disk_find(disk_t *self, const char *name);

/* A new file; `name` NULL: without a name, it goes with its last handle. */
struct inode *disk_create(disk_t *self, const char *name);

void disk_unlink(disk_t *self, const char *name);
void disk_sync_directory(disk_t *self);

/* A file that was synced has its name for sure. */
void disk_sync_name(disk_t *self, const struct inode *inode);

/* Gives it back if neither a name nor a handle knows it. */
void disk_release(disk_t *self, struct inode *inode);

void shm_free(struct shm *self);

/* disk_vfs.c: the methods of a disk's VFS. */
void disk_vfs_init(disk_t *self);

#endif
