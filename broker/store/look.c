/* Opening a store to look at it. */
#include "broker/store/look.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/store/look_inner.h"
#include "broker/store/rows.h"

int look_fail(look_t *self, const char *doing, struct argosy_error *err)
{
    switch (sqlite3_errcode(self->db) & 0xff) {
    case SQLITE_CORRUPT:
        return ag_fail(err, ARGOSY_EPROTO, "%s is damaged: %s", self->path,
                       sqlite3_errmsg(self->db));
    case SQLITE_NOTADB:
        return ag_fail(err, ARGOSY_EINVAL, "%s is not a database of SQLite", self->path);
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY: /* its log has an index, which is a file too */
        return ag_fail(err, ARGOSY_EIO,
                       "cannot open %s: SQLite must be able to write beside it, unless a broker "
                       "has it open",
                       self->path);
    default:
        return sql_fail(self->db, doing, err);
    }
}

/* SQLite says much less. */
static int check_file(const char *path, struct argosy_error *err)
{
    struct stat found;

    if (stat(path, &found) < 0 && errno == ENOENT)
        return ag_fail(err, ARGOSY_ENOTFOUND, "there is no store at %s", path);
    if (stat(path, &found) < 0 || (S_ISREG(found.st_mode) && access(path, R_OK) < 0))
        return ag_fail(err, ARGOSY_EIO, "cannot read %s: %s", path, strerror(errno));
    if (!S_ISREG(found.st_mode))
        return ag_fail(err, ARGOSY_EINVAL, "%s is not a file", path);
    return 0;
}

static int check_store(look_t *self, struct argosy_error *err)
{
    uint64_t tables;
    int rc;

    if (sql_number(self->db, "SELECT count(*) FROM sqlite_schema", &tables, NULL) < 0)
        return look_fail(self, "read", err);
    if (tables == 0)
        return ag_fail(err, ARGOSY_EINVAL, "%s is empty: no broker has begun a store there",
                       self->path);
    rc = tables_check_format(self->db, self->path, err);
    return rc < 0 && sqlite3_errcode(self->db) == SQLITE_CORRUPT ? look_fail(self, "read", err)
                                                                 : rc;
}

/* Names in `temp` go before those of the database: load.c reads these views and does not know. */
static const char *const hide_the_forgotten =
    "CREATE TEMP VIEW batch AS SELECT * FROM main.batch WHERE forgotten IS NULL;"
    "CREATE TEMP VIEW job AS SELECT * FROM main.job WHERE batch IS NULL OR batch NOT IN"
    " (SELECT number FROM main.batch WHERE forgotten IS NOT NULL)";

/* Sorting goes to files when it is too large; the first read is the moment that is seen. */
static const char *const begin_to_look = "PRAGMA cache_size = -16384;"
                                         "PRAGMA temp_store = FILE; BEGIN";

static int run(look_t *self, const char *sql, struct argosy_error *err)
{
    return sqlite3_exec(self->db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : look_fail(self, "read", err);
}

static int begin(look_t *self, struct argosy_error *err)
{
    int rc;

    if (sqlite3_open_v2(self->path, &self->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK)
        return self->db != NULL ? look_fail(self, "open", err)
                                : ag_fail(err, ARGOSY_ENOMEM, "no memory for SQLite");
    sqlite3_busy_timeout(self->db, 5000); /* a broker that starts or stops has it for itself */
    rc = run(self, begin_to_look, err);
    if (rc == 0)
        rc = check_store(self, err);
    return rc < 0 ? rc : run(self, hide_the_forgotten, err);
}

int look_open(look_t **out, const char *path, struct argosy_error *err)
{
    look_t *self;
    int rc = check_file(path, err);

    *out = NULL;
    if (rc < 0)
        return rc;
    self = calloc(1, sizeof *self);
    if (self == NULL || (self->path = strdup(path)) == NULL) {
        free(self);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a look at the store");
    }
    rc = begin(self, err);
    if (rc < 0)
        look_close(&self);
    *out = self;
    return rc;
}

void look_close(look_t **self_p)
{
    look_t *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    sqlite3_close(self->db);
    free(self->path);
    free(self);
}
