/* http_server_tls.h - certificates made at start: one that is fine and three that are not.
 *
 * Threads: one at a time. Blocking: makes five EC keys, a few milliseconds.
 */
#ifndef TESTS_HTTP_SERVER_TLS_H
#define TESTS_HTTP_SERVER_TLS_H

#include <openssl/ssl.h>

#include "common/buffer.h"
#include "common/error.h"

/* X(NAME, "name of the listener") */
#define TLS_IDENTITIES(X)                                                                          \
    X(VALID, "https")                                                                              \
    X(SELFSIGNED, "https-selfsigned")                                                              \
    X(EXPIRED, "https-expired")                                                                    \
    X(WRONGNAME, "https-wrongname")

enum tls_identity {
#define X(name, text) TLS_##name,
    TLS_IDENTITIES(X)
#undef X
        TLS_IDENTITIES_COUNT
};

struct tls {
    SSL_CTX *contexts[TLS_IDENTITIES_COUNT];
};

/* Make all of it; the CA's certificate is appended to `ca_pem`. The fine one is good for 127.0.0.1,
 * ::1, localhost and *.example.test. Returns ARGOSY_EIO when OpenSSL refuses; `self` needs
 * tls_fini() in any case. */
int tls_init(struct tls *self, struct ag_buffer *ca_pem, struct argosy_error *err);
void tls_fini(struct tls *self);

#endif
