#include "worker/fetch/robots_cache.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/error.h"
#include "common/map.h"
#include "worker/fetch/robots.h"

#define NEVER_ASKED INT64_MIN /* as a time until which an answer is fresh */

/* What is known of one server. At rest it is in the list of those that may be dropped; while
 * somebody fetches it is not, and keeps what it knew before. */
struct robots_origin {
    struct ag_map_node node;         /* its id is a digest of the origin's text */
    struct ag_link link;             /* in robots_cache.resting */
    struct ag_link waiting;          /* questions; the one who fetches is among them */
    size_t answered;                 /* questions that robots_cache_tell() will call */
    struct robots_question *fetcher; /* NULL: nobody */
    bool is_handing;                 /* hand_on() looks for somebody to fetch */
    enum robots_meaning meaning;     /* ROBOTS_IS_UNREACHABLE: nothing is known */
    robots_t *rules;                 /* only if it has some */
    int64_t learnt_at, fresh_until;
};

struct robots_cache {
    struct ag_map origins;
    struct ag_link answered; /* questions, of all origins */
    struct ag_link resting;  /* the one that was asked about last is at the end */
    size_t resting_count, origins_max;
    size_t bytes, bytes_max; /* of rules */
    char agent[];
};

int robots_cache_new(robots_cache_t **out, const char *agent, size_t origins_max, size_t bytes_max,
                     uint64_t seed, struct argosy_error *err)
{
    size_t size = strlen(agent) + 1;
    robots_cache_t *self;
    robots_t *none;
    int rc;

    *out = NULL;
    if ((rc = robots_new(&none, ag_bytes_of("", 0), agent, err)) < 0)
        return rc; /* the agent is told to be wrong here, and never later */
    robots_destroy(&none);
    self = malloc(sizeof *self + size);
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a cache of robots.txt");
    *self = (robots_cache_t){.origins_max = origins_max, .bytes_max = bytes_max};
    memcpy(self->agent, agent, size);
    ag_link_init(&self->answered);
    ag_link_init(&self->resting);
    rc = ag_map_init(&self->origins, seed);
    if (rc < 0) {
        robots_cache_destroy(&self);
        return ag_fail(err, rc, "no memory for a cache of robots.txt");
    }
    *out = self;
    return 0;
}

/* ---- origins -------------------------------------------------------------------------------- */

/* Half of a SHA-256: nobody finds two origins with the same one. */
static bool name(const char *origin, struct ag_id *id)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];

    if (SHA256((const uint8_t *)origin, strlen(origin), digest) == NULL)
        return false;
    memcpy(id->bytes, digest, sizeof id->bytes);
    return true;
}

static struct robots_origin *find(const robots_cache_t *self, const char *text)
{
    struct ag_map_node *node = NULL;
    struct ag_id id;

    if (name(text, &id))
        node = ag_map_find(&self->origins, &id);
    return node != NULL ? AG_OWNER(node, struct robots_origin, node) : NULL;
}

static struct robots_origin *add(robots_cache_t *self, const char *text)
{
    struct robots_origin *origin = calloc(1, sizeof *origin);

    if (origin == NULL || !name(text, &origin->node.id)) {
        free(origin);
        return NULL;
    }
    ag_link_init(&origin->link);
    ag_link_init(&origin->waiting);
    origin->meaning = ROBOTS_IS_UNREACHABLE;
    origin->fresh_until = NEVER_ASKED;
    ag_map_add(&self->origins, &origin->node);
    return origin;
}

static void set_rules(robots_cache_t *self, struct robots_origin *origin, robots_t *rules)
{
    if (origin->rules != NULL)
        self->bytes -= robots_size_bytes(origin->rules);
    robots_destroy(&origin->rules);
    origin->rules = rules;
    if (rules != NULL)
        self->bytes += robots_size_bytes(rules);
}

static void wake_up(robots_cache_t *self, struct robots_origin *origin)
{
    if (ag_link_is_listed(&origin->link))
        self->resting_count--;
    ag_link_remove(&origin->link);
}

static void drop(robots_cache_t *self, struct robots_origin *origin)
{
    wake_up(self, origin);
    ag_map_remove(&self->origins, &origin->node);
    set_rules(self, origin, NULL);
    free(origin);
}

/* If nobody needs it, it may be dropped from now on. */
static void rest(robots_cache_t *self, struct robots_origin *origin)
{
    if (origin->fetcher != NULL || origin->answered > 0 || origin->is_handing)
        return;
    if (!ag_link_is_listed(&origin->link))
        self->resting_count++;
    ag_list_append(&self->resting, &origin->link);
    while (self->resting_count > self->origins_max ||
           (self->bytes > self->bytes_max && self->resting_count > 0))
        drop(self, AG_OWNER(self->resting.next, struct robots_origin, link));
}

/* ---- asking --------------------------------------------------------------------------------- */

static enum robots_verdict judge(const struct robots_origin *origin, const char *path)
{
    switch (origin->meaning) {
    case ROBOTS_HAS_RULES:
        return robots_allows(origin->rules, path) ? ROBOTS_ALLOWED : ROBOTS_REFUSED;
    case ROBOTS_IS_ABSENT:
        return ROBOTS_ALLOWED;
    case ROBOTS_IS_UNREACHABLE:
        break;
    }
    return ROBOTS_UNREACHABLE;
}

static bool is_waiting(const struct robots_question *question)
{
    return question->link.next != NULL && ag_link_is_listed(&question->link);
}

enum robots_verdict robots_cache_ask(robots_cache_t *self, const char *text,
                                     struct robots_question *question, int64_t now)
{
    struct robots_origin *origin;

    AG_ASSERT(!is_waiting(question));
    if (robots_is_own_path(question->path))
        return ROBOTS_ALLOWED;
    origin = find(self, text);
    if (origin == NULL && (origin = add(self, text)) == NULL)
        return ROBOTS_UNREACHABLE;
    if (now < origin->fresh_until) {
        if (ag_link_is_listed(&origin->link)) /* it is not while hand_on() is at work */
            ag_list_append(&self->resting, &origin->link);
        return judge(origin, question->path);
    }
    wake_up(self, origin);
    ag_link_init(&question->link);
    ag_list_append(&origin->waiting, &question->link);
    question->origin = origin;
    if (origin->fetcher != NULL)
        return ROBOTS_WAIT;
    origin->fetcher = question;
    return ROBOTS_FETCH;
}

/* ---- answers -------------------------------------------------------------------------------- */

/* An old copy is better than none: it stays when the server is unreachable. */
static void learn(robots_cache_t *self, struct robots_origin *origin,
                  const struct robots_answer *answer, int64_t now)
{
    enum robots_meaning meaning = robots_meaning(answer->status, answer->redirects);
    int64_t fresh_ms = answer->lifetime_ms;
    robots_t *rules = NULL;

    if (meaning == ROBOTS_HAS_RULES && robots_new(&rules, answer->bytes, self->agent, NULL) < 0)
        meaning = ROBOTS_IS_UNREACHABLE; /* without memory: in a minute, perhaps */
    if (meaning == ROBOTS_IS_UNREACHABLE) {
        origin->fresh_until = now + ROBOTS_AGAIN_MS;
        if (now - origin->learnt_at > ROBOTS_KEPT_MS_MAX) {
            set_rules(self, origin, NULL);
            origin->meaning = meaning;
        }
        return;
    }
    if (fresh_ms < 0 || fresh_ms > ROBOTS_FRESH_MS_MAX)
        fresh_ms = ROBOTS_FRESH_MS_MAX;
    set_rules(self, origin, rules);
    origin->meaning = meaning;
    origin->learnt_at = now;
    origin->fresh_until = now + (fresh_ms < ROBOTS_AGAIN_MS ? ROBOTS_AGAIN_MS : fresh_ms);
}

void robots_cache_answer(robots_cache_t *self, const char *text, const struct robots_answer *answer,
                         int64_t now)
{
    struct robots_origin *origin = find(self, text);

    if (origin == NULL || origin->fetcher == NULL)
        return;
    learn(self, origin, answer, now);
    origin->fetcher = NULL;
    while (!ag_list_is_empty(&origin->waiting)) {
        struct robots_question *question =
            AG_OWNER(origin->waiting.next, struct robots_question, link);

        question->is_answered = true;
        origin->answered++;
        ag_list_append(&self->answered, &question->link);
    }
    rest(self, origin);
}

/* It waits no more for its answer to be told. */
static void leave(robots_cache_t *self, struct robots_question *question)
{
    struct robots_origin *origin = question->origin;

    ag_link_remove(&question->link);
    question->origin = NULL;
    question->is_answered = false;
    origin->answered--;
    rest(self, origin);
}

bool robots_cache_is_telling(const robots_cache_t *self)
{
    return !ag_list_is_empty(&self->answered);
}

bool robots_cache_tell(robots_cache_t *self)
{
    struct robots_question *question = AG_OWNER(self->answered.next, struct robots_question, link);
    enum robots_verdict verdict;

    if (!robots_cache_is_telling(self))
        return false;
    verdict = judge(question->origin, question->path);
    leave(self, question);
    question->answered(question, verdict);
    return true;
}

/* Nobody fetches: tell the one who has waited longest. A loop, because that one may give up at once
 * too, or answer; either comes back here through the cache's own functions. */
static void hand_on(robots_cache_t *self, struct robots_origin *origin)
{
    if (origin->is_handing)
        return;
    origin->is_handing = true;
    while (origin->fetcher == NULL && !ag_list_is_empty(&origin->waiting)) {
        origin->fetcher = AG_OWNER(origin->waiting.next, struct robots_question, link);
        origin->fetcher->answered(origin->fetcher, ROBOTS_FETCH);
    }
    origin->is_handing = false;
    if (origin->fetcher != NULL)
        return;
    if (origin->meaning == ROBOTS_IS_UNREACHABLE && origin->fresh_until == NEVER_ASKED)
        drop(self, origin);
    else
        rest(self, origin);
}

void robots_cache_forget(robots_cache_t *self, struct robots_question *question)
{
    struct robots_origin *origin = question->origin;

    if (!is_waiting(question))
        return;
    if (question->is_answered) {
        leave(self, question);
        return;
    }
    ag_link_remove(&question->link);
    question->origin = NULL;
    if (origin->fetcher != question)
        return;
    origin->fetcher = NULL;
    hand_on(self, origin);
}

int64_t robots_cache_delay_ms(const robots_cache_t *self, const char *text)
{
    const struct robots_origin *origin = find(self, text);

    return origin != NULL && origin->rules != NULL ? robots_delay_ms(origin->rules) : 0;
}

void robots_cache_destroy(robots_cache_t **self_p)
{
    robots_cache_t *self = *self_p;
    struct ag_map_node *node;

    if (self == NULL)
        return;
    while (!ag_list_is_empty(&self->answered))
        leave(self, AG_OWNER(self->answered.next, struct robots_question, link));
    while ((node = ag_map_next(&self->origins, NULL)) != NULL) {
        struct robots_origin *origin = AG_OWNER(node, struct robots_origin, node);

        while (!ag_list_is_empty(&origin->waiting)) {
            AG_OWNER(origin->waiting.next, struct robots_question, link)->origin = NULL;
            ag_link_remove(origin->waiting.next);
        }
        drop(self, origin);
    }
    ag_map_fini(&self->origins);
    free(self);
    *self_p = NULL;
}
