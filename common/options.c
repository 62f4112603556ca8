#include "common/options.h"

#include <ctype.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/assert.h"
#include "common/duration.h"
#include "common/error.h"

enum { WHERE_SIZE = 192, LONG_BASE = 0x1000, LETTERS_SIZE = 3 * AG_OPTION_COUNT + 2 };

/* What one option holds. */
struct slot {
    enum ag_option_source source;
    char where[WHERE_SIZE];
    char *text;     /* as it was given last; NULL: nobody gave it */
    uint64_t value; /* flags, numbers, durations, sizes */
    char **items;   /* of a list; ends with NULL */
    size_t count;
};

struct ag_options {
    enum ag_command command;
    uint64_t bits;
    struct slot slots[AG_OPTION_COUNT];
    char *const *operands;
    size_t operand_count;
};

static const char *const no_items[] = {NULL};

static struct slot *slot_of(ag_options_t *self, enum ag_option option)
{
    return &self->slots[option];
}

static const struct slot *typed(const ag_options_t *self, enum ag_option option,
                                enum ag_option_type type)
{
    AG_ASSERT(ag_option_row(option)->type == type);
    return &self->slots[option];
}

/* ---- reading values
 * ---------------------------------------------------------------------------------- */

static int parse_flag(const char *text, uint64_t *out, struct argosy_error *err)
{
    static const char *const yes[] = {"yes", "true", "on", "1"}, *const no[] = {"no", "false",
                                                                                "off", "0"};

    for (size_t i = 0; i < 4; i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *out = strcasecmp(text, yes[i]) == 0;
            return 0;
        }
    }
    return ag_fail(err, ARGOSY_EINVAL, "'%s' is neither yes nor no", text);
}

static int check_text(const struct ag_option_row *row, const char *text, struct argosy_error *err)
{
    size_t size = strlen(text);

    if (size < row->min)
        return ag_fail(err, ARGOSY_EINVAL, "must not be empty");
    if (size > row->max)
        return ag_fail(err, ARGOSY_EINVAL, "longer than %llu bytes", (unsigned long long)row->max);
    return 0;
}

static int check_choice(const struct ag_option_row *row, const char *text, struct argosy_error *err)
{
    size_t size = strlen(text);

    for (const char *at = row->placeholder; *at != '\0';) {
        size_t word = strcspn(at, "|");

        if (word == size && memcmp(at, text, size) == 0)
            return 0;
        at += word + (at[word] == '|');
    }
    return ag_fail(err, ARGOSY_EINVAL, "'%s' is none of %s", text, row->placeholder);
}

/* Find `name` in NAME=N[,NAME=N...]; a malformed part is an error also when it is another one. */
static int find_count(const struct ag_option_row *row, const char *text, const char *name,
                      uint32_t *out, bool *found, struct argosy_error *err)
{
    *found = false;
    while (*text != '\0') {
        size_t part = strcspn(text, ",");
        size_t key = strcspn(text, "=");
        char number[24];
        uint64_t value;
        int rc;

        if (key == 0 || key >= part || part - key - 1 >= sizeof number)
            return ag_fail(err, ARGOSY_EINVAL, "'%.*s' is not %s", (int)part, text,
                           row->placeholder);
        snprintf(number, sizeof number, "%.*s", (int)(part - key - 1), text + key + 1);
        rc = ag_whole_parse(number, row->min, row->max, &value, err);
        if (rc < 0)
            return rc;
        if (name != NULL && strlen(name) == key && memcmp(name, text, key) == 0) {
            *out = (uint32_t)value;
            *found = true;
        }
        text += part + (text[part] == ',');
    }
    return 0;
}

static int parse(const struct ag_option_row *row, const char *text, uint64_t *out,
                 struct argosy_error *err)
{
    struct ag_retry_policy retry;
    struct ag_log_levels levels;
    uint32_t count;
    int64_t ms;
    bool found;
    int rc;

    switch (row->type) {
    case AG_TYPE_FLAG:
        return parse_flag(text, out, err);
    case AG_TYPE_WHOLE:
        return ag_whole_parse(text, row->min, row->max, out, err);
    case AG_TYPE_DURATION:
        rc = ag_duration_parse(text, (int64_t)row->min, (int64_t)row->max, &ms, err);
        if (rc == 0)
            *out = (uint64_t)ms;
        return rc;
    case AG_TYPE_SIZE:
        return ag_size_parse(text, row->min, row->max, out, err);
    case AG_TYPE_CHOICE:
        return check_choice(row, text, err);
    case AG_TYPE_COUNTS:
        return find_count(row, text, NULL, &count, &found, err);
    case AG_TYPE_RETRY:
        return ag_retry_parse(text, &retry, err);
    case AG_TYPE_LEVELS:
        return ag_log_levels_parse(text, &levels, err);
    case AG_TYPE_TEXT:
    case AG_TYPE_WORDS:
    case AG_TYPE_LINES:
        break;
    }
    return check_text(row, text, err);
}

/* ---- keeping them
 * -------------------------------------------------------------------------------------- */

static void forget(struct slot *slot)
{
    for (size_t i = 0; i < slot->count; i++)
        free(slot->items[i]);
    free(slot->items);
    free(slot->text);
    slot->items = NULL;
    slot->text = NULL;
    slot->count = 0;
}

static int add_item(struct slot *slot, const char *text, size_t size, struct argosy_error *err)
{
    char **grown;

    if (slot->count == AG_OPTION_ITEMS_MAX)
        return ag_fail(err, ARGOSY_EINVAL, "more than %d items", AG_OPTION_ITEMS_MAX);
    grown = realloc(slot->items, (slot->count + 2) * sizeof *grown);
    if (grown == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for options");
    slot->items = grown;
    grown[slot->count] = strndup(text, size);
    if (grown[slot->count] == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for options");
    grown[++slot->count] = NULL;
    return 0;
}

/* A word list is cut at commas and blanks, lines of a variable at line ends. */
static int add_items(const struct ag_option_row *row, struct slot *slot,
                     enum ag_option_source source, const char *text, struct argosy_error *err)
{
    const char *ends = row->type == AG_TYPE_WORDS      ? ", \t\n"
                       : source == AG_FROM_ENVIRONMENT ? "\n"
                                                       : "";
    int rc = 0;

    while (*text != '\0' && rc == 0) {
        size_t size = strcspn(text, ends);

        if (size > row->max)
            return ag_fail(err, ARGOSY_EINVAL, "longer than %llu bytes",
                           (unsigned long long)row->max);
        if (size > 0)
            rc = add_item(slot, text, size, err);
        text += size + (text[size] != '\0');
    }
    return rc;
}

static bool is_list(const struct ag_option_row *row)
{
    return row->type == AG_TYPE_WORDS || row->type == AG_TYPE_LINES;
}

static int keep(const struct ag_option_row *row, struct slot *slot, enum ag_option_source source,
                const char *text, uint64_t value, struct argosy_error *err)
{
    if (source > slot->source || !is_list(row))
        forget(slot);
    slot->source = source;
    slot->value = value;
    if (is_list(row))
        return add_items(row, slot, source, text, err);
    slot->text = strdup(text);
    return slot->text != NULL ? 0 : ag_fail(err, ARGOSY_ENOMEM, "no memory for options");
}

int ag_options_set(ag_options_t *self, enum ag_option option, enum ag_option_source source,
                   const char *where, const char *text, struct argosy_error *err)
{
    const struct ag_option_row *row = ag_option_row(option);
    struct slot *slot = slot_of(self, option);
    uint64_t value = 0;
    int rc = parse(row, text, &value, err);

    if (rc == 0 && source >= slot->source) {
        rc = keep(row, slot, source, text, value, err);
        snprintf(slot->where, sizeof slot->where, "%s", where);
    }
    if (rc < 0)
        return ag_fail_in(err, rc, "%s: %s", ag_command_row(self->command)->title, where);
    return 0;
}

static int set_defaults(ag_options_t *self, struct argosy_error *err)
{
    for (int option = 0; option < AG_OPTION_COUNT; option++) {
        const struct ag_option_row *row = ag_option_row((enum ag_option)option);
        char where[WHERE_SIZE];
        int rc;

        snprintf(where, sizeof where, "--%s", row->name);
        snprintf(self->slots[option].where, WHERE_SIZE, "%s", where);
        if (row->standard == NULL)
            continue;
        rc = ag_options_set(self, (enum ag_option)option, AG_FROM_DEFAULT, where, row->standard,
                            err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- the command line
 * ------------------------------------------------------------------------------------ */

static bool find_flag(uint64_t bits, const char *name, size_t size, char letter,
                      const struct ag_option_row **out)
{
    for (int option = 0; option < AG_OPTION_COUNT; option++) {
        const struct ag_option_row *row = ag_option_row((enum ag_option)option);

        if (ag_option_belongs(row, bits) &&
            ((name != NULL && strlen(row->name) == size && memcmp(row->name, name, size) == 0) ||
             (name == NULL && row->letter == letter))) {
            *out = row;
            return true;
        }
    }
    return false;
}

/* Whether this argument is an option whose value is the next argument. */
static bool takes_next(uint64_t bits, const char *argument)
{
    const struct ag_option_row *row;

    if (argument[1] == '-') {
        size_t size = strcspn(argument + 2, "=");

        return argument[2 + size] == '\0' && find_flag(bits, argument + 2, size, 0, &row) &&
               row->type != AG_TYPE_FLAG;
    }
    for (const char *letter = argument + 1; *letter != '\0'; letter++)
        if (find_flag(bits, NULL, 0, *letter, &row) && row->type != AG_TYPE_FLAG)
            return letter[1] == '\0';
    return false;
}

/* The first operand, before it is known which options there are: for `run`. */
static const char *first_operand(int argc, char **argv)
{
    uint64_t bits = AG_FOR(RUN) | AG_FOR(FETCH) | AG_FOR(ANALYZE) | AG_FOR(EXEC);

    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-' || argv[i][1] == '\0')
            return argv[i];
        if (strcmp(argv[i], "--") == 0)
            return i + 1 < argc ? argv[i + 1] : NULL;
        if (takes_next(bits, argv[i]))
            i++;
    }
    return NULL;
}

static int fail_unknown(const ag_options_t *self, const char *argument, struct argosy_error *err)
{
    const char *title = ag_command_row(self->command)->title;
    const char *nearest = NULL;
    unsigned best = UINT32_MAX;
    char name[64];

    if (argument[0] != '-' || argument[1] != '-')
        return ag_fail(err, ARGOSY_EINVAL, "%s: unknown option -%c; --help lists them", title,
                       optopt);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(argument + 2, "="), argument + 2);
    for (int option = 0; option < AG_OPTION_COUNT; option++) {
        const struct ag_option_row *row = ag_option_row((enum ag_option)option);
        unsigned distance = ag_word_distance(name, row->name);

        if (ag_option_belongs(row, self->bits) && !(row->who & AG_NOT_IN_HELP) && distance < best) {
            best = distance;
            nearest = row->name;
        }
    }
    if (nearest != NULL && ag_word_is_near(best, name))
        return ag_fail(err, ARGOSY_EINVAL, "%s: unknown option --%s; did you mean --%s?", title,
                       name, nearest);
    return ag_fail(err, ARGOSY_EINVAL, "%s: unknown option --%s; --help lists them", title, name);
}

struct getopt_table {
    struct option longs[AG_OPTION_COUNT + 1];
    char letters[LETTERS_SIZE];
    int of_letter[128];
};

static void make_table(const ag_options_t *self, struct getopt_table *table)
{
    size_t count = 0, letters = 0;

    memset(table, 0, sizeof *table);
    table->letters[letters++] = ':';
    for (int option = 0; option < AG_OPTION_COUNT; option++) {
        const struct ag_option_row *row = ag_option_row((enum ag_option)option);
        bool is_flag = row->type == AG_TYPE_FLAG;

        if (!ag_option_belongs(row, self->bits))
            continue;
        table->longs[count++] = (struct option){
            row->name, is_flag ? optional_argument : required_argument, NULL, LONG_BASE + option};
        if (row->letter != 0) {
            table->of_letter[(unsigned char)row->letter] = option;
            table->letters[letters++] = row->letter;
            if (!is_flag)
                table->letters[letters++] = ':';
        }
    }
}

/* getopt_long takes the beginning of a name for it; a script that relied on that would break with
 * the next option. The argument may also be the option's value: then it was written apart. */
static bool is_shortened(const char *argument, const char *name)
{
    size_t size = strlen(name);

    return strncmp(argument, "--", 2) == 0 && strncmp(argument + 2, name, size) != 0 &&
           strncmp(argument + 2, name, strcspn(argument + 2, "=")) == 0;
}

static int take_flag(ag_options_t *self, const struct getopt_table *table, int got,
                     const char *argument, struct argosy_error *err)
{
    enum ag_option option;
    char where[WHERE_SIZE];

    if (got == '?')
        return fail_unknown(self, argument, err);
    if (got == ':')
        return ag_fail(err, ARGOSY_EINVAL, "%s: %s needs a value",
                       ag_command_row(self->command)->title, argument);
    option = (enum ag_option)(got >= LONG_BASE ? got - LONG_BASE : table->of_letter[got]);
    if (got >= LONG_BASE && is_shortened(argument, ag_option_row(option)->name))
        return fail_unknown(self, argument, err);
    snprintf(where, sizeof where, "--%s", ag_option_row(option)->name);
    return ag_options_set(self, option, AG_FROM_FLAG, where, optarg != NULL ? optarg : "yes", err);
}

static int check_operands(const ag_options_t *self, struct argosy_error *err)
{
    const struct ag_command_row *row = ag_command_row(self->command);

    if (self->operand_count < row->operands_min)
        return ag_fail(err, ARGOSY_EINVAL, "%s: %s is missing; --help tells more", row->title,
                       row->operands);
    if (self->operand_count > row->operands_max)
        return ag_fail(err, ARGOSY_EINVAL, "%s: unexpected operand '%s'", row->title,
                       self->operands[row->operands_max]);
    return 0;
}

static bool print_is_wanted(const ag_options_t *self)
{
    return ag_options_flag(self, AG_OPT_HELP) || ag_options_flag(self, AG_OPT_VERSION) ||
           ag_options_flag(self, AG_OPT_MAN_OPTIONS);
}

static int read_flags(ag_options_t *self, int argc, char **argv, struct argosy_error *err)
{
    struct getopt_table table;
    int rc = 0;

    make_table(self, &table);
    opterr = 0;
    optind = 0; /* start anew: glibc */
    while (rc == 0 && !print_is_wanted(self)) {
        int before = optind > 0 ? optind : 1, place;
        int got = getopt_long(argc, argv, table.letters, table.longs, NULL);

        if (got < 0)
            break;
        /* Which argument it was: getopt has moved past it and its value, or stands in a cluster. */
        place = optind > before ? optind - 1 : before;
        if (got != '?' && got != ':' && place > 1 && optarg == argv[place])
            place--;
        rc = take_flag(self, &table, got, argv[place], err);
    }
    self->operands = (char *const *)argv + optind;
    self->operand_count = (size_t)(argc - optind);
    return rc;
}

static int check_kind(ag_options_t *self, int argc, char **argv, struct argosy_error *err)
{
    const char *kind = first_operand(argc, argv), *nearest = NULL;
    enum ag_command command;

    self->bits = ag_command_bits(self->command, kind);
    if (self->command != AG_COMMAND_RUN || kind == NULL)
        return 0;
    command = ag_command_find(kind, &nearest);
    if (ag_command_is_kind(command))
        return 0;
    return ag_fail(err, ARGOSY_EINVAL,
                   "argosy run: '%s' is not a kind of job (fetch, analyze, exec)%s%s", kind,
                   nearest ? "; did you mean " : "", nearest ? nearest : "");
}

int ag_options_new(ag_options_t **out, enum ag_command command, int argc, char **argv,
                   ag_config_reader *read_file, struct argosy_error *err)
{
    ag_options_t *self = calloc(1, sizeof *self);
    int rc;

    *out = NULL;
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for options");
    self->command = command;
    rc = set_defaults(self, err);
    if (rc == 0)
        rc = check_kind(self, argc, argv, err);
    if (rc == 0)
        rc = read_flags(self, argc, argv, err);
    if (rc == 0 && !print_is_wanted(self)) {
        rc = check_operands(self, err);
        if (rc == 0)
            rc = ag_config_from_environment(self, err);
        if (rc == 0 && read_file != NULL)
            rc = ag_config_from_file(self, read_file, err);
    }
    if (rc < 0)
        ag_options_destroy(&self);
    *out = self;
    return rc;
}

void ag_options_destroy(ag_options_t **self_p)
{
    ag_options_t *self = *self_p;

    if (self == NULL)
        return;
    for (int option = 0; option < AG_OPTION_COUNT; option++)
        forget(&self->slots[option]);
    free(self);
    *self_p = NULL;
}

/* ---- getters
 * ------------------------------------------------------------------------------------------- */

enum ag_command ag_options_command(const ag_options_t *self)
{
    return self->command;
}

uint64_t ag_options_bits(const ag_options_t *self)
{
    return self->bits;
}

char *const *ag_options_operands(const ag_options_t *self)
{
    return self->operands;
}

size_t ag_options_operand_count(const ag_options_t *self)
{
    return self->operand_count;
}

bool ag_options_flag(const ag_options_t *self, enum ag_option option)
{
    return typed(self, option, AG_TYPE_FLAG)->value != 0;
}

uint32_t ag_options_whole(const ag_options_t *self, enum ag_option option)
{
    return (uint32_t)typed(self, option, AG_TYPE_WHOLE)->value;
}

uint32_t ag_options_ms(const ag_options_t *self, enum ag_option option)
{
    return (uint32_t)typed(self, option, AG_TYPE_DURATION)->value;
}

uint64_t ag_options_bytes(const ag_options_t *self, enum ag_option option)
{
    return typed(self, option, AG_TYPE_SIZE)->value;
}

const char *ag_options_text(const ag_options_t *self, enum ag_option option)
{
    return self->slots[option].text;
}

bool ag_options_is(const ag_options_t *self, enum ag_option option, const char *word)
{
    const char *text = typed(self, option, AG_TYPE_CHOICE)->text;

    AG_ASSERT(check_choice(ag_option_row(option), word, NULL) == 0);
    return text != NULL && strcmp(text, word) == 0;
}

const char *const *ag_options_list(const ag_options_t *self, enum ag_option option, size_t *count)
{
    const struct slot *slot = &self->slots[option];

    AG_ASSERT(is_list(ag_option_row(option)));
    if (count != NULL)
        *count = slot->count;
    return slot->items != NULL ? (const char *const *)slot->items : no_items;
}

bool ag_options_count(const ag_options_t *self, enum ag_option option, const char *name,
                      uint32_t *count)
{
    const struct slot *slot = typed(self, option, AG_TYPE_COUNTS);
    const struct ag_option_row *row = ag_option_row(option);
    bool found = false;

    if (slot->text != NULL)
        find_count(row, slot->text, name, count, &found, NULL);
    if (!found && row->standard != NULL)
        find_count(row, row->standard, name, count, &found, NULL);
    return found;
}

void ag_options_retry(const ag_options_t *self, struct ag_retry_policy *out)
{
    const struct slot *retry = typed(self, AG_OPT_RETRY, AG_TYPE_RETRY);
    const struct slot *retries = typed(self, AG_OPT_RETRIES, AG_TYPE_WHOLE);

    *out = (struct ag_retry_policy){.retry = ag_retry_default()};
    if (retry->text != NULL)
        ag_retry_parse(retry->text, out, NULL);
    if (retries->text != NULL && (retries->source >= retry->source || retry->text == NULL ||
                                  strstr(retry->text, "attempts=") == NULL))
        out->retry.attempts = (uint32_t)retries->value + 1;
}

void ag_options_log(const ag_options_t *self, struct ag_log_config *out)
{
    bool is_daemon = self->command == AG_COMMAND_BROKER || self->command == AG_COMMAND_WORKER;
    const struct slot *levels = &self->slots[is_daemon ? AG_OPT_LOG : AG_OPT_CLIENT_LOG];

    ag_log_levels_parse(levels->text, &out->levels, NULL);
    if (ag_options_flag(self, AG_OPT_QUIET))
        out->levels = (struct ag_log_levels){.base = AG_LOG_ERROR};
    out->json = ag_options_is(self, AG_OPT_LOG_FORMAT, "json");
}

bool ag_options_given(const ag_options_t *self, enum ag_option option)
{
    return self->slots[option].source != AG_FROM_DEFAULT;
}

const char *ag_options_where(const ag_options_t *self, enum ag_option option)
{
    return self->slots[option].where;
}
