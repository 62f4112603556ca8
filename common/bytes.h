/* bytes.h - a borrowed run of bytes or text; whoever made it says how long it lives.
 *
 * Threads: plain data. Pure.
 */
#ifndef AG_BYTES_H
#define AG_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ag_bytes {
    const uint8_t *data; /* NULL means "absent", which is not the same as empty */
    size_t size;
};

static inline struct ag_bytes ag_bytes_of(const void *data, size_t size)
{
    return (struct ag_bytes){.data = data, .size = size};
}

static inline struct ag_bytes ag_bytes_of_text(const char *text)
{
    return (struct ag_bytes){.data = (const uint8_t *)text, .size = text ? strlen(text) : 0};
}

static inline bool ag_bytes_equal(struct ag_bytes a, struct ag_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool ag_bytes_are(struct ag_bytes a, const char *text)
{
    return ag_bytes_equal(a, ag_bytes_of_text(text));
}

/* For "%.*s": printf("%.*s", AG_TEXT(bytes)). */
#define AG_TEXT(bytes) (int)(bytes).size, (bytes).data ? (const char *)(bytes).data : ""

/* Two hexadecimal digits, in lower case, for each byte; and a zero. */
static inline void ag_hex_print(const uint8_t *bytes, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < size; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

#endif
