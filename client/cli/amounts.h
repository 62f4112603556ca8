/* amounts.h - numbers as people read them at a glance, not to be read back: 12,345 and 31 MB; and
 * texts of others, safe to look at.
 *
 * Threads: any. Pure.
 */
#ifndef CLI_AMOUNTS_H
#define CLI_AMOUNTS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/limits.h"

enum { AMOUNT_SIZE = 32 };

/* 12,345. All return a place in `text`, so that they can stand in a call. */
const char *amount_count(uint64_t count, char text[AMOUNT_SIZE]);

/* Powers of 1,000, as rates and disks are told: 512 B, 1.2 kB, 31 MB. */
const char *amount_bytes(double bytes, char text[AMOUNT_SIZE]);

/* 12ms, 1.2s, 61s. */
const char *amount_ms(double ms, char text[AMOUNT_SIZE]);

/* A text that may hold anything, safe for a terminal. */
void print_clean(const char *text, size_t size, FILE *out);

/* What a batch may be called after a text that may hold anything: its beginning, in UTF-8. */
enum { TITLE_SIZE = AG_TEXT_BYTES_MAX + 1 };
const char *fit_title(const char *text, char title[TITLE_SIZE]);

#endif
