/* tally.h - the sums of an analysis: totals, by language, by file or directory, what was skipped.
 *
 * Threads: one at a time.
 */
#ifndef ANALYZE_TALLY_H
#define ANALYZE_TALLY_H

#include "common/buffer.h"
#include "worker/analyze/count.h"

/* X(NAME, "key", why) */
#define TALLY_SKIPS(X)                                                                             \
    X(BINARY, "binary", "not text")                                                                \
    X(GENERATED, "generated", "says that a program wrote it")                                      \
    X(VENDORED, "vendored", "other people's code")                                                 \
    X(TOO_LARGE, "too_large", "larger than 64 MiB")                                                \
    X(UNKNOWN, "unknown", "no language that we know")                                              \
    X(SUBMODULE, "submodule", "another repository stands there")

enum tally_skip {
#define X(name, key, why) SKIP_##name,
    TALLY_SKIPS(X)
#undef X
        SKIP_COUNT
};

enum tally_by { BY_LANGUAGE, BY_FILE, BY_DIR };

typedef struct tally tally_t;

/* NULL when memory is short. */
tally_t *tally_new(enum tally_by by);
void tally_destroy(tally_t **self_p);

/* ARGOSY_ENOMEM. */
int tally_add(tally_t *self, const char *path, const struct language *language,
              const struct counts *counts);
void tally_skip(tally_t *self, enum tally_skip why);

uint64_t tally_files(const tally_t *self);

/* The sums by language and of what was skipped, for a part of an analysis to be remembered by. */
typedef struct tally_sums tally_sums_t;

/* A copy of them as they are now. NULL when memory is short. */
tally_sums_t *tally_sums_now(const tally_t *self);
void tally_sums_destroy(tally_sums_t **self_p);

/* What was added since then, as bytes for tally_add_sums(). */
void tally_pack_since(const tally_t *self, const tally_sums_t *since, struct ag_buffer *out);

/* Add what tally_pack_since() has written; only by language. False, and nothing is added, if these
 * bytes are something else. */
bool tally_add_sums(tally_t *self, struct ag_bytes sums);

/* What a result begins with. */
struct tally_heading {
    const char *source;
    const char *revision;    /* the commit; NULL: none */
    struct ag_bytes history; /* a msgpack map; absent: none was asked for */
};

/* The result of the job as msgpack; a failure is the buffer's. */
void tally_pack(tally_t *self, const struct tally_heading *heading, struct ag_buffer *out);

#endif
