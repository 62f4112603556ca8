/* The engine: which transfers run, and what they share. Each one is transfer.c's matter. */
#include "worker/fetch/fetch.h"

#include <errno.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/entropy.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/list.h"
#include "worker/fetch/transfer.h"

enum {
    DUE_BUDGET_US = 2000, /* of a turn, for what is due */
    DISK_THREADS = 4,     /* disks are waited for, not computed on: more than cores is right */
    /* One for so many transfers; they start when names wait. A name takes some 50 ms. */
    NAME_TRANSFERS = 4,
    NAME_THREADS_MIN = 8,
    NAME_THREADS_MAX = 64
};

struct fetch {
    struct handler handler;
    struct fetch_config config;
    char **roots;
    struct transfer_shared shared;
    struct transfer *transfers;
    struct transfer *free;
    struct ag_heap timers;
};

static struct fetch *of(const struct handler *handler)
{
    return AG_OWNER(handler, struct fetch, handler);
}

/* ---- attempts
 * ---------------------------------------------------------------------------------------- */

static void fetch_start(struct handler *handler, struct task *task)
{
    struct fetch *self = of(handler);
    struct transfer *transfer = self->free;

    if (transfer == NULL) { /* the loop keeps to our slots; this would be its mistake */
        outcome_fail(&task->outcome, "handler.slots", true, NULL, "no slot is free");
        task_finish(task);
        return;
    }
    self->free = transfer->next_free;
    task->handler_data = transfer;
    transfer_begin(transfer, task);
}

/* The outcome is written. The loop is told last: it may start the next one. */
static void on_ended(struct transfer *transfer, struct task *task)
{
    struct fetch *self = AG_OWNER(transfer->shared, struct fetch, shared);

    transfer->next_free = self->free;
    self->free = transfer;
    task_finish(task);
}

static void fetch_stop(struct handler *handler, struct task *task)
{
    (void)handler;
    transfer_stop(task->handler_data);
}

/* ---- a turn
 * ------------------------------------------------------------------------------------------- */

static void on_finished(void *arg, void *private, CURLcode code)
{
    (void)arg;
    transfer_on_finished(private, code);
}

static void on_names(void *arg, int64_t now)
{
    struct fetch *self = arg;

    resolver_collect(self->shared.resolver, now);
}

static void on_disk(void *arg, int64_t now)
{
    struct fetch *self = arg;

    (void)now;
    pool_collect(self->shared.disk);
}

static void on_archive(void *arg, int64_t now)
{
    struct fetch *self = arg;

    (void)now;
    archive_collect(self->shared.archive);
}

/* What became due while sockets were looked at: a thousand may time out at once, or wait for one
 * name or robots.txt. What is left over is due in the next turn. */
static void act_on_due(struct fetch *self, int64_t now)
{
    int64_t until = ag_clock_mono_us() + DUE_BUDGET_US;
    struct ag_timer *first;

    while ((first = ag_heap_first(&self->timers)) != NULL && first->at <= now) {
        ag_heap_stop(&self->timers, first);
        transfer_on_timer(AG_OWNER(first, struct transfer, timer), now);
        if (ag_clock_mono_us() > until)
            break;
    }
    while (robots_cache_tell(self->shared.robots) && ag_clock_mono_us() < until)
        continue;
}

void fetch_turn(void *handler, int64_t now)
{
    struct fetch *self = of(handler);

    self->shared.turn_ends_us = ag_clock_mono_us() + TRANSFER_TURN_US;
    shards_turn(self->shared.shards, now);
    act_on_due(self, now);
    archive_on_timer(self->shared.archive, now);
}

int fetch_fd(const struct handler *handler)
{
    return shards_fd(of(handler)->shared.shards);
}

int64_t fetch_deadline(const void *handler)
{
    const struct fetch *self = of(handler);
    const struct ag_timer *first = ag_heap_first(&self->timers);
    int64_t at = shards_deadline(self->shared.shards);
    int64_t archive = archive_deadline(self->shared.archive);

    if (robots_cache_is_telling(self->shared.robots))
        return 0;
    if (first != NULL && first->at < at)
        at = first->at;
    return archive < at ? archive : at;
}

/* ---- life
 * ---------------------------------------------------------------------------------------------- */

static void fetch_destroy(struct handler **handler_p)
{
    struct fetch *self = of(*handler_p);
    struct transfer_shared *shared = &self->shared;

    robots_cache_destroy(&shared->robots); /* first: else those who leave would wake others */
    for (unsigned i = 0; self->transfers != NULL && i < self->config.slots; i++)
        transfer_fini(&self->transfers[i]);
    if (shared->archive != NULL)
        archive_stop(shared->archive); /* its exchanges have files on the disk */
    pool_destroy(&shared->disk);       /* what is left of files is removed meanwhile */
    archive_destroy(&shared->archive);
    resolver_destroy(&shared->resolver);
    shards_destroy(&shared->shards);
    jars_destroy(&shared->jars);
    curl_share_cleanup(shared->share);
    X509_STORE_free(shared->store);
    EVP_MD_free(shared->sha256);
    for (size_t i = 0; i < shared->roots_count; i++)
        free(self->roots[i]);
    policy_destroy(&shared->policy);
    ag_heap_fini(&self->timers);
    free(shared->versions);
    free(self->roots);
    free(self->transfers);
    free(self);
    *handler_p = NULL;
}

static bool add_root(struct fetch *self, char *root)
{
    if (root != NULL)
        self->roots[self->shared.roots_count++] = root;
    return root != NULL;
}

/* Jobs may name a root as it was given or as it is without links. */
static int resolve_roots(struct fetch *self, struct argosy_error *err)
{
    self->roots = calloc(2 * self->config.roots_count + 1, sizeof *self->roots);
    if (self->roots == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for roots");
    self->shared.roots = (const char *const *)self->roots;
    for (size_t i = 0; i < self->config.roots_count; i++) {
        const char *given = self->config.roots[i];

        if (!add_root(self, realpath(given, NULL)))
            return ag_fail(err, ARGOSY_EINVAL, "--root: %s: %s", given, strerror(errno));
        if (given[0] == '/' && !add_root(self, strdup(given)))
            return ag_fail(err, ARGOSY_ENOMEM, "no memory for roots");
    }
    return 0;
}

static int make_transfers(struct fetch *self, struct argosy_error *err)
{
    self->transfers = calloc(self->config.slots, sizeof *self->transfers);
    if (self->transfers == NULL || ag_heap_reserve(&self->timers, self->config.slots) < 0)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for %u transfers", self->config.slots);
    for (unsigned i = self->config.slots; i-- > 0;) {
        if (!transfer_init(&self->transfers[i], &self->shared, i))
            return ag_fail(err, ARGOSY_ENOMEM, "no memory for %u transfers", self->config.slots);
        self->transfers[i].next_free = self->free;
        self->free = &self->transfers[i];
    }
    return 0;
}

static int make_tables(struct fetch *self, struct argosy_error *err)
{
    struct transfer_shared *shared = &self->shared;
    uint64_t seed;
    int rc = ag_entropy(&seed, sizeof seed, err);

    shared->share = curl_share_init();
    shared->jars = jars_new();
    shared->versions = calloc(1, sizeof *shared->versions);
    shared->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (shared->sha256 == NULL || shared->share == NULL || shared->jars == NULL ||
        shared->versions == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for fetches");
    curl_share_setopt(shared->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    if (rc == 0)
        rc = robots_cache_new(&shared->robots, "argosy", ROBOTS_ORIGINS_MAX, ROBOTS_CACHE_BYTES_MAX,
                              seed, err);
    return rc;
}

/* Threads, and the descriptors by which they are heard. */
static int make_threads(struct fetch *self, struct argosy_error *err)
{
    struct resolver_config names = resolver_defaults();
    struct transfer_shared *shared = &self->shared;
    unsigned wanted = self->config.slots / NAME_TRANSFERS;
    int rc;

    names.threads = wanted < NAME_THREADS_MIN   ? NAME_THREADS_MIN
                    : wanted > NAME_THREADS_MAX ? NAME_THREADS_MAX
                                                : wanted;
    rc = resolver_new(&shared->resolver, &names, err);
    if (rc == 0)
        rc = archive_new(&shared->archive, self->config.host, shared->roots, shared->roots_count,
                         err);
    if (rc == 0 && (shared->disk = pool_new(DISK_THREADS, err)) == NULL)
        rc = err->code;
    if (rc == 0)
        rc = shards_watch(shared->shards, resolver_fd(shared->resolver), on_names, self, err);
    if (rc == 0)
        rc = shards_watch(shared->shards, pool_fd(shared->disk), on_disk, self, err);
    if (rc == 0)
        rc = shards_watch(shared->shards, archive_fd(shared->archive), on_archive, self, err);
    return rc;
}

static int make_all(struct fetch *self, struct argosy_error *err)
{
    static const struct policy_config strict;
    const struct fetch_config *config = &self->config;
    int rc =
        policy_new(&self->shared.policy, config->policy != NULL ? config->policy : &strict, err);

    if (rc == 0 && config->ca_file != NULL && access(config->ca_file, R_OK) < 0)
        rc = ag_fail(err, ARGOSY_EINVAL, "--ca-file: %s: %s", config->ca_file, strerror(errno));
    if (rc == 0)
        rc = resolve_roots(self, err);
    if (rc == 0)
        rc = make_tables(self, err);
    if (rc == 0)
        rc = shards_new(&self->shared.shards, config->slots, on_finished, self, err);
    if (rc == 0)
        rc = make_threads(self, err);
    return rc == 0 ? make_transfers(self, err) : rc;
}

int fetch_handler_new(struct handler **out, const struct fetch_config *config,
                      struct argosy_error *err)
{
    struct fetch *self = calloc(1, sizeof *self);
    struct handler *handler;
    int rc;

    *out = NULL;
    if (config->slots == 0 || config->slots > AG_SLOTS_MAX) {
        free(self);
        return ag_fail(err, ARGOSY_EINVAL, "a worker has 1 to %d slots for fetches, not %u",
                       AG_SLOTS_MAX, config->slots);
    }
    if (self == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(self);
        return ag_fail(err, ARGOSY_ENOMEM, "cannot start libcurl");
    }
    self->config = *config;
    self->shared.config = &self->config;
    self->shared.timers = &self->timers;
    self->shared.ended = on_ended;
    self->handler = (struct handler){.kind = "fetch",
                                     .slots = config->slots,
                                     .start = fetch_start,
                                     .stop = fetch_stop,
                                     .destroy = fetch_destroy};
    handler = &self->handler;
    rc = make_all(self, err);
    if (rc < 0)
        fetch_destroy(&handler);
    *out = handler;
    return rc;
}
