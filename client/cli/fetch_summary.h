/* fetch_summary.h - what a batch of fetches came to, by host and by error: a small table at its
 * end.
 *
 * Start here: fetch_summary_add() for every end, fetch_summary_print() once.
 *
 * Bounds: FETCH_SUMMARY_HOSTS hosts and FETCH_SUMMARY_ERRORS types of errors are told apart,
 * however many there are; the rest is counted as "others".
 *
 * Threads: one at a time. Units: milliseconds, bytes.
 */
#ifndef CLI_FETCH_SUMMARY_H
#define CLI_FETCH_SUMMARY_H

#include <stdint.h>
#include <stdio.h>

#include <argosy/error.h>

enum { FETCH_SUMMARY_HOSTS = 1000, FETCH_SUMMARY_ERRORS = 100, FETCH_SUMMARY_ROWS = 10 };

typedef struct fetch_summary fetch_summary_t;

/* A job that has ended. */
struct fetch_end {
    const char *host;       /* "" if it is not known */
    const char *error_type; /* NULL: it succeeded */
    uint64_t bytes;
    uint32_t run_ms;
};

/* ARGOSY_ENOMEM. */
int fetch_summary_new(fetch_summary_t **out, struct argosy_error *err);
void fetch_summary_destroy(fetch_summary_t **self_p);

void fetch_summary_add(fetch_summary_t *self, const struct fetch_end *end);

/* Two tables of at most FETCH_SUMMARY_ROWS rows and their others; nothing for less than two jobs.
 */
void fetch_summary_print(const fetch_summary_t *self, FILE *out);

#endif
