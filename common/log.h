/* log.h - one line per fact on stderr, as logfmt or JSON, that never holds up its writer.
 *
 *     ag_log_start(&(struct ag_log_config){.program = "argosy-broker", .levels = levels});
 *     ag_log_info("core", "attempt was lost", ag_kv("job", job->id), ag_kv("attempt", attempt),
 *                 ag_kv("worker", worker->name));
 *     ...
 *     ag_log_stop();
 *
 *     time=2026-02-03T04:05:06.789Z level=info program=argosy-broker module=core
 *         job=01JD5ZK4T9W8Q6F2M3N7B0C1XA attempt=2 worker=w-7f21 msg="attempt was lost"
 *
 * (on one line). The message is a constant sentence and what varies is a field, so that lines can
 * be counted and searched; ag_kv() picks the writer from the value's C type, so nothing can be
 * formatted as what it is not. Text is escaped whatever it holds: a URL cannot forge a line or
 * reach into a terminal. No payloads in logs.
 *
 * A line that repeats the one before it is counted, not written; the count is told with the next
 * other line, or every ten seconds. What cannot be written at once is kept up to AG_LOG_PENDING
 * bytes, then dropped and counted; the count is told when there is room again.
 *
 * Programs log, once, where an error stops; library code returns errors instead.
 *
 * Threads: ag_log_start() and ag_log_stop() while there is only one; everything else from any.
 * Blocking: never, see log.c for the one exception. Before ag_log_start() nothing is written.
 * Memory: static; a line whose level is off costs two comparisons and evaluates no field.
 */
#ifndef AG_LOG_H
#define AG_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include <argosy/error.h>

#include "common/bytes.h"
#include "common/id.h"

/* X(NAME, "word", meaning) */
#define AG_LOG_LEVELS(X)                                                                           \
    X(ERROR, "error", "someone must act")                                                          \
    X(WARNING, "warning", "degraded")                                                              \
    X(INFO, "info", "life cycle")                                                                  \
    X(DEBUG, "debug", "each decision")                                                             \
    X(TRACE, "trace", "each message")

enum ag_log_level {
#define X(name, word, meaning) AG_LOG_##name,
    AG_LOG_LEVELS(X)
#undef X
};

enum {
    AG_LOG_MODULES = 16,       /* levels of their own; more modules than any program has */
    AG_LOG_LINE = 4096,        /* bytes of a line; PIPE_BUF, so that lines never mix in a pipe */
    AG_LOG_VALUE = 512,        /* bytes of a written value; the rest is cut and marked "..." */
    AG_LOG_PENDING = 256 << 10 /* bytes that wait for a slow reader of stderr */
};

struct ag_log_module {
    char name[32];
    enum ag_log_level level;
};

/* Which lines are wanted. */
struct ag_log_levels {
    enum ag_log_level base; /* of every module that is not named */
    unsigned count;
    struct ag_log_module modules[AG_LOG_MODULES];
};

/* Read LEVEL[,MODULE=LEVEL]..., for example info,core=debug; `all=LEVEL` is the same as LEVEL.
 * The base is info when only modules are named. ARGOSY_EINVAL says what was expected. */
int ag_log_levels_parse(const char *text, struct ag_log_levels *out, struct argosy_error *err);

struct ag_log_config {
    const char *program; /* copied */
    bool json;
    struct ag_log_levels levels;
    int fd;                   /* 0 means 2, stderr */
    int64_t (*unix_ms)(void); /* NULL means the real clock; tests bring their own */
};

void ag_log_start(const struct ag_log_config *config);

/* Tell what is counted and waits, for at most 200 ms; then nothing is written any more. */
void ag_log_stop(void);

/* For the loop's timer, every second or so: tells of repeated lines and writes what waits. */
void ag_log_flush(void);

/* Lines dropped since the start, for the metrics. */
uint64_t ag_log_dropped(void);

/* ---- lines --------------------------------------------------------------------------------------
 */

#define ag_log_error(module, ...) ag_log(AG_LOG_ERROR, module, __VA_ARGS__)
#define ag_log_warning(module, ...) ag_log(AG_LOG_WARNING, module, __VA_ARGS__)
#define ag_log_info(module, ...) ag_log(AG_LOG_INFO, module, __VA_ARGS__)
#define ag_log_debug(module, ...) ag_log(AG_LOG_DEBUG, module, __VA_ARGS__)
#define ag_log_trace(module, ...) ag_log(AG_LOG_TRACE, module, __VA_ARGS__)

/* ag_log(level, module, message, ag_kv(...)...): up to what fits into a line; fields beyond it are
 * left out and `cut=true` says so. */
#define ag_log(level, module, ...)                                                                 \
    ag_log_line_(level, module, __VA_ARGS__, (struct ag_log_field){0})

/* A field: a name (a plain word) and text, struct ag_bytes, struct ag_id (or a pointer to one), a
 * bool or any number. The value is borrowed until the line is written; NULL text leaves it out. */
#define ag_kv(name, value)                                                                         \
    _Generic((value),                                                                            \
        char *: ag_kv_text, const char *: ag_kv_text,                                            \
        struct ag_bytes: ag_kv_bytes,                                                            \
        struct ag_id: ag_kv_id, struct ag_id *: ag_kv_id_at, const struct ag_id *: ag_kv_id_at,  \
        bool: ag_kv_bool, float: ag_kv_real, double: ag_kv_real,                                 \
        unsigned char: ag_kv_unsigned, unsigned short: ag_kv_unsigned,                           \
        unsigned: ag_kv_unsigned, unsigned long: ag_kv_unsigned,                                 \
        unsigned long long: ag_kv_unsigned,                                                      \
        signed char: ag_kv_signed, short: ag_kv_signed, int: ag_kv_signed, long: ag_kv_signed,   \
        long long: ag_kv_signed)(name, value)

/* Made by ag_kv(); not for reading. */
struct ag_log_field {
    const char *name; /* NULL ends the list */
    enum {
        AG_FIELD_TEXT,
        AG_FIELD_ID,
        AG_FIELD_BOOL,
        AG_FIELD_SIGNED,
        AG_FIELD_UNSIGNED,
        AG_FIELD_REAL
    } type;
    union {
        struct ag_bytes text;
        struct ag_id id;
        bool truth;
        int64_t whole;
        uint64_t natural;
        double real;
    };
};

#define ag_log_line_(level, module, message, ...)                                                  \
    do {                                                                                           \
        if (ag_log_wants(level, module))                                                           \
            ag_log_write(level, module, message, (const struct ag_log_field[]){__VA_ARGS__});      \
    } while (0)

/* Whether such a line would be written; to guard work that only a log line needs. */
bool ag_log_wants(enum ag_log_level level, const char *module);

/* What the macros call; fields end with one whose name is NULL. */
void ag_log_write(enum ag_log_level level, const char *module, const char *message,
                  const struct ag_log_field *fields);

static inline struct ag_log_field ag_kv_bytes(const char *name, struct ag_bytes value)
{
    return (struct ag_log_field){.name = name, .type = AG_FIELD_TEXT, .text = value};
}

static inline struct ag_log_field ag_kv_text(const char *name, const char *value)
{
    return ag_kv_bytes(name, ag_bytes_of_text(value));
}

static inline struct ag_log_field ag_kv_id(const char *name, struct ag_id value)
{
    return (struct ag_log_field){.name = name, .type = AG_FIELD_ID, .id = value};
}

static inline struct ag_log_field ag_kv_id_at(const char *name, const struct ag_id *value)
{
    return ag_kv_id(name, *value);
}

static inline struct ag_log_field ag_kv_bool(const char *name, bool value)
{
    return (struct ag_log_field){.name = name, .type = AG_FIELD_BOOL, .truth = value};
}

static inline struct ag_log_field ag_kv_signed(const char *name, int64_t value)
{
    return (struct ag_log_field){.name = name, .type = AG_FIELD_SIGNED, .whole = value};
}

static inline struct ag_log_field ag_kv_unsigned(const char *name, uint64_t value)
{
    return (struct ag_log_field){.name = name, .type = AG_FIELD_UNSIGNED, .natural = value};
}

static inline struct ag_log_field ag_kv_real(const char *name, double value)
{
    return (struct ag_log_field){.name = name, .type = AG_FIELD_REAL, .real = value};
}

#endif
