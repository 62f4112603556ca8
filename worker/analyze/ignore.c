#include "worker/analyze/ignore.h"

#include <stdlib.h>
#include <string.h>

#include "common/error.h"

/* A rule is a plain beginning and, behind it, parts: a byte (below 256), one of these, or a set. */
enum {
    PART_ANY = 256, /* one byte, no slash */
    PART_STAR,      /* any bytes, no slash */
    PART_REST,      /* all that follows */
    PART_FOLDERS,   /* nothing, or anything that ends with a slash */
    PART_FOLDER,    /* anything that ends with a slash */
    PART_SET        /* and beyond: one byte of the set with this number */
};

struct set {
    uint8_t bits[32];
};

struct rule {
    uint32_t plain, parts; /* where they begin, in bytes and parts of all rules */
    uint16_t plain_size, parts_count;
    uint16_t least; /* bytes that the parts take at least */
    bool is_negative, is_for_folders, is_for_names;
};

struct ignore_rules {
    ignore_rules_t *outer;
    size_t base;
    size_t count_all; /* with the outer ones */
    struct rule *rules;
    size_t count;
    uint8_t *bytes;
    uint32_t *parts;
    struct set *sets;
    size_t bytes_size, parts_size, sets_count;
};

/* ---- sets: what stands in [...]
 * ------------------------------------------------------------------------------------------ */

static void add(struct set *set, unsigned first, unsigned last)
{
    for (unsigned byte = first; byte <= last; byte++)
        set->bits[byte / 8] |= (uint8_t)(1u << byte % 8);
}

/* Those of ASCII, and white space as git has it: without \v and \f. */
static bool add_class(struct set *set, struct ag_bytes name)
{
    static const struct {
        const char *name;
        uint8_t ranges[9]; /* first, last; ends with a zero */
    } classes[] = {
        {"alnum", "09AZaz"},   {"alpha", "AZaz"},
        {"blank", "\t\t  "},   {"cntrl", "\x01\x1f\x7f\x7f"}, /* no path holds a zero */
        {"digit", "09"},       {"graph", "!~"},
        {"lower", "az"},       {"print", " ~"},
        {"punct", "!/:@[`{~"}, {"space", "\t\n\r\r  "},
        {"upper", "AZ"},       {"xdigit", "09AFaf"},
    };

    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (!ag_bytes_are(name, classes[i].name))
            continue;
        for (const uint8_t *range = classes[i].ranges; range[0] != 0; range += 2)
            add(set, range[0], range[1]);
        return true;
    }
    return false;
}

/* `[:name:]` at `at`. What only looks like one is a `[` like others. False: no such class. */
static bool read_class(struct set *set, struct ag_bytes text, size_t *at, uint8_t *before)
{
    size_t name = *at + 2, end = name;

    while (end < text.size && text.data[end] != ']')
        end++;
    if (end == text.size)
        return false;
    if (end == name || text.data[end - 1] != ':') {
        add(set, '[', '[');
        *before = '[';
        *at += 1;
        return true;
    }
    *before = 0;
    *at = end + 1;
    return add_class(set, ag_bytes_of(text.data + name, end - 1 - name));
}

/* One byte at *at, perhaps behind a backslash. */
static bool read_byte(struct ag_bytes text, size_t *at, uint8_t *out)
{
    if (*at < text.size && text.data[*at] == '\\')
        *at += 1;
    if (*at >= text.size)
        return false;
    *out = text.data[(*at)++];
    return true;
}

/* The set that begins at *at, behind its `[`; *at is then behind its end. False: it has none, and
 * the rule matches nothing. */
static bool read_set(struct set *set, struct ag_bytes text, size_t *at)
{
    bool is_negated = *at < text.size && (text.data[*at] == '!' || text.data[*at] == '^');
    uint8_t before = 0, byte; /* `before` may begin a range */
    size_t first;

    *at += is_negated;
    *set = (struct set){0};
    for (first = *at; *at < text.size && (text.data[*at] != ']' || *at == first);) {
        const uint8_t *here = text.data + *at;
        size_t left = text.size - *at;

        if (here[0] == '-' && before != 0 && left > 1 && here[1] != ']') {
            *at += 1;
            if (!read_byte(text, at, &byte))
                return false;
            add(set, before, byte);
            before = 0;
        } else if (here[0] == '[' && left > 1 && here[1] == ':') {
            if (!read_class(set, text, at, &before))
                return false;
        } else {
            if (!read_byte(text, at, &before))
                return false;
            add(set, before, before);
        }
    }
    if (*at >= text.size)
        return false;
    *at += 1;
    for (size_t i = 0; i < sizeof set->bits && is_negated; i++)
        set->bits[i] = (uint8_t)~set->bits[i];
    set->bits['/' / 8] &= (uint8_t) ~(1u << '/' % 8);
    return true;
}

static bool set_has(const struct set *set, uint8_t byte)
{
    return set->bits[byte / 8] >> byte % 8 & 1;
}

/* ---- one rule
 * ------------------------------------------------------------------------------------------ */

/* The stars at *at. Two or more cross folders, but only where they stand between slashes; the
 * beginning counts as a slash, also when a plain beginning was taken off before it. */
static uint32_t read_stars(struct ag_bytes text, size_t *at, bool is_for_names)
{
    size_t begin = *at, end = begin;

    while (end < text.size && text.data[end] == '*')
        end++;
    *at = end;
    if (is_for_names || end - begin < 2 || (begin > 0 && text.data[begin - 1] != '/'))
        return PART_STAR;
    if (end == text.size)
        return PART_REST;
    if (text.data[end] == '/') {
        *at = end + 1;
        return PART_FOLDERS;
    }
    if (text.data[end] == '\\' && end + 1 < text.size && text.data[end + 1] == '/') {
        *at = end + 2;
        return PART_FOLDER;
    }
    return PART_STAR;
}

static int too_many_parts(struct argosy_error *err)
{
    return ag_fail(err, ARGOSY_ETOOBIG, "a rule in it has more than %d parts",
                   IGNORE_RULE_PARTS_MAX);
}

/* 1; 0: it matches nothing; or an error. */
static int read_parts(ignore_rules_t *self, struct rule *rule, struct ag_bytes text,
                      struct argosy_error *err)
{
    rule->parts = (uint32_t)self->parts_size;
    for (size_t at = 0; at < text.size;) {
        uint32_t part;
        uint8_t byte;

        if (rule->parts_count == IGNORE_RULE_PARTS_MAX)
            return too_many_parts(err);
        if (text.data[at] == '*') {
            part = read_stars(text, &at, rule->is_for_names);
        } else if (text.data[at] == '?') {
            at++;
            part = PART_ANY;
        } else if (text.data[at] == '[') {
            at++;
            part = (uint32_t)(PART_SET + self->sets_count);
            if (!read_set(&self->sets[self->sets_count], text, &at))
                return 0;
            self->sets_count++;
        } else {
            if (!read_byte(text, &at, &byte))
                return 0;
            part = byte;
        }
        rule->least += (uint16_t)(part <= PART_ANY || part >= PART_FOLDER);
        rule->parts_count++;
        self->parts[self->parts_size++] = part;
    }
    return 1;
}

/* What begins and ends with a slash was looked at; `text` is the rest. 1; 0: it matches nothing; or
 * an error. */
static int read_body(ignore_rules_t *self, struct rule *rule, struct ag_bytes text,
                     struct argosy_error *err)
{
    size_t plain = 0;

    while (plain < text.size && strchr("*?[\\", text.data[plain]) == NULL)
        plain++;
    if (text.size == 0 || plain > UINT16_MAX)
        return 0; /* no path is so long */
    rule->plain = (uint32_t)self->bytes_size;
    rule->plain_size = (uint16_t)plain;
    memcpy(self->bytes + self->bytes_size, text.data, plain);
    self->bytes_size += plain;
    return read_parts(self, rule, ag_bytes_of(text.data + plain, text.size - plain), err);
}

static int read_rule(ignore_rules_t *self, struct ag_bytes text, struct argosy_error *err)
{
    struct rule rule = {0};
    int rc;

    if (text.size > 0 && text.data[0] == '!') {
        rule.is_negative = true;
        text = ag_bytes_of(text.data + 1, text.size - 1);
    }
    if (text.size > 0 && text.data[text.size - 1] == '/') {
        rule.is_for_folders = true;
        text.size--;
    }
    if (text.size == 0)
        return 0;
    rule.is_for_names = memchr(text.data, '/', text.size) == NULL;
    if (text.data[0] == '/')
        text = ag_bytes_of(text.data + 1, text.size - 1);
    rc = read_body(self, &rule, text, err);
    if (rc <= 0)
        return rc;
    if (self->count_all == IGNORE_RULES_MAX)
        return ag_fail(err, ARGOSY_ETOOBIG,
                       "more than %d rules, with those of the directories "
                       "around it",
                       IGNORE_RULES_MAX);
    self->count_all++;
    self->rules[self->count++] = rule;
    return 0;
}

/* ---- a file of rules
 * ------------------------------------------------------------------------------------------ */

/* Spaces at the end do not count, unless there is a backslash before them. */
static size_t trimmed(struct ag_bytes line)
{
    size_t end = 0;

    for (size_t at = 0; at < line.size; at++) {
        if (line.data[at] == '\\') {
            if (++at == line.size)
                return line.size;
            end = at + 1;
        } else if (line.data[at] != ' ') {
            end = at + 1;
        }
    }
    return end;
}

static int read_line(ignore_rules_t *self, struct ag_bytes line, struct argosy_error *err)
{
    const uint8_t *zero;

    if (line.size == 0 || line.data[0] == '#')
        return 0;
    line.size -= line.data[line.size - 1] == '\r';
    zero = memchr(line.data, '\0', line.size);
    if (zero != NULL)
        line.size = (size_t)(zero - line.data);
    line.size = trimmed(line);
    return read_rule(self, line, err);
}

static int read_lines(ignore_rules_t *self, struct ag_bytes text, struct argosy_error *err)
{
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
    size_t at = text.size >= 3 && memcmp(text.data, mark, 3) == 0 ? 3 : 0;
    int rc = 0;

    while (at < text.size && rc == 0) {
        const uint8_t *line = text.data + at;
        const uint8_t *end = memchr(line, '\n', text.size - at);
        size_t size = end != NULL ? (size_t)(end - line) : text.size - at;

        rc = read_line(self, ag_bytes_of(line, size), err);
        at += size + 1;
    }
    return rc;
}

/* Room for whatever the text may hold, and not one byte more once that is known. */
static bool reserve(ignore_rules_t *self, struct ag_bytes text)
{
    size_t lines = 1, sets = 0;

    for (size_t i = 0; i < text.size; i++) {
        lines += text.data[i] == '\n';
        sets += text.data[i] == '[';
    }
    self->rules = calloc(lines, sizeof *self->rules);
    self->bytes = malloc(text.size + 1);
    self->parts = calloc(text.size + 1, sizeof *self->parts);
    self->sets = calloc(sets + 1, sizeof *self->sets);
    return self->rules != NULL && self->bytes != NULL && self->parts != NULL && self->sets != NULL;
}

static void shrink(void **memory, size_t size)
{
    void *smaller = realloc(*memory, size + 1);

    if (smaller != NULL)
        *memory = smaller;
}

int ignore_rules_push(ignore_rules_t **in_force, struct ag_bytes text, size_t base,
                      struct argosy_error *err)
{
    ignore_rules_t *self = NULL;
    int rc;

    if (text.size > IGNORE_FILE_BYTES_MAX)
        return ag_fail(err, ARGOSY_ETOOBIG, "more than %d bytes of rules", IGNORE_FILE_BYTES_MAX);
    self = calloc(1, sizeof *self);
    if (self == NULL || !reserve(self, text)) {
        ignore_rules_pop(&self);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for rules");
    }
    self->base = base;
    self->count_all = *in_force != NULL ? (*in_force)->count_all : 0;
    rc = read_lines(self, text, err);
    if (rc < 0) {
        ignore_rules_pop(&self);
        return rc;
    }
    shrink((void **)&self->rules, self->count * sizeof *self->rules);
    shrink((void **)&self->bytes, self->bytes_size);
    shrink((void **)&self->parts, self->parts_size * sizeof *self->parts);
    shrink((void **)&self->sets, self->sets_count * sizeof *self->sets);
    self->outer = *in_force;
    *in_force = self;
    return 0;
}

void ignore_rules_pop(ignore_rules_t **in_force)
{
    ignore_rules_t *self = *in_force;

    if (self == NULL)
        return;
    *in_force = self->outer;
    free(self->rules);
    free(self->bytes);
    free(self->parts);
    free(self->sets);
    free(self);
}

/* ---- matching
 * ------------------------------------------------------------------------------------------ */

static bool takes(const ignore_rules_t *self, uint32_t part, uint8_t byte)
{
    if (part < PART_ANY)
        return part == byte;
    return part == PART_ANY ? byte != '/' : set_has(&self->sets[part - PART_SET], byte);
}

/* Behind the next slash at or behind `at`; 0: there is none. */
static size_t next_folder(struct ag_bytes text, size_t at)
{
    const uint8_t *slash = at < text.size ? memchr(text.data + at, '/', text.size - at) : NULL;

    return slash != NULL ? (size_t)(slash - text.data) + 1 : 0;
}

/* Where the search goes on when something does not fit: the last star takes one byte more, or the
 * last run of folders one folder more. Those before them need not be tried again: a star cannot
 * leave its folder, so whatever it takes, the next slash is the same; and what an earlier run of
 * folders could take more, the last one can take too. So the time is at most that of the parts,
 * times the longest name, times the folders. */
struct retry {
    const uint32_t *star, *folders; /* NULL: none */
    size_t star_at, folders_at;     /* what they have taken so far ends there */
};

static bool try_again(struct retry *retry, struct ag_bytes text, const uint32_t **part, size_t *at)
{
    if (retry->star != NULL && retry->star_at < text.size && text.data[retry->star_at] != '/') {
        *part = retry->star;
        *at = ++retry->star_at;
        return true;
    }
    if (retry->folders == NULL || (retry->folders_at = next_folder(text, retry->folders_at)) == 0)
        return false;
    *part = retry->folders;
    *at = retry->folders_at;
    retry->star = NULL;
    return true;
}

static bool match_parts(const ignore_rules_t *self, const struct rule *rule, struct ag_bytes text)
{
    const uint32_t *part = self->parts + rule->parts, *end = part + rule->parts_count;
    struct retry retry = {0};
    size_t at = 0;

    for (;;) {
        if (part < end && *part == PART_REST)
            return true;
        if (part < end && *part == PART_STAR) {
            retry.star = ++part;
            retry.star_at = at;
        } else if (part < end && (*part == PART_FOLDERS || *part == PART_FOLDER)) {
            if (*part == PART_FOLDER && (at = next_folder(text, at)) == 0)
                return false;
            retry = (struct retry){.folders = ++part, .folders_at = at};
        } else if (part < end && at < text.size && takes(self, *part, text.data[at])) {
            if (text.data[at] == '/')
                retry.star = NULL;
            part++;
            at++;
        } else if (part == end && at == text.size) {
            return true;
        } else if (!try_again(&retry, text, &part, &at)) {
            return false;
        }
    }
}

static bool match_rule(const ignore_rules_t *self, const struct rule *rule, struct ag_bytes text)
{
    uint32_t last;

    if (text.size < (size_t)rule->plain_size + rule->least)
        return false;
    if (rule->parts_count == 0)
        return text.size == rule->plain_size &&
               memcmp(text.data, self->bytes + rule->plain, text.size) == 0;
    last = self->parts[rule->parts + rule->parts_count - 1];
    if (last < PART_ANY && (text.size == 0 || last != text.data[text.size - 1]))
        return false;
    return memcmp(text.data, self->bytes + rule->plain, rule->plain_size) == 0 &&
           match_parts(self, rule,
                       ag_bytes_of(text.data + rule->plain_size, text.size - rule->plain_size));
}

bool ignore_rules_match(const ignore_rules_t *self, const char *path, size_t size, bool is_dir)
{
    const char *slash = memrchr(path, '/', size);
    const char *name = slash != NULL ? slash + 1 : path;
    struct ag_bytes name_bytes = ag_bytes_of(name, size - (size_t)(name - path));

    for (; self != NULL; self = self->outer) {
        struct ag_bytes below = ag_bytes_of(path + self->base, size - self->base);

        /* The last rule that matches decides. */
        for (size_t i = self->count; i > 0; i--) {
            const struct rule *rule = &self->rules[i - 1];

            if ((is_dir || !rule->is_for_folders) &&
                match_rule(self, rule, rule->is_for_names ? name_bytes : below))
                return !rule->is_negative;
        }
    }
    return false;
}
