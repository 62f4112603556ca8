#include "common/duration.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"

struct unit {
    const char *name;
    uint64_t scale;
};

/* Largest first. "ms" stands before "m" because the first name that fits is taken. */
static const struct unit time_units[] = {{"d", 86400000}, {"h", 3600000}, {"ms", 1},
                                         {"m", 60000},    {"s", 1000},    {NULL, 0}};
static const struct unit size_units[] = {
    {"G", UINT64_C(1) << 30}, {"g", UINT64_C(1) << 30}, {"M", 1 << 20}, {"m", 1 << 20},
    {"K", 1 << 10},           {"k", 1 << 10},           {NULL, 0}};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A number as it was read: whole + fraction / divisor. */
struct number {
    uint64_t whole, fraction, divisor;
    bool overflow;
};

/* Reads 12, 1.5, .5; false when there is no digit. Of a fraction nine digits count: no unit makes
 * a difference of the tenth worth a millisecond or a byte. */
static bool read_number(const char **at, struct number *out)
{
    const char *p = *at;
    bool digits = false;

    *out = (struct number){.divisor = 1};
    for (; is_digit(*p); p++, digits = true)
        if (__builtin_mul_overflow(out->whole, 10, &out->whole) ||
            __builtin_add_overflow(out->whole, (uint64_t)(*p - '0'), &out->whole))
            out->overflow = true;
    if (*p == '.')
        for (p++; is_digit(*p); p++, digits = true)
            if (out->divisor < 1000000000) {
                out->divisor *= 10;
                out->fraction = out->fraction * 10 + (uint64_t)(*p - '0');
            }
    *at = p;
    return digits;
}

/* number * scale, rounded half up but never to zero; false on overflow. The fraction is below 10^9
 * and every scale below 2^31, so their product fits. */
static bool scaled(const struct number *number, uint64_t scale, uint64_t *out)
{
    uint64_t part = (number->fraction * scale + number->divisor / 2) / number->divisor;

    if (number->overflow || __builtin_mul_overflow(number->whole, scale, out) ||
        __builtin_add_overflow(*out, part, out))
        return false;
    if (*out == 0 && number->fraction > 0)
        *out = 1;
    return true;
}

static const struct unit *read_unit(const char **at, const struct unit *units)
{
    for (; units->name != NULL; units++) {
        size_t length = strlen(units->name);

        if (strncmp(*at, units->name, length) == 0) {
            *at += length;
            return units;
        }
    }
    return NULL;
}

enum reading { READ_WELL, READ_NONSENSE, READ_OVERFLOW };

/* One number without a unit, or parts with units that become smaller. */
static enum reading read_amount(const char *text, const struct unit *units, uint64_t bare_scale,
                                bool many, uint64_t *out)
{
    uint64_t smallest = UINT64_MAX, part;
    const char *at = text;

    *out = 0;
    do {
        bool first = at == text;
        const struct unit *unit;
        struct number number;
        uint64_t scale;

        if (!read_number(&at, &number))
            return READ_NONSENSE;
        unit = read_unit(&at, units);
        if (unit == NULL && !(first && *at == '\0'))
            return READ_NONSENSE;
        scale = unit ? unit->scale : bare_scale;
        if (scale >= smallest || (*at != '\0' && !many))
            return READ_NONSENSE;
        smallest = scale;
        if (!scaled(&number, scale, &part) || __builtin_add_overflow(*out, part, out))
            return READ_OVERFLOW;
    } while (*at != '\0');
    return READ_WELL;
}

/* "(0-100)", or "(at least 1)" when there is no upper end worth printing. */
static void print_range(char range[128], const char *min, const char *max)
{
    if (max != NULL)
        snprintf(range, 128, "(%s-%s)", min, max);
    else
        snprintf(range, 128, "(at least %s)", min);
}

static int complain(struct argosy_error *err, enum reading reading, const char *text,
                    const char *noun, const char *range)
{
    if (reading == READ_NONSENSE)
        return ag_fail(err, ARGOSY_EINVAL, "'%.64s' is not a %s %s", text, noun, range);
    return ag_fail(err, ARGOSY_EINVAL, "'%.64s' is out of range %s", text, range);
}

int ag_duration_parse(const char *text, int64_t min_ms, int64_t max_ms, int64_t *out_ms,
                      struct argosy_error *err)
{
    char min[AG_AMOUNT_TEXT_SIZE], max[AG_AMOUNT_TEXT_SIZE], range[128];
    uint64_t ms;
    enum reading reading = read_amount(text, time_units, 1000, true, &ms);

    if (reading == READ_WELL && ms >= (uint64_t)min_ms && ms <= (uint64_t)max_ms) {
        *out_ms = (int64_t)ms;
        return ARGOSY_OK;
    }
    print_range(range, ag_duration_print(min_ms, min),
                max_ms == INT64_MAX ? NULL : ag_duration_print(max_ms, max));
    return complain(err, reading, text, "duration such as 1.5s or 2m", range);
}

int ag_size_parse(const char *text, uint64_t min_bytes, uint64_t max_bytes, uint64_t *out_bytes,
                  struct argosy_error *err)
{
    char min[AG_AMOUNT_TEXT_SIZE], max[AG_AMOUNT_TEXT_SIZE], range[128];
    uint64_t bytes;
    enum reading reading = read_amount(text, size_units, 1, false, &bytes);

    if (reading == READ_WELL && bytes >= min_bytes && bytes <= max_bytes) {
        *out_bytes = bytes;
        return ARGOSY_OK;
    }
    print_range(range, ag_size_print(min_bytes, min),
                max_bytes == UINT64_MAX ? NULL : ag_size_print(max_bytes, max));
    return complain(err, reading, text, "size such as 512K or 1.5G", range);
}

int ag_whole_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out,
                   struct argosy_error *err)
{
    char low[24], high[24], range[128];
    const char *at = text;
    struct number number;

    if (is_digit(*at) && read_number(&at, &number) && *at == '\0' && strchr(text, '.') == NULL &&
        !number.overflow && number.whole >= min && number.whole <= max) {
        *out = number.whole;
        return ARGOSY_OK;
    }
    snprintf(low, sizeof low, "%" PRIu64, min);
    snprintf(high, sizeof high, "%" PRIu64, max);
    print_range(range, low, max == UINT64_MAX ? NULL : high);
    return complain(
        err, *text != '\0' && text[strspn(text, "0123456789")] == '\0' ? READ_WELL : READ_NONSENSE,
        text, "whole number", range);
}

const char *ag_duration_print(int64_t ms, char text[AG_AMOUNT_TEXT_SIZE])
{
    static const struct unit whole_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}};
    uint64_t rest = ms > 0 ? (uint64_t)ms : 0;
    size_t length = 0, i;

    text[0] = '\0';
    for (i = 0; i < sizeof whole_units / sizeof *whole_units; i++) {
        const struct unit *unit = &whole_units[i];

        if (rest >= unit->scale)
            length += (size_t)snprintf(text + length, AG_AMOUNT_TEXT_SIZE - length, "%" PRIu64 "%s",
                                       rest / unit->scale, unit->name);
        rest %= unit->scale;
    }
    if (rest > 0 && rest < 1000)
        snprintf(text + length, AG_AMOUNT_TEXT_SIZE - length, "%" PRIu64 "ms", rest);
    else if (rest % 1000 > 0) {
        size_t end = length + (size_t)snprintf(text + length, AG_AMOUNT_TEXT_SIZE - length,
                                               "%" PRIu64 ".%03" PRIu64, rest / 1000, rest % 1000);

        while (text[end - 1] == '0')
            end--;
        snprintf(text + end, AG_AMOUNT_TEXT_SIZE - end, "s");
    } else if (rest > 0 || length == 0)
        snprintf(text + length, AG_AMOUNT_TEXT_SIZE - length, "%" PRIu64 "s", rest / 1000);
    return text;
}

/* The largest unit that needs at most three decimals to be exact; bytes otherwise. */
const char *ag_size_print(uint64_t size_bytes, char text[AG_AMOUNT_TEXT_SIZE])
{
    const struct unit *unit;

    for (unit = size_units; unit->name != NULL; unit += 2) {
        uint64_t whole = size_bytes / unit->scale, part = size_bytes % unit->scale * 1000;
        size_t end;

        if (whole == 0 || part % unit->scale != 0)
            continue;
        end = (size_t)snprintf(text, AG_AMOUNT_TEXT_SIZE, "%" PRIu64 ".%03" PRIu64, whole,
                               part / unit->scale);
        while (text[end - 1] == '0')
            end--;
        if (text[end - 1] == '.')
            end--;
        snprintf(text + end, AG_AMOUNT_TEXT_SIZE - end, "%s", unit->name);
        return text;
    }
    snprintf(text, AG_AMOUNT_TEXT_SIZE, "%" PRIu64, size_bytes);
    return text;
}
