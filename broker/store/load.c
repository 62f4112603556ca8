/* Rows become records again, in the order of their numbers: three sorted streams, jobs, outcomes
 * and all the rest, are merged. */
#include <stdlib.h>

#include "broker/store/rows.h"
#include "broker/store/tables.h"

/* What the rows of the third stream are; a group's counts come right behind it. */
enum { ROW_GROUP, ROW_GONE, ROW_WHOLE_RECORD, ROW_SEAL, ROW_ENDED, ROW_WORKER };

static const char *const others_sql =
    "SELECT number AS n, 0 AS what, number, id, spec, 0, 0, 0, 0, 0, 0 FROM batch"
    " UNION ALL SELECT number, 1, number, id, NULL, succeeded, failed, cancelled, retried,"
    " unconfirmed, busy_ms FROM batch WHERE succeeded + failed + cancelled > 0"
    " UNION ALL SELECT stopped, 2, number, id, stop, 0, 0, 0, 0, 0, 0 FROM batch"
    " WHERE stopped IS NOT NULL"
    " UNION ALL SELECT sealed, 3, number, id, NULL, 0, 0, 0, 0, 0, 0 FROM batch"
    " WHERE sealed IS NOT NULL"
    " UNION ALL SELECT ended, 4, number, id, NULL, ended_at, 0, 0, 0, 0, 0 FROM batch"
    " WHERE ended IS NOT NULL"
    " UNION ALL SELECT number, 2, 0, NULL, spec, 0, 0, 0, 0, 0, 0 FROM queue"
    " UNION ALL SELECT number, 2, 0, id, spec, 0, 0, 0, 0, 0, 0 FROM schedule"
    " UNION ALL SELECT number, 5, 0, instance, name, 0, 0, 0, 0, 0, 0 FROM worker ORDER BY 1, 2";

static const char *const jobs_sql = "SELECT number, id, batch, place, template, since, due, key,"
                                    " uniq, waits, mode, payload, attempt, cancelled"
                                    " FROM job ORDER BY number";

static const char *const outcomes_sql =
    "SELECT outcome.number, outcome.job, job.id, state, worker, outcome.attempt, failures, losses,"
    " releases, queued_ms, run_ms, outcome.since, result, error, spent, remembered, attempts"
    " FROM outcome CROSS JOIN job ON job.number = outcome.job ORDER BY outcome.number";

/* One decoded template; jobs have a copy of the spec with what is their own. */
struct terms {
    uint64_t number;
    uint8_t *bytes;
    bool is_used;
    struct proto_submit_job spec;
};

struct batch_id {
    uint64_t number;
    struct ag_id id;
};

enum { JOBS, OUTCOMES, OTHERS, STREAMS_COUNT };

struct load {
    tables_t *tables;
    store_take_fn *take;
    void *arg;
    struct argosy_error *err;
    sqlite3_stmt *streams[STREAMS_COUNT];
    uint64_t next[STREAMS_COUNT]; /* the number of the row that a stream stands at; 0: it ends */
    struct terms *terms;          /* sorted by number, as they are read */
    size_t terms_count;
    struct batch_id *batches; /* likewise */
    size_t batches_count, batches_capacity;
    uint64_t last;
};

static int no_memory(struct load *self)
{
    return ag_fail(self->err, ARGOSY_ENOMEM, "no memory for what the store holds");
}

static int unsound(struct load *self, const char *what, uint64_t number)
{
    return ag_fail(self->err, ARGOSY_EIO, "the store %s is not sound: %s %llu cannot be read",
                   sqlite3_db_filename(self->tables->db, "main"), what, (unsigned long long)number);
}

static int give(struct load *self, uint64_t number, const struct record *record)
{
    if (number > self->last)
        self->last = number;
    return self->take(self->arg, number, record, self->err);
}

static int give_bytes(struct load *self, uint64_t number, struct ag_bytes bytes)
{
    struct record record;
    int rc = record_read(bytes, &record, self->err);

    return rc < 0 ? unsound(self, "record", number) : give(self, number, &record);
}

static bool read_id(sqlite3_stmt *row, int at, struct ag_id *out)
{
    struct ag_bytes bytes = sql_column_bytes(row, at);

    if (bytes.size != sizeof *out)
        return false;
    memcpy(out, bytes.data, sizeof *out);
    return true;
}

/* ---- templates and groups, by number -----------------------------------------------------------
 */

static int read_terms(struct load *self, sqlite3_stmt *row, struct terms *out)
{
    struct ag_bytes spec = sql_column_bytes(row, 1);

    out->number = sql_column(row, 0);
    out->bytes = malloc(spec.size + 1);
    if (out->bytes == NULL)
        return no_memory(self);
    memcpy(out->bytes, spec.data, spec.size);
    if (ag_proto_decode_job(ag_bytes_of(out->bytes, spec.size), &out->spec, NULL) < 0)
        return unsound(self, "template", out->number);
    return 0;
}

static int read_templates(struct load *self)
{
    sqlite3 *db = self->tables->db;
    sqlite3_stmt *rows;
    uint64_t count;
    int rc = sql_number(db, "SELECT count(*) FROM template", &count, self->err), step;

    if (rc == 0)
        rc = sql_prepare(db, "SELECT number, spec FROM template ORDER BY number", &rows, self->err);
    if (rc < 0)
        return rc;
    self->terms = calloc(count + 1, sizeof *self->terms);
    if (self->terms == NULL)
        rc = no_memory(self);
    while (rc == 0 && (step = sqlite3_step(rows)) != SQLITE_DONE)
        rc = step == SQLITE_ROW ? read_terms(self, rows, &self->terms[self->terms_count++])
                                : sql_fail(db, "read", self->err);
    sqlite3_finalize(rows);
    return rc;
}

/* Each life adds some, and what one had may never come back. What cannot be deleted now (a full
 * disk, somebody else who writes) can be the next time. */
static int delete_unused_templates(struct load *self)
{
    sqlite3_stmt *delete;
    int rc =
        sql_prepare(self->tables->db, "DELETE FROM template WHERE number = ?", &delete, self->err);

    if (rc == 0)
        rc = tables_begin(self->tables, self->err);
    for (size_t i = 0; rc == 0 && i < self->terms_count; i++)
        if (!self->terms[i].is_used) {
            sql_bind(delete, 1, self->terms[i].number);
            rc = sql_run(self->tables->db, delete, self->err);
        }
    if (rc == 0)
        rc = tables_commit(self->tables, self->err);
    if (rc < 0)
        tables_rollback(self->tables);
    sqlite3_finalize(delete);
    return rc == ARGOSY_EFULL || rc == ARGOSY_EAGAIN ? 0 : rc;
}

static int remember_batch(struct load *self, uint64_t number, const struct ag_id *id)
{
    if (self->batches_count == self->batches_capacity) {
        size_t capacity = self->batches_capacity > 0 ? 2 * self->batches_capacity : 64;
        struct batch_id *bigger = realloc(self->batches, capacity * sizeof *bigger);

        if (bigger == NULL)
            return no_memory(self);
        self->batches = bigger;
        self->batches_capacity = capacity;
    }
    self->batches[self->batches_count++] = (struct batch_id){number, *id};
    return 0;
}

static const struct ag_id *id_of_batch(const struct load *self, uint64_t number)
{
    const struct batch_id *found = NULL;

    if (number > 0 && self->batches_count > 0)
        found = bsearch(&number, self->batches, self->batches_count, sizeof *self->batches,
                        compare_numbers);
    return found != NULL ? &found->id : NULL;
}

/* ---- the streams -------------------------------------------------------------------------------
 */

/* What happened to a job before its end stands behind it, whatever happened to others meanwhile. */
static int take_job_news(struct load *self, sqlite3_stmt *row, const struct record *job)
{
    struct ag_bytes attempt = sql_column_bytes(row, 12);
    uint64_t cancelled = sql_column(row, 13);
    struct record cancel = {.type = RECORD_CANCEL, .id = job->id, .number = job->number};
    int rc = 0;

    if (attempt.size > 0)
        rc = give_bytes(self, job->number, attempt);
    if (rc == 0 && cancelled > 0)
        rc = give(self, job->number, &cancel);
    if (cancelled > self->last)
        self->last = cancelled;
    return rc;
}

static int take_job(struct load *self, sqlite3_stmt *row)
{
    struct record record = {.type = RECORD_JOB, .number = sql_column(row, 0)};
    uint64_t template = sql_column(row, 4);
    struct terms *terms =
        bsearch(&template, self->terms, self->terms_count, sizeof *self->terms, compare_numbers);
    struct proto_submit_job *spec = &record.job.spec;
    const struct ag_id *group;
    int rc;

    record.job.group = sql_column(row, 2);
    group = id_of_batch(self, record.job.group);
    if (terms == NULL || !read_id(row, 1, &record.id) || (record.job.group > 0 && group == NULL))
        return unsound(self, "job", record.number);
    terms->is_used = true;
    *spec = terms->spec;
    spec->id = record.id;
    if (group != NULL)
        spec->group = *group;
    spec->index = (uint32_t)sql_column(row, 3);
    record.job.since_unix_ms = sql_column(row, 5);
    record.job.due_unix_ms = sql_column(row, 6);
    if (record.job.since_unix_ms > RECORD_UNIX_MS_MAX ||
        record.job.due_unix_ms > RECORD_UNIX_MS_MAX)
        return unsound(self, "job", record.number);
    if (record.job.due_unix_ms == 0)
        record.job.due_unix_ms = record.job.since_unix_ms;
    spec->key = sql_column_bytes(row, 7);
    spec->unique = sql_column_bytes(row, 8);
    spec->after = sql_column_bytes(row, 9);
    if (spec->after.size % sizeof(struct ag_id) != 0)
        return unsound(self, "job", record.number);
    record.job.mode = (uint32_t)sql_column(row, 10);
    spec->payload = sql_column_bytes(row, 11);
    rc = give(self, record.number, &record);
    return rc < 0 ? rc : take_job_news(self, row, &record);
}

/* The core believes what it is given. */
static bool is_sound_end(const struct record *record)
{
    return record->end.state >= JOB_SUCCEEDED && record->end.state <= JOB_CANCELLED &&
           record->end.spent < BUDGET_SCOPES_COUNT &&
           record->end.since_unix_ms <= RECORD_UNIX_MS_MAX &&
           ag_proto_are_attempts(record->end.attempts, record->end.attempts_count);
}

static int take_outcome(struct load *self, sqlite3_stmt *row)
{
    struct record record = {.type = RECORD_END, .number = sql_column(row, 1)};

    if (!read_id(row, 2, &record.id))
        return unsound(self, "outcome", sql_column(row, 0));
    record.end.state = (enum job_state)sql_column(row, 3);
    record.end.worker = sql_column_bytes(row, 4);
    record.end.attempt = (uint32_t)sql_column(row, 5);
    record.end.failures = (uint32_t)sql_column(row, 6);
    record.end.losses = (uint32_t)sql_column(row, 7);
    record.end.releases = (uint32_t)sql_column(row, 8);
    record.end.queued_ms = (uint32_t)sql_column(row, 9);
    record.end.run_ms = (uint32_t)sql_column(row, 10);
    record.end.since_unix_ms = sql_column(row, 11);
    record.end.result = sql_column_optional(row, 12);
    record.end.error = sql_column_optional(row, 13);
    record.end.spent = (enum budget_scope)sql_column(row, 14);
    record.end.attempts_count = (uint32_t)sql_column(row, 15);
    record.end.attempts = sql_column_bytes(row, 16);
    if (!is_sound_end(&record))
        return unsound(self, "outcome", sql_column(row, 0));
    return give(self, sql_column(row, 0), &record);
}

static int take_group(struct load *self, sqlite3_stmt *row)
{
    struct ag_id id;
    int rc;

    if (!read_id(row, 3, &id))
        return unsound(self, "group", sql_column(row, 0));
    rc = remember_batch(self, sql_column(row, 2), &id);
    return rc < 0 ? rc : give_bytes(self, sql_column(row, 0), sql_column_bytes(row, 4));
}

/* What has more jobs than have an index is damaged, and would take all memory. */
static bool is_sound_gone(const struct core_gone *gone)
{
    return gone->succeeded <= UINT32_MAX && gone->failed <= UINT32_MAX &&
           gone->cancelled <= UINT32_MAX &&
           gone->succeeded + gone->failed + gone->cancelled <= UINT32_MAX &&
           gone->retried <= INT64_MAX / 2 && gone->unconfirmed <= UINT32_MAX &&
           gone->busy_ms <= INT64_MAX / 2;
}

static int take_other(struct load *self, sqlite3_stmt *row)
{
    uint64_t number = sql_column(row, 0);
    struct record record = {.number = sql_column(row, 2)};

    if (sql_column(row, 1) == ROW_GROUP)
        return take_group(self, row);
    if (sql_column(row, 1) == ROW_WHOLE_RECORD)
        return give_bytes(self, number, sql_column_bytes(row, 4));
    if (!read_id(row, 3, &record.id))
        return unsound(self, "group", record.number);
    switch (sql_column(row, 1)) {
    case ROW_GONE:
        record.type = RECORD_GONE;
        record.gone = (struct core_gone){.succeeded = sql_column(row, 5),
                                         .failed = sql_column(row, 6),
                                         .cancelled = sql_column(row, 7),
                                         .retried = sql_column(row, 8),
                                         .unconfirmed = sql_column(row, 9),
                                         .busy_ms = sql_column(row, 10)};
        if (!is_sound_gone(&record.gone))
            return unsound(self, "group", record.number);
        break;
    case ROW_SEAL:
        record.type = RECORD_SEAL;
        break;
    case ROW_WORKER:
        record.type = RECORD_WORKER;
        record.worker.name = sql_column_bytes(row, 4);
        break;
    default:
        record.type = RECORD_ENDED;
        record.ended.unix_ms = sql_column(row, 5);
        if (record.ended.unix_ms > RECORD_UNIX_MS_MAX)
            return unsound(self, "group", record.number);
    }
    return give(self, number, &record);
}

/* ---- the merge ---------------------------------------------------------------------------------
 */

static int advance(struct load *self, int stream)
{
    int step = sqlite3_step(self->streams[stream]);

    self->next[stream] = 0;
    if (step == SQLITE_ROW)
        self->next[stream] = sql_column(self->streams[stream], 0);
    else if (step != SQLITE_DONE)
        return sql_fail(self->tables->db, "read", self->err);
    return 0;
}

static int begin(struct load *self)
{
    static const char *const sql[STREAMS_COUNT] = {
        [JOBS] = jobs_sql, [OUTCOMES] = outcomes_sql, [OTHERS] = others_sql};
    int rc = read_templates(self);

    for (int i = 0; rc == 0 && i < STREAMS_COUNT; i++) {
        rc = sql_prepare(self->tables->db, sql[i], &self->streams[i], self->err);
        if (rc == 0)
            rc = advance(self, i);
    }
    return rc;
}

/* The stream whose row is next; -1 when all have ended. */
static int lowest(const struct load *self)
{
    int found = -1;

    for (int i = 0; i < STREAMS_COUNT; i++)
        if (self->next[i] > 0 && (found < 0 || self->next[i] < self->next[found]))
            found = i;
    return found;
}

static int merge(struct load *self)
{
    static int (*const takers[STREAMS_COUNT])(struct load *, sqlite3_stmt *) = {
        [JOBS] = take_job, [OUTCOMES] = take_outcome, [OTHERS] = take_other};
    int stream, rc = 0;

    while (rc == 0 && (stream = lowest(self)) >= 0) {
        rc = takers[stream](self, self->streams[stream]);
        if (rc == 0)
            rc = advance(self, stream);
    }
    return rc;
}

static void end(struct load *self)
{
    for (int i = 0; i < STREAMS_COUNT; i++)
        sqlite3_finalize(self->streams[i]);
    for (size_t i = 0; i < self->terms_count; i++)
        free(self->terms[i].bytes);
    free(self->terms);
    free(self->batches);
}

/* The broker died between the order to forget a group and the last of its jobs. */
static int delete_forgotten(tables_t *self, struct argosy_error *err)
{
    uint64_t count;
    int rc =
        sql_number(self->db, "SELECT count(*) FROM batch WHERE forgotten IS NOT NULL", &count, err);

    if (rc < 0 || count == 0)
        return rc;
    rc = sql_exec(self->db,
                  "BEGIN IMMEDIATE;"
                  "CREATE TEMP TABLE old AS SELECT job.number AS number FROM job JOIN batch"
                  " ON batch.number = job.batch WHERE batch.forgotten IS NOT NULL;"
                  "DELETE FROM outcome WHERE job IN (SELECT number FROM old);"
                  "DELETE FROM job WHERE number IN (SELECT number FROM old);"
                  "DELETE FROM batch WHERE forgotten IS NOT NULL; DROP TABLE old; COMMIT",
                  "clean", err);
    if (rc < 0)
        tables_rollback(self);
    return rc;
}

static int read_all(struct load *self)
{
    int rc = begin(self);

    return rc < 0 ? rc : merge(self);
}

int tables_load(tables_t *self, store_take_fn *take, void *arg, uint64_t *last,
                struct argosy_error *err)
{
    struct load load = {.tables = self, .take = take, .arg = arg, .err = err};
    int rc = delete_forgotten(self, err);

    if (rc == 0)
        rc = read_all(&load);
    if (rc == 0)
        rc = delete_unused_templates(&load);
    end(&load);
    *last = load.last;
    return rc;
}

int tables_read(sqlite3 *db, store_take_fn *take, void *arg, uint64_t *last,
                struct argosy_error *err)
{
    struct tables tables = {.db = db};
    struct load load = {.tables = &tables, .take = take, .arg = arg, .err = err};
    int rc = read_all(&load);

    end(&load);
    *last = load.last;
    return rc;
}
