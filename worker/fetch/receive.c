/* What libcurl calls while a request runs. Nothing of libcurl's may be called from here but
 * questions; what has to be done about an answer is noted, and done when it is over. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "worker/fetch/robots.h"
#include "worker/fetch/transfer.h"

/* ---- the head of the answer
 * ---------------------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct ag_bytes trim(const char *at, const char *end)
{
    while (at < end && is_space(*at))
        at++;
    while (end > at && is_space(end[-1]))
        end--;
    return ag_bytes_of(at, (size_t)(end - at));
}

/* The old way of writing long values (RFC 9112 5.2): it belongs to the line before. */
static void unfold(struct hop *hop, struct ag_bytes more)
{
    if (hop->fields_count == 0 || hop->fields.failed)
        return;
    hop->fields.size--; /* the zero */
    ag_buffer_text(&hop->fields, " ");
    ag_buffer_append(&hop->fields, more.data, more.size);
    ag_buffer_append(&hop->fields, "", 1);
}

static void keep_field(struct hop *hop, const char *line, size_t size)
{
    const char *colon = memchr(line, ':', size);
    struct ag_bytes value;
    size_t name;
    uint8_t *to;

    if (is_space(line[0])) {
        unfold(hop, trim(line, line + size));
        return;
    }
    if (colon == NULL)
        return;
    name = trim(line, colon).size;
    value = trim(colon + 1, line + size);
    if (name == 0)
        return;
    to = ag_buffer_reserve(&hop->fields, name + value.size + 2);
    if (to == NULL)
        return;
    for (size_t i = 0; i < name; i++)
        to[i] = (uint8_t)(line[i] >= 'A' && line[i] <= 'Z' ? line[i] + 'a' - 'A' : line[i]);
    to[name] = '\0';
    if (value.size > 0)
        memcpy(to + name + 1, value.data, value.size);
    to[name + 1 + value.size] = '\0';
    hop->fields.size += name + value.size + 2;
    hop->fields_count++;
}

const char *transfer_next_field(const struct transfer *self, const char *at, const char **name,
                                const char **value)
{
    const struct ag_buffer *fields = &self->hop.fields;

    if (at == NULL)
        at = (const char *)fields->data;
    if (at == NULL || at == (const char *)fields->data + fields->size)
        return NULL;
    *name = at;
    *value = at + strlen(at) + 1;
    return *value + strlen(*value) + 1;
}

const char *transfer_field(const struct transfer *self, const char *name)
{
    const char *at = NULL, *here, *value;

    while ((at = transfer_next_field(self, at, &here, &value)) != NULL)
        if (strcmp(here, name) == 0)
            return value;
    return "";
}

/* What the server says of the body's length, as it is sent; -1: nothing. */
static curl_off_t announced(const struct transfer *self)
{
    curl_off_t length = -1;

    curl_easy_getinfo(self->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    return length;
}

static bool is_redirect(const struct transfer *self)
{
    long status = self->hop.status;

    return (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) &&
           transfer_field(self, "location")[0] != '\0' &&
           (self->hop.for_robots || self->request.max_redirects > 0);
}

/* Exactly what was asked for: from where we have ended to the end. Less is allowed (RFC 9110
 * 15.3.7), but no use to us. */
static bool is_the_rest(const char *range, uint64_t from, uint64_t *total)
{
    unsigned long long first, last, whole;

    if (sscanf(range, "bytes %llu-%llu/%llu", &first, &last, &whole) != 3 || first != from ||
        last < first || last + 1 != whole)
        return false;
    *total = whole;
    return true;
}

/* An answer to "from there on, if it is still the same" (RFC 9110 14.4): a 206 must be the rest; a
 * 200 means that it is not the same any more. */
static bool check_range(struct transfer *self)
{
    if (self->hop.status == 206) {
        if (self->resumed_from > 0 && is_the_rest(transfer_field(self, "content-range"),
                                                  self->resumed_from, &self->hop.range_total)) {
            self->has_resumed = true;
            return true;
        }
        self->hop.is_refused_range = self->resumed_from > 0;
        return !self->hop.is_refused_range;
    }
    if (self->hop.status == 416 && self->resumed_from > 0) {
        self->hop.is_refused_range = true;
        return false;
    }
    self->resumed_from = 0;
    return true;
}

/* A part can be gone on with only if the answer it is of can be told from all others. */
static void mark_sink(struct transfer *self)
{
    const char *validator = transfer_field(self, "etag");

    if (self->sink == NULL || !self->request.resume || self->has_resumed)
        return;
    if (validator[0] != '"') /* weak ones, W/"...", are not good for ranges */
        validator = transfer_field(self, "last-modified");
    if (strlen(validator) >= SINK_VALIDATOR_SIZE || strpbrk(validator, "\r\n") != NULL)
        validator = "";
    sink_mark(self->sink, validator);
}

/* The head is whole. False: not another byte. */
static bool judge_head(struct transfer *self)
{
    const struct request *request = &self->request;
    struct hop *hop = &self->hop;
    bool accepted;

    curl_easy_getinfo(self->easy, CURLINFO_RESPONSE_CODE, &hop->status);
    if (hop->status < 200)
        return true; /* an answer before the answer */
    hop->has_head = true;
    hop->is_redirect = is_redirect(self);
    if (hop->for_robots || hop->is_redirect)
        return true;
    if (!check_range(self))
        return false;
    accepted = request_accepts_status(request, hop->status);
    hop->is_wanted = accepted && hop->status / 100 != 3;
    if (!hop->is_wanted)
        return true;
    if (!request_accepts_type(request, transfer_field(self, "content-type"))) {
        transfer_blame(self, "fetch.type", false, "the answer is '%.128s', which was not asked for",
                       transfer_field(self, "content-type"));
        return false;
    }
    if (!request->head && announced(self) > 0 &&
        (uint64_t)announced(self) + self->resumed_from > request->max_wire_bytes) {
        transfer_blame(self, "fetch.too_large", false,
                       "the body is said to be larger than the limit of %llu bytes",
                       (unsigned long long)request->max_wire_bytes);
        return false;
    }
    mark_sink(self);
    return true;
}

static size_t on_header(char *line, size_t one, size_t size, void *arg)
{
    struct transfer *self = arg;
    struct hop *hop = &self->hop;

    (void)one;
    hop->phase = PHASE_RECEIVING;
    hop->quiet_since = ag_clock_mono_ms();
    if (hop->has_head)
        return size; /* behind the body: nobody has asked for trailers, nor believes them */
    if (!url_is_http(hop->url))
        return size; /* what an FTP server says besides */
    if (self->exchange != NULL)
        exchange_add_head(self->exchange, line, size);
    if (size >= 5 && memcmp(line, "HTTP/", 5) == 0) { /* a new answer, after a 100 or a 103 */
        ag_buffer_clear(&hop->fields);
        hop->fields_count = 0;
    } else if (line[0] == '\r' || line[0] == '\n') {
        if (!judge_head(self))
            return 0;
    } else if (memchr(line, '\0', size) == NULL) {
        keep_field(hop, line, size);
    }
    if (!hop->fields.failed && hop->fields_count <= TRANSFER_HEADERS_MAX)
        return size;
    transfer_blame(self, "fetch.too_large", false, "there are more than %d headers, or %d bytes",
                   TRANSFER_HEADERS_MAX, TRANSFER_HEADER_BYTES_MAX);
    return 0;
}

/* ---- the body
 * ------------------------------------------------------------------------------------------ */

/* Both lengths are of what is sent, so that a compressed body is told rightly too. */
static void note_progress(const struct transfer *self, uint64_t wire)
{
    uint64_t total = self->hop.wire_bytes_total + self->resumed_from;

    if (self->hop.wire_bytes_total == 0)
        return;
    wire += self->resumed_from;
    atomic_store_explicit(&self->task->permille,
                          wire < total ? (unsigned)(wire * 1000 / total) : 1000,
                          memory_order_relaxed);
}

/* What was sent for what has been unpacked so far, at most: of chunks libcurl counts what it has
 * just read only when we have had all of it. Told exactly at the end (verdict.c). */
static uint64_t wire_bytes_at_most(const struct transfer *self, uint64_t counted)
{
    bool is_file = self->request.body == FETCH_BODY_FILE;

    return self->hop.wire_bytes_total > 0
               ? counted
               : counted + (is_file ? TRANSFER_FILE_BUFFER : CURL_MAX_WRITE_SIZE);
}

bool receive_check_sizes(struct transfer *self, bool is_over)
{
    const struct request *request = &self->request;
    uint64_t bytes = self->hop.bytes + self->resumed_from, wire_at_most;
    curl_off_t wire = 0;

    curl_easy_getinfo(self->easy, CURLINFO_SIZE_DOWNLOAD_T, &wire);
    note_progress(self, (uint64_t)wire);
    wire_at_most = is_over ? (uint64_t)wire : wire_bytes_at_most(self, (uint64_t)wire);
    if (bytes > request->max_bytes)
        transfer_blame(self, "fetch.too_large", false,
                       "the body is larger than the limit of %llu bytes",
                       (unsigned long long)request->max_bytes);
    else if ((uint64_t)wire + self->resumed_from > request->max_wire_bytes)
        transfer_blame(self, "fetch.too_large", false,
                       "the body is sent in more than the limit of %llu bytes",
                       (unsigned long long)request->max_wire_bytes);
    else if (request->max_ratio > 0 && self->hop.bytes > FETCH_RATIO_FROM &&
             self->hop.bytes / request->max_ratio > wire_at_most)
        transfer_blame(self, "fetch.too_large", false,
                       "the body unpacks to more than %u times what is sent (max_ratio)",
                       request->max_ratio);
    else
        return true;
    return false;
}

static size_t keep_inline(struct transfer *self, const char *data, size_t size)
{
    if (self->hop.bytes > FETCH_INLINE_BYTES_MAX) {
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

static size_t keep(struct transfer *self, const char *data, size_t size)
{
    if (self->sink != NULL) {
        sink_write(self->sink, data, size);
        return size;
    }
    EVP_DigestUpdate(self->digest, data, size);
    return self->request.body == FETCH_BODY_INLINE ? keep_inline(self, data, size) : size;
}

/* robots.txt, a redirect's page, an error's: of these there is an end. */
static size_t keep_unwanted(struct transfer *self, const char *data, size_t size)
{
    struct hop *hop = &self->hop;

    hop->bytes += size;
    if (hop->for_robots && !hop->is_redirect && hop->status / 100 == 2) {
        size_t room = self->body.size < ROBOTS_BYTES_MAX ? ROBOTS_BYTES_MAX - self->body.size : 0;

        ag_buffer_append(&self->body, data, size < room ? size : room);
    }
    if (hop->bytes <= TRANSFER_APOLOGY_BYTES_MAX)
        return size;
    hop->is_cut = true;
    return 0;
}

bool receive_bytes(struct transfer *self, const char *data, size_t size)
{
    self->hop.bytes += size;
    return receive_check_sizes(self, false) && keep(self, data, size) == size;
}

/* libcurl reads up to a hundred times before it lets others have their turn. */
static bool is_out_of_turn(struct transfer *self, int64_t now_us)
{
    if (!self->hop.is_packed || now_us < self->shared->turn_ends_us)
        return false;
    self->hop.waits_for_turn = true;
    ag_heap_set(self->shared->timers, &self->timer, now_us / 1000 + 1);
    return true;
}

/* The body of an answer, decoded. */
static size_t on_body(char *data, size_t one, size_t size, void *arg)
{
    struct transfer *self = arg;
    struct hop *hop = &self->hop;
    int64_t now_us = ag_clock_mono_us();
    int code;

    (void)one;
    hop->quiet_since = now_us / 1000;
    if (!hop->in_body) {
        curl_off_t length = announced(self);

        hop->in_body = true;
        hop->is_packed = transfer_field(self, "content-encoding")[0] != '\0';
        hop->wire_bytes_total = hop->is_wanted && length > 0 ? (uint64_t)length : 0;
        if (hop->status == 0) /* no HTTP: a file of FTP's has neither status nor head */
            hop->is_wanted = true;
    }
    if (self->sink != NULL && sink_failure(self->sink, &code) != NULL)
        return 0; /* it is told at the end; it will never have room again */
    /* First who may have to wait, then who takes it: what is paused comes again, whole. */
    if (is_out_of_turn(self, now_us) ||
        (hop->is_wanted && self->sink != NULL && !sink_has_room(self->sink, size)) ||
        (self->exchange != NULL && !exchange_add_payload(self->exchange, data, size))) {
        hop->is_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (!hop->is_wanted)
        return keep_unwanted(self, data, size);
    return receive_bytes(self, data, size) ? size : 0;
}

/* ---- the request
 * ---------------------------------------------------------------------------------------- */

static size_t on_upload(char *out, size_t one, size_t size, void *arg)
{
    struct transfer *self = arg;
    size_t got;
    int code;

    self->hop.quiet_since = ag_clock_mono_ms();
    got = upload_read(self->upload, out, one * size);
    if (got > 0 || upload_is_at_end(self->upload))
        return got;
    if (upload_failure(self->upload, &code) != NULL)
        return CURL_READFUNC_ABORT;
    self->hop.is_paused = true;
    return CURL_READFUNC_PAUSE;
}

static int on_rewind(void *arg, curl_off_t offset, int origin)
{
    struct transfer *self = arg;

    if (offset != 0 || origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    upload_rewind(self->upload);
    return CURL_SEEKFUNC_OK;
}

/* Only for archives: libcurl tells what it sends here and nowhere else. */
static int on_debug(CURL *easy, curl_infotype type, char *data, size_t size, void *arg)
{
    struct transfer *self = arg;

    (void)easy;
    if (self->exchange != NULL && (type == CURLINFO_HEADER_OUT || type == CURLINFO_DATA_OUT))
        exchange_add_request(self->exchange, data, size);
    return 0;
}

/* ---- connections
 * ---------------------------------------------------------------------------------------- */

static bool may_reach(struct transfer *self, const struct sockaddr *address)
{
    /* A proxy was allowed by its name; the data connections of FTP go to any port. */
    return self->request.proxy != NULL ||
           policy_allows(self->shared->policy, address,
                         strncmp(self->hop.url->scheme, "ftp", 3) == 0);
}

/* The only place where a connection begins: nothing that the policy refuses gets past it. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *self = arg;

    if (purpose != CURLSOCKTYPE_IPCXN || !may_reach(self, &address->addr)) {
        policy_print(&address->addr, self->denied);
        return CURL_SOCKET_BAD;
    }
    return shards_open(self->shared->shards, address);
}

static bool may_reach_peer(struct transfer *self, const char *peer, int port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    const struct sockaddr *address = (const void *)&v6;

    if (inet_pton(AF_INET, peer, &v4.sin_addr) == 1)
        address = (const void *)&v4;
    else if (inet_pton(AF_INET6, peer, &v6.sin6_addr) != 1)
        return false;
    if (may_reach(self, address))
        return true;
    policy_print(address, self->denied);
    return false;
}

/* Connected, whether anew or to a connection that was kept: the request goes out now. A kept one
 * was made for another job; whether this one may use it is asked again. */
static int on_ready(void *arg, char *peer, char *here, int peer_port, int port)
{
    struct transfer *self = arg;

    (void)here;
    (void)port;
    self->denied[0] = '\0';
    if (!policy_is_open(self->shared->policy) && !may_reach_peer(self, peer, peer_port))
        return CURL_PREREQFUNC_ABORT;
    if (self->exchange != NULL)
        exchange_begin_request(self->exchange);
    self->hop.phase = PHASE_WAITING;
    self->hop.quiet_since = ag_clock_mono_ms();
    return CURL_PREREQFUNC_OK;
}

void receive_set_callbacks(struct transfer *self)
{
    CURL *easy = self->easy;

    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, self);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, shards_close);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, self->shared->shards);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_ready);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, self);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, self);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, self);
    if (self->upload != NULL) {
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_upload);
        curl_easy_setopt(easy, CURLOPT_READDATA, self);
        curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_rewind);
        curl_easy_setopt(easy, CURLOPT_SEEKDATA, self);
    }
    if (self->exchange != NULL) {
        curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_debug);
        curl_easy_setopt(easy, CURLOPT_DEBUGDATA, self);
        curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    }
}
