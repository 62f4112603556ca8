/* The SQLite store on a disk that fails, is full, or is somebody else's. Whatever happens, an error
 * has a code and a sentence that names the file, and what was told to be durable is there when the
 * disk is well again. STORE_SEED=n replays a run, but for the moments at which the writer's thread
 * wakes up. */
#include "tests/unit/cmocka_prelude.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "broker/store/place.h"
#include "common/assert.h"
#include "common/clock.h"
#include "tests/store/disk.h"
#include "tests/store/folder.h"
#include "tests/store/history.h"
#include "tests/store/sql.h"

enum {
    CHECKPOINT_PAGES = 12,
    TURNS = 6,
    WAIT_MS = 20000,
    BACK_TO_NORMAL_MS = 5000, /* after there is room again */
    KILO = 1024
};

struct suite {
    struct folder folder;
    disk_t *disk; /* NULL: the real one */
    struct history history;
    uint64_t unix_ms;
    char ballast[100];
};

static uint64_t first_seed;

/* ---- what SQLite does with each new connection ----------------------------------------------- */

/* The log stays where it is when a store is closed, as if the broker had been killed. */
static bool dies;

static int on_connection(sqlite3 *db, char **message, const struct sqlite3_api_routines *api)
{
    (void)message, (void)api;
    sqlite3_wal_autocheckpoint(db, CHECKPOINT_PAGES);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, dies, NULL);
    return SQLITE_OK;
}

/* ---- lives ----------------------------------------------------------------------------------- */

static void set_up(struct suite *self, bool is_simulated)
{
    *self = (struct suite){.folder = folder_new(), .unix_ms = 1700000000000};
    snprintf(self->ballast, sizeof self->ballast, "%s.ballast", self->folder.store);
    history_init(&self->history, first_seed);
    if (is_simulated) {
        self->disk = disk_new("disk", 512, first_seed);
        AG_ASSERT(sqlite3_vfs_register(sqlite3_vfs_find("disk"), 1) == SQLITE_OK);
    }
}

static void tear_down(struct suite *self)
{
    history_end(&self->history);
    history_fini(&self->history);
    if (self->disk != NULL)
        disk_destroy(&self->disk);
    folder_remove(&self->folder);
    dies = false;
}

static void assert_names_the_file(const struct suite *self, const struct argosy_error *err)
{
    if (strstr(err->message, self->folder.path) == NULL)
        fail_msg("which file? \"%s\"", err->message);
}

static int try_to_begin(struct suite *self, struct argosy_error *err)
{
    struct store *store;
    int rc = store_sqlite_open(&store, self->folder.store, ++self->unix_ms, err);

    *err = rc < 0 ? *err : (struct argosy_error){0};
    if (rc == 0)
        rc = history_begin(&self->history, store, err);
    if (rc == 0 && (self->history.torn || self->history.lost))
        fail_msg("%s", self->history.torn ? "what is left is not what any turn had left"
                                          : "something is lost that was told to be durable");
    if (rc < 0)
        assert_int_equal(rc, err->code);
    if (rc < 0)
        assert_names_the_file(self, err);
    return rc;
}

static void begin(struct suite *self)
{
    struct argosy_error err = {0};

    if (try_to_begin(self, &err) < 0)
        fail_msg("%s", err.message);
}

static int try_turns(struct suite *self, int turns, struct argosy_error *err)
{
    int rc = 0;

    for (; rc == 0 && turns > 0; turns--) {
        rc = history_turn(&self->history, err);
        if (rc == 0 && turns % 2 == 0)
            rc = history_wait(&self->history, WAIT_MS, err);
    }
    if (rc < 0)
        assert_names_the_file(self, err);
    return rc;
}

static void live(struct suite *self, int turns)
{
    struct argosy_error err = {0};

    if (try_turns(self, turns, &err) < 0)
        fail_msg("%s", err.message);
}

static void wait_for_all(struct suite *self, int ms)
{
    struct argosy_error err = {0};
    int rc = history_wait(&self->history, ms, &err);

    if (rc < 0)
        fail_msg("%s: %s", argosy_strerror(rc), err.message);
}

/* ---- the nth operation fails ----------------------------------------------------------------- */

struct failure {
    enum disk_op op;
    uint64_t nth;
    bool for_good, dies;
    bool is_first; /* the store is made by a broker to which that happens */
};

/* True: it has come. */
static bool live_with(struct suite *self, const struct failure *failure)
{
    struct argosy_error err = {0};
    uint64_t before = disk_counts(self->disk).failures;
    int rc;

    disk_fail_at(self->disk, failure->op, failure->nth, 0, failure->for_good);
    dies = failure->dies;
    rc = try_to_begin(self, &err);
    if (rc == 0)
        rc = try_turns(self, TURNS, &err);
    history_end(&self->history);
    disk_fail_at(self->disk, failure->op, 0, 0, false);
    if (rc < 0)
        assert_true(rc == ARGOSY_EIO && disk_counts(self->disk).failures > before);
    return disk_counts(self->disk).failures > before;
}

/* The disk is well again; but not before the power has failed once more it is clear what is safe.
 */
static void look_at_what_is_left(struct suite *self, const struct failure *failure)
{
    dies = failure->dies;
    begin(self);
    live(self, TURNS / 2);
    wait_for_all(self, WAIT_MS);
    disk_cut(self->disk, ag_random_next(&self->history.random));
    history_end(&self->history);
    disk_power_on(self->disk);
    begin(self);
    history_end(&self->history);
}

static unsigned fail_each(struct failure failure)
{
    bool has_come = true;

    for (failure.nth = 1; has_come; failure.nth++) {
        struct suite self;

        set_up(&self, true);
        dies = failure.nth % 2; /* with a log to begin with, or without */
        if (!failure.is_first) {
            begin(&self);
            live(&self, TURNS);
            history_end(&self.history);
        }
        has_come = live_with(&self, &failure);
        look_at_what_is_left(&self, &failure);
        tear_down(&self);
    }
    return (unsigned)failure.nth - 2;
}

static void whatever_fails_nothing_that_was_told_is_lost(void **state)
{
    (void)state;
    for (enum disk_op op = DISK_READ; op < DISK_ANY; op++) {
        unsigned count = fail_each((struct failure){.op = op});

        count += fail_each((struct failure){.op = op, .for_good = true});
        count += fail_each((struct failure){.op = op, .dies = true});
        count += fail_each((struct failure){.op = op, .for_good = true, .dies = true});
        count += fail_each((struct failure){.op = op, .is_first = true});
        count += fail_each((struct failure){.op = op, .is_first = true, .for_good = true});
        count +=
            fail_each((struct failure){.op = op, .is_first = true, .for_good = true, .dies = true});
        print_message("%s: %u failures\n", disk_op_name(op), count);
    }
}

/* ---- a full disk ----------------------------------------------------------------------------- */

static bool has_ballast(const struct suite *self)
{
    return access(self->ballast, F_OK) == 0;
}

/* So much is left, with the ballast on the disk or without. */
static void leave_room(struct suite *self, uint64_t bytes, bool with_ballast)
{
    disk_reserve_while(self->disk, self->ballast);
    disk_set_capacity(self->disk, UINT64_MAX);
    disk_reserve(self->disk, with_ballast ? PLACE_BALLAST_BYTES : 0);
    disk_set_capacity(self->disk, disk_used(self->disk) + bytes);
}

static void fill(struct suite *self)
{
    struct argosy_error err = {0};

    for (int turns = 0; !self->history.store->is_full; turns++) {
        assert_true(turns < 2000);
        assert_ok(history_turn(&self->history, &err));
        history_wait(&self->history, 20, &err);
    }
}

/* What the reactor does: it hears of it when the fd calls. */
static void wait_until_not_full(struct suite *self)
{
    int64_t until = ag_clock_mono_ms() + BACK_TO_NORMAL_MS;
    struct argosy_error err = {0};

    while (self->history.store->is_full) {
        assert_true(ag_clock_mono_ms() < until);
        assert_ok(history_hear(&self->history, &err));
        usleep(5000);
    }
}

/* When the ballast was made. */
static struct timespec ballast_time(const struct suite *self)
{
    struct stat found = {0};

    stat(self->ballast, &found);
    return found.st_mtim;
}

/* The real disk has room for another ballast at once, so that being full is over in no time. */
static void the_ballast_makes_room(void **state)
{
    struct argosy_error err = {0};
    struct suite self;
    struct timespec before, now;

    (void)state;
    set_up(&self, true);
    begin(&self);
    assert_true(has_ballast(&self));
    before = ballast_time(&self);
    leave_room(&self, 100 * KILO, true);
    for (int turns = 0; turns == 0 || memcmp(&now, &before, sizeof now) == 0; turns++) {
        assert_true(turns < 2000);
        assert_ok(history_turn(&self.history, &err));
        wait_for_all(&self, BACK_TO_NORMAL_MS);
        now = ballast_time(&self);
    }
    wait_until_not_full(&self);
    assert_true(has_ballast(&self));
    history_end(&self.history);
    begin(&self);
    tear_down(&self);
}

static void a_store_is_full_until_there_is_room_for_the_ballast(void **state)
{
    struct suite self;

    (void)state;
    set_up(&self, true);
    assert_int_equal(mkdir(self.ballast, 0700), 0); /* in its place */
    begin(&self);
    assert_true(self.history.store->is_full);
    live(&self, TURNS);
    assert_true(self.history.store->is_full);
    assert_int_equal(rmdir(self.ballast), 0);
    wait_until_not_full(&self);
    assert_true(has_ballast(&self));
    tear_down(&self);
}

/* No error, however long: what comes meanwhile waits in memory. */
static void what_found_no_room_is_kept_until_there_is(void **state)
{
    struct argosy_error err = {0};
    struct suite self;

    (void)state;
    set_up(&self, true);
    begin(&self);
    leave_room(&self, 100 * KILO, false);
    fill(&self);
    assert_false(has_ballast(&self));
    for (int i = 0; i < 20; i++)
        assert_ok(history_turn(&self.history, &err));
    assert_fails(history_wait(&self.history, 700, &err), ARGOSY_ETIMEOUT);
    assert_true(self.history.store->is_full);
    disk_set_capacity(self.disk, UINT64_MAX);
    wait_for_all(&self, BACK_TO_NORMAL_MS);
    wait_until_not_full(&self);
    assert_true(has_ballast(&self));
    history_end(&self.history);
    begin(&self);
    tear_down(&self);
}

static void a_store_may_be_closed_while_the_disk_is_full(void **state)
{
    struct suite self;

    (void)state;
    set_up(&self, true);
    begin(&self);
    leave_room(&self, 100 * KILO, false);
    fill(&self);
    history_end(&self.history);
    disk_set_capacity(self.disk, UINT64_MAX);
    begin(&self);
    tear_down(&self);
}

static void the_ballast_lets_a_broker_start_on_a_full_disk(void **state)
{
    struct argosy_error err;
    struct suite self;

    (void)state;
    set_up(&self, true);
    begin(&self);
    live(&self, TURNS);
    history_end(&self.history);
    leave_room(&self, 0, true);
    begin(&self);
    live(&self, TURNS);
    history_end(&self.history);
    unlink(self.ballast);
    leave_room(&self, 0, false);
    assert_fails(try_to_begin(&self, &err), ARGOSY_EFULL);
    disk_set_capacity(self.disk, UINT64_MAX);
    begin(&self);
    tear_down(&self);
}

/* Room for a little more and a little more, so that it is used up at every moment. */
static void room_ends_at_any_moment(void **state)
{
    unsigned refused = 0, full = 0;

    (void)state;
    for (uint64_t room = 0; room < 160 * KILO; room += 5 * KILO) {
        struct argosy_error err = {0};
        struct suite self;
        int rc;

        set_up(&self, true);
        begin(&self);
        live(&self, TURNS);
        history_end(&self.history);
        unlink(self.ballast);
        leave_room(&self, room, false);
        rc = try_to_begin(&self, &err);
        if (rc < 0)
            assert_int_equal(rc, ARGOSY_EFULL);
        for (int turns = 2 * TURNS; rc == 0 && turns > 0; turns--)
            rc = history_turn(&self.history, &err);
        if (rc == 0)
            rc = history_wait(&self.history, 30, &err);
        assert_true(rc == 0 || rc == ARGOSY_EFULL || rc == ARGOSY_ETIMEOUT);
        refused += rc == ARGOSY_EFULL;
        full += rc == ARGOSY_ETIMEOUT;
        disk_set_capacity(self.disk, UINT64_MAX);
        if (self.history.store == NULL)
            begin(&self);
        wait_for_all(&self, BACK_TO_NORMAL_MS);
        wait_until_not_full(&self);
        history_end(&self.history);
        begin(&self);
        tear_down(&self);
    }
    print_message("%u times it could not be opened, %u times it became full\n", refused, full);
    assert_true(refused > 0 && full > 0);
}

/* ---- somebody else --------------------------------------------------------------------------- */

static void somebody_else_who_writes_is_waited_for(void **state)
{
    struct argosy_error err = {0};
    struct suite self;
    sqlite3 *other;

    (void)state;
    set_up(&self, true);
    begin(&self);
    assert_int_equal(sqlite3_open(self.folder.store, &other), SQLITE_OK);
    assert_int_equal(run_sql(other, "BEGIN IMMEDIATE"), SQLITE_OK);
    for (int i = 0; i < TURNS; i++)
        assert_ok(history_turn(&self.history, &err));
    assert_fails(history_wait(&self.history, 1500, &err), ARGOSY_ETIMEOUT);
    assert_false(self.history.store->is_full);
    run_sql(other, "COMMIT");
    wait_for_all(&self, BACK_TO_NORMAL_MS);
    history_end(&self.history);
    run_sql(other, "BEGIN IMMEDIATE");
    assert_fails(try_to_begin(&self, &err), ARGOSY_EAGAIN);
    sqlite3_close(other);
    begin(&self);
    tear_down(&self);
}

static void one_broker_at_a_time(void **state)
{
    struct argosy_error err = {0};
    struct store *another;
    struct suite self;

    (void)state;
    set_up(&self, false);
    begin(&self);
    assert_fails(store_sqlite_open(&another, self.folder.store, 1, &err), ARGOSY_ESTATE);
    assert_names_the_file(&self, &err);
    assert_null(another);
    history_end(&self.history);
    begin(&self);
    tear_down(&self);
}

/* Says that it holds the store, and holds it until nobody listens any more. */
static void hold(const char *path, int ready, int end)
{
    struct argosy_error err;
    struct store *store;
    char byte = store_sqlite_open(&store, path, 1, &err) == 0;

    if (write(ready, &byte, 1) == 1)
        while (read(end, &byte, 1) > 0)
            ;
    _exit(0); /* as if it had been killed */
}

static void nor_in_another_process(void **state)
{
    struct argosy_error err = {0};
    int ready[2], end[2];
    struct suite self;
    char byte = 0;
    pid_t child;

    (void)state;
    set_up(&self, false);
    AG_ASSERT(pipe(ready) == 0 && pipe(end) == 0);
    child = fork();
    if (child == 0) {
        close(end[1]);
        hold(self.folder.store, ready[1], end[0]);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 1);
    assert_fails(try_to_begin(&self, &err), ARGOSY_ESTATE);
    for (int i = 0; i < 2; i++) {
        close(end[i]);
        close(ready[i]);
    }
    waitpid(child, NULL, 0);
    begin(&self);
    tear_down(&self);
}

/* ---- what is no store ------------------------------------------------------------------------ */

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    for (int i = 0; i < 500; i++)
        fputs(text, file);
    fclose(file);
}

static void run_on_file(const char *path, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(run_sql(db, sql), SQLITE_OK);
    sqlite3_close(db);
}

/* Ends the suite. */
static void expect(struct suite *self, int code)
{
    struct argosy_error err = {0};

    assert_fails(try_to_begin(self, &err), code);
    tear_down(self);
}

static void a_file_that_is_no_database(void **state)
{
    struct suite self;

    (void)state;
    set_up(&self, false);
    write_file(self.folder.store, "a letter to a friend\n");
    expect(&self, ARGOSY_EINVAL);
}

static void a_database_of_something_else_stays_as_it_is(void **state)
{
    struct argosy_error err = {0};
    struct suite self;
    sqlite3 *db;

    (void)state;
    set_up(&self, false);
    run_on_file(self.folder.store, "CREATE TABLE meta (key, value); CREATE TABLE bird (name)");
    assert_fails(try_to_begin(&self, &err), ARGOSY_EINVAL);
    assert_int_equal(sqlite3_open(self.folder.store, &db), SQLITE_OK);
    assert_int_equal(ask_number(db, "SELECT count(*) FROM pragma_journal_mode"
                                    " WHERE journal_mode = 'delete'"),
                     1);
    assert_int_equal(ask_number(db, "SELECT count(*) FROM sqlite_schema"), 2);
    sqlite3_close(db);
    tear_down(&self);
}

static void a_store_of_a_newer_format(void **state)
{
    struct suite self;

    (void)state;
    set_up(&self, false);
    begin(&self);
    history_end(&self.history);
    run_on_file(self.folder.store, "UPDATE meta SET value = 99 WHERE key = 'format'");
    expect(&self, ARGOSY_EINVAL);
}

static void a_store_that_is_damaged(void **state)
{
    struct suite self;

    (void)state;
    set_up(&self, false);
    begin(&self);
    live(&self, 2 * TURNS);
    history_end(&self.history);
    run_on_file(self.folder.store, "UPDATE template SET spec = x'c1'; UPDATE job SET id = x'01'");
    expect(&self, ARGOSY_EIO);
}

static void a_directory(void **state)
{
    struct suite self;

    (void)state;
    set_up(&self, false);
    assert_int_equal(mkdir(self.folder.store, 0700), 0);
    expect(&self, ARGOSY_EIO);
}

/* For root no file is unreadable. */
static void a_file_that_may_not_be_read_or_written(void **state)
{
    static const mode_t modes[] = {0, 0444};
    uid_t user = geteuid();

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct suite self;

        set_up(&self, false);
        run_on_file(self.folder.store, "PRAGMA user_version = 1");
        chmod(self.folder.store, modes[i]);
        assert_int_equal(user == 0 ? chown(self.folder.path, 65534, 65534) : 0, 0);
        assert_int_equal(user == 0 ? seteuid(65534) : 0, 0);
        expect(&self, ARGOSY_EIO);
        assert_int_equal(seteuid(user), 0);
        folder_remove(&self.folder);
    }
}

static void a_directory_that_is_not_there(void **state)
{
    struct suite self;

    (void)state;
    set_up(&self, false);
    strcat(self.folder.store, "/b/c"); /* the last part is made, the one before it not */
    expect(&self, ARGOSY_EIO);
}

static void a_path_that_is_too_long(void **state)
{
    static char path[PATH_MAX + 100];
    struct argosy_error err = {0};
    struct store *store;

    (void)state;
    memset(path, 'a', sizeof path - 1);
    assert_fails(store_sqlite_open(&store, path, 1, &err), ARGOSY_EINVAL);
    assert_null(store);
}

static void network_file_systems_are_known(void **state)
{
    static const unsigned long network[] = {NFS_SUPER_MAGIC,  SMB_SUPER_MAGIC, SMB2_SUPER_MAGIC,
                                            0xFF534D42,       V9FS_MAGIC,      AFS_SUPER_MAGIC,
                                            CODA_SUPER_MAGIC, 0x00c36400,      0x65735546};
    static const unsigned long local[] = {EXT4_SUPER_MAGIC,      XFS_SUPER_MAGIC,
                                          BTRFS_SUPER_MAGIC,     TMPFS_MAGIC,
                                          OVERLAYFS_SUPER_MAGIC, 0x2fc12fc1};

    (void)state;
    for (size_t i = 0; i < sizeof network / sizeof network[0]; i++)
        assert_non_null(place_network_name(network[i]));
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++)
        assert_null(place_network_name(local[i]));
    assert_non_null(place_network_name((unsigned long)(int)0xFF534D42)); /* as a signed int */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nor_in_another_process), /* forks: before there are threads */
        cmocka_unit_test(whatever_fails_nothing_that_was_told_is_lost),
        cmocka_unit_test(the_ballast_makes_room),
        cmocka_unit_test(a_store_is_full_until_there_is_room_for_the_ballast),
        cmocka_unit_test(what_found_no_room_is_kept_until_there_is),
        cmocka_unit_test(a_store_may_be_closed_while_the_disk_is_full),
        cmocka_unit_test(the_ballast_lets_a_broker_start_on_a_full_disk),
        cmocka_unit_test(room_ends_at_any_moment),
        cmocka_unit_test(somebody_else_who_writes_is_waited_for),
        cmocka_unit_test(one_broker_at_a_time),
        cmocka_unit_test(a_file_that_is_no_database),
        cmocka_unit_test(a_database_of_something_else_stays_as_it_is),
        cmocka_unit_test(a_store_of_a_newer_format),
        cmocka_unit_test(a_store_that_is_damaged),
        cmocka_unit_test(a_directory),
        cmocka_unit_test(a_file_that_may_not_be_read_or_written),
        cmocka_unit_test(a_directory_that_is_not_there),
        cmocka_unit_test(a_path_that_is_too_long),
        cmocka_unit_test(network_file_systems_are_known),
    };
    const char *seed = getenv("STORE_SEED");

    first_seed = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    print_message("STORE_SEED=%" PRIu64 "\n", first_seed);
    sqlite3_auto_extension((void (*)(void))on_connection);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
