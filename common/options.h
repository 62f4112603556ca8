/* options.h - the options of the three programs: flags, ARGOSY_* variables, configuration file.
 *
 *     struct argosy_error err = {0};
 *     ag_options_t *options;
 *     int rc = ag_options_new(&options, AG_COMMAND_FETCH, argc, argv, ag_zpl_read, &err);
 *
 *     if (rc < 0) {
 *         fprintf(stderr, "%s\n", err.message); // argosy fetch: --retries: 'many' is not a whole ...
 *         return 2;
 *     }
 *     if (ag_options_print_wanted(options, stdout)) // --help, --version, --man-options
 *         ;
 *     else
 *         fetch(ag_options_operands(options), ag_options_ms(options, AG_OPT_FETCH_TIMEOUT), ...);
 *     ag_options_destroy(&options);
 *
 * argv[0] is the program or the command word and is not looked at. For `argosy run KIND ...` give
 * AG_COMMAND_RUN: the first operand is the kind, and its options belong to the command line too.
 *
 * Every option can be given as a flag, and, but for AG_FLAG_ONLY, as ARGOSY_<LONG_NAME> and as a
 * key of the configuration file; the first that is there wins, in this order, and then the default.
 * A list is replaced as a whole. An empty variable counts as not set. Flags that stand in a variable
 * or file, or as --flag=yes|no, say yes, no, true, false, on, off, 1 or 0.
 *
 * The configuration file (config.h) has keys for all commands at its top, and a section for each
 * command, which wins over the top:
 *
 *     connect = tcp://broker:7700
 *     fetch
 *         timeout = 2m
 *         header = "Accept: text/html"
 *
 * All values that belong to the command are checked, also those that a stronger source overrides.
 * Values out of range are refused, never rewritten. The table is option_table.h.
 *
 * Threads: ag_options_new() from one thread at a time (getopt_long is not reentrant); afterwards
 * the options never change and any thread may read. Units: milliseconds, bytes. All text that is
 * returned lives as long as the options; operands as long as argv.
 */
#ifndef AG_OPTIONS_H
#define AG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <argosy/error.h>

#include "common/config.h"
#include "common/log.h"
#include "common/option_table.h"
#include "common/retry.h"

enum {
    AG_OPERANDS_MAX = 1 << 24,      /* the system bounds a command line long before */
    AG_OPTION_ITEMS_MAX = 64 << 10, /* items of one list */
    AG_OPTION_COLUMNS = 80          /* width of --help */
};

enum ag_command {
#define X(id, ...) AG_COMMAND_##id,
    AG_COMMANDS(X)
#undef X
    AG_COMMAND_COUNT
};

enum ag_option {
#define X(id, ...) AG_OPT_##id,
    AG_OPTIONS(X)
#undef X
    AG_OPTION_COUNT
};

enum ag_option_heading {
#define X(id, words) AG_HEADING_##id,
    AG_OPTION_HEADINGS(X)
#undef X
    AG_HEADING_COUNT
};

/* What a value is, and which getter reads it. */
enum ag_option_type {
    AG_TYPE_FLAG,     /* ag_options_flag */
    AG_TYPE_TEXT,     /* ag_options_text */
    AG_TYPE_WHOLE,    /* ag_options_whole */
    AG_TYPE_DURATION, /* ag_options_ms */
    AG_TYPE_SIZE,     /* ag_options_bytes */
    AG_TYPE_CHOICE,   /* ag_options_is, ag_options_text; the placeholder lists the words */
    AG_TYPE_WORDS,    /* ag_options_list; several, or one joined by commas or blanks */
    AG_TYPE_LINES,    /* ag_options_list; one for each flag or key; a variable holds one a line */
    AG_TYPE_COUNTS,   /* ag_options_count; NAME=N[,NAME=N...] */
    AG_TYPE_RETRY,    /* ag_options_retry */
    AG_TYPE_LEVELS    /* ag_options_log */
};

/* Where a value came from, weakest first. */
enum ag_option_source {
    AG_FROM_DEFAULT,
    AG_FROM_FILE,
    AG_FROM_SECTION, /* of the file */
    AG_FROM_ENVIRONMENT,
    AG_FROM_FLAG
};

typedef struct ag_options ag_options_t;

/* Read all sources. `read_file` reads the configuration file (ag_zpl_read of zpl/zpl.h); NULL reads
 * none. After --help, --version or --man-options the rest is not looked at.
 * ARGOSY_EINVAL: wrong usage; the message begins with the command and names the option, variable or
 * file and line, the value and what was expected. ARGOSY_EIO: the file cannot be read.
 * ARGOSY_ENOMEM. *out is yours, NULL on failure. */
int ag_options_new(ag_options_t **out, enum ag_command command, int argc, char **argv,
                   ag_config_reader *read_file, struct argosy_error *err);

void ag_options_destroy(ag_options_t **self_p);

/* What --help, --version or --man-options asked for is printed; false if none was given. */
bool ag_options_print_wanted(const ag_options_t *self, FILE *out);

enum ag_command ag_options_command(const ag_options_t *self);

/* What is not an option, in order; ends with NULL. With AG_COMMAND_RUN the first is the kind. */
char *const *ag_options_operands(const ag_options_t *self);
size_t ag_options_operand_count(const ag_options_t *self);

/* ---- values -------------------------------------------------------------------------------------
 * Each getter asserts that the row is of its type. A value that nobody gave is the default; without
 * one it is 0, false, NULL or the empty list. So it is for rows of other commands. */

bool ag_options_flag(const ag_options_t *self, enum ag_option option);
uint32_t ag_options_whole(const ag_options_t *self, enum ag_option option);
uint32_t ag_options_ms(const ag_options_t *self, enum ag_option option);
uint64_t ag_options_bytes(const ag_options_t *self, enum ag_option option);
const char *ag_options_text(const ag_options_t *self, enum ag_option option);

/* Whether the choice is `word`, which must be one of its words. */
bool ag_options_is(const ag_options_t *self, enum ag_option option, const char *word);

/* `count` items, then NULL. */
const char *const *ag_options_list(const ag_options_t *self, enum ag_option option, size_t *count);

/* The count of `name`, as it was given or by default; false if it is in neither. */
bool ag_options_count(const ag_options_t *self, enum ag_option option, const char *name,
                      uint32_t *count);

/* --retry and --retries in one: what both name is taken from the stronger source, and from
 * --retries when both are equal. */
void ag_options_retry(const ag_options_t *self, struct ag_retry_policy *out);

/* --log, --log-format and --quiet in one, for ag_log_start(). */
void ag_options_log(const ag_options_t *self, struct ag_log_config *out);

/* Whether anything but the default set it. */
bool ag_options_given(const ag_options_t *self, enum ag_option option);

/* Who set it, for messages about what only the command can check: "--input", "ARGOSY_INPUT",
 * "/etc/x.zpl:12: input"; "--input" for a default. Of a list, who gave its last item. */
const char *ag_options_where(const ag_options_t *self, enum ag_option option);

/* ---- the table, for help, manuals, completion and tests ----------------------------------------- */

struct ag_command_row {
    const char *word;     /* argosy WORD */
    const char *title;    /* how its messages and usage line begin */
    const char *operands; /* as in the usage line */
    size_t operands_min, operands_max;
    const char *summary;  /* one sentence */
    const char *examples; /* command lines, each with its newline */
};

struct ag_option_row {
    const char *name; /* long name, without the dashes */
    char letter;      /* 0: none */
    enum ag_option_type type;
    const char *standard; /* the default as text; NULL: none */
    uint64_t min, max;
    const char *placeholder; /* what help calls the value; of a choice its words */
    uint64_t who;            /* bits of commands and traits, see option_table.h */
    enum ag_option_heading heading;
    const char *help; /* sentences */
};

/* The command called `word`, AG_COMMAND_COUNT if none is; then `nearest` (may be NULL) is the word
 * of one that is alike, or NULL. */
enum ag_command ag_command_find(const char *word, const char **nearest);

const struct ag_command_row *ag_command_row(enum ag_command command);
const struct ag_option_row *ag_option_row(enum ag_option option);

/* Whether it is what `argosy run` runs. */
bool ag_command_is_kind(enum ag_command command);

/* Bits of the commands whose options such a command line has: its own, and for `run` those of the
 * kind (NULL: not known yet). */
uint64_t ag_command_bits(enum ag_command command, const char *kind);

/* Whether a command line with these bits has the row. */
bool ag_option_belongs(const struct ag_option_row *row, uint64_t bits);

/* All commands with their summaries: what `argosy --help` prints. */
void ag_commands_print(FILE *out);

/* What --help prints: usage, examples, options under their headings, within 80 columns. */
void ag_options_print_help(enum ag_command command, uint64_t bits, FILE *out);

/* The options as scdoc source, a level-2 heading for each group. */
void ag_options_print_man(uint64_t bits, FILE *out);

/* ---- for sources of values (config.c) ----------------------------------------------------------- */

/* Take `text` from a source; `where` names it and begins the message of a failure. Ignored when a
 * stronger source has spoken. ARGOSY_EINVAL, ARGOSY_ENOMEM. */
int ag_options_set(ag_options_t *self, enum ag_option option, enum ag_option_source source,
                   const char *where, const char *text, struct argosy_error *err);

/* The bits of this command line. */
uint64_t ag_options_bits(const ag_options_t *self);

/* How unlike two words are: insertions, deletions, changes and swaps of neighbours; and whether
 * that is near enough to suggest one for the other. */
unsigned ag_word_distance(const char *a, const char *b);
bool ag_word_is_near(unsigned distance, const char *word);

#endif
