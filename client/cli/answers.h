/* answers.h - questions to the broker and their answers as JSON, for the commands that look and
 * order.
 *
 * Ownership: what comes back is yours to json_decref(). Threads: one.
 */
#ifndef CLI_ANSWERS_H
#define CLI_ANSWERS_H

#include "client/cli/cli.h"

/* Connect, ask, wait. `arguments` is a map, taken over; NULL: an empty one. 0, or an exit code
 * after a message; *body is NULL then. */
int answers_query(struct cli *cli, const char *verb, json_t *arguments, json_t **body);
int answers_control(struct cli *cli, const char *verb, json_t *arguments);

/* Wait for the answer to a request that was made. The same. */
int answers_wait(struct cli *cli, uint64_t request, json_t **body);

/* Calls fn for each job that the options of `list` select (--state, --kind, --queue, --group,
 * --only,
 * --not), until it returns another code than 0. *cursor (may be NULL) is where it ended: "" when
 * nothing is left; free() it. */
typedef int answers_job_fn(void *arg, const json_t *job);
int answers_each_job(struct cli *cli, uint64_t limit, char **cursor, answers_job_fn *fn, void *arg);

void answers_print(const struct cli *cli, const json_t *json);
long long answers_number(const json_t *json, const char *key);
const char *answers_text(const json_t *json, const char *key); /* "" if there is none */
bool answers_truth(const json_t *json, const char *key);

#endif
