/* What comes from the network: judged by ag_wire_check(), read by ag_reader. Every input stands in
 * memory of exactly its size, so that a sanitizer sees a read beyond it. */
#include "tests/unit/cmocka_prelude.h"

#include <msgpack.h>
#include <stdlib.h>

#include "common/limits.h"
#include "common/random.h"
#include "common/wire.h"

#define BYTES(...)                                                                                 \
    ag_bytes_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static int check(struct ag_bytes bytes, size_t depth_max, size_t objects_max)
{
    uint8_t *exact = malloc(bytes.size ? bytes.size : 1);
    int rc;

    assert_non_null(exact);
    if (bytes.size > 0)
        memcpy(exact, bytes.data, bytes.size);
    rc = ag_wire_check(ag_bytes_of(exact, bytes.size), depth_max, objects_max);
    free(exact);
    return rc;
}

static int check_usual(struct ag_bytes bytes)
{
    return check(bytes, AG_WIRE_DEPTH_MAX, AG_WIRE_OBJECTS_MAX);
}

/* ---- every type ----------------------------------------------------------------------------- */

struct example {
    const char *name;
    uint8_t bytes[12];
    size_t size;  /* of `bytes` */
    size_t zeros; /* that follow them */
};

static const struct example examples[] = {
    {"nil", {0xc0}, 1, 0},
    {"false", {0xc2}, 1, 0},
    {"true", {0xc3}, 1, 0},
    {"fixint 0", {0x00}, 1, 0},
    {"fixint 127", {0x7f}, 1, 0},
    {"fixint -1", {0xff}, 1, 0},
    {"fixint -32", {0xe0}, 1, 0},
    {"uint8", {0xcc, 0xff}, 2, 0},
    {"uint16", {0xcd, 0xff, 0xff}, 3, 0},
    {"uint32", {0xce, 0xff, 0xff, 0xff, 0xff}, 5, 0},
    {"uint64", {0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 9, 0},
    {"int8", {0xd0, 0x80}, 2, 0},
    {"int16", {0xd1, 0x80, 0x00}, 3, 0},
    {"int32", {0xd2, 0x80, 0x00, 0x00, 0x00}, 5, 0},
    {"int64", {0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0}, 9, 0},
    {"float32", {0xca, 0x3f, 0xc0, 0, 0}, 5, 0},
    {"float64", {0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0}, 9, 0},
    {"fixstr 0", {0xa0}, 1, 0},
    {"fixstr 31", {0xbf}, 1, 31},
    {"str8", {0xd9, 200}, 2, 200},
    {"str16", {0xda, 0x01, 0x00}, 3, 256},
    {"str32", {0xdb, 0, 1, 0, 0}, 5, 65536},
    {"str8 of nothing", {0xd9, 0}, 2, 0},
    {"bin8", {0xc4, 255}, 2, 255},
    {"bin16", {0xc5, 0x01, 0x00}, 3, 256},
    {"bin32", {0xc6, 0, 1, 0, 0}, 5, 65536},
    {"fixext1", {0xd4, 7}, 2, 1},
    {"fixext2", {0xd5, 7}, 2, 2},
    {"fixext4", {0xd6, 7}, 2, 4},
    {"fixext8", {0xd7, 7}, 2, 8},
    {"fixext16", {0xd8, 7}, 2, 16},
    {"ext8", {0xc7, 200, 7}, 3, 200},
    {"ext8 of nothing", {0xc7, 0, 7}, 3, 0},
    {"ext16", {0xc8, 0x01, 0x00, 7}, 4, 256},
    {"ext32", {0xc9, 0, 1, 0, 0, 7}, 6, 65536},
    {"fixarray 0", {0x90}, 1, 0},
    {"fixarray 15", {0x9f}, 1, 15},
    {"array16", {0xdc, 0x01, 0x00}, 3, 256},
    {"array32", {0xdd, 0, 0, 0x01, 0x00}, 5, 256},
    {"array32 of nothing", {0xdd, 0, 0, 0, 0}, 5, 0},
    {"fixmap 0", {0x80}, 1, 0},
    {"fixmap 15", {0x8f}, 1, 30},
    {"map16", {0xde, 0x01, 0x00}, 3, 512},
    {"map32", {0xdf, 0, 0, 0x01, 0x00}, 5, 512},
    {"array in map in array", {0x91, 0x81, 0xa1, 'k', 0x92, 0xc0, 0xc4, 0x00}, 8, 0},
};
enum { EXAMPLES_COUNT = sizeof examples / sizeof examples[0] };

/* free() the data. */
static struct ag_bytes spell_out(const struct example *example)
{
    uint8_t *data = calloc(1, example->size + example->zeros + 1);

    assert_non_null(data);
    memcpy(data, example->bytes, example->size);
    return ag_bytes_of(data, example->size + example->zeros);
}

static void every_type_is_taken_whole_and_with_nothing_behind_it(void **state)
{
    (void)state;
    for (int i = 0; i < EXAMPLES_COUNT; i++) {
        struct ag_bytes bytes = spell_out(&examples[i]);
        struct ag_reader reader = ag_reader_of(bytes);
        struct ag_bytes raw = ag_read_raw(&reader);

        if (check_usual(bytes) != 0)
            fail_msg("%s is refused", examples[i].name);
        if (reader.failed || raw.data != bytes.data || raw.size != bytes.size)
            fail_msg("%s is not read as one value", examples[i].name);
        bytes.size++;
        if (check_usual(bytes) != ARGOSY_EPROTO)
            fail_msg("%s with a byte behind it is taken", examples[i].name);
        free((void *)bytes.data);
    }
}

static void every_type_is_refused_when_cut_at_any_byte(void **state)
{
    (void)state;
    for (int i = 0; i < EXAMPLES_COUNT; i++) {
        struct ag_bytes bytes = spell_out(&examples[i]);
        /* In the zeros one cut is like another; the ends of a large body are enough. */
        for (size_t size = 0; size < bytes.size; size++)
            if ((size < 700 || size + 3 > bytes.size) &&
                check_usual(ag_bytes_of(bytes.data, size)) != ARGOSY_EPROTO)
                fail_msg("%s is taken with %zu of %zu bytes", examples[i].name, size, bytes.size);
        free((void *)bytes.data);
    }
}

static void of_single_bytes_only_whole_values_are_taken(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t value = (uint8_t)byte;
        bool is_whole = byte <= 0x80 || byte == 0x90 || byte == 0xa0 || byte == 0xc0 ||
                        byte == 0xc2 || byte == 0xc3 || byte >= 0xe0;

        if ((check_usual(ag_bytes_of(&value, 1)) == 0) != is_whole)
            fail_msg("0x%02x is %s", byte, is_whole ? "refused" : "taken");
    }
}

static void what_is_absent_or_empty_is_refused_without_harm(void **state)
{
    struct ag_bytes absent = {0};
    struct ag_reader reader = ag_reader_of(absent);

    (void)state;
    assert_fails(ag_wire_check(absent, 16, 100), ARGOSY_EPROTO);
    assert_fails(check_usual(ag_bytes_of("", 0)), ARGOSY_EPROTO);
    assert_false(ag_read_is_nil(&reader));
    assert_false(reader.failed);
    assert_int_equal(ag_read_array(&reader), 0);
    assert_true(reader.failed);
    assert_true(ag_is_utf8(absent));
}

/* ---- bounds and bombs ----------------------------------------------------------------------- */

/* `levels` arrays in each other, or maps, then `core`. */
static int check_nest(size_t levels, bool is_map, struct ag_bytes core, size_t depth_max)
{
    uint8_t bytes[256];
    size_t size = 0;

    for (size_t i = 0; i < levels; i++) {
        bytes[size++] = is_map ? 0x81 : 0x91;
        if (is_map)
            bytes[size++] = 0xc0;
    }
    memcpy(bytes + size, core.data, core.size);
    return check(ag_bytes_of(bytes, size + core.size), depth_max, AG_WIRE_OBJECTS_MAX);
}

static void nesting_is_bounded(void **state)
{
    struct ag_bytes number = BYTES(0x01), empty = BYTES(0x90);

    (void)state;
    for (int is_map = 0; is_map < 2; is_map++)
        for (size_t depth_max = 1; depth_max <= AG_WIRE_DEPTH_MAX; depth_max++) {
            assert_ok(check_nest(depth_max - 1, is_map, number, depth_max));
            assert_ok(check_nest(depth_max - 1, is_map, empty, depth_max));
            assert_fails(check_nest(depth_max, is_map, number, depth_max), ARGOSY_EPROTO);
            assert_fails(check_nest(depth_max, is_map, empty, depth_max), ARGOSY_EPROTO);
        }
    /* No caller can ask for more than there is room for. */
    assert_ok(check_nest(AG_WIRE_DEPTH_MAX - 1, false, number, SIZE_MAX));
    assert_fails(check_nest(AG_WIRE_DEPTH_MAX, false, number, SIZE_MAX), ARGOSY_EPROTO);
    assert_fails(check_nest(100, true, number, SIZE_MAX), ARGOSY_EPROTO);
}

static void the_number_of_values_is_bounded(void **state)
{
    uint8_t bytes[3 + 300] = {0xdc, 300 >> 8, 300 & 255};

    (void)state;
    assert_ok(check(ag_bytes_of(bytes, sizeof bytes), 16, 301));
    assert_fails(check(ag_bytes_of(bytes, sizeof bytes), 16, 300), ARGOSY_EPROTO);
    assert_fails(check(BYTES(0x01), 16, 0), ARGOSY_EPROTO);
    assert_ok(check(BYTES(0xd9, 3, 'a', 'b', 'c'), 16, 1)); /* a body is no value */
}

static void bombs_are_refused(void **state)
{
    static const uint8_t heads[] = {0xdd, 0xdf, 0xdc, 0xde, 0x9f, 0x8f, 0xc6, 0xc9, 0xdb};

    (void)state;
    for (size_t h = 0; h < sizeof heads; h++) {
        uint8_t bytes[155]; /* 31 heads of five bytes: enough to ask others for 254 GB */

        for (size_t i = 0; i < sizeof bytes; i += 5)
            memcpy(bytes + i, (uint8_t[]){heads[h], 0xff, 0xff, 0xff, 0xff}, 5);
        assert_fails(check_usual(ag_bytes_of(bytes, sizeof bytes)), ARGOSY_EPROTO);
        if (heads[h] != 0xdd && heads[h] != 0xdf)
            continue;
        for (size_t i = 0; i < sizeof bytes; i += 5) { /* counts that the bytes could hold */
            bytes[i + 1] = bytes[i + 2] = bytes[i + 3] = 0;
            bytes[i + 4] = (uint8_t)(sizeof bytes - i - 5);
        }
        assert_fails(check_usual(ag_bytes_of(bytes, sizeof bytes)), ARGOSY_EPROTO);
    }
    /* 2^31 pairs are 2^32 values: the count must not wrap to nothing. */
    assert_fails(check_usual(BYTES(0xdf, 0x80, 0, 0, 0)), ARGOSY_EPROTO);
    assert_fails(check_usual(BYTES(0xc9, 0xff, 0xff, 0xff, 0xff)), ARGOSY_EPROTO);
}

/* ---- the reader ----------------------------------------------------------------------------- */

static void numbers_are_read_in_every_encoding_that_holds_them(void **state)
{
    static const struct example fives[] = {
        {"fixint", {5}, 1, 0},
        {"uint8", {0xcc, 5}, 2, 0},
        {"uint16", {0xcd, 0, 5}, 3, 0},
        {"uint32", {0xce, 0, 0, 0, 5}, 5, 0},
        {"uint64", {0xcf, 0, 0, 0, 0, 0, 0, 0, 5}, 9, 0},
        {"int8", {0xd0, 5}, 2, 0},
        {"int16", {0xd1, 0, 5}, 3, 0},
        {"int32", {0xd2, 0, 0, 0, 5}, 5, 0},
        {"int64", {0xd3, 0, 0, 0, 0, 0, 0, 0, 5}, 9, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof fives / sizeof fives[0]; i++) {
        struct ag_bytes bytes = ag_bytes_of(fives[i].bytes, fives[i].size);
        struct ag_reader reader = ag_reader_of(bytes);

        if (ag_read_whole(&reader, 5) != 5 || reader.failed || reader.at != reader.end)
            fail_msg("5 as %s is not read", fives[i].name);
        reader = ag_reader_of(bytes);
        if (ag_read_whole(&reader, 4) != 0 || !reader.failed)
            fail_msg("5 as %s is read where 4 is the most", fives[i].name);
    }
}

static void numbers_keep_their_value_up_to_the_largest(void **state)
{
    (void)state;
    for (int bit = 0; bit < 64; bit++)
        for (int less = 0; less < 2; less++) {
            uint64_t value = (UINT64_C(1) << bit) - (uint64_t)less;
            uint8_t bytes[9] = {0xcf};
            struct ag_reader reader;

            for (int i = 0; i < 8; i++)
                bytes[1 + i] = (uint8_t)(value >> (56 - 8 * i));
            reader = ag_reader_of(ag_bytes_of(bytes, sizeof bytes));
            assert_true(ag_read_whole(&reader, UINT64_MAX) == value && !reader.failed);
        }
}

static void what_was_not_asked_for_is_refused(void **state)
{
    (void)state;
    for (int i = 0; i < EXAMPLES_COUNT; i++) {
        const uint8_t *first = examples[i].bytes;
        struct ag_bytes bytes = spell_out(&examples[i]);
        struct ag_reader r;
        bool is_whole = first[0] < 0x80 || (first[0] >= 0xcc && first[0] <= 0xcf);
        bool is_text =
            (first[0] >= 0xa0 && first[0] < 0xc0) || (first[0] >= 0xd9 && first[0] <= 0xdb);
        bool is_bin = first[0] >= 0xc4 && first[0] <= 0xc6;
        bool is_array =
            (first[0] >= 0x90 && first[0] < 0xa0) || first[0] == 0xdc || first[0] == 0xdd;
        bool is_map = (first[0] >= 0x80 && first[0] < 0x90) || first[0] == 0xde || first[0] == 0xdf;

#define REFUSED_UNLESS(is_right, read)                                                             \
    do {                                                                                           \
        r = ag_reader_of(bytes);                                                                   \
        (void)(read);                                                                              \
        if (r.failed == (is_right))                                                                \
            fail_msg("%s: %s %s", examples[i].name, #read, r.failed ? "fails" : "succeeds");       \
    } while (0)
        REFUSED_UNLESS(is_whole, ag_read_whole(&r, UINT64_MAX));
        REFUSED_UNLESS(first[0] == 0xc2 || first[0] == 0xc3, ag_read_bool(&r));
        REFUSED_UNLESS(is_text, ag_read_text(&r, 65536));
        REFUSED_UNLESS(is_bin, ag_read_bin(&r, 65536));
        REFUSED_UNLESS(is_bin || first[0] == 0xc0, ag_read_bin_or_nil(&r, 65536));
        REFUSED_UNLESS(is_array, ag_read_array(&r));
        REFUSED_UNLESS(is_map, ag_read_map(&r));
        REFUSED_UNLESS(false, ag_read_id(&r)); /* no example has 16 bytes */
        REFUSED_UNLESS(first[0] == 0xc0, ag_read_id_or_nil(&r));
#undef REFUSED_UNLESS
        free((void *)bytes.data);
    }
}

static void truth_and_nil_are_told_apart(void **state)
{
    struct ag_reader reader = ag_reader_of(BYTES(0xc2, 0xc3, 0xc0, 0xc3));

    (void)state;
    assert_false(ag_read_bool(&reader));
    assert_true(ag_read_bool(&reader));
    assert_true(ag_read_is_nil(&reader));
    assert_false(ag_read_is_nil(&reader));
    assert_true(ag_read_bool(&reader));
    assert_true(!reader.failed && reader.at == reader.end);
}

static void texts_and_bins_have_a_largest_size(void **state)
{
    struct ag_bytes text = BYTES(0xa3, 'a', 'b', 'c'), bin = BYTES(0xc4, 2, 0xff, 0x00);
    struct ag_reader reader = ag_reader_of(text);

    (void)state;
    assert_true(ag_bytes_are(ag_read_text(&reader, 3), "abc"));
    reader = ag_reader_of(text);
    assert_null(ag_read_text(&reader, 2).data);
    assert_true(reader.failed);
    reader = ag_reader_of(bin);
    assert_true(ag_bytes_equal(ag_read_bin(&reader, 2), BYTES(0xff, 0x00)));
    reader = ag_reader_of(bin);
    assert_null(ag_read_bin(&reader, 1).data);
    assert_true(reader.failed);
}

static void ids_are_bins_of_16_bytes(void **state)
{
    uint8_t bytes[19] = {0xc4, 16, 1, 2, 3};
    struct ag_reader reader = ag_reader_of(ag_bytes_of(bytes, 18));
    struct ag_id id = ag_read_id(&reader);

    (void)state;
    assert_false(reader.failed);
    assert_memory_equal(&id, bytes + 2, 16);
    reader = ag_reader_of(BYTES(0xc0));
    id = ag_read_id_or_nil(&reader);
    assert_true(ag_id_is_zero(&id) && !reader.failed);
    for (uint8_t size = 0; size <= 17; size++) {
        bytes[1] = size;
        reader = ag_reader_of(ag_bytes_of(bytes, 2u + size));
        (void)ag_read_id(&reader);
        assert_int_equal(reader.failed, size != 16);
    }
}

static void absent_and_empty_bins_differ(void **state)
{
    struct ag_reader reader = ag_reader_of(BYTES(0xc0, 0xc4, 0));

    (void)state;
    assert_null(ag_read_bin_or_nil(&reader, 10).data);
    assert_non_null(ag_read_bin_or_nil(&reader, 10).data);
    assert_false(reader.failed);
}

static void the_first_failure_stays(void **state)
{
    struct ag_reader reader = ag_reader_of(BYTES(0x01, 0xa1, 'x', 0x02, 0x90, 0xc3, 0xc0));

    (void)state;
    assert_int_equal(ag_read_whole(&reader, 10), 1);
    assert_int_equal(ag_read_whole(&reader, 10), 0); /* a text */
    assert_true(reader.failed);
    assert_int_equal(ag_read_whole(&reader, 10), 0);
    assert_int_equal(ag_read_array(&reader), 0);
    assert_false(ag_read_bool(&reader));
    assert_false(ag_read_is_nil(&reader));
    assert_null(ag_read_text(&reader, 10).data);
    assert_null(ag_read_raw(&reader).data);
    ag_read_skip(&reader);
    assert_true(reader.failed);
}

static void skipping_stops_exactly_behind_the_value(void **state)
{
    struct ag_reader reader = ag_reader_of(BYTES(0x82, 0xa1, 'a', 0x92, 1, 2, 0xc0, 0x80, 0x2a));

    (void)state;
    ag_read_skip(&reader);
    assert_int_equal(ag_read_whole(&reader, 100), 42);
    assert_true(!reader.failed && reader.at == reader.end);
}

/* ---- UTF-8 ---------------------------------------------------------------------------------- */

/* By the definition: decode, then ask whether this was the only and shortest way to say it. */
static bool is_utf8_by_definition(const uint8_t *at, size_t size)
{
    while (size > 0) {
        static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        uint32_t point;
        size_t more = *at < 0x80 ? 0 : (*at & 0xe0) == 0xc0 ? 1 : (*at & 0xf0) == 0xe0 ? 2 : 3;

        if (*at >= 0xf8 || (*at & 0xc0) == 0x80 || more >= size)
            return false;
        point = more == 0 ? *at : *at & (0x3fu >> more);
        for (size_t i = 1; i <= more; i++) {
            if ((at[i] & 0xc0) != 0x80)
                return false;
            point = point << 6 | (at[i] & 0x3f);
        }
        if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
            return false;
        at += more + 1;
        size -= more + 1;
    }
    return true;
}

static void compare_utf8(const uint8_t *text, size_t size)
{
    if (ag_is_utf8(ag_bytes_of(text, size)) != is_utf8_by_definition(text, size))
        fail_msg("%02x %02x %02x %02x (%zu bytes) is judged wrongly", text[0], text[1], text[2],
                 text[3], size);
}

static void texts_are_judged_as_utf8_is_defined(void **state)
{
    struct ag_random random;
    uint8_t text[4] = {0};

    (void)state;
    for (uint32_t i = 0; i < 1u << 24; i++) { /* all of one, two and three bytes */
        text[0] = (uint8_t)(i >> 16), text[1] = (uint8_t)(i >> 8), text[2] = (uint8_t)i;
        if ((i & 0xffff) == 0)
            compare_utf8(text, 1);
        if ((i & 0xff) == 0)
            compare_utf8(text, 2);
        if (text[0] >= 0xe0 || i % 17 == 0) /* three that begin otherwise are one and two */
            compare_utf8(text, 3);
    }
    for (uint32_t first = 0xf0; first < 0xf8;
         first++) /* all second bytes, the ends of the others */
        for (uint32_t second = 0; second < 256; second++)
            for (uint32_t i = 0; i < 16; i++) {
                static const uint8_t ends[] = {0x7f, 0x80, 0xbf, 0xc0};

                text[0] = (uint8_t)first, text[1] = (uint8_t)second;
                text[2] = ends[i / 4], text[3] = ends[i % 4];
                compare_utf8(text, 4);
            }
    ag_random_seed(&random, 8);
    for (int i = 0; i < 1000000; i++) {
        uint8_t more[12];

        ag_random_fill(&random, more, sizeof more);
        for (size_t j = 0; j < sizeof more; j++)
            more[j] = more[j] < 0x60 ? more[j] : more[j] | 0x80; /* mostly not ASCII */
        compare_utf8(more, ag_random_below(&random, sizeof more + 1));
    }
}

static void text_that_is_not_utf8_is_refused_and_its_bin_is_not(void **state)
{
    struct ag_reader reader = ag_reader_of(BYTES(0xa2, 0xc0, 0x80));

    (void)state;
    assert_null(ag_read_text(&reader, 10).data);
    assert_true(reader.failed);
    reader = ag_reader_of(BYTES(0xc4, 2, 0xc0, 0x80));
    assert_int_equal(ag_read_bin(&reader, 10).size, 2);
    reader = ag_reader_of(BYTES(0xa2, 0xc3)); /* cut inside of the character */
    assert_null(ag_read_text(&reader, 10).data);
}

/* ---- against others ------------------------------------------------------------------------- */

/* How long the value at `at` is, straight from the format's table; 0 if it is not sound. */
static size_t size_by_definition(const uint8_t *at, size_t size, unsigned level, unsigned *objects)
{
    size_t head = 1, body = 0, values = 0, used;
    uint8_t first = size > 0 ? at[0] : 0xc1;

    if (first == 0xc1 || level > AG_WIRE_DEPTH_MAX)
        return 0;
    ++*objects;
    if (first >= 0x80 && first <= 0x8f)
        values = 2 * (first & 15u);
    else if (first >= 0x90 && first <= 0x9f)
        values = first & 15;
    else if (first >= 0xa0 && first <= 0xbf)
        body = first & 31;
    else if (first >= 0xc4 && first <= 0xdf) {
        static const uint8_t widths[] = {1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8, 1, 2,
                                         4, 8, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4};
        size_t width = widths[first - 0xc4], number = 0;

        head += width;
        if (size < head)
            return 0;
        for (size_t i = 0; i < width && (first < 0xca || first > 0xd3); i++)
            number = number << 8 | at[1 + i];
        if (first <= 0xc6 || (first >= 0xd9 && first <= 0xdb))
            body = number;
        else if (first <= 0xc9)
            body = number + 1;
        else if (first >= 0xd4 && first <= 0xd8)
            body = 1 + ((size_t)1 << (first - 0xd4));
        else if (first == 0xdc || first == 0xdd)
            values = number;
        else if (first >= 0xde)
            values = 2 * number;
    }
    if (body > size - head)
        return 0;
    for (used = head + body; values > 0; values--) {
        size_t one = size_by_definition(at + used, size - used, level + 1, objects);

        if (one == 0)
            return 0;
        used += one;
    }
    return used;
}

static bool msgpack_takes(struct ag_bytes bytes)
{
    msgpack_unpacked result;
    size_t offset = 0;
    bool taken;

    msgpack_unpacked_init(&result);
    taken = msgpack_unpack_next(&result, (const char *)bytes.data, bytes.size, &offset) ==
                MSGPACK_UNPACK_SUCCESS &&
            offset == bytes.size;
    msgpack_unpacked_destroy(&result);
    return taken;
}

static void random_bytes_are_judged_as_the_format_is_defined(void **state)
{
    static const uint8_t favourites[] = {0x81, 0x91, 0x92, 0x93, 0xa1, 0xc0, 0xc4,
                                         0xc7, 0xcc, 0xd4, 0xd9, 0xdc, 0xde, 0x00,
                                         0x01, 0x02, 0x80, 0x90, 0xa0, 0xc3};
    struct ag_random random;
    unsigned taken = 0;

    (void)state;
    ag_random_seed(&random, 1);
    for (int i = 0; i < 400000; i++) {
        uint8_t bytes[40];
        size_t size = 1 + ag_random_below(&random, sizeof bytes);
        struct ag_bytes given = ag_bytes_of(bytes, size);
        unsigned objects = 0;
        bool is_sound;

        for (size_t j = 0; j < size; j++)
            bytes[j] = ag_random_below(&random, 4) == 0
                           ? (uint8_t)ag_random_next(&random)
                           : favourites[ag_random_below(&random, sizeof favourites)];
        if (i % 2) { /* half of them: only the value that stands in front */
            size_t one = size_by_definition(bytes, size, 1, &objects);

            given.size = one ? one : size;
        }
        objects = 0;
        is_sound = size_by_definition(bytes, given.size, 1, &objects) == given.size;
        if ((check(given, AG_WIRE_DEPTH_MAX, sizeof bytes) == 0) != is_sound)
            fail_msg("case %d is %s", i, is_sound ? "refused" : "taken");
        if (!is_sound)
            continue;
        taken++;
        assert_true(msgpack_takes(given));
        assert_ok(check(given, AG_WIRE_DEPTH_MAX, objects));
        assert_fails(check(given, AG_WIRE_DEPTH_MAX, objects - 1), ARGOSY_EPROTO);
    }
    assert_true(taken > 50000); /* else this test would not test much */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_taken_whole_and_with_nothing_behind_it),
        cmocka_unit_test(every_type_is_refused_when_cut_at_any_byte),
        cmocka_unit_test(of_single_bytes_only_whole_values_are_taken),
        cmocka_unit_test(what_is_absent_or_empty_is_refused_without_harm),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(the_number_of_values_is_bounded),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(numbers_are_read_in_every_encoding_that_holds_them),
        cmocka_unit_test(numbers_keep_their_value_up_to_the_largest),
        cmocka_unit_test(what_was_not_asked_for_is_refused),
        cmocka_unit_test(truth_and_nil_are_told_apart),
        cmocka_unit_test(texts_and_bins_have_a_largest_size),
        cmocka_unit_test(ids_are_bins_of_16_bytes),
        cmocka_unit_test(absent_and_empty_bins_differ),
        cmocka_unit_test(the_first_failure_stays),
        cmocka_unit_test(skipping_stops_exactly_behind_the_value),
        cmocka_unit_test(texts_are_judged_as_utf8_is_defined),
        cmocka_unit_test(text_that_is_not_utf8_is_refused_and_its_bin_is_not),
        cmocka_unit_test(random_bytes_are_judged_as_the_format_is_defined),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
