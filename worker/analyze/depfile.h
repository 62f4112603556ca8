/* depfile.h - lists of what a file depends on, as compilers and kbuild write them beside their
 * output. Pure.
 */
#ifndef ANALYZE_DEPFILE_H
#define ANALYZE_DEPFILE_H

#include <stdbool.h>

#include "common/bytes.h"

/* Is a file of this name (without its folder) with this content such a list? `.d` is D's too. */
bool depfile_is(const char *name, struct ag_bytes content);

#endif
