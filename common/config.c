#include "common/config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/options.h"

enum { NAME_SIZE = 80, PATH_SIZE = 4096 };

static void print_variable(const struct ag_option_row *row, char out[NAME_SIZE])
{
    int size = snprintf(out, NAME_SIZE, "ARGOSY_%s", row->name);

    for (int i = 7; i < size; i++)
        out[i] = (char)(out[i] == '-' ? '_' : toupper((unsigned char)out[i]));
}

int ag_config_from_environment(struct ag_options *options, struct argosy_error *err)
{
    for (int i = 0; i < AG_OPTION_COUNT; i++) {
        const struct ag_option_row *row = ag_option_row((enum ag_option)i);
        char name[NAME_SIZE];
        const char *value;
        int rc;

        if (!ag_option_belongs(row, ag_options_bits(options)) || (row->who & AG_NOT_IN_ENV))
            continue;
        print_variable(row, name);
        value = getenv(name);
        if (value == NULL || value[0] == '\0')
            continue;
        rc = ag_options_set(options, (enum ag_option)i, AG_FROM_ENVIRONMENT, name, value, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- the file
 * ------------------------------------------------------------------------------------------ */

static int fail_unknown_key(const struct ag_options *options, const struct ag_config_entry *entry,
                            struct argosy_error *err)
{
    const char *nearest = NULL;
    unsigned best = UINT32_MAX;

    for (int i = 0; i < AG_OPTION_COUNT; i++) {
        const struct ag_option_row *row = ag_option_row((enum ag_option)i);
        unsigned distance = ag_word_distance(entry->key, row->name);

        if (!(row->who & AG_NOT_IN_FILE) && distance < best) {
            best = distance;
            nearest = row->name;
        }
    }
    if (nearest == NULL || !ag_word_is_near(best, entry->key))
        nearest = NULL;
    return ag_fail(err, ARGOSY_EINVAL, "%s: %s:%u: unknown key '%s'%s%s%s",
                   ag_command_row(ag_options_command(options))->title, entry->path, entry->line,
                   entry->key, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                   nearest ? "'?" : "");
}

static int take(void *arg, const struct ag_config_entry *entry, struct argosy_error *err)
{
    struct ag_options *options = arg;
    enum ag_option_source source = entry->section != NULL ? AG_FROM_SECTION : AG_FROM_FILE;
    bool is_known = false;

    if (entry->section != NULL) {
        enum ag_command command = ag_command_find(entry->section, NULL);

        if (command == AG_COMMAND_COUNT)
            return ag_fail(err, ARGOSY_EINVAL, "%s: %s:%u: '%s' is not a command",
                           ag_command_row(ag_options_command(options))->title, entry->path,
                           entry->line, entry->section);
        if (!(ag_options_bits(options) & (1ull << command)))
            source = AG_FROM_DEFAULT; /* of another command: only look whether the key is known */
    }
    for (int i = 0; i < AG_OPTION_COUNT; i++) {
        const struct ag_option_row *row = ag_option_row((enum ag_option)i);
        char where[256];
        int rc;

        if (strcmp(row->name, entry->key) != 0 || (row->who & AG_NOT_IN_FILE))
            continue;
        is_known = true;
        if (!ag_option_belongs(row, ag_options_bits(options)) || source == AG_FROM_DEFAULT)
            continue;
        snprintf(where, sizeof where, "%s:%u: %s", entry->path, entry->line, entry->key);
        rc = ag_options_set(options, (enum ag_option)i, source, where, entry->value, err);
        if (rc < 0)
            return rc;
    }
    return is_known ? 0 : fail_unknown_key(options, entry, err);
}

static bool default_path(char out[PATH_SIZE])
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int size = -1;

    if (config != NULL && config[0] == '/')
        size = snprintf(out, PATH_SIZE, "%s/argosy/argosy.zpl", config);
    else if (home != NULL && home[0] == '/')
        size = snprintf(out, PATH_SIZE, "%s/.config/argosy/argosy.zpl", home);
    return size > 0 && size < PATH_SIZE;
}

int ag_config_from_file(struct ag_options *options, ag_config_reader *read_file,
                        struct argosy_error *err)
{
    const char *given = ag_options_text(options, AG_OPT_CONFIG);
    char path[PATH_SIZE];
    int rc;

    if (given != NULL) {
        rc = read_file(given, take, options, err);
        if (rc == ARGOSY_ENOTFOUND || rc == ARGOSY_EIO)
            return ag_fail_in(err, rc, "%s: %s", ag_command_row(ag_options_command(options))->title,
                              ag_options_where(options, AG_OPT_CONFIG));
        return rc;
    }
    if (!default_path(path))
        return 0;
    rc = read_file(path, take, options, err);
    if (rc == ARGOSY_ENOTFOUND) {
        if (err != NULL)
            *err = (struct argosy_error){0};
        return 0;
    }
    return rc;
}
