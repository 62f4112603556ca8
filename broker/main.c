/* argosy-broker: reads its options, starts the reactor, says how it ended. */
#include <czmq.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/calendar.h"
#include "broker/reactor.h"
#include "common/clock.h"
#include "common/endpoint.h"
#include "common/entropy.h"
#include "common/error.h"
#include "common/log.h"
#include "common/options.h"
#include "common/process.h"
#include "common/zpl/zpl.h"

enum { EXIT_USAGE = 2, EXIT_CANNOT = 3 };
enum { SESSIONS_MAX = 16384, BEGIN_AGAIN_TRIES = 30, BEGIN_AGAIN_MS = 1000 };

static void name_it(const ag_options_t *options, char *out, size_t size)
{
    const char *given = ag_options_text(options, AG_OPT_NAME);
    char host[AG_NAME_BYTES_MAX - 8] = "broker";

    if (given == NULL) {
        gethostname(host, sizeof host - 1);
        host[sizeof host - 1] = '\0';
    }
    snprintf(out, size, "%s", given ? given : host);
}

static int configure(const ag_options_t *options, struct reactor_config *config,
                     struct argosy_error *err)
{
    uint8_t random[AG_ID_RANDOM_BYTES];
    int64_t unix_ms = ag_clock_unix_ms();
    int rc;

    rc = ag_entropy(&config->core.seed, sizeof config->core.seed, err);
    if (rc == 0)
        rc = ag_entropy(random, sizeof random, err);
    if (rc < 0)
        return rc;
    config->id = ag_id_make(unix_ms, random);
    config->owns_folder = ag_options_given(options, AG_OPT_WITH_PARENT); /* a private fleet's */
    config->grace_ms = ag_options_ms(options, AG_OPT_BROKER_GRACE);
    config->core.calendar = calendar_of_system();
    config->core.unix_offset_ms = unix_ms - ag_clock_mono_ms();
    config->core.heartbeat_ms = ag_options_ms(options, AG_OPT_HEARTBEAT);
    config->core.grace_ms = config->grace_ms;
    config->core.result_ttl_ms = ag_options_ms(options, AG_OPT_RESULT_TTL);
    config->core.jobs_max = ag_options_whole(options, AG_OPT_JOBS_MAX);
    config->core.bytes_max = ag_options_bytes(options, AG_OPT_MEMORY_MAX);
    config->core.sessions_max = SESSIONS_MAX;
    return store_open(&config->store, ag_options_text(options, AG_OPT_STORE), (uint64_t)unix_ms,
                      err);
}

/* *began: it did serve, so what ended it was its store. */
static int serve(const ag_options_t *options, bool *began, struct argosy_error *err)
{
    static char standard[AG_ENDPOINT_SIZE];
    const char *const standard_list[] = {standard};
    char name[AG_NAME_BYTES_MAX + 1];
    struct reactor_config config = {.name = name};
    reactor_t *reactor;
    int rc;

    config.endpoints = ag_options_list(options, AG_OPT_BIND, &config.endpoints_count);
    if (config.endpoints_count == 0) {
        rc = ag_endpoint_default(standard, err);
        if (rc < 0)
            return rc;
        config.endpoints = standard_list;
        config.endpoints_count = 1;
    }
    name_it(options, name, sizeof name);
    rc = configure(options, &config, err);
    if (rc == 0)
        rc = reactor_new(&reactor, &config, err);
    if (rc < 0)
        return rc;
    *began = true;
    rc = reactor_run(reactor, err);
    reactor_destroy(&reactor);
    return rc;
}

/* When a write has failed nobody knows what the disk holds (doc/decisions/0008): everything is
 * forgotten and read again, as after a crash, while clients and workers wait. */
static int serve_on(const ag_options_t *options, struct argosy_error *err)
{
    bool began = false;
    int rc = serve(options, &began, err);

    for (int tries = 0; rc < 0 && began && tries < BEGIN_AGAIN_TRIES; tries++) {
        bool again = false;

        ag_log_error("broker", "beginning anew from what the store holds",
                     ag_kv("reason", err->message), ag_kv("try", tries + 1));
        zclock_sleep(BEGIN_AGAIN_MS);
        *err = (struct argosy_error){0};
        rc = serve(options, &again, err);
        if (again)
            tries = 0;
    }
    return rc;
}

static int check_endpoints(const ag_options_t *options, struct argosy_error *err)
{
    size_t count;
    const char *const *endpoints = ag_options_list(options, AG_OPT_BIND, &count);

    for (size_t i = 0; i < count; i++)
        if (ag_endpoint_check(endpoints[i], true, err) < 0)
            return ag_fail_in(err, ARGOSY_EINVAL, "argosy-broker: %s",
                              ag_options_where(options, AG_OPT_BIND));
    return 0;
}

static int check_store(const ag_options_t *options, struct argosy_error *err)
{
    const char *text = ag_options_text(options, AG_OPT_STORE);

    if (text != NULL && store_check(text, err) < 0)
        return ag_fail_in(err, ARGOSY_EINVAL, "argosy-broker: %s",
                          ag_options_where(options, AG_OPT_STORE));
    return 0;
}

int main(int argc, char **argv)
{
    struct argosy_error err = {0};
    struct ag_log_config log = {.program = "argosy-broker"};
    ag_options_t *options;
    int rc;

    if (ag_options_new(&options, AG_COMMAND_BROKER, argc, argv, ag_zpl_read, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        return EXIT_USAGE;
    }
    if (ag_options_print_wanted(options, stdout)) {
        ag_options_destroy(&options);
        return 0;
    }
    if (check_endpoints(options, &err) < 0 || check_store(options, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        ag_options_destroy(&options);
        return EXIT_USAGE;
    }
    ag_options_log(options, &log);
    ag_log_start(&log);
    zsys_handler_set(NULL);
    umask(077); /* its sockets are for its user only */
    rc = ag_process_prepare(ag_options_whole(options, AG_OPT_WITH_PARENT), &err);
    if (rc == 0)
        rc = serve_on(options, &err);
    if (rc < 0)
        ag_log_error("broker", "cannot serve", ag_kv("reason", err.message));
    ag_log_stop();
    zsys_shutdown();
    ag_options_destroy(&options);
    return rc < 0 ? EXIT_CANNOT : 0;
}
