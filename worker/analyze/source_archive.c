/* An archive in a file, read as a stream. libarchive takes the format apart; what it must not be
 * trusted with stands around it: the packing of a tar (unpack.c), how much it may read at once
 * (give()), a 7z header (archive_7z.c), names, links and counts. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/error.h"
#include "common/list.h"
#include "worker/analyze/archive_7z.h"
#include "worker/analyze/archive_kind.h"
#include "worker/analyze/archive_name.h"
#include "worker/analyze/source_path.h"
#include "worker/analyze/unpack.h"

enum {
    BLOCK_BYTES = 64 << 10, /* read from the file at once */
    ZIP_SIGNATURE_BYTES = 4
};

struct source_archive {
    struct source source;
    struct source_options options;
    char *path;
    int fd;
    uint64_t size, offset, consumed; /* bytes of the file; consumed ones may be so several times */
    enum archive_kind kind;
    locale_t locale; /* libarchive converts names to that of the thread */
    struct archive *archive;
    unpack_t *unpack;      /* NULL: the file is the archive itself */
    const uint8_t *looked; /* the first piece, once unpacked to look at it; not given yet */
    size_t looked_size;
    struct archive_entry *entry; /* the one that libarchive stands at; NULL: none */
    int first;                   /* what it said about the first one, ARCHIVE_* */
    uint64_t entries, unpacked, given;
    int64_t header_bytes; /* that the header in hand may still take; INT64_MAX outside of headers */
    uint64_t index_signs; /* of entries, in a zip's directory */
    struct argosy_error broken; /* why give() would not go on; code 0: nothing */
    char relative[SOURCE_PATH_MAX];
    uint8_t block[BLOCK_BYTES];
};

static bool is_stopped(const struct source_archive *self)
{
    return self->options.stop != NULL && atomic_load(self->options.stop) != 0;
}

/* ---- bytes
 * ------------------------------------------------------------------------------------------ */

static uint64_t done_bytes(const struct source_archive *self)
{
    return self->consumed < self->size ? self->consumed : self->size;
}

/* Also between two pieces that need no more of the file: a block may unpack to very many. */
static int check_stop(struct source_archive *self)
{
    if (self->broken.code == 0 && is_stopped(self))
        ag_fail(&self->broken, ARGOSY_ESTATE, "stopped");
    return self->broken.code;
}

static ssize_t read_block(void *arg, const uint8_t **data, struct argosy_error *err)
{
    struct source_archive *self = arg;
    ssize_t got;

    if (is_stopped(self))
        return ag_fail(err, ARGOSY_ESTATE, "stopped");
    do
        got = pread(self->fd, self->block, sizeof self->block, (off_t)self->offset);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return ag_fail(err, ARGOSY_EIO, "%s", strerror(errno));
    self->offset += (uint64_t)got;
    self->consumed += (uint64_t)got;
    *data = self->block;
    return got;
}

/* Many small files become large ones too, when a hole or an overlap is told of again and again. */
static int check_ratio(struct source_archive *self)
{
    uint64_t most = self->unpacked > self->given ? self->unpacked : self->given;

    if (most <= SOURCE_RATIO_FREE_BYTES ||
        (most - SOURCE_RATIO_FREE_BYTES) / SOURCE_RATIO_MAX <= done_bytes(self))
        return 0;
    return ag_fail(&self->broken, ARGOSY_ETOOBIG, "it unpacks to more than %d times its size",
                   SOURCE_RATIO_MAX);
}

/* libarchive keeps all of a zip's directory in memory: some 160 bytes for each entry. */
static int check_index(struct source_archive *self, const uint8_t *data, size_t size)
{
    static const char sign[] = "PK\1\2";
    const uint8_t *end = data + size;

    while ((data = memmem(data, (size_t)(end - data), sign, ZIP_SIGNATURE_BYTES)) != NULL) {
        data += ZIP_SIGNATURE_BYTES;
        if (++self->index_signs > SOURCE_ENTRIES_MAX)
            return ag_fail(&self->broken, ARGOSY_ETOOBIG, "more than %d entries",
                           SOURCE_ENTRIES_MAX);
    }
    return 0;
}

static ssize_t next_piece(struct source_archive *self, const uint8_t **data)
{
    ssize_t got;

    if (self->unpack == NULL)
        return read_block(self, data, &self->broken);
    if (self->looked_size > 0) {
        *data = self->looked;
        got = (ssize_t)self->looked_size;
        self->looked_size = 0;
        return got;
    }
    got = unpack_read(self->unpack, data, &self->broken);
    if (got > 0)
        self->unpacked += (uint64_t)got;
    return got;
}

/* All that libarchive reads comes through here. */
static la_ssize_t give(struct archive *archive, void *client, const void **out)
{
    struct source_archive *self = client;
    const uint8_t *data = NULL;
    ssize_t got = check_stop(self) < 0 ? self->broken.code : next_piece(self, &data);
    int rc = got < 0 ? (int)got : check_ratio(self);

    if (rc == 0 && self->header_bytes != INT64_MAX) {
        self->header_bytes -= got;
        if (self->header_bytes < 0)
            rc = ag_fail(&self->broken, ARGOSY_ETOOBIG,
                         "what describes its entries is larger than is allowed");
        else if (self->kind == ARCHIVE_ZIP && got > 0)
            rc = check_index(self, data, (size_t)got);
    }
    if (rc < 0) {
        archive_set_error(archive, EIO, "%s", self->broken.message);
        return ARCHIVE_FATAL;
    }
    *out = data;
    return got;
}

static la_int64_t skip(struct archive *archive, void *client, la_int64_t request)
{
    struct source_archive *self = client;
    uint64_t left = self->offset < self->size ? self->size - self->offset : 0;
    uint64_t step = (uint64_t)request < left ? (uint64_t)request : left;

    (void)archive;
    self->offset += step;
    self->consumed += step;
    return (la_int64_t)step;
}

static la_int64_t seek(struct archive *archive, void *client, la_int64_t offset, int whence)
{
    struct source_archive *self = client;
    int64_t base = whence == SEEK_END   ? (int64_t)self->size
                   : whence == SEEK_CUR ? (int64_t)self->offset
                                        : 0;

    (void)archive;
    if (offset < -base || offset > INT64_MAX - base)
        return ARCHIVE_FATAL;
    self->offset = (uint64_t)(base + offset);
    return base + offset;
}

/* ---- libarchive
 * -------------------------------------------------------------------------------------- */

/* What has gone wrong, in *err; the code. */
static int failure(const struct source_archive *self, struct argosy_error *err)
{
    const char *text = self->archive != NULL ? archive_error_string(self->archive) : NULL;

    if (self->broken.code != 0)
        return ag_fail(err, self->broken.code, "%s", self->broken.message);
    if (self->archive == NULL || archive_errno(self->archive) == ENOMEM)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for an archive");
    return ag_fail(err, ARGOSY_EPROTO, "%s", text != NULL ? text : "damaged");
}

/* Only what is named here: no filters, and so no programs that libarchive would start. */
static int support(struct source_archive *self)
{
    struct archive *archive = self->archive;

    switch (self->kind) {
    case ARCHIVE_TAR:
        return archive_read_support_format_tar(archive);
    case ARCHIVE_ZIP:
        return archive_read_support_format_zip_seekable(archive);
    case ARCHIVE_ZIP_TORN:
        return archive_read_support_format_zip_streamable(archive);
    case ARCHIVE_7Z:
        return archive_read_support_format_7zip(archive);
    case ARCHIVE_NONE:
        break;
    }
    return ARCHIVE_FATAL;
}

/* ARCHIVE_OK also for an entry with a warning. */
static int next_entry(struct source_archive *self)
{
    bool has_index = self->entries == 0 && self->kind == ARCHIVE_ZIP;
    int rc;

    if (has_index)
        self->index_signs = 0;
    self->header_bytes = self->kind == ARCHIVE_7Z ? INT64_MAX /* archive_7z.c has been there */
                         : has_index              ? SOURCE_INDEX_BYTES_MAX
                                                  : SOURCE_HEADER_BYTES_MAX;
    rc = archive_read_next_header(self->archive, &self->entry);
    self->header_bytes = INT64_MAX;
    if (rc != ARCHIVE_EOF)
        self->entries++;
    if (rc == ARCHIVE_WARN)
        rc = ARCHIVE_OK;
    if (rc != ARCHIVE_OK)
        self->entry = NULL;
    return rc;
}

/* Up to and with the first entry; ARCHIVE_*. */
static int open_as(struct source_archive *self, enum archive_kind kind)
{
    int rc;

    archive_read_free(self->archive);
    self->archive = archive_read_new();
    self->kind = kind;
    self->offset = self->unpack != NULL ? self->offset : 0; /* look() has begun to unpack */
    self->entries = 0;
    if (self->archive == NULL || support(self) != ARCHIVE_OK)
        return ARCHIVE_FATAL;
    archive_read_support_filter_none(self->archive);
    archive_read_set_read_callback(self->archive, give);
    archive_read_set_callback_data(self->archive, self);
    if (self->unpack == NULL)
        archive_read_set_skip_callback(self->archive, skip);
    if (kind == ARCHIVE_ZIP || kind == ARCHIVE_7Z)
        archive_read_set_seek_callback(self->archive, seek);
    self->header_bytes = SOURCE_INDEX_BYTES_MAX; /* the bidding looks around */
    rc = archive_read_open1(self->archive);
    return rc == ARCHIVE_OK ? next_entry(self) : rc;
}

/* Decoders of zip whose memory has no bound are told from others only by the name that libarchive
 * gives to them. */
static bool is_unpackable(const struct source_archive *self)
{
    const char *name = archive_format_name(self->archive);

    return self->kind == ARCHIVE_TAR || self->kind == ARCHIVE_7Z || name == NULL ||
           strstr(name, "(uncompressed)") != NULL || strstr(name, "(deflation)") != NULL ||
           strstr(name, "(bzip)") != NULL;
}

/* To the end of the entry in hand. In a 7z, and in a zip without its directory, that takes
 * unpacking, and libarchive would do so without asking anybody. */
static int leave_entry(struct source_archive *self)
{
    const void *data;
    size_t size;
    la_int64_t offset;
    int rc;

    self->entry = NULL;
    if (self->broken.code != 0)
        return ARCHIVE_FATAL;
    if (self->kind == ARCHIVE_TAR || self->kind == ARCHIVE_ZIP)
        return archive_read_data_skip(self->archive);
    if (!is_unpackable(self)) {
        archive_set_error(self->archive, EIO, "an entry is packed in a way that is not supported");
        return ARCHIVE_FATAL;
    }
    while ((rc = archive_read_data_block(self->archive, &data, &size, &offset)) == ARCHIVE_OK) {
        self->given += size;
        if (check_stop(self) < 0 || check_ratio(self) < 0)
            return ARCHIVE_FATAL;
    }
    return rc == ARCHIVE_EOF ? ARCHIVE_OK : rc;
}

/* ---- one entry
 * -------------------------------------------------------------------------------------- */

/* A sparse file's last hole is not given. A tar that is cut off has failed before. */
static int fill_hole(struct source_archive *self, struct ag_buffer *out, uint64_t size,
                     struct argosy_error *err)
{
    size_t left = (size_t)size - out->size;
    uint8_t *room;

    if (size > SOURCE_FILE_BYTES_MAX)
        return ag_fail(err, ARGOSY_ETOOBIG, "larger than %d bytes", SOURCE_FILE_BYTES_MAX);
    room = ag_buffer_reserve(out, left);
    if (room == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a file");
    self->given += left;
    if (check_ratio(self) < 0)
        return failure(self, err);
    memset(room, 0, left);
    out->size += left;
    return 0;
}

static int read_entry(const struct source_file *file, struct ag_buffer *out,
                      struct argosy_error *err)
{
    struct source_archive *self = file->data;

    ag_buffer_clear(out);
    if (archive_entry_is_encrypted(self->entry))
        return ag_fail(err, ARGOSY_EPROTO, "encrypted");
    if (!is_unpackable(self))
        return ag_fail(err, ARGOSY_EPROTO, "packed in a way that is not supported: %s",
                       archive_format_name(self->archive));
    for (;;) {
        uint8_t *room = ag_buffer_reserve(out, SOURCE_READ_BYTES);
        la_ssize_t got;

        if (room == NULL)
            return ag_fail(err, ARGOSY_ENOMEM, "no memory for a file");
        if (check_stop(self) < 0)
            return failure(self, err);
        got = archive_read_data(self->archive, room, SOURCE_READ_BYTES);
        if (got < 0)
            return failure(self, err);
        if (got == 0)
            break;
        out->size += (size_t)got;
        self->given += (uint64_t)got;
        if (check_ratio(self) < 0)
            return failure(self, err);
        if (out->size > SOURCE_FILE_BYTES_MAX)
            return ag_fail(err, ARGOSY_ETOOBIG, "larger than %d bytes", SOURCE_FILE_BYTES_MAX);
    }
    if (self->kind == ARCHIVE_TAR && out->size < file->size)
        return fill_hole(self, out, file->size, err);
    if (archive_entry_size_is_set(self->entry) && out->size != file->size)
        return ag_fail(err, ARGOSY_EPROTO, "damaged: %zu bytes instead of %llu", out->size,
                       (unsigned long long)file->size);
    return 0;
}

static int tell(const struct source_archive *self, const struct source_visitor *visitor,
                const char *path, const struct argosy_error *err)
{
    if (err->code == ARGOSY_ESTATE || err->code == ARGOSY_ENOMEM)
        return err->code;
    return visitor->trouble(visitor->arg, path != NULL ? path : self->path, err);
}

static int visit(struct source_archive *self, const struct source_visitor *visitor)
{
    struct archive_entry *entry = self->entry;
    const char *name = archive_entry_pathname(entry), *slash;
    struct argosy_error err = {0};
    struct source_file file = {.path = self->relative, .read = read_entry, .data = self};
    enum source_place place;
    int rc;

    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) != NULL)
        return 0;
    if (name == NULL)
        name = archive_entry_pathname_utf8(entry);
    rc = archive_name(name, self->relative, &err);
    if (rc < 0)
        return tell(self, visitor, self->relative[0] != '\0' ? self->relative : NULL, &err);
    place = source_place_of(&self->options, self->relative);
    if (self->relative[0] == '\0' || place == SOURCE_LEFT_OUT)
        return 0;
    slash = strrchr(self->relative, '/');
    file.name = slash != NULL ? slash + 1 : self->relative;
    file.is_vendored = place == SOURCE_VENDORED;
    if (archive_entry_size_is_set(entry))
        file.size = (uint64_t)archive_entry_size(entry);
    return visitor->file(visitor->arg, &file);
}

/* ---- all of them
 * -------------------------------------------------------------------------------------- */

/* What follows a tar's end: padding, and the checksum of its packing. */
static int finish(struct source_archive *self, const struct source_visitor *visitor)
{
    struct argosy_error err = {0};
    const uint8_t *data;
    ssize_t got = 0;

    while (self->unpack != NULL && check_stop(self) == 0 && (got = next_piece(self, &data)) > 0)
        check_ratio(self);
    if (self->broken.code == 0)
        return 0;
    failure(self, &err);
    return tell(self, visitor, NULL, &err);
}

static int tell_torn(struct source_archive *self, const struct source_visitor *visitor)
{
    struct argosy_error err = {0};

    if (self->kind != ARCHIVE_ZIP_TORN)
        return 0;
    ag_fail(&err, ARGOSY_EPROTO, "cut off or damaged: the directory at its end is missing");
    return tell(self, visitor, NULL, &err);
}

static int tell_damage(struct source_archive *self, const struct source_visitor *visitor,
                       bool is_the_end)
{
    struct argosy_error err = {0}, more = {0};

    failure(self, &err);
    ag_fail(&more, err.code, "%.200s%s", err.message,
            is_the_end ? "; what is behind it is not counted" : "");
    return tell(self, visitor, NULL, &more);
}

static int walk(struct source_archive *self, const struct source_visitor *visitor)
{
    struct argosy_error err = {0};
    bool was_damaged = false;
    int rc = self->first, told = tell_torn(self, visitor);

    for (; told == 0; rc = next_entry(self)) {
        if (is_stopped(self))
            return ARGOSY_ESTATE;
        if (rc == ARCHIVE_EOF)
            return finish(self, visitor);
        if (self->entries > SOURCE_ENTRIES_MAX) {
            ag_fail(&err, ARGOSY_ETOOBIG, "more than %d entries; the others are not counted",
                    SOURCE_ENTRIES_MAX);
            return tell(self, visitor, NULL, &err);
        }
        if (rc == ARCHIVE_OK) {
            told = visit(self, visitor);
            if (told != 0)
                return told;
            rc = leave_entry(self);
            was_damaged &= rc != ARCHIVE_OK;
        }
        if (rc == ARCHIVE_FATAL)
            return tell_damage(self, visitor, true);
        if (rc != ARCHIVE_OK && !was_damaged) /* what is damaged in a row is one damage */
            told = tell_damage(self, visitor, false);
        was_damaged = rc != ARCHIVE_OK;
    }
    return told;
}

static int each(struct source *source, const struct source_visitor *visitor)
{
    struct source_archive *self = AG_OWNER(source, struct source_archive, source);
    locale_t before = uselocale(self->locale);
    int rc = walk(self, visitor);

    uselocale(before);
    return rc;
}

static void progress(const struct source *source, uint64_t *done, uint64_t *total)
{
    const struct source_archive *self = AG_OWNER(source, const struct source_archive, source);

    *done = done_bytes(self);
    *total = self->size;
    if (*done > 0 && *done == *total)
        --*done; /* what was read last is still at work */
}

static void destroy(struct source **source_p)
{
    struct source_archive *self = AG_OWNER(*source_p, struct source_archive, source);

    archive_read_free(self->archive); /* may still call give() */
    unpack_destroy(&self->unpack);
    if (self->locale != LC_GLOBAL_LOCALE)
        freelocale(self->locale);
    if (self->fd >= 0)
        close(self->fd);
    free(self->path);
    free(self);
    *source_p = NULL;
}

/* ---- is it one?
 * -------------------------------------------------------------------------------------- */

/* Sets self->kind; what is packed is unpacked a bit to see whether it is a tar. */
static int look(struct source_archive *self, struct argosy_error *err)
{
    uint8_t block[ARCHIVE_FIRST_BYTES];
    ssize_t got = pread(self->fd, block, sizeof block, 0);
    struct ag_bytes first = ag_bytes_of(block, got > 0 ? (size_t)got : 0);
    enum unpack_kind packing = unpack_kind_of(first);
    int rc;

    if (packing == UNPACK_NONE) {
        self->kind = archive_kind_of(first);
        return 0;
    }
    rc = unpack_new(&self->unpack, packing, read_block, self, err);
    if (rc < 0)
        return rc;
    got = unpack_read(self->unpack, &self->looked, err);
    if (got < 0)
        return (int)got;
    self->looked_size = (size_t)got;
    self->unpacked = (uint64_t)got;
    if (archive_kind_of(ag_bytes_of(self->looked, self->looked_size)) == ARCHIVE_TAR)
        self->kind = ARCHIVE_TAR;
    return 0;
}

static int open_archive(struct source_archive *self, struct argosy_error *err)
{
    locale_t before = uselocale(self->locale);
    enum archive_kind kind = self->kind;
    int rc = kind == ARCHIVE_7Z ? archive_7z_check(self->fd, self->size, err) : 0;

    if (rc == 0) {
        self->first = open_as(self, kind);
        if (self->first == ARCHIVE_FATAL && kind == ARCHIVE_ZIP && self->broken.code == 0)
            self->first = open_as(self, ARCHIVE_ZIP_TORN);
        if (self->first == ARCHIVE_FATAL)
            rc = failure(self, err);
    }
    uselocale(before);
    return rc;
}

int source_archive_new(struct source **out, const char *path, const struct source_options *options,
                       struct argosy_error *err)
{
    /* Without O_NONBLOCK a fifo that took the file's place would hold the thread for ever. */
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct source_archive *self;
    struct source *source;
    struct stat is;
    int rc;

    *out = NULL;
    if (fd < 0 || fstat(fd, &is) < 0 || !S_ISREG(is.st_mode)) {
        if (fd >= 0)
            close(fd);
        return 0; /* the directory's source has the words for it */
    }
    self = calloc(1, sizeof *self);
    if (self == NULL || (self->path = strdup(path)) == NULL) {
        free(self);
        close(fd);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a source");
    }
    self->source =
        (struct source){.is_stream = true, .each = each, .progress = progress, .destroy = destroy};
    self->options = *options;
    self->fd = fd;
    self->size = (uint64_t)is.st_size;
    self->header_bytes = INT64_MAX;
    self->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (self->locale == (locale_t)0)
        self->locale = LC_GLOBAL_LOCALE; /* the process's own will do for most names */
    rc = look(self, err);
    if (rc == 0 && self->kind != ARCHIVE_NONE)
        rc = open_archive(self, err);
    source = &self->source;
    if (rc < 0 || self->kind == ARCHIVE_NONE)
        destroy(&source);
    else
        *out = source;
    return rc;
}
