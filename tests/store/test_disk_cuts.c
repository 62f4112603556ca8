/* What SQLite promises of a power cut, tried on the simulated disk by many of them: with
 * synchronous = FULL a WAL loses nothing that was committed, with NORMAL it may, but is never
 * damaged, with OFF anything goes. The rows that must show losses prove that the disk can take
 * something away. DISK_SEED=n replays a run. */
#include "tests/unit/cmocka_prelude.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/random.h"
#include "tests/store/disk.h"
#include "tests/store/sql.h"

enum { CUTS = 1000, CUTS_ELSE = 300, BATCHES_MAX = 40, OPS_MAX = 120, KEPT_BATCHES = 12 };

/* One way to use SQLite, and what became of it. */
struct storm {
    const char *pragmas;
    unsigned cuts_wanted, sector_bytes;
    disk_t *disk;
    struct ag_random random;
    sqlite3 *db;
    int64_t acknowledged; /* the last batch of which SQLite said that it is committed */
    int64_t tried;
    unsigned cuts, cuts_in_checkpoints, cuts_in_recovery;
    unsigned losing_cuts, damaging_cuts;
    int64_t batches_lost;
};

static uint64_t first_seed;

static uint64_t some(struct storm *self, uint64_t n)
{
    return ag_random_below(&self->random, n);
}

/* ---- batches -------------------------------------------------------------------------------- */

/* `total` says in each transaction what `entry` must look like after it. The tables themselves are
 * never lost. */
static const char schema[] =
    "PRAGMA synchronous = extra;"
    "CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, batch INTEGER, body BLOB);"
    "CREATE TABLE IF NOT EXISTS total (batches INTEGER, entries INTEGER);"
    "INSERT INTO total SELECT 0, 0 WHERE NOT EXISTS (SELECT * FROM total)";

static int open_database(struct storm *self)
{
    int code =
        sqlite3_open_v2("jobs.db", &self->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "disk");

    return code == SQLITE_OK ? run_sql(self->db, self->pragmas) : code;
}

/* With luck the WAL stays where it is, and the next one has to read it. */
static void close_database(struct storm *self)
{
    sqlite3_db_config(self->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, (int)some(self, 2), NULL);
    assert_int_equal(sqlite3_close(self->db), SQLITE_OK);
    self->db = NULL;
}

/* An entry's body is its batch's number over and over. */
static int write_batch(struct storm *self, int64_t batch)
{
    char sql[1024];

    snprintf(sql, sizeof sql,
             "BEGIN IMMEDIATE;"
             "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < %d) "
             "INSERT INTO entry (batch, body) SELECT %" PRId64 ", "
             "replace(printf('%%.*c', %d, 'x'), 'x', printf('%%08d', %" PRId64 ")) FROM i;"
             "DELETE FROM entry WHERE batch <= %" PRId64 ";"
             "UPDATE total SET batches = %" PRId64 ", entries = (SELECT count(*) FROM entry);"
             "COMMIT",
             1 + (int)some(self, 4), batch, 1 + (int)some(self, 400), batch, batch - KEPT_BATCHES,
             batch);
    return run_sql(self->db, sql);
}

static int checkpoint(struct storm *self)
{
    static const int modes[] = {SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_FULL,
                                SQLITE_CHECKPOINT_RESTART, SQLITE_CHECKPOINT_TRUNCATE};

    return sqlite3_wal_checkpoint_v2(self->db, NULL, modes[some(self, 4)], NULL, NULL);
}

/* A checkpoint goes with a commit, which is good whatever becomes of the checkpoint. */
static bool write_and_checkpoint(struct storm *self)
{
    self->tried = self->acknowledged + 1;
    if (write_batch(self, self->tried) != SQLITE_OK)
        return false;
    self->acknowledged = self->tried;
    if (!disk_is_off(self->disk) && some(self, 8) == 0)
        checkpoint(self);
    self->cuts_in_checkpoints += disk_is_off(self->disk);
    return !disk_is_off(self->disk);
}

/* ---- what is left --------------------------------------------------------------------------- */

static bool bodies_are_whole(sqlite3 *db)
{
    return ask_number(db, "SELECT count(*) FROM entry WHERE "
                          "replace(body, printf('%08d', batch), '') != ''") == 0;
}

/* A sentence if the database is not as some transaction left it. */
static const char *find_fault(struct storm *self, char *text, size_t room)
{
    const char *damage = find_damage(self->db, text, room);
    int64_t batches = ask_number(self->db, "SELECT batches FROM total");

    if (damage != NULL)
        return damage;
    if (batches < 0)
        return "the tables are gone";
    if (ask_number(self->db, "SELECT max(batch) FROM entry") != batches && batches > 0)
        return "a torn transaction: the last batch";
    if (ask_number(self->db, "SELECT count(*) FROM entry") !=
        ask_number(self->db, "SELECT entries FROM total"))
        return "a torn transaction: the number of entries";
    if (batches > self->tried)
        return "more than was written";
    return bodies_are_whole(self->db) ? NULL : "a strange body";
}

/* Whatever is damaged is thrown away with the disk. */
static void start_anew(struct storm *self)
{
    if (self->db != NULL)
        close_database(self);
    disk_destroy(&self->disk);
    self->disk = disk_new("disk", self->sector_bytes, first_seed);
    self->acknowledged = self->tried = 0;
    assert_int_equal(open_database(self), SQLITE_OK);
    assert_int_equal(run_sql(self->db, schema), SQLITE_OK);
    close_database(self);
}

static void look_at_what_is_left(struct storm *self)
{
    char text[200];
    bool is_open = open_database(self) == SQLITE_OK;
    const char *fault = find_fault(self, text, sizeof text);
    int64_t batches = ask_number(self->db, "SELECT batches FROM total");

    if (!is_open || fault != NULL) {
        if (self->damaging_cuts++ == 0)
            print_message("  cut %u: %s\n", self->cuts, fault != NULL ? fault : "does not open");
        start_anew(self);
        return;
    }
    if (batches < self->acknowledged) {
        self->losing_cuts++;
        self->batches_lost += self->acknowledged - batches;
    }
    self->acknowledged = batches;
    close_database(self);
}

/* ---- the storm ------------------------------------------------------------------------------ */

static void one_cut(struct storm *self)
{
    disk_cut_at(self->disk, DISK_ANY, 1 + some(self, OPS_MAX), ag_random_next(&self->random));
    if (open_database(self) == SQLITE_OK)
        for (int i = 0; i < BATCHES_MAX && write_and_checkpoint(self); i++) {
        }
    else
        self->cuts_in_recovery++;
    if (!disk_is_off(self->disk))
        disk_cut(self->disk, ag_random_next(&self->random));
    close_database(self);
    disk_power_on(self->disk);
    self->cuts++;
    look_at_what_is_left(self);
}

/* SQLite's own random numbers (the salt of a WAL) begin anew too, so that a seed replays. */
static void cut_and_cut(struct storm *self)
{
    ag_random_seed(&self->random, first_seed);
    sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, (int)(first_seed % 1000003) + 1, NULL);
    start_anew(self);
    while (self->cuts < self->cuts_wanted)
        one_cut(self);
}

static void run_storm(struct storm *self)
{
    cut_and_cut(self);
    print_message("  %s, sectors of %u:\n"
                  "    %u cuts (%u in checkpoints, %u while opening): "
                  "%u lost %" PRId64 " batches, %u damaged the database\n",
                  self->pragmas, self->sector_bytes, self->cuts, self->cuts_in_checkpoints,
                  self->cuts_in_recovery, self->losing_cuts, self->batches_lost,
                  self->damaging_cuts);
    disk_destroy(&self->disk);
}

/* The limit makes most commits write a checkpoint, or every second one. */
#define WAL "PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 10; "

static void wal_with_full_loses_nothing(void **state)
{
    struct storm storm = {
        .pragmas = WAL "PRAGMA synchronous = full", .cuts_wanted = CUTS, .sector_bytes = 512};

    (void)state;
    run_storm(&storm);
    assert_int_equal(storm.losing_cuts, 0);
    assert_int_equal(storm.damaging_cuts, 0);
    assert_true(storm.cuts_in_checkpoints > CUTS / 20);
}

static void wal_with_full_loses_nothing_on_large_sectors(void **state)
{
    struct storm storm = {
        .pragmas = WAL "PRAGMA synchronous = full", .cuts_wanted = CUTS_ELSE, .sector_bytes = 4096};

    (void)state;
    run_storm(&storm);
    assert_int_equal(storm.losing_cuts, 0);
    assert_int_equal(storm.damaging_cuts, 0);
}

static void wal_in_exclusive_mode_loses_nothing(void **state)
{
    struct storm storm = {.pragmas =
                              "PRAGMA locking_mode = exclusive; " WAL "PRAGMA synchronous = full",
                          .cuts_wanted = CUTS_ELSE,
                          .sector_bytes = 512};

    (void)state;
    run_storm(&storm);
    assert_int_equal(storm.losing_cuts, 0);
    assert_int_equal(storm.damaging_cuts, 0);
}

static void wal_with_normal_loses_but_is_never_damaged(void **state)
{
    struct storm storm = {.pragmas = WAL "PRAGMA synchronous = normal",
                          .cuts_wanted = CUTS_ELSE,
                          .sector_bytes = 512};

    (void)state;
    run_storm(&storm);
    assert_true(storm.losing_cuts > 0);
    assert_int_equal(storm.damaging_cuts, 0);
}

static void wal_without_syncs_loses_and_is_damaged(void **state)
{
    struct storm storm = {
        .pragmas = WAL "PRAGMA synchronous = off", .cuts_wanted = CUTS_ELSE, .sector_bytes = 512};

    (void)state;
    run_storm(&storm);
    assert_true(storm.losing_cuts > 0);
    assert_true(storm.damaging_cuts > 0);
}

/* A commit is the deletion of the journal, and only EXTRA syncs the directory after it. */
static void a_deleted_journal_comes_back_unless_the_directory_is_synced(void **state)
{
    struct storm full = {.pragmas = "PRAGMA journal_mode = delete; PRAGMA synchronous = full",
                         .cuts_wanted = CUTS_ELSE,
                         .sector_bytes = 512};
    struct storm extra = {.pragmas = "PRAGMA journal_mode = delete; PRAGMA synchronous = extra",
                          .cuts_wanted = CUTS_ELSE,
                          .sector_bytes = 512};

    (void)state;
    run_storm(&full);
    assert_true(full.losing_cuts > 0);
    assert_int_equal(full.damaging_cuts, 0);
    run_storm(&extra);
    assert_int_equal(extra.losing_cuts, 0);
    assert_int_equal(extra.damaging_cuts, 0);
}

/* The same seed is the same run, down to the number of bytes. */
static void a_seed_replays(void **state)
{
    struct disk_counts counts[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct storm storm = {
            .pragmas = WAL "PRAGMA synchronous = normal", .cuts_wanted = 20, .sector_bytes = 512};

        cut_and_cut(&storm);
        counts[i] = disk_counts(storm.disk);
        disk_destroy(&storm.disk);
    }
    assert_memory_equal(&counts[0], &counts[1], sizeof counts[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wal_with_full_loses_nothing),
        cmocka_unit_test(wal_with_full_loses_nothing_on_large_sectors),
        cmocka_unit_test(wal_in_exclusive_mode_loses_nothing),
        cmocka_unit_test(wal_with_normal_loses_but_is_never_damaged),
        cmocka_unit_test(wal_without_syncs_loses_and_is_damaged),
        cmocka_unit_test(a_deleted_journal_comes_back_unless_the_directory_is_synced),
        cmocka_unit_test(a_seed_replays),
    };
    const char *seed = getenv("DISK_SEED");

    first_seed = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    print_message("DISK_SEED=%" PRIu64 "\n", first_seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
