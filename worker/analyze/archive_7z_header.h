/* archive_7z_header.h - the walk over a 7z header: what it asks for, and whether it holds together.
 * Internal to archive_7z.c.
 *
 * Only what two readings agree on passes: libarchive goes by what stands inside a property, others
 * by its size.
 *
 * Threads: plain data, one at a time. Pure but for memory.
 */
#ifndef ANALYZE_ARCHIVE_7Z_HEADER_H
#define ANALYZE_ARCHIVE_7Z_HEADER_H

#include <argosy/error.h>

#include "common/bytes.h"

/* What begins a header. The format is described in 7zFormat.txt of the LZMA SDK. */
enum { ARCHIVE_7Z_HEADER = 1, ARCHIVE_7Z_ENCODED_HEADER = 23 };

/* How a header may be packed. */
enum { ARCHIVE_7Z_COPY = 0, ARCHIVE_7Z_LZMA = 0x030101, ARCHIVE_7Z_LZMA2 = 0x21 };

struct archive_7z_coder {
    uint64_t id;
    struct ag_bytes properties;
};

struct archive_7z_folder {
    uint64_t size; /* unpacked */
    uint64_t files;
    uint32_t packed; /* streams that it is made from */
    uint32_t given;  /* streams that its coders give */
    uint32_t last;   /* which of these is the folder's */
    bool has_digest, has_bcj2;
};

struct archive_7z_header {
    const uint8_t *at, *end;
    bool is_damaged, is_large;
    uint64_t pack_position;
    uint64_t *packed; /* sizes */
    size_t packed_count;
    struct archive_7z_folder *folders;
    size_t folders_count;
    struct archive_7z_coder first; /* the only coder of the first folder */
    bool is_encrypted;
    uint64_t *files; /* sizes of those that have content */
    size_t files_count;
    bool has_no_memory;
};

/* Begin at `bytes`, which must outlive it. */
static inline struct archive_7z_header archive_7z_header_of(struct ag_bytes bytes)
{
    return (struct archive_7z_header){.at = bytes.data, .end = bytes.data + bytes.size};
}
void archive_7z_header_fini(struct archive_7z_header *self);

/* The next byte; 0 behind the end, which is damage. */
uint8_t archive_7z_header_byte(struct archive_7z_header *self);

/* Behind ARCHIVE_7Z_ENCODED_HEADER: where the header is, and how it is packed. */
void archive_7z_header_streams(struct archive_7z_header *self);

/* Behind ARCHIVE_7Z_HEADER: all of it. */
void archive_7z_header_files(struct archive_7z_header *self);

/* For a header that begins with something else. */
void archive_7z_header_damaged(struct archive_7z_header *self);

/* 0, or ARGOSY_EPROTO, ARGOSY_ETOOBIG, ARGOSY_ENOMEM with the reason. */
int archive_7z_header_verdict(const struct archive_7z_header *self, struct argosy_error *err);

#endif
