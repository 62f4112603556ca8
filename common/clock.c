#include "common/clock.h"

#include <time.h>

/* Both clocks exist on every system we run on, so clock_gettime() cannot fail here. */
static int64_t read_us(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t ag_clock_mono_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t ag_clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t ag_clock_unix_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}
