/* shards.h - libcurl's multi handles in one epoll descriptor.
 *
 * Start here: shards_new(); poll shards_fd(); shards_turn() when it is readable or
 * shards_deadline() has come. Transfers are spread over several multi handles, because one walks
 * all its connections at the end of each transfer; a place always belongs to the same one, so that
 * connections are found again. doc/fetch.md has the figures.
 *
 * Threads: the loop's only. Units: milliseconds of the monotonic clock.
 */
#ifndef FETCH_SHARDS_H
#define FETCH_SHARDS_H

#include <argosy/error.h>
#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct shards shards_t;

/* The transfer with this CURLOPT_PRIVATE is over; called from shards_turn() only. */
typedef void shards_finished(void *arg, void *private, CURLcode code);

/* `places` transfers at once. ARGOSY_EIO, ARGOSY_ENOMEM. */
int shards_new(shards_t **out, unsigned places, shards_finished *finished, void *arg,
               struct argosy_error *err);
void shards_destroy(shards_t **self_p);

int shards_fd(const shards_t *self);

/* Another descriptor in the same epoll: `readable` is called in a turn in which it is.
 * At most 4. */
int shards_watch(shards_t *self, int fd, void (*readable)(void *arg, int64_t now), void *arg,
                 struct argosy_error *err);

/* What CURLOPT_OPENSOCKETFUNCTION and CURLOPT_CLOSESOCKETFUNCTION must do for their descriptors. */
curl_socket_t shards_open(shards_t *self, const struct curl_sockaddr *address);
int shards_close(void *self, curl_socket_t fd);

/* False: no memory. */
bool shards_add(shards_t *self, unsigned place, CURL *easy);
void shards_remove(shards_t *self, unsigned place, CURL *easy);

/* Bounded by a time budget; what it leaves over comes with the next turn. */
void shards_turn(shards_t *self, int64_t now);

/* INT64_MAX: never. */
int64_t shards_deadline(const shards_t *self);

#endif
