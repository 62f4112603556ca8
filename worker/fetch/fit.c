/* What can be refused before anybody is asked: the payload, what this worker does not do, paths. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/error.h"
#include "worker/fetch/transfer.h"

static bool read_proxy(struct transfer *self)
{
    const char *proxy = self->request.proxy, *wrong;

    if (proxy == NULL)
        return true;
    if (!policy_allows_proxy(self->shared->policy, proxy)) {
        transfer_blame(
            self, "fetch.policy", false,
            "this worker does not use the proxy %s; its --allow-proxy option names those "
            "that it does",
            proxy);
        return false;
    }
    wrong = url_read(&self->proxy, proxy, NULL);
    /* Programs do not agree on what it is when it is not said. */
    if (wrong == NULL && strrchr(proxy, ':') <= strstr(proxy, "://"))
        wrong = "its port is missing";
    if (wrong == NULL)
        return true;
    transfer_blame(self, "rejected.payload", false, "fetch: 'proxy' is not a URL: %s", wrong);
    return false;
}

static bool check_secret(struct transfer *self)
{
    const struct request *request = &self->request;
    const secrets_t *secrets = self->shared->config->secrets;

    if (request->auth == FETCH_AUTH_NONE)
        return true;
    if (!secrets_has(secrets, request->secret))
        transfer_blame(self, "fetch.policy", false,
                       "this worker has no secret '%s'; its --secrets file names those it has",
                       request->secret);
    else if (secrets_find(secrets, request->secret, &request->url) == NULL)
        transfer_blame(self, "fetch.policy", false,
                       "the secret '%s' is not for %s://%s; the worker's --secrets file says which "
                       "hosts may be told it",
                       request->secret, request->url.scheme, request->url.host);
    else
        return true;
    return false;
}

/* libcurl reads it in the loop: a pipe would stop us, an endless device fill our memory. */
static bool check_ca_file(struct transfer *self)
{
    const char *path = self->request.ca_file;
    struct stat info;

    if (path == NULL ||
        (stat(path, &info) == 0 && S_ISREG(info.st_mode) && info.st_size <= TRANSFER_CA_BYTES_MAX))
        return true;
    transfer_blame(self, "fetch.tls", false,
                   "the trusted certificates in %s cannot be read on this worker", path);
    return false;
}

static void blame_path(struct transfer *self, int rc, const struct argosy_error *err)
{
    transfer_blame(self,
                   rc == ARGOSY_EREJECTED ? "fetch.policy"
                   : rc == ARGOSY_ENOMEM  ? "handler.memory"
                                          : "fetch.output",
                   rc == ARGOSY_ENOMEM, "%s", err->message);
}

/* What an interrupted attempt left is found again by what it was: the file and the URL. */
static int open_sink(struct transfer *self, void (*changed)(void *arg), struct argosy_error *err)
{
    const struct request *request = &self->request;
    struct sink_config config = {.pool = self->shared->disk,
                                 .path = request->file,
                                 .roots = self->shared->roots,
                                 .roots_count = self->shared->roots_count,
                                 .changed = changed,
                                 .arg = self};
    char *key = NULL;
    int rc;

    if (request->resume && asprintf(&key, "%s %s", request->file, request->url.text) < 0)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a path");
    config.resume_key = key;
    rc = sink_new(&self->sink, &config, err);
    free(key);
    return rc;
}

static bool open_files(struct transfer *self, void (*changed)(void *arg))
{
    const struct request *request = &self->request;
    struct argosy_error err = {0};
    int rc = 0;

    if (request->warc != NULL)
        rc = warc_check(request->warc, self->shared->roots, self->shared->roots_count, &err);
    if (rc == 0 && request->file != NULL)
        rc = open_sink(self, changed, &err);
    if (rc == 0 && request->data_file != NULL)
        rc = upload_new(&self->upload,
                        &(struct upload_config){.pool = self->shared->disk,
                                                .path = request->data_file,
                                                .roots = self->shared->roots,
                                                .roots_count = self->shared->roots_count,
                                                .changed = changed,
                                                .arg = self},
                        &err);
    if (rc < 0)
        blame_path(self, rc, &err);
    return rc == 0;
}

static bool take_jar(struct transfer *self)
{
    if (self->request.cookies == NULL)
        return true;
    self->jar = jars_take(self->shared->jars, self->request.cookies);
    if (self->jar == NULL)
        transfer_blame(self, "handler.memory", true, "more than %d cookie jars are in use",
                       JARS_MAX);
    return self->jar != NULL;
}

bool fit_open(struct transfer *self, void (*changed)(void *arg))
{
    char reason[256];
    const char *wrong = request_read(&self->request, self->task->payload, reason);

    if (wrong != NULL) {
        transfer_blame(self, "rejected.payload", false, "fetch: %s", wrong);
        return false;
    }
    wrong = request_read_url(&self->request);
    if (wrong != NULL) {
        transfer_blame(self, "fetch.url", false, "not a URL: %s", wrong);
        return false;
    }
    return read_proxy(self) && check_secret(self) && check_ca_file(self) &&
           open_files(self, changed) && take_jar(self);
}
