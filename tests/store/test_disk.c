/* The simulated disk, one behaviour at a time: below SQLite by the methods of the VFS, and through
 * SQLite. What it does to thousands of power cuts is in test_disk_cuts.c. */
#include "tests/unit/cmocka_prelude.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/store/disk.h"
#include "tests/store/media.h"
#include "tests/store/sql.h"

enum { SECTOR = 512, SEEDS = 100, CREATE = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE };

static disk_t *disk;

static int make_disk(void **state)
{
    (void)state;
    disk = disk_new("disk", SECTOR, 7);
    return 0;
}

static int drop_disk(void **state)
{
    (void)state;
    disk_destroy(&disk);
    return 0;
}

static void make_anew(void)
{
    disk_destroy(&disk);
    disk = disk_new("disk", SECTOR, 7);
}

/* ---- files below SQLite --------------------------------------------------------------------- */

static sqlite3_vfs *vfs(void)
{
    return sqlite3_vfs_find("disk");
}

/* NULL: it does not open. */
static sqlite3_file *open_file(const char *name, int flags)
{
    sqlite3_file *file = calloc(1, (size_t)vfs()->szOsFile);

    assert_non_null(file);
    if (vfs()->xOpen(vfs(), name, file, flags | SQLITE_OPEN_MAIN_DB, NULL) == SQLITE_OK)
        return file;
    assert_null(file->pMethods);
    free(file);
    return NULL;
}

static void close_file(sqlite3_file *file)
{
    assert_int_equal(file->pMethods->xClose(file), SQLITE_OK);
    free(file);
}

/* Writes `sectors` full of one letter. */
static int put(sqlite3_file *file, char letter, int first, int sectors)
{
    char text[16 * SECTOR];

    memset(text, letter, sizeof text);
    return file->pMethods->xWrite(file, text, sectors * SECTOR, (sqlite3_int64)first * SECTOR);
}

static int sync_file(sqlite3_file *file)
{
    return file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
}

/* The letter of which a whole sector consists; '-': it ends before that; '?': a mixture. */
static char letter_at(sqlite3_file *file, int sector)
{
    char text[SECTOR];

    if (file->pMethods->xRead(file, text, SECTOR, (sqlite3_int64)sector * SECTOR) != SQLITE_OK)
        return '-';
    for (int i = 1; i < SECTOR; i++)
        if (text[i] != text[0])
            return '?';
    return text[0];
}

static void cut_and_restart(uint64_t seed)
{
    disk_cut(disk, seed);
    disk_power_on(disk);
}

static bool is_there(const char *name)
{
    return disk_file_size(disk, name) >= 0;
}

static void behind_the_end_of_a_file_there_are_zeros(void **state)
{
    sqlite3_file *file = open_file("file", CREATE);
    char text[4] = "????";

    (void)state;
    assert_int_equal(file->pMethods->xWrite(file, "ab", 2, 0), SQLITE_OK);
    assert_int_equal(file->pMethods->xRead(file, text, 4, 1), SQLITE_IOERR_SHORT_READ);
    assert_memory_equal(text, "b\0\0\0", 4);
    close_file(file);
}

/* ---- power ---------------------------------------------------------------------------------- */

static void a_cut_keeps_what_was_synced_and_any_sectors_of_the_rest(void **state)
{
    unsigned old = 0, new = 0, mixed = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sqlite3_file *file = open_file("file", CREATE);
        char seen[9] = "";

        put(file, 'a', 0, 8);
        assert_int_equal(sync_file(file), SQLITE_OK);
        put(file, 'b', 0, 8);
        assert_int_equal(letter_at(file, 7), 'b');
        close_file(file);
        cut_and_restart(seed);
        file = open_file("file", SQLITE_OPEN_READWRITE);
        for (int i = 0; i < 8; i++)
            seen[i] = letter_at(file, i);
        assert_int_equal(strspn(seen, "ab"), 8);
        old += strcmp(seen, "aaaaaaaa") == 0;
        new += strcmp(seen, "bbbbbbbb") == 0;
        mixed += strchr(seen, 'a') != NULL && strchr(seen, 'b') != NULL;
        close_file(file);
    }
    assert_true(old > 0 && new > 0 && mixed > 0);
}

static void a_cut_may_keep_any_version_of_a_sector(void **state)
{
    unsigned times['d' + 1] = {0};

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sqlite3_file *file = open_file("file", CREATE);

        put(file, 'a', 0, 1);
        sync_file(file);
        for (char letter = 'b'; letter <= 'd'; letter++)
            put(file, letter, 0, 1);
        close_file(file);
        cut_and_restart(seed);
        file = open_file("file", SQLITE_OPEN_READWRITE);
        times[(int)letter_at(file, 0)]++;
        close_file(file);
    }
    assert_true(times['a'] > 0 && times['b'] > 0 && times['c'] > 0 && times['d'] > 0);
    assert_int_equal(times['a'] + times['b'] + times['c'] + times['d'], SEEDS);
}

/* Two sectors are written at the end, and then three are cut off. */
static void a_cut_may_keep_any_size(void **state)
{
    unsigned sizes[5] = {0}, holes = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sqlite3_file *file = open_file("file", CREATE);

        file->pMethods->xTruncate(file, 0);
        put(file, 'a', 0, 2);
        sync_file(file);
        put(file, 'b', 2, 2);
        file->pMethods->xTruncate(file, SECTOR);
        close_file(file);
        cut_and_restart(seed);
        sizes[disk_file_size(disk, "file") / SECTOR]++;
        file = open_file("file", SQLITE_OPEN_READWRITE);
        assert_int_equal(letter_at(file, 0), 'a');
        holes += letter_at(file, 2) == '\0';
        close_file(file);
    }
    assert_int_equal(sizes[0], 0);
    assert_true(sizes[1] > 0 && sizes[2] > 0 && sizes[3] > 0 && sizes[4] > 0);
    assert_true(holes > 0);
}

static void a_new_file_is_there_for_sure_once_it_was_synced(void **state)
{
    unsigned there = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sqlite3_file *synced, *unsynced;

        make_anew();
        synced = open_file("synced", CREATE);
        unsynced = open_file("unsynced", CREATE);
        sync_file(synced);
        close_file(synced);
        close_file(unsynced);
        cut_and_restart(seed);
        assert_true(is_there("synced"));
        there += is_there("unsynced");
    }
    assert_true(there > 0 && there < SEEDS);
}

static unsigned times_back_after_a_delete(int syncs_directory)
{
    unsigned there = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sqlite3_file *file;

        make_anew();
        file = open_file("file", CREATE);
        put(file, 'a', 0, 1);
        sync_file(file);
        close_file(file);
        assert_int_equal(vfs()->xDelete(vfs(), "file", syncs_directory), SQLITE_OK);
        assert_false(is_there("file"));
        cut_and_restart(seed);
        there += is_there("file");
    }
    return there;
}

static void a_deleted_file_may_come_back_unless_the_directory_was_synced(void **state)
{
    unsigned there = times_back_after_a_delete(false);

    (void)state;
    assert_true(there > 0 && there < SEEDS);
    assert_int_equal(times_back_after_a_delete(true), 0);
    assert_int_equal(vfs()->xDelete(vfs(), "file", 0), SQLITE_IOERR_DELETE_NOENT);
}

static void handles_of_before_a_cut_are_dead(void **state)
{
    sqlite3_file *before = open_file("file", CREATE), *after;
    sqlite3_int64 size;

    (void)state;
    put(before, 'a', 0, 1);
    sync_file(before);
    disk_cut(disk, 1);
    assert_true(disk_is_off(disk));
    assert_null(open_file("file", CREATE));
    disk_power_on(disk);
    assert_int_equal(put(before, 'b', 0, 1), SQLITE_IOERR_WRITE);
    assert_int_equal(sync_file(before), SQLITE_IOERR_FSYNC);
    assert_int_equal(before->pMethods->xFileSize(before, &size), SQLITE_IOERR_FSTAT);
    assert_int_equal(before->pMethods->xLock(before, SQLITE_LOCK_SHARED), SQLITE_IOERR_LOCK);
    after = open_file("file", SQLITE_OPEN_READWRITE);
    assert_int_equal(letter_at(after, 0), 'a');
    close_file(before);
    assert_int_equal(letter_at(after, 0), 'a');
    close_file(after);
}

static void an_armed_cut_comes_with_the_nth_operation(void **state)
{
    sqlite3_file *file = open_file("file", CREATE);

    (void)state;
    disk_cut_at(disk, DISK_WRITE, 3, 1);
    assert_int_equal(put(file, 'a', 0, 1), SQLITE_OK);
    assert_int_equal(sync_file(file), SQLITE_OK);
    assert_int_equal(put(file, 'b', 1, 1), SQLITE_OK);
    assert_false(disk_is_off(disk));
    assert_int_equal(put(file, 'c', 2, 1), SQLITE_IOERR_WRITE);
    assert_true(disk_is_off(disk));
    assert_int_equal(put(file, 'd', 3, 1), SQLITE_IOERR_WRITE);
    assert_int_equal(disk_counts(disk).cuts, 1);
    close_file(file);
}

/* ---- failures ------------------------------------------------------------------------------- */

static void operations_fail_once_or_for_good(void **state)
{
    sqlite3_file *file = open_file("file", CREATE);

    (void)state;
    disk_fail_at(disk, DISK_WRITE, 2, SQLITE_FULL, false);
    assert_int_equal(put(file, 'a', 0, 1), SQLITE_OK);
    assert_int_equal(put(file, 'a', 0, 1), SQLITE_FULL);
    assert_int_equal(put(file, 'a', 0, 1), SQLITE_OK);
    disk_fail_at(disk, DISK_SYNC, 1, 0, true);
    assert_int_equal(sync_file(file), SQLITE_IOERR_FSYNC);
    assert_int_equal(sync_file(file), SQLITE_IOERR_FSYNC);
    disk_fail_at(disk, DISK_SYNC, 0, 0, false);
    assert_int_equal(sync_file(file), SQLITE_OK);
    disk_fail_at(disk, DISK_OPEN, 1, 0, false);
    assert_null(open_file("other", CREATE));
    assert_int_equal(disk_counts(disk).failures, 4);
    close_file(file);
}

/* What PostgreSQL's people named fsyncgate: trying again until fsync says yes proves nothing. */
static void a_failed_sync_loses_what_a_later_one_does_not_make_good(void **state)
{
    unsigned lost = 0, kept = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sqlite3_file *file = open_file("file", CREATE);

        put(file, 'a', 0, 8);
        assert_int_equal(sync_file(file), SQLITE_OK);
        put(file, 'b', 0, 8);
        disk_fail_at(disk, DISK_SYNC, 1, 0, false);
        assert_int_equal(sync_file(file), SQLITE_IOERR_FSYNC);
        assert_int_equal(letter_at(file, 3), 'b');
        assert_int_equal(sync_file(file), SQLITE_OK);
        close_file(file);
        cut_and_restart(seed);
        file = open_file("file", SQLITE_OPEN_READWRITE);
        for (int i = 0; i < 8; i++)
            *(letter_at(file, i) == 'a' ? &lost : &kept) += 1;
        close_file(file);
    }
    assert_true(lost > 0 && kept > 0);
}

/* While a sync is under way others write. */
static void a_sync_promises_only_what_was_written_before_it(void **state)
{
    struct ag_random random;
    unsigned before = 0;

    (void)state;
    ag_random_seed(&random, 3);
    for (int i = 0; i < SEEDS; i++) {
        struct media media, after;
        uint64_t began;
        char letter;

        media_init(&media, SECTOR);
        media_write(&media, "a", 1, 0);
        began = media.changes_made;
        media_write(&media, "b", 1, 0);
        media_sync(&media, began);
        media_cut(&media, &random, &after);
        assert_int_equal(media_read(&after, &letter, 1, 0), 1);
        before += letter == 'a';
        media_fini(&after);
    }
    assert_true(before > 0 && before < SEEDS);
}

/* ---- databases ------------------------------------------------------------------------------ */

#define WAL_FULL "PRAGMA journal_mode = wal; PRAGMA synchronous = full; "

static int open_database(sqlite3 **db)
{
    int code = sqlite3_open_v2("jobs.db", db, CREATE | SQLITE_OPEN_NOMUTEX, "disk");

    sqlite3_busy_timeout(*db, 10000);
    if (code == SQLITE_OK)
        code = run_sql(*db, WAL_FULL "PRAGMA wal_autocheckpoint = 4;");
    if (code == SQLITE_OK)
        code = run_sql(*db, "CREATE TABLE IF NOT EXISTS entry (n INTEGER PRIMARY KEY, body)");
    return code;
}

static sqlite3 *opened(void)
{
    sqlite3 *db;

    assert_int_equal(open_database(&db), SQLITE_OK);
    return db;
}

static void close_database(sqlite3 *db)
{
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int add_entry(sqlite3 *db)
{
    return run_sql(db, "INSERT INTO entry (body) VALUES (zeroblob(1500))");
}

static int64_t count_entries(sqlite3 *db)
{
    return ask_number(db, "SELECT count(*) FROM entry");
}

static void assert_sound(sqlite3 *db)
{
    char text[200];
    const char *damage = find_damage(db, text, sizeof text);

    if (damage != NULL)
        fail_msg("%s", damage);
}

/* Every operation of a short life fails, one after the other: what was acknowledged is there. */
static bool live_with_a_failure(enum disk_op op, uint64_t nth, bool for_good)
{
    int64_t acknowledged = 0;
    bool has_failed;
    sqlite3 *db;

    make_anew();
    disk_fail_at(disk, op, nth, 0, for_good);
    if (open_database(&db) == SQLITE_OK)
        for (int i = 0; i < 12; i++)
            acknowledged += add_entry(db) == SQLITE_OK;
    sqlite3_close(db);
    has_failed = disk_counts(disk).failures > 0;
    disk_fail_at(disk, op, 0, 0, false);
    cut_and_restart(nth);
    db = opened();
    assert_sound(db);
    if (count_entries(db) < acknowledged)
        fail_msg("%s %d%s: %d of %d entries", disk_op_name(op), (int)nth,
                 for_good ? " and all later" : "", (int)count_entries(db), (int)acknowledged);
    close_database(db);
    return has_failed;
}

static void a_database_survives_each_failure(void **state)
{
    uint64_t lives = 0;

    (void)state;
    for (int op = 0; op < DISK_ANY; op++)
        for (int for_good = 0; for_good < 2; for_good++)
            for (uint64_t nth = 1; live_with_a_failure(op, nth, for_good); nth++)
                lives++;
    print_message("  %d lives, each with one failure\n", (int)lives);
    assert_true(lives > 100);
}

static void fill(sqlite3 *db, int64_t *acknowledged)
{
    int code;

    while ((code = add_entry(db)) == SQLITE_OK)
        ++*acknowledged;
    assert_int_equal(code, SQLITE_FULL);
}

static void a_full_disk_refuses_and_works_again(void **state)
{
    sqlite3 *db = opened();
    int64_t acknowledged = 0;
    uint64_t used;

    (void)state;
    disk_set_capacity(disk, disk_used(disk) + 200000);
    assert_int_equal(disk_reserve(disk, 50000), SQLITE_OK);
    used = disk_used(disk);
    assert_int_equal(disk_reserve(disk, 500000), SQLITE_FULL);
    assert_int_equal(disk_used(disk), used);
    fill(db, &acknowledged);
    assert_int_equal(count_entries(db), acknowledged);
    assert_sound(db);
    assert_true(disk_counts(disk).refusals > 0);
    /* Without its ballast there is room; with more capacity too. */
    assert_int_equal(disk_reserve(disk, 0), SQLITE_OK);
    assert_int_equal(add_entry(db), SQLITE_OK);
    acknowledged++;
    fill(db, &acknowledged);
    disk_set_capacity(disk, UINT64_MAX);
    assert_int_equal(add_entry(db), SQLITE_OK);
    acknowledged++;
    close_database(db);
    db = opened();
    assert_sound(db);
    assert_int_equal(count_entries(db), acknowledged);
    close_database(db);
}

static void a_deleted_file_gives_its_room_back(void **state)
{
    sqlite3_file *file = open_file("ballast", CREATE);

    (void)state;
    put(file, 'a', 0, 16);
    disk_set_capacity(disk, 16 * SECTOR);
    assert_int_equal(put(file, 'b', 12, 8), SQLITE_FULL);
    assert_int_equal(put(file, 'b', 8, 8), SQLITE_OK);
    vfs()->xDelete(vfs(), "ballast", 0);
    assert_int_equal(disk_used(disk), 16 * SECTOR);
    close_file(file);
    assert_int_equal(disk_used(disk), 0);
}

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void syncs_are_counted_and_take_their_time(void **state)
{
    sqlite3 *db = opened();
    struct disk_counts before = disk_counts(disk), after;
    int64_t began;

    (void)state;
    disk_set_sync_delay_us(disk, 3000);
    began = now_us();
    for (int i = 0; i < 3; i++)
        assert_int_equal(add_entry(db), SQLITE_OK);
    after = disk_counts(disk);
    assert_true(after.ops[DISK_SYNC] - before.ops[DISK_SYNC] >= 3);
    assert_true(after.ops[DISK_WRITE] - before.ops[DISK_WRITE] >= 6);
    assert_true(after.bytes_written - before.bytes_written >= 3 * 4096);
    assert_true(now_us() - began >= 3000 * (int64_t)(after.ops[DISK_SYNC] - before.ops[DISK_SYNC]));
    disk_set_sync_delay_us(disk, 0);
    close_database(db);
}

/* ---- several connections -------------------------------------------------------------------- */

static void a_reader_keeps_its_snapshot_and_a_second_writer_waits(void **state)
{
    sqlite3 *writer = opened(), *reader = opened();

    (void)state;
    assert_int_equal(add_entry(writer), SQLITE_OK);
    run_sql(reader, "BEGIN");
    assert_int_equal(count_entries(reader), 1);
    assert_int_equal(add_entry(writer), SQLITE_OK);
    assert_int_equal(count_entries(writer), 2);
    assert_int_equal(count_entries(reader), 1);
    run_sql(reader, "COMMIT");
    assert_int_equal(count_entries(reader), 2);
    sqlite3_busy_timeout(reader, 0);
    run_sql(writer, "BEGIN IMMEDIATE");
    assert_int_equal(add_entry(reader), SQLITE_BUSY);
    run_sql(writer, "COMMIT");
    assert_int_equal(add_entry(reader), SQLITE_OK);
    close_database(reader);
    close_database(writer);
    assert_false(is_there("jobs.db-wal"));
}

static void a_rollback_journal_locks_others_out(void **state)
{
    sqlite3 *writer = opened(), *reader;

    (void)state;
    run_sql(writer, "PRAGMA journal_mode = delete");
    sqlite3_open_v2("jobs.db", &reader, CREATE, "disk");
    assert_int_equal(count_entries(reader), 0);
    run_sql(reader, "BEGIN");
    assert_int_equal(count_entries(reader), 0);
    sqlite3_busy_timeout(writer, 0);
    assert_int_equal(add_entry(writer), SQLITE_BUSY);
    run_sql(reader, "COMMIT");
    run_sql(writer, "BEGIN IMMEDIATE");
    assert_int_equal(count_entries(reader), 0);
    assert_int_equal(run_sql(reader, "BEGIN IMMEDIATE"), SQLITE_BUSY);
    run_sql(writer, "COMMIT");
    run_sql(writer, "BEGIN EXCLUSIVE");
    assert_int_equal(count_entries(reader), -1);
    assert_int_equal(sqlite3_errcode(reader), SQLITE_BUSY);
    run_sql(writer, "COMMIT");
    assert_int_equal(count_entries(reader), 0);
    close_database(reader);
    close_database(writer);
}

/* Large sorts and VACUUM want files without a name. */
static void temporary_files_come_and_go(void **state)
{
    sqlite3 *db = opened();

    (void)state;
    run_sql(db, "PRAGMA temp_store = file; PRAGMA cache_size = 10");
    assert_int_equal(run_sql(db, "CREATE TEMP TABLE t AS WITH RECURSIVE i(n) AS (SELECT 1 UNION "
                                 "ALL SELECT n + 1 FROM i WHERE n < 20000) SELECT n FROM i;"
                                 "DROP TABLE t; VACUUM"),
                     SQLITE_OK);
    assert_sound(db);
    close_database(db);
    assert_int_equal(disk_used(disk), (uint64_t)disk_file_size(disk, "jobs.db"));
}

struct meeting {
    atomic_bool is_over;
    atomic_int entries, reads, faults;
};

static void *write_along(void *arg)
{
    struct meeting *meeting = arg;
    sqlite3 *db;
    bool is_well = open_database(&db) == SQLITE_OK;

    for (int i = 0; i < 300 && is_well; i++) {
        is_well =
            run_sql(db, "BEGIN IMMEDIATE; INSERT INTO entry (body) VALUES (zeroblob(900));"
                        "INSERT INTO entry (body) VALUES (zeroblob(90)); COMMIT") == SQLITE_OK;
        atomic_fetch_add(&meeting->entries, is_well ? 2 : 0);
    }
    atomic_fetch_add(&meeting->faults, !is_well);
    atomic_store(&meeting->is_over, true);
    sqlite3_close(db);
    return NULL;
}

/* A reader sees whole transactions, and all that were committed before it looked. */
static void read_along(struct meeting *meeting, sqlite3 *db)
{
    int at_least = atomic_load(&meeting->entries);
    int64_t seen = count_entries(db);

    atomic_fetch_add(&meeting->reads, 1);
    if (seen < at_least || seen % 2 != 0)
        atomic_fetch_add(&meeting->faults, 1);
}

static void a_writer_and_a_reader_meet_in_threads(void **state)
{
    struct meeting meeting = {0};
    sqlite3 *db = opened();
    pthread_t writer;

    (void)state;
    disk_set_sync_delay_us(disk, 50);
    assert_int_equal(pthread_create(&writer, NULL, write_along, &meeting), 0);
    while (!atomic_load(&meeting.is_over))
        read_along(&meeting, db);
    pthread_join(writer, NULL);
    assert_int_equal(meeting.faults, 0);
    assert_true(meeting.reads > 0);
    assert_int_equal(count_entries(db), 600);
    assert_sound(db);
    close_database(db);
}

/* The power fails under both; what was committed is there when it is back. */
static void a_cut_in_the_middle_of_threads(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct meeting meeting = {0};
        pthread_t writer;
        sqlite3 *db;

        make_anew();
        db = opened();
        disk_cut_at(disk, DISK_ANY, 100 * seed, seed);
        assert_int_equal(pthread_create(&writer, NULL, write_along, &meeting), 0);
        while (!atomic_load(&meeting.is_over))
            count_entries(db);
        pthread_join(writer, NULL);
        sqlite3_close(db);
        assert_true(disk_is_off(disk));
        disk_power_on(disk);
        db = opened();
        assert_sound(db);
        assert_true(count_entries(db) >= meeting.entries);
        assert_int_equal(count_entries(db) % 2, 0);
        close_database(db);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_disk, drop_disk)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(behind_the_end_of_a_file_there_are_zeros),
        TEST(a_cut_keeps_what_was_synced_and_any_sectors_of_the_rest),
        TEST(a_cut_may_keep_any_version_of_a_sector),
        TEST(a_cut_may_keep_any_size),
        TEST(a_new_file_is_there_for_sure_once_it_was_synced),
        TEST(a_deleted_file_may_come_back_unless_the_directory_was_synced),
        TEST(handles_of_before_a_cut_are_dead),
        TEST(an_armed_cut_comes_with_the_nth_operation),
        TEST(operations_fail_once_or_for_good),
        TEST(a_failed_sync_loses_what_a_later_one_does_not_make_good),
        TEST(a_sync_promises_only_what_was_written_before_it),
        TEST(a_database_survives_each_failure),
        TEST(a_full_disk_refuses_and_works_again),
        TEST(a_deleted_file_gives_its_room_back),
        TEST(syncs_are_counted_and_take_their_time),
        TEST(a_reader_keeps_its_snapshot_and_a_second_writer_waits),
        TEST(a_rollback_journal_locks_others_out),
        TEST(temporary_files_come_and_go),
        TEST(a_writer_and_a_reader_meet_in_threads),
        TEST(a_cut_in_the_middle_of_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
