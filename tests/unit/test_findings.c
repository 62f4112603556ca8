/* What is told about files besides their lines, and what a single file says of itself. */
#include "tests/unit/cmocka_prelude.h"

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/limits.h"
#include "worker/analyze/findings.h"
#include "worker/analyze/license.h"
#include "worker/analyze/modeline.h"

static languages_t *languages;
static inspector_t *inspector;
static findings_t *findings;

static int set_up(void **state)
{
    (void)state;
    languages = languages_new(NULL);
    inspector = inspector_new(languages);
    findings = findings_new();
    return languages == NULL || inspector == NULL || findings == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    findings_destroy(&findings);
    inspector_destroy(&inspector);
    languages_destroy(&languages);
    return 0;
}

static struct inspected add(const char *path, const char *text)
{
    const char *slash = strrchr(path, '/');
    struct inspected file;

    assert_ok(
        inspect_file(inspector, slash != NULL ? slash + 1 : path, ag_bytes_of_text(text), &file));
    assert_ok(findings_add(findings, path, &file));
    return file;
}

static json_t *packed(void)
{
    struct ag_buffer buffer = ag_buffer_empty(AG_RESULT_BYTES_MAX);
    struct argosy_error err = {0};
    msgpack_packer packer;
    json_t *json;

    msgpack_packer_init(&packer, &buffer, ag_buffer_write);
    msgpack_pack_map(&packer, FINDINGS_KEYS);
    findings_pack(findings, &packer);
    assert_ok(ag_json_from_msgpack(ag_buffer_bytes(&buffer), &json, &err));
    assert_int_equal(json_object_size(json), FINDINGS_KEYS);
    ag_buffer_free(&buffer);
    return json;
}

/* `expected` is JSON for the value under `key`. */
static void assert_key(const char *key, const char *expected)
{
    json_t *json = packed(), *wanted = json_loads(expected, 0, NULL);

    assert_non_null(wanted);
    if (!json_equal(json_object_get(json, key), wanted))
        fail_msg("%s: %s", key,
                 json_dumps(json_object_get(json, key), JSON_COMPACT | JSON_SORT_KEYS));
    json_decref(wanted);
    json_decref(json);
}

static void marks_are_words_in_comments(void **state)
{
    (void)state;
    add("a.c", "// TODO one, TODO two\nint TODO; // FIXME\n/* HACK\n * HACK: */\n");
    add("b.c", "// TODOS, XTODO, todo, TO DO\nchar *a = \"FIXME\";\n");
    add("c.py", "\"\"\"FIXME in a doc string\"\"\"\na = '''FIXME'''  # none\n");
    add("d.html", "<script>\n// TODO\n</script>\n<!-- TODO -->\n<p>TODO</p>\n");
    add("e.c", "/*TODO*/\n//TODO");
    assert_key("marks", "{\"todo\": 6, \"fixme\": 2, \"hack\": 2}");
}

static void the_largest_and_the_longest_are_listed_in_order(void **state)
{
    char name[16], text[64];

    (void)state;
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "%02d.c", i * 7 % 20);
        memset(text, '\n', sizeof text);
        text[(i * 7 % 20) / 2 + 1] = '\0'; /* 00 and 01 are alike, and so on */
        add(name, text);
    }
    assert_key("longest",
               "[{\"path\": \"18.c\", \"lines\": 10}, {\"path\": \"19.c\", \"lines\": 10},"
               "{\"path\": \"16.c\", \"lines\": 9}, {\"path\": \"17.c\", \"lines\": 9},"
               "{\"path\": \"14.c\", \"lines\": 8}, {\"path\": \"15.c\", \"lines\": 8},"
               "{\"path\": \"12.c\", \"lines\": 7}, {\"path\": \"13.c\", \"lines\": 7},"
               "{\"path\": \"10.c\", \"lines\": 6}, {\"path\": \"11.c\", \"lines\": 6}]");
}

static void files_with_the_same_bytes_are_duplicates(void **state)
{
    (void)state;
    add("z.c", "int a;\n");
    add("b/y.c", "int a;\n");
    add("b/x.h", "int a;\n");
    add("other.c", "int b;\n");
    add("long.c", "int a; /* the same but longer, in more than one step of the hash */\n");
    add("long2.c", "int a; /* the same but longer, in more than one step of the hash */\n");
    add("empty.c", "");
    add("empty2.c", "");
    assert_key("duplicates",
               "{\"files\": 3, \"bytes\": 82, \"contents\": 3, \"not_compared\": 0, \"sets\": ["
               "{\"path\": \"long.c\", \"files\": 2, \"bytes\": 68},"
               "{\"path\": \"b/x.h\", \"files\": 3, \"bytes\": 7}]}");
}

/* Every single bit of a text decides. */
static void no_two_texts_are_taken_for_one(void **state)
{
    struct inspected first, file;
    char text[101];

    (void)state;
    memset(text, 'a', 100);
    text[100] = '\0';
    first = add("a.c", text);
    for (size_t i = 0; i < 100; i++) {
        for (int bit = 0; bit < 5; bit++) {
            text[i] = (char)('a' ^ 1 << bit);
            file = add("a.c", text);
            assert_false(first.hash[0] == file.hash[0] || first.hash[1] == file.hash[1]);
            text[i] = 'a';
        }
    }
    for (size_t size = 1; size < 100; size++) {
        text[size] = '\0';
        file = add("a.c", text);
        assert_false(first.hash[0] == file.hash[0] || first.hash[1] == file.hash[1]);
        text[size] = 'a';
    }
    assert_key(
        "duplicates",
        "{\"files\": 0, \"bytes\": 0, \"contents\": 600, \"not_compared\": 0, \"sets\": []}");
}

static void licences_are_found_in_heads_and_files(void **state)
{
    (void)state;
    add("a.c", "/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */\nint a;\n");
    add("b.c", "// SPDX-License-Identifier: MIT\nint a;\n");
    add("c.html", "<!-- SPDX-License-Identifier: MIT -->\n<p>\n");
    add("d.py", "#!/bin/sh\n# SPDX-License-Identifier: (MIT OR Apache-2.0)\r\n");
    add("e.c", "// SPDX-License-Identifier:\nint a;\n");
    add("x/LICENSE", "The MIT License\n\nPermission is hereby granted, free of\n  charge, to any "
                     "person obtaining a copy\n");
    add("COPYING.LESSER",
        "    GNU LESSER GENERAL PUBLIC LICENSE\n       Version 3, 29 June 2007\n");
    add("LICENCE.txt", "All rights reserved.\n");
    add("license.go", "package license\n");
    assert_key("licenses", "{\"spdx\": [{\"id\": \"MIT\", \"files\": 2},"
                           "{\"id\": \"(MIT OR Apache-2.0)\", \"files\": 1},"
                           "{\"id\": \"GPL-2.0-only WITH Linux-syscall-note\", \"files\": 1}],"
                           "\"spdx_others\": 0, \"files_count\": 3, \"files\": ["
                           "{\"path\": \"COPYING.LESSER\", \"license\": \"LGPL-3.0\"},"
                           "{\"path\": \"LICENCE.txt\", \"license\": null},"
                           "{\"path\": \"x/LICENSE\", \"license\": \"MIT\"}]}");
}

static void lists_of_licences_are_bounded(void **state)
{
    char path[64], text[128];
    json_t *json, *licenses;

    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(path, sizeof path, "%02d/LICENSE", i);
        snprintf(text, sizeof text, "SPDX-License-Identifier: LicenseRef-%d\n", i);
        add(path, text);
    }
    json = packed();
    licenses = json_object_get(json, "licenses");
    assert_int_equal(json_array_size(json_object_get(licenses, "spdx")), FINDINGS_LICENSES_MAX);
    assert_int_equal(json_integer_value(json_object_get(licenses, "spdx_others")),
                     100 - FINDINGS_LICENSES_MAX);
    assert_int_equal(json_array_size(json_object_get(licenses, "files")),
                     FINDINGS_LICENSE_FILES_MAX);
    assert_int_equal(json_integer_value(json_object_get(licenses, "files_count")), 100);
    json_decref(json);
}

static void well_known_licences_are_known_by_their_words(void **state)
{
    static const struct {
        const char *id, *text;
    } cases[] = {
        {"GPL-2.0", "GNU GENERAL PUBLIC LICENSE\n Version 2, June 1991"},
        {"GPL-3.0", "GNU GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007"},
        {"AGPL-3.0", "GNU AFFERO GENERAL PUBLIC LICENSE\nVersion 3"},
        {"Apache-2.0", "Apache License\n   Version 2.0, January 2004"},
        {"MPL-2.0", "Mozilla Public License Version 2.0"},
        {"BSD-3-Clause", "Redistribution and use in source and binary forms, with or without\n"
                         "3. Neither the name of the copyright holder"},
        {"BSD-2-Clause", "Redistribution and use in source\nand binary forms ...\n"
                         "THIS SOFTWARE IS PROVIDED BY"},
        {"ISC", "Permission to use, copy, modify, and/or distribute this software for any purpose"},
        {"Unlicense", "This is free and unencumbered software released into the public domain."},
        {"", "Do as you like."},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(license_of_text(ag_bytes_of_text(cases[i].text)), cases[i].id);
}

static void editors_are_told_in_their_ways(void **state)
{
    static const struct {
        const char *mode, *text;
    } cases[] = {
        {"C++", "// -*- C++ -*-\n"},
        {"c++", "/* -*- coding: utf-8; mode: c++; tab-width: 4 -*- */\n"},
        {"perl", "#!/bin/run\n# -*- perl -*-\n"},
        {"", "a\n# -*- perl -*-\n"},
        {"perl", "# vim: set ft=perl:\n"},
        {"sh", "# vi: ts=4 sw=4 ft=sh\n"},
        {"cpp", "1\n2\n3\n4\n// vim: filetype=cpp\n"},
        {"", "1\n2\n3\n4\n5\n# vim: ft=perl\n7\n8\n9\n10\n11\n"},
        {"perl", "1\n2\n3\n4\n5\n6\n# vim: ft=perl\n8\n9\n10\n11\n"},
        {"", "1\n2\n3\n4\n5\n# vim: ft=perl\n7\n8\n9\n10\n11\n12\n"},
        {"ruby", "1\n2\n3\n4\n5\n6\n# vim: ft=ruby"},
        {"", "# evim: ft=perl\n"},
        {"", "# vim: shift=perl\n"},
        {"", "-*-\n"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ag_bytes found = modeline_find(ag_bytes_of_text(cases[i].text));

        if (!ag_bytes_are(found, cases[i].mode))
            fail_msg("case %zu: %.*s", i, (int)found.size, (const char *)found.data);
    }
}

/* Parts inside parts end somewhere, and lines are never lost or counted twice. */
static void parts_inside_parts_are_bounded(void **state)
{
    struct inspected file;
    char text[512] = "";

    (void)state;
    for (int i = 12; i > 2; i--)
        sprintf(text + strlen(text), "%.*smd\n", i, "````````````");
    strcat(text, "text\n");
    for (int i = 3; i < 13; i++)
        sprintf(text + strlen(text), "%.*s\n", i, "````````````");
    file = add("a.md", text);
    assert_int_equal(file.counted.whole.lines, 21);
    assert_int_equal(file.counted.parts_count, 1); /* Markdown in Markdown is Markdown */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(marks_are_words_in_comments),
        TEST(the_largest_and_the_longest_are_listed_in_order),
        TEST(files_with_the_same_bytes_are_duplicates),
        TEST(no_two_texts_are_taken_for_one),
        TEST(licences_are_found_in_heads_and_files),
        TEST(lists_of_licences_are_bounded),
        cmocka_unit_test(well_known_licences_are_known_by_their_words),
        cmocka_unit_test(editors_are_told_in_their_ways),
        TEST(parts_inside_parts_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
