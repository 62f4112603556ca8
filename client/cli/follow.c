/* argosy wait, result, report: what became of batches and jobs that are at the broker already. */
#include <stdlib.h>
#include <string.h>

#include "client/cli/submission.h"
#include "common/clock.h"

enum { TICK_MS = 100, TARGETS_MAX = 1000 };

struct follow {
    struct cli *cli;
    argosy_batch **batches;
    bool *is_done;
    uint64_t *ended; /* JOB_ENDED events of each */
    struct argosy_event *last;
    size_t count, left;
    bool prints, only_looks; /* only_looks: what has ended by now is enough */
    int exit_code;
};

static size_t place_of(const struct follow *self, const argosy_batch *batch)
{
    size_t i = 0;

    while (self->batches[i] != batch)
        i++;
    return i;
}

static void worse(struct follow *self, int code)
{
    if (code > self->exit_code)
        self->exit_code = code;
}

static void done(struct follow *self, size_t place)
{
    if (!self->is_done[place])
        self->left--;
    self->is_done[place] = true;
}

static void on_event(struct follow *self, const struct argosy_event *event)
{
    size_t place;

    if (event->batch == NULL)
        return;
    place = place_of(self, event->batch);
    if (event->type == ARGOSY_JOB_ENDED) {
        self->ended[place]++;
        if (self->prints)
            print_event(self->cli, event, print_plain, self->cli->out);
        return;
    }
    self->last[place] = *event;
    if (event->type == ARGOSY_BATCH_UNKNOWN) {
        worse(self, cli_fail(self->cli, EXIT_SOME_FAILED,
                             "%s is not known to the broker (never submitted, or forgotten)",
                             argosy_batch_id(event->batch)));
        done(self, place);
    } else if (event->type == ARGOSY_BATCH_ENDED) {
        worse(self, exit_code_of(event, argosy_batch_report(event->batch)));
        done(self, place);
    } else if (self->only_looks && self->ended[place] >= event->counts.succeeded +
                                                             event->counts.failed +
                                                             event->counts.cancelled) {
        done(self, place);
    }
}

static int open_all(struct follow *self, unsigned flags)
{
    char *const *ids = ag_options_operands(self->cli->options);
    struct argosy_error err = {0};

    self->count = ag_options_operand_count(self->cli->options);
    if (self->count > TARGETS_MAX)
        return cli_fail(self->cli, EXIT_USAGE, "more than %d ids", TARGETS_MAX);
    self->left = self->count;
    self->batches = calloc(self->count, sizeof(argosy_batch *));
    self->is_done = calloc(self->count, sizeof *self->is_done);
    self->ended = calloc(self->count, sizeof *self->ended);
    self->last = calloc(self->count, sizeof *self->last);
    if (self->batches == NULL || self->is_done == NULL || self->ended == NULL || self->last == NULL)
        return cli_fail(self->cli, EXIT_USAGE, "no memory for so many ids");
    for (size_t i = 0; i < self->count; i++)
        if (argosy_watch(&self->batches[i], self->cli->client, ids[i], flags, &err) < 0)
            return cli_fail_with(self->cli, &err);
    return 0;
}

static void close_all(struct follow *self)
{
    for (size_t i = 0; self->batches != NULL && i < self->count; i++)
        argosy_batch_destroy(&self->batches[i]);
    free(self->batches);
    free(self->is_done);
    free(self->ended);
    free(self->last);
}

static int follow_all(struct follow *self)
{
    const ag_options_t *options = self->cli->options;
    bool limited = ag_options_given(options, AG_OPT_WAIT_TIMEOUT);
    int64_t until = ag_clock_mono_ms() + ag_options_ms(options, AG_OPT_WAIT_TIMEOUT);
    struct argosy_error err = {0};
    struct argosy_event event;

    /* A limit of 0 only looks, but it does look. */
    if (limited && ag_options_ms(options, AG_OPT_WAIT_TIMEOUT) == 0)
        self->only_looks = true;
    while (self->left > 0) {
        int rc = argosy_client_next(self->cli->client, TICK_MS, &event, &err);

        if (rc < 0)
            return cli_fail_with(self->cli, &err);
        if (rc > 0)
            on_event(self, &event);
        if (cli_interrupts() > 0)
            return EXIT_INTERRUPTED;
        if (limited && !self->only_looks && ag_clock_mono_ms() >= until)
            return cli_fail(self->cli, EXIT_TIMED_OUT, "%zu of %zu have not ended yet", self->left,
                            self->count);
    }
    for (size_t i = 0; limited && i < self->count; i++)
        if (self->last[i].type == ARGOSY_PROGRESS)
            worse(self, cli_fail(self->cli, EXIT_TIMED_OUT, "%s has not ended yet",
                                 argosy_batch_id(self->batches[i])));
    return self->exit_code;
}

static void print_counts(const struct follow *self, size_t i)
{
    const struct argosy_counts *counts = &self->last[i].counts;

    if (self->cli->json)
        fprintf(self->cli->out,
                "{\"id\":\"%s\",\"total\":%llu,\"succeeded\":%llu,\"failed\":%llu,"
                "\"cancelled\":%llu}\n",
                argosy_batch_id(self->batches[i]), (unsigned long long)counts->total,
                (unsigned long long)counts->succeeded, (unsigned long long)counts->failed,
                (unsigned long long)counts->cancelled);
    else
        fprintf(self->cli->out, "%s: %llu succeeded, %llu failed, %llu cancelled of %llu\n",
                argosy_batch_id(self->batches[i]), (unsigned long long)counts->succeeded,
                (unsigned long long)counts->failed, (unsigned long long)counts->cancelled,
                (unsigned long long)counts->total);
}

int cli_wait(struct cli *cli)
{
    struct follow self = {.cli = cli};
    int code = cli_connect(cli);

    cli_catch_signals();
    if (code == 0)
        code = open_all(&self, ARGOSY_WITHOUT_RESULTS);
    if (code == 0) {
        code = follow_all(&self);
        for (size_t i = 0; i < self.count; i++)
            if (self.last[i].type == ARGOSY_BATCH_ENDED)
                print_counts(&self, i);
    }
    close_all(&self);
    return code;
}

int cli_result(struct cli *cli)
{
    struct follow self = {.cli = cli, .prints = true};
    int code = cli_connect(cli);

    cli_catch_signals();
    if (code == 0)
        code = open_all(&self, 0);
    if (code == 0)
        code = follow_all(&self);
    close_all(&self);
    return code;
}

/* ---- report
 * ---------------------------------------------------------------------------------------------- */

static char *join(const char *const *words)
{
    char *text = NULL;
    size_t size;
    FILE *memory = open_memstream(&text, &size);

    for (; memory != NULL && *words != NULL; words++)
        fprintf(memory, "%s%s", *words, words[1] != NULL ? "," : "");
    if (memory != NULL)
        fclose(memory);
    return text;
}

static void write_report(const struct cli *cli, const argosy_report *report)
{
    if (cli->json) {
        argosy_report_write_json(report, cli->out);
        fputc('\n', cli->out);
    } else {
        argosy_report_write_text(report, cli->out);
    }
}

/* The part that --only and --not leave. */
static int write_part(const struct follow *self, size_t i, const char *only, const char * not )
{
    const argosy_report *report = argosy_batch_report(self->batches[i]);
    argosy_report *whole, *chosen = NULL, *rest = NULL, *named = NULL;
    char message[256];

    snprintf(message, sizeof message, "%s: %llu of %llu jobs have ended so far",
             argosy_batch_id(self->batches[i]), (unsigned long long)self->ended[i],
             (unsigned long long)self->last[i].counts.total);
    named = argosy_report_derive(report, self->last[i].type == ARGOSY_BATCH_ENDED
                                             ? argosy_report_root(report)->message
                                             : message);
    whole = named;
    if (whole != NULL && only != NULL && only[0] != '\0') {
        chosen = argosy_report_subgroup(whole, only);
        whole = chosen;
    }
    if (whole != NULL && not != NULL && not [0] != '\0') {
        argosy_report *matching;

        argosy_report_split(whole, not, &matching, &rest);
        argosy_report_destroy(&matching);
        whole = rest;
    }
    if (whole != NULL && !argosy_report_is_empty(whole))
        write_report(self->cli, whole);
    else if (self->cli->json)
        fputs("null\n", self->cli->out);
    argosy_report_destroy(&named);
    argosy_report_destroy(&chosen);
    argosy_report_destroy(&rest);
    return 0;
}

int cli_report(struct cli *cli)
{
    struct follow self = {.cli = cli, .only_looks = true};
    char *only = join(ag_options_list(cli->options, AG_OPT_ONLY, NULL));
    char *not = join(ag_options_list(cli->options, AG_OPT_NOT, NULL));
    int code = cli_connect(cli);

    cli_catch_signals();
    if (code == 0)
        code = open_all(&self, ARGOSY_WITHOUT_RESULTS);
    if (code == 0) {
        code = follow_all(&self);
        for (size_t i = 0; i < self.count; i++)
            if (self.last[i].type == ARGOSY_BATCH_ENDED || self.last[i].type == ARGOSY_PROGRESS)
                write_part(&self, i, only, not );
    }
    close_all(&self);
    free(only);
    free(not );
    return code;
}
