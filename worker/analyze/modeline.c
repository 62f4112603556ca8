#include "worker/analyze/modeline.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* As many lines as Vim looks at by default; a line longer than that holds no modeline. */
enum { LINES_LOOKED_AT = 5, LINE_BYTES_MAX = 512 };

struct span {
    const char *at, *end;
};

static struct ag_bytes bytes_between(const char *from, const char *to)
{
    while (from < to && isspace((unsigned char)*from))
        from++;
    while (to > from && isspace((unsigned char)to[-1]))
        to--;
    return ag_bytes_of(from, (size_t)(to - from));
}

/* Cut the first line off `rest`. */
static struct span next_line(struct span *rest)
{
    const char *end = memchr(rest->at, '\n', (size_t)(rest->end - rest->at));
    struct span line = {rest->at, end != NULL ? end : rest->end};

    rest->at = end != NULL ? end + 1 : rest->end;
    return line;
}

static const char *find(struct span in, const char *text)
{
    return in.at < in.end ? memmem(in.at, (size_t)(in.end - in.at), text, strlen(text)) : NULL;
}

/* ---- Emacs -------------------------------------------------------------------------------------
 */

static struct ag_bytes emacs_mode(struct span line)
{
    const char *from = find(line, "-*-"), *to, *at;

    if (from == NULL)
        return (struct ag_bytes){0};
    from += 3;
    to = find((struct span){from, line.end}, "-*-");
    if (to == NULL)
        return (struct ag_bytes){0};
    if (memchr(from, ':', (size_t)(to - from)) == NULL)
        return bytes_between(from, to);
    for (at = from; at < to; at++) {
        const char *end = memchr(at, ';', (size_t)(to - at));
        const char *colon;

        end = end != NULL ? end : to;
        colon = memchr(at, ':', (size_t)(end - at));
        if (colon != NULL) {
            struct ag_bytes key = bytes_between(at, colon);

            if (key.size == 4 && strncasecmp((const char *)key.data, "mode", 4) == 0)
                return bytes_between(colon + 1, end);
        }
        at = end;
    }
    return (struct ag_bytes){0};
}

/* ---- Vim ---------------------------------------------------------------------------------------
 */

/* The word behind "ft=" or "filetype=", each the beginning of an option. */
static struct ag_bytes filetype_of(struct span options)
{
    static const char *const keys[] = {"filetype=", "ft=", "syntax="};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *at = find(options, keys[i]), *end;

        if (at == NULL || (at[-1] != ' ' && at[-1] != ':' && at[-1] != '\t'))
            continue;
        at += strlen(keys[i]);
        for (end = at; end < options.end && *end != ':' && !isspace((unsigned char)*end);)
            end++;
        return bytes_between(at, end);
    }
    return (struct ag_bytes){0};
}

static struct ag_bytes vim_mode(struct span line)
{
    static const char *const marks[] = {"vim:", "vi:", "ex:"};

    if (line.end - line.at > LINE_BYTES_MAX || find(line, ":") == NULL)
        return (struct ag_bytes){0};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const char *at = find(line, marks[i]);

        /* At the line's beginning or behind white space, else it is a word's tail. */
        if (at != NULL && (at == line.at || isspace((unsigned char)at[-1])))
            return filetype_of((struct span){at + strlen(marks[i]), line.end});
    }
    return (struct ag_bytes){0};
}

/* ---- both --------------------------------------------------------------------------------------
 */

static struct span last_lines(struct span text)
{
    const char *at = text.end;

    if (at > text.at && at[-1] == '\n')
        at--;
    for (int i = 0; i < LINES_LOOKED_AT && at != NULL; i++)
        at = memrchr(text.at, '\n', (size_t)(at - text.at));
    return (struct span){at != NULL ? at + 1 : text.at, text.end};
}

struct ag_bytes modeline_find(struct ag_bytes content)
{
    struct span text = {(const char *)content.data, (const char *)content.data + content.size};
    struct span rest = text;
    struct ag_bytes found = {0};
    bool is_script = content.size > 2 && memcmp(content.data, "#!", 2) == 0;

    for (int i = 0; i < LINES_LOOKED_AT && rest.at < rest.end && found.size == 0; i++) {
        struct span line = next_line(&rest);

        if (i == 0 || (i == 1 && is_script))
            found = emacs_mode(line);
        if (found.size == 0)
            found = vim_mode(line);
    }
    if (content.size > 0 && found.size == 0)
        for (rest = last_lines(text); rest.at < rest.end && found.size == 0;)
            found = vim_mode(next_line(&rest));
    return found;
}
