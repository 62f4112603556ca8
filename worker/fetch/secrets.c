#include "worker/fetch/secrets.h"

#include <czmq.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/error.h"

struct secrets {
    zconfig_t *root;
};

static const char *value_of(zconfig_t *secret, const char *name)
{
    return zconfig_get(secret, name, "");
}

static int check_secret(zconfig_t *secret, const char *path, struct argosy_error *err)
{
    const char *value = value_of(secret, "value"), *name = zconfig_name(secret);

    if (value[0] == '\0')
        return ag_fail(err, ARGOSY_EINVAL, "--secrets: %s: '%s' has no value", path, name);
    for (const char *c = value; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return ag_fail(err, ARGOSY_EINVAL,
                           "--secrets: %s: the value of '%s' has a control "
                           "character",
                           path, name);
    if (value_of(secret, "hosts")[0] == '\0')
        return ag_fail(err, ARGOSY_EINVAL,
                       "--secrets: %s: '%s' has no hosts: say which may be told it, for example "
                       "hosts = \"api.example.org\"",
                       path, name);
    return 0;
}

int secrets_load(secrets_t **out, const char *path, struct argosy_error *err)
{
    struct stat info;
    secrets_t *self;
    int rc = 0;

    *out = NULL;
    if (stat(path, &info) < 0)
        return ag_fail(err, ARGOSY_EINVAL, "--secrets: %s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode) || (info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return ag_fail(err, ARGOSY_EINVAL,
                       "--secrets: %s: others may read it, or it is no file; chmod 600 it", path);
    self = calloc(1, sizeof *self);
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for secrets");
    self->root = zconfig_load(path);
    if (self->root == NULL)
        rc = ag_fail(err, ARGOSY_EINVAL, "--secrets: %s is not a ZPL file", path);
    for (zconfig_t *at = rc == 0 ? zconfig_child(self->root) : NULL; at != NULL && rc == 0;
         at = zconfig_next(at))
        rc = check_secret(at, path, err);
    if (rc < 0)
        secrets_destroy(&self);
    *out = self;
    return rc;
}

void secrets_destroy(secrets_t **self_p)
{
    if (*self_p == NULL)
        return;
    zconfig_destroy(&(*self_p)->root);
    free(*self_p);
    *self_p = NULL;
}

static zconfig_t *secret_of(const secrets_t *self, const char *name)
{
    for (zconfig_t *at = self != NULL ? zconfig_child(self->root) : NULL; at != NULL;
         at = zconfig_next(at))
        if (strcmp(zconfig_name(at), name) == 0)
            return at;
    return NULL;
}

bool secrets_has(const secrets_t *self, const char *name)
{
    return secret_of(self, name) != NULL;
}

/* The port behind the host in `pattern`, taken off its size; 0 if there is none. */
static unsigned long take_port(const char *pattern, size_t *size)
{
    const char *colon = memrchr(pattern, ':', *size);

    if (colon == NULL || memchr(pattern, ':', (size_t)(colon - pattern)) != NULL)
        return 0; /* an IPv6 address has several */
    *size = (size_t)(colon - pattern);
    return strtoul(colon + 1, NULL, 10);
}

/* `pattern` of `size` bytes: [http://][*.]host[:port] */
static bool is_for(const char *pattern, size_t size, const struct url *url)
{
    size_t whole = strlen(url->host);
    bool plain = size > 7 && strncasecmp(pattern, "http://", 7) == 0;
    unsigned long port;

    if (strcmp(url->scheme, "https") != 0 && !(plain && strcmp(url->scheme, "http") == 0))
        return false;
    if (plain) {
        pattern += 7;
        size -= 7;
    }
    port = take_port(pattern, &size);
    if (port != 0 && port != url->port)
        return false;
    if (size > 2 && pattern[0] == '*' && pattern[1] == '.')
        return whole > size - 1 &&
               strncasecmp(url->host + whole - (size - 1), pattern + 1, size - 1) == 0;
    return whole == size && strncasecmp(url->host, pattern, size) == 0;
}

const char *secrets_find(const secrets_t *self, const char *name, const struct url *url)
{
    zconfig_t *secret = secret_of(self, name);
    const char *at = secret != NULL ? value_of(secret, "hosts") : "";

    while (*at != '\0') {
        size_t size = strcspn(at, " ,");

        if (size > 0 && is_for(at, size, url))
            return value_of(secret, "value");
        at += size + strspn(at + size, " ,");
    }
    return NULL;
}
