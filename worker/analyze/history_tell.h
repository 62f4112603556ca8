/* history_tell.h - the answer of a history as msgpack: orders, shares, ages. Internal to history.c.
 *
 * Threads: any. Pure.
 */
#ifndef ANALYZE_HISTORY_TELL_H
#define ANALYZE_HISTORY_TELL_H

#include "common/buffer.h"
#include "worker/analyze/names.h"

struct history_path {
    uint64_t commits, added, deleted;
    int64_t last; /* seconds since 1970, of the last change */
    bool is_present;
};

struct history_person {
    uint64_t commits, added, deleted;
    int64_t first, last;
};

struct history_sums {
    uint64_t commits, merges, added, deleted;
    int64_t first, last;
};

struct history_told {
    struct history_sums sums;
    const names_t *people; /* "NAME\0EMAIL" */
    const struct history_person *of_people;
    const names_t *paths;
    const struct history_path *of_paths;
    int64_t now; /* ages are measured from here */
};

/* ARGOSY_ENOMEM. */
int history_tell(const struct history_told *told, struct ag_buffer *out);

#endif
