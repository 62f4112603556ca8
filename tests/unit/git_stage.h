/* git_stage.h - for tests: repositories made with git in a folder of their own, and jobs over them.
 *
 * git runs with a home and an identity of the test's own. All fail the test when something fails.
 */
#ifndef GIT_STAGE_H
#define GIT_STAGE_H

#include <jansson.h>

#include "worker/analyze/analyze.h"

extern char stage_folder[64]; /* of the test; gone after it */

/* What jobs know besides the table's; NULL: nothing. */
extern const struct language_rows *stage_languages;

/* Threads that help with jobs. */
extern atomic_int stage_helpers;

int stage_set_up(void **state);
int stage_tear_down(void **state);

/* A shell command in the folder. */
__attribute__((format(printf, 1, 2))) void stage_run(const char *format, ...);

/* What a shell command prints, without its last newline; free() it. */
__attribute__((format(printf, 1, 2))) char *stage_ask(const char *format, ...);

void stage_put(const char *name, const void *data, size_t size);

/* A repository `name`, from a stream for git fast-import: commits with merges, directories that
 * come and go, links, binary files, files without a last newline; the same for the same seed. */
void stage_make_repository(const char *name, unsigned seed, unsigned commits);

/* One job; `json` is its payload without the path, which is below the folder. */
struct outcome stage_analyze(const char *path, const char *cache, const char *json);

/* One that gets what others have made: `inputs` as ag_proto_append_input() puts them together. */
struct outcome stage_analyze_inputs(const char *path, const char *cache, const char *json,
                                    struct ag_bytes inputs);

/* The same, for one that must succeed without a word: its result. */
json_t *stage_result(const char *path, const char *cache, const char *json);

/* The same, for one that must fail with this type; `says` must be in its message. */
void stage_fails(const char *path, const char *json, const char *type, const char *says);

json_t *stage_json(const struct ag_buffer *buffer);
json_int_t stage_number(const json_t *json, const char *outer, const char *inner);

#endif
