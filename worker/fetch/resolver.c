#include "worker/fetch/resolver.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/entropy.h"
#include "common/error.h"
#include "common/id.h"
#include "worker/fetch/lookup.h"

enum { BUCKETS_MIN = 64, BUCKETS_MAX = 1 << 16 };

/* What is known of a name, and who wants to know. Either a lookup is under way for it, or it is
 * being answered, or it is in `recent`. */
struct resolver_name {
    struct resolver_name *next_in_bucket;
    struct ag_link recent;
    struct ag_link waiting; /* questions */
    struct lookup *lookup;
    bool is_answering; /* callbacks look at the answer */
    bool is_known;     /* the rest is an answer, good until `until` */
    bool is_stale;
    int code, error;
    int64_t until, stale_until;
    union resolver_address *addresses; /* NULL: it failed */
    size_t count;
    char host[];
};

struct resolver {
    struct resolver_config config;
    lookups_t *lookups;
    struct resolver_name **buckets;
    size_t buckets_count;  /* a power of two */
    uint64_t seed;         /* strangers choose the names, not their places */
    struct ag_link recent; /* the one that was used longest ago in front */
    size_t recent_count;
    union resolver_address literal; /* the last one asked for */
};

struct resolver_config resolver_defaults(void)
{
    return (struct resolver_config){.threads = 8,
                                    .positive_ms = 60 * 1000,
                                    .negative_ms = 5 * 1000,
                                    .again_ms = 1000,
                                    .stale_ms = 10 * 60 * 1000,
                                    .names_max = 10000};
}

/* ---- names -------------------------------------------------------------------------------------
 */

/* Lower case, no brackets, no dot at the end; false when it is no name. */
static bool normalise(const char *host, char out[RESOLVER_HOST_BYTES_MAX + 1])
{
    size_t size = strlen(host);

    if (size > 1 && host[0] == '[' && host[size - 1] == ']') {
        host++;
        size -= 2;
    } else if (size > 0 && host[size - 1] == '.') {
        size--;
    }
    if (size == 0 || size > RESOLVER_HOST_BYTES_MAX)
        return false;
    for (size_t i = 0; i < size; i++) /* not tolower(): that asks the locale */
        out[i] = (char)(host[i] >= 'A' && host[i] <= 'Z' ? host[i] + ('a' - 'A') : host[i]);
    out[size] = '\0';
    return true;
}

/* All that getaddrinfo() takes for an address, also 127.1 and fe80::1%eth0; asks nobody. */
static bool is_literal(const char *host, union resolver_address *out)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM}, *found;

    if (!(host[0] >= '0' && host[0] <= '9') && strchr(host, ':') == NULL)
        return false;
    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return false;
    memset(out, 0, sizeof *out);
    memcpy(out, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return true;
}

static struct resolver_name **bucket_of(const resolver_t *self, const char *host)
{
    uint64_t hash = self->seed;
    size_t size = strlen(host);
    struct ag_id part;

    for (size_t at = 0; at < size; at += sizeof part) {
        size_t rest = size - at < sizeof part ? size - at : sizeof part;

        memset(&part, 0, sizeof part);
        memcpy(&part, host + at, rest);
        hash = ag_id_hash(&part, hash);
    }
    return &self->buckets[hash & (self->buckets_count - 1)];
}

static struct resolver_name *find(const resolver_t *self, const char *host)
{
    struct resolver_name *name = *bucket_of(self, host);

    while (name != NULL && strcmp(name->host, host) != 0)
        name = name->next_in_bucket;
    return name;
}

static struct resolver_name *add(resolver_t *self, const char *host)
{
    struct resolver_name **bucket = bucket_of(self, host);
    size_t size = strlen(host) + 1;
    struct resolver_name *name = calloc(1, sizeof *name + size);

    if (name == NULL)
        return NULL;
    ag_link_init(&name->recent);
    ag_link_init(&name->waiting);
    memcpy(name->host, host, size);
    name->next_in_bucket = *bucket;
    *bucket = name;
    return name;
}

static void drop(resolver_t *self, struct resolver_name *name)
{
    struct resolver_name **at = bucket_of(self, name->host);

    while (*at != name)
        at = &(*at)->next_in_bucket;
    *at = name->next_in_bucket;
    free(name->addresses);
    free(name);
}

static void take_from_recent(resolver_t *self, struct resolver_name *name)
{
    if (!ag_link_is_listed(&name->recent))
        return;
    ag_link_remove(&name->recent);
    self->recent_count--;
}

/* To the end of those that may be evicted, if it is idle; and the first ones go. */
static void put_away(resolver_t *self, struct resolver_name *name)
{
    if (name->lookup != NULL || name->is_answering)
        return;
    if (!name->is_known) {
        drop(self, name);
        return;
    }
    take_from_recent(self, name);
    ag_list_append(&self->recent, &name->recent);
    self->recent_count++;
    while (self->recent_count > self->config.names_max) {
        struct resolver_name *first = AG_OWNER(self->recent.next, struct resolver_name, recent);

        take_from_recent(self, first);
        drop(self, first);
    }
}

/* ---- answers -----------------------------------------------------------------------------------
 */

/* Whether another try is worth anything: not when the name server has said that there is no such
 * name, or none with addresses. */
static bool is_retryable(int code)
{
    return code != 0 && code != EAI_NONAME && code != EAI_NODATA && code != EAI_ADDRFAMILY &&
           code != EAI_IDN_ENCODE;
}

static struct resolver_answer failure(int code, int error)
{
    return (struct resolver_answer){.code = code,
                                    .text =
                                        code == EAI_SYSTEM ? strerror(error) : gai_strerror(code),
                                    .retryable = is_retryable(code)};
}

static struct resolver_answer answer_of(const struct resolver_name *name)
{
    if (name->addresses == NULL)
        return failure(name->code, name->error);
    return (struct resolver_answer){
        .addresses = name->addresses, .count = name->count, .text = "", .is_stale = name->is_stale};
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* What the lookup has found becomes what is known of the name. */
static void learn(const resolver_t *self, struct resolver_name *name, struct lookup *lookup,
                  int64_t now)
{
    const struct resolver_config *config = &self->config;

    name->is_known = true;
    if (is_retryable(lookup->code) && name->addresses != NULL && now < name->stale_until) {
        name->is_stale = true;
        name->until = earlier(now + RESOLVER_STALE_HOLD_MS, name->stale_until);
        return;
    }
    free(name->addresses);
    name->addresses = lookup->addresses;
    name->count = lookup->count;
    lookup->addresses = NULL;
    name->code = lookup->code;
    name->error = lookup->error;
    name->is_stale = false;
    if (name->code == 0) {
        name->until = now + config->positive_ms;
        name->stale_until = name->until + config->stale_ms;
    } else {
        name->until = now + (is_retryable(name->code) ? config->again_ms : config->negative_ms);
    }
}

/* Those who wait now are answered. A callback may ask for the same name again, which waits for
 * another lookup then, if this answer may not be kept. */
static void tell(resolver_t *self, struct resolver_name *name)
{
    struct resolver_answer answer = answer_of(name);
    struct ag_link asked;

    ag_link_init(&asked);
    while (!ag_list_is_empty(&name->waiting))
        ag_list_append(&asked, name->waiting.next);
    name->is_answering = true;
    while (!ag_list_is_empty(&asked)) {
        struct resolver_question *question = AG_OWNER(asked.next, struct resolver_question, link);

        ag_link_remove(&question->link);
        question->name = NULL;
        question->answered(question, &answer);
    }
    name->is_answering = false;
    put_away(self, name);
}

/* ---- the resolver ------------------------------------------------------------------------------
 */

static int check(const struct resolver_config *config, struct argosy_error *err)
{
    const int64_t times[] = {config->positive_ms, config->negative_ms, config->again_ms,
                             config->stale_ms};

    if (config->threads == 0 || config->threads > RESOLVER_THREADS_MAX)
        return ag_fail(err, ARGOSY_EINVAL, "a resolver has 1 to %d threads, not %u",
                       RESOLVER_THREADS_MAX, config->threads);
    if (config->names_max > RESOLVER_NAMES_MAX)
        return ag_fail(err, ARGOSY_EINVAL, "a resolver keeps at most %d names, not %zu",
                       RESOLVER_NAMES_MAX, config->names_max);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (times[i] < 0 || times[i] > RESOLVER_KEEP_MS_MAX)
            return ag_fail(err, ARGOSY_EINVAL, "a resolver keeps answers for 0 to %d ms, not %lld",
                           RESOLVER_KEEP_MS_MAX, (long long)times[i]);
    return 0;
}

int resolver_new(resolver_t **out, const struct resolver_config *config, struct argosy_error *err)
{
    resolver_t *self = NULL;
    int rc = check(config, err);

    *out = NULL;
    if (rc < 0)
        return rc;
    self = calloc(1, sizeof *self);
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a resolver");
    self->config = *config;
    ag_link_init(&self->recent);
    self->buckets_count = BUCKETS_MIN;
    while (self->buckets_count < config->names_max && self->buckets_count < BUCKETS_MAX)
        self->buckets_count *= 2;
    self->buckets = calloc(self->buckets_count, sizeof(struct resolver_name *));
    rc = self->buckets != NULL ? ag_entropy(&self->seed, sizeof self->seed, err)
                               : ag_fail(err, ARGOSY_ENOMEM, "no memory for a resolver");
    if (rc == 0)
        rc = lookups_new(&self->lookups, config, err);
    if (rc < 0)
        resolver_destroy(&self);
    *out = self;
    return rc;
}

void resolver_destroy(resolver_t **self_p)
{
    resolver_t *self = *self_p;

    if (self == NULL)
        return;
    lookups_destroy(&self->lookups);
    for (size_t i = 0; self->buckets != NULL && i < self->buckets_count; i++) {
        struct resolver_name *next;

        for (struct resolver_name *name = self->buckets[i]; name != NULL; name = next) {
            next = name->next_in_bucket;
            while (!ag_list_is_empty(&name->waiting)) {
                struct resolver_question *question =
                    AG_OWNER(name->waiting.next, struct resolver_question, link);

                ag_link_remove(&question->link);
                question->name = NULL;
            }
            free(name->addresses);
            free(name);
        }
    }
    free(self->buckets);
    free(self);
    *self_p = NULL;
}

/* The question waits for a lookup that is under way, or for a new one. */
static int wait_for(resolver_t *self, struct resolver_question *question,
                    struct resolver_name *name)
{
    if (name->lookup == NULL) {
        struct lookup *lookup = lookup_new(name->host, name);

        if (lookup == NULL || lookups_start(self->lookups, lookup) < 0) {
            lookup_destroy(&lookup);
            put_away(self, name);
            return ARGOSY_ENOMEM;
        }
        name->lookup = lookup;
        take_from_recent(self, name);
    }
    question->name = name;
    ag_link_init(&question->link);
    ag_list_append(&name->waiting, &question->link);
    return 0;
}

int resolver_ask(resolver_t *self, struct resolver_question *question, const char *host,
                 int64_t now, struct resolver_answer *answer)
{
    char normal[RESOLVER_HOST_BYTES_MAX + 1];
    struct resolver_name *name;

    AG_ASSERT(question->name == NULL);
    if (!normalise(host, normal)) {
        *answer = failure(EAI_NONAME, 0);
        return 1;
    }
    if (is_literal(normal, &self->literal)) {
        *answer = (struct resolver_answer){.addresses = &self->literal, .count = 1, .text = ""};
        return 1;
    }
    name = find(self, normal);
    if (name != NULL && name->is_known && now < name->until) {
        *answer = answer_of(name);
        put_away(self, name); /* used: to the end */
        return 1;
    }
    if (name == NULL && (name = add(self, normal)) == NULL)
        return ARGOSY_ENOMEM;
    return wait_for(self, question, name);
}

void resolver_forget(resolver_t *self, struct resolver_question *question)
{
    struct resolver_name *name = question->name;

    if (name == NULL)
        return;
    ag_link_remove(&question->link);
    question->name = NULL;
    if (name->lookup == NULL || !ag_list_is_empty(&name->waiting) ||
        !lookups_take_back(self->lookups, name->lookup))
        return; /* what has begun is learnt, though nobody waits for it */
    lookup_destroy(&name->lookup);
    put_away(self, name);
}

int resolver_fd(const resolver_t *self)
{
    return lookups_fd(self->lookups);
}

void resolver_collect(resolver_t *self, int64_t now)
{
    struct ag_link ended;

    ag_link_init(&ended);
    lookups_collect(self->lookups, &ended);
    while (!ag_list_is_empty(&ended)) {
        struct lookup *lookup = AG_OWNER(ended.next, struct lookup, link);
        struct resolver_name *name = lookup->name;

        ag_link_remove(&lookup->link);
        name->lookup = NULL;
        learn(self, name, lookup, now);
        lookup_destroy(&lookup);
        tell(self, name);
    }
}

static const char *broken_in(const struct resolver_name *name)
{
    if (name->is_answering)
        return "a name is being answered outside of a collection";
    if ((name->lookup != NULL) == ag_link_is_listed(&name->recent))
        return "a name is neither looked up nor kept, or both";
    if (name->lookup == NULL && !name->is_known)
        return "a name is kept of which nothing is known";
    if (name->lookup == NULL && !ag_list_is_empty(&name->waiting))
        return "questions wait for a name that is not looked up";
    if ((name->addresses != NULL) != (name->count > 0) ||
        (name->is_known && (name->code == 0) != (name->count > 0)))
        return "a name has neither addresses nor a failure, or both";
    return NULL;
}

const char *resolver_broken_invariant(const resolver_t *self)
{
    size_t kept = 0;

    for (size_t i = 0; i < self->buckets_count; i++)
        for (const struct resolver_name *name = self->buckets[i]; name != NULL;
             name = name->next_in_bucket) {
            const char *broken = broken_in(name);

            if (broken != NULL)
                return broken;
            kept += ag_link_is_listed(&name->recent);
        }
    if (kept != self->recent_count)
        return "the count of the names that are kept is wrong";
    return kept > self->config.names_max ? "more names are kept than may be" : NULL;
}
