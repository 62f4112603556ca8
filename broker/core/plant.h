/* plant.h - bugs that the simulator plants into the core, to see that it would find them.
 *
 * In the product PLANTED() is false and nothing of it is compiled; only argosy-simulate is built
 * with ARGOSY_PLANTS. tests/simulation/README.md says within how many seeds each one is found.
 */
#ifndef BROKER_CORE_PLANT_H
#define BROKER_CORE_PLANT_H

/* X(NAME, "option", "what it does") */
#define PLANTS(X)                                                                                  \
    X(NONE, "none", "no bug at all")                                                               \
    X(STALE_RESULT, "stale-result",                                                                \
      "a result is taken from an attempt that is not the current one")                             \
    X(ANY_HOLDER, "any-holder", "a result is taken from a worker that does not hold the job")      \
    X(GROUP_EARLY, "group-early", "a group ends one member early")                                 \
    X(LEASE_KEPT, "lease-kept", "a cancelled attempt keeps its slot")                              \
    X(LIMIT_PLUS_ONE, "limit-plus-one", "a group runs one job more than it may")                   \
    X(KEY_PLUS_ONE, "key-plus-one", "a key has one job more than it may")                          \
    X(CANCEL_FORGOTTEN, "cancel-forgotten", "a cancel is not journalled")                          \
    X(EARLY_ANSWER, "early-answer", "answers leave before the commit")                             \
    X(EARLY_EVENT, "early-event", "ends are told before the commit")                               \
    X(RELAXED_ALL, "relaxed-all", "every queue is taken for a relaxed one")                        \
    X(CANCEL_UNDONE, "cancel-undone", "a cancelled job may still succeed")                         \
    X(EARLY_AFTER, "early-after",                                                                  \
      "a job begins when all but one of those it waits for have ended")                            \
    X(LOST_LOST, "lost-lost", "what a silent worker held is not given to another")                 \
    X(CLOCK_IGNORED, "clock-ignored", "a tick does not move when the wall clock is set")           \
    X(TICK_DROPPED, "tick-dropped", "of several missed ticks only the first is made up for")       \
    X(RULE_REMAINS, "rule-remains", "the removal of a schedule is not journalled")                 \
    X(WAIT_LONGER, "wait-longer", "a delay grows when the clock was set back before a restart")    \
    X(BUDGET_IGNORED, "budget-ignored", "a failure is tried again though the budget is spent")

enum plant {
#define X(name, text, what) PLANT_##name,
    PLANTS(X)
#undef X
        PLANTS_COUNT
};

#ifdef ARGOSY_PLANTS
extern enum plant core_plant;
#define PLANTED(name) (core_plant == PLANT_##name)
#else
#define PLANTED(name) false
#endif

#endif
