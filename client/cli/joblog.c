#include "client/cli/joblog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

enum { SEQUENCE_MAX = 100000000 };

static const char head[] =
    "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

static bool mark_done(struct joblog *self, size_t sequence)
{
    if (sequence >= self->done_count) {
        size_t size = 2 * sequence + 64;
        uint8_t *grown = realloc(self->done, size);

        if (grown == NULL)
            return false;
        memset(grown + self->done_count, 0, size - self->done_count);
        self->done = grown;
        self->done_count = size;
    }
    self->done[sequence] = 1;
    return true;
}

/* The last line about a job counts: one that failed may have succeeded in a later run. */
static int read_log(struct joblog *self, const struct cli *cli, const char *path, bool only_failed)
{
    FILE *file = fopen(path, "re");
    char line[4096];
    unsigned number = 0;

    if (file == NULL && errno == ENOENT)
        return 0; /* nothing was done yet */
    if (file == NULL)
        return cli_fail(cli, EXIT_USAGE, "--joblog: cannot read %s: %s", path, strerror(errno));
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long sequence;
        int exit_value;

        if (++number == 1)
            continue;
        if (sscanf(line, "%lu\t%*[^\t]\t%*[^\t]\t%*[^\t]\t%*[^\t]\t%*[^\t]\t%d", &sequence,
                   &exit_value) != 2 ||
            sequence == 0 || sequence > SEQUENCE_MAX) {
            fclose(file);
            return cli_fail(cli, EXIT_USAGE, "--joblog: %s:%u is not a line of a job log", path,
                            number);
        }
        if ((!only_failed || exit_value == 0) && !mark_done(self, sequence)) {
            fclose(file);
            return cli_fail(cli, EXIT_USAGE, "no memory for %s", path);
        }
    }
    fclose(file);
    return 0;
}

int joblog_open(struct joblog *self, const struct cli *cli)
{
    const char *path = ag_options_text(cli->options, AG_OPT_JOBLOG);
    bool only_failed = ag_options_flag(cli->options, AG_OPT_RESUME_FAILED);
    bool resumes = only_failed || ag_options_flag(cli->options, AG_OPT_RESUME_BATCH);
    int code = 0;

    *self = (struct joblog){0};
    if (path == NULL)
        return resumes ? cli_fail(cli, EXIT_USAGE, "--resume and --resume-failed need a --joblog")
                       : 0;
    if (resumes)
        code = read_log(self, cli, path, only_failed);
    if (code != 0)
        return code;
    self->file = fopen(path, resumes ? "ae" : "we");
    if (self->file == NULL)
        return cli_fail(cli, EXIT_USAGE, "--joblog: cannot write %s: %s", path, strerror(errno));
    setvbuf(self->file, NULL, _IOLBF, 1 << 16); /* a line at a time */
    if (ftell(self->file) == 0)
        fputs(head, self->file);
    return 0;
}

bool joblog_skips(struct joblog *self)
{
    uint64_t sequence = ++self->sequence;

    if (sequence >= self->done_count || self->done[sequence] == 0)
        return false;
    self->skipped++;
    return true;
}

bool joblog_submitted(struct joblog *self)
{
    if (self->done == NULL) /* then a job's place is its index */
        return true;
    if (self->count == self->capacity) {
        size_t capacity = 2 * self->capacity + 1024;
        uint32_t *grown = realloc(self->sequences, capacity * sizeof *grown);

        if (grown == NULL)
            return false;
        self->sequences = grown;
        self->capacity = capacity;
    }
    self->sequences[self->count++] = (uint32_t)self->sequence;
    return true;
}

uint32_t joblog_sequence(const struct joblog *self, uint32_t index)
{
    return index < self->count ? self->sequences[index] : index + 1;
}

void joblog_ended(struct joblog *self, const struct cli *cli, const struct argosy_event *event)
{
    double run_s = event->run_ms / 1000.0;

    if (self->file == NULL)
        return;
    fprintf(self->file, "%u\t%s\t%.3f\t%.3f\t0\t%zu\t%d\t%d\t%s %s\n",
            joblog_sequence(self, event->index), event->worker[0] != '\0' ? event->worker : "-",
            (double)ag_clock_unix_ms() / 1000.0 - run_s, run_s, event->result_size,
            event->state == ARGOSY_SUCCEEDED ? 0 : 1, event->state == ARGOSY_CANCELLED ? 15 : 0,
            event->kind, event->job);
    if (ferror(self->file) && !self->is_broken) {
        self->is_broken = true;
        cli_fail(cli, 0, "--joblog: cannot write: %s; the batch goes on", strerror(errno));
    }
}

int joblog_close(struct joblog *self, const struct cli *cli)
{
    int code = 0;

    if (self->file != NULL && (fclose(self->file) != 0 || self->is_broken))
        code = self->is_broken
                   ? EXIT_SOME_FAILED
                   : cli_fail(cli, EXIT_SOME_FAILED, "--joblog: cannot write: %s", strerror(errno));
    free(self->done);
    free(self->sequences);
    *self = (struct joblog){0};
    return code;
}
