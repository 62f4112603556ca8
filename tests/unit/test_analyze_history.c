/* A repository's past: the numbers of git itself, over repositories of chance. */
#include "tests/unit/cmocka_prelude.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/git_stage.h"
#include "worker/analyze/names.h"

void task_finish(struct task *task)
{
    (void)task;
    fail_msg("analyze_run() has no task");
}

#define TEXT(literal) literal, sizeof literal - 1

static json_t *history_of(const char *repository, const char *json)
{
    json_t *result = stage_result(repository, NULL, json);
    json_t *history = json_incref(json_object_get(result, "history"));

    assert_true(json_is_object(history));
    json_decref(result);
    return history;
}

static json_int_t number(const json_t *json, const char *key)
{
    return json_integer_value(json_object_get(json, key));
}

static const char *text(const json_t *json, const char *key)
{
    return json_string_value(json_object_get(json, key));
}

static json_int_t ask_number(const char *command)
{
    char *answer = stage_ask("%s", command);
    json_int_t value = atoll(answer);

    free(answer);
    return value;
}

#define NUMSTAT "git -C r log --no-renames --numstat --format= HEAD"

static void assert_sums(const json_t *history)
{
    assert_int_equal(number(history, "commits"), ask_number("git -C r rev-list --count HEAD"));
    assert_int_equal(number(history, "merges"),
                     ask_number("git -C r rev-list --merges --count HEAD"));
    assert_int_equal(number(history, "added"),
                     ask_number(NUMSTAT " | awk '{ n += $1 } END { print n + 0 }'"));
    assert_int_equal(number(history, "deleted"),
                     ask_number(NUMSTAT " | awk '{ n += $2 } END { print n + 0 }'"));
    assert_int_equal(number(history, "authors"),
                     ask_number("git -C r shortlog -se --no-merges HEAD | wc -l"));
}

/* Each row as git tells it of that path. */
static void assert_hot_spots(const json_t *history)
{
    const json_t *rows = json_object_get(history, "hot_spots"), *row;
    json_int_t before = INT64_MAX;
    size_t i;

    assert_true(json_array_size(rows) > 3);
    json_array_foreach(rows, i, row)
    {
        char *told = stage_ask(NUMSTAT " | awk -F'\\t' '$3 == \"%s\" { n++; a += $1; d += $2 } END "
                                       "{ printf \"%%d %%d %%d\", n, a, d }'",
                               text(row, "path"));
        char ours[96];

        snprintf(ours, sizeof ours, "%lld %lld %lld", (long long)number(row, "commits"),
                 (long long)number(row, "added"), (long long)number(row, "deleted"));
        if (strcmp(told, ours) != 0)
            fail_msg("%s: git %s, we %s", text(row, "path"), told, ours);
        assert_true(number(row, "commits") <= before);
        before = number(row, "commits");
        free(told);
    }
}

static void assert_authors(const json_t *history)
{
    const json_t *rows = json_object_get(history, "top_authors"), *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        char *told = stage_ask("git -C r shortlog -nse --no-merges HEAD | grep -F '%s <%s>'",
                               text(row, "name"), text(row, "email"));

        assert_int_equal(atoll(told), number(row, "commits"));
        free(told);
    }
}

static void numbers_are_those_of_git(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 6; seed++) {
        json_t *history;

        stage_make_repository("r", seed * 11, 40);
        history = history_of("r", "{\"history\":true}");
        assert_sums(history);
        assert_hot_spots(history);
        assert_authors(history);
        json_decref(history);
        stage_run("rm -rf r");
    }
}

static void a_mailmap_makes_two_names_one_person(void **state)
{
    json_t *history, *top;

    (void)state;
    stage_make_repository("r", 3, 30);
    stage_put("r/.mailmap",
              TEXT("# x\nOne <one@x> <P0@x>\nOne <one@x> <p1@x>\nOne <p1@x>\n broken\n"
                   "Two <p2@x> p2\n<two@x> p2 <p2@x>\n"));
    stage_run("cd r && git checkout -qf main && git add .mailmap && git commit -qm map");
    history = history_of("r", "{\"rev\":\"main\",\"history\":true}");
    assert_sums(history);
    assert_authors(history);
    top = json_array_get(json_object_get(history, "top_authors"), 0);
    assert_string_equal(text(top, "name"), "One");
    assert_string_equal(text(top, "email"), "one@x");
    json_decref(history);
    /* It is that of the revision. */
    history = history_of("r", "{\"rev\":\"main~1\",\"history\":true}");
    top = json_array_get(json_object_get(history, "top_authors"), 0);
    assert_string_not_equal(text(top, "name"), "One");
    json_decref(history);
}

/* 1000, 433, 343, 332, 202, 90, 42 and 33: the example of the definition, in tenths. */
static void the_bus_factor_is_that_of_the_definition(void **state)
{
    static const unsigned commits[] = {100, 20, 9, 3, 33, 34, 4, 43};
    char path[128];
    unsigned mark = 0;
    json_t *history;
    FILE *out;

    (void)state;
    snprintf(path, sizeof path, "%s/stream", stage_folder);
    out = fopen(path, "w");
    assert_non_null(out);
    for (unsigned who = 0; who < 8; who++)
        for (unsigned i = 0; i < commits[who]; i++, mark++)
            fprintf(out,
                    "commit refs/heads/main\ncommitter P%u <p%u@x> %u +0000\ndata 1\nm\n"
                    "M 644 inline a.c\ndata <<X\n%u\nX\n\n",
                    who, who, 1000000000 + mark, mark);
    fclose(out);
    stage_run("git init -q -b main r && git -C r fast-import --quiet < stream");
    history = history_of("r", "{\"history\":true}");
    assert_int_equal(number(history, "commits"), 246);
    assert_int_equal(number(history, "bus_factor"), 2);
    assert_string_equal(text(history, "first"), "2001-09-09T01:46:40Z");
    json_decref(history);
}

static void exactly_half_of_the_commits_is_enough(void **state)
{
    json_t *history;

    (void)state;
    stage_run("git init -q -b main r && cd r && for i in 1 2 3 4; do echo $i >> a.c; git add .; "
              "git commit -qm $i --author \"P$((i %% 2)) <p@x>\"; done");
    history = history_of("r", "{\"history\":true}");
    assert_int_equal(number(history, "authors"), 2);
    assert_int_equal(number(history, "bus_factor"), 1);
    json_decref(history);
}

static void files_are_as_old_as_their_last_change(void **state)
{
    static const unsigned days[] = {0, 29, 30, 400, 3000};
    const json_t *age, *rows;
    json_t *history;

    (void)state;
    stage_run("git init -q -b main r");
    for (int i = 4; i >= 0; i--)
        stage_run("cd r && echo %u > f%d.c && git add . && export GIT_COMMITTER_DATE='%u +0000' && "
                  "git commit -qm x",
                  days[i], i, 1500000000 - days[i] * 86400);
    stage_run("cd r && git rm -q f2.c && export GIT_COMMITTER_DATE='1500000000 +0000' && "
              "git commit -qm gone");
    history = history_of("r", "{\"history\":true}");
    age = json_object_get(history, "age");
    rows = json_object_get(age, "files");
    assert_int_equal(json_array_size(rows), 6);
    assert_int_equal(number(json_array_get(rows, 0), "files"), 2);
    assert_int_equal(number(json_array_get(rows, 1), "files"), 0);
    assert_int_equal(number(json_array_get(rows, 3), "files"), 1);
    assert_int_equal(number(json_array_get(rows, 5), "files"), 1);
    assert_int_equal(number(age, "median_days"), 29);
    assert_int_equal(number(age, "unknown"), 0);
    assert_int_equal(json_array_size(json_object_get(history, "hot_spots")), 4);
    json_decref(history);
}

static void a_shallow_clone_ends_where_it_ends(void **state)
{
    json_t *history;

    (void)state;
    stage_make_repository("o", 8, 20);
    stage_run("git clone -q --depth 4 \"file://$PWD/o\" r");
    history = history_of("r", "{\"history\":true}");
    assert_sums(history);
    json_decref(history);
}

static void a_commit_that_is_missing_is_a_leaf(void **state)
{
    struct outcome outcome;
    json_t *error, *leaf, *result;

    (void)state;
    stage_run("git init -q -b main r && cd r && for i in 1 2 3 4; do echo $i >> a.c; git add .; "
              "git commit -qm $i; done; rm -f $(git rev-parse HEAD~2 | sed "
              "'s,^..,.git/objects/&/,')");
    outcome = stage_analyze("r", "cache", "{\"history\":true}");
    assert_true(outcome.succeeded);
    error = stage_json(&outcome.error);
    leaf = json_array_get(json_object_get(error, "errors"), 0);
    assert_string_equal(text(leaf, "type"), "analyze.git");
    assert_int_equal(strlen(text(leaf, "subject")), 40);
    assert_int_equal(json_array_size(json_object_get(error, "errors")), 1);
    result = stage_json(&outcome.result);
    assert_int_equal(stage_number(result, "history", "commits"), 2);
    assert_int_equal(stage_number(result, "history", "added"), 1);
    json_decref(result);
    json_decref(error);
    outcome_fini(&outcome);
}

/* Commits as no git writes them: each is read, or a leaf; nothing is read that is not there. */
static void made_up_commits_are_read_or_refused(void **state)
{
    static const char *const parts[] = {
        "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\\n",
        "tree 4b825dc642cb6eb9a060e54bf8d69288fbee490\\n",
        "parent 4b825dc642cb6eb9a060e54bf8d69288fbee4904\\n",
        "author A <a@x> 1 +0000\\n",
        "author <><<>\\n",
        "author A a@x> 99999999999999999999999999 +0000\\n",
        "committer C <c@x> -5 +0000\\n",
        "committer",
        "\\nmessage\\n",
    };
    unsigned seed = 3;

    (void)state;
    stage_run("git init -q -b main r && git -C r hash-object -t tree -w /dev/null > /dev/null");
    for (int round = 0; round < 60; round++) {
        char body[1024] = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\\n";
        struct outcome outcome;

        for (int i = 0; i < 5; i++) {
            seed = seed * 1103515245 + 12345;
            strcat(body, parts[(seed >> 16) % 9]);
        }
        stage_run("cd r && printf '%s' > ../body && "
                  "git hash-object --literally -t commit -w ../body > .git/refs/heads/main",
                  body);
        outcome = stage_analyze("r", NULL, "{\"history\":true}");
        if (!outcome.succeeded)
            assert_string_equal(outcome.type, "analyze.git");
        outcome_fini(&outcome);
    }
}

static void names_get_numbers_without_gaps(void **state)
{
    names_t *names = names_new(99);
    char name[32];

    (void)state;
    for (uint32_t i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "%*u", (int)(i % 17), i);
        assert_int_equal(names_put(names, ag_bytes_of_text(name)), i);
        assert_int_equal(names_put(names, ag_bytes_of_text(name)), i);
    }
    for (uint32_t i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "%*u", (int)(i % 17), i);
        assert_int_equal(names_find(names, ag_bytes_of_text(name)), i);
        assert_string_equal((const char *)names_at(names, i).data, name);
    }
    assert_int_equal(names_find(names, ag_bytes_of_text("none")), NAMES_NONE);
    assert_int_equal(names_count(names), 20000);
    names_destroy(&names);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_set_up, stage_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(numbers_are_those_of_git),
        TEST(a_mailmap_makes_two_names_one_person),
        TEST(the_bus_factor_is_that_of_the_definition),
        TEST(exactly_half_of_the_commits_is_enough),
        TEST(files_are_as_old_as_their_last_change),
        TEST(a_shallow_clone_ends_where_it_ends),
        TEST(a_commit_that_is_missing_is_a_leaf),
        TEST(made_up_commits_are_read_or_refused),
        cmocka_unit_test(names_get_numbers_without_gaps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
