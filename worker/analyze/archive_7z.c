#include "worker/analyze/archive_7z.h"

#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/error.h"
#include "worker/analyze/source.h"

/* The format is described in 7zFormat.txt of the LZMA SDK, whose names these are. */
enum property {
    END = 0,
    HEADER = 1,
    MAIN_STREAMS_INFO = 4,
    FILES_INFO = 5,
    PACK_INFO = 6,
    UNPACK_INFO = 7,
    SUB_STREAMS_INFO = 8,
    SIZE = 9,
    CRC = 10,
    FOLDER = 11,
    CODERS_UNPACK_SIZE = 12,
    NUM_UNPACK_STREAM = 13,
    EMPTY_STREAM = 14,
    EMPTY_FILE = 15,
    ANTI = 16,
    CREATION_TIME = 18,
    ACCESS_TIME = 19,
    WRITE_TIME = 20,
    WIN_ATTRIBUTES = 21,
    ENCODED_HEADER = 23
};

enum {
    FOLDERS_MAX = 256 << 10, /* 7z makes one for each file when it is told to; libarchive needs some
                                400 bytes for each */
    CODERS_MAX = 4,          /* libarchive's own limit */
    CODER_STREAMS_MAX = 8,   /* BCJ2 has five */
    BCJ2_BYTES_MAX = 64 << 20, /* of its side streams, which libarchive keeps in memory */
    LINK_BYTES_MAX = 64 << 10, /* of a link's target, the same */
    SIGNATURE_BYTES = 32
};

enum { LZMA = 0x030101, LZMA2 = 0x21, PPMD = 0x030401, BCJ2 = 0x0303011b, AES = 0x06f10701 };

struct coder {
    uint64_t id;
    struct ag_bytes properties;
};

struct folder {
    uint64_t size; /* unpacked */
    uint64_t files;
    uint32_t packed; /* streams that it is made from */
    uint32_t given;  /* streams that its coders give */
    uint32_t last;   /* which of these is the folder's */
    bool has_digest, has_bcj2;
};

struct header {
    const uint8_t *at, *end;
    bool is_damaged, is_large;
    uint64_t pack_position;
    uint64_t *packed; /* sizes */
    size_t packed_count;
    struct folder *folders;
    size_t folders_count;
    struct coder first; /* the only coder of the first folder */
    bool is_encrypted;
    uint64_t *files; /* sizes of those that have content */
    size_t files_count;
    bool has_no_memory;
};

/* ---- reading
 * ---------------------------------------------------------------------------------------- */

static void damaged(struct header *h)
{
    h->is_damaged = true;
    h->at = h->end;
}

static void too_large(struct header *h)
{
    h->is_large = true;
    h->at = h->end;
}

static bool is_over(const struct header *h)
{
    return h->is_damaged || h->is_large || h->has_no_memory;
}

static struct ag_bytes take(struct header *h, uint64_t size)
{
    struct ag_bytes bytes = {h->at, (size_t)size};

    if (size > (uint64_t)(h->end - h->at)) {
        damaged(h);
        return (struct ag_bytes){h->end, 0};
    }
    h->at += size;
    return bytes;
}

static uint8_t take_byte(struct header *h)
{
    struct ag_bytes byte = take(h, 1);

    return byte.size == 1 ? byte.data[0] : END;
}

/* As many bytes behind the first as it has leading ones; the rest of it is the highest part. */
static uint64_t take_number(struct header *h)
{
    uint8_t first = take_byte(h), mask = 0x80;
    uint64_t value = 0;

    for (unsigned i = 0; i < 8; i++, mask >>= 1) {
        if ((first & mask) == 0)
            return value + ((uint64_t)(first & (mask - 1)) << (8 * i));
        value |= (uint64_t)take_byte(h) << (8 * i);
    }
    return value;
}

/* A number of things that memory is taken for; each needs a bit of the header at least. */
static size_t take_count(struct header *h, size_t most)
{
    uint64_t count = take_number(h);

    if (count > most) {
        too_large(h);
        return 0;
    }
    if (count / 8 > (uint64_t)(h->end - h->at)) {
        damaged(h);
        return 0;
    }
    return (size_t)count;
}

static void *take_memory(struct header *h, size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);

    h->has_no_memory |= memory == NULL;
    if (memory == NULL)
        h->at = h->end;
    return memory;
}

static void expect(struct header *h, enum property property)
{
    if (take_byte(h) != property)
        damaged(h);
}

static bool bit_of(struct ag_bytes bits, size_t i)
{
    return bits.data[i / 8] & (0x80 >> (i % 8));
}

/* Which of `count` things have a checksum, and these. *all: every one. */
static struct ag_bytes take_digests(struct header *h, size_t count, bool *all)
{
    struct ag_bytes bits = {0};
    size_t defined = count;

    *all = take_byte(h) != 0;
    if (!*all) {
        bits = take(h, (count + 7) / 8);
        defined = 0;
        for (size_t i = 0; !is_over(h) && i < count; i++)
            defined += bit_of(bits, i);
    }
    take(h, defined * 4);
    return bits;
}

/* ---- streams
 * ---------------------------------------------------------------------------------------- */

static void take_pack_info(struct header *h)
{
    uint8_t property;
    bool all;

    h->pack_position = take_number(h);
    h->packed_count = take_count(h, SOURCE_ENTRIES_MAX);
    expect(h, SIZE);
    if (h->packed != NULL || is_over(h)) {
        damaged(h);
        return;
    }
    h->packed = take_memory(h, h->packed_count, sizeof *h->packed);
    for (size_t i = 0; !is_over(h) && i < h->packed_count; i++)
        h->packed[i] = take_number(h);
    property = take_byte(h);
    if (property == CRC) {
        take_digests(h, h->packed_count, &all);
        property = take_byte(h);
    }
    if (property != END)
        damaged(h);
}

/* What a decoder keeps in memory: its dictionary, or its model. */
static uint64_t memory_of(const struct coder *coder)
{
    const uint8_t *p = coder->properties.data;
    uint8_t bits;

    if ((coder->id == LZMA || coder->id == PPMD) && coder->properties.size >= 5)
        return (uint64_t)p[1] | (uint64_t)p[2] << 8 | (uint64_t)p[3] << 16 | (uint64_t)p[4] << 24;
    if (coder->id != LZMA2 || coder->properties.size < 1)
        return 0;
    bits = p[0] & 0x3f;
    return bits >= 40 ? UINT32_MAX : (uint64_t)(2 | (bits & 1)) << (bits / 2 + 11);
}

static void take_coder(struct header *h, struct folder *folder, struct coder *coder, size_t *taken)
{
    uint8_t flags = take_byte(h);
    struct ag_bytes id = take(h, flags & 0x0f);
    uint64_t in = 1, out = 1;

    *coder = (struct coder){0};
    for (size_t i = 0; i < id.size; i++)
        coder->id = coder->id << 8 | id.data[i];
    if (flags & 0x10) {
        in = take_number(h);
        out = take_number(h);
    }
    if (flags & 0x20)
        coder->properties = take(h, take_number(h));
    if ((flags & 0x80) || in > CODER_STREAMS_MAX || out > CODER_STREAMS_MAX)
        damaged(h);
    if (memory_of(coder) > SOURCE_DICTIONARY_BYTES_MAX)
        too_large(h);
    h->is_encrypted |= coder->id == AES;
    folder->has_bcj2 |= coder->id == BCJ2;
    folder->given += (uint32_t)out;
    *taken += (size_t)in;
}

static void take_folder(struct header *h, struct folder *folder)
{
    size_t coders = take_count(h, CODERS_MAX), taken = 0, pairs;
    uint32_t bound = 0; /* bit n: stream n goes into another coder */

    for (size_t i = 0; i < coders; i++) {
        struct coder coder;

        take_coder(h, folder, &coder, &taken);
        if (folder == h->folders)
            h->first = coders == 1 ? coder : (struct coder){0};
    }
    if (is_over(h) || folder->given == 0 || taken + 1 < folder->given) {
        damaged(h);
        return;
    }
    pairs = folder->given - 1;
    for (size_t i = 0; i < pairs; i++) {
        uint64_t in = take_number(h), out = take_number(h);

        if (in >= taken || out >= folder->given)
            damaged(h);
        else
            bound |= 1u << out;
    }
    folder->packed = (uint32_t)(taken - pairs);
    for (uint32_t i = 0; folder->packed > 1 && i < folder->packed; i++)
        if (take_number(h) >= taken)
            damaged(h);
    folder->last = folder->given - 1;
    while (folder->last > 0 && (bound & 1u << folder->last))
        folder->last--;
}

static void take_folder_sizes(struct header *h, struct folder *folder)
{
    for (uint32_t i = 0; i < folder->given; i++) {
        uint64_t size = take_number(h);

        if (i == folder->last)
            folder->size = size;
        /* In libarchive's order of a BCJ2 folder the first two are side streams. */
        if (folder->has_bcj2 && folder->given == CODERS_MAX && i < 2 && size > BCJ2_BYTES_MAX)
            too_large(h);
    }
}

static void take_folders(struct header *h)
{
    uint8_t property;
    bool all;

    expect(h, FOLDER);
    h->folders_count = take_count(h, FOLDERS_MAX);
    if (take_byte(h) != 0 || h->folders != NULL || is_over(h)) { /* 1: elsewhere; nobody does */
        damaged(h);
        return;
    }
    h->folders = take_memory(h, h->folders_count, sizeof *h->folders);
    for (size_t i = 0; !is_over(h) && i < h->folders_count; i++)
        take_folder(h, &h->folders[i]);
    expect(h, CODERS_UNPACK_SIZE);
    for (size_t i = 0; !is_over(h) && i < h->folders_count; i++) {
        take_folder_sizes(h, &h->folders[i]);
        h->folders[i].files = 1;
    }
    property = take_byte(h);
    if (property == CRC) {
        struct ag_bytes bits = take_digests(h, h->folders_count, &all);

        for (size_t i = 0; !is_over(h) && i < h->folders_count; i++)
            h->folders[i].has_digest = all || bit_of(bits, i);
        property = take_byte(h);
    }
    if (property != END)
        damaged(h);
}

static void take_file_counts(struct header *h)
{
    uint64_t sum = 0;

    for (size_t i = 0; !is_over(h) && i < h->folders_count; i++) {
        h->folders[i].files = take_number(h);
        if (h->folders[i].files > SOURCE_ENTRIES_MAX ||
            (sum += h->folders[i].files) > SOURCE_ENTRIES_MAX)
            too_large(h);
    }
}

/* Only the sizes of all but a folder's last file are there. */
static void take_file_sizes(struct header *h, bool are_there)
{
    size_t sum = 0;

    for (size_t i = 0; !is_over(h) && i < h->folders_count; i++)
        sum += (size_t)h->folders[i].files;
    h->files = take_memory(h, sum, sizeof *h->files);
    for (size_t i = 0; !is_over(h) && i < h->folders_count; i++) {
        uint64_t left = h->folders[i].size;

        for (uint64_t k = 0; k < h->folders[i].files; k++) {
            bool is_last = k + 1 == h->folders[i].files;
            uint64_t size = is_last ? left : are_there ? take_number(h) : 0;

            if (size > left)
                damaged(h);
            left -= size;
            h->files[h->files_count++] = size;
        }
    }
}

static void take_sub_streams(struct header *h, uint8_t *property)
{
    size_t digests = 0;
    bool all;

    if (*property == NUM_UNPACK_STREAM) {
        take_file_counts(h);
        *property = take_byte(h);
    }
    take_file_sizes(h, *property == SIZE);
    if (*property == SIZE)
        *property = take_byte(h);
    for (size_t i = 0; !is_over(h) && i < h->folders_count; i++)
        if (h->folders[i].files != 1 || !h->folders[i].has_digest)
            digests += (size_t)h->folders[i].files;
    if (*property == CRC) {
        take_digests(h, digests, &all);
        *property = take_byte(h);
    }
    if (*property != END)
        damaged(h);
}

static void check_side_streams(struct header *h)
{
    size_t packed = 0;

    for (size_t i = 0; !is_over(h) && i < h->folders_count; i++) {
        const struct folder *folder = &h->folders[i];

        if (packed + folder->packed > h->packed_count) {
            damaged(h);
            return;
        }
        for (uint32_t k = 1; folder->has_bcj2 && k < folder->packed; k++)
            if (h->packed[packed + k] > BCJ2_BYTES_MAX)
                too_large(h);
        packed += folder->packed;
    }
}

static void take_streams(struct header *h)
{
    uint8_t property = take_byte(h);

    if (property == PACK_INFO) {
        take_pack_info(h);
        property = take_byte(h);
    }
    if (property == UNPACK_INFO) {
        take_folders(h);
        property = take_byte(h);
    }
    if (property == SUB_STREAMS_INFO && !is_over(h)) {
        property = take_byte(h);
        take_sub_streams(h, &property);
        property = take_byte(h);
    }
    if (property != END)
        damaged(h);
    check_side_streams(h);
}

/* ---- files
 * ---------------------------------------------------------------------------------------- */

struct list {
    size_t count, empty_count;
    struct ag_bytes empty;      /* bits: those that have no content */
    struct ag_bytes attributes; /* four bytes each */
};

static void take_empty(struct header *h, struct list *list, struct ag_bytes body)
{
    if (list->empty.data != NULL || body.size != (list->count + 7) / 8) {
        damaged(h);
        return;
    }
    list->empty = body;
    for (size_t i = 0; i < list->count; i++)
        list->empty_count += bit_of(body, i);
}

/* libarchive goes by what a property says inside, others by its size: both must agree. */
static void take_property(struct header *h, struct list *list, uint8_t type)
{
    struct ag_bytes body = take(h, take_number(h));
    bool is_whole = body.size >= 2 && body.data[0] != 0 && body.data[1] == 0;
    size_t bits = (list->empty_count + 7) / 8;

    if (is_over(h))
        return;
    switch (type) {
    case EMPTY_STREAM:
        take_empty(h, list, body);
        break;
    case EMPTY_FILE:
    case ANTI:
        if (list->empty_count > 0 && body.size != bits)
            damaged(h);
        break;
    case CREATION_TIME:
    case ACCESS_TIME:
    case WRITE_TIME:
        if (is_whole ? body.size != 2 + 8 * list->count : body.size < 2 || body.data[0] != 0)
            damaged(h);
        break;
    case WIN_ATTRIBUTES:
        if (!is_whole || body.size != 2 + 4 * list->count || list->attributes.data != NULL)
            damaged(h);
        else
            list->attributes = ag_bytes_of(body.data + 2, body.size - 2);
        break;
    default:
        break;
    }
}

/* libarchive reads a link's target into memory before it tells of the link. */
static void check_links(struct header *h, const struct list *list)
{
    size_t stream = 0;

    for (size_t i = 0; i < list->count; i++) {
        unsigned mode = 0;

        if (list->empty.data != NULL && bit_of(list->empty, i))
            continue;
        if (list->attributes.data != NULL)
            mode = (unsigned)list->attributes.data[4 * i + 2] |
                   (unsigned)list->attributes.data[4 * i + 3] << 8;
        if (stream >= h->files_count)
            damaged(h);
        else if (S_ISLNK(mode) && h->files[stream] > LINK_BYTES_MAX)
            too_large(h);
        if (is_over(h))
            return;
        stream++;
    }
}

static void take_files(struct header *h)
{
    struct list list = {.count = take_count(h, SOURCE_ENTRIES_MAX)};
    uint8_t type;

    while (!is_over(h) && (type = take_byte(h)) != END)
        take_property(h, &list, type);
    if (!is_over(h))
        check_links(h, &list);
}

static void take_header(struct header *h)
{
    uint8_t property = take_byte(h);

    if (property == MAIN_STREAMS_INFO) {
        take_streams(h);
        property = take_byte(h);
    }
    if (property == FILES_INFO) {
        take_files(h);
        property = take_byte(h);
    }
    if (property != END)
        damaged(h);
}

/* ---- the check
 * ---------------------------------------------------------------------------------------- */

static void header_fini(struct header *h)
{
    free(h->packed);
    free(h->folders);
    free(h->files);
    *h = (struct header){0};
}

static int verdict(const struct header *h, struct argosy_error *err)
{
    if (h->has_no_memory)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a 7z header");
    if (h->is_large)
        return ag_fail(err, ARGOSY_ETOOBIG,
                       "the 7z archive has more files or folders, or takes more memory to unpack, "
                       "than is allowed");
    if (h->is_damaged)
        return ag_fail(err, ARGOSY_EPROTO, "damaged: its 7z header makes no sense");
    return 0;
}

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
static int unpack_header(const struct coder *coder, struct ag_bytes in, uint8_t *out, size_t size)
{
    lzma_filter filters[2] = {{.id = coder->id == LZMA ? LZMA_FILTER_LZMA1 : LZMA_FILTER_LZMA2},
                              {.id = LZMA_VLI_UNKNOWN}};
    lzma_stream stream = LZMA_STREAM_INIT;
    lzma_ret rc;

    if (coder->id == 0) { /* copied */
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
static int decode(int fd, struct header *h, uint8_t **out, size_t *size, struct argosy_error *err)
{
    const struct folder *folder = h->folders;
    uint8_t *packed;
    int rc;

    *out = NULL;
    if (h->is_encrypted)
        return ag_fail(err, ARGOSY_EPROTO, "encrypted, with its list of files");
    if (h->folders_count != 1 || h->packed_count < 1 || folder->given != 1 ||
        (h->first.id != LZMA && h->first.id != LZMA2 && h->first.id != 0))
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
    struct header h = {.at = bytes.data, .end = bytes.data + bytes.size};
    uint8_t property = take_byte(&h), *decoded = NULL;
    size_t size = 0;
    int rc;

    if (property == ENCODED_HEADER) {
        take_streams(&h);
        rc = verdict(&h, err);
        if (rc == 0)
            rc = decode(fd, &h, &decoded, &size, err);
        header_fini(&h);
        if (rc < 0) {
            free(decoded);
            return rc;
        }
        h.at = decoded;
        h.end = decoded + size;
        property = take_byte(&h);
    }
    if (property == HEADER)
        take_header(&h);
    else
        damaged(&h);
    rc = verdict(&h, err);
    header_fini(&h);
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
