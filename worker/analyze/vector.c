#include "worker/analyze/vector.h"

static enum vector_width limit = VECTOR_AVX2;

void vector_limit(enum vector_width most)
{
    limit = most;
}

enum vector_width vector_width(void)
{
    enum vector_width width = VECTOR_PORTABLE;

#if defined(__SSE2__)
    width = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("lzcnt") &&
                    __builtin_cpu_supports("popcnt")
                ? VECTOR_AVX2
                : VECTOR_SSE2;
#endif
    return width < limit ? width : limit;
}
