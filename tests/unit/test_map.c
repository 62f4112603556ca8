/* The map of ids and the heap of timers, each against something too simple to be wrong. */
#include "tests/unit/cmocka_prelude.h"

#include <stdbool.h>
#include <string.h>

#include "common/heap.h"
#include "common/map.h"
#include "common/random.h"

enum { NODES_MAX = 1000 };

/* ---- the map -------------------------------------------------------------------------------- */

struct thing {
    struct ag_map_node node; /* first */
    bool is_in;
    unsigned visits;
};

static struct thing things[NODES_MAX];

/* Ids as they come: mostly the same time and a counter, the worst that a hash has to spread. */
static void make_things(struct ag_random *random)
{
    memset(things, 0, sizeof things);
    for (unsigned i = 0; i < NODES_MAX; i++) {
        uint8_t *bytes = things[i].node.id.bytes;

        if (i % 3 == 0)
            ag_random_fill(random, bytes, 16);
        bytes[i % 2 ? 0 : 14] = (uint8_t)(i >> 8);
        bytes[i % 2 ? 1 : 15] = (uint8_t)i;
        bytes[7] = 0x55; /* none is zero */
    }
}

static void compare_map(const struct ag_map *map)
{
    size_t count = 0, visited = 0;

    for (unsigned i = 0; i < NODES_MAX; i++) {
        struct ag_map_node *found = ag_map_find(map, &things[i].node.id);

        things[i].visits = 0;
        count += things[i].is_in;
        assert_ptr_equal(found, things[i].is_in ? &things[i].node : NULL);
    }
    assert_int_equal(map->count, count);
    for (struct ag_map_node *node = NULL; (node = ag_map_next(map, node)) != NULL; visited++) {
        struct thing *thing = (struct thing *)node;

        assert_true(thing->is_in);
        assert_int_equal(thing->visits++, 0);
    }
    assert_int_equal(visited, count);
}

static void the_map_agrees_with_a_list_under_random_changes(void **state)
{
    struct ag_random random;

    (void)state;
    ag_random_seed(&random, 5);
    for (uint64_t seed = 0; seed < 4; seed++) {
        struct ag_map map;

        make_things(&random);
        assert_ok(ag_map_init(&map, seed ? ag_random_next(&random) : 0));
        compare_map(&map);
        for (int i = 0; i < 20000; i++) {
            /* It fills, empties and fills again. */
            bool is_filling = i / 4000 % 2 == 0;
            struct thing *thing = &things[ag_random_below(&random, NODES_MAX)];

            if (!thing->is_in && (is_filling || ag_random_below(&random, 4) == 0))
                ag_map_add(&map, &thing->node);
            else if (thing->is_in && (!is_filling || ag_random_below(&random, 4) == 0))
                ag_map_remove(&map, &thing->node);
            else
                continue;
            thing->is_in = !thing->is_in;
            if (i % 97 == 0)
                compare_map(&map);
        }
        compare_map(&map);
        ag_map_fini(&map);
        assert_null(map.buckets);
    }
}

static void the_map_grows_with_what_it_holds(void **state)
{
    struct ag_random random;
    struct ag_map map;
    size_t longest = 0;

    (void)state;
    ag_random_seed(&random, 6);
    make_things(&random);
    assert_ok(ag_map_init(&map, 1));
    for (unsigned i = 0; i < NODES_MAX; i++) {
        ag_map_add(&map, &things[i].node);
        things[i].is_in = true;
        assert_true(map.size >= map.count / 2);
        assert_int_equal(map.size & (map.size - 1), 0);
    }
    for (size_t i = 0; i < map.size; i++) {
        size_t length = 0;

        for (struct ag_map_node *node = map.buckets[i]; node != NULL; node = node->next)
            length++;
        longest = length > longest ? length : longest;
    }
    assert_true(longest < 12); /* 1,000 in 1,024 buckets: 6 is usual, 12 once in a million */
    ag_map_fini(&map);
}

/* ---- the heap ------------------------------------------------------------------------------- */

static struct ag_timer timers[NODES_MAX];

static int64_t soonest(void)
{
    int64_t at = INT64_MAX;

    for (int i = 0; i < NODES_MAX; i++)
        if (timers[i].place != 0 && timers[i].at < at)
            at = timers[i].at;
    return at;
}

static void check_heap(const struct ag_heap *heap, const bool *is_set)
{
    size_t count = 0;

    for (int i = 0; i < NODES_MAX; i++) {
        count += is_set[i];
        assert_int_equal(timers[i].place != 0, is_set[i]);
        if (is_set[i])
            assert_ptr_equal(heap->items[timers[i].place - 1], &timers[i]);
    }
    assert_int_equal(heap->count, count);
    for (size_t place = 2; place <= count; place++)
        assert_true(heap->items[place / 2 - 1]->at <= heap->items[place - 1]->at);
    if (count == 0)
        assert_null(ag_heap_first(heap));
    else
        assert_true(ag_heap_first(heap)->at == soonest());
}

static void the_heap_agrees_with_a_list_under_random_changes(void **state)
{
    static bool is_set[NODES_MAX];
    struct ag_random random;
    struct ag_heap heap = {0};

    (void)state;
    ag_random_seed(&random, 7);
    memset(timers, 0, sizeof timers);
    assert_ok(ag_heap_reserve(&heap, NODES_MAX));
    for (int i = 0; i < 40000; i++) {
        bool is_filling = i / 8000 % 2 == 0;
        size_t which = ag_random_below(&random, NODES_MAX);

        if (ag_random_below(&random, is_filling ? 4 : 2) > 0) {
            if (is_filling || is_set[which]) { /* set, or moved up or down */
                ag_heap_set(&heap, &timers[which], (int64_t)ag_random_below(&random, 500) - 250);
                is_set[which] = true;
            }
        } else { /* also what is not set: harmless */
            ag_heap_stop(&heap, &timers[which]);
            is_set[which] = false;
        }
        assert_true(heap.count == 0 || ag_heap_first(&heap)->at == soonest());
        if (i % 7 == 0)
            check_heap(&heap, is_set);
    }
    ag_heap_fini(&heap);
    assert_null(heap.items);
}

static void timers_come_out_sorted_and_the_extremes_are_times_too(void **state)
{
    struct ag_random random;
    struct ag_heap heap = {0};
    int64_t last = INT64_MIN;

    (void)state;
    ag_random_seed(&random, 9);
    memset(timers, 0, sizeof timers);
    assert_null(ag_heap_first(&heap));
    for (size_t i = 0; i < NODES_MAX; i++) {
        int64_t at = i == 0 ? INT64_MAX : i == 1 ? INT64_MIN : (int64_t)ag_random_next(&random);

        assert_ok(ag_heap_reserve(&heap, i + 1)); /* it keeps what is in it */
        ag_heap_set(&heap, &timers[i], at);
    }
    for (size_t i = 0; i < NODES_MAX; i++) {
        struct ag_timer *first = ag_heap_first(&heap);

        assert_true(first->at >= last);
        last = first->at;
        ag_heap_stop(&heap, first);
        assert_int_equal(first->place, 0);
    }
    assert_true(last == INT64_MAX && heap.count == 0);
    ag_heap_fini(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_map_agrees_with_a_list_under_random_changes),
        cmocka_unit_test(the_map_grows_with_what_it_holds),
        cmocka_unit_test(the_heap_agrees_with_a_list_under_random_changes),
        cmocka_unit_test(timers_come_out_sorted_and_the_extremes_are_times_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
