/* The methods that SQLite calls. What they must do stands in sqlite3.h (sqlite3_vfs,
 * sqlite3_io_methods, xShmLock); where it leaves a choice, they do as SQLite's own VFS on Linux. */
#include "tests/store/disk_state.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/assert.h"

static struct handle *handle_of(sqlite3_file *file)
{
    return (struct handle *)(void *)file;
}

static disk_t *disk_of(sqlite3_vfs *vfs)
{
    return vfs->pAppData;
}

/* The handle with its disk locked. */
static struct handle *enter(sqlite3_file *file)
{
    struct handle *self = handle_of(file);

    disk_lock(self->disk);
    return self;
}

static int leave(struct handle *self, int code)
{
    disk_unlock(self->disk);
    return code;
}

static bool is_dead(const struct handle *self)
{
    return self->boot != self->disk->boot;
}

/* Counts the operation; an operation that fails before it has done anything ends here. */
static int begin(struct handle *self, enum disk_op op)
{
    struct fate fate = disk_begin(self->disk, op);

    if (fate.is_cut)
        disk_power_off(self->disk);
    return fate.code;
}

/* ---- reading and writing -------------------------------------------------------------------- */

static int file_read(sqlite3_file *file, void *out, int size, sqlite3_int64 at)
{
    struct handle *self = enter(file);
    size_t got;
    int code;

    if (is_dead(self))
        return leave(self, SQLITE_IOERR_READ);
    code = begin(self, DISK_READ);
    if (code != SQLITE_OK)
        return leave(self, code);
    got = media_read(&self->inode->media, out, (size_t)size, (uint64_t)at);
    memset((char *)out + got, 0, (size_t)size - got);
    return leave(self, got < (size_t)size ? SQLITE_IOERR_SHORT_READ : SQLITE_OK);
}

/* How many bytes the disk lacks for the file to reach so far. */
static size_t missing_room(struct handle *self, uint64_t end)
{
    uint64_t now = self->inode->media.cached.size;
    uint64_t growth = end > now ? end - now : 0;

    return (size_t)(growth - disk_room(self->disk, growth));
}

static int file_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 at)
{
    struct handle *self = enter(file);
    size_t wanted = (size_t)size, missing, fits;
    struct fate fate;

    if (is_dead(self))
        return leave(self, SQLITE_IOERR_WRITE);
    fate = disk_begin(self->disk, DISK_WRITE);
    if (fate.code != SQLITE_OK && !fate.is_cut)
        wanted = ag_random_below(&self->disk->random, wanted + 1);
    missing = missing_room(self, (uint64_t)at + wanted);
    fits = missing < wanted ? wanted - missing : 0;
    media_write(&self->inode->media, data, fits, (uint64_t)at);
    self->disk->counts.bytes_written += fits;
    if (fate.is_cut)
        disk_power_off(self->disk);
    if (fate.code == SQLITE_OK && fits < wanted)
        fate.code = SQLITE_FULL;
    return leave(self, fate.code);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct handle *self = enter(file);
    struct fate fate;

    if (is_dead(self))
        return leave(self, SQLITE_IOERR_TRUNCATE);
    fate = disk_begin(self->disk, DISK_TRUNCATE);
    if (fate.code != SQLITE_OK && !fate.is_cut)
        return leave(self, fate.code);
    if (missing_room(self, (uint64_t)size) > 0)
        return leave(self, SQLITE_FULL);
    media_resize(&self->inode->media, (uint64_t)size);
    if (fate.is_cut)
        disk_power_off(self->disk);
    return leave(self, fate.code);
}

/* Others may use the disk while it is busy with a sync. */
static void wait_for_sync(disk_t *disk)
{
    unsigned delay_us = disk->sync_delay_us;

    if (delay_us == 0)
        return;
    disk_unlock(disk);
    usleep(delay_us);
    disk_lock(disk);
}

/* SQLite's own VFS syncs the directory once after it has opened a journal or a WAL to create it.
 * Without that, the deleted rollback journal in which a new database became one with a WAL could
 * come back, and undo the whole database. */
static void sync_names(struct handle *self)
{
    if (self->is_new_journal)
        disk_sync_directory(self->disk);
    else
        disk_sync_name(self->disk, self->inode);
    self->is_new_journal = false;
}

static int file_sync(sqlite3_file *file, int flags)
{
    struct handle *self = enter(file);
    struct media *media = &self->inode->media;
    uint64_t upto = media->changes_made;
    struct fate fate;

    (void)flags; /* the size belongs to the data, also with SQLITE_SYNC_DATAONLY */
    if (is_dead(self))
        return leave(self, SQLITE_IOERR_FSYNC);
    fate = disk_begin(self->disk, DISK_SYNC);
    wait_for_sync(self->disk);
    if (is_dead(self))
        return leave(self, SQLITE_IOERR_FSYNC);
    if (fate.is_cut) {
        disk_power_off(self->disk);
    } else if (fate.code != SQLITE_OK) {
        media_lose(media, upto, &self->disk->random);
    } else {
        media_sync(media, upto);
        sync_names(self);
    }
    return leave(self, fate.code);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    struct handle *self = enter(file);

    if (is_dead(self))
        return leave(self, SQLITE_IOERR_FSTAT);
    *size = (sqlite3_int64)self->inode->media.cached.size;
    return leave(self, SQLITE_OK);
}

/* ---- the five locks of a file ---------------------------------------------------------------- */

/* The highest lock that another handle has. */
static int lock_of_others(const struct handle *self)
{
    int highest = SQLITE_LOCK_NONE;

    for (const struct handle *other = self->inode->handles; other != NULL; other = other->next)
        if (other != self && other->lock > highest)
            highest = other->lock;
    return highest;
}

/* What this handle may have of what it wants; one that waits for readers to leave keeps PENDING,
 * which lets no new ones in. */
static int lock_granted(const struct handle *self, int wanted)
{
    int others = lock_of_others(self);

    if (wanted == SQLITE_LOCK_SHARED)
        return others < SQLITE_LOCK_PENDING ? wanted : self->lock;
    if (others >= SQLITE_LOCK_RESERVED)
        return self->lock;
    if (wanted == SQLITE_LOCK_EXCLUSIVE && others >= SQLITE_LOCK_SHARED)
        return SQLITE_LOCK_PENDING;
    return wanted;
}

static int file_lock(sqlite3_file *file, int wanted)
{
    struct handle *self = enter(file);

    if (is_dead(self))
        return leave(self, SQLITE_IOERR_LOCK);
    if (self->lock < wanted)
        self->lock = lock_granted(self, wanted);
    return leave(self, self->lock >= wanted ? SQLITE_OK : SQLITE_BUSY);
}

/* A dead handle may give back what no longer matters, so that it can be closed in peace. */
static int file_unlock(sqlite3_file *file, int wanted)
{
    struct handle *self = enter(file);

    if (self->lock > wanted)
        self->lock = wanted;
    return leave(self, SQLITE_OK);
}

static int file_check_reserved(sqlite3_file *file, int *is_reserved)
{
    struct handle *self = enter(file);

    if (is_dead(self))
        return leave(self, SQLITE_IOERR_CHECKRESERVEDLOCK);
    *is_reserved =
        self->lock >= SQLITE_LOCK_RESERVED || lock_of_others(self) >= SQLITE_LOCK_RESERVED;
    return leave(self, SQLITE_OK);
}

/* ---- what the file is like ------------------------------------------------------------------ */

/* A flag that the caller sets with 0 or 1, and asks for with -1. */
static int flag_control(bool *flag, int *value)
{
    if (*value < 0)
        *value = *flag;
    else
        *flag = *value > 0;
    return SQLITE_OK;
}

static int file_control(sqlite3_file *file, int op, void *arg)
{
    struct handle *self = handle_of(file);

    switch (op) {
    case SQLITE_FCNTL_PERSIST_WAL:
        return flag_control(&self->keeps_wal, arg);
    case SQLITE_FCNTL_HAS_MOVED:
        *(int *)arg = 0;
        return SQLITE_OK;
    case SQLITE_FCNTL_VFSNAME:
        *(char **)arg = sqlite3_mprintf("%s", self->disk->name);
        return SQLITE_OK;
    default:
        return SQLITE_NOTFOUND;
    }
}

static int file_sector_size(sqlite3_file *file)
{
    return (int)handle_of(file)->disk->sector_bytes;
}

/* A cut never changes bytes that were safe and not written again, also if they share a sector with
 * others that were. SQLite assumes that of every file on Linux. */
static int file_characteristics(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* ---- shared memory --------------------------------------------------------------------------- */

/* On Linux the index is a file, of which each part is written when it is new; a full disk shows
 * here too, as SQLITE_IOERR_SHMSIZE. */
static int grow_shm(struct handle *self, size_t part_bytes)
{
    struct shm *shm = &self->inode->shm;
    int code = begin(self, DISK_MAP);

    if (code != SQLITE_OK)
        return code;
    if (disk_room(self->disk, part_bytes) < part_bytes)
        return SQLITE_IOERR_SHMSIZE;
    shm->parts = realloc(shm->parts, (shm->count + 1) * sizeof *shm->parts);
    if (shm->parts == NULL)
        abort();
    shm->parts[shm->count] = calloc(1, part_bytes);
    if (shm->parts[shm->count] == NULL)
        abort();
    shm->part_bytes = part_bytes;
    shm->count++;
    return SQLITE_OK;
}

static int shm_map(sqlite3_file *file, int part, int part_bytes, int may_grow, void volatile **out)
{
    struct handle *self = enter(file);
    struct shm *shm = &self->inode->shm;
    int code = SQLITE_OK;

    *out = NULL;
    if (is_dead(self))
        return leave(self, SQLITE_IOERR_SHMMAP);
    self->is_mapped = true;
    while (may_grow && shm->count <= (size_t)part && code == SQLITE_OK)
        code = grow_shm(self, (size_t)part_bytes);
    if ((size_t)part < shm->count)
        *out = shm->parts[part];
    return leave(self, code);
}

static unsigned shm_locks_of_others(const struct handle *self, bool also_shared)
{
    unsigned locks = 0;

    for (const struct handle *other = self->inode->handles; other != NULL; other = other->next)
        if (other != self)
            locks |= other->shm_exclusive | (also_shared ? other->shm_shared : 0);
    return locks;
}

static int shm_lock(sqlite3_file *file, int first, int count, int flags)
{
    struct handle *self = enter(file);
    unsigned wanted = ((1u << count) - 1) << first;
    bool is_exclusive = flags & SQLITE_SHM_EXCLUSIVE;
    unsigned *mine = is_exclusive ? &self->shm_exclusive : &self->shm_shared;

    if (flags & SQLITE_SHM_UNLOCK) {
        *mine &= ~wanted;
        return leave(self, SQLITE_OK);
    }
    if (is_dead(self))
        return leave(self, SQLITE_IOERR_SHMLOCK);
    if (shm_locks_of_others(self, is_exclusive) & wanted)
        return leave(self, SQLITE_BUSY);
    *mine |= wanted;
    return leave(self, SQLITE_OK);
}

/* What one thread wrote before it, others read after theirs. */
static void shm_barrier(sqlite3_file *file)
{
    __sync_synchronize();
    leave(enter(file), SQLITE_OK);
}

static void drop_shm(struct handle *self)
{
    self->is_mapped = false;
    self->shm_shared = self->shm_exclusive = 0;
    for (const struct handle *other = self->inode->handles; other != NULL; other = other->next)
        if (other->is_mapped)
            return;
    shm_free(&self->inode->shm);
}

/* The index goes with its last user, whether or not its file would be deleted: the first one that
 * opens it clears it in any case. */
static int shm_unmap(sqlite3_file *file, int is_deleted)
{
    struct handle *self = enter(file);

    (void)is_deleted;
    drop_shm(self);
    return leave(self, SQLITE_OK);
}

/* ---- opening, closing, deleting ------------------------------------------------------------- */

static void unlist(struct handle *self)
{
    struct handle **at = &self->inode->handles;

    while (*at != self)
        at = &(*at)->next;
    *at = self->next;
}

static int file_close(sqlite3_file *file)
{
    struct handle *self = enter(file);
    disk_t *disk = self->disk;

    drop_shm(self);
    unlist(self);
    if (self->delete_name != NULL && disk_find(disk, self->delete_name) == self->inode)
        disk_unlink(disk, self->delete_name);
    free(self->delete_name);
    disk_release(disk, self->inode);
    return leave(self, SQLITE_OK);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2, /* no mapping of the files themselves */
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = shm_map,
    .xShmLock = shm_lock,
    .xShmBarrier = shm_barrier,
    .xShmUnmap = shm_unmap,
};

#define ANY_JOURNAL (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL)

/* The file to open; NULL: it is not as the flags want it. */
static struct inode *find_or_create(disk_t *disk, const char *name, int flags)
{
    struct inode *inode = name != NULL ? disk_find(disk, name) : NULL;

    if (inode != NULL)
        return flags & SQLITE_OPEN_EXCLUSIVE ? NULL : inode;
    return flags & SQLITE_OPEN_CREATE ? disk_create(disk, name) : NULL;
}

static int open_locked(disk_t *disk, const char *name, struct handle *self, int flags)
{
    struct fate fate;

    if (disk->is_off)
        return SQLITE_IOERR;
    fate = disk_begin(disk, DISK_OPEN);
    if (fate.is_cut)
        disk_power_off(disk);
    if (fate.code != SQLITE_OK)
        return fate.code;
    self->inode = find_or_create(disk, name, flags);
    if (self->inode == NULL)
        return SQLITE_CANTOPEN;
    self->is_new_journal = (flags & SQLITE_OPEN_CREATE) && (flags & ANY_JOURNAL);
    self->boot = disk->boot;
    self->next = self->inode->handles;
    self->inode->handles = self;
    if (name != NULL && (flags & SQLITE_OPEN_DELETEONCLOSE)) {
        self->delete_name = strdup(name);
        AG_ASSERT(self->delete_name != NULL);
    }
    self->base.pMethods = &methods; /* from now on it will be closed */
    return SQLITE_OK;
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                    int *flags_out)
{
    disk_t *disk = disk_of(vfs);
    int code;

    *handle_of(file) = (struct handle){.disk = disk};
    if (flags_out != NULL)
        *flags_out = flags;
    disk_lock(disk);
    code = open_locked(disk, name, handle_of(file), flags);
    disk_unlock(disk);
    return code;
}

static int sync_directory(disk_t *disk)
{
    uint64_t boot = disk->boot;
    struct fate fate = disk_begin(disk, DISK_SYNC);

    wait_for_sync(disk);
    if (disk->boot != boot)
        return SQLITE_IOERR_DIR_FSYNC;
    if (fate.is_cut)
        disk_power_off(disk);
    if (fate.code != SQLITE_OK)
        return SQLITE_IOERR_DIR_FSYNC;
    disk_sync_directory(disk);
    return SQLITE_OK;
}

static int delete_locked(disk_t *disk, const char *name, bool syncs)
{
    struct fate fate;

    if (disk->is_off)
        return SQLITE_IOERR_DELETE;
    if (disk_find(disk, name) == NULL)
        return SQLITE_IOERR_DELETE_NOENT;
    fate = disk_begin(disk, DISK_DELETE);
    if (fate.code != SQLITE_OK && !fate.is_cut)
        return fate.code;
    disk_unlink(disk, name);
    if (fate.is_cut)
        disk_power_off(disk);
    if (fate.code == SQLITE_OK && syncs)
        return sync_directory(disk);
    return fate.code;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int syncs)
{
    disk_t *disk = disk_of(vfs);
    int code;

    disk_lock(disk);
    code = delete_locked(disk, name, syncs);
    disk_unlock(disk);
    return code;
}

/* SQLite wants an empty journal to count as none. */
static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *is_there)
{
    disk_t *disk = disk_of(vfs);
    const struct inode *inode;
    int code;

    disk_lock(disk);
    inode = disk_find(disk, name);
    *is_there = inode != NULL && (flags != SQLITE_ACCESS_EXISTS || inode->media.cached.size > 0);
    code = disk->is_off ? SQLITE_IOERR_ACCESS : SQLITE_OK;
    disk_unlock(disk);
    return code;
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *name, int room, char *out)
{
    (void)vfs;
    if (strlen(name) >= (size_t)room)
        return SQLITE_CANTOPEN;
    strcpy(out, name);
    return SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *vfs, int size, char *out)
{
    disk_t *disk = disk_of(vfs);

    disk_lock(disk);
    ag_random_fill(&disk->random, out, (size_t)size);
    disk_unlock(disk);
    return size;
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *text)
{
    (void)vfs, (void)size, (void)text;
    return 0;
}

/* ---- what the system's own VFS does as well ---------------------------------------------------
 */

/* Not the default one: that may be a disk. */
static sqlite3_vfs *system_vfs(void)
{
    return sqlite3_vfs_find("unix");
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
    sqlite3_vfs *system = system_vfs();

    (void)vfs;
    return system->xSleep(system, us);
}

static int vfs_current_time(sqlite3_vfs *vfs, double *days)
{
    sqlite3_vfs *system = system_vfs();

    (void)vfs;
    return system->xCurrentTime(system, days);
}

static int vfs_current_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *ms)
{
    sqlite3_vfs *system = system_vfs();

    (void)vfs;
    return system->xCurrentTimeInt64(system, ms);
}

/* Extensions are not loaded from it: without xDl*. */
void disk_vfs_init(disk_t *self)
{
    self->vfs = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = sizeof(struct handle),
        .mxPathname = 512,
        .zName = self->name,
        .pAppData = self,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_pathname,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_current_time,
        .xGetLastError = vfs_last_error,
        .xCurrentTimeInt64 = vfs_current_time_ms,
    };
}
