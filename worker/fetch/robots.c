#include "worker/fetch/robots.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buffer.h"
#include "common/error.h"

enum {
    CANONICAL_MAX = 3,    /* octets of one octet in its canonical form: %XX */
    RULES_MAX = 64 << 10, /* ROBOTS_BYTES_MAX of the shortest line with a rule, "allow:/\n" */
    SEARCH_WORK = 64,     /* what it takes to begin a search, in octets compared */
    DELAY_DIGITS_MAX = 9  /* of whole seconds: more would only overflow */
};

/* A pattern in its canonical form. There an asterisk is always special: one that is meant
 * literally is %2A, in patterns as in paths. */
struct rule {
    uint32_t at, size; /* in robots.text */
    bool is_allow;
    bool is_whole; /* ended with $: matches all of the path, and not its beginning only */
};

struct robots {
    struct ag_buffer rules; /* of struct rule: the most specific first */
    struct ag_buffer text;
    int64_t delay_ms;
};

enum robots_meaning robots_meaning(int status, unsigned redirects)
{
    if (redirects > ROBOTS_REDIRECTS_MAX || (status >= 300 && status < 500))
        return ROBOTS_IS_ABSENT;
    return status >= 200 && status < 300 ? ROBOTS_HAS_RULES : ROBOTS_IS_UNREACHABLE;
}

/* ---- lines ---------------------------------------------------------------------------------- */

enum field { FIELD_OTHER, FIELD_AGENT, FIELD_ALLOW, FIELD_DISALLOW, FIELD_DELAY };

/* With the misspellings that others have learnt to live with. */
static const struct {
    const char *name;
    enum field field;
} fields[] = {
    {"user-agent", FIELD_AGENT},  {"useragent", FIELD_AGENT},   {"user agent", FIELD_AGENT},
    {"allow", FIELD_ALLOW},       {"disallow", FIELD_DISALLOW}, {"dissallow", FIELD_DISALLOW},
    {"dissalow", FIELD_DISALLOW}, {"disalow", FIELD_DISALLOW},  {"diasllow", FIELD_DISALLOW},
    {"disallaw", FIELD_DISALLOW}, {"crawl-delay", FIELD_DELAY},
};

struct line {
    enum field field;
    struct ag_bytes value;
};

static bool is_space(uint8_t octet)
{
    return octet == ' ' || octet == '\t' || octet == '\v' || octet == '\f';
}

static bool is_line_end(uint8_t octet)
{
    return octet == '\n' || octet == '\r';
}

static struct ag_bytes trim(const uint8_t *start, const uint8_t *end)
{
    while (start < end && is_space(*start))
        start++;
    while (start < end && is_space(end[-1]))
        end--;
    return ag_bytes_of(start, (size_t)(end - start));
}

/* The colon; or the space of two words, as "disallow /" can mean one thing only. */
static const uint8_t *find_separator(struct ag_bytes text)
{
    const uint8_t *colon = memchr(text.data, ':', text.size), *space = NULL;

    if (colon != NULL)
        return colon;
    for (size_t i = 0; i < text.size; i++) {
        if (!is_space(text.data[i]))
            continue;
        if (space != NULL && !is_space(text.data[i - 1]))
            return NULL; /* three words are prose */
        if (space == NULL)
            space = &text.data[i];
    }
    return space;
}

static struct line read_line(const uint8_t *start, const uint8_t *end)
{
    const uint8_t *comment = memchr(start, '#', (size_t)(end - start)), *separator;
    struct ag_bytes text = trim(start, comment != NULL ? comment : end), name;
    struct line line = {0};

    if (text.size == 0 || (separator = find_separator(text)) == NULL)
        return line;
    name = trim(text.data, separator);
    line.value = trim(separator + 1, text.data + text.size);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (name.size == strlen(fields[i].name) &&
            strncasecmp((const char *)name.data, fields[i].name, name.size) == 0)
            line.field = fields[i].field;
    return line;
}

/* Takes a line off `rest`; of CR LF the second ends an empty line, which means nothing. */
static bool next_line(struct ag_bytes *rest, struct line *line)
{
    size_t size = 0;

    if (rest->size == 0)
        return false;
    while (size < rest->size && !is_line_end(rest->data[size]))
        size++;
    *line = read_line(rest->data, rest->data + size);
    size += size < rest->size;
    *rest = ag_bytes_of(rest->data + size, rest->size - size);
    return true;
}

/* Without the byte order mark and what is too much. A line that would be cut is left out whole:
 * half of a pattern says more than its author did. */
static struct ag_bytes bound(struct ag_bytes bytes)
{
    if (bytes.size > ROBOTS_BYTES_MAX) {
        bytes.size = ROBOTS_BYTES_MAX;
        while (bytes.size > 0 && !is_line_end(bytes.data[bytes.size]))
            bytes.size--;
    }
    if (bytes.size >= 3 && memcmp(bytes.data, "\xef\xbb\xbf", 3) == 0)
        bytes = ag_bytes_of(bytes.data + 3, bytes.size - 3);
    return bytes;
}

/* ---- the canonical form of a path and of a pattern (RFC 9309 2.2.2) ----------------------------
 */

static bool is_letter(uint8_t octet)
{
    return (octet | 0x20) >= 'a' && (octet | 0x20) <= 'z';
}

static bool is_one_of(uint8_t octet, const char *set)
{
    return octet != '\0' && strchr(set, octet) != NULL;
}

/* The value of a hexadecimal digit, or -1. */
static int digit(uint8_t octet)
{
    if (octet >= '0' && octet <= '9')
        return octet - '0';
    return is_letter(octet) && (octet | 0x20) <= 'f' ? (octet | 0x20) - 'a' + 10 : -1;
}

/* Whether an octet stands for itself; else it is %XX. The RFC would have all reserved characters
 * encoded, which with its own examples means: those that delimit nothing are the same in both
 * forms, those that do are not. A slash or question mark delimits until the query begins. */
static bool is_plain(uint8_t octet, bool was_encoded, bool is_in_query, bool is_pattern)
{
    if (is_letter(octet) || (octet >= '0' && octet <= '9') || is_one_of(octet, "-._~!'(),:@[]"))
        return true;
    if (is_one_of(octet, "/?"))
        return !was_encoded || is_in_query;
    if (is_one_of(octet, "&=+;"))
        return !was_encoded;
    return octet == '*' && is_pattern && !was_encoded;
}

/* `out` has room for CANONICAL_MAX times as much. Returns how much it became. */
static size_t canonise(struct ag_bytes in, bool is_pattern, uint8_t *out)
{
    static const char hex[] = "0123456789ABCDEF";
    bool is_in_query = false;
    size_t size = 0;

    for (size_t i = 0; i < in.size; i++) {
        uint8_t octet = in.data[i];
        bool was_encoded = octet == '%' && in.size - i > 2 && digit(in.data[i + 1]) >= 0 &&
                           digit(in.data[i + 2]) >= 0;

        if (was_encoded) {
            octet = (uint8_t)(digit(in.data[i + 1]) << 4 | digit(in.data[i + 2]));
            i += 2;
        }
        if (is_plain(octet, was_encoded, is_in_query, is_pattern)) {
            out[size++] = octet;
        } else {
            out[size++] = '%';
            out[size++] = (uint8_t)hex[octet >> 4];
            out[size++] = (uint8_t)hex[octet & 15];
        }
        is_in_query |= octet == '?' && !was_encoded;
    }
    return size;
}

/* ---- reading -------------------------------------------------------------------------------- */

static void add_rule(robots_t *self, struct ag_bytes pattern, bool is_allow)
{
    struct rule rule = {.at = (uint32_t)self->text.size, .is_allow = is_allow};
    uint8_t *room;

    /* An empty one says nothing, and no path begins with anything but a slash. */
    if (pattern.size == 0 || !is_one_of(pattern.data[0], "/*"))
        return;
    if (pattern.data[pattern.size - 1] == '$') {
        rule.is_whole = true;
        pattern.size--;
    }
    room = ag_buffer_reserve(&self->text, CANONICAL_MAX * pattern.size);
    if (room == NULL)
        return; /* robots_new() sees it */
    rule.size = (uint32_t)canonise(pattern, true, room);
    self->text.size += rule.size;
    ag_buffer_append(&self->rules, &rule, sizeof rule);
}

/* Seconds, with a fraction if they like. Of several delays the longest is kept. */
static void add_delay(robots_t *self, struct ag_bytes value)
{
    int64_t delay_ms = 0, unit = 1000;
    size_t i = 0;

    while (i < value.size && i < DELAY_DIGITS_MAX && value.data[i] >= '0' && value.data[i] <= '9')
        delay_ms = delay_ms * 10 + 1000 * (value.data[i++] - '0');
    if (i == 0)
        return;
    if (i < value.size && value.data[i] == '.')
        for (i++; i < value.size && value.data[i] >= '0' && value.data[i] <= '9'; i++)
            delay_ms += (unit /= 10) * (value.data[i] - '0');
    if (i < value.size)
        return;
    if (delay_ms > ROBOTS_DELAY_MS_MAX)
        delay_ms = ROBOTS_DELAY_MS_MAX;
    if (delay_ms > self->delay_ms)
        self->delay_ms = delay_ms;
}

/* `agent` NULL is everybody. What follows the token is not of interest: "argosy/1.0" is argosy. */
static bool is_named(struct ag_bytes value, const char *agent)
{
    size_t size = 0;

    if (agent == NULL)
        return value.size > 0 && value.data[0] == '*' &&
               (value.size == 1 || is_space(value.data[1]));
    while (size < value.size && (is_letter(value.data[size]) || is_one_of(value.data[size], "-_")))
        size++;
    return size == strlen(agent) && strncasecmp((const char *)value.data, agent, size) == 0;
}

/* All groups that name `agent`; false if there is none. Only allow and disallow end the names of a
 * group: other lines must not interfere (RFC 9309 2.2.4), and Crawl-delay is one of them. */
static bool collect(robots_t *self, struct ag_bytes rest, const char *agent)
{
    bool is_ours = false, has_rules = false, is_found = false;
    struct line line;

    while (next_line(&rest, &line)) {
        switch (line.field) {
        case FIELD_OTHER:
            break;
        case FIELD_AGENT:
            if (has_rules)
                is_ours = has_rules = false;
            is_ours |= is_named(line.value, agent);
            is_found |= is_ours;
            break;
        case FIELD_ALLOW:
        case FIELD_DISALLOW:
            has_rules = true;
            if (is_ours)
                add_rule(self, line.value, line.field == FIELD_ALLOW);
            break;
        case FIELD_DELAY:
            if (is_ours)
                add_delay(self, line.value);
            break;
        }
    }
    return is_found;
}

/* The longest first, and of equal ones those that allow: so the first that matches decides. */
static int compare(const void *left, const void *right)
{
    const struct rule *a = left, *b = right;
    size_t size_a = a->size + a->is_whole, size_b = b->size + b->is_whole;

    if (size_a != size_b)
        return size_a > size_b ? -1 : 1;
    return (int)b->is_allow - (int)a->is_allow;
}

int robots_new(robots_t **out, struct ag_bytes bytes, const char *agent, struct argosy_error *err)
{
    robots_t *self;

    *out = NULL;
    for (size_t i = 0; i == 0 || agent[i] != '\0'; i++)
        if (!is_letter((uint8_t)agent[i]) && !is_one_of((uint8_t)agent[i], "-_"))
            return ag_fail(err, ARGOSY_EINVAL, "'%s' is not a product token (letters, - and _)",
                           agent);
    self = malloc(sizeof *self);
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a robots.txt");
    *self = (robots_t){.rules = ag_buffer_empty(RULES_MAX * sizeof(struct rule)),
                       .text = ag_buffer_empty(CANONICAL_MAX * ROBOTS_BYTES_MAX)};
    bytes = bound(bytes);
    if (!collect(self, bytes, agent))
        collect(self, bytes, NULL);
    if (self->rules.failed || self->text.failed) {
        robots_destroy(&self);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for the rules of a robots.txt");
    }
    if (self->rules.size > 0)
        qsort(self->rules.data, self->rules.size / sizeof(struct rule), sizeof(struct rule),
              compare);
    *out = self;
    return 0;
}

void robots_destroy(robots_t **self_p)
{
    robots_t *self = *self_p;

    if (self == NULL)
        return;
    ag_buffer_free(&self->rules);
    ag_buffer_free(&self->text);
    free(self);
    *self_p = NULL;
}

/* ---- asking --------------------------------------------------------------------------------- */

static bool starts_with(struct ag_bytes text, struct ag_bytes start)
{
    return start.size <= text.size && memcmp(text.data, start.data, start.size) == 0;
}

static struct ag_bytes skip(struct ag_bytes text, size_t size)
{
    return ag_bytes_of(text.data + size, text.size - size);
}

/* The part of a pattern before its first asterisk. */
static struct ag_bytes head_of(struct ag_bytes pattern)
{
    const uint8_t *star = memchr(pattern.data, '*', pattern.size);

    return ag_bytes_of(pattern.data, star != NULL ? (size_t)(star - pattern.data) : pattern.size);
}

/* Each part between asterisks is taken where it comes first: a later place would leave less for
 * those behind it, so there is never a reason to go back. */
static bool matches(struct ag_bytes pattern, bool is_whole, struct ag_bytes path, size_t *work)
{
    struct ag_bytes part = head_of(pattern);

    if (!starts_with(path, part))
        return false;
    path = skip(path, part.size);
    pattern = skip(pattern, part.size);
    if (pattern.size == 0)
        return !is_whole || path.size == 0;
    while (pattern.size > 0) { /* begins with an asterisk */
        const uint8_t *found;

        pattern = skip(pattern, 1);
        part = head_of(pattern);
        if (part.size == 0)
            continue;
        if (part.size > path.size)
            return false;
        if (is_whole && part.size == pattern.size)
            return starts_with(skip(path, path.size - part.size), part);
        found = memmem(path.data, path.size, part.data, part.size);
        *work += SEARCH_WORK + (found != NULL ? (size_t)(found - path.data) : path.size);
        if (found == NULL)
            return false;
        path = skip(path, (size_t)(found - path.data) + part.size);
        pattern = skip(pattern, part.size);
    }
    return true;
}

bool robots_is_own_path(const char *path)
{
    return strcmp(path, "/robots.txt") == 0;
}

bool robots_allows(const robots_t *self, const char *path)
{
    const struct rule *rules = (const void *)self->rules.data;
    size_t count = self->rules.size / sizeof *rules, size = strcspn(path, "#"), work = 0;
    uint8_t text[1 + CANONICAL_MAX * ROBOTS_PATH_MAX] = "/";
    struct ag_bytes canonical;
    bool has_slash = path[0] == '/';

    if (count == 0 || robots_is_own_path(path))
        return true;
    if (size > ROBOTS_PATH_MAX)
        return false;
    canonical = ag_bytes_of(path + has_slash, size - has_slash);
    canonical = ag_bytes_of(text, 1 + canonise(canonical, false, text + 1));
    for (size_t i = 0; i < count && work <= ROBOTS_WORK_MAX; i++) {
        struct ag_bytes pattern = ag_bytes_of(self->text.data + rules[i].at, rules[i].size);

        if (matches(pattern, rules[i].is_whole, canonical, &work))
            return rules[i].is_allow;
    }
    return work <= ROBOTS_WORK_MAX;
}

int64_t robots_delay_ms(const robots_t *self)
{
    return self->delay_ms;
}

size_t robots_size_bytes(const robots_t *self)
{
    return sizeof *self + self->rules.capacity + self->text.capacity;
}
