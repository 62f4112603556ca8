/* The SQLite store when memory is short: the nth allocation fails, of ours and of SQLite, once and
 * from then on, in the reactor's thread and in the writer's. It says so, nothing leaks, nothing
 * crashes, and what was told to be durable is there in the next life.
 *
 * Our malloc() is caught by the linker's --wrap, SQLite's by its configuration. What the tests
 * themselves allocate is spared: everything of this thread that is not within a store's function.
 * STORE_SEED=n replays a run, but for the moments at which the writer's thread wakes up. */
#include "tests/unit/cmocka_prelude.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "tests/store/folder.h"
#include "tests/store/history.h"

enum { TURNS = 5, WAIT_MS = 20000, CHECKPOINT_PAGES = 12 };

#ifdef __OPTIMIZE__
enum { STEP = 300 }; /* the larger, the more are tried */
#else
enum { STEP = 20 };
#endif

/* ---- allocations that fail ------------------------------------------------------------------- */

static _Thread_local bool is_spared;
static atomic_long left; /* until the one that fails; 0 or less: it has come, or none is wanted */
static atomic_bool is_armed, for_good;

static bool must_fail(void)
{
    long now;

    if (is_spared || !is_armed)
        return false;
    now = atomic_fetch_sub(&left, 1);
    return now == 1 || (now < 1 && for_good);
}

static void arm(long nth, bool stays)
{
    left = nth;
    for_good = stays;
    is_armed = true;
}

/* True: it has come. */
static bool disarm(void)
{
    is_armed = false;
    return left <= 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_malloc(size_t size)
{
    return must_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return must_fail() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return must_fail() ? NULL : __real_realloc(memory, size);
}

static sqlite3_mem_methods sqlite_memory;

static void *sqlite_malloc(int size)
{
    return must_fail() ? NULL : sqlite_memory.xMalloc(size);
}

static void *sqlite_realloc(void *memory, int size)
{
    return must_fail() ? NULL : sqlite_memory.xRealloc(memory, size);
}

/* Without a cache of small pieces, which would hide most of what SQLite asks for. */
static void catch_sqlite(void)
{
    sqlite3_mem_methods ours;

    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory);
    ours = sqlite_memory;
    ours.xMalloc = sqlite_malloc;
    ours.xRealloc = sqlite_realloc;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &ours);
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
}

static int on_connection(sqlite3 *db, char **message, const struct sqlite3_api_routines *api)
{
    (void)message, (void)api;
    sqlite3_wal_autocheckpoint(db, CHECKPOINT_PAGES);
    return SQLITE_OK;
}

/* ---- a store whose functions are not spared -------------------------------------------------- */

static struct store real;
static store_take_fn *real_take;

static int spared_take(void *arg, uint64_t number, const struct record *record,
                       struct argosy_error *err)
{
    int rc;

    is_spared = true;
    rc = real_take(arg, number, record, err);
    is_spared = false;
    return rc;
}

static int load(struct store *self, store_take_fn *take, void *arg, struct argosy_error *err)
{
    int rc;

    real_take = take;
    is_spared = false;
    rc = real.load(self, spared_take, arg, err);
    is_spared = true;
    return rc;
}

static int append(struct store *self, core_t *core, const struct effect *effect,
                  struct argosy_error *err)
{
    int rc;

    is_spared = false;
    rc = real.append(self, core, effect, err);
    is_spared = true;
    return rc;
}

static int commit(struct store *self, struct argosy_error *err)
{
    int rc;

    is_spared = false;
    rc = real.commit(self, err);
    is_spared = true;
    return rc;
}

static void destroy(struct store **self_p)
{
    is_spared = false;
    real.destroy(self_p);
    is_spared = true;
}

static int open_store(struct store **out, const char *path, uint64_t unix_ms,
                      struct argosy_error *err)
{
    int rc;

    is_spared = false;
    rc = store_sqlite_open(out, path, unix_ms, err);
    is_spared = true;
    if (rc < 0)
        return rc;
    real = **out;
    (*out)->load = load;
    (*out)->append = append;
    (*out)->commit = commit;
    (*out)->destroy = destroy;
    return 0;
}

/* ---- the tests ------------------------------------------------------------------------------- */

static uint64_t first_seed;

struct suite {
    struct folder folder;
    struct history history;
    uint64_t unix_ms;
};

/* One life: 0, or what it ended with. */
static int live(struct suite *self, struct argosy_error *err)
{
    struct store *store;
    int rc = open_store(&store, self->folder.store, ++self->unix_ms, err);

    if (rc == 0)
        rc = history_begin(&self->history, store, err);
    if (rc == 0 && (self->history.torn || self->history.lost))
        fail_msg("%s", self->history.torn ? "what is left is not what any turn had left"
                                          : "something is lost that was told to be durable");
    for (int turns = TURNS; rc == 0 && turns > 0; turns--) {
        rc = history_turn(&self->history, err);
        if (rc == 0 && turns % 2 == 0)
            rc = history_wait(&self->history, WAIT_MS, err);
    }
    history_end(&self->history);
    return rc;
}

static void live_well(struct suite *self)
{
    struct argosy_error err = {0};

    if (live(self, &err) < 0)
        fail_msg("%s", err.message);
}

/* Three lives; memory is short in the second. True: so short that it mattered. */
static bool live_with(long nth, bool stays)
{
    struct argosy_error err = {0};
    struct suite self = {.folder = folder_new_in_memory(), .unix_ms = 1700000000000};
    bool has_come;
    int rc;

    history_init(&self.history, first_seed);
    live_well(&self);
    arm(nth, stays);
    rc = live(&self, &err);
    has_come = disarm();
    if (rc < 0) {
        if (rc != ARGOSY_ENOMEM || err.code != rc || err.message[0] == '\0')
            fail_msg("the %ldth: %s: %s", nth, argosy_strerror(rc), err.message);
        assert_true(has_come);
    }
    live_well(&self);
    history_fini(&self.history);
    folder_remove(&self.folder);
    return has_come;
}

/* Each of the first ones, then some. */
static void try_all(bool stays)
{
    struct ag_random random;
    unsigned count = 0;
    long nth = 1;

    ag_random_seed(&random, first_seed);
    while (live_with(nth, stays)) {
        nth += 1 + (long)ag_random_below(&random, 1 + (uint64_t)(2 * nth / STEP));
        count++;
    }
    print_message("%u of about %ld allocations failed %s\n", count, nth,
                  stays ? "for good" : "once");
}

static void an_allocation_fails_once(void **state)
{
    (void)state;
    try_all(false);
}

static void no_allocation_works_any_more(void **state)
{
    (void)state;
    try_all(true);
}

static void memory_for_the_store_that_is_memory(void **state)
{
    struct argosy_error err;
    struct store *store;

    (void)state;
    arm(1, false);
    is_spared = false;
    assert_fails(store_open(&store, "memory", 1, &err), ARGOSY_ENOMEM);
    is_spared = true;
    disarm();
    assert_null(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_allocation_fails_once),
        cmocka_unit_test(no_allocation_works_any_more),
        cmocka_unit_test(memory_for_the_store_that_is_memory),
    };
    const char *seed = getenv("STORE_SEED");

    is_spared = true;
    first_seed = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    print_message("STORE_SEED=%" PRIu64 "\n", first_seed);
    catch_sqlite();
    sqlite3_auto_extension((void (*)(void))on_connection);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
