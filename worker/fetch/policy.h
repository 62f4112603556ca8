/* policy.h - what a fetch may reach: public addresses, and the networks that were allowed; the
 * usual ports, schemes and no proxies, unless others were.
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

/* Lists end with NULL, or are NULL themselves: the default. */
struct policy_config {
    const char *const *nets;  /* CIDR[:PORT], [IPv6-CIDR]:PORT, or "any": every address and port */
    const char *const *ports;   /* NUMBER or FIRST-LAST, besides 80 and 443. A network in `nets` is
                                   open on its own port, or on all of them */
    const char *const *schemes; /* default: http and https */
    const char *const *proxies; /* as jobs name them, or "any"; default: none */
};

/* The texts must outlive it. ARGOSY_EINVAL names the bad one. */
int policy_new(policy_t **out, const struct policy_config *config, struct argosy_error *err);
void policy_destroy(policy_t **self_p);

/* `any_port`: only the address counts. */
bool policy_allows(const policy_t *self, const struct sockaddr *address, bool any_port);

/* Whether every address and port is allowed. */
bool policy_is_open(const policy_t *self);

bool policy_allows_scheme(const policy_t *self, const char *scheme);
bool policy_allows_proxy(const policy_t *self, const char *url);

/* "http,https", as libcurl has it. */
const char *policy_schemes(const policy_t *self);

enum { POLICY_TEXT_SIZE = 64 };

/* "127.0.0.1:80" or "[::1]:80". Returns `out`. */
const char *policy_print(const struct sockaddr *address, char out[POLICY_TEXT_SIZE]);

#endif
