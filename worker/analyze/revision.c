#include "worker/analyze/revision.h"

#include "common/error.h"
#include "common/log.h"

static void open_cache(struct revision *self, const struct analyze_roots *roots,
                       const languages_t *languages)
{
    struct argosy_error err = {0};
    cache_t *cache;

    if (roots->cache == NULL)
        return;
    if (cache_open(&cache, roots->cache, &err) < 0)
        ag_log_warning("analyze", "cache cannot be used", ag_kv("reason", err.message));
    else
        self->recall = recall_new(cache, languages);
}

int revision_open(struct revision *self, const char *path, const char *rev,
                  const struct analyze_roots *roots, const languages_t *languages,
                  struct argosy_error *err)
{
    int rc;

    *self = (struct revision){0};
    rc = repo_open(&self->repo, path, roots, &self->inside, err);
    if (rc == 0)
        rc = repo_resolve(self->repo, rev, &self->commit, err);
    if (rc == 0)
        open_cache(self, roots, languages);
    return rc;
}

void revision_close(struct revision *self)
{
    char trouble[256];

    recall_destroy(&self->recall, trouble, sizeof trouble);
    if (trouble[0] != '\0')
        ag_log_warning("analyze", "cache is broken", ag_kv("reason", trouble));
    repo_close(&self->repo);
}
