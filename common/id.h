/* id.h - the 128-bit, time-ordered name of a job, group, worker or broker.
 *
 * 48 bits of unix milliseconds, then 80 random bits, most significant byte first: ids sort by the
 * time they were made, as bytes and as text. Whoever submits makes the id, so sending a submission
 * twice is harmless. On the wire an id is these 16 bytes; people see 26 characters of Crockford's
 * base32 (https://www.crockford.com/base32.html), for example 01JD5ZK4T9W8Q6F2M3N7B0C1XA.
 *
 * Threads: plain data. Pure: time and randomness are arguments.
 */
#ifndef AG_ID_H
#define AG_ID_H

#include <stdbool.h>
#include <stdint.h>

#include <argosy/error.h>

struct ag_id {
    uint8_t bytes[16]; /* all zero means "none" */
};

enum {
    AG_ID_RANDOM_BYTES = 10,
    AG_ID_TEXT_SIZE = 27 /* 26 characters and the zero */
};

/* `unix_ms` counts modulo 2^48 (year 10889); `random` comes from ag_entropy() in programs and from
 * a seed in tests. */
struct ag_id ag_id_make(int64_t unix_ms, const uint8_t random[AG_ID_RANDOM_BYTES]);

/* The time that is in the id, milliseconds since 1970. */
int64_t ag_id_unix_ms(const struct ag_id *self);

/* Upper case, always 26 characters. Returns `text`, so that it can stand in a call. */
const char *ag_id_print(const struct ag_id *self, char text[AG_ID_TEXT_SIZE]);

/* Reads what ag_id_print() writes and what people make of it: any case, I and L for 1, O for 0.
 * ARGOSY_EINVAL for any other character, length, or a value of more than 128 bits; `out` is then
 * unchanged. */
int ag_id_parse(const char *text, struct ag_id *out, struct argosy_error *err);

bool ag_id_equal(const struct ag_id *a, const struct ag_id *b);

/* The order of their making: negative, 0 or positive, as memcmp(). */
int ag_id_compare(const struct ag_id *a, const struct ag_id *b);

/* For tables in memory. The ids of others may be chosen by them: a table that strangers can fill
 * takes its seed from ag_entropy(). */
uint64_t ag_id_hash(const struct ag_id *self, uint64_t seed);

bool ag_id_is_zero(const struct ag_id *self);

#endif
