#include "worker/fetch/transfer.h"

#include <argosy/version.h>
#include <msgpack/pack.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/limits.h"
#include "common/wire.h"
#include "worker/fetch/errors.h"

/* ---- what libcurl calls
 * --------------------------------------------------------------------------- */

#define give_up(self, type, retryable, ...)                                                        \
    outcome_fail(&(self)->failure, type, retryable, (self)->request.url, __VA_ARGS__)

static size_t keep_body(struct transfer *self, const char *data, size_t size)
{
    struct argosy_error err = {0};

    switch (self->request.body) {
    case FETCH_BODY_NONE:
        return size;
    case FETCH_BODY_FILE:
        if (self->output == NULL || output_write(self->output, data, size, &err) == 0)
            return size;
        give_up(self, "fetch.output", false, "%s", err.message);
        return 0;
    case FETCH_BODY_INLINE:
        break;
    }
    if (self->bytes > FETCH_INLINE_BYTES_MAX) {
        give_up(self, "fetch.too_large", false,
                "the body is larger than the %d bytes that fit into a result; write it to a file",
                FETCH_INLINE_BYTES_MAX);
        return 0;
    }
    ag_buffer_append(&self->body, data, size);
    if (!self->body.failed)
        return size;
    give_up(self, "handler.memory", true, "the worker has no memory left");
    return 0;
}

static bool open_output(struct transfer *self)
{
    struct argosy_error err = {0};
    int rc;

    if (self->request.body != FETCH_BODY_FILE || self->output != NULL)
        return true;
    rc = output_new(&self->output, self->request.file, self->shared->roots,
                    self->shared->roots_count, &err);
    if (rc == 0)
        return true;
    give_up(self, rc == ARGOSY_EREJECTED ? "fetch.policy" : "fetch.output", false, "%s",
            err.message);
    return false;
}

/* The body of the last answer, decoded; libcurl swallows those of redirects. */
static size_t on_body(char *data, size_t one, size_t size, void *arg)
{
    struct transfer *self = arg;

    (void)one;
    self->data_at = ag_clock_mono_ms();
    if (!self->in_body) {
        self->in_body = true;
        curl_easy_getinfo(self->easy, CURLINFO_RESPONSE_CODE, &self->status);
        if (self->status < 400 && !open_output(self))
            return 0;
    }
    self->bytes += size;
    if (self->bytes > self->request.max_bytes) {
        give_up(self, "fetch.too_large", false, "the body is larger than the limit of %llu bytes",
                (unsigned long long)self->request.max_bytes);
        return 0;
    }
    if (self->status >= 400)
        return size; /* nobody asked for the server's apology */
    EVP_DigestUpdate(self->digest, data, size);
    return keep_body(self, data, size);
}

static void keep_header(struct transfer *self, const char *line, size_t size)
{
    const char *colon = memchr(line, ':', size);
    const char *end = line + size, *value;
    size_t name = colon != NULL ? (size_t)(colon - line) : 0;

    if (name == 0)
        return;
    for (value = colon + 1; value < end && (*value == ' ' || *value == '\t'); value++)
        ;
    while (end > value && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
        end--;
    for (size_t i = 0; i < name; i++) {
        char c = line[i];

        if (c >= 'A' && c <= 'Z')
            c = (char)(c + 'a' - 'A');
        ag_buffer_append(&self->headers, &c, 1);
    }
    ag_buffer_append(&self->headers, "", 1);
    ag_buffer_append(&self->headers, value, (size_t)(end - value));
    ag_buffer_append(&self->headers, "", 1);
}

static bool is_too_long(struct transfer *self)
{
    curl_off_t length = -1;

    curl_easy_getinfo(self->easy, CURLINFO_RESPONSE_CODE, &self->status);
    curl_easy_getinfo(self->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    return self->status < 300 && !self->request.head && length >= 0 &&
           (uint64_t)length > self->request.max_bytes;
}

static size_t on_header(char *line, size_t one, size_t size, void *arg)
{
    struct transfer *self = arg;

    (void)one;
    self->data_at = ag_clock_mono_ms();
    if (size >= 5 && memcmp(line, "HTTP/", 5) == 0)
        ag_buffer_clear(&self->headers); /* a new answer: after a redirect, or a 100 */
    else if (memchr("\r\n", line[0], 2) != NULL) {
        if (is_too_long(self)) { /* said before the first byte of it */
            give_up(self, "fetch.too_large", false,
                    "the body is said to be larger than the limit of %llu bytes",
                    (unsigned long long)self->request.max_bytes);
            return 0;
        }
    } else if (memchr(line, '\0', size) == NULL)
        keep_header(self, line, size);
    if (!self->headers.failed)
        return size;
    give_up(self, "fetch.too_large", false, "the headers are larger than %d bytes",
            TRANSFER_HEADER_BYTES_MAX);
    return 0;
}

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
    return CURLE_OK;
}

/* ---- setting up
 * ------------------------------------------------------------------------------------ */

bool transfer_init(struct transfer *self, struct transfer_shared *shared, unsigned place)
{
    self->shared = shared;
    self->place = place;
    self->easy = curl_easy_init();
    self->digest = EVP_MD_CTX_new();
    self->headers = ag_buffer_empty(TRANSFER_HEADER_BYTES_MAX);
    self->body = ag_buffer_empty(FETCH_INLINE_BYTES_MAX);
    return self->easy != NULL && self->digest != NULL;
}

void transfer_fini(struct transfer *self)
{
    transfer_reset(self);
    curl_easy_cleanup(self->easy);
    EVP_MD_CTX_free(self->digest);
    ag_buffer_free(&self->headers);
    ag_buffer_free(&self->body);
}

static void set_base_options(struct transfer *self)
{
    const struct request *request = &self->request;
    CURL *easy = self->easy;

    curl_easy_setopt(easy, CURLOPT_PRIVATE, self);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* else a dead name server stops the loop */
    curl_easy_setopt(easy, CURLOPT_SHARE, self->shared->share);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, request->max_redirects > 0 ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)request->max_redirects);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "argosy/" ARGOSY_VERSION);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, self);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, self);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)request->connect_ms);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->total_ms);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* the address policy would see the proxy's only */
    if (request->body == FETCH_BODY_FILE)
        curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)TRANSFER_FILE_BUFFER);
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

static void set_request_options(struct transfer *self)
{
    const struct request *request = &self->request;
    CURL *easy = self->easy;

    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers);
    if (request->data != NULL) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->data);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->data_size);
    }
    if (request->head)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    if (request->method != NULL)
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

bool transfer_prepare(struct transfer *self, struct task *task, int64_t now)
{
    char reason[256];
    const char *wrong = request_read(&self->request, task->payload, reason);

    if (wrong != NULL) {
        outcome_fail(&task->outcome, "rejected.payload", false, self->request.url, "fetch: %s",
                     wrong);
        request_fini(&self->request);
        return false;
    }
    self->task = task;
    self->started_at = self->data_at = now;
    self->status = 0;
    self->bytes = 0;
    self->in_body = false;
    self->denied[0] = '\0';
    EVP_DigestInit_ex(self->digest, EVP_sha256(), NULL);
    curl_easy_reset(self->easy);
    set_base_options(self);
    set_trust(self);
    set_request_options(self);
    return true;
}

void transfer_reset(struct transfer *self)
{
    request_fini(&self->request);
    output_destroy(&self->output);
    outcome_fini(&self->failure);
    ag_buffer_clear(&self->headers);
    ag_buffer_clear(&self->body);
    self->task = NULL;
}

/* ---- standing still
 * --------------------------------------------------------------------------------- */

static int64_t connected_at(const struct transfer *self)
{
    curl_off_t after_us = 0;

    curl_easy_getinfo(self->easy, CURLINFO_PRETRANSFER_TIME_T, &after_us);
    return after_us > 0 ? self->started_at + after_us / 1000 : 0;
}

int64_t transfer_stall_deadline(const struct transfer *self)
{
    int64_t since = connected_at(self);

    if (self->data_at > self->started_at)
        return self->data_at + self->request.idle_ms;
    if (since == 0) /* connecting has its own limit, which libcurl watches */
        since = ag_clock_mono_ms();
    return since + self->request.first_byte_ms;
}

bool transfer_is_stalled(struct transfer *self, int64_t now)
{
    if (now < transfer_stall_deadline(self) ||
        (self->data_at == self->started_at && connected_at(self) == 0))
        return false;
    if (self->data_at > self->started_at)
        give_up(self, "fetch.timeout.idle", true, "nothing came for %u ms", self->request.idle_ms);
    else
        give_up(self, "fetch.timeout.first_byte", true, "no answer came for %u ms",
                self->request.first_byte_ms);
    return true;
}

/* ---- how it ended
 * ------------------------------------------------------------------------------------ */

static void put_text(msgpack_packer *p, const char *text)
{
    msgpack_pack_str_with_body(p, text, strlen(text));
}

static void put_pair(msgpack_packer *p, const char *key, const char *value)
{
    struct ag_bytes bytes = ag_bytes_of_text(value ? value : "");

    put_text(p, key);
    if (ag_is_utf8(bytes))
        put_text(p, value ? value : "");
    else
        msgpack_pack_bin_with_body(p, value, bytes.size);
}

static void put_number(msgpack_packer *p, const char *key, uint64_t value)
{
    put_text(p, key);
    msgpack_pack_uint64(p, value);
}

static const char *version_name(CURL *easy)
{
    long version = 0;

    curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
    switch (version) {
    case CURL_HTTP_VERSION_1_0:
        return "1.0";
    case CURL_HTTP_VERSION_1_1:
        return "1.1";
    case CURL_HTTP_VERSION_2_0:
        return "2";
    case CURL_HTTP_VERSION_3:
        return "3";
    default:
        return "";
    }
}

static void print_peer(CURL *easy, char out[POLICY_TEXT_SIZE])
{
    char *address = NULL;
    long port = 0;

    curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &address);
    curl_easy_getinfo(easy, CURLINFO_PRIMARY_PORT, &port);
    if (address == NULL || address[0] == '\0')
        out[0] = '\0';
    else
        snprintf(out, POLICY_TEXT_SIZE, strchr(address, ':') ? "[%s]:%ld" : "%s:%ld", address,
                 port);
}

static void put_times(msgpack_packer *p, CURL *easy)
{
    static const struct {
        const char *name;
        CURLINFO info;
    } times[] = {{"dns", CURLINFO_NAMELOOKUP_TIME_T},
                 {"connect", CURLINFO_CONNECT_TIME_T},
                 {"tls", CURLINFO_APPCONNECT_TIME_T},
                 {"first_byte", CURLINFO_STARTTRANSFER_TIME_T},
                 {"total", CURLINFO_TOTAL_TIME_T}};

    put_text(p, "time_ms");
    msgpack_pack_map(p, 5);
    for (size_t i = 0; i < 5; i++) {
        curl_off_t us = 0;

        curl_easy_getinfo(easy, times[i].info, &us);
        put_text(p, times[i].name);
        msgpack_pack_double(p, (double)us / 1000);
    }
}

/* The place of `name` among those before `at`; false if it is the first. */
static const char *next_header(const char *at, const char **name, const char **value)
{
    *name = at;
    *value = at + strlen(at) + 1;
    return *value + strlen(*value) + 1;
}

static bool came_before(const char *first, const char *at, const char *wanted)
{
    const char *name, *value;

    while (first < at) {
        first = next_header(first, &name, &value);
        if (strcmp(name, wanted) == 0)
            return true;
    }
    return false;
}

/* Repeated names are joined as RFC 9110 5.3 says; cookies, which must not be, by line ends. */
static void put_headers(msgpack_packer *p, const struct ag_buffer *headers)
{
    const char *first = (const char *)headers->data, *end = first + headers->size;
    const char *name, *value, *at;
    uint32_t count = 0;

    for (at = first; at < end;) {
        const char *here = at;

        at = next_header(at, &name, &value);
        count += !came_before(first, here, name);
    }
    put_text(p, "headers");
    msgpack_pack_map(p, count);
    for (at = first; at < end;) {
        struct ag_buffer joined = ag_buffer_empty(TRANSFER_HEADER_BYTES_MAX);
        const char *here = at, *more_name, *more_value;

        at = next_header(at, &name, &value);
        if (came_before(first, here, name))
            continue;
        ag_buffer_text(&joined, value);
        for (const char *more = at; more < end;) {
            more = next_header(more, &more_name, &more_value);
            if (strcmp(more_name, name) == 0) {
                ag_buffer_text(&joined, strcmp(name, "set-cookie") == 0 ? "\n" : ", ");
                ag_buffer_text(&joined, more_value);
            }
        }
        put_pair(p, name, ag_buffer_as_text(&joined));
        ag_buffer_free(&joined);
    }
}

static void finish_digest(struct transfer *self, char hex[65])
{
    uint8_t digest[32] = {0};

    EVP_DigestFinal_ex(self->digest, digest, NULL);
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

static void put_body(msgpack_packer *p, const struct transfer *self, const char *file)
{
    if (file != NULL) {
        put_pair(p, "file", file);
        return;
    }
    put_text(p, "body");
    if (ag_is_utf8(ag_buffer_bytes(&self->body)))
        msgpack_pack_str_with_body(p, self->body.data, self->body.size);
    else
        msgpack_pack_bin_with_body(p, self->body.data, self->body.size);
}

static void put_result(struct transfer *self, const char *sha256, const char *file,
                       struct ag_buffer *out)
{
    char *url = NULL, *type = NULL, peer[POLICY_TEXT_SIZE];
    long redirects = 0, connects = 0;
    curl_off_t wire = 0;
    bool has_body = file != NULL || self->request.body == FETCH_BODY_INLINE;
    msgpack_packer packer;

    *out = ag_buffer_empty(AG_RESULT_BYTES_MAX);
    msgpack_packer_init(&packer, out, ag_buffer_write);
    curl_easy_getinfo(self->easy, CURLINFO_EFFECTIVE_URL, &url);
    curl_easy_getinfo(self->easy, CURLINFO_CONTENT_TYPE, &type);
    curl_easy_getinfo(self->easy, CURLINFO_REDIRECT_COUNT, &redirects);
    curl_easy_getinfo(self->easy, CURLINFO_NUM_CONNECTS, &connects);
    curl_easy_getinfo(self->easy, CURLINFO_SIZE_DOWNLOAD_T, &wire);
    print_peer(self->easy, peer);
    msgpack_pack_map(&packer, has_body ? 14 : 13);
    put_pair(&packer, "url", self->request.url);
    put_pair(&packer, "final_url", url);
    put_number(&packer, "status", (uint64_t)self->status);
    put_headers(&packer, &self->headers);
    put_number(&packer, "bytes", self->bytes);
    put_number(&packer, "wire_bytes", (uint64_t)wire);
    put_pair(&packer, "sha256", sha256);
    put_pair(&packer, "content_type", type);
    put_pair(&packer, "http_version", version_name(self->easy));
    put_text(&packer, "reused");
    connects == 0 ? msgpack_pack_true(&packer) : msgpack_pack_false(&packer);
    put_number(&packer, "redirects", (uint64_t)redirects);
    put_times(&packer, self->easy);
    put_pair(&packer, "peer", peer);
    if (has_body)
        put_body(&packer, self, file);
}

static void succeed(struct transfer *self, struct outcome *outcome)
{
    struct argosy_error err = {0};
    const char *file = NULL;
    char sha256[65];

    finish_digest(self, sha256);
    if (self->request.sha256 != NULL && strcasecmp(self->request.sha256, sha256) != 0) {
        outcome_fail(outcome, "fetch.checksum", false, self->request.url,
                     "the body's sha256 is %s, not %s", sha256, self->request.sha256);
        return;
    }
    if (!open_output(self)) { /* an empty body makes an empty file */
        *outcome = self->failure;
        self->failure = (struct outcome){0};
        return;
    }
    if (self->output != NULL && output_commit(self->output, sha256, &file, &err) < 0) {
        outcome_fail(outcome, "fetch.output", false, self->request.url, "%s", err.message);
        return;
    }
    outcome->succeeded = true;
    put_result(self, sha256, file, &outcome->result);
}

static void fail_with_status(struct transfer *self, const struct fetch_failure *failure,
                             struct outcome *outcome)
{
    curl_off_t after = 0;

    curl_easy_getinfo(self->easy, CURLINFO_RETRY_AFTER, &after);
    outcome_fail(outcome, failure->type, failure->retryable, self->request.url, "%s",
                 failure->message);
    if (after > 0)
        outcome->retry_after_ms = after < 24 * 3600 ? (uint32_t)after * 1000 : 24 * 3600 * 1000;
}

static void fail_with_code(struct transfer *self, CURLcode code, struct outcome *outcome)
{
    struct fetch_progress progress = {.connected = connected_at(self) != 0,
                                      .answered = self->status != 0};
    struct fetch_failure failure;
    char peer[POLICY_TEXT_SIZE];
    long verified = 0;

    if (self->denied[0] != '\0' && code == CURLE_COULDNT_CONNECT) {
        outcome_fail(outcome, "fetch.policy", false, self->request.url,
                     "the address %s is not public; the worker's --allow-net option names "
                     "private networks that it may reach",
                     self->denied);
        return;
    }
    fetch_failure_of_code(code, &progress, &failure);
    curl_easy_getinfo(self->easy, CURLINFO_SSL_VERIFYRESULT, &verified);
    print_peer(self->easy, peer);
    if (code == CURLE_PEER_FAILED_VERIFICATION && verified != 0)
        outcome_fail(outcome, failure.type, failure.retryable, self->request.url, "%s: %s",
                     failure.message, X509_verify_cert_error_string(verified));
    else
        outcome_fail(outcome, failure.type, failure.retryable, self->request.url, "%s",
                     failure.message);
}

void transfer_conclude(struct transfer *self, CURLcode code)
{
    struct outcome *outcome = &self->task->outcome;
    struct fetch_failure failure;

    curl_easy_getinfo(self->easy, CURLINFO_RESPONSE_CODE, &self->status);
    if (self->failure.type[0] != '\0') {
        *outcome = self->failure;
        self->failure = (struct outcome){0};
    } else if (code != CURLE_OK) {
        fail_with_code(self, code, outcome);
    } else if (fetch_failure_of_status(self->status, &failure)) {
        fail_with_status(self, &failure, outcome);
    } else {
        succeed(self, outcome);
    }
    transfer_reset(self);
}
