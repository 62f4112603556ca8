/* The pool: every item is worked on once and given back once, on the right threads. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/cmocka_prelude.h"
#include "worker/pool.h"

enum { ITEMS = 2000 };

struct item {
    atomic_int worked;
    int done;
};

static pthread_t loop_thread;

static void work(void *arg)
{
    struct item *item = arg;

    assert_false(pthread_equal(pthread_self(), loop_thread));
    atomic_fetch_add(&item->worked, 1);
}

static void done(void *arg)
{
    ((struct item *)arg)->done++;
}

static void every_item_is_worked_and_given_back_once(void **state)
{
    static struct item items[ITEMS];
    struct argosy_error err = {0};
    pool_t *pool = pool_new(4, &err);
    struct pollfd ready;
    int given_back = 0;

    (void)state;
    loop_thread = pthread_self();
    assert_non_null(pool);
    for (int i = 0; i < ITEMS; i++)
        assert_ok(pool_submit(pool, &(struct pool_item){work, done, &items[i]}));
    ready = (struct pollfd){.fd = pool_fd(pool), .events = POLLIN};
    while (given_back < ITEMS) {
        assert_int_equal(poll(&ready, 1, 10000), 1);
        pool_collect(pool);
        given_back = 0;
        for (int i = 0; i < ITEMS; i++)
            given_back += items[i].done;
    }
    for (int i = 0; i < ITEMS; i++) {
        assert_int_equal(atomic_load(&items[i].worked), 1);
        assert_int_equal(items[i].done, 1);
    }
    pool_destroy(&pool);
    assert_null(pool);
}

static void what_has_not_begun_is_given_back_without_work(void **state)
{
    static struct item items[ITEMS];
    struct argosy_error err = {0};
    pool_t *pool = pool_new(1, &err);

    (void)state;
    loop_thread = pthread_self();
    for (int i = 0; i < ITEMS; i++)
        assert_ok(pool_submit(pool, &(struct pool_item){work, done, &items[i]}));
    pool_destroy(&pool);
    for (int i = 0; i < ITEMS; i++) {
        assert_true(atomic_load(&items[i].worked) <= 1);
        assert_int_equal(items[i].done, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_is_worked_and_given_back_once),
        cmocka_unit_test(what_has_not_begun_is_given_back_without_work),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
