/* A wall clock that somebody sets, for programs that are started with LD_PRELOAD: it is off by as many
 * seconds as the file $ARGOSY_CLOCK says. Clocks that measure durations are left alone. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long seconds_off(void)
{
    const char *path = getenv("ARGOSY_CLOCK");
    FILE *file = path != NULL ? fopen(path, "r") : NULL;
    char line[32] = "0";

    if (file == NULL)
        return 0;
    if (fgets(line, sizeof line, file) == NULL)
        line[0] = '\0';
    fclose(file);
    return strtol(line, NULL, 10);
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    static int (*real)(clockid_t, struct timespec *);
    int rc;

    if (real == NULL)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    rc = real(clock, out);
    if (clock == CLOCK_REALTIME)
        out->tv_sec += seconds_off();
    return rc;
}
