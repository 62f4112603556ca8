/* What has happened lately, for people who look on: a ring that holds the last few thousand. */
#include "broker/core/state.h"

static struct happening *next(core_t *self, const char *what, const char *state)
{
    struct happening *entry = &self->happenings[self->happenings_count++ % HAPPENINGS_MAX];

    name_unref(&entry->name);
    *entry = (struct happening){.at = core_unix_ms(self), .what = what, .state = state, .kind = ""};
    return entry;
}

void happen_job(core_t *self, const struct job *job)
{
    struct happening *entry;

    if (self->restoring || job_is_place(job))
        return;
    entry = next(self, "job", job_state_name(job->state));
    entry->id = job->node.id;
    entry->kind = job->lane->kind->name;
    entry->attempt = job->attempt;
    if (job->worker_name != NULL)
        entry->name = name_ref(job->worker_name);
}

void happen_kind(core_t *self, const struct kind *kind, const char *state, struct name *requires)
{
    struct happening *entry;

    if (self->restoring)
        return;
    entry = next(self, "kind", state);
    entry->kind = kind->name;
    entry->name = name_ref(requires);
}

void happen(core_t *self, const char *what, const char *state, const struct ag_id *id,
            struct name *name)
{
    struct happening *entry;

    if (self->restoring)
        return;
    entry = next(self, what, state);
    if (id != NULL)
        entry->id = *id;
    if (name != NULL)
        entry->name = name_ref(name);
}

uint64_t core_happenings(const core_t *self, uint64_t number, uint32_t limit,
                         void (*fn)(void *arg, const struct core_happening *), void *arg)
{
    uint64_t oldest =
        self->happenings_count > HAPPENINGS_MAX ? self->happenings_count - HAPPENINGS_MAX : 0;
    uint64_t missed = number < oldest ? oldest - number : 0;

    for (number += missed; number < self->happenings_count && limit > 0; number++, limit--) {
        const struct happening *entry = &self->happenings[number % HAPPENINGS_MAX];

        fn(arg, &(struct core_happening){.number = number + 1,
                                         .at = entry->at,
                                         .what = entry->what,
                                         .state = entry->state,
                                         .id = entry->id,
                                         .kind = entry->kind,
                                         .attempt = entry->attempt,
                                         .name = entry->name != NULL ? entry->name->text : ""});
    }
    return missed;
}
