/* Rows of a store, one after the other, as they were accepted. */
#include "broker/store/look_inner.h"

/* An outcome's row is named by its own number, not by its job's: a second, sorted list says which
 * outcome is whose, and costs no memory, for SQLite sorts in files. */
static const char *const jobs_sql =
    "SELECT job.number, job.id, main.batch.id, main.batch.name, place, kind, queue, priority,"
    " since, due, key, uniq, waits, payload, attempt, job.cancelled FROM job"
    " LEFT JOIN template ON template.number = job.template"
    " LEFT JOIN main.batch ON main.batch.number = job.batch ORDER BY job.number";

static const char *const ends_sql = "SELECT job, number FROM outcome ORDER BY job";

static const char *const outcome_sql =
    "SELECT state, worker, attempt, failures, losses, releases, queued_ms, run_ms, since, result,"
    " error, remembered, attempts FROM outcome WHERE number = ?";

struct jobs {
    look_t *look;
    struct argosy_error *err;
    sqlite3_stmt *jobs, *ends, *outcome;
    uint64_t end_of,
        end; /* where `ends` stands: a job's number, and its outcome's; 0: at its end */
};

static struct ag_id id_at(sqlite3_stmt *row, int at)
{
    struct ag_bytes bytes = sql_column_bytes(row, at);
    struct ag_id id = {{0}};

    if (bytes.size == sizeof id)
        memcpy(&id, bytes.data, sizeof id);
    return id;
}

/* 1: a row, 0: there are no more. */
static int step(look_t *self, sqlite3_stmt *rows, struct argosy_error *err)
{
    int rc = sqlite3_step(rows);

    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : look_fail(self, "read", err);
}

static int next_end(struct jobs *self)
{
    int rc = step(self->look, self->ends, self->err);

    self->end_of = rc > 0 ? sql_column(self->ends, 0) : 0;
    self->end = rc > 0 ? sql_column(self->ends, 1) : 0;
    return rc < 0 ? rc : 0;
}

static void read_outcome(sqlite3_stmt *row, struct record *out)
{
    out->type = RECORD_END;
    out->end.state = (enum job_state)sql_column(row, 0);
    out->end.worker = sql_column_bytes(row, 1);
    out->end.attempt = (uint32_t)sql_column(row, 2);
    out->end.failures = (uint32_t)sql_column(row, 3);
    out->end.losses = (uint32_t)sql_column(row, 4);
    out->end.releases = (uint32_t)sql_column(row, 5);
    out->end.queued_ms = (uint32_t)sql_column(row, 6);
    out->end.run_ms = (uint32_t)sql_column(row, 7);
    out->end.since_unix_ms = sql_column(row, 8);
    out->end.result = sql_column_bytes(row, 9);
    out->end.error = sql_column_bytes(row, 10);
    out->end.attempts_count = (uint32_t)sql_column(row, 11);
    out->end.attempts = sql_column_bytes(row, 12);
    if (!ag_proto_are_attempts(out->end.attempts, out->end.attempts_count))
        out->end.attempts = ag_bytes_of_text("");
}

static int find_outcome(struct jobs *self, uint64_t number, struct look_job *job)
{
    int rc = 0;

    while (rc == 0 && self->end_of > 0 && self->end_of < number)
        rc = next_end(self);
    if (rc < 0 || self->end_of != number)
        return rc;
    sqlite3_reset(self->outcome);
    sql_bind(self->outcome, 1, self->end);
    rc = step(self->look, self->outcome, self->err);
    if (rc <= 0)
        return rc;
    job->has_ended = true;
    read_outcome(self->outcome, &job->news);
    return 0;
}

static void read_job(sqlite3_stmt *row, struct look_job *job)
{
    *job = (struct look_job){.id = id_at(row, 1),
                             .group = id_at(row, 2),
                             .group_name = sql_column_bytes(row, 3),
                             .index = (uint32_t)sql_column(row, 4),
                             .kind = sql_column_bytes(row, 5),
                             .queue = sql_column_bytes(row, 6),
                             .priority = (uint32_t)sql_column(row, 7),
                             .accepted_unix_ms = sql_column(row, 8),
                             .due_unix_ms = sql_column(row, 9),
                             .key = sql_column_bytes(row, 10),
                             .unique = sql_column_bytes(row, 11),
                             .after = sql_column_bytes(row, 12),
                             .payload = sql_column_bytes(row, 13),
                             .is_cancelled = sql_column(row, 15) != 0};
    if (job->queue.size == 0)
        job->queue = job->kind;
    if (record_read(sql_column_bytes(row, 14), &job->news, NULL) < 0 ||
        job->news.type != RECORD_ATTEMPT)
        job->news = (struct record){.type = RECORD_ATTEMPT};
}

static int walk_jobs(struct jobs *self, look_job_fn *fn, void *arg)
{
    struct look_job job;
    int rc = next_end(self), more = 1;

    while (rc == 0 && (more = step(self->look, self->jobs, self->err)) > 0) {
        read_job(self->jobs, &job);
        rc = find_outcome(self, sql_column(self->jobs, 0), &job);
        if (rc == 0)
            rc = fn(arg, &job);
    }
    return more < 0 ? more : rc;
}

int look_each_job(look_t *look, look_job_fn *fn, void *arg, struct argosy_error *err)
{
    struct jobs self = {.look = look, .err = err};
    int rc = sql_prepare(look->db, jobs_sql, &self.jobs, err);

    if (rc == 0)
        rc = sql_prepare(look->db, ends_sql, &self.ends, err);
    if (rc == 0)
        rc = sql_prepare(look->db, outcome_sql, &self.outcome, err);
    if (rc == 0)
        rc = walk_jobs(&self, fn, arg);
    sqlite3_finalize(self.jobs);
    sqlite3_finalize(self.ends);
    sqlite3_finalize(self.outcome);
    return rc;
}

/* ---- what there is less of ----------------------------------------------------------------------
 */

/* A function of the caller's, whichever it is, behind one that reads the row. */
struct walk {
    look_t *look;
    struct argosy_error *err;
    look_group_fn *group_fn;
    look_record_fn *record_fn;
    void *arg;
};

static int walk(struct walk *self, const char *sql,
                int (*take)(struct walk *self, sqlite3_stmt *row))
{
    sqlite3_stmt *rows;
    int rc = sql_prepare(self->look->db, sql, &rows, self->err), more = 1;

    while (rc == 0 && (more = step(self->look, rows, self->err)) > 0)
        rc = take(self, rows);
    sqlite3_finalize(rows);
    return more < 0 ? more : rc;
}

static int read_record(struct walk *self, struct ag_bytes bytes, enum core_record type,
                       struct record *out)
{
    int rc = record_read(bytes, out, self->err);

    if (rc == 0 && out->type != type)
        rc = ag_fail(self->err, ARGOSY_EPROTO, "a record is of another type than its table");
    return rc < 0 ? ag_fail_in(self->err, rc, "%s is damaged", self->look->path) : 0;
}

static int take_group(struct walk *self, sqlite3_stmt *row)
{
    struct look_group group = {.is_sealed = sql_column(row, 1) != 0,
                               .is_cancelled = sql_column(row, 2) != 0,
                               .ended_unix_ms = sql_column(row, 4),
                               .gone = {.succeeded = sql_column(row, 5),
                                        .failed = sql_column(row, 6),
                                        .cancelled = sql_column(row, 7),
                                        .retried = sql_column(row, 8),
                                        .unconfirmed = sql_column(row, 9),
                                        .busy_ms = sql_column(row, 10)}};
    struct record stop;
    int rc = read_record(self, sql_column_bytes(row, 0), RECORD_GROUP, &group.made);

    if (rc == 0 && group.is_cancelled) {
        rc = read_record(self, sql_column_bytes(row, 3), RECORD_STOP, &stop);
        if (rc == 0)
            group.failure = stop.stop.failure;
    }
    return rc < 0 ? rc : self->group_fn(self->arg, &group);
}

static int take_queue(struct walk *self, sqlite3_stmt *row)
{
    struct record record;
    int rc = read_record(self, sql_column_bytes(row, 0), RECORD_QUEUE, &record);

    return rc < 0 ? rc : self->record_fn(self->arg, &record);
}

static int take_schedule(struct walk *self, sqlite3_stmt *row)
{
    struct record record;
    int rc = read_record(self, sql_column_bytes(row, 0), RECORD_SCHEDULE, &record);

    return rc < 0 ? rc : self->record_fn(self->arg, &record);
}

int look_each_group(look_t *look, look_group_fn *fn, void *arg, struct argosy_error *err)
{
    struct walk self = {.look = look, .err = err, .group_fn = fn, .arg = arg};

    return walk(&self,
                "SELECT spec, sealed, stopped, stop, ended_at, succeeded, failed, cancelled,"
                " retried, unconfirmed, busy_ms FROM batch ORDER BY number",
                take_group);
}

int look_each_queue(look_t *look, look_record_fn *fn, void *arg, struct argosy_error *err)
{
    struct walk self = {.look = look, .err = err, .record_fn = fn, .arg = arg};

    return walk(&self, "SELECT spec FROM queue ORDER BY name", take_queue);
}

int look_each_schedule(look_t *look, look_record_fn *fn, void *arg, struct argosy_error *err)
{
    struct walk self = {.look = look, .err = err, .record_fn = fn, .arg = arg};

    return walk(&self, "SELECT spec FROM schedule ORDER BY number", take_schedule);
}
