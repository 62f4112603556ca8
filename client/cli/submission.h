/* submission.h - one batch from the command line: jobs in, results and progress out, a report.
 *
 * Start here: submission_run(). Commands bring a source of payloads and a way to print a result.
 */
#ifndef CLI_SUBMISSION_H
#define CLI_SUBMISSION_H

#include "client/cli/cli.h"
#include "common/buffer.h"

/* Where jobs come from. */
struct job_source {
    const char *kind;
    const char *title; /* of the batch, without --group: "fetch urls.txt" */
    /* The next payload into `payload` (msgpack, cleared before): 1; 0 none yet, ask again (fd tells
     * when); -1 no more; an ARGOSY_E* below -1 is final, with err. */
    int (*next)(void *arg, struct ag_buffer *payload, struct argosy_error *err);
    void *arg;
    /* What the job that next() has just made shares a limit by; "" nothing. May be NULL. */
    const char *(*key)(void *arg);
    /* Of how many parts the job is made that next() has just made; 0: it is done by itself. Else
     * part() makes each of them: it may change *job, which is what the options say, and sets its
     * kind, and its payload unless that is `payload` (msgpack); 0 or negative. They are a group,
     * called parts_title(), in which the job itself comes after all of them. NULL: no job is. */
    unsigned (*parts)(void *arg);
    int (*part)(void *arg, unsigned index, struct argosy_job *job, struct ag_buffer *payload,
                struct argosy_error *err);
    const char *(*parts_title)(void *arg);
    /* Told of every job that has ended; returns how many bytes it has brought, for the progress
     * line. May be NULL. */
    uint64_t (*ended)(void *arg, const struct argosy_event *event);
};

/* How a result is shown to people (not with --json); writes whole lines. */
typedef void print_result_fn(const struct cli *cli, const struct argosy_event *event, FILE *out);

/* Submit, follow, print, report. Returns the exit code. */
int submission_run(struct cli *cli, const struct job_source *source, print_result_fn *print);

/* {"job": ..., "state": ...} of a job that has ended. */
json_t *event_to_json(const struct argosy_event *event);

/* Print one ended job as --json or in words; bytes, no buffering of its own. */
void print_event(const struct cli *cli, const struct argosy_event *event, print_result_fn *print,
                 FILE *out);

/* The report of a batch, if anything failed: text to stderr; with --json a {"report": ...} line. */
void print_report(const struct cli *cli, const argosy_report *report, bool always_json);

/* 0, 1 or 4, by how a batch ended. */
int exit_code_of(const struct argosy_event *ended, const argosy_report *report);

/* What every kind shows when nothing better is known: "succeeded 31ms 01J... ". */
void print_plain(const struct cli *cli, const struct argosy_event *event, FILE *out);

#endif
