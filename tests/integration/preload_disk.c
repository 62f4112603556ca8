/* A disk with troubles, for programs that are started with LD_PRELOAD: files in $ARGOSY_DISK order
 * them while they are there. `fail`: fsync and fdatasync fail; `slow`: each takes as many
 * milliseconds as the file has bytes. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static off_t size_of(const char *name)
{
    const char *folder = getenv("ARGOSY_DISK");
    char path[4096];
    struct stat found;

    snprintf(path, sizeof path, "%s/%s", folder != NULL ? folder : "/nonexistent", name);
    return stat(path, &found) == 0 ? found.st_size : -1;
}

static int trouble(const char *call, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, call);
    off_t slow = size_of("slow");

    if (slow > 0)
        usleep((useconds_t)slow * 1000);
    if (size_of("fail") >= 0) {
        errno = EIO;
        return -1;
    }
    return real(fd);
}

int fsync(int fd)
{
    return trouble("fsync", fd);
}

int fdatasync(int fd)
{
    return trouble("fdatasync", fd);
}
