/* robots.txt: what it says, what the answer to it means, and that nobody is harmed by reading it.
 */
#include "tests/unit/cmocka_prelude.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/random.h"
#include "worker/fetch/robots.h"

enum {
    BYTES_RUNS = 3000,    /* files of random bytes */
    PATTERN_RUNS = 60000, /* files of random patterns, against a model */
    PATTERNS_MAX = 4,
    HOSTILE_MS_MAX = 5000 /* under a sanitizer on a busy machine; without the bounds it is hours */
};

static robots_t *read_bytes(struct ag_bytes bytes)
{
    struct argosy_error err = {0};
    robots_t *robots;

    assert_ok(robots_new(&robots, bytes, "argosy", &err));
    return robots;
}

static robots_t *read_text(const char *text)
{
    return read_bytes(ag_bytes_of_text(text));
}

static bool allows(const char *text, const char *path)
{
    robots_t *robots = read_text(text);
    bool is_allowed = robots_allows(robots, path);

    robots_destroy(&robots);
    return is_allowed;
}

/* Paths divided by spaces, each with + (allowed) or - (refused) in front. */
static void check(const char *text, const char *paths)
{
    robots_t *robots = read_text(text);
    char copy[1024], *rest = NULL;

    assert_true(strlen(paths) < sizeof copy);
    strcpy(copy, paths);
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        assert_true(word[0] == '+' || word[0] == '-');
        if (robots_allows(robots, word + 1) != (word[0] == '+'))
            fail_msg("%s is %s by:\n%s", word + 1, word[0] == '+' ? "refused" : "allowed", text);
    }
    robots_destroy(&robots);
}

static void the_examples_of_the_rfc_hold(void **state)
{
    (void)state;
    /* 2.2.1: groups of the same name are one; without one of ours that of * counts */
    check("user-agent: Argosy\ndisallow: /foo\ndisallow: /bar\n\n"
          "user-agent: Argosy\ndisallow: /baz\n",
          "-/foo -/bar -/baz +/quz");
    check("user-agent: *\ndisallow: /foo\ndisallow: /bar\n\nuser-agent: BazBot\ndisallow: /baz\n",
          "-/foo -/bar +/baz");
    /* 2.2.2 */
    check("user-agent: *\ndisallow: /\nallow: /foo/bar?baz=quz\n"
          "allow: /foo/bar?baz=https://foo.bar\nallow: /foo/bar/\xe3\x83\x84\n"
          "allow: /foo/bar/%62%61%7A\n",
          "+/foo/bar?baz=quz +/foo/bar?baz=https%3A%2F%2Ffoo.bar "
          "+/foo/bar?baz=https://foo.bar +/foo/bar/%E3%83%84 +/foo/bar/%e3%83%84 "
          "+/foo/bar/\xe3\x83\x84 +/foo/bar/baz -/foo/bar/ba -/foo/bar?baz=http");
    check("user-agent: *\ndisallow: /\nallow: /foo/bar?baz=https%3A%2F%2Ffoo.bar\n",
          "+/foo/bar?baz=https%3a%2F%2ffoo.bar +/foo/bar?baz=https://foo.bar");
    /* 2.2.3 */
    check("user-agent: *\ndisallow: /\nallow: /this/path/exactly$\nallow: /that/*/exactly # why\n"
          "allow: /path/file-with-a-%2A.html\nallow: /path/foo-%24\n",
          "+/this/path/exactly -/this/path/exactly2 +/that/a/b/exactly +/that//exactly/c "
          "-/that/exactly +/path/file-with-a-*.html +/path/file-with-a-%2a.html "
          "-/path/file-with-a-b.html +/path/foo-$ +/path/foo-%24 +/path/foo-$bar -/path/foo-");
    /* 5.1, 5.2 */
    check("User-agent: *\nDisallow: *.gif$\nDisallow: /example/\nAllow: /publications/\n\n"
          "User-Agent: foobot\nDisallow:/\nAllow:/example/page.html\n\n"
          "User-Agent: barbot\nUser-Agent: bazbot\nDisallow: /example/page.html\n",
          "-/a.gif +/a.gif?b -/example/page.html +/publications/x +/x.html");
    check("User-Agent: argosy\nDisallow:/\nAllow:/example/page.html\n"
          "Allow:/example/allowed.gif\n\nUser-agent: *\nAllow: /\n",
          "-/ -/example/ +/example/page.html +/example/allowed.gif?x");
    check("User-Agent: barbot\nUser-Agent: argosy\nDisallow: /example/page.html\n",
          "-/example/page.html +/example/");
    check("User-agent: *\nDisallow: /\n\nUser-Agent: argosy\n", "+/ +/a");
    check("User-Agent: argosy\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n",
          "-/example/page/disallowed.gif +/example/page/allowed.gif +/other");
}

static void groups_belong_to_who_is_named(void **state)
{
    (void)state;
    check("", "+/ +/a");
    check("disallow: /\n", "+/");                                  /* in no group */
    check("disallow: /a\nuser-agent: *\ndisallow: /b", "+/a -/b"); /* the first rule too */
    check("user-agent: other\ndisallow: /\n", "+/");
    check("user-agent: other\ndisallow: /\nuser-agent: *\ndisallow: /a\n", "+/ -/a");
    check("user-agent: argosy\ndisallow: /a\nuser-agent: *\ndisallow: /b\n", "-/a +/b");
    check("user-agent: *\ndisallow: /b\nuser-agent: argosy\ndisallow: /a\n", "-/a +/b");
    check("user-agent: *\nuser-agent: argosy\ndisallow: /a\nuser-agent: *\ndisallow: /b\n",
          "-/a +/b");
    check("user-agent: *\ndisallow: /a\nuser-agent: x\ndisallow: /\nuser-agent: *\ndisallow: /b\n",
          "-/a -/b +/c");
    /* any case, and what follows the name is not of interest; but it is all of the name */
    check("USER-AGENT: ARGOSY\nDISALLOW: /\n", "-/");
    check("user-agent: Argosy/2.1\ndisallow: /\n", "-/");
    check("user-agent: argosy bot\ndisallow: /\n", "-/");
    check("user-agent: argosy-bot\ndisallow: /\n", "+/");
    check("user-agent: argo\ndisallow: /\n", "+/");
    check("user-agent: myargosy\ndisallow: /\n", "+/");
    check("user-agent: * bots\ndisallow: /\n", "-/");
    check("user-agent: *bots\ndisallow: /\n", "+/");
    check("user-agent:\ndisallow: /\n", "+/");
    /* other lines do not end the names of a group, rules do, also empty ones */
    check("user-agent: argosy\nsitemap: /x\nfoo: bar\n\nuser-agent: b\ndisallow: /\n", "-/");
    check("user-agent: argosy\ncrawl-delay: 5\nuser-agent: b\ndisallow: /\n", "-/");
    check("user-agent: argosy\ndisallow:\nuser-agent: b\ndisallow: /\n", "+/");
    check("user-agent: argosy\n\n\ndisallow: /a\n\nsitemap: /x\n\ndisallow: /b\n", "-/a -/b");
}

static void the_longest_rule_wins_and_allow_in_doubt(void **state)
{
    (void)state;
    check("user-agent: *\ndisallow: /a/b\nallow: /a/\n", "+/a/ +/a/c -/a/b -/a/bc");
    check("user-agent: *\nallow: /a/b\ndisallow: /a/\n", "-/a/ -/a/c +/a/b +/a/bc");
    check("user-agent: *\ndisallow: /a\nallow: /a\n", "+/a");
    check("user-agent: *\nallow: /a\ndisallow: /a\n", "+/a");
    check("user-agent: *\nallow: /page\ndisallow: /*.html\n", "+/page -/page.html");
    check("user-agent: *\nallow: /x/page.\ndisallow: /*.html\n", "+/x/page.html -/x/y.html");
    check("user-agent: *\nallow: /$\ndisallow: /\n", "+/ -/a -/?a");
    check("user-agent: *\ndisallow: /a$\nallow: /a\n", "-/a +/ab"); /* the $ is an octet too */
    check("user-agent: *\ndisallow: /\nallow: /%61bc\ndisallow: /ab*\n", "+/abc -/abd");
    check("user-agent: *\ndisallow:\nallow:\n", "+/");
    check("user-agent: *\ndisallow: /Abc\n", "+/abc -/Abc"); /* case counts here */
}

static void patterns_have_their_wildcards(void **state)
{
    static const char fish[] = "user-agent: *\ndisallow: /fish\n";

    (void)state;
    check(fish, "-/fish -/fish.html -/fish/a -/fishes?a +/Fish +/catfish +/?id=fish");
    check("user-agent: *\ndisallow: /fish*\n", "-/fish -/fish.html -/fish/a +/catfish");
    check("user-agent: *\ndisallow: /fish/\n", "-/fish/ -/fish/?a +/fish +/fish.html");
    check("user-agent: *\ndisallow: /*.php\n",
          "-/a.php -/a/b.php?c -/a.php/ -/?a.php +/php +/a.PHP");
    check("user-agent: *\ndisallow: /*.php$\n", "-/a.php -/a/b.php +/a.php?b +/a.php5 +/a.php/");
    check("user-agent: *\ndisallow: /fish*.php\n", "-/fish.php -/fishes/a.php?b +/Fish.php");
    check("user-agent: *\ndisallow: /a$b\n", "-/a$b -/a%24bc +/a"); /* special at the end only */
    check("user-agent: *\ndisallow: /a$$\n", "-/a$ +/a +/a$$");
    check("user-agent: *\ndisallow: /a*$\n", "-/a -/abc +/b");
    check("user-agent: *\ndisallow: *\n", "-/ -/a");
    check("user-agent: *\ndisallow: **a**b$\n", "-/ab -/xaxaxbxb +/ba +/abx");
    check("user-agent: *\ndisallow: /a*a$\n", "-/aa -/aba +/a +/ab");
    check("user-agent: *\ndisallow: /*aab$\n", "-/aaab -/aabaab +/aaba");
    check("user-agent: *\ndisallow: $\ndisallow: a\ndisallow: %2Fa\n", "+/ +/a"); /* begin wrong */
}

static void paths_are_compared_in_one_form(void **state)
{
    (void)state;
    check("user-agent: *\ndisallow: /a b\n", "-/a%20b");
    check("user-agent: *\ndisallow: /a%2Fb\n", "-/a%2fb +/a/b");
    check("user-agent: *\ndisallow: /a/b\n", "+/a%2Fb");
    check("user-agent: *\ndisallow: /a%3Fb\n", "-/a%3fb +/a?b");
    check("user-agent: *\ndisallow: /a%3Fb%2Fc\n", "-/a%3fb%2fc +/a%3fb/c +/a?b/c");
    check("user-agent: *\ndisallow: /?a=%26b\n", "-/?a=%26b +/?a=&b");
    check("user-agent: *\ndisallow: /?a=b%2Bc\n", "-/?a=b%2bc +/?a=b+c");
    check("user-agent: *\ndisallow: /~a(b)\n", "-/%7Ea%28b%29 -/~a(b)");
    check("user-agent: *\ndisallow: /100%\n", "-/100% -/100%25 -/100%zz");
    check("user-agent: *\ndisallow: /a%zz\n", "-/a%zz -/a%25zz +/a%");
    check("user-agent: *\ndisallow: /*/b=c:d\n", "-/a/b=c%3Ad");
    check("user-agent: *\ndisallow: /a\nallow: /a#b\n", "+/a"); /* a comment: the same pattern */
    check("user-agent: *\ndisallow: /a$\n", "-/a#fragment");
    check("user-agent: *\ndisallow: /?\n", "-/?a -?a");
    assert_false(allows("user-agent: *\ndisallow: /$\n", "")); /* no path is / */
    /* it may always be asked for, and nothing else that only looks like it */
    check("user-agent: *\ndisallow: /\n", "+/robots.txt -/robots.txt2 -/a/robots.txt -/Robots.txt");
}

static void lines_are_read_as_people_write_them(void **state)
{
    static const char bom[] = "\xef\xbb\xbfuser-agent: *\ndisallow: /a\n";

    (void)state;
    check(bom, "-/a +/b");
    check("\xef\xbbuser-agent: *\ndisallow: /a\n", "+/a"); /* half of it is garbage in that line */
    check("user-agent: *\rdisallow: /a\rdisallow: /b", "-/a -/b");
    check("user-agent: *\r\ndisallow: /a\r\n\r\ndisallow: /b\r\n", "-/a -/b");
    check("user-agent: *\n\rdisallow: /a\r\r\n\ndisallow: /b", "-/a -/b");
    check(" \tuser-agent\t : \t* \t\n\tdisallow : /a \t \n", "-/a");
    check("user-agent:*\ndisallow:/a#b\n#disallow: /c\ndisallow: /d # e\n", "-/a +/c -/d");
    check("user-agent *\ndisallow /a\ndisallow\t \t/b\n", "-/a -/b");
    check("user-agent: *\ndisallow /a /b\ndisallow/c\ndisallow\n", "+/a +/a%20/b +/c");
    check("user-agent: *\n: /a\n:\nallow\n:::\ndisallow: /b\n", "+/a -/b");
    check("useragent: *\ndissallow: /a\nDisalow: /b\n", "-/a -/b");
    check("user agent: *\ndisallowed: /a\ndisallow-not: /b\n", "+/a +/b");
    check("user-agent: *\n<html><body>disallow: /a</body>\nno-index: /b\n", "+/a +/b");
    check("user-agent: *\ndisallow: /a:b\n", "-/a:b +/a");
}

static void zeros_and_control_characters_are_like_others(void **state)
{
    static const char text[] = "user-agent: *\ndisallow: /a\0b\ndisa\0llow: /c\ndisallow: /d\n";
    robots_t *robots = read_bytes(ag_bytes_of(text, sizeof text - 1));

    (void)state;
    assert_true(robots_allows(robots, "/a"));
    assert_false(robots_allows(robots, "/a%00b"));
    assert_true(robots_allows(robots, "/c"));
    assert_false(robots_allows(robots, "/d"));
    robots_destroy(&robots);
}

static void the_delay_is_that_of_our_group(void **state)
{
    static const struct {
        const char *text;
        int64_t delay_ms;
    } samples[] = {
        {"user-agent: *\ncrawl-delay: 10\n", 10000},
        {"user-agent: *\nCrawl-Delay:0.5 # gentle\n", 500},
        {"user-agent: *\ncrawl-delay: 1.2345\n", 1234},
        {"user-agent: *\ncrawl-delay: 2.\n", 2000},
        {"user-agent: *\ncrawl-delay: 299.9999\n", 299999},
        {"user-agent: *\ncrawl-delay: 86400\n", ROBOTS_DELAY_MS_MAX},
        {"user-agent: *\ncrawl-delay: 999999999\n", ROBOTS_DELAY_MS_MAX},
        {"user-agent: *\ncrawl-delay: 2\ncrawl-delay: 3\ncrawl-delay: 1\n", 3000},
        {"user-agent: *\ncrawl-delay: 2\nuser-agent: argosy\ncrawl-delay: 1\n", 1000},
        {"user-agent: argosy\ncrawl-delay: 1\nuser-agent: *\ncrawl-delay: 2\ndisallow:\n", 2000},
        {"user-agent: argosy\ndisallow:\nuser-agent: *\ncrawl-delay: 2\n", 0},
        {"user-agent: argosy\nuser-agent: *\ncrawl-delay: 2\n", 2000},
        {"user-agent: *\ndisallow: /\ncrawl-delay: 2\n", 2000},
        {"user-agent: other\ncrawl-delay: 2\n", 0},
        {"crawl-delay: 2\n", 0},
        {"user-agent: *\ncrawl-delay:\n", 0},
        {"user-agent: *\ncrawl-delay: -1\n", 0},
        {"user-agent: *\ncrawl-delay: .5\n", 0},
        {"user-agent: *\ncrawl-delay: 1e3\n", 0},
        {"user-agent: *\ncrawl-delay: 10s\n", 0},
        {"user-agent: *\ncrawl-delay: 1.5.5\n", 0},
        {"user-agent: *\ncrawl-delay: 9999999999999999999999\n", 0},
        {"", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        robots_t *robots = read_text(samples[i].text);

        if (robots_delay_ms(robots) != samples[i].delay_ms)
            fail_msg("%lld ms by:\n%s", (long long)robots_delay_ms(robots), samples[i].text);
        robots_destroy(&robots);
    }
}

static void an_agent_is_letters_hyphens_and_underscores(void **state)
{
    static const char *const wrong[] = {"", "argosy/1.0", "*", "a b", "argosy2", "\xc3\xa4"};
    struct argosy_error err = {0};
    robots_t *robots;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_fails(robots_new(&robots, ag_bytes_of("", 0), wrong[i], &err), ARGOSY_EINVAL);
        assert_null(robots);
        assert_int_equal(err.code, ARGOSY_EINVAL);
    }
    assert_ok(robots_new(&robots, (struct ag_bytes){0}, "Ar-go_sy", &err));
    assert_true(robots_allows(robots, "/"));
    robots_destroy(&robots);
    robots_destroy(&robots);
}

static void an_answer_means_what_the_rfc_says(void **state)
{
    static const struct {
        int status;
        unsigned redirects;
        enum robots_meaning meaning;
    } samples[] = {
        {200, 0, ROBOTS_HAS_RULES},      {200, 5, ROBOTS_HAS_RULES},
        {206, 0, ROBOTS_HAS_RULES},      {299, 0, ROBOTS_HAS_RULES},
        {200, 6, ROBOTS_IS_ABSENT},      {302, 6, ROBOTS_IS_ABSENT},
        {302, 5, ROBOTS_IS_ABSENT},      {304, 0, ROBOTS_IS_ABSENT},
        {400, 0, ROBOTS_IS_ABSENT},      {401, 0, ROBOTS_IS_ABSENT},
        {404, 3, ROBOTS_IS_ABSENT},      {429, 0, ROBOTS_IS_ABSENT},
        {499, 0, ROBOTS_IS_ABSENT},      {500, 0, ROBOTS_IS_UNREACHABLE},
        {503, 5, ROBOTS_IS_UNREACHABLE}, {599, 0, ROBOTS_IS_UNREACHABLE},
        {600, 0, ROBOTS_IS_UNREACHABLE}, {0, 0, ROBOTS_IS_UNREACHABLE},
        {0, 5, ROBOTS_IS_UNREACHABLE},   {101, 0, ROBOTS_IS_UNREACHABLE},
        {199, 0, ROBOTS_IS_UNREACHABLE}, {-1, 0, ROBOTS_IS_UNREACHABLE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        if (robots_meaning(samples[i].status, samples[i].redirects) != samples[i].meaning)
            fail_msg("status %d after %u redirects", samples[i].status, samples[i].redirects);
}

/* ---- bounds --------------------------------------------------------------------------------- */

/* `last` begins `before` bytes before the end of what is read. */
static robots_t *read_padded(size_t before, const char *last)
{
    struct ag_buffer text = ag_buffer_empty(2 * ROBOTS_BYTES_MAX);
    robots_t *robots;

    ag_buffer_text(&text, "user-agent: *\ndisallow: /first\n");
    while (text.size < ROBOTS_BYTES_MAX - before - 1)
        ag_buffer_append(&text, "#", 1);
    ag_buffer_text(&text, "\n");
    ag_buffer_text(&text, last);
    assert_false(text.failed);
    robots = read_bytes(ag_buffer_bytes(&text));
    ag_buffer_free(&text);
    return robots;
}

static void what_is_too_much_is_left_out_by_whole_lines(void **state)
{
    static const char last[] = "disallow: /last\ndisallow: /too-late\n";
    size_t line = strlen("disallow: /last");

    (void)state;
    for (size_t before = 0; before <= line + 2; before++) {
        robots_t *robots = read_padded(before, last);

        assert_false(robots_allows(robots, "/first"));
        assert_int_equal(robots_allows(robots, "/last"), before < line);
        assert_true(robots_allows(robots, "/too-late"));
        assert_true(robots_allows(robots, "/l"));
        robots_destroy(&robots);
    }
}

static void a_path_that_is_too_long_is_refused_where_there_are_rules(void **state)
{
    char *path = calloc(1, ROBOTS_PATH_MAX + 2);
    robots_t *robots = read_text("user-agent: *\ndisallow: /a\n"), *none = read_text("");

    (void)state;
    assert_non_null(path);
    memset(path, '\xff', ROBOTS_PATH_MAX); /* three octets each */
    path[0] = '/';
    assert_true(robots_allows(robots, path));
    path[ROBOTS_PATH_MAX] = 'b';
    assert_false(robots_allows(robots, path));
    assert_true(robots_allows(none, path));
    path[10] = '#';
    assert_true(robots_allows(robots, path));
    robots_destroy(&robots);
    robots_destroy(&none);
    free(path);
}

/* As many of `line` as are read. */
static robots_t *read_repeated(const char *first, const char *line)
{
    struct ag_buffer text = ag_buffer_empty(2 * ROBOTS_BYTES_MAX);
    robots_t *robots;

    ag_buffer_text(&text, "user-agent: *\n");
    ag_buffer_text(&text, first);
    while (text.size + strlen(line) <= ROBOTS_BYTES_MAX)
        ag_buffer_text(&text, line);
    assert_false(text.failed);
    robots = read_bytes(ag_buffer_bytes(&text));
    ag_buffer_free(&text);
    return robots;
}

/* Patterns over which a matcher that goes back would sit until the end of time, and so many of
 * them that even a linear one would hold the loop for seconds. */
static void hostile_patterns_take_no_time(void **state)
{
    static const char stars[] = "disallow: /*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b\n";
    static const char *const lines[] = {stars,
                                        "disallow:*b\n",
                                        "allow:/*aaaaaaaab$\n",
                                        "disallow: /aaaaaaaaa*aaaaaaaaab*c\n",
                                        "allow:/\n",
                                        "disallow: /*aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\n"};
    static const bool expected[] = {false, false, true, false, true, false};
    char *path = calloc(1, ROBOTS_PATH_MAX + 1);

    (void)state;
    assert_non_null(path);
    memset(path, 'a', ROBOTS_PATH_MAX);
    path[0] = '/';
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        int64_t start = ag_clock_mono_ms(), took_ms;
        robots_t *robots = read_repeated("", lines[i]);

        if (robots_allows(robots, path) != expected[i])
            fail_msg("%s", lines[i]);
        assert_true(robots_size_bytes(robots) < 4 << 20);
        robots_destroy(&robots);
        took_ms = ag_clock_mono_ms() - start;
        if (took_ms > HOSTILE_MS_MAX)
            fail_msg("%lld ms for %s", (long long)took_ms, lines[i]);
    }
    free(path);
}

/* Politeness, not a guess: the rule that would allow it is never reached. */
static void a_path_that_takes_too_much_work_is_refused(void **state)
{
    char *path = calloc(1, ROBOTS_PATH_MAX + 1);
    robots_t *robots = read_repeated("allow: /\n", "disallow: /*aaab\n");

    (void)state;
    assert_non_null(path);
    memset(path, 'a', ROBOTS_PATH_MAX);
    path[0] = '/';
    assert_false(robots_allows(robots, path));
    path[50] = '\0';
    assert_true(robots_allows(robots, path));
    robots_destroy(&robots);
    free(path);
}

static void a_single_pattern_may_be_all_of_the_file(void **state)
{
    static const char *const parts[] = {"*a", "*", "a*", "%", "\xff", "$", "*ab"};
    char *path = calloc(1, ROBOTS_PATH_MAX + 1);

    (void)state;
    assert_non_null(path);
    memset(path, 'a', ROBOTS_PATH_MAX);
    path[0] = '/';
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct ag_buffer text = ag_buffer_empty(2 * ROBOTS_BYTES_MAX);
        robots_t *robots;

        ag_buffer_text(&text, "user-agent: *\ndisallow: /");
        while (text.size + strlen(parts[i]) <= ROBOTS_BYTES_MAX)
            ag_buffer_text(&text, parts[i]);
        assert_false(text.failed);
        robots = read_bytes(ag_buffer_bytes(&text));
        assert_int_equal(robots_allows(robots, path), strcmp(parts[i], "*") != 0);
        robots_destroy(&robots);
        ag_buffer_free(&text);
    }
    free(path);
}

/* ---- any bytes, and a model -------------------------------------------------------------------
 */

static void any_bytes_are_read_without_harm(void **state)
{
    static const char *const words[] = {
        "user-agent",       "\ndisallow:", "\nallow:", "crawl-delay", ":", "*", "$",   "/",
        "argosy",           "\n",          "\r",       " ",           "#", "%", "%2F", "1",
        "\nuser-agent: *\n"};
    struct ag_random random;
    unsigned refused = 0;

    (void)state;
    ag_random_seed(&random, 7);
    for (int run = 0; run < BYTES_RUNS; run++) {
        size_t size = ag_random_below(&random, 2000), i = 0;
        uint8_t *bytes = malloc(size + 1); /* exact, for the sanitizer */
        char path[64] = "/";
        robots_t *robots;

        assert_non_null(bytes);
        while (i < size) {
            const char *word = words[ag_random_below(&random, sizeof words / sizeof *words)];

            if (run % 3 == 0 || ag_random_below(&random, 8) == 0 || strlen(word) > size - i) {
                ag_random_fill(&random, &bytes[i++], 1);
            } else {
                memcpy(&bytes[i], word, strlen(word));
                i += strlen(word);
            }
        }
        bytes = realloc(bytes, size > 0 ? size : 1);
        assert_non_null(bytes);
        robots = read_bytes(ag_bytes_of(bytes, size));
        for (int ask = 0; ask < 20; ask++) {
            ag_random_fill(&random, path + 1, ag_random_below(&random, sizeof path - 1));
            path[sizeof path - 1] = '\0';
            refused += !robots_allows(robots, path);
        }
        assert_true(robots_delay_ms(robots) >= 0);
        assert_true(robots_delay_ms(robots) <= ROBOTS_DELAY_MS_MAX);
        robots_destroy(&robots);
        free(bytes);
    }
    assert_true(refused > BYTES_RUNS); /* they were read, and not only skipped */
}

/* Too simple to be wrong, and slow. */
static bool model_matches(const char *pattern, const char *path)
{
    if (pattern[0] == '\0')
        return true;
    if (pattern[0] == '$' && pattern[1] == '\0')
        return path[0] == '\0';
    if (pattern[0] == '*')
        return model_matches(pattern + 1, path) ||
               (path[0] != '\0' && model_matches(pattern, path + 1));
    return pattern[0] == path[0] && model_matches(pattern + 1, path + 1);
}

struct model_rule {
    char pattern[16];
    bool is_allow;
};

static bool model_allows(const struct model_rule *rules, size_t count, const char *path)
{
    size_t longest = 0;
    bool is_allowed = true;

    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(rules[i].pattern);

        if (!model_matches(rules[i].pattern, path) || size < longest)
            continue;
        is_allowed = size > longest ? rules[i].is_allow : is_allowed || rules[i].is_allow;
        longest = size;
    }
    return is_allowed;
}

static void random_text(struct ag_random *random, const char *letters, char *out, size_t size_max)
{
    size_t size = 1 + ag_random_below(random, size_max);

    for (size_t i = 0; i < size; i++)
        out[i] = letters[ag_random_below(random, strlen(letters))];
    out[size] = '\0';
}

static void random_patterns_agree_with_a_model(void **state)
{
    struct ag_random random;
    unsigned verdicts[2] = {0};

    (void)state;
    ag_random_seed(&random, 3);
    for (int run = 0; run < PATTERN_RUNS; run++) {
        size_t count = 1 + ag_random_below(&random, PATTERNS_MAX);
        struct model_rule rules[PATTERNS_MAX];
        struct ag_buffer text = ag_buffer_empty(1024);
        robots_t *robots;

        ag_buffer_text(&text, "User-agent: *\n");
        for (size_t i = 0; i < count; i++) {
            rules[i].is_allow = ag_random_below(&random, 2);
            rules[i].pattern[0] = ag_random_below(&random, 4) ? '/' : '*';
            random_text(&random, "ab/**", rules[i].pattern + 1, 10);
            if (ag_random_below(&random, 3) == 0)
                strcat(rules[i].pattern, "$");
            ag_buffer_printf(&text, "%s: %s\n", rules[i].is_allow ? "Allow" : "Disallow",
                             rules[i].pattern);
        }
        robots = read_bytes(ag_buffer_bytes(&text));
        for (int ask = 0; ask < 8; ask++) {
            char path[16] = "/";
            bool expected;

            random_text(&random, "ab/", path + 1, 12);
            expected = model_allows(rules, count, path);
            verdicts[expected]++;
            if (robots_allows(robots, path) != expected)
                fail_msg("%s is not %d by:\n%s", path, expected, ag_buffer_as_text(&text));
        }
        robots_destroy(&robots);
        ag_buffer_free(&text);
    }
    assert_true(verdicts[0] > PATTERN_RUNS / 2 && verdicts[1] > PATTERN_RUNS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfc_hold),
        cmocka_unit_test(groups_belong_to_who_is_named),
        cmocka_unit_test(the_longest_rule_wins_and_allow_in_doubt),
        cmocka_unit_test(patterns_have_their_wildcards),
        cmocka_unit_test(paths_are_compared_in_one_form),
        cmocka_unit_test(lines_are_read_as_people_write_them),
        cmocka_unit_test(zeros_and_control_characters_are_like_others),
        cmocka_unit_test(the_delay_is_that_of_our_group),
        cmocka_unit_test(an_agent_is_letters_hyphens_and_underscores),
        cmocka_unit_test(an_answer_means_what_the_rfc_says),
        cmocka_unit_test(what_is_too_much_is_left_out_by_whole_lines),
        cmocka_unit_test(a_path_that_is_too_long_is_refused_where_there_are_rules),
        cmocka_unit_test(hostile_patterns_take_no_time),
        cmocka_unit_test(a_path_that_takes_too_much_work_is_refused),
        cmocka_unit_test(a_single_pattern_may_be_all_of_the_file),
        cmocka_unit_test(any_bytes_are_read_without_harm),
        cmocka_unit_test(random_patterns_agree_with_a_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
