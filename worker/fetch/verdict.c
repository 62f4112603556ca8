/* How a hop ended, in the words of doc/semantics.md, and the outcome of the whole. */
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/wire.h"
#include "worker/fetch/errors.h"
#include "worker/fetch/result.h"
#include "worker/fetch/transfer.h"

/* Some of it may be a server's words, or cut in the middle of a character; a message is text. */
static void clean(char *text)
{
    ag_drop_half_character(text);
    if (ag_is_utf8(ag_bytes_of_text(text)))
        return;
    for (; *text != '\0'; text++)
        if ((unsigned char)*text >= 0x80)
            *text = '?';
}

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
    clean(cause->message);
}

bool transfer_has_failed(const struct transfer *self)
{
    return self->cause.type[0] != '\0';
}

bool transfer_blame_sink(struct transfer *self)
{
    const char *failure;
    int code = 0;

    failure = self->sink != NULL ? sink_failure(self->sink, &code) : NULL;
    if (failure == NULL && self->upload != NULL)
        failure = upload_failure(self->upload, &code);
    if (failure == NULL)
        return false;
    transfer_blame(self,
                   code == ARGOSY_EREJECTED ? "fetch.policy"
                   : code == ARGOSY_EPROTO  ? "fetch.checksum"
                   : code == ARGOSY_ENOMEM  ? "handler.memory"
                                            : "fetch.output",
                   code == ARGOSY_ENOMEM, "%s", failure);
    return true;
}

/* ---- one hop
 * ------------------------------------------------------------------------------------------- */

enum { TOO_MANY_MS = 1000 }; /* the host is left alone for, when it only says 429 */

/* Seconds or a date (RFC 9110 10.2.3): libcurl has read it already. */
static uint32_t retry_after_ms(CURL *easy, long status)
{
    curl_off_t after = 0;

    curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &after);
    if (after <= 0)
        return status == 429 ? TOO_MANY_MS : 0;
    return 1000 * (after < TRANSFER_RETRY_AFTER_S ? (uint32_t)after : TRANSFER_RETRY_AFTER_S);
}

static void blame_status(struct transfer *self)
{
    struct fetch_failure failure;

    if (!fetch_failure_of_status(self->hop.status, &failure)) {
        snprintf(failure.type, sizeof failure.type, "fetch.http.unexpected.%ld", self->hop.status);
        failure.retryable = false;
        failure.message = "not one of the statuses that are accepted";
    }
    transfer_blame(self, failure.type, failure.retryable, "%s", failure.message);
    self->cause.retry_after_ms = retry_after_ms(self->easy, self->hop.status);
}

/* Whether the server may have done what was asked for, and must not be asked twice. */
static bool may_have_happened(const struct transfer *self)
{
    bool is_about_robots = self->hop.for_robots || self->step == STEP_ROBOTS;

    return !self->as_get && !is_about_robots && self->hop.phase != PHASE_CONNECTING &&
           !request_may_be_repeated(&self->request);
}

static void blame_failure(struct transfer *self, const struct fetch_failure *failure,
                          const char *more)
{
    bool retryable = failure->retryable && !may_have_happened(self);

    transfer_blame(self, failure->type, retryable, "%s%s%s%s", failure->message,
                   more[0] != '\0' ? ": " : "", more,
                   retryable == failure->retryable
                       ? ""
                       : "; it may have been carried out, so it is not sent again (idempotent)");
}

static void blame_code(struct transfer *self, CURLcode code)
{
    const struct hop *hop = &self->hop;
    struct fetch_progress progress = {.connected = hop->phase != PHASE_CONNECTING,
                                      .answered = hop->phase == PHASE_RECEIVING,
                                      .in_headers = hop->phase == PHASE_RECEIVING && !hop->in_body,
                                      .out_of_time = ag_clock_mono_ms() - self->started_at >=
                                                     self->request.total_ms};
    struct fetch_failure failure;
    long verified = 0;

    if (self->denied[0] != '\0' &&
        (code == CURLE_COULDNT_CONNECT || code == CURLE_ABORTED_BY_CALLBACK)) {
        transfer_blame(self, "fetch.policy", false,
                       "the address %s may not be reached from this worker; its --allow-net and "
                       "--allow-port options open networks and ports",
                       self->denied);
        return;
    }
    if (code == CURLE_OUT_OF_MEMORY && hop->is_paused) {
        /* While we wait, for the disk or our turn, libcurl unpacks all it has read, and keeps it: up to 64 MB. */
        transfer_blame(self, "fetch.too_large", false,
                       "the body unpacks to far more than is sent: more than can be kept while it "
                       "waits");
        return;
    }
    fetch_failure_of_code(code, &progress, &failure);
    if (strstr(hop->error, "chunked-encoding") !=
        NULL) { /* the same code as for a lost connection */
        strcpy(failure.type, "fetch.protocol");
        failure.retryable = false;
        failure.message = "the body's chunks are not as they must be";
    }
    curl_easy_getinfo(self->easy, CURLINFO_SSL_VERIFYRESULT, &verified);
    blame_failure(self, &failure,
                  code == CURLE_PEER_FAILED_VERIFICATION && verified != 0
                      ? X509_verify_cert_error_string(verified)
                      : "");
}

void verdict_of_hop(struct transfer *self, CURLcode code)
{
    struct hop *hop = &self->hop;

    curl_easy_getinfo(self->easy, CURLINFO_RESPONSE_CODE, &hop->status);
    if (transfer_has_failed(self) || transfer_blame_sink(self))
        return; /* it was us; libcurl's word for that says nothing */
    if (url_is_http(hop->url) && (code == CURLE_OK || hop->in_body || hop->is_cut) &&
        !request_accepts_status(&self->request, hop->status))
        blame_status(self); /* a better reason than how the page beside it ended */
    else if (code != CURLE_OK && !hop->is_cut)
        blame_code(self, code);
    else if (hop->is_redirect)
        transfer_blame(self, "fetch.redirect", false, "too many redirects");
    else if (hop->range_total > 0 && self->resumed_from + hop->bytes != hop->range_total)
        transfer_blame(self, "fetch.truncated", true, "the rest of the body is not all of it");
    else if (hop->is_wanted)
        receive_check_sizes(self, true);
}

void verdict_of_stall(struct transfer *self, int64_t now)
{
    const struct request *request = &self->request;
    struct fetch_failure failure = {.retryable = true};
    char message[128];

    failure.message = message;
    if (now >= self->started_at + request->total_ms) {
        strcpy(failure.type, "fetch.timeout.total");
        snprintf(message, sizeof message, "the fetch took longer than its limit");
    } else if (self->step == STEP_RESOLVING) {
        strcpy(failure.type, "fetch.timeout.connect");
        snprintf(message, sizeof message, "the host's name was not resolved in %u ms",
                 request->connect_ms);
    } else if (self->hop.phase == PHASE_RECEIVING) {
        strcpy(failure.type, "fetch.timeout.idle");
        snprintf(message, sizeof message, "nothing came for %u ms", request->idle_ms);
    } else {
        strcpy(failure.type, "fetch.timeout.first_byte");
        snprintf(message, sizeof message, "no answer came for %u ms", request->first_byte_ms);
    }
    blame_failure(self, &failure, "");
}

/* ---- the whole
 * --------------------------------------------------------------------------------------- */

static void finish_digest(struct transfer *self, char hex[65])
{
    uint8_t digest[32] = {0};

    EVP_DigestFinal_ex(self->digest, digest, NULL);
    ag_hex_print(digest, sizeof digest, hex);
}

void verdict_write_page(struct transfer *self, struct ag_buffer *out)
{
    char sha256[65];

    finish_digest(self, sha256);
    result_write(self, sha256, NULL, out);
}

void verdict_write(struct transfer *self)
{
    struct outcome *outcome = &self->task->outcome;
    const char *wanted = self->request.sha256;
    bool has_file = self->sink != NULL && sink_is_whole(self->sink);
    char sha256[65];

    if (has_file)
        snprintf(sha256, sizeof sha256, "%s", sink_sha256(self->sink));
    else
        finish_digest(self, sha256);
    if (!transfer_has_failed(self) && wanted != NULL && !has_file && self->hop.is_wanted &&
        strcasecmp(wanted, sha256) != 0)
        transfer_blame(self, "fetch.checksum", false, "the body's sha256 is %s, not %s", sha256,
                       wanted);
    if (!transfer_has_failed(self)) {
        result_write(self, sha256, has_file ? sink_path(self->sink) : NULL, &outcome->result);
        if (outcome->result.failed)
            transfer_blame(self, "handler.memory", true, "the worker has no memory left");
    }
    outcome->succeeded = !transfer_has_failed(self);
    if (!outcome->succeeded)
        result_write_failure(self, outcome);
}
