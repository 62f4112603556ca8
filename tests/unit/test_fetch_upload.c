/* A file on its way out: all of it, and nothing that was not there when it was opened. */
#include "tests/unit/cmocka_prelude.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/fetch/upload.h"

enum { PATIENCE_MS = 20000, SIZE = 1000000 };

struct stage {
    char folder[32], path[64];
    const char *roots[1];
    pool_t *pool;
    upload_t *upload;
};

static uint8_t byte_at(size_t offset)
{
    return (uint8_t)(offset % 251);
}

static void append(const char *path, size_t from, size_t size)
{
    FILE *file = fopen(path, "ae");

    assert_non_null(file);
    for (size_t i = from; i < from + size; i++)
        assert_int_not_equal(fputc(byte_at(i), file), EOF);
    assert_int_equal(fclose(file), 0);
}

static void on_changed(void *arg)
{
    (void)arg;
}

static void wait_for_disk(const struct stage *stage)
{
    struct pollfd item = {.fd = pool_fd(stage->pool), .events = POLLIN};

    assert_int_equal(poll(&item, 1, PATIENCE_MS), 1);
    pool_collect(stage->pool);
}

static int set_up(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);

    strcpy(stage->folder, "/tmp/argosy-upload-XXXXXX");
    assert_non_null(mkdtemp(stage->folder));
    snprintf(stage->path, sizeof stage->path, "%s/file", stage->folder);
    stage->roots[0] = stage->folder;
    append(stage->path, 0, SIZE);
    stage->pool = pool_new(1, NULL);
    assert_non_null(stage->pool);
    assert_ok(upload_new(&stage->upload,
                         &(struct upload_config){.pool = stage->pool,
                                                 .path = stage->path,
                                                 .roots = stage->roots,
                                                 .roots_count = 1,
                                                 .changed = on_changed},
                         NULL));
    while (upload_is_opening(stage->upload))
        wait_for_disk(stage);
    *state = stage;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *stage = *state;

    upload_destroy(&stage->upload);
    pool_destroy(&stage->pool);
    unlink(stage->path);
    rmdir(stage->folder);
    free(stage);
    return 0;
}

/* Reads until `until`, the end or a failure; returns how far it got. */
static size_t read_from(const struct stage *stage, size_t at, size_t until)
{
    uint8_t some[10000];
    int code;

    while (at < until && !upload_is_at_end(stage->upload) &&
           upload_failure(stage->upload, &code) == NULL) {
        size_t got = upload_read(stage->upload, some, sizeof some);

        for (size_t i = 0; i < got; i++)
            assert_int_equal(some[i], byte_at(at + i));
        at += got;
        if (got == 0 && !upload_is_at_end(stage->upload) &&
            upload_failure(stage->upload, &code) == NULL)
            wait_for_disk(stage);
    }
    return at;
}

static void all_of_a_file_is_read(void **state)
{
    struct stage *stage = *state;

    assert_int_equal(upload_size(stage->upload), SIZE);
    assert_int_equal(read_from(stage, 0, SIZE_MAX), SIZE);
}

static void what_is_added_meanwhile_is_not_sent(void **state)
{
    struct stage *stage = *state;

    append(stage->path, SIZE, 300000);
    assert_int_equal(read_from(stage, 0, SIZE_MAX), SIZE);
    assert_true(upload_is_at_end(stage->upload));
}

static void a_file_that_becomes_shorter_is_a_failure(void **state)
{
    struct stage *stage = *state;
    int code;

    assert_int_equal(truncate(stage->path, SIZE / 2), 0);
    assert_in_range(read_from(stage, 0, SIZE_MAX), 0, SIZE / 2);
    assert_non_null(upload_failure(stage->upload, &code));
    assert_int_equal(code, ARGOSY_EIO);
    assert_false(upload_is_at_end(stage->upload));
}

static void it_can_be_read_again_from_the_beginning(void **state)
{
    struct stage *stage = *state;

    assert_in_range(read_from(stage, 0, SIZE / 2), SIZE / 2, SIZE - 1);
    upload_rewind(stage->upload); /* a part may be read just now */
    assert_int_equal(read_from(stage, 0, SIZE_MAX), SIZE);
    upload_rewind(stage->upload);
    assert_int_equal(read_from(stage, 0, SIZE_MAX), SIZE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(all_of_a_file_is_read),
        TEST(what_is_added_meanwhile_is_not_sent),
        TEST(a_file_that_becomes_shorter_is_a_failure),
        TEST(it_can_be_read_again_from_the_beginning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
