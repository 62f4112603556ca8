#include "worker/fetch/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/entropy.h"
#include "common/error.h"
#include "worker/fetch/below.h"

struct output {
    int folder, file;
    char *path;    /* as it was asked for, then as it is */
    char *name;    /* the last part; inside path */
    char part[40]; /* the hidden file's name */
    char mark[40]; /* of the file beside it that says what the part is of; "" none */
    bool is_marked;
    bool is_committed;
};

enum { MARK_BYTES_MAX = 1024, BOOT_ID_SIZE = 37 };

static const char placeholder[] = "{sha256}";

static int cannot(const output_t *self, const char *what, struct argosy_error *err)
{
    return ag_fail(err, ARGOSY_EIO, "cannot %s %s: %s", what, self->path, strerror(errno));
}

static int open_part(output_t *self, struct argosy_error *err)
{
    uint64_t random;
    int rc = ag_entropy(&random, sizeof random, err);

    if (rc < 0)
        return rc;
    snprintf(self->part, sizeof self->part, ".argosy-%016llx", (unsigned long long)random);
    self->file = openat(self->folder, self->part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return self->file < 0 ? cannot(self, "write beside", err) : 0;
}

/* While we waited for the lock, who had it may have given the file its name, or removed it. */
static bool is_still_the_part(const output_t *self)
{
    struct stat here, there;

    return fstat(self->file, &here) == 0 &&
           fstatat(self->folder, self->part, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           here.st_ino == there.st_ino && here.st_dev == there.st_dev;
}

/* A name that the next attempt at the same thing finds again. Somebody who is at it just now keeps
 * it to himself: then this one begins from nothing, under a name of its own. */
static int open_known_part(output_t *self, const char *key, struct argosy_error *err)
{
    uint8_t digest[32];
    char hex[17];

    if (EVP_Digest(key, strlen(key), digest, NULL, EVP_sha256(), NULL) != 1)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a digest");
    ag_hex_print(digest, 8, hex);
    snprintf(self->part, sizeof self->part, ".argosy-%s.part", hex);
    snprintf(self->mark, sizeof self->mark, ".argosy-%s.from", hex);
    self->file = openat(self->folder, self->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (self->file < 0)
        return cannot(self, "write beside", err);
    if (flock(self->file, LOCK_EX | LOCK_NB) == 0 && is_still_the_part(self))
        return 0;
    close(self->file);
    self->file = -1;
    self->part[0] = self->mark[0] = '\0'; /* they are not ours to remove */
    return open_part(self, err);
}

int output_check(const char *path, const char *const *roots, size_t roots_count,
                 struct argosy_error *err)
{
    const char *brace = strstr(path, placeholder);
    int rc = below_check(path, roots, roots_count, err);

    if (rc == 0 && brace != NULL && strchr(brace, '/') != NULL)
        return ag_fail(err, ARGOSY_EINVAL, "%s may have {sha256} only in its last part", path);
    return rc;
}

int output_new(output_t **out, const char *path, const char *const *roots, size_t roots_count,
               const char *resume_key, struct argosy_error *err)
{
    output_t *self;
    int rc = output_check(path, roots, roots_count, err);

    *out = NULL;
    if (rc < 0)
        return rc;
    self = calloc(1, sizeof *self);
    if (self == NULL || (self->path = below_clean(path)) == NULL) {
        free(self);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a path");
    }
    self->folder = self->file = -1;
    self->name = strrchr(self->path, '/') + 1;
    rc = below_open_folder(&self->folder, path, roots, roots_count, err);
    if (rc == 0)
        rc = resume_key != NULL ? open_known_part(self, resume_key, err) : open_part(self, err);
    if (rc < 0)
        output_destroy(&self);
    *out = self;
    return rc;
}

int output_write(output_t *self, const void *data, size_t size, struct argosy_error *err)
{
    const char *at = data;

    while (size > 0) {
        ssize_t done = write(self->file, at, size);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return cannot(self, "write", err);
        at += done;
        size -= (size_t)done;
    }
    return 0;
}

/* ---- going on where an attempt has ended
 * --------------------------------------------------------------- */

/* What was written before the machine went down may not all be there: only a part of this very
 * boot is believed. */
static void read_boot_id(char out[BOOT_ID_SIZE])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, out, BOOT_ID_SIZE - 1) : 0;

    out[size > 0 ? size : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

/* The mark is two lines: the boot, the validator. */
static void read_mark(const output_t *self, char *validator, size_t size)
{
    char text[MARK_BYTES_MAX + 1], boot[BOOT_ID_SIZE], *line, *end;
    int fd = openat(self->folder, self->mark, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t got = fd >= 0 ? read(fd, text, MARK_BYTES_MAX) : 0;

    validator[0] = '\0';
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = '\0';
    read_boot_id(boot);
    line = strchr(text, '\n');
    end = line != NULL ? strchr(line + 1, '\n') : NULL;
    if (end == NULL || boot[0] == '\0')
        return;
    *line = *end = '\0';
    if (strcmp(text, boot) == 0 && (size_t)(end - line - 1) < size)
        strcpy(validator, line + 1);
}

static int write_mark(output_t *self, const char *validator, struct argosy_error *err)
{
    char text[MARK_BYTES_MAX], boot[BOOT_ID_SIZE];
    int fd, size;
    bool ok;

    read_boot_id(boot);
    size = snprintf(text, sizeof text, "%s\n%s\n", boot, validator);
    fd = openat(self->folder, self->mark, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                0666);
    ok = fd >= 0 && size < (int)sizeof text && write(fd, text, (size_t)size) == size;
    if (fd >= 0)
        close(fd);
    self->is_marked = ok;
    return ok ? 0 : cannot(self, "write beside", err);
}

int output_find(output_t *self, EVP_MD_CTX *digest, uint64_t *size, char *validator,
                size_t validator_size, struct argosy_error *err)
{
    enum { CHUNK = 256 << 10 };
    uint8_t *chunk;
    ssize_t got = 0;

    *size = 0;
    validator[0] = '\0';
    if (self->mark[0] != '\0')
        read_mark(self, validator, validator_size);
    if (validator[0] == '\0')
        return output_restart(self, "", err);
    chunk = malloc(CHUNK);
    if (chunk == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory to read %s", self->path);
    while ((got = read(self->file, chunk, CHUNK)) > 0 || (got < 0 && errno == EINTR)) {
        if (got < 0)
            continue;
        EVP_DigestUpdate(digest, chunk, (size_t)got);
        *size += (uint64_t)got;
    }
    free(chunk);
    self->is_marked = true;
    return got < 0 ? cannot(self, "read what is there of", err) : 0;
}

int output_restart(output_t *self, const char *validator, struct argosy_error *err)
{
    if (lseek(self->file, 0, SEEK_SET) < 0 || ftruncate(self->file, 0) < 0)
        return cannot(self, "write", err);
    self->is_marked = false;
    if (self->mark[0] == '\0')
        return 0;
    if (validator[0] != '\0')
        return write_mark(self, validator, err);
    unlinkat(self->folder, self->mark, 0);
    return 0;
}

void output_discard(output_t *self)
{
    self->is_marked = false;
}

/* ---- its name
 * ------------------------------------------------------------------------------------------ */

int output_fd(const output_t *self)
{
    return self->file;
}

const char *output_path(const output_t *self)
{
    return self->path;
}

static int put_digest(output_t *self, const char *sha256, struct argosy_error *err)
{
    char *brace = strstr(self->name, placeholder);
    char *path;

    if (brace == NULL)
        return 0;
    if (asprintf(&path, "%.*s%s%s", (int)(brace - self->path), self->path, sha256,
                 brace + sizeof placeholder - 1) < 0)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a path");
    free(self->path);
    self->path = path;
    self->name = strrchr(path, '/') + 1;
    return 0;
}

int output_commit(output_t *self, const char *sha256, const char **path, struct argosy_error *err)
{
    int rc = put_digest(self, sha256, err), copy;

    if (rc < 0)
        return rc;
    /* Some file systems tell only now what could not be written. Ours stays open: with it goes the
     * lock, and whoever gets that before the part has its name would write to it. */
    copy = dup(self->file);
    if (copy < 0 || close(copy) < 0)
        return cannot(self, "write", err);
    if (renameat(self->folder, self->part, self->folder, self->name) < 0)
        return cannot(self, "name", err);
    self->is_committed = true;
    if (self->mark[0] != '\0')
        unlinkat(self->folder, self->mark, 0);
    close(self->file);
    self->file = -1;
    *path = self->path;
    return 0;
}

void output_destroy(output_t **self_p)
{
    output_t *self = *self_p;

    if (self == NULL)
        return;
    if (self->folder >= 0 && self->part[0] != '\0' && !self->is_committed && !self->is_marked) {
        unlinkat(self->folder, self->part, 0);
        if (self->mark[0] != '\0')
            unlinkat(self->folder, self->mark, 0);
    }
    if (self->file >= 0)
        close(self->file); /* last: the lock goes with it */
    if (self->folder >= 0)
        close(self->folder);
    free(self->path);
    free(self);
    *self_p = NULL;
}
