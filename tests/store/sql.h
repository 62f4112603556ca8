/* sql.h - the little that the tests of the disk say to SQLite. */
#ifndef TESTS_STORE_SQL_H
#define TESTS_STORE_SQL_H

#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The result code of SQLite with all that it knows of the reason. */
static inline int run_sql(sqlite3 *db, const char *sql)
{
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? code : sqlite3_extended_errcode(db);
}

/* The number that is the first answer; -1 if there is none, whatever the reason. */
static inline int64_t ask_number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *query = NULL;
    int64_t answer = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &query, NULL) == SQLITE_OK &&
        sqlite3_step(query) == SQLITE_ROW)
        answer = sqlite3_column_int64(query, 0);
    sqlite3_finalize(query);
    return answer;
}

/* NULL if the database is sound, else what is wrong, in `room` bytes. */
static inline const char *find_damage(sqlite3 *db, char *text, size_t room)
{
    sqlite3_stmt *query = NULL;
    const char *answer = NULL;

    if (sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &query, NULL) == SQLITE_OK &&
        sqlite3_step(query) == SQLITE_ROW)
        answer = (const char *)sqlite3_column_text(query, 0);
    snprintf(text, room, "%s", answer != NULL ? answer : sqlite3_errmsg(db));
    sqlite3_finalize(query);
    return strcmp(text, "ok") == 0 ? NULL : text;
}

#endif
