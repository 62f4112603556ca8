#include "broker/calendar.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/cron/cron.h"
#include "common/error.h"

struct rule {
    struct ag_cron cron;
    ag_zone_t *zone;
};

static void close_rule(void *arg)
{
    struct rule *self = arg;

    ag_zone_destroy(&self->zone);
    free(self);
}

static void *open_rule(struct ag_bytes cron, struct ag_bytes zone, struct argosy_error *err)
{
    struct rule *self = calloc(1, sizeof *self);
    char line[AG_TEXT_BYTES_MAX + 1], name[AG_TEXT_BYTES_MAX + 1];

    if (self == NULL) {
        ag_fail(err, ARGOSY_ENOMEM, "no memory for a cron line");
        return NULL;
    }
    snprintf(line, sizeof line, "%.*s", AG_TEXT(cron));
    snprintf(name, sizeof name, "%.*s", AG_TEXT(zone));
    if (ag_cron_parse(line, &self->cron, err) < 0 || ag_zone_new(&self->zone, name, err) < 0) {
        close_rule(self);
        return NULL;
    }
    return self;
}

static int64_t next(void *arg, int64_t after_unix_ms)
{
    const struct rule *self = arg;

    return ag_cron_next(&self->cron, self->zone, after_unix_ms);
}

struct core_calendar calendar_of_system(void)
{
    return (struct core_calendar){.open = open_rule, .next = next, .close = close_rule};
}
