/* findings.h - what is worth knowing about files besides their lines: marks in comments, encodings,
 * the largest and the longest, licences, files that are there twice.
 *
 * Everything here is bounded; the order in which files come makes no difference, nor whether they
 * are added one by one or as what was found among some of them.
 *
 * Threads: one at a time.
 */
#ifndef ANALYZE_FINDINGS_H
#define ANALYZE_FINDINGS_H

#include <msgpack/pack.h>

#include "worker/analyze/inspect.h"

enum {
    FINDINGS_TOP_MAX = 10,           /* largest, longest */
    FINDINGS_LICENSE_FILES_MAX = 64, /* licence files that are listed */
    FINDINGS_LICENSES_MAX = 64,      /* different expressions; others are counted as one */
    FINDINGS_KEYS = 7                /* that findings_pack() writes */
};

typedef struct findings findings_t;

/* NULL when memory is short. */
findings_t *findings_new(void);
void findings_destroy(findings_t **self_p);

/* Counted or not. ARGOSY_ENOMEM. */
int findings_add(findings_t *self, const char *path, const struct inspected *file);

/* Adds all that `other` has. ARGOSY_ENOMEM. */
int findings_absorb(findings_t *self, const findings_t *other);

/* FINDINGS_KEYS keys with their values, into a map that the caller has begun. */
void findings_pack(const findings_t *self, msgpack_packer *packer);

/* Adds the value of one of these keys as it was found among other files, none of whose contents is
 * among these; any other value is skipped. ARGOSY_EPROTO, ARGOSY_ENOMEM. */
int findings_take(findings_t *self, struct ag_bytes key, struct ag_reader *reader);

#endif
