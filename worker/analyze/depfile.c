#include "worker/analyze/depfile.h"

#include <ctype.h>
#include <string.h>

/* What may stand in a path before the colon; D's statements hold one of the others. */
static bool is_of_path(uint8_t byte)
{
    return isalnum(byte) || byte >= 0x80 ||
           (byte != '\0' && strchr("._/\\-+~@%,=$:", byte) != NULL);
}

static const uint8_t *skip_empty_lines(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (isspace(*at) || *at == '#')) {
        if (*at == '#')
            at = memchr(at, '\n', (size_t)(end - at));
        if (at == NULL)
            return end;
        at++;
    }
    return at;
}

/* Behind a word of paths; *is_path: it holds a folder or an extension. A blank may be escaped. */
static const uint8_t *skip_path(const uint8_t *at, const uint8_t *end, bool *is_path)
{
    const uint8_t *begin = at;

    *is_path = false;
    for (; at < end && is_of_path(*at); at++) {
        if (*at == ':' && at > begin && (at + 1 == end || isspace(at[1])))
            break;
        *is_path |= *at == '.' || *at == '/';
        if (*at == '\\' && end - at > 1 && at[1] == ' ')
            at++;
    }
    return at;
}

static const uint8_t *skip_blanks(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r'))
        at++;
    return at;
}

/* "out/a.o a.d: a.c b.h \": paths, a colon, more paths. In D a colon stands behind a word
 * (public:), behind brackets, in comments, and in an import that is no path. */
static bool is_rule(const uint8_t *at, const uint8_t *end)
{
    bool is_path;

    if (end - at >= 2 && at[0] == '/' && (at[1] == '/' || at[1] == '+'))
        return false;
    do {
        at = skip_path(at, end, &is_path);
        at = skip_blanks(at, end);
    } while (is_path && at < end && *at != ':' && is_of_path(*at));
    if (!is_path || at == end || *at != ':')
        return false;
    for (at = skip_blanks(at + 1, end); at < end && *at != '\n'; at = skip_blanks(at, end)) {
        const uint8_t *begin = at;

        at = skip_path(at, end, &is_path);
        if (at == begin)
            return false;
    }
    return true;
}

bool depfile_is(const char *name, struct ag_bytes content)
{
    const char *extension = strrchr(name, '.');
    const uint8_t *at = content.data, *end = at + content.size;

    if (extension == NULL || content.size == 0)
        return false;
    if (strcmp(extension, ".d") == 0)
        return is_rule(skip_empty_lines(at, end), end);
    if (strcmp(extension, ".cmd") == 0)
        return (content.size >= 4 && memcmp(at, "cmd_", 4) == 0) ||
               (content.size >= 9 && memcmp(at, "savedcmd_", 9) == 0);
    return false;
}
