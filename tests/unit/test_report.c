/* The report: what ends up in it, how it folds, splits and is written. */
#include "tests/unit/cmocka_prelude.h"

#include <argosy/report.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/report_tree.h"

/* {"type", "message", "subject", "retryable"} */
static struct ag_bytes pack_leaf(struct ag_buffer *out, const char *type, const char *message,
                                 const char *subject)
{
    json_t *json = json_pack("{s:s, s:s, s:s, s:b}", "type", type, "message", message, "subject",
                             subject, "retryable", 1);

    ag_buffer_clear(out);
    assert_ok(ag_json_to_msgpack(json, out));
    json_decref(json);
    return ag_buffer_bytes(out);
}

static struct ag_id id_of(unsigned number)
{
    struct ag_id id = {{1}};

    for (int i = 0; i < 4; i++)
        id.bytes[15 - i] = (uint8_t)(number >> (8 * i));
    return id;
}

/* A fetch that failed at its last try. */
static void add(argosy_report *report, unsigned number, const char *type, const char *message,
                const char *subject)
{
    struct ag_buffer error = ag_buffer_empty(4096), attempts = ag_buffer_empty(4096);
    struct proto_event event = {.job = id_of(number),
                                .index = number,
                                .kind = ag_bytes_of_text("fetch"),
                                .state = PROTO_JOB_FAILED,
                                .attempt = 2,
                                .attempts_max = 2,
                                .worker = ag_bytes_of_text("w-1")};

    event.error = pack_leaf(&error, type, message, subject);
    ag_proto_append_attempt(
        &attempts, &(struct proto_attempt){.attempt = 1,
                                           .worker = ag_bytes_of_text("w-2"),
                                           .run_ms = 7,
                                           .type = ag_bytes_of_text("lost.worker"),
                                           .message = ag_bytes_of_text("the worker fell silent")});
    ag_proto_append_attempt(&attempts,
                            &(struct proto_attempt){.attempt = 2,
                                                    .worker = ag_bytes_of_text("w-1"),
                                                    .type = ag_bytes_of_text(type),
                                                    .message = ag_bytes_of_text(message)});
    event.attempts_count = 2;
    event.attempts = ag_buffer_bytes(&attempts);
    ag_report_add_event(report, &event);
    ag_buffer_free(&error);
    ag_buffer_free(&attempts);
}

static argosy_report *sample(void)
{
    argosy_report *report = argosy_report_new("");

    assert_non_null(report);
    add(report, 1, "fetch.http.server.503", "Service Unavailable", "http://127.0.0.1:8080/a");
    add(report, 2, "fetch.http.server.503", "Service Unavailable", "http://127.0.0.1:8080/b");
    add(report, 3, "fetch.dns", "could not resolve the host's name", "http://nowhere.invalid/");
    ag_report_finish(
        report, "fetch urls.txt",
        &(struct argosy_counts){
            .total = 20, .succeeded = 17, .failed = 3, .retried = 3, .wall_ms = 50, .busy_ms = 90});
    return report;
}

static char *text_of(const argosy_report *report)
{
    char *text = NULL;
    size_t size;
    FILE *memory = open_memstream(&text, &size);

    assert_ok(argosy_report_write_text(report, memory));
    fclose(memory);
    return text;
}

static char *json_of(const argosy_report *report)
{
    char *text = NULL;
    size_t size;
    FILE *memory = open_memstream(&text, &size);

    assert_ok(argosy_report_write_json(report, memory));
    fclose(memory);
    return text;
}

static void the_text_looks_as_people_know_it_from_python(void **state)
{
    argosy_report *report = sample();
    char *text = text_of(report);

    (void)state;
    assert_string_equal(
        text, "  + ExceptionGroup: fetch urls.txt: 3 of 20 jobs failed (2 sub-exceptions)\n"
              "  +-+---------------- 1 ----------------\n"
              "    | fetch.http.server.503: Service Unavailable (2 jobs, host 127.0.0.1:8080)\n"
              "    |   0100\u202601 http://127.0.0.1:8080/a  attempt 2 of 2 on w-1\n"
              "    |     attempt 1 on w-2: lost.worker: the worker fell silent\n"
              "    |   0100\u202602 http://127.0.0.1:8080/b  attempt 2 of 2 on w-1\n"
              "    |     attempt 1 on w-2: lost.worker: the worker fell silent\n"
              "    +---------------- 2 ----------------\n"
              "    | fetch.dns: could not resolve the host's name\n"
              "    |   0100\u202603 http://nowhere.invalid/  attempt 2 of 2 on w-1\n"
              "    |     attempt 1 on w-2: lost.worker: the worker fell silent\n"
              "    +------------------------------------\n");
    free(text);
    argosy_report_destroy(&report);
}

static void the_three_forms_carry_the_same_facts(void **state)
{
    argosy_report *report = sample(), *copy;
    struct argosy_error err = {0};
    void *data;
    size_t size;
    char *text = text_of(report), *json = json_of(report), *again;

    (void)state;
    assert_ok(argosy_report_write_msgpack(report, &data, &size));
    assert_ok(argosy_report_read_msgpack(&copy, data, size, &err));
    again = text_of(copy);
    assert_string_equal(text, again);
    free(again);
    again = json_of(copy);
    assert_string_equal(json, again);
    free(again);
    free(text);
    free(json);
    free(data);
    argosy_report_destroy(&copy);
    argosy_report_destroy(&report);
}

static void what_is_no_report_is_not_read_as_one(void **state)
{
    struct argosy_error err = {0};
    argosy_report *report;

    (void)state;
    assert_fails(argosy_report_read_msgpack(&report, "\x80", 1, &err), ARGOSY_EPROTO);
    assert_fails(argosy_report_read_msgpack(&report, "\xdd\xff\xff\xff\xff", 5, &err),
                 ARGOSY_EPROTO);
    assert_fails(argosy_report_read_msgpack(&report, "", 0, &err), ARGOSY_EPROTO);
}

static uint64_t leaves_of(const struct argosy_node *node)
{
    uint64_t count = node->type == ARGOSY_GROUP ? 0 : node->count;

    for (size_t i = 0; node->type == ARGOSY_GROUP && i < node->children_count; i++)
        count += leaves_of(node->children[i]);
    return count;
}

static void a_split_loses_nothing_and_keeps_the_shape(void **state)
{
    argosy_report *report = sample(), *http, *rest, *none;

    (void)state;
    assert_ok(argosy_report_split(report, "fetch.http", &http, &rest));
    assert_int_equal(leaves_of(argosy_report_root(http)), 2);
    assert_int_equal(leaves_of(argosy_report_root(rest)), 1);
    assert_string_equal(argosy_report_root(http)->message, argosy_report_root(report)->message);
    assert_int_equal(argosy_report_counts(http)->total, 20);
    none = argosy_report_subgroup(report, "analyze,fetch.https");
    assert_null(none);
    argosy_report_destroy(&http);
    argosy_report_destroy(&rest);
    assert_ok(argosy_report_split(report, "fetch", &http, &rest));
    assert_null(rest);
    assert_int_equal(leaves_of(argosy_report_root(http)), 3);
    argosy_report_destroy(&http);
    argosy_report_destroy(&report);
}

static void successes_and_cancels_are_no_failures(void **state)
{
    argosy_report *report = argosy_report_new("");
    struct proto_event event = {.state = PROTO_JOB_SUCCEEDED, .kind = ag_bytes_of_text("fetch")};

    (void)state;
    ag_report_add_event(report, &event);
    event.state = PROTO_JOB_CANCELLED;
    ag_report_add_event(report, &event);
    assert_true(argosy_report_is_empty(report));
    argosy_report_destroy(&report);
}

static void a_success_in_part_is_a_group_of_what_it_could_not_do(void **state)
{
    argosy_report *report = argosy_report_new("");
    json_t *json =
        json_pack("{s:s, s:[{s:s, s:s, s:s}]}", "message", "1 of 9 files", "errors", "type",
                  "analyze.source.denied", "message", "Permission denied", "subject", "secret.c");
    struct ag_buffer error = ag_buffer_empty(4096);
    struct proto_event event = {
        .job = id_of(1), .state = PROTO_JOB_SUCCEEDED, .kind = ag_bytes_of_text("analyze")};
    const struct argosy_node *group;

    (void)state;
    assert_ok(ag_json_to_msgpack(json, &error));
    event.error = ag_buffer_bytes(&error);
    ag_report_add_event(report, &event);
    group = argosy_report_root(report)->children[0];
    assert_int_equal(group->type, ARGOSY_GROUP);
    assert_string_equal(group->children[0]->error_type, "analyze.source.denied");
    assert_string_equal(group->children[0]->subject, "secret.c");
    json_decref(json);
    ag_buffer_free(&error);
    argosy_report_destroy(&report);
}

static void what_no_worker_described_is_named_from_its_payload(void **state)
{
    argosy_report *report = argosy_report_new("");
    json_t *json = json_pack("{s:s}", "url", "http://x/");
    struct ag_buffer payload = ag_buffer_empty(4096);
    struct proto_event event = {
        .job = id_of(1), .state = PROTO_JOB_FAILED, .kind = ag_bytes_of_text("fetch")};
    const struct argosy_node *leaf;

    (void)state;
    assert_ok(ag_json_to_msgpack(json, &payload));
    event.payload = ag_buffer_bytes(&payload);
    ag_report_add_event(report, &event);
    leaf = argosy_report_root(report)->children[0];
    assert_string_equal(leaf->subject, "http://x/");
    assert_string_equal(leaf->error_type, "handler.unknown");
    json_decref(json);
    ag_buffer_free(&payload);
    argosy_report_destroy(&report);
}

static void a_report_of_many_failures_stays_small(void **state)
{
    argosy_report *report = argosy_report_new("");
    char subject[64], type[64];
    int64_t start = ag_clock_mono_ms();
    void *data;
    size_t size;

    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        snprintf(subject, sizeof subject, "http://host%u/%u", i % 1000, i);
        snprintf(type, sizeof type, "fetch.http.client.%u", 400 + i % 3);
        add(report, i, type, "no", subject);
    }
    assert_int_equal(leaves_of(argosy_report_root(report)), 200000);
    assert_true(ag_report_bytes(report) <
                (32 << 20)); /* also in memory, not only as it is written */
    assert_true(argosy_report_root(report)->children_count <= AG_REPORT_FOLDS + 1);
    assert_ok(argosy_report_write_msgpack(report, &data, &size));
    assert_true(size < (16 << 20));
    assert_true(ag_clock_mono_ms() - start < 60000);
    free(data);
    argosy_report_destroy(&report);
}

static void hostile_text_stays_on_its_line_and_off_the_terminal(void **state)
{
    argosy_report *report = argosy_report_new("");
    char *text;

    (void)state;
    add(report, 1, "fetch.x",
        "a\nb\x1b[2J\xc2\x9b"
        "c",
        "http://h/\r");
    ag_report_finish(report, "t", &(struct argosy_counts){.total = 1, .failed = 1});
    text = text_of(report);
    assert_null(strchr(text, '\x1b'));
    assert_null(strstr(text, "\xc2\x9b"));
    assert_non_null(strstr(text, "a\\x0ab\\x1b[2J\\x9bc"));
    free(text);
    argosy_report_destroy(&report);
}

static void hosts_are_told_without_passwords(void **state)
{
    static const struct {
        const char *subject, *host;
    } cases[] = {{"http://a.example/x", "a.example"},
                 {"https://user:secret@b.example:8443/x?y", "b.example:8443"},
                 {"/a/path", ""},
                 {"http://", ""}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ag_bytes host = ag_report_host(ag_bytes_of_text(cases[i].subject));

        assert_true(ag_bytes_are(host, cases[i].host));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_looks_as_people_know_it_from_python),
        cmocka_unit_test(the_three_forms_carry_the_same_facts),
        cmocka_unit_test(what_is_no_report_is_not_read_as_one),
        cmocka_unit_test(a_split_loses_nothing_and_keeps_the_shape),
        cmocka_unit_test(successes_and_cancels_are_no_failures),
        cmocka_unit_test(a_success_in_part_is_a_group_of_what_it_could_not_do),
        cmocka_unit_test(what_no_worker_described_is_named_from_its_payload),
        cmocka_unit_test(a_report_of_many_failures_stays_small),
        cmocka_unit_test(hostile_text_stays_on_its_line_and_off_the_terminal),
        cmocka_unit_test(hosts_are_told_without_passwords),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
