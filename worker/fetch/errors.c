#include "worker/fetch/errors.h"

#include <stdio.h>

static const struct row {
    CURLcode code;
    const char *type;
    bool retryable;
    const char *message;
} rows[] = {
    {CURLE_URL_MALFORMAT, "fetch.url", false, "not a URL"},
    {CURLE_UNSUPPORTED_PROTOCOL, "fetch.policy", false, "only http and https are fetched"},
    {CURLE_COULDNT_RESOLVE_HOST, "fetch.dns", true, "could not resolve the host's name"},
    {CURLE_COULDNT_RESOLVE_PROXY, "fetch.dns", true, "could not resolve the proxy's name"},
    {CURLE_COULDNT_CONNECT, "fetch.connect", true, "could not connect"},
    {CURLE_SSL_CONNECT_ERROR, "fetch.tls", true, "the TLS handshake failed"},
    {CURLE_PEER_FAILED_VERIFICATION, "fetch.tls", false, "the certificate is not trusted"},
    {CURLE_SSL_CACERT_BADFILE, "fetch.tls", false, "the file of trusted certificates is unusable"},
    {CURLE_SSL_CIPHER, "fetch.tls", false, "no common TLS cipher"},
    {CURLE_TOO_MANY_REDIRECTS, "fetch.redirect", false, "too many redirects"},
    {CURLE_PARTIAL_FILE, "fetch.truncated", true, "the body ended too early"},
    {CURLE_GOT_NOTHING, "fetch.connect", true, "the server closed without an answer"},
    {CURLE_SEND_ERROR, "fetch.connect", true, "the connection broke while sending"},
    {CURLE_RECV_ERROR, "fetch.connect", true, "the connection was reset"},
    {CURLE_WEIRD_SERVER_REPLY, "fetch.protocol", false, "the answer is not HTTP"},
    {CURLE_BAD_CONTENT_ENCODING, "fetch.protocol", false, "the body is not encoded as it says"},
    {CURLE_WRITE_ERROR, "fetch.protocol", false, "the body is not encoded as it says"},
    {CURLE_HTTP2, "fetch.protocol", true, "HTTP/2 broke down"},
    {CURLE_HTTP2_STREAM, "fetch.protocol", true, "an HTTP/2 stream was closed"},
    {CURLE_REMOTE_FILE_NOT_FOUND, "fetch.missing", false, "the server has no such file"},
    {CURLE_REMOTE_ACCESS_DENIED, "fetch.denied", false, "the server does not let us there"},
    {CURLE_LOGIN_DENIED, "fetch.denied", false, "the server does not take this user and password"},
    {CURLE_FILESIZE_EXCEEDED, "fetch.too_large", false, "larger than the limit"},
#if LIBCURL_VERSION_NUM >= 0x080600
    {CURLE_TOO_LARGE, "fetch.too_large", false, "a header is larger than libcurl takes"},
#endif
    {CURLE_OUT_OF_MEMORY, "handler.memory", true, "the worker has no memory left"},
};

static void fill(struct fetch_failure *out, const char *type, bool retryable, const char *message)
{
    snprintf(out->type, sizeof out->type, "%s", type);
    out->retryable = retryable;
    out->message = message;
}

void fetch_failure_of_code(CURLcode code, const struct fetch_progress *progress,
                           struct fetch_failure *out)
{
    if (code == CURLE_OPERATION_TIMEDOUT) {
        if (progress->connected || progress->out_of_time)
            fill(out, "fetch.timeout.total", true, "the fetch took longer than its limit");
        else
            fill(out, "fetch.timeout.connect", true, "connecting took longer than its limit");
        return;
    }
    /* The same code for an answer that is not HTTP and for a redirect to another scheme. */
    if (code == CURLE_UNSUPPORTED_PROTOCOL && progress->connected && !progress->answered) {
        fill(out, "fetch.protocol", false, "the answer is not HTTP");
        return;
    }
    if ((code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING) && progress->answered) {
        fill(out, "fetch.truncated", true, "the connection broke before the body's end");
        return;
    }
    /* libcurl's word for a header line beyond its own bound, until 8.6. */
    if (code == CURLE_OUT_OF_MEMORY && progress->in_headers) {
        fill(out, "fetch.too_large", false, "a header is larger than libcurl takes, 100 KB");
        return;
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].code == code) {
            fill(out, rows[i].type, rows[i].retryable, rows[i].message);
            return;
        }
    }
    fill(out, "fetch.protocol", true, curl_easy_strerror(code));
}

const char *fetch_status_name(long status)
{
    static const struct {
        long status;
        const char *name;
    } names[] = {
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {407, "Proxy Authentication Required"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {418, "I'm a teapot"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {423, "Locked"},
        {425, "Too Early"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {451, "Unavailable For Legal Reasons"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
        {508, "Loop Detected"},
        {511, "Network Authentication Required"},
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].status == status)
            return names[i].name;
    return "";
}

bool fetch_failure_of_status(long status, struct fetch_failure *out)
{
    if (status < 400)
        return false;
    snprintf(out->type, sizeof out->type, "fetch.http.%s.%ld", status < 500 ? "client" : "server",
             status);
    /* RFC 9110: these say "later may do"; 501 and 505 will not change. */
    out->retryable = status == 408 || status == 425 || status == 429 || status == 500 ||
                     status == 502 || status == 503 || status == 504;
    out->message = fetch_status_name(status);
    if (out->message[0] == '\0')
        out->message = "the server refused";
    return true;
}
