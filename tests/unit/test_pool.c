/* The pool: everything submitted comes back once, on the caller's thread, whatever the threads do.
 * Runs under ThreadSanitizer too. */
#include "tests/unit/cmocka_prelude.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "worker/pool.h"

enum { PATIENCE_MS = 20000, MANY = 20000 };

struct piece {
    sem_t *gate;         /* work waits for it; NULL: it does not */
    atomic_int *begun;   /* counts the pieces whose work began */
    pthread_t worked_by; /* written by the pool's thread, read after done */
    bool worked, done;
    unsigned *order, place; /* when it was done, among all */
    pool_t *pool;           /* submit another one when done */
    struct piece *next;
};

static void work(void *arg)
{
    struct piece *piece = arg;

    if (piece->begun != NULL)
        atomic_fetch_add(piece->begun, 1);
    if (piece->gate != NULL)
        while (sem_wait(piece->gate) != 0) {
        }
    piece->worked = true;
    piece->worked_by = pthread_self();
}

static void done(void *arg)
{
    struct piece *piece = arg;

    assert_false(piece->done);
    piece->done = true;
    if (piece->order != NULL)
        piece->place = (*piece->order)++;
    if (piece->next != NULL)
        assert_ok(pool_submit(piece->pool,
                              &(struct pool_item){.work = work, .done = done, .arg = piece->next}));
}

static void submit(pool_t *pool, struct piece *piece)
{
    assert_ok(pool_submit(pool, &(struct pool_item){.work = work, .done = done, .arg = piece}));
}

static bool is_ringing(const pool_t *pool, int timeout_ms)
{
    struct pollfd item = {.fd = pool_fd(pool), .events = POLLIN};

    return poll(&item, 1, timeout_ms) == 1;
}

/* Collects until the last of the pieces is done, as a loop does. */
static void collect_until(pool_t *pool, const struct piece *last)
{
    while (!last->done) {
        if (!is_ringing(pool, PATIENCE_MS))
            fail_msg("the pool did not ring within %d ms", PATIENCE_MS);
        pool_collect(pool);
    }
}

static pool_t *pool_of(unsigned threads)
{
    struct argosy_error err = {0};
    pool_t *pool = pool_new(threads, &err);

    if (pool == NULL)
        fail_msg("%s", err.message);
    return pool;
}

static void work_runs_on_a_thread_of_the_pool_and_done_on_ours(void **state)
{
    pool_t *pool = pool_of(1);
    struct piece piece = {0};

    (void)state;
    assert_false(is_ringing(pool, 0));
    submit(pool, &piece);
    collect_until(pool, &piece);
    assert_true(piece.worked);
    assert_false(pthread_equal(piece.worked_by, pthread_self()));
    assert_false(is_ringing(pool, 0));
    pool_destroy(&pool);
    assert_null(pool);
    pool_destroy(&pool);
}

static void one_thread_keeps_the_order(void **state)
{
    enum { COUNT = 100 };
    pool_t *pool = pool_of(1);
    struct piece pieces[COUNT] = {0};
    unsigned order = 0;

    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        pieces[i].order = &order;
        submit(pool, &pieces[i]);
    }
    collect_until(pool, &pieces[COUNT - 1]);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(pieces[i].place, i);
    pool_destroy(&pool);
}

static void as_many_pieces_run_at_once_as_there_are_threads(void **state)
{
    enum { THREADS = 3, COUNT = 4 };
    pool_t *pool = pool_of(THREADS);
    struct piece pieces[COUNT] = {0};
    atomic_int begun = 0;
    sem_t gate;

    (void)state;
    sem_init(&gate, 0, 0);
    for (unsigned i = 0; i < COUNT; i++) {
        pieces[i].gate = &gate;
        pieces[i].begun = &begun;
        submit(pool, &pieces[i]);
    }
    while (atomic_load(&begun) < THREADS) /* hangs if one waits for another: the time limit tells */
        sched_yield();
    assert_int_equal(atomic_load(&begun), THREADS); /* the fourth cannot: none has ended */
    pool_collect(pool);                             /* nothing to collect, and it does not block */
    for (unsigned i = 0; i < COUNT; i++)
        sem_post(&gate);
    for (unsigned i = 0; i < COUNT; i++)
        collect_until(pool, &pieces[i]);
    pool_destroy(&pool);
    sem_destroy(&gate);
}

static void done_may_submit_the_next(void **state)
{
    enum { COUNT = 50 };
    pool_t *pool = pool_of(2);
    struct piece pieces[COUNT] = {0};

    (void)state;
    for (unsigned i = 0; i + 1 < COUNT; i++) {
        pieces[i].pool = pool;
        pieces[i].next = &pieces[i + 1];
    }
    submit(pool, &pieces[0]);
    collect_until(pool, &pieces[COUNT - 1]);
    for (unsigned i = 0; i < COUNT; i++)
        assert_true(pieces[i].worked && pieces[i].done);
    pool_destroy(&pool);
}

static void many_pieces_all_come_back(void **state)
{
    pool_t *pool = pool_of(4);
    struct piece *pieces = test_calloc(MANY, sizeof *pieces);
    unsigned finished = 0;

    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        pieces[i].order = &finished;
        submit(pool, &pieces[i]);
        if (i % 64 == 0)
            pool_collect(pool); /* threads and collector meet at the lists all the time */
    }
    while (finished < MANY) {
        if (!is_ringing(pool, PATIENCE_MS))
            fail_msg("%u of %d came back", finished, MANY);
        pool_collect(pool);
    }
    for (unsigned i = 0; i < MANY; i++)
        assert_true(pieces[i].worked && pieces[i].done);
    test_free(pieces);
    pool_destroy(&pool);
}

static void *open_gate(void *gate)
{
    for (unsigned i = 0; i < 1000; i++)
        sched_yield(); /* so that destroying usually waits already; right in either order */
    sem_post(gate);
    return NULL;
}

static void destroying_waits_for_what_runs_and_gives_back_the_rest(void **state)
{
    enum { COUNT = 5 };
    pool_t *pool = pool_of(1);
    struct piece pieces[COUNT] = {0};
    atomic_int begun = 0;
    sem_t gate;
    pthread_t thread;
    unsigned worked = 0;

    (void)state;
    sem_init(&gate, 0, 0);
    pieces[0].gate = &gate;
    for (unsigned i = 0; i < COUNT; i++) {
        pieces[i].begun = &begun;
        submit(pool, &pieces[i]);
    }
    while (atomic_load(&begun) == 0)
        sched_yield();
    assert_int_equal(pthread_create(&thread, NULL, open_gate, &gate), 0);
    pool_destroy(&pool);
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_true(pieces[i].done);
        worked += pieces[i].worked;
    }
    assert_true(pieces[0].worked);
    assert_int_equal(worked, atomic_load(&begun));
    sem_destroy(&gate);
}

static void what_finished_but_was_not_collected_is_done_at_the_end(void **state)
{
    pool_t *pool = pool_of(1);
    struct piece piece = {0};

    (void)state;
    submit(pool, &piece);
    assert_true(is_ringing(pool, PATIENCE_MS));
    assert_false(piece.done);
    pool_destroy(&pool);
    assert_true(piece.worked && piece.done);
}

static void a_pool_without_threads_gives_everything_back_unworked(void **state)
{
    pool_t *pool = pool_of(0);
    struct piece pieces[3] = {0};

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        submit(pool, &pieces[i]);
    pool_destroy(&pool);
    for (unsigned i = 0; i < 3; i++)
        assert_true(pieces[i].done && !pieces[i].worked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_runs_on_a_thread_of_the_pool_and_done_on_ours),
        cmocka_unit_test(one_thread_keeps_the_order),
        cmocka_unit_test(as_many_pieces_run_at_once_as_there_are_threads),
        cmocka_unit_test(done_may_submit_the_next),
        cmocka_unit_test(many_pieces_all_come_back),
        cmocka_unit_test(destroying_waits_for_what_runs_and_gives_back_the_rest),
        cmocka_unit_test(what_finished_but_was_not_collected_is_done_at_the_end),
        cmocka_unit_test(a_pool_without_threads_gives_everything_back_unworked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
