/* ignore.h - the rules of .gitignore files: what git would not look at.
 *
 * Start here: ignore_rules_push() for each file of rules on the way down; then ignore_rules_match()
 * for everything that is met.
 *
 * The answers are git's own, oddities included (`git check-ignore --no-index`); case matters, as it
 * does for git on Linux. libgit2's matcher is not used: some of its answers are others, patterns
 * can make it take exponential time, a fifo called .gitignore holds it for ever, and it takes 6 to
 * 8 us for each file.
 *
 * Threads: any may match while nobody pushes or pops. Pure.
 */
#ifndef ANALYZE_IGNORE_H
#define ANALYZE_IGNORE_H

#include <argosy/error.h>
#include <stdbool.h>

#include "common/bytes.h"

enum {
    IGNORE_FILE_BYTES_MAX = 1 << 20,
    IGNORE_RULES_MAX = 65536,     /* in force at once; each may be tried on each file */
    IGNORE_RULE_PARTS_MAX = 4096, /* bytes, ?, [] and runs of * behind a rule's plain beginning */
};

typedef struct ignore_rules ignore_rules_t;

/* Put the rules of `text` before those in force (NULL: none), which it takes over on success. They
 * hold for what lies below a directory: `base` are the bytes of its path, with the slash behind it
 * (0: the top). ARGOSY_ETOOBIG: beyond a limit; ARGOSY_ENOMEM; then nothing changes. */
int ignore_rules_push(ignore_rules_t **in_force, struct ag_bytes text, size_t base,
                      struct argosy_error *err);

/* Drop what was put there last; *in_force may be NULL. */
void ignore_rules_pop(ignore_rules_t **in_force);

/* Would git ignore this entry of a directory that it does not ignore? `path` has `size` bytes, is
 * from the top, without a slash behind it, and lies below the rules' base. */
bool ignore_rules_match(const ignore_rules_t *self, const char *path, size_t size, bool is_dir);

#endif
