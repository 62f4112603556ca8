#include "worker/fetch/result.h"

#include <msgpack/pack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/limits.h"
#include "common/wire.h"

enum { USUAL_BYTES = 1024 }; /* of a result, but for the body */

/* Of short texts head and body go in one piece (fixstr): a result has forty, and two calls through
 * a pointer for each are a tenth of what it costs. */
static void put_sized(msgpack_packer *p, const char *text, size_t size)
{
    char whole[32];

    if (size >= sizeof whole) {
        msgpack_pack_str_with_body(p, text, size);
        return;
    }
    whole[0] = (char)(0xa0 | size);
    memcpy(whole + 1, text, size);
    ag_buffer_append(p->data, whole, size + 1);
}

static void put_text(msgpack_packer *p, const char *text)
{
    put_sized(p, text, strlen(text));
}

static void put_pair(msgpack_packer *p, const char *key, const char *value)
{
    struct ag_bytes bytes = ag_bytes_of_text(value ? value : "");

    put_text(p, key);
    if (ag_is_utf8(bytes))
        put_sized(p, value ? value : "", bytes.size);
    else
        msgpack_pack_bin_with_body(p, value, bytes.size);
}

static void put_number(msgpack_packer *p, const char *key, uint64_t value)
{
    put_text(p, key);
    msgpack_pack_uint64(p, value);
}

static void put_bool(msgpack_packer *p, const char *key, bool value)
{
    put_text(p, key);
    if (value)
        msgpack_pack_true(p);
    else
        msgpack_pack_false(p);
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

/* What libcurl tells is of the last request; the total is ours, from the first on. */
static void put_times(msgpack_packer *p, const struct transfer *self)
{
    static const struct {
        const char *name;
        CURLINFO info;
    } times[] = {{"connect", CURLINFO_CONNECT_TIME_T},
                 {"tls", CURLINFO_APPCONNECT_TIME_T},
                 {"first_byte", CURLINFO_STARTTRANSFER_TIME_T}};

    put_text(p, "time_ms");
    msgpack_pack_map(p, 5);
    put_text(p, "dns");
    msgpack_pack_double(p, self->hop.resolve_ms);
    for (size_t i = 0; i < 3; i++) {
        curl_off_t us = 0;

        curl_easy_getinfo(self->easy, times[i].info, &us);
        put_text(p, times[i].name);
        msgpack_pack_double(p, (double)us / 1000);
    }
    put_text(p, "total");
    msgpack_pack_double(p, (double)(ag_clock_mono_ms() - self->started_at));
}

struct header {
    const char *name, *value;
    struct header *more; /* the next one of the same name */
    bool is_more;
};

/* By name, then in the order in which they came. */
static int compare_headers(const void *left, const void *right)
{
    const struct header *a = *(struct header *const *)left, *b = *(struct header *const *)right;
    int order = strcmp(a->name, b->name);

    return order != 0 ? order : (a > b) - (a < b);
}

/* Each is linked to the next one of its name. Returns how many names there are. By sorting:
 * comparing each with each takes 10 ms when a server has sent as many as it may. */
static uint32_t link_headers(struct header *headers, uint32_t count)
{
    struct header *sorted[TRANSFER_HEADERS_MAX];
    uint32_t different = count;

    for (uint32_t i = 0; i < count; i++)
        sorted[i] = &headers[i];
    qsort(sorted, count, sizeof *sorted, compare_headers);
    for (uint32_t i = 1; i < count; i++) {
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) != 0)
            continue;
        sorted[i - 1]->more = sorted[i];
        sorted[i]->is_more = true;
        different--;
    }
    return different;
}

/* The value, and after it those of the same name that come later (RFC 9110 5.3); of cookies, which
 * must not be joined, one on each line. */
static void put_joined(msgpack_packer *p, const struct header *header)
{
    struct ag_buffer joined = ag_buffer_empty(TRANSFER_HEADER_BYTES_MAX);

    ag_buffer_text(&joined, header->value);
    for (const struct header *more = header->more; more != NULL; more = more->more) {
        ag_buffer_text(&joined, strcmp(header->name, "set-cookie") == 0 ? "\n" : ", ");
        ag_buffer_text(&joined, more->value);
    }
    put_pair(p, header->name, ag_buffer_as_text(&joined));
    ag_buffer_free(&joined);
}

static void put_headers(msgpack_packer *p, const struct transfer *self)
{
    struct header headers[TRANSFER_HEADERS_MAX];
    const char *at = NULL, *name, *value;
    uint32_t count = 0;

    while (count < TRANSFER_HEADERS_MAX &&
           (at = transfer_next_field(self, at, &name, &value)) != NULL)
        headers[count++] = (struct header){.name = name, .value = value};
    put_text(p, "headers");
    msgpack_pack_map(p, link_headers(headers, count));
    for (const struct header *header = headers; header < headers + count; header++) {
        if (header->more != NULL && !header->is_more)
            put_joined(p, header);
        else if (!header->is_more)
            put_pair(p, header->name, header->value);
    }
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

static void put_archived(msgpack_packer *p, const struct archive_place *place)
{
    put_text(p, "warc");
    msgpack_pack_map(p, 3);
    put_pair(p, "file", place->file);
    put_number(p, "offset", place->offset);
    put_number(p, "length", place->length);
}

void result_write(const struct transfer *self, const char *sha256, const char *file,
                  struct ag_buffer *out)
{
    char *type = NULL, peer[POLICY_TEXT_SIZE];
    long connects = 0;
    curl_off_t wire = 0;
    bool has_body = file != NULL || self->request.body == FETCH_BODY_INLINE;
    bool not_modified = self->hop.status == 304 && self->request.is_conditional;
    msgpack_packer packer;

    *out = ag_buffer_empty(AG_RESULT_BYTES_MAX);
    ag_buffer_reserve(out, USUAL_BYTES + self->body.size); /* else it grows in many steps */
    msgpack_packer_init(&packer, out, ag_buffer_write);
    curl_easy_getinfo(self->easy, CURLINFO_CONTENT_TYPE, &type);
    curl_easy_getinfo(self->easy, CURLINFO_NUM_CONNECTS, &connects);
    curl_easy_getinfo(self->easy, CURLINFO_SIZE_DOWNLOAD_T, &wire);
    print_peer(self->easy, peer);
    msgpack_pack_map(&packer, 13u + has_body + not_modified + self->has_resumed +
                                  (self->request.pages > 0) + (self->archived.file != NULL));
    put_pair(&packer, "url", self->request.url.text);
    put_pair(&packer, "final_url", self->hop.url->text);
    put_number(&packer, "status", (uint64_t)self->hop.status);
    put_headers(&packer, self);
    put_number(&packer, "bytes", self->hop.bytes + self->resumed_from);
    put_number(&packer, "wire_bytes", (uint64_t)wire);
    put_pair(&packer, "sha256", sha256);
    put_pair(&packer, "content_type", type);
    put_pair(&packer, "http_version", version_name(self->easy));
    put_bool(&packer, "reused", connects == 0);
    put_number(&packer, "redirects", self->redirects);
    put_times(&packer, self);
    put_pair(&packer, "peer", peer);
    if (not_modified)
        put_bool(&packer, "not_modified", true);
    if (self->has_resumed)
        put_number(&packer, "resumed_from", self->resumed_from);
    if (self->request.pages > 0)
        put_number(&packer, "pages", self->pages + 1);
    if (self->archived.file != NULL)
        put_archived(&packer, &self->archived);
    if (has_body)
        put_body(&packer, self, file);
}

void result_write_failure(const struct transfer *self, struct outcome *outcome)
{
    const struct cause *cause = &self->cause;
    const char *url = self->request.url.text != NULL ? self->request.url.text : self->request.asked;
    bool has_words = self->hop.error[0] != '\0';
    char peer[POLICY_TEXT_SIZE];
    msgpack_packer packer;

    print_peer(self->easy, peer);
    outcome_fini(outcome);
    snprintf(outcome->type, sizeof outcome->type, "%s", cause->type);
    outcome->retryable = cause->retryable;
    outcome->retry_after_ms = cause->retry_after_ms;
    outcome->error = ag_buffer_empty(AG_RESULT_BYTES_MAX);
    msgpack_packer_init(&packer, &outcome->error, ag_buffer_write);
    msgpack_pack_map(&packer, 5);
    put_pair(&packer, "type", cause->type);
    put_pair(&packer, "message", cause->message);
    put_pair(&packer, "subject", url);
    put_bool(&packer, "retryable", cause->retryable);
    put_text(&packer, "detail");
    msgpack_pack_map(&packer, (self->hop.status > 0) + has_words + (peer[0] != '\0') +
                                  (self->redirects > 0));
    if (self->hop.status > 0)
        put_number(&packer, "status", (uint64_t)self->hop.status);
    if (has_words)
        put_pair(&packer, "curl", self->hop.error);
    if (peer[0] != '\0')
        put_pair(&packer, "peer", peer);
    if (self->redirects > 0) /* it is not about the URL that was asked for */
        put_pair(&packer, "final_url", self->hop.url->text);
    if (outcome->error.failed)
        ag_buffer_free(&outcome->error);
}
