/* transfer.h - one fetch: libcurl's easy handle, what arrives, and what it ends as.
 *
 * Internal to the engine: fetch.c drives it, result.c writes down how it ended.
 *
 * Threads: the loop's only. Units: milliseconds of the monotonic clock, bytes.
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
    TRANSFER_HEADERS_MAX = 1000, /* joining equal ones compares each with each: some milliseconds */
    TRANSFER_FILE_BUFFER = 128 << 10,   /* libcurl's buffer for bodies that go to files */
    TRANSFER_CA_BYTES_MAX = 16 << 20,   /* of a job's own ca_file: all there are take 300 KB */
    TRANSFER_RETRY_AFTER_S = 24 * 3600, /* longer waits that a server asks for are cut to this */
};

/* How far the request to the present host has come; a redirect begins anew. */
enum phase {
    PHASE_CONNECTING, /* libcurl watches over the time for this */
    PHASE_WAITING,    /* connected: the request goes out, the answer has not begun */
    PHASE_RECEIVING
};

/* Why it failed; type[0] == 0: it has not. */
struct cause {
    char type[64];
    char message[512];
    bool retryable;
    uint32_t retry_after_ms;
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
    struct ag_timer timer; /* when to look whether it stands still */
    CURL *easy;
    struct task *task; /* NULL: free */
    struct transfer *next_free;
    unsigned place;
    struct transfer_shared *shared;
    struct request request;
    int64_t started_at;
    enum phase phase;    /* ask transfer_phase() */
    long hop;            /* redirects before the host that `phase` is about */
    int64_t quiet_since; /* when the phase began, or something came last */
    /* the answer */
    long status;
    struct ag_buffer headers; /* "name\0value\0" of the last answer */
    unsigned headers_count;
    struct ag_buffer body;
    output_t *output;
    EVP_MD_CTX *digest;
    uint64_t bytes;            /* of the body, decoded */
    uint64_t wire_bytes_total; /* of the body as it is sent; 0: the server did not say */
    bool in_body;
    struct cause cause;
    char denied[POLICY_TEXT_SIZE]; /* the address that the policy refused, of this hop */
};

/* An easy handle and its buffers. False when memory is short. */
bool transfer_init(struct transfer *self, struct transfer_shared *shared, unsigned place);
void transfer_fini(struct transfer *self);

/* Read the payload and set up the handle. False: task->outcome says why not. */
bool transfer_prepare(struct transfer *self, struct task *task, int64_t now);

/* It fails, and why; the first cause stands. */
__attribute__((format(printf, 4, 5))) void transfer_blame(struct transfer *self, const char *type,
                                                          bool retryable, const char *message, ...);

enum phase transfer_phase(const struct transfer *self);

/* Write task->outcome from how libcurl ended it, and let go of everything. */
void transfer_conclude(struct transfer *self, CURLcode code);

/* Let go of everything without an outcome. */
void transfer_reset(struct transfer *self);

/* When to look next whether it stands still. */
int64_t transfer_next_look(const struct transfer *self, int64_t now);

/* Whether it does; then `cause` says how. */
bool transfer_is_stalled(struct transfer *self, int64_t now);

#endif
