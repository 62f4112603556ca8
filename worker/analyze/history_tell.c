#include "worker/analyze/history_tell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/wire.h"
#include "worker/analyze/history.h"
#include "worker/analyze/pack.h"

enum { DAY = 24 * 3600 };

/* Days since the last change; the last row is what is older. */
static const unsigned ages[] = {30, 90, 365, 730, 1825};
enum { AGES = sizeof ages / sizeof *ages };

/* RFC 3339; what no calendar has is nil. */
static void put_time(msgpack_packer *p, const char *key, int64_t seconds)
{
    time_t time = (time_t)seconds;
    struct tm tm;
    char text[32];

    pack_key(p, key);
    if (gmtime_r(&time, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900 ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        msgpack_pack_nil(p);
        return;
    }
    msgpack_pack_str_with_body(p, text, strlen(text));
}

/* ---- people
 * --------------------------------------------------------------------------------------------- */

static int by_commits(const void *a, const void *b, void *arg)
{
    const struct history_told *told = arg;
    uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
    const struct history_person *x = &told->of_people[i], *y = &told->of_people[k];
    int order;

    if (x->commits != y->commits)
        return x->commits > y->commits ? -1 : 1;
    order = strcmp((const char *)names_at(told->people, i).data,
                   (const char *)names_at(told->people, k).data);
    return order != 0 ? order : i < k ? -1 : i > k;
}

/* The fewest people who together made half of the commits (without merges) or more. */
static uint64_t bus_factor(const struct history_told *told, const uint32_t *order, size_t count)
{
    uint64_t half = told->sums.commits - told->sums.merges, sum = 0;
    size_t people = 0;

    while (people < count && sum * 2 < half)
        sum += told->of_people[order[people++]].commits;
    return people;
}

static void put_person(const struct history_told *told, uint32_t number, msgpack_packer *p)
{
    const struct history_person *person = &told->of_people[number];
    const char *name = (const char *)names_at(told->people, number).data;

    msgpack_pack_map(p, 7);
    pack_text(p, "name", name);
    pack_text(p, "email", name + strlen(name) + 1);
    pack_number(p, "commits", person->commits);
    pack_number(p, "added", person->added);
    pack_number(p, "deleted", person->deleted);
    put_time(p, "first", person->first);
    put_time(p, "last", person->last);
}

static int put_people(const struct history_told *told, msgpack_packer *p)
{
    uint32_t all = names_count(told->people);
    uint32_t *order = calloc(all + 1u, sizeof *order);
    size_t count = 0;

    if (order == NULL)
        return ARGOSY_ENOMEM;
    for (uint32_t i = 0; i < all; i++)
        if (told->of_people[i].commits > 0) /* some have made merges only */
            order[count++] = i;
    qsort_r(order, count, sizeof *order, by_commits, (void *)told);
    pack_number(p, "authors", count);
    pack_number(p, "bus_factor", bus_factor(told, order, count));
    pack_key(p, "top_authors");
    if (count > HISTORY_LISTED)
        count = HISTORY_LISTED;
    msgpack_pack_array(p, count);
    for (size_t i = 0; i < count; i++)
        put_person(told, order[i], p);
    free(order);
    return 0;
}

/* ---- files
 * ---------------------------------------------------------------------------------------------- */

static int by_heat(const void *a, const void *b, void *arg)
{
    const struct history_told *told = arg;
    uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
    const struct history_path *x = &told->of_paths[i], *y = &told->of_paths[k];

    if (x->commits != y->commits)
        return x->commits > y->commits ? -1 : 1;
    if (x->added + x->deleted != y->added + y->deleted)
        return x->added + x->deleted > y->added + y->deleted ? -1 : 1;
    return strcmp((const char *)names_at(told->paths, i).data,
                  (const char *)names_at(told->paths, k).data);
}

static void put_path(const struct history_told *told, uint32_t number, msgpack_packer *p)
{
    const struct history_path *path = &told->of_paths[number];

    msgpack_pack_map(p, 5);
    pack_text(p, "path", (const char *)names_at(told->paths, number).data);
    pack_number(p, "commits", path->commits);
    pack_number(p, "added", path->added);
    pack_number(p, "deleted", path->deleted);
    put_time(p, "last", path->last);
}

static uint64_t age_of(const struct history_told *told, const struct history_path *path)
{
    return path->last >= told->now ? 0 : (uint64_t)(told->now - path->last) / DAY;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* `order` has the files that exist; those that only merges have changed have no age. */
static int put_ages(const struct history_told *told, const uint32_t *order, size_t count,
                    msgpack_packer *p)
{
    uint64_t *days = calloc(count + 1, sizeof *days), rows[AGES + 1] = {0};
    size_t known = 0;

    if (days == NULL)
        return ARGOSY_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const struct history_path *path = &told->of_paths[order[i]];
        size_t row = 0;

        if (path->commits == 0)
            continue;
        days[known] = age_of(told, path);
        while (row < AGES && days[known] >= ages[row])
            row++;
        rows[row]++;
        known++;
    }
    qsort(days, known, sizeof *days, by_number);
    pack_key(p, "age");
    msgpack_pack_map(p, 3);
    pack_key(p, "median_days");
    if (known > 0)
        msgpack_pack_uint64(p, days[(known - 1) / 2]);
    else
        msgpack_pack_nil(p);
    pack_number(p, "unknown", count - known);
    pack_key(p, "files");
    msgpack_pack_array(p, AGES + 1);
    for (size_t row = 0; row <= AGES; row++) {
        msgpack_pack_map(p, 2);
        pack_key(p, "below_days");
        if (row < AGES)
            msgpack_pack_uint64(p, ages[row]);
        else
            msgpack_pack_nil(p);
        pack_number(p, "files", rows[row]);
    }
    free(days);
    return 0;
}

static int put_files(const struct history_told *told, msgpack_packer *p)
{
    uint32_t all = names_count(told->paths);
    uint32_t *order = calloc(all + 1u, sizeof *order);
    size_t count = 0, listed = 0;
    int rc;

    if (order == NULL)
        return ARGOSY_ENOMEM;
    for (uint32_t i = 0; i < all; i++)
        if (told->of_paths[i].is_present)
            order[count++] = i;
    qsort_r(order, count, sizeof *order, by_heat, (void *)told);
    while (listed < count && listed < HISTORY_LISTED && told->of_paths[order[listed]].commits > 0)
        listed++;
    pack_key(p, "hot_spots");
    msgpack_pack_array(p, listed);
    for (size_t i = 0; i < listed; i++)
        put_path(told, order[i], p);
    rc = put_ages(told, order, count, p);
    free(order);
    return rc;
}

int history_tell(const struct history_told *told, struct ag_buffer *out)
{
    msgpack_packer packer;
    int rc;

    msgpack_packer_init(&packer, out, ag_buffer_write);
    msgpack_pack_map(&packer, 11);
    pack_number(&packer, "commits", told->sums.commits);
    pack_number(&packer, "merges", told->sums.merges);
    put_time(&packer, "first", told->sums.first);
    put_time(&packer, "last", told->sums.last);
    pack_number(&packer, "added", told->sums.added);
    pack_number(&packer, "deleted", told->sums.deleted);
    rc = put_people(told, &packer);                 /* three keys */
    return rc == 0 ? put_files(told, &packer) : rc; /* two */
}
