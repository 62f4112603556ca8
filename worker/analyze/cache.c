#include "worker/analyze/cache.h"

#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/error.h"

/* A read transaction keeps the log (WAL) from being emptied; each lookup outside of one costs two
 * system calls. */
enum { READS_TOGETHER = 1024, CHECK_BYTES = 8 };

static const char file_name[] = "analyze-1.db"; /* another layout gets another name */

/* Nothing waits for the disk: what a power cut leaves half written the checksums find. */
static const char manners[] = "PRAGMA synchronous = OFF; PRAGMA journal_size_limit = 8388608;";

static const char schema[] =
    "PRAGMA journal_mode = WAL;"
    "BEGIN IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS young (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS old (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS state (old_pages INTEGER NOT NULL);"
    "INSERT INTO state SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM state);"
    "COMMIT;";

static const char rotation[] =
    "DROP TABLE old;"
    "ALTER TABLE young RENAME TO old;"
    "CREATE TABLE young (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;";

/* A value that waits to be written; its bytes are in `bytes`. */
struct pending {
    uint8_t key[CACHE_KEY_BYTES];
    size_t from, size;
};

struct cache {
    sqlite3 *db; /* NULL: nothing is known and nothing kept */
    sqlite3_stmt *get_young, *get_old, *put;
    char path[PATH_MAX];
    char trouble[256];
    uint64_t bytes_max;
    unsigned reads; /* in the read transaction; 0: none is open */
    struct pending *pending;
    size_t pending_count;
    struct ag_buffer bytes;
};

/* As FNV-1a, but eight bytes at a time: against a disk's errors; SQLite has no checksums of its
 * own. */
static uint64_t check_more(uint64_t hash, const uint8_t *data, size_t size)
{
    uint64_t word;

    for (; size > 0; data += sizeof word, size -= size < sizeof word ? size : sizeof word) {
        word = 0;
        memcpy(&word, data, size < sizeof word ? size : sizeof word);
        hash = (hash ^ word) * UINT64_C(1099511628211);
        hash ^= hash >> 29; /* else high bits never reach low ones */
    }
    return hash;
}

static uint64_t check_of(const uint8_t *key, const uint8_t *value, size_t size)
{
    return check_more(check_more(UINT64_C(14695981039346656037) ^ size, key, CACHE_KEY_BYTES),
                      value, size);
}

/* ---- opening and giving up
 * ------------------------------------------------------------------------------ */

static void let_go(struct cache *self)
{
    sqlite3_finalize(self->get_young);
    sqlite3_finalize(self->get_old);
    sqlite3_finalize(self->put);
    sqlite3_close(self->db);
    self->get_young = self->get_old = self->put = NULL;
    self->db = NULL;
    self->reads = 0;
    self->pending_count = 0;
    ag_buffer_clear(&self->bytes);
}

/* Others that have it open keep their own, without a name. */
static void remove_files(const struct cache *self)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char path[PATH_MAX + 8];

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(path, sizeof path, "%s%s", self->path, ends[i]);
        unlink(path);
    }
}

static bool is_broken(int rc)
{
    return (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB ||
           (rc & 0xff) == SQLITE_ERROR || (rc & 0xff) == SQLITE_SCHEMA;
}

/* Something went wrong: it forgets, and what is broken on disk begins anew next time. */
static void give_up(struct cache *self)
{
    int rc = sqlite3_extended_errcode(self->db);

    if (self->trouble[0] == '\0')
        snprintf(self->trouble, sizeof self->trouble, "%.120s: %.80s%s", self->path,
                 sqlite3_errmsg(self->db), is_broken(rc) ? "; it begins anew" : "");
    let_go(self);
    if (is_broken(rc))
        remove_files(self);
}

static int prepare(struct cache *self, const char *sql, sqlite3_stmt **out)
{
    return sqlite3_prepare_v3(self->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
}

static int open_file(struct cache *self)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int rc = sqlite3_open_v2(self->path, &self->db, flags, NULL);

    if (rc != SQLITE_OK)
        return rc;
    sqlite3_busy_timeout(self->db, CACHE_BUSY_MS);
    sqlite3_extended_result_codes(self->db, 1);
    rc = sqlite3_exec(self->db, manners, NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return rc;
    /* Making the tables takes the lock of writers: only who finds none does it. */
    if (prepare(self, "SELECT value FROM young WHERE key = ?", &self->get_young) != SQLITE_OK &&
        ((rc = sqlite3_exec(self->db, schema, NULL, NULL, NULL)) != SQLITE_OK ||
         (rc = prepare(self, "SELECT value FROM young WHERE key = ?", &self->get_young))))
        return rc;
    if ((rc = prepare(self, "SELECT value FROM old WHERE key = ?", &self->get_old)) != SQLITE_OK)
        return rc;
    return prepare(self, "INSERT OR REPLACE INTO young VALUES (?, ?)", &self->put);
}

/* 0700: who writes here decides what others are told. */
static int make_folder(const char *folder, struct argosy_error *err)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s", folder);
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return ag_fail(err, ARGOSY_EIO, "%s: %s", folder, strerror(errno));
    return 0;
}

int cache_open_bounded(cache_t **out, const char *folder, uint64_t bytes_max,
                       struct argosy_error *err)
{
    struct cache *self = calloc(1, sizeof *self);
    int rc;

    *out = NULL;
    if (self == NULL ||
        (self->pending = calloc(CACHE_PENDING_MAX, sizeof *self->pending)) == NULL) {
        free(self);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a cache");
    }
    self->bytes_max = bytes_max;
    self->bytes = ag_buffer_empty(CACHE_PENDING_BYTES_MAX + CACHE_VALUE_BYTES_MAX + CHECK_BYTES);
    if (snprintf(self->path, sizeof self->path, "%s/%s", folder, file_name) >=
        (int)sizeof self->path)
        rc = ag_fail(err, ARGOSY_EIO, "%.100s...: %s", folder, strerror(ENAMETOOLONG));
    else
        rc = make_folder(folder, err);
    if (rc < 0) {
        cache_close(&self);
        return rc;
    }
    rc = open_file(self);
    if (rc != SQLITE_OK && is_broken(rc)) {
        give_up(self);
        self->trouble[0] = '\0';
        rc = open_file(self);
    }
    if (rc != SQLITE_OK) {
        rc = ag_fail(err, ARGOSY_EIO, "%s: %s", self->path, sqlite3_errstr(rc));
        cache_close(&self);
        return rc;
    }
    *out = self;
    return 0;
}

int cache_open(cache_t **out, const char *folder, struct argosy_error *err)
{
    return cache_open_bounded(out, folder, CACHE_BYTES_MAX, err);
}

const char *cache_trouble(const cache_t *self)
{
    return self->trouble[0] != '\0' ? self->trouble : NULL;
}

/* ---- reading
 * ------------------------------------------------------------------------------------------- */

/* Nobody's harm if it fails: then the lookup itself does. */
static void end_reads(struct cache *self)
{
    if (self->reads > 0)
        sqlite3_exec(self->db, "COMMIT", NULL, NULL, NULL);
    self->reads = 0;
}

static bool is_right(const uint8_t *key, const uint8_t *data, size_t size)
{
    uint64_t check;

    if (data == NULL || size < CHECK_BYTES)
        return false;
    memcpy(&check, data, CHECK_BYTES);
    return check == check_of(key, data + CHECK_BYTES, size - CHECK_BYTES);
}

static bool look_in(struct cache *self, sqlite3_stmt *statement, const uint8_t *key,
                    struct ag_buffer *value)
{
    bool found = false;
    int rc;

    sqlite3_bind_blob(statement, 1, key, CACHE_KEY_BYTES, SQLITE_STATIC);
    rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        const uint8_t *data = sqlite3_column_blob(statement, 0);
        size_t size = (size_t)sqlite3_column_bytes(statement, 0);

        found = is_right(key, data, size);
        if (found)
            ag_buffer_append(value, data + CHECK_BYTES, size - CHECK_BYTES);
        rc = SQLITE_DONE;
    }
    if (rc != SQLITE_DONE) {
        give_up(self);
        return false;
    }
    sqlite3_reset(statement);
    return found && !value->failed;
}

bool cache_get(cache_t *self, const uint8_t key[CACHE_KEY_BYTES], struct ag_buffer *value)
{
    bool found;

    ag_buffer_clear(value);
    if (self->db == NULL)
        return false;
    if (self->reads == 0 && sqlite3_exec(self->db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK) {
        give_up(self);
        return false;
    }
    self->reads++;
    found = look_in(self, self->get_young, key, value);
    if (!found && self->db != NULL && look_in(self, self->get_old, key, value)) {
        cache_put(self, key, ag_buffer_bytes(value)); /* young again */
        found = true;
    }
    if (self->reads >= READS_TOGETHER)
        end_reads(self);
    return found;
}

/* ---- writing
 * ------------------------------------------------------------------------------------------- */

static int number(struct cache *self, const char *sql, int64_t *out)
{
    sqlite3_stmt *statement;
    int rc = sqlite3_prepare_v2(self->db, sql, -1, &statement, NULL);

    *out = 0;
    if (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* The young half is full: it becomes the old one, whose pages are free to be used again. */
static int rotate_if_full(struct cache *self)
{
    int64_t page, pages, unused, old;
    char sql[64];
    int rc;

    if ((rc = number(self, "PRAGMA page_size", &page)) ||
        (rc = number(self, "PRAGMA page_count", &pages)) ||
        (rc = number(self, "PRAGMA freelist_count", &unused)) ||
        (rc = number(self, "SELECT old_pages FROM state", &old)))
        return rc;
    if ((uint64_t)(pages - unused - old) * (uint64_t)page < self->bytes_max / 2)
        return SQLITE_OK;
    if ((rc = sqlite3_exec(self->db, rotation, NULL, NULL, NULL)) ||
        (rc = number(self, "PRAGMA page_count", &pages)) ||
        (rc = number(self, "PRAGMA freelist_count", &unused)))
        return rc;
    snprintf(sql, sizeof sql, "UPDATE state SET old_pages = %lld", (long long)(pages - unused));
    return sqlite3_exec(self->db, sql, NULL, NULL, NULL);
}

static int write_pending(struct cache *self)
{
    for (size_t i = 0; i < self->pending_count; i++) {
        const struct pending *pending = &self->pending[i];
        int rc;

        sqlite3_bind_blob(self->put, 1, pending->key, CACHE_KEY_BYTES, SQLITE_STATIC);
        sqlite3_bind_blob64(self->put, 2, self->bytes.data + pending->from, pending->size,
                            SQLITE_STATIC);
        rc = sqlite3_step(self->put);
        sqlite3_reset(self->put);
        if (rc != SQLITE_DONE)
            return rc;
    }
    return rotate_if_full(self);
}

/* What others keep us from writing is not worth waiting for: it can be counted again. */
void cache_flush(cache_t *self)
{
    int rc;

    if (self->db == NULL || self->pending_count == 0)
        return;
    end_reads(self);
    rc = sqlite3_exec(self->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc == SQLITE_OK && (rc = write_pending(self)) == SQLITE_OK)
        rc = sqlite3_exec(self->db, "COMMIT", NULL, NULL, NULL);
    if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY)
        give_up(self);
    else if (rc != SQLITE_OK)
        sqlite3_exec(self->db, "ROLLBACK", NULL, NULL, NULL);
    self->pending_count = 0;
    ag_buffer_clear(&self->bytes);
}

void cache_put(cache_t *self, const uint8_t key[CACHE_KEY_BYTES], struct ag_bytes value)
{
    struct pending *pending;
    uint64_t check;

    if (self->db == NULL || value.size > CACHE_VALUE_BYTES_MAX)
        return;
    if (self->pending_count == CACHE_PENDING_MAX || self->bytes.size > CACHE_PENDING_BYTES_MAX)
        cache_flush(self);
    if (self->db == NULL)
        return;
    check = check_of(key, value.data, value.size);
    pending = &self->pending[self->pending_count];
    *pending = (struct pending){.from = self->bytes.size, .size = value.size + CHECK_BYTES};
    memcpy(pending->key, key, CACHE_KEY_BYTES);
    ag_buffer_append(&self->bytes, &check, CHECK_BYTES);
    ag_buffer_append(&self->bytes, value.data, value.size);
    if (!self->bytes.failed)
        self->pending_count++;
}

void cache_close(cache_t **self_p)
{
    struct cache *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    cache_flush(self);
    let_go(self);
    free(self->pending);
    ag_buffer_free(&self->bytes);
    free(self);
}
