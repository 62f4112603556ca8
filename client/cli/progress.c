#include "client/cli/progress.h"

#include <unistd.h>

#include "common/clock.h"
#include "common/duration.h"

enum { DRAW_MS = 100, RATE_MS = 500 };

void progress_start(struct progress *self, const struct cli *cli)
{
    bool always = ag_options_is(cli->options, AG_OPT_PROGRESS, "always");

    *self = (struct progress){.started_at = ag_clock_mono_ms()};
    self->is_shown = always || (ag_options_is(cli->options, AG_OPT_PROGRESS, "auto") &&
                                !cli->quiet && isatty(STDERR_FILENO));
}

void progress_draw(struct progress *self, const struct argosy_counts *counts, uint64_t running,
                   bool force)
{
    int64_t now = self->is_shown ? ag_clock_mono_ms() : 0, since = now - self->started_at;
    uint64_t done = counts->succeeded + counts->failed + counts->cancelled;
    char left[AG_AMOUNT_TEXT_SIZE];
    double rate = since > 0 ? (double)done * 1000 / (double)since : 0;

    if (!self->is_shown || (!force && now - self->drawn_at < DRAW_MS))
        return;
    self->drawn_at = now;
    self->is_drawn = true;
    fprintf(stderr, "\r\033[K%llu", (unsigned long long)done);
    if (self->total > 0)
        fprintf(stderr, "/%llu %3llu%%", (unsigned long long)self->total,
                (unsigned long long)(100 * done / self->total));
    if (since > RATE_MS)
        fprintf(stderr, "  %.*f/s", rate < 10 ? 1 : 0, rate);
    if (self->total > done && rate > 0)
        fprintf(stderr, "  %s left",
                ag_duration_print((int64_t)((double)(self->total - done) / rate) * 1000, left));
    fprintf(stderr, "  %llu running", (unsigned long long)running);
    if (counts->failed > 0)
        fprintf(stderr, "  %llu failed", (unsigned long long)counts->failed);
    if (counts->cancelled > 0)
        fprintf(stderr, "  %llu cancelled", (unsigned long long)counts->cancelled);
    fflush(stderr);
}

void progress_clear(struct progress *self)
{
    if (self->is_drawn)
        fputs("\r\033[K", stderr);
    self->is_drawn = false;
}
