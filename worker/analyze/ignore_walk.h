/* ignore_walk.h - what git would ignore, while a walk goes through a tree.
 *
 * Start here: ignore_walk_new() for the tree, ignore_walk_enter() and _leave() around the entries
 * of each directory, its top too; in between ignore_walk_has() for each entry.
 *
 * The rules are those of the .gitignore files in the tree, those of the directories around it when
 * it lies in a repository, and that repository's info/exclude. A repository inside the tree has
 * rules of its own from its top on. No configuration is read. A .gitignore that is a link holds no
 * rules, as for git.
 *
 * Threads: one at a time.
 */
#ifndef ANALYZE_IGNORE_WALK_H
#define ANALYZE_IGNORE_WALK_H

#include "worker/analyze/analyze.h"
#include "worker/analyze/ignore.h"
#include "worker/analyze/source.h"

enum { IGNORE_BYTES_MAX = 4 << 20 }; /* of all files whose rules are in memory at once */

typedef struct ignore_walk ignore_walk_t;

/* What was in force outside of a directory. */
struct ignore_frame {
    ignore_rules_t *before;
    size_t bytes;
};

/* `source` is the tree's real path, below the roots; directories above the roots are not looked at.
 * The visitor (NULL: nobody) is told of rules that cannot be read, ARGOSY_EIO, or are beyond a
 * limit, ARGOSY_ETOOBIG: such a file's rules do not hold. ARGOSY_ENOMEM, or what the visitor
 * returns. */
int ignore_walk_new(ignore_walk_t **out, const char *source, const struct analyze_roots *roots,
                    const struct source_visitor *visitor);
void ignore_walk_destroy(ignore_walk_t **self_p);

/* The directory `folder`, whose path in the tree are the first `length` bytes of `relative`, with a
 * slash behind it (0: the top). Leave it with the same frame, also after an error. ARGOSY_ENOMEM,
 * or what the visitor returns. */
int ignore_walk_enter(ignore_walk_t *self, int folder, const char *relative, size_t length,
                      struct ignore_frame *frame);
void ignore_walk_leave(ignore_walk_t *self, const struct ignore_frame *frame);

/* Would git ignore this entry of the directory that was entered last? */
bool ignore_walk_has(ignore_walk_t *self, const char *relative, size_t size, bool is_dir);

#endif
