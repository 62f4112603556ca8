#include "broker/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/endpoint.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/log.h"

enum {
    PEER_MESSAGES_MAX = 32768, /* sent and not yet taken by a peer; credit keeps it far below */
    LINGER_MS = 200,           /* for the last words */
    HANDSHAKE_MS = 5000,
    BACKLOG = 1024,
    LOCKS_MAX = 16
};

struct lock {
    int fd;
    char name[AG_ENDPOINT_SIZE + 8];
};

struct listener {
    zsock_t *socket;
    struct lock locks[LOCKS_MAX]; /* of ipc endpoints */
    unsigned locks_count;
    bool owns_folder;
};

/* Whether the file is still the one with this name: its last owner removes it. */
static bool is_named(int fd, const char *name)
{
    struct stat here, there;

    return fstat(fd, &here) == 0 && stat(name, &there) == 0 && here.st_ino == there.st_ino &&
           here.st_dev == there.st_dev;
}

/* ZeroMQ would take over the socket file of a broker that is alive: a lock beside it tells. */
static int lock_path(listener_t *self, const char *path, struct argosy_error *err)
{
    struct lock *lock = &self->locks[self->locks_count];

    if (self->locks_count == LOCKS_MAX)
        return ag_fail(err, ARGOSY_EINVAL, "more than %d ipc endpoints", LOCKS_MAX);
    snprintf(lock->name, sizeof lock->name, "%s.lock", path);
    for (;;) {
        lock->fd = open(lock->name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (lock->fd < 0)
            return ag_fail(err, ARGOSY_EIO, "cannot listen on ipc://%s: %s: %s", path, lock->name,
                           strerror(errno));
        if (flock(lock->fd, LOCK_EX | LOCK_NB) < 0) {
            close(lock->fd);
            return ag_fail(err, ARGOSY_EIO, "another broker listens on ipc://%s already", path);
        }
        if (is_named(lock->fd, lock->name))
            break;
        close(lock->fd);
    }
    self->locks_count++;
    return 0;
}

/* The socket, its lock, and the directory if it was made for this broker alone. */
static void remove_paths(listener_t *self)
{
    while (self->locks_count > 0) {
        struct lock *lock = &self->locks[--self->locks_count];
        char *end = strrchr(lock->name, '.');

        *end = '\0';
        unlink(lock->name);
        *end = '.';
        unlink(lock->name);
        close(lock->fd);
        end = strrchr(lock->name, '/');
        *end = '\0';
        if (self->owns_folder)
            rmdir(lock->name);
    }
}

static int listen_on(listener_t *self, const char *endpoint, struct argosy_error *err)
{
    const char *path = ag_endpoint_path(endpoint);
    char actual[AG_ENDPOINT_SIZE] = "";
    size_t size = sizeof actual;
    int ipv6;

    if (path != NULL && lock_path(self, path, err) < 0)
        return err != NULL ? err->code : ARGOSY_EIO;
    /* With IPv6 on, an IPv4 address would be told as ::ffff:a.b.c.d. */
    ipv6 = strchr(endpoint, '[') != NULL || strstr(endpoint, "://*") != NULL;
    zmq_setsockopt(zsock_resolve(self->socket), ZMQ_IPV6, &ipv6, sizeof ipv6);
    if (zmq_bind(zsock_resolve(self->socket), endpoint) < 0)
        return ag_fail(err, ARGOSY_EIO, "cannot listen on %s: %s", endpoint, zmq_strerror(errno));
    zmq_getsockopt(zsock_resolve(self->socket), ZMQ_LAST_ENDPOINT, actual, &size);
    ag_log_info("broker", "listening", ag_kv("endpoint", actual));
    return 0;
}

static int set_options(void *socket)
{
    const struct {
        int option, value;
    } options[] = {
        {ZMQ_ROUTER_MANDATORY, 1},       {ZMQ_LINGER, LINGER_MS},
        {ZMQ_SNDHWM, PEER_MESSAGES_MAX}, {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
        {ZMQ_BACKLOG, BACKLOG},          {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_TCP_KEEPALIVE_IDLE, 2},     {ZMQ_TCP_KEEPALIVE_INTVL, 1},
        {ZMQ_TCP_KEEPALIVE_CNT, 2},      {ZMQ_IPV6, 1},
    };
    int64_t message_max = AG_MESSAGE_BYTES_MAX;

    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (zmq_setsockopt(socket, options[i].option, &options[i].value, sizeof(int)) < 0)
            return -1;
    return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max);
}

static int open_socket(listener_t *self, const char *const *endpoints, size_t count,
                       struct argosy_error *err)
{
    self->socket = zsock_new(ZMQ_ROUTER);
    if (self->socket == NULL)
        return ag_fail(err, ARGOSY_EIO, "cannot make a socket: %s", zmq_strerror(errno));
    if (set_options(zsock_resolve(self->socket)) < 0)
        return ag_fail(err, ARGOSY_EIO, "cannot set up a socket: %s", zmq_strerror(errno));
    for (size_t i = 0; i < count; i++) {
        int rc = listen_on(self, endpoints[i], err);

        if (rc < 0)
            return rc;
    }
    return 0;
}

int listener_new(listener_t **out, const char *const *endpoints, size_t count, bool owns_folder,
                 struct argosy_error *err)
{
    listener_t *self = calloc(1, sizeof *self);
    int rc;

    *out = NULL;
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a broker");
    self->owns_folder = owns_folder;
    rc = open_socket(self, endpoints, count, err);
    if (rc < 0)
        listener_destroy(&self);
    *out = self;
    return rc;
}

zsock_t *listener_socket(listener_t *self)
{
    return self->socket;
}

void listener_destroy(listener_t **self_p)
{
    listener_t *self = *self_p;

    if (self == NULL)
        return;
    zsock_destroy(&self->socket);
    remove_paths(self);
    free(self);
    *self_p = NULL;
}
