/* analyze_source.h - the jobs of argosy analyze: one for each path, in shards when that is faster,
 * behind a fetch when the path is a URL.
 *
 * Start here: analyze_source_open(), submission_run() with `jobs`, analyze_source_close().
 *
 * Threads: one.
 */
#ifndef CLI_ANALYZE_SOURCE_H
#define CLI_ANALYZE_SOURCE_H

#include <limits.h>

#include "client/cli/scratch.h"
#include "client/cli/submission.h"

struct analyze_source {
    struct job_source jobs;
    struct cli *cli;
    char *const *paths; /* the next one first */
    bool takes_input;   /* one job without a path: what came before it brings the file */
    unsigned shards;    /* of each that can be split */
    uint32_t place;     /* of the job in hand */
    json_t *job;        /* the job in hand */
    const char *url;    /* it is behind a fetch of this; NULL: it is not */
    char host[PATH_MAX], title[256], parts_title[PATH_MAX + 64];
    char *folder;       /* for what is fetched; NULL: nothing is */
    scratch_t *scratch; /* when it is to be gone in the end */
};

/* From the options and operands. 0 or an exit code after a message; close it in any case. */
int analyze_source_open(struct analyze_source *self, struct cli *cli);
void analyze_source_close(struct analyze_source *self);

#endif
