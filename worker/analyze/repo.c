#include "worker/analyze/repo.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "worker/analyze/repo_place.h"

enum { SHALLOW_MAX = 65536 }; /* ends of a shallow clone; each takes 20 bytes */

struct repo {
    git_repository *git;
    git_odb *odb;
    EVP_MD *sha1;
    EVP_MD_CTX *hash;
    struct repo_place place;
    git_oid *shallow; /* sorted */
    size_t shallow_count;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int library; /* below 0: it cannot be used */

static void prepare_library(void)
{
    library = git_libgit2_init();
    if (library < 0)
        return;
    /* We check what we read ourselves, with a faster hash than the library's; and what the library
     * would keep in memory for the next lookup, each of our readers keeps better. */
    git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 0);
    git_libgit2_opts(GIT_OPT_ENABLE_CACHING, 0);
    /* repo_place.c looks at the owners: what releases of the library do about it differs. */
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
}

static int fail_with_git(struct argosy_error *err, int rc, const char *what)
{
    const git_error *last = git_error_last();
    bool has_reason = last != NULL && last->message != NULL;
    int code = last != NULL && last->klass == GIT_ERROR_NOMEMORY ? ARGOSY_ENOMEM
               : rc == GIT_ENOTFOUND                             ? ARGOSY_ENOTFOUND
               : rc == GIT_EINVALIDSPEC || rc == GIT_EAMBIGUOUS  ? ARGOSY_EINVAL
                                                                 : ARGOSY_EPROTO;

    return ag_fail(err, code, "%s%s%s", what, has_reason ? ": " : "",
                   has_reason ? last->message : "");
}

/* ---- opening
 * ------------------------------------------------------------------------------------------- */

bool repo_is_bare(const char *path)
{
    return repo_place_is_git(path);
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(git_oid));
}

/* The file holds one id a line. What cannot be read of it is as if it were not there: the walk then
 * meets a parent that is missing, and says so. */
static void read_shallow(repo_t *self)
{
    char path[PATH_MAX + 16], line[128];
    FILE *file;

    snprintf(path, sizeof path, "%s/shallow", self->place.common);
    file = fopen(path, "re");
    if (file == NULL)
        return;
    self->shallow = calloc(SHALLOW_MAX, sizeof *self->shallow);
    while (self->shallow != NULL && self->shallow_count < SHALLOW_MAX &&
           fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if (git_oid_fromstr(&self->shallow[self->shallow_count], line) == 0)
            self->shallow_count++;
    }
    fclose(file);
    if (self->shallow != NULL)
        qsort(self->shallow, self->shallow_count, sizeof *self->shallow, by_id);
}

int repo_open(repo_t **out, const char *path, const struct analyze_roots *roots,
              const char **inside, struct argosy_error *err)
{
    repo_t *self = calloc(1, sizeof *self);
    int rc = ARGOSY_ENOMEM;

    *out = NULL;
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a repository");
    pthread_once(&once, prepare_library);
    if (library < 0)
        rc = ag_fail(err, ARGOSY_EIO, "libgit2 cannot be used");
    else if ((rc = repo_place_find(&self->place, path, roots, err)) == 0 &&
             (rc = git_repository_open_bare(&self->git, self->place.git)) < 0)
        rc = fail_with_git(err, rc, self->place.git);
    else if (rc == 0 && (rc = git_repository_odb(&self->odb, self->git)) < 0)
        rc = fail_with_git(err, rc, self->place.git);
    if (rc == 0 && ((self->hash = EVP_MD_CTX_new()) == NULL ||
                    (self->sha1 = EVP_MD_fetch(NULL, "SHA1", NULL)) == NULL))
        rc = ag_fail(err, ARGOSY_ENOMEM, "no SHA-1 to check objects with");
    if (rc < 0) {
        repo_close(&self);
        return rc == ARGOSY_ENOTFOUND || rc == ARGOSY_ENOMEM ? rc : ARGOSY_EIO;
    }
    read_shallow(self);
    *inside = self->place.inside;
    *out = self;
    return 0;
}

void repo_close(repo_t **self_p)
{
    repo_t *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    git_odb_free(self->odb);
    git_repository_free(self->git);
    EVP_MD_free(self->sha1);
    EVP_MD_CTX_free(self->hash);
    free(self->shallow);
    free(self);
}

bool repo_is_shallow_at(const repo_t *self, const git_oid *id)
{
    return self->shallow_count > 0 &&
           bsearch(id, self->shallow, self->shallow_count, sizeof *id, by_id) != NULL;
}

/* ---- objects
 * ------------------------------------------------------------------------------------------- */

/* With libgit2's own check a third of a walk through history is hashing; OpenSSL's is five times as
 * fast where the processor has instructions for it. */
static bool is_what_it_says(repo_t *self, const git_oid *id, git_object_t type, const void *data,
                            size_t size)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    char head[64];
    int head_size = snprintf(head, sizeof head, "%s %zu", git_object_type2string(type), size) + 1;

    return EVP_DigestInit_ex(self->hash, self->sha1, NULL) == 1 &&
           EVP_DigestUpdate(self->hash, head, (size_t)head_size) == 1 &&
           EVP_DigestUpdate(self->hash, data, size) == 1 &&
           EVP_DigestFinal_ex(self->hash, digest, NULL) == 1 &&
           memcmp(digest, id->id, REPO_ID_BYTES) == 0;
}

/* The head of an object, before its content takes any memory. */
static int look_at(repo_t *self, const git_oid *id, git_object_t type, size_t size_max,
                   const char *hex, struct argosy_error *err)
{
    git_object_t found;
    size_t size;
    int rc = git_odb_read_header(&size, &found, self->odb, id);

    if (rc == GIT_ENOTFOUND)
        return ag_fail(err, ARGOSY_ENOTFOUND, "object %s is not in this repository", hex);
    if (rc < 0)
        return fail_with_git(err, rc, hex);
    if (found != type)
        return ag_fail(err, ARGOSY_EPROTO, "object %s is a %s and not a %s", hex,
                       git_object_type2string(found), git_object_type2string(type));
    if (size > size_max)
        return ag_fail(err, ARGOSY_ETOOBIG, "object %s has %zu bytes, more than %zu", hex, size,
                       size_max);
    return 0;
}

static int fail_check(struct argosy_error *err, const char *hex)
{
    return ag_fail(err, ARGOSY_EPROTO, "object %s is damaged: it does not hash to its id", hex);
}

int repo_read(repo_t *self, const git_oid *id, git_object_t type, size_t size_max,
              git_odb_object **out, struct argosy_error *err)
{
    char hex[REPO_HEX_SIZE];
    int rc;

    *out = NULL;
    git_oid_tostr(hex, sizeof hex, id);
    if ((rc = look_at(self, id, type, size_max, hex, err)) < 0)
        return rc;
    if ((rc = git_odb_read(out, self->odb, id)) < 0)
        return fail_with_git(err, rc, hex);
    if (git_odb_object_type(*out) == type &&
        is_what_it_says(self, id, type, git_odb_object_data(*out), git_odb_object_size(*out)))
        return 0;
    git_odb_object_free(*out);
    *out = NULL;
    return fail_check(err, hex);
}

int repo_read_blob(repo_t *self, const git_oid *id, size_t size_max, git_blob **out,
                   struct argosy_error *err)
{
    char hex[REPO_HEX_SIZE];
    int rc;

    *out = NULL;
    git_oid_tostr(hex, sizeof hex, id);
    if ((rc = look_at(self, id, GIT_OBJECT_BLOB, size_max, hex, err)) < 0)
        return rc;
    if ((rc = git_blob_lookup(out, self->git, id)) < 0)
        return fail_with_git(err, rc, hex);
    if (is_what_it_says(self, id, GIT_OBJECT_BLOB, git_blob_rawcontent(*out),
                        (size_t)git_blob_rawsize(*out)))
        return 0;
    git_blob_free(*out);
    *out = NULL;
    return fail_check(err, hex);
}

int repo_next_entry(const uint8_t **at, const uint8_t *end, struct repo_entry *out)
{
    const uint8_t *p = *at, *zero;
    unsigned digits = 0;

    if (p == end)
        return 0;
    out->mode = 0;
    for (; p < end && *p >= '0' && *p <= '7' && digits < 7; p++, digits++)
        out->mode = out->mode << 3 | (unsigned)(*p - '0');
    if (digits == 0 || p == end || *p != ' ')
        return ARGOSY_EPROTO;
    p++;
    zero = memchr(p, '\0', (size_t)(end - p));
    if (zero == NULL || end - zero - 1 < REPO_ID_BYTES)
        return ARGOSY_EPROTO;
    out->name = (const char *)p;
    out->name_size = (size_t)(zero - p);
    memset(&out->id, 0, sizeof out->id);
    memcpy(out->id.id, zero + 1, REPO_ID_BYTES);
    *at = zero + 1 + REPO_ID_BYTES;
    return 1;
}

/* ---- names
 * --------------------------------------------------------------------------------------------- */

/* Ways to name a commit that search the whole history or the log of a reference: nobody could stop
 * them, and a log tells of what its owner did, not of the project. */
static bool is_a_search(const char *rev)
{
    return strstr(rev, ":/") != NULL || strstr(rev, "^{/") != NULL || strstr(rev, "@{") != NULL;
}

/* What HEAD is needs no understanding; and the library keeps a few bytes for ever when what it has
 * understood cannot be read. */
static int look_up(repo_t *self, const char *rev, git_object **out)
{
    git_oid id;
    int rc;

    if (strcmp(rev, "HEAD") != 0)
        return git_revparse_single(out, self->git, rev);
    rc = git_reference_name_to_id(&id, self->git, rev);
    return rc < 0 ? rc : git_object_lookup(out, self->git, &id, GIT_OBJECT_ANY);
}

static int find_commit(repo_t *self, const char *rev, git_commit **out, struct argosy_error *err)
{
    char what[REPO_REV_BYTES_MAX + 64];
    git_object *object = NULL;
    int rc;

    *out = NULL;
    if (is_a_search(rev))
        return ag_fail(err, ARGOSY_EINVAL,
                       "'%s' is a search; name a branch, a tag or a commit, also as NAME~N", rev);
    rc = look_up(self, rev, &object);
    if (rc == GIT_ENOTFOUND && git_repository_head_unborn(self->git) == 1 &&
        strncmp(rev, "HEAD", 4) == 0)
        return ag_fail(err, ARGOSY_ENOTFOUND, "the repository has no commit yet");
    if (rc == GIT_EAMBIGUOUS)
        return ag_fail(err, ARGOSY_EINVAL, "'%s' is the beginning of more than one id", rev);
    if (rc < 0) {
        snprintf(what, sizeof what, "'%s' is no revision here", rev);
        return fail_with_git(err, rc, what);
    }
    rc = git_object_peel((git_object **)out, object, GIT_OBJECT_COMMIT);
    if (rc < 0)
        ag_fail(err, ARGOSY_EINVAL, "'%s' is a %s and no commit", rev,
                git_object_type2string(git_object_type(object)));
    git_object_free(object);
    return rc < 0 ? ARGOSY_EINVAL : 0;
}

int repo_resolve(repo_t *self, const char *rev, struct repo_commit *out, struct argosy_error *err)
{
    git_odb_object *object;
    git_commit *commit;
    int rc = find_commit(self, rev != NULL ? rev : "HEAD", &commit, err);

    if (rc < 0)
        return rc;
    *out = (struct repo_commit){.id = *git_commit_id(commit),
                                .tree = *git_commit_tree_id(commit),
                                .time = git_commit_time(commit)};
    git_commit_free(commit);
    git_oid_tostr(out->hex, sizeof out->hex, &out->id);
    /* The library has not checked it. */
    rc = repo_read(self, &out->id, GIT_OBJECT_COMMIT, REPO_COMMIT_BYTES_MAX, &object, err);
    git_odb_object_free(object);
    return rc;
}

/* The entry called like the first `size` bytes of `name`. */
static int find_entry(const git_odb_object *tree, const char *name, size_t size,
                      struct repo_entry *out)
{
    const uint8_t *at = git_odb_object_data((git_odb_object *)tree);
    const uint8_t *end = at + git_odb_object_size((git_odb_object *)tree);
    int rc;

    while ((rc = repo_next_entry(&at, end, out)) > 0)
        if (out->name_size == size && memcmp(out->name, name, size) == 0)
            return 0;
    return rc < 0 ? rc : ARGOSY_ENOTFOUND;
}

int repo_find(repo_t *self, const git_oid *tree, const char *path, git_oid *out, unsigned *mode,
              struct argosy_error *err)
{
    const char *part = path;

    *out = *tree;
    *mode = REPO_MODE_TREE;
    while (*part != '\0') {
        size_t size = strcspn(part, "/");
        struct repo_entry entry;
        git_odb_object *object;
        int rc = repo_read(self, out, GIT_OBJECT_TREE, REPO_TREE_BYTES_MAX, &object, err);

        if (rc < 0)
            return rc;
        rc = find_entry(object, part, size, &entry);
        git_odb_object_free(object);
        if (rc < 0)
            return ag_fail(err, rc, "%s is not there at this revision", path);
        *out = entry.id;
        *mode = entry.mode;
        part += size;
        while (*part == '/')
            part++;
        if (*part != '\0' && (entry.mode & REPO_MODE_TYPE) != REPO_MODE_TREE)
            return ag_fail(err, ARGOSY_ENOTFOUND, "%s is not there at this revision", path);
    }
    return 0;
}
