/* beanstalkd: put -> reserve -> delete, many commands in one write. A result is a job of another
 * tube, put before the job itself is deleted. */
#include "peer.h"

#include <stdlib.h>
#include <string.h>

/* One that takes: jobs or results. At most one of its commands waits for a job; those behind it
 * take what is there, so nothing hangs on a job that may never come. */
struct taker {
    struct peer_stream stream;
    uint32_t batch, count;
    unsigned long long ids[PEER_BATCH];
    uint32_t numbers[PEER_BATCH];
};

static struct peer_stream submitter;
static struct taker results;
static uint32_t unanswered;

static void expect(struct peer_stream *stream, const char *word)
{
    const char *line = peer_read_line(stream);

    if (strncmp(line, word, strlen(word)) != 0)
        peer_die("beanstalkd: %s instead of %s", line, word);
}

static void ask(struct taker *self)
{
    for (uint32_t i = 0; i < self->batch; i++)
        fputs(i == 0 ? "reserve\r\n" : "reserve-with-timeout 0\r\n", self->stream.out);
    peer_flush(&self->stream);
}

static void receive(struct taker *self)
{
    char body[30000 + 2];

    self->count = 0;
    for (uint32_t i = 0; i < self->batch; i++) {
        char *line = peer_read_line(&self->stream);
        unsigned long long id;
        size_t size;

        if (strcmp(line, "TIMED_OUT") == 0)
            continue;
        if (sscanf(line, "RESERVED %llu %zu", &id, &size) != 2 || size + 2 > sizeof body)
            peer_die("beanstalkd: %s instead of RESERVED", line);
        peer_read(&self->stream, body, size + 2);
        self->ids[self->count] = id;
        self->numbers[self->count++] = peer_number(body);
    }
    self->batch = peer_next_batch(self->batch, self->count);
}

static void put(struct peer_stream *stream, const void *body, size_t size)
{
    fprintf(stream->out, "put 0 0 600 %zu\r\n", size);
    fwrite(body, 1, size, stream->out);
    fputs("\r\n", stream->out);
}

void peer_open(struct peer *self)
{
    submitter = peer_connect(self->server);
    if (!self->with_result)
        return;
    results.stream = peer_connect(self->server);
    results.batch = 1;
    fputs("watch results\r\nignore default\r\n", results.stream.out);
    peer_flush(&results.stream);
    expect(&results.stream, "WATCHING");
    expect(&results.stream, "WATCHING");
}

/* The answers of the batch before are read while the server works at this one. */
static void read_answers(uint32_t left)
{
    for (; unanswered > left; unanswered--)
        expect(&submitter, "INSERTED");
}

void peer_submit(struct peer *self, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        put(&submitter, peer_payload(self, first + i), self->size);
    peer_flush(&submitter);
    unanswered += count;
    read_answers(count);
}

static void delete_all(struct taker *self)
{
    for (uint32_t i = 0; i < self->count; i++)
        fprintf(self->stream.out, "delete %llu\r\n", self->ids[i]);
}

uint32_t peer_take(struct peer *self, uint32_t *numbers)
{
    uint32_t before = results.count;

    read_answers(0);
    if (!self->with_result)
        return peer_wait_ended(self, numbers);
    delete_all(&results);
    ask(&results);
    for (uint32_t i = 0; i < before; i++)
        expect(&results.stream, "DELETED");
    receive(&results);
    memcpy(numbers, results.numbers, results.count * sizeof *numbers);
    return results.count;
}

void peer_work(struct peer *self)
{
    struct taker *jobs = calloc(1, sizeof *jobs);

    if (jobs == NULL)
        peer_die("no memory");
    jobs->stream = peer_connect(self->server);
    jobs->batch = 1;
    fputs("use results\r\n", jobs->stream.out);
    peer_flush(&jobs->stream);
    expect(&jobs->stream, "USING");
    for (;;) {
        uint32_t ended = jobs->count;

        for (uint32_t i = 0; self->with_result && i < ended; i++)
            put(&jobs->stream, &jobs->numbers[i], sizeof jobs->numbers[i]);
        delete_all(jobs);
        ask(jobs);
        for (uint32_t i = 0; self->with_result && i < ended; i++)
            expect(&jobs->stream, "INSERTED");
        for (uint32_t i = 0; i < ended; i++)
            expect(&jobs->stream, "DELETED");
        if (!self->with_result)
            peer_tell_ended(self, jobs->numbers, ended);
        receive(jobs);
    }
}
