/* Redis: lists, as its manual describes a reliable queue. LPUSH -> LMOVE to the list of what is
 * being worked at -> LREM, with the results pushed in the same transaction. */
#include "peer.h"

#include <stdlib.h>
#include <string.h>

static struct peer_stream client;
static uint32_t unanswered;

static void command(struct peer_stream *stream, uint32_t words)
{
    fprintf(stream->out, "*%u\r\n", words);
}

static void word(struct peer_stream *stream, const void *data, size_t size)
{
    fprintf(stream->out, "$%zu\r\n", size);
    fwrite(data, 1, size, stream->out);
    fputs("\r\n", stream->out);
}

static void text(struct peer_stream *stream, const char *string)
{
    word(stream, string, strlen(string));
}

/* The number behind `type` in the next line: an integer, a size, a count. */
static long answer(struct peer_stream *stream, char type)
{
    const char *line = peer_read_line(stream);

    if (line[0] != type)
        peer_die("redis: %s instead of %c", line, type);
    return strtol(line + 1, NULL, 10);
}

/* A string of `size` bytes; false if there is none. */
static bool read_string(struct peer_stream *stream, void *data, size_t size)
{
    long there = answer(stream, '$');
    char end[2];

    if (there == -1)
        return false;
    if (there != (long)size)
        peer_die("redis: a string of %ld bytes instead of %zu", there, size);
    peer_read(stream, data, size);
    peer_read(stream, end, sizeof end);
    return true;
}

void peer_open(struct peer *self)
{
    client = peer_connect(self->server);
}

/* The answer of the batch before is read while the server works at this one. */
static void read_answers(uint32_t left)
{
    for (; unanswered > left; unanswered--)
        answer(&client, ':');
}

void peer_submit(struct peer *self, uint32_t first, uint32_t count)
{
    command(&client, count + 2);
    text(&client, "LPUSH");
    text(&client, "jobs");
    for (uint32_t i = 0; i < count; i++)
        word(&client, peer_payload(self, first + i), self->size);
    peer_flush(&client);
    unanswered++;
    read_answers(1);
}

uint32_t peer_take(struct peer *self, uint32_t *numbers)
{
    char most[16];
    long count;

    read_answers(0);
    if (!self->with_result)
        return peer_wait_ended(self, numbers);
    snprintf(most, sizeof most, "%d", PEER_BATCH);
    command(&client, 7);
    text(&client, "BLMPOP");
    text(&client, "0");
    text(&client, "1");
    text(&client, "results");
    text(&client, "RIGHT");
    text(&client, "COUNT");
    text(&client, most);
    peer_flush(&client);
    answer(&client, '*');
    answer(&client, '$');
    peer_read_line(&client);
    count = answer(&client, '*');
    for (long i = 0; i < count; i++)
        read_string(&client, &numbers[i], sizeof *numbers);
    return (uint32_t)count;
}

/* ---- the worker --------------------------------------------------------------------------------
 */

struct worker {
    struct peer_stream stream;
    size_t size;
    uint32_t batch, count;
    uint8_t *payloads;
    uint32_t numbers[PEER_BATCH];
};

/* Only the first waits for a job. */
static void ask(struct worker *self)
{
    for (uint32_t i = 0; i < self->batch; i++) {
        command(&self->stream, i == 0 ? 6 : 5);
        text(&self->stream, i == 0 ? "BLMOVE" : "LMOVE");
        text(&self->stream, "jobs");
        text(&self->stream, "working");
        text(&self->stream, "RIGHT");
        text(&self->stream, "LEFT");
        if (i == 0)
            text(&self->stream, "0");
    }
}

static void receive(struct worker *self)
{
    self->count = 0;
    for (uint32_t i = 0; i < self->batch; i++) {
        uint8_t *payload = self->payloads + self->count * self->size;

        if (read_string(&self->stream, payload, self->size))
            self->numbers[self->count++] = peer_number(payload);
    }
    self->batch = peer_next_batch(self->batch, self->count);
}

/* All results of a batch are one push; results and ends come to be together. */
static void finish(struct worker *self, bool with_result)
{
    if (with_result) {
        command(&self->stream, 1);
        text(&self->stream, "MULTI");
        command(&self->stream, self->count + 2);
        text(&self->stream, "LPUSH");
        text(&self->stream, "results");
        for (uint32_t i = 0; i < self->count; i++)
            word(&self->stream, &self->numbers[i], sizeof *self->numbers);
    }
    for (uint32_t i = 0; i < self->count; i++) {
        command(&self->stream, 4);
        text(&self->stream, "LREM");
        text(&self->stream, "working");
        text(&self->stream, "-1");
        word(&self->stream, self->payloads + i * self->size, self->size);
    }
    if (with_result) {
        command(&self->stream, 1);
        text(&self->stream, "EXEC");
    }
}

static void read_finished(struct worker *self, uint32_t ended, bool with_result)
{
    if (with_result) {
        for (uint32_t i = 0; i < ended + 2; i++)
            answer(&self->stream, '+'); /* OK, then QUEUED for each */
        answer(&self->stream, '*');
        answer(&self->stream, ':');
    }
    for (uint32_t i = 0; i < ended; i++)
        if (answer(&self->stream, ':') != 1)
            peer_die("redis: a job was not in the list of what is being worked at");
}

void peer_work(struct peer *peer)
{
    struct worker *self = calloc(1, sizeof *self);

    if (self == NULL || (self->payloads = malloc(PEER_BATCH * peer->size)) == NULL)
        peer_die("no memory");
    self->stream = peer_connect(peer->server);
    self->size = peer->size;
    self->batch = 1;
    for (;;) {
        uint32_t ended = self->count;

        if (ended > 0)
            finish(self, peer->with_result);
        ask(self);
        peer_flush(&self->stream);
        if (ended > 0)
            read_finished(self, ended, peer->with_result);
        if (!peer->with_result)
            peer_tell_ended(peer, self->numbers, ended);
        receive(self);
    }
}
