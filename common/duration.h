/* duration.h - durations, sizes and whole numbers as people write them.
 *
 *     1.5s  250ms  3m20s  2h  1d  90 (seconds)      512K  1.5G  4096 (bytes)      0 ..

 *
 * Parsers take the range as well, so that one message says what was expected:
 *     'many' is not a whole number (0-100)
 *     '2h' is out of range (100ms-1h)
 * The caller puts the name of the option, variable or file in front (ag_fail_in()).
 * They return 0 or ARGOSY_EINVAL with `out` unchanged. Nothing is ever rewritten into the range.
 *
 * Threads: any. Pure. Units: milliseconds, bytes.
 */
#ifndef AG_DURATION_H
#define AG_DURATION_H

#include <stdint.h>

#include <argosy/error.h>

enum { AG_AMOUNT_TEXT_SIZE = 48 }; /* room for any printed duration or size */

/* Units ms, s, m, h, d; a bare number is seconds. Parts may follow each other from large to small
 * (1h30m). Fractions are rounded to a millisecond, but never to zero: for many options zero means
 * "no limit", and that must not come from 0.4ms. */
int ag_duration_parse(const char *text, int64_t min_ms, int64_t max_ms, int64_t *out_ms,
                      struct argosy_error *err);

/* Units K, M, G in either case, powers of 1024; a bare number is bytes. Fractions as above. */
int ag_size_parse(const char *text, uint64_t min_bytes, uint64_t max_bytes, uint64_t *out_bytes,
                  struct argosy_error *err);

/* Decimal digits only. */
int ag_whole_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out,
                   struct argosy_error *err);

/* Compact, and read back by the parser as exactly the same: 0s, 250ms, 1.5s, 3m20s, 1d1h.
 * Negative durations print as 0s. Return `text`. */
const char *ag_duration_print(int64_t ms, char text[AG_AMOUNT_TEXT_SIZE]);
const char *ag_size_print(uint64_t size_bytes, char text[AG_AMOUNT_TEXT_SIZE]);

#endif
