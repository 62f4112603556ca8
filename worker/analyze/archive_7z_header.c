#include "worker/analyze/archive_7z_header.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "common/error.h"
#include "worker/analyze/source.h"

/* The names are those of 7zFormat.txt. */
enum property {
    END = 0,
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
    WIN_ATTRIBUTES = 21
};

enum {
    FOLDERS_MAX = 256 << 10, /* 7z makes one for each file when it is told to; libarchive needs some
                                400 bytes for each */
    CODERS_MAX = 4,          /* libarchive's own limit */
    CODER_STREAMS_MAX = 8,   /* BCJ2 has five */
    BCJ2_BYTES_MAX = 64 << 20, /* of its side streams, which libarchive keeps in memory */
    LINK_BYTES_MAX = 64 << 10  /* of a link's target, the same */
};

enum { PPMD = 0x030401, BCJ2 = 0x0303011b, AES = 0x06f10701 };

/* ---- reading
 * ---------------------------------------------------------------------------------------- */

void archive_7z_header_damaged(struct archive_7z_header *h)
{
    h->is_damaged = true;
    h->at = h->end;
}

static void too_large(struct archive_7z_header *h)
{
    h->is_large = true;
    h->at = h->end;
}

static bool is_over(const struct archive_7z_header *h)
{
    return h->is_damaged || h->is_large || h->has_no_memory;
}

static struct ag_bytes take(struct archive_7z_header *h, uint64_t size)
{
    struct ag_bytes bytes = {h->at, (size_t)size};

    if (size > (uint64_t)(h->end - h->at)) {
        archive_7z_header_damaged(h);
        return (struct ag_bytes){h->end, 0};
    }
    h->at += size;
    return bytes;
}

uint8_t archive_7z_header_byte(struct archive_7z_header *h)
{
    struct ag_bytes byte = take(h, 1);

    return byte.size == 1 ? byte.data[0] : END;
}

/* As many bytes behind the first as it has leading ones; the rest of it is the highest part. */
static uint64_t take_number(struct archive_7z_header *h)
{
    uint8_t first = archive_7z_header_byte(h), mask = 0x80;
    uint64_t value = 0;

    for (unsigned i = 0; i < 8; i++, mask >>= 1) {
        if ((first & mask) == 0)
            return value + ((uint64_t)(first & (mask - 1)) << (8 * i));
        value |= (uint64_t)archive_7z_header_byte(h) << (8 * i);
    }
    return value;
}

/* A number of things that memory is taken for; each needs a bit of the header at least. */
static size_t take_count(struct archive_7z_header *h, size_t most)
{
    uint64_t count = take_number(h);

    if (count > most) {
        too_large(h);
        return 0;
    }
    if (count / 8 > (uint64_t)(h->end - h->at)) {
        archive_7z_header_damaged(h);
        return 0;
    }
    return (size_t)count;
}

static void *take_memory(struct archive_7z_header *h, size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);

    h->has_no_memory |= memory == NULL;
    if (memory == NULL)
        h->at = h->end;
    return memory;
}

static void expect(struct archive_7z_header *h, enum property property)
{
    if (archive_7z_header_byte(h) != property)
        archive_7z_header_damaged(h);
}

static bool bit_of(struct ag_bytes bits, size_t i)
{
    return bits.data[i / 8] & (0x80 >> (i % 8));
}

/* Which of `count` things have a checksum, and these. *all: every one. */
static struct ag_bytes take_digests(struct archive_7z_header *h, size_t count, bool *all)
{
    struct ag_bytes bits = {0};
    size_t defined = count;

    *all = archive_7z_header_byte(h) != 0;
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

static void take_pack_info(struct archive_7z_header *h)
{
    uint8_t property;
    bool all;

    h->pack_position = take_number(h);
    h->packed_count = take_count(h, SOURCE_ENTRIES_MAX);
    expect(h, SIZE);
    if (h->packed != NULL || is_over(h)) {
        archive_7z_header_damaged(h);
        return;
    }
    h->packed = take_memory(h, h->packed_count, sizeof *h->packed);
    for (size_t i = 0; !is_over(h) && i < h->packed_count; i++)
        h->packed[i] = take_number(h);
    property = archive_7z_header_byte(h);
    if (property == CRC) {
        take_digests(h, h->packed_count, &all);
        property = archive_7z_header_byte(h);
    }
    if (property != END)
        archive_7z_header_damaged(h);
}

/* What a decoder keeps in memory: its dictionary, or its model. */
static uint64_t memory_of(const struct archive_7z_coder *coder)
{
    const uint8_t *p = coder->properties.data;
    uint8_t bits;

    if ((coder->id == ARCHIVE_7Z_LZMA || coder->id == PPMD) && coder->properties.size >= 5)
        return (uint64_t)p[1] | (uint64_t)p[2] << 8 | (uint64_t)p[3] << 16 | (uint64_t)p[4] << 24;
    if (coder->id != ARCHIVE_7Z_LZMA2 || coder->properties.size < 1)
        return 0;
    bits = p[0] & 0x3f;
    return bits >= 40 ? UINT32_MAX : (uint64_t)(2 | (bits & 1)) << (bits / 2 + 11);
}

static void take_coder(struct archive_7z_header *h, struct archive_7z_folder *folder,
                       struct archive_7z_coder *coder, size_t *taken)
{
    uint8_t flags = archive_7z_header_byte(h);
    struct ag_bytes id = take(h, flags & 0x0f);
    uint64_t in = 1, out = 1;

    *coder = (struct archive_7z_coder){0};
    for (size_t i = 0; i < id.size; i++)
        coder->id = coder->id << 8 | id.data[i];
    if (flags & 0x10) {
        in = take_number(h);
        out = take_number(h);
    }
    if (flags & 0x20)
        coder->properties = take(h, take_number(h));
    if ((flags & 0x80) || in > CODER_STREAMS_MAX || out > CODER_STREAMS_MAX)
        archive_7z_header_damaged(h);
    if (memory_of(coder) > SOURCE_DICTIONARY_BYTES_MAX)
        too_large(h);
    h->is_encrypted |= coder->id == AES;
    folder->has_bcj2 |= coder->id == BCJ2;
    folder->given += (uint32_t)out;
    *taken += (size_t)in;
}

static void take_folder(struct archive_7z_header *h, struct archive_7z_folder *folder)
{
    size_t coders = take_count(h, CODERS_MAX), taken = 0, pairs;
    uint32_t bound = 0; /* bit n: stream n goes into another coder */

    for (size_t i = 0; i < coders; i++) {
        struct archive_7z_coder coder;

        take_coder(h, folder, &coder, &taken);
        if (folder == h->folders)
            h->first = coders == 1 ? coder : (struct archive_7z_coder){0};
    }
    if (is_over(h) || folder->given == 0 || taken + 1 < folder->given) {
        archive_7z_header_damaged(h);
        return;
    }
    pairs = folder->given - 1;
    for (size_t i = 0; i < pairs; i++) {
        uint64_t in = take_number(h), out = take_number(h);

        if (in >= taken || out >= folder->given)
            archive_7z_header_damaged(h);
        else
            bound |= 1u << out;
    }
    folder->packed = (uint32_t)(taken - pairs);
    for (uint32_t i = 0; folder->packed > 1 && i < folder->packed; i++)
        if (take_number(h) >= taken)
            archive_7z_header_damaged(h);
    folder->last = folder->given - 1;
    while (folder->last > 0 && (bound & 1u << folder->last))
        folder->last--;
}

static void take_folder_sizes(struct archive_7z_header *h, struct archive_7z_folder *folder)
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

static void take_folders(struct archive_7z_header *h)
{
    uint8_t property;
    bool all;

    expect(h, FOLDER);
    h->folders_count = take_count(h, FOLDERS_MAX);
    if (archive_7z_header_byte(h) != 0 || h->folders != NULL ||
        is_over(h)) { /* 1: elsewhere; nobody does */
        archive_7z_header_damaged(h);
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
    property = archive_7z_header_byte(h);
    if (property == CRC) {
        struct ag_bytes bits = take_digests(h, h->folders_count, &all);

        for (size_t i = 0; !is_over(h) && i < h->folders_count; i++)
            h->folders[i].has_digest = all || bit_of(bits, i);
        property = archive_7z_header_byte(h);
    }
    if (property != END)
        archive_7z_header_damaged(h);
}

static void take_file_counts(struct archive_7z_header *h)
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
static void take_file_sizes(struct archive_7z_header *h, bool are_there)
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
                archive_7z_header_damaged(h);
            left -= size;
            h->files[h->files_count++] = size;
        }
    }
}

static void take_sub_streams(struct archive_7z_header *h, uint8_t *property)
{
    size_t digests = 0;
    bool all;

    if (*property == NUM_UNPACK_STREAM) {
        take_file_counts(h);
        *property = archive_7z_header_byte(h);
    }
    take_file_sizes(h, *property == SIZE);
    if (*property == SIZE)
        *property = archive_7z_header_byte(h);
    for (size_t i = 0; !is_over(h) && i < h->folders_count; i++)
        if (h->folders[i].files != 1 || !h->folders[i].has_digest)
            digests += (size_t)h->folders[i].files;
    if (*property == CRC) {
        take_digests(h, digests, &all);
        *property = archive_7z_header_byte(h);
    }
    if (*property != END)
        archive_7z_header_damaged(h);
}

static void check_side_streams(struct archive_7z_header *h)
{
    size_t packed = 0;

    for (size_t i = 0; !is_over(h) && i < h->folders_count; i++) {
        const struct archive_7z_folder *folder = &h->folders[i];

        if (packed + folder->packed > h->packed_count) {
            archive_7z_header_damaged(h);
            return;
        }
        for (uint32_t k = 1; folder->has_bcj2 && k < folder->packed; k++)
            if (h->packed[packed + k] > BCJ2_BYTES_MAX)
                too_large(h);
        packed += folder->packed;
    }
}

void archive_7z_header_streams(struct archive_7z_header *h)
{
    uint8_t property = archive_7z_header_byte(h);

    if (property == PACK_INFO) {
        take_pack_info(h);
        property = archive_7z_header_byte(h);
    }
    if (property == UNPACK_INFO) {
        take_folders(h);
        property = archive_7z_header_byte(h);
    }
    if (property == SUB_STREAMS_INFO && !is_over(h)) {
        property = archive_7z_header_byte(h);
        take_sub_streams(h, &property);
        property = archive_7z_header_byte(h);
    }
    if (property != END)
        archive_7z_header_damaged(h);
    check_side_streams(h);
}

/* ---- files
 * ---------------------------------------------------------------------------------------- */

struct list {
    size_t count, empty_count;
    struct ag_bytes empty;      /* bits: those that have no content */
    struct ag_bytes attributes; /* four bytes each */
};

static void take_empty(struct archive_7z_header *h, struct list *list, struct ag_bytes body)
{
    if (list->empty.data != NULL || body.size != (list->count + 7) / 8) {
        archive_7z_header_damaged(h);
        return;
    }
    list->empty = body;
    for (size_t i = 0; i < list->count; i++)
        list->empty_count += bit_of(body, i);
}

/* libarchive goes by what a property says inside, others by its size: both must agree. */
static void take_property(struct archive_7z_header *h, struct list *list, uint8_t type)
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
            archive_7z_header_damaged(h);
        break;
    case CREATION_TIME:
    case ACCESS_TIME:
    case WRITE_TIME:
        if (is_whole ? body.size != 2 + 8 * list->count : body.size < 2 || body.data[0] != 0)
            archive_7z_header_damaged(h);
        break;
    case WIN_ATTRIBUTES:
        if (!is_whole || body.size != 2 + 4 * list->count || list->attributes.data != NULL)
            archive_7z_header_damaged(h);
        else
            list->attributes = ag_bytes_of(body.data + 2, body.size - 2);
        break;
    default:
        break;
    }
}

/* libarchive reads a link's target into memory before it tells of the link. */
static void check_links(struct archive_7z_header *h, const struct list *list)
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
            archive_7z_header_damaged(h);
        else if (S_ISLNK(mode) && h->files[stream] > LINK_BYTES_MAX)
            too_large(h);
        if (is_over(h))
            return;
        stream++;
    }
}

static void take_files(struct archive_7z_header *h)
{
    struct list list = {.count = take_count(h, SOURCE_ENTRIES_MAX)};
    uint8_t type;

    while (!is_over(h) && (type = archive_7z_header_byte(h)) != END)
        take_property(h, &list, type);
    if (!is_over(h))
        check_links(h, &list);
}

void archive_7z_header_files(struct archive_7z_header *h)
{
    uint8_t property = archive_7z_header_byte(h);

    if (property == MAIN_STREAMS_INFO) {
        archive_7z_header_streams(h);
        property = archive_7z_header_byte(h);
    }
    if (property == FILES_INFO) {
        take_files(h);
        property = archive_7z_header_byte(h);
    }
    if (property != END)
        archive_7z_header_damaged(h);
}

void archive_7z_header_fini(struct archive_7z_header *h)
{
    free(h->packed);
    free(h->folders);
    free(h->files);
    *h = (struct archive_7z_header){0};
}

int archive_7z_header_verdict(const struct archive_7z_header *h, struct argosy_error *err)
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
