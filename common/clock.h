/* clock.h - the only file that reads a clock; pure code gets time as an argument.
 *
 * Threads: any. Never blocks, cannot fail.
 */
#ifndef AG_CLOCK_H
#define AG_CLOCK_H

#include <stdint.h>

/* For durations and deadlines: since some fixed moment, never backwards, not comparable between
 * machines or across a reboot. */
int64_t ag_clock_mono_ms(void);
int64_t ag_clock_mono_us(void);

/* For people and ids: milliseconds since 1970-01-01 UTC; may jump when somebody sets the clock. */
int64_t ag_clock_unix_ms(void);

#endif
