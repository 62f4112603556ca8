/* meter.c - runs a client and tells what it took, there and in the programs that served it.
 *
 *     meter [-n PID] [-b PID] [-w PID] [-s PORT] [-o FILE] COMMAND [ARGUMENT...]
 *
 * -n, -b, -w  the server, the broker, the worker: their CPU is taken before and after
 * -s          where nginx tells its counters, as /status
 * -o          where the command's standard output goes (default: /dev/null)
 *
 * One line: seconds, requests and connections that the server has counted, CPU seconds of the
 * command with its children, of broker, worker and server, by how many KiB the worker's peak memory
 * has grown, that peak, and the peak of the command or of the largest of its children. What was not
 * asked for is 0.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SERVER, BROKER, WORKER, PARTIES_COUNT };

struct sample {
    double cpu[PARTIES_COUNT]; /* seconds */
    long requests, connections, peak_kb;
};

static pid_t parties[PARTIES_COUNT]; /* 0: none */
static uint16_t status_port;         /* 0: none */

static double seconds_of(clockid_t clock)
{
    struct timespec time;

    if (clock_gettime(clock, &time) != 0)
        err(1, "cannot read a clock");
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* /proc has hundredths only; this clock has nanoseconds, and threads that have ended. */
static double cpu_of(pid_t pid)
{
    clockid_t clock;

    if (pid == 0)
        return 0;
    if ((errno = clock_getcpuclockid(pid, &clock)) != 0)
        err(1, "process %d", (int)pid);
    return seconds_of(clock);
}

/* The peak begins anew, so that what came before does not hide growth. */
static void forget_peak(pid_t pid)
{
    char path[64];
    int fd;

    snprintf(path, sizeof path, "/proc/%d/clear_refs", (int)pid);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "5", 1) != 1)
        err(1, "%s", path);
    close(fd);
}

static long peak_kb_of(pid_t pid)
{
    char path[64], line[256];
    long peak_kb = -1;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    if (file == NULL)
        err(1, "%s", path);
    while (peak_kb < 0 && fgets(line, sizeof line, file) != NULL)
        sscanf(line, "VmHWM: %ld", &peak_kb);
    fclose(file);
    if (peak_kb < 0)
        errx(1, "%s: no peak", path);
    return peak_kb;
}

static void read_status(struct sample *out)
{
    static const char request[] = "GET /status HTTP/1.0\r\n\r\n";
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(status_port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char answer[2048];
    const char *line;
    size_t used = 0;
    ssize_t got;

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        write(fd, request, sizeof request - 1) != (ssize_t)sizeof request - 1)
        err(1, "port %d", (int)status_port);
    while ((got = read(fd, answer + used, sizeof answer - 1 - used)) > 0)
        used += (size_t)got;
    close(fd);
    answer[used] = '\0';
    line = strstr(answer, "requests");
    if (line == NULL ||
        sscanf(line, "requests %*d %ld %ld", &out->connections, &out->requests) != 2)
        errx(1, "port %d: no counters of nginx: %s", (int)status_port, answer);
}

static void take_sample(struct sample *out)
{
    if (status_port != 0)
        read_status(out);
    if (parties[WORKER] != 0)
        out->peak_kb = peak_kb_of(parties[WORKER]);
    for (size_t i = 0; i < PARTIES_COUNT; i++)
        out->cpu[i] = cpu_of(parties[i]);
}

/* Returns its exit status, and its CPU with that of its children in `usage`. */
static int run(char **command, const char *output, struct rusage *usage)
{
    pid_t parent = getpid(), pid = fork();
    int status;

    if (pid < 0)
        err(1, "fork");
    if (pid == 0) {
        int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        prctl(PR_SET_PDEATHSIG, SIGKILL); /* asked kindly, it would wait for its broker */
        if (getppid() != parent)
            _exit(1);
        if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0)
            err(1, "%s", output);
        close(fd);
        execvp(command[0], command);
        err(127, "%s", command[0]);
    }
    while (wait4(pid, &status, 0, usage) < 0)
        if (errno != EINTR)
            err(1, "wait4");
    if (WIFSIGNALED(status))
        errx(1, "%s: killed by signal %d", command[0], WTERMSIG(status));
    return WEXITSTATUS(status);
}

static void parse_options(int argc, char **argv, const char **output)
{
    int option;

    while ((option = getopt(argc, argv, "+n:b:w:s:o:")) != -1) {
        switch (option) {
        case 'n':
            parties[SERVER] = atoi(optarg);
            break;
        case 'b':
            parties[BROKER] = atoi(optarg);
            break;
        case 'w':
            parties[WORKER] = atoi(optarg);
            break;
        case 's':
            status_port = (uint16_t)atoi(optarg);
            break;
        case 'o':
            *output = optarg;
            break;
        default:
            exit(2);
        }
    }
    if (optind == argc)
        errx(2, "no command");
}

int main(int argc, char **argv)
{
    struct sample before = {0}, after = {0};
    const char *output = "/dev/null";
    struct rusage usage;
    double begin, end;
    int status;

    parse_options(argc, argv, &output);
    if (parties[WORKER] != 0)
        forget_peak(parties[WORKER]);
    take_sample(&before);
    begin = seconds_of(CLOCK_MONOTONIC);
    status = run(argv + optind, output, &usage);
    end = seconds_of(CLOCK_MONOTONIC);
    take_sample(&after);
    if (status_port != 0) { /* the second reading has counted itself */
        after.requests--;
        after.connections--;
    }
    printf("%.4f %ld %ld %.4f %.4f %.4f %.4f %ld %ld %ld\n", end - begin,
           after.requests - before.requests, after.connections - before.connections,
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
           after.cpu[BROKER] - before.cpu[BROKER], after.cpu[WORKER] - before.cpu[WORKER],
           after.cpu[SERVER] - before.cpu[SERVER], after.peak_kb - before.peak_kb, after.peak_kb,
           usage.ru_maxrss);
    return status;
}
