#include "client/cli/amounts.h"

#include <stdio.h>
#include <string.h>

#include "common/wire.h"

const char *amount_count(uint64_t count, char text[AMOUNT_SIZE])
{
    char *at = text + AMOUNT_SIZE - 1;
    unsigned digits = 0;

    *at = '\0';
    do {
        if (digits > 0 && digits % 3 == 0)
            *--at = ',';
        *--at = (char)('0' + count % 10);
        count /= 10;
        digits++;
    } while (count > 0);
    return at;
}

const char *amount_bytes(double bytes, char text[AMOUNT_SIZE])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    unsigned unit = 0;

    for (; bytes >= 999.5 && unit + 1 < sizeof units / sizeof *units; unit++)
        bytes /= 1000;
    snprintf(text, AMOUNT_SIZE, "%.*f %s", unit > 0 && bytes < 9.95 ? 1 : 0, bytes, units[unit]);
    return text;
}

const char *amount_ms(double ms, char text[AMOUNT_SIZE])
{
    if (ms < 999.5)
        snprintf(text, AMOUNT_SIZE, "%.0fms", ms);
    else
        snprintf(text, AMOUNT_SIZE, "%.*fs", ms < 9950 ? 1 : 0, ms / 1000);
    return text;
}

void print_clean(const char *text, size_t size, FILE *out)
{
    size_t clean = 0; /* nearly always all of it */

    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c >= 0x20 && c != 0x7f)
            continue;
        fwrite(text + clean, 1, i - clean, out);
        fprintf(out, "\\x%02x", c);
        clean = i + 1;
    }
    fwrite(text + clean, 1, size - clean, out);
}

const char *fit_title(const char *text, char title[TITLE_SIZE])
{
    size_t size = strnlen(text, TITLE_SIZE - 1);

    memcpy(title, text, size);
    title[size] = '\0';
    /* Here or before, the last character may have been cut. */
    for (size_t cut = 0; cut < 4 && cut <= size; cut++) {
        if (ag_is_utf8(ag_bytes_of(title, size - cut))) {
            title[size - cut] = '\0';
            return title;
        }
    }
    for (char *at = title; *at != '\0'; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    return title;
}
