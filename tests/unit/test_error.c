/* Failures: a code for programs, one line for people, which stays a text however it is cut. */
#include "tests/unit/cmocka_prelude.h"

#include <string.h>

#include "common/error.h"
#include "common/wire.h"

enum { MESSAGE_MAX = sizeof((struct argosy_error *)0)->message - 1 };

static void every_code_has_a_sentence_of_its_own(void **state)
{
    static const int codes[] = {ARGOSY_OK,
#define X(name, code, text) ARGOSY_##name,
                                ARGOSY_ERRORS(X)
#undef X
    };
    const size_t count = sizeof codes / sizeof codes[0];

    (void)state;
    for (size_t i = 0; i < count; i++) {
        assert_true(codes[i] <= 0);
        assert_true(strlen(argosy_strerror(codes[i])) > 0);
        assert_string_not_equal(argosy_strerror(codes[i]), argosy_strerror(12345));
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(codes[i], codes[j]);
            assert_string_not_equal(argosy_strerror(codes[i]), argosy_strerror(codes[j]));
        }
    }
    assert_string_equal(argosy_strerror(12345), "unknown error");
    assert_string_equal(argosy_strerror(-12345), "unknown error");
}

static void a_failure_is_one_line_with_or_without_a_detail(void **state)
{
    struct argosy_error err = {0};

    (void)state;
    assert_fails(ag_fail(&err, ARGOSY_EINVAL, "'%s' is not %d", "x", 3), ARGOSY_EINVAL);
    assert_int_equal(err.code, ARGOSY_EINVAL);
    assert_string_equal(err.message, "'x' is not 3");
    assert_fails(ag_fail(NULL, ARGOSY_EIO, "%s", "nobody reads this"), ARGOSY_EIO);
    assert_fails(ag_fail_in(NULL, ARGOSY_EIO, "%s", "nor this"), ARGOSY_EIO);
}

static void who_knows_more_puts_it_in_front(void **state)
{
    struct argosy_error err = {0};

    (void)state;
    ag_fail(&err, ARGOSY_EIO, "disk full");
    assert_fails(ag_fail_in(&err, ARGOSY_EINVAL, "file '%s'", "a"), ARGOSY_EIO);
    assert_fails(ag_fail_in(&err, ARGOSY_EINVAL, "store"), ARGOSY_EIO);
    assert_int_equal(err.code, ARGOSY_EIO);
    assert_string_equal(err.message, "store: file 'a': disk full");
}

static void a_context_without_a_detail_says_what_the_code_means(void **state)
{
    struct argosy_error err = {0};

    (void)state;
    assert_fails(ag_fail_in(&err, ARGOSY_ENOMEM, "store"), ARGOSY_ENOMEM);
    assert_int_equal(err.code, ARGOSY_ENOMEM);
    assert_string_equal(err.message, "store: out of memory");
}

static void what_is_too_long_loses_its_tail(void **state)
{
    struct argosy_error err = {0};
    char text[400];

    (void)state;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    ag_fail(&err, ARGOSY_EIO, "%s", text);
    assert_int_equal(strlen(err.message), MESSAGE_MAX);
    ag_fail_in(&err, ARGOSY_EIO, "where");
    assert_int_equal(strlen(err.message), MESSAGE_MAX);
    assert_memory_equal(err.message, "where: xxx", 10);
    ag_fail_in(&err, ARGOSY_EIO, "%s", text); /* no room for what was there */
    assert_int_equal(strlen(err.message), MESSAGE_MAX);
    assert_memory_equal(err.message, text, MESSAGE_MAX);
}

static bool is_text(const struct argosy_error *err)
{
    return ag_is_utf8(ag_bytes_of_text(err->message));
}

/* Messages travel as texts, and half a character would make the frame malformed. */
static void a_cut_never_leaves_half_a_character(void **state)
{
    static const char *const characters[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};

    (void)state;
    for (size_t c = 0; c < 4; c++)
        for (size_t ahead = 0; ahead < 5; ahead++) {
            size_t width = strlen(characters[c]), count = MESSAGE_MAX / width + 2;
            struct argosy_error err = {0};
            char text[1200] = "12345";

            text[ahead] = '\0';
            for (size_t i = 0; i < count; i++)
                memcpy(text + ahead + i * width, characters[c], width + 1);
            ag_fail(&err, ARGOSY_EIO, "%s", text);
            assert_true(is_text(&err));
            assert_int_equal(strlen(err.message),
                             MESSAGE_MAX - (MESSAGE_MAX - ahead) % width); /* and not more */
            ag_fail_in(&err, ARGOSY_EIO, "in");
            assert_true(is_text(&err));
            ag_fail_in(&err, ARGOSY_EIO, "%s", text);
            assert_true(is_text(&err));
        }
}

static void what_is_not_cut_is_left_alone(void **state)
{
    struct argosy_error err = {0};

    (void)state;
    ag_fail(&err, ARGOSY_EIO, "%s", "");
    assert_string_equal(err.message, "");
    ag_fail(&err, ARGOSY_EIO, "%s", "caf\xc3\xa9");
    assert_string_equal(err.message, "caf\xc3\xa9");
    ag_fail(&err, ARGOSY_EIO, "%s", "\x80\x80\x80\x80"); /* never was a text */
    assert_string_equal(err.message, "\x80\x80\x80\x80");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_sentence_of_its_own),
        cmocka_unit_test(a_failure_is_one_line_with_or_without_a_detail),
        cmocka_unit_test(who_knows_more_puts_it_in_front),
        cmocka_unit_test(a_context_without_a_detail_says_what_the_code_means),
        cmocka_unit_test(what_is_too_long_loses_its_tail),
        cmocka_unit_test(a_cut_never_leaves_half_a_character),
        cmocka_unit_test(what_is_not_cut_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
