#include "worker/fetch/sink.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/assert.h"
#include "common/buffer.h"
#include "common/error.h"
#include "worker/fetch/output.h"

enum { WRITE_FROM = 128 << 10 }; /* less is not worth a thread's attention before the end */

/* What a pool thread is asked to do; it owns `work` meanwhile. */
struct work {
    bool looks, restarts, ends; /* ends: nothing of it is wanted any more */
    bool finishes, flushes;     /* flushes: all of it is written, and it has no name to get */
    bool is_hashed_apart;       /* by a thread that has the digest, while another writes */
    struct ag_buffer bytes;
    output_t *output;
    EVP_MD_CTX *digest;
    bool is_done; /* the file has its name */
    int rc;
    struct argosy_error error;
    uint64_t found;
    char validator[SINK_VALIDATOR_SIZE]; /* found; then of what is written */
    char sha256[65];
    char wanted[65];
};

struct sink {
    struct sink_config config;
    char *path, *resume_key;
    struct ag_buffer filling;
    unsigned items; /* that the pool has; with none it is not busy */
    bool wants_finish, wants_restart, is_closing, is_abandoned;
    struct work work;
};

/* ---- on a pool thread
 * --------------------------------------------------------------------------------- */

static int begin(sink_t *self)
{
    struct work *work = &self->work;
    const struct sink_config *config = &self->config;

    if (work->output != NULL)
        return 0;
    return output_new(&work->output, self->path, config->roots, config->roots_count,
                      self->resume_key, &work->error);
}

static int look(sink_t *self)
{
    struct work *work = &self->work;
    int rc = begin(self);

    if (rc == 0)
        rc = output_find(work->output, work->digest, &work->found, work->validator,
                         sizeof work->validator, &work->error);
    return rc;
}

static int write_bytes(sink_t *self)
{
    struct work *work = &self->work;
    int rc = begin(self);

    if (rc == 0 && work->restarts) {
        rc = output_restart(work->output, work->validator, &work->error);
        EVP_DigestInit_ex(work->digest, EVP_sha256(), NULL);
    }
    if (rc == 0)
        rc = output_write(work->output, work->bytes.data, work->bytes.size, &work->error);
    if (rc == 0 && !work->is_hashed_apart)
        EVP_DigestUpdate(work->digest, work->bytes.data, work->bytes.size);
    return rc;
}

static void do_hash(void *arg)
{
    struct work *work = &((sink_t *)arg)->work;

    EVP_DigestUpdate(work->digest, work->bytes.data, work->bytes.size);
}

static int finish(sink_t *self)
{
    struct work *work = &self->work;
    uint8_t digest[32] = {0};
    const char *path;
    int rc;

    EVP_DigestFinal_ex(work->digest, digest, NULL);
    ag_hex_print(digest, sizeof digest, work->sha256);
    if (work->wanted[0] != '\0' && strcasecmp(work->wanted, work->sha256) != 0) {
        output_discard(work->output);
        return ag_fail(&work->error, ARGOSY_EPROTO, "the body's sha256 is %s, not %s", work->sha256,
                       work->wanted);
    }
    rc = output_commit(work->output, work->sha256, &path, &work->error);
    work->is_done = rc == 0;
    return rc;
}

static void do_work(void *arg)
{
    sink_t *self = arg;
    struct work *work = &self->work;

    if (work->ends) {
        output_destroy(&work->output);
        return;
    }
    if (work->rc == 0)
        work->rc = work->looks ? look(self) : write_bytes(self);
    if (work->rc == 0 && work->finishes)
        work->rc = finish(self);
}

/* ---- on the loop's thread
 * ----------------------------------------------------------------------------- */

static void on_done(sink_t *self);

static void on_item(void *arg)
{
    sink_t *self = arg;

    if (--self->items == 0)
        on_done(self);
}

/* Hashing takes as long as writing: of a large body each has a thread (2 GiB in 2.5 s instead of
 * 3.3 s on two busy cores). */
static void submit_hash(sink_t *self)
{
    struct work *work = &self->work;

    work->is_hashed_apart = !work->looks && !work->restarts && !work->ends && !work->finishes &&
                            work->rc == 0 && work->bytes.size >= WRITE_FROM;
    if (!work->is_hashed_apart)
        return;
    if (pool_submit(self->config.pool,
                    &(struct pool_item){.work = do_hash, .done = on_item, .arg = self}) == 0)
        self->items++;
    else
        work->is_hashed_apart = false;
}

/* False: it is done already, everybody was told, and the sink may be gone. */
static bool submit(sink_t *self)
{
    bool waits;

    AG_ASSERT(self->items == 0);
    submit_hash(self);
    self->items++;
    if (pool_submit(self->config.pool,
                    &(struct pool_item){.work = do_work, .done = on_item, .arg = self}) == 0)
        return true;
    waits = self->items > 1; /* for the hash; else it may be gone soon */
    do_work(self);           /* without memory for an item it is better to be slow than to fail */
    on_item(self);
    return waits;
}

/* The pool's thread has nothing of us: give it what has come together. As submit(). */
static bool hand_over(sink_t *self)
{
    struct work *work = &self->work;
    struct ag_buffer empty = work->bytes;

    work->bytes = self->filling;
    self->filling = empty;
    ag_buffer_clear(&self->filling);
    work->looks = false;
    work->restarts = self->wants_restart;
    work->finishes = self->wants_finish && !work->flushes;
    self->wants_restart = self->wants_finish = false;
    return submit(self);
}

static void free_sink(sink_t *self)
{
    output_destroy(&self->work.output); /* nothing, unless the pool has ended before its work */
    EVP_MD_CTX_free(self->work.digest);
    free(self->path);
    free(self->resume_key);
    ag_buffer_free(&self->work.bytes);
    ag_buffer_free(&self->filling);
    free(self);
}

/* What has arrived is for the next attempt, but not yet with the disk. */
static bool has_more_to_keep(const sink_t *self)
{
    return self->resume_key != NULL && self->is_closing && !self->is_abandoned &&
           self->work.rc == 0 && !self->work.is_done && !self->work.ends &&
           self->work.validator[0] != '\0' && self->filling.size > 0 && !self->filling.failed;
}

static void on_done(sink_t *self)
{
    if (has_more_to_keep(self)) {
        hand_over(self);
        return;
    }
    if ((self->is_abandoned || self->is_closing) && !self->work.ends && self->work.output != NULL) {
        self->work.ends = true;
        submit(self);
        return;
    }
    if (self->is_abandoned) {
        free_sink(self);
        return;
    }
    if (!self->is_closing && self->work.rc == 0 &&
        (self->wants_finish || self->filling.size >= WRITE_FROM) && !hand_over(self))
        return;
    self->config.changed(self->config.arg);
}

void sink_look(sink_t *self)
{
    self->work.looks = true;
    submit(self);
}

uint64_t sink_found(const sink_t *self, const char **validator)
{
    *validator = self->work.validator;
    return self->work.found;
}

void sink_restart(sink_t *self)
{
    self->wants_restart = true;
    self->work.found = 0;
    self->work.validator[0] = '\0';
}

void sink_mark(sink_t *self, const char *validator)
{
    self->wants_restart = true;
    snprintf(self->work.validator, sizeof self->work.validator, "%s", validator);
}

bool sink_has_room(const sink_t *self, size_t size)
{
    return self->filling.size == 0 || self->filling.size + size <= SINK_BUFFER;
}

void sink_write(sink_t *self, const void *data, size_t size)
{
    ag_buffer_append(&self->filling, data, size);
    if (self->items == 0 && self->work.rc == 0 && self->filling.size >= WRITE_FROM)
        hand_over(self);
}

void sink_finish(sink_t *self, const char *wanted)
{
    snprintf(self->work.wanted, sizeof self->work.wanted, "%s", wanted != NULL ? wanted : "");
    self->wants_finish = true;
    if (self->items == 0)
        hand_over(self); /* a failure is told in the same way */
}

void sink_flush(sink_t *self)
{
    self->work.flushes = true;
    sink_finish(self, NULL);
}

int sink_fd(const sink_t *self)
{
    return output_fd(self->work.output);
}

bool sink_is_busy(const sink_t *self)
{
    return self->items > 0;
}

const char *sink_failure(const sink_t *self, int *code)
{
    *code = self->items > 0 ? 0 : self->work.rc;
    if (self->filling.failed)
        *code = ARGOSY_ENOMEM;
    if (*code == 0)
        return NULL;
    return self->filling.failed ? "the worker has no memory left" : self->work.error.message;
}

const char *sink_path(const sink_t *self)
{
    return output_path(self->work.output);
}

bool sink_is_whole(const sink_t *self)
{
    return self->items == 0 && self->work.is_done;
}

const char *sink_sha256(const sink_t *self)
{
    return self->work.sha256;
}

int sink_new(sink_t **out, const struct sink_config *config, struct argosy_error *err)
{
    int rc = output_check(config->path, config->roots, config->roots_count, err);
    sink_t *self;

    *out = NULL;
    if (rc < 0)
        return rc;
    self = calloc(1, sizeof *self);
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a file");
    self->work.digest = EVP_MD_CTX_new();
    self->path = strdup(config->path);
    self->resume_key = config->resume_key != NULL ? strdup(config->resume_key) : NULL;
    if (self->work.digest == NULL || self->path == NULL ||
        (config->resume_key != NULL && self->resume_key == NULL)) {
        free_sink(self);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a file");
    }
    EVP_DigestInit_ex(self->work.digest, EVP_sha256(), NULL);
    self->config = *config;
    /* One write of libcurl's may come on top of what is there. */
    self->filling = self->work.bytes = ag_buffer_empty(SINK_BUFFER + SINK_WRITE_MAX);
    *out = self;
    return 0;
}

bool sink_close(sink_t *self)
{
    self->is_closing = true;
    self->wants_finish = false;
    if (self->items > 0)
        return true; /* on_done() goes on */
    if (has_more_to_keep(self)) {
        hand_over(self);
        return true;
    }
    if (self->work.output == NULL)
        return false;
    self->work.ends = true;
    submit(self);
    return true;
}

void sink_destroy(sink_t **self_p)
{
    sink_t *self = *self_p;

    *self_p = NULL;
    if (self == NULL)
        return;
    self->is_abandoned = true;
    if (self->items > 0)
        return; /* on_done() goes on */
    if (self->work.output == NULL) {
        free_sink(self);
        return;
    }
    self->work.ends = true;
    submit(self);
}
