/* sql.h - the little that everything here says to SQLite: statements of a list, values, errors.
 *
 * Threads: those of the connection.
 */
#ifndef BROKER_STORE_SQL_H
#define BROKER_STORE_SQL_H

#include <sqlite3.h>

#include "common/bytes.h"
#include "common/error.h"

/* Our code of the connection's last error. ARGOSY_EFULL: the disk is full; ARGOSY_EAGAIN: somebody
 * else writes; ARGOSY_EINVAL: not a database; ARGOSY_ENOMEM; else ARGOSY_EIO. */
int sql_code(sqlite3 *db);

/* The error is told as "cannot `doing` the store PATH: ...". */
int sql_fail(sqlite3 *db, const char *doing, struct argosy_error *err);

int sql_exec(sqlite3 *db, const char *sql, const char *doing, struct argosy_error *err);

int sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out, struct argosy_error *err);

/* Run a statement that gives no rows, and make it ready for the next time. */
int sql_run(sqlite3 *db, sqlite3_stmt *statement, struct argosy_error *err);

/* The one number that it gives; 0 for none. */
int sql_number(sqlite3 *db, const char *sql, uint64_t *out, struct argosy_error *err);

/* Writes the log (WAL) once more, as it is read, and syncs it. After a sync that failed, the system
 * may show bytes that are not on the disk and that no later sync writes, for they count as clean;
 * what is built on them would be lost with them when the power fails. */
int sql_write_log_again(sqlite3 *db, struct argosy_error *err);

static inline void sql_bind(sqlite3_stmt *statement, int at, uint64_t value)
{
    sqlite3_bind_int64(statement, at, (sqlite3_int64)value);
}

/* 0 is told as NULL. */
static inline void sql_bind_some(sqlite3_stmt *statement, int at, uint64_t value)
{
    if (value == 0)
        sqlite3_bind_null(statement, at);
    else
        sql_bind(statement, at, value);
}

/* Empty is told as NULL. The bytes must stay until the statement has run. */
static inline void sql_bind_blob(sqlite3_stmt *statement, int at, struct ag_bytes value)
{
    if (value.size == 0)
        sqlite3_bind_null(statement, at);
    else
        sqlite3_bind_blob64(statement, at, value.data, value.size, SQLITE_STATIC);
}

/* Bytes that may be absent (NULL) or empty, which is not the same. */
static inline void sql_bind_optional(sqlite3_stmt *statement, int at, struct ag_bytes value)
{
    if (value.data == NULL)
        sqlite3_bind_null(statement, at);
    else
        sqlite3_bind_blob64(statement, at, value.data, value.size, SQLITE_STATIC);
}

static inline void sql_bind_text(sqlite3_stmt *statement, int at, struct ag_bytes value)
{
    if (value.size == 0)
        sqlite3_bind_null(statement, at);
    else
        sqlite3_bind_text64(statement, at, (const char *)value.data, value.size, SQLITE_STATIC,
                            SQLITE_UTF8);
}

static inline uint64_t sql_column(sqlite3_stmt *statement, int at)
{
    return (uint64_t)sqlite3_column_int64(statement, at);
}

/* Text as well; empty for NULL. It lives until the next step. */
struct ag_bytes sql_column_bytes(sqlite3_stmt *statement, int at);

/* No data for NULL. */
struct ag_bytes sql_column_optional(sqlite3_stmt *statement, int at);

#endif
