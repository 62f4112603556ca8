#include "client/cli/analyze_history.h"

#include <string.h>

#include "client/cli/amounts.h"

enum { ROWS = 10 }; /* of those that the answer has; JSON has all */

static long long number(const json_t *json, const char *key)
{
    return (long long)json_integer_value(json_object_get(json, key));
}

static const char *text(const json_t *json, const char *key)
{
    const char *value = json_string_value(json_object_get(json, key));

    return value != NULL ? value : "?";
}

static void print_text(const json_t *json, const char *key, FILE *out)
{
    print_clean(text(json, key), strlen(text(json, key)), out);
}

static void print_rows(const json_t *rows, const char *title, const char *name, FILE *out)
{
    const json_t *row;
    size_t i;

    fprintf(out, "\n%10s %10s %10s  %s\n", "commits", "added", "deleted", title);
    json_array_foreach(rows, i, row)
    {
        if (i == ROWS)
            break;
        fprintf(out, "%10lld %10lld %10lld  ", number(row, "commits"), number(row, "added"),
                number(row, "deleted"));
        print_text(row, name, out);
        fputc('\n', out);
    }
}

static void print_ages(const json_t *age, FILE *out)
{
    const json_t *row;
    size_t i;

    fprintf(out, "\n%10s  last change of a file, before the revision\n", "files");
    json_array_foreach(json_object_get(age, "files"), i, row)
    {
        if (json_is_integer(json_object_get(row, "below_days")))
            fprintf(out, "%10lld  less than %lld days\n", number(row, "files"),
                    number(row, "below_days"));
        else
            fprintf(out, "%10lld  longer\n", number(row, "files"));
    }
    if (json_is_integer(json_object_get(age, "median_days")))
        fprintf(out, "median: %lld day%s\n", number(age, "median_days"),
                number(age, "median_days") == 1 ? "" : "s");
}

void analyze_print_history(const json_t *history, FILE *out)
{
    char commits[AMOUNT_SIZE], merges[AMOUNT_SIZE], authors[AMOUNT_SIZE];

    if (!json_is_object(history))
        return;
    fprintf(out, "\n%s commits (%s of them merges) by %s authors, %s to %s; bus factor %lld\n",
            amount_count((uint64_t)number(history, "commits"), commits),
            amount_count((uint64_t)number(history, "merges"), merges),
            amount_count((uint64_t)number(history, "authors"), authors), text(history, "first"),
            text(history, "last"), number(history, "bus_factor"));
    print_rows(json_object_get(history, "top_authors"), "Author", "name", out);
    print_rows(json_object_get(history, "hot_spots"), "File", "path", out);
    print_ages(json_object_get(history, "age"), out);
}
