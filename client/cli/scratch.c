#include "client/cli/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/error.h"

/* Who writes into it dies with us, but not in the same moment. */
enum { TRIES = 100, PAUSE_US = 20000 };

struct scratch {
    char path[PATH_MAX];
    int life; /* our end of a pipe: closed when we end */
    pid_t remover;
};

static int remove_one(const char *path, const struct stat *is, int type, struct FTW *place)
{
    (void)is, (void)type, (void)place;
    remove(path);
    return 0;
}

static void remove_all(const char *path)
{
    for (int i = 0; i < TRIES && access(path, F_OK) == 0; i++) {
        nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        if (access(path, F_OK) == 0)
            usleep(PAUSE_US);
    }
}

/* Holds nothing of ours open: who reads our output would wait for it. */
static _Noreturn void wait_and_remove(const char *path, int life)
{
    int null = open("/dev/null", O_RDWR);
    char byte;

    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    setsid();
    dup2(life, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    closefrom(STDERR_FILENO + 1);
    while (read(STDIN_FILENO, &byte, 1) < 0 && errno == EINTR)
        continue;
    remove_all(path);
    _exit(0);
}

int scratch_new(scratch_t **out, const char *prefix, struct argosy_error *err)
{
    const char *temporary = getenv("TMPDIR");
    scratch_t *self = calloc(1, sizeof *self);
    int ends[2];

    *out = NULL;
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a folder's name");
    snprintf(self->path, sizeof self->path, "%s/%s-XXXXXX",
             temporary != NULL && temporary[0] == '/' ? temporary : "/tmp", prefix);
    if (mkdtemp(self->path) == NULL || pipe2(ends, O_CLOEXEC) < 0) {
        ag_fail(err, ARGOSY_EIO, "cannot make %s: %s", self->path, strerror(errno));
        rmdir(self->path);
        free(self);
        return ARGOSY_EIO;
    }
    self->life = ends[1];
    self->remover = fork();
    if (self->remover == 0)
        wait_and_remove(self->path, ends[0]);
    close(ends[0]);
    *out = self;
    return 0;
}

const char *scratch_path(const scratch_t *self)
{
    return self->path;
}

void scratch_destroy(scratch_t **self_p)
{
    scratch_t *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    close(self->life);
    if (self->remover > 0)
        while (waitpid(self->remover, NULL, 0) < 0 && errno == EINTR)
            continue;
    else
        remove_all(self->path);
    free(self);
}
