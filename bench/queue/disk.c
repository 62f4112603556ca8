/* How often a second this folder's disk makes 4 KiB at the end of a file durable. */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static const char page[4096];
    const char *path = argc == 2 ? argv[1] : NULL;
    int fd = path == NULL ? -1 : open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    double begin = now(), seconds;
    unsigned count = 0;

    if (path == NULL || fd < 0)
        err(1, "%s", path == NULL ? "usage: disk FILE" : path);
    for (; (seconds = now() - begin) < 1; count++)
        if (write(fd, page, sizeof page) != sizeof page || fdatasync(fd) != 0)
            err(1, "%s", path);
    close(fd);
    unlink(path);
    printf("%.0f\n", count / seconds);
    return 0;
}
