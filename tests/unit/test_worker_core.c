/* The worker's core, told as stories, each with the trace of what it wants done;
 * test_worker_storm.c goes on from seeds.
 *
 * What the core hears and holds is written as text: "JOBS 1.1 2.1/500 3.1:b" are job 1 attempt 1,
 * job 2 with a run limit of 500 ms, and job 3 of kind b. "@7" behind an attempt is its epoch. */
#include "tests/unit/cmocka_prelude.h"

#include <stdlib.h>

#include "worker/core/wcore.h"

enum { HEARTBEAT_MS = 1000, TRACE_BYTES_MAX = 1 << 20, RUNNING_MAX = 256 };

/* ---- the stage ------------------------------------------------------------------------------- */

struct play {
    wcore_t *core;
    struct wcore_config config;
    int64_t now;
    struct proto in, out;
    struct ag_buffer said, holding;
    struct wcore_attempt *running[RUNNING_MAX];
    unsigned running_count;
};

static const struct wcore_config two_kinds = {
    .kinds_count = 2, .kinds = {{"a", 2, 1}, {"b", 1, 1}}, .heartbeat_ms = HEARTBEAT_MS};

static struct ag_id id_of(unsigned number)
{
    struct ag_id id = {0};

    for (unsigned i = 0; i < 4; i++)
        id.bytes[15 - i] = (uint8_t)(number >> (8 * i));
    return id;
}

static unsigned number_of(const struct ag_id *id)
{
    unsigned number = 0;

    for (unsigned i = 12; i < 16; i++)
        number = number << 8 | id->bytes[i];
    return number;
}

static void write_token(struct ag_buffer *out, const struct proto_token *token)
{
    ag_buffer_printf(out, " %u.%u", number_of(&token->job), token->attempt);
    if (token->epoch != 1)
        ag_buffer_printf(out, "@%u", (unsigned)token->epoch);
}

static void write_hello(struct play *self)
{
    struct ag_bytes holding;
    struct proto_token token;
    uint32_t count = 0, told;

    ag_buffer_clear(&self->holding);
    told = wcore_holding(self->core, &self->holding);
    holding = ag_buffer_bytes(&self->holding);
    ag_buffer_text(&self->said, "hello");
    for (; ag_proto_next_token(&holding, &token); count++)
        write_token(&self->said, &token);
    ag_buffer_text(&self->said, "\n");
    assert_int_equal(count, told);
}

static void write_wishes(struct play *self, unsigned wishes)
{
    if (wishes & WCORE_RECONNECT)
        ag_buffer_text(&self->said, "reconnect\n");
    if (wishes & WCORE_HELLO)
        write_hello(self);
    if (wishes & WCORE_PING)
        ag_buffer_text(&self->said, "ping\n");
    if (wishes & WCORE_BYE)
        ag_buffer_text(&self->said, "bye\n");
    if (wishes & WCORE_EXIT)
        ag_buffer_text(&self->said, "exit\n");
    if (wishes & WCORE_FATAL)
        ag_buffer_printf(&self->said, "fatal %s\n", wcore_reason(self->core));
}

static void write_results(struct play *self)
{
    static const char *const names[] = {"?", "succeeded", "failed", "cancelled", "released"};

    while (wcore_take_results(self->core, &self->out.results)) {
        ag_buffer_text(&self->said, "results");
        for (uint32_t i = 0; i < self->out.results.count; i++) {
            const struct proto_result *result = &self->out.results.items[i];

            write_token(&self->said, &result->token);
            ag_buffer_printf(&self->said, " %s", names[result->outcome]);
            if (result->type.size > 0)
                ag_buffer_printf(&self->said, " %.*s%s", AG_TEXT(result->type),
                                 result->retryable ? " retryable" : "");
        }
        ag_buffer_text(&self->said, "\n");
    }
}

static void write_credit(struct play *self)
{
    if (!wcore_take_credit(self->core, &self->out.credit))
        return;
    ag_buffer_text(&self->said, "credit");
    for (uint32_t i = 0; i < self->out.credit.count; i++)
        ag_buffer_printf(&self->said, " %.*s=%u", AG_TEXT(self->out.credit.kinds[i].name),
                         self->out.credit.kinds[i].count);
    ag_buffer_text(&self->said, "\n");
}

/* What the loop does at the end of each turn, in its order. */
static void turn(struct play *self)
{
    static const char *const reasons[] = {"?", "cancel", "timeout", "drain"};
    struct wcore_attempt *attempt;
    unsigned wishes;

    while ((attempt = wcore_next_stop(self->core)) != NULL) {
        ag_buffer_text(&self->said, "stop");
        write_token(&self->said, &attempt->token);
        ag_buffer_printf(&self->said, " %s\n", reasons[attempt->stop]);
    }
    while ((attempt = wcore_next_start(self->core, self->now)) != NULL) {
        ag_buffer_text(&self->said, "start");
        write_token(&self->said, &attempt->token);
        ag_buffer_text(&self->said, "\n");
        assert_in_range(self->running_count, 0, RUNNING_MAX - 1);
        self->running[self->running_count++] = attempt;
    }
    wishes = wcore_wishes(self->core);
    write_wishes(self, wishes);
    if (wishes & WCORE_EXIT)
        return;
    if (wcore_is_draining(self->core))
        write_credit(self);
    write_results(self);
    write_credit(self);
}

static struct play *play_of(const struct wcore_config *config)
{
    struct play *self = calloc(1, sizeof *self);

    assert_non_null(self);
    self->now = 1000;
    self->config = *config;
    self->said = ag_buffer_empty(TRACE_BYTES_MAX);
    self->holding = ag_buffer_empty(AG_MESSAGE_BYTES_MAX);
    self->core = wcore_new(config, self->now);
    assert_non_null(self->core);
    turn(self);
    return self;
}

static void play_free(struct play *self)
{
    wcore_destroy(&self->core);
    ag_buffer_free(&self->said);
    ag_buffer_free(&self->holding);
    free(self);
}

/* What was said since the last call must be exactly this. */
static void expect(struct play *self, const char *lines)
{
    assert_string_equal(ag_buffer_as_text(&self->said), lines);
    ag_buffer_clear(&self->said);
}

/* "1.2@3/400:b" */
static struct proto_job job_of(const char *word)
{
    static char kinds[AG_MESSAGE_ITEMS_MAX][8];
    static unsigned next;
    char *kind = kinds[next++ % AG_MESSAGE_ITEMS_MAX], *end;
    struct proto_job job = {.token = {.epoch = 1}};

    job.token.job = id_of((unsigned)strtoul(word, &end, 10));
    job.token.attempt = *end == '.' ? (uint32_t)strtoul(end + 1, &end, 10) : 1;
    if (*end == '@')
        job.token.epoch = strtoul(end + 1, &end, 10);
    if (*end == '/')
        job.run_ms = (uint32_t)strtoul(end + 1, &end, 10);
    snprintf(kind, sizeof kinds[0], "%s", *end == ':' ? end + 1 : "a");
    job.kind = ag_bytes_of_text(kind);
    job.payload = ag_bytes_of("\x80", 1);
    return job;
}

static void hear_words(struct play *self, char *words)
{
    char *rest, *word = strtok_r(words, " ", &rest), *item = strtok_r(NULL, " ", &rest);
    struct proto *in = &self->in;

    memset(in, 0, sizeof *in);
    if (strcmp(word, "WELCOME") == 0) {
        in->type = AG_WELCOME;
        in->welcome.heartbeat_ms = item != NULL ? (uint32_t)atoi(item) : 0;
    } else if (strcmp(word, "REJECT") == 0) {
        in->type = AG_REJECT;
        in->reject = (struct proto_reject){.type = ag_bytes_of_text(item),
                                           .message = ag_bytes_of_text("why")};
        if ((item = strtok_r(NULL, " ", &rest)) != NULL)
            in->reject.about = (uint32_t)atoi(item);
    } else if (strcmp(word, "PONG") == 0) {
        in->type = AG_PONG;
    } else if (strcmp(word, "BYE") == 0) {
        in->type = AG_BYE;
    } else if (strcmp(word, "JOBS") == 0) {
        in->type = AG_JOBS;
        for (; item != NULL; item = strtok_r(NULL, " ", &rest))
            in->jobs.items[in->jobs.count++] = job_of(item);
    } else {
        in->type = strcmp(word, "STOP") == 0 ? AG_STOP : AG_RECORDED;
        for (; item != NULL; item = strtok_r(NULL, " ", &rest))
            in->stop.items[in->stop.count++] = job_of(item).token;
    }
    wcore_on_message(self->core, self->now, in);
}

static void hears(struct play *self, const char *message)
{
    char words[1024];

    assert_in_range(strlen(message), 1, sizeof words - 1);
    snprintf(words, sizeof words, "%s", message);
    hear_words(self, words);
    turn(self);
}

static struct wcore_attempt *take_running(struct play *self, const char *word)
{
    struct proto_token token = job_of(word).token;

    for (unsigned i = 0; i < self->running_count; i++) {
        struct wcore_attempt *attempt = self->running[i];

        if (ag_id_equal(&attempt->token.job, &token.job) &&
            attempt->token.attempt == token.attempt && attempt->token.epoch == token.epoch) {
            self->running[i] = self->running[--self->running_count];
            return attempt;
        }
    }
    fail_msg("%s does not run", word);
    return NULL;
}

static void finish(struct play *self, const char *word, struct outcome *outcome)
{
    wcore_on_finished(self->core, self->now, take_running(self, word), outcome);
    turn(self);
}

static void succeeds(struct play *self, const char *word, size_t size)
{
    struct outcome outcome = {.succeeded = true,
                              .result = ag_buffer_empty(2 * AG_RESULT_BYTES_MAX)};

    if (size > 0) {
        assert_non_null(ag_buffer_reserve(&outcome.result, size));
        memset(outcome.result.data, 0xC0, size);
        outcome.result.size = size;
    }
    finish(self, word, &outcome);
}

static void fails(struct play *self, const char *word, const char *type, bool retryable)
{
    struct outcome outcome = {0};

    outcome_fail(&outcome, type, retryable, "it", "it went wrong");
    finish(self, word, &outcome);
}

/* With every timer that comes due on the way. */
static void waits(struct play *self, int64_t ms)
{
    int64_t until = self->now + ms, at;

    while ((at = wcore_deadline(self->core)) <= until) {
        if (at > self->now)
            self->now = at;
        wcore_on_timer(self->core, self->now);
        turn(self);
        assert_true(wcore_deadline(self->core) > self->now); /* else the loop would spin */
    }
    self->now = until;
}

static void leaves(struct play *self, uint32_t grace_ms)
{
    wcore_on_drain(self->core, self->now, grace_ms);
    turn(self);
}

/* With a session, and everything before it forgotten. */
static struct play *play_in_session(void)
{
    struct play *self = play_of(&two_kinds);

    hears(self, "WELCOME");
    expect(self, "hello\n"
                 "credit a=3 b=2\n");
    return self;
}

/* ---- sessions -------------------------------------------------------------------------------- */

static void a_lost_welcome_is_asked_for_again(void **state)
{
    struct play *p = play_of(&two_kinds);

    (void)state;
    expect(p, "hello\n");
    waits(p, HEARTBEAT_MS);
    expect(p, "reconnect\nhello\n");
    waits(p, HEARTBEAT_MS);
    expect(p, "reconnect\nhello\n");
    hears(p, "WELCOME");
    expect(p, "credit a=3 b=2\n");
    hears(p, "WELCOME"); /* the answer to the first one */
    expect(p, "credit a=3 b=2\n");
    play_free(p);
}

static void a_broker_that_lost_the_session_gets_one_hello(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1");
    expect(p, "start 1.1\n");
    hears(p, "REJECT rejected.session 12");
    expect(p, "hello 1.1\n");
    hears(p, "REJECT rejected.session 4"); /* for what was on its way before the HELLO */
    expect(p, "");
    succeeds(p, "1", 1); /* nobody to tell yet */
    expect(p, "");
    hears(p, "WELCOME");
    expect(p, "results 1.1 succeeded\n"
              "credit a=3 b=2\n");
    play_free(p);
}

static void a_broker_without_a_common_version_is_given_up(void **state)
{
    struct play *p = play_of(&two_kinds);

    (void)state;
    expect(p, "hello\n");
    hears(p, "REJECT rejected.version 1");
    expect(p, "fatal rejected.version: why\n");
    play_free(p);
}

static void a_role_refused_is_fatal_only_for_the_hello(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "REJECT rejected.role 10");
    expect(p, "");
    hears(p, "REJECT rejected.role 1");
    expect(p, "fatal rejected.role: why\n");
    play_free(p);
}

static void a_full_broker_is_tried_again_after_a_heartbeat(void **state)
{
    struct play *p = play_of(&two_kinds);

    (void)state;
    expect(p, "hello\n");
    hears(p, "REJECT rejected.full 1");
    waits(p, HEARTBEAT_MS - 1);
    expect(p, "");
    waits(p, 1);
    expect(p, "reconnect\nhello\n");
    play_free(p);
}

static void silence_of_three_heartbeats_makes_it_connect_anew(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    waits(p, 2 * HEARTBEAT_MS);
    expect(p, "ping\nping\n");
    hears(p, "PONG"); /* alive after all */
    waits(p, 2 * HEARTBEAT_MS);
    expect(p, "ping\nping\n");
    waits(p, HEARTBEAT_MS);
    expect(p, "reconnect\nhello\n");
    play_free(p);
}

static void the_broker_says_how_often_the_heart_beats(void **state)
{
    struct play *p = play_of(&two_kinds);

    (void)state;
    hears(p, "WELCOME 200");
    waits(p, 400);
    expect(p, "hello\ncredit a=3 b=2\nping\nping\n");
    play_free(p);
}

static void a_broker_that_says_bye_is_looked_for_after_a_heartbeat(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1");
    hears(p, "BYE");
    waits(p, HEARTBEAT_MS - 1);
    expect(p, "start 1.1\n");
    waits(p, 1);
    expect(p, "reconnect\nhello 1.1\n");
    play_free(p);
}

static void jobs_go_on_through_an_outage_and_are_delivered_afterwards(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1 2 3");
    expect(p, "start 1.1\nstart 2.1\n");
    waits(p, 3 * HEARTBEAT_MS);
    expect(p, "ping\nping\nreconnect\nhello 1.1 2.1 3.1\n");
    succeeds(p, "1", 1); /* the read-ahead keeps the slot busy */
    expect(p, "start 3.1\n");
    waits(p, HEARTBEAT_MS);
    expect(p, "reconnect\nhello 1.1 2.1 3.1\n");
    hears(p, "WELCOME");
    expect(p, "results 1.1 succeeded\ncredit a=3 b=2\n");
    play_free(p);
}

/* ---- jobs and results ------------------------------------------------------------------------ */

static void jobs_begin_as_slots_allow_each_kind_for_itself(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1 2 3 4:b 5:b");
    expect(p, "start 1.1\nstart 2.1\nstart 4.1\n");
    fails(p, "4", "fetch.dns", true);
    expect(p, "start 5.1\nresults 4.1 failed fetch.dns retryable\n");
    succeeds(p, "2", 1);
    expect(p, "start 3.1\nresults 2.1 succeeded\n");
    play_free(p);
}

static void a_job_said_again_is_ignored_in_every_state(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1 2 3 1");
    expect(p, "start 1.1\nstart 2.1\n");
    succeeds(p, "1", 1);
    expect(p, "start 3.1\nresults 1.1 succeeded\n");
    hears(p, "JOBS 1 2 3");
    expect(p, "");
    hears(p, "RECORDED 1");
    hears(p, "JOBS 1.2"); /* another attempt is another thing */
    succeeds(p, "2", 1);
    expect(p, "start 1.2\nresults 2.1 succeeded\n");
    play_free(p);
}

static void attempts_of_two_epochs_are_two(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1.1");
    hears(p, "JOBS 1.1@2");
    expect(p, "start 1.1\nstart 1.1@2\n");
    hears(p, "STOP 1.1"); /* the broker's new life does not know the old one */
    expect(p, "stop 1.1 cancel\n");
    succeeds(p, "1.1", 1);
    succeeds(p, "1.1@2", 1);
    expect(p, "results 1.1 cancelled\nresults 1.1@2 succeeded\n");
    play_free(p);
}

static void a_kind_it_does_not_offer_is_answered(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1:video 2");
    expect(p, "start 2.1\nresults 1.1 failed rejected.kind\n");
    hears(p, "RECORDED 1");
    hears(p, "REJECT rejected.session");
    expect(p, "hello 2.1\n");
    play_free(p);
}

static void a_result_is_sent_again_in_every_session_until_it_is_recorded(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1");
    succeeds(p, "1", 1);
    expect(p, "start 1.1\nresults 1.1 succeeded\n");
    for (int i = 0; i < 2; i++) {
        hears(p, "REJECT rejected.session");
        hears(p, "WELCOME");
        expect(p, "hello 1.1\nresults 1.1 succeeded\ncredit a=3 b=2\n");
    }
    hears(p, "RECORDED 1");
    hears(p, "RECORDED 1 7"); /* once more, and one that was never here */
    hears(p, "REJECT rejected.session");
    hears(p, "WELCOME");
    expect(p, "hello\ncredit a=3 b=2\n");
    play_free(p);
}

static void recorded_does_not_end_what_still_runs(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1");
    hears(p, "RECORDED 1");
    succeeds(p, "1", 1);
    expect(p, "start 1.1\nresults 1.1 succeeded\n");
    play_free(p);
}

static void what_could_not_be_sent_is_said_again(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1");
    succeeds(p, "1", 1);
    expect(p, "start 1.1\nresults 1.1 succeeded\n");
    wcore_on_unsent(p->core);
    turn(p);
    expect(p, "results 1.1 succeeded\ncredit a=3 b=2\n");
    play_free(p);
}

/* The result that the broker would get for job 1. */
static const struct proto_result *result_of(struct play *self)
{
    wcore_on_unsent(self->core);
    assert_true(wcore_take_results(self->core, &self->out.results));
    assert_int_equal(self->out.results.count, 1);
    return &self->out.results.items[0];
}

static void a_failure_carries_its_type_message_and_times(void **state)
{
    struct play *p = play_in_session();
    struct outcome outcome = {0};
    const struct proto_result *result;

    (void)state;
    hears(p, "JOBS 8 9 1");
    waits(p, 40);
    succeeds(p, "8", 1);
    hears(p, "RECORDED 8");
    waits(p, 70);
    outcome_fail(&outcome, "fetch.http.server.503", true, "http://x/", "Service Unavailable");
    outcome.retry_after_ms = 5000;
    finish(p, "1", &outcome);
    assert_null(outcome.error.data); /* it is the core's now */
    result = result_of(p);
    assert_int_equal(result->outcome, PROTO_FAILED);
    assert_true(ag_bytes_are(result->type, "fetch.http.server.503"));
    assert_true(ag_bytes_are(result->message, "Service Unavailable"));
    assert_true(result->retryable);
    assert_int_equal(result->retry_after_ms, 5000);
    assert_int_equal(result->wait_ms, 40);
    assert_int_equal(result->run_ms, 70);
    assert_true(result->error.size > 0);
    assert_null(result->result.data);
    play_free(p);
}

static void a_success_may_carry_an_error_beside_its_result(void **state)
{
    struct play *p = play_in_session();
    struct outcome outcome = {0};
    const struct proto_result *result;

    (void)state;
    hears(p, "JOBS 1");
    outcome_fail(&outcome, "analyze.source.denied", false, "/x", "Permission denied");
    outcome.succeeded = true;
    outcome.result = ag_buffer_empty(AG_RESULT_BYTES_MAX);
    ag_buffer_append(&outcome.result, "\x80", 1);
    finish(p, "1", &outcome);
    result = result_of(p);
    assert_int_equal(result->outcome, PROTO_SUCCEEDED);
    assert_int_equal(result->result.size, 1);
    assert_true(result->error.size > 0);
    assert_int_equal(result->type.size, 0);
    play_free(p);
}

static void a_result_over_the_limit_is_a_typed_failure(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1 2");
    succeeds(p, "1", AG_RESULT_BYTES_MAX);
    succeeds(p, "2", AG_RESULT_BYTES_MAX + 1);
    expect(p, "start 1.1\nstart 2.1\nresults 1.1 succeeded\nresults 2.1 failed handler.result\n");
    play_free(p);
}

static void a_handler_that_says_nothing_is_a_typed_failure(void **state)
{
    struct play *p = play_in_session();
    struct outcome outcome = {0};

    (void)state;
    hears(p, "JOBS 1");
    finish(p, "1", &outcome);
    expect(p, "start 1.1\nresults 1.1 failed handler.unknown\n");
    play_free(p);
}

static void a_message_that_is_cut_ends_with_a_whole_character(void **state)
{
    char text[300] = ""; /* of two-byte characters: the cut after 255 bytes would go through one */
    struct play *p = play_in_session();
    struct outcome outcome = {0};
    const struct proto_result *result;

    (void)state;
    for (size_t i = 0; i < 140; i++)
        memcpy(text + 2 * i, "\xC3\xA4", 2);
    outcome_fail(&outcome, "handler.x", false, NULL, "%s", text);
    hears(p, "JOBS 1");
    finish(p, "1", &outcome);
    result = result_of(p);
    assert_int_equal(result->message.size, 254);
    assert_memory_equal(result->message.data, text, 254);
    play_free(p);
}

static void a_note_that_is_cut_ends_with_a_whole_character(void **state)
{
    char note[200] = ""; /* of two-byte characters: the cut after 127 bytes would go through one */
    struct play *p = play_in_session();
    const struct proto_progress_item *item = &p->out.progress.items[0];

    (void)state;
    for (size_t i = 0; i < 90; i++)
        memcpy(note + 2 * i, "\xC3\xA4", 2);
    hears(p, "JOBS 1");
    wcore_on_progress(p->core, p->running[0], 500, note, (struct ag_bytes){0});
    assert_true(wcore_take_progress(p->core, &p->out.progress));
    assert_int_equal(item->note.size, 126);
    assert_memory_equal(item->note.data, note, 126);
    wcore_on_progress(p->core, p->running[0], 500, note + 54, (struct ag_bytes){0});
    assert_true(wcore_take_progress(p->core, &p->out.progress));
    assert_int_equal(item->note.size, 126); /* whole, it just fits */
    play_free(p);
}

/* ---- stopping -------------------------------------------------------------------------------- */

static void a_run_limit_stops_and_counts_from_the_begin(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1 2 3/300 4/400:b");
    expect(p, "start 1.1\nstart 2.1\nstart 4.1\n");
    waits(p, 399);
    succeeds(p, "1", 1);
    hears(p, "PONG");
    expect(p, "start 3.1\nresults 1.1 succeeded\n");
    waits(p, 1);
    expect(p, "stop 4.1 timeout\n");
    waits(p, 298);
    expect(p, "");
    waits(p, 1);
    expect(p, "stop 3.1 timeout\n");
    fails(p, "3", "fetch.aborted", false); /* whatever it says of its end */
    succeeds(p, "4", 1);
    expect(p, "results 3.1 failed timeout.run retryable\n"
              "results 4.1 failed timeout.run retryable\n");
    play_free(p);
}

static void a_job_that_ends_in_time_is_not_stopped(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1/400");
    succeeds(p, "1", 1);
    waits(p, 500);
    expect(p, "start 1.1\nresults 1.1 succeeded\n");
    play_free(p);
}

static void a_cancel_before_the_begin_is_confirmed_at_once(void **state)
{
    struct play *p = play_in_session();
    struct wcore_counts counts;

    (void)state;
    hears(p, "JOBS 1 2 3");
    hears(p, "STOP 3");
    expect(p, "start 1.1\nstart 2.1\nresults 3.1 cancelled\n");
    wcore_count(p->core, &counts);
    assert_int_equal(counts.queued, 0);
    assert_int_equal(counts.unrecorded, 1);
    hears(p, "STOP 3");
    succeeds(p, "1", 1);
    expect(p, "results 1.1 succeeded\n");
    play_free(p);
}

static void a_cancel_while_it_runs_is_told_once_and_confirmed_at_its_end(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1");
    hears(p, "STOP 1");
    hears(p, "STOP 1 1");
    expect(p, "start 1.1\nstop 1.1 cancel\n");
    succeeds(p, "1", 1); /* too late: a cancelled job never turns into a success */
    expect(p, "results 1.1 cancelled\n");
    assert_null(result_of(p)->result.data);
    play_free(p);
}

static void a_cancel_after_the_end_changes_nothing(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1");
    succeeds(p, "1", 1);
    hears(p, "STOP 1");
    expect(p, "start 1.1\nresults 1.1 succeeded\n");
    assert_int_equal(result_of(p)->outcome, PROTO_SUCCEEDED);
    hears(p, "RECORDED 1");
    hears(p, "STOP 1 99");
    expect(p, "credit a=3 b=2\n");
    play_free(p);
}

static void a_cancel_overrules_a_timeout_but_not_the_other_way(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1/100 2/200");
    waits(p, 100);
    expect(p, "start 1.1\nstart 2.1\nstop 1.1 timeout\n");
    hears(p, "STOP 1 2");
    waits(p, 200);
    expect(p, "stop 1.1 cancel\nstop 2.1 cancel\n");
    succeeds(p, "1", 1);
    succeeds(p, "2", 1);
    expect(p, "results 1.1 cancelled\nresults 2.1 cancelled\n");
    play_free(p);
}

/* ---- leaving --------------------------------------------------------------------------------- */

static void an_idle_worker_leaves_at_once(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    leaves(p, 30000);
    expect(p, "bye\nexit\n");
    play_free(p);
}

static void leaving_takes_no_more_hands_back_and_lets_the_running_end(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1 2 3 4:b 5:b");
    expect(p, "start 1.1\nstart 2.1\nstart 4.1\n");
    leaves(p, 900);
    expect(p, "credit a=0 b=0\nresults 3.1 released 5.1 released\n");
    hears(p, "JOBS 6"); /* it was on its way */
    expect(p, "results 6.1 released\n");
    hears(p, "RECORDED 3 5 6");
    waits(p, 800);
    succeeds(p, "1", 1);
    fails(p, "2", "fetch.dns", false);
    succeeds(p, "4", 1);
    expect(p, "results 1.1 succeeded\nresults 2.1 failed fetch.dns\nresults 4.1 succeeded\n");
    hears(p, "RECORDED 1 2");
    expect(p, "");
    hears(p, "RECORDED 4");
    expect(p, "bye\nexit\n");
    play_free(p);
}

static void what_runs_beyond_the_grace_is_stopped_and_handed_back(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1 2 3:b");
    leaves(p, 500);
    hears(p, "STOP 3");
    expect(p, "start 1.1\nstart 2.1\nstart 3.1\ncredit a=0 b=0\nstop 3.1 cancel\n");
    waits(p, 500);
    expect(p, "stop 1.1 drain\nstop 2.1 drain\n");
    fails(p, "1", "fetch.aborted", false);
    succeeds(p, "2", 1); /* it made it after all */
    fails(p, "3", "fetch.aborted", false);
    expect(p, "results 1.1 released\nresults 2.1 succeeded\nresults 3.1 cancelled\n");
    hears(p, "RECORDED 1 2 3");
    expect(p, "bye\nexit\n");
    play_free(p);
}

/* Else the broker would give it to this worker again. */
static void what_is_stuck_makes_it_take_no_more_before_it_hands_back(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1/100 2 3");
    waits(p, 101); /* the limit, and no grace */
    expect(p, "start 1.1\nstart 2.1\nstop 1.1 timeout\n");
    for (int64_t ms = 0; ms < WCORE_STUCK_MS - HEARTBEAT_MS; ms += HEARTBEAT_MS) {
        waits(p, HEARTBEAT_MS);
        hears(p, "PONG");
        expect(p, "ping\n");
    }
    waits(p, HEARTBEAT_MS);
    expect(p, "ping\ncredit a=0 b=0\nresults 3.1 released\n");
    play_free(p);
}

/* The same of a broker that says DRAIN, also when the pipe is full in between. */
static void nothing_is_handed_back_before_the_credit_is(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1 2 3");
    expect(p, "start 1.1\nstart 2.1\n");
    wcore_on_drain(p->core, p->now, 900);
    assert_false(wcore_take_results(p->core, &p->out.results));
    assert_true(wcore_take_credit(p->core, &p->out.credit));
    assert_true(wcore_take_results(p->core, &p->out.results));
    wcore_on_unsent(p->core);
    assert_false(wcore_take_results(p->core, &p->out.results));
    turn(p);
    expect(p, "credit a=0 b=0\nresults 3.1 released\n");
    play_free(p);
}

static void a_broker_that_does_not_record_holds_nobody_for_ever(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1");
    leaves(p, 500);
    succeeds(p, "1", 1);
    expect(p, "start 1.1\ncredit a=0 b=0\nresults 1.1 succeeded\n");
    waits(p, 500 + WCORE_SILENT_BEATS * HEARTBEAT_MS);
    expect(p, "ping\nping\nreconnect\nhello 1.1\nexit\n");
    play_free(p);
}

static void asked_again_to_leave_it_leaves_sooner_but_never_later(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1 2");
    leaves(p, 900);
    leaves(p, 5000);
    waits(p, 100);
    expect(p, "start 1.1\nstart 2.1\ncredit a=0 b=0\n");
    leaves(p, 0);
    waits(p, 0);
    expect(p, "stop 1.1 drain\nstop 2.1 drain\n");
    play_free(p);
}

static void leaving_during_an_outage_still_tells_the_broker_when_it_is_back(void **state)
{
    struct play *p = play_in_session();

    (void)state;
    hears(p, "JOBS 1");
    hears(p, "BYE");
    leaves(p, 30000);
    succeeds(p, "1", 1);
    waits(p, HEARTBEAT_MS);
    expect(p, "start 1.1\nreconnect\nhello 1.1\n");
    hears(p, "WELCOME");
    expect(p, "credit a=0 b=0\nresults 1.1 succeeded\n");
    hears(p, "RECORDED 1");
    expect(p, "bye\nexit\n");
    play_free(p);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

static struct play *play_wide(uint32_t slots)
{
    const struct wcore_config config = {
        .kinds_count = 1, .kinds = {{"a", slots, 0}}, .heartbeat_ms = HEARTBEAT_MS};
    struct play *self = play_of(&config);

    hears(self, "WELCOME");
    ag_buffer_clear(&self->said);
    return self;
}

/* Jobs first .. first + count - 1 of kind "a" or another. */
static void hears_jobs(struct play *self, unsigned first, unsigned count, const char *kind)
{
    for (unsigned at = first; at < first + count;) {
        struct proto *in = &self->in;

        *in = (struct proto){.type = AG_JOBS};
        for (; at < first + count && in->jobs.count < AG_MESSAGE_ITEMS_MAX; at++)
            in->jobs.items[in->jobs.count++] =
                (struct proto_job){.token = {.job = id_of(at), .epoch = 1, .attempt = 1},
                                   .kind = ag_bytes_of_text(kind)};
        wcore_on_message(self->core, self->now, in);
    }
}

static void results_travel_in_messages_of_a_bounded_size(void **state)
{
    struct play *p = play_wide(RUNNING_MAX);
    const size_t half = AG_MESSAGE_BYTES_FULL / 2;
    struct outcome small = {.succeeded = true};
    unsigned sizes[4], count = 0;

    (void)state;
    hears_jobs(p, 1, 100, "a");
    turn(p);
    while (p->running_count > 0)
        wcore_on_finished(p->core, p->now, p->running[--p->running_count], &small);
    while (wcore_take_results(p->core, &p->out.results) && count < 4)
        sizes[count++] = p->out.results.count;
    assert_int_equal(count, 2);
    assert_int_equal(sizes[0], AG_MESSAGE_ITEMS_MAX);
    assert_int_equal(sizes[1], 100 - AG_MESSAGE_ITEMS_MAX);
    play_free(p);

    p = play_in_session();
    hears(p, "JOBS 1 2 3");
    hears(p, "BYE"); /* so that they wait for the next session together */
    succeeds(p, "1", half);
    succeeds(p, "2", half);
    succeeds(p, "3", half);
    hears(p, "JOBS 4");
    succeeds(p, "4", 3 * half);
    ag_buffer_clear(&p->said);
    hears(p, "WELCOME");
    expect(p, "results 1.1 succeeded 2.1 succeeded\n"
              "results 3.1 succeeded\n"
              "results 4.1 succeeded\n"
              "credit a=3 b=2\n");
    play_free(p);
}

static void too_many_bytes_of_unrecorded_results_stop_the_credit(void **state)
{
    enum { BIG = AG_RESULT_BYTES_MAX, COUNT = WCORE_RESULTS_HELD_MAX / BIG };
    struct play *p = play_wide(COUNT + 1);
    char word[16];

    (void)state;
    hears_jobs(p, 1, COUNT + 1, "a");
    turn(p);
    for (unsigned i = 1; i <= COUNT; i++) {
        snprintf(word, sizeof word, "%u", i);
        succeeds(p, word, BIG);
    }
    ag_buffer_clear(&p->said);
    succeeds(p, "9", 1);
    expect(p, "results 9.1 succeeded\ncredit a=0\n");
    hears(p, "RECORDED 1 2 3 9");
    expect(p, "");
    hears(p, "RECORDED 4 5");
    expect(p, "credit a=9\n");
    play_free(p);
}

static void too_many_unrecorded_results_stop_the_credit(void **state)
{
    struct play *p = play_wide(5);

    (void)state;
    hears_jobs(p, 1, WCORE_UNRECORDED_MAX, "video");
    turn(p);
    ag_buffer_clear(&p->said);
    hears(p, "JOBS 100000:video");
    expect(p, "results 100000.1 failed rejected.kind\ncredit a=0\n");
    for (unsigned i = 1; i <= WCORE_UNRECORDED_MAX / 2; i++) {
        p->in = (struct proto){.type = AG_RECORDED, .recorded = {.count = 1}};
        p->in.recorded.items[0] = (struct proto_token){.job = id_of(i), .epoch = 1, .attempt = 1};
        wcore_on_message(p->core, p->now, &p->in);
    }
    turn(p);
    expect(p, "");
    hears(p, "RECORDED 100000 4096");
    expect(p, "credit a=5\n");
    play_free(p);
}

static void it_never_holds_more_than_a_hello_can_list(void **state)
{
    struct play *p = play_wide(1);
    struct ag_buffer frame = ag_buffer_empty(AG_MESSAGE_BYTES_MAX);
    struct argosy_error err = {0};

    (void)state;
    hears_jobs(p, 1, AG_SLOTS_MAX, "video");
    assert_int_equal(wcore_wishes(p->core), 0);
    hears_jobs(p, AG_SLOTS_MAX + 1, 1, "a"); /* not taken: the HELLO tells the broker so */
    assert_int_equal(wcore_wishes(p->core), WCORE_RECONNECT | WCORE_HELLO);
    assert_null(wcore_next_start(p->core, p->now));
    ag_buffer_clear(&p->holding);
    p->out = (struct proto){.type = AG_HELLO,
                            .hello = {.speaks_ours = true,
                                      .role = PROTO_WORKER,
                                      .name = ag_bytes_of_text("w"),
                                      .software = ag_bytes_of_text("test"),
                                      .host = ag_bytes_of_text("here")}};
    p->out.hello.holding_count = wcore_holding(p->core, &p->holding);
    p->out.hello.holding = ag_buffer_bytes(&p->holding);
    assert_int_equal(p->out.hello.holding_count, AG_SLOTS_MAX);
    ag_proto_encode(&frame, &p->out);
    assert_false(frame.failed);
    if (ag_proto_decode(ag_buffer_bytes(&frame), &p->in, &err) < 0)
        fail_msg("the broker would refuse the HELLO: %s", err.message);
    assert_int_equal(p->in.hello.holding_count, AG_SLOTS_MAX);
    ag_buffer_free(&frame);
    play_free(p);
}

static void what_is_held_is_counted(void **state)
{
    struct play *p = play_in_session();
    struct wcore_counts counts;

    (void)state;
    hears(p, "JOBS 1 2 3 4:b 5:video");
    succeeds(p, "4", 10);
    wcore_count(p->core, &counts);
    assert_int_equal(counts.queued, 1);
    assert_int_equal(counts.running, 2);
    assert_int_equal(counts.unrecorded, 2);
    assert_true(counts.results_bytes > 10);
    assert_true(counts.is_open);
    assert_false(counts.is_draining);
    play_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_welcome_is_asked_for_again),
        cmocka_unit_test(a_broker_that_lost_the_session_gets_one_hello),
        cmocka_unit_test(a_broker_without_a_common_version_is_given_up),
        cmocka_unit_test(a_role_refused_is_fatal_only_for_the_hello),
        cmocka_unit_test(a_full_broker_is_tried_again_after_a_heartbeat),
        cmocka_unit_test(silence_of_three_heartbeats_makes_it_connect_anew),
        cmocka_unit_test(the_broker_says_how_often_the_heart_beats),
        cmocka_unit_test(a_broker_that_says_bye_is_looked_for_after_a_heartbeat),
        cmocka_unit_test(jobs_go_on_through_an_outage_and_are_delivered_afterwards),
        cmocka_unit_test(jobs_begin_as_slots_allow_each_kind_for_itself),
        cmocka_unit_test(a_job_said_again_is_ignored_in_every_state),
        cmocka_unit_test(attempts_of_two_epochs_are_two),
        cmocka_unit_test(a_kind_it_does_not_offer_is_answered),
        cmocka_unit_test(a_result_is_sent_again_in_every_session_until_it_is_recorded),
        cmocka_unit_test(recorded_does_not_end_what_still_runs),
        cmocka_unit_test(what_could_not_be_sent_is_said_again),
        cmocka_unit_test(a_failure_carries_its_type_message_and_times),
        cmocka_unit_test(a_success_may_carry_an_error_beside_its_result),
        cmocka_unit_test(a_result_over_the_limit_is_a_typed_failure),
        cmocka_unit_test(a_handler_that_says_nothing_is_a_typed_failure),
        cmocka_unit_test(a_message_that_is_cut_ends_with_a_whole_character),
        cmocka_unit_test(a_note_that_is_cut_ends_with_a_whole_character),
        cmocka_unit_test(a_run_limit_stops_and_counts_from_the_begin),
        cmocka_unit_test(a_job_that_ends_in_time_is_not_stopped),
        cmocka_unit_test(a_cancel_before_the_begin_is_confirmed_at_once),
        cmocka_unit_test(a_cancel_while_it_runs_is_told_once_and_confirmed_at_its_end),
        cmocka_unit_test(a_cancel_after_the_end_changes_nothing),
        cmocka_unit_test(a_cancel_overrules_a_timeout_but_not_the_other_way),
        cmocka_unit_test(an_idle_worker_leaves_at_once),
        cmocka_unit_test(leaving_takes_no_more_hands_back_and_lets_the_running_end),
        cmocka_unit_test(what_runs_beyond_the_grace_is_stopped_and_handed_back),
        cmocka_unit_test(what_is_stuck_makes_it_take_no_more_before_it_hands_back),
        cmocka_unit_test(nothing_is_handed_back_before_the_credit_is),
        cmocka_unit_test(a_broker_that_does_not_record_holds_nobody_for_ever),
        cmocka_unit_test(asked_again_to_leave_it_leaves_sooner_but_never_later),
        cmocka_unit_test(leaving_during_an_outage_still_tells_the_broker_when_it_is_back),
        cmocka_unit_test(results_travel_in_messages_of_a_bounded_size),
        cmocka_unit_test(too_many_bytes_of_unrecorded_results_stop_the_credit),
        cmocka_unit_test(too_many_unrecorded_results_stop_the_credit),
        cmocka_unit_test(it_never_holds_more_than_a_hello_can_list),
        cmocka_unit_test(what_is_held_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
