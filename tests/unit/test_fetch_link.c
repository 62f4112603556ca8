/* The next page, as a Link header tells it. */
#include "tests/unit/cmocka_prelude.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/random.h"
#include "worker/fetch/link.h"

enum { FUZZ_RUNS = 200000, FUZZ_SIZE = 64, LONG = 100000 };

/* NULL as a target: there is no next page. */
static const struct {
    const char *header, *target;
} samples[] = {
    /* the usual ones */
    {"<http://example.com/TheBook/chapter2>; rel=\"next\"; title=\"next chapter\"",
     "http://example.com/TheBook/chapter2"},
    {"</a?page=1>; rel=\"first\", </a?page=3>; rel=\"next\", </a?page=9>; rel=\"last\"",
     "/a?page=3"},
    {"</a>; rel=next", "/a"},
    {"</a>;rel=NEXT", "/a"},
    {"</a>; REL=\"Next\"", "/a"},
    {"  </a>  ;  rel  =  \"next\"  ", "/a"},
    {"\t</a>\t;\trel\t=\tnext\t", "/a"},
    {"<>; rel=next", ""},
    {"<a b>; rel=next", "a b"},
    /* relation types are words */
    {"</a>; rel=\"prev next\"", "/a"},
    {"</a>; rel=\" next  prev \"", "/a"},
    {"</a>; rel=\"next prev\"", "/a"},
    {"</a>; rel=prev next", "/a"},
    {"</a>; rel=\"ne\\xt\"", "/a"},
    {"</a>; rel=\"nextpage\"", NULL},
    {"</a>; rel=\"nextpage prev\"", NULL},
    {"</a>; rel=\"pre-next\"", NULL},
    {"</a>; rel=\"nex t\"", NULL},
    {"</a>; rel=\"http://example.com/next\"", NULL},
    {"</a>; rel=\"\"", NULL},
    {"</a>; rel=", NULL},
    {"</a>; rel", NULL},
    {"</a>", NULL},
    /* the first rel counts, and the first link that is next */
    {"</a>; rel=prev; rel=next", NULL},
    {"</a>; rel=next; rel=prev", "/a"},
    {"</a>; rel=prev, </b>; rel=next, </c>; rel=next", "/b"},
    {"</a>; rel=prev; rel=next, </b>; rel=next", "/b"},
    /* a link from somewhere else */
    {"</a>; rel=next; anchor=\"#part\"", NULL},
    {"</a>; anchor=\"/x\"; rel=next, </b>; rel=next", "/b"},
    {"</a>; Anchor=x; rel=next", NULL},
    /* what looks like the end and is not */
    {"</a,b;c>; rel=next", "/a,b;c"},
    {"</a>; title=\"x, y; rel=prev\"; rel=next", "/a"},
    {"</a>; title=\"</b>; rel=next\"; rel=prev", NULL},
    {"</a>; title=\"a \\\" b, </b>; rel=next\"; rel=last, </c>; rel=next", "/c"},
    {"</a>; title=\"a \\\", </b>; rel=next, \"; rel=last", NULL},
    {"</a>; title=\"\\\\\"; rel=next", "/a"},
    {"</a>; title*=UTF-8''n%c3%a4chste%20Seite; rel=next", "/a"},
    /* lists with nothing in some places, parameters too */
    {",, </a>; rel=next,", "/a"},
    {"</a>; rel=prev,, , </b>; rel=next", "/b"},
    {"</a>;; rel=next", "/a"},
    {"</a>; ; =x; rel=next", "/a"},
    {"</a>;", NULL},
    /* broken */
    {"", NULL},
    {",", NULL},
    {"/a; rel=next", NULL},
    {"<", NULL},
    {"</a; rel=next", NULL},
    {"</a>; rel=\"next", "/a"},
    {"</a>; rel=\"prev, </b>; rel=next", NULL},
    {"</a>; title=\"x\\", NULL},
    {"</a> rel=next, </b>; rel=next", "/b"},
    {"</a>; rel=\"prev\"junk, </b>; rel=next", "/b"},
    {"</a>; rel=prev, nonsense, </b>; rel=next", NULL},
};

static void the_next_page_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        char target[64] = "unchanged";
        int rc = link_next(samples[i].header, target, sizeof target);

        if (samples[i].target == NULL ? rc != ARGOSY_ENOTFOUND || strcmp(target, "unchanged") != 0
                                      : rc != 0 || strcmp(target, samples[i].target) != 0)
            fail_msg("%s: %s, '%s'", samples[i].header, argosy_strerror(rc), target);
    }
}

static void a_target_must_fit_with_its_end(void **state)
{
    char target[5] = "old";

    (void)state;
    assert_ok(link_next("<1234>; rel=next", target, sizeof target));
    assert_string_equal(target, "1234");
    assert_int_equal(link_next("<12345>; rel=next", target, sizeof target), ARGOSY_ETOOBIG);
    assert_string_equal(target, "1234");
    assert_int_equal(link_next("<>; rel=next", target, 0), ARGOSY_ETOOBIG);
    assert_ok(link_next("<12345>; rel=prev, <1>; rel=next", target, sizeof target));
}

/* As long as a header can be, with as much of one thing as goes in. */
static void long_headers_are_read_to_their_end(void **state)
{
    static const struct {
        const char *part;
        int rc;
    } headers[] = {
        {"<a>,", 0},           {"<a>;rel=prev,", 0},    {"<a>;rel=\"n n n n n n n n\",", 0},
        {"<a>;", 0},           {"<a>;b=\"c\\\"\";", 0}, {",", 0},
        {"<", ARGOSY_ETOOBIG}, {"<a>;b=\"", 0},         {"\\", ARGOSY_ENOTFOUND},
    };
    char *header = malloc(LONG + 32), target[8];

    (void)state;
    assert_non_null(header);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        size_t size = strlen(headers[i].part), end = 0;

        for (; end + 2 * size <= LONG; end += 2 * size) {
            memcpy(header + end, headers[i].part, size);
            memcpy(header + end + size, headers[i].part, size);
        }
        strcpy(header + end, ",<last>; rel=next");
        assert_fails(link_next(header, target, sizeof target), headers[i].rc);
        if (headers[i].rc == 0)
            assert_string_equal(target, "last");
    }
    free(header);
}

static void any_text_is_read_without_harm(void **state)
{
    static const char *const words[] = {"<",   ">",   ";",    ",",      "=", "\"", "\\",
                                        "rel", "rel", "next", "anchor", " ", "/a", "</b>;rel=next"};
    struct ag_random random;
    unsigned found = 0;

    (void)state;
    ag_random_seed(&random, 11);
    for (int run = 0; run < FUZZ_RUNS; run++) {
        size_t size = ag_random_below(&random, FUZZ_SIZE), out_size = ag_random_below(&random, 12);
        char *header = calloc(1, size + 1), *out = malloc(out_size + 1);
        int rc;

        assert_non_null(header);
        assert_non_null(out);
        for (size_t i = 0; i < size;) {
            const char *word = words[ag_random_below(&random, sizeof words / sizeof *words)];
            char octet[2] = {(char)(1 + ag_random_below(&random, 255)), '\0'};

            if (ag_random_below(&random, 8) == 0)
                word = octet;
            if (i + strlen(word) > size)
                break;
            memcpy(header + i, word, strlen(word));
            i += strlen(word);
        }
        out[out_size] = '#'; /* behind the end */
        rc = link_next(header, out, out_size);
        assert_int_equal(out[out_size], '#');
        if (rc == 0) {
            assert_true(strlen(out) < out_size);
            assert_non_null(strstr(header, out));
            found++;
        } else {
            assert_true(rc == ARGOSY_ENOTFOUND || rc == ARGOSY_ETOOBIG);
        }
        free(header);
        free(out);
    }
    assert_true(found > FUZZ_RUNS / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_page_is_found),
        cmocka_unit_test(a_target_must_fit_with_its_end),
        cmocka_unit_test(long_headers_are_read_to_their_end),
        cmocka_unit_test(any_text_is_read_without_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
