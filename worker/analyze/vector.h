/* vector.h - how many bytes at once this processor compares, for what has a variant for each width.
 *
 * Every variant gives the same answer; the portable one is there on all machines.
 *
 * Threads: any, but vector_limit() before others begin.
 */
#ifndef ANALYZE_VECTOR_H
#define ANALYZE_VECTOR_H

#if defined(__SSE2__)
#include <immintrin.h>
/* The bit counting of these processors comes with it. */
#define VECTOR_AVX2_TARGET __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt")))
#endif

enum vector_width { VECTOR_PORTABLE, VECTOR_SSE2, VECTOR_AVX2 };

/* The widest that this processor has. */
enum vector_width vector_width(void);

/* The widest of NAME_avx2, NAME_sse2 and NAME_portable that this processor has. */
#if defined(__SSE2__)
#define VECTOR_VARIANT(name)                                                                       \
    (vector_width() == VECTOR_AVX2   ? name##_avx2                                                 \
     : vector_width() == VECTOR_SSE2 ? name##_sse2                                                 \
                                     : name##_portable)
#else
#define VECTOR_VARIANT(name) name##_portable
#endif

/* For tests: nothing wider than `most` from now on. */
void vector_limit(enum vector_width most);

#endif
