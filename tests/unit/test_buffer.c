/* Growing bytes: what goes in comes out, and never more than the stated maximum. */
#include "tests/unit/cmocka_prelude.h"

#include <stdlib.h>

#include "common/buffer.h"
#include "common/random.h"

static void what_is_appended_is_there_in_order(void **state)
{
    struct ag_buffer buffer = ag_buffer_empty(100);

    (void)state;
    ag_buffer_append(&buffer, "abc", 3);
    ag_buffer_append(&buffer, NULL, 0);
    ag_buffer_text(&buffer, "def");
    ag_buffer_text(&buffer, "");
    ag_buffer_printf(&buffer, "%d-%s", 42, "x");
    assert_int_equal(ag_buffer_write(&buffer, "end", 3), 0);
    assert_true(ag_bytes_are(ag_buffer_bytes(&buffer), "abcdef42-xend"));
    assert_string_equal(ag_buffer_as_text(&buffer), "abcdef42-xend");
    assert_int_equal(buffer.size, 13);
    ag_buffer_free(&buffer);
}

static void an_empty_one_is_an_empty_text(void **state)
{
    struct ag_buffer buffer = ag_buffer_empty(0);

    (void)state;
    ag_buffer_append(&buffer, "", 0);
    assert_string_equal(ag_buffer_as_text(&buffer), "");
    assert_false(buffer.failed);
    ag_buffer_append(&buffer, "x", 1);
    assert_true(buffer.failed);
    ag_buffer_free(&buffer);
}

/* Whichever way bytes come, the maximum holds: also while the memory behind it is larger. */
static void the_maximum_is_exact_for_every_way_in(void **state)
{
    (void)state;
    for (size_t size_max = 1; size_max < 600; size_max += size_max < 250 || size_max > 260 ? 7 : 1)
        for (int way = 0; way < 4; way++)
            for (int too_much = 0; too_much < 2; too_much++) {
                struct ag_buffer buffer = ag_buffer_empty(size_max);
                size_t first = size_max / 3, rest = size_max - first + (size_t)too_much;
                char text[700];

                memset(text, 'x', sizeof text);
                text[rest] = '\0';
                ag_buffer_append(&buffer, text, first);
                if (way == 0)
                    ag_buffer_append(&buffer, text, rest);
                else if (way == 1)
                    ag_buffer_text(&buffer, text);
                else if (way == 2)
                    ag_buffer_printf(&buffer, "%s", text);
                else if (ag_buffer_reserve(&buffer, rest) != NULL)
                    buffer.size += rest;
                if (buffer.failed != too_much || buffer.size != (too_much ? first : size_max))
                    fail_msg("way %d, maximum %zu: %zu bytes, failed %d", way, size_max,
                             buffer.size, buffer.failed);
                if (!too_much && way < 3) /* the zero does not count */
                    assert_int_equal(strlen(ag_buffer_as_text(&buffer)), size_max);
                ag_buffer_free(&buffer);
            }
}

static void sizes_that_overflow_fail(void **state)
{
    struct ag_buffer buffer = ag_buffer_empty(SIZE_MAX);

    (void)state;
    ag_buffer_append(&buffer, "12345", 5);
    assert_null(ag_buffer_reserve(&buffer, SIZE_MAX - 4)); /* one more than there are */
    assert_true(buffer.failed);
    ag_buffer_free(&buffer);
}

static void a_failure_stays_until_it_is_cleared(void **state)
{
    struct ag_buffer buffer = ag_buffer_empty(4);
    size_t size = 1;

    (void)state;
    ag_buffer_append(&buffer, "12345", 5);
    ag_buffer_append(&buffer, "1", 1);
    ag_buffer_text(&buffer, "");
    ag_buffer_printf(&buffer, "%s", "");
    assert_true(buffer.failed);
    assert_int_equal(buffer.size, 0);
    assert_int_equal(ag_buffer_write(&buffer, "1", 1), -1);
    assert_null(ag_buffer_reserve(&buffer, 0));
    assert_string_equal(ag_buffer_as_text(&buffer), "");
    ag_buffer_clear(&buffer);
    ag_buffer_text(&buffer, "1234");
    assert_false(buffer.failed);
    ag_buffer_append(&buffer, "5", 1);
    assert_null(ag_buffer_take(&buffer, &size)); /* what failed is not whole */
    assert_int_equal(size, 0);
    assert_false(buffer.failed);
    ag_buffer_free(&buffer);
}

static void clearing_keeps_the_memory_for_the_next_message(void **state)
{
    struct ag_buffer buffer = ag_buffer_empty(10000);
    const uint8_t *data;

    (void)state;
    ag_buffer_printf(&buffer, "%5000d", 1);
    data = buffer.data;
    ag_buffer_clear(&buffer);
    assert_int_equal(buffer.size, 0);
    ag_buffer_printf(&buffer, "%4000d", 1);
    assert_ptr_equal(buffer.data, data);
    ag_buffer_free(&buffer);
    assert_null(buffer.data);
    assert_int_equal(buffer.size_max, 10000);
}

static void what_is_taken_belongs_to_the_taker(void **state)
{
    struct ag_buffer buffer = ag_buffer_empty(100);
    size_t size = 77;
    uint8_t *data;

    (void)state;
    assert_null(ag_buffer_take(&buffer, &size));
    assert_int_equal(size, 0);
    assert_non_null(ag_buffer_reserve(&buffer, 10)); /* room is not content */
    assert_null(ag_buffer_take(&buffer, &size));
    ag_buffer_text(&buffer, "mine");
    data = ag_buffer_take(&buffer, &size);
    assert_int_equal(size, 4);
    assert_memory_equal(data, "mine", 4);
    ag_buffer_text(&buffer, "another");
    assert_memory_equal(data, "mine", 4);
    assert_true(ag_bytes_are(ag_buffer_bytes(&buffer), "another"));
    free(data);
    ag_buffer_free(&buffer);
}

static void random_appends_agree_with_an_array(void **state)
{
    enum { SIZE_MAX_HERE = 3000 };
    static uint8_t expected[SIZE_MAX_HERE], piece[200];
    struct ag_random random;

    (void)state;
    ag_random_seed(&random, 3);
    for (int run = 0; run < 300; run++) {
        size_t size_max = ag_random_below(&random, SIZE_MAX_HERE + 1), size = 0;
        struct ag_buffer buffer = ag_buffer_empty(size_max);
        bool failed = false;

        for (int i = 0; i < 60; i++) {
            size_t count = ag_random_below(&random, sizeof piece);

            ag_random_fill(&random, piece, count);
            failed = failed || size + count > size_max;
            if (!failed) {
                memcpy(expected + size, piece, count);
                size += count;
            }
            if (ag_random_below(&random, 2) == 0) {
                ag_buffer_append(&buffer, piece, count);
            } else {
                uint8_t *room = ag_buffer_reserve(&buffer, count);

                if (room != NULL && count > 0)
                    memcpy(room, piece, count);
                buffer.size += room ? count : 0;
            }
            assert_int_equal(buffer.failed, failed);
            assert_true(ag_bytes_equal(ag_buffer_bytes(&buffer), ag_bytes_of(expected, size)));
        }
        ag_buffer_free(&buffer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_appended_is_there_in_order),
        cmocka_unit_test(an_empty_one_is_an_empty_text),
        cmocka_unit_test(the_maximum_is_exact_for_every_way_in),
        cmocka_unit_test(sizes_that_overflow_fail),
        cmocka_unit_test(a_failure_stays_until_it_is_cleared),
        cmocka_unit_test(clearing_keeps_the_memory_for_the_next_message),
        cmocka_unit_test(what_is_taken_belongs_to_the_taker),
        cmocka_unit_test(random_appends_agree_with_an_array),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
