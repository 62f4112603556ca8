/* PostgreSQL: a table of jobs, FOR UPDATE SKIP LOCKED, everything in batches. The worker ends one
 * batch and takes the next in one transaction; with results, the client deletes what it has
 * received.
 *
 * Who finds nothing waits for the other's bell, which is a pipe: cheaper than LISTEN and NOTIFY,
 * whose transactions commit one after the other. */
#include "peer.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OID_BYTEA = 17, OID_INT8 = 20, ARRAY_HEAD = 20 };

static const char *const tables =
    "SET client_min_messages = warning;"
    "DROP TABLE IF EXISTS job;"
    "CREATE TABLE job (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    "                  state smallint NOT NULL DEFAULT 0, payload bytea NOT NULL, result bytea)"
    "    WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.01);"
    "CREATE INDEX job_waiting ON job (id) WHERE state = 0;"
    "CREATE INDEX job_done ON job (id) WHERE state = 2";

/* A fresh table has no statistics; the plans that they would lead to are the ones we want. */
static const char *const settings =
    "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;"
    "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_bitmapscan = off";

static const char *const insert = "INSERT INTO job (payload) SELECT unnest($1::bytea[])";
/* An array and not IN: it is made once. With IN, a plan may do the inner SELECT again for each row
 * (a semi join, if the table was empty when autovacuum analyzed it): there, the limit limits
 * nothing. */
static const char *const take = "UPDATE job SET state = 1 WHERE id = ANY(ARRAY"
                                " (SELECT id FROM job WHERE state = 0 ORDER BY id LIMIT 500"
                                "  FOR UPDATE SKIP LOCKED)) RETURNING id, payload";
static const char *const end = "DELETE FROM job WHERE id = ANY($1::bigint[])";
static const char *const end_with_result = "UPDATE job SET state = 2, result = r.result FROM "
                                           "unnest($1::bigint[], $2::bytea[]) r (id, result)"
                                           " WHERE job.id = r.id";
static const char *const collect = "DELETE FROM job WHERE id = ANY(ARRAY"
                                   " (SELECT id FROM job WHERE state = 2 ORDER BY id LIMIT 500"
                                   "  FOR UPDATE SKIP LOCKED)) RETURNING result";

static PGconn *client;

/* ---- arrays as PostgreSQL sends them -----------------------------------------------------------
 */

struct array {
    char *data;
    size_t size, room;
};

static void append(struct array *self, const void *data, size_t size)
{
    if (self->size + size > self->room) {
        self->room = 2 * (self->size + size);
        self->data = realloc(self->data, self->room);
        if (self->data == NULL)
            peer_die("no memory");
    }
    memcpy(self->data + self->size, data, size);
    self->size += size;
}

static void append_u32(struct array *self, uint32_t value)
{
    value = htonl(value);
    append(self, &value, sizeof value);
}

static void array_begin(struct array *self, uint32_t type, uint32_t count)
{
    self->size = 0;
    append_u32(self, 1); /* dimensions */
    append_u32(self, 0); /* no nulls */
    append_u32(self, type);
    append_u32(self, count);
    append_u32(self, 1); /* the first one's index */
}

static void array_add(struct array *self, const void *data, size_t size)
{
    append_u32(self, (uint32_t)size);
    append(self, data, size);
}

/* ---- one connection ----------------------------------------------------------------------------
 */

static void check(PGconn *db, PGresult *result, ExecStatusType wanted)
{
    if (PQresultStatus(result) != wanted)
        peer_die("postgresql: %s", PQerrorMessage(db));
}

static void run(PGconn *db, const char *sql)
{
    PGresult *result = PQexec(db, sql);

    check(db, result, PGRES_COMMAND_OK);
    PQclear(result);
}

static void prepare(PGconn *db, const char *name, const char *sql)
{
    PGresult *result = PQprepare(db, name, sql, 0, NULL);

    check(db, result, PGRES_COMMAND_OK);
    PQclear(result);
}

static PGconn *open_db(const char *folder)
{
    const char *keys[] = {"host", "dbname", "user", NULL};
    const char *values[] = {folder, "postgres", "bench", NULL};
    PGconn *db = PQconnectdbParams(keys, values, 0);

    if (PQstatus(db) != CONNECTION_OK)
        peer_die("postgresql: %s", PQerrorMessage(db));
    return db;
}

static void send_prepared(PGconn *db, const char *name, int count, const struct array *arrays)
{
    const char *values[2] = {0};
    int sizes[2] = {0}, formats[2] = {1, 1};

    for (int i = 0; i < count; i++) {
        values[i] = arrays[i].data;
        sizes[i] = (int)arrays[i].size;
    }
    if (!PQsendQueryPrepared(db, name, count, values, sizes, formats, 1))
        peer_die("postgresql: %s", PQerrorMessage(db));
}

static void commit(PGconn *db)
{
    if (!PQpipelineSync(db))
        peer_die("postgresql: %s", PQerrorMessage(db));
}

/* The next statement's result in the pipeline, for PQclear. */
static PGresult *receive(PGconn *db, ExecStatusType wanted)
{
    PGresult *result = PQgetResult(db);

    if (result == NULL) /* between two statements */
        result = PQgetResult(db);
    check(db, result, wanted);
    return result;
}

/* The rows of a batch; there is no room for more. */
static uint32_t batch_size(const PGresult *result)
{
    int count = PQntuples(result);

    if (count > PEER_BATCH)
        peer_die("postgresql: %d rows instead of at most %d", count, PEER_BATCH);
    return (uint32_t)count;
}

/* ---- the client --------------------------------------------------------------------------------
 */

static uint32_t unanswered;

void peer_open(struct peer *self)
{
    client = open_db(self->server);
    run(client, tables);
    run(client, settings);
    prepare(client, "insert", insert);
    prepare(client, "collect", collect);
    if (!PQenterPipelineMode(client))
        peer_die("postgresql: no pipeline");
}

/* The batch before is waited for while the server works at this one. Then the worker may know. */
static void read_answers(struct peer *self, uint32_t left)
{
    for (; unanswered > left; unanswered--) {
        PQclear(receive(client, PGRES_COMMAND_OK));
        PQclear(receive(client, PGRES_PIPELINE_SYNC));
        if (write(self->added, "", 1) != 1)
            peer_worker_gone();
    }
}

void peer_submit(struct peer *self, uint32_t first, uint32_t count)
{
    static struct array jobs;

    array_begin(&jobs, OID_BYTEA, count);
    for (uint32_t i = 0; i < count; i++)
        array_add(&jobs, peer_payload(self, first + i), self->size);
    send_prepared(client, "insert", 1, &jobs);
    commit(client);
    unanswered++;
    read_answers(self, 1);
}

static uint32_t collect_some(uint32_t *numbers)
{
    PGresult *result;
    uint32_t count;

    send_prepared(client, "collect", 0, NULL);
    commit(client);
    result = receive(client, PGRES_TUPLES_OK);
    count = batch_size(result);
    for (uint32_t i = 0; i < count; i++)
        numbers[i] = peer_number(PQgetvalue(result, (int)i, 0));
    PQclear(result);
    PQclear(receive(client, PGRES_PIPELINE_SYNC));
    return count;
}

uint32_t peer_take(struct peer *self, uint32_t *numbers)
{
    static int64_t told; /* results that the bell told of and that are not collected yet */
    uint32_t count;

    read_answers(self, 0);
    if (!self->with_result)
        return peer_wait_ended(self, numbers);
    while (told <= 0)
        told += peer_wait_ended(self, numbers);
    count = collect_some(numbers);
    told -= count;
    return count;
}

/* ---- the worker --------------------------------------------------------------------------------
 */

void peer_work(struct peer *self)
{
    PGconn *db = open_db(self->server);
    struct array arrays[2] = {0}; /* ids, results */
    uint32_t numbers[PEER_BATCH], count = 0;
    char bells[4096];

    run(db, settings);
    prepare(db, "take", take);
    prepare(db, "end", self->with_result ? end_with_result : end);
    if (!PQenterPipelineMode(db))
        peer_die("postgresql: no pipeline");
    for (;;) {
        uint32_t ended = count;
        PGresult *result;

        if (ended > 0)
            send_prepared(db, "end", self->with_result ? 2 : 1, arrays);
        send_prepared(db, "take", 0, NULL);
        commit(db);
        if (ended > 0)
            PQclear(receive(db, PGRES_COMMAND_OK));
        result = receive(db, PGRES_TUPLES_OK);
        count = batch_size(result);
        PQclear(receive(db, PGRES_PIPELINE_SYNC));
        peer_tell_ended(self, numbers, ended);
        array_begin(&arrays[0], OID_INT8, count);
        array_begin(&arrays[1], OID_BYTEA, count);
        for (uint32_t i = 0; i < count; i++) {
            numbers[i] = peer_number(PQgetvalue(result, (int)i, 1));
            array_add(&arrays[0], PQgetvalue(result, (int)i, 0), 8);
            array_add(&arrays[1], &numbers[i], sizeof numbers[i]);
        }
        PQclear(result);
        if (count == 0 && read(self->added, bells, sizeof bells) <= 0)
            _exit(0); /* the client is done */
    }
}
