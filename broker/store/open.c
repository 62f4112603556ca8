/* Which store a text like "sqlite:PATH" names. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/place.h"
#include "broker/store/store.h"
#include "common/error.h"

/* The path in "sqlite:PATH"; NULL: it does not begin so. */
static const char *path_in(const char *text)
{
    static const char prefix[] = "sqlite:";
    size_t size = sizeof prefix - 1;

    return strncmp(text, prefix, size) == 0 ? text + size : NULL;
}

static bool is_memory(const char *text)
{
    return strcmp(text, "memory") == 0;
}

int store_check(const char *text, struct argosy_error *err)
{
    const char *path = path_in(text);

    if (is_memory(text) || (path != NULL && path[0] != '\0'))
        return 0;
    return ag_fail(err, ARGOSY_EINVAL,
                   "'%s' is not a store: memory, or sqlite:PATH with the path of its file", text);
}

/* $XDG_STATE_HOME/argosy/jobs.db, as the XDG Base Directory Specification 0.8 has it. */
static int default_path(char path[PATH_MAX], struct argosy_error *err)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int size = -1;

    if (state != NULL && state[0] == '/')
        size = snprintf(path, PATH_MAX, "%s/argosy/jobs.db", state);
    else if (home != NULL && home[0] == '/')
        size = snprintf(path, PATH_MAX, "%s/.local/state/argosy/jobs.db", home);
    if (size > 0 && size < PATH_MAX)
        return 0;
    return ag_fail(err, ARGOSY_EINVAL,
                   "neither XDG_STATE_HOME nor HOME tells where a store could "
                   "be: name one with --store sqlite:PATH");
}

/* The directories above the one that the store makes itself. */
static int make_parents(const char *path, struct argosy_error *err)
{
    char folder[PATH_MAX];
    int rc = 0;

    for (const char *slash = strchr(path + 1, '/'); rc == 0 && slash != NULL;
         slash = strchr(slash + 1, '/')) {
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
        rc = place_make_folder(folder, err);
    }
    return rc;
}

int store_path(const char *text, char path[PATH_MAX], struct argosy_error *err)
{
    if (text == NULL)
        return default_path(path, err);
    if (is_memory(text) || strstr(text, "://") != NULL)
        return ag_fail(err, ARGOSY_EINVAL, "'%s' is no file: sqlite:PATH, or PATH alone", text);
    if (path_in(text) != NULL)
        text = path_in(text);
    if (text[0] != '\0' && snprintf(path, PATH_MAX, "%s", text) < PATH_MAX)
        return 0;
    return ag_fail(err, ARGOSY_EINVAL, "the store's path is empty or too long");
}

int store_open(struct store **out, const char *text, uint64_t unix_ms, struct argosy_error *err)
{
    char path[PATH_MAX];
    int rc;

    if (text == NULL) {
        rc = default_path(path, err);
        if (rc == 0)
            rc = make_parents(path, err);
        return rc < 0 ? rc : store_sqlite_open(out, path, unix_ms, err);
    }
    rc = store_check(text, err);
    if (rc < 0)
        return rc;
    if (!is_memory(text))
        return store_sqlite_open(out, path_in(text), unix_ms, err);
    *out = store_memory_new(unix_ms);
    return *out != NULL ? 0 : ag_fail(err, ARGOSY_ENOMEM, "no memory for a store");
}
