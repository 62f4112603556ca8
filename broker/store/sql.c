#include "broker/store/sql.h"

static int code_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return ARGOSY_EFULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ARGOSY_EAGAIN;
    case SQLITE_NOMEM:
        return ARGOSY_ENOMEM;
    case SQLITE_NOTADB:
        return ARGOSY_EINVAL;
    default:
        if (rc == SQLITE_IOERR_NOMEM)
            return ARGOSY_ENOMEM;
        /* the index of the WAL lives in a file of its own */
        return rc == SQLITE_IOERR_SHMSIZE ? ARGOSY_EFULL : ARGOSY_EIO;
    }
}

int sql_code(sqlite3 *db)
{
    return code_of(sqlite3_extended_errcode(db));
}

int sql_fail(sqlite3 *db, const char *doing, struct argosy_error *err)
{
    int rc = sqlite3_extended_errcode(db);
    const char *name = db != NULL ? sqlite3_db_filename(db, "main") : NULL;

    return ag_fail(err, code_of(rc), "cannot %s the store %s: %s (SQLite %d)", doing,
                   name != NULL && name[0] != '\0' ? name : "in memory", sqlite3_errmsg(db), rc);
}

int sql_exec(sqlite3 *db, const char *sql, const char *doing, struct argosy_error *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : sql_fail(db, doing, err);
}

int sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out, struct argosy_error *err)
{
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) == SQLITE_OK)
        return 0;
    return sql_fail(db, "use the tables of", err);
}

int sql_run(sqlite3 *db, sqlite3_stmt *statement, struct argosy_error *err)
{
    int rc = 0;

    if (sqlite3_step(statement) != SQLITE_DONE)
        rc = sql_fail(db, "write to", err);
    sqlite3_reset(statement);
    return rc;
}

int sql_number(sqlite3 *db, const char *sql, uint64_t *out, struct argosy_error *err)
{
    sqlite3_stmt *statement;
    int rc = sql_prepare(db, sql, &statement, err), step;

    *out = 0;
    if (rc < 0)
        return rc;
    step = sqlite3_step(statement);
    if (step == SQLITE_ROW)
        *out = sql_column(statement, 0);
    else if (step != SQLITE_DONE)
        rc = sql_fail(db, "read", err);
    sqlite3_finalize(statement);
    return rc;
}

static int write_again(sqlite3_file *file)
{
    char block[1 << 14];
    sqlite3_int64 size = 0;
    int rc = file->pMethods->xFileSize(file, &size), bytes;

    for (sqlite3_int64 at = 0; rc == SQLITE_OK && at < size; at += bytes) {
        bytes = size - at < (sqlite3_int64)sizeof block ? (int)(size - at) : (int)sizeof block;
        rc = file->pMethods->xRead(file, block, bytes, at);
        if (rc == SQLITE_OK)
            rc = file->pMethods->xWrite(file, block, bytes, at);
    }
    if (rc == SQLITE_OK && size > 0)
        rc = file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
    return rc;
}

/* A transaction keeps others from writing meanwhile; it also opens the log. After an error it is
 * left open: the connection is of no use any more. */
int sql_write_log_again(sqlite3 *db, struct argosy_error *err)
{
    sqlite3_file *log = NULL;
    int rc = sql_exec(db, "BEGIN IMMEDIATE", "open", err);

    if (rc < 0)
        return rc;
    rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (rc == SQLITE_OK && log->pMethods != NULL)
        rc = write_again(log);
    if (rc == SQLITE_OK)
        return sql_exec(db, "ROLLBACK", "open", err); /* or what follows would never be committed */
    return ag_fail(err, code_of(rc), "cannot write to the log of the store %s (SQLite %d)",
                   sqlite3_db_filename(db, "main"), rc);
}

struct ag_bytes sql_column_bytes(sqlite3_stmt *statement, int at)
{
    const void *data = sqlite3_column_blob(statement, at);

    return data != NULL ? ag_bytes_of(data, (size_t)sqlite3_column_bytes(statement, at))
                        : ag_bytes_of_text("");
}

struct ag_bytes sql_column_optional(sqlite3_stmt *statement, int at)
{
    return sqlite3_column_type(statement, at) != SQLITE_NULL ? sql_column_bytes(statement, at)
                                                             : (struct ag_bytes){0};
}
