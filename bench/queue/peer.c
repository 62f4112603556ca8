#include "peer.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ALONE = 1000 /* jobs that are sent one after the other, as in argosy bench */ };

static uint32_t *sent_at,
    *took; /* microseconds since the beginning, by number; of ends, in order */

void peer_die(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vwarnx(format, list);
    va_end(list);
    _exit(1);
}

/* ---- the worker's end --------------------------------------------------------------------------
 */

/* Also from a signal handler, so without stdio. */
_Noreturn static void die_with_worker(int status)
{
    char text[64] = "the worker is gone: ", digits[12];
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    size_t at = sizeof digits - 1;

    digits[at] = '\0';
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    strcat(text, WIFSIGNALED(status) ? "killed by signal " : "exit status ");
    strcat(text, digits + at);
    strcat(text, "\n");
    (void)!write(STDERR_FILENO, text, strlen(text));
    _exit(1);
}

static void on_child(int number)
{
    int before = errno, status;

    (void)number;
    if (waitpid(-1, &status, WNOHANG) > 0)
        die_with_worker(status);
    errno = before;
}

/* Its pipes close a little before it can be waited for. */
void peer_worker_gone(void)
{
    int status;

    signal(SIGCHLD, SIG_DFL);
    while (waitpid(-1, &status, 0) < 0)
        if (errno != EINTR)
            peer_die("the worker is gone: %s", strerror(errno));
    die_with_worker(status);
}

/* ---- payloads and bells ------------------------------------------------------------------------
 */

const uint8_t *peer_payload(struct peer *self, uint32_t number)
{
    memcpy(self->payload, &number, sizeof number);
    return self->payload;
}

uint32_t peer_number(const void *payload)
{
    uint32_t number;

    memcpy(&number, payload, sizeof number);
    return number;
}

void peer_tell_ended(struct peer *self, const uint32_t *numbers, uint32_t count)
{
    size_t size = count * sizeof *numbers;

    if (size > 0 && write(self->ended, numbers, size) != (ssize_t)size)
        peer_die("the client's bell: %s", strerror(errno));
}

uint32_t peer_wait_ended(struct peer *self, uint32_t *numbers)
{
    ssize_t size = read(self->ended, numbers, PEER_BATCH * sizeof *numbers);

    if (size == 0)
        peer_worker_gone();
    if (size < 0)
        peer_die("the worker's bell: %s", strerror(errno));
    if (size % (ssize_t)sizeof *numbers != 0)
        peer_die("the worker's bell: half a number");
    return (uint32_t)size / sizeof *numbers;
}

uint32_t peer_next_batch(uint32_t asked, uint32_t got)
{
    uint32_t next = got >= asked ? 2 * asked : got + 1;

    return next > PEER_BATCH ? PEER_BATCH : next;
}

/* ---- streams -----------------------------------------------------------------------------------
 */

struct peer_stream peer_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct peer_stream stream;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof address.sun_path)
        peer_die("%s: too long for a socket", path);
    strcpy(address.sun_path, path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        peer_die("%s: %s", path, strerror(errno));
    stream = (struct peer_stream){.in = fdopen(fd, "r"), .out = fdopen(dup(fd), "w")};
    if (stream.in == NULL || stream.out == NULL)
        peer_die("%s: %s", path, strerror(errno));
    setvbuf(stream.in, NULL, _IOFBF, 1 << 18);
    setvbuf(stream.out, NULL, _IOFBF, 1 << 18);
    return stream;
}

char *peer_read_line(struct peer_stream *stream)
{
    static char line[512];

    if (fgets(line, sizeof line, stream->in) == NULL)
        peer_die("the server hung up");
    line[strcspn(line, "\r\n")] = '\0';
    return line;
}

void peer_read(struct peer_stream *stream, void *data, size_t size)
{
    if (fread(data, 1, size, stream->in) != size)
        peer_die("the server hung up");
}

void peer_flush(struct peer_stream *stream)
{
    if (fflush(stream->out) != 0)
        peer_die("the server hung up");
}

/* ---- measuring ---------------------------------------------------------------------------------
 */

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Processor time of one process and of its children that have ended; 0 if it is none of `parent`'s
 * family. */
static double cpu_us_of(const char *pid, long parent)
{
    unsigned long user, system, ended_user, ended_system;
    char path[300], stat[1024] = "", *rest;
    long ppid;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    file = fopen(path, "r");
    if (file == NULL)
        return 0;
    rest = fgets(stat, sizeof stat, file) == NULL ? NULL : strrchr(stat, ')');
    fclose(file);
    if (rest == NULL ||
        sscanf(rest, ") %*c %ld %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu", &ppid, &user,
               &system, &ended_user, &ended_system) != 5)
        return 0;
    if (strtol(pid, NULL, 10) != parent && ppid != parent)
        return 0;
    return (double)(user + system + ended_user + ended_system) * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

/* What the server has used so far, with its children: PostgreSQL has one for each connection. */
static double server_cpu_us(long server)
{
    DIR *proc = opendir("/proc");
    double sum = 0;

    for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL;)
        if (strspn(entry->d_name, "0123456789") == strlen(entry->d_name))
            sum += cpu_us_of(entry->d_name, server);
    if (proc != NULL)
        closedir(proc);
    return sum;
}

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

static double percentile_ms(uint32_t jobs, double share)
{
    return took[(uint32_t)(share * (jobs - 1))] / 1e3;
}

/* From the first job to the last result, with at most `ahead` on their way. */
static void measure(struct peer *self, const char *name, uint32_t jobs, uint32_t ahead)
{
    uint32_t numbers[PEER_BATCH], added = 0, ended = 0;
    int64_t begin = now_us();
    double seconds;

    while (ended < jobs) {
        uint32_t count = jobs - added, room = ahead - (added - ended);

        if (count > PEER_BATCH)
            count = PEER_BATCH;
        if (count > 0 && (room >= count || added == ended)) {
            if (count > room)
                count = room;
            for (uint32_t i = 0; i < count; i++)
                sent_at[added + i] = (uint32_t)(now_us() - begin);
            peer_submit(self, added, count);
            added += count;
            continue;
        }
        count = peer_take(self, numbers);
        for (uint32_t i = 0; i < count; i++) {
            if (numbers[i] >= added || ended >= jobs)
                peer_die("a result of a job that was never sent: %u", numbers[i]);
            took[ended++] = (uint32_t)(now_us() - begin) - sent_at[numbers[i]];
        }
    }
    seconds = (double)(now_us() - begin) / 1e6;
    qsort(took, jobs, sizeof *took, compare);
    printf("\"%s\": {\"jobs\": %u, \"failed\": 0, \"seconds\": %f, \"jobs_per_second\": %f, "
           "\"p50_ms\": %f, \"p99_ms\": %f, \"max_ms\": %f}, ",
           name, jobs, seconds, jobs / seconds, percentile_ms(jobs, 0.5), percentile_ms(jobs, 0.99),
           percentile_ms(jobs, 1));
}

/* A process of its own, as elsewhere; it dies with us. */
static pid_t start_worker(struct peer *self)
{
    struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
    int added[2], ended[2];
    pid_t pid;

    if (pipe(added) != 0 || pipe(ended) != 0)
        peer_die("pipe: %s", strerror(errno));
    sigaction(SIGCHLD, &action, NULL);
    pid = fork();
    if (pid < 0)
        peer_die("fork: %s", strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        self->added = added[0];
        self->ended = ended[1];
        close(added[1]);
        close(ended[0]);
        peer_work(self);
    }
    self->added = added[1];
    self->ended = ended[0];
    close(added[0]);
    close(ended[1]);
    return pid;
}

static uint32_t whole(const char *text, uint32_t min, uint32_t max)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text == '\0' || *end != '\0' || value < min || value > max)
        peer_die("'%s' is not a whole number (%u-%u)", text, min, max);
    return (uint32_t)value;
}

int main(int argc, char **argv)
{
    struct peer self = {.size = 100};
    uint32_t jobs = 100000, ahead = 10000, server = 0;
    double before, after;
    pid_t worker;

    for (int c; (c = getopt(argc, argv, "n:s:a:p:r")) != -1;) {
        if (c == 'n')
            jobs = whole(optarg, 1, 100000000);
        else if (c == 's')
            self.size = whole(optarg, 4, 30000);
        else if (c == 'a')
            ahead = whole(optarg, 1, 1000000);
        else if (c == 'p')
            server = whole(optarg, 1, INT32_MAX);
        else if (c == 'r')
            self.with_result = true;
        else
            return 2;
    }
    if (optind != argc - 1)
        peer_die("usage: [-n JOBS] [-s SIZE] [-a AHEAD] [-p PID-OF-SERVER] [-r] SOCKET");
    self.server = argv[optind];
    self.payload = calloc(1, self.size);
    sent_at = calloc(jobs > ALONE ? jobs : ALONE, sizeof *sent_at);
    took = calloc(jobs > ALONE ? jobs : ALONE, sizeof *took);
    if (self.payload == NULL || sent_at == NULL || took == NULL)
        peer_die("no memory for so many jobs");
    signal(SIGPIPE, SIG_IGN);
    peer_open(&self);
    worker = start_worker(&self);

    printf("{");
    before = server_cpu_us(server);
    measure(&self, "many", jobs, ahead);
    after = server_cpu_us(server);
    measure(&self, "alone", ALONE, 1);
    printf("\"broker_cpu_us\": %f}\n", (after - before) / jobs);

    signal(SIGCHLD, SIG_DFL);
    kill(worker, SIGKILL);
    waitpid(worker, NULL, 0);
    free(self.payload);
    free(sent_at);
    free(took);
    return fflush(stdout) == 0 ? 0 : 1;
}
