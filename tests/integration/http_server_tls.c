#include "tests/integration/http_server_tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { DAY_S = 24 * 60 * 60 };

struct identity {
    const char *common_name;
    const char *names;              /* subjectAltName */
    long not_before_s, not_after_s; /* from now */
    bool is_signed_by_ca;
};

#define OUR_NAMES "IP:127.0.0.1,IP:::1,DNS:localhost,DNS:*.example.test"

static const struct identity identities[] = {
    [TLS_VALID] = {"valid", OUR_NAMES, -DAY_S, 30 * DAY_S, true},
    [TLS_SELFSIGNED] = {"selfsigned", OUR_NAMES, -DAY_S, 30 * DAY_S, false},
    [TLS_EXPIRED] = {"expired", OUR_NAMES, -30 * DAY_S, -DAY_S, true},
    [TLS_WRONGNAME] = {"wrongname", "DNS:wrong.example.invalid", -DAY_S, 30 * DAY_S, true},
};

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509_EXTENSION *extension;
    X509V3_CTX context;
    bool done;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    done = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return done;
}

/* Everything but the extensions and the signature. */
static X509 *new_certificate(EVP_PKEY *key, const struct identity *identity, X509 *issuer,
                             long serial)
{
    X509 *self = X509_new();
    X509_NAME *name = self ? X509_get_subject_name(self) : NULL;

    if (name == NULL || !X509_set_version(self, X509_VERSION_3) ||
        !ASN1_INTEGER_set(X509_get_serialNumber(self), serial) ||
        !X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const uint8_t *)"Argosy tests", -1,
                                    -1, 0) ||
        !X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                    (const uint8_t *)identity->common_name, -1, -1, 0) ||
        !X509_set_issuer_name(self, issuer ? X509_get_subject_name(issuer) : name) ||
        !X509_gmtime_adj(X509_getm_notBefore(self), identity->not_before_s) ||
        !X509_gmtime_adj(X509_getm_notAfter(self), identity->not_after_s) ||
        !X509_set_pubkey(self, key)) {
        X509_free(self);
        return NULL;
    }
    return self;
}

static X509 *make_ca(EVP_PKEY *key)
{
    static const struct identity identity = {"CA", NULL, -60 * DAY_S, 60 * DAY_S, false};
    X509 *self = new_certificate(key, &identity, NULL, 1);

    if (self == NULL ||
        !add_extension(self, self, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !add_extension(self, self, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_extension(self, self, NID_subject_key_identifier, "hash") ||
        !X509_sign(self, key, EVP_sha256())) {
        X509_free(self);
        return NULL;
    }
    return self;
}

static X509 *make_leaf(EVP_PKEY *key, const struct identity *identity, X509 *ca, EVP_PKEY *ca_key,
                       long serial)
{
    X509 *issuer = identity->is_signed_by_ca ? ca : NULL;
    X509 *self = new_certificate(key, identity, issuer, serial);

    if (self == NULL || !add_extension(self, self, NID_basic_constraints, "critical,CA:FALSE") ||
        !add_extension(self, self, NID_key_usage, "critical,digitalSignature") ||
        !add_extension(self, self, NID_ext_key_usage, "serverAuth") ||
        !add_extension(self, self, NID_subject_key_identifier, "hash") ||
        !add_extension(self, issuer ? issuer : self, NID_authority_key_identifier, "keyid") ||
        !add_extension(self, self, NID_subject_alt_name, identity->names) ||
        !X509_sign(self, issuer ? ca_key : key, EVP_sha256())) {
        X509_free(self);
        return NULL;
    }
    return self;
}

/* Clients that can do more must be told that this is HTTP/1.1; others get no answer to that. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                   const unsigned char *in, unsigned in_size, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;

    (void)ssl, (void)arg;
    if (SSL_select_next_proto(&chosen, out_size, ours, sizeof ours - 1, in, in_size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *new_context(X509 *certificate, EVP_PKEY *key)
{
    SSL_CTX *self = SSL_CTX_new(TLS_server_method());

    if (self == NULL || SSL_CTX_use_certificate(self, certificate) != 1 ||
        SSL_CTX_use_PrivateKey(self, key) != 1) {
        SSL_CTX_free(self);
        return NULL;
    }
    SSL_CTX_set_mode(self, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                               SSL_MODE_RELEASE_BUFFERS);
    /* Tickets are kept by the clients: resumption works and our memory stays bounded. */
    SSL_CTX_set_session_cache_mode(self, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(self, 1);
    SSL_CTX_set_alpn_select_cb(self, on_alpn, NULL);
    return self;
}

static int append_pem(struct ag_buffer *out, X509 *certificate)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    long size;

    if (bio != NULL && PEM_write_bio_X509(bio, certificate) == 1 &&
        (size = BIO_get_mem_data(bio, &text)) > 0)
        ag_buffer_append(out, text, (size_t)size);
    else
        out->failed = true;
    BIO_free(bio);
    return out->failed ? -1 : 0;
}

int tls_init(struct tls *self, struct ag_buffer *ca_pem, struct argosy_error *err)
{
    EVP_PKEY *ca_key = EVP_EC_gen("P-256");
    X509 *ca = ca_key ? make_ca(ca_key) : NULL;
    bool done = ca != NULL && append_pem(ca_pem, ca) == 0;

    *self = (struct tls){0};
    for (int i = 0; done && i < TLS_IDENTITIES_COUNT; i++) {
        EVP_PKEY *key = EVP_EC_gen("P-256");
        X509 *leaf = key ? make_leaf(key, &identities[i], ca, ca_key, 2 + i) : NULL;

        self->contexts[i] = leaf ? new_context(leaf, key) : NULL;
        done = self->contexts[i] != NULL;
        X509_free(leaf);
        EVP_PKEY_free(key);
    }
    X509_free(ca);
    EVP_PKEY_free(ca_key);
    if (!done) {
        const char *reason = ERR_reason_error_string(ERR_peek_last_error());

        return ag_fail(err, ARGOSY_EIO, "cannot make the certificates: %s",
                       reason ? reason : "out of memory");
    }
    return 0;
}

void tls_fini(struct tls *self)
{
    for (int i = 0; i < TLS_IDENTITIES_COUNT; i++)
        SSL_CTX_free(self->contexts[i]);
    *self = (struct tls){0};
}
