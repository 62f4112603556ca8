#include "worker/analyze/archive_name.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"

enum { SHOWN_BYTES = 255 }; /* of a name that is too long to be one */

static bool is_absolute(const char *name)
{
    return name[0] == '/' || name[0] == '\\' ||
           (isalpha((unsigned char)name[0]) && name[1] == ':' &&
            (name[2] == '/' || name[2] == '\\' || name[2] == '\0'));
}

static bool goes_up(const char *name)
{
    for (size_t size; *name != '\0'; name += size + (name[size] != '\0')) {
        size = strcspn(name, "/\\");
        if (size == 2 && name[0] == '.' && name[1] == '.')
            return true;
    }
    return false;
}

static int refuse(const char *name, char *out, int code, const char *why, struct argosy_error *err)
{
    snprintf(out, SHOWN_BYTES + 1, "%s", name);
    if (strlen(name) > SHOWN_BYTES)
        ag_drop_half_character(out);
    return ag_fail(err, code, "%s", why);
}

int archive_name(const char *name, char out[SOURCE_PATH_MAX], struct argosy_error *err)
{
    size_t used = 0, depth = 0;

    out[0] = '\0';
    if (name == NULL || name[0] == '\0')
        return ag_fail(err, ARGOSY_EPROTO, "an entry without a name that can be read");
    if (is_absolute(name) || goes_up(name))
        return refuse(name, out, ARGOSY_EPROTO, "its name leads out of the archive", err);
    for (const char *part = name; *part != '\0';) {
        size_t size = strcspn(part, "/");

        if (size > 0 && !(size == 1 && part[0] == '.')) {
            if (used + size + 2 > SOURCE_PATH_MAX)
                return refuse(name, out, ARGOSY_ETOOBIG, "its path is too long", err);
            if (++depth > SOURCE_DEPTH_MAX)
                return refuse(name, out, ARGOSY_ETOOBIG, "it lies in too many directories", err);
            if (used > 0)
                out[used++] = '/';
            memcpy(out + used, part, size);
            used += size;
        }
        part += size + (part[size] == '/');
    }
    out[used] = '\0';
    return 0;
}
