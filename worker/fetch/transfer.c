#include "worker/fetch/transfer.h"

#include <argosy/version.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "worker/fetch/errors.h"
#include "worker/fetch/result.h"

void transfer_blame(struct transfer *self, const char *type, bool retryable, const char *message,
                    ...)
{
    struct cause *cause = &self->cause;
    va_list args;

    if (cause->type[0] != '\0')
        return;
    snprintf(cause->type, sizeof cause->type, "%s", type);
    cause->retryable = retryable;
    va_start(args, message);
    vsnprintf(cause->message, sizeof cause->message, message, args);
    va_end(args);
}

/* ---- what libcurl calls
 * --------------------------------------------------------------------------- */

static size_t keep_body(struct transfer *self, const char *data, size_t size)
{
    struct argosy_error err = {0};

    switch (self->request.body) {
    case FETCH_BODY_NONE:
        return size;
    case FETCH_BODY_FILE:
        if (self->output == NULL || output_write(self->output, data, size, &err) == 0)
            return size;
        transfer_blame(self, "fetch.output", false, "%s", err.message);
        return 0;
    case FETCH_BODY_INLINE:
        break;
    }
    if (self->bytes > FETCH_INLINE_BYTES_MAX) {
        transfer_blame(
            self, "fetch.too_large", false,
            "the body is larger than the %d bytes that fit into a result; write it to a file",
            FETCH_INLINE_BYTES_MAX);
        return 0;
    }
    ag_buffer_append(&self->body, data, size);
    if (!self->body.failed)
        return size;
    transfer_blame(self, "handler.memory", true, "the worker has no memory left");
    return 0;
}

/* Only what was asked for becomes a file: not an error's text, nor the page beside a redirect; and
 * a 304 leaves the file that is there alone. */
static bool has_file(const struct transfer *self)
{
    return self->request.body == FETCH_BODY_FILE && self->status / 100 == 2;
}

static void blame_output(struct transfer *self, int rc, const struct argosy_error *err)
{
    transfer_blame(self, rc == ARGOSY_EREJECTED ? "fetch.policy" : "fetch.output", false, "%s",
                   err->message);
}

static bool open_output(struct transfer *self)
{
    struct argosy_error err = {0};
    int rc;

    if (!has_file(self) || self->output != NULL)
        return true;
    rc = output_new(&self->output, self->request.file, self->shared->roots,
                    self->shared->roots_count, &err);
    if (rc == 0)
        return true;
    blame_output(self, rc, &err);
    return false;
}

/* How long the server says the body is. Of an error's page nobody wants to know. */
static uint64_t announced_bytes(const struct transfer *self)
{
    curl_off_t length = -1;

    if (self->status < 400)
        curl_easy_getinfo(self->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    return length > 0 ? (uint64_t)length : 0;
}

/* Both lengths are of what is sent, so that a compressed body is told rightly too. */
static void note_progress(const struct transfer *self)
{
    curl_off_t got = 0;

    if (self->wire_bytes_total == 0)
        return;
    curl_easy_getinfo(self->easy, CURLINFO_SIZE_DOWNLOAD_T, &got);
    atomic_store_explicit(&self->task->permille,
                          (uint64_t)got < self->wire_bytes_total
                              ? (unsigned)((uint64_t)got * 1000 / self->wire_bytes_total)
                              : 1000,
                          memory_order_relaxed);
}

/* The body of the last answer, decoded; libcurl swallows those of redirects. */
static size_t on_body(char *data, size_t one, size_t size, void *arg)
{
    struct transfer *self = arg;

    (void)one;
    self->quiet_since = ag_clock_mono_ms();
    if (!self->in_body) {
        self->in_body = true;
        curl_easy_getinfo(self->easy, CURLINFO_RESPONSE_CODE, &self->status);
        self->wire_bytes_total = announced_bytes(self);
        if (!open_output(self))
            return 0;
    }
    note_progress(self);
    self->bytes += size;
    if (self->status >= 400) /* nobody asked for the server's apology, nor for all of it */
        return self->bytes <= self->request.max_bytes ? size : 0;
    if (self->bytes > self->request.max_bytes) {
        transfer_blame(self, "fetch.too_large", false,
                       "the body is larger than the limit of %llu bytes",
                       (unsigned long long)self->request.max_bytes);
        return 0;
    }
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
    self->headers_count++;
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
    self->phase = PHASE_RECEIVING;
    self->quiet_since = ag_clock_mono_ms();
    if (size >= 5 && memcmp(line, "HTTP/", 5) == 0) { /* a new answer: after a redirect, or a 100 */
        ag_buffer_clear(&self->headers);
        self->headers_count = 0;
    } else if (line[0] == '\r' || line[0] == '\n') {
        if (is_too_long(self)) { /* said before the first byte of it */
            transfer_blame(self, "fetch.too_large", false,
                           "the body is said to be larger than the limit of %llu bytes",
                           (unsigned long long)self->request.max_bytes);
            return 0;
        }
    } else if (memchr(line, '\0', size) == NULL) {
        keep_header(self, line, size);
    }
    if (!self->headers.failed && self->headers_count <= TRANSFER_HEADERS_MAX)
        return size;
    transfer_blame(self, "fetch.too_large", false, "there are more than %d headers, or %d bytes",
                   TRANSFER_HEADERS_MAX, TRANSFER_HEADER_BYTES_MAX);
    return 0;
}

/* Connected, whether anew or to a connection that was kept: the request goes out now. */
static int on_ready(void *arg, char *peer, char *here, int peer_port, int port)
{
    struct transfer *self = arg;

    (void)peer;
    (void)here;
    (void)peer_port;
    (void)port;
    curl_easy_getinfo(self->easy, CURLINFO_REDIRECT_COUNT, &self->hop);
    self->phase = PHASE_WAITING;
    self->quiet_since = ag_clock_mono_ms();
    self->denied[0] = '\0';
    return CURL_PREREQFUNC_OK;
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
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_ready);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, self);
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

/* What can be refused before anybody is asked. */
static bool is_fit(struct transfer *self, struct ag_bytes payload)
{
    const struct request *request = &self->request;
    struct argosy_error err = {0};
    struct stat info;
    char reason[256];
    const char *wrong = request_read(&self->request, payload, reason);
    int rc;

    if (wrong != NULL) {
        transfer_blame(self, "rejected.payload", false, "fetch: %s", wrong);
        return false;
    }
    rc = request->file == NULL
             ? 0
             : output_check(request->file, self->shared->roots, self->shared->roots_count, &err);
    if (rc < 0) {
        blame_output(self, rc, &err);
        return false;
    }
    /* libcurl reads it in the loop: a pipe would stop us, an endless device fill our memory. */
    if (request->ca_file != NULL && (stat(request->ca_file, &info) < 0 || !S_ISREG(info.st_mode) ||
                                     info.st_size > TRANSFER_CA_BYTES_MAX)) {
        transfer_blame(self, "fetch.tls", false,
                       "the trusted certificates in %s cannot be read on this worker",
                       request->ca_file);
        return false;
    }
    return true;
}

bool transfer_prepare(struct transfer *self, struct task *task, int64_t now)
{
    self->task = task;
    self->started_at = self->quiet_since = now;
    self->phase = PHASE_CONNECTING;
    self->hop = 0;
    self->status = 0;
    self->headers_count = 0;
    self->bytes = self->wire_bytes_total = 0;
    self->in_body = false;
    self->cause = (struct cause){0};
    self->denied[0] = '\0';
    curl_easy_reset(self->easy);
    if (!is_fit(self, task->payload)) {
        transfer_conclude(self, CURLE_OK);
        return false;
    }
    EVP_DigestInit_ex(self->digest, EVP_sha256(), NULL);
    set_base_options(self);
    set_trust(self);
    set_request_options(self);
    return true;
}

void transfer_reset(struct transfer *self)
{
    request_fini(&self->request);
    output_destroy(&self->output);
    ag_buffer_clear(&self->headers);
    ag_buffer_clear(&self->body);
    self->task = NULL;
}

/* ---- standing still
 * --------------------------------------------------------------------------------- */

enum phase transfer_phase(const struct transfer *self)
{
    long redirects = 0;

    curl_easy_getinfo(self->easy, CURLINFO_REDIRECT_COUNT, &redirects);
    return redirects == self->hop ? self->phase : PHASE_CONNECTING;
}

static int64_t stalls_at(const struct transfer *self)
{
    switch (transfer_phase(self)) {
    case PHASE_CONNECTING:
        break;
    case PHASE_WAITING:
        return self->quiet_since + self->request.first_byte_ms;
    case PHASE_RECEIVING:
        return self->quiet_since + self->request.idle_ms;
    }
    return INT64_MAX;
}

/* Phases begin without telling the timer, so that looks must not be further apart than the shorter
 * of the limits: then none is noticed late. */
int64_t transfer_next_look(const struct transfer *self, int64_t now)
{
    const struct request *request = &self->request;
    uint32_t shorter =
        request->idle_ms < request->first_byte_ms ? request->idle_ms : request->first_byte_ms;
    int64_t at = stalls_at(self);

    return at < now + shorter ? at : now + shorter;
}

bool transfer_is_stalled(struct transfer *self, int64_t now)
{
    if (now < stalls_at(self))
        return false;
    if (transfer_phase(self) == PHASE_RECEIVING)
        transfer_blame(self, "fetch.timeout.idle", true, "nothing came for %u ms",
                       self->request.idle_ms);
    else
        transfer_blame(self, "fetch.timeout.first_byte", true, "no answer came for %u ms",
                       self->request.first_byte_ms);
    return true;
}

/* ---- how it ended
 * ------------------------------------------------------------------------------------ */

static void blame_status(struct transfer *self, const struct fetch_failure *failure)
{
    curl_off_t after = 0;

    curl_easy_getinfo(self->easy, CURLINFO_RETRY_AFTER, &after);
    transfer_blame(self, failure->type, failure->retryable, "%s", failure->message);
    if (after > 0)
        self->cause.retry_after_ms =
            1000 * (after < TRANSFER_RETRY_AFTER_S ? (uint32_t)after : TRANSFER_RETRY_AFTER_S);
}

static void blame_code(struct transfer *self, CURLcode code)
{
    enum phase phase = transfer_phase(self);
    struct fetch_progress progress = {.connected = phase != PHASE_CONNECTING,
                                      .answered = phase == PHASE_RECEIVING,
                                      .in_headers = phase == PHASE_RECEIVING && !self->in_body,
                                      .out_of_time = ag_clock_mono_ms() - self->started_at >=
                                                     self->request.total_ms};
    struct fetch_failure failure;
    long verified = 0;

    if (self->denied[0] != '\0' && code == CURLE_COULDNT_CONNECT) {
        transfer_blame(self, "fetch.policy", false,
                       "the address %s is not public; the worker's --allow-net option names "
                       "private networks that it may reach",
                       self->denied);
        return;
    }
    fetch_failure_of_code(code, &progress, &failure);
    curl_easy_getinfo(self->easy, CURLINFO_SSL_VERIFYRESULT, &verified);
    if (code == CURLE_PEER_FAILED_VERIFICATION && verified != 0)
        transfer_blame(self, failure.type, failure.retryable, "%s: %s", failure.message,
                       X509_verify_cert_error_string(verified));
    else
        transfer_blame(self, failure.type, failure.retryable, "%s", failure.message);
}

static void finish_digest(struct transfer *self, char hex[65])
{
    uint8_t digest[32] = {0};

    EVP_DigestFinal_ex(self->digest, digest, NULL);
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

/* The whole body is here; what remains is to see whether it is the right one, and to keep it. */
static void keep_result(struct transfer *self, struct outcome *outcome)
{
    struct argosy_error err = {0};
    const char *wanted = self->request.sha256, *file = NULL;
    char sha256[65];

    finish_digest(self, sha256);
    if (wanted != NULL && self->status != 304 && strcasecmp(wanted, sha256) != 0) {
        transfer_blame(self, "fetch.checksum", false, "the body's sha256 is %s, not %s", sha256,
                       wanted);
        return;
    }
    if (!open_output(self)) /* an empty body makes an empty file */
        return;
    if (self->output != NULL && output_commit(self->output, sha256, &file, &err) < 0) {
        transfer_blame(self, "fetch.output", false, "%s", err.message);
        return;
    }
    result_write(self, sha256, file, &outcome->result);
    if (outcome->result.failed)
        transfer_blame(self, "handler.memory", true, "the worker has no memory left");
    outcome->succeeded = !outcome->result.failed;
}

void transfer_conclude(struct transfer *self, CURLcode code)
{
    struct outcome *outcome = &self->task->outcome;
    struct fetch_failure failure;

    curl_easy_getinfo(self->easy, CURLINFO_RESPONSE_CODE, &self->status);
    if (self->cause.type[0] != '\0') {
        code = CURLE_OK; /* it was us; libcurl's word for that says nothing */
    } else {
        bool is_whole = code == CURLE_OK;

        /* A status is a better reason than how the page beside it ended. */
        if ((is_whole || self->in_body) && fetch_failure_of_status(self->status, &failure))
            blame_status(self, &failure);
        else if (!is_whole)
            blame_code(self, code);
        else
            keep_result(self, outcome);
    }
    if (self->cause.type[0] != '\0')
        result_write_failure(self, code, outcome);
    transfer_reset(self);
}
