/* argosy analyze: each path becomes one job; its answer is a table, JSON or CSV. */
#include <stdlib.h>
#include <string.h>

#include "client/cli/amounts.h"
#include "client/cli/analyze_findings.h"
#include "client/cli/analyze_history.h"
#include "client/cli/analyze_source.h"
#include "common/json.h"

static const char *const columns[] = {"files", "lines", "code", "comments", "blanks", "bytes"};
enum { COLUMNS = sizeof columns / sizeof *columns };

/* Which rows there are, and what each is called. */
struct rows {
    const char *key, *name, *title;
    bool has_files;
};

static struct rows rows_of(const struct cli *cli)
{
    if (ag_options_is(cli->options, AG_OPT_BY, "file"))
        return (struct rows){"files", "path", "File", false};
    if (ag_options_is(cli->options, AG_OPT_BY, "dir"))
        return (struct rows){"dirs", "path", "Directory", true};
    return (struct rows){"languages", "name", "Language", true};
}

static const char *name_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));

    return text != NULL ? text : "(not UTF-8)";
}

static void print_row(const char *name, const json_t *row, int width, bool has_files, FILE *out)
{
    print_clean(name, strlen(name), out);
    fprintf(out, "%*s", width > (int)strlen(name) ? width - (int)strlen(name) : 0, "");
    for (int i = has_files ? 0 : 1; i < COLUMNS; i++)
        fprintf(out, " %10lld", (long long)json_integer_value(json_object_get(row, columns[i])));
    fputc('\n', out);
}

static void print_skipped(const json_t *result, FILE *out)
{
    const json_t *skipped = json_object_get(result, "skipped"), *count;
    const char *key;
    bool first = true;

    json_object_foreach((json_t *)skipped, key, count)
    {
        if (json_integer_value(count) == 0)
            continue;
        fprintf(out, "%s%lld %s", first ? "skipped: " : ", ", (long long)json_integer_value(count),
                key);
        first = false;
    }
    if (!first)
        fputc('\n', out);
}

static void print_table(const struct cli *cli, const json_t *result, FILE *out)
{
    struct rows rows = rows_of(cli);
    const json_t *list = json_object_get(result, rows.key), *row;
    const char *revision = json_string_value(json_object_get(result, "revision"));
    int width = (int)strlen(rows.title);
    size_t i;

    json_array_foreach(list, i, row)
    {
        int size = (int)strlen(name_of(row, rows.name));

        width = size > width ? size : width;
    }
    width = width > 60 ? 60 : width;
    print_clean(name_of(result, "source"), strlen(name_of(result, "source")), out);
    fprintf(out, "%s%s\n%-*s", revision != NULL ? " at " : "", revision != NULL ? revision : "",
            width, rows.title);
    for (int c = rows.has_files ? 0 : 1; c < COLUMNS; c++)
        fprintf(out, " %10s", columns[c]);
    fputc('\n', out);
    json_array_foreach(list, i, row)
        print_row(name_of(row, rows.name), row, width, rows.has_files, out);
    print_row("total", json_object_get(result, "totals"), width, rows.has_files, out);
    print_skipped(result, out);
    if (!cli->quiet)
        analyze_print_findings(result, out);
    analyze_print_history(json_object_get(result, "history"), out);
}

/* RFC 4180; control characters, which may come out of somebody's archive, as in a table. */
static void put_csv(const char *text, FILE *out)
{
    bool is_quoted = strpbrk(text, ",\"\r\n") != NULL;

    if (is_quoted)
        fputc('"', out);
    for (size_t size; *text != '\0'; text += size) {
        size = strcspn(text, "\"") + (strchr(text, '"') != NULL);
        print_clean(text, size, out);
        if (text[size - 1] == '"')
            fputc('"', out);
    }
    if (is_quoted)
        fputc('"', out);
}

static void print_csv(const struct cli *cli, const json_t *result, FILE *out)
{
    struct rows rows = rows_of(cli);
    const json_t *row;
    static bool has_head;
    size_t i;

    if (!has_head) {
        fprintf(out, "source,%s", rows.name);
        for (int c = rows.has_files ? 0 : 1; c < COLUMNS; c++)
            fprintf(out, ",%s", columns[c]);
        fputs("\r\n", out);
        has_head = true;
    }
    json_array_foreach(json_object_get(result, rows.key), i, row)
    {
        put_csv(name_of(result, "source"), out);
        fputc(',', out);
        put_csv(name_of(row, rows.name), out);
        for (int c = rows.has_files ? 0 : 1; c < COLUMNS; c++)
            fprintf(out, ",%lld", (long long)json_integer_value(json_object_get(row, columns[c])));
        fputs("\r\n", out);
    }
}

static void print_analysis(const struct cli *cli, const struct argosy_event *event, FILE *out)
{
    json_t *result;

    if (event->result == NULL ||
        ag_json_from_msgpack(ag_bytes_of(event->result, event->result_size), &result, NULL) < 0)
        return; /* the report tells */
    if (ag_options_is(cli->options, AG_OPT_FORMAT, "json")) {
        json_dumpf(result, out, JSON_COMPACT | JSON_REAL_PRECISION(15));
        fputc('\n', out);
    } else if (ag_options_is(cli->options, AG_OPT_FORMAT, "csv")) {
        print_csv(cli, result, out);
    } else {
        print_table(cli, result, out);
    }
    json_decref(result);
}

int cli_analyze(struct cli *cli)
{
    struct analyze_source source;
    int code = analyze_source_open(&source, cli);

    if (code == 0)
        code = submission_run(cli, &source.jobs, print_analysis);
    analyze_source_close(&source);
    return code;
}
