/* The resolver: one lookup for all who ask, kept for its time; never a wait on the loop, whatever
 * the name server does. The name server is ours: slow, dead, changing. Runs under ThreadSanitizer
 * too. */
#include "tests/unit/cmocka_prelude.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/random.h"
#include "worker/fetch/resolver.h"

enum { PATIENCE_MS = 20000, CALLS_MAX = 256, NAME_SIZE = 64 };

/* A name server. Names that begin with "stuck" have their answer when `is_open`. */
struct server {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_open;
    unsigned calls, stuck; /* begun; inside and stuck now */
    int code;              /* what it answers now; 0: 192.0.2.`last` */
    uint8_t last;
    char asked[CALLS_MAX][NAME_SIZE]; /* the first of them, in order */
};

struct asker {
    struct resolver_question question;
    unsigned answers;
    int code;
    size_t count;
    uint8_t last; /* byte of the first address */
    bool retryable, is_stale;
    void (*then)(struct asker *self); /* also within the callback */
    struct fixture *fixture;
    struct asker *other;
};

struct fixture {
    struct server server;
    resolver_t *resolver;
    int64_t now;
};

/* ---- threads: how many there are, and a system that has none left ------------------------------
 */

struct thread {
    void *(*run)(void *arg);
    void *arg;
};

static atomic_uint threads;
static bool refuses_threads;

int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __wrap_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static void *run_counted(void *arg)
{
    struct thread thread = *(struct thread *)arg;

    free(arg);
    thread.run(thread.arg);
    atomic_fetch_sub(&threads, 1);
    return NULL;
}

int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg)
{
    struct thread *thread = malloc(sizeof *thread);
    int rc;

    assert_non_null(thread);
    *thread = (struct thread){.run = run, .arg = arg};
    atomic_fetch_add(&threads, 1);
    rc = refuses_threads ? EAGAIN : __real_pthread_create(out, attributes, run_counted, thread);
    if (rc == 0)
        return 0;
    atomic_fetch_sub(&threads, 1);
    free(thread);
    return rc;
}

static unsigned threads_now(void)
{
    return atomic_load(&threads);
}

/* Hangs if one stays: the time limit tells. */
static void wait_for_no_threads(void)
{
    while (threads_now() > 0)
        sched_yield();
}

/* ---- the name server ---------------------------------------------------------------------------
 */

static int serve(void *arg, const char *host, union resolver_address *out, size_t *count)
{
    struct server *server = arg;
    int code;

    pthread_mutex_lock(&server->lock);
    if (server->calls < CALLS_MAX)
        snprintf(server->asked[server->calls], NAME_SIZE, "%s", host);
    server->calls++;
    if (strncmp(host, "stuck", 5) == 0) {
        server->stuck++;
        pthread_cond_broadcast(&server->changed);
        while (!server->is_open)
            pthread_cond_wait(&server->changed, &server->lock);
        server->stuck--;
    }
    code = server->code;
    *count = 1;
    out[0] = (union resolver_address){.v4 = {.sin_family = AF_INET}};
    out[0].v4.sin_addr.s_addr = htonl(0xc0000200u + server->last);
    pthread_mutex_unlock(&server->lock);
    return code;
}

static void server_says(struct fixture *f, int code, uint8_t last)
{
    pthread_mutex_lock(&f->server.lock);
    f->server.code = code;
    f->server.last = last;
    pthread_mutex_unlock(&f->server.lock);
}

static void server_opens(struct fixture *f)
{
    pthread_mutex_lock(&f->server.lock);
    f->server.is_open = true;
    pthread_cond_broadcast(&f->server.changed);
    pthread_mutex_unlock(&f->server.lock);
}

static void wait_until_stuck(struct fixture *f, unsigned count)
{
    pthread_mutex_lock(&f->server.lock);
    while (f->server.stuck < count)
        pthread_cond_wait(&f->server.changed, &f->server.lock);
    pthread_mutex_unlock(&f->server.lock);
}

static unsigned calls(struct fixture *f)
{
    unsigned count;

    pthread_mutex_lock(&f->server.lock);
    count = f->server.calls;
    pthread_mutex_unlock(&f->server.lock);
    return count;
}

/* ---- asking ------------------------------------------------------------------------------------
 */

static void note(struct asker *self, const struct resolver_answer *answer)
{
    self->answers++;
    self->code = answer->code;
    self->count = answer->count;
    self->retryable = answer->retryable;
    self->is_stale = answer->is_stale;
    assert_int_equal(answer->count == 0, answer->code != 0);
    assert_int_equal(answer->text[0] == '\0', answer->code == 0);
    if (answer->count > 0)
        self->last = (uint8_t)ntohl(answer->addresses[0].v4.sin_addr.s_addr);
}

static void on_answer(struct resolver_question *question, const struct resolver_answer *answer)
{
    struct asker *self = AG_OWNER(question, struct asker, question);

    note(self, answer);
    if (self->then != NULL)
        self->then(self);
}

/* As resolver_ask() returns; an answer at once is noted like any other. */
static int ask(struct fixture *f, struct asker *asker, const char *host)
{
    struct resolver_answer answer;
    int rc;

    asker->fixture = f;
    asker->question.answered = on_answer;
    rc = resolver_ask(f->resolver, &asker->question, host, f->now, &answer);
    if (rc == 1)
        note(asker, &answer);
    return rc;
}

static void collect_until(struct fixture *f, const struct asker *asker, unsigned answers)
{
    struct pollfd item = {.fd = resolver_fd(f->resolver), .events = POLLIN};

    while (asker->answers < answers) {
        if (poll(&item, 1, PATIENCE_MS) != 1)
            fail_msg("no answer within %d ms", PATIENCE_MS);
        resolver_collect(f->resolver, f->now);
    }
}

/* Ask, and wait if that is needed. Returns whether it was. */
static bool resolve(struct fixture *f, struct asker *asker, const char *host)
{
    int rc;

    *asker = (struct asker){0};
    rc = ask(f, asker, host);
    assert_in_range(rc, 0, 1);
    collect_until(f, asker, 1);
    return rc == 0;
}

static void assert_sound(const struct fixture *f)
{
    const char *broken = resolver_broken_invariant(f->resolver);

    if (broken != NULL)
        fail_msg("%s", broken);
}

static bool is_looked_up(struct fixture *f, const char *host)
{
    struct asker asker;

    return resolve(f, &asker, host);
}

static void start(struct fixture *f, struct resolver_config config)
{
    struct argosy_error err = {0};

    config.lookup = serve;
    config.lookup_arg = &f->server;
    if (resolver_new(&f->resolver, &config, &err) < 0)
        fail_msg("%s", err.message);
}

static int set_up(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);

    pthread_mutex_init(&f->server.lock, NULL);
    pthread_cond_init(&f->server.changed, NULL);
    f->server.last = 1;
    f->now = 1000000;
    *state = f;
    return 0;
}

/* The name server goes last: threads may be inside until it opens. */
static int tear_down(void **state)
{
    struct fixture *f = *state;
    const char *broken = f->resolver != NULL ? resolver_broken_invariant(f->resolver) : NULL;

    server_opens(f);
    resolver_destroy(&f->resolver);
    wait_for_no_threads();
    pthread_cond_destroy(&f->server.changed);
    pthread_mutex_destroy(&f->server.lock);
    test_free(f);
    if (broken != NULL)
        print_error("%s\n", broken);
    return broken != NULL ? -1 : 0;
}

/* ---- one lookup, kept for its time -------------------------------------------------------------
 */

static void all_who_ask_for_a_name_share_one_lookup(void **state)
{
    enum { COUNT = 100 };
    struct fixture *f = *state;
    struct asker askers[COUNT] = {0};

    start(f, resolver_defaults());
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(ask(f, &askers[i], "stuck.example"), 0);
    wait_until_stuck(f, 1);
    resolver_collect(f->resolver, f->now); /* nothing there, and it does not block */
    assert_int_equal(askers[0].answers, 0);
    server_opens(f);
    collect_until(f, &askers[0], 1);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(askers[i].answers, 1);
        assert_int_equal(askers[i].count, 1);
        assert_int_equal(askers[i].last, 1);
        assert_false(askers[i].is_stale);
    }
    assert_int_equal(calls(f), 1);
    assert_int_equal(threads_now(), 1);
}

static void addresses_are_kept_for_their_time(void **state)
{
    struct fixture *f = *state;
    struct asker asker;

    start(f, resolver_defaults());
    assert_true(resolve(f, &asker, "a.example"));
    server_says(f, 0, 2);
    f->now += 59999;
    assert_false(resolve(f, &asker, "a.example"));
    assert_int_equal(asker.last, 1);
    f->now += 1;
    assert_true(resolve(f, &asker, "a.example"));
    assert_int_equal(asker.last, 2);
    assert_int_equal(calls(f), 2);
}

static void the_time_begins_with_the_answer(void **state)
{
    struct fixture *f = *state;
    struct asker asker = {0};

    start(f, resolver_defaults());
    assert_int_equal(ask(f, &asker, "stuck.example"), 0);
    f->now += 50000;
    server_opens(f);
    collect_until(f, &asker, 1);
    f->now += 50000;
    assert_false(is_looked_up(f, "stuck.example"));
}

static void failures_are_kept_by_their_kind(void **state)
{
    static const struct {
        int code;
        bool retryable;
        int64_t kept_ms;
    } kinds[] = {{EAI_NONAME, false, 5000},
                 {EAI_NODATA, false, 5000},
                 {EAI_AGAIN, true, 1000},
                 {EAI_FAIL, true, 1000},
                 {EAI_SYSTEM, true, 1000}};
    struct fixture *f = *state;
    struct asker asker;

    start(f, resolver_defaults());
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char host[NAME_SIZE];

        snprintf(host, sizeof host, "%zu.example", i);
        server_says(f, kinds[i].code, 1);
        assert_true(resolve(f, &asker, host));
        f->now += kinds[i].kept_ms - 1;
        server_says(f, 0, 3);
        assert_false(resolve(f, &asker, host));
        assert_int_equal(asker.code, kinds[i].code);
        assert_int_equal(asker.retryable, kinds[i].retryable);
        f->now += 1;
        assert_true(resolve(f, &asker, host));
        assert_int_equal(asker.last, 3);
    }
}

static void an_answer_past_its_time_is_better_than_none(void **state)
{
    struct fixture *f = *state;
    struct asker asker;

    start(f, resolver_defaults());
    assert_true(is_looked_up(f, "a.example"));
    server_says(f, EAI_AGAIN, 2);
    f->now += 60000;
    assert_true(resolve(f, &asker, "a.example"));
    assert_true(asker.code == 0 && asker.is_stale);
    assert_int_equal(asker.last, 1);
    f->now += RESOLVER_STALE_HOLD_MS - 1;
    assert_false(resolve(f, &asker, "a.example"));
    assert_true(asker.is_stale);
    server_says(f, 0, 2); /* it is back */
    f->now += 1;
    assert_true(resolve(f, &asker, "a.example"));
    assert_false(asker.is_stale);
    assert_int_equal(asker.last, 2);
}

static void a_name_that_is_gone_is_not_served_stale(void **state)
{
    struct fixture *f = *state;
    struct asker asker;

    start(f, resolver_defaults());
    assert_true(is_looked_up(f, "a.example"));
    server_says(f, EAI_NONAME, 1);
    f->now += 60000;
    assert_true(resolve(f, &asker, "a.example"));
    assert_int_equal(asker.code, EAI_NONAME);
    server_says(f, EAI_AGAIN, 1);
    f->now += 5000;
    assert_true(resolve(f, &asker, "a.example"));
    assert_int_equal(asker.code, EAI_AGAIN);
}

static void stale_answers_have_an_end(void **state)
{
    struct fixture *f = *state;
    struct asker asker;

    start(f, resolver_defaults());
    assert_true(is_looked_up(f, "a.example"));
    server_says(f, EAI_AGAIN, 1);
    f->now += 60000 + 599999;
    assert_true(resolve(f, &asker, "a.example"));
    assert_true(asker.code == 0 && asker.is_stale);
    f->now += 1; /* well within the time that a stale answer is held */
    assert_true(resolve(f, &asker, "a.example"));
    assert_int_equal(asker.code, EAI_AGAIN);
    assert_true(asker.retryable);
}

static void the_names_used_longest_ago_are_forgotten_first(void **state)
{
    struct fixture *f = *state;
    struct resolver_config config = resolver_defaults();

    config.names_max = 3;
    start(f, config);
    assert_true(is_looked_up(f, "a.example"));
    assert_true(is_looked_up(f, "b.example"));
    assert_true(is_looked_up(f, "c.example"));
    assert_false(is_looked_up(f, "a.example"));
    assert_true(is_looked_up(f, "d.example")); /* b goes */
    assert_false(is_looked_up(f, "a.example"));
    assert_false(is_looked_up(f, "c.example"));
    assert_false(is_looked_up(f, "d.example"));
    assert_true(is_looked_up(f, "b.example")); /* a goes */
    assert_true(is_looked_up(f, "a.example"));
}

static void a_name_that_is_looked_up_is_not_forgotten(void **state)
{
    struct fixture *f = *state;
    struct resolver_config config = resolver_defaults();
    struct asker first = {0}, second = {0};

    config.names_max = 1;
    start(f, config);
    assert_int_equal(ask(f, &first, "stuck.example"), 0);
    for (unsigned i = 0; i < 10; i++)
        assert_true(is_looked_up(f, i % 2 == 0 ? "a.example" : "b.example"));
    assert_int_equal(ask(f, &second, "stuck.example"), 0);
    server_opens(f);
    collect_until(f, &first, 1);
    assert_int_equal(second.answers, 1);
    assert_int_equal(calls(f), 11);
}

static void a_cache_of_nothing_works(void **state)
{
    struct fixture *f = *state;
    struct resolver_config config = {.threads = 1};

    start(f, config);
    assert_true(is_looked_up(f, "a.example"));
    assert_true(is_looked_up(f, "a.example"));
    server_says(f, EAI_NONAME, 1);
    assert_true(is_looked_up(f, "a.example"));
    assert_true(is_looked_up(f, "a.example"));
}

/* ---- names -------------------------------------------------------------------------------------
 */

static void names_are_compared_without_case_and_last_dot(void **state)
{
    struct fixture *f = *state;

    start(f, resolver_defaults());
    assert_true(is_looked_up(f, "WWW.Example.ORG."));
    assert_string_equal(f->server.asked[0], "www.example.org");
    assert_false(is_looked_up(f, "www.example.org"));
    assert_false(is_looked_up(f, "www.example.ORG"));
    assert_true(is_looked_up(f, "ww.example.org"));
    assert_true(is_looked_up(f, "1and1.example")); /* begins like an address */
}

static void literal_addresses_need_no_lookup(void **state)
{
    static const char *const literals[][2] = {
        {"192.0.2.7", "192.0.2.7"},     {"192.0.2.7.", "192.0.2.7"},      {"127.1", "127.0.0.1"},
        {"2001:db8::7", "2001:db8::7"}, {"[2001:DB8::7]", "2001:db8::7"}, {"[::1]", "::1"},
    };
    struct fixture *f = *state;
    struct resolver_question question = {0};
    struct resolver_answer answer;

    start(f, resolver_defaults());
    for (size_t i = 0; i < sizeof literals / sizeof *literals; i++) {
        char text[INET6_ADDRSTRLEN];

        assert_int_equal(resolver_ask(f->resolver, &question, literals[i][0], f->now, &answer), 1);
        assert_int_equal(answer.code, 0);
        assert_int_equal(answer.count, 1);
        assert_int_equal(getnameinfo(&answer.addresses->any, sizeof *answer.addresses, text,
                                     sizeof text, NULL, 0, NI_NUMERICHOST),
                         0);
        assert_string_equal(text, literals[i][1]);
    }
    assert_int_equal(calls(f), 0);
    assert_int_equal(threads_now(), 0);
}

static void what_cannot_be_a_name_does_not_exist(void **state)
{
    struct fixture *f = *state;
    struct asker asker;
    char host[RESOLVER_HOST_BYTES_MAX + 3];

    start(f, resolver_defaults());
    assert_false(resolve(f, &asker, ""));
    assert_int_equal(asker.code, EAI_NONAME);
    assert_false(asker.retryable);
    assert_false(is_looked_up(f, "."));
    assert_false(is_looked_up(f, "[]"));
    memset(host, 'a', sizeof host);
    host[RESOLVER_HOST_BYTES_MAX + 1] = '\0';
    assert_false(is_looked_up(f, host));
    assert_int_equal(calls(f), 0);
    host[RESOLVER_HOST_BYTES_MAX] = '.'; /* the longest there is */
    assert_true(is_looked_up(f, host));
}

static int many_addresses(void *arg, const char *host, union resolver_address *out, size_t *count)
{
    (void)arg, (void)host;
    for (uint8_t i = 0; i < RESOLVER_ADDRESSES_MAX; i++) {
        out[i] = (union resolver_address){0};
        out[i].any.sa_family = i % 2 == 0 ? AF_INET6 : AF_INET;
        if (i % 2 == 0)
            out[i].v6.sin6_addr.s6_addr[15] = i;
        else
            out[i].v4.sin_addr.s_addr = htonl(i);
    }
    *count = RESOLVER_ADDRESSES_MAX;
    return 0;
}

static void all_addresses_come_in_their_order(void **state)
{
    struct fixture *f = *state;
    struct resolver_config config = resolver_defaults();
    struct resolver_question question = {0};
    struct resolver_answer answer;
    struct asker asker;

    config.lookup = many_addresses;
    assert_ok(resolver_new(&f->resolver, &config, NULL));
    assert_true(resolve(f, &asker, "many.example"));
    assert_int_equal(resolver_ask(f->resolver, &question, "many.example", f->now, &answer), 1);
    assert_int_equal(answer.count, RESOLVER_ADDRESSES_MAX);
    for (uint8_t i = 0; i < RESOLVER_ADDRESSES_MAX; i++)
        if (i % 2 == 0)
            assert_int_equal(answer.addresses[i].v6.sin6_addr.s6_addr[15], i);
        else
            assert_int_equal(ntohl(answer.addresses[i].v4.sin_addr.s_addr), i);
}

static void without_a_lookup_of_ours_the_system_is_asked(void **state)
{
    struct fixture *f = *state;
    struct resolver_config config = resolver_defaults();
    struct resolver_question question = {0};
    struct resolver_answer answer;
    struct asker asker;

    assert_ok(resolver_new(&f->resolver, &config, NULL));
    assert_true(resolve(f, &asker, "localhost"));
    assert_int_equal(resolver_ask(f->resolver, &question, "localhost", f->now, &answer), 1);
    assert_true(answer.count > 0);
    if (answer.addresses->any.sa_family == AF_INET)
        assert_int_equal(ntohl(answer.addresses->v4.sin_addr.s_addr), INADDR_LOOPBACK);
    else
        assert_true(IN6_IS_ADDR_LOOPBACK(&answer.addresses->v6.sin6_addr));
}

/* ---- giving up ---------------------------------------------------------------------------------
 */

static void who_has_forgotten_is_not_answered(void **state)
{
    struct fixture *f = *state;
    struct asker leaves = {0}, stays = {0}, alone = {0};

    start(f, resolver_defaults());
    resolver_forget(f->resolver, &leaves.question); /* never asked: harmless */
    assert_int_equal(ask(f, &leaves, "stuck.example"), 0);
    assert_int_equal(ask(f, &stays, "stuck.example"), 0);
    assert_int_equal(ask(f, &alone, "stuck.alone.example"), 0);
    wait_until_stuck(f, 2);
    resolver_forget(f->resolver, &leaves.question);
    resolver_forget(f->resolver, &leaves.question);
    resolver_forget(f->resolver, &alone.question);
    server_opens(f);
    collect_until(f, &stays, 1);
    assert_int_equal(leaves.answers, 0);
    while (is_looked_up(f, "stuck.alone.example")) /* joins the lookup until that was collected */
        assert_int_equal(calls(f), 2);
    assert_int_equal(calls(f), 2); /* what had begun was learnt all the same */
    assert_int_equal(alone.answers, 0);
    assert_int_equal(ask(f, &leaves, "stuck.example"), 1);
}

static void a_name_that_nobody_waits_for_leaves_the_queue(void **state)
{
    struct fixture *f = *state;
    struct resolver_config config = resolver_defaults();
    struct asker first = {0}, given_up[10] = {0}, last = {0}, again = {0};

    config.threads = 1;
    start(f, config);
    assert_true(is_looked_up(f, "old.example"));
    f->now += config.positive_ms;
    assert_int_equal(ask(f, &first, "stuck.example"), 0);
    wait_until_stuck(f, 1);
    assert_int_equal(ask(f, &again, "old.example"), 0); /* known, but past its time */
    for (unsigned i = 0; i < 10; i++) {
        char host[NAME_SIZE];

        snprintf(host, sizeof host, "%u.example", i);
        assert_int_equal(ask(f, &given_up[i], host), 0);
    }
    assert_int_equal(ask(f, &last, "last.example"), 0);
    for (unsigned i = 0; i < 10; i++)
        resolver_forget(f->resolver, &given_up[i].question);
    resolver_forget(f->resolver, &again.question);
    server_opens(f);
    collect_until(f, &last, 1);
    assert_int_equal(calls(f), 3);
    assert_string_equal(f->server.asked[2], "last.example");
    server_says(f, EAI_AGAIN, 1);
    assert_true(resolve(f, &again, "old.example"));
    assert_true(again.is_stale); /* what was known of it has stayed */
    assert_true(is_looked_up(f, "0.example"));
}

static void destroying_does_not_wait_for_the_dead(void **state)
{
    enum { COUNT = 20, THREADS = 8 };
    struct fixture *f = *state;
    struct asker askers[COUNT] = {0}, good = {0};

    start(f, resolver_defaults());
    assert_int_equal(ask(f, &good, "good.example"), 0);
    for (unsigned i = 0; i < COUNT; i++) {
        char host[NAME_SIZE];

        snprintf(host, sizeof host, "stuck%u.example", i);
        assert_int_equal(ask(f, &askers[i], host), 0);
    }
    wait_until_stuck(f, THREADS);
    resolver_destroy(&f->resolver); /* hangs if it waits: they are released below only */
    assert_null(f->resolver);
    resolver_destroy(&f->resolver);
    assert_int_equal(threads_now(), THREADS);
    server_opens(f);
    wait_for_no_threads();
    assert_int_equal(calls(f), THREADS + 1); /* what had not begun never did */
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(askers[i].answers, 0);
    assert_int_equal(good.answers, 0); /* ended, but not collected */
    assert_null(askers[1].question.name);
}

/* ---- threads -----------------------------------------------------------------------------------
 */

static void stuck_names_hold_only_their_threads(void **state)
{
    enum { STUCK = 4, GOOD = 100 };
    struct fixture *f = *state;
    struct asker stuck[STUCK] = {0}, good[GOOD] = {0};

    start(f, resolver_defaults());
    for (unsigned i = 0; i < STUCK; i++) {
        char host[NAME_SIZE];

        snprintf(host, sizeof host, "stuck%u.example", i);
        assert_int_equal(ask(f, &stuck[i], host), 0);
    }
    wait_until_stuck(f, STUCK);
    for (unsigned i = 0; i < GOOD; i++) {
        char host[NAME_SIZE];

        snprintf(host, sizeof host, "good%u.example", i);
        assert_int_equal(ask(f, &good[i], host), 0);
    }
    for (unsigned i = 0; i < GOOD; i++)
        collect_until(f, &good[i], 1);
    assert_in_range(threads_now(), STUCK + 1, 8);
    for (unsigned i = 0; i < STUCK; i++)
        assert_int_equal(stuck[i].answers, 0);
    server_opens(f);
    for (unsigned i = 0; i < STUCK; i++)
        collect_until(f, &stuck[i], 1);
}

static void names_wait_in_the_order_they_were_asked_for(void **state)
{
    enum { COUNT = 50 };
    struct fixture *f = *state;
    struct resolver_config config = resolver_defaults();
    struct asker stuck = {0}, first[COUNT] = {0}, second[COUNT] = {0};
    char host[NAME_SIZE];

    config.threads = 1;
    start(f, config);
    assert_int_equal(ask(f, &stuck, "stuck.example"), 0);
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(host, sizeof host, "%u.example", i);
        assert_int_equal(ask(f, &first[i], host), 0);
        assert_int_equal(ask(f, &second[i], "0.example"), 0); /* many ask, yet one place */
    }
    server_opens(f);
    collect_until(f, &first[COUNT - 1], 1);
    assert_int_equal(calls(f), COUNT + 1);
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(host, sizeof host, "%u.example", i);
        assert_string_equal(f->server.asked[i + 1], host);
        assert_int_equal(first[i].answers, 1);
        assert_int_equal(second[i].answers, 1);
    }
}

static void threads_start_as_they_are_needed(void **state)
{
    struct fixture *f = *state;
    struct resolver_config config = resolver_defaults();
    struct asker askers[6] = {0};

    config.threads = 3;
    start(f, config);
    assert_int_equal(threads_now(), 0);
    assert_true(is_looked_up(f, "a.example"));
    assert_false(is_looked_up(f, "a.example"));
    assert_int_equal(threads_now(), 1);
    for (unsigned i = 0; i < 6; i++) {
        char host[NAME_SIZE];

        snprintf(host, sizeof host, "stuck%u.example", i);
        assert_int_equal(ask(f, &askers[i], host), 0);
    }
    wait_until_stuck(f, 3);
    assert_int_equal(threads_now(), 3);
    server_opens(f);
    for (unsigned i = 0; i < 6; i++)
        collect_until(f, &askers[i], 1);
    assert_int_equal(threads_now(), 3);
}

static void without_a_thread_nothing_waits(void **state)
{
    struct fixture *f = *state;
    struct asker asker = {0};

    start(f, resolver_defaults());
    refuses_threads = true;
    assert_fails(ask(f, &asker, "a.example"), ARGOSY_ENOMEM);
    assert_null(asker.question.name);
    assert_sound(f);
    refuses_threads = false;
    assert_true(is_looked_up(f, "b.example"));
    assert_int_equal(calls(f), 1); /* the first was not left in the queue */
    assert_true(is_looked_up(f, "a.example"));
}

static void one_thread_is_enough_when_no_other_can_start(void **state)
{
    struct fixture *f = *state;
    struct asker stuck = {0}, good = {0};

    start(f, resolver_defaults());
    assert_int_equal(ask(f, &stuck, "stuck.example"), 0);
    wait_until_stuck(f, 1);
    refuses_threads = true;
    assert_int_equal(ask(f, &good, "good.example"), 0);
    refuses_threads = false;
    assert_int_equal(threads_now(), 1);
    server_opens(f);
    collect_until(f, &good, 1);
    assert_int_equal(stuck.answers, 1);
}

static void a_resolver_of_wrong_numbers_is_refused(void **state)
{
    struct fixture *f = *state;
    struct argosy_error err;
    struct resolver_config wrong[5];

    for (unsigned i = 0; i < 5; i++)
        wrong[i] = resolver_defaults();
    wrong[0].threads = 0;
    wrong[1].threads = RESOLVER_THREADS_MAX + 1;
    wrong[2].names_max = RESOLVER_NAMES_MAX + 1;
    wrong[3].again_ms = -1;
    wrong[4].stale_ms = RESOLVER_KEEP_MS_MAX + 1;
    for (unsigned i = 0; i < 5; i++) {
        assert_fails(resolver_new(&f->resolver, &wrong[i], &err), ARGOSY_EINVAL);
        assert_null(f->resolver);
    }
}

/* ---- within a callback -------------------------------------------------------------------------
 */

static void ask_again(struct asker *self)
{
    if (self->answers < 4)
        assert_int_equal(ask(self->fixture, self, "a.example"), 0);
}

static void a_callback_may_ask_anew(void **state)
{
    struct fixture *f = *state;
    struct resolver_config config = {.threads = 2};
    struct asker asker = {.then = ask_again};

    start(f, config); /* keeps nothing: each question is a lookup */
    assert_int_equal(ask(f, &asker, "a.example"), 0);
    collect_until(f, &asker, 4);
    assert_int_equal(calls(f), 4);
}

static void ask_and_forget(struct asker *self)
{
    struct asker extra = {0};

    resolver_forget(self->fixture->resolver, &self->other->question);
    resolver_forget(self->fixture->resolver, &self->question);
    assert_in_range(ask(self->fixture, &extra, "stuck.example"), 0, 1);
    resolver_forget(self->fixture->resolver, &extra.question);
}

static void a_callback_may_forget_others(void **state)
{
    /* With and without a cache: the name must not go while its answer is told. */
    for (size_t names_max = 0; names_max < 2; names_max++) {
        struct fixture *f = *state;
        struct asker first = {.then = ask_and_forget}, second = {.then = ask_and_forget};
        struct asker third = {0};

        start(f, (struct resolver_config){
                     .threads = 1, .names_max = names_max, .positive_ms = (int64_t)names_max});
        first.other = second.other = &second;
        f->server.is_open = false; /* nobody is in there */
        assert_int_equal(ask(f, &first, "stuck.example"), 0);
        assert_int_equal(ask(f, &second, "stuck.example"), 0);
        assert_int_equal(ask(f, &third, "stuck.example"), 0);
        server_opens(f);
        collect_until(f, &third, 1);
        assert_int_equal(first.answers, 1);
        assert_int_equal(second.answers, 0);
        resolver_destroy(&f->resolver);
        wait_for_no_threads();
    }
}

/* ---- the storm ---------------------------------------------------------------------------------
 */

enum { STORM_NAMES = 40, STORM_ASKERS = 200, STORM_LIVES = 50, STORM_STEPS = 2000 };

/* The name says what its answer is, so that each asker can tell whether it got its own. */
static int serve_by_name(void *arg, const char *host, union resolver_address *out, size_t *count)
{
    unsigned number = (unsigned)strtoul(host + 1, NULL, 10);

    (void)arg;
    for (unsigned i = 0; i < number % 5 * 20; i++)
        sched_yield();
    if (number % 7 == 3)
        return EAI_NONAME;
    if (number % 7 == 5)
        return EAI_AGAIN;
    *count = 1 + number % 3;
    for (size_t i = 0; i < *count; i++)
        out[i] = (union resolver_address){
            .v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000200u + number)}};
    return 0;
}

struct storm_asker {
    struct asker asker;
    unsigned number;
    bool waits;
};

static void check_own_answer(const struct storm_asker *self)
{
    unsigned number = self->number;

    assert_int_equal(self->asker.code, number % 7 == 3   ? EAI_NONAME
                                       : number % 7 == 5 ? EAI_AGAIN
                                                         : 0);
    if (self->asker.code != 0)
        return;
    assert_int_equal(self->asker.count, 1 + number % 3);
    assert_int_equal(self->asker.last, number);
}

static void on_storm_answer(struct asker *asker)
{
    struct storm_asker *self = AG_OWNER(asker, struct storm_asker, asker);

    assert_true(self->waits); /* neither forgotten nor answered before */
    self->waits = false;
    check_own_answer(self);
}

static void storm_ask(struct fixture *f, struct ag_random *random, struct storm_asker *self)
{
    char host[NAME_SIZE];
    int rc;

    self->number = (unsigned)ag_random_below(random, STORM_NAMES);
    self->asker.then = on_storm_answer;
    snprintf(host, sizeof host, "%c%u.example", ag_random_below(random, 2) == 0 ? 'n' : 'N',
             self->number);
    rc = ask(f, &self->asker, host);
    assert_in_range(rc, 0, 1);
    if (rc == 1)
        check_own_answer(self);
    self->waits = rc == 0;
}

/* One life of a resolver; it ends with everything answered, or in the midst of it. */
static void storm(struct fixture *f, struct ag_random *random, struct storm_asker *askers)
{
    struct resolver_config config = {.threads = 1 + (unsigned)ag_random_below(random, 6),
                                     .names_max = ag_random_below(random, STORM_NAMES),
                                     .positive_ms = ag_random_below(random, 50),
                                     .negative_ms = ag_random_below(random, 50),
                                     .again_ms = ag_random_below(random, 20),
                                     .stale_ms = 100,
                                     .lookup = serve_by_name};
    struct pollfd item = {.events = POLLIN};

    memset(askers, 0, STORM_ASKERS * sizeof *askers);
    assert_ok(resolver_new(&f->resolver, &config, NULL));
    for (unsigned step = 0; step < STORM_STEPS; step++) {
        struct storm_asker *one = &askers[ag_random_below(random, STORM_ASKERS)];

        f->now += ag_random_below(random, 4) == 0;
        if (ag_random_below(random, 8) == 0) {
            resolver_collect(f->resolver, f->now);
        } else if (!one->waits) {
            storm_ask(f, random, one);
        } else if (ag_random_below(random, 4) == 0) {
            resolver_forget(f->resolver, &one->asker.question);
            one->waits = false;
        }
        assert_sound(f);
    }
    item.fd = resolver_fd(f->resolver);
    for (unsigned i = 0; i < STORM_ASKERS && ag_random_below(random, 50) != 0; i++)
        while (askers[i].waits) {
            if (poll(&item, 1, PATIENCE_MS) != 1)
                fail_msg("asker %u has no answer within %d ms", i, PATIENCE_MS);
            resolver_collect(f->resolver, f->now);
        }
    resolver_destroy(&f->resolver);
}

static void in_a_storm_everybody_gets_the_own_answer_once(void **state)
{
    struct storm_asker *askers = test_calloc(STORM_ASKERS, sizeof *askers);
    uint64_t seed = (uint64_t)ag_clock_unix_ms();
    struct ag_random random;

    print_message("seed %llu\n", (unsigned long long)seed);
    ag_random_seed(&random, seed);
    for (unsigned i = 0; i < STORM_LIVES; i++)
        storm(*state, &random, askers);
    test_free(askers);
}

/* ---- the cost ----------------------------------------------------------------------------------
 */

static void two_thousand_names_are_answered(void **state)
{
    enum { COUNT = 2000 };
    struct fixture *f = *state;
    struct asker *askers = test_calloc(COUNT, sizeof *askers);
    int64_t begun;

    start(f, resolver_defaults());
    begun = ag_clock_mono_us();
    for (unsigned i = 0; i < COUNT; i++) {
        char host[NAME_SIZE];

        snprintf(host, sizeof host, "host-%u.example", i);
        assert_int_equal(ask(f, &askers[i], host), 0);
    }
    for (unsigned i = 0; i < COUNT; i++)
        collect_until(f, &askers[i], 1);
    print_message("%d names: %.1f us each\n", COUNT, (double)(ag_clock_mono_us() - begun) / COUNT);
    begun = ag_clock_mono_us();
    for (unsigned i = 0; i < COUNT; i++) {
        char host[NAME_SIZE];

        snprintf(host, sizeof host, "host-%u.example", i);
        assert_int_equal(ask(f, &askers[i], host), 1);
    }
    print_message("cached: %.2f us each\n", (double)(ag_clock_mono_us() - begun) / COUNT);
    assert_int_equal(calls(f), COUNT);
    test_free(askers);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_who_ask_for_a_name_share_one_lookup),
        TEST(addresses_are_kept_for_their_time),
        TEST(the_time_begins_with_the_answer),
        TEST(failures_are_kept_by_their_kind),
        TEST(an_answer_past_its_time_is_better_than_none),
        TEST(a_name_that_is_gone_is_not_served_stale),
        TEST(stale_answers_have_an_end),
        TEST(the_names_used_longest_ago_are_forgotten_first),
        TEST(a_name_that_is_looked_up_is_not_forgotten),
        TEST(a_cache_of_nothing_works),
        TEST(names_are_compared_without_case_and_last_dot),
        TEST(literal_addresses_need_no_lookup),
        TEST(what_cannot_be_a_name_does_not_exist),
        TEST(all_addresses_come_in_their_order),
        TEST(without_a_lookup_of_ours_the_system_is_asked),
        TEST(who_has_forgotten_is_not_answered),
        TEST(a_name_that_nobody_waits_for_leaves_the_queue),
        TEST(destroying_does_not_wait_for_the_dead),
        TEST(stuck_names_hold_only_their_threads),
        TEST(names_wait_in_the_order_they_were_asked_for),
        TEST(threads_start_as_they_are_needed),
        TEST(without_a_thread_nothing_waits),
        TEST(one_thread_is_enough_when_no_other_can_start),
        TEST(a_resolver_of_wrong_numbers_is_refused),
        TEST(a_callback_may_ask_anew),
        TEST(a_callback_may_forget_others),
        TEST(in_a_storm_everybody_gets_the_own_answer_once),
        TEST(two_thousand_names_are_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
