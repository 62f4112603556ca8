#include "worker/exec/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/error.h"

enum { READ, WRITE };

/* What a child always has; the rest of the worker's environment is not its business. */
static const char *const kept[] = {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER"};

static char **make_environment(const struct exec_request *request)
{
    size_t count = 0, at = 0;
    char **all;

    while (request->env != NULL && request->env[count] != NULL)
        count++;
    all = calloc(sizeof kept / sizeof *kept + count + 1, sizeof *all);
    for (size_t i = 0; all != NULL && i < count; i++) /* the first of two wins */
        all[at++] = strdup(request->env[i]);
    for (size_t i = 0; all != NULL && i < sizeof kept / sizeof *kept; i++) {
        const char *value = getenv(kept[i]);

        if (value != NULL && asprintf(&all[at], "%s=%s", kept[i], value) > 0)
            at++;
    }
    return all;
}

static void free_environment(char **all)
{
    for (char **at = all; all != NULL && *at != NULL; at++)
        free(*at);
    free(all);
}

/* Between fork and exec: only calls that are safe after a fork of a program with threads. */
__attribute__((noreturn)) static void become(const struct exec_request *request, char **environment,
                                             pid_t parent, const int *in, const int *out,
                                             const int *err, int status)
{
    sigset_t none;
    int error;

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before we asked */
        _exit(127);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(in[READ], 0) >= 0 && dup2(out[WRITE], 1) >= 0 && dup2(err[WRITE], 2) >= 0 &&
        chdir(request->cwd) == 0) {
        syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC);
        execve(request->path, request->argv, environment);
    }
    error = errno;
    (void)!write(status, &error, sizeof error);
    _exit(127);
}

static void close_pair(int *pair)
{
    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0)
            close(pair[i]);
}

/* Our end does not block; the child's does, as programs expect. */
static int our_end(int *pair, int end)
{
    int fd = pair[end];

    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    pair[end] = -1;
    return fd;
}

int exec_spawn(const struct exec_request *request, pid_t *pid, int *pidfd, struct exec_pipes *pipes,
               struct argosy_error *err)
{
    int all[4][2] = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
    char **environment = make_environment(request);
    pid_t parent = getpid();
    int rc = 0;

    *pidfd = -1;
    for (int i = 0; i < 4; i++)
        if (environment == NULL || pipe2(all[i], O_CLOEXEC) < 0)
            rc = ag_fail(err, ARGOSY_EIO, "cannot make a pipe: %s", strerror(errno));
    if (rc == 0 && (*pid = fork()) < 0)
        rc = ag_fail(err, ARGOSY_EIO, "cannot start a process: %s", strerror(errno));
    if (rc == 0 && *pid == 0)
        become(request, environment, parent, all[0], all[1], all[2], all[3][WRITE]);
    if (rc == 0) {
        setpgid(*pid, *pid); /* whoever of us is first */
        *pidfd = (int)syscall(SYS_pidfd_open, *pid, 0);
        *pipes = (struct exec_pipes){.in = our_end(all[0], WRITE),
                                     .out = our_end(all[1], READ),
                                     .err = our_end(all[2], READ),
                                     .status = our_end(all[3], READ)};
    }
    for (int i = 0; i < 4; i++)
        close_pair(all[i]);
    free_environment(environment);
    return rc;
}
