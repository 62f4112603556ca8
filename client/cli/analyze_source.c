#include "client/cli/analyze_source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/answers.h"
#include "client/cli/fetch_url.h"
#include "client/cli/splits.h"
#include "common/error.h"
#include "common/json.h"

enum {
    AUTO_SHARDS_MAX = 16, /* each walks the whole tree, though it reads only its part */
    NAME_KEPT = 128       /* of a URL's last part: its end says what it is */
};

/* ---- jobs
 * -------------------------------------------------------------------------------------------------
 */

/* Absolute, but not resolved further: what is not there is the job's failure, not ours. */
static bool make_absolute(const char *path, char out[PATH_MAX])
{
    char here[PATH_MAX];

    if (realpath(path, out) != NULL)
        return true;
    if (path[0] == '/')
        return snprintf(out, PATH_MAX, "%s", path) < PATH_MAX;
    return getcwd(here, sizeof here) != NULL &&
           snprintf(out, PATH_MAX, "%s/%s", here, path) < PATH_MAX;
}

/* SCHEME://... */
static bool is_url(const char *path)
{
    size_t scheme =
        strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

    return scheme > 0 && strncmp(path + scheme, "://", 3) == 0;
}

/* What is asked of every path. */
static json_t *make_job(const ag_options_t *options)
{
    const char *const *exclude = ag_options_list(options, AG_OPT_EXCLUDE, NULL);
    json_t *job = json_pack("{s:s}", "by", ag_options_text(options, AG_OPT_BY));
    json_t *globs = json_array();

    if (ag_options_given(options, AG_OPT_REV))
        json_object_set_new(job, "rev", json_string(ag_options_text(options, AG_OPT_REV)));
    if (ag_options_flag(options, AG_OPT_HISTORY))
        json_object_set_new(job, "history", json_true());
    if (ag_options_flag(options, AG_OPT_GITIGNORE))
        json_object_set_new(job, "gitignore", json_true());
    for (; *exclude != NULL; exclude++)
        json_array_append_new(globs, json_string(*exclude));
    json_object_set_new(job, "exclude", globs);
    return job;
}

static int pack_job(const json_t *job, struct ag_buffer *payload, struct argosy_error *err)
{
    return ag_json_to_msgpack(job, payload) < 0
               ? ag_fail(err, ARGOSY_ETOOBIG, "a job is larger than 512 KiB")
               : 0;
}

/* The job of a path in its whole, without what makes it a shard or a merge. */
static int begin(struct analyze_source *self, const char *path, struct argosy_error *err)
{
    char absolute[PATH_MAX];
    int rc = 0;

    self->url = path != NULL && is_url(path) ? path : NULL;
    if (self->url != NULL) {
        snprintf(self->parts_title, sizeof self->parts_title, "fetch and analyze %s", path);
        if (json_object_set_new(self->job, "source", json_string(path)) < 0)
            rc = ag_fail(err, ARGOSY_EINVAL, "a URL that is not UTF-8");
        return rc;
    }
    snprintf(self->parts_title, sizeof self->parts_title, "analyze %s in %u shards",
             path != NULL ? path : "what came before", self->shards);
    if (path == NULL)
        return 0;
    if (!make_absolute(path, absolute))
        return ag_fail(err, ARGOSY_EINVAL, "%s: %s", path, strerror(ENAMETOOLONG));
    if (json_object_set_new(self->job, "path", json_string(absolute)) < 0)
        return ag_fail(err, ARGOSY_EINVAL, "a path that is not UTF-8");
    return 0;
}

static unsigned parts(void *arg)
{
    const struct analyze_source *self = arg;

    return self->url != NULL ? 1 : self->shards > 1 ? self->shards : 0;
}

static int next(void *arg, struct ag_buffer *payload, struct argosy_error *err)
{
    struct analyze_source *self = arg;
    json_t *job;
    int rc;

    if (*self->paths == NULL && !self->takes_input)
        return -1;
    json_decref(self->job);
    self->job = make_job(self->cli->options);
    rc = begin(self, *self->paths, err);
    if (rc < 0)
        return rc;
    self->paths += *self->paths != NULL;
    self->takes_input = false;
    self->place++;
    job = json_copy(self->job);
    if (parts(self) > 1)
        json_object_set_new(job, "merge", json_true());
    rc = pack_job(job, payload, err);
    json_decref(job);
    return rc < 0 ? rc : 1;
}

/* The end of a URL's path, of letters that no file system minds. */
static void name_of_url(const char *url, char out[NAME_KEPT + 1])
{
    const char *begin = strstr(url, "://") + 3, *end = begin + strcspn(begin, "?#"), *at = end;
    size_t count = 0;

    while (at > begin && at[-1] != '/' && end - at < NAME_KEPT)
        at--;
    while (((unsigned char)*at & 0xc0) == 0x80) /* not from the middle of a character */
        at++;
    for (; at < end; at++)
        out[count++] =
            strchr("/\\ ", *at) == NULL && (unsigned char)*at > ' ' && *at != 127 ? *at : '_';
    out[count] = '\0';
}

static int make_fetch(struct analyze_source *self, struct argosy_job *job,
                      struct ag_buffer *payload, struct argosy_error *err)
{
    char name[NAME_KEPT + 1], path[PATH_MAX];
    json_t *fetch;
    int rc;

    name_of_url(self->url, name);
    snprintf(path, sizeof path, "%s/%u-%s", self->folder, self->place - 1, name);
    fetch = json_pack("{s:s, s:s, s:s}", "url", self->url, "body", "file", "file", path);
    if (fetch == NULL)
        return ag_fail(err, ARGOSY_EINVAL, "a URL or folder that is not UTF-8");
    rc = pack_job(fetch, payload, err);
    json_decref(fetch);
    job->kind = "fetch";
    if (job->key == NULL) {
        fetch_url_host(self->url, NULL, self->host);
        job->key = self->host;
    }
    return rc;
}

static int part(void *arg, unsigned index, struct argosy_job *job, struct ag_buffer *payload,
                struct argosy_error *err)
{
    struct analyze_source *self = arg;
    json_t *shard;
    int rc;

    if (self->url != NULL)
        return make_fetch(self, job, payload, err);
    shard = json_copy(self->job);
    json_object_set_new(shard, "shard", json_pack("[i,i]", (int)index, (int)self->shards));
    rc = pack_job(shard, payload, err);
    json_decref(shard);
    return rc;
}

static const char *parts_title(void *arg)
{
    return ((struct analyze_source *)arg)->parts_title;
}

/* ---- shards
 * -----------------------------------------------------------------------------------------------
 */

/* That have workers for this kind: one of them uses all cores of its host by itself. Negative: an
 * exit code with its sign changed. */
static long long count_hosts(struct cli *cli)
{
    const json_t *worker, *offer;
    json_t *body, *hosts;
    long long count;
    size_t i, k;
    int code = answers_query(cli, "workers", NULL, &body);

    if (code != 0)
        return -code;
    hosts = json_object();
    json_array_foreach(json_object_get(body, "workers"), i, worker)
    {
        json_array_foreach(json_object_get(worker, "kinds"), k, offer)
        {
            if (strcmp(answers_text(offer, "kind"), "analyze") == 0)
                json_object_set_new(hosts, answers_text(worker, "host"), json_true());
        }
    }
    count = (long long)json_object_size(hosts);
    json_decref(hosts);
    json_decref(body);
    return count;
}

/* By directory each shard tells of nearly all of them. What is unique can be there only once; a job
 * of --then gets what the batch's own jobs made; whoever asks for the batch later wants their
 * results as well. */
static bool may_split(const struct analyze_source *self)
{
    const ag_options_t *options = self->cli->options;
    bool has_path = false;

    for (char *const *path = self->paths; *path != NULL && !has_path; path++)
        has_path = !is_url(*path);
    return has_path && !ag_options_is(options, AG_OPT_BY, "dir") &&
           !ag_options_given(options, AG_OPT_UNIQUE) && !ag_options_given(options, AG_OPT_THEN) &&
           !ag_options_flag(options, AG_OPT_DETACH);
}

/* The hosts there are, shared among the paths. */
static int choose_auto(struct analyze_source *self)
{
    long long hosts, count = 0;

    self->shards = 1;
    if (self->cli->fleet != NULL || !may_split(self)) /* a fleet of our own has one host */
        return 0;
    hosts = count_hosts(self->cli);
    if (hosts < 0)
        return (int)-hosts;
    while (self->paths[count] != NULL)
        count++;
    hosts /= count;
    self->shards = hosts > AUTO_SHARDS_MAX ? AUTO_SHARDS_MAX : hosts > 1 ? (unsigned)hosts : 1;
    return 0;
}

static int choose_shards(struct analyze_source *self)
{
    const char *text = ag_options_text(self->cli->options, AG_OPT_SHARDS);
    long count;
    char *end;

    if (strcmp(text, "auto") == 0)
        return choose_auto(self);
    count = strtol(text, &end, 10);
    if (*end != '\0' || count < 1 || count > SPLIT_PARTS_MAX)
        return cli_fail(self->cli, EXIT_USAGE, "--shards: '%s' is neither auto nor a number (1-%d)",
                        text, SPLIT_PARTS_MAX);
    self->shards = (unsigned)count;
    return 0;
}

/* ---- what is fetched
 * ------------------------------------------------------------------------------------------ */

/* Below `path`, a folder of this run's own: what others fetch there may have the same name, and
 * would be analysed in our stead. */
static int add_run(struct analyze_source *self, char path[PATH_MAX])
{
    char name[AG_ID_TEXT_SIZE];
    size_t size = strlen(path);
    int code = cli_make_name(self->cli, name);

    if (code == 0)
        snprintf(path + size, PATH_MAX - size, "/%s", name);
    return code;
}

/* Where the workers put it: a folder of theirs, or, when the fleet is our own, one that goes with
 * it. */
static int choose_folder(struct analyze_source *self, const char *url)
{
    const char *given = ag_options_text(self->cli->options, AG_OPT_DOWNLOAD);
    struct argosy_error err = {0};
    char path[PATH_MAX];
    int code;

    if (given != NULL && !make_absolute(given, path))
        return cli_fail(self->cli, EXIT_USAGE, "--download: %s: %s", given, strerror(ENAMETOOLONG));
    if (given == NULL && self->cli->fleet == NULL)
        return cli_fail(self->cli, EXIT_USAGE,
                        "%s: say with --download DIR where the workers put what they fetch: below "
                        "a --root of theirs, where all of them see it",
                        url);
    if (given == NULL) {
        if (scratch_new(&self->scratch, "argosy-fetched", &err) < 0)
            return cli_fail_with(self->cli, &err);
        snprintf(path, sizeof path, "%s", scratch_path(self->scratch));
    }
    if (given != NULL && self->cli->fleet == NULL && (code = add_run(self, path)) != 0)
        return code;
    self->folder = strdup(path);
    return self->folder != NULL ? 0 : cli_fail(self->cli, EXIT_USAGE, "no memory for a path");
}

/* ---- the beginning and the end
 * -------------------------------------------------------------------------------- */

static void name_batch(struct analyze_source *self)
{
    const char *first = self->paths[0];

    if (first == NULL)
        snprintf(self->title, sizeof self->title, "analyze what came before");
    else if (self->paths[1] == NULL)
        snprintf(self->title, sizeof self->title, "analyze %s", first);
    else
        snprintf(self->title, sizeof self->title, "analyze");
}

/* Groups have one result each, which cannot be told by a key, or be handed on with others. */
static int check_parts(struct analyze_source *self, const char *url)
{
    const ag_options_t *options = self->cli->options;

    if ((self->shards > 1 || url != NULL) &&
        (ag_options_given(options, AG_OPT_UNIQUE) || ag_options_given(options, AG_OPT_THEN)))
        return cli_fail(self->cli, EXIT_USAGE,
                        "--unique and --then are for single jobs: neither with URLs nor with "
                        "--shards of more than 1");
    if (url != NULL &&
        (ag_options_given(options, AG_OPT_REV) || ag_options_flag(options, AG_OPT_HISTORY)))
        return cli_fail(self->cli, EXIT_USAGE,
                        "%s: --rev and --history are for repositories on a disk; clone it first",
                        url);
    return 0;
}

int analyze_source_open(struct analyze_source *self, struct cli *cli)
{
    const char *url = NULL;
    int code;

    *self = (struct analyze_source){.cli = cli};
    self->jobs = (struct job_source){.kind = "analyze",
                                     .title = self->title,
                                     .next = next,
                                     .parts = parts,
                                     .part = part,
                                     .parts_title = parts_title,
                                     .arg = self};
    self->paths =
        ag_options_operands(cli->options) + (ag_options_command(cli->options) == AG_COMMAND_RUN);
    self->takes_input = self->paths[0] == NULL && ag_options_given(cli->options, AG_OPT_AFTER);
    if (self->paths[0] == NULL && !self->takes_input)
        return cli_fail(cli, EXIT_USAGE, "PATH... is missing; --help tells more");
    name_batch(self);
    for (char *const *path = self->paths; *path != NULL && url == NULL; path++)
        url = is_url(*path) ? *path : NULL;
    code = choose_shards(self);
    if (code == 0)
        code = check_parts(self, url);
    if (code == 0 && url != NULL)
        code = choose_folder(self, url);
    return code;
}

void analyze_source_close(struct analyze_source *self)
{
    scratch_destroy(&self->scratch);
    free(self->folder);
    json_decref(self->job);
}
