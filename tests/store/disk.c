#include "tests/store/disk_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/assert.h"

#define X(name, text, code) text,
static const char *const op_names[] = {DISK_OPS(X)};
#undef X
#define X(name, text, code) code,
static const int op_codes[] = {DISK_OPS(X)};
#undef X

const char *disk_op_name(enum disk_op op)
{
    return op_names[op];
}

void disk_lock(disk_t *self)
{
    AG_ASSERT(pthread_mutex_lock(&self->mutex) == 0);
}

void disk_unlock(disk_t *self)
{
    AG_ASSERT(pthread_mutex_unlock(&self->mutex) == 0);
}

static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

/* ---- files and names ------------------------------------------------------------------------ */

static struct inode *inode_new(disk_t *self)
{
    struct inode *inode = must(calloc(1, sizeof *inode));

    media_init(&inode->media, self->sector_bytes);
    inode->next = self->inodes;
    self->inodes = inode;
    return inode;
}

void shm_free(struct shm *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->parts[i]);
    free(self->parts);
    *self = (struct shm){0};
}

void disk_release(disk_t *self, struct inode *inode)
{
    struct inode **at = &self->inodes;

    if (inode->names > 0 || inode->handles != NULL)
        return;
    while (*at != inode)
        at = &(*at)->next;
    *at = inode->next;
    media_fini(&inode->media);
    shm_free(&inode->shm);
    free(inode);
}

static struct inode *entry_now(const struct entry *self)
{
    return self->past[self->count - 1];
}

static void entry_push(struct entry *self, struct inode *inode)
{
    self->past = must(realloc(self->past, (self->count + 1) * sizeof(struct inode *)));
    self->past[self->count++] = inode;
    if (inode != NULL)
        inode->names++;
}

/* Makes past[kept] all that is known of the name. */
static void entry_settle(disk_t *disk, struct entry *self, size_t kept)
{
    for (size_t i = 0; i < self->count; i++)
        if (i != kept && self->past[i] != NULL) {
            self->past[i]->names--;
            disk_release(disk, self->past[i]);
        }
    self->past[0] = self->past[kept];
    self->count = 1;
}

static struct entry *find_entry(disk_t *self, const char *name)
{
    for (size_t i = 0; i < self->entry_count; i++)
        if (strcmp(self->entries[i].name, name) == 0)
            return &self->entries[i];
    return NULL;
}

static struct entry *add_entry(disk_t *self, const char *name)
{
    size_t size = (self->entry_count + 1) * sizeof *self->entries;
    struct entry *entry;

    self->entries = must(realloc(self->entries, size));
    entry = &self->entries[self->entry_count++];
    *entry = (struct entry){.name = must(strdup(name))};
    entry_push(entry, NULL);
    return entry;
}

struct inode *disk_find(disk_t *self, const char *name)
{
    struct entry *entry = find_entry(self, name);

    return entry != NULL ? entry_now(entry) : NULL;
}

struct inode *disk_create(disk_t *self, const char *name)
{
    struct inode *inode = inode_new(self);
    struct entry *entry;

    if (name == NULL)
        return inode;
    entry = find_entry(self, name);
    if (entry == NULL)
        entry = add_entry(self, name);
    AG_ASSERT(entry_now(entry) == NULL);
    entry_push(entry, inode);
    inode->is_linked = true;
    return inode;
}

void disk_unlink(disk_t *self, const char *name)
{
    struct entry *entry = find_entry(self, name);

    entry_now(entry)->is_linked = false;
    entry_push(entry, NULL);
}

void disk_sync_directory(disk_t *self)
{
    for (size_t i = 0; i < self->entry_count; i++)
        entry_settle(self, &self->entries[i], self->entries[i].count - 1);
}

void disk_sync_name(disk_t *self, const struct inode *inode)
{
    for (size_t i = 0; i < self->entry_count; i++)
        if (entry_now(&self->entries[i]) == inode)
            entry_settle(self, &self->entries[i], self->entries[i].count - 1);
}

/* ---- space ---------------------------------------------------------------------------------- */

/* Not the files of before a cut, which only dead handles know. */
static bool takes_room(const disk_t *self, const struct inode *inode)
{
    return inode->is_linked || (inode->handles != NULL && inode->handles->boot == self->boot);
}

static uint64_t used(const disk_t *self)
{
    bool is_reserved = self->reserved_while == NULL || access(self->reserved_while, F_OK) == 0;
    uint64_t sum = is_reserved ? self->reserved : 0;

    for (const struct inode *inode = self->inodes; inode != NULL; inode = inode->next)
        if (takes_room(self, inode))
            sum += inode->media.cached.size + inode->shm.count * inode->shm.part_bytes;
    return sum;
}

uint64_t disk_room(disk_t *self, uint64_t growth)
{
    uint64_t taken = used(self), left = taken < self->capacity ? self->capacity - taken : 0;

    if (growth <= left)
        return growth;
    self->counts.refusals++;
    return left;
}

/* ---- power and failures --------------------------------------------------------------------- */

/* One of the things that the name may have stood for becomes the only one, in a file that the
 * handles of before do not know. */
static void cut_entry(disk_t *self, struct entry *entry)
{
    struct inode *after = NULL, *left = entry->past[ag_random_below(&self->random, entry->count)];

    if (left != NULL) {
        after = inode_new(self);
        media_cut(&left->media, &self->random, &after->media);
        after->is_linked = true;
    }
    if (entry_now(entry) != NULL)
        entry_now(entry)->is_linked = false;
    entry_push(entry, after);
    entry_settle(self, entry, entry->count - 1);
}

/* Handles of before keep their file's inode, but it is no longer on the disk. */
void disk_power_off(disk_t *self)
{
    ag_random_seed(&self->random, self->cut_seed);
    for (size_t i = 0; i < self->entry_count; i++)
        cut_entry(self, &self->entries[i]);
    memset(self->cuts, 0, sizeof self->cuts);
    self->is_off = true;
    self->boot++;
    self->counts.cuts++;
}

static bool rings(struct alarm *self)
{
    if (self->left > 0 && --self->left == 0) {
        self->is_on = self->for_good;
        return true;
    }
    return self->is_on;
}

/* Both are asked, so that both count. */
static bool either_rings(struct alarm *alarms, enum disk_op op, int *code)
{
    bool rings_for_op = rings(&alarms[op]);
    bool rings_for_any = op != DISK_READ && rings(&alarms[DISK_ANY]);
    int wanted = alarms[rings_for_op ? op : DISK_ANY].code;

    if (rings_for_op || rings_for_any)
        *code = wanted != 0 ? wanted : op_codes[op];
    return rings_for_op || rings_for_any;
}

struct fate disk_begin(disk_t *self, enum disk_op op)
{
    struct fate fate = {0};

    self->counts.ops[op]++;
    if (op != DISK_READ)
        self->counts.ops[DISK_ANY]++;
    if (either_rings(self->failures, op, &fate.code))
        self->counts.failures++;
    fate.is_cut = either_rings(self->cuts, op, &fate.code);
    return fate;
}

/* ---- for the tests -------------------------------------------------------------------------- */

disk_t *disk_new(const char *name, unsigned sector_bytes, uint64_t seed)
{
    disk_t *self = must(calloc(1, sizeof *self));

    AG_ASSERT(sector_bytes == 512 || sector_bytes == 4096);
    AG_ASSERT(sqlite3_initialize() == SQLITE_OK && sqlite3_vfs_find(name) == NULL);
    AG_ASSERT(pthread_mutex_init(&self->mutex, NULL) == 0);
    self->name = must(strdup(name));
    self->sector_bytes = sector_bytes;
    self->capacity = UINT64_MAX;
    ag_random_seed(&self->random, seed);
    disk_vfs_init(self);
    AG_ASSERT(sqlite3_vfs_register(&self->vfs, 0) == SQLITE_OK);
    return self;
}

void disk_destroy(disk_t **self_p)
{
    disk_t *self = *self_p;

    if (self == NULL)
        return;
    sqlite3_vfs_unregister(&self->vfs);
    disk_sync_directory(self);
    for (size_t i = 0; i < self->entry_count; i++) {
        entry_push(&self->entries[i], NULL);
        entry_settle(self, &self->entries[i], 1);
        free(self->entries[i].name);
        free(self->entries[i].past);
    }
    AG_ASSERT(self->inodes == NULL); /* else something is still open */
    free(self->entries);
    free(self->name);
    pthread_mutex_destroy(&self->mutex);
    free(self);
    *self_p = NULL;
}

void disk_cut(disk_t *self, uint64_t seed)
{
    disk_lock(self);
    self->cut_seed = seed;
    if (!self->is_off)
        disk_power_off(self);
    disk_unlock(self);
}

void disk_cut_at(disk_t *self, enum disk_op op, uint64_t nth, uint64_t seed)
{
    disk_lock(self);
    memset(self->cuts, 0, sizeof self->cuts);
    self->cuts[op].left = nth;
    self->cut_seed = seed;
    disk_unlock(self);
}

bool disk_is_off(disk_t *self)
{
    bool is_off;

    disk_lock(self);
    is_off = self->is_off;
    disk_unlock(self);
    return is_off;
}

void disk_power_on(disk_t *self)
{
    disk_lock(self);
    self->is_off = false;
    memset(self->cuts, 0, sizeof self->cuts);
    disk_unlock(self);
}

void disk_fail_at(disk_t *self, enum disk_op op, uint64_t nth, int code, bool for_good)
{
    disk_lock(self);
    self->failures[op] = (struct alarm){.left = nth, .code = code, .for_good = for_good};
    disk_unlock(self);
}

void disk_set_capacity(disk_t *self, uint64_t bytes)
{
    disk_lock(self);
    self->capacity = bytes;
    disk_unlock(self);
}

int disk_reserve(disk_t *self, uint64_t bytes)
{
    uint64_t before;
    bool fits;

    disk_lock(self);
    before = self->reserved;
    self->reserved = 0;
    fits = bytes <= before || disk_room(self, bytes) == bytes;
    self->reserved = fits ? bytes : before;
    disk_unlock(self);
    return fits ? SQLITE_OK : SQLITE_FULL;
}

void disk_reserve_while(disk_t *self, const char *path)
{
    disk_lock(self);
    self->reserved_while = path;
    disk_unlock(self);
}

uint64_t disk_used(disk_t *self)
{
    uint64_t bytes;

    disk_lock(self);
    bytes = used(self);
    disk_unlock(self);
    return bytes;
}

void disk_set_sync_delay_us(disk_t *self, unsigned delay_us)
{
    disk_lock(self);
    self->sync_delay_us = delay_us;
    disk_unlock(self);
}

struct disk_counts disk_counts(disk_t *self)
{
    struct disk_counts counts;

    disk_lock(self);
    counts = self->counts;
    disk_unlock(self);
    return counts;
}

int64_t disk_file_size(disk_t *self, const char *name)
{
    const struct inode *inode;
    int64_t size;

    disk_lock(self);
    inode = disk_find(self, name);
    size = inode != NULL ? (int64_t)inode->media.cached.size : -1;
    disk_unlock(self);
    return size;
}

static bool write_file(const struct content *content, const char *path)
{
    FILE *file = fopen(path, "wb");
    bool is_written;

    if (file == NULL)
        return false;
    is_written = fwrite(content->data, 1, content->size, file) == content->size;
    return fclose(file) == 0 && is_written;
}

bool disk_save_file(disk_t *self, const char *name, const char *path)
{
    const struct inode *inode;
    bool is_saved;

    disk_lock(self);
    inode = disk_find(self, name);
    is_saved = inode != NULL && write_file(&inode->media.cached, path);
    disk_unlock(self);
    return is_saved;
}
