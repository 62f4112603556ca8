#include "worker/fetch/warc.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/error.h"
#include "common/list.h"
#include "worker/fetch/below.h"
#include "worker/fetch/warc_file.h"
#include "worker/fetch/warc_head.h"
#include "worker/fetch/warc_record.h"
#include "worker/fetch/warc_seen.h"

enum {
    HEAD_MAX = 1024 * 1024, /* bytes; what libcurl takes is 300 KB */
    INFO_MAX = 64 * 1024,   /* bytes of the block of a `warcinfo` */
    NAME_ADDED = 66         /* "-YYYYMMDDhhmmss-SERIAL-INSTANCE.warc.gz.open", at most */
};

#define UNIX_MS_MAX INT64_C(253402300799999) /* the end of year 9999 */

static const char revisit_profile[] =
    "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest";
static const char *const truncated_words[] = {
    [WARC_TRUNCATED_LENGTH] = "length",
    [WARC_TRUNCATED_TIME] = "time",
    [WARC_TRUNCATED_DISCONNECT] = "disconnect",
};

/* A prefix and the file that is open for it. */
struct archive {
    struct ag_link link; /* used last: in front */
    char *prefix;
    warc_file_t *file;
    struct ag_id info_id; /* its `warcinfo` */
    uint64_t info_size;   /* bytes of the file that are it */
};

struct warc {
    const char *const *roots;
    size_t roots_count;
    uint64_t rotate_bytes;
    int (*random)(void *out, size_t size, struct argosy_error *err);
    char instance[WARC_INSTANCE_SIZE + 1];
    struct ag_buffer info; /* the block of each `warcinfo` */
    struct ag_link archives;
    unsigned archives_count, serial;
    warc_seen_t *seen;
    warc_record_t *record;
    struct ag_buffer request, response; /* heads as they are archived */
};

/* An exchange on its way into a file. */
struct append {
    const struct warc_exchange *exchange;
    struct warc_block response, request;
    const char *protocol; /* "h2"; NULL: HTTP/1 */
    struct warc_digests response_digests, request_digests;
    uint8_t payload_sha256[32];
    uint8_t key[32];                      /* in the table of what was seen */
    const struct warc_original *original; /* NULL: the payload is new */
    struct ag_id response_id, request_id;
};

/* ---- values ------------------------------------------------------------------------------- */

static bool has_controls(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return true;
    return false;
}

/* A random UUID, RFC 9562 version 4. */
static int make_id(const warc_t *self, struct ag_id *out, struct argosy_error *err)
{
    int rc = self->random(out->bytes, sizeof out->bytes, err);

    out->bytes[6] = (uint8_t)((out->bytes[6] & 0x0f) | 0x40);
    out->bytes[8] = (uint8_t)((out->bytes[8] & 0x3f) | 0x80);
    return rc;
}

/* ---- records ------------------------------------------------------------------------------ */

static void put_exchange_fields(warc_record_t *record, const struct archive *archive,
                                const struct append *append)
{
    warc_record_id(record, "WARC-Warcinfo-ID", &archive->info_id);
    warc_record_text(record, "WARC-Target-URI", append->exchange->uri);
    if (append->exchange->peer != NULL)
        warc_record_text(record, "WARC-IP-Address", append->exchange->peer);
    if (append->protocol != NULL)
        warc_record_text(record, "WARC-Protocol", append->protocol);
}

static void put_revisit_fields(warc_record_t *record, const struct warc_original *original)
{
    warc_record_text(record, "WARC-Profile", revisit_profile);
    warc_record_id(record, "WARC-Refers-To", &original->record_id);
    warc_record_text(record, "WARC-Refers-To-Target-URI", original->uri);
    warc_record_date(record, "WARC-Refers-To-Date", original->unix_ms);
}

static void put_truncated(warc_record_t *record, enum warc_truncated truncated)
{
    if (truncated != WARC_WHOLE)
        warc_record_text(record, "WARC-Truncated", truncated_words[truncated]);
}

static int write_info(warc_t *self, struct archive *archive, int64_t unix_ms,
                      struct argosy_error *err)
{
    struct warc_block block = {.head = ag_buffer_bytes(&self->info)};
    struct warc_digests digests;
    int rc = warc_record_digest(self->record, &block, &digests, err);

    if (rc < 0)
        return rc;
    warc_record_begin(self->record, "warcinfo", &archive->info_id, unix_ms, &block, &digests);
    warc_record_text(self->record, "Content-Type", "application/warc-fields");
    warc_record_text(self->record, "WARC-Filename",
                     strrchr(warc_file_path(archive->file), '/') + 1);
    rc = warc_record_write(self->record, archive->file, &block, err);
    archive->info_size = warc_file_size(archive->file);
    return rc;
}

static int write_response(warc_t *self, const struct archive *archive, const struct append *append,
                          struct argosy_error *err)
{
    const struct warc_original *original = append->original;

    warc_record_begin(self->record, original != NULL ? "revisit" : "response", &append->response_id,
                      append->exchange->unix_ms, &append->response, &append->response_digests);
    warc_record_text(self->record, "Content-Type", "application/http;msgtype=response");
    put_exchange_fields(self->record, archive, append);
    warc_record_sha256(self->record, "WARC-Payload-Digest", append->payload_sha256);
    if (original != NULL)
        put_revisit_fields(self->record, original);
    /* The standard asks for this word where a payload is left away. */
    put_truncated(self->record,
                  original != NULL ? WARC_TRUNCATED_LENGTH : append->exchange->truncated);
    return warc_record_write(self->record, archive->file, &append->response, err);
}

static int write_request(warc_t *self, const struct archive *archive, const struct append *append,
                         struct argosy_error *err)
{
    warc_record_begin(self->record, "request", &append->request_id, append->exchange->unix_ms,
                      &append->request, &append->request_digests);
    warc_record_text(self->record, "Content-Type", "application/http;msgtype=request");
    put_exchange_fields(self->record, archive, append);
    warc_record_id(self->record, "WARC-Concurrent-To", &append->response_id);
    put_truncated(self->record, append->exchange->request_truncated);
    return warc_record_write(self->record, archive->file, &append->request, err);
}

/* ---- archives ----------------------------------------------------------------------------- */

static void free_archive(warc_t *self, struct archive *archive)
{
    ag_link_remove(&archive->link);
    self->archives_count--;
    free(archive->prefix);
    free(archive);
}

static int close_archive(warc_t *self, struct archive *archive, struct argosy_error *err)
{
    int rc = 0;

    if (warc_file_size(archive->file) == archive->info_size)
        warc_file_remove(&archive->file); /* its first exchange could not be written */
    else
        rc = warc_file_close(&archive->file, err);
    free_archive(self, archive);
    return rc;
}

static int open_file(warc_t *self, struct archive *archive, const struct append *append,
                     struct argosy_error *err)
{
    time_t seconds = (time_t)(append->exchange->unix_ms / 1000);
    char date[16], *path;
    struct tm tm;
    int folder, rc = below_open_folder(&folder, append->exchange->prefix, self->roots,
                                       self->roots_count, err);

    if (rc < 0)
        return rc;
    gmtime_r(&seconds, &tm);
    strftime(date, sizeof date, "%Y%m%d%H%M%S", &tm);
    if (asprintf(&path, "%s-%s-%05u-%s.warc.gz", archive->prefix, date, self->serial++,
                 self->instance) < 0) {
        close(folder);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a path");
    }
    rc = warc_file_new(&archive->file, folder, path, err);
    free(path);
    if (rc == 0)
        rc = write_info(self, archive, append->exchange->unix_ms, err);
    if (rc < 0 && archive->file != NULL)
        warc_file_remove(&archive->file);
    return rc;
}

/* Takes the prefix. */
static int open_archive(warc_t *self, struct archive **out, char *prefix,
                        const struct append *append, struct argosy_error *err)
{
    struct archive *archive = calloc(1, sizeof *archive);
    int rc;

    if (archive == NULL) {
        free(prefix);
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for an archive");
    }
    archive->prefix = prefix;
    ag_link_init(&archive->link);
    self->archives_count++;
    rc = make_id(self, &archive->info_id, err);
    if (rc == 0)
        rc = open_file(self, archive, append, err);
    if (rc < 0)
        free_archive(self, archive);
    else
        *out = archive;
    return rc;
}

/* The archive to append to: the one that is open, unless it is full, or a new one. */
static int archive_for(warc_t *self, struct archive **out, const struct append *append,
                       struct argosy_error *err)
{
    char *prefix = below_clean(append->exchange->prefix);
    struct archive *archive = NULL, *full = NULL;
    int rc = 0;

    if (prefix == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a path");
    for (struct ag_link *at = self->archives.next; at != &self->archives; at = at->next)
        if (strcmp(AG_OWNER(at, struct archive, link)->prefix, prefix) == 0)
            archive = AG_OWNER(at, struct archive, link);
    if (archive != NULL && warc_file_size(archive->file) >= self->rotate_bytes)
        full = archive;
    else if (archive == NULL && self->archives_count == WARC_OPEN_MAX)
        full = AG_OWNER(self->archives.prev, struct archive, link);
    if (full != NULL)
        rc = close_archive(self, full, err);
    if (archive != NULL && archive != full)
        free(prefix);
    else if (rc == 0)
        rc = open_archive(self, &archive, prefix, append, err);
    else
        free(prefix);
    if (rc == 0) {
        ag_list_prepend(&self->archives, &archive->link);
        *out = archive;
    }
    return rc;
}

/* ---- appending ---------------------------------------------------------------------------- */

static int check_exchange(const warc_t *self, const struct warc_exchange *exchange,
                          struct argosy_error *err)
{
    unsigned char address[sizeof(struct in6_addr)];
    const char *uri = exchange->uri, *peer = exchange->peer;

    if (*uri == '\0' || has_controls(uri) || strchr(uri, ' ') != NULL)
        return ag_fail(err, ARGOSY_EINVAL, "a URL to archive must have no spaces or line ends");
    if (exchange->unix_ms < 0 || exchange->unix_ms > UNIX_MS_MAX)
        return ag_fail(err, ARGOSY_EINVAL, "%lld is no time to archive",
                       (long long)exchange->unix_ms);
    if (peer != NULL && inet_pton(AF_INET, peer, address) != 1 &&
        inet_pton(AF_INET6, peer, address) != 1)
        return ag_fail(err, ARGOSY_EINVAL, "a peer to archive must be an address");
    return warc_check(exchange->prefix, self->roots, self->roots_count, err);
}

/* The blocks of both records. */
static int make_blocks(warc_t *self, struct append *append, struct argosy_error *err)
{
    const struct warc_exchange *exchange = append->exchange;
    const char *protocol;
    struct ag_bytes rest;
    int rc;

    ag_buffer_clear(&self->response);
    ag_buffer_clear(&self->request);
    rc = warc_head_write(exchange->response, &self->response, &rest, &append->protocol, err);
    if (rc == 0 && (rest.size > 0 || memcmp(self->response.data, "HTTP/", 5) != 0))
        rc = ag_fail(err, ARGOSY_EINVAL, "a response to archive must be one head of HTTP");
    append->response = (struct warc_block){.head = ag_buffer_bytes(&self->response),
                                           .body = exchange->payload,
                                           .fd = exchange->payload_fd,
                                           .fd_size = exchange->payload_size};
    if (rc < 0 || exchange->request.data == NULL)
        return rc;
    rc = warc_head_write(exchange->request, &self->request, &rest, &protocol, err);
    append->request = (struct warc_block){.head = ag_buffer_bytes(&self->request), .body = rest};
    return rc;
}

/* What was seen belongs to a prefix: an archive must not need another one. */
static int make_key(const char *prefix, const uint8_t payload[32], uint8_t key[32],
                    struct argosy_error *err)
{
    uint8_t sha256[64];

    memcpy(sha256, payload, 32);
    if (EVP_Digest(prefix, strlen(prefix), sha256 + 32, NULL, EVP_sha256(), NULL) != 1 ||
        EVP_Digest(sha256, sizeof sha256, key, NULL, EVP_sha256(), NULL) != 1)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for a digest");
    return 0;
}

static bool may_be_seen(const struct append *append)
{
    return append->exchange->truncated == WARC_WHOLE && warc_block_body_size(&append->response) > 0;
}

/* The digests of both records; a payload that was seen leaves its block. */
static int make_digests(warc_t *self, struct append *append, const char *prefix,
                        struct argosy_error *err)
{
    struct warc_digests *digests = &append->response_digests;
    int rc = warc_record_digest(self->record, &append->response, digests, err);

    if (rc < 0)
        return rc;
    memcpy(append->payload_sha256, digests->body, sizeof digests->body);
    rc = make_key(prefix, digests->body, append->key, err);
    if (rc == 0 && may_be_seen(append))
        append->original = warc_seen_find(self->seen, append->key);
    if (rc == 0 && append->original != NULL) {
        append->response = (struct warc_block){.head = append->response.head};
        rc = warc_record_digest(self->record, &append->response, digests, err);
    }
    if (rc == 0 && append->exchange->request.data != NULL)
        rc = warc_record_digest(self->record, &append->request, &append->request_digests, err);
    return rc;
}

static int write_exchange(warc_t *self, struct archive *archive, const struct append *append,
                          struct warc_place *place, struct argosy_error *err)
{
    uint64_t before = warc_file_size(archive->file);
    int rc = write_response(self, archive, append, err);

    *place = (struct warc_place){.file = warc_file_path(archive->file),
                                 .offset = before,
                                 .length = warc_file_size(archive->file) - before,
                                 .is_revisit = append->original != NULL};
    if (rc == 0 && append->exchange->request.data != NULL)
        rc = write_request(self, archive, append, err);
    if (rc < 0 && warc_file_rollback(archive->file, before, NULL) < 0) {
        warc_file_abandon(&archive->file);
        free_archive(self, archive);
    }
    return rc;
}

static void remember(warc_t *self, const struct append *append)
{
    struct warc_original original = {.record_id = append->response_id,
                                     .unix_ms = append->exchange->unix_ms,
                                     .uri = append->exchange->uri};

    if (append->original != NULL || !may_be_seen(append))
        return;
    warc_seen_add(self->seen, append->key, &original);
}

int warc_append(warc_t *self, const struct warc_exchange *exchange, struct warc_place *place,
                struct argosy_error *err)
{
    struct append append = {.exchange = exchange};
    struct archive *archive = NULL;
    int rc = check_exchange(self, exchange, err);

    *place = (struct warc_place){0};
    if (rc == 0)
        rc = make_blocks(self, &append, err);
    if (rc < 0)
        return rc;
    rc = make_id(self, &append.response_id, err);
    if (rc == 0)
        rc = make_id(self, &append.request_id, err);
    if (rc == 0)
        rc = archive_for(self, &archive, &append, err);
    if (rc == 0)
        rc = make_digests(self, &append, archive->prefix, err);
    if (rc == 0)
        rc = write_exchange(self, archive, &append, place, err);
    if (rc == 0)
        remember(self, &append);
    else
        *place = (struct warc_place){0};
    return rc;
}

/* ---- the writer --------------------------------------------------------------------------- */

int warc_check(const char *prefix, const char *const *roots, size_t roots_count,
               struct argosy_error *err)
{
    int rc = below_check(prefix, roots, roots_count, err);

    if (rc == 0 && has_controls(prefix))
        return ag_fail(err, ARGOSY_EINVAL, "the prefix of an archive has control characters");
    if (rc == 0 && strlen(strrchr(prefix, '/') + 1) > NAME_MAX - NAME_ADDED)
        return ag_fail(err, ARGOSY_EINVAL, "the last part of %s has more than %d bytes", prefix,
                       NAME_MAX - NAME_ADDED);
    return rc;
}

static int check_config(const struct warc_config *config, struct argosy_error *err)
{
    const char *const texts[] = {config->software, config->operator_name, config->hostname};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i] != NULL && has_controls(texts[i]))
            return ag_fail(err, ARGOSY_EINVAL, "what an archive says of its writer must be a line");
    for (const char *at = config->instance; *at != '\0'; at++)
        if (!isalnum((unsigned char)*at))
            return ag_fail(err, ARGOSY_EINVAL, "an archive's instance is letters and digits");
    if (strlen(config->instance) != WARC_INSTANCE_SIZE)
        return ag_fail(err, ARGOSY_EINVAL, "an archive's instance has %d characters",
                       WARC_INSTANCE_SIZE);
    return 0;
}

static void write_info_text(struct ag_buffer *out, const struct warc_config *config)
{
    ag_buffer_printf(out,
                     "software: %s\r\n"
                     "format: WARC File Format 1.1\r\n"
                     "conformsTo: https://iipc.github.io/warc-specifications/specifications/"
                     "warc-format/warc-1.1/\r\n",
                     config->software);
    if (config->operator_name != NULL)
        ag_buffer_printf(out, "operator: %s\r\n", config->operator_name);
    if (config->hostname != NULL)
        ag_buffer_printf(out, "hostname: %s\r\n", config->hostname);
}

static int fill(warc_t *self, const struct warc_config *config, struct argosy_error *err)
{
    uint64_t seed;
    int rc = config->random(&seed, sizeof seed, err);

    self->roots = config->roots;
    self->roots_count = config->roots_count;
    self->rotate_bytes = config->rotate_bytes != 0 ? config->rotate_bytes : WARC_ROTATE_BYTES;
    self->random = config->random;
    memcpy(self->instance, config->instance, WARC_INSTANCE_SIZE);
    self->request = self->response = ag_buffer_empty(HEAD_MAX);
    self->info = ag_buffer_empty(INFO_MAX);
    write_info_text(&self->info, config);
    if (rc == 0)
        rc = warc_seen_new(&self->seen, seed, err);
    if (rc == 0)
        rc = warc_record_new(&self->record, err);
    if (rc == 0 && self->info.failed)
        rc = ag_fail(err, ARGOSY_ENOMEM, "no memory for an archive's writer");
    return rc;
}

int warc_new(warc_t **out, const struct warc_config *config, struct argosy_error *err)
{
    warc_t *self;
    int rc = check_config(config, err);

    *out = NULL;
    if (rc < 0)
        return rc;
    self = calloc(1, sizeof *self);
    if (self == NULL)
        return ag_fail(err, ARGOSY_ENOMEM, "no memory for an archive's writer");
    ag_link_init(&self->archives);
    rc = fill(self, config, err);
    if (rc < 0)
        warc_destroy(&self);
    *out = self;
    return rc;
}

int warc_finish(warc_t *self, struct argosy_error *err)
{
    int rc = 0;

    while (!ag_list_is_empty(&self->archives)) {
        struct archive *archive = AG_OWNER(self->archives.prev, struct archive, link);
        int failed = close_archive(self, archive, rc == 0 ? err : NULL);

        rc = rc == 0 ? failed : rc;
    }
    return rc;
}

void warc_destroy(warc_t **self_p)
{
    warc_t *self = *self_p;

    if (self == NULL)
        return;
    warc_finish(self, NULL);
    warc_seen_destroy(&self->seen);
    warc_record_destroy(&self->record);
    ag_buffer_free(&self->info);
    ag_buffer_free(&self->request);
    ag_buffer_free(&self->response);
    free(self);
    *self_p = NULL;
}
