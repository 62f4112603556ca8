/* The tables of commands and options, and what is printed from them: help, manual, suggestions. */
#include <argosy/version.h>
#include <stdlib.h>
#include <string.h>

#include "common/options.h"

enum { HELP_INDENT = 26, WORD_MAX = 48 };

static const struct ag_command_row commands[AG_COMMAND_COUNT] = {
#define X(id, word, title, operands, least, most, summary, examples)                               \
    [AG_COMMAND_##id] = {word, title, operands, least, most, summary, examples},
    AG_COMMANDS(X)
#undef X
};

static const struct ag_option_row options[AG_OPTION_COUNT] = {
#define X(id, name, letter, type, standard, min, max, placeholder, who, heading, help)             \
    [AG_OPT_##id] = {name,        letter, AG_TYPE_##type,       standard, min, max,                \
                     placeholder, who,    AG_HEADING_##heading, help},
    AG_OPTIONS(X)
#undef X
};

static const char *const headings[AG_HEADING_COUNT] = {
#define X(id, words) [AG_HEADING_##id] = words,
    AG_OPTION_HEADINGS(X)
#undef X
};

const struct ag_command_row *ag_command_row(enum ag_command command)
{
    return &commands[command];
}

const struct ag_option_row *ag_option_row(enum ag_option option)
{
    return &options[option];
}

/* ---- words that are alike
 * ------------------------------------------------------------------------------ */

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: Damerau-Levenshtein without changing a pair twice. */
unsigned ag_word_distance(const char *a, const char *b)
{
    unsigned rows[3][WORD_MAX + 1];
    size_t na = strlen(a), nb = strlen(b);

    if (na > WORD_MAX || nb > WORD_MAX)
        return UINT32_MAX;
    for (size_t j = 0; j <= nb; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= na; i++) {
        unsigned *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];

        now[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            now[j] = least(least(last[j], now[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
    }
    return rows[na % 3][nb];
}

bool ag_word_is_near(unsigned distance, const char *word)
{
    return distance <= strlen(word) / 3 + (strlen(word) > 2);
}

enum ag_command ag_command_find(const char *word, const char **nearest)
{
    unsigned best = UINT32_MAX;

    if (nearest != NULL)
        *nearest = NULL;
    for (int i = 0; i < AG_COMMAND_COUNT; i++) {
        unsigned distance = ag_word_distance(word, commands[i].word);

        if (strcmp(word, commands[i].word) == 0)
            return (enum ag_command)i;
        if (distance < best && ag_word_is_near(distance, word)) {
            best = distance;
            if (nearest != NULL)
                *nearest = commands[i].word;
        }
    }
    return AG_COMMAND_COUNT;
}

/* ---- who has what
 * -------------------------------------------------------------------------------------- */

bool ag_command_is_kind(enum ag_command command)
{
    return command == AG_COMMAND_FETCH || command == AG_COMMAND_ANALYZE ||
           command == AG_COMMAND_EXEC;
}

uint64_t ag_command_bits(enum ag_command command, const char *kind)
{
    uint64_t bits = 1ull << command;

    if (command == AG_COMMAND_RUN && kind != NULL) {
        enum ag_command of_kind = ag_command_find(kind, NULL);

        if (ag_command_is_kind(of_kind))
            bits |= 1ull << of_kind;
    }
    return bits;
}

bool ag_option_belongs(const struct ag_option_row *row, uint64_t bits)
{
    if ((bits & AG_FOR(RUN)) && (row->who & AG_NOT_FOR_RUN))
        return false;
    return (row->who & bits & AG_FOR_ALL) != 0;
}

/* ---- printing
 * ------------------------------------------------------------------------------------------ */

/* Words, wrapped; `at` is the column where they begin. */
static void print_wrapped(const char *text, int at, int indent, FILE *out)
{
    int column = at;

    while (*text != '\0') {
        int size = (int)strcspn(text, " ");

        if (column > indent && column + 1 + size > AG_OPTION_COLUMNS) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", size, text);
        column += size;
        text += size + (text[size] == ' ');
    }
    fputc('\n', out);
}

static void print_row(const struct ag_option_row *row, FILE *out)
{
    char left[128], help[1024];
    bool has_value = row->type != AG_TYPE_FLAG;
    int size = snprintf(left, sizeof left, "  %c%c%s --%s%s%s", row->letter ? '-' : ' ',
                        row->letter ? row->letter : ' ', row->letter ? "," : " ", row->name,
                        has_value ? " " : "", has_value ? row->placeholder : "");

    snprintf(help, sizeof help, "%s%s%s%s", row->help, row->standard ? " [" : "",
             row->standard ? row->standard : "", row->standard ? "]" : "");
    if (size >= HELP_INDENT)
        fprintf(out, "%s\n%*s", left, HELP_INDENT, "");
    else
        fprintf(out, "%-*s", HELP_INDENT, left);
    print_wrapped(help, HELP_INDENT, HELP_INDENT, out);
}

static bool is_shown(const struct ag_option_row *row, uint64_t bits, int heading)
{
    return (int)row->heading == heading && ag_option_belongs(row, bits) &&
           !(row->who & AG_NOT_IN_HELP);
}

/* Where options may stand besides; some are about one call only, and a variable that is silently
 * not looked at is worse than none. --help and --version need no word. */
static void print_other_places(uint64_t bits, FILE *out)
{
    char text[1024] = "Every option";
    size_t size = strlen(text), count = 0;

    for (int i = 0; i < AG_OPTION_COUNT; i++) {
        const struct ag_option_row *row = &options[i];

        if (row->heading == AG_HEADING_COMMON || !(row->who & AG_NOT_IN_ENV) ||
            !is_shown(row, bits, (int)row->heading))
            continue;
        snprintf(text + size, sizeof text - size, "%s--%s", count++ == 0 ? " but " : ", ",
                 row->name);
        size = strlen(text);
    }
    snprintf(text + size, sizeof text - size,
             " can be given as ARGOSY_NAME in the environment and as a key of the configuration "
             "file as well; times take ms, s, m, h, d, sizes K, M, G.");
    print_wrapped(text, 0, 0, out);
}

void ag_options_print_help(enum ag_command command, uint64_t bits, FILE *out)
{
    const struct ag_command_row *row = ag_command_row(command);
    const char *example = row->examples;

    fprintf(out, "usage: %s [OPTION...]%s%s\n\n", row->title, row->operands[0] ? " " : "",
            row->operands);
    print_wrapped(row->summary, 0, 0, out);
    fprintf(out, "\nExamples:\n");
    while (*example != '\0') {
        int size = (int)strcspn(example, "\n");

        fprintf(out, "  %.*s\n", size, example);
        example += size + (example[size] == '\n');
    }
    for (int heading = 0; heading < AG_HEADING_COUNT; heading++) {
        bool first = true;

        for (int i = 0; i < AG_OPTION_COUNT; i++) {
            if (!is_shown(&options[i], bits, heading))
                continue;
            if (first)
                fprintf(out, "\n%s:\n", headings[heading]);
            first = false;
            print_row(&options[i], out);
        }
    }
    fprintf(out, "\n");
    print_other_places(bits, out);
}

/* In scdoc these would begin something. */
static void print_escaped(const char *text, FILE *out)
{
    for (; *text != '\0'; text++) {
        if (strchr("_*\\<", *text) != NULL)
            fputc('\\', out);
        fputc(*text, out);
    }
}

void ag_options_print_man(uint64_t bits, FILE *out)
{
    for (int heading = 0; heading < AG_HEADING_COUNT; heading++) {
        bool first = true;

        for (int i = 0; i < AG_OPTION_COUNT; i++) {
            const struct ag_option_row *row = &options[i];

            if (!is_shown(row, bits, heading))
                continue;
            if (first)
                fprintf(out, "## %s\n\n", headings[heading]);
            first = false;
            if (row->letter != 0)
                fprintf(out, "*-%c*, ", row->letter);
            fprintf(out, "*--%s*", row->name);
            if (row->type != AG_TYPE_FLAG) {
                fputc(' ', out);
                print_escaped(row->placeholder, out);
            }
            fprintf(out, "\n\t");
            print_escaped(row->help, out);
            if (row->standard != NULL) {
                fprintf(out, " Default: ");
                print_escaped(row->standard, out);
                fprintf(out, ".");
            }
            fprintf(out, "\n\n");
        }
    }
}

bool ag_options_print_wanted(const ag_options_t *self, FILE *out)
{
    if (ag_options_flag(self, AG_OPT_HELP))
        ag_options_print_help(ag_options_command(self), ag_options_bits(self), out);
    else if (ag_options_flag(self, AG_OPT_VERSION))
        fprintf(out, "argosy %s\n", ARGOSY_VERSION);
    else if (ag_options_flag(self, AG_OPT_MAN_OPTIONS))
        ag_options_print_man(ag_options_bits(self), out);
    else
        return false;
    return true;
}

void ag_commands_print(FILE *out)
{
    for (int i = 0; i < AG_COMMAND_COUNT; i++) {
        fprintf(out, "  %-10s", commands[i].word);
        print_wrapped(commands[i].summary, 12, 12, out);
    }
}
