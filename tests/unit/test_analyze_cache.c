/* What is remembered: never wrong, bounded, shared; whatever happens to it on disk. */
#include "tests/unit/cmocka_prelude.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/git_stage.h"
#include "worker/analyze/cache.h"

void task_finish(struct task *task)
{
    (void)task;
    fail_msg("analyze_run() has no task");
}

static void full_path(const char *name, char out[128])
{
    snprintf(out, 128, "%s/%s", stage_folder, name);
}

static cache_t *open_cache(uint64_t bytes_max)
{
    cache_t *cache;
    char path[128];

    full_path("cache", path);
    assert_ok(cache_open_bounded(&cache, path, bytes_max, NULL));
    return cache;
}

static void make_key(unsigned number, uint8_t key[CACHE_KEY_BYTES])
{
    /* Spread as digests are. */
    for (unsigned i = 0; i < CACHE_KEY_BYTES; i += 4) {
        unsigned word = (number + 1) * 2654435761u + i * 40503u;

        word ^= word >> 15;
        memcpy(key + i, &word, 4);
    }
}

static void put(cache_t *cache, unsigned number)
{
    uint8_t key[CACHE_KEY_BYTES];
    char value[128];

    make_key(number, key);
    snprintf(value, sizeof value, "value %u %0100u", number, number);
    cache_put(cache, key, ag_bytes_of_text(value));
}

/* Known, and then right. */
static bool knows(cache_t *cache, unsigned number)
{
    struct ag_buffer value = ag_buffer_empty(1 << 20);
    uint8_t key[CACHE_KEY_BYTES];
    char expected[128];
    bool found;

    make_key(number, key);
    snprintf(expected, sizeof expected, "value %u %0100u", number, number);
    found = cache_get(cache, key, &value);
    if (found)
        assert_true(ag_bytes_are(ag_buffer_bytes(&value), expected));
    ag_buffer_free(&value);
    return found;
}

/* Some bytes of the file become others; it may be gone, or end anywhere. */
static void damage(unsigned seed, unsigned places, bool cut)
{
    char path[128];
    FILE *file;
    long size;

    full_path("cache/analyze-1.db", path);
    file = fopen(path, "r+");
    if (file == NULL)
        return; /* what was found broken begins anew with the next job */
    fseek(file, 0, SEEK_END);
    size = ftell(file);
    for (unsigned i = 0; i < places && size > 0; i++) {
        seed = seed * 1103515245 + 12345;
        fseek(file, (long)(seed >> 4) % size, SEEK_SET);
        fwrite(&seed, 1, 3, file);
    }
    fclose(file);
    if (cut)
        assert_int_equal(truncate(path, (long)(seed >> 8) % (size + 1)), 0);
}

static off_t size_on_disk(void)
{
    char *text = stage_ask("stat -c %%s cache/analyze-1.db");
    off_t size = atoll(text);

    free(text);
    return size;
}

static void what_was_put_is_known_to_the_next_one(void **state)
{
    cache_t *cache = open_cache(1 << 20);

    (void)state;
    assert_false(knows(cache, 1));
    put(cache, 1);
    cache_close(&cache);
    cache = open_cache(1 << 20);
    assert_true(knows(cache, 1));
    assert_false(knows(cache, 2));
    assert_null(cache_trouble(cache));
    cache_close(&cache);
}

/* What is asked for again and again stays; the rest goes by age; the file ends at its bound. */
static void it_is_bounded_and_the_oldest_go(void **state)
{
    enum { BOUND = 2 << 20, ROUNDS = 40, EACH = 1000 };
    unsigned known = 0;

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        cache_t *cache = open_cache(BOUND);

        if (round > 0)
            assert_true(knows(cache, 0));
        for (unsigned i = 0; i < EACH; i++)
            put(cache, round * EACH + i);
        cache_close(&cache);
        assert_true(size_on_disk() <= BOUND + BOUND / 4);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        cache_t *cache = open_cache(BOUND);

        known += knows(cache, round * EACH + 1);
        if (round == 1)
            assert_false(knows(cache, round * EACH + 1));
        if (round == ROUNDS - 1)
            assert_true(knows(cache, round * EACH + 1));
        cache_close(&cache);
    }
    assert_true(known >= 3 && known < 20);
}

/* Any byte of the files may be another one: then less is known, and nothing wrong. */
static void damage_makes_it_forget_and_never_lie(void **state)
{
    unsigned forgotten = 0;

    (void)state;
    for (unsigned round = 0; round < 60; round++) {
        cache_t *cache = open_cache(1 << 24);
        bool is_first = !knows(cache, 5);

        for (unsigned i = 0; is_first && i < 2000; i++)
            put(cache, i);
        cache_close(&cache);
        damage(round, 8, round % 16 == 7);
        cache = open_cache(1 << 24);
        for (unsigned i = 0; i < 2000; i++)
            forgotten += !knows(cache, i);
        cache_close(&cache);
    }
    assert_true(forgotten > 0);
}

static void a_broken_file_is_replaced(void **state)
{
    cache_t *cache;

    (void)state;
    stage_run("mkdir cache && head -c 100000 /dev/urandom > cache/analyze-1.db");
    cache = open_cache(1 << 20);
    put(cache, 3);
    cache_close(&cache);
    cache = open_cache(1 << 20);
    assert_true(knows(cache, 3));
    cache_close(&cache);
}

static void it_may_be_deleted_while_it_is_used(void **state)
{
    cache_t *cache = open_cache(1 << 20), *other;

    (void)state;
    put(cache, 1);
    cache_flush(cache);
    assert_true(knows(cache, 1));
    stage_run("rm -rf cache");
    other = open_cache(1 << 20);
    assert_false(knows(other, 1));
    put(cache, 2);
    put(other, 3);
    cache_close(&cache);
    cache_close(&other);
    other = open_cache(1 << 20);
    assert_true(knows(other, 3));
    cache_close(&other);
}

static void where_it_cannot_be_nothing_is_remembered(void **state)
{
    struct argosy_error err = {0};
    cache_t *cache;
    char path[128];

    (void)state;
    stage_put("file", "x", 1);
    full_path("file/cache", path);
    assert_fails(cache_open(&cache, path, &err), ARGOSY_EIO);
    assert_non_null(strstr(err.message, "file/cache"));
    /* And the job is none the worse. */
    stage_make_repository("r", 1, 3);
    json_decref(stage_result("r", "file/cache", "{\"rev\":\"HEAD\"}"));
}

static void *use_it(void *arg)
{
    unsigned first = *(unsigned *)arg, wrong = 0;

    for (unsigned round = 0; round < 20; round++) {
        cache_t *cache;
        char path[128];

        full_path("cache", path);
        if (cache_open_bounded(&cache, path, 1 << 20, NULL) < 0)
            return arg;
        for (unsigned i = 0; i < 300; i++) {
            put(cache, first + i);
            knows(cache, i + round);
        }
        wrong += cache_trouble(cache) != NULL;
        cache_close(&cache);
    }
    return wrong > 0 ? arg : NULL;
}

static void many_may_use_it_at_once(void **state)
{
    unsigned firsts[] = {0, 100, 200, 300};
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_it, &firsts[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        void *failed;

        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
}

/* ---- jobs
 * ------------------------------------------------------------------------------------------------------
 */

static void a_new_commit_costs_what_it_changes(void **state)
{
    json_t *with, *without;

    (void)state;
    stage_make_repository("r", 4, 30);
    json_decref(stage_result("r", "cache", "{\"rev\":\"HEAD~1\"}"));
    with = stage_result("r", "cache", "{\"rev\":\"HEAD\"}");
    without = stage_result("r", NULL, "{\"rev\":\"HEAD\"}");
    assert_true(json_equal(with, without));
    json_decref(with);
    json_decref(without);
    /* All is known now: the commit and its trees are needed, no blob. */
    stage_run("cd r && mkdir ../o && mv .git/objects/pack/*.pack ../o/ 2>/dev/null; "
              "rm -f .git/objects/pack/*; "
              "for p in ../o/*.pack; do [ -f $p ] && git unpack-objects -q < $p; done; "
              "git cat-file --batch-all-objects --batch-check | grep ' blob ' | "
              "sed 's,^\\(..\\)\\([^ ]*\\).*,.git/objects/\\1/\\2,' | xargs rm -f");
    with = stage_result("r", "cache", "{\"rev\":\"HEAD\"}");
    assert_true(json_integer_value(json_object_get(json_object_get(with, "totals"), "files")) > 0);
    json_decref(with);
}

static void a_repository_is_counted_right_with_any_cache(void **state)
{
    json_t *right, *counted;

    (void)state;
    stage_make_repository("r", 5, 12);
    right = stage_result("r", NULL, "{\"rev\":\"HEAD\",\"history\":true}");
    for (unsigned round = 0; round < 40; round++) {
        counted = stage_result("r", "cache", "{\"rev\":\"HEAD\",\"history\":true}");
        assert_true(json_equal(right, counted));
        json_decref(counted);
        damage(round, 12, round % 8 == 5);
    }
    json_decref(right);
}

/* ---- directories on a disk
 * ------------------------------------------------------------------------------------------ */

static int seconds_ahead; /* of the clock by which a file's times are judged */
static unsigned files_opened;
static const char *denied; /* the name of a file that nobody may open */

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int rc = __real_clock_gettime(clock, now);

    if (clock == CLOCK_REALTIME_COARSE)
        now->tv_sec += seconds_ahead;
    return rc;
}

static bool is_frozen; /* time: all files are from the same moment */

int __real_fstatat(int folder, const char *path, struct stat *is, int flags);
int __wrap_fstatat(int folder, const char *path, struct stat *is, int flags);

int __wrap_fstatat(int folder, const char *path, struct stat *is, int flags)
{
    int rc = __real_fstatat(folder, path, is, flags);

    if (rc == 0 && is_frozen)
        is->st_mtim = is->st_ctim = (struct timespec){.tv_sec = 1000000000};
    return rc;
}

int __real_openat(int folder, const char *path, int flags, ...);
int __wrap_openat(int folder, const char *path, int flags, ...);

/* Whoever opens a file to read it makes none. */
int __wrap_openat(int folder, const char *path, int flags, ...)
{
    if (denied != NULL && strcmp(path, denied) == 0) {
        errno = EACCES;
        return -1;
    }
    files_opened += (flags & O_DIRECTORY) == 0;
    return __real_openat(folder, path, flags);
}

/* Counts as without a cache, and opens no more than so many files for it. */
static void assert_opens(unsigned files, const char *json)
{
    json_t *right = stage_result("tree", NULL, json), *told;

    files_opened = 0;
    told = stage_result("tree", "kept", json);
    if (!json_equal(right, told))
        fail_msg("%s, not %s", json_dumps(told, JSON_COMPACT), json_dumps(right, JSON_COMPACT));
    assert_int_equal(files_opened, files);
    json_decref(right);
    json_decref(told);
}

static void a_directory_is_counted_again_where_it_was_changed(void **state)
{
    static const char by_file[] = "{\"by\":\"file\"}";

    (void)state;
    seconds_ahead = 10;
    stage_run("mkdir -p tree/a/b tree/c && for i in 1 2 3 4; do echo \"int a$i;\" >tree/a$i.c; "
              "echo \"x = $i\" >tree/a/b$i.py; done; echo 'int b;' >tree/a/b/b.c");
    assert_opens(9, by_file);
    assert_opens(0, by_file);
    assert_opens(0, "{\"by\":\"dir\"}");
    assert_opens(0, "{\"by\":\"file\",\"exclude\":[\"a?.c\"]}");
    assert_opens(0, by_file);              /* what was left out is not forgotten */
    stage_run("echo 'int c;' >tree/a2.c"); /* as long as before */
    assert_opens(1, by_file);
    stage_run("touch -r tree/a1.c times && echo 'int d;' >tree/a1.c && touch -r times tree/a1.c");
    assert_opens(1, by_file);
    stage_run("echo 'y = 1' >tree/a/new.py && rm tree/a/b3.py && mv tree/a/b tree/c/d");
    assert_opens(2, by_file);
    stage_run("mv tree/a/b1.py h && mv tree/a/b2.py tree/a/b1.py && mv h tree/a/b2.py");
    assert_opens(2, by_file);
    assert_opens(0, by_file);
}

/* It may be changed again in the same tick of the clock that its file system has. */
static void what_was_changed_just_now_is_not_remembered(void **state)
{
    (void)state;
    seconds_ahead = 0;
    stage_run("mkdir tree && echo 'int a;' >tree/a.c && echo 'int b;' >tree/b.c");
    assert_opens(2, "{}");
    assert_opens(2, "{}");
    seconds_ahead = 10;
    assert_opens(2, "{}");
    assert_opens(0, "{}");
}

static void shards_remember_their_own(void **state)
{
    (void)state;
    seconds_ahead = 10;
    stage_run("mkdir tree && for i in $(seq 100); do seq $i >tree/$i.c; done");
    assert_opens(100, "{}");
    files_opened = 0;
    for (int round = 0; round < 2; round++) {
        json_decref(stage_result("tree", "kept", "{\"shard\":[0,2]}"));
        json_decref(stage_result("tree", "kept", "{\"shard\":[1,2]}"));
        assert_int_equal(files_opened, 100);
    }
    assert_opens(0, "{}");
}

/* Two directories that take each other's place: what is in them was made at the same time, and of
 * sizes and in inodes that are alike only together. */
static void directories_that_change_places_are_looked_at_again(void **state)
{
    static const char by_file[] = "{\"by\":\"file\"}";
    struct stat a, b;
    char path[128];

    (void)state;
    seconds_ahead = 10;
    is_frozen = true;
    stage_run("mkdir -p tree/a tree/b && seq 9000 >tree/a/x.c && seq 9000 >tree/b/x.c");
    full_path("tree/a/x.c", path);
    assert_int_equal(stat(path, &a), 0);
    full_path("tree/b/x.c", path);
    assert_int_equal(stat(path, &b), 0);
    assert_int_equal(truncate(path, a.st_size ^ (off_t)((a.st_ino ^ b.st_ino) % 4096 << 12)), 0);
    assert_opens(2, by_file);
    stage_run("cd tree && mv a c && mv b a && mv c b");
    assert_opens(2, by_file);
    assert_opens(0, by_file);
    is_frozen = false;
}

/* A file that is too large, and that nobody may read: with a cache and in shards it is measured
 * before it is opened, and is told of as without. */
static void what_may_not_be_read_is_told_before_its_size(void **state)
{
    struct outcome whole, kept;

    (void)state;
    seconds_ahead = 10;
    stage_run("mkdir tree && truncate -s 65M tree/huge.c && echo 'int a;' >tree/a.c");
    denied = "huge.c";
    whole = stage_analyze("tree", NULL, "{}");
    kept = stage_analyze("tree", "kept", "{}");
    denied = NULL;
    assert_true(whole.succeeded && kept.succeeded);
    assert_true(whole.error.size > 0);
    assert_int_equal(whole.error.size, kept.error.size);
    assert_int_equal(whole.result.size, kept.result.size);
    assert_memory_equal(whole.result.data, kept.result.data, whole.result.size);
    outcome_fini(&whole);
    outcome_fini(&kept);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_set_up, stage_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_put_is_known_to_the_next_one),
        TEST(it_is_bounded_and_the_oldest_go),
        TEST(damage_makes_it_forget_and_never_lie),
        TEST(a_broken_file_is_replaced),
        TEST(it_may_be_deleted_while_it_is_used),
        TEST(where_it_cannot_be_nothing_is_remembered),
        TEST(many_may_use_it_at_once),
        TEST(a_new_commit_costs_what_it_changes),
        TEST(a_repository_is_counted_right_with_any_cache),
        TEST(a_directory_is_counted_again_where_it_was_changed),
        TEST(what_was_changed_just_now_is_not_remembered),
        TEST(shards_remember_their_own),
        TEST(directories_that_change_places_are_looked_at_again),
        TEST(what_may_not_be_read_is_told_before_its_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
