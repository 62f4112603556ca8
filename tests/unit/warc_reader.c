#include "tests/unit/warc_reader.h"

#include "tests/unit/cmocka_prelude.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

struct reading {
    struct warc_entry *entry;
    size_t text_size;
    uint64_t block_left, block_done;
    unsigned ends_seen; /* of CRLF CRLF, at the end of a head */
    size_t tail_size;
    bool in_block;
    EVP_MD_CTX *block, *payload;
};

const char *warc_field(const struct warc_entry *entry, const char *name)
{
    for (size_t i = 0; i < entry->fields_count; i++)
        if (strcasecmp(entry->names[i], name) == 0)
            return entry->values[i];
    return NULL;
}

static void read_field(struct warc_entry *entry, char *line)
{
    char *colon = strchr(line, ':');

    for (const char *at = line; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            fail_msg("a control character in '%s'", line);
    if (colon == NULL || colon == line || colon[1] != ' ' || colon[2] == '\0')
        fail_msg("'%s' is no field", line);
    *colon = '\0';
    for (const char *at = line; *at != '\0'; at++)
        if (!isalnum((unsigned char)*at) && *at != '-')
            fail_msg("'%s' is no name", line);
    if (warc_field(entry, line) != NULL)
        fail_msg("%s is there twice", line);
    assert_true(entry->fields_count < WARC_FIELDS_MAX);
    entry->names[entry->fields_count] = line;
    entry->values[entry->fields_count++] = colon + 2;
}

static void read_fields(struct reading *self)
{
    static const char *const needed[] = {"WARC-Type", "WARC-Record-ID", "WARC-Date",
                                         "Content-Length"};
    struct warc_entry *entry = self->entry;
    char *line = entry->text, *end;

    entry->text[self->text_size - 2] = '\0';
    assert_int_equal(strlen(entry->text), self->text_size - 2);
    assert_memory_equal(line, "WARC/1.1\r\n", 10);
    for (line += 10; *line != '\0'; line = end + 2) {
        end = strstr(line, "\r\n");
        assert_non_null(end);
        *end = '\0';
        read_field(entry, line);
    }
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (warc_field(entry, needed[i]) == NULL)
            fail_msg("there is no %s", needed[i]);
    self->block_left = strtoull(warc_field(entry, "Content-Length"), &end, 10);
    assert_true(*end == '\0' && isdigit((unsigned char)*warc_field(entry, "Content-Length")));
    entry->block_size = self->block_left;
    self->in_block = true;
}

static void take_block(struct reading *self, const uint8_t *data, size_t size)
{
    struct warc_entry *entry = self->entry;

    EVP_DigestUpdate(self->block, data, size);
    for (size_t i = 0; i < size && self->block_done + i < WARC_KEPT; i++)
        entry->block[self->block_done + i] = (char)data[i];
    self->block_done += size;
    for (; size > 0 && self->ends_seen < 4; data++, size--) {
        bool fits = *data == "\r\n\r\n"[self->ends_seen];

        self->ends_seen = fits ? self->ends_seen + 1 : *data == '\r';
        if (self->ends_seen == 4)
            entry->head_size = self->block_done - size + 1;
    }
    EVP_DigestUpdate(self->payload, data, size);
}

static void take(struct reading *self, const uint8_t *data, size_t size)
{
    while (size > 0) {
        size_t some = 1;

        if (!self->in_block) {
            assert_true(self->text_size < WARC_KEPT);
            self->entry->text[self->text_size++] = (char)*data;
            if (self->text_size > 4 &&
                memcmp(self->entry->text + self->text_size - 4, "\r\n\r\n", 4) == 0)
                read_fields(self);
        } else if (self->block_left > 0) {
            some = size < self->block_left ? size : (size_t)self->block_left;
            self->block_left -= some;
            take_block(self, data, some);
        } else if (self->tail_size == 4 || *data != "\r\n\r\n"[self->tail_size++]) {
            fail_msg("a record does not end after its block");
        }
        data += some;
        size -= some;
    }
}

static void print_digest(EVP_MD_CTX *context, char text[72])
{
    unsigned char digest[32];

    EVP_DigestFinal_ex(context, digest, NULL);
    strcpy(text, "sha256:");
    for (size_t i = 0; i < sizeof digest; i++)
        sprintf(text + 7 + 2 * i, "%02x", digest[i]);
}

/* What must hold of any record that is whole. */
static void check(struct reading *self)
{
    struct warc_entry *entry = self->entry;
    const char *digest = warc_field(entry, "WARC-Payload-Digest");

    assert_true(self->in_block);
    assert_int_equal(self->block_left, 0);
    assert_int_equal(self->tail_size, 4);
    print_digest(self->block, entry->block_digest);
    print_digest(self->payload, entry->payload_digest);
    assert_string_equal(warc_field(entry, "WARC-Block-Digest"), entry->block_digest);
    if (strcmp(warc_field(entry, "WARC-Type"), "response") == 0)
        assert_string_equal(digest, entry->payload_digest);
    assert_int_equal(strlen(warc_field(entry, "WARC-Record-ID")), 47);
}

static int inflate_member(FILE *file, struct reading *self)
{
    static uint8_t in[64 * 1024], out[256 * 1024];
    z_stream zip = {0};
    int rc = Z_OK;

    assert_int_equal(inflateInit2(&zip, 15 + 16), Z_OK);
    while (rc == Z_OK || rc == Z_BUF_ERROR) {
        if (zip.avail_in == 0) {
            zip.next_in = in;
            zip.avail_in = (uInt)fread(in, 1, sizeof in, file);
            if (zip.avail_in == 0)
                break;
            self->entry->length += zip.avail_in;
        }
        zip.next_out = out;
        zip.avail_out = sizeof out;
        rc = inflate(&zip, Z_NO_FLUSH);
        take(self, out, sizeof out - zip.avail_out);
    }
    self->entry->length -= zip.avail_in;
    fseeko(file, (off_t)(self->entry->offset + self->entry->length), SEEK_SET);
    inflateEnd(&zip);
    return rc;
}

enum warc_read warc_read(FILE *file, struct warc_entry *out)
{
    struct reading self = {.entry = out};
    int rc;

    memset(out, 0, sizeof *out);
    out->offset = (uint64_t)ftello(file);
    self.block = EVP_MD_CTX_new();
    self.payload = EVP_MD_CTX_new();
    EVP_DigestInit_ex(self.block, EVP_sha256(), NULL);
    EVP_DigestInit_ex(self.payload, EVP_sha256(), NULL);
    rc = inflate_member(file, &self);
    if (rc == Z_STREAM_END)
        check(&self);
    else if (rc != Z_OK && rc != Z_BUF_ERROR)
        fail_msg("the file at %llu is not gzip", (unsigned long long)out->offset);
    EVP_MD_CTX_free(self.block);
    EVP_MD_CTX_free(self.payload);
    if (rc == Z_STREAM_END)
        return WARC_READ_RECORD;
    return out->length > 0 ? WARC_READ_TORN : WARC_READ_END;
}
