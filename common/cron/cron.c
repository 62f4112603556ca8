#include "common/cron/cron.h"

#include <ctype.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/error.h"

enum { YEARS_MAX = 30, DAY_S = 86400 };

/* ---- parsing -----------------------------------------------------------------------------------
 */

struct field {
    const char *name, *expected;
    int low, high;
    const char *words; /* three letters each, the first for `low` */
};

static const struct field fields[] = {
    {"minute", "0-59", 0, 59, NULL},
    {"hour", "0-23", 0, 23, NULL},
    {"day of the month", "1-31", 1, 31, NULL},
    {"month", "1-12 or JAN-DEC", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    {"day of the week", "0-7 or SUN-SAT", 0, 7, "sunmontuewedthufrisat"},
};

static bool read_number(const char **at, const struct field *field, int *out)
{
    char *end;

    if (isdigit((unsigned char)**at)) {
        long number = strtol(*at, &end, 10);

        *at = end;
        *out = (int)number;
        return number >= field->low && number <= field->high;
    }
    for (int i = 0; field->words != NULL && i < (int)strlen(field->words) / 3; i++)
        if (strncasecmp(*at, field->words + 3 * i, 3) == 0 && !isalpha((unsigned char)(*at)[3])) {
            *at += 3;
            *out = field->low + i;
            return true;
        }
    return false;
}

/* One of a list: "*", "5", "1-5", each with "/2" behind it. */
static bool read_item(const char **at, const struct field *field, uint64_t *bits)
{
    int low = field->low, high = field->high, step = 1;
    bool is_one = false;

    if (**at == '*') {
        ++*at;
    } else {
        if (!read_number(at, field, &low))
            return false;
        high = low;
        is_one = true;
        if (**at == '-') {
            ++*at;
            is_one = false;
            if (!read_number(at, field, &high) || high < low)
                return false;
        }
    }
    if (**at == '/') {
        char *end;
        long number = isdigit((unsigned char)(*at)[1]) ? strtol(*at + 1, &end, 10) : 0;

        if (number < 1 || number > 1000)
            return false;
        *at = end;
        step = (int)number;
        if (is_one)
            high = field->high;
    }
    for (int i = low; i <= high; i += step)
        *bits |= 1ull << i;
    return true;
}

static bool read_field(const char *text, const struct field *field, uint64_t *bits)
{
    *bits = 0;
    for (;;) {
        if (!read_item(&text, field, bits))
            return false;
        if (*text == '\0')
            return true;
        if (*text++ != ',')
            return false;
    }
}

static const char *expand(const char *text)
{
    static const char *const names[][2] = {
        {"@hourly", "0 * * * *"},   {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
        {"@weekly", "0 0 * * 0"},   {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
        {"@annually", "0 0 1 1 *"},
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(text, names[i][0]) == 0)
            return names[i][1];
    return text;
}

int ag_cron_parse(const char *text, struct ag_cron *out, struct argosy_error *err)
{
    char copy[1024], *rest = copy, *word;
    uint64_t bits[5];
    char first[5];
    int count = 0;

    if (strlen(text) >= sizeof copy)
        return ag_fail(err, ARGOSY_EINVAL, "a cron line is shorter than 1024 bytes");
    strcpy(copy, expand(text));
    while ((word = strsep(&rest, " \t")) != NULL) {
        if (word[0] == '\0')
            continue;
        if (count == 5 || copy[0] == '@')
            return ag_fail(
                err, ARGOSY_EINVAL,
                "cron: '%s' is not five fields, nor @hourly, @daily, @weekly, @monthly or "
                "@yearly",
                text);
        first[count] = word[0];
        if (!read_field(word, &fields[count], &bits[count]))
            return ag_fail(err, ARGOSY_EINVAL,
                           "cron: %s: '%s' is not %s, *, a range or a list of these",
                           fields[count].name, word, fields[count].expected);
        count++;
    }
    if (count != 5)
        return ag_fail(err, ARGOSY_EINVAL, "cron: '%s' has %d fields, not five", text, count);
    *out = (struct ag_cron){.minutes = bits[0],
                            .hours = (uint32_t)bits[1],
                            .days = (uint32_t)bits[2],
                            .months = (uint32_t)bits[3],
                            .weekdays = (uint32_t)((bits[4] | bits[4] >> 7) & 0x7f),
                            .any_day = first[2] == '*',
                            .any_weekday = first[4] == '*',
                            .flows = first[0] == '*' || first[1] == '*'};
    return 0;
}

/* ---- zones -------------------------------------------------------------------------------------
 */

struct ag_zone {
    GTimeZone *zone;
};

int ag_zone_new(ag_zone_t **out, const char *name, struct argosy_error *err)
{
    ag_zone_t *self = calloc(1, sizeof *self);

    *out = NULL;
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a time zone");
    self->zone = g_time_zone_new_identifier(name[0] != '\0' ? name : "UTC");
    if (self->zone == NULL) {
        free(self);
        return ag_fail(err, ARGOSY_EINVAL,
                       "'%s' is not a time zone of this machine (Europe/Berlin, UTC...)", name);
    }
    *out = self;
    return 0;
}

void ag_zone_destroy(ag_zone_t **self_p)
{
    if (*self_p == NULL)
        return;
    g_time_zone_unref((*self_p)->zone);
    free(*self_p);
    *self_p = NULL;
}

/* While one offset holds: `unix_s` lies in it, and it ends at `end` or later than that. */
struct span {
    int64_t offset, end;
};

static struct span span_at(const ag_zone_t *zone, int64_t unix_s, int64_t horizon)
{
    int interval = g_time_zone_find_interval(zone->zone, G_TIME_TYPE_UNIVERSAL, unix_s);
    struct span span = {g_time_zone_get_offset(zone->zone, interval), horizon};
    int64_t low = unix_s, high = horizon;

    if (g_time_zone_find_interval(zone->zone, G_TIME_TYPE_UNIVERSAL, horizon) == interval)
        return span;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;

        if (g_time_zone_find_interval(zone->zone, G_TIME_TYPE_UNIVERSAL, middle) == interval)
            low = middle;
        else
            high = middle;
    }
    span.end = high;
    return span;
}

/* ---- the calendar ------------------------------------------------------------------------------
 */

/* Days since 1970 and back, in the proleptic Gregorian calendar
 * (http://howardhinnant.github.io/date_algorithms.html). */
static int64_t days_from_civil(int64_t y, int m, int d)
{
    int64_t era, yoe, doy;

    y -= m <= 2;
    era = (y >= 0 ? y : y - 399) / 400;
    yoe = y - era * 400;
    doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void civil_from_days(int64_t z, int64_t *y, int *m, int *d)
{
    int64_t era, doe, yoe, doy, mp;

    z += 719468;
    era = (z >= 0 ? z : z - 146096) / 146097;
    doe = z - era * 146097;
    yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    mp = (5 * doy + 2) / 153;
    *d = (int)(doy - (153 * mp + 2) / 5 + 1);
    *m = (int)(mp < 10 ? mp + 3 : mp - 9);
    *y = yoe + era * 400 + (*m <= 2);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static bool is_day(const struct ag_cron *self, int day, int64_t days)
{
    int weekday = (int)((days % 7 + 11) % 7); /* 1970 began on a Thursday */
    bool by_day = (self->days >> day & 1) != 0, by_weekday = (self->weekdays >> weekday & 1) != 0;

    if (self->any_day || self->any_weekday)
        return by_day && by_weekday;
    return by_day || by_weekday;
}

/* The first minute of such a day that is not before `from` (in minutes of the day); -1 if none. */
static int first_minute(const struct ag_cron *self, int from)
{
    for (int hour = from / 60; hour < 24; hour++) {
        uint64_t minutes = self->minutes;

        if (!(self->hours >> hour & 1))
            continue;
        if (hour == from / 60)
            minutes &= ~0ull << (from % 60);
        if (minutes != 0)
            return hour * 60 + __builtin_ctzll(minutes);
    }
    return -1;
}

/* The first match at or after a local time, whatever clocks do meanwhile; -1 when there is none. */
static int64_t next_local(const struct ag_cron *self, int64_t local_s, int64_t limit_s)
{
    int64_t days = floor_div(local_s, DAY_S);
    int from = (int)((local_s - days * DAY_S + 59) / 60);

    if (from == 24 * 60) {
        days++;
        from = 0;
    }
    while (days * DAY_S <= limit_s) {
        int64_t year;
        int month, day, minute;

        civil_from_days(days, &year, &month, &day);
        if (!(self->months >> month & 1)) { /* the first of the next month */
            days = days_from_civil(month == 12 ? year + 1 : year, month == 12 ? 1 : month + 1, 1);
            from = 0;
            continue;
        }
        minute = is_day(self, day, days) ? first_minute(self, from) : -1;
        if (minute >= 0)
            return days * DAY_S + minute * 60;
        days++;
        from = 0;
    }
    return -1;
}

int64_t ag_cron_next(const struct ag_cron *self, const ag_zone_t *zone, int64_t after_unix_ms)
{
    int64_t at = floor_div(after_unix_ms, 1000) + 1; /* whole seconds, later than `after` */
    int64_t limit = at + (int64_t)YEARS_MAX * 366 * DAY_S;
    /* Local times before this one have been: a fixed line does not run in them again. */
    int64_t been = INT64_MIN;

    if (!self->flows) { /* it matters whether the clock has just been set back */
        struct span now = span_at(zone, at, at + DAY_S), before = span_at(zone, at - DAY_S / 2, at);

        if (before.end < at && before.offset > now.offset)
            been = before.end + before.offset;
    }
    while (at < limit) {
        struct span span = span_at(zone, at, limit);
        int64_t from = at + span.offset, local, gap;

        if (!self->flows && from < been)
            from = been;
        local = next_local(self, from, limit + DAY_S);
        if (local < 0)
            return INT64_MAX;
        if (local - span.offset < span.end)
            return 1000 * (local - span.offset);
        if (span.end >= limit)
            break;
        gap = span_at(zone, span.end, limit).offset - span.offset;
        if (!self->flows && gap > 0 && local < span.end + span.offset + gap)
            return 1000 * span.end; /* its time is skipped: it runs at the jump */
        if (gap < 0)
            been = span.end + span.offset;
        at = span.end;
    }
    return INT64_MAX;
}
