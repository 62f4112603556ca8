/* retry.h - when to try again: the word of --retry, and the arithmetic of the wait.
 *
 *     attempts=5,base=1s,factor=2,cap=60s,budget=20%,on=fetch.timeout+fetch.http.server
 *
 * Exponential backoff with full jitter: the wait is uniform between nothing and the backoff, which
 * does the least work in all (Brooker: "Exponential Backoff And Jitter", AWS Architecture Blog,
 * 2015). A server's Retry-After wins over it.
 *
 * Threads: plain data. Pure: randomness is an argument. Units: milliseconds.
 */
#ifndef AG_RETRY_H
#define AG_RETRY_H

#include <stdint.h>

#include <argosy/error.h>

#include "common/limits.h"

struct ag_retry {
    uint32_t attempts;       /* in all, at least 1 */
    uint32_t base_ms;        /* backoff before the second attempt */
    uint32_t factor_percent; /* how it grows with each further one; 200 doubles */
    uint32_t cap_ms;         /* and no further than this */
    /* Retries that its group, its key and its queue afford: this share of the first attempts begun
     * there, 1-100, and ten more (broker/core/budget.h); 0: as many as it takes. */
    uint32_t budget_percent;
};

/* What --retry says: the above, and which failures are worth it. */
struct ag_retry_policy {
    struct ag_retry retry;
    /* Selectors joined by commas, as on the wire; empty: whatever the kind calls retryable. */
    char selectors[AG_RETRY_SELECTORS_MAX * (AG_NAME_BYTES_MAX + 1)];
};

/* attempts=3,base=1s,factor=2,cap=60s, no budget */
struct ag_retry ag_retry_default(void);

/* How long to wait before attempt number `attempt` (from 2; below it the answer is 0).
 * `retry_after_ms` is what the server asked for after the last one, 0 if nothing: the wait is then
 * at least that long, even beyond the cap, and at most a tenth longer, so that those who were sent
 * away together do not come back together. `random` is 64 even bits. Never overflows. */
uint32_t ag_retry_delay_ms(const struct ag_retry *self, uint32_t attempt, uint32_t retry_after_ms,
                           uint64_t random);

/* Read a word such as the one above; what it does not name keeps its default. `on` may be given
 * several times and may name several selectors joined by '+' (the comma is taken).
 * ARGOSY_EINVAL names the part and what was expected; `out` is then unchanged. */
int ag_retry_parse(const char *text, struct ag_retry_policy *out, struct argosy_error *err);

#endif
