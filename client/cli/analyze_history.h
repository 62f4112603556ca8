/* analyze_history.h - a repository's past, for people.
 *
 * Threads: any.
 */
#ifndef CLI_ANALYZE_HISTORY_H
#define CLI_ANALYZE_HISTORY_H

#include <jansson.h>
#include <stdio.h>

/* `history` as doc/analysis.md has it; NULL: prints nothing. */
void analyze_print_history(const json_t *history, FILE *out);

#endif
