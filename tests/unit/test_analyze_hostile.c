/* Directories made to hurt: too deep, too long, names of any bytes, links, fifos, files that change
 * while they are read. Each ends in a leaf with its path or is skipped, and all others are counted.
 */
#include "tests/unit/cmocka_prelude.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/git_stage.h"
#include "worker/analyze/source.h"

void task_finish(struct task *task)
{
    (void)task;
    fail_msg("analyze_run() has no task");
}

/* The outcome of a job over a directory of the stage, taken apart. */
struct told {
    json_t *result, *leaves;
    struct outcome outcome;
};

static struct told analyze(const char *path)
{
    struct told self = {.outcome = stage_analyze(path, NULL, "{\"by\":\"file\"}")};
    json_t *error;

    assert_true(self.outcome.succeeded);
    self.result = stage_json(&self.outcome.result);
    if (self.outcome.error.size > 0) {
        error = stage_json(&self.outcome.error);
        self.leaves = json_incref(json_object_get(error, "errors"));
        json_decref(error);
    }
    return self;
}

static void told_free(struct told *self)
{
    json_decref(self->result);
    json_decref(self->leaves);
    outcome_fini(&self->outcome);
}

static void assert_leaf(const struct told *self, size_t place, const char *type,
                        const char *subject)
{
    const json_t *leaf = json_array_get(self->leaves, place);

    assert_non_null(leaf);
    assert_string_equal(json_string_value(json_object_get(leaf, "type")), type);
    assert_string_equal(json_string_value(json_object_get(leaf, "subject")), subject);
}

/* A file of one line in the directory. */
static void put_at(int folder, const char *name)
{
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "int a;\n", 7), 7);
    close(fd);
}

/* `count` directories inside each other, with a file in each; no path is ever spelled out. */
static void make_chain(const char *path, const char *name, unsigned count)
{
    char full[256];
    int folder, child;

    snprintf(full, sizeof full, "%s/%s", stage_folder, path);
    assert_int_equal(mkdir(full, 0700), 0);
    folder = open(full, O_RDONLY | O_DIRECTORY);
    for (unsigned i = 0; i < count; i++) {
        assert_true(folder >= 0);
        put_at(folder, "a.c");
        assert_int_equal(mkdirat(folder, name, 0700), 0);
        child = openat(folder, name, O_RDONLY | O_DIRECTORY);
        close(folder);
        folder = child;
    }
    put_at(folder, "a.c");
    close(folder);
}

static void directories_too_deep_are_a_limit_with_their_path(void **state)
{
    char path[2 * SOURCE_DEPTH_MAX + 1] = "d";
    struct told told;

    (void)state;
    make_chain("deep", "d", 300);
    for (int i = 1; i < SOURCE_DEPTH_MAX; i++)
        strcat(path, "/d");
    told = analyze("deep");
    assert_int_equal(json_array_size(told.leaves), 1);
    assert_leaf(&told, 0, "analyze.limit", path);
    assert_int_equal(stage_number(told.result, "totals", "files"), SOURCE_DEPTH_MAX);
    told_free(&told);
}

/* 20 names of 250 bytes: 16 fit with their slashes, in a seventeenth directory nothing does. */
static void paths_too_long_are_a_limit_with_the_directory_that_holds_them(void **state)
{
    char name[251], path[SOURCE_PATH_MAX] = "";
    struct told told;

    (void)state;
    memset(name, 'n', 250);
    name[250] = '\0';
    make_chain("long", name, 20);
    for (int i = 0; i < 16; i++)
        strcat(strcat(path, i > 0 ? "/" : ""), name);
    told = analyze("long");
    assert_int_equal(json_array_size(told.leaves), 1);
    assert_leaf(&told, 0, "analyze.limit", path);
    assert_int_equal(stage_number(told.result, "totals", "files"), 17);
    told_free(&told);
}

/* As many troubles as there are: 64 are named, memory stays where it is. */
static void thousands_of_troubles_are_counted_and_some_are_named(void **state)
{
    char name[251], file[256];
    struct told told;
    json_t *error;
    int folder;

    (void)state;
    memset(name, 'n', 250);
    name[250] = '\0';
    make_chain("many", name, 16);
    snprintf(file, sizeof file, "%s/many", stage_folder);
    folder = open(file, O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 16; i++) {
        int child = openat(folder, name, O_RDONLY | O_DIRECTORY);

        close(folder);
        folder = child;
    }
    for (int i = 0; i < 5000; i++) {
        snprintf(file, sizeof file, "%0200d.c", i);
        put_at(folder, file);
    }
    close(folder);
    told = analyze("many");
    assert_int_equal(json_array_size(told.leaves), 64);
    error = stage_json(&told.outcome.error);
    assert_string_equal(json_string_value(json_object_get(error, "message")),
                        "5000 of 5017 files could not be read");
    assert_int_equal(stage_number(told.result, "totals", "files"), 17);
    json_decref(error);
    told_free(&told);
}

static void names_may_hold_any_bytes(void **state)
{
    struct told told;
    json_t *files;
    int folder;

    (void)state;
    stage_run("mkdir -p names/dir");
    {
        char path[256];

        snprintf(path, sizeof path, "%s/names", stage_folder);
        folder = open(path, O_RDONLY | O_DIRECTORY);
    }
    put_at(folder, "new\nline.c");
    put_at(folder, "\xff\xfe.c");
    put_at(folder, "\x1b[31m.c");
    put_at(folder, "-rf.c");
    put_at(folder, " .c");
    close(folder);
    told = analyze("names");
    assert_null(told.leaves);
    files = json_object_get(told.result, "files");
    assert_int_equal(json_array_size(files), 5);
    assert_string_equal(json_string_value(json_object_get(json_array_get(files, 0), "path")),
                        "\x1b[31m.c");
    assert_string_equal(json_string_value(json_object_get(json_array_get(files, 3), "path")),
                        "new\nline.c");
    assert_string_equal(/* no UTF-8: its bytes */
                        json_string_value(json_object_get(
                            json_object_get(json_array_get(files, 4), "path"), "$base64")),
                        "//4uYw==");
    told_free(&told);
}

static void links_fifos_sockets_and_devices_are_passed_by(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct told told;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)state;
    stage_run("mkdir -p odd/sub && cd odd && ln -s . loop && ln -s ../.. sub/up && ln -s b a && "
              "ln -s a b && ln -s /etc/passwd c.c && mkfifo fifo.c && echo 'int a;' >sub/d.c && "
              "{ mknod null.c c 1 3 2>/dev/null || true; }");
    snprintf(address.sun_path, sizeof address.sun_path, "%s/odd/socket.c", stage_folder);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    told = analyze("odd");
    assert_null(told.leaves);
    assert_int_equal(stage_number(told.result, "totals", "files"), 1);
    told_free(&told);
    close(fd);
}

static void what_may_not_be_read_is_a_leaf_and_all_else_is_counted(void **state)
{
    bool is_root = geteuid() == 0;
    struct told told;

    (void)state;
    stage_run(
        "mkdir -p shut/dir shut/open && cd shut && echo 'int a;' | tee dir/a.c open/b.c >c.c && "
        "chmod 0 dir c.c");
    if (is_root) { /* root reads everything; as nobody it is as for everybody else */
        stage_run("chmod 755 . && chown -R 65534:65534 shut");
        assert_int_equal(setegid(65534) | seteuid(65534), 0);
    }
    told = analyze("shut");
    if (is_root)
        assert_int_equal(seteuid(0) | setegid(0), 0);
    assert_int_equal(json_array_size(told.leaves), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *leaf = json_array_get(told.leaves, i);
        bool is_dir = strcmp(json_string_value(json_object_get(leaf, "subject")), "dir") == 0;

        assert_leaf(&told, i, "analyze.source.denied", is_dir ? "dir" : "c.c");
    }
    assert_int_equal(stage_number(told.result, "totals", "files"), 1);
    told_free(&told);
}

static void a_file_too_large_is_skipped_unread(void **state)
{
    struct rusage before, after;
    struct told told;

    (void)state;
    stage_run("mkdir huge && truncate -s 100M huge/a.c && truncate -s 60M huge/b.c && "
              "echo 'int a;' >huge/c.c");
    getrusage(RUSAGE_SELF, &before);
    told = analyze("huge");
    getrusage(RUSAGE_SELF, &after);
    assert_null(told.leaves);
    assert_int_equal(stage_number(told.result, "totals", "files"), 1);
    assert_int_equal(stage_number(told.result, "skipped", "too_large"), 1);
    assert_int_equal(stage_number(told.result, "skipped", "binary"), 1); /* full of zeros */
    /* One file at most is in memory, with what growing takes. */
    assert_true(after.ru_maxrss - before.ru_maxrss < 3 * (SOURCE_FILE_BYTES_MAX >> 10));
    told_free(&told);
}

/* ---- what changes between the look at it and the reading
 * ------------------------------------------------------------------ */

enum change { VANISHES, SHRINKS, GROWS, BECOMES_LINK, BECOMES_FIFO, BECOMES_FOLDER, CHANGES };

static const struct {
    const char *command;
    int rc;           /* of reading it */
    json_int_t bytes; /* that are read */
} changes[CHANGES] = {
    [VANISHES] = {"rm x.c", ARGOSY_ENOTFOUND, 0},
    [SHRINKS] = {"truncate -s 3 x.c", 0, 3},
    [GROWS] = {"truncate -s 100M x.c", ARGOSY_ETOOBIG, 0},
    [BECOMES_LINK] = {"rm x.c && ln -s /etc/passwd x.c", ARGOSY_EIO, 0},
    [BECOMES_FIFO] = {"rm x.c && mkfifo x.c", 0, 0},
    [BECOMES_FOLDER] = {"rm x.c && mkdir x.c", ARGOSY_EIO, 0},
};

struct reading {
    enum change change;
    unsigned files;
};

static int read_what_changes(void *arg, const struct source_file *file)
{
    struct ag_buffer content = ag_buffer_empty(SOURCE_FILE_BYTES_MAX + 2 * SOURCE_READ_BYTES);
    struct reading *self = arg;
    struct argosy_error err = {0};

    self->files++;
    if (strcmp(file->name, "x.c") == 0) {
        stage_run("cd changing && %s", changes[self->change].command);
        assert_fails(file->read(file, &content, &err), changes[self->change].rc);
        if (changes[self->change].rc == 0)
            assert_int_equal(content.size, changes[self->change].bytes);
        else
            assert_true(err.message[0] != '\0');
    }
    ag_buffer_free(&content);
    return 0;
}

static int no_trouble(void *arg, const char *path, const struct argosy_error *err)
{
    (void)arg;
    fail_msg("%s: %s", path, err->message);
    return 0;
}

static void files_that_change_while_they_are_read_do_no_harm(void **state)
{
    char path[256];

    (void)state;
    snprintf(path, sizeof path, "%s/changing", stage_folder);
    for (enum change change = 0; change < CHANGES; change++) {
        struct reading reading = {.change = change};
        struct source_visitor visitor = {
            .file = read_what_changes, .trouble = no_trouble, .arg = &reading};
        struct source_options options = {0};
        struct source *source;

        stage_run("rm -rf changing && mkdir changing && cd changing && "
                  "echo 'int a;' | tee x.c y.c >z.c");
        assert_ok(source_dir_new(&source, path, &options, NULL));
        assert_ok(source->each(source, &visitor));
        assert_int_equal(reading.files, 3);
        source->destroy(&source);
    }
}

static int remove_all_else(void *arg, const struct source_file *file)
{
    if (++((struct reading *)arg)->files == 1)
        stage_run("find going -mindepth 1 -depth ! -name '%s' -delete 2>/dev/null; true",
                  file->name);
    return 0;
}

static int on_gone(void *arg, const char *path, const struct argosy_error *err)
{
    assert_true(path[0] != '\0');
    assert_int_equal(err->code, ARGOSY_ENOTFOUND);
    ((struct reading *)arg)->files++;
    return 0;
}

/* What was listed and is gone is told as missing, each by its name. */
static void a_tree_that_vanishes_during_the_walk_ends_it(void **state)
{
    struct reading reading = {0};
    struct source_visitor visitor = {.file = remove_all_else, .trouble = on_gone, .arg = &reading};
    struct source_options options = {0};
    struct source *source;
    char path[256];

    (void)state;
    stage_run("mkdir going && cd going && for i in $(seq 50); do echo x >f$i.c; done");
    snprintf(path, sizeof path, "%s/going", stage_folder);
    assert_ok(source_dir_new(&source, path, &options, NULL));
    assert_ok(source->each(source, &visitor));
    assert_int_equal(reading.files, 50); /* they fit into one reading of the directory */
    source->destroy(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(directories_too_deep_are_a_limit_with_their_path),
        cmocka_unit_test(paths_too_long_are_a_limit_with_the_directory_that_holds_them),
        cmocka_unit_test(thousands_of_troubles_are_counted_and_some_are_named),
        cmocka_unit_test(names_may_hold_any_bytes),
        cmocka_unit_test(links_fifos_sockets_and_devices_are_passed_by),
        cmocka_unit_test(what_may_not_be_read_is_a_leaf_and_all_else_is_counted),
        cmocka_unit_test(a_file_too_large_is_skipped_unread),
        cmocka_unit_test(files_that_change_while_they_are_read_do_no_harm),
        cmocka_unit_test(a_tree_that_vanishes_during_the_walk_ends_it),
    };

    return cmocka_run_group_tests(tests, stage_set_up, stage_tear_down);
}
