/* What can be wrong with a store: its pages, its rows, and what a broker would make of them. */
#include <stddef.h>
#include <stdio.h>

#include "broker/store/look_inner.h"
#include "broker/store/rows.h"
#include "common/clock.h"

enum { PAGE_PROBLEMS_MAX = 20 }; /* a damaged page makes many */

struct check {
    look_t *look;
    look_problem_fn *tell;
    void *arg;
    core_t *core;
    uint64_t last; /* number of the last record */
    int64_t now;
};

static void tell_error(struct check *self, const struct argosy_error *err)
{
    self->tell(self->arg, err->message);
}

static void tell_count(struct check *self, const char *what, uint64_t number)
{
    char problem[128];

    if (number == 0)
        return;
    snprintf(problem, sizeof problem, "%s: %llu", what, (unsigned long long)number);
    self->tell(self->arg, problem);
}

/* ---- what can be counted ------------------------------------------------------------------------
 */

static const struct {
    size_t offset;
    const char *sql;
} facts[] = {
    {offsetof(struct look_facts, format), "SELECT value FROM meta WHERE key = 'format'"},
    {offsetof(struct look_facts, epoch), "SELECT value FROM meta WHERE key = 'epoch'"},
    {offsetof(struct look_facts, made_unix_ms), "SELECT value FROM meta WHERE key = 'made'"},
    {offsetof(struct look_facts, bytes),
     "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"},
    {offsetof(struct look_facts, jobs), "SELECT count(*) FROM job"},
    {offsetof(struct look_facts, succeeded),
     "SELECT count(*) FROM outcome CROSS JOIN job ON job.number = outcome.job WHERE state = 5"},
    {offsetof(struct look_facts, failed),
     "SELECT count(*) FROM outcome CROSS JOIN job ON job.number = outcome.job WHERE state = 6"},
    {offsetof(struct look_facts, cancelled),
     "SELECT count(*) FROM outcome CROSS JOIN job ON job.number = outcome.job WHERE state = 7"},
    {offsetof(struct look_facts, groups), "SELECT count(*) FROM batch"},
    {offsetof(struct look_facts, groups_ended),
     "SELECT count(*) FROM batch WHERE ended IS NOT NULL"},
    {offsetof(struct look_facts, queues), "SELECT count(*) FROM queue"},
    {offsetof(struct look_facts, schedules), "SELECT count(*) FROM schedule"},
};

/* Numbers of rows that must not be. */
static const struct {
    const char *sql, *what;
} wrong[] = {
    {"SELECT count(*) FROM main.outcome WHERE NOT EXISTS"
     " (SELECT 1 FROM main.job WHERE job.number = outcome.job)",
     "outcomes of jobs that are not there"},
    {"SELECT count(*) - count(DISTINCT job) FROM main.outcome",
     "outcomes of jobs that have one already"},
    {"SELECT count(*) FROM main.outcome JOIN main.job ON job.number = outcome.job"
     " WHERE job.number >= outcome.number",
     "outcomes from before their jobs"},
    {"SELECT count(*) FROM main.outcome WHERE state NOT BETWEEN 5 AND 7",
     "outcomes of no known state"},
    {"SELECT count(*) FROM main.job WHERE NOT EXISTS"
     " (SELECT 1 FROM main.template WHERE template.number = job.template)",
     "jobs without a template"},
    {"SELECT count(*) FROM main.job WHERE batch IS NOT NULL AND NOT EXISTS"
     " (SELECT 1 FROM main.batch WHERE batch.number = job.batch)",
     "jobs of groups that are not there"},
    {"SELECT 2 - count(*) FROM meta WHERE key IN ('epoch', 'made') AND value > 0",
     "rows epoch and made that meta lacks, or that are not positive"},
};

static bool count(struct check *self, const char *sql, uint64_t *out)
{
    struct argosy_error err = {0};

    if (sql_number(self->look->db, sql, out, &err) == 0)
        return true;
    tell_error(self, &err);
    return false;
}

static void check_rows(struct check *self, struct look_facts *out)
{
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        count(self, facts[i].sql, (uint64_t *)(void *)((char *)out + facts[i].offset));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint64_t rows;

        if (count(self, wrong[i].sql, &rows))
            tell_count(self, wrong[i].what, rows);
    }
}

/* ---- the pages ----------------------------------------------------------------------------------
 */

/* SQLite may tell several on as many lines. */
static void tell_page(struct check *self, const char *text)
{
    char line[256];

    while (*text != '\0') {
        size_t size = strcspn(text, "\n");

        snprintf(line, sizeof line, "%.*s", (int)size, text);
        if (strncmp(line, "***", 3) != 0) /* "*** in database main ***" */
            self->tell(self->arg, line);
        text += size + (text[size] == '\n');
    }
}

static void check_pages(struct check *self)
{
    struct argosy_error err = {0};
    sqlite3_stmt *rows;
    char sql[64];
    int step = SQLITE_DONE, rc;

    snprintf(sql, sizeof sql, "PRAGMA main.integrity_check(%d)", PAGE_PROBLEMS_MAX);
    rc = sql_prepare(self->look->db, sql, &rows, &err);
    while (rc == 0 && (step = sqlite3_step(rows)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(rows, 0);

        if (text != NULL && strcmp(text, "ok") != 0)
            tell_page(self, text);
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = look_fail(self->look, "read", &err);
    if (rc < 0)
        tell_error(self, &err);
    sqlite3_finalize(rows);
}

/* ---- the records --------------------------------------------------------------------------------
 */

/* Whether a cron line is sound is known where schedules are made; here it is not asked again. */
static void *believe(struct ag_bytes cron, struct ag_bytes zone, struct argosy_error *err)
{
    static char any;

    (void)cron, (void)zone, (void)err;
    return &any;
}

static int64_t never(void *rule, int64_t after_unix_ms)
{
    (void)rule, (void)after_unix_ms;
    return INT64_MAX;
}

static void forget(void *rule)
{
    (void)rule;
}

static int take(void *arg, uint64_t number, const struct record *record, struct argosy_error *err)
{
    struct check *self = arg;
    int rc = ARGOSY_EPROTO;

    if (number < self->last)
        ag_fail(err, rc, "it stands behind record %llu", (unsigned long long)self->last);
    else
        rc = core_restore(self->core, self->now, number, record, err);
    self->last = number;
    return rc < 0 ? ag_fail_in(err, rc, "record %llu", (unsigned long long)number) : 0;
}

/* A broker must be able to begin with it, and what it would have must be sound. */
static int check_records(struct check *self, struct argosy_error *err)
{
    struct core_config config = {.calendar = {believe, never, forget},
                                 .epoch = 1,
                                 .heartbeat_ms = 2000,
                                 .grace_ms = 30000,
                                 .result_ttl_ms = 3600000,
                                 .jobs_max = UINT64_MAX,
                                 .bytes_max = UINT64_MAX};
    const char *broken;
    uint64_t last;
    int rc;

    self->now = ag_clock_unix_ms(); /* unix_offset_ms is 0: the core counts in unix time */
    self->core = core_new(&config);
    if (self->core == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for what the store holds");
    rc = tables_read(self->look->db, take, self, &last, err);
    if (rc == 0) {
        core_restored(self->core, last);
        broken = core_broken_invariant(self->core);
        if (broken != NULL)
            rc = ag_fail(err, ARGOSY_EPROTO, "it does not hold that %s", broken);
    }
    core_destroy(&self->core);
    if (rc < 0 && rc != ARGOSY_ENOMEM) {
        tell_error(self, err);
        rc = 0;
    }
    return rc;
}

int look_check(look_t *look, struct look_facts *out, look_problem_fn *tell, void *arg,
               struct argosy_error *err)
{
    struct check self = {.look = look, .tell = tell, .arg = arg};

    *out = (struct look_facts){0};
    check_pages(&self);
    check_rows(&self, out);
    return check_records(&self, err);
}
