/* Each width of vector finds what a look at every byte finds. */
#include "tests/unit/cmocka_prelude.h"

#include <stdlib.h>
#include <string.h>

#include "common/random.h"
#include "common/wire.h"
#include "worker/analyze/encoding.h"
#include "worker/analyze/scan.h"
#include "worker/analyze/vector.h"
#include "worker/analyze/words.h"

enum { TEXT_BYTES_MAX = 400, TEXTS = 3000, NEEDLES = 4 };

static const enum vector_width widths[] = {VECTOR_PORTABLE, VECTOR_SSE2, VECTOR_AVX2};
enum { WIDTHS = sizeof widths / sizeof *widths };

static int tear_down(void **state)
{
    (void)state;
    vector_limit(VECTOR_AVX2);
    return 0;
}

/* On the heap and as long as it is, so that a sanitizer sees who reads beyond it. */
static uint8_t *random_text(struct ag_random *random, const char *letters, size_t *size)
{
    size_t letters_count = strlen(letters);
    uint8_t *text;

    *size = ag_random_below(random, TEXT_BYTES_MAX + 1);
    text = malloc(*size + (*size == 0));
    assert_non_null(text);
    for (size_t i = 0; i < *size; i++)
        text[i] = (uint8_t)letters[ag_random_below(random, letters_count)];
    return text;
}

/* ---- scan.h ------------------------------------------------------------------------------------
 */

struct account {
    uint64_t lines[4];
    unsigned line;
};

static bool is_found(const char *set, const uint8_t *text, size_t size, size_t at)
{
    if (set[1] != '\0' && set[2] == '+' && text[at] == (uint8_t)set[0])
        return at + 1 < size && text[at + 1] == (uint8_t)set[1];
    if (set[1] != '\0' && set[2] == '+')
        set += 3;
    return memchr(set, text[at], strlen(set)) != NULL;
}

/* scan_find() by its description. */
static size_t find_by_definition(struct account *self, const uint8_t *text, size_t size,
                                 size_t from, const char *set, enum scan_paint paint)
{
    for (; from < size; from++) {
        if (is_found(set, text, size, from))
            break;
        if (!scan_is_white(text[from]) || paint == SCAN_STRING)
            self->line |= paint & (LINE_CODE | LINE_COMMENT);
        if (text[from] == '\n') {
            self->lines[self->line]++;
            self->line = LINE_BLANK;
        }
    }
    return from;
}

/* Of a set "xy+..." x counts only with y behind it. */
static struct needles needles_of(const char *set, uint8_t room[NEEDLES][VECTOR_BYTES])
{
    struct needles needles = {.spread = room};

    if (set[1] != '\0' && set[2] == '+') {
        needles_add(&needles, NEEDLES, (uint8_t)set[0]);
        needles_qualify(&needles, (uint8_t)set[1]);
        set += 3;
    }
    for (; *set != '\0'; set++)
        needles_add(&needles, NEEDLES, (uint8_t)*set);
    return needles;
}

/* Three sets, of which a block remembers two, and three paints in turn. */
static void compare_scans(const uint8_t *text, size_t size, const char *const sets[3],
                          struct ag_random *random)
{
    static const enum scan_paint paints[] = {SCAN_CODE, SCAN_COMMENT, SCAN_STRING};
    uint8_t room[3][NEEDLES][VECTOR_BYTES];
    const struct needles needles[3] = {needles_of(sets[0], room[0]), needles_of(sets[1], room[1]),
                                       needles_of(sets[2], room[2])};
    struct account account = {0};
    struct scan scan;
    size_t at = 0;

    scan_init(&scan, text, size);
    while (at < size) {
        unsigned turn = (unsigned)ag_random_below(random, 9);
        size_t from = at;

        at = find_by_definition(&account, text, size, from, sets[turn % 3], paints[turn / 3]);
        assert_int_equal(scan_find(&scan, from, &needles[turn % 3], paints[turn / 3]), at);
        if (paints[turn / 3] == SCAN_STRING && from < size)
            account.line |= LINE_CODE; /* also when nothing stands before what was looked for */
        assert_memory_equal(scan.lines, account.lines, sizeof account.lines);
        assert_int_equal(scan.line, account.line);
        at++;
    }
}

static void lines_are_the_same_at_each_width(void **state)
{
    static const char *const letters[] = {"a \n", "a \t\n\r\v\f\"/\xa0\xff", "       \n",
                                          "aaaaaaaaaaaa\n\n\"/"};
    static const char *const sets[][3] = {{"\n", "\"/", "a"},
                                          {"/", "\"\n/\xa0", " "}, /* bytes that no table holds */
                                          {"\"a+", "\na+/\xa0", "\n"},
                                          {"\n/+\"", "a/+", " a"},
                                          {"x", "\"a1", "a"}}; /* a and 1 end in the same bits */
    struct ag_random random;

    (void)state;
    ag_random_seed(&random, 1);
    for (size_t w = 0; w < WIDTHS; w++) {
        vector_limit(widths[w]);
        for (size_t i = 0; i < TEXTS; i++) {
            size_t size;
            uint8_t *text = random_text(&random, letters[i % 4], &size);

            compare_scans(text, size, sets[ag_random_below(&random, 5)], &random);
            free(text);
        }
    }
}

/* ---- words.h -----------------------------------------------------------------------------------
 */

static size_t first_word(const char *const *texts, unsigned count, const uint8_t *text, size_t from,
                         size_t to, unsigned *which)
{
    for (; from < to; from++)
        for (*which = 0; *which < count; ++*which)
            if (to - from >= strlen(texts[*which]) &&
                memcmp(text + from, texts[*which], strlen(texts[*which])) == 0)
                return from;
    return to;
}

static void words_are_the_same_at_each_width(void **state)
{
    static const char *const texts[] = {"ab",   "abba", "bab", "aabaa", "cad", "dac",
                                        "efgh", "hgf",  "ij",  "kab",   "lk"};
    static const char *const alphabets[] = {"ab", "abcdefghijkl", "abcdefghijklmnopqrst\xe1\xe2"};
    enum { TEXTS_COUNT = sizeof texts / sizeof *texts };
    struct ag_random random;

    (void)state;
    ag_random_seed(&random, 2);
    for (size_t w = 0; w < WIDTHS; w++) {
        struct words words;

        vector_limit(widths[w]);
        words_prepare(&words, texts, TEXTS_COUNT);
        for (size_t i = 0; i < TEXTS; i++) {
            unsigned which, expected;
            size_t size, from, to, at;
            uint8_t *text = random_text(&random, alphabets[i % 3], &size);

            from = ag_random_below(&random, size + 1);
            to = from + ag_random_below(&random, size - from + 1);
            at = first_word(texts, TEXTS_COUNT, text, from, to, &expected);
            assert_int_equal(words_find(&words, text, from, to, size, &which), at);
            if (at < to)
                assert_int_equal(which, expected);
            free(text);
        }
    }
}

/* ---- encoding.h --------------------------------------------------------------------------------
 */

static void compare_utf8(const uint8_t *text, size_t size)
{
    enum encoding expected = ag_is_utf8(ag_bytes_of(text, size)) ? ENCODING_UTF8 : ENCODING_LATIN1;

    for (size_t w = 0; w < WIDTHS; w++) {
        vector_limit(widths[w]);
        if (encoding_of(ag_bytes_of(text, size)) != expected)
            fail_msg("width %d, %zu bytes: %02x %02x %02x %02x", (int)w, size, text[0], text[1],
                     text[2], text[3]);
    }
}

/* Each pair of bytes with what may stand behind it, at every place of a vector and at the end. */
static void utf8_is_the_same_at_each_width(void **state)
{
    static const uint8_t behind[] = {0x00, 0x41, 0x80, 0x8f, 0x90, 0x9f,
                                     0xa0, 0xbf, 0xc2, 0xe1, 0xf1};
    enum { BEHIND = sizeof behind };
    uint8_t text[2 * TEXT_BYTES_MAX];
    struct ag_random random;

    (void)state;
    ag_random_seed(&random, 3);
    for (size_t i = 0; i < 0x10000 * BEHIND; i++) {
        const uint8_t letters[4] = {(uint8_t)(i >> 8), (uint8_t)i, behind[i >> 16],
                                    behind[ag_random_below(&random, BEHIND)]};
        size_t at = ag_random_below(&random, 140), more = ag_random_below(&random, 80);
        size_t size = 1 + ag_random_below(&random, 4);

        memset(text, 'a', sizeof text);
        memcpy(text + at, letters, size);
        compare_utf8(text, at + size + more * (i % 2));
    }
}

/* Letters of all sizes in a row, and one byte of them made another. */
static void texts_of_letters_are_judged_the_same_at_each_width(void **state)
{
    static const char *const letters[] = {
        "a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x99\x82", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"};
    struct ag_random random;

    (void)state;
    ag_random_seed(&random, 4);
    for (size_t i = 0; i < TEXTS; i++) {
        size_t size = 0, want = 4 + ag_random_below(&random, TEXT_BYTES_MAX);
        uint8_t *text = malloc(want + 4);

        assert_non_null(text);
        while (size < want) {
            const char *letter = letters[ag_random_below(&random, 6)];

            memcpy(text + size, letter, strlen(letter));
            size += strlen(letter);
        }
        size -= ag_random_below(&random, 4);
        compare_utf8(text, size);
        text[ag_random_below(&random, size)] = (uint8_t)ag_random_next(&random);
        compare_utf8(text, size);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(lines_are_the_same_at_each_width, tear_down),
        cmocka_unit_test_teardown(words_are_the_same_at_each_width, tear_down),
        cmocka_unit_test_teardown(utf8_is_the_same_at_each_width, tear_down),
        cmocka_unit_test_teardown(texts_of_letters_are_judged_the_same_at_each_width, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
