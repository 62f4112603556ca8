#include "worker/analyze/archive_7z.h"

#include <lzma.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/error.h"
#include "worker/analyze/archive_7z_header.h"
#include "worker/analyze/source.h"

enum { SIGNATURE_BYTES = 32 };

/* All of it, or ARGOSY_EPROTO: the file ends before. free() *out. */
static int read_part(int fd, uint64_t offset, uint64_t size, uint8_t **out,
                     struct argosy_error *err)
{
    *out = NULL;
    if (size > SOURCE_INDEX_BYTES_MAX)
        return ag_fail(err, ARGOSY_ETOOBIG, "its 7z header is larger than is allowed");
    *out = malloc(size > 0 ? (size_t)size : 1);
    if (*out == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a 7z header");
    for (uint64_t done = 0; done < size;) {
        ssize_t got = pread(fd, *out + done, (size_t)(size - done), (off_t)(offset + done));

        if (got < 0)
            return ag_fail(err, ARGOSY_EIO, "the archive cannot be read");
        if (got == 0)
            return ag_fail(err, ARGOSY_EPROTO, "cut off: its 7z header is not there");
        done += (uint64_t)got;
    }
    return 0;
}

/* `out` has room for what the folder says it unpacks to. */
static int unpack_header(const struct archive_7z_coder *coder, struct ag_bytes in, uint8_t *out,
                         size_t size)
{
    lzma_filter filters[2] = {
        {.id = coder->id == ARCHIVE_7Z_LZMA ? LZMA_FILTER_LZMA1 : LZMA_FILTER_LZMA2},
        {.id = LZMA_VLI_UNKNOWN}};
    lzma_stream stream = LZMA_STREAM_INIT;
    lzma_ret rc;

    if (coder->id == ARCHIVE_7Z_COPY) {
        memcpy(out, in.data, in.size < size ? in.size : size);
        return in.size < size ? ARGOSY_EPROTO : 0;
    }
    if (lzma_properties_decode(&filters[0], NULL, coder->properties.data, coder->properties.size) !=
        LZMA_OK)
        return ARGOSY_EPROTO;
    rc = lzma_raw_decoder(&stream, filters);
    free(filters[0].options);
    stream.next_in = in.data;
    stream.avail_in = in.size;
    stream.next_out = out;
    stream.avail_out = size;
    while (rc == LZMA_OK && stream.avail_out > 0)
        rc = lzma_code(&stream, LZMA_RUN);
    size = stream.avail_out;
    lzma_end(&stream);
    return rc == LZMA_MEM_ERROR ? ARGOSY_ENOMEM : size > 0 ? ARGOSY_EPROTO : 0;
}

/* The header is packed: *out becomes what it unpacks to, of *size bytes; free() it. */
static int decode(int fd, struct archive_7z_header *h, uint8_t **out, size_t *size,
                  struct argosy_error *err)
{
    const struct archive_7z_folder *folder = h->folders;
    uint8_t *packed;
    int rc;

    *out = NULL;
    if (h->is_encrypted)
        return ag_fail(err, ARGOSY_EPROTO, "encrypted, with its list of files");
    if (h->folders_count != 1 || h->packed_count < 1 || folder->given != 1 ||
        (h->first.id != ARCHIVE_7Z_LZMA && h->first.id != ARCHIVE_7Z_LZMA2 &&
         h->first.id != ARCHIVE_7Z_COPY))
        return ag_fail(err, ARGOSY_EPROTO, "its 7z header is packed in a way that nobody uses");
    if (h->pack_position > INT64_MAX / 2)
        return ag_fail(err, ARGOSY_EPROTO, "damaged: its 7z header makes no sense");
    if (folder->size > SOURCE_INDEX_BYTES_MAX)
        return ag_fail(err, ARGOSY_ETOOBIG, "its 7z header is larger than is allowed");
    *size = (size_t)folder->size;
    rc = read_part(fd, SIGNATURE_BYTES + h->pack_position, h->packed[0], &packed, err);
    if (rc == 0 && (*out = malloc(*size > 0 ? *size : 1)) == NULL)
        rc = ag_fail(err, ARGOSY_ENOMEM, "no memory for a 7z header");
    if (rc == 0 &&
        (rc = unpack_header(&h->first, ag_bytes_of(packed, (size_t)h->packed[0]), *out, *size)) < 0)
        ag_fail(err, rc, "damaged: its 7z header cannot be unpacked");
    free(packed);
    return rc;
}

static int check_header(int fd, struct ag_bytes bytes, struct argosy_error *err)
{
    struct archive_7z_header h = archive_7z_header_of(bytes);
    uint8_t property = archive_7z_header_byte(&h), *decoded = NULL;
    size_t size = 0;
    int rc;

    if (property == ARCHIVE_7Z_ENCODED_HEADER) {
        archive_7z_header_streams(&h);
        rc = archive_7z_header_verdict(&h, err);
        if (rc == 0)
            rc = decode(fd, &h, &decoded, &size, err);
        archive_7z_header_fini(&h);
        if (rc < 0) {
            free(decoded);
            return rc;
        }
        h = archive_7z_header_of(ag_bytes_of(decoded, size));
        property = archive_7z_header_byte(&h);
    }
    if (property == ARCHIVE_7Z_HEADER)
        archive_7z_header_files(&h);
    else
        archive_7z_header_damaged(&h);
    rc = archive_7z_header_verdict(&h, err);
    archive_7z_header_fini(&h);
    free(decoded);
    return rc;
}

static uint64_t number_at(const uint8_t *p)
{
    uint64_t value = 0;

    for (int i = 7; i >= 0; i--)
        value = value << 8 | p[i];
    return value;
}

int archive_7z_check(int fd, uint64_t size, struct argosy_error *err)
{
    uint8_t *bytes;
    uint64_t at, header_size;
    int rc = read_part(fd, 0, SIGNATURE_BYTES, &bytes, err);

    at = rc == 0 ? number_at(bytes + 12) : 0;
    header_size = rc == 0 ? number_at(bytes + 20) : 0;
    free(bytes);
    if (rc < 0 || header_size == 0) /* 0: nothing is in it */
        return rc;
    if (at > size || header_size > size || at + header_size > size - SIGNATURE_BYTES)
        return ag_fail(err, ARGOSY_EPROTO, "cut off: its 7z header is not there");
    rc = read_part(fd, SIGNATURE_BYTES + at, header_size, &bytes, err);
    if (rc == 0)
        rc = check_header(fd, ag_bytes_of(bytes, (size_t)header_size), err);
    free(bytes);
    return rc;
}
