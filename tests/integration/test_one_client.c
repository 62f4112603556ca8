/* Two batches through one client: ten jobs beside very many are done within a second of their
 * submission. ARGOSY_MANY says how many (1,000,000 by hand; CI is content with less). */
#include <argosy/argosy.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "tests/integration/harness.h"
#include "tests/unit/cmocka_prelude.h"

static const char payload[] = "\x81\xa3url\xb2http://127.0.0.1:1";

enum { TEN = 10, WITHIN_MS = 1000 };

struct two {
    argosy_client *client;
    argosy_batch *many, *ten;
    unsigned long wanted, added, ended, ended_before_ten;
    unsigned ten_ended;
    int64_t ten_at, ten_ms;
    bool is_over;
};

static int add(argosy_batch *batch)
{
    struct argosy_job job = {
        .kind = "fetch", .payload = payload, .payload_size = sizeof payload - 1};

    return argosy_batch_add(batch, &job, NULL, NULL);
}

static void feed(struct two *self)
{
    while (self->added < self->wanted && add(self->many) == 0)
        self->added++;
    if (self->added == self->wanted)
        argosy_batch_seal(self->many);
    if (self->ten != NULL || self->ended < self->wanted / 10)
        return;
    assert_ok(argosy_batch_new(&self->ten, self->client, &(struct argosy_group){.name = "ten"},
                               ARGOSY_WITHOUT_RESULTS, NULL));
    self->ten_at = ag_clock_mono_ms();
    for (int i = 0; i < TEN; i++)
        assert_ok(add(self->ten));
    argosy_batch_seal(self->ten);
}

static void on_event(struct two *self, const struct argosy_event *event)
{
    if (event->type == ARGOSY_JOB_ENDED && event->batch == self->many)
        self->ended++;
    if (event->type == ARGOSY_JOB_ENDED && event->batch == self->ten && ++self->ten_ended == TEN) {
        self->ten_ms = ag_clock_mono_ms() - self->ten_at;
        self->ended_before_ten = self->ended;
    }
    if (event->type == ARGOSY_BATCH_ENDED && event->batch == self->many) {
        assert_int_equal(event->counts.total, self->wanted);
        self->is_over = true;
    }
}

static void ten_beside_very_many_are_done_within_a_second(void **state)
{
    const char *many = getenv("ARGOSY_MANY");
    struct two self = {.wanted = many != NULL ? strtoul(many, NULL, 10) : 30000};
    char endpoint[512];
    const char *endpoints[] = {endpoint};
    struct argosy_error err = {0};
    struct ran status;

    (void)state;
    snprintf(endpoint, sizeof endpoint, "ipc://%s", harness_path("broker"));
    START(harness_path("broker.log"), "argosy-broker", "--bind", endpoint);
    START(harness_path("worker.log"), "argosy-worker", "--connect", endpoint, "--allow-net", "any");
    assert_ok(argosy_client_new(
        &self.client, &(struct argosy_client_config){.endpoints = endpoints, .endpoints_count = 1},
        &err));
    assert_ok(argosy_batch_new(&self.many, self.client, &(struct argosy_group){.name = "many"},
                               ARGOSY_WITHOUT_RESULTS, &err));
    while (!self.is_over) {
        struct argosy_event event;
        int rc;

        feed(&self);
        for (int n = 0;
             n < 1000 && (rc = argosy_client_next(self.client, n == 0 ? 100 : 0, &event, &err)) > 0;
             n++)
            on_event(&self, &event);
        assert_true(rc >= 0);
    }
    printf("ten of %lu: %lld ms, when %lu had ended\n", self.wanted, (long long)self.ten_ms,
           self.ended_before_ten);
    assert_int_equal(self.ten_ended, TEN);
    assert_true(self.ended_before_ten < self.wanted);
    assert_true(self.ten_ms < WITHIN_MS);
    status = RUN("argosy", "status", "--json", "--connect", endpoint);
    assert_non_null(strstr(status.out, "\"unaccounted_jobs\":0"));
    ran_free(&status);
    argosy_batch_destroy(&self.ten);
    argosy_batch_destroy(&self.many);
    argosy_client_destroy(&self.client);
}

static int set_up(void **state)
{
    (void)state;
    harness_begin();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    harness_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ten_beside_very_many_are_done_within_a_second, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
