/* Ids: their text and its way back, their order. */
#include <string.h>

#include "common/entropy.h"
#include "common/id.h"
#include "tests/unit/cmocka_prelude.h"

static struct ag_id make(int64_t unix_ms)
{
    uint8_t random[AG_ID_RANDOM_BYTES];

    assert_ok(ag_entropy(random, sizeof random, NULL));
    return ag_id_make(unix_ms, random);
}

static void an_id_survives_as_text(void **state)
{
    (void)state;
    for (int64_t i = 0; i < 10000; i++) {
        int64_t ms = 1700000000000 + i * 12345;
        struct ag_id id = make(ms), again;
        char text[AG_ID_TEXT_SIZE];

        assert_int_equal(strlen(ag_id_print(&id, text)), 26);
        assert_ok(ag_id_parse(text, &again, NULL));
        assert_true(ag_id_equal(&id, &again));
        assert_int_equal(ag_id_unix_ms(&again), ms);
    }
}

static void ids_are_in_the_order_of_their_making_also_as_text(void **state)
{
    struct ag_id last = make(1);
    char last_text[AG_ID_TEXT_SIZE], text[AG_ID_TEXT_SIZE];

    (void)state;
    ag_id_print(&last, last_text);
    for (int64_t ms = 2; ms < 5000; ms++) {
        struct ag_id id = make(ms * 977);

        assert_true(ag_id_compare(&last, &id) < 0);
        assert_true(strcmp(last_text, ag_id_print(&id, text)) < 0);
        last = id;
        memcpy(last_text, text, sizeof text);
    }
}

static void people_may_write_letters_that_look_alike(void **state)
{
    struct ag_id one, other;

    (void)state;
    assert_ok(ag_id_parse("01JD5ZK4T9W8Q6F2M3N7B0C1XA", &one, NULL));
    assert_ok(ag_id_parse("oljd5zk4t9w8q6f2m3n7bOcIxa", &other, NULL));
    assert_true(ag_id_equal(&one, &other));
}

static void what_is_no_id_is_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        "01JD5ZK4T9W8Q6F2M3N7B0C1X",   /* 25 */
                                        "01JD5ZK4T9W8Q6F2M3N7B0C1XAA", /* 27 */
                                        "01JD5ZK4T9W8Q6F2M3N7B0C1X!",
                                        "01JD5ZK4T9W8Q6F2M3N7B0C1XU",  /* no U */
                                        "81JD5ZK4T9W8Q6F2M3N7B0C1XA"}; /* over 128 bits */

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct argosy_error err = {0};
        struct ag_id id;

        if (ag_id_parse(wrong[i], &id, &err) != ARGOSY_EINVAL || err.message[0] == '\0')
            fail_msg("'%s' is taken for an id", wrong[i]);
    }
}

static void zero_is_no_id(void **state)
{
    struct ag_id id = {{0}};

    (void)state;
    assert_true(ag_id_is_zero(&id));
    id = make(0);
    assert_false(ag_id_is_zero(&id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_survives_as_text),
        cmocka_unit_test(ids_are_in_the_order_of_their_making_also_as_text),
        cmocka_unit_test(people_may_write_letters_that_look_alike),
        cmocka_unit_test(what_is_no_id_is_refused),
        cmocka_unit_test(zero_is_no_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
