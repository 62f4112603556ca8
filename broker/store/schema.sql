-- What a store holds, for people with sqlite3(1) and for the broker. Format 1.
--
-- The broker decides in memory; this is its journal, kept as tables: a record of the journal
-- (broker/core/record.h) becomes a row or a change of one, and a restart turns the rows back into
-- records, in the order of their numbers. Times are unix milliseconds. Look at the view `jobs` first.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY, -- format; epoch, raised with each start; made, when
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- What jobs have in common: kind, queue, priority, limits, retries. spec: msgpack, as in SUBMIT.
CREATE TABLE template (
    number   INTEGER PRIMARY KEY,
    kind     TEXT NOT NULL,
    queue    TEXT NOT NULL, -- '': the kind's
    priority INTEGER NOT NULL,
    spec     BLOB NOT NULL
);

CREATE TABLE job (
    number    INTEGER PRIMARY KEY, -- of the record that made it: the order of acceptance
    id        BLOB NOT NULL,       -- 16 bytes
    batch     INTEGER,             -- its group's number
    place     INTEGER NOT NULL,    -- its index in the group
    template  INTEGER NOT NULL,
    since     INTEGER NOT NULL,    -- when it was accepted
    due       INTEGER,             -- not before; NULL at once
    key       TEXT,                -- what has limits of its own, for example a host
    uniq      TEXT,                -- no two live jobs have the same
    waits     BLOB,                -- the ids that it waits for, 16 bytes each
    mode      INTEGER NOT NULL,    -- how it waits: 0 for all, 1 for any
    payload   BLOB,                -- msgpack
    attempt   BLOB,                -- how the last attempt went that did not end it: a record
    cancelled INTEGER              -- the number of the record that wants it to stop
);

CREATE TABLE outcome (
    number    INTEGER PRIMARY KEY, -- of the record that ended the job: the order of completion
    job       INTEGER NOT NULL,
    state     INTEGER NOT NULL,    -- 5 succeeded, 6 failed, 7 cancelled
    worker    TEXT,
    attempt   INTEGER NOT NULL,
    failures  INTEGER NOT NULL,
    losses    INTEGER NOT NULL,
    releases  INTEGER NOT NULL,
    queued_ms INTEGER NOT NULL,
    run_ms    INTEGER NOT NULL,
    since     INTEGER NOT NULL,    -- when it ended
    result    BLOB,                -- msgpack
    error     BLOB,                -- msgpack
    spent     INTEGER NOT NULL,    -- whose retry budget was spent: 0 nobody's, 1 group, 2 key, 3 queue
    remembered INTEGER NOT NULL,   -- attempts that are described in:
    attempts  BLOB                 -- msgpack, newest first
);

CREATE TABLE batch (               -- a group
    number      INTEGER PRIMARY KEY,
    id          BLOB NOT NULL,
    name        TEXT,
    spec        BLOB NOT NULL,     -- the record that made it
    sealed      INTEGER,           -- numbers of records; NULL: not yet
    stopped     INTEGER,
    stop        BLOB,              -- why it is cancelled: a record
    ended       INTEGER,
    ended_at    INTEGER,
    forgotten   INTEGER,           -- not NULL: its jobs are about to be deleted
    succeeded   INTEGER NOT NULL DEFAULT 0, -- jobs that are deleted already
    failed      INTEGER NOT NULL DEFAULT 0,
    cancelled   INTEGER NOT NULL DEFAULT 0,
    retried     INTEGER NOT NULL DEFAULT 0,
    unconfirmed INTEGER NOT NULL DEFAULT 0,
    busy_ms     INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE queue (
    name    TEXT PRIMARY KEY,
    number  INTEGER NOT NULL,
    paused  INTEGER NOT NULL,
    slots   INTEGER NOT NULL,      -- that run at once; 0: no limit
    relaxed INTEGER NOT NULL DEFAULT 0, -- 1: a crash may forget its last moments
    spec    BLOB NOT NULL          -- the last record
) WITHOUT ROWID;

CREATE TABLE worker (              -- who may hold jobs: after a restart the broker waits for it
    instance BLOB PRIMARY KEY,
    number   INTEGER NOT NULL,
    name     TEXT
) WITHOUT ROWID;

CREATE TABLE schedule (
    id     BLOB PRIMARY KEY,
    number INTEGER NOT NULL,
    name   TEXT,
    next   INTEGER,                -- NULL: never again
    fired  INTEGER NOT NULL,
    spec   BLOB NOT NULL           -- the last record
) WITHOUT ROWID;

CREATE VIEW jobs AS
    SELECT job.number AS number, hex(job.id) AS id, hex(batch.id) AS batch, batch.name AS batch_name,
           template.kind AS kind, template.queue AS queue, template.priority AS priority,
           CASE outcome.state WHEN 5 THEN 'succeeded' WHEN 6 THEN 'failed' WHEN 7 THEN 'cancelled'
                ELSE CASE WHEN job.cancelled IS NULL THEN 'open' ELSE 'cancelling' END END AS state,
           datetime(job.since / 1000, 'unixepoch') AS accepted,
           datetime(outcome.since / 1000, 'unixepoch') AS ended, outcome.worker AS worker,
           outcome.attempt AS attempts, outcome.run_ms AS run_ms,
           length(job.payload) AS payload_bytes, length(outcome.result) AS result_bytes
    FROM job JOIN template ON template.number = job.template
             LEFT JOIN batch ON batch.number = job.batch
             LEFT JOIN outcome ON outcome.job = job.number;
