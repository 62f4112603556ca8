/* license.h - under which licence a file says it is, and which licence a licence file holds.
 *
 * Threads: any. Pure.
 */
#ifndef ANALYZE_LICENSE_H
#define ANALYZE_LICENSE_H

#include <stdbool.h>

#include "common/bytes.h"

enum { LICENSE_ID_BYTES_MAX = 128 };

/* LICENSE, COPYING.LESSER, license-mit.txt: is a file of that name all licence? */
bool license_is_file_name(const char *name);

/* The SPDX identifier of the well-known licence that the text is; "" when it is none of them.
 * Lives as long as the program. */
const char *license_of_text(struct ag_bytes text);

/* One of the identifiers that license_of_text() gives, from its letters; NULL: it is none. */
const char *license_called(struct ag_bytes id);

/* The expression that begins behind "SPDX-License-Identifier:", without the comment's end; empty
 * when none stands there or it is longer than LICENSE_ID_BYTES_MAX. Inside `rest`. */
struct ag_bytes license_expression(struct ag_bytes rest);

#endif
