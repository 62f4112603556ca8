/* config.h - values of options from the environment and from the configuration file.
 *
 * ag_options_new() calls this; a program only passes a reader (ag_zpl_read of zpl/zpl.h), so that
 * this library needs no parser of its own and a test can play a file.
 *
 * The file is the one of --config or ARGOSY_CONFIG, which must exist, else
 * $XDG_CONFIG_HOME/argosy/argosy.zpl or ~/.config/argosy/argosy.zpl if it exists. Its shape is in
 * options.h. A key that no command knows is an error that suggests the nearest; keys for other
 * commands are passed over, so one file serves all.
 *
 * Threads: as ag_options_new().
 */
#ifndef AG_CONFIG_H
#define AG_CONFIG_H

#include <stdbool.h>

#include <argosy/error.h>

struct ag_options;

/* One property of a file; borrowed until the call returns. */
struct ag_config_entry {
    const char *path; /* of the file, for messages */
    unsigned line;    /* from 1 */
    const char *section; /* NULL at the top of the file */
    const char *key;
    const char *value;
};

/* Takes an entry; 0, or an error that ends the reading. */
typedef int ag_config_take(void *arg, const struct ag_config_entry *entry,
                           struct argosy_error *err);

/* Calls `take` for each property of the file at `path`, in order. Returns 0, what `take` returned,
 * or its own error with a message that names file and line: ARGOSY_EIO when it cannot be read,
 * ARGOSY_ENOTFOUND when there is none, ARGOSY_EINVAL when it is not well-formed, ARGOSY_ETOOBIG. */
typedef int ag_config_reader(const char *path, ag_config_take *take, void *arg,
                             struct argosy_error *err);

/* Set what ARGOSY_* variables say. ARGOSY_EINVAL, ARGOSY_ENOMEM. */
int ag_config_from_environment(struct ag_options *options, struct argosy_error *err);

/* Set what the file says, if there is one. ARGOSY_EINVAL, ARGOSY_ENOMEM, or the reader's errors. */
int ag_config_from_file(struct ag_options *options, ag_config_reader *read_file,
                        struct argosy_error *err);

#endif
