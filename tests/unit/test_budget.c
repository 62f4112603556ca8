/* Retry budgets: the arithmetic of one scope. What the core makes of it is told as stories in
 * test_core_structured.c. */
#include "broker/core/budget.h"

#include "tests/unit/cmocka_prelude.h"

/* How many retries go through when only retries come. */
static unsigned retries_until_full(struct budget *budget, uint32_t percent)
{
    unsigned count = 0;

    for (; budget_has_room(budget, percent); count++)
        budget->retries++;
    return count;
}

static void a_scope_has_ten_retries_and_its_share(void **state)
{
    static const struct {
        uint64_t firsts;
        uint32_t percent;
        unsigned retries;
    } cases[] = {
        {0, 20, 10},   {1, 20, 11},       {5, 20, 11}, {6, 20, 12},  {50, 20, 20},
        {1000, 1, 20}, {1000, 100, 1010}, {99, 1, 11}, {100, 1, 11}, {100000, 20, 20010},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct budget budget = {.firsts = cases[i].firsts};

        assert_int_equal(retries_until_full(&budget, cases[i].percent), cases[i].retries);
    }
}

static void one_that_is_over_its_share_has_no_room(void **state)
{
    struct budget budget = {.firsts = 100, .retries = 5000}; /* of jobs without a budget */

    (void)state;
    assert_false(budget_has_room(&budget, 100));
    budget.firsts = 100000;
    assert_true(budget_has_room(&budget, 100));
}

static void counts_are_halved_every_period(void **state)
{
    struct budget budget = {.firsts = 100, .retries = 41};

    (void)state;
    budget_fade(&budget, BUDGET_HALVING_MS - 1);
    assert_int_equal(budget.retries, 41);
    budget_fade(&budget, BUDGET_HALVING_MS);
    assert_int_equal(budget.firsts, 50);
    assert_int_equal(budget.retries, 20);
    budget_fade(&budget, 2 * BUDGET_HALVING_MS - 1); /* once for each */
    assert_int_equal(budget.retries, 20);
    budget_fade(&budget, 4 * BUDGET_HALVING_MS + 5);
    assert_int_equal(budget.firsts, 6);
    assert_int_equal(budget.retries, 2);
}

static void after_a_long_time_nothing_is_left(void **state)
{
    struct budget budget = {.firsts = UINT64_MAX, .retries = UINT64_MAX};

    (void)state;
    budget_fade(&budget, 63 * (int64_t)BUDGET_HALVING_MS);
    assert_int_equal(budget.firsts, 1);
    budget_fade(&budget, INT64_MAX);
    assert_int_equal(budget.firsts, 0);
    assert_int_equal(budget.retries, 0);
    budget.retries = 3;
    budget_fade(&budget, 0); /* a clock that goes back changes nothing */
    assert_int_equal(budget.retries, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scope_has_ten_retries_and_its_share),
        cmocka_unit_test(one_that_is_over_its_share_has_no_room),
        cmocka_unit_test(counts_are_halved_every_period),
        cmocka_unit_test(after_a_long_time_nothing_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
