/* argosy-simulate: plays seeds, one process for each core, and says which one breaks a promise.
 *
 *     argosy-simulate --seeds N [--from SEED] [--plant BUG] [--trace] [--jobs N]
 *     argosy-simulate --orders[=EVENTS] [--plant BUG]
 *
 * Exit codes: 0 nothing was found, 1 something was, 2 usage.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker/core/plant.h"
#include "tests/simulation/sim.h"

enum { EXIT_FOUND = 1, EXIT_USAGE_ERROR = 2, JOBS_MAX = 64 };

struct wish {
    uint64_t seeds, from;
    bool traces;
    uint64_t orders; /* of so many events; 0: seeds instead */
    const char *plant;
    long jobs;
};

static const char *const plants[PLANTS_COUNT] = {
#define X(name, text, what) [PLANT_##name] = text,
    PLANTS(X)
#undef X
};

static int usage(FILE *out)
{
    fprintf(out,
            "usage: argosy-simulate --seeds N [--from SEED] [--plant BUG] [--trace] [--jobs N]\n"
            "       argosy-simulate --orders[=EVENTS] [--plant BUG]\n"
            "Plays seeds: a fleet in one process, with faults; exits 1 when a promise is broken.\n"
            "BUG is one that is planted into the broker, to see that it is found:\n");
#define X(name, text, what) fprintf(out, "  %-18s %s\n", text, what);
    PLANTS(X)
#undef X
    return out == stdout ? 0 : EXIT_USAGE_ERROR;
}

static bool plant(const char *name)
{
    for (int i = 0; i < PLANTS_COUNT; i++)
        if (strcmp(plants[i], name) == 0) {
            core_plant = (enum plant)i;
            return true;
        }
    return false;
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t current;

/* A broken assertion is a find like any other. */
static void on_crash(int number)
{
    char text[128];
    int size = snprintf(text, sizeof text,
                        "seed %" PRIu64
                        ": the program crashed, signal %d (--seeds 1 --from %" PRIu64 ")\n",
                        current, number, current);

    (void)!write(STDOUT_FILENO, text, (size_t)size);
    signal(number, SIG_DFL);
    raise(number);
}

/* Every `jobs`-th seed, beginning with this one's place. */
static int play(const struct wish *wish, long place)
{
    for (uint64_t i = (uint64_t)place; i < wish->seeds; i += (uint64_t)wish->jobs) {
        unsigned long events;
        const char *broken;

        current = wish->from + i;
        broken = sim_run(wish->from + i, wish->traces, &events);

        if (broken == NULL)
            continue;
        printf("seed %" PRIu64 ": %s\n"
               "replay: argosy-simulate --seeds 1 --from %" PRIu64 " --trace%s%s\n",
               wish->from + i, broken, wish->from + i, wish->plant ? " --plant " : "",
               wish->plant ? wish->plant : "");
        fflush(stdout);
        return EXIT_FOUND;
    }
    return 0;
}

static int play_all(const struct wish *wish)
{
    double begin = seconds();
    int code = 0;

    fflush(stdout);
    signal(SIGABRT, on_crash);
    signal(SIGSEGV, on_crash);
    if (wish->jobs == 1)
        code = play(wish, 0);
    for (long place = 0; wish->jobs > 1 && place < wish->jobs; place++) {
        pid_t pid = fork();

        if (pid == 0)
            exit(play(wish, place));
        if (pid < 0)
            return EXIT_USAGE_ERROR;
    }
    for (long place = 0; wish->jobs > 1 && place < wish->jobs; place++) {
        int status;

        if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
            code = EXIT_FOUND;
        if (WIFSIGNALED(status))
            printf("a simulation was ended by signal %d\n", WTERMSIG(status));
    }
    printf("%" PRIu64 " seeds from %" PRIu64 ": %s, %.1f s\n", wish->seeds, wish->from,
           code == 0 ? "nothing found" : "BROKEN", seconds() - begin);
    return code;
}

static int play_orders(unsigned events)
{
    double begin = seconds();
    unsigned long count = 0;
    const char *broken = orders_run(events, &count);

    if (broken != NULL)
        printf("%s\n", broken);
    printf("%lu orders: %s, %.1f s\n", count, broken == NULL ? "nothing found" : "BROKEN",
           seconds() - begin);
    return broken == NULL ? 0 : EXIT_FOUND;
}

static bool read_number(const char *text, uint64_t *out)
{
    char *end;

    *out = strtoull(text, &end, 10);
    return end != text && *end == '\0' && text[0] != '-';
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seeds", required_argument, NULL, 's'}, {"from", required_argument, NULL, 'f'},
        {"plant", required_argument, NULL, 'p'}, {"trace", no_argument, NULL, 't'},
        {"jobs", required_argument, NULL, 'j'},  {"orders", optional_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},        {0}};
    struct wish wish = {.jobs = sysconf(_SC_NPROCESSORS_ONLN)};
    uint64_t number = 0;
    int letter;

    while ((letter = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        bool is_fine = true;

        switch (letter) {
        case 's':
            is_fine = read_number(optarg, &wish.seeds);
            break;
        case 'f':
            is_fine = read_number(optarg, &wish.from);
            break;
        case 'p':
            wish.plant = optarg;
            is_fine = plant(optarg);
            break;
        case 't':
            wish.traces = true;
            break;
        case 'j':
            is_fine = read_number(optarg, &number) && number > 0 && number <= JOBS_MAX;
            wish.jobs = (long)number;
            break;
        case 'o':
            wish.orders = ORDERS_EVENTS_MAX;
            if (optarg != NULL)
                is_fine = read_number(optarg, &wish.orders) && wish.orders > 0 &&
                          wish.orders <= ORDERS_EVENTS_MAX;
            break;
        case 'h':
            return usage(stdout);
        default:
            return usage(stderr);
        }
        if (!is_fine) {
            fprintf(stderr, "argosy-simulate: '%s' cannot be understood; --help tells more\n",
                    optarg);
            return EXIT_USAGE_ERROR;
        }
    }
    if (optind < argc || (wish.seeds == 0) == (wish.orders == 0))
        return usage(stderr);
    if (wish.seeds == 1 || wish.traces)
        wish.jobs = 1;
    return wish.orders > 0 ? play_orders((unsigned)wish.orders) : play_all(&wish);
}
