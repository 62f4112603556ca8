/* Repositories as a source: any revision, what a checkout would count; damage, hostility, limits.
 */
#include "tests/unit/cmocka_prelude.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/json.h"
#include "common/limits.h"
#include "tests/unit/git_stage.h"
#include "worker/analyze/repo.h"

void task_finish(struct task *task)
{
    (void)task;
    fail_msg("analyze_run() has no task");
}

static const char *revision(const json_t *result)
{
    return json_string_value(json_object_get(result, "revision"));
}

/* Both results, but for what must differ. */
static void assert_same(json_t *a, json_t *b)
{
    static const char *const own[] = {"source", "revision"};

    for (size_t i = 0; i < 2; i++) {
        json_object_del(a, own[i]);
        json_object_del(b, own[i]);
    }
    if (!json_equal(a, b))
        fail_msg("%s\n%s", json_dumps(a, JSON_SORT_KEYS), json_dumps(b, JSON_SORT_KEYS));
    json_decref(a);
    json_decref(b);
}

/* A repository with one commit: a C file of two lines. */
static void make_small(const char *name)
{
    stage_run("git init -q -b main %s && cd %s && printf 'int a;\\n// b\\n' > a.c && "
              "mkdir sub && printf 'x = 1\\n' > sub/b.py && git add . && git commit -qm one",
              name, name);
}

/* ---- what is counted
 * ------------------------------------------------------------------------------------------- */

static void a_revision_counts_as_its_checkout_does(void **state)
{
    static const char *const by[] = {"language", "file", "dir"};
    char json[128];

    (void)state;
    for (unsigned seed = 1; seed <= 3; seed++) {
        stage_make_repository("r", seed, 20);
        for (unsigned back = 0; back < 12; back += 2) {
            char *id = stage_ask("git -C r rev-list main | tail -n %u | head -n 1", back + 1);

            stage_run("cd r && git checkout -qf --detach %s && git clean -qfdx", id);
            for (size_t i = 0; i < 3; i++) {
                json_t *checkout, *object, *kept;

                snprintf(json, sizeof json, "{\"by\":\"%s\"}", by[i]);
                checkout = stage_result("r", NULL, json);
                assert_true(json_is_null(json_object_get(checkout, "revision")));
                snprintf(json, sizeof json, "{\"by\":\"%s\",\"rev\":\"%s\"}", by[i], id);
                object = stage_result("r", NULL, json);
                kept = stage_result("r", "cache", json);
                assert_same(json_deep_copy(object), kept);
                assert_same(checkout, object);
            }
            free(id);
        }
        stage_run("rm -rf r");
    }
}

static void what_is_excluded_counts_as_in_a_checkout(void **state)
{
    (void)state;
    stage_make_repository("r", 9, 20);
    stage_run("cd r && git checkout -qf main");
    assert_same(
        stage_result("r", NULL, "{\"exclude\":[\"*.py\",\"src/deep\"]}"),
        stage_result("r", "cache", "{\"rev\":\"main\",\"exclude\":[\"*.py\",\"src/deep\"]}"));
    /* What was kept without globs is of no use with them, nor the other way round. */
    assert_same(stage_result("r", NULL, "{}"), stage_result("r", "cache", "{\"rev\":\"main\"}"));
    assert_same(stage_result("r", NULL, "{\"exclude\":[\"src\"]}"),
                stage_result("r", "cache", "{\"rev\":\"main\",\"exclude\":[\"src\"]}"));
}

/* One content under several names, one directory in several places: an id alone decides nothing. */
static void what_is_kept_holds_for_a_name_and_a_place(void **state)
{
    static const char *const wishes[] = {"{\"by\":\"language\"%s}", "{\"by\":\"file\"%s}"};

    (void)state;
    stage_run(
        "git init -q -b main r && cd r && mkdir -p a/x vendor && printf '# b\\n\\nx = 1\\n' > "
        "a/x/1.py && cp a/x/1.py a/x/1.c && cp a/x/1.py a/x/1.sh && cp a/x/1.py a/x/1.zzz && "
        "cp a/x/1.py a/x/1.min.js && cp -r a/x vendor/ && cp -r a/x b && git add . && "
        "git commit -qm one");
    for (size_t i = 0; i < 2; i++) {
        char with[64], without[64];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(with, sizeof with, wishes[i], ",\"rev\":\"HEAD\"");
        snprintf(without, sizeof without, wishes[i], "");
#pragma GCC diagnostic pop
        for (int round = 0; round < 2; round++)
            assert_same(stage_result("r", NULL, without), stage_result("r", "cache", with));
    }
    /* The first of two that differ in nothing but their names is left out. */
    assert_same(stage_result("r", NULL, "{\"exclude\":[\"*.py\"]}"),
                stage_result("r", "cache", "{\"rev\":\"HEAD\",\"exclude\":[\"*.py\"]}"));
    /* The same directory, counted for itself. */
    assert_same(stage_result("r/vendor/x", NULL, "{}"),
                stage_result("r/vendor/x", "cache", "{\"rev\":\"HEAD\"}"));
}

/* Everything that a result tells of a file comes back, also what few files have. */
static void all_that_is_found_in_a_file_is_kept(void **state)
{
    static const char utf16[] = "\xff\xfe/\0/\0 \0T\0O\0D\0O\0\n";

    (void)state;
    stage_run("git init -q -b main r");
    stage_put("r/u.c", utf16, sizeof utf16);
    stage_run("cd r && printf '// SPDX-License-Identifier: MIT OR Apache-2.0\\r\\n// TODO x\\r\\n' "
              "> s.c && "
              "printf '<p>\\n<script>\\n// FIXME\\nvar a;\\n</script>\\n' > p.html && "
              "echo 'whatever you like' > LICENSE && printf 'int a;' > end.c && cp s.c t.c && "
              "printf '// \\351\\n' > l.c && git add . && git commit -qm one");
    for (int round = 0; round < 3; round++) {
        if (round == 2) /* what was found in files, and not what was found in directories */
            stage_run("cd r && echo > new.c && git add . && git commit -qm two");
        assert_same(stage_result("r", NULL, "{\"by\":\"file\"}"),
                    stage_result("r", "cache", "{\"by\":\"file\",\"rev\":\"HEAD\"}"));
    }
}

static void what_is_kept_is_that_of_the_languages_at_hand(void **state)
{
    static const struct language one[] = {
        {.name = "One", .extensions = "zzz", .lines = {{.open = "#"}}}};
    static const struct language other[] = {
        {.name = "One", .extensions = "zzz", .lines = {{.open = "--"}}}};
    const struct language_rows rows[] = {{one, 1}, {other, 1}};
    static const int comments[] = {2, 1};

    (void)state;
    stage_run(
        "git init -q -b main r && cd r && printf '# a\\n# b\\n-- c\\n' > a.zzz && git add . && "
        "git commit -qm one");
    for (int round = 0; round < 4; round++) {
        json_t *result;

        stage_languages = &rows[round % 2];
        result = stage_result("r", "cache", "{\"rev\":\"HEAD\"}");
        stage_languages = NULL;
        assert_int_equal(stage_number(result, "totals", "comments"), comments[round % 2]);
        json_decref(result);
    }
}

static void a_revision_has_many_names(void **state)
{
    static const char *const names[] = {"main",  "HEAD", "v1",   "v1^{}",      "refs/tags/v1",
                                        "plain", "%s",   "%.9s", "main~1^0~0", "@"};
    char *id, json[128], name[64];

    (void)state;
    make_small("r");
    stage_run("cd r && git tag -a -m t v1 && git tag plain && echo >> a.c && git commit -qam two");
    id = stage_ask("git -C r rev-parse v1^{}");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool is_new = i < 2 || i == 9;
        json_t *result;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(name, sizeof name, names[i], id);
#pragma GCC diagnostic pop
        snprintf(json, sizeof json, "{\"rev\":\"%s\"}", name);
        result = stage_result("r", NULL, json);
        assert_int_equal(stage_number(result, "totals", "lines"), is_new ? 4 : 3);
        assert_int_equal(strcmp(revision(result), id) == 0, !is_new);
        json_decref(result);
    }
    free(id);
}

static void a_bare_repository_is_counted_at_its_head(void **state)
{
    json_t *result;

    (void)state;
    make_small("r");
    stage_run("git clone -q --bare r b.git");
    result = stage_result("b.git", NULL, "{}");
    assert_int_equal(stage_number(result, "totals", "files"), 2);
    assert_int_equal(strlen(revision(result)), 40);
    json_decref(result);
    stage_run("git -C r checkout -q --detach && git -C r branch -D main -q");
    json_decref(stage_result("r", NULL, "{\"rev\":\"HEAD\"}"));
    /* The .git of a checkout is one too. */
    result = stage_result("r/.git", NULL, "{}");
    assert_int_equal(stage_number(result, "totals", "files"), 2);
    json_decref(result);
}

static void a_part_of_a_checkout_is_that_part_of_a_revision(void **state)
{
    json_t *result;

    (void)state;
    make_small("r");
    stage_run("cd r && echo 'y = 2' >> sub/b.py && git commit -qam two");
    result = stage_result("r/sub", NULL, "{\"rev\":\"HEAD~1\",\"by\":\"file\"}");
    assert_int_equal(stage_number(result, "totals", "lines"), 1);
    assert_string_equal(json_string_value(json_object_get(
                            json_array_get(json_object_get(result, "files"), 0), "path")),
                        "b.py");
    json_decref(result);
    result = stage_result("r/sub/b.py", NULL, "{\"rev\":\"HEAD\"}");
    assert_int_equal(stage_number(result, "totals", "lines"), 2);
    json_decref(result);
    stage_run("mkdir r/new && touch r/new/x.c");
    stage_fails("r/new", "{\"rev\":\"HEAD\"}", "analyze.git", "not there at this revision");
}

static void a_linked_work_tree_and_an_alternate_are_followed_below_the_roots(void **state)
{
    (void)state;
    make_small("r");
    stage_run("git -C r worktree add -q ../w -b other && git clone -q --bare --shared r s.git");
    json_decref(stage_result("w", NULL, "{\"rev\":\"HEAD\"}"));
    json_decref(stage_result("s.git", NULL, "{}"));
}

static void links_and_submodules_are_not_entered(void **state)
{
    json_t *result;

    (void)state;
    make_small("r");
    stage_run("cd r && ln -s /etc l.c && git add l.c && git update-index --add --cacheinfo "
              "160000,1111111111111111111111111111111111111111,mod && git commit -qm two");
    result = stage_result("r", NULL, "{\"rev\":\"HEAD\"}");
    assert_int_equal(stage_number(result, "totals", "files"), 2);
    assert_int_equal(stage_number(result, "skipped", "submodule"), 1);
    json_decref(result);
}

/* ---- what is refused
 * -------------------------------------------------------------------------------------- */

static void what_is_no_revision_is_said(void **state)
{
    (void)state;
    make_small("r");
    stage_run("mkdir plain && git init -q -b main empty && git init -q --bare -b main empty.git");
    stage_fails("r", "{\"rev\":\"nosuch\"}", "analyze.git", "'nosuch' is no revision here");
    stage_fails("r", "{\"rev\":\"HEAD\",\"gitignore\":true}", "rejected.payload",
                "for directories");
    stage_fails("r", "{\"history\":true,\"gitignore\":true}", "rejected.payload",
                "for directories");
    stage_fails("r", "{\"rev\":\"HEAD~5\"}", "analyze.git", "HEAD~5");
    stage_fails("r", "{\"rev\":\"HEAD:a.c\"}", "analyze.git", "no commit");
    stage_fails("r", "{\"rev\":\"main..main\"}", "analyze.git", "main..main");
    stage_fails("r", "{\"rev\":\":/one\"}", "analyze.git", "search");
    stage_fails("r", "{\"rev\":\"HEAD@{0}\"}", "analyze.git", "search");
    stage_fails("r", "{\"rev\":\"\"}", "rejected.payload", "'rev'");
    stage_fails("r", "{\"rev\":5}", "rejected.payload", "");
    stage_fails("empty", "{\"rev\":\"HEAD\"}", "analyze.git", "no commit yet");
    stage_fails("empty.git", "{}", "analyze.git", "no commit yet");
    stage_fails("plain", "{\"rev\":\"HEAD\"}", "analyze.git", "no git repository");
    stage_fails("r/sub", "{\"history\":true}", "analyze.git", "top directory");
}

static void formats_that_are_not_understood_are_said(void **state)
{
    (void)state;
    stage_run("git init -q --object-format=sha256 -b main r && cd r && touch a.c && git add . && "
              "git commit -qm one");
    stage_fails("r", "{\"rev\":\"HEAD\"}", "analyze.git", "SHA-256");
}

/* The folder that this test may read is stage_folder: everything else lies outside. */
static void nothing_outside_of_the_roots_is_read(void **state)
{
    char outside[64] = "/tmp/argosy-out-XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(outside));
    make_small("r");
    stage_run("git clone -q --bare r '%s/o.git'", outside);
    stage_run("mkdir w && echo 'gitdir: %s/o.git' > w/.git", outside);
    stage_fails("w", "{\"rev\":\"HEAD\"}", "analyze.git", "outside");
    stage_run("ln -s '%s/o.git' l && mkdir x && ln -s '%s/o.git' x/.git", outside, outside);
    stage_fails("l", "{}", "analyze.source.denied", "--root");
    stage_fails("x", "{\"rev\":\"HEAD\"}", "analyze.git", "outside");
    stage_run("git init -q --bare -b main a.git && cp '%s/o.git/packed-refs' a.git/ && "
              "echo '%s/o.git/objects' > a.git/objects/info/alternates",
              outside, outside);
    stage_fails("a.git", "{}", "analyze.git", "outside");
    /* By way of an alternate that is inside. */
    stage_run("git init -q --bare -b main b.git && cp '%s/o.git/packed-refs' b.git/ && "
              "echo ../../a.git/objects > b.git/objects/info/alternates",
              outside);
    stage_fails("b.git", "{}", "analyze.git", "outside");
    stage_run("git clone -q --bare r c.git && rm -r c.git/objects/?? ; "
              "ln -s '%s/o.git/objects/'?? c.git/objects/ && rm -f c.git/objects/pack/*",
              outside);
    stage_fails("c.git", "{}", "analyze.git", "outside");
    stage_run("git clone -q --bare r d.git && rm -rf d.git/objects && "
              "ln -s '%s/o.git/objects' d.git/objects",
              outside);
    stage_fails("d.git", "{}", "analyze.git", "outside");
    stage_run("git clone -q --bare r e.git && rm e.git/packed-refs && "
              "ln -s '%s/o.git/packed-refs' e.git/packed-refs",
              outside);
    stage_fails("e.git", "{}", "analyze.git", "outside");
    stage_run("rm -rf '%s'", outside);
}

static void a_fifo_in_a_repository_holds_nobody_up(void **state)
{
    (void)state;
    make_small("r");
    stage_run("git clone -q --bare r a.git && rm a.git/config && mkfifo a.git/config");
    stage_fails("a.git", "{}", "analyze.git", "not a file");
    stage_run("git clone -q --bare r b.git && mkfifo b.git/objects/info/alternates");
    stage_fails("b.git", "{}", "analyze.git", "not a file");
    stage_run(
        "git -C r rev-parse HEAD: | cut -c3- | { read id; cd r/.git/objects; "
        "folder=$(git rev-parse HEAD: | cut -c1-2); rm -f $folder/$id; mkfifo $folder/$id; }");
    stage_fails("r", "{\"rev\":\"HEAD\"}", "analyze.git", "not a file");
}

static void a_repository_of_somebody_else_needs_to_be_called_safe(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip(); /* nobody else can give a repository away */
    make_small("r");
    stage_run("chown -R 65534 r && rm -f ../.gitconfig");
    stage_fails("r", "{\"rev\":\"HEAD\"}", "analyze.git", "safe.directory");
    stage_fails("r/.git", "{}", "analyze.git", "safe.directory");
    /* A repository cannot vouch for itself. */
    stage_run("printf '[safe]\\n\\tdirectory = *\\n' >> r/.git/config");
    stage_fails("r", "{\"rev\":\"HEAD\"}", "analyze.git", "safe.directory");
    stage_run("git config -f '%s/.gitconfig' safe.directory \"$PWD/r\"", getenv("HOME"));
    json_decref(stage_result("r", NULL, "{\"rev\":\"HEAD\"}"));
    stage_run("git config -f '%s/.gitconfig' --add safe.directory ''", getenv("HOME"));
    stage_fails("r", "{\"rev\":\"HEAD\"}", "analyze.git", "safe.directory");
    stage_run("git config -f '%s/.gitconfig' --add safe.directory '*'", getenv("HOME"));
    json_decref(stage_result("r", NULL, "{\"rev\":\"HEAD\"}"));
    stage_run("rm '%s/.gitconfig'", getenv("HOME"));
}

/* ---- damage
 * ------------------------------------------------------------------------------------------------
 */

/* The rest is counted; of `count` leaves the first has this type and path. */
static void assert_leaf_of(const char *type, const char *repository, const char *path, size_t count,
                           json_int_t files)
{
    struct outcome outcome = stage_analyze(repository, "cache", "{\"rev\":\"HEAD\"}");
    json_t *error, *result, *leaves, *leaf;

    assert_true(outcome.succeeded);
    assert_true(outcome.error.size > 0);
    error = stage_json(&outcome.error);
    result = stage_json(&outcome.result);
    leaves = json_object_get(error, "errors");
    leaf = json_array_get(leaves, 0);
    assert_int_equal(json_array_size(leaves), count);
    assert_string_equal(json_string_value(json_object_get(leaf, "type")), type);
    if (path != NULL)
        assert_string_equal(json_string_value(json_object_get(leaf, "subject")), path);
    assert_int_equal(stage_number(result, "totals", "files"), files);
    json_decref(error);
    json_decref(result);
    outcome_fini(&outcome);
}

static void assert_leaf(const char *repository, const char *path, size_t count, json_int_t files)
{
    assert_leaf_of("analyze.git", repository, path, count, files);
}

/* The file of a loose object. */
static char *object_file(const char *repository, const char *what)
{
    return stage_ask("git -C %s rev-parse %s | sed 's,^..,%s/.git/objects/&/,'", repository, what,
                     repository);
}

static void a_damaged_object_is_a_leaf_and_the_rest_is_counted(void **state)
{
    /* The last is whole, but of another content. */
    static const char *const damages[] = {"rm -f $f", ": > $f", "echo nonsense > $f",
                                          "cp -f $(sed 's,^..,r/.git/objects/&/,' id) $f"};

    (void)state;
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        char *file;

        make_small("r");
        file = object_file("r", "HEAD:sub/b.py");
        stage_run("git -C r hash-object -w --stdin < /dev/null > id && f=%s && chmod u+w $f && %s",
                  file, damages[i]);
        assert_leaf("r", "sub/b.py", 1, 1);
        free(file);
        stage_run("rm -rf r");
    }
}

static void a_damaged_directory_is_a_leaf(void **state)
{
    char *file;

    (void)state;
    make_small("r");
    file = object_file("r", "HEAD:sub");
    stage_run("rm -f %s", file);
    assert_leaf("r", "sub", 1, 1);
    free(file);
    stage_run("printf '100644 ok.c\\0aaaaaaaaaaaaaaaaaaaa100644 broken' > tree && cd r && "
              "id=$(git hash-object --literally -t tree -w ../tree) && "
              "git update-ref refs/heads/main $(git commit-tree -m x $id)");
    assert_leaf("r", ".", 2, 0); /* and ok.c, which is not there */
}

/* A made-up object in one repository says nothing about the same id in another. */
static void what_is_kept_cannot_be_poisoned(void **state)
{
    char *file;
    json_t *result;

    (void)state;
    make_small("r");
    stage_run("cp -r r evil");
    file = object_file("evil", "HEAD:a.c");
    stage_run("cd evil && other=$(printf 'int a;\\nint b;\\nint c;\\nint d;\\n' | git hash-object "
              "-w --stdin) && "
              "chmod u+w ../%s && cp -f $(echo $other | sed 's,^..,.git/objects/&/,') ../%s",
              file, file);
    assert_leaf("evil", "a.c", 1, 1);
    result = stage_result("r", "cache", "{\"rev\":\"HEAD\"}");
    assert_int_equal(stage_number(result, "totals", "lines"), 3);
    json_decref(result);
    free(file);
}

/* ---- hostility
 * --------------------------------------------------------------------------------------------- */

static void add_entry(struct ag_buffer *tree, const char *mode, const char *name, const uint8_t *id)
{
    ag_buffer_printf(tree, "%s %s", mode, name);
    ag_buffer_append(tree, "\0", 1);
    ag_buffer_append(tree, id, REPO_ID_BYTES);
}

/* The id of the tree, written into r. */
static void write_tree(struct ag_buffer *tree, uint8_t id[REPO_ID_BYTES])
{
    char *hex;

    stage_put("tree", tree->data, tree->size);
    hex = stage_ask("cd r && git hash-object --literally -t tree -w ../tree");
    for (size_t i = 0; i < REPO_ID_BYTES; i++)
        assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &id[i]), 1);
    free(hex);
    ag_buffer_clear(tree);
}

static void commit_tree(const uint8_t id[REPO_ID_BYTES])
{
    char hex[REPO_HEX_SIZE];

    ag_hex_print(id, REPO_ID_BYTES, hex);
    stage_run("cd r && git update-ref refs/heads/main $(git commit-tree -m x %s)", hex);
}

static void blob_id(uint8_t id[REPO_ID_BYTES])
{
    char *hex = stage_ask("cd r && git rev-parse HEAD:a.c");

    for (size_t i = 0; i < REPO_ID_BYTES; i++)
        assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &id[i]), 1);
    free(hex);
}

static void hostile_names_are_only_names(void **state)
{
    static const char *const wrong[] = {"", ".", "..", ".git", "a/../../etc.c", "/etc.c"};
    static const char *const odd[] = {"a\nb.c", "\x1b[31m.c", "\xff\xfe.c", "-rf.c", ".git .c"};
    struct ag_buffer tree = ag_buffer_empty(1 << 16);
    uint8_t blob[REPO_ID_BYTES], id[REPO_ID_BYTES];
    struct outcome outcome;
    json_t *result;

    (void)state;
    make_small("r");
    blob_id(blob);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        add_entry(&tree, i == 3 ? "40000" : "100644", wrong[i], blob);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        add_entry(&tree, "100644", odd[i], blob);
    add_entry(&tree, "0", "x.c", blob);
    add_entry(&tree, "060000", "device.c", blob);
    write_tree(&tree, id);
    commit_tree(id);
    assert_leaf("r", NULL, 8, 5);
    outcome = stage_analyze("r", NULL, "{\"by\":\"file\",\"rev\":\"HEAD\",\"history\":true}");
    assert_true(outcome.succeeded);
    result = stage_json(&outcome.result);
    assert_int_equal(json_array_size(json_object_get(result, "files")), 5);
    json_decref(result);
    outcome_fini(&outcome);
    ag_buffer_free(&tree);
}

static void deep_and_long_paths_have_an_end(void **state)
{
    struct ag_buffer tree = ag_buffer_empty(1 << 16);
    char name[301], path[4200] = "d";
    uint8_t id[REPO_ID_BYTES];

    (void)state;
    make_small("r");
    blob_id(id);
    add_entry(&tree, "100644", "a.c", id);
    write_tree(&tree, id);
    for (int i = 0; i < 258; i++) {
        add_entry(&tree, "40000", "d", id);
        write_tree(&tree, id);
    }
    commit_tree(id);
    for (int i = 1; i < 256; i++)
        strcat(path, "/d");
    assert_leaf_of("analyze.limit", "r", path, 1, 0);
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    stage_run("rm -rf r cache");
    make_small("r");
    blob_id(id);
    add_entry(&tree, "100644", "a.c", id);
    write_tree(&tree, id);
    for (int i = 0; i < 14; i++) {
        add_entry(&tree, "40000", name, id);
        write_tree(&tree, id);
        if (i == 12) { /* deep, but not too deep: its sums are kept, and must not hold one deeper */
            json_t *result;

            commit_tree(id);
            result = stage_result("r", "cache", "{\"rev\":\"HEAD\"}");
            assert_int_equal(stage_number(result, "totals", "files"), 1);
            json_decref(result);
        }
    }
    commit_tree(id);
    strcpy(path, name);
    for (int i = 1; i < 13; i++)
        strcat(strcat(path, "/"), name);
    assert_leaf_of("analyze.limit", "r", path, 1, 0);
    ag_buffer_free(&tree);
}

/* Some objects that say they are eight million files, and more. */
static void a_tree_that_names_itself_often_has_an_end(void **state)
{
    enum { WIDE = 2900 };
    struct ag_buffer tree = ag_buffer_empty(1 << 20);
    uint8_t id[REPO_ID_BYTES];
    char name[32];

    (void)state;
    make_small("r");
    blob_id(id);
    for (int level = 0; level < 2; level++) {
        for (int i = 0; i < WIDE; i++) {
            snprintf(name, sizeof name, "%06d.zzz", i);
            add_entry(&tree, level == 0 ? "100644" : "40000", name, id);
        }
        write_tree(&tree, id);
    }
    commit_tree(id);
    stage_fails("r", "{\"rev\":\"HEAD\"}", "analyze.limit", "8388608 files");
    ag_buffer_free(&tree);
}

static void any_bytes_are_a_tree_or_are_not(void **state)
{
    uint8_t bytes[256];
    unsigned seed = 7;

    (void)state;
    for (int round = 0; round < 200000; round++) {
        const uint8_t *at = bytes, *end;
        struct repo_entry entry;
        size_t size;

        seed = seed * 1103515245 + 12345;
        size = seed >> 16 & 127;
        for (size_t i = 0; i < size; i++) {
            seed = seed * 1103515245 + 12345;
            bytes[i] = (uint8_t) "1470 a\0"[seed >> 16 & 7];
        }
        end = bytes + size;
        while (repo_next_entry(&at, end, &entry) > 0) {
            assert_true(at <= end);
            assert_int_equal(strlen(entry.name), entry.name_size);
        }
    }
}

static void a_file_too_large_is_not_read(void **state)
{
    json_t *result;

    (void)state;
    stage_run("git init -q -b main r && cd r && truncate -s 70M big.c && echo 'int a;' > a.c && "
              "git add . && git commit -qm one");
    result = stage_result("r", NULL, "{\"rev\":\"HEAD\"}");
    assert_int_equal(stage_number(result, "totals", "files"), 1);
    assert_int_equal(stage_number(result, "skipped", "too_large"), 1);
    json_decref(result);
}

static void a_stop_ends_it(void **state)
{
    static const char *const wishes[] = {"{s:s,s:s}", "{s:s,s:s,s:b}"};
    const char *roots_list[] = {stage_folder};
    struct analyze_roots roots = {.paths = roots_list, .count = 1};
    atomic_int stop = STOP_CANCEL;
    atomic_uint told = AG_PERMILLE_UNKNOWN;
    struct analyze_watch watch = {.stop = &stop, .permille = &told, .quiet_ms = 0};
    char path[128];

    (void)state;
    make_small("r");
    snprintf(path, sizeof path, "%s/r", stage_folder);
    for (size_t i = 0; i < 2; i++) {
        struct ag_buffer buffer = ag_buffer_empty(1 << 16);
        struct outcome outcome = {0};
        json_t *payload = json_pack(wishes[i], "path", path, "rev", "HEAD", "history", 1);

        assert_ok(ag_json_to_msgpack(payload, &buffer));
        json_decref(payload);
        analyze_run(ag_buffer_bytes(&buffer), (struct ag_bytes){0}, &roots, &watch, &outcome);
        assert_false(outcome.succeeded);
        assert_string_equal(outcome.type, "cancelled");
        outcome_fini(&outcome);
        ag_buffer_free(&buffer);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_set_up, stage_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_revision_counts_as_its_checkout_does),
        TEST(what_is_excluded_counts_as_in_a_checkout),
        TEST(what_is_kept_holds_for_a_name_and_a_place),
        TEST(all_that_is_found_in_a_file_is_kept),
        TEST(what_is_kept_is_that_of_the_languages_at_hand),
        TEST(a_revision_has_many_names),
        TEST(a_bare_repository_is_counted_at_its_head),
        TEST(a_part_of_a_checkout_is_that_part_of_a_revision),
        TEST(a_linked_work_tree_and_an_alternate_are_followed_below_the_roots),
        TEST(links_and_submodules_are_not_entered),
        TEST(what_is_no_revision_is_said),
        TEST(formats_that_are_not_understood_are_said),
        TEST(nothing_outside_of_the_roots_is_read),
        TEST(a_fifo_in_a_repository_holds_nobody_up),
        TEST(a_repository_of_somebody_else_needs_to_be_called_safe),
        TEST(a_damaged_object_is_a_leaf_and_the_rest_is_counted),
        TEST(a_damaged_directory_is_a_leaf),
        TEST(what_is_kept_cannot_be_poisoned),
        TEST(hostile_names_are_only_names),
        TEST(deep_and_long_paths_have_an_end),
        TEST(a_tree_that_names_itself_often_has_an_end),
        cmocka_unit_test(any_bytes_are_a_tree_or_are_not),
        TEST(a_file_too_large_is_not_read),
        TEST(a_stop_ends_it),
    };
    char home[64] = "/tmp/argosy-home-XXXXXX";
    int rc;

    /* Before libgit2 asks: where the user's configuration is. */
    if (mkdtemp(home) == NULL)
        return 1;
    setenv("HOME", home, 1);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("SUDO_UID");
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(home);
    return rc;
}
