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

/* For tests: nothing wider than `most` from now on. */
void vector_limit(enum vector_width most);

#endif
