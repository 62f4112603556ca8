/* progress.h - the line on stderr that moves: done, rates, time left, running, failures.
 *
 * Shown in a terminal, or always with --progress always; at most ten times a second.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "client/cli/cli.h"

struct progress {
    bool is_shown, is_drawn;
    int64_t started_at, drawn_at;
    uint64_t total;    /* 0: not known yet */
    uint64_t bytes;    /* that results have brought so far; 0: nothing is said of them */
    uint32_t permille; /* how far a job is that is the only one; 0: not known */
};

/* Whether the line is shown at all. */
bool progress_is_wanted(const struct cli *cli);

void progress_start(struct progress *self, const struct cli *cli);
void progress_draw(struct progress *self, const struct argosy_counts *counts, uint64_t running,
                   bool force);
/* Take it off the screen, before something else is written. */
void progress_clear(struct progress *self);

#endif
