/* warc_reader.h - a strict reader of WARC files, which knows nothing of the writer's code. What the
 * standard forbids fails the test that reads. */
#ifndef TESTS_WARC_READER_H
#define TESTS_WARC_READER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { WARC_FIELDS_MAX = 24, WARC_KEPT = 64 * 1024 };

struct warc_entry {
    char text[WARC_KEPT]; /* of the fields, cut into pieces */
    const char *names[WARC_FIELDS_MAX], *values[WARC_FIELDS_MAX];
    size_t fields_count;
    char block[WARC_KEPT + 1];      /* as much as there is room for, and a zero */
    uint64_t block_size, head_size; /* head_size: with its empty line; 0: there is none */
    uint64_t offset, length;        /* of the gzip member */
    char block_digest[72], payload_digest[72]; /* of what is there, as "sha256:..." */
};

enum warc_read { WARC_READ_END, WARC_READ_RECORD, WARC_READ_TORN };

/* The next member, which must be one whole record, or a torn one at the end of the file. */
enum warc_read warc_read(FILE *file, struct warc_entry *out);

/* NULL: there is none. */
const char *warc_field(const struct warc_entry *entry, const char *name);

#endif
