/* budget.h - how many retries a group, a key (a host) and a queue can afford: what stops retry
 * storms.
 *
 * Start here: a scope may have BUDGET_FREE_RETRIES retries and a share of the first attempts that
 * began there. Small batches are never cut, large ones fail soon when most of what they ask of
 * somebody fails. Of a group all of its life counts; of keys and queues, which live on, what is
 * long ago fades: the counts are halved every BUDGET_HALVING_MS, when somebody looks.
 *
 * After a restart keys and queues begin at 0, for what they had counted would have faded meanwhile.
 * A group counts what the journal says of its jobs. Those that the store has forgotten count no
 * more, neither their first attempts nor their retries: the share stays fair, but of the ten that
 * are free what they have used is granted again.
 *
 * Threads: plain data. Pure. Units: milliseconds of the core's clock.
 */
#ifndef BROKER_CORE_BUDGET_H
#define BROKER_CORE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

enum {
    BUDGET_FREE_RETRIES = 10,  /* of a scope in which hardly anything has begun */
    BUDGET_HALVING_MS = 10000, /* an outage of a minute leaves less than a tenth of a count */
    BUDGET_NAME_SHOWN = 128,   /* bytes of a scope's name in a note */
    BUDGET_NOTE_SIZE = 256     /* room for the note */
};

/* Whose budget it is. The numbers stand in the journal. */
enum budget_scope { BUDGET_NONE, BUDGET_GROUP, BUDGET_KEY, BUDGET_QUEUE, BUDGET_SCOPES_COUNT };

/* All zero: nothing has begun yet. */
struct budget {
    uint64_t firsts, retries; /* first attempts that began; failures that are tried again */
    int64_t period;           /* the last one for which the counts were halved */
};

/* Halve the counts for the periods that are over since. Not for totals. */
void budget_fade(struct budget *self, int64_t now);

/* Whether one more retry is within `percent` of the first attempts. */
bool budget_has_room(const struct budget *self, uint32_t percent);

#endif
