#include "worker/analyze/revision.h"

int revision_open(struct revision *self, const char *path, const char *rev,
                  const struct analyze_roots *roots, struct argosy_error *err)
{
    int rc;

    *self = (struct revision){0};
    rc = repo_open(&self->repo, path, roots, &self->inside, err);
    return rc == 0 ? repo_resolve(self->repo, rev, &self->commit, err) : rc;
}

void revision_close(struct revision *self)
{
    repo_close(&self->repo);
}
