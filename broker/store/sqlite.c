/* The store in SQLite: the reactor appends bytes, one thread of its own writes them down. While it
 * waits for the disk the next batch gathers: the slower the disk, the larger the batches. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "broker/store/place.h"
#include "broker/store/store.h"
#include "broker/store/tables.h"
#include "common/error.h"
#include "common/list.h"
#include "common/log.h"

enum {
    TRANSACTION_RECORDS = 4000, /* or so: a turn is not divided */
    TRANSACTION_BYTES = 8 << 20,
    RETRY_MS = 250 /* of a full disk, and of a database that somebody else writes to */
};

/* In front of what was read; without that in a request for it. */
struct answer {
    struct ag_id id;
    uint64_t number, ended;
    bool is_there;
    size_t size;
};

/* Stands in the place of a record's size behind the last record of a turn. */
static const uint32_t turn_end = UINT32_MAX;

struct sqlite_store {
    struct store store;
    struct place place;
    tables_t *tables;
    pthread_t thread;
    bool has_thread;

    /* The reactor's. */
    struct ag_buffer turn;    /* records as size and bytes */
    uint64_t committed;       /* as it was told */
    struct ag_buffer answers; /* that it takes, from: */
    size_t answers_at;

    /* Both threads', under the mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* the writer */
    struct {
        struct ag_buffer pending; /* whole turns */
        struct ag_buffer wanted;  /* struct answer */
        struct ag_buffer read;    /* each behind its struct answer */
        uint64_t committed;
        bool is_full, is_stopping, is_told; /* told: the reactor has been called */
        struct argosy_error error;          /* code 0: none */
    } shared;

    /* The writer's. */
    struct ag_buffer working, asked;
    uint64_t written; /* the number of the last record that is committed */
    bool is_full;
};

static struct sqlite_store *of(const struct store *store)
{
    return AG_OWNER(store, struct sqlite_store, store);
}

/* ---- the writer --------------------------------------------------------------------------------
 */

/* One transaction: where it begins in `working`, and what it has taken. */
struct transaction {
    size_t at;
    uint64_t records;
};

static bool next_size(const struct sqlite_store *self, size_t at, uint32_t *size)
{
    if (at >= self->working.size)
        return false;
    memcpy(size, self->working.data + at, sizeof *size);
    return true;
}

/* Whole turns, until it is large enough. */
static int apply(struct sqlite_store *self, struct transaction *now, struct argosy_error *err)
{
    size_t begin = now->at;
    uint32_t size;

    for (; next_size(self, now->at, &size); now->at += sizeof size) {
        int rc;

        if (size == turn_end) {
            if (now->records >= TRANSACTION_RECORDS || now->at - begin >= TRANSACTION_BYTES) {
                now->at += sizeof size;
                return 0;
            }
            continue;
        }
        rc = tables_apply(self->tables, self->written + now->records + 1,
                          ag_bytes_of(self->working.data + now->at + sizeof size, size), err);
        if (rc < 0)
            return rc;
        now->records++;
        now->at += size;
    }
    return 0;
}

static int transact(struct sqlite_store *self, struct transaction *now, struct argosy_error *err)
{
    int rc = tables_begin(self->tables, err);

    if (rc == 0)
        rc = apply(self, now, err);
    if (rc == 0)
        rc = tables_commit(self->tables, err);
    if (rc < 0)
        tables_rollback(self->tables);
    return rc;
}

/* The reactor's poller calls commit(). Under the mutex. */
static void call_the_reactor(struct sqlite_store *self)
{
    uint64_t one = 1;

    if (!self->shared.is_told)
        self->shared.is_told = write(self->store.fd, &one, sizeof one) == sizeof one;
}

static void publish(struct sqlite_store *self, const struct argosy_error *error)
{
    pthread_mutex_lock(&self->mutex);
    self->shared.committed = self->written;
    self->shared.is_full = self->is_full;
    if (error != NULL)
        self->shared.error = *error;
    call_the_reactor(self);
    pthread_mutex_unlock(&self->mutex);
}

/* Waits for something to write, or a while. False: the store is being closed. */
static bool rest(struct sqlite_store *self, bool for_a_while)
{
    struct timespec until;
    bool go_on;
    int rc = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += RETRY_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&self->mutex);
    while (!self->shared.is_stopping && rc != ETIMEDOUT &&
           (for_a_while || (self->shared.pending.size == 0 && self->shared.wanted.size == 0)))
        rc = for_a_while || self->is_full
                 ? pthread_cond_timedwait(&self->wake, &self->mutex, &until)
                 : pthread_cond_wait(&self->wake, &self->mutex);
    go_on = !self->shared.is_stopping;
    pthread_mutex_unlock(&self->mutex);
    return go_on;
}

static void become_full(struct sqlite_store *self, const struct argosy_error *err)
{
    if (self->is_full)
        return;
    ag_log_error("store", "the disk is full: new jobs must wait until there is room",
                 ag_kv("store", self->place.path), ag_kv("reason", err->message));
    place_drop_ballast(&self->place);
    self->is_full = true;
    publish(self, NULL);
}

/* True: it was full, which is to be published. */
static bool become_normal(struct sqlite_store *self)
{
    if (!self->is_full || !place_keep_ballast(&self->place))
        return false;
    ag_log_info("store", "there is room on the disk again", ag_kv("store", self->place.path));
    self->is_full = false;
    return true;
}

/* 0, or why nothing more can be written, ever: an error, or being closed in vain. */
static int write_down(struct sqlite_store *self, struct argosy_error *err)
{
    size_t at = 0;

    while (at < self->working.size) {
        struct transaction now = {.at = at};
        int rc = transact(self, &now, err);

        if (rc == 0) {
            at = now.at;
            self->written += now.records;
            become_normal(self);
            publish(self, NULL);
            continue;
        }
        if (rc == ARGOSY_EFULL && !self->is_full)
            become_full(self, err); /* the ballast is gone: at once again */
        else if ((rc != ARGOSY_EFULL && rc != ARGOSY_EAGAIN) || !rest(self, true))
            return rc;
        else if (rc == ARGOSY_EAGAIN)
            ag_log_warning("store", "somebody else writes to the database: waiting",
                           ag_kv("store", self->place.path));
    }
    return 0;
}

static void swap(struct ag_buffer *a, struct ag_buffer *b)
{
    struct ag_buffer kept = *a;

    *a = *b;
    *b = kept;
}

/* Takes all that is pending; false: there is nothing, and will be nothing any more. */
static bool take(struct sqlite_store *self)
{
    bool is_stopping;

    ag_buffer_clear(&self->working);
    ag_buffer_clear(&self->asked);
    pthread_mutex_lock(&self->mutex);
    swap(&self->working, &self->shared.pending);
    swap(&self->asked, &self->shared.wanted);
    is_stopping = self->shared.is_stopping;
    pthread_mutex_unlock(&self->mutex);
    return self->working.size > 0 || !is_stopping;
}

/* What was asked for was appended before, so it has been written by now. */
static int read_asked(struct sqlite_store *self, struct argosy_error *err)
{
    for (size_t at = 0; at < self->asked.size; at += sizeof(struct answer)) {
        struct ag_bytes bytes = {0};
        struct answer answer;
        int rc;

        memcpy(&answer, self->asked.data + at, sizeof answer);
        rc = tables_bytes(self->tables, answer.number, answer.ended, &answer.is_there, &bytes, err);
        if (rc < 0)
            return rc;
        answer.size = bytes.size;
        pthread_mutex_lock(&self->mutex);
        ag_buffer_append(&self->shared.read, &answer, sizeof answer);
        ag_buffer_append(&self->shared.read, bytes.data, bytes.size);
        call_the_reactor(self);
        pthread_mutex_unlock(&self->mutex);
    }
    return 0;
}

static void *write_all(void *arg)
{
    struct sqlite_store *self = arg;
    struct argosy_error err = {0};

    while (take(self)) {
        if (write_down(self, &err) < 0 || read_asked(self, &err) < 0) {
            publish(self, &err);
            return NULL;
        }
        if (self->working.size == 0 && self->asked.size == 0) {
            if (become_normal(self))
                publish(self, NULL);
            rest(self, false);
        }
    }
    return NULL;
}

/* ---- the reactor's side ------------------------------------------------------------------------
 */

static int sqlite_load(struct store *store, store_take_fn *fn, void *arg, struct argosy_error *err)
{
    struct sqlite_store *self = of(store);
    int rc = tables_load(self->tables, fn, arg, &store->last, err);

    if (rc == ARGOSY_EFULL) { /* in cleaning up, before anything was given */
        place_drop_ballast(&self->place);
        rc = tables_load(self->tables, fn, arg, &store->last, err);
    }
    if (rc < 0)
        return rc;
    self->committed = self->written = self->shared.committed = store->last;
    if (pthread_create(&self->thread, NULL, write_all, self) != 0)
        return ag_fail(err, ARGOSY_ENOMEM, "no thread for the store");
    self->has_thread = true;
    return 0;
}

static int sqlite_append(struct store *store, core_t *core, const struct effect *effect,
                         struct argosy_error *err)
{
    struct ag_buffer *turn = &of(store)->turn;
    size_t begin = turn->size;
    uint32_t size = 0;

    ag_buffer_append(turn, &size, sizeof size);
    core_write_record(core, effect, turn);
    if (turn->failed)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for what the store must write");
    size = (uint32_t)(turn->size - begin - sizeof size);
    memcpy(turn->data + begin, &size, sizeof size);
    return 0;
}

/* Under the mutex. */
static void hear_the_call(struct sqlite_store *self)
{
    uint64_t calls;

    if (self->shared.is_told)
        self->shared.is_told = read(self->store.fd, &calls, sizeof calls) != sizeof calls;
}

static int sqlite_commit(struct store *store, struct argosy_error *err)
{
    struct sqlite_store *self = of(store);
    bool failed;
    int rc;

    if (self->turn.size > 0)
        ag_buffer_append(&self->turn, &turn_end, sizeof turn_end);
    failed = self->turn.failed; /* half a turn is not passed on */
    pthread_mutex_lock(&self->mutex);
    if (self->turn.size > 0 && !failed) {
        if (self->shared.pending.size == 0)
            swap(&self->turn, &self->shared.pending);
        else
            ag_buffer_append(&self->shared.pending, self->turn.data, self->turn.size);
        failed = self->shared.pending.failed;
        pthread_cond_signal(&self->wake);
    }
    hear_the_call(self);
    if (self->answers_at == self->answers.size) {
        ag_buffer_clear(&self->answers);
        swap(&self->answers, &self->shared.read);
        self->answers_at = 0;
        failed = failed || self->answers.failed;
    }
    self->committed = self->shared.committed;
    store->is_full = self->shared.is_full;
    rc = self->shared.error.code;
    if (rc < 0 && err != NULL)
        *err = self->shared.error;
    pthread_mutex_unlock(&self->mutex);
    ag_buffer_clear(&self->turn);
    if (failed)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for what the store must write");
    return rc;
}

static int sqlite_want(struct store *store, const struct effect *load, struct argosy_error *err)
{
    struct sqlite_store *self = of(store);
    struct answer answer = {
        .id = load->load.id, .number = load->load.number, .ended = load->load.ended};
    bool failed;

    pthread_mutex_lock(&self->mutex);
    ag_buffer_append(&self->shared.wanted, &answer, sizeof answer);
    failed = self->shared.wanted.failed;
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->mutex);
    return failed ? ag_fail(err, ARGOSY_ENOMEM, "no memory for what the store must read") : 0;
}

static bool sqlite_loaded(struct store *store, struct core_loaded *out)
{
    struct sqlite_store *self = of(store);
    struct answer answer;

    if (self->answers_at == self->answers.size)
        return false;
    memcpy(&answer, self->answers.data + self->answers_at, sizeof answer);
    *out = (struct core_loaded){
        .id = answer.id,
        .number = answer.number,
        .ended = answer.ended,
        .is_there = answer.is_there,
        .bytes = ag_bytes_of(self->answers.data + self->answers_at + sizeof answer, answer.size)};
    self->answers_at += sizeof answer + answer.size;
    return true;
}

static uint64_t sqlite_committed(const struct store *store)
{
    return of(store)->committed;
}

static void sqlite_destroy(struct store **store_p)
{
    struct sqlite_store *self = *store_p != NULL ? of(*store_p) : NULL;

    *store_p = NULL;
    if (self == NULL)
        return;
    if (self->has_thread) {
        pthread_mutex_lock(&self->mutex);
        self->shared.is_stopping = true;
        pthread_cond_signal(&self->wake);
        pthread_mutex_unlock(&self->mutex);
        pthread_join(self->thread, NULL);
    }
    if (self->tables != NULL && tables_surprises(self->tables) > 0)
        ag_log_error("store", "changes of what was not there: argosy check tells more",
                     ag_kv("count", tables_surprises(self->tables)));
    tables_close(&self->tables);
    place_release(&self->place);
    ag_buffer_free(&self->turn);
    ag_buffer_free(&self->shared.pending);
    ag_buffer_free(&self->shared.wanted);
    ag_buffer_free(&self->shared.read);
    ag_buffer_free(&self->answers);
    ag_buffer_free(&self->working);
    ag_buffer_free(&self->asked);
    if (self->store.fd >= 0)
        close(self->store.fd);
    pthread_cond_destroy(&self->wake);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

/* ---- the beginning -----------------------------------------------------------------------------
 */

static struct sqlite_store *store_new(void)
{
    struct sqlite_store *self = calloc(1, sizeof *self);
    pthread_condattr_t monotonic;

    if (self == NULL)
        return NULL;
    self->place.lock = -1;
    /* Bounded by what the core holds: it takes no more jobs than it may. */
    self->turn = self->shared.pending = self->working = ag_buffer_empty(SIZE_MAX / 2);
    self->shared.wanted = self->shared.read = self->answers = self->asked = self->turn;
    pthread_mutex_init(&self->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&self->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    self->store = (struct store){.name = "sqlite",
                                 .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
                                 .load = sqlite_load,
                                 .append = sqlite_append,
                                 .commit = sqlite_commit,
                                 .committed = sqlite_committed,
                                 .want = sqlite_want,
                                 .loaded = sqlite_loaded,
                                 .destroy = sqlite_destroy};
    return self;
}

static int begin(struct sqlite_store *self, uint64_t unix_ms, struct argosy_error *err)
{
    int rc = 0;

    if (self->tables == NULL)
        rc = tables_open(&self->tables, self->place.path, err);
    return rc < 0 ? rc : tables_raise_epoch(self->tables, unix_ms, &self->store.epoch, err);
}

int store_sqlite_open(struct store **out, const char *path, uint64_t unix_ms,
                      struct argosy_error *err)
{
    struct sqlite_store *self = store_new();
    struct store *store;
    int rc;

    *out = NULL;
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a store");
    store = &self->store;
    if (store->fd < 0)
        rc = ag_fail(err, ARGOSY_EIO, "cannot make an eventfd: %s", strerror(errno));
    else
        rc = place_take(&self->place, path, err);
    if (rc == 0)
        rc = begin(self, unix_ms, err);
    if (rc == ARGOSY_EFULL) { /* our last life ended with a full disk */
        place_drop_ballast(&self->place);
        rc = begin(self, unix_ms, err);
    }
    if (rc < 0) {
        store->destroy(&store);
        return rc;
    }
    self->is_full = self->shared.is_full = store->is_full = !place_keep_ballast(&self->place);
    *out = store;
    return 0;
}
