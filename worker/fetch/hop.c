/* Setting libcurl up for one request. */
#include <argosy/version.h>
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "worker/fetch/transfer.h"

static CURLcode on_tls(CURL *easy, void *ssl_ctx, void *arg)
{
    struct transfer *self = arg;
    struct transfer_shared *shared = self->shared;

    (void)easy;
    if (shared->store == NULL) {
        X509_STORE *store = X509_STORE_new();
        bool ok = store != NULL && (shared->config->ca_file != NULL
                                        ? X509_STORE_load_file(store, shared->config->ca_file) == 1
                                        : X509_STORE_set_default_paths(store) == 1);

        if (!ok) {
            X509_STORE_free(store);
            return CURLE_SSL_CACERT_BADFILE;
        }
        shared->store = store;
    }
    SSL_CTX_set1_cert_store(ssl_ctx, shared->store);
    /* libcurl 7.88 forbids tickets, and with them resuming at most of today's servers. */
    SSL_CTX_clear_options(ssl_ctx, SSL_OP_NO_TICKET);
    return CURLE_OK;
}

static void set_trust(struct transfer *self)
{
    CURL *easy = self->easy;

    /* One store for all handshakes: with Debian's defaults libcurl parses all certificates for
     * each connection, 22 ms of CPU (doc/fetch.md). */
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_CAINFO, self->request.ca_file);
    if (self->request.ca_file == NULL) {
        curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls);
        curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, self);
    }
}

static long left_of(int64_t until, int64_t now)
{
    return until > now ? (long)(until - now) : 1; /* 0 would be: as long as it takes */
}

static void set_limits(struct transfer *self)
{
    const struct request *request = &self->request;
    int64_t now = ag_clock_mono_ms();

    curl_easy_setopt(self->easy, CURLOPT_CONNECTTIMEOUT_MS,
                     left_of(self->hop.began_at + request->connect_ms, now));
    curl_easy_setopt(self->easy, CURLOPT_TIMEOUT_MS,
                     left_of(self->started_at + request->total_ms, now));
}

static void set_base(struct transfer *self)
{
    const struct request *request = &self->request;
    const char *schemes = policy_schemes(self->shared->policy);
    CURL *easy = self->easy;

    curl_easy_setopt(easy, CURLOPT_PRIVATE, self);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, self->hop.error);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* else a dead name server stops the loop */
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, schemes);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "argosy/" ARGOSY_VERSION);
    curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, (long)TRANSFER_CONNECTION_S);
    /* What is resumed or archived is the bytes as they are sent. */
    if (!request->resume && self->exchange == NULL)
        curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    /* What one buffer unpacks to must fit into the 64 MB that libcurl keeps of a paused body. */
    if (request->body == FETCH_BODY_FILE && !self->hop.for_robots && request->max_ratio > 0 &&
        request->max_ratio <= FETCH_RATIO_MAX)
        curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)TRANSFER_FILE_BUFFER);
    curl_easy_setopt(easy, CURLOPT_SHARE,
                     self->jar != NULL ? self->jar->share : self->shared->share);
    if (self->jar != NULL)
        curl_easy_setopt(easy, CURLOPT_COOKIEFILE, "");
    receive_set_callbacks(self);
}

/* A proxy that the worker allows is meant to be there, whatever its address; what it connects to
 * is its own policy's matter. Of the environment nothing is taken. */
static void set_proxy(struct transfer *self)
{
    const char *proxy = self->request.proxy;

    curl_easy_setopt(self->easy, CURLOPT_PROXY, proxy != NULL ? proxy : "");
    if (proxy != NULL)
        curl_easy_setopt(self->easy, CURLOPT_NOPROXY, "");
}

/* Connections of HTTP/2 carry many requests; waiting for one that is being made is worth it only
 * where it will (and holds up everything where it will not). */
static void set_version(struct transfer *self)
{
    bool tls = strcmp(self->hop.url->scheme, "https") == 0;
    CURL *easy = self->easy;

    switch (self->request.http) {
    case FETCH_HTTP_1_1:
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
        return;
    case FETCH_HTTP_2:
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                         tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
        /* Before 8.0 (curl #10634) the second request on a connection of this sort breaks it. */
        if (!tls && curl_version_info(CURLVERSION_NOW)->version_num < 0x080000) {
            curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
            curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
            return;
        }
        curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
        return;
    case FETCH_HTTP_AUTO:
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
        if (versions_speaks_2(self->shared->versions, self->hop.url))
            curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
        return;
    }
}

/* ---- what goes out
 * ------------------------------------------------------------------------------------- */

/* Also Host: another server is not called so, and libcurl would tell it the cookies of that name.
 */
static bool is_for_home(const char *line)
{
    static const char *const names[] = {
        "Authorization:", "Cookie:", "Proxy-Authorization:", "Host:"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncasecmp(line, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static bool is_about_data(const char *line)
{
    return strncasecmp(line, "Content-", 8) == 0;
}

static bool add_line(struct hop *hop, const char *line)
{
    struct curl_slist *more = curl_slist_append(hop->headers, line);

    if (more != NULL)
        hop->headers = more;
    return more != NULL;
}

static bool add_resume(struct transfer *self)
{
    char line[SINK_VALIDATOR_SIZE + 32];
    const char *validator;
    uint64_t found;

    if (self->sink == NULL || !self->request.resume || self->no_resume)
        return true;
    found = sink_found(self->sink, &validator);
    if (found == 0 || validator[0] == '\0')
        return true;
    self->resumed_from = found;
    snprintf(line, sizeof line, "Range: bytes=%llu-", (unsigned long long)found);
    if (!add_line(&self->hop, line))
        return false;
    snprintf(line, sizeof line, "If-Range: %s", validator);
    return add_line(&self->hop, line);
}

/* The job's headers, as far as they are for this host: credentials never follow a redirect to
 * another one. */
static bool set_headers(struct transfer *self)
{
    bool is_home = url_is_same_origin(self->hop.url, &self->request.url);

    for (const struct curl_slist *at = self->request.headers; at != NULL; at = at->next) {
        if (self->hop.for_robots && strncasecmp(at->data, "User-Agent:", 11) != 0)
            continue;
        if ((!is_home && is_for_home(at->data)) || (self->as_get && is_about_data(at->data)))
            continue;
        if (!add_line(&self->hop, at->data))
            return false;
    }
    /* Else libcurl waits a second for servers that do not know it. */
    if (self->upload != NULL && !add_line(&self->hop, "Expect:"))
        return false;
    self->resumed_from = 0;
    if (!self->hop.for_robots && !add_resume(self))
        return false;
    curl_easy_setopt(self->easy, CURLOPT_HTTPHEADER, self->hop.headers);
    return true;
}

static void set_secret(struct transfer *self)
{
    const char *value;
    CURL *easy = self->easy;

    if (self->request.auth == FETCH_AUTH_NONE || self->hop.for_robots ||
        !url_is_same_origin(self->hop.url, &self->request.url))
        return;
    value = secrets_find(self->shared->config->secrets, self->request.secret, self->hop.url);
    if (value == NULL)
        return;
    if (self->request.auth == FETCH_AUTH_BEARER) {
        curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, value);
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    } else {
        curl_easy_setopt(easy, CURLOPT_USERPWD, value);
        curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    }
}

static void set_method(struct transfer *self)
{
    const struct request *request = &self->request;
    CURL *easy = self->easy;

    if (self->hop.for_robots)
        return;
    if (self->as_get) {
        if (request->head)
            curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (self->upload != NULL) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)upload_size(self->upload));
    } else if (request->data != NULL) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->data);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->data_size);
    }
    if (request->head)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    if (request->method != NULL)
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    /* When a kept connection turns out to be dead, libcurl repeats the request by itself. */
    if (!request_may_be_repeated(request))
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
}

/* A GET without anything special, of which a batch has thousands. */
static bool is_plain(const struct transfer *self)
{
    const struct request *request = &self->request;

    return !self->hop.for_robots && self->exchange == NULL && self->jar == NULL &&
           self->upload == NULL && request->data == NULL && request->method == NULL &&
           !request->head && !request->resume && request->auth == FETCH_AUTH_NONE &&
           request->proxy == NULL && request->ca_file == NULL && request->body != FETCH_BODY_FILE &&
           request->http == FETCH_HTTP_AUTO &&
           !versions_speaks_2(self->shared->versions, self->hop.url);
}

static void set_all(struct transfer *self)
{
    curl_easy_setopt(self->easy, CURLOPT_COOKIEFILE, NULL); /* a reset would leak it */
    curl_easy_reset(self->easy);
    set_base(self);
    set_trust(self);
    set_proxy(self);
    set_version(self);
    set_method(self);
    set_secret(self);
}

/* Forgetting all options and setting them again is a tenth of what a small fetch costs: after one
 * plain request another is told by its URL, headers, address and limits alone. */
bool hop_prepare(struct transfer *self)
{
    bool plain = is_plain(self);

    if (!plain || !self->was_plain)
        set_all(self);
    self->was_plain = plain;
    curl_easy_setopt(self->easy, CURLOPT_URL, self->hop.url->text);
    /* Also when there is none: of a request that was stopped before it ran libcurl still has the
     * list, which is gone, and a reset does not change that. */
    curl_easy_setopt(self->easy, CURLOPT_RESOLVE, self->hop.resolved);
    set_limits(self);
    return set_headers(self);
}

void hop_fini(struct hop *self)
{
    curl_slist_free_all(self->resolved);
    curl_slist_free_all(self->headers);
    self->resolved = self->headers = NULL;
}
