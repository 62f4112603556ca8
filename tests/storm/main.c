/* argosy-storm: starts a fleet of real processes, kills them with SIGKILL at random moments, lets
 * it come to rest, and checks what is left. A seed gives the same moments, but of course not the
 * same races.
 *
 *     argosy-storm run [--seconds N] [--seed S] [--rate JOBS] [--slow-disk MS] ...
 *     argosy-storm check DIR
 *
 * Only processes that it started are killed, and none of them outlives it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/random.h"
#include "tests/storm/check.h"
#include "tests/storm/storm.h"

enum what { BROKER, WORKER, CLIENT, WHATS_COUNT };

static const char *const names[WHATS_COUNT] = {"broker", "worker", "client"};

/* After a start or a kill: when the next of a sort is killed, and how long it stays away. */
static const struct {
    int64_t kill_min, kill_max, away_max;
} habits[WHATS_COUNT] = {{20, 800, 150}, {20, 800, 150}, {500, 4000, 500}};

enum {
    CHILDREN_MAX = 32,
    ARGS_MAX = 32,
    TICK_US = 1000,
    PATIENCE_MS = 60000, /* for clients and jobs to come to their end, once nothing is killed */
    STOP_MS = 20000,     /* for a program that was told to stop */
    CALM_PERCENT = 30,   /* of brokers live longer, so that there is something to lose */
    CALM_MS = 2500
};

struct child {
    enum what what;
    unsigned number;
    pid_t pid;        /* 0: to be started */
    int64_t start_at; /* when; or when it was */
};

struct storm {
    char folder[2048], endpoint[3000], store[3000];
    const char *heartbeat, *sleep_ms; /* of jobs that take their time */
    const char *slow_ms;              /* NULL: the disk is as fast as it is */
    int64_t seconds;
    uint64_t seed;
    pid_t pid; /* its own */
    unsigned rate, workers, clients;
    int log;
    struct child children[CHILDREN_MAX];
    unsigned children_count, numbers[WHATS_COUNT];
    int64_t kill_at[WHATS_COUNT];
    struct ag_random random;
};

static int64_t some(struct storm *self, int64_t min, int64_t max)
{
    return min + (int64_t)ag_random_below(&self->random, (uint64_t)(max - min + 1));
}

__attribute__((format(printf, 2, 3))) static void complain(const struct storm *self,
                                                           const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    storm_log(self->log, "E %" PRId64 " %s", ag_clock_mono_ms(), text);
    fprintf(stderr, "storm: %s\n", text);
}

/* ---- children ----------------------------------------------------------------------------------
 */

static void become(const struct storm *self, const struct child *child)
{
    char number[16], rate[16], store[3100], broker[3000], error[3000];
    const char *bin = getenv("ARGOSY_BIN");
    const char *self_path = "/proc/self/exe";
    const char *const as_broker[] = {
        "argosy-broker", "--bind",       self->endpoint, "--store", store, "--heartbeat",
        self->heartbeat, "--result-ttl", "24h",          "--grace", "5s",  NULL};
    const char *const as_worker[] = {"storm-worker", "worker", self->endpoint, self->folder, number,
                                     self->sleep_ms, NULL};
    const char *const as_client[] = {"storm-client", "client", self->endpoint, self->folder, number,
                                     rate,           NULL};
    const char *const *const argvs[WHATS_COUNT] = {as_broker, as_worker, as_client};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != self->pid)
        _exit(1);
    snprintf(number, sizeof number, "%u", child->number);
    snprintf(rate, sizeof rate, "%u", self->rate / self->clients);
    snprintf(store, sizeof store, "sqlite:%s", self->store);
    snprintf(broker, sizeof broker, "%s/argosy-broker", bin);
    snprintf(error, sizeof error, "%s/%s.%u.err", self->folder, names[child->what], child->number);
    dup2(open(error, O_WRONLY | O_CREAT | O_APPEND, 0600), STDERR_FILENO);
    setenv("XDG_CONFIG_HOME", self->folder, 1); /* no configuration of whoever runs the tests */
    if (child->what == BROKER && self->slow_ms != NULL && atoi(self->slow_ms) > 0) {
        setenv("STORM_SLOW_MS", self->slow_ms, 1);
        setenv("LD_PRELOAD", STORM_SLOW_LIBRARY, 1);
    }
    execv(child->what == BROKER ? broker : self_path, (char *const *)argvs[child->what]);
    fprintf(stderr, "cannot run it: %s\n", strerror(errno));
    _exit(127);
}

/* It begins with SIGTERM blocked: told to stop before it can listen, it listens as soon as it can.
 */
static void start(struct storm *self, struct child *child)
{
    sigset_t stop, before;

    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, &before);
    child->number = ++self->numbers[child->what];
    child->start_at = ag_clock_mono_ms();
    child->pid = fork();
    if (child->pid == 0)
        become(self, child);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (child->pid < 0) {
        perror("fork");
        exit(3);
    }
}

/* The epoch that a broker has told when it was ready; 0 if it never was. */
static uint64_t epoch_of(const struct storm *self, unsigned number)
{
    char path[3000], *line = NULL, *found;
    uint64_t epoch = 0;
    size_t room = 0;
    FILE *file;

    snprintf(path, sizeof path, "%s/broker.%u.err", self->folder, number);
    file = fopen(path, "r");
    if (file == NULL)
        return 0;
    while (epoch == 0 && getline(&line, &room, file) > 0)
        if ((found = strstr(line, " epoch=")) != NULL)
            epoch = strtoull(found + 7, NULL, 10);
    free(line);
    fclose(file);
    return epoch;
}

static void has_ended(struct storm *self, struct child *child, int64_t start_again_at)
{
    if (child->what == BROKER)
        storm_log(self->log, "L %" PRId64 " %" PRIu64 " %" PRId64 " %" PRId64, ag_clock_mono_ms(),
                  epoch_of(self, child->number), child->start_at, ag_clock_mono_ms());
    child->pid = 0;
    child->start_at = start_again_at;
}

static int code_of(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Whoever ends without being told to. */
static void look_after(struct storm *self)
{
    int status;

    for (unsigned i = 0; i < self->children_count; i++) {
        struct child *child = &self->children[i];

        if (child->pid > 0 && waitpid(child->pid, &status, WNOHANG) == child->pid) {
            complain(self, "%s %u ended by itself with %d", names[child->what], child->number,
                     code_of(status));
            has_ended(self, child, ag_clock_mono_ms());
        }
        if (child->pid == 0 && child->start_at <= ag_clock_mono_ms())
            start(self, child);
    }
}

static void kill_one(struct storm *self, struct child *child)
{
    int status;

    storm_log(self->log, "K %" PRId64 " %s %u", ag_clock_mono_ms(), names[child->what],
              child->number);
    kill(child->pid, SIGKILL);
    waitpid(child->pid, &status, 0);
    if (code_of(status) != STORM_KILLED)
        complain(self, "%s %u ended by itself with %d", names[child->what], child->number,
                 code_of(status));
    has_ended(self, child, ag_clock_mono_ms() + some(self, 0, habits[child->what].away_max));
}

/* One of a sort that lives; NULL: none does. */
static struct child *some_child(struct storm *self, enum what what)
{
    struct child *found = NULL;
    uint64_t seen = 0;

    for (unsigned i = 0; i < self->children_count; i++)
        if (self->children[i].what == what && self->children[i].pid > 0 &&
            ag_random_below(&self->random, ++seen) == 0)
            found = &self->children[i];
    return found;
}

static void set_next_kill(struct storm *self, enum what what)
{
    int64_t wait = some(self, habits[what].kill_min, habits[what].kill_max);

    if (what == BROKER && some(self, 0, 99) < CALM_PERCENT)
        wait += some(self, 0, CALM_MS);
    self->kill_at[what] = ag_clock_mono_ms() + wait;
}

static void kill_what_is_due(struct storm *self)
{
    for (int what = 0; what < WHATS_COUNT; what++) {
        struct child *child;

        if (ag_clock_mono_ms() < self->kill_at[what])
            continue;
        child = some_child(self, (enum what)what);
        if (child != NULL) {
            kill_one(self, child);
            set_next_kill(self, (enum what)what);
        }
    }
}

/* ---- the end -----------------------------------------------------------------------------------
 */

/* Tell all of a sort to stop, and wait for it. */
static void stop_all(struct storm *self, enum what what, int64_t patience_ms)
{
    int64_t until = ag_clock_mono_ms() + patience_ms;

    for (unsigned i = 0; i < self->children_count; i++)
        if (self->children[i].what == what && self->children[i].pid > 0)
            kill(self->children[i].pid, SIGTERM);
    for (unsigned i = 0; i < self->children_count; i++) {
        struct child *child = &self->children[i];
        int status = 0;

        if (child->what != what || child->pid == 0)
            continue;
        while (waitpid(child->pid, &status, WNOHANG) == 0 && ag_clock_mono_ms() < until)
            usleep(TICK_US);
        if (ag_clock_mono_ms() >= until) {
            complain(self, "%s %u does not stop", names[what], child->number);
            kill(child->pid, SIGKILL);
            waitpid(child->pid, &status, 0);
        } else if (code_of(status) != 0) {
            complain(self, "%s %u stopped with %d", names[what], child->number, code_of(status));
        }
        has_ended(self, child, INT64_MAX);
    }
}

static int64_t open_jobs(const struct storm *self)
{
    sqlite3_stmt *row = NULL;
    int64_t count = -1;
    sqlite3 *db;

    if (sqlite3_open_v2(self->store, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "SELECT (SELECT count(*) FROM job) - (SELECT count(*) FROM outcome)",
                           -1, &row, NULL) == SQLITE_OK &&
        sqlite3_step(row) == SQLITE_ROW)
        count = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    sqlite3_close(db);
    return count;
}

static void wait_for_jobs(struct storm *self)
{
    int64_t until = ag_clock_mono_ms() + PATIENCE_MS;
    int64_t left;

    while ((left = open_jobs(self)) != 0 && ag_clock_mono_ms() < until) {
        look_after(self);
        usleep(100 * TICK_US);
    }
    if (left != 0)
        complain(self, "%" PRId64 " jobs do not end", left);
}

static void come_to_rest(struct storm *self)
{
    int64_t begin = ag_clock_mono_ms();

    storm_log(self->log, "Q %" PRId64, begin);
    for (unsigned i = 0; i < self->children_count; i++)
        if (self->children[i].pid == 0)
            self->children[i].start_at = begin;
    look_after(self);
    stop_all(self, CLIENT, PATIENCE_MS);
    wait_for_jobs(self);
    printf("at rest after %" PRId64 " ms\n", ag_clock_mono_ms() - begin);
    stop_all(self, WORKER, STOP_MS);
    stop_all(self, BROKER, STOP_MS);
}

/* ---- the storm ---------------------------------------------------------------------------------
 */

static void add_children(struct storm *self, enum what what, unsigned count)
{
    while (count-- > 0 && self->children_count < CHILDREN_MAX)
        self->children[self->children_count++] = (struct child){.what = what};
    set_next_kill(self, what);
}

static int prepare(struct storm *self)
{
    static char made[] = "/tmp/argosy-storm-XXXXXX";

    if (self->folder[0] == '\0') {
        if (mkdtemp(made) == NULL) {
            perror(made);
            return -1;
        }
        snprintf(self->folder, sizeof self->folder, "%s", made);
    } else {
        mkdir(self->folder, 0700);
    }
    snprintf(self->store, sizeof self->store, "%s/jobs.db", self->folder);
    if (self->endpoint[0] == '\0')
        snprintf(self->endpoint, sizeof self->endpoint, "ipc://%s/broker", self->folder);
    self->pid = getpid();
    self->log = storm_log_open(self->folder, "storm", 0);
    ag_random_seed(&self->random, self->seed);
    return 0;
}

static void rage(struct storm *self)
{
    int64_t begin = ag_clock_mono_ms();

    storm_log(self->log, "O %" PRId64 " %" PRId64, begin, ag_clock_unix_ms() - begin);
    add_children(self, BROKER, 1);
    add_children(self, WORKER, self->workers);
    add_children(self, CLIENT, self->clients);
    while (ag_clock_mono_ms() < begin + self->seconds * 1000) {
        look_after(self);
        kill_what_is_due(self);
        usleep(TICK_US);
    }
}

static int check(const char *folder)
{
    struct check_report report;
    char store[3000];

    snprintf(store, sizeof store, "%s/jobs.db", folder);
    if (check_run(folder, store, &report) < 0)
        return 3;
    check_print(&report, stdout);
    return check_violations(&report) > 0;
}

static int run(struct storm *self)
{
    bool is_ours = self->folder[0] == '\0';
    char command[3000];
    int code;

    if (getenv("ARGOSY_BIN") == NULL) {
        fprintf(stderr, "storm: ARGOSY_BIN must say where argosy-broker is\n");
        return 2;
    }
    if (prepare(self) < 0)
        return 3;
    printf("storm: --seed %" PRIu64 " --seconds %" PRId64 " in %s\n", self->seed, self->seconds,
           self->folder);
    fflush(stdout);
    rage(self);
    come_to_rest(self);
    code = check(self->folder);
    if (code != 0 || !is_ours) {
        printf("its logs are in %s\n", self->folder);
        return code;
    }
    snprintf(command, sizeof command, "rm -rf '%s'", self->folder);
    return system(command) == 0 ? 0 : 3;
}

static int usage(void)
{
    fprintf(stderr,
            "usage: argosy-storm run [--seconds N] [--seed S] [--rate JOBS] [--workers N] "
            "[--clients N] [--heartbeat TIME] [--sleep MS] [--slow-disk MS] [--bind ENDPOINT] "
            "[--folder DIR]\n"
            "       argosy-storm check DIR\n");
    return 2;
}

static int read_options(struct storm *self, char **argv)
{
    for (; argv[0] != NULL; argv += 2) {
        const char *name = argv[0], *value = argv[1];

        if (value == NULL)
            return usage();
        if (strcmp(name, "--seconds") == 0)
            self->seconds = atoll(value);
        else if (strcmp(name, "--seed") == 0)
            self->seed = strtoull(value, NULL, 10);
        else if (strcmp(name, "--rate") == 0)
            self->rate = (unsigned)atoi(value);
        else if (strcmp(name, "--workers") == 0)
            self->workers = (unsigned)atoi(value);
        else if (strcmp(name, "--clients") == 0)
            self->clients = (unsigned)atoi(value);
        else if (strcmp(name, "--heartbeat") == 0)
            self->heartbeat = value;
        else if (strcmp(name, "--sleep") == 0)
            self->sleep_ms = value;
        else if (strcmp(name, "--slow-disk") == 0)
            self->slow_ms = value;
        else if (strcmp(name, "--bind") == 0)
            snprintf(self->endpoint, sizeof self->endpoint, "%s", value);
        else if (strcmp(name, "--folder") == 0)
            snprintf(self->folder, sizeof self->folder, "%s", value);
        else
            return usage();
    }
    return self->clients > 0 && self->workers > 0 ? 0 : usage();
}

int main(int argc, char **argv)
{
    static struct storm storm = {.heartbeat = "100ms",
                                 .sleep_ms = "30",
                                 .seconds = 10,
                                 .rate = 2400, /* of which kills leave more than 2,000 */
                                 .workers = 4,
                                 .clients = 3};

    if (argc > 1 && strcmp(argv[1], "worker") == 0)
        return storm_worker(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "client") == 0)
        return storm_client(argc - 1, argv + 1);
    if (argc == 3 && strcmp(argv[1], "check") == 0)
        return check(argv[2]);
    if (argc < 2 || strcmp(argv[1], "run") != 0)
        return usage();
    storm.seed = (uint64_t)ag_clock_unix_ms();
    if (read_options(&storm, argv + 2) != 0)
        return 2;
    return run(&storm);
}
