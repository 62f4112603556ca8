#include "common/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/error.h"

static const char *after(const char *text, const char *prefix)
{
    size_t size = strlen(prefix);

    return strncmp(text, prefix, size) == 0 ? text + size : NULL;
}

const char *ag_endpoint_path(const char *endpoint)
{
    return after(endpoint, "ipc://");
}

static int check_tcp(const char *endpoint, const char *address, bool bind, struct argosy_error *err)
{
    const char *colon = strrchr(address, ':');
    char *end;
    unsigned long port;

    if (colon == NULL || colon == address)
        return ag_fail(err, ARGOSY_EINVAL, "'%s' has no port (tcp://HOST:PORT)", endpoint);
    if (bind && strcmp(colon + 1, "*") == 0)
        return 0;
    errno = 0;
    port = strtoul(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end != '\0' || errno != 0 || port > 65535 ||
        (port == 0 && !bind))
        return ag_fail(err, ARGOSY_EINVAL, "'%s': '%s' is not a port (1-65535)", endpoint,
                       colon + 1);
    if (!bind && address[0] == '*')
        return ag_fail(err, ARGOSY_EINVAL, "'%s': * is for listening; name a host", endpoint);
    return 0;
}

int ag_endpoint_check(const char *endpoint, bool bind, struct argosy_error *err)
{
    const char *address = after(endpoint, "tcp://");
    const char *path = ag_endpoint_path(endpoint);
    const struct sockaddr_un *unix_address = NULL;

    if (strlen(endpoint) >= AG_ENDPOINT_SIZE)
        return ag_fail(err, ARGOSY_EINVAL, "an endpoint of %zu bytes is too long",
                       strlen(endpoint));
    if (address != NULL)
        return check_tcp(endpoint, address, bind, err);
    if (path == NULL)
        return ag_fail(err, ARGOSY_EINVAL,
                       "'%s' is not an endpoint (tcp://HOST:PORT or ipc://PATH)", endpoint);
    if (path[0] != '/')
        return ag_fail(err, ARGOSY_EINVAL, "'%s' needs an absolute path (ipc:///run/...)",
                       endpoint);
    if (strlen(path) >= sizeof unix_address->sun_path)
        return ag_fail(err, ARGOSY_EINVAL, "'%s': the path is too long for a socket (%zu bytes)",
                       endpoint, sizeof unix_address->sun_path - 1);
    return 0;
}

int ag_endpoint_default(char out[AG_ENDPOINT_SIZE], struct argosy_error *err)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char folder[AG_ENDPOINT_SIZE - 32];
    struct stat found;
    int size;

    if (runtime != NULL && runtime[0] == '/')
        size = snprintf(folder, sizeof folder, "%s/argosy", runtime);
    else
        size = snprintf(folder, sizeof folder, "/tmp/argosy-%u", (unsigned)getuid());
    if (size < 0 || (size_t)size >= sizeof folder)
        return ag_fail(err, ARGOSY_EINVAL, "XDG_RUNTIME_DIR is too long");
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return ag_fail(err, ARGOSY_EIO, "cannot make %s: %s", folder, strerror(errno));
    if (lstat(folder, &found) < 0 || !S_ISDIR(found.st_mode) || found.st_uid != geteuid() ||
        (found.st_mode & 022) != 0)
        return ag_fail(err, ARGOSY_EIO,
                       "%s is not a directory that only you can write to; remove it, or name an "
                       "endpoint",
                       folder);
    snprintf(out, AG_ENDPOINT_SIZE, "ipc://%s/broker", folder);
    return ag_endpoint_check(out, true, err);
}
