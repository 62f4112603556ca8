/* The report: what ends up in it, how it folds, splits and is written. */
#include "tests/unit/cmocka_prelude.h"

#include <argosy/report.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

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
    ag_report_finish(report, "t", &(struct argosy_counts){.total = 3, .succeeded = 3});
    assert_string_equal(argosy_report_root(report)->message,
                        "t: 1 of 3 jobs succeeded only in part");
    json_decref(json);
    ag_buffer_free(&error);
    argosy_report_destroy(&report);
}

/* Nothing has failed and nothing was done in part: the title must not say so. */
static void a_deadline_alone_is_told_as_what_it_cancelled(void **state)
{
    argosy_report *report = argosy_report_new("");

    (void)state;
    ag_report_add_failure(report, "timeout.group", "too late", "", (struct ag_bytes){0}, NULL);
    ag_report_finish(report, "t",
                     &(struct argosy_counts){.total = 2, .succeeded = 1, .cancelled = 1});
    assert_string_equal(argosy_report_root(report)->message, "t: 1 of 2 jobs cancelled");
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

/* An event with the error {"type", "message", "subject"}; its error is yours to free. */
static struct proto_event event_of(struct ag_buffer *error, const char *type, const char *message,
                                   const char *subject)
{
    *error = ag_buffer_empty(1 << 20);
    return (struct proto_event){.job = id_of(1),
                                .kind = ag_bytes_of_text("fetch"),
                                .state = PROTO_JOB_FAILED,
                                .attempt = 1,
                                .attempts_max = 1,
                                .error = pack_leaf(error, type, message, subject)};
}

static void what_the_broker_adds_is_a_note_of_the_one_leaf(void **state)
{
    argosy_report *report = argosy_report_new("t");
    struct ag_buffer error;
    struct proto_event event = event_of(&error, "fetch.http.server.503", "no", "http://x/");
    const struct argosy_node *leaf;
    char *text;

    (void)state;
    event.note = ag_bytes_of_text("not tried again: the retry budget (20 %) of key 'x' is spent");
    ag_report_add_event(report, &event);
    leaf = argosy_report_root(report)->children[0];
    assert_int_equal(leaf->type, ARGOSY_LEAF);
    assert_string_equal(leaf->error_type, "fetch.http.server.503");
    assert_int_equal(leaf->notes_count, 1);
    text = text_of(report);
    assert_non_null(strstr(text, "budget (20 %) of key 'x' is spent\n"));
    free(text);
    ag_buffer_free(&error);
    argosy_report_destroy(&report);
}

/* The error as JSON; what becomes of it is the root's first child. */
static argosy_report *report_of(const char *error_json)
{
    argosy_report *report = argosy_report_new("t");
    struct ag_buffer error = ag_buffer_empty(AG_RESULT_BYTES_MAX);
    struct argosy_error err = {0};
    struct proto_event event = {
        .job = id_of(1), .state = PROTO_JOB_FAILED, .kind = ag_bytes_of_text("analyze")};
    json_t *json;

    assert_ok(ag_json_parse(error_json, strlen(error_json), &json, &err));
    assert_ok(ag_json_to_msgpack(json, &error));
    event.error = ag_buffer_bytes(&error);
    ag_report_add_event(report, &event);
    json_decref(json);
    ag_buffer_free(&error);
    assert_int_equal(argosy_report_root(report)->children_count, 1);
    return report;
}

static void a_million_failures_make_a_small_report(void **state)
{
    enum { KINDS = 3000, ROUNDS = 334 };
    struct ag_buffer *errors = calloc(KINDS, sizeof *errors);
    struct proto_event *events = calloc(KINDS, sizeof *events);
    argosy_report *report = argosy_report_new("");
    char subject[64], type[64];
    void *data;
    size_t size;

    (void)state;
    for (unsigned i = 0; i < KINDS; i++) {
        snprintf(subject, sizeof subject, "http://host%u/%u", i % 1000, i);
        snprintf(type, sizeof type, "fetch.http.client.%u", 400 + i % 3);
        events[i] = event_of(&errors[i], type, "no", subject);
    }
    for (unsigned i = 0; i < ROUNDS * KINDS; i++)
        ag_report_add_event(report, &events[i % KINDS]);
    assert_int_equal(leaves_of(argosy_report_root(report)), ROUNDS * KINDS);
    assert_int_equal(argosy_report_root(report)->children_count, AG_REPORT_FOLDS + 1);
    assert_true(ag_report_bytes(report) < (16 << 20)); /* also in memory, not only as written */
    assert_ok(argosy_report_write_msgpack(report, &data, &size));
    assert_true(size < (16 << 20));
    free(data);
    for (unsigned i = 0; i < KINDS; i++)
        ag_buffer_free(&errors[i]);
    free(errors);
    free(events);
    argosy_report_destroy(&report);
}

static void what_is_not_told_apart_keeps_its_type(void **state)
{
    argosy_report *report = argosy_report_new(""), *some, *rest;
    const struct argosy_node *others;
    char type[64], *text;

    (void)state;
    for (unsigned i = 0; i < AG_REPORT_FOLDS + 3; i++) {
        snprintf(type, sizeof type, "handler.t%u", i);
        add(report, i, type, "no", "/x");
    }
    others = argosy_report_root(report)->children[AG_REPORT_FOLDS];
    assert_int_equal(others->type, ARGOSY_FOLD);
    assert_int_equal(others->count, 3);
    assert_string_equal(others->error_type, "");
    assert_string_equal(others->children[2]->error_type, "handler.t258");
    assert_ok(argosy_report_split(report, "handler", &some, &rest));
    assert_int_equal(leaves_of(argosy_report_root(some)), AG_REPORT_FOLDS);
    assert_int_equal(leaves_of(argosy_report_root(rest)), 3);
    text = text_of(rest);
    assert_non_null(strstr(text, "| various: other failures (3 jobs)\n"));
    assert_non_null(strstr(text, " /x  attempt 2 of 2 on w-1  handler.t258: no\n"));
    free(text);
    argosy_report_destroy(&some);
    argosy_report_destroy(&rest);
    argosy_report_destroy(&report);
}

static void a_report_is_bounded_whatever_workers_write(void **state)
{
    argosy_report *report = argosy_report_new("");
    char *text = calloc(1, 5001), type[64];
    json_t *notes = json_array(), *leaf, *leaves;
    void *data;
    size_t size;
    argosy_report *again;

    (void)state;
    memset(text, 'x', 5000);
    for (unsigned i = 0; i < 40; i++)
        json_array_append_new(notes, json_string(text));
    for (unsigned i = 0; i < 600; i++) {
        struct ag_buffer error = ag_buffer_empty(64 << 20);
        struct proto_event event = {.job = id_of(i), .state = PROTO_JOB_FAILED};

        snprintf(type, sizeof type, "handler.t%u", i);
        leaf = json_pack("{s:s, s:s, s:s, s:O}", "type", type, "message", text, "subject", text,
                         "notes", notes);
        if (i % 20 == 0) {
            leaves = json_array();
            for (unsigned j = 0; j < 100; j++)
                json_array_append(leaves, leaf);
            json_decref(leaf);
            leaf = json_pack("{s:o}", "errors", leaves);
        }
        assert_ok(ag_json_to_msgpack(leaf, &error));
        event.error = ag_buffer_bytes(&error);
        ag_report_add_event(report, &event);
        json_decref(leaf);
        ag_buffer_free(&error);
    }
    assert_true(ag_report_bytes(report) < AG_REPORT_BYTES + (4 << 20));
    ag_report_finish(report, "t", &(struct argosy_counts){.total = 600, .failed = 600});
    assert_ok(argosy_report_write_msgpack(report, &data, &size));
    assert_ok(argosy_report_read_msgpack(&again, data, size, NULL));
    assert_int_equal(leaves_of(argosy_report_root(again)), leaves_of(argosy_report_root(report)));
    argosy_report_destroy(&again);
    free(data);
    free(text);
    json_decref(notes);
    argosy_report_destroy(&report);
}

static void one_job_may_list_so_many_errors_and_a_note_counts_the_rest(void **state)
{
    struct ag_buffer json = ag_buffer_empty(1 << 20);
    const struct argosy_node *group;
    argosy_report *report;

    (void)state;
    ag_buffer_text(&json, "{\"message\":\"many\",\"errors\":[");
    for (int i = 0; i < AG_REPORT_ERRORS + 7; i++)
        ag_buffer_printf(&json, "%s{\"type\":\"a.b\",\"message\":\"m\"}", i > 0 ? "," : "");
    ag_buffer_text(&json, "]}");
    report = report_of(ag_buffer_as_text(&json));
    group = argosy_report_root(report)->children[0];
    assert_int_equal(group->children_count, AG_REPORT_ERRORS);
    assert_int_equal(group->notes_count, 1);
    assert_string_equal(group->notes[0], "7 more are not listed");
    ag_buffer_free(&json);
    argosy_report_destroy(&report);
}

static void one_job_may_not_fill_the_report(void **state)
{
    struct ag_buffer json = ag_buffer_empty(AG_RESULT_BYTES_MAX);
    argosy_report *report;

    (void)state;
    ag_buffer_text(&json, "{\"message\":\"large\",\"errors\":[");
    for (int i = 0; i < AG_REPORT_ERRORS; i++) {
        ag_buffer_printf(&json, "%s{\"type\":\"a.b\",\"message\":\"m\",\"notes\":[",
                         i > 0 ? "," : "");
        for (int j = 0; j < 7; j++)
            ag_buffer_printf(&json, "%s\"%03500d\"", j > 0 ? "," : "", j);
        ag_buffer_text(&json, "]}");
    }
    ag_buffer_text(&json, "]}");
    report = report_of(ag_buffer_as_text(&json));
    assert_true(ag_report_bytes(report) > (1 << 19)); /* it was not thrown away */
    assert_true(ag_report_bytes(report) < (2 << 20));
    ag_buffer_free(&json);
    argosy_report_destroy(&report);
}

static void an_error_that_says_too_little_is_completed(void **state)
{
    static const char *const errors[] = {"{}",
                                         "[]",
                                         "{\"errors\":[]}",
                                         "{\"retryable\":1}",
                                         "{\"type\":\"\",\"message\":\"\"}",
                                         "{\"errors\":[{\"errors\":[]}]}"};

    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        argosy_report *report = report_of(errors[i]);
        const struct argosy_node *leaf = argosy_report_root(report)->children[0];

        if (leaf->type == ARGOSY_GROUP)
            leaf = leaf->children[0];
        assert_int_equal(leaf->type, ARGOSY_LEAF);
        assert_int_equal(leaf->count, 1);
        assert_string_equal(leaf->error_type, "handler.unknown");
        assert_string_equal(leaf->message, "failed without saying why");
        argosy_report_destroy(&report);
    }
}

static void a_job_whose_worker_was_lost_is_told_by_its_last_attempt(void **state)
{
    argosy_report *report = argosy_report_new("");
    struct ag_buffer attempts = ag_buffer_empty(4096);
    struct proto_event event = {.job = id_of(1), .state = PROTO_JOB_FAILED, .attempts_count = 1};
    const struct argosy_node *leaf;

    (void)state;
    ag_proto_append_attempt(
        &attempts, &(struct proto_attempt){.attempt = 3,
                                           .worker = ag_bytes_of_text("w-2"),
                                           .started_unix_ms = 1700000000000,
                                           .type = ag_bytes_of_text("lost.poison"),
                                           .message = ag_bytes_of_text("it lost three workers")});
    event.attempts = ag_buffer_bytes(&attempts);
    ag_report_add_event(report, &event);
    leaf = argosy_report_root(report)->children[0];
    assert_string_equal(leaf->error_type, "lost.poison");
    assert_string_equal(leaf->message, "it lost three workers");
    assert_int_equal(leaf->attempts[0].started_unix_ms, 1700000000000);
    ag_buffer_free(&attempts);
    argosy_report_destroy(&report);
}

static void a_detail_is_kept_when_it_is_a_small_map(void **state)
{
    argosy_report *report = report_of("{\"type\":\"a\",\"message\":\"m\",\"detail\":{\"n\":[1]}}");
    const struct argosy_node *leaf = argosy_report_root(report)->children[0];
    struct ag_buffer large = ag_buffer_empty(1 << 16);
    char *json = json_of(report);

    (void)state;
    assert_int_equal(leaf->detail_size, 5);
    assert_memory_equal(leaf->detail, "\x81\xa1n\x91\x01", 5);
    assert_non_null(strstr(json, "\"detail\":{\"n\":[1]}"));
    free(json);
    argosy_report_destroy(&report);
    report = report_of("{\"type\":\"a\",\"message\":\"m\",\"detail\":[1]}");
    assert_null(argosy_report_root(report)->children[0]->detail);
    argosy_report_destroy(&report);
    ag_buffer_printf(&large, "{\"type\":\"a\",\"message\":\"m\",\"detail\":{\"n\":\"%05000d\"}}",
                     1);
    report = report_of(ag_buffer_as_text(&large));
    assert_string_equal(argosy_report_root(report)->children[0]->error_type, "a");
    assert_null(argosy_report_root(report)->children[0]->detail);
    argosy_report_destroy(&report);
    ag_buffer_free(&large);
}

static void long_text_is_cut_between_characters(void **state)
{
    struct ag_buffer json = ag_buffer_empty(1 << 16);
    argosy_report *report;
    const char *message;

    (void)state;
    ag_buffer_text(&json, "{\"type\":\"a\",\"message\":\"xy");
    for (int i = 0; i < AG_REPORT_TEXT; i++)
        ag_buffer_text(&json, "\u20ac");
    ag_buffer_text(&json, "\"}");
    report = report_of(ag_buffer_as_text(&json));
    message = argosy_report_root(report)->children[0]->message;
    assert_int_equal(strlen(message), 2 + (AG_REPORT_TEXT - 2) / 3 * 3);
    assert_string_equal(message + strlen(message) - 3, "\u20ac");
    ag_buffer_free(&json);
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

static void hosts_and_subjects_are_told_without_passwords(void **state)
{
    static const struct {
        const char *subject, *host, *told;
    } cases[] = {
        {"http://a.example/x", "a.example", "http://a.example/x"},
        {"https://user:secret@b.example:8443/x?y", "b.example:8443", "https://b.example:8443/x?y"},
        {"http://u:p@ss@c.example", "c.example", "http://c.example"},
        {"http://d.example/?mail=a@b", "d.example", "http://d.example/?mail=a@b"},
        {"/a/path", "", "/a/path"},
        {"/a/http://u@b/", "", "/a/http://u@b/"},
        {"://u@b/", "", "://u@b/"},
        {"http://@", "", "http://"},
        {"http://", "", "http://"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        argosy_report *report = argosy_report_new("");
        struct ag_buffer error;
        struct proto_event event = event_of(&error, "fetch.url", "no", cases[i].subject);
        const struct argosy_node *leaf;

        assert_true(
            ag_bytes_are(ag_report_host(ag_bytes_of_text(cases[i].subject)), cases[i].host));
        ag_report_add_event(report, &event);
        leaf = argosy_report_root(report)->children[0];
        assert_string_equal(leaf->subject, cases[i].told);
        assert_string_equal(leaf->host, cases[i].host);
        ag_buffer_free(&error);
        argosy_report_destroy(&report);
    }
}

/* ---- trees deeper than one job's */

static const char nested[] =
    "{\"message\":\"2 of 9\",\"notes\":[\"a note\"],\"errors\":["
    "{\"type\":\"analyze.limit\",\"message\":\"too deep\",\"notes\":[\"of a leaf\"]},"
    "{\"message\":\"inner\",\"errors\":[{\"type\":\"analyze.source.denied\",\"message\":\"no\","
    "\"subject\":\"b.c\"}]}]}";

static void groups_in_groups_look_as_in_python(void **state)
{
    argosy_report *report = report_of(nested);
    char *text;

    (void)state;
    add(report, 2, "fetch.dns", "no such host", "http://x/");
    text = text_of(report);
    assert_string_equal(text, "  + ExceptionGroup: t (2 sub-exceptions)\n"
                              "  +-+---------------- 1 ----------------\n"
                              "    | ExceptionGroup: 2 of 9 (2 sub-exceptions)\n"
                              "    |   0100\u202601\n"
                              "    | a note\n"
                              "    +-+---------------- 1 ----------------\n"
                              "      | analyze.limit: too deep\n"
                              "      | of a leaf\n"
                              "      +---------------- 2 ----------------\n"
                              "      | ExceptionGroup: inner (1 sub-exception)\n"
                              "      +-+---------------- 1 ----------------\n"
                              "        | analyze.source.denied: no\n"
                              "        |   b.c\n"
                              "        +------------------------------------\n"
                              "    +---------------- 2 ----------------\n"
                              "    | fetch.dns: no such host\n"
                              "    |   0100\u202602 http://x/  attempt 2 of 2 on w-1\n"
                              "    |     attempt 1 on w-2: lost.worker: the worker fell silent\n"
                              "    +------------------------------------\n");
    free(text);
    argosy_report_destroy(&report);
}

static void a_split_goes_into_groups_and_drops_empty_ones(void **state)
{
    argosy_report *report = report_of(nested), *denied, *rest, *named;
    const struct argosy_node *group;

    (void)state;
    assert_ok(argosy_report_split(report, "analyze.source", &denied, &rest));
    group = argosy_report_root(denied)->children[0];
    assert_string_equal(group->message, "2 of 9");
    assert_string_equal(group->notes[0], "a note");
    assert_int_equal(group->children_count, 1);
    assert_string_equal(group->children[0]->message, "inner");
    assert_string_equal(group->children[0]->children[0]->subject, "b.c");
    group = argosy_report_root(rest)->children[0];
    assert_string_equal(group->notes[0], "a note");
    assert_int_equal(group->children_count, 1); /* without `inner`, which is empty here */
    assert_string_equal(group->children[0]->notes[0], "of a leaf");
    named = argosy_report_derive(rest, "another");
    assert_string_equal(argosy_report_root(named)->message, "another");
    assert_int_equal(leaves_of(argosy_report_root(named)), 1);
    argosy_report_destroy(&named);
    argosy_report_destroy(&denied);
    argosy_report_destroy(&rest);
    argosy_report_destroy(&report);
}

struct steps {
    unsigned left, depth_max;
};

static bool step(void *arg, const struct argosy_node *node, unsigned depth)
{
    struct steps *self = arg;

    assert_non_null(node->message);
    self->depth_max = depth > self->depth_max ? depth : self->depth_max;
    return --self->left > 0;
}

static void a_walk_meets_every_node_until_it_is_told_to_stop(void **state)
{
    argosy_report *report = report_of(nested);
    struct steps all = {.left = 100}, few = {.left = 2};

    (void)state;
    argosy_report_walk(report, step, &all);
    assert_int_equal(all.left, 100 - 5);
    assert_int_equal(all.depth_max, 3);
    argosy_report_walk(report, step, &few);
    assert_int_equal(few.left, 0);
    assert_int_equal(few.depth_max, 1);
    argosy_report_destroy(&report);
}

/* ---- the forms for programs */

static void the_json_document_has_the_stated_shape(void **state)
{
    argosy_report *report = report_of(nested), *copy;
    char *json;

    (void)state;
    copy = argosy_report_subgroup(report, "analyze.limit");
    json = json_of(copy);
    assert_string_equal(
        json, "{\"message\":\"t\",\"errors\":[{\"message\":\"2 of 9\","
              "\"job\":\"01000000000000000000000001\",\"kind\":\"analyze\",\"errors\":["
              "{\"type\":\"analyze.limit\",\"message\":\"too deep\",\"retryable\":false,"
              "\"notes\":[\"of a leaf\"]}],\"notes\":[\"a note\"]}],\"counts\":{\"total\":0,"
              "\"succeeded\":0,\"failed\":0,\"cancelled\":0,\"retried\":0,\"unconfirmed\":0},"
              "\"wall_ms\":0,"
              "\"busy_ms\":0}");
    free(json);
    argosy_report_destroy(&copy);
    argosy_report_destroy(&report);
}

/* The msgpack of a JSON text. */
static struct ag_bytes pack_report(struct ag_buffer *out, const char *json)
{
    struct argosy_error err = {0};
    json_t *value;

    assert_ok(ag_json_parse(json, strlen(json), &value, &err));
    ag_buffer_clear(out);
    assert_ok(ag_json_to_msgpack(value, out));
    json_decref(value);
    return ag_buffer_bytes(out);
}

static void what_is_no_report_is_not_read_as_one(void **state)
{
#define IN_ROOT(error) "{\"message\":\"m\",\"counts\":{},\"errors\":[" error "]}"
    static const char *const wrong[] = {
        "[]",
        "{}",
        "1",
        "{\"message\":\"m\",\"errors\":[]}", /* no counts */
        "{\"message\":\"m\",\"counts\":{}}", /* no errors */
        "{\"counts\":{},\"errors\":[]}",     /* no message */
        "{\"message\":\"m\",\"counts\":{},\"samples\":[]}",
        "{\"message\":1,\"errors\":[]}",
        "{\"message\":\"m\",\"counts\":{\"total\":-1},\"errors\":[]}",
        "{\"message\":\"m\",\"counts\":[],\"errors\":[]}",
        IN_ROOT("1"),
        IN_ROOT("{}"),
        IN_ROOT("{\"type\":\"a\"}"),
        IN_ROOT("{\"message\":\"a\"}"),
        IN_ROOT("{\"type\":\"a\",\"message\":\"m\",\"retryable\":0}"),
        IN_ROOT("{\"type\":\"a\",\"message\":\"m\",\"notes\":[1]}"),
        IN_ROOT("{\"type\":\"a\",\"message\":\"m\",\"detail\":1}"),
        IN_ROOT("{\"type\":\"a\",\"message\":\"m\",\"attempt\":4294967296}"),
        IN_ROOT("{\"type\":\"a\",\"message\":\"m\",\"attempts\":[1]}"),
        IN_ROOT("{\"type\":\"a\",\"message\":\"m\",\"samples\":[],\"errors\":[]}"),
        IN_ROOT("{\"type\":\"a\",\"message\":\"m\",\"count\":0,\"samples\":[{\"type\":\"a\","
                "\"message\":\"m\"}]}"),
        IN_ROOT("{\"type\":\"a\",\"message\":\"m\",\"count\":9,\"samples\":[{\"message\":\"m\","
                "\"errors\":[]}]}")};
    static const char *const right[] = {
        IN_ROOT(""), IN_ROOT("{\"type\":\"a\",\"message\":\"m\",\"later\":{\"x\":[1,null]}}"),
        IN_ROOT("{\"type\":\"a\",\"message\":\"m\",\"count\":9,\"samples\":[{\"type\":\"a\","
                "\"message\":\"m\"}]}")};
    struct ag_buffer buffer = ag_buffer_empty(1 << 20);
    struct argosy_error err = {0};
    argosy_report *report;
    struct ag_bytes bytes;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        bytes = pack_report(&buffer, wrong[i]);
        if (argosy_report_read_msgpack(&report, bytes.data, bytes.size, &err) != ARGOSY_EPROTO)
            fail_msg("read as a report: %s", wrong[i]);
        assert_null(report);
    }
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        bytes = pack_report(&buffer, right[i]);
        if (argosy_report_read_msgpack(&report, bytes.data, bytes.size, &err) != 0)
            fail_msg("%s: %s", right[i], err.message);
        argosy_report_destroy(&report);
    }
    assert_fails(argosy_report_read_msgpack(&report, "\xdd\xff\xff\xff\xff", 5, &err),
                 ARGOSY_EPROTO);
    assert_fails(argosy_report_read_msgpack(&report, "", 0, &err), ARGOSY_EPROTO);
    assert_fails(argosy_report_read_msgpack(&report, NULL, 0, NULL), ARGOSY_EPROTO);
    ag_buffer_free(&buffer);
}

/* A report with one list of many like items; `list` is what opens it, "" for the root's own. */
static int read_many(const char *list, const char *item, unsigned count, size_t *size)
{
    struct ag_buffer json = ag_buffer_empty(64 << 20), packed = ag_buffer_empty(64 << 20);
    argosy_report *report;
    struct ag_bytes bytes;
    int rc;

    ag_buffer_printf(&json, "{\"message\":\"m\",\"counts\":{},\"errors\":[%s", list);
    for (unsigned i = 0; i < count; i++)
        ag_buffer_printf(&json, "%s%s", i > 0 ? "," : "", item);
    ag_buffer_text(&json, list[0] != '\0' ? "]}]}" : "]}");
    bytes = pack_report(&packed, ag_buffer_as_text(&json));
    rc = argosy_report_read_msgpack(&report, bytes.data, bytes.size, NULL);
    *size = bytes.size;
    argosy_report_destroy(&report);
    ag_buffer_free(&json);
    ag_buffer_free(&packed);
    return rc;
}

static void a_reader_keeps_its_bounds(void **state)
{
    static const char leaf[] = "{\"type\":\"a\",\"message\":\"m\",\"attempts\":[";
    static const char noted[] = "{\"type\":\"a\",\"message\":\"m\",\"notes\":[";
    static const char group[] = "{\"message\":\"\",\"errors\":[]}";
    size_t size;

    (void)state;
    assert_ok(read_many(leaf, "{}", AG_ATTEMPTS_MAX + AG_LOST_MAX, &size));
    assert_fails(read_many(leaf, "{}", AG_ATTEMPTS_MAX + AG_LOST_MAX + 1, &size), ARGOSY_EPROTO);
    assert_ok(read_many(noted, "\"\"", AG_REPORT_NOTES, &size));
    assert_fails(read_many(noted, "\"\"", AG_REPORT_NOTES + 1, &size), ARGOSY_EPROTO);
    assert_ok(read_many("", group, 100000, &size));
    assert_fails(read_many("", group, 500000, &size), ARGOSY_ENOMEM);
    assert_true(size < (10 << 20));
}

/* Every beginning of a report, and each of its bytes replaced by every fifth value: refused, or
 * read as something that can be written and read again. */
static void no_change_of_a_byte_breaks_the_reader(void **state)
{
    argosy_report *report = report_of(nested), *read, *again;
    uint8_t *data, *copy;
    void *out;
    size_t size, out_size, accepted = 0;

    (void)state;
    add(report, 2, "fetch.dns", "no", "http://x/");
    add(report, 3, "fetch.dns", "no", "http://x/");
    assert_ok(argosy_report_write_msgpack(report, &out, &size));
    data = out;
    for (size_t i = 0; i < size; i++) {
        copy = malloc(i + 1); /* its own size, so that reading beyond it is seen */
        memcpy(copy, data, i);
        assert_fails(argosy_report_read_msgpack(&read, copy, i, NULL), ARGOSY_EPROTO);
        free(copy);
    }
    for (size_t i = 0; i < 256 * size; i += 5) {
        uint8_t before = data[i / 256];

        data[i / 256] = (uint8_t)i;
        if (argosy_report_read_msgpack(&read, data, size, NULL) == 0) {
            accepted++;
            assert_ok(argosy_report_write_msgpack(read, &out, &out_size));
            assert_ok(argosy_report_read_msgpack(&again, out, out_size, NULL));
            free(out);
            argosy_report_destroy(&again);
            argosy_report_destroy(&read);
        }
        data[i / 256] = before;
    }
    assert_true(accepted >= size); /* text for text is still a report */
    free(data);
    argosy_report_destroy(&report);
}

static unsigned allocations_left;

static void *scarce_malloc(size_t size)
{
    return allocations_left-- == 0 ? NULL : malloc(size);
}

/* Each allocation of the document fails once, the others do not: never half a document, never a
 * leak. */
static void a_document_is_written_whole_or_not_at_all(void **state)
{
    argosy_report *report = report_of(nested);
    unsigned failures = 0;
    int rc = ARGOSY_ENOMEM;
    char *whole, *json = NULL;
    size_t size;

    (void)state;
    add(report, 2, "fetch.dns", "no", "http://x/");
    add(report, 3, "fetch.dns", "no", "http://x/");
    ag_report_finish(report, "t\xff", &(struct argosy_counts){0}); /* escaped: a way of its own */
    whole = json_of(report);
    for (unsigned i = 0; rc == ARGOSY_ENOMEM; i++) {
        FILE *memory = open_memstream(&json, &size);

        json_set_alloc_funcs(scarce_malloc, free);
        allocations_left = i;
        rc = argosy_report_write_json(report, memory);
        json_set_alloc_funcs(malloc, free);
        fclose(memory);
        failures += rc == ARGOSY_ENOMEM;
        if (rc == 0)
            assert_string_equal(json, whole);
        free(json);
    }
    assert_ok(rc);
    assert_true(failures > 50);
    free(whole);
    argosy_report_destroy(&report);
}

static void numbers_beyond_63_bits_stay_numbers(void **state)
{
    argosy_report *report = argosy_report_new("t");
    char *json;

    (void)state;
    ag_report_finish(report, "t", &(struct argosy_counts){.wall_ms = UINT64_MAX});
    json = json_of(report);
    assert_non_null(strstr(json, "\"wall_ms\":9223372036854775807"));
    free(json);
    argosy_report_destroy(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_looks_as_people_know_it_from_python),
        cmocka_unit_test(the_three_forms_carry_the_same_facts),
        cmocka_unit_test(a_split_loses_nothing_and_keeps_the_shape),
        cmocka_unit_test(successes_and_cancels_are_no_failures),
        cmocka_unit_test(a_success_in_part_is_a_group_of_what_it_could_not_do),
        cmocka_unit_test(a_deadline_alone_is_told_as_what_it_cancelled),
        cmocka_unit_test(what_the_broker_adds_is_a_note_of_the_one_leaf),
        cmocka_unit_test(what_no_worker_described_is_named_from_its_payload),
        cmocka_unit_test(a_million_failures_make_a_small_report),
        cmocka_unit_test(what_is_not_told_apart_keeps_its_type),
        cmocka_unit_test(a_report_is_bounded_whatever_workers_write),
        cmocka_unit_test(one_job_may_list_so_many_errors_and_a_note_counts_the_rest),
        cmocka_unit_test(one_job_may_not_fill_the_report),
        cmocka_unit_test(an_error_that_says_too_little_is_completed),
        cmocka_unit_test(a_job_whose_worker_was_lost_is_told_by_its_last_attempt),
        cmocka_unit_test(a_detail_is_kept_when_it_is_a_small_map),
        cmocka_unit_test(long_text_is_cut_between_characters),
        cmocka_unit_test(hostile_text_stays_on_its_line_and_off_the_terminal),
        cmocka_unit_test(hosts_and_subjects_are_told_without_passwords),
        cmocka_unit_test(groups_in_groups_look_as_in_python),
        cmocka_unit_test(a_split_goes_into_groups_and_drops_empty_ones),
        cmocka_unit_test(a_walk_meets_every_node_until_it_is_told_to_stop),
        cmocka_unit_test(the_json_document_has_the_stated_shape),
        cmocka_unit_test(what_is_no_report_is_not_read_as_one),
        cmocka_unit_test(a_reader_keeps_its_bounds),
        cmocka_unit_test(no_change_of_a_byte_breaks_the_reader),
        cmocka_unit_test(a_document_is_written_whole_or_not_at_all),
        cmocka_unit_test(numbers_beyond_63_bits_stay_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
