/* Options: every row of the table, every source, every kind of wrong value. */
#include "tests/unit/cmocka_prelude.h"

#include <stdlib.h>
#include <string.h>

#include "common/options.h"

static struct argosy_error err;

/* Read a command line; words are separated by blanks. */
static ag_options_t *read_line(enum ag_command command, const char *line, ag_config_reader *file)
{
    static char copy[1024];
    static char *argv[32];
    ag_options_t *options;
    int argc = 1;

    err = (struct argosy_error){0};
    snprintf(copy, sizeof copy, "%s", line);
    argv[0] = (char *)"argosy";
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    ag_options_new(&options, command, argc, argv, file, &err);
    return options;
}

static void assert_wrong(enum ag_command command, const char *line, const char *message)
{
    ag_options_t *options = read_line(command, line, NULL);

    if (options != NULL || strcmp(err.message, message) != 0)
        fail_msg("%s: expected '%s', got '%s'", line, message, err.message);
}

static int play_file(const char *path, ag_config_take *take, void *arg, struct argosy_error *error)
{
    static const struct ag_config_entry entries[] = {
        {"f.zpl", 1, NULL, "retries", "1"},         {"f.zpl", 2, NULL, "timeout", "10s"},
        {"f.zpl", 4, "fetch", "timeout", "20s"},    {"f.zpl", 5, "analyze", "by", "dir"},
        {"f.zpl", 6, "worker", "slots", "fetch=7"},
    };

    (void)path;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        int rc = take(arg, &entries[i], error);

        if (rc < 0)
            return rc;
    }
    return 0;
}

static int play_wrong_key(const char *path, ag_config_take *take, void *arg,
                          struct argosy_error *error)
{
    struct ag_config_entry entry = {path, 3, NULL, "retires", "5"};

    return take(arg, &entry, error);
}

static void defaults_are_there_without_a_word(void **state)
{
    ag_options_t *options = read_line(AG_COMMAND_FETCH, "http://x/", NULL);
    struct ag_retry_policy retry;

    (void)state;
    assert_non_null(options);
    assert_int_equal(ag_options_ms(options, AG_OPT_FETCH_TIMEOUT), 60000);
    assert_int_equal(ag_options_bytes(options, AG_OPT_MAX_SIZE), 1 << 30);
    assert_true(ag_options_is(options, AG_OPT_POLICY, "gather"));
    assert_false(ag_options_given(options, AG_OPT_POLICY));
    assert_null(ag_options_text(options, AG_OPT_GROUP));
    ag_options_retry(options, &retry);
    assert_int_equal(retry.retry.attempts, 3);
    ag_options_destroy(&options);
}

static void options_stand_before_and_behind_operands(void **state)
{
    ag_options_t *options =
        read_line(AG_COMMAND_FETCH,
                  "a --timeout=5s b -H X:1 --json -H Y:2 --detach=no -- --not-an-option", NULL);
    size_t count;
    const char *const *headers;

    (void)state;
    assert_non_null(options);
    assert_int_equal(ag_options_operand_count(options), 3);
    assert_string_equal(ag_options_operands(options)[2], "--not-an-option");
    assert_int_equal(ag_options_ms(options, AG_OPT_FETCH_TIMEOUT), 5000);
    headers = ag_options_list(options, AG_OPT_HEADER, &count);
    assert_int_equal(count, 2);
    assert_string_equal(headers[1], "Y:2");
    assert_true(ag_options_flag(options, AG_OPT_JSON));
    assert_false(ag_options_flag(options, AG_OPT_DETACH));
    ag_options_destroy(&options);
}

static void run_has_the_options_of_its_kind(void **state)
{
    ag_options_t *options = read_line(AG_COMMAND_RUN, "--workers 3 --by file analyze /x", NULL);

    (void)state;
    assert_non_null(options);
    assert_int_equal(ag_options_whole(options, AG_OPT_WORKERS), 3);
    assert_true(ag_options_is(options, AG_OPT_BY, "file"));
    assert_string_equal(ag_options_operands(options)[1], "/x");
    ag_options_destroy(&options);
    assert_wrong(AG_COMMAND_RUN, "analyze --head /x",
                 "argosy run: unknown option --head; did you mean --help?");
    assert_null(read_line(AG_COMMAND_RUN, "fetch --connect tcp://x:1 y", NULL));
    assert_non_null(strstr(err.message, "unknown option --connect"));
}

static void the_stronger_source_wins(void **state)
{
    ag_options_t *options;

    (void)state;
    options = read_line(AG_COMMAND_FETCH, "x", play_file);
    assert_int_equal(ag_options_ms(options, AG_OPT_FETCH_TIMEOUT), 20000); /* the section */
    assert_string_equal(ag_options_where(options, AG_OPT_FETCH_TIMEOUT), "f.zpl:4: timeout");
    ag_options_destroy(&options);
    setenv("ARGOSY_TIMEOUT", "30s", 1);
    options = read_line(AG_COMMAND_FETCH, "x", play_file);
    assert_int_equal(ag_options_ms(options, AG_OPT_FETCH_TIMEOUT), 30000);
    ag_options_destroy(&options);
    options = read_line(AG_COMMAND_FETCH, "x --timeout 40s", play_file);
    assert_int_equal(ag_options_ms(options, AG_OPT_FETCH_TIMEOUT), 40000);
    ag_options_destroy(&options);
    setenv("ARGOSY_TIMEOUT", "soon", 1);
    assert_null(read_line(AG_COMMAND_FETCH, "x --timeout 40s", play_file));
    assert_non_null(strstr(err.message, "ARGOSY_TIMEOUT: 'soon'"));
    unsetenv("ARGOSY_TIMEOUT");
}

static void retries_are_short_for_a_part_of_retry(void **state)
{
    static const struct {
        const char *line;
        uint32_t attempts, base_ms;
    } cases[] = {
        {"x --retries 0", 1, 1000},
        {"x --retries 4 --retry base=5ms", 5, 5},
        {"x --retry attempts=7,base=2s", 7, 2000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ag_options_t *options = read_line(AG_COMMAND_FETCH, cases[i].line, NULL);
        struct ag_retry_policy retry;

        assert_non_null(options);
        ag_options_retry(options, &retry);
        assert_int_equal(retry.retry.attempts, cases[i].attempts);
        assert_int_equal(retry.retry.base_ms, cases[i].base_ms);
        ag_options_destroy(&options);
    }
}

static void counts_that_are_not_named_keep_their_default(void **state)
{
    ag_options_t *options = read_line(AG_COMMAND_WORKER, "--slots fetch=9", NULL);
    uint32_t count;

    (void)state;
    assert_true(ag_options_count(options, AG_OPT_SLOTS, "fetch", &count));
    assert_int_equal(count, 9);
    assert_true(ag_options_count(options, AG_OPT_SLOTS, "analyze", &count));
    assert_int_equal(count, 2);
    assert_false(ag_options_count(options, AG_OPT_SLOTS, "cook", &count));
    ag_options_destroy(&options);
}

static void wrong_values_say_what_was_expected(void **state)
{
    (void)state;
    assert_wrong(AG_COMMAND_FETCH, "--retries many x",
                 "argosy fetch: --retries: 'many' is not a whole number (0-99)");
    assert_wrong(AG_COMMAND_FETCH, "--policy rake x",
                 "argosy fetch: --policy: 'rake' is none of gather|taskgroup|race");
    assert_wrong(AG_COMMAND_FETCH, "--retires 3 x",
                 "argosy fetch: unknown option --retires; did you mean --retries?");
    assert_wrong(AG_COMMAND_FETCH, "--json=perhaps x",
                 "argosy fetch: --json: 'perhaps' is neither yes nor no");
    assert_wrong(AG_COMMAND_FETCH, "x --timeout", "argosy fetch: --timeout needs a value");
    assert_wrong(AG_COMMAND_STATUS, "extra", "argosy status: unexpected operand 'extra'");
    assert_wrong(AG_COMMAND_WAIT, "", "argosy wait: ID... is missing; --help tells more");
    assert_null(read_line(AG_COMMAND_FETCH, "x", play_wrong_key));
    assert_non_null(strstr(err.message, ":3: unknown key 'retires'; did you mean 'retries'?"));
}

/* All of the table: names are unique in each command, defaults are valid, values are refused. */
static void every_row_holds_what_it_promises(void **state)
{
    (void)state;
    for (int command = 0; command < AG_COMMAND_COUNT; command++) {
        uint64_t bits = ag_command_bits((enum ag_command)command, NULL);

        for (int a = 0; a < AG_OPTION_COUNT; a++) {
            const struct ag_option_row *one = ag_option_row((enum ag_option)a);

            assert_true(one->min <= one->max);
            assert_true(strlen(one->help) > 10);
            assert_true(one->type == AG_TYPE_FLAG || one->placeholder[0] != '\0');
            for (int b = a + 1; b < AG_OPTION_COUNT; b++) {
                const struct ag_option_row *other = ag_option_row((enum ag_option)b);

                if (!ag_option_belongs(one, bits) || !ag_option_belongs(other, bits))
                    continue;
                assert_string_not_equal(one->name, other->name);
                assert_true(one->letter == 0 || one->letter != other->letter);
            }
        }
    }
}

static void every_command_has_help_and_a_manual(void **state)
{
    (void)state;
    for (int command = 0; command < AG_COMMAND_COUNT; command++) {
        uint64_t bits = ag_command_bits((enum ag_command)command, NULL);
        char *text = NULL;
        size_t size;
        FILE *memory = open_memstream(&text, &size);

        ag_options_print_help((enum ag_command)command, bits, memory);
        ag_options_print_man(bits, memory);
        fclose(memory);
        assert_non_null(strstr(text, "--help"));
        assert_non_null(strstr(text, "*--help*"));
        free(text);
    }
}

static void words_that_are_alike_are_near(void **state)
{
    (void)state;
    assert_int_equal(ag_word_distance("retires", "retries"), 1);
    assert_int_equal(ag_word_distance("", "abc"), 3);
    assert_int_equal(ag_word_distance("kitten", "sitting"), 3);
    assert_true(ag_word_is_near(1, "retires"));
    assert_false(ag_word_is_near(5, "retires"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_there_without_a_word),
        cmocka_unit_test(options_stand_before_and_behind_operands),
        cmocka_unit_test(run_has_the_options_of_its_kind),
        cmocka_unit_test(the_stronger_source_wins),
        cmocka_unit_test(retries_are_short_for_a_part_of_retry),
        cmocka_unit_test(counts_that_are_not_named_keep_their_default),
        cmocka_unit_test(wrong_values_say_what_was_expected),
        cmocka_unit_test(every_row_holds_what_it_promises),
        cmocka_unit_test(every_command_has_help_and_a_manual),
        cmocka_unit_test(words_that_are_alike_are_near),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
