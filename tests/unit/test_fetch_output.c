/* Two attempts at the same file and URL at once, as when a worker is taken for lost and is not:
 * what has its name is whole at any moment, and both attempts succeed. */
#include "tests/unit/cmocka_prelude.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/fetch/output.h"

enum { ROUNDS = 2000, PIECES = 4, PIECE = 5000 };

static char folder[] = "/tmp/argosy-output-XXXXXX";
static char path[64];
static atomic_uint halves, failures;

static int attempt(struct argosy_error *err)
{
    static const char piece[PIECE];
    const char *const roots[] = {folder};
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    output_t *output = NULL;
    char validator[256];
    const char *name;
    uint64_t size;
    int rc = output_new(&output, path, roots, 1, "the same", err);

    EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
    if (rc == 0)
        rc = output_find(output, digest, &size, validator, sizeof validator, err);
    if (rc == 0)
        rc = output_restart(output, "\"v1\"", err);
    for (int i = 0; rc == 0 && i < PIECES; i++)
        rc = output_write(output, piece, PIECE, err);
    if (rc == 0)
        rc = output_commit(output, "", &name, err);
    output_destroy(&output);
    EVP_MD_CTX_free(digest);
    return rc;
}

static void *run(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct argosy_error err = {0};
        struct stat info;

        if (attempt(&err) < 0 && atomic_fetch_add(&failures, 1) == 0)
            print_error("%s\n", err.message);
        if (stat(path, &info) < 0 || info.st_size != PIECES * PIECE)
            atomic_fetch_add(&halves, 1);
    }
    return NULL;
}

static void two_attempts_at_one_file_do_not_meet(void **state)
{
    pthread_t threads[2];

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, NULL), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    unlink(path);
    assert_int_equal(halves, 0);
    assert_int_equal(failures, 0);
    assert_int_equal(rmdir(folder), 0); /* nothing else is there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(two_attempts_at_one_file_do_not_meet)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
