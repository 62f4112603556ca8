/* JSON and msgpack: what survives the way there and back, what becomes of what cannot. */
#include "tests/unit/cmocka_prelude.h"

#include <stdlib.h>
#include <string.h>

#include "common/json.h"

static void assert_reads_as(struct ag_bytes msgpack, const char *expected)
{
    struct ag_buffer text = ag_buffer_empty(1 << 16);
    struct argosy_error err = {0};
    json_t *json;

    assert_ok(ag_json_from_msgpack(msgpack, &json, &err));
    assert_ok(ag_json_print(json, &text));
    assert_string_equal(ag_buffer_as_text(&text), expected);
    json_decref(json);
    ag_buffer_free(&text);
}

#define READS_AS(bytes, expected) assert_reads_as(ag_bytes_of(bytes, sizeof bytes - 1), expected)

static void json_survives_the_way_through_msgpack(void **state)
{
    static const char *const texts[] = {"null",
                                        "true",
                                        "0",
                                        "-1",
                                        "9223372036854775807",
                                        "1.5",
                                        "\"\"",
                                        "\"\xc3\xa9\\n\"",
                                        "[]",
                                        "{}",
                                        "[1,[2,{\"a\":[]}]]",
                                        "{\"b\":1,\"a\":{\"c\":null}}"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct ag_buffer packed = ag_buffer_empty(1 << 16);
        struct argosy_error err = {0};
        json_t *json;

        assert_ok(ag_json_parse(texts[i], strlen(texts[i]), &json, &err));
        assert_ok(ag_json_to_msgpack(json, &packed));
        assert_reads_as(ag_buffer_bytes(&packed), texts[i]);
        json_decref(json);
        ag_buffer_free(&packed);
    }
}

static void what_json_has_not_becomes_something_it_has(void **state)
{
    (void)state;
    READS_AS("\xc4\x03"
             "abc",
             "\"abc\"");                                                /* bytes that are text */
    READS_AS("\xc4\x04\x00\xff\x10\x80", "{\"$base64\":\"AP8QgA==\"}"); /* that are not */
    READS_AS("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "1.84467440737096e19"); /* beyond 63 bits */
    READS_AS("\xd4\x01\x02", "null");                                        /* an extension */
    READS_AS("\xcb\x7f\xf0\0\0\0\0\0\0", "null");                            /* infinity */
    READS_AS("\x81\x05\xc3", "{\"5\":true}"); /* a name that is no text */
}

static void a_key_that_holds_a_zero_is_not_cut(void **state)
{
    static const char packed[] = "\x81\xa3"
                                 "a\0b\x01";
    struct ag_buffer again = ag_buffer_empty(64);
    struct argosy_error err = {0};
    json_t *json;

    (void)state;
    assert_ok(ag_json_from_msgpack(ag_bytes_of(packed, sizeof packed - 1), &json, &err));
    assert_ok(ag_json_to_msgpack(json, &again));
    assert_int_equal(again.size, sizeof packed - 1);
    assert_memory_equal(again.data, packed, again.size);
    json_decref(json);
    ag_buffer_free(&again);
}

static void what_is_no_msgpack_is_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } wrong[] = {{"", 0},         {"\xc1", 1},     {"\xdd\xff\xff\xff\xff", 5},
                 {"\x92\x01", 2}, {"\x01\x02", 2}, {"\xdb\xff\xff\xff\xff", 5}};
    struct argosy_error err = {0};
    json_t *json;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_fails(ag_json_from_msgpack(ag_bytes_of(wrong[i].bytes, wrong[i].size), &json, &err),
                     ARGOSY_EPROTO);
}

static void wrong_json_is_told_with_its_place(void **state)
{
    struct argosy_error err = {0};
    json_t *json;

    (void)state;
    assert_fails(ag_json_parse("{\"a\":1,\n\"a\":2}", 14, &json, &err), ARGOSY_EINVAL);
    assert_non_null(strstr(err.message, "line 2"));
    assert_fails(ag_json_parse("{} {}", 5, &json, &err), ARGOSY_EINVAL);
    assert_fails(ag_json_parse("", 0, &json, &err), ARGOSY_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_survives_the_way_through_msgpack),
        cmocka_unit_test(what_json_has_not_becomes_something_it_has),
        cmocka_unit_test(a_key_that_holds_a_zero_is_not_cut),
        cmocka_unit_test(what_is_no_msgpack_is_refused),
        cmocka_unit_test(wrong_json_is_told_with_its_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
