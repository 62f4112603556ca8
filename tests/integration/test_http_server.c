/* test_http_server.c - an HTTP server that misbehaves on request, for the tests of clients.
 *
 * One thread, one epoll set, 127.0.0.1 unless told otherwise. Start here: `test-http-server
 * --help`, or
 *
 *     /  /page/N  /page/NAME        small HTML pages; those with a number link to the next
 *     /bytes/N                      N bytes of a pattern: the one at offset i is i % 251
 *     /big/N                        the same without Content-Length, then close
 *     /chunked[/N[/SIZE]]           the same in N chunks of SIZE (10 of 1,000)
 *     /slow[/BYTES[/MS]]            the same, one byte every MS (100 bytes, 100 ms)
 *     /delay/MS[/BYTES]             answers after MS
 *     /flaky/N/KEY[?retry_after=S]  503 for the first N requests with KEY, then 200
 *                                   (also /flaky/KEY/N[/S] where KEY is not a number)
 *     /status/N[?retry_after=S]     that status, with Retry-After: S, seconds or a date in %XX;
 *                                   1xx is followed by 200
 *     /redirect/N[/STATUS]          302, or STATUS: N hops and then 200
 *     /redirloop                    302 for ever
 *     /redirto/URL  /redirto?url=   302 to URL, verbatim, or with %XX resolved and &status=N
 *     /redirbad/NAME                302 to what is no URL
 *     /etag                         ETag "v1"; 304 to whoever has it (If-None-Match)
 *     /range/BYTES[/ETAG]           by Range and If-Range, rightly or not (?as=), cut (?cut=&key=)
 *     /pages/N/OF[?next=URL]        JSON with Link headers to the next page; the last leads to URL
 *     /setcookie/NAME/VALUE         a cookie, with a redirect if there is ?url=
 *     /cookies                      those of the request, as JSON
 *     /robots.txt                   as the Host robots-NAME.test says, or as /setrobots/NAME did
 *     /type[/MEDIA]                 that content type, or none
 *     /hdrs[/N]  /hdrsize[/BYTES]   N headers (100), one header of BYTES (128 KB)
 *     /gzip  /bomb                  a compressed text, if accepted; 1 MB that becomes 1 GB, always
 *     /bomb/RATIO[/MB]              one of a chosen strength
 *     /encoded/NAME                 the text compressed otherwise, or wrongly
 *     /echo                         the request as JSON: method, path, headers, body
 *     /stats                        what happened so far, as JSON; what is open and was aborted;
 *                                   which of our addresses were connected to
 *     /count/NAME                   how often /NAME was asked for
 *
 * and those that misbehave, in brackets what curl makes of them:
 *
 *     /chunkcut  /badlen            closed in the middle of a chunk, of the Content-Length (18, 18)
 *     /overlen                      twice the Content-Length, then kept open (0)
 *     /garbage  /empty              no HTTP; closed without a word (1, 52)
 *     /reset  /resetmid             RST instead of an answer, in the body (56, 56)
 *     /hang  /hanghead              no answer; half a head, then nothing (28, 28)
 *     /stale                        200, and the next request on the connection is closed upon
 *     /raw/NAME                     odd heads and framing, byte for byte
 *
 * Certificates are made at each start; three of the four HTTPS ports must not be trusted (60).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <argosy/error.h>

#include "tests/integration/http_server_routes.h"
#include "tests/integration/http_server_tls.h"

enum {
    EVENTS_PER_TURN = 512,
    DESCRIPTORS_SPARE = 64, /* listeners, libraries, files */
    LISTENERS_COUNT = 1 + TLS_IDENTITIES_COUNT,
    ANNOUNCEMENT_MAX = 16 << 10, /* bytes; the lines that say where we are, and the CA */
    BACKLOG = 4096,              /* connections; what Linux allows unless told otherwise */
    EXIT_USAGE = 2,
};

struct options {
    uint16_t port, tls_port; /* 0: any */
    const char *port_file;   /* NULL: none */
    const char *address;     /* NULL: 127.0.0.1 */
    bool is_with_parent;
};

struct listener {
    struct source source; /* first */
    int fd;
    SSL_CTX *tls; /* borrowed; NULL for plain TCP */
};

/* All that main() has to give back. */
struct program {
    struct options options;
    struct server server;
    struct tls tls;
    struct listener listeners[LISTENERS_COUNT];
    int refused_fd;
    struct source signal_source;
    int signal_fd;
    char directory[PATH_MAX], ca_path[PATH_MAX + 8]; /* empty until they exist */
    struct ag_buffer announcement;
};

/* ---- options -------------------------------------------------------------------------------- */

static void print_help(FILE *out)
{
    fputs("Usage: test-http-server [--port N] [--tls-port N] [--address ADDRESS]\n"
          "                        [--port-file FILE] [--with-parent]\n"
          "\n"
          "An HTTP/1.1 server that misbehaves on request.\n"
          "  --address ADDRESS where it listens, instead of on 127.0.0.1; :: is everywhere\n"
          "  --port N          where plain HTTP listens; 0, the default, takes any\n"
          "  --tls-port N      where HTTPS with a good certificate listens; 0, the default: any\n"
          "  --port-file FILE  write the lines below to FILE as well, all at once\n"
          "  --with-parent     end when the process that started this one does\n"
          "\n"
          "When it is ready it prints \"http ADDRESS:PORT\", the same for https,\n"
          "https-selfsigned, https-expired, https-wrongname and refused (where nobody listens),\n"
          "and last \"ca FILE\", the CA of the good certificate. It ends on SIGTERM and SIGINT.\n"
          "\n"
          "Paths:\n",
          out);
    routes_print(out);
}

static bool parse_port(const char *text, uint16_t *port)
{
    char *end;
    unsigned long number;

    errno = 0;
    number = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number > UINT16_MAX)
        return false;
    *port = (uint16_t)number;
    return true;
}

/* Returns -1 to go on, else the status to exit with. */
static int parse_options(struct options *self, int argc, char **argv)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},
        {"tls-port", required_argument, NULL, 't'},
        {"port-file", required_argument, NULL, 'f'},
        {"address", required_argument, NULL, 'a'},
        {"with-parent", no_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        bool is_good = true;

        switch (option) {
        case 'p':
            is_good = parse_port(optarg, &self->port);
            break;
        case 't':
            is_good = parse_port(optarg, &self->tls_port);
            break;
        case 'f':
            self->port_file = optarg;
            break;
        case 'a':
            self->address = optarg;
            break;
        case 'w':
            self->is_with_parent = true;
            break;
        case 'h':
            print_help(stdout);
            return EXIT_SUCCESS;
        default: /* getopt has said what is wrong */
            return EXIT_USAGE;
        }
        if (!is_good) {
            fprintf(stderr, "test-http-server: '%s' is not a port (0-65535)\n", optarg);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "test-http-server: unexpected '%s'; see --help\n", argv[optind]);
        return EXIT_USAGE;
    }
    return -1;
}

/* ---- what epoll reports --------------------------------------------------------------------- */

static void on_listener(struct server *server, struct source *source, uint32_t events)
{
    struct listener *listener = (struct listener *)source;

    (void)events;
    conn_accept(server, listener->fd, listener->tls);
}

static void on_signal(struct server *server, struct source *source, uint32_t events)
{
    (void)source, (void)events;
    server->is_stopping = true;
}

static int watch(struct program *self, int fd, struct source *source,
                 void (*ready)(struct server *, struct source *, uint32_t),
                 struct argosy_error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};

    source->ready = ready;
    if (epoll_ctl(self->server.epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return ag_fail(err, ARGOSY_EIO, "cannot watch descriptor %d: %s", fd, strerror(errno));
    return 0;
}

/* ---- building up ---------------------------------------------------------------------------- */

/* Sets its port later, which stands at the same place for both families. */
static int parse_address(const char *text, struct sockaddr_storage *out, socklen_t *size,
                         struct argosy_error *err)
{
    struct sockaddr_in *in = (void *)out;
    struct sockaddr_in6 *in6 = (void *)out;

    *out = (struct sockaddr_storage){0};
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        *size = sizeof *in;
    } else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        *size = sizeof *in6;
    } else {
        return ag_fail(err, ARGOSY_EINVAL, "--address: '%s' is no address", text);
    }
    return 0;
}

/* Bind to the address, listen unless nobody shall, and announce it as `name`. */
static int open_port(struct program *self, const char *name, uint16_t port, bool is_listening,
                     int *fd_out, struct argosy_error *err)
{
    const char *text = self->options.address != NULL ? self->options.address : "127.0.0.1";
    struct sockaddr_storage address;
    struct sockaddr_in *in = (void *)&address; /* sin6_port is where sin_port is */
    socklen_t size;
    int yes = 1, fd, rc = parse_address(text, &address, &size, err);

    if (rc < 0)
        return rc;
    in->sin_port = htons(port);
    fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    *fd_out = fd;
    /* TCP_NODELAY is inherited by what is accepted. */
    if (fd < 0 || (port != 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) < 0 ||
        bind(fd, (struct sockaddr *)&address, size) < 0 ||
        (is_listening && listen(fd, BACKLOG) < 0) ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return ag_fail(err, ARGOSY_EIO, "%s: cannot use port %u: %s", name, port, strerror(errno));
    ag_buffer_printf(&self->announcement,
                     address.ss_family == AF_INET6 ? "%s [%s]:%u\n" : "%s %s:%u\n", name, text,
                     ntohs(in->sin_port));
    return 0;
}

static int open_listeners(struct program *self, struct argosy_error *err)
{
    static const char *const names[] = {
#define X(name, text) [TLS_##name] = text,
        TLS_IDENTITIES(X)
#undef X
    };

    for (int i = 0; i < LISTENERS_COUNT; i++) {
        struct listener *listener = &self->listeners[i];
        int identity = i - 1; /* the first listener is plain */
        uint16_t port = i == 0                  ? self->options.port
                        : identity == TLS_VALID ? self->options.tls_port
                                                : 0;
        int rc = open_port(self, i == 0 ? "http" : names[identity], port, true, &listener->fd, err);

        listener->tls = i == 0 ? NULL : self->tls.contexts[identity];
        if (rc == 0)
            rc = watch(self, listener->fd, &listener->source, on_listener, err);
        if (rc < 0)
            return rc;
    }
    return open_port(self, "refused", 0, false, &self->refused_fd, err);
}

/* 5,000 connections need more descriptors than a shell usually allows. */
static int raise_limits(struct server *server, struct argosy_error *err)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return ag_fail(err, ARGOSY_EIO, "cannot ask for RLIMIT_NOFILE: %s", strerror(errno));
    if (limit.rlim_cur < CONNECTIONS_MAX + DESCRIPTORS_SPARE) {
        limit.rlim_cur = CONNECTIONS_MAX + DESCRIPTORS_SPARE;
        if (limit.rlim_cur > limit.rlim_max)
            limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
            return ag_fail(err, ARGOSY_EIO, "cannot raise RLIMIT_NOFILE: %s", strerror(errno));
    }
    if (limit.rlim_cur <= DESCRIPTORS_SPARE)
        return ag_fail(err, ARGOSY_EIO, "RLIMIT_NOFILE leaves no room for connections");
    server->connections_max = CONNECTIONS_MAX;
    if (limit.rlim_cur - DESCRIPTORS_SPARE < CONNECTIONS_MAX)
        server->connections_max = (size_t)limit.rlim_cur - DESCRIPTORS_SPARE;
    return 0;
}

static int write_file(const char *path, struct ag_bytes bytes, struct argosy_error *err)
{
    FILE *file = fopen(path, "we");
    bool done = file != NULL && fwrite(bytes.data, 1, bytes.size, file) == bytes.size;

    if (file != NULL && fclose(file) != 0)
        done = false;
    return done ? 0 : ag_fail(err, ARGOSY_EIO, "cannot write '%s': %s", path, strerror(errno));
}

static int write_ca(struct program *self, struct ag_bytes pem, struct argosy_error *err)
{
    const char *parent = getenv("TMPDIR");
    char pattern[PATH_MAX];

    if (parent == NULL || parent[0] == '\0')
        parent = "/tmp";
    if ((size_t)snprintf(pattern, sizeof pattern, "%s/argosy-http-XXXXXX", parent) >=
        sizeof pattern)
        return ag_fail(err, ARGOSY_EINVAL, "TMPDIR is too long");
    if (mkdtemp(pattern) == NULL)
        return ag_fail(err, ARGOSY_EIO, "cannot make '%s': %s", pattern, strerror(errno));
    memcpy(self->directory, pattern, sizeof pattern);
    snprintf(self->ca_path, sizeof self->ca_path, "%s/ca.pem", self->directory);
    ag_buffer_printf(&self->announcement, "ca %s\n", self->ca_path);
    return write_file(self->ca_path, pem, err);
}

/* Signals become events; a peer that is gone becomes EPIPE. */
static int watch_signals(struct program *self, struct argosy_error *err)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0 ||
        (self->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC)) < 0)
        return ag_fail(err, ARGOSY_EIO, "cannot take signals: %s", strerror(errno));
    return watch(self, self->signal_fd, &self->signal_source, on_signal, err);
}

/* Get SIGTERM when the parent ends; `parent` is who it was when we began. */
static int follow_parent(const struct program *self, pid_t parent, struct argosy_error *err)
{
    if (!self->options.is_with_parent)
        return 0;
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
        return ag_fail(err, ARGOSY_EIO, "--with-parent: prctl: %s", strerror(errno));
    if (getppid() != parent) /* it ended before it could be followed */
        raise(SIGTERM);      /* stays pending until the loop reads it */
    return 0;
}

/* Whoever waits for the file sees all lines or none. */
static int announce(struct program *self, struct argosy_error *err)
{
    struct ag_bytes lines = ag_buffer_bytes(&self->announcement);
    const char *path = self->options.port_file;
    char partial[PATH_MAX];

    if (self->announcement.failed)
        return ag_fail(err, ARGOSY_ENOMEM, "out of memory");
    if (path != NULL) {
        int rc;

        if ((size_t)snprintf(partial, sizeof partial, "%s.%d", path, (int)getpid()) >=
            sizeof partial)
            return ag_fail(err, ARGOSY_EINVAL, "--port-file: '%s' is too long", path);
        rc = write_file(partial, lines, err);
        if (rc == 0 && rename(partial, path) < 0)
            rc = ag_fail(err, ARGOSY_EIO, "cannot rename '%s' to '%s': %s", partial, path,
                         strerror(errno));
        if (rc < 0) {
            unlink(partial);
            return rc;
        }
    }
    if (fwrite(lines.data, 1, lines.size, stdout) != lines.size || fflush(stdout) != 0)
        return ag_fail(err, ARGOSY_EIO, "cannot write to standard output: %s", strerror(errno));
    return 0;
}

static int program_init(struct program *self, pid_t parent, struct argosy_error *err)
{
    struct server *server = &self->server;
    struct ag_buffer ca_pem = ag_buffer_empty(ANNOUNCEMENT_MAX);
    int rc = raise_limits(server, err);

    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (rc == 0 && server->epoll_fd < 0)
        rc = ag_fail(err, ARGOSY_EIO, "cannot make an epoll set: %s", strerror(errno));
    if (rc == 0 && (!timers_init(&server->timers, server->connections_max) ||
                    !bodies_init(&server->bodies) || !flaky_init(&server->flaky)))
        rc = ag_fail(err, ARGOSY_ENOMEM, "out of memory");
    if (rc == 0 && (rc = tls_init(&self->tls, &ca_pem, err)) == 0 &&
        (rc = watch_signals(self, err)) == 0 && (rc = follow_parent(self, parent, err)) == 0 &&
        (rc = open_listeners(self, err)) == 0 &&
        (rc = write_ca(self, ag_buffer_bytes(&ca_pem), err)) == 0)
        rc = announce(self, err);
    ag_buffer_free(&ca_pem);
    return rc;
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void program_fini(struct program *self)
{
    while (self->server.conns != NULL) {
        struct conn *conn = self->server.conns;

        conn_destroy(&conn);
    }
    for (int i = 0; i < LISTENERS_COUNT; i++)
        close_if_open(self->listeners[i].fd);
    close_if_open(self->refused_fd);
    close_if_open(self->signal_fd);
    close_if_open(self->server.epoll_fd);
    tls_fini(&self->tls);
    flaky_fini(&self->server.flaky);
    bodies_fini(&self->server.bodies);
    timers_fini(&self->server.timers);
    ag_buffer_free(&self->announcement);
    if (self->ca_path[0] != '\0')
        unlink(self->ca_path);
    if (self->directory[0] != '\0')
        rmdir(self->directory);
}

/* ---- the loop ------------------------------------------------------------------------------- */

/* How long to wait, rounded up: waking early would only mean to wait again. */
static int timeout_ms(const struct timers *timers)
{
    int64_t deadline_us = timers_deadline(timers), left_ms;

    if (deadline_us == INT64_MAX)
        return -1;
    left_ms = (deadline_us - now_us() + 999) / 1000;
    if (left_ms < 0)
        return 0;
    return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

static int serve(struct server *server, struct argosy_error *err)
{
    struct epoll_event events[EVENTS_PER_TURN];

    while (!server->is_stopping) {
        int count =
            epoll_wait(server->epoll_fd, events, EVENTS_PER_TURN, timeout_ms(&server->timers));
        int64_t now = now_us();
        struct timer *timer;

        if (count < 0 && errno != EINTR)
            return ag_fail(err, ARGOSY_EIO, "epoll_wait: %s", strerror(errno));
        /* Each connection has one descriptor, so none can be destroyed by another's event. */
        for (int i = 0; i < count; i++) {
            struct source *source = events[i].data.ptr;

            source->ready(server, source, events[i].events);
        }
        while ((timer = timers_take_due(&server->timers, now)) != NULL)
            conn_on_timer(timer);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct program program; /* zeroed; too large for comfort on the stack */
    struct argosy_error err = {0};
    pid_t parent = getppid();
    int rc = parse_options(&program.options, argc, argv);

    if (rc >= 0)
        return rc;
    for (int i = 0; i < LISTENERS_COUNT; i++)
        program.listeners[i].fd = -1;
    program.refused_fd = program.signal_fd = program.server.epoll_fd = -1;
    program.announcement = ag_buffer_empty(ANNOUNCEMENT_MAX);

    rc = program_init(&program, parent, &err);
    if (rc == 0)
        rc = serve(&program.server, &err);
    program_fini(&program);
    if (rc < 0)
        fprintf(stderr, "test-http-server: %s\n", err.message);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
