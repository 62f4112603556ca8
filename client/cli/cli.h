/* cli.h - what the commands of `argosy` share: one struct, the table of commands, exit codes.
 *
 * stdout is data, stderr is for people. A command is a function that returns an exit code.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <argosy/argosy.h>
#include <jansson.h>

#include "common/id.h"
#include "common/options.h"

enum cli_exit {
    EXIT_ALL_WELL = 0,
    EXIT_SOME_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NO_BROKER = 3,
    EXIT_CANNOT = 3, /* look at the store */
    EXIT_TIMED_OUT = 4,
    EXIT_INTERRUPTED = 130
};

struct cli {
    const ag_options_t *options;
    argosy_client *client;        /* made by cli_connect() */
    const char *const *endpoints; /* of a private fleet; NULL: what --connect says */
    size_t endpoints_count;
    struct fleet *fleet; /* of `run`; else NULL */
    FILE *out;           /* results: stdout or --output */
    bool json, quiet;
    bool is_terminal; /* out is one */
};

/* One line on stderr: "argosy fetch: ...". Returns `code`. */
__attribute__((format(printf, 3, 4))) int cli_fail(const struct cli *cli, int code,
                                                   const char *format, ...);
/* The same for what a call of the library reported: the exit code follows from it. */
int cli_fail_with(const struct cli *cli, const struct argosy_error *err);

/* A line for people, not with --quiet. */
__attribute__((format(printf, 2, 3))) void cli_say(const struct cli *cli, const char *format, ...);

/* Make cli->client. 0 or an exit code. */
int cli_connect(struct cli *cli);

/* A name that nobody else has, nor guesses. 0 or an exit code after a message. */
int cli_make_name(const struct cli *cli, char out[AG_ID_TEXT_SIZE]);

/* How often SIGINT or SIGTERM came so far. */
int cli_interrupts(void);
void cli_catch_signals(void);

/* The commands. */
int cli_fetch(struct cli *cli);
int cli_analyze(struct cli *cli);
int cli_submit(struct cli *cli);
int cli_run(struct cli *cli);
int cli_wait(struct cli *cli);
int cli_result(struct cli *cli);
int cli_report(struct cli *cli);
int cli_cancel(struct cli *cli);
int cli_exec(struct cli *cli);
int cli_group(struct cli *cli);
int cli_schedule(struct cli *cli);
int cli_list(struct cli *cli);
int cli_show(struct cli *cli);
int cli_explain(struct cli *cli);
int cli_retry(struct cli *cli);
int cli_rm(struct cli *cli);
int cli_queues(struct cli *cli);
int cli_pause(struct cli *cli);
int cli_resume(struct cli *cli);
int cli_purge(struct cli *cli);
int cli_drain(struct cli *cli);
int cli_events(struct cli *cli);
int cli_top(struct cli *cli);
int cli_bench(struct cli *cli);
int cli_status(struct cli *cli);
int cli_workers(struct cli *cli);
int cli_check(struct cli *cli);
int cli_backup(struct cli *cli);
int cli_export(struct cli *cli);
int cli_help(struct cli *cli);

#endif
