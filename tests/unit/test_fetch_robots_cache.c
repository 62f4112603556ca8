/* The cache of robots.txt: stories, then a storm against a simple model. */
#include "tests/unit/cmocka_prelude.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/random.h"
#include "worker/fetch/robots.h"
#include "worker/fetch/robots_cache.h"

enum { MINUTE = 60 * 1000, HOUR = 60 * MINUTE, NOTHING = -1 };
#define DAY (24 * (int64_t)HOUR)

static const char refuse_a[] = "user-agent: argosy\ncrawl-delay: 2\ndisallow: /a\n";
static const char refuse_b[] = "user-agent: *\ndisallow: /b\n";

struct asker {
    struct robots_question question; /* first */
    int called;                      /* how often */
    int verdict;                     /* the last one; NOTHING */
};

static void note(struct robots_question *question, enum robots_verdict verdict)
{
    struct asker *asker = (struct asker *)question;

    asker->called++;
    asker->verdict = (int)verdict;
}

static struct asker asker_for(const char *path)
{
    return (struct asker){.question = {.path = path, .answered = note}, .verdict = NOTHING};
}

static robots_cache_t *new_cache(size_t origins_max, size_t bytes_max)
{
    struct argosy_error err = {0};
    robots_cache_t *cache;

    assert_ok(robots_cache_new(&cache, "argosy", origins_max, bytes_max, 42, &err));
    return cache;
}

static void tell_all(robots_cache_t *cache)
{
    while (robots_cache_tell(cache))
        continue;
    assert_false(robots_cache_is_telling(cache));
}

static void answer(robots_cache_t *cache, const char *origin, int status, const char *text,
                   int64_t now)
{
    struct robots_answer what = {
        .status = status, .lifetime_ms = -1, .bytes = ag_bytes_of_text(text)};

    robots_cache_answer(cache, origin, &what, now);
    tell_all(cache);
}

/* Asks, and forgets: what would be said. */
static enum robots_verdict look(robots_cache_t *cache, const char *origin, const char *path,
                                int64_t now)
{
    struct asker asker = asker_for(path);
    enum robots_verdict verdict = robots_cache_ask(cache, origin, &asker.question, now);

    robots_cache_forget(cache, &asker.question);
    assert_int_equal(asker.called, 0);
    return verdict;
}

/* Asks for what nobody knows, and answers. */
static void teach(robots_cache_t *cache, const char *origin, int status, const char *text,
                  int64_t now)
{
    struct asker asker = asker_for("/");

    assert_int_equal(robots_cache_ask(cache, origin, &asker.question, now), ROBOTS_FETCH);
    answer(cache, origin, status, text, now);
    assert_int_equal(asker.called, 1);
}

/* ---- stories --------------------------------------------------------------------------------- */

static void one_fetches_and_all_are_answered(void **state)
{
    robots_cache_t *cache = new_cache(10, 1 << 20);
    struct asker first = asker_for("/a"), second = asker_for("/b"), other = asker_for("/a");

    (void)state;
    assert_int_equal(robots_cache_ask(cache, "http://x:80", &first.question, 0), ROBOTS_FETCH);
    assert_int_equal(robots_cache_ask(cache, "http://x:80", &second.question, 1), ROBOTS_WAIT);
    assert_int_equal(robots_cache_ask(cache, "http://x:81", &other.question, 2), ROBOTS_FETCH);
    assert_int_equal(robots_cache_delay_ms(cache, "http://x:80"), 0);
    answer(cache, "http://x:80", 200, refuse_a, 3);
    assert_int_equal(first.verdict, ROBOTS_REFUSED);
    assert_int_equal(second.verdict, ROBOTS_ALLOWED);
    assert_int_equal(other.verdict, NOTHING);
    assert_int_equal(robots_cache_delay_ms(cache, "http://x:80"), 2000);
    assert_int_equal(robots_cache_delay_ms(cache, "http://x:81"), 0);
    answer(cache, "http://x:81", 404, "", 4);
    assert_int_equal(other.verdict, ROBOTS_ALLOWED);
    assert_int_equal(look(cache, "http://x:80", "/a", 5), ROBOTS_REFUSED);
    assert_int_equal(look(cache, "http://x:80", "/b", 5), ROBOTS_ALLOWED);
    assert_int_equal(look(cache, "http://x:81", "/a", 5), ROBOTS_ALLOWED);
    answer(cache, "http://x:80", 500, "", 6); /* nobody has asked: ignored, as are strangers */
    answer(cache, "http://y:80", 200, "", 6);
    assert_int_equal(look(cache, "http://x:80", "/a", 6), ROBOTS_REFUSED);
    assert_int_equal(first.called + second.called + other.called, 3);
    robots_cache_destroy(&cache);
}

static void robots_txt_itself_needs_no_fetch(void **state)
{
    robots_cache_t *cache = new_cache(10, 1 << 20);

    (void)state;
    assert_int_equal(look(cache, "http://x:80", "/robots.txt", 0), ROBOTS_ALLOWED);
    teach(cache, "http://x:80", 500, "", 0);
    assert_int_equal(look(cache, "http://x:80", "/", 1), ROBOTS_UNREACHABLE);
    assert_int_equal(look(cache, "http://x:80", "/robots.txt", 1), ROBOTS_ALLOWED);
    robots_cache_destroy(&cache);
}

static void an_answer_is_good_for_as_long_as_it_says_within_bounds(void **state)
{
    static const struct {
        int64_t lifetime_ms, good_ms;
    } samples[] = {
        {-1, DAY},    {0, MINUTE},    {MINUTE - 1, MINUTE},
        {HOUR, HOUR}, {DAY + 1, DAY}, {INT64_MAX, DAY},
    };

    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        robots_cache_t *cache = new_cache(10, 1 << 20);
        struct asker asker = asker_for("/a");
        struct robots_answer what = {.status = 200,
                                     .lifetime_ms = samples[i].lifetime_ms,
                                     .bytes = ag_bytes_of_text(refuse_a)};

        assert_int_equal(robots_cache_ask(cache, "o", &asker.question, 5), ROBOTS_FETCH);
        robots_cache_answer(cache, "o", &what, 7);
        tell_all(cache);
        assert_int_equal(look(cache, "o", "/a", 7 + samples[i].good_ms - 1), ROBOTS_REFUSED);
        assert_int_equal(look(cache, "o", "/a", 7 + samples[i].good_ms), ROBOTS_FETCH);
        robots_cache_destroy(&cache);
    }
}

static void an_unreachable_server_refuses_for_a_minute(void **state)
{
    robots_cache_t *cache = new_cache(10, 1 << 20);

    (void)state;
    teach(cache, "o", 0, NULL, 0);
    assert_int_equal(look(cache, "o", "/a", MINUTE - 1), ROBOTS_UNREACHABLE);
    teach(cache, "o", 503, "x", MINUTE);
    assert_int_equal(look(cache, "o", "/a", 2 * MINUTE - 1), ROBOTS_UNREACHABLE);
    teach(cache, "o", 200, refuse_a, 2 * MINUTE);
    assert_int_equal(look(cache, "o", "/b", 2 * MINUTE), ROBOTS_ALLOWED);
    robots_cache_destroy(&cache);
}

static void an_old_copy_helps_out_for_thirty_days(void **state)
{
    static const int statuses[] = {200, 404};

    (void)state;
    for (int i = 0; i < 2; i++) {
        robots_cache_t *cache = new_cache(10, 1 << 20);
        enum robots_verdict verdict = statuses[i] == 200 ? ROBOTS_REFUSED : ROBOTS_ALLOWED;

        teach(cache, "o", statuses[i], refuse_a, 0);
        teach(cache, "o", 500, "", DAY);
        assert_int_equal(look(cache, "o", "/a", DAY + MINUTE - 1), verdict);
        teach(cache, "o", 0, "", DAY + MINUTE);
        teach(cache, "o", 500, "", 30 * DAY);
        assert_int_equal(look(cache, "o", "/a", 30 * DAY + MINUTE - 1), verdict);
        teach(cache, "o", 500, "", 30 * DAY + MINUTE);
        assert_int_equal(look(cache, "o", "/a", 30 * DAY + MINUTE), ROBOTS_UNREACHABLE);
        assert_int_equal(robots_cache_delay_ms(cache, "o"), 0);
        robots_cache_destroy(&cache);
    }
}

static void a_fetch_that_is_given_up_goes_to_the_next(void **state)
{
    robots_cache_t *cache = new_cache(10, 1 << 20);
    struct asker askers[4];

    (void)state;
    for (int i = 0; i < 4; i++) {
        askers[i] = asker_for("/a");
        assert_int_equal(robots_cache_ask(cache, "o", &askers[i].question, i),
                         i == 0 ? ROBOTS_FETCH : ROBOTS_WAIT);
    }
    robots_cache_forget(cache, &askers[1].question); /* only waited */
    assert_int_equal(askers[2].called, 0);
    robots_cache_forget(cache, &askers[0].question);
    assert_int_equal(askers[2].verdict, ROBOTS_FETCH);
    assert_int_equal(askers[3].called, 0);
    robots_cache_forget(cache, &askers[0].question); /* twice is harmless */
    answer(cache, "o", 200, refuse_a, 9);
    assert_int_equal(askers[2].called, 2);
    assert_int_equal(askers[2].verdict, ROBOTS_REFUSED);
    assert_int_equal(askers[3].verdict, ROBOTS_REFUSED);
    assert_int_equal(askers[0].called + askers[1].called, 0);
    /* given up by all: what was known before is known again */
    assert_int_equal(look(cache, "o", "/a", 9 + DAY), ROBOTS_FETCH);
    teach(cache, "o", 500, "", 9 + DAY);
    assert_int_equal(look(cache, "o", "/a", 10 + DAY), ROBOTS_REFUSED);
    robots_cache_destroy(&cache);
}

static void the_least_recently_asked_are_dropped(void **state)
{
    robots_cache_t *cache = new_cache(2, 1 << 20);
    struct asker asker = asker_for("/");

    (void)state;
    teach(cache, "1", 404, "", 0);
    teach(cache, "2", 404, "", 1);
    assert_int_equal(look(cache, "1", "/", 2), ROBOTS_ALLOWED);
    /* one that is being asked does not count, and is not dropped */
    assert_int_equal(robots_cache_ask(cache, "3", &asker.question, 3), ROBOTS_FETCH);
    assert_int_equal(look(cache, "2", "/", 4), ROBOTS_ALLOWED);
    answer(cache, "3", 404, "", 5);
    assert_int_equal(look(cache, "2", "/", 6), ROBOTS_ALLOWED);
    assert_int_equal(look(cache, "3", "/", 6), ROBOTS_ALLOWED);
    assert_int_equal(look(cache, "1", "/", 6), ROBOTS_FETCH);
    robots_cache_destroy(&cache);
}

static void rules_are_kept_within_their_bytes(void **state)
{
    struct ag_buffer text = ag_buffer_empty(1 << 20);
    robots_cache_t *cache;
    robots_t *robots;
    size_t size;

    (void)state;
    ag_buffer_text(&text, "user-agent: *\n");
    while (text.size < 10000)
        ag_buffer_text(&text, "disallow: /a\n");
    assert_ok(robots_new(&robots, ag_buffer_bytes(&text), "argosy", NULL));
    size = robots_size_bytes(robots);
    robots_destroy(&robots);
    cache = new_cache(100, 2 * size);
    for (int i = 0; i < 4; i++) {
        char origin[2] = {(char)('0' + i), '\0'};

        teach(cache, origin, 200, ag_buffer_as_text(&text), 0);
    }
    assert_int_equal(look(cache, "1", "/a", 1), ROBOTS_FETCH);
    assert_int_equal(look(cache, "2", "/a", 1), ROBOTS_REFUSED);
    assert_int_equal(look(cache, "3", "/a", 1), ROBOTS_REFUSED);
    /* what replaces rules gives their room back */
    teach(cache, "2", 404, "", DAY);
    teach(cache, "3", 200, ag_buffer_as_text(&text), DAY);
    teach(cache, "4", 200, ag_buffer_as_text(&text), DAY);
    assert_int_equal(look(cache, "2", "/a", DAY), ROBOTS_ALLOWED);
    assert_int_equal(look(cache, "3", "/a", DAY), ROBOTS_REFUSED);
    assert_int_equal(look(cache, "4", "/a", DAY), ROBOTS_REFUSED);
    robots_cache_destroy(&cache);
    /* too much for the whole cache: it serves those who wait, and is gone */
    cache = new_cache(100, size - 1);
    teach(cache, "1", 200, ag_buffer_as_text(&text), 0);
    assert_int_equal(look(cache, "1", "/a", 1), ROBOTS_FETCH);
    robots_cache_destroy(&cache);
    ag_buffer_free(&text);
}

static void an_agent_that_is_no_token_is_refused(void **state)
{
    struct argosy_error err = {0};
    robots_cache_t *cache;

    (void)state;
    assert_fails(robots_cache_new(&cache, "argosy/1.0", 1, 1, 0, &err), ARGOSY_EINVAL);
    assert_null(cache);
    robots_cache_destroy(&cache);
}

/* ---- calls from within calls -------------------------------------------------------------------
 */

static struct {
    robots_cache_t *cache;
    struct asker *other; /* forgotten, asked again */
    int64_t now;
} within;

static void give_up_at_once(struct robots_question *question, enum robots_verdict verdict)
{
    note(question, verdict);
    robots_cache_forget(within.cache, question);
    memset(&question->link, 0xee, sizeof question->link); /* as if it were freed */
}

static void answer_at_once(struct robots_question *question, enum robots_verdict verdict)
{
    note(question, verdict);
    if (verdict == ROBOTS_FETCH) {
        answer(within.cache, "o", 200, refuse_a, within.now);
        /* it is known now, also in here, and not in the way of others */
        assert_int_equal(look(within.cache, "o", "/a", within.now), ROBOTS_REFUSED);
        teach(within.cache, "p", 404, "", within.now);
        teach(within.cache, "q", 404, "", within.now);
    }
}

static void forget_the_other(struct robots_question *question, enum robots_verdict verdict)
{
    note(question, verdict);
    robots_cache_forget(within.cache, &within.other->question);
}

static void ask_again(struct robots_question *question, enum robots_verdict verdict)
{
    struct asker *asker = (struct asker *)question;

    note(question, verdict);
    if (asker->called == 1)
        asker->verdict = (int)robots_cache_ask(within.cache, "o", question, within.now);
}

static void any_number_may_give_up_in_a_row(void **state)
{
    enum { COUNT = 100000 };
    struct asker *askers = calloc(COUNT, sizeof *askers), last = asker_for("/b");

    (void)state;
    assert_non_null(askers);
    within.cache = new_cache(1, 1 << 20);
    within.now = 0;
    for (int i = 0; i < COUNT; i++) {
        askers[i] = asker_for("/a");
        askers[i].question.answered = give_up_at_once;
        robots_cache_ask(within.cache, "o", &askers[i].question, 0);
    }
    assert_int_equal(robots_cache_ask(within.cache, "o", &last.question, 0), ROBOTS_WAIT);
    robots_cache_forget(within.cache, &askers[0].question);
    for (int i = 1; i < COUNT; i++)
        assert_int_equal(askers[i].called, 1);
    assert_int_equal(last.verdict, ROBOTS_FETCH);
    answer(within.cache, "o", 404, "", 1);
    assert_int_equal(last.verdict, ROBOTS_ALLOWED);
    robots_cache_destroy(&within.cache);
    free(askers);
}

static void one_that_is_told_to_fetch_may_answer_at_once(void **state)
{
    struct asker first = asker_for("/b"), second = asker_for("/a"), third = asker_for("/b");

    (void)state;
    within.cache = new_cache(1, 1 << 20); /* so that each answer drops another origin */
    within.now = 1;
    second.question.answered = answer_at_once;
    assert_int_equal(robots_cache_ask(within.cache, "o", &first.question, 0), ROBOTS_FETCH);
    assert_int_equal(robots_cache_ask(within.cache, "o", &second.question, 0), ROBOTS_WAIT);
    assert_int_equal(robots_cache_ask(within.cache, "o", &third.question, 0), ROBOTS_WAIT);
    robots_cache_forget(within.cache, &first.question);
    assert_int_equal(second.called, 2);
    assert_int_equal(second.verdict, ROBOTS_REFUSED);
    assert_int_equal(third.verdict, ROBOTS_ALLOWED);
    assert_int_equal(look(within.cache, "o", "/a", 2), ROBOTS_REFUSED);
    robots_cache_destroy(&within.cache);
}

static void one_that_is_answered_may_forget_another_and_ask_again(void **state)
{
    struct asker first = asker_for("/a"), second = asker_for("/b"), third = asker_for("/b");

    (void)state;
    within.cache = new_cache(0, 1 << 20); /* keeps nothing: to ask again is to fetch again */
    within.now = 1;
    within.other = &second;
    first.question.answered = forget_the_other;
    third.question.answered = ask_again;
    robots_cache_ask(within.cache, "o", &first.question, 0);
    robots_cache_ask(within.cache, "o", &second.question, 0);
    robots_cache_ask(within.cache, "o", &third.question, 0);
    answer(within.cache, "o", 200, refuse_a, 1);
    assert_int_equal(first.verdict, ROBOTS_REFUSED);
    assert_int_equal(second.called, 0);
    assert_int_equal(third.called, 1);
    assert_int_equal(third.verdict, ROBOTS_FETCH);
    answer(within.cache, "o", 404, "", 1);
    assert_int_equal(third.called, 2);
    assert_int_equal(third.verdict, ROBOTS_ALLOWED);
    robots_cache_destroy(&within.cache);
}

/* Between the answer and being told, the origin stays, though nothing is kept; who forgets is not
 * told; who asks knows at once. */
static void those_who_are_answered_are_told_one_after_the_other(void **state)
{
    robots_cache_t *cache = new_cache(0, 1 << 20);
    struct asker askers[] = {asker_for("/a"), asker_for("/b"), asker_for("/a"), asker_for("/a")};
    struct robots_answer what = {
        .status = 200, .lifetime_ms = -1, .bytes = ag_bytes_of_text(refuse_a)};

    (void)state;
    assert_false(robots_cache_tell(cache));
    for (int i = 0; i < 4; i++)
        robots_cache_ask(cache, "o", &askers[i].question, 0);
    robots_cache_answer(cache, "o", &what, 1);
    assert_int_equal(askers[0].called, 0);
    assert_true(robots_cache_is_telling(cache));
    assert_true(robots_cache_tell(cache));
    assert_int_equal(askers[0].verdict, ROBOTS_REFUSED);
    assert_int_equal(askers[1].called, 0);
    assert_int_equal(look(cache, "o", "/a", 2), ROBOTS_REFUSED);
    robots_cache_forget(cache, &askers[2].question);
    assert_true(robots_cache_tell(cache));
    assert_int_equal(askers[1].verdict, ROBOTS_ALLOWED);
    robots_cache_forget(cache, &askers[3].question);
    assert_false(robots_cache_tell(cache));
    assert_int_equal(askers[2].called + askers[3].called, 0);
    assert_int_equal(look(cache, "o", "/a", 2), ROBOTS_FETCH);
    for (int i = 0; i < 2; i++)
        robots_cache_ask(cache, "o", &askers[i].question, 3);
    robots_cache_answer(cache, "o", &what, 3);
    robots_cache_destroy(&cache); /* some are still to be told */
    assert_int_equal(askers[0].called + askers[1].called, 2);
}

static void those_who_wait_are_left_when_the_cache_ends(void **state)
{
    robots_cache_t *cache = new_cache(10, 1 << 20);
    struct asker first = asker_for("/a"), second = asker_for("/a");

    (void)state;
    robots_cache_ask(cache, "o", &first.question, 0);
    robots_cache_ask(cache, "o", &second.question, 0);
    robots_cache_destroy(&cache);
    assert_null(cache);
    assert_int_equal(first.called + second.called, 0);
    cache = new_cache(10, 1 << 20); /* and may ask another one */
    assert_int_equal(robots_cache_ask(cache, "o", &first.question, 0), ROBOTS_FETCH);
    robots_cache_destroy(&cache);
}

/* ---- a storm -----------------------------------------------------------------------------------
 */

enum { ORIGINS = 8, KEPT = 5, ASKERS = 24, STORM_RUNS = 60, STORM_STEPS = 3000 };

/* What the model knows of an origin. Copies: 'a' and 'b' refuse that path, '4' is a 404. */
struct model_origin {
    char copy;     /* 0: none */
    bool is_known; /* something has been answered, if only that it is unreachable */
    int64_t learnt_at, fresh_until, used; /* `used` orders those at rest */
    int fetcher;                          /* an asker, or NOTHING */
};

struct model_asker {
    int origin;    /* NOTHING: does not wait */
    int64_t since; /* orders those that wait */
    int verdict;   /* what the next call must say, or NOTHING: no call may come */
};

struct storm {
    struct ag_random random;
    robots_cache_t *cache;
    struct asker askers[ASKERS];
    struct model_asker model[ASKERS];
    struct model_origin origins[ORIGINS];
    int64_t now, ticks;
    int seen[ROBOTS_FETCH + 1];
    int drops, handed, stale;
};

static struct storm storm;
static const char *const storm_paths[] = {"/a", "/b", "/c"};

static const char *storm_origin(int origin, char text[32])
{
    snprintf(text, 32, "http://host-%d:80", origin);
    return text;
}

static void storm_called(struct robots_question *question, enum robots_verdict verdict)
{
    struct model_asker *model = &storm.model[(struct asker *)question - storm.askers];

    assert_int_equal(verdict, model->verdict); /* no more and no other calls than these */
    model->verdict = NOTHING;
    storm.seen[verdict]++;
}

static int model_judge(const struct model_origin *origin, const char *path)
{
    if (origin->copy == 0)
        return ROBOTS_UNREACHABLE;
    return origin->copy == path[1] ? ROBOTS_REFUSED : ROBOTS_ALLOWED;
}

/* The origin with the oldest use goes while there are too many at rest. */
static void model_drop(void)
{
    for (;;) {
        struct model_origin *oldest = NULL;
        int count = 0;

        for (int i = 0; i < ORIGINS; i++) {
            struct model_origin *origin = &storm.origins[i];

            if (!origin->is_known || origin->fetcher != NOTHING)
                continue;
            count++;
            if (oldest == NULL || origin->used < oldest->used)
                oldest = origin;
        }
        if (count <= KEPT)
            return;
        *oldest = (struct model_origin){.fetcher = NOTHING};
        storm.drops++;
    }
}

static void storm_ask(int i)
{
    int at = (int)ag_random_below(&storm.random, ORIGINS);
    struct model_origin *origin = &storm.origins[at];
    const char *path = storm_paths[ag_random_below(&storm.random, 3)];
    int expected;
    char text[32];

    storm.ticks++;
    if (origin->fetcher != NOTHING) {
        expected = ROBOTS_WAIT;
    } else if (origin->is_known && storm.now < origin->fresh_until) {
        expected = model_judge(origin, path);
        origin->used = storm.ticks;
    } else {
        expected = ROBOTS_FETCH;
        origin->fetcher = i;
    }
    if (expected == ROBOTS_WAIT || expected == ROBOTS_FETCH)
        storm.model[i] = (struct model_asker){at, storm.ticks, NOTHING};
    storm.askers[i].question.path = path;
    storm.seen[expected]++;
    assert_int_equal(
        robots_cache_ask(storm.cache, storm_origin(at, text), &storm.askers[i].question, storm.now),
        expected);
}

/* Also of origins that nobody fetches. */
static void storm_answer(int at)
{
    static const struct {
        int status;
        const char *text;
        char copy;
    } answers[] = {{200, refuse_a, 'a'},
                   {200, refuse_b, 'b'},
                   {404, "", '4'},
                   {500, refuse_a, 0},
                   {0, NULL, 0}};
    size_t which = ag_random_below(&storm.random, sizeof answers / sizeof *answers);
    struct robots_answer what = {.status = answers[which].status,
                                 .lifetime_ms = (int64_t)ag_random_below(&storm.random, DAY) - HOUR,
                                 .bytes = ag_bytes_of_text(answers[which].text)};
    struct model_origin *origin = &storm.origins[at];
    char text[32];

    if (origin->fetcher != NOTHING) {
        origin->fetcher = NOTHING;
        origin->is_known = true;
        origin->used = ++storm.ticks;
        if (answers[which].copy != 0) {
            origin->copy = answers[which].copy;
            origin->learnt_at = storm.now;
            origin->fresh_until = storm.now + (what.lifetime_ms < 0        ? DAY
                                               : what.lifetime_ms < MINUTE ? MINUTE
                                                                           : what.lifetime_ms);
        } else {
            storm.stale += origin->copy != 0;
            origin->fresh_until = storm.now + MINUTE;
            if (storm.now - origin->learnt_at > 30 * DAY)
                origin->copy = 0;
        }
        for (int i = 0; i < ASKERS; i++) {
            if (storm.model[i].origin != at)
                continue;
            storm.model[i].origin = NOTHING;
            storm.model[i].verdict = model_judge(origin, storm.askers[i].question.path);
        }
        model_drop();
    }
    robots_cache_answer(storm.cache, storm_origin(at, text), &what, storm.now);
    tell_all(storm.cache);
}

static void storm_forget(int i)
{
    int at = storm.model[i].origin, next = NOTHING;

    storm.model[i].origin = NOTHING;
    if (at != NOTHING && storm.origins[at].fetcher == i) {
        for (int j = 0; j < ASKERS; j++)
            if (storm.model[j].origin == at &&
                (next == NOTHING || storm.model[j].since < storm.model[next].since))
                next = j;
        storm.origins[at].fetcher = next;
        if (next != NOTHING) {
            storm.model[next].verdict = ROBOTS_FETCH;
            storm.handed++;
        } else {
            storm.origins[at].used = ++storm.ticks;
            model_drop();
        }
    }
    robots_cache_forget(storm.cache, &storm.askers[i].question);
}

static void storm_step(void)
{
    int i = (int)ag_random_below(&storm.random, ASKERS);

    switch (ag_random_below(&storm.random, 8)) {
    case 0:
        storm_forget(i);
        break;
    case 1:
    case 2:
        storm_answer((int)ag_random_below(&storm.random, ORIGINS));
        break;
    case 3:
        storm.now += (int64_t)ag_random_below(&storm.random,
                                              ag_random_below(&storm.random, 200) == 0 ? 40 * DAY
                                              : ag_random_below(&storm.random, 8) == 0 ? 12 * HOUR
                                                                                       : MINUTE);
        break;
    default:
        if (storm.model[i].origin == NOTHING)
            storm_ask(i);
    }
    for (i = 0; i < ASKERS; i++)
        assert_int_equal(storm.model[i].verdict, NOTHING); /* whoever was to be called has been */
}

static void a_storm_agrees_with_the_model(void **state)
{
    int drops = 0, handed = 0, stale = 0, seen[ROBOTS_FETCH + 1] = {0};

    (void)state;
    for (int run = 0; run < STORM_RUNS; run++) {
        memset(&storm, 0, sizeof storm);
        ag_random_seed(&storm.random, (uint64_t)run);
        storm.cache = new_cache(KEPT, 1 << 20);
        for (int i = 0; i < ORIGINS; i++)
            storm.origins[i].fetcher = NOTHING;
        for (int i = 0; i < ASKERS; i++) {
            storm.askers[i].question.answered = storm_called;
            storm.model[i] = (struct model_asker){NOTHING, 0, NOTHING};
        }
        for (int step = 0; step < STORM_STEPS; step++)
            storm_step();
        robots_cache_destroy(&storm.cache);
        drops += storm.drops;
        handed += storm.handed;
        stale += storm.stale;
        for (int i = 0; i <= ROBOTS_FETCH; i++)
            seen[i] += storm.seen[i];
    }
    for (int i = 0; i <= ROBOTS_FETCH; i++)
        assert_true(seen[i] > STORM_RUNS);
    assert_true(drops > STORM_RUNS && handed > STORM_RUNS && stale > STORM_RUNS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_fetches_and_all_are_answered),
        cmocka_unit_test(robots_txt_itself_needs_no_fetch),
        cmocka_unit_test(an_answer_is_good_for_as_long_as_it_says_within_bounds),
        cmocka_unit_test(an_unreachable_server_refuses_for_a_minute),
        cmocka_unit_test(an_old_copy_helps_out_for_thirty_days),
        cmocka_unit_test(a_fetch_that_is_given_up_goes_to_the_next),
        cmocka_unit_test(the_least_recently_asked_are_dropped),
        cmocka_unit_test(rules_are_kept_within_their_bytes),
        cmocka_unit_test(an_agent_that_is_no_token_is_refused),
        cmocka_unit_test(any_number_may_give_up_in_a_row),
        cmocka_unit_test(one_that_is_told_to_fetch_may_answer_at_once),
        cmocka_unit_test(one_that_is_answered_may_forget_another_and_ask_again),
        cmocka_unit_test(those_who_are_answered_are_told_one_after_the_other),
        cmocka_unit_test(those_who_wait_are_left_when_the_cache_ends),
        cmocka_unit_test(a_storm_agrees_with_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
