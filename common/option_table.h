/* option_table.h - every command and every option of the three programs: the one source.
 *
 * From these rows come flag parsing, ARGOSY_* variables, keys of the configuration file, messages
 * about wrong values, --help, the manual's option lists and shell completion. To add an option, add
 * a row; to offer it to another command, add its bit. tests/unit/test_options.c walks all rows.
 * Columns are explained in options.h (struct ag_command_row, struct ag_option_row).
 *
 * clang-format off: a table is read by its columns.
 */
#ifndef AG_OPTION_TABLE_H
#define AG_OPTION_TABLE_H

#include "common/limits.h"

/* clang-format off */

/* X(ID, "word", "title", "OPERANDS", fewest, most, "summary", "examples, one a line") */
#define AG_COMMANDS(X)                                                                                  \
    X(RUN, "run", "argosy run", "KIND [ARGUMENT...]", 1, AG_OPERANDS_MAX,                               \
      "Run one batch on a private fleet: starts a broker and workers, runs what `argosy KIND` "         \
      "would, stops all of it.",                                                                        \
      "argosy run fetch -i urls.txt -o 'pages/{host}/{name}'\n"                                         \
      "argosy run --workers 4 analyze ~/src\n")                                                         \
    X(BROKER, "broker", "argosy-broker", "", 0, 0,                                                      \
      "Take jobs from clients, give them to workers, keep what became of them.",                        \
      "argosy-broker --bind tcp://*:7700\n"                                                             \
      "argosy-broker --bind tcp://*:7700 --memory-max 4G --log info,core=debug\n")                      \
    X(WORKER, "worker", "argosy-worker", "", 0, 0,                                                      \
      "Take jobs from a broker and do them.",                                                           \
      "argosy-worker --connect tcp://broker:7700\n"                                                     \
      "argosy-worker --connect tcp://broker:7700 --kinds analyze --root /srv/src\n")                    \
    X(FETCH, "fetch", "argosy fetch", "[URL...]", 0, AG_OPERANDS_MAX,                                   \
      "Fetch URLs, from operands, a file or standard input (-).",                                       \
      "argosy fetch https://example.org/ https://example.net/\n"                                        \
      "argosy fetch -i urls.txt -o 'pages/{host}/{name}' --retries 5\n"                                 \
      "generate-urls | argosy fetch --head --json -\n")                                                 \
    X(ANALYZE, "analyze", "argosy analyze", "[PATH|URL...]", 0, AG_OPERANDS_MAX,          \
      "Count files, lines, code and comments by language, in directories, archives and git commits.",               \
      "argosy analyze ~/src/project\n"                                                                  \
      "argosy analyze project-1.0.tar.gz project-1.1.zip\n"                                             \
      "argosy analyze --gitignore --by dir ~/src/project\n"                                             \
      "argosy analyze --download /srv/src https://example.org/project-1.0.tar.gz\n"                     \
      "argosy analyze --rev v2.0 --history ~/src/project\n"                                              \
      "argosy analyze --by file --format json src include\n")                                        \
    X(EXEC, "exec", "argosy exec", "COMMAND [ARGUMENT...]", 1, AG_OPERANDS_MAX,                                         \
      "Run a program on a worker that allows it; {} in its arguments becomes a line of --input.",                                         \
      "argosy exec -- gzip -9 /srv/log/today\n"                                         \
      "ls *.png | argosy exec -i - -- convert {} {.}.jpg\n")                                         \
    X(SUBMIT, "submit", "argosy submit", "KIND [JSON|-]", 1, 2,                                         \
      "Submit jobs of any kind; - takes one JSON object a line.",                                       \
      "argosy submit fetch '{\"url\":\"https://example.org/\"}'\n"                                      \
      "make-jobs | argosy submit --detach --ids thumbnail -\n")                                         \
    X(WAIT, "wait", "argosy wait", "ID...", 1, AG_OPERANDS_MAX,                                         \
      "Wait until jobs or groups have ended.",                                                          \
      "argosy wait --timeout 10m 01JD5ZK4T9W8Q6F2M3N7B0C1XA\n")                                         \
    X(RESULT, "result", "argosy result", "ID...", 1, AG_OPERANDS_MAX,                                   \
      "Print the results of jobs or groups.",                                                           \
      "argosy result --json 01JD5ZK4T9W8Q6F2M3N7B0C1XA\n")                                              \
    X(REPORT, "report", "argosy report", "ID...", 1, AG_OPERANDS_MAX,                                   \
      "Print what failed, as an exception group.",                                                      \
      "argosy report --only fetch.http.server 01JD5ZK4T9W8Q6F2M3N7B0C1XA\n")                            \
    X(CANCEL, "cancel", "argosy cancel", "ID...", 1, AG_OPERANDS_MAX,                                   \
      "Cancel jobs or groups, queued or running.",                                                      \
      "argosy cancel 01JD5ZK4T9W8Q6F2M3N7B0C1XA\n")                                                     \
    X(STATUS, "status", "argosy status", "", 0, 0,                                                      \
      "Show what the broker has and does.",                                                             \
      "argosy status --json\n")                                                                         \
    X(WORKERS, "workers", "argosy workers", "", 0, 0,                                                   \
      "List the workers and what they hold.",                                                           \
      "argosy workers --connect tcp://broker:7700\n")                                                   \
    X(GROUP, "group", "argosy group", "new|add|seal|cancel|wait [GROUP] [KIND] [JSON|-]", 1, 4,                                         \
      "Make a batch that lives longer than one command, add jobs to it, close it, wait for it.",                                         \
      "g=$(argosy group new --group nightly)\n"                                         \
      "make-jobs | argosy group add \"$g\" fetch -\n"                                         \
      "argosy group seal \"$g\" && argosy group wait \"$g\"\n")                                         \
    X(SCHEDULE, "schedule", "argosy schedule", "add|list|rm [KIND|ID] [JSON]", 1, 3,                                         \
      "Make jobs at a time, at intervals or by a cron line.",                                         \
      "argosy schedule add --cron '0 7 * * MON-FRI' exec '{\"argv\":[\"x\"]}'\n"                                         \
      "argosy schedule list\n")                                         \
    X(LIST, "list", "argosy list", "", 0, 0,                                         \
      "List jobs, oldest first.",                                         \
      "argosy list --state failed --kind fetch --limit 20\n")                                         \
    X(SHOW, "show", "argosy show", "ID...", 1, AG_OPERANDS_MAX,                                         \
      "Show what the broker knows of jobs or groups.",                                         \
      "argosy show 01JD5ZK4T9W8Q6F2M3N7B0C1XA\n")                                         \
    X(EXPLAIN, "explain", "argosy explain", "ID...", 1, AG_OPERANDS_MAX,                                         \
      "Say why a job is not running, or why it ended so, and what would change that.",                                         \
      "argosy explain 01JD5ZK4T9W8Q6F2M3N7B0C1XA\n")                                         \
    X(RETRY, "retry", "argosy retry", "[ID...]", 0, AG_OPERANDS_MAX,                                         \
      "Try failed or cancelled jobs again, as new jobs.",                                         \
      "argosy retry --state failed --only fetch.timeout\n")                                         \
    X(RM, "rm", "argosy rm", "[ID...]", 0, AG_OPERANDS_MAX,                                         \
      "Forget jobs and groups that have ended.",                                         \
      "argosy rm 01JD5ZK4T9W8Q6F2M3N7B0C1XA\n")                                         \
    X(QUEUES, "queues", "argosy queues", "", 0, 0,                                         \
      "List queues: what waits, what runs, what is paused, what no worker can take.",                                         \
      "argosy queues --json\n")                                         \
    X(PAUSE, "pause", "argosy pause", "QUEUE...", 1, AG_OPERANDS_MAX,                                         \
      "Let nothing of a queue begin; what runs goes on.",                                         \
      "argosy pause fetch\n")                                         \
    X(RESUME, "resume", "argosy resume", "QUEUE...", 1, AG_OPERANDS_MAX,                                         \
      "Let a queue go on, with --limit at most so many jobs at once.",                                         \
      "argosy resume fetch\n")                                         \
    X(PURGE, "purge", "argosy purge", "QUEUE...", 1, AG_OPERANDS_MAX,                                         \
      "Cancel everything that waits in a queue.",                                         \
      "argosy purge fetch\n")                                         \
    X(DRAIN, "drain", "argosy drain", "WORKER...", 1, AG_OPERANDS_MAX,                                         \
      "Tell workers to finish what they run and leave.",                                         \
      "argosy drain host-7f21 --grace 1m\n")                                         \
    X(EVENTS, "events", "argosy events", "", 0, 0,                                         \
      "Show what happens to jobs, groups, workers and kinds, as it happens.",                                         \
      "argosy events --json\n")                                         \
    X(TOP, "top", "argosy top", "", 0, 0,                                         \
      "Show the fleet at work, again and again.",                                         \
      "argosy top\n")                                         \
    X(BENCH, "bench", "argosy bench", "", 0, 0,                                                         \
      "Measure the fleet with jobs that do nothing; a worker must offer them: --kinds noop.",           \
      "argosy bench --jobs 1000000 --size 200\n")                                                       \
    X(CHECK, "check", "argosy check", "[STORE]", 0, 1,                                                  \
      "Look for damage in a broker's store, also while the broker runs.",                               \
      "argosy check\n"                                                                                  \
      "argosy check /var/lib/argosy/jobs.db --json\n")                                                  \
    X(BACKUP, "backup", "argosy backup", "[STORE] FILE", 1, 2,                                          \
      "Copy a broker's store to a new file, also while the broker runs.",                               \
      "argosy backup /srv/backup/jobs-$(date +%F).db\n"                                                 \
      "argosy backup sqlite:/var/lib/argosy/jobs.db jobs.db\n")                                         \
    X(EXPORT, "export", "argosy export", "[STORE]", 0, 1,                                               \
      "Print all that a broker's store holds, one JSON object a line.",                                 \
      "argosy export | jq 'select(.state == \"failed\")'\n"                                             \
      "argosy export /var/lib/argosy/jobs.db --output jobs.ndjson\n")                                   \
    X(HELP, "help", "argosy help", "[COMMAND]", 0, 1,                                                   \
      "Open the manual page of a command.",                                                             \
      "argosy help fetch\n")

/* Headings of --help and the manual, in their order. X(ID, "words") */
#define AG_OPTION_HEADINGS(X)                                                                           \
    X(FETCHING, "What to fetch and how")                                                                \
    X(ANALYSIS, "What to count and how")                                                                \
    X(EXECUTION, "What to run and how")                                                                 \
    X(FLEET, "Fleet")                                                                                   \
    X(BATCH, "Batch and its jobs")                                                                      \
    X(SELECTION, "Selection")                                                                           \
    X(OUTPUT, "Output")                                                                                 \
    X(BROKER, "Broker")                                                                                 \
    X(WORKER, "Worker")                                                                                 \
    X(COMMON, "Common")

/* Who has a row: bits of AG_COMMANDS, and traits. */
#define AG_FOR(command) (1ull << AG_COMMAND_##command)
#define AG_FOR_ALL (AG_FOR(HELP) * 2 - 1)
#define AG_FOR_BATCHES (AG_FOR(RUN) | AG_FOR(FETCH) | AG_FOR(ANALYZE) | AG_FOR(EXEC) | AG_FOR(SUBMIT))
#define AG_FOR_SUBMITTING (AG_FOR_BATCHES | AG_FOR(GROUP))
#define AG_FOR_MAKING (AG_FOR_SUBMITTING | AG_FOR(SCHEDULE))
#define AG_FOR_MANY (AG_FOR(CANCEL) | AG_FOR(RETRY) | AG_FOR(RM))
#define AG_FOR_ASKING                                                                                   \
    (AG_FOR(WAIT) | AG_FOR(RESULT) | AG_FOR(REPORT) | AG_FOR(STATUS) | AG_FOR(WORKERS) | AG_FOR_MANY |  \
     AG_FOR(SCHEDULE) | AG_FOR(LIST) | AG_FOR(SHOW) | AG_FOR(EXPLAIN) | AG_FOR(QUEUES) |                \
     AG_FOR(PAUSE) | AG_FOR(RESUME) | AG_FOR(PURGE) | AG_FOR(DRAIN) | AG_FOR(EVENTS) | AG_FOR(TOP) |             \
     AG_FOR(BENCH))
#define AG_FOR_CLIENT (AG_FOR_SUBMITTING | AG_FOR_ASKING)
#define AG_FOR_STORES (AG_FOR(CHECK) | AG_FOR(BACKUP) | AG_FOR(EXPORT))

#define AG_NOT_FOR_RUN (1ull << 60)  /* not with `run`, though the kind it runs has it */
#define AG_NOT_IN_FILE (1ull << 61) /* no key in the configuration file */
#define AG_NOT_IN_ENV (1ull << 62)  /* no variable */
#define AG_NOT_IN_HELP (1ull << 63)   /* not in --help */
#define AG_FLAG_ONLY (AG_NOT_IN_FILE | AG_NOT_IN_ENV)

/* The longest duration that the protocol carries in 32 bits of milliseconds, rounded down. */
#define AG_OPTION_MS_MAX (49LL * 24 * 3600 * 1000)
#define AG_GIB (1LL << 30)

/* X(ID, "long", letter or 0, TYPE, default or NULL, min, max, "PLACEHOLDER", who, HEADING, "help")
 * min and max are milliseconds, bytes or whole numbers; for TEXT the length in bytes. */
#define AG_OPTIONS(X)                                                                                   \
    X(INPUT, "input", 'i', LINES, NULL, 1, 4096, "FILE", AG_FOR(FETCH), FETCHING,                       \
      "Read URLs from a file, one per line or as JSON objects with a url; - is standard input.")        \
    X(PER_HOST, "per-host", 0, WHOLE, NULL, 1, 1000000, "N", AG_FOR(FETCH), FETCHING,                   \
      "How many fetches from one host may run at once, in the whole fleet.")                            \
    X(DELAY_PER_HOST, "delay-per-host", 0, DURATION, NULL, 1, AG_OPTION_MS_MAX, "TIME", AG_FOR(FETCH),  \
      FETCHING, "How long to wait between two fetches from one host, in the whole fleet.")              \
    X(EXEC_INPUT, "input", 'i', TEXT, NULL, 1, 4096, "FILE", AG_FOR(EXEC), EXECUTION,                   \
      "Make a job of each line of a file (- is standard input): {} in the command becomes the line.")   \
    X(CWD, "cwd", 0, TEXT, NULL, 1, 4096, "DIR", AG_FOR(EXEC), EXECUTION,                               \
      "The directory, on the worker's machine, that the program begins in.")                            \
    X(SET_ENV, "env", 0, LINES, NULL, 1, 65536, "NAME=VALUE", AG_FOR(EXEC), EXECUTION,                  \
      "Give the program this variable.")                                                                \
    X(OUTPUT_MAX, "output-max", 0, SIZE, "1M", 0, 3 << 20, "SIZE", AG_FOR(EXEC), EXECUTION,             \
      "How much of each of its outputs is kept.")                                                       \
    X(OUT, "out", 'o', TEXT, NULL, 1, 4096, "TEMPLATE", AG_FOR(FETCH), FETCHING,                        \
      "Where bodies are written; may hold {host} {path} {name} {index} {sha256}.")                      \
    X(BODY, "body", 0, CHOICE, "inline", 0, 0, "inline|file|none", AG_FOR(FETCH), FETCHING,             \
      "What becomes of the body: in the result, in a file (--out), or only counted and hashed.")        \
    X(HEAD, "head", 0, FLAG, NULL, 0, 1, "", AG_FOR(FETCH), FETCHING,                                   \
      "Ask for the headers only.")                                                                      \
    X(REQUEST, "request", 'X', TEXT, NULL, 1, 32, "METHOD", AG_FOR(FETCH), FETCHING,                    \
      "The request's method (default: GET; with a body POST).")                                         \
    X(HEADER, "header", 'H', LINES, NULL, 1, 8192, "'NAME: VALUE'", AG_FOR(FETCH), FETCHING,            \
      "Send this header as well.")                                                                      \
    X(DATA, "data", 'd', TEXT, NULL, 0, AG_PAYLOAD_BYTES_MAX / 2, "TEXT", AG_FOR(FETCH), FETCHING,      \
      "Send this body; @FILE sends a file's content.")                                                  \
    X(DATA_JSON, "data-json", 0, TEXT, NULL, 1, AG_PAYLOAD_BYTES_MAX / 2, "JSON", AG_FOR(FETCH),        \
      FETCHING, "Send this JSON as the body; @FILE sends a file's content.")                            \
    X(FORM, "form", 0, LINES, NULL, 1, 65536, "NAME=VALUE", AG_FOR(FETCH), FETCHING,                    \
      "Send this field of a form; all of them are the body, as a browser would send it.")               \
    X(DATA_FILE, "data-file", 0, TEXT, NULL, 1, 4000, "PATH", AG_FOR(FETCH), FETCHING,                  \
      "Send this file, on the worker's machine, as the body.")                                          \
    X(BASE_URL, "base-url", 0, TEXT, NULL, 1, 8192, "URL", AG_FOR(FETCH), FETCHING,                     \
      "What relative URLs are relative to.")                                                            \
    X(BEARER, "bearer", 0, TEXT, NULL, 1, AG_NAME_BYTES_MAX, "NAME", AG_FOR(FETCH), FETCHING,           \
      "Send the token that the worker knows by this name (argosy-worker --secrets).")                   \
    X(BASIC, "basic", 0, TEXT, NULL, 1, AG_NAME_BYTES_MAX, "NAME", AG_FOR(FETCH), FETCHING,             \
      "Send the user and password that the worker knows by this name.")                                 \
    X(PROXY, "proxy", 0, TEXT, NULL, 1, 8192, "URL", AG_FOR(FETCH), FETCHING,                           \
      "Go through this proxy, which the worker must allow (argosy-worker --allow-proxy).")              \
    X(COOKIES, "cookies", 0, FLAG, NULL, 0, 1, "", AG_FOR(FETCH), FETCHING,                             \
      "Keep cookies, in a jar of the batch's own on each worker.")                                      \
    X(HTTP, "http", 0, CHOICE, "auto", 0, 0, "auto|1.1|2", AG_FOR(FETCH), FETCHING,                     \
      "The version of HTTP; auto takes 2 over TLS where the server has it.")                            \
    X(ACCEPT_STATUS, "accept-status", 0, WORDS, NULL, 1, 1024, "STATUS[,STATUS...]", AG_FOR(FETCH),       \
      FETCHING, "What counts as success: 404, 500-599 or 3xx (default: below 400).")                    \
    X(ACCEPT_TYPE, "accept-type", 0, WORDS, NULL, 1, 4096, "TYPE[,TYPE...]", AG_FOR(FETCH), FETCHING,    \
      "Fail, before the body is read, when it is of another media type; 'text/*' is one too.")          \
    X(IF_NONE_MATCH, "if-none-match", 0, TEXT, NULL, 1, 1024, "ETAG", AG_FOR(FETCH), FETCHING,          \
      "Fetch only what has another entity tag than this, for example '\"abc\"'.")                       \
    X(IF_MODIFIED_SINCE, "if-modified-since", 0, TEXT, NULL, 1, 64, "TIME", AG_FOR(FETCH), FETCHING,    \
      "Fetch only what has changed since: 2026-11-21T07:30, @UNIX, or a date as HTTP has it.")          \
    X(CONTINUE, "continue", 0, FLAG, NULL, 0, 1, "", AG_FOR(FETCH), FETCHING,                           \
      "Go on with the files (--out) that an earlier attempt has left unfinished.")                      \
    X(PAGES, "pages", 0, WHOLE, NULL, 1, 10000, "N", AG_FOR(FETCH), FETCHING,                           \
      "Follow links to next pages (Link: rel=next) up to so many pages; each is a partial result.")     \
    X(IDEMPOTENT, "idempotent", 0, FLAG, NULL, 0, 1, "", AG_FOR(FETCH), FETCHING,                       \
      "A POST or PATCH may be sent again when nobody knows whether it has arrived.")                    \
    X(ROBOTS, "robots", 0, FLAG, NULL, 0, 1, "", AG_FOR(FETCH), FETCHING,                               \
      "Ask each host's robots.txt first, and keep to it.")                                              \
    X(WARC, "warc", 0, TEXT, NULL, 1, 4000, "PREFIX", AG_FOR(FETCH), FETCHING,                          \
      "Append what was sent and received to WARC files whose paths begin so.")                          \
    X(FETCH_TIMEOUT, "timeout", 0, DURATION, "60s", 1, AG_OPTION_MS_MAX, "TIME", AG_FOR(FETCH), FETCHING,\
      "How long a fetch may take in all, redirects included.")                                          \
    X(CONNECT_TIMEOUT, "connect-timeout", 0, DURATION, "10s", 1, AG_OPTION_MS_MAX, "TIME", AG_FOR(FETCH),\
      FETCHING, "How long resolving, connecting and the TLS handshake may take.")                       \
    X(FIRST_BYTE_TIMEOUT, "first-byte-timeout", 0, DURATION, "30s", 1, AG_OPTION_MS_MAX, "TIME",        \
      AG_FOR(FETCH), FETCHING, "How long a server may think before the first byte of its answer.")      \
    X(IDLE_TIMEOUT, "idle-timeout", 0, DURATION, "30s", 1, AG_OPTION_MS_MAX, "TIME", AG_FOR(FETCH),     \
      FETCHING, "How long a transfer may stand still.")                                                 \
    X(MAX_SIZE, "max-size", 0, SIZE, "1G", 1, 1024 * AG_GIB, "SIZE", AG_FOR(FETCH), FETCHING,           \
      "The largest body that is taken, after decompression.")                                           \
    X(MAX_WIRE_SIZE, "max-wire-size", 0, SIZE, NULL, 1, 1024 * AG_GIB, "SIZE", AG_FOR(FETCH), FETCHING, \
      "The largest body that is taken, before decompression.")                                          \
    X(MAX_RATIO, "max-ratio", 0, WHOLE, NULL, 0, 1000000, "N", AG_FOR(FETCH), FETCHING,                 \
      "How many times larger decompression may make a body of more than 1M (default: 200; 0: any).")    \
    X(MAX_REDIRECTS, "max-redirects", 0, WHOLE, "10", 0, 50, "N", AG_FOR(FETCH), FETCHING,              \
      "How many redirects are followed.")                                                               \
    X(CA_FILE, "ca-file", 0, TEXT, NULL, 1, 4096, "FILE", AG_FOR(FETCH), FETCHING,                      \
      "Trust the certificates in this file, on the worker's machine, instead of the system's.")         \
                                                                                                        \
    X(BY, "by", 0, CHOICE, "language", 0, 0, "file|dir|language", AG_FOR(ANALYZE), ANALYSIS,            \
      "What one row of the answer is.")                                                                 \
    X(EXCLUDE, "exclude", 0, LINES, NULL, 1, 4096, "GLOB", AG_FOR(ANALYZE), ANALYSIS,                   \
      "Leave out files and directories whose name, or path in the source, matches.")                    \
    X(GITIGNORE, "gitignore", 0, FLAG, NULL, 0, 1, "", AG_FOR(ANALYZE) | AG_FLAG_ONLY, ANALYSIS,        \
      "Leave out what git would ignore, in directories: by their .gitignore files and the repository's "\
      "info/exclude.")                                                                                  \
    X(REV, "rev", 0, TEXT, NULL, 1, 1023, "REV", AG_FOR(ANALYZE) | AG_FLAG_ONLY, ANALYSIS,              \
      "Count a git repository's files at this branch, tag or commit (HEAD~1, 1a2b3c4), from its objects; "\
      "nothing is checked out.")                                                                        \
    X(HISTORY, "history", 0, FLAG, NULL, 0, 1, "", AG_FOR(ANALYZE) | AG_FLAG_ONLY, ANALYSIS,            \
      "Tell of a git repository's past too: authors, bus factor, the files that change most, ages.")    \
    X(SHARDS, "shards", 0, TEXT, "auto", 1, 4, "N|auto", AG_FOR(ANALYZE) | AG_FLAG_ONLY, ANALYSIS,      \
      "Split each source into so many shards that workers count at once, 1-64; the answer is the same. " \
      "auto: one for each host with workers.")                                                          \
    X(DOWNLOAD, "download", 0, TEXT, NULL, 1, 3800, "DIR", AG_FOR(ANALYZE), ANALYSIS,                   \
      "Where workers put what a URL brings, and where it stays; run needs it only to keep it.")         \
    X(FORMAT, "format", 0, CHOICE, "table", 0, 0, "table|json|csv", AG_FOR(ANALYZE), ANALYSIS,          \
      "How the answer is printed.")                                                                     \
                                                                                                        \
    X(WORKERS, "workers", 0, WHOLE, NULL, 1, 1024, "N", AG_FOR(RUN), FLEET,                             \
      "How many workers to start (default: one for each core).")                                        \
    X(CONNECT, "connect", 0, WORDS, NULL, 1, 1024, "ENDPOINT",                                          \
      AG_FOR_CLIENT | AG_FOR(WORKER) | AG_NOT_FOR_RUN, FLEET,                                           \
      "Where the broker listens, for example tcp://host:7700 (default: ipc:// in your runtime "         \
      "directory).")                                                                                    \
    X(BROKER_TIMEOUT, "broker-timeout", 0, DURATION, "30s", 0, AG_OPTION_MS_MAX, "TIME", AG_FOR_CLIENT, \
      FLEET, "How long to wait for a broker that does not answer.")                                     \
                                                                                                        \
    X(DETACH, "detach", 0, FLAG, NULL, 0, 1, "", AG_FOR_BATCHES | AG_NOT_FOR_RUN, BATCH,             \
      "Do not wait: print the id of the batch once it is accepted.")                                    \
    X(GROUP, "group", 0, TEXT, NULL, 1, AG_TEXT_BYTES_MAX, "NAME", AG_FOR_SUBMITTING, BATCH,            \
      "Name the batch; reports and lists show it.")                                                     \
    X(POLICY, "policy", 0, CHOICE, "gather", 0, 0, "gather|taskgroup|race", AG_FOR_SUBMITTING, BATCH,   \
      "What an end means: gather runs all whatever fails, the first failure cancels the rest of a "     \
      "taskgroup, the first success the rest of a race.")                    \
    X(MAX_FAILURES, "max-failures", 0, WHOLE, "0", 0, 1000000000, "N", AG_FOR_SUBMITTING, BATCH,        \
      "How many failures a taskgroup tolerates; the next one cancels the rest.")                        \
    X(DEADLINE, "deadline", 0, DURATION, NULL, 1, AG_OPTION_MS_MAX, "TIME", AG_FOR_SUBMITTING, BATCH,   \
      "How long the batch may take in all (default: as long as it takes).")                             \
    X(CONCURRENCY, "concurrency", 0, WHOLE, NULL, 1, 1000000, "N", AG_FOR_SUBMITTING, BATCH,            \
      "How many jobs of the batch may run at once (default: what the workers offer).")                  \
    X(RUN_TIMEOUT, "run-timeout", 0, DURATION, NULL, 1, AG_OPTION_MS_MAX, "TIME", AG_FOR_MAKING, BATCH,\
      "How long one attempt of a job may run (default: no limit).")                                     \
    X(QUEUE_TIMEOUT, "queue-timeout", 0, DURATION, NULL, 1, AG_OPTION_MS_MAX, "TIME", AG_FOR_MAKING,\
      BATCH, "How long a job may wait for a worker (default: no limit).")                               \
    X(RETRY, "retry", 0, RETRY, "attempts=3,base=1s,factor=2,cap=60s", 0, 0, "WORD",                    \
      AG_FOR_MAKING, BATCH,                                                                         \
      "When to try again: attempts in all, first wait, its growth, longest wait, on=SELECTOR (repeated, " \
      "or joined by +) for which failures, and budget=20%: only while the batch, the host or key, and " \
      "the queue have had fewer retries than that share of first attempts, and ten.")                   \
    X(RETRIES, "retries", 0, WHOLE, NULL, 0, AG_ATTEMPTS_MAX - 1, "N", AG_FOR_MAKING, BATCH,        \
      "How often to try again after the first attempt; short for --retry attempts=N+1.")                \
    X(DELAY, "delay", 0, DURATION, NULL, 1, AG_OPTION_MS_MAX, "TIME", AG_FOR_MAKING, BATCH,         \
      "Begin the jobs no sooner than this from now.")                                                   \
                                                                                                        \
    X(PRIORITY, "priority", 'p', WHOLE, "5", 0, 9, "N", AG_FOR_MAKING, BATCH,                             \
      "How urgent the jobs are: 0 goes first, 9 last.")                                                 \
    X(QUEUE, "queue", 0, TEXT, NULL, 1, AG_NAME_BYTES_MAX, "NAME", AG_FOR_MAKING, BATCH,                  \
      "The queue that the jobs wait in, to be paused and limited by (default: their kind's).")          \
    X(AFTER, "after", 0, WORDS, NULL, 26, 26, "ID[,ID...]", AG_FOR_SUBMITTING, BATCH,                   \
      "Begin when these jobs or sealed batches have succeeded; the jobs get their results.")            \
    X(AFTER_ANY, "after-any", 0, FLAG, NULL, 0, 1, "", AG_FOR_SUBMITTING, BATCH,                        \
      "With --after: begin however they have ended.")                                                   \
    X(THEN, "then", 0, TEXT, NULL, 1, AG_PAYLOAD_BYTES_MAX, "KIND[:JSON]",                              \
      AG_FOR_BATCHES, BATCH,                                                                            \
      "When the batch has ended, however it did, run this job; it gets the batch's results.")           \
    X(UNIQUE, "unique", 0, TEXT, NULL, 1, AG_TEXT_BYTES_MAX, "KEY", AG_FOR_MAKING, BATCH,                 \
      "Let no two jobs with this key live at once.")                                                    \
    X(UNIQUE_POLICY, "unique-policy", 0, CHOICE, "reject", 0, 0, "reject|join|replace", AG_FOR_MAKING,    \
      BATCH, "What happens to the second one: it is refused, gets the first one's result, or cancels "  \
      "the first one.")                                                                                 \
    X(REQUIRES, "requires", 0, TEXT, NULL, 1, AG_TEXT_BYTES_MAX, "TAG[,TAG...]", AG_FOR_MAKING, BATCH,    \
      "Run only on workers with all of these tags (argosy-worker --tag).")                              \
    X(KEY, "key", 0, TEXT, NULL, 1, AG_TEXT_BYTES_MAX, "TEXT",                                          \
      AG_FOR_MAKING, BATCH, "What the jobs share a limit by, in the whole fleet: see --key-max.")         \
    X(KEY_MAX, "key-max", 0, WHOLE, NULL, 1, 1000000, "N", AG_FOR_MAKING, BATCH,                          \
      "How many jobs with the same --key may run at once.")                                             \
    X(KEY_DELAY, "key-delay", 0, DURATION, NULL, 1, AG_OPTION_MS_MAX, "TIME", AG_FOR_MAKING, BATCH,       \
      "How long to wait between the beginnings of two jobs with the same --key.")                       \
    X(RATE, "rate", 0, TEXT, NULL, 1, 32, "N/s|N/m|N/h", AG_FOR_SUBMITTING, BATCH,                      \
      "How many jobs of the batch may begin in a second, a minute or an hour.")                         \
    X(HALT, "halt", 0, TEXT, NULL, 1, 64, "now|soon,fail=N|N%|success=N", AG_FOR_SUBMITTING, BATCH,     \
      "End the batch early after so many failures or successes: now cancels what runs, soon lets it "   \
      "end (as GNU parallel; instead of --policy and --max-failures).")                                 \
    X(MIN_SUCCESS, "min-success", 0, WHOLE, NULL, 1, 1000000000, "N", AG_FOR_SUBMITTING, BATCH,         \
      "With fewer successes the batch itself has failed.")                                              \
    X(TTL, "ttl", 0, DURATION, NULL, 1, AG_OPTION_MS_MAX, "TIME", AG_FOR_MAKING, BATCH,                   \
      "How long the broker remembers the batch after its end (default: as the broker says).")           \
    X(PARENT, "parent", 0, TEXT, NULL, 26, 26, "GROUP", AG_FOR(GROUP), BATCH,                           \
      "Make the new group part of this one, as one of its members.")                                    \
                                                                                                        \
    X(AT, "at", 0, TEXT, NULL, 1, 64, "TIME", AG_FOR_MAKING, BATCH,                                       \
      "Begin no sooner than then: 2026-11-21T07:30 (local, or with Z or +01:00), 07:30 or @UNIX.")      \
    X(EVERY, "every", 0, DURATION, NULL, 1, AG_OPTION_MS_MAX, "TIME", AG_FOR(SCHEDULE), BATCH,          \
      "Make a job again and again, so far apart.")                                                      \
    X(TIMES, "times", 0, WHOLE, NULL, 1, 1000000000, "N", AG_FOR(SCHEDULE), BATCH,                      \
      "Stop after so many jobs (default: never).")                                                      \
    X(CRON, "cron", 0, TEXT, NULL, 1, AG_TEXT_BYTES_MAX, "'MIN HOUR DAY MONTH WEEKDAY'",                \
      AG_FOR(SCHEDULE), BATCH, "Make a job whenever the line says; also @daily and the like.")          \
    X(TZ, "tz", 0, TEXT, NULL, 1, AG_NAME_BYTES_MAX, "ZONE", AG_FOR(SCHEDULE), BATCH,                   \
      "The time zone of --cron, for example Europe/Berlin (default: UTC).")                             \
    X(CATCH_UP, "catch-up", 0, CHOICE, "skip", 0, 0, "skip|once|all", AG_FOR(SCHEDULE), BATCH,          \
      "What happens to the times that pass while the broker is away.")                                  \
                                                                                                        \
    X(WAIT_TIMEOUT, "timeout", 0, DURATION, NULL, 0, AG_OPTION_MS_MAX, "TIME",                          \
      AG_FOR(WAIT) | AG_FOR(RESULT) | AG_FOR(GROUP), SELECTION,                                                         \
      "How long to wait; 0 only looks (default: as long as it takes).")                                 \
    X(ONLY, "only", 0, WORDS, NULL, 1, AG_NAME_BYTES_MAX, "SELECTOR", AG_FOR(REPORT) | AG_FOR_MANY | AG_FOR(LIST), SELECTION,        \
      "Show failures of this type only, for example fetch.http.")                                       \
    X(NOT, "not", 0, WORDS, NULL, 1, AG_NAME_BYTES_MAX, "SELECTOR", AG_FOR(REPORT) | AG_FOR_MANY | AG_FOR(LIST), SELECTION,          \
      "Leave out failures of this type.")                                                               \
                                                                                                        \
    X(STATE, "state", 0, TEXT, NULL, 1, AG_NAME_BYTES_MAX, "STATE", AG_FOR(LIST) | AG_FOR_MANY,         \
      SELECTION, "Jobs in this state only: scheduled, blocked, queued, running, cancelling, "           \
      "succeeded, failed or cancelled.")                                                                \
    X(OF_KIND, "kind", 0, TEXT, NULL, 1, AG_NAME_BYTES_MAX, "KIND", AG_FOR(LIST) | AG_FOR_MANY,         \
      SELECTION, "Jobs of this kind only.")                                                             \
    X(OF_QUEUE, "queue", 0, TEXT, NULL, 1, AG_NAME_BYTES_MAX, "QUEUE", AG_FOR(LIST) | AG_FOR_MANY,      \
      SELECTION, "Jobs in this queue only.")                                                            \
    X(OF_GROUP, "group", 0, TEXT, NULL, 26, 26, "GROUP", AG_FOR(LIST) | AG_FOR_MANY, SELECTION,         \
      "Jobs of this group only.")                                                                       \
    X(LIMIT, "limit", 0, WHOLE, NULL, 1, 1000000000, "N", AG_FOR(LIST) | AG_FOR(EVENTS) | AG_FOR(TOP),  \
      SELECTION, "Stop after so many (default: all of them).")                                          \
    X(QUEUE_LIMIT, "limit", 0, WHOLE, NULL, 0, 1000000000, "N", AG_FOR(RESUME), SELECTION,              \
      "Let at most so many jobs of the queue run at once; 0 takes the limit away.")                     \
    X(DURABILITY, "durability", 0, CHOICE, NULL, 0, 0, "full|relaxed", AG_FOR(RESUME), SELECTION,       \
      "Whether what happens to jobs of the queue is told when it is on the broker's disk (full, as "    \
      "it is unless said otherwise), or at once: a crash may forget the last moments.")                 \
    X(CURSOR, "cursor", 0, TEXT, NULL, 1, AG_NAME_BYTES_MAX, "CURSOR", AG_FOR(LIST), SELECTION,         \
      "Go on where an earlier list ended (it says where on standard error).")                           \
    X(DRAIN_GRACE, "grace", 0, DURATION, "30s", 0, AG_OPTION_MS_MAX, "TIME", AG_FOR(DRAIN), SELECTION,  \
      "How long running jobs may go on; the rest is handed back.")                                      \
    X(SINCE_NOW, "new", 0, FLAG, NULL, 0, 1, "", AG_FOR(EVENTS), SELECTION,                             \
      "Only what happens from now on, not what the broker still remembers.")                            \
                                                                                                        \
    X(JOBLOG, "joblog", 0, TEXT, NULL, 1, 4096, "FILE", AG_FOR_BATCHES, OUTPUT,                         \
      "Write a line for each job that has ended, in GNU parallel's format.")                            \
    X(RESUME_BATCH, "resume", 0, FLAG, NULL, 0, 1, "", AG_FOR_BATCHES | AG_FLAG_ONLY, OUTPUT,           \
      "Do not do again what the --joblog of an earlier run over the same input lists.")                 \
    X(RESUME_FAILED, "resume-failed", 0, FLAG, NULL, 0, 1, "", AG_FOR_BATCHES | AG_FLAG_ONLY, OUTPUT,   \
      "Likewise, but do again what has failed.")                                                        \
    X(RESULTS_DIR, "results", 0, TEXT, NULL, 1, 4096, "DIR", AG_FOR_BATCHES, OUTPUT,                    \
      "Write the JSON line of each job to DIR/N.json, N its place in the input from 1.")                \
    X(PARTIAL, "partial", 0, FLAG, NULL, 0, 1, "", AG_FOR_BATCHES | AG_FOR(WAIT), OUTPUT,               \
      "With --json: print progress and partial results too, as {\"progress\": ...} lines.")             \
    X(ORDERED, "ordered", 0, FLAG, NULL, 0, 1, "", AG_FOR_BATCHES, OUTPUT,                           \
      "Print results in the order of submission, not of completion.")                                   \
    X(PROGRESS, "progress", 0, CHOICE, "auto", 0, 0, "auto|always|never", AG_FOR_BATCHES, OUTPUT,    \
      "Show a progress line on standard error; auto does in a terminal.")                               \
    X(SUMMARY, "summary", 0, CHOICE, "auto", 0, 0, "auto|always|never", AG_FOR(FETCH), OUTPUT,          \
      "After more than one fetch, show counts by host and by error on standard error; auto does in "    \
      "a terminal.")                                                                                    \
    X(OUTPUT, "output", 0, TEXT, NULL, 1, 4096, "FILE", AG_FOR_SUBMITTING | AG_FOR(EXPORT), OUTPUT,                      \
      "Write results to a file instead of standard output.")                                            \
    X(IDS, "ids", 0, FLAG, NULL, 0, 1, "", AG_FOR_SUBMITTING, OUTPUT,                                   \
      "Print the ids of the jobs.")                                                                     \
    X(JSON, "json", 0, FLAG, NULL, 0, 1, "", AG_FOR_CLIENT | AG_FOR(CHECK), OUTPUT,                                     \
      "Print one JSON object a line.")                                                                  \
                                                                                                        \
    X(BENCH_JOBS, "jobs", 'n', WHOLE, "200000", 1, 100000000, "N", AG_FOR(BENCH), SELECTION,            \
      "How many jobs to send.")                                                                         \
    X(BENCH_SIZE, "size", 's', SIZE, "100", 0, 65535, "SIZE", AG_FOR(BENCH), SELECTION,                 \
      "How large each one is.")                                                                         \
    X(BENCH_AHEAD, "ahead", 0, WHOLE, "10000", 1, 100000000, "N", AG_FOR(BENCH), SELECTION,             \
      "How many may be on their way at once.")                                                          \
    X(BIND, "bind", 0, WORDS, NULL, 1, 1024, "ENDPOINT", AG_FOR(BROKER), BROKER,                        \
      "Listen here, for example tcp://*:7700 (default: ipc:// in your runtime directory).")             \
    X(RUN_STORE, "store", 0, TEXT, "memory", 1, 4096, "memory|sqlite:PATH", AG_FOR(RUN) | AG_FLAG_ONLY, \
      FLEET, "Where jobs and results live; what a run that was cut off has left in a file is done too.")  \
    X(RUN_CACHE, "cache", 0, TEXT, NULL, 1, 4000, "DIR|none", AG_FOR(RUN), FLEET,                       \
      "Where counts of directories and git repositories are remembered (default: argosy in "            \
      "$XDG_CACHE_HOME or ~/.cache).")                                                                  \
    X(STORE, "store", 0, TEXT, NULL, 1, 4096, "memory|sqlite:PATH", AG_FOR(BROKER), BROKER,             \
      "Where jobs and results live (default: sqlite:jobs.db in your state directory); memory forgets "  \
      "them when the broker stops.")                                                                    \
    X(HEARTBEAT, "heartbeat", 0, DURATION, "2s", 100, 3600000, "TIME", AG_FOR(BROKER), BROKER,          \
      "How often both sides give a sign of life; three missing ones end a session.")                    \
    X(BROKER_GRACE, "grace", 0, DURATION, "30s", 0, AG_OPTION_MS_MAX, "TIME", AG_FOR(BROKER), BROKER,   \
      "How long a job may take to stop when it is cancelled, if it does not say so itself.")            \
    X(JOBS_MAX, "jobs-max", 0, WHOLE, "100000000", 1, 1000000000, "N", AG_FOR(BROKER), BROKER,            \
      "How many jobs the broker holds; beyond it submissions have to wait.")                            \
    X(MEMORY_MAX, "memory-max", 0, SIZE, "1G", 16LL << 20, 1024 * AG_GIB, "SIZE", AG_FOR(BROKER),       \
      BROKER, "How much memory jobs and results may take; beyond it submissions have to wait.")         \
    X(RESULT_TTL, "result-ttl", 0, DURATION, "1h", 0, AG_OPTION_MS_MAX, "TIME", AG_FOR(BROKER), BROKER, \
      "How long results are kept after the end of their batch.")                                        \
                                                                                                        \
    X(KINDS, "kinds", 0, WORDS, "fetch,analyze,exec", 1, AG_NAME_BYTES_MAX, "KIND[,KIND...]",                \
      AG_FOR(WORKER), WORKER, "What kinds of jobs to take.")                                            \
    X(SLOTS, "slots", 0, COUNTS, "fetch=256,analyze=2,exec=4,noop=1000", 0, AG_SLOTS_MAX, "KIND=N[,KIND=N...]",          \
      AG_FOR(WORKER), WORKER,                                                                           \
      "How many jobs of a kind to run at once; kinds that are not named keep their default.")           \
    X(THREADS, "threads", 0, WHOLE, NULL, 1, 1024, "N", AG_FOR(WORKER), WORKER,                         \
      "How many threads analyze, one job or several (default: one for each core).")                                         \
    X(LANGUAGES, "languages", 0, TEXT, NULL, 1, 4096, "FILE", AG_FOR(WORKER), WORKER,                   \
      "Languages to count besides those that are known.")                                              \
    X(TAG, "tag", 0, WORDS, NULL, 1, AG_NAME_BYTES_MAX, "TAG", AG_FOR(WORKER), WORKER,                  \
      "Mark the worker; jobs may ask for a tag.")                                                       \
    X(WORKER_GRACE, "grace", 0, DURATION, "30s", 0, AG_OPTION_MS_MAX, "TIME", AG_FOR(WORKER), WORKER,   \
      "How long running jobs may go on when the worker is told to stop; the rest is handed back.")      \
    X(ROOT, "root", 0, LINES, NULL, 1, 4096, "DIR", AG_FOR(WORKER), WORKER,                             \
      "A directory that jobs may read and write (default: none).")                                      \
    X(CACHE, "cache", 0, TEXT, NULL, 1, 4000, "DIR", AG_FOR(WORKER), WORKER,                            \
      "Remember here what was counted in directories and git repositories, up to 256 MiB; workers of "  \
      "one user on one host may share it (default: nothing is remembered).")                                            \
    X(ALLOW_NET, "allow-net", 0, WORDS, NULL, 1, 128, "CIDR[:PORT]", AG_FOR(WORKER), WORKER,            \
      "A private network that fetches may reach, or any (default: public addresses only).")             \
    X(ALLOW_PORT, "allow-port", 0, WORDS, NULL, 1, 128, "PORT", AG_FOR(WORKER), WORKER,                  \
      "A port, or a range such as 8000-8999, that fetches may reach on public addresses, besides "      \
      "80 and 443.")                                                                                    \
    X(ALLOW_SCHEME, "allow-scheme", 0, WORDS, NULL, 1, 128, "SCHEME", AG_FOR(WORKER), WORKER,            \
      "What fetches may speak: http, https, ftp, ftps, sftp, or file, below --root "                    \
      "(default: http and https).")                                                                     \
    X(ALLOW_PROXY, "allow-proxy", 0, LINES, NULL, 1, 4096, "URL", AG_FOR(WORKER), WORKER,               \
      "A proxy that fetches may ask for, or any (default: none).")                                      \
    X(SECRETS, "secrets", 0, TEXT, NULL, 1, 4096, "FILE", AG_FOR(WORKER), WORKER,                       \
      "Passwords and tokens that fetches may name, each with the hosts it is for; readable by you "     \
      "only.")                                                                                          \
    X(ALLOW_EXEC, "allow-exec", 0, LINES, NULL, 1, 4096, "PATTERN", AG_FOR(WORKER), WORKER,             \
      "A program that exec jobs may run: a path, a bare name, or a pattern of either such as "          \
      "'/usr/bin/*' (default: none).")                                                                  \
    X(WORKER_CA_FILE, "ca-file", 0, TEXT, NULL, 1, 4096, "FILE", AG_FOR(WORKER), WORKER,                \
      "Trust the certificates in this file instead of the system's.")                                   \
                                                                                                        \
    X(WITH_PARENT, "with-parent", 0, WHOLE, NULL, 1, 4194304, "PID",                                    \
      AG_FOR(BROKER) | AG_FOR(WORKER) | AG_FLAG_ONLY | AG_NOT_IN_HELP, COMMON,                          \
      "Stop when this process, which must be the parent, ends.")                                        \
    X(NAME, "name", 0, TEXT, NULL, 1, AG_NAME_BYTES_MAX, "NAME", AG_FOR(BROKER) | AG_FOR(WORKER),       \
      COMMON, "How it is called in logs and lists (default: made from the host's name).")               \
    X(CONFIG, "config", 0, TEXT, NULL, 1, 4095, "FILE", AG_FOR_ALL | AG_NOT_IN_FILE, COMMON,            \
      "Read this configuration file (default: argosy/argosy.zpl in $XDG_CONFIG_HOME or ~/.config, "     \
      "if there is one).")                                                                              \
    X(QUIET, "quiet", 'q', FLAG, NULL, 0, 1, "", AG_FOR_ALL, COMMON,                                    \
      "Write nothing but errors to standard error.")                                                    \
    X(LOG, "log", 0, LEVELS, "info", 0, 0, "LEVEL[,MODULE=LEVEL...]",                                   \
      AG_FOR(BROKER) | AG_FOR(WORKER), COMMON,                                                          \
      "What is logged to standard error: error, warning, info, debug or trace.")                        \
    X(CLIENT_LOG, "log", 0, LEVELS, "warning", 0, 0, "LEVEL[,MODULE=LEVEL...]",                         \
      AG_FOR_CLIENT | AG_FOR_STORES | AG_FOR(HELP), COMMON,                                                             \
      "What is logged to standard error: error, warning, info, debug or trace.")                        \
    X(LOG_FORMAT, "log-format", 0, CHOICE, "logfmt", 0, 0, "logfmt|json", AG_FOR_ALL, COMMON,           \
      "How log lines are written.")                                                                     \
    X(HELP, "help", 'h', FLAG, NULL, 0, 1, "", AG_FOR_ALL | AG_FLAG_ONLY, COMMON,                       \
      "Print this help.")                                                                               \
    X(VERSION, "version", 0, FLAG, NULL, 0, 1, "", AG_FOR_ALL | AG_FLAG_ONLY, COMMON,                   \
      "Print the version.")                                                                             \
    X(MAN_OPTIONS, "man-options", 0, FLAG, NULL, 0, 1, "", AG_FOR_ALL | AG_FLAG_ONLY | AG_NOT_IN_HELP,  \
      COMMON, "Print the options as a fragment of the manual page (scdoc).")

/* clang-format on */

#endif
