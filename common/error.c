#include "common/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *argosy_strerror(int code)
{
    switch (code) {
    case ARGOSY_OK:
        return "success";
#define X(name, value, text)                                                                       \
    case value:                                                                                    \
        return text;
        ARGOSY_ERRORS(X)
#undef X
    default:
        return "unknown error";
    }
}

void ag_drop_half_character(char *text)
{
    size_t size = strlen(text), tail = 0;
    unsigned char first;

    while (tail < 3 && tail < size && ((unsigned char)text[size - tail - 1] & 0xc0) == 0x80)
        tail++;
    if (tail == size)
        return;
    first = (unsigned char)text[size - tail - 1];
    if ((first >= 0xc0 && tail < 1) || (first >= 0xe0 && tail < 2) || (first >= 0xf0 && tail < 3))
        text[size - tail - 1] = '\0';
}

int ag_fail(struct argosy_error *err, int code, const char *format, ...)
{
    va_list args;

    if (err == NULL)
        return code;
    err->code = code;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    ag_drop_half_character(err->message);
    return code;
}

int ag_fail_in(struct argosy_error *err, int code, const char *format, ...)
{
    char inner[sizeof err->message], outer[sizeof err->message];
    size_t length;
    va_list args;

    if (err == NULL)
        return code;
    va_start(args, format);
    vsnprintf(outer, sizeof outer, format, args);
    va_end(args);
    if (err->code == 0)
        ag_fail(err, code, "%s", argosy_strerror(code));
    memcpy(inner, err->message, sizeof inner);
    /* Cutting the tail is right: what stands in front says where, and that is what people need. */
    length = (size_t)snprintf(err->message, sizeof err->message, "%s: ", outer);
    if (length < sizeof err->message)
        memmove(err->message + length, inner, sizeof err->message - length - 1);
    err->message[sizeof err->message - 1] = '\0';
    ag_drop_half_character(err->message);
    return err->code;
}
