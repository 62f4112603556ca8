#include "tests/integration/http_server_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/integration/http_server_routes.h"

enum {
    ACCEPTS_PER_TURN = 256, /* then the others get their turn; epoll reports the rest again */
    STEPS_PER_TURN = 16,    /* at most 4 MB */
    READ_SIZE = 2 << 10,    /* a usual request; 5,000 idle connections cost 10 MB */
    UPLOAD_READ_SIZE = 16 << 10,
    PIECE_SPARE = PATTERN_PIECE_MAX / 4, /* what compressing may add, by zlib's bound */
    KEPT_SIZE = 16 << 10,   /* buffers larger than this are given back after the answer */
    DRAIN_US = 2000 * 1000, /* how long a peer may take to see that we closed */
};

/* How a part of the work ended. */
enum progress {
    GO_ON,
    BLOCKED, /* epoll or a timer will call again */
    GONE     /* the connection does not exist any more */
};

/* What a read or write returns when it moved nothing. */
enum { IO_END = 0, IO_BLOCKED = -1, IO_BROKEN = -2 };

/* ---- birth and death ------------------------------------------------------------------------ */

static void enter(struct conn *self, enum conn_state next)
{
    self->server->stats.answering -= self->state == CONN_ANSWERING;
    self->server->stats.answering += next == CONN_ANSWERING;
    self->state = next;
}

void conn_destroy(struct conn **self_p)
{
    struct conn *self = *self_p;

    if (self == NULL)
        return;
    *self_p = NULL;
    enter(self, CONN_DRAINING);
    timers_clear(&self->server->timers, &self->timer);
    if (self->previous != NULL)
        self->previous->next = self->next;
    else
        self->server->conns = self->next;
    if (self->next != NULL)
        self->next->previous = self->previous;
    self->server->stats.open--;
    SSL_free(self->ssl);
    close(self->fd);
    ag_buffer_free(&self->in);
    ag_buffer_free(&self->upload);
    ag_buffer_free(&self->out);
    ag_buffer_free(&self->piece);
    free(self);
}

/* The peer went away, or broke the connection. */
static enum progress lose(struct conn *self)
{
    self->server->stats.aborted += self->state == CONN_ANSWERING;
    self->server->stats.tls_failures += self->state == CONN_HANDSHAKE;
    conn_destroy(&self);
    return GONE;
}

static enum progress reset(struct conn *self)
{
    struct linger abort_at_once = {.l_onoff = 1, .l_linger = 0};

    setsockopt(self->fd, SOL_SOCKET, SO_LINGER, &abort_at_once, sizeof abort_at_once);
    conn_destroy(&self);
    return GONE;
}

/* Say that we are done and wait until the peer is: closing at once with unread bytes would send
 * RST, which may overtake the answer. */
static enum progress close_in_order(struct conn *self)
{
    if (self->ssl != NULL)
        SSL_shutdown(self->ssl);
    shutdown(self->fd, SHUT_WR);
    enter(self, CONN_DRAINING);
    self->may_read = true;
    timers_set(&self->server->timers, &self->timer, now_us() + DRAIN_US);
    return GO_ON;
}

/* ---- epoll, reading, writing ---------------------------------------------------------------- */

static enum progress watch(struct conn *self, uint32_t events)
{
    struct epoll_event event = {.events = events | EPOLLRDHUP, .data.ptr = &self->source};

    self->wanted = events;
    if (self->watched == event.events)
        return BLOCKED;
    if (epoll_ctl(self->server->epoll_fd, self->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, self->fd,
                  &event) < 0)
        return lose(self);
    self->watched = event.events;
    return BLOCKED;
}

static ssize_t tls_outcome(struct conn *self, int rc)
{
    switch (SSL_get_error(self->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        self->wanted = EPOLLIN;
        return IO_BLOCKED;
    case SSL_ERROR_WANT_WRITE:
        self->wanted = EPOLLOUT;
        return IO_BLOCKED;
    case SSL_ERROR_ZERO_RETURN:
        return IO_END;
    default:
        return IO_BROKEN;
    }
}

static ssize_t read_some(struct conn *self, void *data, size_t size)
{
    ssize_t count;

    if (self->ssl != NULL) {
        int rc;

        ERR_clear_error();
        rc = SSL_read(self->ssl, data, (int)size);
        return rc > 0 ? rc : tls_outcome(self, rc);
    }
    count = recv(self->fd, data, size, 0);
    if (count >= 0)
        return count;
    self->wanted = EPOLLIN;
    return errno == EAGAIN || errno == EINTR ? IO_BLOCKED : IO_BROKEN;
}

static ssize_t write_some(struct conn *self)
{
    struct ag_bytes out = ag_bytes_of(self->out.data, self->out.size);
    struct iovec parts[2] = {
        {.iov_base = out.data ? self->out.data + self->out_sent : NULL,
         .iov_len = out.size - self->out_sent},
        {.iov_base = (void *)self->span.data, .iov_len = self->span.size},
    };
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t count;

    if (self->ssl != NULL) {
        const struct iovec *part = &parts[parts[0].iov_len > 0 ? 0 : 1];
        int rc;

        ERR_clear_error();
        rc = SSL_write(self->ssl, part->iov_base, (int)part->iov_len);
        return rc > 0 ? rc : tls_outcome(self, rc);
    }
    count = sendmsg(self->fd, &message, MSG_NOSIGNAL);
    if (count >= 0)
        return count;
    self->wanted = EPOLLOUT;
    return errno == EAGAIN || errno == EINTR ? IO_BLOCKED : IO_BROKEN;
}

/* Send all that is waiting. GO_ON when nothing is. */
static enum progress flush(struct conn *self)
{
    while (self->out_sent < self->out.size || self->span.size > 0) {
        size_t out_left = self->out.size - self->out_sent, sent;
        ssize_t count = write_some(self);

        if (count == IO_BLOCKED)
            return watch(self, self->wanted);
        if (count <= 0)
            return lose(self);
        sent = (size_t)count;
        self->out_sent += sent < out_left ? sent : out_left;
        if (sent > out_left) {
            self->span.data += sent - out_left;
            self->span.size -= sent - out_left;
        }
    }
    ag_buffer_clear(&self->out);
    self->out_sent = 0;
    return GO_ON;
}

/* Read once into self->in. */
static enum progress receive(struct conn *self, size_t size)
{
    uint8_t *room;
    ssize_t count;

    if (!self->may_read)
        return watch(self, EPOLLIN);
    room = ag_buffer_reserve(&self->in, size);
    if (room == NULL)
        return lose(self);
    count = read_some(self, room, size);
    if (count == IO_BLOCKED) {
        self->may_read = false;
        return watch(self, self->wanted);
    }
    if (count <= 0)
        return lose(self);
    self->in.size += (size_t)count;
    /* Less than asked for: TCP has no more. TLS may have, it reads record by record. */
    self->may_read = self->ssl != NULL || (size_t)count == size;
    return GO_ON;
}

static void consume(struct ag_buffer *in, size_t offset, size_t count)
{
    in->size -= count;
    if (in->size > offset)
        memmove(in->data + offset, in->data + offset + count, in->size - offset);
}

/* ---- one request ---------------------------------------------------------------------------- */

static enum progress begin_answer(struct conn *self)
{
    struct exchange *x = &self->exchange;

    self->server->stats.requests++;
    routes_count(self->server, x->route);
    enter(self, CONN_ANSWERING);
    return GO_ON;
}

/* What follows cannot be understood, so the connection ends with this answer. */
static enum progress refuse(struct conn *self, unsigned status)
{
    self->exchange = (struct exchange){.step = routes_refuse, .numbers = {status}};
    self->server->stats.bad_requests++;
    enter(self, CONN_ANSWERING);
    return GO_ON;
}

static enum progress on_reading(struct conn *self)
{
    struct exchange *x = &self->exchange;
    unsigned refusal =
        request_head_size(ag_buffer_bytes(&self->in), &self->in_scanned, &self->head_size);

    if (refusal == 100)
        return receive(self, READ_SIZE);
    *x = (struct exchange){0};
    if (refusal == 0)
        refusal = request_parse(&x->request, ag_bytes_of(self->in.data, self->head_size));
    if (refusal != 0)
        return refuse(self, refusal);
    if (self->is_spent) {
        self->server->stats.unanswered++;
        return close_in_order(self);
    }
    routes_choose(x);
    self->body = body_begin(&x->request);
    if (self->body.state == BODY_DONE)
        return begin_answer(self);
    if (x->request.expects_continue)
        ag_buffer_text(&self->out, "HTTP/1.1 100 Continue\r\n\r\n");
    enter(self, CONN_UPLOAD);
    return GO_ON;
}

static enum progress on_upload(struct conn *self)
{
    struct exchange *x = &self->exchange;
    struct ag_bytes arrived =
        ag_bytes_of(self->in.data + self->head_size, self->in.size - self->head_size);
    enum progress progress = flush(self); /* 100 Continue */

    if (progress != GO_ON)
        return progress;
    consume(&self->in, self->head_size,
            body_decode(&self->body, arrived, route_keeps_body(x->route) ? &self->upload : NULL));
    if (self->body.state == BODY_BROKEN)
        return refuse(self, 400);
    if (self->body.state != BODY_DONE)
        return receive(self, UPLOAD_READ_SIZE);
    /* The buffer may have moved since: borrow anew. It was parsed before, so it can be. */
    request_parse(&x->request, ag_bytes_of(self->in.data, self->head_size));
    routes_choose(x);
    return begin_answer(self);
}

static enum progress end_exchange(struct conn *self)
{
    if (!self->exchange.request.keep_alive)
        return close_in_order(self);
    consume(&self->in, 0, self->head_size);
    self->in_scanned = self->head_size = 0;
    if (self->in.capacity > KEPT_SIZE && self->in.size == 0)
        ag_buffer_free(&self->in);
    if (self->out.capacity > KEPT_SIZE)
        ag_buffer_free(&self->out);
    ag_buffer_free(&self->upload);
    ag_buffer_free(&self->piece);
    enter(self, CONN_READING);
    return GO_ON;
}

/* Nothing to do until a timer or until the peer goes. Telling epoll not to report bytes costs a
 * call, and they seldom come: on_ready() does it when they do. */
static enum progress idle(struct conn *self)
{
    self->wanted = 0;
    return self->watched == (EPOLLIN | EPOLLRDHUP) ? BLOCKED : watch(self, 0);
}

static enum progress on_answering(struct conn *self)
{
    struct exchange *x = &self->exchange;
    enum progress progress = flush(self);

    if (progress != GO_ON)
        return progress;
    switch (x->then) {
    case THEN_MORE:
        x->then = x->step(self);
        x->turn++;
        return self->out.failed ? reset(self) : GO_ON; /* without memory no answer is honest */
    case THEN_WAIT:
        if (x->due_us > now_us()) {
            timers_set(&self->server->timers, &self->timer, x->due_us);
            return idle(self);
        }
        x->then = THEN_MORE;
        return GO_ON;
    case THEN_HANG:
        return idle(self);
    case THEN_END:
        return end_exchange(self);
    case THEN_CLOSE:
        return close_in_order(self);
    case THEN_RESET:
        return reset(self);
    }
    return GO_ON;
}

static enum progress on_draining(struct conn *self)
{
    char ignored[16 << 10];
    ssize_t count = recv(self->fd, ignored, sizeof ignored, 0);

    if (count > 0)
        return GO_ON;
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return watch(self, EPOLLIN);
    conn_destroy(&self);
    return GONE;
}

static enum progress on_handshake(struct conn *self)
{
    int rc;

    ERR_clear_error();
    rc = SSL_accept(self->ssl);
    if (rc != 1)
        return tls_outcome(self, rc) == IO_BLOCKED ? watch(self, self->wanted) : lose(self);
    self->server->stats.tls_handshakes++;
    self->may_read = true; /* the request may have come with the end of the handshake */
    enter(self, CONN_READING);
    return GO_ON;
}

/* ---- the loop's side ------------------------------------------------------------------------ */

static void run(struct conn *self)
{
    static enum progress (*const on_state[])(struct conn *) = {
        [CONN_HANDSHAKE] = on_handshake, [CONN_READING] = on_reading,   [CONN_UPLOAD] = on_upload,
        [CONN_ANSWERING] = on_answering, [CONN_DRAINING] = on_draining,
    };
    enum progress progress = GO_ON;

    for (int steps = 0; steps < STEPS_PER_TURN && progress == GO_ON; steps++)
        progress = on_state[self->state](self);
    if (progress == GO_ON)
        watch(self, EPOLLOUT); /* there is more to do, but others wait: come back at once */
}

static void on_ready(struct server *server, struct source *source, uint32_t events)
{
    struct conn *self = (struct conn *)source;

    (void)server;
    if ((events & (EPOLLERR | EPOLLHUP)) ||
        (self->state == CONN_ANSWERING && (events & EPOLLRDHUP))) {
        lose(self);
        return;
    }
    if (events & (EPOLLIN | EPOLLRDHUP))
        self->may_read = true;
    if (self->state == CONN_ANSWERING && !(events & self->wanted))
        watch(self, self->wanted); /* the next request has to wait in the kernel */
    else
        run(self);
}

void conn_on_timer(struct timer *timer)
{
    struct conn *self = (struct conn *)((char *)timer - offsetof(struct conn, timer));

    if (self->state == CONN_DRAINING)
        conn_destroy(&self);
    else
        run(self);
}

enum then conn_wait(struct conn *self, uint64_t ms)
{
    struct exchange *x = &self->exchange;

    if (x->due_us == 0)
        x->due_us = now_us();
    x->due_us += (int64_t)ms * 1000;
    return THEN_WAIT;
}

/* The test that wants to know who was reached may share no address with it. */
static void note_place(struct server *server, int fd)
{
    struct sockaddr_storage here;
    const struct sockaddr_in6 *in6 = (const void *)&here;
    socklen_t size = sizeof here;
    char address[INET6_ADDRSTRLEN] = "?";
    size_t i = 0;

    if (getsockname(fd, (struct sockaddr *)&here, &size) < 0)
        return;
    if (here.ss_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)&here)->sin_addr, address,
                  sizeof address);
    else if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
        inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], address, sizeof address);
    else
        inet_ntop(AF_INET6, &in6->sin6_addr, address, sizeof address);
    while (i < server->places_count && strcmp(server->places[i].address, address) != 0)
        i++;
    if (i == PLACES_MAX)
        i--;
    else if (i == server->places_count)
        strcpy(server->places[server->places_count++].address,
               i == PLACES_MAX - 1 ? "others" : address);
    server->places[i].connections++;
}

static void conn_new(struct server *server, int fd, SSL_CTX *tls)
{
    struct conn *self = calloc(1, sizeof *self);

    if (self != NULL && tls != NULL)
        self->ssl = SSL_new(tls);
    if (self == NULL || (tls != NULL && (self->ssl == NULL || SSL_set_fd(self->ssl, fd) != 1))) {
        if (self != NULL)
            SSL_free(self->ssl);
        free(self);
        close(fd);
        return;
    }
    self->source.ready = on_ready;
    self->server = server;
    self->fd = fd;
    self->state = tls ? CONN_HANDSHAKE : CONN_READING;
    self->in = ag_buffer_empty(REQUEST_HEAD_MAX + UPLOAD_READ_SIZE);
    self->upload = ag_buffer_empty(UPLOAD_MAX);
    self->out = ag_buffer_empty(OUT_MAX);
    self->piece = ag_buffer_empty(PATTERN_PIECE_MAX + PIECE_SPARE);
    self->next = server->conns;
    if (self->next != NULL)
        self->next->previous = self;
    server->conns = self;
    server->stats.connections++;
    note_place(server, fd);
    server->stats.open++;
    watch(self, EPOLLIN);
}

void conn_accept(struct server *server, int listener_fd, SSL_CTX *tls)
{
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0 && server->stats.open < server->connections_max)
            conn_new(server, fd, tls);
        else if (fd >= 0)
            close(fd);
        else if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}
