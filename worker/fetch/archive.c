#include "worker/fetch/archive.h"

#include <argosy/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/entropy.h"
#include "common/error.h"
#include "common/id.h"
#include "common/log.h"

enum {
    IDLE_MS = 2000
}; /* then files get their names: whoever waits for a batch wants to read them */

struct archive {
    pool_t *pool; /* one thread: the writer's */
    warc_t *warc;
    int64_t finish_at; /* INT64_MAX: no file is open, as far as we know */
};

struct exchange {
    archive_t *archive;
    char *prefix, *uri, *peer;
    int64_t unix_ms;
    enum warc_truncated truncated;
    struct ag_buffer request, head, payload;
    uint64_t payload_size;
    sink_t *spool; /* the payload, when memory is not enough */
    struct exchange_config config;
    void (*done)(void *arg);
    void *done_arg;
    bool is_appending, is_abandoned;
    /* the writer's while it is appended */
    int rc;
    struct argosy_error error;
    struct archive_place place;
};

/* ---- the writer's thread
 * ------------------------------------------------------------------------------ */

static void do_append(void *arg)
{
    struct exchange *self = arg;
    struct warc_place place = {0};
    struct warc_exchange exchange = {.prefix = self->prefix,
                                     .uri = self->uri,
                                     .unix_ms = self->unix_ms,
                                     .peer = self->peer,
                                     .request = ag_buffer_bytes(&self->request),
                                     .response = ag_buffer_bytes(&self->head),
                                     .payload = ag_buffer_bytes(&self->payload),
                                     .payload_size = self->payload_size,
                                     .payload_fd = -1,
                                     .truncated = self->truncated,
                                     .request_truncated =
                                         self->request.failed ? WARC_TRUNCATED_LENGTH : WARC_WHOLE};

    if (self->spool != NULL) {
        exchange.payload = (struct ag_bytes){0};
        exchange.payload_fd = sink_fd(self->spool);
    }
    self->rc = warc_append(self->archive->warc, &exchange, &place, &self->error);
    if (self->rc < 0)
        return;
    self->place = (struct archive_place){strdup(place.file), place.offset, place.length};
    if (self->place.file == NULL)
        self->rc = ag_fail(&self->error, ARGOSY_ENOMEM, "no memory for a name");
}

/* ---- the loop's thread
 * -------------------------------------------------------------------------------- */

static void free_exchange(struct exchange *self)
{
    sink_destroy(&self->spool);
    ag_buffer_free(&self->request);
    ag_buffer_free(&self->head);
    ag_buffer_free(&self->payload);
    free(self->prefix);
    free(self->uri);
    free(self->peer);
    free(self->place.file);
    free(self);
}

static void on_appended(void *arg)
{
    struct exchange *self = arg;

    self->is_appending = false;
    if (self->is_abandoned)
        free_exchange(self);
    else
        self->done(self->done_arg);
}

static void submit(struct exchange *self)
{
    if (self->archive->pool != NULL &&
        pool_submit(self->archive->pool,
                    &(struct pool_item){.work = do_append, .done = on_appended, .arg = self}) == 0)
        return;
    self->rc = ag_fail(&self->error, ARGOSY_ENOMEM, "no memory to archive an exchange");
    on_appended(self);
}

/* The spool has room, is all written, or has failed. */
static void on_spool(void *arg)
{
    struct exchange *self = arg;
    const char *failure;
    int code;

    if (!self->is_appending) {
        self->config.changed(self->config.arg);
        return;
    }
    if (sink_is_busy(self->spool))
        return;
    failure = sink_failure(self->spool, &code);
    if (failure == NULL) {
        submit(self);
        return;
    }
    self->rc = ag_fail(&self->error, code, "%s", failure);
    on_appended(self);
}

void archive_append(archive_t *self, struct exchange *exchange, void (*done)(void *arg), void *arg)
{
    self->finish_at = ag_clock_mono_ms() + IDLE_MS;
    exchange->done = done;
    exchange->done_arg = arg;
    exchange->is_appending = true;
    if (exchange->spool != NULL)
        sink_flush(exchange->spool); /* on_spool() goes on */
    else
        submit(exchange);
}

int exchange_new(struct exchange **out, const struct exchange_config *config,
                 struct argosy_error *err)
{
    struct exchange *self = calloc(1, sizeof *self);

    *out = NULL;
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory to archive an exchange");
    self->config = *config;
    self->archive = config->archive;
    self->unix_ms = config->unix_ms;
    self->prefix = strdup(config->prefix);
    self->uri = strdup(config->uri);
    self->request = self->head = ag_buffer_empty(ARCHIVE_HEAD_MAX);
    self->payload = ag_buffer_empty(ARCHIVE_MEMORY);
    if (self->prefix == NULL || self->uri == NULL) {
        free_exchange(self);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory to archive an exchange");
    }
    *out = self;
    return 0;
}

void exchange_begin_request(struct exchange *self)
{
    ag_buffer_clear(&self->request);
}

void exchange_add_request(struct exchange *self, const void *data, size_t size)
{
    ag_buffer_append(&self->request, data, size);
}

void exchange_add_head(struct exchange *self, const char *line, size_t size)
{
    if (size >= 5 && memcmp(line, "HTTP/", 5) == 0)
        ag_buffer_clear(&self->head);
    ag_buffer_append(&self->head, line, size);
}

static bool open_spool(struct exchange *self)
{
    char *path = NULL;
    struct sink_config config = {.pool = self->config.disk,
                                 .roots = self->config.roots,
                                 .roots_count = self->config.roots_count,
                                 .changed = on_spool,
                                 .arg = self};

    if (asprintf(&path, "%s.body", self->prefix) < 0)
        return false;
    config.path = path;
    self->rc = sink_new(&self->spool, &config, &self->error);
    free(path);
    return self->rc == 0;
}

bool exchange_add_payload(struct exchange *self, const void *data, size_t size)
{
    const char *failure;
    int code;

    if (self->rc == 0 && self->spool != NULL &&
        (failure = sink_failure(self->spool, &code)) != NULL) /* it will never have room again */
        self->rc = ag_fail(&self->error, code, "%s", failure);
    if (self->rc < 0)
        return true; /* it is said at the end */
    if (self->spool == NULL && self->payload.size + size > ARCHIVE_MEMORY) {
        if (!open_spool(self))
            return true;
        sink_write(self->spool, self->payload.data, self->payload.size);
        ag_buffer_free(&self->payload);
    }
    if (self->spool != NULL && !sink_has_room(self->spool, size))
        return false;
    if (self->spool != NULL)
        sink_write(self->spool, data, size);
    else
        ag_buffer_append(&self->payload, data, size);
    self->payload_size += size;
    return true;
}

void exchange_set_peer(struct exchange *self, const char *peer)
{
    free(self->peer);
    self->peer = peer[0] != '\0' ? strdup(peer) : NULL;
}

void exchange_set_truncated(struct exchange *self, enum warc_truncated truncated)
{
    self->truncated = truncated;
}

bool exchange_has_answer(const struct exchange *self)
{
    return self->head.size > 0;
}

const char *exchange_failure(const struct exchange *self)
{
    return self->rc < 0 ? self->error.message : NULL;
}

void exchange_take_place(struct exchange *self, struct archive_place *place)
{
    free(place->file);
    *place = self->place;
    self->place.file = NULL;
}

void exchange_destroy(struct exchange **self_p)
{
    struct exchange *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    self->is_abandoned = true;
    if (!self->is_appending)
        free_exchange(self);
}

/* ---- the archive
 * -------------------------------------------------------------------------------------- */

int archive_new(archive_t **out, const char *host, const char *const *roots, size_t roots_count,
                struct argosy_error *err)
{
    archive_t *self = calloc(1, sizeof *self);
    uint8_t random[AG_ID_RANDOM_BYTES];
    char instance[AG_ID_TEXT_SIZE];
    int rc;

    *out = NULL;
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for an archive");
    self->finish_at = INT64_MAX;
    rc = ag_entropy(random, sizeof random, err);
    if (rc == 0) {
        struct ag_id id = ag_id_make(ag_clock_unix_ms(), random);

        ag_id_print(&id, instance);
        rc = warc_new(&self->warc,
                      &(struct warc_config){.software = "argosy/" ARGOSY_VERSION,
                                            .hostname = host,
                                            .instance = instance,
                                            .roots = roots,
                                            .roots_count = roots_count,
                                            .random = ag_entropy},
                      err);
    }
    if (rc == 0 && (self->pool = pool_new(1, err)) == NULL)
        rc = err->code;
    if (rc < 0)
        archive_destroy(&self);
    *out = self;
    return rc;
}

int archive_fd(const archive_t *self)
{
    return pool_fd(self->pool);
}

void archive_collect(archive_t *self)
{
    pool_collect(self->pool);
}

static void do_finish(void *arg)
{
    archive_t *self = arg;
    struct argosy_error err = {0};

    if (warc_finish(self->warc, &err) < 0)
        ag_log_warning("fetch", "an archive could not be closed", ag_kv("reason", err.message));
}

static void on_finished(void *arg)
{
    (void)arg;
}

int64_t archive_deadline(const archive_t *self)
{
    return self->finish_at;
}

void archive_on_timer(archive_t *self, int64_t now)
{
    if (now < self->finish_at)
        return;
    self->finish_at =
        pool_submit(self->pool,
                    &(struct pool_item){.work = do_finish, .done = on_finished, .arg = self}) == 0
            ? INT64_MAX
            : now + IDLE_MS;
}

void archive_stop(archive_t *self)
{
    pool_destroy(&self->pool); /* sets NULL: submit() sees it */
}

void archive_destroy(archive_t **self_p)
{
    archive_t *self = *self_p;

    if (self == NULL)
        return;
    archive_stop(self);
    warc_destroy(&self->warc);
    free(self);
    *self_p = NULL;
}
