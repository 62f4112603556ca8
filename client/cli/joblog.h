/* joblog.h - what became of each job of an input, in GNU parallel's format, and going on after it.
 *
 * Start here: joblog_open(), joblog_skips() for each job of the input, joblog_submitted() for those
 * that are not skipped, joblog_ended(). A line is written whole; Seq is the job's place in the
 * input from 1, also in a later run that does only what was left.
 *
 * Threads: one.
 */
#ifndef CLI_JOBLOG_H
#define CLI_JOBLOG_H

#include "client/cli/cli.h"

struct joblog {
    FILE *file;          /* NULL: there is none */
    uint8_t *done;       /* by Seq: to be skipped */
    size_t done_count;   /* its size */
    uint32_t *sequences; /* by the index in the batch */
    size_t count, capacity;
    uint64_t sequence; /* of the last job of the input */
    uint64_t skipped;
    bool is_broken; /* a line could not be written, and people have been told */
};

/* From --joblog, --resume and --resume-failed. 0 or an exit code after a message. */
int joblog_open(struct joblog *self, const struct cli *cli);

/* The next job of the input: whether it needs not be done again. */
bool joblog_skips(struct joblog *self);

/* It was added to the batch. False: no memory. */
bool joblog_submitted(struct joblog *self);

/* Its place in the input, from 1. */
uint32_t joblog_sequence(const struct joblog *self, uint32_t index);

void joblog_ended(struct joblog *self, const struct cli *cli, const struct argosy_event *event);

/* 0, or an exit code when the file is not whole. */
int joblog_close(struct joblog *self, const struct cli *cli);

#endif
