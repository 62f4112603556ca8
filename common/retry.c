#include "common/retry.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/assert.h"
#include "common/duration.h"
#include "common/error.h"

enum {
    WAIT_MS_MAX = 86400000,    /* base and cap: a day; who waits longer wants a schedule */
    FACTOR_PERCENT_MAX = 1000, /* ten times; beyond it the second wait is the cap anyway */
    WORD_BYTES_MAX = 4096      /* the whole word; 16 selectors of 64 bytes fit four times */
};

struct ag_retry ag_retry_default(void)
{
    return (struct ag_retry){
        .attempts = 3, .base_ms = 1000, .factor_percent = 200, .cap_ms = 60000};
}

/* floor(random / 2^64 * n): uniform in 0 .. n - 1 but for a bias below n / 2^64, which is nothing
 * for n below 2^33. */
static uint64_t scale_below(uint64_t random, uint64_t n)
{
    return ((random >> 32) * n + ((random & UINT32_MAX) * n >> 32)) >> 32;
}

static uint64_t backoff_ms(const struct ag_retry *self, uint32_t attempt)
{
    uint64_t wait = self->base_ms;
    uint32_t i;

    /* Ends early once it cannot change any more; both factors are below 2^32. */
    for (i = 2; i < attempt && wait < self->cap_ms && wait > 0 && self->factor_percent > 100; i++) {
        uint64_t next = wait * self->factor_percent / 100;

        wait = next > wait ? next : wait + 1; /* 1 ms times 1.5 is 1: grow all the same */
    }
    return wait < self->cap_ms ? wait : self->cap_ms;
}

uint32_t ag_retry_delay_ms(const struct ag_retry *self, uint32_t attempt, uint32_t retry_after_ms,
                           uint64_t random)
{
    uint64_t wait;

    if (attempt < 2)
        return 0;
    if (retry_after_ms > 0)
        wait = retry_after_ms + scale_below(random, (uint64_t)retry_after_ms / 10 + 1);
    else
        wait = scale_below(random, backoff_ms(self, attempt) + 1);
    return wait < UINT32_MAX ? (uint32_t)wait : UINT32_MAX;
}

/* ---- the word ----------------------------------------------------------------------------------
 */

enum part { PART_ATTEMPTS, PART_BASE, PART_FACTOR, PART_CAP, PART_BUDGET, PART_ON, PART_COUNT };

static const char *const part_names[] = {
    [PART_ATTEMPTS] = "attempts", [PART_BASE] = "base",     [PART_FACTOR] = "factor",
    [PART_CAP] = "cap",           [PART_BUDGET] = "budget", [PART_ON] = "on",
};

/* Dotted words of a-z, 0-9, '_' and '-': fetch.http.server */
static bool is_selector(const char *text)
{
    const char *c;

    if (*text == '\0' || strlen(text) > AG_NAME_BYTES_MAX)
        return false;
    for (c = text; *c != '\0'; c++) {
        if (*c == '.' ? c == text || c[1] == '.' || c[1] == '\0'
                      : strchr("abcdefghijklmnopqrstuvwxyz0123456789_-", *c) == NULL)
            return false;
    }
    return true;
}

static int add_selectors(struct ag_retry_policy *policy, unsigned *count, char *value,
                         struct argosy_error *err)
{
    char *selector;

    for (; (selector = strsep(&value, "+")) != NULL;) {
        size_t have = strlen(policy->selectors);

        if (!is_selector(selector))
            return ag_fail(err, ARGOSY_EINVAL,
                           "'%.64s' is not a selector such as fetch.http.server", selector);
        if (++*count > AG_RETRY_SELECTORS_MAX)
            return ag_fail(err, ARGOSY_EINVAL, "more than %d selectors", AG_RETRY_SELECTORS_MAX);
        snprintf(policy->selectors + have, sizeof policy->selectors - have, "%s%s",
                 have > 0 ? "," : "", selector);
    }
    return ARGOSY_OK;
}

/* A decimal such as 2 or 1.5, as percent: read as a duration of that many seconds, so that there is
 * one reader of decimals. */
static int read_factor(const char *text, uint32_t *out, struct argosy_error *err)
{
    int64_t thousandths;

    if (text[strspn(text, "0123456789.")] != '\0' ||
        ag_duration_parse(text, 1000, FACTOR_PERCENT_MAX * 10, &thousandths, NULL) < 0)
        return ag_fail(err, ARGOSY_EINVAL, "'%.64s' is not a factor (1-%d)", text,
                       FACTOR_PERCENT_MAX / 100);
    *out = (uint32_t)((thousandths + 5) / 10);
    return ARGOSY_OK;
}

static int read_wait(const char *text, uint32_t *out, struct argosy_error *err)
{
    int64_t ms;
    int rc = ag_duration_parse(text, 0, WAIT_MS_MAX, &ms, err);

    if (rc == ARGOSY_OK)
        *out = (uint32_t)ms;
    return rc;
}

static int read_attempts(const char *text, uint32_t *out, struct argosy_error *err)
{
    uint64_t attempts;
    int rc = ag_whole_parse(text, 1, AG_ATTEMPTS_MAX, &attempts, err);

    if (rc == ARGOSY_OK)
        *out = (uint32_t)attempts;
    return rc;
}

/* The sign is asked for: 20 could as well be meant as a number of retries. */
static int read_budget(const char *text, uint32_t *out, struct argosy_error *err)
{
    size_t digits = strspn(text, "0123456789");
    char number[4];
    uint64_t percent;

    if (digits == 0 || digits >= sizeof number || strcmp(text + digits, "%") != 0)
        return ag_fail(err, ARGOSY_EINVAL, "'%.64s' is not a share such as 20%% (1%%-100%%)", text);
    snprintf(number, sizeof number, "%.*s", (int)digits, text);
    if (ag_whole_parse(number, 1, 100, &percent, NULL) < 0)
        return ag_fail(err, ARGOSY_EINVAL, "'%.64s' is out of range (1%%-100%%)", text);
    *out = (uint32_t)percent;
    return ARGOSY_OK;
}

static int read_part(struct ag_retry_policy *policy, enum part part, unsigned *selectors,
                     char *value, struct argosy_error *err)
{
    switch (part) {
    case PART_ATTEMPTS:
        return read_attempts(value, &policy->retry.attempts, err);
    case PART_BASE:
        return read_wait(value, &policy->retry.base_ms, err);
    case PART_FACTOR:
        return read_factor(value, &policy->retry.factor_percent, err);
    case PART_CAP:
        return read_wait(value, &policy->retry.cap_ms, err);
    case PART_BUDGET:
        return read_budget(value, &policy->retry.budget_percent, err);
    case PART_ON:
        return add_selectors(policy, selectors, value, err);
    case PART_COUNT:
        break;
    }
    AG_ASSERT(part < PART_COUNT);
    return ARGOSY_EINVAL;
}

static int read_parts(char *word, struct ag_retry_policy *policy, struct argosy_error *err)
{
    bool given[PART_COUNT] = {false};
    unsigned selectors = 0;
    char *name;

    while ((name = strsep(&word, ",")) != NULL) {
        char *value = strchr(name, '=');
        unsigned part = 0;

        if (value == NULL)
            return ag_fail(err, ARGOSY_EINVAL, "'%.64s' is not of the form attempts=5,base=1s",
                           name);
        *value++ = '\0';
        while (part < PART_COUNT && strcmp(part_names[part], name) != 0)
            part++;
        if (part == PART_COUNT)
            return ag_fail(err, ARGOSY_EINVAL,
                           "'%.64s' is none of attempts, base, factor, cap, budget, on", name);
        if (part != PART_ON && given[part])
            return ag_fail(err, ARGOSY_EINVAL, "%s is given twice", name);
        if (read_part(policy, part, &selectors, value, err) < 0)
            return ag_fail_in(err, ARGOSY_EINVAL, "%s", name);
        given[part] = true;
    }
    return ARGOSY_OK;
}

int ag_retry_parse(const char *text, struct ag_retry_policy *out, struct argosy_error *err)
{
    struct ag_retry_policy policy = {.retry = ag_retry_default()};
    char word[WORD_BYTES_MAX], base[AG_AMOUNT_TEXT_SIZE], cap[AG_AMOUNT_TEXT_SIZE];
    int rc;

    if ((size_t)snprintf(word, sizeof word, "%s", text) >= sizeof word)
        return ag_fail(err, ARGOSY_EINVAL, "longer than %d bytes", WORD_BYTES_MAX - 1);
    if ((rc = read_parts(word, &policy, err)) < 0)
        return rc;
    if (policy.retry.base_ms > policy.retry.cap_ms)
        return ag_fail(err, ARGOSY_EINVAL, "base (%s) is longer than cap (%s)",
                       ag_duration_print(policy.retry.base_ms, base),
                       ag_duration_print(policy.retry.cap_ms, cap));
    *out = policy;
    return ARGOSY_OK;
}
