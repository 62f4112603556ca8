/* argosy run: what `argosy KIND` does, on a fleet of its own. */
#include <string.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "client/cli/fleet.h"
#include "common/options.h"

enum {
    FETCH_SLOTS = 256, /* a worker's default */
    SLOTS_MAX = 6000   /* with its read-ahead, what one worker may hold */
};

static uint32_t count_workers(const ag_options_t *options)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t workers = ag_options_whole(options, AG_OPT_WORKERS);

    if (workers > 0)
        return workers;
    return cores < 1 ? 1 : cores > 64 ? 64 : (uint32_t)cores;
}

int cli_run(struct cli *cli)
{
    const ag_options_t *options = cli->options;
    const char *kind = ag_options_operands(options)[0], *endpoint;
    enum ag_command command = ag_command_find(kind, NULL);
    bool is_fetch = command == AG_COMMAND_FETCH;
    struct argosy_error err = {0};
    struct fleet_config config = {.workers = count_workers(options), .kind = kind};
    uint32_t concurrency = ag_options_whole(options, AG_OPT_CONCURRENCY);
    fleet_t *fleet;
    int code;

    config.level = cli->quiet ? "error" : ag_options_text(options, AG_OPT_CLIENT_LOG);
    if (is_fetch && concurrency > FETCH_SLOTS * config.workers) {
        config.slots = (concurrency + config.workers - 1) / config.workers;
        config.slots = config.slots > SLOTS_MAX ? SLOTS_MAX : config.slots;
    }
    cli_catch_signals();
    if (fleet_start(&fleet, &config, &err) < 0)
        return cli_fail(cli, EXIT_NO_BROKER, "%s", err.message);
    endpoint = fleet_endpoint(fleet);
    cli->endpoints = &endpoint;
    cli->endpoints_count = 1;
    cli->fleet = fleet;
    code = is_fetch                     ? cli_fetch(cli)
           : command == AG_COMMAND_EXEC ? cli_exec(cli)
                                        : cli_analyze(cli);
    argosy_client_destroy(&cli->client);
    fleet_stop(&fleet);
    cli->fleet = NULL;
    return code;
}
