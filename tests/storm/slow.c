/* Preloaded into the broker: each write to the disk takes STORM_SLOW_MS longer. A slow disk makes
 * wide what is narrow on a fast one: the time between what the broker has decided and what it
 * holds. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static int sync_slowly(const char *name, int fd)
{
    int (*really)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *ms = getenv("STORM_SLOW_MS");

    usleep(ms != NULL ? (unsigned)atoi(ms) * 1000 : 0);
    return really(fd);
}

int fsync(int fd)
{
    return sync_slowly("fsync", fd);
}

int fdatasync(int fd)
{
    return sync_slowly("fdatasync", fd);
}
