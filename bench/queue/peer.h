/* peer.h - the same load for every queue: jobs that do nothing, from a client to its results.
 *
 * peer.c is the client's program: it keeps a window of jobs on their way, measures, prints what
 * `argosy bench --json` prints. Each peer fills in the five functions below with its own protocol.
 * Client and worker are two processes; whatever goes wrong ends both with a sentence.
 *
 * A job is `size` bytes, of which the first four are its number; its result is its number.
 */
#ifndef BENCH_QUEUE_PEER_H
#define BENCH_QUEUE_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { PEER_BATCH = 500 /* jobs that travel together at most, in each direction */ };

struct peer {
    const char *server; /* path of its socket, or of the socket's folder */
    size_t size;
    bool with_result; /* through the queue; without, what the worker has acknowledged counts */
    int added, ended; /* ends of two pipes: bells between client and worker, at no cost to the
                         queue */
    uint8_t *payload;
};

/* ---- each peer ---------------------------------------------------------------------------------
 */

/* The client's connections, and tables where there are any. */
void peer_open(struct peer *self);

/* Hand in jobs first … first + count - 1, count <= PEER_BATCH. */
void peer_submit(struct peer *self, uint32_t first, uint32_t count);

/* Wait for results, at least one and at most PEER_BATCH; each counts from now on. */
uint32_t peer_take(struct peer *self, uint32_t *numbers);

/* The worker: its connections, then takes jobs until it is killed. */
_Noreturn void peer_work(struct peer *self);

/* ---- what they share ---------------------------------------------------------------------------
 */

/* The job's bytes, valid until the next call. */
const uint8_t *peer_payload(struct peer *self, uint32_t number);
uint32_t peer_number(const void *payload);

/* The worker acknowledged them: without results in the queue, that is what the client waits for. */
void peer_tell_ended(struct peer *self, const uint32_t *numbers, uint32_t count);
uint32_t peer_wait_ended(struct peer *self, uint32_t *numbers);

/* For the client, when its pipe to the worker is closed: says how the worker ended, and ends. */
_Noreturn void peer_worker_gone(void);

/* How many to ask for next, so that a busy queue is asked for many and an idle one for few. */
uint32_t peer_next_batch(uint32_t asked, uint32_t got);

/* A stream socket as two files: what is read, what is written. */
struct peer_stream {
    FILE *in, *out;
};
struct peer_stream peer_connect(const char *path);

/* One line without its end; the peer's next call overwrites it. */
char *peer_read_line(struct peer_stream *stream);
void peer_read(struct peer_stream *stream, void *data, size_t size);
void peer_flush(struct peer_stream *stream);

_Noreturn void peer_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
