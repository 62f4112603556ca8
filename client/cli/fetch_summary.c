#include "client/cli/fetch_summary.h"

#include <stdlib.h>
#include <string.h>

#include "client/cli/amounts.h"
#include "client/cli/fetch_url.h"
#include "common/error.h"
#include "common/limits.h"

enum {
    SLOTS = 2048,     /* of the table of hosts: a power of two, twice as many as there may be */
    NAME_COLUMNS = 40 /* longer names push their row to the right */
};

struct row {
    char name[FETCH_HOST_SIZE];
    uint64_t jobs, failed, bytes, run_ms;
    uint32_t run_ms_max;
};

struct error_row {
    char type[AG_NAME_BYTES_MAX + 1];
    uint64_t count;
};

struct fetch_summary {
    struct row hosts[FETCH_SUMMARY_HOSTS], others;
    uint32_t hosts_count;
    uint16_t slots[SLOTS]; /* places in hosts[] from 1; 0: free */
    struct error_row errors[FETCH_SUMMARY_ERRORS], other_errors;
    uint32_t errors_count;
};

int fetch_summary_new(fetch_summary_t **out, struct argosy_error *err)
{
    *out = calloc(1, sizeof **out);
    return *out != NULL ? 0 : ag_fail(err, ARGOSY_ENOMEM, "no memory for a summary");
}

void fetch_summary_destroy(fetch_summary_t **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

/* ---- counting ----------------------------------------------------------------------------------
 */

/* FNV-1a. Who makes hosts collide on purpose makes a thousand comparisons of each. */
static uint32_t hash_of(const char *text)
{
    uint32_t hash = 0x811c9dc5;

    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 0x01000193;
    return hash ^ hash >> 16;
}

static struct row *host_row(fetch_summary_t *self, const char *name)
{
    uint32_t slot = hash_of(name) & (SLOTS - 1);
    struct row *row;

    for (; self->slots[slot] != 0; slot = (slot + 1) & (SLOTS - 1)) {
        row = &self->hosts[self->slots[slot] - 1];
        if (strcmp(row->name, name) == 0)
            return row;
    }
    if (self->hosts_count == FETCH_SUMMARY_HOSTS)
        return &self->others;
    row = &self->hosts[self->hosts_count++];
    self->slots[slot] = (uint16_t)self->hosts_count;
    snprintf(row->name, sizeof row->name, "%s", name);
    return row;
}

static struct error_row *error_row(fetch_summary_t *self, const char *type)
{
    struct error_row *row;

    for (uint32_t i = 0; i < self->errors_count; i++)
        if (strncmp(self->errors[i].type, type, AG_NAME_BYTES_MAX) == 0)
            return &self->errors[i];
    if (self->errors_count == FETCH_SUMMARY_ERRORS)
        return &self->other_errors;
    row = &self->errors[self->errors_count++];
    snprintf(row->type, sizeof row->type, "%s", type);
    return row;
}

void fetch_summary_add(fetch_summary_t *self, const struct fetch_end *end)
{
    struct row *row = host_row(self, end->host);

    row->jobs++;
    row->failed += end->error_type != NULL;
    row->bytes += end->bytes;
    row->run_ms += end->run_ms;
    if (end->run_ms > row->run_ms_max)
        row->run_ms_max = end->run_ms;
    if (end->error_type != NULL)
        error_row(self, end->error_type)->count++;
}

/* ---- printing ----------------------------------------------------------------------------------
 */

static int by_jobs(const void *a, const void *b)
{
    const struct row *const *x = a, *const *y = b;

    if ((*x)->jobs != (*y)->jobs)
        return (*x)->jobs < (*y)->jobs ? 1 : -1;
    return strcmp((*x)->name, (*y)->name);
}

static int by_count(const void *a, const void *b)
{
    const struct error_row *const *x = a, *const *y = b;

    if ((*x)->count != (*y)->count)
        return (*x)->count < (*y)->count ? 1 : -1;
    return strcmp((*x)->type, (*y)->type);
}

/* In bytes, as print_clean() writes it. */
static int width_of(const char *name)
{
    int width = 0;

    for (; *name != '\0'; name++)
        width += (unsigned char)*name < 0x20 || *name == 0x7f ? 4 : 1;
    return width;
}

static void print_name(const char *name, int columns, FILE *out)
{
    int width = width_of(name);

    print_clean(name, strlen(name), out);
    fprintf(out, "%*s", columns > width ? columns - width : 0, "");
}

static void print_host(const struct row *row, int columns, FILE *out)
{
    char jobs[AMOUNT_SIZE], failed[AMOUNT_SIZE], bytes[AMOUNT_SIZE], mean[AMOUNT_SIZE],
        worst[AMOUNT_SIZE];

    print_name(row->name[0] != '\0' ? row->name : "(no host)", columns, out);
    fprintf(out, "  %10s  %8s  %8s  %6s  %6s\n", amount_count(row->jobs, jobs),
            amount_count(row->failed, failed), amount_bytes((double)row->bytes, bytes),
            amount_ms((double)row->run_ms / (double)row->jobs, mean),
            amount_ms(row->run_ms_max, worst));
}

/* What is not shown by itself, whether it was told apart or not. */
static void add_to(struct row *others, const struct row *row)
{
    others->jobs += row->jobs;
    others->failed += row->failed;
    others->bytes += row->bytes;
    others->run_ms += row->run_ms;
    if (row->run_ms_max > others->run_ms_max)
        others->run_ms_max = row->run_ms_max;
}

static int columns_of(const char *name, int columns)
{
    int size = width_of(name);

    if (size > NAME_COLUMNS)
        size = NAME_COLUMNS;
    return size > columns ? size : columns;
}

static void print_hosts(const fetch_summary_t *self, FILE *out)
{
    const struct row *sorted[FETCH_SUMMARY_HOSTS];
    struct row others = self->others;
    int columns = (int)strlen("(no host)");

    for (uint32_t i = 0; i < self->hosts_count; i++)
        sorted[i] = &self->hosts[i];
    qsort(sorted, self->hosts_count, sizeof *sorted, by_jobs);
    for (uint32_t i = 0; i < self->hosts_count; i++)
        if (i < FETCH_SUMMARY_ROWS)
            columns = columns_of(sorted[i]->name, columns);
        else
            add_to(&others, sorted[i]);
    print_name("host", columns, out);
    fprintf(out, "  %10s  %8s  %8s  %6s  %6s\n", "jobs", "failed", "bytes", "mean", "worst");
    for (uint32_t i = 0; i < self->hosts_count && i < FETCH_SUMMARY_ROWS; i++)
        print_host(sorted[i], columns, out);
    if (others.jobs == 0)
        return;
    snprintf(others.name, sizeof others.name, "others");
    print_host(&others, columns, out);
}

static void print_errors(const fetch_summary_t *self, FILE *out)
{
    const struct error_row *sorted[FETCH_SUMMARY_ERRORS];
    uint64_t others = self->other_errors.count;
    int columns = (int)strlen("others");
    char count[AMOUNT_SIZE];

    for (uint32_t i = 0; i < self->errors_count; i++)
        sorted[i] = &self->errors[i];
    qsort(sorted, self->errors_count, sizeof *sorted, by_count);
    for (uint32_t i = 0; i < self->errors_count; i++)
        if (i < FETCH_SUMMARY_ROWS)
            columns = columns_of(sorted[i]->type, columns);
        else
            others += sorted[i]->count;
    print_name("error", columns, out);
    fprintf(out, "  %10s\n", "count");
    for (uint32_t i = 0; i < self->errors_count && i < FETCH_SUMMARY_ROWS; i++) {
        print_name(sorted[i]->type, columns, out);
        fprintf(out, "  %10s\n", amount_count(sorted[i]->count, count));
    }
    if (others == 0)
        return;
    print_name("others", columns, out);
    fprintf(out, "  %10s\n", amount_count(others, count));
}

void fetch_summary_print(const fetch_summary_t *self, FILE *out)
{
    uint64_t jobs = self->others.jobs;

    for (uint32_t i = 0; i < self->hosts_count; i++)
        jobs += self->hosts[i].jobs;
    if (jobs < 2)
        return;
    print_hosts(self, out);
    if (self->errors_count == 0)
        return;
    fputc('\n', out);
    print_errors(self, out);
}
