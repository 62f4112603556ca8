#include "common/id.h"

#include <string.h>

#include "common/error.h"

/* Crockford leaves out I, L, O and U. */
static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

struct ag_id ag_id_make(int64_t unix_ms, const uint8_t random[AG_ID_RANDOM_BYTES])
{
    struct ag_id id;
    int i;

    for (i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)((uint64_t)unix_ms >> (40 - 8 * i));
    memcpy(id.bytes + 6, random, AG_ID_RANDOM_BYTES);
    return id;
}

int64_t ag_id_unix_ms(const struct ag_id *self)
{
    uint64_t unix_ms = 0;
    int i;

    for (i = 0; i < 6; i++)
        unix_ms = unix_ms << 8 | self->bytes[i];
    return (int64_t)unix_ms;
}

/* 26 characters hold 130 bits: the number is printed from its end, five bits at a time, and the
 * first character is never above 7. */
const char *ag_id_print(const struct ag_id *self, char text[AG_ID_TEXT_SIZE])
{
    unsigned bits = 0, have = 0;
    int at = AG_ID_TEXT_SIZE - 1, i;

    text[at] = '\0';
    for (i = 15; i >= 0; i--) {
        bits |= (unsigned)self->bytes[i] << have;
        for (have += 8; have >= 5; have -= 5, bits >>= 5)
            text[--at] = alphabet[bits & 31];
    }
    text[--at] = alphabet[bits & 31]; /* the three bits that are left */
    return text;
}

/* What the character stands for, -1 if for nothing. */
static int value_of(char c)
{
    const char *found;

    if (c >= 'a' && c <= 'z')
        c = (char)(c - 'a' + 'A');
    if (c == 'I' || c == 'L')
        c = '1';
    if (c == 'O')
        c = '0';
    found = c == '\0' ? NULL : strchr(alphabet, c);
    return found ? (int)(found - alphabet) : -1;
}

int ag_id_parse(const char *text, struct ag_id *out, struct argosy_error *err)
{
    size_t length = strlen(text), at;
    struct ag_id id;
    unsigned bits = 0, have = 0;
    int next = 16;

    if (length != AG_ID_TEXT_SIZE - 1)
        return ag_fail(err, ARGOSY_EINVAL, "'%.40s' is not an id: %zu characters instead of %d",
                       text, length, AG_ID_TEXT_SIZE - 1);
    for (at = length; at-- > 0;) {
        int value = value_of(text[at]);

        if (value < 0)
            return ag_fail(err, ARGOSY_EINVAL,
                           "'%s' is not an id: character %zu is none of 0-9 and A-Z without U",
                           text, at + 1);
        if (at == 0 && value > 7)
            return ag_fail(err, ARGOSY_EINVAL, "'%s' is not an id: the first character is above 7",
                           text);
        bits |= (unsigned)value << have;
        have += 5;
        if (have >= 8 && next > 0) {
            id.bytes[--next] = (uint8_t)bits;
            bits >>= 8;
            have -= 8;
        }
    }
    *out = id;
    return ARGOSY_OK;
}

bool ag_id_equal(const struct ag_id *a, const struct ag_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

int ag_id_compare(const struct ag_id *a, const struct ag_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

/* The finalizer of splitmix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number
 * Generators", 2014), once for each half. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint64_t ag_id_hash(const struct ag_id *self, uint64_t seed)
{
    uint64_t head, tail;

    memcpy(&head, self->bytes, sizeof head);
    memcpy(&tail, self->bytes + 8, sizeof tail);
    return mix(mix(head ^ seed) + tail);
}

bool ag_id_is_zero(const struct ag_id *self)
{
    static const struct ag_id zero;

    return ag_id_equal(self, &zero);
}
