/* However many shards a source is split into, and however many threads walk it, the answer is, byte
 * for byte, what one thread tells. */
#include "tests/unit/cmocka_prelude.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/proto.h"
#include "tests/unit/git_stage.h"

void task_finish(struct task *task)
{
    (void)task;
    fail_msg("analyze_run() has no task");
}

static const unsigned splits[] = {1, 2, 3, 8, 64};

static void add_input(struct ag_buffer *inputs, struct ag_bytes result)
{
    const struct proto_input input = {
        .kind = ag_bytes_of_text("analyze"), .state = PROTO_JOB_SUCCEEDED, .result = result};

    ag_proto_append_input(inputs, &input);
}

/* `json` is a payload without its last brace. */
static struct outcome shard(const char *path, const char *cache, const char *json, unsigned index,
                            unsigned of)
{
    char payload[512];

    snprintf(payload, sizeof payload, "%s,\"shard\":[%u,%u]}", json, index, of);
    return stage_analyze(path, cache, payload);
}

static struct outcome merge(const char *path, const char *json, const struct ag_buffer *inputs)
{
    char payload[512];

    snprintf(payload, sizeof payload, "%s,\"merge\":true}", json);
    return stage_analyze_inputs(path, NULL, payload, ag_buffer_bytes(inputs));
}

static struct outcome in_shards(const char *path, const char *cache, const char *json, unsigned of)
{
    struct ag_buffer inputs = ag_buffer_empty(AG_INPUTS_BYTES_MAX);
    struct outcome outcome;

    for (unsigned i = of; i-- > 0;) { /* in whatever order they end */
        outcome = shard(path, cache, json, i, of);
        assert_true(outcome.succeeded);
        assert_int_equal(outcome.error.size, 0);
        add_input(&inputs, ag_buffer_bytes(&outcome.result));
        outcome_fini(&outcome);
    }
    outcome = merge(path, json, &inputs);
    ag_buffer_free(&inputs);
    return outcome;
}

static void assert_same_bytes(const struct ag_buffer *a, const struct ag_buffer *b)
{
    assert_int_equal(a->size, b->size);
    if (a->size > 0)
        assert_memory_equal(a->data, b->data, a->size);
}

/* In any number of shards it is the same. Returns how many files there are. */
static json_int_t assert_splits(const char *path, const char *cache, const char *json)
{
    char payload[512];
    struct outcome whole, merged;
    json_t *result;
    json_int_t files;

    snprintf(payload, sizeof payload, "%s}", json);
    whole = stage_analyze(path, cache, payload);
    assert_true(whole.succeeded);
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
        merged = in_shards(path, cache, json, splits[i]);
        if (!merged.succeeded)
            fail_msg("%s in %u: %s", json, splits[i],
                     json_dumps(stage_json(&merged.error), JSON_COMPACT));
        assert_same_bytes(&whole.result, &merged.result);
        assert_same_bytes(&whole.error, &merged.error);
        outcome_fini(&merged);
    }
    result = stage_json(&whole.result);
    files = stage_number(result, "totals", "files");
    json_decref(result);
    outcome_fini(&whole);
    return files;
}

/* Files of many languages, with parts, duplicates, licences, marks, all sorts of ends. */
static void make_tree(const char *name)
{
    stage_run(
        "mkdir -p %s/sub/deep %s/node_modules && cd %s && for i in $(seq 150); do "
        "printf '// SPDX-License-Identifier: LicenseRef-%%d\\nint a%%d;\\n/* TODO */\\n' $i $i"
        " >f$i.c; printf 'x = %%d\\r\\n# FIXME\\n\\n' $i >sub/f$i.py; "
        "printf '<p>\\n<script>\\nlet a = %%d;\\n</script>\\n' $i >sub/deep/f$i.html; done; "
        "for i in 1 2 3; do cp f1.c sub/copy$i.c; cp f2.c sub/deep/again$i.c; done; "
        "seq 20000 >sub/large.txt; seq 9000 | sed 's/$/;/' >sub/long.js; touch sub/empty.py; "
        "printf 'int a;' >open.c; printf '\\377\\376i\\0;\\0' >wide.c; printf '\\351\\n' >l.c; "
        "printf '\\0\\0' >sub/b.c; printf '/* DO NOT EDIT */\\n' >g.c; "
        "touch node_modules/v.js sub/photo.png sub/strange; ln -s f1.c link.c; "
        "printf 'MIT License\\n' >LICENSE; printf 'no licence\\n' >sub/COPYING; "
        "truncate -s 65M huge.c",
        name, name, name);
}

static void a_directory(void **state)
{
    (void)state;
    make_tree("tree");
    assert_int_equal(assert_splits("tree", NULL, "{\"by\":\"language\""), 464);
    assert_int_equal(assert_splits("tree", NULL, "{\"by\":\"file\""), 464);
    assert_int_equal(assert_splits("tree", NULL, "{\"by\":\"dir\""), 464);
    assert_int_equal(assert_splits("tree", NULL, "{\"by\":\"dir\",\"exclude\":[\"sub\"]"), 154);
    stage_run("printf 'sub/deep\\n*.py\\n' >tree/.gitignore");
    assert_int_equal(assert_splits("tree", NULL, "{\"by\":\"dir\",\"gitignore\":true"), 161);
    assert_int_equal(assert_splits("tree/f1.c", NULL, "{\"by\":\"file\""), 1);
}

static void an_archive_is_not_split(void **state)
{
    struct outcome outcome;
    json_t *result;

    (void)state;
    make_tree("tree");
    stage_run("tar czf tree.tar.gz --exclude huge.c tree");
    assert_int_equal(assert_splits("tree.tar.gz", NULL, "{\"by\":\"file\""), 464);
    outcome = shard("tree.tar.gz", NULL, "{\"by\":\"file\"", 1, 2);
    result = stage_json(&outcome.result);
    assert_int_equal(stage_number(result, "totals", "files"), 0);
    json_decref(result);
    outcome_fini(&outcome);
}

/* Also with what is remembered: of the whole by shards, of shards by the whole, of shards by other
 * ones. */
static void a_repository(void **state)
{
    (void)state;
    stage_make_repository("r", 7, 40);
    assert_true(assert_splits("r", NULL, "{\"by\":\"file\",\"rev\":\"HEAD\"") > 3);
    assert_true(assert_splits("r", "cache", "{\"by\":\"file\",\"rev\":\"HEAD\"") > 3);
    outcome_fini(&(struct outcome[]){in_shards("r", "cache2", "{\"rev\":\"HEAD~1\"", 3)}[0]);
    assert_true(assert_splits("r", "cache2", "{\"by\":\"dir\",\"rev\":\"HEAD~1\"") > 3);
    assert_true(assert_splits("r", NULL, "{\"by\":\"language\",\"history\":true") > 3);
}

static void shards_share_the_work(void **state)
{
    json_int_t files[8];

    (void)state;
    make_tree("tree");
    for (unsigned i = 0; i < 8; i++) {
        struct outcome outcome = shard("tree", NULL, "{\"by\":\"language\"", i, 8);
        json_t *result = stage_json(&outcome.result);

        files[i] = stage_number(result, "totals", "files");
        assert_in_range(files[i], 1, 464 / 2);
        json_decref(result);
        outcome_fini(&outcome);
    }
}

/* Each is told once, whichever shard has met it. */
static void what_cannot_be_read_is_told_once(void **state)
{
    (void)state;
    stage_make_repository("r", 9, 20);
    stage_run("cd r && for i in $(seq 200); do echo \"int a$i;\" >lost$i.c; done && git add . && "
              "git commit -qm lost && git rev-parse HEAD:lost7.c HEAD:lost8.c HEAD:lost90.c | "
              "sed 's,^..,.git/objects/&/,' | xargs rm -f");
    assert_true(assert_splits("r", NULL, "{\"by\":\"file\",\"rev\":\"HEAD\"") >= 197);
    stage_run("cd r && git ls-tree HEAD | grep lost | sed 's,.*blob ,,; s,\t.*,,; "
              "s,^..,.git/objects/&/,' | xargs rm -f");
    assert_int_equal(assert_splits("r", NULL, "{\"by\":\"file\",\"rev\":\"HEAD\""), 0);
}

static void assert_refused(const char *json, const struct ag_buffer *inputs, const char *says)
{
    struct outcome outcome = merge("tree", json, inputs);
    json_t *error = stage_json(&outcome.error);

    assert_false(outcome.succeeded);
    assert_string_equal(outcome.type, "analyze.shards");
    if (strstr(json_string_value(json_object_get(error, "message")), says) == NULL)
        fail_msg("%s", json_string_value(json_object_get(error, "message")));
    json_decref(error);
    outcome_fini(&outcome);
}

static void add_shard(struct ag_buffer *inputs, const char *path, const char *json, unsigned index,
                      unsigned of)
{
    struct outcome outcome = shard(path, NULL, json, index, of);

    assert_true(outcome.succeeded);
    add_input(inputs, ag_buffer_bytes(&outcome.result));
    outcome_fini(&outcome);
}

static void parts_that_do_not_belong_together_are_refused(void **state)
{
    static const char by[] = "{\"by\":\"language\"", head[] = "{\"rev\":\"HEAD\"",
                      older[] = "{\"rev\":\"HEAD~1\"";
    struct ag_buffer inputs = ag_buffer_empty(1 << 20);

    (void)state;
    make_tree("tree");
    stage_make_repository("r", 3, 5);
    assert_refused(by, &inputs, "0 of 0 shards");
    add_shard(&inputs, "tree", by, 0, 3);
    add_shard(&inputs, "tree", by, 2, 3);
    assert_refused(by, &inputs, "2 of 3 shards");
    assert_refused("{\"by\":\"file\"", &inputs, "asked 'by' something else");
    add_shard(&inputs, "tree", by, 2, 3);
    assert_refused(by, &inputs, "shard 2 of 3 does not belong");
    ag_buffer_clear(&inputs);
    add_shard(&inputs, "tree", by, 0, 2);
    add_shard(&inputs, "tree", by, 1, 3);
    assert_refused(by, &inputs, "shard 1 of 3 does not belong");
    ag_buffer_clear(&inputs);
    add_shard(&inputs, "r", head, 0, 2);
    add_shard(&inputs, "r", older, 1, 2);
    assert_refused(by, &inputs, "the shards saw different things");
    ag_buffer_clear(&inputs);
    add_input(&inputs, ag_bytes_of("\x81\xa1x\x01", 4));
    assert_refused(by, &inputs, "not the result of a shard");
    ag_buffer_clear(&inputs);
    add_input(&inputs, (struct ag_bytes){0});
    assert_refused(by, &inputs, "damaged");
    ag_buffer_free(&inputs);
}

/* A worker is not brought down by what another one has sent. */
static void damaged_parts_do_no_harm(void **state)
{
    struct outcome part;
    unsigned merged = 0;

    (void)state;
    make_tree("tree");
    part = shard("tree", NULL, "{\"by\":\"file\",\"exclude\":[\"f??*\",\"f?.py\"]", 0, 1);
    assert_true(part.succeeded);
    for (size_t i = 0; i < part.result.size; i++) {
        struct ag_buffer inputs = ag_buffer_empty(1 << 20);
        uint8_t kept = part.result.data[i];
        struct outcome outcome;

        part.result.data[i] = (uint8_t)(kept ^ (1 + i * 37 % 255));
        add_input(&inputs,
                  i % 2 == 0 ? ag_buffer_bytes(&part.result) : ag_bytes_of(part.result.data, i));
        outcome = merge("tree", "{\"by\":\"file\"", &inputs);
        merged += outcome.succeeded;
        if (!outcome.succeeded)
            assert_string_equal(outcome.type, "analyze.shards");
        part.result.data[i] = kept;
        outcome_fini(&outcome);
        ag_buffer_free(&inputs);
    }
    assert_true(merged < part.result.size); /* a changed digit is a digit */
    outcome_fini(&part);
}

/* ---- several threads in one job
 * -------------------------------------------------------------------------------------------- */

/* Directories beside and inside each other, so that there is something to give away at any time. */
static void make_many_folders(void)
{
    stage_run("for i in $(seq 60); do for d in w/$i w/$i/a w/$i/a/b; do mkdir -p $d; "
              "printf 'int a%%d;\n/* TODO */\n' $i >$d/x.c; cp $d/x.c $d/twin.c; "
              "printf '// SPDX-License-Identifier: L%%d\nint b;' $i >$d/$i.c; "
              "touch $d/photo.png; done; ln -s a w/$i/link; done");
}

static void helpers_change_nothing(void **state)
{
    static const char *const asked[] = {
        "{\"by\":\"language\"}", "{\"by\":\"file\"}", "{\"by\":\"dir\",\"exclude\":[\"7\"]}",
        "{\"by\":\"file\",\"shard\":[1,3]}", "{\"by\":\"file\",\"gitignore\":true}"};
    static const int counts[] = {1, 3, 15, 40};

    (void)state;
    make_many_folders();
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct outcome alone = stage_analyze("w", NULL, asked[i]);

        for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
            struct outcome helped;

            atomic_store(&stage_helpers, counts[k]);
            helped = stage_analyze("w", k % 2 == 0 ? NULL : "cache", asked[i]);
            assert_true(helped.succeeded);
            assert_same_bytes(&alone.result, &helped.result);
            assert_same_bytes(&alone.error, &helped.error);
            assert_int_equal(atomic_load(&stage_helpers), counts[k]); /* they are free again */
            outcome_fini(&helped);
        }
        atomic_store(&stage_helpers, 0);
        outcome_fini(&alone);
    }
}

struct job {
    pthread_t thread;
    struct outcome outcome;
};

static void *analyze_w(void *arg)
{
    ((struct job *)arg)->outcome = stage_analyze("w", "cache", "{\"by\":\"file\"}");
    return NULL;
}

static void jobs_share_their_helpers(void **state)
{
    struct outcome alone;
    struct job jobs[4];

    (void)state;
    make_many_folders();
    alone = stage_analyze("w", NULL, "{\"by\":\"file\"}");
    atomic_store(&stage_helpers, 3);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&jobs[i].thread, NULL, analyze_w, &jobs[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(jobs[i].thread, NULL);
        assert_same_bytes(&alone.result, &jobs[i].outcome.result);
        outcome_fini(&jobs[i].outcome);
    }
    assert_int_equal(atomic_load(&stage_helpers), 3);
    atomic_store(&stage_helpers, 0);
    outcome_fini(&alone);
}

static void bad_shards_are_rejected(void **state)
{
    static const char *const bad[] = {
        "{\"shard\":[2,2]}",  "{\"shard\":[0,0]}", "{\"shard\":[0,65]}",
        "{\"shard\":[-1,2]}", "{\"shard\":3}",     "{\"shard\":[0,1,2]}",
        "{\"merge\":1}",      "{\"shard\":[]}",    "{\"merge\":true,\"shard\":[0,2]}"};

    (void)state;
    make_tree("tree");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        stage_fails("tree", bad[i], "rejected.payload", "shard");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_set_up, stage_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_directory),
        TEST(an_archive_is_not_split),
        TEST(a_repository),
        TEST(shards_share_the_work),
        TEST(what_cannot_be_read_is_told_once),
        TEST(parts_that_do_not_belong_together_are_refused),
        TEST(damaged_parts_do_no_harm),
        TEST(bad_shards_are_rejected),
        TEST(helpers_change_nothing),
        TEST(jobs_share_their_helpers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
