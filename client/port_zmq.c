/* The real port: a DEALER socket in a context of its own. */
#include "client/port.h"

#include <errno.h>
#include <stdlib.h>
#include <zmq.h>

#include "common/clock.h"
#include "common/entropy.h"
#include "common/error.h"
#include "common/limits.h"

enum { LINGER_MS = 200 };

struct zmq_port {
    void *context, *socket;
    zmq_msg_t message; /* the one in hand */
};

static int64_t now(void *arg)
{
    (void)arg;
    return ag_clock_mono_ms();
}

static int64_t unix_ms(void *arg)
{
    (void)arg;
    return ag_clock_unix_ms();
}

static int random_bytes(void *arg, uint8_t *out, size_t size, struct argosy_error *err)
{
    (void)arg;
    return ag_entropy(out, size, err);
}

static int connect_to(void *arg, const char *endpoint, struct argosy_error *err)
{
    struct zmq_port *self = arg;
    int zero = 0, one = 1, soon_ms = 10, late_ms = AG_RECONNECT_MS_MAX;
    int64_t message_max = AG_MESSAGE_BYTES_MAX;

    if (self->socket != NULL)
        zmq_close(self->socket);
    self->socket = zmq_socket(self->context, ZMQ_DEALER);
    if (self->socket == NULL)
        return ag_fail(err, ARGOSY_EIO, "cannot make a socket: %s", zmq_strerror(errno));
    zmq_setsockopt(self->socket, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(self->socket, ZMQ_IPV6, &one, sizeof one);
    zmq_setsockopt(self->socket, ZMQ_TCP_KEEPALIVE, &one, sizeof one);
    zmq_setsockopt(self->socket, ZMQ_RECONNECT_IVL, &soon_ms, sizeof soon_ms);
    zmq_setsockopt(self->socket, ZMQ_RECONNECT_IVL_MAX, &late_ms, sizeof late_ms);
    zmq_setsockopt(self->socket, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max);
    if (zmq_connect(self->socket, endpoint) < 0)
        return ag_fail(err, ARGOSY_EIO, "cannot connect to %s: %s", endpoint, zmq_strerror(errno));
    return 0;
}

static bool send_frame(void *arg, struct ag_bytes frame)
{
    struct zmq_port *self = arg;

    return self->socket != NULL &&
           zmq_send(self->socket, frame.data, frame.size, ZMQ_DONTWAIT) >= 0;
}

static bool receive(void *arg, struct ag_bytes *frame)
{
    struct zmq_port *self = arg;

    zmq_msg_init(&self->message);
    if (zmq_msg_recv(&self->message, self->socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&self->message);
        return false;
    }
    *frame = ag_bytes_of(zmq_msg_data(&self->message), zmq_msg_size(&self->message));
    return true;
}

static void release(void *arg)
{
    struct zmq_port *self = arg;

    zmq_msg_close(&self->message);
}

static bool wait_for(void *arg, int64_t ms)
{
    struct zmq_port *self = arg;
    zmq_pollitem_t item = {.socket = self->socket, .events = ZMQ_POLLIN};

    return zmq_poll(&item, 1, ms > 0 ? (long)ms : 0) >= 0 || errno != EINTR;
}

static int fd_of(void *arg)
{
    struct zmq_port *self = arg;
    int fd = -1;
    size_t size = sizeof fd;

    zmq_getsockopt(self->socket, ZMQ_FD, &fd, &size);
    return fd;
}

static void close_port(void *arg, bool politely)
{
    struct zmq_port *self = arg;
    int linger = LINGER_MS;

    if (self->socket != NULL && politely)
        zmq_setsockopt(self->socket, ZMQ_LINGER, &linger, sizeof linger);
    if (self->socket != NULL)
        zmq_close(self->socket);
    zmq_ctx_term(self->context);
    free(self);
}

int client_port_zmq(struct client_port *out, struct argosy_error *err)
{
    struct zmq_port *self = calloc(1, sizeof *self);

    if (self == NULL || (self->context = zmq_ctx_new()) == NULL) {
        free(self);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a connection");
    }
    *out = (struct client_port){.arg = self,
                                .now = now,
                                .unix_ms = unix_ms,
                                .random = random_bytes,
                                .connect = connect_to,
                                .send = send_frame,
                                .receive = receive,
                                .release = release,
                                .wait = wait_for,
                                .fd = fd_of,
                                .close = close_port};
    return 0;
}
