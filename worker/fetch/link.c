#include "worker/fetch/link.h"

#include <argosy/error.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "common/bytes.h"

/* The steps are those of RFC 8288, appendix B: whatever comes, it goes on or ends, and never
 * looks back. */

/* A parameter as it stands: a quoted value may still have its backslashes. */
struct parameter {
    struct ag_bytes name, value;
};

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t");
}

static struct ag_bytes trim_end(const char *start, const char *end)
{
    while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return ag_bytes_of(start, (size_t)(end - start));
}

/* Behind the opening quote. A missing closing one is at the end of all. */
static const char *read_quoted(const char *at, struct ag_bytes *value)
{
    const char *start = at;

    while (*at != '\0' && *at != '"')
        at += at[0] == '\\' && at[1] != '\0' ? 2 : 1;
    *value = ag_bytes_of(start, (size_t)(at - start));
    return *at == '"' ? at + 1 : at;
}

/* Behind the semicolon. */
static const char *read_parameter(const char *at, struct parameter *parameter)
{
    const char *start = at = skip_space(at);

    at += strcspn(at, "=;,");
    parameter->name = trim_end(start, at);
    parameter->value = ag_bytes_of("", 0);
    if (*at != '=')
        return at;
    at = skip_space(at + 1);
    if (*at == '"')
        return read_quoted(at + 1, &parameter->value);
    start = at;
    at += strcspn(at, ";,");
    parameter->value = trim_end(start, at);
    return at;
}

static bool is(struct ag_bytes name, const char *text)
{
    return name.size == strlen(text) && strncasecmp((const char *)name.data, text, name.size) == 0;
}

/* Whether "next" is among the words, which spaces divide. */
static bool has_next(struct ag_bytes value)
{
    static const char next[] = "next";
    size_t same = 0; /* letters of the word that are those of "next" */
    bool is_word = true;

    for (size_t i = 0; i < value.size; i++) {
        char letter = (char)value.data[i];

        if (letter == '\\' && i + 1 < value.size)
            letter = (char)value.data[++i];
        if (letter == ' ' || letter == '\t') {
            if (is_word && same == strlen(next))
                return true;
            is_word = true;
            same = 0;
        } else if (is_word && (letter | 0x20) == next[same]) {
            same++;
        } else {
            is_word = false;
        }
    }
    return is_word && same == strlen(next);
}

/* Behind the target. Returns where the link ends. */
static const char *read_parameters(const char *at, bool *is_next)
{
    bool has_relation = false, has_anchor = false;
    struct parameter parameter;

    *is_next = false;
    for (at = skip_space(at); *at == ';'; at = skip_space(at)) {
        at = read_parameter(at + 1, &parameter);
        if (is(parameter.name, "rel") && !has_relation) {
            has_relation = true; /* others must be ignored (RFC 8288 3.3) */
            *is_next = has_next(parameter.value);
        }
        has_anchor |= is(parameter.name, "anchor");
    }
    *is_next &= !has_anchor;
    return at;
}

int link_next(const char *header_value, char *out, size_t out_size)
{
    const char *at = header_value;

    for (;;) {
        const char *target, *end;
        bool is_next;

        at += strspn(at, " \t,"); /* empty members of a list are allowed */
        if (*at != '<' || (end = strchr(at, '>')) == NULL)
            return ARGOSY_ENOTFOUND;
        target = at + 1;
        at = read_parameters(end + 1, &is_next);
        if (*at != ',' && *at != '\0')
            at += strcspn(at, ","); /* neither a parameter nor a link: not of interest */
        if (!is_next)
            continue;
        if ((size_t)(end - target) >= out_size)
            return ARGOSY_ETOOBIG;
        memcpy(out, target, (size_t)(end - target));
        out[end - target] = '\0';
        return 0;
    }
}
