#include "worker/analyze/commits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/entropy.h"
#include "common/error.h"

struct commits {
    repo_t *repo;
    names_t *ids; /* number = place in `list` */
    names_t *authors;
    struct commit *list;
    uint32_t *order; /* places in `list` */
    size_t count, capacity;
};

/* ---- one commit's text
 * ----------------------------------------------------------------------------------- */

struct text {
    const char *at, *end;
};

/* The rest of the next line if it begins with `key`; else false, and nothing is taken. */
static bool take_line(struct text *text, const char *key, struct text *rest)
{
    size_t size = strlen(key);
    const char *newline;

    if ((size_t)(text->end - text->at) < size || memcmp(text->at, key, size) != 0)
        return false;
    newline = memchr(text->at, '\n', (size_t)(text->end - text->at));
    if (newline == NULL)
        return false;
    *rest = (struct text){text->at + size, newline};
    text->at = newline + 1;
    return true;
}

static bool take_id(struct text *text, const char *key, git_oid *out)
{
    char hex[REPO_HEX_SIZE];
    struct text rest;

    if (!take_line(text, key, &rest) || rest.end - rest.at != REPO_HEX_SIZE - 1)
        return false;
    memcpy(hex, rest.at, sizeof hex - 1);
    hex[sizeof hex - 1] = '\0';
    return git_oid_fromstr(out, hex) == 0;
}

/* "NAME <EMAIL> SECONDS ZONE"; what is wrong with it makes parts of it empty, as with git. */
static int64_t read_person(const struct text *line, struct text *name, struct text *email)
{
    const char *open = memchr(line->at, '<', (size_t)(line->end - line->at));
    const char *close = memrchr(line->at, '>', (size_t)(line->end - line->at));
    char digits[24] = "";

    *name = *email = (struct text){line->at, line->at};
    if (open == NULL || close == NULL || close < open)
        return 0;
    name->end = open;
    while (name->end > name->at && name->end[-1] == ' ')
        name->end--;
    *email = (struct text){open + 1, close};
    snprintf(digits, sizeof digits, "%.*s",
             (int)(line->end - close - 1 < 23 ? line->end - close - 1 : 23), close + 1);
    return strtoll(digits, NULL, 10);
}

/* "NAME\0EMAIL" */
static uint32_t number_of_author(struct commits *self, const struct text *line)
{
    char both[512];
    struct text name, email;
    int size;

    read_person(line, &name, &email);
    size = snprintf(both, sizeof both, "%.*s%c%.*s",
                    (int)(name.end - name.at < 200 ? name.end - name.at : 200), name.at, '\0',
                    (int)(email.end - email.at < 200 ? email.end - email.at : 200), email.at);
    return names_put(self->authors, ag_bytes_of(both, (size_t)size));
}

/* ---- the walk
 * -------------------------------------------------------------------------------------------- */

/* The place of the commit with this id, a new one if it was not met yet. NAMES_NONE: no memory. */
static uint32_t meet(struct commits *self, const git_oid *id)
{
    uint32_t place = names_put(self->ids, ag_bytes_of(id->id, REPO_ID_BYTES));

    if (place == NAMES_NONE || place < self->count)
        return place;
    if (self->count == self->capacity) {
        size_t capacity = self->capacity * 2 + 1024;
        struct commit *grown = realloc(self->list, capacity * sizeof *grown);

        if (grown == NULL)
            return NAMES_NONE;
        self->list = grown;
        self->capacity = capacity;
    }
    self->list[self->count++] = (struct commit){.id = *id, .parent = NAMES_NONE};
    return place;
}

/* ARGOSY_EPROTO: this is no commit. */
static int read_text(struct commits *self, size_t place, struct text text)
{
    struct commit commit = self->list[place];
    bool is_end = repo_is_shallow_at(self->repo, &commit.id);
    struct text line, name, email;
    git_oid parent;

    if (!take_id(&text, "tree ", &commit.tree))
        return ARGOSY_EPROTO;
    while (take_id(&text, "parent ", &parent)) {
        uint32_t of_parent = is_end ? NAMES_NONE : meet(self, &parent);

        if (!is_end && of_parent == NAMES_NONE)
            return ARGOSY_ENOMEM;
        if (commit.parents == 0)
            commit.parent = of_parent;
        commit.parents += !is_end;
    }
    if (!take_line(&text, "author ", &line))
        return ARGOSY_EPROTO;
    commit.author = number_of_author(self, &line);
    if (commit.author == NAMES_NONE)
        return ARGOSY_ENOMEM;
    if (!take_line(&text, "committer ", &line))
        return ARGOSY_EPROTO;
    commit.time = read_person(&line, &name, &email);
    commit.is_here = true;
    self->list[place] = commit; /* meet() may have moved the list */
    return 0;
}

static int read_commit(struct commits *self, size_t place, const struct commits_visitor *visitor)
{
    struct argosy_error err = {0};
    git_odb_object *object;
    char hex[REPO_HEX_SIZE];
    int rc = repo_read(self->repo, &self->list[place].id, GIT_OBJECT_COMMIT, REPO_COMMIT_BYTES_MAX,
                       &object, &err);

    if (rc == 0) {
        const char *data = git_odb_object_data(object);

        rc = read_text(self, place, (struct text){data, data + git_odb_object_size(object)});
        git_odb_object_free(object);
        if (rc == ARGOSY_EPROTO)
            ag_fail(&err, rc, "this is not how a commit is written");
    }
    if (rc == 0 || rc == ARGOSY_ENOMEM)
        return rc;
    git_oid_tostr(hex, sizeof hex, &self->list[place].id);
    return visitor->trouble(visitor->arg, hex, &err);
}

static int by_time(const void *a, const void *b, void *arg)
{
    const struct commits *self = arg;
    uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
    int64_t x = self->list[i].time, y = self->list[k].time;

    return x != y ? (x > y ? -1 : 1) : i < k ? -1 : i > k; /* children are met before parents */
}

static int walk(struct commits *self, const git_oid *from, const atomic_int *stop,
                const struct commits_visitor *visitor, struct argosy_error *err)
{
    if (meet(self, from) == NAMES_NONE)
        return ARGOSY_ENOMEM;
    for (size_t place = 0; place < self->count; place++) {
        int rc;

        if (stop != NULL && atomic_load(stop) != 0)
            return ag_fail(err, ARGOSY_ESTATE, "stopped");
        if (self->count > COMMITS_MAX || names_count(self->authors) > COMMITS_AUTHORS_MAX ||
            names_bytes(self->authors) > COMMITS_NAMES_BYTES_MAX)
            return ag_fail(err, ARGOSY_ETOOBIG, "more than %d commits or %d authors", COMMITS_MAX,
                           COMMITS_AUTHORS_MAX);
        rc = read_commit(self, place, visitor);
        if (rc != 0)
            return rc;
    }
    self->order = calloc(self->count, sizeof *self->order);
    if (self->order == NULL)
        return ARGOSY_ENOMEM;
    for (size_t i = 0; i < self->count; i++)
        self->order[i] = (uint32_t)i;
    qsort_r(self->order, self->count, sizeof *self->order, by_time, self);
    return 0;
}

int commits_new(commits_t **out, repo_t *repo, const git_oid *from, const atomic_int *stop,
                const struct commits_visitor *visitor, struct argosy_error *err)
{
    struct commits *self = calloc(1, sizeof *self);
    uint64_t seed;
    int rc = ag_entropy(&seed, sizeof seed, err);

    *out = NULL;
    if (rc < 0 || self == NULL) {
        free(self);
        return rc < 0 ? rc : ARGOSY_ENOMEM;
    }
    self->repo = repo;
    self->ids = names_new(seed);
    self->authors = names_new(seed);
    rc = self->ids == NULL || self->authors == NULL ? ARGOSY_ENOMEM
                                                    : walk(self, from, stop, visitor, err);
    if (rc == 0)
        *out = self;
    else
        commits_destroy(&self);
    return rc;
}

void commits_destroy(commits_t **self_p)
{
    struct commits *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    names_destroy(&self->ids);
    names_destroy(&self->authors);
    free(self->list);
    free(self->order);
    free(self);
}

size_t commits_count(const commits_t *self)
{
    return self->count;
}

const struct commit *commits_at(const commits_t *self, size_t place)
{
    return &self->list[self->order[place]];
}

const struct commit *commits_parent(const commits_t *self, const struct commit *commit)
{
    return commit->parent != NAMES_NONE ? &self->list[commit->parent] : NULL;
}

const names_t *commits_authors(const commits_t *self)
{
    return self->authors;
}
