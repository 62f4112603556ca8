/* From step to step: what a transfer waits for, and what comes next. */
#include "worker/fetch/transfer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "worker/fetch/link.h"
#include "worker/fetch/robots.h"

static void go(struct transfer *self);
static void judge(struct transfer *self, CURLcode code);
static void finish(struct transfer *self);
static void end(struct transfer *self);

/* ---- one hop
 * ------------------------------------------------------------------------------------------- */

static void on_disk(void *arg);

static bool begin_exchange(struct transfer *self)
{
    struct argosy_error err = {0};
    struct exchange_config config = {.archive = self->shared->archive,
                                     .disk = self->shared->disk,
                                     .prefix = self->request.warc,
                                     .uri = self->hop.url->text,
                                     .unix_ms = ag_clock_unix_ms(),
                                     .roots = self->shared->roots,
                                     .roots_count = self->shared->roots_count,
                                     .changed = on_disk,
                                     .arg = self};

    exchange_destroy(&self->exchange);
    if (self->request.warc == NULL || self->hop.for_robots)
        return true;
    if (exchange_new(&self->exchange, &config, &err) == 0)
        return true;
    transfer_blame(self, "handler.memory", true, "%s", err.message);
    return false;
}

static int64_t stalls_at(const struct transfer *self)
{
    const struct hop *hop = &self->hop;

    if (self->step == STEP_RESOLVING)
        return hop->began_at + self->request.connect_ms;
    if (self->step != STEP_RUNNING || hop->is_paused)
        return INT64_MAX;
    switch (hop->phase) {
    case PHASE_CONNECTING:
        break;
    case PHASE_WAITING:
        return hop->quiet_since + self->request.first_byte_ms;
    case PHASE_RECEIVING:
        return hop->quiet_since + self->request.idle_ms;
    }
    return INT64_MAX;
}

/* Phases begin without telling the timer, so that looks must not be further apart than the shorter
 * of the limits: then none is noticed late. */
static void set_timer(struct transfer *self)
{
    const struct request *request = &self->request;
    uint32_t shorter =
        request->idle_ms < request->first_byte_ms ? request->idle_ms : request->first_byte_ms;
    int64_t at = stalls_at(self), next = ag_clock_mono_ms() + shorter;

    if (self->step != STEP_RESOLVING && at > next)
        at = next;
    if (at > self->started_at + request->total_ms)
        at = self->started_at + request->total_ms;
    ag_heap_set(self->shared->timers, &self->timer, at);
}

static void run(struct transfer *self)
{
    self->hop.resolve_ms = (uint32_t)(ag_clock_mono_ms() - self->hop.began_at);
    if (!hop_prepare(self) || !shards_add(self->shared->shards, self->place, self->easy)) {
        transfer_blame(self, "handler.memory", true, "the worker has no memory left");
        finish(self);
        return;
    }
    self->step = STEP_RUNNING;
    set_timer(self);
}

/* ---- its address
 * --------------------------------------------------------------------------------------- */

/* "+host:port:address,address": the plus lets it grow old. */
static bool note_addresses(struct transfer *self, const struct resolver_answer *answer)
{
    struct ag_buffer line = ag_buffer_empty(4096);
    char text[INET6_ADDRSTRLEN];

    ag_buffer_printf(&line, "+%s:%u:", self->hop.host, self->hop.port);
    for (size_t i = 0; i < answer->count; i++) {
        const union resolver_address *address = &answer->addresses[i];
        bool is_6 = address->any.sa_family == AF_INET6;

        inet_ntop(address->any.sa_family,
                  is_6 ? (const void *)&address->v6.sin6_addr : &address->v4.sin_addr, text,
                  sizeof text);
        ag_buffer_printf(&line, is_6 ? "%s[%s]" : "%s%s", i > 0 ? "," : "", text);
    }
    self->hop.resolved = curl_slist_append(NULL, ag_buffer_as_text(&line));
    ag_buffer_free(&line);
    return self->hop.resolved != NULL;
}

static void answer_robots(struct transfer *self, int status);

static void on_address(struct transfer *self, const struct resolver_answer *answer)
{
    if (answer->count == 0) {
        if (self->hop.for_robots) {
            answer_robots(self, 0);
            return;
        }
        transfer_blame(self, "fetch.dns", answer->retryable, "could not resolve %s: %s",
                       self->hop.host, answer->text);
        finish(self);
    } else if (!note_addresses(self, answer)) {
        transfer_blame(self, "handler.memory", true, "the worker has no memory left");
        finish(self);
    } else {
        run(self);
    }
}

/* A thousand may have waited for one name: each asks again for itself, what it will find in the
 * resolver's cache, when its timer's turn has come. */
static void on_answered(struct resolver_question *question, const struct resolver_answer *answer)
{
    struct transfer *self = AG_OWNER(question, struct transfer, question);

    (void)answer;
    ag_heap_set(self->shared->timers, &self->timer, 0);
}

static bool is_literal(const char *host)
{
    uint8_t address[16];

    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

static void resolve(struct transfer *self)
{
    struct resolver_answer answer;
    int rc;

    if (self->hop.host[0] == '\0' || is_literal(self->hop.host)) {
        run(self);
        return;
    }
    self->question.answered = on_answered;
    rc = resolver_ask(self->shared->resolver, &self->question, self->hop.host, ag_clock_mono_ms(),
                      &answer);
    if (rc > 0) {
        on_address(self, &answer);
        return;
    }
    if (rc < 0) {
        transfer_blame(self, "handler.memory", true, "the worker has no memory to look up %s",
                       self->hop.host);
        finish(self);
        return;
    }
    self->step = STEP_RESOLVING;
    set_timer(self);
}

static void begin_hop(struct transfer *self, const struct url *url, bool for_robots,
                      unsigned redirects)
{
    struct hop *hop = &self->hop;
    struct ag_buffer fields = hop->fields;
    int64_t now = ag_clock_mono_ms();

    hop_fini(hop);
    ag_buffer_clear(&fields);
    *hop = (struct hop){.url = url,
                        .for_robots = for_robots,
                        .redirects = redirects,
                        .began_at = now,
                        .quiet_since = now,
                        .fields = fields};
    hop->host = self->proxy.text != NULL ? self->proxy.host : url->host;
    hop->port = self->proxy.text != NULL ? self->proxy.port : url->port;
    self->denied[0] = '\0';
    ag_buffer_clear(&self->body);
    EVP_DigestInit_ex2(self->digest, self->shared->sha256, NULL);
    if (strcmp(url->scheme, "file") == 0) {
        if (local_begin(self, on_disk))
            finish(self);
        else
            set_timer(self);
    } else if (begin_exchange(self)) {
        resolve(self);
    } else {
        finish(self);
    }
}

/* ---- robots.txt
 * --------------------------------------------------------------------------------------- */

static void print_origin(const struct url *url, struct ag_buffer *out)
{
    ag_buffer_printf(out, strchr(url->host, ':') != NULL ? "%s://[%s]:%u" : "%s://%s:%u",
                     url->scheme, url->host, url->port);
}

static void fetch_robots(struct transfer *self)
{
    struct ag_buffer text = ag_buffer_empty(URL_BYTES_MAX);
    const char *wrong;

    print_origin(self->page, &text);
    ag_buffer_text(&text, "/robots.txt");
    url_fini(&self->robots_url);
    wrong = url_read(&self->robots_url, ag_buffer_as_text(&text), NULL);
    ag_buffer_free(&text);
    if (wrong != NULL)
        answer_robots(self, 0);
    else
        begin_hop(self, &self->robots_url, true, 0);
}

static void obey(struct transfer *self, enum robots_verdict verdict)
{
    switch (verdict) {
    case ROBOTS_ALLOWED:
        self->robots_known = true;
        go(self);
        return;
    case ROBOTS_WAIT:
        self->step = STEP_ROBOTS;
        set_timer(self);
        return;
    case ROBOTS_FETCH:
        fetch_robots(self);
        return;
    case ROBOTS_REFUSED:
        transfer_blame(self, "fetch.robots", false, "robots.txt of %s does not allow it",
                       self->page->host);
        break;
    case ROBOTS_UNREACHABLE:
        transfer_blame(self, "fetch.robots", true,
                       "robots.txt of %s cannot be had, and without it nothing may be fetched",
                       self->page->host);
        break;
    }
    finish(self);
}

static void on_robots(struct robots_question *question, enum robots_verdict verdict)
{
    struct transfer *self = AG_OWNER(question, struct transfer, robots_question);

    ag_heap_stop(self->shared->timers, &self->timer);
    obey(self, verdict);
}

static void ask_robots(struct transfer *self)
{
    struct ag_buffer origin = ag_buffer_empty(URL_BYTES_MAX);

    print_origin(self->page, &origin);
    self->robots_question.answered = on_robots;
    self->robots_question.path = self->page->path[0] == '/' ? self->page->path : "/";
    obey(self, robots_cache_ask(self->shared->robots, ag_buffer_as_text(&origin),
                                &self->robots_question, ag_clock_mono_ms()));
    ag_buffer_free(&origin);
}

/* What came of it is told to all who wait, ourselves included, one by one: on_robots() goes on. */
static void answer_robots(struct transfer *self, int status)
{
    struct ag_buffer origin = ag_buffer_empty(URL_BYTES_MAX), body = self->body;
    struct robots_answer answer = {.status = status,
                                   .redirects = self->hop.redirects,
                                   .lifetime_ms = -1,
                                   .bytes = ag_buffer_bytes(&body)};

    self->body = ag_buffer_empty(body.size_max);
    self->step = STEP_ROBOTS;
    print_origin(self->page, &origin);
    robots_cache_answer(self->shared->robots, ag_buffer_as_text(&origin), &answer,
                        ag_clock_mono_ms());
    ag_buffer_free(&origin);
    ag_buffer_free(&body);
}

static void on_robots_hop(struct transfer *self, CURLcode code)
{
    struct hop *hop = &self->hop;
    char *location = NULL;
    int64_t now = ag_clock_mono_ms();
    struct url url = {.path = ""};

    curl_easy_getinfo(self->easy, CURLINFO_RESPONSE_CODE, &hop->status);
    if (code == CURLE_OPERATION_TIMEDOUT && now >= self->started_at + self->request.total_ms) {
        /* It was this job that had no more time, which says nothing of the server to others. */
        verdict_of_stall(self, now);
        robots_cache_forget(self->shared->robots, &self->robots_question);
        finish(self);
        return;
    }
    if (!hop->is_redirect || (code != CURLE_OK && !hop->is_cut)) {
        answer_robots(self, code == CURLE_OK || hop->is_cut ? (int)hop->status : 0);
        return;
    }
    curl_easy_getinfo(self->easy, CURLINFO_REDIRECT_URL, &location);
    if (hop->redirects >= ROBOTS_REDIRECTS_MAX || location == NULL ||
        url_read_link(&url, location, NULL) != NULL || !url_is_http(&url)) {
        url_fini(&url);
        hop->redirects++;
        answer_robots(self, (int)hop->status);
        return;
    }
    url_fini(&self->robots_url);
    self->robots_url = url;
    begin_hop(self, &self->robots_url, true, hop->redirects + 1);
}

/* ---- from page to page
 * --------------------------------------------------------------------------------- */

/* To self->page, if it may be. */
static void go(struct transfer *self)
{
    const char *scheme = self->page->scheme;

    if (!policy_allows_scheme(self->shared->policy, scheme)) {
        transfer_blame(self, "fetch.policy", false,
                       "%s is not a scheme that this worker may use; its --allow-scheme option "
                       "names them",
                       scheme[0] != '\0' ? scheme : "this");
        finish(self);
        return;
    }
    if (self->request.robots && !self->robots_known && url_is_http(self->page))
        ask_robots(self);
    else
        begin_hop(self, self->page, false, 0);
}

static void move_to(struct transfer *self, struct url *url)
{
    url_fini(&self->moved);
    self->moved = *url;
    self->page = &self->moved;
    self->robots_known = false;
    go(self);
}

/* RFC 9110 15.4: what a redirect makes of the method; as all clients do it. */
static bool becomes_get(const struct transfer *self)
{
    const char *method = request_method(&self->request);

    if (self->hop.status == 303)
        return strcmp(method, "HEAD") != 0;
    return (self->hop.status == 301 || self->hop.status == 302) && strcmp(method, "POST") == 0;
}

/* What a server says must not make us read files or ask other sorts of servers. It ends here if
 * not. */
static bool may_be_led_to(struct transfer *self, struct url *url)
{
    if (url_is_http(url))
        return true;
    transfer_blame(self, "fetch.policy", false,
                   "the server leads to %.16s:, which only a job itself may ask for", url->scheme);
    url_fini(url);
    finish(self);
    return false;
}

static void follow(struct transfer *self)
{
    const char *wrong = "there is no target";
    char *location = NULL;
    struct url url;

    curl_easy_getinfo(self->easy, CURLINFO_REDIRECT_URL, &location);
    if (location != NULL)
        wrong = url_read_link(&url, location, NULL);
    if (wrong == NULL && !may_be_led_to(self, &url))
        return;
    if (wrong != NULL) {
        transfer_blame(self, "fetch.redirect", false, "a redirect leads nowhere: %s", wrong);
        finish(self);
        return;
    }
    self->as_get |= becomes_get(self);
    self->redirects++;
    self->page_redirects++;
    if (self->upload != NULL && !self->as_get)
        upload_rewind(self->upload);
    move_to(self, &url);
}

/* The next page, if there is one and it is wanted. */
static bool find_next(const struct transfer *self, struct url *url)
{
    const char *at = NULL, *name, *value;
    char target[URL_BYTES_MAX];

    if (self->pages + 1 >= self->request.pages)
        return false;
    while ((at = transfer_next_field(self, at, &name, &value)) != NULL)
        if (strcmp(name, "link") == 0 && link_next(value, target, sizeof target) == 0)
            return url_read_link(url, target, self->page->text) == NULL;
    return false;
}

/* A page is a result of its own, told now. */
static bool turn_page(struct transfer *self)
{
    struct ag_buffer result;
    struct url url;

    if (!find_next(self, &url))
        return false;
    verdict_write_page(self, &result);
    if (!result.failed)
        task_tell(self->task, NULL, ag_buffer_bytes(&result));
    ag_buffer_free(&result);
    self->pages++;
    self->page_redirects = 0;
    self->as_get = true; /* a link is something to get, whatever has led to it */
    if (may_be_led_to(self, &url))
        move_to(self, &url);
    return true;
}

static void close_sink(struct transfer *self)
{
    if (self->sink == NULL || transfer_has_failed(self) || !self->hop.is_wanted) {
        finish(self);
        return;
    }
    self->step = STEP_CLOSING;
    sink_finish(self->sink, self->request.sha256);
}

/* The hop is over and archived: what does it mean, and what comes next? */
static void judge(struct transfer *self, CURLcode code)
{
    struct hop *hop = &self->hop;

    if (hop->is_refused_range && !self->no_resume && !transfer_has_failed(self)) {
        self->no_resume = true;
        self->resumed_from = 0;
        sink_restart(self->sink);
        go(self);
        return;
    }
    if (hop->is_redirect && (code == CURLE_OK || hop->is_cut) && !transfer_has_failed(self) &&
        self->page_redirects < self->request.max_redirects) {
        follow(self);
        return;
    }
    if (!hop->in_body && hop->status == 0 && code == CURLE_OK)
        hop->is_wanted = true; /* an empty file of FTP's */
    verdict_of_hop(self, code);
    if (transfer_has_failed(self) || !turn_page(self))
        close_sink(self);
}

static void on_archived(void *arg)
{
    struct transfer *self = arg;
    const char *failure = exchange_failure(self->exchange);

    if (failure != NULL)
        transfer_blame(self, "fetch.output", false, "not archived: %s", failure);
    else
        exchange_take_place(self->exchange, &self->archived);
    judge(self, self->code);
}

static void archive_hop(struct transfer *self, CURLcode code)
{
    char *peer = NULL;

    curl_easy_getinfo(self->easy, CURLINFO_PRIMARY_IP, &peer);
    exchange_set_peer(self->exchange, peer != NULL ? peer : "");
    exchange_set_truncated(self->exchange, code == CURLE_OK            ? WARC_WHOLE
                                           : code == CURLE_WRITE_ERROR ? WARC_TRUNCATED_LENGTH
                                           : code == CURLE_OPERATION_TIMEDOUT
                                               ? WARC_TRUNCATED_TIME
                                               : WARC_TRUNCATED_DISCONNECT);
    self->code = code;
    self->step = STEP_ARCHIVING;
    archive_append(self->shared->archive, self->exchange, on_archived, self);
}

void transfer_on_finished(struct transfer *self, CURLcode code)
{
    long version = 0;

    shards_remove(self->shared->shards, self->place, self->easy);
    ag_heap_stop(self->shared->timers, &self->timer);
    curl_easy_getinfo(self->easy, CURLINFO_HTTP_VERSION, &version);
    if (strcmp(self->hop.url->scheme, "https") == 0 && version != 0)
        versions_note(self->shared->versions, self->hop.url, version == CURL_HTTP_VERSION_2_0);
    if (self->hop.for_robots)
        on_robots_hop(self, code);
    else if (self->exchange != NULL && exchange_has_answer(self->exchange))
        archive_hop(self, code);
    else
        judge(self, code);
}

/* ---- disks
 * --------------------------------------------------------------------------------------------- */

static bool is_opening(const struct transfer *self)
{
    return (self->sink != NULL && sink_is_busy(self->sink)) ||
           (self->upload != NULL && upload_is_opening(self->upload));
}

/* A pause of ours is over, perhaps not for long. What came meanwhile is handed out in this very
 * call; when that fails, libcurl says so here and never again. */
static void go_on(struct transfer *self)
{
    CURLcode code;

    self->hop.is_paused = self->hop.waits_for_turn = false;
    self->hop.quiet_since = ag_clock_mono_ms();
    self->shared->turn_ends_us = ag_clock_mono_us() + TRANSFER_TURN_US;
    set_timer(self);
    code = curl_easy_pause(self->easy, CURLPAUSE_CONT);
    if (code == CURLE_BAD_FUNCTION_ARGUMENT) /* it failed in its pause: that is about to be told */
        self->hop.is_paused = true;
    else if (code != CURLE_OK)
        transfer_on_finished(self, code);
}

/* Something that a disk is asked for has happened. */
static void on_disk(void *arg)
{
    struct transfer *self = arg;

    switch (self->step) {
    case STEP_LOOKING:
        if (is_opening(self))
            return;
        if (transfer_blame_sink(self))
            finish(self);
        else
            go(self);
        return;
    case STEP_RUNNING:
        if (!self->hop.is_paused)
            return;
        go_on(self);
        return;
    case STEP_COPYING:
        if (local_go_on(self)) {
            ag_heap_stop(self->shared->timers, &self->timer);
            judge(self, CURLE_OK);
        }
        return;
    case STEP_CLOSING:
        if (sink_is_busy(self->sink))
            return;
        transfer_blame_sink(self);
        finish(self);
        return;
    case STEP_ENDING:
        if (!sink_is_busy(self->sink))
            end(self);
        return;
    case STEP_FREE:
    case STEP_ROBOTS:
    case STEP_RESOLVING:
    case STEP_ARCHIVING:
        return;
    }
}

/* ---- the beginning
 * ------------------------------------------------------------------------------------ */

void transfer_begin(struct transfer *self, struct task *task)
{
    self->task = task;
    self->started_at = ag_clock_mono_ms();
    self->step = STEP_LOOKING;
    if (!fit_open(self, on_disk)) {
        finish(self);
        return;
    }
    self->page = &self->request.url;
    if (self->request.resume)
        sink_look(self->sink);
    if (!is_opening(self))
        go(self);
}

/* ---- the end
 * ------------------------------------------------------------------------------------------- */

static void end(struct transfer *self)
{
    struct task *task = self->task;

    verdict_write(self);
    transfer_reset(self);
    self->shared->ended(self, task);
}

/* What has failed is over when nothing of it is left. */
static void finish(struct transfer *self)
{
    ag_heap_stop(self->shared->timers, &self->timer);
    self->step = STEP_ENDING;
    robots_cache_forget(self->shared->robots, &self->robots_question); /* others may wait for us */
    if (self->sink == NULL || sink_is_whole(self->sink) || !sink_close(self->sink))
        end(self);
}

/* Nobody calls us any more. */
static void leave(struct transfer *self)
{
    ag_heap_stop(self->shared->timers, &self->timer);
    resolver_forget(self->shared->resolver, &self->question);
    if (self->step == STEP_RUNNING)
        shards_remove(self->shared->shards, self->place, self->easy);
    self->step = STEP_LOOKING;
}

void transfer_stop(struct transfer *self)
{
    if (self->step == STEP_ENDING)
        return; /* it will not take long */
    leave(self);
    transfer_blame(self, "cancelled", false, "the attempt was stopped");
    finish(self);
}

void transfer_on_timer(struct transfer *self, int64_t now)
{
    bool is_over = now >= self->started_at + self->request.total_ms;

    if (self->step == STEP_RESOLVING && self->question.name == NULL && !is_over) {
        resolve(self); /* it is known now */
        return;
    }
    if (self->step == STEP_RUNNING && self->hop.waits_for_turn && !is_over) {
        go_on(self);
        return;
    }
    if (!is_over && now < stalls_at(self)) {
        set_timer(self);
        return;
    }
    if (self->hop.for_robots && !is_over && self->step != STEP_ROBOTS) {
        leave(self);
        answer_robots(self, 0); /* as good as no answer */
        return;
    }
    verdict_of_stall(self, now);
    leave(self);
    finish(self);
}

/* ---- life
 * ---------------------------------------------------------------------------------------------- */

bool transfer_init(struct transfer *self, struct transfer_shared *shared, unsigned place)
{
    self->shared = shared;
    self->place = place;
    self->easy = curl_easy_init();
    self->digest = EVP_MD_CTX_new();
    self->hop.fields = ag_buffer_empty(TRANSFER_HEADER_BYTES_MAX);
    self->body = ag_buffer_empty(FETCH_INLINE_BYTES_MAX);
    return self->easy != NULL && self->digest != NULL;
}

void transfer_fini(struct transfer *self)
{
    if (self->task != NULL) {
        leave(self);
        transfer_reset(self);
    }
    curl_easy_cleanup(self->easy);
    EVP_MD_CTX_free(self->digest);
    ag_buffer_free(&self->hop.fields);
    ag_buffer_free(&self->body);
}

void transfer_reset(struct transfer *self)
{
    struct ag_buffer fields = self->hop.fields;

    if (self->jar != NULL) {
        curl_easy_setopt(self->easy, CURLOPT_COOKIEFILE, NULL);
        curl_easy_setopt(self->easy, CURLOPT_SHARE, self->shared->share);
        jars_release(self->jar);
    }
    hop_fini(&self->hop);
    ag_buffer_clear(&fields);
    ag_buffer_clear(&self->body);
    request_fini(&self->request);
    url_fini(&self->moved);
    url_fini(&self->robots_url);
    url_fini(&self->proxy);
    sink_destroy(&self->sink);
    upload_destroy(&self->upload);
    exchange_destroy(&self->exchange);
    free(self->archived.file);
    *self = (struct transfer){.easy = self->easy,
                              .place = self->place,
                              .shared = self->shared,
                              .next_free = self->next_free,
                              .body = self->body,
                              .was_plain = self->was_plain,
                              .digest = self->digest,
                              .hop.fields = fields};
}
