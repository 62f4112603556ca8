#include "worker/fetch/warc_record.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/error.h"

enum {
    READ_SIZE = 64 * 1024, /* of a body, at once */
    FIELDS_MAX = 64 * 1024 /* bytes; two URLs are most of it */
};

struct warc_record {
    EVP_MD_CTX *block_digest, *body_digest;
    struct ag_buffer fields;
    uint8_t in[READ_SIZE];
};

int warc_record_new(warc_record_t **out, struct argosy_error *err)
{
    warc_record_t *self = calloc(1, sizeof *self);

    *out = self;
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a record");
    self->fields = ag_buffer_empty(FIELDS_MAX);
    self->block_digest = EVP_MD_CTX_new();
    self->body_digest = EVP_MD_CTX_new();
    if (self->block_digest != NULL && self->body_digest != NULL)
        return 0;
    warc_record_destroy(out);
    return ag_fail(err, ARGOSY_ENOMEM, "no memory for a digest");
}

void warc_record_destroy(warc_record_t **self_p)
{
    warc_record_t *self = *self_p;

    if (self == NULL)
        return;
    EVP_MD_CTX_free(self->block_digest);
    EVP_MD_CTX_free(self->body_digest);
    ag_buffer_free(&self->fields);
    free(self);
    *self_p = NULL;
}

uint64_t warc_block_body_size(const struct warc_block *block)
{
    return block->body.data != NULL ? block->body.size : block->fd_size;
}

/* Some of the body from `offset` on; never nothing. */
static int body_at(warc_record_t *self, const struct warc_block *block, uint64_t offset,
                   struct ag_bytes *out, struct argosy_error *err)
{
    uint64_t left = warc_block_body_size(block) - offset;
    size_t some = left < READ_SIZE ? (size_t)left : READ_SIZE;
    ssize_t done;

    if (block->body.data != NULL) {
        *out = ag_bytes_of(block->body.data + offset, some);
        return 0;
    }
    do
        done = pread(block->fd, self->in, some, (off_t)offset);
    while (done < 0 && errno == EINTR);
    if (done < 0)
        return ag_fail(err, ARGOSY_EIO, "cannot read a payload: %s", strerror(errno));
    if (done == 0)
        return ag_fail(err, ARGOSY_EIO, "a payload ends after %llu of %llu bytes",
                       (unsigned long long)offset, (unsigned long long)block->fd_size);
    *out = ag_bytes_of(self->in, (size_t)done);
    return 0;
}

int warc_record_digest(warc_record_t *self, const struct warc_block *block,
                       struct warc_digests *out, struct argosy_error *err)
{
    struct ag_bytes some;

    if (EVP_DigestInit_ex(self->block_digest, EVP_sha256(), NULL) != 1 ||
        EVP_DigestInit_ex(self->body_digest, EVP_sha256(), NULL) != 1)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a digest");
    EVP_DigestUpdate(self->block_digest, block->head.data, block->head.size);
    for (uint64_t offset = 0; offset < warc_block_body_size(block); offset += some.size) {
        int rc = body_at(self, block, offset, &some, err);

        if (rc < 0)
            return rc;
        EVP_DigestUpdate(self->block_digest, some.data, some.size);
        EVP_DigestUpdate(self->body_digest, some.data, some.size);
    }
    EVP_DigestFinal_ex(self->block_digest, out->block, NULL);
    EVP_DigestFinal_ex(self->body_digest, out->body, NULL);
    return 0;
}

void warc_record_text(warc_record_t *self, const char *name, const char *value)
{
    ag_buffer_printf(&self->fields, "%s: %s\r\n", name, value);
}

void warc_record_id(warc_record_t *self, const char *name, const struct ag_id *id)
{
    ag_buffer_printf(&self->fields, "%s: <urn:uuid:", name);
    for (size_t i = 0; i < sizeof id->bytes; i++)
        ag_buffer_printf(&self->fields, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
                         id->bytes[i]);
    ag_buffer_text(&self->fields, ">\r\n");
}

void warc_record_date(warc_record_t *self, const char *name, int64_t unix_ms)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    char text[32];
    struct tm tm;

    gmtime_r(&seconds, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    ag_buffer_printf(&self->fields, "%s: %s.%03dZ\r\n", name, text, (int)(unix_ms % 1000));
}

void warc_record_sha256(warc_record_t *self, const char *name, const uint8_t sha256[32])
{
    ag_buffer_printf(&self->fields, "%s: sha256:", name);
    for (size_t i = 0; i < 32; i++)
        ag_buffer_printf(&self->fields, "%02x", sha256[i]);
    ag_buffer_text(&self->fields, "\r\n");
}

void warc_record_begin(warc_record_t *self, const char *type, const struct ag_id *id,
                       int64_t unix_ms, const struct warc_block *block,
                       const struct warc_digests *digests)
{
    ag_buffer_clear(&self->fields);
    ag_buffer_text(&self->fields, "WARC/1.1\r\n");
    warc_record_text(self, "WARC-Type", type);
    warc_record_id(self, "WARC-Record-ID", id);
    warc_record_date(self, "WARC-Date", unix_ms);
    ag_buffer_printf(&self->fields, "Content-Length: %llu\r\n",
                     (unsigned long long)(block->head.size + warc_block_body_size(block)));
    warc_record_sha256(self, "WARC-Block-Digest", digests->block);
}

int warc_record_write(warc_record_t *self, warc_file_t *file, const struct warc_block *block,
                      struct argosy_error *err)
{
    struct ag_bytes some;
    int rc;

    ag_buffer_text(&self->fields, "\r\n");
    if (self->fields.failed)
        return ag_fail(err, ARGOSY_ETOOBIG, "the fields of a WARC record have more than %d bytes",
                       FIELDS_MAX);
    rc = warc_file_put(file, ag_buffer_bytes(&self->fields), err);
    if (rc == 0)
        rc = warc_file_put(file, block->head, err);
    for (uint64_t offset = 0; rc == 0 && offset < warc_block_body_size(block);
         offset += some.size) {
        rc = body_at(self, block, offset, &some, err);
        if (rc == 0)
            rc = warc_file_put(file, some, err);
    }
    if (rc == 0)
        rc = warc_file_put(file, ag_bytes_of("\r\n\r\n", 4), err);
    return rc == 0 ? warc_file_end(file, err) : rc;
}
