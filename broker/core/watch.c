/* Telling clients what ended: a watch is a cursor into its group's list of ends, so nothing is kept
 * for a client but a few numbers, and it can come back at any cursor. */
#include <stdlib.h>

#include "broker/core/state.h"
#include "common/assert.h"

void watch_due(core_t *self, struct watch *watch)
{
    if (!ag_link_is_listed(&watch->due))
        ag_list_append(&self->due, &watch->due);
}

void watch_destroy(struct watch *watch)
{
    ag_link_remove(&watch->of_session);
    ag_link_remove(&watch->of_target);
    ag_link_remove(&watch->due);
    watch->client->watches_count--;
    if (watch->job != NULL)
        watch->job->watches_count--;
    free(watch);
}

static struct watch *watch_find(const struct session *client, uint32_t number)
{
    for (struct ag_link *at = client->watches.next; at != &client->watches; at = at->next) {
        struct watch *watch = AG_OWNER(at, struct watch, of_session);

        if (watch->number == number)
            return watch;
    }
    return NULL;
}

static struct effect *emit_events(core_t *self, const struct session *client, uint32_t number)
{
    struct effect *effect = core_emit(self, EFFECT_EVENTS, client->peer);

    effect->events.watch = number;
    effect->events.flags = effect->events.count = 0;
    effect->events.cursor = 0;
    effect->events.end = PROTO_MORE_TO_COME;
    effect->events.group = NULL;
    effect->events.job = NULL;
    effect->events.jobs = NULL;
    return effect;
}

static uint64_t limit_of(uint64_t cursor, uint32_t credit)
{
    return cursor + (credit < CREDIT_MAX ? credit : CREDIT_MAX);
}

int on_watch(core_t *self, struct session *client, const struct proto_watch *request)
{
    struct job *job = job_find(self, &request->target);
    struct group *group = group_find(self, &request->target);
    struct watch *watch = watch_find(client, request->watch);

    if (watch != NULL)
        watch_destroy(watch); /* asked again */
    if ((job == NULL && group == NULL) || client->watches_count >= WATCHES_MAX ||
        (job != NULL && job->watches_count >= WATCHES_MAX)) {
        emit_events(self, client, request->watch)->events.end = PROTO_UNKNOWN;
        return 0;
    }
    watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return ARGOSY_ENOMEM;
    watch->client = client;
    watch->number = request->watch;
    watch->flags = request->flags;
    watch->group = job == NULL ? group : NULL;
    watch->job = job;
    watch->cursor = request->cursor;
    if (watch->group != NULL && watch->cursor < group->released_count)
        watch->cursor = group->released_count; /* what was released before is gone */
    watch->early = watch->cursor;
    watch->limit = limit_of(watch->cursor, request->credit);
    watch->news_left = request->credit < CREDIT_MAX ? request->credit : CREDIT_MAX;
    ag_link_init(&watch->of_session);
    ag_link_init(&watch->of_target);
    ag_link_init(&watch->due);
    ag_list_append(&client->watches, &watch->of_session);
    ag_list_append(job == NULL ? &group->watches : &job->watches, &watch->of_target);
    if (job != NULL)
        job->watches_count++;
    client->watches_count++;
    watch_due(self, watch);
    return 0;
}

/* What every watch of the group has been told, of the first `until`. */
static uint64_t told_to_all(const struct group *group, uint64_t until)
{
    for (struct ag_link *at = group->watches.next; at != &group->watches; at = at->next) {
        const struct watch *watch = AG_OWNER(at, struct watch, of_target);

        if (watch->cursor < until)
            until = watch->cursor;
    }
    return until;
}

/* What was taken need not be kept, if the client said so: the jobs are forgotten, their counts
 * stay. What another one still has to be told, or the step has no room for, is released with the
 * next MORE. */
static void release(core_t *self, struct watch *watch, uint64_t until)
{
    struct group *group = watch->group;

    if (group == NULL || (watch->flags & PROTO_WATCH_RELEASE) == 0)
        return;
    until = told_to_all(group, until); /* it cannot have taken what it was not sent either */
    if (!ag_list_is_empty(&group->waiters))
        return; /* what it made is still to be handed on */
    for (; group->released_count < until; group->released_count++) {
        struct job *job = group->ended[group->released_count];

        if (wait_is_wanted(job) || !core_has_room(self, 1 + WATCHES_MAX))
            return;
        group->ended[group->released_count] = NULL;
        job_forget(self, job);
    }
}

void on_more(core_t *self, struct session *client, const struct proto_more *more)
{
    struct watch *watch = watch_find(client, more->watch);

    if (watch == NULL) { /* it has ended meanwhile */
        self->counters.ignored++;
        return;
    }
    release(self, watch, more->cursor);
    if (more->credit == 0 || watch->is_over) {
        watch_destroy(watch);
        return;
    }
    if (limit_of(more->cursor, more->credit) > watch->limit)
        watch->limit = limit_of(more->cursor, more->credit);
    watch->news_left = more->credit < CREDIT_MAX ? more->credit : CREDIT_MAX;
    watch_due(self, watch);
}

void watch_all_due(core_t *self, const struct ag_link *watches)
{
    for (struct ag_link *at = watches->next; at != watches; at = at->next)
        watch_due(self, AG_OWNER(at, struct watch, of_target));
}

void watch_forget(core_t *self, struct ag_link *watches)
{
    while (!ag_list_is_empty(watches)) {
        struct watch *watch = AG_OWNER(watches->next, struct watch, of_target);

        if (!watch->is_over)
            emit_events(self, watch->client, watch->number)->events.end = PROTO_UNKNOWN;
        watch_destroy(watch);
    }
}

bool watch_is_wanted(const struct ag_link *watches)
{
    for (const struct ag_link *at = watches->next; at != watches; at = at->next)
        if (!AG_OWNER(at, const struct watch, of_target)->is_over)
            return true;
    return false;
}

static void tell_news(core_t *self, struct ag_link *watches, const struct job *job,
                      const struct proto_progress_item *item)
{
    for (struct ag_link *at = watches->next; at != watches; at = at->next) {
        struct watch *watch = AG_OWNER(at, struct watch, of_target);
        struct effect *effect;

        if ((watch->flags & PROTO_WATCH_NEWS) == 0)
            continue;
        if (watch->news_left == 0 || self->effects.count + 1 > NEWS_EFFECTS_MAX) {
            self->counters.news_dropped++;
            continue;
        }
        watch->news_left--;
        effect = core_emit(self, EFFECT_NEWS, watch->client->peer);
        effect->news.watch = watch->number;
        effect->news.item =
            (struct proto_news_item){.job = job->node.id,
                                     .index = job->index,
                                     .kind = ag_bytes_of_text(job->lane->kind->name),
                                     .attempt = job->attempt,
                                     .permille = item->permille,
                                     .note = item->note,
                                     .sequence = item->sequence,
                                     .partial = item->partial};
    }
}

/* Told at once or never: nothing of it is kept. */
void watch_news(core_t *self, struct job *job, const struct proto_progress_item *item)
{
    if (job->watches_count > 0)
        tell_news(self, &job->watches, job, item);
    if (job->lane->group != NULL)
        tell_news(self, &job->lane->group->watches, job, item);
}

/* What has ended of its target, in order; *count: as far as its credit goes. */
static struct job *const *ends_of(const struct watch *watch, size_t *count)
{
    *count = watch->group ? watch->group->ended_count : job_has_ended(watch->job);
    if (*count > watch->limit)
        *count = (size_t)watch->limit;
    return watch->group ? watch->group->ended : (struct job *const *)&watch->job;
}

/* Over this very watch: since it was opened it has missed nothing. */
static bool was_told_early(const struct watch *watch, size_t place, const struct job *job)
{
    return job->is_early && place < watch->early;
}

/* What was told early was told with its result. */
static bool wants_result(const struct watch *watch, size_t place, const struct job *job)
{
    return (watch->flags & PROTO_WATCH_RESULTS) != 0 && !was_told_early(watch, place, job);
}

/* How many ends beyond its cursor the watch may be told now: committed ones, within its credit, and
 * all of them told early or none. */
static uint32_t tellable(const core_t *self, const struct watch *watch)
{
    size_t count, from = (size_t)watch->cursor;
    struct job *const *ended = ends_of(watch, &count);
    uint32_t n = 0;

    while (n < AG_MESSAGE_ITEMS_MAX && from + n < count &&
           (ended[from + n]->ended_record <= self->committed || PLANTED(EARLY_EVENT)) &&
           was_told_early(watch, from + n, ended[from + n]) ==
               was_told_early(watch, from, ended[from]) &&
           (!wants_result(watch, from + n, ended[from + n]) || ended[from + n]->result_away == 0))
        n++;
    return n;
}

static bool is_over(const core_t *self, const struct watch *watch)
{
    if (watch->job != NULL)
        return job_has_ended(watch->job) && watch->cursor >= 1 &&
               watch->job->ended_record <= self->committed;
    return watch->group->is_ended && watch->cursor >= watch->group->ended_count &&
           watch->group->ended_record <= self->committed;
}

static bool waits_for_commit(const core_t *self, const struct watch *watch)
{
    if (watch->job != NULL)
        return job_has_ended(watch->job) && watch->job->ended_record > self->committed;
    if (watch->cursor < watch->group->ended_count)
        return watch->group->ended[watch->cursor]->ended_record > self->committed;
    return watch->group->is_ended && watch->group->ended_record > self->committed;
}

static struct effect *emit_ends(core_t *self, const struct watch *watch, uint64_t from, uint32_t n)
{
    struct effect *effect = emit_events(self, watch->client, watch->number);

    effect->events.flags = watch->flags;
    effect->events.count = n;
    effect->events.cursor = from;
    effect->events.group = watch->group;
    effect->events.job = watch->job;
    effect->events.jobs = watch->group != NULL
                              ? (const struct job *const *)watch->group->ended + from
                              : &effect->events.job;
    return effect;
}

/* While what is next waits for its commit, as all behind it does: the relaxed ones among them are
 * told, and told again when it is their turn. The cursor does not count them, so that nobody comes
 * back with one that counts what a crash has forgotten. False when the step is full. */
static bool tell_early(core_t *self, struct watch *watch)
{
    size_t count;
    struct job *const *ended = ends_of(watch, &count);

    if ((watch->flags & PROTO_WATCH_EARLY) == 0)
        return true;
    if (watch->early < watch->cursor)
        watch->early = watch->cursor;
    while (watch->early < count) {
        uint32_t n = 0;

        while (n < AG_MESSAGE_ITEMS_MAX && watch->early + n < count &&
               ended[watch->early + n]->is_early)
            n++;
        if (n > 0 && !core_has_room(self, 1))
            return false;
        if (n > 0)
            emit_ends(self, watch, watch->early, n)->events.end = PROTO_EARLY;
        watch->early += n > 0 ? n : 1;
    }
    return true;
}

/* True when it has told all it can; false when the step is full. The watch may be gone after it. */
static bool pump(core_t *self, struct watch *watch)
{
    for (;;) {
        uint32_t n = tellable(self, watch);
        struct effect *effect;
        bool over;

        results_want_for(self, watch);
        if (n == 0 && watch->opened && !is_over(self, watch)) {
            if (!waits_for_commit(self, watch))
                return true;
            watch_due(self, watch); /* the commit comes back here */
            return tell_early(self, watch);
        }
        if (!core_has_room(self, 1))
            return false;
        effect = emit_ends(self, watch, watch->cursor, n);
        if (n > 0 && was_told_early(watch, (size_t)watch->cursor, effect->events.jobs[0]))
            effect->events.flags &= ~(uint32_t)PROTO_WATCH_RESULTS; /* they are there already */
        watch->cursor += n;
        watch->opened = true;
        over = is_over(self, watch);
        if (over) {
            effect->events.end = PROTO_ENDED;
            watch->is_over = true;
            return true;
        }
    }
}

void watch_pump(core_t *self)
{
    struct ag_link *next;

    for (struct ag_link *at = self->due.next; at != &self->due; at = next) {
        struct watch *watch = AG_OWNER(at, struct watch, due);

        next = at->next;
        if (watch->is_over) {
            ag_link_remove(&watch->due);
            continue;
        }
        if (watch->opened && waits_for_commit(self, watch)) { /* stays in the list */
            if (!tell_early(self, watch))
                return;
            continue;
        }
        ag_link_remove(&watch->due);
        if (!pump(self, watch)) {
            watch_due(self, watch);
            return;
        }
    }
}
