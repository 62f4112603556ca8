#include "tests/integration/fetch_loop.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/limits.h"
#include "tests/integration/harness.h"
#include "tests/unit/cmocka_prelude.h"

enum { WAIT_MS = 60000, NAMES_MAX = 64 };

struct stage stage;
static size_t open_before;
static int schedstat = -1;

/* ---- names
 * ------------------------------------------------------------------------------------------- */

static struct name {
    char name[64];
    const char *address; /* NULL: `code` */
    int code;
    unsigned ms, asked;
} names[NAMES_MAX];
static size_t names_count;
static unsigned foreign;
static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;

static struct name *find_name(const char *text)
{
    for (size_t i = 0; i < names_count; i++)
        if (strcasecmp(names[i].name, text) == 0)
            return &names[i];
    return NULL;
}

void stage_name(const char *text, const char *address, int code, unsigned ms)
{
    struct name *name;

    pthread_mutex_lock(&names_lock);
    name = find_name(text);
    if (name == NULL) {
        assert_true(names_count < NAMES_MAX);
        name = &names[names_count++];
        name->asked = 0;
    }
    *name = (struct name){.address = address, .code = code, .ms = ms, .asked = name->asked};
    snprintf(name->name, sizeof name->name, "%s", text);
    pthread_mutex_unlock(&names_lock);
}

unsigned stage_lookups(const char *text)
{
    struct name *name;
    unsigned asked;

    pthread_mutex_lock(&names_lock);
    name = find_name(text);
    asked = name != NULL ? name->asked : 0;
    pthread_mutex_unlock(&names_lock);
    return asked;
}

unsigned stage_foreign_lookups(void)
{
    unsigned count;

    pthread_mutex_lock(&names_lock);
    count = foreign;
    pthread_mutex_unlock(&names_lock);
    return count;
}

/* Literal addresses, as libcurl has them looked up too, ask nobody. */
static bool is_ours(const struct addrinfo *hints)
{
    char thread[16] = "";

    pthread_getname_np(pthread_self(), thread, sizeof thread);
    return strcmp(thread, "argosy-resolver") == 0 ||
           (hints != NULL && hints->ai_flags & AI_NUMERICHOST);
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))dlsym(
            RTLD_NEXT, "getaddrinfo");
    struct name found = {.name = ""}, *name;

    pthread_mutex_lock(&names_lock);
    foreign += !is_ours(hints);
    name = node != NULL ? find_name(node) : NULL;
    if (name != NULL) {
        name->asked++;
        found = *name;
    }
    pthread_mutex_unlock(&names_lock);
    if (found.name[0] == '\0')
        return real(node, service, hints, out);
    if (found.ms > 0)
        poll(NULL, 0, (int)found.ms);
    return found.address != NULL ? real(found.address, service, hints, out) : found.code;
}

/* ---- how long
 * ---------------------------------------------------------------------------------------- */

static int64_t thread_cpu_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* For how long this thread could have run but had no processor; 0 where the system does not say. */
static int64_t waited_us(void)
{
    char text[128] = "";
    ssize_t got = schedstat >= 0 ? pread(schedstat, text, sizeof text - 1, 0) : 0;
    char *second = got > 0 ? strchr(text, ' ') : NULL;

    return second != NULL ? strtoll(second, NULL, 10) / 1000 : 0;
}

struct hold stage_hold_begin(void)
{
    return (struct hold){
        .held_us = waited_us(), .cpu_us = thread_cpu_us(), .wall_us = ag_clock_mono_us()};
}

struct hold stage_hold_end(const struct hold *begun)
{
    int64_t wall = ag_clock_mono_us() - begun->wall_us;

    return (struct hold){.wall_us = wall,
                         .cpu_us = thread_cpu_us() - begun->cpu_us,
                         .held_us = wall - (waited_us() - begun->held_us)};
}

void stage_reset_hold(void)
{
    stage.longest = (struct hold){0};
    stage.cpu_us = 0;
    stage.turns = 0;
}

void stage_expect_hold(const char *what, int64_t must_ms)
{
    const struct hold *hold = &stage.longest;

    print_message("%-44s held %6.1f ms (wall %6.1f, cpu %6.1f), must %lld; %zu turns\n", what,
                  (double)hold->held_us / 1000, (double)hold->wall_us / 1000,
                  (double)hold->cpu_us / 1000, (long long)must_ms, stage.turns);
    if (hold->held_us > must_ms * 1000 * STAGE_SLOWER)
        fail_msg("%s: a turn has held the loop for %lld us", what, (long long)hold->held_us);
}

/* ---- a loop
 * ------------------------------------------------------------------------------------------ */

void task_tell(struct task *task, const char *note, struct ag_bytes partial)
{
    (void)task;
    (void)note;
    (void)partial;
}

void task_finish(struct task *task)
{
    struct job *job = (struct job *)task; /* its first member */

    if (job->done)
        fail_msg("a task is finished twice");
    job->done = true;
    job->ended_at = ag_clock_mono_ms();
    job->outcome = task->outcome;
    memset(task, 0x5a, sizeof *task); /* it may be gone: nobody may look */
    if (stage.forgets) {
        ag_buffer_free(&job->outcome.result);
        ag_buffer_free(&job->outcome.error);
    }
    stage.finished++;
    if (stage.begin_next && stage.begun < stage.made)
        stage_start(&stage.jobs[stage.begun]);
}

void stage_start(struct job *job)
{
    stage.begun++;
    job->began_at = ag_clock_mono_ms();
    stage.engine->start(stage.engine, &job->task);
}

void stage_stop(struct job *job)
{
    atomic_store(&job->task.stop, STOP_CANCEL);
    stage.engine->stop(stage.engine, &job->task);
}

void stage_turn(void)
{
    struct pollfd wait = {.fd = fetch_fd(stage.engine), .events = POLLIN};
    int64_t left = fetch_deadline(stage.engine) - ag_clock_mono_ms();
    struct hold hold;

    poll(&wait, 1, left > 100 ? 100 : left > 0 ? (int)left : 0);
    hold = stage_hold_begin();
    fetch_turn(stage.engine, ag_clock_mono_ms());
    hold = stage_hold_end(&hold);
    stage.turns++;
    stage.cpu_us += hold.cpu_us;
    if (hold.held_us > stage.longest.held_us)
        stage.longest = hold;
}

void stage_run_until(size_t count)
{
    int64_t until = ag_clock_mono_ms() + WAIT_MS;

    while (stage.finished < count) {
        stage_turn();
        if (ag_clock_mono_ms() > until)
            fail_msg("%zu of %zu jobs have ended", stage.finished, count);
    }
}

void stage_run_all(void)
{
    while (stage.begun < stage.made)
        stage_start(&stage.jobs[stage.begun]);
    stage_run_until(stage.made);
}

void stage_run_some(size_t at_once)
{
    stage.begin_next = true;
    while (stage.begun < stage.made && stage.begun - stage.finished < at_once)
        stage_start(&stage.jobs[stage.begun]);
    stage_run_until(stage.made);
    stage.begin_next = false;
}

/* ---- jobs
 * -------------------------------------------------------------------------------------------- */

static struct job *make(const char *format, va_list args)
{
    struct job *job = &stage.jobs[stage.made];
    json_t *json;
    char *text;

    assert_true(stage.made < STAGE_JOBS_MAX);
    assert_true(vasprintf(&text, format, args) > 0);
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\'')
            *c = '"';
    json = json_loads(text, JSON_DECODE_ANY, NULL);
    if (json == NULL)
        fail_msg("no JSON: %s", text);
    free(text);
    stage.made++;
    *job = (struct job){.payload = ag_buffer_empty(AG_PAYLOAD_BYTES_MAX)};
    assert_ok(ag_json_to_msgpack(json, &job->payload));
    json_decref(json);
    job->task.payload = ag_buffer_bytes(&job->payload);
    atomic_init(&job->task.permille, AG_PERMILLE_UNKNOWN);
    return job;
}

struct job *stage_make(const char *format, ...)
{
    struct job *job;
    va_list args;

    va_start(args, format);
    job = make(format, args);
    va_end(args);
    return job;
}

void stage_forget_jobs(void)
{
    for (size_t i = 0; i < stage.made; i++) {
        ag_buffer_free(&stage.jobs[i].payload);
        outcome_fini(&stage.jobs[i].outcome);
    }
    stage.made = stage.begun = stage.finished = 0;
    stage.begin_next = stage.forgets = false;
}

static json_t *tree(const struct ag_buffer *buffer)
{
    json_t *json = NULL;

    if (buffer->size == 0)
        return json_null();
    assert_true(ag_json_from_msgpack(ag_buffer_bytes(buffer), &json, NULL) >= 0);
    return json;
}

void stage_expect(const struct job *job, const char *type)
{
    assert_true(job->done);
    if (strcmp(job->outcome.type, type) != 0 || job->outcome.succeeded != (type[0] == '\0'))
        fail_msg("job %zu: expected '%s', got '%s': %s", (size_t)(job - stage.jobs), type,
                 job->outcome.type, json_dumps(tree(&job->outcome.error), JSON_ENCODE_ANY));
}

void stage_expect_all(const char *type)
{
    for (size_t i = 0; i < stage.made; i++)
        stage_expect(&stage.jobs[i], type);
}

json_t *stage_result(const struct job *job)
{
    stage_expect(job, "");
    return tree(&job->outcome.result);
}

const char *stage_text(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text != NULL ? text : "";
}

json_t *stage_fetch(const char *format, ...)
{
    struct job *job;
    va_list args;

    va_start(args, format);
    job = make(format, args);
    va_end(args);
    stage_run_all();
    return stage_result(job);
}

/* ---- a server that gives one answer to all
 * ----------------------------------------------------------- */

static pid_t serving;

static int bind_any(struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof *address;

    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, &size), 0);
    return fd;
}

unsigned stage_free_port(void)
{
    struct sockaddr_in address;

    close(bind_any(&address));
    return ntohs(address.sin_port);
}

static void serve(int fd, struct ag_bytes answer)
{
    char request[8192];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        int client = accept(fd, NULL, NULL);
        size_t at = 0;
        ssize_t done = client < 0 ? 0 : read(client, request, sizeof request);

        while (done > 0 && at < answer.size) {
            done = send(client, answer.data + at, answer.size - at, MSG_NOSIGNAL);
            at += done > 0 ? (size_t)done : 0;
        }
        close(client);
    }
}

unsigned stage_serve(struct ag_bytes answer)
{
    struct sockaddr_in address;
    int fd = bind_any(&address);

    assert_int_equal(listen(fd, 128), 0);
    serving = fork();
    assert_true(serving >= 0);
    if (serving == 0)
        serve(fd, answer);
    close(fd);
    return ntohs(address.sin_port);
}

void stage_stop_serving(void)
{
    kill(serving, SIGKILL);
    waitpid(serving, NULL, 0);
    serving = 0;
}

/* ---- the server's own word
 * --------------------------------------------------------------------------- */

static size_t append(char *data, size_t one, size_t size, void *arg)
{
    ag_buffer_append(arg, data, one * size);
    return size;
}

int64_t stage_server_count(const char *key)
{
    struct ag_buffer body = ag_buffer_empty(1 << 20);
    CURL *easy = curl_easy_init();
    int64_t count;
    json_t *json;
    char url[128];

    snprintf(url, sizeof url, "http://%s/stats", stage.http);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &body);
    assert_int_equal(curl_easy_perform(easy), CURLE_OK);
    curl_easy_cleanup(easy);
    json = json_loads(ag_buffer_as_text(&body), 0, NULL);
    count = json_integer_value(json_object_get(json, key));
    json_decref(json);
    ag_buffer_free(&body);
    return count;
}

/* ---- before and after
 * -------------------------------------------------------------------------------- */

static size_t count_open(void)
{
    DIR *folder = opendir("/proc/self/fd");
    size_t count = 0;

    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static void start_engine(unsigned slots, const char *ca_file)
{
    static const char *roots[1], *const nets[] = {"127.0.0.0/8", NULL};
    static const struct policy_config policy = {.nets = nets};
    struct fetch_config config = {
        .slots = slots, .ca_file = ca_file, .roots = roots, .roots_count = 1, .policy = &policy};
    struct argosy_error err = {0};

    roots[0] = stage.root;
    assert_ok(fetch_handler_new(&stage.engine, &config, &err));
}

void stage_restart(unsigned slots, const char *ca_file)
{
    if (stage.engine != NULL)
        stage.engine->destroy(&stage.engine);
    start_engine(slots, ca_file);
}

void stage_begin(unsigned slots)
{
    struct job *jobs = stage.jobs;

    harness_begin();
    stage = (struct stage){.jobs = jobs, .root = harness_path("root")};
    if (stage.jobs == NULL)
        stage.jobs = calloc(STAGE_JOBS_MAX, sizeof *stage.jobs);
    assert_non_null(stage.jobs);
    names_count = foreign = 0;
    if (schedstat < 0)
        schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    assert_int_equal(mkdir(stage.root, 0700), 0);
    stage.http = harness_server("http");
    open_before = count_open();
    start_engine(slots, harness_server("ca"));
}

int stage_end(void)
{
    int64_t until = ag_clock_mono_ms() + 5000;
    int rc = 0;

    stage.engine->destroy(&stage.engine);
    stage_forget_jobs();
    /* A thread that looks something up for nobody closes its descriptor when it is through. */
    while (count_open() != open_before && rc == 0) {
        if (ag_clock_mono_ms() > until) {
            print_error("%zu descriptors are open, not %zu\n", count_open(), open_before);
            rc = -1;
        }
        poll(NULL, 0, 1);
    }
    if (serving != 0)
        stage_stop_serving();
    harness_end();
    return rc;
}
