/* file: URLs. libcurl would read them on the loop, and from wherever a link leads. */
#include <string.h>

#include "common/error.h"
#include "worker/fetch/transfer.h"

static int open_file(struct transfer *self, void (*changed)(void *arg), struct argosy_error *err)
{
    const struct transfer_shared *shared = self->shared;
    struct upload_config config = {.pool = shared->disk,
                                   .roots = shared->roots,
                                   .roots_count = shared->roots_count,
                                   .changed = changed,
                                   .arg = self};
    int size = 0, rc;
    char *path = curl_easy_unescape(self->easy, self->hop.url->path, 0, &size);

    if (path == NULL || strlen(path) != (size_t)size)
        rc = ag_fail(err, ARGOSY_EINVAL, "%s names no file", self->hop.url->text);
    else {
        config.path = path;
        rc = upload_new(&self->upload, &config, err);
    }
    curl_free(path);
    return rc;
}

bool local_begin(struct transfer *self, void (*changed)(void *arg))
{
    struct argosy_error err = {0};

    curl_easy_reset(self->easy); /* it has nothing to tell of this one */
    self->was_plain = false;
    self->request.max_ratio = 0;
    self->hop.is_wanted = self->hop.in_body = true;
    if (strcmp(request_method(&self->request), "GET") != 0 || self->request.data_file != NULL)
        transfer_blame(self, "fetch.url", false, "a file: URL can only be read");
    else if (open_file(self, changed, &err) < 0)
        transfer_blame(self, "fetch.url", false, "%s", err.message);
    self->step = STEP_COPYING;
    return transfer_has_failed(self);
}

bool local_go_on(struct transfer *self)
{
    char part[64 << 10];
    const char *failure;
    size_t size;
    int code;

    failure = upload_failure(self->upload, &code);
    if (failure != NULL) {
        transfer_blame(self, code == ARGOSY_EREJECTED ? "fetch.policy" : "fetch.file", false, "%s",
                       failure);
        return true;
    }
    if (transfer_blame_sink(self))
        return true;
    while ((self->sink == NULL || sink_has_room(self->sink, sizeof part)) &&
           (size = upload_read(self->upload, part, sizeof part)) > 0)
        if (!receive_bytes(self, part, size))
            return true;
    return upload_is_at_end(self->upload);
}
