/* argosy-worker: reads its options, makes the engines it offers, runs the loop. */
#include <argosy/version.h>
#include <czmq.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/endpoint.h"
#include "common/entropy.h"
#include "common/error.h"
#include "common/log.h"
#include "common/options.h"
#include "common/process.h"
#include "common/zpl/zpl.h"
#include "worker/analyze/analyze.h"
#include "worker/analyze/language_file.h"
#include "worker/exec/exec.h"
#include "worker/fetch/fetch.h"
#include "worker/loop.h"
#include "worker/noop.h"

enum { EXIT_USAGE = 2, EXIT_CANNOT = 3 };
enum { HEARTBEAT_MS = 2000 }; /* until the broker says another */

struct worker {
    const ag_options_t *options;
    struct loop_config loop;
    char **argv;
    struct analyze_roots roots;
    uint32_t threads; /* of the pool */
    atomic_int helpers;
    language_file_t *language_file;
    struct language_rows languages;
    struct policy_config policy;
    secrets_t *secrets;
    struct handler *handlers[AG_KINDS_MAX];
    pool_t *pool; /* made when the first kind needs it */
    char endpoint[AG_ENDPOINT_SIZE];
    const char *endpoint_list[1];
    char name[AG_NAME_BYTES_MAX + 1], host[256];
};

/* ---- the kinds that this program can do
 * ---------------------------------------------------------- */

static int make_fetch(struct worker *self, unsigned place, uint32_t slots, struct argosy_error *err)
{
    struct loop_source *source = &self->loop.sources[self->loop.sources_count];
    const ag_options_t *options = self->options;
    const char *secrets = ag_options_text(options, AG_OPT_SECRETS);
    struct fetch_config config = {.slots = slots,
                                  .ca_file = ag_options_text(options, AG_OPT_WORKER_CA_FILE),
                                  .policy = &self->policy,
                                  .host = self->host};
    int rc = secrets != NULL ? secrets_load(&self->secrets, secrets, err) : 0;

    if (rc < 0)
        return rc;
    config.secrets = self->secrets;
    config.roots = ag_options_list(options, AG_OPT_ROOT, &config.roots_count);
    self->policy =
        (struct policy_config){.nets = ag_options_list(options, AG_OPT_ALLOW_NET, NULL),
                               .ports = ag_options_list(options, AG_OPT_ALLOW_PORT, NULL),
                               .schemes = ag_options_list(options, AG_OPT_ALLOW_SCHEME, NULL),
                               .proxies = ag_options_list(options, AG_OPT_ALLOW_PROXY, NULL)};
    rc = fetch_handler_new(&self->handlers[place], &config, err);
    if (rc < 0)
        return rc;
    *source = (struct loop_source){.fd = fetch_fd(self->handlers[place]),
                                   .turn = fetch_turn,
                                   .deadline = fetch_deadline,
                                   .arg = self->handlers[place]};
    self->loop.sources_count++;
    return 0;
}

static void collect(void *pool, int64_t now)
{
    (void)now;
    pool_collect(pool);
}

static int make_pool(struct worker *self, struct argosy_error *err)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (self->pool != NULL)
        return 0;
    self->threads = ag_options_whole(self->options, AG_OPT_THREADS);
    if (self->threads == 0)
        self->threads = cores > 0 ? (uint32_t)cores : 1;
    self->pool = pool_new(self->threads, err);
    if (self->pool == NULL)
        return err->code;
    self->loop.sources[self->loop.sources_count++] =
        (struct loop_source){.fd = pool_fd(self->pool), .turn = collect, .arg = self->pool};
    return 0;
}

static int make_analyze(struct worker *self, unsigned place, uint32_t slots,
                        struct argosy_error *err)
{
    const char *path = ag_options_text(self->options, AG_OPT_LANGUAGES);
    int rc = make_pool(self, err);

    if (rc == 0 && path != NULL)
        rc = language_file_load(&self->language_file, path, err);
    if (rc < 0)
        return rc;
    self->languages = language_file_rows(self->language_file);
    self->roots.languages = &self->languages;
    self->roots.paths = ag_options_list(self->options, AG_OPT_ROOT, &self->roots.count);
    self->roots.cache = ag_options_text(self->options, AG_OPT_CACHE);
    atomic_init(&self->helpers, (int)self->threads - 1); /* with its own a job may have all */
    self->roots.helpers = &self->helpers;
    return analyze_handler_new(&self->handlers[place], self->pool, &self->roots, slots, err);
}

static int make_exec(struct worker *self, unsigned place, uint32_t slots, struct argosy_error *err)
{
    struct loop_source *source = &self->loop.sources[self->loop.sources_count];
    struct exec_config config = {.slots = slots};
    int rc;

    config.allow = ag_options_list(self->options, AG_OPT_ALLOW_EXEC, &config.allow_count);
    config.roots = ag_options_list(self->options, AG_OPT_ROOT, &config.roots_count);
    rc = exec_handler_new(&self->handlers[place], &config, err);
    if (rc < 0)
        return rc;
    *source = (struct loop_source){.fd = exec_fd(self->handlers[place]),
                                   .turn = exec_turn,
                                   .deadline = exec_deadline,
                                   .arg = self->handlers[place]};
    self->loop.sources_count++;
    return 0;
}

struct kind {
    const char *name;
    uint32_t ahead_percent; /* of its slots, waiting here besides: hides the way to the broker */
    int (*make)(struct worker *self, unsigned place, uint32_t slots, struct argosy_error *err);
};

static int make_noop(struct worker *self, unsigned place, uint32_t slots, struct argosy_error *err)
{
    return noop_handler_new(&self->handlers[place], slots, err);
}

static const struct kind kinds[] = {
    {"fetch", 25, make_fetch},
    {"analyze", 50, make_analyze},
    {"exec", 50, make_exec},
    {"noop", 100, make_noop},
};

static int make_kind(struct worker *self, const char *name, struct argosy_error *err)
{
    struct wcore_config *core = &self->loop.core;
    unsigned place = core->kinds_count;
    uint32_t slots = 0;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, name) != 0)
            continue;
        for (unsigned k = 0; k < place; k++)
            if (strcmp(core->kinds[k].name, name) == 0)
                return 0; /* named twice */
        if (!ag_options_count(self->options, AG_OPT_SLOTS, name, &slots) || slots == 0)
            return ag_fail(err, ARGOSY_EINVAL, "--slots gives no slot to the kind '%s'", name);
        snprintf(core->kinds[place].name, sizeof core->kinds[place].name, "%s", name);
        core->kinds[place].slots = slots;
        core->kinds[place].ahead = (slots * kinds[i].ahead_percent + 99) / 100;
        core->kinds_count++;
        return kinds[i].make(self, place, slots, err);
    }
    return ag_fail(err, ARGOSY_EINVAL,
                   "'%s' is not a kind that this worker can do (fetch, analyze, exec, noop)", name);
}

/* ---- configuration
 * --------------------------------------------------------------------------------- */

static int configure_endpoints(struct worker *self, struct argosy_error *err)
{
    struct loop_config *loop = &self->loop;
    int rc = 0;

    loop->endpoints = ag_options_list(self->options, AG_OPT_CONNECT, &loop->endpoints_count);
    if (loop->endpoints_count == 0) {
        rc = ag_endpoint_default(self->endpoint, err);
        self->endpoint_list[0] = self->endpoint;
        loop->endpoints = self->endpoint_list;
        loop->endpoints_count = 1;
    }
    for (size_t i = 0; i < loop->endpoints_count && rc == 0; i++)
        rc = ag_endpoint_check(loop->endpoints[i], false, err);
    return rc;
}

static int name_it(struct worker *self, struct argosy_error *err)
{
    const char *given = ag_options_text(self->options, AG_OPT_NAME);
    uint8_t random[AG_ID_RANDOM_BYTES];
    int rc = ag_entropy(random, sizeof random, err);

    if (rc < 0)
        return rc;
    gethostname(self->host, sizeof self->host - 1);
    self->loop.instance = ag_id_make(ag_clock_unix_ms(), random);
    if (given != NULL)
        snprintf(self->name, sizeof self->name, "%s", given);
    else
        snprintf(self->name, sizeof self->name, "%.48s-%02x%02x", self->host, random[0], random[1]);
    self->loop.name = self->name;
    self->loop.host = self->host;
    self->loop.software = "argosy-worker " ARGOSY_VERSION;
    self->loop.tags = ag_options_list(self->options, AG_OPT_TAG, &self->loop.tags_count);
    if (self->loop.tags_count > AG_TAGS_MAX)
        return ag_fail(err, ARGOSY_EINVAL, "more than %d tags", AG_TAGS_MAX);
    return 0;
}

static int check_credit(const struct wcore_config *core, struct argosy_error *err)
{
    uint32_t credit = 0;

    for (unsigned i = 0; i < core->kinds_count; i++)
        credit += core->kinds[i].slots + core->kinds[i].ahead;
    if (credit > WCORE_CREDIT_MAX)
        return ag_fail(err, ARGOSY_EINVAL,
                       "--slots: with its read-ahead the worker would hold %u jobs, more than %d; "
                       "start several workers",
                       credit, WCORE_CREDIT_MAX);
    return 0;
}

/* By default a worker does not offer what it allows nobody. */
static bool is_useless(const struct worker *self, const char *kind)
{
    return strcmp(kind, "exec") == 0 && !ag_options_given(self->options, AG_OPT_KINDS) &&
           !ag_options_given(self->options, AG_OPT_ALLOW_EXEC);
}

static int configure(struct worker *self, struct argosy_error *err)
{
    size_t count;
    const char *const *names = ag_options_list(self->options, AG_OPT_KINDS, &count);
    int rc = configure_endpoints(self, err);

    self->loop.grace_ms = ag_options_ms(self->options, AG_OPT_WORKER_GRACE);
    self->loop.core.heartbeat_ms = HEARTBEAT_MS;
    if (rc == 0)
        rc = name_it(self, err);
    for (size_t i = 0; i < count && rc == 0; i++)
        if (!is_useless(self, names[i]))
            rc = make_kind(self, names[i], err);
    if (rc == 0)
        rc = check_credit(&self->loop.core, err);
    for (unsigned i = 0; i < self->loop.core.kinds_count; i++)
        self->loop.handlers[i] = self->handlers[i];
    return rc;
}

/* The same process with the same words, and nothing of before. */
static void start_anew(char **argv)
{
    sigset_t none;

    ag_log_flush();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv("/proc/self/exe", argv);
    ag_log_error("worker", "cannot start anew: leaving", ag_kv("reason", strerror(errno)));
    ag_log_stop();
    _exit(EXIT_CANNOT);
}

static int work(struct worker *self, struct argosy_error *err)
{
    loop_t *loop;
    int rc = loop_new(&loop, &self->loop, err);

    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < self->loop.core.kinds_count; i++)
        ag_log_info("worker", "offers", ag_kv("kind", self->loop.core.kinds[i].name),
                    ag_kv("slots", self->loop.core.kinds[i].slots));
    ag_log_info("worker", "ready", ag_kv("name", self->name), ag_kv("version", ARGOSY_VERSION),
                ag_kv("broker", self->loop.endpoints[0]));
    rc = loop_run(loop, err);
    if (loop_wants_restart(loop)) { /* its thread cannot be ended, and what it uses not be freed */
        loop_close(loop);
        start_anew(self->argv);
    }
    pool_destroy(&self->pool); /* its last items speak to the loop */
    for (unsigned i = 0; i < self->loop.core.kinds_count; i++)
        if (self->handlers[i] != NULL)
            self->handlers[i]->destroy(&self->handlers[i]);
    loop_destroy(&loop);
    return rc;
}

static void clean_up(struct worker *self)
{
    pool_destroy(&self->pool);
    for (unsigned i = 0; i < AG_KINDS_MAX; i++)
        if (self->handlers[i] != NULL)
            self->handlers[i]->destroy(&self->handlers[i]);
    secrets_destroy(&self->secrets);
    language_file_destroy(&self->language_file);
}

int main(int argc, char **argv)
{
    static struct worker worker;
    struct argosy_error err = {0};
    struct ag_log_config log = {.program = "argosy-worker"};
    ag_options_t *options;
    int rc;

    if (ag_options_new(&options, AG_COMMAND_WORKER, argc, argv, ag_zpl_read, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        return EXIT_USAGE;
    }
    if (ag_options_print_wanted(options, stdout)) {
        ag_options_destroy(&options);
        return 0;
    }
    ag_options_log(options, &log);
    ag_log_start(&log);
    setlocale(LC_CTYPE, "C.UTF-8"); /* libcurl's reading of names that are not ASCII */
    zsys_handler_set(NULL);
    worker.options = options;
    worker.argv = argv;
    rc = ag_process_prepare(ag_options_whole(options, AG_OPT_WITH_PARENT), &err);
    if (rc == 0)
        rc = configure(&worker, &err);
    if (rc == 0)
        rc = work(&worker, &err);
    clean_up(&worker);
    if (rc == ARGOSY_EINVAL)
        fprintf(stderr, "argosy-worker: %s\n", err.message);
    else if (rc < 0)
        ag_log_error("worker", "cannot work", ag_kv("reason", err.message));
    ag_log_stop();
    zsys_shutdown();
    ag_options_destroy(&options);
    return rc == ARGOSY_EINVAL ? EXIT_USAGE : rc < 0 ? EXIT_CANNOT : 0;
}
