/* transfer.h - one fetch: libcurl's easy handle, what arrives, and what it ends as.
 *
 * Internal to the engine; fetch.c drives it.
 */
#ifndef FETCH_TRANSFER_H
#define FETCH_TRANSFER_H

#include <curl/curl.h>
#include <openssl/evp.h>

#include "common/heap.h"
#include "worker/fetch/fetch.h"
#include "worker/fetch/output.h"
#include "worker/fetch/policy.h"
#include "worker/fetch/request.h"

enum {
    TRANSFER_HEADER_BYTES_MAX = 256 << 10, /* of one answer */
    TRANSFER_FILE_BUFFER = 128 << 10,      /* libcurl's buffer for bodies that go to files */
};

/* What all transfers of an engine share. */
struct transfer_shared {
    const struct fetch_config *config;
    const policy_t *policy;
    const char *const *roots; /* real paths */
    size_t roots_count;
    CURLSH *share; /* names and TLS sessions; never connections */
    void *store;   /* X509_STORE of trusted certificates; made at the first handshake */
};

struct transfer {
    struct ag_timer timer; /* the first byte, then standing still */
    CURL *easy;
    struct task *task; /* NULL: free */
    struct transfer *next_free;
    unsigned place;
    struct transfer_shared *shared;
    struct request request;
    int64_t started_at, data_at; /* data_at: when something came last */
    /* the answer */
    long status;
    struct ag_buffer headers; /* "name\0value\0" of the last answer */
    struct ag_buffer body;
    output_t *output;
    EVP_MD_CTX *digest;
    uint64_t bytes;
    bool in_body, stalled_first, stalled_idle;
    /* why we ended it ourselves; type[0] == 0: we did not */
    struct outcome failure;
    char denied[POLICY_TEXT_SIZE]; /* the address that the policy refused */
};

/* An easy handle and its buffers. False when memory is short. */
bool transfer_init(struct transfer *self, struct transfer_shared *shared, unsigned place);
void transfer_fini(struct transfer *self);

/* Read the payload and set up the handle. False: task->outcome says why not. */
bool transfer_prepare(struct transfer *self, struct task *task, int64_t now);

/* Write task->outcome from how libcurl ended it, and let go of everything. */
void transfer_conclude(struct transfer *self, CURLcode code);

/* Let go of everything without an outcome. */
void transfer_reset(struct transfer *self);

/* When to look whether it stands still. */
int64_t transfer_stall_deadline(const struct transfer *self);

/* Whether it does; then `failure` says how. */
bool transfer_is_stalled(struct transfer *self, int64_t now);

#endif
