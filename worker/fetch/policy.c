#include "worker/fetch/policy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "common/error.h"

/* Every address is compared in 16 bytes, IPv4 as ::ffff:a.b.c.d. */
struct net {
    uint8_t address[16];
    unsigned bits;
    uint16_t port; /* 0: every */
};

static const char *const special[] = {
    "0.0.0.0/8",     "10.0.0.0/8",      "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16",
    "172.16.0.0/12", "192.0.0.0/24",    "192.0.2.0/24",   "192.88.99.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",    "240.0.0.0/4",
    "::/96",         "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64",       "2001:db8::/32",
    "2001::/23",     "3fff::/20",       "5f00::/16",      "fc00::/7",       "fe80::/10",
    "fec0::/10",     "ff00::/8",
};
enum { SPECIAL_COUNT = sizeof special / sizeof *special };

enum { PORT_RANGES_MAX = 64 };

struct port_range {
    uint16_t first, last;
};

struct policy {
    bool any;
    struct port_range ports[PORT_RANGES_MAX];
    unsigned ports_count;
    char schemes[64];
    const char *const *proxies;
    struct net special[SPECIAL_COUNT];
    size_t count;
    struct net allowed[];
};

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};

/* "ADDRESS/BITS" or a lone address. */
static bool parse_cidr(const char *text, struct net *net)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t size = slash != NULL ? (size_t)(slash - text) : strlen(text);
    unsigned most;
    char *end;

    if (size == 0 || size >= sizeof address)
        return false;
    memcpy(address, text, size);
    address[size] = '\0';
    if (inet_pton(AF_INET, address, &net->address[12]) == 1) {
        memcpy(net->address, mapped, sizeof mapped);
        most = 32;
    } else if (inet_pton(AF_INET6, address, net->address) == 1) {
        most = 128;
    } else {
        return false;
    }
    net->bits = most;
    if (slash != NULL) {
        unsigned long bits = strtoul(slash + 1, &end, 10);

        if (slash[1] < '0' || slash[1] > '9' || *end != '\0' || bits > most)
            return false;
        net->bits = (unsigned)bits;
    }
    net->bits += most == 32 ? 96 : 0;
    return true;
}

static bool parse_port(const char *text, uint16_t *port)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    *port = (uint16_t)value;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && value > 0 && value < 65536;
}

/* CIDR, CIDR:PORT, [CIDR]:PORT; an IPv6 network needs the brackets to have a port. */
static bool parse_allowed(const char *text, struct net *net)
{
    char copy[128];
    char *colon, *start = copy;

    *net = (struct net){0};
    if (strlen(text) >= sizeof copy)
        return false;
    strcpy(copy, text);
    if (copy[0] == '[') {
        char *close = strchr(copy, ']');

        if (close == NULL)
            return false;
        *close = '\0';
        start = copy + 1;
        if (close[1] != '\0' && (close[1] != ':' || !parse_port(close + 2, &net->port)))
            return false;
    } else if ((colon = strchr(copy, ':')) != NULL && strchr(colon + 1, ':') == NULL) {
        *colon = '\0';
        if (!parse_port(colon + 1, &net->port))
            return false;
    }
    return parse_cidr(start, net);
}

static int read_nets(policy_t *self, const char *const *nets, struct argosy_error *err)
{
    for (; nets != NULL && *nets != NULL; nets++) {
        if (strcmp(*nets, "any") == 0)
            self->any = true;
        else if (!parse_allowed(*nets, &self->allowed[self->count++]))
            return ag_fail(err, ARGOSY_EINVAL,
                           "--allow-net: '%s' is not a network (10.0.0.0/8, 127.0.0.1:8080, "
                           "[fd00::/8]:443 or any)",
                           *nets);
    }
    return 0;
}

static bool parse_ports(const char *text, struct port_range *out)
{
    const char *dash = strchr(text, '-');
    char first[8];

    if (dash == NULL) {
        bool ok = parse_port(text, &out->first);

        out->last = out->first;
        return ok;
    }
    if (dash - text >= (ptrdiff_t)sizeof first)
        return false;
    memcpy(first, text, (size_t)(dash - text));
    first[dash - text] = '\0';
    return parse_port(first, &out->first) && parse_port(dash + 1, &out->last) &&
           out->first <= out->last;
}

static int read_ports(policy_t *self, const char *const *ports, struct argosy_error *err)
{
    self->ports[self->ports_count++] = (struct port_range){80, 80};
    self->ports[self->ports_count++] = (struct port_range){443, 443};
    for (; ports != NULL && *ports != NULL; ports++) {
        if (self->ports_count == PORT_RANGES_MAX)
            return ag_fail(err, ARGOSY_EINVAL, "--allow-port: more than %d", PORT_RANGES_MAX - 2);
        if (!parse_ports(*ports, &self->ports[self->ports_count++]))
            return ag_fail(err, ARGOSY_EINVAL,
                           "--allow-port: '%s' is not a port or a range (8080, 8000-8999)", *ports);
    }
    return 0;
}

static bool is_known_scheme(const char *scheme)
{
    static const char *const known[] = {"http", "https", "ftp", "ftps", "sftp", "file"};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i], scheme) == 0)
            return true;
    return false;
}

static int read_schemes(policy_t *self, const char *const *schemes, struct argosy_error *err)
{
    static const char *const usual[] = {"http", "https", NULL};
    size_t size = 0;

    for (schemes = schemes != NULL && *schemes != NULL ? schemes : usual; *schemes != NULL;
         schemes++) {
        if (!is_known_scheme(*schemes))
            return ag_fail(err, ARGOSY_EINVAL,
                           "--allow-scheme: '%s' is not one of http, https, ftp, ftps, sftp, file",
                           *schemes);
        if (policy_allows_scheme(self, *schemes))
            continue; /* named twice */
        size += (size_t)snprintf(self->schemes + size, sizeof self->schemes - size, "%s%s",
                                 size > 0 ? "," : "", *schemes);
    }
    return 0;
}

int policy_new(policy_t **out, const struct policy_config *config, struct argosy_error *err)
{
    size_t count = 0;
    policy_t *self;
    int rc;

    *out = NULL;
    while (config->nets != NULL && config->nets[count] != NULL)
        count++;
    self = calloc(1, sizeof *self + count * sizeof(struct net));
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for networks");
    for (size_t i = 0; i < SPECIAL_COUNT; i++) {
        bool is_net = parse_cidr(special[i], &self->special[i]);

        AG_ASSERT(is_net);
    }
    self->proxies = config->proxies;
    rc = read_nets(self, config->nets, err);
    if (rc == 0)
        rc = read_ports(self, config->ports, err);
    if (rc == 0)
        rc = read_schemes(self, config->schemes, err);
    if (rc < 0)
        policy_destroy(&self);
    *out = self;
    return rc;
}

void policy_destroy(policy_t **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

static bool is_in(const uint8_t address[16], const struct net *net)
{
    unsigned whole = net->bits / 8, rest = net->bits % 8;

    if (memcmp(address, net->address, whole) != 0)
        return false;
    return rest == 0 || (address[whole] ^ net->address[whole]) >> (8 - rest) == 0;
}

static bool is_special(const policy_t *self, const uint8_t address[16])
{
    uint8_t inner[16];

    for (size_t i = 0; i < SPECIAL_COUNT; i++)
        if (is_in(address, &self->special[i]))
            return true;
    memcpy(inner, mapped, sizeof mapped);
    if (memcmp(address, nat64, sizeof nat64) == 0)
        memcpy(&inner[12], &address[12], 4);
    else if (address[0] == 0x20 && address[1] == 0x02) /* 6to4 */
        memcpy(&inner[12], &address[2], 4);
    else
        return false;
    return is_special(self, inner);
}

/* The address in 16 bytes and the port; false for families that are no IP. */
static bool flatten(const struct sockaddr *address, uint8_t out[16], uint16_t *port)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;

        memcpy(out, mapped, sizeof mapped);
        memcpy(&out[12], &in->sin_addr, 4);
        *port = ntohs(in->sin_port);
        return true;
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)address;

        memcpy(out, &in->sin6_addr, 16);
        *port = ntohs(in->sin6_port);
        return true;
    }
    return false;
}

static bool is_open_port(const policy_t *self, uint16_t port)
{
    for (unsigned i = 0; i < self->ports_count; i++)
        if (port >= self->ports[i].first && port <= self->ports[i].last)
            return true;
    return false;
}

bool policy_allows(const policy_t *self, const struct sockaddr *address, bool any_port)
{
    uint8_t flat[16];
    uint16_t port;

    if (!flatten(address, flat, &port))
        return false;
    if (self->any)
        return true;
    any_port |= is_open_port(self, port);
    for (size_t i = 0; i < self->count; i++)
        if (is_in(flat, &self->allowed[i]) &&
            (self->allowed[i].port == 0 || self->allowed[i].port == port))
            return true;
    return any_port && !is_special(self, flat);
}

bool policy_is_open(const policy_t *self)
{
    return self->any;
}

bool policy_allows_scheme(const policy_t *self, const char *scheme)
{
    size_t size = strlen(scheme);

    for (const char *at = self->schemes; *at != '\0' && size > 0; at += strspn(at, ",")) {
        size_t whole = strcspn(at, ",");

        if (whole == size && memcmp(at, scheme, size) == 0)
            return true;
        at += whole;
    }
    return false;
}

const char *policy_schemes(const policy_t *self)
{
    return self->schemes;
}

bool policy_allows_proxy(const policy_t *self, const char *url)
{
    for (const char *const *at = self->proxies; at != NULL && *at != NULL; at++)
        if (strcmp(*at, "any") == 0 || strcmp(*at, url) == 0)
            return true;
    return false;
}

const char *policy_print(const struct sockaddr *address, char out[POLICY_TEXT_SIZE])
{
    char text[INET6_ADDRSTRLEN] = "?";
    uint8_t flat[16];
    uint16_t port = 0;

    flatten(address, flat, &port);
    if (address->sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, text,
                  sizeof text);
        snprintf(out, POLICY_TEXT_SIZE, "[%s]:%u", text, port);
    } else {
        if (address->sa_family == AF_INET)
            inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, text,
                      sizeof text);
        snprintf(out, POLICY_TEXT_SIZE, "%s:%u", text, port);
    }
    return out;
}
