#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/storm/storm.h"

int storm_log_open(const char *folder, const char *who, unsigned number)
{
    char path[4096];
    int fd;

    snprintf(path, sizeof path, "%s/%s.%u.log", folder, who, number);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) {
        perror(path);
        exit(3);
    }
    return fd;
}

void storm_log(int fd, const char *format, ...)
{
    char line[512];
    va_list args;
    int size;

    va_start(args, format);
    size = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    if (size > (int)sizeof line - 2)
        size = (int)sizeof line - 2;
    line[size++] = '\n';
    if (write(fd, line, (size_t)size) != size) {
        perror("a log of the storm");
        exit(3);
    }
}
