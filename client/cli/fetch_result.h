/* fetch_result.h - the few things that are shown of a fetch's result, read where they stand.
 *
 * A result has some forty values, most of them headers; making objects of all to print one line is
 * most of what the client would do. What is not what it should be reads as empty or 0.
 *
 * Ownership: texts point into the event. Threads: plain data. Units: bytes.
 */
#ifndef CLI_FETCH_RESULT_H
#define CLI_FETCH_RESULT_H

#include <argosy/client.h>
#include <stdio.h>

#include "client/cli/cli.h"
#include "common/bytes.h"

struct fetch_result {
    struct ag_bytes url, file;
    uint64_t status, bytes;
};

/* Zeroed when the job has none. */
struct fetch_result fetch_result_read(const struct argosy_event *event);

/* A line for people: STATUS SIZE TIME URL [FILE], or the error's type in place of the status. */
void fetch_result_print(const struct cli *cli, const struct argosy_event *event, FILE *out);

#endif
