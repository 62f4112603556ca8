/* The checker of the storm: a sound little world has no violation, and each wrong one is found, by
 * the rule that it breaks and by no other. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/store/schema.h"
#include "common/id.h"
#include "tests/storm/check.h"
#include "tests/unit/cmocka_prelude.h"

#define ID_1 "01JD5ZK4T9W8Q6F2M3N7B0C1XA"
#define ID_2 "01JD5ZK4T9W8Q6F2M3N7B0C1XB"
#define ID_3 "01JD5ZK4T9W8Q6F2M3N7B0C1XC" /* its key wants it to fail */
#define BATCH "01JD5ZK4T9W8Q6F2M3N7B0C1XE"
#define ID_4 "01JD5ZK4T9W8Q6F2M3N7B0C1XD" /* in wrong worlds only */

/* Two lives of a broker, one worker that lives and one that was killed, one client, three jobs. */
static const char storm_lines[] = "O 1000 1000000\n"
                                  "K 2000 broker 1\n"
                                  "L 2001 1001 1100 2001\n"
                                  "K 2500 worker 2\n"
                                  "Q 8000\n"
                                  "L 9000 1002 2100 9000\n";
static const char client_lines[] = "S 1200 100000001\n"
                                   "I 1200 100000001 " ID_1 "\n"
                                   "A 1210 " ID_1 "\n"
                                   "P 1211 " BATCH "\n"
                                   "R 1300 " ID_1 " 1 1 a1\n"
                                   "S 1900 100000002\n"
                                   "I 1900 100000002 " ID_2 "\n"
                                   "A 2190 " ID_2 "\n"
                                   "R 2300 " ID_2 " 1 2 b2\n"
                                   "S 1901 100000009\n"
                                   "I 1901 100000009 " ID_3 "\n"
                                   "A 2191 " ID_3 "\n"
                                   "R 2400 " ID_3 " 2 2 0\n"
                                   "S 9000 1000"; /* killed while it wrote */
static const char worker_lines[] = "B 1290 " ID_1 " 1001 1 100000001\n"
                                   "D 1291 " ID_1 " 1001 1 a1\n"
                                   "B 2290 " ID_2 " 1002 2 100000002\n"
                                   "D 2291 " ID_2 " 1002 2 b2\n"
                                   "B 2390 " ID_3 " 1002 1 100000009\n"
                                   "F 2391 " ID_3 " 1002 1 100000009\n"
                                   "B 2395 " ID_3 " 1002 2 100000009\n"
                                   "F 2396 " ID_3 " 1002 2 100000009\n";
static const char killed_worker_lines[] = "B 1990 " ID_2 " 1001 1 100000002\n";

/* What a wrong world has besides or instead. */
struct plant {
    const char *title;
    enum rule rule;
    const char *without[3]; /* the beginnings of lines that are not there */
    const char *storm, *client, *worker, *killed_worker;
    const char *sql;
};

#define PAYLOAD(key) "x'81a36b6579cf" key "'"
#define RESULT(key, hash, epoch, attempt)                                                          \
    "x'84a36b6579cf" key "a468617368cf" hash "a565706f6368cf" epoch "a7617474656d7074cf" attempt "'"
#define KEY_1 "0000000100000001"
#define KEY_2 "0000000100000002"
#define KEY_3 "0000000100000009"
#define HASH_1 "00000000000000a1"
#define HASH_2 "00000000000000b2"
#define EPOCH_1 "00000000000003e9" /* 1001 */
#define EPOCH_2 "00000000000003ea"
#define ONE "0000000000000001"
#define TWO "0000000000000002"
#define FAILURE "x'81a474797065aa73746f726d2e6661696c'"  /* storm.fail */
#define POISON "x'81a474797065ab6c6f73742e706f69736f6e'" /* lost.poison */

#define ADD_JOB(number, id, since, key)                                                            \
    "INSERT INTO job (number, id, batch, place, template, since, mode, payload) VALUES (" number   \
    ", " id ", 1, 0, 1, " since ", 0, " PAYLOAD(key) ");"
#define ADD_END(number, job, state, attempt, since, result, error)                                 \
    "INSERT INTO outcome (number, job, state, worker, attempt, failures, losses, releases,"        \
    " queued_ms, run_ms, since, result, error, spent, remembered) VALUES (" number ", " job        \
    ", " state ", 'w', " attempt ", 0, 0, 0, 0, 0, " since ", " result ", " error ", 0, 0);"

static const char sound_rows[] =
    "INSERT INTO meta VALUES ('epoch', 1002);"
    "INSERT INTO batch (number, id, spec, sealed, ended) VALUES (1, id(5), x'00', 2, 30);" ADD_JOB(
        "2", "id(1)", "1001200", KEY_1) ADD_JOB("4", "id(2)", "1001900", KEY_2)
        ADD_JOB("5", "id(3)", "1002150", KEY_3)
            ADD_END("3", "2", "5", "1", "1001300", RESULT(KEY_1, HASH_1, EPOCH_1, ONE), "NULL")
                ADD_END("6", "4", "5", "2", "1002300", RESULT(KEY_2, HASH_2, EPOCH_2, TWO), "NULL")
                    ADD_END("7", "5", "6", "2", "1002400", "NULL", FAILURE);

/* clang-format off */
static const struct plant plants[] = {
    {"an acknowledged job that has not ended", RULE_C1, .without = {"R 1300"},
     .sql = "DELETE FROM outcome WHERE job = 2"},
    {"a job that nobody was promised has not ended either", RULE_C1, .without = {"R 1300", "A 1210"},
     .sql = "DELETE FROM outcome WHERE job = 2"},
    {"a job that should have failed was cancelled", RULE_C1,
     .sql = "UPDATE outcome SET state = 7 WHERE job = 5"},
    {"a job that should have succeeded failed", RULE_C1, .without = {"R 1300"},
     .sql = "UPDATE outcome SET state = 6 WHERE job = 2"},
    {"a job failed in another way than it should", RULE_C1,
     .sql = "UPDATE outcome SET error = NULL WHERE job = 5"},
    {"a batch that did not end", RULE_C1, .sql = "UPDATE batch SET ended = NULL"},
    {"an acknowledged job that is lost", RULE_C2, .without = {"R 1300"},
     .sql = "DELETE FROM outcome WHERE job = 2; DELETE FROM job WHERE number = 2"},
    {"a seal that is lost", RULE_C2, .sql = "UPDATE batch SET sealed = NULL"},
    {"a batch that is lost", RULE_C2, .sql = "DELETE FROM batch"},
    {"a result that no worker made", RULE_C3, .without = {"R 1300"},
     .sql = "UPDATE outcome SET result = " RESULT(KEY_1, HASH_2, EPOCH_1, ONE) " WHERE job = 2"},
    {"a success without a result", RULE_C3, .without = {"R 1300"},
     .sql = "UPDATE outcome SET result = NULL WHERE job = 2"},
    {"a job that nobody wanted", RULE_C3,
     .sql = ADD_JOB("9", "id(4)", "1001200", "0000000100000077")
            ADD_END("10", "9", "6", "1", "1002500", "NULL", POISON)},
    {"two records of an end", RULE_C4,
     .sql = ADD_END("10", "4", "5", "2", "1002500", RESULT(KEY_2, HASH_2, EPOCH_2, TWO), "NULL")},
    {"the result of another attempt", RULE_C4, .sql = "UPDATE outcome SET attempt = 2 WHERE job = 2"},
    {"the result of another epoch", RULE_C4,
     .sql = "UPDATE outcome SET result = " RESULT(KEY_2, HASH_2, EPOCH_1, TWO) " WHERE job = 4"},
    {"the result of another job's key", RULE_C4,
     .sql = "UPDATE outcome SET result = " RESULT(KEY_1, HASH_2, EPOCH_2, TWO) " WHERE job = 4"},
    {"the end of no job", RULE_C4, .sql = ADD_END("10", "77", "6", "1", "1002500", "NULL", POISON)},
    {"a client saw what is not recorded", RULE_C5, .without = {"R 1300"},
     .client = "R 1300 " ID_1 " 1 1 b2\n"},
    {"a client saw another state", RULE_C5, .without = {"R 1300"},
     .client = "R 1300 " ID_1 " 2 1 0\n"},
    {"a client saw an end twice", RULE_C5, .client = "R 1400 " ID_1 " 1 1 a1\n"},
    {"a client saw an error", RULE_C5, .client = "X 1400 no broker answers\n"},
    {"a key with two ids", RULE_C6,
     .sql = ADD_JOB("9", "id(4)", "1001200", KEY_1)
            ADD_END("10", "9", "6", "1", "1002500", "NULL", POISON)},
    {"an id with two jobs", RULE_C6,
     .sql = ADD_JOB("9", "id(1)", "1001200", KEY_1)},
    {"a client used a key twice", RULE_C6, .client = "I 1200 100000001 " ID_4 "\n"},
    {"more attempts than anything explains", RULE_C7,
     .sql = "UPDATE outcome SET attempt = 9 WHERE job = 5"},
    {"an attempt that a living worker has forgotten", RULE_C7,
     .worker = "B 1400 " ID_1 " 1001 2 100000001\n"},
    {"an epoch that is used again", RULE_C8, .storm = "L 9500 1002 9100 9500\n"},
    {"a store with an epoch that is too low", RULE_C8,
     .sql = "UPDATE meta SET value = 1001 WHERE key = 'epoch'"},
    {"a token that two workers had", RULE_C8,
     .killed_worker = "B 1280 " ID_1 " 1001 1 100000001\n"},
    {"a token that one worker began twice", RULE_C8, .worker = "B 1280 " ID_1 " 1001 1 100000001\n"},
    {"a record of a token that was not given out yet", RULE_C8, .without = {"B 1290", "D 1291"},
     .worker = "B 1290 " ID_1 " 1002 1 100000001\nD 1291 " ID_1 " 1002 1 a1\n",
     .sql = "UPDATE outcome SET result = " RESULT(KEY_1, HASH_1, EPOCH_2, ONE) " WHERE job = 2"},
    {"a record of an older broker behind that of a newer one", RULE_C8,
     .sql = "UPDATE outcome SET since = 1001500 WHERE job = 5"},
    {"a program that ended by itself", RULE_CX, .storm = "E 1400 broker 1 ended by itself with 134\n"},
};
/* clang-format on */

static char folder[] = "/tmp/argosy-checker-XXXXXX";

static bool is_left_out(const struct plant *plant, const char *line)
{
    for (size_t i = 0; plant != NULL && i < 3 && plant->without[i] != NULL; i++)
        if (strncmp(line, plant->without[i], strlen(plant->without[i])) == 0)
            return true;
    return false;
}

/* What is planted comes first, for the last line may have no end. */
static void write_log(const struct plant *plant, const char *name, const char *lines,
                      const char *more)
{
    char path[64];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    while (*lines != '\0') {
        size_t size = strcspn(lines, "\n");

        size += lines[size] == '\n';
        if (more != NULL && lines[size - 1] != '\n') {
            fputs(more, file);
            more = NULL;
        }
        if (!is_left_out(plant, lines))
            fwrite(lines, 1, size, file);
        lines += size;
    }
    if (more != NULL)
        fputs(more, file);
    assert_int_equal(fclose(file), 0);
}

/* id(N): the bytes of ID_N. */
static void id_of(sqlite3_context *context, int count, sqlite3_value **values)
{
    static const char *const texts[] = {ID_1, ID_2, ID_3, ID_4, BATCH};
    struct ag_id id;

    (void)count;
    assert_int_equal(ag_id_parse(texts[sqlite3_value_int(values[0]) - 1], &id, NULL), 0);
    sqlite3_result_blob(context, &id, sizeof id, SQLITE_TRANSIENT);
}

static void exec(sqlite3 *db, const char *sql)
{
    char *error = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s in: %s", error, sql);
}

static void write_store(const struct plant *plant, const char *path)
{
    sqlite3 *db;

    unlink(path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_create_function(db, "id", 1, SQLITE_UTF8, NULL, id_of, NULL, NULL);
    exec(db, (const char *)store_schema);
    exec(db, sound_rows);
    if (plant != NULL && plant->sql != NULL)
        exec(db, plant->sql);
    sqlite3_close(db);
}

static void check(const struct plant *plant, struct check_report *report)
{
    static const struct plant none = {0};
    const struct plant *more = plant != NULL ? plant : &none;
    char store[64];

    snprintf(store, sizeof store, "%s/jobs.db", folder);
    write_log(plant, "storm.0.log", storm_lines, more->storm);
    write_log(plant, "client.1.log", client_lines, more->client);
    write_log(plant, "worker.1.log", worker_lines, more->worker);
    write_log(plant, "worker.2.log", killed_worker_lines, more->killed_worker);
    write_store(plant, store);
    assert_int_equal(check_run(folder, store, report), 0);
}

static void a_sound_world_has_no_violation(void **state)
{
    struct check_report report;

    (void)state;
    check(NULL, &report);
    if (check_violations(&report) > 0)
        check_print(&report, stderr);
    assert_int_equal(check_violations(&report), 0);
    assert_int_equal(report.submitted, 3);
    assert_int_equal(report.acked, 3);
    assert_int_equal(report.succeeded, 2);
    assert_int_equal(report.failed_as_wanted, 1);
    assert_int_equal(report.executions, 5);
    assert_int_equal(report.cut_short, 1);
    assert_int_equal(report.longest_gap_ms, 980);
    assert_int_equal(report.recovery_p50_ms, 190);
    assert_int_equal(report.ready_p50_ms, 90);
}

static void every_wrong_world_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof plants / sizeof *plants; i++) {
        struct check_report report;

        check(&plants[i], &report);
        if (report.violations[plants[i].rule] == 0 ||
            check_violations(&report) != report.violations[plants[i].rule]) {
            check_print(&report, stderr);
            fail_msg("not found, or more than that: %s", plants[i].title);
        }
    }
}

static void every_rule_is_broken_by_a_plant(void **state)
{
    bool broken[RULES_COUNT] = {false};

    (void)state;
    for (size_t i = 0; i < sizeof plants / sizeof *plants; i++)
        broken[plants[i].rule] = true;
    for (int i = 0; i < RULES_COUNT; i++)
        assert_true(broken[i]);
}

static int begin(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int end(void **state)
{
    char command[64];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_world_has_no_violation),
        cmocka_unit_test(every_wrong_world_is_found),
        cmocka_unit_test(every_rule_is_broken_by_a_plant),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
