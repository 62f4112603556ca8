#include "tests/integration/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/unit/cmocka_prelude.h"

enum { TEXTS_MAX = 1024, PIDS_MAX = 64, WAIT_MS = 20000 };

static char folder[64];
static char *texts[TEXTS_MAX];
static size_t texts_count;
static pid_t pids[PIDS_MAX];
static size_t pids_count;
static const char *server_ports;

static const char *keep(char *text)
{
    assert_non_null(text);
    assert_true(texts_count < TEXTS_MAX);
    texts[texts_count++] = text;
    return text;
}

void harness_begin(void)
{
    strcpy(folder, "/tmp/argosy-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
}

static void forget(pid_t pid)
{
    for (size_t i = 0; i < pids_count; i++)
        if (pids[i] == pid)
            pids[i] = 0;
}

void harness_end(void)
{
    char command[128];

    for (size_t i = 0; i < pids_count; i++) {
        if (pids[i] != 0) {
            kill(pids[i], SIGKILL);
            waitpid(pids[i], NULL, 0);
        }
    }
    pids_count = 0;
    server_ports = NULL;
    while (texts_count > 0)
        free(texts[--texts_count]);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0)
        fprintf(stderr, "cannot remove %s\n", folder);
}

const char *harness_path(const char *name)
{
    char *path;

    assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
    return keep(path);
}

void harness_write(const char *path, const char *content)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* ---- commands
 * ------------------------------------------------------------------------------------------ */

static void exec_program(const char *const *argv)
{
    char path[4096];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (strchr(argv[0], '/') != NULL)
        snprintf(path, sizeof path, "%s", argv[0]);
    else
        snprintf(path, sizeof path, "%s/%s", getenv("ARGOSY_BIN"), argv[0]);
    setenv("XDG_CONFIG_HOME", folder, 1); /* no configuration of whoever runs the tests */
    setenv("XDG_STATE_HOME", folder, 1);  /* and a store of our own */
    unsetenv("ARGOSY_CONNECT");
    execv(path, (char *const *)argv);
    fprintf(stderr, "cannot run %s: %s\n", path, strerror(errno));
    _exit(127);
}

static int code_of(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

struct sink {
    int fd;
    char *text;
    size_t size, capacity;
};

static void drain(struct sink *sink)
{
    ssize_t got;

    if (sink->capacity - sink->size < 65537) {
        sink->capacity = sink->capacity * 2 + 131072;
        sink->text = realloc(sink->text, sink->capacity);
        assert_non_null(sink->text);
    }
    got = read(sink->fd, sink->text + sink->size, 65536);
    if (got <= 0) {
        close(sink->fd);
        sink->fd = -1;
    } else {
        sink->size += (size_t)got;
    }
    sink->text[sink->size] = '\0';
}

static void collect(struct sink *out, struct sink *err, int64_t until, pid_t pid)
{
    while (out->fd >= 0 || err->fd >= 0) {
        struct pollfd items[2] = {{.fd = out->fd, .events = POLLIN},
                                  {.fd = err->fd, .events = POLLIN}};
        int64_t left = until - ag_clock_mono_ms();

        if (left <= 0) {
            kill(pid, SIGKILL);
            left = 1000;
            until = INT64_MAX;
        }
        poll(items, 2, (int)left);
        if (items[0].revents != 0)
            drain(out);
        if (items[1].revents != 0)
            drain(err);
    }
}

struct ran harness_run(const char *const *argv, const char *input)
{
    struct sink out = {0}, err = {0};
    int64_t start = ag_clock_mono_ms();
    int outs[2], errs[2], status;
    const char *stdin_path = "/dev/null";
    struct ran ran;
    pid_t pid;

    if (input != NULL) {
        stdin_path = harness_path("stdin");
        harness_write(stdin_path, input);
    }
    assert_int_equal(pipe2(outs, O_CLOEXEC), 0);
    assert_int_equal(pipe2(errs, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        dup2(open(stdin_path, O_RDONLY), STDIN_FILENO);
        dup2(outs[1], STDOUT_FILENO);
        dup2(errs[1], STDERR_FILENO);
        exec_program(argv);
    }
    close(outs[1]);
    close(errs[1]);
    out.fd = outs[0];
    err.fd = errs[0];
    collect(&out, &err, start + HARNESS_RUN_MS, pid);
    waitpid(pid, &status, 0);
    ran = (struct ran){.code = code_of(status),
                       .ms = ag_clock_mono_ms() - start,
                       .out = out.text,
                       .err = err.text};
    if (ran.code == 128 + SIGKILL)
        fail_msg("%s %s did not end in time; it said: %s", argv[0], argv[1], ran.err);
    return ran;
}

void ran_free(struct ran *ran)
{
    free(ran->out);
    free(ran->err);
    *ran = (struct ran){0};
}

pid_t harness_start(const char *const *argv, const char *log)
{
    pid_t pid;

    assert_true(pids_count < PIDS_MAX);
    pid = fork();
    if (pid == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        exec_program(argv);
    }
    pids[pids_count++] = pid;
    return pid;
}

int harness_stop(pid_t pid, int number)
{
    int64_t until = ag_clock_mono_ms() + WAIT_MS;
    int status = 0;

    if (number != 0)
        kill(pid, number);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (ag_clock_mono_ms() > until)
            fail_msg("process %d does not end", (int)pid);
        usleep(1000);
    }
    forget(pid);
    return code_of(status);
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = NULL;
    size_t size = 0;

    if (file == NULL)
        return NULL;
    if (getdelim(&text, &size, '\0', file) < 0) {
        free(text);
        text = NULL;
    }
    fclose(file);
    return text;
}

const char *harness_read(const char *path)
{
    return keep(read_file(path));
}

const char *harness_await(const char *path, const char *text)
{
    int64_t until = ag_clock_mono_ms() + WAIT_MS;

    for (;;) {
        char *content = read_file(path);
        char *found = content != NULL ? strstr(content, text) : NULL;

        if (found != NULL) {
            char *rest = strndup(found + strlen(text), strcspn(found + strlen(text), " \n"));

            free(content);
            return keep(rest);
        }
        if (ag_clock_mono_ms() > until)
            fail_msg("%s never held '%s' but: %s", path, text, content ? content : "nothing");
        free(content);
        usleep(1000);
    }
}

const char *harness_server(const char *name)
{
    char line[64];

    if (server_ports == NULL) {
        const char *program = getenv("ARGOSY_TEST_HTTP_SERVER");
        pid_t pid;

        assert_non_null(program);
        server_ports = harness_path("ports");
        pid = fork();
        if (pid == 0) {
            const char *const argv[] = {program, "--with-parent", "--port-file", server_ports,
                                        NULL};

            dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
            exec_program(argv);
        }
        pids[pids_count++] = pid;
        harness_await(server_ports, "\nca ");
    }
    snprintf(line, sizeof line, "%s%s ", strcmp(name, "http") == 0 ? "" : "\n", name);
    return harness_await(server_ports, line);
}

/* ---- JSON
 * ---------------------------------------------------------------------------------------------- */

json_t *harness_json_lines(const char *text)
{
    json_t *list = json_array();

    while (*text != '\0') {
        size_t size = strcspn(text, "\n");
        json_error_t where;
        json_t *item = json_loadb(text, size, JSON_ALLOW_NUL, &where);

        if (item == NULL)
            fail_msg("not JSON (%s): %.*s", where.text, (int)size, text);
        json_array_append_new(list, item);
        text += size + (text[size] == '\n');
    }
    return list;
}

static const json_t *find(const json_t *json, const char *path)
{
    while (json != NULL && *path != '\0') {
        size_t size = strcspn(path, "/");

        json = json_object_getn(json, path, size);
        path += size + (path[size] == '/');
    }
    return json;
}

size_t harness_count(const json_t *list, const char *path, const char *value)
{
    const json_t *item;
    size_t i, count = 0;

    json_array_foreach(list, i, item)
    {
        const char *text = json_string_value(find(item, path));

        count += text != NULL && strcmp(text, value) == 0;
    }
    return count;
}
