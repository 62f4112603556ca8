/* calendar.h - what the core's schedules need of cron lines and time zones.
 *
 * Threads: the reactor's.
 */
#ifndef BROKER_CALENDAR_H
#define BROKER_CALENDAR_H

#include "broker/core/core.h"

struct core_calendar calendar_of_system(void);

#endif
