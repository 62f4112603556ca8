/* inspect.h - one file: whether it is counted, what it holds, what is worth knowing about it.
 *
 * Start here: inspect_file() with a file's name and all its bytes. Opens nothing.
 *
 * Threads: an inspector belongs to one thread at a time; make one per thread.
 */
#ifndef ANALYZE_INSPECT_H
#define ANALYZE_INSPECT_H

#include "worker/analyze/count.h"
#include "worker/analyze/encoding.h"
#include "worker/analyze/tally.h"

/* Borrows from the content and lives until the next inspection. */
struct inspected {
    bool is_counted;     /* else only `why` and `license` say something */
    enum tally_skip why; /* it is not counted */
    struct counted counted;
    enum encoding encoding;
    enum line_end line_end;
    bool is_unfinished;   /* bytes behind the last newline */
    uint64_t hash[2];     /* of all its bytes; equal only for equal ones, for our purposes */
    struct ag_bytes spdx; /* the expression in its head; empty without one */
    const char *license;  /* of a licence file, see license_of_text(); NULL for all others */
};

typedef struct inspector inspector_t;

/* `languages` must outlive it. NULL when memory is short. */
inspector_t *inspector_new(const languages_t *languages);
void inspector_destroy(inspector_t **self_p);

/* What the name alone says: false: it need not be read, *why tells the reason. */
bool inspect_name(const inspector_t *self, const char *name, enum tally_skip *why);

/* `name` is without folder. ARGOSY_ENOMEM. */
int inspect_file(inspector_t *self, const char *name, struct ag_bytes content,
                 struct inspected *out);

#endif
