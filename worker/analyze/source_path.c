#include "worker/analyze/source_path.h"

#include <fnmatch.h>
#include <string.h>

static const char *const version_control[] = {".git", ".hg", ".svn", ".bzr", "CVS", ".jj"};
static const char *const vendored[] = {"node_modules", "bower_components", "jspm_packages",
                                       "vendor",       "third_party",      "third-party",
                                       "site-packages"};

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}
#define IS_ONE_OF(name, names) is_one_of(name, names, sizeof(names) / sizeof *(names))

bool source_is_version_control(const char *name)
{
    return IS_ONE_OF(name, version_control);
}

bool source_is_vendored(const char *name)
{
    return IS_ONE_OF(name, vendored);
}

bool source_is_excluded(const struct source_options *options, const char *path, const char *name)
{
    for (size_t i = 0; i < options->exclude_count; i++)
        if (fnmatch(options->exclude[i], name, 0) == 0 ||
            fnmatch(options->exclude[i], path, 0) == 0)
            return true;
    return false;
}

enum source_place source_place_of(const struct source_options *options, char *path)
{
    enum source_place place = SOURCE_PLAIN;
    char *name = path;

    for (char *slash = strchr(name, '/'); slash != NULL; slash = strchr(name, '/')) {
        *slash = '\0';
        if (source_is_version_control(name) || source_is_excluded(options, path, name))
            place = SOURCE_LEFT_OUT;
        else if (source_is_vendored(name))
            place = SOURCE_VENDORED;
        *slash = '/';
        if (place == SOURCE_LEFT_OUT)
            return place;
        name = slash + 1;
    }
    return source_is_excluded(options, path, name) ? SOURCE_LEFT_OUT : place;
}
