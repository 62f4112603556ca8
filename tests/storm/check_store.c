/* The store's tables, read as a stranger would: the schema, and nothing of the broker's code. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire.h"
#include "tests/storm/check_data.h"

typedef void row_fn(struct data *self, sqlite3_stmt *row);

static struct ag_bytes blob(sqlite3_stmt *row, int column)
{
    const void *data = sqlite3_column_blob(row, column);

    return ag_bytes_of(data, (size_t)sqlite3_column_bytes(row, column));
}

/* The value of a key in a msgpack map; false when it is not there. */
static bool find_value(struct ag_bytes map, const char *key, struct ag_reader *out)
{
    struct ag_reader r = ag_reader_of(map);
    uint32_t pairs = ag_read_map(&r);

    for (uint32_t i = 0; i < pairs && !r.failed; i++) {
        if (ag_bytes_are(ag_read_text(&r, 64), key)) {
            *out = r;
            return !r.failed;
        }
        ag_read_skip(&r);
    }
    return false;
}

static uint64_t find_whole(struct ag_bytes map, const char *key)
{
    struct ag_reader r;

    return find_value(map, key, &r) ? ag_read_whole(&r, UINT64_MAX) : 0;
}

static void on_meta(struct data *self, sqlite3_stmt *row)
{
    self->epoch = (uint64_t)sqlite3_column_int64(row, 0);
}

static void on_job(struct data *self, sqlite3_stmt *row)
{
    struct ag_bytes bytes = blob(row, 1);
    uint64_t key = find_whole(blob(row, 3), "key");
    struct want *want = want_at(self, key, false);
    char text[AG_ID_TEXT_SIZE];
    struct ag_id id = {{0}};
    struct job *job;

    memcpy(&id, bytes.data, bytes.size < sizeof id ? bytes.size : sizeof id);
    job = job_at(self, &id);
    ag_id_print(&id, text);
    job->number = (uint64_t)sqlite3_column_int64(row, 0);
    job->since = sqlite3_column_int64(row, 2);
    if (job->rows++ > 0)
        violate(self, RULE_C6, "%s has %u jobs in the store", text, job->rows);
    if (want == NULL) {
        self->report->phantom++;
        violate(self, RULE_C3, "nobody wanted %s with key %llx", text, (unsigned long long)key);
        return;
    }
    if ((want->job != NULL && want->job != job) || (job->has_key && job->key != key))
        violate(self, RULE_C6, "key %llx has two ids, one is %s", (unsigned long long)key, text);
    want->job = job;
    job->key = key;
    job->has_key = true;
}

static void on_failure(struct job *job, struct ag_bytes error)
{
    struct ag_bytes type;
    struct ag_reader r;

    if (!find_value(error, "type", &r))
        return;
    type = ag_read_text(&r, sizeof job->type - 1);
    snprintf(job->type, sizeof job->type, "%.*s", AG_TEXT(type));
}

static void on_end(struct data *self, sqlite3_stmt *row)
{
    struct ag_bytes id_bytes = blob(row, 1), result = blob(row, 7);
    struct ag_id id = {{0}};
    struct job *job;

    if (id_bytes.size != sizeof id) {
        violate(self, RULE_C4, "the end of a job that is not there (record %lld)",
                sqlite3_column_int64(row, 0));
        return;
    }
    memcpy(&id, id_bytes.data, sizeof id);
    job = job_at(self, &id);
    self->report->recorded++;
    job->ends++;
    job->end_number = (uint64_t)sqlite3_column_int64(row, 0);
    job->state = sqlite3_column_int(row, 2);
    job->attempt = (unsigned)sqlite3_column_int(row, 3);
    job->releases = (unsigned)sqlite3_column_int(row, 4);
    job->ended_at = sqlite3_column_int64(row, 5);
    on_failure(job, blob(row, 6));
    job->has_result = result.size > 0;
    job->result = (struct storm_result){
        .key = find_whole(result, "key"),
        .hash = find_whole(result, "hash"),
        .token = {find_whole(result, "epoch"), (unsigned)find_whole(result, "attempt")}};
    self->by_end = one_more(self->by_end, self->ends_count, sizeof *self->by_end);
    self->by_end[self->ends_count++] = job;
}

static void on_unsound(struct data *self, sqlite3_stmt *row)
{
    const char *text = (const char *)sqlite3_column_text(row, 0);

    if (text != NULL && strcmp(text, "ok") != 0)
        violate(self, RULE_C2, "SQLite finds the file unsound: %s", text);
}

static void on_sealed_batch(struct data *self, sqlite3_stmt *row)
{
    struct ag_bytes bytes = blob(row, 0);
    struct batch *batch;
    struct ag_id id;

    if (bytes.size != sizeof id)
        return;
    memcpy(&id, bytes.data, sizeof id);
    batch = batch_at(self, &id, false);
    if (batch != NULL)
        batch->is_sealed = true;
}

static void on_open_batch(struct data *self, sqlite3_stmt *row)
{
    violate(self, RULE_C1, "%d batches are sealed and have no open job, but did not end",
            sqlite3_column_int(row, 0));
}

static int each(struct data *self, sqlite3 *db, const char *sql, row_fn *take)
{
    sqlite3_stmt *row;
    int rc = sqlite3_prepare_v2(db, sql, -1, &row, NULL);

    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(row);
        if (rc == SQLITE_ROW)
            take(self, row);
    }
    if (rc != SQLITE_DONE)
        fprintf(stderr, "the store: %s\n", sqlite3_errmsg(db));
    sqlite3_finalize(row);
    return rc == SQLITE_DONE ? 0 : -1;
}

int read_store(struct data *self, const char *path)
{
    static const struct {
        const char *sql;
        row_fn *take;
    } questions[] = {
        {"PRAGMA integrity_check(1)", on_unsound},
        {"SELECT value FROM meta WHERE key = 'epoch'", on_meta},
        {"SELECT number, id, since, payload FROM job ORDER BY number", on_job},
        {"SELECT outcome.number, job.id, outcome.state, outcome.attempt, outcome.releases,"
         " outcome.since, outcome.error, outcome.result"
         " FROM outcome LEFT JOIN job ON job.number = outcome.job ORDER BY outcome.number",
         on_end},
        {"SELECT id FROM batch WHERE sealed IS NOT NULL", on_sealed_batch},
        {"SELECT count(*) FROM batch WHERE sealed IS NOT NULL AND ended IS NULL"
         " AND NOT EXISTS (SELECT 1 FROM job WHERE job.batch = batch.number AND NOT EXISTS"
         " (SELECT 1 FROM outcome WHERE outcome.job = job.number)) HAVING count(*) > 0",
         on_open_batch},
    };
    sqlite3 *db;
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL);

    if (rc != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", path, sqlite3_errmsg(db));
        sqlite3_close(db);
        return -1;
    }
    for (size_t i = 0; rc == 0 && i < sizeof questions / sizeof *questions; i++)
        rc = each(self, db, questions[i].sql, questions[i].take);
    sqlite3_close(db);
    return rc;
}
