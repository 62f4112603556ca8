#include "broker/core/budget.h"

#include <stdio.h>

#include "broker/core/state.h"
#include "common/assert.h"

/* ---- arithmetic --------------------------------------------------------------------------------
 */

void budget_fade(struct budget *self, int64_t now)
{
    int64_t period = now / BUDGET_HALVING_MS, over = period - self->period;

    if (over <= 0)
        return;
    self->firsts = over < 64 ? self->firsts >> over : 0;
    self->retries = over < 64 ? self->retries >> over : 0;
    self->period = period;
}

bool budget_has_room(const struct budget *self, uint32_t percent)
{
    return 100 * self->retries < 100 * BUDGET_FREE_RETRIES + percent * self->firsts;
}

/* ---- the scopes of a job -----------------------------------------------------------------------
 */

/* NULL: it has none of that kind. Those that fade are as of now. */
static struct budget *budget_of(const core_t *self, const struct job *job, enum budget_scope scope)
{
    struct budget *budget = NULL;

    switch (scope) {
    case BUDGET_GROUP: /* the total of its life, so that a slow storm is cut as well */
        return job->lane->group != NULL ? &job->lane->group->budget : NULL;
    case BUDGET_KEY:
        budget = job->key != NULL ? &job->key->budget : NULL;
        break;
    case BUDGET_QUEUE:
        budget = &job->lane->queue->budget;
        break;
    case BUDGET_NONE:
    case BUDGET_SCOPES_COUNT:
        AG_ASSERT(false && "a scope");
    }
    if (budget != NULL)
        budget_fade(budget, self->now);
    return budget;
}

void budget_on_first(core_t *self, const struct job *job)
{
    for (enum budget_scope scope = BUDGET_GROUP; scope < BUDGET_SCOPES_COUNT; scope++) {
        struct budget *budget = budget_of(self, job, scope);

        if (budget != NULL)
            budget->firsts++;
    }
}

void budget_on_retry(core_t *self, const struct job *job)
{
    for (enum budget_scope scope = BUDGET_GROUP; scope < BUDGET_SCOPES_COUNT; scope++) {
        struct budget *budget = budget_of(self, job, scope);

        if (budget != NULL)
            budget->retries++;
    }
}

enum budget_scope budget_spent(core_t *self, const struct job *job)
{
    uint32_t percent = job->retry.budget_percent;

    for (enum budget_scope scope = BUDGET_GROUP; percent > 0 && scope < BUDGET_SCOPES_COUNT;
         scope++) {
        const struct budget *budget = budget_of(self, job, scope);

        if (budget != NULL && !budget_has_room(budget, percent) && !PLANTED(BUDGET_IGNORED))
            return scope;
    }
    return BUDGET_NONE;
}

bool budget_is_of(const struct job *job, enum budget_scope scope)
{
    return (scope != BUDGET_GROUP || job->lane->group != NULL) &&
           (scope != BUDGET_KEY || job->key != NULL);
}

void budget_restore(const struct job *job, bool began_before, uint32_t failures_before)
{
    struct group *group = job->lane->group;

    if (group == NULL)
        return;
    group->budget.firsts += job_has_begun(job) && !began_before;
    if (job->failures > failures_before)
        group->budget.retries += job->failures - failures_before;
}

/* ---- telling -----------------------------------------------------------------------------------
 */

/* How many bytes of a name are shown: not ending inside a character. */
static int shown(const char *name)
{
    size_t size = strlen(name);

    if (size <= BUDGET_NAME_SHOWN)
        return (int)size;
    for (size = BUDGET_NAME_SHOWN; size > 0 && ((uint8_t)name[size] & 0xC0) == 0x80;)
        size--;
    return (int)size;
}

static const char *name_of(const struct job *job)
{
    return job->spent == BUDGET_GROUP ? job->lane->group->name
           : job->spent == BUDGET_KEY ? job->key->text
                                      : job->lane->queue->name;
}

const char *budget_note(const struct job *job, char note[BUDGET_NOTE_SIZE])
{
    static const char *const words[BUDGET_SCOPES_COUNT] = {
        [BUDGET_GROUP] = "group", [BUDGET_KEY] = "key", [BUDGET_QUEUE] = "queue"};
    const char *name;

    note[0] = '\0';
    if (job->spent == BUDGET_NONE)
        return note;
    name = name_of(job);
    if (name[0] == '\0') /* a group may have none */
        snprintf(note, BUDGET_NOTE_SIZE,
                 "not tried again: the retry budget (%u %%) of its %s is spent",
                 job->retry.budget_percent, words[job->spent]);
    else
        snprintf(note, BUDGET_NOTE_SIZE,
                 "not tried again: the retry budget (%u %%) of %s '%.*s' is spent",
                 job->retry.budget_percent, words[job->spent], shown(name), name);
    return note;
}
