/* What git would ignore: stories, rules of chance compared with git itself, and rules made to hurt.
 */
#include "tests/unit/cmocka_prelude.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/git_stage.h"
#include "worker/analyze/ignore.h"
#include "worker/analyze/source.h"

void task_finish(struct task *task)
{
    (void)task;
    fail_msg("analyze_run() has no task");
}

/* ---- a walk, as lines
 * --------------------------------------------------------------------------------------- */

struct walked {
    struct ag_buffer files, ignored, troubles;
    size_t told;
};

static int on_file(void *arg, const struct source_file *file)
{
    struct walked *self = arg;

    self->told++;
    ag_buffer_printf(file->is_ignored ? &self->ignored : &self->files, "%s\n", file->path);
    return 0;
}

static int on_trouble(void *arg, const char *path, const struct argosy_error *err)
{
    ag_buffer_printf(&((struct walked *)arg)->troubles, "%s: %s (%s)\n", path, err->message,
                     argosy_strerror(err->code));
    return 0;
}

/* The directory below the stage, with the stage or a part of it as the root. */
static struct walked walk_below(const char *path, const char *root)
{
    struct walked self = {ag_buffer_empty(1 << 24), ag_buffer_empty(1 << 24),
                          ag_buffer_empty(1 << 24), 0};
    struct source_visitor visitor = {.file = on_file, .trouble = on_trouble, .arg = &self};
    char full[256], full_root[256];
    const char *paths[] = {full_root};
    struct analyze_roots roots = {.paths = paths, .count = 1};
    struct source_options options = {.ignore_below = &roots};
    struct source *source;
    uint64_t count;

    snprintf(full_root, sizeof full_root, "%s/%s", stage_folder, root);
    snprintf(full, sizeof full, "%s/%s", stage_folder, path);
    assert_ok(source_dir_new(&source, full, &options, NULL));
    assert_ok(source->each(source, &visitor));
    assert_ok(source->count(source, &count)); /* progress depends on it */
    assert_int_equal(count, self.told);
    source->destroy(&source);
    return self;
}

static void walked_free(struct walked *self)
{
    ag_buffer_free(&self->files);
    ag_buffer_free(&self->ignored);
    ag_buffer_free(&self->troubles);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines in order; free() it. */
static char *sorted(const char *text)
{
    struct ag_buffer out = ag_buffer_empty(1 << 24);
    char *copy = strdup(text), *rest = NULL, **lines = calloc(strlen(text) + 1, sizeof *lines);
    char *result;
    size_t count = 0;

    for (char *line = strtok_r(copy, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        lines[count++] = line;
    qsort(lines, count, sizeof *lines, by_text);
    for (size_t i = 0; i < count; i++)
        ag_buffer_printf(&out, "%s\n", lines[i]);
    result = strdup(ag_buffer_as_text(&out));
    ag_buffer_free(&out);
    free(lines);
    free(copy);
    return result;
}

static void assert_lines(struct ag_buffer *got, const char *want)
{
    char *lines = sorted(ag_buffer_as_text(got));

    assert_string_equal(lines, want);
    free(lines);
}

/* What is told of a directory: its files, what is ignored, troubles. */
static void tells(const char *path, const char *root, const char *files, const char *ignored,
                  const char *troubles)
{
    struct walked walked = walk_below(path, root);

    assert_lines(&walked.files, files);
    assert_lines(&walked.ignored, ignored);
    assert_lines(&walked.troubles, troubles);
    walked_free(&walked);
}

/* The same files as git lists that are not tracked and not ignored. */
static void agrees_with_git(const char *path)
{
    struct walked walked = walk_below(path, ".");
    char *git =
        stage_ask("cd %s && git ls-files -o -z --exclude-standard . | tr '\\0' '\\n'", path);
    char *theirs = sorted(git), *ours = sorted(ag_buffer_as_text(&walked.files));

    if (strcmp(ours, theirs) != 0) {
        stage_put("ours", ours, strlen(ours));
        stage_put("git", theirs, strlen(theirs));
        stage_run("diff git ours | head -50 >&2; true");
        fail_msg("%s: not what git lists", path);
    }
    assert_int_equal(walked.troubles.size, 0);
    free(git);
    free(theirs);
    free(ours);
    walked_free(&walked);
}

static void needs_git(void)
{
    if (system("git --version >/dev/null 2>&1") != 0) {
        print_message("there is no git to compare with\n");
        skip();
    }
}

/* ---- stories
 * ------------------------------------------------------------------------------------------------
 */

static void rules_at_every_level_hold(void **state)
{
    (void)state;
    stage_run("mkdir -p p/src/deep p/build/x p/doc && cd p && "
              "touch a.c a.o keep.o src/b.c src/b.o src/deep/c.o src/deep/d.c build/x/y.c doc/z "
              "doc/build && printf '*.o\\n!/keep.o\\nbuild/\\n' >.gitignore && "
              "printf '!b.o\\n/deep/*.c\\n' >src/.gitignore");
    tells("p", ".", ".gitignore\na.c\ndoc/build\ndoc/z\nkeep.o\nsrc/.gitignore\nsrc/b.c\nsrc/b.o\n",
          "a.o\nbuild\nsrc/deep/c.o\nsrc/deep/d.c\n", "");
    needs_git();
    stage_run("git init -q p");
    agrees_with_git("p");
    agrees_with_git("p/src");
    agrees_with_git("p/src/deep");
}

static void the_repository_around_is_asked_and_none_beyond_the_roots(void **state)
{
    (void)state;
    stage_run(
        "mkdir -p r/.git/info r/lib/in && cd r && echo ref: >.git/HEAD && "
        "touch lib/a.c lib/a.x lib/a.y lib/a.z lib/in/b.x && "
        "echo '*.x' >.git/info/exclude && echo '*.y' >.gitignore && echo '*.z' >../.gitignore");
    tells("r/lib", ".", "a.c\na.z\n", "a.x\na.y\nin/b.x\n", "");
    tells("r/lib", "r", "a.c\na.z\n", "a.x\na.y\nin/b.x\n", "");
    tells("r/lib", "r/lib", "a.c\na.x\na.y\na.z\nin/b.x\n", "", "");
    /* Without a repository nothing around counts, as it is nobody's. */
    stage_run("rm r/.git/HEAD && rmdir r/.git 2>/dev/null || rm -r r/.git");
    tells("r/lib", ".", "a.c\na.x\na.y\na.z\nin/b.x\n", "", "");
}

static void what_is_named_is_counted_and_what_lies_in_it_follows_the_rules(void **state)
{
    (void)state;
    stage_run("mkdir -p n/.git n/out/sub && cd n && echo ref: >.git/HEAD && "
              "printf 'out\\n*.o\\n' >.gitignore && touch out/a.c out/a.o out/sub/b.c");
    tells("n", ".", ".gitignore\n", "out\n", "");
    tells("n/out", ".", "a.c\nsub/b.c\n", "a.o\n", "");
}

static void a_repository_inside_has_rules_of_its_own(void **state)
{
    (void)state;
    stage_run(
        "mkdir -p o/.git/info o/in/.git/info o/in/d o/gone && cd o && "
        "echo ref: | tee .git/HEAD >in/.git/HEAD && echo '*.a' >.gitignore && "
        "echo '*.b' >in/.gitignore && echo '*.c' >in/.git/info/exclude && "
        "for d in . in in/d gone; do touch $d/x.a $d/x.b $d/x.c; done && mkdir zz && touch zz/x.a");
    tells("o", ".", ".gitignore\ngone/x.b\ngone/x.c\nin/.gitignore\nin/d/x.a\nin/x.a\nx.b\nx.c\n",
          "gone/x.a\nin/d/x.b\nin/d/x.c\nin/x.b\nin/x.c\nx.a\nzz/x.a\n", "");
}

static void a_linked_work_tree_has_the_excludes_of_its_repository(void **state)
{
    (void)state;
    needs_git();
    stage_run(
        "git init -q main && cd main && git commit -q --allow-empty -m a && "
        "git worktree add -q ../linked && echo '*.q' >>.git/info/exclude && touch ../linked/a.q");
    tells("linked", ".", ".git\n", "a.q\n", "");
    tells("linked", "linked", ".git\na.q\n", "", "");
}

static void odd_files_of_rules_hold_none_and_do_not_block(void **state)
{
    (void)state;
    stage_run(
        "mkdir -p odd/link odd/fifo odd/dir/.gitignore odd/empty odd/gone && cd odd && "
        "echo '*.o' >rules && ln -s ../rules link/.gitignore && ln -s nothing gone/.gitignore && "
        "mkfifo fifo/.gitignore && : >empty/.gitignore && "
        "for d in link fifo dir empty gone; do touch $d/a.o; done");
    tells("odd", ".", "dir/a.o\nempty/.gitignore\nempty/a.o\nfifo/a.o\ngone/a.o\nlink/a.o\nrules\n",
          "", "");
}

static void a_job_counts_what_is_ignored_and_archives_are_refused(void **state)
{
    json_t *result;

    (void)state;
    stage_run("mkdir -p job/out/x job/vendor && cd job && printf 'out/\\n*.py\\nvendor\\n' "
              ">.gitignore && "
              "echo 'int a;' | tee a.c out/b.c out/x/c.c >vendor/d.c && echo x=1 >e.py && "
              "tar cf ../job.tar .");
    result = stage_result("job", NULL, "{\"gitignore\":true}");
    assert_int_equal(stage_number(result, "totals", "files"),
                     2); /* a.c, and the rules themselves */
    assert_int_equal(stage_number(result, "skipped", "ignored"), 3); /* out, vendor, e.py */
    assert_int_equal(stage_number(result, "skipped", "vendored"), 0);
    json_decref(result);
    result = stage_result("job", NULL, "{\"gitignore\":true,\"exclude\":[\"out\"]}");
    assert_int_equal(stage_number(result, "skipped", "ignored"), 2);
    json_decref(result);
    result = stage_result("job", NULL, "{\"gitignore\":false}");
    assert_int_equal(stage_number(result, "totals", "files"), 5);
    assert_int_equal(stage_number(result, "skipped", "ignored"), 0);
    json_decref(result);
    result = stage_result("job/e.py", NULL, "{\"gitignore\":true}"); /* it is what was named */
    assert_int_equal(stage_number(result, "totals", "files"), 1);
    json_decref(result);
    stage_fails("job.tar", "{\"gitignore\":true}", "rejected.payload", "for directories");
    stage_fails("job", "{\"gitignore\":1}", "rejected.payload", "");
}

/* ---- limits
 * -------------------------------------------------------------------------------------------------
 */

static void rules_beyond_a_limit_are_told_and_do_not_hold(void **state)
{
    (void)state;
    stage_run(
        "mkdir -p big/stars big/many/in big/parts big/sum/a/b/c/d && cd big && "
        "head -c 1048577 /dev/zero | tr '\\0' '*' >stars/.gitignore && touch stars/a.c && "
        "seq 65536 >many/.gitignore && echo '*.c' >many/in/.gitignore && touch many/in/a.c many/7 "
        "&& "
        "for i in $(seq 1024); do printf '*a*a*a*a'; done >parts/.gitignore && touch parts/aaaa && "
        "for d in sum sum/a sum/a/b sum/a/b/c sum/a/b/c/d; do "
        "head -c 1000000 /dev/zero | tr '\\0' '#' >$d/.gitignore; printf '\\n*.c\\n' "
        ">>$d/.gitignore; "
        "done; touch sum/a/b/c/d/a.c");
    tells("big/stars", ".", ".gitignore\na.c\n", "",
          ".gitignore: more than 1048576 bytes of rules (larger than the configured limit)\n");
    tells("big/many", ".", ".gitignore\nin/.gitignore\nin/a.c\n", "7\n",
          "in/.gitignore: more than 65536 rules, with those of the directories around it (larger "
          "than "
          "the configured limit)\n");
    tells("big/parts", ".", ".gitignore\naaaa\n", "",
          ".gitignore: a rule in it has more than 4096 parts (larger than the configured limit)\n");
    tells("big/sum", ".",
          ".gitignore\na/.gitignore\na/b/.gitignore\na/b/c/.gitignore\na/b/c/d/.gitignore\n",
          "a/b/c/d/a.c\n",
          "a/b/c/d/.gitignore: more than 4194304 bytes of rules, with those of the directories "
          "around it "
          "(larger than the configured limit)\n");
}

static void push(ignore_rules_t **rules, const char *text, size_t size)
{
    struct argosy_error err = {0};

    if (ignore_rules_push(rules, ag_bytes_of(text, size), 0, &err) < 0)
        fail_msg("%s", err.message);
}

/* Patterns that take others for ever. What is too much would run into the test's time limit. */
static void hostile_rules_take_bounded_time(void **state)
{
    static const char *const pieces[] = {"*a",        "**/a*/",    "**/*a*/", "*[a]*?",
                                         "*a*a/**/",  "**/**/a/",  "[^b]*",   "a**/",
                                         "**a**\\/a", "*[!b]*a**/"};
    static char text[1 << 20], path[4096];
    clock_t begun = clock();

    (void)state;
    for (size_t i = 0; i < sizeof path; i++)
        path[i] = i % 3 == 2 ? '/' : 'a';
    path[sizeof path - 1] = 'x';
    for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
        ignore_rules_t *rules = NULL;
        size_t size = 0;

        while (size + strlen(pieces[p]) + 2 < sizeof text / 64) {
            size_t begin = size;

            while (size - begin < 1000)
                size += (size_t)sprintf(text + size, "%s", pieces[p]);
            size += (size_t)sprintf(text + size, "[b]\n"); /* no shortcut by the last byte */
        }
        push(&rules, text, size);
        assert_false(ignore_rules_match(rules, path, sizeof path, false));
        assert_false(ignore_rules_match(rules, path, 200, true));
        ignore_rules_pop(&rules);
    }
    /* A megabyte of stars is one star. */
    memset(text, '*', sizeof text);
    ignore_rules_t *rules = NULL;
    push(&rules, text, sizeof text);
    assert_true(ignore_rules_match(rules, path, sizeof path, false));
    ignore_rules_pop(&rules);
    print_message("hostile rules: %.2f s of CPU\n", (double)(clock() - begun) / CLOCKS_PER_SEC);
}

/* ---- chance
 * -------------------------------------------------------------------------------------------------
 */

static unsigned chance(unsigned *seed, unsigned below)
{
    *seed = *seed * 1103515245 + 12345;
    return (*seed >> 16 & 0x7fff) % below;
}

static const char *const rule_pieces[] = {
    "a",
    "b",
    "c",
    "ab",
    "a",
    "b",
    "*",
    "*",
    "**",
    "***",
    "**/",
    "/**",
    "/**/",
    "?",
    "/",
    "/",
    "//",
    ".",
    "[ab]",
    "[!a]",
    "[^b]",
    "[a-c]",
    "[]a]",
    "[!]a]",
    "[a-]",
    "[-a]",
    "[c-a]",
    "[\\]a]",
    "[a\\-c]",
    "[[:alpha:]]",
    "[[:digit:]-]",
    "[[:punct:]]",
    "[[:space:]]",
    "[[:x:]]",
    "[[:a]",
    "[[:]",
    "[a",
    "[",
    "]",
    "\\a",
    "\\*",
    "\\?",
    "\\[",
    "\\\\",
    "\\",
    "\\/",
    "!",
    "#",
    " ",
    "\\ ",
    "-",
    "\xc3\xa4",
    "[\x80-\xff]",
    "a*",
    "*b",
    "[/]",
    "[a/b]",
    "\\**",
    "**\\/",
    "\r",
    "\t",
    "{a,b}",
    "~",
    "[^]]",
    "[a-c-e]",
    "[--0]",
    "[+--]",
    "[[:upper:][:digit:]]",
    "[[:cntrl:]]",
    "[[:graph:]]",
    "[[:print:]]",
    "[[:blank:]]",
    "[[:xdigit:]]",
    "[[:lower:]]",
    "[[:alnum:]]",
};

static void add_rule(struct ag_buffer *out, unsigned *seed)
{
    unsigned count = 1 + chance(seed, 4);

    if (chance(seed, 6) == 0)
        ag_buffer_text(out, "!");
    if (chance(seed, 5) == 0)
        ag_buffer_text(out, "/");
    /* The first ones are the common ones. */
    for (unsigned i = 0; i < count; i++)
        ag_buffer_text(
            out, rule_pieces[chance(
                     seed, chance(seed, 3) > 0 ? 20 : sizeof rule_pieces / sizeof *rule_pieces)]);
    if (chance(seed, 4) == 0)
        ag_buffer_text(out, "/");
    ag_buffer_text(out, chance(seed, 8) == 0 ? "  \n" : chance(seed, 12) == 0 ? "\r\n" : "\n");
}

static void put_rules(const char *folder, unsigned *seed)
{
    struct ag_buffer text = ag_buffer_empty(1 << 16);
    unsigned count = 1 + chance(seed, 7);
    char path[200];

    if (chance(seed, 30) == 0)
        ag_buffer_text(&text, "\xef\xbb\xbf");
    for (unsigned i = 0; i < count; i++)
        add_rule(&text, seed);
    if (chance(seed, 6) == 0)
        text.size--; /* no newline in the end */
    snprintf(path, sizeof path, "%s/.gitignore", folder);
    stage_put(path, text.data, text.size);
    ag_buffer_free(&text);
}

static void make_tree(const char *folder, unsigned *seed, unsigned depth)
{
    static const char *const names[] = {"a",   "b",     "c",     "ab",  "aa", "abc", "a.b",
                                        ".a",  "a b",   "#a",    "!a",  "a*", "[a",  "a]",
                                        "-",   "a\\",   " ",     "B",   "1",  "~",   "\xc3\xa4",
                                        "\tb", "{a,b}", "a\x01", "acb", "ba"};
    bool used[sizeof names / sizeof *names] = {false};
    unsigned count = 2 + chance(seed, 5);
    char path[200];

    snprintf(path, sizeof path, "%s/%s", stage_folder, folder);
    assert_int_equal(mkdir(path, 0700), 0);
    if (depth == 0 || chance(seed, 6) == 0)
        put_rules(folder, seed);
    for (unsigned i = 0; i < count; i++) {
        /* Mostly the simple ones. */
        unsigned name =
            chance(seed, 2) == 0 ? chance(seed, 6) : chance(seed, sizeof names / sizeof *names);

        if (used[name])
            continue;
        used[name] = true;
        snprintf(path, sizeof path, "%s/%s", folder, names[name]);
        if (depth < 4 && chance(seed, 2) == 0)
            make_tree(path, seed, depth + 1);
        else
            stage_put(path, "x", 1);
    }
}

/* Each sort of pattern once, against the same tree; git looks at all of them at once. */
static void every_sort_of_pattern_means_what_it_means_to_git(void **state)
{
    static const char *const patterns[] = {
        "x?y",       "/x?y",      "/x[!q]y",     "/x[/]y",      "/x*y",        "x/?",
        "x[!q]y",    "x[/]y",     "x[.-0]y",     "*y",          "x*y",         "*/y",
        "x/*",       "x/**",      "x/**/b",      "**/b",        "/**/b",       "**/b/",
        "a/",        "/a",        "/x/a",        "x/a/",        "foo**/bar",   "foo**",
        "/foo**",    "foo/**bar", "foo/***/bar", "**foo",       "**/*r",       "**/**/b",
        "x/**\\/b",  "x\\/y",     "[a-\\c]",     "[\\a-c]",     "[]a]",        "[!]a]",
        "[a-]",      "[^a-c]",    "[c-a]",       "[[:alpha:]]", "[[:no:]]",    "[[:alpha:",
        "[a",        "a[",        "a\\",         "\\a",         "a\\ ",        "a  ",
        "a\t",       "a\r",       "*\n!a",       "*\n!*/",      "*\n!x\n!x/a", "x\n!x/y",
        "x/*\n!x/y", "\\!a",      "\\#a",        "#a",          "!a",          "/",
        "//",        "/*",        "/*/",         "*/",          "**",          "a*b*c",
        "*a*b*c*",   "?",         "??",          "[[:]a]",      "[a-c-e]",     "x//y",
        "./a",       "x/../a",
    };
    char name[64];

    (void)state;
    needs_git();
    stage_run(
        "rm -rf sorts && git init -q sorts && mkdir sorts/t && cd sorts/t && "
        "mkdir -p x/a x/b foo/x foox d/foo a && touch a/b b c ab abc a-c aXbXc foobar fooxbar "
        "x/y xzy x.y x/a/b x/b/b x/b/c foo/bar foo/x/bar foox/bar d/foo/bar d/y d/b - e "
        "']' '[' 'a ' '!a' '#a' 'a\\' : y && cd .. && mkdir n && mv t n/t");
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        stage_run("cd sorts/n && cp -r t ../%03zu", i);
        snprintf(name, sizeof name, "sorts/%03zu/.gitignore", i);
        stage_put(name, patterns[i], strlen(patterns[i]));
    }
    agrees_with_git("sorts");
}

/* A directory of the tree as the source; git lists nothing of one that is ignored, we do. */
static unsigned agrees_inside(unsigned number)
{
    char *ignored, folder[32];

    snprintf(folder, sizeof folder, "chance/%03u", number);
    ignored = stage_ask("cd chance && git check-ignore %03u || true", number);
    if (ignored[0] == '\0')
        agrees_with_git(folder);
    number = ignored[0] == '\0';
    free(ignored);
    return number;
}

/* Each of many directories has rules and a tree of its own; git looks at all of them at once. */
static void rules_of_chance_mean_what_they_mean_to_git(void **state)
{
    const char *more = getenv("ARGOSY_IGNORE_SEEDS");
    unsigned seeds = more != NULL ? (unsigned)strtoul(more, NULL, 10) : 3, ignored = 0, files = 0,
             parts = 0;

    (void)state;
    needs_git();
    for (unsigned seed = 1; seed <= seeds; seed++) {
        unsigned chances = seed;
        struct walked walked;
        char folder[32];

        stage_run("rm -rf chance && git init -q chance");
        for (unsigned i = 0; i < 150; i++) {
            snprintf(folder, sizeof folder, "chance/%03u", i);
            make_tree(folder, &chances, 0);
        }
        put_rules("chance", &chances);
        agrees_with_git("chance");
        for (unsigned i = 0; i < 8; i++)
            parts += agrees_inside(chance(&chances, 150));
        walked = walk_below("chance", ".");
        for (size_t i = 0; i < walked.ignored.size; i++)
            ignored += walked.ignored.data[i] == '\n';
        for (size_t i = 0; i < walked.files.size; i++)
            files += walked.files.data[i] == '\n';
        walked_free(&walked);
    }
    print_message("%u entries ignored, %u files not, as git has it\n", ignored, files);
    assert_true(parts >= seeds);
    assert_true(ignored > 100 * seeds && files > 100 * seeds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_at_every_level_hold),
        cmocka_unit_test(the_repository_around_is_asked_and_none_beyond_the_roots),
        cmocka_unit_test(what_is_named_is_counted_and_what_lies_in_it_follows_the_rules),
        cmocka_unit_test(a_repository_inside_has_rules_of_its_own),
        cmocka_unit_test(a_linked_work_tree_has_the_excludes_of_its_repository),
        cmocka_unit_test(odd_files_of_rules_hold_none_and_do_not_block),
        cmocka_unit_test(a_job_counts_what_is_ignored_and_archives_are_refused),
        cmocka_unit_test(rules_beyond_a_limit_are_told_and_do_not_hold),
        cmocka_unit_test(hostile_rules_take_bounded_time),
        cmocka_unit_test(every_sort_of_pattern_means_what_it_means_to_git),
        cmocka_unit_test(rules_of_chance_mean_what_they_mean_to_git),
    };

    return cmocka_run_group_tests(tests, stage_set_up, stage_tear_down);
}
