#include "tests/integration/fetch_stage.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/limits.h"
#include "tests/integration/harness.h"

/* The linker puts it before the C library's (--wrap). */
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **found);
ssize_t __wrap_write(int fd, const void *bytes, size_t size);
ssize_t __real_write(int fd, const void *bytes, size_t size);
int __real_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **found);

struct handler *engine;
struct job jobs[JOBS_MAX];
size_t made, begun, finished;
bool begin_next;
const char *root, *http;
unsigned told;
struct ag_buffer told_last = {.size_max = 8 << 20};
struct policy_config policy;
const secrets_t *secrets;

static size_t open_before;
static unsigned rows_failed;
static unsigned slots;
static const char *allowed;
static pid_t answering[8];
static size_t answering_count;
static const char *requests_path;

/* Threads that look names up, or write to a disk, wait here. */
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static bool names_may_go, disk_is_held, disk_may_once;

/* ---- a loop
 * ------------------------------------------------------------------------------------------- */

void begin(struct job *job)
{
    begun++;
    job->began_at = ag_clock_mono_ms();
    engine->start(engine, &job->task);
}

void task_tell(struct task *task, const char *note, struct ag_bytes partial)
{
    (void)task;
    assert_null(note);
    told++;
    ag_buffer_clear(&told_last);
    ag_buffer_append(&told_last, partial.data, partial.size);
}

void task_finish(struct task *task)
{
    struct job *job = (struct job *)task; /* its first member */

    if (job->done)
        fail_msg("a task is finished twice");
    job->done = true;
    job->ended_at = ag_clock_mono_ms();
    job->outcome = task->outcome;
    job->permille = atomic_load(&task->permille);
    memset(task, 0x5a, sizeof *task); /* it may be gone: nobody may look */
    finished++;
    if (begin_next && begun < made)
        begin(&jobs[begun]);
}

void turn_within(int ms)
{
    struct pollfd wait = {.fd = fetch_fd(engine), .events = POLLIN};
    int64_t left = fetch_deadline(engine) - ag_clock_mono_ms();

    poll(&wait, 1, left > ms ? ms : left > 0 ? (int)left : 0);
    fetch_turn(engine, ag_clock_mono_ms());
}

void turn(void)
{
    turn_within(100);
}

void run_until(size_t count)
{
    int64_t until = ag_clock_mono_ms() + WAIT_MS;

    while (finished < count) {
        turn();
        if (ag_clock_mono_ms() <= until)
            continue;
        for (size_t i = 0; i < begun; i++)
            if (!jobs[i].done)
                print_error("job %zu has not ended\n", i);
        fail_msg("%zu of %zu jobs have ended", finished, count);
    }
}

int64_t late_at(void)
{
    return ag_clock_mono_ms() + WAIT_MS;
}

bool is_late(int64_t until)
{
    return ag_clock_mono_ms() > until;
}

struct job *make(const char *format, ...)
{
    struct job *job = &jobs[made];
    json_t *json;
    char *text;
    va_list args;

    va_start(args, format);
    assert_true(vasprintf(&text, format, args) > 0);
    va_end(args);
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\'')
            *c = '"';
    json = json_loads(text, JSON_DECODE_ANY, NULL);
    if (json == NULL)
        fail_msg("no JSON: %s", text);
    free(text);
    assert_true(made < JOBS_MAX);
    made++;
    *job = (struct job){.payload = ag_buffer_empty(AG_PAYLOAD_BYTES_MAX)};
    assert_ok(ag_json_to_msgpack(json, &job->payload));
    json_decref(json);
    job->task.payload = ag_buffer_bytes(&job->payload);
    atomic_init(&job->task.permille, AG_PERMILLE_UNKNOWN);
    return job;
}

void run_all(void)
{
    while (begun < made)
        begin(&jobs[begun]);
    run_until(made);
}

void stop_job(struct job *job)
{
    assert_false(job->done);
    atomic_store(&job->task.stop, STOP_CANCEL);
    engine->stop(engine, &job->task);
}

void forget_jobs(void)
{
    for (size_t i = 0; i < made; i++) {
        ag_buffer_free(&jobs[i].payload);
        outcome_fini(&jobs[i].outcome);
    }
    made = begun = finished = 0;
    begin_next = false;
}

json_t *tree(const struct ag_buffer *buffer)
{
    json_t *json = NULL;

    assert_true(buffer->size > 0);
    assert_true(ag_json_from_msgpack(ag_buffer_bytes(buffer), &json, NULL) >= 0);
    return json;
}

bool is_as(const struct job *job, const char *type)
{
    json_t *error;

    assert_true(job->done);
    if (strcmp(job->outcome.type, type) == 0 && job->outcome.succeeded == (type[0] == '\0'))
        return true;
    error = job->outcome.succeeded ? json_null() : tree(&job->outcome.error);
    print_error("job %zu: expected '%s', got '%s': %s\n", (size_t)(job - jobs), type,
                job->outcome.type, json_dumps(error, JSON_COMPACT));
    json_decref(error);
    return false;
}

void expect(const struct job *job, const char *type)
{
    if (!is_as(job, type))
        fail();
}

void expect_row(size_t row, const char *type, bool retryable)
{
    const struct job *job = &jobs[row];

    if (job->outcome.retryable != retryable) {
        print_error("job %zu, '%s': retryable %d\n", row, job->outcome.type,
                    job->outcome.retryable);
        rows_failed++;
    }
    rows_failed += !is_as(job, type);
}

const struct job *expect_one(const char *type, const struct job *job)
{
    run_all();
    expect(job, type);
    return job;
}

void expect_error(const char *type, bool retryable, const char *words, const struct job *job)
{
    json_t *error = tree(&expect_one(type, job)->outcome.error);
    const char *message = text_at(error, "message");

    if (job->outcome.retryable != retryable)
        fail_msg("%s: retryable %d: %s", type, job->outcome.retryable, message);
    if (strstr(message, words) == NULL)
        fail_msg("%s: '%s' does not say '%s'", type, message, words);
    json_decref(error);
}

int64_t lasted(const struct job *job)
{
    return job->ended_at - job->began_at;
}

/* ---- before and after
 * --------------------------------------------------------------------------------- */

size_t count_entries(const char *path)
{
    DIR *folder = opendir(path);
    size_t count = 0;

    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

void start_engine(unsigned slots_count, const char *allow)
{
    static const char *roots[1], *nets[2];
    struct fetch_config config = {.slots = slots_count,
                                  .ca_file = harness_server("ca"),
                                  .roots = roots,
                                  .roots_count = 1,
                                  .policy = &policy,
                                  .secrets = secrets};
    struct argosy_error err = {0};

    slots = slots_count;
    allowed = allow;
    roots[0] = root;
    nets[0] = allow;
    policy.nets = nets;
    assert_ok(fetch_handler_new(&engine, &config, &err));
    assert_string_equal(engine->kind, "fetch");
}

void restart_engine(void)
{
    engine->destroy(&engine);
    start_engine(slots, allowed);
}

int set_up(void **state)
{
    (void)state;
    harness_begin();
    root = harness_path("root");
    requests_path = harness_path("requests");
    assert_int_equal(mkdir(root, 0700), 0);
    http = harness_server("http");
    open_before = count_entries("/proc/self/fd");
    policy = (struct policy_config){0};
    secrets = NULL;
    told = rows_failed = 0;
    names_may_go = false;
    answering_count = 0; /* of a test that has failed */
    start_engine(SLOTS, "127.0.0.0/8");
    return 0;
}

int tear_down(void **state)
{
    int64_t until = ag_clock_mono_ms() + 5000;
    int rc = 0;

    (void)state;
    let_disk_go();
    if (engine != NULL)
        engine->destroy(&engine);
    forget_jobs();
    ag_buffer_free(&told_last);
    let_names_go();
    /* A thread that resolves a name for nobody closes its descriptor when it is through. */
    while (count_entries("/proc/self/fd") != open_before && rc == 0) {
        if (ag_clock_mono_ms() > until) {
            print_error("%zu descriptors are open, not %zu\n", count_entries("/proc/self/fd"),
                        open_before);
            rc = -1;
        }
        poll(NULL, 0, 1);
    }
    harness_end();
    return rows_failed > 0 ? -1 : rc;
}

/* ---- results
 * ------------------------------------------------------------------------------------------ */

const char *text_at(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text != NULL ? text : "";
}

json_int_t number_at(const json_t *json, const char *key)
{
    return json_integer_value(json_object_get(json, key));
}

json_t *result_of(const struct job *job)
{
    return tree(&expect_one("", job)->outcome.result);
}

json_t *echo_of(const struct job *job)
{
    json_t *result = result_of(job);
    json_t *echo = json_loads(text_at(result, "body"), JSON_ALLOW_NUL, NULL);

    assert_non_null(echo);
    json_decref(result);
    return echo;
}

/* ---- files
 * -------------------------------------------------------------------------------------------- */

bool holds(const char *path, const char *text)
{
    char content[64] = "";
    FILE *file = fopen(path, "r");
    bool same;

    if (file == NULL)
        return false;
    same =
        fread(content, 1, sizeof content - 1, file) < sizeof content && strcmp(content, text) == 0;
    fclose(file);
    return same;
}

struct job *make_file(const char *path, const char *name, const char *more)
{
    return make("{'url': 'http://%s%s', 'body': 'file', 'file': '%s/%s'%s}", http, path, root, name,
                more);
}

static void fill_pattern(uint8_t *out, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(i % 251);
}

void write_pattern(const char *path, size_t size)
{
    FILE *file = fopen(path, "w");
    uint8_t *bytes = malloc(size);

    assert_non_null(file);
    assert_non_null(bytes);
    fill_pattern(bytes, size);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    free(bytes);
}

bool holds_pattern(const char *path, size_t size)
{
    FILE *file = fopen(path, "r");
    bool same = file != NULL;

    for (size_t i = 0; same && i < size; i++)
        same = getc(file) == (int)(i % 251);
    same = same && getc(file) == EOF;
    if (file != NULL)
        fclose(file);
    return same;
}

void pattern_sha256(size_t size, char hex[65])
{
    uint8_t *bytes = malloc(size), digest[32];

    assert_non_null(bytes);
    fill_pattern(bytes, size);
    assert_int_equal(EVP_Digest(bytes, size, digest, NULL, EVP_sha256(), NULL), 1);
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    free(bytes);
}

/* ---- servers of the tests' own
 * ------------------------------------------------------------------------- */

int listen_at(struct sockaddr_in *address, int backlog)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof *address;

    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)address, size), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, &size), 0);
    return fd;
}

/* Up to the end of the request, as far as its Content-Length tells; in a process of its own, that
 * must not allocate. False: the client has gone. */
static bool read_request(int client, int log)
{
    static char request[64 << 10];
    size_t size = 0, wanted = sizeof request - 1;

    while (size < wanted) {
        ssize_t got = read(client, request + size, sizeof request - 1 - size);
        const char *end, *length;

        if (got <= 0 || write(log, request + size, (size_t)got) != got)
            return false;
        size += (size_t)got;
        request[size] = '\0';
        end = strstr(request, "\r\n\r\n");
        length = strcasestr(request, "\r\ncontent-length:");
        if (end != NULL)
            wanted = (size_t)(end + 4 - request) +
                     (length != NULL && length < end ? strtoul(length + 17, NULL, 10) : 0);
    }
    return true;
}

unsigned answer_each(const char *const *answers, size_t count)
{
    struct sockaddr_in address;
    int fd = listen_at(&address, 8);
    int log = open(requests_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    assert_true(answering_count < sizeof answering / sizeof *answering);
    answering[answering_count] = fork();
    assert_true(answering[answering_count] >= 0);
    if (answering[answering_count++] == 0) {
        alarm(20);
        for (size_t i = 0; i < count; i++) {
            int client = accept(fd, NULL, NULL);

            if (!read_request(client, log) || write(client, answers[i], strlen(answers[i])) < 0)
                _exit(1);
            close(client);
        }
        _exit(0);
    }
    close(fd);
    close(log);
    return ntohs(address.sin_port);
}

unsigned answer_once(const char *answer)
{
    return answer_each(&answer, 1);
}

void answered(void)
{
    int status;

    while (answering_count > 0) {
        answering_count--;
        assert_int_equal(waitpid(answering[answering_count], &status, 0),
                         answering[answering_count]);
        assert_int_equal(status, 0);
    }
}

const char *requests(void)
{
    return harness_read(requests_path);
}

json_t *ask_server(const char *path)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port =
                                      htons((uint16_t)strtoul(strchr(http, ':') + 1, NULL, 10))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char answer[64 << 10], *body;
    ssize_t got, size = 0;
    json_t *json;

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_true(dprintf(fd, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path) > 0);
    while ((got = read(fd, answer + size, sizeof answer - 1 - (size_t)size)) > 0)
        size += got;
    close(fd);
    answer[size] = '\0';
    body = strstr(answer, "\r\n\r\n");
    assert_non_null(body);
    json = json_loads(body + 4, JSON_DECODE_ANY, NULL);
    if (json == NULL)
        fail_msg("%s: %s", path, answer);
    return json;
}

json_int_t server_counts(const char *route)
{
    char path[64];
    json_t *json;
    json_int_t count;

    snprintf(path, sizeof path, "/count/%s", route);
    json = ask_server(path);
    count = json_integer_value(json);
    json_decref(json);
    return count;
}

/* ---- names and disks
 * -------------------------------------------------------------------------------------------- */

static void set_gate(bool *which, bool value)
{
    pthread_mutex_lock(&gate_lock);
    *which = value;
    pthread_cond_broadcast(&gate_changed);
    pthread_mutex_unlock(&gate_lock);
}

void let_names_go(void)
{
    set_gate(&names_may_go, true);
}

void hold_disk(void)
{
    set_gate(&disk_is_held, true);
}

void let_disk_write_once(void)
{
    set_gate(&disk_may_once, true);
}

void let_disk_go(void)
{
    set_gate(&disk_is_held, false);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t size)
{
    struct stat info;

    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
        pthread_mutex_lock(&gate_lock);
        while (disk_is_held && !disk_may_once)
            pthread_cond_wait(&gate_changed, &gate_lock);
        disk_may_once = false;
        pthread_mutex_unlock(&gate_lock);
    }
    return __real_write(fd, bytes, size);
}

int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **found)
{
    size_t size = host != NULL ? strlen(host) : 0;
    struct addrinfo numbers = hints != NULL ? *hints : (struct addrinfo){0};

    if (size < 5 || strcmp(host + size - 5, ".test") != 0)
        return __real_getaddrinfo(host, service, hints, found);
    pthread_mutex_lock(&gate_lock);
    while (strcmp(host, "stuck.test") == 0 && !names_may_go)
        pthread_cond_wait(&gate_changed, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
    numbers.ai_flags = AI_NUMERICHOST;
    numbers.ai_family = AF_INET;
    return __real_getaddrinfo("127.0.0.1", service, &numbers, found);
}
