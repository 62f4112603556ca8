/* http_server_conn.h - connections: bytes in, requests out, answers back, over TCP or TLS.
 *
 * Start here: conn_accept(). What is answered is decided by a step function (http_server_routes.c):
 * it appends to conn->out, may lend a span, and returns what happens once all of that is sent.
 * Each step makes one bounded piece, so a connection costs the same for 1 KB as for 1 TB.
 *
 * A peer that closes, even only its sending half, while it waits for an answer counts as gone: that
 * is how cancelled transfers become visible in /stats.
 *
 * Threads: one, the loop's. Never blocks. Units: bytes, microseconds of CLOCK_MONOTONIC.
 */
#ifndef TESTS_HTTP_SERVER_CONN_H
#define TESTS_HTTP_SERVER_CONN_H

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <time.h>

#include "tests/integration/http_server_bodies.h"
#include "tests/integration/http_server_flaky.h"
#include "tests/integration/http_server_request.h"
#include "tests/integration/http_server_timers.h"

enum {
    CONNECTIONS_MAX = 16384, /* what a fleet of workers may open; 5,000 are asked for */
    UPLOAD_MAX = 1 << 20,    /* bytes; what /echo gives back */
    OUT_MAX = 8 << 20, /* bytes; one piece of an answer: an upload whose bytes are all escaped */
    ROUTES_MAX = 64,   /* what has a count of its own in /stats */
    PLACES_MAX = 64,   /* so have our addresses that were connected to */
};

struct conn;
struct route;
struct server;

/* Something in the epoll set; the first member of what owns it. */
struct source {
    void (*ready)(struct server *server, struct source *source, uint32_t events);
};

/* Each of these is in /stats, under its own name. */
#define STATS(X)                                                                                   \
    X(connections)    /* accepted, ever */                                                         \
    X(open)           /* now, with the one that asks */                                            \
    X(requests)       /* understood, ever */                                                       \
    X(answering)      /* requests without their whole answer, now */                               \
    X(aborted)        /* answers that the peer did not wait for, ever */                           \
    X(unanswered)     /* requests that met /stale's end of their connection, ever */               \
    X(bad_requests)   /* refused as not HTTP or beyond our bounds, ever */                         \
    X(tls_handshakes) /* completed, ever */                                                        \
    X(tls_failures)   /* handshakes that were not, ever */

struct stats {
#define X(name) uint64_t name;
    STATS(X)
#undef X
};

/* An address of ours, and how often it was connected to. */
struct place {
    char address[INET6_ADDRSTRLEN]; /* IPv4 as such on a socket for both */
    uint64_t connections;
};

struct server {
    int epoll_fd;
    size_t connections_max;
    struct timers timers;
    struct bodies bodies;
    struct flaky_keys flaky;
    uint64_t route_counts[ROUTES_MAX];
    struct place places[PLACES_MAX]; /* the last one counts for all that have no room */
    size_t places_count;
    size_t robots;      /* what /robots.txt says, see http_server_robots.c */
    struct conn *conns; /* all that are open */
    struct stats stats;
    bool is_stopping;
};

/* What happens to an exchange once its output is sent. */
enum then {
    THEN_MORE,  /* call the step for the next piece */
    THEN_WAIT,  /* call it when exchange.due_us has come */
    THEN_HANG,  /* nothing, until the peer goes */
    THEN_END,   /* the answer is complete */
    THEN_CLOSE, /* close in good order, complete or not */
    THEN_RESET  /* close with RST */
};

typedef enum then step_fn(struct conn *conn);

/* One request and how far its answer is. The last five are the step's own. */
struct exchange {
    struct request request; /* borrows from conn->in */
    const struct route *route;
    step_fn *step;
    struct ag_bytes text; /* the argument in the path that is not a number */
    struct ag_bytes rest; /* what is left of the path, from its slash on */
    uint64_t numbers[2];  /* those that are; 0 if absent */
    unsigned numbers_count;
    enum then then;
    int64_t due_us;
    unsigned turn;
    uint64_t offset, left, chunk_left;
    enum then at_end;
};

enum conn_state { CONN_HANDSHAKE, CONN_READING, CONN_UPLOAD, CONN_ANSWERING, CONN_DRAINING };

struct conn {
    struct source source; /* first */
    struct timer timer;
    struct server *server;
    struct conn *previous, *next;
    SSL *ssl; /* NULL for plain TCP */
    int fd;
    enum conn_state state;
    uint32_t watched; /* what epoll was told */
    uint32_t wanted;  /* what we wait for; less than `watched` when that is not worth a call */
    bool may_read;    /* there may be bytes; a read that would only say EAGAIN is saved */
    bool is_spent;    /* closed without a word when there is another request */
    struct ag_buffer in;
    size_t in_scanned, head_size;
    struct body body;
    struct ag_buffer upload; /* the request's body if its route keeps it */
    struct ag_buffer out;
    size_t out_sent;
    struct ag_buffer piece; /* for a step that lends the same bytes again and again */
    struct ag_bytes span;   /* lent by the step, sent behind `out`; outlives the exchange */
    struct exchange exchange;
};

static inline int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Take every waiting connection of a listener; `tls` is NULL for plain TCP. */
void conn_accept(struct server *server, int listener_fd, SSL_CTX *tls);

/* A timer that timers_take_due() has returned belongs to a connection; tell it. */
void conn_on_timer(struct timer *timer);

/* For a step: be called again `ms` after the last such moment (at first: after now), so that a
 * series of waits does not drift. Returns THEN_WAIT. */
enum then conn_wait(struct conn *self, uint64_t ms);

/* For a step: what the answer is made of, see bodies_pattern(). */
static inline struct ag_bytes conn_pattern(const struct conn *self, uint64_t offset, uint64_t size)
{
    return bodies_pattern(&self->server->bodies, offset, size);
}

/* Sets NULL. */
void conn_destroy(struct conn **self_p);

#endif
