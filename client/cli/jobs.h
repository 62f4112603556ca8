/* jobs.h - what the options say about jobs and batches: one reading for every command that has
 * them.
 *
 * Ownership: texts belong to the options. Threads: plain data.
 */
#ifndef CLI_JOBS_H
#define CLI_JOBS_H

#include "client/cli/cli.h"

/* All but kind and payload. `retry` is what job->retry points into. 0, or an exit code after a
 * message. */
int jobs_configure(const struct cli *cli, struct argosy_job *job, struct ag_retry_policy *retry);

/* All but the name. */
int jobs_configure_group(const struct cli *cli, struct argosy_group *group);

/* "now" and "HH:MM" are as the machine's clock and zone say. ARGOSY_EINVAL. */
int jobs_parse_time(const char *text, int64_t now_unix_ms, int64_t *unix_ms,
                    struct argosy_error *err);

#endif
