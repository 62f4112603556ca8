/* argosy run: what `argosy KIND` does, on a fleet of its own. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/store/store.h"
#include "client/cli/answers.h"
#include "client/cli/cli.h"
#include "client/cli/fleet.h"
#include "common/options.h"

enum {
    FETCH_SLOTS = 256, /* a worker's default */
    SLOTS_MAX = 6000,  /* with its read-ahead, what one worker may hold */
    REST_MS = 200      /* between two looks at what is left */
};

static uint32_t count_workers(const ag_options_t *options)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t workers = ag_options_whole(options, AG_OPT_WORKERS);

    if (workers > 0)
        return workers;
    return cores < 1 ? 1 : cores > 64 ? 64 : (uint32_t)cores;
}

/* What waits, runs or is about to; -1 when the broker did not answer. */
static long long open_jobs(struct cli *cli)
{
    static const char *const states[] = {"scheduled", "blocked", "queued", "running", "cancelling"};
    const json_t *jobs;
    json_t *status;
    long long count = 0;

    if (answers_query(cli, "status", NULL, &status) != 0)
        return -1;
    jobs = json_object_get(status, "jobs");
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        count += answers_number(jobs, states[i]);
    json_decref(status);
    return count;
}

/* A store has kept what an earlier run was cut off from: that is done to its end. */
static int do_the_rest(struct cli *cli)
{
    long long left = open_jobs(cli);
    struct argosy_event event;

    if (left > 0)
        cli_say(cli, "%lld jobs of earlier runs go on", left);
    while (left > 0 && cli_interrupts() == 0) {
        if (argosy_client_next(cli->client, REST_MS, &event, NULL) < 0)
            return EXIT_NO_BROKER;
        left = open_jobs(cli);
    }
    return cli_interrupts() > 0 ? EXIT_INTERRUPTED : left < 0 ? EXIT_NO_BROKER : EXIT_ALL_WELL;
}

/* Where workers remember counts: what was asked for, else the user's cache, as the XDG Base
 * Directory Specification 0.8 has it; NULL: nowhere. */
static const char *cache_of(const ag_options_t *options, char path[PATH_MAX])
{
    const char *given = ag_options_text(options, AG_OPT_RUN_CACHE);
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int size = -1;

    if (given != NULL)
        return strcmp(given, "none") != 0 ? given : NULL;
    if (cache != NULL && cache[0] == '/')
        size = snprintf(path, PATH_MAX, "%s/argosy", cache);
    else if (home != NULL && home[0] == '/')
        size = snprintf(path, PATH_MAX, "%s/.cache/argosy", home);
    return size > 0 && size < PATH_MAX ? path : NULL;
}

int cli_run(struct cli *cli)
{
    const ag_options_t *options = cli->options;
    const char *kind = ag_options_operands(options)[0], *endpoint;
    enum ag_command command = ag_command_find(kind, NULL);
    bool is_fetch = command == AG_COMMAND_FETCH;
    struct argosy_error err = {0};
    struct fleet_config config = {
        .workers = count_workers(options),
        .kinds = command == AG_COMMAND_ANALYZE ? "fetch,analyze" : kind}; /* sources may be URLs */
    uint32_t concurrency = ag_options_whole(options, AG_OPT_CONCURRENCY);
    char cache[PATH_MAX];
    fleet_t *fleet;
    int code;

    config.level = cli->quiet ? "error" : ag_options_text(options, AG_OPT_CLIENT_LOG);
    if (is_fetch && concurrency > FETCH_SLOTS * config.workers) {
        config.slots = (concurrency + config.workers - 1) / config.workers;
        config.slots = config.slots > SLOTS_MAX ? SLOTS_MAX : config.slots;
    }
    config.store = ag_options_text(options, AG_OPT_RUN_STORE);
    if (store_check(config.store, &err) < 0)
        return cli_fail(cli, EXIT_USAGE, "--store: %s", err.message);
    if (command == AG_COMMAND_ANALYZE)
        config.cache = cache_of(options, cache);
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
    if (strcmp(config.store, "memory") != 0 && code <= EXIT_SOME_FAILED) {
        int rest = do_the_rest(cli);

        code = rest > code ? rest : code;
    }
    argosy_client_destroy(&cli->client);
    fleet_stop(&fleet);
    cli->fleet = NULL;
    return code;
}
