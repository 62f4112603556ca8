#include "common/zpl/zpl.h"

#include <czmq.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/error.h"

/* zconfig keeps no line numbers: count them, so that messages can say where. */
static unsigned line_of(const char *text, const char *section, const char *key, unsigned nth)
{
    unsigned line = 1;
    bool inside = section == NULL;
    size_t size = strlen(key);

    for (const char *at = text; *at != '\0'; line++) {
        size_t length = strcspn(at, "\n");
        size_t indent = strspn(at, " ");

        if (section != NULL && indent == 0 && length > 0 && at[0] != '#')
            inside = strncmp(at, section, strlen(section)) == 0 &&
                     strchr(" \t\r\n=#", at[strlen(section)]) != NULL;
        if (inside && (indent > 0) == (section != NULL) && strncmp(at + indent, key, size) == 0 &&
            strchr(" \t=\n", at[indent + size]) != NULL && nth-- == 0)
            return line;
        at += length + (at[length] == '\n');
    }
    return 0;
}

static unsigned nth_of_name(zconfig_t *parent, zconfig_t *item)
{
    unsigned nth = 0;

    for (zconfig_t *at = zconfig_child(parent); at != item; at = zconfig_next(at))
        nth += strcmp(zconfig_name(at), zconfig_name(item)) == 0;
    return nth;
}

static int take_item(const char *path, const char *text, zconfig_t *parent, zconfig_t *item,
                     const char *section, ag_config_take *take, void *arg, struct argosy_error *err)
{
    struct ag_config_entry entry = {
        .path = path, .section = section, .key = zconfig_name(item), .value = zconfig_value(item)};

    entry.line = line_of(text, section, entry.key, nth_of_name(parent, item));
    if (zconfig_child(item) != NULL)
        return ag_fail(err, ARGOSY_EINVAL, "%s:%u: '%s' must not have keys below it", path,
                       entry.line, entry.key);
    if (entry.value == NULL || entry.value[0] == '\0')
        return ag_fail(err, ARGOSY_EINVAL, "%s:%u: '%s' has no value (KEY = VALUE)", path,
                       entry.line, entry.key);
    return take(arg, &entry, err);
}

static int take_all(const char *path, const char *text, zconfig_t *root, ag_config_take *take,
                    void *arg, struct argosy_error *err)
{
    int rc = 0;

    for (zconfig_t *at = zconfig_child(root); at != NULL && rc == 0; at = zconfig_next(at)) {
        if (zconfig_child(at) == NULL) {
            rc = take_item(path, text, root, at, NULL, take, arg, err);
            continue;
        }
        for (zconfig_t *in = zconfig_child(at); in != NULL && rc == 0; in = zconfig_next(in))
            rc = take_item(path, text, at, in, zconfig_name(at), take, arg, err);
    }
    return rc;
}

static int read_text(const char *path, char **out, struct argosy_error *err)
{
    FILE *file = fopen(path, "re");
    struct stat is;
    size_t got;

    if (file == NULL)
        return ag_fail(err, errno == ENOENT ? ARGOSY_ENOTFOUND : ARGOSY_EIO, "cannot read %s: %s",
                       path, strerror(errno));
    if (fstat(fileno(file), &is) < 0 || S_ISDIR(is.st_mode)) {
        fclose(file);
        return ag_fail(err, ARGOSY_EIO, "cannot read %s: not a file", path);
    }
    if (is.st_size > AG_ZPL_BYTES_MAX) {
        fclose(file);
        return ag_fail(err, ARGOSY_ETOOBIG, "%s is larger than %d bytes", path, AG_ZPL_BYTES_MAX);
    }
    *out = calloc(1, (size_t)is.st_size + 1);
    got = *out != NULL ? fread(*out, 1, (size_t)is.st_size, file) : 0;
    fclose(file);
    if (*out == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for %s", path);
    (*out)[got] = '\0';
    return 0;
}

int ag_zpl_read(const char *path, ag_config_take *take, void *arg, struct argosy_error *err)
{
    char *text = NULL;
    zconfig_t *root;
    int rc = read_text(path, &text, err);

    if (rc < 0)
        return rc;
    if (text[0] == '\0') {
        free(text);
        return 0; /* an empty file says nothing; zconfig takes it for a broken one */
    }
    root = zconfig_str_load(text);
    if (root == NULL)
        rc = ag_fail(err, ARGOSY_EINVAL, "%s is not a ZPL file (KEY = VALUE lines)", path);
    else
        rc = take_all(path, text, root, take, arg, err);
    zconfig_destroy(&root);
    free(text);
    return rc;
}
