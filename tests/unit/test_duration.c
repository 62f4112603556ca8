/* Durations, sizes and numbers as people write them. */
#include <string.h>

#include "common/duration.h"
#include "tests/unit/cmocka_prelude.h"

static void durations_are_read_with_their_units(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {{"0", 0},          {"90", 90000},   {"250ms", 250},   {"1.5s", 1500},
                 {"3m20s", 200000}, {"2h", 7200000}, {"1d", 86400000}, {"1h30m", 5400000},
                 {"0.4ms", 1},      {"0.5", 500}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct argosy_error err = {0};
        int64_t ms = -1;

        if (ag_duration_parse(cases[i].text, 0, INT64_MAX / 2, &ms, &err) < 0 || ms != cases[i].ms)
            fail_msg("%s: %lld ms, %s", cases[i].text, (long long)ms, err.message);
    }
}

static void sizes_are_powers_of_1024(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {{"0", 0}, {"4096", 4096}, {"512K", 524288}, {"1.5G", 1610612736}, {"2m", 2097152}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t bytes = 1;

        assert_ok(ag_size_parse(cases[i].text, 0, UINT64_MAX, &bytes, NULL));
        assert_int_equal(bytes, cases[i].bytes);
    }
}

static void what_is_wrong_is_refused_and_changes_nothing(void **state)
{
    static const char *const durations[] = {"",    "s",   "soon", "-1s", "1x",
                                            "1 s", "1s1", "1s2m", "1e3", "99999999999999999999d"};
    static const char *const sizes[] = {"", "K", "-1", "1KB", "1T", "99999999999999999999G"};
    static const char *const wholes[] = {"",     "many", "-1",  "1.5",
                                         "0x10", " 1",   "101", "99999999999999999999999"};
    int64_t ms = 77;
    uint64_t number = 77;

    (void)state;
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++)
        assert_fails(ag_duration_parse(durations[i], 0, INT64_MAX / 2, &ms, NULL), ARGOSY_EINVAL);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_fails(ag_size_parse(sizes[i], 0, UINT64_MAX, &number, NULL), ARGOSY_EINVAL);
    for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++)
        assert_fails(ag_whole_parse(wholes[i], 0, 100, &number, NULL), ARGOSY_EINVAL);
    assert_int_equal(ms, 77);
    assert_int_equal(number, 77);
}

static void a_range_is_told_and_never_bent(void **state)
{
    struct argosy_error err = {0};
    int64_t ms;

    (void)state;
    assert_fails(ag_duration_parse("2h", 100, 3600000, &ms, &err), ARGOSY_EINVAL);
    assert_string_equal(err.message, "'2h' is out of range (100ms-1h)");
}

static void what_is_printed_is_read_back(void **state)
{
    static const int64_t times[] = {0, 1, 250, 1500, 59999, 200000, 90000000, 123456789};
    static const uint64_t sizes[] = {0, 1, 1023, 1024, 1536, 1048576, 5368709120};
    char text[AG_AMOUNT_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        int64_t ms;

        assert_ok(
            ag_duration_parse(ag_duration_print(times[i], text), 0, INT64_MAX / 2, &ms, NULL));
        assert_int_equal(ms, times[i]);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t size;

        assert_ok(ag_size_parse(ag_size_print(sizes[i], text), 0, UINT64_MAX, &size, NULL));
        assert_int_equal(size, sizes[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read_with_their_units),
        cmocka_unit_test(sizes_are_powers_of_1024),
        cmocka_unit_test(what_is_wrong_is_refused_and_changes_nothing),
        cmocka_unit_test(a_range_is_told_and_never_bent),
        cmocka_unit_test(what_is_printed_is_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
