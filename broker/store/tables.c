/* What each record changes in the tables. Reading them again is in load.c. */
#include "broker/store/tables.h"

#include <stdlib.h>

#include "broker/store/rows.h"
#include "broker/store/schema.h"
#include "common/assert.h"

static const char *const sql[STATEMENTS_COUNT] = {
#define X(name, text) [SQL_##name] = text,
    STATEMENTS(X)
#undef X
};

/* ---- what jobs have in common ------------------------------------------------------------------
 */

static void forget_templates(tables_t *self)
{
    const struct ag_map_node *next;

    for (const struct ag_map_node *at = ag_map_next(&self->templates, NULL); at != NULL;
         at = next) {
        next = ag_map_next(&self->templates, at);
        free(AG_OWNER(at, struct template, node));
    }
    ag_map_fini(&self->templates);
    self->last_template = NULL;
}

/* Two of different bytes may have the same, then the rows of one are told apart less well. */
static struct ag_id hash_of(struct ag_bytes bytes)
{
    uint64_t a = 0xcbf29ce484222325, b = bytes.size;
    struct ag_id id;

    for (size_t i = 0; i < bytes.size; i++) { /* FNV-1a, and the same from another start */
        a = (a ^ bytes.data[i]) * 0x100000001b3;
        b = (b ^ a) * 0x9e3779b97f4a7c15;
    }
    memcpy(id.bytes, &a, sizeof a);
    memcpy(id.bytes + sizeof a, &b, sizeof b);
    return id;
}

static bool is_template(const struct template *template, struct ag_bytes spec)
{
    return template != NULL && ag_bytes_equal(ag_bytes_of(template->spec, template->size), spec);
}

static int remember_template(tables_t *self, const struct ag_id *hash, struct ag_bytes spec,
                             uint64_t number, struct argosy_error *err)
{
    struct template *template = malloc(sizeof *template + spec.size);

    if (self->templates.count >= TEMPLATES_MAX)
        forget_templates(self);
    if (template == NULL || (self->templates.size == 0 && ag_map_init(&self->templates, 0) < 0)) {
        free(template);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for the store");
    }
    template->node.id = *hash;
    template->number = number;
    template->size = spec.size;
    memcpy(template->spec, spec.data, spec.size);
    ag_map_add(&self->templates, &template->node);
    self->last_template = template;
    return 0;
}

static int insert_template(tables_t *self, struct ag_bytes spec, uint64_t *number,
                           struct argosy_error *err)
{
    sqlite3_stmt *insert = self->sql[SQL_ADD_TEMPLATE];
    struct proto_submit_job job;
    int rc = ag_proto_decode_job(spec, &job, err);

    if (rc < 0)
        return rc;
    sqlite3_bind_text64(insert, 1, (const char *)job.kind.data, job.kind.size, SQLITE_STATIC,
                        SQLITE_UTF8);
    sqlite3_bind_text64(insert, 2, job.queue.data != NULL ? (const char *)job.queue.data : "",
                        job.queue.size, SQLITE_STATIC, SQLITE_UTF8);
    sql_bind(insert, 3, job.priority);
    sql_bind_blob(insert, 4, spec);
    rc = sql_run(self->db, insert, err);
    *number = (uint64_t)sqlite3_last_insert_rowid(self->db);
    return rc;
}

/* `spec`: what a job has in common with others. */
static int template_of(tables_t *self, struct ag_bytes spec, uint64_t *number,
                       struct argosy_error *err)
{
    struct ag_map_node *node;
    struct ag_id hash;
    int rc;

    if (!is_template(self->last_template, spec)) {
        hash = hash_of(spec);
        node = self->templates.size > 0 ? ag_map_find(&self->templates, &hash) : NULL;
        if (node != NULL && is_template(AG_OWNER(node, struct template, node), spec)) {
            self->last_template = AG_OWNER(node, struct template, node);
        } else {
            rc = insert_template(self, spec, number, err);
            if (rc < 0 || node != NULL) /* its hash is taken: it is not remembered */
                return rc;
            rc = remember_template(self, &hash, spec, *number, err);
            if (rc < 0)
                return rc;
        }
    }
    *number = self->last_template->number;
    return 0;
}

/* ---- records -----------------------------------------------------------------------------------
 */

/* A change of one row that must be there. */
static int change(tables_t *self, enum statement statement, struct argosy_error *err)
{
    int rc = sql_run(self->db, self->sql[statement], err);

    if (rc == 0 && sqlite3_changes(self->db) != 1)
        self->surprises++;
    return rc;
}

static int apply_job(tables_t *self, const struct record *record, struct argosy_error *err)
{
    const struct proto_submit_job *job = &record->job.spec;
    sqlite3_stmt *insert = self->sql[SQL_ADD_JOB];
    uint64_t template = 0;
    int rc = template_of(self, record->job.common, &template, err);

    if (rc < 0)
        return rc;
    sql_bind(insert, 1, record->number);
    sqlite3_bind_blob(insert, 2, &job->id, sizeof job->id, SQLITE_STATIC);
    sql_bind_some(insert, 3, record->job.group);
    sql_bind(insert, 4, job->index);
    sql_bind(insert, 5, template);
    sql_bind(insert, 6, record->job.since_unix_ms);
    sql_bind_some(insert, 7,
                  record->job.due_unix_ms > record->job.since_unix_ms ? record->job.due_unix_ms
                                                                      : 0);
    sql_bind_text(insert, 8, job->key);
    sql_bind_text(insert, 9, job->unique);
    sql_bind_blob(insert, 10, job->after);
    sql_bind(insert, 11, record->job.mode);
    sql_bind_blob(insert, 12, job->payload);
    return sql_run(self->db, insert, err);
}

static int apply_end(tables_t *self, uint64_t number, const struct record *record,
                     struct argosy_error *err)
{
    sqlite3_stmt *insert = self->sql[SQL_ADD_OUTCOME];

    sql_bind(insert, 1, number);
    sql_bind(insert, 2, record->number);
    sql_bind(insert, 3, record->end.state);
    sql_bind_text(insert, 4, record->end.worker);
    sql_bind(insert, 5, record->end.attempt);
    sql_bind(insert, 6, record->end.failures);
    sql_bind(insert, 7, record->end.losses);
    sql_bind(insert, 8, record->end.releases);
    sql_bind(insert, 9, record->end.queued_ms);
    sql_bind(insert, 10, record->end.run_ms);
    sql_bind(insert, 11, record->end.since_unix_ms);
    sql_bind_optional(insert, 12, record->end.result);
    sql_bind_optional(insert, 13, record->end.error);
    sql_bind(insert, 14, record->end.spent);
    sql_bind(insert, 15, record->end.attempts_count);
    sql_bind_blob(insert, 16, record->end.attempts);
    return sql_run(self->db, insert, err);
}

static int apply_group(tables_t *self, const struct record *record, struct ag_bytes bytes,
                       struct argosy_error *err)
{
    sqlite3_stmt *insert = self->sql[SQL_ADD_BATCH];

    sql_bind(insert, 1, record->number);
    sqlite3_bind_blob(insert, 2, &record->id, sizeof record->id, SQLITE_STATIC);
    sql_bind_text(insert, 3, record->group.spec.name);
    sql_bind_blob(insert, 4, bytes);
    return sql_run(self->db, insert, err);
}

/* A column of a job or group gets a value. */
static int set_bytes(tables_t *self, enum statement statement, const struct record *record,
                     struct ag_bytes bytes, struct argosy_error *err)
{
    sql_bind_blob(self->sql[statement], 1, bytes);
    sql_bind(self->sql[statement], 2, record->number);
    return change(self, statement, err);
}

static int set_number(tables_t *self, enum statement statement, const struct record *record,
                      uint64_t number, struct argosy_error *err)
{
    sql_bind(self->sql[statement], 1, number);
    sql_bind(self->sql[statement], 2, record->number);
    return change(self, statement, err);
}

static int apply_queue(tables_t *self, uint64_t number, const struct record *record,
                       struct ag_bytes bytes, struct argosy_error *err)
{
    sqlite3_stmt *put = self->sql[SQL_PUT_QUEUE];

    sql_bind_text(put, 1, record->queue.name);
    sql_bind(put, 2, number);
    sql_bind(put, 3, record->queue.paused);
    sql_bind(put, 4, record->queue.limit);
    sql_bind(put, 5, record->queue.relaxed);
    sql_bind_blob(put, 6, bytes);
    return sql_run(self->db, put, err);
}

static int apply_schedule(tables_t *self, uint64_t number, const struct record *record,
                          struct ag_bytes bytes, struct argosy_error *err)
{
    sqlite3_stmt *put = self->sql[SQL_PUT_SCHEDULE];

    sqlite3_bind_blob(put, 1, &record->id, sizeof record->id, SQLITE_STATIC);
    sql_bind(put, 2, number);
    sql_bind_text(put, 3, record->schedule.name);
    sql_bind_some(put, 4,
                  record->schedule.next_unix_ms > INT64_MAX ? 0 : record->schedule.next_unix_ms);
    sql_bind(put, 5, record->schedule.fired);
    sql_bind_blob(put, 6, bytes);
    return sql_run(self->db, put, err);
}

static int apply_worker(tables_t *self, uint64_t number, const struct record *record,
                        struct argosy_error *err)
{
    enum statement statement = record->worker.has_left ? SQL_DELETE_WORKER : SQL_PUT_WORKER;

    sqlite3_bind_blob(self->sql[statement], 1, &record->id, sizeof record->id, SQLITE_STATIC);
    if (!record->worker.has_left) {
        sql_bind(self->sql[statement], 2, number);
        sql_bind_text(self->sql[statement], 3, record->worker.name);
    }
    return change(self, statement, err);
}

/* ---- forgetting --------------------------------------------------------------------------------
 */

/* The jobs that one transaction forgets are mostly of one group: their counts are added up. */
static int write_gone(tables_t *self, struct argosy_error *err)
{
    sqlite3_stmt *add = self->sql[SQL_ADD_GONE];
    const struct core_gone *gone = &self->gone;

    if (self->gone_of == 0)
        return 0;
    sql_bind(add, 1, gone->succeeded);
    sql_bind(add, 2, gone->failed);
    sql_bind(add, 3, gone->cancelled);
    sql_bind(add, 4, gone->retried);
    sql_bind(add, 5, gone->unconfirmed);
    sql_bind(add, 6, gone->busy_ms);
    sql_bind(add, 7, self->gone_of);
    self->gone_of = 0;
    return sql_run(self->db, add, err); /* the group may be gone itself */
}

static int add_gone(tables_t *self, uint64_t group, const struct core_gone *more,
                    struct argosy_error *err)
{
    if (group == 0)
        return 0;
    if (self->gone_of != group) {
        int rc = write_gone(self, err);

        if (rc < 0)
            return rc;
        self->gone_of = group;
        self->gone = (struct core_gone){0};
    }
    core_gone_add(&self->gone, more);
    return 0;
}

static int remember_number(struct numbers *self, uint64_t number, struct argosy_error *err)
{
    if (self->count == self->capacity) {
        size_t capacity = self->capacity > 0 ? 2 * self->capacity : 1024;
        uint64_t *grown = realloc(self->items, capacity * sizeof *grown);

        if (grown == NULL)
            return ag_fail(err, ARGOSY_ENOMEM, "no memory for the store");
        self->items = grown;
        self->capacity = capacity;
    }
    self->items[self->count++] = number;
    return 0;
}

/* What was accepted or ended together has numbers that follow each other: a statement for each such
 * run. */
static int delete_runs(tables_t *self, enum statement statement, struct numbers *numbers,
                       struct argosy_error *err)
{
    int rc = 0;

    if (numbers->count > 0)
        qsort(numbers->items, numbers->count, sizeof *numbers->items, compare_numbers);
    for (size_t i = 0, end; i < numbers->count && rc == 0; i = end) {
        for (end = i + 1;
             end < numbers->count && numbers->items[end] == numbers->items[end - 1] + 1;)
            end++;
        sql_bind(self->sql[statement], 1, numbers->items[i]);
        sql_bind(self->sql[statement], 2, numbers->items[end - 1]);
        rc = sql_run(self->db, self->sql[statement], err);
        if (rc == 0 && (size_t)sqlite3_changes(self->db) != end - i)
            self->surprises++;
    }
    numbers->count = 0;
    return rc;
}

static int forget_job(tables_t *self, const struct record *record, struct argosy_error *err)
{
    int rc = remember_number(&self->forgotten_jobs, record->number, err);

    if (rc == 0)
        rc = remember_number(&self->forgotten_ends, record->forget.ended, err);
    return rc < 0 ? rc : add_gone(self, record->forget.group, &record->forget.gone, err);
}

static int forget_group(tables_t *self, const struct record *record, struct argosy_error *err)
{
    enum statement statement =
        record->forget.ended == 0 ? SQL_FORGET_BATCH : SQL_DELETE_BATCH; /* see core.h */
    int rc;

    sql_bind(self->sql[statement], 1, record->number);
    rc = change(self, statement, err);
    if (rc < 0 || statement == SQL_DELETE_BATCH)
        return rc;
    return add_gone(self, record->forget.group, &record->forget.gone, err);
}

static int apply_forget(tables_t *self, const struct record *record, struct argosy_error *err)
{
    sqlite3_stmt *delete = self->sql[SQL_DELETE_SCHEDULE];

    switch (record->forget.subject) {
    case SUBJECT_JOB:
        return forget_job(self, record, err);
    case SUBJECT_GROUP:
        return forget_group(self, record, err);
    case SUBJECT_SCHEDULE:
        sqlite3_bind_blob(delete, 1, &record->id, sizeof record->id, SQLITE_STATIC);
        return change(self, SQL_DELETE_SCHEDULE, err);
    }
    return ag_fail(err, ARGOSY_EPROTO, "a record forgets something unknown");
}

/* ---- a transaction -----------------------------------------------------------------------------
 */

int tables_apply(tables_t *self, uint64_t number, struct ag_bytes bytes, struct argosy_error *err)
{
    struct record record;
    int rc = record_read_own(bytes, &record, err);

    if (rc < 0)
        return rc;
    switch (record.type) {
    case RECORD_GROUP:
        return apply_group(self, &record, bytes, err);
    case RECORD_JOB:
        return apply_job(self, &record, err);
    case RECORD_SEAL:
        return set_number(self, SQL_SEAL_BATCH, &record, number, err);
    case RECORD_STOP:
        sql_bind(self->sql[SQL_STOP_BATCH], 3, number);
        return set_bytes(self, SQL_STOP_BATCH, &record, bytes, err);
    case RECORD_CANCEL:
        return set_number(self, SQL_CANCEL_JOB, &record, number, err);
    case RECORD_ATTEMPT:
        return set_bytes(self, SQL_SET_ATTEMPT, &record, bytes, err);
    case RECORD_END:
        return apply_end(self, number, &record, err);
    case RECORD_ENDED:
        sql_bind(self->sql[SQL_END_BATCH], 3, record.ended.unix_ms);
        return set_number(self, SQL_END_BATCH, &record, number, err);
    case RECORD_FORGET:
        return apply_forget(self, &record, err);
    case RECORD_QUEUE:
        return apply_queue(self, number, &record, bytes, err);
    case RECORD_SCHEDULE:
        return apply_schedule(self, number, &record, bytes, err);
    case RECORD_WORKER:
        return apply_worker(self, number, &record, err);
    case RECORD_GONE: /* of what another store has told */
        return add_gone(self, record.number, &record.gone, err);
    }
    return ag_fail(err, ARGOSY_EPROTO, "not a record");
}

int tables_begin(tables_t *self, struct argosy_error *err)
{
    self->gone_of = 0;
    return sql_run(self->db, self->sql[SQL_BEGIN], err);
}

int tables_commit(tables_t *self, struct argosy_error *err)
{
    int rc = write_gone(self, err);

    if (rc == 0)
        rc = delete_runs(self, SQL_DELETE_JOBS, &self->forgotten_jobs, err);
    if (rc == 0)
        rc = delete_runs(self, SQL_DELETE_OUTCOMES, &self->forgotten_ends, err);
    return rc < 0 ? rc : sql_run(self->db, self->sql[SQL_COMMIT], err);
}

void tables_rollback(tables_t *self)
{
    self->gone_of = self->forgotten_jobs.count = self->forgotten_ends.count = 0;
    forget_templates(self); /* some may have been rolled back */
    if (sqlite3_get_autocommit(self->db) == 0)
        sqlite3_exec(self->db, "ROLLBACK", NULL, NULL, NULL);
}

int tables_bytes(tables_t *self, uint64_t number, uint64_t ended, bool *is_there,
                 struct ag_bytes *bytes, struct argosy_error *err)
{
    sqlite3_stmt *select = self->sql[ended > 0 ? SQL_RESULT : SQL_PAYLOAD];
    int step;

    sqlite3_reset(self->sql[SQL_RESULT]);
    sqlite3_reset(self->sql[SQL_PAYLOAD]);
    sql_bind(select, 1, ended > 0 ? ended : number);
    step = sqlite3_step(select);
    *is_there = step == SQLITE_ROW;
    if (*is_there)
        *bytes = sql_column_bytes(select, 0);
    return step == SQLITE_ROW || step == SQLITE_DONE ? 0 : sql_fail(self->db, "read", err);
}

uint64_t tables_surprises(const tables_t *self)
{
    return self->surprises;
}

/* ---- life --------------------------------------------------------------------------------------
 */

enum { APPLICATION_ID = 0x41726779 };

static int make(tables_t *self, struct argosy_error *err)
{
    int rc = sql_exec(self->db, "BEGIN IMMEDIATE", "make", err);

    if (rc == 0)
        rc = sql_exec(self->db, (const char *)store_schema, "make", err);
    if (rc == 0)
        rc = sql_exec(self->db,
                      "INSERT INTO meta VALUES ('format', 1), ('epoch', 0),"
                      " ('made', unixepoch() * 1000);"
                      "PRAGMA application_id = 0x41726779; COMMIT",
                      "make", err);
    return rc;
}

int tables_check_format(sqlite3 *db, const char *path, struct argosy_error *err)
{
    uint64_t application, format = 0;
    int rc = sql_number(db, "PRAGMA application_id", &application, err);

    if (rc == 0 && application == APPLICATION_ID)
        rc = sql_number(db, "SELECT value FROM meta WHERE key = 'format'", &format, err);
    if (rc < 0)
        return rc;
    if (format == 0)
        return ag_fail(err, ARGOSY_EINVAL, "%s is a database of something else", path);
    if (format > TABLES_FORMAT)
        return ag_fail(err, ARGOSY_EINVAL,
                       "%s is of format %llu, this version knows up to %d: it was made by a newer "
                       "Argosy, which must be installed to read it",
                       path, (unsigned long long)format, TABLES_FORMAT);
    return 0;
}

/* What is not ours stays as it is: nothing is changed before its format is known. A store that was
 * never finished has no tables: it is begun anew. */
static int set_up(tables_t *self, const char *path, struct argosy_error *err)
{
    uint64_t tables = 0;
    int rc = sql_exec(self->db, "PRAGMA busy_timeout = 1000", "open", err);

    if (rc == 0)
        rc = sql_number(self->db, "SELECT count(*) FROM sqlite_schema", &tables, err);
    if (rc == 0 && tables > 0)
        rc = tables_check_format(self->db, path, err);
    /* FULL: a commit is on the disk when it returns, the log is not only intact. The log begins
     * anew after each checkpoint and is cut when it has grown (reliability.md 1.4). */
    if (rc == 0)
        rc = sql_exec(self->db,
                      "PRAGMA journal_mode = WAL;"
                      "PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 16777216;"
                      "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384",
                      "open", err);
    if (rc == 0)
        rc = tables > 0 ? sql_write_log_again(self->db, err) : make(self, err);
    for (int i = 0; rc == 0 && i < STATEMENTS_COUNT; i++)
        rc = sql_prepare(self->db, sql[i], &self->sql[i], err);
    return rc;
}

int tables_open(tables_t **out, const char *path, struct argosy_error *err)
{
    tables_t *self = calloc(1, sizeof *self);
    int rc;

    *out = NULL;
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a store");
    if (sqlite3_open_v2(path, &self->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        rc = self->db != NULL ? ag_fail(err, sql_code(self->db), "cannot open the store %s: %s",
                                        path, sqlite3_errmsg(self->db))
                              : ag_fail(err, ARGOSY_ENOMEM, "no memory for a store");
    else
        rc = set_up(self, path, err);
    if (rc < 0)
        tables_close(&self);
    *out = self;
    return rc;
}

void tables_close(tables_t **self_p)
{
    tables_t *self = *self_p;

    if (self == NULL)
        return;
    for (int i = 0; i < STATEMENTS_COUNT; i++)
        sqlite3_finalize(self->sql[i]);
    forget_templates(self);
    sqlite3_close(self->db);
    free(self->forgotten_jobs.items);
    free(self->forgotten_ends.items);
    free(self);
    *self_p = NULL;
}

int tables_raise_epoch(tables_t *self, uint64_t least, uint64_t *epoch, struct argosy_error *err)
{
    sqlite3_stmt *raise = self->sql[SQL_RAISE_EPOCH];
    int rc;

    sql_bind(raise, 1, least);
    rc = sql_run(self->db, raise, err);
    return rc < 0 ? rc
                  : sql_number(self->db, "SELECT value FROM meta WHERE key = 'epoch'", epoch, err);
}
