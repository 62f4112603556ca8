#include "worker/analyze/recall_record.h"

#include <string.h>

#include "worker/analyze/license.h"

enum { NO_LICENSE = UINT16_MAX };

/* Then the parts, the expression and the licence's identifier. */
struct head {
    uint64_t hash[2];
    struct counts whole;
    uint64_t marks[MARK_COUNT];
    uint16_t spdx_size, license_size; /* license_size NO_LICENSE: it is no licence file */
    uint8_t is_counted, why, encoding, line_end, is_unfinished, parts_count;
};

struct part {
    uint64_t place; /* of the language */
    struct counts counts;
};

void recall_record_write(const struct inspected *inspected, const languages_t *languages,
                         struct ag_buffer *out)
{
    const struct counted *counted = &inspected->counted;
    bool is_counted = inspected->is_counted;
    struct head head;

    memset(&head, 0, sizeof head); /* also what lies between its members */
    head.is_counted = is_counted;
    head.license_size =
        (uint16_t)(inspected->license != NULL ? strlen(inspected->license) : NO_LICENSE);
    if (is_counted) {
        memcpy(head.hash, inspected->hash, sizeof head.hash);
        memcpy(head.marks, counted->marks, sizeof head.marks);
        head.whole = counted->whole;
        head.spdx_size = (uint16_t)inspected->spdx.size;
        head.encoding = (uint8_t)inspected->encoding;
        head.line_end = (uint8_t)inspected->line_end;
        head.is_unfinished = inspected->is_unfinished;
        head.parts_count = (uint8_t)counted->parts_count;
    } else {
        head.why = (uint8_t)inspected->why;
    }
    ag_buffer_append(out, &head, sizeof head);
    for (unsigned i = 0; i < head.parts_count; i++) {
        struct part part = {languages_place(languages, counted->parts[i].language),
                            counted->parts[i].counts};

        ag_buffer_append(out, &part, sizeof part);
    }
    ag_buffer_append(out, inspected->spdx.data, head.spdx_size);
    if (inspected->license != NULL)
        ag_buffer_append(out, inspected->license, head.license_size);
}

/* Takes `size` bytes off the beginning. */
static bool take(struct ag_bytes *rest, void *out, size_t size)
{
    if (rest->size < size)
        return false;
    if (size > 0)
        memcpy(out, rest->data, size);
    *rest = ag_bytes_of(rest->data + size, rest->size - size);
    return true;
}

static bool read_parts(struct ag_bytes *rest, const languages_t *languages, struct counted *out)
{
    for (unsigned i = 0; i < out->parts_count; i++) {
        struct part part;

        if (!take(rest, &part, sizeof part) || part.place >= languages_count(languages))
            return false;
        out->parts[i] =
            (struct count_part){languages_at(languages, (size_t)part.place), part.counts};
    }
    return true;
}

bool recall_record_read(struct ag_bytes record, const languages_t *languages, struct inspected *out)
{
    struct ag_bytes rest = record;
    struct head head;

    if (!take(&rest, &head, sizeof head) || head.parts_count > COUNT_PARTS_MAX ||
        head.why >= SKIP_COUNT || head.encoding >= ENCODING_COUNT ||
        head.line_end >= LINE_END_COUNT || (head.is_counted && head.parts_count == 0))
        return false;
    out->is_counted = head.is_counted;
    out->why = (enum tally_skip)head.why;
    out->encoding = (enum encoding)head.encoding;
    out->line_end = (enum line_end)head.line_end;
    out->is_unfinished = head.is_unfinished;
    memcpy(out->hash, head.hash, sizeof out->hash);
    out->counted.whole = head.whole;
    out->counted.parts_count = head.parts_count;
    memcpy(out->counted.marks, head.marks, sizeof out->counted.marks);
    if (!read_parts(&rest, languages, &out->counted) || head.spdx_size > LICENSE_ID_BYTES_MAX ||
        rest.size < head.spdx_size)
        return false;
    out->spdx = ag_bytes_of(rest.data, head.spdx_size);
    rest = ag_bytes_of(rest.data + head.spdx_size, rest.size - head.spdx_size);
    out->license = NULL;
    if (head.license_size == NO_LICENSE)
        return rest.size == 0;
    out->license = license_called(rest);
    return rest.size == head.license_size && out->license != NULL;
}
