#include "client/cli/progress.h"

#include <unistd.h>

#include "client/cli/amounts.h"
#include "common/clock.h"
#include "common/duration.h"

enum { DRAW_MS = 100, RATE_MS = 500 };

bool progress_is_wanted(const struct cli *cli)
{
    return ag_options_is(cli->options, AG_OPT_PROGRESS, "always") ||
           (ag_options_is(cli->options, AG_OPT_PROGRESS, "auto") && !cli->quiet &&
            isatty(STDERR_FILENO));
}

void progress_start(struct progress *self, const struct cli *cli)
{
    *self =
        (struct progress){.started_at = ag_clock_mono_ms(), .is_shown = progress_is_wanted(cli)};
}

static void put_count(const char *before, uint64_t count, const char *behind)
{
    char text[AMOUNT_SIZE];

    fprintf(stderr, "%s%s%s", before, amount_count(count, text), behind);
}

/* In a second, since the beginning. */
static void put_rates(const struct progress *self, double rate, int64_t since)
{
    char text[AMOUNT_SIZE];

    if (rate < 10)
        fprintf(stderr, "  %.1f/s", rate);
    else
        put_count("  ", (uint64_t)rate, "/s");
    if (self->bytes > 0)
        fprintf(stderr, "  %s/s", amount_bytes((double)self->bytes * 1000 / (double)since, text));
}

void progress_draw(struct progress *self, const struct argosy_counts *counts, uint64_t running,
                   bool force)
{
    int64_t now = self->is_shown ? ag_clock_mono_ms() : 0, since = now - self->started_at;
    uint64_t done = counts->succeeded + counts->failed + counts->cancelled;
    char left[AG_AMOUNT_TEXT_SIZE];
    double rate = since > 0 ? (double)done * 1000 / (double)since : 0;
    double seconds = rate > 0 ? (double)(self->total - done) / rate : 0;

    if (!self->is_shown || (!force && now - self->drawn_at < DRAW_MS))
        return;
    self->drawn_at = now;
    self->is_drawn = true;
    put_count("\r\033[K", done, "");
    if (self->total > 0) {
        put_count("/", self->total, "");
        fprintf(stderr, " %3llu%%",
                (unsigned long long)(self->total == 1 && done == 0 ? self->permille / 10
                                                                   : 100 * done / self->total));
    }
    if (since > RATE_MS && (done > 0 || self->bytes > 0))
        put_rates(self, rate, since);
    if (self->total > done && seconds >= 1)
        fprintf(stderr, "  %s left", ag_duration_print((int64_t)seconds * 1000, left));
    put_count("  ", running, " running");
    if (counts->failed > 0)
        put_count("  ", counts->failed, " failed");
    if (counts->cancelled > 0)
        put_count("  ", counts->cancelled, " cancelled");
    fflush(stderr);
}

void progress_clear(struct progress *self)
{
    if (self->is_drawn)
        fputs("\r\033[K", stderr);
    self->is_drawn = false;
}
