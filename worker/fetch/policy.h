/* policy.h - which addresses a fetch may reach: public ones, and the networks that were allowed.
 *
 * The check is made on the address that is about to be connected to, after resolving, for every
 * connection: so neither a redirect nor a name that changes its address gets around it. Refused by
 * default are the special-purpose networks of RFC 6890 and its successors: loopback, private,
 * link-local, shared, multicast, reserved and documentation addresses, also inside IPv4-mapped,
 * NAT64 and 6to4 addresses.
 *
 * Threads: constant once made.
 */
#ifndef FETCH_POLICY_H
#define FETCH_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include <argosy/error.h>

typedef struct policy policy_t;

/* `allow` holds CIDR[:PORT], [IPv6-CIDR]:PORT, or "any". ARGOSY_EINVAL names the bad one. */
int policy_new(policy_t **out, const char *const *allow, size_t count, struct argosy_error *err);
void policy_destroy(policy_t **self_p);

bool policy_allows(const policy_t *self, const struct sockaddr *address);

enum { POLICY_TEXT_SIZE = 64 };

/* "127.0.0.1:80" or "[::1]:80". Returns `out`. */
const char *policy_print(const struct sockaddr *address, char out[POLICY_TEXT_SIZE]);

#endif
