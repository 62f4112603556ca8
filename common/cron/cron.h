/* cron.h - when a cron line comes due, in a time zone.
 *
 * Start here: ag_cron_parse(), ag_zone_new(), ag_cron_next().
 *
 * Five fields: minute (0-59), hour (0-23), day of the month (1-31), month (1-12 or JAN-DEC), day of
 * the week (0-7 or SUN-SAT; 0 and 7 are Sunday); each `*`, a number, a range, a list of these, any
 * of them with a step. When both fields of days are restricted either may match. Also @hourly,
 * @daily,
 * @midnight, @weekly, @monthly, @yearly, @annually. As in Vixie's cron (crontab(5)).
 *
 * When clocks change: a line with a fixed hour and minute that names a time which is skipped runs
 * at the moment of the jump, and runs once when its time comes twice. A line whose minute or hour
 * begins with `*` follows the time that passes: every five minutes stays every five minutes.
 *
 * Threads: plain data; a zone may be read from several. Time zones are GLib's (the system's
 * tzdata). Units: milliseconds since 1970.
 */
#ifndef AG_CRON_H
#define AG_CRON_H

#include <stdbool.h>
#include <stdint.h>

#include <argosy/error.h>

struct ag_cron {
    uint64_t minutes;
    uint32_t hours, days, months, weekdays; /* bit n: n matches */
    bool any_day, any_weekday;              /* the field is `*` */
    bool flows;                             /* minute or hour begins with `*` */
};

/* ARGOSY_EINVAL: err names the field and what was expected. */
int ag_cron_parse(const char *text, struct ag_cron *out, struct argosy_error *err);

typedef struct ag_zone ag_zone_t;

/* "Europe/Berlin"; "" is UTC. ARGOSY_EINVAL: the system does not know it; ARGOSY_ENOMEM. */
int ag_zone_new(ag_zone_t **out, const char *name, struct argosy_error *err);
void ag_zone_destroy(ag_zone_t **self_p);

/* The first time after `after`; INT64_MAX when none comes within 30 years. */
int64_t ag_cron_next(const struct ag_cron *self, const ag_zone_t *zone, int64_t after_unix_ms);

#endif
