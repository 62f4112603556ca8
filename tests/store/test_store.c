/* What store.h promises, tried with every store through its functions only: a real core to which
 * things happen at random, life after life (history.h). STORE_SEED=n replays a run, but for the
 * moments at which the writer's thread wakes up. */
#include "tests/unit/cmocka_prelude.h"

#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "common/assert.h"
#include "tests/store/folder.h"
#include "tests/store/history.h"

#ifdef __OPTIMIZE__
enum { LIVES = 150, LARGE_TURNS = 120, MANY_TURNS = 200 };
#else /* a sanitizer: the core looks at all its invariants after each step */
enum { LIVES = 30, LARGE_TURNS = 40, MANY_TURNS = 100 };
#endif

enum { TURNS = 40, WAIT_MS = 20000, TEMPLATES = 5000 };

struct kind {
    const char *text; /* as in --store; sqlite:PATH without the path */
    bool keeps;       /* what it was told, from life to life */
};

struct suite {
    const struct kind *kind;
    struct folder folder;
    struct history history;
    uint64_t unix_ms;
};

static uint64_t first_seed;

static struct store *open_store(struct suite *self)
{
    struct argosy_error err = {0};
    struct store *store = NULL;
    char text[100];

    snprintf(text, sizeof text, "%s%s", self->kind->text,
             self->kind->keeps ? self->folder.store : "");
    if (store_open(&store, text, ++self->unix_ms, &err) < 0)
        fail_msg("%s", err.message);
    return store;
}

static void set_up(struct suite *self, const struct kind *kind)
{
    *self = (struct suite){.kind = kind, .folder = folder_new(), .unix_ms = 1700000000000};
    history_init(&self->history, first_seed);
}

static void tear_down(struct suite *self)
{
    history_end(&self->history);
    history_fini(&self->history);
    folder_remove(&self->folder);
}

/* The next life; what it found is in the history. */
static void begin(struct suite *self)
{
    struct argosy_error err = {0};

    if (!self->kind->keeps)
        history_forget(&self->history);
    if (history_begin(&self->history, open_store(self), &err) < 0)
        fail_msg("%s", err.message);
    if (!self->kind->keeps)
        assert_int_equal(self->history.loaded, 0);
    assert_false(self->history.torn);
    assert_false(self->history.lost);
    assert_false(self->history.store->is_full);
}

static void turn(struct suite *self)
{
    struct argosy_error err = {0};

    if (history_turn(&self->history, &err) < 0)
        fail_msg("%s", err.message);
    if (self->history.store->fd < 0) /* then nothing can be on its way */
        assert_int_equal(self->history.told, self->history.turns[self->history.turns_count - 1]);
}

static void wait_for_all(struct suite *self)
{
    struct argosy_error err = {0};
    int rc = history_wait(&self->history, WAIT_MS, &err);

    if (rc < 0)
        fail_msg("%s: %s", argosy_strerror(rc), err.message);
}

static uint64_t last_turn(const struct suite *self)
{
    return self->history.turns[self->history.turns_count - 1];
}

/* ---- the tests ------------------------------------------------------------------------------- */

/* With or without waiting for it: destroy() makes durable what commit() has seen. */
static void what_was_committed_is_there_in_the_next_life(void **state)
{
    struct suite self;
    uint64_t last = 0;

    set_up(&self, *state);
    for (int life = 0; life < LIVES; life++) {
        begin(&self);
        if (self.kind->keeps)
            assert_int_equal(self.history.held, last);
        for (uint64_t turns = ag_random_below(&self.history.random, TURNS); turns > 0; turns--) {
            turn(&self);
            if (ag_random_below(&self.history.random, 4) == 0)
                wait_for_all(&self);
        }
        last = last_turn(&self);
        history_end(&self.history);
    }
    for (int type = 0; type <= RECORD_WORKER && self.kind->keeps; type++)
        if (type != RECORD_GONE && self.history.seen[type] == 0)
            fail_msg("no record of type %d: these histories say little", type);
    tear_down(&self);
}

static void a_turn_that_was_not_committed_is_not_there(void **state)
{
    struct suite self;
    uint64_t last;

    set_up(&self, *state);
    begin(&self);
    for (int life = 0; life < 10; life++) {
        turn(&self);
        last = last_turn(&self);
        while (self.history.appended == last)
            history_act(&self.history);
        self.history.now = self.history.stage->now;
        history_end(&self.history);
        begin(&self);
        if (self.kind->keeps)
            assert_int_equal(self.history.held, last);
    }
    tear_down(&self);
}

/* history.c looks that it does not call without a reason. */
static void the_fd_calls_when_there_is_something_to_hear(void **state)
{
    struct suite self;
    struct pollfd poller = {.events = POLLIN};
    struct argosy_error err = {0};

    set_up(&self, *state);
    begin(&self);
    poller.fd = self.history.store->fd;
    for (int i = 0; i < TURNS; i++) {
        turn(&self);
        wait_for_all(&self);
        assert_int_equal(self.history.told, last_turn(&self));
        assert_int_equal(poll(&poller, 1, 10), 0);
        assert_ok(history_hear(&self.history, &err)); /* nothing: that does no harm */
        assert_int_equal(poll(&poller, 1, 0), 0);
        wait_for_all(&self);
    }
    assert_true(poller.fd < 0 || self.history.hearings > 0);
    tear_down(&self);
}

static void the_largest_results_are_kept(void **state)
{
    struct suite self;

    set_up(&self, *state);
    self.history.result_bytes = AG_RESULT_BYTES_MAX;
    for (int life = 0; life < 3; life++) {
        begin(&self);
        for (int i = 0; i < LARGE_TURNS / 3; i++)
            turn(&self);
        history_end(&self.history);
    }
    begin(&self);
    tear_down(&self);
}

/* More than are remembered at once, in many groups, in transactions of many turns. */
static void thousands_of_templates_are_kept(void **state)
{
    struct suite self;

    set_up(&self, *state);
    self.history.kinds_of_job = TEMPLATES;
    self.history.jobs_at_once = AG_MESSAGE_ITEMS_MAX - 1;
    for (int life = 0; life < 3; life++) {
        begin(&self);
        for (int i = 0; i < MANY_TURNS / 3; i++)
            turn(&self);
        history_end(&self.history);
    }
    begin(&self);
    tear_down(&self);
}

/* history.c looks that it rises when the clock goes on; it must also when the clock was set back.
 */
static void the_epoch_rises_whatever_the_clock_says(void **state)
{
    static const uint64_t clocks[] = {1000, 5000, 5000, 10, 0, 7000, 6999};
    struct suite self;
    uint64_t before = 0;

    set_up(&self, *state);
    for (size_t i = 0; i < sizeof clocks / sizeof clocks[0] && self.kind->keeps; i++) {
        struct store *store;

        self.unix_ms = clocks[i];
        store = open_store(&self);
        assert_true(store->epoch > before && store->epoch >= clocks[i]);
        before = store->epoch;
        store->destroy(&store);
        assert_null(store);
    }
    tear_down(&self);
}

/* Opened, and never loaded: a program that only looked. */
static void a_store_may_be_closed_before_it_is_loaded(void **state)
{
    struct suite self;
    struct store *store;

    set_up(&self, *state);
    store = open_store(&self);
    store->destroy(&store);
    assert_null(store);
    begin(&self);
    tear_down(&self);
}

static void texts_that_name_no_store_are_told(void **state)
{
    static const char *const texts[] = {"", "sqlite", "sqlite:", "memory:x", "postgresql:x"};
    struct argosy_error err;
    struct store *store;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_fails(store_check(texts[i], &err), ARGOSY_EINVAL);
        assert_fails(store_open(&store, texts[i], 1, &err), ARGOSY_EINVAL);
    }
}

static struct CMUnitTest with(const char *name, CMUnitTestFunction test, struct kind *kind)
{
    return (struct CMUnitTest){.name = name, .test_func = test, .initial_state = kind};
}

#define WITH(kind, test) with(#test " (" #kind ")", test, &kind)
#define WITH_BOTH(test) WITH(memory, test), WITH(sqlite, test)

int main(void)
{
    static struct kind memory = {.text = "memory"}, sqlite = {.text = "sqlite:", .keeps = true};
    const struct CMUnitTest tests[] = {
        WITH_BOTH(what_was_committed_is_there_in_the_next_life),
        WITH_BOTH(a_turn_that_was_not_committed_is_not_there),
        WITH_BOTH(the_fd_calls_when_there_is_something_to_hear),
        WITH_BOTH(the_largest_results_are_kept),
        WITH_BOTH(thousands_of_templates_are_kept),
        WITH_BOTH(the_epoch_rises_whatever_the_clock_says),
        WITH_BOTH(a_store_may_be_closed_before_it_is_loaded),
        cmocka_unit_test(texts_that_name_no_store_are_told),
    };
    const char *seed = getenv("STORE_SEED");

    first_seed = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    print_message("STORE_SEED=%" PRIu64 "\n", first_seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
