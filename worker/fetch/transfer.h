/* transfer.h - one fetch from its payload to its outcome: one hop after the other (redirects,
 * pages, robots.txt), each a request of libcurl's.
 *
 * Internal to the engine. transfer.c leads it from step to step, fit.c begins, hop.c sets a request
 * up, receive.c is what libcurl calls meanwhile, verdict.c says how it ended, result.c writes that
 * down.
 *
 * Threads: the loop's only. Units: milliseconds of the monotonic clock, bytes.
 */
#ifndef FETCH_TRANSFER_H
#define FETCH_TRANSFER_H

#include <curl/curl.h>
#include <openssl/evp.h>

#include "common/buffer.h"
#include "common/heap.h"
#include "worker/fetch/archive.h"
#include "worker/fetch/fetch.h"
#include "worker/fetch/jars.h"
#include "worker/fetch/policy.h"
#include "worker/fetch/request.h"
#include "worker/fetch/resolver.h"
#include "worker/fetch/robots_cache.h"
#include "worker/fetch/shards.h"
#include "worker/fetch/sink.h"
#include "worker/fetch/upload.h"
#include "worker/fetch/versions.h"

enum {
    TRANSFER_HEADER_BYTES_MAX = 256 << 10, /* of one answer */
    TRANSFER_HEADERS_MAX = 1000,        /* of one answer; the result has them sorted on the stack */
    TRANSFER_FILE_BUFFER = 192 << 10,   /* libcurl's buffer for bodies that go to files */
    TRANSFER_CA_BYTES_MAX = 512 << 10,  /* of a job's own ca_file, parsed in a turn; all that
                                           Debian has are 220 KB, and 20 ms */
    TRANSFER_RETRY_AFTER_S = 24 * 3600, /* longer waits that a server asks for are cut to this */
    TRANSFER_APOLOGY_BYTES_MAX = 1 << 20, /* of a body that nobody wants; read at all, because
                                             then the connection can be kept */
    TRANSFER_TURN_US = 10000,             /* of unpacking; 16 KB that are read may be 16 MB */
    TRANSFER_CONNECTION_S = 300           /* then a new one is made: names change their addresses */
};

/* How far the request to the present host has come. */
enum phase {
    PHASE_CONNECTING, /* libcurl watches over the time for this */
    PHASE_WAITING,    /* connected: the request goes out, the answer has not begun */
    PHASE_RECEIVING
};

/* What a transfer waits for. */
enum step {
    STEP_FREE,
    STEP_LOOKING,   /* the disk: what an earlier attempt has left */
    STEP_ROBOTS,    /* somebody else's look at robots.txt */
    STEP_RESOLVING, /* the host's address */
    STEP_RUNNING,   /* libcurl */
    STEP_COPYING,   /* the disk, which the body of a file: URL comes from */
    STEP_ARCHIVING, /* the archive's disk */
    STEP_CLOSING,   /* the disk: the rest of the body, the file's name */
    STEP_ENDING     /* the disk: a file that is given up is removed */
};

/* Why it failed; type[0] == 0: it has not. */
struct cause {
    char type[64];
    char message[512];
    bool retryable;
    uint32_t retry_after_ms;
};

struct transfer;

/* What all transfers of an engine share. */
struct transfer_shared {
    const struct fetch_config *config;
    policy_t *policy;
    const char *const *roots; /* real paths */
    size_t roots_count;
    CURLSH *share;  /* TLS sessions; never connections */
    EVP_MD *sha256; /* looking it up costs as much as hashing 2 KB */
    void *store;    /* X509_STORE of trusted certificates; made at the first handshake */
    shards_t *shards;
    resolver_t *resolver;
    robots_cache_t *robots;
    jars_t *jars;
    versions_t *versions;
    archive_t *archive;
    pool_t *disk;
    struct ag_heap *timers;
    int64_t turn_ends_us; /* when a body that unpacks to very much has to wait for the next turn */
    void (*ended)(struct transfer *transfer, struct task *task); /* its outcome is written, the
                                                                    transfer is free */
};

/* One request to one host. */
struct hop {
    const struct url *url; /* where to */
    const char *host;      /* whose address is needed: its, or the proxy's */
    uint16_t port;
    bool for_robots;    /* it asks for robots.txt, before the request itself */
    unsigned redirects; /* that led to it, of one for robots.txt */
    int64_t began_at;
    uint32_t resolve_ms;
    struct curl_slist *resolved; /* "+host:port:address,address": libcurl looks nothing up */
    struct curl_slist *headers;  /* of the request */
    char error[CURL_ERROR_SIZE]; /* libcurl's own words */
    enum phase phase;
    int64_t quiet_since; /* when the phase began, or something came last */
    bool is_paused;      /* by us: the disk is behind, or the turn is over */
    bool waits_for_turn;
    /* the answer */
    long status;
    struct ag_buffer fields; /* "name\0value\0" of the last answer */
    unsigned fields_count;
    bool has_head;
    bool is_redirect; /* its body is not wanted, Location is followed */
    bool is_wanted;   /* its body is what was asked for */
    bool in_body;
    bool is_packed;            /* what is sent is compressed */
    uint64_t bytes;            /* of the body, decoded */
    uint64_t wire_bytes_total; /* of the body as it is sent; 0: the server did not say */
    bool is_cut;               /* we have heard enough of a body that nobody wants */
    uint64_t range_total;      /* of what is gone on with: bytes of the whole */
    bool is_refused_range;     /* what is there cannot be gone on with: all of it, please */
};

struct transfer {
    struct ag_timer timer; /* when to look whether it stands still */
    CURL *easy;
    struct task *task; /* NULL: free */
    struct transfer *next_free;
    unsigned place;
    struct transfer_shared *shared;
    bool was_plain; /* what libcurl is set up for is a plain GET; hop.c's */
    enum step step;
    struct request request;
    int64_t started_at;
    struct hop hop;
    const struct url *page; /* what is to be fetched now: request.url, or moved */
    struct url moved;       /* where redirects and pages have led to */
    struct url robots_url, proxy;
    bool robots_known;         /* robots.txt lets us fetch `page` */
    bool as_get;               /* a redirect has made a GET of it */
    unsigned redirects, pages; /* in all */
    unsigned page_redirects;   /* that led to `page`; those of robots.txt are its hops' own */
    struct resolver_question question;
    struct robots_question robots_question;
    struct ag_buffer body;
    EVP_MD_CTX *digest; /* of bodies that go to no file */
    sink_t *sink;       /* of those that do */
    upload_t *upload;
    struct exchange *exchange; /* for the archive; NULL: it is not archived */
    struct archive_place archived;
    struct jar *jar;
    uint64_t resumed_from; /* bytes that were there already */
    bool has_resumed, no_resume;
    CURLcode code; /* libcurl's word for the hop, while it is archived */
    struct cause cause;
    char denied[POLICY_TEXT_SIZE]; /* the address that the policy refused, of this hop */
};

/* An easy handle and its buffers. False when memory is short. */
bool transfer_init(struct transfer *self, struct transfer_shared *shared, unsigned place);
void transfer_fini(struct transfer *self);

/* Begin; shared->ended() follows, perhaps at once. */
void transfer_begin(struct transfer *self, struct task *task);

/* libcurl is done with the hop. */
void transfer_on_finished(struct transfer *self, CURLcode code);

/* Its time has come: does it stand still? */
void transfer_on_timer(struct transfer *self, int64_t now);

/* End it now, whatever it waits for. */
void transfer_stop(struct transfer *self);

/* Let go of everything, without an outcome. */
void transfer_reset(struct transfer *self);

/* It fails, and why; the first cause stands. */
__attribute__((format(printf, 4, 5))) void transfer_blame(struct transfer *self, const char *type,
                                                          bool retryable, const char *message, ...);
bool transfer_has_failed(const struct transfer *self);

/* One field of the answer after the other: begin with NULL; NULL when there are no more. */
const char *transfer_next_field(const struct transfer *self, const char *at, const char **name,
                                const char **value);

/* The value of a field of the answer, "" if it has none. */
const char *transfer_field(const struct transfer *self, const char *name);

/* The sink's failure, if it has one, becomes the transfer's. True: it has. */
bool transfer_blame_sink(struct transfer *self);

/* fit.c: read the payload and open what it names; `changed` is called when a disk has done
 * something of it. False: it fails, for a reason that this worker knows without asking anybody. */
bool fit_open(struct transfer *self, void (*changed)(void *arg));

/* hop.c: set libcurl up for self->hop. False: no memory. */
bool hop_prepare(struct transfer *self);
void hop_fini(struct hop *self);

/* receive.c: what libcurl calls. */
void receive_set_callbacks(struct transfer *self);

/* Whether the body keeps to the limits of its sizes; else the transfer has failed. `is_over`: all
 * of it was read. */
bool receive_check_sizes(struct transfer *self, bool is_over);

/* Bytes of a body that is wanted; for which the sink must have room. False: no more of them. */
bool receive_bytes(struct transfer *self, const char *data, size_t size);

/* local.c: the body of a file: URL comes from a disk, off the loop, below the worker's roots.
 * Begin; then, whenever a disk has done something, go on. True: it is over. */
bool local_begin(struct transfer *self, void (*changed)(void *arg));
bool local_go_on(struct transfer *self);

/* verdict.c: what libcurl's word, the status and the bytes come to: a cause, or none. */
void verdict_of_hop(struct transfer *self, CURLcode code);

/* Nothing happens any more: which limit is it? */
void verdict_of_stall(struct transfer *self, int64_t now);

/* A page that is not the last, as a result. */
void verdict_write_page(struct transfer *self, struct ag_buffer *out);

/* The last words: task->outcome. */
void verdict_write(struct transfer *self);

#endif
