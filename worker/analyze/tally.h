/* tally.h - the sums of an analysis: totals, by language, by file or directory, what was skipped.
 *
 * Threads: one at a time.
 */
#ifndef ANALYZE_TALLY_H
#define ANALYZE_TALLY_H

#include "common/buffer.h"
#include "common/wire.h"
#include "worker/analyze/count.h"

/* X(NAME, "key", why) */
#define TALLY_SKIPS(X)                                                                             \
    X(BINARY, "binary", "not text")                                                                \
    X(GENERATED, "generated", "says that a program wrote it")                                      \
    X(MINIFIED, "minified", "made short for machines")                                             \
    X(VENDORED, "vendored", "other people's code")                                                 \
    X(TOO_LARGE, "too_large", "larger than 64 MiB")                                                \
    X(UNKNOWN, "unknown", "no language that we know")                                              \
    X(SUBMODULE, "submodule", "another repository stands there")                                   \
    X(IGNORED, "ignored", "git would ignore it")

enum tally_skip {
#define X(name, key, why) SKIP_##name,
    TALLY_SKIPS(X)
#undef X
        SKIP_COUNT
};

enum tally_by { BY_LANGUAGE, BY_FILE, BY_DIR };

typedef struct tally tally_t;

/* `languages` must outlive it. NULL when memory is short. */
tally_t *tally_new(enum tally_by by, const languages_t *languages);
void tally_destroy(tally_t **self_p);

/* The file belongs to the language of its first part, its lines to those of all. ARGOSY_ENOMEM. */
int tally_add(tally_t *self, const char *path, const struct counted *counted);
void tally_skip(tally_t *self, enum tally_skip why);

/* Adds all that `other` has, which is of the same sort and languages, and has no rows afterwards.
 * ARGOSY_ENOMEM. */
int tally_absorb(tally_t *self, tally_t *other);

uint64_t tally_files(const tally_t *self);

struct findings;

/* What a result tells besides the sums. */
struct tally_heading {
    const char *source;
    const char *revision;    /* the commit; NULL: none */
    struct ag_bytes history; /* a msgpack map; absent: none was asked for */
    struct ag_bytes part;    /* the same, of a shard: what its merge has to know besides */
};

/* The result of the job as msgpack; a failure is the buffer's. */
void tally_pack(tally_t *self, const struct tally_heading *heading, const struct findings *findings,
                struct ag_buffer *out);

/* Adds the value of one of the result's keys as it was told of other files. 1: it is none of the
 * tally's, and the reader stands where it stood. ARGOSY_EPROTO (also a language that nobody here
 * knows), ARGOSY_ENOMEM. */
int tally_take(tally_t *self, struct ag_bytes key, struct ag_reader *reader);

#endif
