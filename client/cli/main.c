/* argosy: finds the command, reads its options, runs it. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "common/clock.h"
#include "common/entropy.h"
#include "common/log.h"
#include "common/zpl/zpl.h"

/* ---- what commands share
 * ------------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 0))) static void say(const struct cli *cli, const char *format,
                                                      va_list args)
{
    fprintf(stderr, "%s: ", ag_command_row(ag_options_command(cli->options))->title);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

int cli_fail(const struct cli *cli, int code, const char *format, ...)
{
    va_list args;

    fflush(cli->out);
    va_start(args, format);
    say(cli, format, args);
    va_end(args);
    return code;
}

int cli_fail_with(const struct cli *cli, const struct argosy_error *err)
{
    static const int unreachable[] = {ARGOSY_ENOBROKER, ARGOSY_EREJECTED};
    int code = EXIT_USAGE;

    for (size_t i = 0; i < 2; i++)
        if (err->code == unreachable[i])
            code = EXIT_NO_BROKER;
    if (err->code == ARGOSY_EIO && cli->fleet != NULL)
        code = EXIT_NO_BROKER;
    return cli_fail(cli, code, "%s", err->message);
}

void cli_say(const struct cli *cli, const char *format, ...)
{
    va_list args;

    if (cli->quiet)
        return;
    va_start(args, format);
    say(cli, format, args);
    va_end(args);
}

int cli_make_name(const struct cli *cli, char out[AG_ID_TEXT_SIZE])
{
    uint8_t random[AG_ID_RANDOM_BYTES];
    struct argosy_error err = {0};
    struct ag_id id;

    if (ag_entropy(random, sizeof random, &err) < 0)
        return cli_fail_with(cli, &err);
    id = ag_id_make(ag_clock_unix_ms(), random);
    ag_id_print(&id, out);
    return 0;
}

int cli_connect(struct cli *cli)
{
    struct argosy_error err = {0};
    struct argosy_client_config config = {.endpoints = cli->endpoints,
                                          .endpoints_count = cli->endpoints_count,
                                          .broker_timeout_ms =
                                              ag_options_ms(cli->options, AG_OPT_BROKER_TIMEOUT)};

    if (config.endpoints_count == 0)
        config.endpoints = ag_options_list(cli->options, AG_OPT_CONNECT, &config.endpoints_count);
    if (config.broker_timeout_ms == 0)
        config.broker_timeout_ms = 1; /* only look */
    if (argosy_client_new(&cli->client, &config, &err) < 0)
        return cli_fail_with(cli, &err);
    return 0;
}

static volatile sig_atomic_t interrupts;

static void on_signal(int number)
{
    (void)number;
    if (interrupts < 100)
        interrupts++;
}

int cli_interrupts(void)
{
    return interrupts;
}

void cli_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: waits are cut short */

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int cli_help(struct cli *cli)
{
    char *const *operands = ag_options_operands(cli->options);
    const char *nearest;
    enum ag_command command;
    char page[64];

    if (operands[0] == NULL) {
        printf("usage: argosy COMMAND [OPTION...]\n\n");
        ag_commands_print(stdout);
        return 0;
    }
    command = ag_command_find(operands[0], &nearest);
    if (command == AG_COMMAND_COUNT)
        return cli_fail(cli, EXIT_USAGE, "'%s' is not a command%s%s", operands[0],
                        nearest ? "; did you mean " : "", nearest ? nearest : "");
    snprintf(page, sizeof page, "%s",
             command == AG_COMMAND_BROKER   ? "argosy-broker"
             : command == AG_COMMAND_WORKER ? "argosy-worker"
                                            : "argosy");
    if (isatty(STDOUT_FILENO)) {
        execlp("man", "man", page, (char *)NULL);
        cli_say(cli, "no manual pages here (%s); this is --help:", strerror(errno));
    }
    ag_options_print_help(command, ag_command_bits(command, NULL), stdout);
    return 0;
}

/* ---- commands
 * ------------------------------------------------------------------------------------------- */

static int (*const commands[AG_COMMAND_COUNT])(struct cli *cli) = {
    [AG_COMMAND_RUN] = cli_run,           [AG_COMMAND_FETCH] = cli_fetch,
    [AG_COMMAND_ANALYZE] = cli_analyze,   [AG_COMMAND_SUBMIT] = cli_submit,
    [AG_COMMAND_WAIT] = cli_wait,         [AG_COMMAND_RESULT] = cli_result,
    [AG_COMMAND_REPORT] = cli_report,     [AG_COMMAND_CANCEL] = cli_cancel,
    [AG_COMMAND_STATUS] = cli_status,     [AG_COMMAND_WORKERS] = cli_workers,
    [AG_COMMAND_EXEC] = cli_exec,         [AG_COMMAND_GROUP] = cli_group,
    [AG_COMMAND_SCHEDULE] = cli_schedule, [AG_COMMAND_LIST] = cli_list,
    [AG_COMMAND_SHOW] = cli_show,         [AG_COMMAND_EXPLAIN] = cli_explain,
    [AG_COMMAND_RETRY] = cli_retry,       [AG_COMMAND_RM] = cli_rm,
    [AG_COMMAND_QUEUES] = cli_queues,     [AG_COMMAND_PAUSE] = cli_pause,
    [AG_COMMAND_RESUME] = cli_resume,     [AG_COMMAND_PURGE] = cli_purge,
    [AG_COMMAND_DRAIN] = cli_drain,       [AG_COMMAND_EVENTS] = cli_events,
    [AG_COMMAND_BENCH] = cli_bench,       [AG_COMMAND_TOP] = cli_top,
    [AG_COMMAND_CHECK] = cli_check,       [AG_COMMAND_BACKUP] = cli_backup,
    [AG_COMMAND_EXPORT] = cli_export,     [AG_COMMAND_HELP] = cli_help,
};

/* `argosy broker` is argosy-broker, beside this program or wherever PATH has it. */
static int become(const char *program, char **argv)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 64);
    char *slash;

    path[length > 0 ? length : 0] = '\0';
    slash = strrchr(path, '/');
    argv[0] = (char *)program;
    if (slash != NULL) {
        strcpy(slash + 1, program);
        execv(path, argv);
    }
    execvp(program, argv);
    fprintf(stderr, "argosy: cannot start %s: %s\n", program, strerror(errno));
    return EXIT_USAGE;
}

static int open_output(struct cli *cli)
{
    const char *path = ag_options_text(cli->options, AG_OPT_OUTPUT);

    if (path == NULL)
        return 0;
    cli->out = fopen(path, "we");
    if (cli->out == NULL) {
        cli->out = stdout;
        return cli_fail(cli, EXIT_USAGE, "--output: cannot write %s: %s", path, strerror(errno));
    }
    return 0;
}

/* What was written must have arrived, or the exit code says so. */
static int close_output(struct cli *cli, int code)
{
    bool broken = ferror(cli->out) != 0;

    errno = 0;
    if (fflush(cli->out) != 0 || broken) {
        if (errno == EPIPE)
            return code;
        return cli_fail(cli, code != 0 ? code : EXIT_SOME_FAILED, "cannot write the results: %s",
                        strerror(errno != 0 ? errno : EIO));
    }
    if (cli->out != stdout)
        fclose(cli->out);
    return code;
}

static int run(enum ag_command command, const ag_options_t *options)
{
    struct ag_log_config log = {.program = "argosy"};
    struct cli cli = {.options = options,
                      .out = stdout,
                      .json = ag_options_flag(options, AG_OPT_JSON),
                      .quiet = ag_options_flag(options, AG_OPT_QUIET)};
    int code = open_output(&cli);

    if (code != 0)
        return code;
    ag_options_log(options, &log);
    ag_log_start(&log);
    cli.is_terminal = isatty(fileno(cli.out)) == 1;
    __fsetlocking(cli.out, FSETLOCKING_BYCALLER); /* one thread writes, a million small pieces */
    code = commands[command](&cli);
    argosy_client_destroy(&cli.client);
    code = close_output(&cli, code);
    ag_log_stop();
    return code;
}

static int usage(FILE *out)
{
    fprintf(out, "usage: argosy COMMAND [OPTION...]\n\n");
    ag_commands_print(out);
    fprintf(out, "\nargosy COMMAND --help tells more; argosy --version tells the version.\n");
    return out == stdout ? 0 : EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct argosy_error err = {0};
    const char *nearest;
    enum ag_command command;
    ag_options_t *options;
    int code;

    if (argc < 2)
        return usage(stderr);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return usage(stdout);
    if (strcmp(argv[1], "--version") == 0) {
        printf("argosy %s\n", ARGOSY_VERSION);
        return 0;
    }
    command = ag_command_find(argv[1], &nearest);
    if (command == AG_COMMAND_COUNT) {
        fprintf(stderr, "argosy: '%s' is not a command%s%s; argosy --help lists them\n", argv[1],
                nearest ? "; did you mean " : "", nearest ? nearest : "");
        return EXIT_USAGE;
    }
    if (command == AG_COMMAND_BROKER || command == AG_COMMAND_WORKER)
        return become(command == AG_COMMAND_BROKER ? "argosy-broker" : "argosy-worker", argv + 1);
    if (ag_options_new(&options, command, argc - 1, argv + 1, ag_zpl_read, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        return EXIT_USAGE;
    }
    signal(SIGPIPE, SIG_DFL); /* a reader that has enough ends us quietly */
    if (ag_options_print_wanted(options, stdout))
        code = 0;
    else
        code = run(command, options);
    ag_options_destroy(&options);
    return code;
}
