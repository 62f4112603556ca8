/* analyze_findings.h - what an analysis found besides its counts, for people: a few short lines.
 *
 * Threads: any.
 */
#ifndef CLI_ANALYZE_FINDINGS_H
#define CLI_ANALYZE_FINDINGS_H

#include <jansson.h>
#include <stdio.h>

/* `result` as doc/analysis.md has it. An empty line, then a line for each thing worth telling;
 * nothing when there is none. What its result does not have is not told. */
void analyze_print_findings(const json_t *result, FILE *out);

#endif
