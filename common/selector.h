/* selector.h - which failures are meant: a selector is the beginning of a dotted type, up to a dot.
 *
 * "fetch.http" matches "fetch.http" and "fetch.http.client.404", not "fetch.https".
 *
 * Threads: any. Pure.
 */
#ifndef AG_SELECTOR_H
#define AG_SELECTOR_H

#include <argosy/error.h>

#include "common/bytes.h"

/* An empty selector matches nothing. */
bool ag_selector_matches(struct ag_bytes selector, struct ag_bytes type);

/* Whether one of the comma-separated selectors matches. */
bool ag_selector_list_matches(struct ag_bytes selectors, struct ag_bytes type);

/* Letters, digits, '_' and '-' in parts joined by dots, at most AG_NAME_BYTES_MAX bytes; else
 * ARGOSY_EINVAL with what was expected. */
int ag_selector_check(const char *text, struct argosy_error *err);

#endif
