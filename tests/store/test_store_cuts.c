/* The SQLite store when the power fails, at any operation: within a commit, a checkpoint, while it
 * is opened. Everything that it told to be durable is there afterwards, and of the records of a
 * turn all or none: history.c compares it, byte by byte, with what it should be. The row with
 * synchronous = NORMAL must lose something: it proves that the disk can take it away.
 *
 * STORE_SEED=n replays a run, but for the moments at which the writer's thread wakes up. */
#include "tests/unit/cmocka_prelude.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/assert.h"
#include "tests/store/disk.h"
#include "tests/store/folder.h"
#include "tests/store/history.h"
#include "tests/store/sql.h"

#ifdef __OPTIMIZE__
enum { CUTS = 3000, CUTS_ELSE = 300 };
#else /* a sanitizer */
enum { CUTS = 150, CUTS_ELSE = 60 };
#endif

enum {
    CHECKPOINT_PAGES = 12, /* so that many commits are followed by a checkpoint */
    TURNS_MAX = 25,
    OPS_MAX = 60,
    OPS_OF_OPEN = 12,
    FRESH_LIVES = 30, /* then the disk is replaced, and a new store must be made */
    WAIT_MS = 20000
};

struct storm {
    bool is_normal; /* synchronous = NORMAL */
    unsigned cuts_wanted, sector_bytes;
    size_t result_bytes; /* see history.h */
    struct ag_random random;
    struct folder folder;
    disk_t *disk;
    struct history history;
    uint64_t unix_ms;
    unsigned cuts, cuts_at_open, losing_cuts;
};

static uint64_t first_seed;

static uint64_t some(struct storm *self, uint64_t n)
{
    return ag_random_below(&self->random, n);
}

/* ---- what SQLite does with each new connection ----------------------------------------------- */

static bool wants_normal;

/* The store asks for FULL: it is not heard. */
static int deny_full(void *arg, int action, const char *name, const char *value, const char *db,
                     const char *trigger)
{
    (void)arg, (void)db, (void)trigger;
    return action == SQLITE_PRAGMA && value != NULL && strcmp(name, "synchronous") == 0
               ? SQLITE_IGNORE
               : SQLITE_OK;
}

static int on_connection(sqlite3 *db, char **message, const struct sqlite3_api_routines *api)
{
    (void)message, (void)api;
    sqlite3_wal_autocheckpoint(db, CHECKPOINT_PAGES);
    if (wants_normal) {
        run_sql(db, "PRAGMA synchronous = normal");
        sqlite3_set_authorizer(db, deny_full, NULL);
    }
    return SQLITE_OK;
}

/* ---- a disk ---------------------------------------------------------------------------------- */

static void insert_disk(struct storm *self)
{
    self->disk = disk_new("disk", self->sector_bytes, first_seed + self->cuts);
    AG_ASSERT(sqlite3_vfs_register(sqlite3_vfs_find("disk"), 1) == SQLITE_OK);
    history_forget(&self->history);
    self->history.epoch = 0;
}

static void check_integrity(struct storm *self)
{
    char text[200];
    sqlite3 *db;

    assert_int_equal(sqlite3_open(self->folder.store, &db), SQLITE_OK);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (find_damage(db, text, sizeof text) != NULL)
        fail_msg("cut %u: %s", self->cuts, text);
    sqlite3_close(db);
}

/* ---- lives ----------------------------------------------------------------------------------- */

/* False: the power failed while it was opened or loaded. */
static bool begin(struct storm *self)
{
    struct argosy_error err = {0};
    struct store *store;
    int rc;

    self->unix_ms += self->is_normal; /* else the clock stands: the epoch must be durable as well */
    rc = store_sqlite_open(&store, self->folder.store, self->unix_ms, &err);
    if (rc == 0)
        rc = history_begin(&self->history, store, &err);
    if (rc < 0 && !disk_is_off(self->disk))
        fail_msg("cut %u: %s", self->cuts, err.message);
    if (rc < 0)
        return false;
    if (self->history.torn)
        fail_msg("cut %u: what is left is not what any turn had left", self->cuts);
    self->losing_cuts += self->history.lost;
    return true;
}

/* Until the power fails, or for some turns. */
static void live(struct storm *self)
{
    struct argosy_error err = {0};
    int rc = 0;

    for (uint64_t turns = some(self, TURNS_MAX); rc == 0 && turns > 0; turns--) {
        rc = history_turn(&self->history, &err);
        if (rc == 0 && some(self, 2) == 0)
            rc = history_wait(&self->history, WAIT_MS, &err);
    }
    if (rc < 0 && !disk_is_off(self->disk))
        fail_msg("cut %u: %s", self->cuts, err.message);
}

static void arm(struct storm *self, unsigned ops)
{
    bool is_sync = some(self, 5) == 0;

    disk_cut_at(self->disk, is_sync ? DISK_SYNC : DISK_ANY, 1 + some(self, is_sync ? ops / 4 : ops),
                ag_random_next(&self->random));
}

/* One life, and the end of the power at the latest when the store is closed, or right after. */
static void live_until_the_cut(struct storm *self)
{
    bool is_armed_early = some(self, 4) == 0;
    struct argosy_error err = {0};

    if (is_armed_early)
        arm(self, OPS_OF_OPEN);
    if (begin(self)) {
        if (!is_armed_early)
            arm(self, OPS_MAX);
        live(self);
        if (some(self, 4) == 0) /* while the writer is at work */
            disk_cut(self->disk, ag_random_next(&self->random));
        history_hear(&self->history, &err); /* what was durable before */
        history_end(&self->history);
    } else {
        self->cuts_at_open++;
    }
    if (!disk_is_off(self->disk))
        disk_cut(self->disk, ag_random_next(&self->random));
    self->cuts++;
    disk_power_on(self->disk);
    check_integrity(self);
}

static void run_storm(struct storm *self)
{
    wants_normal = self->is_normal;
    self->folder = folder_new();
    self->unix_ms = 1700000000000;
    ag_random_seed(&self->random, first_seed);
    history_init(&self->history, first_seed + 1);
    self->history.result_bytes = self->result_bytes;
    while (self->cuts < self->cuts_wanted) {
        insert_disk(self);
        for (int i = 0; i < FRESH_LIVES; i++)
            live_until_the_cut(self);
        disk_destroy(&self->disk);
    }
    history_fini(&self->history);
    folder_remove(&self->folder);
    print_message("%s, sectors of %u: %u cuts, %u of them at open; %u lost something\n",
                  self->is_normal ? "NORMAL" : "FULL", self->sector_bytes, self->cuts,
                  self->cuts_at_open, self->losing_cuts);
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void nothing_that_was_told_is_lost(void **state)
{
    struct storm storm = {.cuts_wanted = CUTS, .sector_bytes = 512};

    (void)state;
    run_storm(&storm);
    assert_int_equal(storm.losing_cuts, 0);
    assert_true(storm.cuts_at_open > storm.cuts / 20);
}

static void nor_on_large_sectors(void **state)
{
    struct storm storm = {.cuts_wanted = CUTS_ELSE, .sector_bytes = 4096};

    (void)state;
    run_storm(&storm);
    assert_int_equal(storm.losing_cuts, 0);
}

/* What is written at once is more than one transaction. */
static void nor_when_transactions_are_large(void **state)
{
    struct storm storm = {
        .cuts_wanted = CUTS_ELSE / 5, .sector_bytes = 4096, .result_bytes = 3 << 20};

    (void)state;
    run_storm(&storm);
    assert_int_equal(storm.losing_cuts, 0);
}

static void but_it_would_be_with_synchronous_normal(void **state)
{
    struct storm storm = {.is_normal = true, .cuts_wanted = CUTS_ELSE, .sector_bytes = 512};

    (void)state;
    run_storm(&storm);
    assert_true(storm.losing_cuts > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_that_was_told_is_lost),
        cmocka_unit_test(nor_on_large_sectors),
        cmocka_unit_test(nor_when_transactions_are_large),
        cmocka_unit_test(but_it_would_be_with_synchronous_normal),
    };
    const char *seed = getenv("STORE_SEED");

    first_seed = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    print_message("STORE_SEED=%" PRIu64 "\n", first_seed);
    sqlite3_auto_extension((void (*)(void))on_connection);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
