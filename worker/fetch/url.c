#include "worker/fetch/url.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint16_t default_port(const char *scheme)
{
    static const struct {
        const char *scheme;
        uint16_t port;
    } ports[] = {{"http", 80}, {"https", 443}, {"ftp", 21}, {"ftps", 990}, {"sftp", 22}};

    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++)
        if (strcmp(ports[i].scheme, scheme) == 0)
            return ports[i].port;
    return 0;
}

/* http://name.of.letters[:port]/path without anything that could be read in two ways; for a crawl
 * that is nearly every URL, and libcurl parses it once more anyway. A last label that begins with a
 * digit may be an address in one of its odd forms: libcurl knows those. */
static bool read_plain(struct url *out, const char *text)
{
    const char *host = strncmp(text, "http://", 7) == 0    ? text + 7
                       : strncmp(text, "https://", 8) == 0 ? text + 8
                                                           : NULL;
    size_t size, label = 0;
    const char *end;
    uint8_t address[4];
    char *stop = NULL;
    long port = 0;

    if (host == NULL)
        return false;
    size = strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-");
    end = host + size;
    if (size == 0 || size >= sizeof out->host)
        return false;
    for (size_t i = 0; i + 1 < size; i++)
        if (host[i] == '.')
            label = i + 1;
    snprintf(out->host, sizeof out->host, "%.*s", (int)size, host);
    if (host[0] == '.' ||
        (host[label] >= '0' && host[label] <= '9' && inet_pton(AF_INET, out->host, address) != 1))
        return false;
    if (*end == ':') {
        if (end[1] < '1' || end[1] > '9')
            return false;
        port = strtol(end + 1, &stop, 10);
        end = stop;
    }
    if (port > 65535 || (*end != '/' && *end != '\0') ||
        end[strcspn(end, "#\\ \t@{}|^`<>\"")] != '\0')
        return false;
    for (const char *c = end; *c != '\0'; c++)
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f ||
            (*c == '/' && c[1] == '.')) /* dots are for libcurl to remove */
            return false;
    snprintf(out->scheme, sizeof out->scheme, "%.*s", (int)(host - text - 3), text);
    out->port = port > 0 ? (uint16_t)port : default_port(out->scheme);
    out->text = strdup(text);
    if (out->text != NULL)
        out->path = out->text + (end - text);
    return out->text != NULL;
}

static void lower(char *text)
{
    for (; *text != '\0'; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text + 'a' - 'A');
}

/* One part; "" when it is missing. NULL, or why not. */
static const char *take_part(CURLU *url, CURLUPart part, unsigned flags, char *out, size_t size)
{
    char *text = NULL;
    CURLUcode code = curl_url_get(url, part, &text, flags);
    bool fits;

    out[0] = '\0';
    if (code != CURLUE_OK)
        return code == CURLUE_NO_HOST || code == CURLUE_NO_SCHEME ? NULL : curl_url_strerror(code);
    fits = strlen(text) < size;
    if (fits)
        strcpy(out, text);
    curl_free(text);
    return fits ? NULL : "a part of the URL is too long";
}

static void strip_brackets(char *host)
{
    size_t size = strlen(host);

    if (size > 2 && host[0] == '[' && host[size - 1] == ']') {
        host[size - 1] = '\0';
        memmove(host, host + 1, size - 1);
    }
}

static const char *take_parts(struct url *out, CURLU *url)
{
    char *text = NULL, *port = NULL;
    const char *slashes, *wrong;
    CURLUcode code;

    wrong = take_part(url, CURLUPART_SCHEME, 0, out->scheme, sizeof out->scheme);
    if (wrong == NULL)
        wrong = take_part(url, CURLUPART_HOST, CURLU_PUNYCODE, out->host, sizeof out->host);
    if (wrong != NULL)
        return wrong;
    lower(out->scheme);
    lower(out->host);
    strip_brackets(out->host);
    out->port = default_port(out->scheme);
    if (curl_url_get(url, CURLUPART_PORT, &port, 0) == CURLUE_OK)
        out->port = (uint16_t)strtoul(port, NULL, 10);
    curl_free(port);
    code = curl_url_get(url, CURLUPART_URL, &text, 0);
    if (code != CURLUE_OK)
        return curl_url_strerror(code);
    if (strcmp(text, "file://(nil)") == 0) { /* how libcurl 7.88 prints file:/// */
        curl_free(text);
        return "it names no file";
    }
    out->text = strdup(text);
    curl_free(text);
    if (out->text == NULL)
        return "no memory for a URL";
    slashes = strstr(out->text, "://");
    out->path = slashes != NULL ? slashes + 3 : out->text;
    out->path += strcspn(out->path, "/?");
    return NULL;
}

static bool has_user(CURLU *url)
{
    char *user = NULL;
    bool has = curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_OK;

    curl_free(user);
    return has;
}

static const char *read_by_libcurl(struct url *out, const char *text, const char *base,
                                   bool drops_user)
{
    CURLU *url = curl_url();
    const char *wrong = NULL;
    CURLUcode code = CURLUE_OUT_OF_MEMORY;

    if (url != NULL && base != NULL)
        code = curl_url_set(url, CURLUPART_URL, base, CURLU_NON_SUPPORT_SCHEME);
    if (url != NULL && (base == NULL || code == CURLUE_OK))
        code = curl_url_set(url, CURLUPART_URL, text,
                            CURLU_NON_SUPPORT_SCHEME |
                                (base == NULL && !drops_user ? CURLU_DEFAULT_SCHEME : 0) |
                                (drops_user ? CURLU_URLENCODE : 0));
    if (code != CURLUE_OK)
        wrong = curl_url_strerror(code);
    if (wrong == NULL && !drops_user && has_user(url))
        wrong =
            "credentials in a URL end up in lists and logs; 'auth' names a secret of the worker";
    if (wrong == NULL) {
        curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
        curl_url_set(url, CURLUPART_USER, NULL, 0);
        curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
        wrong = take_parts(out, url);
    }
    curl_url_cleanup(url);
    return wrong;
}

static const char *finish(struct url *out, const char *wrong)
{
    if (wrong != NULL)
        url_fini(out);
    return wrong;
}

const char *url_read(struct url *out, const char *text, const char *base)
{
    *out = (struct url){.path = ""};
    if (read_plain(out, text))
        return NULL;
    return finish(out, read_by_libcurl(out, text, base, false));
}

const char *url_read_link(struct url *out, const char *text, const char *base)
{
    *out = (struct url){.path = ""};
    if (strlen(text) > URL_BYTES_MAX)
        return "the URL is too long";
    return finish(out, read_by_libcurl(out, text, base, true));
}

void url_fini(struct url *self)
{
    free(self->text);
    *self = (struct url){.path = ""};
}

bool url_is_http(const struct url *self)
{
    return strcmp(self->scheme, "http") == 0 || strcmp(self->scheme, "https") == 0;
}

bool url_is_same_origin(const struct url *a, const struct url *b)
{
    return a->port == b->port && strcmp(a->scheme, b->scheme) == 0 && strcmp(a->host, b->host) == 0;
}
