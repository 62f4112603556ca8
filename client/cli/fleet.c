#include "client/cli/fleet.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/error.h"

enum {
    REPLACEMENTS_MAX = 10, /* then something is wrong that another worker will not cure */
    STOP_MS = 5000,        /* for an orderly end; then they are killed */
    ARGUMENTS_MAX = 32
};

struct fleet {
    struct fleet_config config;
    char folder[256], endpoint[300], parent[16], slots[64];
    pid_t broker;
    pid_t *workers;
    unsigned replacements;
};

extern char **environ;

/* Beside ourselves, else wherever PATH has it. */
static void find_program(const char *name, char *out, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", out, size - 1);
    char *slash;

    out[length > 0 ? length : 0] = '\0';
    slash = strrchr(out, '/');
    if (slash != NULL) {
        snprintf(slash + 1, size - (size_t)(slash + 1 - out), "%s", name);
        if (access(out, X_OK) == 0)
            return;
    }
    snprintf(out, size, "%s", name);
}

/* In a process group of its own, so that Ctrl-C reaches us alone. */
static int spawn(const char *name, char *const *arguments, pid_t *pid, struct argosy_error *err)
{
    char path[4096];
    posix_spawnattr_t attributes;
    sigset_t none;
    int rc;

    find_program(name, path, sizeof path);
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    rc = posix_spawnp(pid, path, NULL, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    if (rc != 0) {
        *pid = 0;
        return ag_fail(err, ARGOSY_EIO, "cannot start %s: %s; is it installed beside argosy?", name,
                       strerror(rc));
    }
    return 0;
}

static int start_broker(fleet_t *self, struct argosy_error *err)
{
    const char *const arguments[] = {
        "argosy-broker",    "--bind",   self->endpoint, "--log",
        self->config.level, "--config", "/dev/null",    "--with-parent",
        self->parent,       "--grace",  "0s",           "--store",
        self->config.store, NULL};

    return spawn("argosy-broker", (char *const *)arguments, &self->broker, err);
}

static int start_worker(fleet_t *self, uint32_t place, struct argosy_error *err)
{
    const char *arguments[ARGUMENTS_MAX];
    char name[32];
    size_t count = 0;

    snprintf(name, sizeof name, "w-%u", place + 1);
#define ADD(text) arguments[count++] = (text)
    ADD("argosy-worker");
    ADD("--connect"), ADD(self->endpoint);
    ADD("--name"), ADD(name);
    ADD("--kinds"), ADD(self->config.kinds);
    if (self->config.slots > 0)
        ADD("--slots"), ADD(self->slots);
    ADD("--allow-net"), ADD("any");
    ADD("--allow-proxy"), ADD("any");
    ADD("--allow-scheme"), ADD("http,https,ftp,ftps,sftp,file");
    ADD("--root"), ADD("/");
    if (self->config.cache != NULL)
        ADD("--cache"), ADD(self->config.cache);
    ADD("--allow-exec"), ADD("*");
    ADD("--log"), ADD(self->config.level);
    ADD("--config"), ADD("/dev/null");
    ADD("--with-parent"), ADD(self->parent);
    ADD("--grace"), ADD("0s");
#undef ADD
    arguments[count] = NULL;
    return spawn("argosy-worker", (char *const *)arguments, &self->workers[place], err);
}

int fleet_start(fleet_t **out, const struct fleet_config *config, struct argosy_error *err)
{
    fleet_t *self = calloc(1, sizeof *self);
    const char *temporary = getenv("TMPDIR");
    int rc;

    *out = NULL;
    if (self == NULL || (self->workers = calloc(config->workers, sizeof *self->workers)) == NULL) {
        free(self);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a fleet");
    }
    self->config = *config;
    /* A socket's path is short; a long TMPDIR would not fit. */
    if (temporary == NULL || temporary[0] != '/' || strlen(temporary) > 60)
        temporary = "/tmp";
    snprintf(self->folder, sizeof self->folder, "%s/argosy-XXXXXX", temporary);
    if (mkdtemp(self->folder) == NULL) {
        rc = ag_fail(err, ARGOSY_EIO, "cannot make a directory in %s: %s", temporary,
                     strerror(errno));
        self->folder[0] = '\0';
        fleet_stop(&self);
        return rc;
    }
    snprintf(self->endpoint, sizeof self->endpoint, "ipc://%s/broker", self->folder);
    snprintf(self->parent, sizeof self->parent, "%d", (int)getpid());
    snprintf(self->slots, sizeof self->slots, "%s=%u", config->kinds, config->slots);
    rc = start_broker(self, err);
    for (uint32_t i = 0; i < config->workers && rc == 0; i++)
        rc = start_worker(self, i, err);
    if (rc < 0)
        fleet_stop(&self);
    *out = self;
    return rc;
}

const char *fleet_endpoint(const fleet_t *self)
{
    return self->endpoint;
}

int fleet_look_after(fleet_t *self, struct argosy_error *err)
{
    if (waitpid(self->broker, NULL, WNOHANG) == self->broker) {
        self->broker = 0;
        return ag_fail(err, ARGOSY_EIO, "the private broker has ended; what it said is above");
    }
    for (uint32_t i = 0; i < self->config.workers; i++) {
        int status, rc;

        if (self->workers[i] == 0 || waitpid(self->workers[i], &status, WNOHANG) == 0)
            continue;
        self->workers[i] = 0;
        if (self->replacements++ >= REPLACEMENTS_MAX)
            return ag_fail(err, ARGOSY_EIO, "%u private workers have died, the last %s %d",
                           self->replacements, WIFSIGNALED(status) ? "by signal" : "with status",
                           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        rc = start_worker(self, i, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* SIGTERM, some time, SIGKILL. */
static void stop_processes(pid_t *pids, uint32_t count)
{
    int64_t until = ag_clock_mono_ms() + STOP_MS;
    uint32_t alive = count;

    for (uint32_t i = 0; i < count; i++)
        if (pids[i] != 0)
            kill(pids[i], SIGTERM);
    while (alive > 0) {
        bool late = ag_clock_mono_ms() >= until;

        alive = 0;
        for (uint32_t i = 0; i < count; i++) {
            if (pids[i] != 0 && waitpid(pids[i], NULL, WNOHANG) != 0)
                pids[i] = 0;
            if (pids[i] != 0 && late)
                kill(pids[i], SIGKILL);
            alive += pids[i] != 0;
        }
        if (alive > 0)
            usleep(1000);
    }
}

void fleet_stop(fleet_t **self_p)
{
    fleet_t *self = *self_p;

    if (self == NULL)
        return;
    stop_processes(self->workers, self->config.workers); /* they say goodbye to the broker */
    stop_processes(&self->broker, 1);
    if (self->folder[0] != '\0')
        rmdir(self->folder); /* the broker has removed it, unless it never came to it */
    free(self->workers);
    free(self);
    *self_p = NULL;
}
