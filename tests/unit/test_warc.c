/* WARC files: what was written is read back by a reader of its own, also after failures. */
#include "tests/unit/cmocka_prelude.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/entropy.h"
#include "tests/unit/warc_reader.h"
#include "worker/fetch/output.h"
#include "worker/fetch/warc.h"
#include "worker/fetch/warc_seen.h"

#define INSTANCE "01JD5ZK4T9W8Q6F2M3N7B0C1XA"
#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
#define REQUEST "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"

enum { DATE_MS = 789 };
#define DATE (INT64_C(1735689600000) + DATE_MS) /* 2025-01-01 */

static char root[64];
static const char *roots[] = {root};
static struct warc_entry entry;

static int set_up(void **state)
{
    (void)state;
    strcpy(root, "/tmp/test_warc.XXXXXX");
    return mkdtemp(root) == NULL;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

/* "ROOT/name", in one of a few buffers. */
static const char *below(const char *name)
{
    static char paths[4][512];
    static unsigned next;

    next = (next + 1) % 4;
    snprintf(paths[next], sizeof paths[next], "%s/%s", root, name);
    return paths[next];
}

static struct warc_config config(void)
{
    return (struct warc_config){.software = "argosy/0.1.0",
                                .operator_name = "the tests",
                                .hostname = "here",
                                .instance = INSTANCE,
                                .roots = roots,
                                .roots_count = 1,
                                .random = ag_entropy};
}

static warc_t *new_writer(uint64_t rotate_bytes)
{
    struct warc_config with = config();
    struct argosy_error err;
    warc_t *self;

    with.rotate_bytes = rotate_bytes;
    assert_ok(warc_new(&self, &with, &err));
    return self;
}

static struct warc_exchange exchange(const char *uri, const char *payload)
{
    return (struct warc_exchange){.prefix = below("a"),
                                  .uri = uri,
                                  .unix_ms = DATE,
                                  .peer = "192.0.2.1",
                                  .request = ag_bytes_of_text(REQUEST),
                                  .response = ag_bytes_of_text(HEAD),
                                  .payload = ag_bytes_of_text(payload)};
}

static struct warc_place append(warc_t *self, const struct warc_exchange *what)
{
    struct argosy_error err = {0};
    struct warc_place place;

    if (warc_append(self, what, &place, &err) < 0)
        fail_msg("%s", err.message);
    return place;
}

static struct warc_place append_page(warc_t *self, const char *uri, const char *payload)
{
    struct warc_exchange what = exchange(uri, payload);

    return append(self, &what);
}

/* Names in a directory below the root, but hidden ones; `name`: one of them. */
static unsigned count_files(const char *folder, const char *ending, char name[256])
{
    DIR *dir = opendir(below(folder));
    struct dirent *at;
    unsigned count = 0;

    assert_non_null(dir);
    while ((at = readdir(dir)) != NULL) {
        size_t size = strlen(at->d_name), of_ending = strlen(ending);

        if (at->d_name[0] == '.' || size < of_ending ||
            strcmp(at->d_name + size - of_ending, ending) != 0)
            continue;
        count++;
        if (name != NULL)
            strcpy(name, at->d_name);
    }
    closedir(dir);
    return count;
}

static FILE *open_path(const char *path, const char *ending)
{
    char name[512];
    FILE *file;

    snprintf(name, sizeof name, "%s%s", path, ending);
    file = fopen(name, "r");
    if (file == NULL)
        fail_msg("there is no %s", name);
    return file;
}

static void expect_record(FILE *file, const char *type)
{
    assert_int_equal(warc_read(file, &entry), WARC_READ_RECORD);
    assert_string_equal(warc_field(&entry, "WARC-Type"), type);
}

static void expect_field(const char *name, const char *value)
{
    const char *is = warc_field(&entry, name);

    if (is == NULL || strcmp(is, value) != 0)
        fail_msg("%s is '%s', not '%s'", name, is != NULL ? is : "nothing", value);
}

/* How many records are whole; the file ends after them, or within a record. */
static unsigned count_records(FILE *file, enum warc_read end)
{
    unsigned count = 0;
    enum warc_read rc;

    while ((rc = warc_read(file, &entry)) == WARC_READ_RECORD)
        count++;
    assert_int_equal(rc, end);
    return count;
}

static long peak_kib(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* The first test, for the peak is that of the process. */
static void a_body_of_300_mb_passes_through_little_memory(void **state)
{
    const uint64_t size = 300 * UINT64_C(1000000);
    int fd = open(root, O_TMPFILE | O_RDWR, 0600);
    struct warc_exchange what = exchange("http://example.org/big", NULL);
    warc_t *self = new_writer(0);
    struct warc_place place;
    uint8_t random[4096];
    long before, grown;
    FILE *file;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    for (uint64_t at = 0; at < size; at += 10 * 1000 * 1000) {
        assert_ok(ag_entropy(random, sizeof random, NULL));
        assert_int_equal(pwrite(fd, random, sizeof random, (off_t)at), sizeof random);
    }
    what.payload_fd = fd;
    what.payload_size = size;
    append_page(self, "http://example.org/", "warm");
    before = peak_kib();
    place = append(self, &what);
    grown = peak_kib() - before;
    file = open_path(place.file, ".open");
    fseeko(file, (off_t)place.offset, SEEK_SET);
    expect_record(file, "response");
    assert_int_equal(entry.block_size, strlen(HEAD) + size);
    assert_int_equal(entry.length, place.length);
    print_message("300 MB: the peak grew by %ld KiB\n", grown);
    assert_true(grown < 4096);
    fclose(file);
    close(fd);
    warc_destroy(&self);
}

static void an_exchange_is_read_back(void **state)
{
    struct warc_exchange what = exchange("https://example.org/a?b=c", "hello");
    const char *name = below("a-20250101000000-00000-" INSTANCE ".warc.gz");
    warc_t *self = new_writer(0);
    char info_id[64], response_id[64];
    struct warc_place place;
    FILE *file;

    (void)state;
    place = append(self, &what);
    assert_string_equal(place.file, name);
    assert_false(place.is_revisit);
    file = open_path(place.file, ".open");

    expect_record(file, "warcinfo");
    expect_field("Content-Type", "application/warc-fields");
    expect_field("WARC-Filename", strrchr(name, '/') + 1);
    assert_non_null(strstr(entry.block, "software: argosy/0.1.0\r\n"));
    assert_non_null(strstr(entry.block, "operator: the tests\r\n"));
    assert_non_null(strstr(entry.block, "hostname: here\r\n"));
    strcpy(info_id, warc_field(&entry, "WARC-Record-ID"));

    expect_record(file, "response");
    assert_int_equal(entry.offset, place.offset);
    assert_int_equal(entry.length, place.length);
    expect_field("WARC-Warcinfo-ID", info_id);
    expect_field("WARC-Date", "2025-01-01T00:00:00.789Z");
    expect_field("WARC-Target-URI", "https://example.org/a?b=c");
    expect_field("WARC-IP-Address", "192.0.2.1");
    expect_field("Content-Type", "application/http;msgtype=response");
    /* printf hello | sha256sum */
    expect_field("WARC-Payload-Digest",
                 "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    assert_null(warc_field(&entry, "WARC-Truncated"));
    assert_string_equal(entry.block, HEAD "hello");
    strcpy(response_id, warc_field(&entry, "WARC-Record-ID"));

    expect_record(file, "request");
    expect_field("WARC-Concurrent-To", response_id);
    expect_field("WARC-Date", "2025-01-01T00:00:00.789Z");
    expect_field("WARC-Target-URI", "https://example.org/a?b=c");
    expect_field("Content-Type", "application/http;msgtype=request");
    assert_string_equal(entry.block, REQUEST);
    assert_int_equal(warc_read(file, &entry), WARC_READ_END);
    fclose(file);
    warc_destroy(&self);
}

static void what_is_not_known_is_left_away(void **state)
{
    struct warc_exchange what = exchange("http://example.org/", "");
    warc_t *self = new_writer(0);
    struct warc_place place;
    FILE *file;

    (void)state;
    what.peer = NULL;
    what.request = (struct ag_bytes){0};
    what.payload = (struct ag_bytes){0};
    place = append(self, &what);
    what.truncated = WARC_TRUNCATED_DISCONNECT;
    what.request = ag_bytes_of_text("POST / HTTP/1.1\r\n\r\nsome");
    what.request_truncated = WARC_TRUNCATED_LENGTH;
    append(self, &what);
    file = open_path(place.file, ".open");
    expect_record(file, "warcinfo");
    expect_record(file, "response");
    assert_null(warc_field(&entry, "WARC-IP-Address"));
    assert_string_equal(entry.block, HEAD);
    expect_record(file, "response");
    expect_field("WARC-Truncated", "disconnect");
    expect_record(file, "request");
    expect_field("WARC-Truncated", "length");
    assert_string_equal(entry.block, "POST / HTTP/1.1\r\n\r\nsome");
    assert_int_equal(warc_read(file, &entry), WARC_READ_END);
    fclose(file);
    warc_destroy(&self);
}

static void heads_say_what_readers_of_archives_can_use(void **state)
{
    static const struct {
        const char *is, *becomes, *protocol;
    } heads[] = {
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\ncontent-length: 7\r\nA: b\r\n\r\n",
         "HTTP/1.1 200 OK\r\nX-Crawler-Transfer-Encoding : chunked\r\n"
         "X-Crawler-content-length: 7\r\nA: b\r\n\r\n",
         NULL},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Transfer-Encoding: x\r\n\r\n",
         "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Transfer-Encoding: x\r\n\r\n", NULL},
        {"HTTP/2 200 \r\ncontent-encoding: gzip\r\n\r\n",
         "HTTP/1.1 200 \r\ncontent-encoding: gzip\r\n\r\n", "h2"},
        {"HTTP/3 404\r\n\r\n", "HTTP/1.1 404\r\n\r\n", "h3"},
        {"HTTP/1.1 200 HTTP/2\r\n\r\n", "HTTP/1.1 200 HTTP/2\r\n\r\n", NULL},
        {"HTTP/1.0 200 OK\nA: b\n c\n\n", "HTTP/1.0 200 OK\r\nA: b\r\n c\r\n\r\n", NULL},
    };
    warc_t *self = new_writer(0);

    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct warc_exchange what = exchange("http://example.org/", "hello");
        struct warc_place place;
        FILE *file;

        what.response = ag_bytes_of_text(heads[i].is);
        place = append(self, &what);
        file = open_path(place.file, ".open");
        fseeko(file, (off_t)place.offset, SEEK_SET);
        expect_record(file, i == 0 ? "response" : "revisit");
        entry.block[entry.head_size] = '\0';
        assert_string_equal(entry.block, heads[i].becomes);
        if (heads[i].protocol != NULL)
            expect_field("WARC-Protocol", heads[i].protocol);
        else
            assert_null(warc_field(&entry, "WARC-Protocol"));
        fclose(file);
    }
    warc_destroy(&self);
}

static void secrets_of_a_request_are_withheld(void **state)
{
    struct warc_exchange what = exchange("http://example.org/", "hello");
    warc_t *self = new_writer(0);
    struct warc_place place;
    FILE *file;

    (void)state;
    what.request = ag_bytes_of_text("GET / HTTP/2\r\nauthorization: Bearer\r\n s3cret\r\n"
                                    "Proxy-Authorization:Basic x\r\nA: b\r\n\r\n");
    place = append(self, &what);
    file = open_path(place.file, ".open");
    fseeko(file, (off_t)(place.offset + place.length), SEEK_SET);
    expect_record(file, "request");
    assert_string_equal(entry.block, "GET / HTTP/1.1\r\nauthorization: withheld\r\n"
                                     "Proxy-Authorization: withheld\r\nA: b\r\n\r\n");
    fclose(file);
    warc_destroy(&self);
}

static void a_payload_that_was_seen_is_a_revisit(void **state)
{
    struct warc_exchange what = exchange("http://example.org/2", "the same");
    warc_t *self = new_writer(0);
    char id[64], digest[72];
    struct warc_place place;
    FILE *file;

    (void)state;
    append_page(self, "http://example.org/1", "the same");
    what.unix_ms += 1000;
    place = append(self, &what);
    assert_true(place.is_revisit);
    append_page(self, "http://example.org/3", "another");
    file = open_path(place.file, ".open");
    expect_record(file, "warcinfo");
    expect_record(file, "response");
    strcpy(id, warc_field(&entry, "WARC-Record-ID"));
    strcpy(digest, warc_field(&entry, "WARC-Payload-Digest"));
    expect_record(file, "request");
    expect_record(file, "revisit");
    assert_int_equal(entry.offset, place.offset);
    assert_int_equal(entry.length, place.length);
    expect_field("WARC-Target-URI", "http://example.org/2");
    expect_field("WARC-Profile",
                 "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest");
    expect_field("WARC-Refers-To", id);
    expect_field("WARC-Refers-To-Target-URI", "http://example.org/1");
    expect_field("WARC-Refers-To-Date", "2025-01-01T00:00:00.789Z");
    expect_field("WARC-Date", "2025-01-01T00:00:01.789Z");
    expect_field("WARC-Payload-Digest", digest);
    expect_field("WARC-Truncated", "length");
    assert_string_equal(entry.block, HEAD);
    expect_record(file, "request");
    expect_record(file, "response");
    fclose(file);
    warc_destroy(&self);
}

static void only_whole_payloads_under_the_same_prefix_are_revisited(void **state)
{
    struct warc_exchange what = exchange("http://example.org/", "some");
    warc_t *self = new_writer(0);

    (void)state;
    what.truncated = WARC_TRUNCATED_TIME;
    append(self, &what);
    what.truncated = WARC_WHOLE;
    assert_false(append(self, &what).is_revisit); /* the first was a part of something */
    assert_true(append(self, &what).is_revisit);
    what.truncated = WARC_TRUNCATED_TIME;
    assert_false(append(self, &what).is_revisit);
    what.truncated = WARC_WHOLE;
    what.prefix = below("b");
    assert_false(append(self, &what).is_revisit);
    what.prefix = below("/b");
    assert_true(append(self, &what).is_revisit);
    what.payload = ag_bytes_of_text("");
    append(self, &what);
    assert_false(append(self, &what).is_revisit); /* nothing to save */
    warc_destroy(&self);
}

static void the_payloads_that_were_used_last_are_remembered(void **state)
{
    struct warc_original original = {.uri = "http://example.org/"};
    char uri[WARC_SEEN_URI_MAX + 1] = {0};
    struct argosy_error err;
    warc_seen_t *seen;
    uint32_t key[8] = {0};

    (void)state;
    assert_ok(warc_seen_new(&seen, 1, &err));
    for (key[0] = 1; key[0] <= WARC_SEEN_MAX; key[0]++)
        warc_seen_add(seen, (uint8_t *)key, &original);
    key[0] = 1;
    assert_non_null(warc_seen_find(seen, (uint8_t *)key));
    key[0] = WARC_SEEN_MAX + 1;
    warc_seen_add(seen, (uint8_t *)key, &original);
    key[0] = 2; /* the oldest since 1 was used */
    assert_null(warc_seen_find(seen, (uint8_t *)key));
    key[0] = 1;
    assert_string_equal(warc_seen_find(seen, (uint8_t *)key)->uri, original.uri);
    key[7] = 1; /* half of a key is not enough */
    assert_null(warc_seen_find(seen, (uint8_t *)key));
    warc_seen_add(seen, (uint8_t *)key, &original);
    assert_non_null(warc_seen_find(seen, (uint8_t *)key));
    key[7] = 0;
    assert_null(warc_seen_find(seen, (uint8_t *)key));
    memset(uri, 'x', WARC_SEEN_URI_MAX);
    original.uri = uri;
    warc_seen_add(seen, (uint8_t *)key, &original);
    assert_null(warc_seen_find(seen, (uint8_t *)key));
    warc_seen_destroy(&seen);
}

static void a_full_file_is_followed_by_another(void **state)
{
    warc_t *self = new_writer(2000);
    char text[4096 + 1] = {0}, first[512];
    struct warc_place place;
    FILE *file;

    (void)state;
    for (size_t i = 0; i < sizeof text - 1; i++)
        text[i] = (char)('a' + (i * i / 7 + i) % 26);
    strcpy(first, append_page(self, "http://example.org/1", "small").file);
    place = append_page(self, "http://example.org/2", text);
    assert_string_equal(place.file, first);
    assert_int_equal(count_files("", ".warc.gz", NULL), 0);
    place = append_page(self, "http://example.org/3", text);
    assert_string_not_equal(place.file, first);
    assert_true(place.is_revisit);
    assert_int_equal(count_files("", ".warc.gz", NULL), 1);
    assert_int_equal(count_files("", ".open", NULL), 1);
    file = open_path(first, "");
    assert_int_equal(count_records(file, WARC_READ_END), 5);
    fclose(file);
    file = open_path(place.file, ".open");
    expect_record(file, "warcinfo");
    expect_field("WARC-Filename", strrchr(place.file, '/') + 1);
    fclose(file);
    warc_destroy(&self);
}

static void files_get_their_names_when_they_are_closed(void **state)
{
    struct warc_exchange what = exchange("http://example.org/", "x");
    warc_t *self = new_writer(0);
    struct argosy_error err;
    char name[256], prefix[32];

    (void)state;
    for (int i = 0; i < WARC_OPEN_MAX + 1; i++) {
        snprintf(prefix, sizeof prefix, "deep/er/p%d", i);
        what.prefix = below(prefix);
        append(self, &what);
        what.prefix = below("deep/er/p0"); /* is always used again */
        append(self, &what);
    }
    assert_int_equal(count_files("deep/er", ".open", NULL), WARC_OPEN_MAX);
    assert_int_equal(count_files("deep/er", ".warc.gz", name), 1);
    assert_memory_equal(name, "p1-", 3);
    assert_ok(warc_finish(self, &err));
    assert_int_equal(count_files("deep/er", ".open", NULL), 0);
    assert_int_equal(count_files("deep/er", ".warc.gz", NULL), WARC_OPEN_MAX + 1);
    what.prefix = below("deep/er/p0");
    append(self, &what);
    assert_int_equal(count_files("deep/er", ".open", NULL), 1);
    warc_destroy(&self);
    assert_int_equal(count_files("deep/er", ".warc.gz", NULL), WARC_OPEN_MAX + 2);
}

static void a_torn_tail_costs_one_record(void **state)
{
    warc_t *self = new_writer(0);
    struct warc_place place;
    char bytes[16 * 1024];
    unsigned whole;
    FILE *file;
    size_t size, last;

    (void)state;
    append_page(self, "http://example.org/1", "one");
    append_page(self, "http://example.org/2", "two");
    place = append_page(self, "http://example.org/3", "three");
    last = place.offset + place.length;
    file = open_path(place.file, ".open");
    size = fread(bytes, 1, sizeof bytes, file);
    assert_true(size > last && size < sizeof bytes);
    rewind(file);
    whole = count_records(file, WARC_READ_END);
    assert_int_equal(whole, 7);
    fclose(file);
    for (size_t cut = last + 1; cut < size; cut++) {
        file = fmemopen(bytes, cut, "r");
        assert_int_equal(count_records(file, WARC_READ_TORN), whole - 1);
        fclose(file);
    }
    warc_destroy(&self);
}

static void limit_files(rlim_t size)
{
    struct rlimit limit = {.rlim_cur = size, .rlim_max = RLIM_INFINITY};

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Whatever room there is left, but not enough. */
static void a_full_disk_takes_nothing_and_breaks_nothing(void **state)
{
    warc_t *self = new_writer(0);
    struct warc_place place = append_page(self, "http://example.org/0", "zero"), failed;
    uint64_t first = place.offset + place.length, size, full;
    struct argosy_error err;
    struct stat stat_is;
    char path[512], text[64];
    FILE *file;

    (void)state;
    snprintf(path, sizeof path, "%s.open", place.file);
    assert_int_equal(stat(path, &stat_is), 0);
    size = (uint64_t)stat_is.st_size;
    assert_true(size > first);
    full = size;
    for (unsigned i = 0; i < 600; i += 3) {
        struct warc_exchange what;

        snprintf(text, sizeof text, "payload %u", i);
        what = exchange("http://example.org/full", text);
        limit_files(size + i);
        assert_fails(warc_append(self, &what, &failed, &err), ARGOSY_EIO);
        limit_files(RLIM_INFINITY);
        assert_non_null(strstr(err.message, path));
        assert_non_null(strstr(err.message, strerror(EFBIG)));
        assert_null(failed.file);
        assert_int_equal(stat(path, &stat_is), 0);
        assert_int_equal(stat_is.st_size, size);
        if (i % 60 != 0)
            continue;
        place = append(self, &what);
        assert_false(place.is_revisit); /* what failed was not remembered */
        assert_int_equal(place.offset, size);
        assert_int_equal(stat(path, &stat_is), 0);
        size = (uint64_t)stat_is.st_size;
    }
    assert_true(size > full);
    file = open_path(path, "");
    assert_int_equal(count_records(file, WARC_READ_END), 3 + 2 * 10);
    fclose(file);
    warc_destroy(&self);
}

/* Not only the last write of a record fails. */
static void a_disk_that_fills_up_within_a_body_takes_nothing(void **state)
{
    struct warc_exchange what = exchange("http://example.org/", NULL);
    size_t size = 1024 * 1024;
    char *random = malloc(size), path[512];
    warc_t *self = new_writer(0);
    struct warc_place before = append_page(self, "http://example.org/0", "zero"), after, failed;
    struct argosy_error err;
    FILE *file;

    (void)state;
    assert_non_null(random);
    assert_ok(ag_entropy(random, size, &err));
    what.payload = ag_bytes_of(random, size);
    limit_files(before.offset + size / 2 + 77);
    assert_fails(warc_append(self, &what, &failed, &err), ARGOSY_EIO);
    limit_files(RLIM_INFINITY);
    after = append(self, &what);
    assert_false(after.is_revisit);
    snprintf(path, sizeof path, "%s.open", after.file);
    file = open_path(path, "");
    assert_int_equal(count_records(file, WARC_READ_END), 5);
    fseeko(file, (off_t)after.offset, SEEK_SET);
    expect_record(file, "response");
    assert_int_equal(entry.block_size, strlen(HEAD) + size);
    fclose(file);
    free(random);
    warc_destroy(&self);
}

static void a_file_that_cannot_begin_is_not_left_behind(void **state)
{
    struct warc_exchange what = exchange("http://example.org/", "x");
    struct argosy_error err;
    struct warc_place place;
    warc_t *self = new_writer(0);

    (void)state;
    limit_files(50);
    assert_fails(warc_append(self, &what, &place, &err), ARGOSY_EIO);
    assert_int_equal(count_files("", "", NULL), 0);
    limit_files(600); /* enough for a `warcinfo` */
    assert_fails(warc_append(self, &what, &place, &err), ARGOSY_EIO);
    limit_files(RLIM_INFINITY);
    assert_int_equal(count_files("", ".open", NULL), 1);
    assert_ok(warc_finish(self, &err));
    assert_int_equal(count_files("", "", NULL), 0);
    warc_destroy(&self);
}

static int no_random(void *out, size_t size, struct argosy_error *err)
{
    static unsigned left = 3; /* the seed and two ids */

    memset(out, 7, size);
    if (err != NULL)
        err->code = ARGOSY_EIO;
    return left-- > 0 ? 0 : ARGOSY_EIO;
}

static void what_fails_before_it_is_written_changes_nothing(void **state)
{
    struct warc_exchange what = exchange("http://example.org/", NULL);
    struct warc_config with = config();
    int fd = open(root, O_TMPFILE | O_RDWR, 0600);
    warc_t *self = new_writer(0), *other;
    struct argosy_error err;
    struct warc_place place;

    (void)state;
    assert_int_equal(write(fd, "short", 5), 5);
    what.payload_fd = fd;
    what.payload_size = 6;
    assert_fails(warc_append(self, &what, &place, &err), ARGOSY_EIO);
    assert_non_null(strstr(err.message, "5 of 6"));
    what.payload_size = 5;
    append(self, &what);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 5);
    warc_destroy(&self);
    assert_int_equal(count_files("", ".warc.gz", NULL), 1);

    with.random = no_random;
    assert_ok(warc_new(&other, &with, &err));
    assert_fails(warc_append(other, &what, &place, &err), ARGOSY_EIO);
    warc_destroy(&other);
    assert_int_equal(count_files("", "", NULL), 1);
    close(fd);
}

static void a_file_that_cannot_be_named_is_told_of_once(void **state)
{
    warc_t *self = new_writer(0);
    struct argosy_error err;
    char path[512];

    (void)state;
    snprintf(path, sizeof path, "%s.open", append_page(self, "http://example.org/", "x").file);
    assert_int_equal(unlink(path), 0);
    assert_fails(warc_finish(self, &err), ARGOSY_EIO);
    assert_non_null(strstr(err.message, path));
    assert_ok(warc_finish(self, &err));
    append_page(self, "http://example.org/", "x");
    assert_ok(warc_finish(self, &err));
    assert_int_equal(count_files("", ".warc.gz", NULL), 1);
    warc_destroy(&self);
}

static void expect_refused(warc_t *self, const struct warc_exchange *what)
{
    struct argosy_error err;
    struct warc_place place;

    assert_fails(warc_append(self, what, &place, &err), ARGOSY_EINVAL);
}

static void no_value_can_forge_a_line(void **state)
{
    static const char *const uris[] = {"http://a/\r\nWARC-Type: x",
                                       "http://a/\n",
                                       "http://a/ b",
                                       "http://a/\x01",
                                       "http://a/\x7f",
                                       ""};
    static const char *const peers[] = {"192.0.2.1\r\nA: b", "example.org", "192.0.2.1:80", ""};
    static const char *const heads[] = {
        "",         "HTTP/1.1 200 OK\r\n",    "HTTP/1.1 200 OK\r\nA: b",
        "\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", HEAD "HTTP/1.1 200 OK\r\n\r\n"};
    struct warc_exchange what;
    warc_t *self = new_writer(0);

    (void)state;
    for (size_t i = 0; i < sizeof uris / sizeof *uris; i++) {
        what = exchange(uris[i], "x");
        expect_refused(self, &what);
    }
    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++) {
        what = exchange("http://a/", "x");
        what.peer = peers[i];
        expect_refused(self, &what);
    }
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        what = exchange("http://a/", "x");
        what.response = ag_bytes_of_text(heads[i]);
        expect_refused(self, &what);
    }
    what = exchange("http://a/", "x");
    what.request = ag_bytes_of_text("GET / HTTP/1.1\r\nA: b\r\n");
    expect_refused(self, &what);
    what = exchange("http://a/", "x");
    what.unix_ms = -1;
    expect_refused(self, &what);
    what = exchange("http://a/", "x");
    what.prefix = below("a\nb");
    expect_refused(self, &what);
    assert_int_equal(count_files("", "", NULL), 0);
    warc_destroy(&self);
}

static void a_writer_that_lies_about_itself_is_refused(void **state)
{
    static const char *const instances[] = {"", "01JD5ZK4T9W8Q6F2M3N7B0C1X",
                                            "01JD5ZK4T9W8Q6F2M3N7B0C1X/", INSTANCE "0"};
    struct warc_config with;
    struct argosy_error err;
    warc_t *self;

    (void)state;
    for (size_t i = 0; i < sizeof instances / sizeof *instances; i++) {
        with = config();
        with.instance = instances[i];
        assert_fails(warc_new(&self, &with, &err), ARGOSY_EINVAL);
    }
    with = config();
    with.operator_name = "me\r\nsoftware: x";
    assert_fails(warc_new(&self, &with, &err), ARGOSY_EINVAL);
}

static void nothing_outside_the_root_is_written(void **state)
{
    char outside[] = "/tmp/test_warc_outside.XXXXXX", name[256];
    struct warc_exchange what = exchange("http://example.org/", "x");
    warc_t *self = new_writer(0);
    struct argosy_error err;
    struct warc_place place;
    char *victim;

    (void)state;
    assert_non_null(mkdtemp(outside));
    assert_int_equal(symlink(outside, below("absolute")), 0);
    assert_int_equal(symlink("../../../../../../tmp", below("relative")), 0);
    what.prefix = below("absolute/a");
    assert_fails(warc_append(self, &what, &place, &err), ARGOSY_EIO);
    what.prefix = below("relative/a");
    assert_fails(warc_append(self, &what, &place, &err), ARGOSY_EIO);
    what.prefix = below("../a");
    assert_fails(warc_append(self, &what, &place, &err), ARGOSY_EINVAL);
    what.prefix = below("a/");
    assert_fails(warc_append(self, &what, &place, &err), ARGOSY_EINVAL);
    what.prefix = "/tmp/a";
    assert_fails(warc_append(self, &what, &place, &err), ARGOSY_EREJECTED);
    what.prefix = "a";
    assert_fails(warc_append(self, &what, &place, &err), ARGOSY_EREJECTED);

    /* A link that has the very name is not followed. */
    assert_true(asprintf(&victim, "%s/victim", outside) > 0);
    snprintf(name, sizeof name, "l-20250101000000-%05d-%s.warc.gz.open", 0, INSTANCE);
    assert_int_equal(symlink(victim, below(name)), 0);
    warc_destroy(&self);
    self = new_writer(0);
    what.prefix = below("l");
    assert_fails(warc_append(self, &what, &place, &err), ARGOSY_EIO);
    assert_int_equal(rmdir(outside), 0); /* is empty */
    free(victim);
    warc_destroy(&self);
}

/* Both the archive and the file of a body. */
static void a_root_may_be_written_with_more_slashes(void **state)
{
    struct warc_exchange what = exchange("http://example.org/", "x");
    struct warc_config with = config();
    char twice[80], prefix[128], file[128];
    const char *const others[] = {twice}, *path;
    struct argosy_error err;
    struct warc_place place;
    output_t *output;
    warc_t *self;

    (void)state;
    snprintf(twice, sizeof twice, "/tmp//%s/", root + strlen("/tmp/"));
    snprintf(prefix, sizeof prefix, "%sx//a", twice);
    snprintf(file, sizeof file, "%sy//b", twice);
    with.roots = others;
    what.prefix = prefix;
    assert_ok(warc_new(&self, &with, &err));
    assert_ok(warc_append(self, &what, &place, &err));
    assert_memory_equal(place.file, below("x/a-"), strlen(below("x/a-")));
    warc_destroy(&self);
    assert_ok(output_new(&output, file, others, 1, NULL, &err));
    assert_ok(output_commit(output, "", &path, &err));
    assert_string_equal(path, below("y/b"));
    output_destroy(&output);
}

static void the_longest_name_fits_and_no_longer_one(void **state)
{
    struct warc_exchange what = exchange("http://example.org/", "x");
    warc_t *self = new_writer(0);
    struct argosy_error err;
    struct warc_place place;
    char name[256] = {0};

    (void)state;
    memset(name, 'n', 189);
    what.prefix = below(name);
    append(self, &what);
    name[189] = 'n';
    what.prefix = below(name);
    assert_fails(warc_append(self, &what, &place, &err), ARGOSY_EINVAL);
    assert_fails(warc_check(below(name), roots, 1, &err), ARGOSY_EINVAL);
    warc_destroy(&self);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_body_of_300_mb_passes_through_little_memory),
        TEST(an_exchange_is_read_back),
        TEST(what_is_not_known_is_left_away),
        TEST(heads_say_what_readers_of_archives_can_use),
        TEST(secrets_of_a_request_are_withheld),
        TEST(a_payload_that_was_seen_is_a_revisit),
        TEST(only_whole_payloads_under_the_same_prefix_are_revisited),
        TEST(the_payloads_that_were_used_last_are_remembered),
        TEST(a_full_file_is_followed_by_another),
        TEST(files_get_their_names_when_they_are_closed),
        TEST(a_torn_tail_costs_one_record),
        TEST(a_full_disk_takes_nothing_and_breaks_nothing),
        TEST(a_disk_that_fills_up_within_a_body_takes_nothing),
        TEST(a_file_that_cannot_begin_is_not_left_behind),
        TEST(what_fails_before_it_is_written_changes_nothing),
        TEST(a_file_that_cannot_be_named_is_told_of_once),
        TEST(no_value_can_forge_a_line),
        TEST(a_writer_that_lies_about_itself_is_refused),
        TEST(nothing_outside_the_root_is_written),
        TEST(a_root_may_be_written_with_more_slashes),
        TEST(the_longest_name_fits_and_no_longer_one),
    };

    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
