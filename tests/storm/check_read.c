/* The logs of a storm. A line is a letter, a time, and what the letter asks for:
 *
 *     storm.*   O offset | Q | L epoch start end | K broker|worker|client number | E what
 *     client.*  S key | I key id | A id | P batch | R id state attempt hash | X error | C
 * (dis)connected worker.*  B|D|F|H id epoch attempt key|hash
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/storm/check_data.h"

typedef void line_fn(struct data *self, char letter, int64_t at, const char *rest, unsigned number);

static struct job *job_of_text(struct data *self, const char *text)
{
    struct ag_id id;

    return ag_id_parse(text, &id, NULL) < 0 ? NULL : job_at(self, &id);
}

/* ---- the supervisor's --------------------------------------------------------------------------
 */

static void on_kill(struct data *self, int64_t at, const char *what, size_t number)
{
    if (strcmp(what, "broker") == 0)
        times_add(&self->broker_kills, at);
    if (strcmp(what, "client") == 0)
        times_add(&self->client_kills, at);
    if (strcmp(what, "worker") != 0)
        return;
    times_add(&self->worker_kills, at);
    if (number >= self->killed_count) {
        self->killed = realloc(self->killed, (number + 1) * sizeof *self->killed);
        if (self->killed == NULL)
            abort();
        memset(self->killed + self->killed_count, 0,
               (number + 1 - self->killed_count) * sizeof *self->killed);
        self->killed_count = number + 1;
    }
    self->killed[number] = true;
}

static void on_storm_line(struct data *self, char letter, int64_t at, const char *rest,
                          unsigned number)
{
    struct life life;
    char what[16];

    if (letter == 'O') {
        self->begin = at;
        self->unix_offset = strtoll(rest, NULL, 10);
    } else if (letter == 'Q') {
        self->quiet = at;
    } else if (letter == 'E') {
        violate(self, RULE_CX, "%s", rest);
    } else if (letter == 'K' && sscanf(rest, "%15s %u", what, &number) == 2) {
        on_kill(self, at, what, number);
    } else if (letter == 'L' && sscanf(rest, "%" SCNu64 " %" SCNd64 " %" SCNd64, &life.epoch,
                                       &life.start, &life.end) == 3) {
        self->lives = one_more(self->lives, self->lives_count, sizeof life);
        self->lives[self->lives_count++] = life;
    }
}

/* ---- a client's --------------------------------------------------------------------------------
 */

static void on_id(struct data *self, uint64_t key, const char *id)
{
    struct want *want = want_at(self, key, false);
    struct job *job = job_of_text(self, id);

    if (want == NULL || job == NULL)
        return;
    if (want->job != NULL || job->has_key)
        violate(self, RULE_C6, "key %" PRIx64 " and id %s are used again", key, id);
    want->job = job;
    job->key = key;
    job->has_key = true;
}

static void on_ack(struct data *self, int64_t at, const char *id)
{
    struct job *job = job_of_text(self, id);

    if (job == NULL)
        return;
    self->report->acked += !job->acked;
    job->acked = true;
    times_add(&self->acks, at);
}

static void on_promise(struct data *self, const char *text)
{
    struct ag_id id;

    if (ag_id_parse(text, &id, NULL) == 0)
        batch_at(self, &id, true);
}

static void on_seen(struct data *self, const char *id, int state, uint64_t hash)
{
    struct job *job = job_of_text(self, id);

    if (job == NULL)
        return;
    if (job->seen > 0)
        violate(self, RULE_C5, "the end of %s was told twice (%d and %d)", id, job->seen_state,
                state);
    job->seen++;
    job->seen_state = state;
    job->seen_hash = hash;
    self->report->results_seen++;
}

static void on_client_line(struct data *self, char letter, int64_t at, const char *rest,
                           unsigned number)
{
    uint64_t key, hash;
    unsigned attempt;
    char id[32];
    int state;

    (void)number;
    if (letter == 'S' && sscanf(rest, "%" SCNx64, &key) == 1) {
        want_at(self, key, true);
    } else if (letter == 'I' && sscanf(rest, "%" SCNx64 " %31s", &key, id) == 2) {
        on_id(self, key, id);
    } else if (letter == 'A' && sscanf(rest, "%31s", id) == 1) {
        on_ack(self, at, id);
    } else if (letter == 'R' &&
               sscanf(rest, "%31s %d %u %" SCNx64, id, &state, &attempt, &hash) == 4) {
        on_seen(self, id, state, hash);
    } else if (letter == 'P' && sscanf(rest, "%31s", id) == 1) {
        on_promise(self, id);
    } else if (letter == 'X') {
        violate(self, RULE_C5, "a client was told: %s", rest);
    }
}

/* ---- a worker's --------------------------------------------------------------------------------
 */

static struct run *run_of(struct job *job, const struct storm_token *token, unsigned worker)
{
    struct run *run = job->runs;

    while (run != NULL && (run->token.epoch != token->epoch ||
                           run->token.attempt != token->attempt || run->worker != worker))
        run = run->next;
    if (run != NULL)
        return run;
    run = calloc(1, sizeof *run);
    if (run == NULL)
        abort();
    *run = (struct run){.next = job->runs, .token = *token, .worker = worker};
    job->runs = run;
    return run;
}

static void on_worker_line(struct data *self, char letter, int64_t at, const char *rest,
                           unsigned number)
{
    struct storm_token token;
    struct job *job;
    struct run *run;
    uint64_t last;
    char id[32];

    (void)at;
    if (sscanf(rest, "%31s %" SCNu64 " %u %" SCNx64, id, &token.epoch, &token.attempt, &last) !=
            4 ||
        (job = job_of_text(self, id)) == NULL)
        return;
    run = run_of(job, &token, number);
    if (letter == 'B') {
        run->begun++;
        self->report->executions++;
        return;
    }
    run->end = letter;
    if (letter == 'D')
        run->hash = last;
}

/* ---- files -------------------------------------------------------------------------------------
 */

static int read_file(struct data *self, const char *path, unsigned number, line_fn *take)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t size;

    if (file == NULL) {
        perror(path);
        return -1;
    }
    while ((size = getline(&line, &room, file)) > 0) {
        char *rest = line + 2;
        int64_t at;

        if (line[size - 1] != '\n') /* it was killed while it wrote */
            break;
        line[size - 1] = '\0';
        if (size < 4)
            continue;
        at = strtoll(rest, &rest, 10);
        take(self, line[0], at, *rest == ' ' ? rest + 1 : rest, number);
    }
    free(line);
    fclose(file);
    return 0;
}

static int read_all(struct data *self, const char *folder, const char *who, line_fn *take)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int rc = 0;

    if (dir == NULL) {
        perror(folder);
        return -1;
    }
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        size_t size = strlen(who);
        char path[4096], *end;
        unsigned number;

        if (strncmp(entry->d_name, who, size) != 0 || entry->d_name[size] != '.')
            continue;
        number = (unsigned)strtoul(entry->d_name + size + 1, &end, 10);
        if (strcmp(end, ".log") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        rc = read_file(self, path, number, take);
    }
    closedir(dir);
    return rc;
}

int read_logs(struct data *self, const char *folder)
{
    int rc = read_all(self, folder, "storm", on_storm_line);

    if (rc == 0)
        rc = read_all(self, folder, "client", on_client_line);
    return rc < 0 ? rc : read_all(self, folder, "worker", on_worker_line);
}
