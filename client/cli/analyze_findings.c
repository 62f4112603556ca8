#include "client/cli/analyze_findings.h"

#include <stdbool.h>
#include <string.h>

#include "client/cli/amounts.h"

enum {
    ROWS = 3, /* of each list, in its line; JSON has more */
    SETS = 2, /* of duplicates: their paths tend to be long */
    TITLE_WIDTH = 12
};

/* A line of the block: its title, then items with commas between. */
struct block {
    FILE *out;
    bool has_lines, has_items;
};

static uint64_t number(const json_t *json, const char *outer, const char *inner)
{
    const json_t *object = outer != NULL ? json_object_get(json, outer) : json;
    json_int_t value = json_integer_value(json_object_get(object, inner));

    return value > 0 ? (uint64_t)value : 0;
}

static void begin(struct block *self, const char *title)
{
    fprintf(self->out, "%s%-*s", self->has_lines ? "" : "\n", TITLE_WIDTH, title);
    self->has_lines = true;
    self->has_items = false;
}

static void next_item(struct block *self)
{
    if (self->has_items)
        fputs(", ", self->out);
    self->has_items = true;
}

static void end(struct block *self)
{
    fputc('\n', self->out);
}

/* A text of somebody else's. */
static void put_text(struct block *self, const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    if (text == NULL)
        text = "(not UTF-8)";
    print_clean(text, strlen(text), self->out);
}

/* "12 latin1" for each of these that there are. */
struct named {
    const char *key, *name;
};

static void print_numbers(struct block *self, const char *title, const json_t *numbers,
                          const struct named *names)
{
    uint64_t sum = 0;

    for (const struct named *row = names; row->key != NULL; row++)
        sum += number(numbers, NULL, row->key);
    if (sum == 0)
        return;
    begin(self, title);
    for (const struct named *row = names; row->key != NULL; row++) {
        uint64_t count = number(numbers, NULL, row->key);
        char text[AMOUNT_SIZE];

        if (count == 0)
            continue;
        next_item(self);
        fprintf(self->out, "%s %s", amount_count(count, text), row->name);
    }
    end(self);
}

static const char *files_text(uint64_t count, char text[AMOUNT_SIZE])
{
    char digits[AMOUNT_SIZE];

    snprintf(text, AMOUNT_SIZE, "%s file%s", amount_count(count, digits), count == 1 ? "" : "s");
    return text;
}

/* How many there are beyond those that were shown. */
static void put_rest(struct block *self, uint64_t all, uint64_t shown)
{
    char text[AMOUNT_SIZE];

    if (all > shown)
        fprintf(self->out, " and %s more", amount_count(all - shown, text));
}

static void put_bytes(struct block *self, const json_t *row)
{
    char text[AMOUNT_SIZE];

    fprintf(self->out, ", %s", amount_bytes((double)number(row, NULL, "bytes"), text));
}

static void put_lines(struct block *self, const json_t *row)
{
    char text[AMOUNT_SIZE];
    uint64_t lines = number(row, NULL, "lines");

    fprintf(self->out, ", %s line%s", amount_count(lines, text), lines == 1 ? "" : "s");
}

/* The largest file and the longest one, often the same; one file alone has no rank. */
static void print_first(struct block *self, const json_t *result)
{
    const json_t *largest = json_array_get(json_object_get(result, "largest"), 0);
    const json_t *longest = json_array_get(json_object_get(result, "longest"), 0);

    if (largest == NULL || longest == NULL || number(result, "totals", "files") < 2)
        return;
    begin(self, "largest");
    put_text(self, largest, "path");
    put_bytes(self, largest);
    if (json_equal(json_object_get(largest, "path"), json_object_get(longest, "path"))) {
        fputs("; also the longest", self->out);
    } else {
        end(self);
        begin(self, "longest");
        put_text(self, longest, "path");
    }
    put_lines(self, longest);
    end(self);
}

static void print_duplicates(struct block *self, const json_t *duplicates)
{
    uint64_t files = number(duplicates, NULL, "files");
    const json_t *set;
    char text[AMOUNT_SIZE];
    size_t i;

    if (files == 0)
        return;
    begin(self, "duplicates");
    fputs(files_text(files, text), self->out);
    put_bytes(self, duplicates);
    fputs("; most by ", self->out);
    json_array_foreach(json_object_get(duplicates, "sets"), i, set)
    {
        if (i == SETS)
            break;
        next_item(self);
        put_text(self, set, "path");
        fprintf(self->out, " (%s times)", amount_count(number(set, NULL, "files"), text));
    }
    end(self);
}

static void print_license_files(struct block *self, const json_t *licenses)
{
    const json_t *rows = json_object_get(licenses, "files"), *row;
    size_t i;

    if (json_array_size(rows) == 0)
        return;
    begin(self, "licenses");
    json_array_foreach(rows, i, row)
    {
        if (i == ROWS)
            break;
        next_item(self);
        put_text(self, row, "path");
        fputs(" (", self->out);
        if (json_is_string(json_object_get(row, "license")))
            put_text(self, row, "license");
        else
            fputs("not known", self->out);
        fputc(')', self->out);
    }
    put_rest(self, number(licenses, NULL, "files_count"), i);
    end(self);
}

static void print_spdx(struct block *self, const json_t *licenses)
{
    const json_t *rows = json_object_get(licenses, "spdx"), *row;
    char text[AMOUNT_SIZE];
    size_t i;

    if (json_array_size(rows) == 0)
        return;
    begin(self, "SPDX");
    json_array_foreach(rows, i, row)
    {
        if (i == ROWS)
            break;
        next_item(self);
        put_text(self, row, "id");
        fprintf(self->out, " in %s", files_text(number(row, NULL, "files"), text));
    }
    put_rest(self, json_array_size(rows), i);
    end(self);
}

void analyze_print_findings(const json_t *result, FILE *out)
{
    static const struct named marks[] = {
        {"todo", "TODO"}, {"fixme", "FIXME"}, {"hack", "HACK"}, {0}};
    static const struct named encodings[] = {{"latin1", "latin1"}, {"utf16", "utf16"}, {0}};
    static const struct named line_ends[] = {
        {"crlf", "crlf"}, {"cr", "cr"}, {"unfinished", "without a newline at the end"}, {0}};
    struct block block = {.out = out};
    const json_t *licenses = json_object_get(result, "licenses");

    print_first(&block, result);
    print_numbers(&block, "marks", json_object_get(result, "marks"), marks);
    print_duplicates(&block, json_object_get(result, "duplicates"));
    print_license_files(&block, licenses);
    print_spdx(&block, licenses);
    print_numbers(&block, "encodings", json_object_get(result, "encodings"), encodings);
    print_numbers(&block, "line ends", json_object_get(result, "line_ends"), line_ends);
}
