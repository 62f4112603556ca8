#include "client/cli/fetch_url.h"

#include <stdlib.h>
#include <string.h>

struct url_parts {
    struct ag_bytes scheme, host, path, name; /* host: with its port */
};

static struct url_parts split_url(const char *url)
{
    const char *start = strstr(url, "://");
    struct url_parts parts = {.scheme = ag_bytes_of_text("")};
    const char *path, *end, *slash, *at;

    if (start != NULL && start < url + strcspn(url, "/?#")) {
        parts.scheme = ag_bytes_of(url, (size_t)(start - url));
        start += 3;
    } else {
        start = strncmp(url, "//", 2) == 0 ? url + 2 : url;
    }
    path = start + strcspn(start, "/?#");
    at = memrchr(start, '@', (size_t)(path - start));
    if (at != NULL)
        start = at + 1; /* a password is no part of a file's name */
    end = path + strcspn(path, "?#");
    slash = memrchr(path, '/', (size_t)(end - path));
    parts.host = ag_bytes_of(start, (size_t)(path - start));
    parts.path =
        *path == '/' ? ag_bytes_of(path + 1, (size_t)(end - path - 1)) : ag_bytes_of_text("");
    parts.name =
        slash != NULL ? ag_bytes_of(slash + 1, (size_t)(end - slash - 1)) : ag_bytes_of_text("");
    if (parts.name.size == 0)
        parts.name = ag_bytes_of_text("index.html");
    return parts;
}

/* ---- hosts -------------------------------------------------------------------------------------
 */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_word(struct ag_bytes text, const char *word)
{
    if (text.size != strlen(word))
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (lower((char)text.data[i]) != word[i])
            return false;
    return true;
}

/* "example.org:443" of https is "example.org". */
static struct ag_bytes without_standard_port(struct ag_bytes host, struct ag_bytes scheme)
{
    const uint8_t *colon = memrchr(host.data, ':', host.size);
    struct ag_bytes port;

    if (colon == NULL || memchr(colon, ']', host.size - (size_t)(colon - host.data)) != NULL)
        return host;
    port = ag_bytes_of(colon + 1, host.size - (size_t)(colon + 1 - host.data));
    if (port.size == 0 || (ag_bytes_are(port, "80") && is_word(scheme, "http")) ||
        (ag_bytes_are(port, "443") && is_word(scheme, "https")))
        host.size = (size_t)(colon - host.data);
    return host;
}

void fetch_url_host(const char *url, const char *base, char out[FETCH_HOST_SIZE])
{
    struct url_parts parts = split_url(url), from;
    struct ag_bytes host = parts.host;

    if (base != NULL && parts.scheme.size == 0) {
        from = split_url(base);
        parts.scheme = from.scheme;
        if (strncmp(url, "//", 2) != 0)
            host = from.host;
    }
    if (host.size > 0)
        host = without_standard_port(host, parts.scheme);
    if (host.size >= FETCH_HOST_SIZE)
        host.size = 0;
    for (size_t i = 0; i < host.size; i++)
        out[i] = lower((char)host.data[i]);
    out[host.size] = '\0';
}

/* ---- the template of --out ---------------------------------------------------------------------
 */

/* Part of a URL as part of a path: no step upwards, nothing hidden, no control characters. */
static void put_safe(struct ag_buffer *out, struct ag_bytes text, bool slashes)
{
    char before = '/';

    for (size_t i = 0; i < text.size; i++) {
        char c = (char)text.data[i];

        if ((unsigned char)c < 0x20 || c == 0x7f || (c == '/' && (!slashes || before == '/')) ||
            (c == '.' && before == '/'))
            c = '_';
        ag_buffer_append(out, &c, 1);
        before = c;
    }
    if (slashes && before == '/')
        ag_buffer_text(out, "index.html");
}

static bool put_word(struct ag_buffer *out, const char *word, size_t size,
                     const struct url_parts *parts, uint64_t index)
{
    struct ag_bytes name = ag_bytes_of(word, size);

    if (ag_bytes_are(name, "{host}"))
        put_safe(out, parts->host, false);
    else if (ag_bytes_are(name, "{path}"))
        put_safe(out, parts->path, true);
    else if (ag_bytes_are(name, "{name}"))
        put_safe(out, parts->name, false);
    else if (ag_bytes_are(name, "{index}"))
        ag_buffer_printf(out, "%llu", (unsigned long long)index);
    else if (ag_bytes_are(name, "{sha256}"))
        ag_buffer_append(out, word, size);
    else
        return false;
    return true;
}

bool fetch_url_path(const char *template, const char *here, const char *url, uint64_t index,
                    struct ag_buffer *out)
{
    struct url_parts parts = split_url(url);

    if (template[0] != '/') {
        ag_buffer_text(out, here);
        ag_buffer_append(out, "/", 1);
    }
    for (const char *at = template; *at != '\0';) {
        size_t plain = strcspn(at, "{"), word;

        ag_buffer_append(out, at, plain);
        at += plain;
        if (*at == '\0')
            break;
        word = strcspn(at, "}") + 1;
        if (at[word - 1] != '}' || !put_word(out, at, word, &parts, index))
            return false;
        at += word;
    }
    return !out->failed && out->size <= FETCH_PATH_BYTES_MAX;
}
