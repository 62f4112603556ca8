/* A copy of a store while a broker writes to it.
 *
 * VACUUM INTO and not SQLite's backup in steps: that begins anew whenever another process has
 * written between two steps, so that it never ends beside a busy broker. This one is one moment of
 * the store, leaves out what was deleted, and its result needs no files beside it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/store/look_inner.h"

enum { STEPS_BETWEEN_QUESTIONS = 10000 }; /* of SQLite's machine: some milliseconds */

static int ask(void *arg)
{
    bool (*const *is_wanted)(void) = arg;

    return !(*is_wanted)();
}

static int is_there(const char *target, struct argosy_error *err)
{
    return ag_fail(err, ARGOSY_ESTATE, "%s is there already", target);
}

/* Makes it, for its user only: SQLite writes into what is there and empty. */
static int make_file(char *name, struct argosy_error *err)
{
    int fd = mkostemp(name, O_CLOEXEC);

    if (fd < 0)
        return ag_fail(err, ARGOSY_EIO, "cannot write %s: %s", name, strerror(errno));
    close(fd);
    return 0;
}

static int write_copy(look_t *self, const char *name, struct argosy_error *err)
{
    sqlite3_stmt *vacuum;
    int rc;

    if (sqlite3_exec(self->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        return look_fail(self, "read", err);
    rc = sql_prepare(self->db, "VACUUM main INTO ?", &vacuum, err);
    if (rc < 0)
        return rc;
    sqlite3_bind_text(vacuum, 1, name, -1, SQLITE_STATIC);
    if (sqlite3_step(vacuum) != SQLITE_DONE)
        rc = sqlite3_errcode(self->db) == SQLITE_INTERRUPT
                 ? ag_fail(err, ARGOSY_ESTATE, "interrupted: there is no copy")
                 : look_fail(self, "copy", err);
    sqlite3_finalize(vacuum);
    return rc;
}

/* Makes a file or directory durable; *bytes is its size. */
static int sync_file(const char *name, uint64_t *bytes, struct argosy_error *err)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC), rc = 0;
    struct stat found;

    if (fd < 0 || fstat(fd, &found) < 0 || fsync(fd) < 0)
        rc = ag_fail(err, ARGOSY_EIO, "cannot write %s: %s", name, strerror(errno));
    else if (bytes != NULL)
        *bytes = (uint64_t)found.st_size;
    if (fd >= 0)
        close(fd);
    return rc;
}

static int sync_folder(const char *target, struct argosy_error *err)
{
    const char *slash = strrchr(target, '/');
    char folder[PATH_MAX];

    if (slash == NULL)
        return sync_file(".", NULL, err);
    snprintf(folder, sizeof folder, "%.*s", slash == target ? 1 : (int)(slash - target), target);
    return sync_file(folder, NULL, err);
}

/* Never over another file, also not one that was made meanwhile. */
static int put_in_place(const char *name, const char *target, struct argosy_error *err)
{
    int rc = renameat2(AT_FDCWD, name, AT_FDCWD, target, RENAME_NOREPLACE);

    if (rc < 0 && (errno == EINVAL || errno == ENOSYS) && (rc = link(name, target)) == 0)
        unlink(name); /* a file system that cannot do it in one */
    if (rc == 0)
        return sync_folder(target, err);
    if (errno == EEXIST)
        return is_there(target, err);
    return ag_fail(err, ARGOSY_EIO, "cannot name the copy %s: %s", target, strerror(errno));
}

/* On a full disk SQLite leaves its journal, too. */
static void clean_up(const char *name)
{
    char journal[PATH_MAX + 16];

    unlink(name);
    snprintf(journal, sizeof journal, "%s-journal", name);
    unlink(journal);
}

int look_copy(look_t *self, const char *target, bool (*is_wanted)(void), uint64_t *bytes,
              struct argosy_error *err)
{
    char name[PATH_MAX];
    struct stat found;
    int rc;

    if (lstat(target, &found) == 0)
        return is_there(target, err);
    if (snprintf(name, sizeof name, "%s.XXXXXX", target) >= (int)sizeof name)
        return ag_fail(err, ARGOSY_EINVAL, "the copy's path is too long");
    rc = make_file(name, err);
    if (rc < 0)
        return rc;
    sqlite3_progress_handler(self->db, STEPS_BETWEEN_QUESTIONS, ask, &is_wanted);
    rc = write_copy(self, name, err);
    sqlite3_progress_handler(self->db, 0, NULL, NULL);
    if (rc == 0)
        rc = sync_file(name, bytes, err);
    if (rc == 0)
        rc = put_in_place(name, target, err);
    if (rc < 0)
        clean_up(name);
    return rc;
}
