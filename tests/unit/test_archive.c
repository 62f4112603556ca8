/* Archives as sources: the same counts as for the directory that was packed, and hostile ones.
 * Those that nobody's program writes are put together from bytes here. */
#include "tests/unit/cmocka_prelude.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/limits.h"
#include "worker/analyze/analyze.h"
#include "worker/analyze/archive_name.h"

void task_finish(struct task *task)
{
    (void)task;
    fail_msg("analyze_run() has no task");
}

/* ---- a scratch folder, and jobs in it
 * ---------------------------------------------------------------------- */

static char folder[64], path[160];
static unsigned permille;

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/argosy-test-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int tear_down(void **state)
{
    char command[96];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put_file(const char *name, const void *data, size_t size)
{
    FILE *file = fopen(in_folder(name), "w");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static struct ag_buffer get_file(const char *name)
{
    struct ag_buffer buffer = ag_buffer_empty(64 << 20);
    FILE *file = fopen(in_folder(name), "r");
    char block[4096];
    size_t got;

    assert_non_null(file);
    while ((got = fread(block, 1, sizeof block, file)) > 0)
        ag_buffer_append(&buffer, block, got);
    fclose(file);
    assert_false(buffer.failed);
    return buffer;
}

/* What a job has to say: its result and its error, or NULL. */
struct answer {
    json_t *result, *error;
    char type[64];
};

static struct answer ask(json_t *payload, int stop_reason)
{
    struct ag_buffer buffer = ag_buffer_empty(1 << 16);
    const char *list[] = {folder};
    struct analyze_roots roots = {.paths = list, .count = 1};
    struct outcome outcome = {0};
    atomic_int stop = stop_reason;
    atomic_uint told = AG_PERMILLE_UNKNOWN;
    struct analyze_watch watch = {.stop = &stop, .permille = &told, .quiet_ms = 0};
    struct answer answer = {0};

    assert_ok(ag_json_to_msgpack(payload, &buffer));
    analyze_run(ag_buffer_bytes(&buffer), (struct ag_bytes){0}, &roots, &watch, &outcome);
    ag_buffer_free(&buffer);
    json_decref(payload);
    permille = atomic_load(&told);
    if (outcome.succeeded)
        assert_ok(ag_json_from_msgpack(ag_buffer_bytes(&outcome.result), &answer.result, NULL));
    if (outcome.error.size > 0)
        assert_ok(ag_json_from_msgpack(ag_buffer_bytes(&outcome.error), &answer.error, NULL));
    snprintf(answer.type, sizeof answer.type, "%s", outcome.type);
    outcome_fini(&outcome);
    return answer;
}

static struct answer count_of(const char *name)
{
    return ask(json_pack("{s:s, s:s}", "path", in_folder(name), "by", "file"), STOP_NONE);
}

static void answer_fini(struct answer *answer)
{
    json_decref(answer->result);
    json_decref(answer->error);
    *answer = (struct answer){0};
}

static json_int_t number(const struct answer *answer, const char *outer, const char *inner)
{
    return json_integer_value(json_object_get(json_object_get(answer->result, outer), inner));
}

static const char *leaf(const struct answer *answer, size_t i, const char *key)
{
    const char *text = json_string_value(
        json_object_get(json_array_get(json_object_get(answer->error, "errors"), i), key));

    return text != NULL ? text : "";
}

static size_t leaves(const struct answer *answer)
{
    return json_array_size(json_object_get(answer->error, "errors"));
}

/* The job counts `files` files and has one leaf of this type; with "" none. */
static void expect(const char *name, json_int_t files, const char *type)
{
    struct answer answer = count_of(name);

    if (answer.result == NULL)
        fail_msg("%s: the job failed: %s", name, json_dumps(answer.error, 0));
    if (leaves(&answer) != (type[0] != '\0') || strcmp(leaf(&answer, 0, "type"), type) != 0)
        fail_msg("%s: %s", name, json_dumps(answer.error, 0));
    assert_int_equal(number(&answer, "totals", "files"), files);
    answer_fini(&answer);
}

/* The whole job fails. */
static void expect_failure(const char *name, const char *type)
{
    struct answer answer = count_of(name);

    assert_string_equal(answer.type, type);
    assert_null(answer.result);
    answer_fini(&answer);
}

/* ---- archives that programs write
 * ---------------------------------------------------------------------------- */

static const struct {
    const char *name, *text;
} tree[] = {
    {"p-1.0/src/a.c", "int a;\n// b\n\n"},
    {"p-1.0/src/b.py", "x = 1\n"},
    {"p-1.0/src/\xc3\xa4 \xe2\x82\xac.c", "int u;\n"},
    {"p-1.0/src/c.c", "int\1\2;\n"},
    {"p-1.0/src/gen.c", "// Code generated by x. DO NOT EDIT.\nint g;\n"},
    {"p-1.0/src/notes.zzz", "hello\n"},
    {"p-1.0/src/empty.c", ""},
    {"p-1.0/src/tool", "#!/bin/sh\necho\n"},
    {"p-1.0/node_modules/x/d.js", "1\n"},
    {"p-1.0/.git/e.c", "1\n"},
    {"p-1.0/out/deep/f.c", "int f;\n"},
    {"p-1.0/inner.zip", "PK\3\4 is not opened"},
    {"p-1.0/a/long/name/that/does/not/fit/into/the/hundred/bytes/of/an/old/header/of/tar/and/needs/"
     "something/more/than/that/to/be/kept.c",
     "int l;\n"},
};
enum { TREE_COUNT = sizeof tree / sizeof *tree };

static void put_tree(const char *name)
{
    char command[512], file[400];

    for (size_t i = 0; i < TREE_COUNT; i++) {
        snprintf(file, sizeof file, "%s/%s", name, tree[i].name);
        snprintf(command, sizeof command, "mkdir -p \"$(dirname '%s/%s')\"", folder, file);
        assert_int_equal(system(command), 0);
        snprintf(command, sizeof command, "%s/%s", folder, file);
        FILE *out = fopen(command, "w");
        assert_non_null(out);
        fputs(tree[i].text, out);
        fclose(out);
    }
}

static void add(struct archive *archive, mode_t type, const char *name, const char *link,
                const void *data, size_t size)
{
    struct archive_entry *entry = archive_entry_new();

    archive_entry_set_pathname_utf8(entry, name);
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (la_int64_t)size);
    if (type == AE_IFLNK)
        archive_entry_set_symlink_utf8(entry, link);
    else if (link != NULL)
        archive_entry_set_hardlink_utf8(entry, link);
    if (archive_write_header(archive, entry) < ARCHIVE_WARN)
        fail_msg("%s: %s", name, archive_error_string(archive));
    if (size > 0)
        assert_int_equal(archive_write_data(archive, data, size), size);
    archive_entry_free(entry);
}

static struct archive *begin(const char *name, const char *format, const char *filter,
                             const char *options)
{
    struct archive *archive = archive_write_new();

    assert_int_equal(archive_write_set_format_by_name(archive, format), ARCHIVE_OK);
    if (filter != NULL)
        assert_int_equal(archive_write_add_filter_by_name(archive, filter), ARCHIVE_OK);
    if (archive_write_set_options(archive, options) != ARCHIVE_OK)
        fail_msg("%s: %s", name, archive_error_string(archive));
    assert_int_equal(archive_write_open_filename(archive, in_folder(name)), ARCHIVE_OK);
    return archive;
}

static void end(struct archive *archive)
{
    assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
    archive_write_free(archive);
}

static void pack_tree(const char *name, const char *format, const char *filter, const char *options)
{
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0), before = uselocale(utf8);
    struct archive *archive = begin(name, format, filter, options);

    add(archive, AE_IFDIR, "p-1.0", NULL, NULL, 0);
    for (size_t i = 0; i < TREE_COUNT; i++)
        add(archive, AE_IFREG, tree[i].name, NULL, tree[i].text, strlen(tree[i].text));
    add(archive, AE_IFLNK, "p-1.0/src/link.c", "a.c", NULL, 0);
    end(archive);
    uselocale(before);
    freelocale(utf8);
}

static const struct {
    const char *name, *format, *filter, *options;
} packings[] = {
    {"x.tar", "pax", NULL, ""},
    {"gnu.tar", "gnutar", NULL, ""},
    {"x.tar.gz", "gnutar", "gzip", ""},
    {"x.tar.bz2", "pax", "bzip2", ""},
    {"x.tar.xz", "gnutar", "xz", ""},
    {"x.tar.zst", "pax", "zstd", ""},
    {"stored.zip", "zip", NULL, "compression=store,hdrcharset=UTF-8"},
    {"x.zip", "zip", NULL, "compression=deflate,hdrcharset=UTF-8"},
    {"x.7z", "7zip", NULL, ""},
    {"bzip2.7z", "7zip", NULL, "compression=bzip2"},
    {"ppmd.7z", "7zip", NULL, "compression=ppmd"},
    {"copy.7z", "7zip", NULL, "compression=store"},
};
enum { PACKINGS_COUNT = sizeof packings / sizeof *packings };

static void an_archive_counts_as_the_directory_that_it_was_made_from(void **state)
{
    static const char *const bys[] = {"language", "file", "dir"};
    struct answer want, got;

    (void)state;
    put_tree("tree");
    for (size_t i = 0; i < PACKINGS_COUNT; i++)
        pack_tree(packings[i].name, packings[i].format, packings[i].filter, packings[i].options);
    for (size_t b = 0; b < 3; b++) {
        want = ask(json_pack("{s:s, s:s, s:[s, s]}", "path", in_folder("tree"), "by", bys[b],
                             "exclude", "*.py", "p-1.0/out"),
                   STOP_NONE);
        assert_int_equal(number(&want, "totals", "files"), 6);
        assert_int_equal(number(&want, "skipped", "vendored"), 1);
        for (size_t i = 0; i < PACKINGS_COUNT; i++) {
            got = ask(json_pack("{s:s, s:s, s:[s, s]}", "path", in_folder(packings[i].name), "by",
                                bys[b], "exclude", "*.py", "p-1.0/out"),
                      STOP_NONE);
            assert_null(got.error);
            assert_string_equal(json_string_value(json_object_get(got.result, "source")), path);
            assert_true(permille < 1000);
            json_object_set(got.result, "source", json_object_get(want.result, "source"));
            if (!json_equal(got.result, want.result))
                fail_msg("%s: %s", packings[i].name, json_dumps(got.result, 0));
            answer_fini(&got);
        }
        answer_fini(&want);
    }
}

static void links_and_devices_are_not_counted_and_twins_are_counted_twice(void **state)
{
    struct archive *archive = begin("x.tar", "gnutar", NULL, "");

    (void)state;
    add(archive, AE_IFREG, "./a.c", NULL, "int a;\n", 7);
    add(archive, AE_IFREG, "a.c", "./a.c", NULL, 0);
    add(archive, AE_IFLNK, "b.c", "/etc/passwd", NULL, 0);
    add(archive, AE_IFCHR, "c.c", NULL, NULL, 0);
    add(archive, AE_IFBLK, "d.c", NULL, NULL, 0);
    add(archive, AE_IFIFO, "e.c", NULL, NULL, 0);
    add(archive, AE_IFREG, "a.c", NULL, "int b;\n", 7);
    end(archive);
    expect("x.tar", 2, "");
}

static void what_is_no_archive_by_its_first_bytes_is_a_file(void **state)
{
    gzFile gz;
    struct answer answer;

    (void)state;
    put_file("empty.tar.gz", "", 0);
    put_file("a.c", "int a;\n", 7);
    gz = gzopen(in_folder("log.gz"), "w");
    gzputs(gz, "a log, and no tar\n");
    gzclose(gz);
    expect("a.c", 1, "");
    answer = count_of("empty.tar.gz");
    assert_int_equal(number(&answer, "skipped", "binary"), 1);
    answer_fini(&answer);
    answer = count_of("log.gz");
    assert_int_equal(number(&answer, "skipped", "binary"), 1);
    answer_fini(&answer);
    pack_tree("x.tar.gz", "gnutar", "gzip", "");
    answer = count_of(".");
    assert_int_equal(number(&answer, "skipped", "binary"), 3);
    assert_int_equal(number(&answer, "totals", "files"), 1);
    answer_fini(&answer);
}

static void a_stop_ends_it(void **state)
{
    struct answer answer;

    (void)state;
    for (size_t i = 0; i < PACKINGS_COUNT; i++) {
        pack_tree("x", packings[i].format, packings[i].filter, packings[i].options);
        answer = ask(json_pack("{s:s}", "path", in_folder("x")), STOP_CANCEL);
        assert_string_equal(answer.type, "cancelled");
        answer_fini(&answer);
    }
}

/* Stops in the middle: at the first file, before or after it has been read. */
struct stopper {
    atomic_int stop;
    bool reads_first;
    int files, read_rc;
};

static int stop_at_file(void *arg, const struct source_file *file)
{
    struct stopper *self = arg;
    struct ag_buffer content = ag_buffer_empty(SOURCE_FILE_BYTES_MAX + 2 * SOURCE_READ_BYTES);
    struct argosy_error err;

    self->files++;
    if (self->reads_first)
        self->read_rc = file->read(file, &content, &err);
    atomic_store(&self->stop, STOP_CANCEL);
    if (!self->reads_first)
        self->read_rc = file->read(file, &content, &err);
    ag_buffer_free(&content);
    return 0;
}

static int no_trouble(void *arg, const char *name, const struct argosy_error *err)
{
    (void)arg;
    fail_msg("%s: %s", name, err->message);
    return 0;
}

static void a_stop_in_the_middle_ends_it_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * PACKINGS_COUNT; i++) {
        struct stopper stopper = {.reads_first = i % 2 == 0};
        struct source_options options = {.stop = &stopper.stop};
        struct source_visitor visitor = {
            .file = stop_at_file, .trouble = no_trouble, .arg = &stopper};
        struct argosy_error err;
        struct source *source;

        pack_tree("x", packings[i / 2].format, packings[i / 2].filter, packings[i / 2].options);
        assert_ok(source_archive_new(&source, in_folder("x"), &options, &err));
        assert_non_null(source);
        assert_fails(source->each(source, &visitor), ARGOSY_ESTATE);
        assert_fails(stopper.read_rc, stopper.reads_first ? ARGOSY_OK : ARGOSY_ESTATE);
        assert_int_equal(stopper.files, 1);
        source->destroy(&source);
    }
}

/* ---- damage
 * ---------------------------------------------------------------------------------------------- */

/* Whatever became of it: counted in part, refused with a type, or taken for something else. */
static void check_damaged(const char *name, const char *what, size_t at)
{
    static const char *const types[] = {"analyze.archive", "analyze.limit"};
    struct answer answer = count_of(name);
    const char *type = answer.result != NULL ? leaf(&answer, 0, "type") : answer.type;

    if (answer.result != NULL && number(&answer, "totals", "files") > TREE_COUNT)
        fail_msg("%s %zu: more than there is", what, at);
    if (type[0] != '\0' && strcmp(type, types[0]) != 0 && strcmp(type, types[1]) != 0)
        fail_msg("%s %zu: %s", what, at, type);
    if (answer.result == NULL && type[0] == '\0')
        fail_msg("%s %zu: nothing is said", what, at);
    answer_fini(&answer);
}

static void every_cut_is_told_and_what_stands_before_it_is_counted(void **state)
{
    (void)state;
    for (size_t i = 0; i < PACKINGS_COUNT; i++) {
        struct ag_buffer whole;

        pack_tree("whole", packings[i].format, packings[i].filter, packings[i].options);
        whole = get_file("whole");
        for (size_t size = 0; size < whole.size; size += 1 + whole.size / 150) {
            put_file("cut", whole.data, size);
            check_damaged("cut", packings[i].name, size);
        }
        ag_buffer_free(&whole);
    }
}

static void any_wrong_byte_ends_in_counts_or_in_a_leaf(void **state)
{
    unsigned seed = 1;

    (void)state;
    for (size_t i = 0; i < PACKINGS_COUNT; i++) {
        struct ag_buffer whole;

        pack_tree("whole", packings[i].format, packings[i].filter, packings[i].options);
        whole = get_file("whole");
        for (int round = 0; round < 150; round++) {
            uint8_t before;
            size_t at;

            seed = seed * 1103515245 + 12345;
            at = (seed >> 4) % whole.size;
            before = whole.data[at];
            whole.data[at] ^= (uint8_t)(1 + (seed >> 24));
            put_file("wrong", whole.data, whole.size);
            check_damaged("wrong", packings[i].name, at);
            whole.data[at] = before;
        }
        ag_buffer_free(&whole);
    }
}

/* Each has its checksum behind the data, found from the file's end. */
static void a_wrong_checksum_is_told_also_when_all_has_been_counted(void **state)
{
    static const struct {
        const char *format, *filter, *options;
        size_t from_end;
        json_int_t files;
    } cases[] = {
        {"gnutar", "gzip", "", 8, 8}, {"gnutar", "xz", "", 12 + 12 + 1, 8}, /* in its index */
    };
    struct ag_buffer file;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pack_tree("x", cases[i].format, cases[i].filter, cases[i].options);
        file = get_file("x");
        file.data[file.size - cases[i].from_end] ^= 1;
        put_file("x", file.data, file.size);
        ag_buffer_free(&file);
        expect("x", cases[i].files, "analyze.archive");
    }
}

static void a_damaged_entry_of_a_zip_is_a_leaf_with_its_path(void **state)
{
    struct answer answer;
    struct ag_buffer file;
    uint8_t *at;

    (void)state;
    pack_tree("x.zip", "zip", NULL, "compression=store,hdrcharset=UTF-8");
    file = get_file("x.zip");
    at = memmem(file.data, file.size, "x = 1", 5);
    assert_non_null(at);
    *at = 'y';
    put_file("x.zip", file.data, file.size);
    ag_buffer_free(&file);
    answer = count_of("x.zip");
    assert_int_equal(number(&answer, "totals", "files"), 7);
    assert_int_equal(leaves(&answer), 1);
    assert_string_equal(leaf(&answer, 0, "type"), "analyze.archive");
    assert_string_equal(leaf(&answer, 0, "subject"), "p-1.0/src/b.py");
    answer_fini(&answer);
}

/* ---- tars from bytes
 * -------------------------------------------------------------------------------------- */

enum { BLOCK = 512 };

static void seal(uint8_t *block)
{
    unsigned sum = 0;

    memset(block + 148, ' ', 8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += block[i];
    snprintf((char *)block + 148, 8, "%06o", sum);
}

static uint8_t *add_header(struct ag_buffer *tar, const char *name, char type, uint64_t size)
{
    uint8_t *block = ag_buffer_reserve(tar, BLOCK);
    size_t name_size = strlen(name);

    assert_non_null(block);
    memset(block, 0, BLOCK);
    memcpy(block, name, name_size < 100 ? name_size : 100);
    memcpy(block + 100, "0000644", 8);
    memcpy(block + 108, "0000000", 8);
    memcpy(block + 116, "0000000", 8);
    memcpy(block + 136, "00000000000", 12);
    memcpy(block + 257, "ustar  ", 8); /* as GNU has it */
    block[156] = (uint8_t)type;
    if (size < 1ull << 33) {
        snprintf((char *)block + 124, 12, "%011llo", (unsigned long long)size);
    } else {
        block[124] = 0x80;
        for (int i = 0; i < 8; i++)
            block[128 + i] = (uint8_t)(size >> (56 - 8 * i));
    }
    seal(block);
    tar->size += BLOCK;
    return block;
}

static void add_data(struct ag_buffer *tar, const void *data, size_t size)
{
    static const uint8_t zeros[BLOCK];

    ag_buffer_append(tar, data, size);
    ag_buffer_append(tar, zeros, (BLOCK - size % BLOCK) % BLOCK);
}

/* A name of any length, as GNU tar writes it. */
static void add_file(struct ag_buffer *tar, const char *name, const char *text)
{
    if (strlen(name) > 100) {
        add_header(tar, "././@LongLink", 'L', strlen(name) + 1);
        add_data(tar, name, strlen(name) + 1);
    }
    add_header(tar, name, '0', strlen(text));
    add_data(tar, text, strlen(text));
}

static void finish_tar(struct ag_buffer *tar, const char *name)
{
    static const uint8_t zeros[2 * BLOCK];

    ag_buffer_append(tar, zeros, sizeof zeros);
    assert_false(tar->failed);
    put_file(name, tar->data, tar->size);
    ag_buffer_free(tar);
}

static void names_are_made_paths_or_refused(void **state)
{
    static const struct {
        const char *name, *want;
        int code;
    } names[] = {
        {"a.c", "a.c", 0},
        {"./a//b/./c.c", "a/b/c.c", 0},
        {"./", "", 0},
        {"..a/b..c/...", "..a/b..c/...", 0},
        {"a:b.c", "a:b.c", 0},
        {"\x1b[31m\xff.c", "\x1b[31m\xff.c", 0},
        {"../a.c", "../a.c", ARGOSY_EPROTO},
        {"a/..", "a/..", ARGOSY_EPROTO},
        {"a/../../b.c", "a/../../b.c", ARGOSY_EPROTO},
        {"a\\..\\..\\b.c", "a\\..\\..\\b.c", ARGOSY_EPROTO},
        {"/etc/passwd", "/etc/passwd", ARGOSY_EPROTO},
        {"\\\\server\\a.c", "\\\\server\\a.c", ARGOSY_EPROTO},
        {"C:\\a.c", "C:\\a.c", ARGOSY_EPROTO},
        {"c:/a.c", "c:/a.c", ARGOSY_EPROTO},
        {"", "", ARGOSY_EPROTO},
        {NULL, "", ARGOSY_EPROTO},
    };
    static char out[SOURCE_PATH_MAX], name[3 * SOURCE_PATH_MAX];
    struct argosy_error err;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_fails(archive_name(names[i].name, out, &err), names[i].code);
        assert_string_equal(out, names[i].want);
    }
    for (size_t depth = SOURCE_DEPTH_MAX - 1; depth <= SOURCE_DEPTH_MAX; depth++) {
        name[0] = '\0';
        for (size_t i = 0; i < depth; i++)
            strcat(name, "d/");
        strcat(name, "a.c");
        assert_fails(archive_name(name, out, &err), depth < SOURCE_DEPTH_MAX ? 0 : ARGOSY_ETOOBIG);
    }
    memset(name, 'x', SOURCE_PATH_MAX - 2); /* as in a directory */
    name[SOURCE_PATH_MAX - 2] = '\0';
    assert_ok(archive_name(name, out, &err));
    assert_string_equal(out, name);
    strcat(name, "x");
    assert_fails(archive_name(name, out, &err), ARGOSY_ETOOBIG);
    assert_true(strlen(out) < 256);
    for (size_t i = 0; i < SOURCE_PATH_MAX; i++)
        memcpy(name + 2 * i, "\xc3\xa4", 3);
    assert_fails(archive_name(name, out, &err), ARGOSY_ETOOBIG);
    assert_int_equal(strlen(out), 254); /* no half of a letter */
}

static void hostile_names_are_leaves_and_the_rest_is_counted(void **state)
{
    struct ag_buffer tar = ag_buffer_empty(1 << 20);
    static char longest[SOURCE_PATH_MAX + 8];
    struct answer answer;

    (void)state;
    memset(longest, 'x', SOURCE_PATH_MAX);
    strcat(longest, ".c");
    add_file(&tar, "../../a.c", "int a;\n");
    add_file(&tar, "/etc/b.c", "int b;\n");
    add_file(&tar, longest, "int c;\n");
    add_file(&tar, "\x1b]0;x\a\xff.c", "int d;\n");
    add_file(&tar, "C:\\e.c", "int e;\n");
    add_file(&tar, "f.c", "int f;\n");
    finish_tar(&tar, "x.tar");
    answer = count_of("x.tar");
    assert_int_equal(number(&answer, "totals", "files"), 2);
    assert_int_equal(leaves(&answer), 4);
    assert_string_equal(leaf(&answer, 0, "subject"), "../../a.c");
    assert_string_equal(leaf(&answer, 1, "type"), "analyze.archive");
    assert_string_equal(leaf(&answer, 2, "subject"), "C:\\e.c");
    assert_string_equal(leaf(&answer, 3, "type"), "analyze.limit");
    answer_fini(&answer);
}

/* More rows than are kept, but few that differ. */
static void directories_that_come_again_and_again_are_one_row(void **state)
{
    struct ag_buffer tar = ag_buffer_empty(64 << 20);
    static char names[2][SOURCE_PATH_MAX];
    struct answer answer;
    json_t *rows;

    (void)state;
    for (int i = 0; i < 2; i++) {
        memset(names[i], 'a' + i, SOURCE_PATH_MAX - 100);
        strcat(names[i], "/x.c");
    }
    for (int i = 0; i < 5000; i++)
        add_file(&tar, names[i % 2], "int a;\n");
    finish_tar(&tar, "x.tar");
    answer = ask(json_pack("{s:s, s:s}", "path", in_folder("x.tar"), "by", "dir"), STOP_NONE);
    rows = json_object_get(answer.result, "dirs");
    assert_int_equal(json_array_size(rows), 2);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(rows, 1), "files")), 2500);
    answer_fini(&answer);
    answer = count_of("x.tar");
    assert_string_equal(answer.type, "analyze.limit");
    answer_fini(&answer);
}

static void a_damaged_header_of_a_tar_is_passed_over(void **state)
{
    struct ag_buffer tar = ag_buffer_empty(1 << 20);

    (void)state;
    add_file(&tar, "a.c", "int a;\n");
    add_header(&tar, "b.c", '0', 7)[0] = 'B'; /* its checksum is of another name */
    add_data(&tar, "int b;\n", 7);
    add_file(&tar, "c.c", "int c;\n");
    finish_tar(&tar, "x.tar");
    expect("x.tar", 2, "analyze.archive");
}

static void a_size_that_no_file_has_ends_it(void **state)
{
    static const uint64_t sizes[] = {1ull << 40, INT64_MAX, 1ull << 63, UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct ag_buffer tar = ag_buffer_empty(1 << 20);

        add_file(&tar, "a.c", "int a;\n");
        add_header(&tar, "b.c", '0', sizes[i]);
        add_data(&tar, "int b;\n", 7);
        finish_tar(&tar, "x.tar");
        expect("x.tar", 1, "analyze.archive");
    }
}

static void a_large_file_is_skipped_and_the_next_one_is_counted(void **state)
{
    const uint64_t size = SOURCE_FILE_BYTES_MAX + BLOCK;
    struct ag_buffer tar = ag_buffer_empty(1 << 20);
    struct answer answer;
    int fd;

    (void)state;
    add_header(&tar, "a.c", '0', size);
    put_file("x.tar", tar.data, tar.size);
    ag_buffer_clear(&tar);
    add_file(&tar, "b.c", "int b;\n");
    fd = open(in_folder("x.tar"), O_WRONLY);
    assert_int_equal(pwrite(fd, tar.data, tar.size, (off_t)(BLOCK + size)), tar.size);
    close(fd);
    ag_buffer_free(&tar);
    answer = count_of("x.tar");
    assert_null(answer.error);
    assert_int_equal(number(&answer, "totals", "files"), 1);
    assert_int_equal(number(&answer, "skipped", "too_large"), 1);
    answer_fini(&answer);
}

/* ---- bombs
 * -----------------------------------------------------------------------------------------------
 */

static void what_unpacks_to_too_much_is_given_up(void **state)
{
    static const char *const filters[] = {"bzip2", "xz", "zstd"};
    static uint8_t zeros[32 << 20];
    int64_t begun;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct archive *archive = begin("x.tar", "gnutar", filters[i], "");

        add(archive, AE_IFREG, "a.c", NULL, "int a;\n", 7);
        add(archive, AE_IFREG, "zeros.bin", NULL, zeros, sizeof zeros); /* not even read */
        add(archive, AE_IFREG, "b.c", NULL, "int b;\n", 7);
        end(archive);
        begun = ag_clock_mono_ms();
        expect("x.tar", 1, "analyze.limit");
        assert_true(ag_clock_mono_ms() - begun < 20000);
    }
}

/* Four bytes of a sparse map make a file of sixty megabytes, as often as you like. */
static void holes_are_bombs_too(void **state)
{
    struct ag_buffer tar = ag_buffer_empty(1 << 20);

    (void)state;
    add_file(&tar, "a.c", "int a;\n");
    for (int i = 0; i < 100; i++) {
        uint8_t *block = add_header(&tar, "hole.c", 'S', 0);

        snprintf((char *)block + 386, 12, "%011o", 60 << 20); /* one piece of no bytes at the end */
        snprintf((char *)block + 398, 12, "%011o", 0);
        snprintf((char *)block + 483, 12, "%011o", 60 << 20);
        seal(block);
    }
    finish_tar(&tar, "x.tar");
    expect("x.tar", 1, "analyze.limit");
}

static void a_hole_of_any_size_is_a_large_file(void **state)
{
    struct ag_buffer tar = ag_buffer_empty(1 << 20);
    struct answer answer;
    uint8_t *block;

    (void)state;
    block = add_header(&tar, "hole.c", 'S', 0);
    block[483] = 0x80; /* real size: 2^62 */
    block[487] = 0x40;
    seal(block);
    add_file(&tar, "a.c", "int a;\n");
    finish_tar(&tar, "x.tar");
    answer = count_of("x.tar");
    assert_int_equal(number(&answer, "totals", "files"), 1);
    assert_int_equal(number(&answer, "skipped", "too_large"), 1);
    answer_fini(&answer);
}

static void what_describes_an_entry_is_bounded(void **state)
{
    struct ag_buffer tar = ag_buffer_empty(64 << 20);
    struct ag_buffer map = ag_buffer_empty(16 << 20);
    static const char pax[] = "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
                              "25 GNU.sparse.name=map.c\n29 GNU.sparse.realsize=1000\n";

    (void)state;
    ag_buffer_text(&map, "3000000\n");
    for (int i = 0; i < 3000000; i++)
        ag_buffer_text(&map, "0\n0\n");
    add_file(&tar, "a.c", "int a;\n");
    add_header(&tar, "pax", 'x', strlen(pax));
    add_data(&tar, pax, strlen(pax));
    add_header(&tar, "map.c", '0', map.size);
    add_data(&tar, map.data, map.size);
    ag_buffer_free(&map);
    finish_tar(&tar, "x.tar");
    expect("x.tar", 1, "analyze.limit");
}

/* The dictionary of the first block becomes one of 4 GiB. */
static void an_xz_dictionary_is_bounded(void **state)
{
    struct ag_buffer file;
    uint8_t *header;
    size_t size;
    uint32_t crc;

    (void)state;
    pack_tree("x", "gnutar", "xz", "");
    file = get_file("x");
    header = file.data + 12;
    size = (header[0] + 1u) * 4;
    for (size_t i = 2; i + 2 < size; i++)
        if (header[i] == 0x21 && header[i + 1] == 1) /* LZMA2, one byte of properties */
            header[i + 2] = 40;
    crc = (uint32_t)crc32(0, header, (uInt)(size - 4));
    for (int i = 0; i < 4; i++)
        header[size - 4 + (size_t)i] = (uint8_t)(crc >> (8 * i));
    put_file("x", file.data, file.size);
    ag_buffer_free(&file);
    expect_failure("x", "analyze.limit");
}

/* A directory of a million and one entries. */
static void the_directory_of_a_zip_is_bounded(void **state)
{
    static const uint8_t local[] = "PK\3\4\12\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0a";
    static const uint8_t central[] = "PK\1\2\12\3\12\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0"
                                     "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0a";
    const size_t count = 1000001, size = count * (sizeof central - 1);
    uint8_t last[22] = "PK\5\6";
    FILE *file = fopen(in_folder("x.zip"), "w");

    (void)state;
    assert_non_null(file);
    fwrite(local, 1, sizeof local - 1, file);
    for (size_t i = 0; i < count; i++)
        fwrite(central, 1, sizeof central - 1, file);
    for (int i = 0; i < 4; i++) {
        last[12 + i] = (uint8_t)(size >> (8 * i));
        last[16 + i] = (uint8_t)((sizeof local - 1) >> (8 * i));
    }
    fwrite(last, 1, sizeof last, file);
    fclose(file);
    expect_failure("x.zip", "analyze.limit");
}

/* ---- 7z from bytes
 * ---------------------------------------------------------------------------------------- */

static void put_7z(const char *name, const void *header, size_t size)
{
    uint8_t start[32] = "7z\xbc\xaf\x27\x1c\0\4";
    struct ag_buffer file = ag_buffer_empty(1 << 20);
    uint32_t crc = (uint32_t)crc32(0, header, (uInt)size);

    start[12] = 7; /* seven packed bytes stand before it */
    start[20] = (uint8_t)size;
    for (int i = 0; i < 4; i++)
        start[28 + i] = (uint8_t)(crc >> (8 * i));
    crc = (uint32_t)crc32(0, start + 12, 20);
    for (int i = 0; i < 4; i++)
        start[8 + i] = (uint8_t)(crc >> (8 * i));
    ag_buffer_append(&file, start, sizeof start);
    ag_buffer_append(&file, "int a;\n", 7);
    ag_buffer_append(&file, header, size);
    put_file(name, file.data, file.size);
    ag_buffer_free(&file);
}

#define PACKED "\1\4\6\0\1\11\7\0"  /* header, streams: one, of seven bytes */
#define FOLDERS "\7\13\1\0"         /* one folder */
#define COPY "\1\1\0"               /* one coder: none */
#define SIZES(size) "\14" size "\0" /* what it unpacks to */
#define STREAMS "\10\0\0"           /* one file in each folder, and no more streams */
#define NAME_A "\21\11\0a\0.\0c\0\0\0"
#define ATTRIBUTES(high) "\25\6\1\0\0\0" high

static void what_a_7z_asks_for_is_bounded(void **state)
{
#define CASE(text, files, type)                                                                    \
    {                                                                                              \
        text, sizeof text - 1, files, type                                                         \
    }
    static const struct {
        const char *header;
        size_t size;
        int files; /* -1: the job fails */
        const char *type;
    } cases[] = {
        CASE(PACKED FOLDERS COPY SIZES("\7") STREAMS "\5\1" NAME_A ATTRIBUTES("\xa4\x81") "\0\0", 1,
             ""),
        /* LZMA with a dictionary of 2 GiB; LZMA2 with one of 4; PPMd with a model of 2 */
        CASE(PACKED FOLDERS "\1\43\3\1\1\5\135\0\0\0\x80" SIZES("\7") STREAMS "\5\1" NAME_A "\0\0",
             -1, "analyze.limit"),
        CASE(PACKED FOLDERS "\1\41\41\1\50" SIZES("\7") STREAMS "\5\1" NAME_A "\0\0", -1,
             "analyze.limit"),
        CASE(PACKED FOLDERS "\1\43\3\4\1\5\6\0\0\0\x80" SIZES("\7") STREAMS "\5\1" NAME_A "\0\0",
             -1, "analyze.limit"),
        /* a hundred million files; folders; packed streams */
        CASE(PACKED FOLDERS COPY SIZES("\7") STREAMS "\5\xf0\0\xe1\xf5\5\0\0", -1, "analyze.limit"),
        CASE(PACKED "\7\13\xf0\0\xe1\xf5\5\0" COPY SIZES("\7") "\0\0", -1, "analyze.limit"),
        CASE("\1\4\6\0\xf0\0\xe1\xf5\5\11\7\0\0", -1, "analyze.limit"),
        /* a link whose target has 2 GiB */
        CASE(PACKED FOLDERS COPY SIZES("\xf0\0\0\0\x80") STREAMS
             "\5\1" NAME_A ATTRIBUTES("\xff\xa1") "\0\0",
             -1, "analyze.limit"),
        /* a short one, which is not counted */
        CASE(PACKED FOLDERS COPY SIZES("\7") STREAMS "\5\1" NAME_A ATTRIBUTES("\xff\xa1") "\0\0", 0,
             ""),
        /* more bytes than there are: an entry, and the end of the archive */
        CASE(PACKED FOLDERS COPY SIZES("\100") STREAMS "\5\1" NAME_A "\0\0", 0, "analyze.archive"),
        /* sizes of two properties that lie; an unknown beginning; no end */
        CASE(PACKED FOLDERS COPY SIZES("\7") STREAMS "\5\1\25\5\1\0\0\0\0\0\0", -1,
             "analyze.archive"),
        CASE(PACKED FOLDERS COPY SIZES("\7") STREAMS "\5\1\21\xff\xff\xff\xff\xff\xff\xff\xff\0\0",
             -1, "analyze.archive"),
        CASE("\52\0", -1, "analyze.archive"),
        CASE("\1\0", -1, "analyze.archive"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct answer answer;
        const char *type;

        put_7z("x.7z", cases[i].header, cases[i].size);
        answer = count_of("x.7z");
        type = cases[i].files < 0 ? answer.type : leaf(&answer, 0, "type");
        if ((cases[i].files < 0) != (answer.result == NULL) || strcmp(type, cases[i].type) != 0 ||
            (answer.result != NULL && number(&answer, "totals", "files") != cases[i].files))
            fail_msg("case %zu: %s", i, json_dumps(answer.error, JSON_ENCODE_ANY));
        answer_fini(&answer);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_archive_counts_as_the_directory_that_it_was_made_from),
        TEST(links_and_devices_are_not_counted_and_twins_are_counted_twice),
        TEST(what_is_no_archive_by_its_first_bytes_is_a_file),
        TEST(a_stop_ends_it),
        TEST(a_stop_in_the_middle_ends_it_there),
        TEST(every_cut_is_told_and_what_stands_before_it_is_counted),
        TEST(any_wrong_byte_ends_in_counts_or_in_a_leaf),
        TEST(a_wrong_checksum_is_told_also_when_all_has_been_counted),
        TEST(a_damaged_entry_of_a_zip_is_a_leaf_with_its_path),
        cmocka_unit_test(names_are_made_paths_or_refused),
        TEST(hostile_names_are_leaves_and_the_rest_is_counted),
        TEST(directories_that_come_again_and_again_are_one_row),
        TEST(a_damaged_header_of_a_tar_is_passed_over),
        TEST(a_size_that_no_file_has_ends_it),
        TEST(a_large_file_is_skipped_and_the_next_one_is_counted),
        TEST(what_unpacks_to_too_much_is_given_up),
        TEST(holes_are_bombs_too),
        TEST(a_hole_of_any_size_is_a_large_file),
        TEST(what_describes_an_entry_is_bounded),
        TEST(an_xz_dictionary_is_bounded),
        TEST(the_directory_of_a_zip_is_bounded),
        TEST(what_a_7z_asks_for_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
